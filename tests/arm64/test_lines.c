/* SPDX-License-Identifier: BSD-3-Clause */
/* Levels, resampling, and things that come and go under a running guest, with real guests on every device. */
#include "box.h"

#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PORT UINT64_C(0x4008)
#define READY UINT64_C(0x4000)

#define ENABLE(line, edge)                                                                                                 \
	{                                                                                                                  \
		.op = OP_ENABLE, .a = BOX_INTID(line), .b = (edge)                                                         \
	}
#define JUMP(to)                                                                                                           \
	{                                                                                                                  \
		.op = OP_JUMP, .a = (to)                                                                                   \
	}

/* Says that it is ready, and then which interrupts it gets. */
static const struct op reporter[] = {
	ENABLE(BOX_LINE_LEVEL, 0), ENABLE(BOX_LINE_EDGE, 1), STORE(READY, 1, 4),
	{ .op = OP_WAIT },         STORE_ACC(PORT),          JUMP(3),
};

static uint64_t take(int fd)
{
	struct pollfd poller = { .fd = fd, .events = POLLIN };
	uint64_t count = 0;

	if (poll(&poller, 1, 0) == 1)
		ck_assert_int_eq(read(fd, &count, sizeof(count)), sizeof(count));
	return count;
}

static struct gh_irq *add_irq(struct box *box, uint32_t line, uint32_t flags)
{
	struct gh_irq_options options = GH_IRQ_OPTIONS_INIT;
	struct gh_irq *irq = NULL;

	options.line = line;
	options.flags = flags;
	ck_assert_int_eq(gh_irq_add(box->vm, &options, &irq), 0);
	return irq;
}

static struct gh_irqfd *add_irqfd(struct box *box, uint32_t line, uint32_t flags, int resample_fd)
{
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	struct gh_irqfd *irqfd = NULL;

	options.line = line;
	options.flags = flags;
	options.resample_fd = resample_fd;
	ck_assert_int_eq(gh_irqfd_add(box->vm, &options, &irqfd), 0);
	return irqfd;
}

static struct gh_ioevent *add_bell(struct box *box, uint64_t gpa, int fd)
{
	struct gh_ioevent_options options = GH_IOEVENT_OPTIONS_INIT;
	struct gh_ioevent *ioevent = NULL;

	options.gpa = gpa;
	options.width = 4;
	options.fd = fd;
	ck_assert_int_eq(gh_ioevent_add(box->vm, &options, &ioevent), 0);
	return ioevent;
}

/* Takes interrupts until none comes any more; how many. */
static unsigned int drain(struct box *box, uint32_t line)
{
	const struct gh_exit *exit;
	unsigned int count = 0;

	box_kick_later(box, 0, 50);
	for (exit = box_run(box, 0); exit->kind == GH_EXIT_MMIO; exit = box_run(box, 0)) {
		ck_assert_uint_eq(exit->mmio.gpa, PORT);
		ck_assert_uint_eq(exit->mmio.value, BOX_INTID(line));
		count++;
	}
	ck_assert_uint_eq(exit->kind, GH_EXIT_INTERRUPTED);
	box_join();
	return count;
}

START_TEST(direct_edges_arrive_one_by_one)
{
	struct gh_irq *irq;
	struct box box;

	BOX_OPEN(&box, box_devices[_i], 1, reporter);
	irq = add_irq(&box, BOX_LINE_EDGE, 0);
	ck_assert_int_eq(gh_irq_is_emulated(irq), 0);
	/* Before the start it counts. */
	ck_assert_int_eq(gh_irq_pulse(irq), 0);
	box_start(&box);
	box_expect_store(&box, 0, READY, 4, 1);
	box_expect_store(&box, 0, PORT, 8, BOX_INTID(BOX_LINE_EDGE));
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(gh_irq_pulse(irq), 0);
		box_expect_store(&box, 0, PORT, 8, BOX_INTID(BOX_LINE_EDGE));
		ck_assert_int_eq(gh_irq_set(irq, 1), 0);
		box_expect_store(&box, 0, PORT, 8, BOX_INTID(BOX_LINE_EDGE));
		ck_assert_int_eq(gh_irq_set(irq, 0), 0);
	}
	ck_assert_uint_eq(drain(&box, BOX_LINE_EDGE), 0);
	box_close(&box);
}
END_TEST

