/* SPDX-License-Identifier: BSD-3-Clause */
/* What a kernel writes into a run page, to an exit: every kind, every width, every end. */
#include "../../lib/backend/geniezone.h"
#include "../../lib/backend/gunyah.h"
#include "../../lib/backend/kvm.h"
#include "../../lib/exit.h"
#include "util.h"

#include <errno.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define STALE UINT64_C(0xf8f7f6f5f4f3f2f1) /* bytes f1 to f8 in memory */

static struct gh_exit result;

static void setup(void)
{
	memset(&result, 0xa5, sizeof(result));
}

static void put_le(uint8_t data[8], uint64_t value)
{
	for (unsigned int i = 0; i < 8; i++)
		data[i] = (uint8_t)(value >> 8 * i);
}

static bool is_width(uint64_t width)
{
	return width == 1 || width == 2 || width == 4 || width == 8;
}

/* --- names and helpers -------------------------------------------------------------------------------------------- */

START_TEST(test_names)
{
	static const char *const kinds[] = { "unknown",   "mmio",      "stopped",      "page fault",
					     "hypercall", "exception", "system event", "interrupted" };
	static const char *const causes[] = { "other", "power-off", "reset", "crash", "watchdog", "load failed" };

	for (uint32_t i = 0; i < COUNT(kinds); i++)
		ck_assert_str_eq(gh_exit_name(i), kinds[i]);
	for (uint32_t i = 0; i < COUNT(causes); i++)
		ck_assert_str_eq(gh_stop_name(i), causes[i]);
	ck_assert_str_eq(gh_exit_name(COUNT(kinds)), "unknown");
	ck_assert_str_eq(gh_exit_name(UINT32_MAX), "unknown");
	ck_assert_str_eq(gh_stop_name(COUNT(causes)), "other");
	ck_assert_str_eq(gh_stop_name(UINT32_MAX), "other");
}
END_TEST

START_TEST(test_masks)
{
	ck_assert_uint_eq(gh_value_mask(1), 0xff);
	ck_assert_uint_eq(gh_value_mask(2), 0xffff);
	ck_assert_uint_eq(gh_value_mask(4), 0xffffffff);
	ck_assert_uint_eq(gh_value_mask(8), UINT64_MAX);
	for (uint64_t width = 0; width <= 16; width++)
		ck_assert_int_eq(gh_width_valid(width), is_width(width));
	ck_assert(!gh_width_valid((UINT64_C(1) << 32) + 4));
}
END_TEST

START_TEST(test_event_words_are_clamped)
{
	uint64_t words[16];

	for (uint64_t i = 0; i < 16; i++)
		words[i] = i + 1;
	gh_exit_set_event(&result, 9, 3, words);
	ck_assert_uint_eq(result.kind, GH_EXIT_SYSTEM_EVENT);
	ck_assert_uint_eq(result.event.type, 9);
	ck_assert_uint_eq(result.event.count, 3);
	ck_assert_uint_eq(result.event.data[2], 3);
	ck_assert_uint_eq(result.event.data[3], 0);
	gh_exit_set_event(&result, 9, UINT32_MAX, words);
	ck_assert_uint_eq(result.event.count, 16);
	ck_assert_uint_eq(result.event.data[15], 16);
}
END_TEST

/* --- accesses: the same on all three -------------------------------------------------------------------------------- */

struct access {
	uint64_t gpa;
	uint64_t width;
	uint64_t data;
	uint8_t is_write;
};

static int decode_gunyah(const struct access *access)
{
	struct uapi_gunyah_run page = { .exit_reason = UAPI_GUNYAH_EXIT_MMIO };

	page.u.mmio.gpa = access->gpa;
	page.u.mmio.width = (uint32_t)access->width;
	page.u.mmio.is_write = access->is_write;
	put_le(page.u.mmio.data, access->data);
	return gh_gunyah_decode(&page, &result);
}

static int decode_geniezone(const struct access *access)
{
	struct uapi_gzvm_run page = { .exit_reason = UAPI_GZVM_EXIT_MMIO };

	page.u.mmio.gpa = access->gpa;
	page.u.mmio.width = access->width;
	page.u.mmio.is_write = access->is_write;
	put_le(page.u.mmio.data, access->data);
	return gh_geniezone_decode(&page, &result);
}

