/* SPDX-License-Identifier: BSD-3-Clause */
/* The resource manager: each rule with a tree that breaks only that one, placement, and the tree that the guest gets. */
#include "../../lib/sim/gunyah_rm.h"
#include "../../lib/uapi/gunyah.h"
#include "tree.h"

#include <check.h>
#include <errno.h>
#include <libfdt.h>
#include <stdlib.h>
#include <string.h>

#define ROOM 65536u
#define RWX (UAPI_GUNYAH_MEM_READ | UAPI_GUNYAH_MEM_WRITE | UAPI_GUNYAH_MEM_EXEC)
#define RAM_SIZE 0x400000ull

static const struct tree_bell bells[] = { { 5, 32, 1 }, { 6, 33, 4 } };
static const struct tree_shm shms[] = { { 1, 0x90000000 } };

static void *buffer;
static struct rm_tree parsed;

static void setup(void)
{
	buffer = calloc(1, ROOM);
	ck_assert_ptr_nonnull(buffer);
	memset(&parsed, 0, sizeof(parsed));
}

static void teardown(void)
{
	gunyah_rm_tree_free(&parsed);
	free(buffer);
}

static int parse(const struct tree *tree)
{
	size_t size = tree_build(tree, buffer, ROOM);

	ck_assert_uint_gt(size, 0);
	gunyah_rm_tree_free(&parsed);
	return gunyah_rm_parse(buffer, size, &parsed);
}

static const struct {
	struct tree tree;
	int result;
} rules[] = {
	{ { .defect = TREE_SOUND }, 0 },
	{ { .defect = TREE_QCOM_NAME }, 0 },
	{ { .defect = TREE_NO_CONFIG }, -ENODEV },
	{ { .defect = TREE_NO_IMAGE_NAME }, -EINVAL },
	{ { .defect = TREE_LONG_IMAGE_NAME }, -EINVAL },
	{ { .defect = TREE_UNTERMINATED_IMAGE_NAME }, -EINVAL },
	{ { .defect = TREE_NO_MEMORY_CONFIG }, -EINVAL },
	{ { .defect = TREE_NO_MEMORY_CELLS }, -EINVAL },
	{ { .defect = TREE_NO_BASE }, 0 },
	{ { .defect = TREE_UNALIGNED_BASE }, -EINVAL },
	{ { .defect = TREE_LONG_BASE }, -EINVAL },
	{ { .base = 0xfffffffffffff000 }, -EINVAL },
	{ { .defect = TREE_MEMORY_UNIT_ADDRESS }, -EINVAL },
	{ { .defect = TREE_MEMORY_ELSEWHERE }, -EINVAL },
	{ { .defect = TREE_HYPERVISOR }, 0 }, /* found out later */
	{ { .defect = TREE_NO_INTERRUPTS }, 0 },
	{ { .defect = TREE_PHANDLE_CONFIG }, 0 },
	{ { .defect = TREE_PHANDLE_NO_ROOT }, -EINVAL },
	{ { .defect = TREE_BAD_INTERRUPTS }, -EINVAL },
	{ { .defect = TREE_GIC_V2 }, -EINVAL },
	{ { .defect = TREE_GIC_NO_CONTROLLER }, -EINVAL },
	{ { .defect = TREE_GIC_TWO_CELLS }, -EINVAL },
	{ { .defect = TREE_GIC_NO_REG }, 0 },
	{ { .defect = TREE_GIC_SHORT_REG }, -EINVAL },
	{ { .defect = TREE_GIC_TWO_REGIONS }, -EINVAL },
	{ { .defect = TREE_GIC_SMALL_STRIDE }, -EINVAL },
	{ { .defect = TREE_NO_VCPUS }, -EINVAL },
	{ { .defect = TREE_NO_AFFINITY }, -EINVAL },
	{ { .defect = TREE_STATIC_AFFINITY }, -EINVAL },
	{ { .defect = TREE_NO_CPUS_NODE }, -EINVAL },
	{ { .no_cpu = true }, -EINVAL },
	{ { .cpus = 8 }, 0 },
	{ { .cpus = 9 }, -ENODEV },
	{ { .cpus = 2, .defect = TREE_NO_ENABLE_METHOD }, -EINVAL },
	{ { .cpus = 1, .defect = TREE_NO_ENABLE_METHOD }, 0 },
	{ { .cpus = 1, .defect = TREE_FAILED_CPU }, -EINVAL },
	{ { .defect = TREE_NO_GENERATE }, -EINVAL },
	{ { .bells = bells, .bell_count = 2 }, 0 },
	{ { .bells = bells, .bell_count = 2, .defect = TREE_BELL_NO_LABEL }, -EINVAL },
	{ { .bells = bells, .bell_count = 2, .defect = TREE_BELL_SHORT_INTERRUPTS }, 0 }, /* ignored */
	{ { .shms = shms, .shm_count = 1 }, 0 },
	{ { .shms = shms, .shm_count = 1, .defect = TREE_SHM_NO_PEER }, -EINVAL },
	{ { .shms = shms, .shm_count = 1, .defect = TREE_SHM_NO_LABEL }, -EINVAL },
	{ { .shms = shms, .shm_count = 1, .defect = TREE_SHM_NO_MEMORY }, -EINVAL },
	{ { .defect = TREE_UNKNOWN_VDEVICE }, 0 }, /* ignored, too */
	{ { .defect = TREE_NO_TYPE_VDEVICE }, 0 },
};

