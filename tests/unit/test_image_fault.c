/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any system call and any allocation of opening and loading may fail: the error comes out with a reason, or does no harm,
 * and nothing is left behind. Linked with --wrap=malloc and others.
 */
#include "image_files.h"
#include "table.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
	unsigned long count;
	unsigned long fail_at;
} allocations;

/* Named by the linker. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);

static bool is_struck(void)
{
	return table_counts && ++allocations.count == allocations.fail_at;
}

void *__wrap_malloc(size_t size)
{
	return is_struck() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return is_struck() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return is_struck() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
	return is_struck() ? NULL : __real_strdup(text);
}

/* --- one life of an image --------------------------------------------------------------------------------------------------- */

enum kind { PLAIN, GZIP, ELF, ELF_ELSEWHERE, RAW, KINDS };

static char path[] = "/tmp/gh-test-fault-XXXXXX";
static int file;
static struct gh_fake *fake;
static struct gh_vm *vm;

static struct bytes make_bytes(enum kind kind)
{
	static const struct elf_program program = {
		.offset = 4096, .virtual_address = RAM_GPA, .address = RAM_GPA, .file_size = 3000, .size = 0x2000
	};
	struct bytes image = image_file(0, MIB, 0);
	struct bytes bytes;

	switch (kind) {
	case GZIP:
		bytes = pack_gzip(&image, 6);
		bytes_free(&image);
		return bytes;
	case ELF:
	case ELF_ELSEWHERE:
		bytes_free(&image);
		bytes = elf_file(2, RAM_GPA, &program, 1, 9000);
		if (kind == ELF_ELSEWHERE) {
			/* Where only another call finds them. */
			memcpy(bytes.data + 8000, bytes.data + ELF_TABLE, ELF_PROGRAM_SIZE);
			put64(bytes.data + 32, 8000);
		}
		return bytes;
	default:
		return image;
	}
}

static void begin(enum kind kind)
{
	struct bytes bytes = make_bytes(kind);

	memcpy(path + sizeof(path) - 7, "XXXXXX", 6);
	file = mkostemp(path, O_CLOEXEC);
	ck_assert_int_ge(file, 0);
	ck_assert_int_eq(write(file, bytes.data, bytes.size), (ssize_t)bytes.size);
	bytes_free(&bytes);
	fake = new_fake();
	vm = open_fake(fake);
	map_at(vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	table_wrap_kernel(true);
}

static void end(void)
{
	table_wrap_kernel(false);
	gh_vm_close(vm);
	gh_fake_free(fake);
	(void)close(file);
	(void)unlink(path);
}

static int live(enum kind kind, bool by_path)
{
	struct gh_image_options options = GH_IMAGE_OPTIONS_INIT;
	struct gh_failure failure = GH_FAILURE_INIT;
	int mark = 0;
	struct gh_image *image = (void *)&mark;
	int ret;

	options.path = by_path ? path : NULL;
	options.fd = by_path ? -1 : file;
	options.format = kind == RAW ? GH_IMAGE_RAW : GH_IMAGE_AUTO;
	options.failure = &failure;
	table_counts = true;
	ret = gh_image_open(&options, &image);
	table_counts = false;
	if (ret < 0) {
		ck_assert_ptr_eq(image, (void *)&mark);
		ck_assert(failure_is(&failure, ret));
		return ret;
	}
	table_counts = true;
	ret = gh_image_load(vm, image, RAM_GPA);
	gh_image_close(image);
	table_counts = false;
	ck_assert(ret == 0 || failure_is(gh_vm_failure(vm), ret));
	return ret;
}

START_TEST(test_every_call)
{
	static const int errors[] = { -ENOMEM, -EIO, -EINTR, -EACCES };
	enum kind kind = (enum kind)(_i / 2);
	struct holdings before;

	begin(kind);
	before = holdings_now();
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		unsigned long failed = 0;
		unsigned long n;

		for (n = 1;; n++) {
			int ret;

			table_arm(n, errors[i]);
			ret = live(kind, _i % 2 == 0);
			ck_assert(holdings_equal(before, holdings_now()));
			if (!table_fired()) {
				ck_assert_int_eq(ret, 0);
				break;
			}
			ck_assert_msg(ret == 0 || ret == errors[i], "%s: %d", table_victim(), ret);
			if (errors[i] == -EINTR && strcmp(table_victim(), "pread") == 0)
				ck_assert_int_eq(ret, 0);
			failed += ret < 0;
		}
		/* Opening, measuring, reading the header and the file; an interrupted read is made again. */
		ck_assert_uint_ge(failed, errors[i] == -EINTR ? 2 : kind == RAW ? 3 : 4);
	}
	table_arm(0, 0);
	end();
}
END_TEST

START_TEST(test_every_allocation)
{
	enum kind kind = (enum kind)_i;
	struct holdings before;

	begin(kind);
	before = holdings_now();
	for (unsigned long n = 1;; n++) {
		int ret;

		allocations.count = 0;
		allocations.fail_at = n;
		ret = live(kind, true);
		ck_assert(holdings_equal(before, holdings_now()));
		if (allocations.count < n) {
			ck_assert_int_eq(ret, 0);
			ck_assert_uint_gt(n, kind == GZIP ? 8 : 1);
			break;
		}
		ck_assert_int_eq(ret, -ENOMEM);
	}
	allocations.fail_at = 0;
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("image_fault");
	TCase *tcase = add_case(suite, "image_fault");

	tcase_add_loop_test(tcase, test_every_call, 0, 2 * KINDS);
	tcase_add_loop_test(tcase, test_every_allocation, 0, KINDS);
	return run_suite(suite);
}
