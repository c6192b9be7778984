/* SPDX-License-Identifier: BSD-3-Clause */
/* ELF files: what is taken from their headers, and what is refused. */
#include "image_files.h"
#include "util.h"

#include <errno.h>
#include <string.h>

#define VIRTUAL UINT64_C(0xffff800008000000)
#define EXEC 2
#define DYN 3
#define FILE_SIZE 9000u

static const struct elf_program programs[] = {
	{ .offset = 4096,
	  .virtual_address = VIRTUAL,
	  .address = 0x80200000,
	  .file_size = 3000,
	  .size = 4096,
	  .align = 65536 },
	{ .type = 4, .offset = UINT64_MAX, .size = 1 }, /* PT_NOTE: of no concern */
	{ .offset = 8192, .virtual_address = VIRTUAL + 0x4000, .address = 0x80204000, .file_size = 700, .size = 0x12000 },
	{ .offset = UINT64_MAX, .address = UINT64_MAX, .size = 0 },
};
#define PROGRAMS 4u

static struct gh_failure reason; /* of the last refusal */

static int open_bytes(const struct bytes *bytes, struct gh_image **ret_image)
{
	struct gh_image_options options = GH_IMAGE_OPTIONS_INIT;
	struct gh_failure failure = GH_FAILURE_INIT;
	int ret;

	options.data = bytes->data;
	options.length = bytes->size;
	options.failure = &failure;
	ret = gh_image_open(&options, ret_image);
	ck_assert(ret == 0 || failure_is(&failure, ret));
	if (ret < 0)
		reason = failure;
	return ret;
}

static int judge(struct bytes bytes)
{
	struct gh_image *image = NULL;
	int ret = open_bytes(&bytes, &image);

	gh_image_close(image);
	bytes_free(&bytes);
	return ret;
}

static struct bytes sound(void)
{
	return elf_file(EXEC, VIRTUAL + 0x10, programs, PROGRAMS, FILE_SIZE);
}

/* Of one segment. */
static int judge_one(struct elf_program program, uint64_t entry)
{
	return judge(elf_file(EXEC, entry, &program, 1, FILE_SIZE));
}

START_TEST(test_sound)
{
	struct bytes bytes = sound();
	const struct gh_image_info *info;
	struct gh_image *image = NULL;

	ck_assert_int_eq(open_bytes(&bytes, &image), 0);
	info = gh_image_info(image);
	ck_assert_uint_eq(info->format, GH_IMAGE_ELF64);
	ck_assert_uint_eq(info->flags, 0);
	ck_assert_uint_eq(info->address, 0x80200000);
	ck_assert_uint_eq(info->memory_size, 0x16000);
	/* A virtual address became a physical one. */
	ck_assert_uint_eq(info->entry, 0x10);
	ck_assert_uint_eq(info->alignment, 2 * MIB);
	ck_assert_uint_eq(info->text_offset, 0);
	gh_image_close(image);
	bytes_free(&bytes);
}
END_TEST

START_TEST(test_relocatable)
{
	const struct elf_program program = { .offset = 4096,
					     .virtual_address = VIRTUAL,
					     .address = VIRTUAL + 0x12340,
					     .file_size = 100,
					     .size = 100,
					     .align = 4 * MIB };
	struct bytes bytes = elf_file(DYN, VIRTUAL, &program, 1, FILE_SIZE);
	struct gh_image *image = NULL;

	ck_assert_int_eq(open_bytes(&bytes, &image), 0);
	ck_assert_uint_eq(gh_image_info(image)->flags, GH_IMAGE_RELOCATABLE);
	ck_assert_uint_eq(gh_image_info(image)->alignment, 4 * MIB);
	ck_assert_uint_eq(gh_image_info(image)->text_offset, 0x12340);
	gh_image_close(image);
	bytes_free(&bytes);
}
END_TEST

/* All zeroes, with an offset that is nowhere: nothing is read. */
START_TEST(test_no_bytes)
{
	const struct elf_program both[] = {
		programs[0],
		{ .offset = FILE_SIZE + 4096, .virtual_address = VIRTUAL + 0x10000, .address = 0x80210000, .size = 4096 },
	};
	struct bytes bytes = elf_file(EXEC, VIRTUAL, both, 2, FILE_SIZE);
	struct gh_vm *vm;
	struct gh_fake *fake = new_fake();
	struct gh_image *image = NULL;
	uint8_t page[4096];

	vm = open_fake(fake);
	map_at(vm, 0x80200000, 2 * MIB, GH_MEMORY_RWX);
	memset(page, 0xff, sizeof(page));
	ck_assert_int_eq(gh_vm_write(vm, 0x80210000, page, sizeof(page)), 0);
	ck_assert_int_eq(open_bytes(&bytes, &image), 0);
	ck_assert_uint_eq(gh_image_info(image)->memory_size, 0x11000);
	ck_assert_int_eq(gh_image_load(vm, image, 0x80200000), 0);
	ck_assert_int_eq(gh_vm_read(vm, 0x80210000, page, sizeof(page)), 0);
	for (size_t i = 0; i < sizeof(page); i++)
		ck_assert_uint_eq(page[i], 0);
	gh_image_close(image);
	gh_vm_close(vm);
	gh_fake_free(fake);
	bytes_free(&bytes);
}
END_TEST

