/* SPDX-License-Identifier: BSD-3-Clause */
/* The port's place on the bus, its lock, its two ends. */
#include "uart16550_model.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct uart16550 {
	struct uart16550_options options;
	struct gh_bus_range *range;
	pthread_mutex_t lock; /* over what follows */
	struct uart16550_model model;
	bool turned_away; /* there is input that has not been taken */
};

/* An edge too many costs the guest a look; one too few, the port. */
static void signal_guest(const struct uart16550 *uart)
{
	if (uart16550_reason(&uart->model) != UART16550_NO_REASON)
		(void)gh_irqfd_raise(uart->options.irqfd);
}

/* How many bytes still wait; less than 0: what `output` failed with. */
static int send(struct uart16550 *uart)
{
	const struct uart16550_fifo *fifo = &uart->model.send;
	int ret;

	if (fifo->count == 0)
		return 0;
	ret = uart->options.output(uart->options.data, fifo->bytes, fifo->count);
	uart16550_sent(&uart->model, ret < 0 || (unsigned int)ret > fifo->count ? fifo->count : (unsigned int)ret);
	return ret < 0 ? ret : (int)fifo->count;
}

static bool asks_for_input(struct uart16550 *uart)
{
	bool asks = uart->turned_away && uart->model.receive.count == 0 &&
		    uart16550_room(&uart->model, uart->options.ignore_rts) > 0;

	uart->turned_away = uart->turned_away && !asks;
	return asks && uart->options.wants_input != NULL;
}

static int access_register(void *data, struct gh_bus_access *access)
{
	struct uart16550 *uart = data;
	bool asks;
	int ret = 0;

	(void)pthread_mutex_lock(&uart->lock);
	if (access->is_store != 0) {
		uart16550_store(&uart->model, access->offset, (uint8_t)access->value);
		ret = send(uart);
	} else {
		access->value = uart16550_load(&uart->model, access->offset);
	}
	if (access->offset <= 2) /* data, enables, reasons: what interrupts are asked for and served with */
		signal_guest(uart);
	asks = asks_for_input(uart);
	(void)pthread_mutex_unlock(&uart->lock);
	if (asks)
		uart->options.wants_input(uart->options.data);
	return ret < 0 ? ret : GH_BUS_DONE;
}

static void free_uart(void *data)
{
	struct uart16550 *uart = data;

	(void)pthread_mutex_destroy(&uart->lock);
	free(uart);
}

int uart16550_add(struct gh_vm *vm, const struct uart16550_options *options, struct uart16550 **ret_uart)
{
	struct gh_bus_range_options range = GH_BUS_RANGE_OPTIONS_INIT;
	struct uart16550 *uart;
	int ret;

	if (options->output == NULL || options->irqfd == NULL)
		return -EINVAL;
	uart = calloc(1, sizeof(*uart));
	if (uart == NULL)
		return -ENOMEM;
	uart->options = *options;
	(void)pthread_mutex_init(&uart->lock, NULL);
	range.gpa = options->gpa;
	range.length = UART16550_LENGTH;
	range.name = options->name;
	range.access = access_register;
	range.removed = free_uart;
	range.data = uart;
	range.handler_widths = GH_BUS_8; /* wider accesses are split */
	range.flags = GH_BUS_UNALIGNED;
	ret = gh_bus_add(vm, &range, &uart->range);
	if (ret < 0)
		free_uart(uart);
	else
		*ret_uart = uart;
	return ret;
}

void uart16550_remove(struct uart16550 *uart)
{
	if (uart != NULL)
		gh_bus_remove(uart->range);
}

unsigned int uart16550_push(struct uart16550 *uart, const uint8_t *bytes, unsigned int count)
{
	struct uart16550_fifo *fifo = &uart->model.receive;
	unsigned int room;

	(void)pthread_mutex_lock(&uart->lock);
	room = uart16550_room(&uart->model, uart->options.ignore_rts);
	uart->turned_away = count > room;
	if (count > room)
		count = room;
	if (count > 0) {
		memcpy(fifo->bytes + fifo->count, bytes, count);
		fifo->count += count;
		signal_guest(uart);
	}
	(void)pthread_mutex_unlock(&uart->lock);
	return count;
}

int uart16550_drain(struct uart16550 *uart)
{
	int ret;

	(void)pthread_mutex_lock(&uart->lock);
	ret = send(uart);
	signal_guest(uart);
	(void)pthread_mutex_unlock(&uart->lock);
	return ret;
}

uint64_t uart16550_lost(struct uart16550 *uart)
{
	uint64_t lost;

	(void)pthread_mutex_lock(&uart->lock);
	lost = uart->model.lost;
	(void)pthread_mutex_unlock(&uart->lock);
	return lost;
}
