/* SPDX-License-Identifier: BSD-3-Clause */
/* Getting files into guest memory: all of it in its place, nothing elsewhere, and not where the host may not go. */
#include "image_files.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct gh_fake *fake;
static struct gh_vm *vm;

static void begin(void)
{
	fake = new_fake();
	vm = open_fake(fake);
}

static void end(void)
{
	gh_vm_close(vm);
	gh_fake_free(fake);
}

static uint8_t *host_of(uint64_t gpa, uint64_t length)
{
	void *host = NULL;

	ck_assert_int_eq(gh_vm_pointer(vm, gpa, length, &host), 0);
	return host;
}

static struct gh_image *open_bytes(const struct bytes *bytes, uint32_t format)
{
	struct gh_image_options options = GH_IMAGE_OPTIONS_INIT;
	struct gh_image *image = NULL;

	options.data = bytes->data;
	options.length = bytes->size;
	options.format = format;
	ck_assert_int_eq(gh_image_open(&options, &image), 0);
	return image;
}

static char path[] = "/tmp/gh-test-load-XXXXXX";

static int make_file(const struct bytes *bytes)
{
	int fd;

	memcpy(path + sizeof(path) - 7, "XXXXXX", 6);
	fd = mkostemp(path, O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes->data, bytes->size), (ssize_t)bytes->size);
	return fd;
}

static void expect_failure(int ret, int error)
{
	ck_assert_int_eq(ret, error);
	ck_assert(failure_is(gh_vm_failure(vm), error));
	ck_assert_str_eq(gh_vm_failure(vm)->step, "load an image");
}

static void check_filled(const uint8_t *memory, size_t length, uint8_t value)
{
	for (size_t i = 0; i < length; i++)
		if (memory[i] != value)
			ck_abort_msg("byte %zu: %#x", i, memory[i]);
}

/* --- formats ------------------------------------------------------------------------------------------------------------ */

/* From a file, into two regions that touch, and nothing behind it. */
START_TEST(test_image)
{
	struct gh_image_options options = GH_IMAGE_OPTIONS_INIT;
	struct bytes bytes = image_file(0x1fe000, MIB, 0);
	uint64_t gpa = RAM_GPA + 0x1fe000;
	struct gh_image *image = NULL;
	int fd = make_file(&bytes);

	map_at(vm, RAM_GPA, 2 * MIB, GH_MEMORY_RWX);
	map_at(vm, RAM_GPA + 2 * MIB, 2 * MIB, GH_MEMORY_RWX);
	options.path = path;
	ck_assert_int_eq(gh_image_open(&options, &image), 0);
	for (int i = 0; i < 2; i++) {
		memset(host_of(RAM_GPA, 2 * MIB), 0x5a, 2 * MIB);
		memset(host_of(RAM_GPA + 2 * MIB, 2 * MIB), 0x5a, 2 * MIB);
		ck_assert_int_eq(gh_image_load(vm, image, gpa), 0);
		check_filled(host_of(RAM_GPA, 2 * MIB), 0x1fe000, 0x5a);
		ck_assert(memcmp(host_of(gpa, 8192), bytes.data, 8192) == 0);
		ck_assert(memcmp(host_of(gpa + 8192, 2 * MIB), bytes.data + 8192, bytes.size - 8192) == 0);
		check_filled(host_of(gpa + bytes.size, MIB), MIB, 0x5a);
	}
	gh_image_close(image);
	(void)close(fd);
	(void)unlink(path);
	bytes_free(&bytes);
}
END_TEST

#define ENTRY UINT64_C(0xffff800008000000)

static const struct elf_program programs[] = {
	{ .offset = 8192, .address = RAM_GPA + 0x3000, .file_size = 700, .size = 0x2000 },
	{ .offset = 4096, .virtual_address = ENTRY, .address = RAM_GPA + 0x1000, .file_size = 3000, .size = 3500 },
	{ .offset = 0, .address = RAM_GPA + 0x8000, .file_size = 0, .size = 100 },
};

static void check_elf(const uint8_t *ram, const struct bytes *bytes)
{
	check_filled(ram, 0x1000, 0x5a);
	ck_assert(memcmp(ram + 0x1000, bytes->data + 4096, 3000) == 0);
	check_filled(ram + 0x1000 + 3000, 500, 0);
	check_filled(ram + 0x1000 + 3500, 0x2000 - 3500, 0x5a);
	ck_assert(memcmp(ram + 0x3000, bytes->data + 8192, 700) == 0);
	check_filled(ram + 0x3000 + 700, 0x2000 - 700, 0);
	check_filled(ram + 0x5000, 0x3000, 0x5a);
	check_filled(ram + 0x8000, 100, 0);
	check_filled(ram + 0x8000 + 100, 0x1000, 0x5a);
}

