/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * gh-bench-boot: what comes before the first exit. The time to build a devicetree, and the system calls and the time from
 * gh_vm_open() to the first exit, against a VMM of bare ioctls on the same simulated device. Prints JSON; times decide nothing.
 */
#include "boot.h"

#include "table.h"

#include <gh/gh.h>
#include <gh/sim.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* libgh also asks what the device can do, keeps forks, kicks and the end in order, and guards its mapping. */
#define CALLS_ADDED_MAX 40

#define ROUNDS_MAX 1000u

static uint64_t now_ns(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static int by_value(const void *left, const void *right)
{
	const uint64_t *a = left;
	const uint64_t *b = right;

	return *a < *b ? -1 : *a > *b;
}

static double median_us(uint64_t *times, unsigned int count)
{
	qsort(times, count, sizeof(times[0]), by_value);
	return (double)times[count / 2] / 1e3;
}

/* --- devicetrees ------------------------------------------------------------------------------------------------------ */

static int describe(struct gh_vm *vm, uint32_t devices, struct gh_fdt **ret_fdt)
{
	struct gh_fdt_options options = GH_FDT_OPTIONS_INIT;
	int ret;

	options.command_line = "console=ttyS0";
	ret = gh_fdt_open(vm, &options, ret_fdt);
	if (ret < 0)
		return ret;
	ret = gh_fdt_add_serial(*ret_fdt, 0x3f8, 0, 0);
	for (uint32_t i = 0; i < devices && ret == 0; i++)
		ret = gh_fdt_add_virtio(*ret_fdt, 0xa000000 + i * 0x200, i + 1, 0);
	return ret;
}

static int make_tree(struct gh_vm *vm, uint32_t devices, const void **ret_blob, size_t *ret_size, struct gh_fdt **ret_fdt)
{
	int ret = describe(vm, devices, ret_fdt);

	if (ret == 0)
		ret = gh_fdt_finish(*ret_fdt, BOOT_TREE, 0);
	return ret < 0 ? ret : gh_fdt_blob(*ret_fdt, ret_blob, ret_size);
}

static int open_vm(struct gh_sim *sim, struct gh_vm **ret_vm, struct gh_vcpu **ret_vcpu)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_memory memory = GH_MEMORY_INIT;
	int ret;

	options.machine = sim;
	ret = gh_vm_open(&options, ret_vm);
	if (ret < 0)
		return ret;
	memory.gpa = BOOT_RAM;
	memory.length = BOOT_RAM_SIZE;
	ret = gh_vm_map(*ret_vm, &memory, NULL);
	return ret < 0 ? ret : gh_vcpu_create(*ret_vm, 0, ret_vcpu);
}

static bool print_tree(struct gh_sim *sim, uint32_t devices, unsigned int rounds, bool last)
{
	static uint64_t times[ROUNDS_MAX];
	struct gh_vcpu *vcpu = NULL;
	struct gh_vm *vm = NULL;
	size_t size = 0;
	int ret = open_vm(sim, &vm, &vcpu);

	for (unsigned int i = 0; i < rounds && ret == 0; i++) {
		struct gh_fdt *fdt = NULL;
		const void *blob;
		uint64_t begin = now_ns();

		ret = make_tree(vm, devices, &blob, &size, &fdt);
		gh_fdt_close(fdt);
		times[i] = now_ns() - begin;
	}
	gh_vm_close(vm);
	(void)printf("    {\"virtio_devices\": %u, \"bytes\": %zu, \"us\": %.1f}%s\n", devices, size,
		     median_us(times, rounds), last ? "" : ",");
	return ret == 0;
}

/* --- from open to the first exit --------------------------------------------------------------------------------------- */

