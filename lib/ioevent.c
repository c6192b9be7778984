/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Doorbells: the truth about which store signals which eventfd, whatever a kernel remembers of it.
 *
 * A doorbell is with the kernel, where its stores make no exit, or on the bus, where they do and gh_bus_dispatch() rings
 * it. It goes to the bus when the kernel cannot have it, refuses it, or would give it the stores of another one; it never
 * comes back, because a store whose exit is on its way to the bus must find it there.
 */
#include "bus.h"
#include "exit.h"
#include "internal.h"
#include "opts.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define STEP "add a doorbell"
#define NAP_NS 50000L

struct gh_ioevent {
	struct gh_vm *vm;
	struct gh_ioevent *next;
	struct gh_ioevent_spec spec;
	bool active;                /* the kernel knows it */
	atomic_bool on_bus;         /* the bus does; written under the lock */
	unsigned int ringing;       /* threads that write to the descriptor without the lock */
	struct gh_bus_guest *guest; /* what the bus has given back: somebody may still be writing */
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

/* Without the lock. */
static bool is_near(struct gh_vm *vm, uint64_t gpa)
{
	return gpa < atomic_load_explicit(&vm->bells_end, memory_order_relaxed) &&
	       gpa >= atomic_load_explicit(&vm->bells_begin, memory_order_relaxed);
}

/* Under the lock, before the kernel gets it: a store that has met it there finds this. */
static void come_near(struct gh_vm *vm, uint64_t gpa)
{
	uint64_t end = atomic_load(&vm->bells_end);

	if (end == 0 || gpa < atomic_load(&vm->bells_begin))
		atomic_store(&vm->bells_begin, gpa);
	if (gpa >= end)
		atomic_store(&vm->bells_end, gpa + 1);
}

/* The write may wait for a reader: it must not keep others from the lock. */
static void ring(struct gh_ioevent *ioevent)
{
	struct gh_vm *vm = ioevent->vm;

	ioevent->ringing++;
	(void)pthread_mutex_unlock(&vm->lock);
	(void)gh_eventfd_signal(vm->b.sys, ioevent->spec.fd);
	(void)pthread_mutex_lock(&vm->lock);
	ioevent->ringing--;
}

bool gh_ioevent_was_rung(struct gh_bvm *b, uint64_t gpa, uint32_t width, uint64_t value, uint32_t changes)
{
	struct gh_vm *vm = (struct gh_vm *)b; /* its first member */
	struct gh_ioevent *ioevent;

	if (!is_near(vm, gpa))
		return false;
	(void)pthread_mutex_lock(&vm->lock);
	ioevent = find(vm, gpa, width, value);
	/* It may have come after the store: better twice than never. */
	if (ioevent != NULL && b->n_changes != changes)
		ring(ioevent);
	(void)pthread_mutex_unlock(&vm->lock);
	return ioevent != NULL;
}

bool gh_ioevent_signal(struct gh_bvm *b, uint64_t gpa, uint32_t width, uint64_t value)
{
	struct gh_vm *vm = (struct gh_vm *)b;
	struct gh_ioevent *ioevent;

	if (!is_near(vm, gpa))
		return false;
	(void)pthread_mutex_lock(&vm->lock);
	ioevent = find(vm, gpa, width, value);
	if (ioevent != NULL)
		ring(ioevent);
	(void)pthread_mutex_unlock(&vm->lock);
	return ioevent != NULL;
}

/* Would one store ring both? */
static bool share_a_store(const struct gh_ioevent_spec *a, const struct gh_ioevent_spec *b)
{
	if (a->gpa != b->gpa || (a->width != b->width && a->width != 0 && b->width != 0))
		return false;
	return !a->datamatch || !b->datamatch || a->value == b->value;
}

/* Would the kernel give some of b's stores to a? */
static bool steals(const struct gh_caps *caps, const struct gh_ioevent_spec *a, const struct gh_ioevent_spec *b)
{
	return (caps->quirks & GH_QUIRK_DOORBELLS_IGNORE_WIDTH) != 0 && !a->datamatch && a->gpa == b->gpa;
}

/* Does the kernel refuse one of the two? */
static bool exclude(const struct gh_caps *caps, const struct gh_ioevent_spec *a, const struct gh_ioevent_spec *b)
{
	uint64_t a_last = a->gpa + (a->width > 0 ? a->width - 1 : 0);
	uint64_t b_last = b->gpa + (b->width > 0 ? b->width - 1 : 0);

	/* Whichever comes first: GenieZone's kernel would take some in one order, and not in the other. */
	return (caps->features & GH_FEATURE_DATAMATCH) == 0 && a->gpa <= b_last && b->gpa <= a_last;
}

/* --- the bus; under the lock --------------------------------------------------------------------------------------- */

static struct gh_bus_doorbell on_bus(const struct gh_ioevent_spec *spec)
{
	return (struct gh_bus_doorbell){
		.gpa = spec->gpa, .value = spec->value, .width = spec->width, .match = spec->datamatch, .fd = spec->fd
	};
}

static int take_the_bus(struct gh_ioevent *ioevent)
{
	const struct gh_bus_doorbell doorbell = on_bus(&ioevent->spec);
	int ret;

	if (atomic_load(&ioevent->on_bus))
		return 0;
	ret = gh_bus_add_doorbell(ioevent->vm, &doorbell);
	if (ret < 0)
		return gh_fail_memory(&ioevent->vm->failure, STEP);
	atomic_store(&ioevent->on_bus, true);
	return 0;
}

/* --- the kernel's side; under the lock ----------------------------------------------------------------------------- */

static void count(struct gh_ioevent *ioevent, bool active)
{
	struct gh_bvm *b = &ioevent->vm->b;

	ioevent->active = active;
	(void)__atomic_fetch_add(&b->n_changes, 1, __ATOMIC_RELAXED);
	if (ioevent->spec.datamatch)
		(void)__atomic_fetch_add(&b->n_matches, active ? 1u : -1u, __ATOMIC_RELAXED);
}

/* Is it this doorbell that the kernel does not want? Then it does without; other errors are the caller's to know. */
static bool is_refusal(int error)
{
	switch (error) {
	case -EINVAL:
	case -EEXIST:
	case -ENOSPC:
	case -E2BIG:
	case -ENOENT: /* Gunyah: no such function */
	case -ENOTTY:
	case -ENOSYS:
	case -EOPNOTSUPP:
		return true;
	default:
		return false;
	}
}

static int activate(struct gh_ioevent *ioevent)
{
	struct gh_vm *vm = ioevent->vm;
	int ret;

	vm->failure.error = 0;
	come_near(vm, ioevent->spec.gpa);
	ret = vm->b.ops->ioevent(&vm->b, &ioevent->spec, true);
	if (ret == 0) {
		count(ioevent, true);
		return 0;
	}
	if (is_refusal(ret)) {
		gh_vm_log(vm,
			  "the kernel did not take the doorbell at 0x%llx (%d): its stores are exits, which the bus rings",
			  (unsigned long long)ioevent->spec.gpa, ret);
		vm->failure.error = 0;
		return take_the_bus(ioevent);
	}
	if (vm->failure.error == 0)
		(void)gh_fail_request(&vm->failure, ret, STEP, "IOEVENTFD");
	return ret;
}

/* Twice if need be: a kernel may lose for ever what is still there when its VM goes (section 9 of the GenieZone document). */
static void take_from_kernel(struct gh_ioevent *ioevent)
{
	struct gh_bvm *b = &ioevent->vm->b;
	int ret = b->ops->ioevent(b, &ioevent->spec, false);

	if (ret < 0 && ret != -ENOENT)
		(void)b->ops->ioevent(b, &ioevent->spec, false);
}

/*
 * A kernel that removes all doorbells of an address gets the others again. Their stores make exits in between; a backend
 * that asks whose these were (gh_ioevent_signal()) waits for the lock, and finds them.
 */
static void repair(struct gh_ioevent *ioevent)
{
	struct gh_vm *vm = ioevent->vm;

	for (struct gh_ioevent *other = vm->ioevents; other != NULL; other = other->next) {
		int ret;

		if (other == ioevent || !other->active || other->spec.gpa != ioevent->spec.gpa)
			continue;
		ret = vm->b.ops->ioevent(&vm->b, &other->spec, true);
		/* Newer kernels remove exactly, and have it still. */
		if (ret == 0 || ret == -EEXIST)
			continue;
		ret = take_the_bus(other);
		count(other, false);
		gh_vm_log(vm, "the kernel did not take the doorbell at 0x%llx back: its stores are exits now%s",
			  (unsigned long long)other->spec.gpa, ret < 0 ? ", and nobody rings it" : "");
	}
}

static void deactivate(struct gh_ioevent *ioevent)
{
	struct gh_vm *vm = ioevent->vm;

	if (!ioevent->active)
		return;
	count(ioevent, false);
	take_from_kernel(ioevent);
	if (gh_is_quirky(&vm->b, GH_QUIRK_REMOVES_BY_ADDRESS))
		repair(ioevent);
}

/* Before the kernel is asked: can this one be with it, beside those that are? Those that would take its stores leave. */
static int place(struct gh_ioevent *ioevent, bool wanted)
{
	struct gh_vm *vm = ioevent->vm;
	const struct gh_caps *caps = &vm->b.caps;
	bool kernel = wanted && (caps->features & GH_FEATURE_IOEVENTFD) != 0;

	/* It would ring for other values, too. */
	if (ioevent->spec.datamatch && (caps->quirks & GH_QUIRK_COARSE_DATAMATCH) != 0)
		kernel = false;

	for (struct gh_ioevent *other = vm->ioevents; other != NULL; other = other->next) {
		if (steals(caps, &ioevent->spec, &other->spec) ||
		    (!atomic_load(&other->on_bus) && !steals(caps, &other->spec, &ioevent->spec) &&
		     exclude(caps, &ioevent->spec, &other->spec)))
			kernel = false;
	}
	if (!kernel) {
		int ret = take_the_bus(ioevent);

		if (ret < 0)
			return ret;
	}
	for (struct gh_ioevent *other = vm->ioevents; other != NULL; other = other->next) {
		if (atomic_load(&other->on_bus) || !steals(caps, &other->spec, &ioevent->spec))
			continue;
		if (take_the_bus(other) < 0)
			return -ENOMEM;
		deactivate(other);
	}
	return 0;
}

int gh_ioevents_activate(struct gh_vm *vm)
{
	int ret = 0;

	for (struct gh_ioevent *ioevent = vm->ioevents; ioevent != NULL && ret == 0; ioevent = ioevent->next)
		if (!atomic_load(&ioevent->on_bus))
			ret = activate(ioevent);
	return ret;
}

void gh_ioevents_deactivate(struct gh_vm *vm)
{
	for (struct gh_ioevent *ioevent = vm->ioevents; ioevent != NULL; ioevent = ioevent->next) {
		if (!ioevent->active)
			continue;
		count(ioevent, false);
		take_from_kernel(ioevent);
	}
}

/* Under the lock, off the list: no store finds it any more. */
static void withdraw(struct gh_ioevent *ioevent)
{
	const struct gh_bus_doorbell doorbell = on_bus(&ioevent->spec);

	if (atomic_load(&ioevent->on_bus))
		ioevent->guest = gh_bus_withdraw_doorbell(ioevent->vm, &doorbell);
}

static bool is_ringing(struct gh_ioevent *ioevent)
{
	bool ringing;

	(void)pthread_mutex_lock(&ioevent->vm->lock);
	ringing = ioevent->ringing > 0;
	(void)pthread_mutex_unlock(&ioevent->vm->lock);
	return ringing;
}

/* Without the lock: waits for those who write at this moment. */
static void ioevent_free(struct gh_ioevent *ioevent)
{
	const struct timespec nap = { .tv_sec = 0, .tv_nsec = NAP_NS };
	struct gh_sys *sys = ioevent->vm->b.sys;

	gh_bus_end_doorbell(ioevent->vm, ioevent->guest);
	while (!ioevent->vm->b.in_child && is_ringing(ioevent))
		(void)sys->ppoll(sys, NULL, 0, &nap);
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
			take_from_kernel(ioevent);
		withdraw(ioevent);
		ioevent_free(ioevent);
	}
}

