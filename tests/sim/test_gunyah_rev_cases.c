/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The simulated Gunyah device: the same cases on every revision, each with what this revision has to answer.
 *
 * What is in no revision's column here is the same everywhere, and only looked at once for all.
 */
#include "rev.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MATCH UAPI_GUNYAH_IOEVENTFD_DATAMATCH
#define ENDED "STATUS 2 type 1 reason_size 4 reason 00000000 00000000"
#define SIGNAL "signal 10; " /* in scripts: SIGUSR1 */

_Static_assert(SIGUSR1 == 10, "scripts name the signal by its number");

static struct raw raw;
static const char *revision;
static bool named;      /* v8: nothing can be removed, RUN starts */
static bool tells_end;  /* since v11 */
static bool duplicates; /* the latest */

static void choose(int index)
{
	revision = rev_names[index];
	named = index == 0;
	tells_end = index >= 2;
	duplicates = index == REV_COUNT - 1;
}

static void boot(int index, const char *script, const struct rev_boot *how)
{
	choose(index);
	rev_open(&raw, revision, script);
	rev_make_vcpu(&raw, 0);
	if (how->tree.cpus > 1)
		rev_make_vcpu(&raw, 1);
	ck_assert_int_eq(rev_boot(&raw, how), 0);
}

static void boot_plain(int index, const char *script)
{
	static const struct rev_boot plain = { .share = false };

	boot(index, script, &plain);
}

static void expect(const char *what, const char *wanted, const char *got)
{
	ck_assert_msg(strcmp(wanted, got) == 0, "%s on %s: %s, not %s", what, revision, got, wanted);
}

static int add_ioeventfd(int fd, uint64_t gpa, uint32_t width, uint32_t flags, uint64_t datamatch)
{
	struct uapi_gunyah_fn_ioeventfd argument = { datamatch, gpa, width, fd, flags, 0 };

	return named ? rev_add_named(&raw, "ioeventfd", &argument, sizeof(argument))
		     : raw_add_ioeventfd(&raw, fd, gpa, width, flags, datamatch);
}

static int add_irqfd(int fd, uint32_t label)
{
	struct uapi_gunyah_fn_irqfd argument = { (uint32_t)fd, label, 0, 0 };

	return named ? rev_add_named(&raw, "irqfd", &argument, sizeof(argument)) : raw_add_irqfd(&raw, fd, label, 0);
}

static void shut(int fd)
{
	ck_assert_int_eq(raw.sys->close(raw.sys, fd), 0);
}

START_TEST(test_vcpu_lives)
{
	choose(_i);
	rev_open(&raw, revision, "");
	rev_make_vcpu(&raw, 0);
	expect("RUN before START", named ? "EINVAL" : "ENODEV", raw_run(&raw, 0));
	shut(raw.vcpu[0]);
	raw.vcpu[0] = -1;
	expect("add after close", duplicates ? "fd" : "EEXIST", raw_descriptor(&raw, rev_add_vcpu(&raw, 0)));
	if (!named) {
		expect("remove", "ok", raw_result(raw_remove_vcpu(&raw, 0)));
		expect("add after remove", "fd", raw_descriptor(&raw, rev_add_vcpu(&raw, 0)));
	}
	raw_close(&raw);
}
END_TEST

/* A page that is mapped keeps the VM, whatever has been closed; a VM without its own descriptor runs on. */
START_TEST(test_lifetimes)
{
	boot_plain(_i, "load 0x6000 8; store 0x7000 4 1; store 0x7000 4 2");
	shut(raw.vm);
	raw.vm = -1;
	expect("RUN without the VM's descriptor", "idle", raw_run(&raw, 0));
	expect("and again", "store 0x7000 len 4 value 0x1", raw_run(&raw, 0));
	shut(raw.vcpu[0]);
	raw.vcpu[0] = -1;
	expect("page after close", "store 0x7000 len 4 value 0x1", raw_exit(&raw, 0));
	ck_assert_uint_ge(gh_sim_open_files(raw.sim), 2);
	raw_close(&raw);
}
END_TEST

