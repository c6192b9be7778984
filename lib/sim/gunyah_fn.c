/* SPDX-License-Identifier: BSD-3-Clause */
/* ADD_FUNCTION and REMOVE_FUNCTION, and the smallest function: the irqfd, an eventfd that rings a doorbell of the guest. */
#include "gunyah.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What the kernel can copy for REMOVE_FUNCTION, which has no limit of its own, and where it begins to complain. */
#define REMOVE_MAX ((uint32_t)4 << 20)
#define REMOVE_BREAKING ((uint32_t)64 << 20)

/* Room for any argument: the largest that can match, and what a larger one begins with. */
union argument {
	uint8_t bytes[UAPI_GUNYAH_FN_MAX_ARG];
	struct uapi_gunyah_fn_vcpu vcpu;
	struct uapi_gunyah_fn_irqfd irqfd;
	struct uapi_gunyah_fn_ioeventfd ioeventfd;
};

/* In the watching thread, and without the VM's lock. */
static void irqfd_signalled(void *data)
{
	struct gunyah_irqfd *irqfd = data;
	uint32_t spi = atomic_load(&irqfd->spi);

	if (spi == RM_NO_SPI)
		return;
	/* A doorbell clears itself when the guest acknowledges, whether the flag says level or not. */
	(void)irqfd->vm->engine->pulse(irqfd->vm->engine_vm, spi);
}

static const struct rm_doorbell *find_doorbell(const struct gunyah_vm *vm, uint32_t label)
{
	for (size_t i = 0; i < vm->tree.doorbell_count; i++) {
		if (vm->tree.doorbells[i].label == label)
			return &vm->tree.doorbells[i];
	}
	return NULL;
}

/* Watches anew, so that what was written before is dropped even if the watching thread has not seen it yet. */
static void irqfd_watch_again(struct gunyah_irqfd *irqfd)
{
	struct sim_watch *watch;
	uint64_t id;

	/* Unless the number is another eventfd's by now. */
	if (!sim_watch_is_alive(irqfd->watch) || sim_eventfd_id(irqfd->fd, &id) < 0 || id != irqfd->id)
		return;
	if (sim_watch_add(irqfd->vm->sim, irqfd->fd, irqfd_signalled, irqfd, &watch) < 0)
		return;
	sim_watch_remove(irqfd->watch);
	irqfd->watch = watch;
}

void gunyah_irqfd_populate(struct gunyah_irqfd *irqfd)
{
	const struct rm_doorbell *bell = find_doorbell(irqfd->vm, irqfd->label);

	if (irqfd->duplicate || bell == NULL || irqfd->vm->engine_vm == NULL)
		return;
	irqfd_watch_again(irqfd);
	irqfd->has_doorbell = true;
	atomic_store(&irqfd->spi, bell->spi);
}

/*
 * An irqfd without a doorbell leaves its wait queue entry behind when it goes. If the eventfd is still open then, closing it
 * later calls through a pointer that is NULL.
 */
static void irqfd_free(struct gunyah_irqfd *irqfd)
{
	if (irqfd->vm->revision->irqfd_breaks && !irqfd->has_doorbell && sim_watch_is_alive(irqfd->watch))
		sim_machine_breakage(irqfd->vm->sim,
				     "An irqfd without a doorbell was removed, or its VM closed, before its "
				     "eventfd: closing the eventfd makes the kernel jump to NULL.");
	sim_watch_remove(irqfd->watch);
	free(irqfd);
}

static bool has_irqfd(const struct gunyah_vm *vm, uint32_t label)
{
	for (const struct gunyah_irqfd *irqfd = vm->irqfds; irqfd != NULL; irqfd = irqfd->next) {
		if (irqfd->label == label)
			return true;
	}
	return false;
}

static int irqfd_add(struct gunyah_vm *vm, const struct uapi_gunyah_fn_irqfd *argument)
{
	struct gunyah_irqfd *irqfd;
	bool duplicate;
	uint64_t id;
	int ret;

	if ((argument->flags & ~UAPI_GUNYAH_IRQFD_LEVEL) != 0)
		return -EINVAL;
	ret = sim_eventfd_id((int)argument->fd, &id);
	if (ret < 0)
		return ret;
	duplicate = has_irqfd(vm, argument->label);
	if (duplicate && !vm->revision->duplicates)
		return -EEXIST;
	irqfd = calloc(1, sizeof(*irqfd));
	if (irqfd == NULL)
		return -ENOMEM;
	irqfd->vm = vm;
	irqfd->label = argument->label;
	irqfd->fd = (int)argument->fd;
	irqfd->id = id;
	irqfd->duplicate = duplicate;
	atomic_init(&irqfd->spi, RM_NO_SPI);
	ret = sim_watch_add(vm->sim, irqfd->fd, irqfd_signalled, irqfd, &irqfd->watch);
	if (ret < 0) {
		free(irqfd);
		return ret;
	}
	irqfd->next = vm->irqfds;
	vm->irqfds = irqfd;
	if (vm->has_resources)
		gunyah_irqfd_populate(irqfd);
	return 0;
}

/* All of them: the driver goes on after the first. */
static int irqfd_remove(struct gunyah_vm *vm, uint32_t label)
{
	struct gunyah_irqfd **link = &vm->irqfds;
	int ret = -ENOENT;

	while (*link != NULL) {
		struct gunyah_irqfd *irqfd = *link;

		if (irqfd->label != label) {
			link = &irqfd->next;
			continue;
		}
		*link = irqfd->next;
		irqfd_free(irqfd);
		ret = 0;
	}
	return ret;
}

