/* SPDX-License-Identifier: BSD-3-Clause */
/* Functions of a VM: vCPUs, lines and doorbells are added to it by a descriptor, or by name (before v9). */
#include "gunyah.h"

#include <errno.h>
#include <string.h>

#define STEP_LINE "connect an eventfd to a line"

/* --- requests ----------------------------------------------------------------------------------------------------- */

static int add_named(struct gh_bvm *vm, uint32_t type, const void *arg, uint32_t size)
{
	static const char *const names[] = {
		[UAPI_GUNYAH_FN_VCPU] = "vcpu",
		[UAPI_GUNYAH_FN_IRQFD] = "irqfd",
		[UAPI_GUNYAH_FN_IOEVENTFD] = "ioeventfd",
	};
	struct uapi_gunyah_named_fn fn = { .name = "" };

	(void)strncpy(fn.name, names[type], sizeof(fn.name) - 1);
	memcpy(fn.u.data, arg, size);
	return vm->sys->ioctl(vm->sys, vm->fd, UAPI_GUNYAH_ADD_NAMED_FUNCTION, (uintptr_t)&fn);
}

int gh_gunyah_add_function(struct gh_bvm *vm, uint32_t type, const void *arg, uint32_t size)
{
	const struct uapi_gunyah_fn fn = { .type = type, .arg_size = size, .arg = (uintptr_t)arg };

	if (gh_is_quirky(vm, GH_QUIRK_NAMED_FUNCTIONS))
		return add_named(vm, type, arg, size);
	return vm->sys->ioctl(vm->sys, vm->fd, UAPI_GUNYAH_ADD_FUNCTION, (uintptr_t)&fn);
}

int gh_gunyah_remove_function(struct gh_bvm *vm, uint32_t type, const void *arg, uint32_t size)
{
	const struct uapi_gunyah_fn fn = { .type = type, .arg_size = size, .arg = (uintptr_t)arg };

	if (gh_is_quirky(vm, GH_QUIRK_KEEPS_FUNCTIONS))
		return -EOPNOTSUPP;
	return vm->sys->ioctl(vm->sys, vm->fd, UAPI_GUNYAH_REMOVE_FUNCTION, (uintptr_t)&fn);
}

static int change(struct gh_bvm *vm, bool add, uint32_t type, const void *arg, uint32_t size)
{
	return add ? gh_gunyah_add_function(vm, type, arg, size) : gh_gunyah_remove_function(vm, type, arg, size);
}

/* --- lines -------------------------------------------------------------------------------------------------------- */

/* The kernel would take it, drop every interrupt, and break when it goes (section 10.2). */
int gh_gunyah_irqfd_check(struct gh_bvm *vm, const struct gh_irqfd_spec *spec)
{
	if (gh_gunyah_tree_has_bell(vm->priv, spec->line))
		return 0;
	return gh_fail_cause(vm->failure, -EINVAL, GH_CAUSE_BELL_NOT_IN_TREE, STEP_LINE, NULL,
			     "The devicetree has no doorbell with the label %u.", spec->line);
}

int gh_gunyah_irqfd(struct gh_bvm *vm, const struct gh_irqfd_spec *spec, bool on)
{
	const struct uapi_gunyah_fn_irqfd arg = {
		.fd = (uint32_t)spec->fd,
		.label = spec->line,
		.flags = spec->level ? UAPI_GUNYAH_IRQFD_LEVEL : 0,
	};
	int ret = change(vm, on, UAPI_GUNYAH_FN_IRQFD, &arg, sizeof(arg));

	if (ret == -EEXIST && gh_is_quirky(vm, GH_QUIRK_KEEPS_FUNCTIONS))
		return gh_fail(vm->failure, ret, STEP_LINE, GH_GUNYAH_REQUEST("GH_VM_ADD_FUNCTION irqfd", "0x44204704"),
			       "Keep one eventfd for the line.",
			       "Line %u had another eventfd before, and this kernel removes nothing.", spec->line);
	return ret < 0 ? gh_diagnose(vm->failure, vm, GH_REQUEST_IRQFD, ret, NULL) : 0;
}

/* --- doorbells ---------------------------------------------------------------------------------------------------- */

int gh_gunyah_ioevent(struct gh_bvm *vm, const struct gh_ioevent_spec *spec, bool on)
{
	const struct uapi_gunyah_fn_ioeventfd arg = {
		.datamatch = spec->value,
		.gpa = spec->gpa,
		.width = spec->width,
		.fd = spec->fd,
		.flags = spec->datamatch ? UAPI_GUNYAH_IOEVENTFD_DATAMATCH : 0,
	};
	int ret = change(vm, on, UAPI_GUNYAH_FN_IOEVENTFD, &arg, sizeof(arg));

	return ret < 0 ? gh_diagnose(vm->failure, vm, GH_REQUEST_IOEVENTFD, ret, NULL) : 0;
}
