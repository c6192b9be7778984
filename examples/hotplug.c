/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hot-plugged range: a slot that is empty, gets a device while the guest runs, and loses it again. Another thread plugs the
 * device in and tells the guest by an interrupt; the guest has it ejected, and the device's handler takes its own range away.
 */
#include "board.h"

#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define CONTROL BOARD_DEVICE /* the guest stores what it has found in the slot */
#define SLOT (BOARD_DEVICE + 0x1000)
#define NOTHING 0xffffffff /* what an empty slot reads as */

/* Loads from the slot, waits for the interrupt, loads again, ejects the device, loads again; stores each value. */
static const uint32_t guest[] = {
	0xd2a12001, 0xd2a7ffe2, 0x52810003, 0xb90c0843, /* x1: the devices, x2: the interrupt controller; edge-triggered */
	0xb9500020, 0xb9000020,                         /* loads from the slot, stores to the control register */
	0xb9420440, 0x362fffe0,                         /* until the interrupt is pending */
	0xb9500020, 0xb9000020, 0xb9100020,             /* loads and stores, and ejects the card */
	0xb9500020, 0xb9000020,                         /* loads and stores */
	0x52800100, 0x72b08000, 0xd4000002, 0x14000000, /* PSCI SYSTEM_OFF */
};

#define FINDINGS 3u
static const uint32_t findings[FINDINGS] = { NOTHING, 0xcafe, NOTHING };

struct slot {
	struct board *board;
	struct gh_irqfd *irqfd;
	sem_t wanted;       /* the guest waits for a card, or has ended */
	unsigned int found; /* stores of the guest */
	atomic_bool over;
};

static int access_card(void *data, struct gh_bus_access *access)
{
	const uint32_t *id = data;

	if (access->is_store == 0) {
		access->value = *id;
	} else {
		(void)printf("card: the guest ejects it\n");
		gh_bus_remove(access->range); /* does not wait for this handler, and `removed` comes after it */
	}
	return GH_BUS_DONE;
}

static void free_card(void *data)
{
	(void)printf("card: nobody uses it any more\n");
	free(data);
}

static int plug(struct slot *slot)
{
	struct gh_bus_range_options range = GH_BUS_RANGE_OPTIONS_INIT;
	uint32_t *card = malloc(sizeof(*card));
	int ret;

	if (card == NULL)
		return -ENOMEM;
	*card = findings[1];
	range.name = "card";
	range.gpa = SLOT;
	range.length = 0x1000;
	range.access = access_card;
	range.removed = free_card;
	range.data = card;
	(void)printf("operator: plugs a card in\n");
	ret = gh_bus_add(slot->board->vm, &range, NULL);
	if (ret == 0)
		return gh_irqfd_raise(slot->irqfd);
	free(card);
	return board_explain(slot->board, "plug the card in", ret);
}

static void *operate(void *data)
{
	struct slot *slot = data;

	while (sem_wait(&slot->wanted) < 0)
		;
	if (!atomic_load(&slot->over) && plug(slot) < 0)
		(void)gh_vm_quit(slot->board->vm);
	return NULL;
}

static void stop(void *data)
{
	struct slot *slot = data;

	atomic_store(&slot->over, true);
	(void)sem_post(&slot->wanted);
}

static int access_control(void *data, struct gh_bus_access *access)
{
	struct slot *slot = data;

	(void)printf("guest: finds %#x in the slot\n", (unsigned int)access->value);
	if (slot->found == FINDINGS || access->value != findings[slot->found])
		return -EIO;
	if (slot->found++ == 0)
		(void)sem_post(&slot->wanted);
	return GH_BUS_DONE;
}

static int add_slot(struct slot *slot)
{
	struct gh_bus_unmatched_options empty = { sizeof(empty), UINT64_MAX, GH_BUS_UNMATCHED_VALUE, 0 };
	struct gh_bus_range_options range = GH_BUS_RANGE_OPTIONS_INIT;
	int ret;

	range.name = "control";
	range.gpa = CONTROL;
	range.length = 4;
	range.access = access_control;
	range.data = slot;
	ret = gh_bus_set_unmatched(slot->board->vm, &empty);
	if (ret == 0)
		ret = gh_bus_add(slot->board->vm, &range, NULL);
	return ret < 0 ? board_explain(slot->board, "add the slot", ret) : 0;
}

int main(int argc, char **argv)
{
	struct board board = { 0 };
	struct slot slot = { .board = &board };
	const char *device = NULL;
	int ret = board_arguments(&board, argc, argv, "A device comes and goes while the guest runs.\n", &device);

	if (ret >= 0)
		return ret;
	(void)sem_init(&slot.wanted, 0, 0);
	ret = board_open(&board, device, guest, sizeof(guest));
	if (ret == 0)
		ret = board_add_irqfd(&board, &slot.irqfd);
	if (ret == 0)
		ret = add_slot(&slot);
	if (ret == 0)
		ret = board_run(&board, operate, stop, &slot);
	if (ret == 0 && slot.found != FINDINGS)
		ret = board_explain(&board, "show the guest the card", -EIO);
	(void)sem_destroy(&slot.wanted);
	return board_close(&board, ret);
}
