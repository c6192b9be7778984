/* SPDX-License-Identifier: BSD-3-Clause */
/* The devicetree builder: what it refuses, with a reason and without a change, and what it makes of callers' own trees. */
#include "util.h"

#include <errno.h>
#include <libfdt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const a_string[] = { "a,device" };
static char base[65536];

static struct gh_fake *fake;
static struct gh_vm *vm;
static struct gh_fdt *fdt;

static void setup(void)
{
	fake = new_fake();
	vm = open_fake(fake);
	map_at(vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	fdt = NULL;
	ck_assert_int_eq(gh_fdt_open(vm, NULL, &fdt), 0);
	ck_assert_int_eq(fdt_create_empty_tree(base, sizeof(base)), 0);
	ck_assert_int_eq(fdt_setprop_u32(base, 0, "#address-cells", 2), 0);
	ck_assert_int_eq(fdt_setprop_u32(base, 0, "#size-cells", 2), 0);
}

static void teardown(void)
{
	gh_fdt_close(fdt);
	gh_vm_close(vm);
	gh_fake_free(fake);
}

/* --- gh_fdt_open ---------------------------------------------------------------------------------------------------- */

static int open_with(const struct gh_fdt_options *options)
{
	int mark = 0;
	struct gh_fdt *other = (void *)&mark;
	int ret = gh_fdt_open(vm, options, &other);

	if (ret < 0) {
		ck_assert_ptr_eq(other, (void *)&mark);
		ck_assert(failure_is(gh_vm_failure(vm), ret));
	} else {
		gh_fdt_close(other);
	}
	return ret;
}

static int open_base(size_t size)
{
	struct gh_fdt_options options = GH_FDT_OPTIONS_INIT;

	options.base = base;
	options.base_size = size;
	return open_with(&options);
}

START_TEST(test_open)
{
	static char name[81];
	struct gh_fdt_options options = GH_FDT_OPTIONS_INIT;
	struct gh_fdt *other = NULL;

	ck_assert_int_eq(gh_fdt_open(NULL, NULL, &other), -EINVAL);
	ck_assert_int_eq(gh_fdt_open(vm, NULL, NULL), -EINVAL);
	options.size = 8;
	ck_assert_int_eq(gh_fdt_open(vm, &options, &other), -EINVAL);
	options = (struct gh_fdt_options)GH_FDT_OPTIONS_INIT;
	options.reserved = 1;
	ck_assert_int_eq(open_with(&options), -EINVAL);
	options.reserved = 0;
	options.base_size = 1;
	ck_assert_int_eq(open_with(&options), -EINVAL);
	options.base_size = 0;
	options.initrd_gpa = UINT64_MAX - 1;
	options.initrd_length = 1;
	ck_assert_int_eq(open_with(&options), 0);
	options.initrd_length = 2;
	ck_assert_int_eq(open_with(&options), -ERANGE);
	options.initrd_length = 0;
	options.n_cpus = 9;
	ck_assert_int_eq(open_with(&options), -ERANGE);
	options.n_cpus = 8;
	options.name = "";
	ck_assert_int_eq(open_with(&options), -EINVAL);
	options.name = "a\nb";
	ck_assert_int_eq(open_with(&options), -EINVAL);
	options.name = "a\x7f";
	ck_assert_int_eq(open_with(&options), -EINVAL);
	memset(name, 'n', 80);
	options.name = name;
	ck_assert_int_eq(open_with(&options), -EINVAL);
	name[79] = '\0';
	ck_assert_int_eq(open_with(&options), 0);
}
END_TEST

START_TEST(test_null)
{
	struct gh_fdt_device device = GH_FDT_DEVICE_INIT;
	const void *blob = &device;
	size_t size = 7;

	gh_fdt_close(NULL);
	ck_assert_int_eq(gh_fdt_add_device(NULL, &device), -EINVAL);
	ck_assert_int_eq(gh_fdt_add_device(fdt, NULL), -EINVAL);
	ck_assert_int_eq(gh_fdt_add_serial(NULL, 0, 0, 0), -EINVAL);
	ck_assert_int_eq(gh_fdt_add_virtio(NULL, 0, 0, 0), -EINVAL);
	ck_assert_int_eq(gh_fdt_finish(NULL, DTB_GPA, 0), -EINVAL);
	ck_assert_int_eq(gh_fdt_blob(NULL, &blob, &size), -EINVAL);
	ck_assert_int_eq(gh_fdt_blob(fdt, NULL, &size), -EINVAL);
	ck_assert_int_eq(gh_fdt_blob(fdt, &blob, NULL), -EINVAL);
	ck_assert_int_eq(gh_fdt_blob(fdt, &blob, &size), -ENOENT);
	ck_assert_ptr_eq(blob, &device);
	ck_assert_uint_eq(size, 7);
}
END_TEST

START_TEST(test_started)
{
	(void)add_vcpu(vm, 0);
	ck_assert_int_eq(gh_vm_start(vm), 0);
	ck_assert_int_eq(open_with(NULL), -EBUSY);
	ck_assert_int_eq(gh_fdt_finish(fdt, DTB_GPA, 0), -EBUSY);
}
END_TEST

START_TEST(test_forked)
{
	struct gh_fdt *other = NULL;
	int status = -1;
	pid_t child;

	(void)add_vcpu(vm, 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0)
		_exit(gh_fdt_open(vm, NULL, &other) == -EPERM && gh_fdt_finish(fdt, DTB_GPA, 0) == -EPERM &&
				      gh_fdt_add_serial(fdt, 0x3f8, 5, 0) == -EPERM
			      ? 0
			      : 1);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}
END_TEST

/* --- devices ------------------------------------------------------------------------------------------------------- */

static struct gh_fdt_device sound_device(void)
{
	struct gh_fdt_device device = GH_FDT_DEVICE_INIT;

	device.name = "device";
	device.compatible = a_string;
	device.n_compatible = 1;
	device.gpa = 0x1000;
	device.length = 0x100;
	return device;
}

static void refuses(const struct gh_fdt_device *device, int error)
{
	ck_assert_int_eq(gh_fdt_add_device(fdt, device), error);
	ck_assert(failure_is(gh_vm_failure(vm), error));
}

static const char *const bad_names[] = {
	NULL, "", "a b", "a@1", "a/b", "1a", ",a", "name-of-thirty-two-characters-no", "\xc3\xa4",
};

START_TEST(test_names)
{
	struct gh_fdt_device device = sound_device();
	struct gh_fdt_property property = { bad_names[_i], "x", 1 };

	device.name = bad_names[_i];
	refuses(&device, -EINVAL);
	device.name = "device";
	if (bad_names[_i] == NULL || (bad_names[_i][0] != '1' && bad_names[_i][0] != ',')) {
		device.properties = &property;
		device.n_properties = 1;
		refuses(&device, -EINVAL);
	}
	device.properties = NULL;
	device.n_properties = 0;
	ck_assert_int_eq(gh_fdt_add_device(fdt, &device), 0);
	device.name = "name-of-thirty-one-characters-a";
	device.gpa += 0x1000;
	ck_assert_int_eq(gh_fdt_add_device(fdt, &device), 0);
}
END_TEST

START_TEST(test_shapes)
{
	static const char *const no_strings[] = { NULL };
	static const char *const empty_strings[] = { "" };
	struct gh_fdt_device device = sound_device();
	struct gh_fdt_property property = { "p", NULL, 1 };

	device.size = 4;
	ck_assert_int_eq(gh_fdt_add_device(fdt, &device), -EINVAL);
	device = sound_device();
	device.reserved = 1;
	refuses(&device, -EINVAL);
	device = sound_device();
	device.flags = 8;
	refuses(&device, -EINVAL);
	device = sound_device();
	device.compatible = NULL;
	refuses(&device, -EINVAL);
	device.n_compatible = 0;
	refuses(&device, -EINVAL);
	device = sound_device();
	device.compatible = no_strings;
	refuses(&device, -EINVAL);
	device.compatible = empty_strings;
	refuses(&device, -EINVAL);
	device = sound_device();
	device.n_irqs = 1;
	refuses(&device, -EINVAL);
	device = sound_device();
	device.n_properties = 1;
	refuses(&device, -EINVAL);
	device.properties = &property;
	refuses(&device, -EINVAL);
	property = (struct gh_fdt_property){ "p", "", GH_FDT_MAX + 1 };
	refuses(&device, -ERANGE);
}
END_TEST

START_TEST(test_ranges)
{
	struct gh_fdt_irq irq = { 256, 0 };
	struct gh_fdt_device device = sound_device();

	device.gpa = UINT64_MAX;
	refuses(&device, -ERANGE);
	device.gpa = (UINT64_C(1) << 40) - 0xff;
	refuses(&device, -ERANGE);
	device.gpa--;
	ck_assert_int_eq(gh_fdt_add_device(fdt, &device), 0);
	device = sound_device();
	device.irqs = &irq;
	device.n_irqs = 1;
	refuses(&device, -ERANGE); /* the fake has 256 lines */
	irq = (struct gh_fdt_irq){ 255, 2 };
	refuses(&device, -EINVAL);
	device.n_irqs = SIZE_MAX / 2;
	refuses(&device, -ERANGE);
	irq.flags = 0;
	device.n_irqs = 1;
	ck_assert_int_eq(gh_fdt_add_device(fdt, &device), 0);
	/* The same once more, a part of it, around it; behind it is free. */
	device.irqs = NULL;
	device.n_irqs = 0;
	refuses(&device, -EEXIST);
	device.name = "other";
	refuses(&device, -EEXIST);
	device.gpa = 0x10ff;
	refuses(&device, -EEXIST);
	device.gpa = 0;
	device.length = 0x10000;
	refuses(&device, -EEXIST);
	device.gpa = 0x1100;
	ck_assert_int_eq(gh_fdt_add_device(fdt, &device), 0);
	device.length = 0;
	ck_assert_int_eq(gh_fdt_add_device(fdt, &device), 0);
	refuses(&device, -EEXIST);
}
END_TEST

/* --- gh_fdt_finish ------------------------------------------------------------------------------------------------- */

static void refuses_finish(uint64_t gpa, uint64_t room, int error)
{
	const void *blob = NULL;
	size_t size = 0;

	ck_assert_int_eq(gh_fdt_finish(fdt, gpa, room), error);
	ck_assert(failure_is(gh_vm_failure(vm), error));
	ck_assert_int_eq(gh_fdt_blob(fdt, &blob, &size), -ENOENT);
}

START_TEST(test_place)
{
	refuses_finish(DTB_GPA, 0, -EINVAL); /* no vCPU yet */
	(void)add_vcpu(vm, 0);
	refuses_finish(DTB_GPA + 4, 0, -EINVAL);
	refuses_finish(0, 0, -EINVAL);
	refuses_finish(RAM_GPA + RAM_SIZE, 0, -EINVAL);
	refuses_finish(RAM_GPA + RAM_SIZE - 4096, 0, -EINVAL);
	refuses_finish(RAM_GPA - 4096, 0, -EINVAL);
	refuses_finish(DTB_GPA, UINT64_MAX, -EINVAL);
	refuses_finish(DTB_GPA, 1, -ENOSPC);
	refuses_finish(DTB_GPA, 1024, -ENOSPC);
	ck_assert_int_eq(gh_fdt_finish(fdt, RAM_GPA + RAM_SIZE - GH_FDT_ROOM, 0), 0);
	ck_assert_int_eq(gh_fdt_finish(fdt, RAM_GPA, 0), 0);
}
END_TEST

START_TEST(test_initrd)
{
	static const struct {
		uint64_t gpa;
		uint64_t length;
		int error;
	} cases[] = {
		{ 0, 1, -EINVAL },
		{ RAM_GPA, RAM_SIZE + 1, -EINVAL },
		{ RAM_GPA + RAM_SIZE - 4096, 4097, -EINVAL },
		{ RAM_GPA, RAM_SIZE, -EEXIST },
		{ DTB_GPA + GH_FDT_ROOM - 1, 1, -EEXIST },
	};

	(void)add_vcpu(vm, 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct gh_fdt_options options = GH_FDT_OPTIONS_INIT;

		gh_fdt_close(fdt);
		options.initrd_gpa = cases[i].gpa;
		options.initrd_length = cases[i].length;
		ck_assert_int_eq(gh_fdt_open(vm, &options, &fdt), 0);
		refuses_finish(DTB_GPA, 0, cases[i].error);
	}
}
END_TEST

static const struct {
	uint64_t gpa;
	uint64_t length;
} taken[] = {
	{ RAM_GPA, 0x100 },          { RAM_GPA - 0xff, 0x100 }, { RAM_GPA + RAM_SIZE - 1, 0x100 },
	{ 0x3fff0000 - 1, 0x10000 }, { 0x3ffd0000, 0x100 },     { 0, 0x100000000 },
};

START_TEST(test_devices_in_the_way)
{
	struct gh_fdt_device device = sound_device();

	(void)add_vcpu(vm, 0);
	device.gpa = taken[_i].gpa;
	device.length = taken[_i].length;
	ck_assert_int_eq(gh_fdt_add_device(fdt, &device), 0);
	refuses_finish(DTB_GPA, 0, -EEXIST);
}
END_TEST

/* Of what is too large, each thing by itself may be small enough. */
START_TEST(test_too_large)
{
	const size_t size = GH_FDT_MAX / 4;
	char *bytes = calloc(1, 2 * size);
	const struct gh_fdt_property halves[] = { { "a", bytes, 2 * size }, { "b", bytes, 2 * size } };
	const struct gh_fdt_property quarter = { "a", bytes, size };
	struct gh_fdt_device device = sound_device();

	ck_assert_ptr_nonnull(bytes);
	map_at(vm, 2 * RAM_GPA, 32 * MIB, GH_MEMORY_RWX);
	(void)add_vcpu(vm, 0);
	device.properties = halves;
	device.n_properties = 2;
	refuses(&device, -ERANGE);
	device.properties = &quarter;
	device.n_properties = 1;
	for (device.gpa = 0x1000; device.gpa <= 0x3000; device.gpa += 0x1000)
		ck_assert_int_eq(gh_fdt_add_device(fdt, &device), 0);
	refuses_finish(2 * RAM_GPA, 4 * MIB, -ENOSPC);
	ck_assert_ptr_nonnull(strstr(gh_vm_failure(vm)->cause, "needs four times that"));
	ck_assert_int_eq(gh_fdt_add_device(fdt, &device), 0);
	refuses_finish(2 * RAM_GPA, 32 * MIB, -ENOSPC);
	ck_assert_ptr_nonnull(strstr(gh_vm_failure(vm)->cause, "larger than 2 MiB"));
	device.gpa += 0x1000;
	ck_assert_int_eq(gh_fdt_add_device(fdt, &device), 0);
	refuses_finish(2 * RAM_GPA, 32 * MIB, -ENOSPC);
	ck_assert_ptr_nonnull(strstr(gh_vm_failure(vm)->cause, "larger than 2 MiB"));
	free(bytes);
}
END_TEST

START_TEST(test_two_triggers)
{
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	struct gh_irqfd *irqfd = NULL;

	(void)add_vcpu(vm, 0);
	ck_assert_int_eq(gh_fdt_add_virtio(fdt, 0x1000, 5, 0), 0);
	ck_assert_int_eq(gh_fdt_add_virtio(fdt, 0x2000, 5, 0), 0);
	options.line = 5;
	options.flags = GH_IRQ_LEVEL;
	ck_assert_int_eq(gh_irqfd_add(vm, &options, &irqfd), 0);
	refuses_finish(DTB_GPA, 0, -EINVAL);
	gh_irqfd_remove(irqfd);
	ck_assert_int_eq(gh_fdt_finish(fdt, DTB_GPA, 0), 0);
}
END_TEST

/* What only one hypervisor minds: accesses from 1 GiB on, and labels that are no lines. */
START_TEST(test_gunyah)
{
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	struct gh_vm_options elsewhere = GH_VM_OPTIONS_INIT;
	struct gh_sim *sim = new_sim(GUNYAH, "");
	struct gh_irqfd *irqfd = NULL;
	struct gh_fdt *tree = NULL;
	struct gh_vm *other = NULL;

	elsewhere.machine = sim;
	elsewhere.gic_distributor = 0x20000000;
	ck_assert_int_eq(gh_vm_open(&elsewhere, &other), 0);
	map_at(other, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	(void)add_vcpu(other, 0);
	options.line = 988;
	ck_assert_int_eq(gh_irqfd_add(other, &options, &irqfd), 0);
	ck_assert_int_eq(gh_fdt_open(other, NULL, &tree), 0);
	ck_assert_int_eq(gh_fdt_add_serial(tree, 0, 988, 0), -ERANGE);
	ck_assert_int_eq(gh_fdt_finish(tree, DTB_GPA, 0), -ERANGE);
	ck_assert(failure_is(gh_vm_failure(other), -ERANGE));
	gh_irqfd_remove(irqfd);
	ck_assert_int_eq(gh_fdt_finish(tree, DTB_GPA, 0), 0);
	ck_assert_int_eq(gh_fdt_add_virtio(tree, 0x40000000 - 0x200, 6, 0), 0);
	ck_assert_int_eq(gh_fdt_finish(tree, DTB_GPA, 0), 0);
	gh_fdt_close(tree);
	ck_assert_int_eq(gh_fdt_open(other, NULL, &tree), 0);
	ck_assert_int_eq(gh_fdt_add_serial(tree, 0x3ffffff9, 5, 0), 0);
	ck_assert_int_eq(gh_fdt_finish(tree, DTB_GPA, 0), -ERANGE);
	ck_assert(failure_is(gh_vm_failure(other), -ERANGE));
	gh_fdt_close(tree);
	gh_vm_close(other);
	end_sim(sim);
}
END_TEST

#define GPA_END (UINT64_C(1) << 40) /* of the fake */

static const struct {
	uint64_t distributor;
	uint64_t redistributors; /* 0: below the distributor */
	int error;               /* with two cpus */
} controllers[] = {
	{ 0x3fff0000, 0, 0 },
	{ 0x40000, 0, 0 },
	{ 0x30000, 0, -ERANGE },
	{ GPA_END - 0x10000, 0, 0 },
	{ GPA_END, 0x10000, -ERANGE },
	{ UINT64_MAX - 0xffff, 0x10000, -ERANGE },
	{ 0x10000, GPA_END - 0x40000, 0 },
	{ 0x10000, GPA_END - 0x30000, -ERANGE },
	{ 0x10000, UINT64_MAX - 0xffff, -ERANGE },
	{ 0x10000, 0x20000, 0 },
	{ 0x20000, 0x10000, -EEXIST },
	{ 0x50000, 0x20000, -EEXIST },
	{ 0x60000, 0x20000, 0 },
	{ RAM_GPA + 0x10000, 0x20000, -EEXIST },
	{ 0x10000, RAM_GPA - 0x30000, -EEXIST },
	{ 0x10000, RAM_GPA - 0x40000, 0 },
	{ 0x10000, RAM_GPA + RAM_SIZE, 0 },
};

/* The interrupt controller is in the address space, clear of itself and of memory. */
START_TEST(test_controllers)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;

	gh_fdt_close(fdt);
	gh_vm_close(vm);
	options.backend = "fake";
	options.fake = fake;
	options.gic_distributor = controllers[_i].distributor;
	options.gic_redistributors = controllers[_i].redistributors;
	ck_assert_int_eq(gh_vm_open(&options, &vm), 0);
	map_at(vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	(void)add_vcpu(vm, 0);
	(void)add_vcpu(vm, 1);
	ck_assert_int_eq(gh_fdt_open(vm, NULL, &fdt), 0);
	if (controllers[_i].error == 0)
		ck_assert_int_eq(gh_fdt_finish(fdt, DTB_GPA, 0), 0);
	else
		refuses_finish(DTB_GPA, 0, controllers[_i].error);
}
END_TEST

/* --- callers' trees -------------------------------------------------------------------------------------------------- */

START_TEST(test_base_garbage)
{
	struct fdt_header *header = (struct fdt_header *)(void *)base;
	size_t size = fdt_totalsize(base);

	ck_assert_int_eq(open_base(size), 0);
	ck_assert_int_eq(open_base(size - 1), -EINVAL);
	ck_assert_int_eq(open_base(0), -EINVAL);
	ck_assert_int_eq(open_base(7), -EINVAL);
	fdt_set_version(base, 15);
	ck_assert_int_eq(open_base(size), -EINVAL);
	fdt_set_version(base, 17);
	fdt_set_off_dt_struct(base, 0xfffffff0);
	ck_assert_int_eq(open_base(size), -EINVAL);
	memset(header, 0xff, sizeof(*header));
	ck_assert_int_eq(open_base(size), -EINVAL);
}
END_TEST

/* A tree that is part of the program can be anywhere. */
START_TEST(test_base_anywhere)
{
	const struct gh_fdt_options defaults = GH_FDT_OPTIONS_INIT;
	struct gh_fdt_options options = defaults;
	size_t size = fdt_totalsize(base);
	const void *blob = NULL;
	char *room = malloc(size + 8);

	ck_assert_ptr_nonnull(room);
	options.base = memcpy(room + _i, base, size);
	options.base_size = size;
	(void)add_vcpu(vm, 0);
	gh_fdt_close(fdt);
	ck_assert_int_eq(gh_fdt_open(vm, &options, &fdt), 0);
	free(room);
	ck_assert_int_eq(gh_fdt_finish(fdt, DTB_GPA, 0), 0);
	ck_assert_int_eq(gh_fdt_blob(fdt, &blob, &size), 0);
	ck_assert_int_eq(fdt_check_full(blob, size), 0);
}
END_TEST

START_TEST(test_base_too_large)
{
	struct gh_fdt_options options = GH_FDT_OPTIONS_INIT;
	size_t size = GH_FDT_MAX + 4096;
	char *large = malloc(size);

	ck_assert_ptr_nonnull(large);
	ck_assert_int_eq(fdt_open_into(base, large, (int)size), 0);
	options.base = large;
	options.base_size = size;
	ck_assert_int_eq(open_with(&options), -ENOSPC);
	free(large);
}
END_TEST

static void reopen(void)
{
	struct gh_fdt_options options = GH_FDT_OPTIONS_INIT;

	gh_fdt_close(fdt);
	fdt = NULL;
	options.base = base;
	options.base_size = sizeof(base);
	ck_assert_int_eq(gh_fdt_open(vm, &options, &fdt), 0);
}

static int add_node(int parent, const char *name)
{
	int node = fdt_add_subnode(base, parent, name);

	ck_assert_int_ge(node, 0);
	return node;
}

START_TEST(test_base_cells)
{
	ck_assert_int_eq(fdt_setprop_u32(base, 0, "#size-cells", 1), 0);
	ck_assert_int_eq(open_base(sizeof(base)), -EINVAL);
	ck_assert_int_eq(fdt_delprop(base, 0, "#size-cells"), 0);
	ck_assert_int_eq(open_base(sizeof(base)), -EINVAL);
	ck_assert_int_eq(fdt_delprop(base, 0, "#address-cells"), 0);
	ck_assert_int_eq(open_base(sizeof(base)), 0);
	(void)add_node(0, "node");
	ck_assert_int_eq(open_base(sizeof(base)), -EINVAL);
}
END_TEST

static void make_gic(uint32_t cells)
{
	int node = add_node(0, "gic@1000");

	ck_assert_int_eq(fdt_setprop_string(base, node, "compatible", "arm,gic-v3"), 0);
	ck_assert_int_eq(fdt_setprop(base, node, "interrupt-controller", NULL, 0), 0);
	ck_assert_int_eq(fdt_setprop_u32(base, node, "#interrupt-cells", cells), 0);
	ck_assert_int_eq(fdt_setprop_u32(base, node, "phandle", 77), 0);
}

/* Either of the two names is enough, and cells that somebody counts on stay. */
START_TEST(test_base_of_today)
{
	const void *blob = NULL;
	size_t size = 0;
	int node;

	make_gic(3);
	node = fdt_path_offset(base, "/gic@1000");
	ck_assert_int_eq(fdt_setprop_u32(base, node, "#address-cells", 1), 0);
	node = fdt_path_offset(base, "/gic@1000");
	ck_assert_int_eq(fdt_setprop_u32(base, node, "#size-cells", 0), 0);
	ck_assert_int_eq(fdt_setprop_string(base, add_node(0, "power"), "compatible", "arm,psci-1.0"), 0);
	reopen();
	(void)add_vcpu(vm, 0);
	ck_assert_int_eq(gh_fdt_finish(fdt, DTB_GPA, 0), 0);
	ck_assert_int_eq(gh_fdt_blob(fdt, &blob, &size), 0);
	ck_assert_int_lt(fdt_path_offset(blob, "/psci"), 0);
	node = fdt_path_offset(blob, "/interrupt-controller@3fff0000");
	ck_assert_uint_eq(fdt32_ld(fdt_getprop(blob, node, "#address-cells", NULL)), 1);
	ck_assert_uint_eq(fdt32_ld(fdt_getprop(blob, node, "#size-cells", NULL)), 0);
}
END_TEST

/* What a tree has stays; what the VM knows better does not. */
START_TEST(test_base_kept)
{
	const void *blob = NULL;
	size_t size = 0;
	int node;

	make_gic(3);
	ck_assert_int_eq(fdt_setprop_u32(base, 0, "interrupt-parent", 77), 0);
	ck_assert_int_eq(fdt_setprop_string(base, add_node(0, "memory"), "device_type", "memory"), 0);
	ck_assert_int_eq(fdt_setprop_string(base, add_node(0, "memory@1000"), "device_type", "memory"), 0);
	ck_assert_int_eq(fdt_setprop_string(base, add_node(0, "chosen"), "bootargs", "theirs"), 0);
	ck_assert_int_eq(fdt_setprop_string(base, add_node(0, "power"), "compatible", "arm,psci-0.2"), 0);
	node = add_node(add_node(0, "cpus"), "cpu@0");
	ck_assert_int_eq(fdt_setprop_string(base, node, "device_type", "cpu"), 0);
	ck_assert_int_eq(fdt_setprop_string(base, 0, "model", "theirs"), 0);
	ck_assert_int_eq(fdt_setprop_string(base, 0, "compatible", "a,board"), 0);
	ck_assert_int_eq(fdt_setprop_string(base, add_node(0, "clock"), "compatible", "arm,armv8-timer"), 0);
	reopen();
	(void)add_vcpu(vm, 0);
	ck_assert_int_eq(gh_fdt_finish(fdt, DTB_GPA, 0), 0);
	ck_assert_int_eq(gh_fdt_blob(fdt, &blob, &size), 0);
	ck_assert_int_lt(fdt_path_offset(blob, "/memory@1000"), 0);
	ck_assert_int_ge(fdt_path_offset(blob, "/memory@80000000"), 0);
	ck_assert_int_lt(fdt_path_offset(blob, "/psci"), 0);
	ck_assert_int_lt(fdt_path_offset(blob, "/gic@1000"), 0);
	node = fdt_path_offset(blob, "/interrupt-controller@3fff0000");
	ck_assert_int_ge(node, 0);
	ck_assert_uint_eq(fdt_get_phandle(blob, node), 77);
	ck_assert_str_eq(fdt_getprop(blob, fdt_path_offset(blob, "/chosen"), "bootargs", NULL), "theirs");
	ck_assert_str_eq(fdt_getprop(blob, 0, "model", NULL), "theirs");
	ck_assert_str_eq(fdt_getprop(blob, 0, "compatible", NULL), "a,board");
	ck_assert_int_lt(fdt_path_offset(blob, "/timer"), 0);
	ck_assert_ptr_null(fdt_getprop(blob, fdt_path_offset(blob, "/cpus/cpu@0"), "enable-method", NULL));
}
END_TEST

START_TEST(test_base_unfit)
{
	int node;

	(void)add_vcpu(vm, 0);
	switch (_i) {
	case 0:
		make_gic(2);
		break;
	case 1:
		make_gic(3);
		ck_assert_int_eq(fdt_setprop_u32(base, 0, "interrupt-parent", 78), 0);
		break;
	case 2:
		node = add_node(add_node(0, "bus"), "gic");
		ck_assert_int_eq(fdt_setprop_string(base, node, "compatible", "arm,gic-v3"), 0);
		ck_assert_int_eq(fdt_setprop(base, node, "interrupt-controller", NULL, 0), 0);
		ck_assert_int_eq(fdt_setprop_u32(base, node, "#interrupt-cells", 3), 0);
		break;
	case 3: /* too few cpus */
		node = add_node(add_node(0, "cpus"), "cpu@0");
		ck_assert_int_eq(fdt_setprop_string(base, node, "device_type", "cpu"), 0);
		ck_assert_int_eq(fdt_setprop_string(base, node, "status", "fail"), 0);
		break;
	default: /* no phandle is left */
		ck_assert_int_eq(fdt_setprop_u32(base, add_node(0, "last"), "phandle", 0xfffffffe), 0);
		break;
	}
	reopen();
	refuses_finish(DTB_GPA, 0, -EINVAL);
}
END_TEST

START_TEST(test_base_has_device)
{
	(void)add_vcpu(vm, 0);
	(void)add_node(0, "serial@1000");
	reopen();
	ck_assert_int_eq(gh_fdt_add_serial(fdt, 0x1000, 1, 0), 0);
	refuses_finish(DTB_GPA, 0, -EEXIST);
}
END_TEST

/* One that Gunyah's resource manager would read already: completed, and good enough for a start. */
START_TEST(test_base_of_gunyah)
{
	static const struct tree_bell bells[] = { { 5, 5, 1 } };
	static const struct tree_shm shms[] = { { 1, 0x90000000 } };
	static const struct tree theirs = {
		.cpus = 2, .bells = bells, .bell_count = 1, .shms = shms, .shm_count = 1, .base = 0xc0000000
	};
	struct gh_fdt_options options = GH_FDT_OPTIONS_INIT;
	struct gh_sim *sim = new_sim(GUNYAH, "");
	struct gh_vm *other = open_sim(sim);
	struct gh_fdt *tree = NULL;
	const void *blob = NULL;
	size_t size = 0;

	options.base = base;
	options.base_size = tree_build(&theirs, base, sizeof(base));
	map_at(other, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	map_at(other, 0x90000000, MIB, GH_MEMORY_RWX);
	map_at(other, 0xa0000000, MIB, GH_MEMORY_RWX);
	(void)add_vcpu(other, 0);
	ck_assert_int_eq(gh_fdt_open(other, &options, &tree), 0);
	ck_assert_int_eq(gh_fdt_add_serial(tree, 0x3f8, 5, 0), 0);
	ck_assert_int_eq(gh_fdt_add_virtio(tree, 0x1000, 6, 0), 0);
	ck_assert_msg(gh_fdt_finish(tree, DTB_GPA, 0) == 0, "%s", gh_vm_failure(other)->cause);
	ck_assert_int_eq(gh_fdt_blob(tree, &blob, &size), 0);
	ck_assert_str_eq(fdt_getprop(blob, fdt_path_offset(blob, "/gunyah-vm-config"), "image-name", NULL), "test-vm");
	/* Theirs, and one that was missing. */
	ck_assert_int_lt(fdt_path_offset(blob, "/gunyah-vm-config/vdevices/bell-5"), 0);
	ck_assert_int_ge(fdt_path_offset(blob, "/gunyah-vm-config/vdevices/bell-6"), 0);
	ck_assert_int_lt(fdt_path_offset(blob, "/gunyah-vm-config/vdevices/shm-1"), 0);
	ck_assert_int_ge(fdt_path_offset(blob, "/gunyah-vm-config/vdevices/shm-2"), 0);
	ck_assert_msg(gh_vm_start(other) == 0, "%s", gh_vm_failure(other)->cause);
	gh_fdt_close(tree);
	gh_vm_close(other);
	end_sim(sim);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fdt_refused");
	TCase *tcase = add_case(suite, "fdt_refused");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, test_open);
	tcase_add_test(tcase, test_null);
	tcase_add_test(tcase, test_started);
	tcase_add_test(tcase, test_forked);
	tcase_add_loop_test(tcase, test_names, 0, sizeof(bad_names) / sizeof(bad_names[0]));
	tcase_add_test(tcase, test_shapes);
	tcase_add_test(tcase, test_ranges);
	tcase_add_test(tcase, test_place);
	tcase_add_test(tcase, test_initrd);
	tcase_add_loop_test(tcase, test_devices_in_the_way, 0, sizeof(taken) / sizeof(taken[0]));
	tcase_add_test(tcase, test_too_large);
	tcase_add_test(tcase, test_two_triggers);
	tcase_add_loop_test(tcase, test_controllers, 0, sizeof(controllers) / sizeof(controllers[0]));
	tcase_add_test(tcase, test_gunyah);
	tcase_add_test(tcase, test_base_garbage);
	tcase_add_loop_test(tcase, test_base_anywhere, 0, 9);
	tcase_add_test(tcase, test_base_too_large);
	tcase_add_test(tcase, test_base_cells);
	tcase_add_test(tcase, test_base_kept);
	tcase_add_test(tcase, test_base_of_today);
	tcase_add_loop_test(tcase, test_base_unfit, 0, 5);
	tcase_add_test(tcase, test_base_has_device);
	tcase_add_test(tcase, test_base_of_gunyah);
	return run_suite(suite);
}
