/* SPDX-License-Identifier: BSD-3-Clause */
/* Accesses that a vCPU repeats: the second one and all later ones take another way, and nobody may notice. */
#include "board.h"

#include "internal.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define UART UINT64_C(0x9000000)
/* The first is looked up; enough others to tell that they do not depend on each other. */
#define ROUNDS 4

static struct board board;

static void begin(void)
{
	board_begin(&board, 2);
}

static void end(void)
{
	board_end(&board);
}

static uint64_t mask_of(uint32_t width)
{
	return width == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * width) - 1;
}

static void expect_recent(unsigned int vcpu, uint64_t gpa, bool is_store, bool expected)
{
	ck_assert_msg(board_is_recent(&board, vcpu, gpa, is_store) == expected, "%s at 0x%" PRIx64 " is%s recent",
		      is_store ? "a store" : "a load", gpa, expected ? " not" : "");
}

/* By hand: without a run, also what no kernel says. */
static int forge(unsigned int vcpu, uint64_t gpa, uint32_t width, uint32_t is_store)
{
	const struct gh_exit exit = { .kind = GH_EXIT_MMIO, .mmio = { .gpa = gpa, .width = width, .is_store = is_store } };

	return gh_bus_dispatch(board.vcpus[vcpu], &exit);
}

/* --- what the handler sees ------------------------------------------------------------------------------------------------ */

static void expect_call(const struct gh_bus_access *call, const struct gh_bus_access *expected)
{
	ck_assert_ptr_eq(call->vcpu, expected->vcpu);
	ck_assert_ptr_eq(call->range, expected->range);
	ck_assert_uint_eq(call->gpa, expected->gpa);
	ck_assert_uint_eq(call->offset, expected->offset);
	ck_assert_uint_eq(call->value, expected->value);
	ck_assert_uint_eq(call->mask, expected->mask);
	ck_assert_uint_eq(call->width, expected->width);
	ck_assert_uint_eq(call->is_store, expected->is_store);
}

static unsigned int look_ups(unsigned int vcpu)
{
	return atomic_load(&board.vcpus[vcpu]->bus.look_ups) / 2;
}

/* One that is done, and all that the handler and the guest see of it. */
static void access_device(unsigned int vcpu, struct gh_bus_range *range, struct device *device,
			  const struct gh_exit_mmio *mmio)
{
	const struct gh_bus_access expected = { .vcpu = board.vcpus[vcpu],
						.range = range,
						.gpa = mmio->gpa,
						.offset = mmio->gpa % 0x1000,
						.value = mmio->is_store != 0 ? mmio->value & mask_of(mmio->width) : 0,
						.mask = mask_of(mmio->width),
						.width = mmio->width,
						.is_store = mmio->is_store };
	unsigned int calls = device->calls;
	uint64_t value = 0;

	device->answer = mmio->value;
	if (mmio->is_store != 0) {
		ck_assert_int_eq(board_store(&board, vcpu, mmio->gpa, mmio->width, mmio->value), GH_BUS_DONE);
	} else {
		ck_assert_int_eq(board_load(&board, vcpu, mmio->gpa, mmio->width, &value), GH_BUS_DONE);
		ck_assert_uint_eq(value, mmio->value & mask_of(mmio->width));
	}
	ck_assert_uint_eq(device->calls, calls + 1);
	expect_call(&device->log[calls % 32], &expected);
}

/* Each width, each direction, each vCPU. */
START_TEST(test_fields)
{
	DEVICE(device, 0);
	struct gh_bus_range *range = board_add_device(&board, &device, "uart", UART, 0x1000);
	const uint32_t width = 1u << _i % 4;
	const bool is_store = _i % 8 >= 4;
	const unsigned int vcpu = (unsigned int)_i / 8;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		const unsigned int before = look_ups(vcpu);
		const struct gh_exit_mmio mmio = { .gpa = UART + 0x1000 - width,
						   .value = UINT64_C(0x8877665544332211) * (i + 1),
						   .width = width,
						   .is_store = is_store };

		expect_recent(vcpu, mmio.gpa, is_store, i > 0);
		access_device(vcpu, range, &device, &mmio);
		ck_assert_uint_eq(look_ups(vcpu) - before, i == 0);
		/* Of this vCPU, and in this direction. */
		expect_recent(1 - vcpu, mmio.gpa, is_store, false);
		expect_recent(vcpu, mmio.gpa, !is_store, false);
		ck_assert_uint_eq(board_range_counts(range).stores, is_store ? i + 1 : 0);
		ck_assert_uint_eq(board_range_counts(range).loads, is_store ? 0 : i + 1);
	}
	ck_assert_uint_eq(board_range_counts(range).failed + board_range_counts(range).deferred, 0);
}
END_TEST

