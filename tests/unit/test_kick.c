/* SPDX-License-Identifier: BSD-3-Clause */
/* Kicks on the fake backend: latched, delivered once, found by the thread that is inside, harmless to everything else. */
#include "../../lib/internal.h"
#include "util.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

#define DOOR UINT64_C(0x1000)

static struct gh_fake *fake;
static struct gh_vm *vm;
static struct gh_vcpu *vcpu;

static void setup(void)
{
	fake = new_fake();
	vm = open_fake(fake);
	vcpu = start_simply(vm);
}

static void teardown(void)
{
	gh_vm_close(vm);
	gh_fake_free(fake);
}

static void queue_load(uint32_t width)
{
	ck_assert_int_eq(gh_fake_load(fake, 0, DOOR, width), 0);
}

static void queue_store(uint64_t value)
{
	ck_assert_int_eq(gh_fake_store(fake, 0, DOOR, 4, value), 0);
}

START_TEST(test_kick_ends_a_busy_run)
{
	for (int i = 0; i < 1000; i++)
		ck_assert_int_eq(gh_fake_error(fake, 0, -EAGAIN), 0);
	ck_assert_int_eq(gh_vcpu_kick(vcpu), 0);
	ck_assert_uint_eq(run_once(vcpu)->kind, GH_EXIT_INTERRUPTED);
}
END_TEST

/* --- kicks -------------------------------------------------------------------------------------------------------- */

START_TEST(test_kick_is_latched)
{
	queue_store(1);
	queue_store(2);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(gh_vcpu_kick(vcpu), 0);
	/* Three kicks before they are delivered are one. */
	ck_assert_uint_eq(run_once(vcpu)->kind, GH_EXIT_INTERRUPTED);
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, 1);
	ck_assert_int_eq(gh_vcpu_kick(vcpu), 0);
	ck_assert_uint_eq(run_once(vcpu)->kind, GH_EXIT_INTERRUPTED);
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, 2);
}
END_TEST

START_TEST(test_kick_before_start)
{
	struct gh_vm *early = open_fake(fake);
	struct gh_vcpu *early_vcpu = add_vcpu(early, 0);

	queue_store(1);
	ck_assert_int_eq(gh_vcpu_kick(early_vcpu), 0);
	map_at(early, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	ck_assert_int_eq(gh_vm_start(early), 0);
	ck_assert_uint_eq(run_once(early_vcpu)->kind, GH_EXIT_INTERRUPTED);
	ck_assert_uint_eq(run_once(early_vcpu)->mmio.value, 1);
	gh_vm_close(early);
}
END_TEST

START_TEST(test_kick_leaves_a_load_alone)
{
	const struct gh_exit *exit = NULL;
	uint64_t value = 0;

	queue_load(4);
	queue_store(1);
	(void)run_once(vcpu);
	ck_assert_int_eq(gh_vcpu_kick(vcpu), 0);
	ck_assert_uint_eq(run_once(vcpu)->kind, GH_EXIT_INTERRUPTED);
	/* It still waits. */
	ck_assert_int_eq(gh_vcpu_run(vcpu, &exit), -EBUSY);
	ck_assert_int_eq(gh_mmio_complete(vcpu, 0xabc), 0);
	/* And an answer on its way arrives. */
	ck_assert_int_eq(gh_vcpu_kick(vcpu), 0);
	ck_assert_uint_eq(run_once(vcpu)->kind, GH_EXIT_INTERRUPTED);
	ck_assert_uint_eq(run_once(vcpu)->mmio.is_store, 1);
	ck_assert_int_eq(gh_fake_answer(fake, 0, 0, &value), 0);
	ck_assert_uint_eq(value, 0xabc);
}
END_TEST

/* Sleeps, is kicked, and sleeps again: each kick ends exactly one run. */
START_TEST(test_kick_while_sleeping)
{
	struct runner runner;

	for (int i = 0; i < 20; i++) {
		runner_begin(&runner, vcpu);
		pause_ms((unsigned int)i % 4);
		ck_assert(!atomic_load(&runner.done));
		ck_assert_int_eq(gh_vcpu_kick(vcpu), 0);
		ck_assert(runner_returns(&runner));
		runner_end(&runner);
		ck_assert_int_eq(runner.ret, 0);
		ck_assert_uint_eq(runner.kind, GH_EXIT_INTERRUPTED);
	}
	queue_store(8);
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, 8);
}
END_TEST

struct storm {
	atomic_bool stop;
	atomic_uint kicks;
};

static void *storm_main(void *data)
{
	struct storm *storm = data;

	while (!atomic_load(&storm->stop)) {
		(void)gh_vcpu_kick(vcpu);
		(void)atomic_fetch_add(&storm->kicks, 1);
	}
	return NULL;
}

