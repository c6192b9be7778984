/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bus: guest physical addresses to handlers, for every hypervisor alike (gh/bus.h).
 *
 * Everything that a dispatch needs to know is one table: sorted ranges, doorbells, the policy, the tracer. A VM has two of
 * them. Readers use the published one; a writer fills in the other one, publishes it, and waits until nobody can be reading the
 * one that it has replaced, which is the spare one from then on. So a removal needs no memory, and cannot fail.
 *
 *     reader (a vCPU's thread, in gh_bus_dispatch())         writer (under bus->lock)
 *     slot.look_ups: odd                                     bus->table = the other one
 *     light barrier                                          heavy barrier
 *     table = bus->table, search                             each slot: is look_ups odd? wait until it has changed
 *     slot.range = the range that was found                  the old table is nobody's
 *     slot.look_ups: even                                    bus->leaving += 1
 *     call the handler                                       heavy barrier
 *     slot.range = NULL                                      is a slot's range the removed one? then it is the last
 *     light barrier                                            handler that frees it, or wakes who waits for it
 *     bus->leaving != 0? free what nobody is in any more     otherwise free it
 *
 * At both barriers each side stores first and loads then, and one of them must see the other. The reader's barrier is only one
 * for the compiler: the writer's is membarrier(), which makes every thread of the process pass a full one. Where the kernel
 * has none, bus->fenced stays set and readers pass a full one themselves.
 *
 * A look-up calls nobody and ends by itself, so that a writer can wait for it anywhere; a handler does not, so that nobody
 * waits for one from inside a handler of the same VM.
 *
 * Locks: bus->lock may be taken under the VM's lock, never the other way round. No callback under either of them.
 */
#ifndef GH_LIB_BUS_H
#define GH_LIB_BUS_H

#include <gh/bus.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* A line of the processors' caches, or two: some fetch pairs. */
#define GH_BUS_LINE 128

/* --- what a dispatch calls -------------------------------------------------------------------------------------------- */

/* A range or a tracer: somebody's function, which may be running on some vCPUs when it is removed. */
struct gh_bus_guest {
	struct gh_bus_guest *next; /* of the removed ones that somebody is still in */
	void (*removed)(void *data);
	void *data;
	bool leaving; /* has been removed */
	bool awaited; /* the remover waits, and does the rest */
	bool gone;    /* nobody is in it any more */
};

/* What one vCPU counts of one range. Written by whoever dispatches on that vCPU, with plain stores. */
struct gh_bus_cell {
	atomic_uint_least64_t loads;
	atomic_uint_least64_t stores;
	atomic_uint_least64_t deferred;
	atomic_uint_least64_t failed;
	atomic_uint_least64_t forbidden;
};

struct gh_bus_range {
	struct gh_bus_guest guest; /* first */
	struct gh_vm *vm;
	int (*access)(void *data, struct gh_bus_access *access);
	uint64_t gpa;
	uint64_t last;           /* byte */
	uint32_t guest_widths;   /* never 0 */
	uint32_t handler_widths; /* 0: what the guest made */
	uint32_t align_mask;     /* 0: any alignment; otherwise UINT32_MAX */
	uint32_t index;          /* of its cells */
	char *name;
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
 * A doorbell that the kernel cannot take: a guest store that writes 1 to an eventfd. Several may be at one address; each that
 * matches is rung. It wins over a range that it lies in, for the stores that match.
 */
struct gh_bus_doorbell {
	uint64_t gpa;
	uint64_t value; /* with `match` */
	uint32_t width; /* 1, 2, 4, 8, or 0 for any */
	bool match;     /* only stores of `value`, as far as the width goes */
	int fd;         /* the caller's, open until the doorbell has been removed */
};

struct gh_bus_table {
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

/* Written by the thread that dispatches on the vCPU, read by writers and by whoever adds numbers up. */
struct gh_bus_slot {
	char before[GH_BUS_LINE]; /* nothing else in its cache line */
	struct gh_bus_slot *next; /* of the VM's; never changes */
	struct gh_vm *vm;
	struct gh_bus_slot *outer; /* the dispatch that this one was made from, of another vCPU */
	atomic_uint look_ups;      /* odd during one */
	atomic_bool busy;
	uint32_t hint;                         /* entry of the last access */
	_Atomic(struct gh_bus_guest *) range;  /* whose handler runs */
	_Atomic(struct gh_bus_guest *) tracer; /* whose function runs, or will */
	struct gh_bus_cell *chunks[GH_BUS_CHUNKS];
	atomic_uint_least64_t unmatched_loads;
	atomic_uint_least64_t unmatched_stores;
	atomic_uint_least64_t doorbells;
	char after[GH_BUS_LINE];
};

/* --- the bus ---------------------------------------------------------------------------------------------------------- */

/* Part of a VM. Dispatches only read the first three, which change seldom. */
struct gh_bus {
	char before[GH_BUS_LINE];
	_Atomic(struct gh_bus_table *) table; /* NULL: nothing has ever been added */
	atomic_uint leaving;                  /* removed guests that somebody is still in */
	atomic_bool fenced;                   /* readers pass full barriers */
	char after[GH_BUS_LINE];
	/* Under the lock. */
	pthread_mutex_t lock;
	pthread_cond_t left; /* somebody's guest is gone */
	struct gh_bus_slot *slots;
	struct gh_bus_table *spare;
	struct gh_bus_guest *limbo; /* `leaving` of them */
	uint32_t n_cells;           /* that each slot has, in chunks */
	uint32_t n_indices;         /* given out so far */
	uint32_t *free_indices;     /* given back; room for n_cells */
	uint32_t n_free_indices;
	bool ready;   /* membarrier() has been asked for */
	bool closing; /* tables are gone */
};

/* bus_table.c; with the VM */
int gh_bus_init(struct gh_vm *vm);
/* Nobody is in a call. Calls what ranges and the tracer want called. */
void gh_bus_free(struct gh_vm *vm);
/* A new vCPU's slot; it goes with gh_bus_leave(), which never fails, when the bus has been freed or the vCPU has not come to be. */
int gh_bus_join(struct gh_vm *vm, struct gh_bus_slot *slot);
void gh_bus_leave(struct gh_vm *vm, struct gh_bus_slot *slot);

/*
 * bus_doorbell.c: doorbells, in any state of the VM, with or without its lock. They work as soon as add() returns; when remove()
 * has returned no store rings the doorbell any more, nor is one about to write to its descriptor.
 *
 * -EEXIST: there is one that is the same in every field. -ENOMEM. They leave no failure: the caller knows better what it wanted.
 */
int gh_bus_add_doorbell(struct gh_vm *vm, const struct gh_bus_doorbell *doorbell);
/* The same in every field; -ENOENT without one. */
int gh_bus_remove_doorbell(struct gh_vm *vm, const struct gh_bus_doorbell *doorbell);

/* bus.c: what gh_loop_options without an exit function does with an access that gh_bus_dispatch() has passed on. */
int gh_bus_answer_unmatched(struct gh_vcpu *vcpu, const struct gh_exit *exit);

#endif
