/* SPDX-License-Identifier: BSD-3-Clause */
/* From a description and a VM to a devicetree in the guest's memory. */
#include "fdt_builder.h"
#include "internal.h"

#include <errno.h>
#include <libfdt.h>
#include <stdlib.h>
#include <string.h>

#define STEP "build the devicetree"

/* What a tree without devices has; of a cpu, a region or a line; of a device beside its properties. All generous. */
#define ROOM_OF_TREE 8192u
#define ROOM_OF_NODE 384u
/* Gunyah's resource manager adds to the tree, and wants twice the result: four times the tree is enough for both. */
#define GROWTH 4u

/* --- the place ---------------------------------------------------------------------------------------------------- */

static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

static int check_place(const struct gh_fdt *fdt, uint64_t gpa, uint64_t room)
{
	struct gh_vm *vm = fdt->vm;

	if (atomic_load(&vm->state) != GH_VM_OPEN)
		return gh_fail_state(&vm->failure, STEP, "The VM has been started.");
	if (gpa % 8 != 0)
		return gh_fail_argument(&vm->failure, -EINVAL, STEP, "The devicetree's address must be a multiple of 8.");
	if (gh_region_find(&vm->b, gpa, room) == NULL)
		return gh_fail(&vm->failure, -EINVAL, STEP, NULL, "Choose a place inside one region (gh_vm_map()).",
			       "There is no memory of 0x%llx bytes at 0x%llx.", (unsigned long long)room,
			       (unsigned long long)gpa);
	if (fdt->initrd_length == 0)
		return 0;
	if (!gh_vm_maps(vm, fdt->initrd_gpa, fdt->initrd_length))
		return gh_fail_argument(&vm->failure, -EINVAL, STEP,
					"The initial RAM disk is not inside one region of memory.");
	if (overlap(gpa, room, fdt->initrd_gpa, fdt->initrd_length))
		return gh_fail_argument(&vm->failure, -EEXIST, STEP, "The devicetree and the initial RAM disk overlap.");
	return 0;
}

/* --- what the VM has ---------------------------------------------------------------------------------------------- */

static int gather_cpus(struct gh_fdt_build *build)
{
	struct gh_vm *vm = build->fdt->vm;
	uint32_t needed = vm->b.max_vcpu_id + 1;
	int ret;

	if (vm->b.n_vcpus == 0)
		return gh_fail_argument(&vm->failure, -EINVAL, STEP, "The VM has no vCPU (gh_vcpu_create()).");
	build->n_cpus = build->fdt->n_cpus > needed ? build->fdt->n_cpus : needed;
	if (build->n_cpus > needed && !gh_can(&vm->b, GH_FEATURE_LATE_VCPUS))
		return gh_fail(&vm->failure, -EOPNOTSUPP, STEP, NULL, "Create all vCPUs before.",
			       "%u cpus and %u vCPUs: this hypervisor adds none after the start.", build->n_cpus, needed);
	ret = gh_gic_place(vm, STEP, build->n_cpus, &build->gic_redistributors);
	build->gic_redistributors_size = build->n_cpus * GH_GIC_REDISTRIBUTOR_SIZE;
	return ret;
}

struct lines {
	struct gh_fdt_line *lines;
	size_t count;
	uint32_t beyond; /* a line that no interrupt controller has, plus 1 */
};

static void count_line(void *data, uint32_t line, bool level)
{
	size_t *count = data;

	(void)line;
	(void)level;
	++*count;
}

static void take_line(void *data, uint32_t line, bool level)
{
	struct lines *lines = data;

	if (line >= GH_FDT_LINES)
		lines->beyond = line + 1;
	lines->lines[lines->count++] = (struct gh_fdt_line){ line, level };
}

static void each_line(const struct gh_fdt *fdt, void (*each)(void *data, uint32_t line, bool level), void *data)
{
	gh_irqfds_each(fdt->vm, each, data);
	gh_irqs_each(fdt->vm, each, data);
	for (const struct gh_fdt_node *node = fdt->nodes; node != NULL; node = node->next)
		for (size_t i = 0; i < node->n_irqs; i++)
			each(data, node->irqs[i].line, (node->irqs[i].flags & GH_IRQ_LEVEL) != 0);
}

