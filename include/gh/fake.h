/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * @brief The fake hypervisor: scripted exits for a VMM's own unit tests.
 *
 * A VM on the backend "fake" runs no guest. It delivers, per vCPU, the exits that a test has queued, in their order, through
 * the very code that delivers those of a kernel: decoded, checked, with the same states and errors. A vCPU whose queue is
 * empty sleeps until it is kicked. Loads remember what they were answered with.
 *
 * @code
 * struct gh_fake *fake;
 * struct gh_vm_options options = GH_VM_OPTIONS_INIT;
 * gh_fake_new(&fake);
 * gh_fake_load(fake, 0, 0x3f8, 1);
 * gh_fake_stop(fake, 0, GH_STOP_POWER_OFF);
 * options.backend = "fake";
 * options.fake = fake;
 * gh_vm_open(&options, &vm);   // ... run the code under test ...
 * gh_fake_answer(fake, 0, 0, &value);
 * @endcode
 * @defgroup fake Fake hypervisor
 * @{
 */
#ifndef GH_FAKE_H
#define GH_FAKE_H

#include "base.h"
#include "exit.h"

GH_BEGIN_DECLS

/**
 * @brief Make an empty script.
 *
 * @param[out] ret_fake Receives it; left untouched on failure. Free it with gh_fake_free() after the VMs that use it.
 * @retval 0       Done.
 * @retval -EINVAL @p ret_fake is NULL.
 * @retval -ENOMEM Out of memory.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API int gh_fake_new(struct gh_fake **ret_fake);

/**
 * @brief Free a script.
 * @param[in] fake Script that no VM uses any more, or NULL.
 *
 * @mtobject
 * @asunsafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API void gh_fake_free(struct gh_fake *fake);

/**
 * @brief Queue a guest load.
 *
 * @param[in] fake    Script.
 * @param[in] vcpu_id vCPU that makes it.
 * @param[in] gpa     Guest physical address in bytes.
 * @param[in] width   Bytes. Anything but 1, 2, 4 and 8 makes gh_vcpu_run() say -EPROTO, as a broken kernel would.
 * @retval 0       Done.
 * @retval -EINVAL @p fake is NULL.
 * @retval -ENOMEM Out of memory.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API int gh_fake_load(struct gh_fake *fake, uint32_t vcpu_id, uint64_t gpa, uint32_t width);

/**
 * @brief Queue a guest store.
 *
 * A store that matches an ioeventfd of the VM signals it and is not delivered, as in a kernel.
 *
 * @param[in] fake    Script.
 * @param[in] vcpu_id vCPU that makes it.
 * @param[in] gpa     Guest physical address in bytes.
 * @param[in] width   Bytes, as in gh_fake_load().
 * @param[in] value   What is stored; cut to @p width.
 * @retval 0       Done.
 * @retval -EINVAL @p fake is NULL.
 * @retval -ENOMEM Out of memory.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API int gh_fake_store(struct gh_fake *fake, uint32_t vcpu_id, uint64_t gpa, uint32_t width, uint64_t value);

/**
 * @brief Queue the end of the VM.
 *
 * @param[in] fake    Script.
 * @param[in] vcpu_id vCPU that sees it first.
 * @param[in] cause   One of #gh_stop_cause.
 * @retval 0       Done.
 * @retval -EINVAL @p fake is NULL.
 * @retval -ENOMEM Out of memory.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API int gh_fake_stop(struct gh_fake *fake, uint32_t vcpu_id, uint32_t cause);

/**
 * @brief Queue any other exit.
 *
 * @param[in] fake    Script.
 * @param[in] vcpu_id vCPU that sees it.
 * @param[in] exit    The exit; copied.
 * @retval 0       Done.
 * @retval -EINVAL An argument is NULL.
 * @retval -ENOMEM Out of memory.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API int gh_fake_exit(struct gh_fake *fake, uint32_t vcpu_id, const struct gh_exit *exit);

/**
 * @brief Queue a failure of the kernel's run request.
 *
 * @param[in] fake    Script.
 * @param[in] vcpu_id vCPU that fails.
 * @param[in] error   Negative errno value. -EINTR is an interruption, -EAGAIN and -EBUSY make the library enter again.
 * @retval 0       Done.
 * @retval -EINVAL @p fake is NULL, or @p error is not negative.
 * @retval -ENOMEM Out of memory.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API int gh_fake_error(struct gh_fake *fake, uint32_t vcpu_id, int error);

/**
 * @brief What a load was answered with.
 *
 * @param[in] fake       Script.
 * @param[in] vcpu_id    vCPU that loaded.
 * @param[in] index      Which of its loads, from 0.
 * @param[out] ret_value Receives the value, cut to the load's width; left untouched on failure.
 * @retval 0       Done.
 * @retval -EINVAL An argument is NULL.
 * @retval -ENOENT That load has not been answered, or the answer has not reached the guest, which takes one more
 *                 gh_vcpu_run().
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API int gh_fake_answer(struct gh_fake *fake, uint32_t vcpu_id, uint32_t index, uint64_t *ret_value);

/**
 * @brief What has become of an interrupt line.
 *
 * Counts what gh_irq_set(), gh_irq_pulse() and irqfds with a resample descriptor do after the start. Other irqfds are
 * seen at their eventfd.
 *
 * @param[in] fake        Script.
 * @param[in] line        The line.
 * @param[out] ret_raised Receives how often it was raised; left untouched on failure. May be NULL.
 * @retval 0       It is low, or edge-triggered and was never raised.
 * @retval 1       It is high, or edge-triggered and was raised.
 * @retval -EINVAL @p fake is NULL.
 * @retval -ERANGE There is no such line.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API int gh_fake_line(struct gh_fake *fake, uint32_t line, uint64_t *ret_raised);

GH_END_DECLS

/** @} */
#endif
