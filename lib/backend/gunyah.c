/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Gunyah, in each of its dialects: the VM, what is checked before its start, and the start. A VM is a descriptor; vCPUs, lines
 * and doorbells are "functions" that are added to it. gunyah.h says which file has what.
 */
#include "gunyah.h"

#include "../diagnosis.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <gh/memory.h>
#include <gh/vm.h>

static int gunyah_vm_create(struct gh_bvm *vm)
{
	struct gh_gunyah_tree *tree = calloc(1, sizeof(*tree));
	int fd;

	if (tree == NULL)
		return -ENOMEM;
	fd = vm->sys->ioctl(vm->sys, vm->dev, UAPI_GUNYAH_CREATE_VM, 0);
	if (fd < 0) {
		free(tree);
		return gh_diagnose(vm->failure, vm, GH_REQUEST_CREATE_VM, fd, NULL);
	}
	vm->fd = fd;
	vm->priv = tree;
	return 0;
}

static void gunyah_vm_destroy(struct gh_bvm *vm)
{
	gh_gunyah_tree_free(vm->priv);
	free(vm->priv);
	(void)vm->sys->close(vm->sys, vm->fd);
}

/* --- checks ------------------------------------------------------------------------------------------------------- */

/* Where nobody can set registers, the guest begins where the region with the devicetree does, with its address in x0. */
static int check_registers(const struct gh_bvm *vm)
{
	const struct gh_region *region = gh_region_find(vm, vm->dtb_gpa, vm->dtb_size);
	const uint64_t known = UINT64_C(1) << GH_REG_PC | UINT64_C(1) << GH_REG_X0;

	if (gh_can(vm, GH_FEATURE_REGISTERS))
		return 0;
	if ((vm->registers_set & ~known) != 0)
		return gh_fail_cause(vm->failure, -EOPNOTSUPP, GH_CAUSE_REGISTER, "check the boot registers", NULL,
				     "This Gunyah sets PC and x0 of the boot vCPU, and lets nobody set others.");
	if ((vm->registers_set >> GH_REG_PC & 1) != 0 && vm->registers[GH_REG_PC] != region->gpa)
		return gh_fail_as(
			vm->failure, GH_CAUSE_REGISTER, -EOPNOTSUPP, "check the boot registers", NULL,
			"Place the guest's first instruction there.",
			"This Gunyah begins at 0x%llx, the start of the region with the devicetree, not at 0x%llx.",
			(unsigned long long)region->gpa, (unsigned long long)vm->registers[GH_REG_PC]);
	if ((vm->registers_set >> GH_REG_X0 & 1) != 0 && vm->registers[GH_REG_X0] != vm->dtb_gpa)
		return gh_fail_as(vm->failure, GH_CAUSE_REGISTER, -EOPNOTSUPP, "check the boot registers", NULL,
				  "Use the devicetree's address.",
				  "This Gunyah gives the guest the devicetree's address, 0x%llx, in x0.",
				  (unsigned long long)vm->dtb_gpa);
	return 0;
}

/*
 * Kernels that page in on demand hand the pages of the devicetree over by themselves, and want a whole one. More is harmless
 * where less would do.
 */
static uint64_t tree_room(const struct gh_bvm *vm)
{
	return vm->dtb_size < vm->page_size ? vm->page_size : vm->dtb_size;
}

static int check_room(const struct gh_bvm *vm)
{
	if (!gh_can(vm, GH_FEATURE_DEMAND_PAGING) || gh_region_find(vm, vm->dtb_gpa, tree_room(vm)) != NULL)
		return 0;
	return gh_fail_as(vm->failure, GH_CAUSE_TREE_PLACE, -EINVAL, "check the devicetree", NULL,
			  "Place the devicetree lower in its region.",
			  "This Gunyah needs a page for the devicetree, and the region ends before.");
}

