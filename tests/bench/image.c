/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * gh-bench-image: what it costs to get a kernel of 32 MiB and an initrd of 64 MiB into guest memory, against one read() of
 * each of the same files into the same kind of memory. Prints JSON; times decide nothing here.
 */
#include "image_files.h"
#include "internal.h"

#include <gh/gh.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define RAM_GPA UINT64_C(0x80000000)
#define MIB (UINT64_C(1) << 20)
#define RAM_SIZE (128 * MIB)
#define ROUNDS 15u
#define TARGET_RATIO 1.05
/* Headers are looked at before they go where the guest will find them. */
#define ELSEWHERE_MOST 4096u

struct result {
	double ms;
	uint64_t calls;     /* reads of files */
	uint64_t bytes;     /* that they have brought */
	uint64_t elsewhere; /* of these, not into guest memory: what would have to be copied once more */
	bool right;         /* the memory holds what the files do */
};

/* --- counting: a table of system calls around the kernel's ---------------------------------------------------------------- */

static struct {
	struct gh_sys sys;
	struct result *result;
	const uint8_t *ram;
} counter;

/* Named by the linker. */
struct gh_sys *__real_gh_sys_kernel(void);
struct gh_sys *__wrap_gh_sys_kernel(void);

static ssize_t count_pread(struct gh_sys *sys, int fd, void *buffer, size_t length, uint64_t offset)
{
	struct gh_sys *kernel = __real_gh_sys_kernel();
	ssize_t got = kernel->pread(kernel, fd, buffer, length, offset);
	const uint8_t *to = buffer;

	(void)sys;
	if (got < 0)
		return got;
	counter.result->calls++;
	counter.result->bytes += (uint64_t)got;
	if (to < counter.ram || to >= counter.ram + RAM_SIZE)
		counter.result->elsewhere += (uint64_t)got;
	return got;
}

struct gh_sys *__wrap_gh_sys_kernel(void)
{
	if (counter.result == NULL)
		return __real_gh_sys_kernel();
	counter.sys = *__real_gh_sys_kernel();
	counter.sys.pread = count_pread;
	return &counter.sys;
}

/* --- one round ------------------------------------------------------------------------------------------------------------ */

struct file {
	int fd;
	struct bytes bytes;
};

struct files {
	struct file kernel;
	struct file initrd;
};

static double now_ms(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

static bool read_all(const struct file *file, uint8_t *to, struct result *result)
{
	size_t length = file->bytes.size;

	(void)lseek(file->fd, 0, SEEK_SET);
	while (length > 0) {
		ssize_t got = read(file->fd, to, length);

		if (got <= 0)
			return false;
		result->calls++;
		result->bytes += (uint64_t)got;
		to += got;
		length -= (size_t)got;
	}
	return true;
}

static bool holds(const uint8_t *memory, const struct file *file)
{
	return memcmp(memory, file->bytes.data, file->bytes.size) == 0;
}

static bool load_bare(const struct files *files, uint8_t *ram, struct result *result)
{
	double begin = now_ms();

	if (!read_all(&files->kernel, ram, result) || !read_all(&files->initrd, ram + files->kernel.bytes.size, result))
		return false;
	result->ms = now_ms() - begin;
	result->right = holds(ram, &files->kernel) && holds(ram + files->kernel.bytes.size, &files->initrd);
	return true;
}

static int open_and_load(struct gh_vm *vm, const struct files *files, struct gh_image_plan *plan)
{
	struct gh_image_options options = GH_IMAGE_OPTIONS_INIT;
	struct gh_image_place_options place = GH_IMAGE_PLACE_OPTIONS_INIT;
	int ret;

	options.fd = files->kernel.fd;
	ret = gh_image_open(&options, &place.kernel);
	options.fd = files->initrd.fd;
	options.format = GH_IMAGE_RAW;
	if (ret == 0)
		ret = gh_image_open(&options, &place.initrd);
	place.ram_gpa = RAM_GPA;
	place.ram_size = RAM_SIZE;
	if (ret == 0)
		ret = gh_image_place(vm, &place, plan);
	if (ret == 0)
		ret = gh_image_load_plan(vm, plan);
	gh_image_close(place.kernel);
	gh_image_close(place.initrd);
	return ret;
}

static bool load_libgh(struct gh_vm *vm, const struct files *files, const uint8_t *ram, struct result *result)
{
	struct gh_image_plan plan = GH_IMAGE_PLAN_INIT;
	double begin = now_ms();
	int ret;

	counter.result = result;
	counter.ram = ram;
	ret = open_and_load(vm, files, &plan);
	counter.result = NULL;
	if (ret < 0) {
		(void)fprintf(stderr, "gh-bench-image: %s: %s\n", strerror(-ret), gh_vm_failure(vm)->cause);
		return false;
	}
	result->ms = now_ms() - begin;
	result->right = holds(ram + (plan.kernel_gpa - RAM_GPA), &files->kernel) &&
			holds(ram + (plan.initrd_gpa - RAM_GPA), &files->initrd);
	return true;
}

/* Into memory that nobody has touched, of the same kind for both. */
static bool load_once(const struct files *files, bool bare, struct result *result)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_memory memory = GH_MEMORY_INIT;
	struct gh_vm *vm = NULL;
	void *ram = NULL;
	bool ok = false;

	*result = (struct result){ 0 };
	options.backend = "fake";
	memory.gpa = RAM_GPA;
	memory.length = RAM_SIZE;
	if (gh_fake_new(&options.fake) == 0 && gh_vm_open(&options, &vm) == 0 && gh_vm_map(vm, &memory, NULL) == 0 &&
	    gh_vm_pointer(vm, RAM_GPA, RAM_SIZE, &ram) == 0)
		ok = bare ? load_bare(files, ram, result) : load_libgh(vm, files, ram, result);
	gh_vm_close(vm);
	gh_fake_free(options.fake);
	return ok;
}

