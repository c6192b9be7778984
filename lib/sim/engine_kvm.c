/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine.h"
#include <errno.h>
static int none(const struct sim_engine_options *o, void **r)
{
	(void)o;
	(void)r;
	return -ENODEV;
}
const struct sim_engine sim_engine_kvm = { .name = "kvm", .vm_new = none };
