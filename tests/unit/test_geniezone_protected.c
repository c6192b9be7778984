/* SPDX-License-Identifier: BSD-3-Clause */
/* Protected VMs on every revision of GenieZone and on Halla: with the hypervisor's firmware, and without. */
#include "geniezone_devices.h"
#include "table.h"

#include "../../lib/internal.h"
#include "../../lib/uapi/gzvm.h"
#include "../../lib/uapi/halla.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FIRMWARE_GPA UINT64_C(0x7fc00000)
#define FIRMWARE_SIZE (4 * MIB)

static struct gh_sim *sim;
static struct gh_vm *vm;

/* A machine whose hypervisor refuses what `fail` says; the throw-away VM of the probe is its first. */
static void begin(int index, const char *fail, const char *script)
{
	char text[400];

	(void)snprintf(text, sizeof(text), "#! fail %s\n%s", fail, script);
	sim = new_sim(gz_devices[index].device, text);
	vm = open_sim(sim);
}

static void end(void)
{
	gh_vm_close(vm);
	end_sim(sim);
}

static struct gh_vcpu *configure(void)
{
	map_at(vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	map_at(vm, RAM_GPA + RAM_SIZE, 2 * MIB, GH_MEMORY_RWX | GH_MEMORY_SWIOTLB);
	return add_vcpu(vm, 0);
}

/* What was configured before it, and what after it, is there; x1 has the entry point, and the firmware begins. */
START_TEST(test_firmware)
{
	const uint64_t mark = 0xfeedfeed;
	uint64_t word = 0;
	struct gh_vcpu *vcpu;

	begin(_i, "create-vm 0",
	      "register pc; echo 0x3f8 8; register x1; echo 0x3f8 8; peek 0x80000040 8; echo 0x3f8 8; off");
	vcpu = configure();
	ck_assert_int_eq(gh_vm_write(vm, RAM_GPA + 0x40, &mark, sizeof(mark)), 0);
	ck_assert_int_eq(gh_vm_set_firmware(vm, FIRMWARE_GPA, FIRMWARE_SIZE), 0);
	ck_assert_int_eq(gh_vm_start(vm), -EINVAL);
	ck_assert(failure_is(gh_vm_failure(vm), -EINVAL));
	map_at(vm, FIRMWARE_GPA, FIRMWARE_SIZE, GH_MEMORY_RWX);
	ck_assert_int_eq(gh_vm_set_entry(vm, RAM_GPA + 0x1000, DTB_GPA), 0);
	ck_assert_int_eq(gh_vm_start(vm), 0);
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, 0);
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, RAM_GPA + 0x1000);
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, mark);
	ck_assert_int_eq(gh_vm_read(vm, RAM_GPA + 0x40, &word, sizeof(word)), 0);
	ck_assert_uint_eq(word, mark);
	ck_assert_int_eq(gh_vm_set_firmware(vm, 0, 0), -EBUSY);
	ck_assert_int_eq(gh_vm_set_protected(vm, 1), -EBUSY);
	end();
}
END_TEST

/* The caller's own x1 stays. */
START_TEST(test_own_x1)
{
	struct gh_vcpu *vcpu;

	begin(_i, "create-vm 0", "register x1; echo 0x3f8 8; off");
	ck_assert_int_eq(gh_vm_set_firmware(vm, FIRMWARE_GPA, FIRMWARE_SIZE), 0);
	vcpu = configure();
	map_at(vm, FIRMWARE_GPA, FIRMWARE_SIZE, GH_MEMORY_RWX);
	ck_assert_int_eq(gh_vm_set_register(vm, GH_REG_X0 + 1, 0x77), 0);
	ck_assert_int_eq(gh_vm_set_entry(vm, RAM_GPA, 0), 0);
	ck_assert_int_eq(gh_vm_start(vm), 0);
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, 0x77);
	end();
}
END_TEST