/* Widths take turns at one address: in a row, and each time another one. */
START_TEST(test_other_width)
{
	DEVICE(device, 0);
	struct gh_bus_range *range = board_add_device(&board, &device, "uart", UART, 0x1000);
	static const uint32_t widths[] = { 1, 2, 2, 4, 4, 8, 8, 1, 8, 4, 1, 4, 2 };

	for (unsigned int i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
		const struct gh_exit_mmio mmio = { .gpa = UART + 0x18,
						   .value = UINT64_C(0xf7f6f5f4f3f2f1f0) - i,
						   .width = widths[i],
						   .is_store = (uint32_t)_i };

		expect_recent(0, mmio.gpa, _i != 0, i > 0);
		access_device(0, range, &device, &mmio);
	}
}
END_TEST

/* Directions take turns, and both are recent at the same time. */
START_TEST(test_other_direction)
{
	DEVICE(device, 0);
	struct gh_bus_range *range = board_add_device(&board, &device, "uart", UART, 0x1000);

	for (unsigned int i = 0; i < 2 * ROUNDS; i++) {
		const struct gh_exit_mmio mmio = { .gpa = UART + 8, .value = 0x5a00 + i, .width = 4, .is_store = i % 2 };

		expect_recent(0, mmio.gpa, i % 2 != 0, i > 1);
		access_device(0, range, &device, &mmio);
	}
	ck_assert_uint_eq(board_range_counts(range).loads, ROUNDS);
	ck_assert_uint_eq(board_range_counts(range).stores, ROUNDS);
}
END_TEST

static unsigned int count_recents(unsigned int vcpu)
{
	const struct gh_bus_slot *slot = &board.vcpus[vcpu]->bus;
	unsigned int count = 0;

	for (unsigned int i = 0; i < GH_BUS_RECENTS; i++)
		count += atomic_load(&slot->recent[i].state) != GH_BUS_NOTHING;
	return count;
}

#define RANGES 5u

/* More than there are places, in several ranges: in turn, then in disorder, with all widths. */
START_TEST(test_many)
{
	static struct device devices[RANGES];
	struct gh_bus_range *ranges[RANGES];
	unsigned int random = 7;
	uint64_t sum = 0;

	memset(devices, 0, sizeof(devices));
	for (unsigned int i = 0; i < RANGES; i++)
		ranges[i] = board_add_device(&board, &devices[i], "one of many", UART + 0x1000 * (uint64_t)i, 0x1000);
	for (unsigned int i = 0; i < 3000; i++) {
		unsigned int n = i < 500 ? i % RANGES : random >> 24 & 0xff;
		const struct gh_exit_mmio mmio = { .gpa = UART + 0x1000 * (uint64_t)(n % RANGES) + n / RANGES * 8,
						   .value = UINT64_C(0x123456789abcdef) * i,
						   .width = 1u << (i < 500 ? 2 : random >> 20 & 3),
						   .is_store = random >> 19 & 1 };

		access_device(i % 3 == 0, ranges[n % RANGES], &devices[n % RANGES], &mmio);
		expect_recent(i % 3 == 0, mmio.gpa, mmio.is_store != 0, true);
		random = random * 1664525 + 1013904223;
	}
	ck_assert_uint_eq(count_recents(0), GH_BUS_RECENTS);
	for (unsigned int i = 0; i < RANGES; i++)
		sum += board_range_counts(ranges[i]).loads + board_range_counts(ranges[i]).stores;
	ck_assert_uint_eq(sum, 3000);
}
END_TEST

/* --- what the handler says ------------------------------------------------------------------------------------------------ */

static const int verdicts[] = {
	GH_BUS_DONE, GH_BUS_DEFER, GH_BUS_FAIL, GH_BUS_UNMATCHED, GH_BUS_UNMATCHED + 1, INT32_MAX, -EIO, INT32_MIN,
};
#define VERDICTS ((int)(sizeof(verdicts) / sizeof(verdicts[0])))

static int expected_result(int verdict, bool is_store)
{
	if (verdict == GH_BUS_FAIL || (verdict == GH_BUS_DEFER && is_store))
		return GH_BUS_DONE;
	return verdict > GH_BUS_UNMATCHED ? -EINVAL : verdict;
}

static bool is_failed(int verdict)
{
	return verdict != GH_BUS_DONE && verdict != GH_BUS_DEFER;
}

