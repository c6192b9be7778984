/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * @brief Simulated machines: `/dev/gunyah`, `/dev/gzvm` and `/dev/halla` without the hardware.
 *
 * A VMM needs nothing of this header to run on a simulated device: the device string does it, in gh_vm_options::device or
 * in the environment variable `GH_DEVICE`:
 *
 *     sim:gunyah/android14-6.1[,engine=kvm|script][,policy=debug|production][,script=FILE]
 *     sim:gzvm/v9[,engine=kvm|script][,script=FILE]
 *     sim:halla/exynos[,engine=kvm|script][,script=FILE]
 *
 * Revisions of GenieZone are `r0`, `v4`, `v5` (also `vendor-6.1`), `v9` (also `v6`, `v7`, `android14-6.1`), `v12`,
 * `android16-6.12-early`, `android15-6.6` and `android-latest`; without a revision it is `v9`. Halla is Samsung's
 * `/dev/halla`, of which there is one.
 *
 * Revisions of `/dev/gunyah`: `v8`, `v10`, `v11`, `v14` and `v17` as posted for Linux; `android14-6.1-early`,
 * `android14-6.1`, `android15-6.6-early`, `android15-6.6-mid`, `android15-6.6`, `android16-6.12` and `android-latest` of
 * Android's kernels; and `vendor`, Qualcomm's older interface under the same name. Without a revision it is `android14-6.1`.
 *
 * The engine is `kvm` (real arm64 guests; needs an arm64 host with `/dev/kvm`) or `script` (a list of guest actions, on any
 * host); left out, it is `script` when a script is given and `kvm` otherwise. The policy says what the resource manager
 * accepts: `debug` takes shared and lent main memory and no firmware, `production` lent main memory only, and a firmware in
 * lent memory.
 *
 * This header is for tests that keep the script in the program, look at the machine, or share it between VMs. It is part of
 * the library `libghsim`: link with `pkg-config --libs libghsim`. A static program needs that for device strings, too
 * (`pkg-config --static --libs libghsim`); a shared libgh finds libghsim by itself.
 * @defgroup sim Simulated devices
 * @{
 */
#ifndef GH_SIM_H
#define GH_SIM_H

#include "base.h"

/** @brief How a simulated machine is made. */
struct gh_sim_options {
	size_t size;        /**< Size of this structure in bytes. */
	const char *device; /**< A device string as above, with or without its `sim:`. */
	const char *script; /**< Text of the script, instead of `script=FILE`; NULL if there is none. */
};

/** @brief Initial value of #gh_sim_options. */
#define GH_SIM_OPTIONS_INIT                                                                                                \
	{                                                                                                                  \
		sizeof(struct gh_sim_options), NULL, NULL                                                                  \
	}

GH_BEGIN_DECLS

/**
 * @brief Make a simulated machine.
 *
 * @param[in] options  Its device and engine; copied.
 * @param[out] ret_sim Receives the machine; left untouched on failure. Give it to VMs in gh_vm_options::machine, and free it
 *                     with gh_sim_free(); it lives on until the last VM on it is closed.
 *
 * @retval 0        Done.
 * @retval -EINVAL  An argument is NULL, the structure has an unknown tail, or the device string or the script is malformed.
 * @retval -ENOENT  The string names a device or a revision that this library does not simulate, or a script file that does
 *                  not exist.
 * @retval -ENOMEM  Out of memory.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * open() and read() of a script file.
 * @since 0.1
 */
GH_API int gh_sim_new(const struct gh_sim_options *options, struct gh_sim **ret_sim);

/**
 * @brief Give a simulated machine back.
 *
 * @param[in] sim Machine, or NULL. VMs that run on it keep it alive.
 *
 * @mtobject
 * @asunsafe
 * @par Kernel requests
 * None, or close() and munmap() if it was the last user.
 * @since 0.1
 */
GH_API void gh_sim_free(struct gh_sim *sim);

/**
 * @brief How many descriptors of the simulated device are open.
 *
 * For leak tests: device, VM and vCPU descriptors, and vCPU mappings that are left without a descriptor.
 *
 * @param[in] sim Machine.
 * @return Number of open files; 0 if @p sim is NULL.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API unsigned int gh_sim_open_files(struct gh_sim *sim);

/**
 * @brief What would have broken a real kernel.
 *
 * Some calls in some orders crash or corrupt the host kernel of the revision that is simulated. The simulated device goes
 * on instead, and notes the first one here.
 *
 * @param[in] sim Machine.
 * @return One sentence; NULL if nothing broke. Valid until the machine is freed.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API const char *gh_sim_breakage(struct gh_sim *sim);

GH_END_DECLS

/** @} */
#endif
