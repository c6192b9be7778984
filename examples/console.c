/* SPDX-License-Identifier: BSD-3-Clause */
#include "console.h"
#include "outbox.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct console {
	struct console_options options;
	struct gh_irqfd *irqfd;
	struct uart16550 *uart;
	struct outbox output;
	pthread_t thread;
	int wakeup;
	bool runs; /* the thread */
	atomic_bool over;
	uint8_t input[256]; /* what has been read; from begin to end it waits for the guest */
	unsigned int begin, end;
};

static void wake(void *data)
{
	struct console *console = data;

	(void)eventfd_write(console->wakeup, 1);
}

/* The vCPU only leaves its bytes: it waits for nobody, and the thread writes many of them at once. */
static int put_output(void *data, const uint8_t *bytes, unsigned int count)
{
	struct console *console = data;
	bool was_empty = false;
	int ret = (int)count;

	if (console->options.output >= 0)
		ret = outbox_put(&console->output, bytes, count, &was_empty);
	if (was_empty)
		wake(console);
	return ret;
}

static void read_input(struct console *console)
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
	struct pollfd polls[] = { { console->wakeup, POLLIN, 0 }, { -1, POLLIN, 0 }, { -1, POLLOUT, 0 } };
	bool over = atomic_load(&console->over);
	bool waiting = outbox_count(&console->output) > 0;
	eventfd_t value;

	if (over && !waiting)
		return false;
	if (!over && console->begin == console->end)
		polls[1].fd = console->options.input;
	if (waiting)
		polls[2].fd = console->options.output;
	(void)poll(polls, 3, -1);
	if (polls[0].revents != 0)
		(void)eventfd_read(console->wakeup, &value);
	if (polls[1].revents != 0)
		read_input(console);
	if (polls[2].revents != 0 && outbox_write(&console->output, console->options.output))
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
	outbox_init(&console->output);
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
	ret = outbox_error(&console->output);
	uart16550_remove(console->uart);
	gh_irqfd_remove(console->irqfd);
	outbox_destroy(&console->output);
	(void)close(console->wakeup);
	free(console);
	return ret;
}
