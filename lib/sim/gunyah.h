/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the simulated /dev/gunyah share.
 *
 *   gunyah_revisions.c  how the kernels differ
 *   gunyah.c         device, VM: life and death, dispatch of ioctls
 *   gunyah_config.c  what START needs besides memory: tree, firmware, boot context, authentication
 *   gunyah_mem.c     memory regions: checks, pins, limits
 *   gunyah_paging.c  memory that the guest gets when it touches it
 *   gunyah_gmem.c    files of guest memory and what is bound of them
 *   gunyah_cma.c     contiguous memory
 *   gunyah_fn.c      ADD_FUNCTION and REMOVE_FUNCTION; interrupts (irqfd)
 *   gunyah_io.c      ioeventfds
 *   gunyah_start.c   START: the driver's steps, the resource manager (gunyah_rm*.c), the engine
 *   gunyah_vcpu.c    vCPU function, and RUN as a request
 *   gunyah_exit.c    what the hypervisor reports, and what becomes of it
 *   gunyah_vendor.c  Qualcomm's older interface, as far as one can tell it by
 *
 * One lock per VM covers everything but running guests. The watching thread that raises interrupts never takes it, because
 * removing an irqfd waits for that thread.
 */
#ifndef GH_SIM_GUNYAH_H
#define GH_SIM_GUNYAH_H

#include "../uapi/gunyah.h"
#include "eventfds.h"
#include "gunyah_revisions.h"
#include "gunyah_rm.h"
#include "pin.h"
#include "sim.h"

#include <pthread.h>
#include <stdatomic.h>

/* A piece of a paged region that the guest has. */
struct gunyah_run {
	struct gunyah_run *next;
	uint64_t gpa;
	uint64_t size;
	uint8_t *host;
	struct sim_pin pin; /* of a process's memory; else nothing */
	bool charged;
	bool mapped; /* the engine has it */
};

/* One region given by the caller, in the order of the calls. `flags` are UAPI_GUNYAH_MEM_*, whatever the request's were. */
struct gunyah_region {
	struct gunyah_region *next;
	uint32_t label;
	uint32_t flags;
	bool lent;
	bool deleted; /* after START: the guest keeps it */
	uint64_t gpa;
	uint64_t size;
	uint64_t pages;
	struct sim_pin pin; /* not paged */

	/* Paged. */
	uintptr_t host;
	struct sim_file *file; /* with a reference; NULL for the process's own memory */
	uint64_t offset;
	bool contiguous; /* all of it is given at START */
	struct gunyah_run *runs;
};

/* Guest addresses that the hypervisor reports as page faults even when nothing is bound there any more. */
struct gunyah_range {
	struct gunyah_range *next;
	uint64_t gpa;
	uint64_t size;
	bool lent;
};

/* What the hypervisor has for one cpu of the tree; it outlives the functions that user space hangs on it. */
struct gunyah_cpu {
	void *engine_vcpu; /* NULL if the VM did not get so far */
	bool inside;       /* run() of the engine */
	bool load_waiting; /* a load was reported and has no value yet */
	uint32_t load_width;
	struct sim_event access; /* the last one that was reported */
	bool again;              /* it is made once more before the guest goes on */
	bool lost;               /* its power-off was lost: it never runs again */
};

enum gunyah_vcpu_state {
	GUNYAH_VCPU_UNKNOWN,
	GUNYAH_VCPU_READY,
	GUNYAH_VCPU_LOAD,
	GUNYAH_VCPU_STORE,
	GUNYAH_VCPU_DOWN,
};

