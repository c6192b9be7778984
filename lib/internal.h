/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the core's files share: the bodies of a VM and of a vCPU, and who may call what.
 *
 * One lock per VM, for everything but running: gh_vcpu_run() takes it only when the VM ends. Lines and doorbells live in
 * irq.c and ioevent.c.
 */
#ifndef GH_LIB_INTERNAL_H
#define GH_LIB_INTERNAL_H

#include "backend.h"
#include "bus.h"

#include <gh/ioevent.h>
#include <gh/irq.h>
#include <gh/memory.h>
#include <gh/vcpu.h>
#include <gh/vm.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

enum gh_vm_state {
	GH_VM_OPEN,    /* being configured */
	GH_VM_STARTED, /* vCPUs may run */
	GH_VM_BROKEN,  /* a start failed half-way, or a reset: good for nothing but a reset and closing */
};

enum gh_end {
	GH_END_NONE,
	GH_END_BEING_SET, /* one vCPU is writing vm->end */
	GH_END_SET,
};

/* Why loops return. */
enum gh_quit {
	GH_QUIT_NOT,
	GH_QUIT_RUN, /* a vCPU of gh_vm_run() has failed or left: until that has returned */
	GH_QUIT_EVER,
};

/* What the guest waits for from the VMM. */
enum gh_pending {
	GH_PENDING_NOTHING,
	GH_PENDING_STORE,          /* one less than a load; nothing, but it may still be failed */
	GH_PENDING_LOAD,           /* an answer. From here on a run has something to do first */
	GH_PENDING_HYPERCALL,      /* results, or the default ones */
	GH_PENDING_BEING_ANSWERED, /* a thread is answering it */
};

/* What the library has done in the host for a region, to be undone at the end. */
struct gh_mapping {
	void *address; /* a mapping of its own, guards included; NULL: the caller has made it */
	size_t length;
	void *locked; /* NULL: nothing is */
	size_t locked_length;
	int fd;       /* of a mapping: the kernel's own file that it is of (gh_backend::vm_file); -1: none */
	void *hidden; /* a caller's, from forked children; NULL: not */
	size_t hidden_length;
};

struct gh_courier;
struct gh_resampler;

/* The hot words of a vCPU that mean nothing in a forked child; each has a line of the cache. */
struct gh_vcpu_live {
	_Alignas(GH_BUS_LINE) _Atomic enum gh_pending pending;
	/* gh_kick_self::token of the thread that is prepared to run it; 0: none */
	_Atomic uint64_t owner;
	_Alignas(GH_BUS_LINE) struct gh_bus_live bus;
};

struct gh_wiped {
	_Alignas(GH_BUS_LINE) volatile uint8_t alive; /* 1 */
	struct gh_vcpu_live vcpus[];
};

struct gh_vm {
	struct gh_bvm b; /* first: a backend's pointer is a pointer to the VM */
	pthread_mutex_t lock;
	_Atomic enum gh_vm_state state;
	_Atomic enum gh_end end_state;
	struct gh_exit end; /* the one end of this VM, valid with GH_END_SET */
	int kick_signal;
	int pid;
	struct gh_wiped *wiped; /* a forked child sees nothing but zeros there */
	size_t wiped_size;
	struct gh_region **regions;
	struct gh_mapping *mappings; /* one for each region */
	struct gh_vcpu *vcpus;
	struct gh_irqfd *irqfds;
	struct gh_ioevent *ioevents;
	struct gh_courier *courier;
	int end_fd;         /* an eventfd that becomes readable at the end */
	atomic_uint paused; /* how many want it so */
	_Atomic enum gh_quit quitting;
	atomic_bool running; /* a thread is in gh_vm_run() */
	struct gh_failure failure;
	void (*log)(void *data, const char *line);
	void *log_data;
	struct gh_irq *irqs;
	struct gh_resampler *resampler; /* NULL: nothing to do for it */
	struct gh_bus bus;
	uint32_t tree_cpus; /* cpu nodes of the tree that gh_fdt_finish() has written; 0: the tree is the caller's */
	/*
	 * The addresses of all doorbells that the kernel has ever had are in here, from the first byte to the one behind the
	 * last, which is 0 before the first one: a store elsewhere needs no lock.
	 */
	atomic_uint_least64_t bells_begin;
	atomic_uint_least64_t bells_end;
	uint64_t wanted_redistributors; /* as the options said; the start may choose another place */
	bool gone;                      /* BROKEN, and the kernel's VM is closed already */
};

/*
 * Where a vCPU's thread is, as far as a kicker is concerned. A thread is in gh_vcpu_run() from OUT to OUT. INSIDE: a signal
 * ends what it does. FRAGILE: the same with a load's answer on its way, for the courier. BUSY: between kernel entries, where
 * it looks at its kicks before the next one. WAITING: asleep on its eventfd.
 */
