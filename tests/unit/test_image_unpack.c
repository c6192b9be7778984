/* SPDX-License-Identifier: BSD-3-Clause */
/* Packed kernels: what comes out is what went in, and nothing that is damaged passes for a kernel. */
#include "image_files.h"
#include "util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY (64 * 1024u) /* of the kernels here */

static int open_bytes(const struct bytes *bytes, struct gh_image **ret_image, struct gh_failure *ret_failure)
{
	struct gh_image_options options = GH_IMAGE_OPTIONS_INIT;
	const struct gh_failure none = GH_FAILURE_INIT;
	int ret;

	*ret_failure = none;
	options.data = bytes->data;
	options.length = bytes->size;
	options.failure = ret_failure;
	ret = gh_image_open(&options, ret_image);
	ck_assert(ret == 0 || failure_is(ret_failure, ret));
	return ret;
}

/* Opens and loads it to the start of the memory. */
static int load_bytes(struct gh_vm *vm, const struct bytes *bytes, struct gh_failure *ret_failure)
{
	struct gh_image *image = NULL;
	int ret = open_bytes(bytes, &image, ret_failure);

	if (ret < 0)
		return ret;
	ret = gh_image_load(vm, image, RAM_GPA);
	gh_image_close(image);
	if (ret < 0) {
		ck_assert(failure_is(gh_vm_failure(vm), ret));
		*ret_failure = *gh_vm_failure(vm);
	}
	return ret;
}

static struct gh_fake *fake;
static struct gh_vm *vm;
static uint8_t *ram;

