/* SPDX-License-Identifier: BSD-3-Clause */
/* Lines and doorbells with real guests on every device. */
#include "box.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define WAIT(gpa) { .op = OP_WAIT }, STORE_ACC(gpa)
#define ENABLE(line, edge)                                                                                                 \
	{                                                                                                                  \
		.op = OP_ENABLE, .a = BOX_INTID(line), .b = (edge)                                                         \
	}

static struct gh_irqfd *add_line(struct box *box, uint32_t line, uint32_t flags)
{
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	struct gh_irqfd *irqfd = NULL;

	options.line = line;
	options.flags = flags;
	ck_assert_int_eq(gh_irqfd_add(box->vm, &options, &irqfd), 0);
	return irqfd;
}

/* How often a doorbell has rung since the last look. */
static uint64_t rings(int fd)
{
	struct pollfd poller = { .fd = fd, .events = POLLIN };
	uint64_t count = 0;

	if (poll(&poller, 1, 0) == 1)
		ck_assert_int_eq(read(fd, &count, sizeof(count)), sizeof(count));
	return count;
}

START_TEST(edge_interrupts_arrive_one_by_one)
{
	static const struct op program[] = {
		ENABLE(BOX_LINE_EDGE, 1), STORE(0x4000, 1, 4), WAIT(0x4008), WAIT(0x4008), WAIT(0x4008), OFF,
	};
	struct gh_irqfd *irqfd;
	struct box box;

	BOX_OPEN(&box, box_devices[_i], 1, program);
	irqfd = add_line(&box, BOX_LINE_EDGE, 0);
	box_start(&box);
	box_expect_store(&box, 0, 0x4000, 4, 1);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(gh_irqfd_raise(irqfd), 0);
		box_expect_store(&box, 0, 0x4008, 8, BOX_INTID(BOX_LINE_EDGE));
	}
	box_expect_stop(&box, 0, GH_STOP_POWER_OFF);
	box_close(&box);
}
END_TEST

/* A write before the start counts. */
START_TEST(early_interrupt_waits_for_the_guest)
{
	static const struct op program[] = { ENABLE(BOX_LINE_EDGE, 1), WAIT(0x4008), OFF };
	struct box box;

	BOX_OPEN(&box, box_devices[_i], 1, program);
	ck_assert_int_eq(gh_irqfd_raise(add_line(&box, BOX_LINE_EDGE, 0)), 0);
	box_start(&box);
	box_expect_store(&box, 0, 0x4008, 8, BOX_INTID(BOX_LINE_EDGE));
	box_expect_stop(&box, 0, GH_STOP_POWER_OFF);
	box_close(&box);
}
END_TEST

/* A guest that takes its line for level-triggered gets one interrupt for each time that it was raised. */
START_TEST(level_interrupts_stay_until_acknowledged)
{
	static const struct op program[] = {
		ENABLE(BOX_LINE_LEVEL, 0), STORE(0x4000, 1, 4), WAIT(0x4008), STORE(0x4000, 2, 4), WAIT(0x4008),
		STORE(0x4000, 3, 4),       { .op = OP_WAIT },   OFF,
	};
	struct gh_irqfd *irqfd;
	struct box box;

	BOX_OPEN(&box, box_devices[_i], 1, program);
	if (!box_has(&box, GH_FEATURE_IRQFD_LEVEL)) {
		box_close(&box);
		return;
	}
	irqfd = add_line(&box, BOX_LINE_LEVEL, GH_IRQ_LEVEL);
	box_start(&box);
	for (uint32_t i = 1; i <= 2; i++) {
		box_expect_store(&box, 0, 0x4000, 4, i);
		ck_assert_int_eq(gh_irqfd_raise(irqfd), 0);
		box_expect_store(&box, 0, 0x4008, 8, BOX_INTID(BOX_LINE_LEVEL));
	}
	box_expect_store(&box, 0, 0x4000, 4, 3);
	/* And none that nobody has raised. */
	box_kick_later(&box, 0, 50);
	box_expect_interruption(&box, 0);
	box_join();
	box_close(&box);
}
END_TEST

