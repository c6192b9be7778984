/* SPDX-License-Identifier: BSD-3-Clause */
/* The host's side of guest memory: callers' files, filling, locks and their limit, what is lent, what a child has. */
#include "raw.h"
#include "util.h"

#include "../../lib/internal.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE UINT64_C(4096)
#define PAGES 16u
#define SIZE (PAGES * PAGE)
#define OTHER_GPA (RAM_GPA + 64 * MIB)

static struct gh_fake *fake;
static struct gh_sim *sim;
static struct gh_vm *vm;
static int file;
static char last_line[512];

static void take_line(void *data, const char *line)
{
	(void)data;
	(void)snprintf(last_line, sizeof(last_line), "%s", line);
}

/* NULL: the fake. */
static void open_on(const char *device)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;

	fake = new_fake();
	sim = device != NULL ? new_sim(device, "") : NULL;
	options.machine = sim;
	options.backend = sim != NULL ? "auto" : "fake";
	options.fake = sim != NULL ? NULL : fake;
	options.log = take_line;
	last_line[0] = '\0';
	ck_assert_int_eq(gh_vm_open(&options, &vm), 0);
	file = memfd_create("memory", MFD_CLOEXEC);
	ck_assert_int_ge(file, 0);
	ck_assert_int_eq(ftruncate(file, 2 * (off_t)SIZE), 0);
}

static void close_all(void)
{
	gh_vm_close(vm);
	if (sim != NULL)
		end_sim(sim);
	gh_fake_free(fake);
	(void)close(file);
}

static struct gh_memory memory_at(uint64_t gpa, uint32_t flags)
{
	struct gh_memory memory = GH_MEMORY_INIT;

	memory.gpa = gpa;
	memory.length = SIZE;
	memory.flags |= flags;
	return memory;
}

static unsigned char *host_of(uint64_t gpa)
{
	void *pointer = NULL;

	ck_assert_int_eq(gh_vm_pointer(vm, gpa, SIZE, &pointer), 0);
	return pointer;
}

static void refuses(const struct gh_memory *memory, int error)
{
	uint32_t id = 77;

	ck_assert_int_eq(gh_vm_map(vm, memory, &id), error);
	ck_assert_uint_eq(id, 77);
	ck_assert(failure_is(gh_vm_failure(vm), error));
}

static const char *const devices[] = { NULL, GUNYAH, GENIEZONE };

/* MFD_HUGETLB of 1 GiB, which older headers lack. */
#define HUGE_1G (4u | 30u << 26)

/* --- files ------------------------------------------------------------------------------------------------------------ */

/* A part of a huge page would be mapped as a whole one, over what is behind it. Not every kernel has such files. */
START_TEST(test_file_of_huge_pages)
{
	struct gh_memory memory = memory_at(RAM_GPA, 0);

	open_on(NULL);
	memory.fd = memfd_create("huge", MFD_CLOEXEC | HUGE_1G);
	if (memory.fd >= 0) {
		ck_assert_int_eq(ftruncate(memory.fd, (off_t)1 << 30), 0);
		refuses(&memory, -EINVAL);
		(void)close(memory.fd);
	}
	close_all();
}
END_TEST

START_TEST(test_file)
{
	struct gh_memory memory = memory_at(RAM_GPA, 0);
	char byte = 0;

	open_on(devices[_i]);
	memory.fd = file;
	memory.offset = SIZE;
	ck_assert_int_eq(gh_vm_map(vm, &memory, NULL), 0);
	/* The same part at another place: one memory. */
	memory.gpa = OTHER_GPA;
	ck_assert_int_eq(gh_vm_map(vm, &memory, NULL), 0);
	ck_assert_int_eq(pwrite(file, "x", 1, (off_t)SIZE + 5), 1);
	ck_assert_int_eq(gh_vm_read(vm, RAM_GPA + 5, &byte, 1), 0);
	ck_assert_int_eq(byte, 'x');
	ck_assert_int_eq(gh_vm_write(vm, OTHER_GPA + SIZE - 1, "y", 1), 0);
	ck_assert_int_eq(pread(file, &byte, 1, 2 * (off_t)SIZE - 1), 1);
	ck_assert_int_eq(byte, 'y');
	ck_assert_int_eq(gh_vm_read(vm, RAM_GPA + SIZE - 1, &byte, 1), 0);
	ck_assert_int_eq(byte, 'y');
	ck_assert_uint_eq((uintptr_t)host_of(RAM_GPA) % (2 * MIB), 0);
	close_all();
}
END_TEST

