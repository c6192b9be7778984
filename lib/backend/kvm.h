/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the KVM backend share, and what the simulated machines' engine needs of it beyond the vtable. */
#ifndef GH_BACKEND_KVM_H
#define GH_BACKEND_KVM_H

#include "../backend.h"
#include "../uapi/kvm.h"

#include <signal.h>

/*
 * Interrupts of a guest: 32 private ones and 960 shared ones, the most that every kernel takes in multiples of 32. An
 * unused one costs the host some hundred bytes.
 */
#define GH_KVM_IRQS 992u
#define GH_KVM_LINES (GH_KVM_IRQS - 32u)

struct gh_kvm_vm {
	int gic;      /* the interrupt controller's descriptor, -1 before vm_irqchip */
	int resample; /* eventfd that the kernel signals when the guest acknowledges a level-triggered line, or -1 */
};

/*
 * The run page as an exit. Reads nothing but the page and trusts nothing in it. -EPROTO: no guest can have done that.
 * MMIO, the end, faults, exceptions and events; everything else is GH_EXIT_UNKNOWN with the kernel's code.
 */
int gh_kvm_decode(const struct uapi_kvm_run *run, struct gh_exit *exit);

/* One register by the kernel's number. */
int gh_kvm_get_register(struct gh_bvcpu *vcpu, uint64_t id, uint64_t *ret_value);
int gh_kvm_put_register(struct gh_bvcpu *vcpu, uint64_t id, uint64_t value);

/* The signals that are blocked while the kernel runs this vCPU; NULL: those of the thread. */
int gh_kvm_set_signal_mask(struct gh_bvcpu *vcpu, const sigset_t *blocked);

/* kvm_sandbox.c */
extern const struct gh_needs gh_kvm_needs;

/* kvm_irq.c */
int gh_kvm_irqchip_check(struct gh_bvm *vm);
int gh_kvm_irqchip(struct gh_bvm *vm);
int gh_kvm_irqchip_start(struct gh_bvm *vm);
int gh_kvm_irqfd(struct gh_bvm *vm, const struct gh_irqfd_spec *spec, bool on);
int gh_kvm_ioevent(struct gh_bvm *vm, const struct gh_ioevent_spec *spec, bool on);
/* Raises or lowers a shared interrupt, counted from 0. Any thread. */
int gh_kvm_irq_line(struct gh_bvm *vm, uint32_t line, bool level);

#endif