static const struct {
	size_t at;
	uint8_t value;
} defects[] = {
	{ 4, 1 },                   /* 32 bits */
	{ 5, 2 },                   /* big-endian */
	{ 6, 0 },                   /* no version */
	{ 16, 1 },                  /* an object file */
	{ 16, 4 },                  /* a core dump */
	{ 18, 62 },                 /* for x86 */
	{ 54, 55 },                 /* another size of program headers */
	{ 54, 57 },   { 56, 0 },    /* none */
	{ 56, 65 },                 /* too many */
	{ 57, 1 },    { 39, 0x80 }, /* far away */
	{ 34, 1 },                  /* beyond the end */
	{ 24, 0x11 },               /* an entry that is no instruction's */
	{ 31, 0 },                  /* an entry in no segment */
};

START_TEST(test_bad_header)
{
	struct bytes bytes = sound();

	ck_assert_uint_ne(bytes.data[defects[_i].at], defects[_i].value);
	bytes.data[defects[_i].at] = defects[_i].value;
	ck_assert_int_eq(judge(bytes), -ENOEXEC);
}
END_TEST

START_TEST(test_bad_segment)
{
	const struct elf_program good = { .offset = 4096, .address = 0x1000, .file_size = 100, .size = 200 };
	struct elf_program bad = good;

	ck_assert_int_eq(judge_one(good, 0), 0);
	bad.file_size = 201;
	ck_assert_int_eq(judge_one(bad, 0), -ENOEXEC);
	bad = good;
	bad.offset = FILE_SIZE - 99;
	ck_assert_int_eq(judge_one(bad, 0), -ENOEXEC);
	bad.offset = FILE_SIZE - 100;
	ck_assert_int_eq(judge_one(bad, 0), 0);
	bad.offset = UINT64_MAX - 50;
	ck_assert_int_eq(judge_one(bad, 0), -ENOEXEC);
	bad = good;
	bad.address = UINT64_MAX - 198;
	ck_assert_int_eq(judge_one(bad, 0), -ENOEXEC);
	ck_assert_ptr_nonnull(strstr(reason.cause, "wraps"));
	bad = good;
	bad.size = UINT64_C(1) << 40;
	ck_assert_int_eq(judge_one(bad, 0), 0);
	bad.size = (UINT64_C(1) << 40) + 1;
	ck_assert_int_eq(judge_one(bad, 0), -EFBIG);
	bad.size = UINT64_MAX;
	ck_assert_int_eq(judge_one(bad, 0), -EFBIG);
	bad = good;
	bad.align = 3;
	ck_assert_int_eq(judge_one(bad, 0), -ENOEXEC);
	bad.align = UINT64_C(1) << 31;
	ck_assert_int_eq(judge_one(bad, 0), -ENOEXEC);
	bad.align = UINT64_C(1) << 30;
	ck_assert_int_eq(judge_one(bad, 0), 0);
	bad = good;
	bad.type = 3;
	ck_assert_int_eq(judge_one(bad, 0), -ENOEXEC);
	ck_assert_int_eq(judge_one(good, 200), -ENOEXEC);
	ck_assert_int_eq(judge_one(good, UINT64_MAX - 3), -ENOEXEC);
}
END_TEST

