/* SPDX-License-Identifier: BSD-3-Clause */
/* Changing the table while vCPUs read it, and the end of what has been removed while it was running. bus.h has the protocol. */
#include "kick.h"
#include "points.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* membarrier()'s commands. */
#define PRIVATE_EXPEDITED 8
#define REGISTER_PRIVATE_EXPEDITED 16

/* A look-up takes nanoseconds, unless its thread is not running: how often that is given the processor before it is slept for. */
#define YIELDS 20u
#define NAP_NS 20000L
#define DRAIN_NS 10000000L
#define FIRST_ROOM 16u

/* --- barriers ------------------------------------------------------------------------------------------------------- */

static void nap(struct gh_sys *sys, long ns)
{
	const struct timespec time = { .tv_sec = 0, .tv_nsec = ns };

	(void)sys->ppoll(sys, NULL, 0, &time);
}

/* What any processor has stored so far has left its buffer when this returns. No signal may cut it short. */
static void drain(struct gh_sys *sys)
{
	sigset_t all;
	sigset_t before;
	int ret;

	(void)sigfillset(&all);
	ret = sys->sigprocmask(sys, SIG_SETMASK, &all, &before);
	nap(sys, DRAIN_NS);
	if (ret == 0)
		(void)sys->sigprocmask(sys, SIG_SETMASK, &before, NULL);
}

/* Under the lock. */
static void set_care(struct gh_bus *bus, unsigned int care)
{
	atomic_store(&bus->care, care);
	for (struct gh_bus_slot *slot = bus->slots; slot != NULL; slot = slot->next)
		atomic_store(&slot->live->calm, care == 0);
}

/* With the first table. Until then, and without the kernel's help, readers pass full barriers. */
static void choose_barrier(struct gh_vm *vm)
{
	struct gh_bus *bus = &vm->bus;

	if (bus->ready)
		return;
	bus->ready = true;
	if (vm->b.sys->membarrier(vm->b.sys, REGISTER_PRIVATE_EXPEDITED) == 0)
		set_care(bus, atomic_load(&bus->care) & ~(unsigned int)GH_BUS_FENCED);
}

/* `light`: for threads that pass light barriers only, whatever `care` says. */
static void heavy_barrier(struct gh_vm *vm, bool light)
{
	struct gh_bus *bus = &vm->bus;
	struct gh_sys *sys = vm->b.sys;

	atomic_thread_fence(memory_order_seq_cst);
	if (!gh_bus_is_fenced(bus) && sys->membarrier(sys, PRIVATE_EXPEDITED) == 0)
		return;
	if (gh_bus_is_fenced(bus) && !light)
		return;
	/*
	 * A sandbox has taken the call away. Dispatches that begin from now on pass full barriers, and leave nothing behind;
	 * what the others have stored leaves their processors' buffers by itself, within far less than this.
	 */
	set_care(bus, atomic_load(&bus->care) | GH_BUS_FENCED);
	drain(sys);
}

/* False: there was nothing. */
static bool clear_recents(const struct gh_bus *bus)
{
	bool found = false;

	for (struct gh_bus_slot *slot = bus->slots; slot != NULL; slot = slot->next)
		for (unsigned int i = 0; i < GH_BUS_RECENTS; i++) {
			struct gh_bus_recent *recent = &slot->recent[i];

			if (atomic_load_explicit(&recent->state, memory_order_relaxed) == GH_BUS_NOTHING)
				continue;
			atomic_store_explicit(&recent->state, GH_BUS_NOTHING, memory_order_relaxed);
			found = true;
		}
	return found;
}

/* Every look-up that may read an unpublished table is over. */
static void await_look_ups(struct gh_vm *vm)
{
	for (struct gh_bus_slot *slot = vm->bus.slots; slot != NULL; slot = slot->next) {
		unsigned int seen = atomic_load_explicit(&slot->look_ups, memory_order_acquire);

		if (seen % 2 == 0)
			continue;
		for (unsigned int i = 0; atomic_load_explicit(&slot->look_ups, memory_order_acquire) == seen; i++)
			if (i < YIELDS)
				vm->b.sys->yield(vm->b.sys);
			else
				nap(vm->b.sys, NAP_NS);
	}
}

/* --- tables --------------------------------------------------------------------------------------------------------- */