START_TEST(test_file_refused)
{
	struct gh_memory memory = memory_at(RAM_GPA, 0);
	int pipes[2];

	open_on(devices[_i]);
	memory.fd = file;
	memory.offset = SIZE + PAGE;
	refuses(&memory, -ERANGE);
	memory.offset = 1;
	refuses(&memory, -EINVAL);
	memory.offset = 3 * SIZE;
	refuses(&memory, -ERANGE);
	memory.offset = UINT64_MAX - PAGE + 1;
	refuses(&memory, -ERANGE);
	memory.offset = 0;
	memory.reserved2 = 1;
	refuses(&memory, -EINVAL);
	memory.reserved2 = 0;
	memory.host = (void *)(uintptr_t)(2 * MIB);
	refuses(&memory, -EINVAL);
	memory.host = NULL;
	memory.fd = -2;
	refuses(&memory, -EINVAL);
	memory.fd = -1;
	memory.offset = PAGE;
	refuses(&memory, -EINVAL);
	memory.offset = 0;
	memory.fd = 1000000;
	refuses(&memory, -EBADF);
	ck_assert_int_eq(pipe(pipes), 0);
	memory.fd = pipes[0];
	refuses(&memory, -EINVAL);
	(void)close(pipes[0]);
	(void)close(pipes[1]);
	memory.fd = file;
	ck_assert_int_eq(gh_vm_map(vm, &memory, NULL), 0);
	close_all();
}
END_TEST

/* A caller's mapping is the caller's to advise and to lock. */
START_TEST(test_host_refused)
{
	struct gh_memory memory = memory_at(RAM_GPA, GH_MEMORY_HUGE);

	open_on(NULL);
	memory.host = (void *)(uintptr_t)(2 * MIB);
	refuses(&memory, -EINVAL);
	memory.flags = GH_MEMORY_RWX | GH_MEMORY_LOCK;
	refuses(&memory, -EINVAL);
	close_all();
}
END_TEST

