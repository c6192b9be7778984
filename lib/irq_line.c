/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lines that the VMM sets itself. Where a kernel has no request for that (Gunyah), the library has an irqfd of its own: it
 * can pulse the line, and pulses it again and again while a level-triggered one is up.
 */
#include "internal.h"
#include "opts.h"
#include "resample.h"

#include <errno.h>
#include <stdlib.h>

#define STEP "take an interrupt line"

struct gh_irq {
	struct gh_vm *vm;
	struct gh_irq *next;
	struct gh_irqfd_spec spec; /* fd: -1 where the kernel takes levels */
	pthread_mutex_t lock;      /* of what follows, and of requests for the line: the last one to set it wins */
	bool active;               /* the VM has started */
	bool high;
	bool pulsed; /* before the start */
	struct gh_resample resample;
};

static bool is_direct(const struct gh_vm *vm)
{
	return gh_can(&vm->b, GH_FEATURE_IRQ_LINE);
}

static bool is_emulated(const struct gh_irq *irq)
{
	return irq->spec.level && !is_direct(irq->vm);
}

/* --- setting; under the line's lock ----------------------------------------------------------------------------------- */

/* The doorbell went down when the guest acknowledged it, or is still up; in both cases another pulse does it. */
static bool pulse_again(struct gh_resample *line)
{
	struct gh_irq *irq = (struct gh_irq *)(void *)((char *)line - offsetof(struct gh_irq, resample));

	(void)gh_eventfd_signal(irq->vm->b.sys, irq->spec.fd);
	return true;
}

static const struct gh_resample_ops resample_ops = { .due = pulse_again };

static int raise_once(struct gh_irq *irq)
{
	struct gh_bvm *b = &irq->vm->b;

	return is_direct(irq->vm) ? b->ops->irq_line(b, irq->spec.line, true) : gh_eventfd_signal(b->sys, irq->spec.fd);
}

static int raise_level(struct gh_irq *irq, bool was_high)
{
	int ret = was_high ? 0 : raise_once(irq);

	if (ret == 0 && is_emulated(irq))
		gh_resample_assert(irq->vm, &irq->resample);
	return ret;
}

static int lower_level(struct gh_irq *irq)
{
	struct gh_bvm *b = &irq->vm->b;

	if (is_direct(irq->vm))
		return b->ops->irq_line(b, irq->spec.line, false);
	gh_resample_calm(irq->vm, &irq->resample);
	return 0;
}

static int set(struct gh_irq *irq, bool high)
{
	bool was_high = irq->high;
	int ret = 0;

	if (irq->active && irq->spec.level && high)
		ret = raise_level(irq, was_high);
	else if (irq->active && irq->spec.level && was_high)
		ret = lower_level(irq);
	else if (irq->active && high && !was_high)
		ret = raise_once(irq);
	if (ret == 0)
		irq->high = high;
	return ret;
}

/* --- the kernel's side; under the VM's lock -------------------------------------------------------------------------- */

static int make_eventfd(struct gh_irq *irq)
{
	struct gh_sys *sys = irq->vm->b.sys;
	int fd = irq->spec.fd >= 0 ? irq->spec.fd : sys->eventfd(sys, 0, 0);

	if (fd < 0)
		return gh_fail_request(&irq->vm->failure, fd, STEP, "eventfd");
	irq->spec.fd = fd;
	return 0;
}

static int connect(struct gh_irq *irq)
{
	struct gh_bvm *b = &irq->vm->b;
	int ret;

	if (is_direct(irq->vm))
		return 0;
	ret = gh_line_check_spec(irq->vm, &irq->spec);
	if (ret == 0)
		ret = make_eventfd(irq);
	if (ret == 0 && is_emulated(irq))
		ret = gh_resample_add(irq->vm, &irq->resample);
	if (ret < 0)
		return ret;
	ret = b->ops->irqfd(b, &irq->spec, true);
	if (ret < 0 && is_emulated(irq))
		gh_resample_remove(irq->vm, &irq->resample);
	return ret;
}

/* What was set before the start. */
static int catch_up(struct gh_irq *irq)
{
	bool high = irq->high;
	int ret = 0;

	irq->active = true;
	irq->high = false;
	if (irq->pulsed)
		ret = raise_once(irq);
	return ret < 0 ? ret : set(irq, high);
}

