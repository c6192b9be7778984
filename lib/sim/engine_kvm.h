/* SPDX-License-Identifier: BSD-3-Clause */
/* What the two files of the `kvm` engine share: a vCPU, and its part of the engine. */
#ifndef GH_SIM_ENGINE_KVM_H
#define GH_SIM_ENGINE_KVM_H

#include "../backend/kvm.h"
#include "engine.h"

#include <pthread.h>

/* One memory slot of KVM's. */
struct kvm_slot {
	struct kvm_slot *next;
	uint32_t id;
	uint64_t gpa;
	bool used; /* or free, and its number with it */
};

struct kvm_vm {
	struct gh_bvm b;
	struct kvm_slot *slots;
	struct gh_failure failure;
	struct kvm_vcpu *vcpus;
	bool has_gic;
	pthread_mutex_t lock; /* of the fields below */
	bool started;
	bool levels[GH_KVM_LINES]; /* raised before the start */
	int pulses[GH_KVM_LINES];  /* eventfds behind pulse(), -1 before the first one */
	struct kvm_level *lines;   /* of level_new() */
};

struct kvm_vcpu {
	struct gh_bvcpu b;
	struct kvm_vcpu *next;
	uint64_t registers[SIM_REGISTERS]; /* set before the start */
	bool is_set[SIM_REGISTERS];
	sigset_t blocked; /* what the kernel was told */
	bool has_blocked;
	pthread_mutex_t lock; /* of the fields below */
	pthread_t thread;     /* that is inside run() */
	bool inside;
	bool woken;     /* by wake(), and not yet reported */
	bool signalled; /* a wake signal is on its way to the thread, or there */
};

/* engine_kvm_level.c: entries of struct sim_engine; activate() gives the kernel what was made before the start. */
int kvm_level_new(void *data, uint32_t spi, int resample_fd, void **ret_level);
void kvm_level_raise(void *data);
void kvm_level_free(void *data);
/* Under the VM's lock. */
void kvm_levels_activate(struct kvm_vm *vm);

/* engine_kvm_run.c: entries of struct sim_engine. */
int kvm_engine_run(void *data, const sigset_t *unblocked, struct sim_event *ret_event);
void kvm_engine_wake(void *data);
void kvm_engine_answer(void *data, const uint8_t bytes[8], uint32_t width);
void kvm_engine_answer_hypercall(void *data, const uint64_t results[4]);
void kvm_engine_abort(void *data);

#endif
