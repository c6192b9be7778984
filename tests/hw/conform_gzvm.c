/* SPDX-License-Identifier: BSD-3-Clause */
/* What every revision of GenieZone answers. */
#include "conform.h"

#include "../../lib/uapi/gzvm.h"
#include "conform_guest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define GPA UINT64_C(0x80000000)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *number(int ret)
{
	return ret == 0 ? "0" : conform_word(ret);
}

static int new_vm(struct conform *conform)
{
	if (conform->vm >= 0)
		(void)conform->sys->close(conform->sys, conform->vm);
	conform->vm = conform_ask_value(conform, conform->dev, UAPI_GZVM_CREATE_VM, 0);
	return conform->vm;
}

static void test_extensions(struct conform *conform)
{
	static const uint64_t extensions[] = { 0xffbadab1, 0xa5, 0x9201, 0x9202, 0, 0x1ffbadab1, 0x1000000a5 };
	char name[60];

	for (size_t i = 0; i < COUNT(extensions); i++) {
		uint64_t value = extensions[i];
		int ret = conform_ask(conform, conform->dev, UAPI_GZVM_CHECK_EXTENSION, &value);

		(void)snprintf(name, sizeof(name), "dev.check-ext.0x%llx", (unsigned long long)extensions[i]);
		if (ret < 0)
			conform_say(name, "%s value-%s", conform_word(ret),
				    value == extensions[i] ? "untouched" : "touched");
		else
			conform_say(name, "0 value=%llu", (unsigned long long)value);
	}
	conform_say("dev.check-ext.null", "%s",
		    number(conform_ask_value(conform, conform->dev, UAPI_GZVM_CHECK_EXTENSION, 0)));
	conform_say("dev.get-api-version", "%s", number(conform_ask_value(conform, conform->dev, 0x9200, 0)));
	conform_say("dev.run-on-dev", "%s", number(conform_ask_value(conform, conform->dev, UAPI_GZVM_RUN, 0)));
}

static void test_pointers(struct conform *conform)
{
	static const struct {
		const char *name;
		unsigned long request;
	} requests[] = {
		{ "vm.null-arg.api-version", 0x9200 },
		{ "vm.null-arg.set-memory-region-old", 0x40189240 },
		{ "vm.null-arg.create-irqchip", 0x9260 },
		{ "vm.null-arg.run", UAPI_GZVM_RUN },
		{ "vm.null-arg.set-one-reg", UAPI_GZVM_SET_ONE_REG },
		{ "vm.null-arg.irq-line", UAPI_GZVM_IRQ_LINE },
		{ "vm.null-arg.irqfd", UAPI_GZVM_IRQFD },
		{ "vm.null-arg.ioeventfd", UAPI_GZVM_IOEVENTFD },
		{ "vm.null-arg.create-device", UAPI_GZVM_CREATE_DEVICE },
		{ "vm.null-arg.enable-cap", UAPI_GZVM_ENABLE_CAP },
		{ "vm.null-arg.set-dtb-config", UAPI_GZVM_SET_DTB },
		{ "vm.null-arg.set-user-memory-region", UAPI_GZVM_SET_USER_MEM },
	};

	for (size_t i = 0; i < COUNT(requests); i++)
		conform_say(requests[i].name, "%s", number(conform_ask(conform, conform->vm, requests[i].request, NULL)));
}

static int set_memory(struct conform *conform, uint32_t slot, uint64_t gpa, uint64_t size, const void *host)
{
	const struct uapi_gzvm_region region = {
		.slot = slot, .flags = UAPI_GZVM_REGION_GUEST_MEM, .gpa = gpa, .size = size, .host = (uintptr_t)host
	};

	return conform_ask(conform, conform->vm, UAPI_GZVM_SET_USER_MEM, &region);
}

