/* SPDX-License-Identifier: BSD-3-Clause */
/* What the devicetree builder's files share: the description, short ways to write. Not fdt.h: libfdt has one of that name. */
#ifndef GH_LIB_FDT_BUILDER_H
#define GH_LIB_FDT_BUILDER_H

#include "backend.h"

#include <gh/fdt.h>

#include <stdbool.h>

#define GH_FDT_NAME_MAX 31u
/* Shared peripheral interrupts that a GICv3 can have: 32 to 1019, counted from 0. */
#define GH_FDT_LINES 988u

/* A device as it was described. Its properties are a tree of one node, which does the copying. */
struct gh_fdt_node {
	struct gh_fdt_node *next;
	char name[GH_FDT_NAME_MAX + 1 + 17]; /* with the address */
	uint64_t gpa;
	uint64_t length;
	uint32_t flags;
	void *properties;
	size_t n_irqs;
	struct gh_fdt_irq irqs[];
};

struct gh_fdt {
	struct gh_vm *vm;
	void *base; /* the caller's tree, or NULL */
	char *command_line;
	char *name;
	uint64_t initrd_gpa;
	uint64_t initrd_length;
	uint32_t n_cpus;
	struct gh_fdt_node *nodes; /* newest first: libfdt puts a new node before the older ones */
	void *blob;                /* the finished tree, or NULL */
	size_t blob_size;
};

/* What one tree is built from, gathered from the VM. */
struct gh_fdt_build {
	const struct gh_fdt *fdt;
	struct gh_bvm *vm;
	struct gh_fdt_plan plan;
	uint32_t n_cpus;
	uint64_t gic_redistributors;
	uint64_t gic_redistributors_size;
	char gic[256]; /* path of the interrupt controller's node */
};

/* A tree being written. The first error stays and makes everything after it nothing, so that code reads as the tree does. */
struct gh_fdt_writer {
	void *tree;
	int error; /* libfdt's, negative */
};

static inline void gh_fdt_keep(struct gh_fdt_writer *writer, int error)
{
	if (writer->error >= 0 && error < 0)
		writer->error = error;
}

/*
 * The child of that name, made if it is not there; 0 after an error, which nothing is written to. Writing to a node moves
 * those behind it: take a child again, or for the first time, when what stands before it has been written.
 */
int gh_fdt_child(struct gh_fdt_writer *writer, int parent, const char *name);
bool gh_fdt_has(const struct gh_fdt_writer *writer, int node, const char *name);
void gh_fdt_put(struct gh_fdt_writer *writer, int node, const char *name, const void *value, size_t length);
void gh_fdt_put_flag(struct gh_fdt_writer *writer, int node, const char *name);
void gh_fdt_put_string(struct gh_fdt_writer *writer, int node, const char *name, const char *value);
void gh_fdt_put_u32(struct gh_fdt_writer *writer, int node, const char *name, uint32_t value);
void gh_fdt_put_u64(struct gh_fdt_writer *writer, int node, const char *name, uint64_t value);
void gh_fdt_put_cells(struct gh_fdt_writer *writer, int node, const char *name, const uint32_t *values, size_t count);
void gh_fdt_put_ranges(struct gh_fdt_writer *writer, int node, const char *name, const uint64_t *values, size_t count);

bool gh_fdt_is_string(const void *tree, int node, const char *name, const char *value);

/*
 * fdt_build.c: a tree in `room` bytes, packed. -ENOSPC: it needs more. Other errors are explained. Under the VM's lock.
 */
int gh_fdt_build(struct gh_fdt_build *build, void *tree, size_t room);

#endif
