/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a VM asks of the kernel once it has been started, as tables: the core's and those of the backends. A call that is
 * added to the library is added here, too; tests/unit/test_sandbox_proof.c notices when it is not.
 */
#ifndef GH_LIB_SANDBOX_H
#define GH_LIB_SANDBOX_H

#include "backend.h"

#include <gh/sandbox.h>

#include <sys/syscall.h>

struct gh_need {
	/* It goes for VMs that have all of the first and of the second, not all of the third, and none of the fourth. */
	uint64_t features;
	uint64_t quirks;
	uint64_t no_features;
	uint64_t no_quirks;
	uint32_t mask; /* as in struct gh_syscall, as are the next three */
	uint32_t value;
	uint16_t number;
	uint8_t argument;
	uint8_t refusal;
	uint8_t phases;       /* in which the library makes it, through struct gh_sys */
	uint8_t other_phases; /* in which the C library or the kernel makes it for us, or a thread that is about to end */
	bool of_process;      /* the value is the process */
	/* Three strings, one behind the other: the call, the request or command that the argument says, the reason. */
	char text[87];
};

/* A table, for gh_backend::needs. */
struct gh_needs {
	const struct gh_need *rows;
	uint32_t n_rows;
};

#define GH_NEEDS(table)                                                                                                    \
	{                                                                                                                  \
		.rows = (table), .n_rows = sizeof(table) / sizeof((table)[0])                                              \
	}

/* The fields of a call whose arguments do not matter, and of one where one of them does. */
#define GH_NEED(call, why) .number = SYS_##call, .text = #call "\0\0" why
#define GH_NEED_IF(call, which, bits, is, name, why)                                                                       \
	.number = SYS_##call, .argument = (which), .mask = (bits), .value = (is), .text = #call "\0" name "\0" why
/* The kernel reads the lower half of what ioctl() is given for the request. */
#define GH_NEED_IOCTL(request, name, why) GH_NEED_IF(ioctl, 1, UINT32_MAX, request, name, why)

/* Those that every VM has in common. */
extern const struct gh_needs gh_sandbox_needs;

#endif