/* Memory at addresses that nobody else is given by and by: holes in it stay. */
static uint8_t *map_aside(size_t length)
{
	void *pages = MAP_FAILED;

	for (uintptr_t place = 0x30000000; pages == MAP_FAILED && place < 0x80000000; place += 0x8000000)
		pages = mmap((void *)place, length, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	ck_assert(pages != MAP_FAILED);
	return pages;
}

/* A kernel that only writes down where memory is would leave it to the accessors to find the hole. */
START_TEST(test_host_with_hole)
{
	static const char *const kinds[] = { NULL, GUNYAH, GENIEZONE, "sim:gunyah/android16-6.12" };
	struct gh_memory memory = memory_at(RAM_GPA, 0);
	uint8_t *pages = map_aside(SIZE);

	ck_assert_int_eq(munmap(pages + PAGE, PAGE), 0);
	open_on(kinds[_i]);
	memory.host = pages;
	refuses(&memory, -EFAULT);
	ck_assert_uint_eq(gh_vm_failure(vm)->cause_id, GH_CAUSE_UNPINNABLE);
	ck_assert_ptr_nonnull(strstr(gh_vm_failure(vm)->cause, "not mapped"));
	ck_assert_int_eq(munmap(pages, SIZE), 0);
	refuses(&memory, -EFAULT);
	memory.host = NULL;
	ck_assert_int_eq(gh_vm_map(vm, &memory, NULL), 0);
	close_all();
}
END_TEST

/* A caller that was built before there were files. */
START_TEST(test_older_caller)
{
	struct gh_memory memory = memory_at(RAM_GPA, 0);

	open_on(NULL);
	memory.size = offsetof(struct gh_memory, fd);
	memory.fd = 1000000; /* not part of it */
	ck_assert_int_eq(gh_vm_map(vm, &memory, NULL), 0);
	memory.gpa = OTHER_GPA;
	memory.size--;
	ck_assert_int_eq(gh_vm_map(vm, &memory, NULL), -EINVAL);
	close_all();
}
END_TEST

/* --- pages ---------------------------------------------------------------------------------------------------------- */

static unsigned int resident(const void *host)
{
	unsigned char pages[PAGES];
	unsigned int count = 0;

	ck_assert_int_eq(mincore((void *)(uintptr_t)host, SIZE, pages), 0);
	for (unsigned int i = 0; i < PAGES; i++)
		count += pages[i] & 1;
	return count;
}

START_TEST(test_prefault)
{
	struct gh_memory memory = memory_at(RAM_GPA, 0);
	unsigned char *own = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	open_on(NULL);
	ck_assert_int_eq(gh_vm_map(vm, &memory, NULL), 0);
	ck_assert_uint_eq(resident(host_of(RAM_GPA)), 0);
	memory = memory_at(OTHER_GPA, GH_MEMORY_PREFAULT | GH_MEMORY_HUGE);
	ck_assert_int_eq(gh_vm_map(vm, &memory, NULL), 0);
	ck_assert_uint_eq(resident(host_of(OTHER_GPA)), PAGES);
	/* The caller's, too, without a change. */
	ck_assert_ptr_ne(own, MAP_FAILED);
	own[PAGE] = 5;
	memory = memory_at(2 * OTHER_GPA, GH_MEMORY_PREFAULT);
	memory.host = own;
	ck_assert_int_eq(gh_vm_map(vm, &memory, NULL), 0);
	ck_assert_uint_eq(resident(own), PAGES);
	ck_assert_uint_eq(own[PAGE], 5);
	ck_assert_uint_eq(own[2 * PAGE], 0);
	close_all();
	ck_assert_int_eq(munmap(own, SIZE), 0);
}
END_TEST

/* Where the kernel pins at once, the guest does not get the page that all have who have written nothing. */
START_TEST(test_zero_page)
{
	static const struct {
		uint64_t quirks;
		uint32_t flags;
		unsigned int pages;
	} cases[] = {
		{ GH_QUIRK_LOCKS_MEMORY, GH_MEMORY_READ, PAGES },
		{ GH_QUIRK_LOCKS_MEMORY, GH_MEMORY_RWX, 0 }, /* pinned to be written to: the kernel makes pages */
		{ 0, GH_MEMORY_READ, 0 },
	};
	unsigned char *own = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_memory memory = memory_at(RAM_GPA, 0);

	ck_assert_ptr_ne(own, MAP_FAILED);
	fake = new_fake();
	options.backend = "fake";
	options.fake = fake;
	options.quirks_on = cases[_i].quirks;
	ck_assert_int_eq(gh_vm_open(&options, &vm), 0);
	memory.flags = cases[_i].flags;
	memory.host = own;
	ck_assert_int_eq(gh_vm_map(vm, &memory, NULL), 0);
	ck_assert_uint_eq(resident(own), cases[_i].pages);
	gh_vm_close(vm);
	gh_fake_free(fake);
	ck_assert_int_eq(munmap(own, SIZE), 0);
}
END_TEST

/* KiB that this process has locked. */
static unsigned long locked(void)
{
	FILE *status = fopen("/proc/self/status", "re");
	unsigned long kib = 0;
	char line[256];

	ck_assert_ptr_nonnull(status);
	while (fgets(line, sizeof(line), status) != NULL)
		if (sscanf(line, "VmLck: %lu kB", &kib) == 1)
			break;
	(void)fclose(status);
	return kib;
}

/* An emulator of programs knows nothing of it. */
static bool can_lock(void)
{
	unsigned long before = locked();
	void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bool can;

	ck_assert_ptr_ne(page, MAP_FAILED);
	can = mlock2(page, PAGE, MLOCK_ONFAULT) == 0 && locked() == before + PAGE / 1024;
	ck_assert_int_eq(munmap(page, PAGE), 0);
	return can;
}

/* On demand: locked, and not there. GenieZone's without being asked; Gunyah's kernel locks by itself. */
START_TEST(test_lock)
{
	unsigned long before = locked();
	struct gh_memory memory = memory_at(RAM_GPA, GH_MEMORY_LOCK);

	if (!can_lock())
		return;
	open_on(devices[_i]);
	if (_i == 2)
		memory.flags = GH_MEMORY_RWX;
	ck_assert_int_eq(gh_vm_map(vm, &memory, NULL), 0);
	ck_assert_uint_eq(locked(), before + (_i == 1 ? 0 : SIZE / 1024));
	if (_i != 1)
		ck_assert_uint_eq(resident(host_of(RAM_GPA)), 0);
	close_all();
	ck_assert_uint_eq(locked(), before);
}
END_TEST

/* A caller's mapping is locked where the kernel's life depends on it, and as before when the VM is closed. */
START_TEST(test_lock_of_callers)
{
	unsigned long before = locked();
	struct gh_memory memory = memory_at(RAM_GPA, 0);
	char *own = mmap(NULL, SIZE + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(own, MAP_FAILED);
	own += PAGE;
	ck_assert_ptr_eq(mmap(own, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0), own);
	if (can_lock()) {
		open_on(GENIEZONE);
		memory.host = own;
		ck_assert_int_eq(gh_vm_map(vm, &memory, NULL), 0);
		ck_assert_uint_eq(locked(), before + SIZE / 1024);
		close_all();
		ck_assert_uint_eq(locked(), before);
	}
	ck_assert_int_eq(munmap(own - PAGE, SIZE + 2 * PAGE), 0);
}
END_TEST

static struct rlimit set_limit(uint64_t bytes)
{
	struct rlimit old;
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_MEMLOCK, &old), 0);
	limit = old;
	limit.rlim_cur = bytes;
	raw_lock_capability(false);
	ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
	return old;
}

