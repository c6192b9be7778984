/* SPDX-License-Identifier: BSD-3-Clause */
/* Guest memory: regions are checked here before a kernel sees them. */
#include "internal.h"
#include "opts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STEP "map memory"

#define ALL_FLAGS                                                                                                          \
	(GH_MEMORY_RWX | GH_MEMORY_LEND | GH_MEMORY_HUGE | GH_MEMORY_PREFAULT | GH_MEMORY_LOCK | GH_MEMORY_CONTIGUOUS |    \
	 GH_MEMORY_SWIOTLB)

/* The structure's first version ended here. */
#define FIRST_SIZE offsetof(struct gh_memory, fd)

/* --- checks ------------------------------------------------------------------------------------------------------- */

static int check_flags(struct gh_vm *vm, const struct gh_memory *memory)
{
	const struct gh_caps *caps = &vm->b.caps;

	if ((memory->flags & ~(uint32_t)ALL_FLAGS) != 0 || memory->reserved != 0 || memory->reserved2 != 0)
		return gh_fail_argument(&vm->failure, -EINVAL, STEP, "An unknown flag or a reserved field is set.");
	if ((memory->flags & GH_MEMORY_READ) == 0)
		return gh_fail_argument(&vm->failure, -EINVAL, STEP, "The guest must at least be able to read.");
	if ((memory->flags & GH_MEMORY_LEND) != 0 && (caps->features & GH_FEATURE_LEND) == 0)
		return gh_fail(&vm->failure, -EOPNOTSUPP, STEP, NULL, "Share the memory instead.",
			       "This hypervisor cannot lend memory.");
	if ((memory->flags & GH_MEMORY_LEND) == 0 && (caps->features & GH_FEATURE_SHARE) == 0)
		return gh_fail(&vm->failure, -EOPNOTSUPP, STEP, NULL, "Lend the memory instead.",
			       "This hypervisor cannot share memory.");
	if ((memory->flags & GH_MEMORY_WRITE) == 0 && (caps->features & GH_FEATURE_READ_ONLY_MEMORY) == 0)
		return gh_fail(&vm->failure, -EOPNOTSUPP, STEP, NULL, "Allow the guest to write.",
			       "This hypervisor has no read-only memory: the guest could write all the same.");
	return 0;
}

static int check_contiguous(struct gh_vm *vm, const struct gh_memory *memory)
{
	if (!gh_can(&vm->b, GH_FEATURE_CONTIGUOUS_MEMORY) || vm->b.ops->vm_file == NULL)
		return gh_fail(&vm->failure, -EOPNOTSUPP, STEP, NULL, "Use other memory.",
			       "This hypervisor's kernel has no contiguous memory to give.");
	if (memory->host != NULL || memory->fd < -1 || (memory->fd < 0) == (memory->device == NULL) || memory->offset != 0)
		return gh_fail_argument(&vm->failure, -EINVAL, STEP,
					"Contiguous memory needs the path or the descriptor of its device, and no more.");
	return 0;
}

/* Where the memory comes from. */
static int check_source(struct gh_vm *vm, const struct gh_memory *memory)
{
	if ((memory->flags & GH_MEMORY_CONTIGUOUS) != 0)
		return check_contiguous(vm, memory);
	if (memory->device != NULL)
		return gh_fail_argument(&vm->failure, -EINVAL, STEP, "A device is for contiguous memory.");
	if (gh_is_quirky(&vm->b, GH_QUIRK_OWN_FILES_ONLY) && (memory->host != NULL || memory->fd >= 0))
		return gh_fail(&vm->failure, -EOPNOTSUPP, STEP, NULL,
			       "Let the library make the memory: host NULL and fd -1, then gh_vm_pointer().",
			       "This hypervisor's kernel takes memory of its own files only.");
	if (memory->fd < -1 || (memory->fd == -1 && memory->offset != 0) || memory->offset % vm->b.page_size != 0)
		return gh_fail_argument(
			&vm->failure, -EINVAL, STEP,
			"The descriptor is below -1, or the offset has no file or is no multiple of a page.");
	if (memory->host != NULL && (memory->fd >= 0 || (memory->flags & (GH_MEMORY_HUGE | GH_MEMORY_LOCK)) != 0))
		return gh_fail_argument(
			&vm->failure, -EINVAL, STEP,
			"A file, huge pages and locks are for mappings of the library's: host must be NULL.");
	return 0;
}