static int decode_kvm(const struct access *access)
{
	struct uapi_kvm_run page = { .exit_reason = UAPI_KVM_EXIT_MMIO };

	page.mmio.gpa = access->gpa;
	page.mmio.width = (uint32_t)access->width;
	page.mmio.is_write = access->is_write;
	put_le(page.mmio.data, access->data);
	return gh_kvm_decode(&page, &result);
}

static const struct {
	int (*decode)(const struct access *access);
	uint32_t reason;
	bool wide;   /* the width has 64 bits */
	bool strict; /* is_write is 0 or 1 */
} decoders[] = {
	{ decode_gunyah, UAPI_GUNYAH_EXIT_MMIO, false, true },
	{ decode_geniezone, UAPI_GZVM_EXIT_MMIO, true, true },
	{ decode_kvm, UAPI_KVM_EXIT_MMIO, false, false },
};

START_TEST(test_widths)
{
	for (uint64_t width = 0; width <= 16; width++) {
		struct access store = { 0x1000, width, STALE, 1 };
		struct access load = { 0x1000, width, STALE, 0 };
		int wanted = is_width(width) ? 0 : -EPROTO;

		ck_assert_int_eq(decoders[_i].decode(&store), wanted);
		if (wanted == 0) {
			ck_assert_uint_eq(result.kind, GH_EXIT_MMIO);
			ck_assert_uint_eq(result.raw_reason, decoders[_i].reason);
			ck_assert_uint_eq(result.mmio.gpa, 0x1000);
			ck_assert_uint_eq(result.mmio.width, width);
			ck_assert_uint_eq(result.mmio.is_store, 1);
			/* Bytes above the width are of an earlier exit. */
			ck_assert_uint_eq(result.mmio.value, STALE & gh_value_mask((uint32_t)width));
		}
		ck_assert_int_eq(decoders[_i].decode(&load), wanted);
		if (wanted == 0) {
			ck_assert_uint_eq(result.mmio.is_store, 0);
			ck_assert_uint_eq(result.mmio.value, 0);
		}
	}
}
END_TEST

START_TEST(test_huge_widths)
{
	static const uint64_t widths[] = {
		32,
		256,
		0x7fffffff,
		0x80000000,
		0xfffffffc,
		UINT32_MAX,
		(UINT64_C(1) << 32) + 1,
		(UINT64_C(4) << 32) + 4,
		UINT64_MAX,
	};

	for (size_t i = 0; i < COUNT(widths); i++) {
		struct access access = { 0x1000, widths[i], 0, 1 };

		if (widths[i] > UINT32_MAX && !decoders[_i].wide)
			continue;
		ck_assert_int_eq(decoders[_i].decode(&access), -EPROTO);
		access.is_write = 0;
		ck_assert_int_eq(decoders[_i].decode(&access), -EPROTO);
	}
}
END_TEST

START_TEST(test_direction_nonsense)
{
	static const uint8_t directions[] = { 2, 3, 0x80, 0xff };

	for (size_t i = 0; i < COUNT(directions); i++) {
		struct access access = { 0x1000, 4, 7, directions[i] };
		int ret = decoders[_i].decode(&access);

		ck_assert_int_eq(ret, decoders[_i].strict ? -EPROTO : 0);
		if (ret == 0)
			ck_assert_uint_eq(result.mmio.is_store, 1);
	}
}
END_TEST

START_TEST(test_wrap)
{
	static const uint32_t widths[] = { 1, 2, 4, 8 };

	for (size_t i = 0; i < COUNT(widths); i++) {
		struct access access = { UINT64_MAX - widths[i] + 1, widths[i], 0, 0 };

		ck_assert_int_eq(decoders[_i].decode(&access), 0);
		ck_assert_uint_eq(result.mmio.gpa, access.gpa);
		access.gpa++;
		if (widths[i] > 1)
			ck_assert_int_eq(decoders[_i].decode(&access), -EPROTO);
	}
}
END_TEST

/* --- Gunyah ------------------------------------------------------------------------------------------------------- */

