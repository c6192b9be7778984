/* SPDX-License-Identifier: BSD-3-Clause */
/* What every revision of Gunyah answers to requests that need no running guest; conform_gunyah_guest.c has the rest. */
#include "conform_gunyah.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define RWX (UAPI_GUNYAH_MEM_READ | UAPI_GUNYAH_MEM_WRITE | UAPI_GUNYAH_MEM_EXEC)
#define GPA UINT64_C(0x80000000)

/* --- requests ----------------------------------------------------------------------------------------------------- */

void conform_new_vm(struct conform *conform)
{
	if (conform->vm >= 0)
		(void)conform->sys->close(conform->sys, conform->vm);
	conform->vm = conform_ask(conform, conform->dev, UAPI_GUNYAH_CREATE_VM, NULL);
}

static int set_memory(struct conform *conform, unsigned long request, const struct uapi_gunyah_region *region)
{
	return conform_ask(conform, conform->vm, request, region);
}

static bool has(struct conform *conform, unsigned long request)
{
	return conform_ask(conform, conform->vm, request, NULL) != -ENOTTY;
}

static int ask_function(struct conform *conform, unsigned long request, uint32_t type, uint32_t size, const void *argument)
{
	const struct uapi_gunyah_fn fn = { .type = type, .arg_size = size, .arg = (uintptr_t)argument };

	return conform_ask(conform, conform->vm, request, &fn);
}

static bool is_named(struct conform *conform)
{
	return !has(conform, UAPI_GUNYAH_ADD_FUNCTION);
}

static int add(struct conform *conform, uint32_t type, const void *argument, size_t size)
{
	static const char *const names[] = { "", "vcpu", "irqfd", "ioeventfd" };
	struct uapi_gunyah_named_fn fn;

	if (!is_named(conform))
		return ask_function(conform, UAPI_GUNYAH_ADD_FUNCTION, type, (uint32_t)size, argument);
	memset(&fn, 0, sizeof(fn));
	(void)snprintf(fn.name, sizeof(fn.name), "%s", names[type]);
	memcpy(fn.u.data, argument, size);
	return conform_ask(conform, conform->vm, UAPI_GUNYAH_ADD_NAMED_FUNCTION, &fn);
}

int conform_gunyah_add_vcpu(struct conform *conform, uint32_t id)
{
	const struct uapi_gunyah_fn_vcpu vcpu = { .id = id };

	return add(conform, UAPI_GUNYAH_FN_VCPU, &vcpu, sizeof(vcpu));
}

static int remove_vcpu(struct conform *conform, uint32_t id)
{
	const struct uapi_gunyah_fn_vcpu vcpu = { .id = id };

	return ask_function(conform, UAPI_GUNYAH_REMOVE_FUNCTION, UAPI_GUNYAH_FN_VCPU, sizeof(vcpu), &vcpu);
}

int conform_gunyah_ioeventfd(struct conform *conform, bool on, int fd, uint64_t gpa, uint32_t width, uint32_t flags,
			     uint64_t value)
{
	const struct uapi_gunyah_fn_ioeventfd bell = {
		.datamatch = value, .gpa = gpa, .width = width, .fd = fd, .flags = flags
	};

	if (on)
		return add(conform, UAPI_GUNYAH_FN_IOEVENTFD, &bell, sizeof(bell));
	return ask_function(conform, UAPI_GUNYAH_REMOVE_FUNCTION, UAPI_GUNYAH_FN_IOEVENTFD, sizeof(bell), &bell);
}

static int add_irqfd(struct conform *conform, int fd, uint32_t label, uint32_t flags)
{
	const struct uapi_gunyah_fn_irqfd line = { .fd = (uint32_t)fd, .label = label, .flags = flags };

	return add(conform, UAPI_GUNYAH_FN_IRQFD, &line, sizeof(line));
}

/* --- the cases ---------------------------------------------------------------------------------------------------- */

