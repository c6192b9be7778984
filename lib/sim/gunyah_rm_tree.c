/* SPDX-License-Identifier: BSD-3-Clause */
/* The resource manager's reading of a VM's devicetree: every rule that makes VM_INIT fail is a function here. */
#include "gunyah_rm.h"

#include "../fdt_sound.h"
#include <errno.h>
#include <libfdt.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_MASK 0xfffull
#define BASE_ALIGN 0x200000ull
/* Base address of the observed platform for a tree that has none. It is below the memory range, so START fails later. */
#define BASE_DEFAULT 0x28800000ull

const char *gunyah_rm_string(const void *fdt, int node, const char *name)
{
	int length;
	const char *value = fdt_getprop(fdt, node, name, &length);

	if (value == NULL || length < 2 || memchr(value, 0, (size_t)length) != value + length - 1)
		return NULL;
	return value;
}

int gunyah_rm_u32(const void *fdt, int node, const char *name, uint32_t *ret_value)
{
	int length;
	const void *value = fdt_getprop(fdt, node, name, &length);

	if (value == NULL)
		return -ENOENT;
	if (length != 4)
		return -EINVAL;
	*ret_value = fdt32_ld(value);
	return 0;
}

int gunyah_rm_address(const void *fdt, int node, const char *name, uint64_t *ret_value)
{
	int length;
	const void *value = fdt_getprop(fdt, node, name, &length);

	if (value == NULL)
		return -ENOENT;
	if (length != 4 && length != 8)
		return -EINVAL;
	*ret_value = length == 4 ? fdt32_ld(value) : fdt64_ld(value);
	return 0;
}

static uint64_t read_cells(const uint8_t *from, int cells)
{
	return cells == 0 ? 0 : cells == 1 ? fdt32_ld((const void *)from) : fdt64_ld((const void *)from);
}

int gunyah_rm_reg(const void *fdt, int node, unsigned int index, uint64_t *ret_address, uint64_t *ret_size)
{
	int parent = fdt_parent_offset(fdt, node);
	int address_cells = parent < 0 ? -1 : fdt_address_cells(fdt, parent);
	int size_cells = parent < 0 ? -1 : fdt_size_cells(fdt, parent);
	const uint8_t *value;
	size_t entry;
	int length;

	if (address_cells < 1 || address_cells > 2 || size_cells < 0 || size_cells > 2)
		return -EINVAL;
	value = fdt_getprop(fdt, node, "reg", &length);
	if (value == NULL)
		return -ENOENT;
	entry = 4 * (size_t)(address_cells + size_cells);
	if ((size_t)length % entry != 0)
		return -EINVAL;
	if (index >= (size_t)length / entry)
		return -ENOENT;
	value += index * entry;
	*ret_address = read_cells(value, address_cells);
	*ret_size = read_cells(value + 4 * (size_t)address_cells, size_cells);
	return 0;
}

/* The root, either of the names it may have. */
static int find_config(const void *fdt)
{
	int node = fdt_path_offset(fdt, "/gunyah-vm-config");

	return node >= 0 ? node : fdt_path_offset(fdt, "/qcom,vm-config");
}

static int read_name(const void *fdt, int config, struct rm_tree *tree)
{
	const char *name = gunyah_rm_string(fdt, config, "image-name");

	if (name == NULL || strlen(name) >= sizeof(tree->name))
		return -EINVAL;
	memcpy(tree->name, name, strlen(name) + 1);
	return 0;
}

/* Text such as 12345678-9abc-def0-1234-56789abcdef0, if it is there. */
static int check_guid(const void *fdt, int config)
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	const char *guid = gunyah_rm_string(fdt, config, "vm-guid");

	if (guid == NULL)
		return fdt_getprop(fdt, config, "vm-guid", NULL) == NULL ? 0 : -EINVAL;
	if (strlen(guid) != strlen(form))
		return -EINVAL;
	for (size_t i = 0; form[i] != 0; i++) {
		if (form[i] == '-' ? guid[i] != '-' : strchr("0123456789abcdefABCDEF", guid[i]) == NULL)
			return -EINVAL;
	}
	return 0;
}

