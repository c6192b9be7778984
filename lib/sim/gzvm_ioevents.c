/* SPDX-License-Identifier: BSD-3-Clause */
/* Doorbells of the simulated /dev/gzvm: stores that signal an eventfd. */
#include "gzvm.h"

#include <errno.h>
#include <stdlib.h>

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

/* As KVM does, from which the first revisions come. */
static bool collides_by_value(const struct gzvm_ioevent *old, const struct gzvm_ioevent *new)
{
	if (old->gpa != new->gpa)
		return false;
	if (old->width == 0 || new->width == 0)
		return true;
	return old->width == new->width && (old->wildcard || new->wildcard || old->value == new->value);
}

/* Not symmetric: a new range that begins below an old one and covers it is accepted. */
static bool collides_by_range(const struct gzvm_ioevent *old, const struct gzvm_ioevent *new)
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
		if (vm->switches->tells_values_apart ? collides_by_value(*link, wanted) : collides_by_range(*link, wanted))
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
