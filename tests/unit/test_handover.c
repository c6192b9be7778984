/* SPDX-License-Identifier: BSD-3-Clause */
/* One vCPU and several threads: one runs it after another, tries to meanwhile, or answers for another. */
#include "world.h"

#include "internal.h"
#include "points.h"

#include <errno.h>
#include <string.h>

static struct world world;
static struct gh_vcpu *vcpu;

static struct gh_sys *table; /* the world's, to be changed: a simulated machine finds itself by its own */
static struct gh_sys original;
static struct gh_sys copy; /* of the kernel's, which is constant */

static void begin(enum world_device device, const char *script)
{
	world_begin(&world, device, script, 1);
	vcpu = world.vcpus[0];
	original = *world.vm->b.sys;
	copy = original;
	if (device == WORLD_FAKE)
		world.vm->b.sys = &copy;
	table = world.vm->b.sys;
}

/* --- the former thread ---------------------------------------------------------------------------------------------- */

static int former;
static atomic_uint strays;

static int count_strays(struct gh_sys *sys, int pid, int tid, int signal)
{
	if (tid != former)
		return original.tgkill(sys, pid, tid, signal);
	(void)atomic_fetch_add(&strays, 1);
	return 0;
}

static atomic_bool armed;
static atomic_uint entries;
static atomic_uint answers;
static atomic_bool may_answer = true;
/* Once, on the thread that gets there. */
static _Atomic enum gh_point instant;
static void (*_Atomic at_instant)(void);

void gh_point_reached(enum gh_point point)
{
	void (*then)(void) = atomic_load_explicit(&at_instant, memory_order_relaxed);

	if (then != NULL && point == atomic_load_explicit(&instant, memory_order_relaxed)) {
		atomic_store(&at_instant, NULL);
		then();
	}
	if (point == GH_POINT_ENTER_CURRENT)
		(void)atomic_fetch_add(&entries, 1);
	if (point == GH_POINT_ANSWER_MARKED) {
		/* Relaxed: the test's own order of things must not hide that the library has none. */
		(void)atomic_fetch_add_explicit(&answers, 1, memory_order_relaxed);
		(void)comes_true(&may_answer);
	}
	if (point == GH_POINT_ENTER_WHERE && atomic_exchange(&armed, false))
		ck_assert_int_eq(gh_vcpu_kick(vcpu), 0);
}

/* A new thread is kicked as soon as it has begun: no signal goes to the thread that ran the vCPU before. */
START_TEST(test_former_thread_is_left_alone)
{
	struct runner runner;

	begin((enum world_device)_i, "store 0x1000 4 1; store 0x1000 4 2; off");
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, 1);
	former = original.gettid(&original);
	atomic_store(&strays, 0);
	table->tgkill = count_strays;
	atomic_store(&armed, true);
	runner_begin(&runner, vcpu);
	ck_assert(runner_returns(&runner));
	runner_end(&runner);
	ck_assert(!atomic_load(&armed));
	ck_assert_uint_eq(runner.kind, GH_EXIT_INTERRUPTED);
	ck_assert_uint_eq(atomic_load(&strays), 0);
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, 2);
	world_end(&world);
}
END_TEST

/* The former thread has the load, another one takes the loop over and is interrupted: the answer wakes it all the same. */
START_TEST(test_former_thread_answers)
{
	struct background background;
	struct vmm vmm;

	begin((enum world_device)_i, "load 0x1000 4; expect 5; off");
	vmm_init(&vmm, &world);
	ck_assert_uint_eq(run_once(vcpu)->kind, GH_EXIT_MMIO);
	ck_assert_int_eq(gh_vcpu_kick(vcpu), 0);
	background_begin(&background, &vmm, 0);
	while (atomic_load(&vcpu->where) != GH_WAITING)
		pause_ms(1);
	ck_assert_uint_eq(vmm.interruptions, 1);
	ck_assert_int_eq(gh_mmio_complete(vcpu, 5), 0);
	ck_assert_int_eq(background_end(&background), GH_STOP_POWER_OFF);
	world_end(&world);
}
END_TEST

/* --- a second thread ------------------------------------------------------------------------------------------------ */

static int second_result;

static void *run_second(void *data)
{
	const struct gh_exit *exit = NULL;

	second_result = gh_vcpu_run(data, &exit);
	return exit != NULL ? data : NULL;
}

/* The loop has the vCPU while its handler runs, and after it. */
static int defer_behind_a_second_thread(struct vmm *vmm, struct gh_vcpu *own)
{
	void *exit = NULL;
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, run_second, own), 0);
	(void)pthread_join(thread, &exit);
	ck_assert_ptr_null(exit);
	return vmm_defer(vmm, own);
}

