/* SPDX-License-Identifier: BSD-3-Clause */
/* What a second start gets of what was said for the first one, what it does not get, and starts that are refused. */
#include "rig.h"

#include "../../lib/internal.h"
#include "../../lib/uapi/gunyah.h"
#include "../../lib/uapi/gzvm.h"

#include <gh/loop.h>

#include <errno.h>
#include <string.h>

#define LINE 5u

static void expect_failure(struct gh_vm *vm, int error, const char *words)
{
	ck_assert(failure_is(gh_vm_failure(vm), error));
	ck_assert_msg(strstr(gh_vm_failure(vm)->cause, words) != NULL, "%s", gh_vm_failure(vm)->cause);
}

static struct gh_irqfd *add_irqfd(struct gh_vm *vm)
{
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	struct gh_irqfd *irqfd = NULL;

	options.line = LINE;
	ck_assert_int_eq(gh_irqfd_add(vm, &options, &irqfd), 0);
	return irqfd;
}

/* --- what is said once ----------------------------------------------------------------------------------------------- */

/* The interrupt controller is where the options said, each time; without them, where there is room for all vCPUs. */
START_TEST(test_interrupt_controller)
{
	const uint64_t wanted = _i == 0 ? 0 : UINT64_C(0x3f000000);
	struct gh_vm_options options;
	struct rig rig;

	rig_begin(&rig, RIG_GENIEZONE, "off", &options);
	options.gic_redistributors = wanted;
	ck_assert_int_eq(gh_vm_open(&options, &rig.vm), 0);
	map_at(rig.vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	(void)add_vcpu(rig.vm, 0);
	for (uint32_t round = 0; round < 3; round++) {
		if (round == 1)
			(void)add_vcpu(rig.vm, 1);
		ck_assert_int_eq(gh_vm_start(rig.vm), 0);
		if (wanted != 0)
			ck_assert_uint_eq(rig.vm->b.gic_redistributors, wanted);
		else
			ck_assert_uint_eq(rig.vm->b.gic_redistributors, 0x3fff0000 - (round == 0 ? 1 : 2) * 0x20000);
		ck_assert_int_eq(gh_vm_reset(rig.vm), 0);
	}
	rig_close(&rig);
}
END_TEST

/* A pulse is for the guest that was there; one that comes after the reset is for the next. */
START_TEST(test_pulses)
{
	struct gh_irq_options options = GH_IRQ_OPTIONS_INIT;
	struct gh_irq *irq = NULL;
	uint64_t raised = 0;
	struct rig rig;

	rig_open(&rig, RIG_FAKE, "");
	options.line = LINE;
	ck_assert_int_eq(gh_irq_add(rig.vm, &options, &irq), 0);
	ck_assert_int_eq(gh_irq_pulse(irq), 0);
	(void)start_simply(rig.vm);
	ck_assert_int_eq(gh_fake_line(rig.fake, LINE, &raised), 1);
	ck_assert_uint_eq(raised, 1);
	ck_assert_int_eq(gh_vm_reset(rig.vm), 0);
	ck_assert_int_eq(gh_vm_start(rig.vm), 0);
	(void)gh_fake_line(rig.fake, LINE, &raised);
	ck_assert_uint_eq(raised, 1);
	ck_assert_int_eq(gh_vm_reset(rig.vm), 0);
	ck_assert_int_eq(gh_irq_pulse(irq), 0);
	ck_assert_int_eq(gh_vm_start(rig.vm), 0);
	(void)gh_fake_line(rig.fake, LINE, &raised);
	ck_assert_uint_eq(raised, 2);
	rig_close(&rig);
}
END_TEST

static unsigned int removed;

static int count_removals(unsigned long request, uintptr_t arg)
{
	const struct uapi_gzvm_irqfd *gzvm = (const void *)arg;
	const struct uapi_gunyah_fn *gunyah = (const void *)arg;

	if (request == UAPI_GZVM_IRQFD && gzvm != NULL)
		removed += (gzvm->flags & UAPI_GZVM_IRQFD_DEASSIGN) != 0;
	if (request == UAPI_GUNYAH_REMOVE_FUNCTION && gunyah != NULL)
		removed += gunyah->type == UAPI_GUNYAH_FN_IRQFD;
	return 0;
}

/* The kernel's old VM may live for a while, and must not have the eventfd beside the new one. */
START_TEST(test_irqfd_leaves)
{
	struct rig rig;

	rig_open(&rig, _i == 0 ? RIG_GUNYAH : RIG_GENIEZONE, "off");
	(void)add_irqfd(rig.vm);
	(void)start_standard(rig.vm);
	removed = 0;
	table_on_ioctl = count_removals;
	ck_assert_int_eq(gh_vm_reset(rig.vm), 0);
	ck_assert_uint_eq(removed, 1);
	rig_close(&rig);
}
END_TEST

/* Doorbells in the order of the calls, which decides on kernels where one excludes another. */
START_TEST(test_order_of_doorbells)
{
	struct gh_ioevent_options options = GH_IOEVENT_OPTIONS_INIT;
	struct gh_ioevent *bell = NULL;
	const char *first;
	struct rig rig;

	rig_open(&rig, _i == 0 ? RIG_GUNYAH : RIG_GENIEZONE, "off");
	for (options.gpa = 0x6000; options.gpa < 0x9000; options.gpa += 0x1000)
		ck_assert_int_eq(gh_ioevent_add(rig.vm, &options, &bell), 0);
	(void)start_standard(rig.vm);
	first = strstr(rig_log(), "doorbell ");
	ck_assert_ptr_nonnull(first);
	ck_assert_int_eq(strncmp(first, "doorbell 6000\ndoorbell 7000\ndoorbell 8000\n", 42), 0);
	rig_close(&rig);
}
END_TEST

/* --- a reset from where there is no vCPU to be claimed -------------------------------------------------------------------- */

static int begin(void *data, struct gh_vcpu *vcpu)
{
	int *result = data;

	*result = gh_vm_reset(vcpu->vm);
	return 0;
}

/* The threads of gh_vm_run() are there, and not yet in their vCPUs. */
START_TEST(test_between_threads)
{
	struct gh_loop_options options = GH_LOOP_OPTIONS_INIT;
	struct rig rig;
	int result = 0;

	rig_open(&rig, RIG_FAKE, "off");
	(void)start_simply(rig.vm);
	options.thread_begins = begin;
	options.data = &result;
	ck_assert_int_eq(gh_vm_run(rig.vm, &options), GH_STOP_POWER_OFF);
	ck_assert_int_eq(result, -EBUSY);
	expect_failure(rig.vm, -EBUSY, "gh_vm_run()");
	ck_assert_int_eq(gh_vm_reset(rig.vm), 0);
	rig_close(&rig);
}
END_TEST

/* --- starts that are refused ------------------------------------------------------------------------------------------------ */

START_TEST(test_no_memory)
{
	struct rig rig;

	rig_open(&rig, (enum rig_kind)_i, "off");
	(void)add_vcpu(rig.vm, 0);
	ck_assert_int_eq(gh_vm_start(rig.vm), -EINVAL);
	expect_failure(rig.vm, -EINVAL, "no memory");
	rig_close(&rig);
}
END_TEST

/* Where nobody may set registers, none is forgotten silently. */
START_TEST(test_registers)
{
	struct gh_vm_options options;
	struct rig rig;

	rig_begin(&rig, RIG_FAKE, "off", &options);
	options.features_off = GH_FEATURE_REGISTERS;
	ck_assert_int_eq(gh_vm_open(&options, &rig.vm), 0);
	map_at(rig.vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	(void)add_vcpu(rig.vm, 0);
	ck_assert_int_eq(gh_vm_set_register(rig.vm, GH_REG_X0, 0), 0);
	ck_assert_int_eq(gh_vm_start(rig.vm), -EOPNOTSUPP);
	expect_failure(rig.vm, -EOPNOTSUPP, "nobody set registers");
	rig_close(&rig);
}
END_TEST

/* The library's tree is for the vCPUs that there were; a tree of the caller's is the caller's to count. */
START_TEST(test_other_tree)
{
	struct rig rig;

	rig_open(&rig, RIG_FAKE, "off");
	map_at(rig.vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	(void)add_vcpu(rig.vm, 0);
	ck_assert_int_eq(rig_write_tree(&rig, DTB_GPA, MIB), 0);
	(void)add_vcpu(rig.vm, 1);
	ck_assert_int_eq(gh_vm_start(rig.vm), -EINVAL);
	expect_failure(rig.vm, -EINVAL, "built for 1 vCPUs");
	if (_i == 0)
		ck_assert_int_eq(rig_write_tree(&rig, DTB_GPA, MIB), 0);
	else
		ck_assert_int_eq(gh_vm_set_dtb(rig.vm, DTB_GPA, MIB), 0);
	ck_assert_int_eq(gh_vm_start(rig.vm), 0);
	rig_close(&rig);
}
END_TEST

/* --- a VM that the kernel does not make --------------------------------------------------------------------------------------- */

static unsigned int allowed;

static int refuse_vms(unsigned long request, uintptr_t arg)
{
	(void)arg;
	if (request != UAPI_GZVM_CREATE_VM && request != UAPI_GUNYAH_CREATE_VM)
		return 0;
	return allowed > 0 && allowed-- > 0 ? 0 : -ENOMEM;
}

/* There is no VM to ask: the options' failure says it. The probe makes VMs, too, before the one that is wanted. */
START_TEST(test_no_vm)
{
	struct gh_failure failure = GH_FAILURE_INIT;
	struct gh_vm_options options;
	struct rig rig;
	int ret = -ENOMEM;

	rig_begin(&rig, _i == 0 ? RIG_GUNYAH : RIG_GENIEZONE, "off", &options);
	options.failure = &failure;
	table_on_ioctl = refuse_vms;
	for (unsigned int vms = 0; ret < 0; vms++) {
		ck_assert_uint_lt(vms, 5);
		allowed = vms;
		ret = gh_vm_open(&options, &rig.vm);
		if (ret == 0)
			break;
		ck_assert_int_eq(ret, -ENOMEM);
		ck_assert(failure_is(&failure, -ENOMEM));
		ck_assert_ptr_null(rig.vm);
	}
	/* The last one that was refused. */
	ck_assert_str_eq(failure.step, "create a VM");
	ck_assert_str_ne(failure.request, "");
	rig_close(&rig);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("replay");
	TCase *tcase = add_case(suite, "replay");

	tcase_add_loop_test(tcase, test_interrupt_controller, 0, 2);
	tcase_add_test(tcase, test_pulses);
	tcase_add_loop_test(tcase, test_irqfd_leaves, 0, 2);
	tcase_add_loop_test(tcase, test_order_of_doorbells, 0, 2);
	tcase_add_test(tcase, test_between_threads);
	tcase_add_loop_test(tcase, test_no_memory, 0, RIG_KINDS);
	tcase_add_test(tcase, test_registers);
	tcase_add_loop_test(tcase, test_other_tree, 0, 2);
	tcase_add_loop_test(tcase, test_no_vm, 0, 2);
	return run_suite(suite);
}
