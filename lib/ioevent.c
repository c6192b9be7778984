/* SPDX-License-Identifier: BSD-3-Clause */
/* Doorbells: the truth about which store signals which eventfd, whatever a kernel remembers of it. */
#include "exit.h"
#include "internal.h"
#include "opts.h"

#include <errno.h>
#include <stdlib.h>

#define STEP "add a doorbell"

struct gh_ioevent {
	struct gh_vm *vm;
	struct gh_ioevent *next;
	struct gh_ioevent_spec spec;
	bool active; /* the kernel knows it */
};

/* --- matching ----------------------------------------------------------------------------------------------------- */

static bool matches(const struct gh_ioevent_spec *spec, uint64_t gpa, uint32_t width, uint64_t value)
{
	if (spec->gpa != gpa || (spec->width != 0 && spec->width != width))
		return false;
	return !spec->datamatch || ((spec->value ^ value) & gh_value_mask(width)) == 0;
}

/* Under the lock. */
static struct gh_ioevent *find(struct gh_vm *vm, uint64_t gpa, uint32_t width, uint64_t value)
{
	struct gh_ioevent *ioevent = vm->ioevents;

	while (ioevent != NULL && !(ioevent->active && matches(&ioevent->spec, gpa, width, value)))
		ioevent = ioevent->next;
	return ioevent;
}

bool gh_ioevent_matches(struct gh_bvm *b, uint64_t gpa, uint32_t width, uint64_t value)
{
	struct gh_vm *vm = (struct gh_vm *)b; /* its first member */
	bool found;

	(void)pthread_mutex_lock(&vm->lock);
	found = find(vm, gpa, width, value) != NULL;
	(void)pthread_mutex_unlock(&vm->lock);
	return found;
}

bool gh_ioevent_signal(struct gh_bvm *b, uint64_t gpa, uint32_t width, uint64_t value)
{
	struct gh_vm *vm = (struct gh_vm *)b;
	const struct gh_ioevent *ioevent;
	const uint64_t one = 1;

	(void)pthread_mutex_lock(&vm->lock);
	ioevent = find(vm, gpa, width, value);
	if (ioevent != NULL)
		(void)b->sys->write(b->sys, ioevent->spec.fd, &one, sizeof(one));
	(void)pthread_mutex_unlock(&vm->lock);
	return ioevent != NULL;
}

/* Could one store signal both, or can the kernel not tell them apart? */
static bool collide(const struct gh_caps *caps, const struct gh_ioevent_spec *a, const struct gh_ioevent_spec *b)
{
	uint64_t a_last = a->gpa + (a->width > 0 ? a->width - 1 : 0);
	uint64_t b_last = b->gpa + (b->width > 0 ? b->width - 1 : 0);

	if ((caps->features & GH_FEATURE_DATAMATCH) == 0)
		return a->gpa <= b_last && b->gpa <= a_last;
	if (a->gpa != b->gpa)
		return false;
	if (!a->datamatch || !b->datamatch)
		return true;
	return a->width == b->width && a->value == b->value;
}

/* --- the kernel's side; under the lock ----------------------------------------------------------------------------- */

static int activate(struct gh_ioevent *ioevent)
{
	struct gh_bvm *b = &ioevent->vm->b;
	int ret;

	ioevent->vm->failure.error = 0;
	ret = b->ops->ioevent(b, &ioevent->spec, true);
	if (ret < 0) {
		if (ioevent->vm->failure.error == 0)
			(void)gh_fail_request(&ioevent->vm->failure, ret, STEP, "IOEVENTFD");
		return ret;
	}
	ioevent->active = true;
	if (ioevent->spec.datamatch)
		(void)__atomic_fetch_add(&b->n_matches, 1, __ATOMIC_RELAXED);
	return 0;
}

/* A kernel that removes all doorbells of an address gets the others again. */
static void deactivate(struct gh_ioevent *ioevent)
{
	struct gh_vm *vm = ioevent->vm;

	if (!ioevent->active)
		return;
	ioevent->active = false;
	if (ioevent->spec.datamatch)
		(void)__atomic_fetch_sub(&vm->b.n_matches, 1, __ATOMIC_RELAXED);
	(void)vm->b.ops->ioevent(&vm->b, &ioevent->spec, false);
	if (!vm->b.caps.removes_by_address)
		return;
	for (struct gh_ioevent *other = vm->ioevents; other != NULL; other = other->next) {
		int ret;

		if (other == ioevent || !other->active || other->spec.gpa != ioevent->spec.gpa)
			continue;
		ret = vm->b.ops->ioevent(&vm->b, &other->spec, true);
		/* Newer kernels remove exactly, and have it still. */
		other->active = ret == 0 || ret == -EEXIST;
		if (!other->active)
			gh_vm_log(vm, "the kernel did not take the doorbell at 0x%llx back: its stores are exits now",
				  (unsigned long long)other->spec.gpa);
	}
}

int gh_ioevents_activate(struct gh_vm *vm)
{
	for (struct gh_ioevent *ioevent = vm->ioevents; ioevent != NULL; ioevent = ioevent->next) {
		int ret = activate(ioevent);

		if (ret < 0)
			return ret;
	}
	return 0;
}

static void ioevent_free(struct gh_ioevent *ioevent)
{
	struct gh_sys *sys = ioevent->vm->b.sys;

	(void)sys->close(sys, ioevent->spec.fd);
	free(ioevent);
}

void gh_ioevents_free(struct gh_vm *vm)
{
	/* One by one and off the list first: nothing is added again. */
	while (vm->ioevents != NULL) {
		struct gh_ioevent *ioevent = vm->ioevents;

		vm->ioevents = ioevent->next;
		if (ioevent->active && !vm->b.in_child)
			(void)vm->b.ops->ioevent(&vm->b, &ioevent->spec, false);
		ioevent_free(ioevent);
	}
}

