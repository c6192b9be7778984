/* SPDX-License-Identifier: BSD-3-Clause */
/* The bus as a VMM sees it: who gets which access, what the guest reads, what is refused. */
#include "board.h"

#include "bus_recent.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define UART UINT64_C(0x9000000)

static struct board board;

static void begin(void)
{
	board_begin(&board, 2);
}

static void end(void)
{
	board_end(&board);
}

/* --- who gets it ------------------------------------------------------------------------------------------------------ */

START_TEST(test_access)
{
	DEVICE(device, .answer = UINT64_C(0x1122334455667788));
	struct gh_bus_range *range = board_add_device(&board, &device, "uart", UART, 0x1000);
	const struct gh_bus_access *log = device.log;
	uint64_t value;

	ck_assert_int_eq(board_store(&board, 0, UART + 0x10, 4, 0xfffffedcba98), GH_BUS_DONE);
	ck_assert_int_eq(board_load(&board, 1, UART + 0xffe, 2, &value), GH_BUS_DONE);
	ck_assert_uint_eq(value, 0x7788);
	ck_assert_int_eq(board_load(&board, 1, UART, 8, &value), GH_BUS_DONE);
	ck_assert_uint_eq(value, device.answer);
	ck_assert_uint_eq(device.calls, 3);
	ck_assert(log[0].vcpu == board.vcpus[0] && log[1].vcpu == board.vcpus[1] && log[2].vcpu == board.vcpus[1]);
	ck_assert_ptr_eq(log[0].range, range);
	ck_assert_uint_eq(log[0].gpa, UART + 0x10);
	ck_assert_uint_eq(log[0].offset, 0x10);
	ck_assert_uint_eq(log[0].value, 0xfedcba98);
	ck_assert_uint_eq(log[0].mask, UINT32_MAX);
	ck_assert_uint_eq(log[0].width, 4);
	ck_assert_uint_eq(log[0].is_store, 1);
	ck_assert_ptr_eq(log[1].range, range);
	ck_assert_uint_eq(log[1].gpa, UART + 0xffe);
	ck_assert_uint_eq(log[1].offset, 0xffe);
	ck_assert_uint_eq(log[1].value, 0);
	ck_assert_uint_eq(log[1].mask, 0xffff);
	ck_assert_uint_eq(log[1].width, 2);
	ck_assert_uint_eq(log[1].is_store, 0);
	ck_assert_uint_eq(log[2].mask, UINT64_MAX);
}
END_TEST

/* Ranges of different lengths with gaps between them, added in disorder; every boundary, then after taking out every third. */
#define MANY 150u

static uint64_t place(unsigned int i)
{
	return 0x10000 + (uint64_t)i * 0x100;
}

static void look_at_all(struct device *devices, const bool *present, const uint64_t *lengths)
{
	for (unsigned int i = 0; i < MANY; i++) {
		const uint64_t at[] = { place(i), place(i) + lengths[i] - 1, place(i) + lengths[i], place(i) - 1 };

		for (unsigned int j = 0; j < 4; j++) {
			unsigned int calls = devices[i].calls;
			bool inside = present[i] && j < 2;

			ck_assert_int_eq(board_store(&board, j % 2, at[j], 1, 1), inside ? GH_BUS_DONE : GH_BUS_UNMATCHED);
			ck_assert_uint_eq(devices[i].calls, calls + inside);
		}
	}
}

