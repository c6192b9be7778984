/* SPDX-License-Identifier: BSD-3-Clause */
/* The simulated Gunyah device as v15 to v17 have it: files of guest memory, MAP_MEM, page faults, RETRY. */
#include "rev.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB 0x100000ull
#define RWX (UAPI_GUNYAH_MAP_READ | UAPI_GUNYAH_MAP_WRITE | UAPI_GUNYAH_MAP_EXEC)
#define SHARE UAPI_GUNYAH_MAP_FORCE_SHARE
#define LEND UAPI_GUNYAH_MAP_FORCE_LEND
#define UNMAP UAPI_GUNYAH_MAP_UNMAP
#define HIGH (TREE_BASE + 0x10000000) /* another place for memory */

static struct raw raw;

static void setup(void)
{
	rev_open(&raw, "v17", "");
}

static void teardown(void)
{
	raw_close(&raw);
}

static const char *map(int fd, uint32_t flags, uint64_t gpa, uint64_t offset, uint64_t size)
{
	return raw_result(rev_map(&raw, fd, flags, gpa, offset, size));
}

static void shut(int fd)
{
	ck_assert_int_eq(raw.sys->close(raw.sys, fd), 0);
}

START_TEST(test_create)
{
	struct stat stat;
	void *address;
	int fd;

	raw_expect("gmem.bad pointer: EFAULT", raw_result(raw.sys->ioctl(raw.sys, raw.device, 0x40404708, 8)));
	raw_expect("gmem.flag 4: EINVAL", raw_result(rev_gmem(&raw, 4, RAW_PAGE)));
	raw_expect("gmem.size 1: EINVAL", raw_result(rev_gmem(&raw, 0, 1)));
	raw_expect("gmem.size 0: fd", raw_descriptor(&raw, rev_gmem(&raw, 0, 0)));
	raw_expect("gmem.huge pages: fd", raw_descriptor(&raw, rev_gmem(&raw, UAPI_GUNYAH_GUEST_MEM_HUGEPAGE, 2 * MIB)));
	fd = rev_gmem(&raw, 0, RAW_PAGE);
	ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	shut(fd);
	fd = rev_gmem(&raw, UAPI_GUNYAH_GUEST_MEM_CLOEXEC, 4ull * RAW_PAGE);
	ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	ck_assert_int_eq(raw.sys->fstat(raw.sys, fd, &stat), 0);
	ck_assert_int_eq((int)stat.st_size, 4 * (int)RAW_PAGE);
	raw_expect("gmem.private mapping: EINVAL",
		   raw_result(raw.sys->mmap(raw.sys, NULL, RAW_PAGE, PROT_READ, MAP_PRIVATE, fd, &address)));
	raw_expect("gmem.ioctl: ENOTTY", raw_result(raw.sys->ioctl(raw.sys, fd, UAPI_GUNYAH_START, 0)));
	raw_expect("gmem.mapping from page 3: ok",
		   raw_result(raw.sys->map_file(raw.sys, NULL, RAW_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
						3ull * RAW_PAGE, &address)));
	*(uint32_t *)address = 0x1234;
	shut(fd);
	/* The mapping keeps the file. */
	ck_assert_uint_eq(gh_sim_open_files(raw.sim), 3);
	ck_assert_uint_eq(*(uint32_t *)address, 0x1234);
	ck_assert_int_eq(raw.sys->munmap(raw.sys, address, RAW_PAGE), 0);
	ck_assert_uint_eq(gh_sim_open_files(raw.sim), 2);
}
END_TEST

