/* SPDX-License-Identifier: BSD-3-Clause */
/* The devicetree builder: what stands in a tree, on every kind of hypervisor, and which trees start a VM. */
#include "util.h"

#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_GPA UINT64_C(0x90000000)
#define INITRD_GPA (RAM_GPA + MIB)
#define SERIAL UINT64_C(0x3f8)
#define VIRTIO UINT64_C(0xa000000)

static const struct kind {
	const char *name;
	const char *device; /* NULL: the fake */
	bool lend;
	bool is_gunyah;
} kinds[] = {
	{ "fake", NULL, false, false },
	{ "gunyah", GUNYAH, false, true },
	{ "gunyah, production", GUNYAH ",policy=production", true, true },
	{ "geniezone", GENIEZONE, false, false },
};
#define KINDS (int)(sizeof(kinds) / sizeof(kinds[0]))

static struct gh_fake *fake;
static struct gh_sim *sim;
static struct gh_vm *vm;
static struct gh_fdt *fdt;

static void open_kind(const struct kind *kind)
{
	uint32_t lend = kind->lend ? (uint32_t)GH_MEMORY_LEND : 0;

	fake = new_fake();
	sim = kind->device != NULL ? new_sim(kind->device, "") : NULL;
	vm = sim != NULL ? open_sim(sim) : open_fake(fake);
	map_at(vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX | lend);
	map_at(vm, SECOND_GPA, 2 * MIB, GH_MEMORY_RWX);
	fdt = NULL;
}

static void close_kind(void)
{
	gh_fdt_close(fdt);
	gh_vm_close(vm);
	if (sim != NULL)
		end_sim(sim);
	gh_fake_free(fake);
}

static void open_fdt(const struct gh_fdt_options *options)
{
	ck_assert_int_eq(gh_fdt_open(vm, options, &fdt), 0);
}

static void add_line(uint32_t line, uint32_t flags)
{
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	struct gh_irqfd *irqfd = NULL;

	options.line = line;
	options.flags = flags;
	ck_assert_int_eq(gh_irqfd_add(vm, &options, &irqfd), 0);
}

/* --- looking at trees ----------------------------------------------------------------------------------------------- */

static const void *finish(void)
{
	const void *blob = NULL;
	size_t size = 0;
	void *place = NULL;
	int ret = gh_fdt_finish(fdt, DTB_GPA, 0);

	ck_assert_msg(ret == 0, "%s", gh_vm_failure(vm)->cause);
	ck_assert_int_eq(gh_fdt_blob(fdt, &blob, &size), 0);
	ck_assert_int_eq(fdt_check_full(blob, size), 0);
	ck_assert_uint_eq(fdt_totalsize(blob), size);
	/* The same bytes in the guest's memory. */
	ck_assert_int_eq(gh_vm_pointer(vm, DTB_GPA, size, &place), 0);
	ck_assert_mem_eq(place, blob, size);
	return blob;
}

static int find(const void *blob, const char *path)
{
	int node = fdt_path_offset(blob, path);

	ck_assert_msg(node >= 0, "no node %s", path);
	return node;
}

static void has_string(const void *blob, const char *path, const char *name, const char *value)
{
	int length = 0;
	const char *text = fdt_getprop(blob, find(blob, path), name, &length);

	ck_assert_msg(text != NULL, "no property %s in %s", name, path);
	ck_assert_int_eq(length, (int)strlen(value) + 1);
	ck_assert_str_eq(text, value);
}

/* Values are cells; the list ends with UINT32_MAX. */
static void has_cells(const void *blob, const char *path, const char *name, const uint32_t *values)
{
	int length = 0;
	const fdt32_t *cells = fdt_getprop(blob, find(blob, path), name, &length);
	int count = 0;

	ck_assert_msg(cells != NULL, "no property %s in %s", name, path);
	for (; values[count] != UINT32_MAX; count++) {
		ck_assert_int_lt(count * 4, length);
		ck_assert_msg(fdt32_ld(&cells[count]) == values[count], "cell %d of %s in %s is 0x%x", count, name, path,
			      fdt32_ld(&cells[count]));
	}
	ck_assert_int_eq(length, count * 4);
}
#define HAS_CELLS(blob, path, name, ...) has_cells(blob, path, name, (const uint32_t[]){ __VA_ARGS__, UINT32_MAX })

static bool has_node(const void *blob, const char *path)
{
	return fdt_path_offset(blob, path) >= 0;
}

/* --- from nothing ---------------------------------------------------------------------------------------------------- */