START_TEST(test_rule)
{
	int ret = parse(&rules[_i].tree);

	ck_assert_msg(ret == rules[_i].result, "rule %d (defect %d): %d instead of %d", _i, (int)rules[_i].tree.defect, ret,
		      rules[_i].result);
}
END_TEST

START_TEST(test_what_is_read)
{
	static const struct tree tree = {
		.base = 0x80001000, .size_max = 0x40000000, .cpus = 3, .bells = bells, .bell_count = 2
	};
	static const struct tree failed = { .cpus = 3, .defect = TREE_FAILED_CPU };

	ck_assert_int_eq(parse(&tree), 0);
	ck_assert_str_eq(parsed.name, "test-vm");
	/* Rounded up to 2 MiB. */
	ck_assert_uint_eq(parsed.base, 0x80200000);
	ck_assert_uint_eq(parsed.size_max, 0x40000000);
	ck_assert_uint_eq(parsed.cpus, 3);
	ck_assert_str_eq(parsed.gic_path, "/intc");
	ck_assert_uint_eq(parsed.gic_distributor, TREE_GIC_DISTRIBUTOR);
	ck_assert_uint_eq(parsed.gic_redistributors, TREE_GIC_REDISTRIBUTORS);
	ck_assert_uint_eq(parsed.doorbell_count, 2);
	ck_assert_uint_eq(parsed.doorbells[0].label, 5);
	ck_assert_uint_eq(parsed.doorbells[0].spi, 32);
	ck_assert_uint_eq(parsed.doorbells[1].label, 6);
	ck_assert_uint_eq(parsed.doorbells[1].spi, 33);
	/* A cpu that has failed has no number. */
	ck_assert_int_eq(parse(&failed), 0);
	ck_assert_uint_eq(parsed.cpus, 2);
}
END_TEST

