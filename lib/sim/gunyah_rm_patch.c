/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the resource manager writes into the guest's tree: /hypervisor with the VM's identity and the doorbells, /memory with
 * where the parcels really are, a reserved-memory node for each parcel that it placed itself, and the interrupt controller's
 * addresses if the tree left them out.
 */
#include "../uapi/gunyah.h"
#include "gunyah_rm.h"

#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A tree above this size is assembled beside the old one, inside the room that SET_DTB_CONFIG gave. */
#define SMALL_TREE 16384u
#define OWNER_VMID 3u
#define RM_HANDLE_FIRST 0x100u
#define COMPATIBLES_MAX 6

/* libfdt's codes, seen from user space: everything that does not fit or makes no sense is a bad argument. */
static int result(int code)
{
	return code < 0 ? -EINVAL : 0;
}

/* Room for everything that is added: the nodes of each vdevice, what is copied to them, each parcel, and the fixed ones. */
static size_t room(const void *fdt, const struct rm_tree *tree, const struct rm_memory *memory)
{
	size_t paths = tree->doorbell_count + tree->shm_count;

	return 2 * (size_t)fdt_totalsize(fdt) + 4096 + paths * (2 * RM_PATH_MAX + 512) + memory->count * 512;
}

/* The node at `path`, made with all its parents if it is not there; negative on failure. */
static int make_node(void *fdt, const char *path)
{
	int node = 0;

	while (*path == '/') {
		size_t length = strcspn(path + 1, "/");
		int next;

		if (length == 0 || length > 63)
			return -FDT_ERR_BADPATH;
		next = fdt_subnode_offset_namelen(fdt, node, path + 1, (int)length);
		if (next == -FDT_ERR_NOTFOUND)
			next = fdt_add_subnode_namelen(fdt, node, path + 1, (int)length);
		if (next < 0)
			return next;
		node = next;
		path += 1 + length;
	}
	return *path == 0 ? node : -FDT_ERR_BADPATH;
}

/* Appends a number of one or two cells, as the node that gives the cell counts wants it. */
static int put_cells(void *fdt, int node, const char *name, uint64_t value, int cells)
{
	if (cells == 2)
		return fdt_appendprop_u64(fdt, node, name, value);
	if (cells != 1 || value > UINT32_MAX)
		return -FDT_ERR_BADNCELLS;
	return fdt_appendprop_u32(fdt, node, name, (uint32_t)value);
}

static int put_reg(void *fdt, int parent, int node, uint64_t address, uint64_t size)
{
	int ret = put_cells(fdt, node, "reg", address, fdt_address_cells(fdt, parent));

	return ret < 0 ? ret : put_cells(fdt, node, "reg", size, fdt_size_cells(fdt, parent));
}

static int patch_hypervisor(void *fdt, const struct rm_tree *tree, uint32_t vmid)
{
	static const char compatible[] = "gunyah-hypervisor-1.0\0gunyah-hypervisor\0simple-bus";
	static const char vm_compatible[] = "qcom,gunyah-vm-id-1.0\0qcom,gunyah-vm-id";
	int node = make_node(fdt, "/hypervisor");
	int ret;

	if (node < 0)
		return node;
	ret = fdt_setprop_u32(fdt, node, "#address-cells", 2);
	if (ret == 0)
		ret = fdt_setprop_u32(fdt, node, "#size-cells", 0);
	if (ret == 0)
		ret = fdt_setprop(fdt, node, "compatible", compatible, sizeof(compatible));
	if (ret < 0)
		return ret;
	node = make_node(fdt, "/hypervisor/qcom,gunyah-vm");
	if (node < 0)
		return node;
	ret = fdt_setprop(fdt, node, "compatible", vm_compatible, sizeof(vm_compatible));
	if (ret == 0)
		ret = fdt_setprop_string(fdt, node, "qcom,vendor", "Qualcomm");
	if (ret == 0)
		ret = fdt_setprop_u32(fdt, node, "qcom,vmid", vmid);
	if (ret == 0)
		ret = fdt_setprop_u32(fdt, node, "qcom,owner-vmid", OWNER_VMID);
	return ret == 0 ? fdt_setprop(fdt, node, "qcom,image-name", tree->name, (int)strlen(tree->name) + 1) : ret;
}

/* The vdevice's own compatible strings come first in the node that is generated for it. */
static int push_compatible(void *fdt, int node, const void *source, int vdevice)
{
	int length;
	const void *value = fdt_getprop(source, vdevice, "push-compatible", &length);
	int count = fdt_stringlist_count(source, vdevice, "push-compatible");

	if (value == NULL)
		return 0;
	if (count < 1 || count > COMPATIBLES_MAX)
		return -FDT_ERR_BADVALUE;
	return fdt_setprop(fdt, node, "compatible", value, length);
}

