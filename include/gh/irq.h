/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * @brief Interrupt lines that an eventfd raises.
 * @defgroup irq Interrupts
 * @{
 */
#ifndef GH_IRQ_H
#define GH_IRQ_H

#include "base.h"

/** @brief Bits of gh_irqfd_options::flags. */
enum gh_irq_flag {
	/** Level-triggered in the guest's eyes: the interrupt stays until the guest acknowledges it. */
	GH_IRQ_LEVEL = 1 << 0,
};

/** @brief What an irqfd connects. */
struct gh_irqfd_options {
	size_t size; /**< Size of this structure in bytes. */
	/**
	 * Shared peripheral interrupt, counted from 0: 5 is INTID 37 and `<0 5 flags>` in a devicetree. On Gunyah it is the
	 * label of the doorbell, any number but UINT32_MAX; a VMM that runs everywhere names the same number in the doorbell's
	 * `interrupts`.
	 */
	uint32_t line;
	uint32_t flags; /**< An or of #gh_irq_flag. */
	/** The caller's eventfd, which the library copies; -1: the library makes one. */
	int fd;
	uint32_t reserved; /**< 0. */
};

/** @brief Initial value of #gh_irqfd_options. */
#define GH_IRQFD_OPTIONS_INIT                                                                                              \
	{                                                                                                                  \
		sizeof(struct gh_irqfd_options), 0, 0, -1, 0                                                               \
	}

GH_BEGIN_DECLS

/**
 * @brief Connect an eventfd to an interrupt line.
 *
 * Each write to the eventfd raises the line once. Several writes before the guest acknowledges may be one interrupt. A write
 * before gh_vm_start() counts: it raises the line at the start.
 *
 * @param[in] vm         VM in any state before its end.
 * @param[in] options    What to connect; not needed after the call.
 * @param[out] ret_irqfd Receives the object; left untouched on failure. Goes with the VM, or with gh_irqfd_remove().
 *
 * @retval 0       Done.
 * @retval -EINVAL An argument is NULL, the structure has an unknown tail, an unknown flag or a reserved field is set, or the
 *                 descriptor is not an eventfd; on a started Gunyah VM, the devicetree has no doorbell of that label.
 * @retval -EBADF  The descriptor is not open.
 * @retval -ERANGE There is no such line.
 * @retval -EEXIST The line has an irqfd already.
 * @retval -EBUSY  The eventfd is connected already (GenieZone).
 * @retval -EOPNOTSUPP The kernel has no irqfds, or no level-triggered ones.
 * @retval -EPERM  This is a forked child.
 * @retval -ENOMEM Out of memory.
 * @return Otherwise the errno of the kernel.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * eventfd() or fcntl(F_DUPFD_CLOEXEC). After the start also GH_VM_ADD_FUNCTION (irqfd), GZVM_IRQFD, KVM_IRQFD; before it
 * these are left to gh_vm_start().
 * @since 0.1
 */
GH_API int gh_irqfd_add(struct gh_vm *vm, const struct gh_irqfd_options *options, struct gh_irqfd **ret_irqfd);

/**
 * @brief Raise the line of an irqfd: one write to its eventfd.
 *
 * @param[in] irqfd Object.
 * @retval 0       Done.
 * @retval -EINVAL @p irqfd is NULL.
 * @return Otherwise the errno of write().
 *
 * @mtany
 * @assafe
 * @par Kernel requests
 * write() to the eventfd.
 * @since 0.1
 */
GH_API int gh_irqfd_raise(struct gh_irqfd *irqfd);

/**
 * @brief The eventfd of an irqfd.
 * @param[in] irqfd Object.
 * @return The library's descriptor, valid as long as @p irqfd; do not close it. -1 if @p irqfd is NULL.
 *
 * @mtany
 * @assafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API int gh_irqfd_fd(const struct gh_irqfd *irqfd);

/**
 * @brief Disconnect an eventfd from its line, and free the object.
 *
 * @param[in] irqfd Object, or NULL.
 *
 * @mtany
 * Not at the same time as another call on @p irqfd, nor gh_vm_close() of its VM.
 * @asunsafe
 * @par Kernel requests
 * close(); GH_VM_REMOVE_FUNCTION, GZVM_IRQFD or KVM_IRQFD with the deassign flag.
 * @par After fork()
 * Does nothing in the child: the object goes with gh_vm_close().
 * @since 0.1
 */
GH_API void gh_irqfd_remove(struct gh_irqfd *irqfd);

GH_END_DECLS

/** @} */
#endif
