/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whatever stands in place of a devicetree: the validator stays inside it, and passes nothing that the simulated resource
 * manager rejects. The last byte chooses the VM.
 */
#include "fdt_rules.h"
#include "sim/gunyah_rm.h"

#include <gh/probe.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BASE UINT64_C(0x80000000)
#define ROOM 65536u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct gh_fdt_region regions[] = { { 0, 0, BASE, UINT64_C(4) << 20 },
						{ 1, 0, UINT64_C(0x90000000), 4096 },
						{ 2, 0, UINT64_C(0xa0000000), 65536 } };

static void look(void *data, const struct gh_fdt_finding *finding)
{
	size_t *length = data;

	*length += strlen(finding->rule) + strlen(finding->node) + strlen(finding->property) + strlen(finding->text) +
		   strlen(finding->detail) + strlen(finding->remedy);
}

/* Running out of memory is no verdict. */
static int ask(const uint8_t *tree, size_t size, const struct gh_fdt_rules *rules)
{
	struct rm_parcel parcels[COUNT(regions)] = { 0 };
	struct rm_memory memory = { .parcels = parcels, .count = rules->n_regions, .firmware = SIZE_MAX };
	void *patched = NULL;
	struct rm_tree parsed;
	int ret = gunyah_rm_parse(tree, size, &parsed);

	if (ret < 0)
		return ret;
	memory.paged = (rules->quirks & GH_QUIRK_NEEDS_SHM_NODES) == 0;
	for (size_t i = 0; i < memory.count; i++)
		parcels[i] = (struct rm_parcel){
			.label = regions[i].label, .flags = 7, .size = regions[i].length, .gpa = regions[i].gpa
		};
	ret = gunyah_rm_place(tree, &parsed, &memory);
	if (ret == 0)
		ret = gunyah_rm_patch(tree, &parsed, &memory, rules->room, &patched);
	free(patched);
	gunyah_rm_tree_free(&parsed);
	return ret;
}

static void check(const uint8_t *tree, size_t size, uint8_t choice)
{
	struct gh_fdt_rules rules = GH_FDT_RULES_INIT;
	size_t length = 0;
	int rejected = gh_fdt_validate(tree, size, NULL, look, &length);

	if (rejected < 0 && rejected != -ENOMEM)
		abort();
	rules.quirks = (choice & 4) != 0 ? GH_QUIRK_OPTIONAL_SHM_NODES : GH_QUIRK_NEEDS_SHM_NODES;
	rules.gpa = BASE;
	rules.room = ROOM;
	rules.regions = regions;
	rules.n_regions = 1 + choice % COUNT(regions);
	rules.n_vcpus = choice >> 3 & 1;
	rules.max_cpus = RM_CPUS_MAX;
	rejected = gh_fdt_validate(tree, size, &rules, look, &length);
	if (rejected != gh_fdt_validate(tree, size, &rules, NULL, NULL))
		abort();
	if (rejected == 0) {
		int ret = ask(tree, size, &rules);

		if (ret != 0 && ret != -ENOMEM)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *tree;

	if (size < 2)
		return 0;
	/* A copy of exactly this size, so that a byte beyond is noticed. */
	tree = malloc(size - 1);
	if (tree == NULL)
		return 0;
	memcpy(tree, data, size - 1);
	check(tree, size - 1, data[size - 1]);
	free(tree);
	return 0;
}
