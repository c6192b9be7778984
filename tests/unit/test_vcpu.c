/* SPDX-License-Identifier: BSD-3-Clause */
/* The run protocol on the fake backend: what a run needs, what its answers need, how it ends; test_kick.c has the kicks. */
#include "util.h"

#include <errno.h>
#include <string.h>
#include <time.h>

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

static double seconds(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* --- arguments and states ------------------------------------------------------------------------------------------- */

START_TEST(test_null)
{
	static const uint64_t results[4] = { 0 };
	const struct gh_exit *exit = NULL;

	ck_assert_int_eq(gh_vcpu_run(NULL, &exit), -EINVAL);
	ck_assert_int_eq(gh_vcpu_run(vcpu, NULL), -EINVAL);
	ck_assert_int_eq(gh_mmio_complete(NULL, 0), -EINVAL);
	ck_assert_int_eq(gh_mmio_fail(NULL), -EINVAL);
	ck_assert_int_eq(gh_hypercall_complete(NULL, results), -EINVAL);
	ck_assert_int_eq(gh_hypercall_complete(vcpu, NULL), -EINVAL);
	ck_assert_int_eq(gh_vcpu_kick(NULL), -EINVAL);
	ck_assert_uint_eq(gh_vcpu_id(NULL), UINT32_MAX);
	ck_assert_uint_eq(gh_vcpu_id(vcpu), 0);
	ck_assert_int_eq(gh_vcpu_failure(NULL)->error, 0);
	ck_assert_int_eq(gh_vcpu_failure(vcpu)->error, 0);
	ck_assert_uint_eq(gh_vcpu_failure(vcpu)->size, sizeof(struct gh_failure));
}
END_TEST

START_TEST(test_run_before_start)
{
	struct gh_vm *early = open_fake(fake);
	struct gh_vcpu *early_vcpu = add_vcpu(early, 0);
	const struct gh_exit *exit = NULL;

	queue_store(3);
	ck_assert_int_eq(gh_vcpu_run(early_vcpu, &exit), -EBUSY);
	ck_assert_ptr_null(exit);
	ck_assert(failure_is(gh_vcpu_failure(early_vcpu), -EBUSY));
	map_at(early, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	ck_assert_int_eq(gh_vm_start(early), 0);
	ck_assert_uint_eq(run_once(early_vcpu)->mmio.value, 3);
	gh_vm_close(early);
}
END_TEST

/* --- answers ------------------------------------------------------------------------------------------------------ */

START_TEST(test_unanswered_load)
{
	const struct gh_exit *exit = NULL;
	uint64_t value = 0;

	queue_load(4);
	queue_store(1);
	(void)run_once(vcpu);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(gh_vcpu_run(vcpu, &exit), -EBUSY);
		ck_assert(failure_is(gh_vcpu_failure(vcpu), -EBUSY));
		ck_assert_ptr_null(exit);
	}
	ck_assert_int_eq(gh_mmio_complete(vcpu, 9), 0);
	ck_assert_int_eq(gh_mmio_complete(vcpu, 10), -EBUSY);
	ck_assert(failure_is(gh_vcpu_failure(vcpu), -EBUSY));
	ck_assert_uint_eq(run_once(vcpu)->mmio.is_store, 1);
	ck_assert_int_eq(gh_fake_answer(fake, 0, 0, &value), 0);
	ck_assert_uint_eq(value, 9);
}
END_TEST

START_TEST(test_answers_that_do_not_fit)
{
	static const uint64_t results[4] = { 1, 2, 3, 4 };
	struct gh_exit hypercall;

	memset(&hypercall, 0, sizeof(hypercall));
	hypercall.kind = GH_EXIT_HYPERCALL;
	/* Before any exit. */
	ck_assert_int_eq(gh_mmio_complete(vcpu, 0), -EBUSY);
	ck_assert_int_eq(gh_mmio_fail(vcpu), -EBUSY);
	ck_assert_int_eq(gh_hypercall_complete(vcpu, results), -EBUSY);
	/* A store waits for nothing. */
	queue_store(1);
	(void)run_once(vcpu);
	ck_assert_int_eq(gh_mmio_complete(vcpu, 0), -EBUSY);
	ck_assert_int_eq(gh_hypercall_complete(vcpu, results), -EBUSY);
	/* A load waits for a value. */
	queue_load(1);
	(void)run_once(vcpu);
	ck_assert_int_eq(gh_hypercall_complete(vcpu, results), -EBUSY);
	ck_assert_int_eq(gh_mmio_complete(vcpu, 0), 0);
	ck_assert_int_eq(gh_mmio_fail(vcpu), -EBUSY);
	/* A hypercall for results. */
	ck_assert_int_eq(gh_fake_exit(fake, 0, &hypercall), 0);
	(void)run_once(vcpu);
	ck_assert_int_eq(gh_mmio_complete(vcpu, 0), -EBUSY);
	ck_assert_int_eq(gh_mmio_fail(vcpu), -EBUSY);
	ck_assert_int_eq(gh_hypercall_complete(vcpu, results), 0);
	ck_assert_int_eq(gh_hypercall_complete(vcpu, results), -EBUSY);
}
END_TEST

START_TEST(test_fail_load_and_store)
{
	queue_load(4);
	queue_store(5);
	queue_store(6);
	(void)run_once(vcpu);
	ck_assert_int_eq(gh_mmio_fail(vcpu), 0);
	ck_assert_int_eq(gh_mmio_fail(vcpu), -EBUSY);
	ck_assert_int_eq(gh_mmio_complete(vcpu, 1), -EBUSY);
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, 5);
	ck_assert_int_eq(gh_mmio_fail(vcpu), 0);
	ck_assert_int_eq(gh_mmio_fail(vcpu), -EBUSY);
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, 6);
}
END_TEST