static void test_device(struct conform *conform)
{
	const struct uapi_gunyah_create_mem bad = { .flags = UINT64_MAX };

	conform_say("dev.create_vm 1", "%s", conform_fd(conform, conform_ask_value(conform, conform->dev, 0x4700, 1)));
	conform_say("dev.unknown G 0x99", "%s", conform_word(conform_ask_value(conform, conform->dev, 0x4799, 0)));
	conform_say("dev.unknown B2 0x01", "%s", conform_word(conform_ask_value(conform, conform->dev, 0xb201, 0)));
	conform_say("dev.create_guest_mem", "%s",
		    conform_word(conform_ask(conform, conform->dev, UAPI_GUNYAH_CREATE_GUEST_MEM, &bad)));
	conform_say("dev.check_extension A 0x10", "%s", conform_word(conform_ask_value(conform, conform->dev, 0x4110, 0)));
	conform_say("dev.check_extension A 0x17", "%s", conform_word(conform_ask_value(conform, conform->dev, 0x4117, 0)));
	conform_say("dev.vm ioctl on device", "%s", conform_word(conform_ask_value(conform, conform->dev, 0x4703, 0)));
	conform_say("dev.run on device", "%s", conform_word(conform_ask_value(conform, conform->dev, 0x4705, 0)));
}

static void test_pointers(struct conform *conform)
{
	static const struct {
		const char *name;
		unsigned long request;
	} requests[] = {
		{ "vm.bad pointer set_user_mem", UAPI_GUNYAH_SET_USER_MEM },
		{ "vm.bad pointer set_dtb", UAPI_GUNYAH_SET_DTB },
		{ "vm.bad pointer add_function", UAPI_GUNYAH_ADD_FUNCTION },
		{ "vm.bad pointer add_function string form", UAPI_GUNYAH_ADD_NAMED_FUNCTION },
		{ "vm.bad pointer remove_function", UAPI_GUNYAH_REMOVE_FUNCTION },
		{ "vm.bad pointer map_mem", UAPI_GUNYAH_MAP_MEM },
		{ "vm.bad pointer set_boot_context", UAPI_GUNYAH_SET_BOOT_CONTEXT },
		{ "vm.bad pointer lend_user_mem", UAPI_GUNYAH_LEND_USER_MEM },
		{ "vm.bad pointer set_fw", UAPI_GUNYAH_SET_FW },
		{ "vm.bad pointer reclaim", UAPI_GUNYAH_RECLAIM },
		{ "vm.bad pointer map_cma", UAPI_GUNYAH_MAP_CMA },
		{ "vm.bad pointer set_auth", UAPI_GUNYAH_SET_AUTH },
		{ "vm.bad pointer check_extension", UAPI_GUNYAH_CHECK_EXTENSION },
		{ "vm.bad pointer mmap_size", UAPI_GUNYAH_MMAP_SIZE },
		{ "vm.bad pointer unknown 0x4799", 0x4799 },
		{ "vm.bad pointer kvm check_extension", 0xae03 },
	};

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		conform_say(requests[i].name, "%s",
			    conform_word(conform_ask(conform, conform->vm, requests[i].request, NULL)));
}

/* One region of a new VM; `of` as in the tables. */
struct region_case {
	const char *name;
	uint32_t label;
	uint32_t flags;
	uint64_t gpa;
	uint64_t size;
	uint64_t host; /* from the memory's beginning */
	bool nowhere;  /* address 0 */
	bool new_vm;
};

static const struct region_case region_cases[] = {
	{ "flag bit 31", 0, 1u << 31, GPA, CONFORM_PAGE, 0, false, true },
	{ "size 1", 0, RWX, GPA, 1, 0, false, true },
	{ "size page + 1", 0, RWX, GPA, CONFORM_PAGE + 1, 0, false, false },
	{ "address + 1", 0, RWX, GPA, CONFORM_PAGE, 1, false, false },
	{ "address 0", 0, RWX, GPA, CONFORM_PAGE, 0, true, false },
	{ "not mapped", 0, RWX, GPA, CONFORM_PAGE, CONFORM_RAM_SIZE, false, false },
	{ "label of a failed one again", 0, RWX, GPA, 2 * CONFORM_PAGE, 0, false, true },
	{ "duplicate label, other place", 0, RWX, GPA + 0x100000, CONFORM_PAGE, 0x100000, false, false },
	{ "overlap last page", 1, RWX, GPA + CONFORM_PAGE, CONFORM_PAGE, 0x100000, false, false },
	{ "overlap around", 1, RWX, GPA - CONFORM_PAGE, 4 * CONFORM_PAGE, 0x100000, false, false },
	{ "adjacent below", 2, RWX, GPA - CONFORM_PAGE, CONFORM_PAGE, 0x110000, false, false },
	{ "adjacent above", 3, RWX, GPA + 2 * CONFORM_PAGE, CONFORM_PAGE, 0x120000, false, false },
	{ "flags R", 4, UAPI_GUNYAH_MEM_READ, GPA + 0x200000, CONFORM_PAGE, 0x130000, false, false },
	{ "flags 0", 5, 0, GPA + 0x300000, CONFORM_PAGE, 0x140000, false, false },
	{ "label 0xffffffff", UINT32_MAX, RWX, GPA + 0x400000, CONFORM_PAGE, 0x150000, false, false },
	{ "same host page twice", 6, RWX, GPA + 0x500000, CONFORM_PAGE, 0x150000, false, false },
};

