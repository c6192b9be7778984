/* SPDX-License-Identifier: BSD-3-Clause */
/* What Gunyah answers while a guest runs. Memory is shared, so that the code and the tree can be written before the start. */
#include "conform_gunyah.h"

#include "conform_guest.h"
#include "tree.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define GPA UINT64_C(0x80000000)
#define DTB UINT64_C(0x100000) /* from the memory's beginning */
#define RWX (UAPI_GUNYAH_MEM_READ | UAPI_GUNYAH_MEM_WRITE | UAPI_GUNYAH_MEM_EXEC)
#define END_PATIENCE 5u /* seconds */
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* One VM with one vCPU. */
struct guest {
	struct conform conform;
	int vcpu;
	struct uapi_gunyah_run *page;
	char text[120];
};

static const char *exit_in_words(struct guest *guest)
{
	const struct uapi_gunyah_run *page = guest->page;
	uint64_t value;
	uint32_t reason[2];

	switch (page->exit_reason) {
	case UAPI_GUNYAH_EXIT_MMIO:
		if (page->u.mmio.is_write == 0 && page->u.mmio.gpa == CONFORM_IDLE)
			return "idle";
		memcpy(&value, page->u.mmio.data, sizeof(value));
		if (page->u.mmio.width < 8)
			value &= (UINT64_C(1) << 8 * page->u.mmio.width) - 1;
		if (page->u.mmio.is_write != 0)
			(void)snprintf(guest->text, sizeof(guest->text), "store 0x%llx len %u value 0x%llx",
				       (unsigned long long)page->u.mmio.gpa, page->u.mmio.width, (unsigned long long)value);
		else
			(void)snprintf(guest->text, sizeof(guest->text), "load 0x%llx len %u",
				       (unsigned long long)page->u.mmio.gpa, page->u.mmio.width);
		return guest->text;
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

static const char *run_for(struct guest *guest, unsigned int seconds)
{
	int ret;

	guest->page->exit_reason = UAPI_GUNYAH_EXIT_UNKNOWN;
	ret = conform_run(&guest->conform, guest->vcpu, UAPI_GUNYAH_RUN, NULL, seconds);
	return ret < 0 ? conform_word(ret) : exit_in_words(guest);
}

static const char *run(struct guest *guest)
{
	return run_for(guest, CONFORM_PATIENCE);
}

static void answer(struct guest *guest, uint64_t value)
{
	memcpy(guest->page->u.mmio.data, &value, sizeof(value));
}

/* The exit that the step leads to; what stands before it is the guest's question. */
static const char *step(struct guest *guest, const struct conform_step *step)
{
	answer(guest, conform_command(step));
	return run(guest);
}

static const char *prepare(struct guest *guest)
{
	struct conform *conform = &guest->conform;
	const struct tree tree = { .base = GPA, .cpus = 1 };
	const struct uapi_gunyah_region region = {
		.flags = RWX, .gpa = GPA, .size = CONFORM_RAM_SIZE, .host = (uintptr_t)conform->ram
	};
	const struct uapi_gunyah_range dtb = { .gpa = GPA + DTB, .size = TREE_ROOM };
	int ret;

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
				 (void **)&guest->page);
	return ret < 0 ? conform_word(ret) : NULL;
}

static void end(struct guest *guest)
{
	struct conform *conform = &guest->conform;

	if (guest->page != NULL)
		(void)conform->sys->munmap(conform->sys, guest->page, CONFORM_PAGE);
	if (guest->vcpu >= 0)
		(void)conform->sys->close(conform->sys, guest->vcpu);
	conform_close(conform);
}

/* A started VM whose guest has asked its first question; false if it has not, which is said. */
static bool begin(struct guest *guest, const char *device, const char *name, const struct conform_step *steps, size_t n)
{
	char script[1000];
	char line[60];
	const char *wrong;

	*guest = (struct guest){ .conform = { .device = device, .dev = -1, .vm = -1 }, .vcpu = -1 };
	if (conform_script(steps, n, script, sizeof(script)) < 0 || !conform_open(&guest->conform, script))
		return false;
	conform_new_vm(&guest->conform);
	wrong = prepare(guest);
	(void)snprintf(line, sizeof(line), "%s.start", name);
	if (wrong != NULL) {
		conform_say(line, "%s", wrong);
		end(guest);
		return false;
	}
	conform_say(line, "%s", conform_word(conform_ask_value(&guest->conform, guest->conform.vm, UAPI_GUNYAH_START, 0)));
	(void)snprintf(line, sizeof(line), "%s.first exit", name);
	wrong = run(guest);
	conform_say(line, "%s", wrong);
	if (strcmp(wrong, "idle") == 0)
		return true;
	end(guest);
	return false;
}

static void test_accesses(const char *device)
{
	static const struct conform_step steps[] = {
		{ CONFORM_STORE, 0x7000, 1, 0x2211 }, { CONFORM_STORE, 0x7000, 2, 0x2211 },
		{ CONFORM_STORE, 0x7000, 4, 0x2211 }, { CONFORM_STORE, 0x7000, 8, 0x2211 },
		{ CONFORM_LOAD, 0x7000, 1, 0 },       { CONFORM_LOAD, 0x7000, 2, 0 },
		{ CONFORM_LOAD, 0x7000, 4, 0 },       { CONFORM_LOAD, 0x7000, 8, 0 },
		{ CONFORM_CALL, CONFORM_OFF, 0, 0 },
	};
	struct guest guest;
	char name[60];

	if (!begin(&guest, device, "access", steps, COUNT(steps)))
		return;
	for (size_t i = 0; steps[i].op != CONFORM_CALL; i++) {
		bool is_load = steps[i].op == CONFORM_LOAD;

		(void)snprintf(name, sizeof(name), "access.%s %u", is_load ? "load" : "store", steps[i].width);
		conform_say(name, "%s", step(&guest, &steps[i]));
		if (is_load) {
			/* Only as many bytes as the load is wide reach the guest. */
			answer(&guest, UINT64_C(0xf8f7f6f5f4f3f2f1));
			(void)snprintf(name, sizeof(name), "access.load %u result", steps[i].width);
			conform_say(name, "%s", run(&guest));
		}
		(void)snprintf(name, sizeof(name), "access.%s %u; next", is_load ? "load" : "store", steps[i].width);
		conform_say(name, "%s", run(&guest));
	}
	end(&guest);
}

static void test_end(const char *device, const char *how, uint32_t function)
{
	const struct conform_step steps[] = { { CONFORM_CALL, function, 0, 0 } };
	struct guest guest;
	char name[60];

	if (!begin(&guest, device, how, steps, COUNT(steps)))
		return;
	/* Kernels without an exit for it sleep on. */
	answer(&guest, conform_command(&steps[0]));
	conform_say(how, "%s", run_for(&guest, conform_is_scripted(&guest.conform) ? 1 : END_PATIENCE));
	(void)snprintf(name, sizeof(name), "%s; START", how);
	conform_say(name, "%s", conform_word(conform_ask_value(&guest.conform, guest.conform.vm, UAPI_GUNYAH_START, 0)));
	end(&guest);
}

static uint64_t count(struct guest *guest, int fd)
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
	struct guest guest;
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
		const char *next = step(&guest, &steps[i]);

		(void)snprintf(name, sizeof(name), "io.store %u at 0x%x: next", steps[i].value, steps[i].gpa);
		conform_say(name, "%s", next);
		(void)snprintf(name, sizeof(name), "io.store %u at 0x%x: counts", steps[i].value, steps[i].gpa);
		conform_say(name, "%llu %llu %llu", (unsigned long long)count(&guest, fds[0]),
			    (unsigned long long)count(&guest, fds[1]), (unsigned long long)count(&guest, fds[2]));
		if (strcmp(next, "idle") != 0)
			(void)run(&guest);
	}
	for (unsigned int i = 0; i < 3; i++)
		(void)conform->sys->close(conform->sys, fds[i]);
	end(&guest);
}

