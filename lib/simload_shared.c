/* SPDX-License-Identifier: BSD-3-Clause */
/* The shared library looks for libghsim when a device string asks for it: a VMM links -lgh and nothing else. */
#include "internal.h"
#include "sim/libghsim.h"

#include <gh/sim.h>

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#define LIBRARY "libghsim.so.0"

static int (*find_new(void *library))(const struct gh_sim_options *, struct gh_sim **)
{
	int (*function)(const struct gh_sim_options *, struct gh_sim **);
	void *symbol = library != NULL ? dlsym(library, "gh_sim_new") : NULL;

	/* ISO C has no conversion from an object's address to a function's; POSIX has the same bits. */
	memcpy(&function, &symbol, sizeof(function));
	return function;
}

static int new_machine(const char *device, struct gh_sim **ret_sim)
{
	struct gh_sim_options options = GH_SIM_OPTIONS_INIT;
	int (*function)(const struct gh_sim_options *, struct gh_sim **) = find_new(dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL));

	options.device = device;
	return function != NULL ? function(&options, ret_sim) : -ENOENT;
}

static void find(void *library, const char *name, void *ret_function)
{
	void *symbol = dlsym(library, name);

	memcpy(ret_function, &symbol, sizeof(symbol));
}

int gh_simload(struct gh_simload *ret_load)
{
	/* Never closed: the machines' code is in there. */
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	struct gh_simload load = { .new_machine = new_machine };

	if (library == NULL)
		return -ENOENT;
	find(library, "gh_sim_free", &load.free_machine);
	find(library, "gh_sim_table", &load.table);
	find(library, "gh_sim_device_path", &load.device_path);
	if (find_new(library) == NULL || load.free_machine == NULL || load.table == NULL || load.device_path == NULL)
		return -ENOENT;
	*ret_load = load;
	return 0;
}
