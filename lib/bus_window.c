/* SPDX-License-Identifier: BSD-3-Clause */
/* Accesses that a handler does not get as the guest made them: whole, aligned registers of the widths that it implements. */
#include "bus.h"
#include "exit.h"

/* Of the widths (each its own bit), the widest one that is no wider than the access, or else the narrowest one. */
static uint32_t register_width(uint32_t widths, uint32_t width)
{
	uint32_t narrower = widths & (width | (width - 1));

	if (narrower == 0)
		return widths & ~(widths - 1);
	while ((narrower & (narrower - 1)) != 0)
		narrower &= narrower - 1;
	return narrower;
}

/*
 * Both ends of a range lie on boundaries of its widest register, so that no register of an access inside of it is outside.
 * Bytes of the access and of a register are counted from the register's address; what is negative there is shifted the other
 * way.
 */
static uint64_t to_register(uint64_t value, uint64_t access_gpa, uint64_t register_gpa)
{
	if (access_gpa >= register_gpa)
		return value << 8 * (access_gpa - register_gpa);
	return value >> 8 * (register_gpa - access_gpa);
}

static uint64_t from_register(uint64_t value, uint64_t access_gpa, uint64_t register_gpa)
{
	return to_register(value, register_gpa, access_gpa);
}

int gh_bus_window(const struct gh_bus_range *range, struct gh_bus_access *access, uint64_t *ret_value)
{
	const struct gh_bus_access guest = *access;
	uint32_t width = register_width(range->handler_widths, guest.width);
	uint64_t gpa = guest.gpa & ~(uint64_t)(width - 1);
	uint32_t count = (uint32_t)(guest.gpa - gpa + guest.width + width - 1) / width;

	*ret_value = 0;
	for (uint32_t i = 0; i < count; i++, gpa += width) {
		int verdict;

		*access = guest;
		access->gpa = gpa;
		access->offset = gpa - range->gpa;
		access->width = width;
		access->mask = to_register(guest.mask, guest.gpa, gpa) & gh_value_mask(width);
		access->value = to_register(guest.value, guest.gpa, gpa) & access->mask;
		verdict = range->access(range->guest.data, access);
		/* Nobody waits for a store: a deferred one is done. */
		if (verdict != GH_BUS_DONE && !(verdict == GH_BUS_DEFER && guest.is_store != 0))
			return verdict;
		*ret_value |= from_register(access->value & access->mask, guest.gpa, gpa);
	}
	return GH_BUS_DONE;
}
