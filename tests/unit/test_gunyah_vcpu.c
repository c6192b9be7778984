/* SPDX-License-Identifier: BSD-3-Clause */
/* Gunyah's RUN: pages and results that no simulated revision makes, and what the kernel finds in the page when it is entered. */
#include "revision.h"
#include "table.h"

#include "../../lib/backend.h"
#include "../../lib/uapi/gunyah.h"

#include <errno.h>
#include <string.h>

/* --- a kernel of a few results ------------------------------------------------------------------------------------------ */

struct result {
	int ret;
	struct uapi_gunyah_run page; /* of this what is not 0 */
	int start;                   /* what START says when it is asked afterwards */
};

static const struct result *results;
static struct uapi_gunyah_run *page;
static struct uapi_gunyah_run entered; /* the page at the last entry */
static unsigned int starts;            /* times that START was asked */

static bool instead(int fd, unsigned long request, uintptr_t arg, int *ret_result)
{
	const struct uapi_gunyah_run *next = &results->page;

	(void)fd;
	(void)arg;
	if (request == UAPI_GUNYAH_START) {
		starts++;
		*ret_result = results[-1].start;
		return true;
	}
	if (request != UAPI_GUNYAH_RUN)
		return false;
	entered = *page;
	page->exit_reason = next->exit_reason;
	if (next->exit_reason != 0)
		page->u = next->u;
	*ret_result = results++->ret;
	return true;
}

static void begin(struct rig *rig, const char *device, const struct result *list)
{
	const struct revision revision = { .device = device };

	rig_start(rig, &revision, "off", 1);
	page = ((struct gh_bvcpu *)(void *)rig->vcpus[0])->run;
	results = list;
	starts = 0;
	table_instead = instead;
}

static void end(struct rig *rig)
{
	table_instead = NULL;
	revision_close(rig);
}

#define ANDROID "sim:gunyah/android15-6.6"
#define SILENT "sim:gunyah/v10"
#define LOAD(action)                                                                                                       \
	{                                                                                                                  \
		.exit_reason = 1, .u.mmio = {.gpa = 0x1000, .width = 4, .resume_action = (action) }                        \
	}
#define STORE(value)                                                                                                       \
	{                                                                                                                  \
		.exit_reason = 1, .u.mmio = {.gpa = 0x1000, .data = { (value) }, .width = 4, .is_write = 1 }               \
	}

/* --- answers ------------------------------------------------------------------------------------------------------------ */

/* Whatever stood there, and however the exit came: nobody wanted an abort. */
START_TEST(test_resume_action)
{
	const struct result list[] = {
		{ _i == 0 ? 0 : -EINTR, LOAD(1), 0 }, { 0, STORE(5), 0 }, { 0, LOAD(2), 0 }, { 0, STORE(6), 0 }
	};
	const struct gh_exit *exit;
	struct rig rig;

	begin(&rig, ANDROID, list);
	exit = run_once(rig.vcpus[0]);
	ck_assert_uint_eq(exit->kind, GH_EXIT_MMIO);
	ck_assert_uint_eq(exit->mmio.is_store, 0);
	ck_assert_int_eq(gh_mmio_complete(rig.vcpus[0], 0x44332211), 0);
	ck_assert_uint_eq(run_once(rig.vcpus[0])->mmio.value, 5);
	ck_assert_uint_eq(entered.u.mmio.resume_action, 0);
	ck_assert_int_eq(memcmp(entered.u.mmio.data, "\x11\x22\x33\x44", 4), 0);
	ck_assert_uint_eq(entered.exit_reason, 0);
	(void)run_once(rig.vcpus[0]);
	ck_assert_int_eq(gh_mmio_fail(rig.vcpus[0]), 0);
	ck_assert_uint_eq(run_once(rig.vcpus[0])->mmio.value, 6);
	ck_assert_uint_eq(entered.u.mmio.resume_action, 1);
	end(&rig);
}
END_TEST

