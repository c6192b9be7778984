/* SPDX-License-Identifier: BSD-3-Clause */
/* Pause and resume of all vCPUs, from anywhere, with a vCPU anywhere; and the descriptor that tells of the end. */
#include "world.h"

#include "internal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

static struct world world;
static struct vmm vmm;

static void begin(enum world_device device, const char *script, unsigned int vcpus)
{
	world_begin(&world, device, script, vcpus);
	vmm_init(&vmm, &world);
}

static bool all_sit(void)
{
	for (uint32_t i = 0; i < WORLD_VCPUS && world.vcpus[i] != NULL; i++)
		if (atomic_load(&world.vcpus[i]->where) != GH_WAITING)
			return false;
	return true;
}

/* Until what handlers had in hand is done. */
static void settle(void)
{
	/* Seen once: a kick that is still on its way makes a vCPU stand up for a moment. */
	for (int i = 0; i < PATIENCE_MS; i++) {
		if (all_sit())
			return;
		pause_ms(1);
	}
	ck_abort_msg("a vCPU does not sit");
}

/* The store that a handler had in hand when the pause began is one; the guest makes no other. */
static void check_standstill(void)
{
	unsigned int stores = atomic_load(&vmm.stores);
	unsigned int vcpus = atomic_load(&vmm.begun);

	settle();
	ck_assert_uint_le(vmm.stores, stores + vcpus);
	stores = atomic_load(&vmm.stores);
	pause_ms(10);
	ck_assert_uint_eq(vmm.stores, stores);
}

static void end_by_quitting(struct background *background)
{
	ck_assert_int_eq(gh_vm_quit(world.vm), 0);
	ck_assert_int_eq(background_end(background), -ECANCELED);
	world_end(&world);
}

static struct gh_sys original;
static atomic_uint inside;

static int count_inside(struct gh_sys *sys, int fd, unsigned long request, uintptr_t arg, const volatile uint32_t *cancel)
{
	int ret;

	/* A vCPU that has not seen the pause yet gets here, and no further. */
	if (__atomic_load_n(cancel, __ATOMIC_SEQ_CST) != 0)
		return -ECANCELED;
	(void)atomic_fetch_add(&inside, 1);
	ret = original.enter(sys, fd, request, arg, cancel);
	(void)atomic_fetch_sub(&inside, 1);
	return ret;
}

/* For simulated machines, whose table can be written to; before there are threads. */
static void count_entries(void)
{
	original = *world.vm->b.sys;
	atomic_store(&inside, 0);
	world.vm->b.sys->enter = count_inside;
}

/* --- standstill --------------------------------------------------------------------------------------------------- */

#define STORING "on 1; repeat 100000000; store 0x1000 4 1; end\nvcpu 1\nrepeat 100000000; store 0x1000 4 2; end"

START_TEST(test_no_exit_while_paused)
{
	struct background background;

	begin((enum world_device)_i, STORING, 2);
	count_entries();
	background_begin(&background, &vmm, -1);
	for (int round = 0; round < 5; round++) {
		ck_assert(goes_beyond(&vmm.stores, vmm.stores + 50));
		ck_assert_int_eq(gh_vm_pause(world.vm), 0);
		ck_assert_uint_eq(inside, 0);
		check_standstill();
		ck_assert_int_eq(gh_vm_resume(world.vm), 0);
	}
	ck_assert(goes_beyond(&vmm.stores, vmm.stores + 50));
	/* At most one for each pause and vCPU. */
	ck_assert_uint_le(vmm.interruptions, 10);
	end_by_quitting(&background);
}
END_TEST

START_TEST(test_counts_nest)
{
	struct background background;

	begin((enum world_device)_i, STORING, 2);
	background_begin(&background, &vmm, -1);
	ck_assert(goes_beyond(&vmm.stores, 10));
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(gh_vm_pause(world.vm), 0);
	check_standstill();
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(gh_vm_resume(world.vm), 0);
		check_standstill();
	}
	ck_assert_int_eq(gh_vm_resume(world.vm), 0);
	ck_assert_int_eq(gh_vm_resume(world.vm), -EBUSY);
	ck_assert(failure_is(gh_vm_failure(world.vm), -EBUSY));
	ck_assert(goes_beyond(&vmm.stores, vmm.stores + 10));
	end_by_quitting(&background);
}
END_TEST

