/* SPDX-License-Identifier: BSD-3-Clause */
/* A started VM on each kind of device, playing one script; and a VMM that counts what it sees. */
#ifndef TESTS_UNIT_WORLD_H
#define TESTS_UNIT_WORLD_H

#include "util.h"

#include <gh/loop.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

enum world_device { WORLD_FAKE, WORLD_GENIEZONE, WORLD_GUNYAH, WORLD_DEVICES };

#define WORLD_VCPUS 4u

struct world {
	struct gh_fake *fake;
	struct gh_sim *sim;
	struct gh_vm *vm;
	struct gh_vcpu *vcpus[WORLD_VCPUS];
};

/*
 * The script is one of the script engine. The fake plays its `load`, `store`, `off`, `reset` and `crash`, and has no use for
 * the rest: its vCPUs are always on, and sleep at the end.
 */
void world_begin(struct world *world, enum world_device device, const char *script, unsigned int vcpus);
/* What the fake plays of a script. */
void world_queue(struct gh_fake *fake, const char *script);
/* Closes it; nothing may have broken or be left. */
void world_end(struct world *world);

/* What a VMM does with exits. Verdict functions that are NULL: go on, loads read `answer`. */
struct vmm {
	int (*on_load)(struct vmm *vmm, struct gh_vcpu *vcpu);
	int (*on_store)(struct vmm *vmm, struct gh_vcpu *vcpu);
	int (*on_interruption)(struct vmm *vmm, struct gh_vcpu *vcpu);
	int (*on_begin)(struct vmm *vmm, struct gh_vcpu *vcpu);
	struct world *world;
	uint64_t answer;
	int verdict; /* for the function's use */
	struct gh_vcpu *deferred;
	sem_t loaded; /* a load was deferred */
	atomic_uint loads;
	atomic_uint stores;
	atomic_uint interruptions;
	atomic_uint others;
	atomic_uint begun;
	_Atomic uint64_t stored; /* last */
};

void vmm_init(struct vmm *vmm, struct world *world);
struct gh_loop_options vmm_options(struct vmm *vmm);
int vmm_loop(struct vmm *vmm, uint32_t vcpu);
int vmm_run(struct vmm *vmm);

/* Leaves a load to somebody else. */
int vmm_defer(struct vmm *vmm, struct gh_vcpu *vcpu);
void vmm_await_deferral(struct vmm *vmm);

/* gh_vm_run(), or with `vcpu` >= 0 gh_vcpu_loop(), on a thread of its own. */
struct background {
	pthread_t thread;
	struct vmm *vmm;
	int vcpu;
	int ret;
	atomic_bool done;
};
void background_begin(struct background *background, struct vmm *vmm, int vcpu);
/* Waits for its end; what the call returned. */
int background_end(struct background *background);
/* Waits until the counter is beyond a value; false after ten seconds. */
bool goes_beyond(atomic_uint *counter, unsigned int value);
bool comes_true(atomic_bool *flag);

#endif
