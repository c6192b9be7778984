/* SPDX-License-Identifier: BSD-3-Clause */
#include "bus_model.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void model_failed(const char *file, int line, const char *condition)
{
	(void)fprintf(stderr, "%s:%d: %s\n", file, line, condition);
	__builtin_trap();
}

int model_place(const struct model *model, uint64_t gpa, uint64_t last, int *ret_other)
{
	int ret = 0;

	for (unsigned int i = 0; i < MOST_RANGES; i++) {
		const struct model_range *range = &model->ranges[i];

		if (range->life != LIVE || gpa > range->last || last < range->gpa)
			continue;
		if (ret == 0 || range->gpa < model->ranges[*ret_other].gpa)
			*ret_other = (int)i;
		ret = -EEXIST;
	}
	return ret;
}

/* Whose byte it is; -1: nobody's. */
static int owner(const struct model *model, uint64_t gpa)
{
	for (unsigned int i = 0; i < MOST_RANGES; i++) {
		const struct model_range *range = &model->ranges[i];

		if (range->life == LIVE && gpa >= range->gpa && gpa <= range->last)
			return (int)i;
	}
	return -1;
}

static int owner_of_all(const struct model *model, const struct gh_exit_mmio *mmio)
{
	int slot = owner(model, mmio->gpa);

	for (uint32_t i = 1; i < mmio->width; i++)
		if (mmio->gpa + i < mmio->gpa || owner(model, mmio->gpa + i) != slot)
			return -1;
	return slot;
}

static uint8_t byte_of(uint64_t value, uint64_t index)
{
	return (uint8_t)(value >> 8 * index);
}

static bool rings(const struct gh_bus_doorbell *doorbell, const struct gh_exit_mmio *mmio)
{
	if (mmio->is_store == 0 || doorbell->gpa != mmio->gpa || (doorbell->width != 0 && doorbell->width != mmio->width))
		return false;
	for (uint32_t i = 0; i < mmio->width && doorbell->match; i++)
		if (byte_of(doorbell->value, i) != byte_of(mmio->value, i))
			return false;
	return true;
}

static bool is_width_in(uint32_t width, uint32_t widths)
{
	return (widths & width) != 0;
}

/* Of the widths that the handler implements, the one that it gets. */
static uint32_t choose_width(uint32_t widths, uint32_t width)
{
	for (uint32_t narrower = width; narrower >= 1; narrower /= 2)
		if (is_width_in(narrower, widths))
			return narrower;
	for (uint32_t wider = width; wider <= 8; wider *= 2)
		if (is_width_in(wider, widths))
			return wider;
	return 0;
}

static void add_call(struct model_access *access, uint64_t gpa, uint32_t width)
{
	struct model_call *call = &access->calls[access->n_calls++];

	*call = (struct model_call){ .gpa = gpa, .width = width };
	for (uint32_t i = 0; i < width; i++) {
		uint64_t index = gpa + i - access->mmio.gpa; /* in the access, if it is below its width */

		if (index >= access->mmio.width)
			continue;
		call->mask |= UINT64_C(0xff) << 8 * i;
		if (access->mmio.is_store != 0)
			call->value |= (uint64_t)byte_of(access->mmio.value, index) << 8 * i;
	}
}

static void plan_calls(const struct model_range *range, struct model_access *access)
{
	const struct gh_exit_mmio *mmio = &access->mmio;
	bool aligned = mmio->gpa % mmio->width == 0;
	uint32_t width;
	uint64_t gpa;

	access->forbidden = (range->guest_widths != 0 && !is_width_in(mmio->width, range->guest_widths)) ||
			    (!aligned && !range->unaligned);
	if (access->forbidden)
		return;
	access->whole = range->handler_widths == 0 || (aligned && is_width_in(mmio->width, range->handler_widths));
	if (access->whole) {
		add_call(access, mmio->gpa, mmio->width);
		return;
	}
	width = choose_width(range->handler_widths, mmio->width);
	gpa = mmio->gpa - mmio->gpa % width;
	do {
		add_call(access, gpa, width);
		gpa += width;
	} while (gpa - mmio->gpa < mmio->width);
}

void model_begin(const struct model *model, const struct gh_exit_mmio *mmio, struct model_access *ret_access)
{
	*ret_access = (struct model_access){ .mmio = *mmio, .slot = -1 };
	for (unsigned int i = 0; i < model->n_doorbells; i++)
		ret_access->rung |= rings(&model->doorbells[i], mmio);
	if (ret_access->rung)
		return;
	ret_access->slot = owner_of_all(model, mmio);
	if (ret_access->slot >= 0)
		plan_calls(&model->ranges[ret_access->slot], ret_access);
}