static void reset_limit(const struct rlimit *old)
{
	ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, old), 0);
	raw_lock_capability(true);
}

/* Too low a limit: an error that names it where a lock was asked for or is needed, a line of text where it was not. */
START_TEST(test_limit)
{
	struct gh_memory memory = memory_at(RAM_GPA, _i == 2 ? 0 : GH_MEMORY_LOCK);
	struct rlimit old;

	if (!can_lock())
		return;
	open_on(devices[_i]);
	old = set_limit(SIZE - PAGE);
	if (_i == 2) {
		ck_assert_int_eq(gh_vm_map(vm, &memory, NULL), 0);
		ck_assert_msg(strstr(last_line, "RLIMIT_MEMLOCK allows 60 KiB") != NULL, "%s", last_line);
		ck_assert_int_eq(gh_vm_failure(vm)->error, 0);
		memory.gpa = OTHER_GPA;
		memory.flags |= GH_MEMORY_LOCK;
	}
	refuses(&memory, -ENOMEM);
	ck_assert_msg(strstr(gh_vm_failure(vm)->cause, "64 KiB, and ") != NULL, "%s", gh_vm_failure(vm)->cause);
	ck_assert_ptr_nonnull(strstr(gh_vm_failure(vm)->cause, "RLIMIT_MEMLOCK allows 60 KiB"));
	ck_assert_ptr_nonnull(strstr(gh_vm_failure(vm)->remedy, "limit"));
	reset_limit(&old);
	ck_assert_int_eq(gh_vm_map(vm, &memory, NULL), 0);
	close_all();
}
END_TEST

/* --- who may use it -------------------------------------------------------------------------------------------------- */

static uint32_t state_of(uint32_t id)
{
	struct gh_region_info info = GH_REGION_INFO_INIT;

	ck_assert_int_eq(gh_vm_region(vm, id, &info), 0);
	ck_assert_uint_eq(info.length, SIZE);
	ck_assert_uint_eq(info.gpa, id == 0 ? RAM_GPA : OTHER_GPA);
	ck_assert_uint_eq(info.access, GH_MEMORY_RWX);
	return info.state;
}

