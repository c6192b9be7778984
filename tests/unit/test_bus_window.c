/* SPDX-License-Identifier: BSD-3-Clause */
/* Access rules: every combination of them with every access, against a device whose registers are bytes. */
#include "board.h"

#include <errno.h>
#include <string.h>

#define BASE UINT64_C(0x4000)
#define BYTES 32u

static struct board board;

/* Bytes that a guest sees; and what the handler's contract says of each of its calls. */
struct bytes {
	uint8_t bytes[BYTES];
	uint32_t widths; /* that it implements; 0: any, anywhere */
	unsigned int calls;
	uint64_t next; /* no call comes before this offset */
};

static uint64_t width_mask(uint32_t width)
{
	return width == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * width) - 1;
}

static int bytes_access(void *data, struct gh_bus_access *access)
{
	struct bytes *device = data;

	EXPECT(access->offset + access->width <= BYTES);
	EXPECT(access->gpa == BASE + access->offset);
	EXPECT((access->mask & ~width_mask(access->width)) == 0);
	EXPECT((access->mask) != 0);
	if (device->widths != 0) {
		EXPECT((device->widths & access->width) != 0);
		EXPECT(access->offset % access->width == 0);
	} else {
		EXPECT(access->mask == width_mask(access->width));
	}
	EXPECT(access->offset >= device->next);
	device->next = access->offset + access->width;
	device->calls++;
	if (access->is_store != 0)
		EXPECT((access->value & ~access->mask) == 0);
	else
		EXPECT(access->value == 0);
	for (uint32_t i = 0; i < access->width; i++) {
		uint8_t *byte = &device->bytes[access->offset + i];

		if (access->is_store == 0)
			access->value |= (uint64_t)*byte << 8 * i; /* the whole register: the bus takes what it wants */
		else if ((access->mask >> 8 * i & 0xff) != 0)
			*byte = (uint8_t)(access->value >> 8 * i);
	}
	return GH_BUS_DONE;
}

static uint32_t expected_width(uint32_t widths, uint32_t width)
{
	for (uint32_t w = width; w > 0; w /= 2)
		if ((widths & w) != 0)
			return w;
	for (uint32_t w = width; w <= 8; w *= 2)
		if ((widths & w) != 0)
			return w;
	return width;
}

static unsigned int expected_calls(uint32_t widths, uint64_t offset, uint32_t width)
{
	uint32_t unit = expected_width(widths, width);

	if (widths == 0)
		return 1;
	return (unsigned int)((offset + width - 1) / unit - offset / unit + 1);
}

static void fill(struct bytes *device)
{
	for (unsigned int i = 0; i < BYTES; i++)
		device->bytes[i] = (uint8_t)(i * 7 + 1);
	device->calls = 0;
	device->next = 0;
}

static void try_store(struct bytes *device, uint64_t offset, uint32_t width, bool allowed)
{
	struct gh_exit exit = { .kind = GH_EXIT_MMIO, .mmio = { .width = width, .is_store = 1 } };
	struct bytes expected;

	fill(device);
	expected = *device;
	exit.mmio.gpa = BASE + offset;
	exit.mmio.value = UINT64_C(0xf8e7d6c5b4a39281) & width_mask(width);
	for (uint32_t i = 0; allowed && i < width; i++)
		expected.bytes[offset + i] = (uint8_t)(exit.mmio.value >> 8 * i);
	EXPECT(gh_bus_dispatch(board.vcpus[0], &exit) == (allowed ? GH_BUS_DONE : GH_BUS_UNMATCHED));
	EXPECT(memcmp(device->bytes, expected.bytes, BYTES) == 0);
	EXPECT(device->calls == (allowed ? expected_calls(device->widths, offset, width) : 0));
}

static void try_load(struct bytes *device, uint64_t offset, uint32_t width, bool allowed)
{
	uint64_t expected = 0;
	uint64_t value;

	fill(device);
	for (uint32_t i = 0; i < width && offset + i < BYTES; i++)
		expected |= (uint64_t)device->bytes[offset + i] << 8 * i;
	EXPECT(board_load(&board, 0, BASE + offset, width, &value) == (allowed ? GH_BUS_DONE : GH_BUS_UNMATCHED));
	EXPECT(value == (allowed ? expected : BOARD_LEFT & width_mask(width)));
	EXPECT(device->calls == (allowed ? expected_calls(device->widths, offset, width) : 0));
}

