/* SPDX-License-Identifier: BSD-3-Clause */
/* Taking memory away from a VM, on kernels of which some never give any back. */
#include "internal.h"

#include <errno.h>

#define STEP "unmap memory"

/* Before the start nothing but memory is in the kernel's VM: one without it is as good. */
static int leave_out(struct gh_vm *vm, uint32_t first, uint32_t parts)
{
	struct gh_mapping mapping = vm->mappings[first];
	int ret;

	gh_regions_drop(vm, first, parts);
	ret = gh_vm_renew(vm, STEP);
	gh_mapping_free(vm, &mapping);
	return ret;
}

static int refuse(struct gh_vm *vm, uint32_t id)
{
	return gh_fail(&vm->failure, -EOPNOTSUPP, STEP, NULL,
		       "Unmap it before gh_vm_start(), or after gh_vm_reset(); or let the guest not use it.",
		       "This hypervisor's kernel never takes memory back from a VM that has been started: region %u stays.",
		       id);
}

/* One after the other: those that the kernel has given back are gone, whatever it says of the next. */
static int take_back(struct gh_vm *vm, uint32_t first, uint32_t parts)
{
	struct gh_mapping mapping = vm->mappings[first];
	int ret;

	for (uint32_t i = parts; i-- > 0;) {
		vm->failure.error = 0;
		ret = vm->b.ops->vm_unmap != NULL ? vm->b.ops->vm_unmap(&vm->b, vm->regions[first + i]) : -EOPNOTSUPP;
		if (ret < 0)
			return ret;
		gh_regions_drop(vm, first + i, 1);
	}
	gh_mapping_free(vm, &mapping);
	return 0;
}

/* Under the lock. */
static int unmap(struct gh_vm *vm, uint32_t id)
{
	enum gh_vm_state state = atomic_load(&vm->state);
	uint32_t parts = 0;
	uint32_t first;
	int ret;

	if (state == GH_VM_BROKEN)
		return gh_fail_state(&vm->failure, STEP, "The VM's start or reset has failed.");
	first = gh_region_index(vm, id, &parts);
	if (parts == 0)
		return gh_fail(&vm->failure, -ENOENT, STEP, NULL, "Use the id that gh_vm_map() gave.",
			       "There is no region %u.", id);
	ret = take_back(vm, first, parts);
	if (ret == 0 || (ret != -EOPNOTSUPP && vm->failure.error != 0))
		return ret;
	if (ret != -EOPNOTSUPP)
		return gh_fail_request(&vm->failure, ret, STEP, "unmap");
	if (state != GH_VM_OPEN)
		return refuse(vm, id);
	first = gh_region_index(vm, id, &parts);
	return leave_out(vm, first, parts);
}

int gh_vm_unmap(struct gh_vm *vm, uint32_t id)
{
	int ret;

	if (vm == NULL)
		return -EINVAL;
	if (gh_vm_is_forked(vm))
		return gh_fail_forked(vm);
	(void)pthread_mutex_lock(&vm->lock);
	ret = unmap(vm, id);
	(void)pthread_mutex_unlock(&vm->lock);
	return ret;
}
