/* SPDX-License-Identifier: BSD-3-Clause */
/* What a driver does with the eventfds that user space gives it. */
#ifndef GH_SIM_EVENTFDS_H
#define GH_SIM_EVENTFDS_H

#include "sim.h"

/* A reference to an eventfd, which outlives the user's descriptor. */
struct sim_eventfd {
	int fd;      /* our own descriptor of it */
	uint64_t id; /* the same for every descriptor of one eventfd */
};

/* What the kernel calls the file behind `fd`: 0 and its number, -EBADF if it is not open, -EINVAL if it is no eventfd. */
int sim_eventfd_id(int fd, uint64_t *ret_id);
/* Errors as above, -EMFILE. */
int sim_eventfd_get(int fd, struct sim_eventfd *ret_eventfd);
void sim_eventfd_put(struct sim_eventfd *eventfd);
/* Adds 1; a counter that is full stays so. Never blocks. */
void sim_eventfd_signal(const struct sim_eventfd *eventfd);
/*
 * Reads the eventfd with this number if it has something to read, whatever descriptor of this process it has by now; `fd`
 * is where it was last. False: nothing to read. -1 goes into `fd` if no descriptor is left.
 */
bool sim_eventfd_drain(struct gh_sim *sim, int *fd, uint64_t id);

/*
 * Calls `signalled` in the machine's watching thread whenever somebody adds to the eventfd; several additions at about the
 * same time can be one call, as with the kernel's own work queues. What it held before does not count. No reference is held: when
 * its last descriptor is closed, the calls end. 0, -EBADF, -EINVAL, -ENOMEM,
 * or the error of a system call.
 */
struct sim_watch;
int sim_watch_add(struct gh_sim *sim, int fd, void (*signalled)(void *data), void *data, struct sim_watch **ret_watch);
/* Is a descriptor of the eventfd left? The kernel gives the number of one that is gone to a new eventfd. */
bool sim_watch_is_alive(struct sim_watch *watch);
/* No call is inside any more when it returns, unless it is made from inside that call. NULL allowed. */
void sim_watch_remove(struct sim_watch *watch);

#endif
