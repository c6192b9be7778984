/* SPDX-License-Identifier: BSD-3-Clause */
/* An exit that one thread has got, and another one dispatches: whose handler runs is known all the same. */
#include "board.h"
#include "world.h"

#include <errno.h>
#include <semaphore.h>

#define SLOW UINT64_C(0x9000000)

static struct world world;
static struct gh_bus_range *range;

static struct {
	sem_t handed; /* there is an exit for the other thread */
	sem_t done;
	struct gh_exit exit;
	atomic_uint calls;
	atomic_uint removed;
	atomic_bool entered;
	atomic_bool let_go;
	atomic_bool over;
	bool runs_first;
	int ret;
} stage;

static int slow_access(void *data, struct gh_bus_access *access)
{
	(void)data;
	access->value = 0x77;
	if (atomic_fetch_add(&stage.calls, 1) == 0)
		return GH_BUS_DONE;
	atomic_store(&stage.entered, true);
	(void)comes_true(&stage.let_go);
	return GH_BUS_DONE;
}

static void slow_removed(void *data)
{
	(void)data;
	atomic_fetch_add(&stage.removed, 1);
}

static void add_slow(void)
{
	struct gh_bus_range_options options = GH_BUS_RANGE_OPTIONS_INIT;

	options.name = "slow";
	options.gpa = SLOW;
	options.length = 0x1000;
	options.access = slow_access;
	options.removed = slow_removed;
	ck_assert_int_eq(gh_bus_add(world.vm, &options, &range), 0);
}

static void begin(const char *script)
{
	world_begin(&world, WORLD_FAKE, script, 1);
	range = NULL;
	ck_assert_int_eq(sem_init(&stage.handed, 0, 0), 0);
	ck_assert_int_eq(sem_init(&stage.done, 0, 0), 0);
	atomic_store(&stage.calls, 0);
	atomic_store(&stage.removed, 0);
	atomic_store(&stage.entered, false);
	atomic_store(&stage.let_go, false);
	atomic_store(&stage.over, false);
}

static void await(sem_t *semaphore)
{
	while (sem_wait(semaphore) < 0)
		;
}

/* Gives the exit to the test's thread, which dispatches it. */
static void hand_over(const struct gh_exit *exit)
{
	stage.exit = *exit;
	(void)sem_post(&stage.handed);
	await(&stage.done);
}

static int on_exit_hand_over(void *data, struct gh_vcpu *vcpu, const struct gh_exit *exit)
{
	(void)data;
	(void)vcpu;
	hand_over(exit);
	return GH_LOOP_CONTINUE;
}

static void *run_and_loop(void *argument)
{
	struct gh_loop_options options = GH_LOOP_OPTIONS_INIT;
	const struct gh_exit *exit = NULL;

	(void)argument;
	options.exit = on_exit_hand_over;
	if (stage.runs_first) {
		stage.ret = gh_vcpu_run(world.vcpus[0], &exit);
		if (stage.ret == 0)
			hand_over(exit);
	}
	stage.ret = gh_vcpu_loop(world.vcpus[0], &options);
	atomic_store(&stage.over, true);
	return NULL;
}

static void *let_go_later(void *argument)
{
	(void)argument;
	pause_ms(20);
	atomic_store(&stage.let_go, true);
	return NULL;
}

/*
 * What this thread has dispatched, the loop's own thread does not take for its own: while that is in the handler this one,
 * which is in none, waits.
 */
START_TEST(test_remembered_by_another)
{
	pthread_t looper;
	pthread_t helper;

	begin("store 0x9000000 4 1; store 0x9000000 4 2; off");
	stage.runs_first = _i == 0;
	if (stage.runs_first)
		add_slow();
	ck_assert_int_eq(pthread_create(&looper, NULL, run_and_loop, NULL), 0);
	await(&stage.handed);
	if (!stage.runs_first)
		add_slow();
	ck_assert_int_eq(gh_bus_dispatch(world.vcpus[0], &stage.exit), GH_BUS_DONE);
	(void)sem_post(&stage.done);
	ck_assert(comes_true(&stage.entered));
	ck_assert_int_eq(pthread_create(&helper, NULL, let_go_later, NULL), 0);
	gh_bus_remove(range);
	ck_assert(atomic_load(&stage.let_go));
	ck_assert_uint_eq(atomic_load(&stage.removed), 1);
	ck_assert_int_eq(pthread_join(helper, NULL), 0);
	ck_assert(comes_true(&stage.over));
	ck_assert_int_eq(pthread_join(looper, NULL), 0);
	ck_assert_int_eq(stage.ret, GH_STOP_POWER_OFF);
	ck_assert_uint_eq(atomic_load(&stage.calls), 2);
	world_end(&world);
}
END_TEST

/* --- a loop that waits for the answer ----------------------------------------------------------------------------------- */

static int on_exit_defer(void *data, struct gh_vcpu *vcpu, const struct gh_exit *exit)
{
	(void)data;
	(void)vcpu;
	stage.exit = *exit;
	(void)sem_post(&stage.handed);
	return GH_LOOP_DEFER;
}

static void *loop_and_defer(void *argument)
{
	struct gh_loop_options options = GH_LOOP_OPTIONS_INIT;

	(void)argument;
	options.exit = on_exit_defer;
	stage.ret = gh_vcpu_loop(world.vcpus[0], &options);
	atomic_store(&stage.over, true);
	return NULL;
}

/* The load has been answered when it is shown, and the guest could make its next access. */
static void show_slowly(void *data, const struct gh_bus_event *event)
{
	(void)data;
	if (event->range == NULL || event->is_store != 0)
		return;
	for (int i = 0; i < 50 && atomic_load(&stage.calls) == 1 && !atomic_load(&stage.over); i++)
		pause_ms(1);
	ck_assert_uint_eq(atomic_load(&stage.calls), 1);
}

/* Whoever dispatches what a loop has deferred has left the bus before the loop's own thread uses it again. */
START_TEST(test_still_dispatching)
{
	struct gh_bus_trace_options trace = GH_BUS_TRACE_OPTIONS_INIT;
	pthread_t looper;

	begin("load 0x9000000 4; store 0x9000000 4 2; off");
	atomic_store(&stage.let_go, true);
	trace.trace = show_slowly;
	ck_assert_int_eq(gh_bus_set_trace(world.vm, &trace), 0);
	ck_assert_int_eq(pthread_create(&looper, NULL, loop_and_defer, NULL), 0);
	await(&stage.handed);
	add_slow();
	ck_assert_int_eq(gh_bus_dispatch(world.vcpus[0], &stage.exit), GH_BUS_DONE);
	ck_assert(comes_true(&stage.over));
	ck_assert_int_eq(pthread_join(looper, NULL), 0);
	ck_assert_int_eq(stage.ret, GH_STOP_POWER_OFF);
	ck_assert_uint_eq(atomic_load(&stage.calls), 2);
	world_end(&world);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bus_threads");
	TCase *tcase = add_case(suite, "bus_threads");

	tcase_add_loop_test(tcase, test_remembered_by_another, 0, 2);
	tcase_add_test(tcase, test_still_dispatching);
	return run_suite(suite);
}
