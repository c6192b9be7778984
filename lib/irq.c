/* SPDX-License-Identifier: BSD-3-Clause */
/* Interrupt lines that eventfds raise. */
#include "internal.h"
#include "opts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEP "connect an eventfd to a line"

struct gh_irqfd {
	struct gh_vm *vm;
	struct gh_irqfd *next;
	struct gh_irqfd_spec spec;
	int64_t id;  /* of the eventfd, the same through every descriptor; -1: unknown */
	bool active; /* the kernel knows it */
};

/* --- eventfds ----------------------------------------------------------------------------------------------------- */

/* Kernels answer -EINVAL at the start for anything else; the caller should hear it now. */
static int look_at_eventfd(struct gh_sys *sys, int fd, int64_t *ret_id)
{
	const char *id;
	char path[40];
	char text[256];
	ssize_t length;
	int info;

	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = sys->open(sys, path, 0);
	if (info < 0)
		return info == -ENOENT ? 0 : info; /* no /proc here: the kernel will say */
	length = sys->read(sys, info, text, sizeof(text) - 1);
	(void)sys->close(sys, info);
	if (length < 0)
		return (int)length;
	text[length] = '\0';
	id = strstr(text, "eventfd-id:"); /* kernels from 5.2 on */
	if (id != NULL)
		*ret_id = strtoll(id + strlen("eventfd-id:"), NULL, 10);
	return strstr(text, "eventfd-count:") != NULL ? 0 : -EINVAL;
}

int gh_eventfd_take(struct gh_sys *sys, int fd, int64_t *ret_id)
{
	int64_t id = -1;
	int ret;
	int own;

	own = fd == -1 ? sys->eventfd(sys, 0, 0) : sys->dup(sys, fd, 0);
	if (own < 0)
		return own;
	ret = look_at_eventfd(sys, own, &id);
	if (ret < 0) {
		(void)sys->close(sys, own);
		return ret;
	}
	*ret_id = id;
	return own;
}

/* --- the kernel's side; under the lock ----------------------------------------------------------------------------- */

/* An eventfd that was written to before its line was there: raise the line now, where the kernel did not notice. */
static void raise_early(struct gh_sys *sys, int fd)
{
	const struct timespec now = { 0, 0 };
	const uint64_t one = 1;
	struct pollfd poll = { .fd = fd, .events = POLLIN | POLLOUT };

	if (sys->ppoll(sys, &poll, 1, &now) == 1 && (poll.revents & POLLIN) != 0 && (poll.revents & POLLOUT) != 0)
		(void)sys->write(sys, fd, &one, sizeof(one));
}

static int check_line(const struct gh_irqfd *irqfd)
{
	struct gh_bvm *b = &irqfd->vm->b;

	return b->ops->irqfd_check != NULL ? b->ops->irqfd_check(b, &irqfd->spec) : 0;
}

int gh_irqfds_check(struct gh_vm *vm)
{
	int ret = 0;

	for (const struct gh_irqfd *irqfd = vm->irqfds; irqfd != NULL && ret == 0; irqfd = irqfd->next)
		ret = check_line(irqfd);
	return ret;
}

static int activate(struct gh_irqfd *irqfd)
{
	struct gh_bvm *b = &irqfd->vm->b;
	int ret;

	irqfd->vm->failure.error = 0;
	ret = check_line(irqfd);
	if (ret == 0)
		ret = b->ops->irqfd(b, &irqfd->spec, true);
	if (ret < 0) {
		if (irqfd->vm->failure.error == 0)
			(void)gh_fail_request(&irqfd->vm->failure, ret, STEP, "IRQFD");
		return ret;
	}
	irqfd->active = true;
	if (b->caps.misses_early_signal)
		raise_early(b->sys, irqfd->spec.fd);
	return 0;
}

static void deactivate(struct gh_irqfd *irqfd)
{
	struct gh_bvm *b = &irqfd->vm->b;

	if (irqfd->active && !b->in_child)
		(void)b->ops->irqfd(b, &irqfd->spec, false);
	irqfd->active = false;
}

int gh_irqfds_activate(struct gh_vm *vm)
{
	for (struct gh_irqfd *irqfd = vm->irqfds; irqfd != NULL; irqfd = irqfd->next) {
		int ret = activate(irqfd);

		if (ret < 0)
			return ret;
	}
	return 0;
}

static void irqfd_free(struct gh_irqfd *irqfd)
{
	struct gh_sys *sys = irqfd->vm->b.sys;

	deactivate(irqfd);
	(void)sys->close(sys, irqfd->spec.fd);
	free(irqfd);
}

void gh_irqfds_free(struct gh_vm *vm)
{
	while (vm->irqfds != NULL) {
		struct gh_irqfd *irqfd = vm->irqfds;

		vm->irqfds = irqfd->next;
		irqfd_free(irqfd);
	}
}

void gh_irqfds_each(const struct gh_vm *vm, void (*each)(void *data, uint32_t line, bool level), void *data)
{
	for (const struct gh_irqfd *irqfd = vm->irqfds; irqfd != NULL; irqfd = irqfd->next)
		each(data, irqfd->spec.line, irqfd->spec.level);
}

/* --- the caller's side -------------------------------------------------------------------------------------------- */

