/* SPDX-License-Identifier: BSD-3-Clause */
/* The simulated Gunyah device against the observed one: signals and immediate_exit in RUN (H1, H2, H3, SA_RESTART). */
#include "raw.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* In scripts: SIGUSR1. */
#define SIGNAL "signal 10; "

_Static_assert(SIGUSR1 == 10, "scripts name the signal by its number");

static struct raw raw;

static void teardown(void)
{
	raw_ignore_signal();
	raw_close(&raw);
}

static void settle(unsigned int milliseconds)
{
	const struct timespec delay = { 0, (long)milliseconds * 1000000 };

	(void)nanosleep(&delay, NULL);
}

/* RUN without touching the page before. */
static const char *run_only(uint32_t id)
{
	return raw_result(raw_run_only(&raw, id));
}

/* H3: any value but 0, and it stays. */
START_TEST(test_immediate_exit)
{
	raw_run_script(&raw, "store 0x7000 4 1; load 0x6000 8; off");
	raw_expect("imm.store: store 0x7000 len 4 value 0x1", raw_run(&raw, 0));
	raw.page[0]->immediate_exit = 1;
	raw_expect("imm.run after a store: EINTR", raw_run(&raw, 0));
	raw_expect("imm.flag: 1", raw_number(raw.page[0]->immediate_exit));
	raw_expect("imm.run again: EINTR", raw_run(&raw, 0));
	raw.page[0]->immediate_exit = 255;
	raw_expect("imm.run with 255: EINTR", raw_run(&raw, 0));
	raw_expect("imm.flag: 255", raw_number(raw.page[0]->immediate_exit));
	raw.page[0]->immediate_exit = 0;
	raw_expect("h1.store then immediate_exit: next: idle", raw_run(&raw, 0));
	raw_expect("imm.off: STATUS 2 type 1 reason_size 4 reason 00000000 00000000", raw_run(&raw, 0));
}
END_TEST

/* The VM's end is reported after immediate_exit has gone, and then it is there for good. */
START_TEST(test_immediate_exit_at_the_end)
{
	raw_open(&raw, "gunyah/android14-6.1,engine=script", "load 0x6000 8; on 1; load 0x6000 8\nvcpu 1\noff");
	raw_make_vcpu(&raw, 0);
	raw_make_vcpu(&raw, 1);
	ck_assert_int_eq(raw_boot(&raw, &(struct raw_boot){ .tree.cpus = 2 }), 0);
	raw_expect("end.first: idle", raw_run(&raw, 0));
	raw_expect("end.second: idle", raw_run(&raw, 0));
	raw_expect("end.off: STATUS 2 type 1 reason_size 4 reason 00000000 00000000", raw_run(&raw, 1));
	raw.page[0]->immediate_exit = 1;
	raw_expect("end.immediate_exit: EINTR", raw_run(&raw, 0));
	raw.page[0]->immediate_exit = 0;
	raw_expect("end.then: STATUS 2 type 1 reason_size 4 reason 00000000 00000000", raw_run(&raw, 0));
}
END_TEST

/* H1: the call that took the answer off the page did not get into the guest. Writing it again does not help. */
START_TEST(test_h1_immediate_exit)
{
	raw_run_script(&raw, "load 0x7000 8; echo 0x6018 8; load 0x7000 8; echo 0x6018 8");
	raw_expect("h1.load: load 0x7000 len 8", raw_run(&raw, 0));
	raw_answer(&raw, 0, 0x1234);
	raw.page[0]->immediate_exit = 1;
	raw_expect("h1.run: EINTR", raw_run(&raw, 0));
	raw.page[0]->immediate_exit = 0;
	raw_answer(&raw, 0, 0x1234);
	raw_expect("h1.guest reads: store 0x6018 len 8 value 0x0", raw_run(&raw, 0));
	raw_expect("h1.next load: load 0x7000 len 8", raw_run(&raw, 0));
	raw_answer(&raw, 0, 0x1234);
	raw_expect("h1.guest reads: store 0x6018 len 8 value 0x1234", raw_run(&raw, 0));
}
END_TEST

