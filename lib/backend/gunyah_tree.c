/* SPDX-License-Identifier: BSD-3-Clause */
/* The devicetree before the start: the rules of the resource manager are asked, and what the backend needs is remembered. */
#include "../fdt_builder.h"
#include "../fdt_rules.h"
#include "gunyah.h"

#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEP "check the devicetree"

/* --- rules -------------------------------------------------------------------------------------------------------- */

struct refusal {
	const struct gh_bvm *vm;
	unsigned int count;
};

static enum gh_cause cause_of(const char *rule)
{
	for (size_t i = 0; i < GH_RULES; i++)
		if (strcmp(gh_fdt_rule_texts[i].name, rule) == 0)
			return gh_fdt_rule_texts[i].cause;
	return GH_CAUSE_TREE_RULE;
}

/* The first one is told. What is only ignored is no reason not to start. */
static void note(void *data, const struct gh_fdt_finding *finding)
{
	struct refusal *refusal = data;

	if (finding->severity == GH_FDT_IGNORED || refusal->count++ > 0)
		return;
	(void)gh_fail_as(refusal->vm->failure, cause_of(finding->rule), -EINVAL, STEP, NULL, finding->remedy,
			 "%s%s%s: %s%s%s%s", finding->node, finding->property[0] != '\0' ? ", " : "", finding->property,
			 finding->text, finding->detail[0] != '\0' ? " (" : "", finding->detail,
			 finding->detail[0] != '\0' ? ")" : "");
}

/* "And three more." */
static void note_others(const struct refusal *refusal)
{
	struct gh_failure *failure = refusal->vm->failure;
	size_t length = strlen(failure->cause);

	if (refusal->count > 1)
		(void)snprintf(failure->cause + length, sizeof(failure->cause) - length, " And %u more.",
			       refusal->count - 1);
}

static struct gh_fdt_region *list_regions(const struct gh_bvm *vm)
{
	struct gh_fdt_region *list = calloc(vm->n_regions, sizeof(*list));

	for (uint32_t i = 0; i < vm->n_regions && list != NULL; i++)
		list[i] = (struct gh_fdt_region){ .label = vm->regions[i]->id,
						  .gpa = vm->regions[i]->gpa,
						  .length = vm->regions[i]->length };
	return list;
}

static int check(const struct gh_bvm *vm, const void *tree)
{
	struct gh_fdt_rules rules = GH_FDT_RULES_INIT;
	struct gh_fdt_region *regions = list_regions(vm);
	struct refusal refusal = { .vm = vm };
	int ret;

	if (regions == NULL)
		return gh_fail_request(vm->failure, -ENOMEM, STEP, "");
	rules.quirks = vm->caps.quirks;
	rules.gpa = vm->dtb_gpa;
	rules.room = vm->dtb_size;
	rules.regions = regions;
	rules.n_regions = vm->n_regions;
	rules.n_vcpus = vm->max_vcpu_id + 1;
	ret = gh_fdt_validate(tree, (size_t)vm->dtb_size, &rules, note, &refusal);
	free(regions);
	if (ret < 0)
		return gh_fail_request(vm->failure, ret, STEP, "");
	note_others(&refusal);
	return refusal.count == 0 ? 0 : -EINVAL;
}

/* --- what is remembered ------------------------------------------------------------------------------------------- */

static uint32_t count_cpus(const void *tree, int config)
{
	int cpus = gh_fdt_cpus(tree, config);
	uint32_t count = 0;
	int cpu;

	if (cpus >= 0)
		fdt_for_each_subnode(cpu, tree, cpus) count += gh_fdt_is_cpu(tree, cpu);
	return count;
}

static int read_bells(const struct gh_bvm *vm, const void *tree, int config, struct gh_gunyah_tree *result)
{
	int vdevices = fdt_subnode_offset(tree, config, "vdevices");
	size_t count = 1;
	int node;

	if (vdevices >= 0)
		fdt_for_each_subnode(node, tree, vdevices) count++;
	result->labels = calloc(count, sizeof(*result->labels));
	if (result->labels == NULL)
		return gh_fail_request(vm->failure, -ENOMEM, STEP, "");
	if (vdevices < 0)
		return 0;
	fdt_for_each_subnode(node, tree, vdevices)
	{
		if (gh_fdt_is_string(tree, node, "vdevice-type", "doorbell") && result->n_labels < count &&
		    gh_fdt_read_label(tree, node, &result->labels[result->n_labels]) == 1)
			result->n_labels++;
	}
	return 0;
}

int gh_gunyah_tree_read(const struct gh_bvm *vm, struct gh_gunyah_tree *ret_tree)
{
	const struct gh_region *region = gh_region_find(vm, vm->dtb_gpa, vm->dtb_size);
	const void *tree = region->host + (vm->dtb_gpa - region->gpa);
	struct gh_gunyah_tree result = { 0 };
	int ret = check(vm, tree);
	int config;

	if (ret < 0)
		return ret;
	config = gh_fdt_config(tree);
	result.n_cpus = count_cpus(tree, config);
	ret = read_bells(vm, tree, config, &result);
	if (ret < 0)
		return ret;
	*ret_tree = result;
	return 0;
}

void gh_gunyah_tree_free(struct gh_gunyah_tree *tree)
{
	free(tree->labels);
	*tree = (struct gh_gunyah_tree){ 0 };
}

bool gh_gunyah_tree_has_bell(const struct gh_gunyah_tree *tree, uint32_t label)
{
	for (uint32_t i = 0; i < tree->n_labels; i++)
		if (tree->labels[i] == label)
			return true;
	return false;
}