/* Before there is a thread. */
START_TEST(test_paused_before_running)
{
	struct background background;

	begin((enum world_device)_i, "store 0x1000 4 1; off", 1);
	ck_assert_int_eq(gh_vm_pause(world.vm), 0);
	background_begin(&background, &vmm, -1);
	ck_assert(goes_beyond(&vmm.begun, 0));
	pause_ms(20);
	ck_assert_uint_eq(vmm.stores, 0);
	ck_assert_int_eq(gh_vm_resume(world.vm), 0);
	ck_assert_int_eq(background_end(&background), GH_STOP_POWER_OFF);
	ck_assert_uint_eq(vmm.interruptions, 0);
	world_end(&world);
}
END_TEST

static const char *const places[] = { "wfi", "spin", "load 0x1000 4; spin" };

/* Asleep, computing for ever, and computing for ever with an answer that has just gone in. */
START_TEST(test_pause_anywhere)
{
	struct background background;
	int place = _i / WORLD_DEVICES;

	begin((enum world_device)(_i % WORLD_DEVICES), places[place], 1);
	background_begin(&background, &vmm, -1);
	ck_assert(place < 2 ? goes_beyond(&vmm.begun, 0) : goes_beyond(&vmm.loads, 0));
	for (int round = 0; round < 10; round++) {
		pause_ms(round % 3 == 0 ? 2 : 0);
		ck_assert_int_eq(gh_vm_pause(world.vm), 0);
		ck_assert_int_eq(gh_vm_resume(world.vm), 0);
	}
	ck_assert_int_eq(gh_vcpu_kick(world.vcpus[0]), 0);
	ck_assert(goes_beyond(&vmm.interruptions, 0));
	end_by_quitting(&background);
}
END_TEST

/* The answer comes while the VM is paused, and reaches the guest after that. */
START_TEST(test_pause_of_a_deferred_load)
{
	struct background background;

	begin((enum world_device)_i, "load 0x1000 4; expect 0x77; store 0x1000 4 1; off", 1);
	vmm.on_load = vmm_defer;
	background_begin(&background, &vmm, -1);
	vmm_await_deferral(&vmm);
	ck_assert_int_eq(gh_vm_pause(world.vm), 0);
	ck_assert_int_eq(gh_mmio_complete(vmm.deferred, 0x77), 0);
	pause_ms(20);
	ck_assert_uint_eq(vmm.stores, 0);
	ck_assert_int_eq(gh_vm_resume(world.vm), 0);
	ck_assert_int_eq(background_end(&background), GH_STOP_POWER_OFF);
	ck_assert_uint_eq(vmm.interruptions, 0);
	world_end(&world);
}
END_TEST

/* --- who pauses --------------------------------------------------------------------------------------------------- */

static int pause_now(struct vmm *self, struct gh_vcpu *vcpu)
{
	(void)vcpu;
	ck_assert_int_eq(gh_vm_pause(self->world->vm), 0);
	if (self->verdict != 0)
		ck_assert_int_eq(gh_vm_resume(self->world->vm), 0);
	return GH_LOOP_CONTINUE;
}

/* On a vCPU's thread it stops the others, and its own next run. */
START_TEST(test_pause_from_a_handler)
{
	struct background background;

	begin((enum world_device)_i, "on 1; store 0x1000 4 1; store 0x1000 4 2; off\nvcpu 1\nwfi", 2);
	vmm.on_store = pause_now;
	background_begin(&background, &vmm, -1);
	for (unsigned int i = 0; i < 2; i++) {
		ck_assert(goes_beyond(&vmm.stores, i));
		pause_ms(20);
		ck_assert_uint_eq(vmm.stores, i + 1);
		ck_assert(!atomic_load(&background.done));
		/* The handler may still be in its call. */
		while (gh_vm_resume(world.vm) == -EBUSY)
			pause_ms(1);
	}
	ck_assert_int_eq(background_end(&background), GH_STOP_POWER_OFF);
	world_end(&world);
}
END_TEST

/* Handlers of both vCPUs pause and resume at every store. */
START_TEST(test_pauses_from_all_handlers)
{
	struct background background;

	begin((enum world_device)_i, STORING, 2);
	vmm.on_store = pause_now;
	vmm.verdict = 1;
	background_begin(&background, &vmm, -1);
	ck_assert(goes_beyond(&vmm.stores, 200));
	end_by_quitting(&background);
}
END_TEST

static void *pauser_main(void *data)
{
	for (int i = 0; i < 200; i++) {
		ck_assert_int_eq(gh_vm_pause(world.vm), 0);
		ck_assert_int_eq(gh_vm_resume(world.vm), 0);
	}
	return data;
}

