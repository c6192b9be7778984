/* SPDX-License-Identifier: BSD-3-Clause */
/* The KVM backend on a kernel that the test plays: what it asks for, what it makes of the answers, what it leaves behind. */
#include "backend/kvm.h"
#include "exit.h"
#include "kvm_kernel.h"

#include <gh/memory.h>
#include <gh/vm.h>

#include <check.h>
#include <errno.h>
#include <string.h>

#define GPA UINT64_C(0x4000)

static struct kvm_kernel kernel;
static struct gh_failure failure;
static struct gh_bvm vm;
static struct gh_bvcpu vcpu;
static uint32_t kicked;

static void setup(void)
{
	kvm_kernel_init(&kernel);
	memset(&failure, 0, sizeof(failure));
	failure.size = sizeof(failure);
	vm = (struct gh_bvm){ .sys = &kernel.sys, .ops = &gh_backend_kvm, .dev = 99, .fd = -1, .failure = &failure };
	vcpu = (struct gh_bvcpu){ .vm = &vm, .id = 0, .fd = -1, .failure = &failure, .kicked = &kicked };
	kicked = 0;
}

/* The n-th recorded call of this request, from 0. */
static const struct kvm_call *find(unsigned long request, unsigned int n)
{
	ck_assert_uint_le(kernel.count, KVM_KERNEL_CALLS);
	for (unsigned int i = 0; i < kernel.count; i++)
		if (kernel.calls[i].request == request && n-- == 0)
			return &kernel.calls[i];
	ck_abort_msg("no request %#lx", request);
	return NULL;
}

static unsigned int count(unsigned long request)
{
	unsigned int found = 0;

	for (unsigned int i = 0; i < kernel.count; i++)
		found += kernel.calls[i].request == request;
	return found;
}

static void make_vm(void)
{
	ck_assert_int_eq(gh_backend_kvm.probe(&kernel.sys, 99, &vm.caps, &failure), 0);
	ck_assert_int_eq(gh_backend_kvm.vm_create(&vm), 0);
}

static void make_vcpu(void)
{
	make_vm();
	ck_assert_int_eq(gh_backend_kvm.vcpu_create(&vcpu), 0);
}

static void unmake(void)
{
	gh_backend_kvm.vcpu_destroy(&vcpu);
	gh_backend_kvm.vm_destroy(&vm);
	ck_assert_uint_eq(kernel.open, 0);
	ck_assert_uint_eq(kernel.mapped, 0);
}

/* --- probing -------------------------------------------------------------------------------------------------------- */

START_TEST(caps_are_read)
{
	struct gh_caps caps;

	ck_assert_int_eq(gh_backend_kvm.probe(&kernel.sys, 99, &caps, &failure), 0);
	ck_assert_uint_eq(caps.gpa_bits, 48);
	ck_assert_uint_eq(caps.max_vcpus, 512);
	ck_assert_uint_eq(caps.max_regions, 32767);
	ck_assert_uint_eq(caps.max_lines, GH_KVM_LINES);
	ck_assert_uint_eq(caps.quirks, GH_QUIRK_ONE_LINE_PER_EVENTFD);
	ck_assert_uint_eq(caps.features, GH_FEATURE_SHARE | GH_FEATURE_REGISTERS | GH_FEATURE_IRQFD | GH_FEATURE_IOEVENTFD |
						 GH_FEATURE_IRQ_LINE | GH_FEATURE_DATAMATCH | GH_FEATURE_MMIO_ABORT |
						 GH_FEATURE_READ_ONLY_MEMORY);
	kernel.ipa_bits = 0;
	ck_assert_int_eq(gh_backend_kvm.probe(&kernel.sys, 99, &caps, &failure), 0);
	ck_assert_uint_eq(caps.gpa_bits, 40);
}
END_TEST