static int check_range(struct gh_vm *vm, const struct gh_memory *memory)
{
	const struct gh_bvm *b = &vm->b;

	if (memory->length == 0 || memory->length % b->page_size != 0 || memory->gpa % b->page_size != 0 ||
	    (uintptr_t)memory->host % b->page_size != 0)
		return gh_fail_argument(&vm->failure, -EINVAL, STEP,
					"Addresses and length must be multiples of the page size, and the length not 0.");
	if (memory->gpa % b->caps.gpa_align != 0)
		return gh_fail(&vm->failure, -EINVAL, STEP, NULL, "Move the region to a multiple of that.",
			       "This hypervisor needs guest addresses of regions at multiples of 0x%llx bytes.",
			       (unsigned long long)b->caps.gpa_align);
	if (memory->length > UINT64_MAX - memory->gpa ||
	    (b->caps.gpa_bits < 64 && memory->gpa + memory->length > UINT64_C(1) << b->caps.gpa_bits))
		return gh_fail(&vm->failure, -ERANGE, STEP, NULL, "Choose a lower address or a shorter region.",
			       "The region ends beyond the guest's address space of %u bits.", b->caps.gpa_bits);
	if (memory->length > SIZE_MAX / 2 || (uintptr_t)memory->host > UINTPTR_MAX - memory->length)
		return gh_fail_argument(&vm->failure, -ERANGE, STEP, "The region is too large for this process.");
	return 0;
}

static int check_place(struct gh_vm *vm, const struct gh_memory *memory)
{
	for (uint32_t i = 0; i < vm->b.n_regions; i++) {
		const struct gh_region *other = vm->regions[i];

		if (memory->gpa < other->gpa + other->length && other->gpa < memory->gpa + memory->length)
			return gh_fail(&vm->failure, -EEXIST, STEP, NULL, "Choose an address that is free.",
				       "The region overlaps region %u at 0x%llx, 0x%llx bytes.", other->map,
				       (unsigned long long)other->gpa, (unsigned long long)other->length);
	}
	return 0;
}

/* How many regions the kernel gets for it. */
static uint64_t count_parts(const struct gh_caps *caps, uint64_t length)
{
	if (caps->region_limit == 0 || length <= caps->region_limit)
		return 1;
	return (length - 1) / caps->region_piece + 1;
}

static int check_room(struct gh_vm *vm, const struct gh_memory *memory)
{
	const struct gh_caps *caps = &vm->b.caps;
	uint64_t parts = count_parts(caps, memory->length);

	if (vm->b.n_regions < caps->max_regions && parts <= caps->max_regions - vm->b.n_regions)
		return 0;
	if (parts == 1)
		return gh_fail(&vm->failure, -ENOSPC, STEP, NULL, "Use fewer and larger regions.",
			       "The kernel has room for %u regions.", caps->max_regions);
	return gh_fail(&vm->failure, -ENOSPC, STEP, NULL, "Use less memory.",
		       "The region is %llu regions of %llu MiB to the kernel, which has room for %u regions.",
		       (unsigned long long)parts, (unsigned long long)(caps->region_piece >> 20), caps->max_regions);
}

/* Most kernels take what comes after the start, and never give it to the guest. */
static bool is_time(struct gh_vm *vm)
{
	enum gh_vm_state state = atomic_load(&vm->state);

	return state == GH_VM_OPEN || (state == GH_VM_STARTED && gh_can(&vm->b, GH_FEATURE_LATE_MEMORY));
}

static int check(struct gh_vm *vm, const struct gh_memory *memory)
{
	int ret;

	if (!is_time(vm))
		return gh_fail_state(&vm->failure, STEP, "The VM has been started.");
	ret = check_flags(vm, memory);
	if (ret == 0)
		ret = check_range(vm, memory);
	if (ret == 0)
		ret = check_source(vm, memory);
	if (ret == 0)
		ret = check_place(vm, memory);
	return ret < 0 ? ret : check_room(vm, memory);
}

