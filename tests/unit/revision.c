/* SPDX-License-Identifier: BSD-3-Clause */
#include "revision.h"

/* What every revision has. */
#define COMMON                                                                                                             \
	(GH_FEATURE_SHARE | GH_FEATURE_IRQFD | GH_FEATURE_IRQFD_LEVEL | GH_FEATURE_LATE_VCPUS | GH_FEATURE_NEEDS_DTB |     \
	 GH_FEATURE_READ_ONLY_MEMORY)
#define COMMON_QUIRKS                                                                                                      \
	(GH_QUIRK_REMOVES_BY_ADDRESS | GH_QUIRK_FRAGILE_ANSWER | GH_QUIRK_MISSES_EARLY_SIGNAL |                            \
	 GH_QUIRK_DOORBELLS_IGNORE_WIDTH | GH_QUIRK_LOCKS_MEMORY | GH_QUIRK_EVENTFD_GOES_FIRST |                           \
	 GH_QUIRK_WRITES_MEMORY_NODE)

#define BELLS (COMMON | GH_FEATURE_IOEVENTFD)
#define VALUES (BELLS | GH_FEATURE_DATAMATCH)
#define BOOT_CONTEXT (GH_FEATURE_REGISTERS | GH_FEATURE_MMIO_ABORT | GH_FEATURE_PAGE_FAULT)
#define ANDROID_14 (VALUES | GH_FEATURE_LEND | GH_FEATURE_FIRMWARE | GH_FEATURE_PROTECTED_VM)
#define ANDROID_15_EARLY (ANDROID_14 | GH_FEATURE_DEMAND_PAGING | GH_FEATURE_LATE_MEMORY)
#define ANDROID_15 (ANDROID_15_EARLY | BOOT_CONTEXT | GH_FEATURE_RECLAIM)
#define ANDROID_16 (ANDROID_15 | GH_FEATURE_CONTIGUOUS_MEMORY | GH_FEATURE_AUTHENTICATION)

#define PINNED (COMMON_QUIRKS | GH_QUIRK_NEEDS_SHM_NODES)
#define FLAGGED (PINNED | GH_QUIRK_LENDS_BY_FLAG | GH_QUIRK_NO_END_EXIT)
#define PAGED (COMMON_QUIRKS | GH_QUIRK_OPTIONAL_SHM_NODES)

/* Sections 1.2, 1.5 and 1.6 of the Gunyah UAPI document. */
const struct revision revisions[] = {
	{ "sim:gunyah/v8", "as posted up to v8", COMMON | GH_FEATURE_LEND | GH_FEATURE_UNMAP,
	  FLAGGED | GH_QUIRK_NAMED_FUNCTIONS | GH_QUIRK_KEEPS_FUNCTIONS },
	{ "sim:gunyah/v10", "as posted in v9 and v10", BELLS | GH_FEATURE_LEND | GH_FEATURE_UNMAP,
	  FLAGGED | GH_QUIRK_COARSE_DATAMATCH },
	{ "sim:gunyah/v11", "as posted in v11 to v14", BELLS, PINNED | GH_QUIRK_COARSE_DATAMATCH },
	{ "sim:gunyah/v14", "as posted in v11 to v14", VALUES, PINNED },
	{ "sim:gunyah/v17", "as posted in v15 to v17",
	  VALUES | GH_FEATURE_LEND | BOOT_CONTEXT | GH_FEATURE_GUEST_MEMORY | GH_FEATURE_UNMAP | GH_FEATURE_DEMAND_PAGING |
		  GH_FEATURE_LATE_MEMORY,
	  COMMON_QUIRKS | GH_QUIRK_OWN_FILES_ONLY },
	{ "sim:gunyah/android14-6.1-early", "android14-6.1, early", BELLS | GH_FEATURE_LEND,
	  PINNED | GH_QUIRK_COARSE_DATAMATCH },
	{ "sim:gunyah/android14-6.1", "android14-6.1", ANDROID_14, PINNED },
	{ "sim:gunyah/android15-6.6-early", "android15-6.6, early", ANDROID_15_EARLY, PAGED },
	{ "sim:gunyah/android15-6.6", "android15-6.6, or android16-6.12 early", ANDROID_15, PAGED },
	{ "sim:gunyah/android16-6.12", "android16-6.12", ANDROID_16, PAGED },
	{ "sim:gunyah/android-latest", "Android, the latest",
	  ANDROID_16 | GH_FEATURE_CHECK_EXTENSION | GH_FEATURE_TIMER_WAKEUP, PAGED },
};
const int revision_count = sizeof(revisions) / sizeof(revisions[0]);

void revision_open(struct rig *rig, const struct revision *revision, const char *script)
{
	*rig = (struct rig){ .revision = revision, .sim = new_sim(revision->device, script) };
	rig->vm = open_sim(rig->sim);
}

static void write_tree(struct rig *rig)
{
	struct gh_fdt *fdt = NULL;
	int ret;

	ck_assert_int_eq(gh_fdt_open(rig->vm, NULL, &fdt), 0);
	ret = gh_fdt_finish(fdt, DTB_GPA, 0);
	ck_assert_msg(ret == 0, "%s: tree: %d (%s)", rig->revision->device, ret, gh_vm_failure(rig->vm)->cause);
	gh_fdt_close(fdt);
}

void rig_build(struct rig *rig, uint32_t flags, uint32_t n)
{
	map_at(rig->vm, RAM_GPA, RAM_SIZE, flags);
	for (uint32_t id = 0; id < n; id++)
		rig->vcpus[id] = add_vcpu(rig->vm, id);
	write_tree(rig);
}

void rig_start(struct rig *rig, const struct revision *revision, const char *script, uint32_t n)
{
	int ret;

	revision_open(rig, revision, script);
	rig_build(rig, GH_MEMORY_RWX, n);
	ret = gh_vm_start(rig->vm);
	ck_assert_msg(ret == 0, "%s: start: %d (%s)", revision->device, ret, gh_vm_failure(rig->vm)->cause);
}

void revision_close(struct rig *rig)
{
	gh_vm_close(rig->vm);
	end_sim(rig->sim);
}

/* Where nobody is told of the end, the vCPU sleeps until it is kicked. */
static void sleeps(struct gh_vcpu *vcpu)
{
	struct runner runner;

	runner_begin(&runner, vcpu);
	ck_assert_int_eq(gh_vcpu_kick(vcpu), 0);
	ck_assert(runner_returns(&runner));
	runner_end(&runner);
	ck_assert_int_eq(runner.ret, 0);
	ck_assert_uint_eq(runner.kind, GH_EXIT_INTERRUPTED);
}

void rig_ends(struct rig *rig, uint32_t vcpu, uint32_t cause)
{
	const struct gh_exit *exit;

	if (has_quirk(rig->revision, GH_QUIRK_NO_END_EXIT)) {
		sleeps(rig->vcpus[vcpu]);
		return;
	}
	exit = run_once(rig->vcpus[vcpu]);
	ck_assert_msg(exit->kind == GH_EXIT_STOPPED, "%s: %s instead of the end", rig->revision->device,
		      gh_exit_name(exit->kind));
	ck_assert_uint_eq(exit->stop.cause, cause);
}