enum gh_place { GH_OUT, GH_INSIDE, GH_FRAGILE, GH_WAITING, GH_BUSY, GH_PLACES = 8 };

/* What a vCPU's `where` says: INSIDE and FRAGILE come with the thread, and with a number that its next entry does not have. */
static inline enum gh_place gh_where_place(uint64_t where)
{
	return (enum gh_place)(where % GH_PLACES);
}

static inline int gh_where_thread(uint64_t where)
{
	return (int)(where >> 32);
}

/* Bits of the kicked word. */
enum {
	GH_KICK = 1,  /* the VMM's: gives one GH_EXIT_INTERRUPTED */
	GH_NUDGE = 2, /* the library's: look at the VM's state again */
};

/* What the courier has seen of one vCPU in one entry; only its thread touches it. */
struct gh_watch {
	uint64_t where; /* says which entry */
	unsigned int slices;
	unsigned int sleeps;
	unsigned int since_sent;
	unsigned int blind; /* looks at which the thread did not run, or no clock told, and nobody said whether it sleeps */
	bool sent;
	bool has_time;
	uint64_t time;     /* at the last look */
	uint64_t run_time; /* in all */
	unsigned int cpu;
};

struct gh_vcpu {
	struct gh_bvcpu b; /* first */
	struct gh_vm *vm;
	struct gh_vcpu *next;
	struct gh_vcpu_live *live;
	/* What `where` becomes in the next entry: FRAGILE if an answer is on its way that a signal could destroy. */
	atomic_uint entry;       /* ordered by live->pending */
	uint32_t entries;        /* what `entry` was for the last fragile one; each has a number of its own */
	bool made;               /* the kernel has it */
	uint64_t fragile_values; /* an answer with one of these bits is fragile: all (GH_QUIRK_FRAGILE_ANSWER), or none */
	int (*run)(struct gh_bvcpu *vcpu); /* gh_backend::vcpu_run, two loads nearer */
	/*
	 * The kick protocol: kick.c and courier.c. A nudge stays latched while there is something to look at before the next
	 * entry (the VM is paused or over), so that the word alone says whether to enter.
	 */
	atomic_uint kicked;
	atomic_uint senders;
	_Atomic uint64_t where;
	int wake_fd; /* an eventfd that ends GH_WAITING */
	struct gh_watch watch;
	struct gh_failure failure;
	struct gh_bus_slot bus;
	/* fault.c */
	uint64_t fault_gpa;
	unsigned int fault_tries; /* at that address in a row */
};

_Static_assert(sizeof(atomic_uint) == sizeof(uint32_t), "the kicked word is read by assembly");

/* error.c */
static inline int gh_fail_argument(struct gh_failure *failure, int error, const char *step, const char *cause)
{
	return gh_fail(failure, error, step, NULL, "Correct the arguments of the call.", "%s", cause);
}

static inline int gh_fail_state(struct gh_failure *failure, const char *step, const char *cause)
{
	return gh_fail(failure, -EBUSY, step, NULL, "See the states of a VM in gh/vm.h for the order of calls.", "%s",
		       cause);
}

static inline int gh_fail_memory(struct gh_failure *failure, const char *step)
{
	return gh_fail(failure, -ENOMEM, step, NULL, "Free memory of this process.", "The process is out of memory.");
}

static inline int gh_fail_process(struct gh_failure *failure)
{
	return gh_fail_cause(failure, -EPERM, GH_CAUSE_OTHER_PROCESS, "check the process", NULL,
			     "This is a forked child: the VM belongs to the process that opened it.");
}

static inline int gh_fail_forked(struct gh_vm *vm)
{
	return gh_fail_process(&vm->failure);
}

/* probe.c: a device that one of the backends knows. */
struct gh_target {
	struct gh_sys *sys;
	const struct gh_backend *ops;
	int fd; /* -1 for a backend without a device */
	struct gh_caps caps;
};
int gh_target_open(const struct gh_vm_options *options, struct gh_target *ret_target);
/* `callers` (or NULL) checked and with defaults; *own points into the caller's strings. */
int gh_vm_options_read(const struct gh_vm_options *callers, struct gh_vm_options *own);

/* simload_shared.c, simload_static.c: how libgh reaches libghsim. -ENOENT without it. */
struct gh_simload {
	int (*new_machine)(const char *device, struct gh_sim **ret_sim);
	void (*free_machine)(struct gh_sim *sim);
	struct gh_sys *(*table)(struct gh_sim *sim);
	const char *(*device_path)(struct gh_sim *sim);
};
int gh_simload(struct gh_simload *ret_load);

/* caps.c: features and quirks that the caller wants on or off */
int gh_caps_check(const struct gh_vm_options *options);
int gh_caps_override(struct gh_caps *caps, const struct gh_backend *ops, const struct gh_vm_options *options,
		     struct gh_failure *failure);

