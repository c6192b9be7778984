/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The rules of Gunyah's resource manager for devicetrees (sections 2.3 and 10 of the Gunyah UAPI document): found broken
 * here, a rule is a sentence; found broken there, a bare EINVAL, or a doorbell that never rings.
 *
 *   fdt_validate.c          gh_fdt_validate(), and what a finding is
 *   fdt_rules.c             the rules in words
 *   fdt_rules_config.c      /gunyah-vm-config, the interrupt controller, cpus
 *   fdt_rules_vdevices.c    its vdevices
 *   fdt_rules_memory.c      where memory goes, and whether the tree can grow
 */
#ifndef GH_LIB_FDT_RULES_H
#define GH_LIB_FDT_RULES_H

#include <gh/error.h>
#include <gh/fdt.h>

#include <stdbool.h>

enum gh_fdt_rule {
	/* The tree as a whole. */
	GH_RULE_SOUND,
	GH_RULE_SIZE,
	GH_RULE_ROOM,
	GH_RULE_ROOT_CELLS,
	GH_RULE_HYPERVISOR,
	GH_RULE_MEMORY_NODE,
	GH_RULE_PSCI,
	GH_RULE_CHOSEN,
	GH_RULE_MSI,
	/* /gunyah-vm-config. */
	GH_RULE_CONFIG,
	GH_RULE_IMAGE_NAME,
	GH_RULE_GUID,
	GH_RULE_ATTRIBUTE,
	GH_RULE_MEMORY,
	GH_RULE_MEMORY_CELLS,
	GH_RULE_BASE,
	GH_RULE_BASE_FORM,
	GH_RULE_BASE_ALIGNED,
	GH_RULE_BASE_LOW,
	GH_RULE_BASE_REGION,
	GH_RULE_SIZE_MAX_FORM,
	GH_RULE_SIZE_MAX,
	GH_RULE_FIRMWARE,
	GH_RULE_GIC_PATH,
	GH_RULE_GIC_PHANDLE,
	GH_RULE_GIC_VERSION,
	GH_RULE_GIC_CONTROLLER,
	GH_RULE_GIC_CELLS,
	GH_RULE_GIC_REGIONS,
	GH_RULE_GIC_STRIDE,
	GH_RULE_GIC_REG,
	GH_RULE_AFFINITY,
	GH_RULE_CPUS,
	GH_RULE_CPU_STATUS,
	GH_RULE_CPU_METHOD,
	GH_RULE_NO_CPU,
	GH_RULE_MAX_CPUS,
	GH_RULE_VCPU,
	/* vdevices. */
	GH_RULE_GENERATE,
	GH_RULE_TYPE,
	GH_RULE_BELL_LABEL,
	GH_RULE_BELL_PEER,
	GH_RULE_BELL_TWICE,
	GH_RULE_BELL_INTERRUPTS,
	GH_RULE_BELL_SILENT,
	GH_RULE_BELL_TYPO,
	GH_RULE_PATH,
	GH_RULE_COMPATIBLE,
	GH_RULE_QUEUE,
	GH_RULE_SHM_PEER,
	GH_RULE_SHM_LABEL,
	GH_RULE_SHM_BASE,
	GH_RULE_SHM_OPTIONAL,
	/* Memory. */
	GH_RULE_TREE_PLACE,
	GH_RULE_SHM_MISSING,
	GH_RULE_SHM_ELSEWHERE,
	GH_RULE_OVERLAP,
	GH_RULE_ADDRESS_SPACE,
	GH_RULE_RESERVED_CELLS,
	GH_RULE_RESERVED_LABEL,
	GH_RULE_RESERVED_REG,
	GH_RULES,
};

/* A rule in words. */
struct gh_fdt_rule_text {
	const char *name;
	const char *property; /* that it is about */
	const char *text;
	const char *remedy;
	uint8_t severity; /* enum gh_fdt_severity */
	uint8_t cause;    /* enum gh_cause of a start that fails for it */
};
extern const struct gh_fdt_rule_text gh_fdt_rule_texts[GH_RULES];

/* What a finding's function gets besides the finding: the cause. */
struct gh_fdt_check {
	const void *tree;
	struct gh_fdt_rules rules;
	void (*report)(void *data, const struct gh_fdt_finding *finding);
	void *data;
	int rejected;
	int found[GH_FDT_IGNORED + 1]; /* of each severity */
	int config;                    /* the node /gunyah-vm-config */
	uint64_t base;
	uint64_t size_max;
	bool has_base;
	uint64_t labels[16]; /* of doorbells: bit n, up to 1023 */
	uint64_t additions;  /* bytes that the resource manager will add to the tree, at most */
};

/* A broken rule at a node; `detail` is a format. */
void gh_fdt_found(struct gh_fdt_check *check, enum gh_fdt_rule rule, int node, const char *detail, ...)
	__attribute__((format(printf, 4, 5)));

void gh_fdt_check_config(struct gh_fdt_check *check);
void gh_fdt_check_vdevices(struct gh_fdt_check *check);
/* 0 or -ENOMEM. */
int gh_fdt_check_memory(struct gh_fdt_check *check);

/* --- reading: NULL or an error where the property is not in good shape ------------------------------------------------ */

/* So many cells, two at most. */
uint64_t gh_fdt_read_cells(const uint8_t *bytes, int cells);
/* One string, not empty. */
const char *gh_fdt_read_string(const void *tree, int node, const char *name);
/* 1: read; 0: not there; -1: of another length. */
int gh_fdt_read_u32(const void *tree, int node, const char *name, uint32_t *ret_value);
/* One or two cells. */
int gh_fdt_read_address(const void *tree, int node, const char *name, uint64_t *ret_value);
/* `label` or `qcom,label`. */
int gh_fdt_read_label(const void *tree, int node, uint32_t *ret_label);
/* Entry `index` of `reg` in cells of that many; 0: there is none. */
int gh_fdt_read_reg(const void *tree, int node, int address_cells, int size_cells, unsigned int index,
		    uint64_t *ret_address, uint64_t *ret_size);
/* The node at an absolute path: an alias may be hostile, and libfdt follows it for ever. */
int gh_fdt_path(const void *tree, const char *path);
/* The configuration, by either of its names; negative if there is none. */
int gh_fdt_config(const void *tree);
/* The node that vcpus/config names, /cpus without it; negative if there is none. */
int gh_fdt_cpus(const void *tree, int config);
/* A cpu of the VM's: its status is not "fail". */
bool gh_fdt_is_cpu(const void *tree, int node);
/* Is it on from the start? Of those without a status the first is, if none was before. */
bool gh_fdt_cpu_boots(const void *tree, int node, bool is_first);
bool gh_fdt_is_shm(const void *tree, int node);

#endif
