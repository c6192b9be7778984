/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The board that the examples stand on: memory, one vCPU, a devicetree, and a guest of a few instructions. Each example puts
 * its device on the VM's bus between board_open() and board_run().
 */
#ifndef GH_EXAMPLES_BOARD_H
#define GH_EXAMPLES_BOARD_H

#include <gh/gh.h>
#include <stdbool.h>

/* Below the interrupt controller: on Gunyah only accesses there make exits. */
#define BOARD_DEVICE 0x9000000
#define BOARD_LINE 5 /* of an interrupt; INTID 37 */

struct board {
	const char *name; /* of the program, for messages */
	struct gh_vm *vm;
	struct gh_vcpu *vcpu;
	/* Called when the VM has been started, before the guest's first instruction; NULL: not. 0, or an explained error. */
	int (*before_run)(struct board *board);
};

/* Reads the command line. -1: go on; otherwise the exit status. `what` is for --help: what the program does. */
int board_arguments(struct board *board, int argc, char **argv, const char *what, const char **ret_device);
/*
 * Opens a VM on a device (NULL: the default one) with the guest's code in its memory. board_close() is due whatever comes of
 * it. 0, or a negative errno value, which has been explained.
 */
int board_open(struct board *board, const char *device, const uint32_t *guest, size_t size);
/* An irqfd for BOARD_LINE. As board_open(). */
int board_add_irqfd(struct board *board, struct gh_irqfd **ret_irqfd);
/*
 * Starts the guest, and waits until it has switched itself off. Meanwhile `work` runs on a thread of its own, which returns
 * when `stop` has been called; NULL: no thread. As board_open().
 */
int board_run(struct board *board, void *(*work)(void *data), void (*stop)(void *data), void *data);
/* Says on standard error why the last call failed; returns `error`. */
int board_explain(const struct board *board, const char *step, int error);
/* Closes the VM; the exit status. */
int board_close(struct board *board, int ret);

#endif
