/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Qualcomm's older interface on /dev/gunyah, as far as a program can tell it by: it makes VMs and vCPUs, and there is no
 * firmware for them, so nothing ever runs. Whatever it does not know is EINVAL, and so is every request of the other family.
 */
#include "../uapi/gunyah_vendor.h"
#include "gunyah.h"

#include <errno.h>
#include <stdlib.h>

/* vCPU numbers of the platform. */
#define VCPUS 8u

struct vendor_vm {
	pthread_mutex_t lock;
	unsigned int files;
	uint32_t vcpus; /* a bit for each */
	struct uapi_gunyah_vendor_name firmware;
};

static void put(struct vendor_vm *vm)
{
	unsigned int left;

	pthread_mutex_lock(&vm->lock);
	left = --vm->files;
	pthread_mutex_unlock(&vm->lock);
	if (left > 0)
		return;
	pthread_mutex_destroy(&vm->lock);
	free(vm);
}

/* The VM never gets ready, and that is EINVAL, too. */
static long vcpu_ioctl(struct sim_file *file, unsigned long request, uintptr_t arg)
{
	(void)file;
	(void)request;
	(void)arg;
	return -EINVAL;
}

static void file_release(struct sim_file *file)
{
	put(file->object);
}

static const struct sim_file_ops vcpu_ops = {
	.name = "gh-vcpu",
	.ioctl = vcpu_ioctl,
	.release = file_release,
};

/* Under the lock. */
static long create_vcpu(struct sim_file *file, struct vendor_vm *vm, uintptr_t id)
{
	long fd;

	if (id >= VCPUS)
		return -EINVAL;
	if ((vm->vcpus & 1u << id) != 0)
		return -EEXIST;
	fd = sim_file_new(file->sim, &vcpu_ops, vcpu_ops.name, vm, 0, NULL);
	if (fd < 0)
		return fd;
	vm->vcpus |= 1u << id;
	vm->files++;
	return fd;
}

static long answer(struct sim_file *file, unsigned long request, uintptr_t arg)
{
	struct vendor_vm *vm = file->object;

	switch (request) {
	case UAPI_GUNYAH_VENDOR_CREATE_VCPU:
		return create_vcpu(file, vm, arg);
	case UAPI_GUNYAH_VENDOR_SET_FW_NAME:
		return sim_copy_in(&vm->firmware, arg, sizeof(vm->firmware));
	case UAPI_GUNYAH_VENDOR_GET_FW_NAME:
		return sim_copy_out(arg, &vm->firmware, sizeof(vm->firmware));
	default: /* also the number of vCPUs: this is no secure VM */
		return -EINVAL;
	}
}

static long vm_ioctl(struct sim_file *file, unsigned long request, uintptr_t arg)
{
	struct vendor_vm *vm = file->object;
	long ret;

	pthread_mutex_lock(&vm->lock);
	ret = answer(file, request, arg);
	pthread_mutex_unlock(&vm->lock);
	return ret;
}

static const struct sim_file_ops vm_ops = {
	.name = "gunyah-vm",
	.ioctl = vm_ioctl,
	.release = file_release,
};

static long device_ioctl(struct sim_file *file, unsigned long request, uintptr_t arg)
{
	struct vendor_vm *vm;
	long fd;

	(void)arg;
	if (request != UAPI_GUNYAH_VENDOR_CREATE_VM)
		return -EINVAL;
	vm = calloc(1, sizeof(*vm));
	if (vm == NULL)
		return -ENOMEM;
	pthread_mutex_init(&vm->lock, NULL);
	vm->files = 1;
	fd = sim_file_new(file->sim, &vm_ops, vm_ops.name, vm, 0, NULL);
	if (fd < 0)
		put(vm);
	return fd;
}

static void device_release(struct sim_file *file)
{
	(void)file;
}

static const struct sim_file_ops device_ops = {
	.name = "gunyah",
	.ioctl = device_ioctl,
	.release = device_release,
};

int gunyah_vendor_open(struct gh_sim *sim, int flags)
{
	(void)flags;
	return sim_file_new(sim, &device_ops, device_ops.name, NULL, 0, NULL);
}
