/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parts of the simulated /dev/gzvm. Order of the files: gzvm_revisions.c, gzvm.c, gzvm_vm.c, gzvm_memory.c, gzvm_events.c,
 * gzvm_ioevents.c, gzvm_vcpu.c, gzvm_registers.c, gzvm_exit.c.
 */
#ifndef GH_SIM_GZVM_H
#define GH_SIM_GZVM_H

#include "../uapi/gzvm.h"
#include "eventfds.h"
#include "sim.h"

#include <pthread.h>
#include <stdatomic.h>

#define GZVM_PAGE 4096u
#define GZVM_VCPUS 10u /* Halla's; GenieZone has fewer */

/* How a revision differs from the others. */
struct gzvm_switches {
	bool is_halla; /* other numbers, more vCPUs, no hypercalls */
	/* The device and the VM. */
	bool ignores_vm_type;
	bool create_vm_faults; /* EFAULT, whatever the hypervisor said */
	bool has_sysfs;
	bool knows_busy;             /* the hypervisor's BUSY has an errno of its own */
	bool has_no_dtb;             /* SET_DTB_CONFIG */
	bool has_no_bare_protection; /* SET_PROTECTED_VM */
	bool passes_paging_caps;     /* 0x9201 and 0x9202 go to the hypervisor */
	bool passes_idle_cap;        /* and 0x9203 */
	bool vcpus_keep_vm;          /* a vCPU's descriptor holds the VM; a failed CREATE_VCPU never lets it go */
	bool refuses_other_mm;       /* EIO for everybody but the VM's creator */
	/* Memory. */
	bool checks_regions; /* alignment, end and size; a bad slot is EINVAL */
	bool pins_at_once;   /* all of a region, when it is set */
	/* Lines and doorbells. */
	bool raw_irq_line; /* IRQ_LINE's number is an INTID */
	bool resamples;    /* irqfd's RESAMPLE means something */
	bool ignores_irqfd_padding;
	bool notices_early; /* an eventfd that is readable when it is assigned */
	bool tells_values_apart;
	/* vCPUs. */
	bool gets_registers;
	bool trusts_register_size; /* copies as many bytes as the id says over a word of the kernel's */
	bool registers_of_first_only;
	bool ignores_padding;
	/* Exits that the kernel handles itself. */
	bool takes_relinquish;
	bool takes_ptp;
	bool takes_page_faults;
	bool takes_reserved;  /* an exception with something in `reserved` counts as handled */
	bool hides_fault_gpa; /* and an exception has no `reserved` */
	bool takes_idle;
	bool takes_ipi;
	bool irq_ends_idle; /* any interrupt, of any vCPU; otherwise the guest's timer or a signal alone does */
};

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
	void *level; /* with RESAMPLE: the engine's line; NULL without */
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
	const struct gzvm_switches *switches;
	const struct sim_engine *engine;
	void *guest; /* the engine's VM */
	pthread_mutex_t lock;
	unsigned int files; /* the VM's own and its vCPUs' */
	unsigned int calls[GZVM_CALLS];
	struct gzvm_slot slots[UAPI_GZVM_MAX_SLOTS];
	struct gzvm_irqfd *irqfds;
	struct gzvm_ioevent *ioevents;
	struct gzvm_vcpu *vcpus[GZVM_VCPUS];
	atomic_uint wakeups; /* what ends the sleep of an idle vCPU: interrupts, and calls between vCPUs */
	uint64_t distributor;
	uint64_t redistributors;
	bool has_distributor;
	bool has_redistributors;
	bool has_gic;
	bool started;
};

struct gzvm_vcpu {
	struct gzvm_vm *vm;
	uint32_t id;
	void *cpu;            /* the engine's vCPU */
	pthread_mutex_t lock; /* over the page */
	struct uapi_gzvm_run page;
	atomic_flag inside; /* a thread is in the guest */
	uint32_t load_width;
	uint64_t idle_ns; /* of the last IDLE exit: until the guest's timer */
	bool load_waits;
	bool hypercall_waits;
};

/* gzvm_faults.c */
/* What a hypervisor's error becomes. */
int gzvm_errno(const struct gzvm_switches *switches, int code);
/*
 * The hypervisor's own answer to its next call of this kind: 0, or the error code that the script wants. `calls` counts them.
 * A script says `#! fail CALL CODE ...`: one code for each call in turn, 0 for one that succeeds.
 */