/* Cut off, and with each byte spoiled: refused or read, but never past the end (that is what the sanitizers look for). */
START_TEST(test_hostile)
{
	static const struct tree tree = { .cpus = 2, .bells = bells, .bell_count = 2, .shms = shms, .shm_count = 1 };
	size_t size = tree_build(&tree, buffer, ROOM);
	struct rm_parcel parcels[1] = { { 0, RWX, true, RAM_SIZE, 0, NULL } };

	for (size_t cut = 0; cut < size; cut++) {
		void *copy = malloc(cut + 1);

		memcpy(copy, buffer, cut);
		ck_assert_int_eq(gunyah_rm_parse(copy, cut, &parsed), -EINVAL);
		free(copy);
	}
	for (size_t at = 0; at < size; at++) {
		uint8_t *copy = malloc(size);
		struct rm_memory memory = { parcels, 1, 0, false, false, 0x21, SIZE_MAX };
		void *patched;

		memcpy(copy, buffer, size);
		copy[at] = (uint8_t)(copy[at] ^ (1 + at % 255));
		if (gunyah_rm_parse(copy, size, &parsed) == 0) {
			if (gunyah_rm_place(copy, &parsed, &memory) == 0 &&
			    gunyah_rm_patch(copy, &parsed, &memory, ROOM, &patched) == 0)
				free(patched);
			gunyah_rm_tree_free(&parsed);
		}
		free(copy);
	}
}
END_TEST

static int place(const struct tree *tree, struct rm_memory *memory)
{
	ck_assert_int_eq(parse(tree), 0);
	return gunyah_rm_place(buffer, &parsed, memory);
}

START_TEST(test_place)
{
	static const struct tree plain = { .defect = TREE_SOUND };
	static const struct tree with_shm = { .shms = shms, .shm_count = 1 };
	static const struct tree_shm in_the_way[] = { { 1, TREE_BASE } };
	static const struct tree overlapping = { .shms = in_the_way, .shm_count = 1 };
	struct rm_parcel parcels[3] = {
		{ 7, RWX, true, RAM_SIZE, 0, NULL },
		{ 1, RWX, false, 0x3000, 0, NULL },
		{ 2, RWX, true, 0x1000, 0, NULL },
	};
	struct rm_memory memory = { parcels, 3, 0, false, false, 0x21, SIZE_MAX };

	ck_assert_int_eq(place(&plain, &memory), 0);
	ck_assert_uint_eq(parcels[0].gpa, TREE_BASE);
	ck_assert_uint_eq(parcels[1].gpa, 0x40001000);
	ck_assert_uint_eq(parcels[2].gpa, 0x40004000);
	ck_assert_int_eq(place(&with_shm, &memory), 0);
	ck_assert_uint_eq(parcels[1].gpa, 0x90000000);
	ck_assert_uint_eq(parcels[2].gpa, 0x40001000);
	/* Whichever has the tree goes to the base address. */
	memory.main = 2;
	ck_assert_int_eq(place(&plain, &memory), 0);
	ck_assert_uint_eq(parcels[2].gpa, TREE_BASE);
	memory.main = 0;
	ck_assert_int_eq(place(&overlapping, &memory), -ENODEV);
}
END_TEST

START_TEST(test_place_refused)
{
	static const struct tree sound = { .defect = TREE_SOUND };
	static const struct tree low = { .base = 0x20000000 };
	static const struct tree none = { .defect = TREE_NO_BASE };
	static const struct tree small = { .size_max = 0x200000 };
	static const struct tree hypervisor = { .defect = TREE_HYPERVISOR };
	static const struct tree inside = { .reserved_gpa = TREE_BASE + 0x1000, .reserved_size = 0x1000 };
	static const struct tree outside = { .reserved_gpa = 0x70000000, .reserved_size = 0x1000 };
	static const struct tree partly = { .reserved_gpa = TREE_BASE + RAM_SIZE - 0x1000, .reserved_size = 0x2000 };
	static const struct tree size_only = { .reserved_size = 0x1000 };
	static const struct tree labelled = { .reserved_gpa = 0x70000000, .reserved_size = 0x1000, .reserved_label = 7 };
	static const struct tree mislabelled = { .reserved_gpa = TREE_BASE, .reserved_size = 0x1000, .reserved_label = 8 };
	static const struct {
		const struct tree *tree;
		int result;
	} cases[] = {
		{ &sound, 0 },         { &low, -ENODEV },         { &none, -ENODEV },
		{ &small, -ENODEV },   { &hypervisor, -ENODEV },  { &inside, 0 },
		{ &outside, -ENODEV }, { &partly, -ENODEV },      { &size_only, 0 },
		{ &labelled, 0 },      { &mislabelled, -ENODEV },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rm_parcel parcel = { 7, RWX, false, RAM_SIZE, 0, NULL };
		struct rm_memory memory = { &parcel, 1, 0, false, false, 0x21, SIZE_MAX };
		int ret = place(cases[i].tree, &memory);

		ck_assert_msg(ret == cases[i].result, "case %zu: %d instead of %d", i, ret, cases[i].result);
	}
}
END_TEST

