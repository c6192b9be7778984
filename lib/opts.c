/* SPDX-License-Identifier: BSD-3-Clause */
#include "opts.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* No option structure will ever be larger; a size beyond it is memory that was never set. */
#define LARGEST 4096

static bool all_zero(const unsigned char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

int gh_opts_copy(void *own, size_t own_size, size_t least, const void *callers)
{
	size_t size;

	memcpy(&size, callers, sizeof(size));
	if (size < least || size > LARGEST)
		return -EINVAL;
	if (size > own_size && !all_zero((const unsigned char *)callers + own_size, size - own_size))
		return -EINVAL;
	memcpy(own, callers, size < own_size ? size : own_size);
	memcpy(own, &own_size, sizeof(own_size));
	return 0;
}