static bool is_inaccessible(const void *host)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char access[5] = "";
	bool found = false;
	char line[512];

	ck_assert_ptr_nonnull(maps);
	while (!found && fgets(line, sizeof(line), maps) != NULL) {
		unsigned long start;
		unsigned long end;

		found = sscanf(line, "%lx-%lx %4s", &start, &end, access) == 3 && start <= (uintptr_t)host &&
			(uintptr_t)host < end;
	}
	(void)fclose(maps);
	return found && strncmp(access, "---", 3) == 0;
}

START_TEST(test_states)
{
	struct gh_memory memory = memory_at(RAM_GPA, 0);
	struct gh_region_info info = GH_REGION_INFO_INIT;
	unsigned char *lent;

	open_on(NULL);
	ck_assert_int_eq(gh_vm_region(vm, 0, &info), -ENOENT);
	ck_assert_int_eq(gh_vm_map(vm, &memory, NULL), 0);
	memory = memory_at(OTHER_GPA, GH_MEMORY_LEND);
	ck_assert_int_eq(gh_vm_map(vm, &memory, NULL), 0);
	ck_assert_uint_eq(state_of(0), GH_MEMORY_OWNED);
	ck_assert_uint_eq(state_of(1), GH_MEMORY_OWNED);
	lent = host_of(OTHER_GPA);
	lent[0] = 1;
	(void)add_vcpu(vm, 0);
	ck_assert_int_eq(gh_vm_start(vm), 0);
	ck_assert_uint_eq(state_of(0), GH_MEMORY_SHARED);
	ck_assert_uint_eq(state_of(1), GH_MEMORY_LENT);
	ck_assert(!is_inaccessible(host_of(RAM_GPA)));
	ck_assert(is_inaccessible(lent));
	ck_assert(is_inaccessible(lent + SIZE - 1));
	ck_assert_int_eq(gh_vm_read(vm, OTHER_GPA, &info, 1), -EFAULT);
	ck_assert_int_eq(gh_vm_region(vm, 2, &info), -ENOENT);
	ck_assert_int_eq(gh_vm_region(NULL, 0, &info), -EINVAL);
	ck_assert_int_eq(gh_vm_region(vm, 0, NULL), -EINVAL);
	info.size = 8;
	ck_assert_int_eq(gh_vm_region(vm, 0, &info), -EINVAL);
	close_all();
}
END_TEST

/* All of it, also where the kernel got it in parts. */
START_TEST(test_lent_in_parts)
{
	struct gh_memory memory = memory_at(RAM_GPA, GH_MEMORY_LEND);
	unsigned char *lent;

	open_on(NULL);
	vm->b.caps.region_limit = SIZE / 2;
	vm->b.caps.region_piece = SIZE / 4;
	ck_assert_int_eq(gh_vm_map(vm, &memory, NULL), 0);
	ck_assert_uint_eq(vm->b.n_regions, 4);
	lent = host_of(RAM_GPA);
	(void)add_vcpu(vm, 0);
	ck_assert_int_eq(gh_vm_start(vm), 0);
	for (size_t at = 0; at < SIZE; at += SIZE / 8)
		ck_assert(is_inaccessible(lent + at));
	close_all();
}
END_TEST

/* A caller's mapping is left as it is; the accessors refuse it all the same. */
START_TEST(test_lent_of_callers)
{
	struct gh_memory memory = memory_at(RAM_GPA, GH_MEMORY_LEND);
	char *own = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char byte = 0;

	ck_assert_ptr_ne(own, MAP_FAILED);
	open_on(NULL);
	memory.host = own;
	ck_assert_int_eq(gh_vm_map(vm, &memory, NULL), 0);
	(void)add_vcpu(vm, 0);
	ck_assert_int_eq(gh_vm_start(vm), 0);
	ck_assert_uint_eq(state_of(0), GH_MEMORY_LENT);
	ck_assert(!is_inaccessible(own));
	ck_assert_int_eq(gh_vm_read(vm, RAM_GPA, &byte, 1), -EFAULT);
	close_all();
	ck_assert_int_eq(munmap(own, SIZE), 0);
}
END_TEST

