/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * KVM on arm64: the reference backend, and the engine of the simulated devices.
 *
 * None of the hazards of the other two: a kernel entry that ends with EINTR never carries an exit, and a load's answer is
 * taken in before immediate_exit and signals are looked at.
 */
#include "kvm.h"

#include "../exit.h"

#include <gh/memory.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define STEP_PROBE "look for KVM"
#define STEP_CREATE "make a VM"
#define STEP_VCPU "make a vCPU"
#define STEP_RUN "run a vCPU"

/* Kernels that do not say how many bits a guest address may have give 40. */
#define DEFAULT_GPA_BITS 40u

/* --- the device ----------------------------------------------------------------------------------------------------- */

static int capability(struct gh_sys *sys, int fd, uint32_t cap)
{
	int value = sys->ioctl(sys, fd, UAPI_KVM_CHECK_EXTENSION, cap);

	return value > 0 ? value : 0;
}

static uint64_t feature(struct gh_sys *sys, int fd, uint32_t cap, uint64_t bits)
{
	return capability(sys, fd, cap) > 0 ? bits : 0;
}

static uint32_t at_least_one(int value)
{
	return value > 0 ? (uint32_t)value : 1;
}

static void read_caps(struct gh_sys *sys, int fd, struct gh_caps *caps)
{
	int bits = capability(sys, fd, UAPI_KVM_CAP_ARM_VM_IPA_SIZE);

	*caps = (struct gh_caps){
		.features = GH_FEATURE_SHARE | GH_FEATURE_REGISTERS | GH_FEATURE_IRQ_LINE,
		.quirks = GH_QUIRK_ONE_LINE_PER_EVENTFD,
		.dialect = "KVM API 12",
		.max_vcpus = at_least_one(capability(sys, fd, UAPI_KVM_CAP_MAX_VCPUS)),
		.max_regions = at_least_one(capability(sys, fd, UAPI_KVM_CAP_NR_MEMSLOTS)),
		.max_lines = GH_KVM_LINES,
		.gpa_bits = bits > 0 ? (uint32_t)bits : DEFAULT_GPA_BITS,
		.gpa_align = 4096,
	};
	caps->features |= feature(sys, fd, UAPI_KVM_CAP_READONLY_MEM, GH_FEATURE_READ_ONLY_MEMORY);
	caps->features |= feature(sys, fd, UAPI_KVM_CAP_IRQFD, GH_FEATURE_IRQFD);
	caps->features |= feature(sys, fd, UAPI_KVM_CAP_IRQFD_RESAMPLE, GH_FEATURE_IRQFD_LEVEL | GH_FEATURE_IRQFD_RESAMPLE);
	caps->features |= feature(sys, fd, UAPI_KVM_CAP_IOEVENTFD, GH_FEATURE_IOEVENTFD | GH_FEATURE_DATAMATCH);
	caps->features |= feature(sys, fd, UAPI_KVM_CAP_ARM_INJECT_EXT_DABT, GH_FEATURE_MMIO_ABORT);
	caps->features |= feature(sys, fd, UAPI_KVM_CAP_MEMORY_FAULT_INFO, GH_FEATURE_PAGE_FAULT);
}

