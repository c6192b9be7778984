/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GH_FDT_SOUND_H
#define GH_FDT_SOUND_H

#include <stdbool.h>
#include <stddef.h>

/* Not garbage, not truncated, and new enough for libfdt to go through it, in bounded time. */
bool gh_fdt_is_sound(const void *tree, size_t size);

#endif
