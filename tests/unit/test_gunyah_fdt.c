/* SPDX-License-Identifier: BSD-3-Clause */
/* What the library writes into a devicetree for Gunyah's resource manager, property by property (section 2.3 of the document). */
#include "util.h"

#include "../../lib/backend.h"

#include <errno.h>
#include <gh/fdt.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#define MORE_GPA UINT64_C(0x90000000)
#define CONFIG "/gunyah-vm-config"

static struct gh_sim *sim;
static struct gh_vm *vm;
static struct gh_fdt *fdt;
static char base[8192];

static void begin(size_t base_size)
{
	struct gh_fdt_options options = GH_FDT_OPTIONS_INIT;

	options.base = base_size != 0 ? base : NULL;
	options.base_size = base_size;
	sim = new_sim(GUNYAH, "off");
	vm = open_sim(sim);
	map_at(vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	map_at(vm, MORE_GPA, MIB, GH_MEMORY_READ | GH_MEMORY_WRITE);
	(void)add_vcpu(vm, 0);
	ck_assert_int_eq(gh_fdt_open(vm, &options, &fdt), 0);
	ck_assert_int_eq(gh_fdt_add_serial(fdt, 0x3f8, 5, 0), 0);
	ck_assert_int_eq(gh_fdt_add_virtio(fdt, 0x1000, 6, GH_IRQ_LEVEL), 0);
}

static const void *finish(void)
{
	const void *blob = NULL;
	size_t size = 0;

	ck_assert_msg(gh_fdt_finish(fdt, DTB_GPA, 0) == 0, "%s", gh_vm_failure(vm)->cause);
	ck_assert_int_eq(gh_fdt_blob(fdt, &blob, &size), 0);
	return blob;
}

static void end(void)
{
	gh_fdt_close(fdt);
	gh_vm_close(vm);
	end_sim(sim);
}

/* Strings with their 0, cells in the order of the tree: a node is exactly this. */
static void has(const void *blob, const char *path, const char *name, const void *value, int size)
{
	int node = fdt_path_offset(blob, path);
	int length = 0;
	const void *property = node >= 0 ? fdt_getprop(blob, node, name, &length) : NULL;

	ck_assert_msg(property != NULL, "no %s in %s", name, path);
	ck_assert_msg(length == size, "%s in %s has %d bytes", name, path, length);
	ck_assert_msg(size == 0 || memcmp(property, value, (size_t)size) == 0, "%s in %s", name, path);
}

static bool has_no(const void *blob, const char *path, const char *name)
{
	return fdt_getprop(blob, fdt_path_offset(blob, path), name, NULL) == NULL;
}

#define HAS_STRING(blob, path, name, text) has(blob, path, name, text, (int)sizeof(text))
#define HAS_CELLS(blob, path, name, bytes) has(blob, path, name, bytes, (int)sizeof(bytes) - 1)
#define HAS_FLAG(blob, path, name) has(blob, path, name, "", 0)

/* --- from nothing ---------------------------------------------------------------------------------------------------- */

static void look_at_bells(const void *blob)
{
	static const char bell5[] = CONFIG "/vdevices/bell-5";
	static const char bell6[] = CONFIG "/vdevices/bell-6";

	HAS_STRING(blob, bell5, "vdevice-type", "doorbell");
	HAS_STRING(blob, bell5, "generate", "/hypervisor/bell-5");
	HAS_CELLS(blob, bell5, "qcom,label", "\0\0\0\5");
	HAS_FLAG(blob, bell5, "peer-default");
	HAS_FLAG(blob, bell5, "source-can-clear");
	HAS_CELLS(blob, bell5, "interrupts", "\0\0\0\0\0\0\0\5\0\0\0\1");
	HAS_STRING(blob, bell6, "generate", "/hypervisor/bell-6");
	HAS_CELLS(blob, bell6, "interrupts", "\0\0\0\0\0\0\0\6\0\0\0\4");
}

START_TEST(test_whole)
{
	static const char shm[] = CONFIG "/vdevices/shm-1";
	const void *blob;

	begin(0);
	blob = finish();
	HAS_STRING(blob, CONFIG, "os-type", "linux");
	HAS_CELLS(blob, CONFIG "/memory", "#address-cells", "\0\0\0\2");
	HAS_CELLS(blob, CONFIG "/memory", "#size-cells", "\0\0\0\2");
	HAS_CELLS(blob, CONFIG "/memory", "base-address", "\0\0\0\0\x80\0\0\0");
	HAS_CELLS(blob, CONFIG "/memory", "size-max", "\0\0\0\7\x80\0\0\0");
	ck_assert(has_no(blob, CONFIG "/memory", "firmware-address"));
	ck_assert(has_no(blob, CONFIG "/memory", "firmware-size-max"));
	HAS_STRING(blob, CONFIG "/vcpus", "config", "/cpus");
	HAS_STRING(blob, CONFIG "/vcpus", "affinity", "proxy");
	HAS_STRING(blob, CONFIG "/vdevices", "generate", "/hypervisor");
	look_at_bells(blob);
	HAS_STRING(blob, shm, "vdevice-type", "shm");
	HAS_STRING(blob, shm, "generate", "/hypervisor/shm-1");
	HAS_FLAG(blob, shm, "peer-default");
	HAS_CELLS(blob, CONFIG "/vdevices/shm-1/memory", "#address-cells", "\0\0\0\2");
	HAS_CELLS(blob, CONFIG "/vdevices/shm-1/memory", "qcom,label", "\0\0\0\1");
	HAS_CELLS(blob, CONFIG "/vdevices/shm-1/memory", "base", "\0\0\0\0\x90\0\0\0");
	end();
}
END_TEST

/* Firmware of more than 4 MiB is more than the resource manager expects. */
START_TEST(test_firmware)
{
	static const uint64_t sizes[] = { MIB, 4 * MIB, 8 * MIB };
	const void *blob;

	begin(0);
	map_at(vm, UINT64_C(0xa0000000), 8 * MIB, GH_MEMORY_RWX);
	ck_assert_int_eq(gh_vm_set_firmware(vm, UINT64_C(0xa0000000), sizes[_i]), 0);
	blob = finish();
	HAS_CELLS(blob, CONFIG "/memory", "firmware-address", "\0\0\0\0\xa0\0\0\0");
	if (_i == 2)
		HAS_CELLS(blob, CONFIG "/memory", "firmware-size-max", "\0\0\0\0\0\x80\0\0");
	else
		ck_assert(has_no(blob, CONFIG "/memory", "firmware-size-max"));
	end();
}
END_TEST

/* --- a caller's tree -------------------------------------------------------------------------------------------------- */

static int own(int parent, const char *name)
{
	int node = fdt_subnode_offset(base, parent, name);

	if (node < 0)
		node = fdt_add_subnode(base, parent, name);
	ck_assert_int_ge(node, 0);
	return node;
}

static void own_string(const char *path, const char *name, const char *text)
{
	ck_assert_int_eq(fdt_setprop(base, fdt_path_offset(base, path), name, text, (int)strlen(text) + 1), 0);
}

/* Something with a label that is no doorbell. */
static void own_queue(const char *name, uint32_t label)
{
	int node = own(fdt_path_offset(base, "/qcom,vm-config/vdevices"), name);
	char path[64];

	ck_assert_int_eq(fdt_setprop_u32(base, node, "qcom,label", label), 0);
	ck_assert_int_eq(fdt_setprop(base, node, "is-sender", NULL, 0), 0);
	ck_assert_int_eq(fdt_setprop(base, node, "peer-default", NULL, 0), 0);
	(void)snprintf(path, sizeof(path), "/qcom,vm-config/vdevices/%s", name);
	own_string(path, "vdevice-type", "message-queue");
	own_string(path, "generate", "/hypervisor/queue");
}

/* What the caller says stays; what the VM knows better does not. Something with a label is no doorbell yet. */
START_TEST(test_own)
{
	static const struct tree_bell bells[] = { { 5, 5, 4 } };
	static const struct tree theirs = { .defect = TREE_QCOM_NAME, .cpus = 1, .bells = bells, .bell_count = 1 };
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	struct gh_irqfd *irqfd = NULL;
	const void *blob;

	ck_assert_uint_ne(tree_build(&theirs, base, sizeof(base)), 0);
	ck_assert_int_eq(fdt_open_into(base, base, (int)sizeof(base)), 0);
	own_queue("a", 6);
	own_queue("b", 7);
	own_string("/qcom,vm-config", "os-type", "own");
	own_string("/qcom,vm-config", "image-name", "own");
	own_string("/qcom,vm-config/vdevices", "generate", "/hypervisor/own");
	ck_assert_int_eq(
		fdt_setprop_u64(base, fdt_path_offset(base, "/qcom,vm-config/memory"), "size-max", UINT64_C(0x40000000)),
		0);
	begin(sizeof(base));
	blob = finish();
	ck_assert_int_lt(fdt_path_offset(blob, CONFIG), 0);
	HAS_STRING(blob, "/qcom,vm-config", "os-type", "own");
	HAS_STRING(blob, "/qcom,vm-config", "image-name", "own");
	HAS_STRING(blob, "/qcom,vm-config/vdevices", "generate", "/hypervisor/own");
	HAS_CELLS(blob, "/qcom,vm-config/memory", "size-max", "\0\0\0\0\x40\0\0\0");
	HAS_STRING(blob, "/qcom,vm-config/vcpus", "affinity", "proxy");
	ck_assert_int_lt(fdt_path_offset(blob, "/qcom,vm-config/vdevices/bell-5"), 0);
	HAS_STRING(blob, "/qcom,vm-config/vdevices/bell-6", "vdevice-type", "doorbell");
	ck_assert_int_eq(gh_vm_start(vm), 0);
	options.line = 7;
	ck_assert_int_eq(gh_irqfd_add(vm, &options, &irqfd), -EINVAL);
	ck_assert_uint_eq(gh_vm_failure(vm)->cause_id, GH_CAUSE_BELL_NOT_IN_TREE);
	options.line = 6;
	ck_assert_int_eq(gh_irqfd_add(vm, &options, &irqfd), 0);
	end();
}
END_TEST

static int complete(void *tree)
{
	static const struct gh_fdt_line lines[] = { { 5, false }, { 6, true } };
	const struct gh_fdt_plan plan = {
		.gpa = DTB_GPA, .room = 0x10000, .gic = "/intc", .name = "vm", .lines = lines, .n_lines = 2
	};

	return gh_backend_gunyah.fdt((struct gh_bvm *)(void *)vm, &plan, tree);
}

/* The cpus may be elsewhere; how they are scheduled is no choice. */
START_TEST(test_own_cpus)
{
	begin(0);
	ck_assert_int_eq(fdt_create_empty_tree(base, (int)sizeof(base)), 0);
	(void)own(own(0, "gunyah-vm-config"), "vcpus");
	own_string(CONFIG "/vcpus", "config", "/others");
	own_string(CONFIG "/vcpus", "affinity", "static");
	ck_assert_int_eq(complete(base), 0);
	HAS_STRING(base, CONFIG "/vcpus", "config", "/others");
	HAS_STRING(base, CONFIG "/vcpus", "affinity", "proxy");
	end();
}
END_TEST

/* --- room ------------------------------------------------------------------------------------------------------------- */

/* It is all there, or the caller is told to come back with more room. */
START_TEST(test_room)
{
	static char buffer[4096];
	int ret = -1;

	begin(0);
	for (int room = 64; ret != 0; room += 4) {
		ck_assert_int_lt(room, (int)sizeof(buffer));
		if (fdt_create_empty_tree(buffer, room) < 0)
			continue;
		ret = complete(buffer);
		ck_assert(ret == 0 || ret == -FDT_ERR_NOSPACE);
	}
	look_at_bells(buffer);
	HAS_CELLS(buffer, CONFIG "/memory", "#address-cells", "\0\0\0\2");
	HAS_STRING(buffer, CONFIG "/interrupts", "config", "/intc");
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("gunyah_fdt");
	TCase *tcase = add_case(suite, "gunyah_fdt");

	tcase_add_test(tcase, test_whole);
	tcase_add_loop_test(tcase, test_firmware, 0, 3);
	tcase_add_test(tcase, test_own);
	tcase_add_test(tcase, test_own_cpus);
	tcase_add_test(tcase, test_room);
	return run_suite(suite);
}