/* A thread that keeps the vCPU for itself, so that another one's RUN waits with a signal pending. */
static void *run_until_kicked(void *data)
{
	int *ret = data;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	*ret = raw_run_only(&raw, 0);
	return NULL;
}

START_TEST(test_second_run_waits)
{
	pthread_t thread;
	void *alarm;
	int ret = -1;

	raw_run_script(&raw, "load 0x6000 8; wfi");
	raw_handle_signal(0);
	raw_expect("second RUN.first: idle", raw_run(&raw, 0));
	ck_assert_int_eq(pthread_create(&thread, NULL, run_until_kicked, &ret), 0);
	settle(20);
	alarm = raw_alarm(20);
	raw_expect("second RUN, signal: EINTR", run_only(0));
	raw_alarm_join(alarm);
	/* The first is still inside; removal gets it out. */
	raw_expect("two.remove while RUN is active: ok", raw_result(raw_remove_vcpu(&raw, 0)));
	pthread_join(thread, NULL);
	raw_expect("two.first: EINTR", raw_result(ret));
	raw_expect("two.then: ENODEV", run_only(0));
	raw_drop_vcpu(&raw, 0);
	raw_make_vcpu(&raw, 0);
	alarm = raw_alarm(20);
	raw_expect("two.RUN of the new one, signal: EINTR", run_only(0));
	raw_alarm_join(alarm);
}
END_TEST

/* H2: the exit is in the page, and the call says EINTR. Looking at the page loses nothing. */
START_TEST(test_h2_store)
{
	raw_run_script(&raw, SIGNAL "store 0x7000 4 1; load 0x6000 8");
	raw_handle_signal(0);
	raw_expect("h2.run: EINTR", raw_run(&raw, 0));
	raw_expect("h2.page: store 0x7000 len 4 value 0x1", raw_exit(&raw, 0));
	ck_assert_int_eq(raw_handled, 1);
	/* It is done: it does not come again. */
	raw_expect("h2.next: idle", raw_run(&raw, 0));
}
END_TEST

START_TEST(test_h2_load)
{
	raw_run_script(&raw, SIGNAL "load 0x7000 8; echo 0x6018 8; " SIGNAL "load 0x7000 8; echo 0x6018 8");
	raw_handle_signal(0);
	raw_expect("h2.run: EINTR", raw_run(&raw, 0));
	raw_expect("h2.page: load 0x7000 len 8", raw_exit(&raw, 0));
	raw_answer(&raw, 0, 0x55);
	raw_expect("h2.answered: store 0x6018 len 8 value 0x55", raw_run(&raw, 0));
	/* Who ignores the page after EINTR completes the load with what was in it. */
	raw_expect("h2.run: EINTR", run_only(0));
	raw_expect("h2.stale: ok", run_only(0));
	raw_expect("h2.stale: store 0x6018 len 8 value 0x55", raw_exit(&raw, 0));
}
END_TEST

START_TEST(test_h2_without_exit)
{
	raw_run_script(&raw, "load 0x7000 8; " SIGNAL "wfi; echo 0x6018 8");
	raw_handle_signal(0);
	raw_expect("h2.load: load 0x7000 len 8", raw_run(&raw, 0));
	raw_answer(&raw, 0, 0x66);
	raw_expect("h2.run: EINTR", raw_run(&raw, 0));
	raw_expect("h2.EINTR without exit although a load was answered: exit_reason 0", raw_exit(&raw, 0));
}
END_TEST

START_TEST(test_h2_ioeventfd)
{
	int fd;

	raw_run_script(&raw, SIGNAL "store 0x7000 4 1; load 0x6000 8");
	raw_handle_signal(0);
	fd = raw_eventfd(&raw);
	ck_assert_int_eq(raw_add_ioeventfd(&raw, fd, 0x7000, 4, 0, 0), 0);
	raw_expect("h2.ioeventfd: EINTR", raw_run(&raw, 0));
	raw_expect("h2.ioeventfd: exit_reason 0", raw_exit(&raw, 0));
	raw_expect("h2.ioeventfd: count: 1", raw_number(raw_count(&raw, fd)));
	raw_expect("h2.ioeventfd: next: idle", raw_run(&raw, 0));
	(void)raw.sys->close(raw.sys, fd);
}
END_TEST

