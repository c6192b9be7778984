/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory that the guest gets page by page: when it touches it, or at once where an engine cannot tell that.
 *
 * What can go wrong is the same either way, and user space sees it the same way: a page that cannot be had is not there, and
 * the access that needs it ends RUN.
 */
#include "gunyah.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static struct gunyah_run *find_run(const struct gunyah_region *region, uint64_t gpa)
{
	for (struct gunyah_run *run = region->runs; run != NULL; run = run->next) {
		if (gpa >= run->gpa && gpa - run->gpa < run->size)
			return run;
	}
	return NULL;
}

/* How much of [gpa, gpa + size) the guest lacks before the next piece that it has. */
static uint64_t gap(const struct gunyah_region *region, uint64_t gpa, uint64_t size)
{
	for (const struct gunyah_run *run = region->runs; run != NULL; run = run->next) {
		if (run->gpa >= gpa && run->gpa - gpa < size)
			size = run->gpa - gpa;
	}
	return size;
}

uint8_t *gunyah_mem_host(const struct gunyah_region *region, uint64_t gpa)
{
	const struct gunyah_run *run = find_run(region, gpa);

	if (run != NULL)
		return run->host + (gpa - run->gpa);
	return region->pin.address == NULL ? NULL : (uint8_t *)region->pin.address + (gpa - region->gpa);
}

/* Memory of a file: what is lent must not be mapped by the process, not even in part. */
static int take_file(const struct gunyah_region *region, struct gunyah_run *run)
{
	uint64_t offset = region->offset + (run->gpa - region->gpa);

	if (offset > region->file->page_size || run->size > region->file->page_size - offset)
		return -ENOMEM;
	if (region->lent && !region->contiguous && sim_file_is_mapped(region->file, offset, run->size))
		return -EPERM;
	run->host = (uint8_t *)region->file->page + offset;
	return 0;
}

/* Where the process has a mapping of memory that it has lent: the first stretch of pages, or false. */
static bool find_mapped(const struct gunyah_region *region, uint64_t *ret_gpa, uint64_t *ret_size)
{
	uint64_t page = gunyah_page_size();

	for (const struct gunyah_run *run = region->runs; run != NULL; run = run->next) {
		uint64_t offset = region->offset + (run->gpa - region->gpa);
		uint64_t first = 0;
		uint64_t end;

		if (!sim_file_is_mapped(region->file, offset, run->size))
			continue;
		while (!sim_file_is_mapped(region->file, offset + first, page))
			first += page;
		for (end = first + page; end < run->size && sim_file_is_mapped(region->file, offset + end, page);)
			end += page;
		*ret_gpa = run->gpa + first;
		*ret_size = end - first;
		return true;
	}
	return false;
}

void gunyah_page_yield(struct gunyah_vm *vm)
{
	uint64_t gpa;
	uint64_t size;

	for (struct gunyah_region *region = vm->regions; region != NULL; region = region->next) {
		while (region->lent && region->file != NULL && find_mapped(region, &gpa, &size))
			gunyah_page_out(vm, gpa, size);
	}
}

static int take_user(struct gunyah_vm *vm, const struct gunyah_region *region, struct gunyah_run *run)
{
	uint64_t pages = run->size / gunyah_page_size();
	bool write = (region->flags & UAPI_GUNYAH_MEM_WRITE) != 0;
	uint64_t pinned;
	int ret;

	if (vm->revision->charges) {
		if (!sim_machine_charge(vm->sim, pages, gunyah_lock_limit()))
			return -ENOMEM;
		run->charged = true;
	}
	ret = sim_pin(region->host + (run->gpa - region->gpa), run->size, write, &run->pin, &pinned);
	if (ret < 0 && run->charged)
		sim_machine_uncharge(vm->sim, pages);
	run->host = ret < 0 ? NULL : run->pin.address;
	return ret;
}

static int map_run(struct gunyah_vm *vm, const struct gunyah_region *region, struct gunyah_run *run)
{
	int ret = vm->engine->map(vm->engine_vm, run->gpa, run->size, run->host, region->flags);

	run->mapped = ret == 0;
	return ret;
}