START_TEST(test_map_arguments)
{
	int huge = rev_gmem(&raw, UAPI_GUNYAH_GUEST_MEM_HUGEPAGE, 4 * MIB);
	int fd = rev_gmem(&raw, 0, MIB);

	raw_expect("map.bad pointer: EFAULT", raw_result(raw.sys->ioctl(raw.sys, raw.vm, 0x40204709, 8)));
	raw_expect("map.fd -1: EINVAL", map(-1, RWX, HIGH, 0, MIB));
	raw_expect("map.fd the VM: EINVAL", map(raw.vm, RWX, HIGH, 0, MIB));
	raw_expect("map.fd a pipe's: EINVAL", map(0, RWX, HIGH, 0, MIB));
	raw_expect("map.no permission: EINVAL", map(fd, LEND, HIGH, 0, MIB));
	raw_expect("map.both accesses: EINVAL", map(fd, RWX | LEND | SHARE, HIGH, 0, MIB));
	raw_expect("map.access 4: EINVAL", map(fd, RWX | 4, HIGH, 0, MIB));
	raw_expect("map.flag 8: EINVAL", map(fd, RWX | 8, HIGH, 0, MIB));
	raw_expect("map.flag 0x80: EINVAL", map(fd, RWX | 0x80, HIGH, 0, MIB));
	raw_expect("map.unaligned address: EINVAL", map(fd, RWX, HIGH + 1, 0, MIB));
	raw_expect("map.unaligned offset: EINVAL", map(fd, RWX, HIGH, 1, MIB));
	raw_expect("map.unaligned size: EINVAL", map(fd, RWX, HIGH, 0, MIB + 1));
	raw_expect("map.size 0: EINVAL", map(fd, RWX, HIGH, 0, 0));
	raw_expect("map.round the end: EINVAL", map(fd, RWX, UINT64_MAX - RAW_PAGE + 1, 0, MIB));
	raw_expect("map.huge, 1 MiB: EINVAL", map(huge, RWX, HIGH, 0, MIB));
	raw_expect("map.huge, address: EINVAL", map(huge, RWX, HIGH + MIB, 0, 2 * MIB));
	raw_expect("map.huge: ok", map(huge, RWX, HIGH, 0, 2 * MIB));
	raw_expect("map.overlap: EEXIST", map(fd, RWX, HIGH + MIB, 0, MIB));
	raw_expect("map.beside: ok", map(fd, RWX | SHARE, HIGH + 2 * MIB, 0, MIB));
	shut(huge);
	shut(fd);
}
END_TEST

/* One page of a file is in one place, and not even a neighbour of another. */
START_TEST(test_map_offsets)
{
	int fd = rev_gmem(&raw, 0, 4 * MIB);
	int other = raw.sys->ioctl(raw.sys, raw.device, UAPI_GUNYAH_CREATE_VM, 0);
	int first = raw.vm;

	raw_expect("offset 1 MiB: ok", map(fd, RWX, HIGH, MIB, MIB));
	raw_expect("offset 1 MiB again: EEXIST", map(fd, RWX, HIGH + 0x1000000, MIB, MIB));
	raw_expect("the neighbour: EEXIST", map(fd, RWX, HIGH + 0x1000000, 2 * MIB, MIB));
	raw_expect("a page on: ok", map(fd, RWX, HIGH + 0x1000000, 2 * MIB + RAW_PAGE, MIB));
	raw.vm = other;
	raw_expect("another VM, the same page: EEXIST", map(fd, RWX, HIGH, MIB, RAW_PAGE));
	raw.vm = first;
	raw_expect("unmap: ok", map(fd, RWX | UNMAP, HIGH, MIB, MIB));
	raw.vm = other;
	raw_expect("another VM after that: ok", map(fd, RWX, HIGH, MIB, RAW_PAGE));
	shut(first);
	shut(fd);
}
END_TEST

