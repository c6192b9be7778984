/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Features and quirks by name, and what a caller knows better than the probe.
 *
 * The two switches are complete: the compiler warns of a bit without a name.
 */
#include "internal.h"

#include <string.h>

#define STEP "read the options"

/* --- names -------------------------------------------------------------------------------------------------------- */

static const char *name_feature(enum gh_feature feature)
{
	switch (feature) {
	case GH_FEATURE_SHARE:
		return "share";
	case GH_FEATURE_LEND:
		return "lend";
	case GH_FEATURE_REGISTERS:
		return "registers";
	case GH_FEATURE_IRQFD:
		return "irqfd";
	case GH_FEATURE_IRQFD_LEVEL:
		return "irqfd-level";
	case GH_FEATURE_IOEVENTFD:
		return "ioeventfd";
	case GH_FEATURE_DATAMATCH:
		return "datamatch";
	case GH_FEATURE_HYPERCALL:
		return "hypercall";
	case GH_FEATURE_MMIO_ABORT:
		return "mmio-abort";
	case GH_FEATURE_PAGE_FAULT:
		return "page-fault";
	case GH_FEATURE_LATE_VCPUS:
		return "late-vcpus";
	case GH_FEATURE_NEEDS_DTB:
		return "needs-dtb";
	case GH_FEATURE_IRQFD_RESAMPLE:
		return "irqfd-resample";
	case GH_FEATURE_IRQ_LINE:
		return "irq-line";
	case GH_FEATURE_READ_ONLY_MEMORY:
		return "read-only-memory";
	case GH_FEATURE_PROTECTED_VM:
		return "protected-vm";
	case GH_FEATURE_FIRMWARE:
		return "firmware";
	case GH_FEATURE_RECLAIM:
		return "reclaim";
	case GH_FEATURE_GUEST_MEMORY:
		return "guest-memory";
	case GH_FEATURE_UNMAP:
		return "unmap";
	case GH_FEATURE_DEMAND_PAGING:
		return "demand-paging";
	case GH_FEATURE_CONTIGUOUS_MEMORY:
		return "contiguous-memory";
	case GH_FEATURE_AUTHENTICATION:
		return "authentication";
	case GH_FEATURE_CHECK_EXTENSION:
		return "check-extension";
	case GH_FEATURE_TIMER_WAKEUP:
		return "timer-wakeup";
	case GH_FEATURE_LATE_MEMORY:
		return "late-memory";
	case GH_FEATURE_BARE_PROTECTION:
		return "bare-protection";
	}
	return NULL;
}

static const char *name_quirk(enum gh_quirk quirk)
{
	switch (quirk) {
	case GH_QUIRK_REMOVES_BY_ADDRESS:
		return "removes-by-address";
	case GH_QUIRK_FRAGILE_ANSWER:
		return "fragile-answer";
	case GH_QUIRK_ONE_LINE_PER_EVENTFD:
		return "one-line-per-eventfd";
	case GH_QUIRK_MISSES_EARLY_SIGNAL:
		return "misses-early-signal";
	case GH_QUIRK_DOORBELLS_IGNORE_WIDTH:
		return "doorbells-ignore-width";
	case GH_QUIRK_LOCKS_MEMORY:
		return "locks-memory";
	case GH_QUIRK_MEMORY_MUST_STAY:
		return "memory-must-stay";
	case GH_QUIRK_EVENTFD_GOES_FIRST:
		return "eventfd-goes-first";
	case GH_QUIRK_WRITES_MEMORY_NODE:
		return "writes-memory-node";
	case GH_QUIRK_NAMED_FUNCTIONS:
		return "named-functions";
	case GH_QUIRK_KEEPS_FUNCTIONS:
		return "keeps-functions";
	case GH_QUIRK_NO_END_EXIT:
		return "no-end-exit";
	case GH_QUIRK_LENDS_BY_FLAG:
		return "lends-by-flag";
	case GH_QUIRK_COARSE_DATAMATCH:
		return "coarse-datamatch";
	case GH_QUIRK_OWN_FILES_ONLY:
		return "own-files-only";
	case GH_QUIRK_NEEDS_SHM_NODES:
		return "needs-shm-nodes";
	case GH_QUIRK_OPTIONAL_SHM_NODES:
		return "optional-shm-nodes";
	case GH_QUIRK_NO_DTB_REQUEST:
		return "no-dtb-request";
	case GH_QUIRK_SHOWS_HANDLED_EXITS:
		return "shows-handled-exits";
	case GH_QUIRK_SHOWS_HANDLED_EXCEPTIONS:
		return "shows-handled-exceptions";
	case GH_QUIRK_SHOWS_ANSWERED_TIME:
		return "shows-answered-time";
	case GH_QUIRK_NO_FAULT_ADDRESS:
		return "no-fault-address";
	case GH_QUIRK_PROTECTED_AT_BIRTH:
		return "protected-at-birth";
	}
	return NULL;
}

