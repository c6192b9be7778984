/* SPDX-License-Identifier: BSD-3-Clause */
#include "conform_guest.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- steps -------------------------------------------------------------------------------------------------------- */

uint64_t conform_command(const struct conform_step *step)
{
	return (uint64_t)step->op | (uint64_t)step->width << 8 | (uint64_t)step->gpa << 16 | (uint64_t)step->value << 48;
}

static int write_step(const struct conform_step *step, char *text, size_t room)
{
	switch (step->op) {
	case CONFORM_STORE:
		return snprintf(text, room, "load 0x%x 8; store 0x%x %u 0x%x\n", CONFORM_IDLE, step->gpa, step->width,
				step->value);
	case CONFORM_LOAD:
		return snprintf(text, room, "load 0x%x 8; load 0x%x %u; echo 0x%x 8\n", CONFORM_IDLE, step->gpa,
				step->width, CONFORM_REPORT);
	default:
		return snprintf(text, room, "load 0x%x 8; %s\n", CONFORM_IDLE,
				step->gpa == CONFORM_RESET ? "reset" : "off");
	}
}

static int write_script(const struct conform_step *steps, size_t n, char *script, size_t room)
{
	size_t used = 0;

	for (size_t i = 0; i < n; i++) {
		int length = write_step(&steps[i], script + used, room - used);

		if (length < 0 || (size_t)length >= room - used)
			return -1;
		used += (size_t)length;
	}
	return 0;
}

/* --- a guest ------------------------------------------------------------------------------------------------------ */

#if defined(__aarch64__)
extern const uint8_t conform_guest[];
extern const uint8_t conform_guest_end[];

void conform_write_guest(uint8_t *ram)
{
	memcpy(ram, conform_guest, (size_t)(conform_guest_end - conform_guest));
}
#else
void conform_write_guest(uint8_t *ram)
{
	(void)ram;
}
#endif

bool conform_begin(struct conform_guest *guest, const char *device, const char *name, const struct conform_step *steps,
		   size_t n)
{
	char script[1000];
	char line[60];
	const char *said;

	guest->conform = (struct conform){ .device = device, .dev = -1, .vm = -1 };
	guest->vcpu = -1;
	if (write_script(steps, n, script, sizeof(script)) < 0 || !conform_open(&guest->conform, script))
		return false;
	said = guest->prepare(guest, name);
	(void)snprintf(line, sizeof(line), "%s.%s", name, said == NULL ? "first exit" : "start");
	if (said == NULL)
		said = conform_go_on(guest);
	conform_say(line, "%s", said);
	if (strcmp(said, "idle") == 0)
		return true;
	conform_end(guest);
	return false;
}

void conform_end(struct conform_guest *guest)
{
	struct conform *conform = &guest->conform;

	if (guest->page != NULL)
		(void)conform->sys->munmap(conform->sys, guest->page, CONFORM_PAGE);
	if (guest->vcpu >= 0)
		(void)conform->sys->close(conform->sys, guest->vcpu);
	conform_close(conform);
}

const char *conform_go_on(struct conform_guest *guest)
{
	return guest->run_for(guest, CONFORM_PATIENCE);
}

void conform_answer(struct conform_guest *guest, uint64_t value)
{
	memcpy(guest->data, &value, sizeof(value));
}

const char *conform_take(struct conform_guest *guest, const struct conform_step *step)
{
	conform_answer(guest, conform_command(step));
	return conform_go_on(guest);
}

const char *conform_access(struct conform_guest *guest, uint64_t gpa, uint64_t width, bool is_store)
{
	uint64_t value;

	if (!is_store && gpa == CONFORM_IDLE)
		return "idle";
	memcpy(&value, guest->data, sizeof(value));
	if (width < sizeof(value))
		value &= (UINT64_C(1) << 8 * width) - 1;
	if (is_store)
		(void)snprintf(guest->text, sizeof(guest->text), "store 0x%llx len %llu value 0x%llx",
			       (unsigned long long)gpa, (unsigned long long)width, (unsigned long long)value);
	else
		(void)snprintf(guest->text, sizeof(guest->text), "load 0x%llx len %llu", (unsigned long long)gpa,
			       (unsigned long long)width);
	return guest->text;
}

/* --- what it is for ----------------------------------------------------------------------------------------------- */

const struct conform_step conform_accesses[] = {
	{ CONFORM_STORE, 0x7000, 1, 0x2211 }, { CONFORM_STORE, 0x7000, 2, 0x2211 }, { CONFORM_STORE, 0x7000, 4, 0x2211 },
	{ CONFORM_STORE, 0x7000, 8, 0x2211 }, { CONFORM_LOAD, 0x7000, 1, 0 },       { CONFORM_LOAD, 0x7000, 2, 0 },
	{ CONFORM_LOAD, 0x7000, 4, 0 },       { CONFORM_LOAD, 0x7000, 8, 0 },       { CONFORM_CALL, CONFORM_OFF, 0, 0 },
};
const size_t conform_n_accesses = COUNT(conform_accesses);

static void test_access(struct conform_guest *guest, const struct conform_step *step)
{
	const bool is_load = step->op == CONFORM_LOAD;
	char name[60];

	(void)snprintf(name, sizeof(name), "access.%s %u", is_load ? "load" : "store", step->width);
	conform_say(name, "%s", conform_take(guest, step));
	if (is_load) {
		/* Only as many bytes as the load is wide reach the guest. */
		conform_answer(guest, UINT64_C(0xf8f7f6f5f4f3f2f1));
		(void)snprintf(name, sizeof(name), "access.load %u result", step->width);
		conform_say(name, "%s", conform_go_on(guest));
	}
	(void)snprintf(name, sizeof(name), "access.%s %u; next", is_load ? "load" : "store", step->width);
	conform_say(name, "%s", conform_go_on(guest));
}

void conform_test_accesses(struct conform_guest *guest)
{
	for (size_t i = 0; conform_accesses[i].op != CONFORM_CALL; i++)
		test_access(guest, &conform_accesses[i]);
}

const struct conform_step conform_immediate[] = {
	{ CONFORM_STORE, 0x7000, 4, 1 },
	{ CONFORM_LOAD, 0x7000, 4, 0 },
	{ CONFORM_CALL, CONFORM_OFF, 0, 0 },
};
const size_t conform_n_immediate = COUNT(conform_immediate);

void conform_test_immediate(struct conform_guest *guest)
{
	conform_say("imm.store", "%s", conform_take(guest, &conform_immediate[0]));
	*guest->immediate_exit = 1;
	conform_say("imm.run after a store", "%s", conform_go_on(guest));
	conform_say("imm.flag", "%u", *guest->immediate_exit);
	*guest->immediate_exit = 0;
	conform_say("imm.then", "%s", conform_go_on(guest));
	conform_say("h1.load", "%s", conform_take(guest, &conform_immediate[1]));
	conform_answer(guest, 0x42);
	*guest->immediate_exit = 1;
	conform_say("h1.load answered, immediate_exit", "%s", conform_go_on(guest));
	*guest->immediate_exit = 0;
}