static int kvm_probe(struct gh_sys *sys, int fd, struct gh_caps *ret_caps, struct gh_failure *failure)
{
	int version = sys->ioctl(sys, fd, UAPI_KVM_GET_API_VERSION, 0);

	if (version < 0)
		return -ENODEV;
	if (version == UAPI_KVM_API_VERSION_GUNYAH) {
		ret_caps->dialect = "Gunyah behind KVM's interface (version 13)";
		return gh_fail_as(
			failure, GH_CAUSE_KVM_FRONTED, -ENODEV, STEP_PROBE, "KVM_GET_API_VERSION",
			"Boot a kernel with Gunyah's own driver, which has /dev/gunyah: Android's from 6.1 on.",
			"Gunyah behind KVM's interface (version 13), as proposed in 2025: no doorbells, no direct lines, "
			"one vCPU, and no word of how the guest ended.");
	}
	if (version != UAPI_KVM_API_VERSION)
		return gh_fail_as(failure, GH_CAUSE_MACHINE, -ENODEV, STEP_PROBE, "KVM_GET_API_VERSION",
				  "Use a kernel from Linux 2.6.22 on.",
				  "The device speaks version %d of KVM's interface, not %d.", version,
				  UAPI_KVM_API_VERSION);
	/* Every arm64 KVM has PSCI, and none of the others. */
	if (capability(sys, fd, UAPI_KVM_CAP_ARM_PSCI_0_2) == 0)
		return gh_fail_as(failure, GH_CAUSE_MACHINE, -ENODEV, STEP_PROBE, "KVM_CHECK_EXTENSION",
				  "Run on an arm64 machine, or in an emulated one (tools/arm64-run).",
				  "The KVM of this machine runs guests of another architecture than arm64.");
	if (capability(sys, fd, UAPI_KVM_CAP_IMMEDIATE_EXIT) == 0)
		return gh_fail_as(failure, GH_CAUSE_MACHINE, -ENODEV, STEP_PROBE, "KVM_CHECK_EXTENSION",
				  "Use a kernel from Linux 4.12 on.",
				  "This KVM cannot be interrupted without a race (no immediate_exit).");
	read_caps(sys, fd, ret_caps);
	return 0;
}

/* --- the VM --------------------------------------------------------------------------------------------------------- */

static void kvm_vm_destroy(struct gh_bvm *vm)
{
	struct gh_kvm_vm *own = vm->priv;

	if (own != NULL) {
		if (own->gic >= 0)
			(void)vm->sys->close(vm->sys, own->gic);
		if (own->resample >= 0)
			(void)vm->sys->close(vm->sys, own->resample);
	}
	if (vm->fd >= 0)
		(void)vm->sys->close(vm->sys, vm->fd);
	vm->fd = -1;
	vm->priv = NULL;
	free(own);
}

/* Accesses without syndrome (ldp, stp) then abort in the guest, as on Gunyah, instead of ending KVM_RUN with ENOSYS. */
static void report_accesses_without_syndrome(struct gh_bvm *vm)
{
	struct uapi_kvm_enable_cap cap = { .cap = UAPI_KVM_CAP_ARM_NISV_TO_USER };

	if ((vm->caps.features & GH_FEATURE_MMIO_ABORT) != 0)
		(void)vm->sys->ioctl(vm->sys, vm->fd, UAPI_KVM_ENABLE_CAP, (uintptr_t)&cap);
}

static int kvm_vm_create(struct gh_bvm *vm)
{
	struct gh_kvm_vm *own;
	uintptr_t type = 0;
	int ret;

	/* Where the kernel can be asked, it must be told: the default of 40 may be more than the CPU has. */
	if (capability(vm->sys, vm->dev, UAPI_KVM_CAP_ARM_VM_IPA_SIZE) > 0)
		type = vm->caps.gpa_bits;
	own = calloc(1, sizeof(*own));
	if (own == NULL)
		return -ENOMEM;
	own->gic = -1;
	own->resample = -1;
	vm->priv = own;
	vm->fd = vm->sys->ioctl(vm->sys, vm->dev, UAPI_KVM_CREATE_VM, type);
	if (vm->fd < 0)
		ret = gh_fail_request(vm->failure, vm->fd, STEP_CREATE, "KVM_CREATE_VM");
	else
		ret = gh_kvm_irqchip_check(vm);
	if (ret < 0) {
		kvm_vm_destroy(vm);
		return ret;
	}
	report_accesses_without_syndrome(vm);
	return 0;
}

static int kvm_vm_map(struct gh_bvm *vm, const struct gh_region *region)
{
	bool read_only = (region->prot & GH_MEMORY_WRITE) == 0 && gh_can(vm, GH_FEATURE_READ_ONLY_MEMORY);
	struct uapi_kvm_region request = {
		.slot = region->id,
		.flags = read_only ? UAPI_KVM_MEM_READONLY : 0,
		.gpa = region->gpa,
		.size = region->length,
		.host = (uintptr_t)region->host,
	};

	return gh_sys_ioctl0(vm->sys, vm->fd, UAPI_KVM_SET_USER_MEMORY_REGION, (uintptr_t)&request);
}

