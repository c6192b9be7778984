/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * gh_fdt_validate(): each rule with a sound tree that is changed in one place, and the simulated resource manager asked about
 * the same tree.
 */
#include "../../lib/fdt_rules.h"
#include "../../lib/sim/gunyah_rm.h"
#include "util.h"

#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ROOM 32768u
#define SHM_GPA UINT64_C(0x90000000)
#define CONFIG "/gunyah-vm-config"
#define BELL CONFIG "/vdevices/bell-0"
#define SHM CONFIG "/vdevices/shm-0"
#define LONG_NAME "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn" /* 80 */

/* --- trees -------------------------------------------------------------------------------------------------------- */

static unsigned char *blob;

static int node_at(const char *path)
{
	int node = fdt_path_offset(blob, path);

	ck_assert_msg(node >= 0, "%s: %s", path, fdt_strerror(node));
	return node;
}

static void add_node(const char *parent, const char *name)
{
	ck_assert_int_ge(fdt_add_subnode(blob, node_at(parent), name), 0);
}

/* Two cpus, two doorbells, a second region with its vdevice, PSCI, /chosen: nothing is wrong with it. */
static void make_sound_tree(void)
{
	static const struct tree_bell bells[] = { { 5, 5, 1 }, { 6, 6, 4 } };
	static const struct tree_shm shms[] = { { 1, SHM_GPA } };
	static const struct tree tree = { .cpus = 2, .bells = bells, .bell_count = 2, .shms = shms, .shm_count = 1 };

	ck_assert_uint_gt(tree_build(&tree, blob, ROOM), 0);
	ck_assert_int_eq(fdt_open_into(blob, blob, ROOM), 0);
	add_node("/", "chosen");
}

static void setup(void)
{
	blob = calloc(1, ROOM);
	ck_assert_ptr_nonnull(blob);
}

static void teardown(void)
{
	free(blob);
}

/* --- one change --------------------------------------------------------------------------------------------------- */

enum change {
	NOTHING,
	DELETE_NODE,     /* at `path` */
	DELETE_PROPERTY, /* `name` of `path` */
	SET,             /* `name` of `path` to bytes */
	ADD_NODE,        /* `name` below `path` */
	ADD_TYPED,       /* likewise, with device_type = bytes */
	ADD_COMPATIBLE,  /* likewise, with compatible */
	SPOIL,           /* the tree's first byte */
};

/* Does the resource manager know of it? What it is not told, or what does harm later, it takes. */
enum verdict { AGREES, NOT_ASKED };

struct rule_case {
	enum gh_fdt_rule rule;
	enum change change;
	const char *path;
	const char *name;
	const void *value;
	size_t length;
	enum verdict verdict;
	struct gh_fdt_rules rules; /* size 0: those of the VM, with shm vdevices that are needed */
	const char *node;          /* of the finding */
};

#define TEXT(string) string, sizeof(string)
#define BYTES(...) (const unsigned char[]){ __VA_ARGS__ }, sizeof((const unsigned char[]){ __VA_ARGS__ })
#define EMPTY "", 0
#define U32(value) BYTES((value) >> 24 & 0xff, (value) >> 16 & 0xff, (value) >> 8 & 0xff, (value)&0xff)
#define U64(high, low)                                                                                                     \
	BYTES((high) >> 24 & 0xff, (high) >> 16 & 0xff, (high) >> 8 & 0xff, (high)&0xff, (low) >> 24 & 0xff,               \
	      (low) >> 16 & 0xff, (low) >> 8 & 0xff, (low)&0xff)

static const struct gh_fdt_region vm_regions[] = { { 0, 0, RAM_GPA, RAM_SIZE }, { 1, 0, SHM_GPA, 4096 } };
#define RULES(quirks, gpa, room, regions, vcpus, cpus)                                                                     \
	{                                                                                                                  \
		sizeof(struct gh_fdt_rules), quirks, gpa, room, regions, COUNT(regions), vcpus, cpus                       \
	}
#define NEEDED GH_QUIRK_NEEDS_SHM_NODES
static const struct gh_fdt_region three_regions[] = { { 0, 0, RAM_GPA, RAM_SIZE },
						      { 1, 0, SHM_GPA, 4096 },
						      { 2, 0, UINT64_C(0xa0000000), 4096 } };
static const struct gh_fdt_region large_regions[] = { { 0, 0, RAM_GPA, RAM_SIZE }, { 1, 0, SHM_GPA, UINT64_C(1) << 40 } };

