/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory, in each of the ways that Gunyah's kernels take it: memory of the process, shared or lent by request or by flag;
 * files of the kernel's own (v15 to v17), which are lent unless they are shared by force; contiguous memory of a device.
 */
#include "gunyah.h"

#include <errno.h>
#include <string.h>

#include <gh/memory.h>

#define STEP "map memory"
#define REQUEST_CREATE_CMA_MEM GH_GUNYAH_REQUEST("GH_ANDROID_CREATE_CMA_MEM_FD", "0x4114")

#define HUGE_PAGE (UINT64_C(2) << 20)

static_assert(GH_MEMORY_READ == UAPI_GUNYAH_MEM_READ && GH_MEMORY_WRITE == UAPI_GUNYAH_MEM_WRITE &&
		      GH_MEMORY_EXEC == UAPI_GUNYAH_MEM_EXEC,
	      "permissions");
static_assert(GH_MEMORY_READ == UAPI_GUNYAH_CMA_READ && GH_MEMORY_WRITE == UAPI_GUNYAH_CMA_WRITE &&
		      GH_MEMORY_EXEC == UAPI_GUNYAH_CMA_EXEC,
	      "permissions of contiguous memory");
static_assert(UAPI_GUNYAH_MAP_READ == GH_MEMORY_READ << 4 && UAPI_GUNYAH_MAP_WRITE == GH_MEMORY_WRITE << 4 &&
		      UAPI_GUNYAH_MAP_EXEC == GH_MEMORY_EXEC << 4,
	      "permissions of files");

/* --- files -------------------------------------------------------------------------------------------------------- */

static int contiguous_file(struct gh_bvm *vm, int device)
{
	int fd = vm->sys->ioctl(vm->sys, device, UAPI_GUNYAH_CREATE_CMA_MEM, 0);

	if (fd >= 0)
		return fd;
	return gh_fail_as(vm->failure, GH_CAUSE_NOT_THIS_DEVICE, fd, STEP, REQUEST_CREATE_CMA_MEM,
			  "Pass a descriptor of such a device, for example /dev/oemvm_cma.",
			  "The descriptor %d is none of a device of contiguous memory, or that has none.", device);
}

int gh_gunyah_vm_file(struct gh_bvm *vm, int source, uint64_t length, uint32_t flags)
{
	/* Huge pages want what is bound to be aligned; the core aligns the host's side. */
	const bool huge = (flags & GH_MEMORY_HUGE) != 0 && length % HUGE_PAGE == 0;
	const struct uapi_gunyah_create_mem arg = {
		.flags = UAPI_GUNYAH_GUEST_MEM_CLOEXEC | (huge ? UAPI_GUNYAH_GUEST_MEM_HUGEPAGE : 0u),
		.size = length,
	};
	int fd;

	if ((flags & GH_MEMORY_CONTIGUOUS) != 0)
		return contiguous_file(vm, source);
	fd = vm->sys->ioctl(vm->sys, vm->dev, UAPI_GUNYAH_CREATE_GUEST_MEM, (uintptr_t)&arg);
	return fd < 0 ? gh_diagnose(vm->failure, vm, GH_REQUEST_CREATE_FILE, fd, NULL) : fd;
}

/* --- mapping ------------------------------------------------------------------------------------------------------ */

static int map_user(struct gh_bvm *vm, const struct gh_region *region)
{
	const bool lend = region->state != GH_REGION_SHARED;
	const bool by_flag = lend && gh_is_quirky(vm, GH_QUIRK_LENDS_BY_FLAG);
	const bool by_request = lend && !by_flag;
	const struct uapi_gunyah_region arg = {
		.label = region->id,
		.flags = region->prot | (by_flag ? UAPI_GUNYAH_MEM_LENT : 0u),
		.gpa = region->gpa,
		.size = region->length,
		.host = (uintptr_t)region->host,
	};
	int ret = gh_sys_ioctl0(vm->sys, vm->fd, by_request ? UAPI_GUNYAH_LEND_USER_MEM : UAPI_GUNYAH_SET_USER_MEM,
				(uintptr_t)&arg);

	return ret < 0 ? gh_diagnose(vm->failure, vm, by_request ? GH_REQUEST_LEND : GH_REQUEST_MAP, ret, region) : 0;
}

