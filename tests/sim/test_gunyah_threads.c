/* SPDX-License-Identifier: BSD-3-Clause */
/* The simulated Gunyah device against the observed one: several vCPUs, interrupts, threads against each other. */
#include "raw.h"

#include "../../lib/sim/eventfds.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define DEVICE "gunyah/android14-6.1,engine=script"

static struct raw raw;
static const struct tree_bell bells[] = { { 5, 32, 1 }, { 6, 33, 4 } };

static struct sim_watch *last; /* the last one that the machine's watching thread comes to */
static int last_fd = -1;
static atomic_uint looks;

static void teardown(void)
{
	sim_watch_remove(last);
	last = NULL;
	if (last_fd >= 0)
		(void)close(last_fd);
	last_fd = -1;
	raw_ignore_signal();
	raw_close(&raw);
}

static void look(void *data)
{
	(void)data;
	(void)atomic_fetch_add(&looks, 1);
}

static void open_machine(const char *script)
{
	raw_open(&raw, DEVICE, script);
	last_fd = eventfd(0, EFD_CLOEXEC);
	ck_assert_int_ge(last_fd, 0);
	ck_assert_int_eq(sim_watch_add(raw.sim, last_fd, look, NULL, &last), 0);
}

/* Until the machine's watching thread has seen what was written to eventfds. */
static void settle(void)
{
	unsigned int before = atomic_load(&looks);

	ck_assert_int_eq(eventfd_write(last_fd, 1), 0);
	for (int i = 0; i < RAW_PATIENCE_MS && atomic_load(&looks) == before; i++)
		(void)usleep(1000);
	ck_assert_uint_ne(atomic_load(&looks), before);
}

static void boot(const char *script, unsigned int cpus, bool with_bells)
{
	struct raw_boot boot = { .tree.cpus = cpus };

	if (with_bells) {
		boot.tree.bells = bells;
		boot.tree.bell_count = 2;
	}
	open_machine(script);
	for (uint32_t i = 0; i < cpus; i++)
		raw_make_vcpu(&raw, i);
	ck_assert_int_eq(raw_boot(&raw, &boot), 0);
}

/* RUN of a vCPU in a thread of its own. */
struct runner {
	pthread_t thread;
	uint32_t id;
	atomic_int ret;
};

static void *run_thread(void *data)
{
	struct runner *runner = data;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	runner->ret = raw_run_only(&raw, runner->id);
	return NULL;
}

static void run_begin(struct runner *runner, uint32_t id)
{
	runner->id = id;
	runner->ret = 1;
	raw.page[id]->exit_reason = 0;
	ck_assert_int_eq(pthread_create(&runner->thread, NULL, run_thread, runner), 0);
}

static const char *run_end(struct runner *runner)
{
	pthread_join(runner->thread, NULL);
	return runner->ret == 0 ? raw_exit(&raw, runner->id) : raw_result(runner->ret);
}

START_TEST(test_cpu_on)
{
	struct runner runner;

	boot("load 0x6000 8; on 1; on 1; echo 0x6018 8; load 0x6000 8; off\nvcpu 1\nstore 0x7000 4 3; wfi", 2, false);
	raw_handle_signal(0);
	raw_expect("smp.first: idle", raw_run(&raw, 0));
	run_begin(&runner, 1);
	(void)usleep(20000);
	raw_expect("smp.second RUN before CPU_ON: 1", raw_number((uint64_t)runner.ret));
	/* A signal that comes before RUN has begun is for nothing. */
	for (int i = 0; i < RAW_PATIENCE_MS / 20 && runner.ret == 1; i++) {
		(void)pthread_kill(runner.thread, SIGUSR1);
		(void)usleep(20000);
	}
	raw_expect("smp.second RUN, signal: EINTR", run_end(&runner));
	run_begin(&runner, 1);
	raw_expect("smp.cpu_on again: store 0x6018 len 8 value 0xfffffffffffffffc", raw_run(&raw, 0));
	raw_expect("smp.second store: store 0x7000 len 4 value 0x3", run_end(&runner));
	run_begin(&runner, 1);
	(void)usleep(20000);
	raw_expect("smp.next: idle", raw_run(&raw, 0));
	raw_expect("smp.off: STATUS 2 type 1 reason_size 4 reason 00000000 00000000", raw_run(&raw, 0));
	raw_expect("smp.second again: STATUS 2 type 1 reason_size 4 reason 00000000 00000000", run_end(&runner));
	raw_expect("smp.second once more: ok", raw_result(raw_run_only(&raw, 1)));
}
END_TEST

