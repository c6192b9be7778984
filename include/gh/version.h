/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * @brief Version of the interface.
 * @defgroup version Version
 * @{
 */
#ifndef GH_VERSION_H
#define GH_VERSION_H

#include "base.h"

/** @brief Interface version that this header belongs to: changes that break callers. */
#define GH_VERSION_MAJOR 0
/** @brief Interface version that this header belongs to: additions. */
#define GH_VERSION_MINOR 1
/** @brief Interface version that this header belongs to: repairs. */
#define GH_VERSION_PATCH 0

GH_BEGIN_DECLS

/**
 * @brief Tell the version of the library that is running.
 *
 * @return "major.minor.patch", a constant string.
 *
 * @mtany
 * @assafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API const char *gh_version(void);

GH_END_DECLS

/** @} */
#endif
