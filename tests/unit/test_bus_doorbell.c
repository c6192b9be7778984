/* SPDX-License-Identifier: BSD-3-Clause */
/* Doorbells that a kernel cannot take. */
#include "board.h"

#include "../../lib/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BELL UINT64_C(0x7000)

static struct board board;
static int fds[4];

static void begin(void)
{
	board_begin(&board, 2);
	for (int i = 0; i < 4; i++) {
		fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		ck_assert_int_ge(fds[i], 0);
	}
}

static void end(void)
{
	board_end(&board);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(close(fds[i]), 0);
}

static int add(uint64_t gpa, uint32_t width, bool match, uint64_t value, int fd)
{
	const struct gh_bus_doorbell doorbell = { .gpa = gpa, .value = value, .width = width, .match = match, .fd = fd };

	return gh_bus_add_doorbell(board.vm, &doorbell);
}

static int take_away(uint64_t gpa, uint32_t width, bool match, uint64_t value, int fd)
{
	const struct gh_bus_doorbell doorbell = { .gpa = gpa, .value = value, .width = width, .match = match, .fd = fd };

	return gh_bus_remove_doorbell(board.vm, &doorbell);
}

/* --- which stores ----------------------------------------------------------------------------------------------------- */

START_TEST(test_widths)
{
	ck_assert_int_eq(add(BELL, 0, false, 0, fds[0]), 0);
	ck_assert_int_eq(add(BELL + 8, 2, false, 0, fds[1]), 0);
	for (uint32_t width = 1; width <= 8; width *= 2) {
		ck_assert_int_eq(board_store(&board, 0, BELL, width, width), GH_BUS_DONE);
		ck_assert_uint_eq(take_count(fds[0]), 1);
		ck_assert_int_eq(board_store(&board, 0, BELL + 8, width, width),
				 width == 2 ? GH_BUS_DONE : GH_BUS_UNMATCHED);
		ck_assert_uint_eq(take_count(fds[1]), width == 2);
	}
	/* Exactly there, and no loads. */
	ck_assert_int_eq(board_store(&board, 0, BELL + 1, 1, 0), GH_BUS_UNMATCHED);
	ck_assert_int_eq(board_store(&board, 0, BELL - 1, 1, 0), GH_BUS_UNMATCHED);
	ck_assert_int_eq(board_store(&board, 0, BELL - 1, 2, 0), GH_BUS_UNMATCHED);
	ck_assert_int_eq(gh_fake_load(board.fake, 0, BELL, 4), 0);
	ck_assert_int_eq(gh_bus_dispatch(board.vcpus[0], run_once(board.vcpus[0])), GH_BUS_UNMATCHED);
	ck_assert_uint_eq(take_count(fds[0]), 0);
	ck_assert_uint_eq(board_counts(&board).doorbells, 5);
	ck_assert_uint_eq(board_counts(&board).unmatched_stores, 3 + 3);
	ck_assert_uint_eq(board_counts(&board).unmatched_loads, 1);
}
END_TEST

/* Several values at one address, compared as far as the width goes; a wide one among narrow ones. */
START_TEST(test_values)
{
	ck_assert_int_eq(add(BELL, 4, true, 1, fds[0]), 0);
	ck_assert_int_eq(add(BELL, 4, true, 2, fds[1]), 0);
	ck_assert_int_eq(add(BELL, 8, true, UINT64_C(0x100000002), fds[2]), 0);
	ck_assert_int_eq(add(BELL, 0, true, 0x1ff, fds[3]), 0);
	ck_assert_int_eq(board_store(&board, 0, BELL, 4, 1), GH_BUS_DONE);
	ck_assert_uint_eq(take_count(fds[0]), 1);
	ck_assert_int_eq(board_store(&board, 1, BELL, 4, 2), GH_BUS_DONE);
	ck_assert_uint_eq(take_count(fds[1]), 1);
	ck_assert_int_eq(board_store(&board, 1, BELL, 4, 3), GH_BUS_UNMATCHED);
	ck_assert_int_eq(board_store(&board, 1, BELL, 8, 2), GH_BUS_UNMATCHED);
	ck_assert_int_eq(board_store(&board, 1, BELL, 8, UINT64_C(0x100000002)), GH_BUS_DONE);
	ck_assert_uint_eq(take_count(fds[2]), 1);
	ck_assert_int_eq(board_store(&board, 1, BELL, 1, 0xff), GH_BUS_DONE);
	ck_assert_int_eq(board_store(&board, 1, BELL, 2, 0x1ff), GH_BUS_DONE);
	ck_assert_int_eq(board_store(&board, 1, BELL, 2, 0xff), GH_BUS_UNMATCHED);
	ck_assert_uint_eq(take_count(fds[3]), 2);
	/* Each that matches. */
	ck_assert_int_eq(add(BELL, 4, false, 0, fds[3]), 0);
	ck_assert_int_eq(board_store(&board, 1, BELL, 4, 1), GH_BUS_DONE);
	ck_assert_uint_eq(take_count(fds[0]) + take_count(fds[3]), 2);
	ck_assert_uint_eq(board_counts(&board).doorbells, 6);
	for (int i = 0; i < 4; i++)
		ck_assert_uint_eq(take_count(fds[i]), 0);
}
END_TEST