/* The end reaches a vCPU that never was on, inside RUN or not. */
START_TEST(test_end_of_a_vcpu_that_is_off)
{
	struct runner runner;

	boot("off", 2, false);
	if (_i == 0) {
		run_begin(&runner, 1);
		(void)usleep(20000);
	}
	raw_expect("smp.off, second never on: STATUS 2 type 1 reason_size 4 reason 00000000 00000000", raw_run(&raw, 0));
	raw_expect("smp.second never on gets: STATUS 2 type 1 reason_size 4 reason 00000000 00000000",
		   _i == 0 ? run_end(&runner) : raw_run(&raw, 1));
}
END_TEST

/* One vCPU loses its power-off; the other's ends the VM for both. */
START_TEST(test_lost_off)
{
	struct runner runner;

	boot("on 1; raw lost-off\nvcpu 1\noff", 2, false);
	run_begin(&runner, 0);
	raw_expect("lost.second: STATUS 2 type 1 reason_size 4 reason 00000000 00000000", raw_run(&raw, 1));
	raw_expect("lost.first: STATUS 2 type 1 reason_size 4 reason 00000000 00000000", run_end(&runner));
}
END_TEST

START_TEST(test_remove_active)
{
	static const char *const scripts[] = { RAW_MARK "wfi", RAW_MARK "spin", RAW_MARK "raw lost-off" };
	struct runner runner;

	boot(scripts[_i], 1, false);
	run_begin(&runner, 0);
	raw_await_mark(&raw);
	(void)usleep(20000);
	raw_expect("two.first still runs: 1", raw_number((uint64_t)runner.ret));
	raw_expect("two.remove while RUN is active: ok", raw_result(raw_remove_vcpu(&raw, 0)));
	raw_expect("two.first: EINTR", run_end(&runner));
	raw_expect("two.flag: 1", raw_number(raw.page[0]->immediate_exit));
	raw_expect("two.RUN: ENODEV", raw_result(raw_run_only(&raw, 0)));
	raw_expect("two.add again: fd", raw_descriptor(&raw, raw_add_vcpu(&raw, 0)));
}
END_TEST

static int start_result[2];

static void *start_thread(void *data)
{
	int *ret = data;

	*ret = raw_start(&raw);
	return NULL;
}

START_TEST(test_concurrent_start)
{
	static const struct raw_boot plain = { .lent = false };
	pthread_t threads[2];

	raw_open(&raw, DEVICE, "load 0x6000 8");
	raw_make_vcpu(&raw, 0);
	raw_configure(&raw, &plain);
	for (size_t i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, start_thread, &start_result[i]), 0);
	for (size_t i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		raw_expect("start.both: ok", raw_result(start_result[i]));
	}
	raw_expect("start.then: idle", raw_run(&raw, 0));
}
END_TEST

START_TEST(test_edge)
{
	int fd;

	boot("load 0x6000 8; wfi; ack; echo 0x6018 8; ack; echo 0x6018 8; load 0x6000 8; ack; echo 0x6018 8; ack; echo "
	     "0x6018 8",
	     1, true);
	fd = raw_eventfd(&raw);
	raw_expect("irq.add edge: ok", raw_result(raw_add_irqfd(&raw, fd, 5, 0)));
	raw_expect("irq.first: idle", raw_run(&raw, 0));
	raw_expect("irq.write edge: ok 8", raw_signal(&raw, fd));
	raw_expect("irq.edge: store 0x6018 len 8 value 0x40", raw_run(&raw, 0));
	raw_expect("irq.edge, again: store 0x6018 len 8 value 0x3ff", raw_run(&raw, 0));
	raw_expect("irq.next: idle", raw_run(&raw, 0));
	/* Nobody has read the counter; each write counts, and two before the guest looks are one. */
	raw_expect("irq.write edge, counter not read: ok 8", raw_signal(&raw, fd));
	raw_expect("irq.write edge, counter not read: ok 8", raw_signal(&raw, fd));
	settle();
	raw_expect("irq.edge, counter not read: store 0x6018 len 8 value 0x40", raw_run(&raw, 0));
	raw_expect("irq.edge twice, second: store 0x6018 len 8 value 0x3ff", raw_run(&raw, 0));
	raw_expect("irq.count stays: 3", raw_number(raw_count(&raw, fd)));
	(void)raw.sys->close(raw.sys, fd);
}
END_TEST