/* Two at a time, and one who kicks: no pause is taken back by the other's resume. */
START_TEST(test_two_pausers)
{
	struct background background;
	pthread_t pausers[2];

	begin((enum world_device)_i, STORING, 2);
	background_begin(&background, &vmm, -1);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&pausers[i], NULL, pauser_main, NULL), 0);
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(gh_vcpu_kick(world.vcpus[i % 2]), 0);
		ck_assert_int_eq(gh_vm_pause(world.vm), 0);
		if (i % 20 == 0)
			check_standstill();
		ck_assert_int_eq(gh_vm_resume(world.vm), 0);
	}
	for (int i = 0; i < 2; i++)
		(void)pthread_join(pausers[i], NULL);
	ck_assert_int_eq(gh_vm_resume(world.vm), -EBUSY);
	ck_assert(goes_beyond(&vmm.stores, vmm.stores + 50));
	end_by_quitting(&background);
}
END_TEST

START_TEST(test_arguments)
{
	struct gh_vm *early;

	begin(WORLD_FAKE, "off", 1);
	ck_assert_int_eq(gh_vm_pause(NULL), -EINVAL);
	ck_assert_int_eq(gh_vm_resume(NULL), -EINVAL);
	ck_assert_int_eq(gh_vm_end_fd(NULL), -1);
	ck_assert_int_eq(gh_vm_resume(world.vm), -EBUSY);
	early = open_fake(world.fake);
	ck_assert_int_eq(gh_vm_pause(early), -EBUSY);
	ck_assert(failure_is(gh_vm_failure(early), -EBUSY));
	ck_assert_int_eq(gh_vm_resume(early), -EBUSY);
	gh_vm_close(early);
	world_end(&world);
}
END_TEST

/* --- what comes through ------------------------------------------------------------------------------------------- */

START_TEST(test_kick_while_paused)
{
	struct background background;

	begin((enum world_device)_i, STORING, 2);
	background_begin(&background, &vmm, -1);
	ck_assert(goes_beyond(&vmm.stores, 10));
	ck_assert_int_eq(gh_vm_pause(world.vm), 0);
	check_standstill();
	for (unsigned int i = 0; i < 10; i++) {
		unsigned int interruptions = atomic_load(&vmm.interruptions);
		unsigned int stores = atomic_load(&vmm.stores);

		ck_assert_int_eq(gh_vcpu_kick(world.vcpus[i % 2]), 0);
		ck_assert(goes_beyond(&vmm.interruptions, interruptions));
		settle();
		ck_assert_uint_eq(vmm.interruptions, interruptions + 1);
		ck_assert_uint_eq(vmm.stores, stores);
	}
	ck_assert_int_eq(gh_vm_resume(world.vm), 0);
	ck_assert(goes_beyond(&vmm.stores, vmm.stores + 10));
	end_by_quitting(&background);
}
END_TEST

static void on_signal(int signal)
{
	(void)signal;
}

/* A signal of the VMM's own interrupts a pause, and a deferred load, as it would interrupt the guest. */
START_TEST(test_signal_while_paused)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct background background;
	struct sigaction old;

	ck_assert_int_eq(sigaction(SIGUSR2, &action, &old), 0);
	begin((enum world_device)(_i / 2), "load 0x1000 4; expect 0x1234; off", 1);
	vmm.on_load = _i % 2 == 0 ? vmm_defer : NULL;
	if (_i % 2 == 1)
		ck_assert_int_eq(gh_vm_pause(world.vm), 0);
	background_begin(&background, &vmm, 0);
	if (_i % 2 == 0)
		vmm_await_deferral(&vmm);
	settle();
	/* From WAITING to the sleep it is a few instructions, and a signal there is one before the sleep. */
	do {
		(void)pthread_kill(background.thread, SIGUSR2);
		pause_ms(50);
	} while (atomic_load(&vmm.interruptions) == 0);
	settle();
	ck_assert_uint_le(vmm.interruptions, 2);
	ck_assert(!atomic_load(&background.done));
	if (_i % 2 == 0)
		ck_assert_int_eq(gh_mmio_complete(world.vcpus[0], 0x1234), 0);
	else
		ck_assert_int_eq(gh_vm_resume(world.vm), 0);
	ck_assert_int_eq(background_end(&background), GH_STOP_POWER_OFF);
	ck_assert_int_eq(sigaction(SIGUSR2, &old, NULL), 0);
	world_end(&world);
}
END_TEST