START_TEST(test_unmap)
{
	int fd = rev_gmem(&raw, 0, 4 * MIB);

	raw_expect("unmap.nothing: ENOENT", map(fd, RWX | UNMAP, HIGH, 0, MIB));
	raw_expect("unmap.map: ok", map(fd, RWX | LEND, HIGH, 0, 4 * MIB));
	raw_expect("unmap.other access: ENOENT", map(fd, RWX | UNMAP, HIGH, 0, MIB));
	raw_expect("unmap.other permission: ENOENT", map(fd, UAPI_GUNYAH_MAP_READ | LEND | UNMAP, HIGH, 0, MIB));
	raw_expect("unmap.other offset: ENOENT", map(fd, RWX | LEND | UNMAP, HIGH, MIB, MIB));
	raw_expect("unmap.beyond: ENOENT", map(fd, RWX | LEND | UNMAP, HIGH + 3 * MIB, 3 * MIB, 2 * MIB));
	raw_expect("unmap.middle: EINVAL", map(fd, RWX | LEND | UNMAP, HIGH + MIB, MIB, MIB));
	raw_expect("unmap.front: ok", map(fd, RWX | LEND | UNMAP, HIGH, 0, MIB));
	raw_expect("unmap.end: ok", map(fd, RWX | LEND | UNMAP, HIGH + 3 * MIB, 3 * MIB, MIB));
	raw_expect("unmap.front again: ENOENT", map(fd, RWX | LEND | UNMAP, HIGH, 0, MIB));
	raw_expect("unmap.the place is free: ok", map(fd, RWX | SHARE, HIGH, 5 * MIB, MIB));
	raw_expect("unmap.the rest: ok", map(fd, RWX | LEND | UNMAP, HIGH + MIB, MIB, 2 * MIB));
	shut(fd);
}
END_TEST

/* The tree's pages are given at START, and must not be mapped by the process then. */
START_TEST(test_start_mapped)
{
	const struct rev_boot boot = { .share = _i == 1 };
	uint8_t *host;
	int fd = rev_gmem(&raw, 0, RAW_RAM_SIZE);

	ck_assert_uint_gt(tree_build(&boot.tree, raw.ram + RAW_DTB, RAW_RAM_SIZE - RAW_DTB), 0);
	host = rev_host(&raw, fd, RAW_RAM_SIZE);
	memcpy(host, raw.ram, RAW_RAM_SIZE);
	ck_assert_int_eq(rev_map(&raw, fd, RWX | (boot.share ? SHARE : LEND), TREE_BASE, 0, RAW_RAM_SIZE), 0);
	ck_assert_int_eq(raw_set_dtb(&raw, TREE_BASE + RAW_DTB, TREE_ROOM), 0);
	/* All but the tree's page are gone: that is enough. */
	rev_unhost(&raw, host, RAW_DTB);
	rev_unhost(&raw, host + RAW_DTB + RAW_PAGE, RAW_RAM_SIZE - RAW_DTB - RAW_PAGE);
	raw_expect(boot.share ? "start.shared and mapped: ok" : "start.lent and mapped: EPERM",
		   raw_result(raw_start(&raw)));
	raw_expect(boot.share ? "start.again: ok" : "start.again: ENODEV", raw_result(raw_start(&raw)));
	rev_unhost(&raw, host + RAW_DTB, RAW_PAGE);
	shut(fd);
}
END_TEST

/* A page that the process has mapped cannot be lent: RUN says so until it is unmapped. */
START_TEST(test_fault_mapped)
{
	uint8_t *host;
	int fd;

	raw_close(&raw);
	rev_run_script(&raw, "v17", "load 0x6000 8; poke 0x90000008 4 0x77; peek 0x90000008 4; echo 0x7000 4");
	fd = rev_gmem(&raw, 0, MIB);
	host = rev_host(&raw, fd, MIB);
	raw_expect("fault.add memory: ok", map(fd, RWX, HIGH, 0, MIB));
	raw_expect("fault.first: idle", raw_run(&raw, 0));
	raw_expect("fault.mapped: PAGE_FAULT 0x90000008 attempt EPERM action 1", raw_run(&raw, 0));
	raw.page[0]->u.page_fault.resume_action = 0;
	raw_expect("fault.mapped still: PAGE_FAULT 0x90000008 attempt EPERM action 1", raw_run(&raw, 0));
	rev_unhost(&raw, host, MIB);
	raw_expect("fault.unmapped: store 0x7000 len 4 value 0x77", raw_run(&raw, 0));
	shut(fd);
}
END_TEST