/* What the hypervisor refuses is said in words, and where it is asked. */
START_TEST(test_refused)
{
	static const struct {
		const char *fail;
		int with_firmware;
		int bare;
	} refusals[] = {
		{ "cap -24", -EINVAL, -EOPNOTSUPP }, /* the size of the firmware: EINVAL, whatever it was */
		{ "cap 0 -5", -ENOMEM, 0 },
		{ "cap -40", -EINVAL, -EFAULT },
	};

	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		begin(_i, refusals[i].fail, "off");
		(void)configure();
		map_at(vm, FIRMWARE_GPA, FIRMWARE_SIZE, GH_MEMORY_RWX);
		ck_assert_int_eq(gh_vm_set_firmware(vm, FIRMWARE_GPA, FIRMWARE_SIZE), 0);
		ck_assert_int_eq(gh_vm_start(vm), refusals[i].with_firmware);
		ck_assert(failure_is(gh_vm_failure(vm), refusals[i].with_firmware));
		end();
		if (!gz_devices[_i].has_irq_line)
			continue;
		begin(_i, refusals[i].fail, "off");
		(void)configure();
		ck_assert_int_eq(gh_vm_set_protected(vm, 1), 0);
		ck_assert_int_eq(gh_vm_start(vm), refusals[i].bare);
		end();
	}
}
END_TEST

START_TEST(test_no_room)
{
	begin(_i, "create-vm 0", "off");
	(void)configure();
	map_at(vm, FIRMWARE_GPA, 2 * MIB, GH_MEMORY_RWX);
	ck_assert_int_eq(gh_vm_set_firmware(vm, FIRMWARE_GPA, 4096), 0);
	ck_assert_int_eq(gh_vm_start(vm), -ENOSPC);
	ck_assert(failure_is(gh_vm_failure(vm), -ENOSPC));
	end();
}
END_TEST

static uint64_t firmware_size; /* as the hypervisor says */

static bool says_size(int fd, unsigned long request, uintptr_t arg, int *ret_result)
{
	struct uapi_gzvm_enable_cap *cap = (void *)arg;

	(void)fd;
	if ((request != UAPI_GZVM_ENABLE_CAP && request != UAPI_HALLA_ENABLE_CAP) ||
	    cap->args[0] != UAPI_GZVM_PVM_GET_FW_SIZE)
		return false;
	cap->args[1] = firmware_size;
	*ret_result = 0;
	return true;
}

/* A hypervisor without firmware, one whose firmware just fits, and one that has a byte too many. */
START_TEST(test_size)
{
	static const struct {
		uint64_t size;
		int ret;
	} sizes[] = { { 0, -ENOENT }, { 1, 0 }, { FIRMWARE_SIZE, 0 }, { FIRMWARE_SIZE + 1, -ENOSPC } };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		begin(_i, "create-vm 0", "off");
		(void)configure();
		map_at(vm, FIRMWARE_GPA, FIRMWARE_SIZE, GH_MEMORY_RWX);
		ck_assert_int_eq(gh_vm_set_firmware(vm, FIRMWARE_GPA, FIRMWARE_SIZE), 0);
		firmware_size = sizes[i].size;
		table_instead = says_size;
		ck_assert_int_eq(gh_vm_start(vm), sizes[i].ret);
		table_instead = NULL;
		if (sizes[i].ret < 0)
			ck_assert_uint_eq(gh_vm_failure(vm)->cause_id, GH_CAUSE_FIRMWARE);
		end();
	}
}
END_TEST

/* A region of its own: it begins there, and holds all of it. Found before the kernel hears of anything. */
START_TEST(test_place)
{
	begin(_i, "create-vm 0", "off");
	(void)configure();
	map_at(vm, FIRMWARE_GPA, 2 * MIB, GH_MEMORY_RWX);
	ck_assert_int_eq(gh_vm_set_firmware(vm, FIRMWARE_GPA, FIRMWARE_SIZE), 0);
	ck_assert_int_eq(gh_vm_start(vm), -EINVAL);
	ck_assert_uint_eq(gh_vm_failure(vm)->cause_id, GH_CAUSE_FIRMWARE);
	ck_assert_int_eq(gh_vm_set_firmware(vm, FIRMWARE_GPA + MIB, MIB), 0);
	ck_assert_int_eq(gh_vm_start(vm), -EINVAL);
	ck_assert_uint_eq(gh_vm_failure(vm)->cause_id, GH_CAUSE_FIRMWARE);
	ck_assert_int_eq(gh_vm_set_firmware(vm, FIRMWARE_GPA, 2 * MIB), 0);
	ck_assert_int_eq(gh_vm_start(vm), 0);
	end();
}
END_TEST