/* --- files and results ------------------------------------------------------------------------------------------------------ */

/* In memory: the disk is nobody's achievement. */
static bool write_file(struct file *file, const char *name)
{
	size_t done = 0;

	file->fd = memfd_create(name, MFD_CLOEXEC);
	while (file->fd >= 0 && done < file->bytes.size) {
		ssize_t part = write(file->fd, file->bytes.data + done, file->bytes.size - done);

		if (part <= 0)
			return false;
		done += (size_t)part;
	}
	return file->fd >= 0;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

/* In turns, so that what disturbs the machine disturbs both; medians of the times, counts of the last. */
static bool measure(const struct files *files, unsigned int rounds, struct result *bare, struct result *libgh)
{
	double times[2][ROUNDS];

	for (unsigned int i = 0; i < 2 * rounds; i++) {
		/* Who comes first changes, too: the second finds memory that was just given back. */
		bool is_bare = (i + i / 2) % 2 == 0;

		if (!load_once(files, is_bare, is_bare ? bare : libgh))
			return false;
		times[is_bare ? 0 : 1][i / 2] = is_bare ? bare->ms : libgh->ms;
	}
	qsort(times[0], rounds, sizeof(double), compare);
	qsort(times[1], rounds, sizeof(double), compare);
	bare->ms = times[0][rounds / 2];
	libgh->ms = times[1][rounds / 2];
	return true;
}

static const char *truth(bool value)
{
	return value ? "true" : "false";
}

static bool print(const struct files *files, const struct result *bare, const struct result *libgh, bool with_times)
{
	bool met = bare->right && libgh->right && libgh->elsewhere <= ELSEWHERE_MOST;

	(void)printf("{\n  \"kernel_bytes\": %llu, \"initrd_bytes\": %llu,\n", (unsigned long long)files->kernel.bytes.size,
		     (unsigned long long)files->initrd.bytes.size);
	if (with_times)
		(void)printf("  \"bare_ms\": %.2f, \"libgh_ms\": %.2f, \"ratio\": %.3f, \"time_met\": %s,\n", bare->ms,
			     libgh->ms, libgh->ms / bare->ms, truth(libgh->ms <= TARGET_RATIO * bare->ms));
	(void)printf(
		"  \"bare_reads\": %llu, \"libgh_reads\": %llu, \"bytes_read\": %llu, \"bytes_not_into_guest\": %llu,\n",
		(unsigned long long)bare->calls, (unsigned long long)libgh->calls, (unsigned long long)libgh->bytes,
		(unsigned long long)libgh->elsewhere);
	(void)printf("  \"copies\": %.4f, \"copies_met\": %s\n}\n",
		     (double)libgh->bytes / (double)(files->kernel.bytes.size + files->initrd.bytes.size), truth(met));
	return met;
}

int main(int argc, char **argv)
{
	bool check = argc == 2 && strcmp(argv[1], "--check") == 0;
	uint64_t unit = check ? MIB : 8 * MIB; /* what is counted does not depend on the size */
	struct files files = { .kernel.bytes = bytes_new(4 * unit), .initrd.bytes = bytes_new(8 * unit) };
	struct bytes head = image_file_bare(0, files.kernel.bytes.size, 0);
	struct result bare;
	struct result libgh;
	bool ok;

	if (argc > 2 || (argc == 2 && !check)) {
		(void)fprintf(stderr, "usage: gh-bench-image [--check]\n");
		return 2;
	}
	memcpy(files.kernel.bytes.data, head.data, 64);
	ok = write_file(&files.kernel, "kernel") && write_file(&files.initrd, "initrd") &&
	     measure(&files, check ? 1 : ROUNDS, &bare, &libgh) && print(&files, &bare, &libgh, !check);
	bytes_free(&head);
	bytes_free(&files.initrd.bytes);
	bytes_free(&files.kernel.bytes);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
