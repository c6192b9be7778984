/* SPDX-License-Identifier: BSD-3-Clause */
/* Loops take accesses to the bus first; what is left over goes to the exit function, or is served without one. */
#include "board.h"
#include "world.h"

#include "../../lib/internal.h"

#include <errno.h>
#include <stdio.h>
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

/* --- accesses that are repeated ----------------------------------------------------------------------------------------- */

#define PAIR "load 0x9000000 4; expect 0x77; store 0x9000000 4 1; "
/* Which access of the script is the odd one, counted from 1: the third load and the third store. */
#define ODD_LOAD 5u
#define ODD_STORE 6u
#define IN_SCRIPT 8u

static bool is_recent(bool is_store)
{
	const struct board board = { .vcpus = { world.vcpus[0] } };

	return board_is_recent(&board, 0, UART, is_store);
}

/* `expected` is a statement that follows the third load. */
static void begin_recent(int kind, const char *expected, int (*access)(void *data, struct gh_bus_access *access))
{
	char script[512];

	(void)snprintf(script, sizeof(script), "%sload 0x9000000 4; %s store 0x9000000 4 1; %soff", PAIR PAIR, expected,
		       PAIR);
	begin(kind, script, 1);
	add_device(access);
}

/* To the end of the script, or as far as an error lets it. */
static int loop_recent(void)
{
	int ret = vmm_loop(&vmm, 0);

	ck_assert(is_recent(false));
	ck_assert(is_recent(true));
	return ret;
}

static bool can_abort(void)
{
	return (gh_vm_features(world.vm) & GH_FEATURE_MMIO_ABORT) != 0;
}

START_TEST(test_recent_done)
{
	begin_recent(_i, "expect 0x77;", NULL);
	ck_assert_int_eq(loop_recent(), GH_STOP_POWER_OFF);
	ck_assert_uint_eq(device.calls, IN_SCRIPT);
	for (unsigned int i = 0; i < IN_SCRIPT; i++) {
		ck_assert_ptr_eq(device.log[i].vcpu, world.vcpus[0]);
		ck_assert_uint_eq(device.log[i].gpa, UART);
		ck_assert_uint_eq(device.log[i].value, i % 2);
		ck_assert_uint_eq(device.log[i].is_store, i % 2);
	}
	ck_assert_uint_eq(atomic_load(&vmm.loads) + atomic_load(&vmm.stores) + atomic_load(&vmm.others), 0);
	world_end(&world);
}
END_TEST

/* Is nobody's, by what the device says: the exit function's, or the guest takes an abort. */
START_TEST(test_recent_unmatched)
{
	const bool is_store = _i / WORLD_DEVICES % 2 != 0;
	const bool fails = _i / WORLD_DEVICES / 2 != 0;
	unsigned int left;

	begin_recent(_i % WORLD_DEVICES, is_store ? "expect 0x77;" : "", NULL);
	device.verdict = fails ? GH_BUS_FAIL : GH_BUS_UNMATCHED;
	device.fails = is_store ? ODD_STORE : ODD_LOAD;
	ck_assert_int_eq(loop_recent(), GH_STOP_POWER_OFF);
	left = fails && can_abort() ? 0 : 1;
	ck_assert_uint_eq(device.calls, IN_SCRIPT);
	ck_assert_uint_eq(atomic_load(&vmm.loads), is_store ? 0 : left);
	ck_assert_uint_eq(atomic_load(&vmm.stores), is_store ? left : 0);
	ck_assert_uint_eq(atomic_load(&vmm.stored), is_store ? left : 0);
	ck_assert_uint_eq(atomic_load(&vmm.others), 0);
	world_end(&world);
}
END_TEST

START_TEST(test_recent_unmatched_answer)
{
	begin_recent(_i, "expect 0x1234;", NULL);
	device.verdict = GH_BUS_UNMATCHED;
	device.fails = ODD_LOAD;
	ck_assert_int_eq(loop_recent(), GH_STOP_POWER_OFF);
	world_end(&world);
}
END_TEST

