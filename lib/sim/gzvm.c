/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Simulated /dev/gzvm: the device itself.
 *
 * The driver as sections 1.6, 3 and 9 of the GenieZone UAPI document describe it: answers, order of checks and hazards. What
 * differs between revisions is in gzvm_revisions.c, what only MediaTek's hypervisor decides in doc/simulator.md.
 */
#include "gzvm.h"

#include <errno.h>
#include <stdlib.h>

/* CONFIG_ARM64_PA_BITS of the kernel that is simulated. */
#define GPA_BITS 48u

struct gzvm_device {
	pthread_mutex_t lock;
	unsigned int calls[GZVM_CALLS];
};

long gzvm_check_extension(const struct gzvm_switches *switches, uintptr_t arg)
{
	uint64_t cap;
	uint64_t answer;
	int ret = sim_copy_in(&cap, arg, sizeof(cap));

	if (ret < 0)
		return ret;
	switch (gzvm_own_cap(switches, cap)) {
	case UAPI_GZVM_CAP_PROTECTED_VM:
		answer = 1;
		break;
	case UAPI_GZVM_CAP_GPA_SIZE:
		answer = GPA_BITS;
		break;
	default:
		return -EOPNOTSUPP;
	}
	return sim_copy_out(arg, &answer, sizeof(answer));
}

static long device_ioctl(struct sim_file *file, unsigned long request, uintptr_t arg)
{
	const struct gzvm_switches *switches = sim_machine_driver(file->sim)->switches;
	struct gzvm_device *device = file->object;
	long ret;

	switch (gzvm_own_request(switches, request)) {
	case UAPI_GZVM_CREATE_VM:
		pthread_mutex_lock(&device->lock);
		ret = gzvm_vm_open(file->sim, device->calls, arg);
		pthread_mutex_unlock(&device->lock);
		return ret;
	case UAPI_GZVM_CHECK_EXTENSION:
		return arg == 0 ? -EINVAL : gzvm_check_extension(switches, arg);
	default:
		return -ENOTTY;
	}
}

static void device_free(struct gzvm_device *device)
{
	pthread_mutex_destroy(&device->lock);
	free(device);
}

static void device_release(struct sim_file *file)
{
	device_free(file->object);
}

static const struct sim_file_ops device_ops = {
	.name = "gzvm",
	.ioctl = device_ioctl,
	.release = device_release,
};

int gzvm_device_open(struct gh_sim *sim, int flags)
{
	struct gzvm_device *device;
	int fd = sim_machine_check(sim);

	(void)flags; /* a device opened for reading makes VMs as well */
	if (fd < 0)
		return fd;
	device = calloc(1, sizeof(*device));
	if (device == NULL)
		return -ENOMEM;
	pthread_mutex_init(&device->lock, NULL);
	fd = sim_file_new(sim, &device_ops, sim_machine_driver(sim)->name, device, 0, NULL);
	if (fd < 0)
		device_free(device);
	return fd;
}