/* Left alone it gets an answer of the library's; test_life.c sees which, from inside the guest. */
START_TEST(test_hypercall_needs_no_answer)
{
	struct gh_exit hypercall;
	const struct gh_exit *exit;

	memset(&hypercall, 0, sizeof(hypercall));
	hypercall.kind = GH_EXIT_HYPERCALL;
	hypercall.hypercall.args[0] = 0xc6000010;
	hypercall.hypercall.args[7] = 7;
	ck_assert_int_eq(gh_fake_exit(fake, 0, &hypercall), 0);
	queue_store(1);
	exit = run_once(vcpu);
	ck_assert_uint_eq(exit->kind, GH_EXIT_HYPERCALL);
	ck_assert_uint_eq(exit->hypercall.args[0], 0xc6000010);
	ck_assert_uint_eq(exit->hypercall.args[7], 7);
	ck_assert_uint_eq(run_once(vcpu)->kind, GH_EXIT_MMIO);
}
END_TEST

START_TEST(test_answer_from_another_thread)
{
	struct runner runner;
	uint64_t value = 0;

	queue_load(8);
	queue_store(1);
	runner_begin(&runner, vcpu);
	runner_end(&runner);
	ck_assert_int_eq(runner.ret, 0);
	ck_assert_int_eq(gh_mmio_complete(vcpu, 77), 0);
	runner_begin(&runner, vcpu);
	runner_end(&runner);
	ck_assert_uint_eq(runner.value, 1);
	ck_assert_int_eq(gh_fake_answer(fake, 0, 0, &value), 0);
	ck_assert_uint_eq(value, 77);
}
END_TEST

/* --- errors of the kernel ------------------------------------------------------------------------------------------- */

START_TEST(test_kernel_error)
{
	const struct gh_exit *exit = NULL;

	ck_assert_int_eq(gh_fake_error(fake, 0, -EIO), 0);
	queue_store(4);
	ck_assert_int_eq(gh_vcpu_run(vcpu, &exit), -EIO);
	ck_assert_ptr_null(exit);
	ck_assert(failure_is(gh_vcpu_failure(vcpu), -EIO));
	ck_assert_str_ne(gh_vcpu_failure(vcpu)->request, "");
	/* The next run says nothing of it any more. */
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, 4);
	ck_assert_int_eq(gh_vcpu_failure(vcpu)->error, 0);
	/* And the VM never did. */
	ck_assert_int_eq(gh_vm_failure(vm)->error, 0);
}
END_TEST

