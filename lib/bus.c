/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From an exit to the device and back: what each access of a guest pays. No lock, no memory, and nothing written that another
 * vCPU writes. bus.h has the protocol.
 */
#include "bus_recent.h"
#include "exit.h"
#include "points.h"

#include <errno.h>

#define STEP "dispatch an access"

/* What nearly no access needs stays out of the way of all the others. */
#define RARE __attribute__((noinline, cold))

/* What a look-up finds. The guests are left in the slot as well. */
struct found {
	struct gh_bus_range *range;
	struct gh_bus_cell *cell;
	struct gh_bus_tracer *tracer;
	bool rung; /* a doorbell takes it */
	int fd;    /* the doorbell's */
};

/* --- looking up ----------------------------------------------------------------------------------------------------- */

/* The whole access. Nothing is added to the address, so that nothing can wrap. */
static bool holds(const struct gh_bus_entry *entry, uint64_t gpa, uint32_t width)
{
	return gpa >= entry->gpa && gpa <= entry->last && width - 1 <= entry->last - gpa;
}

/* NULL: there is none. */
static const struct gh_bus_entry *find(const struct gh_bus_table *table, uint64_t gpa, uint32_t width)
{
	const struct gh_bus_entry *entry = table->entries;
	uint32_t count = table->n_entries;

	/* The last one that begins at or before the address, if there is one. */
	while (count > 1) {
		uint32_t half = count / 2;

		entry = entry[half].gpa <= gpa ? entry + half : entry;
		count -= half;
	}
	return count != 0 && holds(entry, gpa, width) ? entry : NULL;
}

/* The same, but without a search for the device of the look-up before. */
static const struct gh_bus_entry *find_again(const struct gh_bus_table *table, struct gh_bus_slot *slot,
					     const struct gh_exit_mmio *mmio)
{
	const struct gh_bus_entry *entry;

	if (slot->generation == table->generation) {
		entry = &table->entries[slot->entry];
		if (holds(entry, mmio->gpa, mmio->width))
			return entry;
	}
	entry = find(table, mmio->gpa, mmio->width);
	if (entry != NULL) {
		slot->generation = table->generation;
		slot->entry = (uint32_t)(entry - table->entries);
	}
	return entry;
}

/* Does the handler get it as the guest made it, like any other one there? */
static bool is_plain(const struct gh_bus_range *range, const struct gh_exit_mmio *mmio)
{
	return range->room[mmio->width] != 0 && gh_bus_is_aligned(mmio);
}

/* During a look-up, and at nothing: a change of the table that takes this away has not cleared yet. */
static void remember(struct gh_bus_slot *slot, struct gh_bus_range *range, struct gh_bus_cell *cell,
		     const struct gh_exit_mmio *mmio)
{
	struct gh_bus_recent *recent = gh_bus_place(slot, mmio->gpa, mmio->is_store);

	recent->gpa = mmio->gpa;
	recent->width = mmio->width;
	recent->is_store = mmio->is_store;
	recent->access = range->access;
	recent->data = range->guest.data;
	recent->count = &cell->accesses[mmio->is_store];
	gh_bus_make_access(&recent->call, slot->live->vcpu, range, mmio);
	recent->cell = cell;
	/* Whoever sees that another range was here has seen the last of it. */
	atomic_store_explicit(&recent->range, &range->guest, memory_order_release);
	atomic_store_explicit(&recent->state, mmio->is_store != 0 ? GH_BUS_STORE : GH_BUS_LOAD, memory_order_relaxed);
}

/* During a look-up. */
static void look_in(const struct gh_bus_table *table, struct gh_bus_slot *slot, const struct gh_exit_mmio *mmio,
		    struct found *found)
{
	const struct gh_bus_doorbell *doorbell = NULL;
	const struct gh_bus_entry *entry;

