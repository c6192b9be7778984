/* SPDX-License-Identifier: BSD-3-Clause */
/* Real guests on every device: accesses, ends, kicks, a second vCPU, aborts. */
#include "box.h"

#include "image_files.h"
#include "tree.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define VALUE UINT64_C(0x8877665544332211)

START_TEST(accesses_have_their_width_and_value)
{
	static const struct op program[] = {
		STORE(0x4000, VALUE, 1), STORE(0x4008, VALUE, 2), STORE(0x4010, VALUE, 4), STORE(0x4018, VALUE, 8),
		LOAD(0x5000, 1),         STORE_ACC(0x6000),       LOAD(0x5008, 2),         STORE_ACC(0x6000),
		LOAD(0x5010, 4),         STORE_ACC(0x6000),       LOAD(0x5018, 8),         STORE_ACC(0x6000),
		LOAD(0x5000, 4),         LOAD(0x5000, 4),         STORE_ACC(0x6000),       OFF,
	};
	struct box box;

	BOX_OPEN(&box, box_devices[_i], 1, program);
	box_start(&box);
	box_expect_store(&box, 0, 0x4000, 1, 0x11);
	box_expect_store(&box, 0, 0x4008, 2, 0x2211);
	box_expect_store(&box, 0, 0x4010, 4, 0x44332211);
	box_expect_store(&box, 0, 0x4018, 8, VALUE);
	box_expect_load(&box, 0, 0x5000, 1, VALUE);
	box_expect_store(&box, 0, 0x6000, 8, 0x11);
	box_expect_load(&box, 0, 0x5008, 2, VALUE);
	box_expect_store(&box, 0, 0x6000, 8, 0x2211);
	box_expect_load(&box, 0, 0x5010, 4, VALUE);
	box_expect_store(&box, 0, 0x6000, 8, 0x44332211);
	box_expect_load(&box, 0, 0x5018, 8, VALUE);
	box_expect_store(&box, 0, 0x6000, 8, VALUE);
	/* The second of two loads in a row does not see the first one's answer. */
	box_expect_load(&box, 0, 0x5000, 4, 1);
	box_expect_load(&box, 0, 0x5000, 4, 0);
	box_expect_store(&box, 0, 0x6000, 8, 0);
	box_expect_stop(&box, 0, GH_STOP_POWER_OFF);
	box_expect_stop(&box, 0, GH_STOP_POWER_OFF);
	box_close(&box);
}
END_TEST

START_TEST(load_without_answer_is_refused)
{
	static const struct op program[] = { LOAD(0x5000, 4), STORE_ACC(0x6000), OFF };
	const struct gh_exit *exit;
	struct box box;

	BOX_OPEN(&box, box_devices[_i], 1, program);
	ck_assert_int_eq(gh_vcpu_run(box.vcpus[0], &exit), -EBUSY);
	box_start(&box);
	exit = box_run(&box, 0);
	ck_assert_uint_eq(exit->kind, GH_EXIT_MMIO);
	ck_assert_int_eq(gh_vcpu_run(box.vcpus[0], &exit), -EBUSY);
	ck_assert_int_eq(gh_mmio_complete(box.vcpus[0], 0xabcd), 0);
	ck_assert_int_eq(gh_mmio_complete(box.vcpus[0], 0xabcd), -EBUSY);
	box_expect_store(&box, 0, 0x6000, 8, 0xabcd);
	box_expect_stop(&box, 0, GH_STOP_POWER_OFF);
	box_close(&box);
}
END_TEST

START_TEST(resets_are_told_from_power_off)
{
	static const struct op reset[] = { { .op = OP_HVC, .a = PSCI_SYSTEM_RESET } };
	static const struct op reset2[] = { { .op = OP_HVC, .a = PSCI_SYSTEM_RESET2, .b = 0x80000001, .c = 0x1234 } };
	struct box box;

	BOX_OPEN(&box, box_devices[_i], 1, reset);
	box_start(&box);
	box_expect_stop(&box, 0, GH_STOP_RESET);
	box_close(&box);
	BOX_OPEN(&box, box_devices[_i], 1, reset2);
	box_start(&box);
	box_expect_stop(&box, 0, GH_STOP_RESET);
	box_close(&box);
}
END_TEST

