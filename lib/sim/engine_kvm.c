/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The `kvm` engine: real arm64 guests below a simulated device, through libgh's own KVM backend.
 *
 * It calls the backend's vtable, not the public API: the core's kicks and the process-wide handler behind them belong to the
 * VMM above the simulated kernel. Always the real kernel's table and the real /dev/kvm, whatever GH_DEVICE says.
 */
#include "engine_kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* The engine's way of ending a run is its signal. */
static const uint32_t never;

/* --- the VM --------------------------------------------------------------------------------------------------------- */

static int open_kvm(struct kvm_vm *vm, const struct sim_engine_options *options)
{
	struct gh_sys *sys = gh_sys_kernel();
	struct gh_caps *caps = &vm->b.caps;
	int ret;

	vm->b.sys = sys;
	vm->b.ops = &gh_backend_kvm;
	vm->b.fd = -1;
	vm->b.failure = &vm->failure;
	vm->b.page_size = (uint32_t)sysconf(_SC_PAGESIZE);
	vm->b.dev = sys->open(sys, gh_backend_kvm.device, O_RDWR);
	if (vm->b.dev < 0)
		return vm->b.dev == -EMFILE || vm->b.dev == -ENFILE ? vm->b.dev : -ENODEV;
	ret = gh_backend_kvm.probe(sys, vm->b.dev, caps, &vm->failure);
	if (ret < 0)
		return ret;
	if (options->gpa_bits != 0 && options->gpa_bits < caps->gpa_bits)
		caps->gpa_bits = options->gpa_bits;
	return gh_backend_kvm.vm_create(&vm->b);
}

static void vcpu_free(struct kvm_vcpu *vcpu)
{
	gh_backend_kvm.vcpu_destroy(&vcpu->b);
	(void)pthread_mutex_destroy(&vcpu->lock);
	free(vcpu);
}

static void kvm_vm_free(void *data)
{
	struct kvm_vm *vm = data;

	while (vm->vcpus != NULL) {
		struct kvm_vcpu *vcpu = vm->vcpus;

		vm->vcpus = vcpu->next;
		vcpu_free(vcpu);
	}
	while (vm->slots != NULL) {
		struct kvm_slot *slot = vm->slots;

		vm->slots = slot->next;
		free(slot);
	}
	for (uint32_t line = 0; line < GH_KVM_LINES; line++)
		if (vm->pulses[line] >= 0)
			(void)vm->b.sys->close(vm->b.sys, vm->pulses[line]);
	if (vm->b.fd >= 0)
		gh_backend_kvm.vm_destroy(&vm->b);
	if (vm->b.dev >= 0)
		(void)vm->b.sys->close(vm->b.sys, vm->b.dev);
	(void)pthread_mutex_destroy(&vm->lock);
	free(vm);
}

static int kvm_vm_new(const struct sim_engine_options *options, void **ret_vm)
{
	struct kvm_vm *vm = calloc(1, sizeof(*vm));
	int ret;

	if (vm == NULL)
		return -ENOMEM;
	(void)pthread_mutex_init(&vm->lock, NULL);
	for (uint32_t line = 0; line < GH_KVM_LINES; line++)
		vm->pulses[line] = -1;
	ret = open_kvm(vm, options);
	if (ret < 0) {
		kvm_vm_free(vm);
		return ret;
	}
	*ret_vm = vm;
	return 0;
}

/* A slot that is free, or a new one. */
static struct kvm_slot *find_slot(struct kvm_vm *vm)
{
	struct kvm_slot *slot;

	for (slot = vm->slots; slot != NULL; slot = slot->next)
		if (!slot->used)
			return slot;
	slot = calloc(1, sizeof(*slot));
	if (slot == NULL)
		return NULL;
	slot->id = vm->b.n_regions++;
	slot->next = vm->slots;
	vm->slots = slot;
	return slot;
}

static int kvm_map(void *data, uint64_t gpa, uint64_t length, void *host, uint32_t protection)
{
	struct kvm_vm *vm = data;
	struct kvm_slot *slot = find_slot(vm);
	/* The engine's protection bits are those of gh_memory. */
	struct gh_region region = { .prot = protection, .gpa = gpa, .length = length, .host = host };
	int ret;

	if (slot == NULL)
		return -ENOMEM;
	region.id = slot->id;
	ret = gh_backend_kvm.vm_map(&vm->b, &region);
	slot->used = ret == 0;
	slot->gpa = gpa;
	return ret;
}

