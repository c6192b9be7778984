/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The rivals are flattered: they count nothing, trace nothing, know no access rules, and let go of their lock before the
 * handler runs, so that they could not remove a range safely without more work than is measured.
 */
#include "rivals.h"

#include <stdlib.h>

/* --- the tree ------------------------------------------------------------------------------------------------------- */

static bool is_red(const struct node *node)
{
	return node != NULL && node->red;
}

static int side_of(const struct node *node)
{
	return node == node->parent->child[1];
}

/* The node goes down on `side`, its child on the other side takes its place. */
static void rotate(struct rival *rival, struct node *node, int side)
{
	struct node *up = node->child[!side];
	struct node *moved = up->child[side];

	node->child[!side] = moved;
	if (moved != NULL)
		moved->parent = node;
	up->parent = node->parent;
	if (node->parent == NULL)
		rival->root = up;
	else
		node->parent->child[side_of(node)] = up;
	up->child[side] = node;
	node->parent = up;
}

/* Mends what a new red node breaks: no red one has a red child, all ways down have as many black ones. */
static void balance(struct rival *rival, struct node *node)
{
	while (is_red(node->parent)) {
		struct node *parent = node->parent;
		struct node *grandparent = parent->parent;
		int side = side_of(parent);

		if (is_red(grandparent->child[!side])) {
			grandparent->child[!side]->red = false;
			parent->red = false;
			grandparent->red = true;
			node = grandparent;
			continue;
		}
		if (side_of(node) != side) {
			rotate(rival, parent, side);
			parent = node;
		}
		parent->red = false;
		grandparent->red = true;
		rotate(rival, grandparent, !side);
		break;
	}
	rival->root->red = false;
}

bool rival_add(struct rival *rival, uint64_t gpa, uint64_t length, int (*access)(void *, struct gh_bus_access *),
	       void *data)
{
	struct node **link = &rival->root;
	struct node *node = calloc(1, sizeof(*node));

	if (node == NULL)
		return false;
	*node = (struct node){ .red = true, .gpa = gpa, .last = gpa + (length - 1), .access = access, .data = data };
	while (*link != NULL) {
		node->parent = *link;
		link = &(*link)->child[gpa > (*link)->gpa];
	}
	*link = node;
	balance(rival, node);
	return true;
}

static const struct node *find(const struct rival *rival, uint64_t gpa, uint32_t width)
{
	const struct node *node = rival->root;

	while (node != NULL && (gpa < node->gpa || gpa > node->last))
		node = node->child[gpa > node->last];
	return node != NULL && width - 1 <= node->last - gpa ? node : NULL;
}

/* Black nodes on each way down, or -1. */
static int count_black(const struct node *node, uint64_t low, uint64_t high, unsigned int *nodes)
{
	int left;
	int right;

	if (node == NULL)
		return 0;
	++*nodes;
	if (node->gpa < low || node->last > high || (node->red && (is_red(node->child[0]) || is_red(node->child[1]))))
		return -1;
	left = count_black(node->child[0], low, node->gpa - 1, nodes);
	right = count_black(node->child[1], node->last + 1, high, nodes);
	return left >= 0 && left == right ? left + !node->red : -1;
}

unsigned int rival_check(const struct rival *rival)
{
	unsigned int nodes = 0;

	return count_black(rival->root, 0, UINT64_MAX, &nodes) > 0 ? nodes : 0;
}

/* --- under a lock ----------------------------------------------------------------------------------------------------- */

bool rival_init(struct rival *rival, enum lock lock)
{
	rival->lock = lock;
	rival->root = NULL;
	return pthread_mutex_init(&rival->mutex, NULL) == 0 && pthread_rwlock_init(&rival->rwlock, NULL) == 0;
}

static void free_nodes(struct node *node)
{
	if (node == NULL)
		return;
	free_nodes(node->child[0]);
	free_nodes(node->child[1]);
	free(node);
}

void rival_free(struct rival *rival)
{
	free_nodes(rival->root);
	(void)pthread_rwlock_destroy(&rival->rwlock);
	(void)pthread_mutex_destroy(&rival->mutex);
}

int rival_dispatch(struct rival *rival, const struct gh_exit *exit)
{
	const struct gh_exit_mmio *mmio = &exit->mmio;
	const struct node *node;
	struct gh_bus_access access;

	if (rival->lock == LOCK_MUTEX) {
		(void)pthread_mutex_lock(&rival->mutex);
		node = find(rival, mmio->gpa, mmio->width);
		(void)pthread_mutex_unlock(&rival->mutex);
	} else {
		(void)pthread_rwlock_rdlock(&rival->rwlock);
		node = find(rival, mmio->gpa, mmio->width);
		(void)pthread_rwlock_unlock(&rival->rwlock);
	}
	if (node == NULL)
		return GH_BUS_UNMATCHED;
	rival_make_access(&access, node->gpa, mmio);
	return node->access(node->data, &access);
}
