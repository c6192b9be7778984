/* SPDX-License-Identifier: BSD-3-Clause */
/* Real guests below raw ioctls, on every revision of the simulated /dev/gunyah. */
#include "box.h"

#include "rev.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define HIGH (TREE_BASE + 0x10000000)
#define MIB 0x100000ull
#define RWX (UAPI_GUNYAH_MAP_READ | UAPI_GUNYAH_MAP_WRITE | UAPI_GUNYAH_MAP_EXEC)

extern const uint8_t test_guest_start[];
extern const uint8_t test_guest_end[];

static struct raw raw;

/* A VM with the guest and its program in the memory; not started. */
static void prepare(const char *revision, const struct op *program, size_t size)
{
	static const struct rev_boot plain = { .share = false };
	char device[64];

	(void)snprintf(device, sizeof(device), "gunyah/%s,engine=kvm", revision);
	raw_open(&raw, device, NULL);
	memcpy(raw.ram, test_guest_start, (size_t)(test_guest_end - test_guest_start));
	memcpy(raw.ram + GUEST_PROGRAM, program, size);
	rev_make_vcpu(&raw, 0);
	rev_configure(&raw, &plain);
}

static void begin(const char *revision, const struct op *program, size_t size)
{
	prepare(revision, program, size);
	raw_expect("START: ok", raw_result(raw_start(&raw)));
}

static int share(uint64_t gpa, void *memory)
{
	return raw_lend(&raw, 9, RAW_RWX, gpa, RAW_PAGE, memory);
}

