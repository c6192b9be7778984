/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What Gunyah's resource manager reads of a devicetree: /gunyah-vm-config (sections 2.3 and 10 of the Gunyah UAPI document).
 *
 * The kernel never tells it a region's guest address, nor which interrupt a doorbell raises: the tree does. What a caller's
 * tree says already stays, where it can.
 */
#include "../fdt_builder.h"
#include "../fdt_rules.h"
#include "gunyah.h"

#include <libfdt.h>
#include <stdio.h>

#define REGIONS 256u /* gh_caps::max_regions */

/* An upper bound that nothing of a phone exceeds; main memory must fit below base address plus this. */
#define SIZE_MAX_OF_VM UINT64_C(0x780000000)

/* What the resource manager expects of firmware at most, unless it is told. */
#define FIRMWARE_SIZE_MAX UINT64_C(0x400000)

#define IRQ_SPI 0u
#define IRQ_EDGE 1u
#define IRQ_LEVEL 4u

/* Which vdevices a caller's tree has. */
struct present {
	uint64_t bells[(GH_FDT_LINES + 63) / 64]; /* bit n: label n */
	uint64_t shms[REGIONS / 64];
};

static bool is_set(const uint64_t *bits, uint32_t number)
{
	return (bits[number / 64] >> number % 64 & 1) != 0;
}

static void set(uint64_t *bits, uint32_t limit, uint32_t number)
{
	if (number < limit)
		bits[number / 64] |= UINT64_C(1) << number % 64;
}

/* One look at each, because a hostile tree may have very many. */
static void look(const struct gh_fdt_writer *writer, int vdevices, struct present *present)
{
	const void *tree = writer->tree;
	int node;

	if (writer->error < 0)
		return;
	for (node = fdt_first_subnode(tree, vdevices); node >= 0; node = fdt_next_subnode(tree, node)) {
		uint32_t label;
		int memory;

		if (gh_fdt_is_string(tree, node, "vdevice-type", "doorbell") && gh_fdt_read_label(tree, node, &label) == 1)
			set(present->bells, GH_FDT_LINES, label);
		if (!gh_fdt_is_shm(tree, node))
			continue;
		memory = fdt_subnode_offset(tree, node, "memory");
		if (memory >= 0 && gh_fdt_read_label(tree, memory, &label) == 1)
			set(present->shms, REGIONS, label);
	}
}

static void write_generate(struct gh_fdt_writer *writer, int node, const char *name)
{
	char path[48];

	(void)snprintf(path, sizeof(path), "/hypervisor/%s", name);
	gh_fdt_put_string(writer, node, "generate", path);
}

/* "qcom,label" and not "label", which dtc wants to be a string; the resource manager takes both. */
static void write_bell(struct gh_fdt_writer *writer, int vdevices, const struct gh_fdt_line *line)
{
	const uint32_t irq[] = { IRQ_SPI, line->line, line->level ? IRQ_LEVEL : IRQ_EDGE };
	char name[24];
	int node;

	(void)snprintf(name, sizeof(name), "bell-%x", line->line);
	node = gh_fdt_child(writer, vdevices, name);
	gh_fdt_put_cells(writer, node, "interrupts", irq, 3);
	gh_fdt_put_flag(writer, node, "source-can-clear");
	gh_fdt_put_flag(writer, node, "peer-default");
	gh_fdt_put_u32(writer, node, "qcom,label", line->line);
	write_generate(writer, node, name);
	gh_fdt_put_string(writer, node, "vdevice-type", "doorbell");
}

/* Without it, the region lands where the resource manager likes. */
static void write_shm(struct gh_fdt_writer *writer, int vdevices, const struct gh_region *region)
{
	char name[24];
	int memory;
	int node;

	(void)snprintf(name, sizeof(name), "shm-%x", region->id);
	node = gh_fdt_child(writer, vdevices, name);
	gh_fdt_put_flag(writer, node, "peer-default");
	write_generate(writer, node, name);
	gh_fdt_put_string(writer, node, "vdevice-type", "shm");
	memory = gh_fdt_child(writer, node, "memory");
	gh_fdt_put_u64(writer, memory, "base", region->gpa);
	gh_fdt_put_u32(writer, memory, "qcom,label", region->id);
	gh_fdt_put_u32(writer, memory, "#address-cells", 2);
}

