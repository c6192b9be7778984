/* SPDX-License-Identifier: BSD-3-Clause */
/* GenieZone's and Halla's RUN: buffers and results that no simulated revision makes, and what is in the buffer at the next one. */
#include "geniezone_devices.h"
#include "table.h"

#include "../../lib/backend.h"
#include "../../lib/uapi/gzvm.h"
#include "../../lib/uapi/halla.h"

#include <errno.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- a kernel of a few results ------------------------------------------------------------------------------------------ */

struct result {
	int ret;
	struct uapi_gzvm_run run; /* copied out, if its exit reason is not 0 */
};

static const struct result *results;
static struct uapi_gzvm_run entered; /* the buffer at the last entry */
static unsigned int entries;
static struct gh_sim *sim;
static struct gh_vm *vm;
static struct gh_vcpu *vcpu;

static bool instead(int fd, unsigned long request, uintptr_t arg, int *ret_result)
{
	struct uapi_gzvm_run *run = (void *)arg;

	(void)fd;
	if (request != UAPI_GZVM_RUN && request != UAPI_HALLA_RUN)
		return false;
	entered = *run;
	entries++;
	if (results->run.exit_reason != 0)
		*run = results->run;
	*ret_result = results++->ret;
	return true;
}

static void begin(const char *device, const struct result *list)
{
	sim = new_sim(device, "off");
	vm = open_sim(sim);
	vcpu = start_standard(vm);
	results = list;
	entries = 0;
	table_instead = instead;
}

static void end(void)
{
	table_instead = NULL;
	gh_vm_close(vm);
	end_sim(sim);
}

#define GZ_CODE 0x92920000u
#define HALLA_CODE 0x484c0000u
#define LOAD                                                                                                               \
	{                                                                                                                  \
		.exit_reason = GZ_CODE + 1, .u.mmio = {.gpa = 0x1000, .width = 4 }                                         \
	}
#define STORE(value)                                                                                                       \
	{                                                                                                                  \
		.exit_reason = GZ_CODE + 1, .u.mmio = {.gpa = 0x1000, .data = { (value) }, .width = 4, .is_write = 1 }     \
	}

/* --- exits -------------------------------------------------------------------------------------------------------------- */

/* Sections 1.4 and 6.1. The word after the exit reason, or the two after it, say more. */
static const struct {
	const char *device;
	uint32_t reason;
	uint64_t word;
	uint32_t kind;
	uint32_t cause; /* of an end, with its code */
	uint32_t code;
} exits[] = {
	{ GENIEZONE, GZ_CODE + 8, 1, GH_EXIT_STOPPED, GH_STOP_POWER_OFF, 1 },
	{ GENIEZONE, GZ_CODE + 8, 2, GH_EXIT_STOPPED, GH_STOP_RESET, 2 },
	{ GENIEZONE, GZ_CODE + 8, 3, GH_EXIT_STOPPED, GH_STOP_CRASH, 3 },
	{ GENIEZONE, GZ_CODE + 8, 4, GH_EXIT_SYSTEM_EVENT, 0, 0 },
	{ GENIEZONE, GZ_CODE + 9, 0, GH_EXIT_STOPPED, GH_STOP_POWER_OFF, 0 },
	{ GENIEZONE, GZ_CODE + 6, 5, GH_EXIT_STOPPED, GH_STOP_LOAD_FAILED, 5 },
	{ GENIEZONE, GZ_CODE + 5, 0, GH_EXIT_UNKNOWN, 0, 0 },
	{ GENIEZONE, GZ_CODE + 7, 0, GH_EXIT_UNKNOWN, 0, 0 },
	{ GENIEZONE, GZ_CODE + 0xc, 0, GH_EXIT_UNKNOWN, 0, 0 },
	{ GENIEZONE, HALLA_CODE + 1, 0, GH_EXIT_UNKNOWN, 0, 0 },
	{ GENIEZONE, GZ_CODE + 4, 1, GH_EXIT_PAGE_FAULT, 0, 0 },
	{ GENIEZONE, GZ_CODE + 4, 2, GH_EXIT_EXCEPTION, 0, 0 },
	{ "sim:halla", HALLA_CODE + 5, 1, GH_EXIT_STOPPED, GH_STOP_POWER_OFF, 1 },
	{ "sim:halla", HALLA_CODE + 5, 2, GH_EXIT_STOPPED, GH_STOP_RESET, 2 },
	{ "sim:halla", HALLA_CODE + 5, 3, GH_EXIT_STOPPED, GH_STOP_CRASH, 3 },
	{ "sim:halla", HALLA_CODE + 6, 0, GH_EXIT_STOPPED, GH_STOP_POWER_OFF, 0 },
	{ "sim:halla", HALLA_CODE + 4, 0, GH_EXIT_UNKNOWN, 0, 0 },
	{ "sim:halla", HALLA_CODE + 3, 1, GH_EXIT_PAGE_FAULT, 0, 0 },
	{ "sim:halla", HALLA_CODE + 3, 2, GH_EXIT_EXCEPTION, 0, 0 },
	{ "sim:halla", HALLA_CODE + 9, 0, GH_EXIT_UNKNOWN, 0, 0 },
	{ "sim:halla", GZ_CODE + 1, 0, GH_EXIT_UNKNOWN, 0, 0 },
	{ "sim:halla", GZ_CODE + 9, 0, GH_EXIT_UNKNOWN, 0, 0 },
};