static void expect_explained(int verdict, bool is_store, uint64_t gpa)
{
	const struct gh_failure *failure = gh_vcpu_failure(board.vcpus[0]);
	char words[120];

	ck_assert(failure_is(failure, expected_result(verdict, is_store)));
	(void)snprintf(words, sizeof(words), "The handler of \"moody\" returned %d for a %s of 4 bytes at 0x%" PRIx64 ".",
		       verdict, is_store ? "store" : "load", gpa);
	ck_assert_str_eq(failure->cause, words);
}

static void load_moodily(struct device *device, uint64_t gpa)
{
	uint64_t value = 0;
	int ret = board_load(&board, 0, gpa, 4, &value);
	int verdict = device->verdict;

	ck_assert_int_eq(ret, expected_result(verdict, false));
	if (verdict == GH_BUS_DEFER) {
		ck_assert_int_eq(gh_mmio_complete(board.vcpus[0], 0x4444), 0);
		ck_assert_uint_eq(board_answer(&board, 0), 0x4444);
	} else if (verdict == GH_BUS_FAIL) {
		ck_assert_uint_eq(value, BOARD_ABORTED);
	} else {
		ck_assert_uint_eq(value, verdict == GH_BUS_DONE ? 0x76543210 : BOARD_LEFT & UINT32_MAX);
	}
}

static void store_moodily(struct device *device, uint64_t gpa)
{
	ck_assert_int_eq(board_store(&board, 0, gpa, 4, 1), expected_result(device->verdict, true));
	/* A store can be failed once. */
	ck_assert_int_eq(gh_mmio_fail(board.vcpus[0]), device->verdict == GH_BUS_FAIL ? -EBUSY : 0);
}

START_TEST(test_verdicts)
{
	DEVICE(device, .answer = UINT64_C(0xfedcba9876543210), .verdict = verdicts[_i / 2]);
	struct gh_bus_range *range = board_add_device(&board, &device, "moody", UART, 0x1000);
	const bool is_store = _i % 2 != 0;
	const bool is_unmatched = device.verdict == GH_BUS_UNMATCHED;

	for (unsigned int i = 1; i <= ROUNDS; i++) {
		struct gh_bus_range_counts counts;

		expect_recent(0, UART + 4, is_store, i > 1);
		(is_store ? store_moodily : load_moodily)(&device, UART + 4);
		ck_assert_uint_eq(device.calls, i);
		counts = board_range_counts(range);
		ck_assert_uint_eq(counts.loads, is_store ? 0 : i);
		ck_assert_uint_eq(counts.stores, is_store ? i : 0);
		ck_assert_uint_eq(counts.deferred, device.verdict == GH_BUS_DEFER && !is_store ? i : 0);
		ck_assert_uint_eq(counts.failed, is_failed(device.verdict) ? i : 0);
		ck_assert_uint_eq(counts.forbidden, 0);
		ck_assert_uint_eq(board_counts(&board).unmatched_loads, is_unmatched && !is_store ? i : 0);
		ck_assert_uint_eq(board_counts(&board).unmatched_stores, is_unmatched && is_store ? i : 0);
	}
	expect_recent(0, UART + 4, is_store, true);
}
END_TEST

/* The words of it, each time anew; and what comes after it is done. */
START_TEST(test_words)
{
	DEVICE(device, .answer = 1);
	const int verdict = verdicts[_i / 2];
	const bool is_store = _i % 2 != 0;

	if (expected_result(verdict, is_store) >= 0)
		return;
	(void)board_add_device(&board, &device, "moody", UART, 0x1000);
	for (unsigned int i = 0; i < 2 * ROUNDS; i++) {
		const struct gh_exit_mmio mmio = { .gpa = UART, .width = 4, .is_store = is_store };
		const struct gh_exit exit = { .kind = GH_EXIT_MMIO, .mmio = mmio };

		device.verdict = i % 2 == 0 ? verdict : GH_BUS_DONE;
		expect_recent(0, UART, is_store, i > 0);
		board.vcpus[0]->failure.error = 0;
		ck_assert_int_eq(
			(is_store ? gh_fake_store(board.fake, 0, UART, 4, 5) : gh_fake_load(board.fake, 0, UART, 4)), 0);
		ck_assert_uint_eq(run_once(board.vcpus[0])->kind, GH_EXIT_MMIO);
		ck_assert_int_eq(gh_bus_dispatch(board.vcpus[0], &exit),
				 i % 2 == 0 ? expected_result(verdict, is_store) : GH_BUS_DONE);
		if (i % 2 == 0)
			expect_explained(verdict, is_store, UART);
		if (i % 2 == 0 && !is_store)
			ck_assert_int_eq(gh_mmio_complete(board.vcpus[0], 1), 0);
	}
}
END_TEST

