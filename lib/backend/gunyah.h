/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the Gunyah backend's files share.
 *
 *   gunyah.c          the VM: creation, checks, start; the table
 *   gunyah_probe.c    which of the interface's dialects the device speaks, as features and quirks
 *   gunyah_memory.c   shared, lent, the kernel's own files, contiguous; taking it back
 *   gunyah_fn.c       functions by descriptor or by name: lines, doorbells, vCPUs
 *   gunyah_vcpu.c     a vCPU's page and its runs
 *   gunyah_exit.c     the page to an exit
 *   gunyah_tree.c     the devicetree as the resource manager reads it
 *   gunyah_fdt.c      what the library writes there
 *   gunyah_sandbox.c  what a running VM asks of the kernel
 */
#ifndef GH_BACKEND_GUNYAH_H
#define GH_BACKEND_GUNYAH_H

#include "../backend.h"
#include "../exit.h"
#include "../uapi/gunyah.h"

#define GH_GUNYAH_REQUEST(name, number) name " (" number ")"

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
	uint32_t *labels;   /* of doorbells */
	bool is_with_guest; /* a start has been tried */
};

/*
 * Reads the devicetree in guest memory, and refuses what the resource manager would refuse, drop or misplace, with a
 * reason. The tree is hostile until checked. Allocates ret_tree->labels.
 */
int gh_gunyah_tree_read(const struct gh_bvm *vm, struct gh_gunyah_tree *ret_tree);
void gh_gunyah_tree_free(struct gh_gunyah_tree *tree);
bool gh_gunyah_tree_has_bell(const struct gh_gunyah_tree *tree, uint32_t label);

/* The rest are the table's slots (backend.h), and what one file has for another. */

/* gunyah_probe.c */
int gh_gunyah_probe(struct gh_sys *sys, int dev, struct gh_caps *ret_caps, struct gh_failure *failure);

/* gunyah_memory.c */
int gh_gunyah_vm_file(struct gh_bvm *vm, int source, uint64_t length, uint32_t flags);
int gh_gunyah_vm_map(struct gh_bvm *vm, const struct gh_region *region);
int gh_gunyah_vm_unmap(struct gh_bvm *vm, const struct gh_region *region);
int gh_gunyah_vm_reclaim(struct gh_bvm *vm, uint64_t gpa, uint64_t length);

/* gunyah_fn.c */
/* A descriptor for a vCPU, 0 for the others, or -errno. `type` is UAPI_GUNYAH_FN_*. */
int gh_gunyah_add_function(struct gh_bvm *vm, uint32_t type, const void *arg, uint32_t size);
/* -EOPNOTSUPP where the kernel has no such request. */
int gh_gunyah_remove_function(struct gh_bvm *vm, uint32_t type, const void *arg, uint32_t size);
int gh_gunyah_irqfd_check(struct gh_bvm *vm, const struct gh_irqfd_spec *spec);
int gh_gunyah_irqfd(struct gh_bvm *vm, const struct gh_irqfd_spec *spec, bool on);
int gh_gunyah_ioevent(struct gh_bvm *vm, const struct gh_ioevent_spec *spec, bool on);

/* gunyah_vcpu.c */
int gh_gunyah_vcpu_create(struct gh_bvcpu *vcpu);
void gh_gunyah_vcpu_destroy(struct gh_bvcpu *vcpu);
int gh_gunyah_vcpu_run(struct gh_bvcpu *vcpu);
int gh_gunyah_vcpu_abort(struct gh_bvcpu *vcpu);

/* gunyah_sandbox.c */
extern const struct gh_needs gh_gunyah_needs;

/* gunyah_fdt.c */
int gh_gunyah_fdt(struct gh_bvm *vm, const struct gh_fdt_plan *plan, void *tree);

#endif