static void test_memory(struct conform *conform, const char *how, unsigned long request)
{
	char name[80];

	if (!has(conform, request)) {
		(void)snprintf(name, sizeof(name), "mem.%s", how);
		conform_say(name, "skipped (no such request)");
		return;
	}
	for (size_t i = 0; i < sizeof(region_cases) / sizeof(region_cases[0]); i++) {
		const struct region_case *c = &region_cases[i];
		const struct uapi_gunyah_region region = {
			.label = c->label,
			.flags = c->flags,
			.gpa = c->gpa,
			.size = c->size,
			.host = c->nowhere ? 0 : (uintptr_t)conform->ram + c->host,
		};

		if (c->new_vm)
			conform_new_vm(conform);
		(void)snprintf(name, sizeof(name), "mem.%s %s", how, c->name);
		conform_say(name, "%s", conform_word(set_memory(conform, request, &region)));
	}
	conform_new_vm(conform);
}

static void test_ranges(struct conform *conform)
{
	static const struct {
		const char *name;
		unsigned long request;
		struct uapi_gunyah_range range;
	} cases[] = {
		{ "dtb.0 0", UAPI_GUNYAH_SET_DTB, { 0, 0 } },
		{ "dtb.sum = 2^64", UAPI_GUNYAH_SET_DTB, { UINT64_MAX - 0xfff, 0x1000 } },
		{ "dtb.sum > 2^64", UAPI_GUNYAH_SET_DTB, { UINT64_MAX - 0xfff, 0x2000 } },
		{ "fw.normal", UAPI_GUNYAH_SET_FW, { GPA, 0x1000 } },
		{ "fw.sum > 2^64", UAPI_GUNYAH_SET_FW, { UINT64_MAX - 0xfff, 0x2000 } },
		{ "reclaim.nothing there", UAPI_GUNYAH_RECLAIM, { GPA, 0x1000 } },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		conform_say(cases[i].name, "%s",
			    conform_word(conform_ask(conform, conform->vm, cases[i].request, &cases[i].range)));
	conform_new_vm(conform);
}

static void test_boot_context(struct conform *conform)
{
	static const struct {
		const char *name;
		uint32_t reg;
	} cases[] = {
		{ "boot.x0", UAPI_GUNYAH_BOOT_REG(0, 0) },   { "boot.x31", UAPI_GUNYAH_BOOT_REG(0, 31) },
		{ "boot.x32", UAPI_GUNYAH_BOOT_REG(0, 32) }, { "boot.pc", UAPI_GUNYAH_BOOT_REG(1, 0) },
		{ "boot.pc 1", UAPI_GUNYAH_BOOT_REG(1, 1) }, { "boot.sp 2", UAPI_GUNYAH_BOOT_REG(2, 2) },
		{ "boot.sp 3", UAPI_GUNYAH_BOOT_REG(2, 3) }, { "boot.set 3", UAPI_GUNYAH_BOOT_REG(3, 0) },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct uapi_gunyah_boot_context context = { .reg = cases[i].reg, .value = GPA };

		conform_say(cases[i].name, "%s",
			    conform_word(conform_ask(conform, conform->vm, UAPI_GUNYAH_SET_BOOT_CONTEXT, &context)));
	}
}

static void test_vcpus(struct conform *conform)
{
	struct gh_sys *sys = conform->sys;
	int fd;

	conform_new_vm(conform);
	fd = conform_gunyah_add_vcpu(conform, 0);
	conform_say("vcpu.id 0", "%s", fd >= 0 ? "fd" : conform_word(fd));
	conform_say("vcpu.id 0 twice", "%s", conform_fd(conform, conform_gunyah_add_vcpu(conform, 0)));
	if (fd < 0)
		return;
	conform_say("vcpu.mmap_size", "%s",
		    conform_ask_value(conform, fd, UAPI_GUNYAH_MMAP_SIZE, 0) > 0 ? "page size" : "nothing");
	conform_say("vcpu.create_vm on vcpu", "%s", conform_word(conform_ask_value(conform, fd, UAPI_GUNYAH_CREATE_VM, 0)));
	conform_say("vcpu.start on vcpu", "%s", conform_word(conform_ask_value(conform, fd, UAPI_GUNYAH_START, 0)));
	conform_say("vcpu.unknown 0x4799", "%s", conform_word(conform_ask_value(conform, fd, 0x4799, 0)));
	conform_say("vcpu.run before start", "%s", conform_word(conform_ask_value(conform, fd, UAPI_GUNYAH_RUN, 0)));
	if (is_named(conform)) {
		(void)sys->close(sys, fd);
		conform_new_vm(conform);
		conform_say("vcpu.remove 0", "skipped (no such request)");
		return;
	}
	conform_say("vcpu.remove unknown", "%s", conform_word(remove_vcpu(conform, 7)));
	conform_say("vcpu.remove 0", "%s", conform_word(remove_vcpu(conform, 0)));
	(void)sys->close(sys, fd);
	fd = conform_gunyah_add_vcpu(conform, 0);
	conform_say("vcpu.id 0 after remove", "%s", conform_fd(conform, fd));
	conform_say("vcpu.id 0 after close", "%s", conform_fd(conform, conform_gunyah_add_vcpu(conform, 0)));
	conform_say("vcpu.remove closed", "%s", conform_word(remove_vcpu(conform, 0)));
	conform_say("vcpu.id 0 after that", "%s", conform_fd(conform, conform_gunyah_add_vcpu(conform, 0)));
	conform_new_vm(conform);
}

static void test_functions(struct conform *conform)
{
	static const uint32_t sizes[] = { 0, 1, 5, 8, 257 };
	/* As large as the kernel is told, and id 0. */
	static const uint8_t vcpu[260];
	char name[40];

	if (is_named(conform)) {
		struct uapi_gunyah_named_fn fn;

		memset(&fn, 0, sizeof(fn));
		(void)snprintf(fn.name, sizeof(fn.name), "nonsense");
		conform_say("fn.unknown name", "%s",
			    conform_word(conform_ask(conform, conform->vm, UAPI_GUNYAH_ADD_NAMED_FUNCTION, &fn)));
		return;
	}
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		(void)snprintf(name, sizeof(name), "vcpu.arg_size %u", sizes[i]);
		conform_say(name, "%s",
			    conform_fd(conform, ask_function(conform, UAPI_GUNYAH_ADD_FUNCTION, UAPI_GUNYAH_FN_VCPU,
							     sizes[i], vcpu)));
	}
	conform_say("vcpu.arg pointer bad", "%s",
		    conform_fd(conform, ask_function(conform, UAPI_GUNYAH_ADD_FUNCTION, UAPI_GUNYAH_FN_VCPU, 4, NULL)));
	conform_say("fn.type 4", "%s", conform_word(ask_function(conform, UAPI_GUNYAH_ADD_FUNCTION, 4, 4, vcpu)));
	conform_say("fn.type 4 size 0", "%s", conform_word(ask_function(conform, UAPI_GUNYAH_ADD_FUNCTION, 4, 0, vcpu)));
	conform_new_vm(conform);
}