/* A vCPU function. It lives until it is removed and its file is closed, whatever comes last. */
struct gunyah_vcpu {
	struct gunyah_vcpu *next; /* of the VM's functions */
	struct gunyah_vm *vm;
	struct sim_file *file;  /* NULL once it is closed */
	struct gunyah_cpu *cpu; /* NULL if the tree has no such cpu, or before START */
	uint32_t id;
	bool function;  /* not removed yet */
	bool duplicate; /* of one that was there: never gets its cpu */
	bool removing;  /* REMOVE_FUNCTION waits for the thread inside */
	bool running;   /* a thread is inside RUN: the kernel's run lock */
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
	bool duplicate; /* of one that was there: never gets its doorbell */
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

/* Registers that the first vCPU begins with, by SET_BOOT_CONTEXT. */
struct gunyah_boot {
	uint64_t x[31];
	uint32_t has_x; /* a bit for each */
	uint64_t pc;
	bool has_pc;
	uint64_t sp;
	bool has_sp;
};

struct gunyah_vm {
	struct gh_sim *sim;
	const struct gunyah_revision *revision;
	const struct sim_engine *engine;
	int creator; /* process whose memory this is */
	pthread_mutex_t lock;
	pthread_cond_t changed; /* a RUN has returned, or the VM has ended */
	unsigned int files;     /* its own and its vCPUs' */
	enum gunyah_state state;
	struct gunyah_region *regions;
	struct uapi_gunyah_range dtb;
	struct uapi_gunyah_range fw;
	struct gunyah_boot boot;
	bool trusted; /* SET_AUTH_TYPE: for an image that the platform's owner has signed */
	uint32_t vmid;
	bool has_vmid;
	struct gunyah_vcpu *vcpus;
	struct gunyah_irqfd *irqfds;
	struct gunyah_ioeventfd *ioeventfds;

