/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory that is filled, locked or hidden on kernels which cannot all of that, and how a caller's mapping is given back. */
#include "table.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE ((size_t)4096)
#define SIZE ((size_t)4 << 20)

static struct gh_sim *sim;
static struct gh_vm *vm;

static void begin(const char *device)
{
	sim = new_sim(device, "off");
	vm = open_sim(sim);
}

static void end(void)
{
	gh_vm_close(vm);
	end_sim(sim);
	ck_assert_uint_eq(table_mappings(), 0);
}

static char *map_private(void)
{
	char *own = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(own, MAP_FAILED);
	return own;
}

/* gh_vm_map(), with the n-th of the library's calls of that name failing; the result. */
static int map_without(const char *name, unsigned int which, int error, const struct gh_memory *memory)
{
	for (unsigned long n = 1;; n++) {
		int ret;

		table_counts = true;
		table_arm(n, error);
		ret = gh_vm_map(vm, memory, NULL);
		table_counts = false;
		ck_assert_msg(table_fired(), "%s is not called so often", name);
		if (strcmp(table_victim(), name) == 0 && --which == 0)
			return ret;
		if (ret < 0)
			continue;
		ck_assert_int_eq(gh_vm_unmap(vm, 0), 0);
		if (memory->host != NULL)
			ck_assert_int_eq(madvise(memory->host, SIZE, MADV_DONTNEED), 0);
	}
}

static struct gh_memory memory_with(uint32_t flags, void *host)
{
	struct gh_memory memory = GH_MEMORY_INIT;

	memory.gpa = RAM_GPA;
	memory.length = SIZE;
	memory.flags |= flags;
	memory.host = host;
	return memory;
}

static unsigned int resident(void *host)
{
	unsigned char pages[SIZE / 4096];
	unsigned int count = 0;

	ck_assert_int_eq(mincore(host, SIZE, pages), 0);
	for (size_t i = 0; i < sizeof(pages); i++)
		count += pages[i] & 1;
	return count;
}

/* Is the word, with a blank before it, among the kernel's flags of the mapping? */
static bool has_flag(const void *host, const char *flag)
{
	FILE *maps = fopen("/proc/self/smaps", "re");
	bool inside = false;
	bool found = false;
	char line[512];

	ck_assert_ptr_nonnull(maps);
	while (fgets(line, sizeof(line), maps) != NULL) {
		unsigned long begin;
		unsigned long end;

		if (sscanf(line, "%lx-%lx ", &begin, &end) == 2)
			inside = begin <= (uintptr_t)host && (uintptr_t)host < end;
		else if (inside && strncmp(line, "VmFlags:", 8) == 0)
			found = strstr(line, flag) != NULL;
	}
	(void)fclose(maps);
	return found;
}

/* A kernel before 5.14: the library's own pages are touched, and stay what they are. */
START_TEST(test_own_without_populate)
{
	struct gh_memory memory = memory_with(GH_MEMORY_PREFAULT, NULL);
	uint64_t changed = 0;
	void *host = NULL;

	begin(GUNYAH);
	/* The first is about forks, or holes. */
	ck_assert_int_eq(map_without("madvise", 2, -EINVAL, &memory), 0);
	ck_assert_int_eq(gh_vm_pointer(vm, RAM_GPA, SIZE, &host), 0);
	ck_assert_uint_eq(resident(host), SIZE / PAGE);
	for (size_t at = 0; at < SIZE; at += 8)
		changed |= *(uint64_t *)(void *)((char *)host + at);
	ck_assert_uint_eq(changed, 0);
	end();
}
END_TEST

