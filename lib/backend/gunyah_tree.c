/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The devicetree as Gunyah's resource manager will read it (sections 2.3 and 10 of the Gunyah UAPI document): found wrong
 * here, it is a sentence; found wrong there, it is a bare EINVAL, or a doorbell that never rings.
 */
#include "../fdt_builder.h"
#include "gunyah.h"

#include <errno.h>
#include <libfdt.h>
#include <stdlib.h>
#include <string.h>

#define STEP "check the devicetree"
#define MMIO_END UINT64_C(0x40000000) /* below, accesses are exits; memory must be above */
#define BASE_ALIGN UINT64_C(0x200000)

struct reader {
	const struct gh_bvm *vm;
	const void *tree;
	int config; /* the node /gunyah-vm-config */
};

#define REFUSE(reader, remedy, ...) gh_fail((reader)->vm->failure, -EINVAL, STEP, NULL, remedy, __VA_ARGS__)

/* --- reading ------------------------------------------------------------------------------------------------------ */

static bool read_u32(const void *tree, int node, const char *name, uint32_t *ret_value)
{
	int length;
	const fdt32_t *cell = fdt_getprop(tree, node, name, &length);

	if (cell == NULL || length != (int)sizeof(*cell))
		return false;
	*ret_value = fdt32_to_cpu(*cell);
	return true;
}

/* An address of one or two cells. */
static bool read_address(const void *tree, int node, const char *name, uint64_t *ret_value)
{
	int length;
	const uint8_t *bytes = fdt_getprop(tree, node, name, &length);
	uint64_t value = 0;

	if (bytes == NULL || (length != 4 && length != 8))
		return false;
	for (int i = 0; i < length; i++)
		value = value << 8 | bytes[i];
	*ret_value = value;
	return true;
}

/* --- rules -------------------------------------------------------------------------------------------------------- */

static int open_tree(const struct gh_bvm *vm, struct reader *ret_reader)
{
	const struct gh_region *region = gh_region_find(vm, vm->dtb_gpa, vm->dtb_size);
	const void *tree = region->host + (vm->dtb_gpa - region->gpa);

	*ret_reader = (struct reader){ .vm = vm, .tree = tree };
	if (!gh_fdt_is_sound(tree, (size_t)vm->dtb_size))
		return REFUSE(ret_reader,
			      "Write the tree to guest memory before gh_vm_start(), and name its place and size.",
			      "There is no valid devicetree at 0x%llx, or it is larger than %llu bytes.",
			      (unsigned long long)vm->dtb_gpa, (unsigned long long)vm->dtb_size);
	/* The exact size fails on the real resource manager; what it adds is some hundred bytes and more. */
	if (fdt_totalsize(tree) >= vm->dtb_size)
		return REFUSE(ret_reader, "Give gh_vm_set_dtb() a page more than the tree has.",
			      "The devicetree leaves the resource manager no room to add to it.");
	ret_reader->config = fdt_path_offset(tree, "/gunyah-vm-config");
	if (ret_reader->config < 0)
		ret_reader->config = fdt_path_offset(tree, "/qcom,vm-config");
	if (ret_reader->config < 0)
		return REFUSE(ret_reader, "Add the node, as section 8 of the Gunyah UAPI document shows.",
			      "The devicetree has no node /gunyah-vm-config.");
	return 0;
}

static int check_root(const struct reader *reader)
{
	int node;

	if (fdt_path_offset(reader->tree, "/hypervisor") >= 0)
		return REFUSE(reader, "Leave the node out: the resource manager writes it.",
			      "The devicetree has a node /hypervisor already.");
	for (node = fdt_next_node(reader->tree, -1, NULL); node >= 0; node = fdt_next_node(reader->tree, node, NULL)) {
		int length;
		const char *name = fdt_get_name(reader->tree, node, &length);

		if (!gh_fdt_is_string(reader->tree, node, "device_type", "memory"))
			continue;
		if (name == NULL || strcmp(name, "memory") != 0 || fdt_parent_offset(reader->tree, node) != 0)
			return REFUSE(reader, "Call it /memory, without an address: the resource manager replaces it.",
				      "The node \"%s\" has device_type \"memory\", and is not /memory.",
				      name != NULL ? name : "");
	}
	return 0;
}

