/* SPDX-License-Identifier: BSD-3-Clause */
/* Real guests below the library, on revisions of Gunyah's driver that differ most: one program, the same VMM code for all. */
#include "box.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define VALUE UINT64_C(0x8877665544332211)
#define MORE UINT64_C(0x90000000)
#define BELL UINT64_C(0x4000)

static const char *const devices[] = {
	"sim:gunyah/v8",
	"sim:gunyah/v10",
	"sim:gunyah/v11",
	"sim:gunyah/v14",
	"sim:gunyah/v17",
	"sim:gunyah/android14-6.1-early",
	"sim:gunyah/android14-6.1",
	"sim:gunyah/android15-6.6-early",
	"sim:gunyah/android15-6.6",
	"sim:gunyah/android16-6.12",
	"sim:gunyah/android-latest",
};
#define DEVICES (int)COUNT(devices)

/* The end, where the kernel tells of it. */
static void end(struct box *box)
{
	if ((gh_vm_quirks(box->vm) & GH_QUIRK_NO_END_EXIT) == 0) {
		box_expect_stop(box, 0, GH_STOP_POWER_OFF);
	} else {
		box_kick_later(box, 0, 30);
		box_expect_interruption(box, 0);
		box_join();
	}
	box_close(box);
}

/* BOX_OPEN() with main memory that is lent if the kernel can, and more memory that is shared. */
static void open_lent(struct box *box, const char *device, const struct op *program, size_t count)
{
	extern const unsigned char test_guest_start[];
	extern const unsigned char test_guest_end[];
	struct gh_memory memory = GH_MEMORY_INIT;

	box_open_empty(box, device);
	memory.gpa = BOX_BASE;
	memory.length = BOX_SIZE;
	memory.flags |= box_has(box, GH_FEATURE_LEND) ? (uint32_t)GH_MEMORY_LEND : 0;
	ck_assert_int_eq(gh_vm_map(box->vm, &memory, NULL), 0);
	memory.gpa = MORE;
	memory.flags = GH_MEMORY_RWX;
	ck_assert_int_eq(gh_vm_map(box->vm, &memory, NULL), 0);
	box_put(box, BOX_BASE, test_guest_start, (size_t)(test_guest_end - test_guest_start));
	box_put(box, BOX_PROGRAM, program, count * sizeof(*program));
	ck_assert_int_eq(gh_vcpu_create(box->vm, 0, &box->vcpus[0]), 0);
	ck_assert_int_eq(gh_vcpu_create(box->vm, 1, &box->vcpus[1]), 0);
}

START_TEST(guest_has_its_memory_and_devices)
{
	static const struct op program[] = {
		LOAD(0x5000, 8),     STORE_ACC(BOX_SCRATCH), STORE(0x4100, VALUE, 2), LOAD(BOX_SCRATCH, 8),
		STORE_ACC(MORE + 8), LOAD(MORE, 8),          STORE_ACC(0x4108),       STORE(BELL, 1, 4),
		STORE(BELL, 2, 4),   STORE(BELL, 1, 4),      STORE(0x4110, 1, 4),     OFF,
	};
	struct gh_ioevent_options options = GH_IOEVENT_OPTIONS_INIT;
	const uint64_t word = 0x1234;
	struct gh_ioevent *bell = NULL;
	uint64_t count = 0;
	struct box box;

	open_lent(&box, devices[_i], program, COUNT(program));
	box_put(&box, MORE, &word, sizeof(word));
	options.gpa = BELL;
	options.width = 4;
	options.flags = GH_IOEVENT_DATAMATCH;
	options.value = 1;
	ck_assert_int_eq(gh_ioevent_add(box.vm, &options, &bell), 0);
	box_start(&box);
	box_expect_load(&box, 0, 0x5000, 8, VALUE);
	box_expect_store(&box, 0, 0x4100, 2, 0x2211);
	box_expect_store(&box, 0, 0x4108, 8, 0x1234);
	box_expect_store(&box, 0, BELL, 4, 2);
	box_expect_store(&box, 0, 0x4110, 4, 1);
	ck_assert_int_eq(read(gh_ioevent_fd(bell), &count, sizeof(count)), (ssize_t)sizeof(count));
	ck_assert_uint_eq(count, 2);
	ck_assert_int_eq(gh_vm_read(box.vm, MORE + 8, &count, sizeof(count)), 0);
	ck_assert_uint_eq(count, VALUE);
	ck_assert_int_eq(gh_vm_read(box.vm, BOX_SCRATCH, &count, sizeof(count)),
			 box_has(&box, GH_FEATURE_LEND) ? -EFAULT : 0);
	end(&box);
}
END_TEST

START_TEST(interrupts_reach_the_guest)
{
	static const struct op program[] = {
		{ .op = OP_ENABLE, .a = BOX_INTID(BOX_LINE_EDGE), .b = 1 },
		STORE(0x4000, 1, 4),
		{ .op = OP_WAIT },
		STORE_ACC(0x4008),
		OFF,
	};
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	struct gh_irqfd *irqfd = NULL;
	struct box box;

	BOX_OPEN(&box, devices[_i], 1, program);
	options.line = BOX_LINE_EDGE;
	ck_assert_int_eq(gh_irqfd_add(box.vm, &options, &irqfd), 0);
	box_start(&box);
	box_expect_store(&box, 0, 0x4000, 4, 1);
	ck_assert_int_eq(gh_irqfd_raise(irqfd), 0);
	box_expect_store(&box, 0, 0x4008, 8, BOX_INTID(BOX_LINE_EDGE));
	end(&box);
}
END_TEST

