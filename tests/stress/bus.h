/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * gh-stress-bus: what its files share.
 *
 * Some threads drive a vCPU each and make it access devices; the devices' handlers remove themselves and each other, and add
 * new ones, as do threads without a vCPU. Whatever an access finds, it finds one thing, and nothing that has been freed.
 */
#ifndef TESTS_STRESS_BUS_H
#define TESTS_STRESS_BUS_H

#include "stress.h"

#define DRIVERS 4u
#define PLUGGERS 2u
#define PLACES 12u /* where devices come and go */
#define ANCHORS 3u /* devices that stay; between places, so that they move in the table */
#define STRIDE UINT64_C(0x1000)
#define BASE UINT64_C(0x10000000)
/* Behind them, for each driver: a device and a doorbell that nobody else touches. */
#define OWN_GPA(id) (BASE + (64 + (uint64_t)(id)) * STRIDE)
#define BELL_GPA(id) (BASE + (96 + (uint64_t)(id)) * STRIDE)

enum magic { MAGIC_LIVE = 0x600d600d, MAGIC_GONE = 0x0bad0bad };

/* A device: memory that goes with its range. */
struct plug {
	atomic_uint magic;
	atomic_uint inside; /* handlers */
	uint64_t gpa;
	struct gh_bus_range *range;
	atomic_bool *gone; /* set when it goes */
};

/* Written by its own thread; main() reads `progress`. */
struct driver {
	_Alignas(128) pthread_t thread;
	uint32_t id;
	bool late; /* its vCPU is made when the others run */
	struct gh_vcpu *vcpu;
	int bell;       /* eventfd */
	uint32_t depth; /* of handlers */
	uint32_t hits;  /* of the present access */
	bool denied;    /* by the handler */
	uint64_t last;  /* address */
	uint64_t unmatched;
	uint64_t anchored[ANCHORS];
	uint64_t rung; /* own bell */
	atomic_ulong progress;
};

struct plugger {
	pthread_t thread;
	uint32_t id;
};

struct plant {
	struct gh_fake *fake;
	struct gh_vm *vm;
	struct gh_bus_range *anchors[ANCHORS];
	_Atomic(struct plug *) places[PLACES];
	struct driver drivers[DRIVERS];
	struct plugger pluggers[PLUGGERS];
	unsigned long accesses; /* of each driver */
	bool delays;
	atomic_bool stop;
	atomic_uint plugging; /* pluggers that have not stopped */
	atomic_ulong added;   /* plugs and tracers that got a `removed` to be called */
	atomic_ulong removed; /* calls of it */
	atomic_ulong handled;
	atomic_ulong traced;
	atomic_ulong failures;
};

extern struct plant plant;

/* Says what is wrong, some times, and counts it. */
void plant_failed(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* --- bus_plugs.c: devices that come and go -------------------------------------------------------------------------- */

/* Adds a device, if there is none. */
void plug_in(uint32_t place);
/* Removes one, if there is one. In a handler it may go later. */
void plug_out(uint32_t place, bool in_handler);
/* Any of what a handler may do; `self` is the handler's own. */
void plug_mischief(struct plug *self, struct driver *driver);
void plug_swap_tracer(void);
void plug_look(void);
int plug_add_anchor(uint32_t index);
/* A device of the driver's own comes, is used, and goes. */
void plug_visit_own(struct driver *driver);
/* A doorbell of the driver's own, likewise. */
void plug_visit_bell(struct driver *driver);

/* --- bus.c --------------------------------------------------------------------------------------------------------------- */

/* One store: the result of gh_bus_dispatch(), and driver->hits. */
int drive_store(struct driver *driver, uint64_t gpa);

#endif