/* Two of the handler's widths are for each run of the test; all of the guest's, aligned or not. */
START_TEST(test_all)
{
	struct bytes device = { .widths = (uint32_t)_i };
	struct gh_bus_range_options options = GH_BUS_RANGE_OPTIONS_INIT;
	unsigned int forbidden = 0;
	struct gh_bus_range *range;

	board_begin(&board, 1);
	options.name = "bytes";
	options.gpa = BASE;
	options.length = BYTES;
	options.access = bytes_access;
	options.data = &device;
	options.handler_widths = device.widths;
	for (uint32_t rules = 0; rules < 32; rules++) {
		options.guest_widths = rules & 15;
		options.flags = rules >= 16 ? GH_BUS_UNALIGNED : 0;
		range = board_add(&board, &options);
		forbidden = 0;
		for (uint64_t offset = 0; offset < BYTES; offset++) {
			for (uint32_t width = 1; width <= 8; width *= 2) {
				bool inside = offset + width <= BYTES;
				bool allowed = inside &&
					       (options.guest_widths == 0 || (options.guest_widths & width) != 0) &&
					       (options.flags != 0 || offset % width == 0);

				try_store(&device, offset, width, allowed);
				forbidden += inside && !allowed;
				/* The slower one; what differs is tried. */
				if (rules % 16 == 0 || offset % 8 == rules % 8) {
					try_load(&device, offset, width, allowed);
					forbidden += inside && !allowed;
				}
			}
		}
		ck_assert_uint_eq(board_range_counts(range).forbidden, forbidden);
		gh_bus_remove(range);
	}
	board_end(&board);
}
END_TEST

/* What ends a split access ends all of it. */
START_TEST(test_verdicts)
{
	struct device device = { 0 };
	struct gh_bus_range_options options = device_options(&device, "halves", BASE, BYTES);
	struct gh_bus_range *range;
	uint64_t value;

	board_begin(&board, 1);
	options.handler_widths = GH_BUS_16;
	range = board_add(&board, &options);
	device.fails = 2;
	device.verdict = GH_BUS_FAIL;
	ck_assert_int_eq(board_load(&board, 0, BASE, 8, &value), GH_BUS_DONE);
	ck_assert_uint_eq(value, BOARD_ABORTED);
	ck_assert_uint_eq(device.calls, 2);
	device.fails = 5;
	device.verdict = -EIO;
	ck_assert_int_eq(board_store(&board, 0, BASE, 8, 1), -EIO);
	ck_assert_uint_eq(device.calls, 5);
	device.fails = 7;
	device.verdict = GH_BUS_UNMATCHED;
	ck_assert_int_eq(board_store(&board, 0, BASE, 8, 1), GH_BUS_UNMATCHED);
	ck_assert_uint_eq(device.calls, 7);
	device.fails = 8;
	device.verdict = 77;
	ck_assert_int_eq(board_store(&board, 0, BASE, 8, 1), -EINVAL);
	ck_assert_uint_eq(board_range_counts(range).failed, 4);
	ck_assert_uint_eq(board_range_counts(range).loads, 1);
	ck_assert_uint_eq(board_range_counts(range).stores, 3);
	ck_assert_uint_eq(board_range_counts(range).forbidden, 0);
	board_end(&board);
}
END_TEST

START_TEST(test_deferral)
{
	struct device device = { .verdict = GH_BUS_DEFER };
	struct gh_bus_range_options options = device_options(&device, "slow", BASE, BYTES);
	struct gh_bus_range *range;
	uint64_t value;

	board_begin(&board, 1);
	options.handler_widths = GH_BUS_16;
	range = board_add(&board, &options);
	/* As it is. */
	ck_assert_int_eq(board_load(&board, 0, BASE, 2, &value), GH_BUS_DEFER);
	ck_assert_int_eq(gh_mmio_complete(board.vcpus[0], 0x99), 0);
	ck_assert_uint_eq(board_answer(&board, 0), 0x99);
	/* Split and widened: the answer would be for something else. */
	ck_assert_int_eq(board_load(&board, 0, BASE, 4, &value), -EOPNOTSUPP);
	ck_assert_uint_eq(value, BOARD_LEFT & UINT32_MAX);
	ck_assert_int_eq(board_load(&board, 0, BASE, 1, &value), -EOPNOTSUPP);
	ck_assert_uint_eq(device.calls, 3);
	/* Nobody waits for stores. */
	ck_assert_int_eq(board_store(&board, 0, BASE, 8, 0), GH_BUS_DONE);
	ck_assert_uint_eq(device.calls, 7);
	ck_assert_uint_eq(board_range_counts(range).deferred, 1);
	ck_assert_uint_eq(board_range_counts(range).failed, 2);
	ck_assert_int_eq(gh_fake_load(board.fake, 0, BASE, 8), 0);
	ck_assert_int_eq(gh_bus_dispatch(board.vcpus[0], run_once(board.vcpus[0])), -EOPNOTSUPP);
	ck_assert(failure_is(gh_vcpu_failure(board.vcpus[0]), -EOPNOTSUPP));
	ck_assert_ptr_nonnull(strstr(gh_vcpu_failure(board.vcpus[0])->cause, "\"slow\""));
	board_end(&board);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bus_window");
	TCase *tcase = add_case(suite, "bus_window");

	tcase_add_loop_test(tcase, test_all, 0, 16);
	tcase_add_test(tcase, test_verdicts);
	tcase_add_test(tcase, test_deferral);
	return run_suite(suite);
}
