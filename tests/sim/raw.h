/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Raw ioctls on a simulated /dev/gunyah, with results in the words of the observation that the simulation is held to: every
 * expected value is one line "case: result", and a difference prints the case.
 */
#ifndef TESTS_SIM_RAW_H
#define TESTS_SIM_RAW_H

#include "../../lib/sim/libghsim.h"
#include "../../lib/sys.h"
#include "../../lib/uapi/gunyah.h"
#include "tree.h"

#include <gh/sim.h>

#include <stdatomic.h>

#define RAW_PAGE 4096u
#define RAW_RWX (UAPI_GUNYAH_MEM_READ | UAPI_GUNYAH_MEM_WRITE | UAPI_GUNYAH_MEM_EXEC)
#define RAW_RAM_SIZE 0x200000ull
#define RAW_DTB 0x100000ull /* of the tree in the memory */
#define RAW_VCPUS 4
#define RAW_PATIENCE_MS 60000 /* what comes is waited for this long */

/* A machine, and one VM on it. */
struct raw {
	struct gh_sim *sim;
	struct gh_sys *sys;
	int device;
	int vm;
	uint8_t *ram;
	int vcpu[RAW_VCPUS];
	struct uapi_gunyah_run *page[RAW_VCPUS];
};

/* How raw_boot() differs from the plain case. */
struct raw_boot {
	struct tree tree;
	bool lent;
	uint32_t flags;    /* of the memory; 0: all */
	bool no_flags;     /* really none */
	uint64_t gpa;      /* of the memory; 0: TREE_BASE */
	uint64_t dtb_gpa;  /* that SET_DTB_CONFIG says; 0: where the tree is */
	uint64_t dtb_size; /* 0: TREE_ROOM */
	bool exact_size;   /* dtb_size is the tree's */
	bool zero_size;    /* dtb_size is 0 */
	bool garbage;      /* instead of the tree */
};

/* A line "case: result": fails the test with the name of the case unless `result` is what follows the last ": ". */
void raw_expect(const char *line, const char *result);
/* "ok", or the name of the errno. */
const char *raw_result(int ret);
/* The same, and "fd" for a descriptor, which is closed. */
const char *raw_descriptor(struct raw *raw, int ret);

void raw_open(struct raw *raw, const char *device, const char *script);
/* Closes everything that is open, and checks that the machine has nothing left. */
void raw_close(struct raw *raw);
/* Another VM in the place of the one that raw has, which is closed. */
void raw_new_vm(struct raw *raw);

int raw_ioctl(struct raw *raw, int fd, unsigned long request, const void *argument);
int raw_share(struct raw *raw, uint32_t label, uint32_t flags, uint64_t gpa, uint64_t size, const void *host);
int raw_lend(struct raw *raw, uint32_t label, uint32_t flags, uint64_t gpa, uint64_t size, const void *host);
int raw_set_dtb(struct raw *raw, uint64_t gpa, uint64_t size);
int raw_start(struct raw *raw);
int raw_function(struct raw *raw, unsigned long request, uint32_t type, uint32_t size, const void *argument);
int raw_add_vcpu(struct raw *raw, uint32_t id);
int raw_remove_vcpu(struct raw *raw, uint32_t id);
int raw_add_irqfd(struct raw *raw, int fd, uint32_t label, uint32_t flags);
int raw_remove_irqfd(struct raw *raw, uint32_t label);
int raw_add_ioeventfd(struct raw *raw, int fd, uint64_t gpa, uint32_t width, uint32_t flags, uint64_t datamatch);
int raw_remove_ioeventfd(struct raw *raw, int fd, uint64_t gpa, uint32_t width, uint32_t flags, uint64_t datamatch);

/* Adds vCPU `id` and maps its page, into slot `id`. */
void raw_make_vcpu(struct raw *raw, uint32_t id);
void raw_drop_vcpu(struct raw *raw, uint32_t id);

/* Memory, tree and SET_DTB_CONFIG; then START, whose result it returns. */
int raw_boot(struct raw *raw, const struct raw_boot *boot);
void raw_configure(struct raw *raw, const struct raw_boot *boot);
/* In a script: lets raw_await_mark() return, once for each time. The memory must be shared, and at TREE_BASE. */
#define RAW_MARK "poke 0x800ffff0 4 1; "
void raw_await_mark(struct raw *raw);
/* raw_open() and a VM with one vCPU that runs. */
void raw_run_script(struct raw *raw, const char *script);

/* RUN of slot `id`, with exit_reason cleared before; the exit in words, or the errno. A load at 0x6000 is "idle". */
const char *raw_run(struct raw *raw, uint32_t id);
/* The exit that is in the page. */
const char *raw_exit(struct raw *raw, uint32_t id);
int raw_run_only(struct raw *raw, uint32_t id);
void raw_answer(struct raw *raw, uint32_t id, uint64_t value);

int raw_eventfd(struct raw *raw);
/* What an eventfd has counted since the last time. */
uint64_t raw_count(struct raw *raw, int fd);
const char *raw_number(uint64_t value);
/* Adds 1: "ok 8". */
const char *raw_signal(struct raw *raw, int fd);

/* A handler for SIGUSR1 that counts in raw_handled, and calls raw_hook if there is one. */
extern atomic_int raw_handled;
extern void (*raw_hook)(void);
void raw_handle_signal(int flags);
void raw_ignore_signal(void);
/*
 * Sends SIGUSR1 to the calling thread after some milliseconds, and again until it is joined: one that comes before RUN has
 * begun is for nothing. One at a time: each has been handled before the next, and when raw_alarm_join() returns.
 */
void *raw_alarm(unsigned int milliseconds);
void raw_alarm_join(void *alarm);

/* Who has CAP_IPC_LOCK has no RLIMIT_MEMLOCK, and tests often run as root. Effective set of the calling thread only. */
void raw_lock_capability(bool on);

#endif