static int by_number(const void *left, const void *right)
{
	const struct gh_fdt_line *a = left;
	const struct gh_fdt_line *b = right;

	return a->line < b->line ? -1 : a->line > b->line;
}

/* Sorts, and makes one of several that are alike. */
static int merge_lines(struct gh_vm *vm, struct lines *lines)
{
	size_t count = 0;

	if (lines->count != 0)
		qsort(lines->lines, lines->count, sizeof(lines->lines[0]), by_number);
	for (size_t i = 0; i < lines->count; i++) {
		const struct gh_fdt_line *line = &lines->lines[i];

		if (count == 0 || lines->lines[count - 1].line != line->line)
			lines->lines[count++] = *line;
		else if (lines->lines[count - 1].level != line->level)
			return gh_fail(&vm->failure, -EINVAL, STEP, NULL,
				       "Give the driver and all devices of a line the same GH_IRQ_LEVEL.",
				       "Line %u is edge-triggered in one place and level-triggered in another.",
				       line->line);
	}
	lines->count = count;
	return 0;
}

static int gather_lines(struct gh_fdt_build *build)
{
	struct gh_vm *vm = build->fdt->vm;
	struct lines lines = { 0 };
	size_t count = 0;
	int ret;

	each_line(build->fdt, count_line, &count);
	lines.lines = calloc(count + 1, sizeof(lines.lines[0]));
	if (lines.lines == NULL)
		return gh_fail_memory(&vm->failure, STEP);
	each_line(build->fdt, take_line, &lines);
	if (lines.beyond != 0)
		ret = gh_fail(&vm->failure, -ERANGE, STEP, NULL, "Use lines 0 to 987.",
			      "Line %u has a driver, and no interrupt controller has it.", lines.beyond - 1);
	else
		ret = merge_lines(vm, &lines);
	if (ret < 0) {
		free(lines.lines);
		return ret;
	}
	build->plan.lines = lines.lines;
	build->plan.n_lines = lines.count;
	return 0;
}

static int check_device(const struct gh_fdt_build *build, const struct gh_fdt_node *node)
{
	const struct gh_bvm *vm = build->vm;

	if (node->length == 0)
		return 0;
	if (vm->caps.mmio_end != 0 && node->gpa + node->length > vm->caps.mmio_end)
		return gh_fail(vm->failure, -ERANGE, STEP, NULL, "Move it below.",
			       "%s: this hypervisor reports accesses below 0x%llx only.", node->name,
			       (unsigned long long)vm->caps.mmio_end);
	if (gh_gic_overlaps(vm, build->gic_redistributors, build->n_cpus, node->gpa, node->length))
		return gh_fail(vm->failure, -EEXIST, STEP, NULL, "Move it, or the other (gh_vm_options).",
			       "%s overlaps the interrupt controller.", node->name);
	for (uint32_t i = 0; i < vm->n_regions; i++)
		if (overlap(node->gpa, node->length, vm->regions[i]->gpa, vm->regions[i]->length))
			return gh_fail(vm->failure, -EEXIST, STEP, NULL, "Move it: accesses to memory are no exits.",
				       "%s overlaps region %u.", node->name, vm->regions[i]->map);
	return 0;
}

static int gather(struct gh_fdt_build *build)
{
	int ret = gather_cpus(build);

	for (const struct gh_fdt_node *node = build->fdt->nodes; node != NULL && ret == 0; node = node->next)
		ret = check_device(build, node);
	return ret < 0 ? ret : gather_lines(build);
}

/* --- the tree ----------------------------------------------------------------------------------------------------- */

