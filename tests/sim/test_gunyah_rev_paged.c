/* SPDX-License-Identifier: BSD-3-Clause */
/* The simulated Gunyah device: kernels that give memory when the guest touches it, and Android's of them above all. */
#include "rev.h"

#include <check.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MATCH UAPI_GUNYAH_IOEVENTFD_DATAMATCH
#define HIGH (TREE_BASE + 0x10000000)
#define R UAPI_GUNYAH_MEM_READ

static struct raw raw;
static const struct rev_boot plain = { .share = false };

/* v17 is first; the others are Android's. */
static const char *const paged[] = { "v17",           "android15-6.6-early", "android15-6.6-mid",
				     "android15-6.6", "android16-6.12",      "android-latest" };
#define PAGED (int)(sizeof(paged) / sizeof(paged[0]))

static uint8_t *new_page(void)
{
	void *page = mmap(NULL, RAW_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(page, MAP_FAILED);
	return page;
}

static const char *lend(uint32_t label, uint32_t flags, uint64_t gpa, uint64_t pages)
{
	return raw_result(raw_lend(&raw, label, flags, gpa, pages * RAW_PAGE, raw.ram));
}

START_TEST(test_memory_arguments)
{
	rev_open(&raw, paged[_i], "");
	raw_expect("mem.flag 8: EINVAL", lend(1, 8, HIGH, 1));
	raw_expect("mem.size 0: EINVAL", lend(1, RAW_RWX, HIGH, 0));
	raw_expect("mem.unaligned: EINVAL", lend(1, RAW_RWX, HIGH + 1, 1));
	raw_expect("mem.beyond the end: EOVERFLOW", lend(1, RAW_RWX, UINT64_MAX - RAW_PAGE + 1, 2));
	raw_expect("mem.not mapped: ok", raw_result(raw_lend(&raw, 1, RAW_RWX, HIGH, RAW_PAGE, (void *)0x1000)));
	raw_expect("mem.the same label: ok", lend(1, RAW_RWX, HIGH + RAW_PAGE, 1));
	raw_expect("mem.overlap: EEXIST", lend(2, RAW_RWX, HIGH, 2));
	raw_expect("mem.much: ok",
		   raw_result(raw_share(&raw, 3, RAW_RWX, 1ull << 41, 1ull << 40, (void *)(uintptr_t)RAW_PAGE)));
	ck_assert_ptr_null(gh_sim_breakage(raw.sim));
	raw_close(&raw);
}
END_TEST

START_TEST(test_overflow)
{
	int fd;

	rev_open(&raw, paged[_i], "");
	fd = raw_eventfd(&raw);
	raw_expect("overflow.tree: EOVERFLOW", raw_result(raw_set_dtb(&raw, UINT64_MAX - RAW_PAGE + 1, 2ull * RAW_PAGE)));
	raw_expect("overflow.tree, just not: ok", raw_result(raw_set_dtb(&raw, UINT64_MAX - RAW_PAGE, RAW_PAGE)));
	if (_i != 0)
		raw_expect("overflow.firmware: EOVERFLOW",
			   raw_result(rev_range(&raw, UAPI_GUNYAH_SET_FW, UINT64_MAX, UINT64_MAX)));
	raw_expect("overflow.ioeventfd: EINVAL", raw_result(raw_add_ioeventfd(&raw, fd, UINT64_MAX, 8, 0, 0)));
	raw_expect("remove size 0: ENOENT",
		   raw_result(raw_function(&raw, UAPI_GUNYAH_REMOVE_FUNCTION, UAPI_GUNYAH_FN_VCPU, 0, NULL)));
	raw_expect("remove size 8 MiB: ENOMEM",
		   raw_result(raw_function(&raw, UAPI_GUNYAH_REMOVE_FUNCTION, UAPI_GUNYAH_FN_VCPU, 8u << 20, raw.ram)));
	(void)raw.sys->close(raw.sys, fd);
	raw_close(&raw);
}
END_TEST

static const char *start_with(const struct rev_boot *boot, uint64_t gpa, uint64_t size)
{
	raw_new_vm(&raw);
	rev_configure(&raw, boot);
	ck_assert_int_eq(raw_set_dtb(&raw, gpa, size), 0);
	return raw_result(raw_start(&raw));
}

START_TEST(test_start)
{
	static const struct rev_boot no_exec = { .flags = R | UAPI_GUNYAH_MEM_WRITE };
	static const struct tree_shm shm = { .label = 7, .base = HIGH };
	static const struct rev_boot with_shm = { .tree = { .shms = &shm, .shm_count = 1 } };
	static const struct rev_boot low = { .tree = { .base = 0x30000000 } };
	static const struct rev_boot high = { .tree = { .base = HIGH } };
	const uint64_t tree = TREE_BASE + RAW_DTB;

	rev_open(&raw, paged[_i], "");
	raw_expect("start.size 0: EINVAL", start_with(&plain, tree, 0));
	raw_expect("start.less than a page: EINVAL", start_with(&plain, tree, RAW_PAGE - 1));
	raw_expect("start.again: ENODEV", raw_result(raw_start(&raw)));
	raw_expect("start.outside: ENOENT", start_with(&plain, HIGH, RAW_PAGE));
	raw_expect("start.partly outside: ENOENT", start_with(&plain, tree, RAW_RAM_SIZE));
	raw_expect("start.no execute permission: EINVAL", start_with(&no_exec, tree, RAW_PAGE));
	raw_expect("start.shm that is not optional: EINVAL", start_with(&with_shm, tree, RAW_PAGE));
	raw_expect("start.base-address below 1 GiB: ENODEV", start_with(&low, tree, RAW_PAGE));
	raw_expect("start.below the base-address: ENODEV", start_with(&high, tree, RAW_PAGE));
	raw_expect("start.plain: ok", start_with(&plain, tree, RAW_PAGE));
	raw_expect("start.again: ok", raw_result(raw_start(&raw)));
	raw_new_vm(&raw);
	ck_assert_int_eq(raw_set_dtb(&raw, tree, RAW_PAGE), 0);
	raw_expect("start.no memory: ENOENT", raw_result(raw_start(&raw)));
	raw_close(&raw);
}
END_TEST

START_TEST(test_firmware)
{
	rev_open(&raw, paged[_i], "");
	rev_configure(&raw, &plain);
	ck_assert_int_eq(rev_range(&raw, UAPI_GUNYAH_SET_FW, HIGH, RAW_PAGE), 0);
	raw_expect("fw.outside: ENOENT", raw_result(raw_start(&raw)));
	raw_new_vm(&raw);
	rev_configure(&raw, &plain);
	ck_assert_int_eq(rev_range(&raw, UAPI_GUNYAH_SET_FW, TREE_BASE, RAW_PAGE), 0);
	raw_expect("fw.inside: EPERM", raw_result(raw_start(&raw)));
	raw_close(&raw);
}
END_TEST

/* A product's resource manager takes a firmware in lent memory where the tree says; the guest begins there. */
START_TEST(test_firmware_of_product)
{
	static const char *const devices[] = { "gunyah/android14-6.1,engine=script,policy=production",
					       "gunyah/android15-6.6,engine=script,policy=production" };
	struct rev_boot boot = { .share = false };
	uint8_t *memory = new_page();

	for (int tries = 0; tries < 3; tries++) {
		raw_open(&raw, devices[_i], "register pc; echo 0x7000 8; register x0; echo 0x7000 8");
		rev_make_vcpu(&raw, 0);
		boot.tree.firmware = tries == 0 ? 0 : 0x70000000;
		rev_configure(&raw, &boot);
		if (tries == 1)
			ck_assert_int_eq(raw_share(&raw, 9, RAW_RWX, 0x70000000, RAW_PAGE, memory), 0);
		else
			ck_assert_int_eq(raw_lend(&raw, 9, RAW_RWX, 0x70000000, RAW_PAGE, memory), 0);
		ck_assert_int_eq(rev_range(&raw, UAPI_GUNYAH_SET_FW, 0x70000000, RAW_PAGE), 0);
		if (_i == 1)
			ck_assert_int_eq(rev_boot_register(&raw, 0x100, TREE_BASE + 0x40), 0);
		if (tries == 0)
			raw_expect("product.no address: EINVAL", raw_result(raw_start(&raw)));
		if (tries == 1)
			raw_expect("product.shared: EINVAL", raw_result(raw_start(&raw)));
		if (tries == 2) {
			raw_expect("product.firmware: ok", raw_result(raw_start(&raw)));
			raw_expect("product.pc: store 0x7000 len 8 value 0x70000000", raw_run(&raw, 0));
			raw_expect("product.x0: store 0x7000 len 8 value 0x80100000", raw_run(&raw, 0));
		}
		raw_close(&raw);
	}
	(void)munmap(memory, RAW_PAGE);
}
END_TEST

/* The last two registers are there, and the guest does not see them. */
START_TEST(test_boot_context)
{
	rev_open(&raw, paged[_i],
		 "register pc; echo 0x7000 8; register x0; echo 0x7000 8; register x30; echo 0x7000 8; register sp; echo "
		 "0x7000 8");
	rev_make_vcpu(&raw, 0);
	rev_configure(&raw, &plain);
	raw_expect("boot.X32: EINVAL", raw_result(rev_boot_register(&raw, 32, 1)));
	raw_expect("boot.PC 1: EINVAL", raw_result(rev_boot_register(&raw, 0x101, 1)));
	raw_expect("boot.SP 3: EINVAL", raw_result(rev_boot_register(&raw, 0x203, 1)));
	raw_expect("boot.set 3: EINVAL", raw_result(rev_boot_register(&raw, 0x300, 1)));
	raw_expect("boot.bit 16: EINVAL", raw_result(rev_boot_register(&raw, 0x10000, 1)));
	raw_expect("boot.X0: ok", raw_result(rev_boot_register(&raw, 0, 1)));
	raw_expect("boot.X0 again: ok", raw_result(rev_boot_register(&raw, 0, 0x1111)));
	raw_expect("boot.X30: ok", raw_result(rev_boot_register(&raw, 30, 0x3030)));
	raw_expect("boot.X31: ok", raw_result(rev_boot_register(&raw, 31, 1)));
	raw_expect("boot.PC: ok", raw_result(rev_boot_register(&raw, 0x100, TREE_BASE + 0x40)));
	raw_expect("boot.SP 0: ok", raw_result(rev_boot_register(&raw, 0x200, 1)));
	raw_expect("boot.SP 1: ok", raw_result(rev_boot_register(&raw, 0x201, 0x5050)));
	raw_expect("boot.SP 2: ok", raw_result(rev_boot_register(&raw, 0x202, 2)));
	ck_assert_int_eq(raw_start(&raw), 0);
	raw_expect("boot.after START: EINVAL", raw_result(rev_boot_register(&raw, 0, 1)));
	raw_expect("boot.pc: store 0x7000 len 8 value 0x80000040", raw_run(&raw, 0));
	raw_expect("boot.x0: store 0x7000 len 8 value 0x1111", raw_run(&raw, 0));
	raw_expect("boot.x30: store 0x7000 len 8 value 0x3030", raw_run(&raw, 0));
	raw_expect("boot.sp: store 0x7000 len 8 value 0x5050", raw_run(&raw, 0));
	raw_close(&raw);
}
END_TEST

/* Where nobody sets a register, the guest begins where its memory does, and knows its tree. */
START_TEST(test_boot_default)
{
	rev_run_script(&raw, paged[_i], "register pc; echo 0x7000 8; register x0; echo 0x7000 8");
	raw_expect("default.pc: store 0x7000 len 8 value 0x80000000", raw_run(&raw, 0));
	raw_expect("default.x0: store 0x7000 len 8 value 0x80100000", raw_run(&raw, 0));
	raw_close(&raw);
}
END_TEST

/* The tree's pages count at START, the others when they are touched. */
START_TEST(test_memlock)
{
	struct rlimit old;
	struct rlimit limit;

	rev_open(&raw, paged[_i],
		 "poke 0x80000000 4 1; poke 0x80000008 4 1; load 0x6000 8; poke 0x80001000 4 2; store 0x7000 4 3");
	rev_make_vcpu(&raw, 0);
	ck_assert_int_eq(getrlimit(RLIMIT_MEMLOCK, &old), 0);
	limit = old;
	limit.rlim_cur = 0;
	raw_lock_capability(false);
	ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
	raw_expect("memlock.START with 0: ENOMEM", raw_result(rev_boot(&raw, &plain)));
	limit.rlim_cur = 2ul * RAW_PAGE;
	ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
	raw_new_vm(&raw);
	rev_make_vcpu(&raw, 0);
	raw_expect("memlock.START with 2 pages: ok", raw_result(rev_boot(&raw, &plain)));
	raw_expect("memlock.second page: idle", raw_run(&raw, 0));
	raw_expect("memlock.third: PAGE_FAULT 0x80001000 attempt ENOMEM action 1", raw_run(&raw, 0));
	limit.rlim_cur = 3ul * RAW_PAGE;
	ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
	raw_expect("memlock.raised: store 0x7000 len 4 value 0x3", raw_run(&raw, 0));
	raw_new_vm(&raw);
	/* The old one is gone when close() returns. */
	raw_expect("memlock.another VM: ok", raw_result(rev_boot(&raw, &plain)));
	ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &old), 0);
	raw_lock_capability(true);
	raw_close(&raw);
}
END_TEST

