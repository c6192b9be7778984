/* SPDX-License-Identifier: BSD-3-Clause */
/* Which trees libfdt is safe with: it checks most of a hostile one, but not all, and not in bounded time. */
#include "fdt_sound.h"

#include <libfdt.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_OF_PROPERTY 255u

static uint32_t cell_at(const char *at)
{
	fdt32_t cell;

	memcpy(&cell, at, sizeof(cell));
	return fdt32_to_cpu(cell);
}

/* The bytes that a tag takes with what follows it and padding; `left` or more if they do not fit. */
static uint64_t tag_length(const char *at, size_t left)
{
	uint64_t length = FDT_TAGSIZE;

	switch (cell_at(at)) {
	case FDT_BEGIN_NODE:
		length += (uint64_t)strnlen(at + length, left - length) + 1;
		break;
	case FDT_PROP:
		length = sizeof(struct fdt_property);
		if (length <= left)
			length += cell_at(at + FDT_TAGSIZE);
		break;
	default:
		break;
	}
	return (length + FDT_TAGSIZE - 1) & ~(uint64_t)(FDT_TAGSIZE - 1);
}

/*
 * In the block of names, which libfdt looks at from version 17 on only, and short: it walks along a property's name each time
 * that it looks at the property, so that some lines of hostile tree take minutes.
 */
static bool has_sound_name(const void *tree, const char *property)
{
	const char *names = (const char *)tree + fdt_off_dt_strings(tree);
	uint32_t offset = cell_at(property + offsetof(struct fdt_property, nameoff));
	size_t left;

	if (offset >= fdt_size_dt_strings(tree))
		return false;
	left = fdt_size_dt_strings(tree) - offset;
	return memchr(names + offset, '\0', left <= NAME_MAX_OF_PROPERTY ? left : NAME_MAX_OF_PROPERTY + 1) != NULL;
}

/*
 * libfdt before 1.7.0 adds a property's length to its place in an int: a length of nearly 4 GiB leads back to where it was, and
 * on for ever.
 */
static bool has_sound_tags(const void *tree)
{
	const char *at = (const char *)tree + fdt_off_dt_struct(tree);
	size_t left = fdt_version(tree) >= 17 ? fdt_size_dt_struct(tree) : fdt_totalsize(tree) - fdt_off_dt_struct(tree);

	while (left >= FDT_TAGSIZE && cell_at(at) != FDT_END) {
		uint64_t length = tag_length(at, left);

		if (length >= left || (cell_at(at) == FDT_PROP && !has_sound_name(tree, at)))
			return false;
		at += length;
		left -= (size_t)length;
	}
	return left >= FDT_TAGSIZE;
}

/* libfdt's own check of everything comes to grief on trees of before version 16, whose root has a name. */
bool gh_fdt_is_sound(const void *tree, size_t size)
{
	return size >= sizeof(struct fdt_header) && fdt_check_header(tree) == 0 && fdt_totalsize(tree) <= size &&
	       fdt_version(tree) >= 16 && has_sound_tags(tree) && fdt_check_full(tree, size) == 0;
}

const void *gh_fdt_align(const void *tree, size_t size, void **ret_copy)
{
	size_t total;

	*ret_copy = NULL;
	if ((uintptr_t)tree % sizeof(uint64_t) == 0 || size < sizeof(struct fdt_header))
		return tree;
	total = cell_at((const char *)tree + offsetof(struct fdt_header, totalsize));
	if (total > size || total < sizeof(struct fdt_header))
		total = sizeof(struct fdt_header); /* it is none, whatever comes then */
	*ret_copy = malloc(total);
	return *ret_copy != NULL ? memcpy(*ret_copy, tree, total) : NULL;
}