/* A store that a kernel should have taken for a doorbell rings it; the load that comes next is the VMM's. */
START_TEST(test_load_behind_a_bell)
{
	static const struct result list[] = {
		{ 0, { .exit_reason = 1, .u.mmio = { .gpa = 0x4000, .width = 4, .is_write = 1 } }, 0 },
		{ 0, { .exit_reason = 1, .u.mmio = { .gpa = 0x4000, .width = 4 } }, 0 },
	};
	struct gh_ioevent_options options = GH_IOEVENT_OPTIONS_INIT;
	struct gh_ioevent *bell = NULL;
	struct rig rig;

	begin(&rig, ANDROID, list);
	options.gpa = 0x4000;
	options.width = 4;
	options.flags = GH_IOEVENT_DATAMATCH;
	ck_assert_int_eq(gh_ioevent_add(rig.vm, &options, &bell), 0);
	ck_assert_uint_eq(run_once(rig.vcpus[0])->mmio.is_store, 0);
	ck_assert_uint_eq(take_count(gh_ioevent_fd(bell)), 1);
	end(&rig);
}
END_TEST

/* The kernel's own number, whatever the exit before was; and where the run loop reaches into the page. */
START_TEST(test_raw_reason)
{
	static const struct result list[] = { { 0, { .exit_reason = 77 }, 0 }, { 0, STORE(1), 0 } };
	struct rig rig;

	begin(&rig, ANDROID, list);
	ck_assert_ptr_eq((void *)(uintptr_t)((struct gh_bvcpu *)(void *)rig.vcpus[0])->immediate_exit, (char *)page);
	ck_assert_ptr_eq(((struct gh_bvcpu *)(void *)rig.vcpus[0])->answer, (char *)page + 24);
	ck_assert_uint_eq(run_once(rig.vcpus[0])->kind, GH_EXIT_UNKNOWN);
	ck_assert_uint_eq(run_once(rig.vcpus[0])->raw_reason, 1);
	end(&rig);
}
END_TEST

/* RUN says 0 or an error. */
START_TEST(test_positive)
{
	static const struct result list[] = { { 1, STORE(1), 0 } };
	const struct gh_exit *exit = NULL;
	struct rig rig;

	begin(&rig, ANDROID, list);
	ck_assert_int_eq(gh_vcpu_run(rig.vcpus[0], &exit), -EPROTO);
	ck_assert(failure_is(gh_vcpu_failure(rig.vcpus[0]), -EPROTO));
	end(&rig);
}
END_TEST

/* And with an error that is no interruption, the page says nothing. */
START_TEST(test_error)
{
	static const struct result list[] = { { -EPERM, STORE(1), 0 } };
	const struct gh_exit *exit = NULL;
	struct rig rig;

	begin(&rig, ANDROID, list);
	ck_assert_int_eq(gh_vcpu_run(rig.vcpus[0], &exit), -EPERM);
	ck_assert(failure_is(gh_vcpu_failure(rig.vcpus[0]), -EPERM));
	end(&rig);
}
END_TEST

/* A vCPU that the kernel does not know yet, or any more: never the first. */
START_TEST(test_not_yet)
{
	static const struct result list[] = { { -ENODEV, { .exit_reason = 0 }, 0 },
					      { -ENODEV, { .exit_reason = 0 }, 0 },
					      { 0, STORE(5), 0 },
					      { -ENODEV, { .exit_reason = 0 }, 0 },
					      { 0, STORE(6), 0 },
					      { -ENODEV, STORE(7), 0 } };
	const struct revision revision = { .device = ANDROID };
	const struct gh_exit *exit = NULL;
	struct rig rig;

	rig_start(&rig, &revision, "off", 2);
	page = ((struct gh_bvcpu *)(void *)rig.vcpus[_i])->run;
	results = list;
	table_instead = instead;
	if (_i == 1) {
		ck_assert_uint_eq(run_once(rig.vcpus[1])->mmio.value, 5);
		ck_assert_uint_eq(run_once(rig.vcpus[1])->mmio.value, 6);
	}
	ck_assert_int_eq(gh_vcpu_run(rig.vcpus[_i], &exit), -ENODEV);
	end(&rig);
}
END_TEST

/* --- ends that nobody tells --------------------------------------------------------------------------------------------- */

