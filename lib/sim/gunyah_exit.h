/* SPDX-License-Identifier: BSD-3-Clause */
/* One call of RUN: what gunyah_vcpu.c and gunyah_exit.c know of it. Everything here is under the VM's lock. */
#ifndef GH_SIM_GUNYAH_EXIT_H
#define GH_SIM_GUNYAH_EXIT_H

#include "gunyah.h"

struct gunyah_call {
	struct gunyah_vcpu *vcpu;
	const struct sim_signals *signals;
	uint8_t answer[8]; /* what the page had for the load, the first time into the guest; then nothing */
	uint32_t action;   /* likewise: what the page said about the access */
	bool has_exit;
};

struct uapi_gunyah_run *gunyah_page_of(const struct gunyah_vcpu *vcpu);
/* Sleeps until something changes; false if a signal is there. */
bool gunyah_wait(struct gunyah_vm *vm, const struct sim_signals *signals);
/* The exit that says how the VM has ended. */
void gunyah_report_end(struct gunyah_call *call);
/* What the hypervisor says when the driver asks it to run the vCPU. */
int gunyah_step(struct gunyah_call *call);

#endif
