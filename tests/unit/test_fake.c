/* SPDX-License-Identifier: BSD-3-Clause */
/* The fake hypervisor's own interface: what can be queued, what comes of it, and what loads were answered with. */
#include "util.h"

#include <errno.h>
#include <string.h>

#define SENTINEL UINT64_C(0xdeadbeefcafe)

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

START_TEST(test_null)
{
	struct gh_exit exit = { .kind = GH_EXIT_UNKNOWN };
	uint64_t value = SENTINEL;

	ck_assert_int_eq(gh_fake_new(NULL), -EINVAL);
	ck_assert_int_eq(gh_fake_load(NULL, 0, 0, 1), -EINVAL);
	ck_assert_int_eq(gh_fake_store(NULL, 0, 0, 1, 0), -EINVAL);
	ck_assert_int_eq(gh_fake_stop(NULL, 0, 0), -EINVAL);
	ck_assert_int_eq(gh_fake_exit(NULL, 0, &exit), -EINVAL);
	ck_assert_int_eq(gh_fake_exit(fake, 0, NULL), -EINVAL);
	ck_assert_int_eq(gh_fake_error(NULL, 0, -EIO), -EINVAL);
	ck_assert_int_eq(gh_fake_error(fake, 0, 0), -EINVAL);
	ck_assert_int_eq(gh_fake_error(fake, 0, 5), -EINVAL);
	ck_assert_int_eq(gh_fake_answer(NULL, 0, 0, &value), -EINVAL);
	ck_assert_int_eq(gh_fake_answer(fake, 0, 0, NULL), -EINVAL);
	ck_assert_int_eq(gh_fake_answer(fake, 0, 0, &value), -ENOENT);
	ck_assert_uint_eq(value, SENTINEL);
	gh_fake_free(NULL);
}
END_TEST

/* Steps of one vCPU keep their order, whatever is queued for others in between. */
START_TEST(test_order)
{
	struct gh_vcpu *second = add_vcpu(vm, 1);

	ck_assert_int_eq(gh_fake_store(fake, 1, 0x20, 4, 21), 0);
	ck_assert_int_eq(gh_fake_store(fake, 0, 0x10, 4, 11), 0);
	ck_assert_int_eq(gh_fake_store(fake, 1, 0x20, 4, 22), 0);
	ck_assert_int_eq(gh_fake_store(fake, 0, 0x10, 4, 12), 0);
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, 11);
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, 12);
	ck_assert_uint_eq(run_once(second)->mmio.value, 21);
	ck_assert_uint_eq(run_once(second)->mmio.value, 22);
}
END_TEST

START_TEST(test_store_is_cut)
{
	static const uint32_t widths[] = { 1, 2, 4, 8 };
	static const uint64_t values[] = { 0x88, 0x7788, 0x55667788, UINT64_C(0x1122334455667788) };

	for (size_t i = 0; i < 4; i++) {
		const struct gh_exit *exit;

		ck_assert_int_eq(gh_fake_store(fake, 0, 0x1000, widths[i], UINT64_C(0x1122334455667788)), 0);
		exit = run_once(vcpu);
		ck_assert_uint_eq(exit->kind, GH_EXIT_MMIO);
		ck_assert_uint_eq(exit->mmio.is_store, 1);
		ck_assert_uint_eq(exit->mmio.width, widths[i]);
		ck_assert_uint_eq(exit->mmio.value, values[i]);
	}
}
END_TEST

START_TEST(test_impossible_width)
{
	const struct gh_exit *exit = NULL;

	ck_assert_int_eq(gh_fake_load(fake, 0, 0x1000, 3), 0);
	ck_assert_int_eq(gh_fake_store(fake, 0, 0x1000, 0, 1), 0);
	ck_assert_int_eq(gh_fake_load(fake, 0, UINT64_MAX, 2), 0);
	ck_assert_int_eq(gh_fake_store(fake, 0, 0x1000, 1, 1), 0);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(gh_vcpu_run(vcpu, &exit), -EPROTO);
		ck_assert(failure_is(gh_vcpu_failure(vcpu), -EPROTO));
		ck_assert_ptr_null(exit);
		ck_assert_int_eq(gh_mmio_complete(vcpu, 1), -EBUSY);
	}
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, 1);
}
END_TEST