	if (table->tracer != NULL) {
		found->tracer = table->tracer;
		atomic_store_explicit(&slot->tracer, &table->tracer->guest, memory_order_release);
	}
	if (table->n_doorbells != 0 && mmio->is_store != 0)
		doorbell = gh_bus_find_doorbell(table, mmio);
	if (doorbell != NULL) {
		found->rung = true;
		found->fd = doorbell->fd;
		atomic_store_explicit(&slot->range, doorbell->guest, memory_order_release);
		return;
	}
	entry = find_again(table, slot, mmio);
	if (entry == NULL)
		return;
	found->range = entry->range;
	found->cell = &slot->chunks[entry->range->chunk][entry->range->cell];
	atomic_store_explicit(&slot->range, &entry->range->guest, memory_order_release);
	/* It may go there directly the next time, if nobody else wants it and it passes no full barrier. */
	if (gh_bus_is_fenced(&slot->vm->bus) || table->tracer != NULL || !is_plain(entry->range, mmio))
		return;
	if (table->n_doorbells != 0 && gh_bus_has_doorbell(table, entry->gpa, entry->last))
		return;
	remember(slot, entry->range, found->cell, mmio);
}

static void look_up(struct gh_vm *vm, struct gh_bus_slot *slot, const struct gh_exit_mmio *mmio, struct found *ret_found)
{
	const struct gh_bus_table *table = gh_bus_begin(&vm->bus, slot);

	GH_POINT(BUS_BEGUN);
	*ret_found = (struct found){ .range = NULL };
	if (table != NULL)
		look_in(table, slot, mmio, ret_found);
	GH_POINT(BUS_FOUND);
	/* The guests are in the slot before it ends: whoever removes them sees these, or has to wait for that. */
	gh_bus_end(slot);
}

/* --- asking the handler --------------------------------------------------------------------------------------------- */

RARE static int explain(struct gh_vcpu *vcpu, const struct gh_bus_range *range, const struct gh_exit_mmio *mmio, int error,
			int returned)
{
	return gh_fail_as(&vcpu->failure, GH_CAUSE_HANDLER, error, STEP, NULL,
			  "A handler returns one of gh_bus_verdict, or a negative errno value to end the loop.",
			  "The handler of \"%s\" returned %d for a %s of %u bytes at 0x%llx.", range->name, returned,
			  mmio->is_store != 0 ? "store" : "load", mmio->width, (unsigned long long)mmio->gpa);
}

/* gh_mmio_complete() would give the guest a whole register for a part of one, or a part for all of several. */
RARE static int explain_deferral(struct gh_vcpu *vcpu, const struct gh_bus_range *range)
{
	return gh_fail_as(
		&vcpu->failure, GH_CAUSE_HANDLER, -EOPNOTSUPP, STEP, NULL,
		"Let the guest use only the widths that the handler implements (gh_bus_range_options::guest_widths).",
		"The handler of \"%s\" deferred a load that had to be split or widened for it.", range->name);
}

static bool is_forbidden(const struct gh_bus_range *range, const struct gh_exit_mmio *mmio)
{
	return (range->guest_widths & mmio->width) == 0 || (!range->unaligned && !gh_bus_is_aligned(mmio));
}

/* Does the handler get it as the guest made it? */
static bool is_implemented(const struct gh_bus_range *range, const struct gh_exit_mmio *mmio)
{
	return range->handler_widths == 0 || ((range->handler_widths & mmio->width) != 0 && gh_bus_is_aligned(mmio));
}

/* Anything but GH_BUS_DONE: the verdict that counts, or an error that has been explained. */
RARE static int judge(struct gh_vcpu *vcpu, const struct gh_bus_range *range, struct gh_bus_cell *cell,
		      const struct gh_exit_mmio *mmio, int verdict)
{
	/* The handler has forked, and this is the child: the guest is not its. */
	if (gh_vm_is_forked(vcpu->vm))
		return -EPERM;
	if (verdict == GH_BUS_DEFER && mmio->is_store != 0)
		return GH_BUS_DONE;
	if (verdict == GH_BUS_DEFER && is_implemented(range, mmio)) {
		gh_bus_count(&cell->deferred);
		return GH_BUS_DEFER;
	}
	gh_bus_count(&cell->failed);
	if (verdict == GH_BUS_DEFER)
		return explain_deferral(vcpu, range);
	if (verdict < 0)
		return explain(vcpu, range, mmio, verdict, verdict);
	return verdict <= GH_BUS_UNMATCHED ? verdict : explain(vcpu, range, mmio, -EINVAL, verdict);
}

