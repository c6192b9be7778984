/* SPDX-License-Identifier: BSD-3-Clause */
/* The program of a life for the real guest of the system tests (tests/arm64/guest.S). */
#include "stress.h"

#if defined(__aarch64__)

#include "../arm64/box.h"

#define BEGIN 1u /* where a round begins: behind the instruction that enables the line */

extern const unsigned char test_guest_start[];
extern const unsigned char test_guest_end[];

static struct op translate(const struct program *program, uint32_t i)
{
	const struct step *step = &program->steps[i];
	const uint64_t gpa = PROGRAM_GPA + i * PROGRAM_STRIDE;

	switch (step->kind) {
	case STEP_STORE:
		return (struct op){ .op = OP_STORE, .width = step->width, .a = gpa, .b = step->value };
	case STEP_LOAD:
		return (struct op){ .op = OP_LOAD, .width = step->width, .a = gpa };
	case STEP_ECHO:
		return (struct op){ .op = OP_STORE_ACC, .width = step->width, .a = gpa };
	case STEP_SPIN:
		return (struct op){ .op = OP_SPIN, .a = step->value };
	case STEP_WAIT:
		return (struct op){ .op = OP_WAIT, .a = 1 };
	default:
		return (struct op){ .op = OP_SPIN, .a = 1 }; /* the handler has acknowledged */
	}
}

bool guest_load(struct life *life, uint64_t base)
{
	const struct program *program = &life->program;
	struct op ops[PROGRAM_STEPS + 3];
	uint32_t count = 0;

	ops[count++] = (struct op){ .op = OP_ENABLE, .a = BOX_INTID(BOX_LINE_EDGE), .b = 1 };
	for (uint32_t i = 0; i < program->count; i++)
		ops[count++] = translate(program, i);
	ops[count++] = (struct op){ .op = OP_AGAIN, .a = BEGIN, .b = program->rounds };
	ops[count++] = (struct op)OFF;
	return gh_vm_write(life->vm, base, test_guest_start, (size_t)(test_guest_end - test_guest_start)) == 0 &&
	       gh_vm_write(life->vm, base + GUEST_PROGRAM, ops, count * sizeof(ops[0])) == 0;
}

#else

bool guest_load(struct life *life, uint64_t base)
{
	(void)life;
	(void)base;
	(void)fprintf(stderr, "gh-stress: a real guest needs an arm64 machine\n");
	return false;
}

#endif
