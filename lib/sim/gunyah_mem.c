/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory regions: the checks of SET_USER_MEM_REGION and LEND_USER_MEM in the kernel's order.
 *
 * What the kernel does not check is not checked here: addresses may wrap around. After START a region is taken and charged
 * like any other, and the guest never sees it.
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

static uint64_t page_size(void)
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
		if (overlaps(region, gpa, size))
			return region;
	}
	return NULL;
}

static bool is_label_used(const struct gunyah_vm *vm, uint32_t label)
{
	for (const struct gunyah_region *region = vm->regions; region != NULL; region = region->next) {
		if (region->label == label)
			return true;
	}
	return false;
}

/* A thread with CAP_IPC_LOCK has no limit. */
static bool is_unlimited(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = { { 0 }, { 0 } };

	return syscall(SYS_capget, &header, data) == 0 && (data[0].effective & (1u << CAP_IPC_LOCK)) != 0;
}

static uint64_t lock_limit(void)
{
	struct rlimit limit;

	if (is_unlimited() || getrlimit(RLIMIT_MEMLOCK, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	return limit.rlim_cur / page_size();
}

static int check(const struct uapi_gunyah_region *wanted)
{
	uint64_t mask = page_size() - 1;

	if ((wanted->flags & ~FLAGS) != 0)
		return -EINVAL;
	if (wanted->size == 0 || ((wanted->size | wanted->gpa | wanted->host) & mask) != 0)
		return -EINVAL;
	return 0;
}

/* Charges and pins. When the kernel could pin a part only, what it gives back is that part: the rest stays charged. */
static int take(struct gunyah_vm *vm, const struct uapi_gunyah_region *wanted, struct gunyah_region *region)
{
	bool write = (wanted->flags & UAPI_GUNYAH_MEM_WRITE) != 0;
	uint64_t pinned = 0;
	int ret;

	if (!sim_machine_charge(vm->sim, region->pages, lock_limit()))
		return -ENOMEM;
	if (region->pages > PAGES_MAX) {
		if (region->size >= BREAKING_SIZE)
			sim_machine_breakage(vm->sim,
					     "A memory region of 2^40 bytes or more makes the kernel warn about an "
					     "impossible allocation.");
		sim_machine_uncharge(vm->sim, region->pages);
		return -ENOMEM;
	}
	ret = sim_pin(wanted->host, wanted->size, write, &region->pin, &pinned);
	if (ret < 0)
		sim_machine_uncharge(vm->sim, pinned == 0 ? region->pages : pinned);
	return ret;
}

static int add(struct gunyah_vm *vm, const struct uapi_gunyah_region *wanted, bool lend)
{
	struct gunyah_region **link;
	struct gunyah_region *region;
	int ret;

	if (is_label_used(vm, wanted->label) || gunyah_mem_find(vm, wanted->gpa, wanted->size) != NULL)
		return -EEXIST;
	region = calloc(1, sizeof(*region));
	if (region == NULL)
		return -ENOMEM;
	region->label = wanted->label;
	region->flags = wanted->flags;
	region->lent = lend;
	region->gpa = wanted->gpa;
	region->size = wanted->size;
	region->pages = wanted->size / page_size();
	ret = take(vm, wanted, region);
	if (ret < 0) {
		free(region);
		return ret;
	}
	for (link = &vm->regions; *link != NULL; link = &(*link)->next)
		;
	*link = region;
	return 0;
}

long gunyah_mem_add(struct gunyah_vm *vm, uintptr_t arg, bool lend)
{
	struct uapi_gunyah_region wanted;
	int ret;

	/* Before anything else, the pointer included. */
	if (getpid() != vm->creator)
		return -EPERM;
	if (sim_copy_in(&wanted, arg, sizeof(wanted)) < 0)
		return -EFAULT;
	ret = check(&wanted);
	if (ret < 0)
		return ret;
	pthread_mutex_lock(&vm->lock);
	ret = add(vm, &wanted, lend);
	pthread_mutex_unlock(&vm->lock);
	return ret;
}

void gunyah_mem_free(struct gunyah_vm *vm)
{
	while (vm->regions != NULL) {
		struct gunyah_region *region = vm->regions;

		vm->regions = region->next;
		sim_unpin(&region->pin);
		sim_machine_uncharge(vm->sim, region->pages);
		free(region);
	}
}
