/* SPDX-License-Identifier: BSD-3-Clause */
/* Loops take accesses to the bus first; what is left over goes to the exit function, or is served without one. */
#include "board.h"
#include "world.h"

#include <errno.h>
#include <string.h>

#define UART UINT64_C(0x9000000)

static struct world world;
static struct vmm vmm;
static struct device device;

static void begin(int kind, const char *script, unsigned int vcpus)
{
	world_begin(&world, (enum world_device)kind, script, vcpus);
	vmm_init(&vmm, &world);
	device = (struct device){ .answer = 0x77 };
}

static void add_device(int (*access)(void *data, struct gh_bus_access *access))
{
	struct gh_bus_range_options options = device_options(&device, "uart", UART, 0x1000);

	if (access != NULL)
		options.access = access;
	ck_assert_int_eq(gh_bus_add(world.vm, &options, NULL), 0);
}

static struct gh_loop_options no_function(void)
{
	const struct gh_loop_options options = GH_LOOP_OPTIONS_INIT;

	return options;
}

/* --- with an exit function ---------------------------------------------------------------------------------------------- */

START_TEST(test_first)
{
	begin(_i,
	      "load 0x9000000 4; expect 0x77; store 0x9000004 4 1; load 0x1000 4; expect 0x1234; store 0x1000 4 0x99; off",
	      1);
	add_device(NULL);
	ck_assert_int_eq(vmm_run(&vmm), GH_STOP_POWER_OFF);
	ck_assert_uint_eq(device.calls, 2);
	ck_assert_uint_eq(atomic_load(&vmm.loads), 1);
	ck_assert_uint_eq(atomic_load(&vmm.stores), 1);
	ck_assert_uint_eq(atomic_load(&vmm.stored), 0x99);
	world_end(&world);
	ck_assert_uint_eq(device.removed, 1);
}
END_TEST

/* Another policy than to pass it on leaves nothing to the exit function. */
START_TEST(test_policy)
{
	struct gh_bus_unmatched_options options = GH_BUS_UNMATCHED_OPTIONS_INIT;

	begin(_i, "load 0x1000 2; expect 0xffff; store 0x1000 4 0x99; off", 1);
	options.policy = GH_BUS_UNMATCHED_VALUE;
	options.value = UINT64_MAX;
	ck_assert_int_eq(gh_bus_set_unmatched(world.vm, &options), 0);
	ck_assert_int_eq(vmm_loop(&vmm, 0), GH_STOP_POWER_OFF);
	ck_assert_uint_eq(atomic_load(&vmm.loads) + atomic_load(&vmm.stores), 0);
	world_end(&world);
}
END_TEST

/* Any thread answers, also through kicks. */
static int defer(void *data, struct gh_bus_access *access)
{
	(void)data;
	return access->is_store != 0 ? GH_BUS_DONE : vmm_defer(&vmm, access->vcpu);
}

START_TEST(test_deferred)
{
	struct background background;

	_Static_assert((int)GH_LOOP_DEFER == (int)GH_BUS_DEFER, "vmm_defer() says both");
	begin(_i, "load 0x9000000 4; expect 0x88; store 0x9000000 4 1; load 0x9000008 8; expect 0x99; off", 1);
	add_device(defer);
	background_begin(&background, &vmm, 0);
	vmm_await_deferral(&vmm);
	ck_assert_int_eq(gh_vcpu_kick(vmm.deferred), 0);
	ck_assert(goes_beyond(&vmm.interruptions, 0));
	ck_assert_int_eq(gh_mmio_complete(vmm.deferred, 0x88), 0);
	vmm_await_deferral(&vmm);
	ck_assert_int_eq(gh_mmio_complete(vmm.deferred, 0x99), 0);
	ck_assert_int_eq(background_end(&background), GH_STOP_POWER_OFF);
	world_end(&world);
}
END_TEST

/* What ends a loop, and whose words it has. */
START_TEST(test_errors)
{
	const struct gh_failure *failure;

	begin(_i, "store 0x9000000 4 1; store 0x9000000 4 1; store 0x9000000 4 1; off", 2);
	add_device(NULL);
	device.verdict = -EIO;
	ck_assert_int_eq(vmm_run(&vmm), -EIO);
	failure = gh_vm_failure(world.vm);
	ck_assert(failure_is(failure, -EIO));
	ck_assert_ptr_nonnull(strstr(failure->cause, "\"uart\""));
	device.verdict = 99;
	ck_assert_int_eq(vmm_loop(&vmm, 0), -EINVAL);
	ck_assert(failure_is(gh_vcpu_failure(world.vcpus[0]), -EINVAL));
	device.verdict = GH_BUS_DONE;
	ck_assert_int_eq(vmm_loop(&vmm, 0), GH_STOP_POWER_OFF);
	ck_assert_uint_eq(device.calls, 3);
	world_end(&world);
}
END_TEST

