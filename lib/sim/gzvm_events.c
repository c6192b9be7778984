/* SPDX-License-Identifier: BSD-3-Clause */
/* Interrupts and eventfds of the simulated /dev/gzvm. */
#include "gzvm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int inject(struct gzvm_vm *vm, uint32_t spi, bool level)
{
	return gzvm_engine_code(vm->engine->irq(vm->guest, spi, level));
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
		ret = inject(vm, line.irq & 0xffffu, line.level != 0);
	return ret == 0 ? 0 : -EFAULT;
}

/*
 * In the watching thread: the counter is taken, if another VM with the same eventfd has not been faster, and the line pulsed
 * upwards only. An error has nobody to go to.
 */
static void irqfd_signalled(void *data)
{
	struct gzvm_irqfd *irqfd = data;

	(void)sim_eventfd_drain(&irqfd->fd, irqfd->id);
	(void)inject(irqfd->vm, irqfd->gsi, true);
}

static void irqfd_end(struct gzvm_irqfd *irqfd)
{
	sim_watch_remove(irqfd->watch);
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

static int irqfd_assign(struct gzvm_vm *vm, int fd, uint64_t id, uint32_t gsi)
{
	struct gzvm_irqfd *irqfd;
	int ret;

	/* One eventfd, one line of a VM, whatever its number. */
	for (irqfd = vm->irqfds; irqfd != NULL; irqfd = irqfd->next) {
		if (irqfd->id == id)
			return -EBUSY;
	}
	irqfd = calloc(1, sizeof(*irqfd));
	if (irqfd == NULL)
		return -ENOMEM;
	irqfd->vm = vm;
	irqfd->id = id;
	irqfd->fd = fd;
	irqfd->gsi = gsi;
	ret = sim_watch_add(vm->sim, fd, irqfd_signalled, irqfd, &irqfd->watch);
	if (ret < 0) {
		free(irqfd);
		return ret;
	}
	irqfd->next = vm->irqfds;
	vm->irqfds = irqfd;
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
	if (!is_zero(args.padding, sizeof(args.padding)))
		return -EINVAL;
	/* RESAMPLE is accepted, and means nothing: not even its descriptor is looked at. */
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
		ret = irqfd_assign(vm, (int)args.fd, id, args.gsi);
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

static int check_ioeventfd(const struct uapi_gzvm_ioeventfd *args)
{
	bool match = (args->flags & UAPI_GZVM_IOEVENTFD_DATAMATCH) != 0;
	uint32_t width = args->width;

	if (width != 0 && width != 1 && width != 2 && width != 4 && width != 8)
		return -EINVAL;
	/* A range that ends at 2^64 wraps as well. */
	if (args->gpa + width < args->gpa)
		return -EINVAL;
	if ((args->flags & ~(UAPI_GZVM_IOEVENTFD_DATAMATCH | UAPI_GZVM_IOEVENTFD_DEASSIGN)) != 0)
		return -EINVAL;
	return width == 0 && match ? -EINVAL : 0;
}

/* Not symmetric: a new range that begins below an old one and covers it is accepted. */
static bool collides(const struct gzvm_ioevent *old, const struct gzvm_ioevent *new)
{
	if (new->gpa >= old->gpa &&new->gpa < old->gpa + old->width)
		return true;
	return old->gpa == new->gpa && (old->width == 0 || new->width == 0);
}

static int ioevent_assign(struct gzvm_vm *vm, const struct gzvm_ioevent *wanted)
{
	struct gzvm_ioevent **link;
	struct gzvm_ioevent *ioevent;

	for (link = &vm->ioevents; *link != NULL; link = &(*link)->next) {
		if (collides(*link, wanted))
			return -EEXIST;
	}
	ioevent = malloc(sizeof(*ioevent));
	if (ioevent == NULL)
		return -ENOMEM;
	*ioevent = *wanted;
	ioevent->next = NULL;
	*link = ioevent;
	return 0;
}

static bool is_exactly(const struct gzvm_ioevent *one, const struct gzvm_ioevent *other)
{
	return one->eventfd.id == other->eventfd.id && one->gpa == other->gpa && one->width == other->width &&
	       one->wildcard == other->wildcard && (one->wildcard || one->value == other->value);
}

static void ioevent_end(struct gzvm_ioevent *ioevent)
{
	sim_eventfd_put(&ioevent->eventfd);
	free(ioevent);
}

static int ioevent_deassign(struct gzvm_vm *vm, const struct gzvm_ioevent *wanted)
{
	for (struct gzvm_ioevent **link = &vm->ioevents; *link != NULL; link = &(*link)->next) {
		struct gzvm_ioevent *ioevent = *link;

		if (!is_exactly(ioevent, wanted))
			continue;
		*link = ioevent->next;
		ioevent_end(ioevent);
		return 0;
	}
	return -ENOENT;
}

long gzvm_ioeventfd(struct gzvm_vm *vm, uintptr_t arg)
{
	struct uapi_gzvm_ioeventfd args;
	struct gzvm_ioevent wanted = { 0 };
	bool assign;
	int ret = sim_copy_in(&args, arg, sizeof(args));

	if (ret == 0)
		ret = check_ioeventfd(&args);
	if (ret == 0)
		ret = sim_eventfd_get(args.fd, &wanted.eventfd);
	if (ret < 0)
		return ret;
	wanted.gpa = args.gpa;
	wanted.value = args.datamatch;
	wanted.width = args.width;
	wanted.wildcard = (args.flags & UAPI_GZVM_IOEVENTFD_DATAMATCH) == 0;
	assign = (args.flags & UAPI_GZVM_IOEVENTFD_DEASSIGN) == 0;
	pthread_mutex_lock(&vm->lock);
	ret = assign ? ioevent_assign(vm, &wanted) : ioevent_deassign(vm, &wanted);
	pthread_mutex_unlock(&vm->lock);
	/* An assigned one has taken the reference over. */
	if (!assign || ret < 0)
		sim_eventfd_put(&wanted.eventfd);
	return ret;
}

static bool takes(const struct gzvm_ioevent *ioevent, const struct uapi_gzvm_mmio *mmio)
{
	uint32_t width = (uint32_t)mmio->width; /* 32 bits of it are compared */
	uint64_t value = 0;

	if (mmio->gpa != ioevent->gpa)
		return false;
	if (ioevent->width == 0)
		return true;
	if (width != ioevent->width)
		return false;
	for (uint32_t i = 0; i < width; i++)
		value |= (uint64_t)mmio->data[i] << (8 * i);
	/* The wanted value is not cut to the width: one that is too large never matches. */
	return ioevent->wildcard || value == ioevent->value;
}

bool gzvm_signal_ioevent(struct gzvm_vm *vm, const struct uapi_gzvm_mmio *mmio)
{
	struct gzvm_ioevent *ioevent;

	pthread_mutex_lock(&vm->lock);
	for (ioevent = vm->ioevents; ioevent != NULL; ioevent = ioevent->next) {
		if (takes(ioevent, mmio))
			break;
	}
	if (ioevent != NULL)
		sim_eventfd_signal(&ioevent->eventfd);
	pthread_mutex_unlock(&vm->lock);
	return ioevent != NULL;
}

void gzvm_end_ioevents(struct gzvm_vm *vm)
{
	while (vm->ioevents != NULL) {
		struct gzvm_ioevent *next = vm->ioevents->next;

		ioevent_end(vm->ioevents);
		vm->ioevents = next;
	}
}
