/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Contiguous memory: devices of their own, each with one area that one file at a time can have, and MAP_CMA_MEM.
 *
 * The area is allocated by the first mmap() of the file. MAP_CMA_MEM takes any file; whether it is one of these, START finds
 * out.
 */
#include "gunyah.h"

#include "gunyah_machine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define AREA_SIZE ((uint64_t)64 << 20)

const char *const gunyah_cma_devices[] = { "/dev/trustedvm_cma", "/dev/oemvm_cma", NULL };

/* An open file of an area. */
struct area {
	uint32_t bit; /* of the device, in gunyah_machine::areas */
	atomic_bool allocated;
};

static int area_mmap(struct sim_file *file, size_t length, int prot, int flags)
{
	struct area *area = file->object;

	(void)prot;
	(void)flags;
	if (length > AREA_SIZE)
		return -EINVAL;
	if ((atomic_fetch_or(&gunyah_machine(file->sim)->areas, area->bit) & area->bit) != 0)
		return -EINVAL;
	atomic_store(&area->allocated, true);
	return 0;
}

static long no_ioctl(struct sim_file *file, unsigned long request, uintptr_t arg)
{
	(void)file;
	(void)request;
	(void)arg;
	return -ENOTTY;
}

static void area_release(struct sim_file *file)
{
	struct area *area = file->object;

	if (atomic_load(&area->allocated))
		(void)atomic_fetch_and(&gunyah_machine(file->sim)->areas, ~area->bit);
	free(area);
}

static const struct sim_file_ops area_ops = {
	.name = "[gunyah-cma]",
	.ioctl = no_ioctl,
	.mmap = area_mmap,
	.release = area_release,
	.is_memory = true,
};

static long create_area(struct gh_sim *sim, uint32_t bit)
{
	struct area *area;
	int fd;

	if ((atomic_load(&gunyah_machine(sim)->areas) & bit) != 0)
		return -EBUSY;
	area = calloc(1, sizeof(*area));
	if (area == NULL)
		return -ENOMEM;
	area->bit = bit;
	fd = sim_file_new(sim, &area_ops, area_ops.name, area, AREA_SIZE, NULL);
	if (fd < 0)
		free(area);
	return fd;
}

static long device_ioctl(struct sim_file *file, unsigned long request, uintptr_t arg)
{
	(void)arg;
	if (request != UAPI_GUNYAH_CREATE_CMA_MEM)
		return -ENOTTY;
	return create_area(file->sim, (uint32_t)(uintptr_t)file->object);
}

static void device_release(struct sim_file *file)
{
	(void)file;
}

static const struct sim_file_ops device_ops = {
	.name = "gunyah-cma",
	.ioctl = device_ioctl,
	.release = device_release,
};

int gunyah_cma_open(struct gh_sim *sim, const char *path)
{
	const struct gunyah_revision *revision = sim_machine_driver(sim)->switches;

	if ((revision->requests & GUNYAH_HAS_CMA) == 0)
		return -ENOENT;
	for (uintptr_t i = 0; gunyah_cma_devices[i] != NULL; i++) {
		if (strcmp(gunyah_cma_devices[i], path) == 0)
			return sim_file_new(sim, &device_ops, device_ops.name, (void *)(1ul << i), 0, NULL);
	}
	return -ENOENT;
}

bool gunyah_cma_is_ready(const struct gunyah_region *region)
{
	struct area *area;

	if (region->file == NULL || region->file->ops != &area_ops)
		return false;
	area = region->file->object;
	return atomic_load(&area->allocated);
}

static int check(const struct uapi_gunyah_map_cma *args, const struct stat *file)
{
	if (args->offset + args->size < args->offset || args->offset + args->size > (uint64_t)file->st_size)
		return -EOVERFLOW;
	return 0;
}

static int add(struct gunyah_vm *vm, const struct uapi_gunyah_map_cma *args, struct sim_file *file)
{
	struct gunyah_region *region;
	int ret;

	if (gunyah_mem_find(vm, args->gpa, args->size) != NULL)
		return -EEXIST;
	region = calloc(1, sizeof(*region));
	if (region == NULL)
		return -ENOMEM;
	region->label = args->label;
	region->flags = args->flags & (UAPI_GUNYAH_MEM_READ | UAPI_GUNYAH_MEM_WRITE | UAPI_GUNYAH_MEM_EXEC);
	region->lent = (args->flags & UAPI_GUNYAH_CMA_FORCE_LEND) != 0;
	region->gpa = args->gpa;
	region->size = args->size;
	region->offset = args->offset;
	region->contiguous = true;
	ret = gunyah_page_note(vm, region);
	if (ret < 0) {
		free(region);
		return ret;
	}
	region->file = file;
	gunyah_mem_append(vm, region);
	return 0;
}

long gunyah_cma_map(struct gunyah_vm *vm, uintptr_t arg)
{
	struct uapi_gunyah_map_cma args;
	struct sim_file *file;
	struct stat stat;
	int ret;

	if (getpid() != vm->creator)
		return -EPERM;
	if (sim_copy_in(&args, arg, sizeof(args)) < 0)
		return -EFAULT;
	if (args.size == 0 || ((args.size | args.gpa) & (gunyah_page_size() - 1)) != 0)
		return -EINVAL;
	if (args.size > UINT64_MAX - args.gpa)
		return -EOVERFLOW;
	if (fstat((int)args.fd, &stat) < 0)
		return -EBADF;
	ret = check(&args, &stat);
	if (ret < 0)
		return ret;
	file = sim_file_get(vm->sim, (int)args.fd);
	pthread_mutex_lock(&vm->lock);
	ret = add(vm, &args, file);
	pthread_mutex_unlock(&vm->lock);
	if (ret < 0 && file != NULL)
		sim_file_put(file);
	return ret;
}