/* What nobody takes goes by the policy of the moment; a policy takes nothing away that is recent. */
START_TEST(test_policies)
{
	DEVICE(device, .verdict = GH_BUS_UNMATCHED);
	uint64_t value;

	(void)board_add_device(&board, &device, "picky", UART, 0x1000);
	for (unsigned int i = 0; i < 3 * ROUNDS; i++) {
		const uint32_t policy = (i + (unsigned int)_i) % 3;
		const int expected = policy == GH_BUS_UNMATCHED_PASS ? GH_BUS_UNMATCHED : GH_BUS_DONE;

		board_set_policy(&board, policy, UINT64_C(0x1234567890) + i);
		expect_recent(0, UART, false, i > 0);
		expect_recent(0, UART, true, i > 0);
		ck_assert_int_eq(board_load(&board, 0, UART, 4, &value), expected);
		if (policy == GH_BUS_UNMATCHED_PASS)
			ck_assert_uint_eq(value, BOARD_LEFT & UINT32_MAX);
		else
			ck_assert_uint_eq(value, policy == GH_BUS_UNMATCHED_FAIL ? BOARD_ABORTED : 0x34567890 + i);
		ck_assert_int_eq(board_store(&board, 0, UART, 4, 1), expected);
		ck_assert_int_eq(gh_mmio_fail(board.vcpus[0]), policy == GH_BUS_UNMATCHED_FAIL ? -EBUSY : 0);
		ck_assert_uint_eq(device.calls, 2 * i + 2);
	}
	ck_assert_uint_eq(board_counts(&board).unmatched_loads, 3 * ROUNDS);
	ck_assert_uint_eq(board_counts(&board).unmatched_stores, 3 * ROUNDS);
}
END_TEST

/* A kernel that cannot abort: what fails is unmatched. The script's guest looks at what it reads. */
START_TEST(test_no_abort)
{
	static const char script[] = "load 0x9000000 4; expect 1; store 0x9000000 4 1; load 0x9000000 4; expect 2;"
				     "store 0x9000000 4 1; load 0x9000000 4; expect 2; store 0x9000000 4 1;"
				     "load 0x9000000 4; expect 1; store 0x9000000 4 1; off";
	static const uint32_t policies[] = { GH_BUS_UNMATCHED_PASS, GH_BUS_UNMATCHED_VALUE, GH_BUS_UNMATCHED_FAIL,
					     GH_BUS_UNMATCHED_PASS };
	DEVICE(device, .verdict = GH_BUS_FAIL);
	const struct gh_bus_range_options options = device_options(&device, "failing", UART, 0x1000);
	struct gh_sim *sim = new_sim(GENIEZONE, script);
	struct board other = { .vm = open_sim(sim) };
	struct gh_bus_range *range = NULL;

	other.vcpus[0] = start_standard(other.vm);
	ck_assert_uint_eq(gh_vm_features(other.vm) & GH_FEATURE_MMIO_ABORT, 0);
	ck_assert_int_eq(gh_bus_add(other.vm, &options, &range), 0);
	for (unsigned int i = 0; i < 4; i++) {
		const int expected = policies[i] == GH_BUS_UNMATCHED_PASS ? GH_BUS_UNMATCHED : GH_BUS_DONE;

		board_set_policy(&other, policies[i], 2);
		ck_assert(board_is_recent(&other, 0, UART, false) == (i > 0));
		ck_assert_int_eq(gh_bus_dispatch(other.vcpus[0], run_once(other.vcpus[0])), expected);
		if (expected == GH_BUS_UNMATCHED)
			ck_assert_int_eq(gh_mmio_complete(other.vcpus[0], 1), 0);
		ck_assert(board_is_recent(&other, 0, UART, true) == (i > 0));
		ck_assert_int_eq(gh_bus_dispatch(other.vcpus[0], run_once(other.vcpus[0])), expected);
	}
	ck_assert_uint_eq(run_once(other.vcpus[0])->kind, GH_EXIT_STOPPED);
	ck_assert_uint_eq(board_range_counts(range).failed, 8);
	ck_assert_uint_eq(board_counts(&other).unmatched_loads, 4);
	ck_assert_uint_eq(board_counts(&other).unmatched_stores, 4);
	gh_vm_close(other.vm);
	end_sim(sim);
}
END_TEST

/* --- handlers that do more than to answer ---------------------------------------------------------------------------------- */

static int answering_access(void *data, struct gh_bus_access *access)
{
	struct device *device = data;

	device->calls++;
	ck_assert_int_eq(gh_mmio_complete(access->vcpu, 0x5500 + device->calls), 0);
	access->value = 0x66;
	return device->verdict;
}

