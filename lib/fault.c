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
