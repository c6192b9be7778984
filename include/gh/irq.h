/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * @brief Interrupt lines: raised by an eventfd, or set by the VMM.
 * @defgroup irq Interrupts
 *
 * A line has one driver: an irqfd (gh_irqfd_add()) or a direct line (gh_irq_add()). Both are objects that may come and go
 * while vCPUs run, and leave nothing behind.
 *
 * **Level-triggered lines** differ most between kernels. What a device model may rely on everywhere:
 *
 * * With gh_irqfd_options::resample_fd, writes to the irqfd assert the line, and a signal on the resample descriptor
 *   follows. A thread that waits for it (not a vCPU's: the guest may sleep until then) looks at the device and, if that
 *   still wants an interrupt, writes to the irqfd again. Then no interrupt is lost, and none comes for ever.
 * * A direct line with #GH_IRQ_LEVEL interrupts the guest until the VMM sets it to 0.
 *
 * KVM and the first kernels with GenieZone (up to v5) tell when the guest has acknowledged (#GH_FEATURE_IRQFD_RESAMPLE).
 * Elsewhere a thread of the library plays the acknowledgement: it looks again 0.25 ms after the line was asserted, then after twice as long, and so on up to 4 ms
 * while the line stays asserted; a quiet line costs nothing. gh_irqfd_is_emulated() and gh_irq_is_emulated() tell. The
 * limits of that:
 *
 * * The signal may come before the guest has acknowledged, or up to 4 ms after it. It means "look again", not
 *   "acknowledged": a device that still wants its interrupt must say so, whether the guest has seen it or not.
 * * The guest may see an interrupt for which it finds no reason. Drivers for shared lines bear that.
 * * Gunyah lowers a line itself when the guest acknowledges, and the library raises it again. GenieZone (v6 and later)
 *   leaves it up: the guest may be interrupted again and again until the library lowers it, 0.25 to 4 ms after the write.
 *
 * Edge-triggered lines are not emulated anywhere; a device model that can choose should choose them.
 * @{
 */
#ifndef GH_IRQ_H
#define GH_IRQ_H

#include "base.h"

/** @brief Bits of gh_irqfd_options::flags. */
enum gh_irq_flag {
	/** Level-triggered in the guest's eyes: an irqfd's interrupt stays until the guest acknowledges it. */
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
	/** The caller's eventfd, which the library copies; -1: the library makes one. Nobody else should read it. */
	int fd;
	uint32_t reserved; /**< 0. */
	/**
	 * With #GH_IRQ_LEVEL, an eventfd of the caller, which the library copies and signals when the line should be
	 * looked at again: the guest has acknowledged it, or may have done so. -1: none.
	 */
	int resample_fd;
	uint32_t reserved2; /**< 0. */
};

/** @brief Initial value of #gh_irqfd_options. */
#define GH_IRQFD_OPTIONS_INIT                                                                                              \
	{                                                                                                                  \
		sizeof(struct gh_irqfd_options), 0, 0, -1, 0, -1, 0                                                        \
	}

/** @brief What a direct line is. */
struct gh_irq_options {
	size_t size;    /**< Size of this structure in bytes. */
	uint32_t line;  /**< As gh_irqfd_options::line. */
	uint32_t flags; /**< An or of #gh_irq_flag. */
};

/** @brief Initial value of #gh_irq_options. */
#define GH_IRQ_OPTIONS_INIT                                                                                                \
	{                                                                                                                  \
		sizeof(struct gh_irq_options), 0, 0                                                                        \
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
 * @retval -EINVAL An argument is NULL, the structure has an unknown tail, an unknown flag or a reserved field is set, a
 *                 descriptor is not an eventfd, or there is a resample descriptor without #GH_IRQ_LEVEL; on a started
 *                 Gunyah VM, the devicetree has no doorbell of that label.
 * @retval -EBADF  A descriptor is not open.
 * @retval -ERANGE There is no such line.
 * @retval -EEXIST The line has a driver already; or it had one, and the kernel removes nothing (#GH_QUIRK_KEEPS_FUNCTIONS).
 * @retval -EBUSY  The eventfd is connected already (GenieZone, KVM), or the VM's start has failed.
 * @retval -EOPNOTSUPP The kernel has no irqfds, or no level-triggered ones and there is no resample descriptor.
 * @retval -EPERM  This is a forked child.
 * @retval -ENOMEM Out of memory.
 * @return Otherwise the errno of the kernel.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * eventfd() or fcntl(F_DUPFD_CLOEXEC). After the start also GH_VM_ADD_FUNCTION (irqfd), GZVM_IRQFD, KVM_IRQFD; before it
 * these are left to gh_vm_start(). Emulated: epoll_create1(), epoll_ctl(), a thread, and there GZVM_IRQ_LINE.
 * @since 0.1
 */
GH_API int gh_irqfd_add(struct gh_vm *vm, const struct gh_irqfd_options *options, struct gh_irqfd **ret_irqfd);

/**
 * @brief Raise the line of an irqfd: one write to its eventfd.
 *
 * @param[in] irqfd Object.
 * @retval 0       Done.
 * @retval -EINVAL @p irqfd is NULL.
 * @retval -EPERM  This is a forked child.
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
 * @brief Does the library play the guest's acknowledgements?
 *
 * @param[in] irqfd Object.
 * @return 1 if the kernel does not tell them and a resample descriptor wants them, with the limits described above; 0 if
 *         the kernel does all that was asked for, or @p irqfd is NULL.
 *
 * @mtany
 * @assafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API int gh_irqfd_is_emulated(const struct gh_irqfd *irqfd);

/**
 * @brief Disconnect an eventfd from its line, and free the object.
 *
 * A kernel with #GH_QUIRK_KEEPS_FUNCTIONS removes nothing: the line is raised as long as somebody writes to the caller's
 * eventfd, and cannot be connected to another one.
 *
 * @param[in] irqfd Object, or NULL.
 *
 * @mtany
 * Not at the same time as another call on @p irqfd, nor gh_vm_close() of its VM.
 * @asunsafe
 * @par Kernel requests
 * close(); GH_VM_REMOVE_FUNCTION, GZVM_IRQFD or KVM_IRQFD with the deassign flag. Emulated: epoll_ctl(), GZVM_IRQ_LINE.
 * @par After fork()
 * Does nothing in the child: the object goes with gh_vm_close().
 * @since 0.1
 */
GH_API void gh_irqfd_remove(struct gh_irqfd *irqfd);

/**
 * @brief Take an interrupt line that the VMM sets itself.
 *
 * @param[in] vm       VM in any state before its end.
 * @param[in] options  Which line; not needed after the call.
 * @param[out] ret_irq Receives the object; left untouched on failure. Goes with the VM, or with gh_irq_remove().
 *
 * @retval 0       Done.
 * @retval -EINVAL An argument is NULL, the structure has an unknown tail, or an unknown flag is set; on a started Gunyah
 *                 VM, the devicetree has no doorbell of that label.
 * @retval -ERANGE There is no such line.
 * @retval -EEXIST The line has a driver already.
 * @retval -EBUSY  The VM's start has failed.
 * @retval -EOPNOTSUPP The kernel has neither direct lines nor irqfds of that kind.
 * @retval -EPERM  This is a forked child.
 * @retval -ENOMEM Out of memory.
 * @return Otherwise the errno of the kernel.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * Gunyah: eventfd(), after the start also GH_VM_ADD_FUNCTION (irqfd); with #GH_IRQ_LEVEL epoll_create1() and a thread.
 * Others: none.
 * @since 0.1
 */
GH_API int gh_irq_add(struct gh_vm *vm, const struct gh_irq_options *options, struct gh_irq **ret_irq);

/**
 * @brief Set a line to a level.
 *
 * An edge-triggered line interrupts the guest once each time it goes from 0 to 1. A level-triggered one interrupts it for
 * as long as it is 1. Setting a line to what it is costs no request; where #GH_IRQ_LEVEL is emulated, it makes the
 * library look again soon. What is set before gh_vm_start() holds from the start on.
 *
 * @param[in] irq   Object.
 * @param[in] level 0, or anything else for 1.
 *
 * @retval 0       Done.
 * @retval -EINVAL @p irq is NULL.
 * @retval -EPERM  This is a forked child.
 * @return Otherwise the errno of the kernel; the level is what it was.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * KVM_IRQ_LINE, GZVM_IRQ_LINE; Gunyah: write() to an eventfd.
 * @since 0.1
 */
GH_API int gh_irq_set(struct gh_irq *irq, int level);

/**
 * @brief Interrupt the guest once through an edge-triggered line, whatever its level is.
 *
 * Several before the guest acknowledges may be one interrupt. A pulse before gh_vm_start() counts.
 *
 * @param[in] irq Object.
 *
 * @retval 0       Done.
 * @retval -EINVAL @p irq is NULL, or its line is level-triggered: a guest that looks a moment later would miss it.
 * @retval -EPERM  This is a forked child.
 * @return Otherwise the errno of the kernel.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * As gh_irq_set().
 * @since 0.1
 */
GH_API int gh_irq_pulse(struct gh_irq *irq);

/**
 * @brief Does the library play the level of a line?
 *
 * @param[in] irq Object.
 * @return 1 if the kernel can only pulse the line and the library repeats that while the line is 1, with the limits
 *         described above; 0 if the kernel does all that was asked for, or @p irq is NULL.
 *
 * @mtany
 * @assafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API int gh_irq_is_emulated(const struct gh_irq *irq);

/**
 * @brief Give a line back, and free the object. A level-triggered line goes to 0 first.
 *
 * @param[in] irq Object, or NULL.
 *
 * @mtany
 * Not at the same time as another call on @p irq, nor gh_vm_close() of its VM.
 * @asunsafe
 * @par Kernel requests
 * KVM_IRQ_LINE, GZVM_IRQ_LINE; Gunyah: close() and GH_VM_REMOVE_FUNCTION.
 * @par After fork()
 * Does nothing in the child: the object goes with gh_vm_close().
 * @since 0.1
 */
GH_API void gh_irq_remove(struct gh_irq *irq);

GH_END_DECLS

/** @} */
#endif
