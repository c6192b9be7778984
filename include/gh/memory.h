/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * @brief Memory of guests: the caller's or the library's own, shared or lent.
 * @defgroup memory Memory
 * @{
 */
#ifndef GH_MEMORY_H
#define GH_MEMORY_H

#include "base.h"

/** @brief What the guest may do with a region, and how it gets it; bits of gh_memory::flags. */
enum gh_memory_flag {
	GH_MEMORY_READ = 1 << 0,  /**< The guest may read. */
	GH_MEMORY_WRITE = 1 << 1, /**< The guest may write. */
	GH_MEMORY_EXEC = 1 << 2,  /**< The guest may execute. */
	/** All of the three. */
	GH_MEMORY_RWX = GH_MEMORY_READ | GH_MEMORY_WRITE | GH_MEMORY_EXEC,
	/** The host gives the region up from gh_vm_start() on (#GH_FEATURE_LEND). Without it, both have it. */
	GH_MEMORY_LEND = 1 << 3,
	/**
	 * The library's mapping asks for huge pages: a wish, which costs nothing where the kernel has none for shared memory
	 * (`/sys/kernel/mm/transparent_hugepage/shmem_enabled`). Lengths and addresses of 2 MiB make most of it.
	 */
	GH_MEMORY_HUGE = 1 << 4,
	/** All pages are there when gh_vm_map() returns: the guest never waits for one, and the host is out of memory now. */
	GH_MEMORY_PREFAULT = 1 << 5,
	/**
	 * Pages of the library's mapping stay once they are there: never swapped, never aged. Counts against RLIMIT_MEMLOCK,
	 * and fails if that is too low. On Gunyah the kernel does so anyway. On GenieZone the library does it without this
	 * flag, too, also with a caller's mapping, if the limit allows it, and tells gh_vm_options::log if not.
	 */
	GH_MEMORY_LOCK = 1 << 6,
	/**
	 * The guest's bounce buffers, a `restricted-dma-pool` of its devicetree. GenieZone is told, which wants them in a region
	 * of their own in a protected VM; the others need not know.
	 */
	GH_MEMORY_SWIOTLB = 1 << 7,
	/**
	 * Contiguous memory that the platform has set aside (#GH_FEATURE_CONTIGUOUS_MEMORY), of the device that
	 * gh_memory::device or gh_memory::fd says, for example `/dev/oemvm_cma`.
	 */
	GH_MEMORY_CONTIGUOUS = 1 << 8,
};

/** @brief Who may use a region now. */
enum gh_memory_state {
	GH_MEMORY_OWNED = 0,  /**< The host: the VM has not been started. */
	GH_MEMORY_SHARED = 1, /**< Host and guest. */
	/**
	 * The guest: the library's accessors refuse it, and its own mapping is inaccessible. Kernels with
	 * #GH_FEATURE_DEMAND_PAGING that take memory of the process read through that mapping, so that it stays as it is there:
	 * leave it alone.
	 */
	GH_MEMORY_LENT = 2,
};

/** @brief One region of guest memory. */
struct gh_memory {
	size_t size;     /**< Size of this structure in bytes. */
	uint64_t gpa;    /**< Guest physical address, a multiple of gh_probe_entry::gpa_align. */
	uint64_t length; /**< Bytes, a multiple of the page size. */
	/**
	 * The caller's mapping, page-aligned, to stay as it is until the VM is closed. NULL: the library makes one, shared,
	 * zeroed, aligned to 2 MiB, with an inaccessible page on both sides. A forked child has not got it; on GenieZone not a
	 * caller's mapping either, until the VM is closed (madvise() with MADV_DONTFORK, then MADV_DOFORK). Kernels with
	 * #GH_QUIRK_OWN_FILES_ONLY take no mapping and no file of a caller: let the library make it.
	 */
	void *host;
	uint32_t flags;    /**< An or of #gh_memory_flag. */
	uint32_t reserved; /**< 0. */
	/**
	 * The caller's memory file (memfd_create()), of which the library maps a part, shared; host must be NULL then. The
	 * library keeps no descriptor. The file must not become shorter while the VM lives. -1: anonymous memory.
	 */
	int fd;
	uint32_t reserved2; /**< 0. */
	uint64_t
		offset; /**< Where in the file the region begins, in bytes, a multiple of the page size; 0 without a file. */
	/**
	 * With #GH_MEMORY_CONTIGUOUS: path of the device, which the library opens and closes; fd must be -1 then. NULL: fd is a
	 * descriptor of it. Not needed after the call.
	 */
	const char *device;
};

/** @brief Initial value of #gh_memory: shared, for everything. */
#define GH_MEMORY_INIT                                                                                                     \
	{                                                                                                                  \
		sizeof(struct gh_memory), 0, 0, NULL, GH_MEMORY_RWX, 0, -1, 0, 0, NULL                                     \
	}

/** @brief What gh_vm_region() tells. */
struct gh_region_info {
	size_t size;     /**< Size of this structure in bytes, to be set by the caller. */
	uint64_t gpa;    /**< Guest physical address. */
	uint64_t length; /**< Bytes. */
	uint32_t access; /**< An or of #GH_MEMORY_READ, #GH_MEMORY_WRITE and #GH_MEMORY_EXEC. */
	uint32_t state;  /**< One of #gh_memory_state. */
};

/** @brief Initial value of #gh_region_info. */
#define GH_REGION_INFO_INIT                                                                                                \
	{                                                                                                                  \
		sizeof(struct gh_region_info), 0, 0, 0, 0                                                                  \
	}

GH_BEGIN_DECLS

/**
 * @brief Give memory to a guest.
 *
 * The region gets the lowest id that is free, from 0 on. Gunyah knows it by this number as its label. Only the region that
 * holds the devicetree lands where it was asked for by itself (at `memory/base-address` of the tree, which must be its
 * address); on kernels with #GH_QUIRK_NEEDS_SHM_NODES every further one needs an "shm" vdevice in the tree with its id as the
 * label, or gh_vm_start() refuses; on those with #GH_QUIRK_OPTIONAL_SHM_NODES it must have none, or one that says "optional".
 * gh_fdt_finish() writes what is needed.
 *
 * Memory that is too much for one region of the kernel (Gunyah of android14-6.1: 2 GiB with pages of 4 KiB) becomes several of
 * 256 MiB, which this library's functions show as one. To the resource manager they are many: the devicetree must be in the
 * first, and the others have the labels 255, 254 and so on. gh_fdt_finish() writes their vdevices.
 *
 * With #GH_FEATURE_DEMAND_PAGING a page becomes the guest's when the guest touches it first. If there is none to be had then,
 * a vCPU says #GH_EXIT_PAGE_FAULT; if the memory is shared, the access comes as #GH_EXIT_MMIO, and gh_bus_dispatch() says
 * -EFAULT. With #GH_FEATURE_LATE_MEMORY memory can be given after gh_vm_start(), too; what is lent then
 * is the guest's at once, and what a guest already knew of the address space stays as it was.
 *
 * On GenieZone a region must be one mapping (one VMA) of exactly its length, because the kernel compares the two, and its
 * guest address must be a multiple of 2 MiB. A private mapping is written to once, page by page, so that the guest cannot
 * get the kernel's own zero page (section 9 of the GenieZone UAPI document). So is, on Gunyah without #GH_FEATURE_DEMAND_PAGING,
 * a caller's mapping that the guest may only read.
 *
 * Of a region that the kernel refuses nothing is left: where the kernel keeps it in its table all the same (GenieZone), or has
 * some of its parts already, the library makes a new VM without it. Only if the kernel refuses that, too, the VM is good for
 * nothing but gh_vm_reset(), which tries again, and gh_vm_close().
 *
 * @param[in] vm      VM that has not been started, or one with #GH_FEATURE_LATE_MEMORY.
 * @param[in] memory  What to map where; not needed after the call, except the caller's mapping.
 * @param[out] ret_id Receives the region's id; left untouched on failure. May be NULL.
 *
 * @retval 0       Done.
 * @retval -EINVAL An argument is NULL, the structure has an unknown tail, a reserved field or flag is set, no READ flag, an
 *                 address or a length is not aligned, the length is 0, a caller's mapping is not one mapping of that length
 *                 (GenieZone), host is set where the library would have to map, or the descriptor is no file.
 * @retval -ERANGE The region wraps around, or ends beyond the guest's address space, or beyond the file's end.
 * @retval -EEXIST It overlaps another region.
 * @retval -ENOSPC The kernel has no slot left, or not enough for all parts of the region.
 * @retval -EFAULT The caller's mapping is not there, or cannot be used like that.
 * @retval -EBADF  The descriptor is not open.
 * @retval -EOPNOTSUPP Lending, or contiguous memory, where there is none; a caller's mapping or file, where the kernel takes
 *                 only its own (#GH_QUIRK_OWN_FILES_ONLY); filling a caller's mapping in advance, where the kernel cannot.
 * @retval -ENOMEM Out of memory, or more locked memory than the process may have. gh_vm_failure() says which.
 * @retval -EBUSY  The VM has been started, and takes no more; or its start has failed.
 * @retval -EPERM  This is a forked child.
 * @return Otherwise the errno of the kernel.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * mmap(), madvise(), fstat(), mlock2(), getrlimit(); GH_VM_SET_USER_MEM_REGION or GH_VM_ANDROID_LEND_USER_MEM, or
 * GUNYAH_CREATE_GUEST_MEM and GUNYAH_VM_MAP_MEM, or GH_ANDROID_CREATE_CMA_MEM_FD and GH_VM_ANDROID_MAP_CMA_MEM;
 * GZVM_SET_USER_MEMORY_REGION; KVM_SET_USER_MEMORY_REGION. After a refusal as for gh_vm_unmap().
 * @since 0.1
 */
GH_API int gh_vm_map(struct gh_vm *vm, const struct gh_memory *memory, uint32_t *ret_id);

/**
 * @brief Take memory away from a VM.
 *
 * Before gh_vm_start() always possible: where the kernel cannot give a region back, the library closes the kernel's VM, which
 * has nothing but memory then, opens another one and gives it the other regions. After the start only where the kernel can
 * (KVM; some revisions of Gunyah). The library's mapping is gone afterwards, with every pointer into it; a caller's mapping is
 * the caller's again. The id is free for the next gh_vm_map().
 *
 * If the kernel refuses the new VM or one of the other regions, the VM is good for nothing but gh_vm_reset(), which tries that
 * again, and gh_vm_close(); the region is gone. If the kernel gives only some parts of a large region back, the rest keeps the
 * id, and is shorter.
 *
 * @param[in] vm VM. No other thread may use the region.
 * @param[in] id Region, as gh_vm_map() said.
 *
 * @retval 0       Done.
 * @retval -EINVAL @p vm is NULL.
 * @retval -ENOENT There is no such region.
 * @retval -EOPNOTSUPP The VM has been started, and its kernel never takes memory back.
 * @retval -EBUSY  The VM's start or reset has failed.
 * @retval -ENOMEM More locked memory than the process may have, because the limit was lowered. gh_vm_failure() says.
 * @retval -EPERM  This is a forked child.
 * @return Otherwise the errno of the kernel.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * KVM_SET_USER_MEMORY_REGION, GUNYAH_VM_MAP_MEM, GH_VM_SET_USER_MEM_REGION; otherwise close(), and the requests with which
 * gh_vm_open() and gh_vm_map() make a VM and give it memory; munmap().
 * @since 0.1
 */
GH_API int gh_vm_unmap(struct gh_vm *vm, uint32_t id);

/**
 * @brief Take pages back from the guest, for the host to use otherwise.
 *
 * For a balloon: the guest has said that it does not need them. The range stays the guest's, which gets pages again when it
 * touches it; what was in them is lost. Pages of the library's own anonymous memory are freed at once; a caller frees those
 * of its own mapping or file afterwards.
 *
 * @param[in] vm     Started VM.
 * @param[in] gpa    Guest physical address, a multiple of the page size.
 * @param[in] length Bytes, a multiple of the page size; inside one region.
 *
 * @retval 0       Done.
 * @retval -EINVAL @p vm is NULL, an argument is not a multiple of the page size, or the length is 0.
 * @retval -EFAULT The guest has no memory there, or not in one region.
 * @retval -EBUSY  The VM has not been started, or the hypervisor was busy with the pages: try again later.
 * @retval -EOPNOTSUPP The kernel cannot (no #GH_FEATURE_RECLAIM).
 * @retval -EPERM  This is a forked child.
 * @return Otherwise the errno of the kernel.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * GH_VM_RECLAIM_REGION; madvise().
 * @since 0.1
 */
GH_API int gh_vm_reclaim(struct gh_vm *vm, uint64_t gpa, uint64_t length);

/**
 * @brief What a region is, and who may use it now.
 *
 * @param[in] vm           VM.
 * @param[in] id           Region, as gh_vm_map() said.
 * @param[in,out] ret_info Its size must be set; receives the rest, and is left untouched on failure.
 *
 * @retval 0       Done.
 * @retval -EINVAL An argument is NULL, or the structure is too small.
 * @retval -ENOENT There is no such region.
 * @retval -EPERM  This is a forked child.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API int gh_vm_region(struct gh_vm *vm, uint32_t id, struct gh_region_info *ret_info);

/**
 * @brief Where guest memory is in the host.
 *
 * @param[in] vm       VM.
 * @param[in] gpa      Guest physical address.
 * @param[in] length   Bytes from there that must be in one region.
 * @param[out] ret_host Receives the host address; left untouched on failure. Valid until the VM is closed, or until
 *                     gh_vm_start() if the region is lent, or until gh_vm_unmap().
 *
 * @retval 0       Done.
 * @retval -EINVAL An argument is NULL.
 * @retval -EFAULT There is no such memory, not in one region, or it has been lent to the guest.
 * @retval -EPERM  This is a forked child.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API int gh_vm_pointer(struct gh_vm *vm, uint64_t gpa, uint64_t length, void **ret_host);

/**
 * @brief Copy from guest memory.
 *
 * @param[in] vm      VM.
 * @param[in] gpa     Guest physical address.
 * @param[out] buffer Receives @p length bytes; left untouched on failure.
 * @param[in] length  Bytes; they may span regions that touch.
 *
 * @retval 0       Done.
 * @retval -EINVAL An argument is NULL.
 * @retval -EFAULT Some of it is not there, or has been lent to the guest.
 * @retval -EPERM  This is a forked child.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API int gh_vm_read(struct gh_vm *vm, uint64_t gpa, void *buffer, size_t length);

/**
 * @brief Copy to guest memory.
 *
 * @param[in] vm     VM.
 * @param[in] gpa    Guest physical address.
 * @param[in] buffer @p length bytes.
 * @param[in] length Bytes; they may span regions that touch.
 *
 * @retval 0       Done.
 * @retval -EINVAL An argument is NULL.
 * @retval -EFAULT Some of it is not there, or has been lent to the guest; nothing was written.
 * @retval -EPERM  This is a forked child.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API int gh_vm_write(struct gh_vm *vm, uint64_t gpa, const void *buffer, size_t length);

GH_END_DECLS

/** @} */
#endif
