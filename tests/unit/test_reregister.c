/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Doorbells that are taken from the kernel and given back, because it removes others with them, while the guest rings without a
 * pause: each store rings once, and none becomes an exit. The kernel is kept waiting in between.
 */
#include "table.h"
#include "util.h"

#include "../../lib/uapi/gunyah.h"

#include <sched.h>

#define BELL UINT64_C(0x4000)
#define STORES 400
#define SCRIPT "repeat 400; store 0x4000 4 2; end; store 0x9000 4 0; off"

static atomic_uint gaps;
static atomic_bool over;
static atomic_uint exits; /* that should not be */

/* Between the removal of all of an address and the return of the others. */
static int wait_in_the_gap(unsigned long request, uintptr_t arg)
{
	const struct uapi_gunyah_fn *fn = (const void *)arg;

	if (request != UAPI_GUNYAH_ADD_FUNCTION || fn == NULL || fn->type != UAPI_GUNYAH_FN_IOEVENTFD)
		return 0;
	if (atomic_fetch_add(&gaps, 1) % 4 == 0)
		pause_ms(1);
	else
		(void)sched_yield();
	return 0;
}

static void *run(void *data)
{
	for (;;) {
		const struct gh_exit *exit = run_once(data);

		if (exit->kind == GH_EXIT_STOPPED)
			break;
		if (exit->kind == GH_EXIT_MMIO && exit->mmio.gpa == BELL)
			(void)atomic_fetch_add(&exits, 1);
	}
	atomic_store(&over, true);
	return NULL;
}

static struct gh_ioevent *add_bell(struct gh_vm *vm, uint64_t value)
{
	struct gh_ioevent_options options = GH_IOEVENT_OPTIONS_INIT;
	struct gh_ioevent *ioevent = NULL;

	options.gpa = BELL;
	options.width = 4;
	options.flags = GH_IOEVENT_DATAMATCH;
	options.value = value;
	ck_assert_int_eq(gh_ioevent_add(vm, &options, &ioevent), 0);
	return ioevent;
}

static const char *const devices[] = { GUNYAH, GENIEZONE };

START_TEST(test_storm)
{
	struct gh_sim *sim = new_sim(devices[_i], SCRIPT);
	struct gh_vm *vm = open_sim(sim);
	struct gh_ioevent *kept = add_bell(vm, 2);
	struct gh_vcpu *vcpu = start_standard(vm);
	unsigned int rounds = 0;
	uint64_t rung = 0;
	pthread_t thread;

	atomic_store(&gaps, 0);
	atomic_store(&over, false);
	atomic_store(&exits, 0);
	table_on_ioctl = wait_in_the_gap;
	ck_assert_int_eq(pthread_create(&thread, NULL, run, vcpu), 0);
	while (!atomic_load(&over) || rounds < 3) {
		struct gh_ioevent *other = add_bell(vm, 1);

		gh_ioevent_remove(other);
		rung += take_count(gh_ioevent_fd(kept));
		rounds++;
	}
	(void)pthread_join(thread, NULL);
	table_on_ioctl = NULL;
	rung += take_count(gh_ioevent_fd(kept));
	ck_assert_uint_eq(rung, STORES);
	ck_assert_uint_eq(atomic_load(&exits), 0);
	/* Gunyah's kernel: one more gap for each removal. */
	if (_i == 0)
		ck_assert_uint_ge(atomic_load(&gaps), 2 * rounds);
	gh_vm_close(vm);
	end_sim(sim);
}
END_TEST

/* The same with all of them taken away by a reset, which ends this guest: the next one rings as often. */
START_TEST(test_reset)
{
	struct gh_sim *sim = new_sim(devices[_i], SCRIPT);
	struct gh_vm *vm = open_sim(sim);
	struct gh_ioevent *kept = add_bell(vm, 2);
	struct gh_ioevent *other = add_bell(vm, 1);
	struct gh_vcpu *vcpu = start_standard(vm);

	atomic_store(&exits, 0);
	for (int round = 0; round < 3; round++) {
		(void)run(vcpu);
		ck_assert_uint_eq(take_count(gh_ioevent_fd(kept)), STORES);
		ck_assert_uint_eq(take_count(gh_ioevent_fd(other)), 0);
		ck_assert_uint_eq(atomic_load(&exits), 0);
		ck_assert_int_eq(gh_vm_reset(vm), 0);
		put_tree(vm, &standard_tree);
		ck_assert_int_eq(gh_vm_start(vm), 0);
	}
	gh_vm_close(vm);
	end_sim(sim);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("reregister");
	TCase *tcase = add_case(suite, "reregister");

	tcase_add_loop_test(tcase, test_storm, 0, 2);
	tcase_add_loop_test(tcase, test_reset, 0, 2);
	return run_suite(suite);
}