static const struct rule_case cases[] = {
	{ GH_RULE_SOUND, SPOIL, "/", "", EMPTY, AGREES, { 0 }, "/" },
	{ GH_RULE_ROOM, NOTHING, "/", "", EMPTY, AGREES, RULES(NEEDED, DTB_GPA, 2048, vm_regions, 2, 8), "/" },
	{ GH_RULE_ROOT_CELLS, SET, "/", "#size-cells", U32(0), AGREES, { 0 }, "/" },
	{ GH_RULE_HYPERVISOR, ADD_NODE, "/", "hypervisor", EMPTY, AGREES, { 0 }, "/" },
	{ GH_RULE_MEMORY_NODE, ADD_TYPED, "/", "memory@80000000", TEXT("memory"), AGREES, { 0 }, NULL },
	{ GH_RULE_MEMORY_NODE, ADD_TYPED, "/cpus", "bank", TEXT("memory"), AGREES, { 0 }, "/cpus/bank" },
	{ GH_RULE_CHOSEN, DELETE_NODE, "/chosen", "", EMPTY, AGREES, { 0 }, "/" },
	{ GH_RULE_MSI, ADD_COMPATIBLE, "/intc", "v2m", TEXT("arm,gic-v2m-frame"), AGREES, { 0 }, "/intc/v2m" },
	{ GH_RULE_MSI, ADD_COMPATIBLE, "/intc", "its", TEXT("arm,gic-v3-its"), AGREES, { 0 }, "/intc/its" },
	{ GH_RULE_CONFIG, DELETE_NODE, CONFIG, "", EMPTY, AGREES, { 0 }, "/" },
	{ GH_RULE_IMAGE_NAME, DELETE_PROPERTY, CONFIG, "image-name", EMPTY, AGREES, { 0 }, CONFIG },
	{ GH_RULE_IMAGE_NAME, SET, CONFIG, "image-name", TEXT(LONG_NAME), AGREES, { 0 }, CONFIG },
	{ GH_RULE_IMAGE_NAME, SET, CONFIG, "image-name", "name", 4, AGREES, { 0 }, CONFIG },
	{ GH_RULE_IMAGE_NAME, SET, CONFIG, "image-name", TEXT(""), AGREES, { 0 }, CONFIG },
	{ GH_RULE_GUID, SET, CONFIG, "vm-guid", TEXT("12345678-9abc-def0-1234-56789abcdef"), AGREES, { 0 }, CONFIG },
	{ GH_RULE_GUID, SET, CONFIG, "vm-guid", TEXT("12345678-9abc-def0-1234-56789abcdexx"), AGREES, { 0 }, CONFIG },
	{ GH_RULE_GUID, SET, CONFIG, "vm-guid", U32(1), AGREES, { 0 }, CONFIG },
	{ GH_RULE_ATTRIBUTE, SET, CONFIG, "vm-attrs", TEXT("no-reset\0no-sleep"), AGREES, { 0 }, CONFIG },
	{ GH_RULE_MEMORY, DELETE_NODE, CONFIG "/memory", "", EMPTY, AGREES, { 0 }, CONFIG },
	{ GH_RULE_MEMORY_CELLS, DELETE_PROPERTY, CONFIG "/memory", "#address-cells", EMPTY, AGREES, { 0 }, NULL },
	{ GH_RULE_MEMORY_CELLS, SET, CONFIG "/memory", "#size-cells", U64(2, 2), AGREES, { 0 }, NULL },
	{ GH_RULE_BASE, DELETE_PROPERTY, CONFIG "/memory", "base-address", EMPTY, AGREES, { 0 }, NULL },
	{ GH_RULE_BASE_FORM, SET, CONFIG "/memory", "base-address", EMPTY, AGREES, { 0 }, NULL },
	{ GH_RULE_BASE_FORM, SET, CONFIG "/memory", "base-address", U64(0, 0x80000001u), AGREES, { 0 }, NULL },
	{ GH_RULE_BASE_FORM, SET, CONFIG "/memory", "base-address", U64(0x101, 0), AGREES, { 0 }, NULL },
	{ GH_RULE_SIZE_MAX_FORM, SET, CONFIG "/memory", "size-max", EMPTY, AGREES, { 0 }, NULL },
	{ GH_RULE_SIZE_MAX, SET, CONFIG "/memory", "size-max", U32(0x3ff000), AGREES, { 0 }, CONFIG "/memory" },
	{ GH_RULE_FIRMWARE, SET, CONFIG "/memory", "firmware-address", U32(0x80000100u), AGREES, { 0 }, NULL },
	{ GH_RULE_FIRMWARE, SET, CONFIG "/memory", "firmware-address", EMPTY, AGREES, { 0 }, NULL },
	{ GH_RULE_GIC_PATH, SET, CONFIG "/interrupts", "config", TEXT("/nothing"), AGREES, { 0 }, CONFIG },
	{ GH_RULE_GIC_PATH, SET, CONFIG "/interrupts", "config", TEXT("intc"), AGREES, { 0 }, CONFIG },
	{ GH_RULE_GIC_PATH, SET, CONFIG "/interrupts", "config", U64(1, 1), AGREES, { 0 }, CONFIG },
	{ GH_RULE_GIC_PHANDLE, SET, CONFIG "/interrupts", "config", U32(1), AGREES, { 0 }, CONFIG "/interrupts" },
	{ GH_RULE_GIC_VERSION, SET, "/intc", "compatible", TEXT("arm,gic-400"), AGREES, { 0 }, "/intc" },
	{ GH_RULE_GIC_CONTROLLER, DELETE_PROPERTY, "/intc", "interrupt-controller", EMPTY, AGREES, { 0 }, "/intc" },
	{ GH_RULE_GIC_CELLS, SET, "/intc", "#interrupt-cells", U32(1), AGREES, { 0 }, "/intc" },
	{ GH_RULE_GIC_CELLS, DELETE_PROPERTY, "/intc", "#interrupt-cells", EMPTY, AGREES, { 0 }, "/intc" },
	{ GH_RULE_GIC_REGIONS, SET, "/intc", "#redistributor-regions", U32(2), AGREES, { 0 }, "/intc" },
	{ GH_RULE_GIC_STRIDE, SET, "/intc", "redistributor-stride", U32(0x10000), AGREES, { 0 }, "/intc" },
	{ GH_RULE_GIC_REG, SET, "/intc", "reg", U64(0, 0x3fff0000u), AGREES, { 0 }, "/intc" },
	{ GH_RULE_GIC_REG, SET, "/intc", "reg", EMPTY, AGREES, { 0 }, "/intc" },
	{ GH_RULE_AFFINITY, DELETE_PROPERTY, CONFIG "/vcpus", "affinity", EMPTY, AGREES, { 0 }, CONFIG "/vcpus" },
	{ GH_RULE_AFFINITY, SET, CONFIG "/vcpus", "affinity", TEXT("static"), AGREES, { 0 }, CONFIG "/vcpus" },
	{ GH_RULE_CPUS, SET, CONFIG "/vcpus", "config", TEXT("/none"), AGREES, { 0 }, CONFIG },
	{ GH_RULE_CPUS, SET, CONFIG "/vcpus", "config", TEXT("cpus"), AGREES, { 0 }, CONFIG },
	{ GH_RULE_CPU_STATUS, SET, "/cpus/cpu@0", "status", "okay", 4, AGREES,
	  RULES(NEEDED, DTB_GPA, ROOM, vm_regions, 1, 8), "/cpus/cpu@0" },
	{ GH_RULE_CPU_STATUS, SET, "/cpus/cpu@1", "status", TEXT("ok"), AGREES, { 0 }, "/cpus/cpu@1" },
	{ GH_RULE_CPU_METHOD, DELETE_PROPERTY, "/cpus/cpu@1", "enable-method", EMPTY, AGREES, { 0 }, "/cpus/cpu@1" },
	{ GH_RULE_MAX_CPUS, NOTHING, "/", "", EMPTY, NOT_ASKED, RULES(NEEDED, DTB_GPA, ROOM, vm_regions, 1, 1), "/cpus" },
	{ GH_RULE_VCPU, NOTHING, "/", "", EMPTY, NOT_ASKED, RULES(NEEDED, DTB_GPA, ROOM, vm_regions, 3, 8), "/cpus" },
	{ GH_RULE_GENERATE, DELETE_PROPERTY, CONFIG "/vdevices", "generate", EMPTY, AGREES, { 0 }, CONFIG "/vdevices" },
	{ GH_RULE_TYPE, SET, BELL, "vdevice-type", TEXT("teapot"), AGREES, { 0 }, BELL },
	{ GH_RULE_TYPE, DELETE_PROPERTY, BELL, "vdevice-type", EMPTY, AGREES, { 0 }, BELL },
	{ GH_RULE_BELL_LABEL, DELETE_PROPERTY, BELL, "label", EMPTY, AGREES, { 0 }, BELL },
	{ GH_RULE_BELL_LABEL, SET, BELL, "label", U64(0, 5), AGREES, { 0 }, BELL },
	{ GH_RULE_BELL_TWICE, SET, CONFIG "/vdevices/bell-1", "label", U32(5), AGREES, { 0 }, CONFIG "/vdevices/bell-1" },
	{ GH_RULE_BELL_INTERRUPTS, SET, BELL, "interrupts", U64(0, 5), AGREES, { 0 }, BELL },
	{ GH_RULE_BELL_INTERRUPTS,
	  SET,
	  BELL,
	  "interrupts",
	  BYTES(0, 0, 0, 0, 0, 0, 3, 0xdc, 0, 0, 0, 1),
	  AGREES,
	  { 0 },
	  BELL },
	{ GH_RULE_BELL_INTERRUPTS,
	  SET,
	  BELL,
	  "interrupts",
	  BYTES(0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 1),
	  AGREES,
	  { 0 },
	  BELL },
	{ GH_RULE_BELL_INTERRUPTS,
	  SET,
	  BELL,
	  "interrupts",
	  BYTES(0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 2),
	  AGREES,
	  { 0 },
	  BELL },
	{ GH_RULE_BELL_PEER, DELETE_PROPERTY, BELL, "peer-default", EMPTY, AGREES, { 0 }, BELL },
	{ GH_RULE_BELL_SILENT, DELETE_PROPERTY, BELL, "interrupts", EMPTY, AGREES, { 0 }, BELL },
	{ GH_RULE_BELL_TYPO, SET, BELL, "source-can-clean", EMPTY, AGREES, { 0 }, BELL },
	{ GH_RULE_PATH, DELETE_PROPERTY, BELL, "generate", EMPTY, AGREES, { 0 }, BELL },
	{ GH_RULE_PATH, SET, BELL, "generate", TEXT("hypervisor/bell"), AGREES, { 0 }, BELL },
	{ GH_RULE_PATH, SET, BELL, "generate", TEXT("/hypervisor//bell"), AGREES, { 0 }, BELL },
	{ GH_RULE_PATH, SET, BELL, "generate", TEXT("/hypervisor/" LONG_NAME), AGREES, { 0 }, BELL },
	{ GH_RULE_PATH, SET, BELL, "generate", TEXT("/memory@80000000/bell"), AGREES, { 0 }, BELL },
	{ GH_RULE_PATH, SET, BELL, "generate", TEXT("/memory/bell"), AGREES, { 0 }, BELL },
	{ GH_RULE_PATH, SET, SHM, "generate", TEXT("shm"), AGREES, { 0 }, SHM },
	{ GH_RULE_COMPATIBLE, SET, BELL, "push-compatible", TEXT("a\0b\0c\0d\0e\0f\0g"), AGREES, { 0 }, BELL },
	{ GH_RULE_COMPATIBLE, SET, SHM, "push-compatible", "abc", 3, AGREES, { 0 }, SHM },
	{ GH_RULE_SHM_PEER, DELETE_PROPERTY, SHM, "peer-default", EMPTY, AGREES, { 0 }, SHM },
	{ GH_RULE_SHM_OPTIONAL, NOTHING, "/", "", EMPTY, AGREES,
	  RULES(GH_QUIRK_OPTIONAL_SHM_NODES, DTB_GPA, ROOM, vm_regions, 2, 8), SHM },
	{ GH_RULE_TREE_PLACE, NOTHING, "/", "", EMPTY, NOT_ASKED, RULES(NEEDED, RAM_GPA - 4096, ROOM, vm_regions, 2, 8),
	  "/" },
	{ GH_RULE_TREE_PLACE, NOTHING, "/", "", EMPTY, NOT_ASKED, RULES(NEEDED, DTB_GPA, RAM_SIZE, vm_regions, 2, 8), "/" },
	{ GH_RULE_SHM_MISSING, NOTHING, "/", "", EMPTY, AGREES, RULES(NEEDED, DTB_GPA, ROOM, three_regions, 2, 8),
	  CONFIG "/vdevices" },
	{ GH_RULE_SHM_ELSEWHERE, SET, SHM "/memory", "base", U64(0, 0xb0000000u), AGREES, { 0 }, SHM "/memory" },
	{ GH_RULE_ADDRESS_SPACE, NOTHING, "/", "", EMPTY, AGREES, RULES(NEEDED, DTB_GPA, ROOM, large_regions, 2, 8),
	  CONFIG },
};

