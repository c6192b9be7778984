/* SPDX-License-Identifier: BSD-3-Clause */
/* gh_fdt_validate(): a devicetree as Gunyah's resource manager reads it. The tree is hostile. */
#include "fdt_builder.h"
#include "fdt_rules.h"
#include "fdt_sound.h"
#include "opts.h"

#include <errno.h>
#include <libfdt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Of each severity, so that none hides a worse one. A hostile tree has any number of defects, and looking for a node's path
 * takes time.
 */
#define FINDINGS_MAX 256
#define PATH_ROOM 256

/* --- reading ------------------------------------------------------------------------------------------------------ */

const char *gh_fdt_read_string(const void *tree, int node, const char *name)
{
	int length;
	const char *value = fdt_getprop(tree, node, name, &length);

	if (value == NULL || length < 2 || memchr(value, '\0', (size_t)length) != value + length - 1)
		return NULL;
	return value;
}

uint64_t gh_fdt_read_cells(const uint8_t *bytes, int cells)
{
	uint64_t value = 0;

	for (int i = 0; i < 4 * cells; i++)
		value = value << 8 | bytes[i];
	return value;
}

int gh_fdt_read_u32(const void *tree, int node, const char *name, uint32_t *ret_value)
{
	int length;
	const void *value = fdt_getprop(tree, node, name, &length);

	if (value == NULL)
		return 0;
	if (length != 4)
		return -1;
	*ret_value = (uint32_t)gh_fdt_read_cells(value, 1);
	return 1;
}

int gh_fdt_read_address(const void *tree, int node, const char *name, uint64_t *ret_value)
{
	int length;
	const void *value = fdt_getprop(tree, node, name, &length);

	if (value == NULL)
		return 0;
	if (length != 4 && length != 8)
		return -1;
	*ret_value = gh_fdt_read_cells(value, length / 4);
	return 1;
}

int gh_fdt_read_label(const void *tree, int node, uint32_t *ret_label)
{
	int ret = gh_fdt_read_u32(tree, node, "qcom,label", ret_label);

	return ret == 0 ? gh_fdt_read_u32(tree, node, "label", ret_label) : ret;
}

int gh_fdt_read_reg(const void *tree, int node, int address_cells, int size_cells, unsigned int index,
		    uint64_t *ret_address, uint64_t *ret_size)
{
	size_t entry;
	int length;
	const uint8_t *bytes = fdt_getprop(tree, node, "reg", &length);

	if (address_cells < 1 || address_cells > 2 || size_cells < 0 || size_cells > 2)
		return -1;
	if (bytes == NULL)
		return 0;
	entry = 4 * (size_t)(address_cells + size_cells);
	if ((size_t)length % entry != 0)
		return -1;
	if (index >= (size_t)length / entry)
		return 0;
	bytes += index * entry;
	*ret_address = gh_fdt_read_cells(bytes, address_cells);
	*ret_size = gh_fdt_read_cells(bytes + 4 * (size_t)address_cells, size_cells);
	return 1;
}

int gh_fdt_path(const void *tree, const char *path)
{
	return path[0] == '/' ? fdt_path_offset(tree, path) : -FDT_ERR_BADPATH;
}

int gh_fdt_config(const void *tree)
{
	int config = fdt_path_offset(tree, "/gunyah-vm-config");

	return config >= 0 ? config : fdt_path_offset(tree, "/qcom,vm-config");
}

int gh_fdt_cpus(const void *tree, int config)
{
	int vcpus = fdt_subnode_offset(tree, config, "vcpus");
	const char *path = vcpus < 0 ? NULL : gh_fdt_read_string(tree, vcpus, "config");

	return gh_fdt_path(tree, path != NULL ? path : "/cpus");
}

static bool has_failed(const void *tree, int node)
{
	const char *status = gh_fdt_read_string(tree, node, "status");

	return status != NULL && strncmp(status, "fail", 4) == 0 && (status[4] == '\0' || status[4] == '-');
}

bool gh_fdt_is_cpu(const void *tree, int node)
{
	return gh_fdt_is_string(tree, node, "device_type", "cpu") && !has_failed(tree, node);
}

bool gh_fdt_cpu_boots(const void *tree, int node, bool is_first)
{
	if (fdt_getprop(tree, node, "status", NULL) == NULL)
		return is_first;
	return gh_fdt_is_string(tree, node, "status", "okay");
}

bool gh_fdt_is_shm(const void *tree, int node)
{
	return gh_fdt_is_string(tree, node, "vdevice-type", "shm") ||
	       gh_fdt_is_string(tree, node, "vdevice-type", "shm-doorbell");
}

/* --- findings ----------------------------------------------------------------------------------------------------- */

/* A tree's bytes go to terminals and logs. */
static void make_printable(char *text)
{
	for (; *text != '\0'; text++)
		if (*text < 0x20 || *text >= 0x7f)
			*text = '?';
}

static void report(const struct gh_fdt_check *check, const struct gh_fdt_rule_text *rule, int node, const char *detail)
{
	struct gh_fdt_finding finding = {
		.severity = rule->severity,
		.rule = rule->name,
		.node = "/",
		.property = rule->property,
		.text = rule->text,
		.detail = detail,
		.remedy = rule->remedy,
	};
	char path[PATH_ROOM];

	if (node > 0 && fdt_get_path(check->tree, node, path, sizeof(path)) == 0) {
		make_printable(path);
		finding.node = path;
	}
	check->report(check->data, &finding);
}