/* Memory that has gone from the process: a page fault if it was lent, an access to a device if it was shared. */
START_TEST(test_faults)
{
	uint8_t *memory = mmap(NULL, 2ul * RAW_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(memory, MAP_FAILED);
	rev_run_script(&raw, paged[_i],
		       "load 0x6000 8; peek 0x90000000 4; echo 0x7000 4; peek 0xa0000000 4; echo 0x7000 4; "
		       "poke 0x90001000 4 1; load 0x6000 8; poke 0x90001000 4 1; store 0x7000 4 2");
	raw_expect("faults.first: idle", raw_run(&raw, 0));
	raw_expect("faults.lend: ok", raw_result(raw_lend(&raw, 1, R, HIGH, 2ul * RAW_PAGE, memory)));
	raw_expect("faults.share: ok", raw_result(raw_share(&raw, 1, R, 0xa0000000, RAW_PAGE, memory)));
	ck_assert_int_eq(mprotect(memory, RAW_PAGE, PROT_NONE), 0);
	raw_expect("faults.lent: PAGE_FAULT 0x90000000 attempt EFAULT action 1", raw_run(&raw, 0));
	ck_assert_int_eq(mprotect(memory, RAW_PAGE, PROT_READ | PROT_WRITE), 0);
	memory[0] = 0x41;
	raw_expect("faults.there again: store 0x7000 len 4 value 0x41", raw_run(&raw, 0));
	ck_assert_int_eq(mprotect(memory, RAW_PAGE, PROT_NONE), 0);
	raw_expect("faults.shared: load 0xa0000000 len 4", raw_run(&raw, 0));
	raw_answer(&raw, 0, 0x99);
	raw_expect("faults.answered: store 0x7000 len 4 value 0x99", raw_run(&raw, 0));
	raw_expect("faults.read-only: PAGE_FAULT 0x90001000 attempt EPERM action 1", raw_run(&raw, 0));
	(void)munmap(memory, 2ul * RAW_PAGE);
	raw_close(&raw);
}
END_TEST

START_TEST(test_no_memory)
{
	rev_run_script(&raw, paged[_i], "raw enomem; poke 0x80000000 4 1; peek 0x80000000 4; echo 0x7000 4");
	raw_expect("enomem.touch: PAGE_FAULT 0x80000000 attempt ENOMEM action 1", raw_run(&raw, 0));
	raw_expect("enomem.again: store 0x7000 len 4 value 0x1", raw_run(&raw, 0));
	raw_close(&raw);
}
END_TEST

/* HANDLED and FAULT; Android's kernels know no RETRY. */
START_TEST(test_resume)
{
	rev_run_script(&raw, paged[_i], "load 0x7000 4; echo 0x7008 8; load 0x7000 4; expect-abort; store 0x7010 4 1");
	raw_expect("resume.load: load 0x7000 len 4", raw_run(&raw, 0));
	raw_answer(&raw, 0, 0x55);
	raw_expect("resume.retry: EINVAL", rev_resume(&raw, UAPI_GUNYAH_RESUME_RETRY));
	raw_expect("resume.action 7: EINVAL", rev_resume(&raw, 7));
	raw_expect("resume.handled: store 0x7008 len 8 value 0x55", rev_resume(&raw, UAPI_GUNYAH_RESUME_HANDLED));
	raw_expect("resume.load: load 0x7000 len 4", raw_run(&raw, 0));
	raw_expect("resume.fault: store 0x7010 len 4 value 0x1", rev_resume(&raw, UAPI_GUNYAH_RESUME_FAULT));
	raw_close(&raw);
}
END_TEST

START_TEST(test_reclaim)
{
	rev_open(&raw, paged[_i],
		 "poke 0x80000000 4 5; poke 0x80001000 4 6; poke 0x80002000 4 7; load 0x6000 8; peek 0x80001000 4; echo "
		 "0x7000 4;"
		 "raw reclaim-busy; load 0x6000 8");
	rev_make_vcpu(&raw, 0);
	ck_assert_int_eq(rev_boot(&raw, &plain), 0);
	raw_expect("reclaim.unaligned: EINVAL", raw_result(rev_range(&raw, UAPI_GUNYAH_RECLAIM, TREE_BASE + 1, RAW_PAGE)));
	raw_expect("reclaim.unaligned size: EINVAL", raw_result(rev_range(&raw, UAPI_GUNYAH_RECLAIM, TREE_BASE, 1)));
	raw_expect("reclaim.nothing there: ok", raw_result(rev_range(&raw, UAPI_GUNYAH_RECLAIM, HIGH, RAW_PAGE)));
	raw_expect("reclaim.first: idle", raw_run(&raw, 0));
	raw_expect("reclaim.page: ok", raw_result(rev_range(&raw, UAPI_GUNYAH_RECLAIM, TREE_BASE + RAW_PAGE, RAW_PAGE)));
	/* It is still bound: the guest gets what the process has there now. */
	raw.ram[RAW_PAGE] = 0x42;
	raw_expect("reclaim.touched again: store 0x7000 len 4 value 0x42", raw_run(&raw, 0));
	raw_expect("reclaim.next: idle", raw_run(&raw, 0));
	raw_expect("reclaim.busy: EBUSY", raw_result(rev_range(&raw, UAPI_GUNYAH_RECLAIM, TREE_BASE, RAW_PAGE)));
	raw_expect("reclaim.all: ok", raw_result(rev_range(&raw, UAPI_GUNYAH_RECLAIM, TREE_BASE, RAW_RAM_SIZE)));
	raw_close(&raw);
}
END_TEST

/* In a child: memory, reclaim and contiguous memory first of all, RUN when it is about to enter the guest. */
START_TEST(test_child)
{
	int *results = mmap(NULL, RAW_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t child;

	ck_assert_ptr_ne(results, MAP_FAILED);
	rev_run_script(&raw, paged[_i], "load 0x6000 8; loop");
	child = fork();
	if (child == 0) {
		results[0] = raw.sys->ioctl(raw.sys, raw.vm, UAPI_GUNYAH_SET_USER_MEM, 0);
		results[1] = raw.sys->ioctl(raw.sys, raw.vm, UAPI_GUNYAH_LEND_USER_MEM, 0);
		results[2] = raw.sys->ioctl(raw.sys, raw.vm, UAPI_GUNYAH_RECLAIM, 0);
		results[3] = raw.sys->ioctl(raw.sys, raw.vm, UAPI_GUNYAH_MAP_CMA, 0);
		results[4] = raw_run_only(&raw, 0);
		_exit(0);
	}
	ck_assert_int_gt(child, 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	raw_expect("child.share: EPERM", raw_result(results[0]));
	raw_expect("child.lend: EPERM", raw_result(results[1]));
	raw_expect(_i >= 3 ? "child.reclaim: EPERM" : "child.reclaim: ENOTTY", raw_result(results[2]));
	raw_expect(_i >= 4 ? "child.contiguous: EPERM" : "child.contiguous: ENOTTY", raw_result(results[3]));
	raw_expect("child.RUN: EPERM", raw_result(results[4]));
	raw_expect("child.RUN of the parent: idle", raw_run(&raw, 0));
	(void)munmap(results, RAW_PAGE);
	raw_close(&raw);
}
END_TEST

/* android15-6.6-early still removes by address. */
START_TEST(test_removal)
{
	bool exact = strcmp(paged[_i], "android15-6.6-early") != 0;
	int fd;

	rev_open(&raw, paged[_i], "");
	fd = raw_eventfd(&raw);
	raw_expect("remove.add 1: ok", raw_result(raw_add_ioeventfd(&raw, fd, 0x7000, 4, MATCH, 1)));
	raw_expect("remove.add 2: ok", raw_result(raw_add_ioeventfd(&raw, fd, 0x7000, 4, MATCH, 2)));
	raw_expect(exact ? "remove.no value: ENOENT" : "remove.no value: ok",
		   raw_result(raw_remove_ioeventfd(&raw, fd, 0x7000, 4, 0, 0)));
	raw_expect("remove.other width: ENOENT", raw_result(raw_remove_ioeventfd(&raw, fd, 0x7000, 8, MATCH, 1)));
	raw_expect(exact ? "remove.1: ok" : "remove.1: ENOENT",
		   raw_result(raw_remove_ioeventfd(&raw, fd, 0x7000, 4, MATCH, 1)));
	raw_expect(exact ? "remove.add 2 again: EEXIST" : "remove.add 2 again: ok",
		   raw_result(raw_add_ioeventfd(&raw, fd, 0x7000, 4, MATCH, 2)));
	(void)raw.sys->close(raw.sys, fd);
	raw_close(&raw);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("gunyah revisions that page");
	TCase *tcase = tcase_create("paged");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, test_memory_arguments, 1, PAGED);
	tcase_add_loop_test(tcase, test_overflow, 0, PAGED);
	tcase_add_loop_test(tcase, test_start, 0, PAGED);
	tcase_add_loop_test(tcase, test_firmware, 1, PAGED);
	tcase_add_loop_test(tcase, test_firmware_of_product, 0, 2);
	tcase_add_test(tcase, test_boot_context);
	tcase_add_loop_test(tcase, test_boot_context, 2, PAGED);
	tcase_add_loop_test(tcase, test_boot_default, 0, PAGED);
	tcase_add_loop_test(tcase, test_memlock, 1, PAGED);
	tcase_add_loop_test(tcase, test_faults, 1, PAGED);
	tcase_add_loop_test(tcase, test_no_memory, 0, PAGED);
	tcase_add_loop_test(tcase, test_resume, 1, PAGED);
	tcase_add_loop_test(tcase, test_reclaim, 3, PAGED);
	tcase_add_loop_test(tcase, test_child, 1, PAGED);
	tcase_add_loop_test(tcase, test_removal, 0, PAGED);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
