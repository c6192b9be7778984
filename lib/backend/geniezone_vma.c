/* SPDX-License-Identifier: BSD-3-Clause */
/* This process's own mappings: GenieZone's driver compares a region with the whole VMA that holds it. */
#include "geniezone.h"

#include <errno.h>
#include <fcntl.h>

/* Reads "start-end rwxp ..." one character at a time: lines may be cut anywhere by a read. */
struct parser {
	enum { IN_START, IN_END, IN_PERMISSIONS, IN_REST } state;
	unsigned int column; /* of the permissions */
	struct gh_vma vma;
};

static bool hex_digit(char c, uintptr_t *value)
{
	unsigned int digit;

	if (c >= '0' && c <= '9')
		digit = (unsigned int)(c - '0');
	else if (c >= 'a' && c <= 'f')
		digit = (unsigned int)(c - 'a') + 10;
	else
		return false;
	*value = *value << 4 | digit;
	return true;
}

static void take_permission(struct parser *parser, char c)
{
	switch (parser->column++) {
	case 0:
		parser->vma.readable = c == 'r';
		break;
	case 1:
		parser->vma.writable = c == 'w';
		break;
	case 3:
		parser->vma.shared = c == 's';
		break;
	default:
		break;
	}
}

/* True at the end of a line, whose mapping is parser->vma then. */
static bool take(struct parser *parser, char c)
{
	if (c == '\n')
		return true;
	switch (parser->state) {
	case IN_START:
		if (!hex_digit(c, &parser->vma.start))
			parser->state = IN_END;
		break;
	case IN_END:
		if (!hex_digit(c, &parser->vma.end))
			parser->state = IN_PERMISSIONS;
		break;
	case IN_PERMISSIONS:
		if (c == ' ')
			parser->state = IN_REST;
		else
			take_permission(parser, c);
		break;
	case IN_REST:
		break;
	}
	return false;
}

static int search(struct gh_sys *sys, int fd, uintptr_t address, struct gh_vma *ret_vma)
{
	struct parser parser = { 0 };
	char text[2048];

	for (;;) {
		ssize_t length = sys->read(sys, fd, text, sizeof(text));

		if (length <= 0)
			return length < 0 ? (int)length : -ENOENT;
		for (ssize_t i = 0; i < length; i++) {
			if (!take(&parser, text[i]))
				continue;
			if (address >= parser.vma.start && address < parser.vma.end) {
				*ret_vma = parser.vma;
				return 0;
			}
			parser = (struct parser){ 0 };
		}
	}
}

int gh_vma_find(struct gh_sys *sys, const void *address, struct gh_vma *ret_vma)
{
	int fd = sys->open(sys, "/proc/self/maps", O_RDONLY);
	int ret;

	if (gh_sys_is_hidden(fd))
		return -EOPNOTSUPP;
	if (fd < 0)
		return fd;
	ret = search(sys, fd, (uintptr_t)address, ret_vma);
	(void)sys->close(sys, fd);
	return ret;
}
