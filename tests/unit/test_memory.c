/* SPDX-License-Identifier: BSD-3-Clause */
/* Guest memory: what is refused before a kernel sees it, the library's own mappings, and the accessors. */
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE UINT64_C(4096)
#define GPA_END (UINT64_C(1) << 40) /* of the fake */
#define NO_ID UINT32_C(0xdeadbeef)

static struct gh_fake *fake;
static struct gh_vm *vm;

static void setup(void)
{
	fake = new_fake();
	vm = open_fake(fake);
}

static void teardown(void)
{
	gh_vm_close(vm);
	gh_fake_free(fake);
}

/* The id stays as it was when the call fails. */
static int map(uint64_t gpa, uint64_t length, uint32_t flags, void *host)
{
	struct gh_memory memory = GH_MEMORY_INIT;
	uint32_t id = NO_ID;
	int ret;

	memory.gpa = gpa;
	memory.length = length;
	memory.flags = flags;
	memory.host = host;
	ret = gh_vm_map(vm, &memory, &id);
	ck_assert_int_eq(id == NO_ID, ret < 0);
	if (ret < 0)
		ck_assert(failure_is(gh_vm_failure(vm), ret));
	return ret;
}

/* --- what is refused ---------------------------------------------------------------------------------------------- */

static const struct {
	uint64_t gpa;
	uint64_t length;
	uint32_t flags;
	int ret;
} refused[] = {
	/* Alignment and length. */
	{ 1, PAGE, GH_MEMORY_RWX, -EINVAL },
	{ PAGE / 2, PAGE, GH_MEMORY_RWX, -EINVAL },
	{ 0, 0, GH_MEMORY_RWX, -EINVAL },
	{ 0, 1, GH_MEMORY_RWX, -EINVAL },
	{ 0, PAGE + 1, GH_MEMORY_RWX, -EINVAL },
	/* Wrap, and the end of the address space. */
	{ UINT64_MAX - PAGE + 1, PAGE, GH_MEMORY_RWX, -ERANGE },
	{ PAGE, UINT64_MAX - PAGE + 1, GH_MEMORY_RWX, -ERANGE },
	{ PAGE, UINT64_MAX - 2 * PAGE + 1, GH_MEMORY_RWX, -ERANGE },
	{ UINT64_C(1) << 63, UINT64_C(1) << 63, GH_MEMORY_RWX, -ERANGE },
	{ GPA_END, PAGE, GH_MEMORY_RWX, -ERANGE },
	{ GPA_END - PAGE, 2 * PAGE, GH_MEMORY_RWX, -ERANGE },
	/* Flags. */
	{ 0, PAGE, 0, -EINVAL },
	{ 0, PAGE, GH_MEMORY_WRITE | GH_MEMORY_EXEC, -EINVAL },
	{ 0, PAGE, GH_MEMORY_LEND, -EINVAL },
	{ 0, PAGE, GH_MEMORY_RWX | 1 << 9, -EINVAL },
	{ 0, PAGE, UINT32_MAX, -EINVAL },
};

START_TEST(test_refused)
{
	ck_assert_int_eq(map(refused[_i].gpa, refused[_i].length, refused[_i].flags, NULL), refused[_i].ret);
	/* And nothing of it is left. */
	ck_assert_int_eq(map(0, PAGE, GH_MEMORY_RWX, NULL), 0);
}
END_TEST

START_TEST(test_null_and_reserved)
{
	struct gh_memory memory = GH_MEMORY_INIT;
	uint32_t id = NO_ID;

	memory.length = PAGE;
	ck_assert_int_eq(gh_vm_map(NULL, &memory, &id), -EINVAL);
	ck_assert_int_eq(gh_vm_map(vm, NULL, &id), -EINVAL);
	memory.reserved = 1;
	ck_assert_int_eq(gh_vm_map(vm, &memory, &id), -EINVAL);
	ck_assert_uint_eq(id, NO_ID);
	memory.reserved = 0;
	ck_assert_int_eq(gh_vm_map(vm, &memory, NULL), 0);
}
END_TEST

