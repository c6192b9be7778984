/* SPDX-License-Identifier: BSD-3-Clause */
/* What a VM is before its first instruction, beside memory and the devicetree: firmware, and proofs of what it is. */
#include "internal.h"
#include "opts.h"

#include <errno.h>

#define STEP_FIRMWARE "set the firmware"
#define STEP_PROTECTION "protect the VM"
#define STEP_AUTHENTICATION "set the authentication"

static int check_open(struct gh_vm *vm, const char *step)
{
	if (atomic_load(&vm->state) != GH_VM_OPEN)
		return gh_fail_state(&vm->failure, step, "The VM has been started.");
	return 0;
}

static int check_range(struct gh_vm *vm, const char *step, uint64_t gpa, uint64_t length)
{
	const struct gh_bvm *b = &vm->b;

	if (gpa % b->page_size != 0 || length % b->page_size != 0)
		return gh_fail_argument(&vm->failure, -EINVAL, step,
					"The address and the size must be multiples of the page size.");
	if (length > UINT64_MAX - gpa || (b->caps.gpa_bits < 64 && gpa + length > UINT64_C(1) << b->caps.gpa_bits))
		return gh_fail_argument(&vm->failure, -ERANGE, step, "The range ends beyond the guest's address space.");
	return 0;
}

/* Where a kernel wants to know it when the VM is made, and when it is given memory. */
static int begin_anew(struct gh_vm *vm, const char *step)
{
	return gh_is_quirky(&vm->b, GH_QUIRK_PROTECTED_AT_BIRTH) ? gh_vm_renew(vm, step) : 0;
}

/* --- firmware ----------------------------------------------------------------------------------------------------- */

/* Under the lock. */
static int set_firmware(struct gh_vm *vm, uint64_t gpa, uint64_t size)
{
	int ret = check_open(vm, STEP_FIRMWARE);

	if (ret < 0)
		return ret;
	if (!gh_can(&vm->b, GH_FEATURE_FIRMWARE))
		return gh_fail(&vm->failure, -EOPNOTSUPP, STEP_FIRMWARE, NULL, "Start the guest without firmware.",
			       "This hypervisor's kernel takes no firmware for protected VMs.");
	ret = check_range(vm, STEP_FIRMWARE, gpa, size);
	if (ret < 0)
		return ret;
	if (vm->b.firmware_gpa == gpa && vm->b.firmware_size == size)
		return 0;
	vm->b.firmware_gpa = gpa;
	vm->b.firmware_size = size;
	return begin_anew(vm, STEP_FIRMWARE);
}

int gh_vm_set_firmware(struct gh_vm *vm, uint64_t gpa, uint64_t size)
{
	int ret;

	if (vm == NULL)
		return -EINVAL;
	if (gh_vm_is_forked(vm))
		return gh_fail_forked(vm);
	(void)pthread_mutex_lock(&vm->lock);
	ret = set_firmware(vm, gpa, size);
	(void)pthread_mutex_unlock(&vm->lock);
	return ret;
}

/* --- protection without firmware ---------------------------------------------------------------------------------- */

/* Under the lock. */
static int set_protected(struct gh_vm *vm, bool on)
{
	int ret = check_open(vm, STEP_PROTECTION);

	if (ret < 0)
		return ret;
	if (!gh_can(&vm->b, GH_FEATURE_BARE_PROTECTION))
		return gh_fail(&vm->failure, -EOPNOTSUPP, STEP_PROTECTION, NULL,
			       "Give it firmware (gh_vm_set_firmware()), or lend its memory, where that can be.",
			       "This hypervisor's kernel does not protect VMs without firmware.");
	if (vm->b.is_protected == on)
		return 0;
	vm->b.is_protected = on;
	return begin_anew(vm, STEP_PROTECTION);
}

int gh_vm_set_protected(struct gh_vm *vm, int on)
{
	int ret;

	if (vm == NULL)
		return -EINVAL;
	if (gh_vm_is_forked(vm))
		return gh_fail_forked(vm);
	(void)pthread_mutex_lock(&vm->lock);
	ret = set_protected(vm, on != 0);
	(void)pthread_mutex_unlock(&vm->lock);
	return ret;
}

/* --- authentication ----------------------------------------------------------------------------------------------- */

static int check_authentication(struct gh_vm *vm, const struct gh_authentication *wanted)
{
	int ret = check_open(vm, STEP_AUTHENTICATION);

	if (ret < 0)
		return ret;
	if (wanted->type > GH_AUTHENTICATION_TRUSTED_VM || wanted->vm_id > UINT16_MAX || wanted->reserved != 0)
		return gh_fail_argument(
			&vm->failure, -EINVAL, STEP_AUTHENTICATION,
			"The type is unknown, the VM's number is beyond 65535, or a reserved field is set.");
	if (!gh_can(&vm->b, GH_FEATURE_AUTHENTICATION) && wanted->type != GH_AUTHENTICATION_NONE)
		return gh_fail(&vm->failure, -EOPNOTSUPP, STEP_AUTHENTICATION, NULL, "Start the VM without.",
			       "This hypervisor's kernel lets nobody choose how a VM is authenticated.");
	return check_range(vm, STEP_AUTHENTICATION, wanted->gpa, wanted->length);
}

int gh_vm_set_authentication(struct gh_vm *vm, const struct gh_authentication *callers)
{
	struct gh_authentication wanted = GH_AUTHENTICATION_INIT;
	int ret;

	if (vm == NULL || callers == NULL || gh_opts_copy(&wanted, sizeof(wanted), sizeof(wanted), callers) < 0)
		return -EINVAL;
	if (gh_vm_is_forked(vm))
		return gh_fail_forked(vm);
	(void)pthread_mutex_lock(&vm->lock);
	ret = check_authentication(vm, &wanted);
	if (ret == 0)
		vm->b.authentication = wanted;
	(void)pthread_mutex_unlock(&vm->lock);
	return ret;
}