/* An access that is refused is an exception of the guest's, which tells its syndrome and goes on. */
START_TEST(failed_access_is_an_abort)
{
	static const struct op program[] = { LOAD(0x5000, 4), STORE(0x4000, 7, 4), STORE(0x4008, 8, 4), OFF };
	const struct gh_exit *exit;
	struct box box;

	BOX_OPEN(&box, devices[_i], 1, program);
	box_start(&box);
	ck_assert_uint_eq(box_run(&box, 0)->kind, GH_EXIT_MMIO);
	if (box_has(&box, GH_FEATURE_MMIO_ABORT)) {
		ck_assert_int_eq(gh_mmio_fail(box.vcpus[0]), 0);
		exit = box_run(&box, 0);
		ck_assert_uint_eq(exit->kind, GH_EXIT_MMIO);
		ck_assert_uint_eq(exit->mmio.gpa, GUEST_EXCEPTION);
		ck_assert_uint_eq(exit->mmio.value >> 26, 0x25);
	} else {
		ck_assert_int_eq(gh_mmio_fail(box.vcpus[0]), -EOPNOTSUPP);
		ck_assert_int_eq(gh_mmio_complete(box.vcpus[0], 0), 0);
	}
	box_expect_store(&box, 0, 0x4000, 4, 7);
	box_expect_store(&box, 0, 0x4008, 4, 8);
	end(&box);
}
END_TEST

/* Where registers can be set the guest begins elsewhere: four bytes on is the second vCPUs' entry, with a program in x0. */
START_TEST(guest_begins_where_it_is_told)
{
	static const struct op program[] = { STORE(0x4000, 1, 4), OFF };
	static const struct op other[] = { STORE(0x4000, 2, 4), OFF };
	struct box box;

	BOX_OPEN(&box, devices[_i], 1, program);
	box_put(&box, BOX_PROGRAM_SECOND, other, sizeof(other));
	if (box_has(&box, GH_FEATURE_REGISTERS))
		ck_assert_int_eq(gh_vm_set_entry(box.vm, BOX_BASE + GUEST_ENTRY_SECOND, BOX_PROGRAM_SECOND), 0);
	box_start(&box);
	box_expect_store(&box, 0, 0x4000, 4, box_has(&box, GH_FEATURE_REGISTERS) ? 2 : 1);
	end(&box);
}
END_TEST

START_TEST(second_vcpu_runs)
{
	static const struct op program[] = {
		{ .op = OP_HVC, .a = PSCI_CPU_ON, .b = 1, .c = BOX_BASE + GUEST_ENTRY_SECOND, .d = BOX_PROGRAM_SECOND },
		STORE_ACC(0x4000),
		{ .op = OP_END }
	};
	static const struct op second[] = { STORE(0x4008, 5, 4), OFF };
	struct box box;

	BOX_OPEN(&box, devices[_i], 2, program);
	box_put(&box, BOX_PROGRAM_SECOND, second, sizeof(second));
	box_start(&box);
	box_expect_store(&box, 0, 0x4000, 8, 0);
	box_expect_store(&box, 1, 0x4008, 4, 5);
	if ((gh_vm_quirks(box.vm) & GH_QUIRK_NO_END_EXIT) == 0)
		box_expect_stop(&box, 1, GH_STOP_POWER_OFF);
	box_close(&box);
}
END_TEST

/* Memory that comes when the guest runs, and pages that go. */
START_TEST(memory_comes_and_goes)
{
	static const struct op program[] = { STORE(0x4000, 1, 4),
					     STORE(MORE, VALUE, 8),
					     LOAD(MORE, 8),
					     STORE_ACC(0x4008),
					     LOAD(MORE, 8),
					     STORE_ACC(0x4010),
					     OFF };
	struct gh_memory memory = GH_MEMORY_INIT;
	struct box box;

	BOX_OPEN(&box, devices[_i], 1, program);
	box_start(&box);
	if (!box_has(&box, GH_FEATURE_LATE_MEMORY)) {
		box_close(&box);
		return;
	}
	box_expect_store(&box, 0, 0x4000, 4, 1);
	memory.gpa = MORE;
	memory.length = BOX_SIZE;
	ck_assert_int_eq(gh_vm_map(box.vm, &memory, NULL), 0);
	box_expect_store(&box, 0, 0x4008, 8, VALUE);
	if (box_has(&box, GH_FEATURE_RECLAIM))
		ck_assert_int_eq(gh_vm_reclaim(box.vm, MORE, 4096), 0);
	box_expect_store(&box, 0, 0x4010, 8, box_has(&box, GH_FEATURE_RECLAIM) ? 0 : VALUE);
	end(&box);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("revisions");
	TCase *tcase = tcase_create("revisions");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, guest_has_its_memory_and_devices, 0, DEVICES);
	tcase_add_loop_test(tcase, interrupts_reach_the_guest, 0, DEVICES);
	tcase_add_loop_test(tcase, failed_access_is_an_abort, 0, DEVICES);
	tcase_add_loop_test(tcase, guest_begins_where_it_is_told, 0, DEVICES);
	tcase_add_loop_test(tcase, second_vcpu_runs, 0, DEVICES);
	tcase_add_loop_test(tcase, memory_comes_and_goes, 0, DEVICES);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
