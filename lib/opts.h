/* SPDX-License-Identifier: BSD-3-Clause */
/* Option structures that begin with their own size. */
#ifndef GH_LIB_OPTS_H
#define GH_LIB_OPTS_H

#include <stddef.h>

/*
 * Takes a caller's structure, of an older or newer version of the interface, into `own`, whose `own_size` bytes hold the
 * defaults. A shorter one leaves the rest at the defaults; a longer one must be zero beyond. -EINVAL otherwise, `own` being
 * untouched. Both begin with a size_t that says how long they are; `least` is the size of the first version ever.
 */
int gh_opts_copy(void *own, size_t own_size, size_t least, const void *callers);

#endif