/* --- asking both -------------------------------------------------------------------------------------------------- */

struct findings {
	unsigned int count;
	unsigned int rejected;
	bool rules[GH_RULES];
	char node[256]; /* of the last */
	char property[64];
	bool complete;
};

static unsigned int rule_number(const char *name)
{
	for (unsigned int i = 0; i < GH_RULES; i++)
		if (strcmp(gh_fdt_rule_texts[i].name, name) == 0)
			return i;
	ck_abort_msg("there is no rule \"%s\"", name);
}

static void note(void *data, const struct gh_fdt_finding *finding)
{
	struct findings *findings = data;
	const struct gh_fdt_rule_text *text = &gh_fdt_rule_texts[rule_number(finding->rule)];

	findings->count++;
	findings->rejected += finding->severity == GH_FDT_REJECTED;
	findings->rules[rule_number(finding->rule)] = true;
	ck_assert_uint_lt(strlen(finding->node), sizeof(findings->node));
	(void)strcpy(findings->node, finding->node);
	(void)strcpy(findings->property, finding->property);
	findings->complete = finding->text[0] != '\0' && finding->remedy[0] != '\0' && finding->detail != NULL;
	ck_assert_uint_eq(finding->severity, text->severity);
	ck_assert_str_eq(finding->property, text->property);
}