START_TEST(strangers_are_refused)
{
	struct gh_caps caps;

	/* Not KVM at all: no word about it, since another backend may know the device. */
	kernel.version = -ENOTTY;
	ck_assert_int_eq(gh_backend_kvm.probe(&kernel.sys, 99, &caps, &failure), -ENODEV);
	ck_assert_int_eq(failure.error, 0);
	kernel.version = 11;
	ck_assert_int_eq(gh_backend_kvm.probe(&kernel.sys, 99, &caps, &failure), -ENODEV);
	ck_assert_ptr_nonnull(strstr(failure.cause, "version 11"));
	kernel.version = UAPI_KVM_API_VERSION;
	kernel.psci = 0;
	ck_assert_int_eq(gh_backend_kvm.probe(&kernel.sys, 99, &caps, &failure), -ENODEV);
	ck_assert_ptr_nonnull(strstr(failure.cause, "another architecture"));
	kernel.psci = 1;
	kernel.no_immediate_exit = 1;
	ck_assert_int_eq(gh_backend_kvm.probe(&kernel.sys, 99, &caps, &failure), -ENODEV);
	ck_assert_ptr_nonnull(strstr(failure.cause, "immediate_exit"));
}
END_TEST

/* --- making --------------------------------------------------------------------------------------------------------- */

START_TEST(vm_has_the_address_space_that_was_found)
{
	make_vm();
	ck_assert_uint_eq(find(UAPI_KVM_CREATE_VM, 0)->plain, 48);
	unmake();
	setup();
	kernel.ipa_bits = 0;
	make_vm();
	ck_assert_uint_eq(find(UAPI_KVM_CREATE_VM, 0)->plain, 0);
	unmake();
}
END_TEST

START_TEST(regions_become_slots)
{
	struct gh_region region = {
		.id = 3, .prot = GH_MEMORY_RWX, .gpa = GPA, .length = 0x2000, .host = kernel.page.bytes
	};
	struct uapi_kvm_region request;

	make_vm();
	ck_assert_int_eq(gh_backend_kvm.vm_map(&vm, &region), 0);
	memcpy(&request, find(UAPI_KVM_SET_USER_MEMORY_REGION, 0)->argument, sizeof(request));
	ck_assert_uint_eq(request.slot, 3);
	ck_assert_uint_eq(request.flags, 0);
	ck_assert_uint_eq(request.gpa, GPA);
	ck_assert_uint_eq(request.size, 0x2000);
	ck_assert_uint_eq(request.host, (uintptr_t)kernel.page.bytes);
	region.prot = GH_MEMORY_READ | GH_MEMORY_EXEC;
	ck_assert_int_eq(gh_backend_kvm.vm_map(&vm, &region), 0);
	memcpy(&request, find(UAPI_KVM_SET_USER_MEMORY_REGION, 1)->argument, sizeof(request));
	ck_assert_uint_eq(request.flags, UAPI_KVM_MEM_READONLY);
	unmake();
}
END_TEST

START_TEST(others_than_the_boot_vcpu_wait)
{
	struct uapi_kvm_vcpu_init init;
	struct uapi_kvm_one_reg reg;

	vcpu.id = 1;
	make_vcpu();
	memcpy(&init, find(UAPI_KVM_ARM_VCPU_INIT, 0)->argument, sizeof(init));
	ck_assert_uint_eq(init.features[0], 1u << UAPI_KVM_VCPU_PSCI_0_2 | 1u << UAPI_KVM_VCPU_POWER_OFF);
	ck_assert(vcpu.immediate_exit == &kernel.page.run.immediate_exit);
	ck_assert_int_eq(gh_backend_kvm.vcpu_set_register(&vcpu, GH_REG_X0 + 1, 5), 0);
	ck_assert_int_eq(gh_backend_kvm.vcpu_set_register(&vcpu, GH_REG_PC, 5), 0);
	ck_assert_int_eq(gh_backend_kvm.vcpu_set_register(&vcpu, GH_REG_SP, 5), 0);
	memcpy(&reg, find(UAPI_KVM_SET_ONE_REG, 0)->argument, sizeof(reg));
	ck_assert_uint_eq(reg.id, UINT64_C(0x6030000000100002));
	memcpy(&reg, find(UAPI_KVM_SET_ONE_REG, 1)->argument, sizeof(reg));
	ck_assert_uint_eq(reg.id, UINT64_C(0x6030000000100040));
	memcpy(&reg, find(UAPI_KVM_SET_ONE_REG, 2)->argument, sizeof(reg));
	ck_assert_uint_eq(reg.id, UINT64_C(0x6030000000100044));
	unmake();
	setup();
	make_vcpu();
	memcpy(&init, find(UAPI_KVM_ARM_VCPU_INIT, 0)->argument, sizeof(init));
	ck_assert_uint_eq(init.features[0], 1u << UAPI_KVM_VCPU_PSCI_0_2);
	unmake();
}
END_TEST