START_TEST(test_many)
{
	static struct device devices[MANY];
	struct gh_bus_range *ranges[MANY];
	uint64_t lengths[MANY];
	bool present[MANY];

	memset(devices, 0, sizeof(devices));
	for (unsigned int i = 0; i < MANY; i++) {
		/* 77 has no factor in common with their number. */
		unsigned int at = i * 77 % MANY;

		lengths[at] = 1 + at * 5 % 0xfe;
		present[at] = true;
		ranges[at] = board_add_device(&board, &devices[at], "one of many", place(at), lengths[at]);
	}
	look_at_all(devices, present, lengths);
	for (unsigned int i = 0; i < MANY; i += 3) {
		gh_bus_remove(ranges[i]);
		present[i] = false;
		ck_assert_uint_eq(devices[i].removed, 1);
	}
	look_at_all(devices, present, lengths);
	/* In the old place, a new one that counts from 0. */
	ranges[3] = board_add_device(&board, &devices[3], "again", place(3), lengths[3]);
	present[3] = true;
	ck_assert_uint_eq(board_range_counts(ranges[3]).stores, 0);
	look_at_all(devices, present, lengths);
	ck_assert_uint_eq(board_range_counts(ranges[3]).stores, 2);
	ck_assert_uint_eq(board_range_counts(ranges[4]).stores, 6);
}
END_TEST

/* Registers or devices next to each other, wherever they are, keep out of each other's places. */
START_TEST(test_places)
{
	static const uint64_t distances[] = {
		1, 2, 4, 8, 16, 32, 64, 128, 0x100, 0x200, 0x400, 0x1000, 0x10000, 0x20000, 0x200000,
	};
	static struct gh_bus_slot slot;
	const uint64_t distance = distances[_i];

	for (uint64_t gpa = 0; gpa < UINT64_C(1) << 52; gpa = gpa * 3 + 0x1004) {
		for (uint32_t is_store = 0; is_store < 2; is_store++) {
			bool taken[GH_BUS_RECENTS] = { false };
			unsigned int places = 0;

			for (unsigned int i = 0; i < 16; i++) {
				size_t place = (size_t)(gh_bus_place(&slot, gpa + i * distance, is_store) - slot.recent);

				EXPECT(place < GH_BUS_RECENTS);
				places += !taken[place];
				taken[place] = true;
			}
			ck_assert_uint_eq(places, 16);
		}
		for (unsigned int i = 0; i < 4 * 4; i++)
			ck_assert_ptr_ne(gh_bus_place(&slot, gpa + i / 4 * distance, 0),
					 gh_bus_place(&slot, gpa + i % 4 * distance, 1));
	}
}
END_TEST

/* All of the access, and nothing that wraps. */
START_TEST(test_whole_access)
{
	DEVICE(low, 0);
	DEVICE(high, 0);
	DEVICE(top, 0);
	struct gh_exit exit = { .kind = GH_EXIT_MMIO };
	struct gh_bus_range_options options = device_options(&low, "low", 0x1000, 6);
	uint64_t value;

	options.flags = GH_BUS_UNALIGNED;
	(void)board_add(&board, &options);
	options = device_options(&high, "high", 0x1006, 2);
	options.flags = GH_BUS_UNALIGNED;
	(void)board_add(&board, &options);
	ck_assert_int_eq(board_store(&board, 0, 0x1002, 4, 1), GH_BUS_DONE);
	ck_assert_int_eq(board_store(&board, 0, 0x1004, 4, 1), GH_BUS_UNMATCHED);
	ck_assert_int_eq(board_store(&board, 0, 0x1003, 4, 1), GH_BUS_UNMATCHED);
	ck_assert_int_eq(board_store(&board, 0, 0x1005, 2, 1), GH_BUS_UNMATCHED);
	ck_assert_int_eq(board_load(&board, 0, 0x1000, 8, &value), GH_BUS_UNMATCHED);
	ck_assert_int_eq(board_store(&board, 0, 0x1006, 2, 1), GH_BUS_DONE);
	ck_assert_int_eq(board_store(&board, 0, 0x1007, 2, 1), GH_BUS_UNMATCHED);
	ck_assert_uint_eq(low.calls, 1);
	ck_assert_uint_eq(high.calls, 1);
	/* The last bytes of the address space, and what a broken kernel could say of them. */
	options = device_options(&top, "top", UINT64_MAX - 15, 16);
	options.flags = GH_BUS_UNALIGNED;
	(void)board_add(&board, &options);
	(void)board_add_device(&board, &low, "bottom", 0, 16);
	exit.mmio.is_store = 1;
	for (uint64_t back = 0; back < 16; back++) {
		for (exit.mmio.width = 1; exit.mmio.width <= 8; exit.mmio.width *= 2) {
			exit.mmio.gpa = UINT64_MAX - back;
			ck_assert_int_eq(gh_bus_dispatch(board.vcpus[0], &exit),
					 exit.mmio.width <= back + 1 ? GH_BUS_DONE : GH_BUS_UNMATCHED);
		}
	}
	ck_assert_uint_eq(low.calls, 1);
	ck_assert_uint_eq(top.calls, 16 + 15 + 13 + 9);
}
END_TEST