START_TEST(test_any_exit)
{
	struct gh_exit queued;
	const struct gh_exit *exit;

	memset(&queued, 0, sizeof(queued));
	queued.kind = GH_EXIT_SYSTEM_EVENT;
	queued.raw_reason = 24;
	queued.event.type = 4;
	queued.event.count = 2;
	queued.event.data[1] = 99;
	ck_assert_int_eq(gh_fake_exit(fake, 0, &queued), 0);
	queued.kind = GH_EXIT_UNKNOWN;
	queued.raw_reason = 0x1234;
	ck_assert_int_eq(gh_fake_exit(fake, 0, &queued), 0);
	queued.kind = GH_EXIT_MMIO;
	queued.mmio = (struct gh_exit_mmio){ .gpa = 0x2000, .value = 0x1ff, .width = 1, .is_store = 7 };
	ck_assert_int_eq(gh_fake_exit(fake, 0, &queued), 0);
	queued.kind = 1000; /* of a library to come */
	ck_assert_int_eq(gh_fake_exit(fake, 0, &queued), 0);
	memset(&queued, 0xff, sizeof(queued)); /* it was copied */

	exit = run_once(vcpu);
	ck_assert_uint_eq(exit->kind, GH_EXIT_SYSTEM_EVENT);
	ck_assert_uint_eq(exit->raw_reason, 24);
	ck_assert_uint_eq(exit->event.data[1], 99);
	exit = run_once(vcpu);
	ck_assert_uint_eq(exit->kind, GH_EXIT_UNKNOWN);
	ck_assert_uint_eq(exit->raw_reason, 0x1234);
	exit = run_once(vcpu);
	ck_assert_uint_eq(exit->kind, GH_EXIT_MMIO);
	ck_assert_uint_eq(exit->mmio.is_store, 1);
	ck_assert_uint_eq(exit->mmio.value, 0xff);
	ck_assert_uint_eq(run_once(vcpu)->kind, 1000);
}
END_TEST

START_TEST(test_answers)
{
	struct gh_vcpu *second = add_vcpu(vm, 1);
	uint64_t value = SENTINEL;

	ck_assert_int_eq(gh_fake_load(fake, 0, 0x1000, 2), 0);
	ck_assert_int_eq(gh_fake_load(fake, 0, 0x1000, 8), 0);
	ck_assert_int_eq(gh_fake_load(fake, 1, 0x1000, 4), 0);
	ck_assert_int_eq(gh_fake_store(fake, 0, 0, 1, 0), 0);
	ck_assert_int_eq(gh_fake_store(fake, 1, 0, 1, 0), 0);

	(void)run_once(vcpu);
	ck_assert_int_eq(gh_mmio_complete(vcpu, 0xabcdef), 0);
	/* It reaches the guest with the next run. */
	ck_assert_int_eq(gh_fake_answer(fake, 0, 0, &value), -ENOENT);
	ck_assert_uint_eq(value, SENTINEL);
	(void)run_once(vcpu);
	ck_assert_int_eq(gh_fake_answer(fake, 0, 0, &value), 0);
	ck_assert_uint_eq(value, 0xcdef);
	ck_assert_int_eq(gh_fake_answer(fake, 0, 1, &value), -ENOENT);
	ck_assert_int_eq(gh_mmio_complete(vcpu, UINT64_MAX), 0);

	(void)run_once(second);
	ck_assert_int_eq(gh_mmio_complete(second, 5), 0);
	(void)run_once(second);
	(void)run_once(vcpu);
	ck_assert_int_eq(gh_fake_answer(fake, 0, 1, &value), 0);
	ck_assert_uint_eq(value, UINT64_MAX);
	ck_assert_int_eq(gh_fake_answer(fake, 1, 0, &value), 0);
	ck_assert_uint_eq(value, 5);
	ck_assert_int_eq(gh_fake_answer(fake, 1, 1, &value), -ENOENT);
	ck_assert_int_eq(gh_fake_answer(fake, 2, 0, &value), -ENOENT);
	ck_assert_uint_eq(value, 5);
}
END_TEST

/* A load that was refused has no answer, and does not count. */
START_TEST(test_aborted_load_has_no_answer)
{
	uint64_t value = SENTINEL;

	ck_assert_int_eq(gh_fake_load(fake, 0, 0x1000, 4), 0);
	ck_assert_int_eq(gh_fake_load(fake, 0, 0x1000, 4), 0);
	ck_assert_int_eq(gh_fake_store(fake, 0, 0, 1, 0), 0);
	(void)run_once(vcpu);
	ck_assert_int_eq(gh_mmio_fail(vcpu), 0);
	(void)run_once(vcpu);
	ck_assert_int_eq(gh_mmio_complete(vcpu, 42), 0);
	(void)run_once(vcpu);
	ck_assert_int_eq(gh_fake_answer(fake, 0, 0, &value), 0);
	ck_assert_uint_eq(value, 42);
	ck_assert_int_eq(gh_fake_answer(fake, 0, 1, &value), -ENOENT);
}
END_TEST

