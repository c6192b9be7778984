/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * START: the driver hands memory to the resource manager, which reads the tree (VM_INIT), gives out the resources, places
 * the memory and starts the VM (VM_START); then the engine gets it.
 *
 * Kernels that pin memory hand over all of it; the others the tree's pages, contiguous memory, and the addresses of the rest.
 *
 * A step that fails leaves a VM that can only be closed. Before the resources are given out, RUN says ENODEV afterwards;
 * after that it finds a VM that is not running and reports it as crashed.
 */
#include "gunyah.h"

#include <errno.h>
#include <libfdt.h>
#include <stdlib.h>
#include <string.h>

/* A tree may be as large as its region; reading more than this of a hostile one helps nobody. */
#define TREE_MAX ((uint64_t)2 << 20)

/* What one START works on. */
struct start {
	struct gunyah_region *region; /* with the tree */
	uintptr_t host;               /* the tree in it */
	void *fdt;                    /* a copy */
	struct rm_memory memory;
	uint64_t firmware; /* in its parcel */
};

/* Is all of a range inside the region? */
static bool holds(const struct gunyah_region *region, const struct uapi_gunyah_range *range)
{
	return region != NULL && range->gpa >= region->gpa && range->gpa - region->gpa < region->size &&
	       range->size <= region->size - (range->gpa - region->gpa);
}

/* Kernels that page give the tree's pages only, and want them whole and inside one region. */
static int find_paged_tree(struct gunyah_vm *vm, struct start *start)
{
	uint64_t page = gunyah_page_size();
	int ret;

	if (vm->dtb.size < page)
		return -EINVAL;
	start->region = gunyah_mem_find(vm, vm->dtb.gpa, 1);
	if (!holds(start->region, &vm->dtb))
		return -ENOENT;
	ret = gunyah_page_in(vm, start->region, vm->dtb.gpa, vm->dtb.size);
	if (ret < 0)
		return ret;
	return (start->region->flags & UAPI_GUNYAH_MEM_EXEC) == 0 && vm->revision->tree_needs_exec ? -EINVAL : 0;
}

/* The others look for a region that has a part of the tree; the resource manager wants all of it to be there. */
static int find_tree(struct gunyah_vm *vm, struct start *start)
{
	int ret = 0;

	if (vm->revision->paged) {
		ret = find_paged_tree(vm, start);
	} else {
		start->region = gunyah_mem_find(vm, vm->dtb.gpa, vm->dtb.size);
		ret = holds(start->region, &vm->dtb) ? 0 : -EINVAL;
	}
	if (ret == 0)
		start->host = (uintptr_t)gunyah_mem_host(start->region, vm->dtb.gpa);
	return ret;
}

static int give_contiguous(struct gunyah_vm *vm)
{
	int ret = 0;

	for (struct gunyah_region *region = vm->regions; region != NULL && ret == 0; region = region->next) {
		if (region->contiguous)
			ret = gunyah_cma_is_ready(region) ? gunyah_page_in(vm, region, region->gpa, region->size) : -EINVAL;
	}
	return ret;
}

/* A copy, so that nothing changes while it is read. */
static int copy_tree(struct gunyah_vm *vm, struct start *start)
{
	struct fdt_header header;
	uint32_t size;

	if (vm->dtb.size < sizeof(header) || sim_copy_in(&header, start->host, sizeof(header)) < 0)
		return -EINVAL;
	size = fdt_totalsize(&header);
	if (fdt_magic(&header) != FDT_MAGIC || size < sizeof(header) || size > vm->dtb.size || size > TREE_MAX)
		return -EINVAL;
	start->fdt = malloc(size);
	if (start->fdt == NULL)
		return -ENOMEM;
	if (sim_copy_in(start->fdt, start->host, size) < 0)
		return -EINVAL;
	return gunyah_rm_parse(start->fdt, size, &vm->tree);
}

/* Sharing and lending: a parcel that the guest may not access in any way is none. */
static int make_parcels(struct gunyah_vm *vm, struct start *start)
{
	struct rm_memory *memory = &start->memory;
	size_t count = 0;

	for (struct gunyah_region *region = vm->regions; region != NULL; region = region->next)
		count++;
	if (count == 0)
		return vm->revision->paged && vm->dtb.size >= gunyah_page_size() ? -ENOENT : -EINVAL;
	memory->paged = vm->revision->paged;
	memory->vmid = vm->vmid;
	memory->parcels = calloc(count, sizeof(*memory->parcels));
	if (memory->parcels == NULL)
		return -ENOMEM;
	memory->production = sim_machine_policy(vm->sim) == SIM_POLICY_PRODUCTION;
	for (struct gunyah_region *region = vm->regions; region != NULL; region = region->next) {
		struct rm_parcel *parcel = &memory->parcels[memory->count++];

		if (region->flags == 0)
			return -EINVAL;
		parcel->label = region->label;
		parcel->flags = region->flags;
		parcel->lent = region->lent;
		parcel->size = region->size;
		parcel->gpa = region->gpa;
	}
	return 0;
}