/* Refused ones leave the kernel's table in disorder: each has a VM of its own. */
static void test_memory(struct conform *conform)
{
	static const struct {
		const char *name;
		uint32_t slot;
		uint64_t gpa;
		uint64_t size;
		uint64_t host; /* from the memory's beginning */
		bool nowhere;
	} cases[] = {
		{ "mem.ok", 0, GPA, CONFORM_RAM_SIZE, 0, false },
		{ "mem.slot-9", 9, GPA, CONFORM_RAM_SIZE, 0, false },
		{ "mem.slot-10", 10, GPA, CONFORM_RAM_SIZE, 0, false },
		{ "mem.slot-ffffffff", UINT32_MAX, GPA, CONFORM_RAM_SIZE, 0, false },
		{ "mem.size-0", 0, GPA, 0, 0, false },
		{ "mem.null-address", 0, GPA, CONFORM_RAM_SIZE, 0, true },
		{ "mem.larger-than-vma", 0, GPA, CONFORM_RAM_SIZE + CONFORM_PAGE, 0, false },
		{ "mem.size-not-page-multiple", 0, GPA, CONFORM_RAM_SIZE - 1, 0, false },
		{ "mem.address-unaligned-size-of-vma", 0, GPA, CONFORM_RAM_SIZE, 1, false },
		{ "mem.gpa-unaligned", 0, GPA + 1, CONFORM_RAM_SIZE, 0, false },
		{ "mem.gpa-wraps", 0, UINT64_MAX - 0xfff, CONFORM_RAM_SIZE, 0, false },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		const void *host = cases[i].nowhere ? NULL : conform->ram + cases[i].host;

		if (new_vm(conform) < 0)
			return;
		conform_say(cases[i].name, "%s",
			    number(set_memory(conform, cases[i].slot, cases[i].gpa, cases[i].size, host)));
	}
}

static void test_vcpus(struct conform *conform)
{
	struct gh_sys *sys = conform->sys;
	uint64_t value = 1;
	struct uapi_gzvm_one_reg reg = { .id = UAPI_GZVM_REG_X(0), .host = (uintptr_t)&value };
	int fd;

	(void)new_vm(conform);
	conform_say("vcpu.id-ffffffff", "%s",
		    conform_fd(conform, conform_ask_value(conform, conform->vm, UAPI_GZVM_CREATE_VCPU, UINT32_MAX)));
	conform_say("vcpu.id-8", "%s",
		    conform_fd(conform, conform_ask_value(conform, conform->vm, UAPI_GZVM_CREATE_VCPU, 8)));
	fd = conform_ask_value(conform, conform->vm, UAPI_GZVM_CREATE_VCPU, 0);
	conform_say("vcpu.id-0", "%s", fd >= 0 ? "fd" : conform_word(fd));
	if (fd < 0)
		return;
	conform_say("vcpu.unknown-ioctl", "%s", number(conform_ask_value(conform, fd, 0x92ee, 0)));
	conform_say("vcpu.irq-line", "%s", number(conform_ask_value(conform, fd, UAPI_GZVM_IRQ_LINE, 0)));
	conform_say("reg.set.x0", "%s", number(conform_ask(conform, fd, UAPI_GZVM_SET_ONE_REG, &reg)));
	conform_say("reg.get.x0", "%s", number(conform_ask(conform, fd, UAPI_GZVM_GET_ONE_REG, &reg)));
	reg.host = 0;
	conform_say("reg.set.bad-value-pointer", "%s", number(conform_ask(conform, fd, UAPI_GZVM_SET_ONE_REG, &reg)));
	conform_say("run.bad-pointer", "%s", number(conform_ask_value(conform, fd, UAPI_GZVM_RUN, 0)));
	(void)sys->close(sys, fd);
}

static int irqfd(struct conform *conform, int fd, uint32_t gsi, uint32_t flags, uint8_t pad)
{
	const struct uapi_gzvm_irqfd line = { .fd = (uint32_t)fd, .gsi = gsi, .flags = flags, .padding = { pad } };

	return conform_ask(conform, conform->vm, UAPI_GZVM_IRQFD, &line);
}

