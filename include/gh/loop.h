/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * @brief Ready-made loops: one vCPU, or a whole VM with a thread for each vCPU; pause, resume, the end.
 * @defgroup loop Loops
 * @{
 */
#ifndef GH_LOOP_H
#define GH_LOOP_H

#include "base.h"
#include "exit.h"

/** @brief What gh_loop_options::exit says of an exit. */
enum gh_loop_verdict {
	GH_LOOP_CONTINUE = 0, /**< Done; a load has been answered. */
	/** The load will be answered by gh_mmio_complete() or gh_bus_dispatch(), now or later, on any thread. */
	GH_LOOP_DEFER = 1,
	GH_LOOP_LEAVE = 2, /**< Leave the loop. */
};

/** @brief What a loop does with exits, and with its threads. */
struct gh_loop_options {
	/** Size of this structure in bytes. */
	size_t size;
	/**
	 * Called on the vCPU's thread, without a lock of the library, for every exit but #GH_EXIT_STOPPED and accesses that the
	 * bus takes (gh/bus.h). Returns one of #gh_loop_verdict, or a negative errno value that ends the loop and becomes its
	 * result. NULL: accesses that nobody takes read gh_bus_unmatched_options::value and store nothing, hypercalls return
	 * "not supported", an interruption is no reason to do anything, a page fault for want of memory is tried again for
	 * about a second, and any other exit ends the loop with -EOPNOTSUPP.
	 */
	int (*exit)(void *data, struct gh_vcpu *vcpu, const struct gh_exit *exit);
	/**
	 * Called once on each thread that gh_vm_run() makes, before its vCPU runs: for affinity, priority, a name of one's own.
	 * A negative errno value ends gh_vm_run(). NULL: nothing.
	 */
	int (*thread_begins)(void *data, struct gh_vcpu *vcpu);
	/** First argument of both. */
	void *data;
};

/** @brief Initial value of #gh_loop_options. */
#define GH_LOOP_OPTIONS_INIT                                                                                               \
	{                                                                                                                  \
		sizeof(struct gh_loop_options), NULL, NULL, NULL                                                           \
	}

GH_BEGIN_DECLS

/**
 * @brief Run one vCPU until the VM stops.
 *
 * @param[in] vcpu    vCPU of a started VM.
 * @param[in] options What to do with exits; not needed after the call.
 *
 * @return The cause of the VM's end (one of #gh_stop_cause), or a negative errno value:
 * @retval -EINVAL    An argument is NULL, the structure has an unknown tail, or the exit function or a handler of the bus
 *                    returned a positive number which is no verdict.
 * @retval -EOPNOTSUPP There is no exit function for an exit that needs one, or as gh_bus_dispatch().
 * @retval -ECANCELED The exit function left the loop, or gh_vm_quit() was called.
 * @retval -EFAULT    There is no exit function, and the guest used an address for which the kernel has no memory.
 * @retval -ENOMEM    Likewise, and there was no page for it for too long.
 * @return Otherwise what gh_vcpu_run(), gh_bus_dispatch() or the exit function returned. gh_vcpu_failure() has the reason,
 *         unless it was the exit function's.
 *
 * @mtobject
 * @asunsafe
 * @par Kernel requests
 * Those of gh_vcpu_run() and gh_bus_dispatch(); ppoll() and read() while a load waits for its answer.
 * @since 0.1
 */
GH_API int gh_vcpu_loop(struct gh_vcpu *vcpu, const struct gh_loop_options *options);

/**
 * @brief Run a whole VM: a thread for each vCPU, until the VM stops.
 *
 * The threads are named "vcpu0", "vcpu1", ... and block every signal but the kick signal. When one of them fails or leaves,
 * the others are made to leave, too. The call returns when all threads have been joined. Unless the VM has stopped or
 * gh_vm_quit() was called it may be called again, and the guest goes on; each vCPU may then be interrupted once without a
 * kick.
 *
 * @param[in] vm      Started VM. No vCPUs may be created meanwhile.
 * @param[in] options What to do with exits and threads; not needed after the call.
 *
 * @return The cause of the VM's end (one of #gh_stop_cause), or a negative errno value:
 * @retval -EINVAL    As gh_vcpu_loop().
 * @retval -EOPNOTSUPP As gh_vcpu_loop().
 * @retval -EBUSY     The VM has not been started.
 * @retval -EPERM     This is a forked child, or another thread is in this call or runs one of the vCPUs.
 * @retval -ECANCELED The exit function left the loop, or gh_vm_quit() was called.
 * @retval -EAGAIN    The system has no room for another thread.
 * @retval -ENOMEM    Out of memory.
 * @return Otherwise the first error of a vCPU. gh_vm_failure() has the reason, unless it was the exit
 *         function's.
 *
 * @mtobject
 * @asunsafe
 * @par Kernel requests
 * Those of gh_vcpu_loop(); clone(), rt_sigprocmask(), futex() of the threads.
 * @since 0.1
 */
GH_API int gh_vm_run(struct gh_vm *vm, const struct gh_loop_options *options);

/**
 * @brief Make every gh_vcpu_loop() of a VM return, and gh_vm_run() with them.
 *
 * For good: loops that begin later return at once, until gh_vm_reset(). The guest does not notice; close or reset the VM then.
 *
 * @param[in] vm VM.
 * @retval 0       Done; the loops return as soon as their vCPUs come out of the guest.
 * @retval -EINVAL @p vm is NULL.
 * @retval -EPERM  This is a forked child.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * tgkill() or write() for each vCPU.
 * @since 0.1
 */
GH_API int gh_vm_quit(struct gh_vm *vm);

/**
 * @brief Stop all vCPUs of a VM until gh_vm_resume().
 *
 * When it returns no vCPU is in the guest; gh_vcpu_run() waits, and still returns for kicks and for the VM's end. Handlers of
 * exits that were delivered before may still run. On a vCPU's thread, between its exits, it pauses the others and the own
 * one's next run. Calls nest: each needs its gh_vm_resume().
 *
 * A vCPU that is inside may deliver one #GH_EXIT_INTERRUPTED without a kick.
 *
 * @param[in] vm Started VM.
 * @retval 0       Done.
 * @retval -EINVAL @p vm is NULL.
 * @retval -EBUSY  The VM has not been started.
 * @retval -EPERM  This is a forked child.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * tgkill() for each vCPU; ppoll() while one is still inside.
 * @since 0.1
 */
GH_API int gh_vm_pause(struct gh_vm *vm);

/**
 * @brief Take one gh_vm_pause() back.
 * @param[in] vm Paused VM.
 * @retval 0       Done.
 * @retval -EINVAL @p vm is NULL.
 * @retval -EBUSY  The VM is not paused.
 * @retval -EPERM  This is a forked child.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * write() for each vCPU.
 * @since 0.1
 */
GH_API int gh_vm_resume(struct gh_vm *vm);

/**
 * @brief A descriptor that becomes readable when the VM stops.
 *
 * For poll loops beside the vCPUs' threads. Do not read from it and do not close it.
 *
 * @param[in] vm VM.
 * @return The descriptor, valid until the VM is closed; -1 if @p vm is NULL.
 *
 * @mtany
 * @assafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API int gh_vm_end_fd(const struct gh_vm *vm);

GH_END_DECLS

/** @} */
#endif
