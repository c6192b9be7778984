/* SPDX-License-Identifier: BSD-3-Clause */
/* KVM's run page as an exit: everything that a kernel may have left there. */
#include "backend/kvm.h"
#include "exit.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#define GPA UINT64_C(0x4000)
#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static const struct {
	uint64_t gpa;
	uint32_t width;
	int result;
} accesses[] = {
	{ GPA, 1, 0 },
	{ GPA, 8, 0 },
	{ UINT64_MAX - 3, 4, 0 },
	{ UINT64_MAX - 2, 4, -EPROTO },
	{ UINT64_MAX, 8, -EPROTO },
	{ GPA, 0, -EPROTO },
	{ GPA, 3, -EPROTO },
	{ GPA, 16, -EPROTO },
	{ GPA, UINT32_MAX, -EPROTO },
};

START_TEST(accesses_are_checked)
{
	struct uapi_kvm_run page = { .exit_reason = UAPI_KVM_EXIT_MMIO };
	struct gh_exit exit;

	memset(page.padding, 0xee, sizeof(page.padding));
	page.mmio.gpa = accesses[_i].gpa;
	page.mmio.width = accesses[_i].width;
	page.mmio.is_write = 0xff;
	ck_assert_int_eq(gh_kvm_decode(&page, &exit), accesses[_i].result);
	if (accesses[_i].result < 0)
		return;
	ck_assert_uint_eq(exit.kind, GH_EXIT_MMIO);
	ck_assert_uint_eq(exit.raw_reason, UAPI_KVM_EXIT_MMIO);
	ck_assert_uint_eq(exit.mmio.gpa, accesses[_i].gpa);
	ck_assert_uint_eq(exit.mmio.is_store, 1);
	/* What lies behind the width is stale. */
	ck_assert_uint_eq(exit.mmio.value, UINT64_C(0xeeeeeeeeeeeeeeee) & gh_value_mask(accesses[_i].width));
	page.mmio.is_write = 0;
	ck_assert_int_eq(gh_kvm_decode(&page, &exit), 0);
	ck_assert_uint_eq(exit.mmio.is_store, 0);
	ck_assert_uint_eq(exit.mmio.value, 0);
}
END_TEST

static const struct {
	uint32_t reason;
	uint32_t first; /* the first word of what comes with it */
	uint32_t kind;
	uint32_t cause;
} ends[] = {
	{ UAPI_KVM_EXIT_SYSTEM_EVENT, UAPI_KVM_EVENT_SHUTDOWN, GH_EXIT_STOPPED, GH_STOP_POWER_OFF },
	{ UAPI_KVM_EXIT_SYSTEM_EVENT, UAPI_KVM_EVENT_RESET, GH_EXIT_STOPPED, GH_STOP_RESET },
	{ UAPI_KVM_EXIT_SYSTEM_EVENT, UAPI_KVM_EVENT_CRASH, GH_EXIT_STOPPED, GH_STOP_CRASH },
	{ UAPI_KVM_EXIT_SYSTEM_EVENT, 5, GH_EXIT_SYSTEM_EVENT, 0 },
	{ UAPI_KVM_EXIT_FAIL_ENTRY, 7, GH_EXIT_STOPPED, GH_STOP_LOAD_FAILED },
	{ UAPI_KVM_EXIT_INTERNAL_ERROR, 3, GH_EXIT_STOPPED, GH_STOP_CRASH },
	{ UAPI_KVM_EXIT_SHUTDOWN, 0, GH_EXIT_STOPPED, GH_STOP_CRASH },
	{ UAPI_KVM_EXIT_EXCEPTION, 2, GH_EXIT_EXCEPTION, 0 },
	{ UAPI_KVM_EXIT_MEMORY_FAULT, 0, GH_EXIT_PAGE_FAULT, 0 },
	{ UAPI_KVM_EXIT_UNKNOWN, 0, GH_EXIT_UNKNOWN, 0 },
	{ UAPI_KVM_EXIT_HYPERCALL, 0, GH_EXIT_UNKNOWN, 0 },
	{ UAPI_KVM_EXIT_DEBUG, 0, GH_EXIT_UNKNOWN, 0 },
	{ UAPI_KVM_EXIT_ARM_NISV, 0, GH_EXIT_UNKNOWN, 0 },
	{ UINT32_MAX, 0, GH_EXIT_UNKNOWN, 0 },
};

START_TEST(other_exits_have_their_kind)
{
	struct uapi_kvm_run page = { .exit_reason = ends[_i].reason };
	struct gh_exit exit;

	memset(&exit, 0xff, sizeof(exit));
	page.exception.exception = ends[_i].first;
	ck_assert_int_eq(gh_kvm_decode(&page, &exit), 0);
	ck_assert_uint_eq(exit.kind, ends[_i].kind);
	ck_assert_uint_eq(exit.raw_reason, ends[_i].reason);
	if (exit.kind == GH_EXIT_STOPPED) {
		ck_assert_uint_eq(exit.stop.cause, ends[_i].cause);
		ck_assert_uint_eq(exit.stop.raw_status, ends[_i].reason);
		ck_assert_uint_eq(exit.stop.raw_type, ends[_i].first);
	}
	if (exit.kind == GH_EXIT_PAGE_FAULT)
		ck_assert_int_eq(exit.fault.error, -EFAULT);
}
END_TEST

START_TEST(event_data_are_clamped)
{
	struct uapi_kvm_run page = { .exit_reason = UAPI_KVM_EXIT_SYSTEM_EVENT };
	struct gh_exit exit;

	page.system_event.type = 4;
	page.system_event.count = UINT32_MAX;
	page.system_event.data[15] = 0x1234;
	ck_assert_int_eq(gh_kvm_decode(&page, &exit), 0);
	ck_assert_uint_eq(exit.event.type, 4);
	ck_assert_uint_eq(exit.event.count, 16);
	ck_assert_uint_eq(exit.event.data[15], 0x1234);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("kvm exit");
	TCase *tcase = tcase_create("decoder");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(tcase, accesses_are_checked, 0, COUNT(accesses));
	tcase_add_loop_test(tcase, other_exits_have_their_kind, 0, COUNT(ends));
	tcase_add_test(tcase, event_data_are_clamped);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
