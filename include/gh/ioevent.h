/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * @brief Doorbells: guest stores that signal an eventfd instead of making an exit.
 * @defgroup ioevent Doorbells
 * @{
 */
#ifndef GH_IOEVENT_H
#define GH_IOEVENT_H

#include "base.h"

/** @brief Bits of gh_ioevent_options::flags. */
enum gh_ioevent_flag {
	/** Only stores of gh_ioevent_options::value. */
	GH_IOEVENT_DATAMATCH = 1 << 0,
};

/** @brief Which stores signal which eventfd. */
struct gh_ioevent_options {
	size_t size;    /**< Size of this structure in bytes. */
	uint64_t gpa;   /**< Guest physical address of the store, exactly. */
	uint64_t value; /**< The stored value, with #GH_IOEVENT_DATAMATCH; fits the width. */
	/** Width of the store: 1, 2, 4 or 8 bytes, or 0 for any. On Gunyah any width matches without a data match. */
	uint32_t width;
	uint32_t flags; /**< An or of #gh_ioevent_flag. */
	/** The caller's eventfd, which the library copies; -1: the library makes one. */
	int fd;
	uint32_t reserved; /**< 0. */
};

/** @brief Initial value of #gh_ioevent_options. */
#define GH_IOEVENT_OPTIONS_INIT                                                                                            \
	{                                                                                                                  \
		sizeof(struct gh_ioevent_options), 0, 0, 0, 0, -1, 0                                                       \
	}

GH_BEGIN_DECLS

/**
 * @brief Let guest stores signal an eventfd.
 *
 * @param[in] vm           VM in any state before its end.
 * @param[in] options      Which stores; not needed after the call.
 * @param[out] ret_ioevent Receives the object; left untouched on failure. Goes with the VM, or with gh_ioevent_remove().
 *
 * @retval 0       Done.
 * @retval -EINVAL An argument is NULL, the structure has an unknown tail, an unknown flag or a reserved field is set, the
 *                 width is none of those above, a data match without a width or with a value that does not fit it, or the
 *                 descriptor is not an eventfd.
 * @retval -EBADF  The descriptor is not open.
 * @retval -ERANGE The address range wraps or ends at the top of the address space.
 * @retval -EEXIST The stores of another doorbell would match too, or the kernel cannot tell the two apart.
 * @retval -EOPNOTSUPP The kernel has no ioeventfds.
 * @retval -EPERM  This is a forked child.
 * @retval -ENOMEM Out of memory.
 * @return Otherwise the errno of the kernel.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * eventfd() or fcntl(F_DUPFD_CLOEXEC). After the start also GH_VM_ADD_FUNCTION (ioeventfd), GZVM_IOEVENTFD,
 * KVM_IOEVENTFD; before it these are left to gh_vm_start().
 * @since 0.1
 */
GH_API int gh_ioevent_add(struct gh_vm *vm, const struct gh_ioevent_options *options, struct gh_ioevent **ret_ioevent);

/**
 * @brief The eventfd of a doorbell.
 * @param[in] ioevent Object.
 * @return The library's descriptor, valid as long as @p ioevent; do not close it. -1 if @p ioevent is NULL.
 *
 * @mtany
 * @assafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API int gh_ioevent_fd(const struct gh_ioevent *ioevent);

/**
 * @brief Take a doorbell away, and free the object.
 *
 * Exact: other doorbells at the same address stay, also on kernels that remove all of an address at once
 * (android14-6.1), where they are gone for an instant in which their stores become exits.
 *
 * @param[in] ioevent Object, or NULL.
 *
 * @mtany
 * Not at the same time as another call on @p ioevent, nor gh_vm_close() of its VM.
 * @asunsafe
 * @par Kernel requests
 * close(); GH_VM_REMOVE_FUNCTION and GH_VM_ADD_FUNCTION, GZVM_IOEVENTFD or KVM_IOEVENTFD with the deassign flag.
 * @par After fork()
 * Does nothing in the child: the object goes with gh_vm_close().
 * @since 0.1
 */
GH_API void gh_ioevent_remove(struct gh_ioevent *ioevent);

GH_END_DECLS

/** @} */
#endif
