/* SPDX-License-Identifier: BSD-3-Clause */
/* VMs of the simulated /dev/gzvm: their life, and what concerns a VM as a whole. */
#include "gzvm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The simulated hypervisor's firmware for protected VMs. */
#define FIRMWARE_SIZE 0x123000u

static int ask_for_cap(struct gzvm_vm *vm)
{
	return gzvm_errno(vm->switches, gzvm_hypervisor(vm->sim, vm->calls, GZVM_CALL_CAP));
}

static long protect(struct gzvm_vm *vm, struct uapi_gzvm_enable_cap *cap, uintptr_t arg)
{
	switch (cap->args[0]) {
	case UAPI_GZVM_PVM_SET_PROTECTED:
		return vm->switches->has_no_bare_protection ? -EINVAL : ask_for_cap(vm);
	case UAPI_GZVM_PVM_SET_FW_GPA:
		return ask_for_cap(vm);
	case UAPI_GZVM_PVM_GET_FW_SIZE:
		if (gzvm_hypervisor(vm->sim, vm->calls, GZVM_CALL_CAP) != 0)
			return -EINVAL;
		cap->args[1] = FIRMWARE_SIZE;
		return sim_copy_out(arg, cap, sizeof(*cap));
	default:
		return -EINVAL;
	}
}

static long enable_cap(struct gzvm_vm *vm, uintptr_t arg)
{
	const struct gzvm_switches *switches = vm->switches;
	struct uapi_gzvm_enable_cap cap;
	int ret = sim_copy_in(&cap, arg, sizeof(cap));

	if (ret < 0)
		return ret;
	switch (gzvm_own_cap(switches, cap.cap)) {
	case UAPI_GZVM_CAP_BLOCK_DEMAND_PAGING:
		if (!switches->passes_paging_caps)
			return -EINVAL;
		sim_machine_breakage(vm->sim,
				     "ENABLE_CAP 0x9201 gave the hypervisor a physical address of the caller's choice");
		return 0;
	case UAPI_GZVM_CAP_DEMAND_PAGING:
		return switches->passes_paging_caps ? ask_for_cap(vm) : -EINVAL;
	case UAPI_GZVM_CAP_IDLE:
		return switches->passes_idle_cap ? ask_for_cap(vm) : -EINVAL;
	case UAPI_GZVM_CAP_PROTECTED_VM:
		return protect(vm, &cap, arg);
	default:
		return -EINVAL;
	}
}

/* The engine's vGIC is one thing, and complete when both of its devices are. */
static int add_gic_device(struct gzvm_vm *vm, const struct uapi_gzvm_create_device *device)
{
	int ret;

	if (device->type == UAPI_GZVM_DEV_VGIC_DIST) {
		vm->distributor = device->gpa;
		vm->has_distributor = true;
	} else if (device->type == UAPI_GZVM_DEV_VGIC_REDIST) {
		vm->redistributors = device->gpa;
		vm->has_redistributors = true;
	} else {
		return -EINVAL;
	}
	if (vm->has_gic || !vm->has_distributor || !vm->has_redistributors)
		return 0;
	ret = vm->engine->gic(vm->guest, vm->distributor, vm->redistributors);
	vm->has_gic = ret == 0;
	return gzvm_errno(vm->switches, gzvm_engine_code(ret));
}

static long create_device(struct gzvm_vm *vm, uintptr_t arg)
{
	struct uapi_gzvm_create_device device;
	uint8_t attr[GZVM_PAGE];
	int ret = sim_copy_in(&device, arg, sizeof(device));

	if (ret < 0)
		return ret;
	if (device.attr != 0 && device.attr_size != 0) {
		if (device.attr_size > sizeof(attr))
			return -EINVAL;
		/* For the hypervisor, which has no use for it here. */
		ret = sim_copy_in(attr, (uintptr_t)device.attr, (size_t)device.attr_size);
		if (ret < 0)
			return ret;
	}
	ret = gzvm_errno(vm->switches, gzvm_hypervisor(vm->sim, vm->calls, GZVM_CALL_DEVICE));
	if (ret == 0 && vm->has_gic)
		sim_machine_breakage(vm->sim, "CREATE_DEVICE for what the VM has already: the kernel loses two more pages");
	return ret < 0 ? ret : add_gic_device(vm, &device);
}

/* Checked by nobody in the kernel; where the tree is matters to the guest's loader only. */
static long set_dtb(struct gzvm_vm *vm, uintptr_t arg)
{
	struct uapi_gzvm_range range;
	int ret;

	if (vm->switches->has_no_dtb)
		return -ENOTTY;
	ret = sim_copy_in(&range, arg, sizeof(range));
	return ret < 0 ? ret : gzvm_errno(vm->switches, gzvm_hypervisor(vm->sim, vm->calls, GZVM_CALL_DTB));
}

