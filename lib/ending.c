/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A thread for VMs of kernels that tell nobody when one has ended (GH_QUIRK_NO_END_EXIT): their vCPUs sleep in the kernel
 * then. It asks from time to time, and wakes the vCPUs, whose own runs find out. Elsewhere there is no such thread.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>

#define PERIOD_NS 20000000L

struct gh_ending {
	struct gh_vm *vm;
	pthread_t thread;
	int fd; /* an eventfd: the VM is being closed */
};

static void wake_all(struct gh_vm *vm)
{
	/* Whoever has the lock may wait for this thread: the next time will do. */
	if (pthread_mutex_trylock(&vm->lock) != 0)
		return;
	for (struct gh_vcpu *vcpu = vm->vcpus; vcpu != NULL; vcpu = vcpu->next)
		gh_kick(vcpu, GH_NUDGE);
	(void)pthread_mutex_unlock(&vm->lock);
}

static void *work(void *argument)
{
	const struct timespec period = { .tv_sec = 0, .tv_nsec = PERIOD_NS };
	struct gh_ending *ending = argument;
	struct gh_vm *vm = ending->vm;
	struct gh_sys *sys = vm->b.sys;

	for (;;) {
		struct pollfd poll = { .fd = ending->fd, .events = POLLIN };

		if (sys->ppoll(sys, &poll, 1, &period) == 1 || gh_vm_has_ended(vm))
			return NULL;
		/* As often as it takes: a vCPU may have been outside. */
		if (vm->b.ops->vm_is_over(&vm->b))
			wake_all(vm);
	}
}

static int start_thread(struct gh_ending *ending)
{
	struct gh_sys *sys = ending->vm->b.sys;
	sigset_t all;
	sigset_t old;
	int ret;

	(void)sigfillset(&all);
	ret = sys->sigprocmask(sys, SIG_SETMASK, &all, &old);
	if (ret < 0)
		return ret;
	ret = -pthread_create(&ending->thread, NULL, work, ending);
	(void)sys->sigprocmask(sys, SIG_SETMASK, &old, NULL);
	return ret;
}

int gh_ending_start(struct gh_vm *vm)
{
	struct gh_ending *ending;
	int ret;

	if (!gh_is_quirky(&vm->b, GH_QUIRK_NO_END_EXIT) || vm->b.ops->vm_is_over == NULL)
		return 0;
	ending = calloc(1, sizeof(*ending));
	if (ending == NULL)
		return gh_fail_memory(&vm->failure, "start the VM");
	ending->vm = vm;
	ending->fd = vm->b.sys->eventfd(vm->b.sys, 0, 0);
	if (ending->fd < 0) {
		ret = ending->fd;
		goto err_ending;
	}
	ret = start_thread(ending);
	if (ret < 0)
		goto err_fd;
	vm->ending = ending;
	return 0;
err_fd:
	(void)vm->b.sys->close(vm->b.sys, ending->fd);
err_ending:
	free(ending);
	return gh_fail_request(&vm->failure, ret, "start the VM", "start a thread that looks for the VM's end");
}

void gh_ending_stop(struct gh_vm *vm)
{
	const uint64_t one = 1;

	if (vm->ending == NULL)
		return;
	/* In a forked child there is no such thread. */
	if (!gh_vm_is_forked(vm)) {
		(void)vm->b.sys->write(vm->b.sys, vm->ending->fd, &one, sizeof(one));
		(void)pthread_join(vm->ending->thread, NULL);
	}
	(void)vm->b.sys->close(vm->b.sys, vm->ending->fd);
	free(vm->ending);
	vm->ending = NULL;
}
