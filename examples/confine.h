/* SPDX-License-Identifier: BSD-3-Clause */
/* A filter for system calls, made from the library's list: seccomp's own, without another library. */
#ifndef GH_EXAMPLES_CONFINE_H
#define GH_EXAMPLES_CONFINE_H

#include <gh/gh.h>

struct confinement {
	const struct gh_vm *vm; /* that has been started */
	uint32_t phases;        /* that are still to come: an or of enum gh_phase. No filter can be loosened */
	uint32_t otherwise;     /* what other calls get: SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_KILL_PROCESS */
	const uint32_t *own;    /* numbers of calls that the program makes besides, which come first */
	uint32_t n_own;
};

/* For all threads of the process, those that they make, and for good. 0 or a negative errno value. */
int confine(const struct confinement *confinement);

#endif