START_TEST(test_exit)
{
	struct result list[] = { { 0, { .exit_reason = exits[_i].reason } } };
	const struct gh_exit *exit;

	memcpy(&list[0].run.u, &exits[_i].word, sizeof(exits[_i].word));
	begin(exits[_i].device, list);
	exit = run_once(vcpu);
	ck_assert_uint_eq(exit->kind, exits[_i].kind);
	ck_assert_uint_eq(exit->raw_reason, exits[_i].reason);
	if (exit->kind == GH_EXIT_STOPPED) {
		ck_assert_uint_eq(exit->stop.cause, exits[_i].cause);
		ck_assert_uint_eq(exit->stop.raw_status, exits[_i].reason);
		ck_assert_uint_eq(exit->stop.raw_type, exits[_i].code);
	}
	end();
}
END_TEST

/* The guest only wants to run on. */
static const struct {
	const char *device;
	uint32_t reason;
} kernel_exits[] = {
	{ GENIEZONE, GZ_CODE + 3 },      { GENIEZONE, GZ_CODE + 0xa },    { GENIEZONE, GZ_CODE + 0xb },
	{ GENIEZONE, GZ_CODE + 0xd },    { "sim:halla", HALLA_CODE + 2 }, { "sim:halla", HALLA_CODE + 7 },
	{ "sim:halla", HALLA_CODE + 8 },
};

START_TEST(test_kernel_exit)
{
	const struct result list[] = { { 0, { .exit_reason = kernel_exits[_i].reason } },
				       { 0, { .exit_reason = 0x1234 } },
				       { -EINTR, { .exit_reason = kernel_exits[_i].reason } } };

	begin(kernel_exits[_i].device, list);
	ck_assert_uint_eq(run_once(vcpu)->kind, GH_EXIT_UNKNOWN);
	ck_assert_uint_eq(entries, 2);
	ck_assert_uint_eq(run_once(vcpu)->kind, GH_EXIT_INTERRUPTED);
	end();
}
END_TEST

/* The kernel's own number, whatever the exit before was. */
START_TEST(test_raw_reason)
{
	static const struct result list[] = { { 0, { .exit_reason = 77 } }, { 0, STORE(1) } };

	begin(GENIEZONE, list);
	ck_assert_uint_eq(run_once(vcpu)->kind, GH_EXIT_UNKNOWN);
	ck_assert_uint_eq(run_once(vcpu)->raw_reason, GZ_CODE + 1);
	end();
}
END_TEST

