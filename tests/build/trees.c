/* SPDX-License-Identifier: BSD-3-Clause */
/* Writes devicetrees of the builder into a directory: of every kind of hypervisor, small and large, on a caller's tree. */
#include "util.h"

#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

enum contents { SMALL, FULL, ON_BASE, TWICE, CONTENTS };

static const char *const contents_names[CONTENTS] = { "small", "full", "on-base", "twice" };
static const struct {
	const char *name;
	const char *device;
} kinds[] = { { "fake", NULL }, { "gunyah", GUNYAH }, { "geniezone", GENIEZONE } };

static int write_file(const char *where, const char *kind, const char *contents, const void *data, size_t size)
{
	char path[512];
	size_t written;
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s-%s.dtb", where, kind, contents);
	file = fopen(path, "wb");
	if (file == NULL)
		return 1;
	written = fwrite(data, 1, size, file);
	return fclose(file) != 0 || written != size;
}

static void add_devices(struct gh_fdt *fdt)
{
	static const char *const uart[] = { "arm,pl011", "arm,primecell" };
	static const char *const keys[] = { "gpio-keys" };
	static const struct gh_fdt_irq irq = { 7, GH_IRQ_LEVEL };
	struct gh_fdt_device device = GH_FDT_DEVICE_INIT;

	ck_assert_int_eq(gh_fdt_add_serial(fdt, 0x3f8, 5, 0), 0);
	for (uint32_t i = 0; i < 8; i++)
		ck_assert_int_eq(gh_fdt_add_virtio(fdt, 0xa000000 + i * 0x200, 16 + i, 0), 0);
	device.name = "uart";
	device.compatible = uart;
	device.n_compatible = 2;
	device.gpa = 0x9000000;
	device.length = 0x1000;
	device.irqs = &irq;
	device.n_irqs = 1;
	device.flags = GH_FDT_PRIMECELL;
	ck_assert_int_eq(gh_fdt_add_device(fdt, &device), 0);
	device = (struct gh_fdt_device)GH_FDT_DEVICE_INIT;
	device.name = "keys";
	device.compatible = keys;
	device.n_compatible = 1;
	ck_assert_int_eq(gh_fdt_add_device(fdt, &device), 0);
}

/* A caller's tree with a node of its own. */
static size_t make_base(void *buffer, size_t size)
{
	int ret = fdt_create_empty_tree(buffer, (int)size);
	int node = fdt_add_subnode(buffer, 0, "firmware");

	if (ret < 0 || node < 0 || fdt_setprop_string(buffer, node, "vendor", "none") < 0)
		return 0;
	ret = fdt_setprop_u32(buffer, 0, "#address-cells", 2);
	return ret < 0 || fdt_setprop_u32(buffer, 0, "#size-cells", 2) < 0 ? 0 : fdt_totalsize(buffer);
}

static struct gh_fdt *describe(struct gh_vm *vm, enum contents contents, const void *base, size_t base_size)
{
	struct gh_fdt_options options = GH_FDT_OPTIONS_INIT;
	struct gh_fdt *fdt = NULL;

	if (contents != SMALL) {
		options.command_line = "console=ttyS0 quiet";
		options.initrd_gpa = RAM_GPA + MIB;
		options.initrd_length = 12345;
		options.base = base;
		options.base_size = base_size;
	}
	ck_assert_int_eq(gh_fdt_open(vm, &options, &fdt), 0);
	if (contents != SMALL)
		add_devices(fdt);
	return fdt;
}

static int write_one(const char *where, size_t kind, enum contents contents)
{
	struct gh_sim *sim = kinds[kind].device != NULL ? new_sim(kinds[kind].device, "") : NULL;
	struct gh_fake *fake = new_fake();
	struct gh_vm *vm = sim != NULL ? open_sim(sim) : open_fake(fake);
	static char base[4096];
	size_t base_size = contents == ON_BASE ? make_base(base, sizeof(base)) : 0;
	struct gh_fdt *fdt;
	const void *blob;
	size_t size;
	int ret;

	map_at(vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	map_at(vm, RAM_GPA + 64 * MIB, RAM_SIZE, GH_MEMORY_RWX);
	for (uint32_t id = 0; id < (contents == SMALL ? 1 : 4); id++)
		(void)add_vcpu(vm, id);
	fdt = describe(vm, contents, base_size != 0 ? base : NULL, base_size);
	ret = gh_fdt_finish(fdt, DTB_GPA, 0);
	ck_assert_msg(ret == 0, "%s", gh_vm_failure(vm)->cause);
	ck_assert_int_eq(gh_fdt_blob(fdt, &blob, &size), 0);
	if (contents == TWICE) {
		/* The finished tree as the next one's base. */
		struct gh_fdt_options options = GH_FDT_OPTIONS_INIT;
		struct gh_fdt *second = NULL;

		options.base = blob;
		options.base_size = size;
		ck_assert_int_eq(gh_fdt_open(vm, &options, &second), 0);
		gh_fdt_close(fdt);
		fdt = second;
		ret = gh_fdt_finish(fdt, DTB_GPA, 0);
		ck_assert_msg(ret == 0, "%s", gh_vm_failure(vm)->cause);
		ck_assert_int_eq(gh_fdt_blob(fdt, &blob, &size), 0);
	}
	ret = write_file(where, kinds[kind].name, contents_names[contents], blob, size);
	gh_fdt_close(fdt);
	gh_vm_close(vm);
	gh_fake_free(fake);
	if (sim != NULL)
		gh_sim_free(sim);
	return ret;
}

static const char *directory;

START_TEST(write_trees)
{
	for (int contents = 0; contents < CONTENTS; contents++)
		ck_assert_int_eq(write_one(directory, (size_t)_i, (enum contents)contents), 0);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("trees");
	TCase *tcase = tcase_create("trees");

	if (argc != 2) {
		(void)fprintf(stderr, "usage: fdt-trees DIRECTORY\n");
		return 2;
	}
	directory = argv[1];
	suite_add_tcase(suite, tcase);
	tcase_add_loop_test(tcase, write_trees, 0, sizeof(kinds) / sizeof(kinds[0]));
	return run_suite(suite);
}