static int check_config(const struct reader *reader)
{
	const void *tree = reader->tree;
	int vcpus = fdt_subnode_offset(tree, reader->config, "vcpus");

	if (fdt_getprop(tree, reader->config, "image-name", NULL) == NULL)
		return REFUSE(reader, "Add it: any name of less than 80 characters.",
			      "/gunyah-vm-config has no property image-name.");
	if (vcpus < 0 || !gh_fdt_is_string(tree, vcpus, "affinity", "proxy"))
		return REFUSE(reader, "Set affinity to \"proxy\": the VMM's threads run the vCPUs.",
			      "/gunyah-vm-config/vcpus does not say affinity = \"proxy\".");
	return 0;
}

static int check_base(const struct reader *reader)
{
	const struct gh_bvm *vm = reader->vm;
	const struct gh_region *region = gh_region_find(vm, vm->dtb_gpa, vm->dtb_size);
	int memory = fdt_subnode_offset(reader->tree, reader->config, "memory");
	uint64_t base;

	if (memory < 0 || !read_address(reader->tree, memory, "base-address", &base))
		return REFUSE(reader, "Add it, with the guest address of the region that holds the devicetree.",
			      "/gunyah-vm-config/memory has no base-address.");
	/* The kernel never tells the resource manager where a region should be: this property does. */
	if (base != region->gpa)
		return REFUSE(reader, "Make the two the same.",
			      "memory/base-address is 0x%llx, but the region with the devicetree is at 0x%llx.",
			      (unsigned long long)base, (unsigned long long)region->gpa);
	if (base % BASE_ALIGN != 0 || base < MMIO_END)
		return REFUSE(reader, "Use an address such as 0x80000000.",
			      "memory/base-address 0x%llx is below 1 GiB, or not a multiple of 2 MiB.",
			      (unsigned long long)base);
	return 0;
}

/* The node that vcpus/config names, /cpus without it. */
static int find_cpus(const struct reader *reader)
{
	int vcpus = fdt_subnode_offset(reader->tree, reader->config, "vcpus");
	int length = 0;
	const char *path = vcpus < 0 ? NULL : fdt_getprop(reader->tree, vcpus, "config", &length);

	if (path == NULL || length < 1 || path[length - 1] != '\0')
		path = "/cpus";
	return fdt_path_offset(reader->tree, path);
}

static int check_cpus(const struct reader *reader, struct gh_gunyah_tree *result)
{
	const void *tree = reader->tree;
	int cpus = find_cpus(reader);
	int cpu;

	if (cpus >= 0)
		fdt_for_each_subnode(cpu, tree, cpus) if (gh_fdt_is_string(tree, cpu, "device_type", "cpu") &&
							  gh_fdt_is_enabled(tree, cpu)) result->n_cpus++;
	/* A vCPU that the tree lacks crashes the kernel when the VM exits (section 10.2). */
	if (reader->vm->max_vcpu_id >= result->n_cpus)
		return REFUSE(reader, "Add a cpu node for each vCPU, with device_type \"cpu\".",
			      "vCPU %u has no node in the devicetree, which has %u enabled cpu nodes.",
			      reader->vm->max_vcpu_id, result->n_cpus);
	return 0;
}

/* --- vdevices ----------------------------------------------------------------------------------------------------- */

static int first_vdevice(const struct reader *reader)
{
	int vdevices = fdt_subnode_offset(reader->tree, reader->config, "vdevices");

	return vdevices < 0 ? vdevices : fdt_first_subnode(reader->tree, vdevices);
}

bool gh_gunyah_label(const void *tree, int node, uint32_t *ret_label)
{
	return read_u32(tree, node, "label", ret_label) || read_u32(tree, node, "qcom,label", ret_label);
}

static uint32_t count_vdevices(const struct reader *reader)
{
	uint32_t count = 0;

	for (int node = first_vdevice(reader); node >= 0; node = fdt_next_subnode(reader->tree, node))
		count++;
	return count;
}