static void look_at_guest(const void *blob)
{
	HAS_CELLS(blob, "/", "#address-cells", 2);
	HAS_CELLS(blob, "/", "#size-cells", 2);
	has_string(blob, "/", "model", "a name");
	for (int i = 0; i < 3; i++) {
		char path[16];

		(void)snprintf(path, sizeof(path), "/cpus/cpu@%d", i);
		has_string(blob, path, "device_type", "cpu");
		has_string(blob, path, "enable-method", "psci");
		HAS_CELLS(blob, path, "reg", (uint32_t)i);
	}
	ck_assert(!has_node(blob, "/cpus/cpu@3"));
	has_string(blob, "/psci", "method", "hvc");
	HAS_CELLS(blob, "/interrupt-controller@3fff0000", "reg", 0, 0x3fff0000, 0, 0x10000, 0, 0x3ff90000, 0, 0x60000);
	HAS_CELLS(blob, "/interrupt-controller@3fff0000", "#interrupt-cells", 3);
	HAS_CELLS(blob, "/", "interrupt-parent", fdt_get_phandle(blob, find(blob, "/interrupt-controller@3fff0000")));
	HAS_CELLS(blob, "/timer", "interrupts", 1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4);
	/* The hypervisors' timers go on while a vCPU sleeps. */
	ck_assert_ptr_nonnull(fdt_getprop(blob, find(blob, "/timer"), "always-on", NULL));
	ck_assert(!has_node(blob, "/apb-pclk"));
	has_string(blob, "/chosen", "bootargs", "console=ttyS0");
	has_string(blob, "/chosen", "stdout-path", "/serial@3f8");
	HAS_CELLS(blob, "/chosen", "linux,initrd-start", 0, (uint32_t)INITRD_GPA);
	HAS_CELLS(blob, "/chosen", "linux,initrd-end", 0, (uint32_t)INITRD_GPA + 5000);
	has_string(blob, "/serial@3f8", "compatible", "ns16550a");
	HAS_CELLS(blob, "/serial@3f8", "reg", 0, SERIAL, 0, 8);
	HAS_CELLS(blob, "/serial@3f8", "interrupts", 0, 5, 1);
	HAS_CELLS(blob, "/serial@3f8", "clock-frequency", 1843200);
	HAS_CELLS(blob, "/serial@3f8", "reg-shift", 0);
	HAS_CELLS(blob, "/serial@3f8", "reg-io-width", 1);
	HAS_CELLS(blob, "/virtio_mmio@a000000", "reg", 0, VIRTIO, 0, 0x200);
	HAS_CELLS(blob, "/virtio_mmio@a000000", "interrupts", 0, 6, 1);
	ck_assert_ptr_nonnull(fdt_getprop(blob, find(blob, "/virtio_mmio@a000000"), "dma-coherent", NULL));
}

static void look_at_gunyah(const void *blob)
{
	/* The resource manager writes it. */
	ck_assert(!has_node(blob, "/memory"));
	has_string(blob, "/gunyah-vm-config", "image-name", "a name");
	HAS_CELLS(blob, "/gunyah-vm-config/memory", "base-address", 0, (uint32_t)RAM_GPA);
	has_string(blob, "/gunyah-vm-config/interrupts", "config", "/interrupt-controller@3fff0000");
	has_string(blob, "/gunyah-vm-config/vcpus", "affinity", "proxy");
	/* Doorbells of devices and of the irqfd that no device has. */
	HAS_CELLS(blob, "/gunyah-vm-config/vdevices/bell-5", "interrupts", 0, 5, 1);
	HAS_CELLS(blob, "/gunyah-vm-config/vdevices/bell-5", "qcom,label", 5);
	HAS_CELLS(blob, "/gunyah-vm-config/vdevices/bell-6", "qcom,label", 6);
	HAS_CELLS(blob, "/gunyah-vm-config/vdevices/bell-3db", "interrupts", 0, 987, 1);
	ck_assert(!has_node(blob, "/gunyah-vm-config/vdevices/bell-7"));
	/* Further memory. */
	ck_assert(!has_node(blob, "/gunyah-vm-config/vdevices/shm-0"));
	HAS_CELLS(blob, "/gunyah-vm-config/vdevices/shm-1/memory", "base", 0, (uint32_t)SECOND_GPA);
	HAS_CELLS(blob, "/gunyah-vm-config/vdevices/shm-1/memory", "qcom,label", 1);
}

