/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bus: guest physical addresses to handlers, for every hypervisor alike (gh/bus.h).
 *
 * Everything that a dispatch needs to know is one table: sorted ranges, doorbells, the policy, the tracer. A VM has two of
 * them. Readers use the published one; a writer fills in the other one, publishes it, and waits until nobody can be reading the
 * one that it has replaced, which is the spare one from then on. So a removal needs no memory, and cannot fail.
 *
 *     reader (a vCPU's thread, in gh_bus_dispatch())         writer (under bus->lock)
 *     live.at = NULL
 *     slot.look_ups: odd                                     one more leaving
 *     light barrier                                          bus->table = the other one
 *     table = bus->table, search                             heavy barrier
 *     slot.range = the range that was found                  each slot: is look_ups odd? wait until it has changed
 *     slot.look_ups: even                                    the old table is nobody's
 *     call the handler                                       each slot: all that is recent = NOTHING
 *     live.at = this thread
 *     slot.range = NULL                                      heavy barrier, if there was anything
 *     light barrier                                          is a slot's range the removed one, or that of what it is at?
 *     some leaving? free what nobody is in any more            then the last handler frees it, or wakes who waits for that;
 *                                                              otherwise free it, one less leaving
 *
 * An access that a vCPU has made lately needs no look-up: what one has found stays with the vCPU, ready to be called again
 * (struct gh_bus_recent). A look-up of an old table cannot leave anything behind: it is over before the writer clears.
 *
 *     live.at = the recent access
 *     light barrier
 *     still not NOTHING? call the handler; otherwise as without one, and then all as above
 *     live.at = this thread
 *     light barrier
 *     some leaving? as above
 *
 * At each barrier both sides store first and load then, and one of them must see the other. The reader's barrier is only one
 * for the compiler: the writer's is membarrier(), which makes every thread of the process pass a full one. Where the kernel
 * has none, GH_BUS_FENCED stays set: readers pass a full one themselves, and nothing is recent.
 *
 * A look-up calls nobody, makes no system call and ends by itself, so that a writer can wait for it anywhere; a handler does
 * not, so that nobody waits for one from inside a handler of the same VM. A doorbell is found in a look-up and rung behind it,
 * in the slot as a range: the write may wait for somebody who reads.
 *
 * tests/model/bus.pml is all this for a model checker.
 *
 * Locks: bus->lock may be taken under the VM's lock, never the other way round. No callback under either of them.
 */
#ifndef GH_LIB_BUS_H
#define GH_LIB_BUS_H

#include "sys.h"

#include <gh/bus.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* A line of the processors' caches, or two: some fetch pairs. */
#define GH_BUS_LINE 128

#define GH_BUS_NAME 63 /* characters at most */

/* --- what a dispatch calls -------------------------------------------------------------------------------------------- */

enum gh_bus_guest_kind { GH_BUS_RANGE, GH_BUS_TRACER, GH_BUS_DOORBELL };

/* A range, a tracer or a doorbell: somebody's function or descriptor, in use on some vCPUs when it is removed. */
struct gh_bus_guest {
	struct gh_bus_guest *next; /* of the removed ones that somebody is still in */
	void (*removed)(void *data);
	void *data;
	enum gh_bus_guest_kind kind;
	bool leaving; /* has been removed */
	bool awaited; /* the remover waits, and does the rest */
	bool gone;    /* nobody is in it any more */
};

/* What one vCPU counts of one range. Written by whoever dispatches on that vCPU, with plain stores. */
struct gh_bus_cell {
	atomic_uint_least64_t accesses[2]; /* by is_store */
	atomic_uint_least64_t deferred;
	atomic_uint_least64_t failed;
	atomic_uint_least64_t forbidden;
};

struct gh_bus_range {
	struct gh_bus_guest guest; /* first */
	int (*access)(void *data, struct gh_bus_access *access);
	uint64_t gpa;
	/*
	 * By width, how far from the first byte an access may begin that needs nothing done to it, if it is aligned, and one
	 * more; 0: this width is not allowed, or is not the handler's.
	 */
	uint64_t room[GH_BUS_64 + 1];
	uint64_t last;           /* byte */
	uint32_t chunk;          /* of each slot, where its cell is */
	uint32_t cell;           /* in there */
	uint32_t index;          /* both in one number */
	uint32_t guest_widths;   /* never 0 */
	uint32_t handler_widths; /* 0: what the guest made */
	bool unaligned;          /* the guest may */
	struct gh_vm *vm;
	char name[GH_BUS_NAME + 1];
};

struct gh_bus_tracer {
	struct gh_bus_guest guest; /* first */
	void (*trace)(void *data, const struct gh_bus_event *event);
};

/* --- the table -------------------------------------------------------------------------------------------------------- */

struct gh_bus_entry {
	uint64_t gpa;
	uint64_t last;
	struct gh_bus_range *range;
};

/*
 * A doorbell that the kernel cannot take: a guest store that writes 1 to an eventfd. Several may be at one address, but no
 * store matches two of them: ioevent.c sees to that. It wins over a range that it lies in, for the stores that match.
 */
struct gh_bus_doorbell {
	uint64_t gpa;
	uint64_t value;             /* with `match` */
	uint32_t width;             /* 1, 2, 4, 8, or 0 for any */
	bool match;                 /* only stores of `value`, as far as the width goes */
	int fd;                     /* the caller's, open until the doorbell has been removed */
	struct gh_bus_guest *guest; /* the bus's own: who writes to the descriptor */
};

struct gh_bus_table {
	uint64_t generation;
	uint32_t n_entries;
	uint32_t n_doorbells;
	uint32_t room;          /* for entries */
	uint32_t doorbell_room; /* for doorbells */
	uint32_t policy;        /* enum gh_bus_policy */
	uint64_t value;         /* of unmatched loads */
	struct gh_bus_tracer *tracer;
	struct gh_bus_doorbell *doorbells; /* sorted by address; behind the entries */
	struct gh_bus_entry entries[];     /* sorted by address, without overlap */
};

/* --- a vCPU's side ---------------------------------------------------------------------------------------------------- */

/* Cells come in chunks, so that none ever moves: chunk n has GH_BUS_CHUNK << n of them. */
#define GH_BUS_CHUNK 32u
#define GH_BUS_CHUNKS 24u
/* At each end of a chunk, so that its cells share no line with what is not this vCPU's. */
#define GH_BUS_CELL_MARGIN (GH_BUS_LINE / sizeof(struct gh_bus_cell) + 1)

/* A place for every access that a driver repeats: by address and direction, one of so many. */
#define GH_BUS_RECENT_BITS 5
#define GH_BUS_RECENTS (1u << GH_BUS_RECENT_BITS)

enum gh_bus_recent_state { GH_BUS_NOTHING, GH_BUS_LOAD, GH_BUS_STORE };

/*
 * An access that the guest has made, and all that it takes to make it again. Only for handlers that get it as the guest made
 * it. The dispatching thread writes it, in look-ups, and the value of each access; the writer of tables looks at `range`, and
 * clears `state`.
 */
struct gh_bus_recent {
	uint64_t gpa;
	uint32_t width;
	uint32_t is_store;
	int (*access)(void *data, struct gh_bus_access *access);
	void *data;
	atomic_uint_least64_t *count;
	struct gh_bus_access call; /* what the handler gets; all but the value is there already */
	atomic_uint state;         /* enum gh_bus_recent_state; to be looked at before anything here is called */
	struct gh_bus_cell *cell;
	_Atomic(const struct gh_bus_guest *) range;
	char after[8]; /* 128 bytes: a shift finds it */
};

_Static_assert(sizeof(struct gh_bus_recent) == 128 || sizeof(void *) != 8, "an element is found by a shift");

/* In a page that the kernel empties in a forked child, where nobody is at anything, and nothing is recent any more. */
struct gh_bus_live {
	/*
	 * The recent access whose handler runs; or the thread that dispatches here while it does nothing else, as gh_bus_self();
	 * or NULL: neither, all accesses need a look-up.
	 */
	_Atomic(const void *) at;
	struct gh_vcpu *vcpu;
	atomic_uint calm; /* gh_bus::care is 0 */
};

/* Written by the thread that dispatches on the vCPU, read by writers and by whoever adds numbers up. */
struct gh_bus_slot {
	char before[GH_BUS_LINE]; /* nothing else in its cache line */
	struct gh_bus_slot *next; /* of the VM's; never changes */
	struct gh_vm *vm;
	struct gh_bus_live *live;
	/* Whose handler or tracer runs, if one does: the address of its gh_kick_self. Stored before any of them is. */
	_Atomic(const void *) thread;
	atomic_uint look_ups;                        /* odd during one */
	_Atomic(const struct gh_bus_guest *) range;  /* whose handler runs; or a doorbell that is being rung */
	_Atomic(const struct gh_bus_guest *) tracer; /* whose function runs, or will */
	/* What the last look-up has found; only the dispatching thread's. */
	uint64_t generation; /* of that table; 0 is of none */
	uint32_t entry;      /* in there */
	struct gh_bus_recent recent[GH_BUS_RECENTS];
	struct gh_bus_cell *chunks[GH_BUS_CHUNKS];
	atomic_uint_least64_t unmatched_loads;
	atomic_uint_least64_t unmatched_stores;
	atomic_uint_least64_t doorbells;
	char after[GH_BUS_LINE];
};

/* --- the bus ---------------------------------------------------------------------------------------------------------- */

/* What dispatches have to look out for; mostly nothing. */
enum {
	GH_BUS_FENCED = 1,  /* pass full barriers, nothing is recent */
	GH_BUS_LEAVING = 2, /* one more that is to be freed by whoever leaves it last */
};

/* Part of a VM. Dispatches only read the first two, which change seldom. */
struct gh_bus {
	char before[GH_BUS_LINE];
	_Atomic(struct gh_bus_table *) table; /* NULL: nothing has ever been added */
	atomic_uint care; /* GH_BUS_FENCED, and GH_BUS_LEAVING for each removed guest that somebody is still in */
	char after[GH_BUS_LINE];
	/* Under the lock. */
	pthread_mutex_t lock;
	pthread_cond_t left; /* somebody's guest is gone */
	struct gh_bus_slot *slots;
	struct gh_bus_table *spare;
	struct gh_bus_guest *limbo; /* those that are leaving; when the VM is being closed, those that have left */
	uint32_t n_chunks;          /* that each slot has */
	uint32_t n_cells;           /* in them */
	uint32_t n_indices;         /* given out so far */
	uint32_t *free_indices;     /* given back; room for n_cells */
	uint32_t n_free_indices;
	bool ready;   /* membarrier() has been asked for */
	bool closing; /* tables are gone */
};

/* A light barrier between storing and loading, which is a full one where the writer has no heavy one. */
static inline bool gh_bus_is_fenced(struct gh_bus *bus)
{
	return (atomic_load_explicit(&bus->care, memory_order_relaxed) & GH_BUS_FENCED) != 0;
}

static inline void gh_bus_light_barrier(bool fenced)
{
	if (fenced)
		atomic_thread_fence(memory_order_seq_cst);
	else
		atomic_signal_fence(memory_order_seq_cst);
}

/* Brackets a look-up. NULL: nothing has ever been added. */
static inline const struct gh_bus_table *gh_bus_begin(struct gh_bus *bus, struct gh_bus_slot *slot)
{
	unsigned int look_ups = atomic_load_explicit(&slot->look_ups, memory_order_relaxed);

	atomic_store_explicit(&slot->look_ups, look_ups + 1, memory_order_relaxed);
	/* Whether to pass a full one is looked at behind the store: who is held up in between has stored. */
	gh_bus_light_barrier(false);
	if (gh_bus_is_fenced(bus))
		gh_bus_light_barrier(true);
	return atomic_load_explicit(&bus->table, memory_order_acquire);
}

static inline void gh_bus_end(struct gh_bus_slot *slot)
{
	unsigned int look_ups = atomic_load_explicit(&slot->look_ups, memory_order_relaxed);

	atomic_store_explicit(&slot->look_ups, look_ups + 1, memory_order_release);
}

/* The recent access whose handler runs, or NULL. */
static inline const struct gh_bus_recent *gh_bus_running(const struct gh_bus_slot *slot)
{
	const void *at = atomic_load_explicit(&slot->live->at, memory_order_acquire);
	size_t offset = (uintptr_t)at - (uintptr_t)slot->recent;

	return offset < sizeof(slot->recent) ? &slot->recent[offset / sizeof(slot->recent[0])] : NULL;
}

/* Somebody is in a handler or a tracer. When nobody is any more, whoever was there does not touch the slot again. */
static inline bool gh_bus_is_busy(const struct gh_bus_slot *slot)
{
	return gh_bus_running(slot) != NULL || atomic_load_explicit(&slot->range, memory_order_acquire) != NULL ||
	       atomic_load_explicit(&slot->tracer, memory_order_acquire) != NULL;
}

/* One more, of what only this thread writes. */
static inline void gh_bus_count(atomic_uint_least64_t *counter)
{
#if defined(__x86_64__) && !defined(__clang__)
	/* As clang does it by itself: in one instruction, without a lock. */
	__asm__("addq $1, %0" : "+m"(*counter));
#else
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_relaxed);
#endif
}

