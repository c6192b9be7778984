/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules for the places of memory, and for the room that the tree has to grow.
 *
 * Kernels that need shm vdevices never tell the resource manager a region's guest address: the parcel with the tree goes to
 * base-address, one with the label of an shm vdevice to that one's base, and the others anywhere.
 */
#include "fdt_rules.h"

#include <errno.h>
#include <libfdt.h>
#include <stdlib.h>

#include <gh/probe.h>

#define MEMORY_START UINT64_C(0x40000000)
#define ADDRESS_END (UINT64_C(1) << 40)
#define SMALL_TREE UINT64_C(16384)
/* What is added in any case, and for each region and for each that goes anywhere, at most. */
#define FIXED_BYTES 900u
#define REGION_BYTES 16u
#define BUFFER_BYTES 136u

/* Where a region will be. */
struct place {
	uint64_t gpa;
	uint64_t length;
	bool known;
};

struct places {
	struct place *list; /* one for each region */
	size_t elsewhere;   /* those that are not known */
};

static bool needs_nodes(const struct gh_fdt_check *check)
{
	return (check->rules.quirks & GH_QUIRK_NEEDS_SHM_NODES) != 0;
}

static bool holds(uint64_t gpa, uint64_t length, uint64_t address, uint64_t size)
{
	return address >= gpa && address - gpa < length && size <= length - (address - gpa);
}

static const struct gh_fdt_region *find_main(const struct gh_fdt_check *check)
{
	const struct gh_fdt_rules *rules = &check->rules;

	for (size_t i = 0; i < rules->n_regions; i++)
		if (holds(rules->regions[i].gpa, rules->regions[i].length, rules->gpa, rules->room != 0 ? rules->room : 1))
			return &rules->regions[i];
	return NULL;
}

/* The memory node of the first shm vdevice of that label; negative if there is none. */
static int find_shm(const struct gh_fdt_check *check, uint32_t label)
{
	const void *tree = check->tree;
	int vdevices = fdt_subnode_offset(tree, check->config, "vdevices");
	int node;

	if (vdevices < 0)
		return vdevices;
	fdt_for_each_subnode(node, tree, vdevices)
	{
		int memory = gh_fdt_is_shm(tree, node) ? fdt_subnode_offset(tree, node, "memory") : -1;
		uint32_t other;

		if (memory >= 0 && gh_fdt_read_label(tree, memory, &other) == 1 && other == label)
			return memory;
	}
	return -FDT_ERR_NOTFOUND;
}

/* --- places ------------------------------------------------------------------------------------------------------- */

static void place_main(struct gh_fdt_check *check, const struct gh_fdt_region *region, struct place *place)
{
	int memory = fdt_subnode_offset(check->tree, check->config, "memory");

	if (!check->has_base)
		return;
	if (check->base != region->gpa)
		gh_fdt_found(check, GH_RULE_BASE_REGION, memory, "base 0x%llx, region 0x%llx",
			     (unsigned long long)check->base, (unsigned long long)region->gpa);
	if (!needs_nodes(check)) {
		/* It stays where it is, and the base must at least be in it. */
		if (region->gpa < MEMORY_START || region->gpa + region->length <= check->base)
			gh_fdt_found(check, GH_RULE_BASE_LOW, memory, "region 0x%llx", (unsigned long long)region->gpa);
		return;
	}
	place->gpa = check->base;
	if (region->length > check->size_max)
		gh_fdt_found(check, GH_RULE_SIZE_MAX, memory, "0x%llx bytes", (unsigned long long)region->length);
}

static void place_other(struct gh_fdt_check *check, const struct gh_fdt_region *region, struct place *place)
{
	int vdevices = fdt_subnode_offset(check->tree, check->config, "vdevices");
	int memory = find_shm(check, region->label);
	uint64_t base = 0;

	if (memory < 0)
		gh_fdt_found(check, GH_RULE_SHM_MISSING, vdevices < 0 ? check->config : vdevices, "region %u at 0x%llx",
			     region->label, (unsigned long long)region->gpa);
	place->known = memory >= 0 && gh_fdt_read_address(check->tree, memory, "base", &base) == 1;
	if (place->known)
		place->gpa = base;
	if (memory >= 0 && (!place->known || base != region->gpa))
		gh_fdt_found(check, GH_RULE_SHM_ELSEWHERE, memory, "region %u is at 0x%llx", region->label,
			     (unsigned long long)region->gpa);
}