/* A handler that has answered says so by DEFER; all that would answer once more finds no load that waits. */
START_TEST(test_answers_itself)
{
	static const struct {
		int verdict;
		int result;
	} cases[] = { { GH_BUS_DEFER, GH_BUS_DEFER },
		      { GH_BUS_DONE, -EBUSY },
		      { GH_BUS_FAIL, -EBUSY },
		      { GH_BUS_UNMATCHED, -EBUSY },
		      { -ENODEV, -ENODEV } };
	DEVICE(device, .verdict = cases[_i].verdict);
	struct gh_bus_range_options options = device_options(&device, "hasty", UART, 0x1000);

	options.access = answering_access;
	(void)board_add(&board, &options);
	board_set_policy(&board, GH_BUS_UNMATCHED_VALUE, 7);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		expect_recent(0, UART, false, i > 0);
		ck_assert_int_eq(gh_fake_load(board.fake, 0, UART, 4), 0);
		ck_assert_int_eq(gh_bus_dispatch(board.vcpus[0], run_once(board.vcpus[0])), cases[_i].result);
		ck_assert_uint_eq(board_answer(&board, 0), 0x5501 + i);
	}
	ck_assert_uint_eq(device.calls, ROUNDS);
}
END_TEST

static bool stops;

/* The VM ends below the handler. */
static int stopping_access(void *data, struct gh_bus_access *access)
{
	access->value = 1;
	if (!stops)
		return GH_BUS_DONE;
	ck_assert_int_eq(gh_fake_stop(board.fake, 1, GH_STOP_RESET), 0);
	ck_assert_uint_eq(run_once(board.vcpus[1])->kind, GH_EXIT_STOPPED);
	return *(int *)data;
}

START_TEST(test_stop)
{
	static int verdict;
	struct gh_bus_range_options options = device_options(NULL, "last", UART, 0x1000);
	uint64_t value;

	verdict = _i % 2 == 0 ? GH_BUS_DONE : GH_BUS_FAIL;
	options.access = stopping_access;
	options.removed = NULL;
	options.data = &verdict;
	(void)board_add(&board, &options);
	stops = false;
	ck_assert_int_eq(board_load(&board, 0, UART, 4, &value), GH_BUS_DONE);
	ck_assert_int_eq(board_store(&board, 0, UART, 4, 1), GH_BUS_DONE);
	stops = true;
	expect_recent(0, UART, _i >= 2, true);
	ck_assert_int_eq((_i >= 2 ? gh_fake_store(board.fake, 0, UART, 4, 1) : gh_fake_load(board.fake, 0, UART, 4)), 0);
	ck_assert_int_eq(gh_bus_dispatch(board.vcpus[0], run_once(board.vcpus[0])), GH_BUS_DONE);
	ck_assert_uint_eq(run_once(board.vcpus[0])->kind, GH_EXIT_STOPPED);
}
END_TEST

/* A device that dispatches: on its own vCPU, which is refused, and vCPU 0's one on vCPU 1. */
static int nested_access(void *data, struct gh_bus_access *access)
{
	struct device *device = data;
	unsigned int vcpu = gh_vcpu_id(access->vcpu);
	uint64_t gpa = access->gpa;

	device->calls++;
	/* The same, another one that is recent, one that is not, and one that there is not. */
	EXPECT(forge(vcpu, gpa, 4, access->is_store) == -EPERM);
	EXPECT(forge(vcpu, gpa, 4, 1 - access->is_store) == -EPERM);
	EXPECT(forge(vcpu, UART + 0x800, 4, 1) == -EPERM);
	EXPECT(forge(vcpu, gpa, 3, 1) == -EINVAL);
	if (vcpu == 0) {
		uint64_t value = 0;

		EXPECT(board_store(&board, 1, UART + 0x10, 4, 1) == GH_BUS_DONE);
		EXPECT(board_load(&board, 1, UART + 0x10, 4, &value) == GH_BUS_DONE);
		EXPECT(value == 0x1000 + device->calls);
	} else {
		/* Round again. */
		EXPECT(forge(0, UART, 4, 1) == -EPERM);
	}
	EXPECT(access->vcpu == board.vcpus[vcpu] && access->gpa == gpa && access->width == 4);
	access->value = 0x1000 + device->calls;
	return GH_BUS_DONE;
}