START_TEST(test_whole)
{
	const struct kind *kind = &kinds[_i];
	struct gh_fdt_options options = GH_FDT_OPTIONS_INIT;
	const void *blob;

	open_kind(kind);
	options.name = "a name";
	options.command_line = "console=ttyS0";
	options.initrd_gpa = INITRD_GPA;
	options.initrd_length = 5000;
	/* Described before there are vCPUs and lines: they count at the end. */
	open_fdt(&options);
	ck_assert_int_eq(gh_fdt_add_serial(fdt, SERIAL, 5, 0), 0);
	ck_assert_int_eq(gh_fdt_add_virtio(fdt, VIRTIO, 6, 0), 0);
	for (uint32_t id = 3; id-- > 0;)
		(void)add_vcpu(vm, id);
	add_line(5, 0);
	add_line(kind->device == NULL ? 200 : 987, 0);
	blob = finish();
	look_at_guest(blob);
	ck_assert_int_eq(has_node(blob, "/gunyah-vm-config"), kind->is_gunyah);
	if (kind->is_gunyah) {
		look_at_gunyah(blob);
	} else {
		HAS_CELLS(blob, "/memory@80000000", "reg", 0, RAM_GPA, 0, RAM_SIZE);
		HAS_CELLS(blob, "/memory@90000000", "reg", 0, SECOND_GPA, 0, 2 * MIB);
		has_string(blob, "/memory@90000000", "device_type", "memory");
	}
	/* And the hypervisor takes it. */
	ck_assert_msg(gh_vm_start(vm) == 0, "%s", gh_vm_failure(vm)->cause);
	ck_assert_int_eq(gh_fdt_finish(fdt, DTB_GPA, 0), -EBUSY);
	/* It can still be looked at. */
	{
		const void *again = NULL;
		size_t size = 0;

		ck_assert_int_eq(gh_fdt_blob(fdt, &again, &size), 0);
		ck_assert_ptr_eq(again, blob);
	}
	close_kind();
}
END_TEST

/* The nodes of vCPUs stand in the order of their numbers, which is all that Gunyah looks at. */
START_TEST(test_order_of_cpus)
{
	const void *blob;
	uint32_t id = 0;
	int node;

	open_kind(&kinds[1]);
	open_fdt(NULL);
	(void)add_vcpu(vm, 2);
	(void)add_vcpu(vm, 0);
	blob = finish();
	fdt_for_each_subnode(node, blob, find(blob, "/cpus"))
	{
		int length;
		const fdt32_t *reg = fdt_getprop(blob, node, "reg", &length);

		ck_assert_ptr_nonnull(reg);
		ck_assert_uint_eq(fdt32_ld(reg), id++);
	}
	/* One for the gap. */
	ck_assert_uint_eq(id, 3);
	ck_assert_int_eq(gh_vm_start(vm), 0);
	close_kind();
}
END_TEST

/* Sixteen share the lowest part of an affinity. */
START_TEST(test_many_cpus)
{
	const void *blob;

	open_kind(&kinds[1]);
	open_fdt(NULL);
	(void)add_vcpu(vm, 0);
	(void)add_vcpu(vm, 17);
	blob = finish();
	HAS_CELLS(blob, "/cpus/cpu@f", "reg", 15);
	HAS_CELLS(blob, "/cpus/cpu@100", "reg", 0x100);
	HAS_CELLS(blob, "/cpus/cpu@101", "reg", 0x101);
	ck_assert(!has_node(blob, "/cpus/cpu@10"));
	close_kind();
}
END_TEST

START_TEST(test_more_cpus)
{
	struct gh_fdt_options options = GH_FDT_OPTIONS_INIT;
	struct gh_vcpu *late = NULL;

	open_kind(&kinds[_i]);
	options.n_cpus = 4;
	open_fdt(&options);
	(void)add_vcpu(vm, 0);
	if ((gh_vm_features(vm) & GH_FEATURE_LATE_VCPUS) == 0) {
		ck_assert_int_eq(gh_fdt_finish(fdt, DTB_GPA, 0), -EOPNOTSUPP);
		close_kind();
		return;
	}
	ck_assert(has_node(finish(), "/cpus/cpu@3"));
	ck_assert_int_eq(gh_vm_start(vm), 0);
	ck_assert_int_eq(gh_vcpu_create(vm, 3, &late), 0);
	close_kind();
}
END_TEST

/* A tree that has become too small is refused at the start, and can be made again. */
START_TEST(test_later_vcpu)
{
	open_kind(&kinds[_i]);
	open_fdt(NULL);
	(void)add_vcpu(vm, 0);
	(void)finish();
	(void)add_vcpu(vm, 1);
	ck_assert_int_eq(gh_vm_start(vm), -EINVAL);
	ck_assert(failure_is(gh_vm_failure(vm), -EINVAL));
	(void)finish();
	ck_assert_msg(gh_vm_start(vm) == 0, "%s", gh_vm_failure(vm)->cause);
	close_kind();
}
END_TEST