/*
 * The kernel of some revisions breaks on an irqfd whose eventfd outlives it: close the eventfd before the VM. When a process
 * dies, the lower descriptor is closed first: make the eventfd before the VM.
 */
static void test_lines(struct conform *conform)
{
	int fd;

	if (conform->vm >= 0)
		(void)conform->sys->close(conform->sys, conform->vm);
	conform->vm = -1;
	fd = conform_eventfd(conform);
	if (fd < 0)
		return;
	conform_new_vm(conform);
	conform_say("irqfd.flag 2", "%s", conform_word(add_irqfd(conform, fd, 1, 2)));
	conform_say("irqfd.fd -1", "%s", conform_word(add_irqfd(conform, -1, 1, 0)));
	conform_say("irqfd.fd the VM", "%s", conform_word(add_irqfd(conform, conform->vm, 1, 0)));
	conform_say("irqfd.edge", "%s", conform_word(add_irqfd(conform, fd, 1, 0)));
	conform_say("irqfd.label twice", "%s", conform_word(add_irqfd(conform, fd, 1, 0)));
	conform_say("irqfd.level", "%s", conform_word(add_irqfd(conform, fd, 2, UAPI_GUNYAH_IRQFD_LEVEL)));
	(void)conform->sys->close(conform->sys, fd);
	conform_new_vm(conform);
}