/* --- adding ----------------------------------------------------------------------------------------------------------- */

static void expect_refusal(const struct gh_bus_range_options *options, int error, const char *words)
{
	int mark = 0;
	struct gh_bus_range *range = (void *)&mark;

	ck_assert_int_eq(gh_bus_add(board.vm, options, &range), error);
	ck_assert_ptr_eq(range, (void *)&mark);
	if (words == NULL)
		return;
	ck_assert(failure_is(gh_vm_failure(board.vm), error));
	ck_assert_msg(strstr(gh_vm_failure(board.vm)->cause, words) != NULL, "%s", gh_vm_failure(board.vm)->cause);
}

START_TEST(test_bad_ranges)
{
	DEVICE(device, 0);
	const struct gh_bus_range_options good = device_options(&device, "good", 0x1000, 0x1000);
	struct gh_bus_range_options bad = good;
	struct gh_bus_range *range;

	ck_assert_int_eq(gh_bus_add(NULL, &good, &range), -EINVAL);
	ck_assert_int_eq(gh_bus_add(board.vm, NULL, &range), -EINVAL);
	for (bad.size = 0; bad.size < sizeof(bad); bad.size++)
		expect_refusal(&bad, -EINVAL, NULL);
	bad = good;
	bad.access = NULL;
	expect_refusal(&bad, -EINVAL, "handler");
	bad = good;
	bad.length = 0;
	expect_refusal(&bad, -EINVAL, "length");
	bad = good;
	bad.guest_widths = 16;
	expect_refusal(&bad, -EINVAL, "bit");
	bad = good;
	bad.handler_widths = 32 | 4;
	expect_refusal(&bad, -EINVAL, "bit");
	bad = good;
	bad.flags = 2;
	expect_refusal(&bad, -EINVAL, "bit");
	bad = good;
	bad.reserved = 1;
	expect_refusal(&bad, -EINVAL, "reserved");
	bad = good;
	bad.gpa = UINT64_MAX - 0xffe;
	expect_refusal(&bad, -ERANGE, "wraps");
	bad = good;
	bad.length = UINT64_MAX;
	expect_refusal(&bad, -ERANGE, "wraps");
	/* Whole registers. */
	bad = good;
	bad.handler_widths = GH_BUS_32 | GH_BUS_64;
	bad.gpa = 0x1004;
	expect_refusal(&bad, -EINVAL, "8 bytes");
	bad.gpa = 0x1008;
	bad.length = 12;
	expect_refusal(&bad, -EINVAL, "8 bytes");
	bad.handler_widths = GH_BUS_32;
	ck_assert_int_eq(gh_bus_add(board.vm, &bad, NULL), 0);
	/* Nothing was left by the others. */
	ck_assert_int_eq(board_store(&board, 0, 0x1000, 1, 0), GH_BUS_UNMATCHED);
	ck_assert_uint_eq(device.removed, 0);
}
END_TEST