START_TEST(test_start)
{
	static const struct rev_boot many = { .tree = { .cpus = 9 } };

	boot_plain(_i, "");
	expect("START twice", "ok", raw_result(raw_start(&raw)));
	if (named)
		expect("unknown function", "ENOENT", raw_result(rev_add_named(&raw, "x", &revision, 4)));
	else
		expect("unknown function", "ENOENT", raw_result(raw_function(&raw, UAPI_GUNYAH_ADD_FUNCTION, 4, 0, NULL)));
	raw_new_vm(&raw);
	rev_make_vcpu(&raw, 0);
	expect("nine cpus", "ENODEV", raw_result(rev_boot(&raw, &many)));
	expect("START after that", "ENODEV", raw_result(raw_start(&raw)));
	expect("RUN after that", "ENODEV", raw_run(&raw, 0));
	raw_close(&raw);
}
END_TEST

START_TEST(test_ioeventfds)
{
	int fds[3];

	boot_plain(_i,
		   "load 0x6000 8; store 0x7000 1 9; store 0x7000 8 9; load 0x7000 4; store 0x7100 4 0; store 0x7100 4 1;"
		   "store 0x7100 2 1; load 0x6000 8");
	for (int i = 0; i < 3; i++)
		fds[i] = raw_eventfd(&raw);
	expect("first", "idle", raw_run(&raw, 0));
	expect("add", "ok", raw_result(add_ioeventfd(fds[0], 0x7000, 4, 0, 0)));
	expect("clash", "EEXIST", raw_result(add_ioeventfd(fds[1], 0x7000, 8, MATCH, 1)));
	expect("datamatch 0", "ok", raw_result(add_ioeventfd(fds[1], 0x7100, 4, MATCH, 0)));
	expect("datamatch 1", "ok", raw_result(add_ioeventfd(fds[2], 0x7100, 4, MATCH, 1)));
	expect("datamatch of no width", "EINVAL", raw_result(add_ioeventfd(fds[2], 0x7200, 0, MATCH, 1)));
	expect("width 3", "EINVAL", raw_result(add_ioeventfd(fds[2], 0x7200, 3, 0, 1)));
	expect("no eventfd", "EINVAL", raw_result(add_ioeventfd(raw.vm, 0x7200, 4, 0, 0)));
	expect("no descriptor", "EBADF", raw_result(add_ioeventfd(-1, 0x7200, 4, 0, 0)));
	expect("a load always exits", "load 0x7000 len 4", raw_run(&raw, 0));
	expect("any width", "2", raw_number(raw_count(&raw, fds[0])));
	expect("another width than the value's", "store 0x7100 len 2 value 0x1", raw_run(&raw, 0));
	expect("value 0", "1", raw_number(raw_count(&raw, fds[1])));
	expect("value 1", "1", raw_number(raw_count(&raw, fds[2])));
	expect("last", "idle", raw_run(&raw, 0));
	for (int i = 0; i < 3; i++)
		shut(fds[i]);
	raw_close(&raw);
}
END_TEST

