/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The backend vtable: where hypervisors differ.
 *
 * The core checks arguments, states, overlaps, alignment and limits, keeps the tables of regions, vCPUs, lines and
 * doorbells, and decides; a backend only translates. A backend therefore may assume valid input, never keeps a pointer to
 * a spec beyond the call, and returns 0 or -errno. Before it returns an error it may say why with gh_fail(); if it does
 * not, the core describes the errno in general words.
 */
#ifndef GH_LIB_BACKEND_H
#define GH_LIB_BACKEND_H

#include "sys.h"

#include <gh/error.h>
#include <gh/exit.h>
#include <gh/fake.h>
#include <gh/probe.h>
#include <gh/vm.h>

#include <stdbool.h>

struct gh_backend;

/* What a device can do and how it must be treated. Found by probe(), never asked as "which backend is this". */
struct gh_caps {
	uint64_t features; /* GH_FEATURE_*, public */
	const char *dialect;
	uint32_t max_vcpus;
	uint32_t max_regions;
	uint32_t max_lines; /* interrupt lines are 0 .. max_lines - 1 */
	uint32_t gpa_bits;  /* guest physical addresses are below 2^gpa_bits */
	uint64_t gpa_align; /* of a region, in bytes; at least the page size */
	uint64_t mmio_end;  /* accesses from here on are not reported to user space; 0: all are */
	uint64_t quirks;    /* GH_QUIRK_*, public */
	/* The longest region that the kernel takes, and the pieces that the core makes of a longer one; 0: any length goes. */
	uint64_t region_limit;
	uint64_t region_piece;
};

#define GH_REGISTERS 33 /* enum gh_register: x0 to x30, SP, PC */

enum gh_region_state { GH_REGION_SHARED, GH_REGION_TO_LEND, GH_REGION_LENT };

/*
 * One piece of guest memory: what one gh_vm_map() has mapped, or a part of it that the kernel can take. The core owns it;
 * entries never move while the VM lives.
 */
struct gh_region {
	uint32_t id;   /* Gunyah's label, KVM's slot: the lowest free one, or for further parts the highest free one */
	uint32_t prot; /* GH_MEMORY_READ | GH_MEMORY_WRITE | GH_MEMORY_EXEC */
	enum gh_region_state state;
	uint64_t gpa;
	uint64_t length;
	uint8_t *host;
	uint32_t map;  /* the id of the first part, which is what the caller knows */
	uint32_t slot; /* its place in the table when it was handed over: without gaps where the kernel removes nothing */
	/* The kernel's own file that the memory is of (vm_file), and where in it; -1: none. The mapping owns it. */
	int fd;
	bool contiguous; /* of GH_MEMORY_CONTIGUOUS */
	bool anonymous;  /* the library's, and of no file */
	bool swiotlb;    /* of GH_MEMORY_SWIOTLB */
	uint64_t fd_offset;
};

/* One interrupt line that an eventfd raises. */
struct gh_irqfd_spec {
	int fd;
	uint32_t line; /* SPI counted from 0; Gunyah: label of the doorbell */
	bool level;
	bool resample;   /* the kernel tells of acknowledgements: only with GH_FEATURE_IRQFD_RESAMPLE */
	int resample_fd; /* where, with `resample` */
};

/* One doorbell: a guest store that signals an eventfd. */
struct gh_ioevent_spec {
	int fd;
	uint64_t gpa;
	uint32_t width; /* 1, 2, 4, 8, or 0 for any */
	bool datamatch;
	uint64_t value;
};

/* What gh_fdt_finish() tells a backend of the devicetree that it completes. */
struct gh_fdt_line {
	uint32_t line;
	bool level;
};
struct gh_fdt_plan {
	uint64_t gpa;                    /* where the tree will be */
	uint64_t room;                   /* and the bytes there */
	const char *gic;                 /* path of the interrupt controller's node */
	const char *name;                /* of the VM */
	const struct gh_fdt_line *lines; /* of irqfds and of devices, in rising order, each once */
	size_t n_lines;
};