static void kvm_unmap(void *data, uint64_t gpa)
{
	struct kvm_vm *vm = data;

	for (struct kvm_slot *slot = vm->slots; slot != NULL; slot = slot->next) {
		/* A slot of size 0 is none. */
		struct gh_region region = { .id = slot->id, .gpa = gpa };

		if (!slot->used || slot->gpa != gpa)
			continue;
		(void)gh_backend_kvm.vm_map(&vm->b, &region);
		slot->used = false;
	}
}

static int kvm_gic(void *data, uint64_t distributor, uint64_t redistributors)
{
	struct kvm_vm *vm = data;

	if (vm->started)
		return -EBUSY;
	vm->b.gic_distributor = distributor;
	vm->b.gic_redistributors = redistributors;
	vm->has_gic = true;
	return 0;
}

static int kvm_vcpu_new(void *data, uint32_t index, bool on, void **ret_vcpu)
{
	struct kvm_vm *vm = data;
	struct kvm_vcpu **link = &vm->vcpus;
	struct kvm_vcpu *vcpu;

	/* KVM's backend switches on the first one and no other. */
	if (on != (index == 0) || index >= vm->b.caps.max_vcpus)
		return -EINVAL;
	if (vm->started)
		return -EBUSY;
	vcpu = calloc(1, sizeof(*vcpu));
	if (vcpu == NULL)
		return -ENOMEM;
	vcpu->b.vm = &vm->b;
	vcpu->b.kicked = &never;
	vcpu->b.id = index;
	vcpu->b.fd = -1;
	vcpu->b.failure = &vm->failure;
	(void)pthread_mutex_init(&vcpu->lock, NULL);
	/* They are made in this order: before Linux 6.7, KVM takes a vCPU's id for its position when its timer interrupts it. */
	while (*link != NULL && (*link)->b.id < index)
		link = &(*link)->next;
	vcpu->next = *link;
	*link = vcpu;
	vm->b.n_vcpus++;
	*ret_vcpu = vcpu;
	return 0;
}

static int put_register(struct kvm_vcpu *vcpu, uint32_t reg, uint64_t value)
{
	switch (reg) {
	case SIM_REG_SP:
		return gh_kvm_put_register(&vcpu->b, UAPI_KVM_REG_SP_EL1, value);
	case SIM_REG_PC:
		return gh_kvm_put_register(&vcpu->b, UAPI_KVM_REG_PC, value);
	case SIM_REG_PSTATE:
		return gh_kvm_put_register(&vcpu->b, UAPI_KVM_REG_PSTATE, value);
	case SIM_REG_SP_EL0:
		return gh_kvm_put_register(&vcpu->b, UAPI_KVM_REG_SP_EL0, value);
	default:
		return gh_kvm_put_register(&vcpu->b, UAPI_KVM_REG_X(reg), value);
	}
}

static int kvm_set_register(void *data, enum sim_register reg, uint64_t value)
{
	struct kvm_vcpu *vcpu = data;

	if ((unsigned int)reg >= SIM_REGISTERS)
		return -EINVAL;
	if (vcpu->b.fd >= 0)
		return put_register(vcpu, reg, value);
	vcpu->registers[reg] = value;
	vcpu->is_set[reg] = true;
	return 0;
}

static int kvm_get_register(void *data, enum sim_register reg, uint64_t *ret_value)
{
	struct kvm_vcpu *vcpu = data;
	uint64_t id = UAPI_KVM_REG_X((uint32_t)reg);

	if ((unsigned int)reg >= SIM_REGISTERS)
		return -EINVAL;
	if (vcpu->b.fd < 0) {
		*ret_value = vcpu->registers[reg];
		return 0;
	}
	if (reg == SIM_REG_SP)
		id = UAPI_KVM_REG_SP_EL1;
	else if (reg == SIM_REG_PC)
		id = UAPI_KVM_REG_PC;
	else if (reg == SIM_REG_PSTATE)
		id = UAPI_KVM_REG_PSTATE;
	else if (reg == SIM_REG_SP_EL0)
		id = UAPI_KVM_REG_SP_EL0;
	return gh_kvm_get_register(&vcpu->b, id, ret_value);
}