START_TEST(test_level)
{
	int fd;

	boot("wfi; ack; echo 0x6018 8; ack; echo 0x6018 8; off", 1, true);
	fd = raw_eventfd(&raw);
	raw_expect("irq.add level: ok", raw_result(raw_add_irqfd(&raw, fd, 6, UAPI_GUNYAH_IRQFD_LEVEL)));
	(void)raw_signal(&raw, fd);
	raw_expect("irq.level: store 0x6018 len 8 value 0x41", raw_run(&raw, 0));
	raw_expect("irq.level, again: store 0x6018 len 8 value 0x3ff", raw_run(&raw, 0));
	raw_expect("irq.off: STATUS 2 type 1 reason_size 4 reason 00000000 00000000", raw_run(&raw, 0));
	(void)raw.sys->close(raw.sys, fd);
}
END_TEST

START_TEST(test_irqfd_removal)
{
	int fd;

	boot("load 0x6000 8; ack; echo 0x6018 8; wfi; ack; echo 0x6018 8; load 0x6000 8; ack; echo 0x6018 8", 1, true);
	fd = raw_eventfd(&raw);
	ck_assert_int_eq(raw_add_irqfd(&raw, fd, 5, 0), 0);
	raw_expect("irq.first: idle", raw_run(&raw, 0));
	raw_expect("irq.remove edge: ok", raw_result(raw_remove_irqfd(&raw, 5)));
	raw_expect("irq.write removed: ok 8", raw_signal(&raw, fd));
	settle();
	raw_expect("irq.removed: store 0x6018 len 8 value 0x3ff", raw_run(&raw, 0));
	/* What was written before does not count. */
	raw_expect("irq.add edge again: ok", raw_result(raw_add_irqfd(&raw, fd, 5, 0)));
	raw_expect("irq.write new: ok 8", raw_signal(&raw, fd));
	raw_expect("irq.new: store 0x6018 len 8 value 0x40", raw_run(&raw, 0));
	raw_expect("irq.next: idle", raw_run(&raw, 0));
	(void)raw.sys->close(raw.sys, fd);
	raw_expect("irq.eventfd closed: store 0x6018 len 8 value 0x3ff", raw_run(&raw, 0));
	ck_assert_ptr_null(gh_sim_breakage(raw.sim));
}
END_TEST

/* Without a doorbell node, and before START, signals are dropped. */
START_TEST(test_dropped_signals)
{
	struct raw_boot with_bells = { .tree = { .bells = bells, .bell_count = 2 } };
	int fds[2];

	open_machine("ack; echo 0x6018 8; wfi; ack; echo 0x6018 8");
	raw_make_vcpu(&raw, 0);
	for (int i = 0; i < 2; i++)
		fds[i] = raw_eventfd(&raw);
	ck_assert_int_eq(raw_add_irqfd(&raw, fds[0], 5, 0), 0);
	ck_assert_int_eq(raw_add_irqfd(&raw, fds[1], 99, 0), 0);
	(void)raw_signal(&raw, fds[0]);
	ck_assert_int_eq(raw_boot(&raw, &with_bells), 0);
	(void)raw_signal(&raw, fds[1]);
	settle();
	raw_expect("irq.without bell: store 0x6018 len 8 value 0x3ff", raw_run(&raw, 0));
	(void)raw_signal(&raw, fds[0]);
	raw_expect("irq.with bell: store 0x6018 len 8 value 0x40", raw_run(&raw, 0));
	for (int i = 0; i < 2; i++)
		(void)raw.sys->close(raw.sys, fds[i]);
}
END_TEST

START_TEST(test_wfi)
{
	void *alarm;
	int fd;

	boot("wfi; off", 1, true);
	raw_handle_signal(0);
	fd = raw_eventfd(&raw);
	ck_assert_int_eq(raw_add_irqfd(&raw, fd, 5, 0), 0);
	alarm = raw_alarm(20);
	raw_expect("irqwfi.signal: EINTR", raw_run(&raw, 0));
	raw_alarm_join(alarm);
	raw_expect("irqwfi.write: ok 8", raw_signal(&raw, fd));
	raw_expect("irqwfi.off: STATUS 2 type 1 reason_size 4 reason 00000000 00000000", raw_run(&raw, 0));
	(void)raw.sys->close(raw.sys, fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("gunyah threads");
	TCase *tcase = tcase_create("threads");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, NULL, teardown);
	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, test_cpu_on);
	tcase_add_loop_test(tcase, test_end_of_a_vcpu_that_is_off, 0, 2);
	tcase_add_test(tcase, test_lost_off);
	tcase_add_loop_test(tcase, test_remove_active, 0, 3);
	tcase_add_test(tcase, test_concurrent_start);
	tcase_add_test(tcase, test_edge);
	tcase_add_test(tcase, test_level);
	tcase_add_test(tcase, test_irqfd_removal);
	tcase_add_test(tcase, test_dropped_signals);
	tcase_add_test(tcase, test_wfi);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