void model_count_begin(struct model *model, const struct model_access *access)
{
	struct gh_bus_range_counts *counts;

	if (access->rung) {
		model->counts.doorbells++;
		for (unsigned int i = 0; i < model->n_doorbells; i++)
			for (unsigned int fd = 0; fd < EVENTFDS; fd++)
				if (model->fds[fd] == model->doorbells[i].fd && rings(&model->doorbells[i], &access->mmio))
					model->rings[fd]++;
	}
	if (access->slot < 0)
		return;
	counts = &model->ranges[access->slot].counts;
	if (access->forbidden)
		counts->forbidden++;
	else if (access->mmio.is_store != 0)
		counts->stores++;
	else
		counts->loads++;
}

/* --- the end of an access --------------------------------------------------------------------------------------------- */

static uint64_t cut(uint64_t value, uint32_t width)
{
	uint64_t result = 0;

	for (uint32_t i = 0; i < width; i++)
		result |= (uint64_t)byte_of(value, i) << 8 * i;
	return result;
}

static void answer(const struct model_access *access, uint64_t value, struct model_end *end)
{
	end->ret = GH_BUS_DONE;
	end->answered = access->mmio.is_store == 0;
	end->value = end->answered ? cut(value, access->mmio.width) : 0;
}

static void abort_guest(struct model_end *end)
{
	end->ret = GH_BUS_DONE;
	end->aborted = true;
}

static void treat_as_unmatched(struct model *model, const struct model_access *access, struct model_end *end)
{
	if (access->mmio.is_store != 0)
		model->counts.unmatched_stores++;
	else
		model->counts.unmatched_loads++;
	if (model->unmatched.policy == GH_BUS_UNMATCHED_PASS)
		end->ret = GH_BUS_UNMATCHED;
	else if (model->unmatched.policy == GH_BUS_UNMATCHED_FAIL && model->can_abort)
		abort_guest(end);
	else
		answer(access, model->unmatched.value, end);
}

/* What the guest reads, byte by byte, from what the handler has given for the registers. */
static uint64_t gather(const struct model_access *access, const uint64_t *given)
{
	uint64_t value = 0;

	for (uint32_t i = 0; i < access->mmio.width; i++)
		for (unsigned int call = 0; call < access->n_calls; call++) {
			uint64_t index = access->mmio.gpa + i - access->calls[call].gpa;

			if (index < access->calls[call].width)
				value |= (uint64_t)byte_of(given[call], index) << 8 * i;
		}
	return value;
}

/* The handler's part. */
static int judge(struct model *model, const struct model_access *access, unsigned int odd, int verdict,
		 struct model_end *end)
{
	struct gh_bus_range_counts *counts = &model->ranges[access->slot].counts;

	end->calls = access->n_calls;
	if (odd >= access->n_calls || verdict == GH_BUS_DONE || (verdict == GH_BUS_DEFER && access->mmio.is_store != 0))
		return GH_BUS_DONE;
	end->calls = odd + 1;
	if (verdict == GH_BUS_DEFER && access->whole) {
		counts->deferred++;
		return GH_BUS_DEFER;
	}
	counts->failed++;
	if (verdict == GH_BUS_DEFER)
		return -EOPNOTSUPP;
	return verdict > GH_BUS_UNMATCHED ? -EINVAL : verdict;
}

void model_conclude(struct model *model, const struct model_access *access, const uint64_t *given, unsigned int odd,
		    int verdict, struct model_end *ret_end)
{
	*ret_end = (struct model_end){ .verdict = GH_BUS_UNMATCHED };
	if (access->rung)
		ret_end->verdict = GH_BUS_DONE;
	else if (access->slot >= 0 && !access->forbidden)
		ret_end->verdict = judge(model, access, odd, verdict, ret_end);
	switch (ret_end->verdict) {
	case GH_BUS_DONE:
		answer(access, gather(access, given), ret_end);
		break;
	case GH_BUS_FAIL:
		if (model->can_abort)
			abort_guest(ret_end);
		else
			treat_as_unmatched(model, access, ret_end);
		break;
	case GH_BUS_UNMATCHED:
		treat_as_unmatched(model, access, ret_end);
		break;
	default:
		ret_end->ret = ret_end->verdict;
		break;
	}
}

/* --- counters --------------------------------------------------------------------------------------------------------- */

void model_check_counts(const struct model *model, struct gh_vm *vm)
{
	struct gh_bus_counts counts = GH_BUS_COUNTS_INIT;

	CHECK(gh_bus_counts(vm, &counts) == 0);
	CHECK(counts.unmatched_loads == model->counts.unmatched_loads);
	CHECK(counts.unmatched_stores == model->counts.unmatched_stores);
	CHECK(counts.doorbells == model->counts.doorbells);
	for (unsigned int i = 0; i < MOST_RANGES; i++) {
		const struct model_range *range = &model->ranges[i];
		struct gh_bus_range_counts own = GH_BUS_RANGE_COUNTS_INIT;

		if (range->life != LIVE)
			continue;
		CHECK(gh_bus_range_counts(range->range, &own) == 0);
		CHECK(own.loads == range->counts.loads);
		CHECK(own.stores == range->counts.stores);
		CHECK(own.deferred == range->counts.deferred);
		CHECK(own.failed == range->counts.failed);
		CHECK(own.forbidden == range->counts.forbidden);
	}
}