START_TEST(removed_line_is_silent)
{
	static const struct op program[] = { ENABLE(BOX_LINE_EDGE, 1), STORE(0x4000, 1, 4), WAIT(0x4008), OFF };
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	struct gh_irqfd *irqfd;
	struct box box;

	options.fd = eventfd(0, EFD_CLOEXEC);
	ck_assert_int_ge(options.fd, 0);
	options.line = BOX_LINE_EDGE;
	BOX_OPEN(&box, box_devices[_i], 1, program);
	ck_assert_int_eq(gh_irqfd_add(box.vm, &options, &irqfd), 0);
	box_start(&box);
	box_expect_store(&box, 0, 0x4000, 4, 1);
	gh_irqfd_remove(irqfd);
	ck_assert_int_eq(eventfd_write(options.fd, 1), 0);
	box_kick_later(&box, 0, 50);
	box_expect_interruption(&box, 0);
	box_join();
	/* The line is free again. */
	irqfd = add_line(&box, BOX_LINE_EDGE, 0);
	ck_assert_int_eq(gh_irqfd_raise(irqfd), 0);
	box_expect_store(&box, 0, 0x4008, 8, BOX_INTID(BOX_LINE_EDGE));
	box_expect_stop(&box, 0, GH_STOP_POWER_OFF);
	box_close(&box);
	(void)close(options.fd);
}
END_TEST

static int add_line_of(struct gh_vm *vm, int fd, uint32_t line)
{
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	struct gh_irqfd *irqfd;

	options.fd = fd;
	options.line = line;
	return gh_irqfd_add(vm, &options, &irqfd);
}

/* Two lines for one eventfd: where a kernel refuses that, the library does before the start, which still works. */
START_TEST(eventfd_with_two_lines)
{
	static const struct op program[] = { ENABLE(BOX_LINE_EDGE, 1), STORE(0x4000, 1, 4), WAIT(0x4008), OFF };
	int fd = eventfd(0, EFD_CLOEXEC);
	struct box box;
	bool refused;

	BOX_OPEN(&box, box_devices[_i], 1, program);
	refused = (gh_vm_quirks(box.vm) & GH_QUIRK_ONE_LINE_PER_EVENTFD) != 0;
	ck_assert_int_eq(add_line_of(box.vm, fd, BOX_LINE_EDGE), 0);
	ck_assert_int_eq(add_line_of(box.vm, fd, BOX_LINE_LEVEL + 1), refused ? -EBUSY : 0);
	box_start(&box);
	box_expect_store(&box, 0, 0x4000, 4, 1);
	ck_assert_int_eq(eventfd_write(fd, 1), 0);
	box_expect_store(&box, 0, 0x4008, 8, BOX_INTID(BOX_LINE_EDGE));
	box_expect_stop(&box, 0, GH_STOP_POWER_OFF);
	box_close(&box);
	(void)close(fd);
}
END_TEST

/* KVM's kernel itself, when the library does not look. */
START_TEST(kvm_gives_an_eventfd_one_line)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_memory memory = GH_MEMORY_INIT;
	int fd = eventfd(0, EFD_CLOEXEC);
	struct gh_vcpu *vcpu;
	struct gh_vm *vm;

	options.device = "/dev/kvm";
	options.quirks_off = GH_QUIRK_ONE_LINE_PER_EVENTFD;
	ck_assert_int_eq(gh_vm_open(&options, &vm), 0);
	memory.gpa = BOX_BASE;
	memory.length = BOX_SIZE;
	ck_assert_int_eq(gh_vm_map(vm, &memory, NULL), 0);
	ck_assert_int_eq(gh_vcpu_create(vm, 0, &vcpu), 0);
	ck_assert_int_eq(gh_vm_start(vm), 0);
	ck_assert_int_eq(add_line_of(vm, fd, BOX_LINE_EDGE), 0);
	ck_assert_int_eq(add_line_of(vm, fd, BOX_LINE_LEVEL), -EBUSY);
	gh_vm_close(vm);
	(void)close(fd);
}
END_TEST

START_TEST(doorbell_takes_its_width_and_address_only)
{
	static const struct op program[] = {
		STORE(0x5000, 1, 4), STORE(0x5000, 2, 4), STORE(0x5008, 3, 4), STORE(0x4000, 0, 4), LOAD(0x5000, 4), OFF,
	};
	struct gh_ioevent_options options = GH_IOEVENT_OPTIONS_INIT;
	struct gh_ioevent *ioevent;
	struct box box;

	options.gpa = 0x5000;
	options.width = 4;
	BOX_OPEN(&box, box_devices[_i], 1, program);
	ck_assert_int_eq(gh_ioevent_add(box.vm, &options, &ioevent), 0);
	box_start(&box);
	box_expect_store(&box, 0, 0x5008, 4, 3);
	ck_assert_uint_eq(rings(gh_ioevent_fd(ioevent)), 2);
	box_expect_store(&box, 0, 0x4000, 4, 0);
	/* Loads never ring. */
	box_expect_load(&box, 0, 0x5000, 4, 0);
	box_expect_stop(&box, 0, GH_STOP_POWER_OFF);
	ck_assert_uint_eq(rings(gh_ioevent_fd(ioevent)), 0);
	box_close(&box);
}
END_TEST

