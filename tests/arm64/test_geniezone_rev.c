/* SPDX-License-Identifier: BSD-3-Clause */
/* A real guest on the first, the observed and the newest GenieZone, and on Halla: everything that differs between them. */
#include "box.h"

#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PATIENCE_MS 60000
#define BELL UINT64_C(0x5000)
#define REPORT UINT64_C(0x4008)

static const char *const devices[] = {
	"sim:gzvm/r0",
	"sim:gzvm/v4",
	"sim:gzvm/v5",
	"sim:gzvm/v9",
	"sim:gzvm/v12",
	"sim:gzvm/android16-6.12-early",
	"sim:gzvm/android15-6.6",
	"sim:gzvm/android-latest",
	"sim:halla",
};

#define ENABLE(line, edge)                                                                                                 \
	{                                                                                                                  \
		.op = OP_ENABLE, .a = BOX_INTID(line), .b = (edge)                                                         \
	}
#define WAIT(gpa) { .op = OP_WAIT }, STORE_ACC(gpa)

static struct gh_ioevent *add_bell(struct box *box, uint64_t value)
{
	struct gh_ioevent_options options = GH_IOEVENT_OPTIONS_INIT;
	struct gh_ioevent *ioevent = NULL;

	options.gpa = BELL;
	options.width = 4;
	options.flags = GH_IOEVENT_DATAMATCH;
	options.value = value;
	ck_assert_int_eq(gh_ioevent_add(box->vm, &options, &ioevent), 0);
	return ioevent;
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

static uint64_t await(int fd)
{
	struct pollfd poller = { .fd = fd, .events = POLLIN };
	uint64_t count = 0;

	ck_assert_int_eq(poll(&poller, 1, PATIENCE_MS), 1);
	ck_assert_int_eq(read(fd, &count, sizeof(count)), sizeof(count));
	return count;
}

/* Loads, stores, two values at one address, a vCPU that waits for its CPU_ON, and the end. */
START_TEST(test_accesses)
{
	static const struct op program[] = {
		STORE(0x4000, 0x1122334455667788, 8),
		LOAD(0x6000, 4),
		STORE_ACC(REPORT),
		STORE(BELL, 1, 4),
		STORE(BELL, 2, 4),
		STORE(BELL, 2, 4),
		STORE(0x4000, 2, 4),
		OFF,
	};
	struct gh_ioevent *bells[2];
	struct box box;

	BOX_OPEN(&box, devices[_i], 2, program);
	bells[0] = add_bell(&box, 1);
	bells[1] = add_bell(&box, 2);
	ck_assert_int_eq(gh_ioevent_is_emulated(bells[1]), !box_has(&box, GH_FEATURE_DATAMATCH));
	box_start(&box);
	box_expect_store(&box, 0, 0x4000, 8, 0x1122334455667788);
	box_expect_load(&box, 0, 0x6000, 4, 0xabcd);
	box_expect_store(&box, 0, REPORT, 8, 0xabcd);
	box_expect_store(&box, 0, 0x4000, 4, 2);
	ck_assert_uint_eq(await(gh_ioevent_fd(bells[0])), 1);
	ck_assert_uint_eq(await(gh_ioevent_fd(bells[1])), 2);
	ck_assert_int_eq(gh_vcpu_kick(box.vcpus[1]), 0);
	box_expect_interruption(&box, 1);
	box_expect_stop(&box, 0, GH_STOP_POWER_OFF);
	box_expect_stop(&box, 1, GH_STOP_POWER_OFF);
	box_close(&box);
}
END_TEST

static struct {
	struct gh_irqfd *line;
	int resample_fd;
	atomic_uint signals;
	atomic_bool wants;
	atomic_bool over;
} device;

/* A device says that it still wants its interrupt whenever it is told to look: the guest may not have seen the last one. */
static void *look_again(void *unused)
{
	struct pollfd poller = { .fd = device.resample_fd, .events = POLLIN };

	(void)unused;
	while (!atomic_load(&device.over)) {
		if (poll(&poller, 1, 20) != 1)
			continue;
		(void)await(device.resample_fd);
		(void)atomic_fetch_add(&device.signals, 1);
		if (atomic_load(&device.wants))
			ck_assert_int_eq(gh_irqfd_raise(device.line), 0);
	}
	return NULL;
}

/* A level-triggered line with resampling, by the kernel or by the library, and an edge. */
START_TEST(test_lines)
{
	static const struct op program[] = {
		ENABLE(BOX_LINE_LEVEL, 0),
		ENABLE(BOX_LINE_EDGE, 1),
		STORE(0x4000, 1, 4),
		WAIT(REPORT),
		STORE(0x4000, 2, 4),
		WAIT(REPORT),
		STORE(0x4000, 3, 4),
		WAIT(REPORT),
		OFF,
	};
	const struct gh_exit *exit;
	struct gh_irqfd *edge;
	pthread_t thread;
	struct box box;

	BOX_OPEN(&box, devices[_i], 1, program);
	device.resample_fd = eventfd(0, EFD_CLOEXEC);
	device.line = add_irqfd(&box, BOX_LINE_LEVEL, GH_IRQ_LEVEL, device.resample_fd);
	edge = add_irqfd(&box, BOX_LINE_EDGE, 0, -1);
	ck_assert_int_eq(gh_irqfd_is_emulated(device.line), !box_has(&box, GH_FEATURE_IRQFD_RESAMPLE));
	/* Before the start it counts. */
	ck_assert_int_eq(gh_irqfd_raise(edge), 0);
	box_start(&box);
	box_expect_store(&box, 0, 0x4000, 4, 1);
	box_expect_store(&box, 0, REPORT, 8, BOX_INTID(BOX_LINE_EDGE));
	box_expect_store(&box, 0, 0x4000, 4, 2);
	atomic_store(&device.signals, 0);
	atomic_store(&device.wants, true);
	atomic_store(&device.over, false);
	ck_assert_int_eq(pthread_create(&thread, NULL, look_again, NULL), 0);
	ck_assert_int_eq(gh_irqfd_raise(device.line), 0);
	box_expect_store(&box, 0, REPORT, 8, BOX_INTID(BOX_LINE_LEVEL));
	atomic_store(&device.wants, false);
	box_expect_store(&box, 0, 0x4000, 4, 3);
	ck_assert_int_eq(gh_irqfd_raise(edge), 0);
	exit = box_run(&box, 0);
	ck_assert_uint_eq(exit->kind, GH_EXIT_MMIO);
	ck_assert_uint_eq(exit->mmio.gpa, REPORT);
	/* Asserted more often than it was wanted, the level can be there once more. */
	ck_assert(exit->mmio.value == BOX_INTID(BOX_LINE_EDGE) || exit->mmio.value == BOX_INTID(BOX_LINE_LEVEL));
	box_expect_stop(&box, 0, GH_STOP_POWER_OFF);
	/* The device has heard of it. */
	for (int i = 0; i < PATIENCE_MS && atomic_load(&device.signals) == 0; i++)
		(void)usleep(1000);
	ck_assert_uint_ge(atomic_load(&device.signals), 1);
	atomic_store(&device.over, true);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	box_close(&box);
	(void)close(device.resample_fd);
}
END_TEST

/* A hypercall that nobody answers is not supported, whoever says so; so are resets. */
START_TEST(test_hypercall_and_reset)
{
	static const struct op program[] = {
		{ .op = OP_HVC, .a = 0x86001234 },
		STORE_ACC(REPORT),
		{ .op = OP_HVC, .a = PSCI_SYSTEM_RESET },
	};
	const struct gh_exit *exit;
	struct box box;

	BOX_OPEN(&box, devices[_i], 1, program);
	box_start(&box);
	exit = box_run(&box, 0);
	if (exit->kind == GH_EXIT_HYPERCALL)
		exit = box_run(&box, 0);
	ck_assert_uint_eq(exit->kind, GH_EXIT_MMIO);
	ck_assert_uint_eq(exit->mmio.value, UINT64_MAX);
	box_expect_stop(&box, 0, GH_STOP_RESET);
	box_close(&box);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("geniezone_rev");
	TCase *tcase = tcase_create("revisions");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tcase, 120);
	tcase_add_loop_test(tcase, test_accesses, 0, (int)COUNT(devices));
	tcase_add_loop_test(tcase, test_lines, 0, (int)COUNT(devices));
	tcase_add_loop_test(tcase, test_hypercall_and_reset, 0, (int)COUNT(devices));
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
