/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One devicetree, written from top to bottom with libfdt.
 *
 * libfdt puts a new node before its older brothers: what shall come first is written last.
 */
#include "fdt_builder.h"
#include "fdt_rules.h"
#include "internal.h"

#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#define STEP "build the devicetree"

#define IRQ_SPI 0u
#define IRQ_PPI 1u
#define IRQ_EDGE 1u
#define IRQ_LEVEL 4u
#define CELLS_OF_AN_IRQ 3u

#define APB_CLOCK "apb-pclk"
#define APB_CLOCK_HZ 24000000u

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define REFUSE(build, error, remedy, ...) gh_fail((build)->vm->failure, error, STEP, NULL, remedy, __VA_ARGS__)

static uint32_t get_phandle(struct gh_fdt_writer *writer, int node)
{
	uint32_t phandle = writer->error < 0 ? 0 : fdt_get_phandle(writer->tree, node);

	if (writer->error < 0 || (phandle != 0 && phandle != UINT32_MAX))
		return phandle;
	gh_fdt_keep(writer, fdt_generate_phandle(writer->tree, &phandle));
	gh_fdt_put_u32(writer, node, "phandle", phandle);
	return phandle;
}

/* --- root and interrupt controller -------------------------------------------------------------------------------- */

/* Whatever the caller's tree says of memory: the VM knows better. */
static void remove_memory(struct gh_fdt_writer *writer)
{
	int node = writer->error < 0 ? -1 : fdt_first_subnode(writer->tree, 0);

	while (node >= 0) {
		int next = fdt_next_subnode(writer->tree, node);

		/* Without moving the rest: a tree may have many. */
		if (gh_fdt_is_string(writer->tree, node, "device_type", "memory"))
			gh_fdt_keep(writer, fdt_nop_node(writer->tree, node));
		node = next;
	}
}

static void write_root(const struct gh_fdt_build *build, struct gh_fdt_writer *writer)
{
	gh_fdt_put_u32(writer, 0, "#size-cells", 2);
	gh_fdt_put_u32(writer, 0, "#address-cells", 2);
	if (!gh_fdt_has(writer, 0, "model"))
		gh_fdt_put_string(writer, 0, "model", build->fdt->name);
	if (!gh_fdt_has(writer, 0, "compatible"))
		gh_fdt_put_string(writer, 0, "compatible", "linux,dummy-virt");
}

/* The caller's own one, if it can be brought in line. */
static int check_gic(const struct gh_fdt_build *build, const void *tree, int node)
{
	int length;
	const fdt32_t *cells = fdt_getprop(tree, node, "#interrupt-cells", &length);

	if (cells == NULL || length != (int)sizeof(*cells) || fdt32_ld(cells) != CELLS_OF_AN_IRQ ||
	    fdt_getprop(tree, node, "interrupt-controller", NULL) == NULL)
		return REFUSE(build, -EINVAL, "Say interrupt-controller and #interrupt-cells = <3> there.",
			      "The arm,gic-v3 node of the caller's tree is no interrupt controller with three cells.");
	if (fdt_parent_offset(tree, node) != 0)
		return REFUSE(build, -EINVAL, "Move it to the root, or leave it out.",
			      "The arm,gic-v3 node of the caller's tree is not a child of the root.");
	return 0;
}

static int find_gic(const struct gh_fdt_build *build, struct gh_fdt_writer *writer, const char *name, int *ret_node)
{
	int node = writer->error < 0 ? -1 : fdt_node_offset_by_compatible(writer->tree, -1, "arm,gic-v3");
	int ret;

	if (node < 0) {
		node = gh_fdt_child(writer, 0, name);
		gh_fdt_put_u32(writer, node, "#interrupt-cells", CELLS_OF_AN_IRQ);
		gh_fdt_put_flag(writer, node, "interrupt-controller");
		gh_fdt_put_string(writer, node, "compatible", "arm,gic-v3");
		*ret_node = node;
		return 0;
	}
	ret = check_gic(build, writer->tree, node);
	if (ret < 0)
		return ret;
	if (strchr(fdt_get_name(writer->tree, node, NULL), '@') != NULL)
		gh_fdt_keep(writer, fdt_set_name(writer->tree, node, name));
	*ret_node = node;
	return 0;
}