/* What the tree will hardly exceed. */
static size_t estimate(const struct gh_fdt_build *build)
{
	const struct gh_fdt *fdt = build->fdt;
	size_t nodes = (size_t)build->n_cpus + build->vm->n_regions + build->plan.n_lines;
	size_t room = ROOM_OF_TREE + (fdt->base != NULL ? fdt_totalsize(fdt->base) : 0) +
		      (fdt->command_line != NULL ? strlen(fdt->command_line) : 0) + nodes * ROOM_OF_NODE;

	for (const struct gh_fdt_node *node = fdt->nodes; node != NULL && room <= GH_FDT_MAX; node = node->next)
		room += ROOM_OF_NODE + fdt_totalsize(node->properties);
	return room;
}

/* If it is more, with twice the room until it fits: nobody can say before what libfdt will need. */
static int build_blob(struct gh_fdt_build *build, void **ret_blob)
{
	size_t room = estimate(build);

	for (;;) {
		void *blob = malloc(room);
		int ret;

		if (blob == NULL) {
			(void)gh_fail_memory(build->vm->failure, STEP);
			return -ENOMEM;
		}
		ret = gh_fdt_build(build, blob, room);
		if (ret == 0) {
			*ret_blob = blob;
			return 0;
		}
		free(blob);
		if (ret != -ENOSPC)
			return ret;
		if (room > GH_FDT_MAX)
			return gh_fail_argument(build->vm->failure, -ENOSPC, STEP, "The tree is larger than 2 MiB.");
		room *= 2;
	}
}

static int check_size(struct gh_vm *vm, size_t size, uint64_t room)
{
	if (size > GH_FDT_MAX)
		return gh_fail_argument(&vm->failure, -ENOSPC, STEP, "The tree is larger than 2 MiB.");
	if (size > room / GROWTH)
		return gh_fail(&vm->failure, -ENOSPC, STEP, NULL, "Give gh_fdt_finish() more room.",
			       "The tree has 0x%zx bytes and needs four times that; the room is 0x%llx.", size,
			       (unsigned long long)room);
	return 0;
}

/* Nothing can fail any more that would leave half of it. */
static int write_blob(struct gh_fdt_build *build, void *blob)
{
	const struct gh_region *region = gh_region_find(build->vm, build->plan.gpa, build->plan.room);
	struct gh_vm *vm = build->fdt->vm;
	size_t size = fdt_totalsize(blob);
	int ret = check_size(vm, size, build->plan.room);

	if (ret == 0)
		ret = gh_dtb_set(vm, build->plan.gpa, build->plan.room);
	if (ret < 0)
		return ret;
	memcpy(region->host + (build->plan.gpa - region->gpa), blob, size);
	vm->tree_cpus = build->n_cpus;
	return 0;
}

/* Under the lock. */
static int finish(struct gh_fdt *fdt, uint64_t gpa, uint64_t room)
{
	struct gh_fdt_build build = { .fdt = fdt, .vm = &fdt->vm->b };
	void *blob = NULL;
	int ret = check_place(fdt, gpa, room);

	if (ret < 0)
		return ret;
	build.plan = (struct gh_fdt_plan){ .gpa = gpa, .room = room, .name = fdt->name };
	ret = gather(&build);
	if (ret == 0)
		ret = build_blob(&build, &blob);
	if (ret == 0)
		ret = write_blob(&build, blob);
	free((void *)(uintptr_t)build.plan.lines);
	if (ret != 0) {
		free(blob);
		return ret;
	}
	free(fdt->blob);
	fdt->blob = blob;
	fdt->blob_size = fdt_totalsize(blob);
	return 0;
}

int gh_fdt_finish(struct gh_fdt *fdt, uint64_t gpa, uint64_t room)
{
	struct gh_vm *vm;
	int ret;

	if (fdt == NULL)
		return -EINVAL;
	vm = fdt->vm;
	if (gh_vm_is_forked(vm))
		return gh_fail_forked(vm);
	(void)pthread_mutex_lock(&vm->lock);
	ret = finish(fdt, gpa, room != 0 ? room : GH_FDT_ROOM);
	(void)pthread_mutex_unlock(&vm->lock);
	return ret;
}
