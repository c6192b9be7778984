/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ioeventfds: stores that signal an eventfd instead of ending RUN.
 *
 * The driver's table is ordered by address, width and value, but a handler without a value matches any width, stands for
 * the whole address, and allows no other beside it. Removal looks at the address alone and takes everything that is there.
 */
#include "gunyah.h"

#include <errno.h>
#include <stdlib.h>

static bool is_equal(const struct gunyah_ioeventfd *handler, const struct uapi_gunyah_fn_ioeventfd *argument)
{
	if (handler->gpa != argument->gpa)
		return false;
	if (!handler->has_datamatch || (argument->flags & UAPI_GUNYAH_IOEVENTFD_DATAMATCH) == 0)
		return true;
	return handler->width == argument->width && handler->datamatch == argument->datamatch;
}

static int check(const struct uapi_gunyah_fn_ioeventfd *argument)
{
	uint32_t width = argument->width;

	if ((argument->flags & ~UAPI_GUNYAH_IOEVENTFD_DATAMATCH) != 0)
		return -EINVAL;
	if (width != 0 && width != 1 && width != 2 && width != 4 && width != 8)
		return -EINVAL;
	return width == 0 && argument->flags != 0 ? -EINVAL : 0;
}

int gunyah_io_add(struct gunyah_vm *vm, const struct uapi_gunyah_fn_ioeventfd *argument)
{
	struct gunyah_ioeventfd *handler;
	int ret = check(argument);

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
		if (is_equal(other, argument)) {
			sim_eventfd_put(&handler->eventfd);
			free(handler);
			return -EEXIST;
		}
	}
	handler->gpa = argument->gpa;
	handler->width = argument->width;
	handler->datamatch = argument->datamatch;
	handler->has_datamatch = (argument->flags & UAPI_GUNYAH_IOEVENTFD_DATAMATCH) != 0;
	handler->next = vm->ioeventfds;
	vm->ioeventfds = handler;
	return 0;
}

int gunyah_io_remove(struct gunyah_vm *vm, uint64_t gpa)
{
	struct gunyah_ioeventfd **link = &vm->ioeventfds;
	int ret = -ENOENT;

	while (*link != NULL) {
		struct gunyah_ioeventfd *handler = *link;

		if (handler->gpa != gpa) {
			link = &handler->next;
			continue;
		}
		*link = handler->next;
		sim_eventfd_put(&handler->eventfd);
		free(handler);
		ret = 0;
	}
	return ret;
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
		if (handler->has_datamatch && (handler->width != width || handler->datamatch != value))
			continue;
		sim_eventfd_signal(&handler->eventfd);
		return true;
	}
	return false;
}