/* Where the run loop reaches into the buffer: a byte for the kernel, and the answer. */
START_TEST(test_places)
{
	static const struct result list[] = { { 0, STORE(1) } };
	const struct gh_bvcpu *made;

	begin(_i == 1 ? "sim:halla" : GENIEZONE, list);
	made = (const struct gh_bvcpu *)(const void *)vcpu;
	ck_assert_ptr_eq((void *)(uintptr_t)made->immediate_exit, (char *)made->run + 4);
	ck_assert_ptr_eq(made->answer, (char *)made->run + 16);
	end();
}
END_TEST

/* --- results ------------------------------------------------------------------------------------------------------------ */

START_TEST(test_refused)
{
	static const struct {
		struct result result;
		int ret;
		bool is_broken; /* the page, not the result */
	} cases[] = {
		{ { 1, STORE(1) }, -EPROTO, false },
		{ { -EPERM, STORE(1) }, -EPERM, false },
		{ { -EINVAL, STORE(1) }, -EINVAL, false },
		{ { 0, { .exit_reason = GZ_CODE + 1, .u.mmio = { .width = 4, .is_write = 2 } } }, -EPROTO, true },
		{ { -EINTR, { .exit_reason = GZ_CODE + 1, .u.mmio = { .width = 4, .is_write = 2 } } }, -EPROTO, true },
		{ { -EINTR, { .exit_reason = GZ_CODE + 1, .u.mmio = { .width = UINT64_C(0x100000004) } } }, -EPROTO, true },
	};
	const struct gh_exit *exit = NULL;

	for (size_t i = 0; i < COUNT(cases); i++) {
		begin(GENIEZONE, &cases[i].result);
		ck_assert_int_eq(gh_vcpu_run(vcpu, &exit), cases[i].ret);
		ck_assert(failure_is(gh_vcpu_failure(vcpu), cases[i].ret));
		if (cases[i].is_broken) {
			ck_assert_ptr_nonnull(strstr(gh_vcpu_failure(vcpu)->cause, "breaks the kernel's interface"));
			ck_assert_ptr_nonnull(strstr(gh_vcpu_failure(vcpu)->request, "(0x9280)"));
		}
		end();
	}
}
END_TEST

/* An exit with EINTR is one; and the reason is cleared before each entry, to tell it from none. */
START_TEST(test_interrupted)
{
	static const struct result list[] = { { -EINTR, LOAD }, { -EINTR, { .exit_reason = 0 } }, { -EINTR, STORE(5) } };

	begin(GENIEZONE, list);
	ck_assert_uint_eq(run_once(vcpu)->kind, GH_EXIT_MMIO);
	ck_assert_int_eq(gh_mmio_complete(vcpu, 0x44332211), 0);
	ck_assert_uint_eq(run_once(vcpu)->kind, GH_EXIT_INTERRUPTED);
	ck_assert_uint_eq(entered.exit_reason, 0);
	ck_assert_mem_eq(entered.u.mmio.data, "\x11\x22\x33\x44", 4);
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, 5);
	end();
}
END_TEST

/* The hypervisor's call fails, and the kernel says 0 and nothing: once more, with the answer where it was. */
START_TEST(test_nothing)
{
	struct result list[] = { { 0, LOAD }, { 0, { .exit_reason = 0 } }, { 0, { .exit_reason = 0 } }, { 0, STORE(5) } };

	if (_i == 1)
		list[0].run.exit_reason = list[3].run.exit_reason = HALLA_CODE + 1;
	begin(_i == 1 ? "sim:halla" : GENIEZONE, list);
	ck_assert_uint_eq(run_once(vcpu)->kind, GH_EXIT_MMIO);
	ck_assert_int_eq(gh_mmio_complete(vcpu, 0x44332211), 0);
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, 5);
	ck_assert_uint_eq(entries, 4);
	ck_assert_mem_eq(entered.u.mmio.data, "\x11\x22\x33\x44", 4);
	end();
}
END_TEST