static int activate(struct gh_irq *irq)
{
	int ret;

	irq->vm->failure.error = 0;
	ret = connect(irq);
	if (ret == 0) {
		(void)pthread_mutex_lock(&irq->lock);
		ret = catch_up(irq);
		(void)pthread_mutex_unlock(&irq->lock);
	}
	if (ret < 0 && irq->vm->failure.error == 0)
		(void)gh_diagnose(&irq->vm->failure, &irq->vm->b, GH_REQUEST_IRQ_LINE, ret, NULL);
	return ret;
}

int gh_irqs_check(struct gh_vm *vm)
{
	int ret = 0;

	for (const struct gh_irq *irq = vm->irqs; irq != NULL && ret == 0 && !is_direct(vm); irq = irq->next)
		ret = gh_line_check_spec(vm, &irq->spec);
	return ret;
}

int gh_irqs_activate(struct gh_vm *vm)
{
	int ret = 0;

	for (struct gh_irq *irq = vm->irqs; irq != NULL && ret == 0; irq = irq->next)
		ret = activate(irq);
	return ret;
}

/* Nobody else uses it. The eventfd goes before its irqfd (section 10.2 of the Gunyah document). */
static void disconnect(struct gh_irq *irq)
{
	struct gh_bvm *b = &irq->vm->b;

	if (irq->high && irq->active && irq->spec.level && is_direct(irq->vm))
		(void)b->ops->irq_line(b, irq->spec.line, false);
	if (is_emulated(irq))
		gh_resample_remove(irq->vm, &irq->resample);
	if (is_direct(irq->vm) || !gh_is_quirky(b, GH_QUIRK_EVENTFD_GOES_FIRST))
		return;
	(void)b->sys->close(b->sys, irq->spec.fd);
	irq->spec.fd = -1;
}

static void take_from_kernel(struct gh_irq *irq)
{
	struct gh_bvm *b = &irq->vm->b;

	if (irq->active && !b->in_child) {
		disconnect(irq);
		if (!is_direct(irq->vm))
			(void)b->ops->irqfd(b, &irq->spec, false);
	}
	irq->active = false;
	if (irq->spec.fd >= 0)
		(void)b->sys->close(b->sys, irq->spec.fd);
	irq->spec.fd = -1;
}

static void irq_free(struct gh_irq *irq)
{
	take_from_kernel(irq);
	(void)pthread_mutex_destroy(&irq->lock);
	free(irq);
}

/* The level stays, which is the device's: the next guest sees it. A pulse was for the guest that is gone. */
void gh_irqs_deactivate(struct gh_vm *vm)
{
	for (struct gh_irq *irq = vm->irqs; irq != NULL; irq = irq->next) {
		(void)pthread_mutex_lock(&irq->lock);
		take_from_kernel(irq);
		irq->pulsed = false;
		(void)pthread_mutex_unlock(&irq->lock);
	}
}

void gh_irqs_free(struct gh_vm *vm)
{
	while (vm->irqs != NULL) {
		struct gh_irq *irq = vm->irqs;

		vm->irqs = irq->next;
		irq_free(irq);
	}
}

void gh_irqs_each(const struct gh_vm *vm, void (*each)(void *data, uint32_t line, bool level), void *data)
{
	for (const struct gh_irq *irq = vm->irqs; irq != NULL; irq = irq->next)
		each(data, irq->spec.line, irq->spec.level);
}

bool gh_irqs_have(const struct gh_vm *vm, uint32_t line)
{
	const struct gh_irq *irq = vm->irqs;

	while (irq != NULL && irq->spec.line != line)
		irq = irq->next;
	return irq != NULL;
}

/* --- the caller's side ---------------------------------------------------------------------------------------------- */

static int check(struct gh_vm *vm, const struct gh_irq_options *options)
{
	bool level = (options->flags & GH_IRQ_LEVEL) != 0;
	uint64_t needed = GH_FEATURE_IRQFD | (level ? (uint64_t)GH_FEATURE_IRQFD_LEVEL : 0);

	if ((options->flags & ~(uint32_t)GH_IRQ_LEVEL) != 0)
		return gh_fail_argument(&vm->failure, -EINVAL, STEP, "An unknown flag is set.");
	if (!is_direct(vm) && (vm->b.caps.features & needed) != needed)
		return gh_fail(&vm->failure, -EOPNOTSUPP, STEP, NULL,
			       "Make the line edge-triggered, or use another hypervisor.",
			       "This hypervisor has neither direct lines nor irqfds that could stand in.");
	return gh_line_check(vm, STEP, options->line);
}

