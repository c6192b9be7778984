/* SPDX-License-Identifier: BSD-3-Clause */
/* What the Gunyah backend's files share. */
#ifndef GH_BACKEND_GUNYAH_H
#define GH_BACKEND_GUNYAH_H

#include "../backend.h"
#include "../exit.h"
#include "../uapi/gunyah.h"

/* What the run page says, checked. The page is shared with the kernel: each field is read once. */
int gh_gunyah_decode(const struct uapi_gunyah_run *page, struct gh_exit *exit);

/* The same for its most frequent reason. */
static inline int gh_gunyah_decode_mmio(const struct uapi_gunyah_run *page, struct gh_exit *exit)
{
	uint8_t is_write = page->u.mmio.is_write;

	exit->raw_reason = UAPI_GUNYAH_EXIT_MMIO;
	/* Two ways, each with a constant: shorter than one that asks again. */
	if (is_write == 0)
		return gh_exit_set_mmio(exit, page->u.mmio.gpa, page->u.mmio.width, false, page->u.mmio.data);
	if (is_write == 1)
		return gh_exit_set_mmio(exit, page->u.mmio.gpa, page->u.mmio.width, true, page->u.mmio.data);
	return -EPROTO;
}

/* What the backend remembers of the devicetree, read before the start: what the resource manager will make of it. */
struct gh_gunyah_tree {
	uint32_t n_cpus;
	uint32_t n_labels;
	uint32_t *labels; /* of doorbells */
};

/*
 * Reads the devicetree in guest memory, and refuses what the resource manager would refuse, drop or misplace, with a
 * reason. The tree is hostile until checked. Allocates ret_tree->labels.
 */
int gh_gunyah_tree_read(const struct gh_bvm *vm, struct gh_gunyah_tree *ret_tree);
void gh_gunyah_tree_free(struct gh_gunyah_tree *tree);
bool gh_gunyah_tree_has_bell(const struct gh_gunyah_tree *tree, uint32_t label);
/* The number that `label` or `qcom,label` says. */
bool gh_gunyah_label(const void *tree, int node, uint32_t *ret_label);
bool gh_gunyah_is_shm(const void *tree, int node);

/* gunyah_fdt.c: gh_backend::fdt */
int gh_gunyah_fdt(struct gh_bvm *vm, const struct gh_fdt_plan *plan, void *tree);

#endif
