/* SPDX-License-Identifier: BSD-3-Clause */
/* Rules for vdevices: doorbells, shared memory, and what the resource manager has besides. */
#include "fdt_builder.h"
#include "fdt_rules.h"

#include <libfdt.h>
#include <string.h>

#include <gh/probe.h>

#define PAGE UINT64_C(4096)
#define PATH_MAX_OF_RM 256u
#define NAME_MAX_OF_NODE 63u
#define COMPATIBLES_MAX 6
#define FIRST_EXTENDED_LINE GH_FDT_LINES

/* Bytes of a new node and of its properties, at most. */
#define NODE_BYTES 12u
#define BELL_BYTES 128u
#define SHM_BYTES 80u

static bool is_known(const char *type)
{
	static const char *const types[] = {
		"doorbell", "doorbell-source", "message-queue", "message-queue-pair", "rm-rpc",     "shm",
		"iomem",    "shm-doorbell",    "virtio-mmio",   "vsmmu-v2",           "vrtc-pl031", "segments",
	};

	for (size_t i = 0; type != NULL && i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(type, types[i]) == 0)
			return true;
	return false;
}

/* An absolute path whose names can all be made; its bytes in the tree are added up. */
static bool is_path(const char *path, uint64_t *bytes)
{
	static const char memory[] = "/memory";
	size_t own = sizeof(memory) - 1;

	if (path == NULL || path[0] != '/' || strlen(path) >= PATH_MAX_OF_RM)
		return false;
	/* That node is replaced. */
	if (strncmp(path, memory, own) == 0 && strchr("/@", path[own]) != NULL)
		return false;
	while (*path == '/') {
		size_t length = strcspn(path + 1, "/");

		if (length == 0 || length > NAME_MAX_OF_NODE)
			return false;
		*bytes += NODE_BYTES + length;
		path += 1 + length;
	}
	return true;
}

static void check_path(struct gh_fdt_check *check, int node, uint64_t bytes)
{
	int length = 0;
	int count = fdt_stringlist_count(check->tree, node, "push-compatible");

	if (!is_path(gh_fdt_read_string(check->tree, node, "generate"), &check->additions))
		gh_fdt_found(check, GH_RULE_PATH, node, "%s", "");
	if (fdt_getprop(check->tree, node, "push-compatible", &length) != NULL) {
		if (count < 1 || count > COMPATIBLES_MAX)
			gh_fdt_found(check, GH_RULE_COMPATIBLE, node, "%s", "");
		check->additions += (uint64_t)length;
	}
	check->additions += bytes;
}

/* --- doorbells ---------------------------------------------------------------------------------------------------- */

/* Labels can be any number; those that are lines are. */
static bool is_taken(struct gh_fdt_check *check, uint32_t label)
{
	uint64_t bit = UINT64_C(1) << label % 64;
	bool taken;

	if (label / 64 >= sizeof(check->labels) / sizeof(check->labels[0]))
		return false;
	taken = (check->labels[label / 64] & bit) != 0;
	check->labels[label / 64] |= bit;
	return taken;
}

static void check_bell_interrupts(struct gh_fdt_check *check, int node)
{
	int length;
	const fdt32_t *cells = fdt_getprop(check->tree, node, "interrupts", &length);
	uint32_t trigger;

	if (cells == NULL) {
		gh_fdt_found(check, GH_RULE_BELL_SILENT, node, "%s", "");
		return;
	}
	if (length != 12) {
		gh_fdt_found(check, GH_RULE_BELL_INTERRUPTS, node, "%d bytes", length);
		return;
	}
	trigger = fdt32_ld(&cells[2]) & 0xf;
	if (fdt32_ld(&cells[0]) == 0 && fdt32_ld(&cells[1]) >= FIRST_EXTENDED_LINE)
		gh_fdt_found(check, GH_RULE_BELL_INTERRUPTS, node, "number %u", fdt32_ld(&cells[1]));
	else if (fdt32_ld(&cells[0]) > 3)
		gh_fdt_found(check, GH_RULE_BELL_INTERRUPTS, node, "type %u", fdt32_ld(&cells[0]));
	else if (trigger != 1 && trigger != 4)
		gh_fdt_found(check, GH_RULE_BELL_INTERRUPTS, node, "flags %u", fdt32_ld(&cells[2]));
}