/* Written before START, or without a doorbell: dropped. The eventfds go first, for the sake of the old kernels. */
START_TEST(test_irqfds)
{
	static const struct tree_bell bell = { .label = 5, .spi = 9, .flags = 1 };
	const struct rev_boot with_bell = { .tree = { .bells = &bell, .bell_count = 1 } };
	int fds[2];

	choose(_i);
	rev_open(&raw, revision, "load 0x6000 8; wfi; ack; echo 0x7000 4; ack; echo 0x7000 4");
	for (int i = 0; i < 2; i++)
		fds[i] = raw_eventfd(&raw);
	rev_make_vcpu(&raw, 0);
	expect("irqfd", "ok", raw_result(add_irqfd(fds[0], 5)));
	expect("without doorbell", "ok", raw_result(add_irqfd(fds[1], 6)));
	expect("label again", duplicates ? "ok" : "EEXIST", raw_result(add_irqfd(fds[1], 5)));
	(void)raw_signal(&raw, fds[0]);
	ck_assert_int_eq(rev_boot(&raw, &with_bell), 0);
	expect("first", "idle", raw_run(&raw, 0));
	(void)raw_signal(&raw, fds[1]);
	(void)raw_signal(&raw, fds[0]);
	expect("interrupt", "store 0x7000 len 4 value 0x29", raw_run(&raw, 0));
	expect("once", "store 0x7000 len 4 value 0x3ff", raw_run(&raw, 0));
	for (int i = 0; i < 2; i++)
		shut(fds[i]);
	ck_assert_ptr_null(gh_sim_breakage(raw.sim));
	raw_close(&raw);
}
END_TEST

/* An eventfd that outlives its irqfd, which had no doorbell: only kernels up to android14-6.1 break. */
START_TEST(test_irqfd_breaks)
{
	/* v17, and Android's kernels from 15 on. */
	bool breaks = _i != 4 && _i < 7;
	int fd;

	choose(_i);
	rev_open(&raw, revision, "");
	fd = raw_eventfd(&raw);
	ck_assert_int_eq(add_irqfd(fd, 5), 0);
	raw_new_vm(&raw);
	ck_assert_int_eq(gh_sim_breakage(raw.sim) != NULL, breaks);
	shut(fd);
	raw_close(&raw);
}
END_TEST

START_TEST(test_immediate_exit)
{
	const char *wanted = _i == 0 ? "ok" : "EINTR";

	boot_plain(_i, "load 0x7000 8; echo 0x7008 8; load 0x6000 8");
	raw.page[0]->immediate_exit = 1;
	expect("immediate_exit", wanted, raw_result(raw_run_only(&raw, 0)));
	raw.page[0]->immediate_exit = 255;
	expect("immediate_exit 255", wanted, raw_result(raw_run_only(&raw, 0)));
	expect("flag", "255", raw_number(raw.page[0]->immediate_exit));
	raw.page[0]->immediate_exit = 0;
	expect("load", "load 0x7000 len 8", raw_run(&raw, 0));
	/* H1. */
	raw_answer(&raw, 0, 0x55);
	raw.page[0]->immediate_exit = 1;
	expect("with an answer", wanted, raw_result(raw_run_only(&raw, 0)));
	raw.page[0]->immediate_exit = 0;
	raw_answer(&raw, 0, 0x55);
	expect("the answer is lost", "store 0x7008 len 8 value 0x0", raw_run(&raw, 0));
	expect("the guest goes on", "idle", raw_run(&raw, 0));
	raw_close(&raw);
}
END_TEST

/* H2: the call says EINTR, and the page has the exit. */
START_TEST(test_signal_with_exit)
{
	boot_plain(_i, SIGNAL "store 0x7000 4 1; wfi");
	raw_handle_signal(0);
	expect("RUN", "EINTR", raw_run(&raw, 0));
	expect("the page", "store 0x7000 len 4 value 0x1", raw_exit(&raw, 0));
	raw_close(&raw);
}
END_TEST

START_TEST(test_signal_in_wfi)
{
	void *alarm;

	boot_plain(_i, "wfi");
	raw_handle_signal(0);
	alarm = raw_alarm(5);
	expect("RUN", "EINTR", raw_run(&raw, 0));
	raw_alarm_join(alarm);
	raw_close(&raw);
}
END_TEST

