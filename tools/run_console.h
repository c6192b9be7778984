/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest's serial port on this program's terminal, or on whatever stdin and stdout are. vCPUs put text into a buffer and
 * never wait; the loop of run_console_serve() writes it out, reads the keyboard, and notices signals and the guest's end.
 */
#ifndef GH_TOOLS_RUN_CONSOLE_H
#define GH_TOOLS_RUN_CONSOLE_H

#include "run.h"

#include "../examples/uart16550.h"

struct run_console;

/* What ends a run_console_serve() besides the guest. */
enum run_event {
	RUN_EVENT_END, /* the VM has stopped, or its loops have returned */
	RUN_EVENT_SIGNAL,
	RUN_EVENT_ESCAPE,
	RUN_EVENT_TIMEOUT,
	RUN_EVENT_ERROR, /* stdout is broken */
};

/* SIGINT, SIGTERM and SIGHUP are blocked from here on, and are told by the next two. NULL with errno. */
struct run_console *run_console_open(const struct run_request *request, struct run_trace *trace);
/* The terminal is as it was before. */
void run_console_close(struct run_console *console);

/* Puts the port on the bus of a VM. As uart16550_add(). */
int run_console_attach(struct run_console *console, struct gh_vm *vm, uint64_t gpa, struct gh_irqfd *irqfd);
/* For the next guest of the VM, which has been reset: a port that nobody has used, on the same terminal. */
int run_console_attach_again(struct run_console *console, struct gh_vm *vm, uint64_t gpa, struct gh_irqfd *irqfd);
/* Before the VM is closed. */
void run_console_detach(struct run_console *console);

/* The number of a signal that wants the program to end, 0: there is none. Stops the program if that is what one wants. */
int run_console_signal(struct run_console *console);

/* Any thread: the VM's loops have returned. */
void run_console_finish(struct run_console *console);
/* Serves the terminal until something happens; the guest's last words have been written then. */
enum run_event run_console_serve(struct run_console *console, int *ret_signal);

/* When the guest said run_request::mark, as run_now_ms(); negative: it has not. */
double run_console_mark_ms(const struct run_console *console);

struct run_console_counts {
	uint64_t loads;
	uint64_t stores;
	uint64_t interrupts;
};

/* Between attaching and detaching; of all guests. */
void run_console_count(const struct run_console *console, struct run_console_counts *ret_counts);

#endif
