/* SPDX-License-Identifier: BSD-3-Clause */
/* What the unit tests share: short ways to a VM, and a look at what the process holds. */
#ifndef TESTS_UNIT_UTIL_H
#define TESTS_UNIT_UTIL_H

#include "tree.h"

#include <check.h>
#include <gh/gh.h>
#include <gh/sim.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* What comes is waited for this long: for a machine that is slow, and loaded, and emulated. */
#define PATIENCE_MS 60000

#define MIB (UINT64_C(1) << 20)
#define RAM_GPA UINT64_C(0x80000000)
#define RAM_SIZE (4 * MIB)
#define DTB_GPA (RAM_GPA + 2 * MIB)
#define GUNYAH "sim:gunyah/android14-6.1"
#define GENIEZONE "sim:gzvm/v9"

/* What libgh could leave behind: descriptors, and mappings of the kinds that it makes. */
struct holdings {
	unsigned int descriptors;
	unsigned int mappings;
};
struct holdings holdings_now(void);
bool holdings_equal(struct holdings a, struct holdings b);

/* A fixture: the process holds the same after a test as before it. */
void leaks_begin(void);
void leaks_end(void);

int run_suite(Suite *suite);
/* A suite's case with the fixture. */
TCase *add_case(Suite *suite, const char *name);

/* These end the test if they fail. */
struct gh_fake *new_fake(void);
struct gh_vm *open_fake(struct gh_fake *fake);
struct gh_sim *new_sim(const char *device, const char *script);
struct gh_vm *open_sim(struct gh_sim *sim);
void map_at(struct gh_vm *vm, uint64_t gpa, uint64_t length, uint32_t flags);
struct gh_vcpu *add_vcpu(struct gh_vm *vm, uint32_t id);
/* Memory, vCPU 0 and the start. */
struct gh_vcpu *start_simply(struct gh_vm *vm);
/* Two cpus, and doorbells 5 and 6 that raise the lines of the same numbers. */
extern const struct tree standard_tree;
/* Writes a tree to DTB_GPA, with room, and names it. */
void put_tree(struct gh_vm *vm, const struct tree *tree);
/* Memory with the standard tree, vCPU 0 and the start: good for every backend. */
struct gh_vcpu *start_standard(struct gh_vm *vm);
const struct gh_exit *run_once(struct gh_vcpu *vcpu);
/* Nothing would have broken, and everything was closed; frees the machine. */
void end_sim(struct gh_sim *sim);

/* A thread that makes one run of a vCPU. */
struct runner {
	pthread_t thread;
	struct gh_vcpu *vcpu;
	int ret;
	uint32_t kind;
	uint64_t value; /* of an access */
	uint32_t cause; /* of an end */
	atomic_bool done;
};
void runner_begin(struct runner *runner, struct gh_vcpu *vcpu);
/* False after PATIENCE_MS. */
bool runner_returns(struct runner *runner);
void runner_end(struct runner *runner);

/* Takes what an eventfd has counted; 0 without waiting if that is nothing. */
uint64_t take_count(int fd);
/* Sleeps. */
void pause_ms(unsigned int ms);
bool failure_is(const struct gh_failure *failure, int error);

#endif
