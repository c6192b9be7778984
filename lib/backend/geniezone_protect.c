/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Protected VMs of GenieZone and Halla: with the hypervisor's firmware, or without any. Nothing of this can be tried on a
 * simulated device beyond the requests; which VMs a phone's hypervisor protects is its own decision.
 */
#include "geniezone.h"

#include <errno.h>

#include <gh/vm.h>

#define STEP "protect the VM"

uint32_t gh_gz_purpose(const struct gh_bvm *vm, const struct gh_region *region)
{
	if (region->swiotlb)
		return UAPI_GZVM_REGION_STATIC_SWIOTLB;
	if (vm->firmware_size != 0 && vm->firmware_gpa == region->gpa)
		return UAPI_GZVM_REGION_PROTECT_FW;
	return UAPI_GZVM_REGION_GUEST_MEM;
}

int gh_gz_vm_check(struct gh_bvm *vm)
{
	const struct gh_region *region;

	if (vm->firmware_size == 0)
		return 0;
	region = gh_region_find(vm, vm->firmware_gpa, vm->firmware_size);
	if (region != NULL && region->gpa == vm->firmware_gpa)
		return 0;
	return gh_fail_as(vm->failure, GH_CAUSE_FIRMWARE, -EINVAL, "check the firmware", NULL,
			  "Map a region of its own there (gh_vm_map()).",
			  "No region of memory begins at the firmware's address 0x%llx and holds 0x%llx bytes.",
			  (unsigned long long)vm->firmware_gpa, (unsigned long long)vm->firmware_size);
}

static int enable(struct gh_bvm *vm, uint64_t sub, uint64_t value, struct uapi_gzvm_enable_cap *ret_cap)
{
	const struct gh_gz_abi *abi = gh_gz_abi(vm);
	int ret;

	*ret_cap = (struct uapi_gzvm_enable_cap){ .cap = abi->protected_vm, .args = { sub, value } };
	ret = gh_sys_ioctl0(vm->sys, vm->fd, abi->requests[GH_GZ_ENABLE_CAP], (uintptr_t)ret_cap);
	if (ret == 0)
		return 0;
	return gh_fail_as(vm->failure, GH_CAUSE_FIRMWARE, ret, STEP, abi->enable_cap,
			  "Start the VM without protection, or use a device whose hypervisor protects VMs.",
			  "The hypervisor refuses (sub-command %llu of the capability for protected VMs).",
			  (unsigned long long)sub);
}

/* It is the hypervisor's own, which loads it there. */
static int set_firmware(struct gh_bvm *vm)
{
	struct uapi_gzvm_enable_cap cap;
	int ret = enable(vm, UAPI_GZVM_PVM_GET_FW_SIZE, 0, &cap);

	if (ret < 0)
		return ret;
	if (cap.args[1] == 0)
		return gh_fail_as(vm->failure, GH_CAUSE_FIRMWARE, -ENOENT, STEP, NULL,
				  "Protect the VM without firmware (gh_vm_set_protected()).",
				  "The hypervisor has no firmware for protected VMs.");
	if (cap.args[1] > vm->firmware_size)
		return gh_fail_as(vm->failure, GH_CAUSE_FIRMWARE, -ENOSPC, STEP, NULL, "Give it more room.",
				  "The hypervisor's firmware has 0x%llx bytes, and 0x%llx are set aside for it.",
				  (unsigned long long)cap.args[1], (unsigned long long)vm->firmware_size);
	return enable(vm, UAPI_GZVM_PVM_SET_FW_GPA, vm->firmware_gpa, &cap);
}

int gh_gz_protect(struct gh_bvm *vm)
{
	struct uapi_gzvm_enable_cap cap;

	if (vm->firmware_size != 0)
		return set_firmware(vm);
	return vm->is_protected ? enable(vm, UAPI_GZVM_PVM_SET_PROTECTED, 0, &cap) : 0;
}
