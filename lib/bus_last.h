/* SPDX-License-Identifier: BSD-3-Clause */
/* What a driver does all the time, a plain access that goes where the last one went: inline, as kick.h. */
#ifndef GH_LIB_BUS_LAST_H
#define GH_LIB_BUS_LAST_H

#include "exit.h"
#include "kick.h"
#include "points.h"

/* bus.c: everything but a plain access to the range of the last one, with nothing in the slot. As gh_bus_dispatch(). */
int gh_bus_dispatch_elsewhere(struct gh_vcpu *vcpu, const struct gh_exit_mmio *mmio);
/* bus.c: the rest of a plain access, other than a store which was done. As gh_bus_dispatch(). */
int gh_bus_conclude(struct gh_vcpu *vcpu, const struct gh_exit_mmio *mmio, int verdict, uint64_t value);
/* bus.c */
void gh_bus_leave_with_care(struct gh_vm *vm);

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

/* Puts the range of the last access into the slot. False: the bus has changed since, and it may not even be looked at. */
static inline bool gh_bus_recall(const struct gh_vm *vm, struct gh_bus_slot *slot, const struct gh_bus_range **ret_range)
{
	*ret_range = slot->last;
	atomic_store_explicit(&slot->range, (const struct gh_bus_guest *)(const void *)slot->last, memory_order_relaxed);
	gh_bus_light_barrier(false);
	GH_POINT(BUS_RECALLED);
	return atomic_load_explicit(vm->bus.generation, memory_order_acquire) == slot->generation;
}

static inline void gh_bus_let_go(struct gh_vm *vm, struct gh_bus_slot *slot)
{
	GH_POINT(BUS_LEAVES);
	atomic_store_explicit(&slot->range, NULL, memory_order_release);
	gh_bus_light_barrier(false);
	GH_POINT(BUS_LEFT);
	if (atomic_load_explicit(&vm->bus.care, memory_order_relaxed) != 0)
		gh_bus_leave_with_care(vm);
}

/*
 * True: the range of the last access has been asked, and what it said is to be heeded before gh_bus_let_go(). False: this one
 * goes elsewhere, after gh_bus_let_go(). The width is at most 8.
 */
static inline bool gh_bus_ask_last(struct gh_vcpu *vcpu, const struct gh_exit_mmio *mmio, int *ret_verdict,
				   uint64_t *ret_value)
{
	struct gh_bus_slot *slot = &vcpu->bus;
	const struct gh_bus_range *range;
	struct gh_bus_access access;

	if (!gh_bus_recall(vcpu->vm, slot, &range) || mmio->gpa - range->gpa >= range->room[mmio->width] ||
	    !gh_bus_is_aligned(mmio))
		return false;
	gh_bus_make_access(&access, vcpu, range, mmio);
	GH_POINT(BUS_SERVES);
	gh_bus_count(&slot->cell->accesses[mmio->is_store]);
	*ret_verdict = range->access(range->guest.data, &access);
	*ret_value = access.value;
	return true;
}

#endif