/* After a start that failed half-way nobody knows who has it: the host keeps away. */
START_TEST(test_failed_start)
{
	struct gh_memory memory = memory_at(OTHER_GPA, GH_MEMORY_LEND);
	struct gh_fdt *fdt = NULL;
	char byte = 0;

	open_on(GUNYAH ",policy=production");
	/* Shared main memory, which this policy refuses. */
	map_at(vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	ck_assert_int_eq(gh_vm_map(vm, &memory, NULL), 0);
	(void)add_vcpu(vm, 0);
	ck_assert_int_eq(gh_fdt_open(vm, NULL, &fdt), 0);
	ck_assert_int_eq(gh_fdt_finish(fdt, DTB_GPA, 0), 0);
	gh_fdt_close(fdt);
	ck_assert_int_eq(gh_vm_start(vm), -ENODEV);
	ck_assert_int_eq(gh_vm_read(vm, OTHER_GPA, &byte, 1), -EFAULT);
	ck_assert_int_eq(gh_vm_read(vm, RAM_GPA, &byte, 1), 0);
	close_all();
}
END_TEST

/* What would otherwise touch what is not there, or wait for a lock that nobody gives back. */
static bool is_refused_to_child(void)
{
	static const uint8_t bytes[4096];
	struct gh_image_place_options place = GH_IMAGE_PLACE_OPTIONS_INIT;
	struct gh_region_info info = GH_REGION_INFO_INIT;
	struct gh_image_options options = GH_IMAGE_OPTIONS_INIT;
	struct gh_image_plan plan = GH_IMAGE_PLAN_INIT;
	struct gh_image *image = NULL;
	void *pointer;
	char byte;
	bool refused;

	options.data = bytes;
	options.length = sizeof(bytes);
	options.format = GH_IMAGE_RAW;
	if (gh_image_open(&options, &image) < 0)
		return false;
	place.ram_gpa = RAM_GPA;
	place.ram_size = SIZE;
	place.kernel = image;
	refused = gh_vm_read(vm, RAM_GPA, &byte, 1) == -EPERM && gh_vm_write(vm, RAM_GPA, "x", 1) == -EPERM &&
		  gh_vm_pointer(vm, RAM_GPA, 1, &pointer) == -EPERM && gh_vm_region(vm, 0, &info) == -EPERM &&
		  gh_image_place(vm, &place, &plan) == -EPERM && gh_image_load(vm, image, RAM_GPA) == -EPERM;
	gh_image_close(image);
	return refused;
}

/* A child has no guest memory of the library's making, and can close all the same. */
START_TEST(test_child)
{
	struct gh_memory memory = memory_at(RAM_GPA, 0);
	unsigned char pages[PAGES];
	unsigned char *host;
	int status = -1;
	pid_t child;

	open_on(devices[_i]);
	ck_assert_int_eq(gh_vm_map(vm, &memory, NULL), 0);
	host = host_of(RAM_GPA);
	host[0] = 1;
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		bool gone = mincore(host, SIZE, pages) < 0 && is_refused_to_child();
		/* The kernel may put anything of the child's where it was. */
		void *own = mmap(host, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

		gh_vm_close(vm);
		_exit(gone && own == host && mincore(own, PAGE, pages) == 0 ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert_uint_eq(host[0], 1);
	close_all();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("mapping");
	TCase *tcase = add_case(suite, "mapping");

	tcase_add_loop_test(tcase, test_file, 0, 3);
	tcase_add_test(tcase, test_file_of_huge_pages);
	tcase_add_loop_test(tcase, test_file_refused, 0, 3);
	tcase_add_test(tcase, test_host_refused);
	tcase_add_loop_test(tcase, test_host_with_hole, 0, 4);
	tcase_add_test(tcase, test_older_caller);
	tcase_add_test(tcase, test_prefault);
	tcase_add_loop_test(tcase, test_zero_page, 0, 3);
	tcase_add_loop_test(tcase, test_lock, 0, 3);
	tcase_add_test(tcase, test_lock_of_callers);
	tcase_add_loop_test(tcase, test_limit, 0, 3);
	tcase_add_test(tcase, test_states);
	tcase_add_test(tcase, test_lent_in_parts);
	tcase_add_test(tcase, test_lent_of_callers);
	tcase_add_test(tcase, test_failed_start);
	tcase_add_loop_test(tcase, test_child, 0, 3);
	return run_suite(suite);
}