/* --- the table ---------------------------------------------------------------------------------------------------- */

static int grow(struct gh_vm *vm, uint32_t parts)
{
	size_t count = (size_t)vm->b.n_regions + parts;
	struct gh_region **regions = realloc(vm->regions, count * sizeof(struct gh_region *));
	struct gh_mapping *mappings;

	if (regions == NULL)
		return -ENOMEM;
	vm->regions = regions;
	vm->b.regions = regions;
	mappings = realloc(vm->mappings, count * sizeof(*mappings));
	if (mappings == NULL)
		return -ENOMEM;
	vm->mappings = mappings;
	return 0;
}

static bool is_id_free(const struct gh_vm *vm, uint32_t count, uint32_t id)
{
	for (uint32_t i = 0; i < count; i++)
		if (vm->regions[i]->id == id)
			return false;
	return true;
}

/*
 * What the caller knows counts from below, as if there were no parts: a devicetree names regions of Gunyah by their ids.
 * Further parts count from above; check_room() has seen that the two do not meet.
 */
static uint32_t choose_id(const struct gh_vm *vm, uint32_t count, bool is_first)
{
	uint32_t id = is_first ? 0 : vm->b.caps.max_regions - 1;

	while (!is_id_free(vm, count, id))
		id = is_first ? id + 1 : id - 1;
	return id;
}

static void free_parts(struct gh_vm *vm, uint32_t parts)
{
	for (uint32_t i = 0; i < parts; i++)
		free(vm->regions[vm->b.n_regions + i]);
}

/* In the table behind what is there, where nobody sees them yet. */
static int make_parts(struct gh_vm *vm, const struct gh_region *whole, uint32_t parts)
{
	uint64_t piece = parts == 1 ? whole->length : vm->b.caps.region_piece;
	uint32_t first = vm->b.n_regions;

	if (grow(vm, parts) < 0)
		return gh_fail_memory(&vm->failure, STEP);
	for (uint32_t i = 0; i < parts; i++) {
		struct gh_region *part = calloc(1, sizeof(*part));
		uint64_t offset = i * piece;

		if (part == NULL) {
			free_parts(vm, i);
			return gh_fail_memory(&vm->failure, STEP);
		}
		*part = *whole;
		part->id = choose_id(vm, first + i, i == 0);
		part->map = i == 0 ? part->id : vm->regions[first]->id;
		part->gpa += offset;
		part->length = whole->length - offset < piece ? whole->length - offset : piece;
		vm->regions[first + i] = part;
		vm->mappings[first + i] = (struct gh_mapping){ 0 };
	}
	return 0;
}

int gh_region_hand_over(struct gh_vm *vm, struct gh_region *region)
{
	int ret;

	vm->failure.error = 0;
	ret = vm->b.ops->vm_map(&vm->b, region);
	if (ret < 0 && vm->failure.error == 0)
		(void)gh_fail_request(&vm->failure, ret, STEP, "");
	return ret;
}

/* Until the kernel refuses one: the table ends with the last that it has. */
static int hand_over_parts(struct gh_vm *vm, const struct gh_region *whole, uint32_t parts)
{
	uint32_t first = vm->b.n_regions;
	int ret = 0;

	for (uint32_t i = 0; i < parts; i++) {
		struct gh_region *part = vm->regions[first + i];

		part->fd = whole->fd;
		part->fd_offset = part->gpa - whole->gpa;
		part->host = whole->host + (part->gpa - whole->gpa);
	}
	for (uint32_t i = 0; i < parts && ret == 0; i++) {
		vm->regions[first + i]->slot = first + i;
		ret = gh_region_hand_over(vm, vm->regions[first + i]);
		if (ret == 0)
			vm->b.n_regions++;
	}
	return ret;
}

/*
 * A part was refused: the kernel may have others, or even this one in its table. Where it gives nothing back, only a new VM
 * has none of them; and if the VM runs already, the guest keeps what it has got. False: so it is.
 */