/* A slot of no length is none. */
static int kvm_vm_unmap(struct gh_bvm *vm, const struct gh_region *region)
{
	struct uapi_kvm_region request = { .slot = region->id, .gpa = region->gpa };
	int ret = gh_sys_ioctl0(vm->sys, vm->fd, UAPI_KVM_SET_USER_MEMORY_REGION, (uintptr_t)&request);

	return ret < 0 ? gh_fail_request(vm->failure, ret, "unmap memory", "KVM_SET_USER_MEMORY_REGION") : 0;
}

/* --- vCPUs ---------------------------------------------------------------------------------------------------------- */

static void kvm_vcpu_destroy(struct gh_bvcpu *vcpu)
{
	struct gh_sys *sys = vcpu->vm->sys;

	if (vcpu->run != NULL)
		(void)sys->munmap(sys, vcpu->run, vcpu->run_size);
	if (vcpu->fd >= 0)
		(void)sys->close(sys, vcpu->fd);
	vcpu->run = NULL;
	vcpu->immediate_exit = NULL;
	vcpu->fd = -1;
}

static int map_run_page(struct gh_bvcpu *vcpu)
{
	struct gh_bvm *vm = vcpu->vm;
	int size = vm->sys->ioctl(vm->sys, vm->dev, UAPI_KVM_GET_VCPU_MMAP_SIZE, 0);
	int ret;

	if (size < 0)
		return gh_fail_request(vm->failure, size, STEP_VCPU, "KVM_GET_VCPU_MMAP_SIZE");
	if ((size_t)size < sizeof(struct uapi_kvm_run))
		return gh_fail(vm->failure, -EPROTO, STEP_VCPU, "KVM_GET_VCPU_MMAP_SIZE", "Use another kernel.",
			       "The kernel's run page has %d bytes, less than its interface needs.", size);
	vcpu->run_size = (size_t)size;
	ret = vm->sys->mmap(vm->sys, NULL, vcpu->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, &vcpu->run);
	if (ret < 0) {
		vcpu->run = NULL;
		return gh_fail_request(vm->failure, ret, STEP_VCPU, "mmap of the run page");
	}
	vcpu->immediate_exit = &((struct uapi_kvm_run *)vcpu->run)->immediate_exit;
	vcpu->answer = ((struct uapi_kvm_run *)vcpu->run)->mmio.data;
	return 0;
}

static int initialise(struct gh_bvcpu *vcpu)
{
	struct gh_bvm *vm = vcpu->vm;
	struct uapi_kvm_vcpu_init init;
	int ret;

	memset(&init, 0, sizeof(init));
	ret = gh_sys_ioctl0(vm->sys, vm->fd, UAPI_KVM_ARM_PREFERRED_TARGET, (uintptr_t)&init);
	if (ret < 0)
		return gh_fail_request(vm->failure, ret, STEP_VCPU, "KVM_ARM_PREFERRED_TARGET");
	init.features[0] |= 1u << UAPI_KVM_VCPU_PSCI_0_2;
	/* Others than the boot vCPU wait for CPU_ON. */
	if (vcpu->id != 0)
		init.features[0] |= 1u << UAPI_KVM_VCPU_POWER_OFF;
	ret = gh_sys_ioctl0(vm->sys, vcpu->fd, UAPI_KVM_ARM_VCPU_INIT, (uintptr_t)&init);
	return ret < 0 ? gh_fail_request(vm->failure, ret, STEP_VCPU, "KVM_ARM_VCPU_INIT") : 0;
}

static int kvm_vcpu_create(struct gh_bvcpu *vcpu)
{
	struct gh_bvm *vm = vcpu->vm;
	int ret;

	vcpu->fd = vm->sys->ioctl(vm->sys, vm->fd, UAPI_KVM_CREATE_VCPU, vcpu->id);
	if (vcpu->fd < 0)
		return gh_fail_request(vm->failure, vcpu->fd, STEP_VCPU, "KVM_CREATE_VCPU");
	ret = map_run_page(vcpu);
	if (ret == 0)
		ret = initialise(vcpu);
	if (ret < 0)
		kvm_vcpu_destroy(vcpu);
	return ret;
}

int gh_kvm_get_register(struct gh_bvcpu *vcpu, uint64_t id, uint64_t *ret_value)
{
	struct uapi_kvm_one_reg request = { .id = id, .host = (uintptr_t)ret_value };

	return gh_sys_ioctl0(vcpu->vm->sys, vcpu->fd, UAPI_KVM_GET_ONE_REG, (uintptr_t)&request);
}

