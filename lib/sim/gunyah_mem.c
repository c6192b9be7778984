/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory regions: the checks of SET_USER_MEM_REGION and LEND_USER_MEM in the kernel's order.
 *
 * Kernels that pin at once check less: addresses may wrap around, and after START a region is taken and charged like any
 * other, and the guest never sees it. The others only record it (gunyah_paging.c).
 */
#include "gunyah.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FLAGS (UAPI_GUNYAH_MEM_READ | UAPI_GUNYAH_MEM_WRITE | UAPI_GUNYAH_MEM_EXEC)
/* One pointer a page has to fit in the kernel's largest piece of contiguous memory, 4 MiB. */
#define PAGES_MAX (((uint64_t)4 << 20) / 8)
/* From here on the kernel also complains about the size of that array. */
#define BREAKING_SIZE ((uint64_t)1 << 40)

uint64_t gunyah_page_size(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

static bool overlaps(const struct gunyah_region *region, uint64_t gpa, uint64_t size)
{
	return region->gpa < gpa + size && gpa < region->gpa + region->size;
}

struct gunyah_region *gunyah_mem_find(struct gunyah_vm *vm, uint64_t gpa, uint64_t size)
{
	for (struct gunyah_region *region = vm->regions; region != NULL; region = region->next) {
		if (!region->deleted && overlaps(region, gpa, size))
			return region;
	}
	return NULL;
}

static struct gunyah_region *find_label(struct gunyah_vm *vm, uint32_t label)
{
	for (struct gunyah_region *region = vm->regions; region != NULL; region = region->next) {
		if (!region->deleted && region->label == label)
			return region;
	}
	return NULL;
}

void gunyah_mem_append(struct gunyah_vm *vm, struct gunyah_region *region)
{
	struct gunyah_region **link = &vm->regions;

	while (*link != NULL)
		link = &(*link)->next;
	*link = region;
	if (vm->revision->paged && vm->engine_vm != NULL && !vm->engine->reports_all)
		gunyah_page_in_all(vm, region);
}

/* A thread with CAP_IPC_LOCK has no limit. */
static bool is_unlimited(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = { { 0 }, { 0 } };

	return syscall(SYS_capget, &header, data) == 0 && (data[0].effective & (1u << CAP_IPC_LOCK)) != 0;
}

uint64_t gunyah_lock_limit(void)
{
	struct rlimit limit;

	if (is_unlimited() || getrlimit(RLIMIT_MEMLOCK, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	return limit.rlim_cur / gunyah_page_size();
}

static int check(const struct gunyah_vm *vm, const struct uapi_gunyah_region *wanted)
{
	uint64_t mask = gunyah_page_size() - 1;

	if (wanted->size == 0 || ((wanted->size | wanted->gpa | wanted->host) & mask) != 0)
		return -EINVAL;
	return vm->revision->checks_overflow && wanted->size > UINT64_MAX - wanted->gpa ? -EOVERFLOW : 0;
}

static bool charge(struct gunyah_vm *vm, const struct gunyah_region *region)
{
	return !vm->revision->charges || sim_machine_charge(vm->sim, region->pages, gunyah_lock_limit());
}

static void uncharge(struct gunyah_vm *vm, uint64_t pages)
{
	if (vm->revision->charges)
		sim_machine_uncharge(vm->sim, pages);
}

/* Charges and pins. When the kernel could pin a part only, what it gives back is that part: the rest stays charged. */
static int take(struct gunyah_vm *vm, const struct uapi_gunyah_region *wanted, struct gunyah_region *region)
{
	bool write = (wanted->flags & UAPI_GUNYAH_MEM_WRITE) != 0;
	uint64_t pinned = 0;
	int ret;

	if (!charge(vm, region))
		return -ENOMEM;
	if (region->pages > PAGES_MAX) {
		if (region->size >= BREAKING_SIZE)
			sim_machine_breakage(vm->sim,
					     "A memory region of 2^40 bytes or more makes the kernel warn about an "
					     "impossible allocation.");
		uncharge(vm, region->pages);
		return -ENOMEM;
	}
	ret = sim_pin(wanted->host, wanted->size, write, &region->pin, &pinned);
	if (ret < 0)
		uncharge(vm, pinned == 0 ? region->pages : pinned);
	return ret;
}

static int add(struct gunyah_vm *vm, const struct uapi_gunyah_region *wanted, bool lend)
{
	struct gunyah_region *region;
	int ret;

	if ((vm->revision->unique_labels && find_label(vm, wanted->label) != NULL) ||
	    gunyah_mem_find(vm, wanted->gpa, wanted->size) != NULL)
		return -EEXIST;
	region = calloc(1, sizeof(*region));
	if (region == NULL)
		return -ENOMEM;
	region->label = wanted->label;
	region->flags = wanted->flags & FLAGS;
	region->lent = lend;
	region->gpa = wanted->gpa;
	region->size = wanted->size;
	region->pages = wanted->size / gunyah_page_size();
	region->host = wanted->host;
	ret = vm->revision->paged ? gunyah_page_note(vm, region) : take(vm, wanted, region);
	if (ret < 0) {
		free(region);
		return ret;
	}
	gunyah_mem_append(vm, region);
	return 0;
}

static void region_free(struct gunyah_vm *vm, struct gunyah_region *region)
{
	if (vm->revision->paged)
		gunyah_page_drop(vm, region);
	gunyah_gmem_unbind(region);
	sim_unpin(&region->pin);
	if (!vm->revision->paged && vm->revision->closes_late && vm->revision->charges)
		sim_machine_uncharge_late(vm->sim, region->pages);
	else if (!vm->revision->paged)
		uncharge(vm, region->pages);
	free(region);
}

/* No label is no error. What the guest has it keeps: the resource manager does not give it back. */
static void delete (struct gunyah_vm *vm, uint32_t label)
{
	struct gunyah_region *region = find_label(vm, label);
	struct gunyah_region **link = &vm->regions;

	if (region == NULL)
		return;
	if (vm->state != GUNYAH_NO_STATE) {
		region->deleted = true;
		return;
	}
	while (*link != region)
		link = &(*link)->next;
	*link = region->next;
	region_free(vm, region);
}

static int apply(struct gunyah_vm *vm, const struct uapi_gunyah_region *wanted, bool lend)
{
	uint32_t flags = FLAGS | (vm->revision->lent_flag ? UAPI_GUNYAH_MEM_LENT : 0);
	int ret;

	if ((wanted->flags & ~flags) != 0)
		return -EINVAL;
	if (vm->revision->lent_flag && wanted->size == 0) {
		delete (vm, wanted->label);
		return 0;
	}
	ret = check(vm, wanted);
	return ret < 0 ? ret : add(vm, wanted, lend || (wanted->flags & UAPI_GUNYAH_MEM_LENT) != 0);
}

static long give(struct gunyah_vm *vm, uintptr_t arg, bool lend)
{
	struct uapi_gunyah_region wanted;
	int ret;

	/* Before anything else, the pointer included. */
	if (vm->revision->owner_gives && getpid() != vm->creator)
		return -EPERM;
	if (sim_copy_in(&wanted, arg, sizeof(wanted)) < 0)
		return -EFAULT;
	pthread_mutex_lock(&vm->lock);
	ret = apply(vm, &wanted, lend);
	pthread_mutex_unlock(&vm->lock);
	return ret;
}

long gunyah_mem_share(struct gunyah_vm *vm, uintptr_t arg)
{
	return give(vm, arg, false);
}

long gunyah_mem_lend(struct gunyah_vm *vm, uintptr_t arg)
{
	return give(vm, arg, true);
}

void gunyah_mem_free(struct gunyah_vm *vm)
{
	while (vm->regions != NULL) {
		struct gunyah_region *region = vm->regions;

		vm->regions = region->next;
		region_free(vm, region);
	}
	while (vm->ranges != NULL) {
		struct gunyah_range *range = vm->ranges;

		vm->ranges = range->next;
		free(range);
	}
}
