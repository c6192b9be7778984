/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * @brief Doorbells: guest stores that signal an eventfd instead of making an exit.
 * @defgroup ioevent Doorbells
 *
 * Which doorbells a kernel can have differs: GenieZone cannot tell two values at one address apart, Gunyah two widths,
 * and any of them may refuse one. A doorbell that the kernel does not take is *emulated*: its stores are exits, and
 * gh_bus_dispatch(), which gh_vcpu_loop() and gh_vm_run() call, signals the eventfd. A device model need not know; it is
 * slower. A VMM that neither uses those loops nor dispatches sees the stores as #GH_EXIT_MMIO, and asks
 * gh_ioevent_is_emulated() whether it will.
 * @{
 */
#ifndef GH_IOEVENT_H
#define GH_IOEVENT_H

#include "base.h"

/** @brief Bits of gh_ioevent_options::flags. */
enum gh_ioevent_flag {
	/** Only stores of gh_ioevent_options::value. */
	GH_IOEVENT_DATAMATCH = 1 << 0,
	/** Do not ask the kernel: for machines where its doorbells are broken, and for tests. */
	GH_IOEVENT_EMULATE = 1 << 1,
};

/** @brief Which stores signal which eventfd. */
struct gh_ioevent_options {
	size_t size;    /**< Size of this structure in bytes. */
	uint64_t gpa;   /**< Guest physical address of the store, exactly. */
	uint64_t value; /**< The stored value, with #GH_IOEVENT_DATAMATCH; fits the width. 0 without. */
	/**
	 * Width of the store: 1, 2, 4 or 8 bytes, or 0 for any. Without a data match, Gunyah's kernel takes stores of any
	 * width for a doorbell that is alone at its address and not emulated.
	 */
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
 *                 width is none of those above, a data match without a width or with a value that does not fit it, a value
 *                 without a data match, or the descriptor is not an eventfd.
 * @retval -EBADF  The descriptor is not open.
 * @retval -ERANGE The address range wraps or ends at the top of the address space.
 * @retval -EEXIST One store would ring another doorbell as well.
 * @retval -EBUSY  The VM's start has failed.
 * @retval -EPERM  This is a forked child.
 * @retval -ENOMEM Out of memory.
 * @return Otherwise the errno of the kernel, if that is more than a refusal of this doorbell.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * eventfd() or fcntl(F_DUPFD_CLOEXEC). After the start also GH_VM_ADD_FUNCTION (ioeventfd), GZVM_IOEVENTFD,
 * KVM_IOEVENTFD; before it these are left to gh_vm_start(). GH_VM_REMOVE_FUNCTION of one that becomes emulated, because
 * the kernel could not tell the new one from it. Emulated: those of gh_bus_add().
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
 * @brief Do the doorbell's stores make exits, which gh_bus_dispatch() turns into signals?
 *
 * Settled when the VM has started, but for one thing: a doorbell becomes emulated when another one comes to its address
 * which the kernel could not tell from it. Before the start it tells what can be known without asking the kernel.
 *
 * @param[in] ioevent Object.
 * @return 1 if they do; 0 if the kernel signals, or @p ioevent is NULL.
 *
 * @mtany
 * @assafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API int gh_ioevent_is_emulated(const struct gh_ioevent *ioevent);

/**
 * @brief Take a doorbell away, and free the object.
 *
 * Exact: other doorbells at the same address stay, also on kernels that remove all of an address at once
 * (android14-6.1), where the library adds them again and misses none of their stores meanwhile. When it returns the library
 * does not signal the eventfd any more: it waits for a store that is just ringing, which takes long only if somebody else keeps
 * the eventfd full.
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