/* Zeroed: the policy is GH_BUS_UNMATCHED_PASS. */
static struct gh_bus_table *table_new(uint32_t room, uint32_t doorbell_room)
{
	struct gh_bus_table *table =
		calloc(1, sizeof(*table) + room * sizeof(table->entries[0]) + doorbell_room * sizeof(table->doorbells[0]));

	if (table == NULL)
		return NULL;
	table->room = room;
	table->doorbell_room = doorbell_room;
	table->doorbells = (struct gh_bus_doorbell *)(void *)&table->entries[room];
	return table;
}

static void copy(struct gh_bus_table *to, const struct gh_bus_table *from)
{
	to->generation = from->generation;
	to->n_entries = from->n_entries;
	to->n_doorbells = from->n_doorbells;
	to->policy = from->policy;
	to->value = from->value;
	to->tracer = from->tracer;
	memcpy(to->entries, from->entries, from->n_entries * sizeof(from->entries[0]));
	memcpy(to->doorbells, from->doorbells, from->n_doorbells * sizeof(from->doorbells[0]));
}

static int change_grow(struct gh_bus *bus, uint32_t room, uint32_t doorbell_room, struct gh_bus_change *change)
{
	change->next = table_new(room, doorbell_room);
	change->other = table_new(room, doorbell_room);
	if (change->next != NULL && change->other != NULL) {
		const struct gh_bus_table *now = atomic_load(&bus->table);

		if (now != NULL)
			copy(change->next, now);
		return 0;
	}
	free(change->next);
	free(change->other);
	return -ENOMEM;
}

int gh_bus_change_begin(struct gh_vm *vm, uint32_t entries, uint32_t doorbells, struct gh_bus_change *change)
{
	struct gh_bus *bus = &vm->bus;
	struct gh_bus_table *now = atomic_load(&bus->table);
	uint32_t room = now != NULL ? now->room : FIRST_ROOM;
	uint32_t doorbell_room = now != NULL ? now->doorbell_room : 0;

	*change = (struct gh_bus_change){ .next = now };
	if (bus->closing)
		return entries == 0 && doorbells == 0 && now != NULL ? 0 : -EBUSY;
	choose_barrier(vm);
	if (now != NULL && now->n_entries + entries <= room && now->n_doorbells + doorbells <= doorbell_room) {
		change->next = bus->spare;
		copy(change->next, now);
		return 0;
	}
	if (now != NULL && now->n_entries + entries > room)
		room *= 2;
	if (doorbells > 0 && (now == NULL || now->n_doorbells + doorbells > doorbell_room))
		doorbell_room = doorbell_room > 0 ? doorbell_room * 2 : FIRST_ROOM;
	return change_grow(bus, room, doorbell_room, change);
}

void gh_bus_change_end(struct gh_vm *vm, const struct gh_bus_change *change)
{
	struct gh_bus *bus = &vm->bus;
	struct gh_bus_table *old = atomic_load(&bus->table);

	change->next->generation++;
	if (change->next == old) {
		/* Closing: at most a callback reads it, on this thread. */
		(void)clear_recents(bus);
		return;
	}
	atomic_store_explicit(&bus->table, change->next, memory_order_release);
	GH_POINT(BUS_PUBLISHED);
	heavy_barrier(vm, false);
	GH_POINT(BUS_ORDERED);
	await_look_ups(vm);
	GH_POINT(BUS_ALONE);
	/* Once fenced nothing stays recent, so that later changes need not nap. */
	if ((!change->keeps || gh_bus_is_fenced(bus)) && clear_recents(bus))
		heavy_barrier(vm, true);
	if (change->other == NULL) {
		bus->spare = old;
		return;
	}
	free(old);
	free(bus->spare);
	bus->spare = change->other;
}

/* --- guests --------------------------------------------------------------------------------------------------------- */

static bool is_recent(const struct gh_bus_recent *recent, const struct gh_bus_guest *guest)
{
	return recent != NULL && atomic_load_explicit(&recent->range, memory_order_acquire) == guest;
}

static bool is_inside(const struct gh_bus *bus, const struct gh_bus_guest *guest)
{
	for (struct gh_bus_slot *slot = bus->slots; slot != NULL; slot = slot->next)
		if (is_recent(gh_bus_running(slot), guest) ||
		    atomic_load_explicit(&slot->range, memory_order_acquire) == guest ||
		    atomic_load_explicit(&slot->tracer, memory_order_acquire) == guest)
			return true;
	return false;
}

