/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The revisions of /dev/gzvm, and /dev/halla: one table of switches.
 *
 * Each is a column of section 1.6 of the GenieZone UAPI document; where that leaves a question open, doc/simulator.md says what
 * was decided. "v9" is what was observed (section 9), and what a device string without a revision means.
 */
#include "../uapi/halla.h"
#include "gzvm.h"

#include <errno.h>
#include <string.h>

static const struct gzvm_switches r0 = {
	.ignores_vm_type = true,
	.create_vm_faults = true,
	.gets_registers = true,
	.trusts_register_size = true,
	.ignores_padding = true,
	.pins_at_once = true,
	.has_no_dtb = true,
	.has_no_bare_protection = true,
	.raw_irq_line = true,
	.resamples = true,
	.ignores_irqfd_padding = true,
	.notices_early = true,
	.tells_values_apart = true,
	.hides_fault_gpa = true,
};

static const struct gzvm_switches v4 = {
	.ignores_vm_type = true,
	.gets_registers = true,
	.trusts_register_size = true,
	.ignores_padding = true,
	.pins_at_once = true,
	.resamples = true,
	.ignores_irqfd_padding = true,
	.notices_early = true,
	.tells_values_apart = true,
	.hides_fault_gpa = true,
};

static const struct gzvm_switches v5 = {
	.registers_of_first_only = true,
	.ignores_padding = true,
	.resamples = true,
	.ignores_irqfd_padding = true,
	.notices_early = true,
	.takes_relinquish = true,
	.takes_page_faults = true,
};

static const struct gzvm_switches v9 = {
	.takes_relinquish = true,
	.takes_page_faults = true,
	.takes_reserved = true,
	.passes_paging_caps = true,
};

static const struct gzvm_switches v12 = {
	.checks_regions = true,
	.takes_relinquish = true,
	.takes_ptp = true,
	.takes_page_faults = true,
	.takes_reserved = true,
	.takes_idle = true,
	.takes_ipi = true,
	.irq_ends_idle = true,
	.passes_paging_caps = true,
	.passes_idle_cap = true,
};

static const struct gzvm_switches android16_6_12_early = {
	.checks_regions = true,
	.takes_relinquish = true,
	.takes_ptp = true,
	.takes_page_faults = true,
	.takes_reserved = true,
	.takes_idle = true,
	.passes_paging_caps = true,
};

static const struct gzvm_switches android15_6_6 = {
	.checks_regions = true,
	.takes_relinquish = true,
	.takes_ptp = true,
	.takes_page_faults = true,
	.takes_reserved = true,
	.takes_idle = true,
	.takes_ipi = true,
	.irq_ends_idle = true,
	.passes_paging_caps = true,
	.passes_idle_cap = true,
	.has_sysfs = true,
};

static const struct gzvm_switches android_latest = {
	.checks_regions = true,
	.takes_relinquish = true,
	.takes_ptp = true,
	.takes_page_faults = true,
	.takes_reserved = true,
	.takes_idle = true,
	.takes_ipi = true,
	.irq_ends_idle = true,
	.has_sysfs = true,
	.knows_busy = true,
	.vcpus_keep_vm = true,
	.refuses_other_mm = true,
};

/* Its kernel's source is known in parts: what is not is as in the newest GenieZone that has not been hardened. */
static const struct gzvm_switches exynos = {
	.is_halla = true,
	.checks_regions = true,
	.takes_page_faults = true,
	.takes_reserved = true,
};

static const char *const sysfs[] = { "/sys/", NULL };

/* The one of these files that there is. */
static int open_sysfs(struct gh_sim *sim, const char *path)
{
	static const char pages[] = "512\n";
	const struct gzvm_switches *switches = sim_machine_driver(sim)->switches;
	struct gh_sys *kernel = gh_sys_kernel();
	int fd;

	if (strcmp(path, UAPI_GZVM_SYSFS) != 0)
		return kernel->open(kernel, path, 0);
	if (!switches->has_sysfs)
		return -ENOENT;
	fd = kernel->memfd(kernel, "demand_paging_batch_pages", 0);
	if (fd >= 0)
		(void)kernel->write(kernel, fd, pages, sizeof(pages) - 1);
	return fd;
}

#define GZVM(names, table)                                                                                                 \
	{                                                                                                                  \
		.path = UAPI_GZVM_DEVICE, .name = "gzvm", .revision = (names), .open = gzvm_device_open,                   \
		.switches = &(table), .open_other = open_sysfs, .others = sysfs                                            \
	}

static const struct sim_driver gzvm[] = {
	GZVM("v9 v6 v7 android14-6.1", v9),
	GZVM("r0", r0),
	GZVM("v4", v4),
	GZVM("v5 vendor-6.1", v5),
	GZVM("v12", v12),
	GZVM("android16-6.12-early", android16_6_12_early),
	GZVM("android15-6.6", android15_6_6),
	GZVM("android-latest", android_latest),
};

const struct sim_driver *const sim_drivers_gzvm[] = {
	&gzvm[0], &gzvm[1], &gzvm[2], &gzvm[3], &gzvm[4], &gzvm[5], &gzvm[6], &gzvm[7], NULL,
};

static const struct sim_driver halla = {
	.path = UAPI_HALLA_DEVICE,
	.name = "halla",
	.revision = "exynos",
	.open = gzvm_device_open,
	.switches = &exynos,
	.open_other = open_sysfs,
	.others = sysfs,
};

const struct sim_driver *const sim_drivers_halla[] = { &halla, NULL };