/* What the caller says in so many words wins over what the library writes. */
START_TEST(test_properties_win)
{
	static const char *const uart[] = { "arm,pl011", "arm,primecell" };
	static const fdt32_t cells[] = { 0, 0, 0 };
	static const struct gh_fdt_property properties[] = { { "first", NULL, 0 },
							     { "compatible", "own,kind", 9 },
							     { "interrupts", cells, sizeof(cells) },
							     { "clock-names", "own", 4 },
							     { "reg", cells, 4 },
							     { "last", NULL, 0 } };
	static const struct gh_fdt_irq irq = { 8, 0 };
	struct gh_fdt_device device = GH_FDT_DEVICE_INIT;
	const void *blob;

	open_kind(&kinds[0]);
	(void)add_vcpu(vm, 0);
	open_fdt(NULL);
	device.name = "uart";
	device.compatible = uart;
	device.n_compatible = 2;
	device.gpa = 0x9000000;
	device.length = 0x1000;
	device.irqs = &irq;
	device.n_irqs = 1;
	device.properties = properties;
	device.n_properties = sizeof(properties) / sizeof(properties[0]);
	device.flags = GH_FDT_PRIMECELL;
	ck_assert_int_eq(gh_fdt_add_device(fdt, &device), 0);
	blob = finish();
	has_string(blob, "/uart@9000000", "compatible", "own,kind");
	has_string(blob, "/uart@9000000", "clock-names", "own");
	HAS_CELLS(blob, "/uart@9000000", "interrupts", 0, 0, 0);
	HAS_CELLS(blob, "/uart@9000000", "reg", 0);
	close_kind();
}
END_TEST

/* Only lines of devices, only irqfds, the same twice; and a clock for those who need one. */
START_TEST(test_devices)
{
	static const char *const uart[] = { "arm,pl011", "arm,primecell" };
	static const uint8_t bytes[] = { 1, 2, 3 };
	static const struct gh_fdt_irq irqs[] = { { 8, GH_IRQ_LEVEL }, { 9, 0 } };
	static const struct gh_fdt_property properties[] = { { "own,bytes", bytes, 3 }, { "own,flag", NULL, 0 } };
	struct gh_fdt_device device = GH_FDT_DEVICE_INIT;
	const void *blob;
	uint32_t clock;
	int length = 0;

	open_kind(&kinds[0]);
	(void)add_vcpu(vm, 0);
	open_fdt(NULL);
	device.name = "uart";
	device.compatible = uart;
	device.n_compatible = 2;
	device.gpa = 0x9000000;
	device.length = 0x1000;
	device.irqs = irqs;
	device.n_irqs = 2;
	device.properties = properties;
	device.n_properties = 2;
	device.flags = GH_FDT_PRIMECELL | GH_FDT_CONSOLE;
	ck_assert_int_eq(gh_fdt_add_device(fdt, &device), 0);
	device.name = "bare";
	device.length = 0;
	device.n_irqs = 0;
	device.flags = 0;
	ck_assert_int_eq(gh_fdt_add_device(fdt, &device), 0);
	blob = finish();
	clock = fdt_get_phandle(blob, find(blob, "/apb-pclk"));
	HAS_CELLS(blob, "/uart@9000000", "clocks", clock, clock);
	ck_assert_int_eq(fdt_stringlist_count(blob, find(blob, "/uart@9000000"), "clock-names"), 2);
	HAS_CELLS(blob, "/uart@9000000", "interrupts", 0, 8, 4, 0, 9, 1);
	has_string(blob, "/chosen", "stdout-path", "/uart@9000000");
	ck_assert_int_eq(fdt_stringlist_search(blob, find(blob, "/uart@9000000"), "compatible", "arm,primecell"), 1);
	ck_assert_mem_eq(fdt_getprop(blob, find(blob, "/bare"), "own,bytes", &length), bytes, 3);
	ck_assert_int_eq(length, 3);
	ck_assert_ptr_nonnull(fdt_getprop(blob, find(blob, "/bare"), "own,flag", &length));
	ck_assert_int_eq(length, 0);
	ck_assert_ptr_null(fdt_getprop(blob, find(blob, "/bare"), "reg", &length));
	close_kind();
}
END_TEST

/* Memory that the guest cannot write to is none. */
START_TEST(test_read_only_memory)
{
	const void *blob;

	open_kind(&kinds[0]);
	map_at(vm, 0, MIB, GH_MEMORY_READ | GH_MEMORY_EXEC);
	(void)add_vcpu(vm, 0);
	open_fdt(NULL);
	blob = finish();
	ck_assert(!has_node(blob, "/memory@0"));
	ck_assert(has_node(blob, "/memory@80000000"));
	close_kind();
}
END_TEST

