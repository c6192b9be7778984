/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening files: options, sources, formats, and headers that lie. */
#include "image_files.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Opens it; a failure must have an explanation and leave the result alone. */
static int open_as(const struct bytes *bytes, uint32_t format, struct gh_image **ret_image, struct gh_failure *ret_failure)
{
	struct gh_image_options options = GH_IMAGE_OPTIONS_INIT;
	struct gh_failure failure = GH_FAILURE_INIT;
	int mark = 0;
	struct gh_image *image = (void *)&mark;
	int ret;

	options.data = bytes->data;
	options.length = bytes->size;
	options.format = format;
	options.failure = &failure;
	ret = gh_image_open(&options, &image);
	if (ret < 0) {
		ck_assert_ptr_eq(image, (void *)&mark);
		ck_assert(failure_is(&failure, ret));
		ck_assert_str_eq(failure.step, "open an image");
		ck_assert_ptr_nonnull(strstr(failure.cause, "the buffer: "));
	} else {
		ck_assert_int_eq(failure.error, 0);
		*ret_image = image;
	}
	if (ret_failure != NULL)
		*ret_failure = failure;
	return ret;
}

/* Opens it to see only what comes of it, and frees the bytes. */
static int judge(struct bytes bytes)
{
	struct gh_image *image = NULL;
	int ret = open_as(&bytes, GH_IMAGE_AUTO, &image, NULL);

	gh_image_close(image);
	bytes_free(&bytes);
	return ret;
}

static struct gh_image_info info_of(struct bytes bytes)
{
	struct gh_image *image = NULL;
	struct gh_image_info info;

	ck_assert_int_eq(open_as(&bytes, GH_IMAGE_AUTO, &image, NULL), 0);
	info = *gh_image_info(image);
	gh_image_close(image);
	bytes_free(&bytes);
	return info;
}

/* --- options ---------------------------------------------------------------------------------------------------------- */

START_TEST(test_arguments)
{
	struct gh_image_options options = GH_IMAGE_OPTIONS_INIT;
	struct gh_failure failure = GH_FAILURE_INIT;
	struct gh_image *image = NULL;

	options.failure = &failure;
	ck_assert_int_eq(gh_image_open(NULL, &image), -EINVAL);
	ck_assert_int_eq(gh_image_open(&options, NULL), -EINVAL);
	ck_assert_int_eq(gh_image_open(&options, &image), -EINVAL);
	ck_assert(failure_is(&failure, -EINVAL));
	options.data = "x";
	options.length = 1;
	options.fd = 0;
	ck_assert_int_eq(gh_image_open(&options, &image), -EINVAL);
	options.fd = -2;
	ck_assert_int_eq(gh_image_open(&options, &image), -EINVAL);
	options.fd = -1;
	options.format = 4;
	ck_assert_int_eq(gh_image_open(&options, &image), -EINVAL);
	options.format = GH_IMAGE_RAW;
	failure.size = 1;
	ck_assert_int_eq(gh_image_open(&options, &image), -EINVAL);
	failure.size = sizeof(failure);
	options.size--;
	ck_assert_int_eq(gh_image_open(&options, &image), -EINVAL);
	options.size++;
	options.failure = NULL;
	ck_assert_int_eq(gh_image_open(&options, &image), 0);
	gh_image_close(image);
	options.format = GH_IMAGE_AUTO;
	ck_assert_int_eq(gh_image_open(&options, &image), -ENOEXEC);
	gh_image_close(NULL);
	ck_assert_ptr_null(gh_image_info(NULL));
}
END_TEST

/* --- sources ---------------------------------------------------------------------------------------------------------- */

static char path[] = "/tmp/gh-test-image-XXXXXX";

static int make_file(const struct bytes *bytes)
{
	int fd;

	memcpy(path + sizeof(path) - 7, "XXXXXX", 6);
	fd = mkostemp(path, O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes->data, bytes->size), (ssize_t)bytes->size);
	return fd;
}

static int open_path(const char *name, int fd, struct gh_failure *failure, struct gh_image **ret_image)
{
	struct gh_image_options options = GH_IMAGE_OPTIONS_INIT;

	options.path = name;
	options.fd = fd;
	options.failure = failure;
	return gh_image_open(&options, ret_image);
}