static const struct {
	uint32_t status;
	uint16_t type;
	uint32_t cause;
} gunyah_ends[] = {
	{ UAPI_GUNYAH_STATUS_EXITED, UAPI_GUNYAH_END_VM_EXIT, GH_STOP_POWER_OFF },
	{ UAPI_GUNYAH_STATUS_EXITED, UAPI_GUNYAH_END_POWER_OFF, GH_STOP_POWER_OFF },
	{ UAPI_GUNYAH_STATUS_EXITED, UAPI_GUNYAH_END_RESET, GH_STOP_RESET },
	{ UAPI_GUNYAH_STATUS_EXITED, UAPI_GUNYAH_END_RESET2, GH_STOP_RESET },
	{ UAPI_GUNYAH_STATUS_EXITED, UAPI_GUNYAH_END_WATCHDOG, GH_STOP_WATCHDOG },
	{ UAPI_GUNYAH_STATUS_EXITED, UAPI_GUNYAH_END_HYP_ERROR, GH_STOP_CRASH },
	{ UAPI_GUNYAH_STATUS_EXITED, UAPI_GUNYAH_END_ASYNC_ABORT, GH_STOP_CRASH },
	{ UAPI_GUNYAH_STATUS_EXITED, UAPI_GUNYAH_END_FORCE_STOPPED, GH_STOP_POWER_OFF },
	{ UAPI_GUNYAH_STATUS_EXITED, 8, GH_STOP_OTHER },
	{ UAPI_GUNYAH_STATUS_EXITED, UINT16_MAX, GH_STOP_OTHER },
	{ UAPI_GUNYAH_STATUS_LOAD_FAILED, 0, GH_STOP_LOAD_FAILED },
	{ UAPI_GUNYAH_STATUS_LOAD_FAILED, UAPI_GUNYAH_END_RESET, GH_STOP_LOAD_FAILED },
	{ UAPI_GUNYAH_STATUS_CRASHED, 0, GH_STOP_CRASH },
	{ 0, UAPI_GUNYAH_END_POWER_OFF, GH_STOP_OTHER },
	{ 4, UAPI_GUNYAH_END_POWER_OFF, GH_STOP_OTHER },
	{ UINT32_MAX, 0, GH_STOP_OTHER },
};

START_TEST(test_gunyah_end)
{
	struct uapi_gunyah_run page = { .exit_reason = UAPI_GUNYAH_EXIT_STATUS };

	page.u.status.status = gunyah_ends[_i].status;
	page.u.status.type = gunyah_ends[_i].type;
	page.u.status.padding = 0xffff;
	ck_assert_int_eq(gh_gunyah_decode(&page, &result), 0);
	ck_assert_uint_eq(result.kind, GH_EXIT_STOPPED);
	ck_assert_uint_eq(result.raw_reason, UAPI_GUNYAH_EXIT_STATUS);
	ck_assert_uint_eq(result.stop.cause, gunyah_ends[_i].cause);
	ck_assert_uint_eq(result.stop.raw_status, gunyah_ends[_i].status);
	ck_assert_uint_eq(result.stop.raw_type, gunyah_ends[_i].type);
	ck_assert_uint_eq(result.stop.reason_size, 0);
}
END_TEST

static const uint32_t reason_sizes[] = { 0, 1, 4, 7, 8, 9, 16, 0x80000000, UINT32_MAX };

