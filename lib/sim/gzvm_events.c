/* SPDX-License-Identifier: BSD-3-Clause */
/* Interrupts and eventfds of the simulated /dev/gzvm. */
#include "gzvm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int inject(struct gzvm_vm *vm, uint32_t spi, bool level)
{
	int ret = gzvm_engine_code(vm->engine->irq(vm->guest, spi, level));

	(void)atomic_fetch_add(&vm->wakeups, 1);
	return ret;
}

/* The number in the word counts from 0, and somebody below adds 32; but not where the kernel and its hypervisor differ. */
static int inject_number(struct gzvm_vm *vm, uint32_t number, bool level)
{
	if (!vm->switches->raw_irq_line)
		return inject(vm, number, level);
	return number < 32 ? gzvm_engine_code(-EINVAL) : inject(vm, number - 32, level);
}

long gzvm_irq_line(struct gzvm_vm *vm, uintptr_t arg)
{
	struct uapi_gzvm_irq_level line;
	int ret = sim_copy_in(&line, arg, sizeof(line));

	if (ret < 0)
		return ret;
	pthread_mutex_lock(&vm->lock);
	ret = gzvm_hypervisor(vm->sim, vm->calls, GZVM_CALL_IRQ);
	pthread_mutex_unlock(&vm->lock);
	/* The type is ignored, and a shared interrupt has no vCPU. */
	if (ret == 0)
		ret = inject_number(vm, line.irq & 0xffffu, line.level != 0);
	return ret == 0 ? 0 : -EFAULT;
}

/* Upwards only; with RESAMPLE, down again when the guest acknowledges. An error has nobody to go to. */
static void raise_line(struct gzvm_irqfd *irqfd)
{
	if (irqfd->level == NULL) {
		(void)inject(irqfd->vm, irqfd->gsi, true);
		return;
	}
	irqfd->vm->engine->level_raise(irqfd->level);
	(void)atomic_fetch_add(&irqfd->vm->wakeups, 1);
}

/* In the watching thread: the counter is taken, if another VM with the same eventfd has not been faster. */
static void irqfd_signalled(void *data)
{
	struct gzvm_irqfd *irqfd = data;

	(void)sim_eventfd_drain(irqfd->vm->sim, &irqfd->fd, irqfd->id);
	raise_line(irqfd);
}

static void irqfd_end(struct gzvm_irqfd *irqfd)
{
	sim_watch_remove(irqfd->watch);
	if (irqfd->level != NULL)
		irqfd->vm->engine->level_free(irqfd->level);
	free(irqfd);
}

/* Entries whose eventfd was closed have left by themselves in the kernel. */
static void forget_closed(struct gzvm_vm *vm)
{
	struct gzvm_irqfd **link = &vm->irqfds;

	while (*link != NULL) {
		struct gzvm_irqfd *irqfd = *link;

		if (sim_watch_is_alive(irqfd->watch)) {
			link = &irqfd->next;
			continue;
		}
		*link = irqfd->next;
		irqfd_end(irqfd);
	}
}

/* One eventfd, one line of a VM, whatever its number. */
static bool is_assigned(const struct gzvm_vm *vm, uint64_t id)
{
	const struct gzvm_irqfd *irqfd = vm->irqfds;

	while (irqfd != NULL && irqfd->id != id)
		irqfd = irqfd->next;
	return irqfd != NULL;
}

static int add_level(struct gzvm_irqfd *irqfd, int resample_fd)
{
	struct sim_eventfd eventfd;
	int ret = sim_eventfd_get(resample_fd, &eventfd);

	if (ret < 0)
		return ret;
	ret = irqfd->vm->engine->level_new(irqfd->vm->guest, irqfd->gsi, eventfd.fd, &irqfd->level);
	if (ret < 0)
		sim_eventfd_put(&eventfd); /* otherwise the line has it */
	return ret;
}

static int irqfd_assign(struct gzvm_vm *vm, const struct uapi_gzvm_irqfd *args, uint64_t id)
{
	bool resample = vm->switches->resamples && (args->flags & UAPI_GZVM_IRQFD_RESAMPLE) != 0;
	struct gzvm_irqfd *irqfd;
	int ret = 0;

	if (is_assigned(vm, id))
		return -EBUSY;
	irqfd = calloc(1, sizeof(*irqfd));
	if (irqfd == NULL)
		return -ENOMEM;
	irqfd->vm = vm;
	irqfd->id = id;
	irqfd->fd = (int)args->fd;
	irqfd->gsi = args->gsi;
	if (resample)
		ret = add_level(irqfd, (int)args->resample_fd);
	if (ret == 0)
		ret = sim_watch_add(vm->sim, irqfd->fd, irqfd_signalled, irqfd, &irqfd->watch);
	if (ret < 0) {
		irqfd_end(irqfd);
		return ret;
	}
	irqfd->next = vm->irqfds;
	vm->irqfds = irqfd;
	/* What it held before is no event for the watch. */
	if (vm->switches->notices_early) {
		int fd = irqfd->fd;

		if (sim_eventfd_drain(vm->sim, &fd, id))
			raise_line(irqfd);
	}
	return 0;
}

/* A pair that was never assigned is no error. */
static int irqfd_deassign(struct gzvm_vm *vm, uint64_t id, uint32_t gsi)
{
	struct gzvm_irqfd **link = &vm->irqfds;

	while (*link != NULL) {
		struct gzvm_irqfd *irqfd = *link;

		if (irqfd->id != id || irqfd->gsi != gsi) {
			link = &irqfd->next;
			continue;
		}
		*link = irqfd->next;
		irqfd_end(irqfd);
	}
	return 0;
}

static bool is_zero(const uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (bytes[i] != 0)
			return false;
	}
	return true;
}

long gzvm_irqfd(struct gzvm_vm *vm, uintptr_t arg)
{
	struct uapi_gzvm_irqfd args;
	uint64_t id;
	int ret = sim_copy_in(&args, arg, sizeof(args));

	if (ret < 0)
		return ret;
	if (!vm->switches->ignores_irqfd_padding && !is_zero(args.padding, sizeof(args.padding)))
		return -EINVAL;
	/* RESAMPLE is accepted, and where it means nothing, not even its descriptor is looked at. */
	if ((args.flags & ~(UAPI_GZVM_IRQFD_DEASSIGN | UAPI_GZVM_IRQFD_RESAMPLE)) != 0)
		return -EINVAL;
	ret = sim_eventfd_id((int)args.fd, &id);
	if (ret < 0)
		return ret;
	pthread_mutex_lock(&vm->lock);
	forget_closed(vm);
	if ((args.flags & UAPI_GZVM_IRQFD_DEASSIGN) != 0)
		ret = irqfd_deassign(vm, id, args.gsi);
	else
		ret = irqfd_assign(vm, &args, id);
	pthread_mutex_unlock(&vm->lock);
	return ret;
}

void gzvm_end_irqfds(struct gzvm_vm *vm)
{
	while (vm->irqfds != NULL) {
		struct gzvm_irqfd *next = vm->irqfds->next;

		irqfd_end(vm->irqfds);
		vm->irqfds = next;
	}
}
