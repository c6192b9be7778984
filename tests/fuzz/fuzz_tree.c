/* SPDX-License-Identifier: BSD-3-Clause */
/* Whatever stands in guest memory for a devicetree: the library's check and the simulated resource manager stay inside. */
#include "backend/gunyah.h"
#include "sim/gunyah_rm.h"

#include <gh/memory.h>

#include <stdlib.h>
#include <string.h>

#define BASE UINT64_C(0x80000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* gunyah_tree.c asks the core for regions; there is one here. */
static struct gh_region region = { .prot = GH_MEMORY_RWX, .state = GH_REGION_SHARED, .gpa = BASE };
static struct gh_region *const regions[] = { &region };

static void check_library(uint8_t *tree, size_t size)
{
	struct gh_failure failure = GH_FAILURE_INIT;
	struct gh_bvm vm = {
		.failure = &failure,
		.regions = regions,
		.n_regions = 1,
		.n_vcpus = 1,
		.dtb_gpa = BASE,
		.dtb_size = size,
	};
	struct gh_gunyah_tree result;

	region.host = tree;
	region.length = size;
	if (gh_gunyah_tree_read(&vm, &result) < 0)
		return;
	(void)gh_gunyah_tree_has_bell(&result, 5);
	gh_gunyah_tree_free(&result);
}

static void check_resource_manager(const uint8_t *tree, size_t size)
{
	struct rm_parcel parcels[] = { { .flags = 7, .size = UINT64_C(4) << 20 },
				       { .label = 1, .flags = 3, .size = 4096 } };
	struct rm_memory memory = { .parcels = parcels, .count = 2 };
	struct rm_tree parsed;
	void *patched;

	if (gunyah_rm_parse(tree, size, &parsed) < 0)
		return;
	if (gunyah_rm_place(tree, &parsed, &memory) == 0 &&
	    gunyah_rm_patch(tree, &parsed, &memory, size + 4096, &patched) == 0)
		free(patched);
	gunyah_rm_tree_free(&parsed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *tree;

	if (size == 0)
		return 0;
	/* A copy of exactly this size, so that a byte beyond is noticed. */
	tree = malloc(size);
	if (tree == NULL)
		return 0;
	memcpy(tree, data, size);
	check_library(tree, size);
	check_resource_manager(tree, size);
	free(tree);
	return 0;
}
