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

/* One more VM on a device of its own. */
struct rig {
	struct device device;
	struct gh_vm *vm;
	struct gh_vcpu *vcpu;
	uint64_t stored; /* sum of what the guest has stored, as the VMM saw it */
};

static bool rig_open(struct rig *rig, enum layout layout, enum access access)
{
	memset(rig, 0, sizeof(*rig));
	device_init(&rig->device, layout);
	rig->device.access = access;
	return setup_vm(setup_device(&rig->device), &rig->vm, &rig->vcpu);
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

/* As a VMM without a library would have it at its shortest: no kicks, no checks, no hazards heeded. */
static bool bare_gunyah(struct rig *rig, uint64_t count)
{
	struct uapi_gunyah_run *page = rig->vcpu->b.run;
	struct gh_sys *sys = &rig->device.sys;
	int fd = rig->vcpu->b.fd;

	for (uint64_t i = 0; i < count; i++) {
		uint64_t value = ANSWER;

		if (sys->ioctl(sys, fd, UAPI_GUNYAH_RUN, 0) < 0 || page->exit_reason != UAPI_GUNYAH_EXIT_MMIO)
			return false;
		if (page->u.mmio.is_write) {
			memcpy(&value, page->u.mmio.data, sizeof(value));
			rig->stored += value;
		} else {
			memcpy(page->u.mmio.data, &value, sizeof(value));
		}
	}
	return true;
}

static bool bare_geniezone(struct rig *rig, uint64_t count)
{
	struct uapi_gzvm_run *run = rig->vcpu->b.run;
	struct gh_sys *sys = &rig->device.sys;
	int fd = rig->vcpu->b.fd;

	for (uint64_t i = 0; i < count; i++) {
		uint64_t value = ANSWER;

		if (sys->ioctl(sys, fd, UAPI_GZVM_RUN, (uintptr_t)run) < 0 || run->exit_reason != UAPI_GZVM_EXIT_MMIO)
			return false;
		if (run->u.mmio.is_write) {
			memcpy(&value, run->u.mmio.data, sizeof(value));
			rig->stored += value;
		} else {
			memcpy(run->u.mmio.data, &value, sizeof(value));
		}
	}
	return true;
}

static bool with_libgh(struct rig *rig, uint64_t count)
{
	const struct gh_exit *exit;

	for (uint64_t i = 0; i < count; i++) {
		if (gh_vcpu_run(rig->vcpu, &exit) < 0 || exit->kind != GH_EXIT_MMIO)
			return false;
		if (exit->mmio.is_store)
			rig->stored += exit->mmio.value;
		else if (gh_mmio_complete(rig->vcpu, ANSWER) < 0)
			return false;
	}
	return true;
}

static bool loop(struct rig *rig, enum mode mode, uint64_t count)
{
	if (mode == LIBGH)
		return with_libgh(rig, count);
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

bool exits_measure(enum layout layout, enum access access, unsigned int batches, struct exit_result *ret_result)
{
	struct rig rig;

	memset(ret_result, 0, sizeof(*ret_result));
	if (!rig_open(&rig, layout, access) || !loop(&rig, LIBGH, 1)) /* a thread's first run prepares it for kicks */
		return false;
	ret_result->exits = COUNTED;
	ret_result->allocations = setup_allocations();
	ret_result->calls = device_calls();
	if (!loop(&rig, LIBGH, COUNTED))
		return false;
	ret_result->allocations = setup_allocations() - ret_result->allocations;
	ret_result->calls = device_calls() - ret_result->calls;
	if (!rig_close(&rig))
		return false;
	return batches == 0 || time_batches(layout, access, batches, ret_result->ns);
}
