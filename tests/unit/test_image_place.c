/* SPDX-License-Identifier: BSD-3-Clause */
/* Where things go: Linux's rules, the hypervisor's, and what is said when they do not fit. */
#include "image_files.h"
#include "util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GIB (UINT64_C(1) << 30)

/* A VM whose guest begins where we say, and one whose hypervisor decides. */
enum machine { FREE, FIXED, MACHINES };

struct rig {
	struct gh_fake *fake;
	struct gh_sim *sim;
	struct gh_vm *vm;
	struct gh_image_place_options options;
	struct gh_image_plan plan;
};

static void rig_begin(struct rig *rig, enum machine machine)
{
	const struct gh_image_place_options options = GH_IMAGE_PLACE_OPTIONS_INIT;
	const struct gh_image_plan plan = GH_IMAGE_PLAN_INIT;

	*rig = (struct rig){ .options = options, .plan = plan };
	if (machine == FIXED) {
		rig->sim = new_sim(GUNYAH, "");
		rig->vm = open_sim(rig->sim);
	} else {
		rig->fake = new_fake();
		rig->vm = open_fake(rig->fake);
	}
	ck_assert_uint_eq((gh_vm_features(rig->vm) & GH_FEATURE_REGISTERS) == 0, machine == FIXED);
	rig->options.ram_gpa = RAM_GPA;
	rig->options.ram_size = 512 * MIB;
}

static void rig_end(struct rig *rig)
{
	gh_image_close(rig->options.kernel);
	gh_image_close(rig->options.initrd);
	gh_vm_close(rig->vm);
	if (rig->sim != NULL)
		end_sim(rig->sim);
	gh_fake_free(rig->fake);
}

static struct gh_image *open_bytes(struct bytes *bytes, uint32_t format)
{
	struct gh_image_options options = GH_IMAGE_OPTIONS_INIT;
	struct gh_image *image = NULL;

	options.data = bytes->data;
	options.length = bytes->size;
	options.format = format;
	ck_assert_int_eq(gh_image_open(&options, &image), 0);
	/* Placing looks at what is known, and not at the file. */
	bytes_free(bytes);
	return image;
}

static struct gh_image *kernel_of(uint64_t text_offset, uint64_t size)
{
	struct bytes bytes = image_file_bare(text_offset, size, 0);

	return open_bytes(&bytes, GH_IMAGE_AUTO);
}

static struct gh_image *raw_of(size_t size)
{
	struct bytes bytes = bytes_new(size);

	return open_bytes(&bytes, GH_IMAGE_RAW);
}

static int place(struct rig *rig)
{
	struct gh_image_plan before = rig->plan;
	int ret = gh_image_place(rig->vm, &rig->options, &rig->plan);

	if (ret < 0) {
		ck_assert(memcmp(&before, &rig->plan, sizeof(before)) == 0);
		ck_assert(failure_is(gh_vm_failure(rig->vm), ret));
		ck_assert_str_eq(gh_vm_failure(rig->vm)->step, "place the images");
	}
	return ret;
}

static bool apart(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a + a_size <= b || b + b_size <= a;
}

