/* SPDX-License-Identifier: BSD-3-Clause */
/* The library's own threads. */
#include "thread.h"

int gh_thread_start(struct gh_sys *sys, pthread_t *ret_thread, void *(*work)(void *data), void *data)
{
	sigset_t all;
	sigset_t old;
	int ret;

	/* Threads inherit what is blocked. */
	(void)sigfillset(&all);
	ret = sys->sigprocmask(sys, SIG_SETMASK, &all, &old);
	if (ret < 0)
		return ret;
	ret = -pthread_create(ret_thread, NULL, work, data);
	(void)sys->sigprocmask(sys, SIG_SETMASK, &old, NULL);
	return ret;
}