static int read_memory(const void *fdt, int config, struct rm_tree *tree)
{
	int node = fdt_subnode_offset(fdt, config, "memory");
	uint32_t cells;
	int ret;

	if (node < 0)
		return -EINVAL;
	if (gunyah_rm_u32(fdt, node, "#address-cells", &cells) < 0 || gunyah_rm_u32(fdt, node, "#size-cells", &cells) < 0)
		return -EINVAL;
	tree->base = BASE_DEFAULT;
	ret = gunyah_rm_address(fdt, node, "base-address", &tree->base);
	if (ret == -EINVAL || (tree->base & PAGE_MASK) != 0 || tree->base > RM_ADDRESS_END)
		return -EINVAL;
	tree->base = (tree->base + BASE_ALIGN - 1) & ~(BASE_ALIGN - 1);
	tree->size_max = RM_ADDRESS_END;
	if (gunyah_rm_address(fdt, node, "size-max", &tree->size_max) == -EINVAL)
		return -EINVAL;
	ret = gunyah_rm_address(fdt, node, "firmware-address", &tree->firmware);
	tree->has_firmware = ret == 0;
	return ret == -EINVAL || (tree->firmware & PAGE_MASK) != 0 ? -EINVAL : 0;
}

/* `/memory` is the resource manager's to write; a node of this kind with any other name cannot be replaced. */
static int check_memory_nodes(const void *fdt)
{
	static const char type[] = "memory";
	int root_memory = fdt_path_offset(fdt, "/memory");
	int node = -1;

	for (;;) {
		node = fdt_node_offset_by_prop_value(fdt, node, "device_type", type, sizeof(type));
		if (node < 0)
			return 0;
		/* A path without the unit address finds the node as well. */
		if (node != root_memory || strcmp(fdt_get_name(fdt, node, NULL), "memory") != 0)
			return -EINVAL;
	}
}

/* Aliases are not followed: one that names itself would be followed for ever. */
static int path_offset(const void *fdt, const char *path)
{
	return path[0] == '/' ? fdt_path_offset(fdt, path) : -FDT_ERR_BADPATH;
}

/* A path string, or else the controller that the root names: a phandle in `config` is read as no path at all. */
static int find_gic(const void *fdt, int config)
{
	int interrupts = fdt_subnode_offset(fdt, config, "interrupts");
	uint32_t phandle;

	if (interrupts >= 0 && fdt_getprop(fdt, interrupts, "config", NULL) != NULL) {
		const char *path = gunyah_rm_string(fdt, interrupts, "config");

		if (path != NULL)
			return path_offset(fdt, path);
		if (gunyah_rm_u32(fdt, interrupts, "config", &phandle) < 0)
			return -FDT_ERR_NOTFOUND;
	}
	if (gunyah_rm_u32(fdt, 0, "interrupt-parent", &phandle) < 0)
		return -FDT_ERR_NOTFOUND;
	return fdt_node_offset_by_phandle(fdt, phandle);
}

static int read_gic_reg(const void *fdt, int gic, struct rm_tree *tree)
{
	uint64_t size;

	tree->gic_distributor = RM_GIC_DISTRIBUTOR;
	tree->gic_redistributors = RM_GIC_REDISTRIBUTORS;
	tree->gic_has_reg = fdt_getprop(fdt, gic, "reg", NULL) != NULL;
	if (!tree->gic_has_reg)
		return 0;
	if (gunyah_rm_reg(fdt, gic, 0, &tree->gic_distributor, &size) < 0 ||
	    gunyah_rm_reg(fdt, gic, 1, &tree->gic_redistributors, &size) < 0)
		return -EINVAL;
	return 0;
}

static int read_gic(const void *fdt, int config, struct rm_tree *tree)
{
	int gic = find_gic(fdt, config);
	uint64_t stride = RM_GIC_REDISTRIBUTOR_SIZE;
	uint32_t regions = 1;
	uint32_t cells;

	if (gic < 0 || fdt_node_check_compatible(fdt, gic, "arm,gic-v3") != 0)
		return -EINVAL;
	if (fdt_getprop(fdt, gic, "interrupt-controller", NULL) == NULL)
		return -EINVAL;
	if (gunyah_rm_u32(fdt, gic, "#interrupt-cells", &cells) < 0 || cells != 3)
		return -EINVAL;
	if (gunyah_rm_u32(fdt, gic, "#redistributor-regions", &regions) == -EINVAL || regions != 1)
		return -EINVAL;
	if (gunyah_rm_address(fdt, gic, "redistributor-stride", &stride) == -EINVAL || stride < RM_GIC_REDISTRIBUTOR_SIZE)
		return -EINVAL;
	if (fdt_get_path(fdt, gic, tree->gic_path, sizeof(tree->gic_path)) < 0)
		return -EINVAL;
	return read_gic_reg(fdt, gic, tree);
}

