/* SPDX-License-Identifier: BSD-3-Clause */
/* What the GenieZone backend's files share. */
#ifndef GH_BACKEND_GENIEZONE_H
#define GH_BACKEND_GENIEZONE_H

#include "../backend.h"
#include "../exit.h"
#include "../uapi/gzvm.h"

/* What the run buffer says, checked. -EAGAIN: an exit that is none of a VMM's business. */
int gh_geniezone_decode(const struct uapi_gzvm_run *run, struct gh_exit *exit);

/* The same for its most frequent reason. */
static inline int gh_geniezone_decode_mmio(const struct uapi_gzvm_run *run, struct gh_exit *exit)
{
	exit->raw_reason = UAPI_GZVM_EXIT_MMIO;
	/* Two ways, each with a constant: shorter than one that asks again. */
	if (run->u.mmio.is_write == 0)
		return gh_exit_set_mmio(exit, run->u.mmio.gpa, run->u.mmio.width, false, run->u.mmio.data);
	if (run->u.mmio.is_write == 1)
		return gh_exit_set_mmio(exit, run->u.mmio.gpa, run->u.mmio.width, true, run->u.mmio.data);
	return -EPROTO;
}

/* One mapping of this process, as /proc/self/maps tells. */
struct gh_vma {
	uintptr_t start;
	uintptr_t end;
	bool readable;
	bool writable;
	bool shared;
};

/* The mapping that `address` is in; -ENOENT: none, -EOPNOTSUPP: there is no /proc here. */
int gh_vma_find(struct gh_sys *sys, const void *address, struct gh_vma *ret_vma);

#endif