static int check(struct gh_vm *vm, const struct gh_irqfd_options *options)
{
	const struct gh_caps *caps = &vm->b.caps;

	if (atomic_load(&vm->state) == GH_VM_BROKEN)
		return gh_fail_state(&vm->failure, STEP, "The VM's start has failed.");
	if ((options->flags & ~(uint32_t)GH_IRQ_LEVEL) != 0 || options->reserved != 0 || options->fd < -1)
		return gh_fail_argument(&vm->failure, -EINVAL, STEP,
					"An unknown flag or a reserved field is set, or the descriptor is below -1.");
	if ((caps->features & GH_FEATURE_IRQFD) == 0)
		return gh_fail(&vm->failure, -EOPNOTSUPP, STEP, NULL, "Use another hypervisor.",
			       "This hypervisor has no irqfds.");
	if ((options->flags & GH_IRQ_LEVEL) != 0 && (caps->features & GH_FEATURE_IRQFD_LEVEL) == 0)
		return gh_fail(&vm->failure, -EOPNOTSUPP, STEP, NULL, "Make the line edge-triggered in the devicetree.",
			       "This hypervisor raises lines by eventfd edge-triggered only.");
	if (options->line >= caps->max_lines)
		return gh_fail(&vm->failure, -ERANGE, STEP, NULL, "Lines are counted from 0; INTID 32 is line 0.",
			       "Line %u: this hypervisor has lines 0 to %u.", options->line, caps->max_lines - 1);
	for (const struct gh_irqfd *other = vm->irqfds; other != NULL; other = other->next)
		if (other->spec.line == options->line)
			return gh_fail(&vm->failure, -EEXIST, STEP, NULL, "Write to one eventfd from all sources.",
				       "Line %u has an irqfd.", options->line);
	return 0;
}

static bool is_connected(const struct gh_vm *vm, int64_t id)
{
	const struct gh_irqfd *other = vm->irqfds;

	while (other != NULL && (id < 0 || other->id != id))
		other = other->next;
	return other != NULL;
}

/* Under the lock. */
static int add(struct gh_vm *vm, const struct gh_irqfd_options *options, struct gh_irqfd **ret_irqfd)
{
	struct gh_irqfd *irqfd;
	int ret = check(vm, options);
	int64_t id;
	int fd;

	if (ret < 0)
		return ret;
	irqfd = calloc(1, sizeof(*irqfd));
	if (irqfd == NULL)
		return gh_fail_memory(&vm->failure, STEP);
	fd = gh_eventfd_take(vm->b.sys, options->fd, &id);
	if (fd < 0) {
		free(irqfd);
		return gh_fail(&vm->failure, fd, STEP, "eventfd", "Pass an eventfd, or -1 to have one made.",
			       "The descriptor %d is not open, is not an eventfd, or cannot be copied.", options->fd);
	}
	irqfd->vm = vm;
	irqfd->id = id;
	irqfd->spec = (struct gh_irqfd_spec){ .fd = fd, .line = options->line, .level = options->flags & GH_IRQ_LEVEL };
	if (vm->b.caps.one_line_per_eventfd && is_connected(vm, id)) {
		irqfd_free(irqfd);
		return gh_fail(&vm->failure, -EBUSY, STEP, NULL, "Use one eventfd for each line.",
			       "The eventfd is connected to a line of this VM already.");
	}
	if (atomic_load(&vm->state) == GH_VM_STARTED) {
		ret = activate(irqfd);
		if (ret < 0) {
			irqfd_free(irqfd);
			return ret;
		}
	}
	irqfd->next = vm->irqfds;
	vm->irqfds = irqfd;
	*ret_irqfd = irqfd;
	return 0;
}

int gh_irqfd_add(struct gh_vm *vm, const struct gh_irqfd_options *callers, struct gh_irqfd **ret_irqfd)
{
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	int ret;

	if (vm == NULL || callers == NULL || ret_irqfd == NULL ||
	    gh_opts_copy(&options, sizeof(options), sizeof(options), callers) < 0)
		return -EINVAL;
	if (gh_vm_is_forked(vm))
		return -EPERM;
	(void)pthread_mutex_lock(&vm->lock);
	ret = add(vm, &options, ret_irqfd);
	(void)pthread_mutex_unlock(&vm->lock);
	return ret;
}

int gh_irqfd_raise(struct gh_irqfd *irqfd)
{
	const uint64_t one = 1;
	ssize_t ret;

	if (irqfd == NULL)
		return -EINVAL;
	ret = irqfd->vm->b.sys->write(irqfd->vm->b.sys, irqfd->spec.fd, &one, sizeof(one));
	return ret < 0 ? (int)ret : 0;
}

int gh_irqfd_fd(const struct gh_irqfd *irqfd)
{
	return irqfd != NULL ? irqfd->spec.fd : -1;
}

void gh_irqfd_remove(struct gh_irqfd *irqfd)
{
	struct gh_irqfd **link;
	struct gh_vm *vm;

	if (irqfd == NULL)
		return;
	vm = irqfd->vm;
	/* A child's request would take the parent's line away, and the lock may be held for ever; it goes with the VM. */
	if (gh_vm_is_forked(vm))
		return;
	(void)pthread_mutex_lock(&vm->lock);
	for (link = &vm->irqfds; *link != NULL && *link != irqfd; link = &(*link)->next)
		;
	if (*link != NULL)
		*link = irqfd->next;
	irqfd_free(irqfd);
	(void)pthread_mutex_unlock(&vm->lock);
}
