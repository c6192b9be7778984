/* SPDX-License-Identifier: BSD-3-Clause */
/* Rules for /gunyah-vm-config, for the interrupt controller, and for cpus. */
#include "fdt_builder.h"
#include "fdt_rules.h"

#include <libfdt.h>
#include <string.h>

#define NAME_MAX_OF_VM 80u
#define PAGE UINT64_C(4096)
#define BASE_ALIGN UINT64_C(0x200000)
#define MEMORY_START UINT64_C(0x40000000)
#define ADDRESS_END (UINT64_C(1) << 40)
#define STRIDE_MIN UINT64_C(0x20000)
#define PATH_ROOM 256
#define UUID_LENGTH 36u

/* --- identity ----------------------------------------------------------------------------------------------------- */

static bool is_uuid(const char *text)
{
	if (strlen(text) != UUID_LENGTH)
		return false;
	for (size_t i = 0; i < UUID_LENGTH; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? text[i] != '-' : strchr("0123456789abcdefABCDEF", text[i]) == NULL)
			return false;
	}
	return true;
}

static void check_attributes(struct gh_fdt_check *check)
{
	static const char *const known[] = { "ras-error-handler", "amu-counting-disabled", "crash-fatal",
					     "context-dump",      "no-shutdown",           "no-reset",
					     "guest-ram-dump",    "insecure-console" };
	int length;
	const char *name = fdt_getprop(check->tree, check->config, "vm-attrs", &length);
	const char *end = name != NULL && length > 0 && name[length - 1] == '\0' ? name + length : name;

	/* libfdt looks for the n-th string from the first one on: too slow for a million of them. */
	for (; name != end; name += strlen(name) + 1) {
		bool is_known = false;

		for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++)
			is_known |= strcmp(name, known[k]) == 0;
		if (!is_known)
			gh_fdt_found(check, GH_RULE_ATTRIBUTE, check->config, "\"%.60s\"", name);
	}
}

