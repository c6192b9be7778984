/* SPDX-License-Identifier: BSD-3-Clause */
/* Filling in an exit from what a kernel said, with everything checked. Pure functions: no state, no system call. */
#ifndef GH_LIB_EXIT_H
#define GH_LIB_EXIT_H

#include <gh/exit.h>

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* The low `width` bytes for a width of 1, 2, 4 or 8; 0 for one that there is not. */
extern const uint64_t gh_value_masks[9];

static inline uint64_t gh_value_mask(uint64_t width)
{
	return width <= 8 ? gh_value_masks[width] : 0;
}

static inline bool gh_width_valid(uint64_t width)
{
	return gh_value_mask(width) != 0;
}

/* Guests are little-endian in everything that the kernels report and take, whatever the host is. */
static inline uint64_t gh_value_get(const uint8_t data[8], uint32_t width)
{
	uint64_t value;

	memcpy(&value, data, sizeof(value));
	return le64toh(value) & gh_value_mask(width);
}

static inline void gh_value_put(uint8_t data[8], uint64_t value)
{
	value = htole64(value);
	memcpy(data, &value, sizeof(value));
}

/*
 * A load or store. `data` is what the kernel's page holds, little-endian; bytes from `width` on are stale and ignored.
 * -EPROTO for a width that no guest can have made, or an access that wraps around the address space.
 */
static inline int gh_exit_set_mmio(struct gh_exit *exit, uint64_t gpa, uint64_t width, bool is_store, const uint8_t data[8])
{
	const uint64_t mask = gh_value_mask(width);
	uint64_t value;

	if (mask == 0 || gpa > UINT64_MAX - (width - 1))
		return -EPROTO;
	exit->kind = GH_EXIT_MMIO;
	exit->mmio.gpa = gpa;
	exit->mmio.width = (uint32_t)width;
	exit->mmio.is_store = is_store;
	exit->mmio.value = 0;
	if (is_store) {
		memcpy(&value, data, sizeof(value));
		exit->mmio.value = le64toh(value) & mask;
	}
	return 0;
}

/* What gh_backend::vcpu_run returns with an exit. */
enum { GH_RAN_TO_ACCESS, GH_RAN_TO_OTHER };

static inline int gh_exit_result(const struct gh_exit *exit)
{
	return exit->kind == GH_EXIT_MMIO ? GH_RAN_TO_ACCESS : GH_RAN_TO_OTHER;
}

void gh_exit_set_stop(struct gh_exit *exit, uint32_t cause, uint32_t raw_status, uint32_t raw_type);
/* `count` words of `data`, clamped to what the exit has room for. */
void gh_exit_set_event(struct gh_exit *exit, uint32_t type, uint32_t count, const uint64_t *data);
void gh_exit_set_kind(struct gh_exit *exit, uint32_t kind, uint32_t raw_reason);

#endif