START_TEST(test_elf)
{
	struct bytes plain = elf_file(2, ENTRY, programs, 3, 9000);
	struct bytes packed = pack_gzip(&plain, 6);
	struct gh_image *image = open_bytes(_i == 0 ? &plain : &packed, GH_IMAGE_AUTO);
	uint8_t *ram;

	map_at(vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	ram = host_of(RAM_GPA, RAM_SIZE);
	memset(ram, 0x5a, 0x10000);
	ck_assert_uint_eq(gh_image_info(image)->address, RAM_GPA + 0x1000);
	/* It is not relocatable. */
	expect_failure(gh_image_load(vm, image, RAM_GPA + 0x1000 + 2 * MIB), -EINVAL);
	expect_failure(gh_image_load(vm, image, 0), -EINVAL);
	ck_assert_int_eq(gh_image_load(vm, image, RAM_GPA + 0x1000), 0);
	check_elf(ram, &plain);
	gh_image_close(image);
	bytes_free(&packed);
	bytes_free(&plain);
}
END_TEST

/* A packed ELF file that ends within a segment, or before one. */
START_TEST(test_truncated_elf)
{
	struct bytes plain = elf_file(2, ENTRY, programs, 3, 9000);

	map_at(vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	for (size_t size = 4096; size < 8192 + 700; size += 211) {
		struct bytes part = { plain.data, size };
		struct bytes packed = pack_gzip(&part, 6);
		struct gh_image *image = open_bytes(&packed, GH_IMAGE_AUTO);
		int ret = gh_image_load(vm, image, RAM_GPA + 0x1000);

		ck_assert(ret == -ENOEXEC || ret == -EBADMSG);
		gh_image_close(image);
		bytes_free(&packed);
	}
	bytes_free(&plain);
}
END_TEST

/* --- places that are refused ---------------------------------------------------------------------------------------------- */

START_TEST(test_arguments)
{
	struct bytes bytes = image_file(0x80000, MIB, 0);
	struct gh_image *image = open_bytes(&bytes, GH_IMAGE_AUTO);

	map_at(vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	ck_assert_int_eq(gh_image_load(NULL, image, RAM_GPA), -EINVAL);
	ck_assert_int_eq(gh_image_load(vm, NULL, RAM_GPA), -EINVAL);
	expect_failure(gh_image_load(vm, image, RAM_GPA), -EINVAL);
	expect_failure(gh_image_load(vm, image, RAM_GPA + 0x80004), -EINVAL);
	ck_assert_int_eq(gh_image_load(vm, image, RAM_GPA + 2 * MIB + 0x80000), 0);
	gh_image_close(image);
	bytes_free(&bytes);
}
END_TEST

/* All of the memory must be there before a byte is written. */
START_TEST(test_no_memory)
{
	struct bytes bytes = image_file(0, 2 * MIB + 4096, 0);
	struct gh_image *image = open_bytes(&bytes, GH_IMAGE_AUTO);
	uint8_t *ram;

	expect_failure(gh_image_load(vm, image, RAM_GPA), -EFAULT);
	map_at(vm, RAM_GPA, 2 * MIB, GH_MEMORY_RWX);
	ram = host_of(RAM_GPA, 2 * MIB);
	expect_failure(gh_image_load(vm, image, RAM_GPA), -EFAULT);
	ck_assert_ptr_nonnull(strstr(gh_vm_failure(vm)->cause, "0x80200000"));
	expect_failure(gh_image_load(vm, image, RAM_GPA - 2 * MIB), -EFAULT);
	expect_failure(gh_image_load(vm, image, -(2 * MIB)), -EFAULT);
	check_filled(ram, 2 * MIB, 0);
	gh_image_close(image);
	bytes_free(&bytes);
}
END_TEST

START_TEST(test_lent_memory)
{
	struct bytes bytes = image_file(0, MIB, 0);
	struct gh_image *image = open_bytes(&bytes, GH_IMAGE_AUTO);
	struct gh_image_plan plan = GH_IMAGE_PLAN_INIT;

	map_at(vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX | GH_MEMORY_LEND);
	map_at(vm, RAM_GPA + RAM_SIZE, RAM_SIZE, GH_MEMORY_RWX);
	ck_assert_int_eq(gh_image_load(vm, image, RAM_GPA), 0);
	(void)add_vcpu(vm, 0);
	ck_assert_int_eq(gh_vm_start(vm), 0);
	expect_failure(gh_image_load(vm, image, RAM_GPA), -EFAULT);
	/* What both have can be written to. */
	ck_assert_int_eq(gh_image_load(vm, image, RAM_GPA + RAM_SIZE), 0);
	/* The jump is refused as everything else is. */
	plan.kernel = image;
	plan.kernel_gpa = RAM_GPA + RAM_SIZE;
	plan.entry = RAM_GPA;
	expect_failure(gh_image_load_plan(vm, &plan), -EFAULT);
	gh_image_close(image);
	bytes_free(&bytes);
}
END_TEST

/* --- files that change ------------------------------------------------------------------------------------------------------ */

START_TEST(test_shrinking_file)
{
	struct gh_image_options options = GH_IMAGE_OPTIONS_INIT;
	struct bytes bytes = image_file(0, MIB, 0);
	struct bytes packed = pack_gzip(&bytes, 6);
	struct gh_image *image = NULL;
	int fd = make_file(_i == 0 ? &bytes : &packed);

	map_at(vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	options.fd = fd;
	ck_assert_int_eq(gh_image_open(&options, &image), 0);
	ck_assert_int_eq(ftruncate(fd, 4097), 0);
	expect_failure(gh_image_load(vm, image, RAM_GPA), -EIO);
	gh_image_close(image);
	(void)close(fd);
	(void)unlink(path);
	bytes_free(&packed);
	bytes_free(&bytes);
}
END_TEST

/* --- progress --------------------------------------------------------------------------------------------------------------- */

struct progress {
	unsigned int calls;
	unsigned int ends;
	uint64_t last;
	uint64_t total;
	unsigned int refuse_at;
};

static int on_progress(void *data, uint64_t done, uint64_t total)
{
	struct progress *progress = data;

	ck_assert_uint_le(done, total);
	ck_assert_uint_ge(done, progress->last);
	progress->last = done;
	progress->total = total;
	progress->ends += done == total;
	return ++progress->calls == progress->refuse_at ? -ECANCELED : 0;
}

START_TEST(test_progress)
{
	struct gh_image_options options = GH_IMAGE_OPTIONS_INIT;
	struct bytes plain = bytes_new(17 * MIB);
	struct bytes packed = pack_gzip(&plain, 0);
	struct progress progress = { 0 };
	struct bytes head = image_file_bare(0, plain.size, 0);
	struct gh_image *image = NULL;

	memcpy(plain.data, head.data, 64);
	bytes_free(&packed);
	packed = pack_gzip(&plain, 0);
	map_at(vm, RAM_GPA, 32 * MIB, GH_MEMORY_RWX);
	options.data = _i == 0 ? plain.data : packed.data;
	options.length = _i == 0 ? plain.size : packed.size;
	options.progress = on_progress;
	options.progress_data = &progress;
	ck_assert_int_eq(gh_image_open(&options, &image), 0);
	ck_assert_int_eq(gh_image_load(vm, image, RAM_GPA), 0);
	ck_assert_uint_ge(progress.calls, 4);
	ck_assert_uint_eq(progress.ends, 1);
	ck_assert_uint_eq(progress.total, options.length);
	for (unsigned int at = 1; at <= 5; at += 2) {
		progress = (struct progress){ .refuse_at = at };
		expect_failure(gh_image_load(vm, image, RAM_GPA), -ECANCELED);
		ck_assert_uint_eq(progress.calls, at);
	}
	gh_image_close(image);
	bytes_free(&head);
	bytes_free(&packed);
	bytes_free(&plain);
}
END_TEST

/* Of an ELF file not every byte is read: it has been loaded all the same. */
START_TEST(test_progress_of_elf)
{
	const struct elf_program program = { .offset = 4096, .address = RAM_GPA, .file_size = 100, .size = 100 };
	struct bytes bytes = elf_file(2, 0, &program, 1, 9000);
	struct gh_image_options options = GH_IMAGE_OPTIONS_INIT;
	struct progress progress = { 0 };
	struct gh_image *image = NULL;

	map_at(vm, RAM_GPA, 2 * MIB, GH_MEMORY_RWX);
	options.data = bytes.data;
	options.length = bytes.size;
	options.progress = on_progress;
	options.progress_data = &progress;
	ck_assert_int_eq(gh_image_open(&options, &image), 0);
	ck_assert_int_eq(gh_image_load(vm, image, RAM_GPA), 0);
	ck_assert_uint_eq(progress.ends, 1);
	ck_assert_uint_eq(progress.last, 9000);
	gh_image_close(image);
	bytes_free(&bytes);
}
END_TEST

/* --- plans ------------------------------------------------------------------------------------------------------------------ */

START_TEST(test_plan)
{
	struct gh_image_place_options options = GH_IMAGE_PLACE_OPTIONS_INIT;
	struct gh_image_plan plan = GH_IMAGE_PLAN_INIT;
	struct bytes kernel = image_file(0x80000, MIB, 0);
	struct bytes initrd = bytes_new(70001);
	struct gh_sim *sim = new_sim(_i == 0 ? GUNYAH : GENIEZONE, "");
	struct gh_vm *other = vm;
	uint8_t *ram;

	vm = open_sim(sim);
	options.ram_gpa = RAM_GPA;
	options.ram_size = RAM_SIZE;
	options.kernel = open_bytes(&kernel, GH_IMAGE_AUTO);
	options.initrd = open_bytes(&initrd, GH_IMAGE_RAW);
	ck_assert_int_eq(gh_image_place(vm, &options, &plan), 0);
	/* Not before there is memory. */
	expect_failure(gh_image_load_plan(vm, &plan), -EFAULT);
	map_at(vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	ck_assert_int_eq(gh_image_load_plan(vm, &plan), 0);
	ram = host_of(RAM_GPA, RAM_SIZE);
	ck_assert(memcmp(ram + 0x80000, kernel.data, kernel.size) == 0);
	ck_assert(memcmp(ram + (plan.initrd_gpa - RAM_GPA), initrd.data, initrd.size) == 0);
	if (_i == 0) {
		/* ldr x16, .+8; br x16; the kernel's address */
		static const uint8_t jump[] = { 0x50, 0, 0, 0x58, 0, 2, 0x1f, 0xd6, 0, 0, 8, 0x80, 0, 0, 0, 0 };

		ck_assert_uint_eq(plan.entry, RAM_GPA);
		ck_assert(memcmp(ram, jump, sizeof(jump)) == 0);
	} else {
		ck_assert_uint_eq(plan.entry, RAM_GPA + 0x80000);
		check_filled(ram, 16, 0);
	}
	ck_assert_int_eq(gh_image_load_plan(NULL, &plan), -EINVAL);
	ck_assert_int_eq(gh_image_load_plan(vm, NULL), -EINVAL);
	plan.size++;
	ck_assert_int_eq(gh_image_load_plan(vm, &plan), -EINVAL);
	plan.size--;
	plan.kernel = NULL;
	ck_assert_int_eq(gh_image_load_plan(vm, &plan), -EINVAL);
	gh_image_close(options.kernel);
	gh_image_close(options.initrd);
	gh_vm_close(vm);
	end_sim(sim);
	vm = other;
	bytes_free(&kernel);
	bytes_free(&initrd);
}
END_TEST

/* Where an address has more than 32 bits. */
START_TEST(test_plan_far_up)
{
	struct gh_image_place_options options = GH_IMAGE_PLACE_OPTIONS_INIT;
	struct gh_image_plan plan = GH_IMAGE_PLAN_INIT;
	struct bytes kernel = image_file(0x80000, MIB, 0);
	struct gh_sim *sim = new_sim(GUNYAH, "");
	struct gh_vm *other = vm;
	uint64_t address = 0;

	vm = open_sim(sim);
	options.ram_gpa = UINT64_C(0x280000000);
	options.ram_size = RAM_SIZE;
	options.kernel = open_bytes(&kernel, GH_IMAGE_AUTO);
	ck_assert_int_eq(gh_image_place(vm, &options, &plan), 0);
	map_at(vm, options.ram_gpa, RAM_SIZE, GH_MEMORY_RWX);
	ck_assert_int_eq(gh_image_load_plan(vm, &plan), 0);
	ck_assert_uint_eq(plan.entry, options.ram_gpa);
	ck_assert_int_eq(gh_vm_read(vm, plan.entry + 8, &address, sizeof(address)), 0);
	ck_assert_uint_eq(address, options.ram_gpa + 0x80000);
	gh_image_close(options.kernel);
	gh_vm_close(vm);
	end_sim(sim);
	vm = other;
	bytes_free(&kernel);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("image_load");
	TCase *tcase = tcase_create("image_load");

	tcase_add_checked_fixture(tcase, leaks_begin, leaks_end);
	tcase_add_checked_fixture(tcase, begin, end);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	tcase_add_test(tcase, test_image);
	tcase_add_loop_test(tcase, test_elf, 0, 2);
	tcase_add_test(tcase, test_truncated_elf);
	tcase_add_test(tcase, test_arguments);
	tcase_add_test(tcase, test_no_memory);
	tcase_add_test(tcase, test_lent_memory);
	tcase_add_loop_test(tcase, test_shrinking_file, 0, 2);
	tcase_add_loop_test(tcase, test_progress, 0, 2);
	tcase_add_test(tcase, test_progress_of_elf);
	tcase_add_loop_test(tcase, test_plan, 0, 2);
	tcase_add_test(tcase, test_plan_far_up);
	return run_suite(suite);
}
