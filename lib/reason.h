/* SPDX-License-Identifier: BSD-3-Clause */
/* Why a device cannot be used, and what will fail on one that can. */
#ifndef GH_LIB_REASON_H
#define GH_LIB_REASON_H

#include "backend.h"

/* Why one backend cannot use a device. */
struct gh_refusal {
	enum gh_missing missing;
	const char *dialect; /* in words, constant; NULL: not known */
	const char *path;    /* NULL: an adopted descriptor */
	bool is_simulated;
	struct gh_failure failure;
};

/* What open() or dup() says, without a further look. */
int gh_reason_open(struct gh_refusal *refusal, int error);
/*
 * The same after a look at what everybody may read of the machine and of this process (/proc/misc, /proc/self/status, the
 * node's mode). Only for somebody who reads it.
 */
void gh_reason_look(struct gh_sys *sys, const struct gh_backend *backend, struct gh_refusal *refusal);
/* Locked memory that this process may have, in bytes; UINT64_MAX: as much as there is. */
uint64_t gh_reason_lock_limit(struct gh_sys *sys);
/* What will fail although the device can be used; leaves `ret_caution` alone if nothing is known. */
void gh_reason_caution(struct gh_sys *sys, const struct gh_caps *caps, uint64_t lock_limit, struct gh_failure *ret_caution);

#endif
