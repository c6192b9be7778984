/* SPDX-License-Identifier: BSD-3-Clause */
#include "tree.h"

#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INTC 1u

/* The sequential writer; an error stays and makes everything after it fail. */
struct writer {
	void *fdt;
	int error;
};

static void begin(struct writer *writer, const char *name)
{
	if (writer->error == 0)
		writer->error = fdt_begin_node(writer->fdt, name);
}

static void end(struct writer *writer)
{
	if (writer->error == 0)
		writer->error = fdt_end_node(writer->fdt);
}

static void data(struct writer *writer, const char *name, const void *value, size_t length)
{
	if (writer->error == 0)
		writer->error = fdt_property(writer->fdt, name, value, (int)length);
}

static void flag(struct writer *writer, const char *name)
{
	data(writer, name, NULL, 0);
}

static void string(struct writer *writer, const char *name, const char *value)
{
	data(writer, name, value, strlen(value) + 1);
}

static void u32(struct writer *writer, const char *name, uint32_t value)
{
	fdt32_t cell = cpu_to_fdt32(value);

	data(writer, name, &cell, sizeof(cell));
}

static void u64(struct writer *writer, const char *name, uint64_t value)
{
	fdt64_t cells = cpu_to_fdt64(value);

	data(writer, name, &cells, sizeof(cells));
}

static void pairs(struct writer *writer, const char *name, const uint64_t *values, size_t count)
{
	fdt64_t cells[4];

	for (size_t i = 0; i < count; i++)
		cells[i] = cpu_to_fdt64(values[i]);
	data(writer, name, cells, count * sizeof(cells[0]));
}

static void cells_of(struct writer *writer, uint32_t address, uint32_t size)
{
	u32(writer, "#address-cells", address);
	u32(writer, "#size-cells", size);
}

static void write_cpu(struct writer *writer, enum tree_defect defect, unsigned int index)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "cpu@%x", index);
	begin(writer, name);
	string(writer, "device_type", "cpu");
	string(writer, "compatible", "arm,armv8");
	u32(writer, "reg", index);
	if (defect != TREE_NO_ENABLE_METHOD)
		string(writer, "enable-method", "psci");
	if (defect == TREE_FAILED_CPU && index == 0)
		string(writer, "status", "fail-thermal");
	end(writer);
}

static void write_cpus(struct writer *writer, const struct tree *tree)
{
	unsigned int count = tree->no_cpu ? 0 : tree->cpus == 0 ? 1 : tree->cpus;

	if (tree->defect == TREE_NO_CPUS_NODE)
		return;
	begin(writer, "cpus");
	cells_of(writer, 1, 0);
	for (unsigned int i = 0; i < count; i++)
		write_cpu(writer, tree->defect, i);
	end(writer);
}

static void write_gic(struct writer *writer, enum tree_defect defect)
{
	const uint64_t reg[4] = { TREE_GIC_DISTRIBUTOR, 0x10000, TREE_GIC_REDISTRIBUTORS, 0x100000 };

	begin(writer, "intc");
	string(writer, "compatible", defect == TREE_GIC_V2 ? "arm,gic-400" : "arm,gic-v3");
	if (defect != TREE_GIC_NO_CONTROLLER)
		flag(writer, "interrupt-controller");
	u32(writer, "#interrupt-cells", defect == TREE_GIC_TWO_CELLS ? 2 : 3);
	if (defect != TREE_GIC_NO_REG)
		pairs(writer, "reg", reg, defect == TREE_GIC_SHORT_REG ? 2 : 4);
	if (defect == TREE_GIC_TWO_REGIONS)
		u32(writer, "#redistributor-regions", 2);
	if (defect == TREE_GIC_SMALL_STRIDE)
		u64(writer, "redistributor-stride", 0x10000);
	u32(writer, "phandle", INTC);
	end(writer);
}

static void write_psci(struct writer *writer)
{
	static const char compatible[] = "arm,psci-1.0\0arm,psci-0.2";

	begin(writer, "psci");
	data(writer, "compatible", compatible, sizeof(compatible));
	string(writer, "method", "hvc");
	end(writer);
}

