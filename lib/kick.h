/* SPDX-License-Identifier: BSD-3-Clause */
/* The part of kick.c that every exit passes through: inline, because calls would cost as much as what they do. */
#ifndef GH_LIB_KICK_H
#define GH_LIB_KICK_H

#include "internal.h"
#include "points.h"

/* What a thread is to kicks. A pthread_t would not do: the next thread often gets the one of a thread that has ended. */
struct gh_kick_self {
	/* The vCPU that it runs; what the handler knows of the world. A simulated kernel nests a second one. */
	struct gh_vcpu *volatile current;
	int pid; /* a forked child's copy of this is not true there */
	int tid;
	int signal; /* unblocked */
};

extern _Thread_local struct gh_kick_self gh_kick_self __attribute__((tls_model("initial-exec")));

/* Has this thread been prepared, and is it the one that ran the vCPU last? */
static inline bool gh_kick_is_own(struct gh_vcpu *vcpu)
{
	const struct gh_vm *vm = vcpu->vm;

	return gh_kick_self.pid == vm->pid && gh_kick_self.signal == vm->kick_signal &&
	       atomic_load_explicit(&vcpu->tid, memory_order_relaxed) == gh_kick_self.tid;
}

/* Before entries: this thread is the one to wake. */
static inline int gh_kick_thread(struct gh_vcpu *vcpu)
{
	return gh_kick_is_own(vcpu) ? 0 : gh_kick_prepare(vcpu);
}

/* Brackets one kernel entry. enter is false, and nothing entered, when a kick is pending. */
static inline void gh_kick_leave(struct gh_vcpu *vcpu, struct gh_vcpu *outer)
{
	GH_POINT(LEAVE_BEGUN);
	atomic_store(&vcpu->where, GH_OUT);
	gh_kick_self.current = outer;
	GH_POINT(LEAVE_OUT);
	if (gh_kick_pending(vcpu))
		gh_kick_settle(vcpu);
	/* H3: the byte is sticky. The handler leaves it alone from here on. */
	if (*vcpu->b.immediate_exit != 0)
		*vcpu->b.immediate_exit = 0;
	GH_POINT(LEAVE_DONE);
}

static inline bool gh_kick_enter(struct gh_vcpu *vcpu, struct gh_vcpu **ret_outer)
{
	struct gh_vcpu *outer = gh_kick_self.current;
	unsigned int where = GH_INSIDE;

	*ret_outer = outer;
	gh_kick_self.current = vcpu;
	GH_POINT(ENTER_CURRENT);
	if (vcpu->answer_on_way) {
		/* Only this thread writes it. */
		atomic_store_explicit(&vcpu->entries, atomic_load_explicit(&vcpu->entries, memory_order_relaxed) + 1,
				      memory_order_relaxed);
		where = GH_FRAGILE;
	}
	atomic_store(&vcpu->where, where);
	GH_POINT(ENTER_WHERE);
	if (!gh_kick_pending(vcpu)) {
		GH_POINT(ENTER_LOOKED);
		return true;
	}
	gh_kick_leave(vcpu, outer);
	return false;
}

#endif