START_TEST(kick_ends_a_run_once)
{
	static const struct op program[] = { STORE(0x4000, 1, 4), { .op = OP_END } };
	struct box box;

	BOX_OPEN(&box, box_devices[_i], 1, program);
	box_start(&box);
	/* Before the first run, and twice: one interruption. */
	ck_assert_int_eq(gh_vcpu_kick(box.vcpus[0]), 0);
	ck_assert_int_eq(gh_vcpu_kick(box.vcpus[0]), 0);
	box_expect_interruption(&box, 0);
	box_expect_store(&box, 0, 0x4000, 4, 1);
	/* While the guest sleeps. */
	for (int i = 0; i < 3; i++) {
		box_kick_later(&box, 0, 30);
		box_expect_interruption(&box, 0);
		box_join();
	}
	box_close(&box);
}
END_TEST

START_TEST(kick_ends_a_computation)
{
	static const struct op program[] = { { .op = OP_SPIN } };
	struct box box;

	BOX_OPEN(&box, box_devices[_i], 1, program);
	box_start(&box);
	for (int i = 0; i < 3; i++) {
		box_kick_later(&box, 0, 30);
		box_expect_interruption(&box, 0);
		box_join();
	}
	box_close(&box);
}
END_TEST

START_TEST(kick_keeps_what_is_outstanding)
{
	static const struct op program[] = { LOAD(0x5000, 8), STORE_ACC(0x6000), STORE(0x4000, 7, 8), OFF };
	const struct gh_exit *exit;
	struct box box;

	BOX_OPEN(&box, box_devices[_i], 1, program);
	box_start(&box);
	exit = box_run(&box, 0);
	ck_assert_uint_eq(exit->kind, GH_EXIT_MMIO);
	ck_assert_int_eq(gh_vcpu_kick(box.vcpus[0]), 0);
	box_expect_interruption(&box, 0);
	ck_assert_int_eq(gh_mmio_complete(box.vcpus[0], VALUE), 0);
	/* The answer is on its way (H1). */
	ck_assert_int_eq(gh_vcpu_kick(box.vcpus[0]), 0);
	box_expect_interruption(&box, 0);
	box_expect_store(&box, 0, 0x6000, 8, VALUE);
	ck_assert_int_eq(gh_vcpu_kick(box.vcpus[0]), 0);
	box_expect_interruption(&box, 0);
	box_expect_store(&box, 0, 0x4000, 8, 7);
	box_expect_stop(&box, 0, GH_STOP_POWER_OFF);
	box_close(&box);
}
END_TEST

/* What the second vCPU did: it is run by a thread of its own, and `check` asserts in one thread only. */
struct second {
	struct gh_vcpu *vcpu;
	sem_t through; /* everything but the end is there */
	struct gh_exit exits[4];
	unsigned int count;
};

static void *run_second(void *argument)
{
	struct second *second = argument;
	const struct gh_exit *exit;

	while (second->count < COUNT(second->exits) && gh_vcpu_run(second->vcpu, &exit) == 0) {
		second->exits[second->count++] = *exit;
		if (exit->kind == GH_EXIT_MMIO && !exit->mmio.is_store)
			(void)gh_mmio_complete(second->vcpu, 0x3333);
		if (second->count == 3)
			(void)sem_post(&second->through);
	}
	return NULL;
}

static void check_second(const struct second *second)
{
	ck_assert_uint_eq(second->count, 4);
	ck_assert_uint_eq(second->exits[0].mmio.gpa, 0x4100);
	ck_assert_uint_eq(second->exits[0].mmio.value, 0x2222);
	ck_assert_uint_eq(second->exits[1].mmio.gpa, 0x5100);
	ck_assert_uint_eq(second->exits[2].mmio.gpa, 0x4108);
	ck_assert_uint_eq(second->exits[2].mmio.value, 0x3333);
	ck_assert_uint_eq(second->exits[3].kind, GH_EXIT_STOPPED);
	ck_assert_uint_eq(second->exits[3].stop.cause, GH_STOP_POWER_OFF);
}