static void test_immediate_exit(const char *device)
{
	static const struct conform_step steps[] = {
		{ CONFORM_STORE, 0x7000, 4, 1 },
		{ CONFORM_LOAD, 0x7000, 4, 0 },
		{ CONFORM_CALL, CONFORM_OFF, 0, 0 },
	};
	struct guest guest;

	if (!begin(&guest, device, "imm", steps, COUNT(steps)))
		return;
	conform_say("imm.store", "%s", step(&guest, &steps[0]));
	guest.page->immediate_exit = 1;
	conform_say("imm.run after a store", "%s", run(&guest));
	conform_say("imm.flag", "%u", guest.page->immediate_exit);
	guest.page->immediate_exit = 0;
	conform_say("imm.then", "%s", run(&guest));
	conform_say("h1.load", "%s", step(&guest, &steps[1]));
	answer(&guest, 0x42);
	guest.page->immediate_exit = 1;
	conform_say("h1.load answered, immediate_exit", "%s", run(&guest));
	guest.page->immediate_exit = 0;
	conform_say("h1.what the guest got", "%s", run(&guest));
	end(&guest);
}

void conform_gunyah_guests(const char *device)
{
	test_accesses(device);
	test_bells(device);
	test_immediate_exit(device);
	test_end(device, "psci off", CONFORM_OFF);
	test_end(device, "psci reset", CONFORM_RESET);
}