START_TEST(test_nested)
{
	DEVICE(device, 0);
	struct gh_bus_range_options options = device_options(&device, "nested", UART, 0x1000);
	struct gh_bus_range *range;
	uint64_t value = 0;

	options.access = nested_access;
	range = board_add(&board, &options);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		expect_recent(0, UART, true, i > 0);
		ck_assert_int_eq(board_store(&board, 0, UART, 4, 1), GH_BUS_DONE);
		expect_recent(0, UART, false, i > 0);
		expect_recent(1, UART + 0x10, true, true);
		expect_recent(1, UART + 0x10, false, true);
		ck_assert_int_eq(board_load(&board, 0, UART, 4, &value), GH_BUS_DONE);
		ck_assert_uint_eq(value, 0x1000 + device.calls);
	}
	ck_assert_uint_eq(device.calls, ROUNDS * 6);
	ck_assert_uint_eq(board_range_counts(range).loads, ROUNDS * 3);
	ck_assert_uint_eq(board_range_counts(range).stores, ROUNDS * 3);
}
END_TEST

/* --- what is never recent -------------------------------------------------------------------------------------------------- */

START_TEST(test_odd)
{
	static const struct {
		uint32_t guest_widths;
		uint32_t handler_widths;
		uint32_t flags;
		uint32_t offset;
		uint32_t width;
		unsigned int calls; /* for each access */
		bool recent;
	} cases[] = {
		{ 0, 4, 0, 8, 8, 2, false },                    /* split */
		{ 0, 4, 0, 8, 1, 1, false },                    /* widened */
		{ 0, 4, 0, 8, 4, 1, true },                     /* as it is */
		{ 0, 4, GH_BUS_UNALIGNED, 6, 4, 2, false },     /* misaligned, and split for that */
		{ 0, 0, GH_BUS_UNALIGNED, 6, 4, 1, false },     /* misaligned */
		{ 0, 0, GH_BUS_UNALIGNED, 8, 4, 1, true },      /* not */
		{ 0, 0, 0, 6, 4, 0, false },                    /* may not be */
		{ GH_BUS_32, 0, 0, 8, 2, 0, false },            /* may not be that narrow */
		{ GH_BUS_32, 0, 0, 8, 4, 1, true },             /* but that wide */
		{ 0, 0, GH_BUS_UNALIGNED, 0xffe, 4, 0, false }, /* across the end */
		{ 0, 0, 0, 0x1000, 4, 0, false },               /* behind it */
	};
	DEVICE(device, .answer = UINT64_C(0x8080808080808080));
	struct gh_bus_range_options options = device_options(&device, "odd", UART, 0x1000);
	const uint64_t gpa = UART + cases[_i].offset;
	uint64_t value;

	options.guest_widths = cases[_i].guest_widths;
	options.handler_widths = cases[_i].handler_widths;
	options.flags = cases[_i].flags;
	(void)board_add(&board, &options);
	for (unsigned int i = 1; i <= ROUNDS; i++) {
		const int expected = cases[_i].calls > 0 ? GH_BUS_DONE : GH_BUS_UNMATCHED;

		ck_assert_int_eq(board_store(&board, 0, gpa, cases[_i].width, 1), expected);
		ck_assert_int_eq(board_load(&board, 0, gpa, cases[_i].width, &value), expected);
		if (expected == GH_BUS_DONE)
			ck_assert_uint_eq(value, device.answer & mask_of(cases[_i].width));
		expect_recent(0, gpa, true, cases[_i].recent);
		expect_recent(0, gpa, false, cases[_i].recent);
		ck_assert_uint_eq(device.calls, 2 * i * cases[_i].calls);
	}
	ck_assert_uint_eq(count_recents(0), cases[_i].recent ? 2 : 0);
}
END_TEST
#define ODD 11

static struct gh_sys poor; /* a kernel's table without membarrier() */

static int no_barrier(struct gh_sys *sys, int command)
{
	(void)sys;
	(void)command;
	return -ENOSYS;
}

START_TEST(test_no_barrier)
{
	DEVICE(device, 0);
	struct gh_sys *rich = board.vm->b.sys;
	struct gh_bus_range *range;

	poor = *rich;
	poor.membarrier = no_barrier;
	board.vm->b.sys = &poor;
	range = board_add_device(&board, &device, "uart", UART, 0x1000);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		const struct gh_exit_mmio mmio = { .gpa = UART, .value = i, .width = 4, .is_store = i % 2 };

		access_device(0, range, &device, &mmio);
		ck_assert_uint_eq(count_recents(0), 0);
	}
	gh_bus_remove(range);
	ck_assert_int_eq(forge(0, UART, 4, 1), GH_BUS_UNMATCHED);
	board.vm->b.sys = rich;
}
END_TEST

/* --- exits that no kernel makes --------------------------------------------------------------------------------------------- */

