/* SPDX-License-Identifier: BSD-3-Clause */
/* What Gunyah answers while a guest runs. Memory is shared, so that the code and the tree can be written before the start. */
#include "conform_gunyah.h"

#include "conform_guest.h"
#include "tree.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define DTB UINT64_C(0x100000) /* from the memory's beginning */
#define RWX (UAPI_GUNYAH_MEM_READ | UAPI_GUNYAH_MEM_WRITE | UAPI_GUNYAH_MEM_EXEC)
#define END_PATIENCE 5u /* seconds */
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *exit_in_words(struct conform_guest *guest)
{
	const struct uapi_gunyah_run *page = guest->page;
	uint32_t reason[2];

	switch (page->exit_reason) {
	case UAPI_GUNYAH_EXIT_MMIO:
		return conform_access(guest, page->u.mmio.gpa, page->u.mmio.width, page->u.mmio.is_write != 0);
	case UAPI_GUNYAH_EXIT_STATUS:
		memcpy(reason, page->u.status.reason, sizeof(reason));
		(void)snprintf(guest->text, sizeof(guest->text), "STATUS %u type %u reason_size %u reason %08x %08x",
			       page->u.status.status, page->u.status.type, page->u.status.reason_size, reason[0],
			       reason[1]);
		return guest->text;
	case UAPI_GUNYAH_EXIT_PAGE_FAULT:
		(void)snprintf(guest->text, sizeof(guest->text), "page fault at 0x%llx: %s",
			       (unsigned long long)page->u.page_fault.gpa, conform_word(page->u.page_fault.attempt));
		return guest->text;
	default:
		(void)snprintf(guest->text, sizeof(guest->text), "exit %u", page->exit_reason);
		return guest->text;
	}
}

static const char *run_for(struct conform_guest *guest, unsigned int seconds)
{
	struct uapi_gunyah_run *page = guest->page;
	int ret;

	page->exit_reason = UAPI_GUNYAH_EXIT_UNKNOWN;
	ret = conform_run(&guest->conform, guest->vcpu, UAPI_GUNYAH_RUN, NULL, seconds);
	return ret < 0 ? conform_word(ret) : exit_in_words(guest);
}

static const char *prepare(struct conform_guest *guest, const char *name)
{
	struct conform *conform = &guest->conform;
	struct uapi_gunyah_run *page;
	char line[60];
	const struct tree tree = { .base = CONFORM_GPA, .cpus = 1 };
	const struct uapi_gunyah_region region = {
		.flags = RWX, .gpa = CONFORM_GPA, .size = CONFORM_RAM_SIZE, .host = (uintptr_t)conform->ram
	};
	const struct uapi_gunyah_range dtb = { .gpa = CONFORM_GPA + DTB, .size = TREE_ROOM };
	int ret;

	conform_new_vm(conform);
	conform_write_guest(conform->ram);
	if (tree_build(&tree, conform->ram + DTB, TREE_ROOM) == 0)
		return "no tree";
	ret = conform_ask(conform, conform->vm, UAPI_GUNYAH_SET_USER_MEM, &region);
	if (ret == -ENOTTY)
		return "skipped (memory is of files)";
	if (ret == 0)
		ret = conform_ask(conform, conform->vm, UAPI_GUNYAH_SET_DTB, &dtb);
	if (ret < 0)
		return conform_word(ret);
	guest->vcpu = conform_gunyah_add_vcpu(conform, 0);
	if (guest->vcpu < 0)
		return conform_word(guest->vcpu);
	ret = conform->sys->mmap(conform->sys, NULL, CONFORM_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, guest->vcpu,
				 &guest->page);
	if (ret < 0)
		return conform_word(ret);
	page = guest->page;
	guest->data = page->u.mmio.data;
	guest->immediate_exit = &page->immediate_exit;
	(void)snprintf(line, sizeof(line), "%s.start", name);
	conform_say(line, "%s", conform_word(conform_ask_value(conform, conform->vm, UAPI_GUNYAH_START, 0)));
	return NULL;
}

