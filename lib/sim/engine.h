/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What runs the guest behind a simulated device.
 *
 * A driver (gunyah.c, gzvm.c) plays the kernel and decides what user space sees; an engine plays the hypervisor and the
 * CPU below it. `script` performs a list of guest actions, the same way on every host; `kvm` runs real arm64 code through
 * libgh's KVM backend. Every entry returns 0 or -errno unless it says otherwise. The driver serialises calls on one VM,
 * except run() on different vCPUs, wake(), irq() and pulse(), which may come from any thread at any time.
 */
#ifndef GH_SIM_ENGINE_H
#define GH_SIM_ENGINE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

enum sim_event_kind {
	SIM_EVENT_INTERRUPTED, /* a signal of the caller is pending, or wake() was called: nothing else happened */
	SIM_EVENT_MMIO,        /* access to an address where the VM has no memory */
	SIM_EVENT_HYPERCALL,   /* the guest asks for something that the engine does not answer; args[0..7] */
	SIM_EVENT_OFF,         /* PSCI SYSTEM_OFF: the VM is over */
	SIM_EVENT_RESET,       /* PSCI SYSTEM_RESET */
	SIM_EVENT_RESET2,      /* PSCI SYSTEM_RESET2, args[0] type, args[1] cookie */
	SIM_EVENT_CRASH,       /* the guest cannot go on (lost in an exception, memory that cannot be executed) */
	SIM_EVENT_RAW,         /* script only: `raw` is for the driver to interpret, see engine_script.c */
};

struct sim_event {
	enum sim_event_kind kind;
	bool is_write;
	uint32_t width; /* of SIM_EVENT_MMIO, in bytes; a script may say anything */
	uint32_t reg;   /* number of the register of a load or store, 0 where unknown */
	uint64_t gpa;
	uint8_t data[8]; /* of a store, little-endian */
	uint64_t args[8];
	const char *raw;
};

/* Registers that a driver may set. The stack pointer is that of exception level 1, where guests begin. */
enum sim_register {
	SIM_REG_X0 = 0, /* .. X30 = 30 */
	SIM_REG_SP = 31,
	SIM_REG_PC = 32,
	SIM_REG_PSTATE = 33,
	SIM_REG_SP_EL0 = 34,
	SIM_REGISTERS
};

struct sim_engine_options {
	const char *script; /* text, for `script`; NULL elsewhere */
	uint32_t gpa_bits;  /* 0: whatever the engine has */
};

struct sim_engine {
	const char *name;
	/* Every access to memory that is not mapped becomes an event; else instruction fetches and others fail in the guest. */
	bool reports_all;

	int (*vm_new)(const struct sim_engine_options *options, void **ret_vm);
	/* No run() is inside any more; frees the vCPUs too. */
	void (*vm_free)(void *vm);
	/* Gives the guest `length` bytes at `host`; protection is an or of 1 read, 2 write, 4 execute. Any time. */
	int (*map)(void *vm, uint64_t gpa, uint64_t length, void *host, uint32_t protection);
	/* Takes back what one map() gave, at this address. No run() is inside. */
	void (*unmap)(void *vm, uint64_t gpa);
	/* A GICv3 with its distributor and redistributors (128 KiB a vCPU) there. Before start(). */
	int (*gic)(void *vm, uint64_t distributor, uint64_t redistributors);
	/* vCPU `index` (MPIDR affinity 0, 1, 2, ...). `on` is false for one that waits for PSCI CPU_ON. Before start(). */
	int (*vcpu_new)(void *vm, uint32_t index, bool on, void **ret_vcpu);
	int (*set_register)(void *vcpu, enum sim_register reg, uint64_t value);
	/* After the last vcpu_new() and before the first run(). */
	int (*start)(void *vm);
	/* Raises (true) or lowers shared peripheral interrupt `spi`, counted from 0 (INTID - 32). Any thread. */
	int (*irq)(void *vm, uint32_t spi, bool level);
	/* Raises it until the guest acknowledges, whether the guest takes it for edge- or level-triggered. Any thread. */
	int (*pulse)(void *vm, uint32_t spi);

	/*
	 * Runs the vCPU until something happens. All signals are blocked in the calling thread; `unblocked` are those that
	 * the caller of the driver would receive. One of them becoming pending ends the call with INTERRUPTED, and leaves
	 * the signal pending. A sleeping (WFI) or powered-off vCPU sleeps in here.
	 */
	int (*run)(void *vcpu, const sigset_t *unblocked, struct sim_event *ret_event);
	/* The value of the load that run() reported last. A driver always calls it; the guest of a script reads 0 otherwise. */
	void (*answer)(void *vcpu, const uint8_t data[8], uint32_t width);
	/* The registers x0..x3 after a SIM_EVENT_HYPERCALL. */
	void (*answer_hypercall)(void *vcpu, const uint64_t results[4]);
	/* Takes a synchronous external abort for the access that run() reported last. */
	void (*abort)(void *vcpu);
	/* Ends the run() that is inside, or the next one, with INTERRUPTED. Any thread. */
	void (*wake)(void *vcpu);

	/* What set_register() has put there; afterwards, what the guest has made of it, where the engine knows. */
	int (*get_register)(void *vcpu, enum sim_register reg, uint64_t *ret_value);
	/*
	 * A level-triggered line: raise() keeps it up until the guest acknowledges, which signals `resample_fd`. That is the
	 * line's from then on, and is closed by free(). All before vm_free(); raise() from any thread.
	 */
	int (*level_new)(void *vm, uint32_t spi, int resample_fd, void **ret_level);
	void (*level_raise)(void *level);
	void (*level_free)(void *level);
};

extern const struct sim_engine sim_engine_script;
extern const struct sim_engine sim_engine_kvm; /* vm_new() says -ENODEV where there is no /dev/kvm or no arm64 */

#endif
