/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GenieZone and Halla: VMs, which are descriptors, their memory, lines and doorbells. Handled here: memory that the guest could
 * use to reach the host (section 9 of the GenieZone UAPI document).
 */
#include "geniezone.h"

#include "../diagnosis.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <gh/vm.h>

#define STEP_MAP "map memory"
#define STEP_LINE "connect an eventfd to a line"

#define GIC_DISTRIBUTOR_SIZE UINT64_C(0x10000)
/* Of one vCPU, however many there are: what crosvm passes and the hypervisor is known to take. */
#define GIC_REDISTRIBUTOR_SIZE UINT64_C(0x20000)

/* --- VM ----------------------------------------------------------------------------------------------------------- */

/* The backend's own part of a VM. */
struct gz_vm {
	int unread; /* an eventfd for acknowledgements that nobody wants to hear of; -1 before the first one */
};

static int vm_create(struct gh_bvm *vm)
{
	const struct gh_gz_abi *abi = gh_gz_abi(vm);
	struct gz_vm *own = malloc(sizeof(*own));
	int fd;

	if (own == NULL)
		return -ENOMEM;
	fd = vm->sys->ioctl(vm->sys, vm->dev, abi->requests[GH_GZ_CREATE_VM],
			    gh_gz_vm_type(abi, vm->caps.gpa_bits, vm->is_protected || vm->firmware_size != 0));
	if (fd < 0) {
		free(own);
		return gh_diagnose(vm->failure, vm, GH_REQUEST_CREATE_VM, fd, NULL);
	}
	own->unread = -1;
	vm->fd = fd;
	vm->priv = own;
	return 0;
}

static void vm_destroy(struct gh_bvm *vm)
{
	struct gz_vm *own = vm->priv;

	(void)vm->sys->close(vm->sys, vm->fd);
	if (own->unread >= 0)
		(void)vm->sys->close(vm->sys, own->unread);
	free(own);
}

static int request(struct gh_bvm *vm, enum gh_request what, enum gh_gz_request which, const void *arg)
{
	int ret = gh_sys_ioctl0(vm->sys, vm->fd, gh_gz_abi(vm)->requests[which], (uintptr_t)arg);

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

static int vm_map(struct gh_bvm *vm, const struct gh_region *region)
{
	const struct uapi_gzvm_region arg = {
		.slot = region->slot,
		.flags = gh_gz_purpose(vm, region),
		.gpa = region->gpa,
		.size = region->length,
		.host = (uintptr_t)region->host,
	};
	int ret = check_mapping(vm, region);

	if (ret < 0)
		return ret;
	ret = gh_sys_ioctl0(vm->sys, vm->fd, gh_gz_abi(vm)->requests[GH_GZ_SET_USER_MEM], (uintptr_t)&arg);
	/* A refused region stands in the kernel's table all the same: a guest would get whatever comes to its address. */
	vm->spoilt = ret < 0;
	return ret < 0 ? gh_diagnose(vm->failure, vm, GH_REQUEST_MAP, ret, region) : 0;
}

/* --- start -------------------------------------------------------------------------------------------------------- */

static int vm_irqchip(struct gh_bvm *vm)
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
	int ret = request(vm, GH_REQUEST_INTERRUPT_CONTROLLER, GH_GZ_CREATE_DEVICE, &distributor);

	if (ret == 0)
		ret = request(vm, GH_REQUEST_INTERRUPT_CONTROLLER, GH_GZ_CREATE_DEVICE, &redistributors);
	return ret < 0 ? ret : gh_gz_protect(vm);
}

static int vm_set_dtb(struct gh_bvm *vm)
{
	const struct uapi_gzvm_range arg = { .gpa = vm->dtb_gpa, .size = vm->dtb_size };
	int ret =
		gh_is_quirky(vm, GH_QUIRK_NO_DTB_REQUEST) ? -ENOTTY : request(vm, GH_REQUEST_SET_DTB, GH_GZ_SET_DTB, &arg);

	/* Nobody below wants to know: the guest is told in x0. */
	return ret == -ENOTTY ? 0 : ret;
}