START_TEST(short_run_page_is_refused)
{
	make_vm();
	kernel.page_size = sizeof(struct uapi_kvm_run) - 1;
	ck_assert_int_eq(gh_backend_kvm.vcpu_create(&vcpu), -EPROTO);
	unmake();
}
END_TEST

static int make_everything(void)
{
	const struct gh_irqfd_spec line = { .fd = 5, .line = 2, .level = true };
	int ret = gh_backend_kvm.vm_create(&vm);

	if (ret < 0)
		return ret;
	ret = gh_backend_kvm.vm_irqchip(&vm);
	if (ret == 0)
		ret = gh_backend_kvm.vcpu_create(&vcpu);
	if (ret == 0)
		ret = gh_backend_kvm.vm_start(&vm);
	if (ret == 0)
		ret = gh_backend_kvm.irqfd(&vm, &line, true);
	return ret;
}

/* Whichever request fails, everything that was made goes, and the error is the kernel's. */
START_TEST(any_request_may_fail)
{
	unsigned int failures = 0;

	for (int n = 0;; n++) {
		int ret;

		setup();
		ck_assert_int_eq(gh_backend_kvm.probe(&kernel.sys, 99, &vm.caps, &failure), 0);
		kernel.calls_left = n;
		ret = make_everything();
		unmake();
		if (kernel.calls_left >= 0)
			break;
		/* Two requests are allowed to fail: the question for the address bits, and one for a nicer abort. */
		ck_assert_msg(ret == -ENOMEM || ret == 0, "call %d: %d", n, ret);
		failures += ret == -ENOMEM;
	}
	ck_assert_uint_ge(failures, 12);
}
END_TEST

START_TEST(host_without_gicv3_is_told)
{
	ck_assert_int_eq(gh_backend_kvm.probe(&kernel.sys, 99, &vm.caps, &failure), 0);
	kernel.error = -ENODEV;
	kernel.calls_left = 2;
	ck_assert_int_eq(gh_backend_kvm.vm_create(&vm), -ENODEV);
	ck_assert_ptr_nonnull(strstr(failure.cause, "GICv3"));
	ck_assert_uint_eq(kernel.open, 0);
}
END_TEST

/* --- running -------------------------------------------------------------------------------------------------------- */

START_TEST(interruption_carries_no_exit)
{
	make_vcpu();
	kernel.page.run.exit_reason = UAPI_KVM_EXIT_MMIO;
	kernel.run_results[0] = -EINTR;
	kernel.run_results[1] = -EAGAIN;
	ck_assert_int_eq(gh_backend_kvm.vcpu_run(&vcpu), -EINTR);
	ck_assert_int_eq(gh_backend_kvm.vcpu_run(&vcpu), -EAGAIN);
	kicked = 1;
	ck_assert_int_eq(gh_backend_kvm.vcpu_run(&vcpu), -ECANCELED);
	ck_assert_uint_eq(kernel.runs, 2);
	/* The kernel completes a load by the exit reason that it left there. */
	ck_assert_uint_eq(kernel.page.run.exit_reason, UAPI_KVM_EXIT_MMIO);
	unmake();
}
END_TEST

