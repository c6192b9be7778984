/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest that loads and stores as fast as it can, under kicks and signals at random moments: no answer, no store and no
 * kick is lost or comes twice (hazards H1 to H3).
 */
#include "box.h"

#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS 600u

static const struct op echo[] = { { .op = OP_ECHO, .a = 0x5000, .b = ROUNDS }, OFF };

struct counts {
	unsigned int loads;
	unsigned int stores;
	unsigned int interruptions;
};

/* A value that no other round has, and none of whose bytes is 0. */
static uint64_t value_of(unsigned int round)
{
	return UINT64_C(0xa5a5a5a501010101) + round * UINT64_C(0x100000001);
}

/* Plays the device until the guest has ended; every exit must be the one whose turn it is. */
static void serve(struct box *box, struct counts *counts, atomic_uint *exits)
{
	memset(counts, 0, sizeof(*counts));
	for (;;) {
		const struct gh_exit *exit = box_run(box, 0);

		if (exit->kind == GH_EXIT_INTERRUPTED) {
			counts->interruptions++;
			continue;
		}
		if (exit->kind == GH_EXIT_STOPPED)
			break;
		ck_assert_uint_eq(exit->kind, GH_EXIT_MMIO);
		(void)atomic_fetch_add(exits, 1);
		if (exit->mmio.is_store) {
			ck_assert_uint_eq(exit->mmio.gpa, 0x5008);
			ck_assert_uint_eq(exit->mmio.value, value_of(counts->stores));
			counts->stores++;
			ck_assert_uint_eq(counts->stores, counts->loads);
		} else {
			ck_assert_uint_eq(exit->mmio.gpa, 0x5000);
			ck_assert_int_eq(gh_mmio_complete(box->vcpus[0], value_of(counts->loads)), 0);
			counts->loads++;
		}
	}
	ck_assert_uint_eq(counts->loads, ROUNDS);
	ck_assert_uint_eq(counts->stores, ROUNDS);
}

/* --- kicks ----------------------------------------------------------------------------------------------------------- */

struct kicker {
	struct gh_vcpu *vcpu;
	atomic_bool stop;
	atomic_uint exits; /* loads and stores */
	unsigned int kicks;
};

/* Kicks for which the guest need not have moved: on a slow machine a run takes longer than the time between two kicks. */
#define KICKS_AT_ONCE 3u

static void *kick_at_random(void *argument)
{
	struct kicker *kicker = argument;
	unsigned int seed = 1;

	unsigned int exits = 0;
	unsigned int row = 0;

	while (!atomic_load(&kicker->stop)) {
		const struct timespec pause = { 0, rand_r(&seed) % 600000 };

		(void)nanosleep(&pause, NULL);
		row = atomic_load(&kicker->exits) == exits ? row + 1 : 0;
		exits = atomic_load(&kicker->exits);
		if (row >= KICKS_AT_ONCE)
			continue;
		(void)gh_vcpu_kick(kicker->vcpu);
		kicker->kicks++;
	}
	return NULL;
}

START_TEST(kicks_lose_nothing)
{
	static struct kicker kicker; /* outlives a test that fails */
	struct counts counts;
	pthread_t thread;
	struct box box;

	BOX_OPEN(&box, box_devices[_i], 1, echo);
	box_start(&box);
	atomic_store(&kicker.stop, false);
	kicker.vcpu = box.vcpus[0];
	atomic_store(&kicker.exits, 0);
	kicker.kicks = 0;
	ck_assert_int_eq(pthread_create(&thread, NULL, kick_at_random, &kicker), 0);
	serve(&box, &counts, &kicker.exits);
	atomic_store(&kicker.stop, true);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_uint_gt(counts.interruptions, 0);
	/* Kicks that come together are one; none comes from nowhere. */
	ck_assert_uint_le(counts.interruptions, kicker.kicks);
	box_close(&box);
}
END_TEST

/* --- signals --------------------------------------------------------------------------------------------------------- */

static atomic_uint handled;

static void on_alarm(int signal)
{
	(void)signal;
	atomic_fetch_add(&handled, 1);
}

/* One signal at a time: a timer would leave a slow machine no time for its guest. */
static void *signal_at_random(void *argument)
{
	const pthread_t *target = argument;
	unsigned int seed = 2;

	for (int i = 0; i < 200; i++) {
		const struct timespec pause = { 0, 300000 + rand_r(&seed) % 600000 };

		(void)nanosleep(&pause, NULL);
		(void)pthread_kill(*target, SIGUSR1);
	}
	return NULL;
}

/* Handlers without SA_RESTART; Gunyah's driver cannot keep a load's answer over those (H1), so stores only there. */
static void storm_of_signals(const char *device, const struct op *program, size_t count, void (*play)(struct box *))
{
	const struct sigaction action = { .sa_handler = on_alarm };
	pthread_t self = pthread_self();
	pthread_t thread;
	struct box box;

	ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
	atomic_store(&handled, 0);
	box_open(&box, device, 1, program, count);
	box_start(&box);
	ck_assert_int_eq(pthread_create(&thread, NULL, signal_at_random, &self), 0);
	play(&box);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_uint_gt(atomic_load(&handled), 0);
	box_close(&box);
}

static void play_echo(struct box *box)
{
	struct counts counts;
	atomic_uint exits = 0;

	serve(box, &counts, &exits);
}

START_TEST(signals_lose_nothing)
{
	static const char *const devices[] = { "/dev/kvm", "sim:gzvm/v9" };

	storm_of_signals(devices[_i], echo, 2, play_echo);
}
END_TEST

static void play_stores(struct box *box)
{
	for (unsigned int stores = 0; stores < ROUNDS;) {
		const struct gh_exit *exit = box_run(box, 0);

		if (exit->kind == GH_EXIT_INTERRUPTED)
			continue;
		ck_assert_uint_eq(exit->kind, GH_EXIT_MMIO);
		ck_assert_uint_eq(exit->mmio.value, stores % 4);
		stores++;
	}
}

START_TEST(signals_lose_no_store)
{
	static const struct op stores[] = {
		STORE(0x4000, 0, 8), STORE(0x4000, 1, 8), STORE(0x4000, 2, 8), STORE(0x4000, 3, 8), { .op = OP_JUMP },
	};

	storm_of_signals(box_devices[_i], stores, 5, play_stores);
}
END_TEST

/* Ignored signals interrupt nothing: neither the guest's sleep nor its exits. */
START_TEST(ignored_signals_are_no_interruption)
{
	static const struct op program[] = { { .op = OP_SPIN, .a = 20000000 }, STORE(0x4000, 1, 4), OFF };
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	pthread_t self = pthread_self();
	pthread_t thread;
	struct box box;

	ck_assert_int_eq(sigaction(SIGUSR1, &ignore, NULL), 0);
	BOX_OPEN(&box, box_devices[_i], 1, program);
	box_start(&box);
	ck_assert_int_eq(pthread_create(&thread, NULL, signal_at_random, &self), 0);
	box_expect_store(&box, 0, 0x4000, 4, 1);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	box_expect_stop(&box, 0, GH_STOP_POWER_OFF);
	box_close(&box);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("storm");
	TCase *tcase = tcase_create("every device");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, kicks_lose_nothing, 0, box_device_count);
	tcase_add_loop_test(tcase, signals_lose_nothing, 0, 2);
	tcase_add_loop_test(tcase, signals_lose_no_store, 0, box_device_count);
	tcase_add_loop_test(tcase, ignored_signals_are_no_interruption, 0, box_device_count);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