/* It ends the loop, which can be entered again; a load waits for its answer until then. */
START_TEST(test_recent_errors)
{
	const bool is_store = _i / WORLD_DEVICES % 2 != 0;
	const bool is_errno = _i / WORLD_DEVICES / 2 != 0;
	const int expected = is_errno ? -EIO : -EINVAL;

	begin_recent(_i % WORLD_DEVICES, is_store ? "expect 0x77;" : "expect 0x99;", NULL);
	device.verdict = is_errno ? -EIO : 99;
	device.fails = is_store ? ODD_STORE : ODD_LOAD;
	ck_assert_int_eq(loop_recent(), expected);
	ck_assert(failure_is(gh_vcpu_failure(world.vcpus[0]), expected));
	ck_assert_ptr_nonnull(strstr(gh_vcpu_failure(world.vcpus[0])->cause, "\"uart\""));
	ck_assert_uint_eq(device.calls, device.fails);
	if (!is_store)
		ck_assert_int_eq(gh_mmio_complete(world.vcpus[0], 0x99), 0);
	ck_assert_int_eq(loop_recent(), GH_STOP_POWER_OFF);
	ck_assert_uint_eq(device.calls, IN_SCRIPT);
	ck_assert_uint_eq(atomic_load(&vmm.loads) + atomic_load(&vmm.stores), 0);
	world_end(&world);
}
END_TEST

/* On another thread's answer; nobody waits for a store. */
static int defer_odd(void *data, struct gh_bus_access *access)
{
	int verdict = device_access(data, access);

	if (device.calls == ODD_STORE)
		return GH_BUS_DEFER;
	return device.calls == ODD_LOAD ? vmm_defer(&vmm, access->vcpu) : verdict;
}

START_TEST(test_recent_deferred)
{
	struct background background;

	begin_recent(_i, "expect 0x88;", defer_odd);
	background_begin(&background, &vmm, 0);
	vmm_await_deferral(&vmm);
	ck_assert_int_eq(gh_mmio_complete(vmm.deferred, 0x88), 0);
	ck_assert_int_eq(background_end(&background), GH_STOP_POWER_OFF);
	ck_assert_uint_eq(device.calls, IN_SCRIPT);
	ck_assert_uint_eq(atomic_load(&vmm.loads) + atomic_load(&vmm.stores), 0);
	world_end(&world);
}
END_TEST

/* The handler's own answer, which it owns up to, or not. */
static int answer_odd(void *data, struct gh_bus_access *access)
{
	int verdict = device_access(data, access);

	if (device.calls == ODD_LOAD)
		ck_assert_int_eq(gh_mmio_complete(access->vcpu, 0x55), 0);
	return verdict;
}

START_TEST(test_recent_answered)
{
	const bool owns_up = _i / WORLD_DEVICES != 0;

	begin_recent(_i % WORLD_DEVICES, "expect 0x55;", answer_odd);
	device.verdict = owns_up ? GH_BUS_DEFER : GH_BUS_DONE;
	device.fails = ODD_LOAD;
	if (!owns_up)
		ck_assert_int_eq(loop_recent(), -EBUSY);
	ck_assert_int_eq(loop_recent(), GH_STOP_POWER_OFF);
	ck_assert_uint_eq(device.calls, IN_SCRIPT);
	world_end(&world);
}
END_TEST

/* What is done to the VM, the vCPU or the bus while the handler runs. */
static struct gh_bus_range *own;
static unsigned int meanwhile_at;
static int (*meanwhile)(struct gh_vcpu *vcpu);

static int act_odd(void *data, struct gh_bus_access *access)
{
	int verdict = device_access(data, access);

	if (device.calls == meanwhile_at)
		ck_assert_int_eq(meanwhile(access->vcpu), 0);
	return verdict;
}

static int quit(struct gh_vcpu *vcpu)
{
	(void)vcpu;
	return gh_vm_quit(world.vm);
}

