/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The simulated /dev/gunyah: the device and the VM. How kernels differ is in gunyah_revisions.c.
 *
 * A VM lives as long as its own file or a vCPU's file is open or mapped; nothing else stops it. Old drivers take it down in
 * a work queue, some time after close() has returned; here it is gone when close() returns, and its locked memory is what
 * stays for a while.
 *
 * Not simulated: vCPUs that the hypervisor schedules, message queues, signed images; and a thread's store to immediate_exit
 * ends the RUN of a guest that computes only when something else brings it back to the host.
 */
#include "gunyah.h"

#include "gunyah_machine.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* The hypervisor's number of a VM, which is what it may run out of. */
int gunyah_take_vmid(struct gunyah_vm *vm)
{
	struct gunyah_machine *machine = gunyah_machine(vm->sim);

	for (uint32_t i = 0; i < GUNYAH_VMIDS; i++) {
		if ((atomic_fetch_or(&machine->vmids, 1u << i) & 1u << i) != 0)
			continue;
		vm->vmid = GUNYAH_VMID_FIRST + i;
		vm->has_vmid = true;
		return 0;
	}
	return -ENODEV;
}

static void give_vmid(struct gunyah_vm *vm)
{
	if (vm->has_vmid)
		(void)atomic_fetch_and(&gunyah_machine(vm->sim)->vmids, ~(1u << (vm->vmid - GUNYAH_VMID_FIRST)));
}

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
	vm->engine_vm = NULL;
	gunyah_mem_free(vm);
	give_vmid(vm);
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

/* Which kernels have a request; the others are in all of them. */
static const struct {
	unsigned long request;
	uint32_t has;
	long (*handle)(struct gunyah_vm *vm, uintptr_t arg);
} requests[] = {
	{ UAPI_GUNYAH_SET_DTB, 0, gunyah_set_dtb },
	{ UAPI_GUNYAH_START, 0, gunyah_start },
	{ UAPI_GUNYAH_SET_USER_MEM, GUNYAH_HAS_USER_MEM, gunyah_mem_share },
	{ UAPI_GUNYAH_LEND_USER_MEM, GUNYAH_HAS_LEND, gunyah_mem_lend },
	{ UAPI_GUNYAH_MAP_MEM, GUNYAH_HAS_GUEST_MEM, gunyah_gmem_map },
	{ UAPI_GUNYAH_ADD_NAMED_FUNCTION, GUNYAH_HAS_NAMED_FUNCTION, gunyah_fn_add_named },
	{ UAPI_GUNYAH_ADD_FUNCTION, GUNYAH_HAS_FUNCTION, gunyah_fn_add },
	{ UAPI_GUNYAH_REMOVE_FUNCTION, GUNYAH_HAS_FUNCTION, gunyah_fn_remove },
	{ UAPI_GUNYAH_SET_BOOT_CONTEXT, GUNYAH_HAS_BOOT_CONTEXT, gunyah_set_boot_context },
	{ UAPI_GUNYAH_SET_FW, GUNYAH_HAS_FIRMWARE, gunyah_set_firmware },
	{ UAPI_GUNYAH_RECLAIM, GUNYAH_HAS_RECLAIM, gunyah_reclaim },
	{ UAPI_GUNYAH_MAP_CMA, GUNYAH_HAS_CMA, gunyah_cma_map },
	{ UAPI_GUNYAH_SET_AUTH, GUNYAH_HAS_AUTH, gunyah_set_auth },
	{ UAPI_GUNYAH_CHECK_EXTENSION, GUNYAH_HAS_CHECK_EXTENSION, gunyah_check_extension },
};

static long vm_ioctl(struct sim_file *file, unsigned long request, uintptr_t arg)
{
	struct gunyah_vm *vm = file->object;

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		if (requests[i].request == request && (requests[i].has & ~vm->revision->requests) == 0)
			return requests[i].handle(vm, arg);
	}
	return -ENOTTY;
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
	vm->revision = sim_machine_driver(sim)->switches;
	vm->engine = sim_machine_engine(sim);
	vm->creator = getpid();
	vm->files = 1;
	ret = vm_init_lock(vm);
	if (ret < 0) {
		free(vm);
		return ret;
	}
	ret = vm->revision->early_vmid ? gunyah_take_vmid(vm) : 0;
	if (ret == 0)
		ret = sim_file_new(sim, &vm_ops, vm_ops.name, vm, 0, NULL);
	if (ret < 0)
		vm_free(vm);
	return ret;
}

static long device_ioctl(struct sim_file *file, unsigned long request, uintptr_t arg)
{
	const struct gunyah_revision *revision = sim_machine_driver(file->sim)->switches;

	if (request == UAPI_GUNYAH_CREATE_GUEST_MEM && (revision->requests & GUNYAH_HAS_GUEST_MEM) != 0)
		return gunyah_gmem_create(file->sim, arg);
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

int gunyah_open(struct gh_sim *sim, int flags)
{
	int ret = sim_machine_check(sim);

	(void)flags; /* reading is enough for everything */
	return ret < 0 ? ret : sim_file_new(sim, &device_ops, device_ops.name, NULL, 0, NULL);
}
