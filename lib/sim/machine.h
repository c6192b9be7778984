/* SPDX-License-Identifier: BSD-3-Clause */
/* What the parts of a simulated machine know of each other; drivers and engines need sim.h and eventfds.h only. */
#ifndef GH_SIM_MACHINE_H
#define GH_SIM_MACHINE_H

#include "sim.h"

#include <gh/sim.h>

/* A device string, taken apart. */
struct sim_settings {
	const struct sim_driver *driver;
	const struct sim_engine *engine;
	enum sim_policy policy;
	char *script; /* text, owned; NULL if there is none */
};

/* 0, or -errno as gh_sim_new() documents it. The caller frees the script. */
int sim_settings_parse(const struct gh_sim_options *options, struct sim_settings *ret_settings);

/* Is it one of the driver's other files? */
bool sim_driver_has(const struct sim_driver *driver, const char *path);

/* The tables of descriptors and mappings, and the entries of the system-call table that need them. */
struct sim_files;
int sim_files_new(struct sim_files **ret_files);
/* Closes and unmaps what is left. */
void sim_files_free(struct sim_files *files);
unsigned int sim_files_count(struct sim_files *files);
/* Nobody closes a descriptor through the machine's table meanwhile. */
void sim_files_keep(struct sim_files *files, bool keep);
void sim_files_fill(struct gh_sys *sys);

/* The thread that watches eventfds. */
struct sim_watcher;
int sim_watcher_new(struct sim_watcher **ret_watcher);
void sim_watcher_free(struct sim_watcher *watcher);

struct gh_sim *sim_machine_of(struct gh_sys *sys);
struct sim_files *sim_machine_files(struct gh_sim *sim);
struct sim_watcher *sim_machine_watcher(struct gh_sim *sim);

#endif