/* What a backend sees of a VM. First member of struct gh_vm. */
struct gh_bvm {
	struct gh_sys *sys;
	const struct gh_backend *ops;
	struct gh_caps caps;
	int dev; /* the device, open for the VM's whole life; -1 for a backend without one */
	int fd;  /* the VM; -1 before vm_create */
	uint32_t page_size;
	bool in_child; /* a forked child closes: descriptors and mappings only, requests would take from the parent's VM */
	/* Set by a backend whose refused request has left the kernel's VM as nobody may start it. */
	bool spoilt;
	/* Doorbells with a data match that the kernel knows; how often it has been given, or has lost, a doorbell. */
	uint32_t n_matches;
	uint32_t n_changes;
	struct gh_failure *failure; /* where gh_fail() writes */
	/* The core's tables, read only: for checks before the start, and to recognise what a kernel has done already. */
	struct gh_region *const *regions;
	uint32_t n_regions;
	uint32_t n_vcpus;
	uint32_t max_vcpu_id;
	uint64_t dtb_gpa;
	uint64_t dtb_size; /* 0: no devicetree */
	uint64_t gic_distributor;
	uint64_t gic_redistributors;      /* room for n_vcpus * 128 KiB */
	uint64_t registers[GH_REGISTERS]; /* of vCPU 0, by enum gh_register */
	uint64_t registers_set;           /* bit n: registers[n] was set */
	struct gh_fake *fake;
	void *priv; /* the backend's own, allocated by vm_create and freed by vm_destroy */
	uint64_t firmware_gpa;
	uint64_t firmware_size; /* 0: no firmware */
	bool is_protected;      /* without firmware */
	struct gh_authentication authentication;
};

static inline bool gh_can(const struct gh_bvm *vm, uint64_t feature)
{
	return (vm->caps.features & feature) != 0;
}

static inline bool gh_is_quirky(const struct gh_bvm *vm, uint64_t quirk)
{
	return (vm->caps.quirks & quirk) != 0;
}

/* What a backend sees of a vCPU. First member of struct gh_vcpu. */
struct gh_bvcpu {
	struct gh_bvm *vm;
	uint32_t id;
	int fd; /* -1 before vcpu_create */
	struct gh_failure *failure;
	const volatile uint32_t *kicked; /* a kick is pending: for gh_sys::enter */
	/*
	 * A byte that ends the next kernel entry when it is 1. Used where a call cannot be taken back: the kick handler stores
	 * it on the vCPU's own thread, the core clears it. Set by vcpu_create.
	 */
	volatile uint8_t *immediate_exit;
	/*
	 * Eight bytes, where the value of the load that the last exit reported goes, little-endian; as many of them as the load
	 * is wide reach the guest with the next vcpu_run. Set by vcpu_create.
	 */
	uint8_t *answer;
	uint32_t changes; /* for the backend's own use: gh_bvm::n_changes before the kernel entry */
	void *run;        /* run page or buffer */
	size_t run_size;
	void *priv;
	struct gh_exit exit; /* the last one; filled by vcpu_run */
};

/* Kernel requests as their failures are explained, the same for every hypervisor (diagnosis.h). */
enum gh_request {
	GH_REQUEST_ANY, /* in tables only */
	GH_REQUEST_CREATE_VM,
	GH_REQUEST_MAP,
	GH_REQUEST_LEND,
	GH_REQUEST_INTERRUPT_CONTROLLER,
	GH_REQUEST_SET_DTB,
	GH_REQUEST_START,
	GH_REQUEST_ADD_VCPU,
	GH_REQUEST_RUN_PAGE,
	GH_REQUEST_SET_REGISTER,
	GH_REQUEST_RUN,
	GH_REQUEST_FAULT, /* no request: what RUN says of a page that the guest did not get */
	GH_REQUEST_IRQFD,
	GH_REQUEST_IRQ_LINE,
	GH_REQUEST_IOEVENTFD,
	GH_REQUEST_CREATE_FILE, /* of guest memory */
	GH_REQUEST_MAP_FILE,
	GH_REQUEST_MAP_CONTIGUOUS,
	GH_REQUEST_UNMAP,
	GH_REQUEST_RECLAIM,
	GH_REQUEST_SET_FIRMWARE,
	GH_REQUEST_SET_AUTHENTICATION,
	GH_REQUESTS,
};

struct gh_diagnoses;
struct gh_needs;

/*
 * Slots are called by the core. "Serial": under the VM's lock, one at a time per VM. NULL means that the hypervisor has no
 * such thing, and the core answers -EOPNOTSUPP or goes on, as the slot says. At most two dozen.
 */
struct gh_backend {
	const char *name;                     /* "gunyah", "geniezone", "halla", "kvm", "fake" */
	const char *device;                   /* default path; NULL for a backend without a device */
	const struct gh_diagnoses *diagnoses; /* what failures of its requests mean; NULL: nothing special */
	/*
	 * Features that it has code for. A caller may say that the kernel has them when the probe could not tell; then the
	 * slots are called, and the kernel refuses what it does not know.
	 */
	uint64_t possible;
	uint64_t certain; /* features that its code relies on: a caller cannot say that the kernel lacks them */