static bool take_back(struct gh_vm *vm, uint32_t first, uint32_t parts)
{
	struct gh_failure failure = vm->failure;
	uint32_t handed = vm->b.n_regions - first;
	bool clean = !vm->b.spoilt && (handed == 0 || vm->b.ops->vm_unmap != NULL);

	for (uint32_t i = first; i < first + handed && clean; i++)
		clean = vm->b.ops->vm_unmap(&vm->b, vm->regions[i]) == 0;
	vm->failure = failure;
	if (!clean && handed != 0 && atomic_load(&vm->state) == GH_VM_STARTED) {
		free_parts(vm, parts - handed);
		return false;
	}
	vm->b.n_regions = first;
	free_parts(vm, parts);
	if (!clean && atomic_load(&vm->state) == GH_VM_OPEN)
		(void)gh_vm_renew(vm, STEP);
	vm->failure = failure;
	return true;
}

/* What comes after the start: the guest has it from now on. */
static int lend_at_once(struct gh_vm *vm)
{
	int ret = gh_regions_give_up(vm);

	gh_regions_lent(vm);
	return ret;
}

/* The host's side of it, and then the kernel's. */
static int map_parts(struct gh_vm *vm, const struct gh_memory *memory, struct gh_region *whole, uint32_t parts)
{
	struct gh_mapping mapping = { 0 };
	uint32_t first = vm->b.n_regions;
	int ret = 0;

	if (memory->host == NULL)
		ret = gh_mapping_make(vm, memory, &mapping, &whole->host);
	else
		ret = gh_mapping_check(vm, whole);
	if (ret == 0 && memory->host == NULL)
		whole->fd = mapping.fd;
	if (ret == 0)
		ret = gh_mapping_prepare(vm, memory->flags, whole, &mapping);
	if (ret == 0)
		ret = hand_over_parts(vm, whole, parts);
	if (ret < 0 && take_back(vm, first, parts)) {
		gh_mapping_free(vm, &mapping);
		return ret;
	}
	gh_mapping_keep(vm, whole, &mapping);
	vm->mappings[first] = mapping;
	if (atomic_load(&vm->state) == GH_VM_STARTED) {
		int lent = lend_at_once(vm);

		ret = ret < 0 ? ret : lent;
	}
	return ret;
}

/* Under the lock. */
static int map(struct gh_vm *vm, const struct gh_memory *memory, uint32_t *ret_id)
{
	struct gh_region whole = {
		.prot = memory->flags & GH_MEMORY_RWX,
		.state = (memory->flags & GH_MEMORY_LEND) != 0 ? GH_REGION_TO_LEND : GH_REGION_SHARED,
		.gpa = memory->gpa,
		.length = memory->length,
		.host = memory->host,
		.fd = -1,
		.contiguous = (memory->flags & GH_MEMORY_CONTIGUOUS) != 0,
		.swiotlb = (memory->flags & GH_MEMORY_SWIOTLB) != 0,
		.anonymous = memory->host == NULL && memory->fd < 0 && !gh_is_quirky(&vm->b, GH_QUIRK_OWN_FILES_ONLY),
	};
	uint32_t first = vm->b.n_regions;
	uint32_t parts;
	int ret = check(vm, memory);

	if (ret < 0)
		return ret;
	parts = (uint32_t)count_parts(&vm->b.caps, memory->length);
	ret = make_parts(vm, &whole, parts);
	if (ret == 0)
		ret = map_parts(vm, memory, &whole, parts);
	if (ret == 0 && ret_id != NULL)
		*ret_id = vm->regions[first]->id;
	return ret;
}

int gh_vm_map(struct gh_vm *vm, const struct gh_memory *callers, uint32_t *ret_id)
{
	struct gh_memory memory = GH_MEMORY_INIT;
	int ret;

	if (vm == NULL || callers == NULL || gh_opts_copy(&memory, sizeof(memory), FIRST_SIZE, callers) < 0)
		return -EINVAL;
	if (gh_vm_is_forked(vm))
		return gh_fail_forked(vm);
	(void)pthread_mutex_lock(&vm->lock);
	ret = map(vm, &memory, ret_id);
	(void)pthread_mutex_unlock(&vm->lock);
	return ret;
}

