/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Why a kernel request failed: one table for each hypervisor, from request, errno and circumstances to causes. No other
 * place decides what an errno of these requests means.
 */
#ifndef GH_LIB_DIAGNOSIS_H
#define GH_LIB_DIAGNOSIS_H

#include "backend.h"

/* What can be found out about a failure after it has happened, cheaply and without harm. */
enum {
	GH_WHEN_LOCK_LIMIT = 1 << 0,  /* the regions, or what the process has locked, exceed RLIMIT_MEMLOCK */
	GH_WHEN_SHARED_MAIN = 1 << 1, /* the memory with the devicetree is shared */
	GH_WHEN_LARGE = 1 << 2, /* a region of 1 GiB or more: a list of its pages takes much of the kernel in one piece */
	GH_WHEN_MANY_CPUS = 1 << 3,   /* more vCPUs than the machine has CPUs */
	GH_WHEN_FIRMWARE = 1 << 4,    /* the VM has firmware */
	GH_WHEN_LEND = 1 << 5,        /* the region was to be lent */
	GH_WHEN_GUEST_FILES = 1 << 6, /* memory comes from the kernel's guest memory files */
};

/* One row. The first that fits counts, so special ones stand before general ones. */
struct gh_diagnosis {
	uint8_t request; /* enum gh_request; GH_REQUEST_ANY */
	uint8_t when;    /* all of these hold */
	int16_t error;   /* negative errno value; 0: any */
	uint8_t cause;   /* enum gh_cause, the likelier first */
	uint8_t other;
};

/* What a request is called on kernels with a quirk. */
struct gh_other_name {
	enum gh_request request;
	uint64_t quirk;
	const char *name;
};

struct gh_diagnoses {
	const char *const *names; /* of requests, by enum gh_request */
	const struct gh_other_name *other_names;
	size_t n_other_names;
	const struct gh_diagnosis *rows;
	size_t n_rows;
};

extern const struct gh_diagnoses gh_gunyah_diagnoses;
extern const struct gh_diagnoses gh_geniezone_diagnoses;
extern const struct gh_diagnoses gh_halla_diagnoses;

/* Bytes that this process has locked, as its kernel counts; 0: none, or unknown. */
uint64_t gh_locked_memory(struct gh_sys *sys);

/* NULL: no row fits, and the errno's general meaning is all that there is. `diagnoses` may be NULL. */
const struct gh_diagnosis *gh_diagnosis_find(const struct gh_diagnoses *diagnoses, enum gh_request request, int error,
					     unsigned int when);

/* A cause in words. */
struct gh_cause_text {
	const char *name;
	const char *cause;
	const char *remedy;
};
/* NULL: there is no such cause. */
const struct gh_cause_text *gh_cause_text(unsigned int cause);
/* What an errno says where no table knows more; `by_kernel`: of a kernel request, not of the library itself. */
void gh_cause_of_error(int error, bool by_kernel, enum gh_cause *ret_cause, enum gh_cause *ret_other);
/* Both causes' texts and remedies into a failure, the detail in brackets unless it is "". */
void gh_cause_write(struct gh_failure *failure, unsigned int cause, unsigned int other, const char *detail);

#endif
