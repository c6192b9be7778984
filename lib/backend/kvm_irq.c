/* SPDX-License-Identifier: BSD-3-Clause */
/* KVM: the interrupt controller, lines and doorbells. */
#include "kvm.h"

#include <errno.h>
#include <sys/eventfd.h>

#define STEP_GIC "make the interrupt controller"

static int set_attribute(struct gh_bvm *vm, uint32_t group, uint64_t attribute, const void *value)
{
	const struct gh_kvm_vm *own = vm->priv;
	struct uapi_kvm_device_attr attr = {
		.group = group,
		.attr = attribute,
		.address = (uintptr_t)value,
	};
	int ret = gh_sys_ioctl0(vm->sys, own->gic, UAPI_KVM_SET_DEVICE_ATTR, (uintptr_t)&attr);

	if (ret >= 0)
		return 0;
	return gh_fail_cause(
		vm->failure, ret, GH_CAUSE_INTERRUPT_CONTROLLER, STEP_GIC, "KVM_SET_DEVICE_ATTR",
		"The kernel refused attribute %llu of group %u (distributor at %#llx, redistributors at %#llx).",
		(unsigned long long)attribute, group, (unsigned long long)vm->gic_distributor,
		(unsigned long long)vm->gic_redistributors);
}

int gh_kvm_irqchip_check(struct gh_bvm *vm)
{
	struct uapi_kvm_create_device device = { .type = UAPI_KVM_DEV_VGIC_V3, .flags = UAPI_KVM_CREATE_DEVICE_TEST };
	int ret = gh_sys_ioctl0(vm->sys, vm->fd, UAPI_KVM_CREATE_DEVICE, (uintptr_t)&device);

	if (ret != -ENODEV)
		return ret;
	return gh_fail_as(vm->failure, GH_CAUSE_INTERRUPT_CONTROLLER, ret, STEP_GIC, "KVM_CREATE_DEVICE",
			  "Use a machine with a GICv3 or newer.",
			  "The host's interrupt controller cannot give guests a GICv3; a GICv2 host cannot.");
}

/* Before the first vCPU, so that each one gets its redistributor. */
int gh_kvm_irqchip(struct gh_bvm *vm)
{
	struct gh_kvm_vm *own = vm->priv;
	struct uapi_kvm_create_device device = { .type = UAPI_KVM_DEV_VGIC_V3 };
	const uint32_t irqs = GH_KVM_IRQS;
	int ret = gh_sys_ioctl0(vm->sys, vm->fd, UAPI_KVM_CREATE_DEVICE, (uintptr_t)&device);

	if (ret < 0)
		return gh_fail_request(vm->failure, ret, STEP_GIC, "KVM_CREATE_DEVICE");
	own->gic = (int)device.fd;
	ret = set_attribute(vm, UAPI_KVM_VGIC_GROUP_NR_IRQS, 0, &irqs);
	if (ret < 0)
		return ret;
	ret = set_attribute(vm, UAPI_KVM_VGIC_GROUP_ADDRESS, UAPI_KVM_VGIC_ADDRESS_DISTRIBUTOR, &vm->gic_distributor);
	if (ret < 0)
		return ret;
	return set_attribute(vm, UAPI_KVM_VGIC_GROUP_ADDRESS, UAPI_KVM_VGIC_ADDRESS_REDISTRIBUTORS,
			     &vm->gic_redistributors);
}

/* After the last vCPU: their number is fixed from here on. */
int gh_kvm_irqchip_start(struct gh_bvm *vm)
{
	return set_attribute(vm, UAPI_KVM_VGIC_GROUP_CONTROL, UAPI_KVM_VGIC_CONTROL_INIT, NULL);
}

int gh_kvm_irq_line(struct gh_bvm *vm, uint32_t line, bool level)
{
	struct uapi_kvm_irq_level request = { .irq = UAPI_KVM_IRQ_TYPE_SPI | (line + 32u), .level = level };

	return gh_sys_ioctl0(vm->sys, vm->fd, UAPI_KVM_IRQ_LINE, (uintptr_t)&request);
}

/*
 * A plain irqfd pulses its line, which a guest that has configured it as level-triggered does not see. Such a line is
 * raised only, and the kernel lowers it when the guest acknowledges; it tells that through an eventfd nobody has to read.
 */
static int resample_fd(struct gh_bvm *vm)
{
	struct gh_kvm_vm *own = vm->priv;

	if (own->resample < 0)
		own->resample = vm->sys->eventfd(vm->sys, 0, EFD_NONBLOCK);
	return own->resample;
}

int gh_kvm_irqfd(struct gh_bvm *vm, const struct gh_irqfd_spec *spec, bool on)
{
	/* By default interrupt n of the kernel's routing table is shared interrupt n. */
	struct uapi_kvm_irqfd request = {
		.fd = (uint32_t)spec->fd,
		.gsi = spec->line,
		.flags = on ? 0 : UAPI_KVM_IRQFD_DEASSIGN,
	};

	if (on && spec->level) {
		int fd = spec->resample ? spec->resample_fd : resample_fd(vm);

		if (fd < 0)
			return fd;
		request.flags = UAPI_KVM_IRQFD_RESAMPLE;
		request.resample_fd = (uint32_t)fd;
	}
	return gh_sys_ioctl0(vm->sys, vm->fd, UAPI_KVM_IRQFD, (uintptr_t)&request);
}

int gh_kvm_ioevent(struct gh_bvm *vm, const struct gh_ioevent_spec *spec, bool on)
{
	struct uapi_kvm_ioeventfd request = {
		.datamatch = spec->datamatch ? spec->value : 0,
		.gpa = spec->gpa,
		.width = spec->width,
		.fd = spec->fd,
		.flags = (spec->datamatch ? UAPI_KVM_IOEVENTFD_DATAMATCH : 0) | (on ? 0 : UAPI_KVM_IOEVENTFD_DEASSIGN),
	};

	return gh_sys_ioctl0(vm->sys, vm->fd, UAPI_KVM_IOEVENTFD, (uintptr_t)&request);
}
