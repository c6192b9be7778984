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
};

/** @brief One hypervisor that was looked for. Belongs to its #gh_probe; grows only at its end. */
struct gh_probe_entry {
	const char *backend;       /**< "gunyah", "geniezone", "kvm". */
	const char *device;        /**< Path that was tried. */
	const char *dialect;       /**< Which form of its interface the device speaks, in words; "" if there is none. */
	uint32_t usable;           /**< 1 if gh_vm_open() would use it. */
	uint32_t max_vcpus;        /**< vCPUs that a VM can have at most. */
	uint32_t max_regions;      /**< Regions of memory that a VM can have at most. */
	uint32_t gpa_bits;         /**< Guest physical addresses are below 2 to the power of this. */
	uint64_t gpa_align;        /**< What addresses of regions must be a multiple of, in bytes. */
	uint64_t features;         /**< An or of #gh_feature. */
	struct gh_failure failure; /**< Why it cannot be used; its error is 0 if it can. */
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
 * open(), close(); Gunyah: GH_CREATE_VM, then GH_VM_ADD_FUNCTION, GH_VM_SET_USER_MEM_REGION and
 * GH_VM_ANDROID_LEND_USER_MEM with a NULL argument; GenieZone: GZVM_CHECK_EXTENSION; KVM: KVM_GET_API_VERSION,
 * KVM_CHECK_EXTENSION.
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

GH_END_DECLS

/** @} */
#endif
