/* SPDX-License-Identifier: BSD-3-Clause */
/* Raw ioctls on any revision of the simulated /dev/gunyah: what has to be done in another way on each. */
#ifndef TESTS_SIM_REV_H
#define TESTS_SIM_REV_H

#include "raw.h"

/* Every revision of the 'G' family. */
#define REV_COUNT 12
extern const char *const rev_names[REV_COUNT];

/* What rev_boot() gives as memory. */
struct rev_boot {
	struct tree tree;
	bool share;
	uint32_t flags; /* UAPI_GUNYAH_MEM_*; 0: all */
	uint64_t dtb_size;
};

/* raw_open() of that revision, with a script. */
void rev_open(struct raw *raw, const char *revision, const char *script);
/* Adds a vCPU by number or by name, and maps its page; rev_add_vcpu() gives what the request says. */
int rev_add_vcpu(struct raw *raw, uint32_t id);
void rev_make_vcpu(struct raw *raw, uint32_t id);
int rev_add_named(struct raw *raw, const char *name, const void *argument, size_t size);

/* Files of guest memory. */
int rev_gmem(struct raw *raw, uint64_t flags, uint64_t size);
int rev_map(struct raw *raw, int fd, uint32_t flags, uint64_t gpa, uint64_t offset, uint64_t size);
/* The file's memory in the process, for writing to it. */
uint8_t *rev_host(struct raw *raw, int fd, uint64_t size);
void rev_unhost(struct raw *raw, uint8_t *host, uint64_t size);

/* Memory with a tree at TREE_BASE, SET_DTB_CONFIG; then START, whose result it returns. */
void rev_configure(struct raw *raw, const struct rev_boot *boot);
int rev_boot(struct raw *raw, const struct rev_boot *boot);
/* rev_open(), a vCPU, and lent memory where the revision can lend; started unless the first RUN does it. */
void rev_run_script(struct raw *raw, const char *revision, const char *script);

/* RUN after a completion with this action. */
const char *rev_resume(struct raw *raw, uint8_t action);
int rev_boot_register(struct raw *raw, uint32_t reg, uint64_t value);
int rev_range(struct raw *raw, unsigned long request, uint64_t gpa, uint64_t size);

#endif