/* As a simulated hypervisor does it, on each revision. */
START_TEST(test_failing_hypervisor)
{
	sim = new_sim(gz_devices[_i].device, "store 0x1000 4 1; raw fail; raw fail; store 0x1000 4 2; raw fail; off");
	vm = open_sim(sim);
	vcpu = start_standard(vm);
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, 1);
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, 2);
	ck_assert_uint_eq(run_once(vcpu)->kind, GH_EXIT_STOPPED);
	end();
}
END_TEST

/*
 * With EINTR the buffer can have an exit that the kernel has handled itself (section 9), and one that it has not: that is
 * the VMM's.
 */
static const struct {
	const char *device;
	uint64_t quirks_off;
	struct uapi_gzvm_run run;
	uint32_t kind;
} leftovers[] = {
	/* A doorbell takes stores; of a load it knows nothing. */
	{ GENIEZONE, 0, { .exit_reason = GZ_CODE + 1, .u.mmio = { .gpa = 0x4000, .width = 4 } }, GH_EXIT_MMIO },
	{ GENIEZONE,
	  0,
	  { .exit_reason = GZ_CODE + 1, .u.mmio = { .gpa = 0x4000, .width = 4, .is_write = 1 } },
	  GH_EXIT_INTERRUPTED },
	{ GENIEZONE,
	  0,
	  { .exit_reason = GZ_CODE + 1, .u.mmio = { .gpa = 0x4004, .width = 4, .is_write = 1 } },
	  GH_EXIT_MMIO },
	/* A page that the guest has now, and one that nobody has. */
	{ GENIEZONE,
	  0,
	  { .exit_reason = GZ_CODE + 4, .u.exception = { .exception = 1, .fault_gpa = RAM_GPA } },
	  GH_EXIT_INTERRUPTED },
	{ GENIEZONE,
	  0,
	  { .exit_reason = GZ_CODE + 4, .u.exception = { .exception = 1, .fault_gpa = RAM_GPA + RAM_SIZE } },
	  GH_EXIT_PAGE_FAULT },
	{ GENIEZONE,
	  GH_QUIRK_SHOWS_HANDLED_EXITS,
	  { .exit_reason = GZ_CODE + 4, .u.exception = { .exception = 1, .fault_gpa = RAM_GPA } },
	  GH_EXIT_PAGE_FAULT },
	/* Another exception, whatever its number; any word of `reserved` says that it was handled. */
	{ GENIEZONE,
	  0,
	  { .exit_reason = GZ_CODE + 4, .u.exception = { .exception = 0x80000000, .fault_gpa = RAM_GPA } },
	  GH_EXIT_EXCEPTION },
	{ GENIEZONE,
	  0,
	  { .exit_reason = GZ_CODE + 4, .u.exception = { .exception = 2, .reserved = { [29] = 1 } } },
	  GH_EXIT_INTERRUPTED },
	{ "sim:gzvm/v5",
	  0,
	  { .exit_reason = GZ_CODE + 4, .u.exception = { .exception = 2, .reserved = { [29] = 1 } } },
	  GH_EXIT_EXCEPTION },
	/* The guest's question for the time, with its answer, where the kernel knows the question. */
	{ GENIEZONE, 0, { .exit_reason = GZ_CODE + 2, .u.hypercall = { { 0x12345678 } } }, GH_EXIT_HYPERCALL },
	{ "sim:gzvm/v12", 0, { .exit_reason = GZ_CODE + 2, .u.hypercall = { { 0x12345678 } } }, GH_EXIT_INTERRUPTED },
	{ "sim:gzvm/v12", 0, { .exit_reason = GZ_CODE + 2, .u.hypercall = { { 0x86000002 } } }, GH_EXIT_HYPERCALL },
	{ GENIEZONE, 0, { .exit_reason = GZ_CODE + 2, .u.hypercall = { { 0xc6000009 } } }, GH_EXIT_INTERRUPTED },
	{ "sim:gzvm/v4", 0, { .exit_reason = GZ_CODE + 2, .u.hypercall = { { 0xc6000009 } } }, GH_EXIT_HYPERCALL },
};

