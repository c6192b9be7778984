/* SPDX-License-Identifier: BSD-3-Clause */
/* The simulated revisions of Gunyah's driver, what the library is to find out of each, and VMs on them. */
#ifndef TESTS_UNIT_REVISION_H
#define TESTS_UNIT_REVISION_H

#include "util.h"

struct revision {
	const char *device;
	const char *dialect;
	uint64_t features;
	uint64_t quirks;
};

extern const struct revision revisions[];
extern const int revision_count;

static inline bool can(const struct revision *revision, uint64_t feature)
{
	return (revision->features & feature) != 0;
}

static inline bool has_quirk(const struct revision *revision, uint64_t quirk)
{
	return (revision->quirks & quirk) != 0;
}

struct rig {
	const struct revision *revision;
	struct gh_sim *sim;
	struct gh_vm *vm;
	struct gh_vcpu *vcpus[2];
};

/* A VM on the revision's device, with nothing in it. */
void revision_open(struct rig *rig, const struct revision *revision, const char *script);
/* Main memory at RAM_GPA with GH_MEMORY_* `flags`, `n` vCPUs, and a tree for them and what else was configured. */
void rig_build(struct rig *rig, uint32_t flags, uint32_t n);
/* Both, and the start; shared memory. */
void rig_start(struct rig *rig, const struct revision *revision, const char *script, uint32_t n);
/* Closes it; nothing may have broken or be left. */
void revision_close(struct rig *rig);
/* The guest is over: the next exit says so, and why, where the kernel tells. */
void rig_ends(struct rig *rig, uint32_t vcpu, uint32_t cause);

#endif
