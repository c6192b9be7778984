/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory slots of the simulated /dev/gzvm: checked little by this driver, and against whole kernel mappings (VMAs). */
#include "gzvm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

bool gzvm_find_vma(uint64_t address, struct gzvm_vma *ret_vma)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long long start;
	unsigned long long end;
	bool found = false;
	char line[512];
	char access[5];

	if (maps == NULL)
		return false;
	while (!found && fgets(line, sizeof(line), maps) != NULL) {
		if (sscanf(line, "%llx-%llx %4s", &start, &end, access) != 3)
			continue; /* the rest of a long name */
		if (address < start || address >= end)
			continue;
		*ret_vma = (struct gzvm_vma){ start, end, access[1] == 'w', access[3] == 's' };
		found = true;
	}
	(void)fclose(maps);
	return found;
}

/* The same memory again is nothing new to an engine, and not every one can take it twice. */
static bool is_same(const struct gzvm_slot *one, const struct gzvm_slot *other)
{
	return one->used && one->gfn == other->gfn && one->pages == other->pages && one->host == other->host;
}

static bool engine_has(const struct gzvm_vm *vm, const struct gzvm_slot *slot)
{
	for (size_t i = 0; i < UAPI_GZVM_MAX_SLOTS; i++) {
		if (is_same(&vm->slots[i], slot))
			return true;
	}
	return false;
}

static int give_to_engine(struct gzvm_vm *vm, const struct gzvm_slot *slot, bool known)
{
	uint64_t gpa = slot->gfn * GZVM_PAGE;
	uint64_t length = slot->pages * GZVM_PAGE;
	int ret;

	/* Accepted by the driver, but memory that no guest can reach. */
	if (known || length == 0 || gpa + length < gpa)
		return 0;
	/* The driver looks for pages, wherever in one the address is. */
	ret = vm->engine->map(vm->guest, gpa, length, (void *)(uintptr_t)(slot->host & ~(uint64_t)(GZVM_PAGE - 1)),
			      1 | 2 | 4);
	/* The driver has no check for overlap; what the hypervisor does then is unknown. */
	return ret == -EEXIST ? 0 : gzvm_engine_code(ret);
}

/* Every page of a writable mapping is there when the call returns. Kernels without this request of madvise() wait. */
static int pin(const struct uapi_gzvm_region *region)
{
	void *start = (void *)(uintptr_t)(region->host & ~(uint64_t)(GZVM_PAGE - 1));

	if (madvise(start, (size_t)region->size, MADV_POPULATE_WRITE) == 0 || errno == EINVAL)
		return 0;
	return -EFAULT;
}

static int set_slot(struct gzvm_vm *vm, const struct uapi_gzvm_region *region, bool writable)
{
	struct gzvm_slot slot = { true, region->gpa / GZVM_PAGE, region->size / GZVM_PAGE, region->host };
	bool known = engine_has(vm, &slot);

	/* Written before the hypervisor is asked, and not taken back. */
	vm->slots[region->slot] = slot;
	if (gzvm_hypervisor(vm->sim, vm->calls, GZVM_CALL_PURPOSE) != 0)
		return -EFAULT;
	if (gzvm_hypervisor(vm->sim, vm->calls, GZVM_CALL_MEMORY) != 0)
		return -EFAULT;
	if (vm->switches->pins_at_once && (!writable || pin(region) < 0))
		return -EFAULT;
	return give_to_engine(vm, &slot, known) == 0 ? 0 : -EFAULT;
}

/* Before anything changes; the first revisions leave the rest to the hypervisor. */
static int check_region(const struct gzvm_switches *switches, const struct uapi_gzvm_region *region)
{
	if (!switches->checks_regions)
		return region->slot < UAPI_GZVM_MAX_SLOTS ? 0 : -ENXIO;
	if (region->slot >= UAPI_GZVM_MAX_SLOTS || region->gpa % GZVM_PAGE != 0 || region->size % GZVM_PAGE != 0)
		return -EINVAL;
	if (region->gpa + region->size < region->gpa || region->size / GZVM_PAGE > UAPI_GZVM_MAX_PAGES)
		return -EINVAL;
	return 0;
}

long gzvm_set_user_mem(struct gzvm_vm *vm, uintptr_t arg)
{
	struct uapi_gzvm_region region;
	struct gzvm_vma vma;
	int ret = sim_copy_in(&region, arg, sizeof(region));

	if (ret == 0)
		ret = check_region(vm->switches, &region);
	if (ret < 0)
		return ret;
	/* Looked up in the creator's memory: a forked child's mappings are unknown there. */
	if (sim_machine_in_child(vm->sim) || !gzvm_find_vma(region.host, &vma))
		return -EFAULT;
	if (vma.end - vma.start != region.size)
		return -EINVAL;
	pthread_mutex_lock(&vm->lock);
	ret = set_slot(vm, &region, vma.writable);
	pthread_mutex_unlock(&vm->lock);
	return ret;
}

static const struct gzvm_slot *find_slot(const struct gzvm_vm *vm, uint64_t gpa)
{
	uint64_t gfn = gpa / GZVM_PAGE;

	for (size_t i = 0; i < UAPI_GZVM_MAX_SLOTS; i++) {
		const struct gzvm_slot *slot = &vm->slots[i];

		if (slot->used && gfn >= slot->gfn && gfn - slot->gfn < slot->pages)
			return slot;
	}
	return NULL;
}

bool gzvm_in_slot(struct gzvm_vm *vm, uint64_t gpa)
{
	bool in_slot;

	pthread_mutex_lock(&vm->lock);
	in_slot = find_slot(vm, gpa) != NULL;
	pthread_mutex_unlock(&vm->lock);
	return in_slot;
}

bool gzvm_resolve(struct gzvm_vm *vm, uint64_t gpa)
{
	const struct gzvm_slot *slot;
	uint64_t host = 0;
	struct gzvm_vma vma;

	pthread_mutex_lock(&vm->lock);
	slot = find_slot(vm, gpa);
	if (slot != NULL)
		host = slot->host + (gpa / GZVM_PAGE - slot->gfn) * GZVM_PAGE;
	pthread_mutex_unlock(&vm->lock);
	/* Pages are pinned for writing, whatever the guest wanted. */
	return slot != NULL && gzvm_find_vma(host, &vma) && vma.writable;
}