/* The boot vCPU switches the second one on, waits for what it leaves in memory, and powers off while it sleeps. */
START_TEST(second_vcpu_runs_and_is_stopped)
{
	static const struct op program[] = {
		STORE(0x4000, 1, 4),
		{ .op = OP_HVC, .a = PSCI_CPU_ON, .b = 1, .c = BOX_BASE + GUEST_ENTRY_SECOND, .d = BOX_PROGRAM_SECOND },
		STORE_ACC(0x4008),
		LOAD(0x5000, 4), /* answered when the second one is through */
		OFF,
	};
	static const struct op second_program[] = {
		STORE(0x4100, 0x2222, 8),
		LOAD(0x5100, 4),
		STORE_ACC(0x4108),
		{ .op = OP_END },
	};
	const struct gh_exit *exit;
	struct second second = { .count = 0 };
	pthread_t thread;
	struct box box;

	ck_assert_int_eq(sem_init(&second.through, 0, 0), 0);
	BOX_OPEN(&box, box_devices[_i], 2, program);
	box_put(&box, BOX_PROGRAM_SECOND, second_program, sizeof(second_program));
	second.vcpu = box.vcpus[1];
	box_start(&box);
	ck_assert_int_eq(pthread_create(&thread, NULL, run_second, &second), 0);
	box_expect_store(&box, 0, 0x4000, 4, 1);
	box_expect_store(&box, 0, 0x4008, 8, 0);
	exit = box_run(&box, 0);
	ck_assert_uint_eq(exit->kind, GH_EXIT_MMIO);
	ck_assert_int_eq(sem_wait(&second.through), 0);
	ck_assert_int_eq(gh_mmio_complete(box.vcpus[0], 0), 0);
	box_expect_stop(&box, 0, GH_STOP_POWER_OFF);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	check_second(&second);
	box_close(&box);
}
END_TEST

/* A vCPU that nobody has switched on sleeps, can be kicked, and ends with the VM. */
START_TEST(waiting_vcpu_can_be_kicked)
{
	static const struct op program[] = { OFF };
	struct box box;

	BOX_OPEN(&box, box_devices[_i], 2, program);
	box_start(&box);
	box_kick_later(&box, 1, 30);
	box_expect_interruption(&box, 1);
	box_join();
	box_expect_stop(&box, 0, GH_STOP_POWER_OFF);
	box_expect_stop(&box, 1, GH_STOP_POWER_OFF);
	box_close(&box);
}
END_TEST

START_TEST(failed_access_aborts_in_the_guest)
{
	static const struct op program[] = { LOAD(0x5000, 4), STORE(0x4000, 5, 4), STORE(0x4008, 6, 4), OFF };
	const struct gh_exit *exit;
	struct box box;

	BOX_OPEN(&box, box_devices[_i], 1, program);
	box_start(&box);
	exit = box_run(&box, 0);
	ck_assert_uint_eq(exit->kind, GH_EXIT_MMIO);
	if (!box_has(&box, GH_FEATURE_MMIO_ABORT)) {
		ck_assert_int_eq(gh_mmio_fail(box.vcpus[0]), -EOPNOTSUPP);
		ck_assert_int_eq(gh_mmio_complete(box.vcpus[0], 0), 0);
		box_close(&box);
		return;
	}
	ck_assert_int_eq(gh_mmio_fail(box.vcpus[0]), 0);
	ck_assert_int_eq(gh_mmio_complete(box.vcpus[0], 0), -EBUSY);
	box_expect_store(&box, 0, GUEST_EXCEPTION, 4, 0x96000010);
	exit = box_run(&box, 0);
	ck_assert_uint_eq(exit->mmio.gpa, 0x4000);
	ck_assert_int_eq(gh_mmio_fail(box.vcpus[0]), 0);
	box_expect_store(&box, 0, GUEST_EXCEPTION, 4, 0x96000010);
	box_expect_store(&box, 0, 0x4008, 4, 6);
	ck_assert_int_eq(gh_mmio_fail(box.vcpus[0]), 0);
	box_expect_store(&box, 0, GUEST_EXCEPTION, 4, 0x96000010);
	box_expect_stop(&box, 0, GH_STOP_POWER_OFF);
	box_close(&box);
}
END_TEST

