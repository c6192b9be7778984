/* SPDX-License-Identifier: BSD-3-Clause */
/* What libgh itself asks of libghsim. */
#ifndef GH_SIM_LIBGHSIM_H
#define GH_SIM_LIBGHSIM_H

#include <gh/base.h>

struct gh_sys;

/* The machine's system-call table, with a reference that its put() gives back. */
GH_API struct gh_sys *gh_sim_table(struct gh_sim *sim);
/* The path of the machine's device, "/dev/gunyah" or "/dev/gzvm". Constant. */
GH_API const char *gh_sim_device_path(struct gh_sim *sim);

#endif