static bool begin(struct conform_guest *guest, const char *device, const char *name, const struct conform_step *steps,
		  size_t n)
{
	*guest = (struct conform_guest){ .prepare = prepare, .run_for = run_for };
	return conform_begin(guest, device, name, steps, n);
}

static void test_accesses(const char *device)
{
	struct conform_guest guest;

	if (!begin(&guest, device, "access", conform_accesses, conform_n_accesses))
		return;
	conform_test_accesses(&guest);
	conform_end(&guest);
}

static void test_end(const char *device, const char *how, uint32_t function)
{
	const struct conform_step steps[] = { { CONFORM_CALL, function, 0, 0 } };
	struct conform_guest guest;
	char name[60];

	if (!begin(&guest, device, how, steps, COUNT(steps)))
		return;
	/* Kernels without an exit for it sleep on. */
	conform_answer(&guest, conform_command(&steps[0]));
	conform_say(how, "%s", run_for(&guest, conform_is_scripted(&guest.conform) ? 1 : END_PATIENCE));
	(void)snprintf(name, sizeof(name), "%s; START", how);
	conform_say(name, "%s", conform_word(conform_ask_value(&guest.conform, guest.conform.vm, UAPI_GUNYAH_START, 0)));
	conform_end(&guest);
}

static uint64_t count(struct conform_guest *guest, int fd)
{
	uint64_t value = 0;

	(void)guest->conform.sys->read(guest->conform.sys, fd, &value, sizeof(value));
	return value;
}

static void test_bells(const char *device)
{
	static const struct conform_step steps[] = {
		{ CONFORM_STORE, 0x7000, 4, 1 }, { CONFORM_STORE, 0x7004, 4, 1 }, { CONFORM_STORE, 0x7100, 4, 5 },
		{ CONFORM_STORE, 0x7100, 4, 7 }, { CONFORM_STORE, 0x7200, 8, 1 }, { CONFORM_CALL, CONFORM_OFF, 0, 0 },
	};
	struct conform *conform;
	struct conform_guest guest;
	char name[60];
	int fds[3];

	if (!begin(&guest, device, "io", steps, COUNT(steps)))
		return;
	conform = &guest.conform;
	for (unsigned int i = 0; i < 3; i++)
		fds[i] = conform_eventfd(conform);
	conform_say("io.add len 4", "%s", conform_word(conform_gunyah_ioeventfd(conform, true, fds[0], 0x7000, 4, 0, 0)));
	conform_say("io.add datamatch 5", "%s",
		    conform_word(conform_gunyah_ioeventfd(conform, true, fds[1], 0x7100, 4, 1, 5)));
	conform_say("io.add len 0", "%s", conform_word(conform_gunyah_ioeventfd(conform, true, fds[2], 0x7200, 0, 0, 0)));
	for (size_t i = 0; steps[i].op != CONFORM_CALL; i++) {
		const char *next = conform_take(&guest, &steps[i]);

		(void)snprintf(name, sizeof(name), "io.store %u at 0x%x: next", steps[i].value, steps[i].gpa);
		conform_say(name, "%s", next);
		(void)snprintf(name, sizeof(name), "io.store %u at 0x%x: counts", steps[i].value, steps[i].gpa);
		conform_say(name, "%llu %llu %llu", (unsigned long long)count(&guest, fds[0]),
			    (unsigned long long)count(&guest, fds[1]), (unsigned long long)count(&guest, fds[2]));
		if (strcmp(next, "idle") != 0)
			(void)conform_go_on(&guest);
	}
	for (unsigned int i = 0; i < 3; i++)
		(void)conform->sys->close(conform->sys, fds[i]);
	conform_end(&guest);
}

static void test_immediate_exit(const char *device)
{
	struct conform_guest guest;

	if (!begin(&guest, device, "imm", conform_immediate, conform_n_immediate))
		return;
	conform_test_immediate(&guest);
	conform_say("h1.what the guest got", "%s", conform_go_on(&guest));
	conform_end(&guest);
}

void conform_gunyah_guests(const char *device)
{
	test_accesses(device);
	test_bells(device);
	test_immediate_exit(device);
	test_end(device, "psci off", CONFORM_OFF);
	test_end(device, "psci reset", CONFORM_RESET);
}
