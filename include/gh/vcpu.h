/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * @brief vCPUs: run one, answer what the guest asked for, interrupt it.
 * @defgroup vcpu vCPUs
 * @{
 */
#ifndef GH_VCPU_H
#define GH_VCPU_H

#include "base.h"
#include "error.h"
#include "exit.h"

GH_BEGIN_DECLS

/**
 * @brief Make a vCPU.
 *
 * The vCPU belongs to the VM and goes with it. vCPU 0 boots the guest; the others wait, inside gh_vcpu_run(), until the guest
 * switches them on (PSCI CPU_ON). On Gunyah, vCPU n is the n-th cpu node of the devicetree, those that
 * have failed not counted.
 *
 * The first vCPU of a process claims the kick signal (gh_vm_options::kick_signal) by installing a handler for it.
 *
 * @param[in] vm        VM that has not been started, or one with #GH_FEATURE_LATE_VCPUS.
 * @param[in] id        Its number, from 0.
 * @param[out] ret_vcpu Receives the vCPU; left untouched on failure.
 *
 * @retval 0       Done.
 * @retval -EINVAL An argument is NULL; on a started Gunyah VM, the devicetree has no cpu node for it.
 * @retval -ERANGE The hypervisor has no vCPU of that number.
 * @retval -EEXIST The VM has a vCPU of that number.
 * @retval -EBUSY  The VM has been started and cannot take more; or somebody else in the process has a handler for the kick
 *                 signal: choose another one.
 * @retval -EPERM  This is a forked child.
 * @retval -ENOMEM Out of memory.
 * @return Otherwise the errno of the kernel.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * sigaction(); after the start GH_VM_ADD_FUNCTION, GH_VCPU_MMAP_SIZE and mmap(), before it none (gh_vm_start()).
 * @since 0.1
 */
GH_API int gh_vcpu_create(struct gh_vm *vm, uint32_t id, struct gh_vcpu **ret_vcpu);

/**
 * @brief The number of a vCPU.
 * @param[in] vcpu vCPU.
 * @return Its number; UINT32_MAX if @p vcpu is NULL.
 *
 * @mtany
 * @assafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API uint32_t gh_vcpu_id(const struct gh_vcpu *vcpu);

/**
 * @brief Enter the guest on one vCPU and come back with its next exit.
 *
 * Blocks the calling thread until the guest needs its VMM. One call yields one exit; it emulates nothing.
 *
 * A load (#GH_EXIT_MMIO with gh_exit_mmio::is_store 0) must be answered with gh_mmio_complete() before the next call. A
 * hypercall may be answered with gh_hypercall_complete(); left alone, it returns "not supported" (-1) to the guest.
 *
 * Being interrupted is an exit, not an error: gh_vcpu_kick(), or a signal that the thread does not block, gives
 * #GH_EXIT_INTERRUPTED. An exit that the kernel had ready at the same time is delivered first; a kick then interrupts the
 * next call, so that neither is lost, while of a signal only its handler has run. -EINTR is never returned. An interruption
 * does not touch a load that waits for its answer. Kicks do not touch an answer that is on its way either; on Gunyah a
 * signal of the VMM's own can destroy it (hazard H1: the guest reads 0), so vCPU threads should block all signals but the
 * kick signal, as those of gh_vm_run() do.
 *
 * A vCPU that the guest has not switched on yet, or has switched off, stays inside until it is on, is interrupted, or the VM has
 * stopped. After that every vCPU gets #GH_EXIT_STOPPED, at once and for ever; vCPUs that are inside are woken for it.
 *
 * @param[in] vcpu      vCPU of a started VM. Any thread may run it, one at a time.
 * @param[out] ret_exit Receives the exit; left untouched on failure. Owned by the vCPU, valid until its next gh_vcpu_run()
 *                      or the VM's end.
 *
 * @retval 0       There is an exit.
 * @retval -EINVAL An argument is NULL.
 * @retval -EBUSY  The VM has not been started; or a load waits for its answer; or (Gunyah, GenieZone) the hypervisor has
 *                 been busy for a second, in which case the call may be repeated.
 * @retval -EPERM  Another thread is inside or has the vCPU in gh_vcpu_loop() or gh_vm_run(), or this is a forked child.
 * @retval -EPROTO The kernel reported something that breaks its own interface.
 * @return Otherwise the errno of the kernel. gh_vcpu_failure() has the reason.
 *
 * @mtobject
 * A second thread gets -EPERM. Different vCPUs run at the same time. gh_vcpu_kick() and everything that belongs to the VM,
 * except gh_vm_close(), may be called meanwhile.
 * @asunsafe
 * Block the VMM's own signals in vCPU threads, as gh_vm_run() does, and kick instead. A handler that was installed with
 * SA_RESTART, a stop (SIGSTOP), a debugger and io_uring on the thread make the kernels run again by themselves and lose an
 * exit (hazard H2 of the Gunyah UAPI document, section 3.4 of the GenieZone UAPI document). On Gunyah any signal but a kick
 * can destroy a load's answer that is on its way into the guest, which then reads 0 (hazard H1).
 * @par Kernel requests
 * GH_VCPU_RUN, GZVM_RUN or KVM_RUN; rt_sigprocmask() and gettid() when another thread ran the vCPU before; after a kick
 * gettid(), sched_yield() and ppoll(); ppoll() between attempts.
 * @par After fork()
 * -EPERM in the child. Do not fork while a VM runs (section 9 of the GenieZone UAPI document).
 * @since 0.1
 */
GH_API int gh_vcpu_run(struct gh_vcpu *vcpu, const struct gh_exit **ret_exit);

/**
 * @brief Answer the load that the last exit reported.
 *
 * The value reaches the guest with the next gh_vcpu_run().
 *
 * @param[in] vcpu  vCPU whose last exit was a load.
 * @param[in] value What the guest reads, in host byte order; cut to the width of the load. Sign extension is the
 *                  hypervisor's business.
 *
 * @retval 0          Done.
 * @retval -EINVAL    @p vcpu is NULL.
 * @retval -EBUSY     No load waits for an answer: the last exit was something else, or has been answered.
 * @retval -ESHUTDOWN The VM has stopped since.
 * @retval -EPERM     This is a forked child.
 *
 * @mtobject
 * Any thread, also another one than that which runs the vCPU, as long as no thread runs it meanwhile; gh_vcpu_loop() and
 * gh_vm_run() wait for it when their handler has deferred the load.
 * @asunsafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API int gh_mmio_complete(struct gh_vcpu *vcpu, uint64_t value);

/**
 * @brief Refuse the access that the last exit reported: the guest takes an abort.
 *
 * @param[in] vcpu vCPU whose last exit was a load that has not been answered, or a store, and that has not run since.
 *
 * @retval 0           Done.
 * @retval -EINVAL     @p vcpu is NULL.
 * @retval -EBUSY      The last exit was not an access, or has been answered, or the vCPU runs on.
 * @retval -EOPNOTSUPP The kernel cannot (no #GH_FEATURE_MMIO_ABORT), and a load still waits for its answer; or the last exit
 *                     was a page fault, which can only be tried again.
 * @retval -ESHUTDOWN  The VM has stopped since.
 * @retval -EPERM      This is a forked child.
 * @return Otherwise the errno of the kernel.
 *
 * @mtobject
 * @asunsafe
 * @par Kernel requests
 * KVM_SET_VCPU_EVENTS; none on Gunyah and GenieZone.
 * @since 0.1
 */
GH_API int gh_mmio_fail(struct gh_vcpu *vcpu);

/**
 * @brief Answer the hypercall that the last exit reported.
 *
 * @param[in] vcpu    vCPU whose last exit was a hypercall.
 * @param[in] results x0 to x3 of the guest after the call.
 *
 * @retval 0          Done.
 * @retval -EINVAL    An argument is NULL.
 * @retval -EBUSY     The last exit was not a hypercall, or has been answered.
 * @retval -ESHUTDOWN The VM has stopped since.
 * @retval -EPERM     This is a forked child.
 *
 * @mtobject
 * @asunsafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API int gh_hypercall_complete(struct gh_vcpu *vcpu, const uint64_t results[4]);

/**
 * @brief End the current run of a vCPU, or its next one.
 *
 * A kick is latched: it gives exactly one #GH_EXIT_INTERRUPTED, in the current gh_vcpu_run() or in the next one. Several
 * kicks before it is delivered are one. When the current run ends with another exit, the interruption follows with the next
 * call.
 *
 * On Gunyah a kick that comes while the answer of a load is on its way into the guest does not interrupt the kernel at once,
 * because the kernel would lose the value (hazard H1). A thread of the library's own watches the vCPU's thread and interrupts
 * it when the answer has arrived: the guest sleeps, or has run for some time slices (well under a millisecond on a machine
 * with time to spare).
 *
 * @param[in] vcpu vCPU, running or not.
 *
 * @retval 0       Done.
 * @retval -EINVAL @p vcpu is NULL.
 * @retval -EPERM  This is a forked child.
 *
 * @mtany
 * @assafe
 * @par Kernel requests
 * tgkill(), or write() to an eventfd of the library's own.
 * @since 0.1
 */
GH_API int gh_vcpu_kick(struct gh_vcpu *vcpu);

GH_END_DECLS

/** @} */
#endif