static int write_gic(struct gh_fdt_build *build, struct gh_fdt_writer *writer)
{
	const uint64_t reg[] = { build->vm->gic_distributor, GH_GIC_DISTRIBUTOR_SIZE, build->gic_redistributors,
				 build->gic_redistributors_size };
	uint32_t phandle;
	char name[48];
	int node = 0;
	int ret;

	(void)snprintf(name, sizeof(name), "interrupt-controller@%llx", (unsigned long long)build->vm->gic_distributor);
	ret = find_gic(build, writer, name, &node);
	if (ret < 0)
		return ret;
	if (!gh_fdt_has(writer, node, "#address-cells")) {
		gh_fdt_put_u32(writer, node, "#size-cells", 2);
		gh_fdt_put_u32(writer, node, "#address-cells", 2);
	}
	gh_fdt_put_ranges(writer, node, "reg", reg, COUNT(reg));
	phandle = get_phandle(writer, node);
	if (writer->error >= 0)
		gh_fdt_keep(writer, fdt_get_path(writer->tree, node, build->gic, sizeof(build->gic)));
	if (writer->error >= 0 && gh_fdt_has(writer, 0, "interrupt-parent")) {
		int length;
		const fdt32_t *parent = fdt_getprop(writer->tree, 0, "interrupt-parent", &length);

		if (parent == NULL || length != (int)sizeof(*parent) || fdt32_ld(parent) != phandle)
			return REFUSE(build, -EINVAL, "Name the arm,gic-v3 node there, or nothing.",
				      "The root of the caller's tree has another interrupt-parent.");
		return 0;
	}
	gh_fdt_put_u32(writer, 0, "interrupt-parent", phandle);
	return 0;
}

static bool has_compatible(const struct gh_fdt_writer *writer, const char *compatible)
{
	return writer->error >= 0 && fdt_node_offset_by_compatible(writer->tree, -1, compatible) >= 0;
}

static void write_timer(struct gh_fdt_writer *writer)
{
	/* Secure and non-secure physical, virtual, hypervisor: INTID 29, 30, 27, 26 on every hypervisor here. */
	static const uint32_t irqs[] = { IRQ_PPI, 13, IRQ_LEVEL, IRQ_PPI, 14, IRQ_LEVEL,
					 IRQ_PPI, 11, IRQ_LEVEL, IRQ_PPI, 10, IRQ_LEVEL };
	int node;

	if (has_compatible(writer, "arm,armv8-timer"))
		return;
	node = gh_fdt_child(writer, 0, "timer");
	gh_fdt_put_flag(writer, node, "always-on");
	gh_fdt_put_cells(writer, node, "interrupts", irqs, COUNT(irqs));
	gh_fdt_put_string(writer, node, "compatible", "arm,armv8-timer");
}

/* --- CPUs and memory ---------------------------------------------------------------------------------------------- */

static void write_psci(struct gh_fdt_writer *writer)
{
	static const char compatible[] = "arm,psci-1.0\0arm,psci-0.2";
	int node;

	if (has_compatible(writer, "arm,psci-0.2") || has_compatible(writer, "arm,psci-1.0"))
		return;
	node = gh_fdt_child(writer, 0, "psci");
	gh_fdt_put_string(writer, node, "method", "hvc");
	gh_fdt_put(writer, node, "compatible", compatible, sizeof(compatible));
}

/* The affinity that KVM gives a vCPU of this number; the others have not so many that it would differ. */
static uint32_t affinity(uint32_t id)
{
	return (id & 0xf) | (id >> 4 & 0xff) << 8 | (id >> 12 & 0xff) << 16;
}

/* In the order of ids: Gunyah's resource manager numbers the nodes as they come, and looks at nothing else. */
static void make_cpus(struct gh_fdt_writer *writer, uint32_t count)
{
	int cpus = gh_fdt_child(writer, 0, "cpus");

	gh_fdt_put_u32(writer, cpus, "#size-cells", 0);
	gh_fdt_put_u32(writer, cpus, "#address-cells", 1);
	for (uint32_t id = count; id-- > 0;) {
		char name[16];
		int node;

		(void)snprintf(name, sizeof(name), "cpu@%x", affinity(id));
		node = gh_fdt_child(writer, cpus, name);
		gh_fdt_put_string(writer, node, "enable-method", "psci");
		gh_fdt_put_u32(writer, node, "reg", affinity(id));
		gh_fdt_put_string(writer, node, "compatible", "arm,armv8");
		gh_fdt_put_string(writer, node, "device_type", "cpu");
	}
}