/* --- the caller's side -------------------------------------------------------------------------------------------- */

static int check_options(struct gh_vm *vm, const struct gh_ioevent_options *options)
{
	bool datamatch = (options->flags & GH_IOEVENT_DATAMATCH) != 0;

	if ((options->flags & ~(uint32_t)GH_IOEVENT_DATAMATCH) != 0 || options->reserved != 0 || options->fd < -1)
		return gh_fail_argument(&vm->failure, -EINVAL, STEP,
					"An unknown flag or a reserved field is set, or the descriptor is below -1.");
	if (options->width != 0 && !gh_width_valid(options->width))
		return gh_fail_argument(&vm->failure, -EINVAL, STEP, "The width must be 0, 1, 2, 4 or 8 bytes.");
	if (datamatch && (options->width == 0 || (options->value & ~gh_value_mask(options->width)) != 0))
		return gh_fail_argument(&vm->failure, -EINVAL, STEP,
					"A data match needs a width, and a value that fits it: it would never match.");
	if (!datamatch && options->value != 0)
		return gh_fail_argument(&vm->failure, -EINVAL, STEP,
					"A value without GH_IOEVENT_DATAMATCH has no meaning.");
	if (options->gpa > UINT64_MAX - (options->width > 0 ? options->width : 1))
		return gh_fail_argument(&vm->failure, -ERANGE, STEP, "The range ends beyond the address space.");
	return 0;
}

static int check_place(struct gh_vm *vm, const struct gh_ioevent_spec *spec)
{
	if (atomic_load(&vm->state) == GH_VM_BROKEN)
		return gh_fail_state(&vm->failure, STEP, "The VM's start has failed.");
	if ((vm->b.caps.features & GH_FEATURE_IOEVENTFD) == 0)
		return gh_fail(&vm->failure, -EOPNOTSUPP, STEP, NULL, "Handle the store as an exit.",
			       "This hypervisor has no ioeventfds.");
	for (const struct gh_ioevent *other = vm->ioevents; other != NULL; other = other->next)
		if (collide(&vm->b.caps, &other->spec, spec))
			return gh_fail(&vm->failure, -EEXIST, STEP, NULL,
				       "Remove the other one, or use one doorbell and look at the value.",
				       "The doorbell at 0x%llx, %u bytes, is in the way.",
				       (unsigned long long)other->spec.gpa, other->spec.width);
	return 0;
}

/* Under the lock. */
static int add(struct gh_vm *vm, const struct gh_ioevent_options *options, struct gh_ioevent **ret_ioevent)
{
	struct gh_ioevent *ioevent;
	int64_t id; /* two doorbells may have one eventfd */
	struct gh_ioevent_spec spec = { .gpa = options->gpa,
					.width = options->width,
					.datamatch = options->flags & GH_IOEVENT_DATAMATCH,
					.value = options->value };
	int ret = check_options(vm, options);

	if (ret == 0)
		ret = check_place(vm, &spec);
	if (ret < 0)
		return ret;
	ioevent = calloc(1, sizeof(*ioevent));
	if (ioevent == NULL)
		return gh_fail_memory(&vm->failure, STEP);
	spec.fd = gh_eventfd_take(vm->b.sys, options->fd, &id);
	if (spec.fd < 0) {
		free(ioevent);
		return gh_fail(&vm->failure, spec.fd, STEP, "eventfd", "Pass an eventfd, or -1 to have one made.",
			       "The descriptor %d is not open, is not an eventfd, or cannot be copied.", options->fd);
	}
	ioevent->vm = vm;
	ioevent->spec = spec;
	if (atomic_load(&vm->state) == GH_VM_STARTED) {
		ret = activate(ioevent);
		if (ret < 0) {
			ioevent_free(ioevent);
			return ret;
		}
	}
	ioevent->next = vm->ioevents;
	vm->ioevents = ioevent;
	*ret_ioevent = ioevent;
	return 0;
}

int gh_ioevent_add(struct gh_vm *vm, const struct gh_ioevent_options *callers, struct gh_ioevent **ret_ioevent)
{
	struct gh_ioevent_options options = GH_IOEVENT_OPTIONS_INIT;
	int ret;

	if (vm == NULL || callers == NULL || ret_ioevent == NULL ||
	    gh_opts_copy(&options, sizeof(options), sizeof(options), callers) < 0)
		return -EINVAL;
	if (gh_vm_is_forked(vm))
		return -EPERM;
	(void)pthread_mutex_lock(&vm->lock);
	ret = add(vm, &options, ret_ioevent);
	(void)pthread_mutex_unlock(&vm->lock);
	return ret;
}

int gh_ioevent_fd(const struct gh_ioevent *ioevent)
{
	return ioevent != NULL ? ioevent->spec.fd : -1;
}

void gh_ioevent_remove(struct gh_ioevent *ioevent)
{
	struct gh_ioevent **link;
	struct gh_vm *vm;

	if (ioevent == NULL)
		return;
	vm = ioevent->vm;
	/* A child's request would take the parent's doorbell away, and the lock may be held for ever; it goes with the VM. */
	if (gh_vm_is_forked(vm))
		return;
	(void)pthread_mutex_lock(&vm->lock);
	deactivate(ioevent);
	for (link = &vm->ioevents; *link != NULL && *link != ioevent; link = &(*link)->next)
		;
	if (*link != NULL)
		*link = ioevent->next;
	ioevent_free(ioevent);
	(void)pthread_mutex_unlock(&vm->lock);
}