static void test_lines(struct conform *conform)
{
	int fd = conform_eventfd(conform);
	int other = conform_eventfd(conform);

	(void)new_vm(conform);
	conform_say("irqfd.bad-fd", "%s", number(irqfd(conform, -1, 5, 0, 0)));
	conform_say("irqfd.not-eventfd", "%s", number(irqfd(conform, conform->vm, 5, 0, 0)));
	conform_say("irqfd.pad0", "%s", number(irqfd(conform, other, 9, 0, 1)));
	conform_say("irqfd.flags-4", "%s", number(irqfd(conform, fd, 5, 4, 0)));
	conform_say("irqfd.deassign-unknown", "%s", number(irqfd(conform, fd, 5, UAPI_GZVM_IRQFD_DEASSIGN, 0)));
	conform_say("irqfd.assign", "%s", number(irqfd(conform, fd, 5, 0, 0)));
	conform_say("irqfd.same-fd-same-gsi", "%s", number(irqfd(conform, fd, 5, 0, 0)));
	conform_say("irqfd.same-fd-other-gsi", "%s", number(irqfd(conform, fd, 6, 0, 0)));
	conform_say("irqfd.deassign-wrong-gsi", "%s", number(irqfd(conform, fd, 6, UAPI_GZVM_IRQFD_DEASSIGN, 0)));
	conform_say("irqfd.deassign", "%s", number(irqfd(conform, fd, 5, UAPI_GZVM_IRQFD_DEASSIGN, 0)));
	(void)conform->sys->close(conform->sys, fd);
	(void)conform->sys->close(conform->sys, other);
}

static int ioeventfd(struct conform *conform, int fd, uint64_t gpa, uint32_t width, uint32_t flags, uint64_t value)
{
	const struct uapi_gzvm_ioeventfd bell = {
		.datamatch = value, .gpa = gpa, .width = width, .fd = fd, .flags = flags
	};

	return conform_ask(conform, conform->vm, UAPI_GZVM_IOEVENTFD, &bell);
}

/* Kernels leak what is still there when the VM is closed. */
static void remove_doorbells(struct conform *conform, int fd, int other)
{
	const uint32_t off = UAPI_GZVM_IOEVENTFD_DEASSIGN;
	const uint32_t off_value = off | UAPI_GZVM_IOEVENTFD_DATAMATCH;

	(void)ioeventfd(conform, fd, 0x7000, 4, off, 0);
	(void)ioeventfd(conform, other, 0x7000, 4, off, 0);
	(void)ioeventfd(conform, other, 0x7000, 4, off_value, 1);
	(void)ioeventfd(conform, fd, 0x7100, 4, off_value, 1);
	(void)ioeventfd(conform, other, 0x7100, 4, off_value, 2);
	(void)conform->sys->close(conform->sys, fd);
	(void)conform->sys->close(conform->sys, other);
}

static void test_doorbells(struct conform *conform)
{
	static const uint32_t widths[] = { 3, 5, 6, 7, 9 };
	int fd = conform_eventfd(conform);
	int other = conform_eventfd(conform);
	char name[40];

	(void)new_vm(conform);
	for (size_t i = 0; i < COUNT(widths); i++) {
		(void)snprintf(name, sizeof(name), "ioev.len-%u", widths[i]);
		conform_say(name, "%s", number(ioeventfd(conform, fd, 0x7000, widths[i], 0, 0)));
	}
	conform_say("ioev.addr-wraps", "%s", number(ioeventfd(conform, fd, UINT64_MAX, 4, 0, 0)));
	conform_say("ioev.pio", "%s", number(ioeventfd(conform, fd, 0x7000, 4, UAPI_GZVM_IOEVENTFD_PIO, 0)));
	conform_say("ioev.bad-fd", "%s", number(ioeventfd(conform, -1, 0x7000, 4, 0, 0)));
	conform_say("ioev.not-eventfd", "%s", number(ioeventfd(conform, conform->vm, 0x7000, 4, 0, 0)));
	conform_say("ioev.deassign-unknown", "%s",
		    number(ioeventfd(conform, fd, 0x7000, 4, UAPI_GZVM_IOEVENTFD_DEASSIGN, 0)));
	conform_say("ioev.assign", "%s", number(ioeventfd(conform, fd, 0x7000, 4, 0, 0)));
	conform_say("ioev.same-addr-other-fd", "%s", number(ioeventfd(conform, other, 0x7000, 4, 0, 0)));
	conform_say("ioev.same-addr-datamatch", "%s",
		    number(ioeventfd(conform, other, 0x7000, 4, UAPI_GZVM_IOEVENTFD_DATAMATCH, 1)));
	conform_say("ioev.match-1", "%s", number(ioeventfd(conform, fd, 0x7100, 4, UAPI_GZVM_IOEVENTFD_DATAMATCH, 1)));
	conform_say("ioev.match-2", "%s", number(ioeventfd(conform, other, 0x7100, 4, UAPI_GZVM_IOEVENTFD_DATAMATCH, 2)));
	conform_say("ioev.len-0-with-datamatch", "%s",
		    number(ioeventfd(conform, fd, 0x7200, 0, UAPI_GZVM_IOEVENTFD_DATAMATCH, 1)));
	conform_say("ioev.deassign-other-fd", "%s",
		    number(ioeventfd(conform, other, 0x7000, 4, UAPI_GZVM_IOEVENTFD_DEASSIGN, 0)));
	conform_say("ioev.deassign", "%s", number(ioeventfd(conform, fd, 0x7000, 4, UAPI_GZVM_IOEVENTFD_DEASSIGN, 0)));
	conform_say("ioev.deassign-again", "%s",
		    number(ioeventfd(conform, fd, 0x7000, 4, UAPI_GZVM_IOEVENTFD_DEASSIGN, 0)));
	remove_doorbells(conform, fd, other);
}

