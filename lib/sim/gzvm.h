/* SPDX-License-Identifier: BSD-3-Clause */
/* The parts of the simulated /dev/gzvm. Order of the files: gzvm.c, gzvm_vm.c, gzvm_memory.c, gzvm_events.c, gzvm_vcpu.c. */
#ifndef GH_SIM_GZVM_H
#define GH_SIM_GZVM_H

#include "../uapi/gzvm.h"
#include "eventfds.h"
#include "sim.h"

#include <pthread.h>
#include <stdatomic.h>

#define GZVM_PAGE 4096u

struct gzvm_slot {
	bool used;
	uint64_t gfn;
	uint64_t pages;
	uint64_t host;
};

struct gzvm_irqfd {
	struct gzvm_irqfd *next;
	struct gzvm_vm *vm;
	struct sim_watch *watch;
	uint64_t id; /* of the eventfd */
	int fd;      /* where it was last; touched by the watching thread only */
	uint32_t gsi;
};

struct gzvm_ioevent {
	struct gzvm_ioevent *next;
	struct sim_eventfd eventfd;
	uint64_t gpa;
	uint64_t value;
	uint32_t width;
	bool wildcard;
};

/* Calls of the hypervisor that a script can make fail; see gzvm_hypervisor(). */
enum gzvm_call {
	GZVM_CALL_CREATE_VM,
	GZVM_CALL_CREATE_VCPU,
	GZVM_CALL_PURPOSE,
	GZVM_CALL_MEMORY,
	GZVM_CALL_IRQ,
	GZVM_CALL_DEVICE,
	GZVM_CALL_CAP,
	GZVM_CALL_DTB,
	GZVM_CALL_REGISTER,
	GZVM_CALLS,
};

struct gzvm_vm {
	struct gh_sim *sim;
	const struct sim_engine *engine;
	void *guest; /* the engine's VM */
	pthread_mutex_t lock;
	unsigned int files; /* the VM's own and its vCPUs' */
	unsigned int calls[GZVM_CALLS];
	struct gzvm_slot slots[UAPI_GZVM_MAX_SLOTS];
	struct gzvm_irqfd *irqfds;
	struct gzvm_ioevent *ioevents;
	struct gzvm_vcpu *vcpus[UAPI_GZVM_MAX_VCPUS];
	uint64_t distributor;
	uint64_t redistributors;
	bool has_distributor;
	bool has_redistributors;
	bool has_gic;
	bool started;
};

struct gzvm_vcpu {
	struct gzvm_vm *vm;
	void *cpu;            /* the engine's vCPU */
	pthread_mutex_t lock; /* over the page */
	struct uapi_gzvm_run page;
	atomic_flag inside; /* a thread is in the guest */
	uint32_t load_width;
	bool load_waits;
	bool hypercall_waits;
};

/* gzvm_faults.c */
/* What a hypervisor's error becomes. */
int gzvm_errno(int code);
/*
 * The hypervisor's own answer to its next call of this kind: 0, or the error code that the script wants. `calls` counts them.
 * A script says `#! fail CALL CODE ...`: one code for each call in turn, 0 for one that succeeds.
 */
int gzvm_hypervisor(struct gh_sim *sim, unsigned int calls[GZVM_CALLS], enum gzvm_call call);
/* The hypervisor's error code for what an engine returns. */
int gzvm_engine_code(int error);

/* gzvm.c */
long gzvm_check_extension(uintptr_t arg);

/* gzvm_vm.c */
/* A VM and its descriptor. `calls` are the device's. */
int gzvm_vm_open(struct gh_sim *sim, unsigned int calls[GZVM_CALLS], uintptr_t type);
void gzvm_vm_put(struct gzvm_vm *vm);

/* gzvm_memory.c; gzvm_resolve() and gzvm_in_slot() take the VM's lock. */
long gzvm_set_user_mem(struct gzvm_vm *vm, uintptr_t arg);
bool gzvm_in_slot(struct gzvm_vm *vm, uint64_t gpa);
/* Can the driver put memory where the guest faulted? */
bool gzvm_resolve(struct gzvm_vm *vm, uint64_t gpa);

/* gzvm_events.c; gzvm_signal_ioevent() takes the VM's lock. */
long gzvm_irq_line(struct gzvm_vm *vm, uintptr_t arg);
long gzvm_irqfd(struct gzvm_vm *vm, uintptr_t arg);
long gzvm_ioeventfd(struct gzvm_vm *vm, uintptr_t arg);
/* Does an ioeventfd take this store? */
bool gzvm_signal_ioevent(struct gzvm_vm *vm, const struct uapi_gzvm_mmio *mmio);
void gzvm_end_irqfds(struct gzvm_vm *vm);
void gzvm_end_ioevents(struct gzvm_vm *vm);

/* gzvm_vcpu.c */
int gzvm_vcpu_open(struct gzvm_vm *vm, uint32_t id);
void gzvm_vcpu_free(struct gzvm_vcpu *vcpu);

/* gzvm_exit.c: what the hypervisor writes into the page. Each returns the exit code that the kernel sees. */
uint32_t gzvm_fill_event(struct gzvm_vcpu *vcpu, const struct sim_event *event);
/* The engine itself could not: FAIL_ENTRY with its error. */
uint32_t gzvm_fill_failure(struct gzvm_vcpu *vcpu, int error);

#endif