static void begin(void)
{
	void *host = NULL;

	fake = new_fake();
	vm = open_fake(fake);
	map_at(vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	ck_assert_int_eq(gh_vm_pointer(vm, RAM_GPA, RAM_SIZE, &host), 0);
	ram = host;
}

static void end(void)
{
	gh_vm_close(vm);
	gh_fake_free(fake);
}

/* Is there only what stood there before? */
static void check_untouched(size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		if (ram[i] != 0x5a)
			ck_abort_msg("byte %zu: %#x", i, ram[i]);
}

/* Loads it, and finds `plain` and not a byte more. */
static void check_load(const struct bytes *packed, const struct bytes *plain, uint32_t packing, uint32_t flags)
{
	struct gh_failure failure;
	struct gh_image *image = NULL;

	ck_assert_int_eq(open_bytes(packed, &image, &failure), 0);
	ck_assert_uint_eq(gh_image_info(image)->packing, packing);
	ck_assert_uint_eq(gh_image_info(image)->flags, flags);
	ck_assert_uint_eq(gh_image_info(image)->file_size, packed->size);
	ck_assert_uint_eq(gh_image_info(image)->memory_size, MEMORY);
	gh_image_close(image);
	memset(ram, 0x5a, MEMORY + 1);
	ck_assert_int_eq(load_bytes(vm, packed, &failure), 0);
	ck_assert(memcmp(ram, plain->data, plain->size) == 0);
	check_untouched(plain->size, MEMORY + 1);
}

START_TEST(test_gzip)
{
	struct bytes plain = image_file(0, MEMORY, 0);
	struct bytes packed = pack_gzip(&plain, _i);

	check_load(&packed, &plain, GH_IMAGE_GZIP, GH_IMAGE_RELOCATABLE);
	bytes_free(&packed);
	bytes_free(&plain);
}
END_TEST

START_TEST(test_zboot)
{
	struct bytes plain = image_file(0, MEMORY, 0);
	struct bytes packed = pack_gzip(&plain, 9);
	struct bytes wrapped = wrap_zboot(&packed, "gzip");

	check_load(&wrapped, &plain, GH_IMAGE_GZIP, GH_IMAGE_RELOCATABLE | GH_IMAGE_ZBOOT);
	bytes_free(&wrapped);
	bytes_free(&packed);
	bytes_free(&plain);
}
END_TEST

START_TEST(test_zstd)
{
	struct bytes plain = image_file(0, MEMORY, 0);
	struct bytes packed = pack_zstd(&plain);
	struct bytes wrapped;

	if (packed.size == 0) {
		struct gh_failure failure;
		struct gh_image *image = NULL;

		/* A library without zstd says so. */
		packed = bytes_copy("\x28\xb5\x2f\xfd", 4);
		ck_assert_int_eq(open_bytes(&packed, &image, &failure), -EOPNOTSUPP);
		ck_assert_ptr_nonnull(strstr(failure.cause, "zstd"));
	} else {
		check_load(&packed, &plain, GH_IMAGE_ZSTD, GH_IMAGE_RELOCATABLE);
		wrapped = wrap_zboot(&packed, "zstd22");
		check_load(&wrapped, &plain, GH_IMAGE_ZSTD, GH_IMAGE_RELOCATABLE | GH_IMAGE_ZBOOT);
		bytes_free(&wrapped);
	}
	bytes_free(&packed);
	bytes_free(&plain);
}
END_TEST

/* Android appends devicetrees: what follows the packed kernel is not looked at. */
START_TEST(test_appended)
{
	struct bytes plain = image_file(0, MEMORY, 0);
	struct bytes packed = pack_gzip(&plain, 6);
	struct bytes longer = bytes_new(packed.size + 5000);

	memcpy(longer.data, packed.data, packed.size);
	check_load(&longer, &plain, GH_IMAGE_GZIP, GH_IMAGE_RELOCATABLE);
	bytes_free(&longer);
	bytes_free(&packed);
	bytes_free(&plain);
}
END_TEST

START_TEST(test_big)
{
	/* More than one piece of input and of output. */
	struct bytes plain = bytes_new(9 * MIB);
	struct bytes head = image_file_bare(0, plain.size, 0);
	struct bytes packed;
	struct gh_failure failure;
	struct gh_image *image = NULL;
	void *host = NULL;

	memcpy(plain.data, head.data, 64);
	packed = pack_gzip(&plain, 0);
	map_at(vm, RAM_GPA + 16 * MIB, 5 * MIB, GH_MEMORY_RWX);
	map_at(vm, RAM_GPA + 21 * MIB, 4 * MIB, GH_MEMORY_RWX);
	ck_assert_int_eq(open_bytes(&packed, &image, &failure), 0);
	ck_assert_int_eq(gh_image_load(vm, image, RAM_GPA + 16 * MIB), 0);
	gh_image_close(image);
	ck_assert_int_eq(gh_vm_pointer(vm, RAM_GPA + 16 * MIB, 5 * MIB, &host), 0);
	ck_assert(memcmp(host, plain.data, 5 * MIB) == 0);
	ck_assert_int_eq(gh_vm_pointer(vm, RAM_GPA + 21 * MIB, 4 * MIB, &host), 0);
	ck_assert(memcmp(host, plain.data + 5 * MIB, 4 * MIB) == 0);
	bytes_free(&packed);
	bytes_free(&head);
	bytes_free(&plain);
}
END_TEST

/* --- damage ------------------------------------------------------------------------------------------------------------- */

static void expect_refusal(const struct bytes *bytes, const char *what, size_t at)
{
	struct gh_failure failure;
	int ret = load_bytes(vm, bytes, &failure);

	if (ret != -EBADMSG && ret != -ENOEXEC)
		ck_abort_msg("%s at %zu: %d", what, at, ret);
}

/* Every byte that is missing is missed. */
START_TEST(test_truncated)
{
	struct bytes plain = image_file(0, MEMORY, 0);
	struct bytes packed = _i == 0 ? pack_gzip(&plain, 6) : pack_zstd(&plain);

	for (size_t size = 1; size < packed.size; size += size < 64 || size + 64 > packed.size ? 1 : 37) {
		struct bytes part = bytes_copy(packed.data, size);

		expect_refusal(&part, "truncated", size);
		bytes_free(&part);
	}
	bytes_free(&packed);
	bytes_free(&plain);
}
END_TEST

/* The checksum of gzip notices what its format does not. */
START_TEST(test_damaged)
{
	struct bytes plain = image_file(0, MEMORY, 0);
	struct bytes packed = pack_gzip(&plain, _i);

	for (size_t at = 400; at < packed.size; at += 97) {
		packed.data[at] ^= 1;
		expect_refusal(&packed, "damaged", at);
		packed.data[at] ^= 1;
	}
	check_load(&packed, &plain, GH_IMAGE_GZIP, GH_IMAGE_RELOCATABLE);
	bytes_free(&packed);
	bytes_free(&plain);
}
END_TEST

START_TEST(test_truncated_zboot)
{
	struct bytes plain = image_file(0, MEMORY, 0);
	struct bytes packed = pack_gzip(&plain, 6);
	struct bytes wrapped = wrap_zboot(&packed, "gzip");

	for (size_t size = 1; size < ZBOOT_PAYLOAD + packed.size; size += size < 600 ? 1 : 37) {
		struct bytes part = bytes_copy(wrapped.data, size);

		expect_refusal(&part, "truncated", size);
		bytes_free(&part);
	}
	/* Fewer packed bytes than there are. */
	put32(wrapped.data + 12, (uint32_t)packed.size - 1);
	expect_refusal(&wrapped, "shortened", 0);
	put32(wrapped.data + 12, 0);
	expect_refusal(&wrapped, "emptied", 0);
	bytes_free(&wrapped);
	bytes_free(&packed);
	bytes_free(&plain);
}
END_TEST

START_TEST(test_hostile_zboot)
{
	static const struct {
		uint32_t offset;
		uint32_t size;
	} places[] = {
		{ 0, 100 }, { 63, 100 }, { UINT32_MAX, UINT32_MAX }, { ZBOOT_PAYLOAD, UINT32_MAX }, { UINT32_MAX, 0 }
	};
	struct bytes plain = image_file(0, MEMORY, 0);
	struct bytes packed = pack_gzip(&plain, 6);
	struct bytes wrapped = wrap_zboot(&packed, "gzip");
	struct gh_failure failure;
	struct gh_image *image = NULL;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		put32(wrapped.data + 8, places[i].offset);
		put32(wrapped.data + 12, places[i].size);
		ck_assert_int_eq(open_bytes(&wrapped, &image, &failure), -ENOEXEC);
	}
	bytes_free(&wrapped);
	/* Another packing, or a name that is none: not for the terminal. */
	wrapped = wrap_zboot(&packed, "lz4");
	ck_assert_int_eq(open_bytes(&wrapped, &image, &failure), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(failure.cause, "\"lz4\""));
	memset(wrapped.data + 24, 'x', 32);
	wrapped.data[26] = 0x1b;
	ck_assert_int_eq(open_bytes(&wrapped, &image, &failure), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(failure.cause, "\"xx\""));
	memset(wrapped.data + 24, 'x', 32);
	ck_assert_int_eq(open_bytes(&wrapped, &image, &failure), -EOPNOTSUPP);
	bytes_free(&wrapped);
	bytes_free(&packed);
	bytes_free(&plain);
}
END_TEST