START_TEST(test_path_and_descriptor)
{
	struct gh_failure failure = GH_FAILURE_INIT;
	struct bytes bytes = image_file(0, 65536, 0xa);
	struct gh_image *image = NULL;
	int fd = make_file(&bytes);

	ck_assert_int_eq(open_path(path, -1, &failure, &image), 0);
	ck_assert_uint_eq(gh_image_info(image)->format, GH_IMAGE_ARM64);
	gh_image_close(image);
	/* Wherever its offset is, which stays there; the descriptor remains the caller's. */
	ck_assert_int_eq(lseek(fd, 100, SEEK_SET), 100);
	ck_assert_int_eq(open_path(NULL, fd, &failure, &image), 0);
	ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 100);
	(void)close(fd);
	ck_assert_uint_eq(gh_image_info(image)->file_size, IMAGE_FILE_SIZE);
	gh_image_close(image);
	/* One that cannot be read. */
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ck_assert_int_eq(open_path(NULL, fd, &failure, &image), -EBADF);
	ck_assert(failure_is(&failure, -EBADF));
	ck_assert_str_eq(failure.request, "pread");
	(void)close(fd);
	(void)unlink(path);
	ck_assert_int_eq(open_path(path, -1, &failure, &image), -ENOENT);
	ck_assert(failure_is(&failure, -ENOENT));
	ck_assert_ptr_nonnull(strstr(failure.cause, path));
	ck_assert_int_eq(open_path(NULL, fd, &failure, &image), -EBADF);
	bytes_free(&bytes);
}
END_TEST