/* Everything that must hold of any plan for an Image. */
static void check_plan(const struct rig *rig)
{
	const struct gh_image_plan *plan = &rig->plan;
	const struct gh_image_info *kernel = gh_image_info(plan->kernel);
	uint64_t ram_end = rig->options.ram_gpa + rig->options.ram_size;
	bool jumps = plan->entry != plan->kernel_gpa + kernel->entry;

	ck_assert_ptr_eq(plan->kernel, rig->options.kernel);
	ck_assert_ptr_eq(plan->initrd, rig->options.initrd);
	ck_assert_uint_eq(plan->kernel_gpa % kernel->alignment, kernel->text_offset);
	ck_assert(plan->kernel_gpa >= rig->options.ram_gpa && plan->kernel_gpa + kernel->memory_size <= ram_end);
	ck_assert(plan->dtb_gpa >= rig->options.ram_gpa && plan->dtb_gpa + plan->dtb_room <= ram_end);
	if (kernel->format == GH_IMAGE_ARM64)
		ck_assert(plan->dtb_gpa >= plan->kernel_gpa - kernel->text_offset &&
			  (plan->initrd == NULL || plan->initrd_gpa >= plan->kernel_gpa - kernel->text_offset));
	ck_assert_uint_eq(plan->dtb_gpa % 8, 0);
	ck_assert_uint_le(plan->dtb_room, 2 * MIB);
	ck_assert_uint_eq(plan->dtb_gpa / (2 * MIB), (plan->dtb_gpa + plan->dtb_room - 1) / (2 * MIB));
	ck_assert_uint_ge(plan->dtb_room, rig->options.dtb_size + 65536);
	/* What gh_fdt_finish() wants for a tree of that size. */
	if (rig->options.dtb_size <= 512 * 1024)
		ck_assert_uint_ge(plan->dtb_room, 4 * rig->options.dtb_size);
	ck_assert(apart(plan->kernel_gpa, kernel->memory_size, plan->dtb_gpa, plan->dtb_room));
	if (plan->initrd != NULL) {
		ck_assert_uint_eq(plan->initrd_size, gh_image_info(plan->initrd)->file_size);
		ck_assert_uint_eq(plan->initrd_gpa % 65536, 0);
		ck_assert(plan->initrd_gpa >= rig->options.ram_gpa && plan->initrd_gpa + plan->initrd_size <= ram_end);
		ck_assert(apart(plan->kernel_gpa, kernel->memory_size, plan->initrd_gpa, plan->initrd_size));
		ck_assert(apart(plan->dtb_gpa, plan->dtb_room, plan->initrd_gpa, plan->initrd_size));
	}
	if (!jumps)
		return;
	ck_assert_uint_eq(plan->entry, rig->options.ram_gpa);
	ck_assert(apart(plan->entry, 16, plan->kernel_gpa, kernel->memory_size));
	ck_assert(apart(plan->entry, 16, plan->dtb_gpa, plan->dtb_room));
	ck_assert(plan->initrd == NULL || apart(plan->entry, 16, plan->initrd_gpa, plan->initrd_size));
}

/* --- what everybody does ------------------------------------------------------------------------------------------------ */

START_TEST(test_stock_kernel)
{
	struct rig rig;

	rig_begin(&rig, (enum machine)_i);
	rig.options.kernel = kernel_of(0, 30 * MIB + 4096);
	rig.options.initrd = raw_of(3 * MIB + 5);
	ck_assert_int_eq(place(&rig), 0);
	check_plan(&rig);
	ck_assert_uint_eq(rig.plan.kernel_gpa, RAM_GPA);
	ck_assert_uint_eq(rig.plan.entry, RAM_GPA);
	rig_end(&rig);
}
END_TEST

START_TEST(test_text_offset)
{
	struct rig rig;

	rig_begin(&rig, (enum machine)_i);
	rig.options.kernel = kernel_of(0x80000, MIB);
	ck_assert_int_eq(place(&rig), 0);
	check_plan(&rig);
	ck_assert_uint_eq(rig.plan.kernel_gpa, RAM_GPA + 0x80000);
	/* Where the hypervisor decides, a jump stands at the region's start. */
	ck_assert_uint_eq(rig.plan.entry, _i == FIXED ? RAM_GPA : RAM_GPA + 0x80000);
	ck_assert_ptr_null(rig.plan.initrd);
	ck_assert_uint_eq(rig.plan.initrd_gpa, 0);
	/* Without room for the jump before it, the kernel goes to the next block. */
	gh_image_close(rig.options.kernel);
	rig.options.kernel = kernel_of(12, MIB);
	ck_assert_int_eq(place(&rig), 0);
	check_plan(&rig);
	ck_assert_uint_eq(rig.plan.kernel_gpa, _i == FIXED ? RAM_GPA + 2 * MIB + 12 : RAM_GPA + 12);
	rig_end(&rig);
}
END_TEST

START_TEST(test_memory_anywhere)
{
	struct rig rig;

	rig_begin(&rig, (enum machine)_i);
	rig.options.kernel = kernel_of(0, MIB);
	rig.options.initrd = raw_of(1);
	for (uint64_t gpa = RAM_GPA; gpa < RAM_GPA + 4 * MIB; gpa += 0x33000) {
		rig.options.ram_gpa = gpa;
		for (uint64_t dtb = 0; dtb < 2 * MIB - 65536; dtb += 300001) {
			rig.options.dtb_size = dtb;
			ck_assert_int_eq(place(&rig), 0);
			check_plan(&rig);
		}
	}
	rig_end(&rig);
}
END_TEST