START_TEST(test_names)
{
	DEVICE(device, 0);
	struct gh_bus_range_options options = device_options(&device, "", 0x1000, 8);
	char name[66];

	expect_refusal(&options, -EINVAL, "name");
	options.name = NULL;
	expect_refusal(&options, -EINVAL, "name");
	memset(name, 'x', sizeof(name));
	name[64] = '\0';
	options.name = name;
	expect_refusal(&options, -EINVAL, "name");
	name[63] = '\0';
	(void)board_add(&board, &options);
	/* It is a copy. */
	memset(name, 'y', 63);
	options.name = "other";
	expect_refusal(&options, -EEXIST, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"");
	options.gpa = 0x2000;
	for (int byte = 1; byte < 256; byte++) {
		const char text[] = { 'a', (char)byte, '\0' };

		options.name = text;
		if (byte < 0x20 || byte > 0x7e)
			expect_refusal(&options, -EINVAL, "name");
		else
			gh_bus_remove(board_add(&board, &options));
	}
}
END_TEST

/* Every way in which two ranges can lie to each other. */
START_TEST(test_overlap)
{
	DEVICE(device, 0);
	struct gh_bus_range *inner = board_add_device(&board, &device, "inner", 0x110, 4);
	struct gh_bus_range *far = board_add_device(&board, &device, "far", 0x200, 4);
	char words[80];

	for (uint64_t gpa = 0x10c; gpa < 0x118; gpa++) {
		for (uint64_t length = 1; length < 10; length++) {
			const struct gh_bus_range_options options = device_options(&device, "new", gpa, length);

			if (gpa < 0x114 && gpa + length > 0x110)
				expect_refusal(&options, -EEXIST, "\"inner\" at 0x110 to 0x113");
			else
				gh_bus_remove(board_add(&board, &options));
			(void)snprintf(words, sizeof(words), "\"new\" at 0x%llx to 0x%llx", (unsigned long long)gpa,
				       (unsigned long long)(gpa + length - 1));
			if (gpa < 0x114 && gpa + length > 0x110)
				ck_assert_ptr_nonnull(strstr(gh_vm_failure(board.vm)->cause, words));
		}
	}
	gh_bus_remove(inner);
	gh_bus_remove(far);
	gh_bus_remove(NULL);
	/* All of the address space but its last byte. */
	(void)board_add_device(&board, &device, "everything", 0, UINT64_MAX);
	ck_assert_int_eq(board_store(&board, 0, 0x110, 4, 0), GH_BUS_DONE);
	(void)board_add_device(&board, &device, "last", UINT64_MAX, 1);
}
END_TEST

/* In each state of the VM; a vCPU that comes later finds and counts everything. */
START_TEST(test_states)
{
	DEVICE(device, .answer = 7);
	struct gh_fake *fake = new_fake();
	struct gh_vm *vm = open_fake(fake);
	struct gh_exit exit = { .kind = GH_EXIT_MMIO, .mmio = { .gpa = 0x1000, .width = 4, .is_store = 1 } };
	const struct gh_bus_range_options options = device_options(&device, "early", 0x1000, 0x1000);
	struct gh_bus_range *range = NULL;
	struct gh_vcpu *early = add_vcpu(vm, 1);
	struct gh_vcpu *late;

	ck_assert_int_eq(gh_bus_dispatch(early, &exit), GH_BUS_UNMATCHED);
	ck_assert_int_eq(gh_bus_add(vm, &options, &range), 0);
	ck_assert_int_eq(gh_bus_dispatch(early, &exit), GH_BUS_DONE);
	(void)start_simply(vm);
	late = add_vcpu(vm, 2);
	ck_assert_int_eq(gh_bus_dispatch(late, &exit), GH_BUS_DONE);
	ck_assert_uint_eq(board_range_counts(range).stores, 2);
	/* After the end as well. */
	ck_assert_int_eq(gh_fake_stop(fake, 1, GH_STOP_POWER_OFF), 0);
	ck_assert_uint_eq(run_once(early)->kind, GH_EXIT_STOPPED);
	gh_bus_remove(range);
	ck_assert_int_eq(gh_bus_dispatch(late, &exit), GH_BUS_UNMATCHED);
	ck_assert_int_eq(gh_bus_add(vm, &options, &range), 0);
	ck_assert_int_eq(gh_bus_dispatch(late, &exit), GH_BUS_DONE);
	ck_assert_uint_eq(device.removed, 1);
	gh_vm_close(vm);
	ck_assert_uint_eq(device.removed, 2);
	gh_fake_free(fake);
}
END_TEST