static void run_free(struct gunyah_vm *vm, struct gunyah_run *run)
{
	if (run->mapped && vm->engine_vm != NULL)
		vm->engine->unmap(vm->engine_vm, run->gpa);
	if (run->charged)
		sim_machine_uncharge(vm->sim, run->size / gunyah_page_size());
	sim_unpin(&run->pin);
	free(run);
}

/* A piece of which the guest has nothing. */
static int take(struct gunyah_vm *vm, struct gunyah_region *region, uint64_t gpa, uint64_t size)
{
	struct gunyah_run *run = calloc(1, sizeof(*run));
	int ret;

	if (run == NULL)
		return -ENOMEM;
	run->gpa = gpa;
	run->size = size;
	ret = region->file != NULL ? take_file(region, run) : take_user(vm, region, run);
	if (ret < 0) {
		free(run);
		return ret;
	}
	if (vm->engine_vm != NULL)
		ret = map_run(vm, region, run);
	if (ret < 0) {
		run_free(vm, run);
		return ret;
	}
	run->next = region->runs;
	region->runs = run;
	return 0;
}

int gunyah_page_in(struct gunyah_vm *vm, struct gunyah_region *region, uint64_t gpa, uint64_t size)
{
	uint64_t page = gunyah_page_size();
	uint64_t end = (gpa + size + page - 1) & ~(page - 1);
	int ret = 0;

	gpa &= ~(page - 1);
	while (ret == 0 && gpa < end) {
		const struct gunyah_run *run = find_run(region, gpa);
		uint64_t length = run != NULL ? run->size - (gpa - run->gpa) : gap(region, gpa, end - gpa);

		if (run == NULL)
			ret = take(vm, region, gpa, length);
		gpa += length;
	}
	return ret;
}

/* Large pieces where they can be had, then smaller ones around what cannot. */
void gunyah_page_in_all(struct gunyah_vm *vm, struct gunyah_region *region)
{
	uint64_t page = gunyah_page_size();
	uint64_t chunk = region->size;
	uint64_t done = 0;

	while (done < region->size) {
		uint64_t left = region->size - done;
		uint64_t size = chunk < left ? chunk : left;
		int ret = gunyah_page_in(vm, region, region->gpa + done, size);

		if (ret < 0 && size > page) {
			chunk = (size / 2 + page - 1) & ~(page - 1);
			continue;
		}
		/* Nothing more can be locked. */
		if (ret == -ENOMEM)
			return;
		done += size;
		chunk = ret == 0 ? 2 * size : page;
	}
}

static struct gunyah_region *find_region(struct gunyah_vm *vm, uint64_t gpa)
{
	return gunyah_mem_find(vm, gpa, 1);
}

int gunyah_page_touch(struct gunyah_vm *vm, uint64_t gpa, bool write)
{
	struct gunyah_region *region = find_region(vm, gpa);

	if (region == NULL)
		return -ENOENT;
	if (write && (region->flags & UAPI_GUNYAH_MEM_WRITE) == 0)
		return -EPERM;
	/* The hypervisor had no memory for its own tables. */
	if (vm->out_of_memory) {
		vm->out_of_memory = false;
		return -ENOMEM;
	}
	return gunyah_page_in(vm, region, gpa, 1);
}

int gunyah_page_access(struct gunyah_vm *vm, uint64_t gpa, bool write, uint8_t *data, uint32_t width)
{
	int ret = gunyah_page_touch(vm, gpa, write);

	for (uint32_t i = 0; i < width && ret == 0; i++) {
		struct gunyah_region *region = find_region(vm, gpa + i);
		uint8_t *host = region == NULL ? NULL : gunyah_mem_host(region, gpa + i);

		if (host == NULL)
			ret = gunyah_page_touch(vm, gpa + i, write);
		if (host == NULL && ret == 0)
			host = gunyah_mem_host(find_region(vm, gpa + i), gpa + i);
		if (ret == 0)
			ret = write ? sim_copy_out((uintptr_t)host, &data[i], 1)
				    : sim_copy_in(&data[i], (uintptr_t)host, 1);
	}
	return ret;
}