static struct findings validate(const struct gh_fdt_rules *rules)
{
	struct findings findings = { 0 };

	ck_assert_int_eq(gh_fdt_validate(blob, ROOM, rules, note, &findings), (int)findings.rejected);
	/* Who does not want to know gets the same number. */
	ck_assert_int_eq(gh_fdt_validate(blob, ROOM, rules, NULL, NULL), (int)findings.rejected);
	return findings;
}

/* 0: the VM would start. */
static int ask_resource_manager(const struct gh_fdt_rules *rules)
{
	struct rm_parcel parcels[4] = { 0 };
	struct rm_memory memory = { .parcels = parcels, .count = rules->n_regions, .firmware = SIZE_MAX };
	struct rm_tree parsed;
	void *patched = NULL;
	int ret = gunyah_rm_parse(blob, ROOM, &parsed);

	if (ret < 0)
		return ret;
	memory.paged = (rules->quirks & GH_QUIRK_NEEDS_SHM_NODES) == 0;
	for (size_t i = 0; i < rules->n_regions; i++)
		parcels[i] = (struct rm_parcel){ .label = rules->regions[i].label,
						 .flags = 7,
						 .size = rules->regions[i].length,
						 .gpa = rules->regions[i].gpa };
	ret = gunyah_rm_place(blob, &parsed, &memory);
	if (ret == 0)
		ret = gunyah_rm_patch(blob, &parsed, &memory, rules->room, &patched);
	free(patched);
	gunyah_rm_tree_free(&parsed);
	return ret;
}

static void compare(const struct gh_fdt_rules *rules, const struct findings *findings, const char *name)
{
	int ret;

	ck_assert_int_eq(fdt_pack(blob) == 0 || findings->rules[GH_RULE_SOUND], 1);
	ret = ask_resource_manager(rules);
	ck_assert_msg((ret == 0) == (findings->rejected == 0), "%s: %u rejected, the resource manager says %d", name,
		      findings->rejected, ret);
}

/* --- changes ------------------------------------------------------------------------------------------------------ */

static void set(int node, const char *name, const void *value, size_t length)
{
	ck_assert_int_eq(fdt_setprop(blob, node, name, value, (int)length), 0);
}

