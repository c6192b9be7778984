/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The devicetree of gh-run's guest, with libfdt.
 *
 * Its first half is what any arm64 guest gets. The second, /gunyah-vm-config, is read by Gunyah's resource manager, which
 * puts the guest's memory and doorbells where it says; other hypervisors do not look at it.
 */
#include "guest.h"
#include "run_vm.h"

#include <libfdt.h>
#include <string.h>

#define PHANDLE_GIC 1
#define IRQ_SPI 0
#define IRQ_PPI 1
#define IRQ_EDGE 1
#define IRQ_LEVEL 4

/* How far above the start of the memory the guest's address space may go. */
#define SPACE_MAX 0x780000000

/* The first error sticks, so that the tree reads as what it says. */
struct tree {
	void *fdt;
	int error;
};

static void keep(struct tree *tree, int error)
{
	if (tree->error == 0)
		tree->error = error;
}

static void begin(struct tree *tree, const char *name)
{
	keep(tree, fdt_begin_node(tree->fdt, name));
}

static void end(struct tree *tree)
{
	keep(tree, fdt_end_node(tree->fdt));
}

static void text(struct tree *tree, const char *name, const char *value)
{
	keep(tree, fdt_property(tree->fdt, name, value, (int)strlen(value) + 1));
}

static void flag(struct tree *tree, const char *name)
{
	keep(tree, fdt_property(tree->fdt, name, NULL, 0));
}

static void cells(struct tree *tree, const char *name, const uint32_t *values, unsigned int count)
{
	fdt32_t be[16];

	for (unsigned int i = 0; i < count; i++)
		be[i] = cpu_to_fdt32(values[i]);
	keep(tree, fdt_property(tree->fdt, name, be, (int)(count * sizeof(be[0]))));
}

#define CELLS(tree, name, ...)                                                                                             \
	cells(tree, name, (const uint32_t[]){ __VA_ARGS__ }, sizeof((const uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t))
/* A 64-bit number is two cells. */
#define CELLS64(value) (uint32_t)((uint64_t)(value) >> 32), (uint32_t)(value)

static void add_cpus(struct tree *tree)
{
	begin(tree, "cpus");
	CELLS(tree, "#address-cells", 1);
	CELLS(tree, "#size-cells", 0);
	begin(tree, "cpu@0");
	text(tree, "device_type", "cpu");
	text(tree, "compatible", "arm,armv8");
	text(tree, "enable-method", "psci");
	CELLS(tree, "reg", 0);
	end(tree);
	end(tree);
}

static void add_platform(struct tree *tree)
{
	static const char psci[] = "arm,psci-1.0\0arm,psci-0.2";

	begin(tree, "psci");
	keep(tree, fdt_property(tree->fdt, "compatible", psci, sizeof(psci)));
	text(tree, "method", "hvc");
	end(tree);

	begin(tree, "intc");
	text(tree, "compatible", "arm,gic-v3");
	flag(tree, "interrupt-controller");
	CELLS(tree, "#interrupt-cells", 3);
	CELLS(tree, "reg", CELLS64(GUEST_GIC_DISTRIBUTOR), CELLS64(0x10000), CELLS64(GUEST_GIC_REDISTRIBUTORS),
	      CELLS64(0x20000));
	CELLS(tree, "phandle", PHANDLE_GIC);
	end(tree);

	begin(tree, "timer");
	text(tree, "compatible", "arm,armv8-timer");
	CELLS(tree, "interrupts", IRQ_PPI, 13, IRQ_LEVEL, IRQ_PPI, 14, IRQ_LEVEL, IRQ_PPI, 11, IRQ_LEVEL, IRQ_PPI, 10,
	      IRQ_LEVEL);
	end(tree);
}

/* On Gunyah an interrupt line of the guest is a doorbell: its label is what gh_irqfd_options::line names. */
static void add_doorbell(struct tree *tree)
{
	begin(tree, "bell");
	text(tree, "vdevice-type", "doorbell");
	text(tree, "generate", "/hypervisor/bell");
	CELLS(tree, "label", GUEST_LINE);
	flag(tree, "peer-default");
	flag(tree, "source-can-clear");
	CELLS(tree, "interrupts", IRQ_SPI, GUEST_LINE, IRQ_EDGE);
	end(tree);
}

static void add_gunyah(struct tree *tree, uint64_t memory)
{
	begin(tree, "gunyah-vm-config");
	text(tree, "image-name", "gh-run");
	text(tree, "os-type", "linux");

	begin(tree, "memory");
	CELLS(tree, "#address-cells", 2);
	CELLS(tree, "#size-cells", 2);
	CELLS(tree, "base-address", CELLS64(memory));
	CELLS(tree, "size-max", CELLS64(SPACE_MAX));
	end(tree);

	begin(tree, "interrupts");
	text(tree, "config", "/intc");
	end(tree);

	begin(tree, "vcpus");
	text(tree, "config", "/cpus");
	text(tree, "affinity", "proxy");
	end(tree);

	begin(tree, "vdevices");
	text(tree, "generate", "/hypervisor");
	add_doorbell(tree);
	end(tree);
	end(tree);
}

int run_tree(void *buffer, int size, uint64_t memory, uint64_t memory_size)
{
	struct tree tree = { .fdt = buffer };

	keep(&tree, fdt_create(buffer, size));
	keep(&tree, fdt_finish_reservemap(buffer));
	begin(&tree, "");
	text(&tree, "compatible", "libgh,gh-run");
	CELLS(&tree, "#address-cells", 2);
	CELLS(&tree, "#size-cells", 2);
	CELLS(&tree, "interrupt-parent", PHANDLE_GIC);
	/* The name has no address: the resource manager takes no other. */
	begin(&tree, "memory");
	text(&tree, "device_type", "memory");
	CELLS(&tree, "reg", CELLS64(memory), CELLS64(memory_size));
	end(&tree);
	add_cpus(&tree);
	add_platform(&tree);
	add_gunyah(&tree, memory);
	end(&tree);
	keep(&tree, fdt_finish(buffer));
	return tree.error;
}
