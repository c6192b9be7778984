/* SPDX-License-Identifier: BSD-3-Clause */
/* A guest that is told what to do, one step after the other: as a script, or as commands for the code in conform_guest.S. */
#ifndef TESTS_HW_CONFORM_GUEST_H
#define TESTS_HW_CONFORM_GUEST_H

#include "conform.h"

#define CONFORM_GPA UINT64_C(0x80000000) /* where its code is, and where it begins */

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

/* One VM with one vCPU, of either family. */
struct conform_guest {
	struct conform conform;
	int vcpu;
	void *page;              /* what is mapped of the vCPU, if something is */
	uint8_t *data;           /* where an access has its value, 8 bytes; with `prepare` */
	uint8_t *immediate_exit; /* with `prepare` */
	/* NULL, or what is wrong. It says what the start has answered, if there is one. */
	const char *(*prepare)(struct conform_guest *guest, const char *name);
	/* RUN: the error, or the exit in words. */
	const char *(*run_for)(struct conform_guest *guest, unsigned int seconds);
	char text[120];
};

/* With prepare() and run_for() set: up to the guest's first question. False: it has not come to that, which is said. */
bool conform_begin(struct conform_guest *guest, const char *device, const char *name, const struct conform_step *steps,
		   size_t n);
void conform_end(struct conform_guest *guest);
/* Copies the guest's code to its memory; nothing where the guest is a script's, or the host's code is no guest's. */
void conform_write_guest(uint8_t *ram);

const char *conform_go_on(struct conform_guest *guest);
void conform_answer(struct conform_guest *guest, uint64_t value);
/* What the step is as an answer to the guest's question. */
uint64_t conform_command(const struct conform_step *step);
/* The exit that the step leads to; what stands before it is the guest's question. */
const char *conform_take(struct conform_guest *guest, const struct conform_step *step);
/* For run_for(): an access in words, "idle" for the question. */
const char *conform_access(struct conform_guest *guest, uint64_t gpa, uint64_t width, bool is_store);

/* All widths, stores and loads. Ends with the guest's question, and the end is left to be asked for. */
extern const struct conform_step conform_accesses[];
extern const size_t conform_n_accesses;
void conform_test_accesses(struct conform_guest *guest);
/* With immediate_exit: after a store, and with the answer to a load. What becomes of that is the next exit. */
extern const struct conform_step conform_immediate[];
extern const size_t conform_n_immediate;
void conform_test_immediate(struct conform_guest *guest);

#endif
