/* SPDX-License-Identifier: BSD-3-Clause */
/* A VMM that knows only the installed library: C and C++. One load and the end, on the fake hypervisor. */
#include <gh/gh.h>

#include <stdio.h>

static int run(struct gh_vm *vm)
{
	struct gh_memory memory = GH_MEMORY_INIT;
	const struct gh_exit *exit = NULL;
	struct gh_vcpu *vcpu = NULL;
	int ret;

	memory.length = 0x200000;
	ret = gh_vm_map(vm, &memory, NULL);
	if (ret == 0)
		ret = gh_vcpu_create(vm, 0, &vcpu);
	if (ret == 0)
		ret = gh_vm_start(vm);
	if (ret == 0)
		ret = gh_vcpu_run(vcpu, &exit);
	if (ret != 0 || exit->kind != GH_EXIT_MMIO || exit->mmio.gpa != 0x9000000)
		return 1;
	if (gh_mmio_complete(vcpu, 42) != 0 || gh_vcpu_run(vcpu, &exit) != 0)
		return 1;
	return exit->kind == GH_EXIT_STOPPED ? 0 : 1;
}

int main(void)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_fake *fake = NULL;
	struct gh_vm *vm = NULL;
	uint64_t value = 0;
	int ret = 1;

	if (gh_fake_new(&fake) != 0 || gh_fake_load(fake, 0, 0x9000000, 4) != 0 ||
	    gh_fake_stop(fake, 0, GH_STOP_POWER_OFF) != 0)
		return 1;
	options.backend = "fake";
	options.fake = fake;
	if (gh_vm_open(&options, &vm) == 0)
		ret = run(vm);
	if (ret == 0 && (gh_fake_answer(fake, 0, 0, &value) != 0 || value != 42))
		ret = 1;
	gh_vm_close(vm);
	gh_fake_free(fake);
	if (ret == 0)
		(void)printf("libgh %s\n", gh_version());
	return ret;
}