/* No exit is lost and none is doubled under kicks from two threads, and there are no more interruptions than kicks. */
START_TEST(test_kick_storm)
{
	struct storm storm = { .stop = false };
	pthread_t threads[2];
	unsigned int interruptions = 0;
	uint32_t stores = 0;
	uint32_t loads = 0;

	for (uint32_t i = 0; i < 500; i++) {
		queue_store(i);
		queue_load(4);
	}
	queue_store(1000000);
	for (size_t i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, storm_main, &storm), 0);
	for (;;) {
		const struct gh_exit *exit = NULL;

		if (gh_vcpu_run(vcpu, &exit) != 0 || exit->kind > GH_EXIT_INTERRUPTED)
			break;
		if (exit->kind == GH_EXIT_INTERRUPTED) {
			interruptions++;
		} else if (exit->mmio.is_store == 0) {
			if (gh_mmio_complete(vcpu, 3 * loads++) != 0)
				break;
		} else if (exit->mmio.value != stores++) {
			break;
		}
	}
	atomic_store(&storm.stop, true);
	for (size_t i = 0; i < 2; i++)
		(void)pthread_join(threads[i], NULL);
	ck_assert_uint_eq(stores, 501); /* the last one is out of order on purpose, and ended the loop */
	ck_assert_uint_eq(loads, 500);
	ck_assert_uint_le(interruptions, atomic_load(&storm.kicks));
	for (uint32_t i = 0; i < 500; i++) {
		uint64_t value = UINT64_MAX;

		ck_assert_int_eq(gh_fake_answer(fake, 0, i, &value), 0);
		ck_assert_uint_eq(value, 3 * i);
	}
}
END_TEST

/* Kickers without end cannot keep a vCPU from going on: a kick that is latched already has no sender to wait for. */
START_TEST(test_latched_kicks_have_no_sender)
{
	struct storm storm = { .stop = false };
	pthread_t threads[2];
	bool counted = false;

	ck_assert_int_eq(gh_vcpu_kick(vcpu), 0);
	for (size_t i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, storm_main, &storm), 0);
	for (unsigned int i = 0; i < 100 || atomic_load(&storm.kicks) < 1000; i++) {
		counted |= atomic_load(&vcpu->senders) != 0;
		(void)sched_yield();
	}
	atomic_store(&storm.stop, true);
	for (size_t i = 0; i < 2; i++)
		(void)pthread_join(threads[i], NULL);
	ck_assert(!counted);
	ck_assert_uint_eq(run_once(vcpu)->kind, GH_EXIT_INTERRUPTED);
	queue_store(1);
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, 1);
}
END_TEST

static volatile sig_atomic_t handled;

static void on_signal(int signal)
{
	(void)signal;
	handled = handled + 1;
}

/* A handler of the program's own interrupts too. */
START_TEST(test_foreign_signal)
{
	struct sigaction action;
	struct sigaction old;
	struct runner runner;

	memset(&action, 0, sizeof(action));
	action.sa_handler = on_signal;
	ck_assert_int_eq(sigaction(SIGUSR1, &action, &old), 0);
	handled = 0;
	runner_begin(&runner, vcpu);
	for (int i = 0; i < PATIENCE_MS && !atomic_load(&runner.done); i++) {
		(void)pthread_kill(runner.thread, SIGUSR1);
		pause_ms(1);
	}
	ck_assert(runner_returns(&runner));
	runner_end(&runner);
	ck_assert_int_eq(sigaction(SIGUSR1, &old, NULL), 0);
	ck_assert_uint_eq(runner.kind, GH_EXIT_INTERRUPTED);
	ck_assert_int_gt(handled, 0);
}
END_TEST

/* --- threads ------------------------------------------------------------------------------------------------------ */

START_TEST(test_second_thread)
{
	const struct gh_exit *exit = NULL;
	struct runner runner;

	runner_begin(&runner, vcpu);
	while (atomic_load(&vcpu->where) == GH_OUT)
		pause_ms(1);
	ck_assert_int_eq(gh_vcpu_run(vcpu, &exit), -EPERM);
	ck_assert_ptr_null(exit);
	ck_assert_int_eq(gh_vcpu_kick(vcpu), 0);
	ck_assert(runner_returns(&runner));
	runner_end(&runner);
	ck_assert_uint_eq(runner.kind, GH_EXIT_INTERRUPTED);
}
END_TEST

/*
 * A new thread often gets the pthread_t of one that has ended, and never its thread id. Kicks must find the new one, and
 * wake it even if it came with the kick signal blocked.
 */
START_TEST(test_thread_after_thread)
{
	struct runner runner;
	sigset_t all;
	sigset_t old;

	queue_store(1);
	runner_begin(&runner, vcpu);
	runner_end(&runner);
	ck_assert_uint_eq(runner.value, 1);

	(void)sigfillset(&all);
	ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, &all, &old), 0);
	runner_begin(&runner, vcpu);
	ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, &old, NULL), 0);
	pause_ms(20);
	ck_assert(!atomic_load(&runner.done));
	ck_assert_int_eq(gh_vcpu_kick(vcpu), 0);
	ck_assert_msg(runner_returns(&runner), "the kick did not find the second thread");
	runner_end(&runner);
	ck_assert_uint_eq(runner.kind, GH_EXIT_INTERRUPTED);
}
END_TEST