START_TEST(test_ends)
{
	static const struct {
		const char *script;
		const char *exit;
	} ends[] = {
		{ "off", ENDED },
		{ "reset", "STATUS 2 type 2 reason_size 4 reason 00000000 00000000" },
		{ "reset2 0x80000001 7", "STATUS 2 type 3 reason_size 16 reason 00000000 01000080" },
	};

	choose(_i);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]) && tells_end; i++) {
		boot_plain(_i, ends[i].script);
		expect("end", ends[i].exit, raw_run(&raw, 0));
		expect("RUN again", "ok", raw_result(raw_run_only(&raw, 0)));
		expect("the page is the same", ends[i].exit, raw_exit(&raw, 0));
		raw.page[0]->immediate_exit = 1;
		expect("RUN with immediate_exit", "ok", raw_result(raw_run_only(&raw, 0)));
		expect("START", "ENODEV", raw_result(raw_start(&raw)));
		raw_close(&raw);
	}
}
END_TEST

/* Every vCPU hears of the end by itself, the one that was never on as well. */
START_TEST(test_end_of_all)
{
	const struct rev_boot two = { .tree = { .cpus = 2 } };

	choose(_i);
	if (!tells_end)
		return;
	boot(_i, "off", &two);
	expect("first", ENDED, raw_run(&raw, 0));
	expect("second", ENDED, raw_run(&raw, 1));
	raw_close(&raw);
}
END_TEST

/* A vCPU without a resource when the VM ends: kernels that tell everybody fall over it, up to v17 and android14-6.1. */
START_TEST(test_end_breaks)
{
	choose(_i);
	if (!tells_end)
		return;
	boot_plain(_i, "off");
	rev_make_vcpu(&raw, 1);
	expect("end", ENDED, raw_run(&raw, 0));
	ck_assert_int_eq(gh_sim_breakage(raw.sim) != NULL, _i < 7);
	raw_close(&raw);
}
END_TEST

static void *run_thread(void *data)
{
	int *ret = data;

	*ret = raw_run_only(&raw, 0);
	return NULL;
}

START_TEST(test_remove_during_run)
{
	pthread_t thread;
	int ret = -1;

	choose(_i);
	if (named)
		return;
	boot_plain(_i, "store 0x7000 4 1; spin");
	expect("first", "store 0x7000 len 4 value 0x1", raw_run(&raw, 0));
	ck_assert_int_eq(pthread_create(&thread, NULL, run_thread, &ret), 0);
	(void)usleep(5000);
	expect("remove", "ok", raw_result(raw_remove_vcpu(&raw, 0)));
	pthread_join(thread, NULL);
	/* ENODEV if it had not got inside yet. */
	ck_assert_msg(ret == -EINTR || ret == -ENODEV, "RUN on %s: %s", revision, raw_result(ret));
	expect("RUN after that", "ENODEV", raw_result(raw_run_only(&raw, 0)));
	ck_assert_uint_eq(raw.page[0]->immediate_exit, 1);
	raw_close(&raw);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("gunyah cases on every revision");
	TCase *tcase = tcase_create("cases");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, test_vcpu_lives, 0, REV_COUNT);
	tcase_add_loop_test(tcase, test_lifetimes, 0, REV_COUNT);
	tcase_add_loop_test(tcase, test_start, 0, REV_COUNT);
	tcase_add_loop_test(tcase, test_ioeventfds, 0, REV_COUNT);
	tcase_add_loop_test(tcase, test_irqfds, 0, REV_COUNT);
	tcase_add_loop_test(tcase, test_irqfd_breaks, 0, REV_COUNT);
	tcase_add_loop_test(tcase, test_immediate_exit, 0, REV_COUNT);
	tcase_add_loop_test(tcase, test_signal_with_exit, 0, REV_COUNT);
	tcase_add_loop_test(tcase, test_signal_in_wfi, 0, REV_COUNT);
	tcase_add_loop_test(tcase, test_ends, 0, REV_COUNT);
	tcase_add_loop_test(tcase, test_end_of_all, 0, REV_COUNT);
	tcase_add_loop_test(tcase, test_end_breaks, 0, REV_COUNT);
	tcase_add_loop_test(tcase, test_remove_during_run, 0, REV_COUNT);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