/* A line that is up interrupts again and again, and one that is down does not. */
START_TEST(direct_level_interrupts_while_it_is_up)
{
	struct gh_irq *irq;
	struct box box;

	BOX_OPEN(&box, box_devices[_i], 1, reporter);
	irq = add_irq(&box, BOX_LINE_LEVEL, GH_IRQ_LEVEL);
	ck_assert_int_eq(gh_irq_is_emulated(irq), !box_has(&box, GH_FEATURE_IRQ_LINE));
	box_start(&box);
	box_expect_store(&box, 0, READY, 4, 1);
	for (int round = 0; round < 2; round++) {
		ck_assert_int_eq(gh_irq_set(irq, 1), 0);
		for (int i = 0; i < 5; i++)
			box_expect_store(&box, 0, PORT, 8, BOX_INTID(BOX_LINE_LEVEL));
		ck_assert_int_eq(gh_irq_set(irq, 0), 0);
		/* What was on its way; nothing comes after that. */
		ck_assert_uint_le(drain(&box, BOX_LINE_LEVEL), 3);
		ck_assert_uint_eq(drain(&box, BOX_LINE_LEVEL), 0);
	}
	/* Removed while it is up: down. */
	ck_assert_int_eq(gh_irq_set(irq, 1), 0);
	box_expect_store(&box, 0, PORT, 8, BOX_INTID(BOX_LINE_LEVEL));
	gh_irq_remove(irq);
	ck_assert_uint_le(drain(&box, BOX_LINE_LEVEL), 3);
	ck_assert_uint_eq(drain(&box, BOX_LINE_LEVEL), 0);
	box_close(&box);
}
END_TEST

static struct {
	struct gh_irqfd *irqfd;
	int resample_fd;
	atomic_uint wanted; /* interrupts */
	atomic_uint signals;
	atomic_bool over;
} device;

/* A device that still wants an interrupt says so whenever it is told to look again. */
static void *look_again(void *unused)
{
	struct pollfd poller = { .fd = device.resample_fd, .events = POLLIN };

	(void)unused;
	while (!atomic_load(&device.over)) {
		if (poll(&poller, 1, 20) != 1)
			continue;
		(void)take(device.resample_fd);
		(void)atomic_fetch_add(&device.signals, 1);
		if (atomic_load(&device.wanted) > 0)
			ck_assert_int_eq(gh_irqfd_raise(device.irqfd), 0);
	}
	return NULL;
}

START_TEST(resampled_line_loses_nothing)
{
	pthread_t thread;
	struct box box;

	BOX_OPEN(&box, box_devices[_i], 1, reporter);
	device.resample_fd = eventfd(0, EFD_CLOEXEC);
	device.irqfd = add_irqfd(&box, BOX_LINE_LEVEL, GH_IRQ_LEVEL, device.resample_fd);
	ck_assert_int_eq(gh_irqfd_is_emulated(device.irqfd), !box_has(&box, GH_FEATURE_IRQFD_RESAMPLE));
	atomic_store(&device.wanted, 3);
	atomic_store(&device.signals, 0);
	atomic_store(&device.over, false);
	box_start(&box);
	ck_assert_int_eq(pthread_create(&thread, NULL, look_again, NULL), 0);
	box_expect_store(&box, 0, READY, 4, 1);
	/* One write: what the device wants besides comes by resampling. */
	ck_assert_int_eq(gh_irqfd_raise(device.irqfd), 0);
	for (unsigned int left = 3; left > 0; left--) {
		box_expect_store(&box, 0, PORT, 8, BOX_INTID(BOX_LINE_LEVEL));
		(void)atomic_fetch_sub(&device.wanted, 1);
	}
	/* It wants nothing more, and the line goes down for good. */
	(void)drain(&box, BOX_LINE_LEVEL);
	ck_assert_uint_eq(drain(&box, BOX_LINE_LEVEL), 0);
	ck_assert_uint_ge(atomic_load(&device.signals), 1);
	atomic_store(&device.over, true);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	box_close(&box);
	(void)close(device.resample_fd);
}
END_TEST

