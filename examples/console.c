/* SPDX-License-Identifier: BSD-3-Clause */
#include "console.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct console {
	struct console_options options;
	struct gh_irqfd *irqfd;
	struct uart16550 *uart;
	pthread_t thread;
	int wakeup;
	bool runs;               /* the thread */
	atomic_bool stuck, over; /* output waits for the descriptor; no vCPU runs any more */
	int error;               /* of the descriptor; the port's lock is over it */
	uint8_t input[256];      /* what has been read; from begin to end it waits for the guest */
	unsigned int begin, end;
};

static void wake(void *data)
{
	struct console *console = data;

	(void)eventfd_write(console->wakeup, 1);
}

/* Asks first, because the descriptor may be a blocking one. A FIFO always fits where poll() sees room. */
static int put_output(void *data, const uint8_t *bytes, unsigned int count)
{
	struct console *console = data;
	struct pollfd poller = { .fd = console->options.output, .events = POLLOUT };
	ssize_t written = 0;

	if (poll(&poller, 1, 0) == 1)
		written = write(poller.fd, bytes, count);
	if (written < 0 && errno != EAGAIN && errno != EINTR)
		return console->error = -errno;
	if (written < (ssize_t)count) {
		atomic_store(&console->stuck, true);
		wake(console);
	}
	return written < 0 ? 0 : (int)written;
}

static void get_input(struct console *console)
{
	ssize_t got = read(console->options.input, console->input, sizeof(console->input));

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	console->begin = 0;
	console->end = got > 0 ? (unsigned int)got : console->options.end_of_input != 0;
	if (got > 0)
		return;
	console->input[0] = console->options.end_of_input;
	console->options.input = -1;
}

/* One wait, and what came of it. False: all is done. */
static bool serve(struct console *console)
{
	bool over = atomic_load(&console->over);
	struct pollfd polls[] = {
		{ .fd = console->wakeup, .events = POLLIN },
		{ .fd = over || console->begin < console->end ? -1 : console->options.input, .events = POLLIN },
		{ .fd = atomic_load(&console->stuck) ? console->options.output : -1, .events = POLLOUT },
	};
	eventfd_t value;

	if (over && polls[2].fd < 0)
		return false;
	(void)poll(polls, 3, -1);
	if (polls[0].revents != 0)
		(void)eventfd_read(console->wakeup, &value);
	if (polls[1].revents != 0)
		get_input(console);
	if (polls[2].revents != 0 && atomic_exchange(&console->stuck, false))
		(void)uart16550_drain(console->uart);
	console->begin += uart16550_push(console->uart, console->input + console->begin, console->end - console->begin);
	return true;
}

/* Signals are for other threads; and a reader that has gone is an error to report, not to die of. */
static void *run_console(void *data)
{
	sigset_t all;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, NULL);
	while (serve(data))
		;
	return NULL;
}

static int add_port(struct gh_vm *vm, struct console *console)
{
	struct gh_irqfd_options irqfd = GH_IRQFD_OPTIONS_INIT;
	struct uart16550_options uart = { .name = "serial", .output = put_output, .wants_input = wake, .data = console };
	int ret;

	irqfd.line = console->options.line;
	ret = gh_irqfd_add(vm, &irqfd, &console->irqfd);
	uart.gpa = console->options.gpa;
	uart.irqfd = console->irqfd;
	uart.ignore_rts = console->options.ignore_rts;
	return ret < 0 ? ret : uart16550_add(vm, &uart, &console->uart);
}

int console_open(struct gh_vm *vm, const struct console_options *options, struct console **ret_console)
{
	struct console *console = calloc(1, sizeof(*console));
	int ret;

	if (console == NULL)
		return -ENOMEM;
	console->options = *options;
	console->wakeup = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ret = console->wakeup < 0 ? -errno : add_port(vm, console);
	if (ret == 0)
		ret = -pthread_create(&console->thread, NULL, run_console, console);
	console->runs = ret == 0;
	if (ret < 0)
		(void)console_close(console);
	else
		*ret_console = console;
	return ret;
}

int console_close(struct console *console)
{
	int ret;

	if (console->runs) {
		atomic_store(&console->over, true);
		wake(console);
		(void)pthread_join(console->thread, NULL);
	}
	ret = console->error;
	uart16550_remove(console->uart);
	gh_irqfd_remove(console->irqfd);
	(void)close(console->wakeup);
	free(console);
	return ret;
}
