/* SPDX-License-Identifier: BSD-3-Clause */
/* What the parts of gh-bench-run share. */
#ifndef TESTS_BENCH_BENCH_H
#define TESTS_BENCH_BENCH_H

#include "internal.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct gh_sim;

enum layout { GUNYAH, GENIEZONE, LAYOUTS };
enum access { STORE, LOAD, ACCESSES };
/*
 * LIBGH is gh_vcpu_run() and gh_mmio_complete() with a device that is called directly, DISPATCH the same with gh_bus_dispatch()
 * between them, and LOOP is gh_vcpu_loop() with the same bus.
 */
enum mode { BARE, LIBGH, KICK_MODES, DISPATCH = KICK_MODES, LOOP, MODES };

extern const char *const layout_names[LAYOUTS];
extern const char *const access_names[ACCESSES];
extern const char *const mode_names[MODES];

/* What a guest of the in-process device loads: not 0, so that the answer counts as one that could be lost. */
#define ANSWER UINT64_C(0x1122334455667788)

/* --- device.c: a device inside this process, whose RUN fills the run page with the next exit and returns ------------ */

/* Where the guest loads and stores. */
#define DEVICE_GPA UINT64_C(0x10000000)

struct device {
	struct gh_sys sys; /* first: the table that libgh gets */
	enum layout layout;
	enum access access;
	void *run;      /* Gunyah's page, as the device maps it; GenieZone's buffer comes with each call */
	uint64_t exits; /* so far */
	uint64_t sum;   /* of the values that the guest has loaded */
	bool load_is_out;
};

/* System calls of this thread through the tables, RUN included. */
uint64_t device_calls(void);
void device_init(struct device *device, enum layout layout);

/* --- setup.c: VMs ------------------------------------------------------------------------------------------------- */

/* The device as a machine for setup_vm(); one at a time. */
struct gh_sim *setup_device(struct device *device);
/* A started VM with one vCPU; false, with words on stderr, if it cannot be made. */
bool setup_vm(struct gh_sim *machine, struct gh_vm **ret_vm, struct gh_vcpu **ret_vcpu);
uint64_t now_ns(void);
/* Of this thread. */
uint64_t setup_allocations(void);

/* --- exits.c: what libgh adds to one exit -------------------------------------------------------------------------- */

struct exit_result {
	double ns[MODES]; /* medians */
	uint64_t exits;   /* that the next two were counted over */
	uint64_t allocations[MODES];
	uint64_t calls[MODES];
};

/* Exactly `count` exits in one mode: for callgrind. */
bool exits_count(enum layout layout, enum access access, enum mode mode, uint64_t count);
/* Allocations and calls through the table; with `batches`, also the times. */
bool exits_measure(enum layout layout, enum access access, unsigned int batches, struct exit_result *ret_result);

/* --- latency.c: from a kick to the exit ----------------------------------------------------------------------------- */

struct latency_result {
	uint64_t median[KICK_MODES];
	uint64_t p99[KICK_MODES];
};

bool latency_measure(const char *device, const char *script, unsigned int rounds, struct latency_result *ret_result);

#endif
