/* SPDX-License-Identifier: BSD-3-Clause */
#include "uart16550_model.h"

#include <string.h>

/* Registers by offset. With LCR.DLAB the first two are the divisor. */
enum { DATA = 0, IER = 1, IIR_FCR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7 };

enum { IER_INPUT = 0x01, IER_ROOM = 0x02, IER_BITS = 0x0f };
enum { IIR_ROOM = 0x02, IIR_INPUT = 0x04, IIR_TIMEOUT = 0x0c, IIR_FIFOS = 0xc0 };
enum { FCR_ENABLE = 0x01, FCR_EMPTY_RECEIVE = 0x02, FCR_EMPTY_SEND = 0x04, FCR_BITS = 0xc9, FCR_TRIGGER_SHIFT = 6 };
enum { MCR_DTR = 0x01, MCR_RTS = 0x02, MCR_OUTS = 0x0c, MCR_LOOP = 0x10, MCR_BITS = 0x1f };
enum { LCR_DLAB = 0x80, LSR_INPUT = 0x01, LSR_SENT = 0x60, MSR_PRESENT = 0xb0 /* CTS, DSR, DCD */ };

static unsigned int depth(const struct uart16550_model *model)
{
	return (model->fcr & FCR_ENABLE) != 0 ? UART16550_FIFO : 1;
}

static void drop(struct uart16550_fifo *fifo, unsigned int count)
{
	fifo->count -= count;
	memmove(fifo->bytes, fifo->bytes + count, fifo->count);
}

uint8_t uart16550_reason(const struct uart16550_model *model)
{
	static const uint8_t triggers[] = { 1, 4, 8, 14 };

	if ((model->ier & IER_INPUT) != 0 && model->receive.count > 0)
		return model->receive.count >= triggers[model->fcr >> FCR_TRIGGER_SHIFT] ? IIR_INPUT : IIR_TIMEOUT;
	return (model->ier & IER_ROOM) != 0 && model->has_new_room ? IIR_ROOM : UART16550_NO_REASON;
}

static uint8_t load_data(struct uart16550_model *model)
{
	uint8_t byte = model->receive.count > 0 ? model->receive.bytes[0] : 0;

	drop(&model->receive, model->receive.count > 0);
	return byte;
}

static uint8_t load_reason(struct uart16550_model *model)
{
	uint8_t value = uart16550_reason(model);

	if (value == IIR_ROOM)
		model->has_new_room = false;
	return (uint8_t)(value | ((model->fcr & FCR_ENABLE) != 0 ? IIR_FIFOS : 0));
}

/* The other end is always there. In loopback mode the guest sees its own lines, which drivers probe by. */
static uint8_t load_modem(const struct uart16550_model *model)
{
	uint8_t own = (uint8_t)((model->mcr & MCR_RTS) << 3 | (model->mcr & MCR_DTR) << 5 | (model->mcr & MCR_OUTS) << 4);

	return (model->mcr & MCR_LOOP) != 0 ? own : MSR_PRESENT;
}

uint8_t uart16550_load(struct uart16550_model *model, uint64_t offset)
{
	bool divisor = (model->lcr & LCR_DLAB) != 0;

	switch (offset) {
	case DATA:
		return divisor ? model->divisor[0] : load_data(model);
	case IER:
		return divisor ? model->divisor[1] : model->ier;
	case IIR_FCR:
		return load_reason(model);
	case LCR:
		return model->lcr;
	case MCR:
		return model->mcr;
	case LSR:
		return (uint8_t)((model->receive.count > 0 ? LSR_INPUT : 0) | (model->send.count == 0 ? LSR_SENT : 0));
	case MSR:
		return load_modem(model);
	default:
		return model->scr;
	}
}

void uart16550_sent(struct uart16550_model *model, unsigned int count)
{
	drop(&model->send, count);
	model->has_new_room = model->has_new_room || model->send.count == 0;
}

/* In loopback mode output becomes input, and the outside has no part in it. */
static void store_data(struct uart16550_model *model, uint8_t byte)
{
	bool loop = (model->mcr & MCR_LOOP) != 0;
	struct uart16550_fifo *fifo = loop ? &model->receive : &model->send;

	model->has_new_room = loop && model->send.count == 0;
	if (fifo->count < depth(model))
		fifo->bytes[fifo->count++] = byte;
	else
		model->lost++;
}

/* Enabling and disabling the FIFOs empties them. */
static void store_fifos(struct uart16550_model *model, uint8_t value)
{
	if (((value ^ model->fcr) & FCR_ENABLE) != 0)
		value |= FCR_EMPTY_RECEIVE | FCR_EMPTY_SEND;
	if ((value & FCR_EMPTY_RECEIVE) != 0)
		model->receive.count = 0;
	if ((value & FCR_EMPTY_SEND) != 0 && model->send.count > 0)
		uart16550_sent(model, model->send.count);
	model->fcr = (value & FCR_ENABLE) != 0 ? value & FCR_BITS : 0;
}

/* Enabling the interrupt for an empty FIFO asks for one, which is how drivers begin to send. */
static void store_enables(struct uart16550_model *model, uint8_t value)
{
	if ((value & ~model->ier & IER_ROOM) != 0)
		model->has_new_room = model->send.count == 0;
	model->ier = value & IER_BITS;
}

void uart16550_store(struct uart16550_model *model, uint64_t offset, uint8_t value)
{
	if (offset <= IER && (model->lcr & LCR_DLAB) != 0)
		model->divisor[offset] = value;
	else if (offset == DATA)
		store_data(model, value);
	else if (offset == IER)
		store_enables(model, value);
	else if (offset == IIR_FCR)
		store_fifos(model, value);
	else if (offset == LCR)
		model->lcr = value;
	else if (offset == MCR)
		model->mcr = value & MCR_BITS;
	else if (offset == SCR)
		model->scr = value;
}

unsigned int uart16550_room(const struct uart16550_model *model, bool ignore_rts)
{
	bool ready = ignore_rts || (model->mcr & MCR_RTS) != 0;

	return ready && (model->mcr & MCR_LOOP) == 0 ? depth(model) - model->receive.count : 0;
}