static void find_main(struct gunyah_vm *vm, struct start *start)
{
	struct gunyah_region *region = vm->regions;

	for (size_t i = 0; region != NULL; region = region->next, i++) {
		if (region == start->region)
			start->memory.main = i;
	}
}

/* The resource manager that was observed lets nobody have a firmware of their own; a product's does, in lent memory. */
static int check_firmware(struct gunyah_vm *vm, struct start *start)
{
	const struct gunyah_region *region = vm->regions;

	/* There is no image here that its owner has signed. */
	if (vm->trusted)
		return -EPERM;
	if (vm->fw.size == 0)
		return 0;
	if (vm->revision->paged && !holds(gunyah_mem_find(vm, vm->fw.gpa, vm->fw.size), &vm->fw))
		return -ENOENT;
	for (size_t i = 0; region != NULL; region = region->next, i++) {
		if (region != gunyah_mem_find(vm, vm->fw.gpa, vm->fw.size))
			continue;
		start->memory.firmware = i;
		start->firmware = vm->fw.gpa > region->gpa ? vm->fw.gpa - region->gpa : 0;
	}
	if (start->memory.firmware == SIZE_MAX)
		return -EINVAL;
	return start->memory.production ? 0 : -EPERM;
}

/* Everything up to VM_INIT. */
static int init(struct gunyah_vm *vm, struct start *start)
{
	int ret;

	ret = vm->has_vmid ? 0 : gunyah_take_vmid(vm);
	if (ret < 0)
		return ret;
	ret = make_parcels(vm, start);
	if (ret == 0)
		ret = find_tree(vm, start);
	if (ret == 0)
		ret = give_contiguous(vm);
	if (ret == 0)
		ret = check_firmware(vm, start);
	if (ret == 0)
		ret = copy_tree(vm, start);
	if (ret == 0)
		find_main(vm, start);
	return ret;
}

static void give_resources(struct gunyah_vm *vm)
{
	vm->has_resources = true;
	for (struct gunyah_vcpu *vcpu = vm->vcpus; vcpu != NULL; vcpu = vcpu->next)
		gunyah_vcpu_populate(vcpu);
	for (struct gunyah_irqfd *irqfd = vm->irqfds; irqfd != NULL; irqfd = irqfd->next)
		gunyah_irqfd_populate(irqfd);
}

static int engine_map_paged(struct gunyah_vm *vm)
{
	int ret = gunyah_page_map(vm);

	for (struct gunyah_region *region = vm->regions; region != NULL && ret == 0; region = region->next) {
		if (!vm->engine->reports_all)
			gunyah_page_in_all(vm, region);
	}
	return ret;
}

static int engine_map(struct gunyah_vm *vm, const struct start *start)
{
	const struct gunyah_region *region = vm->regions;
	int ret = 0;

	if (vm->revision->paged)
		return engine_map_paged(vm);
	/* Regions and parcels are in the same order. */
	for (size_t i = 0; i < start->memory.count && ret == 0; i++, region = region->next) {
		const struct rm_parcel *parcel = &start->memory.parcels[i];

		ret = vm->engine->map(vm->engine_vm, parcel->gpa, parcel->size, region->pin.address, parcel->flags);
	}
	return ret;
}

static int engine_vcpus(struct gunyah_vm *vm)
{
	int ret = 0;

	for (uint32_t i = 0; i < vm->tree.cpus && ret == 0; i++)
		ret = vm->engine->vcpu_new(vm->engine_vm, i, i == 0, &vm->cpus[i].engine_vcpu);
	return ret;
}

/* What SET_BOOT_CONTEXT has asked for. */
static int engine_boot(struct gunyah_vm *vm)
{
	const struct gunyah_boot *boot = &vm->boot;
	void *vcpu = vm->cpus[0].engine_vcpu;
	int ret = 0;

	for (uint32_t i = 0; i < 31 && ret == 0; i++) {
		if ((boot->has_x & 1u << i) != 0)
			ret = vm->engine->set_register(vcpu, (enum sim_register)i, boot->x[i]);
	}
	if (ret == 0 && boot->has_pc)
		ret = vm->engine->set_register(vcpu, SIM_REG_PC, boot->pc);
	if (ret == 0 && boot->has_sp)
		ret = vm->engine->set_register(vcpu, SIM_REG_SP, boot->sp);
	return ret;
}