static int irq_new(struct gh_vm *vm, const struct gh_irq_options *options, struct gh_irq **ret_irq)
{
	struct gh_irq *irq = calloc(1, sizeof(*irq));

	if (irq == NULL)
		return gh_fail_memory(&vm->failure, STEP);
	irq->vm = vm;
	irq->spec = (struct gh_irqfd_spec){ .fd = -1, .line = options->line, .level = options->flags & GH_IRQ_LEVEL };
	irq->resample = (struct gh_resample){ .ops = &resample_ops, .fd = -1 };
	if (!is_direct(vm)) {
		int fd = vm->b.sys->eventfd(vm->b.sys, 0, 0);

		if (fd < 0) {
			free(irq);
			return gh_fail_request(&vm->failure, fd, STEP, "eventfd");
		}
		irq->spec.fd = fd;
	}
	(void)pthread_mutex_init(&irq->lock, NULL);
	*ret_irq = irq;
	return 0;
}

/* Under the VM's lock. */
static int add(struct gh_vm *vm, const struct gh_irq_options *options, struct gh_irq **ret_irq)
{
	struct gh_irq *irq = NULL;
	int ret = check(vm, options);

	if (ret == 0)
		ret = irq_new(vm, options, &irq);
	if (ret != 0)
		return ret;
	if (atomic_load(&vm->state) == GH_VM_STARTED) {
		ret = activate(irq);
		if (ret < 0) {
			irq_free(irq);
			return ret;
		}
	}
	irq->next = vm->irqs;
	vm->irqs = irq;
	*ret_irq = irq;
	return 0;
}

int gh_irq_add(struct gh_vm *vm, const struct gh_irq_options *callers, struct gh_irq **ret_irq)
{
	struct gh_irq_options options = GH_IRQ_OPTIONS_INIT;
	int ret;

	if (vm == NULL || callers == NULL || ret_irq == NULL ||
	    gh_opts_copy(&options, sizeof(options), sizeof(options), callers) < 0)
		return -EINVAL;
	if (gh_vm_is_forked(vm))
		return gh_fail_forked(vm);
	(void)pthread_mutex_lock(&vm->lock);
	ret = add(vm, &options, ret_irq);
	(void)pthread_mutex_unlock(&vm->lock);
	return ret;
}

int gh_irq_set(struct gh_irq *irq, int level)
{
	int ret;

	if (irq == NULL)
		return -EINVAL;
	if (gh_vm_is_forked(irq->vm))
		return gh_fail_forked(irq->vm);
	(void)pthread_mutex_lock(&irq->lock);
	ret = set(irq, level != 0);
	(void)pthread_mutex_unlock(&irq->lock);
	return ret;
}

int gh_irq_pulse(struct gh_irq *irq)
{
	int ret = 0;

	if (irq == NULL || irq->spec.level)
		return -EINVAL;
	if (gh_vm_is_forked(irq->vm))
		return gh_fail_forked(irq->vm);
	(void)pthread_mutex_lock(&irq->lock);
	if (irq->active)
		ret = raise_once(irq);
	else
		irq->pulsed = true;
	(void)pthread_mutex_unlock(&irq->lock);
	return ret;
}

int gh_irq_is_emulated(const struct gh_irq *irq)
{
	return irq != NULL && is_emulated(irq);
}

void gh_irq_remove(struct gh_irq *irq)
{
	struct gh_irq **link;
	struct gh_vm *vm;

	if (irq == NULL)
		return;
	vm = irq->vm;
	/* As gh_irqfd_remove(). */
	if (gh_vm_is_forked(vm))
		return;
	(void)pthread_mutex_lock(&vm->lock);
	for (link = &vm->irqs; *link != NULL && *link != irq; link = &(*link)->next)
		;
	if (*link != NULL)
		*link = irq->next;
	irq_free(irq);
	(void)pthread_mutex_unlock(&vm->lock);
}