START_TEST(test_policy)
{
	static const struct tree sound = { .defect = TREE_SOUND };
	static const struct {
		bool production;
		bool lent;
		uint32_t flags;
		int result;
	} cases[] = {
		{ false, false, RWX, 0 },      { false, true, RWX, 0 },     { true, true, RWX, 0 },
		{ true, false, RWX, -ENODEV }, { false, false, 3, 0 },      { false, true, 3, 0 },
		{ true, true, 3, -ENODEV },    { true, false, 3, -ENODEV },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rm_parcel parcel = { 0, cases[i].flags, cases[i].lent, RAM_SIZE, 0, NULL };
		struct rm_memory memory = { &parcel, 1, 0, cases[i].production, false, 0x21, SIZE_MAX };
		int ret = place(&sound, &memory);

		ck_assert_msg(ret == cases[i].result, "case %zu: %d instead of %d", i, ret, cases[i].result);
	}
}
END_TEST

static uint32_t get_u32(const void *fdt, const char *path, const char *name)
{
	uint32_t value;

	ck_assert_msg(gunyah_rm_u32(fdt, fdt_path_offset(fdt, path), name, &value) == 0, "%s: %s", path, name);
	return value;
}

static bool has(const void *fdt, const char *path, const char *name)
{
	return fdt_getprop(fdt, fdt_path_offset(fdt, path), name, NULL) != NULL;
}

static void check_reg(const void *fdt, const char *path, unsigned int index, uint64_t address, uint64_t size)
{
	uint64_t found[2];

	ck_assert_int_eq(gunyah_rm_reg(fdt, fdt_path_offset(fdt, path), index, &found[0], &found[1]), 0);
	ck_assert_uint_eq(found[0], address);
	ck_assert_uint_eq(found[1], size);
}