/* --- what becomes of it ------------------------------------------------------------------------------------------------- */

START_TEST(test_unmatched)
{
	struct gh_bus_unmatched_options bad = GH_BUS_UNMATCHED_OPTIONS_INIT;
	uint64_t value;

	ck_assert_int_eq(board_store(&board, 0, UART, 4, 1), GH_BUS_UNMATCHED);
	ck_assert_int_eq(board_load(&board, 0, UART, 8, &value), GH_BUS_UNMATCHED);
	ck_assert_uint_eq(value, BOARD_LEFT);
	board_set_policy(&board, GH_BUS_UNMATCHED_VALUE, UINT64_MAX - 1);
	ck_assert_int_eq(board_store(&board, 0, UART, 4, 1), GH_BUS_DONE);
	ck_assert_int_eq(board_load(&board, 1, UART, 2, &value), GH_BUS_DONE);
	ck_assert_uint_eq(value, 0xfffe);
	board_set_policy(&board, GH_BUS_UNMATCHED_FAIL, 5);
	ck_assert_int_eq(board_store(&board, 1, UART, 4, 1), GH_BUS_DONE);
	/* It has been failed: a store can be only once. */
	ck_assert_int_eq(gh_mmio_fail(board.vcpus[1]), -EBUSY);
	ck_assert_int_eq(board_load(&board, 0, UART, 8, &value), GH_BUS_DONE);
	ck_assert_uint_eq(value, BOARD_ABORTED);
	board_set_policy(&board, GH_BUS_UNMATCHED_PASS, 5);
	ck_assert_int_eq(board_load(&board, 0, UART, 8, &value), GH_BUS_UNMATCHED);
	ck_assert_uint_eq(board_counts(&board).unmatched_loads, 4);
	ck_assert_uint_eq(board_counts(&board).unmatched_stores, 3);
	bad.policy = 3;
	ck_assert_int_eq(gh_bus_set_unmatched(board.vm, &bad), -EINVAL);
	ck_assert(failure_is(gh_vm_failure(board.vm), -EINVAL));
	bad.policy = GH_BUS_UNMATCHED_VALUE;
	bad.reserved = 1;
	ck_assert_int_eq(gh_bus_set_unmatched(board.vm, &bad), -EINVAL);
	bad.reserved = 0;
	bad.size--;
	ck_assert_int_eq(gh_bus_set_unmatched(board.vm, &bad), -EINVAL);
	ck_assert_int_eq(gh_bus_set_unmatched(board.vm, NULL), -EINVAL);
	ck_assert_int_eq(gh_bus_set_unmatched(NULL, &bad), -EINVAL);
	ck_assert_int_eq(board_store(&board, 0, UART, 4, 1), GH_BUS_UNMATCHED);
}
END_TEST