enum cpu_status { CPU_BAD, CPU_FAILED, CPU_SILENT, CPU_OKAY, CPU_DISABLED };

static enum cpu_status cpu_status(const void *fdt, int node)
{
	const char *status = gunyah_rm_string(fdt, node, "status");

	if (fdt_getprop(fdt, node, "status", NULL) == NULL)
		return CPU_SILENT;
	if (status == NULL)
		return CPU_BAD;
	if (strcmp(status, "fail") == 0 || strncmp(status, "fail-", 5) == 0)
		return CPU_FAILED;
	if (strcmp(status, "okay") == 0)
		return CPU_OKAY;
	return strcmp(status, "disabled") == 0 ? CPU_DISABLED : CPU_BAD;
}

static bool can_be_started(const void *fdt, int cpus, int node)
{
	const char *method = gunyah_rm_string(fdt, node, "enable-method");

	if (method == NULL)
		method = gunyah_rm_string(fdt, cpus, "enable-method");
	return method != NULL && (strcmp(method, "psci") == 0 || strcmp(method, "qcom,gunyah-hvc") == 0);
}

/*
 * Number N of a vCPU is its place among the cpu nodes that have not failed; `reg` has no part in it. The first without a status
 * boots, if none has before; a disabled one is there, and is switched on later.
 */
static int read_cpus(const void *fdt, int vcpus, struct rm_tree *tree)
{
	const char *path = vcpus < 0 ? NULL : gunyah_rm_string(fdt, vcpus, "config");
	int cpus = path_offset(fdt, path != NULL ? path : "/cpus");
	unsigned int booting = 0;
	int node;

	if (cpus < 0)
		return -EINVAL;
	fdt_for_each_subnode(node, fdt, cpus)
	{
		const char *type = gunyah_rm_string(fdt, node, "device_type");
		enum cpu_status status = cpu_status(fdt, node);

		if (type == NULL || strcmp(type, "cpu") != 0 || status == CPU_FAILED)
			continue;
		if (status == CPU_BAD)
			return -EINVAL;
		if (status == CPU_OKAY || (status == CPU_SILENT && booting == 0))
			booting++;
		else if (!can_be_started(fdt, cpus, node))
			return -EINVAL;
		tree->cpus++;
	}
	if (booting == 0)
		return -EINVAL;
	return tree->cpus > RM_CPUS_MAX ? -ENODEV : 0;
}

/*
 * A VMM runs its vCPUs itself: `proxy`. The other affinities are for the hypervisor's scheduler, which is not simulated; the
 * default is one of them and is refused without its `affinity-map`.
 */
static int read_vcpus(const void *fdt, int config, struct rm_tree *tree)
{
	int vcpus = fdt_subnode_offset(fdt, config, "vcpus");
	const char *affinity = vcpus < 0 ? NULL : gunyah_rm_string(fdt, vcpus, "affinity");

	if (affinity == NULL || strcmp(affinity, "proxy") != 0)
		return -EINVAL;
	return read_cpus(fdt, vcpus, tree);
}

static int read_label(const void *fdt, int node, uint32_t *ret_label)
{
	int ret = gunyah_rm_u32(fdt, node, "qcom,label", ret_label);

	return ret == -ENOENT ? gunyah_rm_u32(fdt, node, "label", ret_label) : ret;
}

/* `interrupts` is <type number flags>; type 0 is a shared one, and only those reach the simulated controller. */
static int read_doorbell(const void *fdt, int node, struct rm_tree *tree)
{
	struct rm_doorbell *bell = &tree->doorbells[tree->doorbell_count];
	int length;
	const fdt32_t *cells = fdt_getprop(fdt, node, "interrupts", &length);

	if (read_label(fdt, node, &bell->label) < 0)
		return -EINVAL;
	bell->node = node;
	bell->spi = RM_NO_SPI;
	if (fdt_getprop(fdt, node, "peer-default", NULL) == NULL && gunyah_rm_string(fdt, node, "peer") == NULL)
		return -EINVAL;
	/* What is not understood is ignored, and such a doorbell raises nothing here. */
	if (cells != NULL && length == 12 && fdt32_ld(&cells[0]) == 0 && fdt32_ld(&cells[1]) <= 987 &&
	    ((fdt32_ld(&cells[2]) & 0xf) == 1 || (fdt32_ld(&cells[2]) & 0xf) == 4))
		bell->spi = fdt32_ld(&cells[1]);
	tree->doorbell_count++;
	return 0;
}