/* Firmware is memory like any other for the kernel, and must be there as a whole. */
static int check_firmware(const struct gh_bvm *vm)
{
	if (vm->firmware_size == 0)
		return 0;
	if (gh_region_find(vm, vm->firmware_gpa, vm->firmware_size) == NULL)
		return gh_fail_as(vm->failure, GH_CAUSE_FIRMWARE, -EINVAL, "check the firmware", NULL,
				  "Map memory there (gh_vm_map()).",
				  "The firmware at 0x%llx is not inside one region of memory.",
				  (unsigned long long)vm->firmware_gpa);
	return 0;
}

static int gunyah_vm_check(struct gh_bvm *vm)
{
	int ret = check_registers(vm);

	if (ret == 0)
		ret = check_room(vm);
	if (ret == 0)
		ret = check_firmware(vm);
	if (ret < 0)
		return ret;
	gh_gunyah_tree_free(vm->priv); /* of an earlier check */
	return gh_gunyah_tree_read(vm, vm->priv);
}

/* --- start -------------------------------------------------------------------------------------------------------- */

/* SP is that of EL1, where guests begin. */
static uint32_t boot_register(uint32_t reg)
{
	if (reg == GH_REG_PC)
		return UAPI_GUNYAH_BOOT_REG(UAPI_GUNYAH_BOOT_PC, 0u);
	return reg == GH_REG_SP ? UAPI_GUNYAH_BOOT_REG(UAPI_GUNYAH_BOOT_SP, 1u)
				: UAPI_GUNYAH_BOOT_REG(UAPI_GUNYAH_BOOT_X, reg - GH_REG_X0);
}

static int set_register(struct gh_bvm *vm, uint32_t reg, uint64_t value)
{
	const struct uapi_gunyah_boot_context arg = { .reg = boot_register(reg), .value = value };
	int ret = gh_sys_ioctl0(vm->sys, vm->fd, UAPI_GUNYAH_SET_BOOT_CONTEXT, (uintptr_t)&arg);

	return ret < 0 ? gh_diagnose(vm->failure, vm, GH_REQUEST_SET_REGISTER, ret, NULL) : 0;
}

/* Without the request gunyah_vm_check() has found the hypervisor's own choice in what is asked for. */
static int gunyah_vcpu_set_register(struct gh_bvcpu *vcpu, uint32_t reg, uint64_t value)
{
	return gh_can(vcpu->vm, GH_FEATURE_REGISTERS) ? set_register(vcpu->vm, reg, value) : 0;
}

/* The rule of kernels that set no registers, said to one that does. Firmware begins where it likes. */
static int set_default_entry(struct gh_bvm *vm)
{
	if (!gh_can(vm, GH_FEATURE_REGISTERS) || (vm->registers_set >> GH_REG_PC & 1) != 0 || vm->firmware_size != 0)
		return 0;
	return set_register(vm, GH_REG_PC, gh_region_find(vm, vm->dtb_gpa, vm->dtb_size)->gpa);
}

static int set_authentication(struct gh_bvm *vm)
{
	const struct gh_authentication *wanted = &vm->authentication;
	const struct uapi_gunyah_auth_trusted_vm trusted = {
		.vm_id = (uint16_t)wanted->vm_id,
		.peripheral_id = wanted->peripheral_id,
		.gpa = wanted->gpa,
		.size = wanted->length,
	};
	const struct uapi_gunyah_auth arg = { .type = UAPI_GUNYAH_AUTH_TRUSTED_VM,
					      .arg_size = sizeof(trusted),
					      .arg = (uintptr_t)&trusted };
	int ret;

	if (wanted->type == GH_AUTHENTICATION_NONE)
		return 0;
	ret = gh_sys_ioctl0(vm->sys, vm->fd, UAPI_GUNYAH_SET_AUTH, (uintptr_t)&arg);
	return ret < 0 ? gh_diagnose(vm->failure, vm, GH_REQUEST_SET_AUTHENTICATION, ret, NULL) : 0;
}

static int set_firmware(struct gh_bvm *vm)
{
	const struct uapi_gunyah_range arg = { .gpa = vm->firmware_gpa, .size = vm->firmware_size };
	int ret;

	if (vm->firmware_size == 0)
		return 0;
	ret = gh_sys_ioctl0(vm->sys, vm->fd, UAPI_GUNYAH_SET_FW, (uintptr_t)&arg);
	return ret < 0 ? gh_diagnose(vm->failure, vm, GH_REQUEST_SET_FIRMWARE, ret, NULL) : 0;
}