/* An access that is not plainly allowed and implemented. */
RARE static int serve_odd(const struct gh_bus_range *range, struct gh_bus_cell *cell, const struct gh_exit_mmio *mmio,
			  struct gh_bus_access *access, uint64_t *ret_value)
{
	int verdict;

	if (is_forbidden(range, mmio)) {
		gh_bus_count(&cell->forbidden);
		return GH_BUS_UNMATCHED;
	}
	gh_bus_count(&cell->accesses[mmio->is_store]);
	if (is_implemented(range, mmio)) {
		verdict = range->access(range->guest.data, access);
		*ret_value = access->value;
	} else {
		verdict = gh_bus_window(range, access, ret_value);
	}
	return verdict == GH_BUS_DONE ? GH_BUS_DONE : judge(access->vcpu, range, cell, mmio, verdict);
}

/* With the guests in the slot. */
static int serve(struct gh_vcpu *vcpu, const struct found *found, const struct gh_exit_mmio *mmio, uint64_t *ret_value)
{
	struct gh_bus_access access;
	int verdict;

	gh_bus_make_access(&access, vcpu, found->range, mmio);
	if (!is_plain(found->range, mmio))
		return serve_odd(found->range, found->cell, mmio, &access, ret_value);
	gh_bus_count(&found->cell->accesses[mmio->is_store]);
	verdict = found->range->access(found->range->guest.data, &access);
	*ret_value = access.value;
	return verdict == GH_BUS_DONE ? GH_BUS_DONE : judge(vcpu, found->range, found->cell, mmio, verdict);
}

/* --- answering the guest -------------------------------------------------------------------------------------------- */

/* A VM that has stopped meanwhile wants no answer any more, and says so with the next run. */
static inline int answer_load(struct gh_vcpu *vcpu, uint64_t value)
{
	int ret = gh_mmio_complete(vcpu, value);

	return ret == 0 || ret == -ESHUTDOWN ? GH_BUS_DONE : ret;
}

static int answer(struct gh_vcpu *vcpu, const struct gh_exit_mmio *mmio, uint64_t value)
{
	return mmio->is_store != 0 ? GH_BUS_DONE : answer_load(vcpu, value);
}

static int refuse(struct gh_vcpu *vcpu)
{
	int ret;

	if ((vcpu->vm->b.caps.features & GH_FEATURE_MMIO_ABORT) == 0)
		return -EOPNOTSUPP;
	ret = gh_mmio_fail(vcpu);
	return ret == -ESHUTDOWN ? GH_BUS_DONE : ret;
}

/* What the table says of accesses that nobody takes. */
static void look_up_policy(struct gh_vcpu *vcpu, uint32_t *ret_policy, uint64_t *ret_value)
{
	struct gh_bus *bus = &vcpu->vm->bus;
	const struct gh_bus_table *table = gh_bus_begin(bus, &vcpu->bus);

	*ret_policy = table != NULL ? table->policy : GH_BUS_UNMATCHED_PASS;
	*ret_value = table != NULL ? table->value : 0;
	gh_bus_end(&vcpu->bus);
}

RARE static int answer_unmatched(struct gh_vcpu *vcpu, const struct gh_exit_mmio *mmio, uint64_t *ret_value)
{
	uint32_t policy;
	uint64_t value;
	int ret;

	gh_bus_count(mmio->is_store != 0 ? &vcpu->bus.unmatched_stores : &vcpu->bus.unmatched_loads);
	*ret_value = 0;
	ret = gh_fault_check_access(vcpu, mmio);
	if (ret < 0)
		return ret;
	look_up_policy(vcpu, &policy, &value);
	if (policy == GH_BUS_UNMATCHED_PASS)
		return GH_BUS_UNMATCHED;
	if (policy == GH_BUS_UNMATCHED_FAIL) {
		ret = refuse(vcpu);
		if (ret != -EOPNOTSUPP)
			return ret;
	}
	*ret_value = value;
	return answer(vcpu, mmio, value);
}

int gh_bus_answer_unmatched(struct gh_vcpu *vcpu, const struct gh_exit *exit)
{
	uint32_t policy;
	uint64_t value;

	look_up_policy(vcpu, &policy, &value);
	return answer(vcpu, &exit->mmio, value);
}