/* A caller's it must not touch: others may be in it, or it may be for reading. What is no such kernel is told as it is. */
START_TEST(test_callers_without_populate)
{
	char *own = map_private();
	struct gh_memory memory = memory_with(GH_MEMORY_PREFAULT, own);
	const int error = _i == 0 ? -EINVAL : -EFAULT;

	begin(GUNYAH);
	ck_assert_int_eq(map_without("madvise", 2, error, &memory), _i == 0 ? -EOPNOTSUPP : -EFAULT);
	ck_assert(failure_is(gh_vm_failure(vm), _i == 0 ? -EOPNOTSUPP : -EFAULT));
	ck_assert_str_eq(gh_vm_failure(vm)->request, "madvise");
	ck_assert_uint_eq(resident(own), 0);
	/* Nothing is left of it. */
	memory.flags = GH_MEMORY_RWX;
	ck_assert_int_eq(gh_vm_map(vm, &memory, NULL), 0);
	end();
	ck_assert_int_eq(munmap(own, SIZE), 0);
}
END_TEST

/* May this process? */
static bool can_lock(void)
{
	char *own = map_private();
	bool can = mlock(own, SIZE) == 0;

	ck_assert_int_eq(munmap(own, SIZE), 0);
	return can;
}

/* Without locks on demand everything is locked at once; what is refused for another reason is refused. */
START_TEST(test_lock_on_demand)
{
	struct gh_memory memory = memory_with(GH_MEMORY_LOCK, NULL);

	if (!can_lock())
		return;
	begin(GENIEZONE);
	ck_assert_int_eq(map_without("mlock", 1, _i == 0 ? -ENOSYS : -EINVAL, &memory), _i == 0 ? 0 : -EINVAL);
	if (_i == 1) {
		ck_assert(failure_is(gh_vm_failure(vm), -EINVAL));
		ck_assert_str_eq(gh_vm_failure(vm)->request, "mlock2");
	}
	end();
}
END_TEST

/* GenieZone: no forked child has the guest's pages, until the VM is closed. */
START_TEST(test_hidden_from_children)
{
	char *outer = mmap(NULL, SIZE + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *own = outer + PAGE;
	struct gh_memory memory = memory_with(0, own);

	ck_assert_ptr_ne(outer, MAP_FAILED);
	ck_assert_int_eq(mprotect(own, SIZE, PROT_READ | PROT_WRITE), 0);
	begin(GENIEZONE);
	ck_assert_int_eq(gh_vm_map(vm, &memory, NULL), 0);
	ck_assert(has_flag(own, " dc"));
	if (_i == 0)
		ck_assert_int_eq(gh_vm_unmap(vm, 0), 0);
	else
		end();
	ck_assert(!has_flag(own, " dc"));
	if (_i == 0)
		end();
	ck_assert_int_eq(munmap(outer, SIZE + 2 * PAGE), 0);
}
END_TEST

/* What is lent is in nobody's dump, whether it can be read (demand paging) or not. */
START_TEST(test_no_dumps)
{
	static const char *const devices[] = { GUNYAH, "sim:gunyah/android16-6.12" };
	struct gh_memory memory = memory_with(GH_MEMORY_LEND, NULL);
	void *host = NULL;

	begin(devices[_i]);
	ck_assert_int_eq(gh_vm_map(vm, &memory, NULL), 0);
	ck_assert_int_eq(gh_vm_pointer(vm, RAM_GPA, SIZE, &host), 0);
	ck_assert(!has_flag(host, " dd"));
	(void)add_vcpu(vm, 0);
	put_tree(vm, &standard_tree);
	ck_assert_msg(gh_vm_start(vm) == 0, "%s", gh_vm_failure(vm)->cause);
	ck_assert(has_flag(host, " dd"));
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("filling");
	TCase *tcase = add_case(suite, "filling");

	tcase_add_test(tcase, test_own_without_populate);
	tcase_add_loop_test(tcase, test_callers_without_populate, 0, 2);
	tcase_add_loop_test(tcase, test_lock_on_demand, 0, 2);
	tcase_add_loop_test(tcase, test_hidden_from_children, 0, 2);
	tcase_add_loop_test(tcase, test_no_dumps, 0, 2);
	return run_suite(suite);
}
