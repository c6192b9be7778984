/* SPDX-License-Identifier: BSD-3-Clause */
/* Which trees libfdt is let near: sound ones, and none that it would walk for ever or lose a part of. */
#include "fdt_sound.h"
#include "sim/gunyah_rm.h"
#include "util.h"

#include <errno.h>
#include <libfdt.h>

#define ROOM 8192u
#define MEMORY "/gunyah-vm-config/memory"

static _Alignas(8) unsigned char blob[ROOM];

static void setup(void)
{
	static const struct tree tree = { .cpus = 1 };

	ck_assert_uint_gt(tree_build(&tree, blob, ROOM), 0);
	ck_assert_int_eq(fdt_open_into(blob, blob, ROOM), 0);
}

START_TEST(test_versions)
{
	ck_assert(gh_fdt_is_sound(blob, ROOM));
	ck_assert(!gh_fdt_is_sound(blob, ROOM - 1));
	ck_assert(!gh_fdt_is_sound(blob, sizeof(struct fdt_header) - 1));
	fdt_set_version(blob, 16);
	ck_assert(gh_fdt_is_sound(blob, ROOM));
	fdt_set_version(blob, 15);
	ck_assert(!gh_fdt_is_sound(blob, ROOM));
}
END_TEST

/* A length that leads back to where the property, or one before it, stands; libfdt 1.6 follows it for ever. */
START_TEST(test_lengths)
{
	const uint32_t version = 16 + (uint32_t)_i % 2;
	struct fdt_property *property;
	struct rm_tree parsed;
	int length;

	property = fdt_get_property_w(blob, fdt_path_offset(blob, MEMORY), "base-address", &length);
	ck_assert_ptr_nonnull(property);
	fdt_set_version(blob, version);
	property->len = cpu_to_fdt32(0u - 2 * (uint32_t)_i - 1);
	ck_assert(!gh_fdt_is_sound(blob, ROOM));
	ck_assert_int_eq(gunyah_rm_parse(blob, ROOM, &parsed), -EINVAL);
	property->len = cpu_to_fdt32((uint32_t)length);
	ck_assert(gh_fdt_is_sound(blob, ROOM));
}
END_TEST

/* libfdt does not look where the names of version 16 end, and loses those beyond when it copies the tree. */
START_TEST(test_names)
{
	const uint32_t size = fdt_size_dt_strings(blob);
	const uint32_t sizes[] = { 0, 1, size - 1 };

	for (uint32_t version = 16; version <= 17; version++) {
		fdt_set_version(blob, version);
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			fdt_set_size_dt_strings(blob, sizes[i]);
			ck_assert(!gh_fdt_is_sound(blob, ROOM));
		}
		fdt_set_size_dt_strings(blob, size);
		ck_assert(gh_fdt_is_sound(blob, ROOM));
	}
}
END_TEST

/* The end of the structure is missing, or was never there. */
START_TEST(test_cut)
{
	const uint32_t size = fdt_size_dt_struct(blob);

	for (uint32_t left = 0; left < size; left += 4) {
		fdt_set_size_dt_struct(blob, left);
		ck_assert_msg(!gh_fdt_is_sound(blob, ROOM), "%u bytes", left);
	}
}
END_TEST

int main(void)
{
	TCase *tcase = tcase_create("trees");
	Suite *suite = suite_create("fdt_sound");

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, test_versions);
	tcase_add_loop_test(tcase, test_lengths, 0, 128);
	tcase_add_test(tcase, test_names);
	tcase_add_test(tcase, test_cut);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