static int write_cpus(const struct gh_fdt_build *build, struct gh_fdt_writer *writer)
{
	int cpus = writer->error < 0 ? -1 : fdt_path_offset(writer->tree, "/cpus");
	uint32_t count = 0;
	int node;

	if (cpus < 0) {
		make_cpus(writer, build->n_cpus);
		return 0;
	}
	for (node = fdt_first_subnode(writer->tree, cpus); node >= 0; node = fdt_next_subnode(writer->tree, node))
		count += gh_fdt_is_cpu(writer->tree, node);
	if (count < build->n_cpus)
		return REFUSE(build, -EINVAL, "Add cpu nodes, or leave /cpus out.",
			      "The caller's tree has %u cpu nodes, and needs %u.", count, build->n_cpus);
	return 0;
}

static void write_memory(const struct gh_fdt_build *build, struct gh_fdt_writer *writer)
{
	const struct gh_bvm *vm = build->vm;

	/* Gunyah's resource manager writes the node, and takes none with an address in its name. */
	if (gh_is_quirky(vm, GH_QUIRK_WRITES_MEMORY_NODE))
		return;
	for (uint32_t i = vm->n_regions; i-- > 0;) {
		const struct gh_region *region = vm->regions[i];
		const uint64_t reg[] = { region->gpa, region->length };
		char name[32];
		int node;

		if ((region->prot & GH_MEMORY_WRITE) == 0)
			continue;
		(void)snprintf(name, sizeof(name), "memory@%llx", (unsigned long long)region->gpa);
		node = gh_fdt_child(writer, 0, name);
		gh_fdt_put_ranges(writer, node, "reg", reg, COUNT(reg));
		gh_fdt_put_string(writer, node, "device_type", "memory");
	}
}

/* --- devices ------------------------------------------------------------------------------------------------------ */

/* The clock of PrimeCell devices, if there are any; 0 otherwise. */
static uint32_t write_clock(const struct gh_fdt_build *build, struct gh_fdt_writer *writer)
{
	uint32_t flags = 0;
	int node;

	for (const struct gh_fdt_node *device = build->fdt->nodes; device != NULL; device = device->next)
		flags |= device->flags;
	if ((flags & GH_FDT_PRIMECELL) == 0)
		return 0;
	node = gh_fdt_child(writer, 0, APB_CLOCK);
	gh_fdt_put_u32(writer, node, "clock-frequency", APB_CLOCK_HZ);
	gh_fdt_put_u32(writer, node, "#clock-cells", 0);
	gh_fdt_put_string(writer, node, "compatible", "fixed-clock");
	return get_phandle(writer, node);
}

static void write_irqs(const struct gh_fdt_node *device, struct gh_fdt_writer *writer, int node)
{
	for (size_t i = 0; i < device->n_irqs && writer->error >= 0; i++) {
		const fdt32_t cells[] = { cpu_to_fdt32(IRQ_SPI), cpu_to_fdt32(device->irqs[i].line),
					  cpu_to_fdt32(device->irqs[i].flags & GH_IRQ_LEVEL ? IRQ_LEVEL : IRQ_EDGE) };

		gh_fdt_keep(writer, fdt_appendprop(writer->tree, node, "interrupts", cells, sizeof(cells)));
	}
}

static void write_properties(const struct gh_fdt_node *device, struct gh_fdt_writer *writer, int node)
{
	int property;

	fdt_for_each_property_offset(property, device->properties, 0)
	{
		const char *name;
		int length;
		const void *value = fdt_getprop_by_offset(device->properties, property, &name, &length);

		if (value != NULL)
			gh_fdt_put(writer, node, name, value, (size_t)length);
	}
}

