/* SPDX-License-Identifier: BSD-3-Clause */
/* The revisions of the simulated Gunyah device, told apart as a program tells kernels apart: by requests with bad pointers. */
#include "../../lib/uapi/gunyah_vendor.h"
#include "rev.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static struct raw raw;

/* One column for each of rev_names: what a bad pointer gives, '*' EFAULT and '.' ENOTTY. */
static const struct {
	const char *name;
	unsigned long request;
	const char *columns;
} matrix[] = {
	{ "SET_USER_MEM", 0x40204701, "****.*******" }, { "SET_DTB", 0x40104702, "************" },
	{ "ADD string", 0x44204704, "*..........." },   { "ADD desc", 0x40104704, ".***********" },
	{ "REMOVE", 0x40104707, ".***********" },       { "MAP_MEM", 0x40204709, "....*......." },
	{ "BOOT_CONTEXT", 0x4010470a, "....*...****" }, { "LEND", 0x40204111, ".....*******" },
	{ "SET_FW", 0x40104112, "......******" },       { "RECLAIM", 0x40104113, ".........***" },
	{ "MAP_CMA", 0x40284115, "..........**" },      { "SET_AUTH", 0x40104116, "..........**" },
};

static void expect(const char *revision, const char *what, const char *wanted, int ret)
{
	ck_assert_msg(strcmp(raw_result(ret), wanted) == 0, "%s on %s gives %s, not %s", what, revision, raw_result(ret),
		      wanted);
}

START_TEST(test_matrix)
{
	const char *revision = rev_names[_i];

	rev_open(&raw, revision, "");
	for (size_t i = 0; i < sizeof(matrix) / sizeof(matrix[0]); i++) {
		const char *wanted = matrix[i].columns[_i] == '*' ? "EFAULT" : "ENOTTY";

		ck_assert_uint_eq(strlen(matrix[i].columns), REV_COUNT);
		expect(revision, matrix[i].name, wanted, raw.sys->ioctl(raw.sys, raw.vm, matrix[i].request, 0));
	}
	expect(revision, "CHECK_EXTENSION 1", _i == 11 ? "ok" : "ENOTTY", raw.sys->ioctl(raw.sys, raw.vm, 0x4117, 1));
	ck_assert_int_eq(raw.sys->ioctl(raw.sys, raw.vm, 0x4117, 0), _i == 11 ? 1 : -ENOTTY);
	expect(revision, "old CHECK_EXTENSION", "ENOTTY", raw.sys->ioctl(raw.sys, raw.vm, 0x4110, 0));
	expect(revision, "unknown on a VM", "ENOTTY", raw.sys->ioctl(raw.sys, raw.vm, 0x4799, 0));
	/* The throw-away VM has no trace of all this. */
	expect(revision, "START", "EINVAL", raw_start(&raw));
	raw_close(&raw);
}
END_TEST

START_TEST(test_device)
{
	const char *revision = rev_names[_i];
	bool gmem = strcmp(revision, "v17") == 0;
	struct uapi_gunyah_create_mem args = { UINT64_MAX, 0, { 0 } };

	rev_open(&raw, revision, "");
	expect(revision, "CREATE_VM with an argument", "EINVAL", raw.sys->ioctl(raw.sys, raw.device, 0x4700, 1));
	expect(revision, "CREATE_GUEST_MEM with bad flags", gmem ? "EINVAL" : "ENOTTY",
	       raw_ioctl(&raw, raw.device, 0x40404708, &args));
	expect(revision, "CREATE_GUEST_MEM, bad pointer", gmem ? "EFAULT" : "ENOTTY",
	       raw.sys->ioctl(raw.sys, raw.device, 0x40404708, 0));
	expect(revision, "the other family's CREATE_VM", "ENOTTY", raw.sys->ioctl(raw.sys, raw.device, 0xb201, 0));
	expect(revision, "old CHECK_EXTENSION", "ENOTTY", raw.sys->ioctl(raw.sys, raw.device, 0x4110, 0));
	expect(revision, "CREATE_CMA_MEM_FD", "ENOTTY", raw.sys->ioctl(raw.sys, raw.device, 0x4114, 0));
	expect(revision, "CHECK_EXTENSION on the device", "ENOTTY", raw.sys->ioctl(raw.sys, raw.device, 0x4117, 0));
	raw_close(&raw);
}
END_TEST

