/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * @brief What failed, and why.
 *
 * Every function that can fail returns 0 or a positive result, or a negative errno value. The meanings below are those of
 * the library's own checks; any other value is the kernel's errno, unchanged. `errno` itself has no meaning after a call.
 *
 * | code          | the library's own meaning                                                                   |
 * |---------------|---------------------------------------------------------------------------------------------|
 * | `-EINVAL`     | caller's mistake: NULL, bad size, bad alignment, unknown flag, non-zero reserved field        |
 * | `-EBUSY`      | wrong state for this call: VM started or not started, a guest load without its answer         |
 * | `-EPERM`      | wrong thread or process: another thread is inside the vCPU, or this is a forked child          |
 * | `-EEXIST`     | address range, id or line is taken                                                           |
 * | `-ENOENT`     | there is no such thing                                                                       |
 * | `-ERANGE`     | address arithmetic would wrap, or an address or number is beyond what this machine has        |
 * | `-ENOSPC`     | no room for another one (memory slots, vCPUs), or for an image in the guest's memory         |
 * | `-EOPNOTSUPP` | this hypervisor cannot do that                                                               |
 * | `-ENODEV`     | no usable hypervisor, or the device speaks a dialect that is not supported                    |
 * | `-ESHUTDOWN`  | the VM has stopped                                                                           |
 * | `-EPROTO`     | the kernel broke its own interface: positive result, short run page, impossible width          |
 * | `-EFAULT`     | guest address without memory that the host may touch                                         |
 * | `-ENOEXEC`    | not a file that can be loaded: unknown, for another machine, truncated, contradictory        |
 * | `-EBADMSG`    | packed bytes that are damaged or end too early                                               |
 * | `-EFBIG`      | a file, or the memory that it asks for, beyond all reason                                    |
 * | `-ENOMEM`     | out of memory                                                                                |
 *
 * Beside the code, a failed call on a VM leaves a #gh_failure that says which step failed, which request of the kernel
 * refused, the likely cause and what to do about it.
 * @defgroup error Errors
 * @{
 */
#ifndef GH_ERROR_H
#define GH_ERROR_H

#include "base.h"

/**
 * @brief Why a call failed, in words.
 *
 * Strings are terminated, never NULL, and empty where there is nothing to say. The text is for people: it may change from
 * release to release, the errno value may not.
 */
struct gh_failure {
	size_t size;      /**< Size of this structure in bytes; a caller's own one must have it set. */
	int error;        /**< Negative errno value, 0 when nothing has failed. */
	char step[40];    /**< What the library was doing: "map memory", "start the VM". */
	char request[48]; /**< Kernel request that refused, "VM_START (0x4703)"; empty if the library refused by itself. */
	char cause[256];  /**< Why, as far as can be told. */
	char remedy[256]; /**< What to do about it. */
};

/** @brief Initial value of a caller's own #gh_failure. */
#define GH_FAILURE_INIT                                                                                                    \
	{                                                                                                                  \
		sizeof(struct gh_failure), 0, "", "", "", ""                                                               \
	}

GH_BEGIN_DECLS

/**
 * @brief The last failure of a VM.
 *
 * @param[in] vm VM, or NULL.
 *
 * @return The last failure of a call on @p vm or on something that belongs to it, except gh_vcpu_run() and
 *         gh_mmio_complete(), which leave theirs with the vCPU (gh_vcpu_failure()). Its error is 0 if none has failed, or
 *         if @p vm is NULL. Owned by the VM; valid until it is closed; overwritten by the next failure.
 *
 * @mtobject
 * A thread reads the failure of its own call, and no other thread fails on the same VM meanwhile.
 * @assafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API const struct gh_failure *gh_vm_failure(const struct gh_vm *vm);

/**
 * @brief The last failure of running a vCPU.
 *
 * @param[in] vcpu vCPU, or NULL.
 *
 * @return The last failure of gh_vcpu_run() or of a completion on @p vcpu; as gh_vm_failure() otherwise.
 *
 * @mtobject
 * @assafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API const struct gh_failure *gh_vcpu_failure(const struct gh_vcpu *vcpu);

GH_END_DECLS

/** @} */
#endif
