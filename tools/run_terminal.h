/* SPDX-License-Identifier: BSD-3-Clause */
/* The terminal in raw mode, so that every key goes to the guest, and back again however the program ends. */
#ifndef GH_TOOLS_RUN_TERMINAL_H
#define GH_TOOLS_RUN_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* True if stdin is a terminal; it is raw then. Again after a stop, when the shell has given the terminal back. */
bool run_terminal_raw(void);
/* Also async-signal-safe. Nothing if it is not raw. */
void run_terminal_restore(void);

/* Ctrl-A, as in QEMU: Ctrl-A x ends, Ctrl-A Ctrl-A is one Ctrl-A for the guest. */
struct run_escape {
	bool seen; /* the last key was Ctrl-A */
};

/* Takes the escape key out of `bytes`, in place; the new number of bytes. *ret_end: the user wants to end. */
size_t run_escape_filter(struct run_escape *escape, uint8_t *bytes, size_t count, bool *ret_end);

#endif