/* --- the start ------------------------------------------------------------------------------------------------------ */

static int make_vcpu(struct kvm_vcpu *vcpu)
{
	int ret = gh_backend_kvm.vcpu_create(&vcpu->b);

	for (uint32_t reg = 0; ret == 0 && reg < SIM_REGISTERS; reg++)
		if (vcpu->is_set[reg])
			ret = put_register(vcpu, reg, vcpu->registers[reg]);
	return ret;
}

static int make_all(struct kvm_vm *vm)
{
	int ret = vm->has_gic ? gh_backend_kvm.vm_irqchip(&vm->b) : 0;

	for (struct kvm_vcpu *vcpu = vm->vcpus; ret == 0 && vcpu != NULL; vcpu = vcpu->next)
		ret = make_vcpu(vcpu);
	if (ret == 0 && vm->has_gic)
		ret = gh_backend_kvm.vm_start(&vm->b);
	return ret;
}

/* What KVM wants in its own order comes here: interrupt controller, vCPUs, registers, and lines that are up already. */
static int kvm_start(void *data)
{
	struct kvm_vm *vm = data;
	int ret = make_all(vm);

	if (ret < 0)
		return ret;
	(void)pthread_mutex_lock(&vm->lock);
	vm->started = true;
	for (uint32_t line = 0; line < GH_KVM_LINES; line++)
		if (vm->levels[line])
			(void)gh_kvm_irq_line(&vm->b, line, true);
	kvm_levels_activate(vm);
	(void)pthread_mutex_unlock(&vm->lock);
	return 0;
}

static int kvm_irq(void *data, uint32_t spi, bool level)
{
	struct kvm_vm *vm = data;
	int ret = 0;

	if (spi >= GH_KVM_LINES)
		return -EINVAL;
	(void)pthread_mutex_lock(&vm->lock);
	if (!vm->started)
		vm->levels[spi] = level;
	else
		ret = gh_kvm_irq_line(&vm->b, spi, level);
	(void)pthread_mutex_unlock(&vm->lock);
	return ret;
}

/* Under the lock: a level-triggered irqfd of KVM, which lowers the line when the guest acknowledges. */
static int make_pulse(struct kvm_vm *vm, uint32_t spi)
{
	struct gh_irqfd_spec spec = { .line = spi, .level = true };
	int ret;

	if (vm->pulses[spi] >= 0)
		return 0;
	spec.fd = vm->b.sys->eventfd(vm->b.sys, 0, EFD_NONBLOCK);
	if (spec.fd < 0)
		return spec.fd;
	ret = gh_kvm_irqfd(&vm->b, &spec, true);
	if (ret < 0)
		(void)vm->b.sys->close(vm->b.sys, spec.fd);
	else
		vm->pulses[spi] = spec.fd;
	return ret;
}

static int kvm_pulse(void *data, uint32_t spi)
{
	static const uint64_t one = 1;
	struct kvm_vm *vm = data;
	int ret;

	if (spi >= GH_KVM_LINES)
		return -EINVAL;
	(void)pthread_mutex_lock(&vm->lock);
	ret = vm->started ? make_pulse(vm, spi) : -EBUSY;
	if (ret == 0 && vm->b.sys->write(vm->b.sys, vm->pulses[spi], &one, sizeof(one)) < 0)
		ret = -EIO;
	(void)pthread_mutex_unlock(&vm->lock);
	return ret;
}

const struct sim_engine sim_engine_kvm = {
	.name = "kvm",
	.vm_new = kvm_vm_new,
	.vm_free = kvm_vm_free,
	.map = kvm_map,
	.unmap = kvm_unmap,
	.gic = kvm_gic,
	.vcpu_new = kvm_vcpu_new,
	.set_register = kvm_set_register,
	.start = kvm_start,
	.irq = kvm_irq,
	.pulse = kvm_pulse,
	.run = kvm_engine_run,
	.answer = kvm_engine_answer,
	.answer_hypercall = kvm_engine_answer_hypercall,
	.abort = kvm_engine_abort,
	.wake = kvm_engine_wake,
	.get_register = kvm_get_register,
	.level_new = kvm_level_new,
	.level_raise = kvm_level_raise,
	.level_free = kvm_level_free,
};
