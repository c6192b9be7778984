/* SPDX-License-Identifier: BSD-3-Clause */
/* The library's own threads. */
#include "thread.h"

#include "internal.h"

#include <string.h>

int gh_thread_start(struct gh_vm *vm, const char *step, pthread_t *ret_thread, void *(*work)(void *data), void *data)
{
	struct gh_sys *sys = vm->b.sys;
	sigset_t all;
	sigset_t old;
	int ret;

	/* Threads inherit what is blocked. */
	(void)sigfillset(&all);
	ret = sys->sigprocmask(sys, SIG_SETMASK, &all, &old);
	if (ret < 0)
		return gh_fail_request(&vm->failure, ret, step, "rt_sigprocmask");
	ret = -pthread_create(ret_thread, NULL, work, data);
	(void)sys->sigprocmask(sys, SIG_SETMASK, &old, NULL);
	if (ret == 0)
		return 0;
	return gh_fail_as(&vm->failure, GH_CAUSE_NO_ROOM, ret, step, "clone",
			  "End some threads or processes, or raise the limit (ulimit -u, pids.max of the control group).",
			  "The system has no room for another thread (%s).", strerror(-ret));
}