static void test_doorbells(struct conform *conform)
{
	static const uint32_t widths[] = { 3, 5, 7, 9 };
	int fd = conform_eventfd(conform);
	char name[40];

	if (is_named(conform) && conform_gunyah_ioeventfd(conform, true, -1, 0x7000, 4, 0, 0) == -ENOENT) {
		conform_say("ioeventfd", "skipped (no such function)");
		(void)conform->sys->close(conform->sys, fd);
		return;
	}
	for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
		(void)snprintf(name, sizeof(name), "ioeventfd.len %u", widths[i]);
		conform_say(name, "%s", conform_word(conform_gunyah_ioeventfd(conform, true, fd, 0x7000, widths[i], 0, 0)));
	}
	conform_say("ioeventfd.flag 2", "%s", conform_word(conform_gunyah_ioeventfd(conform, true, fd, 0x7000, 4, 2, 0)));
	conform_say("ioeventfd.fd -1", "%s", conform_word(conform_gunyah_ioeventfd(conform, true, -1, 0x7000, 4, 0, 0)));
	conform_say("ioeventfd.len 4", "%s", conform_word(conform_gunyah_ioeventfd(conform, true, fd, 0x7000, 4, 0, 0)));
	conform_say("ioeventfd.len 4 again", "%s",
		    conform_word(conform_gunyah_ioeventfd(conform, true, fd, 0x7000, 4, 0, 0)));
	conform_say("ioeventfd.len 8 same address", "%s",
		    conform_word(conform_gunyah_ioeventfd(conform, true, fd, 0x7000, 8, 0, 0)));
	conform_say("ioeventfd.datamatch 1", "%s",
		    conform_word(conform_gunyah_ioeventfd(conform, true, fd, 0x7100, 4, 1, 1)));
	conform_say("ioeventfd.datamatch 2", "%s",
		    conform_word(conform_gunyah_ioeventfd(conform, true, fd, 0x7100, 4, 1, 2)));
	conform_say("ioeventfd.no datamatch same address", "%s",
		    conform_word(conform_gunyah_ioeventfd(conform, true, fd, 0x7100, 4, 0, 0)));
	conform_say("ioeventfd.len 0", "%s", conform_word(conform_gunyah_ioeventfd(conform, true, fd, 0x7200, 0, 0, 0)));
	if (!is_named(conform)) {
		conform_say("ioeventfd.remove with another value", "%s",
			    conform_word(conform_gunyah_ioeventfd(conform, false, fd, 0x7100, 4, 1, 7)));
		conform_say("ioeventfd.then add datamatch 1", "%s",
			    conform_word(conform_gunyah_ioeventfd(conform, true, fd, 0x7100, 4, 1, 1)));
		conform_say("ioeventfd.remove unknown", "%s",
			    conform_word(conform_gunyah_ioeventfd(conform, false, fd, 0x7900, 4, 0, 0)));
	}
	(void)conform->sys->close(conform->sys, fd);
	conform_new_vm(conform);
}

static void test_start(struct conform *conform)
{
	conform_new_vm(conform);
	conform_say("start.nothing configured", "%s",
		    conform_word(conform_ask_value(conform, conform->vm, UAPI_GUNYAH_START, 0)));
	conform_say("start.nothing configured; second START", "%s",
		    conform_word(conform_ask_value(conform, conform->vm, UAPI_GUNYAH_START, 0)));
}

bool conform_gunyah(const char *device)
{
	struct conform conform = { .device = device };

	if (!conform_open(&conform, "off"))
		return false;
	conform_new_vm(&conform);
	if (conform.vm < 0) {
		conform_close(&conform);
		return false;
	}
	test_device(&conform);
	test_pointers(&conform);
	test_memory(&conform, "share", UAPI_GUNYAH_SET_USER_MEM);
	test_memory(&conform, "lend", UAPI_GUNYAH_LEND_USER_MEM);
	test_ranges(&conform);
	test_boot_context(&conform);
	test_vcpus(&conform);
	test_functions(&conform);
	test_lines(&conform);
	test_doorbells(&conform);
	test_start(&conform);
	conform_close(&conform);
	conform_gunyah_guests(device);
	return true;
}