/* Where the guest begins: at the start of the memory with the tree, or of its firmware. */
static uint64_t entry(const struct start *start)
{
	const struct rm_memory *memory = &start->memory;

	if (memory->firmware == SIZE_MAX)
		return memory->parcels[memory->main].gpa;
	return memory->parcels[memory->firmware].gpa + start->firmware;
}

/* It finds the tree's address in x0. A firmware is what vouches for the registers that its guest gets later. */
static int engine_registers(struct gunyah_vm *vm, const struct start *start)
{
	uint64_t gpa = start->memory.parcels[start->memory.main].gpa;
	void *vcpu = vm->cpus[0].engine_vcpu;
	int ret;

	ret = vm->engine->set_register(vcpu, SIM_REG_PC, entry(start));
	if (ret == 0)
		ret = vm->engine->set_register(vcpu, SIM_REG_X0, gpa + (vm->dtb.gpa - start->region->gpa));
	return ret == 0 && vm->fw.size == 0 ? engine_boot(vm) : ret;
}

static int engine_start(struct gunyah_vm *vm, const struct start *start)
{
	int ret;

	ret = vm->engine->vm_new(sim_machine_engine_options(vm->sim), &vm->engine_vm);
	if (ret < 0)
		return ret;
	ret = engine_map(vm, start);
	if (ret == 0)
		ret = vm->engine->gic(vm->engine_vm, vm->tree.gic_distributor, vm->tree.gic_redistributors);
	if (ret == 0)
		ret = engine_vcpus(vm);
	if (ret == 0)
		ret = engine_registers(vm, start);
	if (ret == 0)
		ret = vm->engine->start(vm->engine_vm);
	if (ret < 0) {
		vm->engine->vm_free(vm->engine_vm);
		vm->engine_vm = NULL;
		memset(vm->cpus, 0, sizeof(vm->cpus));
	}
	return ret;
}

static int write_tree(const struct start *start, const void *patched)
{
	return sim_copy_out(start->host, patched, fdt_totalsize(patched)) < 0 ? -EINVAL : 0;
}

/* VM_START. That the new tree has no room is found out earlier, and goes before everything that is wrong with the memory. */
static int place_and_start(struct gunyah_vm *vm, struct start *start)
{
	void *patched;
	int placed;
	int ret;

	placed = gunyah_rm_place(start->fdt, &vm->tree, &start->memory);
	ret = gunyah_rm_patch(start->fdt, &vm->tree, &start->memory, vm->dtb.size, &patched);
	if (ret < 0)
		return ret;
	if (placed == 0)
		ret = write_tree(start, patched);
	free(patched);
	if (ret < 0)
		return ret;
	if (placed == 0)
		placed = engine_start(vm, start);
	give_resources(vm);
	return placed;
}

int gunyah_start_locked(struct gunyah_vm *vm)
{
	struct start start = { .memory.firmware = SIZE_MAX };
	int ret;

	ret = init(vm, &start);
	if (ret == 0)
		ret = place_and_start(vm, &start);
	if (ret == 0) {
		vm->cannot_execute = (start.region->flags & UAPI_GUNYAH_MEM_EXEC) == 0;
		vm->state = GUNYAH_RUNNING;
	} else {
		vm->end.status = UAPI_GUNYAH_STATUS_CRASHED;
		/* Without a number for the VM nothing has begun yet. */
		vm->state = vm->has_vmid ? GUNYAH_FAILED : GUNYAH_NO_STATE;
	}
	free(start.fdt);
	free(start.memory.parcels);
	return ret;
}

long gunyah_start(struct gunyah_vm *vm, uintptr_t arg)
{
	int ret = -ENODEV;

	(void)arg;
	pthread_mutex_lock(&vm->lock);
	/* Who is told nothing of the VM's end thinks that it runs on. */
	if (vm->state == GUNYAH_RUNNING || (vm->state == GUNYAH_EXITED && !vm->revision->reports_end))
		ret = 0;
	else if (vm->state == GUNYAH_NO_STATE)
		ret = gunyah_start_locked(vm);
	pthread_mutex_unlock(&vm->lock);
	return ret;
}