/* --- with a guest ------------------------------------------------------------------------------------------------- */

struct guest {
	struct conform conform;
	int vcpu;
	struct uapi_gzvm_run run;
	char text[120];
};

static const char *run_in_words(const struct guest *guest, char *text, size_t room)
{
	const struct uapi_gzvm_run *run = &guest->run;
	uint64_t value;

	switch (run->exit_reason) {
	case UAPI_GZVM_EXIT_MMIO:
		if (run->u.mmio.is_write == 0 && run->u.mmio.gpa == CONFORM_IDLE)
			return "idle";
		memcpy(&value, run->u.mmio.data, sizeof(value));
		if (run->u.mmio.width < 8)
			value &= (UINT64_C(1) << 8 * run->u.mmio.width) - 1;
		if (run->u.mmio.is_write != 0)
			(void)snprintf(text, room, "store 0x%llx len %llu value 0x%llx",
				       (unsigned long long)run->u.mmio.gpa, (unsigned long long)run->u.mmio.width,
				       (unsigned long long)value);
		else
			(void)snprintf(text, room, "load 0x%llx len %llu", (unsigned long long)run->u.mmio.gpa,
				       (unsigned long long)run->u.mmio.width);
		return text;
	case UAPI_GZVM_EXIT_SYSTEM_EVENT:
		(void)snprintf(text, room, "SYSTEM_EVENT type=%u", run->u.event.type);
		return text;
	default:
		(void)snprintf(text, room, "exit 0x%x", run->exit_reason);
		return text;
	}
}

static const char *enter(struct guest *guest)
{
	int ret;

	guest->run.exit_reason = 0;
	ret = conform_run(&guest->conform, guest->vcpu, UAPI_GZVM_RUN, &guest->run, CONFORM_PATIENCE);
	return ret < 0 ? conform_word(ret) : run_in_words(guest, guest->text, sizeof(guest->text));
}

static void answer(struct guest *guest, uint64_t value)
{
	memcpy(guest->run.u.mmio.data, &value, sizeof(value));
}

static const char *step(struct guest *guest, const struct conform_step *step)
{
	answer(guest, conform_command(step));
	return enter(guest);
}

static int set_register(struct guest *guest, uint64_t id, uint64_t value)
{
	const struct uapi_gzvm_one_reg reg = { .id = id, .host = (uintptr_t)&value };

	return conform_ask(&guest->conform, guest->vcpu, UAPI_GZVM_SET_ONE_REG, &reg);
}

