/* SPDX-License-Identifier: BSD-3-Clause */
/* Doorbells that a kernel cannot take: a store becomes an exit, and the dispatch does what the kernel would have done. */
#include "exit.h"
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool matches(const struct gh_bus_doorbell *doorbell, const struct gh_exit_mmio *mmio)
{
	if (doorbell->width != 0 && doorbell->width != mmio->width)
		return false;
	return !doorbell->match || ((doorbell->value ^ mmio->value) & gh_value_mask(mmio->width)) == 0;
}

/* The first one at the address or behind it. */
static uint32_t search(const struct gh_bus_table *table, uint64_t gpa)
{
	uint32_t low = 0;
	uint32_t high = table->n_doorbells;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (table->doorbells[middle].gpa < gpa)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct gh_bus_doorbell *gh_bus_find_doorbell(const struct gh_bus_table *table, const struct gh_exit_mmio *mmio)
{
	for (uint32_t i = search(table, mmio->gpa); i < table->n_doorbells && table->doorbells[i].gpa == mmio->gpa; i++)
		if (matches(&table->doorbells[i], mmio))
			return &table->doorbells[i];
	return NULL;
}

bool gh_bus_has_doorbell(const struct gh_bus_table *table, uint64_t gpa, uint64_t last)
{
	uint32_t at = search(table, gpa);

	return at < table->n_doorbells && table->doorbells[at].gpa <= last;
}

static bool is_same(const struct gh_bus_doorbell *a, const struct gh_bus_doorbell *b)
{
	return a->gpa == b->gpa && a->value == b->value && a->width == b->width && a->match == b->match && a->fd == b->fd;
}

/* UINT32_MAX: there is none. */
static uint32_t find(const struct gh_bus_table *table, const struct gh_bus_doorbell *doorbell)
{
	if (table == NULL)
		return UINT32_MAX;
	for (uint32_t i = search(table, doorbell->gpa); i < table->n_doorbells && table->doorbells[i].gpa == doorbell->gpa;
	     i++)
		if (is_same(&table->doorbells[i], doorbell))
			return i;
	return UINT32_MAX;
}

/* Under the lock. */
static int add(struct gh_vm *vm, const struct gh_bus_doorbell *doorbell, struct gh_bus_guest *guest)
{
	struct gh_bus_change change;
	struct gh_bus_table *next;
	uint32_t at;
	int ret;

	if (find(atomic_load(&vm->bus.table), doorbell) != UINT32_MAX)
		return -EEXIST;
	ret = gh_bus_change_begin(vm, 0, 1, &change);
	if (ret < 0)
		return ret;
	next = change.next;
	at = search(next, doorbell->gpa);
	memmove(&next->doorbells[at + 1], &next->doorbells[at], (next->n_doorbells - at) * sizeof(*doorbell));
	next->doorbells[at] = *doorbell;
	next->doorbells[at].guest = guest;
	next->n_doorbells++;
	gh_bus_change_end(vm, &change);
	return 0;
}

/* Under the lock. */
static struct gh_bus_guest *withdraw(struct gh_vm *vm, const struct gh_bus_doorbell *doorbell)
{
	uint32_t at = find(atomic_load(&vm->bus.table), doorbell);
	struct gh_bus_guest *guest;
	struct gh_bus_change change;
	struct gh_bus_table *next;

	if (at == UINT32_MAX || gh_bus_change_begin(vm, 0, 0, &change) < 0)
		return NULL;
	next = change.next;
	guest = next->doorbells[at].guest;
	gh_bus_retire_begin(&vm->bus, guest);
	next->n_doorbells--;
	memmove(&next->doorbells[at], &next->doorbells[at + 1], (next->n_doorbells - at) * sizeof(*doorbell));
	gh_bus_change_end(vm, &change);
	return guest;
}

int gh_bus_add_doorbell(struct gh_vm *vm, const struct gh_bus_doorbell *doorbell)
{
	struct gh_bus_guest *guest = calloc(1, sizeof(*guest));
	int ret;

	if (guest == NULL)
		return -ENOMEM;
	guest->kind = GH_BUS_DOORBELL;
	(void)pthread_mutex_lock(&vm->bus.lock);
	ret = add(vm, doorbell, guest);
	(void)pthread_mutex_unlock(&vm->bus.lock);
	if (ret < 0)
		free(guest);
	return ret;
}

struct gh_bus_guest *gh_bus_withdraw_doorbell(struct gh_vm *vm, const struct gh_bus_doorbell *doorbell)
{
	struct gh_bus_guest *guest;

	/* A child of fork() has no thread to dispatch on, and the lock may be held for ever. */
	if (gh_vm_is_forked(vm))
		return NULL;
	(void)pthread_mutex_lock(&vm->bus.lock);
	guest = withdraw(vm, doorbell);
	(void)pthread_mutex_unlock(&vm->bus.lock);
	return guest;
}

void gh_bus_end_doorbell(struct gh_vm *vm, struct gh_bus_guest *guest)
{
	if (guest == NULL)
		return;
	(void)pthread_mutex_lock(&vm->bus.lock);
	(void)gh_bus_retire_end(vm, guest);
	(void)pthread_mutex_unlock(&vm->bus.lock);
	gh_bus_guest_free(&vm->bus, guest);
}