START_TEST(refusals_are_explained)
{
	make_vcpu();
	kernel.run_results[0] = -ENOSYS;
	ck_assert_int_eq(gh_backend_kvm.vcpu_run(&vcpu), -ENOSYS);
	ck_assert_ptr_nonnull(strstr(failure.cause, "ldp"));
	kernel.run_results[1] = -EFAULT;
	ck_assert_int_eq(gh_backend_kvm.vcpu_run(&vcpu), -EFAULT);
	kernel.run_results[2] = -EFAULT;
	kernel.run_reasons[2] = UAPI_KVM_EXIT_MEMORY_FAULT;
	kernel.page.run.memory_fault.gpa = GPA;
	ck_assert_int_eq(gh_backend_kvm.vcpu_run(&vcpu), GH_RAN_TO_OTHER);
	ck_assert_uint_eq(vcpu.exit.kind, GH_EXIT_PAGE_FAULT);
	ck_assert_uint_eq(vcpu.exit.fault.gpa, GPA);
	/* A positive result is no answer. */
	kernel.run_results[3] = 1;
	ck_assert_int_eq(gh_backend_kvm.vcpu_run(&vcpu), -EPROTO);
	unmake();
}
END_TEST

START_TEST(access_without_syndrome_is_aborted)
{
	struct uapi_kvm_vcpu_events events;
	struct uapi_kvm_enable_cap cap;
	make_vcpu();
	memcpy(&cap, find(UAPI_KVM_ENABLE_CAP, 0)->argument, sizeof(cap));
	ck_assert_uint_eq(cap.cap, UAPI_KVM_CAP_ARM_NISV_TO_USER);
	kernel.run_reasons[0] = UAPI_KVM_EXIT_ARM_NISV;
	kernel.run_reasons[1] = UAPI_KVM_EXIT_DEBUG;
	ck_assert_int_eq(gh_backend_kvm.vcpu_run(&vcpu), GH_RAN_TO_OTHER);
	ck_assert_uint_eq(vcpu.exit.raw_reason, UAPI_KVM_EXIT_DEBUG);
	ck_assert_uint_eq(count(UAPI_KVM_SET_VCPU_EVENTS), 1);
	memcpy(&events, find(UAPI_KVM_SET_VCPU_EVENTS, 0)->argument, sizeof(events));
	ck_assert_uint_eq(events.ext_dabt_pending, 1);
	ck_assert_uint_eq(events.serror_pending, 0);
	unmake();
}
END_TEST

START_TEST(kernel_without_aborts_is_not_asked)
{
	kernel.no_abort = 1;
	make_vcpu();
	ck_assert_uint_eq(vm.caps.features & GH_FEATURE_MMIO_ABORT, 0);
	ck_assert_uint_eq(count(UAPI_KVM_ENABLE_CAP), 0);
	ck_assert_int_eq(gh_backend_kvm.vcpu_abort(&vcpu), -EOPNOTSUPP);
	ck_assert_uint_eq(count(UAPI_KVM_SET_VCPU_EVENTS), 0);
	unmake();
}
END_TEST

START_TEST(answer_is_little_endian)
{
	static const uint8_t expected[8] = { 0x44, 0x33, 0x22, 0x11 };

	make_vcpu();
	memset(kernel.page.run.mmio.data, 0xee, 8);
	gh_value_put(vcpu.answer, 0x11223344);
	ck_assert_mem_eq(kernel.page.run.mmio.data, expected, 8);
	unmake();
}
END_TEST

START_TEST(signal_mask_has_the_kernels_form)
{
	struct uapi_kvm_signal_mask mask;
	static const uint8_t expected[8] = { 0x01, 0x02, 0, 0, 0, 0, 0, 0x80 };
	sigset_t set;

	make_vcpu();
	(void)sigemptyset(&set);
	(void)sigaddset(&set, 1);
	(void)sigaddset(&set, 10);
	(void)sigaddset(&set, 64);
	ck_assert_int_eq(gh_kvm_set_signal_mask(&vcpu, &set), 0);
	memcpy(&mask, find(UAPI_KVM_SET_SIGNAL_MASK, 0)->argument, sizeof(mask));
	ck_assert_uint_eq(mask.length, 8);
	ck_assert_mem_eq(mask.mask, expected, 8);
	ck_assert_int_eq(gh_kvm_set_signal_mask(&vcpu, NULL), 0);
	ck_assert_uint_eq(find(UAPI_KVM_SET_SIGNAL_MASK, 1)->plain, 0);
	unmake();
}
END_TEST

