/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GenieZone, as v9 and later speak it. A VM is a descriptor; the run buffer is ours, and copied in and out by every RUN.
 *
 * Handled here: H2 (the exit reason is cleared before each entry, and another one after EINTR is an exit, unless the kernel
 * has handled it already: section 9 of the GenieZone UAPI document), H3 (the copy-out overwrites the immediate-exit byte
 * of others; only the handler on the vCPU's own thread sets it), memory that the guest could use to reach the host.
 */
#include "geniezone.h"

#include "../diagnosis.h"
#include "../exit.h"
#include "../points.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <gh/vm.h>

#define STEP_PROBE "look for GenieZone"
#define STEP_MAP "map memory"
#define REQUEST(name, number) name " (" number ")"

/* Exception level 1 with its own stack, interrupts masked: how arm64 guests begin. */
#define BOOT_PSTATE UINT64_C(0x3c5)

#define GIC_DISTRIBUTOR_SIZE UINT64_C(0x10000)
/* Of one vCPU, however many there are: what crosvm passes and the hypervisor is known to take. */
#define GIC_REDISTRIBUTOR_SIZE UINT64_C(0x20000)

/* --- probe -------------------------------------------------------------------------------------------------------- */

/* Declared without an argument, and takes a pointer all the same. */
static int check_extension(struct gh_sys *sys, int fd, uint64_t extension, uint64_t *ret_value)
{
	uint64_t value = extension;
	int ret = gh_sys_ioctl0(sys, fd, UAPI_GZVM_CHECK_EXTENSION, (uintptr_t)&value);

	if (ret == 0)
		*ret_value = value;
	return ret;
}

static int geniezone_probe(struct gh_sys *sys, int dev, struct gh_caps *ret_caps, struct gh_failure *failure)
{
	uint64_t protected_vms = 0;
	uint64_t gpa_bits = 40;

	(void)failure;
	/* Foreign devices refuse the request; Qualcomm's old one refuses everything alike, so ask for a real answer, too. */
	if (sys->ioctl(sys, dev, UAPI_GZVM_CHECK_EXTENSION, 0) != -EINVAL ||
	    check_extension(sys, dev, UAPI_GZVM_CAP_PROTECTED_VM, &protected_vms) < 0)
		return -ENODEV;
	if (check_extension(sys, dev, UAPI_GZVM_CAP_GPA_SIZE, &gpa_bits) < 0 || gpa_bits < 32 || gpa_bits > 52)
		gpa_bits = 40;
	*ret_caps = (struct gh_caps){
		.features = GH_FEATURE_SHARE | GH_FEATURE_REGISTERS | GH_FEATURE_IRQFD | GH_FEATURE_IOEVENTFD |
			    GH_FEATURE_HYPERCALL | GH_FEATURE_PAGE_FAULT | GH_FEATURE_IRQ_LINE,
		.dialect = "v9 and later",
		.max_vcpus = UAPI_GZVM_MAX_VCPUS,
		.max_regions = UAPI_GZVM_MAX_SLOTS,
		.max_lines = 988,
		.gpa_bits = (uint32_t)gpa_bits,
		.gpa_align =
			UINT64_C(2) << 20, /* demand paging in blocks maps what lies below an unaligned region (GZ 9) */
		.quirks = GH_QUIRK_ONE_LINE_PER_EVENTFD | GH_QUIRK_MISSES_EARLY_SIGNAL | GH_QUIRK_MEMORY_MUST_STAY,
	};
	return 0;
}

/* --- VM ----------------------------------------------------------------------------------------------------------- */

static int geniezone_vm_create(struct gh_bvm *vm)
{
	int fd = vm->sys->ioctl(vm->sys, vm->dev, UAPI_GZVM_CREATE_VM, 0);

	if (fd < 0)
		return gh_diagnose(vm->failure, vm, GH_REQUEST_CREATE_VM, fd, NULL);
	vm->fd = fd;
	return 0;
}

static void geniezone_vm_destroy(struct gh_bvm *vm)
{
	(void)vm->sys->close(vm->sys, vm->fd);
}

static int request(struct gh_bvm *vm, enum gh_request what, unsigned long number, const void *arg)
{
	int ret = gh_sys_ioctl0(vm->sys, vm->fd, number, (uintptr_t)arg);

	return ret < 0 ? gh_diagnose(vm->failure, vm, what, ret, NULL) : 0;
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

static int check_mapping(struct gh_bvm *vm, const struct gh_region *region)
{
	struct gh_vma vma;
	uintptr_t host = (uintptr_t)region->host;
	int ret = gh_vma_find(vm->sys, region->host, &vma);

	if (ret == -EOPNOTSUPP)
		return gh_memory_populate(vm, region->host, region->length, true); /* it may be a private one */
	if (ret < 0 && ret != -ENOENT)
		return gh_fail_request(vm->failure, ret, STEP_MAP, "read /proc/self/maps");
	/* A refused call would leave the kernel's slot changed: refuse before. */
	if (ret == -ENOENT || !vma.readable || !vma.writable)
		return gh_fail_cause(vm->failure, -EFAULT, GH_CAUSE_UNPINNABLE, STEP_MAP, NULL,
				     "The memory at %p is not mapped, or not for reading and writing.",
				     (void *)region->host);
	if (vma.start != host || vma.end - vma.start != region->length)
		return gh_fail_cause(
			vm->failure, -EINVAL, GH_CAUSE_NOT_WHOLE_MAPPING, STEP_MAP, NULL,
			"GenieZone takes whole mappings: the region is 0x%llx bytes at %p, the mapping 0x%llx bytes at %p.",
			(unsigned long long)region->length, (void *)region->host, (unsigned long long)(vma.end - vma.start),
			(void *)vma.start);
	return vma.shared ? 0 : gh_memory_populate(vm, region->host, region->length, true);
}

static int geniezone_vm_map(struct gh_bvm *vm, const struct gh_region *region)
{
	const struct uapi_gzvm_region arg = {
		.slot = region->slot,
		.flags = UAPI_GZVM_REGION_GUEST_MEM,
		.gpa = region->gpa,
		.size = region->length,
		.host = (uintptr_t)region->host,
	};
	int ret = check_mapping(vm, region);

	if (ret < 0)
		return ret;
	ret = gh_sys_ioctl0(vm->sys, vm->fd, UAPI_GZVM_SET_USER_MEM, (uintptr_t)&arg);
	/* A refused region stands in the kernel's table all the same: a guest would get whatever comes to its address. */
	vm->spoilt = ret < 0;
	return ret < 0 ? gh_diagnose(vm->failure, vm, GH_REQUEST_MAP, ret, region) : 0;
}

/* --- start -------------------------------------------------------------------------------------------------------- */

static int geniezone_vm_irqchip(struct gh_bvm *vm)
{
	const struct uapi_gzvm_create_device distributor = {
		.type = UAPI_GZVM_DEV_VGIC_DIST,
		.gpa = vm->gic_distributor,
		.size = GIC_DISTRIBUTOR_SIZE,
	};
	const struct uapi_gzvm_create_device redistributors = {
		.type = UAPI_GZVM_DEV_VGIC_REDIST,
		.gpa = vm->gic_redistributors,
		.size = GIC_REDISTRIBUTOR_SIZE,
	};
	int ret = request(vm, GH_REQUEST_INTERRUPT_CONTROLLER, UAPI_GZVM_CREATE_DEVICE, &distributor);

	if (ret < 0)
		return ret;
	return request(vm, GH_REQUEST_INTERRUPT_CONTROLLER, UAPI_GZVM_CREATE_DEVICE, &redistributors);
}

static int geniezone_vm_set_dtb(struct gh_bvm *vm)
{
	const struct uapi_gzvm_range arg = { .gpa = vm->dtb_gpa, .size = vm->dtb_size };

	return request(vm, GH_REQUEST_SET_DTB, UAPI_GZVM_SET_DTB, &arg);
}

/* --- lines and doorbells ------------------------------------------------------------------------------------------ */

static int geniezone_irqfd(struct gh_bvm *vm, const struct gh_irqfd_spec *spec, bool on)
{
	const struct uapi_gzvm_irqfd arg = {
		.fd = (uint32_t)spec->fd,
		.gsi = spec->line,
		.flags = on ? 0 : UAPI_GZVM_IRQFD_DEASSIGN,
	};

	return request(vm, GH_REQUEST_IRQFD, UAPI_GZVM_IRQFD, &arg);
}

/* Any thread, so no word of why: the caller has the errno. */
static int geniezone_irq_line(struct gh_bvm *vm, uint32_t line, bool level)
{
	const struct uapi_gzvm_irq_level arg = { .irq = UAPI_GZVM_IRQ_TYPE_SPI | line, .level = level };

	return gh_sys_ioctl0(vm->sys, vm->fd, UAPI_GZVM_IRQ_LINE, (uintptr_t)&arg);
}

static int geniezone_ioevent(struct gh_bvm *vm, const struct gh_ioevent_spec *spec, bool on)
{
	const struct uapi_gzvm_ioeventfd arg = {
		.datamatch = spec->value,
		.gpa = spec->gpa,
		.width = spec->width,
		.fd = spec->fd,
		.flags = (spec->datamatch ? UAPI_GZVM_IOEVENTFD_DATAMATCH : 0) | (on ? 0 : UAPI_GZVM_IOEVENTFD_DEASSIGN),
	};

	return request(vm, GH_REQUEST_IOEVENTFD, UAPI_GZVM_IOEVENTFD, &arg);
}

/* --- vCPU --------------------------------------------------------------------------------------------------------- */

static int set_register(struct gh_bvcpu *vcpu, uint64_t id, uint64_t value)
{
	const struct uapi_gzvm_one_reg arg = { .id = id, .host = (uintptr_t)&value };

	return gh_sys_ioctl0(vcpu->vm->sys, vcpu->fd, UAPI_GZVM_SET_ONE_REG, (uintptr_t)&arg);
}

static void close_vcpu(struct gh_bvcpu *vcpu)
{
	(void)vcpu->vm->sys->close(vcpu->vm->sys, vcpu->fd);
	vcpu->fd = -1;
	free(vcpu->run);
	vcpu->run = NULL;
}

static int geniezone_vcpu_create(struct gh_bvcpu *vcpu)
{
	struct uapi_gzvm_run *run = calloc(1, sizeof(*run));
	int ret;

	if (run == NULL)
		return -ENOMEM;
	ret = vcpu->vm->sys->ioctl(vcpu->vm->sys, vcpu->vm->fd, UAPI_GZVM_CREATE_VCPU, vcpu->id);
	if (ret < 0) {
		free(run);
		return gh_diagnose(vcpu->vm->failure, vcpu->vm, GH_REQUEST_ADD_VCPU, ret, NULL);
	}
	vcpu->fd = ret;
	vcpu->run = run;
	vcpu->run_size = sizeof(*run);
	vcpu->immediate_exit = &run->immediate_exit;
	vcpu->answer = run->u.mmio.data; /* the hypervisor looks at the first `width` bytes */
	ret = set_register(vcpu, UAPI_GZVM_REG_PSTATE, BOOT_PSTATE);
	/* Some kernels let nobody set registers of other vCPUs than the first; PSCI sets them anyway. */
	if (ret < 0 && vcpu->id == 0) {
		close_vcpu(vcpu);
		return gh_diagnose(vcpu->vm->failure, vcpu->vm, GH_REQUEST_SET_REGISTER, ret, NULL);
	}
	return 0;
}

static void geniezone_vcpu_destroy(struct gh_bvcpu *vcpu)
{
	close_vcpu(vcpu);
}

static int geniezone_vcpu_set_register(struct gh_bvcpu *vcpu, uint32_t reg, uint64_t value)
{
	uint64_t id = UAPI_GZVM_REG_X(reg);
	int ret;

	if (reg == GH_REG_SP)
		id = UAPI_GZVM_REG_SP;
	else if (reg == GH_REG_PC)
		id = UAPI_GZVM_REG_PC;
	ret = set_register(vcpu, id, value);
	return ret < 0 ? gh_diagnose(vcpu->vm->failure, vcpu->vm, GH_REQUEST_SET_REGISTER, ret, NULL) : 0;
}

/* What the kernel leaves in the buffer with EINTR can be an exit that it has handled itself. */
static bool was_handled(struct gh_bvm *vm, const struct uapi_gzvm_run *run, const struct gh_exit *exit, uint32_t changes)
{
	switch (run->exit_reason) {
	case UAPI_GZVM_EXIT_MMIO:
		return exit->mmio.is_store &&
		       gh_ioevent_was_rung(vm, exit->mmio.gpa, exit->mmio.width, exit->mmio.value, changes);
	case UAPI_GZVM_EXIT_EXCEPTION:
		for (size_t i = 0; i < sizeof(run->u.exception.reserved) / sizeof(run->u.exception.reserved[0]); i++)
			if (run->u.exception.reserved[i] != 0)
				return true;
		return exit->kind == GH_EXIT_PAGE_FAULT && gh_region_find(vm, exit->fault.gpa, 1) != NULL;
	case UAPI_GZVM_EXIT_HYPERCALL:
		return exit->hypercall.args[0] == UAPI_GZVM_HVC_MEM_RELINQUISH;
	default:
		return false;
	}
}

static __attribute__((noinline, cold)) int run_is_broken(struct gh_bvcpu *vcpu)
{
	const struct uapi_gzvm_run *run = vcpu->run;

	return gh_fail(vcpu->failure, -EPROTO, "run a vCPU", REQUEST("GZVM_RUN", "0x9280"),
		       "Report it to the kernel's authors; the vCPU cannot go on.",
		       "The run buffer breaks the kernel's interface: reason 0x%x, address 0x%llx, width %llu.",
		       run->exit_reason, (unsigned long long)run->u.mmio.gpa, (unsigned long long)run->u.mmio.width);
}

/* An entry that ended with anything but a load or a store. */
static __attribute__((noinline, cold)) int conclude(struct gh_bvcpu *vcpu, int entered)
{
	const struct uapi_gzvm_run *run = vcpu->run;
	int ret;

	if (entered > 0)
		return -EPROTO;
	if (entered < 0 && (entered != -EINTR || run->exit_reason == 0))
		return entered;
	ret = gh_geniezone_decode(run, &vcpu->exit);
	if (ret == -EPROTO)
		return run_is_broken(vcpu);
	if (entered == -EINTR && (ret == -EAGAIN || was_handled(vcpu->vm, run, &vcpu->exit, vcpu->changes)))
		return -EINTR;
	return ret < 0 ? ret : gh_exit_result(&vcpu->exit);
}

static int geniezone_vcpu_run(struct gh_bvcpu *vcpu)
{
	struct uapi_gzvm_run *run = vcpu->run;
	struct gh_sys *sys = vcpu->vm->sys;
	int ret;

	vcpu->changes = __atomic_load_n(&vcpu->vm->n_changes, __ATOMIC_RELAXED);
	/* H2: whatever stands here afterwards is new, even after EINTR; 0 also tells a RUN that never reached the guest. */
	run->exit_reason = 0;
	GH_POINT(PAGE_CLEARED);
	ret = sys->enter(sys, vcpu->fd, UAPI_GZVM_RUN, (uintptr_t)run, vcpu->kicked);
	GH_POINT(PAGE_RETURNED);
	run = vcpu->run; /* the same, and no register that has to be kept meanwhile */
	if (ret != 0 || run->exit_reason != UAPI_GZVM_EXIT_MMIO)
		return conclude(vcpu, ret);
	return gh_geniezone_decode_mmio(run, &vcpu->exit) < 0 ? run_is_broken(vcpu) : 0;
}

static void geniezone_vcpu_answer_hypercall(struct gh_bvcpu *vcpu, const uint64_t results[4])
{
	struct uapi_gzvm_run *run = vcpu->run;

	memcpy(run->u.hypercall.args, results, 4 * sizeof(results[0]));
}

const struct gh_backend gh_backend_geniezone = {
	.name = "geniezone",
	.device = UAPI_GZVM_DEVICE,
	.diagnoses = &gh_geniezone_diagnoses,
	.possible = GH_FEATURE_SHARE | GH_FEATURE_REGISTERS | GH_FEATURE_IRQFD | GH_FEATURE_IOEVENTFD |
		    GH_FEATURE_DATAMATCH | GH_FEATURE_HYPERCALL | GH_FEATURE_PAGE_FAULT | GH_FEATURE_IRQ_LINE,
	.probe = geniezone_probe,
	.vm_create = geniezone_vm_create,
	.vm_destroy = geniezone_vm_destroy,
	.vm_map = geniezone_vm_map,
	.vm_irqchip = geniezone_vm_irqchip,
	.vm_set_dtb = geniezone_vm_set_dtb,
	.vcpu_create = geniezone_vcpu_create,
	.vcpu_destroy = geniezone_vcpu_destroy,
	.vcpu_set_register = geniezone_vcpu_set_register,
	.vcpu_run = geniezone_vcpu_run,
	.vcpu_answer_hypercall = geniezone_vcpu_answer_hypercall,
	.irqfd = geniezone_irqfd,
	.irq_line = geniezone_irq_line,
	.ioevent = geniezone_ioevent,
};