static int prepare(struct guest *guest)
{
	struct conform *conform = &guest->conform;
	int ret;

	conform_write_guest(conform->ram);
	ret = set_memory(conform, 0, GPA, CONFORM_RAM_SIZE, conform->ram);
	if (ret == 0)
		ret = guest->vcpu = conform_ask_value(conform, conform->vm, UAPI_GZVM_CREATE_VCPU, 0);
	if (ret >= 0)
		ret = set_register(guest, UAPI_GZVM_REG_PSTATE, 0x3c5);
	return ret < 0 ? ret : set_register(guest, UAPI_GZVM_REG_PC, GPA);
}

static void end(struct guest *guest)
{
	if (guest->vcpu >= 0)
		(void)guest->conform.sys->close(guest->conform.sys, guest->vcpu);
	conform_close(&guest->conform);
}

static bool begin(struct guest *guest, const char *device, const char *name, const struct conform_step *steps, size_t n)
{
	char script[1000];
	char line[60];
	const char *first;
	int ret;

	memset(guest, 0, sizeof(*guest));
	guest->conform = (struct conform){ .device = device, .dev = -1, .vm = -1 };
	guest->vcpu = -1;
	if (conform_script(steps, n, script, sizeof(script)) < 0 || !conform_open(&guest->conform, script))
		return false;
	(void)new_vm(&guest->conform);
	ret = prepare(guest);
	(void)snprintf(line, sizeof(line), "%s.first exit", name);
	first = ret < 0 ? conform_word(ret) : enter(guest);
	conform_say(line, "%s", first);
	if (strcmp(first, "idle") == 0)
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
	size_t i;

	if (!begin(&guest, device, "access", steps, COUNT(steps)))
		return;
	for (i = 0; steps[i].op != CONFORM_CALL; i++) {
		bool is_load = steps[i].op == CONFORM_LOAD;

		(void)snprintf(name, sizeof(name), "access.%s %u", is_load ? "load" : "store", steps[i].width);
		conform_say(name, "%s", step(&guest, &steps[i]));
		if (is_load) {
			answer(&guest, UINT64_C(0xf8f7f6f5f4f3f2f1));
			(void)snprintf(name, sizeof(name), "access.load %u result", steps[i].width);
			conform_say(name, "%s", enter(&guest));
		}
		(void)enter(&guest);
	}
	conform_say("access.off", "%s", step(&guest, &steps[i]));
	end(&guest);
}

static void test_immediate_exit(const char *device)
{
	static const struct conform_step steps[] = { { CONFORM_STORE, 0x7000, 4, 1 },
						     { CONFORM_LOAD, 0x7000, 4, 0 },
						     { CONFORM_CALL, CONFORM_OFF, 0, 0 } };
	struct guest guest;

	if (!begin(&guest, device, "imm", steps, COUNT(steps)))
		return;
	conform_say("imm.store", "%s", step(&guest, &steps[0]));
	guest.run.immediate_exit = 1;
	conform_say("imm.run after a store", "%s", enter(&guest));
	guest.run.immediate_exit = 0;
	conform_say("imm.then", "%s", enter(&guest));
	conform_say("h1.load", "%s", step(&guest, &steps[1]));
	answer(&guest, 0x42);
	guest.run.immediate_exit = 1;
	conform_say("h1.load answered, immediate_exit", "%s", enter(&guest));
	guest.run.immediate_exit = 0;
	answer(&guest, 0x42);
	conform_say("h1.what the guest got", "%s", enter(&guest));
	guest.run.padding[0] = 1;
	conform_say("run.padding", "%s", enter(&guest));
	end(&guest);
}

bool conform_geniezone(const char *device)
{
	struct conform conform = { .device = device };
	uint64_t extension = UAPI_GZVM_CAP_GPA_SIZE;

	if (!conform_open(&conform, "off"))
		return false;
	if (conform_ask(&conform, conform.dev, UAPI_GZVM_CHECK_EXTENSION, &extension) < 0 || new_vm(&conform) < 0) {
		conform_close(&conform);
		return false;
	}
	test_extensions(&conform);
	test_pointers(&conform);
	test_memory(&conform);
	test_vcpus(&conform);
	test_lines(&conform);
	test_doorbells(&conform);
	conform_close(&conform);
	test_accesses(device);
	test_immediate_exit(device);
	return true;
}
