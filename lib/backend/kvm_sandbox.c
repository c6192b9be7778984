/* SPDX-License-Identifier: BSD-3-Clause */
/* KVM: requests of a VM that has been started. */
#include "kvm.h"

#include "../sandbox.h"

static const struct gh_need rows[] = {
	{ GH_NEED_IOCTL(UAPI_KVM_RUN, "KVM_RUN", "run a vCPU"), .phases = GH_PHASE_RUN },
	{ GH_NEED_IOCTL(UAPI_KVM_SET_VCPU_EVENTS, "KVM_SET_VCPU_EVENTS", "abort an access of the guest"),
	  .phases = GH_PHASE_RUN, .features = GH_FEATURE_MMIO_ABORT },
	{ GH_NEED_IOCTL(UAPI_KVM_IRQ_LINE, "KVM_IRQ_LINE", "set a line"),
	  .phases = GH_PHASE_RUN | GH_PHASE_CHANGE | GH_PHASE_END, .features = GH_FEATURE_IRQ_LINE },
	{ GH_NEED_IOCTL(UAPI_KVM_IRQFD, "KVM_IRQFD", "add and remove an irqfd"), .phases = GH_PHASE_CHANGE | GH_PHASE_END,
	  .features = GH_FEATURE_IRQFD },
	{ GH_NEED_IOCTL(UAPI_KVM_IOEVENTFD, "KVM_IOEVENTFD", "add and remove a doorbell"),
	  .phases = GH_PHASE_CHANGE | GH_PHASE_END, .features = GH_FEATURE_IOEVENTFD },
	{ GH_NEED_IOCTL(UAPI_KVM_SET_USER_MEMORY_REGION, "KVM_SET_USER_MEMORY_REGION", "take memory away"),
	  .phases = GH_PHASE_CHANGE },
};

const struct gh_needs gh_kvm_needs = GH_NEEDS(rows);