/* --- without one -------------------------------------------------------------------------------------------------------- */

START_TEST(test_no_function)
{
	const struct gh_loop_options options = no_function();
	struct gh_bus_counts counts = GH_BUS_COUNTS_INIT;

	begin(_i, "load 0x1000 4; expect 0; load 0x9000000 4; expect 0x77; store 0x1000 4 1; store 0x9000000 4 1; off", 1);
	add_device(NULL);
	ck_assert_int_eq(gh_vcpu_kick(world.vcpus[0]), 0);
	ck_assert_int_eq(gh_vm_run(world.vm, &options), GH_STOP_POWER_OFF);
	ck_assert_uint_eq(device.calls, 2);
	ck_assert_int_eq(gh_bus_counts(world.vm, &counts), 0);
	ck_assert_uint_eq(counts.unmatched_loads, 1);
	ck_assert_uint_eq(counts.unmatched_stores, 1);
	world_end(&world);
}
END_TEST

/* The chosen value, although the policy is to pass it on: there is nobody to pass it to. */
START_TEST(test_no_function_value)
{
	const struct gh_loop_options options = no_function();
	struct gh_bus_unmatched_options unmatched = GH_BUS_UNMATCHED_OPTIONS_INIT;

	begin(_i, "load 0x1000 4; expect 0xfedcba98; off", 1);
	unmatched.value = UINT64_C(0x12345678fedcba98);
	ck_assert_int_eq(gh_bus_set_unmatched(world.vm, &unmatched), 0);
	ck_assert_int_eq(gh_vm_run(world.vm, &options), GH_STOP_POWER_OFF);
	world_end(&world);
}
END_TEST

/* Each kind of exit. */
START_TEST(test_kinds)
{
	const struct gh_loop_options options = no_function();
	bool served = _i == (int)GH_EXIT_HYPERCALL || _i == (int)GH_EXIT_INTERRUPTED;
	struct gh_exit exit = { .kind = (uint32_t)_i, .raw_reason = 4711 };

	begin(WORLD_FAKE, "", 1);
	ck_assert_int_eq(gh_fake_exit(world.fake, 0, &exit), 0);
	ck_assert_int_eq(gh_fake_stop(world.fake, 0, GH_STOP_RESET), 0);
	if (served) {
		ck_assert_int_eq(gh_vcpu_loop(world.vcpus[0], &options), GH_STOP_RESET);
	} else {
		ck_assert_int_eq(gh_vm_run(world.vm, &options), -EOPNOTSUPP);
		ck_assert(failure_is(gh_vm_failure(world.vm), -EOPNOTSUPP));
		ck_assert_ptr_nonnull(strstr(gh_vm_failure(world.vm)->cause, gh_exit_name((uint32_t)_i)));
		ck_assert_ptr_nonnull(strstr(gh_vm_failure(world.vm)->cause, "4711"));
		/* The next one goes on behind it. */
		ck_assert_int_eq(gh_vcpu_loop(world.vcpus[0], &options), GH_STOP_RESET);
	}
	world_end(&world);
}
END_TEST

/* A deferred load through a kick that nobody hears of. */
START_TEST(test_deferred_without)
{
	struct gh_loop_options options = no_function();
	struct background background = { .vcpu = 0 };

	begin(_i, "load 0x9000000 4; expect 0x88; off", 1);
	add_device(defer);
	background_begin(&background, &vmm, 0);
	vmm_await_deferral(&vmm);
	gh_vm_quit(world.vm);
	ck_assert_int_eq(background_end(&background), -ECANCELED);
	/* It is still to be answered. */
	ck_assert_int_eq(gh_mmio_complete(vmm.deferred, 0x88), 0);
	ck_assert_int_eq(gh_vcpu_loop(world.vcpus[0], &options), -ECANCELED);
	world_end(&world);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bus_loop");
	TCase *tcase = add_case(suite, "bus_loop");

	tcase_add_loop_test(tcase, test_first, 0, WORLD_DEVICES);
	tcase_add_loop_test(tcase, test_policy, 0, WORLD_DEVICES);
	tcase_add_loop_test(tcase, test_deferred, 0, WORLD_DEVICES);
	tcase_add_loop_test(tcase, test_errors, 0, WORLD_DEVICES);
	tcase_add_loop_test(tcase, test_no_function, 0, WORLD_DEVICES);
	tcase_add_loop_test(tcase, test_no_function_value, 0, WORLD_DEVICES);
	tcase_add_loop_test(tcase, test_kinds, GH_EXIT_PAGE_FAULT, GH_EXIT_INTERRUPTED + 1);
	tcase_add_loop_test(tcase, test_kinds, GH_EXIT_UNKNOWN, GH_EXIT_UNKNOWN + 1);
	tcase_add_loop_test(tcase, test_deferred_without, 0, WORLD_DEVICES);
	return run_suite(suite);
}
