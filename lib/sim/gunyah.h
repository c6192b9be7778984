/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the simulated /dev/gunyah share.
 *
 *   gunyah.c         device, VM: life and death, dispatch of ioctls
 *   gunyah_mem.c     memory regions: checks, pins, limits
 *   gunyah_fn.c      ADD_FUNCTION and REMOVE_FUNCTION; interrupts (irqfd)
 *   gunyah_io.c      ioeventfds
 *   gunyah_start.c   START: the driver's steps, the resource manager (gunyah_rm*.c), the engine
 *   gunyah_vcpu.c    vCPU function and RUN
 *
 * One lock per VM covers everything but running guests. The watching thread that raises interrupts never takes it, because
 * removing an irqfd waits for that thread.
 */
#ifndef GH_SIM_GUNYAH_H
#define GH_SIM_GUNYAH_H

#include "../uapi/gunyah.h"
#include "eventfds.h"
#include "gunyah_rm.h"
#include "pin.h"
#include "sim.h"

#include <pthread.h>
#include <stdatomic.h>

/* One region given by the caller, in the order of the calls. */
struct gunyah_region {
	struct gunyah_region *next;
	uint32_t label;
	uint32_t flags;
	bool lent;
	uint64_t gpa;
	uint64_t size;
	uint64_t pages;
	struct sim_pin pin;
};

/* What the hypervisor has for one cpu of the tree; it outlives the functions that user space hangs on it. */
struct gunyah_cpu {
	void *engine_vcpu; /* NULL if the VM did not get so far */
	bool load_waiting; /* a load was reported and has no value yet */
	uint32_t load_width;
	bool lost; /* its power-off was lost: it never runs again */
};

enum gunyah_vcpu_state { GUNYAH_VCPU_UNKNOWN, GUNYAH_VCPU_READY, GUNYAH_VCPU_LOAD, GUNYAH_VCPU_DOWN };

/* A vCPU function. It lives until it is removed and its file is closed, whatever comes last. */
struct gunyah_vcpu {
	struct gunyah_vcpu *next; /* of the VM's functions */
	struct gunyah_vm *vm;
	struct sim_file *file;  /* NULL once it is closed */
	struct gunyah_cpu *cpu; /* NULL if the tree has no such cpu, or before START */
	uint32_t id;
	bool function; /* not removed yet */
	bool removing; /* REMOVE_FUNCTION waits for the thread inside */
	bool running;  /* a thread is inside RUN: the kernel's run lock */
	enum gunyah_vcpu_state state;
	uint32_t load_width; /* the kernel's own copy, so that what user space does to the page does not matter */
};

struct gunyah_irqfd {
	struct gunyah_irqfd *next;
	struct gunyah_vm *vm;
	uint32_t label;
	int fd; /* where the eventfd was when it came */
	uint64_t id;
	struct sim_watch *watch;
	_Atomic uint32_t spi; /* RM_NO_SPI: no doorbell, signals are dropped */
	bool has_doorbell;
};

struct gunyah_ioeventfd {
	struct gunyah_ioeventfd *next;
	uint64_t gpa;
	uint64_t datamatch;
	uint32_t width;
	bool has_datamatch;
	struct sim_eventfd eventfd;
};

enum gunyah_state { GUNYAH_NO_STATE, GUNYAH_RUNNING, GUNYAH_EXITED, GUNYAH_FAILED };

struct gunyah_vm {
	struct gh_sim *sim;
	const struct sim_engine *engine;
	int creator; /* process whose memory this is */
	pthread_mutex_t lock;
	pthread_cond_t changed; /* a RUN has returned, or the VM has ended */
	unsigned int files;     /* its own and its vCPUs' */
	enum gunyah_state state;
	struct gunyah_region *regions;
	struct uapi_gunyah_range dtb;
	struct uapi_gunyah_range fw;
	struct gunyah_vcpu *vcpus;
	struct gunyah_irqfd *irqfds;
	struct gunyah_ioeventfd *ioeventfds;

	/* From START on. */
	void *engine_vm;
	bool has_resources;
	bool cannot_execute; /* the memory at the entry point has no execute permission */
	struct rm_tree tree;
	struct gunyah_cpu cpus[RM_CPUS_MAX];
	struct uapi_gunyah_status end;
};

long gunyah_mem_add(struct gunyah_vm *vm, uintptr_t arg, bool lend);
void gunyah_mem_free(struct gunyah_vm *vm);
/* The first region that has a part of [gpa, gpa + size), or NULL. */
struct gunyah_region *gunyah_mem_find(struct gunyah_vm *vm, uint64_t gpa, uint64_t size);

long gunyah_fn_add(struct gunyah_vm *vm, uintptr_t arg);
long gunyah_fn_remove(struct gunyah_vm *vm, uintptr_t arg);
void gunyah_fn_free(struct gunyah_vm *vm);
/* Gives functions what the resource manager has for them. */
void gunyah_irqfd_populate(struct gunyah_irqfd *irqfd);

int gunyah_io_add(struct gunyah_vm *vm, const struct uapi_gunyah_fn_ioeventfd *argument);
/* -ENOENT if there is none at the address. */
int gunyah_io_remove(struct gunyah_vm *vm, uint64_t gpa);
/* True if the store was for an ioeventfd. */
bool gunyah_io_store(struct gunyah_vm *vm, uint64_t gpa, uint32_t width, const uint8_t data[8]);

long gunyah_start(struct gunyah_vm *vm);

/* A descriptor, or -errno. */
long gunyah_vcpu_add(struct gunyah_vm *vm, uint32_t id);
int gunyah_vcpu_remove(struct gunyah_vm *vm, uint32_t id);
void gunyah_vcpu_populate(struct gunyah_vcpu *vcpu);
void gunyah_vcpu_free(struct gunyah_vcpu *vcpu);
/* Before a VM ends, by itself or because it is closed: would the kernel survive that? */
void gunyah_vcpu_check_end(struct gunyah_vm *vm);

/* Under the lock: gives it back, and frees the VM if its last file is gone. */
void gunyah_vm_put(struct gunyah_vm *vm);

#endif
