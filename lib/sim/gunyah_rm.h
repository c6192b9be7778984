/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The resource manager behind the simulated /dev/gunyah: functions on devicetrees, without state and without system calls.
 *
 * START hands it the tree and the list of parcels. It reads the configuration (gunyah_rm_tree.c), decides where each parcel
 * lies in the guest (gunyah_rm.c), and writes the tree that the guest will see (gunyah_rm_patch.c). What it refuses is
 * section 2.3 of the Gunyah UAPI document as corrected by its section 10; the tree comes from outside and may be hostile.
 */
#ifndef GH_SIM_GUNYAH_RM_H
#define GH_SIM_GUNYAH_RM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What one platform can give: as many CPUs as the resource manager of the observed machine had. */
#define RM_CPUS_MAX 8u
#define RM_NAME_MAX 80u
#define RM_PATH_MAX 256u
/* Everything in [0, RM_MEMORY_START) exits to user space; memory begins above it. */
#define RM_MEMORY_START 0x40000000ull
/* Regions without a place of their own begin here: the page below is the resource manager's. */
#define RM_FREE_START 0x40001000ull
#define RM_ADDRESS_END (1ull << 40)
/* Interrupt controller of a tree that leaves its addresses to the resource manager. */
#define RM_GIC_DISTRIBUTOR 0x3fff0000ull
#define RM_GIC_DISTRIBUTOR_SIZE 0x10000ull
#define RM_GIC_REDISTRIBUTORS 0x3fef0000ull
#define RM_GIC_REDISTRIBUTOR_SIZE 0x20000ull
#define RM_NO_SPI UINT32_MAX

struct rm_doorbell {
	uint32_t label;
	uint32_t spi; /* counted from 0; RM_NO_SPI if the interrupt is none */
	int node;     /* in the tree as it was parsed */
};

struct rm_shm {
	uint32_t label;
	uint64_t base;
	bool has_base;
	bool optional; /* the VM can do without the memory */
	int node;
};

/* What a tree says. */
struct rm_tree {
	char name[RM_NAME_MAX];
	uint64_t base; /* rounded up to 2 MiB */
	uint64_t size_max;
	uint64_t firmware; /* where a firmware begins */
	bool has_firmware;
	uint32_t cpus;
	char gic_path[RM_PATH_MAX];
	bool gic_has_reg;
	uint64_t gic_distributor;
	uint64_t gic_redistributors;
	struct rm_doorbell *doorbells; /* malloc()ed */
	size_t doorbell_count;
	struct rm_shm *shms; /* malloc()ed */
	size_t shm_count;
};

/* One region of the VM; `gpa` is what the ioctl said, and afterwards where the resource manager has put it. */
struct rm_parcel {
	uint32_t label;
	uint32_t flags;
	bool lent;
	uint64_t size;
	uint64_t gpa;
	const struct rm_shm *shm; /* whose label it has, or NULL */
};

/* The parcels of a VM; `main` is the index of the one with the devicetree. */
struct rm_memory {
	struct rm_parcel *parcels;
	size_t count;
	size_t main;
	bool production; /* the policy */
	bool paged;      /* the resource manager is told the addresses, and gets no labels */
	uint32_t vmid;
	size_t firmware; /* the parcel that begins with the firmware; SIZE_MAX: none */
};

/*
 * VM_INIT: checks `fdt` (anything, `size` bytes) and reads it. -EINVAL or -ENODEV by rule, -ENOMEM. On success the tree is
 * sound, and gunyah_rm_tree_free() gives the lists back.
 */
int gunyah_rm_parse(const void *fdt, size_t size, struct rm_tree *ret_tree);
void gunyah_rm_tree_free(struct rm_tree *tree);

/*
 * VM_START: gives every parcel its place. -ENODEV if that cannot be, or the policy is against it; the tree can be patched all
 * the same, to find out whether it has room.
 */
int gunyah_rm_place(const void *fdt, const struct rm_tree *tree, struct rm_memory *memory);

/*
 * Makes the guest's tree (malloc()ed): -EINVAL if it has no room in `size` bytes, the size of SET_DTB_CONFIG; -ENOMEM.
 */
int gunyah_rm_patch(const void *fdt, const struct rm_tree *tree, const struct rm_memory *memory, uint64_t size,
		    void **ret_patched);

/* Helpers on properties; NULL or an error where the tree does not have them in good shape. */
const char *gunyah_rm_string(const void *fdt, int node, const char *name);
int gunyah_rm_u32(const void *fdt, int node, const char *name, uint32_t *ret_value);
/* One or two cells. */
int gunyah_rm_address(const void *fdt, int node, const char *name, uint64_t *ret_value);
/* Entry `index` of `reg` by the parent's cell counts: -ENOENT if there is no such entry, -EINVAL if it makes no sense. */
int gunyah_rm_reg(const void *fdt, int node, unsigned int index, uint64_t *ret_address, uint64_t *ret_size);

#endif