START_TEST(doorbell_of_any_width)
{
	static const struct op program[] = {
		STORE(0x5000, 1, 1), STORE(0x5000, 2, 2), STORE(0x5000, 3, 4),
		STORE(0x5000, 4, 8), STORE(0x4000, 0, 4), OFF,
	};
	struct gh_ioevent_options options = GH_IOEVENT_OPTIONS_INIT;
	struct gh_ioevent *ioevent;
	struct box box;

	options.gpa = 0x5000;
	BOX_OPEN(&box, box_devices[_i], 1, program);
	ck_assert_int_eq(gh_ioevent_add(box.vm, &options, &ioevent), 0);
	box_start(&box);
	box_expect_store(&box, 0, 0x4000, 4, 0);
	ck_assert_uint_eq(rings(gh_ioevent_fd(ioevent)), 4);
	box_expect_stop(&box, 0, GH_STOP_POWER_OFF);
	box_close(&box);
}
END_TEST

START_TEST(doorbells_differ_by_value)
{
	static const struct op program[] = {
		STORE(0x5000, 7, 4), STORE(0x5000, 8, 4), STORE(0x5000, 8, 4), STORE(0x5000, 9, 4), OFF,
	};
	struct gh_ioevent_options options = GH_IOEVENT_OPTIONS_INIT;
	struct gh_ioevent *seven;
	struct gh_ioevent *eight;
	struct box box;

	options.gpa = 0x5000;
	options.width = 4;
	options.flags = GH_IOEVENT_DATAMATCH;
	options.value = 7;
	BOX_OPEN(&box, box_devices[_i], 1, program);
	ck_assert_int_eq(gh_ioevent_add(box.vm, &options, &seven), 0);
	options.value = 8;
	ck_assert_int_eq(gh_ioevent_add(box.vm, &options, &eight), 0);
	ck_assert_int_eq(gh_ioevent_is_emulated(seven), 0);
	ck_assert_int_eq(gh_ioevent_is_emulated(eight), !box_has(&box, GH_FEATURE_DATAMATCH));
	box_start(&box);
	box_expect_store(&box, 0, 0x5000, 4, 9);
	ck_assert_uint_eq(rings(gh_ioevent_fd(seven)), 1);
	ck_assert_uint_eq(rings(gh_ioevent_fd(eight)), 2);
	box_expect_stop(&box, 0, GH_STOP_POWER_OFF);
	box_close(&box);
}
END_TEST

START_TEST(removed_doorbell_makes_exits)
{
	static const struct op program[] = {
		STORE(0x5000, 1, 4), STORE(0x4000, 1, 4), STORE(0x5000, 2, 4),
		STORE(0x5008, 3, 4), STORE(0x4000, 2, 4), OFF,
	};
	struct gh_ioevent_options options = GH_IOEVENT_OPTIONS_INIT;
	struct gh_ioevent *ioevent;
	struct gh_ioevent *other;
	struct box box;

	options.gpa = 0x5000;
	options.width = 4;
	BOX_OPEN(&box, box_devices[_i], 1, program);
	ck_assert_int_eq(gh_ioevent_add(box.vm, &options, &ioevent), 0);
	options.gpa = 0x5008;
	box_start(&box);
	ck_assert_int_eq(gh_ioevent_add(box.vm, &options, &other), 0);
	box_expect_store(&box, 0, 0x4000, 4, 1);
	ck_assert_uint_eq(rings(gh_ioevent_fd(ioevent)), 1);
	gh_ioevent_remove(ioevent);
	box_expect_store(&box, 0, 0x5000, 4, 2);
	box_expect_store(&box, 0, 0x4000, 4, 2);
	ck_assert_uint_eq(rings(gh_ioevent_fd(other)), 1);
	box_expect_stop(&box, 0, GH_STOP_POWER_OFF);
	box_close(&box);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("events");
	TCase *tcase = tcase_create("every device");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tcase, 10);
	tcase_add_loop_test(tcase, edge_interrupts_arrive_one_by_one, 0, box_device_count);
	tcase_add_loop_test(tcase, early_interrupt_waits_for_the_guest, 0, box_device_count);
	tcase_add_loop_test(tcase, level_interrupts_stay_until_acknowledged, 0, box_device_count);
	tcase_add_loop_test(tcase, removed_line_is_silent, 0, box_device_count);
	tcase_add_loop_test(tcase, eventfd_with_two_lines, 0, box_device_count);
	tcase_add_test(tcase, kvm_gives_an_eventfd_one_line);
	tcase_add_loop_test(tcase, doorbell_takes_its_width_and_address_only, 0, box_device_count);
	tcase_add_loop_test(tcase, doorbell_of_any_width, 0, box_device_count);
	tcase_add_loop_test(tcase, doorbells_differ_by_value, 0, box_device_count);
	tcase_add_loop_test(tcase, removed_doorbell_makes_exits, 0, box_device_count);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