/* --- lines and doorbells -------------------------------------------------------------------------------------------- */

START_TEST(lines_are_removed_as_they_were_added)
{
	const struct gh_irqfd_spec edge = { .fd = 5, .line = 2 };
	const struct gh_irqfd_spec level = { .fd = 6, .line = 3, .level = true };
	struct uapi_kvm_irqfd request[4];

	make_vm();
	ck_assert_int_eq(gh_backend_kvm.irqfd(&vm, &edge, true), 0);
	ck_assert_int_eq(gh_backend_kvm.irqfd(&vm, &level, true), 0);
	ck_assert_int_eq(gh_backend_kvm.irqfd(&vm, &level, false), 0);
	ck_assert_int_eq(gh_backend_kvm.irqfd(&vm, &level, true), 0);
	for (unsigned int i = 0; i < 4; i++)
		memcpy(&request[i], find(UAPI_KVM_IRQFD, i)->argument, sizeof(request[i]));
	ck_assert_uint_eq(request[0].gsi, 2);
	ck_assert_uint_eq(request[0].flags, 0);
	ck_assert_uint_eq(request[1].flags, UAPI_KVM_IRQFD_RESAMPLE);
	ck_assert_uint_ge(request[1].resample_fd, 100);
	ck_assert_uint_eq(request[2].flags, UAPI_KVM_IRQFD_DEASSIGN);
	ck_assert_uint_eq(request[2].fd, 6);
	ck_assert_uint_eq(request[2].gsi, 3);
	/* One eventfd for all of them. */
	ck_assert_uint_eq(request[3].resample_fd, request[1].resample_fd);
	unmake();
}
END_TEST

START_TEST(doorbells_are_removed_as_they_were_added)
{
	const struct gh_ioevent_spec spec = { .fd = 5, .gpa = GPA, .width = 4, .datamatch = true, .value = 7 };
	struct uapi_kvm_ioeventfd request;

	make_vm();
	ck_assert_int_eq(gh_backend_kvm.ioevent(&vm, &spec, true), 0);
	ck_assert_int_eq(gh_backend_kvm.ioevent(&vm, &spec, false), 0);
	for (unsigned int i = 0; i < 2; i++) {
		memcpy(&request, find(UAPI_KVM_IOEVENTFD, i)->argument, sizeof(request));
		ck_assert_uint_eq(request.gpa, GPA);
		ck_assert_uint_eq(request.width, 4);
		ck_assert_uint_eq(request.datamatch, 7);
		ck_assert_int_eq(request.fd, 5);
		ck_assert_uint_eq(request.flags, UAPI_KVM_IOEVENTFD_DATAMATCH | (i == 0 ? 0 : UAPI_KVM_IOEVENTFD_DEASSIGN));
	}
	unmake();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("kvm");
	TCase *tcase = tcase_create("backend");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, caps_are_read);
	tcase_add_test(tcase, strangers_are_refused);
	tcase_add_test(tcase, vm_has_the_address_space_that_was_found);
	tcase_add_test(tcase, regions_become_slots);
	tcase_add_test(tcase, others_than_the_boot_vcpu_wait);
	tcase_add_test(tcase, short_run_page_is_refused);
	tcase_add_test(tcase, any_request_may_fail);
	tcase_add_test(tcase, host_without_gicv3_is_told);
	tcase_add_test(tcase, interruption_carries_no_exit);
	tcase_add_test(tcase, refusals_are_explained);
	tcase_add_test(tcase, access_without_syndrome_is_aborted);
	tcase_add_test(tcase, kernel_without_aborts_is_not_asked);
	tcase_add_test(tcase, answer_is_little_endian);
	tcase_add_test(tcase, signal_mask_has_the_kernels_form);
	tcase_add_test(tcase, lines_are_removed_as_they_were_added);
	tcase_add_test(tcase, doorbells_are_removed_as_they_were_added);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