static void apply(const struct rule_case *item)
{
	int node = item->change == SPOIL ? 0 : node_at(item->path);

	switch (item->change) {
	case NOTHING:
		break;
	case DELETE_NODE:
		ck_assert_int_eq(fdt_del_node(blob, node), 0);
		break;
	case DELETE_PROPERTY:
		ck_assert_int_eq(fdt_delprop(blob, node, item->name), 0);
		break;
	case SET:
		set(node, item->name, item->value, item->length);
		break;
	case ADD_NODE:
	case ADD_TYPED:
	case ADD_COMPATIBLE:
		node = fdt_add_subnode(blob, node, item->name);
		ck_assert_int_ge(node, 0);
		if (item->change != ADD_NODE)
			set(node, item->change == ADD_TYPED ? "device_type" : "compatible", item->value, item->length);
		break;
	case SPOIL:
		blob[0] ^= 1;
		break;
	}
}

static const struct gh_fdt_rules standard = RULES(NEEDED, DTB_GPA, ROOM, vm_regions, 2, 8);

static void check_alone(const struct findings *findings, enum gh_fdt_rule rule, const char *node)
{
	const struct gh_fdt_rule_text *text = &gh_fdt_rule_texts[rule];

	ck_assert_msg(findings->rules[rule], "%s is not found", text->name);
	for (unsigned int i = 0; i < GH_RULES; i++)
		ck_assert_msg(i == rule || !findings->rules[i], "%s: also %s", text->name, gh_fdt_rule_texts[i].name);
	ck_assert(findings->complete);
	if (node != NULL)
		ck_assert_str_eq(findings->node, node);
}

static bool tried[GH_RULES];

START_TEST(test_sound)
{
	struct findings findings;

	make_sound_tree();
	findings = validate(&standard);
	ck_assert_msg(findings.count == 0, "%s %s", findings.node, findings.property);
	ck_assert_int_eq(gh_fdt_validate(blob, ROOM, NULL, NULL, NULL), 0);
	compare(&standard, &findings, "sound");
}
END_TEST

START_TEST(test_rule)
{
	const struct rule_case *item = &cases[_i];
	const struct gh_fdt_rules *rules = item->rules.size != 0 ? &item->rules : &standard;
	const char *name = gh_fdt_rule_texts[item->rule].name;
	struct findings findings;

	make_sound_tree();
	apply(item);
	findings = validate(rules);
	check_alone(&findings, item->rule, item->node);
	if (item->verdict == AGREES)
		compare(rules, &findings, name);
	tried[item->rule] = true;
}
END_TEST

/* --- what needs more than one change ------------------------------------------------------------------------------ */

static void check_now(const struct gh_fdt_rules *rules, enum gh_fdt_rule rule, const char *node)
{
	struct findings findings = validate(rules);

	check_alone(&findings, rule, node);
	compare(rules, &findings, gh_fdt_rule_texts[rule].name);
	tried[rule] = true;
}

/* The region with the tree is where base-address says, so both change. */
START_TEST(test_base)
{
	const struct gh_fdt_region low[] = { { 0, 0, 0x20000000, RAM_SIZE }, { 1, 0, SHM_GPA, 4096 } };
	const struct gh_fdt_region rounded[] = { { 0, 0, RAM_GPA + 0x200000, RAM_SIZE }, { 1, 0, SHM_GPA, 4096 } };
	struct gh_fdt_rules rules = standard;
	int memory;

	make_sound_tree();
	memory = node_at(CONFIG "/memory");
	ck_assert_int_eq(fdt_setprop_u64(blob, memory, "base-address", 0x20000000), 0);
	rules.regions = low;
	rules.gpa = 0x20100000;
	check_now(&rules, GH_RULE_BASE_LOW, CONFIG "/memory");
	make_sound_tree();
	ck_assert_int_eq(fdt_setprop_u64(blob, node_at(CONFIG "/memory"), "base-address", RAM_GPA + 0x1000), 0);
	rules.regions = rounded;
	rules.gpa = RAM_GPA + 0x200000;
	check_now(&rules, GH_RULE_BASE_ALIGNED, CONFIG "/memory");
	make_sound_tree();
	check_now(&rules, GH_RULE_BASE_REGION, CONFIG "/memory");
}
END_TEST

/* Where the resource manager is told the addresses, memory stays, and the vdevice must be one that can do without. */
START_TEST(test_paged)
{
	static const struct gh_fdt_rules paged = RULES(GH_QUIRK_OPTIONAL_SHM_NODES, DTB_GPA, ROOM, vm_regions, 2, 8);
	struct gh_fdt_rules rules = paged;
	struct findings findings;

	make_sound_tree();
	set(node_at(SHM "/memory"), "optional", "", 0);
	findings = validate(&paged);
	ck_assert_uint_eq(findings.count, 0);
	compare(&paged, &findings, "paged");
	/* The base must be in the region, or before it. */
	make_sound_tree();
	set(node_at(SHM "/memory"), "optional", "", 0);
	ck_assert_int_eq(fdt_setprop_u64(blob, node_at(CONFIG "/memory"), "base-address", 0xc0000000), 0);
	findings = validate(&rules);
	ck_assert(findings.rules[GH_RULE_BASE_LOW] && findings.rules[GH_RULE_BASE_REGION]);
	compare(&rules, &findings, "base beyond");
}
END_TEST