START_TEST(test_host_alignment)
{
	void *own = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(own, MAP_FAILED);
	ck_assert_int_eq(map(0, PAGE, GH_MEMORY_RWX, (char *)own + 1), -EINVAL);
	ck_assert_int_eq(map(0, PAGE, GH_MEMORY_RWX, (char *)own + PAGE / 2), -EINVAL);
	/* A host range that wraps. */
	ck_assert_int_eq(map(0, 2 * PAGE, GH_MEMORY_RWX, (void *)(UINTPTR_MAX - PAGE + 1)), -ERANGE);
	ck_assert_int_eq(map(0, PAGE, GH_MEMORY_RWX, (char *)own + PAGE), 0);
	gh_vm_close(vm);
	/* The caller's mapping is the caller's. */
	((volatile char *)own)[PAGE] = 1;
	ck_assert_int_eq(munmap(own, 2 * PAGE), 0);
	vm = open_fake(fake);
}
END_TEST

static const struct {
	uint64_t first; /* page */
	uint64_t pages;
} overlaps[] = { { 10, 4 }, { 10, 1 }, { 13, 1 }, { 11, 2 }, { 8, 3 }, { 13, 4 }, { 0, 11 }, { 0, 100 } };

START_TEST(test_overlap)
{
	ck_assert_int_eq(map(10 * PAGE, 4 * PAGE, GH_MEMORY_RWX, NULL), 0);
	ck_assert_int_eq(map(overlaps[_i].first * PAGE, overlaps[_i].pages * PAGE, GH_MEMORY_RWX, NULL), -EEXIST);
	/* Neighbours do not overlap. */
	ck_assert_int_eq(map(8 * PAGE, 2 * PAGE, GH_MEMORY_RWX, NULL), 0);
	ck_assert_int_eq(map(14 * PAGE, 2 * PAGE, GH_MEMORY_RWX, NULL), 0);
	ck_assert_int_eq(map(overlaps[_i].first * PAGE, overlaps[_i].pages * PAGE, GH_MEMORY_RWX, NULL), -EEXIST);
}
END_TEST

START_TEST(test_edges_are_allowed)
{
	ck_assert_int_eq(map(GPA_END - PAGE, PAGE, GH_MEMORY_READ, NULL), 0);
	ck_assert_int_eq(map(0, PAGE, GH_MEMORY_READ | GH_MEMORY_EXEC, NULL), 0);
	ck_assert_int_eq(map(PAGE, PAGE, GH_MEMORY_READ | GH_MEMORY_WRITE | GH_MEMORY_LEND, NULL), 0);
}
END_TEST

/* What a hypervisor or its kernel does not have; what it has goes on. */
START_TEST(test_unsupported)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;

	gh_vm_close(vm);
	options.backend = "fake";
	options.fake = fake;
	options.features_off = GH_FEATURE_SHARE;
	ck_assert_int_eq(gh_vm_open(&options, &vm), 0);
	ck_assert_int_eq(map(0, PAGE, GH_MEMORY_RWX, NULL), -EOPNOTSUPP);
	ck_assert_int_eq(map(0, PAGE, GH_MEMORY_RWX | GH_MEMORY_LEND, NULL), 0);
	gh_vm_close(vm);
	options.features_off = GH_FEATURE_LEND | GH_FEATURE_READ_ONLY_MEMORY;
	ck_assert_int_eq(gh_vm_open(&options, &vm), 0);
	ck_assert_int_eq(map(0, PAGE, GH_MEMORY_RWX | GH_MEMORY_LEND, NULL), -EOPNOTSUPP);
	ck_assert_int_eq(map(0, PAGE, GH_MEMORY_READ, NULL), -EOPNOTSUPP);
	ck_assert_int_eq(map(0, PAGE, GH_MEMORY_RWX | GH_MEMORY_CONTIGUOUS, NULL), -EOPNOTSUPP);
	ck_assert_int_eq(map(0, PAGE, GH_MEMORY_RWX, NULL), 0);
	gh_vm_close(vm);
	/* A backend without code for it. */
	options.quirks_on = GH_QUIRK_OWN_FILES_ONLY;
	ck_assert_int_eq(gh_vm_open(&options, &vm), 0);
	ck_assert_int_eq(map(0, PAGE, GH_MEMORY_RWX, NULL), -EOPNOTSUPP);
}
END_TEST

