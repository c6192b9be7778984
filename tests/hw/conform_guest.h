/* SPDX-License-Identifier: BSD-3-Clause */
/* What a guest is told to do, one step after the other: as a script, or as commands for the guest in conform_guest.S. */
#ifndef TESTS_HW_CONFORM_GUEST_H
#define TESTS_HW_CONFORM_GUEST_H

#include <stddef.h>
#include <stdint.h>

#define CONFORM_IDLE 0x6000u   /* the guest asks for a command here, */
#define CONFORM_REPORT 0x6018u /* and stores what it has loaded here */
#define CONFORM_OFF 0x84000008u
#define CONFORM_RESET 0x84000009u

enum conform_op { CONFORM_STORE = 1, CONFORM_LOAD = 2, CONFORM_CALL = 3 };

struct conform_step {
	enum conform_op op;
	uint32_t gpa; /* or the function */
	uint8_t width;
	uint16_t value;
};

/* Writes the script that does the same as the commands; false if there is no room. */
int conform_script(const struct conform_step *steps, size_t n, char *script, size_t room);
uint64_t conform_command(const struct conform_step *step);
/* Copies the guest's code to its memory; nothing where the guest is a script's, or the host's code is no guest's. */
void conform_write_guest(uint8_t *ram);

#endif
