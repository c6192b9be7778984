/* SPDX-License-Identifier: BSD-3-Clause */
/* What libgh adds to one MMIO exit over a bare loop on the same device. */
#include "bench.h"

#include "uapi/gunyah.h"
#include "uapi/gzvm.h"

#include <errno.h>
#include <gh/gh.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 2000u
#define COUNTED UINT64_C(10000)
#define RANGES 16u

/* One more VM on a device of its own. */
struct rig {
	struct device device;
	struct gh_vm *vm;
	struct gh_vcpu *vcpu;
	uint64_t stored; /* sum of what the guest has stored, as the VMM saw it */
	uint64_t left;   /* exits, of those that the present loop is for */
	int (*access)(void *data, struct gh_bus_access *access);
};

static int on_access(void *data, struct gh_bus_access *access);

/* A page for the guest's accesses (device.c), and others around it for the look-up to pass by. */
static bool add_ranges(struct rig *rig)
{
	struct gh_bus_range_options options = GH_BUS_RANGE_OPTIONS_INIT;
	bool ok = true;

	options.name = "device";
	options.length = 4096;
	options.access = on_access;
	options.data = rig;
	for (unsigned int i = 0; i < RANGES && ok; i++) {
		options.gpa = DEVICE_GPA + (i - RANGES / 2) * UINT64_C(4096);
		ok = gh_bus_add(rig->vm, &options, NULL) == 0;
	}
	return ok;
}

static bool rig_open(struct rig *rig, enum layout layout, enum access access)
{
	memset(rig, 0, sizeof(*rig));
	device_init(&rig->device, layout);
	rig->device.access = access;
	rig->access = on_access;
	return setup_vm(setup_device(&rig->device), &rig->vm, &rig->vcpu) && add_ranges(rig);
}

/* Every value has arrived on the other side, or what was measured is worth nothing. */
static bool rig_close(struct rig *rig)
{
	uint64_t n = rig->device.exits;
	bool sound = rig->device.access == STORE ? rig->stored == n * (n + 1) / 2 : rig->device.sum == (n - 1) * ANSWER;

	gh_vm_close(rig->vm);
	if (!sound)
		(void)fprintf(stderr, "gh-bench-run: values were lost\n");
	return sound;
}

/* --- the loops ---------------------------------------------------------------------------------------------------- */

/* The device itself, the same function for every loop. */
static int on_access(void *data, struct gh_bus_access *access)
{
	struct rig *rig = data;

	if (access->is_store != 0)
		rig->stored += access->value;
	else
		access->value = ANSWER;
	/* The loop leaves before the next entry, as an interruption. */
	if (--rig->left == 0)
		(void)gh_vcpu_kick(access->vcpu);
	return GH_BUS_DONE;
}

/* As a VMM without a library would have it at its shortest: no kicks, no checks, no hazards heeded, no look-up. */
static bool bare_gunyah(struct rig *rig, uint64_t count)
{
	struct uapi_gunyah_run *page = rig->vcpu->b.run;
	struct gh_sys *sys = &rig->device.sys;
	struct gh_bus_access access = { .width = 8 };
	int fd = rig->vcpu->b.fd;

	for (uint64_t i = 0; i < count; i++) {
		if (sys->ioctl(sys, fd, UAPI_GUNYAH_RUN, 0) < 0 || page->exit_reason != UAPI_GUNYAH_EXIT_MMIO)
			return false;
		access.is_store = page->u.mmio.is_write;
		memcpy(&access.value, page->u.mmio.data, sizeof(access.value));
		if (rig->access(rig, &access) < 0)
			return false;
		if (access.is_store == 0)
			memcpy(page->u.mmio.data, &access.value, sizeof(access.value));
	}
	return true;
}

static bool bare_geniezone(struct rig *rig, uint64_t count)
{
	struct uapi_gzvm_run *run = rig->vcpu->b.run;
	struct gh_sys *sys = &rig->device.sys;
	struct gh_bus_access access = { .width = 8 };
	int fd = rig->vcpu->b.fd;

	for (uint64_t i = 0; i < count; i++) {
		if (sys->ioctl(sys, fd, UAPI_GZVM_RUN, (uintptr_t)run) < 0 || run->exit_reason != UAPI_GZVM_EXIT_MMIO)
			return false;
		access.is_store = run->u.mmio.is_write;
		memcpy(&access.value, run->u.mmio.data, sizeof(access.value));
		if (rig->access(rig, &access) < 0)
			return false;
		if (access.is_store == 0)
			memcpy(run->u.mmio.data, &access.value, sizeof(access.value));
	}
	return true;
}

