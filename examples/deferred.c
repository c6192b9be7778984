/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device that defers its answer: a sensor whose measurement takes time. The guest's load waits, but no thread of the VMM
 * does: the handler hands the load to a worker thread and returns.
 */
#include "board.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#define ASKS 3u

/* Three times: measures, and stores what it has got. Then it switches itself off. */
static const uint32_t guest[] = {
	0xd2a12001, 0x52800062,                         /* x1: the sensor, w2: how often */
	0xb9400020, 0xb9000020,                         /* loads and stores */
	0x71000442, 0x54ffffa1,                         /* until w2 is 0 */
	0x52800100, 0x72b08000, 0xd4000002, 0x14000000, /* PSCI SYSTEM_OFF */
};

struct sensor {
	pthread_mutex_t lock; /* over what follows */
	pthread_cond_t changed;
	struct gh_vcpu *asking; /* of one vCPU; a board with more of them has a queue */
	unsigned int measured;
	unsigned int received;
	bool over;
};

/* As many degrees as there have been measurements: what the guest gets, and when, can be checked. */
static unsigned int measure(unsigned int count)
{
	return 20 + count;
}

static int on_access(void *data, struct gh_bus_access *access)
{
	struct sensor *sensor = data;
	int ret = GH_BUS_DONE;

	(void)pthread_mutex_lock(&sensor->lock);
	if (access->is_store == 0) {
		(void)printf("sensor: the guest asks and has to wait\n");
		sensor->asking = access->vcpu;
		(void)pthread_cond_signal(&sensor->changed);
		ret = GH_BUS_DEFER;
	} else {
		(void)printf("sensor: the guest has got %u degrees\n", (unsigned int)access->value);
		sensor->received++;
		ret = access->value == measure(sensor->measured) ? GH_BUS_DONE : -EIO;
	}
	(void)pthread_mutex_unlock(&sensor->lock);
	return ret;
}

/* The answer may even come before the handler has returned. */
static void *work(void *data)
{
	struct sensor *sensor = data;

	(void)pthread_mutex_lock(&sensor->lock);
	while (!sensor->over) {
		struct gh_vcpu *vcpu = sensor->asking;

		if (vcpu == NULL) {
			(void)pthread_cond_wait(&sensor->changed, &sensor->lock);
			continue;
		}
		sensor->asking = NULL;
		sensor->measured++;
		(void)printf("worker: measures\n");
		(void)gh_mmio_complete(vcpu, measure(sensor->measured));
	}
	(void)pthread_mutex_unlock(&sensor->lock);
	return NULL;
}

static int add_sensor(struct board *board, struct sensor *sensor)
{
	struct gh_bus_range_options range = GH_BUS_RANGE_OPTIONS_INIT;
	int ret;

	range.name = "sensor";
	range.gpa = BOARD_DEVICE;
	range.length = 4;
	range.access = on_access;
	range.data = sensor;
	range.guest_widths = GH_BUS_32; /* only a load that reaches the handler as it was made can be deferred */
	ret = gh_bus_add(board->vm, &range, NULL);
	return ret < 0 ? board_explain(board, "add the sensor", ret) : 0;
}

static void stop(void *data)
{
	struct sensor *sensor = data;

	(void)pthread_mutex_lock(&sensor->lock);
	sensor->over = true;
	(void)pthread_cond_signal(&sensor->changed);
	(void)pthread_mutex_unlock(&sensor->lock);
}

int main(int argc, char **argv)
{
	struct sensor sensor = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
	struct board board = { 0 };
	const char *device = NULL;
	int ret = board_arguments(&board, argc, argv, "A device that answers a guest's load later, from another thread.\n",
				  &device);

	if (ret >= 0)
		return ret;
	ret = board_open(&board, device, guest, sizeof(guest));
	if (ret == 0)
		ret = add_sensor(&board, &sensor);
	if (ret == 0)
		ret = board_run(&board, work, stop, &sensor);
	if (ret == 0 && sensor.received != ASKS)
		ret = board_explain(&board, "deliver all measurements", -EIO);
	return board_close(&board, ret);
}
