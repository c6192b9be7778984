/* SPDX-License-Identifier: BSD-3-Clause */
/* Random programs for the guest, and what they are in the words of the script engine. */
#include "stress.h"

#include <inttypes.h>
#include <string.h>

static void add(struct program *program, enum step_kind kind, uint32_t width, uint64_t value)
{
	program->steps[program->count++] = (struct step){ kind, width, value };
}

static void add_store(struct program *program)
{
	static const uint32_t widths[] = { 1, 2, 4, 8 };
	const uint32_t width = widths[random_below(4)];
	const uint64_t value = UINT64_C(0xc3a5f00f00010203) + program->count * UINT64_C(0x0101010101010101);

	add(program, STEP_STORE, width, width == 8 ? value : value & ((UINT64_C(1) << 8 * width) - 1));
}

static void add_load(struct program *program)
{
	static const uint32_t widths[] = { 1, 2, 4 };

	add(program, STEP_LOAD, random_once_in(4) ? widths[random_below(3)] : 8, 0);
}

/* A few steps that belong together. What follows a load at once is what a kick meets while the answer is out (H1). */
static void add_phrase(struct program *program, uint32_t most_turns)
{
	switch (random_below(8)) {
	case 0:
	case 1:
		add_store(program);
		break;
	case 2:
		add_store(program);
		add(program, STEP_SPIN, 0, 1 + random_below(most_turns));
		break;
	case 3:
		add_store(program);
		add(program, STEP_WAIT, 0, 0);
		add(program, STEP_ACK, 0, 0);
		break;
	case 4:
		add_load(program);
		add(program, STEP_WAIT, 0, 0);
		add(program, STEP_ECHO, 8, 0);
		add(program, STEP_ACK, 0, 0);
		break;
	case 5:
		add_load(program);
		add(program, STEP_SPIN, 0, 1 + random_below(most_turns));
		add(program, STEP_ECHO, 8, 0);
		break;
	default:
		add_load(program);
		add(program, STEP_ECHO, 8, 0);
		break;
	}
}

bool program_exits(const struct program *program, uint32_t step)
{
	return program->steps[step].kind <= STEP_ECHO;
}

void program_make(struct program *program, uint32_t most_rounds, uint32_t most_turns)
{
	memset(program, 0, sizeof(*program));
	program->rounds = 1 + random_below(most_rounds);
	do
		add_phrase(program, most_turns);
	while (program->count + 4 <= PROGRAM_STEPS && !random_once_in(12));
	for (uint32_t i = 0; i < program->count; i++)
		program->exits += program_exits(program, i);
}

static uint64_t gpa_of(uint32_t step)
{
	return PROGRAM_GPA + step * PROGRAM_STRIDE;
}

static int write_step(const struct program *program, uint32_t i, char *text, size_t size)
{
	const struct step *step = &program->steps[i];

	switch (step->kind) {
	case STEP_STORE:
		return snprintf(text, size, "store %" PRIu64 " %u %" PRIu64 "\n", gpa_of(i), step->width, step->value);
	case STEP_LOAD:
		return snprintf(text, size, "load %" PRIu64 " %u\n", gpa_of(i), step->width);
	case STEP_ECHO:
		return snprintf(text, size, "echo %" PRIu64 " %u\n", gpa_of(i), step->width);
	case STEP_SPIN:
		return snprintf(text, size, "spin %" PRIu64 "\n", step->value);
	case STEP_WAIT:
		return snprintf(text, size, "wfi\n");
	default:
		return snprintf(text, size, "ack\n");
	}
}

void program_script(const struct program *program, char *text, size_t size)
{
	size_t at = (size_t)snprintf(text, size, "repeat %u\n", program->rounds);

	for (uint32_t i = 0; i < program->count; i++)
		at += (size_t)write_step(program, i, text + at, size - at);
	(void)snprintf(text + at, size - at, "end\noff\n");
}