static bool run_libgh(struct gh_sim *sim, uint64_t *ret_ns)
{
	const struct gh_exit *exit = NULL;
	struct gh_vcpu *vcpu = NULL;
	struct gh_fdt *fdt = NULL;
	struct gh_vm *vm = NULL;
	uint64_t begin = now_ns();
	const void *blob;
	size_t size;
	bool ok;
	int ret;

	table_counts = true;
	ret = open_vm(sim, &vm, &vcpu);
	if (ret == 0)
		ret = make_tree(vm, 0, &blob, &size, &fdt);
	if (ret == 0)
		ret = gh_vm_set_entry(vm, BOOT_RAM, BOOT_TREE);
	if (ret == 0)
		ret = gh_vm_start(vm);
	if (ret == 0)
		ret = gh_vcpu_run(vcpu, &exit);
	table_counts = false;
	*ret_ns = now_ns() - begin;
	if (ret < 0)
		(void)fprintf(stderr, "gh-bench-boot: %s\n", gh_vm_failure(vm)->cause);
	ok = ret == 0 && exit->kind == GH_EXIT_MMIO && exit->mmio.gpa == BOOT_STORE;
	gh_fdt_close(fdt);
	gh_vm_close(vm);
	return ok;
}

/* The tree that the bare VMM writes is libgh's. */
static bool take_blob(struct gh_sim *sim, void *ret_blob, size_t *ret_size)
{
	struct gh_vcpu *vcpu = NULL;
	struct gh_fdt *fdt = NULL;
	struct gh_vm *vm = NULL;
	const void *blob = NULL;
	int ret = open_vm(sim, &vm, &vcpu);

	if (ret == 0)
		ret = make_tree(vm, 0, &blob, ret_size, &fdt);
	if (ret == 0 && *ret_size <= BOOT_BLOB_MAX)
		memcpy(ret_blob, blob, *ret_size);
	gh_fdt_close(fdt);
	gh_vm_close(vm);
	return ret == 0 && *ret_size <= BOOT_BLOB_MAX;
}

static bool print_boot(const struct boot_kind *kind, unsigned int rounds, bool last, bool *met)
{
	static uint64_t times[2][ROUNDS_MAX];
	static uint8_t blob[BOOT_BLOB_MAX];
	unsigned long calls[2] = { 0, 0 };
	struct gh_sim *sim = boot_sim(kind);
	size_t size = 0;
	bool ok = sim != NULL && take_blob(sim, blob, &size);
	double us[2];

	for (unsigned int i = 0; i < rounds && ok; i++) {
		table_arm(0, 0);
		ok = boot_bare(kind, sim, blob, size, &times[0][i]);
		calls[0] = table_count();
		table_arm(0, 0);
		ok = ok && run_libgh(sim, &times[1][i]);
		calls[1] = table_count();
	}
	gh_sim_free(sim);
	us[0] = median_us(times[0], rounds);
	us[1] = median_us(times[1], rounds);
	*met &= calls[1] <= calls[0] + CALLS_ADDED_MAX;
	(void)printf("    {\"device\": \"%s\", \"bare\": {\"system_calls\": %lu, \"us\": %.1f}, \"libgh\": "
		     "{\"system_calls\": %lu, "
		     "\"us\": %.1f}}%s\n",
		     kind->device, calls[0], us[0], calls[1], us[1], last ? "" : ",");
	return ok;
}

int main(int argc, char **argv)
{
	bool check = argc == 2 && strcmp(argv[1], "--check") == 0;
	unsigned int rounds = check ? 2 : 200;
	static const uint32_t devices[] = { 0, 8, 100 };
	struct gh_sim *sim = boot_sim(&boot_kinds[0]);
	bool met = true;
	bool ok = sim != NULL;

	if (argc != 1 && !check) {
		(void)fprintf(stderr, "usage: gh-bench-boot [--check]   (only what does not depend on time)\n");
		return 2;
	}
	(void)printf("{\n  \"benchmark\": \"boot\",\n  \"targets\": {\"system_calls_added\": %d},\n  \"devicetree\": [\n",
		     CALLS_ADDED_MAX);
	for (size_t i = 0; i < 3 && ok; i++)
		ok = print_tree(sim, devices[i], rounds, i == 2);
	gh_sim_free(sim);
	(void)printf("  ],\n  \"open_to_first_exit\": [\n");
	for (size_t i = 0; i < boot_kind_count && ok; i++)
		ok = print_boot(&boot_kinds[i], rounds, i + 1 == boot_kind_count, &met);
	(void)printf("  ],\n  \"counts_met\": %s\n}\n", met ? "true" : "false");
	return ok && (met || !check) ? EXIT_SUCCESS : EXIT_FAILURE;
}
