/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GH_LIB_THREAD_H
#define GH_LIB_THREAD_H

#include "sys.h"

#include <pthread.h>

/* With every signal blocked: those of the process are none of its business. Returns 0 or a negative errno value. */
int gh_thread_start(struct gh_sys *sys, pthread_t *ret_thread, void *(*work)(void *data), void *data);

#endif
