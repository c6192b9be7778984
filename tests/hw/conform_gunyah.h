/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_HW_CONFORM_GUNYAH_H
#define TESTS_HW_CONFORM_GUNYAH_H

#include "conform.h"

#include "../../lib/uapi/gunyah.h"

#include <errno.h>

/* By number, or by name where functions have names. */
int conform_gunyah_add_vcpu(struct conform *conform, uint32_t id);
int conform_gunyah_ioeventfd(struct conform *conform, bool on, int fd, uint64_t gpa, uint32_t width, uint32_t flags,
			     uint64_t value);

/* Cases with a guest that runs. */
void conform_gunyah_guests(const char *device);

#endif
