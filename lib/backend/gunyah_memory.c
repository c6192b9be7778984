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
#define STEP_RECLAIM "take memory back"
#define REQUEST_MAP_MEM GH_GUNYAH_REQUEST("GUNYAH_VM_MAP_MEM", "0x40204709")
#define REQUEST_MAP_CMA GH_GUNYAH_REQUEST("GH_VM_ANDROID_MAP_CMA_MEM", "0x40284115")
#define REQUEST_SET_USER_MEM GH_GUNYAH_REQUEST("GH_VM_SET_USER_MEM_REGION", "0x40204701")
#define REQUEST_LEND GH_GUNYAH_REQUEST("GH_VM_ANDROID_LEND_USER_MEM", "0x40204111")
#define REQUEST_CREATE_GUEST_MEM GH_GUNYAH_REQUEST("GUNYAH_CREATE_GUEST_MEM", "0x40404708")
#define REQUEST_CREATE_CMA_MEM GH_GUNYAH_REQUEST("GH_ANDROID_CREATE_CMA_MEM_FD", "0x4114")
#define REQUEST_RECLAIM GH_GUNYAH_REQUEST("GH_VM_RECLAIM_REGION", "0x40104113")

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
	return gh_fail(vm->failure, fd, STEP, REQUEST_CREATE_CMA_MEM,
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
	return fd < 0 ? gh_fail_request(vm->failure, fd, STEP, REQUEST_CREATE_GUEST_MEM) : fd;
}

/* --- mapping ------------------------------------------------------------------------------------------------------ */

static int explain_user(struct gh_bvm *vm, const struct gh_region *region, int error, const char *request)
{
	if (error == -ENOMEM)
		return gh_fail_lock_limit(vm, error, request, region->length);
	if (error == -EFAULT)
		return gh_fail(
			vm->failure, error, STEP, request, "Map all of it, readable, and writable if the guest may write.",
			"The kernel cannot pin the pages at %p: not mapped, without the access, or beyond a file's end.",
			(void *)region->host);
	if (error == -EPERM)
		return gh_fail(vm->failure, error, STEP, request, "Map memory in the process that opened the VM.",
			       "The VM belongs to another process.");
	return gh_fail_request(vm->failure, error, STEP, request);
}

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

	return ret < 0 ? explain_user(vm, region, ret, by_request ? REQUEST_LEND : REQUEST_SET_USER_MEM) : 0;
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

	if (ret == -EINVAL && region->state != GH_REGION_SHARED)
		return gh_fail(vm->failure, ret, STEP, REQUEST_MAP_MEM,
			       "Boot the host with rodata=full, or share the memory.",
			       "The kernel refused to lend the memory: it must be able to unmap single pages of its own.");
	return ret < 0 ? gh_fail_request(vm->failure, ret, STEP, REQUEST_MAP_MEM) : 0;
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

	return ret < 0 ? gh_fail_request(vm->failure, ret, STEP, REQUEST_MAP_CMA) : 0;
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
	return ret < 0 ? gh_fail_request(vm->failure, ret, STEP_RECLAIM, REQUEST_MAP_MEM) : 0;
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

	return ret < 0 ? gh_fail_request(vm->failure, ret, STEP_RECLAIM, REQUEST_SET_USER_MEM) : 0;
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

	if (ret == -EBUSY || ret == -EAGAIN)
		return gh_fail(vm->failure, ret, STEP_RECLAIM, REQUEST_RECLAIM,
			       "Try again later, or leave these pages with the guest.",
			       "The hypervisor was busy with the pages at 0x%llx.", (unsigned long long)gpa);
	return ret < 0 ? gh_fail_request(vm->failure, ret, STEP_RECLAIM, REQUEST_RECLAIM) : 0;
}
