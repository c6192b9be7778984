/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GH_LIB_THREAD_H
#define GH_LIB_THREAD_H

#include <pthread.h>

struct gh_vm;

/*
 * A thread of the library's, with every signal blocked: those of the process are none of its business. Returns 0 or a negative
 * errno value, which the VM's failure explains. Under the VM's lock.
 */
int gh_thread_start(struct gh_vm *vm, const char *step, pthread_t *ret_thread, void *(*work)(void *data), void *data);

#endif
