/* SPDX-License-Identifier: BSD-3-Clause */
/* Every revision of GenieZone, and Halla, with what libgh should find out about each. */
#ifndef TESTS_UNIT_GENIEZONE_DEVICES_H
#define TESTS_UNIT_GENIEZONE_DEVICES_H

#include "util.h"

struct gz_device {
	const char *device;
	const char *backend;
	const char *dialect;
	uint32_t max_vcpus;
	bool resamples;    /* up to v5 */
	bool has_irq_line; /* not R0 */
	bool tells_values; /* up to v4 */
	bool hands_on;     /* up to v4: every exit */
	bool takes_time;   /* from v10 on: the guest's question for it */
	bool is_halla;
};

static const struct gz_device gz_devices[] = {
	{ "sim:gzvm/r0", "geniezone", "R0", 8, true, false, true, true, false, false },
	{ "sim:gzvm/v4", "geniezone", "v1 to v4", 8, true, true, true, true, false, false },
	{ "sim:gzvm/v5", "geniezone", "v5", 8, true, true, false, false, false, false },
	{ "sim:gzvm/v9", "geniezone", "v6 to v9", 8, false, true, false, false, false, false },
	{ "sim:gzvm/v12", "geniezone", "v10 to v12", 8, false, true, false, false, true, false },
	{ "sim:gzvm/android16-6.12-early", "geniezone", "6.12", 8, false, true, false, false, true, false },
	{ "sim:gzvm/android15-6.6", "geniezone", "Android 6.6", 8, false, true, false, false, true, false },
	{ "sim:gzvm/android-latest", "geniezone", "Android 6.6", 8, false, true, false, false, true, false },
	{ "sim:halla", "halla", "Halla", 10, false, true, false, false, false, true },
};
#define GZ_DEVICES (int)(sizeof(gz_devices) / sizeof(gz_devices[0]))

#endif
