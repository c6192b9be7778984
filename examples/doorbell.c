/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A doorbell that wakes a worker thread, which answers with an interrupt: how a guest hands work to a device without making
 * its vCPU wait. The kernel signals the doorbell's eventfd; where it cannot, the library does, and nothing here changes.
 */
#include "board.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/eventfd.h>

#define RINGS 3u
#define ANSWERS 4 /* offset of the register behind the doorbell: loads read how many rings have been answered */

/* Three times: rings, waits for the interrupt, loads the number of answers and stores it. Then it switches itself off. */
static const uint32_t guest[] = {
	0xd2a12001, 0xd2a7ffe2, 0x52810003, 0xb90c0843, /* x1: the device, x2: the interrupt controller; edge-triggered */
	0x52800403, 0x52800064,                         /* w4: how often */
	0xb9000024,                                     /* rings */
	0xb9420440, 0x362fffe0, 0xb9028443,             /* until the interrupt is pending, which it takes back */
	0xb9400420, 0xb9000420,                         /* loads and stores the number of answers */
	0x71000484, 0x54ffff21,                         /* until w4 is 0 */
	0x52800100, 0x72b08000, 0xd4000002, 0x14000000, /* PSCI SYSTEM_OFF */
};

struct device {
	struct gh_ioevent *doorbell;
	struct gh_irqfd *irqfd;
	atomic_uint answers;
	unsigned int confirmed; /* by the guest */
	atomic_bool over;
};

static int on_access(void *data, struct gh_bus_access *access)
{
	struct device *device = data;

	if (access->is_store == 0) {
		access->value = atomic_load(&device->answers);
		return GH_BUS_DONE;
	}
	(void)printf("device: the guest has seen answer %u\n", (unsigned int)access->value);
	return access->value == ++device->confirmed ? GH_BUS_DONE : -EIO;
}

/* Several rings that nobody has read yet are one wake-up. */
static bool wait_for_ring(struct device *device)
{
	struct pollfd poller = { .fd = gh_ioevent_fd(device->doorbell), .events = POLLIN };
	eventfd_t rings;

	while (poll(&poller, 1, -1) < 0 || eventfd_read(poller.fd, &rings) < 0)
		;
	return !atomic_load(&device->over);
}

static void *work(void *data)
{
	struct device *device = data;

	while (wait_for_ring(device)) {
		(void)printf("worker: the doorbell has rung\n");
		atomic_fetch_add(&device->answers, 1);
		(void)gh_irqfd_raise(device->irqfd);
	}
	return NULL;
}

static void stop(void *data)
{
	struct device *device = data;

	atomic_store(&device->over, true);
	(void)eventfd_write(gh_ioevent_fd(device->doorbell), 1);
}

static int add_device(struct board *board, struct device *device)
{
	struct gh_ioevent_options doorbell = GH_IOEVENT_OPTIONS_INIT;
	struct gh_bus_range_options range = GH_BUS_RANGE_OPTIONS_INIT;
	int ret;

	doorbell.gpa = BOARD_DEVICE;
	doorbell.width = 4;
	ret = gh_ioevent_add(board->vm, &doorbell, &device->doorbell);
	if (ret < 0)
		return board_explain(board, "add the doorbell", ret);
	range.name = "answers";
	range.gpa = BOARD_DEVICE + ANSWERS;
	range.length = 4;
	range.access = on_access;
	range.data = device;
	ret = gh_bus_add(board->vm, &range, NULL);
	return ret < 0 ? board_explain(board, "add the device", ret) : 0;
}

int main(int argc, char **argv)
{
	struct device device = { 0 };
	struct board board = { 0 };
	const char *name = NULL;
	int ret =
		board_arguments(&board, argc, argv, "A doorbell wakes a thread, which answers with an interrupt.\n", &name);

	if (ret >= 0)
		return ret;
	ret = board_open(&board, name, guest, sizeof(guest));
	if (ret == 0)
		ret = board_add_irqfd(&board, &device.irqfd);
	if (ret == 0)
		ret = add_device(&board, &device);
	if (ret == 0)
		ret = board_run(&board, work, stop, &device);
	if (ret == 0 && device.confirmed != RINGS)
		ret = board_explain(&board, "answer all rings", -EIO);
	return board_close(&board, ret);
}
