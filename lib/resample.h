/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Level-triggered lines on kernels that do not tell when the guest has acknowledged: a thread of the VM looks again a while
 * after a line was asserted, and later and later for as long as it stays so. A VM without such lines has no such thread.
 */
#ifndef GH_LIB_RESAMPLE_H
#define GH_LIB_RESAMPLE_H

#include <stdbool.h>
#include <stdint.h>

struct gh_vm;
struct gh_resample;

/* Called by the thread, with its lock: one at a time, and none after gh_resample_remove(). */
struct gh_resample_ops {
	/* Somebody has written to `fd`. May be NULL. */
	void (*raised)(struct gh_resample *line);
	/* It is time to look. True: the line is still asserted. */
	bool (*due)(struct gh_resample *line);
};

/* A part of whatever drives the line, which fills in the first two. */
struct gh_resample {
	const struct gh_resample_ops *ops;
	int fd; /* an eventfd that asserts the line; -1: gh_resample_assert() alone does */
	/* The rest is the thread's. */
	struct gh_resample *next;
	bool asserted;
	uint64_t due;  /* when to look, if asserted */
	uint64_t last; /* when it was looked last */
	uint64_t interval;
};

/* Serial, as the VM's other tables. What `fd` holds already counts as a write. */
int gh_resample_add(struct gh_vm *vm, struct gh_resample *line);
void gh_resample_remove(struct gh_vm *vm, struct gh_resample *line);
/* Any thread, with or without the VM's lock: the line is asserted, was set again, or is not asserted any more. */
void gh_resample_assert(struct gh_vm *vm, struct gh_resample *line);
void gh_resample_calm(struct gh_vm *vm, struct gh_resample *line);
/* Ends the thread; the lines are forgotten. */
void gh_resample_stop(struct gh_vm *vm);

#endif
