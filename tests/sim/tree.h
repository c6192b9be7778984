/* SPDX-License-Identifier: BSD-3-Clause */
/* Devicetrees for tests: one that Gunyah's resource manager accepts, and a knob for each way of spoiling it. */
#ifndef TESTS_SIM_TREE_H
#define TESTS_SIM_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TREE_BASE 0x80000000ull
#define TREE_GIC_DISTRIBUTOR 0x3fff0000ull
#define TREE_GIC_REDISTRIBUTORS 0x3fef0000ull
/* A tree with every knob at rest fits in this, and so does what the resource manager makes of it. */
#define TREE_ROOM 4096u

struct tree_bell {
	uint32_t label;
	uint32_t spi;
	uint32_t flags; /* 1 edge, 4 level */
};

struct tree_shm {
	uint32_t label;
	uint64_t base; /* 0: none */
};

enum tree_defect {
	TREE_SOUND,
	TREE_QCOM_NAME, /* no defect: the configuration's other name */
	TREE_NO_CONFIG,
	TREE_NO_IMAGE_NAME,
	TREE_LONG_IMAGE_NAME,
	TREE_UNTERMINATED_IMAGE_NAME,
	TREE_NO_MEMORY_CONFIG,
	TREE_NO_MEMORY_CELLS,
	TREE_NO_BASE,
	TREE_UNALIGNED_BASE,
	TREE_LONG_BASE,
	TREE_MEMORY_UNIT_ADDRESS,
	TREE_MEMORY_ELSEWHERE,
	TREE_HYPERVISOR,
	TREE_NO_INTERRUPTS,   /* no defect where the root has an interrupt-parent */
	TREE_PHANDLE_CONFIG,  /* likewise */
	TREE_PHANDLE_NO_ROOT, /* and here it has none */
	TREE_BAD_INTERRUPTS,
	TREE_GIC_V2,
	TREE_GIC_NO_CONTROLLER,
	TREE_GIC_TWO_CELLS,
	TREE_GIC_NO_REG, /* no defect: the resource manager fills it in */
	TREE_GIC_SHORT_REG,
	TREE_GIC_TWO_REGIONS,
	TREE_GIC_SMALL_STRIDE,
	TREE_NO_VCPUS,
	TREE_NO_AFFINITY,
	TREE_STATIC_AFFINITY,
	TREE_NO_CPUS_NODE,
	TREE_NO_ENABLE_METHOD, /* of the second cpu */
	TREE_FAILED_CPU,       /* no defect: the first cpu is no vCPU */
	TREE_NO_GENERATE,
	TREE_BELL_NO_LABEL,
	TREE_BELL_SHORT_INTERRUPTS,
	TREE_BELL_BAD_PATH,
	TREE_BELL_NO_PATH,
	TREE_SHM_NO_PEER,
	TREE_SHM_NO_LABEL,
	TREE_SHM_NO_MEMORY,
	TREE_UNKNOWN_VDEVICE,
	TREE_NO_TYPE_VDEVICE,
};

/* Everything 0 is the smallest sound tree: one cpu, base TREE_BASE. */
struct tree {
	enum tree_defect defect;
	uint64_t base;
	uint64_t size_max;
	unsigned int cpus;
	bool no_cpu;
	const struct tree_bell *bells;
	size_t bell_count;
	const struct tree_shm *shms;
	size_t shm_count;
	uint64_t reserved_gpa; /* with reserved_size: a reserved-memory node */
	uint64_t reserved_size;
	uint32_t reserved_label; /* of the node, if it is not 0 */
	size_t filler;           /* bytes that only take room */
	uint64_t firmware;       /* firmware-address, if it is not 0 */
};

/* Writes the tree and returns its size; 0 if it does not fit. */
size_t tree_build(const struct tree *tree, void *buffer, size_t size);

#endif
