/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A serial port with the registers of a 16550A, one byte each, as `ns16550a` with reg-shift 0 and reg-io-width 1.
 *
 * Output: what the guest stores goes to `output` at once. If that does not take all of it, the bytes stay in the FIFO, and
 * the line status says that there is no room, so that the guest waits; uart16550_drain() goes on when there is. Nothing is
 * lost unless the guest stores although it was told to wait (uart16550_lost()).
 *
 * Input: uart16550_push() takes as much as the FIFO has room for. If that is not all, `wants_input` is called when the guest
 * has emptied the FIFO. As long as the guest holds MCR.RTS low nothing is taken, because a driver that is being set up
 * empties the FIFO; `ignore_rts` is for guests that never raise it.
 *
 * Interrupts go to an edge-triggered line. It is raised whenever there is a new reason for one, and again when a reason is
 * left after the guest has accessed a register that drivers serve interrupts with: none is missed, a few find nothing to do.
 * There is no clock in here, so that input below the FIFO's trigger level is reported as a timeout at once.
 *
 * Not there: errors of the line, and changes of the modem's lines.
 *
 * Any thread may call any of the functions, and any number of vCPUs may use the port.
 */
#ifndef GH_EXAMPLES_UART16550_H
#define GH_EXAMPLES_UART16550_H

#include <gh/gh.h>
#include <stdbool.h>

#define UART16550_LENGTH 8 /* bytes of the registers */
#define UART16550_FIFO 16u

struct uart16550_options {
	const char *name; /* of the range, in failures and dumps */
	uint64_t gpa;     /* of the first register */
	/* Edge-triggered. It stays the caller's, and outlives the port. */
	struct gh_irqfd *irqfd;
	/*
	 * Takes output, without waiting: returns how many of the bytes it has taken, or a negative errno value if it will
	 * never take any again. Then they are dropped, and the guest's store ends the loop with that value. Called with the
	 * port locked, so it must not call the port; it sees to it that uart16550_drain() is called later.
	 */
	int (*output)(void *data, const uint8_t *bytes, unsigned int count);
	/* There is room for input again, after uart16550_push() has not taken all. NULL: nobody wants to know. */
	void (*wants_input)(void *data);
	void *data; /* first argument of both */
	bool ignore_rts;
};

struct uart16550;

/* Puts a port on the VM's bus. 0, -EINVAL, -ENOMEM, or what gh_bus_add() says. It goes with the VM. */
int uart16550_add(struct gh_vm *vm, const struct uart16550_options *options, struct uart16550 **ret_uart);
/* Takes it away and frees it. Not at the same time as another call. NULL is allowed. */
void uart16550_remove(struct uart16550 *uart);

/* Input: how many of the bytes it has taken. */
unsigned int uart16550_push(struct uart16550 *uart, const uint8_t *bytes, unsigned int count);
/* Offers waiting output once more. How many bytes still wait, or the negative errno value of `output`. */
int uart16550_drain(struct uart16550 *uart);
/* How many bytes the guest has stored although there was no room. */
uint64_t uart16550_lost(struct uart16550 *uart);

#endif
