/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A whole life of a VM through the public interface: probing, memory of both kinds, devicetree, two vCPUs, lines, doorbells
 * before and after the start, loads and stores with checked values, removals, kicks, power-off.
 *
 * Any call may fail: then its outputs must be untouched, and the life ends early with its error. A call that breaks its
 * contract ends the test. Calls of the library are made with table_counts set.
 */
#ifndef TESTS_UNIT_LIFE_H
#define TESTS_UNIT_LIFE_H

#include "util.h"

struct life_kind {
	const char *name;
	const char *device; /* NULL: the fake */
	bool lend;
	bool brief; /* another revision of a kind that is there in full */
};

extern const struct life_kind life_kinds[];
extern const int life_kind_count;

/* 0 for a complete life, or the first error. Everything is closed and freed. */
int life_run(const struct life_kind *kind);

#endif