/* --- under a running guest ------------------------------------------------------------------------------------------- */

#define ROUNDS 150u
#define KEPT UINT64_C(0x5000)
#define GOES UINT64_C(0x5010)

static struct {
	struct box *box;
	int fd;
	unsigned int changes;
	atomic_bool over;
} changer;

/* A doorbell, an irqfd and a direct line come and go, and are used meanwhile. */
static void *change(void *unused)
{
	(void)unused;
	while (!atomic_load(&changer.over)) {
		struct gh_ioevent *ioevent = add_bell(changer.box, GOES, changer.fd);
		struct gh_irqfd *irqfd = add_irqfd(changer.box, BOX_LINE_EDGE, 0, -1);
		struct gh_irq *irq = add_irq(changer.box, BOX_LINE_LEVEL, GH_IRQ_LEVEL);

		ck_assert_int_eq(gh_irqfd_raise(irqfd), 0);
		ck_assert_int_eq(gh_irq_set(irq, 1), 0);
		(void)sched_yield();
		gh_irq_remove(irq);
		gh_irqfd_remove(irqfd);
		gh_ioevent_remove(ioevent);
		changer.changes++;
		(void)sched_yield();
	}
	return NULL;
}

/* Each round: a doorbell that stays, one that may be there, and an exit. */
START_TEST(doorbells_and_exits_side_by_side)
{
	static const struct op program[] = {
		STORE(KEPT, 1, 4), STORE(GOES, 2, 4), STORE(READY, 3, 4), { .op = OP_AGAIN, .a = 0, .b = ROUNDS }, OFF,
	};
	struct gh_ioevent *kept;
	pthread_t thread;
	struct box box;
	uint64_t exits = 0;

	BOX_OPEN(&box, box_devices[_i], 1, program);
	kept = add_bell(&box, KEPT, -1);
	changer.box = &box;
	changer.fd = eventfd(0, EFD_CLOEXEC);
	changer.changes = 0;
	atomic_store(&changer.over, false);
	box_start(&box);
	ck_assert_int_eq(pthread_create(&thread, NULL, change, NULL), 0);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		const struct gh_exit *exit = box_run(&box, 0);

		for (; exit->kind == GH_EXIT_MMIO && exit->mmio.gpa == GOES; exit = box_run(&box, 0))
			exits++;
		ck_assert_uint_eq(exit->kind, GH_EXIT_MMIO);
		ck_assert_uint_eq(exit->mmio.gpa, READY);
	}
	box_expect_stop(&box, 0, GH_STOP_POWER_OFF);
	atomic_store(&changer.over, true);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_uint_gt(changer.changes, 0);
	ck_assert_uint_eq(take(gh_ioevent_fd(kept)), ROUNDS);
	ck_assert_uint_eq(take(changer.fd) + exits, ROUNDS);
	box_close(&box);
	(void)close(changer.fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lines");
	TCase *tcase = tcase_create("every device");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, direct_edges_arrive_one_by_one, 0, box_device_count);
	tcase_add_loop_test(tcase, direct_level_interrupts_while_it_is_up, 0, box_device_count);
	tcase_add_loop_test(tcase, resampled_line_loses_nothing, 0, box_device_count);
	tcase_add_loop_test(tcase, doorbells_and_exits_side_by_side, 0, box_device_count);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
