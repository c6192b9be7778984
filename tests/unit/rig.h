/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A VM on each kind of kernel, with a log of what it was asked, in words. For programs that are linked with table.h's table:
 * KVM is one that this file plays, whose guests switch themselves off at once.
 */
#ifndef TESTS_UNIT_RIG_H
#define TESTS_UNIT_RIG_H

#include "table.h"
#include "util.h"

#include <gh/fdt.h>

enum rig_kind { RIG_FAKE, RIG_GUNYAH, RIG_GENIEZONE, RIG_KVM, RIG_KINDS };

#define RIG_LOG 8192

struct rig {
	enum rig_kind kind;
	struct gh_sim *sim;
	struct gh_fake *fake;
	int device; /* of KVM */
	struct gh_vm *vm;
};

/*
 * Opens a VM. The script is one of the script engine; the fake plays it as world.h says, and KVM does not. Failures of the
 * table that are armed count from here on only if table_counts is set.
 */
void rig_open(struct rig *rig, enum rig_kind kind, const char *script);
/* The same on a simulated device of another revision. */
void rig_open_on(struct rig *rig, enum rig_kind kind, const char *device, const char *script);
/* The machine alone, and the options to open a VM on it. */
void rig_begin(struct rig *rig, enum rig_kind kind, const char *script, struct gh_vm_options *ret_options);
/* Closes all of it: nothing may be left, and no kernel have broken. */
void rig_close(struct rig *rig);

/* Writes a devicetree with what the VM has at `gpa`, in `room` bytes, with the console's line and others. 0 or an error. */
int rig_write_tree(struct rig *rig, uint64_t gpa, uint64_t room);

/* Every request so far, one in a line; the log begins anew with each VM that is made. */
const char *rig_log(void);
void rig_log_clear(void);

#endif
