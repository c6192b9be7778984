/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bus once more, as plain as can be: an array of ranges that is searched byte by byte. fuzz_bus.c plays the same program
 * on it and on the real one.
 */
#ifndef TESTS_FUZZ_BUS_MODEL_H
#define TESTS_FUZZ_BUS_MODEL_H

#include "internal.h"

#include <gh/gh.h>

#include <stdbool.h>
#include <stdint.h>

#define MOST_RANGES 12u
#define MOST_DOORBELLS 12u
#define MOST_CALLS 9u /* of a handler, for one access */
#define MOST_FRAMES 2u
#define EVENTFDS 3u

/* Says where, and ends the program. */
#define CHECK(condition) ((condition) ? (void)0 : model_failed(__FILE__, __LINE__, #condition))
void model_failed(const char *file, int line, const char *condition) __attribute__((noreturn));

enum life {
	FREE,
	LIVE,
	LEAVING, /* removed, but somebody is in it */
};

struct model_range {
	enum life life;
	unsigned int held; /* by so many accesses that are being dispatched */
	unsigned int running;
	struct gh_bus_range *range;
	uint64_t gpa;
	uint64_t last;
	uint32_t guest_widths; /* 0: all */
	uint32_t handler_widths;
	bool unaligned;
	char name[8];
	struct gh_bus_range_counts counts;
};

struct model_tracer {
	enum life life;
	unsigned int held;
};

struct model {
	struct model_range ranges[MOST_RANGES];
	struct gh_bus_doorbell doorbells[MOST_DOORBELLS];
	unsigned int n_doorbells;
	uint64_t rings[EVENTFDS]; /* not yet read */
	int fds[EVENTFDS];
	struct gh_bus_unmatched_options unmatched;
	struct gh_bus_counts counts;
	bool traced;
	bool can_abort;
};

/* What a handler must be called with. */
struct model_call {
	uint64_t gpa;
	uint64_t value;
	uint64_t mask;
	uint32_t width;
};

/* One access: what must become of it. */
struct model_access {
	struct gh_exit_mmio mmio;
	int slot; /* whose range holds it all; -1: nobody's */
	bool rung;
	bool forbidden;
	bool whole; /* the handler gets it as the guest made it */
	struct model_call calls[MOST_CALLS];
	unsigned int n_calls;
};

/* What has become of it. */
struct model_end {
	int ret;            /* of gh_bus_dispatch() */
	int verdict;        /* that a tracer sees */
	unsigned int calls; /* that the handler got */
	bool answered;
	bool aborted;
	uint64_t value; /* of a load that has been answered */
};

/* -EEXIST if it overlaps, with *ret_other the first one in the way. */
int model_place(const struct model *model, uint64_t gpa, uint64_t last, int *ret_other);
void model_begin(const struct model *model, const struct gh_exit_mmio *mmio, struct model_access *ret_access);
/* What counts before the handler runs. */
void model_count_begin(struct model *model, const struct model_access *access);
/* The handler gave `given` for its calls, DONE for all but call `odd`, which got `verdict`. Counts. */
void model_conclude(struct model *model, const struct model_access *access, const uint64_t *given, unsigned int odd,
		    int verdict, struct model_end *ret_end);
/* Counters, of all ranges and of the bus. */
void model_check_counts(const struct model *model, struct gh_vm *vm);
/* bus_dump.c: `numbers`: they are final, too. */
void model_check_dump(const struct model *model, struct gh_vm *vm, bool numbers);

#endif
