/* SPDX-License-Identifier: BSD-3-Clause */
/* The straight way of an exit that is a load or a store: inline, for gh_vcpu_run() and for gh_vcpu_loop(). */
#ifndef GH_LIB_VCPU_H
#define GH_LIB_VCPU_H

#include "exit.h"
#include "kick.h"

static inline void gh_vcpu_set_pending(struct gh_vcpu_live *live, enum gh_pending pending)
{
	atomic_store_explicit(&live->pending, pending, memory_order_release);
}

static inline enum gh_pending gh_vcpu_pending(struct gh_vcpu_live *live)
{
	return atomic_load_explicit(&live->pending, memory_order_acquire);
}

static inline void gh_vcpu_deliver_mmio(struct gh_vcpu *vcpu)
{
	gh_vcpu_set_pending(vcpu->live, (enum gh_pending)(GH_PENDING_LOAD - vcpu->b.exit.mmio.is_store));
}

/*
 * The next entry of a claimed vCPU that this thread owns and whose last exit waits for no answer: after a fork, on another
 * thread, and before the VM has been started, the owner is another one. Kicks, the VM's end and a pause are in the kicked
 * word, at which the entry looks. True: it has made a load or a store. False: gh_vcpu_go_on() with the result.
 */
static inline bool gh_vcpu_enter(struct gh_vcpu *vcpu, int *ret_result)
{
	vcpu->failure.error = 0;
	*ret_result = gh_kick_enter(vcpu);
	if (*ret_result != 0)
		return false;
	gh_kick_set_entry(vcpu, GH_INSIDE);
	gh_vcpu_deliver_mmio(vcpu);
	gh_kick_pause(vcpu);
	return true;
}

/* The answer of the load that is pending. A guest that loses it reads 0: an answer of 0 is not fragile (section 10.1). */
static inline void gh_vcpu_put_answer(struct gh_vcpu *vcpu, uint64_t value)
{
	gh_value_put(vcpu->b.answer, value);
	GH_POINT(ANSWER_WRITTEN);
	if (__builtin_expect((value & vcpu->fragile_values) != 0, true))
		gh_kick_set_fragile(vcpu);
	GH_POINT(ANSWER_MARKED);
}

/*
 * Everything else that a run may be, for a claimed vCPU: before its first entry, or after one that had `result`. As
 * gh_vcpu_run(); the exit is in vcpu->b.exit, and the vCPU still claimed.
 */
int gh_vcpu_start_out(struct gh_vcpu *vcpu);
int gh_vcpu_go_on(struct gh_vcpu *vcpu, int result);

#endif
