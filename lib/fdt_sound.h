/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GH_FDT_SOUND_H
#define GH_FDT_SOUND_H

#include <stdbool.h>
#include <stddef.h>

/* Not garbage, not truncated, and new enough for libfdt to go through it, in bounded time. */
bool gh_fdt_is_sound(const void *tree, size_t size);
/*
 * libfdt refuses what is not at a multiple of 8 bytes: the tree, or a copy of it, which *ret_copy is then, to be freed. NULL: out
 * of memory.
 */
const void *gh_fdt_align(const void *tree, size_t size, void **ret_copy);

#endif