/* --- the caller's side -------------------------------------------------------------------------------------------- */

static int check_options(struct gh_vm *vm, const struct gh_ioevent_options *options)
{
	bool datamatch = (options->flags & GH_IOEVENT_DATAMATCH) != 0;

	if ((options->flags & ~(uint32_t)(GH_IOEVENT_DATAMATCH | GH_IOEVENT_EMULATE)) != 0 || options->reserved != 0 ||
	    options->fd < -1)
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
	for (const struct gh_ioevent *other = vm->ioevents; other != NULL; other = other->next)
		if (share_a_store(&other->spec, spec))
			return gh_fail(&vm->failure, -EEXIST, STEP, NULL,
				       "Remove the other one, or use one doorbell and look at the value.",
				       "The doorbell at 0x%llx, %u bytes, would ring for the same stores.",
				       (unsigned long long)other->spec.gpa, other->spec.width);
	return 0;
}

static int ioevent_new(struct gh_vm *vm, const struct gh_ioevent_spec *spec, int fd, struct gh_ioevent **ret_ioevent)
{
	struct gh_ioevent *ioevent = calloc(1, sizeof(*ioevent));
	int64_t id; /* two doorbells may have one eventfd */

	if (ioevent == NULL)
		return gh_fail_memory(&vm->failure, STEP);
	ioevent->vm = vm;
	ioevent->spec = *spec;
	ioevent->spec.fd = gh_eventfd_take(vm->b.sys, fd, &id);
	if (ioevent->spec.fd < 0) {
		int ret = ioevent->spec.fd;

		free(ioevent);
		return gh_fail_as(&vm->failure, GH_CAUSE_NOT_EVENTFD, ret, STEP, "eventfd",
				  "Pass an eventfd, or -1 to have one made.",
				  "The descriptor %d is not open, is not an eventfd, or cannot be copied.", fd);
	}
	*ret_ioevent = ioevent;
	return 0;
}