static int read_bells(const struct reader *reader, struct gh_gunyah_tree *result)
{
	uint32_t count = count_vdevices(reader);

	result->labels = calloc(count + 1u, sizeof(*result->labels));
	if (result->labels == NULL)
		return gh_fail_request(reader->vm->failure, -ENOMEM, STEP, "");
	for (int node = first_vdevice(reader); node >= 0; node = fdt_next_subnode(reader->tree, node)) {
		uint32_t label;

		if (!gh_fdt_is_string(reader->tree, node, "vdevice-type", "doorbell") ||
		    !gh_gunyah_label(reader->tree, node, &label))
			continue;
		/* A label twice is nobody's harm: the resource manager takes it (section 10.3). */
		result->labels[result->n_labels++] = label;
	}
	return 0;
}

bool gh_gunyah_is_shm(const void *tree, int node)
{
	return gh_fdt_is_string(tree, node, "vdevice-type", "shm") ||
	       gh_fdt_is_string(tree, node, "vdevice-type", "shm-doorbell");
}

/* Does a vdevice place the region where it was asked for? */
static bool has_shm(const struct reader *reader, const struct gh_region *region)
{
	for (int node = first_vdevice(reader); node >= 0; node = fdt_next_subnode(reader->tree, node)) {
		int memory = fdt_subnode_offset(reader->tree, node, "memory");
		uint32_t label;
		uint64_t base;

		if (memory < 0 || !gh_gunyah_is_shm(reader->tree, node))
			continue;
		if (!gh_gunyah_label(reader->tree, memory, &label) && !gh_gunyah_label(reader->tree, node, &label))
			continue;
		if (label == region->id && read_address(reader->tree, memory, "base", &base) && base == region->gpa)
			return true;
	}
	return false;
}

/* Where no region is a parcel of its own, none has the label of such a node. */
static int check_optional(const struct reader *reader)
{
	for (int node = first_vdevice(reader); node >= 0; node = fdt_next_subnode(reader->tree, node)) {
		int memory = fdt_subnode_offset(reader->tree, node, "memory");

		if (gh_gunyah_is_shm(reader->tree, node) &&
		    (memory < 0 || fdt_getprop(reader->tree, memory, "optional", NULL) == NULL))
			return REFUSE(reader, "Leave the node out, or add the property \"optional\" to its memory node.",
				      "The devicetree has the shm vdevice \"%s\", for which this kernel gives no memory.",
				      fdt_get_name(reader->tree, node, NULL));
	}
	return 0;
}

static int check_regions(const struct reader *reader)
{
	const struct gh_bvm *vm = reader->vm;
	const struct gh_region *main_memory = gh_region_find(vm, vm->dtb_gpa, vm->dtb_size);

	if (gh_is_quirky(vm, GH_QUIRK_OPTIONAL_SHM_NODES))
		return check_optional(reader);
	if (!gh_is_quirky(vm, GH_QUIRK_NEEDS_SHM_NODES))
		return 0;
	for (uint32_t i = 0; i < vm->n_regions; i++) {
		const struct gh_region *region = vm->regions[i];

		if (region != main_memory && !has_shm(reader, region))
			return REFUSE(
				reader,
				"Add an \"shm\" vdevice with this label and base, as section 10 of the document shows.",
				"Region %u at 0x%llx has no shm vdevice: it would land elsewhere in the guest.", region->id,
				(unsigned long long)region->gpa);
	}
	return 0;
}

/* --- all of it ---------------------------------------------------------------------------------------------------- */

int gh_gunyah_tree_read(const struct gh_bvm *vm, struct gh_gunyah_tree *ret_tree)
{
	struct gh_gunyah_tree result = { 0 };
	struct reader reader;
	int ret = open_tree(vm, &reader);

	if (ret == 0)
		ret = check_root(&reader);
	if (ret == 0)
		ret = check_config(&reader);
	if (ret == 0)
		ret = check_base(&reader);
	if (ret == 0)
		ret = check_cpus(&reader, &result);
	if (ret == 0)
		ret = check_regions(&reader);
	if (ret == 0)
		ret = read_bells(&reader, &result);
	if (ret < 0) {
		gh_gunyah_tree_free(&result);
		return ret;
	}
	*ret_tree = result;
	return 0;
}

void gh_gunyah_tree_free(struct gh_gunyah_tree *tree)
{
	free(tree->labels);
	*tree = (struct gh_gunyah_tree){ 0 };
}

bool gh_gunyah_tree_has_bell(const struct gh_gunyah_tree *tree, uint32_t label)
{
	for (uint32_t i = 0; i < tree->n_labels; i++)
		if (tree->labels[i] == label)
			return true;
	return false;
}
