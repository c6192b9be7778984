/* SPDX-License-Identifier: BSD-3-Clause */
/* What gh-probe's files share. */
#ifndef GH_TOOLS_PROBE_H
#define GH_TOOLS_PROBE_H

#include <gh/gh.h>

#include <stdbool.h>

/* What gh_probe() said of one device that was named, or of those that every backend has. */
struct probe_answer {
	const char *device;     /* NULL: none was named */
	struct gh_probe *probe; /* NULL: it failed */
	struct gh_failure failure;
};

/* probe_text.c: for people */
void probe_text(const struct probe_answer *answers, unsigned int count);
/* All names of features and quirks. */
void probe_text_names(void);

/* probe_json.c: for scripts; doc/gh-probe.md has the keys */
void probe_json(const struct probe_answer *answers, unsigned int count);

#endif
