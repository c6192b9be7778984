/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From an exit to the device and back: what each access of a guest pays. No lock, no memory, and nothing written that another
 * vCPU writes. bus.h has the protocol.
 */
#include "bus_last.h"
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

/* The whole access, or NULL. Nothing is added to the address, so that nothing can wrap. */
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
	if (count == 0 || gpa < entry->gpa || gpa > entry->last || width - 1 > entry->last - gpa)
		return NULL;
	return entry;
}

/* During a look-up. */
static void look_in(const struct gh_bus_table *table, struct gh_bus_slot *slot, const struct gh_exit_mmio *mmio,
		    struct found *found)
{
	const struct gh_bus_doorbell *doorbell = NULL;
	const struct gh_bus_entry *entry;

	if (table->tracer != NULL) {
		found->tracer = table->tracer;
		atomic_store_explicit(&slot->tracer, &table->tracer->guest, memory_order_relaxed);
	}
	if (table->n_doorbells != 0 && mmio->is_store != 0)
		doorbell = gh_bus_find_doorbell(table, mmio);
	if (doorbell != NULL) {
		found->rung = true;
		found->fd = doorbell->fd;
		atomic_store_explicit(&slot->range, doorbell->guest, memory_order_relaxed);
		return;
	}
	entry = find(table, mmio->gpa, mmio->width);
	if (entry == NULL)
		return;
	found->range = entry->range;
	found->cell = &slot->chunks[entry->range->chunk][entry->range->cell];
	atomic_store_explicit(&slot->range, &entry->range->guest, memory_order_relaxed);
	/* The next access may come here directly, if nobody else wants it and it passes no full barrier. */
	if (gh_bus_is_fenced(&slot->vm->bus) || table->tracer != NULL)
		return;
	if (table->n_doorbells != 0 && gh_bus_has_doorbell(table, entry->gpa, entry->last))
		return;
	slot->generation = table->generation;
	slot->last = entry->range;
	slot->cell = found->cell;
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
	if (found->range->room[mmio->width] == 0 || !gh_bus_is_aligned(mmio))
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

RARE void gh_bus_leave_with_care(struct gh_vm *vm)
{
	gh_bus_light_barrier(gh_bus_is_fenced(&vm->bus));
	if (atomic_load_explicit(&vm->bus.care, memory_order_acquire) >= GH_BUS_LEAVING)
		gh_bus_reap(vm);
}

/* With the doorbell in the slot. One that can count no further is readable, which is all that its reader can learn. */
static int ring(struct gh_vcpu *vcpu, int fd)
{
	gh_bus_count(&vcpu->bus.doorbells);
	(void)gh_eventfd_signal(vcpu->vm->b.sys, fd);
	/* Before the tracer, which may remove it. */
	gh_bus_let_go(vcpu->vm, &vcpu->bus);
	return GH_BUS_DONE;
}

/* The tracer goes last, and the slot is this thread's no longer: the answer may have made another one run the vCPU. */
static void leave(struct gh_vm *vm, struct gh_bus_slot *slot, const struct found *found)
{
	if (found->range == NULL && found->tracer == NULL)
		return;
	GH_POINT(BUS_LEAVES);
	if (found->range != NULL)
		atomic_store_explicit(&slot->range, NULL, memory_order_release);
	if (found->tracer != NULL)
		atomic_store_explicit(&slot->tracer, NULL, memory_order_release);
	gh_bus_light_barrier(false);
	GH_POINT(BUS_LEFT);
	if (atomic_load_explicit(&vm->bus.care, memory_order_relaxed) != 0)
		gh_bus_leave_with_care(vm);
}

/* Everything but a plain access to the range of the last one. */
__attribute__((noinline)) int gh_bus_dispatch_elsewhere(struct gh_vcpu *vcpu, const struct gh_exit_mmio *mmio)
{
	struct gh_bus_slot *slot = &vcpu->bus;
	struct found found;
	uint64_t value = 0;
	int verdict;
	int ret;

	if (!gh_width_valid(mmio->width))
		return -EINVAL;
	if (gh_vm_is_forked(vcpu->vm) || atomic_load_explicit(&slot->tracer, memory_order_relaxed) != NULL)
		return -EPERM;
	atomic_store_explicit(&slot->thread, &gh_kick_self, memory_order_relaxed);
	look_up(vcpu->vm, slot, mmio, &found);
	verdict = found.rung ? ring(vcpu, found.fd) : GH_BUS_UNMATCHED;
	if (found.range != NULL)
		verdict = serve(vcpu, &found, mmio, &value);
	ret = verdict == GH_BUS_DONE ? answer(vcpu, mmio, value) : settle(vcpu, mmio, verdict, &value);
	if (found.tracer != NULL)
		show(vcpu, mmio, &found, ret < 0 ? ret : verdict, ret == GH_BUS_DONE ? value : 0);
	leave(vcpu->vm, slot, &found);
	return ret;
}

__attribute__((noinline)) int gh_bus_conclude(struct gh_vcpu *vcpu, const struct gh_exit_mmio *mmio, int verdict,
					      uint64_t value)
{
	const struct gh_bus_slot *slot = &vcpu->bus;

	if (verdict != GH_BUS_DONE)
		verdict = judge(vcpu, slot->last, slot->cell, mmio, verdict);
	return verdict == GH_BUS_DONE ? answer(vcpu, mmio, value) : settle(vcpu, mmio, verdict, &value);
}

RARE static int dispatch_elsewhere(struct gh_vcpu *vcpu, const struct gh_exit *exit)
{
	return gh_bus_dispatch_elsewhere(vcpu, &exit->mmio);
}

RARE static int conclude(struct gh_vcpu *vcpu, const struct gh_exit *exit, int verdict, uint64_t value)
{
	return gh_bus_conclude(vcpu, &exit->mmio, verdict, value);
}

/* A function of its own, because stores would pay for the register that keeps the result. */
static __attribute__((noinline)) int finish_load(struct gh_vcpu *vcpu, uint64_t value)
{
	int ret = answer_load(vcpu, value);

	gh_bus_let_go(vcpu->vm, &vcpu->bus);
	return ret;
}

/* Addresses are made of `exit` where they are wanted: one kept over the handler's call would cost a register. */
static inline int dispatch(struct gh_vcpu *vcpu, const struct gh_exit *exit)
{
	uint64_t value;
	int verdict;

	/* A loop knows that it is on the thread that remembered; this may be another one that has been handed the exit. */
	if (atomic_load_explicit(&vcpu->bus.thread, memory_order_relaxed) != &gh_kick_self)
		atomic_store_explicit(&vcpu->bus.thread, &gh_kick_self, memory_order_relaxed);
	if (!gh_bus_ask_last(vcpu, &exit->mmio, &verdict, &value)) {
		gh_bus_let_go(vcpu->vm, &vcpu->bus);
		return dispatch_elsewhere(vcpu, exit);
	}
	if (verdict != GH_BUS_DONE)
		verdict = conclude(vcpu, exit, verdict, value);
	else if (exit->mmio.is_store == 0)
		return finish_load(vcpu, value);
	gh_bus_let_go(vcpu->vm, &vcpu->bus);
	return verdict;
}

int gh_bus_dispatch(struct gh_vcpu *vcpu, const struct gh_exit *exit)
{
	if (vcpu == NULL || exit == NULL)
		return -EINVAL;
	if (exit->kind != GH_EXIT_MMIO)
		return GH_BUS_UNMATCHED;
	if (exit->mmio.width > GH_BUS_64 || exit->mmio.is_store > 1)
		return -EINVAL;
	/* With a range in the slot, a handler is below a dispatch on this vCPU. */
	if (atomic_load_explicit(&vcpu->bus.range, memory_order_relaxed) != NULL)
		return -EPERM;
	return dispatch(vcpu, exit);
}