/* What is inside is checked like what is not packed. */
START_TEST(test_hostile_inside)
{
	struct gh_failure failure;
	struct gh_image *image = NULL;
	struct bytes plain = image_file_bare(0, IMAGE_FILE_SIZE - 1, 0);
	struct bytes packed = pack_gzip(&plain, 6);
	struct bytes twice = pack_gzip(&packed, 6);

	/* More comes out than the header says: not a byte of it is written. */
	memset(ram, 0x5a, MEMORY);
	ck_assert_int_eq(load_bytes(vm, &packed, &failure), -ENOEXEC);
	ck_assert_ptr_nonnull(strstr(failure.cause, "more comes out"));
	check_untouched(IMAGE_FILE_SIZE - 1, MEMORY);
	ck_assert_int_eq(open_bytes(&twice, &image, &failure), -ENOEXEC);
	bytes_free(&twice);
	bytes_free(&packed);
	bytes_free(&plain);
	/* Unless it says so elsewhere: a signature behind the kernel's own memory. */
	plain = image_file(0, 4096, 0);
	packed = pack_gzip(&plain, 6);
	ck_assert_int_eq(load_bytes(vm, &packed, &failure), 0);
	ck_assert(memcmp(ram, plain.data, plain.size) == 0);
	bytes_free(&packed);
	bytes_free(&plain);
	/* Less comes out than the sections say. */
	plain = image_file(0, MEMORY, 0);
	plain.size -= 1;
	packed = pack_gzip(&plain, 6);
	ck_assert_int_eq(load_bytes(vm, &packed, &failure), -ENOEXEC);
	ck_assert_ptr_nonnull(strstr(failure.cause, "truncated"));
	bytes_free(&packed);
	bytes_free(&plain);
	/* A header without a size. */
	plain = image_file_bare(0, 0, 0);
	packed = pack_gzip(&plain, 6);
	ck_assert_int_eq(open_bytes(&packed, &image, &failure), -EOPNOTSUPP);
	bytes_free(&packed);
	bytes_free(&plain);
	/* No kernel at all. */
	plain = bytes_new(10000);
	packed = pack_gzip(&plain, 6);
	ck_assert_int_eq(open_bytes(&packed, &image, &failure), -ENOEXEC);
	ck_assert_ptr_nonnull(strstr(failure.cause, "when it is unpacked"));
	bytes_free(&packed);
	bytes_free(&plain);
}
END_TEST

/* Megabytes that fit into some kilobytes do not get into 64 KiB. */
START_TEST(test_bomb)
{
	struct bytes plain = { calloc(1, 8 * MIB), 8 * MIB };
	struct bytes head = image_file_bare(0, MEMORY, 0);
	struct bytes packed;
	struct gh_failure failure;

	memcpy(plain.data, head.data, 64);
	packed = pack_gzip(&plain, 1);
	memset(ram + MEMORY, 0x5a, 4096);
	ck_assert_int_eq(load_bytes(vm, &packed, &failure), -ENOEXEC);
	ck_assert_uint_eq(ram[MEMORY], 0x5a);
	bytes_free(&packed);
	bytes_free(&head);
	bytes_free(&plain);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("image_unpack");
	TCase *tcase = tcase_create("image_unpack");

	tcase_add_checked_fixture(tcase, leaks_begin, leaks_end);
	tcase_add_checked_fixture(tcase, begin, end);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	tcase_add_loop_test(tcase, test_gzip, 0, 10);
	tcase_add_test(tcase, test_zboot);
	tcase_add_test(tcase, test_zstd);
	tcase_add_test(tcase, test_appended);
	tcase_add_test(tcase, test_big);
	tcase_add_loop_test(tcase, test_truncated, 0, 2);
	tcase_add_loop_test(tcase, test_damaged, 0, 2);
	tcase_add_test(tcase, test_truncated_zboot);
	tcase_add_test(tcase, test_hostile_zboot);
	tcase_add_test(tcase, test_hostile_inside);
	tcase_add_test(tcase, test_bomb);
	return run_suite(suite);
}
