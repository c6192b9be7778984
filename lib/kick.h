/* SPDX-License-Identifier: BSD-3-Clause */
/* The part of kick.c that every exit passes through: inline, because calls would cost as much as what they do. */
#ifndef GH_LIB_KICK_H
#define GH_LIB_KICK_H

#include "internal.h"
#include "points.h"

/* What a thread is to kicks. */
struct gh_kick_self {
	/* The vCPU that it runs; what the handler knows of the world. */
	struct gh_vcpu *volatile current;
	/* Thread id (upper half) and kick signal, once that is unblocked; before, what no vCPU has for an owner. */
	uint64_t token;
	uint64_t thread; /* the upper half alone; 0 before */
};

extern _Thread_local struct gh_kick_self gh_kick_self __attribute__((tls_model("initial-exec")));

/* Is this thread prepared, and the last one that was? */
static inline bool gh_kick_is_owner(struct gh_vcpu_live *live)
{
	return atomic_load_explicit(&live->owner, memory_order_relaxed) == gh_kick_self.token;
}

static inline bool gh_kick_is_in_guest(struct gh_vcpu *vcpu)
{
	enum gh_place place = gh_where_place(atomic_load(&vcpu->where));

	return place == GH_INSIDE || place == GH_FRAGILE;
}

/* Before entries: this thread is the one to wake. */
static inline int gh_kick_thread(struct gh_vcpu *vcpu)
{
	return gh_kick_is_owner(vcpu->live) ? 0 : gh_kick_prepare(vcpu);
}

static inline unsigned int gh_kick_entry(struct gh_vcpu *vcpu)
{
	return atomic_load_explicit(&vcpu->entry, memory_order_relaxed);
}

static inline void gh_kick_set_entry(struct gh_vcpu *vcpu, unsigned int entry)
{
	atomic_store_explicit(&vcpu->entry, entry, memory_order_relaxed);
}

/* The next entry carries an answer that a signal could destroy. Each has a number of its own, for the courier. */
static inline void gh_kick_set_fragile(struct gh_vcpu *vcpu)
{
	/* One thread at a time: it has the vCPU, or answers its load. */
	vcpu->entries += GH_PLACES;
	gh_kick_set_entry(vcpu, vcpu->entries);
}

/* What `where` becomes for the next entry: of this thread, whoever has answered. */
static inline uint64_t gh_kick_next(struct gh_vcpu *vcpu)
{
	return gh_kick_self.thread | gh_kick_entry(vcpu);
}

/* From OUT to the next entry; false if another thread is in gh_vcpu_run(). */
static inline bool gh_kick_begin(struct gh_vcpu *vcpu)
{
	uint64_t out = GH_OUT;

	if (!atomic_compare_exchange_strong(&vcpu->where, &out, gh_kick_next(vcpu)))
		return false;
	GH_POINT(ENTER_WHERE);
	return true;
}

/* From BUSY to the next entry. */
static inline void gh_kick_return(struct gh_vcpu *vcpu)
{
	atomic_store(&vcpu->where, gh_kick_next(vcpu));
	GH_POINT(ENTER_WHERE);
}

/* One kernel entry. -ECANCELED: a kick was pending and nothing was entered. */
static inline int gh_kick_enter(struct gh_vcpu *vcpu)
{
	int ret;

	gh_kick_self.current = vcpu;
	GH_POINT(ENTER_CURRENT);
	ret = vcpu->run(&vcpu->b);
	GH_POINT(LEAVE_BEGUN);
	gh_kick_self.current = NULL;
	GH_POINT(RUN_RETURNED);
	return ret;
}

/* To BUSY: no signal of a kick is under way any more, or will be. */
static inline void gh_kick_pause(struct gh_vcpu *vcpu)
{
	struct gh_vcpu *same = vcpu;

	/* So that the address is not one from before the entry, in a register that had to be saved. */
	__asm__("" : "+r"(same));
	atomic_store(&same->where, GH_BUSY);
	GH_POINT(LEAVE_OUT);
	if (gh_kick_pending(vcpu))
		gh_kick_settle(vcpu);
	GH_POINT(LEAVE_DONE);
}

#endif