START_TEST(access_without_syndrome_aborts_in_the_guest)
{
	static const struct op program[] = { { .op = OP_LOAD_PAIR, .a = 0x5000 }, STORE(0x4000, 1, 4), OFF };
	struct box box;

	BOX_OPEN(&box, box_devices[_i], 1, program);
	box_start(&box);
	box_expect_store(&box, 0, GUEST_EXCEPTION, 4, 0x96000010);
	box_expect_store(&box, 0, 0x4000, 4, 1);
	box_expect_stop(&box, 0, GH_STOP_POWER_OFF);
	box_close(&box);
}
END_TEST

START_TEST(devices_are_below_1_gib_on_gunyah)
{
	static const struct op program[] = {
		STORE(0x50000000, 1, 4), LOAD(0x50000000, 8), LOAD(0x40000000, 8), STORE_ACC(0x4000), OFF,
	};
	struct box box;

	BOX_OPEN(&box, "sim:gunyah/android14-6.1", 1, program);
	box_start(&box);
	box_expect_store(&box, 0, GUEST_EXCEPTION, 4, 0x96000010);
	box_expect_store(&box, 0, GUEST_EXCEPTION, 4, 0x96000010);
	box_expect_store(&box, 0, 0x4000, 8, 0);
	box_expect_stop(&box, 0, GH_STOP_POWER_OFF);
	box_close(&box);
}
END_TEST

START_TEST(memory_is_shared_both_ways)
{
	static const struct op program[] = { LOAD(BOX_SCRATCH, 8), STORE_ACC(0x4000), STORE(BOX_SCRATCH + 8, VALUE, 8),
					     OFF };
	uint64_t value = 0x1234;
	struct box box;

	BOX_OPEN(&box, box_devices[_i], 1, program);
	box_put(&box, BOX_SCRATCH, &value, sizeof(value));
	box_start(&box);
	box_expect_store(&box, 0, 0x4000, 8, 0x1234);
	box_expect_stop(&box, 0, GH_STOP_POWER_OFF);
	ck_assert_int_eq(gh_vm_read(box.vm, BOX_SCRATCH + 8, &value, sizeof(value)), 0);
	ck_assert_uint_eq(value, VALUE);
	box_close(&box);
}
END_TEST

START_TEST(read_only_memory_makes_exits_of_stores)
{
	static const struct op program[] = { LOAD(0x90000000, 8), STORE_ACC(0x4000), STORE(0x90000010, 3, 2), OFF };
	struct gh_memory memory = GH_MEMORY_INIT;
	const uint64_t value = VALUE;
	struct box box;

	BOX_OPEN(&box, "/dev/kvm", 1, program);
	memory.gpa = 0x90000000;
	memory.length = 0x10000;
	memory.flags = GH_MEMORY_READ;
	ck_assert_int_eq(gh_vm_map(box.vm, &memory, NULL), 0);
	box_put(&box, memory.gpa, &value, sizeof(value));
	box_start(&box);
	box_expect_store(&box, 0, 0x4000, 8, VALUE);
	box_expect_store(&box, 0, 0x90000010, 2, 3);
	box_expect_stop(&box, 0, GH_STOP_POWER_OFF);
	box_close(&box);
}
END_TEST

START_TEST(two_vms_live_side_by_side)
{
	static const struct op program[] = { LOAD(0x5000, 8), STORE_ACC(0x4000), OFF };
	struct box one;
	struct box other;

	BOX_OPEN(&one, box_devices[_i], 1, program);
	BOX_OPEN(&other, box_devices[(_i + 1) % box_device_count], 1, program);
	box_start(&one);
	box_start(&other);
	box_expect_load(&one, 0, 0x5000, 8, 1);
	box_expect_load(&other, 0, 0x5000, 8, 2);
	box_expect_store(&one, 0, 0x4000, 8, 1);
	box_expect_store(&other, 0, 0x4000, 8, 2);
	box_expect_stop(&one, 0, GH_STOP_POWER_OFF);
	box_close(&one);
	box_expect_stop(&other, 0, GH_STOP_POWER_OFF);
	box_close(&other);
}
END_TEST