/* The end of the VM waits for a call without a signal. */
START_TEST(test_h2_power_off)
{
	raw_run_script(&raw, SIGNAL "off");
	raw_handle_signal(0);
	raw_expect("h2.off: EINTR", raw_run(&raw, 0));
	raw_expect("h2.off: STATUS 2 type 1 reason_size 4 reason 00000000 00000000", raw_run(&raw, 0));
}
END_TEST

/* SA_RESTART: the kernel makes the call again by itself, so the first store is lost and the load completed with what is there. */
START_TEST(test_restart_loses_store)
{
	raw_run_script(&raw, SIGNAL "store 0x7000 4 1; store 0x7000 4 2");
	raw_handle_signal(SA_RESTART);
	raw_expect("restart.run: store 0x7000 len 4 value 0x2", raw_run(&raw, 0));
	ck_assert_int_eq(raw_handled, 1);
}
END_TEST

START_TEST(test_restart_loses_load)
{
	raw_run_script(&raw, "store 0x7000 8 0x77; " SIGNAL "load 0x7000 8; echo 0x6018 8");
	raw_handle_signal(SA_RESTART);
	raw_expect("restart.store: store 0x7000 len 8 value 0x77", raw_run(&raw, 0));
	raw_expect("restart.load completed with old data: store 0x6018 len 8 value 0x77", raw_run(&raw, 0));
	ck_assert_int_eq(raw_handled, 1);
}
END_TEST

static void set_immediate_exit_the_third_time(void)
{
	if (raw_handled == 3)
		raw.page[0]->immediate_exit = 1;
}

static atomic_bool stop;

static void *keep_signalling(void *data)
{
	pthread_t target = *(pthread_t *)data;

	while (!atomic_load(&stop)) {
		settle(5);
		(void)pthread_kill(target, SIGUSR1);
	}
	return NULL;
}

/* `_i` is 0 for a sleeping guest and 1 for one that computes. */
START_TEST(test_restart_until_immediate_exit)
{
	pthread_t self = pthread_self();
	pthread_t thread;

	raw_run_script(&raw, _i == 0 ? "wfi" : "spin");
	raw_handle_signal(SA_RESTART);
	raw_hook = set_immediate_exit_the_third_time;
	atomic_store(&stop, false);
	ck_assert_int_eq(pthread_create(&thread, NULL, keep_signalling, &self), 0);
	raw_expect("wfi.SA_RESTART, third handler sets immediate_exit: EINTR", raw_run(&raw, 0));
	ck_assert_int_ge(raw_handled, 3);
	raw_expect("wfi.again: EINTR", raw_run(&raw, 0));
	raw_expect("spin.flag: 1", raw_number(raw.page[0]->immediate_exit));
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
}
END_TEST

START_TEST(test_signal_ends_sleep)
{
	static const char *const scripts[] = { "wfi", "spin", "cpu-off", "raw lost-off; off" };
	void *alarm;

	raw_run_script(&raw, scripts[_i]);
	raw_handle_signal(0);
	for (int i = 0; i < 2; i++) {
		alarm = raw_alarm(20);
		raw_expect("sleep.signal: EINTR", raw_run(&raw, 0));
		raw_alarm_join(alarm);
		ck_assert_int_gt(raw_handled, i);
	}
	raw_expect("sleep.START: ok", raw_result(raw_start(&raw)));
}
END_TEST