	/*
	 * Is `fd`, an open device, one of ours, and what can it do? Harmless steps only. -ENODEV: not ours, try the next one
	 * (no failure text), or ours in a dialect that is not supported (with a failure text, and if it has a name, that as
	 * ret_caps->dialect). *ret_caps is all zero before. Any thread.
	 */
	int (*probe)(struct gh_sys *sys, int fd, struct gh_caps *ret_caps, struct gh_failure *failure);

	/* Makes the VM: fd, priv. Serial. On failure nothing is left behind. */
	int (*vm_create)(struct gh_bvm *vm);
	/* Gives all of it back, in an order that no kernel breaks on; vCPUs are gone already. Never fails. Serial. */
	void (*vm_destroy)(struct gh_bvm *vm);
	/*
	 * A file of the kernel's own that memory is to be mapped from, shared: of GH_QUIRK_OWN_FILES_ONLY, and with
	 * GH_MEMORY_CONTIGUOUS in `flags` of the device `source`. NULL: there are no such files. Serial.
	 */
	int (*vm_file)(struct gh_bvm *vm, int source, uint64_t length, uint32_t flags);
	/* Gives memory to the guest: state is SHARED or TO_LEND. Serial, before the start. */
	int (*vm_map)(struct gh_bvm *vm, const struct gh_region *region);
	/*
	 * Takes memory back, before or after the start; on failure the guest has it still. -EOPNOTSUPP, or NULL: this kernel
	 * cannot, and the core makes a new VM before the start, and refuses after it. Serial.
	 */
	int (*vm_unmap)(struct gh_bvm *vm, const struct gh_region *region);
	/*
	 * Everything that can be found wrong without the kernel, before any request of the start is made: nothing has changed
	 * when it fails, and the start may be tried again. Optional. Serial.
	 */
	int (*vm_check)(struct gh_bvm *vm);
	/* Makes the interrupt controller; first step of the start. NULL: the hypervisor makes it itself. Serial. */
	int (*vm_irqchip)(struct gh_bvm *vm);
	/* Takes pages back from the guest; the range is inside one region. NULL: no such request. Serial. */
	int (*vm_reclaim)(struct gh_bvm *vm, uint64_t gpa, uint64_t length);
	/*
	 * Where the devicetree is, firmware, authentication; the step after the vCPUs. NULL: the kernel does not want to know.
	 * Serial.
	 */
	int (*vm_set_dtb)(struct gh_bvm *vm);
	/* Last step of the start. NULL: the first run starts the VM. Serial. */
	int (*vm_start)(struct gh_bvm *vm);

	/* Makes the kernel's vCPU: fd, run, immediate_exit, answer. Serial. On failure nothing is left behind. */
	int (*vcpu_create)(struct gh_bvcpu *vcpu);
	/* Serial; no thread is inside vcpu_run. Never fails. */
	void (*vcpu_destroy)(struct gh_bvcpu *vcpu);
	/*
	 * A boot register (enum gh_reg) before the start. NULL: the hypervisor decides (vm_check then compares what was asked
	 * for with what it does). Serial.
	 */
	int (*vcpu_set_register)(struct gh_bvcpu *vcpu, uint32_t reg, uint64_t value);
	/*
	 * One kernel entry (gh_sys::enter) on the vCPU's thread, without a lock; allocates nothing. gh_exit_result(): its exit is
	 * filled, checked by exit.c. -ECANCELED: a kick came first, nothing was entered, an answer is where it was.
	 * -EINTR: interrupted, and there is no exit that has not been delivered; a load's answer may still be on its way.
	 * -EAGAIN: the kernel came back for its own reasons: enter again after a nap. -EBUSY: the same, but not for ever.
	 * Anything else: the vCPU cannot run.
	 */
	int (*vcpu_run)(struct gh_bvcpu *vcpu);
	/* The access of the last exit gets an abort instead. NULL: the kernel cannot. */
	int (*vcpu_abort)(struct gh_bvcpu *vcpu);
	/* Results of the hypercall that the last exit reported. NULL: hypercalls never reach user space. */
	void (*vcpu_answer_hypercall)(struct gh_bvcpu *vcpu, const uint64_t results[4]);

	/*
	 * Can this line be had? The part of vm_check that concerns lines; also asked for those that are added later. NULL: all
	 * can. Serial.
	 */
	int (*irqfd_check)(struct gh_bvm *vm, const struct gh_irqfd_spec *spec);
	/* Adds (on) or removes a line or a doorbell, after the start; removal must match exactly what was added. Serial. */
	int (*irqfd)(struct gh_bvm *vm, const struct gh_irqfd_spec *spec, bool on);
	/*
	 * Sets a line after the start. An edge-triggered one is only ever raised, once for each interrupt. NULL: the core
	 * uses an irqfd of its own. Any thread.
	 */
	int (*irq_line)(struct gh_bvm *vm, uint32_t line, bool level);
	int (*ioevent)(struct gh_bvm *vm, const struct gh_ioevent_spec *spec, bool on);