/* It is not the file's fault. */
START_TEST(test_no_descriptor)
{
	struct gh_failure failure = GH_FAILURE_INIT;
	struct gh_image *image = NULL;
	struct rlimit old;
	struct rlimit none;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	ck_assert_int_eq(open_path("/dev/null", -1, &failure, &image), -EMFILE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	ck_assert(failure_is(&failure, -EMFILE));
	ck_assert_uint_eq(failure.cause_id, GH_CAUSE_DESCRIPTORS);
	ck_assert_ptr_nonnull(strstr(failure.remedy, "RLIMIT_NOFILE"));
}
END_TEST

/* What is no regular file must neither hang nor be read. */
START_TEST(test_irregular_files)
{
	struct gh_failure failure = GH_FAILURE_INIT;
	struct gh_image *image = NULL;
	int ends[2];

	ck_assert_int_eq(open_path("/tmp", -1, &failure, &image), -EINVAL);
	ck_assert(failure_is(&failure, -EINVAL));
	ck_assert_int_eq(open_path("/dev/zero", -1, &failure, &image), -EINVAL);
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	ck_assert_int_eq(open_path(NULL, ends[0], &failure, &image), -EINVAL);
	(void)close(ends[0]);
	(void)close(ends[1]);
	memcpy(path + sizeof(path) - 7, "fifo00", 6);
	(void)unlink(path);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(open_path(path, -1, &failure, &image), -EINVAL);
	(void)unlink(path);
}
END_TEST

START_TEST(test_sizes)
{
	struct gh_image_options options = GH_IMAGE_OPTIONS_INIT;
	struct gh_failure failure = GH_FAILURE_INIT;
	struct bytes nothing = bytes_new(0);
	struct gh_image *image = NULL;
	int fd = make_file(&nothing);

	options.fd = fd;
	options.failure = &failure;
	options.format = GH_IMAGE_RAW;
	ck_assert_int_eq(gh_image_open(&options, &image), -ENOEXEC);
	ck_assert(failure_is(&failure, -ENOEXEC));
	ck_assert_ptr_nonnull(strstr(failure.cause, "empty"));
	/* A file with a hole. */
	ck_assert_int_eq(ftruncate(fd, (off_t)1 << 40), 0);
	ck_assert_int_eq(gh_image_open(&options, &image), 0);
	ck_assert_uint_eq(gh_image_info(image)->memory_size, UINT64_C(1) << 40);
	gh_image_close(image);
	ck_assert_int_eq(ftruncate(fd, ((off_t)1 << 40) + 1), 0);
	ck_assert_int_eq(gh_image_open(&options, &image), -EFBIG);
	ck_assert(failure_is(&failure, -EFBIG));
	(void)close(fd);
	(void)unlink(path);
	bytes_free(&nothing);
}
END_TEST

/* A long path is told by its end. */
START_TEST(test_long_name)
{
	struct gh_failure failure = GH_FAILURE_INIT;
	struct gh_image *image = NULL;
	char name[3000];

	memset(name, 'x', sizeof(name));
	memcpy(name, "/nowhere/", 9);
	memcpy(name + sizeof(name) - 10, "/the-end!", 10);
	ck_assert_int_lt(open_path(name, -1, &failure, &image), 0);
	ck_assert_ptr_nonnull(strstr(failure.cause, "/the-end!"));
}
END_TEST

/* --- Images ----------------------------------------------------------------------------------------------------------- */

START_TEST(test_image_header)
{
	struct gh_image_info info = info_of(image_file(0x80000, 0x123456, 0xa));

	ck_assert_uint_eq(info.format, GH_IMAGE_ARM64);
	ck_assert_uint_eq(info.packing, GH_IMAGE_PLAIN);
	ck_assert_uint_eq(info.flags, GH_IMAGE_RELOCATABLE);
	ck_assert_uint_eq(info.page_size, 4096);
	ck_assert_uint_eq(info.file_size, IMAGE_FILE_SIZE);
	ck_assert_uint_eq(info.memory_size, 0x123456);
	ck_assert_uint_eq(info.alignment, 2 * MIB);
	ck_assert_uint_eq(info.text_offset, 0x80000);
	ck_assert_uint_eq(info.entry, 0);
	ck_assert_uint_eq(info.address, 0);
	ck_assert_uint_eq(info_of(image_file(0, MIB, 0)).page_size, 0);
	ck_assert_uint_eq(info_of(image_file(0, MIB, 4)).page_size, 16384);
	info = info_of(image_file_bare(0x1ffffc, MIB, 7));
	ck_assert_uint_eq(info.page_size, 65536);
	ck_assert_uint_eq(info.flags, GH_IMAGE_RELOCATABLE | GH_IMAGE_BIG_ENDIAN);
	ck_assert_uint_eq(info.text_offset, 0x1ffffc);
	/* Something was appended. */
	ck_assert_uint_eq(info_of(image_file_bare(0, 1, 0)).memory_size, IMAGE_FILE_SIZE);
	ck_assert_uint_eq(info_of(image_file(0, UINT64_C(1) << 40, 0)).memory_size, UINT64_C(1) << 40);
}
END_TEST

START_TEST(test_old_image)
{
	/* Its text_offset may be in any byte order, and is not looked at. */
	struct gh_image_info info = info_of(image_file_bare(UINT64_C(0x0000080000000000), 0, 0));

	ck_assert_uint_eq(info.text_offset, 0x80000);
	ck_assert_uint_gt(info.memory_size, IMAGE_FILE_SIZE + MIB);
	ck_assert_uint_eq(info.page_size, 0);
	/* Nor is what is flags today. */
	info = info_of(image_file_bare(0, 0, 7));
	ck_assert_uint_eq(info.page_size, 0);
	ck_assert_uint_eq(info.flags, GH_IMAGE_RELOCATABLE);
}
END_TEST

START_TEST(test_hostile_image)
{
	struct bytes bytes;

	ck_assert_int_eq(judge(image_file(2 * MIB, MIB, 0)), -ENOEXEC);
	ck_assert_int_eq(judge(image_file(2, MIB, 0)), -ENOEXEC);
	ck_assert_int_eq(judge(image_file(UINT64_MAX - 3, MIB, 0)), -ENOEXEC);
	ck_assert_int_eq(judge(image_file(0, UINT64_MAX, 0)), -EFBIG);
	ck_assert_int_eq(judge(image_file(0, (UINT64_C(1) << 40) + 1, 0)), -EFBIG);
	/* Sections, be there only one, their number, and the tables themselves beyond everything. */
	bytes = image_file(0, MIB, 0);
	put16(bytes.data + 64 + 6, 1);
	put32(bytes.data + 64 + 24 + PE_OPTIONAL_SIZE + 16, UINT32_MAX);
	ck_assert_int_eq(judge(bytes), -ENOEXEC);
	bytes = image_file(0, MIB, 0);
	put32(bytes.data + 64 + 24 + PE_OPTIONAL_SIZE + 16, UINT32_MAX);
	put32(bytes.data + 64 + 24 + PE_OPTIONAL_SIZE + 20, UINT32_MAX);
	ck_assert_int_eq(judge(bytes), -ENOEXEC);
	bytes = image_file(0, MIB, 0);
	put16(bytes.data + 64 + 6, 0xffff);
	ck_assert_int_eq(judge(bytes), -ENOEXEC);
	bytes = image_file(0, MIB, 0);
	put16(bytes.data + 64 + 20, 0xffff);
	ck_assert_int_eq(judge(bytes), -ENOEXEC);
	bytes = image_file(0, MIB, 0);
	put32(bytes.data + 60, UINT32_MAX);
	ck_assert_int_eq(judge(bytes), -ENOEXEC);
	/* A signature beyond it, and one that is not there. */
	bytes = image_file(0, MIB, 0);
	put32(bytes.data + 64 + 24 + 148, UINT32_MAX);
	ck_assert_int_eq(judge(bytes), -ENOEXEC);
	bytes = image_file(0, MIB, 0);
	put32(bytes.data + 64 + 24 + 148, UINT32_MAX);
	put32(bytes.data + 64 + 24 + 108, 4);
	ck_assert_int_eq(judge(bytes), 0);
	bytes = image_file(0, MIB, 0);
	put32(bytes.data + 64 + 24 + 148, UINT32_MAX);
	put32(bytes.data + 64 + 24 + 108, 5);
	ck_assert_int_eq(judge(bytes), -ENOEXEC);
	/* No tables after all, or none that can be: an Image all the same. */
	bytes = image_file(0, MIB, 0);
	bytes.data[64] = 'X';
	ck_assert_int_eq(judge(bytes), 0);
	bytes = image_file(0, MIB, 0);
	put32(bytes.data + 60, 3);
	ck_assert_int_eq(judge(bytes), 0);
	/* Inside of the Image's own header. */
	bytes = image_file(0, MIB, 0);
	put32(bytes.data + 60, 40);
	memcpy(bytes.data + 40, "PE\0\0", 4);
	put16(bytes.data + 46, 0xffff);
	ck_assert_int_eq(judge(bytes), 0);
}
END_TEST

/* Every byte that is missing is missed. */
START_TEST(test_truncated_image)
{
	struct bytes whole = image_file(0, MIB, 0);

	for (size_t size = 0; size < whole.size; size++) {
		int ret = judge(bytes_copy(whole.data, size));

		if (ret != -ENOEXEC)
			ck_abort_msg("%zu bytes: %d", size, ret);
	}
	ck_assert_int_eq(judge(whole), 0);
}
END_TEST

/* Any byte of the header may be anything: a result that holds together, or a refusal. */
START_TEST(test_any_header)
{
	struct bytes whole = image_file(0x80000, MIB, 0);

	for (size_t at = 0; at < 64 + 24 + PE_OPTIONAL_SIZE + 80; at++) {
		for (unsigned int value = 0; value < 256; value += 15) {
			struct bytes bytes = bytes_copy(whole.data, whole.size);
			struct gh_image *image = NULL;

			bytes.data[at] = (uint8_t)value;
			if (open_as(&bytes, GH_IMAGE_AUTO, &image, NULL) == 0) {
				const struct gh_image_info *info = gh_image_info(image);

				ck_assert(info->memory_size >= info->file_size && info->text_offset < info->alignment);
				ck_assert(info->memory_size <= UINT64_C(1) << 40);
			}
			gh_image_close(image);
			bytes_free(&bytes);
		}
	}
	bytes_free(&whole);
}
END_TEST

/* --- formats asked for, and unknown ones ------------------------------------------------------------------------------- */

START_TEST(test_formats)
{
	struct bytes bytes = image_file(0, MIB, 0);
	struct gh_image *image = NULL;

	ck_assert_int_eq(open_as(&bytes, GH_IMAGE_ARM64, &image, NULL), 0);
	gh_image_close(image);
	ck_assert_int_eq(open_as(&bytes, GH_IMAGE_ELF64, &image, NULL), -ENOEXEC);
	ck_assert_int_eq(open_as(&bytes, GH_IMAGE_RAW, &image, NULL), 0);
	ck_assert_uint_eq(gh_image_info(image)->format, GH_IMAGE_RAW);
	ck_assert_uint_eq(gh_image_info(image)->memory_size, IMAGE_FILE_SIZE);
	ck_assert_uint_eq(gh_image_info(image)->alignment, 4096);
	gh_image_close(image);
	bytes_free(&bytes);
}
END_TEST

static const struct {
	size_t offset;
	const char *magic;
	size_t size;
	const char *words;
	int error;
} others[] = {
	{ 0, "\x02\x21\x4c\x18", 4, "lz4", -EOPNOTSUPP },
	{ 0, "\x04\x22\x4d\x18", 4, "lz4", -EOPNOTSUPP },
	{ 0, "\xfd\x37zXZ\0", 6, "xz", -EOPNOTSUPP },
	{ 0, "\x5d\0\0\x80", 4, "lzma", -EOPNOTSUPP },
	{ 0, "BZh9", 4, "bzip2", -EOPNOTSUPP },
	{ 0, "\x89LZO", 4, "lzop", -EOPNOTSUPP },
	{ 0, "ANDROID!", 8, "Android boot image", -ENOEXEC },
	{ 0, "\x27\x05\x19\x56", 4, "uImage", -ENOEXEC },
	{ 0, "\xd0\x0d\xfe\xed", 4, "FIT", -ENOEXEC },
	{ 0, "070701", 6, "GH_IMAGE_RAW", -ENOEXEC },
	{ 0x24, "\x18\x28\x6f\x01", 4, "32-bit arm", -ENOEXEC },
	{ 0x38, "RSC\x05", 4, "RISC-V", -ENOEXEC },
	{ 0x202, "HdrS", 4, "x86", -ENOEXEC },
	{ 0, "MZ", 2, "EFI", -ENOEXEC },
	{ 0, "hello", 5, "GH_IMAGE_RAW", -ENOEXEC },
};
#define OTHERS (int)(sizeof(others) / sizeof(others[0]))

/* The refusal says what it is. */
START_TEST(test_unknown_files)
{
	struct bytes bytes = bytes_new(others[_i].offset + others[_i].size + 200);
	struct gh_failure failure;
	struct gh_image *image = NULL;

	memset(bytes.data, 1, bytes.size);
	memcpy(bytes.data + others[_i].offset, others[_i].magic, others[_i].size);
	ck_assert_int_eq(open_as(&bytes, GH_IMAGE_AUTO, &image, &failure), others[_i].error);
	ck_assert_msg(strstr(failure.cause, others[_i].words) != NULL || strstr(failure.remedy, others[_i].words) != NULL,
		      "%s; %s", failure.cause, failure.remedy);
	bytes_free(&bytes);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("image");
	TCase *tcase = add_case(suite, "image");

	tcase_add_test(tcase, test_arguments);
	tcase_add_test(tcase, test_path_and_descriptor);
	tcase_add_test(tcase, test_no_descriptor);
	tcase_add_test(tcase, test_irregular_files);
	tcase_add_test(tcase, test_sizes);
	tcase_add_test(tcase, test_long_name);
	tcase_add_test(tcase, test_image_header);
	tcase_add_test(tcase, test_old_image);
	tcase_add_test(tcase, test_hostile_image);
	tcase_add_test(tcase, test_truncated_image);
	tcase_add_test(tcase, test_any_header);
	tcase_add_test(tcase, test_formats);
	tcase_add_loop_test(tcase, test_unknown_files, 0, OTHERS);
	return run_suite(suite);
}