/* On the first access, which looks the range up, and on the second one, which does not. */
START_TEST(test_verdicts)
{
	DEVICE(device, .verdict = GH_BUS_FAIL);
	struct gh_bus_range *range = board_add_device(&board, &device, "moody", UART, 0x1000);
	uint64_t value;

	for (int i = 0; i < 2; i++) {
		device.verdict = GH_BUS_FAIL;
		ck_assert_int_eq(board_load(&board, 0, UART, 4, &value), GH_BUS_DONE);
		ck_assert_uint_eq(value, BOARD_ABORTED);
		ck_assert_int_eq(board_store(&board, 0, UART, 4, 0), GH_BUS_DONE);
		ck_assert_int_eq(gh_mmio_fail(board.vcpus[0]), -EBUSY);
		device.verdict = GH_BUS_UNMATCHED;
		ck_assert_int_eq(board_load(&board, 0, UART, 4, &value), GH_BUS_UNMATCHED);
		ck_assert_uint_eq(value, BOARD_LEFT & UINT32_MAX);
		ck_assert_int_eq(board_store(&board, 0, UART, 4, 0), GH_BUS_UNMATCHED);
		device.verdict = -EIO;
		ck_assert_int_eq(board_load(&board, 0, UART, 4, &value), -EIO);
		ck_assert_uint_eq(value, BOARD_LEFT & UINT32_MAX);
		ck_assert_int_eq(board_store(&board, 0, UART, 4, 0), -EIO);
		ck_assert(failure_is(gh_vcpu_failure(board.vcpus[0]), -EIO));
		ck_assert_ptr_nonnull(strstr(gh_vcpu_failure(board.vcpus[0])->cause, "\"moody\""));
		device.verdict = 4;
		ck_assert_int_eq(board_store(&board, 0, UART, 4, 0), -EINVAL);
		ck_assert(failure_is(gh_vcpu_failure(board.vcpus[0]), -EINVAL));
		device.verdict = INT32_MAX;
		ck_assert_int_eq(board_load(&board, 0, UART, 4, &value), -EINVAL);
		device.verdict = GH_BUS_DONE;
		ck_assert_int_eq(board_load(&board, 0, UART, 4, &value), GH_BUS_DONE);
	}
	ck_assert_uint_eq(board_range_counts(range).loads, 10);
	ck_assert_uint_eq(board_range_counts(range).stores, 8);
	ck_assert_uint_eq(board_range_counts(range).failed, 16);
	ck_assert_uint_eq(board_range_counts(range).deferred, 0);
	ck_assert_uint_eq(board_counts(&board).unmatched_loads, 2);
	ck_assert_uint_eq(board_counts(&board).unmatched_stores, 2);
}
END_TEST

START_TEST(test_deferred)
{
	DEVICE(device, .verdict = GH_BUS_DEFER);
	struct gh_bus_range *range = board_add_device(&board, &device, "slow", UART, 0x1000);
	const struct gh_exit *exit;
	uint64_t value;

	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(board_load(&board, 0, UART, 4, &value), GH_BUS_DEFER);
		ck_assert_int_eq(gh_vcpu_run(board.vcpus[0], &exit), -EBUSY);
		/* Also when the device has gone. */
		if (i == 1)
			gh_bus_remove(range);
		ck_assert_int_eq(gh_mmio_complete(board.vcpus[0], 0x1234), 0);
		ck_assert_uint_eq(board_answer(&board, 0), 0x1234);
		if (i == 1)
			return;
		/* Nobody waits for a store. */
		ck_assert_int_eq(board_store(&board, 0, UART, 4, 1), GH_BUS_DONE);
		ck_assert_uint_eq(board_range_counts(range).deferred, 1);
		ck_assert_uint_eq(board_range_counts(range).failed, 0);
	}
}
END_TEST

/* A kernel that cannot abort: what fails is unmatched. */
START_TEST(test_no_abort)
{
	static const char script[] =
		"load 0x9000000 4; expect 0x77; load 0x9000000 4; expect 0x88; store 0x9000000 4 1; off";
	DEVICE(device, .verdict = GH_BUS_FAIL);
	const struct gh_bus_range_options options = device_options(&device, "failing", UART, 0x1000);
	struct gh_bus_unmatched_options unmatched = GH_BUS_UNMATCHED_OPTIONS_INIT;
	struct gh_bus_counts counts = GH_BUS_COUNTS_INIT;
	struct gh_sim *sim = new_sim("sim:gzvm/v9", script);
	struct gh_vm *vm = open_sim(sim);
	struct gh_vcpu *vcpu = start_standard(vm);

	ck_assert_uint_eq(gh_vm_features(vm) & GH_FEATURE_MMIO_ABORT, 0);
	ck_assert_int_eq(gh_bus_add(vm, &options, NULL), 0);
	ck_assert_int_eq(gh_bus_dispatch(vcpu, run_once(vcpu)), GH_BUS_UNMATCHED);
	ck_assert_int_eq(gh_mmio_complete(vcpu, 0x77), 0);
	unmatched.policy = GH_BUS_UNMATCHED_FAIL;
	unmatched.value = 0x88;
	ck_assert_int_eq(gh_bus_set_unmatched(vm, &unmatched), 0);
	ck_assert_int_eq(gh_bus_dispatch(vcpu, run_once(vcpu)), GH_BUS_DONE);
	ck_assert_int_eq(gh_bus_dispatch(vcpu, run_once(vcpu)), GH_BUS_DONE);
	ck_assert_uint_eq(run_once(vcpu)->kind, GH_EXIT_STOPPED);
	ck_assert_int_eq(gh_bus_counts(vm, &counts), 0);
	ck_assert_uint_eq(counts.unmatched_loads, 2);
	ck_assert_uint_eq(counts.unmatched_stores, 1);
	gh_vm_close(vm);
	end_sim(sim);
}
END_TEST

