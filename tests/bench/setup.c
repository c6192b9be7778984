/* SPDX-License-Identifier: BSD-3-Clause */
/* VMs for the measurements, and the counters that stand between libgh and its allocator. */
#include "bench.h"

#include "sim/libghsim.h"
#include "tree.h"

#include <errno.h>
#include <gh/gh.h>
#include <gh/sim.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RAM_SIZE (UINT64_C(2) << 20)

const char *const layout_names[LAYOUTS] = { "gunyah", "geniezone" };
const char *const access_names[ACCESSES] = { "store", "load" };
const char *const mode_names[MODES] = { "bare", "libgh", "dispatch", "loop" };

/* --- allocations -------------------------------------------------------------------------------------------------- */

static _Thread_local uint64_t allocations;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t size)
{
	allocations++;
	return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	allocations++;
	return __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	allocations++;
	return __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
	allocations++;
	return __real_strdup(text);
}

uint64_t setup_allocations(void)
{
	return allocations;
}

uint64_t now_ns(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* --- machines: this program is what libgh takes for libghsim ------------------------------------------------------- */

static struct device *bench_device;

struct gh_sim *setup_device(struct device *device)
{
	bench_device = device;
	return (struct gh_sim *)device;
}

static bool is_bench(const struct gh_sim *sim)
{
	return (const void *)sim == (const void *)bench_device;
}

/* By a device string: there is none here. */
static int new_machine(const char *device, struct gh_sim **ret_sim)
{
	(void)device;
	(void)ret_sim;
	return -ENOENT;
}

static struct gh_sys *table(struct gh_sim *sim)
{
	return is_bench(sim) ? &bench_device->sys : gh_sim_table(sim);
}

static const char *device_path(struct gh_sim *sim)
{
	return is_bench(sim) ? "/dev/bench" : gh_sim_device_path(sim);
}

int gh_simload(struct gh_simload *ret_load)
{
	*ret_load = (struct gh_simload){ new_machine, gh_sim_free, table, device_path };
	return 0;
}

/* --- VMs ---------------------------------------------------------------------------------------------------------- */

static int configure(struct gh_vm *vm, struct gh_vcpu **ret_vcpu)
{
	const struct tree tree = { .cpus = 1 };
	struct gh_memory memory = GH_MEMORY_INIT;
	uint8_t text[TREE_ROOM];
	int ret;

	memory.gpa = TREE_BASE;
	memory.length = RAM_SIZE;
	memory.flags = GH_MEMORY_RWX;
	ret = gh_vm_map(vm, &memory, NULL);
	if (ret == 0)
		ret = tree_build(&tree, text, sizeof(text)) != 0 ? 0 : -ENOSPC;
	if (ret == 0)
		ret = gh_vm_write(vm, TREE_BASE + RAM_SIZE / 2, text, sizeof(text));
	if (ret == 0)
		ret = gh_vm_set_dtb(vm, TREE_BASE + RAM_SIZE / 2, 2 * sizeof(text));
	if (ret == 0)
		ret = gh_vcpu_create(vm, 0, ret_vcpu);
	return ret == 0 ? gh_vm_start(vm) : ret;
}

bool setup_vm(struct gh_sim *machine, struct gh_vm **ret_vm, struct gh_vcpu **ret_vcpu)
{
	struct gh_failure failure = GH_FAILURE_INIT;
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	const struct gh_failure *why = &failure;
	int ret;

	options.machine = machine;
	options.failure = &failure;
	ret = gh_vm_open(&options, ret_vm);
	if (ret == 0) {
		ret = configure(*ret_vm, ret_vcpu);
		if (ret == 0)
			return true;
		why = gh_vm_failure(*ret_vm);
	}
	(void)fprintf(stderr, "gh-bench-run: %s: %s\n", strerror(-ret), why->cause);
	return false;
}