/*
 * Does this thread run a handler or a tracer of the VM, maybe with one of another VM below it? The thread is looked at last:
 * another one may take the vCPU over meanwhile, and says so before it is busy.
 */
static bool is_in_callback(const struct gh_bus *bus)
{
	for (struct gh_bus_slot *slot = bus->slots; slot != NULL; slot = slot->next) {
		bool busy = gh_bus_is_busy(slot);

		GH_POINT(BUS_LOOKED);
		if (busy && atomic_load_explicit(&slot->thread, memory_order_relaxed) == &gh_kick_self)
			return true;
	}
	return false;
}

/* Its numbers are nobody's any more, and its cells another range's next. */
static void release_cells(struct gh_bus *bus, const struct gh_bus_range *range)
{
	for (struct gh_bus_slot *slot = bus->slots; slot != NULL; slot = slot->next) {
		struct gh_bus_cell *cell = &slot->chunks[range->chunk][range->cell];

		atomic_store_explicit(&cell->accesses[0], 0, memory_order_relaxed);
		atomic_store_explicit(&cell->accesses[1], 0, memory_order_relaxed);
		atomic_store_explicit(&cell->deferred, 0, memory_order_relaxed);
		atomic_store_explicit(&cell->failed, 0, memory_order_relaxed);
		atomic_store_explicit(&cell->forbidden, 0, memory_order_relaxed);
	}
	bus->free_indices[bus->n_free_indices++] = range->index;
}

/* Nobody is in it. Under the lock. */
static void let_go(struct gh_bus *bus, const struct gh_bus_guest *guest)
{
	set_care(bus, atomic_load(&bus->care) - GH_BUS_LEAVING);
	if (guest->kind == GH_BUS_RANGE)
		release_cells(bus, (const struct gh_bus_range *)(const void *)guest);
}

void gh_bus_retire_begin(struct gh_bus *bus, struct gh_bus_guest *guest)
{
	guest->leaving = true;
	set_care(bus, atomic_load(&bus->care) + GH_BUS_LEAVING);
}

bool gh_bus_retire_end(struct gh_vm *vm, struct gh_bus_guest *guest)
{
	struct gh_bus *bus = &vm->bus;

	if (!is_inside(bus, guest)) {
		let_go(bus, guest);
		return true;
	}
	/* Nobody's code runs in a doorbell. */
	guest->awaited = guest->kind == GH_BUS_DOORBELL || !is_in_callback(bus);
	guest->next = bus->limbo;
	bus->limbo = guest;
	if (!guest->awaited)
		return false;
	while (!guest->gone)
		(void)pthread_cond_wait(&bus->left, &bus->lock);
	return true;
}

void gh_bus_guest_free(struct gh_bus *bus, struct gh_bus_guest *guest)
{
	if (guest->removed != NULL)
		guest->removed(guest->data);
	if (bus->closing && guest->kind == GH_BUS_RANGE) {
		/* Others' callbacks may remove it once more, and cannot know better. */
		guest->gone = true;
		guest->next = bus->limbo;
		bus->limbo = guest;
		return;
	}
	free(guest); /* the first member of what it is */
}

/* Takes a list. */
static void free_guests(struct gh_bus *bus, struct gh_bus_guest *list)
{
	while (list != NULL) {
		struct gh_bus_guest *guest = list;

		list = guest->next;
		gh_bus_guest_free(bus, guest);
	}
}

void gh_bus_reap(struct gh_vm *vm)
{
	struct gh_bus *bus = &vm->bus;
	struct gh_bus_guest **link = &bus->limbo;
	struct gh_bus_guest *gone = NULL;

	(void)pthread_mutex_lock(&bus->lock);
	while (*link != NULL) {
		struct gh_bus_guest *guest = *link;

		if (guest->gone || is_inside(bus, guest)) {
			link = &guest->next;
			continue;
		}
		*link = guest->next;
		let_go(bus, guest);
		guest->gone = true;
		if (guest->awaited) {
			(void)pthread_cond_broadcast(&bus->left);
			continue;
		}
		guest->next = gone;
		gone = guest;
	}
	(void)pthread_mutex_unlock(&bus->lock);
	free_guests(bus, gone);
}