static uint32_t size_of(uint32_t type)
{
	switch (type) {
	case UAPI_GUNYAH_FN_VCPU:
		return sizeof(struct uapi_gunyah_fn_vcpu);
	case UAPI_GUNYAH_FN_IRQFD:
		return sizeof(struct uapi_gunyah_fn_irqfd);
	case UAPI_GUNYAH_FN_IOEVENTFD:
		return sizeof(struct uapi_gunyah_fn_ioeventfd);
	default:
		return 0;
	}
}

static long add(struct gunyah_vm *vm, uint32_t type, const union argument *argument)
{
	switch (type) {
	case UAPI_GUNYAH_FN_VCPU:
		return gunyah_vcpu_add(vm, argument->vcpu.id);
	case UAPI_GUNYAH_FN_IRQFD:
		return irqfd_add(vm, &argument->irqfd);
	default:
		return gunyah_io_add(vm, &argument->ioeventfd);
	}
}

long gunyah_fn_add(struct gunyah_vm *vm, uintptr_t arg)
{
	union argument argument;
	struct uapi_gunyah_fn fn;
	long ret;

	if (sim_copy_in(&fn, arg, sizeof(fn)) < 0)
		return -EFAULT;
	if (fn.arg_size > sizeof(argument))
		return -EINVAL;
	if (sim_copy_in(&argument, fn.arg, fn.arg_size) < 0)
		return -EFAULT;
	if (size_of(fn.type) == 0)
		return -ENOENT;
	if (fn.arg_size != size_of(fn.type))
		return -EINVAL;
	pthread_mutex_lock(&vm->lock);
	ret = add(vm, fn.type, &argument);
	pthread_mutex_unlock(&vm->lock);
	return ret;
}

static uint32_t type_of(const char name[UAPI_GUNYAH_NAMED_FN_NAME])
{
	static const char *const names[] = { "vcpu", "irqfd", "ioeventfd" };

	for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strncmp(name, names[i], UAPI_GUNYAH_NAMED_FN_NAME) == 0)
			return UAPI_GUNYAH_FN_VCPU + i;
	}
	return 0;
}

/* Before v9. */
long gunyah_fn_add_named(struct gunyah_vm *vm, uintptr_t arg)
{
	struct uapi_gunyah_named_fn fn;
	union argument argument;
	uint32_t type;
	long ret;

	if (sim_copy_in(&fn, arg, sizeof(fn)) < 0)
		return -EFAULT;
	type = type_of(fn.name);
	if (type == 0)
		return -ENOENT;
	memcpy(argument.bytes, fn.u.data, sizeof(argument));
	pthread_mutex_lock(&vm->lock);
	ret = add(vm, type, &argument);
	pthread_mutex_unlock(&vm->lock);
	return ret;
}

/* The kernel copies all of it before it looks at any. */
static int copy_argument(const struct uapi_gunyah_fn *fn, union argument *argument)
{
	uint8_t chunk[UAPI_GUNYAH_FN_MAX_ARG];

	for (uint32_t done = 0; done < fn->arg_size; done += (uint32_t)sizeof(chunk)) {
		uint32_t left = fn->arg_size - done;
		void *to = done == 0 ? argument->bytes : chunk;

		if (sim_copy_in(to, fn->arg + done, left < sizeof(chunk) ? left : sizeof(chunk)) < 0)
			return -EFAULT;
	}
	return 0;
}

static int remove_function(struct gunyah_vm *vm, uint32_t type, const union argument *argument)
{
	switch (type) {
	case UAPI_GUNYAH_FN_VCPU:
		return gunyah_vcpu_remove(vm, argument->vcpu.id);
	case UAPI_GUNYAH_FN_IRQFD:
		return irqfd_remove(vm, argument->irqfd.label);
	default:
		return gunyah_io_remove(vm, &argument->ioeventfd);
	}
}

long gunyah_fn_remove(struct gunyah_vm *vm, uintptr_t arg)
{
	union argument argument;
	struct uapi_gunyah_fn fn;
	int ret;

	if (sim_copy_in(&fn, arg, sizeof(fn)) < 0)
		return -EFAULT;
	if (fn.arg_size == 0)
		return vm->revision->removes_nothing ? 0 : -ENOENT;
	if (fn.arg_size > REMOVE_MAX) {
		if (fn.arg_size >= REMOVE_BREAKING)
			sim_machine_breakage(vm->sim, "REMOVE_FUNCTION with an argument of 64 MiB or more makes the kernel "
						      "warn about an impossible allocation.");
		return -ENOMEM;
	}
	if (copy_argument(&fn, &argument) < 0)
		return -EFAULT;
	if (size_of(fn.type) == 0 || fn.arg_size != size_of(fn.type))
		return -ENOENT;
	pthread_mutex_lock(&vm->lock);
	ret = remove_function(vm, fn.type, &argument);
	pthread_mutex_unlock(&vm->lock);
	return ret;
}

/* At the end of the VM: no file of a vCPU is open any more. */
void gunyah_fn_free(struct gunyah_vm *vm)
{
	while (vm->irqfds != NULL) {
		struct gunyah_irqfd *irqfd = vm->irqfds;

		vm->irqfds = irqfd->next;
		irqfd_free(irqfd);
	}
	gunyah_io_free(vm);
	while (vm->vcpus != NULL) {
		struct gunyah_vcpu *vcpu = vm->vcpus;

		vm->vcpus = vcpu->next;
		gunyah_vcpu_free(vcpu);
	}
}