static bool with_libgh(struct rig *rig, uint64_t count)
{
	struct gh_bus_access access = { .width = 8 };
	const struct gh_exit *exit;

	for (uint64_t i = 0; i < count; i++) {
		if (gh_vcpu_run(rig->vcpu, &exit) < 0 || exit->kind != GH_EXIT_MMIO)
			return false;
		access.is_store = exit->mmio.is_store;
		access.value = exit->mmio.value;
		if (rig->access(rig, &access) < 0)
			return false;
		if (access.is_store == 0 && gh_mmio_complete(rig->vcpu, access.value) < 0)
			return false;
	}
	return true;
}

static bool with_bus(struct rig *rig, uint64_t count)
{
	const struct gh_exit *exit;

	for (uint64_t i = 0; i < count; i++)
		if (gh_vcpu_run(rig->vcpu, &exit) < 0 || gh_bus_dispatch(rig->vcpu, exit) != GH_BUS_DONE)
			return false;
	return true;
}

static int on_exit_of_loop(void *data, struct gh_vcpu *vcpu, const struct gh_exit *exit)
{
	(void)data;
	(void)vcpu;
	return exit->kind == GH_EXIT_INTERRUPTED ? GH_LOOP_LEAVE : -EIO;
}

static bool with_loop(struct rig *rig)
{
	struct gh_loop_options options = GH_LOOP_OPTIONS_INIT;

	options.exit = on_exit_of_loop;
	return gh_vcpu_loop(rig->vcpu, &options) == -ECANCELED && rig->left == 0;
}

static bool loop(struct rig *rig, enum mode mode, uint64_t count)
{
	/* Only gh_vcpu_loop() has to be told when to leave. */
	rig->left = mode == LOOP ? count : UINT64_MAX;
	if (mode == LIBGH)
		return with_libgh(rig, count);
	if (mode == DISPATCH)
		return with_bus(rig, count);
	if (mode == LOOP)
		return with_loop(rig);
	return rig->device.layout == GUNYAH ? bare_gunyah(rig, count) : bare_geniezone(rig, count);
}

/* --- measuring ---------------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	const double *x = a;
	const double *y = b;

	return (*x > *y) - (*x < *y);
}

static bool time_batches(enum layout layout, enum access access, unsigned int batches, double medians[MODES])
{
	struct rig rigs[MODES]; /* one for each, so that neither finds the other's state */
	double *times = malloc(MODES * batches * sizeof(*times));
	bool ok = times != NULL;

	for (unsigned int mode = 0; mode < MODES && ok; mode++)
		ok = rig_open(&rigs[mode], layout, access) && loop(&rigs[mode], mode, BATCH);
	/* In turns: what disturbs the machine disturbs both. */
	for (unsigned int i = 0; i < batches && ok; i++) {
		for (unsigned int mode = 0; mode < MODES && ok; mode++) {
			uint64_t start = now_ns();

			ok = loop(&rigs[mode], mode, BATCH);
			times[mode * batches + i] = (double)(now_ns() - start) / BATCH;
		}
	}
	for (unsigned int mode = 0; mode < MODES && ok; mode++) {
		qsort(times + mode * batches, batches, sizeof(*times), compare);
		medians[mode] = times[mode * batches + batches / 2];
		ok = rig_close(&rigs[mode]);
	}
	free(times);
	return ok;
}

bool exits_count(enum layout layout, enum access access, enum mode mode, uint64_t count)
{
	struct rig rig;

	return rig_open(&rig, layout, access) && loop(&rig, mode, count) && rig_close(&rig);
}

/* What one exit more costs: entering a loop and leaving it is none of its business. */
static bool count_mode(struct rig *rig, enum mode mode, struct exit_result *result)
{
	uint64_t allocations[2];
	uint64_t calls[2];

	for (unsigned int i = 0; i < 2; i++) {
		allocations[i] = setup_allocations();
		calls[i] = device_calls();
		if (!loop(rig, mode, i == 0 ? 1 : 1 + COUNTED))
			return false;
		allocations[i] = setup_allocations() - allocations[i];
		calls[i] = device_calls() - calls[i];
	}
	result->allocations[mode] = allocations[1] - allocations[0];
	result->calls[mode] = calls[1] - calls[0];
	return true;
}

bool exits_measure(enum layout layout, enum access access, unsigned int batches, struct exit_result *ret_result)
{
	struct rig rig;

	memset(ret_result, 0, sizeof(*ret_result));
	if (!rig_open(&rig, layout, access) || !loop(&rig, LIBGH, 1)) /* a thread's first run prepares it for kicks */
		return false;
	ret_result->exits = COUNTED;
	for (unsigned int mode = LIBGH; mode < MODES; mode++)
		if (!count_mode(&rig, mode, ret_result))
			return false;
	if (!rig_close(&rig))
		return false;
	return batches == 0 || time_batches(layout, access, batches, ret_result->ns);
}