/* --- the signal ---------------------------------------------------------------------------------------------------- */

static struct gh_vm *open_with_signal(int signal, int *ret)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_vm *opened = NULL;

	options.backend = "fake";
	options.fake = fake;
	options.kick_signal = signal;
	*ret = gh_vm_open(&options, &opened);
	return opened;
}

START_TEST(test_kick_signal_is_taken)
{
	struct gh_vcpu *none = NULL;
	struct sigaction action;
	struct sigaction old;
	struct gh_vm *other;
	int ret;

	memset(&action, 0, sizeof(action));
	action.sa_handler = on_signal;
	ck_assert_int_eq(sigaction(SIGRTMIN + 1, &action, &old), 0);
	other = open_with_signal(SIGRTMIN + 1, &ret);
	ck_assert_int_eq(ret, 0);
	ck_assert_int_eq(gh_vcpu_create(other, 0, &none), -EBUSY);
	ck_assert(failure_is(gh_vm_failure(other), -EBUSY));
	ck_assert_ptr_null(none);
	/* One that ignores the signal has a use for it, too. */
	action.sa_handler = SIG_IGN;
	ck_assert_int_eq(sigaction(SIGRTMIN + 1, &action, NULL), 0);
	ck_assert_int_eq(gh_vcpu_create(other, 0, &none), -EBUSY);
	/* And it can be given up. */
	ck_assert_int_eq(sigaction(SIGRTMIN + 1, &old, NULL), 0);
	(void)add_vcpu(other, 0);
	(void)add_vcpu(other, 1);
	gh_vm_close(other);
	ck_assert_int_eq(sigaction(SIGRTMIN + 1, &old, NULL), 0);
}
END_TEST

START_TEST(test_own_kick_signal)
{
	struct sigaction action;
	struct runner runner;
	struct gh_vm *other;
	int ret;

	other = open_with_signal(SIGRTMIN + 9, &ret);
	ck_assert_int_eq(ret, 0);
	runner_begin(&runner, start_simply(other));
	pause_ms(10);
	ck_assert_int_eq(gh_vcpu_kick(runner.vcpu), 0);
	ck_assert(runner_returns(&runner));
	runner_end(&runner);
	ck_assert_uint_eq(runner.kind, GH_EXIT_INTERRUPTED);
	/* Installed as the library promises: the kernel never restarts a run by itself. */
	ck_assert_int_eq(sigaction(SIGRTMIN + 9, NULL, &action), 0);
	ck_assert_int_ne(action.sa_flags & SA_SIGINFO, 0);
	ck_assert_int_eq(action.sa_flags & SA_RESTART, 0);
	gh_vm_close(other);
}
END_TEST

static const int bad_signals[] = { -1, 1, SIGUSR1, SIGKILL, 31, 65, 1000 };

START_TEST(test_bad_kick_signal)
{
	int ret;

	ck_assert_ptr_null(open_with_signal(bad_signals[_i], &ret));
	ck_assert_int_eq(ret, -EINVAL);
}
END_TEST

/* A kick signal that nobody expects does no harm: on a thread without a vCPU, and on one inside. */
START_TEST(test_stray_kick_signal)
{
	struct runner runner;

	ck_assert_int_eq(raise(SIGRTMIN + GH_KICK_SIGNAL_DEFAULT), 0);
	queue_store(1);
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, 1);
	runner_begin(&runner, vcpu);
	/* One that comes before the run interrupts nothing. */
	for (int i = 0; i < PATIENCE_MS && !atomic_load(&runner.done); i++) {
		(void)pthread_kill(runner.thread, SIGRTMIN + GH_KICK_SIGNAL_DEFAULT);
		pause_ms(10);
	}
	ck_assert(runner_returns(&runner));
	runner_end(&runner);
	ck_assert_uint_eq(runner.kind, GH_EXIT_INTERRUPTED);
	queue_store(2);
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, 2);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("kick");
	TCase *tcase = add_case(suite, "kick");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, test_kick_is_latched);
	tcase_add_test(tcase, test_kick_before_start);
	tcase_add_test(tcase, test_kick_leaves_a_load_alone);
	tcase_add_test(tcase, test_kick_while_sleeping);
	tcase_add_test(tcase, test_kick_ends_a_busy_run);
	tcase_add_test(tcase, test_kick_storm);
	tcase_add_test(tcase, test_latched_kicks_have_no_sender);
	tcase_add_test(tcase, test_foreign_signal);
	tcase_add_test(tcase, test_second_thread);
	tcase_add_test(tcase, test_thread_after_thread);
	tcase_add_test(tcase, test_kick_signal_is_taken);
	tcase_add_test(tcase, test_own_kick_signal);
	tcase_add_loop_test(tcase, test_bad_kick_signal, 0, sizeof(bad_signals) / sizeof(bad_signals[0]));
	tcase_add_test(tcase, test_stray_kick_signal);
	return run_suite(suite);
}