static void write_vdevices(struct gh_fdt_writer *writer, int config, const struct gh_bvm *vm,
			   const struct gh_fdt_plan *plan)
{
	const struct gh_region *main_memory = gh_region_find(vm, plan->gpa, 1);
	int vdevices = gh_fdt_child(writer, config, "vdevices");
	struct present present = { 0 };

	look(writer, vdevices, &present);
	if (!gh_fdt_has(writer, vdevices, "generate"))
		gh_fdt_put_string(writer, vdevices, "generate", "/hypervisor");
	/* Kernels that hand memory over page by page have no parcel for such a node, and fail the start. */
	for (uint32_t i = gh_is_quirky(vm, GH_QUIRK_NEEDS_SHM_NODES) ? vm->n_regions : 0; i-- > 0;)
		if (vm->regions[i] != main_memory && vm->regions[i]->id < REGIONS &&
		    !is_set(present.shms, vm->regions[i]->id))
			write_shm(writer, vdevices, vm->regions[i]);
	for (size_t i = plan->n_lines; i-- > 0;)
		if (!is_set(present.bells, plan->lines[i].line))
			write_bell(writer, vdevices, &plan->lines[i]);
}

static void write_vcpus(struct gh_fdt_writer *writer, int config)
{
	int node = gh_fdt_child(writer, config, "vcpus");

	if (!gh_fdt_has(writer, node, "config"))
		gh_fdt_put_string(writer, node, "config", "/cpus");
	/* The VMM's threads run the vCPUs. */
	gh_fdt_put_string(writer, node, "affinity", "proxy");
}

static void write_memory(struct gh_fdt_writer *writer, int config, const struct gh_bvm *vm,
			 const struct gh_region *main_memory)
{
	int node = gh_fdt_child(writer, config, "memory");

	if (vm->firmware_size > FIRMWARE_SIZE_MAX)
		gh_fdt_put_u64(writer, node, "firmware-size-max", vm->firmware_size);
	if (vm->firmware_size != 0)
		gh_fdt_put_u64(writer, node, "firmware-address", vm->firmware_gpa);
	if (!gh_fdt_has(writer, node, "size-max"))
		gh_fdt_put_u64(writer, node, "size-max", SIZE_MAX_OF_VM);
	gh_fdt_put_u64(writer, node, "base-address", main_memory->gpa);
	gh_fdt_put_u32(writer, node, "#size-cells", 2);
	gh_fdt_put_u32(writer, node, "#address-cells", 2);
}

static int find_config(struct gh_fdt_writer *writer)
{
	int config = fdt_path_offset(writer->tree, "/gunyah-vm-config");

	if (config < 0)
		config = fdt_path_offset(writer->tree, "/qcom,vm-config");
	return config < 0 ? gh_fdt_child(writer, 0, "gunyah-vm-config") : config;
}

int gh_gunyah_fdt(struct gh_bvm *vm, const struct gh_fdt_plan *plan, void *tree)
{
	struct gh_fdt_writer writer = { .tree = tree };
	int config = find_config(&writer);
	int interrupts;

	if (!gh_fdt_has(&writer, config, "os-type"))
		gh_fdt_put_string(&writer, config, "os-type", "linux");
	if (!gh_fdt_has(&writer, config, "image-name"))
		gh_fdt_put_string(&writer, config, "image-name", plan->name);
	write_vdevices(&writer, config, vm, plan);
	write_vcpus(&writer, config);
	/* The path: a phandle is not understood everywhere. */
	interrupts = gh_fdt_child(&writer, config, "interrupts");
	gh_fdt_put_string(&writer, interrupts, "config", plan->gic);
	write_memory(&writer, config, vm, gh_region_find(vm, plan->gpa, 1));
	return writer.error;
}