START_TEST(test_patched_tree)
{
	static const struct tree tree = {
		.cpus = 2, .bells = bells, .bell_count = 2, .shms = shms, .shm_count = 1, .defect = TREE_GIC_NO_REG
	};
	struct rm_parcel parcels[4] = {
		{ 7, RWX, true, RAM_SIZE, 0, NULL },
		{ 3, RWX, false, 0x3000, 0, NULL },
		{ 1, RWX, false, 0x1000, 0, NULL },
		{ 4, RWX, true, 0x1000, 0, NULL },
	};
	struct rm_memory memory = { parcels, 4, 0, false, false, 0x21, SIZE_MAX };
	void *patched;

	ck_assert_int_eq(place(&tree, &memory), 0);
	ck_assert_int_eq(gunyah_rm_patch(buffer, &parsed, &memory, 8192, &patched), 0);
	ck_assert_int_eq(fdt_check_full(patched, fdt_totalsize(patched)), 0);
	ck_assert_int_eq(fdt_node_check_compatible(patched, fdt_path_offset(patched, "/hypervisor"), "gunyah-hypervisor"),
			 0);
	ck_assert_uint_ne(get_u32(patched, "/hypervisor/qcom,gunyah-vm", "qcom,vmid"), 0);
	ck_assert_str_eq(
		gunyah_rm_string(patched, fdt_path_offset(patched, "/hypervisor/qcom,gunyah-vm"), "qcom,image-name"),
		"test-vm");
	ck_assert_uint_eq(get_u32(patched, "/hypervisor/bell-5", "qcom,label"), 5);
	ck_assert_uint_eq(get_u32(patched, "/hypervisor/bell-6", "qcom,label"), 6);
	ck_assert(has(patched, "/hypervisor/bell-6", "interrupts"));
	ck_assert_uint_eq(get_u32(patched, "/hypervisor/shm-1", "qcom,label"), 1);
	/* In order of the addresses, neighbours as one. */
	check_reg(patched, "/memory", 0, 0x40001000, 0x4000);
	check_reg(patched, "/memory", 1, TREE_BASE, RAM_SIZE);
	check_reg(patched, "/memory", 2, 0x90000000, 0x1000);
	check_reg(patched, "/reserved-memory/buffer@40001000", 0, 0x40001000, 0x3000);
	ck_assert_uint_eq(get_u32(patched, "/reserved-memory/buffer@40001000", "qcom,label"), 3);
	ck_assert(has(patched, "/reserved-memory/buffer@40001000", "qcom,shared-memory"));
	ck_assert(!has(patched, "/reserved-memory/buffer@40004000", "qcom,shared-memory"));
	ck_assert_int_lt(fdt_path_offset(patched, "/reserved-memory/buffer@90000000"), 0);
	check_reg(patched, "/intc", 0, RM_GIC_DISTRIBUTOR, 0x10000);
	check_reg(patched, "/intc", 1, RM_GIC_REDISTRIBUTORS, 0x40000);
	free(patched);
}
END_TEST

static int patch(const struct tree *tree, uint64_t size)
{
	struct rm_parcel parcel = { 7, RWX, true, RAM_SIZE, 0, NULL };
	struct rm_memory memory = { &parcel, 1, 0, false, false, 0x21, SIZE_MAX };
	void *patched = NULL;
	int ret;

	ck_assert_int_eq(place(tree, &memory), 0);
	ret = gunyah_rm_patch(buffer, &parsed, &memory, size, &patched);
	free(patched);
	return ret;
}

START_TEST(test_patch_room)
{
	static const struct tree small = { .defect = TREE_SOUND };
	static const struct tree large = { .filler = 20000 };
	size_t size = tree_build(&small, buffer, ROOM);

	ck_assert_int_eq(patch(&small, size), -EINVAL);
	ck_assert_int_eq(patch(&small, TREE_ROOM), 0);
	/* Above 16 KiB twice the room. */
	ck_assert_int_eq(patch(&large, 32768), -EINVAL);
	ck_assert_int_eq(patch(&large, 65536), 0);
}
END_TEST

START_TEST(test_patch_paths)
{
	static const struct tree_bell twice[] = { { 5, 32, 1 }, { 5, 32, 1 } };
	static const struct tree same_label = { .bells = twice, .bell_count = 2 };
	static const struct tree bad_path = { .bells = bells, .bell_count = 2, .defect = TREE_BELL_BAD_PATH };
	static const struct tree no_path = { .bells = bells, .bell_count = 2, .defect = TREE_BELL_NO_PATH };

	ck_assert_int_eq(patch(&same_label, ROOM), 0);
	ck_assert_int_eq(patch(&bad_path, ROOM), -EINVAL);
	ck_assert_int_eq(patch(&no_path, ROOM), -EINVAL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("gunyah resource manager");
	TCase *tcase = tcase_create("rm");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 30);
	tcase_add_loop_test(tcase, test_rule, 0, sizeof(rules) / sizeof(rules[0]));
	tcase_add_test(tcase, test_what_is_read);
	tcase_add_test(tcase, test_hostile);
	tcase_add_test(tcase, test_place);
	tcase_add_test(tcase, test_place_refused);
	tcase_add_test(tcase, test_policy);
	tcase_add_test(tcase, test_patched_tree);
	tcase_add_test(tcase, test_patch_room);
	tcase_add_test(tcase, test_patch_paths);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