START_TEST(test_vcpu)
{
	const char *revision = rev_names[_i];
	/* v17 and every Android kernel from 15 on. */
	const char *wanted = _i == 4 || _i >= 7 ? "ENOTTY" : "EINVAL";

	rev_open(&raw, revision, "");
	rev_make_vcpu(&raw, 0);
	expect(revision, "unknown on a vCPU", wanted, raw.sys->ioctl(raw.sys, raw.vcpu[0], 0x4799, 0));
	expect(revision, "CREATE_VM on a vCPU", wanted, raw.sys->ioctl(raw.sys, raw.vcpu[0], 0x4700, 0));
	ck_assert_int_eq(raw.sys->ioctl(raw.sys, raw.vcpu[0], 0x4706, 0), RAW_PAGE);
	ck_assert_str_eq(raw_descriptor(&raw, rev_add_vcpu(&raw, 0)), _i == 11 ? "fd" : "EEXIST");
	raw_close(&raw);
}
END_TEST

/* Every revision can boot, answer a load, and ends as it can say it. */
START_TEST(test_boot)
{
	const char *revision = rev_names[_i];

	rev_run_script(&raw, revision,
		       "poke 0x80000000 4 0x1234; peek 0x80000000 4; echo 0x7000 4; load 0x7000 8; echo 0x7008 8; off");
	raw_expect("boot.memory: store 0x7000 len 4 value 0x1234", raw_run(&raw, 0));
	raw_expect("boot.load: load 0x7000 len 8", raw_run(&raw, 0));
	raw_answer(&raw, 0, 0x55);
	raw_expect("boot.answer: store 0x7008 len 8 value 0x55", raw_run(&raw, 0));
	if (_i >= 2)
		raw_expect("boot.off: STATUS 2 type 1 reason_size 4 reason 00000000 00000000", raw_run(&raw, 0));
	ck_assert_ptr_null(gh_sim_breakage(raw.sim));
	raw_close(&raw);
}
END_TEST

static int new_machine(const char *device)
{
	struct gh_sim_options options = GH_SIM_OPTIONS_INIT;
	struct gh_sim *sim;
	int ret;

	options.device = device;
	options.script = "";
	ret = gh_sim_new(&options, &sim);
	if (ret == 0)
		gh_sim_free(sim);
	return ret;
}

START_TEST(test_names)
{
	raw_expect("names.none: ok", raw_result(new_machine("gunyah")));
	raw_expect("names.vendor: ok", raw_result(new_machine("gunyah/vendor")));
	raw_expect("names.with sim: ok", raw_result(new_machine("sim:gunyah/v8,policy=production")));
	raw_expect("names.unknown: ENOENT", raw_result(new_machine("gunyah/v9")));
	raw_expect("names.beginning of one: ENOENT", raw_result(new_machine("gunyah/android14")));
	raw_expect("names.empty: ENOENT", raw_result(new_machine("gunyah/")));
	raw_expect("names.of the other device: ENOENT", raw_result(new_machine("gzvm/v17")));
	/* Without a name it is the one that has been observed. */
	raw_open(&raw, "gunyah,engine=script", "");
	raw_expect("names.default has SET_FW: EFAULT", raw_result(raw.sys->ioctl(raw.sys, raw.vm, 0x40104112, 0)));
	raw_expect("names.default has no BOOT_CONTEXT: ENOTTY", raw_result(raw.sys->ioctl(raw.sys, raw.vm, 0x4010470a, 0)));
	raw_close(&raw);
}
END_TEST

static int on(int fd, unsigned long request, uintptr_t argument)
{
	return raw.sys->ioctl(raw.sys, fd, request, argument);
}