/* vm.c */
static inline bool gh_vm_is_forked(const struct gh_vm *vm)
{
	return vm->wiped->alive == 0;
}

static inline bool gh_vm_has_ended(struct gh_vm *vm)
{
	return atomic_load_explicit(&vm->end_state, memory_order_acquire) == GH_END_SET;
}

void gh_vm_log(const struct gh_vm *vm, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The end of the VM, seen by `vcpu`: the first one counts, and every other vCPU is woken for it. */
void gh_vm_set_end(struct gh_vm *vm, struct gh_vcpu *vcpu, const struct gh_exit *exit);

/* memory_access.c */
/* Where `gpa` is in the host, and how many bytes of it follow there; NULL if the host may not touch it. */
uint8_t *gh_vm_host(struct gh_vm *vm, uint64_t gpa, uint64_t *ret_left);
/* The same under the lock; parts of what was mapped at once follow each other. */
uint8_t *gh_region_host(const struct gh_bvm *vm, uint64_t gpa, uint64_t *ret_left);
/* Before the start, where the kernel wants it so: what is to be lent leaves this process. */
int gh_regions_give_up(struct gh_vm *vm);
/* Bytes of this part and of those that follow it. */
uint64_t gh_region_length_from(const struct gh_bvm *vm, uint32_t index);
/* memory_access.c: is all of it what one gh_vm_map() has mapped? */
bool gh_vm_maps(const struct gh_vm *vm, uint64_t gpa, uint64_t length);
/* One part to the kernel. Failures are explained. */
int gh_region_hand_over(struct gh_vm *vm, struct gh_region *region);
void gh_regions_lent(struct gh_vm *vm);
/* Where in the table what gh_vm_map() called `id` is, and its parts, which follow each other; 0: there is no such thing. */
uint32_t gh_region_index(const struct gh_vm *vm, uint32_t id, uint32_t *ret_parts);
/* Takes `count` regions out of the table, and frees them; what is mapped in the host stays. */
void gh_regions_drop(struct gh_vm *vm, uint32_t first, uint32_t count);
void gh_regions_free(struct gh_vm *vm);

/* vcpu.c: a load that waited when the VM ended waits for nothing. False: a thread is about to have answered it, or to fail to. */
bool gh_vcpu_drop_load(struct gh_vcpu *vcpu);

/* diagnosis.c: `error` because the guest did not get a page. */
int gh_fail_fault(struct gh_vcpu *vcpu, int error, const struct gh_exit *exit);

/* loop.c: takes a nudge, and sleeps while the VM is paused, unless it is kicked or over */
void gh_vcpu_sit_out_pause(struct gh_vcpu *vcpu);

/* fault.c: 0 after a nap: run again. Or it will not pass, and the failure says why. */
int gh_fault_retry(struct gh_vcpu *vcpu, const struct gh_exit *exit);
/* -EFAULT, explained: an access that no device takes is one to memory that the kernel could not provide. */
int gh_fault_check_access(struct gh_vcpu *vcpu, const struct gh_exit_mmio *mmio);

/* vcpu.c; serial */
int gh_vcpu_make(struct gh_vcpu *vcpu);
void gh_vcpu_unmake(struct gh_vcpu *vcpu);

/* kick.c */
int gh_kick_claim(struct gh_vm *vm);
static inline bool gh_kick_pending(struct gh_vcpu *vcpu)
{
	return atomic_load(&vcpu->kicked) != 0;
}

/* Before the thread leaves, or enters again: what the nudge was for may still be there. */
void gh_kick_remind(struct gh_vcpu *vcpu);
/* Takes a latched kick or nudge; false if there is none. */
bool gh_kick_take_bit(struct gh_vcpu *vcpu, unsigned int bit);
static inline bool gh_kick_take(struct gh_vcpu *vcpu)
{
	return gh_kick_pending(vcpu) && gh_kick_take_bit(vcpu, GH_KICK);
}

static inline void gh_kick_take_nudge(struct gh_vcpu *vcpu)
{
	if (gh_kick_pending(vcpu))
		(void)gh_kick_take_bit(vcpu, GH_NUDGE);
}

/* Async-signal-safe; GH_KICK or GH_NUDGE. */
void gh_kick(struct gh_vcpu *vcpu, unsigned int bit);
/*
 * Sleeps outside of the kernel's RUN until there is a kick or a nudge, or gh_kick_wake(). The caller has claimed the vCPU,
 * and looks at what it waits for in a loop; whoever changes that calls gh_kick_wake() afterwards.
 */
void gh_kick_wait(struct gh_vcpu *vcpu, bool (*still)(struct gh_vcpu *vcpu));
void gh_kick_wake(struct gh_vcpu *vcpu);
/* The slow halves of kick.h. */
int gh_kick_prepare(struct gh_vcpu *vcpu);
/* No signal of a kick is under way any more when it returns. */
void gh_kick_settle(struct gh_vcpu *vcpu);
/* Signals the thread that `where` names; the caller counts as a sender. */
void gh_kick_send(struct gh_vcpu *vcpu, uint64_t where);

/* courier.c: nothing at all where an answer is not fragile */
int gh_courier_start(struct gh_vm *vm);
void gh_courier_stop(struct gh_vm *vm);
/* Async-signal-safe. */
void gh_courier_call(struct gh_vm *vm);

/* irq.c, irq_line.c and ioevent.c; serial */
/* Of a start, before the first kernel request. */
int gh_irqfds_check(struct gh_vm *vm);
int gh_irqfds_activate(struct gh_vm *vm);
/* Before the kernel's VM goes and another one comes, to which all of them will be given again. */
void gh_irqfds_deactivate(struct gh_vm *vm);
void gh_irqs_deactivate(struct gh_vm *vm);
void gh_ioevents_deactivate(struct gh_vm *vm);
void gh_irqfds_free(struct gh_vm *vm);
int gh_irqs_check(struct gh_vm *vm);
int gh_irqs_activate(struct gh_vm *vm);
void gh_irqs_free(struct gh_vm *vm);
bool gh_irqs_have(const struct gh_vm *vm, uint32_t line);
/* Can a new object drive this line? The same for both kinds. */
int gh_line_check(struct gh_vm *vm, const char *step, uint32_t line);
/* Can the backend have it? */
int gh_line_check_spec(struct gh_vm *vm, const struct gh_irqfd_spec *spec);
int gh_ioevents_activate(struct gh_vm *vm);
void gh_ioevents_free(struct gh_vm *vm);
/* A close-on-exec copy of the caller's eventfd and its id (-1: unknown), or a new one if `fd` is -1. -EINVAL: no eventfd. */
int gh_eventfd_take(struct gh_sys *sys, int fd, int64_t *ret_id);
/* Adds 1, unless somebody has filled the counter: nobody waits for a reader here. */
int gh_eventfd_signal(struct gh_sys *sys, int fd);
/* Takes what it holds, if there is anything. */
void gh_eventfd_drain(struct gh_sys *sys, int fd);

/* vm.c; serial: gh_vm_set_dtb() without the lock */
int gh_dtb_set(struct gh_vm *vm, uint64_t gpa, uint64_t size);

/*
 * reset.c; serial. The kernel's VM anew, with the memory that is recorded: the VM is OPEN afterwards, or BROKEN, with a
 * failure. Nothing else may be in the kernel.
 */
int gh_vm_renew(struct gh_vm *vm, const char *step);

/* gic.c; serial */
#define GH_GIC_DISTRIBUTOR_SIZE UINT64_C(0x10000)
#define GH_GIC_REDISTRIBUTOR_SIZE UINT64_C(0x20000)
/* Where the redistributors of so many vCPUs go, before the start; checked against the address space and memory. */
int gh_gic_place(struct gh_vm *vm, const char *step, uint32_t n_cpus, uint64_t *ret_redistributors);
bool gh_gic_overlaps(const struct gh_bvm *vm, uint64_t redistributors, uint32_t n_cpus, uint64_t gpa, uint64_t length);

/* mapping.c; serial. Failures are explained. */
int gh_mapping_make(struct gh_vm *vm, const struct gh_memory *memory, struct gh_mapping *ret_mapping, uint8_t **ret_host);
/* Takes the memory of a region out of its mapping, whose addresses stay taken. */
int gh_mapping_give_up(struct gh_vm *vm, const struct gh_mapping *mapping, const struct gh_region *region);
/* Is a caller's mapping there, all of it? */
int gh_mapping_check(struct gh_vm *vm, const struct gh_region *region);
/* Before the kernel gets it: what `flags` (GH_MEMORY_*) and the hypervisor want of the memory. */
int gh_mapping_prepare(struct gh_vm *vm, uint32_t flags, const struct gh_region *region, struct gh_mapping *mapping);
/* After the kernel has got it; never fails. */
void gh_mapping_keep(struct gh_vm *vm, const struct gh_region *region, struct gh_mapping *mapping);
void gh_mapping_lend(struct gh_vm *vm, const struct gh_mapping *mapping, const struct gh_region *region);
void gh_mapping_free(struct gh_vm *vm, const struct gh_mapping *mapping);

/* irq.c, irq_line.c; serial: each line that has an irqfd, or that the VMM sets */
void gh_irqfds_each(const struct gh_vm *vm, void (*each)(void *data, uint32_t line, bool level), void *data);
void gh_irqs_each(const struct gh_vm *vm, void (*each)(void *data, uint32_t line, bool level), void *data);

#endif