int gh_kvm_put_register(struct gh_bvcpu *vcpu, uint64_t id, uint64_t value)
{
	struct uapi_kvm_one_reg request = { .id = id, .host = (uintptr_t)&value };

	return gh_sys_ioctl0(vcpu->vm->sys, vcpu->fd, UAPI_KVM_SET_ONE_REG, (uintptr_t)&request);
}

static int kvm_vcpu_set_register(struct gh_bvcpu *vcpu, uint32_t reg, uint64_t value)
{
	/* The guest begins at EL1 with its own stack pointer selected. */
	if (reg == GH_REG_SP)
		return gh_kvm_put_register(vcpu, UAPI_KVM_REG_SP_EL1, value);
	if (reg == GH_REG_PC)
		return gh_kvm_put_register(vcpu, UAPI_KVM_REG_PC, value);
	return gh_kvm_put_register(vcpu, UAPI_KVM_REG_X(reg), value);
}

int gh_kvm_set_signal_mask(struct gh_bvcpu *vcpu, const sigset_t *blocked)
{
	struct uapi_kvm_signal_mask request = { .length = sizeof(request.mask) };

	if (blocked == NULL)
		return gh_sys_ioctl0(vcpu->vm->sys, vcpu->fd, UAPI_KVM_SET_SIGNAL_MASK, 0);
	/* Signal n is bit n - 1. */
	for (int signal = 1; signal <= 64; signal++)
		if (sigismember(blocked, signal) == 1)
			request.mask[(signal - 1) / 8] |= (uint8_t)(1u << (signal - 1) % 8);
	return gh_sys_ioctl0(vcpu->vm->sys, vcpu->fd, UAPI_KVM_SET_SIGNAL_MASK, (uintptr_t)&request);
}

/* --- running -------------------------------------------------------------------------------------------------------- */

static void decode_event(const struct uapi_kvm_run *run, struct gh_exit *exit)
{
	const struct uapi_kvm_system_event *event = &run->system_event;

	switch (event->type) {
	case UAPI_KVM_EVENT_SHUTDOWN:
		gh_exit_set_stop(exit, GH_STOP_POWER_OFF, run->exit_reason, event->type);
		break;
	case UAPI_KVM_EVENT_RESET:
		gh_exit_set_stop(exit, GH_STOP_RESET, run->exit_reason, event->type);
		break;
	case UAPI_KVM_EVENT_CRASH:
		gh_exit_set_stop(exit, GH_STOP_CRASH, run->exit_reason, event->type);
		break;
	default:
		gh_exit_set_event(exit, event->type, event->count, event->data);
		break;
	}
}

int gh_kvm_decode(const struct uapi_kvm_run *run, struct gh_exit *exit)
{
	exit->raw_reason = run->exit_reason;
	switch (run->exit_reason) {
	case UAPI_KVM_EXIT_MMIO:
		return gh_exit_set_mmio(exit, run->mmio.gpa, run->mmio.width, run->mmio.is_write != 0, run->mmio.data);
	case UAPI_KVM_EXIT_SYSTEM_EVENT:
		decode_event(run, exit);
		return 0;
	case UAPI_KVM_EXIT_FAIL_ENTRY:
		gh_exit_set_stop(exit, GH_STOP_LOAD_FAILED, run->exit_reason, (uint32_t)run->fail_entry.reason);
		return 0;
	case UAPI_KVM_EXIT_INTERNAL_ERROR:
		gh_exit_set_stop(exit, GH_STOP_CRASH, run->exit_reason, run->internal_error.suberror);
		return 0;
	case UAPI_KVM_EXIT_SHUTDOWN:
		gh_exit_set_stop(exit, GH_STOP_CRASH, run->exit_reason, 0);
		return 0;
	case UAPI_KVM_EXIT_EXCEPTION:
		exit->kind = GH_EXIT_EXCEPTION;
		exit->exception.exception = run->exception.exception;
		exit->exception.error_code = run->exception.error_code;
		exit->exception.gpa = 0;
		return 0;
	case UAPI_KVM_EXIT_MEMORY_FAULT:
		exit->kind = GH_EXIT_PAGE_FAULT;
		exit->fault.gpa = run->memory_fault.gpa;
		exit->fault.error = -EFAULT;
		exit->fault.reserved = 0;
		return 0;
	default:
		exit->kind = GH_EXIT_UNKNOWN;
		return 0;
	}
}