/* PSCI SYSTEM_RESET2 claims 16 bytes, of which 8 are there. */
START_TEST(test_gunyah_reason_is_clamped)
{
	static const uint8_t reason[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	struct uapi_gunyah_run page = { .exit_reason = UAPI_GUNYAH_EXIT_STATUS };
	uint32_t size = reason_sizes[_i];

	page.u.status.status = UAPI_GUNYAH_STATUS_EXITED;
	page.u.status.type = UAPI_GUNYAH_END_RESET2;
	page.u.status.reason_size = size;
	memcpy(page.u.status.reason, reason, sizeof(reason));
	ck_assert_int_eq(gh_gunyah_decode(&page, &result), 0);
	ck_assert_uint_eq(result.stop.reason_size, size < 8 ? size : 8);
	for (uint32_t i = 0; i < 8; i++)
		ck_assert_uint_eq(result.stop.reason[i], i < result.stop.reason_size ? reason[i] : 0);
}
END_TEST

START_TEST(test_gunyah_page_fault)
{
	struct uapi_gunyah_run page = { .exit_reason = UAPI_GUNYAH_EXIT_PAGE_FAULT };

	page.u.page_fault.gpa = 0x80001000;
	page.u.page_fault.attempt = -ENOMEM;
	ck_assert_int_eq(gh_gunyah_decode(&page, &result), 0);
	ck_assert_uint_eq(result.kind, GH_EXIT_PAGE_FAULT);
	ck_assert_uint_eq(result.fault.gpa, 0x80001000);
	ck_assert_int_eq(result.fault.error, -ENOMEM);
	ck_assert_uint_eq(result.fault.reserved, 0);
}
END_TEST

START_TEST(test_gunyah_unknown)
{
	static const uint32_t reasons[] = { 0, 4, 5, 0x92920001, UINT32_MAX };

	for (size_t i = 0; i < COUNT(reasons); i++) {
		struct uapi_gunyah_run page = { .exit_reason = reasons[i] };

		ck_assert_int_eq(gh_gunyah_decode(&page, &result), 0);
		ck_assert_uint_eq(result.kind, GH_EXIT_UNKNOWN);
		ck_assert_uint_eq(result.raw_reason, reasons[i]);
	}
}
END_TEST

/* --- GenieZone ---------------------------------------------------------------------------------------------------- */

static const struct {
	uint32_t type;
	uint32_t cause;
} geniezone_ends[] = {
	{ UAPI_GZVM_EVENT_SHUTDOWN, GH_STOP_POWER_OFF },
	{ UAPI_GZVM_EVENT_RESET, GH_STOP_RESET },
	{ UAPI_GZVM_EVENT_CRASH, GH_STOP_CRASH },
};

START_TEST(test_geniezone_end)
{
	struct uapi_gzvm_run page = { .exit_reason = UAPI_GZVM_EXIT_SYSTEM_EVENT };

	page.u.event.type = geniezone_ends[_i].type;
	ck_assert_int_eq(gh_geniezone_decode(&page, &result), 0);
	ck_assert_uint_eq(result.kind, GH_EXIT_STOPPED);
	ck_assert_uint_eq(result.stop.cause, geniezone_ends[_i].cause);
	ck_assert_uint_eq(result.stop.raw_status, UAPI_GZVM_EXIT_SYSTEM_EVENT);
	ck_assert_uint_eq(result.stop.raw_type, geniezone_ends[_i].type);
	ck_assert_uint_eq(result.stop.reason_size, 0);
}
END_TEST

START_TEST(test_geniezone_other_ends)
{
	struct uapi_gzvm_run page = { .exit_reason = UAPI_GZVM_EXIT_SHUTDOWN };

	ck_assert_int_eq(gh_geniezone_decode(&page, &result), 0);
	ck_assert_uint_eq(result.kind, GH_EXIT_STOPPED);
	ck_assert_uint_eq(result.stop.cause, GH_STOP_POWER_OFF);
	page.exit_reason = UAPI_GZVM_EXIT_FAIL_ENTRY;
	page.u.fail_entry.reason = 22;
	ck_assert_int_eq(gh_geniezone_decode(&page, &result), 0);
	ck_assert_uint_eq(result.stop.cause, GH_STOP_LOAD_FAILED);
	ck_assert_uint_eq(result.stop.raw_type, 22);
}
END_TEST

START_TEST(test_geniezone_event)
{
	static const uint32_t counts[] = { 0, 1, 16, 17, UINT32_MAX };

	for (size_t i = 0; i < COUNT(counts); i++) {
		struct uapi_gzvm_run page = { .exit_reason = UAPI_GZVM_EXIT_SYSTEM_EVENT };

		page.u.event.type = 4;
		page.u.event.count = counts[i];
		for (uint64_t word = 0; word < 16; word++)
			page.u.event.data[word] = word + 100;
		ck_assert_int_eq(gh_geniezone_decode(&page, &result), 0);
		ck_assert_uint_eq(result.kind, GH_EXIT_SYSTEM_EVENT);
		ck_assert_uint_eq(result.event.type, 4);
		ck_assert_uint_eq(result.event.count, counts[i] < 16 ? counts[i] : 16);
		for (uint64_t word = 0; word < 16; word++)
			ck_assert_uint_eq(result.event.data[word], word < result.event.count ? word + 100 : 0);
	}
}
END_TEST

START_TEST(test_geniezone_exceptions)
{
	struct uapi_gzvm_run page = { .exit_reason = UAPI_GZVM_EXIT_EXCEPTION };

	page.u.exception.exception = UAPI_GZVM_EXCEPTION_PAGE_FAULT;
	page.u.exception.fault_gpa = 0x80002000;
	page.u.exception.error_code = 5;
	ck_assert_int_eq(gh_geniezone_decode(&page, &result), 0);
	ck_assert_uint_eq(result.kind, GH_EXIT_PAGE_FAULT);
	ck_assert_uint_eq(result.fault.gpa, 0x80002000);
	ck_assert_int_eq(result.fault.error, 0);
	ck_assert_uint_eq(result.fault.reserved, 0);
	page.u.exception.exception = 7;
	ck_assert_int_eq(gh_geniezone_decode(&page, &result), 0);
	ck_assert_uint_eq(result.kind, GH_EXIT_EXCEPTION);
	ck_assert_uint_eq(result.exception.exception, 7);
	ck_assert_uint_eq(result.exception.error_code, 5);
	ck_assert_uint_eq(result.exception.gpa, 0x80002000);
}
END_TEST

START_TEST(test_geniezone_hypercall)
{
	struct uapi_gzvm_run page = { .exit_reason = UAPI_GZVM_EXIT_HYPERCALL };

	for (uint64_t i = 0; i < 8; i++)
		page.u.hypercall.args[i] = UINT64_C(0xc6000000) + i;
	ck_assert_int_eq(gh_geniezone_decode(&page, &result), 0);
	ck_assert_uint_eq(result.kind, GH_EXIT_HYPERCALL);
	for (uint64_t i = 0; i < 8; i++)
		ck_assert_uint_eq(result.hypercall.args[i], UINT64_C(0xc6000000) + i);
}
END_TEST

START_TEST(test_geniezone_not_for_a_vmm)
{
	static const uint32_t reasons[] = { UAPI_GZVM_EXIT_IRQ, UAPI_GZVM_EXIT_GZ, UAPI_GZVM_EXIT_IDLE,
					    UAPI_GZVM_EXIT_IPI };

	for (size_t i = 0; i < COUNT(reasons); i++) {
		const struct uapi_gzvm_run page = { .exit_reason = reasons[i] };

		ck_assert_int_eq(gh_geniezone_decode(&page, &result), -EAGAIN);
	}
}
END_TEST

START_TEST(test_geniezone_unknown)
{
	static const uint32_t reasons[] = {
		0,
		1,
		UAPI_GZVM_EXIT_UNKNOWN,
		UAPI_GZVM_EXIT_DEBUG,
		UAPI_GZVM_EXIT_INTERNAL_ERROR,
		0x9292000c,
		0x9292000e,
		UINT32_MAX,
	};

	for (size_t i = 0; i < COUNT(reasons); i++) {
		const struct uapi_gzvm_run page = { .exit_reason = reasons[i] };

		ck_assert_int_eq(gh_geniezone_decode(&page, &result), 0);
		ck_assert_uint_eq(result.kind, GH_EXIT_UNKNOWN);
		ck_assert_uint_eq(result.raw_reason, reasons[i]);
	}
}
END_TEST

/* --- KVM ---------------------------------------------------------------------------------------------------------- */

START_TEST(test_kvm_ends)
{
	static const struct {
		uint32_t reason;
		uint32_t type; /* of an event */
		uint32_t cause;
	} ends[] = {
		{ UAPI_KVM_EXIT_SYSTEM_EVENT, UAPI_KVM_EVENT_SHUTDOWN, GH_STOP_POWER_OFF },
		{ UAPI_KVM_EXIT_SYSTEM_EVENT, UAPI_KVM_EVENT_RESET, GH_STOP_RESET },
		{ UAPI_KVM_EXIT_SYSTEM_EVENT, UAPI_KVM_EVENT_CRASH, GH_STOP_CRASH },
		{ UAPI_KVM_EXIT_FAIL_ENTRY, 0, GH_STOP_LOAD_FAILED },
		{ UAPI_KVM_EXIT_INTERNAL_ERROR, 0, GH_STOP_CRASH },
		{ UAPI_KVM_EXIT_SHUTDOWN, 0, GH_STOP_CRASH },
	};

	for (size_t i = 0; i < COUNT(ends); i++) {
		struct uapi_kvm_run page = { .exit_reason = ends[i].reason };

		page.system_event.type = ends[i].type;
		ck_assert_int_eq(gh_kvm_decode(&page, &result), 0);
		ck_assert_uint_eq(result.kind, GH_EXIT_STOPPED);
		ck_assert_uint_eq(result.stop.cause, ends[i].cause);
		ck_assert_uint_eq(result.stop.raw_status, ends[i].reason);
		ck_assert_uint_eq(result.stop.raw_type, ends[i].type);
	}
}
END_TEST

START_TEST(test_kvm_others)
{
	struct uapi_kvm_run page = { .exit_reason = UAPI_KVM_EXIT_SYSTEM_EVENT };

	page.system_event.type = 4;
	page.system_event.count = 99;
	page.system_event.data[15] = 3;
	ck_assert_int_eq(gh_kvm_decode(&page, &result), 0);
	ck_assert_uint_eq(result.kind, GH_EXIT_SYSTEM_EVENT);
	ck_assert_uint_eq(result.event.count, 16);
	ck_assert_uint_eq(result.event.data[15], 3);
	page.exit_reason = UAPI_KVM_EXIT_EXCEPTION;
	page.exception.exception = 3;
	page.exception.error_code = 4;
	ck_assert_int_eq(gh_kvm_decode(&page, &result), 0);
	ck_assert_uint_eq(result.kind, GH_EXIT_EXCEPTION);
	ck_assert_uint_eq(result.exception.exception, 3);
	ck_assert_uint_eq(result.exception.error_code, 4);
	ck_assert_uint_eq(result.exception.gpa, 0);
	page.exit_reason = UAPI_KVM_EXIT_MEMORY_FAULT;
	page.memory_fault.gpa = 0x90000000;
	ck_assert_int_eq(gh_kvm_decode(&page, &result), 0);
	ck_assert_uint_eq(result.kind, GH_EXIT_PAGE_FAULT);
	ck_assert_uint_eq(result.fault.gpa, 0x90000000);
	ck_assert_int_eq(result.fault.error, -EFAULT);
	page.exit_reason = 12345;
	ck_assert_int_eq(gh_kvm_decode(&page, &result), 0);
	ck_assert_uint_eq(result.kind, GH_EXIT_UNKNOWN);
	ck_assert_uint_eq(result.raw_reason, 12345);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("exit");
	TCase *tcase = add_case(suite, "decoding");

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, test_names);
	tcase_add_test(tcase, test_masks);
	tcase_add_test(tcase, test_event_words_are_clamped);
	tcase_add_loop_test(tcase, test_widths, 0, COUNT(decoders));
	tcase_add_loop_test(tcase, test_huge_widths, 0, COUNT(decoders));
	tcase_add_loop_test(tcase, test_direction_nonsense, 0, COUNT(decoders));
	tcase_add_loop_test(tcase, test_wrap, 0, COUNT(decoders));
	tcase_add_loop_test(tcase, test_gunyah_end, 0, COUNT(gunyah_ends));
	tcase_add_loop_test(tcase, test_gunyah_reason_is_clamped, 0, COUNT(reason_sizes));
	tcase_add_test(tcase, test_gunyah_page_fault);
	tcase_add_test(tcase, test_gunyah_unknown);
	tcase_add_loop_test(tcase, test_geniezone_end, 0, COUNT(geniezone_ends));
	tcase_add_test(tcase, test_geniezone_other_ends);
	tcase_add_test(tcase, test_geniezone_event);
	tcase_add_test(tcase, test_geniezone_exceptions);
	tcase_add_test(tcase, test_geniezone_hypercall);
	tcase_add_test(tcase, test_geniezone_not_for_a_vmm);
	tcase_add_test(tcase, test_geniezone_unknown);
	tcase_add_test(tcase, test_kvm_ends);
	tcase_add_test(tcase, test_kvm_others);
	return run_suite(suite);
}
