/* SPDX-License-Identifier: BSD-3-Clause */
/* Guest memory as a driver holds it: pages that stay, whatever the process does to its mapping afterwards. */
#ifndef GH_SIM_PIN_H
#define GH_SIM_PIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim_pin {
	void *address; /* of the memory; the process's own mapping, or a second one of the same pages */
	void *reserved;
	size_t reserved_size;
};

/*
 * Pins [host, host + size), page aligned: 0, or -EFAULT where there is no memory, or none that may be read or, if `write`,
 * written. `ret_pages` receives how many pages from the start are good, also after -EFAULT.
 *
 * Shared memory is mapped a second time, so that the process may unmap or protect its own mapping, as it may on the real
 * kernel. Private memory cannot be: there the process's mapping has to stay.
 */
int sim_pin(uintptr_t host, size_t size, bool write, struct sim_pin *ret_pin, uint64_t *ret_pages);
void sim_unpin(struct sim_pin *pin);
/* Leaves `length` bytes to the pin; the rest gets one of its own. */
void sim_pin_split(struct sim_pin *pin, size_t length, struct sim_pin *ret_rest);
/* Can shared memory be mapped a second time? Emulators and valgrind cannot. */
bool sim_pin_is_lasting(void);

#endif
