/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A serial port between a guest and two descriptors, such as a terminal's or a pipe's, with a thread that waits for them.
 *
 * The descriptors stay as they are: they need not be non-blocking. A guest that is faster than its reader waits, as does a
 * writer that is faster than the guest.
 */
#ifndef GH_EXAMPLES_CONSOLE_H
#define GH_EXAMPLES_CONSOLE_H

#include "uart16550.h"

struct console_options {
	uint64_t gpa;         /* of the port's registers */
	uint32_t line;        /* of its interrupt, edge-triggered */
	int input;            /* descriptor, or -1; it is read until its end */
	int output;           /* descriptor, or -1 */
	uint8_t end_of_input; /* a byte for the guest when the input has ended, such as 4 (^D); 0: none */
	bool ignore_rts;      /* see uart16550.h */
};

struct console;

/* 0, or a negative errno value; gh_vm_failure() has the reason if the library refused. */
int console_open(struct gh_vm *vm, const struct console_options *options, struct console **ret_console);
/*
 * Waits until the output has taken what the guest has sent, and frees it. When no vCPU runs any more, before gh_vm_close().
 * 0, or the negative errno value that writing failed with; the guest's next store ends its loop with that, too.
 */
int console_close(struct console *console);

#endif