/* The simulated device's own VM is on the real KVM, whatever the variable says. */
START_TEST(variable_chooses_the_device)
{
	static const struct op program[] = { STORE(0x4000, 1, 4), OFF };
	struct box box;

	ck_assert_int_eq(setenv("GH_DEVICE", box_devices[_i], 1), 0);
	BOX_OPEN(&box, NULL, 1, program);
	ck_assert_int_eq(unsetenv("GH_DEVICE"), 0);
	box_start(&box);
	box_expect_store(&box, 0, 0x4000, 4, 1);
	box_expect_stop(&box, 0, GH_STOP_POWER_OFF);
	box_close(&box);
}
END_TEST

/* --- guests from files ------------------------------------------------------------------------------------------------- */

extern const unsigned char test_guest_start[];
extern const unsigned char test_guest_end[];

#define FILE_CODE 4096u /* where the guest is in the file */
#define FILE_LENGTH (FILE_CODE + GUEST_PROGRAM + 4096u)

enum kernel { KERNEL_IMAGE, KERNEL_GZIP, KERNEL_ELF, KERNELS };

/* Puts the guest and its program behind a header. */
static struct bytes kernel_file(enum kernel kernel, const struct op *program, size_t size)
{
	const struct elf_program segment = {
		.offset = FILE_CODE,
		.virtual_address = 0x1000,
		.address = BOX_BASE + 0x200000,
		.file_size = FILE_LENGTH - FILE_CODE,
		.size = FILE_LENGTH,
	};
	struct bytes file = elf_file(2, 0x1000, &segment, 1, FILE_LENGTH);
	struct bytes packed;

	memcpy(file.data + FILE_CODE, test_guest_start, (size_t)(test_guest_end - test_guest_start));
	memcpy(file.data + FILE_CODE + GUEST_PROGRAM, program, size);
	if (kernel == KERNEL_ELF)
		return file;
	memset(file.data, 0, FILE_CODE);
	put32(file.data, 0x14000000 | FILE_CODE / 4); /* b */
	put64(file.data + 8, 0x80000);
	put64(file.data + 16, FILE_LENGTH);
	memcpy(file.data + 56, "ARM\x64", 4);
	if (kernel == KERNEL_IMAGE)
		return file;
	packed = pack_gzip(&file, 6);
	bytes_free(&file);
	return packed;
}

static struct gh_image *open_bytes(const struct bytes *bytes, uint32_t format)
{
	struct gh_image_options options = GH_IMAGE_OPTIONS_INIT;
	struct gh_image *image = NULL;

	options.data = bytes->data;
	options.length = bytes->size;
	options.format = format;
	ck_assert_int_eq(gh_image_open(&options, &image), 0);
	return image;
}

static void boot_plan(struct box *box, const struct gh_image_plan *plan)
{
	struct gh_memory memory = GH_MEMORY_INIT;
	struct gh_fdt *fdt = NULL;
	int ret;

	memory.gpa = BOX_BASE;
	memory.length = BOX_SIZE;
	ck_assert_int_eq(gh_vm_map(box->vm, &memory, NULL), 0);
	ck_assert_int_eq(gh_image_load_plan(box->vm, plan), 0);
	ck_assert_int_eq(gh_vm_set_entry(box->vm, plan->entry, plan->dtb_gpa), 0);
	ck_assert_int_eq(gh_vcpu_create(box->vm, 0, &box->vcpus[0]), 0);
	ck_assert_int_eq(gh_fdt_open(box->vm, NULL, &fdt), 0);
	ret = gh_fdt_finish(fdt, plan->dtb_gpa, plan->dtb_room);
	ck_assert_msg(ret == 0, "tree: %d: %s", ret, gh_vm_failure(box->vm)->cause);
	gh_fdt_close(fdt);
	ret = gh_vm_start(box->vm);
	ck_assert_msg(ret == 0, "start: %d: %s", ret, gh_vm_failure(box->vm)->cause);
}