/* A vCPU that was inside when the pause began sees the end: paused ones hear of it without a resume. */
START_TEST(test_end_while_paused)
{
	struct background background;
	struct gh_exit exit;

	memset(&exit, 0, sizeof(exit));
	exit.kind = GH_EXIT_STOPPED;
	exit.stop.cause = GH_STOP_WATCHDOG;
	begin((enum world_device)_i, STORING, 2);
	background_begin(&background, &vmm, -1);
	ck_assert(goes_beyond(&vmm.stores, 10));
	ck_assert_int_eq(gh_vm_pause(world.vm), 0);
	check_standstill();
	gh_vm_set_end(world.vm, NULL, &exit);
	ck_assert_int_eq(background_end(&background), GH_STOP_WATCHDOG);
	ck_assert_uint_eq(run_once(world.vcpus[1])->stop.cause, GH_STOP_WATCHDOG);
	/* Nothing to pause any more, but the calls work. */
	ck_assert_int_eq(gh_vm_pause(world.vm), 0);
	ck_assert_uint_eq(run_once(world.vcpus[1])->kind, GH_EXIT_STOPPED);
	ck_assert_int_eq(gh_vm_resume(world.vm), 0);
	world_end(&world);
}
END_TEST

/* --- the descriptor of the end ------------------------------------------------------------------------------------ */

static bool end_is_readable(int timeout_ms)
{
	struct pollfd poll_fd = { .fd = gh_vm_end_fd(world.vm), .events = POLLIN };

	return poll(&poll_fd, 1, timeout_ms) == 1 && (poll_fd.revents & POLLIN) != 0;
}

START_TEST(test_end_fd)
{
	struct background background;

	begin((enum world_device)_i, "store 0x1000 4 1; load 0x1000 4; expect 5; off", 1);
	vmm.on_load = vmm_defer;
	ck_assert(!end_is_readable(0));
	background_begin(&background, &vmm, -1);
	vmm_await_deferral(&vmm);
	/* Neither exits, nor kicks, nor pauses are the end. */
	ck_assert_int_eq(gh_vcpu_kick(world.vcpus[0]), 0);
	ck_assert_int_eq(gh_vm_pause(world.vm), 0);
	ck_assert_int_eq(gh_vm_resume(world.vm), 0);
	ck_assert(!end_is_readable(10));
	ck_assert_int_eq(gh_mmio_complete(vmm.deferred, 5), 0);
	ck_assert(end_is_readable(PATIENCE_MS));
	/* From now on every vCPU knows, and it stays readable. */
	ck_assert_int_eq(gh_mmio_complete(world.vcpus[0], 0), -ESHUTDOWN);
	ck_assert_int_eq(background_end(&background), GH_STOP_POWER_OFF);
	ck_assert_uint_eq(run_once(world.vcpus[0])->kind, GH_EXIT_STOPPED);
	ck_assert(end_is_readable(0));
	world_end(&world);
}
END_TEST

START_TEST(test_quit_is_no_end)
{
	struct background background;

	begin((enum world_device)_i, "wfi", 1);
	background_begin(&background, &vmm, -1);
	ck_assert_int_eq(gh_vm_quit(world.vm), 0);
	ck_assert_int_eq(background_end(&background), -ECANCELED);
	ck_assert(!end_is_readable(5));
	world_end(&world);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pause");
	TCase *tcase = add_case(suite, "standstill");

	/* The fake has no loops: its queue would have to be endless. */
	tcase_add_loop_test(tcase, test_no_exit_while_paused, WORLD_GENIEZONE, WORLD_DEVICES);
	tcase_add_loop_test(tcase, test_counts_nest, WORLD_GENIEZONE, WORLD_DEVICES);
	tcase_add_loop_test(tcase, test_paused_before_running, 0, WORLD_DEVICES);
	tcase_add_loop_test(tcase, test_pause_anywhere, 0, WORLD_DEVICES * sizeof(places) / sizeof(places[0]));
	tcase_add_loop_test(tcase, test_pause_of_a_deferred_load, 0, WORLD_DEVICES);
	tcase = add_case(suite, "who");
	tcase_add_loop_test(tcase, test_pause_from_a_handler, 0, WORLD_DEVICES);
	tcase_add_loop_test(tcase, test_pauses_from_all_handlers, WORLD_GENIEZONE, WORLD_DEVICES);
	tcase_add_loop_test(tcase, test_two_pausers, WORLD_GENIEZONE, WORLD_DEVICES);
	tcase_add_test(tcase, test_arguments);
	tcase = add_case(suite, "through");
	tcase_add_loop_test(tcase, test_kick_while_paused, WORLD_GENIEZONE, WORLD_DEVICES);
	tcase_add_loop_test(tcase, test_signal_while_paused, 0, WORLD_DEVICES * 2);
	tcase_add_loop_test(tcase, test_end_while_paused, WORLD_GENIEZONE, WORLD_DEVICES);
	tcase = add_case(suite, "end");
	tcase_add_loop_test(tcase, test_end_fd, 0, WORLD_DEVICES);
	tcase_add_loop_test(tcase, test_quit_is_no_end, 0, WORLD_DEVICES);
	return run_suite(suite);
}