static void expect_forged(const struct device *device)
{
	static const uint32_t widths[] = { 0, 3, 5, 16, 0x80000004, UINT32_MAX };
	static const uint64_t addresses[] = { 0, UART, UART + 4, UINT64_MAX };
	const unsigned int calls = device->calls;

	for (unsigned int i = 0; i < sizeof(widths) / sizeof(widths[0]); i++)
		for (unsigned int j = 0; j < 4; j++)
			for (uint32_t is_store = 0; is_store < 3; is_store++)
				ck_assert_int_eq(forge(0, addresses[j], widths[i], is_store), -EINVAL);
	/* Some have the same place as what is recent there. */
	for (uint32_t is_store = 2; is_store < 200; is_store++)
		for (unsigned int j = 0; j < 4; j++)
			ck_assert_int_eq(forge(0, addresses[j], 4, is_store), -EINVAL);
	for (unsigned int j = 0; j < 4; j++) {
		ck_assert_int_eq(forge(0, addresses[j], 4, UINT32_MAX), -EINVAL);
		/* Which the same place is looked at for. */
		ck_assert_int_eq(forge(0, addresses[j] - 1, 4, 3), -EINVAL);
	}
	ck_assert_uint_eq(device->calls, calls);
}

START_TEST(test_forged)
{
	DEVICE(device, .answer = 3);
	DEVICE(bottom, .answer = 4);
	struct gh_bus_range *range;
	uint64_t value;

	/* With nothing at all, then with a range at the address of what is empty, then with recent ones. */
	expect_forged(&device);
	range = board_add_device(&board, &bottom, "bottom", 0, 0x1000);
	expect_forged(&bottom);
	(void)board_add_device(&board, &device, "uart", UART, 0x1000);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		ck_assert_int_eq(board_store(&board, 0, UART, 4, 1), GH_BUS_DONE);
		ck_assert_int_eq(board_load(&board, 0, UART + 4, 4, &value), GH_BUS_DONE);
		ck_assert_int_eq(board_store(&board, 0, 0, 4, 1), GH_BUS_DONE);
		ck_assert_int_eq(board_load(&board, 0, 0, 8, &value), GH_BUS_DONE);
		expect_recent(0, UART + 4, false, true);
		expect_forged(&device);
		expect_recent(0, UART + 4, false, true);
	}
	ck_assert_uint_eq(bottom.calls, 2 * ROUNDS);
	/* A load that nobody waits for reaches the handler, as ever. */
	ck_assert_int_eq(forge(0, UART + 4, 4, 0), -EBUSY);
	gh_bus_remove(range);
	ck_assert_uint_eq(count_recents(0), 0);
	expect_forged(&device);
	ck_assert_int_eq(forge(0, 0, 4, 1), GH_BUS_UNMATCHED);
	ck_assert_int_eq(forge(0, UART, 4, 1), GH_BUS_DONE);
	ck_assert_uint_eq(bottom.calls, 2 * ROUNDS);
}
END_TEST

/* Whatever came in between, what is recent needs no look-up. */
START_TEST(test_in_between)
{
	DEVICE(device, .answer = 3);
	/* With the recent access where exits of its kind have none. */
	const struct gh_exit other = { .kind = GH_EXIT_HYPERCALL, .mmio = { .gpa = UART, .width = 4, .is_store = 1 } };
	uint64_t value;

	(void)board_add_device(&board, &device, "uart", UART, 0x1000);
	ck_assert_int_eq(board_store(&board, 0, UART, 4, 1), GH_BUS_DONE);
	for (unsigned int i = 0; i < 5 * ROUNDS; i++) {
		unsigned int before;

		if (i % 5 == 0)
			ck_assert_int_eq(forge(0, UART, 3, 1), -EINVAL);
		else if (i % 5 == 1)
			ck_assert_int_eq(gh_bus_dispatch(board.vcpus[0], &other), GH_BUS_UNMATCHED);
		else if (i % 5 == 2)
			ck_assert_int_eq(board_store(&board, 0, 0, 4, 1), GH_BUS_UNMATCHED);
		else if (i % 5 == 3)
			ck_assert_int_eq(board_load(&board, 0, UART - 4, 4, &value), GH_BUS_UNMATCHED);
		else
			board_set_policy(&board, GH_BUS_UNMATCHED_PASS, i);
		before = look_ups(0);
		ck_assert_int_eq(board_store(&board, 0, UART, 4, 1), GH_BUS_DONE);
		ck_assert_uint_eq(look_ups(0), before);
	}
	ck_assert_uint_eq(device.calls, 1 + 5 * ROUNDS);
}
END_TEST

