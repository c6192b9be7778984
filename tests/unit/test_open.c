/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening and configuring a VM: options of all ages, what contradicts itself, what is out of range. */
#include "util.h"

#include <errno.h>

static struct gh_fake *fake;

static void setup(void)
{
	fake = new_fake();
}

static void teardown(void)
{
	gh_fake_free(fake);
}

static struct gh_vm_options fake_options(void)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;

	options.backend = "fake";
	options.fake = fake;
	return options;
}

static void check_refused(struct gh_vm_options *options, int error)
{
	struct gh_failure failure = GH_FAILURE_INIT;
	int mark = 0;
	struct gh_vm *vm = (struct gh_vm *)&mark;

	options->failure = &failure;
	ck_assert_int_eq(gh_vm_open(options, &vm), error);
	ck_assert_ptr_eq(vm, (struct gh_vm *)&mark);
	ck_assert(failure_is(&failure, error));
}

START_TEST(test_bad_options)
{
	struct gh_vm_options options = fake_options();
	struct gh_failure short_failure = GH_FAILURE_INIT;
	struct gh_vm *vm = NULL;

	ck_assert_int_eq(gh_vm_open(&options, NULL), -EINVAL);
	options.device_fd = -2;
	check_refused(&options, -EINVAL);
	options = fake_options();
	options.backend = "xen";
	check_refused(&options, -EINVAL);
	options.backend = "";
	check_refused(&options, -EINVAL);
	options = fake_options();
	options.backend = "gunyah";
	options.device = "/dev/null";
	options.device_fd = 0;
	check_refused(&options, -EINVAL);
	options = fake_options();
	options.gic_distributor = 0x8000;
	check_refused(&options, -EINVAL);
	options = fake_options();
	options.gic_redistributors = 0x3fff1000;
	check_refused(&options, -EINVAL);
	options = fake_options();
	options.kick_signal = 5;
	check_refused(&options, -EINVAL);
	options = fake_options();
	short_failure.size--;
	options.failure = &short_failure;
	ck_assert_int_eq(gh_vm_open(&options, &vm), -EINVAL);
	ck_assert_int_eq(short_failure.error, 0);
	ck_assert_ptr_null(vm);
}
END_TEST

START_TEST(test_options_of_the_future)
{
	struct {
		struct gh_vm_options known;
		uint64_t more[4];
	} options = { .known = fake_options() };
	struct gh_vm *vm = NULL;

	options.known.size = sizeof(options);
	ck_assert_int_eq(gh_vm_open(&options.known, &vm), 0);
	gh_vm_close(vm);
	vm = NULL;
	options.more[3] = 1;
	ck_assert_int_eq(gh_vm_open(&options.known, &vm), -EINVAL);
	options.known.size = 1;
	ck_assert_int_eq(gh_vm_open(&options.known, &vm), -EINVAL);
	options.known.size = sizeof(options.known) - 1;
	ck_assert_int_eq(gh_vm_open(&options.known, &vm), -EINVAL);
	options.known.size = 5000;
	ck_assert_int_eq(gh_vm_open(&options.known, &vm), -EINVAL);
	ck_assert_ptr_null(vm);
	/* What is beyond the size that the caller says is none of the library's business. */
	options.known.size = sizeof(options.known);
	ck_assert_int_eq(gh_vm_open(&options.known, &vm), 0);
	gh_vm_close(vm);
}
END_TEST

/* Without a script a simulated device plays its guests on KVM; where there is none, each of them says so when it is opened. */
START_TEST(test_no_engine)
{
	static const char *const devices[] = { "sim:gunyah", "sim:gzvm", "sim:halla" };
	struct gh_failure failure = GH_FAILURE_INIT;
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_probe *probe = NULL;
	struct gh_vm *vm = NULL;
	bool usable = false;
	int ret;

	options.failure = &failure;
	options.device = devices[_i];
	ret = gh_vm_open(&options, &vm);
	ck_assert_int_eq(gh_probe(&options, &probe), 0);
	for (unsigned int i = 0; i < gh_probe_count(probe); i++)
		usable |= gh_probe_get(probe, i)->usable != 0;
	ck_assert_int_eq(usable, ret == 0);
	if (ret < 0) {
		ck_assert_int_eq(ret, -ENODEV);
		ck_assert_uint_eq(failure.cause_id, GH_CAUSE_SIMULATOR);
		ck_assert_ptr_nonnull(strstr(failure.remedy, "script=FILE"));
	}
	gh_probe_free(probe);
	gh_vm_close(vm);
}
END_TEST

START_TEST(test_trivial)
{
	struct gh_vm *vm = open_fake(fake);

	gh_vm_close(NULL);
	ck_assert_ptr_null(gh_vm_backend(NULL));
	ck_assert_uint_eq(gh_vm_features(NULL), 0);
	ck_assert_int_eq(gh_vm_failure(NULL)->error, 0);
	ck_assert_str_eq(gh_vm_failure(NULL)->cause, "");
	ck_assert_str_eq(gh_vm_backend(vm), "fake");
	ck_assert_uint_ne(gh_vm_features(vm) & GH_FEATURE_HYPERCALL, 0);
	ck_assert_int_eq(gh_vm_failure(vm)->error, 0);
	ck_assert_uint_eq(gh_vm_failure(vm)->size, sizeof(struct gh_failure));
	ck_assert_int_eq(gh_vm_start(NULL), -EINVAL);
	ck_assert_str_eq(gh_version(), "0.1.0");
	gh_vm_close(vm);
}
END_TEST

START_TEST(test_configuration_errors)
{
	struct gh_vm *vm = open_fake(fake);

	ck_assert_int_eq(gh_vm_set_dtb(NULL, 0, 8), -EINVAL);
	ck_assert_int_eq(gh_vm_set_dtb(vm, 4, 8), -EINVAL);
	ck_assert(failure_is(gh_vm_failure(vm), -EINVAL));
	ck_assert_int_eq(gh_vm_set_dtb(vm, UINT64_MAX - 7, 16), -ERANGE);
	ck_assert_int_eq(gh_vm_set_dtb(vm, 8, UINT64_MAX), -ERANGE);
	ck_assert_int_eq(gh_vm_set_dtb(vm, (UINT64_C(1) << 40) - 8, 16), -ERANGE);
	ck_assert(failure_is(gh_vm_failure(vm), -ERANGE));
	ck_assert_int_eq(gh_vm_set_dtb(vm, (UINT64_C(1) << 40) - 8, 8), 0);
	ck_assert_int_eq(gh_vm_set_register(NULL, GH_REG_PC, 0), -EINVAL);
	ck_assert_int_eq(gh_vm_set_register(vm, GH_REG_PC + 1, 0), -EINVAL);
	ck_assert_int_eq(gh_vm_set_register(vm, UINT32_MAX, 0), -EINVAL);
	ck_assert_int_eq(gh_vm_set_entry(NULL, 0, 0), -EINVAL);
	ck_assert_int_eq(gh_vm_set_entry(vm, 2, 0), -EINVAL);
	for (uint32_t reg = 0; reg <= GH_REG_PC; reg++)
		ck_assert_int_eq(gh_vm_set_register(vm, reg, reg), 0);
	gh_vm_close(vm);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("open");
	TCase *tcase = add_case(suite, "open");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, test_bad_options);
	tcase_add_test(tcase, test_options_of_the_future);
	tcase_add_loop_test(tcase, test_no_engine, 0, 3);
	tcase_add_test(tcase, test_trivial);
	tcase_add_test(tcase, test_configuration_errors);
	return run_suite(suite);
}