static int read_shm(const void *fdt, int node, struct rm_tree *tree)
{
	struct rm_shm *shm = &tree->shms[tree->shm_count];
	int memory = fdt_subnode_offset(fdt, node, "memory");
	int ret;

	if (fdt_getprop(fdt, node, "peer-default", NULL) == NULL)
		return -EINVAL;
	if (memory < 0 || read_label(fdt, memory, &shm->label) < 0)
		return -EINVAL;
	ret = gunyah_rm_address(fdt, memory, "base", &shm->base);
	if (ret == -EINVAL || (ret == 0 && (shm->base & PAGE_MASK) != 0))
		return -EINVAL;
	shm->has_base = ret == 0;
	if (shm->has_base == (fdt_getprop(fdt, memory, "allocate-base", NULL) != NULL))
		return -EINVAL;
	shm->optional = fdt_getprop(fdt, memory, "optional", NULL) != NULL;
	shm->node = node;
	tree->shm_count++;
	return 0;
}

/* Other types are for other kinds of VMs, or unknown and ignored. */
static int read_vdevice(const void *fdt, int node, struct rm_tree *tree)
{
	const char *type = gunyah_rm_string(fdt, node, "vdevice-type");

	if (type == NULL)
		return 0;
	if (strcmp(type, "doorbell") == 0)
		return read_doorbell(fdt, node, tree);
	if (strcmp(type, "shm") == 0 || strcmp(type, "shm-doorbell") == 0)
		return read_shm(fdt, node, tree);
	if (strcmp(type, "message-queue") == 0 &&
	    (fdt_getprop(fdt, node, "is-sender", NULL) == NULL) == (fdt_getprop(fdt, node, "is-receiver", NULL) == NULL))
		return -EINVAL;
	return 0;
}

static int read_vdevices(const void *fdt, int config, struct rm_tree *tree)
{
	int vdevices = fdt_subnode_offset(fdt, config, "vdevices");
	size_t count = 0;
	int node;
	int ret;

	if (vdevices < 0)
		return 0;
	if (gunyah_rm_string(fdt, vdevices, "generate") == NULL)
		return -EINVAL;
	fdt_for_each_subnode(node, fdt, vdevices) count++;
	if (count == 0)
		return 0;
	tree->doorbells = calloc(count, sizeof(*tree->doorbells));
	tree->shms = calloc(count, sizeof(*tree->shms));
	if (tree->doorbells == NULL || tree->shms == NULL)
		return -ENOMEM;
	fdt_for_each_subnode(node, fdt, vdevices)
	{
		ret = read_vdevice(fdt, node, tree);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int read_config(const void *fdt, struct rm_tree *tree)
{
	int config = find_config(fdt);
	int ret;

	if (config < 0)
		return -ENODEV;
	ret = read_name(fdt, config, tree);
	if (ret == 0)
		ret = check_guid(fdt, config);
	if (ret == 0)
		ret = read_memory(fdt, config, tree);
	if (ret == 0)
		ret = check_memory_nodes(fdt);
	if (ret == 0)
		ret = read_gic(fdt, config, tree);
	if (ret == 0)
		ret = read_vcpus(fdt, config, tree);
	if (ret == 0)
		ret = read_vdevices(fdt, config, tree);
	return ret;
}

int gunyah_rm_parse(const void *fdt, size_t size, struct rm_tree *ret_tree)
{
	int ret;

	memset(ret_tree, 0, sizeof(*ret_tree));
	if (!gh_fdt_is_sound(fdt, size))
		return -EINVAL;
	ret = read_config(fdt, ret_tree);
	if (ret < 0)
		gunyah_rm_tree_free(ret_tree);
	return ret;
}

void gunyah_rm_tree_free(struct rm_tree *tree)
{
	free(tree->doorbells);
	free(tree->shms);
	tree->doorbells = NULL;
	tree->shms = NULL;
	tree->doorbell_count = 0;
	tree->shm_count = 0;
}