static uint32_t public_state(struct gh_vm *vm, const struct gh_region *region)
{
	if (region->state == GH_REGION_LENT)
		return GH_MEMORY_LENT;
	return atomic_load(&vm->state) == GH_VM_OPEN ? GH_MEMORY_OWNED : GH_MEMORY_SHARED;
}

uint32_t gh_region_index(const struct gh_vm *vm, uint32_t id, uint32_t *ret_parts)
{
	uint32_t index = 0;
	uint32_t end;

	while (index < vm->b.n_regions && vm->regions[index]->map != id)
		index++;
	for (end = index; end < vm->b.n_regions && vm->regions[end]->map == id; end++)
		;
	*ret_parts = end - index;
	return index;
}

/* With its parts. */
uint64_t gh_region_length_from(const struct gh_bvm *vm, uint32_t index)
{
	uint64_t length = 0;

	for (uint32_t i = index; i < vm->n_regions && vm->regions[i]->map == vm->regions[index]->map; i++)
		length += vm->regions[i]->length;
	return length;
}

int gh_vm_region(struct gh_vm *vm, uint32_t id, struct gh_region_info *ret_info)
{
	struct gh_region_info info = GH_REGION_INFO_INIT;
	uint32_t parts = 0;
	uint32_t index;
	int ret = -ENOENT;

	if (vm == NULL || ret_info == NULL || ret_info->size < sizeof(info))
		return -EINVAL;
	if (gh_vm_is_forked(vm))
		return gh_fail_forked(vm);
	(void)pthread_mutex_lock(&vm->lock);
	index = gh_region_index(vm, id, &parts);
	if (parts != 0) {
		const struct gh_region *region = vm->regions[index];

		info.gpa = region->gpa;
		info.length = gh_region_length_from(&vm->b, index);
		info.access = region->prot;
		info.state = public_state(vm, region);
		info.size = ret_info->size;
		memcpy(ret_info, &info, sizeof(info));
		ret = 0;
	}
	(void)pthread_mutex_unlock(&vm->lock);
	return ret;
}

int gh_regions_give_up(struct gh_vm *vm)
{
	const struct gh_mapping *mapping = NULL;
	int ret = 0;

	if (!gh_is_quirky(&vm->b, GH_QUIRK_OWN_FILES_ONLY))
		return 0;
	for (uint32_t i = 0; i < vm->b.n_regions && ret == 0; i++) {
		struct gh_region *region = vm->regions[i];

		if (region->id == region->map)
			mapping = &vm->mappings[i];
		if (region->state != GH_REGION_TO_LEND)
			continue;
		region->state = GH_REGION_LENT;
		ret = gh_mapping_give_up(vm, mapping, region);
	}
	return ret;
}

void gh_regions_lent(struct gh_vm *vm)
{
	const struct gh_mapping *mapping = NULL;

	for (uint32_t i = 0; i < vm->b.n_regions; i++) {
		struct gh_region *region = vm->regions[i];

		if (region->id == region->map)
			mapping = &vm->mappings[i];
		if (region->state != GH_REGION_TO_LEND)
			continue;
		region->state = GH_REGION_LENT;
		gh_mapping_lend(vm, mapping, region);
	}
}

void gh_regions_drop(struct gh_vm *vm, uint32_t first, uint32_t count)
{
	uint32_t rest = vm->b.n_regions - first - count;

	for (uint32_t i = first; i < first + count; i++)
		free(vm->regions[i]);
	memmove((void *)&vm->regions[first], (const void *)&vm->regions[first + count], rest * sizeof(void *));
	memmove(&vm->mappings[first], &vm->mappings[first + count], rest * sizeof(vm->mappings[0]));
	vm->b.n_regions -= count;
}

void gh_regions_free(struct gh_vm *vm)
{
	for (uint32_t i = 0; i < vm->b.n_regions; i++) {
		gh_mapping_free(vm, &vm->mappings[i]);
		free(vm->regions[i]);
	}
	free(vm->mappings);
	free(vm->regions);
}