/* A mapping made later takes the memory back from the guest, and what the guest has written is there. */
START_TEST(test_mapped_later)
{
	uint8_t *host;
	int fd;

	raw_close(&raw);
	rev_run_script(&raw, "v17",
		       "load 0x6000 8; poke 0x90003008 4 0x77; poke 0x90000000 4 0x55; load 0x6000 8; peek 0x90000000 4;"
		       "echo 0x7000 4; peek 0x90003008 4; echo 0x7000 4");
	fd = rev_gmem(&raw, 0, MIB);
	raw_expect("later.add memory: ok", map(fd, RWX, HIGH, 0, MIB));
	raw_expect("later.first: idle", raw_run(&raw, 0));
	raw_expect("later.written: idle", raw_run(&raw, 0));
	host = rev_host(&raw, fd, 2ul * RAW_PAGE);
	ck_assert_uint_eq(host[0], 0x55);
	raw_expect("later.mapped: PAGE_FAULT 0x90000000 attempt EPERM action 1", raw_run(&raw, 0));
	host[0] = 0x56;
	rev_unhost(&raw, host, 2ul * RAW_PAGE);
	raw_expect("later.unmapped: store 0x7000 len 4 value 0x56", raw_run(&raw, 0));
	raw_expect("later.the rest: store 0x7000 len 4 value 0x77", raw_run(&raw, 0));
	shut(fd);
}
END_TEST

START_TEST(test_faults)
{
	int fd;

	raw_close(&raw);
	rev_run_script(&raw, "v17", "peek 0x90000000 4; echo 0x7000 4; poke 0x90000000 4 1");
	fd = rev_gmem(&raw, 0, MIB);
	raw_expect("faults.add read-only memory: ok", map(fd, UAPI_GUNYAH_MAP_READ | LEND, HIGH, 0, MIB));
	raw_expect("faults.load: store 0x7000 len 4 value 0x0", raw_run(&raw, 0));
	raw_expect("faults.store to it: PAGE_FAULT 0x90000000 attempt EPERM action 1", raw_run(&raw, 0));
	raw_expect("faults.take it away: ok", map(fd, UAPI_GUNYAH_MAP_READ | LEND | UNMAP, HIGH, 0, MIB));
	raw_expect("faults.nothing there: PAGE_FAULT 0x90000000 attempt ENOENT action 1", raw_run(&raw, 0));
	shut(fd);
}
END_TEST

START_TEST(test_fault_of_file)
{
	int fd;

	raw_close(&raw);
	rev_run_script(
		&raw, "v17",
		"load 0x6000 8; peek 0x90001000 4; echo 0x7000 4; store 0xa0000000 4 5; expect-abort; store 0x7004 4 9");
	raw_expect("file.first: idle", raw_run(&raw, 0));
	fd = rev_gmem(&raw, 0, RAW_PAGE);
	raw_expect("file.more than it has: ok", map(fd, RWX, HIGH, 0, 2ull * RAW_PAGE));
	raw_expect("file.beyond it: PAGE_FAULT 0x90001000 attempt ENOMEM action 1", raw_run(&raw, 0));
	raw_expect("file.take it away: ok", map(fd, RWX | UNMAP, HIGH, 0, 2ull * RAW_PAGE));
	shut(fd);
	fd = rev_gmem(&raw, 0, MIB);
	raw_expect("file.a larger one: ok", map(fd, RWX | SHARE, HIGH, 0, MIB));
	raw_expect("file.load: store 0x7000 len 4 value 0x0", raw_run(&raw, 0));
	raw_expect("file.where nothing ever was: store 0x7004 len 4 value 0x9", raw_run(&raw, 0));
	shut(fd);
}
END_TEST