static struct place find_place(struct gh_fdt_check *check, const struct gh_fdt_region *main_memory,
			       const struct gh_fdt_region *region)
{
	struct place place = { .gpa = region->gpa, .length = region->length, .known = true };

	if (region == main_memory)
		place_main(check, region, &place);
	else if (needs_nodes(check))
		place_other(check, region, &place);
	return place;
}

static void check_overlaps(struct gh_fdt_check *check, const struct places *places, size_t index)
{
	const struct place *place = &places->list[index];

	for (size_t i = 0; i < index && place->known; i++) {
		const struct place *other = &places->list[i];

		if (other->known && place->gpa < other->gpa + other->length && other->gpa < place->gpa + place->length)
			gh_fdt_found(check, GH_RULE_OVERLAP, check->config, "regions %u and %u at 0x%llx",
				     check->rules.regions[i].label, check->rules.regions[index].label,
				     (unsigned long long)place->gpa);
	}
}

/* False: they do not fit, and nothing can be said of overlaps. */
static bool check_places(struct gh_fdt_check *check, const struct gh_fdt_region *main_memory, struct places *places)
{
	uint64_t end = MEMORY_START + 4096;
	uint64_t elsewhere = 0;

	for (size_t i = 0; i < check->rules.n_regions; i++) {
		struct place *place = &places->list[i];

		*place = find_place(check, main_memory, &check->rules.regions[i]);
		if (place->length > ADDRESS_END || (place->known && place->gpa > ADDRESS_END - place->length)) {
			gh_fdt_found(check, GH_RULE_ADDRESS_SPACE, check->config, "region %u",
				     check->rules.regions[i].label);
			return false;
		}
		if (place->known && place->gpa + place->length > end)
			end = place->gpa + place->length;
		elsewhere += place->known ? 0 : place->length;
		places->elsewhere += !place->known;
		if (elsewhere > ADDRESS_END - end) {
			gh_fdt_found(check, GH_RULE_ADDRESS_SPACE, check->config, "%s", "");
			return false;
		}
	}
	return true;
}

/* --- reserved memory ---------------------------------------------------------------------------------------------- */

static bool is_inside(const struct gh_fdt_check *check, const struct places *places, uint64_t address, uint64_t size)
{
	for (size_t i = 0; i < check->rules.n_regions; i++) {
		const struct place *place = &places->list[i];

		if (place->known && holds(place->gpa, place->length, address, size))
			return true;
	}
	return false;
}

static bool has_label(const struct gh_fdt_check *check, uint32_t label)
{
	for (size_t i = 0; i < check->rules.n_regions; i++)
		if (check->rules.regions[i].label == label)
			return true;
	return false;
}

/* One without an address is the guest's own business. */
static void check_reserved_node(struct gh_fdt_check *check, const struct places *places, int node, const int cells[2])
{
	bool known = check->rules.n_regions != 0;
	size_t entry = 4 * (size_t)(cells[0] + cells[1]);
	const uint8_t *reg;
	int length;
	uint32_t label;

	if (gh_fdt_read_u32(check->tree, node, "qcom,label", &label) == 1) {
		if (known && !has_label(check, label))
			gh_fdt_found(check, GH_RULE_RESERVED_LABEL, node, "label %u", label);
		return;
	}
	reg = fdt_getprop(check->tree, node, "reg", &length);
	if (reg == NULL)
		return;
	if ((size_t)length % entry != 0) {
		gh_fdt_found(check, GH_RULE_RESERVED_REG, node, "%d bytes, and entries of %zu", length, entry);
		return;
	}
	for (const uint8_t *end = reg + length; known && reg != end; reg += entry) {
		uint64_t address = gh_fdt_read_cells(reg, cells[0]);
		uint64_t size = gh_fdt_read_cells(reg + 4 * (size_t)cells[0], cells[1]);

		if (is_inside(check, places, address, size))
			continue;
		gh_fdt_found(check, GH_RULE_RESERVED_REG, node, "0x%llx bytes at 0x%llx", (unsigned long long)size,
			     (unsigned long long)address);
		return;
	}
}

