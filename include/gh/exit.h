/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * @brief Exits: why a guest stopped running, in words that are the same on every hypervisor.
 * @defgroup exit Exits
 * @{
 */
#ifndef GH_EXIT_H
#define GH_EXIT_H

#include "base.h"

/** @brief Kinds of exits, in gh_exit::kind. */
enum gh_exit_kind {
	/** An exit that this version of libgh does not know; gh_exit::raw_reason has the kernel's code. */
	GH_EXIT_UNKNOWN = 0,
	/** The guest loads from, or stores to, an address without memory: gh_exit::mmio. */
	GH_EXIT_MMIO = 1,
	/** The VM is over: gh_exit::stop. Every vCPU gets it, once and for ever. */
	GH_EXIT_STOPPED = 2,
	/**
	 * The guest touched memory that the kernel could not provide: gh_exit::fault. gh_vcpu_run() tries the access again, as
	 * often as one likes. No kernel takes another answer: gh_mmio_fail() says -EOPNOTSUPP.
	 */
	GH_EXIT_PAGE_FAULT = 3,
	/** The guest called the VMM: gh_exit::hypercall. */
	GH_EXIT_HYPERCALL = 4,
	/** The hypervisor gives up on an exception of the guest: gh_exit::exception. */
	GH_EXIT_EXCEPTION = 5,
	/** An event that is not the end of the VM, such as a suspend request: gh_exit::event. */
	GH_EXIT_SYSTEM_EVENT = 6,
	/** A kick or a signal ended the call, possibly before the guest ran a single instruction. */
	GH_EXIT_INTERRUPTED = 7,
};

/** @brief Why a VM stopped, in gh_exit_stop::cause. */
enum gh_stop_cause {
	/** Not one of the causes below: see the raw fields of #gh_exit_stop. */
	GH_STOP_OTHER = 0,
	/** The guest switched itself off (PSCI SYSTEM_OFF), or the hypervisor ended it in an orderly way. */
	GH_STOP_POWER_OFF = 1,
	/** The guest asks to be started again (PSCI SYSTEM_RESET or SYSTEM_RESET2). */
	GH_STOP_RESET = 2,
	/** The guest or its hypervisor failed. */
	GH_STOP_CRASH = 3,
	/** The guest's watchdog was not served. */
	GH_STOP_WATCHDOG = 4,
	/** The hypervisor could not load or enter the guest. */
	GH_STOP_LOAD_FAILED = 5,
};

/** @brief A guest load or store. */
struct gh_exit_mmio {
	uint64_t gpa;      /**< Guest physical address in bytes. */
	uint64_t value;    /**< What is stored, zero-extended, in host byte order; 0 for a load. */
	uint32_t width;    /**< 1, 2, 4 or 8 bytes. */
	uint32_t is_store; /**< 1 for a store, 0 for a load, which gh_mmio_complete() must answer. */
};

/** @brief The end of a VM. */
struct gh_exit_stop {
	uint32_t cause;       /**< One of #gh_stop_cause. */
	uint32_t raw_status;  /**< Kernel's status: Gunyah's VM status, GenieZone's and KVM's exit reason. */
	uint32_t raw_type;    /**< Kernel's type: Gunyah's exit type, GenieZone's and KVM's system event. */
	uint32_t reason_size; /**< Bytes of @c reason that are valid, at most 8, whatever the kernel said. */
	uint8_t reason[8];    /**< Gunyah's exit reason as the kernel gave it, little-endian. */
};

/**
 * @brief Memory that the kernel could not provide.
 *
 * Gunyah's errors: -ENOMEM, no page to be had or none that may be locked, which can pass; -ENOENT, no memory was mapped there;
 * -EPERM, the guest lacks the access, or the host still has a page mapped that it has lent; -EACCES and -EINVAL, the
 * hypervisor refused.
 */
struct gh_exit_fault {
	uint64_t gpa;      /**< Guest physical address in bytes; UINT64_MAX if the kernel does not say. */
	int32_t error;     /**< Negative errno value of the kernel's attempt, 0 if it does not say. */
	uint32_t reserved; /**< 0. */
};

/** @brief A call from the guest, in SMC calling convention. */
struct gh_exit_hypercall {
	uint64_t args[8]; /**< x0 (the function) to x7. */
};

/** @brief An exception that the hypervisor does not handle. */
struct gh_exit_exception {
	uint32_t exception;  /**< Kernel's number of the exception. */
	uint32_t error_code; /**< Kernel's error code. */
	uint64_t gpa;        /**< Guest physical address, 0 if the kernel does not say. */
};

/** @brief An event for the VMM that does not end the VM. */
struct gh_exit_event {
	uint32_t type;     /**< Kernel's number of the event. */
	uint32_t count;    /**< Words of @c data that are valid, at most 16, whatever the kernel said. */
	uint64_t data[16]; /**< What came with it. */
};

/**
 * @brief One exit of one vCPU.
 *
 * Belongs to the vCPU. Read it by pointer, do not copy it by value: it may grow at its end.
 */
struct gh_exit {
	uint32_t kind;       /**< One of #gh_exit_kind; tolerate kinds that are not listed. */
	uint32_t raw_reason; /**< The kernel's own exit reason. */
	/** What belongs to the kind. */
	union {
		struct gh_exit_mmio mmio;           /**< Of #GH_EXIT_MMIO. */
		struct gh_exit_stop stop;           /**< Of #GH_EXIT_STOPPED. */
		struct gh_exit_fault fault;         /**< Of #GH_EXIT_PAGE_FAULT. */
		struct gh_exit_hypercall hypercall; /**< Of #GH_EXIT_HYPERCALL. */
		struct gh_exit_exception exception; /**< Of #GH_EXIT_EXCEPTION. */
		struct gh_exit_event event;         /**< Of #GH_EXIT_SYSTEM_EVENT. */
		uint64_t reserved[32];              /**< Room for kinds to come. */
	};
};

GH_BEGIN_DECLS

/**
 * @brief The name of a kind of exit.
 *
 * @param[in] kind One of #gh_exit_kind, or any other number.
 * @return A constant string such as "mmio" or "stopped"; "unknown" for a number without a name.
 *
 * @mtany
 * @assafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API const char *gh_exit_name(uint32_t kind);

/**
 * @brief The name of a cause of a VM's end.
 *
 * @param[in] cause One of #gh_stop_cause, or any other number.
 * @return A constant string such as "power-off" or "reset"; "other" for a number without a name.
 *
 * @mtany
 * @assafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API const char *gh_stop_name(uint32_t cause);

GH_END_DECLS

/** @} */
#endif
