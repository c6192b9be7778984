/* SPDX-License-Identifier: BSD-3-Clause */
/* A static program reaches libghsim if it was linked in: the linker fills these in, or leaves them NULL. */
#include "internal.h"
#include "sim/libghsim.h"

#include <gh/sim.h>

#include <errno.h>

#pragma weak gh_sim_new
#pragma weak gh_sim_free
#pragma weak gh_sim_table
#pragma weak gh_sim_device_path

static int new_machine(const char *device, struct gh_sim **ret_sim)
{
	struct gh_sim_options options = GH_SIM_OPTIONS_INIT;

	options.device = device;
	return gh_sim_new(&options, ret_sim);
}

int gh_simload(struct gh_simload *ret_load)
{
	/* Through a volatile copy: compilers know that the address of a function is never NULL. */
	int (*volatile present)(const struct gh_sim_options *, struct gh_sim **) = gh_sim_new;

	if (present == NULL)
		return -ENOENT;
	ret_load->new_machine = new_machine;
	ret_load->free_machine = gh_sim_free;
	ret_load->table = gh_sim_table;
	ret_load->device_path = gh_sim_device_path;
	return 0;
}
