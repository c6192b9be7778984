/* SPDX-License-Identifier: BSD-3-Clause */
#include "conform_guest.h"

#include <stdio.h>
#include <string.h>

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

int conform_script(const struct conform_step *steps, size_t n, char *script, size_t room)
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