START_TEST(test_reserved)
{
	const uint64_t outside[] = { cpu_to_fdt64(UINT64_C(0xa0000000)), cpu_to_fdt64(0x1000) };
	const uint64_t inside[] = { cpu_to_fdt64(RAM_GPA + 0x1000), cpu_to_fdt64(0x1000) };
	struct findings findings;
	int node;

	make_sound_tree();
	add_node("/", "reserved-memory");
	node = node_at("/reserved-memory");
	ck_assert_int_eq(fdt_setprop_u32(blob, node, "#address-cells", 2), 0);
	ck_assert_int_eq(fdt_setprop_u32(blob, node, "#size-cells", 2), 0);
	add_node("/reserved-memory", "pool");
	findings = validate(&standard); /* one without an address */
	ck_assert_uint_eq(findings.count, 0);
	set(node_at("/reserved-memory/pool"), "reg", inside, sizeof(inside));
	findings = validate(&standard);
	ck_assert_uint_eq(findings.count, 0);
	set(node_at("/reserved-memory/pool"), "reg", outside, sizeof(outside));
	check_now(&standard, GH_RULE_RESERVED_REG, "/reserved-memory/pool");
	ck_assert_int_eq(fdt_open_into(blob, blob, ROOM), 0);
	set(node_at("/reserved-memory/pool"), "reg", inside, 12);
	check_now(&standard, GH_RULE_RESERVED_REG, "/reserved-memory/pool");
	ck_assert_int_eq(fdt_open_into(blob, blob, ROOM), 0);
	ck_assert_int_eq(fdt_setprop_u32(blob, node_at("/reserved-memory/pool"), "qcom,label", 7), 0);
	check_now(&standard, GH_RULE_RESERVED_LABEL, "/reserved-memory/pool");
	ck_assert_int_eq(fdt_open_into(blob, blob, ROOM), 0);
	ck_assert_int_eq(fdt_setprop_u32(blob, node_at("/reserved-memory/pool"), "qcom,label", 1), 0);
	findings = validate(&standard);
	ck_assert_uint_eq(findings.count, 0);
	ck_assert_int_eq(fdt_delprop(blob, node_at("/reserved-memory/pool"), "qcom,label"), 0);
	ck_assert_int_eq(fdt_setprop_u32(blob, node_at("/reserved-memory"), "#size-cells", 3), 0);
	check_now(&standard, GH_RULE_RESERVED_CELLS, "/reserved-memory");
}
END_TEST

/* A label on the wrong node is none: then the region has no vdevice either. */
START_TEST(test_shm)
{
	struct gh_fdt_rules rules = standard;
	struct findings findings;

	make_sound_tree();
	ck_assert_int_eq(fdt_delprop(blob, node_at(SHM "/memory"), "label"), 0);
	rules.n_regions = 1;
	check_now(&rules, GH_RULE_SHM_LABEL, SHM "/memory");
	make_sound_tree();
	ck_assert_int_eq(fdt_del_node(blob, node_at(SHM "/memory")), 0);
	check_now(&rules, GH_RULE_SHM_LABEL, SHM);
	make_sound_tree();
	ck_assert_int_eq(fdt_setprop_u64(blob, node_at(SHM "/memory"), "base", SHM_GPA + 1), 0);
	check_now(&rules, GH_RULE_SHM_BASE, SHM "/memory");
	make_sound_tree();
	set(node_at(SHM "/memory"), "base", "12", 3);
	check_now(&rules, GH_RULE_SHM_BASE, SHM "/memory");
	/* A base, or the resource manager's choice, and one of the two. */
	make_sound_tree();
	set(node_at(SHM "/memory"), "allocate-base", "", 0);
	check_now(&rules, GH_RULE_SHM_BASE, SHM "/memory");
	ck_assert_int_eq(fdt_open_into(blob, blob, ROOM), 0);
	ck_assert_int_eq(fdt_delprop(blob, node_at(SHM "/memory"), "base"), 0);
	check_now(&standard, GH_RULE_SHM_ELSEWHERE, SHM "/memory");
	ck_assert_int_eq(fdt_open_into(blob, blob, ROOM), 0);
	ck_assert_int_eq(fdt_delprop(blob, node_at(SHM "/memory"), "allocate-base"), 0);
	check_now(&rules, GH_RULE_SHM_BASE, SHM "/memory");
	/* In the middle of the other one. */
	make_sound_tree();
	ck_assert_int_eq(fdt_setprop_u64(blob, node_at(SHM "/memory"), "base", RAM_GPA + 0x1000), 0);
	findings = validate(&standard);
	ck_assert(findings.rules[GH_RULE_OVERLAP] && findings.rules[GH_RULE_SHM_ELSEWHERE]);
	ck_assert_uint_eq(findings.rejected, 1);
	compare(&standard, &findings, "overlap");
	tried[GH_RULE_OVERLAP] = true;
}
END_TEST

START_TEST(test_queue)
{
	int node;

	make_sound_tree();
	add_node(CONFIG "/vdevices", "queue");
	node = node_at(CONFIG "/vdevices/queue");
	set(node, "vdevice-type", "message-queue", sizeof("message-queue"));
	check_now(&standard, GH_RULE_QUEUE, CONFIG "/vdevices/queue");
	ck_assert_int_eq(fdt_open_into(blob, blob, ROOM), 0);
	set(node_at(CONFIG "/vdevices/queue"), "is-sender", "", 0);
	ck_assert_uint_eq(validate(&standard).count, 0);
	set(node_at(CONFIG "/vdevices/queue"), "is-receiver", "", 0);
	check_now(&standard, GH_RULE_QUEUE, CONFIG "/vdevices/queue");
}
END_TEST

