/* SPDX-License-Identifier: BSD-3-Clause */
/* The guest of the script engine: what engine_script.c runs and script_play.c plays. */
#ifndef GH_SIM_SCRIPT_VM_H
#define GH_SIM_SCRIPT_VM_H

#include "engine.h"
#include "script.h"

#include <pthread.h>
#include <stdatomic.h>

#define SCRIPT_SPIS 988u

struct script_mapping {
	uint64_t gpa;
	uint64_t length;
	uint8_t *host;
	uint32_t protection;
	struct script_mapping *older;
};

/* A level-triggered line: `fd` is signalled when the guest takes the interrupt. */
struct script_level {
	struct script_vm *vm;
	struct script_level *next;
	uint32_t spi;
	int fd;
};

struct script_vm {
	struct script *script;
	pthread_mutex_t lock; /* over what follows, and `on` of the vCPUs */
	struct script_mapping *mappings;
	struct script_vcpu *vcpus[SCRIPT_VCPUS];
	uint8_t pending[SCRIPT_SPIS];
	struct script_level *levels;
};

struct script_vcpu {
	struct script_vm *vm;
	const struct script_section *section;
	uint64_t *turns; /* that are left, of each repeat and spin */
	size_t next;     /* action */
	uint64_t value;
	uint64_t registers[SIM_REGISTERS];
	bool on;
	bool waits_for_answer;
	bool aborted;
	bool dead;
	int raise; /* signal of `signal`, 0: none */
	sigset_t watched;
	int signals; /* signalfd of `watched`, or -1 */
	int wakeup;
	atomic_bool woken;
};

/* What an action does to run(). */
enum script_step {
	STEP_NEXT,
	STEP_LOOK,  /* the script went backwards: look for signals, so that no script can lock its thread up */
	STEP_SLEEP, /* and do the same action again */
	STEP_REPORT,
};

/* Performs the vCPU's next action; `event` is filled in for STEP_REPORT. */
enum script_step script_perform(struct script_vcpu *vcpu, struct sim_event *event);
/* Makes a vCPU that sleeps look again at what it sleeps for. Any thread. */
void script_end_sleep(struct script_vcpu *vcpu);
uint64_t script_load_le(const uint8_t *bytes, uint32_t width);

#endif
