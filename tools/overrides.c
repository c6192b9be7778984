/* SPDX-License-Identifier: BSD-3-Clause */
#include "overrides.h"

#include <string.h>

/* Longer than any name. */
#define NAME_SIZE 64u

static bool read_one(const char *text, size_t length, uint64_t (*by_name)(const char *name), uint64_t *on, uint64_t *off)
{
	char name[NAME_SIZE];
	uint64_t bit;

	if (length < 2 || length > sizeof(name) || (text[0] != '+' && text[0] != '-'))
		return false;
	memcpy(name, text + 1, length - 1);
	name[length - 1] = '\0';
	bit = by_name(name);
	*(text[0] == '+' ? on : off) |= bit;
	return bit != 0;
}

bool overrides_read(const char *text, uint64_t (*by_name)(const char *name), uint64_t *on, uint64_t *off)
{
	for (;;) {
		size_t length = strcspn(text, ",");

		if (!read_one(text, length, by_name, on, off))
			return false;
		if (text[length] == '\0')
			return true;
		text += length + 1;
	}
}