/* Before v11 a RUN that says nothing is over, or was interrupted: START knows, which has nothing to do for a VM that runs. */
START_TEST(test_silence)
{
	static const struct {
		int ret;
		int start;
		uint32_t kind;
	} cases[] = {
		{ 0, -ENODEV, GH_EXIT_STOPPED },    { -EINTR, -ENODEV, GH_EXIT_STOPPED },
		{ 0, 0, GH_EXIT_INTERRUPTED },      { -EINTR, 0, GH_EXIT_INTERRUPTED },
		{ 0, -EINTR, GH_EXIT_INTERRUPTED }, { -EINTR, -EINTR, GH_EXIT_INTERRUPTED },
		{ -ENODEV, -EIO, GH_EXIT_STOPPED },
	};
	const struct result list[] = { { 0, STORE(1), 0 }, { cases[_i].ret, { .exit_reason = 0 }, cases[_i].start } };
	const struct gh_exit *exit;
	struct rig rig;

	begin(&rig, SILENT, list);
	(void)run_once(rig.vcpus[0]);
	exit = run_once(rig.vcpus[0]);
	ck_assert_uint_eq(exit->kind, cases[_i].kind);
	ck_assert_uint_eq(starts, cases[_i].ret == -ENODEV ? 0 : 1);
	if (exit->kind == GH_EXIT_STOPPED) {
		ck_assert_uint_eq(exit->stop.cause, GH_STOP_OTHER);
		ck_assert_uint_eq(exit->raw_reason, 0);
	}
	end(&rig);
}
END_TEST

/* ENODEV of another vCPU than the first is an end only if START says so, too. */
START_TEST(test_silent_and_off)
{
	static const struct result list[] = { { -ENODEV, { .exit_reason = 0 }, 0 },
					      { 0, STORE(5), 0 },
					      { -ENODEV, { .exit_reason = 0 }, -EIO },
					      { 0, STORE(6), 0 },
					      { -ENODEV, { .exit_reason = 0 }, -ENODEV } };
	const struct revision revision = { .device = SILENT };
	struct rig rig;

	rig_start(&rig, &revision, "off", 2);
	page = ((struct gh_bvcpu *)(void *)rig.vcpus[1])->run;
	results = list;
	starts = 0;
	table_instead = instead;
	ck_assert_uint_eq(run_once(rig.vcpus[1])->mmio.value, 5);
	ck_assert_uint_eq(run_once(rig.vcpus[1])->mmio.value, 6);
	ck_assert_uint_eq(run_once(rig.vcpus[1])->kind, GH_EXIT_STOPPED);
	ck_assert_uint_eq(starts, 3);
	end(&rig);
}
END_TEST

/* What is said is no silence: an exit with EINTR, and an error. */
START_TEST(test_no_silence)
{
	static const struct result list[] = { { -EINTR, STORE(5), 0 }, { -EPERM, { .exit_reason = 0 }, 0 } };
	const struct gh_exit *exit = NULL;
	struct rig rig;

	begin(&rig, SILENT, list);
	ck_assert_uint_eq(run_once(rig.vcpus[0])->mmio.value, 5);
	ck_assert_int_eq(gh_vcpu_run(rig.vcpus[0], &exit), -EPERM);
	ck_assert_uint_eq(starts, 0);
	end(&rig);
}
END_TEST

/* --- making one --------------------------------------------------------------------------------------------------------- */

static int page_size;

static bool says_size(int fd, unsigned long request, uintptr_t arg, int *ret_result)
{
	(void)fd;
	(void)arg;
	if (request != UAPI_GUNYAH_MMAP_SIZE)
		return false;
	*ret_result = page_size;
	return true;
}

/* A page that does not hold what a vCPU has. */
START_TEST(test_small_page)
{
	static const int sizes[] = { 0, 1, 39 };
	struct rig rig;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		page_size = sizes[i];
		revision_open(&rig, &revisions[0], "off");
		rig_build(&rig, GH_MEMORY_RWX, 1);
		table_instead = says_size;
		ck_assert_int_eq(gh_vm_start(rig.vm), -EPROTO);
		table_instead = NULL;
		ck_assert(failure_is(gh_vm_failure(rig.vm), -EPROTO));
		revision_close(&rig);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("gunyah_vcpu");
	TCase *tcase = add_case(suite, "gunyah_vcpu");

	tcase_add_loop_test(tcase, test_resume_action, 0, 2);
	tcase_add_test(tcase, test_load_behind_a_bell);
	tcase_add_test(tcase, test_raw_reason);
	tcase_add_test(tcase, test_positive);
	tcase_add_test(tcase, test_error);
	tcase_add_loop_test(tcase, test_not_yet, 0, 2);
	tcase_add_loop_test(tcase, test_silence, 0, 7);
	tcase_add_test(tcase, test_silent_and_off);
	tcase_add_test(tcase, test_no_silence);
	tcase_add_test(tcase, test_small_page);
	return run_suite(suite);
}
