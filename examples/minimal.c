/* SPDX-License-Identifier: BSD-3-Clause */
/* The smallest VMM: one region of memory, one vCPU, one device that prints what the guest stores to it. */
#include <gh/gh.h>

#include <stdio.h>

#define MEMORY 0x80000000
#define UART 0x9000000

/* The guest: stores "Hi\n" to the device byte by byte, then powers off (PSCI). */
static const uint32_t guest[] = {
	0xd2a12001, 0x52800900, 0x39000020, 0x52800d20, 0x39000020, 0x52800140,
	0x39000020, 0x52800100, 0x72b08000, 0xd4000002, 0x14000000,
};

static int on_exit(void *data, struct gh_vcpu *vcpu, const struct gh_exit *exit)
{
	(void)data;
	if (exit->kind == GH_EXIT_MMIO && !exit->mmio.is_store)
		return gh_mmio_complete(vcpu, 0);
	if (exit->kind == GH_EXIT_MMIO && exit->mmio.gpa == UART)
		(void)putchar((int)exit->mmio.value);
	return GH_LOOP_CONTINUE;
}

int main(void)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_memory memory = GH_MEMORY_INIT;
	struct gh_loop_options loop = GH_LOOP_OPTIONS_INIT;
	struct gh_failure why = GH_FAILURE_INIT;
	struct gh_vcpu *vcpu;
	struct gh_vm *vm = NULL;
	int ret;

	options.failure = &why;
	memory.gpa = MEMORY;
	memory.length = 0x200000;
	loop.exit = on_exit;
	ret = gh_vm_open(&options, &vm);
	if (ret == 0 &&
	    ((ret = gh_vm_map(vm, &memory, NULL)) < 0 || (ret = gh_vm_write(vm, MEMORY, guest, sizeof(guest))) < 0 ||
	     (ret = gh_vm_set_entry(vm, MEMORY, 0)) < 0 || (ret = gh_vcpu_create(vm, 0, &vcpu)) < 0 ||
	     (ret = gh_vm_start(vm)) < 0 || (ret = gh_vm_run(vm, &loop)) < 0))
		why = *gh_vm_failure(vm);
	if (ret < 0)
		(void)fprintf(stderr, "error %d: %s %s\n", ret, why.cause, why.remedy);
	gh_vm_close(vm);
	return ret < 0;
}