/* Under the lock. After a failure *ret_ioevent is to be freed, without the lock. */
static int add(struct gh_vm *vm, const struct gh_ioevent_options *options, struct gh_ioevent **ret_ioevent)
{
	const struct gh_ioevent_spec spec = { .gpa = options->gpa,
					      .width = options->width,
					      .datamatch = options->flags & GH_IOEVENT_DATAMATCH,
					      .value = options->value };
	struct gh_ioevent **link = &vm->ioevents;
	int ret = check_options(vm, options);

	if (ret == 0)
		ret = check_place(vm, &spec);
	if (ret == 0)
		ret = ioevent_new(vm, &spec, options->fd, ret_ioevent);
	if (ret != 0)
		return ret;
	ret = place(*ret_ioevent, (options->flags & GH_IOEVENT_EMULATE) == 0);
	if (ret == 0 && !atomic_load(&(*ret_ioevent)->on_bus) && atomic_load(&vm->state) == GH_VM_STARTED)
		ret = activate(*ret_ioevent);
	if (ret < 0) {
		withdraw(*ret_ioevent);
		return ret;
	}
	/* At the end: the start asks the kernel in the order of the calls. */
	while (*link != NULL)
		link = &(*link)->next;
	*link = *ret_ioevent;
	return 0;
}