static void check_reserved(struct gh_fdt_check *check, const struct places *places)
{
	int reserved = fdt_path_offset(check->tree, "/reserved-memory");
	int cells[2];
	int node;

	if (reserved < 0)
		return;
	cells[0] = fdt_address_cells(check->tree, reserved);
	cells[1] = fdt_size_cells(check->tree, reserved);
	/* A buffer that is added has a size, and may be anywhere. */
	if (cells[0] < 1 || cells[0] > 2 || cells[1] < 0 || cells[1] > 2 ||
	    (places->elsewhere > 0 && (cells[0] < 2 || cells[1] < 2))) {
		gh_fdt_found(check, GH_RULE_RESERVED_CELLS, reserved, "%s", "");
		return;
	}
	fdt_for_each_subnode(node, check->tree, reserved) check_reserved_node(check, places, node, cells);
}

/* --- the tree itself ---------------------------------------------------------------------------------------------- */

static void check_root_cells(struct gh_fdt_check *check, const struct places *places)
{
	int address_cells = fdt_address_cells(check->tree, 0);
	int size_cells = fdt_size_cells(check->tree, 0);
	bool good = address_cells >= 1 && address_cells <= 2 && size_cells >= 1 && size_cells <= 2 &&
		    (places->elsewhere == 0 || (address_cells == 2 && size_cells == 2));
	uint64_t total = 0;

	for (size_t i = 0; i < check->rules.n_regions && good; i++) {
		/* Neighbours are written as one. */
		total += places->list[i].length;
		good = (address_cells == 2 || places->list[i].gpa <= UINT32_MAX) &&
		       (size_cells == 2 || total <= UINT32_MAX);
	}
	if (!good)
		gh_fdt_found(check, GH_RULE_ROOT_CELLS, 0, "%s", "");
}

/* Without the gaps that are there for growing. */
static uint64_t used_bytes(const void *tree)
{
	uint64_t reservations = (uint64_t)fdt_num_mem_rsv(tree) + 1;

	if (fdt_version(tree) < 17)
		return fdt_totalsize(tree);
	return sizeof(struct fdt_header) + 8 + reservations * sizeof(struct fdt_reserve_entry) + fdt_size_dt_struct(tree) +
	       fdt_size_dt_strings(tree);
}

static void check_room(struct gh_fdt_check *check, const struct places *places)
{
	uint64_t size = used_bytes(check->tree) + FIXED_BYTES + check->additions +
			REGION_BYTES * (uint64_t)(check->rules.n_regions + 1) + BUFFER_BYTES * (uint64_t)places->elsewhere;

	if (check->rules.room == 0)
		return;
	if (size > (size <= SMALL_TREE ? check->rules.room : check->rules.room / 2))
		gh_fdt_found(check, GH_RULE_ROOM, 0, "about %llu bytes, and room for %llu", (unsigned long long)size,
			     (unsigned long long)check->rules.room);
}

static void check_all(struct gh_fdt_check *check, const struct gh_fdt_region *main_memory, struct places *places)
{
	if (!check_places(check, main_memory, places))
		return;
	for (size_t i = 0; i < check->rules.n_regions; i++)
		check_overlaps(check, places, i);
	check_reserved(check, places);
	check_root_cells(check, places);
	check_room(check, places);
}

int gh_fdt_check_memory(struct gh_fdt_check *check)
{
	const struct gh_fdt_region *main_memory = find_main(check);
	struct places places = { 0 };

	if (check->rules.n_regions != 0 && main_memory == NULL) {
		gh_fdt_found(check, GH_RULE_TREE_PLACE, 0, "0x%llx bytes at 0x%llx", (unsigned long long)check->rules.room,
			     (unsigned long long)check->rules.gpa);
		return 0;
	}
	places.list = calloc(check->rules.n_regions + 1, sizeof(*places.list));
	if (places.list == NULL)
		return -ENOMEM;
	check_all(check, main_memory, &places);
	free(places.list);
	return 0;
}