void gh_fdt_found(struct gh_fdt_check *check, enum gh_fdt_rule rule, int node, const char *detail, ...)
{
	const struct gh_fdt_rule_text *text = &gh_fdt_rule_texts[rule];
	char words[96];
	va_list arguments;

	if (check->found[text->severity] == FINDINGS_MAX)
		return;
	check->found[text->severity]++;
	check->rejected += text->severity == GH_FDT_REJECTED;
	if (check->report == NULL)
		return;
	va_start(arguments, detail);
	(void)vsnprintf(words, sizeof(words), detail, arguments);
	va_end(arguments);
	make_printable(words);
	report(check, text, node, words);
}

/* --- the tree as a whole ------------------------------------------------------------------------------------------ */

/* Can nothing more be said? */
static bool is_hopeless(struct gh_fdt_check *check, size_t size)
{
	if (!gh_fdt_is_sound(check->tree, size)) {
		gh_fdt_found(check, GH_RULE_SOUND, 0, "%zu bytes that are none", size);
		return true;
	}
	if (fdt_totalsize(check->tree) <= GH_FDT_MAX)
		return false;
	gh_fdt_found(check, GH_RULE_SIZE, 0, "%u bytes", fdt_totalsize(check->tree));
	return true;
}

static void check_memory_nodes(struct gh_fdt_check *check)
{
	const void *tree = check->tree;
	int root_memory = fdt_path_offset(tree, "/memory");

	for (int node = fdt_next_node(tree, -1, NULL); node >= 0; node = fdt_next_node(tree, node, NULL)) {
		if (!gh_fdt_is_string(tree, node, "device_type", "memory"))
			continue;
		/* A path without the unit address finds a node that has one as well. */
		if (node != root_memory || strcmp(fdt_get_name(tree, node, NULL), "memory") != 0)
			gh_fdt_found(check, GH_RULE_MEMORY_NODE, node, "%s", "");
	}
}

static bool has_psci(const void *tree)
{
	bool first = true;
	int cpus = fdt_path_offset(tree, "/cpus");
	int cpu;

	if (fdt_node_offset_by_compatible(tree, -1, "arm,psci-1.0") >= 0 ||
	    fdt_node_offset_by_compatible(tree, -1, "arm,psci-0.2") >= 0)
		return true;
	if (cpus < 0)
		return false;
	fdt_for_each_subnode(cpu, tree, cpus)
	{
		bool boots = gh_fdt_cpu_boots(tree, cpu, first);

		if (!gh_fdt_is_cpu(tree, cpu))
			continue;
		if (fdt_getprop(tree, cpu, "cpu-idle-states", NULL) != NULL ||
		    (!boots && gh_fdt_is_string(tree, cpu, "enable-method", "psci")))
			return true;
		first = first && !boots;
	}
	return false;
}

static void check_root(struct gh_fdt_check *check)
{
	const void *tree = check->tree;
	int node = fdt_path_offset(tree, "/hypervisor");

	if (node >= 0)
		gh_fdt_found(check, GH_RULE_HYPERVISOR, 0, "%s", "");
	check_memory_nodes(check);
	if (!has_psci(tree))
		gh_fdt_found(check, GH_RULE_PSCI, 0, "%s", "");
	if (fdt_path_offset(tree, "/chosen") < 0)
		gh_fdt_found(check, GH_RULE_CHOSEN, 0, "%s", "");
	node = fdt_node_offset_by_compatible(tree, -1, "arm,gic-v2m-frame");
	if (node < 0)
		node = fdt_node_offset_by_compatible(tree, -1, "arm,gic-v3-its");
	if (node >= 0)
		gh_fdt_found(check, GH_RULE_MSI, node, "%s", "");
}

static int read_rules(const struct gh_fdt_rules *callers, struct gh_fdt_rules *own)
{
	const struct gh_fdt_rules defaults = GH_FDT_RULES_INIT;

	*own = defaults;
	if (callers != NULL && gh_opts_copy(own, sizeof(*own), sizeof(*own), callers) < 0)
		return -EINVAL;
	if (own->regions == NULL && own->n_regions != 0)
		return -EINVAL;
	for (size_t i = 0; i < own->n_regions; i++)
		if (own->regions[i].reserved != 0)
			return -EINVAL;
	return 0;
}

static int check_all(struct gh_fdt_check *check, size_t size)
{
	if (is_hopeless(check, size))
		return 0;
	check_root(check);
	gh_fdt_check_config(check);
	if (check->config < 0)
		return 0;
	gh_fdt_check_vdevices(check);
	return gh_fdt_check_memory(check);
}

int gh_fdt_validate(const void *tree, size_t size, const struct gh_fdt_rules *rules,
		    void (*each)(void *data, const struct gh_fdt_finding *finding), void *data)
{
	struct gh_fdt_check check = { .report = each, .data = data };
	void *aligned;
	int ret;

	if (tree == NULL || read_rules(rules, &check.rules) < 0)
		return -EINVAL;
	check.tree = gh_fdt_align(tree, size, &aligned);
	if (check.tree == NULL)
		return -ENOMEM;
	ret = check_all(&check, size);
	free(aligned);
	return ret < 0 ? ret : check.rejected;
}