/* As many devices as the room holds; beyond it, an error that changes nothing. */
START_TEST(test_many_devices)
{
	void *place = NULL;
	const void *blob = NULL;
	size_t size = 0;

	open_kind(&kinds[_i]);
	(void)add_vcpu(vm, 0);
	open_fdt(NULL);
	for (uint32_t i = 0; i < 300; i++)
		ck_assert_int_eq(gh_fdt_add_virtio(fdt, VIRTIO + i * 0x200, i % 200, 0), 0);
	ck_assert_int_eq(gh_vm_pointer(vm, DTB_GPA, 8, &place), 0);
	ck_assert_int_eq(gh_fdt_finish(fdt, DTB_GPA, 0x10000), -ENOSPC);
	ck_assert(failure_is(gh_vm_failure(vm), -ENOSPC));
	ck_assert_uint_eq(*(const uint64_t *)place, 0);
	ck_assert_int_eq(gh_fdt_blob(fdt, &blob, &size), -ENOENT);
	ck_assert_int_eq(gh_fdt_finish(fdt, DTB_GPA, MIB), 0);
	ck_assert_int_eq(gh_fdt_blob(fdt, &blob, &size), 0);
	ck_assert(has_node(blob, "/virtio_mmio@a000000"));
	ck_assert(has_node(blob, "/virtio_mmio@a025600"));
	ck_assert_msg(gh_vm_start(vm) == 0, "%s", gh_vm_failure(vm)->cause);
	close_kind();
}
END_TEST

/* Room for what the resource manager adds is kept: the smallest room that is taken starts a VM. */
START_TEST(test_smallest_room)
{
	const void *blob = NULL;
	size_t size = 0;

	open_kind(&kinds[1]);
	(void)add_vcpu(vm, 0);
	open_fdt(NULL);
	for (uint32_t i = 0; i < (uint32_t)_i; i++)
		ck_assert_int_eq(gh_fdt_add_virtio(fdt, VIRTIO + i * 0x200, i, 0), 0);
	ck_assert_int_eq(gh_fdt_finish(fdt, DTB_GPA, MIB), 0);
	ck_assert_int_eq(gh_fdt_blob(fdt, &blob, &size), 0);
	ck_assert_int_eq(gh_fdt_finish(fdt, DTB_GPA, 4 * size - 4), -ENOSPC);
	ck_assert_int_eq(gh_fdt_finish(fdt, DTB_GPA, 4 * size), 0);
	ck_assert_msg(gh_vm_start(vm) == 0, "%s", gh_vm_failure(vm)->cause);
	close_kind();
}
END_TEST

/* The caller says where the interrupt controller is. */
START_TEST(test_interrupt_controller)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	const void *blob;

	open_kind(&kinds[_i]);
	gh_vm_close(vm);
	options.machine = sim;
	options.backend = sim != NULL ? "auto" : "fake";
	options.fake = sim != NULL ? NULL : fake;
	options.gic_distributor = 0x8000000;
	options.gic_redistributors = 0x8100000;
	ck_assert_int_eq(gh_vm_open(&options, &vm), 0);
	map_at(vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX | (kinds[_i].lend ? (uint32_t)GH_MEMORY_LEND : 0));
	(void)add_vcpu(vm, 0);
	open_fdt(NULL);
	blob = finish();
	HAS_CELLS(blob, "/interrupt-controller@8000000", "reg", 0, 0x8000000, 0, 0x10000, 0, 0x8100000, 0, 0x20000);
	ck_assert_msg(gh_vm_start(vm) == 0, "%s", gh_vm_failure(vm)->cause);
	close_kind();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fdt");
	TCase *tcase = add_case(suite, "fdt");

	tcase_add_loop_test(tcase, test_whole, 0, KINDS);
	tcase_add_test(tcase, test_order_of_cpus);
	tcase_add_test(tcase, test_many_cpus);
	tcase_add_loop_test(tcase, test_more_cpus, 0, KINDS);
	tcase_add_loop_test(tcase, test_later_vcpu, 0, KINDS);
	tcase_add_test(tcase, test_properties_win);
	tcase_add_test(tcase, test_devices);
	tcase_add_test(tcase, test_read_only_memory);
	tcase_add_loop_test(tcase, test_many_devices, 0, 2);
	tcase_add_loop_test(tcase, test_smallest_room, 0, 40);
	tcase_add_loop_test(tcase, test_interrupt_controller, 0, KINDS);
	return run_suite(suite);
}