	/* From START on. */
	void *engine_vm;
	bool has_resources;
	unsigned int inside;         /* vCPUs in run() of the engine */
	unsigned int pauses;         /* somebody wants none there */
	struct gunyah_range *ranges; /* paged */
	bool out_of_memory;          /* the next page cannot be mapped */
	bool busy;                   /* the next page cannot be reclaimed */
	bool cannot_execute;         /* the memory at the entry point has no execute permission */
	struct rm_tree tree;
	struct gunyah_cpu cpus[RM_CPUS_MAX];
	struct uapi_gunyah_status end;
};

static inline bool gunyah_has(const struct gunyah_vm *vm, uint32_t request)
{
	return (vm->revision->requests & request) != 0;
}

/* An open of the device, of the other family's, and of a device of contiguous memory. */
int gunyah_open(struct gh_sim *sim, int flags);
int gunyah_vendor_open(struct gh_sim *sim, int flags);
int gunyah_cma_open(struct gh_sim *sim, const char *path);
extern const char *const gunyah_cma_devices[];

long gunyah_set_dtb(struct gunyah_vm *vm, uintptr_t arg);
long gunyah_set_firmware(struct gunyah_vm *vm, uintptr_t arg);
long gunyah_set_boot_context(struct gunyah_vm *vm, uintptr_t arg);
long gunyah_set_auth(struct gunyah_vm *vm, uintptr_t arg);
long gunyah_check_extension(struct gunyah_vm *vm, uintptr_t arg);
/* -ENODEV if the hypervisor has no number left. */
int gunyah_take_vmid(struct gunyah_vm *vm);

long gunyah_mem_share(struct gunyah_vm *vm, uintptr_t arg);
long gunyah_mem_lend(struct gunyah_vm *vm, uintptr_t arg);
void gunyah_mem_free(struct gunyah_vm *vm);
/* The first region that has a part of [gpa, gpa + size), or NULL. */
struct gunyah_region *gunyah_mem_find(struct gunyah_vm *vm, uint64_t gpa, uint64_t size);
/* Appends a region: the VM's from now on. */
void gunyah_mem_append(struct gunyah_vm *vm, struct gunyah_region *region);
/* The memory behind a guest address of a region, as far as the guest has it; or NULL. */
uint8_t *gunyah_mem_host(const struct gunyah_region *region, uint64_t gpa);
uint64_t gunyah_page_size(void);
/* RLIMIT_MEMLOCK of this process, in pages; UINT64_MAX if there is none. */
uint64_t gunyah_lock_limit(void);

/* Gives the guest what it has not got of [gpa, gpa + size) of the region, from the front; the error of the first page. */
int gunyah_page_in(struct gunyah_vm *vm, struct gunyah_region *region, uint64_t gpa, uint64_t size);
/* All pages that can be had, for an engine that cannot say when the guest misses one. */
void gunyah_page_in_all(struct gunyah_vm *vm, struct gunyah_region *region);
/* The guest has touched `gpa`: 0, or why it cannot have the page. */
int gunyah_page_touch(struct gunyah_vm *vm, uint64_t gpa, bool write);
/* Takes pages back, wherever they are the guest's; waits until no vCPU is inside the guest. */
void gunyah_page_out(struct gunyah_vm *vm, uint64_t gpa, uint64_t size);
/* Takes back what was lent of files and the process has mapped since: the driver does that in mmap(). */
void gunyah_page_yield(struct gunyah_vm *vm);
/* The same for a region that goes. */
void gunyah_page_drop(struct gunyah_vm *vm, struct gunyah_region *region);
/* Tells the engine what the guest has already. */
int gunyah_page_map(struct gunyah_vm *vm);
/* Would an access here have been a page fault, and not one to a device? */
bool gunyah_page_is_lent(const struct gunyah_vm *vm, uint64_t gpa);
/* Is it inside memory that the VM has, or had? */
bool gunyah_page_is_known(const struct gunyah_vm *vm, uint64_t gpa);
int gunyah_page_note(struct gunyah_vm *vm, const struct gunyah_region *region);
/* An access of the guest's to memory, done for it. */
int gunyah_page_access(struct gunyah_vm *vm, uint64_t gpa, bool write, uint8_t *data, uint32_t width);
long gunyah_reclaim(struct gunyah_vm *vm, uintptr_t arg);

long gunyah_gmem_create(struct gh_sim *sim, uintptr_t arg);
long gunyah_gmem_map(struct gunyah_vm *vm, uintptr_t arg);
/* Before a region of a file goes. */
void gunyah_gmem_unbind(struct gunyah_region *region);

long gunyah_cma_map(struct gunyah_vm *vm, uintptr_t arg);
/* Before START gives it away: is it a file of contiguous memory that has been mapped once? */
bool gunyah_cma_is_ready(const struct gunyah_region *region);

long gunyah_fn_add(struct gunyah_vm *vm, uintptr_t arg);
long gunyah_fn_add_named(struct gunyah_vm *vm, uintptr_t arg);
long gunyah_fn_remove(struct gunyah_vm *vm, uintptr_t arg);
void gunyah_fn_free(struct gunyah_vm *vm);
/* Gives functions what the resource manager has for them. */
void gunyah_irqfd_populate(struct gunyah_irqfd *irqfd);

int gunyah_io_add(struct gunyah_vm *vm, const struct uapi_gunyah_fn_ioeventfd *argument);
/* -ENOENT if there is none that matches. */
int gunyah_io_remove(struct gunyah_vm *vm, const struct uapi_gunyah_fn_ioeventfd *argument);
void gunyah_io_free(struct gunyah_vm *vm);
/* True if the store was for an ioeventfd. */
bool gunyah_io_store(struct gunyah_vm *vm, uint64_t gpa, uint32_t width, const uint8_t data[8]);

long gunyah_start(struct gunyah_vm *vm, uintptr_t arg);
/* The same under the lock, for a VM that nobody has started. */
int gunyah_start_locked(struct gunyah_vm *vm);

/* A descriptor, or -errno. */
long gunyah_vcpu_add(struct gunyah_vm *vm, uint32_t id);
int gunyah_vcpu_remove(struct gunyah_vm *vm, uint32_t id);
void gunyah_vcpu_populate(struct gunyah_vcpu *vcpu);
void gunyah_vcpu_free(struct gunyah_vcpu *vcpu);
/* Under the lock: no vCPU is inside the guest until the end of the pause. */
void gunyah_vcpu_pause(struct gunyah_vm *vm);
void gunyah_vcpu_unpause(struct gunyah_vm *vm);
/* Before a VM ends, by itself or because it is closed: would the kernel survive that? */
void gunyah_vcpu_check_end(struct gunyah_vm *vm);

/* Under the lock: gives it back, and frees the VM if its last file is gone. */
void gunyah_vm_put(struct gunyah_vm *vm);

#endif
