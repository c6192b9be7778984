/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls that need no guest: every one has its error, and changes nothing. */
#include "hw.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void test_map(struct hw *hw, struct gh_vm *vm)
{
	static const struct {
		const char *name;
		uint64_t gpa;
		uint64_t length;
		uint32_t flags;
		int error;
	} cases[] = {
		{ "map.length 0", HW_BASE, 0, GH_MEMORY_RWX, -EINVAL },
		{ "map.length 1", HW_BASE, 1, GH_MEMORY_RWX, -EINVAL },
		{ "map.address + 1", HW_BASE + 1, 4096, GH_MEMORY_RWX, -EINVAL },
		{ "map.unknown flag", HW_BASE, 4096, GH_MEMORY_RWX | 1u << 20, -EINVAL },
		{ "map.without read", HW_BASE, 4096, GH_MEMORY_WRITE, -EINVAL },
		{ "map.wraps", UINT64_MAX & ~UINT64_C(0x1fffff), UINT64_C(4) << 20, GH_MEMORY_RWX, -ERANGE },
		{ "map.main", HW_BASE, HW_SIZE, GH_MEMORY_RWX, 0 },
		{ "map.the same again", HW_BASE, HW_SIZE, GH_MEMORY_RWX, -EEXIST },
		{ "map.overlaps the end", HW_BASE + (UINT64_C(2) << 20), HW_SIZE, GH_MEMORY_RWX, -EEXIST },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct gh_memory memory = GH_MEMORY_INIT;
		uint32_t id = 77;
		int ret;

		memory.gpa = cases[i].gpa;
		memory.length = cases[i].length;
		memory.flags = cases[i].flags | (hw->lend && (cases[i].flags >> 20) == 0 ? (uint32_t)GH_MEMORY_LEND : 0);
		ret = gh_vm_map(vm, &memory, &id);
		hw_error(hw, cases[i].name, cases[i].error, ret);
		if (ret < 0 && id != 77)
			hw_result(hw, cases[i].name, "untouched", "the id was changed");
	}
}

static void test_vcpus(struct hw *hw, struct gh_vm *vm)
{
	struct gh_vcpu *vcpu = NULL;
	const struct gh_exit *exit = NULL;

	hw_error(hw, "vcpu.id 2^32 - 1", -ERANGE, gh_vcpu_create(vm, UINT32_MAX, &vcpu));
	hw_error(hw, "start.without vCPUs", -EINVAL, gh_vm_start(vm));
	hw_error(hw, "vcpu.id 0", 0, gh_vcpu_create(vm, 0, &vcpu));
	if (vcpu == NULL)
		return;
	hw_error(hw, "vcpu.id 0 again", -EEXIST, gh_vcpu_create(vm, 0, &vcpu));
	hw_error(hw, "vcpu.run before start", -EBUSY, gh_vcpu_run(vcpu, &exit));
	hw_error(hw, "vcpu.complete without a load", -EBUSY, gh_mmio_complete(vcpu, 1));
	if ((hw->features & GH_FEATURE_NEEDS_DTB) != 0)
		hw_error(hw, "start.without a devicetree", -EINVAL, gh_vm_start(vm));
	hw_error(hw, "dtb.address + 1", -EINVAL, gh_vm_set_dtb(vm, HW_TREE + 1, 4096));
	hw_error(hw, "dtb.wraps", -ERANGE, gh_vm_set_dtb(vm, UINT64_MAX - 7, 4096));
	hw_error(hw, "dtb.outside memory", 0, gh_vm_set_dtb(vm, HW_BASE + HW_SIZE, 4096));
	hw_error(hw, "start.devicetree outside memory", -EINVAL, gh_vm_start(vm));
	hw_error(hw, "dtb.taken back", 0, gh_vm_set_dtb(vm, 0, 0));
	if ((hw->features & GH_FEATURE_NEEDS_DTB) != 0) {
		hw_error(hw, "dtb.garbage", 0, gh_vm_set_dtb(vm, HW_TREE, 4096));
		hw_error(hw, "start.garbage for a devicetree", -EINVAL, gh_vm_start(vm));
	}
}