/* --- what is refused ---------------------------------------------------------------------------------------------------- */

/* Dispatches on its own vCPU, and stops the VM if told so. */
static int nested_access(void *data, struct gh_bus_access *access)
{
	struct device *device = data;
	const struct gh_exit exit = { .kind = GH_EXIT_MMIO, .mmio = { .gpa = UART, .width = 4, .is_store = 1 } };

	(void)device_access(device, access);
	ck_assert_int_eq(gh_bus_dispatch(access->vcpu, &exit), -EPERM);
	/* On another one it may. */
	if (device->calls == 1)
		ck_assert_int_eq(gh_bus_dispatch(board.vcpus[1], &exit), GH_BUS_DONE);
	return GH_BUS_DONE;
}

START_TEST(test_nested)
{
	DEVICE(device, 0);
	struct gh_bus_range_options options = device_options(&device, "nested", UART, 0x1000);
	struct gh_exit exit = { .kind = GH_EXIT_MMIO, .mmio = { .gpa = UART, .width = 4, .is_store = 1 } };

	options.access = nested_access;
	(void)board_add(&board, &options);
	/* 0 calls 1, which may not call itself. */
	ck_assert_int_eq(gh_bus_dispatch(board.vcpus[0], &exit), GH_BUS_DONE);
	ck_assert_uint_eq(device.calls, 2);
	device.calls = 0;
	ck_assert_int_eq(gh_bus_dispatch(board.vcpus[0], &exit), GH_BUS_DONE);
	ck_assert_uint_eq(device.calls, 2);
}
END_TEST

START_TEST(test_bad_exits)
{
	DEVICE(device, .answer = 1);
	struct gh_exit exit = { .kind = GH_EXIT_MMIO, .mmio = { .gpa = UART, .width = 4 } };
	struct gh_bus_range *range = board_add_device(&board, &device, "uart", UART, 0x1000);

	ck_assert_int_eq(gh_bus_dispatch(NULL, &exit), -EINVAL);
	ck_assert_int_eq(gh_bus_dispatch(board.vcpus[0], NULL), -EINVAL);
	exit.mmio.is_store = 1;
	ck_assert_int_eq(gh_bus_dispatch(board.vcpus[0], &exit), GH_BUS_DONE);
	for (uint32_t width = 0; width < 70; width++) {
		bool good = width == 1 || width == 2 || width == 4 || width == 8;

		exit.mmio.width = width;
		ck_assert_int_eq(gh_bus_dispatch(board.vcpus[0], &exit), good ? GH_BUS_DONE : -EINVAL);
	}
	exit.mmio.width = UINT32_MAX;
	ck_assert_int_eq(gh_bus_dispatch(board.vcpus[0], &exit), -EINVAL);
	exit.mmio.width = 4;
	ck_assert_uint_eq(device.calls, 5);
	for (exit.kind = 0; exit.kind < 10; exit.kind++)
		if (exit.kind != GH_EXIT_MMIO)
			ck_assert_int_eq(gh_bus_dispatch(board.vcpus[0], &exit), GH_BUS_UNMATCHED);
	ck_assert_uint_eq(board_counts(&board).unmatched_stores, 0);
	/* A load that the vCPU does not wait for. */
	exit.kind = GH_EXIT_MMIO;
	exit.mmio.is_store = 0;
	ck_assert_int_eq(gh_bus_dispatch(board.vcpus[0], &exit), -EBUSY);
	ck_assert_int_eq(gh_bus_dispatch(board.vcpus[1], &exit), -EBUSY);
	device.verdict = GH_BUS_FAIL;
	ck_assert_int_eq(gh_bus_dispatch(board.vcpus[0], &exit), -EBUSY);
	ck_assert_uint_eq(board_range_counts(range).loads, 3);
}
END_TEST