/* What a store got is no business of the load after it. */
START_TEST(test_aborted_store_leaves_the_next_load)
{
	uint64_t value = SENTINEL;

	ck_assert_int_eq(gh_fake_store(fake, 0, 0x10, 4, 1), 0);
	ck_assert_int_eq(gh_fake_load(fake, 0, 0x10, 4), 0);
	ck_assert_int_eq(gh_fake_store(fake, 0, 0x10, 4, 2), 0);
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, 1);
	ck_assert_int_eq(gh_mmio_fail(vcpu), 0);
	ck_assert_uint_eq(run_once(vcpu)->mmio.is_store, 0);
	ck_assert_int_eq(gh_mmio_complete(vcpu, 7), 0);
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, 2);
	ck_assert_int_eq(gh_fake_answer(fake, 0, 0, &value), 0);
	ck_assert_uint_eq(value, 7);
}
END_TEST

START_TEST(test_stop_causes)
{
	const struct gh_exit *exit;

	ck_assert_int_eq(gh_fake_stop(fake, 0, (uint32_t)_i), 0);
	exit = run_once(vcpu);
	ck_assert_uint_eq(exit->kind, GH_EXIT_STOPPED);
	ck_assert_uint_eq(exit->stop.cause, (uint32_t)_i);
	ck_assert_uint_eq(exit->stop.reason_size, 0);
}
END_TEST

/* A script that was not played to its end, with loads in all states, goes with its VM. */
/* What is queued says no more than an exit may. */
START_TEST(test_too_much)
{
	struct gh_exit event = { .kind = GH_EXIT_SYSTEM_EVENT, .event = { .type = 5, .count = 99 } };
	struct gh_exit store = { .kind = GH_EXIT_MMIO, .mmio = { .gpa = 0x10, .width = 4, .is_store = 7 } };
	struct gh_exit stop = { .kind = GH_EXIT_STOPPED, .stop = { .cause = 99, .reason_size = 16 } };
	const struct gh_exit *exit;

	event.event.data[15] = 77;
	ck_assert_int_eq(gh_fake_exit(fake, 0, &event), 0);
	ck_assert_int_eq(gh_fake_exit(fake, 0, &store), 0);
	ck_assert_int_eq(gh_fake_exit(fake, 0, &stop), 0);
	exit = run_once(vcpu);
	ck_assert_uint_eq(exit->event.count, 16);
	ck_assert_uint_eq(exit->event.data[15], 77);
	ck_assert_uint_eq(run_once(vcpu)->mmio.is_store, 1);
	ck_assert_uint_eq(run_once(vcpu)->stop.cause, GH_STOP_OTHER);
	ck_assert_uint_eq(run_once(vcpu)->stop.reason_size, 8);
}
END_TEST

START_TEST(test_left_over)
{
	struct gh_vcpu *second = add_vcpu(vm, 1);
	struct gh_vcpu *third = add_vcpu(vm, 2);

	for (uint32_t i = 0; i < 3; i++)
		for (uint32_t id = 0; id < 4; id++)
			ck_assert_int_eq(gh_fake_load(fake, id, 0x1000, 4), 0);
	(void)run_once(vcpu);
	(void)run_once(second);
	ck_assert_int_eq(gh_mmio_complete(second, 1), 0);
	(void)run_once(third);
	ck_assert_int_eq(gh_mmio_complete(third, 1), 0);
	(void)run_once(third);
}
END_TEST

/* One script for two VMs, one after the other. */
START_TEST(test_shared_script)
{
	struct gh_vm *other = open_fake(fake);
	struct gh_vcpu *other_vcpu = start_simply(other);

	ck_assert_int_eq(gh_fake_store(fake, 0, 0, 1, 1), 0);
	ck_assert_int_eq(gh_fake_store(fake, 0, 0, 1, 2), 0);
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, 1);
	ck_assert_uint_eq(run_once(other_vcpu)->mmio.value, 2);
	gh_vm_close(other);
}
END_TEST

START_TEST(test_needs_a_script)
{
	struct gh_failure failure = GH_FAILURE_INIT;
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_vm *none = NULL;

	options.backend = "fake";
	options.failure = &failure;
	ck_assert_int_eq(gh_vm_open(&options, &none), -EINVAL);
	ck_assert_ptr_null(none);
	ck_assert(failure_is(&failure, -EINVAL));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fake");
	TCase *tcase = add_case(suite, "script");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, test_null);
	tcase_add_test(tcase, test_order);
	tcase_add_test(tcase, test_store_is_cut);
	tcase_add_test(tcase, test_impossible_width);
	tcase_add_test(tcase, test_any_exit);
	tcase_add_test(tcase, test_answers);
	tcase_add_test(tcase, test_aborted_load_has_no_answer);
	tcase_add_test(tcase, test_aborted_store_leaves_the_next_load);
	tcase_add_loop_test(tcase, test_stop_causes, 0, GH_STOP_LOAD_FAILED + 1);
	tcase_add_test(tcase, test_too_much);
	tcase_add_test(tcase, test_left_over);
	tcase_add_test(tcase, test_shared_script);
	tcase_add_test(tcase, test_needs_a_script);
	return run_suite(suite);
}