static void test_lines(struct hw *hw, struct gh_vm *vm)
{
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	struct gh_irqfd *irqfd = NULL;
	struct gh_irqfd *other = NULL;
	int pipe_fds[2];

	options.line = HW_LINE;
	options.fd = 9999;
	hw_error(hw, "irqfd.closed descriptor", -EBADF, gh_irqfd_add(vm, &options, &irqfd));
	if (pipe(pipe_fds) == 0) {
		options.fd = pipe_fds[0];
		hw_error(hw, "irqfd.not an eventfd", -EINVAL, gh_irqfd_add(vm, &options, &irqfd));
		(void)close(pipe_fds[0]);
		(void)close(pipe_fds[1]);
	}
	options.fd = -1;
	options.flags = 1u << 20;
	hw_error(hw, "irqfd.unknown flag", -EINVAL, gh_irqfd_add(vm, &options, &irqfd));
	options.flags = 0;
	options.line = UINT32_MAX;
	hw_error(hw, "irqfd.line 2^32 - 1", -ERANGE, gh_irqfd_add(vm, &options, &irqfd));
	options.line = HW_LINE;
	hw_error(hw, "irqfd.add", 0, gh_irqfd_add(vm, &options, &irqfd));
	hw_error(hw, "irqfd.the line again", -EEXIST, gh_irqfd_add(vm, &options, &other));
	gh_irqfd_remove(irqfd);
	hw_error(hw, "irqfd.again after its removal", 0, gh_irqfd_add(vm, &options, &irqfd));
	gh_irqfd_remove(irqfd);
}

static void test_doorbells(struct hw *hw, struct gh_vm *vm)
{
	struct gh_ioevent_options options = GH_IOEVENT_OPTIONS_INIT;
	struct gh_ioevent *ioevent = NULL;
	struct gh_ioevent *other = NULL;

	options.gpa = 0x7200;
	options.width = 3;
	hw_error(hw, "ioevent.width 3", -EINVAL, gh_ioevent_add(vm, &options, &ioevent));
	options.width = 1;
	options.flags = GH_IOEVENT_DATAMATCH;
	options.value = 0x100;
	hw_error(hw, "ioevent.value wider than its width", -EINVAL, gh_ioevent_add(vm, &options, &ioevent));
	options.width = 4;
	options.gpa = UINT64_MAX - 1;
	hw_error(hw, "ioevent.wraps", -ERANGE, gh_ioevent_add(vm, &options, &ioevent));
	options.gpa = 0x7200;
	hw_error(hw, "ioevent.add", 0, gh_ioevent_add(vm, &options, &ioevent));
	hw_error(hw, "ioevent.the same again", -EEXIST, gh_ioevent_add(vm, &options, &other));
	gh_ioevent_remove(ioevent);
}

static void test_options(struct hw *hw)
{
	struct {
		struct gh_vm_options options;
		uint64_t future;
	} later = { .options = GH_VM_OPTIONS_INIT, .future = 1 };
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_vm *vm = NULL;

	later.options.size = sizeof(later);
	later.options.device = hw->device;
	hw_error(hw, "open.option from the future", -EINVAL, gh_vm_open(&later.options, &vm));
	later.future = 0;
	hw_error(hw, "open.larger options, rest zero", 0, gh_vm_open(&later.options, &vm));
	gh_vm_close(vm);
	vm = NULL;
	options.backend = "no such backend";
	hw_error(hw, "open.unknown backend", -EINVAL, gh_vm_open(&options, &vm));
	options.backend = "gunyah";
	options.device = "/dev/null";
	hw_error(hw, "open.foreign device", -ENODEV, gh_vm_open(&options, &vm));
	options.device = "/nonexistent/gunyah";
	hw_error(hw, "open.missing device", -ENOENT, gh_vm_open(&options, &vm));
}

void hw_test_arguments(struct hw *hw)
{
	struct gh_vm *vm;
	struct gh_vm *second = NULL;

	test_options(hw);
	if (hw_open(hw, &vm, NULL) < 0)
		return;
	hw_error(hw, "open.second VM", 0, hw_open(hw, &second, NULL));
	gh_vm_close(second);
	hw_error(hw, "start.without memory", -EINVAL, gh_vm_start(vm));
	test_map(hw, vm);
	test_vcpus(hw, vm);
	test_lines(hw, vm);
	test_doorbells(hw, vm);
	gh_vm_close(vm);
}
