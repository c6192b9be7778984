/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one door to the kernel.
 *
 * Everything that libgh asks of an operating system goes through this table, and every entry returns a value or -errno;
 * `errno` appears nowhere else. A simulated machine (lib/sim) is another instance of the table, and so is the one that
 * makes the n-th call fail in the tests. The table hangs on the VM, not on a global: one process can hold a VM on the
 * real kernel beside one on a simulated machine.
 */
#ifndef GH_LIB_SYS_H
#define GH_LIB_SYS_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/types.h>

struct gh_sys {
	/* Descriptors. open, dup, eventfd and memfd force close-on-exec. */
	int (*open)(struct gh_sys *sys, const char *path, int flags);
	int (*close)(struct gh_sys *sys, int fd);
	/* The lowest free descriptor that is not below `lowest`. */
	int (*dup)(struct gh_sys *sys, int fd, int lowest);
	int (*ioctl)(struct gh_sys *sys, int fd, unsigned long request, uintptr_t arg);
	/*
	 * ioctl() that is not made when *cancel is not 0, nor when it becomes so, and a handler that calls gh_arch_rewind()
	 * runs, before the kernel is reached: -ECANCELED.
	 */
	int (*enter)(struct gh_sys *sys, int fd, unsigned long request, uintptr_t arg, const volatile uint32_t *cancel);
	int (*eventfd)(struct gh_sys *sys, unsigned int count, int flags);
	/* A memory file of `length` bytes. */
	int (*memfd)(struct gh_sys *sys, const char *name, uint64_t length);
	ssize_t (*read)(struct gh_sys *sys, int fd, void *buffer, size_t length);
	ssize_t (*pread)(struct gh_sys *sys, int fd, void *buffer, size_t length, uint64_t offset);
	ssize_t (*write)(struct gh_sys *sys, int fd, const void *buffer, size_t length);
	int (*fstat)(struct gh_sys *sys, int fd, struct stat *ret_stat);
	int (*ppoll)(struct gh_sys *sys, struct pollfd *fds, unsigned int count, const struct timespec *timeout);

	/* Sets of descriptors, close-on-exec. epoll_wait returns what there is, without waiting. */
	int (*epoll_create)(struct gh_sys *sys);
	int (*epoll_ctl)(struct gh_sys *sys, int epoll, int operation, int fd, struct epoll_event *event);
	int (*epoll_wait)(struct gh_sys *sys, int epoll, struct epoll_event *ret_events, int room);

	/* Address space. */
	int (*mmap)(struct gh_sys *sys, void *address, size_t length, int prot, int flags, int fd, void **ret_address);
	/* mmap() of a file from `offset` on. */
	int (*map_file)(struct gh_sys *sys, void *address, size_t length, int prot, int flags, int fd, uint64_t offset,
			void **ret_address);
	int (*munmap)(struct gh_sys *sys, void *address, size_t length);
	int (*mprotect)(struct gh_sys *sys, void *address, size_t length, int prot);
	int (*madvise)(struct gh_sys *sys, void *address, size_t length, int advice);
	/* mlock2(), or mlock() if there are no flags. */
	int (*mlock)(struct gh_sys *sys, void *address, size_t length, unsigned int flags);
	int (*munlock)(struct gh_sys *sys, void *address, size_t length);

	/* Threads, signals, limits. */
	int (*getpid)(struct gh_sys *sys);
	int (*gettid)(struct gh_sys *sys);
	int (*tgkill)(struct gh_sys *sys, int pid, int tid, int signal);
	int (*sigaction)(struct gh_sys *sys, int signal, const struct sigaction *action, struct sigaction *ret_old);
	int (*sigprocmask)(struct gh_sys *sys, int how, const sigset_t *set, sigset_t *ret_old);
	/* CPU time of a thread of this process, in nanoseconds; moving the calling thread to one CPU. */
	int (*thread_time)(struct gh_sys *sys, int tid, uint64_t *ret_ns);
	/* Time that only goes forward, in nanoseconds. */
	uint64_t (*now)(struct gh_sys *sys);
	int (*move_to_cpu)(struct gh_sys *sys, unsigned int cpu);
	int (*getrlimit)(struct gh_sys *sys, int resource, struct rlimit *ret_limit);
	/* membarrier(), on all threads of this process. */
	int (*membarrier)(struct gh_sys *sys, int command);
	/* The processor to whoever waits for it. */
	void (*yield)(struct gh_sys *sys);

	/* Gives the table back; a simulated machine goes with its last user. NULL when there is nothing to give back. */
	void (*put)(struct gh_sys *sys);
};

/* The table of the kernel that this process runs on. Constant, never freed. */
struct gh_sys *gh_sys_kernel(void);

/* ioctl() whose success is 0; a positive result would be a broken ABI: -EPROTO. */
int gh_sys_ioctl0(struct gh_sys *sys, int fd, unsigned long request, uintptr_t arg);

/* Opening a file of /proc says that there is no /proc, or none for this process, as in a sandbox. */
bool gh_sys_is_hidden(int error);

#endif
