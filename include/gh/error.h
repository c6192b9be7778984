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
 * @brief Why a call failed, for programs: gh_failure::cause_id.
 *
 * Numbers and names (gh_cause_name()) stay as they are; later releases may know more causes. What to do about each is in
 * doc/errors.md.
 */
enum gh_cause {
	GH_CAUSE_NONE = 0,  /**< Nothing has failed; as a second cause: there is no other. */
	GH_CAUSE_OTHER = 1, /**< The kernel refused for a reason that only its log tells. */

	/* The program's own part. */
	GH_CAUSE_ARGUMENT = 2,       /**< An argument of the call is wrong. */
	GH_CAUSE_STATE = 3,          /**< The object is not in a state for this call. */
	GH_CAUSE_TAKEN = 4,          /**< The address range, id, line or eventfd is taken. */
	GH_CAUSE_NOT_FOUND = 5,      /**< There is no such thing. */
	GH_CAUSE_RANGE = 6,          /**< An address or a number is beyond what there is. */
	GH_CAUSE_NO_ROOM = 7,        /**< There is no room for another one, or for a thing of that size. */
	GH_CAUSE_UNSUPPORTED = 8,    /**< This hypervisor cannot do it. */
	GH_CAUSE_OTHER_THREAD = 9,   /**< Another thread is inside. */
	GH_CAUSE_OTHER_PROCESS = 10, /**< The VM belongs to another process: the one that opened it. */
	GH_CAUSE_FILE = 11,          /**< A file, or packed bytes, that cannot be used. */
	GH_CAUSE_HANDLER = 12,       /**< A function of the program's returned what it may not. */
	GH_CAUSE_NOT_EVENTFD = 13,   /**< A descriptor is not open, or not an eventfd. */
	GH_CAUSE_NO_ACCESS = 14,     /**< Memory is not mapped in this process, or not with the access that is needed. */
	GH_CAUSE_MEMORY = 15,        /**< The process or the kernel is out of memory. */
	GH_CAUSE_DESCRIPTORS = 16,   /**< There are too many open descriptors. */
	GH_CAUSE_PERMISSION = 17,    /**< The file mode, or a capability that is missing. */
	GH_CAUSE_INTERRUPTED = 18,   /**< A signal came. */
	GH_CAUSE_BROKEN_KERNEL = 19, /**< The kernel answered what its own interface does not allow. */
	GH_CAUSE_NO_REQUEST = 20,    /**< This kernel does not have the request. */

	/* Finding a hypervisor. */
	GH_CAUSE_NO_HYPERVISOR = 21, /**< No device node: another hypervisor, or none. */
	GH_CAUSE_NO_DRIVER = 22,     /**< No device node: the kernel has no driver, or it found no hypervisor at boot. */
	GH_CAUSE_NO_DEVICE_TREE_NODE =
		23,                /**< No device node: the driver is there, the host's devicetree hides the hypervisor. */
	GH_CAUSE_HIDDEN_NODE = 24, /**< No device node for this process, although the driver runs. */
	GH_CAUSE_OLD_HYPERVISOR = 25,  /**< The hypervisor is of a generation without VMs. */
	GH_CAUSE_DEAD_NODE = 26,       /**< A device node without a driver behind it. */
	GH_CAUSE_SELINUX = 27,         /**< SELinux, or another security module, forbids it. */
	GH_CAUSE_NOT_THIS_DEVICE = 28, /**< The device is none of this hypervisor. */
	GH_CAUSE_VENDOR_DIALECT = 29,  /**< Gunyah with Qualcomm's own interface of the kernels 5.10 and 5.15. */
	GH_CAUSE_KVM_FRONTED = 30,     /**< Gunyah behind a changed KVM interface. */
	GH_CAUSE_DIALECT = 31,         /**< Another dialect that the library does not speak. */
	GH_CAUSE_MACHINE = 32,         /**< KVM of another processor, or too old a one. */
	GH_CAUSE_SIMULATOR = 33,       /**< The simulated device is unknown, or libghsim is missing. */

	/* Memory. */
	GH_CAUSE_LOCK_LIMIT = 34,   /**< The process may not lock so much memory (RLIMIT_MEMLOCK). */
	GH_CAUSE_LARGE_REGION = 35, /**< The kernel cannot keep the list of pages of so large a region. */
	GH_CAUSE_UNPINNABLE = 36,   /**< Pages cannot be pinned: not mapped, without the access, beyond a file's end. */
	GH_CAUSE_FRAGMENTED = 37,   /**< Pages cannot be moved to where they may be pinned, or not in one piece. */
	GH_CAUSE_NOT_WHOLE_MAPPING = 38, /**< GenieZone takes whole mappings of the process only. */
	GH_CAUSE_HOST_MAPPING = 39,      /**< The host still has a page mapped that is to be the guest's alone. */
	GH_CAUSE_LENT = 40,              /**< The memory is lent: the host may not touch it. */
	GH_CAUSE_RODATA = 41,            /**< Lending needs a kernel that was booted with rodata=full. */
	GH_CAUSE_UNBACKED = 42,          /**< The guest used an address where it has no memory. */