START_TEST(test_leftover)
{
	const struct result list[] = { { -EINTR, leftovers[_i].run } };
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_ioevent_options bell = GH_IOEVENT_OPTIONS_INIT;
	struct gh_ioevent *ioevent = NULL;

	sim = new_sim(leftovers[_i].device, "off");
	options.machine = sim;
	options.quirks_off = leftovers[_i].quirks_off;
	ck_assert_int_eq(gh_vm_open(&options, &vm), 0);
	vcpu = start_standard(vm);
	bell.gpa = 0x4000;
	ck_assert_int_eq(gh_ioevent_add(vm, &bell, &ioevent), 0);
	results = list;
	table_instead = instead;
	ck_assert_uint_eq(run_once(vcpu)->kind, leftovers[_i].kind);
	end();
}
END_TEST

/* A kernel that wants zeros refuses what the hypervisor has put there: the guest has not run, and the answer is not lost. */
START_TEST(test_padding)
{
	struct result list[] = { { 0, LOAD }, { -EINVAL, { .exit_reason = 0 } }, { 0, STORE(5) } };

	list[0].run.padding[_i] = 7;
	begin(GENIEZONE, list);
	ck_assert_uint_eq(run_once(vcpu)->kind, GH_EXIT_MMIO);
	ck_assert_int_eq(gh_mmio_complete(vcpu, 0x44332211), 0);
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, 5);
	ck_assert_uint_eq(entries, 3);
	ck_assert_mem_eq(entered.padding, "\0\0\0", 3);
	ck_assert_mem_eq(entered.u.mmio.data, "\x11\x22\x33\x44", 4);
	end();
}
END_TEST

/* The guest finds the results where its arguments were, and the other arguments as they were. */
START_TEST(test_hypercall)
{
	static const uint64_t answers[4] = { 11, 22, 33, 44 };
	static const struct result list[] = {
		{ 0, { .exit_reason = GZ_CODE + 2, .u.hypercall = { { 0xc6000001, 2, 3, 4, 5, 6, 7, 8 } } } },
		{ 0, STORE(5) }
	};
	const struct gh_exit *exit;

	begin(GENIEZONE, list);
	exit = run_once(vcpu);
	ck_assert_uint_eq(exit->kind, GH_EXIT_HYPERCALL);
	for (uint64_t i = 1; i < 8; i++)
		ck_assert_uint_eq(exit->hypercall.args[i], i + 1);
	ck_assert_int_eq(gh_hypercall_complete(vcpu, answers), 0);
	(void)run_once(vcpu);
	for (uint64_t i = 0; i < 4; i++)
		ck_assert_uint_eq(entered.u.hypercall.args[i], answers[i]);
	for (uint64_t i = 4; i < 8; i++)
		ck_assert_uint_eq(entered.u.hypercall.args[i], i + 1);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("geniezone_vcpu");
	TCase *tcase = add_case(suite, "geniezone_vcpu");

	tcase_add_loop_test(tcase, test_exit, 0, (int)COUNT(exits));
	tcase_add_loop_test(tcase, test_kernel_exit, 0, (int)COUNT(kernel_exits));
	tcase_add_test(tcase, test_raw_reason);
	tcase_add_loop_test(tcase, test_places, 0, 2);
	tcase_add_test(tcase, test_refused);
	tcase_add_test(tcase, test_interrupted);
	tcase_add_loop_test(tcase, test_nothing, 0, 2);
	tcase_add_loop_test(tcase, test_failing_hypervisor, 0, GZ_DEVICES);
	tcase_add_loop_test(tcase, test_leftover, 0, (int)COUNT(leftovers));
	tcase_add_loop_test(tcase, test_padding, 0, 3);
	tcase_add_test(tcase, test_hypercall);
	return run_suite(suite);
}