static void check_identity(struct gh_fdt_check *check)
{
	const char *name = gh_fdt_read_string(check->tree, check->config, "image-name");
	const char *guid = gh_fdt_read_string(check->tree, check->config, "vm-guid");

	if (name == NULL || strlen(name) >= NAME_MAX_OF_VM)
		gh_fdt_found(check, GH_RULE_IMAGE_NAME, check->config, "%s",
			     name != NULL ? "the name is longer" : "there is none, or it is no string");
	if (fdt_getprop(check->tree, check->config, "vm-guid", NULL) != NULL && (guid == NULL || !is_uuid(guid)))
		gh_fdt_found(check, GH_RULE_GUID, check->config, "%s", "");
	check_attributes(check);
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

static void check_base(struct gh_fdt_check *check, int node)
{
	uint64_t base = 0;
	int ret = gh_fdt_read_address(check->tree, node, "base-address", &base);

	if (ret == 0) {
		gh_fdt_found(check, GH_RULE_BASE, node, "%s", "");
		return;
	}
	if (ret < 0 || base % PAGE != 0 || base > ADDRESS_END - BASE_ALIGN) {
		gh_fdt_found(check, GH_RULE_BASE_FORM, node, "0x%llx", (unsigned long long)base);
		return;
	}
	check->base = (base + BASE_ALIGN - 1) & ~(BASE_ALIGN - 1);
	check->has_base = true;
	if (check->base != base)
		gh_fdt_found(check, GH_RULE_BASE_ALIGNED, node, "0x%llx", (unsigned long long)base);
	if (check->base < MEMORY_START)
		gh_fdt_found(check, GH_RULE_BASE_LOW, node, "0x%llx", (unsigned long long)base);
}

static void check_memory_config(struct gh_fdt_check *check)
{
	const void *tree = check->tree;
	int node = fdt_subnode_offset(tree, check->config, "memory");
	uint64_t firmware = 0;
	uint32_t cells;

	if (node < 0) {
		gh_fdt_found(check, GH_RULE_MEMORY, check->config, "%s", "");
		return;
	}
	if (gh_fdt_read_u32(tree, node, "#address-cells", &cells) != 1 ||
	    gh_fdt_read_u32(tree, node, "#size-cells", &cells) != 1)
		gh_fdt_found(check, GH_RULE_MEMORY_CELLS, node, "%s", "");
	check_base(check, node);
	check->size_max = ADDRESS_END;
	if (gh_fdt_read_address(tree, node, "size-max", &check->size_max) < 0)
		gh_fdt_found(check, GH_RULE_SIZE_MAX_FORM, node, "%s", "");
	if (gh_fdt_read_address(tree, node, "firmware-address", &firmware) < 0 || firmware % PAGE != 0)
		gh_fdt_found(check, GH_RULE_FIRMWARE, node, "0x%llx", (unsigned long long)firmware);
}

/* --- interrupt controller ----------------------------------------------------------------------------------------- */

/* A path, or else the controller that the root names. */
static int find_gic(struct gh_fdt_check *check)
{
	const void *tree = check->tree;
	int interrupts = fdt_subnode_offset(tree, check->config, "interrupts");
	uint32_t phandle;

	if (interrupts >= 0 && fdt_getprop(tree, interrupts, "config", NULL) != NULL) {
		const char *path = gh_fdt_read_string(tree, interrupts, "config");

		if (path != NULL)
			return gh_fdt_path(tree, path);
		if (gh_fdt_read_u32(tree, interrupts, "config", &phandle) < 0)
			return -FDT_ERR_NOTFOUND;
		gh_fdt_found(check, GH_RULE_GIC_PHANDLE, interrupts, "%s", "");
	}
	if (gh_fdt_read_u32(tree, 0, "interrupt-parent", &phandle) != 1)
		return -FDT_ERR_NOTFOUND;
	return fdt_node_offset_by_phandle(tree, phandle);
}

static void check_gic_reg(struct gh_fdt_check *check, int gic)
{
	const void *tree = check->tree;
	int parent = fdt_parent_offset(tree, gic);
	int address_cells = parent < 0 ? -1 : fdt_address_cells(tree, parent);
	int size_cells = parent < 0 ? -1 : fdt_size_cells(tree, parent);
	uint64_t address;
	uint64_t size;
	bool good;

	if (fdt_getprop(tree, gic, "reg", NULL) == NULL) {
		/* It will be written. */
		good = address_cells >= 1 && address_cells <= 2 && size_cells >= 1 && size_cells <= 2;
		check->additions += 64;
	} else {
		good = gh_fdt_read_reg(tree, gic, address_cells, size_cells, 0, &address, &size) == 1 &&
		       gh_fdt_read_reg(tree, gic, address_cells, size_cells, 1, &address, &size) == 1;
	}
	if (!good)
		gh_fdt_found(check, GH_RULE_GIC_REG, gic, "%s", "");
}

static void check_gic(struct gh_fdt_check *check)
{
	const void *tree = check->tree;
	int gic = find_gic(check);
	uint64_t stride = STRIDE_MIN;
	uint32_t regions = 1;
	uint32_t cells;
	char path[PATH_ROOM];

	/* A name with a slash in it, or one that two nodes have, makes a path that leads elsewhere. */
	if (gic < 0 || fdt_get_path(tree, gic, path, sizeof(path)) < 0 || fdt_path_offset(tree, path) != gic) {
		gh_fdt_found(check, GH_RULE_GIC_PATH, check->config, "%s",
			     gic < 0 ? "there is no such node" : "no path leads there, or it is longer");
		return;
	}
	if (fdt_node_check_compatible(tree, gic, "arm,gic-v3") != 0)
		gh_fdt_found(check, GH_RULE_GIC_VERSION, gic, "%s", "");
	if (fdt_getprop(tree, gic, "interrupt-controller", NULL) == NULL)
		gh_fdt_found(check, GH_RULE_GIC_CONTROLLER, gic, "%s", "");
	if (gh_fdt_read_u32(tree, gic, "#interrupt-cells", &cells) != 1 || cells != 3)
		gh_fdt_found(check, GH_RULE_GIC_CELLS, gic, "%s", "");
	if (gh_fdt_read_u32(tree, gic, "#redistributor-regions", &regions) < 0 || regions != 1)
		gh_fdt_found(check, GH_RULE_GIC_REGIONS, gic, "%s", "");
	if (gh_fdt_read_address(tree, gic, "redistributor-stride", &stride) < 0 || stride < STRIDE_MIN)
		gh_fdt_found(check, GH_RULE_GIC_STRIDE, gic, "%s", "");
	check_gic_reg(check, gic);
}

/* --- cpus --------------------------------------------------------------------------------------------------------- */

static bool is_status(const void *tree, int cpu)
{
	return fdt_getprop(tree, cpu, "status", NULL) == NULL || gh_fdt_is_string(tree, cpu, "status", "okay") ||
	       gh_fdt_is_string(tree, cpu, "status", "disabled") || !gh_fdt_is_cpu(tree, cpu);
}

/* The cpu's own, or that of all. */
static bool has_method(const void *tree, int cpus, int cpu)
{
	int node = fdt_getprop(tree, cpu, "enable-method", NULL) != NULL ? cpu : cpus;

	return gh_fdt_is_string(tree, node, "enable-method", "psci") ||
	       gh_fdt_is_string(tree, node, "enable-method", "qcom,gunyah-hvc");
}

/*
 * vCPU number N is the N-th cpu node that has not failed; `reg` has no part in it. One that is disabled is there, and off until
 * the guest switches it on, as is one without a status behind one that boots.
 */
static void check_cpus(struct gh_fdt_check *check)
{
	const void *tree = check->tree;
	int cpus = gh_fdt_cpus(tree, check->config);
	uint32_t count = 0;
	uint32_t booting = 0;
	int cpu;

	if (cpus < 0) {
		gh_fdt_found(check, GH_RULE_CPUS, check->config, "%s", "");
		return;
	}
	fdt_for_each_subnode(cpu, tree, cpus)
	{
		if (!gh_fdt_is_string(tree, cpu, "device_type", "cpu"))
			continue;
		if (!is_status(tree, cpu))
			gh_fdt_found(check, GH_RULE_CPU_STATUS, cpu, "%s", "");
		if (!gh_fdt_is_cpu(tree, cpu))
			continue;
		count++;
		if (gh_fdt_cpu_boots(tree, cpu, booting == 0))
			booting++;
		else if (!has_method(tree, cpus, cpu))
			gh_fdt_found(check, GH_RULE_CPU_METHOD, cpu, "%s", "");
	}
	if (booting == 0)
		gh_fdt_found(check, GH_RULE_NO_CPU, cpus, "%s", "");
	if (check->rules.max_cpus != 0 && count > check->rules.max_cpus)
		gh_fdt_found(check, GH_RULE_MAX_CPUS, cpus, "%u, of which %u can be", count, check->rules.max_cpus);
	if (check->rules.n_vcpus > count)
		gh_fdt_found(check, GH_RULE_VCPU, cpus, "vCPU %u has none of %u cpu nodes", check->rules.n_vcpus - 1,
			     count);
}

static void check_vcpus(struct gh_fdt_check *check)
{
	int vcpus = fdt_subnode_offset(check->tree, check->config, "vcpus");

	if (vcpus < 0 || !gh_fdt_is_string(check->tree, vcpus, "affinity", "proxy"))
		gh_fdt_found(check, GH_RULE_AFFINITY, vcpus < 0 ? check->config : vcpus, "%s", "");
	check_cpus(check);
}

void gh_fdt_check_config(struct gh_fdt_check *check)
{
	check->config = gh_fdt_config(check->tree);
	if (check->config < 0) {
		gh_fdt_found(check, GH_RULE_CONFIG, 0, "%s", "");
		return;
	}
	check_identity(check);
	check_memory_config(check);
	check_gic(check);
	check_vcpus(check);
}
