/* SPDX-License-Identifier: BSD-3-Clause */
/* Interrupt lines that eventfds raise. */
#include "internal.h"
#include "opts.h"
#include "resample.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEP "connect an eventfd to a line"

/* Who raises the line when somebody writes, and who signals the resample descriptor. */
enum way {
	BY_KERNEL,
	WATCHED, /* the kernel raises it, and lowers it when the guest acknowledges; the resampler signals */
	PROXIED, /* the resampler does all of it, through the line's level */
};

struct gh_irqfd {
	struct gh_vm *vm;
	struct gh_irqfd *next;
	struct gh_irqfd_spec spec;
	int64_t id;  /* of the eventfd, the same through every descriptor; -1: unknown */
	bool active; /* the kernel, or the resampler, knows it */
	bool high;   /* PROXIED; the resampler's */
	enum way way;
	int resample_fd; /* -1: nobody wants to know */
	struct gh_resample resample;
};

/* --- eventfds ----------------------------------------------------------------------------------------------------- */

/* Where /proc is hidden: eventfds are files of no type. There are others of that kind; of those the kernel will tell. */
static int look_at_file(struct gh_sys *sys, int fd)
{
	struct stat status = { 0 };
	int ret = sys->fstat(sys, fd, &status);

	if (ret < 0)
		return ret;
	return (status.st_mode & S_IFMT) == 0 ? 0 : -EINVAL;
}

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
	if (gh_sys_is_hidden(info))
		return look_at_file(sys, fd);
	if (info < 0)
		return info;
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

int gh_eventfd_signal(struct gh_sys *sys, int fd)
{
	const struct timespec now = { 0, 0 };
	const uint64_t one = 1;
	struct pollfd poll = { .fd = fd, .events = POLLOUT };
	ssize_t ret;

	if (sys->ppoll(sys, &poll, 1, &now) == 0)
		return 0;
	ret = sys->write(sys, fd, &one, sizeof(one));
	return ret < 0 ? (int)ret : 0;
}

void gh_eventfd_drain(struct gh_sys *sys, int fd)
{
	const struct timespec now = { 0, 0 };
	struct pollfd poll = { .fd = fd, .events = POLLIN };
	uint64_t count;

	if (sys->ppoll(sys, &poll, 1, &now) == 1)
		(void)sys->read(sys, fd, &count, sizeof(count));
}

/* --- emulation; in the resampler's thread, or when that is gone ------------------------------------------------------ */

static struct gh_irqfd *of_resample(struct gh_resample *line)
{
	return (struct gh_irqfd *)(void *)((char *)line - offsetof(struct gh_irqfd, resample));
}

/* An error has nobody to go to, as in a kernel. */
static void set_high(struct gh_irqfd *irqfd, bool high)
{
	struct gh_bvm *b = &irqfd->vm->b;

	if (irqfd->high != high && b->ops->irq_line(b, irqfd->spec.line, high) == 0)
		irqfd->high = high;
}

static void raise_proxied(struct gh_resample *line)
{
	set_high(of_resample(line), true);
}

/* As a kernel does at an acknowledgement: down, and whoever wants it up says so again. */
static bool acknowledge(struct gh_resample *line)
{
	struct gh_irqfd *irqfd = of_resample(line);

	if (irqfd->way == PROXIED)
		set_high(irqfd, false);
	(void)gh_eventfd_signal(irqfd->vm->b.sys, irqfd->resample_fd);
	return false;
}

static const struct gh_resample_ops watched_ops = { .due = acknowledge };
static const struct gh_resample_ops proxied_ops = { .raised = raise_proxied, .due = acknowledge };

/* --- the kernel's side; under the lock ----------------------------------------------------------------------------- */

/* An eventfd that was written to before its line was there: raise the line now, where the kernel did not notice. */
static void raise_early(struct gh_sys *sys, int fd)
{
	const struct timespec now = { 0, 0 };
	const uint64_t one = 1;
	struct pollfd poll = { .fd = fd, .events = POLLIN | POLLOUT };

	if (sys->ppoll(sys, &poll, 1, &now) != 1 || (poll.revents & POLLIN) == 0)
		return;
	/* A full one takes no more, and how often it was written to makes no difference. */
	if ((poll.revents & POLLOUT) == 0)
		gh_eventfd_drain(sys, fd);
	(void)sys->write(sys, fd, &one, sizeof(one));
}

int gh_line_check_spec(struct gh_vm *vm, const struct gh_irqfd_spec *spec)
{
	return vm->b.ops->irqfd_check != NULL ? vm->b.ops->irqfd_check(&vm->b, spec) : 0;
}

int gh_irqfds_check(struct gh_vm *vm)
{
	int ret = 0;

	for (const struct gh_irqfd *irqfd = vm->irqfds; irqfd != NULL && ret == 0; irqfd = irqfd->next)
		ret = gh_line_check_spec(vm, &irqfd->spec);
	return ret;
}

