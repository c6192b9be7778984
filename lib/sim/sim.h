/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A simulated machine: a system-call table whose open() knows one more device.
 *
 * sim.c keeps the machine's descriptors; each driver keeps its objects. A simulated descriptor is a real one (a memory
 * file), so numbers never clash, close-on-exec is true, and mmap() of it gives real memory that several mappings share.
 */
#ifndef GH_SIM_SIM_H
#define GH_SIM_SIM_H

#include "../sys.h"
#include "engine.h"

#include <stdbool.h>

struct gh_sim;
struct sim_file;

/* An open file of a simulated device: what the kernel calls file operations. */
struct sim_file_ops {
	const char *name; /* "gunyah", "gunyah-vm", "gh-vcpu:", ... as /proc/self/fd would say */
	long (*ioctl)(struct sim_file *file, unsigned long request, uintptr_t arg);
	/* Whether the file can be mapped, and how; NULL: -ENODEV. Called before the mapping is made. */
	int (*mmap)(struct sim_file *file, size_t length, int prot, int flags);
	/* The last descriptor and the last mapping are gone. */
	void (*release)(struct sim_file *file);
	/* A forked child has a descriptor of it, and closes it. No locks: the child has copies of them. May be NULL. */
	void (*in_child)(struct sim_file *file);
	/* A file of memory: fstat() tells its size, and it can be mapped from any offset on. */
	bool is_memory;
};

/* One open file. Descriptors, dups and mappings hold references. */
struct sim_file {
	const struct sim_file_ops *ops;
	struct gh_sim *sim;
	unsigned int references;
	void *object; /* the driver's */
	void *page;   /* where the machine itself sees the file's first page, or NULL (see sim_file_new) */
	size_t page_size;
	struct sim_file *next; /* used by files.c at the end */
};

/* Which device the machine has; each revision of a driver is one of these. */
struct sim_driver {
	const char *path;     /* "/dev/gunyah" */
	const char *name;     /* "gunyah": first half of a device string */
	const char *revision; /* "android14-6.1": second half; other names of the same one follow, after spaces */
	/* A new open of the device. */
	int (*open)(struct gh_sim *sim, int flags);
	const void *switches; /* the driver's own: how this revision differs */
	/* Another file of the driver's, of those that `others` names: a descriptor, or -errno. */
	int (*open_other)(struct gh_sim *sim, const char *path);
	const char *const *others; /* paths, or with a slash at the end beginnings of paths; NULL at the end. NULL: none */
};

/* Every revision, the one that a device string without a revision means first; NULL at the end. */
extern const struct sim_driver *const sim_drivers_gunyah[];
extern const struct sim_driver *const sim_drivers_gzvm[];
extern const struct sim_driver *const sim_drivers_halla[];

const struct sim_driver *sim_machine_driver(struct gh_sim *sim);

enum sim_policy { SIM_POLICY_DEBUG, SIM_POLICY_PRODUCTION };

/* What a driver may ask of its machine. */
const struct sim_engine *sim_machine_engine(struct gh_sim *sim);
const struct sim_engine_options *sim_machine_engine_options(struct gh_sim *sim);
/*
 * Can it run guests here? Otherwise the machine has no hypervisor, which is better said at the open than later for no reason.
 * -ENODEV: the engine cannot; -ENOSYS: there is no /proc, which tells of the process what a kernel knows.
 */
int sim_machine_check(struct gh_sim *sim);
enum sim_policy sim_machine_policy(struct gh_sim *sim);
/* Would the host kernel break here? Records `what` for gh_sim_breakage(); the call goes on as well as it can. */
void sim_machine_breakage(struct gh_sim *sim, const char *what);

/*
 * The process's locked memory, as far as drivers of this machine lock it. charge() is false if `pages` more would go beyond
 * `limit`, counted in pages as well; UINT64_MAX: no limit.
 */
bool sim_machine_charge(struct gh_sim *sim, uint64_t pages, uint64_t limit);
void sim_machine_uncharge(struct gh_sim *sim, uint64_t pages);
/* Some time after now: until a charge() has failed for the lack of it. */
void sim_machine_uncharge_late(struct gh_sim *sim, uint64_t pages);

/* What the machine's driver keeps for all of its objects: this many bytes, zeros at first. */
#define SIM_MACHINE_STATE 64u
void *sim_machine_state(struct gh_sim *sim);

/* Is this a forked child? It has a copy of the machine, without the threads; close() and munmap() change nothing there. */
bool sim_machine_in_child(struct gh_sim *sim);
/* The process that made the machine. */
pid_t sim_machine_owner(struct gh_sim *sim);

/*
 * A new open file. Returns its descriptor, or -errno, and then release() is not called. `page_size` > 0 gives it a zeroed
 * page that can be mapped. `ret_file` may be NULL.
 */
int sim_file_new(struct gh_sim *sim, const struct sim_file_ops *ops, const char *name, void *object, size_t page_size,
		 struct sim_file **ret_file);

/*
 * The open file behind a descriptor, with a reference that keeps it open; NULL if it is none of the machine's. The reference is
 * given back without a lock that the file's release() takes.
 */
struct sim_file *sim_file_get(struct gh_sim *sim, int fd);
void sim_file_put(struct sim_file *file);
/* Does the process have a mapping of any part of [offset, offset + length) of the file? */
bool sim_file_is_mapped(struct sim_file *file, uint64_t offset, uint64_t length);

/* copy_from_user and copy_to_user: -EFAULT where the process has no such memory. */
int sim_copy_in(void *to, uintptr_t from, size_t length);
int sim_copy_out(uintptr_t to, const void *from, size_t length);

/*
 * What the kernel knows of signals inside a system call.
 *
 * begin() blocks everything. taken_back() tells, once, whether the call was taken back before it reached the kernel
 * (gh_sys::enter, whose flag cancel() gives for the thread): with signals blocked it is the last look, and stands right
 * before what a driver does with an answer. pending() tells whether a signal that the caller had not blocked, and does not
 * ignore, waits. end() restores the mask, so that handlers run, and returns true if every handler that ran has SA_RESTART
 * and the call must be made again.
 */
struct sim_signals {
	sigset_t blocked;   /* the caller's mask */
	sigset_t unblocked; /* its complement */
};
void sim_signals_cancel(const volatile uint32_t *cancel);
void sim_signals_begin(struct sim_signals *signals);
bool sim_signals_taken_back(void);
bool sim_signals_pending(const struct sim_signals *signals);
bool sim_signals_end(const struct sim_signals *signals, bool interrupted);

#endif
