/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * @brief What is here: hypervisors, their dialects, what they can do, and why one that is missing is missing.
 * @defgroup probe Probing
 * @{
 */
#ifndef GH_PROBE_H
#define GH_PROBE_H

#include "base.h"
#include "error.h"
#include "vm.h"

struct gh_probe;

/** @brief What a hypervisor can do; bits of gh_probe_entry::features and gh_vm_features(). */
enum gh_feature {
	GH_FEATURE_SHARE = 1 << 0,       /**< Memory that host and guest both use. */
	GH_FEATURE_LEND = 1 << 1,        /**< Memory that the host gives up while the guest has it. */
	GH_FEATURE_REGISTERS = 1 << 2,   /**< Boot registers can be set. */
	GH_FEATURE_IRQFD = 1 << 3,       /**< An eventfd can raise an interrupt. */
	GH_FEATURE_IRQFD_LEVEL = 1 << 4, /**< Such a line can be level-triggered for the guest. */
	/** A guest store can signal an eventfd without an exit. Without: emulated, see gh_ioevent_is_emulated(). */
	GH_FEATURE_IOEVENTFD = 1 << 5,
	/** The kernel can tell doorbells at one address apart by the stored value. Without: likewise. */
	GH_FEATURE_DATAMATCH = 1 << 6,
	GH_FEATURE_HYPERCALL = 1 << 7,   /**< Hypercalls of the guest can reach the VMM. */
	GH_FEATURE_MMIO_ABORT = 1 << 8,  /**< gh_mmio_fail(): an access can be answered with an abort. */
	GH_FEATURE_PAGE_FAULT = 1 << 9,  /**< Missing memory is reported as #GH_EXIT_PAGE_FAULT. */
	GH_FEATURE_LATE_VCPUS = 1 << 10, /**< vCPUs can be added after the start. */
	GH_FEATURE_NEEDS_DTB = 1 << 11,  /**< A VM cannot start without a devicetree. */
	/** The kernel tells when the guest acknowledges a level-triggered line. Without: emulated, see @ref irq. */
	GH_FEATURE_IRQFD_RESAMPLE = 1 << 12,
	/** The kernel takes the level of a line directly. Without: gh_irq_add() uses an irqfd, and emulates levels. */
	GH_FEATURE_IRQ_LINE = 1 << 13,
	GH_FEATURE_READ_ONLY_MEMORY = 1 << 14, /**< Memory without #GH_MEMORY_WRITE is really read-only for the guest. */
	/** The hypervisor can protect a VM from its host: gh_vm_set_firmware(), gh_vm_set_protected(). */
	GH_FEATURE_PROTECTED_VM = 1 << 15,
	GH_FEATURE_FIRMWARE = 1 << 16,          /**< Firmware of a protected VM can be given. */
	GH_FEATURE_RECLAIM = 1 << 17,           /**< Pages of one range can be taken back from a VM. */
	GH_FEATURE_GUEST_MEMORY = 1 << 18,      /**< The kernel makes files of memory for guests. */
	GH_FEATURE_UNMAP = 1 << 19,             /**< Memory can be removed from a VM. */
	GH_FEATURE_DEMAND_PAGING = 1 << 20,     /**< A page becomes the guest's when the guest touches it first. */
	GH_FEATURE_CONTIGUOUS_MEMORY = 1 << 21, /**< Contiguous memory that the kernel has set aside can be given. */
	GH_FEATURE_AUTHENTICATION = 1 << 22,    /**< How the hypervisor authenticates a VM can be chosen. */
	GH_FEATURE_CHECK_EXTENSION = 1 << 23,   /**< The kernel has a request that tells its extensions. */
	GH_FEATURE_TIMER_WAKEUP = 1 << 24,      /**< The kernel wakes a sleeping vCPU for its timer. */
	GH_FEATURE_LATE_MEMORY = 1 << 25,       /**< gh_vm_map() works after the start, too. */
	GH_FEATURE_BARE_PROTECTION = 1 << 26,   /**< A VM can be protected without firmware: gh_vm_set_protected(). */
};

/**
 * @brief What a kernel does differently, so that the library has to do something about it; bits of gh_probe_entry::quirks
 * and gh_vm_quirks().
 */
enum gh_quirk {
	/** Removing a doorbell removes all doorbells of its address: the others are added again. */
	GH_QUIRK_REMOVES_BY_ADDRESS = 1 << 0,
	/** A signal destroys the value of a load that is on its way into the guest: kicks wait for it. */
	GH_QUIRK_FRAGILE_ANSWER = 1 << 1,
	/** A second line for an eventfd is refused: so does the library, with a reason. */
	GH_QUIRK_ONE_LINE_PER_EVENTFD = 1 << 2,
	/** An eventfd that was signalled before it is connected to a line raises nothing: it is signalled again. */
	GH_QUIRK_MISSES_EARLY_SIGNAL = 1 << 3,
	/** A doorbell without a value takes stores of any width, and allows no other at its address: the library serves them. */
	GH_QUIRK_DOORBELLS_IGNORE_WIDTH = 1 << 4,
	/** The kernel itself locks memory, against the limit of the process: the library does not lock it once more. */
	GH_QUIRK_LOCKS_MEMORY = 1 << 5,
	/** A page that ages before the guest touches it can break the host: memory is locked if the limit allows it. */
	GH_QUIRK_MEMORY_MUST_STAY = 1 << 6,
	/** A line that never worked breaks the host when its eventfd outlives it: the eventfd is closed before. */
	GH_QUIRK_EVENTFD_GOES_FIRST = 1 << 7,
	/** The hypervisor writes the memory node of the devicetree itself, and refuses others. */
	GH_QUIRK_WRITES_MEMORY_NODE = 1 << 8,
	/** Lines, doorbells and vCPUs are added by name: the library calls them by name. */
	GH_QUIRK_NAMED_FUNCTIONS = 1 << 9,
	/**
	 * No line, doorbell or vCPU can be removed: doorbells are served by the library, a line stays connected to an eventfd
	 * until that is closed everywhere, and takes no other one.
	 */
	GH_QUIRK_KEEPS_FUNCTIONS = 1 << 10,
	/**
	 * Nobody is told that a VM has ended, nor how: its vCPUs sleep. The library asks when a run is interrupted, and says
	 * #GH_STOP_OTHER; a kernel that does not know either gives #GH_EXIT_INTERRUPTED. Let the guest say good-bye with a
	 * store, or kick and close.
	 */
	GH_QUIRK_NO_END_EXIT = 1 << 11,
	/** Memory is lent by a flag, not by a request of its own: the library sets it. */
	GH_QUIRK_LENDS_BY_FLAG = 1 << 12,
	/** All values that are not 0 ring a doorbell with a value: the library serves those. */
	GH_QUIRK_COARSE_DATAMATCH = 1 << 13,
	/**
	 * Memory must be of files that the kernel makes, and lent memory may not be mapped in the host: the library makes it,
	 * and gives it up at the start. Callers' mappings and files are refused.
	 */
	GH_QUIRK_OWN_FILES_ONLY = 1 << 14,
	/** The devicetree must place each region but the first by an "shm" vdevice: the library writes and checks it. */
	GH_QUIRK_NEEDS_SHM_NODES = 1 << 15,
	/** Such vdevices must be left out, or be optional: the library does not write them, and checks. */
	GH_QUIRK_OPTIONAL_SHM_NODES = 1 << 16,
	/** The kernel has no request for the devicetree's address: the guest is told in x0 alone. */
	GH_QUIRK_NO_DTB_REQUEST = 1 << 17,
	/**
	 * Page faults and page releases that the kernel has handled itself still stand in the run buffer after an interruption:
	 * such exits are not delivered.
	 */
	GH_QUIRK_SHOWS_HANDLED_EXITS = 1 << 18,
	/** Likewise exceptions with details of the hypervisor's, which the kernel takes for handled. */
	GH_QUIRK_SHOWS_HANDLED_EXCEPTIONS = 1 << 19,
	/** Likewise the guest's question for the time: its answer stands in place of the function. */
	GH_QUIRK_SHOWS_ANSWERED_TIME = 1 << 20,
	/** The kernel does not say where a page fault was: gh_exit_fault::gpa is UINT64_MAX. */
	GH_QUIRK_NO_FAULT_ADDRESS = 1 << 21,
	/**
	 * What a protected VM is made of is said when it is made and given memory: the library makes it anew when it is said
	 * later.
	 */
	GH_QUIRK_PROTECTED_AT_BIRTH = 1 << 22,
};

/** @brief Why a hypervisor cannot be used, for programs; gh_probe_entry::failure has it in words. */
enum gh_missing {
	GH_MISSING_NOTHING = 0,    /**< It can be used. */
	GH_MISSING_NODE = 1,       /**< There is no device node. */
	GH_MISSING_DRIVER = 2,     /**< There is a node without a driver. */
	GH_MISSING_PERMISSION = 3, /**< The node's mode does not let this process open it. */
	GH_MISSING_POLICY = 4,     /**< SELinux, or a container's rules, do not let this process open it. */
	GH_MISSING_RESOURCE = 5,   /**< This process or the kernel is out of memory or of descriptors. */
	GH_MISSING_RELATION = 6,   /**< The device is not one of this hypervisor. */
	GH_MISSING_DIALECT = 7,    /**< The device speaks a form of the interface that libgh does not. */
	GH_MISSING_FEATURE =
		8,            /**< The options want a feature that there is no code for, or rule out one that is needed. */
	GH_MISSING_OTHER = 9, /**< Any other refusal of the kernel. */
};

/** @brief One hypervisor that was looked for. Belongs to its #gh_probe; grows only at its end. */
struct gh_probe_entry {
	const char *backend;       /**< "gunyah", "geniezone", "halla", "kvm". */
	const char *device;        /**< Path that was tried. */
	const char *dialect;       /**< Which form of its interface the device speaks, in words; "" if that is not known. */
	uint32_t usable;           /**< 1 if gh_vm_open() would use it. */
	uint32_t max_vcpus;        /**< vCPUs that a VM can have at most. */
	uint32_t max_regions;      /**< Regions of memory that a VM can have at most. */
	uint32_t gpa_bits;         /**< Guest physical addresses are below 2 to the power of this. */
	uint64_t gpa_align;        /**< What addresses of regions must be a multiple of, in bytes. */
	uint64_t features;         /**< An or of #gh_feature. */
	struct gh_failure failure; /**< Why it cannot be used; its error is 0 if it can. */
	uint64_t quirks;           /**< An or of #gh_quirk. */
	uint32_t missing;          /**< One of #gh_missing. */
	uint32_t max_lines;        /**< Interrupt lines are below this. */
	uint64_t mmio_end;         /**< Accesses from this guest address on are not reported as exits; 0: all are. */
	/**
	 * Memory that this process may lock (RLIMIT_MEMLOCK), in bytes; UINT64_MAX: no limit, or none for a process with its
	 * privileges. With #GH_QUIRK_LOCKS_MEMORY no VM can have more.
	 */
	uint64_t lock_limit;
	struct gh_failure
		caution; /**< What will fail although it can be used: a limit too low. Its error is 0 if nothing. */
};

GH_BEGIN_DECLS

/**
 * @brief Look which hypervisors there are.
 *
 * Harmless: makes at most throw-away VMs that never run.
 *
 * @param[in] options    As for gh_vm_open(): a backend, a device or an adopted descriptor limit the search. NULL: all.
 * @param[out] ret_probe Receives the answers; left untouched on failure. Free it with gh_probe_free(). A hypervisor that is
 *                       missing is an answer, not a failure.
 *
 * @retval 0       Done.
 * @retval -EINVAL As gh_vm_open().
 * @retval -ENOMEM Out of memory.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * open(), close(); Gunyah: GH_CREATE_VM, GUNYAH_CREATE_GUEST_MEM with flags that there are not, each request of a VM with a
 * NULL argument, GH_VM_ANDROID_CHECK_EXTENSION; where that leaves a doubt, GH_VM_SET_USER_MEM_REGION with a page that nobody
 * may read, and GH_VM_ADD_FUNCTION for two doorbells, with eventfd(), mmap() and munmap(); GenieZone: GZVM_CHECK_EXTENSION,
 * GZVM_CREATE_VM, then GZVM_IRQFD, GZVM_SET_USER_MEMORY_REGION and GZVM_SET_DTB_CONFIG so that they are refused,
 * GZVM_IOEVENTFD, and with old kernels GZVM_CREATE_VCPU and GZVM_GET_ONE_REG; Halla: the same with its numbers; KVM:
 * KVM_GET_API_VERSION, KVM_CHECK_EXTENSION. For the reasons, files are read: /proc/misc, /proc/self/status, /proc/self/attr/current.
 * @since 0.1
 */
GH_API int gh_probe(const struct gh_vm_options *options, struct gh_probe **ret_probe);

/**
 * @brief Number of hypervisors that were looked for.
 * @param[in] probe Answers, or NULL.
 * @return Their number.
 *
 * @mtany
 * @assafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API unsigned int gh_probe_count(const struct gh_probe *probe);

/**
 * @brief One answer.
 * @param[in] probe Answers.
 * @param[in] index Which one, from 0, in the order in which gh_vm_open() tries them.
 * @return The answer, owned by @p probe; NULL if there is none of that index.
 *
 * @mtany
 * @assafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API const struct gh_probe_entry *gh_probe_get(const struct gh_probe *probe, unsigned int index);

/**
 * @brief Free the answers.
 * @param[in] probe Answers, or NULL.
 *
 * @mtobject
 * @asunsafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API void gh_probe_free(struct gh_probe *probe);

/**
 * @brief Name of a reason, for scripts.
 * @param[in] missing One of #gh_missing.
 * @return A lower-case word, for example "node", constant; "nothing" for #GH_MISSING_NOTHING; NULL if there is no such reason.
 *
 * @mtany
 * @assafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API const char *gh_missing_name(uint32_t missing);

/**
 * @brief Name of a feature, for people and for options.
 * @param[in] feature One bit of #gh_feature.
 * @return Lower-case letters and dashes, for example "irqfd-level", constant; NULL if that is not exactly one known bit.
 *
 * @mtany
 * @assafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API const char *gh_feature_name(uint64_t feature);

/**
 * @brief Feature of a name.
 * @param[in] name As gh_feature_name() writes it.
 * @return Its bit of #gh_feature; 0 if there is none of that name, or @p name is NULL.
 *
 * @mtany
 * @assafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API uint64_t gh_feature_by_name(const char *name);

/**
 * @brief Name of a quirk, for people and for options.
 * @param[in] quirk One bit of #gh_quirk.
 * @return Lower-case letters and dashes, for example "fragile-answer", constant; NULL if that is not exactly one known bit.
 *
 * @mtany
 * @assafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API const char *gh_quirk_name(uint64_t quirk);

/**
 * @brief Quirk of a name.
 * @param[in] name As gh_quirk_name() writes it.
 * @return Its bit of #gh_quirk; 0 if there is none of that name, or @p name is NULL.
 *
 * @mtany
 * @assafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API uint64_t gh_quirk_by_name(const char *name);

GH_END_DECLS

/** @} */
#endif