static void check_bell(struct gh_fdt_check *check, int node)
{
	uint32_t label;

	if (gh_fdt_read_label(check->tree, node, &label) != 1)
		gh_fdt_found(check, GH_RULE_BELL_LABEL, node, "%s", "");
	else if (is_taken(check, label))
		gh_fdt_found(check, GH_RULE_BELL_TWICE, node, "label %u", label);
	if (fdt_getprop(check->tree, node, "peer-default", NULL) == NULL &&
	    gh_fdt_read_string(check->tree, node, "peer") == NULL)
		gh_fdt_found(check, GH_RULE_BELL_PEER, node, "%s", "");
	check_bell_interrupts(check, node);
	if (fdt_getprop(check->tree, node, "source-can-clean", NULL) != NULL)
		gh_fdt_found(check, GH_RULE_BELL_TYPO, node, "%s", "");
	check_path(check, node, BELL_BYTES);
}

/* --- others ------------------------------------------------------------------------------------------------------- */

/* One of the two, and not both. */
static void check_shm_base(struct gh_fdt_check *check, int memory)
{
	bool chosen = fdt_getprop(check->tree, memory, "allocate-base", NULL) != NULL;
	uint64_t base = 0;
	int ret = gh_fdt_read_address(check->tree, memory, "base", &base);

	if (ret < 0 || base % PAGE != 0)
		gh_fdt_found(check, GH_RULE_SHM_BASE, memory, "0x%llx", (unsigned long long)base);
	else if ((ret == 1) == chosen)
		gh_fdt_found(check, GH_RULE_SHM_BASE, memory, "%s", chosen ? "both" : "neither");
}

static void check_shm(struct gh_fdt_check *check, int node)
{
	const void *tree = check->tree;
	int memory = fdt_subnode_offset(tree, node, "memory");
	uint32_t label;

	if (fdt_getprop(tree, node, "peer-default", NULL) == NULL)
		gh_fdt_found(check, GH_RULE_SHM_PEER, node, "%s", "");
	if (memory < 0 || gh_fdt_read_label(tree, memory, &label) != 1)
		gh_fdt_found(check, GH_RULE_SHM_LABEL, memory < 0 ? node : memory, "%s", "");
	if (memory >= 0)
		check_shm_base(check, memory);
	if ((check->rules.quirks & GH_QUIRK_OPTIONAL_SHM_NODES) != 0 &&
	    (memory < 0 || fdt_getprop(tree, memory, "optional", NULL) == NULL))
		gh_fdt_found(check, GH_RULE_SHM_OPTIONAL, node, "%s", "");
	check_path(check, node, SHM_BYTES);
}

static void check_vdevice(struct gh_fdt_check *check, int node)
{
	const void *tree = check->tree;
	const char *type = gh_fdt_read_string(tree, node, "vdevice-type");

	if (!is_known(type)) {
		gh_fdt_found(check, GH_RULE_TYPE, node, "\"%.40s\"", type != NULL ? type : "");
		return;
	}
	if (strcmp(type, "doorbell") == 0)
		check_bell(check, node);
	else if (gh_fdt_is_shm(tree, node))
		check_shm(check, node);
	else if (strcmp(type, "message-queue") == 0 && (fdt_getprop(tree, node, "is-sender", NULL) != NULL) ==
							       (fdt_getprop(tree, node, "is-receiver", NULL) != NULL))
		gh_fdt_found(check, GH_RULE_QUEUE, node, "%s", "");
}

void gh_fdt_check_vdevices(struct gh_fdt_check *check)
{
	int vdevices = fdt_subnode_offset(check->tree, check->config, "vdevices");
	int node;

	if (vdevices < 0)
		return;
	if (gh_fdt_read_string(check->tree, vdevices, "generate") == NULL)
		gh_fdt_found(check, GH_RULE_GENERATE, vdevices, "%s", "");
	fdt_for_each_subnode(node, check->tree, vdevices) check_vdevice(check, node);
}