/* bus_table.c; with the VM */
int gh_bus_init(struct gh_vm *vm);
/*
 * The two halves of closing; nobody is in a call. Ranges and the tracer go first, while all that their callbacks may want to
 * use or remove is still there; the rest goes when no slot and no doorbell is left.
 */
void gh_bus_clear(struct gh_vm *vm);
void gh_bus_free(struct gh_vm *vm);
/* A new vCPU's slot, and its end, which never fails. */
int gh_bus_join(struct gh_vcpu *vcpu);
void gh_bus_leave(struct gh_vcpu *vcpu);

/* A change of the table, under the lock: begin, edit `next`, make it everybody's. */
struct gh_bus_change {
	bool keeps; /* the caller's to set: accesses that have found a handler go there as before */
	struct gh_bus_table *next;
	struct gh_bus_table *other; /* the spare one for a table that has grown */
};

/* -ENOMEM; cannot fail if nothing is added and there is a table. -EBUSY: the VM is being closed. */
int gh_bus_change_begin(struct gh_vm *vm, uint32_t entries, uint32_t doorbells, struct gh_bus_change *change);
void gh_bus_change_end(struct gh_vm *vm, const struct gh_bus_change *change);
/*
 * A guest that the next table lacks: before its change_end(), and after it, under the lock as well. True: nobody is in it, and
 * the caller frees it with gh_bus_guest_free(), without the lock. False: whoever leaves it last does.
 */
