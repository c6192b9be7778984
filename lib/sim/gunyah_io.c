/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ioeventfds: stores that signal an eventfd instead of ending RUN.
 *
 * The driver's table is ordered by address, width and value, but a handler without a value matches any width, stands for
 * the whole address, and allows no other beside it. Old kernels look at the address alone when they remove, and take
 * everything that is there; the oldest keep a value as a truth value.
 */
#include "gunyah.h"

#include <errno.h>
#include <stdlib.h>

/* What the kernel keeps, and compares with. */
static uint64_t value_of(const struct gunyah_vm *vm, uint64_t datamatch)
{
	return vm->revision->bool_datamatch ? datamatch != 0 : datamatch;
}

static bool is_equal(const struct gunyah_vm *vm, const struct gunyah_ioeventfd *handler,
		     const struct uapi_gunyah_fn_ioeventfd *argument)
{
	if (handler->gpa != argument->gpa)
		return false;
	if (!handler->has_datamatch || (argument->flags & UAPI_GUNYAH_IOEVENTFD_DATAMATCH) == 0)
		return true;
	return handler->width == argument->width && handler->datamatch == value_of(vm, argument->datamatch);
}

static int check(const struct gunyah_vm *vm, const struct uapi_gunyah_fn_ioeventfd *argument)
{
	uint32_t width = argument->width;

	if (vm->revision->checks_overflow && width > UINT64_MAX - argument->gpa)
		return -EINVAL;
	if ((argument->flags & ~UAPI_GUNYAH_IOEVENTFD_DATAMATCH) != 0)
		return -EINVAL;
	if (width != 0 && width != 1 && width != 2 && width != 4 && width != 8)
		return -EINVAL;
	return width == 0 && argument->flags != 0 ? -EINVAL : 0;
}

int gunyah_io_add(struct gunyah_vm *vm, const struct uapi_gunyah_fn_ioeventfd *argument)
{
	struct gunyah_ioeventfd *handler;
	int ret = check(vm, argument);

	if (ret < 0)
		return ret;
	handler = calloc(1, sizeof(*handler));
	if (handler == NULL)
		return -ENOMEM;
	ret = sim_eventfd_get(argument->fd, &handler->eventfd);
	if (ret < 0) {
		free(handler);
		return ret;
	}
	for (const struct gunyah_ioeventfd *other = vm->ioeventfds; other != NULL; other = other->next) {
		if (is_equal(vm, other, argument)) {
			sim_eventfd_put(&handler->eventfd);
			free(handler);
			return -EEXIST;
		}
	}
	handler->gpa = argument->gpa;
	handler->width = argument->width;
	handler->datamatch = value_of(vm, argument->datamatch);
	handler->has_datamatch = (argument->flags & UAPI_GUNYAH_IOEVENTFD_DATAMATCH) != 0;
	handler->next = vm->ioeventfds;
	vm->ioeventfds = handler;
	return 0;
}

static void handler_free(struct gunyah_ioeventfd *handler)
{
	sim_eventfd_put(&handler->eventfd);
	free(handler);
}

static bool is_meant(const struct gunyah_vm *vm, const struct gunyah_ioeventfd *handler,
		     const struct uapi_gunyah_fn_ioeventfd *argument)
{
	bool has_datamatch = (argument->flags & UAPI_GUNYAH_IOEVENTFD_DATAMATCH) != 0;

	if (handler->gpa != argument->gpa)
		return false;
	if (!vm->revision->removes_exactly)
		return true;
	return handler->width == argument->width && handler->has_datamatch == has_datamatch &&
	       (!has_datamatch || handler->datamatch == argument->datamatch);
}

int gunyah_io_remove(struct gunyah_vm *vm, const struct uapi_gunyah_fn_ioeventfd *argument)
{
	struct gunyah_ioeventfd **link = &vm->ioeventfds;
	int ret = -ENOENT;

	while (*link != NULL) {
		struct gunyah_ioeventfd *handler = *link;

		if (!is_meant(vm, handler, argument)) {
			link = &handler->next;
			continue;
		}
		*link = handler->next;
		handler_free(handler);
		ret = 0;
	}
	return ret;
}

void gunyah_io_free(struct gunyah_vm *vm)
{
	while (vm->ioeventfds != NULL) {
		struct gunyah_ioeventfd *handler = vm->ioeventfds;

		vm->ioeventfds = handler->next;
		handler_free(handler);
	}
}

/*
 * The whole register is compared, not the part that is stored: a store of 2 bytes of 0x1beef is no 0xbeef. So a value that
 * is wider than its width can never match a guest that keeps its registers clean, and that is all that was seen.
 */
bool gunyah_io_store(struct gunyah_vm *vm, uint64_t gpa, uint32_t width, const uint8_t data[8])
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < 8; i++)
		value |= (uint64_t)data[i] << (8 * i);
	for (struct gunyah_ioeventfd *handler = vm->ioeventfds; handler != NULL; handler = handler->next) {
		if (handler->gpa != gpa)
			continue;
		if (handler->has_datamatch && (handler->width != width || handler->datamatch != value_of(vm, value)))
			continue;
		sim_eventfd_signal(&handler->eventfd);
		return true;
	}
	return false;
}