/* On and off again; R0's kernel knows no such thing. */
START_TEST(test_bare)
{
	bool has = gz_devices[_i].has_irq_line;
	struct gh_vcpu *vcpu;

	begin(_i, "create-vm 0", "store 0x3f8 4 1; off");
	ck_assert_int_eq((gh_vm_features(vm) & GH_FEATURE_BARE_PROTECTION) != 0, has);
	vcpu = configure();
	ck_assert_int_eq(gh_vm_set_protected(vm, 1), has ? 0 : -EOPNOTSUPP);
	ck_assert_int_eq(gh_vm_set_protected(vm, 0), has ? 0 : -EOPNOTSUPP);
	ck_assert_int_eq(gh_vm_set_protected(vm, 1), has ? 0 : -EOPNOTSUPP);
	ck_assert_int_eq(gh_vm_start(vm), 0);
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, 1);
	end();
}
END_TEST

/* The VM that takes the place of the first one cannot be made. */
START_TEST(test_not_anew)
{
	begin(_i, "create-vm 0 0 -5", "off");
	(void)configure();
	ck_assert_int_lt(gh_vm_set_firmware(vm, FIRMWARE_GPA, FIRMWARE_SIZE), 0);
	ck_assert(failure_is(gh_vm_failure(vm), gh_vm_failure(vm)->error));
	ck_assert_int_eq(gh_vm_start(vm), -EBUSY);
	end();
}
END_TEST

/* Whole pages, to the last one of the address space. */
START_TEST(test_ranges)
{
	uint64_t end_of_space;

	begin(_i, "create-vm 0", "off");
	end_of_space = UINT64_C(1) << vm->b.caps.gpa_bits;
	ck_assert_int_eq(gh_vm_set_firmware(vm, FIRMWARE_GPA + 8, 4096), -EINVAL);
	ck_assert_int_eq(gh_vm_set_firmware(vm, FIRMWARE_GPA, 4097), -EINVAL);
	ck_assert_int_eq(gh_vm_set_firmware(vm, end_of_space - 4096, 8192), -ERANGE);
	ck_assert_int_eq(gh_vm_set_firmware(vm, end_of_space, 4096), -ERANGE);
	ck_assert_int_eq(gh_vm_set_firmware(vm, UINT64_MAX - 4095, 8192), -ERANGE);
	ck_assert(failure_is(gh_vm_failure(vm), -ERANGE));
	ck_assert_int_eq(gh_vm_set_firmware(vm, end_of_space - 4096, 4096), 0);
	ck_assert_int_eq(gh_vm_set_firmware(vm, 0, 0), 0);
	end();
}
END_TEST

START_TEST(test_elsewhere)
{
	ck_assert_int_eq(gh_vm_set_protected(NULL, 1), -EINVAL);
	ck_assert_int_eq(gh_vm_set_firmware(NULL, FIRMWARE_GPA, FIRMWARE_SIZE), -EINVAL);
	sim = new_sim(GUNYAH, "");
	vm = open_sim(sim);
	ck_assert_int_eq(gh_vm_set_protected(vm, 1), -EOPNOTSUPP);
	ck_assert(failure_is(gh_vm_failure(vm), -EOPNOTSUPP));
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("geniezone_protected");
	TCase *tcase = add_case(suite, "every revision");

	tcase_add_loop_test(tcase, test_firmware, 0, GZ_DEVICES);
	tcase_add_loop_test(tcase, test_own_x1, 0, GZ_DEVICES);
	tcase_add_loop_test(tcase, test_refused, 0, GZ_DEVICES);
	tcase_add_loop_test(tcase, test_no_room, 0, GZ_DEVICES);
	tcase_add_loop_test(tcase, test_size, 0, GZ_DEVICES);
	tcase_add_loop_test(tcase, test_place, 0, GZ_DEVICES);
	tcase_add_loop_test(tcase, test_bare, 0, GZ_DEVICES);
	tcase_add_loop_test(tcase, test_not_anew, 0, GZ_DEVICES);
	tcase_add_loop_test(tcase, test_ranges, 0, GZ_DEVICES);
	tcase_add_test(tcase, test_elsewhere);
	return run_suite(suite);
}