/* Those that need the VM to stand still. */
static long locked_ioctl(struct gzvm_vm *vm, unsigned long request, uintptr_t arg)
{
	switch (request) {
	case UAPI_GZVM_CREATE_VCPU:
		return gzvm_vcpu_open(vm, (uint32_t)arg);
	case UAPI_GZVM_ENABLE_CAP:
		return enable_cap(vm, arg);
	case UAPI_GZVM_CREATE_DEVICE:
		return create_device(vm, arg);
	case UAPI_GZVM_SET_DTB:
		return set_dtb(vm, arg);
	default:
		return -ENOTTY;
	}
}

static long vm_ioctl(struct sim_file *file, unsigned long request, uintptr_t arg)
{
	struct gzvm_vm *vm = file->object;
	long ret;

	if (gzvm_is_foreign(vm))
		return -EIO;
	gzvm_look_at_caller(vm);
	request = gzvm_own_request(vm->switches, request);
	switch (request) {
	case UAPI_GZVM_CHECK_EXTENSION:
		return gzvm_check_extension(vm->switches, arg);
	case UAPI_GZVM_SET_USER_MEM:
		return gzvm_set_user_mem(vm, arg);
	case UAPI_GZVM_IRQ_LINE:
		return gzvm_irq_line(vm, arg);
	case UAPI_GZVM_IRQFD:
		return gzvm_irqfd(vm, arg);
	case UAPI_GZVM_IOEVENTFD:
		return gzvm_ioeventfd(vm, arg);
	default:
		pthread_mutex_lock(&vm->lock);
		ret = locked_ioctl(vm, request, arg);
		pthread_mutex_unlock(&vm->lock);
		return ret;
	}
}

static void vm_free(struct gzvm_vm *vm)
{
	gzvm_look_at_end(vm);
	gzvm_end_irqfds(vm);
	gzvm_end_ioevents(vm);
	for (size_t i = 0; i < GZVM_VCPUS; i++)
		gzvm_vcpu_free(vm->vcpus[i]);
	vm->engine->vm_free(vm->guest);
	pthread_mutex_destroy(&vm->lock);
	free(vm);
}

void gzvm_vm_put(struct gzvm_vm *vm)
{
	unsigned int left;

	pthread_mutex_lock(&vm->lock);
	left = --vm->files;
	pthread_mutex_unlock(&vm->lock);
	if (left == 0)
		vm_free(vm);
}

static void vm_release(struct sim_file *file)
{
	struct gzvm_vm *vm = file->object;

	/* The real driver frees everything now, under the feet of its vCPUs, unless these hold it. */
	pthread_mutex_lock(&vm->lock);
	if (vm->files > 1 && !vm->switches->vcpus_keep_vm)
		sim_machine_breakage(vm->sim, "the VM's descriptor was closed before a vCPU's: use after free");
	gzvm_end_irqfds(vm);
	pthread_mutex_unlock(&vm->lock);
	gzvm_vm_put(vm);
}

static const struct sim_file_ops vm_ops = {
	.name = "gzvm-vm",
	.ioctl = vm_ioctl,
	.release = vm_release,
	.in_child = gzvm_look_at_child,
};

/* What the hypervisor says to a new VM. */
static int ask_for_vm(struct gh_sim *sim, const struct gzvm_switches *switches, unsigned int calls[GZVM_CALLS],
		      uintptr_t type)
{
	int ret = gzvm_errno(switches, gzvm_hypervisor(sim, calls, GZVM_CALL_CREATE_VM));

	if (ret < 0)
		return switches->create_vm_faults ? -EFAULT : ret;
	if (switches->is_halla)
		return gzvm_halla_takes_type(type) ? 0 : -EINVAL;
	/* It knows one type, if it is told. */
	return type == 0 || switches->ignores_vm_type ? 0 : -EINVAL;
}

int gzvm_vm_open(struct gh_sim *sim, unsigned int calls[GZVM_CALLS], uintptr_t type)
{
	const struct gzvm_switches *switches = sim_machine_driver(sim)->switches;
	struct gzvm_vm *vm;
	int ret = ask_for_vm(sim, switches, calls, type);

	if (ret < 0)
		return ret;
	vm = calloc(1, sizeof(*vm));
	if (vm == NULL)
		return -ENOMEM;
	vm->sim = sim;
	vm->switches = switches;
	vm->engine = sim_machine_engine(sim);
	vm->files = 1;
	ret = vm->engine->vm_new(sim_machine_engine_options(sim), &vm->guest);
	if (ret < 0) {
		free(vm);
		return ret;
	}
	pthread_mutex_init(&vm->lock, NULL);
	ret = sim_file_new(sim, &vm_ops, switches->is_halla ? "halla-vm" : vm_ops.name, vm, 0, NULL);
	if (ret < 0)
		vm_free(vm);
	return ret;
}
