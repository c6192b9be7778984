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
		{ "mem.ok", 0, CONFORM_GPA, CONFORM_RAM_SIZE, 0, false },
		{ "mem.slot-9", 9, CONFORM_GPA, CONFORM_RAM_SIZE, 0, false },
		{ "mem.slot-10", 10, CONFORM_GPA, CONFORM_RAM_SIZE, 0, false },
		{ "mem.slot-ffffffff", UINT32_MAX, CONFORM_GPA, CONFORM_RAM_SIZE, 0, false },
		{ "mem.size-0", 0, CONFORM_GPA, 0, 0, false },
		{ "mem.null-address", 0, CONFORM_GPA, CONFORM_RAM_SIZE, 0, true },
		{ "mem.larger-than-vma", 0, CONFORM_GPA, CONFORM_RAM_SIZE + CONFORM_PAGE, 0, false },
		{ "mem.size-not-page-multiple", 0, CONFORM_GPA, CONFORM_RAM_SIZE - 1, 0, false },
		{ "mem.address-unaligned-size-of-vma", 0, CONFORM_GPA, CONFORM_RAM_SIZE, 1, false },
		{ "mem.gpa-unaligned", 0, CONFORM_GPA + 1, CONFORM_RAM_SIZE, 0, false },
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
	struct conform_guest common; /* first */
	struct uapi_gzvm_run run;
};

static const char *run_for(struct conform_guest *common, unsigned int seconds)
{
	struct uapi_gzvm_run *run = &((struct guest *)(void *)common)->run;
	int ret;

	run->exit_reason = 0;
	ret = conform_run(&common->conform, common->vcpu, UAPI_GZVM_RUN, run, seconds);
	if (ret < 0)
		return conform_word(ret);
	if (run->exit_reason == UAPI_GZVM_EXIT_MMIO)
		return conform_access(common, run->u.mmio.gpa, run->u.mmio.width, run->u.mmio.is_write != 0);
	if (run->exit_reason == UAPI_GZVM_EXIT_SYSTEM_EVENT)
		(void)snprintf(common->text, sizeof(common->text), "SYSTEM_EVENT type=%u", run->u.event.type);
	else
		(void)snprintf(common->text, sizeof(common->text), "exit 0x%x", run->exit_reason);
	return common->text;
}

static int set_register(struct conform_guest *guest, uint64_t id, uint64_t value)
{
	const struct uapi_gzvm_one_reg reg = { .id = id, .host = (uintptr_t)&value };

	return conform_ask(&guest->conform, guest->vcpu, UAPI_GZVM_SET_ONE_REG, &reg);
}

static const char *prepare(struct conform_guest *common, const char *name)
{
	struct guest *guest = (struct guest *)(void *)common;
	struct conform *conform = &common->conform;
	int ret;

	(void)name;
	common->data = guest->run.u.mmio.data;
	common->immediate_exit = &guest->run.immediate_exit;
	(void)new_vm(conform);
	conform_write_guest(conform->ram);
	ret = set_memory(conform, 0, CONFORM_GPA, CONFORM_RAM_SIZE, conform->ram);
	if (ret == 0)
		ret = common->vcpu = conform_ask_value(conform, conform->vm, UAPI_GZVM_CREATE_VCPU, 0);
	if (ret >= 0)
		ret = set_register(common, UAPI_GZVM_REG_PSTATE, 0x3c5);
	if (ret >= 0)
		ret = set_register(common, UAPI_GZVM_REG_PC, CONFORM_GPA);
	return ret < 0 ? conform_word(ret) : NULL;
}

static bool begin(struct guest *guest, const char *device, const char *name, const struct conform_step *steps, size_t n)
{
	memset(guest, 0, sizeof(*guest));
	guest->common.prepare = prepare;
	guest->common.run_for = run_for;
	return conform_begin(&guest->common, device, name, steps, n);
}

static void test_accesses(const char *device)
{
	struct guest guest;

	if (!begin(&guest, device, "access", conform_accesses, conform_n_accesses))
		return;
	conform_test_accesses(&guest.common);
	conform_say("access.off", "%s", conform_take(&guest.common, &conform_accesses[conform_n_accesses - 1]));
	conform_end(&guest.common);
}

static void test_immediate_exit(const char *device)
{
	struct guest guest;

	if (!begin(&guest, device, "imm", conform_immediate, conform_n_immediate))
		return;
	conform_test_immediate(&guest.common);
	conform_answer(&guest.common, 0x42);
	conform_say("h1.what the guest got", "%s", conform_go_on(&guest.common));
	guest.run.padding[0] = 1;
	conform_say("run.padding", "%s", conform_go_on(&guest.common));
	conform_end(&guest.common);
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