int gh_ioevent_add(struct gh_vm *vm, const struct gh_ioevent_options *callers, struct gh_ioevent **ret_ioevent)
{
	struct gh_ioevent_options options = GH_IOEVENT_OPTIONS_INIT;
	struct gh_ioevent *ioevent = NULL;
	int ret;

	if (vm == NULL || callers == NULL || ret_ioevent == NULL ||
	    gh_opts_copy(&options, sizeof(options), sizeof(options), callers) < 0)
		return -EINVAL;
	if (gh_vm_is_forked(vm))
		return gh_fail_forked(vm);
	(void)pthread_mutex_lock(&vm->lock);
	ret = add(vm, &options, &ioevent);
	(void)pthread_mutex_unlock(&vm->lock);
	if (ret == 0)
		*ret_ioevent = ioevent;
	else if (ioevent != NULL)
		ioevent_free(ioevent);
	return ret;
}

int gh_ioevent_fd(const struct gh_ioevent *ioevent)
{
	return ioevent != NULL ? ioevent->spec.fd : -1;
}

int gh_ioevent_is_emulated(const struct gh_ioevent *ioevent)
{
	return ioevent != NULL && atomic_load(&ioevent->on_bus);
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
	withdraw(ioevent);
	(void)pthread_mutex_unlock(&vm->lock);
	ioevent_free(ioevent);
}
