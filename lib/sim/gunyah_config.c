/* SPDX-License-Identifier: BSD-3-Clause */
/* What a VM needs besides memory and functions: where its tree and firmware are, its first registers, who vouches for it. */
#include "gunyah.h"

#include <errno.h>

static bool overflows(const struct gunyah_vm *vm, uint64_t gpa, uint64_t size)
{
	return vm->revision->checks_overflow && size > UINT64_MAX - gpa;
}

/* Old kernels check nothing at all before START. */
static long set_range(struct gunyah_vm *vm, uintptr_t arg, struct uapi_gunyah_range *range)
{
	struct uapi_gunyah_range copy;

	if (sim_copy_in(&copy, arg, sizeof(copy)) < 0)
		return -EFAULT;
	if (overflows(vm, copy.gpa, copy.size))
		return -EOVERFLOW;
	pthread_mutex_lock(&vm->lock);
	*range = copy;
	pthread_mutex_unlock(&vm->lock);
	return 0;
}

long gunyah_set_dtb(struct gunyah_vm *vm, uintptr_t arg)
{
	return set_range(vm, arg, &vm->dtb);
}

long gunyah_set_firmware(struct gunyah_vm *vm, uintptr_t arg)
{
	return set_range(vm, arg, &vm->fw);
}

/* X31 and the stack pointers of EL0 and EL2 are accepted; the guest begins at EL1 and does not see them. */
static int set_register(struct gunyah_boot *boot, uint32_t reg, uint64_t value)
{
	uint32_t index = reg & 0xff;

	switch (reg >> 8) {
	case UAPI_GUNYAH_BOOT_X:
		if (index > 31)
			return -EINVAL;
		if (index == 31)
			return 0;
		boot->x[index] = value;
		boot->has_x |= 1u << index;
		return 0;
	case UAPI_GUNYAH_BOOT_PC:
		if (index != 0)
			return -EINVAL;
		boot->pc = value;
		boot->has_pc = true;
		return 0;
	case UAPI_GUNYAH_BOOT_SP:
		if (index > 2)
			return -EINVAL;
		if (index != 1)
			return 0;
		boot->sp = value;
		boot->has_sp = true;
		return 0;
	default:
		return -EINVAL;
	}
}

long gunyah_set_boot_context(struct gunyah_vm *vm, uintptr_t arg)
{
	struct uapi_gunyah_boot_context context;
	int ret = -EINVAL;

	if (sim_copy_in(&context, arg, sizeof(context)) < 0)
		return -EFAULT;
	pthread_mutex_lock(&vm->lock);
	if (vm->state == GUNYAH_NO_STATE)
		ret = set_register(&vm->boot, context.reg, context.value);
	pthread_mutex_unlock(&vm->lock);
	return ret;
}

long gunyah_set_auth(struct gunyah_vm *vm, uintptr_t arg)
{
	struct uapi_gunyah_auth_trusted_vm trusted = { 0 };
	struct uapi_gunyah_auth auth;

	if (sim_copy_in(&auth, arg, sizeof(auth)) < 0)
		return -EFAULT;
	if (auth.type != UAPI_GUNYAH_AUTH_TRUSTED_VM)
		return -ENOENT;
	if (auth.arg_size > sizeof(trusted))
		return -EINVAL;
	if (sim_copy_in(&trusted, auth.arg, auth.arg_size) < 0)
		return -EFAULT;
	if (overflows(vm, trusted.gpa, trusted.size))
		return -EOVERFLOW;
	pthread_mutex_lock(&vm->lock);
	vm->trusted = true;
	pthread_mutex_unlock(&vm->lock);
	return 0;
}

/* What is unknown is not there. */
long gunyah_check_extension(struct gunyah_vm *vm, uintptr_t arg)
{
	(void)vm;
	return arg == UAPI_GUNYAH_CAP_TIMER_WAKEUP ? 1 : 0;
}