/* --- lines and doorbells ------------------------------------------------------------------------------------------ */

/*
 * A line that the guest takes for level-triggered. Kernels that tell of acknowledgements lower it then, and only then; one
 * that nobody wants to hear of is told to an eventfd all the same.
 */
static int resample_into(struct gh_bvm *vm, const struct gh_irqfd_spec *spec)
{
	struct gz_vm *own = vm->priv;

	if (spec->resample)
		return spec->resample_fd;
	if (own->unread < 0)
		own->unread = vm->sys->eventfd(vm->sys, 0, 0);
	return own->unread;
}

static int add_irqfd(struct gh_bvm *vm, const struct gh_irqfd_spec *spec, bool on)
{
	struct uapi_gzvm_irqfd arg = {
		.fd = (uint32_t)spec->fd,
		.gsi = spec->line,
		.flags = on ? 0 : UAPI_GZVM_IRQFD_DEASSIGN,
	};

	if (on && spec->level && gh_can(vm, GH_FEATURE_IRQFD_RESAMPLE)) {
		int fd = resample_into(vm, spec);

		if (fd < 0)
			return gh_fail_request(vm->failure, fd, STEP_LINE, "eventfd");
		arg.flags = UAPI_GZVM_IRQFD_RESAMPLE;
		arg.resample_fd = (uint32_t)fd;
	}
	return request(vm, GH_REQUEST_IRQFD, GH_GZ_IRQFD, &arg);
}

/* Any thread, so no word of why: the caller has the errno. */
static int set_irq_line(struct gh_bvm *vm, uint32_t line, bool level)
{
	const struct uapi_gzvm_irq_level arg = { .irq = UAPI_GZVM_IRQ_TYPE_SPI | line, .level = level };

	return gh_sys_ioctl0(vm->sys, vm->fd, gh_gz_abi(vm)->requests[GH_GZ_IRQ_LINE], (uintptr_t)&arg);
}

static int add_ioevent(struct gh_bvm *vm, const struct gh_ioevent_spec *spec, bool on)
{
	const struct uapi_gzvm_ioeventfd arg = {
		.datamatch = spec->value,
		.gpa = spec->gpa,
		.width = spec->width,
		.fd = spec->fd,
		.flags = (spec->datamatch ? UAPI_GZVM_IOEVENTFD_DATAMATCH : 0) | (on ? 0 : UAPI_GZVM_IOEVENTFD_DEASSIGN),
	};

	return request(vm, GH_REQUEST_IOEVENTFD, GH_GZ_IOEVENTFD, &arg);
}

/* --- the tables --------------------------------------------------------------------------------------------------- */

#define SLOTS                                                                                                              \
	.possible = GH_GZ_POSSIBLE, .vm_create = vm_create, .vm_destroy = vm_destroy, .vm_map = vm_map,                    \
	.vm_check = gh_gz_vm_check, .vm_irqchip = vm_irqchip, .vm_set_dtb = vm_set_dtb, .vcpu_create = gh_gz_vcpu_create,  \
	.vcpu_destroy = gh_gz_vcpu_destroy, .vcpu_set_register = gh_gz_vcpu_set_register,                                  \
	.vcpu_answer_hypercall = gh_gz_vcpu_answer_hypercall, .irqfd = add_irqfd, .irq_line = set_irq_line,                \
	.ioevent = add_ioevent

const struct gh_backend gh_backend_geniezone = {
	.name = "geniezone",
	.device = UAPI_GZVM_DEVICE,
	.diagnoses = &gh_geniezone_diagnoses,
	.probe = gh_geniezone_probe,
	.vcpu_run = gh_geniezone_vcpu_run,
	.needs = &gh_geniezone_needs,
	SLOTS,
};

const struct gh_backend gh_backend_halla = {
	.name = "halla",
	.device = UAPI_HALLA_DEVICE,
	.diagnoses = &gh_halla_diagnoses,
	.probe = gh_halla_probe,
	.vcpu_run = gh_halla_vcpu_run,
	.needs = &gh_halla_needs,
	SLOTS,
};