/* What gh_bus_dispatch() returns for a verdict other than GH_BUS_DONE. */
RARE static int settle(struct gh_vcpu *vcpu, const struct gh_exit_mmio *mmio, int verdict, uint64_t *ret_value)
{
	*ret_value = 0;
	if (verdict == GH_BUS_FAIL) {
		int ret = refuse(vcpu);

		if (ret != -EOPNOTSUPP)
			return ret;
	}
	if (verdict == GH_BUS_FAIL || verdict == GH_BUS_UNMATCHED)
		return answer_unmatched(vcpu, mmio, ret_value);
	return verdict;
}

/* --- all of it ------------------------------------------------------------------------------------------------------ */

RARE static void show(struct gh_vcpu *vcpu, const struct gh_exit_mmio *mmio, const struct found *found, int verdict,
		      uint64_t value)
{
	const struct gh_bus_event event = { .vcpu = vcpu,
					    .range = found->range != NULL ? found->range->name : NULL,
					    .gpa = mmio->gpa,
					    .value = mmio->is_store != 0 ? mmio->value : value & gh_value_mask(mmio->width),
					    .width = mmio->width,
					    .is_store = mmio->is_store,
					    .verdict = verdict,
					    .is_doorbell = found->rung };

	found->tracer->trace(found->tracer->guest.data, &event);
}

RARE void gh_bus_leave_with_care(struct gh_bus_live *live)
{
	struct gh_vm *vm;

	/* In a child, which dispatches no more. */
	if (live->vcpu == NULL) {
		atomic_store_explicit(&live->at, NULL, memory_order_relaxed);
		return;
	}
	vm = live->vcpu->vm;
	gh_bus_light_barrier(gh_bus_is_fenced(&vm->bus));
	if (atomic_load_explicit(&vm->bus.care, memory_order_acquire) >= GH_BUS_LEAVING)
		gh_bus_reap(vm);
}

/* After a handler, a tracer or a doorbell of a look-up. */
static void let_go(struct gh_bus_live *live)
{
	gh_bus_light_barrier(false);
	GH_POINT(BUS_LEFT);
	if (atomic_load_explicit(&live->calm, memory_order_relaxed) == 0)
		gh_bus_leave_with_care(live);
}

/* With the doorbell in the slot. One that can count no further is readable, which is all that its reader can learn. */
static int ring(struct gh_vcpu *vcpu, int fd)
{
	gh_bus_count(&vcpu->bus.doorbells);
	(void)gh_eventfd_signal(vcpu->vm->b.sys, fd);
	GH_POINT(BUS_LEAVES);
	/* Before the tracer, which may remove it. */
	atomic_store_explicit(&vcpu->bus.range, NULL, memory_order_release);
	let_go(vcpu->bus.live);
	return GH_BUS_DONE;
}

/* The tracer goes last, and the slot is this thread's no longer: the answer may have made another one run the vCPU. */
static void leave(struct gh_bus_slot *slot, const struct found *found)
{
	if (found->range == NULL && found->tracer == NULL)
		return;
	GH_POINT(BUS_LEAVES);
	atomic_store_explicit(&slot->live->at, gh_bus_self(), memory_order_release);
	if (found->range != NULL)
		atomic_store_explicit(&slot->range, NULL, memory_order_release);
	if (found->tracer != NULL)
		atomic_store_explicit(&slot->tracer, NULL, memory_order_release);
	let_go(slot->live);
}

__attribute__((noinline)) int gh_bus_dispatch_elsewhere(struct gh_vcpu *vcpu, const struct gh_exit_mmio *mmio)
{
	struct gh_bus_slot *slot = &vcpu->bus;
	struct found found;
	uint64_t value = 0;
	int verdict;
	int ret;

	if (!gh_width_valid(mmio->width) || mmio->is_store > 1)
		return -EINVAL;
	/* A handler or a tracer may be below this. */
	if (gh_vm_is_forked(vcpu->vm) || gh_bus_is_busy(slot))
		return -EPERM;
	atomic_store_explicit(&slot->thread, &gh_kick_self, memory_order_relaxed);
	/* Nothing is recent below a handler or a tracer. */
	atomic_store_explicit(&slot->live->at, NULL, memory_order_relaxed);
	look_up(vcpu->vm, slot, mmio, &found);
	if (found.range == NULL && found.tracer == NULL)
		atomic_store_explicit(&slot->live->at, gh_bus_self(), memory_order_release);
	verdict = found.rung ? ring(vcpu, found.fd) : GH_BUS_UNMATCHED;
	if (found.range != NULL)
		verdict = serve(vcpu, &found, mmio, &value);
	ret = verdict == GH_BUS_DONE ? answer(vcpu, mmio, value) : settle(vcpu, mmio, verdict, &value);
	if (found.tracer != NULL)
		show(vcpu, mmio, &found, ret < 0 ? ret : verdict, ret == GH_BUS_DONE ? value : 0);
	leave(slot, &found);
	return ret;
}