const char *gh_missing_name(uint32_t missing)
{
	static const char *const names[] = {
		[GH_MISSING_NOTHING] = "nothing",   [GH_MISSING_NODE] = "node",
		[GH_MISSING_DRIVER] = "driver",     [GH_MISSING_PERMISSION] = "permission",
		[GH_MISSING_POLICY] = "policy",     [GH_MISSING_RESOURCE] = "resource",
		[GH_MISSING_RELATION] = "relation", [GH_MISSING_DIALECT] = "dialect",
		[GH_MISSING_FEATURE] = "feature",   [GH_MISSING_OTHER] = "other",
	};

	return missing < sizeof(names) / sizeof(names[0]) ? names[missing] : NULL;
}

/* Enumerators are ints: no bit is above 30. */
#define BITS 31u

const char *gh_feature_name(uint64_t feature)
{
	return feature >> BITS == 0 ? name_feature((enum gh_feature)feature) : NULL;
}

const char *gh_quirk_name(uint64_t quirk)
{
	return quirk >> BITS == 0 ? name_quirk((enum gh_quirk)quirk) : NULL;
}

static uint64_t find(const char *(*name_of)(uint64_t bit), const char *name)
{
	for (unsigned int i = 0; i < BITS && name != NULL; i++) {
		const char *other = name_of(UINT64_C(1) << i);

		if (other != NULL && strcmp(other, name) == 0)
			return UINT64_C(1) << i;
	}
	return 0;
}

uint64_t gh_feature_by_name(const char *name)
{
	return find(gh_feature_name, name);
}

uint64_t gh_quirk_by_name(const char *name)
{
	return find(gh_quirk_name, name);
}

/* --- overrides ---------------------------------------------------------------------------------------------------- */

static int check(const struct gh_vm_options *options, const char *what, uint64_t on, uint64_t off,
		 const char *(*name_of)(uint64_t bit))
{
	if ((on & off) != 0)
		return gh_fail(options->failure, -EINVAL, STEP, NULL, "Leave it out of one of the two.",
			       "A %s is to be both on and off: bits 0x%llx.", what, (unsigned long long)(on & off));
	for (uint64_t left = on | off; left != 0; left &= left - 1)
		if (name_of(left & -left) == NULL)
			return gh_fail(options->failure, -EINVAL, STEP, NULL, "Use the bits of gh/probe.h.",
				       "There is no %s with bit 0x%llx.", what, (unsigned long long)(left & -left));
	return 0;
}

int gh_caps_check(const struct gh_vm_options *options)
{
	int ret = check(options, "feature", options->features_on, options->features_off, gh_feature_name);

	return ret < 0 ? ret : check(options, "quirk", options->quirks_on, options->quirks_off, gh_quirk_name);
}

int gh_caps_override(struct gh_caps *caps, const struct gh_backend *ops, const struct gh_vm_options *options,
		     struct gh_failure *failure)
{
	uint64_t impossible = options->features_on & ~caps->features & ~ops->possible;
	uint64_t needed = options->features_off & ops->certain;

	if (impossible != 0)
		return gh_fail(failure, -EOPNOTSUPP, "override the probe", NULL, "Leave it out of features_on.",
			       "The feature \"%s\" was asked for, and the backend \"%s\" has no code for it.",
			       gh_feature_name(impossible & -impossible), ops->name);
	if (needed != 0)
		return gh_fail(failure, -EOPNOTSUPP, "override the probe", NULL, "Leave it out of features_off.",
			       "The feature \"%s\" was ruled out, and the backend \"%s\" relies on it.",
			       gh_feature_name(needed & -needed), ops->name);
	caps->features = (caps->features | options->features_on) & ~options->features_off;
	caps->quirks = (caps->quirks | options->quirks_on) & ~options->quirks_off;
	return 0;
}
