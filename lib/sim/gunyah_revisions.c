/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of revisions: gunyah_revisions.h says what each column means. */
#include "gunyah.h"

/* Since v9. */
#define FUNCTIONS GUNYAH_HAS_FUNCTION
/* Android's kernels, by the time at which requests were added. */
#define ANDROID_14 (FUNCTIONS | GUNYAH_HAS_USER_MEM | GUNYAH_HAS_LEND)
#define ANDROID_15 (ANDROID_14 | GUNYAH_HAS_FIRMWARE)
#define ANDROID_15_MID (ANDROID_15 | GUNYAH_HAS_BOOT_CONTEXT)
#define ANDROID_15_LATE (ANDROID_15_MID | GUNYAH_HAS_RECLAIM)
#define ANDROID_16 (ANDROID_15_LATE | GUNYAH_HAS_CMA | GUNYAH_HAS_AUTH)
#define ANDROID_LATEST (ANDROID_16 | GUNYAH_HAS_CHECK_EXTENSION)

/* What all have in common that take memory when it is given. */
#define PINNED .unique_labels = true, .closes_late = true, .irqfd_breaks = true
/* v11, v12 and the first android14-6.1. */
#define SPRING_2023                                                                                                        \
	PINNED, .early_vmid = true, .removes_nothing = true, .bool_datamatch = true, .reports_end = true, .end_breaks = true
/* v13, v14 and the final android14-6.1. */
#define SUMMER_2023                                                                                                        \
	PINNED, .charges = true, .owner_gives = true, .removes_nothing = true, .reports_end = true, .end_breaks = true
/* What all have in common that page memory in. */
#define PAGED                                                                                                              \
	.paged = true, .checks_overflow = true, .vcpu_enotty = true, .tree_needs_exec = true, .reports_end = true,         \
	.resumes = true
/* The Android kernels of these. */
#define PAGED_ANDROID PAGED, .charges = true, .owner_gives = true, .owner_runs = true

static const struct gunyah_revision v8 = {
	.requests = GUNYAH_HAS_USER_MEM | GUNYAH_HAS_NAMED_FUNCTION,
	PINNED,
	.lent_flag = true,
	.bool_datamatch = true,
	.run_starts = true,
	.immediate_is_0 = true,
	.trusts_page = true,
};

static const struct gunyah_revision v10 = {
	.requests = FUNCTIONS | GUNYAH_HAS_USER_MEM,
	PINNED,
	.lent_flag = true,
	.removes_nothing = true,
	.bool_datamatch = true,
};

static const struct gunyah_revision v11 = {
	.requests = FUNCTIONS | GUNYAH_HAS_USER_MEM,
	SPRING_2023,
};

static const struct gunyah_revision v14 = {
	.requests = FUNCTIONS | GUNYAH_HAS_USER_MEM,
	SUMMER_2023,
};

static const struct gunyah_revision v17 = {
	.requests = FUNCTIONS | GUNYAH_HAS_GUEST_MEM | GUNYAH_HAS_BOOT_CONTEXT,
	PAGED,
	.removes_exactly = true,
	.resumes_retry = true,
	.end_breaks = true,
};

static const struct gunyah_revision android14_early = {
	.requests = ANDROID_14,
	SPRING_2023,
};

static const struct gunyah_revision android14 = {
	.requests = ANDROID_14 | GUNYAH_HAS_FIRMWARE,
	SUMMER_2023,
};

static const struct gunyah_revision android15_early = {
	.requests = ANDROID_15,
	PAGED_ANDROID,
};

static const struct gunyah_revision android15_mid = {
	.requests = ANDROID_15_MID,
	PAGED_ANDROID,
	.removes_exactly = true,
};

static const struct gunyah_revision android15 = {
	.requests = ANDROID_15_LATE,
	PAGED_ANDROID,
	.removes_exactly = true,
};

static const struct gunyah_revision android16 = {
	.requests = ANDROID_16,
	PAGED_ANDROID,
	.removes_exactly = true,
};

static const struct gunyah_revision latest = {
	.requests = ANDROID_LATEST,
	PAGED_ANDROID,
	.removes_exactly = true,
	.duplicates = true,
};

/* A device for each row; the last one is Qualcomm's older family, which has a driver of its own (gunyah_vendor.c). */
#define DEVICE(row, its_name)                                                                                              \
	static const struct sim_driver device_##row = {                                                                    \
		.path = UAPI_GUNYAH_DEVICE,                                                                                \
		.name = "gunyah",                                                                                          \
		.revision = (its_name),                                                                                    \
		.open = gunyah_open,                                                                                       \
		.switches = &(row),                                                                                        \
		.open_other = gunyah_cma_open,                                                                             \
		.others = gunyah_cma_devices,                                                                              \
	}

DEVICE(v8, "v8");
DEVICE(v10, "v10");
DEVICE(v11, "v11");
DEVICE(v14, "v14");
DEVICE(v17, "v17");
DEVICE(android14_early, "android14-6.1-early");
DEVICE(android14, "android14-6.1");
DEVICE(android15_early, "android15-6.6-early");
DEVICE(android15_mid, "android15-6.6-mid");
DEVICE(android15, "android15-6.6");
DEVICE(android16, "android16-6.12");
DEVICE(latest, "android-latest");

static const struct sim_driver device_vendor = {
	.path = UAPI_GUNYAH_DEVICE,
	.name = "gunyah",
	.revision = "vendor",
	.open = gunyah_vendor_open,
};

const struct sim_driver *const sim_drivers_gunyah[] = {
	&device_android14,
	&device_android14_early,
	&device_v8,
	&device_v10,
	&device_v11,
	&device_v14,
	&device_v17,
	&device_android15_early,
	&device_android15_mid,
	&device_android15,
	&device_android16,
	&device_latest,
	&device_vendor,
	NULL,
};
