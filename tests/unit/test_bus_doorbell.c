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
	struct gh_bus_guest *guest = gh_bus_withdraw_doorbell(board.vm, &doorbell);

	gh_bus_end_doorbell(board.vm, guest);
	return guest != NULL ? 0 : -ENOENT;
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
	ck_assert_uint_eq(board_counts(&board).doorbells, 5);
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
	ck_assert_int_eq(add(BELL, 4, true, 3, fds[1]), 0);
	ck_assert_int_eq(take_away(BELL + 1, 4, true, 1, fds[0]), -ENOENT);
	ck_assert_int_eq(take_away(BELL, 2, true, 1, fds[0]), -ENOENT);
	ck_assert_int_eq(take_away(BELL, 4, false, 1, fds[0]), -ENOENT);
	ck_assert_int_eq(take_away(BELL, 4, true, 2, fds[0]), -ENOENT);
	ck_assert_int_eq(take_away(BELL, 4, true, 1, fds[2]), -ENOENT);
	ck_assert_int_eq(board_store(&board, 0, BELL, 4, 1), GH_BUS_DONE);
	ck_assert_int_eq(board_store(&board, 0, BELL, 4, 3), GH_BUS_DONE);
	ck_assert_uint_eq(take_count(fds[0]), 1);
	ck_assert_uint_eq(take_count(fds[1]), 1);
	ck_assert_int_eq(take_away(BELL, 4, true, 1, fds[0]), 0);
	ck_assert_int_eq(take_away(BELL, 4, true, 1, fds[0]), -ENOENT);
	ck_assert_int_eq(board_store(&board, 0, BELL, 4, 1), GH_BUS_UNMATCHED);
	ck_assert_int_eq(board_store(&board, 0, BELL, 4, 3), GH_BUS_DONE);
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

/* A range whose stores may ring is looked up each time; another one is remembered, whatever doorbells there are elsewhere. */
START_TEST(test_remembered)
{
	DEVICE(device, 0);

	(void)board_add_device(&board, &device, "uart", BELL - 0x1000, 0x1000);
	(void)board_add_device(&board, &device, "virtio", BELL, 0x1000);
	(void)board_add_device(&board, &device, "rtc", BELL + 0x1000, 0x1000);
	for (int i = 0; i < 3; i++) {
		static const uint64_t places[] = { BELL, BELL + 0xfff, BELL + 0x800 };

		ck_assert_int_eq(add(places[i], 1, true, 1, fds[0]), 0);
		ck_assert_int_eq(board_store(&board, 0, BELL + 4, 4, 0), GH_BUS_DONE);
		ck_assert(!board_is_recent(&board, 0, BELL + 4, true));
		for (uint64_t gpa = BELL - 0x1000; gpa <= BELL + 0x1000; gpa += 0x2000) {
			ck_assert_int_eq(board_store(&board, 0, gpa + 4, 4, 0), GH_BUS_DONE);
			ck_assert(board_is_recent(&board, 0, gpa + 4, true));
		}
		ck_assert_int_eq(board_store(&board, 0, places[i], 1, 1), GH_BUS_DONE);
		ck_assert_uint_eq(take_count(fds[0]), 1);
		ck_assert_int_eq(take_away(places[i], 1, true, 1, fds[0]), 0);
	}
	ck_assert_uint_eq(device.calls, 9);
}
END_TEST

/* --- an eventfd that somebody fills between the look at it and the write ---------------------------------------------------- */

static struct {
	struct gh_sys sys; /* first */
	struct gh_sys *below;
	atomic_bool entered; /* a write waits */
	atomic_bool let_go;
} full;

static ssize_t write_slowly(struct gh_sys *sys, int fd, const void *buffer, size_t length)
{
	(void)sys;
	atomic_store(&full.entered, true);
	for (int i = 0; i < 2 * PATIENCE_MS && !atomic_load(&full.let_go); i++)
		pause_ms(1);
	return full.below->write(full.below, fd, buffer, length);
}

static void fill(void)
{
	full.below = board.vm->b.sys;
	full.sys = *full.below;
	full.sys.write = write_slowly;
	atomic_store(&full.entered, false);
	atomic_store(&full.let_go, false);
	board.vm->b.sys = &full.sys;
}

static void await(atomic_bool *flag)
{
	for (int i = 0; i < PATIENCE_MS && !atomic_load(flag); i++)
		pause_ms(1);
	if (!atomic_load(flag))
		atomic_store(&full.let_go, true);
	ck_assert(atomic_load(flag));
}

struct task {
	pthread_t thread;
	void (*work)(struct task *task);
	struct gh_ioevent *ioevent;
	atomic_bool done;
};

static void *task_thread(void *argument)
{
	struct task *task = argument;

	task->work(task);
	atomic_store(&task->done, true);
	return NULL;
}

static void task_begin(struct task *task, void (*work)(struct task *task))
{
	*task = (struct task){ .work = work, .ioevent = task->ioevent };
	ck_assert_int_eq(pthread_create(&task->thread, NULL, task_thread, task), 0);
}

static void task_end(struct task *task)
{
	await(&task->done);
	ck_assert_int_eq(pthread_join(task->thread, NULL), 0);
}

static void ring_by_bus(struct task *task)
{
	const struct gh_exit exit = { .kind = GH_EXIT_MMIO,
				      .mmio = { .gpa = BELL, .width = 4, .value = 1, .is_store = 1 } };

	(void)task;
	EXPECT(gh_bus_dispatch(board.vcpus[0], &exit) == GH_BUS_DONE);
}