START_TEST(test_cpus)
{
	struct gh_fdt_rules rules = standard;

	make_sound_tree();
	ck_assert_int_eq(fdt_del_node(blob, node_at("/cpus/cpu@0")), 0);
	ck_assert_int_eq(fdt_setprop_string(blob, node_at("/cpus/cpu@1"), "status", "disabled"), 0);
	rules.n_vcpus = 0;
	check_now(&rules, GH_RULE_NO_CPU, "/cpus");
	/* PSCI is there for three reasons, and all of them must go. */
	make_sound_tree();
	ck_assert_int_eq(fdt_del_node(blob, node_at("/psci")), 0);
	ck_assert_uint_eq(validate(&rules).count, 0);
	ck_assert_int_eq(fdt_del_node(blob, node_at("/cpus/cpu@1")), 0);
	check_now(&rules, GH_RULE_PSCI, "/");
	ck_assert_int_eq(fdt_open_into(blob, blob, ROOM), 0);
	ck_assert_int_eq(fdt_setprop_u32(blob, node_at("/cpus/cpu@0"), "cpu-idle-states", 1), 0);
	ck_assert_uint_eq(validate(&rules).count, 0);
}
END_TEST

/* Disabled is off and not away, failed is away, what boots needs no method, and one method can be that of all. */
START_TEST(test_cpu_status)
{
	struct gh_fdt_rules rules = standard;

	rules.n_vcpus = 2;
	make_sound_tree();
	ck_assert_int_eq(fdt_setprop_string(blob, node_at("/cpus/cpu@1"), "status", "disabled"), 0);
	ck_assert_uint_eq(validate(&rules).count, 0);
	ck_assert_int_eq(fdt_delprop(blob, node_at("/cpus/cpu@1"), "enable-method"), 0);
	check_now(&rules, GH_RULE_CPU_METHOD, "/cpus/cpu@1");
	ck_assert_int_eq(fdt_open_into(blob, blob, ROOM), 0);
	ck_assert_int_eq(fdt_setprop_string(blob, node_at("/cpus"), "enable-method", "psci"), 0);
	ck_assert_uint_eq(validate(&rules).count, 0);
	ck_assert_int_eq(fdt_delprop(blob, node_at("/cpus"), "enable-method"), 0);
	ck_assert_int_eq(fdt_setprop_string(blob, node_at("/cpus/cpu@1"), "status", "okay"), 0);
	ck_assert_uint_eq(validate(&rules).count, 0);
	ck_assert_int_eq(fdt_setprop_string(blob, node_at("/cpus/cpu@1"), "status", "fail-thermal"), 0);
	ck_assert_uint_eq(validate(&rules).count, 1);
	rules.n_vcpus = 1;
	ck_assert_uint_eq(validate(&rules).count, 0);
}
END_TEST

/* The largest that Linux takes, and a byte less than it says. */
START_TEST(test_size)
{
	struct findings findings = { 0 };
	size_t size = GH_FDT_MAX + 4096;
	unsigned char *large = calloc(1, size);

	ck_assert_ptr_nonnull(large);
	make_sound_tree();
	ck_assert_int_eq(fdt_open_into(blob, large, (int)size), 0);
	ck_assert_int_eq(gh_fdt_validate(large, size, NULL, note, &findings), 1);
	check_alone(&findings, GH_RULE_SIZE, "/");
	tried[GH_RULE_SIZE] = true;
	memset(&findings, 0, sizeof(findings));
	ck_assert_int_eq(gh_fdt_validate(large, size - 1, NULL, note, &findings), 1);
	check_alone(&findings, GH_RULE_SOUND, "/");
	free(large);
}
END_TEST

/* --- the interface ------------------------------------------------------------------------------------------------ */

START_TEST(test_arguments)
{
	struct gh_fdt_region region = { 0, 0, RAM_GPA, RAM_SIZE };
	struct gh_fdt_rules rules = GH_FDT_RULES_INIT;
	struct findings findings = { 0 };

	make_sound_tree();
	ck_assert_int_eq(gh_fdt_validate(NULL, ROOM, NULL, NULL, NULL), -EINVAL);
	ck_assert_int_eq(gh_fdt_validate(blob, 0, NULL, note, &findings), 1);
	ck_assert(findings.rules[GH_RULE_SOUND]);
	rules.size = 1;
	ck_assert_int_eq(gh_fdt_validate(blob, ROOM, &rules, NULL, NULL), -EINVAL);
	rules.size = sizeof(rules);
	rules.n_regions = 1;
	ck_assert_int_eq(gh_fdt_validate(blob, ROOM, &rules, NULL, NULL), -EINVAL);
	region.reserved = 1;
	rules.regions = &region;
	ck_assert_int_eq(gh_fdt_validate(blob, ROOM, &rules, NULL, NULL), -EINVAL);
	region.reserved = 0;
	rules.gpa = DTB_GPA;
	ck_assert_int_eq(gh_fdt_validate(blob, ROOM, &rules, NULL, NULL), 0);
}
END_TEST