static int remove_own(struct gh_vcpu *vcpu)
{
	(void)vcpu;
	gh_bus_remove(own);
	return device.removed == 0 ? 0 : -1;
}

static void begin_meanwhile(int index, int (*act)(struct gh_vcpu *vcpu))
{
	meanwhile = act;
	meanwhile_at = index / WORLD_DEVICES != 0 ? ODD_STORE : ODD_LOAD;
	begin_recent(index % WORLD_DEVICES, "expect 0x77;", act_odd);
}

START_TEST(test_recent_quits)
{
	begin_meanwhile(_i, quit);
	ck_assert_int_eq(loop_recent(), -ECANCELED);
	ck_assert_uint_eq(device.calls, meanwhile_at);
	/* The load has its answer. */
	ck_assert_int_eq(gh_mmio_complete(world.vcpus[0], 1), -EBUSY);
	ck_assert_int_eq(loop_recent(), -ECANCELED);
	ck_assert_uint_eq(device.calls, meanwhile_at);
	world_end(&world);
}
END_TEST

START_TEST(test_recent_kicks)
{
	begin_meanwhile(_i, gh_vcpu_kick);
	ck_assert_int_eq(loop_recent(), GH_STOP_POWER_OFF);
	ck_assert_uint_eq(device.calls, IN_SCRIPT);
	ck_assert_uint_eq(atomic_load(&vmm.interruptions), 1);
	world_end(&world);
}
END_TEST

/* Its answer still counts; what comes later is the exit function's. */
START_TEST(test_recent_removes)
{
	struct gh_bus_range_options options = device_options(&device, "uart", UART, 0x1000);
	char script[512];

	(void)snprintf(script, sizeof(script), "%s%sload 0x9000000 4; expect %s; store 0x9000000 4 3; off", PAIR PAIR,
		       _i / WORLD_DEVICES != 0 ? PAIR : "load 0x9000000 4; expect 0x77; store 0x9000000 4 2; ", "0x1234");
	begin(_i % WORLD_DEVICES, script, 1);
	meanwhile = remove_own;
	meanwhile_at = _i / WORLD_DEVICES != 0 ? ODD_STORE : ODD_LOAD;
	options.access = act_odd;
	ck_assert_int_eq(gh_bus_add(world.vm, &options, &own), 0);
	ck_assert_int_eq(vmm_loop(&vmm, 0), GH_STOP_POWER_OFF);
	ck_assert(!is_recent(false) && !is_recent(true));
	ck_assert_uint_eq(device.calls, meanwhile_at);
	ck_assert_uint_eq(device.removed, 1);
	ck_assert_uint_eq(atomic_load(&vmm.loads), 1);
	ck_assert_uint_eq(atomic_load(&vmm.stores), 1 + (meanwhile_at == ODD_LOAD));
	ck_assert_uint_eq(atomic_load(&vmm.stored), 3);
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
	tcase_add_loop_test(tcase, test_recent_done, 0, WORLD_DEVICES);
	tcase_add_loop_test(tcase, test_recent_unmatched, 0, 4 * WORLD_DEVICES);
	tcase_add_loop_test(tcase, test_recent_unmatched_answer, 0, WORLD_DEVICES);
	tcase_add_loop_test(tcase, test_recent_errors, 0, 4 * WORLD_DEVICES);
	tcase_add_loop_test(tcase, test_recent_deferred, 0, WORLD_DEVICES);
	tcase_add_loop_test(tcase, test_recent_answered, 0, 2 * WORLD_DEVICES);
	tcase_add_loop_test(tcase, test_recent_quits, 0, 2 * WORLD_DEVICES);
	tcase_add_loop_test(tcase, test_recent_kicks, 0, 2 * WORLD_DEVICES);
	tcase_add_loop_test(tcase, test_recent_removes, 0, 2 * WORLD_DEVICES);
	return run_suite(suite);
}