/* A signal that the process ignores ends nothing, and one that the thread blocks does not either. */
START_TEST(test_other_signals)
{
	sigset_t set;
	void *alarm;

	raw_run_script(&raw, SIGNAL "store 0x7000 4 1; " SIGNAL "store 0x7000 4 2");
	raw_ignore_signal();
	raw_expect("signals.ignored: store 0x7000 len 4 value 0x1", raw_run(&raw, 0));
	raw_handle_signal(0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
	raw_expect("signals.blocked: store 0x7000 len 4 value 0x2", raw_run(&raw, 0));
	ck_assert_int_eq(raw_handled, 0);
	ck_assert_int_eq(pthread_sigmask(SIG_UNBLOCK, &set, NULL), 0);
	ck_assert_int_eq(raw_handled, 1);
	alarm = raw_alarm(10);
	raw_expect("signals.at the script's end: EINTR", raw_run(&raw, 0));
	raw_alarm_join(alarm);
}
END_TEST

static void *signal_all_the_time(void *data)
{
	pthread_t target = *(pthread_t *)data;

	while (!atomic_load(&stop)) {
		(void)pthread_kill(target, SIGUSR1);
		for (volatile int turn = 0; turn < 2000; turn = turn + 1)
			;
	}
	return NULL;
}

/* The next exit, found in the page after EINTR as well. */
static const char *next_exit(void)
{
	raw.page[0]->exit_reason = 0;
	while (raw_run_only(&raw, 0) != 0 && raw.page[0]->exit_reason == 0)
		;
	return raw_exit(&raw, 0);
}

/*
 * Signals at any time, the page looked at after each EINTR: no exit is lost or comes twice and no load is stale, but some
 * answers are lost (H1): a signal that waits when RUN begins is enough.
 */
START_TEST(test_h1_signal)
{
	const time_t end = time(NULL) + 60;
	pthread_t self = pthread_self();
	unsigned int lost = 0;
	pthread_t thread;

	raw_run_script(&raw, "load 0x7000 8; echo 0x6018 8; loop");
	raw_handle_signal(0);
	atomic_store(&stop, false);
	ck_assert_int_eq(pthread_create(&thread, NULL, signal_all_the_time, &self), 0);
	for (uint64_t i = 1; lost == 0 && time(NULL) < end; i++) {
		uint64_t value;

		raw_expect("h1.any time: load 0x7000 len 8", next_exit());
		raw_answer(&raw, 0, i);
		(void)next_exit();
		ck_assert_uint_eq(raw.page[0]->u.mmio.gpa, 0x6018);
		memcpy(&value, raw.page[0]->u.mmio.data, sizeof(value));
		lost += value == 0;
		ck_assert(value == 0 || value == i);
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	ck_assert_uint_gt(lost, 0);
}
END_TEST

struct setter {
	pthread_t target;
	atomic_bool returned;
	bool woken_early;
};

static void *set_and_wait(void *data)
{
	struct setter *setter = data;

	raw_await_mark(&raw);
	settle(20);
	raw.page[0]->immediate_exit = 1;
	settle(50);
	setter->woken_early = atomic_load(&setter->returned);
	(void)pthread_kill(setter->target, SIGUSR1);
	return NULL;
}

START_TEST(test_immediate_exit_does_not_wake)
{
	struct setter setter = { .target = pthread_self() };
	pthread_t thread;
	const char *result;

	raw_run_script(&raw, RAW_MARK "wfi");
	raw_handle_signal(0);
	ck_assert_int_eq(pthread_create(&thread, NULL, set_and_wait, &setter), 0);
	result = raw_run(&raw, 0);
	atomic_store(&setter.returned, true);
	pthread_join(thread, NULL);
	raw_expect("wfi.result: EINTR", result);
	raw_expect("wfi.immediate_exit by another thread: woken only by the signal: yes",
		   setter.woken_early ? "no" : "yes");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("gunyah hazards");
	TCase *tcase = tcase_create("hazards");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, NULL, teardown);
	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, test_immediate_exit);
	tcase_add_test(tcase, test_immediate_exit_at_the_end);
	tcase_add_test(tcase, test_h1_immediate_exit);
	tcase_add_test(tcase, test_second_run_waits);
	tcase_add_test(tcase, test_h1_signal);
	tcase_add_test(tcase, test_h2_store);
	tcase_add_test(tcase, test_h2_load);
	tcase_add_test(tcase, test_h2_without_exit);
	tcase_add_test(tcase, test_h2_ioeventfd);
	tcase_add_test(tcase, test_h2_power_off);
	tcase_add_test(tcase, test_restart_loses_store);
	tcase_add_test(tcase, test_restart_loses_load);
	tcase_add_loop_test(tcase, test_restart_until_immediate_exit, 0, 2);
	tcase_add_loop_test(tcase, test_signal_ends_sleep, 0, 4);
	tcase_add_test(tcase, test_other_signals);
	tcase_add_test(tcase, test_immediate_exit_does_not_wake);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