/* Memory that was shared is no page fault when it is gone: the access exits as one to a device. */
START_TEST(test_shared_away)
{
	int fd;

	raw_close(&raw);
	rev_run_script(&raw, "v17",
		       "poke 0x90000000 4 7; load 0x6000 8; poke 0x90000000 4 8; peek 0x90000000 4; echo 0x7000 4");
	fd = rev_gmem(&raw, 0, MIB);
	raw_expect("shared.add: ok", map(fd, RWX | SHARE, HIGH, 0, MIB));
	raw_expect("shared.first: idle", raw_run(&raw, 0));
	raw_expect("shared.remove: ok", map(fd, RWX | SHARE | UNMAP, HIGH, 0, MIB));
	raw_expect("shared.store: store 0x90000000 len 4 value 0x8", raw_run(&raw, 0));
	raw_expect("shared.add again: ok", map(fd, RWX | SHARE, HIGH, 0, MIB));
	/* RETRY: the access is made once more, and finds memory now. */
	raw_expect("shared.retry: store 0x7000 len 4 value 0x8", rev_resume(&raw, UAPI_GUNYAH_RESUME_RETRY));
	shut(fd);
}
END_TEST

START_TEST(test_resume)
{
	raw_close(&raw);
	rev_run_script(&raw, "v17",
		       "load 0x7000 4; echo 0x7008 8; load 0x7000 4; expect-abort; store 0x7010 4 1; expect-abort;"
		       "store 0x7014 4 2; load 0x7000 4; echo 0x7008 8; load 0x7000 4; echo 0x7008 8");
	raw_expect("resume.load: load 0x7000 len 4", raw_run(&raw, 0));
	raw_answer(&raw, 0, 0x55);
	raw_expect("resume.action 7: EINVAL", rev_resume(&raw, 7));
	raw_expect("resume.action 3: EINVAL", rev_resume(&raw, 3));
	raw_expect("resume.handled: store 0x7008 len 8 value 0x55", rev_resume(&raw, 0));
	raw_expect("resume.load: load 0x7000 len 4", raw_run(&raw, 0));
	raw_expect("resume.retry: load 0x7000 len 4", rev_resume(&raw, UAPI_GUNYAH_RESUME_RETRY));
	ck_assert_uint_eq(raw.page[0]->u.mmio.resume_action, 0);
	raw_expect("resume.fault: store 0x7010 len 4 value 0x1", rev_resume(&raw, UAPI_GUNYAH_RESUME_FAULT));
	raw_expect("resume.fault of a store: store 0x7014 len 4 value 0x2", rev_resume(&raw, UAPI_GUNYAH_RESUME_FAULT));
	raw_expect("resume.load: load 0x7000 len 4", raw_run(&raw, 0));
	/* H1: whatever the page says is taken before the flag is looked at. */
	raw.page[0]->immediate_exit = 1;
	raw_expect("resume.fault, interrupted: EINTR", rev_resume(&raw, UAPI_GUNYAH_RESUME_FAULT));
	raw.page[0]->immediate_exit = 0;
	raw_expect("resume.it is lost: store 0x7008 len 8 value 0x0", raw_run(&raw, 0));
}
END_TEST

START_TEST(test_retry_finds_ioeventfd)
{
	int fd = raw_eventfd(&raw);

	raw_close(&raw);
	rev_run_script(&raw, "v17", "store 0x7000 4 1; load 0x6000 8");
	raw_expect("retry.store: store 0x7000 len 4 value 0x1", raw_run(&raw, 0));
	raw_expect("retry.add: ok", raw_result(raw_add_ioeventfd(&raw, fd, 0x7000, 4, 0, 0)));
	raw_expect("retry.again: idle", rev_resume(&raw, UAPI_GUNYAH_RESUME_RETRY));
	raw_expect("retry.count: 1", raw_number(raw_count(&raw, fd)));
	(void)close(fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("gunyah guest memory");
	TCase *tcase = tcase_create("gmem");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, test_create);
	tcase_add_test(tcase, test_map_arguments);
	tcase_add_test(tcase, test_map_offsets);
	tcase_add_test(tcase, test_unmap);
	tcase_add_loop_test(tcase, test_start_mapped, 0, 2);
	tcase_add_test(tcase, test_fault_mapped);
	tcase_add_test(tcase, test_mapped_later);
	tcase_add_test(tcase, test_faults);
	tcase_add_test(tcase, test_fault_of_file);
	tcase_add_test(tcase, test_shared_away);
	tcase_add_test(tcase, test_resume);
	tcase_add_test(tcase, test_retry_finds_ioeventfd);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