	/*
	 * Writes to a devicetree that has everything a guest reads what the hypervisor reads beside it. 0 or libfdt's error;
	 * after FDT_ERR_NOSPACE it is asked again, with a fresh tree and more room. NULL: it reads nothing. Serial.
	 */
	int (*fdt)(struct gh_bvm *vm, const struct gh_fdt_plan *plan, void *tree);

	/* No slot: the requests that it makes of a VM that has been started (sandbox.h). NULL: none. */
	const struct gh_needs *needs;
};

extern const struct gh_backend gh_backend_gunyah;
extern const struct gh_backend gh_backend_geniezone;
extern const struct gh_backend gh_backend_halla;
extern const struct gh_backend gh_backend_kvm;
extern const struct gh_backend gh_backend_fake;

/*
 * Writes a failure. `request` names the kernel request, or is NULL when the library refused by itself. The last argument is
 * a format for the cause; the remedy is plain text. `failure` may be NULL.
 */
void gh_describe(struct gh_failure *failure, int error, const char *step, const char *request, const char *remedy,
		 const char *cause, ...) __attribute__((format(printf, 6, 7)));
/* The same for a kernel request that refused for no special reason: the errno in general words. */
void gh_describe_request(struct gh_failure *failure, int error, const char *step, const char *request);

/* The same for a known cause, whose remedy is the one of its table; the last argument is a format for the cause. */
void gh_describe_cause(struct gh_failure *failure, int error, enum gh_cause cause, const char *step, const char *request,
		       const char *text, ...) __attribute__((format(printf, 6, 7)));

/* All of them as an expression whose value is the error, in plain sight of whoever reads or analyses the caller. */
#define gh_fail(failure, error, ...) (gh_describe((failure), (error), __VA_ARGS__), (error))
#define gh_fail_cause(failure, error, ...) (gh_describe_cause((failure), (error), __VA_ARGS__), (error))
/* A known cause with a remedy of its own. */
#define gh_fail_as(failure, cause, error, ...)                                                                             \
	(gh_describe((failure), (error), __VA_ARGS__), gh_name_cause((failure), (cause)), (error))

static inline void gh_name_cause(struct gh_failure *failure, enum gh_cause cause)
{
	if (failure != NULL)
		failure->cause_id = cause;
}

static inline int gh_fail_request(struct gh_failure *failure, int error, const char *step, const char *request)
{
	gh_describe_request(failure, error, step, request);
	return error;
}

/*
 * diagnosis.c: the failure of a request, explained by the backend's table. `region`: that it was about, or NULL. Under the VM's
 * lock.
 */
int gh_diagnose(struct gh_failure *failure, const struct gh_bvm *vm, enum gh_request request, int error,
		const struct gh_region *region);

/*
 * kick.c. For a RUN that says that the vCPU is off: it may be for good, so the wait before the next one is a long one. A signal
 * ends it as it ends RUN. -EAGAIN or -EINTR.
 */
int gh_await_power(const struct gh_bvcpu *vcpu);
/*
 * Is a guest store one for a doorbell that the kernel has? signal() rings it. was_rung() is for stores that the kernel has
 * taken itself if it had the doorbell then: `changes` is n_changes before the kernel entry. Not under the VM's lock.
 */
bool gh_ioevent_signal(struct gh_bvm *vm, uint64_t gpa, uint32_t width, uint64_t value);
bool gh_ioevent_was_rung(struct gh_bvm *vm, uint64_t gpa, uint32_t width, uint64_t value, uint32_t changes);
/* The region that holds all of the range, or NULL. */
const struct gh_region *gh_region_find(const struct gh_bvm *vm, uint64_t gpa, uint64_t length);

/*
 * mapping.c. Writes to every page without changing it, so that each is a page of its own and not the kernel's zero page;
 * `may_touch`: with stores of this process where the kernel cannot, so it must be writable.
 */
int gh_memory_populate(const struct gh_bvm *vm, uint8_t *host, uint64_t length, bool may_touch);
/* diagnosis.c: `error` of a request that could not lock a region, explained with the limit. */
int gh_fail_lock_limit(const struct gh_bvm *vm, int error, const char *request, const struct gh_region *region);

#endif