/* Cuts a piece in two; both parts go on being mapped, if it was. */
static int split(struct gunyah_vm *vm, const struct gunyah_region *region, struct gunyah_run *run, uint64_t gpa)
{
	struct gunyah_run *second = calloc(1, sizeof(*second));
	uint64_t first = gpa - run->gpa;

	if (second == NULL)
		return -ENOMEM;
	*second = *run;
	second->gpa = gpa;
	second->size = run->size - first;
	second->host = run->host + first;
	sim_pin_split(&run->pin, first, &second->pin);
	if (run->mapped)
		vm->engine->unmap(vm->engine_vm, run->gpa);
	run->size = first;
	run->next = second;
	if (run->mapped)
		(void)map_run(vm, region, run);
	if (second->mapped)
		(void)map_run(vm, region, second);
	return 0;
}

static void take_back(struct gunyah_vm *vm, struct gunyah_region *region, uint64_t gpa, uint64_t size)
{
	struct gunyah_run **link = &region->runs;

	while (*link != NULL) {
		struct gunyah_run *run = *link;

		if (run->gpa >= gpa + size || gpa >= run->gpa + run->size) {
			link = &run->next;
			continue;
		}
		/* Without memory to cut it, all of it goes: the guest gets the rest when it touches it. */
		if (run->gpa < gpa && split(vm, region, run, gpa) == 0) {
			link = &run->next;
			continue;
		}
		if (run->gpa + run->size > gpa + size)
			(void)split(vm, region, run, gpa + size);
		*link = run->next;
		run_free(vm, run);
	}
}

void gunyah_page_out(struct gunyah_vm *vm, uint64_t gpa, uint64_t size)
{
	gunyah_vcpu_pause(vm);
	for (struct gunyah_region *region = vm->regions; region != NULL; region = region->next)
		take_back(vm, region, gpa, size);
	gunyah_vcpu_unpause(vm);
}

void gunyah_page_drop(struct gunyah_vm *vm, struct gunyah_region *region)
{
	while (region->runs != NULL) {
		struct gunyah_run *run = region->runs;

		region->runs = run->next;
		run_free(vm, run);
	}
}

int gunyah_page_map(struct gunyah_vm *vm)
{
	int ret = 0;

	for (struct gunyah_region *region = vm->regions; region != NULL; region = region->next)
		for (struct gunyah_run *run = region->runs; run != NULL && ret == 0; run = run->next)
			ret = map_run(vm, region, run);
	return ret;
}

static const struct gunyah_range *find_range(const struct gunyah_vm *vm, uint64_t gpa)
{
	for (const struct gunyah_range *range = vm->ranges; range != NULL; range = range->next) {
		if (gpa >= range->gpa && gpa - range->gpa < range->size)
			return range;
	}
	return NULL;
}

bool gunyah_page_is_lent(const struct gunyah_vm *vm, uint64_t gpa)
{
	const struct gunyah_range *range = find_range(vm, gpa);

	return range != NULL && range->lent;
}

bool gunyah_page_is_known(const struct gunyah_vm *vm, uint64_t gpa)
{
	return find_range(vm, gpa) != NULL;
}

int gunyah_page_note(struct gunyah_vm *vm, const struct gunyah_region *region)
{
	struct gunyah_range *range = malloc(sizeof(*range));

	if (range == NULL)
		return -ENOMEM;
	/* The newest first: what was there before does not count any more. */
	*range = (struct gunyah_range){ vm->ranges, region->gpa, region->size, region->lent };
	vm->ranges = range;
	return 0;
}

long gunyah_reclaim(struct gunyah_vm *vm, uintptr_t arg)
{
	struct uapi_gunyah_range range;
	uint64_t mask = gunyah_page_size() - 1;
	int ret = 0;

	if (getpid() != vm->creator)
		return -EPERM;
	if (sim_copy_in(&range, arg, sizeof(range)) < 0)
		return -EFAULT;
	if (((range.gpa | range.size) & mask) != 0)
		return -EINVAL;
	pthread_mutex_lock(&vm->lock);
	if (vm->busy)
		ret = -EBUSY;
	else if (range.size != 0)
		gunyah_page_out(vm, range.gpa, range.gpa + range.size < range.gpa ? -range.gpa : range.size);
	vm->busy = false;
	pthread_mutex_unlock(&vm->lock);
	return ret;
}
