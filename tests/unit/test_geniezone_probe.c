/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The probe of GenieZone and Halla: what it makes of answers that no simulated revision gives, and what it never asks
 * (section 1.7 of the GenieZone UAPI document).
 */
#include "geniezone_devices.h"
#include "table.h"

#include "../../lib/uapi/gzvm.h"
#include "../../lib/uapi/halla.h"

#include <errno.h>
#include <string.h>

#define PROTECTION (GH_FEATURE_PROTECTED_VM | GH_FEATURE_FIRMWARE | GH_FEATURE_BARE_PROTECTION)

/* --- another answer --------------------------------------------------------------------------------------------------- */

static unsigned int times; /* that the request came */

/* Opens a VM of a device with another answer, if it is not NULL; the caller closes it. */
static struct gh_vm *open_with(struct gh_sim *sim, bool (*answer)(int, unsigned long, uintptr_t, int *))
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_vm *vm = NULL;

	times = 0;
	options.machine = sim;
	table_instead = answer;
	ck_assert_int_eq(gh_vm_open(&options, &vm), 0);
	table_instead = NULL;
	return vm;
}

static void close_both(struct gh_vm *vm, struct gh_sim *sim)
{
	gh_vm_close(vm);
	end_sim(sim);
}

static bool is_extension(unsigned long request)
{
	return request == UAPI_GZVM_CHECK_EXTENSION || request == UAPI_HALLA_CHECK_EXTENSION;
}

static bool protects_nothing(int fd, unsigned long request, uintptr_t arg, int *ret_result)
{
	uint64_t *cap = (void *)arg;

	(void)fd;
	if (!is_extension(request) || cap == NULL ||
	    (*cap != UAPI_GZVM_CAP_PROTECTED_VM && *cap != UAPI_HALLA_CAP_PROTECTED_VM))
		return false;
	*cap = 0;
	*ret_result = 0;
	return true;
}

/* The answer is a number: that there is one says nothing. */
START_TEST(test_no_protection)
{
	struct gh_sim *sim = new_sim(gz_devices[_i].device, "");
	struct gh_vm *vm = open_with(sim, protects_nothing);

	ck_assert_uint_eq(gh_vm_features(vm) & PROTECTION, 0);
	ck_assert_int_eq(gh_vm_set_firmware(vm, 0x7fc00000, MIB), -EOPNOTSUPP);
	close_both(vm, sim);
}
END_TEST

static bool faults(int fd, unsigned long request, uintptr_t arg, int *ret_result)
{
	(void)fd;
	if (!is_extension(request) || arg != 0)
		return false;
	*ret_result = -EFAULT;
	return true;
}

/* As its VMs say to a capability from nowhere. */
START_TEST(test_fault)
{
	struct gh_sim *sim = new_sim(gz_devices[_i].device, "");

	close_both(open_with(sim, faults), sim);
}
END_TEST

static bool refuses_vcpu(int fd, unsigned long request, uintptr_t arg, int *ret_result)
{
	(void)arg;
	ck_assert_int_ge(fd, 0);
	if (request != UAPI_GZVM_CREATE_VCPU)
		return false;
	*ret_result = -ENOMEM;
	return true;
}

/* Without a vCPU to ask, exits may be ones that the kernel has handled. */
START_TEST(test_no_vcpu)
{
	struct gh_sim *sim = new_sim("sim:gzvm/v4", "");
	struct gh_vm *vm = open_with(sim, refuses_vcpu);

	ck_assert_uint_ne(gh_vm_quirks(vm) & GH_QUIRK_SHOWS_HANDLED_EXITS, 0);
	ck_assert_uint_ne(gh_vm_features(vm) & GH_FEATURE_IRQFD_RESAMPLE, 0);
	close_both(vm, sim);
}
END_TEST

static bool interrupts_removal(int fd, unsigned long request, uintptr_t arg, int *ret_result)
{
	const struct uapi_gzvm_ioeventfd *bell = (const void *)arg;

	(void)fd;
	if (request != UAPI_GZVM_IOEVENTFD || bell == NULL || (bell->flags & UAPI_GZVM_IOEVENTFD_DEASSIGN) == 0)
		return false;
	*ret_result = -EINTR;
	return times++ % 2 == 0;
}

/* A doorbell that stays would be lost to the kernel with the VM (section 9). */
START_TEST(test_removal)
{
	struct gh_sim *sim = new_sim("sim:gzvm/v4", "");
	struct gh_vm *vm = open_with(sim, interrupts_removal);

	ck_assert_uint_ne(gh_vm_features(vm) & GH_FEATURE_DATAMATCH, 0);
	ck_assert_uint_eq(times, 4);
	close_both(vm, sim);
}
END_TEST

/* --- what it never asks ----------------------------------------------------------------------------------------------- */

static bool watches(int fd, unsigned long request, uintptr_t arg, int *ret_result)
{
	const struct uapi_gzvm_irqfd *line = (const void *)arg;
	const struct uapi_gzvm_region *region = (const void *)arg;

	(void)fd;
	(void)ret_result;
	/* Old kernels copy too much, any VMM's word goes to the hypervisor, and no guest is there. */
	ck_assert_uint_ne(request, UAPI_GZVM_SET_ONE_REG);
	ck_assert_uint_ne(request, UAPI_GZVM_ENABLE_CAP);
	ck_assert_uint_ne(request, UAPI_GZVM_RUN);
	if (request == UAPI_GZVM_IRQFD) {
		/* Taking away what nobody has is refused by each, and changes none. */
		ck_assert_uint_eq(line->flags, UAPI_GZVM_IRQFD_DEASSIGN);
		ck_assert_uint_eq(line->fd, UINT32_MAX);
		ck_assert_uint_eq(line->padding[0], 1);
		times++;
	}
	if (request == UAPI_GZVM_SET_USER_MEM)
		ck_assert_uint_eq(region->slot, 10);
	return false;
}

START_TEST(test_harmless)
{
	struct gh_sim *sim = new_sim(gz_devices[_i].device, "");
	struct gh_vm *vm = open_with(sim, watches);

	ck_assert_uint_eq(times, gz_devices[_i].is_halla ? 0 : 1);
	close_both(vm, sim);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("geniezone_probe");
	TCase *tcase = add_case(suite, "geniezone_probe");

	tcase_add_loop_test(tcase, test_no_protection, 0, GZ_DEVICES);
	tcase_add_loop_test(tcase, test_fault, 0, GZ_DEVICES);
	tcase_add_test(tcase, test_no_vcpu);
	tcase_add_test(tcase, test_removal);
	tcase_add_loop_test(tcase, test_harmless, 0, GZ_DEVICES);
	return run_suite(suite);
}