static int generate_path(const void *source, int vdevice, const char **ret_path)
{
	const char *path = gunyah_rm_string(source, vdevice, "generate");

	if (path == NULL || path[0] != '/' || strlen(path) >= RM_PATH_MAX)
		return -FDT_ERR_BADPATH;
	/* What is below /memory would be lost when that is replaced. */
	if (strncmp(path, "/memory", 7) == 0 && (path[7] == '/' || path[7] == '@' || path[7] == 0))
		return -FDT_ERR_BADPATH;
	*ret_path = path;
	return 0;
}

static int patch_doorbell(void *fdt, const void *source, const struct rm_doorbell *bell)
{
	static const char compatible[] = "gunyah-doorbell\0gunyah-capability";
	int length;
	const void *interrupts = fdt_getprop(source, bell->node, "interrupts", &length);
	const char *path;
	int node;
	int ret;

	ret = generate_path(source, bell->node, &path);
	if (ret < 0)
		return ret;
	node = make_node(fdt, path);
	if (node < 0)
		return node;
	ret = push_compatible(fdt, node, source, bell->node);
	if (ret == 0)
		ret = fdt_appendprop(fdt, node, "compatible", compatible, sizeof(compatible));
	if (ret == 0)
		ret = fdt_setprop_u32(fdt, node, "qcom,label", bell->label);
	if (ret == 0 && interrupts != NULL)
		ret = fdt_setprop(fdt, node, "interrupts", interrupts, length);
	return ret;
}

static int patch_shm(void *fdt, const void *source, const struct rm_parcel *parcel)
{
	static const char compatible[] = "qcom,shared-memory";
	const char *path;
	int node;
	int ret;

	ret = generate_path(source, parcel->shm->node, &path);
	if (ret < 0)
		return ret;
	node = make_node(fdt, path);
	if (node < 0)
		return node;
	ret = push_compatible(fdt, node, source, parcel->shm->node);
	if (ret == 0)
		ret = fdt_appendprop(fdt, node, "compatible", compatible, sizeof(compatible));
	return ret == 0 ? fdt_setprop_u32(fdt, node, "qcom,label", parcel->label) : ret;
}

static int patch_vdevices(void *fdt, const void *source, const struct rm_tree *tree, const struct rm_memory *memory)
{
	int ret = 0;

	for (size_t i = 0; i < tree->doorbell_count && ret == 0; i++)
		ret = patch_doorbell(fdt, source, &tree->doorbells[i]);
	for (size_t i = 0; i < memory->count && ret == 0; i++) {
		if (memory->parcels[i].shm != NULL)
			ret = patch_shm(fdt, source, &memory->parcels[i]);
	}
	return ret;
}

static int by_address(const void *left, const void *right)
{
	const struct rm_parcel *a = left;
	const struct rm_parcel *b = right;

	return a->gpa < b->gpa ? -1 : a->gpa > b->gpa;
}

