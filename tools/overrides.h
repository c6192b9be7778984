/* SPDX-License-Identifier: BSD-3-Clause */
/* Features and quirks on a command line: "+lend,-datamatch". */
#ifndef GH_TOOLS_OVERRIDES_H
#define GH_TOOLS_OVERRIDES_H

#include <stdbool.h>
#include <stdint.h>

/* Adds what `text` says to *on and *off. False: it says something else. */
bool overrides_read(const char *text, uint64_t (*by_name)(const char *name), uint64_t *on, uint64_t *off);

#endif