/* A second thread cannot take the vCPU from a loop between two exits, nor keep it from waiting for a deferred answer. */
START_TEST(test_second_thread_before_a_wait)
{
	struct background background;
	struct vmm vmm;

	begin((enum world_device)_i, "load 0x1000 4; expect 5; store 0x1000 4 6; off");
	vmm_init(&vmm, &world);
	vmm.on_load = defer_behind_a_second_thread;
	background_begin(&background, &vmm, 0);
	vmm_await_deferral(&vmm);
	ck_assert_int_eq(second_result, -EPERM);
	ck_assert_int_eq(gh_mmio_complete(vcpu, 5), 0);
	ck_assert_int_eq(background_end(&background), GH_STOP_POWER_OFF);
	ck_assert_uint_eq(vmm.stored, 6);
	world_end(&world);
}
END_TEST

/* --- answers at the wrong time ---------------------------------------------------------------------------------------- */

static void *store_and_sleep(void *data)
{
	(void)data;
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, 1);
	/* The thread is known now, and the next run takes the short way. */
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, 2);
	ck_assert_uint_eq(run_once(vcpu)->kind, GH_EXIT_INTERRUPTED);
	return NULL;
}

/* The store is over when the guest runs on: nothing can be failed any more. */
START_TEST(test_fail_while_it_runs)
{
	pthread_t thread;

	begin((enum world_device)_i, "store 0x1000 4 1; store 0x1000 4 2; wfi");
	atomic_store(&entries, 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, store_and_sleep, NULL), 0);
	ck_assert(goes_beyond(&entries, 2));
	ck_assert_int_eq(gh_mmio_fail(vcpu), -EBUSY);
	ck_assert_int_eq(gh_vcpu_kick(vcpu), 0);
	(void)pthread_join(thread, NULL);
	world_end(&world);
}
END_TEST

static void *answer(void *data)
{
	(void)data;
	ck_assert_int_eq(gh_mmio_complete(vcpu, 5), 0);
	return NULL;
}

/* A kick is delivered while another thread is about to have answered: what it writes is left alone. */
START_TEST(test_interrupted_while_it_is_answered)
{
	pthread_t thread;

	begin((enum world_device)_i, "load 0x1000 4; expect 5; store 0x1000 4 1; off");
	atomic_store(&answers, 0);
	atomic_store(&may_answer, false);
	ck_assert_uint_eq(run_once(vcpu)->kind, GH_EXIT_MMIO);
	ck_assert_int_eq(gh_vcpu_kick(vcpu), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, answer, NULL), 0);
	while (atomic_load_explicit(&answers, memory_order_relaxed) == 0)
		pause_ms(1);
	ck_assert_uint_eq(run_once(vcpu)->kind, GH_EXIT_INTERRUPTED);
	atomic_store(&may_answer, true);
	(void)pthread_join(thread, NULL);
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, 1);
	world_end(&world);
}
END_TEST

/* --- answers at the end ----------------------------------------------------------------------------------------------- */

static void end_vm(void)
{
	struct gh_exit exit;

	memset(&exit, 0, sizeof(exit));
	exit.kind = GH_EXIT_STOPPED;
	exit.stop.cause = GH_STOP_RESET;
	gh_vm_set_end(world.vm, NULL, &exit);
}

static void begin_with_load(enum world_device device)
{
	begin(device, "load 0x1000 4; off");
	ck_assert_uint_eq(run_once(vcpu)->kind, GH_EXIT_MMIO);
}

static void end_after_all(void)
{
	ck_assert_int_eq(gh_mmio_complete(vcpu, 5), -ESHUTDOWN);
	ck_assert_int_eq(gh_mmio_fail(vcpu), -ESHUTDOWN);
	ck_assert_uint_eq(run_once(vcpu)->stop.cause, GH_STOP_RESET);
	world_end(&world);
}

static void wait_for_instant(enum gh_point point, void (*function)(void))
{
	atomic_store(&instant, point);
	atomic_store(&at_instant, function);
}

static bool was_dropped;

static ssize_t look_when_told(struct gh_sys *sys, int fd, const void *data, size_t size)
{
	if (fd == gh_vm_end_fd(world.vm))
		was_dropped = atomic_load(&vcpu->live->pending) == GH_PENDING_NOTHING;
	return original.write(sys, fd, data, size);
}

/* Whoever reads of the end in its descriptor finds that no load waits any more. */
START_TEST(test_descriptor_after_the_drop)
{
	begin_with_load((enum world_device)_i);
	was_dropped = false;
	table->write = look_when_told;
	end_vm();
	ck_assert(was_dropped);
	end_after_all();
}
END_TEST

static struct gh_vcpu *asleep;
static atomic_bool is_told;
static int answer_of_the_told;

static void *sleep_and_answer(void *data)
{
	(void)data;
	ck_assert_uint_eq(run_once(asleep)->kind, GH_EXIT_STOPPED);
	answer_of_the_told = gh_mmio_complete(vcpu, 5);
	atomic_store(&is_told, true);
	return NULL;
}

static int nudge_and_nap(struct gh_sys *sys, int pid, int tid, int signal)
{
	int ret = original.tgkill(sys, pid, tid, signal);

	/* The one that was woken before gets ahead. */
	pause_ms(20);
	return ret;
}