__attribute__((noinline)) int gh_bus_conclude(struct gh_vcpu *vcpu, const struct gh_bus_recent *recent, int verdict,
					      uint64_t value)
{
	const struct gh_bus_guest *guest = atomic_load_explicit(&recent->range, memory_order_relaxed);
	const struct gh_exit_mmio mmio = { .gpa = recent->gpa, .width = recent->width, .is_store = recent->is_store };

	if (verdict != GH_BUS_DONE)
		verdict = judge(vcpu, (const struct gh_bus_range *)(const void *)guest, recent->cell, &mmio, verdict);
	return verdict == GH_BUS_DONE ? answer(vcpu, &mmio, value) : settle(vcpu, &mmio, verdict, &value);
}

RARE static int dispatch_elsewhere(struct gh_vcpu *vcpu, const struct gh_exit *exit)
{
	return exit->kind == GH_EXIT_MMIO ? gh_bus_dispatch_elsewhere(vcpu, &exit->mmio) : GH_BUS_UNMATCHED;
}

/* A recent access that is not known to be a store, for whoever is at it. */
static __attribute__((noinline)) int dispatch_load(struct gh_vcpu *vcpu, const struct gh_exit *exit,
						   struct gh_bus_recent *recent)
{
	struct gh_bus_live *live = vcpu->bus.live;
	int ret;

	if (gh_bus_recent_state(recent) == GH_BUS_NOTHING) {
		gh_bus_let_go(live);
		return dispatch_elsewhere(vcpu, exit);
	}
	ret = gh_bus_ask(recent, exit->mmio.value);
	ret = ret == GH_BUS_DONE ? answer_load(vcpu, recent->call.value)
				 : gh_bus_conclude(vcpu, recent, ret, recent->call.value);
	gh_bus_let_go(live);
	return ret;
}

/* A recent store which was not done. */
RARE static int conclude_store(struct gh_bus_live *live, int verdict)
{
	const struct gh_bus_recent *recent;

	/* In a child, as judge() says. */
	if (live->vcpu == NULL)
		return -EPERM;
	recent = gh_bus_running(&live->vcpu->bus);
	verdict = gh_bus_conclude(live->vcpu, recent, verdict, 0);
	gh_bus_let_go(live);
	return verdict;
}

/* A function of its own, because the verdict would be kept on the stack. */
RARE static int leave_store(struct gh_bus_live *live)
{
	gh_bus_leave_with_care(live);
	return GH_BUS_DONE;
}

int gh_bus_dispatch(struct gh_vcpu *vcpu, const struct gh_exit *exit)
{
	struct gh_bus_recent *recent;
	struct gh_bus_live *live;
	int verdict;

	if (vcpu == NULL || exit == NULL)
		return -EINVAL;
	live = vcpu->bus.live;
	if (exit->kind != GH_EXIT_MMIO)
		return dispatch_elsewhere(vcpu, exit);
	recent = gh_bus_recall(&vcpu->bus, &exit->mmio);
	if (recent == NULL)
		return dispatch_elsewhere(vcpu, exit);
	if (gh_bus_recent_state(recent) != GH_BUS_STORE)
		return dispatch_load(vcpu, exit, recent);
	/* Of what is here only `live` is still wanted afterwards: more would have to be saved. */
	verdict = gh_bus_ask(recent, exit->mmio.value);
	if (verdict != GH_BUS_DONE)
		return conclude_store(live, verdict);
	return gh_bus_step_out(live) ? leave_store(live) : GH_BUS_DONE;
}