START_TEST(test_again)
{
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(gh_fake_error(fake, 0, -EAGAIN), 0);
		ck_assert_int_eq(gh_fake_error(fake, 0, -EBUSY), 0);
	}
	queue_store(5);
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, 5);
}
END_TEST

START_TEST(test_busy_is_bounded)
{
	const struct gh_exit *exit = NULL;
	double begin;
	int tries = 0;

	/* The library gives up after a while, and everything that it took off the queue was a try. */
	for (int i = 0; i < 6000; i++)
		ck_assert_int_eq(gh_fake_error(fake, 0, -EBUSY), 0);
	queue_store(5);
	begin = seconds();
	ck_assert_int_eq(gh_vcpu_run(vcpu, &exit), -EBUSY);
	ck_assert(seconds() - begin > 0.2);
	ck_assert_ptr_null(exit);
	ck_assert(failure_is(gh_vcpu_failure(vcpu), -EBUSY));
	/* It may be called again. */
	while (gh_vcpu_run(vcpu, &exit) == -EBUSY)
		ck_assert_int_lt(++tries, 3);
	ck_assert_uint_eq(exit->mmio.value, 5);
}
END_TEST

START_TEST(test_interrupted)
{
	ck_assert_int_eq(gh_fake_error(fake, 0, -EINTR), 0);
	queue_store(5);
	ck_assert_uint_eq(run_once(vcpu)->kind, GH_EXIT_INTERRUPTED);
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, 5);
}
END_TEST

/* --- the end ------------------------------------------------------------------------------------------------------ */

START_TEST(test_stop_is_for_ever)
{
	static const uint64_t results[4] = { 0 };

	ck_assert_int_eq(gh_fake_stop(fake, 0, GH_STOP_RESET), 0);
	queue_store(1);
	for (int i = 0; i < 3; i++) {
		const struct gh_exit *exit = run_once(vcpu);

		ck_assert_uint_eq(exit->kind, GH_EXIT_STOPPED);
		ck_assert_uint_eq(exit->stop.cause, GH_STOP_RESET);
		/* A kick changes nothing about it. */
		ck_assert_int_eq(gh_vcpu_kick(vcpu), 0);
	}
	ck_assert_int_eq(gh_mmio_complete(vcpu, 0), -ESHUTDOWN);
	ck_assert(failure_is(gh_vcpu_failure(vcpu), -ESHUTDOWN));
	ck_assert_int_eq(gh_mmio_fail(vcpu), -ESHUTDOWN);
	ck_assert_int_eq(gh_hypercall_complete(vcpu, results), -ESHUTDOWN);
}
END_TEST

/* Also for a vCPU whose load waits, one that was just made, and one that had a kick. */
START_TEST(test_stop_reaches_everybody)
{
	struct gh_vcpu *loading = add_vcpu(vm, 1);
	struct gh_vcpu *kicked = add_vcpu(vm, 2);
	struct gh_vcpu *late;

	ck_assert_int_eq(gh_fake_load(fake, 1, DOOR, 4), 0);
	(void)run_once(loading);
	ck_assert_int_eq(gh_vcpu_kick(kicked), 0);
	ck_assert_int_eq(gh_fake_stop(fake, 0, GH_STOP_CRASH), 0);
	(void)run_once(vcpu);
	late = add_vcpu(vm, 3);
	ck_assert_int_eq(gh_mmio_complete(loading, 1), -ESHUTDOWN);
	ck_assert_uint_eq(run_once(loading)->stop.cause, GH_STOP_CRASH);
	ck_assert_uint_eq(run_once(kicked)->kind, GH_EXIT_STOPPED);
	ck_assert_uint_eq(run_once(late)->kind, GH_EXIT_STOPPED);
	ck_assert_uint_eq(run_once(late)->stop.cause, GH_STOP_CRASH);
}
END_TEST