/* --- several threads -------------------------------------------------------------------------------------------------------- */

struct visit {
	struct gh_bus_range *range;
	struct device *device;
	unsigned int rounds;
};

static void *visit(void *data)
{
	const struct visit *visit = data;

	for (unsigned int i = 0; i < visit->rounds; i++) {
		const struct gh_exit_mmio mmio = { .gpa = UART, .value = 0xab + i, .width = 2, .is_store = i % 2 };

		access_device(0, visit->range, visit->device, &mmio);
	}
	return NULL;
}

static const void *dispatcher(unsigned int vcpu)
{
	return atomic_load(&board.vcpus[vcpu]->bus.live->at);
}

/* What is recent for one thread serves the next one, which is known from its first access on. */
START_TEST(test_handed_over)
{
	DEVICE(device, 0);
	struct visit data = { .device = &device, .rounds = (unsigned int)_i };

	data.range = board_add_device(&board, &device, "uart", UART, 0x1000);
	(void)visit(&(struct visit){ data.range, &device, 4 });
	for (unsigned int i = 0; i < 3; i++) {
		const void *mine = dispatcher(0);
		pthread_t thread;

		expect_recent(0, UART, true, true);
		ck_assert_ptr_nonnull(mine);
		ck_assert_int_eq(pthread_create(&thread, NULL, visit, &data), 0);
		ck_assert_int_eq(pthread_join(thread, NULL), 0);
		ck_assert_ptr_ne(dispatcher(0), mine);
		expect_recent(0, UART, true, true);
		(void)visit(&data);
		ck_assert_ptr_eq(dispatcher(0), mine);
	}
	ck_assert_uint_eq(device.calls, 4 + 6 * (unsigned int)_i);
}
END_TEST

struct remover {
	struct gh_bus_range *range;
	bool armed;
	unsigned int removed;
};

static int removing_access(void *data, struct gh_bus_access *access)
{
	struct remover *remover = data;

	(void)access;
	if (remover->armed)
		gh_bus_remove(remover->range);
	EXPECT(remover->removed == 0);
	return GH_BUS_DONE;
}

static void remover_removed(void *data)
{
	((struct remover *)data)->removed++;
}

static void *store_there(void *data)
{
	*(int *)data = board_store(&board, 0, UART, 4, 1);
	return NULL;
}

/* A handler on the other thread is in a handler as well: it may remove itself without waiting for itself. */
START_TEST(test_removed_by_next)
{
	static struct remover remover;
	struct gh_bus_range_options options = device_options(NULL, "remover", UART, 0x1000);
	pthread_t thread;
	int ret = -1;

	remover = (struct remover){ .armed = false };
	options.access = removing_access;
	options.removed = remover_removed;
	options.data = &remover;
	remover.range = board_add(&board, &options);
	for (unsigned int i = 0; i < ROUNDS; i++)
		ck_assert_int_eq(board_store(&board, 0, UART, 4, 1), GH_BUS_DONE);
	remover.armed = true;
	expect_recent(0, UART, true, true);
	ck_assert_int_eq(pthread_create(&thread, NULL, store_there, &ret), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(ret, GH_BUS_DONE);
	ck_assert_uint_eq(remover.removed, 1);
	ck_assert_int_eq(board_store(&board, 0, UART, 4, 1), GH_BUS_UNMATCHED);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bus_recent");
	TCase *tcase = add_case(suite, "bus_recent");

	tcase_add_checked_fixture(tcase, begin, end);
	tcase_add_loop_test(tcase, test_fields, 0, 16);
	tcase_add_loop_test(tcase, test_other_width, 0, 2);
	tcase_add_test(tcase, test_other_direction);
	tcase_add_test(tcase, test_many);
	tcase_add_loop_test(tcase, test_verdicts, 0, 2 * VERDICTS);
	tcase_add_loop_test(tcase, test_words, 0, 2 * VERDICTS);
	tcase_add_loop_test(tcase, test_policies, 0, 3);
	tcase_add_test(tcase, test_no_abort);
	tcase_add_loop_test(tcase, test_answers_itself, 0, 5);
	tcase_add_loop_test(tcase, test_stop, 0, 4);
	tcase_add_test(tcase, test_nested);
	tcase_add_loop_test(tcase, test_odd, 0, ODD);
	tcase_add_test(tcase, test_no_barrier);
	tcase_add_test(tcase, test_forged);
	tcase_add_test(tcase, test_in_between);
	tcase_add_loop_test(tcase, test_handed_over, 1, 4);
	tcase_add_test(tcase, test_removed_by_next);
	return run_suite(suite);
}
