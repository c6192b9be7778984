/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A system-call table around another one: it counts the library's calls, and makes one of them fail. Programs that use it
 * are linked with --wrap=gh_simload and --wrap=gh_sys_kernel, so that it stands between libgh and what is below.
 */
#ifndef TESTS_UNIT_TABLE_H
#define TESTS_UNIT_TABLE_H

#include <stdbool.h>
#include <stdint.h>

/* Is this thread inside a call of the library that counts? Calls from other threads, or at other times, do not. */
extern _Thread_local bool table_counts;
/* Is this thread inside the simulated kernel? */
extern _Thread_local unsigned int table_depth;

/* Called before each ioctl() of the library to a device, if set; a negative result is what the ioctl() says, unmade. */
extern int (*table_on_ioctl)(unsigned long request, uintptr_t arg);
/* Called before each open() of the library, if set: what is to be read there instead; NULL: the file. */
extern const char *(*table_on_open)(const char *path);
/* Called instead of each ioctl() and kernel entry of the library, if set; false: the one below is to be made. */
extern bool (*table_instead)(int fd, unsigned long request, uintptr_t arg, int *ret_result);
/*
 * Called before every call of the library, on whatever thread, if set: the table's slot, and the argument that tells calls of
 * one slot apart (the request, the protection, the command, the process, the CPU), or 0.
 */
extern void (*table_on_call)(const char *slot, uint64_t detail);
/* Called after each kernel entry, if set, with its result. */
extern void (*table_after_enter)(int ret);

/*
 * Is the machine a poor one? No /proc and no /sys, a kernel without membarrier(), mlock2() and MADV_POPULATE_WRITE, threads that
 * may not choose their CPU, and no clocks of threads.
 */
extern bool table_is_poor;

/* Should the library's own kernel table be wrapped, too? Not for simulated machines, which need the kernel themselves. */
void table_wrap_kernel(bool on);
/* Begins to count at 0; the n-th call from 1 fails with `error` (negative), 0: none. */
void table_arm(unsigned long n, int error);
/* Has it failed? */
bool table_fired(void);
/* Its name, or "". */
const char *table_victim(void);
unsigned long table_count(void);
/* Of these, those to a device. */
unsigned long table_requests(void);
/* Mappings that the library has made and not given back, whatever counts. */
unsigned int table_mappings(void);

#endif
