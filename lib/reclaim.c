/* SPDX-License-Identifier: BSD-3-Clause */
/* Pages that the guest gives back while it runs. */
#include "internal.h"

#include <errno.h>
#include <sys/mman.h>

#define STEP "take memory back"

/* The guest's next touch brings new pages, so what is in these is of no use to anybody. */
static void free_pages(struct gh_vm *vm, const struct gh_region *region, uint64_t gpa, uint64_t length)
{
	struct gh_sys *sys = vm->b.sys;
	uint8_t *host = region->host + (gpa - region->gpa);

	if (!region->anonymous)
		return;
	if (sys->madvise(sys, host, (size_t)length, MADV_REMOVE) < 0)
		gh_vm_log(vm, "%s: the guest has given pages back, and the kernel does not free them.", STEP);
}

/* Under the lock. */
static int reclaim(struct gh_vm *vm, uint64_t gpa, uint64_t length)
{
	const struct gh_region *region;
	int ret;

	if (length == 0 || gpa % vm->b.page_size != 0 || length % vm->b.page_size != 0)
		return gh_fail_argument(&vm->failure, -EINVAL, STEP,
					"Address and length must be multiples of the page size, and the length not 0.");
	if (atomic_load(&vm->state) != GH_VM_STARTED)
		return gh_fail_state(&vm->failure, STEP, "The VM has not been started.");
	if (vm->b.ops->vm_reclaim == NULL || !gh_can(&vm->b, GH_FEATURE_RECLAIM))
		return gh_fail(&vm->failure, -EOPNOTSUPP, STEP, NULL, "Do without a balloon.",
			       "This hypervisor's kernel takes nothing back from a guest that runs.");
	region = gh_region_find(&vm->b, gpa, length);
	if (region == NULL)
		return gh_fail_argument(&vm->failure, -EFAULT, STEP,
					"The guest has no memory there, or not in one region.");
	vm->failure.error = 0;
	ret = vm->b.ops->vm_reclaim(&vm->b, gpa, length);
	if (ret < 0)
		return vm->failure.error != 0 ? ret : gh_fail_request(&vm->failure, ret, STEP, "");
	free_pages(vm, region, gpa, length);
	return 0;
}

int gh_vm_reclaim(struct gh_vm *vm, uint64_t gpa, uint64_t length)
{
	int ret;

	if (vm == NULL)
		return -EINVAL;
	if (gh_vm_is_forked(vm))
		return gh_fail_forked(vm);
	(void)pthread_mutex_lock(&vm->lock);
	ret = reclaim(vm, gpa, length);
	(void)pthread_mutex_unlock(&vm->lock);
	return ret;
}