/* --- with the VM and its vCPUs ---------------------------------------------------------------------------------------- */

int gh_bus_init(struct gh_vm *vm)
{
	struct gh_bus *bus = &vm->bus;

	atomic_init(&bus->care, GH_BUS_FENCED);
	if (pthread_mutex_init(&bus->lock, NULL) != 0)
		return -ENOMEM;
	if (pthread_cond_init(&bus->left, NULL) != 0) {
		(void)pthread_mutex_destroy(&bus->lock);
		return -ENOMEM;
	}
	return 0;
}

void gh_bus_clear(struct gh_vm *vm)
{
	struct gh_bus *bus = &vm->bus;
	struct gh_bus_table *table = atomic_load(&bus->table);
	struct gh_bus_guest *limbo = bus->limbo;

	/* A callback may remove others. It edits the table in place from now on. */
	bus->closing = true;
	/* Only in a forked child: the parent's threads are in these. */
	bus->limbo = NULL;
	free_guests(bus, limbo);
	while (table != NULL && table->n_entries > 0) {
		struct gh_bus_guest *guest = &table->entries[--table->n_entries].range->guest;

		guest->leaving = true;
		table->generation++;
		(void)clear_recents(bus);
		gh_bus_guest_free(bus, guest);
	}
	if (table != NULL && table->tracer != NULL) {
		struct gh_bus_guest *tracer = &table->tracer->guest;

		table->tracer = NULL;
		gh_bus_guest_free(bus, tracer);
	}
	while (bus->limbo != NULL) {
		struct gh_bus_guest *guest = bus->limbo;

		bus->limbo = guest->next;
		free(guest);
	}
}

void gh_bus_free(struct gh_vm *vm)
{
	struct gh_bus *bus = &vm->bus;
	struct gh_bus_table *table = atomic_load(&bus->table);

	/* Only a forked child has doorbells left. */
	for (uint32_t i = 0; table != NULL && i < table->n_doorbells; i++)
		free(table->doorbells[i].guest);
	free(table);
	free(bus->spare);
	free(bus->free_indices);
	/* A child's copy may count threads of the parent's that wait: destroying it would wait for them. */
	if (!vm->b.in_child)
		(void)pthread_cond_destroy(&bus->left);
	(void)pthread_mutex_destroy(&bus->lock);
}

int gh_bus_join(struct gh_vcpu *vcpu)
{
	struct gh_bus *bus = &vcpu->vm->bus;
	struct gh_bus_slot *slot = &vcpu->bus;
	uint32_t chunk = 0;

	slot->vm = vcpu->vm;
	slot->live = &vcpu->live->bus;
	(void)pthread_mutex_lock(&bus->lock);
	while (chunk < bus->n_chunks) {
		slot->chunks[chunk] = gh_bus_cells_new(chunk);
		if (slot->chunks[chunk] == NULL)
			break;
		chunk++;
	}
	if (chunk == bus->n_chunks) {
		slot->live->vcpu = vcpu;
		atomic_store(&slot->live->calm, atomic_load(&bus->care) == 0);
		slot->next = bus->slots;
		bus->slots = slot;
		(void)pthread_mutex_unlock(&bus->lock);
		return 0;
	}
	(void)pthread_mutex_unlock(&bus->lock);
	while (chunk-- > 0)
		free(slot->chunks[chunk]);
	return -ENOMEM;
}

void gh_bus_leave(struct gh_vcpu *vcpu)
{
	struct gh_vm *vm = vcpu->vm;
	struct gh_bus_slot *slot = &vcpu->bus;
	struct gh_bus_slot **link = &vm->bus.slots;

	/* In a child the lock may be held for ever, by a thread that it does not have. */
	if (!vm->b.in_child)
		(void)pthread_mutex_lock(&vm->bus.lock);
	while (*link != NULL && *link != slot)
		link = &(*link)->next;
	if (*link != NULL)
		*link = slot->next;
	if (!vm->b.in_child)
		(void)pthread_mutex_unlock(&vm->bus.lock);
	/* The id may be used once more. */
	atomic_store(&slot->live->at, NULL);
	for (uint32_t chunk = 0; chunk < GH_BUS_CHUNKS; chunk++)
		free(slot->chunks[chunk]);
}