START_TEST(test_stop_wakes)
{
	struct runner runners[4];

	for (uint32_t i = 0; i < 4; i++)
		runner_begin(&runners[i], add_vcpu(vm, i + 1));
	pause_ms(20);
	ck_assert_int_eq(gh_fake_stop(fake, 0, GH_STOP_WATCHDOG), 0);
	(void)run_once(vcpu);
	for (size_t i = 0; i < 4; i++) {
		ck_assert(runner_returns(&runners[i]));
		runner_end(&runners[i]);
		ck_assert_int_eq(runners[i].ret, 0);
		ck_assert_uint_eq(runners[i].kind, GH_EXIT_STOPPED);
		ck_assert_uint_eq(runners[i].cause, GH_STOP_WATCHDOG);
	}
}
END_TEST

/* The first end counts, whatever other vCPUs saw at the same time. */
START_TEST(test_two_ends)
{
	struct gh_vcpu *second = add_vcpu(vm, 1);
	struct runner runners[2];

	ck_assert_int_eq(gh_fake_stop(fake, 0, GH_STOP_RESET), 0);
	ck_assert_int_eq(gh_fake_stop(fake, 1, GH_STOP_CRASH), 0);
	runner_begin(&runners[0], vcpu);
	runner_begin(&runners[1], second);
	runner_end(&runners[0]);
	runner_end(&runners[1]);
	ck_assert_uint_eq(runners[0].kind, GH_EXIT_STOPPED);
	ck_assert_uint_eq(runners[1].kind, GH_EXIT_STOPPED);
	ck_assert_uint_eq(runners[0].cause, runners[1].cause);
	ck_assert_uint_eq(run_once(vcpu)->stop.cause, runners[0].cause);
}
END_TEST

/* --- making vCPUs -------------------------------------------------------------------------------------------------- */

START_TEST(test_create_errors)
{
	struct gh_vcpu *none = NULL;

	ck_assert_int_eq(gh_vcpu_create(NULL, 0, &none), -EINVAL);
	ck_assert_int_eq(gh_vcpu_create(vm, 0, NULL), -EINVAL);
	ck_assert_int_eq(gh_vcpu_create(vm, 0, &none), -EEXIST);
	ck_assert(failure_is(gh_vm_failure(vm), -EEXIST));
	ck_assert_int_eq(gh_vcpu_create(vm, 8, &none), -ERANGE);
	ck_assert_int_eq(gh_vcpu_create(vm, UINT32_MAX, &none), -ERANGE);
	ck_assert(failure_is(gh_vm_failure(vm), -ERANGE));
	ck_assert_ptr_null(none);
	/* Late, and the last one there is room for. */
	ck_assert_uint_eq(gh_vcpu_id(add_vcpu(vm, 7)), 7);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vcpu");
	TCase *tcase = add_case(suite, "run");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, test_null);
	tcase_add_test(tcase, test_run_before_start);
	tcase_add_test(tcase, test_unanswered_load);
	tcase_add_test(tcase, test_answers_that_do_not_fit);
	tcase_add_test(tcase, test_fail_load_and_store);
	tcase_add_test(tcase, test_hypercall_needs_no_answer);
	tcase_add_test(tcase, test_answer_from_another_thread);
	tcase_add_test(tcase, test_kernel_error);
	tcase_add_test(tcase, test_again);
	tcase_add_test(tcase, test_busy_is_bounded);
	tcase_add_test(tcase, test_interrupted);
	tcase_add_test(tcase, test_stop_is_for_ever);
	tcase_add_test(tcase, test_stop_reaches_everybody);
	tcase_add_test(tcase, test_stop_wakes);
	tcase_add_test(tcase, test_two_ends);
	tcase_add_test(tcase, test_create_errors);
	return run_suite(suite);
}