static struct uapi_gunyah_map_mem file_argument(const struct gh_region *region)
{
	return (struct uapi_gunyah_map_mem){
		.gpa = region->gpa,
		/* Said plainly, although lending is what the kernel does by default. */
		.flags = region->prot << 4 |
			 (region->state == GH_REGION_SHARED ? UAPI_GUNYAH_MAP_FORCE_SHARE : UAPI_GUNYAH_MAP_FORCE_LEND),
		.fd = (uint32_t)region->fd,
		.offset = region->fd_offset,
		.size = region->length,
	};
}

static int map_file(struct gh_bvm *vm, const struct gh_region *region)
{
	const struct uapi_gunyah_map_mem arg = file_argument(region);
	int ret = gh_sys_ioctl0(vm->sys, vm->fd, UAPI_GUNYAH_MAP_MEM, (uintptr_t)&arg);

	return ret < 0 ? gh_diagnose(vm->failure, vm, GH_REQUEST_MAP_FILE, ret, region) : 0;
}

static int map_contiguous(struct gh_bvm *vm, const struct gh_region *region)
{
	const struct uapi_gunyah_map_cma arg = {
		.label = region->id,
		.gpa = region->gpa,
		.flags = region->prot |
			 (region->state == GH_REGION_SHARED ? UAPI_GUNYAH_CMA_FORCE_SHARE : UAPI_GUNYAH_CMA_FORCE_LEND),
		.fd = (uint32_t)region->fd,
		.offset = region->fd_offset,
		.size = region->length,
	};
	int ret = gh_sys_ioctl0(vm->sys, vm->fd, UAPI_GUNYAH_MAP_CMA, (uintptr_t)&arg);

	return ret < 0 ? gh_diagnose(vm->failure, vm, GH_REQUEST_MAP_CONTIGUOUS, ret, region) : 0;
}

int gh_gunyah_vm_map(struct gh_bvm *vm, const struct gh_region *region)
{
	if (region->contiguous)
		return map_contiguous(vm, region);
	return gh_is_quirky(vm, GH_QUIRK_OWN_FILES_ONLY) ? map_file(vm, region) : map_user(vm, region);
}

/* --- taking it back ----------------------------------------------------------------------------------------------- */

static int unmap_file(struct gh_bvm *vm, const struct gh_region *region)
{
	struct uapi_gunyah_map_mem arg = file_argument(region);
	int ret;

	/* Exactly as it was mapped: other flags are another binding. */
	arg.flags |= UAPI_GUNYAH_MAP_UNMAP;
	ret = gh_sys_ioctl0(vm->sys, vm->fd, UAPI_GUNYAH_MAP_MEM, (uintptr_t)&arg);
	return ret < 0 ? gh_diagnose(vm->failure, vm, GH_REQUEST_UNMAP, ret, region) : 0;
}

/* Kernels that lend by a flag delete a region whose size becomes 0: from their list, not from a guest that runs. */
static int delete_region(struct gh_bvm *vm, const struct gh_region *region)
{
	const struct uapi_gunyah_region arg = { .label = region->id };
	const struct gh_gunyah_tree *tree = vm->priv;
	int ret;

	if (tree->is_with_guest)
		return -EOPNOTSUPP;
	ret = gh_sys_ioctl0(vm->sys, vm->fd, UAPI_GUNYAH_SET_USER_MEM, (uintptr_t)&arg);
	return ret < 0 ? gh_diagnose(vm->failure, vm, GH_REQUEST_UNMAP, ret, region) : 0;
}

int gh_gunyah_vm_unmap(struct gh_bvm *vm, const struct gh_region *region)
{
	if (!gh_can(vm, GH_FEATURE_UNMAP) || region->contiguous)
		return -EOPNOTSUPP;
	return gh_is_quirky(vm, GH_QUIRK_OWN_FILES_ONLY) ? unmap_file(vm, region) : delete_region(vm, region);
}

int gh_gunyah_vm_reclaim(struct gh_bvm *vm, uint64_t gpa, uint64_t length)
{
	const struct uapi_gunyah_range arg = { .gpa = gpa, .size = length };
	int ret = gh_sys_ioctl0(vm->sys, vm->fd, UAPI_GUNYAH_RECLAIM, (uintptr_t)&arg);

	return ret < 0 ? gh_diagnose(vm->failure, vm, GH_REQUEST_RECLAIM, ret, NULL) : 0;
}