int gzvm_hypervisor(struct gh_sim *sim, unsigned int calls[GZVM_CALLS], enum gzvm_call call);
/* The hypervisor's error code for what an engine returns. */
int gzvm_engine_code(int error);

/* gzvm_halla.c: GenieZone's number for a request or a capability that this device was given; 0: it has no such thing. */
unsigned long gzvm_own_request(const struct gzvm_switches *switches, unsigned long request);
uint64_t gzvm_own_cap(const struct gzvm_switches *switches, uint64_t cap);
/* Exit codes, to and from what user space sees; any other number stays as it is. */
uint32_t gzvm_own_code(const struct gzvm_switches *switches, uint32_t code);
uint32_t gzvm_shown_code(const struct gzvm_switches *switches, uint32_t code);
bool gzvm_has_code(const struct gzvm_switches *switches, uint32_t code);
bool gzvm_halla_takes_type(uint64_t type);

/* gzvm.c */
int gzvm_device_open(struct gh_sim *sim, int flags);
long gzvm_check_extension(const struct gzvm_switches *switches, uintptr_t arg);
/* What user space may do to this VM from this process. */
static inline bool gzvm_is_foreign(const struct gzvm_vm *vm)
{
	return vm->switches->refuses_other_mm && sim_machine_in_child(vm->sim);
}

/* gzvm_vm.c */
/* A VM and its descriptor. `calls` are the device's. */
int gzvm_vm_open(struct gh_sim *sim, unsigned int calls[GZVM_CALLS], uintptr_t type);
void gzvm_vm_put(struct gzvm_vm *vm);

/* gzvm_breakage.c: what breaks the real driver's kernel, told to the machine. The first takes no lock. */
void gzvm_look_at_child(struct sim_file *file);
void gzvm_look_at_caller(const struct gzvm_vm *vm);
/* Under the VM's lock: before the guest's first instruction, and when the VM goes. */
void gzvm_look_at_memory(const struct gzvm_vm *vm);
void gzvm_look_at_end(const struct gzvm_vm *vm);

/* gzvm_memory.c; gzvm_resolve() and gzvm_in_slot() take the VM's lock. */
struct gzvm_vma {
	uint64_t start;
	uint64_t end;
	bool writable;
	bool shared;
};
/* The mapping of this process that holds an address, as the kernel keeps it: neighbours that are alike are one. */
bool gzvm_find_vma(uint64_t address, struct gzvm_vma *ret_vma);
long gzvm_set_user_mem(struct gzvm_vm *vm, uintptr_t arg);
bool gzvm_in_slot(struct gzvm_vm *vm, uint64_t gpa);
/* Can the driver put memory where the guest faulted? */
bool gzvm_resolve(struct gzvm_vm *vm, uint64_t gpa);

/* gzvm_events.c */
long gzvm_irq_line(struct gzvm_vm *vm, uintptr_t arg);
long gzvm_irqfd(struct gzvm_vm *vm, uintptr_t arg);
void gzvm_end_irqfds(struct gzvm_vm *vm);

/* gzvm_ioevents.c; gzvm_signal_ioevent() takes the VM's lock. */
long gzvm_ioeventfd(struct gzvm_vm *vm, uintptr_t arg);
/* Does an ioeventfd take this store? */
bool gzvm_signal_ioevent(struct gzvm_vm *vm, const struct uapi_gzvm_mmio *mmio);
void gzvm_end_ioevents(struct gzvm_vm *vm);

/* gzvm_vcpu.c */
int gzvm_vcpu_open(struct gzvm_vm *vm, uint32_t id);
void gzvm_vcpu_free(struct gzvm_vcpu *vcpu);

/* gzvm_registers.c */
long gzvm_set_one_reg(struct gzvm_vcpu *vcpu, uintptr_t arg);
long gzvm_get_one_reg(struct gzvm_vcpu *vcpu, uintptr_t arg);

/* gzvm_exit.c: what the hypervisor writes into the page. Each returns the exit code that the kernel sees. */
uint32_t gzvm_fill_event(struct gzvm_vcpu *vcpu, const struct sim_event *event);
/* The engine itself could not: FAIL_ENTRY with its error. */
uint32_t gzvm_fill_failure(struct gzvm_vcpu *vcpu, int error);

#endif