static int put_ranges(void *fdt, int node, const struct rm_parcel *sorted, size_t count)
{
	size_t next;

	for (size_t i = 0; i < count; i = next) {
		uint64_t size = sorted[i].size;
		int ret;

		for (next = i + 1; next < count && sorted[next].gpa == sorted[i].gpa + size; next++)
			size += sorted[next].size;
		ret = put_reg(fdt, 0, node, sorted[i].gpa, size);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* Replaces /memory by one that lists every parcel, in order, neighbours as one. */
static int patch_memory(void *fdt, const struct rm_parcel *sorted, size_t count)
{
	int node = fdt_path_offset(fdt, "/memory");
	int ret = 0;

	if (node >= 0)
		ret = fdt_del_node(fdt, node);
	if (ret < 0)
		return ret;
	node = fdt_add_subnode(fdt, 0, "memory");
	if (node < 0)
		return node;
	ret = put_ranges(fdt, node, sorted, count);
	return ret == 0 ? fdt_setprop_string(fdt, node, "device_type", "memory") : ret;
}

static int make_reserved_memory(void *fdt)
{
	int node = fdt_path_offset(fdt, "/reserved-memory");
	int ret;

	if (node >= 0)
		return node;
	node = fdt_add_subnode(fdt, 0, "reserved-memory");
	if (node < 0)
		return node;
	ret = fdt_setprop_u32(fdt, node, "#address-cells", 2);
	if (ret == 0)
		ret = fdt_setprop_u32(fdt, node, "#size-cells", 2);
	if (ret == 0)
		ret = fdt_setprop(fdt, node, "ranges", NULL, 0);
	return ret == 0 ? node : ret;
}

static int patch_buffer(void *fdt, const struct rm_parcel *parcel, uint32_t handle)
{
	int reserved = make_reserved_memory(fdt);
	char name[32];
	int node;
	int ret;

	if (reserved < 0)
		return reserved;
	(void)snprintf(name, sizeof(name), "buffer@%llx", (unsigned long long)parcel->gpa);
	/* A tree that was patched before has it. */
	node = fdt_subnode_offset(fdt, reserved, name);
	if (node >= 0)
		(void)fdt_del_node(fdt, node);
	node = fdt_add_subnode(fdt, reserved, name);
	if (node < 0)
		return node;
	ret = put_reg(fdt, reserved, node, parcel->gpa, parcel->size);
	if (ret == 0)
		ret = fdt_setprop(fdt, node, "no-map", NULL, 0);
	if (ret == 0 && !parcel->lent)
		ret = fdt_setprop(fdt, node, "qcom,shared-memory", NULL, 0);
	if (ret == 0)
		ret = fdt_setprop_u32(fdt, node, "qcom,rm-mem-handle", handle);
	return ret == 0 ? fdt_setprop_u32(fdt, node, "qcom,label", parcel->label) : ret;
}

static int patch_firmware(void *fdt, const struct rm_parcel *parcel)
{
	int reserved = make_reserved_memory(fdt);
	char name[32];
	int node;
	int ret;

	if (reserved < 0)
		return reserved;
	(void)snprintf(name, sizeof(name), "firmware@%llx", (unsigned long long)parcel->gpa);
	node = fdt_add_subnode(fdt, reserved, name);
	if (node < 0)
		return node;
	ret = put_reg(fdt, reserved, node, parcel->gpa, parcel->size);
	if (ret == 0)
		ret = fdt_setprop(fdt, node, "no-map", NULL, 0);
	return ret == 0 ? fdt_setprop(fdt, node, "qcom,vm-firmware", NULL, 0) : ret;
}

static int patch_parcels(void *fdt, const struct rm_memory *memory)
{
	struct rm_parcel *sorted = malloc(memory->count * sizeof(*sorted));
	int ret;

	if (sorted == NULL)
		return -FDT_ERR_NOSPACE;
	memcpy(sorted, memory->parcels, memory->count * sizeof(*sorted));
	qsort(sorted, memory->count, sizeof(*sorted), by_address);
	ret = patch_memory(fdt, sorted, memory->count);
	free(sorted);
	for (size_t i = 0; i < memory->count && ret == 0; i++) {
		const struct rm_parcel *parcel = &memory->parcels[i];

		if (i == memory->firmware && i != memory->main)
			ret = patch_firmware(fdt, parcel);
		else if (i != memory->main && !memory->paged && (parcel->shm == NULL || !parcel->shm->has_base))
			ret = patch_buffer(fdt, parcel, RM_HANDLE_FIRST + (uint32_t)i);
	}
	return ret;
}

static int patch_gic(void *fdt, const struct rm_tree *tree)
{
	int node = fdt_path_offset(fdt, tree->gic_path);
	int parent = node < 0 ? node : fdt_parent_offset(fdt, node);
	int ret;

	if (tree->gic_has_reg)
		return 0;
	if (parent < 0)
		return parent;
	ret = put_reg(fdt, parent, node, tree->gic_distributor, RM_GIC_DISTRIBUTOR_SIZE);
	if (ret < 0)
		return ret;
	return put_reg(fdt, parent, node, tree->gic_redistributors, tree->cpus * RM_GIC_REDISTRIBUTOR_SIZE);
}

static int patch(void *fdt, const void *source, const struct rm_tree *tree, const struct rm_memory *memory)
{
	int ret;

	ret = patch_gic(fdt, tree);
	if (ret == 0)
		ret = patch_hypervisor(fdt, tree, memory->vmid);
	if (ret == 0)
		ret = patch_vdevices(fdt, source, tree, memory);
	if (ret == 0)
		ret = patch_parcels(fdt, memory);
	return ret == 0 ? fdt_pack(fdt) : ret;
}

static bool has_room(size_t patched, uint64_t size)
{
	return patched <= SMALL_TREE ? patched <= size : patched <= size / 2;
}

int gunyah_rm_patch(const void *fdt, const struct rm_tree *tree, const struct rm_memory *memory, uint64_t size,
		    void **ret_patched)
{
	size_t space = room(fdt, tree, memory);
	void *copy;
	int ret;

	if (space > INT32_MAX)
		return -EINVAL;
	copy = malloc(space);
	if (copy == NULL)
		return -ENOMEM;
	ret = result(fdt_open_into(fdt, copy, (int)space));
	if (ret == 0)
		ret = result(patch(copy, fdt, tree, memory));
	if (ret == 0 && !has_room(fdt_totalsize(copy), size))
		ret = -EINVAL;
	if (ret < 0) {
		free(copy);
		return ret;
	}
	*ret_patched = copy;
	return 0;
}
