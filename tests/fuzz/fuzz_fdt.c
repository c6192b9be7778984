/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whatever a caller passes as a tree of its own: the builder refuses it, or makes a sound tree of it, on a hypervisor that
 * reads nothing in it and on one that reads a lot.
 */
#include <gh/gh.h>
#include <gh/sim.h>

#include <libfdt.h>
#include <stdlib.h>
#include <string.h>

#define RAM UINT64_C(0x80000000)
#define RAM_SIZE UINT64_C(0x400000)
#define TREE (RAM + RAM_SIZE / 2)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int ret)
{
	if (ret < 0)
		__builtin_trap();
}

/* With two regions, two vCPUs and a line; it lives as long as the process. */
static struct gh_vm *make_vm(bool gunyah)
{
	struct gh_irqfd_options irqfd = GH_IRQFD_OPTIONS_INIT;
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_memory memory = GH_MEMORY_INIT;
	struct gh_irqfd *line;
	struct gh_vcpu *vcpu;
	struct gh_vm *vm;

	if (gunyah) {
		options.device = "sim:gunyah/android14-6.1,engine=script";
	} else {
		must(gh_fake_new(&options.fake));
		options.backend = "fake";
	}
	must(gh_vm_open(&options, &vm));
	memory.gpa = RAM;
	memory.length = RAM_SIZE;
	must(gh_vm_map(vm, &memory, NULL));
	memory.gpa = RAM + 2 * RAM_SIZE;
	must(gh_vm_map(vm, &memory, NULL));
	must(gh_vcpu_create(vm, 0, &vcpu));
	must(gh_vcpu_create(vm, 1, &vcpu));
	irqfd.line = 6;
	must(gh_irqfd_add(vm, &irqfd, &line));
	return vm;
}

static void check(struct gh_vm *vm, const uint8_t *tree, size_t size)
{
	struct gh_fdt_options options = GH_FDT_OPTIONS_INIT;
	struct gh_fdt *fdt;
	const void *blob;
	size_t length;

	options.base = tree;
	options.base_size = size;
	options.command_line = "quiet";
	if (gh_fdt_open(vm, &options, &fdt) < 0)
		return;
	must(gh_fdt_add_serial(fdt, 0x3f8, 5, 0));
	must(gh_fdt_add_virtio(fdt, 0x1000, 6, 0));
	if (gh_fdt_finish(fdt, TREE, RAM_SIZE / 2) == 0) {
		must(gh_fdt_blob(fdt, &blob, &length));
		if (fdt_check_full(blob, length) != 0 || fdt_path_offset(blob, "/serial@3f8") < 0)
			__builtin_trap();
	}
	gh_fdt_close(fdt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct gh_vm *vms[2];
	uint8_t *tree;

	if (size == 0)
		return 0;
	if (vms[0] == NULL)
		vms[0] = make_vm(false);
	if (vms[1] == NULL)
		vms[1] = make_vm(true);
	/* A copy of exactly this size, so that a byte beyond is noticed. */
	tree = malloc(size);
	if (tree == NULL)
		return 0;
	memcpy(tree, data, size);
	check(vms[0], tree, size);
	check(vms[1], tree, size);
	free(tree);
	return 0;
}
