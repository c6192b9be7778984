/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which memory GenieZone is given: whole mappings that the guest cannot use to reach the host (sections 3.2 and 9 of the
 * GenieZone UAPI document). What the process has is told by a text of the test's own.
 */
#include "table.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define LENGTH (2 * MIB)

static struct gh_sim *sim;
static struct gh_vm *vm;
static char *reserved; /* nothing beside the region is mapped */
static char *host;
static char maps[8192];

static const char *own_maps(const char *path)
{
	return strcmp(path, "/proc/self/maps") == 0 ? maps : NULL;
}

static void begin(void)
{
	reserved = mmap(NULL, 3 * LENGTH, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(reserved, MAP_FAILED);
	host = mmap(reserved + LENGTH, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	ck_assert_ptr_eq(host, reserved + LENGTH);
	sim = new_sim(GENIEZONE, "off");
	vm = open_sim(sim);
}

static void end(void)
{
	table_on_open = NULL;
	gh_vm_close(vm);
	(void)munmap(reserved, 3 * LENGTH);
	end_sim(sim);
}

static int map(void)
{
	struct gh_memory memory = GH_MEMORY_INIT;

	memory.gpa = RAM_GPA;
	memory.length = LENGTH;
	memory.host = host;
	return gh_vm_map(vm, &memory, NULL);
}

/* One line, as the kernel writes it. */
static int add_line(size_t at, const char *start, const char *end, const char *permissions)
{
	return snprintf(maps + at, sizeof(maps) - at, "%lx-%lx %s 00000000 00:01 1234   /dev/zero (deleted)\n",
			(unsigned long)(uintptr_t)start, (unsigned long)(uintptr_t)end, permissions);
}

/* --- what is refused -------------------------------------------------------------------------------------------------- */

static const struct {
	long start; /* from the region's */
	long end;   /* from its end */
	const char *permissions;
	int ret;
	enum gh_cause cause;
} lines[] = {
	{ 0, 0, "rw-s", 0, GH_CAUSE_NONE },
	{ 0, 0, "rwxs", 0, GH_CAUSE_NONE },
	{ 0, 0, "r--s", -EFAULT, GH_CAUSE_UNPINNABLE },
	{ 0, 0, "-w-s", -EFAULT, GH_CAUSE_UNPINNABLE },
	{ 0, 0, "---p", -EFAULT, GH_CAUSE_UNPINNABLE },
	{ 4096, 0, "rw-s", -EFAULT, GH_CAUSE_UNPINNABLE }, /* nothing is mapped at its beginning */
	{ -(long)LENGTH, -(long)LENGTH, "rw-s", -EFAULT, GH_CAUSE_UNPINNABLE },
	{ 0, 4096, "rw-s", -EINVAL, GH_CAUSE_NOT_WHOLE_MAPPING },
	{ 0, -4096, "rw-s", -EINVAL, GH_CAUSE_NOT_WHOLE_MAPPING },
	{ -4096, 0, "rw-s", -EINVAL, GH_CAUSE_NOT_WHOLE_MAPPING },
	{ -4096, -4096, "rw-s", -EINVAL, GH_CAUSE_NOT_WHOLE_MAPPING }, /* as long, and elsewhere */
};

START_TEST(test_line)
{
	int ret;

	begin();
	table_on_open = own_maps;
	(void)add_line(0, host + lines[_i].start, host + LENGTH + lines[_i].end, lines[_i].permissions);
	ret = map();
	table_on_open = NULL;
	ck_assert_msg(ret == lines[_i].ret, "%d: %d, %s", _i, ret, gh_vm_failure(vm)->cause);
	if (ret < 0) {
		ck_assert(failure_is(gh_vm_failure(vm), ret));
		ck_assert_uint_eq(gh_vm_failure(vm)->cause_id, lines[_i].cause);
	}
	end();
}
END_TEST

/* Among many others, wherever a read cuts them. */
START_TEST(test_many_lines)
{
	size_t size = 0;

	begin();
	for (int i = 0; i < 60 + _i; i++)
		size += (size_t)add_line(size, (char *)0x10000 + i * 4096L, (char *)0x11000 + i * 4096L, "r--p");
	/* Ends where the region begins. */
	size += (size_t)add_line(size, host - 4096, host, "---p");
	size += (size_t)add_line(size, host, host + LENGTH, "rw-s");
	(void)add_line(size, host + LENGTH, host + 2 * LENGTH, "---p");
	table_on_open = own_maps;
	ck_assert_msg(map() == 0, "%s", gh_vm_failure(vm)->cause);
	end();
}
END_TEST

/* --- private memory, and no /proc ----------------------------------------------------------------------------------------- */

static unsigned int resident(void)
{
	static unsigned char pages[LENGTH / 4096];
	unsigned int count = 0;

	ck_assert_int_eq(mincore(host, LENGTH, pages), 0);
	for (size_t i = 0; i < sizeof(pages); i++)
		count += pages[i] & 1;
	return count;
}

/* A private mapping's pages become its own: the guest would be given the kernel's page of zeros. */
START_TEST(test_private)
{
	begin();
	table_on_open = own_maps;
	(void)add_line(0, host, host + LENGTH, "rw-p");
	ck_assert_int_eq(map(), 0);
	ck_assert_uint_eq(resident(), LENGTH / 4096);
	end();
}
END_TEST

/* Without /proc, or in a sandbox, nobody knows, so it may be a private one; any other error ends it. */
START_TEST(test_no_proc)
{
	static const int errors[] = { -ENOENT, -EACCES, -EMFILE, -EIO };
	const char *const victim = _i == 3 ? "read" : "open";
	int ret = -1;
	bool found = false;

	for (unsigned long n = 1; !found; n++) {
		begin();
		table_counts = true;
		table_arm(n, errors[_i]);
		ret = map();
		table_counts = false;
		ck_assert(table_fired());
		found = strcmp(table_victim(), victim) == 0;
		table_arm(0, 0);
		if (found && ret == 0)
			ck_assert_uint_eq(resident(), LENGTH / 4096);
		if (found && ret < 0)
			ck_assert(failure_is(gh_vm_failure(vm), ret));
		end();
	}
	ck_assert_int_eq(ret, _i < 2 ? 0 : errors[_i]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("geniezone_memory");
	TCase *tcase = add_case(suite, "geniezone_memory");

	tcase_add_loop_test(tcase, test_line, 0, (int)(sizeof(lines) / sizeof(lines[0])));
	tcase_add_loop_test(tcase, test_many_lines, 0, 20);
	tcase_add_test(tcase, test_private);
	tcase_add_loop_test(tcase, test_no_proc, 0, 4);
	return run_suite(suite);
}
