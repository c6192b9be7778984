/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A system call that a signal handler can still take back.
 *
 * Between the last look at a flag and the system call there is a window: a signal that arrives in it is over before the call
 * sleeps. Here the look and the call are a few instructions with known addresses, and a handler that finds the thread
 * between them moves it to the way out. The call is then either interrupted by the signal or not made at all.
 */
#ifndef GH_ARCH_ENTER_H
#define GH_ARCH_ENTER_H

#include <stdbool.h>
#include <stdint.h>

#if (defined(__aarch64__) || defined(__x86_64__)) && !defined(GH_PORTABLE_ENTER)
#define GH_ARCH_ENTER 1
#else
#define GH_ARCH_ENTER 0
#endif

/*
 * ioctl(fd, request, arg) if *cancel is 0: its result or -errno. -ECANCELED if it is not, or becomes so in the window. The look
 * is sequentially consistent: what the caller has stored before in that way is seen by whoever sets *cancel later.
 */
long gh_arch_enter(int fd, unsigned long request, uintptr_t arg, const volatile uint32_t *cancel);

/* For a signal handler, with its third argument: takes a call that is in the window back. False: there is none. */
bool gh_arch_rewind(void *context);

#endif