static int resample(struct gh_irqfd *irqfd)
{
	irqfd->resample.ops = irqfd->way == PROXIED ? &proxied_ops : &watched_ops;
	irqfd->resample.fd = irqfd->spec.fd;
	return gh_resample_add(irqfd->vm, &irqfd->resample);
}

static int activate_both(struct gh_irqfd *irqfd)
{
	struct gh_bvm *b = &irqfd->vm->b;
	int ret = gh_line_check_spec(irqfd->vm, &irqfd->spec);

	if (ret == 0 && irqfd->way != BY_KERNEL)
		ret = resample(irqfd);
	if (ret < 0 || irqfd->way == PROXIED)
		return ret;
	ret = b->ops->irqfd(b, &irqfd->spec, true);
	if (ret < 0 && irqfd->way != BY_KERNEL)
		gh_resample_remove(irqfd->vm, &irqfd->resample);
	return ret;
}

static int activate(struct gh_irqfd *irqfd)
{
	struct gh_bvm *b = &irqfd->vm->b;
	int ret;

	irqfd->vm->failure.error = 0;
	ret = activate_both(irqfd);
	if (ret < 0) {
		if (irqfd->vm->failure.error == 0)
			(void)gh_fail_request(&irqfd->vm->failure, ret, STEP, "IRQFD");
		return ret;
	}
	irqfd->active = true;
	if (gh_is_quirky(b, GH_QUIRK_MISSES_EARLY_SIGNAL) && irqfd->way != PROXIED)
		raise_early(b->sys, irqfd->spec.fd);
	return 0;
}

/* False: nothing is left to ask of the kernel. */
static bool disconnect(struct gh_irqfd *irqfd)
{
	if (!irqfd->active || irqfd->vm->b.in_child)
		return false;
	irqfd->active = false;
	if (irqfd->way != BY_KERNEL)
		gh_resample_remove(irqfd->vm, &irqfd->resample);
	if (irqfd->way == PROXIED)
		set_high(irqfd, false);
	return irqfd->way != PROXIED;
}

/* For good. The eventfd goes before its irqfd where a kernel could break otherwise (section 10.2 of the Gunyah document). */
static void deactivate(struct gh_irqfd *irqfd)
{
	struct gh_bvm *b = &irqfd->vm->b;

	if (!disconnect(irqfd))
		return;
	if (gh_is_quirky(b, GH_QUIRK_EVENTFD_GOES_FIRST)) {
		(void)b->sys->close(b->sys, irqfd->spec.fd);
		irqfd->spec.fd = -1;
	}
	(void)b->ops->irqfd(b, &irqfd->spec, false);
}

/*
 * The eventfd stays, because the caller knows its number. No kernel breaks: only an irqfd that has never got its doorbell is
 * dangerous, and gh_irqfds_check() lets none of these through.
 */
