/* SPDX-License-Identifier: BSD-3-Clause */
/* The registers behind uart16550.h. The caller holds the port's lock. */
#ifndef GH_EXAMPLES_UART16550_MODEL_H
#define GH_EXAMPLES_UART16550_MODEL_H

#include "uart16550.h"

struct uart16550_fifo {
	uint8_t bytes[UART16550_FIFO];
	unsigned int count;
};

struct uart16550_model {
	struct uart16550_fifo receive;
	struct uart16550_fifo send;
	uint64_t lost;     /* bytes that the guest has stored without room */
	bool has_new_room; /* the send FIFO has become empty, and the guest has not been told */
	uint8_t divisor[2], ier, fcr, lcr, mcr, scr;
};

uint8_t uart16550_load(struct uart16550_model *model, uint64_t offset);
void uart16550_store(struct uart16550_model *model, uint64_t offset, uint8_t value);
/* The send FIFO has got rid of its first bytes. */
void uart16550_sent(struct uart16550_model *model, unsigned int count);
/* How many bytes of input the FIFOs have room for. */
unsigned int uart16550_room(const struct uart16550_model *model, bool ignore_rts);
/* The most urgent reason for an interrupt, as the register IIR names it. */
uint8_t uart16550_reason(const struct uart16550_model *model);
#define UART16550_NO_REASON 1

#endif
