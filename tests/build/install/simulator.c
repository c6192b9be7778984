/* SPDX-License-Identifier: BSD-3-Clause */
/* A test of somebody's VMM that knows only the installed libraries: a simulated machine, opened and closed. */
#include <gh/gh.h>

#include <stdio.h>

int main(void)
{
	struct gh_sim_options options = GH_SIM_OPTIONS_INIT;
	struct gh_vm_options vm_options = GH_VM_OPTIONS_INIT;
	struct gh_sim *sim = NULL;
	struct gh_vm *vm = NULL;
	int ret;

	options.device = "sim:gunyah";
	options.script = "off";
	if (gh_sim_new(&options, &sim) != 0)
		return 1;
	vm_options.machine = sim;
	ret = gh_vm_open(&vm_options, &vm);
	if (ret == 0 && gh_sim_open_files(sim) == 0)
		ret = 1;
	gh_vm_close(vm);
	if (gh_sim_open_files(sim) != 0 || gh_sim_breakage(sim) != NULL)
		ret = 1;
	gh_sim_free(sim);
	if (ret == 0)
		(void)printf("libgh %s\n", gh_version());
	return ret != 0;
}