	/* The start of a VM. */
	GH_CAUSE_TREE_PLACE = 43,         /**< The devicetree is not inside one region of memory, or has no room to grow. */
	GH_CAUSE_TREE_RULE = 44,          /**< The devicetree breaks a rule that the library knows (gh_fdt_validate()). */
	GH_CAUSE_TREE_REFUSED = 45,       /**< The resource manager refused the devicetree. */
	GH_CAUSE_UNPROTECTED = 46,        /**< Unprotected VMs are refused: main memory must be lent. */
	GH_CAUSE_TOO_MANY_CPUS = 47,      /**< More vCPUs than the machine gives to one VM. */
	GH_CAUSE_NO_VM_IDS = 48,          /**< The resource manager has no VM id, or no other resource, left. */
	GH_CAUSE_FIRMWARE = 49,           /**< Firmware for protected VMs is missing or refused. */
	GH_CAUSE_DENIED = 50,             /**< The resource manager does not allow this VM to this host. */
	GH_CAUSE_HYPERVISOR_MEMORY = 51,  /**< The hypervisor has no memory left. */
	GH_CAUSE_HYPERVISOR_REFUSED = 52, /**< The hypervisor refused the values. */
	GH_CAUSE_HYPERVISOR_BUSY = 53,    /**< The hypervisor was busy with it. */
	GH_CAUSE_HYPERVISOR_OLD = 54,     /**< The hypervisor or the resource manager is older than its kernel driver. */
	GH_CAUSE_RM_UNKNOWN = 55,         /**< The resource manager gave an error that the kernel does not know. */
	GH_CAUSE_VM_SPENT = 56,           /**< The kernel's VM has failed or ended, and never starts again. */

	/* vCPUs, lines, doorbells. */
	GH_CAUSE_NO_PROXY_VCPUS = 57,       /**< The hypervisor has no vCPUs that a VMM can run. */
	GH_CAUSE_MODULE_MISSING = 58,       /**< A module of the kernel's driver is missing. */
	GH_CAUSE_VCPU_NOT_IN_TREE = 59,     /**< The devicetree has no cpu for the vCPU. */
	GH_CAUSE_BELL_NOT_IN_TREE = 60,     /**< The devicetree has no doorbell for the line. */
	GH_CAUSE_REGISTER = 61,             /**< The hypervisor does not let this register be set. */
	GH_CAUSE_INTERRUPT_CONTROLLER = 62, /**< The interrupt controller could not be made as asked for. */
	GH_CAUSE_GOING_DOWN = 63,           /**< The VM is going down. */
	GH_CAUSE_UNDESCRIBED_ACCESS = 64,   /**< The guest's access is of a kind that the processor does not describe. */
};

/**
 * @brief Why a call failed, in words.
 *
 * Strings are terminated, never NULL, and empty where there is nothing to say. The text is for people: it may change from
 * release to release, the errno value and the cause's number may not. Where two causes are possible, the text has both, the
 * likelier first. While the error is 0, nothing else means anything.
 */
struct gh_failure {
	size_t size;       /**< Size of this structure in bytes; a caller's own one must have it set. */
	int error;         /**< Negative errno value, 0 when nothing has failed. */
	char step[40];     /**< What the library was doing: "map memory", "start the VM". */
	char request[48];  /**< Kernel request that refused, "VM_START (0x4703)"; empty if the library refused by itself. */
	char cause[256];   /**< Why, as far as can be told. */
	char remedy[256];  /**< What to do about it. */
	uint32_t cause_id; /**< The cause for programs: #gh_cause. */
	uint32_t other_cause_id; /**< A less likely one that is possible, too, or #GH_CAUSE_NONE. */
};

/** @brief Initial value of a caller's own #gh_failure. */
#define GH_FAILURE_INIT                                                                                                    \
	{                                                                                                                  \
		sizeof(struct gh_failure), 0, "", "", "", "", GH_CAUSE_NONE, GH_CAUSE_NONE                                 \
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

/**
 * @brief The name of a cause, for logs and scripts: "lock-limit", "vendor-dialect".
 *
 * @param[in] cause A #gh_cause, or any number.
 *
 * @return The name, small letters and dashes, which stays the same in later releases; "unknown" for a number that this
 *         release has no cause for. Constant.
 *
 * @mtany
 * @assafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API const char *gh_cause_name(uint32_t cause);

GH_END_DECLS

/** @} */
#endif