static int write_device(const struct gh_fdt_build *build, const struct gh_fdt_node *device, uint32_t clock,
			struct gh_fdt_writer *writer)
{
	static const char clock_names[] = "uartclk\0apb_pclk";
	const uint32_t clocks[] = { clock, clock };
	const uint64_t reg[] = { device->gpa, device->length };
	int node = writer->error < 0 ? 0 : fdt_add_subnode(writer->tree, 0, device->name);

	if (node == -FDT_ERR_EXISTS)
		return REFUSE(build, -EEXIST, "Leave it out of the tree, or give the device another name.",
			      "The tree has a node %s already.", device->name);
	gh_fdt_keep(writer, node);
	if ((device->flags & GH_FDT_PRIMECELL) != 0) {
		gh_fdt_put(writer, node, "clock-names", clock_names, sizeof(clock_names));
		gh_fdt_put_cells(writer, node, "clocks", clocks, COUNT(clocks));
	}
	if ((device->flags & GH_FDT_COHERENT) != 0)
		gh_fdt_put_flag(writer, node, "dma-coherent");
	write_irqs(device, writer, node);
	if (device->length != 0)
		gh_fdt_put_ranges(writer, node, "reg", reg, COUNT(reg));
	write_properties(device, writer, node);
	return 0;
}

static int write_devices(const struct gh_fdt_build *build, struct gh_fdt_writer *writer)
{
	uint32_t clock = write_clock(build, writer);
	int ret = 0;

	for (const struct gh_fdt_node *device = build->fdt->nodes; device != NULL && ret == 0; device = device->next)
		ret = write_device(build, device, clock, writer);
	return ret;
}

static void write_chosen(const struct gh_fdt_build *build, struct gh_fdt_writer *writer)
{
	const struct gh_fdt *fdt = build->fdt;
	const struct gh_fdt_node *console = fdt->nodes;
	int node = gh_fdt_child(writer, 0, "chosen");

	while (console != NULL && (console->flags & GH_FDT_CONSOLE) == 0)
		console = console->next;
	if (console != NULL) {
		char path[sizeof(console->name) + 1];

		(void)snprintf(path, sizeof(path), "/%s", console->name);
		gh_fdt_put_string(writer, node, "stdout-path", path);
	}
	if (fdt->initrd_length != 0) {
		gh_fdt_put_u64(writer, node, "linux,initrd-end", fdt->initrd_gpa + fdt->initrd_length);
		gh_fdt_put_u64(writer, node, "linux,initrd-start", fdt->initrd_gpa);
	}
	if (fdt->command_line != NULL)
		gh_fdt_put_string(writer, node, "bootargs", fdt->command_line);
}

/* --- all of it ---------------------------------------------------------------------------------------------------- */

static int write_all(struct gh_fdt_build *build, struct gh_fdt_writer *writer)
{
	int ret;

	remove_memory(writer);
	write_root(build, writer);
	ret = write_gic(build, writer);
	if (ret < 0)
		return ret;
	write_timer(writer);
	write_psci(writer);
	ret = write_devices(build, writer);
	if (ret == 0)
		ret = write_cpus(build, writer);
	if (ret < 0)
		return ret;
	write_memory(build, writer);
	write_chosen(build, writer);
	if (writer->error >= 0 && build->vm->ops->fdt != NULL) {
		build->plan.gic = build->gic;
		gh_fdt_keep(writer, build->vm->ops->fdt(build->vm, &build->plan, writer->tree));
	}
	return 0;
}

int gh_fdt_build(struct gh_fdt_build *build, void *tree, size_t room)
{
	struct gh_fdt_writer writer = { .tree = tree };
	const void *base = build->fdt->base;
	int ret;

	gh_fdt_keep(&writer, base != NULL ? fdt_open_into(base, tree, (int)room) : fdt_create_empty_tree(tree, (int)room));
	ret = write_all(build, &writer);
	if (writer.error >= 0 && ret == 0)
		gh_fdt_keep(&writer, fdt_pack(tree));
	if (writer.error == -FDT_ERR_NOSPACE)
		return -ENOSPC;
	if (ret == 0 && writer.error < 0)
		return REFUSE(build, -EINVAL, "Look at the caller's tree with dtc.",
			      "The caller's tree cannot be completed (%s).", fdt_strerror(writer.error));
	return ret;
}