START_TEST(test_two_segments)
{
	struct elf_program two[] = { { .offset = 4096, .address = 0x1000, .file_size = 100, .size = 0x1000 },
				     { .offset = 8192, .address = 0x1fff, .file_size = 1, .size = 1 } };

	/* In each other's memory, in either order. */
	ck_assert_int_eq(judge(elf_file(EXEC, 0, two, 2, FILE_SIZE)), -ENOEXEC);
	two[1].address = 0x2000;
	ck_assert_int_eq(judge(elf_file(EXEC, 0, two, 2, FILE_SIZE)), 0);
	two[1].address = 0;
	two[1].size = 0x1001;
	ck_assert_int_eq(judge(elf_file(EXEC, 0, two, 2, FILE_SIZE)), -ENOEXEC);
	/* Far apart. */
	two[1].address = UINT64_C(1) << 41;
	two[1].size = 1;
	ck_assert_int_eq(judge(elf_file(EXEC, 0, two, 2, FILE_SIZE)), -EFBIG);
	two[1].address = (UINT64_C(1) << 40) + 0xffc;
	two[1].size = 4;
	ck_assert_int_eq(judge(elf_file(EXEC, 0, two, 2, FILE_SIZE)), 0);
	/* They may share bytes of the file, but not of a packed one. */
	two[1].address = 0x4000;
	two[1].offset = 4096;
	ck_assert_int_eq(judge(elf_file(EXEC, 0, two, 2, FILE_SIZE)), 0);
}
END_TEST

/* As many program headers as there may be. */
START_TEST(test_many_headers)
{
	struct elf_program all[64] = { programs[0] };

	for (size_t i = 1; i < 64; i++)
		all[i].type = 4;
	ck_assert_int_eq(judge(elf_file(EXEC, VIRTUAL, all, 64, FILE_SIZE)), 0);
}
END_TEST

START_TEST(test_packed)
{
	struct elf_program two[] = { { .offset = 4096, .address = 0x1000, .file_size = 100, .size = 0x1000 },
				     { .offset = 4195, .address = 0x4000, .file_size = 1, .size = 1 } };
	struct bytes plain = sound();
	struct bytes bytes;

	ck_assert_int_eq(judge(pack_gzip(&plain, 6)), 0);
	/* Program headers at the end, as some tools move them. */
	bytes = bytes_copy(plain.data, plain.size);
	put64(bytes.data + 32, FILE_SIZE - PROGRAMS * ELF_PROGRAM_SIZE);
	memcpy(bytes.data + FILE_SIZE - PROGRAMS * ELF_PROGRAM_SIZE, bytes.data + ELF_TABLE, PROGRAMS * ELF_PROGRAM_SIZE);
	ck_assert_int_eq(judge(pack_gzip(&bytes, 6)), -ENOEXEC);
	ck_assert_int_eq(judge(bytes), 0);
	bytes_free(&plain);
	/* Shared bytes, and far apart. */
	for (int i = 0; i < 3; i++) {
		plain = elf_file(EXEC, 0, two, 2, FILE_SIZE);
		ck_assert_int_eq(judge(pack_gzip(&plain, 6)), i == 1 ? 0 : -ENOEXEC);
		bytes_free(&plain);
		two[1].offset = i == 0 ? 4196 : 17 * MIB;
	}
}
END_TEST

START_TEST(test_truncated)
{
	struct bytes whole = sound();

	for (size_t size = 0; size < 8192 + 700; size++) {
		int ret = judge(bytes_copy(whole.data, size));

		if (ret != -ENOEXEC)
			ck_abort_msg("%zu bytes: %d", size, ret);
	}
	/* What follows the last segment is of no concern. */
	ck_assert_int_eq(judge(bytes_copy(whole.data, 8192 + 700)), 0);
	bytes_free(&whole);
}
END_TEST

START_TEST(test_any_header)
{
	struct bytes whole = sound();

	for (size_t at = 0; at < ELF_TABLE + PROGRAMS * ELF_PROGRAM_SIZE; at++) {
		for (unsigned int value = 0; value < 256; value += 15) {
			struct bytes bytes = bytes_copy(whole.data, whole.size);
			struct gh_image *image = NULL;

			bytes.data[at] = (uint8_t)value;
			if (open_bytes(&bytes, &image) == 0) {
				const struct gh_image_info *info = gh_image_info(image);

				ck_assert(info->memory_size > 0 && info->memory_size <= UINT64_C(1) << 40);
				ck_assert(info->entry < info->memory_size && info->text_offset < info->alignment);
			}
			gh_image_close(image);
			bytes_free(&bytes);
		}
	}
	bytes_free(&whole);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("image_elf");
	TCase *tcase = add_case(suite, "image_elf");

	tcase_add_test(tcase, test_sound);
	tcase_add_test(tcase, test_relocatable);
	tcase_add_test(tcase, test_no_bytes);
	tcase_add_loop_test(tcase, test_bad_header, 0, (int)(sizeof(defects) / sizeof(defects[0])));
	tcase_add_test(tcase, test_bad_segment);
	tcase_add_test(tcase, test_two_segments);
	tcase_add_test(tcase, test_many_headers);
	tcase_add_test(tcase, test_packed);
	tcase_add_test(tcase, test_truncated);
	tcase_add_test(tcase, test_any_header);
	return run_suite(suite);
}