static void *new_page(void)
{
	void *page = mmap(NULL, RAW_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(page, MAP_FAILED);
	return page;
}

START_TEST(every_revision_runs_a_guest)
{
	static const struct op program[] = { STORE(0x4000, 0x1122, 4),
					     LOAD(0x5000, 8),
					     STORE(TREE_BASE + GUEST_SCRATCH, 0x55, 8),
					     STORE_ACC(0x4008),
					     LOAD(TREE_BASE + GUEST_SCRATCH, 8),
					     STORE_ACC(0x4010),
					     OFF };
	bool starts_itself = strcmp(rev_names[_i], "v8") == 0;

	prepare(rev_names[_i], program, sizeof(program));
	if (!starts_itself)
		raw_expect("START: ok", raw_result(raw_start(&raw)));
	raw_expect("store: store 0x4000 len 4 value 0x1122", raw_run(&raw, 0));
	raw_expect("load: load 0x5000 len 8", raw_run(&raw, 0));
	raw_answer(&raw, 0, 0x8877665544332211);
	raw_expect("answer: store 0x4008 len 8 value 0x8877665544332211", raw_run(&raw, 0));
	raw_expect("memory: store 0x4010 len 8 value 0x55", raw_run(&raw, 0));
	/* The first two tell nobody. */
	if (_i >= 2)
		raw_expect("off: STATUS 2 type 1 reason_size 4 reason 00000000 00000000", raw_run(&raw, 0));
	raw_close(&raw);
}
END_TEST

START_TEST(page_is_faulted_until_it_is_there)
{
	static const struct op program[] = { STORE(0x4000, 1, 4), LOAD(HIGH, 8), STORE_ACC(0x4008), STORE(HIGH + 8, 7, 8),
					     STORE(0x4010, 2, 4) };
	uint8_t *page;

	begin(_i == 0 ? "android15-6.6" : "android-latest", program, sizeof(program));
	page = new_page();
	raw_expect("first: store 0x4000 len 4 value 0x1", raw_run(&raw, 0));
	ck_assert_int_eq(mprotect(page, RAW_PAGE, PROT_NONE), 0);
	ck_assert_int_eq(share(HIGH, page), 0);
	raw_expect("missing: PAGE_FAULT 0x90000000 attempt EFAULT action 1", raw_run(&raw, 0));
	raw_expect("missing still: PAGE_FAULT 0x90000000 attempt EFAULT action 1", raw_run(&raw, 0));
	ck_assert_int_eq(mprotect(page, RAW_PAGE, PROT_READ | PROT_WRITE), 0);
	page[0] = 0x66;
	raw_expect("there: store 0x4008 len 8 value 0x66", raw_run(&raw, 0));
	raw_expect("last: store 0x4010 len 4 value 0x2", raw_run(&raw, 0));
	ck_assert_uint_eq(page[8], 7);
	raw_close(&raw);
	(void)munmap(page, RAW_PAGE);
}
END_TEST

START_TEST(guest_memory_is_bound_and_taken_away)
{
	static const struct op program[] = { STORE(0x4000, 1, 4), LOAD(HIGH + MIB, 8), STORE_ACC(0x4008),
					     LOAD(HIGH, 8),       STORE_ACC(0x4010),   STORE(HIGH + MIB + 8, 5, 8),
					     STORE(0x4018, 2, 4) };
	uint8_t *host;
	int fd;

	begin("v17", program, sizeof(program));
	raw_expect("first: store 0x4000 len 4 value 0x1", raw_run(&raw, 0));
	fd = rev_gmem(&raw, 0, 2 * MIB);
	host = rev_host(&raw, fd, 2 * MIB);
	host[0] = 0x77;
	host[MIB] = 0x78;
	ck_assert_int_eq(rev_map(&raw, fd, RWX, HIGH, 0, 2 * MIB), 0);
	raw_expect("mapped: PAGE_FAULT 0x90100000 attempt EPERM action 1", raw_run(&raw, 0));
	rev_unhost(&raw, host, 2 * MIB);
	raw_expect("unmapped: store 0x4008 len 8 value 0x78", raw_run(&raw, 0));
	ck_assert_int_eq(rev_map(&raw, fd, RWX | UAPI_GUNYAH_MAP_UNMAP, HIGH, 0, MIB), 0);
	raw_expect("taken away: PAGE_FAULT 0x90000000 attempt ENOENT action 1", raw_run(&raw, 0));
	ck_assert_int_eq(rev_map(&raw, fd, RWX, HIGH, 4 * MIB, MIB), 0);
	raw_expect("beyond the file: PAGE_FAULT 0x90000000 attempt ENOMEM action 1", raw_run(&raw, 0));
	ck_assert_int_eq(rev_map(&raw, fd, RWX | UAPI_GUNYAH_MAP_UNMAP, HIGH, 4 * MIB, MIB), 0);
	ck_assert_int_eq(rev_map(&raw, fd, RWX | UAPI_GUNYAH_MAP_UNMAP, HIGH + MIB, MIB, MIB), 0);
	ck_assert_int_eq(rev_map(&raw, fd, RWX, HIGH, 0, 2 * MIB), 0);
	raw_expect("back: store 0x4010 len 8 value 0x77", raw_run(&raw, 0));
	raw_expect("last: store 0x4018 len 4 value 0x2", raw_run(&raw, 0));
	host = rev_host(&raw, fd, 2 * MIB);
	ck_assert_uint_eq(host[MIB + 8], 5);
	rev_unhost(&raw, host, 2 * MIB);
	ck_assert_int_eq(raw.sys->close(raw.sys, fd), 0);
	raw_close(&raw);
}
END_TEST

START_TEST(access_is_resumed_as_the_page_says)
{
	static const struct op program[] = { LOAD(0x5000, 4), STORE_ACC(0x4000), STORE(0x5000, 3, 4), STORE(0x4008, 4, 4) };
	bool retries = strcmp(rev_names[_i], "v17") == 0;

	begin(rev_names[_i], program, sizeof(program));
	raw_expect("load: load 0x5000 len 4", raw_run(&raw, 0));
	raw_expect(retries ? "retry: load 0x5000 len 4" : "retry: EINVAL", rev_resume(&raw, UAPI_GUNYAH_RESUME_RETRY));
	raw_expect("fault: store 0x7000 len 4 value 0x96000010", rev_resume(&raw, UAPI_GUNYAH_RESUME_FAULT));
	raw_expect("goes on: store 0x4000 len 8 value 0x0", raw_run(&raw, 0));
	raw_expect("store: store 0x5000 len 4 value 0x3", raw_run(&raw, 0));
	raw_expect("handled: store 0x4008 len 4 value 0x4", rev_resume(&raw, UAPI_GUNYAH_RESUME_HANDLED));
	raw_close(&raw);
}
END_TEST

START_TEST(boot_context_is_where_the_guest_begins)
{
	static const struct op program[] = { STORE(0x4000, 1, 4) };
	static const struct op other[] = { STORE(0x4000, 2, 4) };

	prepare(rev_names[_i], program, sizeof(program));
	/* The memory of v17 has been copied already: it begins with the other program only on the others. */
	memcpy(raw.ram + GUEST_PROGRAM_SECOND, other, sizeof(other));
	ck_assert_int_eq(
		rev_boot_register(&raw, UAPI_GUNYAH_BOOT_REG(UAPI_GUNYAH_BOOT_PC, 0u), TREE_BASE + GUEST_ENTRY_SECOND), 0);
	ck_assert_int_eq(
		rev_boot_register(&raw, 0,
				  TREE_BASE + (strcmp(rev_names[_i], "v17") == 0 ? GUEST_PROGRAM : GUEST_PROGRAM_SECOND)),
		0);
	ck_assert_int_eq(raw_start(&raw), 0);
	raw_expect(strcmp(rev_names[_i], "v17") == 0 ? "store: store 0x4000 len 4 value 0x1"
						     : "store: store 0x4000 len 4 value 0x2",
		   raw_run(&raw, 0));
	raw_close(&raw);
}
END_TEST

START_TEST(reclaimed_page_comes_back_when_touched)
{
	static const struct op program[] = { LOAD(TREE_BASE + GUEST_SCRATCH, 8),
					     STORE_ACC(0x4000),
					     LOAD(TREE_BASE + GUEST_SCRATCH, 8),
					     STORE_ACC(0x4000),
					     LOAD(TREE_BASE + GUEST_SCRATCH + RAW_PAGE, 8),
					     STORE_ACC(0x4000) };

	begin("android16-6.12", program, sizeof(program));
	raw.ram[GUEST_SCRATCH] = 1;
	raw.ram[GUEST_SCRATCH + RAW_PAGE] = 3;
	raw_expect("first: store 0x4000 len 8 value 0x1", raw_run(&raw, 0));
	ck_assert_int_eq(rev_range(&raw, UAPI_GUNYAH_RECLAIM, TREE_BASE + GUEST_SCRATCH, RAW_PAGE), 0);
	raw.ram[GUEST_SCRATCH] = 2;
	raw_expect("touched again: store 0x4000 len 8 value 0x2", raw_run(&raw, 0));
	raw_expect("its neighbour: store 0x4000 len 8 value 0x3", raw_run(&raw, 0));
	raw_close(&raw);
}
END_TEST

static void *run_thread(void *data)
{
	int *ret = data;

	*ret = raw_run_only(&raw, 0);
	return NULL;
}

/* Taking memory back waits for a guest that computes, and lets it go on. */
START_TEST(memory_is_taken_back_from_a_running_guest)
{
	static const struct op program[] = { STORE(TREE_BASE + GUEST_SCRATCH + RAW_PAGE, 1, 8), { .op = OP_SPIN } };
	const struct timespec moment = { 0, 1000000 };
	volatile uint8_t *mark;
	pthread_t thread;
	int ret = -1;

	begin("android-latest", program, sizeof(program));
	mark = raw.ram + GUEST_SCRATCH + RAW_PAGE;
	raw_handle_signal(0);
	ck_assert_int_eq(pthread_create(&thread, NULL, run_thread, &ret), 0);
	for (int i = 0; i < RAW_PATIENCE_MS && *mark == 0; i++)
		(void)nanosleep(&moment, NULL);
	ck_assert_uint_eq(*mark, 1);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(rev_range(&raw, UAPI_GUNYAH_RECLAIM, TREE_BASE + GUEST_SCRATCH, RAW_PAGE), 0);
	ck_assert_int_eq(pthread_kill(thread, SIGUSR1), 0);
	pthread_join(thread, NULL);
	raw_expect("RUN: EINTR", raw_result(ret));
	raw_close(&raw);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("guests on all gunyah revisions");
	TCase *tcase = tcase_create("revisions");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tcase, 120);
	tcase_add_loop_test(tcase, every_revision_runs_a_guest, 0, REV_COUNT);
	tcase_add_loop_test(tcase, page_is_faulted_until_it_is_there, 0, 2);
	tcase_add_test(tcase, guest_memory_is_bound_and_taken_away);
	tcase_add_loop_test(tcase, access_is_resumed_as_the_page_says, 4, 5);
	tcase_add_loop_test(tcase, access_is_resumed_as_the_page_says, 9, REV_COUNT);
	tcase_add_loop_test(tcase, boot_context_is_where_the_guest_begins, 4, 5);
	tcase_add_loop_test(tcase, boot_context_is_where_the_guest_begins, 8, REV_COUNT);
	tcase_add_test(tcase, reclaimed_page_comes_back_when_touched);
	tcase_add_test(tcase, memory_is_taken_back_from_a_running_guest);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
