/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the resource manager puts a VM's memory.
 *
 * The driver never tells it the guest address that user space asked for. The parcel with the devicetree goes to the tree's
 * base address, one whose label an shm vdevice has goes where that says, and the rest fills up from RM_FREE_START: that is
 * where one was seen, and lower than anybody expects, which is the point of having it in a simulation.
 */
#include "gunyah_rm.h"
#include "../uapi/gunyah.h"

#include <errno.h>
#include <libfdt.h>
#include <string.h>

#define NO_PLACE UINT64_MAX

static bool overlaps(const struct rm_parcel *parcel, uint64_t gpa, uint64_t size)
{
	return parcel->gpa != NO_PLACE && parcel->gpa < gpa + size && gpa < parcel->gpa + parcel->size;
}

/* The parcel in the way, or NULL. */
static const struct rm_parcel *find_overlap(const struct rm_memory *memory, uint64_t gpa, uint64_t size)
{
	for (size_t i = 0; i < memory->count; i++) {
		if (overlaps(&memory->parcels[i], gpa, size))
			return &memory->parcels[i];
	}
	return NULL;
}

static int place_at(struct rm_memory *memory, struct rm_parcel *parcel, uint64_t gpa)
{
	if (gpa >= RM_ADDRESS_END || parcel->size > RM_ADDRESS_END - gpa)
		return -ENODEV;
	if (find_overlap(memory, gpa, parcel->size) != NULL)
		return -ENODEV;
	parcel->gpa = gpa;
	return 0;
}

static int place_anywhere(struct rm_memory *memory, struct rm_parcel *parcel)
{
	uint64_t gpa = RM_FREE_START;

	while (gpa < RM_ADDRESS_END && parcel->size <= RM_ADDRESS_END - gpa) {
		const struct rm_parcel *other = find_overlap(memory, gpa, parcel->size);

		if (other == NULL)
			return place_at(memory, parcel, gpa);
		gpa = other->gpa + other->size;
	}
	return -ENODEV;
}

/* A firmware is where the tree says, and in memory that the host cannot touch. */
static int place_firmware(const struct rm_tree *tree, struct rm_memory *memory)
{
	struct rm_parcel *parcel;

	if (memory->firmware == SIZE_MAX)
		return 0;
	parcel = &memory->parcels[memory->firmware];
	if (!tree->has_firmware || !parcel->lent || (parcel->flags & UAPI_GUNYAH_MEM_EXEC) == 0)
		return -EINVAL;
	if (memory->paged)
		return tree->firmware - parcel->gpa < parcel->size ? 0 : -EINVAL;
	return memory->firmware == memory->main ? 0 : place_at(memory, parcel, tree->firmware);
}

/* Every parcel is where the driver says. Labels mean nothing, so that only vdevices that can do without theirs are served. */
static int place_as_asked(const struct rm_tree *tree, struct rm_memory *memory)
{
	const struct rm_parcel *main = &memory->parcels[memory->main];

	for (size_t i = 0; i < tree->shm_count; i++) {
		if (!tree->shms[i].optional)
			return -EINVAL;
	}
	for (size_t i = 0; i < memory->count; i++) {
		const struct rm_parcel *parcel = &memory->parcels[i];

		if (parcel->gpa >= RM_ADDRESS_END || parcel->size > RM_ADDRESS_END - parcel->gpa)
			return -ENODEV;
	}
	if (main->gpa < RM_MEMORY_START || tree->base < RM_MEMORY_START || main->gpa + main->size <= tree->base)
		return -ENODEV;
	return memory->production && !main->lent ? -ENODEV : place_firmware(tree, memory);
}

static int place_main(const struct rm_tree *tree, struct rm_memory *memory)
{
	struct rm_parcel *parcel = &memory->parcels[memory->main];

	if (tree->base < RM_MEMORY_START || parcel->size > tree->size_max)
		return -ENODEV;
	/* A product's resource manager has no VM whose main memory the host can read or that it cannot execute. */
	if (memory->production && (!parcel->lent || (parcel->flags & UAPI_GUNYAH_MEM_EXEC) == 0))
		return -ENODEV;
	return place_at(memory, parcel, tree->base);
}

static const struct rm_shm *find_shm(const struct rm_tree *tree, uint32_t label)
{
	for (size_t i = 0; i < tree->shm_count; i++) {
		if (tree->shms[i].label == label)
			return &tree->shms[i];
	}
	return NULL;
}

static int place_all(const struct rm_tree *tree, struct rm_memory *memory)
{
	int ret;

	if (memory->paged)
		return place_as_asked(tree, memory);
	for (size_t i = 0; i < memory->count; i++) {
		struct rm_parcel *parcel = &memory->parcels[i];

		parcel->gpa = NO_PLACE;
		parcel->shm = i == memory->main ? NULL : find_shm(tree, parcel->label);
	}
	ret = place_main(tree, memory);
	if (ret == 0)
		ret = place_firmware(tree, memory);
	/* Those with a wish first, so that nobody else is in their place. */
	for (size_t i = 0; i < memory->count && ret == 0; i++) {
		struct rm_parcel *parcel = &memory->parcels[i];

		if (parcel->gpa == NO_PLACE && parcel->shm != NULL && parcel->shm->has_base)
			ret = place_at(memory, parcel, parcel->shm->base);
	}
	for (size_t i = 0; i < memory->count && ret == 0; i++) {
		if (memory->parcels[i].gpa == NO_PLACE)
			ret = place_anywhere(memory, &memory->parcels[i]);
	}
	return ret;
}

static bool is_inside(const struct rm_memory *memory, uint64_t address, uint64_t size)
{
	for (size_t i = 0; i < memory->count; i++) {
		const struct rm_parcel *parcel = &memory->parcels[i];

		if (address >= parcel->gpa && address - parcel->gpa < parcel->size &&
		    size <= parcel->size - (address - parcel->gpa))
			return true;
	}
	return false;
}

static bool has_label(const struct rm_memory *memory, uint32_t label)
{
	for (size_t i = 0; i < memory->count; i++) {
		if (memory->parcels[i].label == label)
			return true;
	}
	return false;
}

/* One that has a size only is the guest's own business; one with a label must be a parcel, any other must lie in one. */
static int check_reserved(const void *fdt, int node, const struct rm_memory *memory)
{
	uint64_t address;
	uint32_t label;
	uint64_t size;
	int ret;

	ret = gunyah_rm_u32(fdt, node, "qcom,label", &label);
	if (ret == 0)
		return has_label(memory, label) ? 0 : -ENODEV;
	for (unsigned int i = 0;; i++) {
		ret = gunyah_rm_reg(fdt, node, i, &address, &size);
		if (ret == -ENOENT)
			return 0;
		if (ret < 0 || !is_inside(memory, address, size))
			return -ENODEV;
	}
}

int gunyah_rm_place(const void *fdt, const struct rm_tree *tree, struct rm_memory *memory)
{
	int reserved = fdt_path_offset(fdt, "/reserved-memory");
	int node;
	int ret;

	ret = place_all(tree, memory);
	if (ret == 0 && fdt_path_offset(fdt, "/hypervisor") >= 0)
		ret = -ENODEV;
	if (ret < 0 || reserved < 0)
		return ret;
	fdt_for_each_subnode(node, fdt, reserved)
	{
		ret = check_reserved(fdt, node, memory);
		if (ret < 0)
			return ret;
	}
	return 0;
}