static int set_tree(struct gh_bvm *vm)
{
	const uint64_t size = gh_can(vm, GH_FEATURE_DEMAND_PAGING) ? tree_room(vm) : vm->dtb_size;
	const struct uapi_gunyah_range arg = { .gpa = vm->dtb_gpa, .size = size };
	int ret = gh_sys_ioctl0(vm->sys, vm->fd, UAPI_GUNYAH_SET_DTB, (uintptr_t)&arg);

	return ret < 0 ? gh_diagnose(vm->failure, vm, GH_REQUEST_SET_DTB, ret, NULL) : 0;
}

/* The devicetree, and what else START looks at. */
static int gunyah_vm_set_dtb(struct gh_bvm *vm)
{
	int ret = set_authentication(vm);

	if (ret == 0)
		ret = set_tree(vm);
	if (ret == 0)
		ret = set_firmware(vm);
	return ret < 0 ? ret : set_default_entry(vm);
}

static int gunyah_vm_start(struct gh_bvm *vm)
{
	struct gh_gunyah_tree *tree = vm->priv;
	int ret;

	tree->is_with_guest = true;
	ret = gh_sys_ioctl0(vm->sys, vm->fd, UAPI_GUNYAH_START, 0);

	return ret < 0 ? gh_diagnose(vm->failure, vm, GH_REQUEST_START, ret, NULL) : 0;
}

const struct gh_backend gh_backend_gunyah = {
	.name = "gunyah",
	.device = UAPI_GUNYAH_DEVICE,
	.diagnoses = &gh_gunyah_diagnoses,
	.possible = GH_FEATURE_SHARE | GH_FEATURE_LEND | GH_FEATURE_REGISTERS | GH_FEATURE_IRQFD | GH_FEATURE_IRQFD_LEVEL |
		    GH_FEATURE_IOEVENTFD | GH_FEATURE_DATAMATCH | GH_FEATURE_MMIO_ABORT | GH_FEATURE_PAGE_FAULT |
		    GH_FEATURE_LATE_VCPUS | GH_FEATURE_NEEDS_DTB | GH_FEATURE_READ_ONLY_MEMORY | GH_FEATURE_PROTECTED_VM |
		    GH_FEATURE_FIRMWARE | GH_FEATURE_RECLAIM | GH_FEATURE_GUEST_MEMORY | GH_FEATURE_UNMAP |
		    GH_FEATURE_DEMAND_PAGING | GH_FEATURE_LATE_MEMORY | GH_FEATURE_CONTIGUOUS_MEMORY |
		    GH_FEATURE_AUTHENTICATION | GH_FEATURE_CHECK_EXTENSION | GH_FEATURE_TIMER_WAKEUP,
	.certain = GH_FEATURE_NEEDS_DTB,
	.probe = gh_gunyah_probe,
	.vm_create = gunyah_vm_create,
	.vm_destroy = gunyah_vm_destroy,
	.vm_file = gh_gunyah_vm_file,
	.vm_map = gh_gunyah_vm_map,
	.vm_unmap = gh_gunyah_vm_unmap,
	.vm_reclaim = gh_gunyah_vm_reclaim,
	.vm_check = gunyah_vm_check,
	.vm_set_dtb = gunyah_vm_set_dtb,
	.vm_start = gunyah_vm_start,
	.vcpu_create = gh_gunyah_vcpu_create,
	.vcpu_destroy = gh_gunyah_vcpu_destroy,
	.vcpu_set_register = gunyah_vcpu_set_register,
	.vcpu_run = gh_gunyah_vcpu_run,
	.vcpu_abort = gh_gunyah_vcpu_abort,
	.irqfd_check = gh_gunyah_irqfd_check,
	.irqfd = gh_gunyah_irqfd,
	.ioevent = gh_gunyah_ioevent,
	.fdt = gh_gunyah_fdt,
	.needs = &gh_gunyah_needs,
};
