/* SPDX-License-Identifier: BSD-3-Clause */
/* What a driver does all the time, an access that it has made lately: inline, as kick.h. bus.h has the protocol. */
#ifndef GH_LIB_BUS_RECENT_H
#define GH_LIB_BUS_RECENT_H

#include "exit.h"
#include "kick.h"
#include "points.h"

/* bus.c: an access that is not recent. As gh_bus_dispatch(). */
int gh_bus_dispatch_elsewhere(struct gh_vcpu *vcpu, const struct gh_exit_mmio *mmio);
/* bus.c: the rest of a recent access, other than a store which was done. As gh_bus_dispatch(). */
int gh_bus_conclude(struct gh_vcpu *vcpu, const struct gh_bus_recent *recent, int verdict, uint64_t value);
/* bus.c: frees what is leaving, if nobody is in it any more. In a child, forgets who dispatches. */
void gh_bus_leave_with_care(struct gh_bus_live *live);

/* This thread, as no other one is called while it lives. */
static inline const void *gh_bus_self(void)
{
	const void *self;

	/* Volatile: fetched again it costs less than a register that is saved over a handler's call. */
#if defined(__x86_64__)
	__asm__ volatile("mov %%fs:0, %0" : "=r"(self));
#elif defined(__aarch64__)
	__asm__ volatile("mrs %0, tpidr_el0" : "=r"(self));
#else
	self = &gh_kick_self;
#endif
	return self;
}

static inline bool gh_bus_is_aligned(const struct gh_exit_mmio *mmio)
{
	return (mmio->gpa & (mmio->width - 1)) == 0;
}

static inline void gh_bus_make_access(struct gh_bus_access *access, struct gh_vcpu *vcpu, const struct gh_bus_range *range,
				      const struct gh_exit_mmio *mmio)
{
	access->vcpu = vcpu;
	access->range = (struct gh_bus_range *)(uintptr_t)range; /* the caller's own */
	access->gpa = mmio->gpa;
	access->offset = mmio->gpa - range->gpa;
	access->value = mmio->value;
	access->mask = gh_value_masks[mmio->width];
	access->width = mmio->width;
	access->is_store = mmio->is_store;
}

/*
 * Where an access is remembered, if it is: by address and direction. The factor has been searched for: no two of 16 neighbours,
 * a power of two from 1 byte to 2 MiB apart, share a place if all are loaded, or all stored; nor do loads and stores of four.
 */
static inline struct gh_bus_recent *gh_bus_place(struct gh_bus_slot *slot, uint64_t gpa, uint32_t is_store)
{
	uint32_t hash = ((uint32_t)gpa * 2 + is_store) * UINT32_C(0xb4210b3d);
	struct gh_bus_recent *recent = &slot->recent[hash >> (32 - GH_BUS_RECENT_BITS)];

	/* One address from here on, and not an index that is multiplied for every field. */
	__asm__("" : "+r"(recent));
	return recent;
}

/* The access, if this vCPU has made it lately, for this thread to be at; otherwise NULL, and nothing has been done. */
static inline struct gh_bus_recent *gh_bus_recall(struct gh_bus_slot *slot, const struct gh_exit_mmio *mmio)
{
	struct gh_bus_live *live = slot->live;
	const uint64_t gpa = mmio->gpa;
	const uint32_t is_store = mmio->is_store;
	struct gh_bus_recent *recent = gh_bus_place(slot, gpa, is_store);

	if (atomic_load_explicit(&live->at, memory_order_relaxed) != gh_bus_self())
		return NULL;
	/* One comparison: processors are quicker at that than at three. */
	if (((gpa ^ recent->gpa) | (mmio->width ^ recent->width) | (is_store ^ recent->is_store)) != 0)
		return NULL;
	atomic_store_explicit(&live->at, recent, memory_order_relaxed);
	gh_bus_light_barrier(false);
	GH_POINT(BUS_RECALLED);
	return recent;
}

/* For whoever is at it. GH_BUS_NOTHING: the bus has changed, and nothing of it may be used. */
static inline unsigned int gh_bus_recent_state(const struct gh_bus_recent *recent)
{
	return atomic_load_explicit(&recent->state, memory_order_acquire);
}

/* Asks the handler. What it says is to be heeded before gh_bus_let_go(). */
static inline int gh_bus_ask(struct gh_bus_recent *recent, uint64_t value)
{
	GH_POINT(BUS_SERVES);
	recent->call.value = value;
	gh_bus_count(recent->count);
	return recent->access(recent->data, &recent->call);
}

/* After a recent access. True: gh_bus_leave_with_care() follows. */
static inline bool gh_bus_step_out(struct gh_bus_live *live)
{
	GH_POINT(BUS_LEAVES);
	atomic_store_explicit(&live->at, gh_bus_self(), memory_order_release);
	gh_bus_light_barrier(false);
	GH_POINT(BUS_LEFT);
	return atomic_load_explicit(&live->calm, memory_order_relaxed) == 0;
}

static inline void gh_bus_let_go(struct gh_bus_live *live)
{
	if (gh_bus_step_out(live))
		gh_bus_leave_with_care(live);
}

#endif
