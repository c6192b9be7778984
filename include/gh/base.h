/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * @brief What every header of libgh needs: linkage, versions of option structures.
 * @defgroup base Base
 * @{
 */
#ifndef GH_BASE_H
#define GH_BASE_H

#include <stddef.h>
#include <stdint.h>

/** @brief Marks a function that the shared library exports. */
#if defined(__GNUC__)
#define GH_API __attribute__((visibility("default")))
#else
#define GH_API
#endif

#ifdef __cplusplus
/** @brief Opens a block of C declarations. */
#define GH_BEGIN_DECLS extern "C" {
/** @brief Closes it. */
#define GH_END_DECLS }
#else
#define GH_BEGIN_DECLS
#define GH_END_DECLS
#endif

struct gh_vm;
struct gh_vcpu;
struct gh_bus_range;
struct gh_irq;
struct gh_irqfd;
struct gh_ioevent;
struct gh_fake;
struct gh_sim;
struct gh_fdt;

/** @} */
#endif