static void await_sleep(struct gh_vcpu *other)
{
	while (gh_where_place(atomic_load(&other->where)) != GH_INSIDE)
		pause_ms(1);
}

/* So does the thread of another vCPU, while yet another one is being nudged. */
START_TEST(test_told_by_a_nudge)
{
	struct runner runner;
	pthread_t thread;

	world_begin(&world, WORLD_FAKE, "load 0x1000 4", 3);
	vcpu = world.vcpus[0];
	asleep = world.vcpus[2]; /* the last one that was made is the first to be nudged */
	original = *world.vm->b.sys;
	copy = original;
	copy.tgkill = nudge_and_nap;
	world.vm->b.sys = &copy;
	ck_assert_uint_eq(run_once(vcpu)->kind, GH_EXIT_MMIO);
	atomic_store(&is_told, false);
	ck_assert_int_eq(pthread_create(&thread, NULL, sleep_and_answer, NULL), 0);
	await_sleep(asleep);
	runner_begin(&runner, world.vcpus[1]);
	await_sleep(world.vcpus[1]);
	pause_ms(5);
	end_vm();
	ck_assert(comes_true(&is_told));
	(void)pthread_join(thread, NULL);
	ck_assert_int_eq(answer_of_the_told, -ESHUTDOWN);
	ck_assert(runner_returns(&runner));
	runner_end(&runner);
	end_after_all();
}
END_TEST

static void *end_and_tell(void *data)
{
	(void)data;
	end_vm();
	atomic_store(&is_told, true);
	return NULL;
}

/* An answer that has begun is accepted, and before the end. */
START_TEST(test_end_while_it_is_answered)
{
	pthread_t answering;
	pthread_t ending;

	begin_with_load((enum world_device)_i);
	atomic_store(&answers, 0);
	atomic_store(&may_answer, false);
	atomic_store(&is_told, false);
	ck_assert_int_eq(pthread_create(&answering, NULL, answer, NULL), 0);
	while (atomic_load_explicit(&answers, memory_order_relaxed) == 0)
		pause_ms(1);
	ck_assert_int_eq(pthread_create(&ending, NULL, end_and_tell, NULL), 0);
	pause_ms(20);
	ck_assert(!atomic_load(&is_told));
	atomic_store(&may_answer, true);
	(void)pthread_join(answering, NULL);
	ck_assert(comes_true(&is_told));
	(void)pthread_join(ending, NULL);
	end_after_all();
}
END_TEST

/* The VM ends between the two looks of a refusal: it says so, and a loop does not take it for an error of the handler's. */
START_TEST(test_end_while_it_is_refused)
{
	begin_with_load((enum world_device)_i);
	wait_for_instant(GH_POINT_ANSWER_CHECKED, end_vm);
	ck_assert_int_eq(gh_mmio_fail(vcpu), -ESHUTDOWN);
	ck_assert(atomic_load(&at_instant) == NULL);
	end_after_all();
}
END_TEST

static void run_into_the_end(void)
{
	ck_assert_uint_eq(run_once(vcpu)->kind, GH_EXIT_STOPPED);
	ck_assert_int_eq(atomic_load(&vcpu->live->pending), GH_PENDING_BEING_ANSWERED);
}

static void end_and_wait_for_the_answer(void)
{
	end_vm();
	wait_for_instant(GH_POINT_ANSWER_BEGUN, run_into_the_end);
}

/* The end is delivered while a store is being refused: a reset still waits for that, and takes nothing away below it. */
START_TEST(test_end_is_delivered_meanwhile)
{
	begin((enum world_device)_i, "store 0x1000 4 1; off");
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, 1);
	wait_for_instant(GH_POINT_ANSWER_CHECKED, end_and_wait_for_the_answer);
	(void)gh_mmio_fail(vcpu);
	ck_assert(atomic_load(&at_instant) == NULL);
	end_after_all();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("handover");
	TCase *tcase = add_case(suite, "threads");

	tcase_add_loop_test(tcase, test_former_thread_is_left_alone, 0, WORLD_DEVICES);
	tcase_add_loop_test(tcase, test_former_thread_answers, 0, WORLD_DEVICES);
	tcase_add_loop_test(tcase, test_second_thread_before_a_wait, 0, WORLD_DEVICES);
	tcase_add_loop_test(tcase, test_fail_while_it_runs, 0, WORLD_DEVICES);
	tcase_add_loop_test(tcase, test_interrupted_while_it_is_answered, 0, WORLD_DEVICES);
	tcase = add_case(suite, "end");
	tcase_add_loop_test(tcase, test_descriptor_after_the_drop, 0, WORLD_DEVICES);
	tcase_add_test(tcase, test_told_by_a_nudge);
	tcase_add_loop_test(tcase, test_end_while_it_is_answered, 0, WORLD_DEVICES);
	tcase_add_loop_test(tcase, test_end_while_it_is_refused, 0, WORLD_DEVICES);
	tcase_add_loop_test(tcase, test_end_is_delivered_meanwhile, 0, WORLD_DEVICES);
	return run_suite(suite);
}