void gh_bus_retire_begin(struct gh_bus *bus, struct gh_bus_guest *guest);
bool gh_bus_retire_end(struct gh_vm *vm, struct gh_bus_guest *guest);
/* Calls what it wants called. */
void gh_bus_guest_free(struct gh_bus *bus, struct gh_bus_guest *guest);
/* Removed guests that nobody is in any more. Without the lock. */
void gh_bus_reap(struct gh_vm *vm);

/* bus_range.c: zeroed cells of one vCPU, NULL without memory. */
struct gh_bus_cell *gh_bus_cells_new(uint32_t chunk);

/* bus_window.c: an access that the handler does not get as the guest made it. Returns what the handler returned. */
int gh_bus_window(const struct gh_bus_range *range, struct gh_bus_access *access, uint64_t *ret_value);

/* bus_doorbell.c; during a look-up. The doorbell that the store matches, or NULL. */
const struct gh_bus_doorbell *gh_bus_find_doorbell(const struct gh_bus_table *table, const struct gh_exit_mmio *mmio);
/* Is there any at one of these addresses? */
bool gh_bus_has_doorbell(const struct gh_bus_table *table, uint64_t gpa, uint64_t last);
/*
 * Doorbells, in any state of the VM, with or without its lock. They work as soon as add() returns.
 *
 * -EEXIST: there is one that is the same in every field. -ENOMEM. They leave no failure: the caller knows better what it wanted.
 */
int gh_bus_add_doorbell(struct gh_vm *vm, const struct gh_bus_doorbell *doorbell);
/*
 * The same in every field; NULL without one. Stores that come later do not ring it. What it returns is for end_doorbell(),
 * without the VM's lock: that waits until nobody is about to write to the descriptor any more, which may be for as long as
 * somebody else keeps that full.
 */
struct gh_bus_guest *gh_bus_withdraw_doorbell(struct gh_vm *vm, const struct gh_bus_doorbell *doorbell);
void gh_bus_end_doorbell(struct gh_vm *vm, struct gh_bus_guest *guest);

/* bus.c: what a loop without an exit function does with an access that gh_bus_dispatch() has passed on. */
int gh_bus_answer_unmatched(struct gh_vcpu *vcpu, const struct gh_exit *exit);

#endif