/* In a device's range it wins, for the stores that match. */
START_TEST(test_in_range)
{
	DEVICE(device, .answer = 9);
	uint64_t value;

	(void)board_add_device(&board, &device, "virtio", BELL - 0x100, 0x200);
	ck_assert_int_eq(board_store(&board, 0, BELL, 4, 1), GH_BUS_DONE);
	ck_assert_uint_eq(device.calls, 1);
	ck_assert_int_eq(add(BELL, 4, true, 1, fds[0]), 0);
	ck_assert_int_eq(board_store(&board, 0, BELL, 4, 1), GH_BUS_DONE);
	ck_assert_uint_eq(device.calls, 1);
	ck_assert_uint_eq(take_count(fds[0]), 1);
	ck_assert_int_eq(board_store(&board, 0, BELL, 4, 0), GH_BUS_DONE);
	ck_assert_int_eq(board_store(&board, 0, BELL, 4, 1), GH_BUS_DONE);
	ck_assert_uint_eq(take_count(fds[0]), 1);
	ck_assert_int_eq(board_store(&board, 0, BELL, 2, 1), GH_BUS_DONE);
	ck_assert_int_eq(board_store(&board, 0, BELL + 4, 4, 1), GH_BUS_DONE);
	ck_assert_int_eq(board_load(&board, 0, BELL, 4, &value), GH_BUS_DONE);
	ck_assert_uint_eq(value, 9);
	ck_assert_uint_eq(device.calls, 5);
	ck_assert_uint_eq(take_count(fds[0]), 0);
	ck_assert_int_eq(take_away(BELL, 4, true, 1, fds[0]), 0);
	ck_assert_int_eq(board_store(&board, 0, BELL, 4, 1), GH_BUS_DONE);
	ck_assert_uint_eq(device.calls, 6);
	ck_assert_uint_eq(take_count(fds[0]), 0);
}
END_TEST

/* --- adding and removing ------------------------------------------------------------------------------------------------ */

START_TEST(test_exact)
{
	ck_assert_int_eq(take_away(BELL, 4, true, 1, fds[0]), -ENOENT);
	ck_assert_int_eq(add(BELL, 4, true, 1, fds[0]), 0);
	ck_assert_int_eq(add(BELL, 4, true, 1, fds[0]), -EEXIST);
	ck_assert_int_eq(add(BELL, 4, true, 1, fds[1]), 0);
	ck_assert_int_eq(take_away(BELL + 1, 4, true, 1, fds[0]), -ENOENT);
	ck_assert_int_eq(take_away(BELL, 2, true, 1, fds[0]), -ENOENT);
	ck_assert_int_eq(take_away(BELL, 4, false, 1, fds[0]), -ENOENT);
	ck_assert_int_eq(take_away(BELL, 4, true, 2, fds[0]), -ENOENT);
	ck_assert_int_eq(take_away(BELL, 4, true, 1, fds[2]), -ENOENT);
	ck_assert_int_eq(board_store(&board, 0, BELL, 4, 1), GH_BUS_DONE);
	ck_assert_uint_eq(take_count(fds[0]) + take_count(fds[1]), 2);
	ck_assert_int_eq(take_away(BELL, 4, true, 1, fds[0]), 0);
	ck_assert_int_eq(take_away(BELL, 4, true, 1, fds[0]), -ENOENT);
	ck_assert_int_eq(board_store(&board, 0, BELL, 4, 1), GH_BUS_DONE);
	ck_assert_uint_eq(take_count(fds[0]), 0);
	ck_assert_uint_eq(take_count(fds[1]), 1);
}
END_TEST

#define MANY 100u