static void write_memory_nodes(struct writer *writer, const struct tree *tree)
{
	const uint64_t reg[2] = { TREE_BASE, 0x200000 };

	if (tree->defect == TREE_MEMORY_ELSEWHERE)
		begin(writer, "bank");
	begin(writer, tree->defect == TREE_MEMORY_UNIT_ADDRESS ? "memory@80000000" : "memory");
	string(writer, "device_type", "memory");
	pairs(writer, "reg", reg, 2);
	end(writer);
	if (tree->defect == TREE_MEMORY_ELSEWHERE)
		end(writer);
}

static void write_reserved(struct writer *writer, const struct tree *tree)
{
	const uint64_t reg[2] = { tree->reserved_gpa, tree->reserved_size };

	if (tree->reserved_size == 0)
		return;
	begin(writer, "reserved-memory");
	cells_of(writer, 2, 2);
	flag(writer, "ranges");
	begin(writer, "pool");
	if (tree->reserved_gpa != 0)
		pairs(writer, "reg", reg, 2);
	if (tree->reserved_label != 0)
		u32(writer, "qcom,label", tree->reserved_label);
	end(writer);
	end(writer);
}

static void write_image_name(struct writer *writer, enum tree_defect defect)
{
	char name[81];

	memset(name, 'n', 80);
	name[80] = '\0';
	if (defect == TREE_UNTERMINATED_IMAGE_NAME)
		data(writer, "image-name", "test", 4);
	else if (defect == TREE_LONG_IMAGE_NAME)
		string(writer, "image-name", name);
	else if (defect != TREE_NO_IMAGE_NAME)
		string(writer, "image-name", "test-vm");
}

static void write_memory_config(struct writer *writer, const struct tree *tree)
{
	uint64_t base = tree->base == 0 ? TREE_BASE : tree->base;
	const uint64_t twice[2] = { base, base };

	if (tree->defect == TREE_NO_MEMORY_CONFIG)
		return;
	begin(writer, "memory");
	if (tree->defect != TREE_NO_MEMORY_CELLS)
		cells_of(writer, 2, 2);
	if (tree->defect == TREE_LONG_BASE)
		pairs(writer, "base-address", twice, 2);
	else if (tree->defect != TREE_NO_BASE)
		u64(writer, "base-address", tree->defect == TREE_UNALIGNED_BASE ? base + 1 : base);
	if (tree->firmware != 0)
		u64(writer, "firmware-address", tree->firmware);
	u64(writer, "size-max", tree->size_max == 0 ? 0x780000000ull : tree->size_max);
	end(writer);
}

static void write_interrupts_config(struct writer *writer, enum tree_defect defect)
{
	if (defect == TREE_NO_INTERRUPTS)
		return;
	begin(writer, "interrupts");
	if (defect == TREE_PHANDLE_CONFIG || defect == TREE_PHANDLE_NO_ROOT)
		u32(writer, "config", INTC);
	else
		string(writer, "config", defect == TREE_BAD_INTERRUPTS ? "/nothing" : "/intc");
	end(writer);
}

static void write_vcpus_config(struct writer *writer, enum tree_defect defect)
{
	if (defect == TREE_NO_VCPUS)
		return;
	begin(writer, "vcpus");
	if (defect != TREE_NO_AFFINITY)
		string(writer, "affinity", defect == TREE_STATIC_AFFINITY ? "static" : "proxy");
	string(writer, "config", "/cpus");
	end(writer);
}

static void write_bell(struct writer *writer, enum tree_defect defect, const struct tree_bell *bell, size_t index)
{
	const fdt32_t interrupts[3] = { 0, cpu_to_fdt32(bell->spi), cpu_to_fdt32(bell->flags) };
	char path[32];
	char name[32];

	(void)snprintf(name, sizeof(name), "bell-%zx", index);
	(void)snprintf(path, sizeof(path), "%s/bell-%x", defect == TREE_BELL_BAD_PATH ? "/hypervisor/" : "/hypervisor",
		       (unsigned int)bell->label);
	begin(writer, name);
	string(writer, "vdevice-type", "doorbell");
	if (defect != TREE_BELL_NO_PATH)
		string(writer, "generate", path);
	if (defect != TREE_BELL_NO_LABEL)
		u32(writer, "label", bell->label);
	flag(writer, "peer-default");
	flag(writer, "source-can-clear");
	data(writer, "interrupts", interrupts, defect == TREE_BELL_SHORT_INTERRUPTS ? 8 : 12);
	end(writer);
}

