/* SPDX-License-Identifier: BSD-3-Clause */
/* Is this the exit whose turn it is, with the value that it must have? */
#include "stress.h"

#include <string.h>

/* The first step from `step` on that exits. */
static uint32_t find_exit(const struct program *program, uint32_t step)
{
	while (!program_exits(program, step % program->count))
		step++;
	return step % program->count;
}

void check_begin(struct check *check, const struct program *program, struct counts *counts)
{
	memset(check, 0, sizeof(*check));
	check->program = program;
	check->counts = counts;
	check->next = find_exit(program, 0);
	check->last = UINT32_MAX;
}

static void advance(struct check *check)
{
	check->next = find_exit(check->program, check->next + 1);
	if (check->next == find_exit(check->program, 0))
		check->round++;
}

/* Catches up with the guest; false: that has been here before. */
static bool find_place(struct check *check, uint32_t step)
{
	if (step != check->next && step == check->last) {
		check->counts->exits_twice++;
		return false;
	}
	while (check->next != step) {
		check->counts->exits_lost++;
		advance(check);
	}
	return true;
}

/* None is 0 or like one before, unless it is 0 on purpose: such an answer may be interrupted at any time. */
static uint64_t new_answer(struct check *check, uint32_t width)
{
	const uint64_t mask = width == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * width) - 1;
	uint64_t value;

	if (random_once_in(16))
		return 0;
	do
		value = ++check->sequence * UINT64_C(0x9e3779b97f4a7c15) & mask;
	while (value == 0 || value == check->answer);
	return value;
}

static void check_echo(struct check *check, uint64_t value)
{
	if (value == check->answer)
		return;
	if (value == 0)
		check->counts->loads_zero++;
	else
		check->counts->loads_stale++;
}

void check_access(struct check *check, const struct gh_exit_mmio *mmio, uint64_t *ret_answer)
{
	const uint64_t step = (mmio->gpa - PROGRAM_GPA) / PROGRAM_STRIDE;
	const struct step *expected = &check->program->steps[step < PROGRAM_STEPS ? step : 0];
	bool is_store = expected->kind != STEP_LOAD;

	check->counts->exits++;
	if (step >= check->program->count || !program_exits(check->program, (uint32_t)step) ||
	    mmio->width != expected->width || (mmio->is_store != 0) != is_store) {
		check->counts->exits_wrong++;
		*ret_answer = 0;
		return;
	}
	if (!find_place(check, (uint32_t)step)) {
		*ret_answer = check->answer;
		return;
	}
	check->last = check->next;
	advance(check);
	switch (expected->kind) {
	case STEP_LOAD:
		check->counts->loads++;
		check->answer = new_answer(check, expected->width);
		*ret_answer = check->answer;
		break;
	case STEP_ECHO:
		check_echo(check, mmio->value);
		break;
	default:
		check->counts->exits_wrong += mmio->value != expected->value;
		break;
	}
}

void check_end(struct check *check, uint32_t cause)
{
	if (cause != GH_STOP_POWER_OFF)
		check->counts->ends_wrong++;
	if (check->round > check->program->rounds)
		check->counts->exits_twice++;
	while (check->round < check->program->rounds) {
		check->counts->exits_lost++;
		advance(check);
	}
	if (check->round == check->program->rounds && check->next != find_exit(check->program, 0))
		check->counts->exits_wrong++;
}

unsigned long counts_losses(const struct counts *counts)
{
	return counts->kicks_lost + counts->kicks_from_nowhere + counts->exits_lost + counts->exits_twice +
	       counts->exits_wrong + counts->loads_zero + counts->loads_stale + counts->ends_lost + counts->ends_wrong +
	       counts->errors;
}

void counts_add(struct counts *sum, const struct counts *counts)
{
	const unsigned long *from = (const unsigned long *)(const void *)counts;
	unsigned long *to = (unsigned long *)(void *)sum;

	for (size_t i = 0; i < sizeof(*counts) / sizeof(*from); i++)
		to[i] += from[i];
}