static void change_the_bus(struct task *task)
{
	DEVICE(device, 0);
	const struct gh_bus_range_options options = device_options(&device, "other", 0x1000, 0x100);
	struct gh_ioevent_options bell = GH_IOEVENT_OPTIONS_INIT;
	struct gh_bus_range *range = NULL;
	struct gh_ioevent *ioevent = NULL;

	(void)task;
	EXPECT(gh_bus_add(board.vm, &options, &range) == 0);
	gh_bus_remove(range);
	bell.gpa = BELL + 0x100;
	bell.flags = GH_IOEVENT_EMULATE;
	EXPECT(gh_ioevent_add(board.vm, &bell, &ioevent) == 0);
	gh_ioevent_remove(ioevent);
}

static void remove_it(struct task *task)
{
	gh_ioevent_remove(task->ioevent);
}

static void run_and_ring(struct task *task)
{
	const struct gh_exit *exit = NULL;

	(void)task;
	EXPECT(gh_vcpu_run(board.vcpus[0], &exit) == 0 && exit->mmio.gpa == 0x9000);
}

/* Only who removes that doorbell waits, whether the bus rings it or the backend does. */
START_TEST(test_blocked)
{
	struct gh_ioevent_options options = GH_IOEVENT_OPTIONS_INIT;
	struct task ringer = { .ioevent = NULL };
	struct task changer = { .ioevent = NULL };
	struct task remover = { .ioevent = NULL };
	bool by_bus = _i == 0;

	options.gpa = BELL;
	options.width = 4;
	options.flags = by_bus ? GH_IOEVENT_EMULATE : 0;
	options.fd = fds[0];
	ck_assert_int_eq(gh_ioevent_add(board.vm, &options, &remover.ioevent), 0);
	ck_assert_int_eq(gh_fake_store(board.fake, 0, BELL, 4, 1), 0);
	ck_assert_int_eq(gh_fake_store(board.fake, 0, 0x9000, 4, 1), 0);
	fill();
	task_begin(&ringer, by_bus ? ring_by_bus : run_and_ring);
	await(&full.entered);
	task_begin(&changer, change_the_bus);
	task_end(&changer);
	task_begin(&remover, remove_it);
	pause_ms(20);
	ck_assert(!atomic_load(&remover.done));
	ck_assert(!atomic_load(&ringer.done));
	atomic_store(&full.let_go, true);
	task_end(&ringer);
	task_end(&remover);
	ck_assert_uint_eq(take_count(fds[0]), 1);
	board.vm->b.sys = full.below;
}
END_TEST

/* Also a handler waits for that, because nobody's code runs there. */
static int access_removes(void *data, struct gh_bus_access *access)
{
	(void)access;
	gh_ioevent_remove(data);
	return GH_BUS_DONE;
}

static void store_to_device(struct task *task)
{
	const struct gh_exit exit = { .kind = GH_EXIT_MMIO, .mmio = { .gpa = 0x1000, .width = 4, .is_store = 1 } };

	(void)task;
	EXPECT(gh_bus_dispatch(board.vcpus[1], &exit) == GH_BUS_DONE);
}

START_TEST(test_blocked_for_handler)
{
	struct gh_ioevent_options options = GH_IOEVENT_OPTIONS_INIT;
	struct gh_bus_range_options device = device_options(NULL, "remover", 0x1000, 0x100);
	struct gh_ioevent *ioevent = NULL;
	struct task ringer = { .ioevent = NULL };
	struct task storer = { .ioevent = NULL };

	options.gpa = BELL;
	options.flags = GH_IOEVENT_EMULATE;
	options.fd = fds[0];
	ck_assert_int_eq(gh_ioevent_add(board.vm, &options, &ioevent), 0);
	device.access = access_removes;
	device.removed = NULL;
	device.data = ioevent;
	(void)board_add(&board, &device);
	fill();
	task_begin(&ringer, ring_by_bus);
	await(&full.entered);
	task_begin(&storer, store_to_device);
	pause_ms(20);
	ck_assert(!atomic_load(&storer.done));
	atomic_store(&full.let_go, true);
	task_end(&storer);
	task_end(&ringer);
	ck_assert_uint_eq(take_count(fds[0]), 1);
	board.vm->b.sys = full.below;
}
END_TEST

/* A tracer is shown the store when it has rung: it may take the doorbell away. */
static struct gh_ioevent *traced;

static void remove_traced(void *data, const struct gh_bus_event *event)
{
	(void)data;
	ck_assert_uint_eq(event->is_doorbell, 1);
	gh_ioevent_remove(traced);
}

START_TEST(test_tracer_removes)
{
	struct gh_ioevent_options options = GH_IOEVENT_OPTIONS_INIT;
	struct gh_bus_trace_options trace = GH_BUS_TRACE_OPTIONS_INIT;

	options.gpa = BELL;
	options.flags = GH_IOEVENT_EMULATE;
	options.fd = fds[0];
	ck_assert_int_eq(gh_ioevent_add(board.vm, &options, &traced), 0);
	trace.trace = remove_traced;
	ck_assert_int_eq(gh_bus_set_trace(board.vm, &trace), 0);
	ck_assert_int_eq(board_store(&board, 0, BELL, 4, 1), GH_BUS_DONE);
	ck_assert_uint_eq(take_count(fds[0]), 1);
	ck_assert_int_eq(gh_bus_set_trace(board.vm, NULL), 0);
	ck_assert_int_eq(board_store(&board, 0, BELL, 4, 1), GH_BUS_UNMATCHED);
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
	tcase_add_test(tcase, test_remembered);
	tcase_add_loop_test(tcase, test_blocked, 0, 2);
	tcase_add_test(tcase, test_blocked_for_handler);
	tcase_add_test(tcase, test_tracer_removes);
	tcase_add_test(tcase, test_load);
	return run_suite(suite);
}