static void write_shm(struct writer *writer, enum tree_defect defect, const struct tree_shm *shm, size_t index)
{
	char path[32];
	char name[32];

	(void)snprintf(name, sizeof(name), "shm-%zx", index);
	(void)snprintf(path, sizeof(path), "/hypervisor/shm-%x", (unsigned int)shm->label);
	begin(writer, name);
	string(writer, "vdevice-type", "shm");
	string(writer, "generate", path);
	if (defect != TREE_SHM_NO_PEER)
		flag(writer, "peer-default");
	u64(writer, "dma_base", 0);
	if (defect != TREE_SHM_NO_MEMORY) {
		begin(writer, "memory");
		u32(writer, "#address-cells", 2);
		if (defect != TREE_SHM_NO_LABEL)
			u32(writer, "label", shm->label);
		if (shm->base != 0)
			u64(writer, "base", shm->base);
		end(writer);
	}
	end(writer);
}

static void write_odd_vdevice(struct writer *writer, enum tree_defect defect)
{
	if (defect != TREE_UNKNOWN_VDEVICE && defect != TREE_NO_TYPE_VDEVICE)
		return;
	begin(writer, "odd");
	if (defect == TREE_UNKNOWN_VDEVICE)
		string(writer, "vdevice-type", "teapot");
	end(writer);
}

static void write_vdevices(struct writer *writer, const struct tree *tree)
{
	begin(writer, "vdevices");
	if (tree->defect != TREE_NO_GENERATE)
		string(writer, "generate", "/hypervisor");
	for (size_t i = 0; i < tree->bell_count; i++)
		write_bell(writer, tree->defect, &tree->bells[i], i);
	for (size_t i = 0; i < tree->shm_count; i++)
		write_shm(writer, tree->defect, &tree->shms[i], i);
	write_odd_vdevice(writer, tree->defect);
	end(writer);
}

static void write_config(struct writer *writer, const struct tree *tree)
{
	if (tree->defect == TREE_NO_CONFIG)
		return;
	begin(writer, tree->defect == TREE_QCOM_NAME ? "qcom,vm-config" : "gunyah-vm-config");
	write_image_name(writer, tree->defect);
	string(writer, "os-type", "linux");
	write_memory_config(writer, tree);
	write_interrupts_config(writer, tree->defect);
	write_vcpus_config(writer, tree->defect);
	write_vdevices(writer, tree);
	end(writer);
}

static void write_filler(struct writer *writer, size_t length)
{
	void *zeros = length == 0 ? NULL : calloc(1, length);

	if (zeros != NULL)
		data(writer, "filler", zeros, length);
	free(zeros);
}

static void write_root(struct writer *writer, const struct tree *tree)
{
	begin(writer, "");
	cells_of(writer, 2, 2);
	string(writer, "compatible", "linux,dummy-virt");
	if (tree->defect != TREE_PHANDLE_NO_ROOT)
		u32(writer, "interrupt-parent", INTC);
	write_filler(writer, tree->filler);
	write_cpus(writer, tree);
	write_psci(writer);
	write_gic(writer, tree->defect);
	write_memory_nodes(writer, tree);
	write_reserved(writer, tree);
	if (tree->defect == TREE_HYPERVISOR) {
		begin(writer, "hypervisor");
		end(writer);
	}
	write_config(writer, tree);
	end(writer);
}

size_t tree_build(const struct tree *tree, void *buffer, size_t size)
{
	struct writer writer = { buffer, fdt_create(buffer, (int)size) };

	if (writer.error == 0)
		writer.error = fdt_finish_reservemap(buffer);
	write_root(&writer, tree);
	if (writer.error == 0)
		writer.error = fdt_finish(buffer);
	return writer.error == 0 ? fdt_totalsize(buffer) : 0;
}
