/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The `kvm` engine: level-triggered lines. Each is an irqfd of KVM with an eventfd of the engine's, which KVM lowers when the
 * guest acknowledges, telling all of the line's.
 */
#include "engine_kvm.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>

struct kvm_level {
	struct kvm_vm *vm;
	struct kvm_level *next;
	struct gh_irqfd_spec spec; /* fd: the engine's, resample_fd: the driver's; both ours */
	bool active;               /* KVM has it */
	bool raised;               /* before that */
};

/* An error has nobody to go to: KVM itself refuses no irqfd of a line that there is. */
static void signal_line(const struct kvm_level *level)
{
	static const uint64_t one = 1;
	struct gh_sys *sys = level->vm->b.sys;

	(void)sys->write(sys, level->spec.fd, &one, sizeof(one));
}

/* Under the lock. */
static int activate(struct kvm_level *level)
{
	int ret;

	/* A driver does not check the number of a line, and one that there is not does nothing. */
	if (level->spec.line >= GH_KVM_LINES)
		return 0;
	ret = gh_kvm_irqfd(&level->vm->b, &level->spec, true);
	level->active = ret == 0;
	if (level->active && level->raised)
		signal_line(level);
	return ret;
}

int kvm_level_new(void *data, uint32_t spi, int resample_fd, void **ret_level)
{
	struct kvm_vm *vm = data;
	struct kvm_level *level = calloc(1, sizeof(*level));
	int ret;

	if (level == NULL)
		return -ENOMEM;
	level->vm = vm;
	level->spec = (struct gh_irqfd_spec){ .line = spi, .level = true, .resample = true, .resample_fd = resample_fd };
	ret = vm->b.sys->eventfd(vm->b.sys, 0, EFD_NONBLOCK);
	if (ret < 0)
		goto err_level;
	level->spec.fd = ret;
	(void)pthread_mutex_lock(&vm->lock);
	ret = vm->started ? activate(level) : 0;
	if (ret == 0) {
		level->next = vm->lines;
		vm->lines = level;
	}
	(void)pthread_mutex_unlock(&vm->lock);
	if (ret < 0)
		goto err_fd;
	*ret_level = level;
	return 0;
err_fd:
	(void)vm->b.sys->close(vm->b.sys, level->spec.fd);
err_level:
	free(level);
	return ret;
}

void kvm_level_raise(void *data)
{
	struct kvm_level *level = data;

	(void)pthread_mutex_lock(&level->vm->lock);
	if (level->active)
		signal_line(level);
	else
		level->raised = true;
	(void)pthread_mutex_unlock(&level->vm->lock);
}

void kvm_level_free(void *data)
{
	struct kvm_level *level = data;
	struct kvm_vm *vm = level->vm;
	struct kvm_level **link = &vm->lines;

	(void)pthread_mutex_lock(&vm->lock);
	while (*link != level)
		link = &(*link)->next;
	*link = level->next;
	if (level->active)
		(void)gh_kvm_irqfd(&vm->b, &level->spec, false);
	(void)pthread_mutex_unlock(&vm->lock);
	(void)vm->b.sys->close(vm->b.sys, level->spec.fd);
	(void)vm->b.sys->close(vm->b.sys, level->spec.resample_fd);
	free(level);
}

void kvm_levels_activate(struct kvm_vm *vm)
{
	for (struct kvm_level *level = vm->lines; level != NULL; level = level->next)
		(void)activate(level);
}