/* A kernel that takes memory of its own files only. */
START_TEST(test_own_files_only)
{
	struct gh_sim *sim = new_sim("sim:gunyah/v17", "");
	struct gh_vm *of_fake = vm;
	struct gh_memory memory = GH_MEMORY_INIT;
	void *own = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(own, MAP_FAILED);
	vm = open_sim(sim);
	ck_assert_int_eq(map(RAM_GPA, PAGE, GH_MEMORY_RWX, own), -EOPNOTSUPP);
	memory.gpa = RAM_GPA;
	memory.length = PAGE;
	memory.fd = memfd_create("guest", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(memory.fd, PAGE), 0);
	ck_assert_int_eq(gh_vm_map(vm, &memory, NULL), -EOPNOTSUPP);
	ck_assert(failure_is(gh_vm_failure(vm), -EOPNOTSUPP));
	ck_assert_int_eq(map(RAM_GPA, PAGE, GH_MEMORY_RWX, NULL), 0);
	gh_vm_close(vm);
	end_sim(sim);
	vm = of_fake;
	(void)close(memory.fd);
	ck_assert_int_eq(munmap(own, PAGE), 0);
}
END_TEST

START_TEST(test_slots)
{
	for (uint64_t i = 0; i < 16; i++) {
		struct gh_memory memory = GH_MEMORY_INIT;
		uint32_t id = NO_ID;

		/* Downwards: ids go by order, not by address. */
		memory.gpa = (100 - i) * PAGE;
		memory.length = PAGE;
		ck_assert_int_eq(gh_vm_map(vm, &memory, &id), 0);
		ck_assert_uint_eq(id, i);
		/* A refused one takes no id. */
		ck_assert_int_lt(map(memory.gpa, PAGE, GH_MEMORY_RWX, NULL), 0);
	}
	ck_assert_int_eq(map(0, PAGE, GH_MEMORY_RWX, NULL), -ENOSPC);
}
END_TEST

START_TEST(test_after_start)
{
	(void)start_simply(vm);
	ck_assert_int_eq(map(0, PAGE, GH_MEMORY_RWX, NULL), -EBUSY);
}
END_TEST

