/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * gh-stress: what its files share.
 *
 * A run is many *lives*: a VM with a random program, a thread that runs its vCPU, and threads that kick it at random
 * moments, until the guest switches itself off. Every exit of the program is known beforehand, so everything that is lost,
 * comes twice or has another value is counted where it happens.
 */
#ifndef TESTS_STRESS_STRESS_H
#define TESTS_STRESS_STRESS_H

#include "../../lib/internal.h"

#include <gh/gh.h>

#include <semaphore.h>
#include <stdio.h>

#define SIGNAL_KICKS SIGUSR1 /* its handler, on a kicker's thread, kicks */
#define SIGNAL_LEAVES SIGUSR2

/* --- random.c: one generator for each thread, all from one seed ---------------------------------------------------- */

void random_seed(uint64_t seed);
/* The calling thread's generator begins anew, for `stream`. */
void random_stream(uint64_t stream);
uint32_t random_below(uint32_t limit);
/* True once in `n` times. */
bool random_once_in(uint32_t n);
void busy_wait(uint32_t ns);
void sleep_ns(uint32_t ns);
uint64_t now_ns(void);

/* --- delays.c ------------------------------------------------------------------------------------------------------- */

enum device_kind { DEVICE_GUNYAH, DEVICE_GZVM, DEVICE_KVM };

/* For the next life: a delay at one of `rate` points (0: none). */
void delays_set(uint32_t rate, bool has_courier, uint32_t stalls);
/* A load's answer, other than 0, is out: set before it is given, cleared with the guest's next exit. */
void delays_answer_out(bool out);
/* A place in the test's own code, between two steps that a VMM has there. */
void delays_here(void);
/* Points of the device that have never been delayed, as text on `out` unless that is NULL. */
unsigned int delays_missing(enum device_kind device, FILE *out);
unsigned long delays_count(void);
unsigned long delays_stalls(void);
/* How often kicks were left to the courier, and how many signals it sent. */
unsigned long delays_kicks_to_courier(void);
unsigned long delays_signals_of_courier(void);

/* --- program.c ------------------------------------------------------------------------------------------------------ */

#define PROGRAM_STEPS 64u
#define PROGRAM_GPA 0x5000u
#define PROGRAM_STRIDE 16u

enum step_kind {
	STEP_STORE, /* of its value */
	STEP_LOAD,
	STEP_ECHO, /* store of what the last load gave */
	STEP_SPIN,
	STEP_WAIT, /* for an interrupt; what was loaded stays */
	STEP_ACK,
};

struct step {
	enum step_kind kind;
	uint32_t width;
	uint64_t value; /* or turns */
};

/* Step n accesses the address PROGRAM_GPA + n * PROGRAM_STRIDE, so that an exit tells where the guest is. */
struct program {
	struct step steps[PROGRAM_STEPS];
	uint32_t count;
	uint32_t exits; /* of one round */
	uint32_t rounds;
};

void program_make(struct program *program, uint32_t most_rounds, uint32_t most_turns);
bool program_exits(const struct program *program, uint32_t step);
/* The script of the simulated guest. */
void program_script(const struct program *program, char *text, size_t size);

/* --- check.c: is this the exit whose turn it is? -------------------------------------------------------------------- */

struct counts {
	unsigned long lives;
	unsigned long exits;
	unsigned long loads;
	unsigned long deferred;
	unsigned long sent;
	unsigned long delivered;
	unsigned long at_end; /* kicks that the VM's end came before */
	/* What must be 0. */
	unsigned long kicks_lost;
	unsigned long kicks_from_nowhere;
	unsigned long exits_lost;
	unsigned long exits_twice;
	unsigned long exits_wrong;
	unsigned long loads_zero;
	unsigned long loads_stale;
	unsigned long ends_lost;
	unsigned long ends_wrong;
	unsigned long errors;
};

struct check {
	const struct program *program;
	struct counts *counts;
	uint32_t next; /* step */
	uint32_t round;
	uint32_t last;
	uint64_t answer;
	uint64_t sequence;
};

void check_begin(struct check *check, const struct program *program, struct counts *counts);
/* For a load, *ret_answer is what to answer. */
void check_access(struct check *check, const struct gh_exit_mmio *mmio, uint64_t *ret_answer);
/* The VM has ended, with this cause. */
void check_end(struct check *check, uint32_t cause);
unsigned long counts_losses(const struct counts *counts);
void counts_add(struct counts *sum, const struct counts *counts);

/* --- life.c --------------------------------------------------------------------------------------------------------- */

enum naive { NAIVE_NONE, NAIVE_IGNORE, NAIVE_IMMEDIATE, NAIVE_RESTART, NAIVE_FLAG, NAIVE_COUNT };

struct stress {
	const char *device;
	enum device_kind kind;
	bool real_guest;
	enum naive naive;
	uint32_t bound_ms; /* a kick that has had no effect by then is lost */
	uint32_t stalls;
	bool delays;
	struct counts counts;
};

struct life {
	struct stress *stress;
	struct gh_sim *sim;
	struct gh_vm *vm;
	struct gh_vcpu *vcpu;
	struct gh_irqfd *line;
	struct program program;
	struct check check;
	struct counts counts; /* of the runner; the atomics below are everybody's */
	pthread_t runner;
	sem_t deferrals;
	uint64_t deferred_value;
	atomic_ulong sent;
	atomic_ulong delivered;
	atomic_ulong progress; /* exits */
	atomic_ulong kicks_lost;
	atomic_bool waits; /* the guest's next step is to wait for an interrupt */
	atomic_bool leave;
	atomic_bool ended;
	atomic_bool aborted;
	atomic_bool naive_flag;
	unsigned int deferral_errors;
};

/* One life, and what it counted is added to stress->counts. False: it could not be begun, which has been said. */
bool life_live(struct stress *stress, uint64_t stream);
/* Runs the vCPU as other VMMs do; returns when the VM has ended, or is left. */
void naive_run(struct life *life);
void naive_claim(enum naive naive);
void naive_kick(struct life *life);
const char *naive_name(enum naive naive);
/* What a loop does with an exit, by libgh's and by the naive ones: -1 to leave. *ret_answer is for a load. */
void life_delivered(struct life *life);
void life_access(struct life *life, const struct gh_exit_mmio *mmio, uint64_t *ret_answer);
void life_kick(struct life *life);
/* kickers.c: until the VM has ended. */
void kickers_run(struct life *life, uint64_t stream);

/* guest.c: a real guest's program; only for arm64. */
bool guest_load(struct life *life, uint64_t base);

#endif