/* In disorder, some at one address; ranges among them, whose table is the same. */
START_TEST(test_many)
{
	DEVICE(device, .answer = 0);
	struct gh_bus_range *range = NULL;

	for (unsigned int i = 0; i < MANY; i++) {
		unsigned int n = i * 37 % MANY;

		ck_assert_int_eq(add(BELL + n / 4 * 8, 4, true, n % 4, fds[n % 4]), 0);
		if (i == 50)
			range = board_add_device(&board, &device, "among them", BELL, 0x1000);
	}
	for (unsigned int n = 0; n < MANY; n++) {
		ck_assert_int_eq(board_store(&board, 0, BELL + n / 4 * 8, 4, n % 4), GH_BUS_DONE);
		ck_assert_uint_eq(take_count(fds[n % 4]), 1);
	}
	ck_assert_uint_eq(device.calls, 0);
	gh_bus_remove(range);
	for (unsigned int n = 0; n < MANY; n += 2)
		ck_assert_int_eq(take_away(BELL + n / 4 * 8, 4, true, n % 4, fds[n % 4]), 0);
	for (unsigned int n = 0; n < MANY; n++) {
		ck_assert_int_eq(board_store(&board, 0, BELL + n / 4 * 8, 4, n % 4),
				 n % 2 != 0 ? GH_BUS_DONE : GH_BUS_UNMATCHED);
		ck_assert_uint_eq(take_count(fds[n % 4]), n % 2);
	}
}
END_TEST

/* Under the VM's lock, as lines and doorbells have it. */
START_TEST(test_under_the_lock)
{
	(void)pthread_mutex_lock(&board.vm->lock);
	ck_assert_int_eq(add(BELL, 4, true, 1, fds[0]), 0);
	ck_assert_int_eq(take_away(BELL, 4, true, 1, fds[0]), 0);
	ck_assert_int_eq(add(BELL, 4, true, 1, fds[0]), 0);
	(void)pthread_mutex_unlock(&board.vm->lock);
	ck_assert_int_eq(board_store(&board, 0, BELL, 4, 1), GH_BUS_DONE);
	ck_assert_uint_eq(take_count(fds[0]), 1);
}
END_TEST

/* An eventfd that can count no further stays readable, and the guest goes on. */
START_TEST(test_full)
{
	const uint64_t most = UINT64_MAX - 1;

	ck_assert_int_eq(add(BELL, 4, false, 0, fds[0]), 0);
	ck_assert_int_eq(write(fds[0], &most, sizeof(most)), sizeof(most));
	ck_assert_int_eq(board_store(&board, 0, BELL, 4, 1), GH_BUS_DONE);
	ck_assert_uint_eq(take_count(fds[0]), most);
}
END_TEST

/* --- under load --------------------------------------------------------------------------------------------------------- */

static struct {
	atomic_bool over;
	atomic_uint rung;
	atomic_uint missed;
} load;

static void *ringer(void *argument)
{
	struct gh_vcpu *vcpu = argument;
	const struct gh_exit exit = { .kind = GH_EXIT_MMIO,
				      .mmio = { .gpa = BELL, .width = 4, .value = 1, .is_store = 1 } };

	while (!atomic_load(&load.over)) {
		if (gh_bus_dispatch(vcpu, &exit) == GH_BUS_DONE)
			(void)atomic_fetch_add(&load.rung, 1);
		else
			(void)atomic_fetch_add(&load.missed, 1);
	}
	return NULL;
}

/* Descriptors are closed as soon as their doorbell has gone: every store that was taken has been written to the right one. */
START_TEST(test_load)
{
	pthread_t threads[2];
	uint64_t counted = 0;

	atomic_store(&load.over, false);
	atomic_store(&load.rung, 0);
	atomic_store(&load.missed, 0);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, ringer, board.vcpus[i]), 0);
	for (unsigned int i = 0; i < 30000 && (i < 20 || atomic_load(&load.rung) < 50 || atomic_load(&load.missed) < 50);
	     i++) {
		int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

		EXPECT(add(BELL, 4, true, 1, fd) == 0);
		pause_ms(i % 2);
		EXPECT(take_away(BELL, 4, true, 1, fd) == 0);
		counted += take_count(fd);
		(void)close(fd);
		pause_ms(i % 3 == 0 ? 1 : 0);
	}
	atomic_store(&load.over, true);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	ck_assert_uint_eq(counted, atomic_load(&load.rung));
	ck_assert_uint_ge(counted, 50);
	ck_assert_uint_eq(board_counts(&board).doorbells, counted);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bus_doorbell");
	TCase *tcase = add_case(suite, "bus_doorbell");

	tcase_add_checked_fixture(tcase, begin, end);
	tcase_add_test(tcase, test_widths);
	tcase_add_test(tcase, test_values);
	tcase_add_test(tcase, test_in_range);
	tcase_add_test(tcase, test_exact);
	tcase_add_test(tcase, test_many);
	tcase_add_test(tcase, test_under_the_lock);
	tcase_add_test(tcase, test_full);
	tcase_add_test(tcase, test_load);
	return run_suite(suite);
}
