/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * @brief What a running VM asks of the kernel, for a sandbox to be built from.
 * @defgroup sandbox Sandboxes
 *
 * A VMM that guests may attack opens and starts its VM, then gives up what it does not need any more, and only then runs the
 * guest. What it still needs gh_vm_syscall() says call by call: for this VM, on this kernel's revision of its hypervisor's
 * interface, on this processor. A filter for seccomp is a loop over it (`examples/sandbox.c`).
 *
 * * The list holds what the library does, and what the C library and the kernel do on its behalf (locks, memory, threads,
 *   signals). What else the VMM's own devices and threads do it adds itself, at least exit_group().
 * * It is one of allowed calls: whatever is not on it may be refused, or end the process. Calls with a gh_syscall::refusal are
 *   better refused than allowed; the library does without them.
 * * A call may be on it several times, with different values of an argument, for different phases.
 * * A VM on a simulated device has the list of the real device. The simulated kernel is part of the process, and makes calls
 *   of its own.
 *
 * The phases begin after gh_vm_start(). Opening, configuring, starting and gh_vm_reset(), which does all three, need the device
 * and more, and are done before or not at all. A filter belongs to a thread and those that it makes; the library has threads of
 * its own since gh_vm_start(), so it must be put on all threads at once (`SECCOMP_FILTER_FLAG_TSYNC`).
 * @{
 */
#ifndef GH_SANDBOX_H
#define GH_SANDBOX_H

#include "base.h"

/** @brief Bits of gh_syscall::phases: what is done when a call is needed. */
enum gh_phase {
	/**
	 * Running: gh_vcpu_run(), gh_vcpu_loop(), and gh_vm_run() apart from its threads' beginning and end; answers, kicks,
	 * gh_vm_pause(), gh_vm_resume(), gh_vm_quit(), dispatching on the bus, setting and raising lines that are there.
	 */
	GH_PHASE_RUN = 1 << 0,
	/**
	 * Changing a VM that runs: adding and removing lines, irqfds, doorbells, ranges of the bus and its other settings;
	 * where the hypervisor can, mapping, unmapping and reclaiming memory, and adding vCPUs. The first line that is emulated
	 * (gh_irqfd_is_emulated(), gh_irq_is_emulated()) makes a thread.
	 */
	GH_PHASE_CHANGE = 1 << 1,
	/** Making threads: gh_vm_run() has one for each vCPU. Not needed where threads exist before, or run gh_vcpu_loop(). */
	GH_PHASE_THREADS = 1 << 2,
	/** Ending: threads of the library end, gh_vm_run() returns, and gh_vm_close(). */
	GH_PHASE_END = 1 << 3,
};

/**
 * @brief One call.
 *
 * It is this one if the call's number is @ref number and, of the argument's lower 32 bits, (@ref argument & @ref mask) ==
 * @ref value.
 */
struct gh_syscall {
	size_t size;         /**< Size of this structure in bytes, to be set by the caller. */
	const char *name;    /**< Of the call, "ioctl". The strings are the library's, and stay. */
	const char *request; /**< What the argument asks for, "KVM_RUN"; empty if no argument matters. */
	const char *reason;  /**< What for. */
	uint32_t number;     /**< Of the call on this processor, as in `<sys/syscall.h>`. */
	uint32_t phases;     /**< An or of #gh_phase. */
	uint32_t argument;   /**< Which of the six matters, counted from 0. */
	uint32_t mask;       /**< Which bits of it; 0: any value will do. */
	uint32_t value;      /**< What these bits must be. */
	/**
	 * 0: the VM needs it. Otherwise the library, or the C library, does without it if the kernel answers with this errno
	 * value (EPERM: positive), in a way that the reason names. A filter that would end the process must not do so here.
	 */
	uint32_t refusal;
};

/** @brief Initial value of #gh_syscall. */
#define GH_SYSCALL_INIT                                                                                                    \
	{                                                                                                                  \
		sizeof(struct gh_syscall), NULL, NULL, NULL, 0, 0, 0, 0, 0, 0                                              \
	}

GH_BEGIN_DECLS

/**
 * @brief A system call that the VM may make after its start.
 *
 * The list of a VM does not change while the VM is open. It is made without a word to the kernel.
 *
 * @param[in] vm           VM in any state.
 * @param[in] index        Which of them, counted from 0.
 * @param[in,out] ret_call Receives it, its size being set; left untouched on failure.
 *
 * @retval 0       Done.
 * @retval -ENOENT The list has no such entry: it is over.
 * @retval -EINVAL @p vm or @p ret_call is NULL, or the structure is too short.
 *
 * @mtany
 * @assafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API int gh_vm_syscall(const struct gh_vm *vm, uint32_t index, struct gh_syscall *ret_call);

GH_END_DECLS

/** @} */
#endif
