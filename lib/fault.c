/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Page faults that nobody else serves. All that a VMM can do about one is to run again, which tries the guest's access once
 * more (section 3.5 of the Gunyah UAPI document): worth it when memory is short for a moment, and endless otherwise.
 */
#include "internal.h"

#include <errno.h>

#define NAP_NS 5000000L
#define TRIES 200u

static bool can_pass(int32_t error)
{
	return error == -ENOMEM || error == -EAGAIN || error == -EBUSY || error == -EINTR;
}

int gh_fault_retry(struct gh_vcpu *vcpu, const struct gh_exit *exit)
{
	const struct gh_exit_fault *fault = &exit->fault;
	const struct timespec nap = { .tv_sec = 0, .tv_nsec = NAP_NS };
	struct gh_sys *sys = vcpu->b.vm->sys;

	if (vcpu->fault_gpa != fault->gpa)
		vcpu->fault_tries = 0;
	vcpu->fault_gpa = fault->gpa;
	if (!can_pass(fault->error) || ++vcpu->fault_tries > TRIES) {
		vcpu->fault_tries = 0;
		return gh_fail_fault(vcpu, fault->error == -ENOMEM ? -ENOMEM : -EFAULT, exit);
	}
	(void)sys->ppoll(sys, NULL, 0, &nap);
	return 0;
}

/*
 * Kernels report a page fault for lent memory only: an access to a page of shared memory that is not to be had comes as one to
 * a device. There is none, and a guest whose memory reads as nothing fails much later.
 */
int gh_fault_check_access(struct gh_vcpu *vcpu, const struct gh_exit_mmio *mmio)
{
	const uint32_t needed = mmio->is_store != 0 ? GH_MEMORY_WRITE : GH_MEMORY_READ;
	struct gh_vm *vm = vcpu->vm;
	const struct gh_region *region;
	bool is_memory;

	if (!gh_can(&vm->b, GH_FEATURE_DEMAND_PAGING))
		return 0;
	(void)pthread_mutex_lock(&vm->lock);
	region = gh_region_find(&vm->b, mmio->gpa, mmio->width);
	is_memory = region != NULL && (region->prot & needed) != 0;
	(void)pthread_mutex_unlock(&vm->lock);
	if (!is_memory)
		return 0;
	return gh_fail_as(
		&vcpu->failure, GH_CAUSE_LOCK_LIMIT, -EFAULT, "run the VM", "RUN",
		"Raise the limit of locked memory (RLIMIT_MEMLOCK), use less memory, or lend it.",
		"The kernel has no page for the guest's memory at 0x%llx, and reports the access as one to a device.",
		(unsigned long long)mmio->gpa);
}