void gh_irqfds_deactivate(struct gh_vm *vm)
{
	for (struct gh_irqfd *irqfd = vm->irqfds; irqfd != NULL; irqfd = irqfd->next) {
		if (disconnect(irqfd))
			(void)vm->b.ops->irqfd(&vm->b, &irqfd->spec, false);
		irqfd->high = false;
		/* What was raised for the guest that is gone. */
		gh_eventfd_drain(vm->b.sys, irqfd->spec.fd);
	}
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
	if (irqfd->spec.fd >= 0)
		(void)sys->close(sys, irqfd->spec.fd);
	if (irqfd->resample_fd >= 0)
		(void)sys->close(sys, irqfd->resample_fd);
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

int gh_line_check(struct gh_vm *vm, const char *step, uint32_t line)
{
	bool taken = gh_irqs_have(vm, line);

	if (atomic_load(&vm->state) == GH_VM_BROKEN)
		return gh_fail_state(&vm->failure, step, "The VM's start has failed.");
	if (line >= vm->b.caps.max_lines)
		return gh_fail(&vm->failure, -ERANGE, step, NULL, "Lines are counted from 0; INTID 32 is line 0.",
			       "Line %u: this hypervisor has lines 0 to %u.", line, vm->b.caps.max_lines - 1);
	for (const struct gh_irqfd *other = vm->irqfds; other != NULL && !taken; other = other->next)
		taken = other->spec.line == line;
	if (taken)
		return gh_fail(&vm->failure, -EEXIST, step, NULL,
			       "Write to one eventfd, or set one line, from all sources.", "Line %u has a driver.", line);
	return 0;
}

static int check_options(struct gh_vm *vm, const struct gh_irqfd_options *options)
{
	if ((options->flags & ~(uint32_t)GH_IRQ_LEVEL) != 0 || options->reserved != 0 || options->reserved2 != 0 ||
	    options->fd < -1 || options->resample_fd < -1)
		return gh_fail_argument(&vm->failure, -EINVAL, STEP,
					"An unknown flag or a reserved field is set, or a descriptor is below -1.");
	if (options->resample_fd >= 0 && (options->flags & GH_IRQ_LEVEL) == 0)
		return gh_fail_argument(&vm->failure, -EINVAL, STEP,
					"Only a level-triggered line (GH_IRQ_LEVEL) has something to resample.");
	return 0;
}

static int choose_way(struct gh_vm *vm, const struct gh_irqfd_options *options, enum way *ret_way)
{
	bool level = (options->flags & GH_IRQ_LEVEL) != 0;
	bool resample = options->resample_fd >= 0;
	uint64_t features = vm->b.caps.features;

	*ret_way = BY_KERNEL;
	if (resample && (features & GH_FEATURE_IRQFD_RESAMPLE) == 0)
		*ret_way = gh_can(&vm->b, GH_FEATURE_IRQ_LINE) ? PROXIED : WATCHED;
	if (*ret_way == PROXIED)
		return 0;
	if ((features & GH_FEATURE_IRQFD) == 0)
		return gh_fail(&vm->failure, -EOPNOTSUPP, STEP, NULL, "Use a direct line (gh_irq_add()).",
			       "This hypervisor has no irqfds.");
	if (level && (features & GH_FEATURE_IRQFD_LEVEL) == 0)
		return gh_fail(&vm->failure, -EOPNOTSUPP, STEP, NULL,
			       "Give a resample descriptor, use a direct line (gh_irq_add()), or make the line "
			       "edge-triggered in the devicetree.",
			       "This hypervisor never lowers a line that an eventfd has raised.");
	return 0;
}

static bool is_connected(const struct gh_vm *vm, int64_t id)
{
	const struct gh_irqfd *other = vm->irqfds;

	while (other != NULL && (id < 0 || other->id != id))
		other = other->next;
	return other != NULL;
}

static int refuse_descriptor(struct gh_vm *vm, int error, int fd)
{
	return gh_fail_as(&vm->failure, GH_CAUSE_NOT_EVENTFD, error, STEP, "eventfd", "Pass an eventfd, or -1.",
			  "The descriptor %d is not open, is not an eventfd, or cannot be copied.", fd);
}

/* The caller's descriptors, copied. */
static int take_descriptors(struct gh_irqfd *irqfd, const struct gh_irqfd_options *options)
{
	struct gh_vm *vm = irqfd->vm;
	int64_t resample_id;
	int fd = gh_eventfd_take(vm->b.sys, options->fd, &irqfd->id);

	if (fd < 0)
		return refuse_descriptor(vm, fd, options->fd);
	irqfd->spec.fd = fd;
	if (gh_is_quirky(&vm->b, GH_QUIRK_ONE_LINE_PER_EVENTFD) && is_connected(vm, irqfd->id))
		return gh_fail_as(&vm->failure, GH_CAUSE_TAKEN, -EBUSY, STEP, NULL, "Use one eventfd for each line.",
				  "The eventfd is connected to a line of this VM already.");
	if (options->resample_fd < 0)
		return 0;
	fd = gh_eventfd_take(vm->b.sys, options->resample_fd, &resample_id);
	if (fd < 0)
		return refuse_descriptor(vm, fd, options->resample_fd);
	irqfd->resample_fd = fd;
	irqfd->spec.resample = irqfd->way == BY_KERNEL;
	irqfd->spec.resample_fd = fd;
	return 0;
}

/* Under the lock. */
static int add(struct gh_vm *vm, const struct gh_irqfd_options *options, struct gh_irqfd **ret_irqfd)
{
	struct gh_irqfd *irqfd;
	enum way way = BY_KERNEL;
	int ret = check_options(vm, options);

	if (ret == 0)
		ret = gh_line_check(vm, STEP, options->line);
	if (ret == 0)
		ret = choose_way(vm, options, &way);
	if (ret < 0)
		return ret;
	irqfd = calloc(1, sizeof(*irqfd));
	if (irqfd == NULL)
		return gh_fail_memory(&vm->failure, STEP);
	irqfd->vm = vm;
	irqfd->way = way;
	irqfd->spec = (struct gh_irqfd_spec){ .fd = -1, .line = options->line, .level = options->flags & GH_IRQ_LEVEL };
	irqfd->resample_fd = -1;
	ret = take_descriptors(irqfd, options);
	if (ret == 0 && atomic_load(&vm->state) == GH_VM_STARTED)
		ret = activate(irqfd);
	if (ret < 0) {
		irqfd_free(irqfd);
		return ret;
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
	    gh_opts_copy(&options, sizeof(options), offsetof(struct gh_irqfd_options, resample_fd), callers) < 0)
		return -EINVAL;
	if (gh_vm_is_forked(vm))
		return gh_fail_forked(vm);
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
	/* Parent and child share the eventfd: the parent's guest would be interrupted. No words, for signal handlers' sake. */
	if (gh_vm_is_forked(irqfd->vm))
		return -EPERM;
	ret = irqfd->vm->b.sys->write(irqfd->vm->b.sys, irqfd->spec.fd, &one, sizeof(one));
	return ret < 0 ? (int)ret : 0;
}

int gh_irqfd_fd(const struct gh_irqfd *irqfd)
{
	return irqfd != NULL ? irqfd->spec.fd : -1;
}

int gh_irqfd_is_emulated(const struct gh_irqfd *irqfd)
{
	return irqfd != NULL && irqfd->way != BY_KERNEL;
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