/* The least that is enough is enough, as the refusal says. */
START_TEST(test_least_memory)
{
	const char *text;
	struct rig rig;
	uint64_t least;

	rig_begin(&rig, (enum machine)(_i % MACHINES));
	rig.options.kernel = kernel_of(0, 20 * MIB);
	rig.options.initrd = raw_of(_i < MACHINES ? MIB + 4097 : MIB);
	rig.options.ram_size = 16 * MIB;
	ck_assert_int_eq(place(&rig), -ENOSPC);
	text = gh_vm_failure(rig.vm)->cause;
	ck_assert_ptr_nonnull(strstr(text, "The kernel (20480 KiB, at 0x80000000)"));
	ck_assert_ptr_nonnull(strstr(text, "at least "));
	least = strtoull(strstr(text, "at least ") + 9, NULL, 10) * 1024;
	least = (least + 4095) & ~UINT64_C(4095);
	rig.options.ram_size = least - 4096;
	ck_assert_int_eq(place(&rig), -ENOSPC);
	ck_assert_ptr_nonnull(strstr(text, "The initrd"));
	rig.options.ram_size = least;
	ck_assert_int_eq(place(&rig), 0);
	check_plan(&rig);
	rig.options.ram_size = 20 * MIB + 65536;
	ck_assert_int_eq(place(&rig), -ENOSPC);
	ck_assert_ptr_nonnull(strstr(text, "The devicetree"));
	rig_end(&rig);
}
END_TEST

/* --- ELF and raw -------------------------------------------------------------------------------------------------------- */

static struct gh_image *elf_of(uint16_t type, uint64_t address, uint64_t entry)
{
	const struct elf_program program = {
		.offset = 4096, .virtual_address = address, .address = address, .file_size = 100, .size = MIB
	};
	struct bytes bytes = elf_file(type, entry, &program, 1, 8192);

	return open_bytes(&bytes, GH_IMAGE_AUTO);
}

START_TEST(test_elf)
{
	struct rig rig;

	/* Linked for the memory: there it is, whatever its type. */
	rig_begin(&rig, (enum machine)_i);
	for (uint16_t type = 2; type <= 3; type++) {
		rig.options.kernel = elf_of(type, RAM_GPA + 3 * MIB, RAM_GPA + 3 * MIB + 64);
		ck_assert_int_eq(place(&rig), 0);
		check_plan(&rig);
		ck_assert_uint_eq(rig.plan.kernel_gpa, RAM_GPA + 3 * MIB);
		ck_assert_uint_eq(rig.plan.entry, _i == FIXED ? RAM_GPA : RAM_GPA + 3 * MIB + 64);
		gh_image_close(rig.options.kernel);
	}
	/* Linked for elsewhere. */
	rig.options.kernel = elf_of(2, RAM_GPA - 4096, RAM_GPA);
	ck_assert_int_eq(place(&rig), -ENOSPC);
	gh_image_close(rig.options.kernel);
	rig.options.kernel = elf_of(2, RAM_GPA + rig.options.ram_size - MIB + 4096, RAM_GPA + rig.options.ram_size);
	ck_assert_int_eq(place(&rig), -ENOSPC);
	gh_image_close(rig.options.kernel);
	rig.options.kernel = elf_of(2, UINT64_C(0xffff800008000000), UINT64_C(0xffff800008000000));
	ck_assert_int_eq(place(&rig), -ENOSPC);
	gh_image_close(rig.options.kernel);
	rig.options.kernel = elf_of(3, UINT64_C(0xffff800008010000), UINT64_C(0xffff800008010040));
	ck_assert_int_eq(place(&rig), 0);
	check_plan(&rig);
	ck_assert_uint_eq(rig.plan.kernel_gpa, RAM_GPA + 0x10000);
	rig_end(&rig);
}
END_TEST

/* At the memory's start, and with its first instruction somewhere else. */
START_TEST(test_elf_without_room_for_a_jump)
{
	struct rig rig;

	rig_begin(&rig, (enum machine)_i);
	rig.options.kernel = elf_of(2, RAM_GPA, RAM_GPA + 64);
	ck_assert_int_eq(place(&rig), _i == FIXED ? -ENOSPC : 0);
	gh_image_close(rig.options.kernel);
	rig.options.kernel = elf_of(2, RAM_GPA, RAM_GPA);
	ck_assert_int_eq(place(&rig), 0);
	check_plan(&rig);
	ck_assert_uint_eq(rig.plan.entry, RAM_GPA);
	rig_end(&rig);
}
END_TEST

START_TEST(test_raw)
{
	struct rig rig;

	rig_begin(&rig, (enum machine)_i);
	rig.options.kernel = raw_of(5000);
	ck_assert_int_eq(place(&rig), 0);
	check_plan(&rig);
	ck_assert_uint_eq(rig.plan.kernel_gpa, RAM_GPA);
	ck_assert_uint_eq(rig.plan.entry, RAM_GPA);
	rig_end(&rig);
}
END_TEST

/* --- refusals ------------------------------------------------------------------------------------------------------------- */