/* Everything that is wrong is told, up to a number. */
START_TEST(test_many)
{
	struct findings findings;
	char name[32];

	make_sound_tree();
	(void)fdt_delprop(blob, node_at(CONFIG), "image-name");
	(void)fdt_delprop(blob, node_at(CONFIG "/vcpus"), "affinity");
	add_node("/", "hypervisor");
	findings = validate(&standard);
	ck_assert_uint_eq(findings.count, 3);
	ck_assert(findings.rules[GH_RULE_IMAGE_NAME] && findings.rules[GH_RULE_AFFINITY] &&
		  findings.rules[GH_RULE_HYPERVISOR]);
	for (unsigned int i = 0; i < 300; i++) {
		(void)snprintf(name, sizeof(name), "x%u", i);
		add_node(CONFIG "/vdevices", name);
	}
	findings = validate(&standard);
	/* What is only ignored hides no rejection. */
	ck_assert_uint_eq(findings.count, 256 + 3);
	ck_assert_uint_eq(findings.rejected, 3);
}
END_TEST

/* What libfdt does again for each string or entry must not be done for a million of them. */
START_TEST(test_quick)
{
	const size_t size = 256 * 1024;
	const size_t room = 2 * size + ROOM;
	unsigned char *bytes = calloc(1, size);
	unsigned char *large = calloc(1, room);
	unsigned char *small = blob;
	struct gh_fdt_rules rules = standard;

	ck_assert(bytes != NULL && large != NULL);
	make_sound_tree();
	ck_assert_int_eq(fdt_open_into(small, large, (int)room), 0);
	blob = large;
	set(node_at(CONFIG), "vm-attrs", bytes, size);
	add_node("/", "reserved-memory");
	set(node_at("/reserved-memory"), "#address-cells", U32(2));
	set(node_at("/reserved-memory"), "#size-cells", U32(2));
	add_node("/reserved-memory", "pool");
	for (size_t i = 0; i < size; i += 16)
		fdt64_st(bytes + i, RAM_GPA);
	set(node_at("/reserved-memory/pool"), "reg", bytes, size);
	rules.room = 0;
	ck_assert_int_eq(gh_fdt_validate(large, room, &rules, NULL, NULL), 0);
	fdt64_st(bytes + size - 16, RAM_GPA + RAM_SIZE);
	set(node_at("/reserved-memory/pool"), "reg", bytes, size);
	ck_assert_int_eq(gh_fdt_validate(large, room, &rules, NULL, NULL), 1);
	blob = small;
	free(large);
	free(bytes);
}
END_TEST

/* Names that reach a terminal, and names that libfdt would walk along for minutes. */
START_TEST(test_names)
{
	char name[300] = { 0 };
	struct findings findings;

	make_sound_tree();
	add_node(CONFIG "/vdevices", "a\x1b[2J\xff");
	findings = validate(&standard);
	check_alone(&findings, GH_RULE_TYPE, CONFIG "/vdevices/a?[2J?");
	make_sound_tree();
	memset(name, 'n', 255);
	set(0, name, "", 0);
	findings = validate(&standard);
	ck_assert_uint_eq(findings.count, 0);
	name[255] = 'n';
	set(0, name, "", 0);
	findings = validate(&standard);
	check_alone(&findings, GH_RULE_SOUND, "/");
}
END_TEST

START_TEST(test_texts)
{
	for (unsigned int i = 0; i < GH_RULES; i++) {
		const struct gh_fdt_rule_text *text = &gh_fdt_rule_texts[i];

		ck_assert_msg(text->name != NULL, "rule %u has no text", i);
		ck_assert_uint_eq(rule_number(text->name), i);
		ck_assert_uint_eq(strspn(text->name, "abcdefghijklmnopqrstuvwxyz-"), strlen(text->name));
		ck_assert(text->severity >= GH_FDT_REJECTED && text->severity <= GH_FDT_IGNORED);
		ck_assert_int_eq(text->text[strlen(text->text) - 1], '.');
		ck_assert_int_eq(text->remedy[strlen(text->remedy) - 1], '.');
		ck_assert_uint_lt(strlen(text->text), 130);
	}
}
END_TEST

/* Last: every rule has been broken, alone. */
START_TEST(test_all_tried)
{
	const char *fork = getenv("CK_FORK");

	if (fork == NULL || strcmp(fork, "no") != 0)
		return; /* the cases were other processes */
	for (unsigned int i = 0; i < GH_RULES; i++)
		ck_assert_msg(tried[i], "no tree breaks the rule \"%s\"", gh_fdt_rule_texts[i].name);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("validate");
	TCase *tcase = add_case(suite, "validate");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, test_sound);
	tcase_add_loop_test(tcase, test_rule, 0, (int)COUNT(cases));
	tcase_add_test(tcase, test_base);
	tcase_add_test(tcase, test_paged);
	tcase_add_test(tcase, test_reserved);
	tcase_add_test(tcase, test_shm);
	tcase_add_test(tcase, test_queue);
	tcase_add_test(tcase, test_cpus);
	tcase_add_test(tcase, test_cpu_status);
	tcase_add_test(tcase, test_size);
	tcase_add_test(tcase, test_arguments);
	tcase_add_test(tcase, test_many);
	tcase_add_test(tcase, test_quick);
	tcase_add_test(tcase, test_names);
	tcase_add_test(tcase, test_texts);
	tcase_add_test(tcase, test_all_tried);
	return run_suite(suite);
}
