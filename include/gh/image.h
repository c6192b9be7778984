/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * @brief Kernels, initrds and other files: what they are, where they go, and how they get into guest memory.
 *
 * From a file to a guest that can be started:
 *
 *     gh_image_open()       recognise the kernel; take the initrd as it is (#GH_IMAGE_RAW)
 *     gh_image_place()      where everything goes: needs the VM, but no memory yet
 *     gh_vm_map()           the memory that was planned for
 *     gh_image_load_plan()  kernel and initrd
 *                           the devicetree to gh_image_plan::dtb_gpa, with the initrd's place in it
 *     gh_vm_set_dtb(), gh_vm_set_entry(), gh_image_close()
 *
 * Nothing in a file is trusted. A file that is truncated, damaged, or contradicts itself is refused with a reason.
 * @defgroup image Images
 * @{
 */
#ifndef GH_IMAGE_H
#define GH_IMAGE_H

#include "base.h"
#include "error.h"

struct gh_image;

/** @brief Formats of files. */
enum gh_image_format {
	GH_IMAGE_AUTO = 0,  /**< In gh_image_options only: find out, and refuse what is neither of the next two. */
	GH_IMAGE_ARM64 = 1, /**< Linux for arm64, "Image"; also what has taken its header over. */
	GH_IMAGE_ELF64 = 2, /**< ELF for arm64 with segments to load. */
	GH_IMAGE_RAW = 3,   /**< Anything, loaded as it is: an initrd, firmware. */
};

/** @brief How a file is packed. */
enum gh_image_packing {
	GH_IMAGE_PLAIN = 0, /**< Not at all. */
	GH_IMAGE_GZIP = 1,  /**< gzip. */
	GH_IMAGE_ZSTD = 2,  /**< zstd; only if libgh was built with it. */
};

/** @brief Bits of gh_image_info::flags. */
enum gh_image_flag {
	GH_IMAGE_ZBOOT = 1 << 0,       /**< The packed kernel was inside an EFI program that unpacks itself. */
	GH_IMAGE_RELOCATABLE = 1 << 1, /**< It can be anywhere that suits its alignment. */
	GH_IMAGE_BIG_ENDIAN = 1 << 2,  /**< The kernel is a big-endian one. */
};

/** @brief What to open. Exactly one of @c path, @c fd and @c data. */
struct gh_image_options {
	size_t size; /**< Size of this structure in bytes. */
	/** Open descriptor of a regular file, or -1. Copied; read from the file's beginning, wherever its offset is. */
	int fd;
	uint32_t format;  /**< The #gh_image_format that it must have; #GH_IMAGE_AUTO by default. */
	const char *path; /**< Path of a regular file, or NULL. */
	const void *data; /**< Contents of a file, borrowed until gh_image_close(), or NULL. */
	size_t length;    /**< Bytes of @c data. */
	/**
	 * Called while the image is being loaded, after every few megabytes and at the end: bytes of the file that are done, of
	 * how many. A negative result ends the load with that error. NULL: not wanted.
	 */
	int (*progress)(void *data, uint64_t done, uint64_t total);
	/** First argument of @c progress. */
	void *progress_data;
	/** Receives the reason if gh_image_open() fails; NULL: not wanted. Its size must be set. */
	struct gh_failure *failure;
};

/** @brief Initial value of #gh_image_options. */
#define GH_IMAGE_OPTIONS_INIT                                                                                              \
	{                                                                                                                  \
		sizeof(struct gh_image_options), -1, GH_IMAGE_AUTO, NULL, NULL, 0, NULL, NULL, NULL                        \
	}

/** @brief What a file is. Belongs to its image; grows only at its end. */
struct gh_image_info {
	uint32_t format;    /**< One of #gh_image_format, not #GH_IMAGE_AUTO. */
	uint32_t packing;   /**< One of #gh_image_packing. */
	uint32_t flags;     /**< An or of #gh_image_flag. */
	uint32_t page_size; /**< The only size of pages that the kernel can work with, in bytes; 0: nobody says. */
	uint64_t file_size; /**< Bytes of the file as it is. */
	/**
	 * Bytes of guest memory that it needs from its address on: `image_size` of an arm64 Image, up to the last byte of the
	 * last segment of an ELF file.
	 */
	uint64_t memory_size;
	uint64_t alignment;   /**< A power of two: its address must be @c text_offset beyond a multiple of it. */
	uint64_t text_offset; /**< Below @c alignment. */
	uint64_t entry;       /**< Bytes from its address to its first instruction. */
	uint64_t address;     /**< Lowest address that an ELF file itself asks for; 0 for others. */
};

/** @brief What is to be placed. */
struct gh_image_place_options {
	size_t size; /**< Size of this structure in bytes. */
	/**
	 * Guest physical address of the memory, as it will be given to gh_vm_map(): one region. On a hypervisor without
	 * #GH_FEATURE_REGISTERS the guest begins at this address.
	 */
	uint64_t ram_gpa;
	uint64_t ram_size;       /**< Bytes. */
	struct gh_image *kernel; /**< What runs. */
	struct gh_image *initrd; /**< What the kernel finds in memory, or NULL. */
	/**
	 * Bytes that the devicetree will have at most, 0: 64 KiB. Room for a resource manager's additions comes on top; a tree
	 * of more than 512 KiB finds less of that than gh_fdt_finish() wants.
	 */
	uint64_t dtb_size;
};

/** @brief Initial value of #gh_image_place_options. */
#define GH_IMAGE_PLACE_OPTIONS_INIT                                                                                        \
	{                                                                                                                  \
		sizeof(struct gh_image_place_options), 0, 0, NULL, NULL, 0                                                 \
	}

/** @brief Where everything goes. Filled by gh_image_place(); what does not overlap there must not be made to. */
struct gh_image_plan {
	size_t size;             /**< Size of this structure in bytes, set by the caller. */
	struct gh_image *kernel; /**< As in the options. */
	struct gh_image *initrd; /**< As in the options, or NULL. */
	uint64_t kernel_gpa;     /**< Guest physical address of the kernel. */
	/**
	 * Guest physical address of the first instruction, for gh_vm_set_entry(): the kernel's own, or where the hypervisor
	 * begins, and a jump to the kernel stands there.
	 */
	uint64_t entry;
	uint64_t initrd_gpa;  /**< Guest physical address of the initrd; 0 without one. */
	uint64_t initrd_size; /**< Its bytes: it ends, in the devicetree's sense, at initrd_gpa + initrd_size. */
	uint64_t dtb_gpa;     /**< Guest physical address of the devicetree. */
	uint64_t dtb_room;    /**< Bytes that are free for it and for what is added to it: the size for gh_vm_set_dtb(). */
};

/** @brief Initial value of a caller's own #gh_image_plan. */
#define GH_IMAGE_PLAN_INIT                                                                                                 \
	{                                                                                                                  \
		sizeof(struct gh_image_plan), NULL, NULL, 0, 0, 0, 0, 0, 0                                                 \
	}

GH_BEGIN_DECLS

/**
 * @brief Open a kernel, an initrd or another file, and find out what it is.
 *
 * Reads the header, and of a packed kernel the beginning, never the whole file. Recognised are the arm64 Image and ELF64 for
 * arm64, each plain, packed with gzip or zstd, and the Image in an EFI zboot wrapper. The header is checked; of an Image that
 * is also an EFI program, its tables, too, so that a truncated one is found out here.
 *
 * @param[in] options    What to open.
 * @param[out] ret_image Receives the image; left untouched on failure. Close it with gh_image_close().
 *
 * @retval 0        Done.
 * @retval -EINVAL  An argument is NULL, the structure has an unknown tail, an unknown format, none or several of path,
 *                  descriptor and buffer, or it is not a regular file.
 * @retval -ENOEXEC It is empty, unknown, of another machine, truncated, or contradicts itself; or not of the format asked for.
 * @retval -EBADMSG It is packed, and the packed bytes are damaged or end too early.
 * @retval -EOPNOTSUPP It is packed in a way that this library was not built for.
 * @retval -EFBIG   The file, or the memory that it asks for, is larger than 1 TiB.
 * @retval -EIO     The file became shorter meanwhile.
 * @retval -ENOMEM  Out of memory.
 * @return Otherwise the errno of the kernel. The reason is in gh_image_options::failure.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * open() or fcntl(F_DUPFD_CLOEXEC), fstat(), pread().
 * @since 0.1
 */
GH_API int gh_image_open(const struct gh_image_options *options, struct gh_image **ret_image);

/**
 * @brief What an image is.
 * @param[in] image Image.
 * @return What is known of it, owned by @p image; NULL if @p image is NULL.
 *
 * @mtany
 * @assafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API const struct gh_image_info *gh_image_info(const struct gh_image *image);

/**
 * @brief Decide where kernel, initrd and devicetree go in a guest's memory.
 *
 * Only computes: the memory may, but need not, be mapped. Everything is as low as it can be, in this order: the kernel, at
 * its own address if it is an ELF file that has one there; the devicetree; the initrd. Linux's rules are kept: the Image
 * `text_offset` beyond a multiple of 2 MiB with `image_size` bytes free, the devicetree at most 2 MiB and across no multiple
 * of 2 MiB, the initrd within the window of 32 GiB that it must share with the kernel. The devicetree gets four times what
 * was asked for, at least 64 KiB more and at most 2 MiB, because a resource manager adds to it in place (gh_fdt_finish()).
 *
 * Without #GH_FEATURE_REGISTERS (Gunyah of android14-6.1), the hypervisor begins at the start of the region that holds the
 * devicetree. A kernel whose first instruction cannot be there gets a jump there.
 *
 * @param[in] vm       VM in any state: whose hypervisor has the rules. gh_vm_failure() has the reason of a failure.
 * @param[in] options  What is to be placed; not needed after the call, except the images.
 * @param[in,out] plan Receives the places, its size set by the caller; left untouched on failure.
 *
 * @retval 0       Done.
 * @retval -EINVAL An argument or the kernel is NULL, a structure has an unknown tail or a wrong size, the memory is not
 *                 made of pages, or the devicetree would be too large for Linux.
 * @retval -ERANGE The memory wraps around, or ends beyond the guest's address space.
 * @retval -ENOSPC Something does not fit: gh_vm_failure() says what, and how much memory would do.
 * @retval -EPERM  This is a forked child.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API int gh_image_place(struct gh_vm *vm, const struct gh_image_place_options *options, struct gh_image_plan *plan);

/**
 * @brief Load an image to a place in guest memory.
 *
 * A plain file is read straight into guest memory, a packed one unpacked straight into it. What an ELF file says to be zero
 * is zeroed. Nothing is written unless all of the memory is there; if the file turns out to be damaged or cannot be read,
 * or the progress function ends it, a part of it has been written.
 *
 * @param[in] vm    VM whose memory is mapped, and not lent to the guest yet. gh_vm_failure() has the reason of a failure.
 * @param[in] image Image; may be loaded again.
 * @param[in] gpa   Guest physical address; for an ELF file that is not relocatable, gh_image_info::address.
 *
 * @retval 0        Done.
 * @retval -EINVAL  An argument is NULL, or @p gpa is not where this image can be: gh_image_info::alignment and others.
 * @retval -EFAULT  There is no such memory, or it has been lent to the guest.
 * @retval -EBADMSG The packed bytes are damaged or end too early.
 * @retval -ENOEXEC More or less comes out of a packed file than its header says.
 * @retval -EIO     The file became shorter meanwhile.
 * @retval -ENOMEM  Out of memory.
 * @retval -EPERM  This is a forked child.
 * @return Otherwise the errno of the kernel, or the result of the progress function.
 *
 * @mtobject
 * Not at the same time as gh_vm_start() or gh_vm_close().
 * @asunsafe
 * @par Kernel requests
 * pread().
 * @since 0.1
 */
GH_API int gh_image_load(struct gh_vm *vm, struct gh_image *image, uint64_t gpa);

/**
 * @brief Load what a plan has: the kernel, the initrd, and where it is needed the jump to the kernel.
 *
 * @param[in] vm   VM whose memory is mapped as it was planned for.
 * @param[in] plan From gh_image_place().
 *
 * @retval 0       Done.
 * @retval -EINVAL An argument or the kernel is NULL, or the plan has a wrong size.
 * @return Otherwise as gh_image_load().
 *
 * @mtobject
 * Not at the same time as gh_vm_start() or gh_vm_close(), nor as another call on the images.
 * @asunsafe
 * @par Kernel requests
 * pread().
 * @since 0.1
 */
GH_API int gh_image_load_plan(struct gh_vm *vm, const struct gh_image_plan *plan);

/**
 * @brief Close an image. What was loaded stays where it is.
 *
 * @param[in] image Image, or NULL.
 *
 * @mtobject
 * @asunsafe
 * @par Kernel requests
 * close().
 * @since 0.1
 */
GH_API void gh_image_close(struct gh_image *image);

GH_END_DECLS

/** @} */
#endif
