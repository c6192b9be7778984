/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The simulated /dev/gunyah as Android's 6.1 kernel has it: the device and the VM.
 *
 * A VM lives as long as its own file or a vCPU's file is open or mapped; nothing else stops it. The real driver takes it
 * down in a work queue, some time after close() has returned; here it is gone when close() returns.
 *
 * Not simulated: vCPUs that the hypervisor schedules, message queues, firmware; and a thread's store to immediate_exit ends
 * the RUN of a guest that computes only when something else brings it back to the host.
 */
#include "gunyah.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int vm_init_lock(struct gunyah_vm *vm)
{
	pthread_condattr_t attributes;
	int ret;

	ret = pthread_mutex_init(&vm->lock, NULL);
	if (ret != 0)
		return -ret;
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	ret = pthread_cond_init(&vm->changed, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	if (ret != 0)
		pthread_mutex_destroy(&vm->lock);
	return -ret;
}

static void vm_free(struct gunyah_vm *vm)
{
	/* Closing a VM that runs stops it first. */
	if (vm->state == GUNYAH_RUNNING)
		gunyah_vcpu_check_end(vm);
	gunyah_fn_free(vm);
	if (vm->engine_vm != NULL)
		vm->engine->vm_free(vm->engine_vm);
	gunyah_mem_free(vm);
	gunyah_rm_tree_free(&vm->tree);
	pthread_cond_destroy(&vm->changed);
	pthread_mutex_destroy(&vm->lock);
	free(vm);
}

void gunyah_vm_put(struct gunyah_vm *vm)
{
	bool last = --vm->files == 0;

	pthread_mutex_unlock(&vm->lock);
	if (last)
		vm_free(vm);
}

static long set_range(struct gunyah_vm *vm, uintptr_t arg, struct uapi_gunyah_range *range)
{
	struct uapi_gunyah_range copy;

	if (sim_copy_in(&copy, arg, sizeof(copy)) < 0)
		return -EFAULT;
	/* Not checked in any way before START. */
	pthread_mutex_lock(&vm->lock);
	*range = copy;
	pthread_mutex_unlock(&vm->lock);
	return 0;
}

static long vm_ioctl(struct sim_file *file, unsigned long request, uintptr_t arg)
{
	struct gunyah_vm *vm = file->object;

	switch (request) {
	case UAPI_GUNYAH_SET_USER_MEM:
		return gunyah_mem_add(vm, arg, false);
	case UAPI_GUNYAH_LEND_USER_MEM:
		return gunyah_mem_add(vm, arg, true);
	case UAPI_GUNYAH_SET_DTB:
		return set_range(vm, arg, &vm->dtb);
	case UAPI_GUNYAH_SET_FW:
		return set_range(vm, arg, &vm->fw);
	case UAPI_GUNYAH_START:
		return gunyah_start(vm);
	case UAPI_GUNYAH_ADD_FUNCTION:
		return gunyah_fn_add(vm, arg);
	case UAPI_GUNYAH_REMOVE_FUNCTION:
		return gunyah_fn_remove(vm, arg);
	default:
		return -ENOTTY;
	}
}

static void vm_release(struct sim_file *file)
{
	struct gunyah_vm *vm = file->object;

	pthread_mutex_lock(&vm->lock);
	gunyah_vm_put(vm);
}

static const struct sim_file_ops vm_ops = {
	.name = "gunyah-vm",
	.ioctl = vm_ioctl,
	.release = vm_release,
};

static long create_vm(struct gh_sim *sim)
{
	struct gunyah_vm *vm = calloc(1, sizeof(*vm));
	int ret;

	if (vm == NULL)
		return -ENOMEM;
	vm->sim = sim;
	vm->engine = sim_machine_engine(sim);
	vm->creator = getpid();
	vm->files = 1;
	ret = vm_init_lock(vm);
	if (ret < 0) {
		free(vm);
		return ret;
	}
	ret = sim_file_new(sim, &vm_ops, vm_ops.name, vm, 0, NULL);
	if (ret < 0)
		vm_free(vm);
	return ret;
}

static long device_ioctl(struct sim_file *file, unsigned long request, uintptr_t arg)
{
	if (request != UAPI_GUNYAH_CREATE_VM)
		return -ENOTTY;
	return arg == 0 ? create_vm(file->sim) : -EINVAL;
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

/* A machine whose engine cannot run guests has no hypervisor: better said here than by a START that fails for no reason. */
static int check_engine(struct gh_sim *sim)
{
	const struct sim_engine *engine = sim_machine_engine(sim);
	void *vm;
	int ret;

	ret = engine->vm_new(sim_machine_engine_options(sim), &vm);
	if (ret == 0)
		engine->vm_free(vm);
	return ret;
}

static int device_open(struct gh_sim *sim, int flags)
{
	int ret = check_engine(sim);

	(void)flags; /* reading is enough for everything */
	return ret < 0 ? ret : sim_file_new(sim, &device_ops, device_ops.name, NULL, 0, NULL);
}

const struct sim_driver sim_driver_gunyah = {
	.path = UAPI_GUNYAH_DEVICE,
	.name = "gunyah",
	.revision = "android14-6.1",
	.open = device_open,
};
