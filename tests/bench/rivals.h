/* SPDX-License-Identifier: BSD-3-Clause */
/* What a VMM without libgh would have for a bus at its plainest: a red-black tree of ranges under one lock. */
#ifndef TESTS_BENCH_RIVALS_H
#define TESTS_BENCH_RIVALS_H

#include <gh/bus.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum lock { LOCK_MUTEX, LOCK_READ_WRITE };

struct node {
	struct node *parent;
	struct node *child[2]; /* lower and higher addresses */
	bool red;
	uint64_t gpa;
	uint64_t last;
	int (*access)(void *data, struct gh_bus_access *access);
	void *data;
};

struct rival {
	enum lock lock;
	pthread_mutex_t mutex;
	pthread_rwlock_t rwlock;
	struct node *root;
};

/* What a handler is entitled to, as far as there is such a thing here. */
static inline void rival_make_access(struct gh_bus_access *access, uint64_t begin, const struct gh_exit_mmio *mmio)
{
	access->vcpu = NULL;
	access->range = NULL;
	access->gpa = mmio->gpa;
	access->offset = mmio->gpa - begin;
	access->value = mmio->value;
	access->mask = UINT64_MAX >> (64 - mmio->width * 8);
	access->width = mmio->width;
	access->is_store = mmio->is_store;
}

bool rival_init(struct rival *rival, enum lock lock);
void rival_free(struct rival *rival);
/* The range is in no other one's way. False: no memory. */
bool rival_add(struct rival *rival, uint64_t gpa, uint64_t length, int (*access)(void *, struct gh_bus_access *),
	       void *data);
/* What the handler says, or GH_BUS_UNMATCHED. */
int rival_dispatch(struct rival *rival, const struct gh_exit *exit);
/* Nodes, if this is a red-black tree in order; 0 otherwise. */
unsigned int rival_check(const struct rival *rival);

#endif