/* Kernels before 6.12, unless their stable release has the repair, also retire the access, and warn about it in their log. */
static int kvm_vcpu_abort(struct gh_bvcpu *vcpu)
{
	struct uapi_kvm_vcpu_events events = { .ext_dabt_pending = 1 };

	if ((vcpu->vm->caps.features & GH_FEATURE_MMIO_ABORT) == 0)
		return -EOPNOTSUPP;
	return gh_sys_ioctl0(vcpu->vm->sys, vcpu->fd, UAPI_KVM_SET_VCPU_EVENTS, (uintptr_t)&events);
}

static int explain(struct gh_bvcpu *vcpu, int error)
{
	if (error == -ENOSYS)
		return gh_fail_cause(
			vcpu->failure, error, GH_CAUSE_UNDESCRIBED_ACCESS, STEP_RUN, "KVM_RUN",
			"The guest made an access to device memory that the CPU does not describe (ldp, stp, SIMD).");
	if (error == -ENOEXEC)
		return gh_fail(vcpu->failure, error, STEP_RUN, "KVM_RUN", "Report this with the kernel's version.",
			       "vCPU %u has not been initialised.", vcpu->id);
	return error;
}

static int decode(struct gh_bvcpu *vcpu, const struct uapi_kvm_run *run)
{
	int ret = gh_kvm_decode(run, &vcpu->exit);

	return ret < 0 ? ret : gh_exit_result(&vcpu->exit);
}

static int kvm_vcpu_run(struct gh_bvcpu *vcpu)
{
	struct gh_sys *sys = vcpu->vm->sys;
	const struct uapi_kvm_run *run = vcpu->run;

	for (;;) {
		int ret = sys->enter(sys, vcpu->fd, UAPI_KVM_RUN, 0, vcpu->kicked);

		if (ret == -EINTR || ret == -EAGAIN || ret == -ECANCELED)
			return ret;
		if (ret > 0)
			return -EPROTO;
		/* exit_reason is not cleared before, since the kernel reads it to complete a load: only this pair is new. */
		if (ret == -EFAULT && run->exit_reason == UAPI_KVM_EXIT_MEMORY_FAULT)
			return decode(vcpu, run);
		if (ret < 0)
			return explain(vcpu, ret);
		if (run->exit_reason != UAPI_KVM_EXIT_ARM_NISV)
			return decode(vcpu, run);
		ret = kvm_vcpu_abort(vcpu);
		if (ret < 0)
			return ret;
	}
}

const struct gh_backend gh_backend_kvm = {
	.name = "kvm",
	.device = UAPI_KVM_DEVICE,
	.possible = GH_FEATURE_SHARE | GH_FEATURE_REGISTERS | GH_FEATURE_IRQ_LINE | GH_FEATURE_READ_ONLY_MEMORY |
		    GH_FEATURE_IRQFD | GH_FEATURE_IRQFD_LEVEL | GH_FEATURE_IRQFD_RESAMPLE | GH_FEATURE_IOEVENTFD |
		    GH_FEATURE_DATAMATCH | GH_FEATURE_MMIO_ABORT | GH_FEATURE_PAGE_FAULT,
	.probe = kvm_probe,
	.vm_create = kvm_vm_create,
	.vm_destroy = kvm_vm_destroy,
	.vm_map = kvm_vm_map,
	.vm_unmap = kvm_vm_unmap,
	.vm_irqchip = gh_kvm_irqchip,
	.vm_start = gh_kvm_irqchip_start,
	.vcpu_create = kvm_vcpu_create,
	.vcpu_destroy = kvm_vcpu_destroy,
	.vcpu_set_register = kvm_vcpu_set_register,
	.vcpu_run = kvm_vcpu_run,
	.vcpu_abort = kvm_vcpu_abort,
	.irqfd = gh_kvm_irqfd,
	.irq_line = gh_kvm_irq_line,
	.ioevent = gh_kvm_ioevent,
	.needs = &gh_kvm_needs,
};
