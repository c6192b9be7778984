/* SPDX-License-Identifier: BSD-3-Clause */
/* Short ways to read and write devicetrees with libfdt. */
#include "fdt_builder.h"

#include <libfdt.h>
#include <string.h>

int gh_fdt_child(struct gh_fdt_writer *writer, int parent, const char *name)
{
	int node;

	if (writer->error < 0)
		return 0;
	node = fdt_subnode_offset(writer->tree, parent, name);
	if (node == -FDT_ERR_NOTFOUND)
		node = fdt_add_subnode(writer->tree, parent, name);
	gh_fdt_keep(writer, node);
	return node < 0 ? 0 : node;
}

bool gh_fdt_has(const struct gh_fdt_writer *writer, int node, const char *name)
{
	return writer->error >= 0 && fdt_getprop(writer->tree, node, name, NULL) != NULL;
}

void gh_fdt_put(struct gh_fdt_writer *writer, int node, const char *name, const void *value, size_t length)
{
	if (writer->error >= 0)
		gh_fdt_keep(writer, fdt_setprop(writer->tree, node, name, value, (int)length));
}

void gh_fdt_put_flag(struct gh_fdt_writer *writer, int node, const char *name)
{
	gh_fdt_put(writer, node, name, NULL, 0);
}

void gh_fdt_put_string(struct gh_fdt_writer *writer, int node, const char *name, const char *value)
{
	gh_fdt_put(writer, node, name, value, strlen(value) + 1);
}

void gh_fdt_put_u32(struct gh_fdt_writer *writer, int node, const char *name, uint32_t value)
{
	const fdt32_t cell = cpu_to_fdt32(value);

	gh_fdt_put(writer, node, name, &cell, sizeof(cell));
}

void gh_fdt_put_u64(struct gh_fdt_writer *writer, int node, const char *name, uint64_t value)
{
	const fdt64_t cells = cpu_to_fdt64(value);

	gh_fdt_put(writer, node, name, &cells, sizeof(cells));
}

/* Piece by piece: the first one replaces what was there. */
static void append(struct gh_fdt_writer *writer, int node, const char *name, const void *value, size_t length, bool first)
{
	if (first)
		gh_fdt_put(writer, node, name, value, length);
	else if (writer->error >= 0)
		gh_fdt_keep(writer, fdt_appendprop(writer->tree, node, name, value, (int)length));
}

void gh_fdt_put_cells(struct gh_fdt_writer *writer, int node, const char *name, const uint32_t *values, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const fdt32_t cell = cpu_to_fdt32(values[i]);

		append(writer, node, name, &cell, sizeof(cell), i == 0);
	}
}

void gh_fdt_put_ranges(struct gh_fdt_writer *writer, int node, const char *name, const uint64_t *values, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const fdt64_t cells = cpu_to_fdt64(values[i]);

		append(writer, node, name, &cells, sizeof(cells), i == 0);
	}
}

bool gh_fdt_is_string(const void *tree, int node, const char *name, const char *value)
{
	int length;
	const char *text = fdt_getprop(tree, node, name, &length);

	return text != NULL && (size_t)length == strlen(value) + 1 && memcmp(text, value, (size_t)length) == 0;
}