static void vendor_vm(int device)
{
	struct uapi_gunyah_vendor_name name = { "trustedvm" };
	int vm = on(device, UAPI_GUNYAH_VENDOR_CREATE_VM, 0);
	int vcpu;

	ck_assert_int_ge(vm, 0);
	raw_expect("vendor.G SET_DTB on a VM: EINVAL", raw_result(on(vm, UAPI_GUNYAH_SET_DTB, 0)));
	raw_expect("vendor.GET_VCPU_COUNT without firmware: EINVAL",
		   raw_result(on(vm, UAPI_GUNYAH_VENDOR_GET_VCPU_COUNT, 0)));
	raw_expect("vendor.SET_FW_NAME, bad pointer: EFAULT", raw_result(on(vm, UAPI_GUNYAH_VENDOR_SET_FW_NAME, 8)));
	raw_expect("vendor.SET_FW_NAME: ok", raw_result(on(vm, UAPI_GUNYAH_VENDOR_SET_FW_NAME, (uintptr_t)&name)));
	memset(&name, 0, sizeof(name));
	raw_expect("vendor.GET_FW_NAME: ok", raw_result(on(vm, UAPI_GUNYAH_VENDOR_GET_FW_NAME, (uintptr_t)&name)));
	ck_assert_str_eq(name.name, "trustedvm");
	raw_expect("vendor.vCPU 8: EINVAL", raw_result(on(vm, UAPI_GUNYAH_VENDOR_CREATE_VCPU, 8)));
	vcpu = on(vm, UAPI_GUNYAH_VENDOR_CREATE_VCPU, 0);
	ck_assert_int_ge(vcpu, 0);
	raw_expect("vendor.vCPU 0 again: EEXIST", raw_result(on(vm, UAPI_GUNYAH_VENDOR_CREATE_VCPU, 0)));
	raw_expect("vendor.RUN before it is ready: EINVAL", raw_result(on(vcpu, UAPI_GUNYAH_VENDOR_RUN, 0)));
	raw_expect("vendor.G RUN: EINVAL", raw_result(on(vcpu, UAPI_GUNYAH_RUN, 0)));
	ck_assert_int_eq(raw.sys->close(raw.sys, vm), 0);
	ck_assert_int_eq(raw.sys->close(raw.sys, vcpu), 0);
}

START_TEST(test_vendor)
{
	struct gh_sim_options options = GH_SIM_OPTIONS_INIT;
	int device;

	options.device = "gunyah/vendor,engine=script";
	ck_assert_int_eq(gh_sim_new(&options, &raw.sim), 0);
	raw.sys = gh_sim_table(raw.sim);
	device = raw.sys->open(raw.sys, UAPI_GUNYAH_DEVICE, O_RDWR);
	ck_assert_int_ge(device, 0);
	raw_expect("vendor.G CREATE_VM: EINVAL", raw_result(on(device, UAPI_GUNYAH_CREATE_VM, 0)));
	raw_expect("vendor.CREATE_GUEST_MEM: EINVAL", raw_result(on(device, UAPI_GUNYAH_CREATE_GUEST_MEM, 0)));
	raw_expect("vendor.unknown: EINVAL", raw_result(on(device, 0xb299, 0)));
	vendor_vm(device);
	ck_assert_int_eq(raw.sys->close(raw.sys, device), 0);
	ck_assert_uint_eq(gh_sim_open_files(raw.sim), 0);
	raw.sys->put(raw.sys);
	gh_sim_free(raw.sim);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("gunyah revisions, probed");
	TCase *tcase = tcase_create("probe");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tcase, 30);
	tcase_add_loop_test(tcase, test_matrix, 0, REV_COUNT);
	tcase_add_loop_test(tcase, test_device, 0, REV_COUNT);
	tcase_add_loop_test(tcase, test_vcpu, 0, REV_COUNT);
	tcase_add_loop_test(tcase, test_boot, 0, REV_COUNT);
	tcase_add_test(tcase, test_names);
	tcase_add_test(tcase, test_vendor);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