/* What GenieZone adds: whole mappings, 2 MiB, no lending, no read-only memory, ten slots. */
START_TEST(test_geniezone)
{
	struct gh_sim *sim = new_sim("sim:gzvm/v9", "");
	struct gh_vm *fake_vm = vm;
	char *own = mmap(NULL, 8 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *inner;

	ck_assert_ptr_ne(own, MAP_FAILED);
	vm = open_sim(sim);
	inner = mmap(own + MIB, 2 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	ck_assert_ptr_eq(inner, own + MIB);
	ck_assert_int_eq(map(MIB, 2 * MIB, GH_MEMORY_RWX, NULL), -EINVAL);
	ck_assert_int_eq(map(RAM_GPA, 2 * MIB, GH_MEMORY_RWX | GH_MEMORY_LEND, NULL), -EOPNOTSUPP);
	ck_assert_int_eq(map(RAM_GPA, 2 * MIB, GH_MEMORY_READ, NULL), -EOPNOTSUPP);
	/* Part of a mapping, more than it, not mapped, not writable. */
	ck_assert_int_eq(map(RAM_GPA, MIB, GH_MEMORY_RWX, inner), -EINVAL);
	ck_assert_int_eq(map(RAM_GPA, MIB, GH_MEMORY_RWX, inner + MIB), -EINVAL);
	ck_assert_int_eq(map(RAM_GPA, 4 * MIB, GH_MEMORY_RWX, inner), -EINVAL);
	ck_assert_int_eq(map(RAM_GPA, 2 * MIB, GH_MEMORY_RWX, own + 4 * MIB), -EFAULT);
	ck_assert_int_eq(mprotect(inner, 2 * MIB, PROT_READ), 0);
	ck_assert_int_eq(map(RAM_GPA, 2 * MIB, GH_MEMORY_RWX, inner), -EFAULT);
	ck_assert_int_eq(mprotect(inner, 2 * MIB, PROT_READ | PROT_WRITE), 0);
	inner[PAGE] = 7;
	ck_assert_int_eq(map(RAM_GPA, 2 * MIB, GH_MEMORY_RWX, inner), 0);
	/* Written to page by page, without a change. */
	ck_assert_int_eq(inner[PAGE], 7);
	ck_assert_int_eq(inner[0], 0);
	for (uint64_t i = 1; i < 10; i++)
		ck_assert_int_eq(map(RAM_GPA + i * 2 * MIB, 2 * MIB, GH_MEMORY_RWX, NULL), 0);
	ck_assert_int_eq(map(RAM_GPA + 20 * MIB, 2 * MIB, GH_MEMORY_RWX, NULL), -ENOSPC);
	gh_vm_close(vm);
	end_sim(sim);
	vm = fake_vm;
	ck_assert_int_eq(munmap(own, 8 * MIB), 0);
}
END_TEST

/* What Gunyah's driver says itself. */
START_TEST(test_gunyah)
{
	struct gh_sim *sim = new_sim("sim:gunyah/android14-6.1", "");
	struct gh_vm *fake_vm = vm;
	char *own = mmap(NULL, 2 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(own, MAP_FAILED);
	vm = open_sim(sim);
	ck_assert_int_eq(map(RAM_GPA, 2 * MIB, GH_MEMORY_RWX, own), -EFAULT);
	ck_assert_str_ne(gh_vm_failure(vm)->request, "");
	/* Sizes that the kernel would warn about; end_sim() looks whether it had to. */
	ck_assert_int_eq(map(0, UINT64_C(1) << 40, GH_MEMORY_RWX, own), -ENOSPC);
	ck_assert_int_eq(map(RAM_GPA, (UINT64_C(2) << 30) + 2 * MIB, GH_MEMORY_RWX | GH_MEMORY_LEND, own), -EFAULT);
	/* The id was not taken. */
	ck_assert_int_eq(map(RAM_GPA, 2 * MIB, GH_MEMORY_RWX, NULL), 0);
	ck_assert_int_eq(map(RAM_GPA + 2 * MIB, PAGE, GH_MEMORY_READ, NULL), 0);
	ck_assert_int_eq(map(RAM_GPA + 4 * MIB, 2 * MIB, GH_MEMORY_RWX | GH_MEMORY_LEND, NULL), 0);
	gh_vm_close(vm);
	end_sim(sim);
	vm = fake_vm;
	ck_assert_int_eq(munmap(own, 2 * MIB), 0);
}
END_TEST

/* --- the library's own mappings ------------------------------------------------------------------------------------- */

/* Permissions of the mapping that begins, or ends, at an address. */
static bool find_mapping(uintptr_t address, bool at_start, char permissions[5])
{
	FILE *maps = fopen("/proc/self/maps", "re");
	bool found = false;
	char line[512];

	ck_assert_ptr_nonnull(maps);
	while (!found && fgets(line, sizeof(line), maps) != NULL) {
		unsigned long start;
		unsigned long end;

		if (sscanf(line, "%lx-%lx %4s", &start, &end, permissions) == 3)
			found = (at_start ? start : end) == address;
	}
	(void)fclose(maps);
	return found;
}

static const uint64_t lengths[] = { PAGE, 3 * PAGE, 2 * MIB, 4 * MIB + PAGE };

START_TEST(test_own_mapping)
{
	uint64_t length = lengths[_i];
	char permissions[5] = "";
	unsigned char *host = NULL;
	void *pointer = NULL;

	ck_assert_int_eq(map(RAM_GPA, length, GH_MEMORY_RWX, NULL), 0);
	ck_assert_int_eq(gh_vm_pointer(vm, RAM_GPA, length, &pointer), 0);
	host = pointer;
	ck_assert_uint_eq((uintptr_t)host % (2 * MIB), 0);
	for (uint64_t i = 0; i < length; i += 512)
		ck_assert_msg(host[i] == 0, "not zeroed");
	host[0] = 1;
	host[length - 1] = 2;
	/* One mapping of exactly that length, shared, between two that nobody can touch. */
	ck_assert(find_mapping((uintptr_t)host, true, permissions));
	ck_assert_str_eq(permissions, "rw-s");
	ck_assert(find_mapping((uintptr_t)host + length, false, permissions));
	ck_assert_str_eq(permissions, "rw-s");
	ck_assert(find_mapping((uintptr_t)host, false, permissions));
	ck_assert_str_eq(permissions, "---p");
	ck_assert(find_mapping((uintptr_t)host + length, true, permissions));
	ck_assert_str_eq(permissions, "---p");
}
END_TEST

/* Is there a mapping at `page` that nobody can touch? */
static bool is_guard(void *page)
{
	unsigned char resident = 0;
	char byte;
	struct iovec here = { &byte, 1 };
	struct iovec there = { page, 1 };

	return mincore(page, 1, &resident) == 0 && process_vm_readv(getpid(), &here, 1, &there, 1, 0) < 0;
}

/* Wherever in a block of 2 MiB the kernel's place for it begins. */
START_TEST(test_guards)
{
	for (uint64_t pages = 0; pages < 2 * MIB / PAGE; pages++) {
		size_t length = 16 * MIB + pages * PAGE;
		void *filler = mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		void *host = NULL;

		ck_assert_ptr_ne(filler, MAP_FAILED);
		ck_assert_int_eq(map(RAM_GPA, PAGE, GH_MEMORY_RWX, NULL), 0);
		ck_assert_int_eq(gh_vm_pointer(vm, RAM_GPA, PAGE, &host), 0);
		ck_assert(is_guard((char *)host - PAGE));
		ck_assert(is_guard((char *)host + PAGE));
		/* Room for a last huge page. */
		ck_assert(is_guard((char *)host + 2 * MIB));
		ck_assert_int_eq(gh_vm_unmap(vm, 0), 0);
		ck_assert_int_eq(munmap(filler, length), 0);
	}
}
END_TEST

/* Too large for most machines: an error, not a crash, and nothing is left. */
START_TEST(test_own_mapping_too_large)
{
	struct holdings before = holdings_now();

	if (map(0, UINT64_C(1) << 40, GH_MEMORY_RWX, NULL) == 0)
		return; /* this one promises memory that it does not have */
	ck_assert(holdings_equal(before, holdings_now()));
	ck_assert_int_eq(map(0, PAGE, GH_MEMORY_RWX, NULL), 0);
}
END_TEST

/* --- accessors ---------------------------------------------------------------------------------------------------- */

/* Three regions that touch, mapped in another order than that of their addresses, and one beyond a gap. */
static void map_chain(void)
{
	map_at(vm, RAM_GPA + 2 * PAGE, 2 * PAGE, GH_MEMORY_RWX);
	map_at(vm, RAM_GPA, 2 * PAGE, GH_MEMORY_RWX);
	map_at(vm, RAM_GPA + 4 * PAGE, PAGE, GH_MEMORY_RWX | GH_MEMORY_LEND);
	map_at(vm, RAM_GPA + 16 * PAGE, PAGE, GH_MEMORY_RWX);
}

START_TEST(test_access_across_regions)
{
	uint8_t out[3 * PAGE];
	uint8_t in[sizeof(out)];
	void *pointer = NULL;

	map_chain();
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 7 + 1);
	ck_assert_int_eq(gh_vm_write(vm, RAM_GPA + PAGE + 100, out, sizeof(out)), 0);
	memset(in, 0, sizeof(in));
	ck_assert_int_eq(gh_vm_read(vm, RAM_GPA + PAGE + 100, in, sizeof(in)), 0);
	ck_assert_mem_eq(in, out, sizeof(in));
	/* The same bytes by pointer, region by region. */
	ck_assert_int_eq(gh_vm_pointer(vm, RAM_GPA + PAGE + 100, PAGE - 100, &pointer), 0);
	ck_assert_mem_eq(pointer, out, PAGE - 100);
	ck_assert_int_eq(gh_vm_pointer(vm, RAM_GPA + 2 * PAGE, 2 * PAGE, &pointer), 0);
	ck_assert_mem_eq(pointer, out + PAGE - 100, 2 * PAGE);
	/* All of what is there, to the last byte. */
	ck_assert_int_eq(gh_vm_read(vm, RAM_GPA + 2 * PAGE, in, sizeof(in)), 0);
	ck_assert_int_eq(gh_vm_read(vm, RAM_GPA + 2 * PAGE + 1, in, sizeof(in)), -EFAULT);
}
END_TEST

START_TEST(test_access_refused)
{
	uint8_t buffer[2 * PAGE];
	uint8_t same[sizeof(buffer)];
	int mark = 0;
	void *pointer = &mark;

	map_chain();
	memset(buffer, 0xee, sizeof(buffer));
	memset(same, 0xee, sizeof(same));
	ck_assert_int_eq(gh_vm_read(vm, 0, buffer, 1), -EFAULT);
	ck_assert_int_eq(gh_vm_read(vm, RAM_GPA - 1, buffer, 2), -EFAULT);
	ck_assert_int_eq(gh_vm_read(vm, RAM_GPA + 5 * PAGE - 1, buffer, 2), -EFAULT);
	ck_assert_int_eq(gh_vm_read(vm, RAM_GPA + 4 * PAGE, buffer, sizeof(buffer)), -EFAULT);
	ck_assert_int_eq(gh_vm_read(vm, UINT64_MAX, buffer, sizeof(buffer)), -EFAULT);
	ck_assert_int_eq(gh_vm_read(vm, RAM_GPA, buffer, SIZE_MAX), -EFAULT);
	ck_assert_mem_eq(buffer, same, sizeof(buffer));
	/* Nothing is written of what does not fit. */
	ck_assert_int_eq(gh_vm_write(vm, RAM_GPA + 4 * PAGE + 8, buffer, PAGE), -EFAULT);
	ck_assert_int_eq(gh_vm_read(vm, RAM_GPA + 4 * PAGE + 8, buffer, 8), 0);
	memset(same, 0, 8);
	ck_assert_mem_eq(buffer, same, 8);
	/* A pointer needs one region. */
	ck_assert_int_eq(gh_vm_pointer(vm, RAM_GPA + PAGE, 2 * PAGE, &pointer), -EFAULT);
	ck_assert_uint_eq(gh_vm_failure(vm)->cause_id, GH_CAUSE_UNBACKED);
	ck_assert_int_eq(gh_vm_pointer(vm, RAM_GPA + 5 * PAGE, 1, &pointer), -EFAULT);
	ck_assert_int_eq(gh_vm_pointer(vm, RAM_GPA, UINT64_MAX, &pointer), -EFAULT);
	ck_assert_ptr_eq(pointer, &mark);
	ck_assert_int_eq(gh_vm_pointer(vm, RAM_GPA + 2 * PAGE - 1, 1, &pointer), 0);
	/* Nothing at all can be read anywhere. */
	ck_assert_int_eq(gh_vm_read(vm, 0, buffer, 0), 0);
}
END_TEST

START_TEST(test_access_null)
{
	void *pointer = NULL;
	char byte = 0;

	map_chain();
	ck_assert_int_eq(gh_vm_pointer(NULL, RAM_GPA, 1, &pointer), -EINVAL);
	ck_assert_int_eq(gh_vm_pointer(vm, RAM_GPA, 1, NULL), -EINVAL);
	ck_assert_int_eq(gh_vm_read(NULL, RAM_GPA, &byte, 1), -EINVAL);
	ck_assert_int_eq(gh_vm_read(vm, RAM_GPA, NULL, 1), -EINVAL);
	ck_assert_int_eq(gh_vm_write(NULL, RAM_GPA, &byte, 1), -EINVAL);
	ck_assert_int_eq(gh_vm_write(vm, RAM_GPA, NULL, 1), -EINVAL);
}
END_TEST

/* Lent memory is the host's until the start, and not any more from then on. */
START_TEST(test_lent)
{
	uint8_t buffer[2 * PAGE] = { 0 };
	void *pointer = NULL;

	map_chain();
	(void)add_vcpu(vm, 0);
	ck_assert_int_eq(gh_vm_write(vm, RAM_GPA + 4 * PAGE, buffer, PAGE), 0);
	ck_assert_int_eq(gh_vm_start(vm), 0);
	ck_assert_int_eq(gh_vm_write(vm, RAM_GPA + 4 * PAGE, buffer, 1), -EFAULT);
	ck_assert_int_eq(gh_vm_read(vm, RAM_GPA + 5 * PAGE - 1, buffer, 1), -EFAULT);
	ck_assert_uint_eq(gh_vm_failure(vm)->cause_id, GH_CAUSE_LENT);
	ck_assert_int_eq(gh_vm_read(vm, RAM_GPA + 5 * PAGE, buffer, 1), -EFAULT);
	ck_assert_uint_eq(gh_vm_failure(vm)->cause_id, GH_CAUSE_UNBACKED);
	ck_assert_int_eq(gh_vm_read(vm, RAM_GPA + 3 * PAGE, buffer, PAGE + 1), -EFAULT);
	ck_assert_uint_eq(gh_vm_failure(vm)->cause_id, GH_CAUSE_LENT);
	ck_assert_int_eq(gh_vm_pointer(vm, RAM_GPA + 4 * PAGE, 1, &pointer), -EFAULT);
	ck_assert_ptr_null(pointer);
	/* The others are shared. */
	ck_assert_int_eq(gh_vm_read(vm, RAM_GPA + 2 * PAGE, buffer, 2 * PAGE), 0);
	ck_assert_int_eq(gh_vm_pointer(vm, RAM_GPA + 16 * PAGE, PAGE, &pointer), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("memory");
	TCase *tcase = add_case(suite, "memory");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, test_refused, 0, sizeof(refused) / sizeof(refused[0]));
	tcase_add_test(tcase, test_null_and_reserved);
	tcase_add_test(tcase, test_host_alignment);
	tcase_add_loop_test(tcase, test_overlap, 0, sizeof(overlaps) / sizeof(overlaps[0]));
	tcase_add_test(tcase, test_edges_are_allowed);
	tcase_add_test(tcase, test_unsupported);
	tcase_add_test(tcase, test_own_files_only);
	tcase_add_test(tcase, test_slots);
	tcase_add_test(tcase, test_after_start);
	tcase_add_test(tcase, test_geniezone);
	tcase_add_test(tcase, test_gunyah);
	tcase_add_loop_test(tcase, test_own_mapping, 0, sizeof(lengths) / sizeof(lengths[0]));
	tcase_add_test(tcase, test_guards);
	tcase_add_test(tcase, test_own_mapping_too_large);
	tcase_add_test(tcase, test_access_across_regions);
	tcase_add_test(tcase, test_access_refused);
	tcase_add_test(tcase, test_access_null);
	tcase_add_test(tcase, test_lent);
	return run_suite(suite);
}