/* The VM stops while a handler runs: its answer is nobody's. */
static int stopping_access(void *data, struct gh_bus_access *access)
{
	(void)data;
	ck_assert_int_eq(gh_fake_stop(board.fake, 1, GH_STOP_RESET), 0);
	ck_assert_uint_eq(run_once(board.vcpus[1])->kind, GH_EXIT_STOPPED);
	access->value = 1;
	return *(int *)data;
}

START_TEST(test_stop)
{
	static int verdict;
	struct gh_bus_range_options options = device_options(NULL, "last", UART, 0x1000);

	verdict = _i == 0 ? GH_BUS_DONE : GH_BUS_FAIL;
	options.access = stopping_access;
	options.removed = NULL;
	options.data = &verdict;
	(void)board_add(&board, &options);
	ck_assert_int_eq(gh_fake_load(board.fake, 0, UART, 4), 0);
	ck_assert_int_eq(gh_bus_dispatch(board.vcpus[0], run_once(board.vcpus[0])), GH_BUS_DONE);
	ck_assert_uint_eq(run_once(board.vcpus[0])->kind, GH_EXIT_STOPPED);
}
END_TEST

/* Dispatching takes no lock, whether the range is remembered or looked up, or nobody has it. */
START_TEST(test_no_lock)
{
	DEVICE(device, .answer = 7);
	uint64_t value;

	(void)board_add_device(&board, &device, "uart", UART, 0x1000);
	(void)board_add_device(&board, &device, "rtc", UART + 0x1000, 0x1000);
	board_set_policy(&board, GH_BUS_UNMATCHED_VALUE, 5);
	ck_assert_int_eq(pthread_mutex_lock(&board.vm->lock), 0);
	ck_assert_int_eq(pthread_mutex_lock(&board.vm->bus.lock), 0);
	for (unsigned int i = 0; i < 8; i++) {
		ck_assert_int_eq(board_load(&board, i % 2, UART + i / 4 * 0x1000, 4, &value), GH_BUS_DONE);
		ck_assert_uint_eq(value, 7);
	}
	ck_assert_int_eq(board_load(&board, 0, 0x1000, 4, &value), GH_BUS_DONE);
	ck_assert_uint_eq(value, 5);
	(void)pthread_mutex_unlock(&board.vm->bus.lock);
	(void)pthread_mutex_unlock(&board.vm->lock);
	ck_assert_uint_eq(device.calls, 8);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bus");
	TCase *tcase = add_case(suite, "bus");

	tcase_add_checked_fixture(tcase, begin, end);
	tcase_add_test(tcase, test_access);
	tcase_add_test(tcase, test_many);
	tcase_add_loop_test(tcase, test_places, 0, 15);
	tcase_add_test(tcase, test_whole_access);
	tcase_add_test(tcase, test_bad_ranges);
	tcase_add_test(tcase, test_names);
	tcase_add_test(tcase, test_overlap);
	tcase_add_test(tcase, test_states);
	tcase_add_test(tcase, test_unmatched);
	tcase_add_test(tcase, test_verdicts);
	tcase_add_test(tcase, test_deferred);
	tcase_add_test(tcase, test_no_abort);
	tcase_add_test(tcase, test_nested);
	tcase_add_test(tcase, test_bad_exits);
	tcase_add_loop_test(tcase, test_stop, 0, 2);
	tcase_add_test(tcase, test_no_lock);
	return run_suite(suite);
}