START_TEST(test_arguments)
{
	struct rig rig;

	rig_begin(&rig, FREE);
	ck_assert_int_eq(place(&rig), -EINVAL);
	rig.options.kernel = kernel_of(0, MIB);
	ck_assert_int_eq(gh_image_place(NULL, &rig.options, &rig.plan), -EINVAL);
	ck_assert_int_eq(gh_image_place(rig.vm, NULL, &rig.plan), -EINVAL);
	ck_assert_int_eq(gh_image_place(rig.vm, &rig.options, NULL), -EINVAL);
	rig.options.size--;
	ck_assert_int_eq(gh_image_place(rig.vm, &rig.options, &rig.plan), -EINVAL);
	rig.options.size++;
	rig.plan.size--;
	ck_assert_int_eq(gh_image_place(rig.vm, &rig.options, &rig.plan), -EINVAL);
	rig.plan.size++;
	rig.options.ram_size = 0;
	ck_assert_int_eq(place(&rig), -EINVAL);
	rig.options.ram_size = 512 * MIB + 1;
	ck_assert_int_eq(place(&rig), -EINVAL);
	rig.options.ram_size = 512 * MIB;
	rig.options.ram_gpa += 8;
	ck_assert_int_eq(place(&rig), -EINVAL);
	rig.options.ram_gpa = -UINT64_C(4096);
	ck_assert_int_eq(place(&rig), -ERANGE);
	rig.options.ram_gpa = RAM_GPA;
	rig.options.ram_size = -UINT64_C(4096);
	ck_assert_int_eq(place(&rig), -ERANGE);
	rig.options.ram_size = 512 * MIB;
	/* The fake has 40 bits. */
	rig.options.ram_gpa = (UINT64_C(1) << 40) - 511 * MIB;
	ck_assert_int_eq(place(&rig), -ERANGE);
	rig.options.ram_gpa = (UINT64_C(1) << 40) - 512 * MIB;
	ck_assert_int_eq(place(&rig), 0);
	check_plan(&rig);
	rig.options.ram_gpa = RAM_GPA;
	rig.options.dtb_size = 2 * MIB - 65535;
	ck_assert_int_eq(place(&rig), -EINVAL);
	rig.options.dtb_size = UINT64_MAX;
	ck_assert_int_eq(place(&rig), -EINVAL);
	for (uint64_t size = 1; size <= 2 * MIB - 65536; size = size < 32768 ? size * 2 : size + 65536) {
		rig.options.dtb_size = size;
		ck_assert_int_eq(place(&rig), 0);
		check_plan(&rig);
	}
	rig.options.dtb_size = 2 * MIB - 65536;
	ck_assert_int_eq(place(&rig), 0);
	check_plan(&rig);
	/* An initrd is taken as it is. */
	rig.options.initrd = kernel_of(0, MIB);
	ck_assert_int_eq(place(&rig), -EINVAL);
	rig_end(&rig);
}
END_TEST

START_TEST(test_huge)
{
	struct rig rig;

	/* Beyond every address. */
	rig_begin(&rig, (enum machine)_i);
	rig.options.kernel = kernel_of(0x1ffffc, UINT64_C(1) << 40);
	rig.options.ram_size = 512 * GIB;
	ck_assert_int_eq(place(&rig), -ENOSPC);
	gh_image_close(rig.options.kernel);
	/* Kernel and initrd too far apart for Linux. */
	rig.options.kernel = kernel_of(0, 31 * GIB);
	rig.options.initrd = raw_of(4096);
	ck_assert_int_eq(place(&rig), 0);
	check_plan(&rig);
	gh_image_close(rig.options.kernel);
	rig.options.kernel = kernel_of(0, 32 * GIB);
	ck_assert_int_eq(place(&rig), -ENOSPC);
	ck_assert_ptr_nonnull(strstr(gh_vm_failure(rig.vm)->cause, "32 GiB"));
	rig_end(&rig);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("image_place");
	TCase *tcase = add_case(suite, "image_place");

	tcase_add_loop_test(tcase, test_stock_kernel, 0, MACHINES);
	tcase_add_loop_test(tcase, test_text_offset, 0, MACHINES);
	tcase_add_loop_test(tcase, test_memory_anywhere, 0, MACHINES);
	tcase_add_loop_test(tcase, test_least_memory, 0, 2 * MACHINES);
	tcase_add_loop_test(tcase, test_elf, 0, MACHINES);
	tcase_add_loop_test(tcase, test_elf_without_room_for_a_jump, 0, MACHINES);
	tcase_add_loop_test(tcase, test_raw, 0, MACHINES);
	tcase_add_test(tcase, test_arguments);
	tcase_add_loop_test(tcase, test_huge, 0, MACHINES);
	return run_suite(suite);
}