/* A kernel that cannot begin where Gunyah does begins all the same, and finds its initrd where the plan says. */
START_TEST(kernels_begin_from_files)
{
	struct gh_image_place_options options = GH_IMAGE_PLACE_OPTIONS_INIT;
	struct gh_image_plan plan = GH_IMAGE_PLAN_INIT;
	struct op program[] = { STORE(0x4000, VALUE, 8), { .op = OP_LOAD, .width = 8 }, STORE_ACC(0x6000), OFF };
	struct bytes initrd = bytes_new(100000);
	struct bytes kernel;
	uint64_t first;
	struct box box;

	box_open_empty(&box, box_devices[_i / KERNELS]);
	options.ram_gpa = BOX_BASE;
	options.ram_size = BOX_SIZE;
	options.initrd = open_bytes(&initrd, GH_IMAGE_RAW);
	/* Once to know where the initrd will be, and once more with that in the guest's program. */
	for (int pass = 0; pass < 2; pass++) {
		program[1].a = plan.initrd_gpa;
		kernel = kernel_file((enum kernel)(_i % KERNELS), program, sizeof(program));
		options.kernel = open_bytes(&kernel, GH_IMAGE_AUTO);
		ck_assert_int_eq(gh_image_place(box.vm, &options, &plan), 0);
		if (pass == 0) {
			gh_image_close(options.kernel);
			bytes_free(&kernel);
		}
	}
	ck_assert_uint_eq(plan.initrd_gpa, program[1].a);
	boot_plan(&box, &plan);
	gh_image_close(options.kernel);
	gh_image_close(options.initrd);
	memcpy(&first, initrd.data, sizeof(first));
	box_expect_store(&box, 0, 0x4000, 8, VALUE);
	box_expect_store(&box, 0, 0x6000, 8, first);
	box_expect_stop(&box, 0, GH_STOP_POWER_OFF);
	box_close(&box);
	bytes_free(&kernel);
	bytes_free(&initrd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("guest");
	TCase *tcase = tcase_create("every device");
	TCase *special = tcase_create("one device");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tcase, 60);
	tcase_set_timeout(special, 60);
	tcase_add_loop_test(tcase, accesses_have_their_width_and_value, 0, box_device_count);
	tcase_add_loop_test(tcase, load_without_answer_is_refused, 0, box_device_count);
	tcase_add_loop_test(tcase, resets_are_told_from_power_off, 0, box_device_count);
	tcase_add_loop_test(tcase, kick_ends_a_run_once, 0, box_device_count);
	tcase_add_loop_test(tcase, kick_ends_a_computation, 0, box_device_count);
	tcase_add_loop_test(tcase, kick_keeps_what_is_outstanding, 0, box_device_count);
	tcase_add_loop_test(tcase, second_vcpu_runs_and_is_stopped, 0, box_device_count);
	tcase_add_loop_test(tcase, waiting_vcpu_can_be_kicked, 0, box_device_count);
	tcase_add_loop_test(tcase, failed_access_aborts_in_the_guest, 0, box_device_count);
	tcase_add_loop_test(tcase, access_without_syndrome_aborts_in_the_guest, 0, box_device_count);
	tcase_add_loop_test(tcase, memory_is_shared_both_ways, 0, box_device_count);
	tcase_add_loop_test(tcase, two_vms_live_side_by_side, 0, box_device_count);
	tcase_add_loop_test(tcase, variable_chooses_the_device, 0, box_device_count);
	tcase_add_loop_test(tcase, kernels_begin_from_files, 0, box_device_count * KERNELS);
	tcase_add_test(special, devices_are_below_1_gib_on_gunyah);
	tcase_add_test(special, read_only_memory_makes_exits_of_stores);
	suite_add_tcase(suite, tcase);
	suite_add_tcase(suite, special);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
