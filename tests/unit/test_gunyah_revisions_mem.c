/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory on every revision of Gunyah's driver: lent, shared, given late, taken back, missing, contiguous. */
#include "revision.h"

#include "../../lib/sim/pin.h"

#include <errno.h>
#include <gh/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MORE_GPA UINT64_C(0x90000000)
#define MARK UINT64_C(0x1000)
#define CMA "/dev/oemvm_cma"

static const struct gh_exit *expect_store(struct rig *rig, uint64_t value)
{
	const struct gh_exit *exit = run_once(rig->vcpus[0]);

	ck_assert_msg(exit->kind == GH_EXIT_MMIO, "%s: %s instead of a store", rig->revision->device,
		      gh_exit_name(exit->kind));
	ck_assert_uint_eq(exit->mmio.gpa, MARK);
	ck_assert_uint_eq(exit->mmio.value, value);
	return exit;
}

static void start(struct rig *rig)
{
	int ret = gh_vm_start(rig->vm);

	ck_assert_msg(ret == 0, "%s: start: %d (%s)", rig->revision->device, ret, gh_vm_failure(rig->vm)->cause);
}

/* Can this process read there? */
static bool is_readable(const void *address)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	bool readable = false;
	char line[512];

	ck_assert_ptr_nonnull(maps);
	while (fgets(line, sizeof(line), maps) != NULL) {
		char *rest;
		unsigned long start = strtoul(line, &rest, 16);
		unsigned long end = strtoul(rest + 1, &rest, 16);

		if ((uintptr_t)address >= start && (uintptr_t)address < end)
			readable = rest[1] == 'r';
	}
	(void)fclose(maps);
	return readable;
}

static uint32_t state_of(struct rig *rig, uint32_t id)
{
	struct gh_region_info info = GH_REGION_INFO_INIT;

	ck_assert_int_eq(gh_vm_region(rig->vm, id, &info), 0);
	return info.state;
}

/* --- lent and shared ---------------------------------------------------------------------------------------------- */

/* What the host has written is there, and nobody but the guest has it. */
START_TEST(test_lent)
{
	const struct revision *revision = &revisions[_i];
	const bool stays = can(revision, GH_FEATURE_DEMAND_PAGING) && !has_quirk(revision, GH_QUIRK_OWN_FILES_ONLY);
	const uint64_t word = UINT64_C(0x1122334455667788);
	uint64_t copy = 0;
	void *host = NULL;
	char device[64];
	struct revision strict = *revision;
	struct rig rig;

	if (!can(revision, GH_FEATURE_LEND))
		return;
	(void)snprintf(device, sizeof(device), "%s,policy=production", revision->device);
	strict.device = device;
	revision_open(
		&rig, &strict,
		"peek 0x80100000 8; expect 0x1122334455667788; poke 0x80100008 4 5; peek 0x80100008 4; echo 0x1000 4; off");
	rig_build(&rig, GH_MEMORY_RWX | GH_MEMORY_LEND, 1);
	ck_assert_int_eq(gh_vm_write(rig.vm, RAM_GPA + MIB, &word, sizeof(word)), 0);
	ck_assert_int_eq(gh_vm_pointer(rig.vm, RAM_GPA + MIB, 8, &host), 0);
	ck_assert_uint_eq(state_of(&rig, 0), GH_MEMORY_OWNED);
	start(&rig);
	ck_assert_uint_eq(state_of(&rig, 0), GH_MEMORY_LENT);
	ck_assert_int_eq(gh_vm_read(rig.vm, RAM_GPA + MIB, &copy, sizeof(copy)), -EFAULT);
	ck_assert_int_eq(gh_vm_pointer(rig.vm, RAM_GPA + MIB, 8, &host), -EFAULT);
	/* Where the kernel looks for pages through the mapping, it has to stay. */
	if (stays || sim_pin_is_lasting())
		ck_assert_int_eq(is_readable(host), stays);
	(void)expect_store(&rig, 5);
	rig_ends(&rig, 0, GH_STOP_POWER_OFF);
	revision_close(&rig);
}
END_TEST

/* Both see what the other writes, in main memory and in a second region; a third one cannot be written. */
START_TEST(test_shared)
{
	const uint64_t word = UINT64_C(0x8877665544332211);
	uint64_t copy = 0;
	struct rig rig;

	revision_open(&rig, &revisions[_i],
		      "poke 0x80100000 8 0xfeed; peek 0x90000000 8; expect 0x8877665544332211; poke 0x90000008 8 0xbeef\n"
		      "store 0x1000 4 1; off");
	map_at(rig.vm, MORE_GPA, 2 * MIB, GH_MEMORY_READ | GH_MEMORY_WRITE);
	rig_build(&rig, GH_MEMORY_RWX, 1);
	ck_assert_int_eq(gh_vm_write(rig.vm, MORE_GPA, &word, sizeof(word)), 0);
	start(&rig);
	ck_assert_uint_eq(state_of(&rig, 0), GH_MEMORY_SHARED);
	(void)expect_store(&rig, 1);
	ck_assert_int_eq(gh_vm_read(rig.vm, RAM_GPA + MIB, &copy, sizeof(copy)), 0);
	ck_assert_uint_eq(copy, 0xfeed);
	ck_assert_int_eq(gh_vm_read(rig.vm, MORE_GPA + 8, &copy, sizeof(copy)), 0);
	ck_assert_uint_eq(copy, 0xbeef);
	rig_ends(&rig, 0, GH_STOP_POWER_OFF);
	revision_close(&rig);
}
END_TEST

/* Everything that can be wished for the library's own memory, with main memory lent and the rest shared. */
START_TEST(test_wishes)
{
	const struct revision *revision = &revisions[_i];
	uint32_t lend = can(revision, GH_FEATURE_LEND) ? GH_MEMORY_LEND : 0;
	struct rig rig;

	revision_open(&rig, revision, "poke 0x90000008 8 0xbeef; store 0x1000 4 1; off");
	rig_build(&rig, GH_MEMORY_RWX | lend | GH_MEMORY_HUGE | GH_MEMORY_PREFAULT, 1);
	map_at(rig.vm, MORE_GPA, 2 * MIB, GH_MEMORY_RWX | GH_MEMORY_HUGE | GH_MEMORY_PREFAULT | GH_MEMORY_LOCK);
	if (has_quirk(revision, GH_QUIRK_NEEDS_SHM_NODES)) {
		/* The tree was written before there was a second region. */
		ck_assert_int_eq(gh_vm_start(rig.vm), -EINVAL);
		ck_assert_ptr_nonnull(strstr(gh_vm_failure(rig.vm)->cause, "shm"));
	} else {
		start(&rig);
		(void)expect_store(&rig, 1);
	}
	revision_close(&rig);
}
END_TEST

/* A tree that says where a region goes is needed on some, and must not be believed on others. */
START_TEST(test_shm_nodes)
{
	static const struct tree_shm shm = { 1, MORE_GPA };
	const struct tree tree = { .cpus = 1, .shms = &shm, .shm_count = 1 };
	const struct revision *revision = &revisions[_i];
	struct rig rig;
	int ret;

	revision_open(&rig, revision, "poke 0x90000008 8 0xbeef; store 0x1000 4 1; off");
	map_at(rig.vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	map_at(rig.vm, MORE_GPA, 2 * MIB, GH_MEMORY_RWX);
	put_tree(rig.vm, &tree);
	rig.vcpus[0] = add_vcpu(rig.vm, 0);
	ret = gh_vm_start(rig.vm);
	if (has_quirk(revision, GH_QUIRK_OPTIONAL_SHM_NODES)) {
		ck_assert_int_eq(ret, -EINVAL);
		ck_assert_ptr_nonnull(strstr(gh_vm_failure(rig.vm)->remedy, "optional"));
	} else if (has_quirk(revision, GH_QUIRK_NEEDS_SHM_NODES)) {
		ck_assert_int_eq(ret, 0);
		(void)expect_store(&rig, 1);
	}
	revision_close(&rig);
}
END_TEST

/* --- late --------------------------------------------------------------------------------------------------------- */

static int map_late(struct rig *rig, uint32_t flags)
{
	struct gh_memory memory = GH_MEMORY_INIT;

	memory.gpa = MORE_GPA;
	memory.length = 2 * MIB;
	memory.flags = flags;
	return gh_vm_map(rig->vm, &memory, NULL);
}

START_TEST(test_late)
{
	const struct revision *revision = &revisions[_i];
	const bool late = can(revision, GH_FEATURE_LATE_MEMORY);
	uint64_t copy = 0;
	struct rig rig;

	rig_start(
		&rig, revision,
		late ? "store 0x1000 4 1; poke 0x90000008 8 0xbeef; peek 0x90000008 8; expect 0xbeef; store 0x1000 4 2; off"
		     : "store 0x1000 4 1; off",
		1);
	(void)expect_store(&rig, 1);
	ck_assert_int_eq(map_late(&rig, GH_MEMORY_RWX), late ? 0 : -EBUSY);
	if (late) {
		ck_assert_uint_eq(state_of(&rig, 1), GH_MEMORY_SHARED);
		ck_assert_int_eq(map_late(&rig, GH_MEMORY_RWX), -EEXIST);
		(void)expect_store(&rig, 2);
		ck_assert_int_eq(gh_vm_read(rig.vm, MORE_GPA + 8, &copy, sizeof(copy)), 0);
		ck_assert_uint_eq(copy, 0xbeef);
	}
	rig_ends(&rig, 0, GH_STOP_POWER_OFF);
	revision_close(&rig);
}
END_TEST

START_TEST(test_late_lent)
{
	const struct revision *revision = &revisions[_i];
	struct rig rig;

	if (!can(revision, GH_FEATURE_LATE_MEMORY))
		return;
	rig_start(&rig, revision,
		  "store 0x1000 4 1; poke 0x90000008 8 0xbeef; peek 0x90000008 8; expect 0xbeef; store 0x1000 4 2; off", 1);
	(void)expect_store(&rig, 1);
	ck_assert_int_eq(map_late(&rig, GH_MEMORY_RWX | GH_MEMORY_LEND), 0);
	ck_assert_uint_eq(state_of(&rig, 1), GH_MEMORY_LENT);
	(void)expect_store(&rig, 2);
	rig_ends(&rig, 0, GH_STOP_POWER_OFF);
	revision_close(&rig);
}
END_TEST

/* --- missing ------------------------------------------------------------------------------------------------------ */

START_TEST(test_page_fault)
{
	const struct revision *revision = &revisions[_i];
	const struct gh_exit *exit;
	struct rig rig;

	if (!can(revision, GH_FEATURE_PAGE_FAULT))
		return;
	revision_open(&rig, revision, "raw enomem; poke 0x80300000 8 7; peek 0x80300000 8; echo 0x1000 4; off");
	rig_build(&rig, GH_MEMORY_RWX | GH_MEMORY_LEND, 1);
	start(&rig);
	exit = run_once(rig.vcpus[0]);
	ck_assert_msg(exit->kind == GH_EXIT_PAGE_FAULT, "%s: %s", revision->device, gh_exit_name(exit->kind));
	ck_assert_uint_eq(exit->fault.gpa, RAM_GPA + 3 * MIB);
	ck_assert_int_eq(exit->fault.error, -ENOMEM);
	/* Nothing but another try. */
	ck_assert_int_eq(gh_mmio_complete(rig.vcpus[0], 1), -EBUSY);
	ck_assert_int_eq(gh_mmio_fail(rig.vcpus[0]), -EOPNOTSUPP);
	ck_assert(failure_is(gh_vcpu_failure(rig.vcpus[0]), -EOPNOTSUPP));
	(void)expect_store(&rig, 7);
	ck_assert_int_eq(gh_mmio_fail(rig.vcpus[0]), 0);
	revision_close(&rig);
}
END_TEST

/* A loop without a function of the VMM's tries again what can pass. */
START_TEST(test_page_fault_in_a_loop)
{
	const struct gh_loop_options options = GH_LOOP_OPTIONS_INIT;
	const struct revision *revision = &revisions[_i];
	struct rig rig;

	if (!can(revision, GH_FEATURE_PAGE_FAULT))
		return;
	revision_open(
		&rig, revision,
		"raw enomem; poke 0x80300000 8 7; raw enomem; peek 0x80301000 8; expect 0; peek 0x80300000 8; expect 7; "
		"off");
	rig_build(&rig, GH_MEMORY_RWX | GH_MEMORY_LEND, 1);
	start(&rig);
	ck_assert_int_eq(gh_vm_run(rig.vm, &options), GH_STOP_POWER_OFF);
	revision_close(&rig);
}
END_TEST

/* Shared memory without a page: an error with a reason, not a device that answers nothing. */
START_TEST(test_no_page_for_shared_memory)
{
	const struct gh_loop_options options = GH_LOOP_OPTIONS_INIT;
	const struct revision *revision = &revisions[_i];
	struct rig rig;

	if (!can(revision, GH_FEATURE_DEMAND_PAGING))
		return;
	rig_start(&rig, revision, "raw enomem; poke 0x80300000 8 7; off", 1);
	ck_assert_int_eq(gh_vm_run(rig.vm, &options), -EFAULT);
	ck_assert(failure_is(gh_vm_failure(rig.vm), -EFAULT));
	ck_assert_ptr_nonnull(strstr(gh_vm_failure(rig.vm)->cause, "0x80300000"));
	revision_close(&rig);
}
END_TEST

/* And gives up what does not: memory that this guest may only read. */
START_TEST(test_page_fault_for_ever)
{
	const struct gh_loop_options options = GH_LOOP_OPTIONS_INIT;
	const struct revision *revision = &revisions[_i];
	struct rig rig;
	int ret;

	if (!can(revision, GH_FEATURE_PAGE_FAULT))
		return;
	revision_open(&rig, revision, "poke 0x90000000 8 7; off");
	map_at(rig.vm, MORE_GPA, 2 * MIB, GH_MEMORY_READ | GH_MEMORY_LEND);
	rig_build(&rig, GH_MEMORY_RWX, 1);
	start(&rig);
	ret = gh_vm_run(rig.vm, &options);
	ck_assert_msg(ret == -EFAULT, "%s: %d", revision->device, ret);
	ck_assert(failure_is(gh_vm_failure(rig.vm), -EFAULT));
	ck_assert_ptr_nonnull(strstr(gh_vm_failure(rig.vm)->cause, "0x90000000"));
	revision_close(&rig);
}
END_TEST

/* --- taken back --------------------------------------------------------------------------------------------------- */

/* QEMU's user mode has no such advice. */
static bool frees_pages(void)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bool frees;

	ck_assert_ptr_ne(page, MAP_FAILED);
	*(volatile char *)page = 1;
	(void)madvise(page, 4096, MADV_REMOVE);
	frees = *(volatile char *)page == 0;
	(void)munmap(page, 4096);
	return frees;
}

START_TEST(test_reclaim)
{
	const struct revision *revision = &revisions[_i];
	uint32_t lend = _i % 2 == 0 ? GH_MEMORY_LEND : 0;
	struct rig rig;

	if (!can(revision, GH_FEATURE_RECLAIM))
		return;
	revision_open(&rig, revision,
		      "poke 0x80300000 8 7; poke 0x80302000 8 9; store 0x1000 4 1; peek 0x80300000 8; echo 0x1000 8\n"
		      "peek 0x80302000 8; expect 9; poke 0x80300000 8 5; raw reclaim-busy; store 0x1000 4 2; off");
	rig_build(&rig, GH_MEMORY_RWX | lend, 1);
	ck_assert_int_eq(gh_vm_reclaim(rig.vm, RAM_GPA, 4096), -EBUSY); /* not started */
	start(&rig);
	(void)expect_store(&rig, 1);
	ck_assert_int_eq(gh_vm_reclaim(NULL, RAM_GPA, 4096), -EINVAL);
	ck_assert_int_eq(gh_vm_reclaim(rig.vm, RAM_GPA + 1, 4096), -EINVAL);
	ck_assert_int_eq(gh_vm_reclaim(rig.vm, RAM_GPA, 4095), -EINVAL);
	ck_assert_int_eq(gh_vm_reclaim(rig.vm, RAM_GPA, 0), -EINVAL);
	ck_assert_int_eq(gh_vm_reclaim(rig.vm, RAM_GPA + RAM_SIZE - 4096, 8192), -EFAULT);
	ck_assert_int_eq(gh_vm_reclaim(rig.vm, MORE_GPA, 4096), -EFAULT);
	ck_assert_int_eq(gh_vm_reclaim(rig.vm, RAM_GPA + 3 * MIB, 4096), 0);
	(void)expect_store(&rig, frees_pages() ? 0 : 7);
	(void)expect_store(&rig, 2);
	ck_assert_int_eq(gh_vm_reclaim(rig.vm, RAM_GPA + 3 * MIB, 4096), -EBUSY);
	ck_assert_ptr_nonnull(strstr(gh_vm_failure(rig.vm)->cause, "busy"));
	ck_assert_int_eq(gh_vm_reclaim(rig.vm, RAM_GPA + 3 * MIB, 4096), 0);
	rig_ends(&rig, 0, GH_STOP_POWER_OFF);
	revision_close(&rig);
}
END_TEST

/* What is in a caller's file or mapping is the caller's to free. */
START_TEST(test_reclaim_of_callers)
{
	const struct revision *revision = &revisions[_i];
	struct gh_memory memory = GH_MEMORY_INIT;
	uint64_t word = 7;
	struct rig rig;

	if (!can(revision, GH_FEATURE_RECLAIM) || has_quirk(revision, GH_QUIRK_OWN_FILES_ONLY))
		return;
	revision_open(&rig, revision, "poke 0x90000000 8 7; store 0x1000 4 1; off");
	rig_build(&rig, GH_MEMORY_RWX, 1);
	memory.gpa = MORE_GPA;
	memory.length = 2 * MIB;
	memory.fd = memfd_create("guest", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(memory.fd, 2 * MIB), 0);
	ck_assert_int_eq(gh_vm_map(rig.vm, &memory, NULL), 0);
	start(&rig);
	(void)expect_store(&rig, 1);
	ck_assert_int_eq(gh_vm_reclaim(rig.vm, MORE_GPA, 4096), 0);
	ck_assert_int_eq(pread(memory.fd, &word, sizeof(word), 0), (int)sizeof(word));
	ck_assert_uint_eq(word, 7);
	rig_ends(&rig, 0, GH_STOP_POWER_OFF);
	revision_close(&rig);
	(void)close(memory.fd);
}
END_TEST

/* Before the start on each, whatever the kernel can. */
START_TEST(test_unmap)
{
	const struct revision *revision = &revisions[_i];
	struct gh_region_info info = GH_REGION_INFO_INIT;
	struct rig rig;

	revision_open(&rig, revision, "store 0x1000 4 1; off");
	map_at(rig.vm, MORE_GPA, 2 * MIB, GH_MEMORY_RWX);
	rig_build(&rig, GH_MEMORY_RWX, 1);
	ck_assert_int_eq(gh_vm_unmap(rig.vm, 0), 0);
	ck_assert_int_eq(gh_vm_region(rig.vm, 0, &info), -ENOENT);
	map_at(rig.vm, MORE_GPA, 4 * MIB, GH_MEMORY_RWX);
	ck_assert_int_eq(gh_vm_unmap(rig.vm, 0), 0);
	ck_assert_int_eq(gh_vm_unmap(rig.vm, 0), -ENOENT);
	start(&rig);
	(void)expect_store(&rig, 1);
	/* Main memory, afterwards. */
	if (!has_quirk(revision, GH_QUIRK_OWN_FILES_ONLY))
		ck_assert_int_eq(gh_vm_unmap(rig.vm, 1), -EOPNOTSUPP);
	rig_ends(&rig, 0, GH_STOP_POWER_OFF);
	revision_close(&rig);
}
END_TEST

/* From a guest that runs: an access to it is a fault then, until there is memory again. */
START_TEST(test_unmap_late)
{
	const struct revision *revision = &revisions[_i];
	const struct gh_exit *exit;
	struct rig rig;

	if (!has_quirk(revision, GH_QUIRK_OWN_FILES_ONLY))
		return;
	revision_open(&rig, revision,
		      "poke 0x90000000 8 7; store 0x1000 4 1; peek 0x90000000 8; expect 0; store 0x1000 4 2; off");
	map_at(rig.vm, MORE_GPA, 2 * MIB, GH_MEMORY_RWX | GH_MEMORY_LEND);
	rig_build(&rig, GH_MEMORY_RWX | GH_MEMORY_LEND, 1);
	start(&rig);
	(void)expect_store(&rig, 1);
	ck_assert_int_eq(gh_vm_unmap(rig.vm, 0), 0);
	exit = run_once(rig.vcpus[0]);
	ck_assert_uint_eq(exit->kind, GH_EXIT_PAGE_FAULT);
	ck_assert_uint_eq(exit->fault.gpa, MORE_GPA);
	ck_assert_int_eq(exit->fault.error, -ENOENT);
	ck_assert_int_eq(map_late(&rig, GH_MEMORY_RWX), 0);
	(void)expect_store(&rig, 2);
	rig_ends(&rig, 0, GH_STOP_POWER_OFF);
	revision_close(&rig);
}
END_TEST

/* The same configuration in a new VM, where nothing was lent. */
START_TEST(test_reset)
{
	struct rig rig;

	rig_start(&rig, &revisions[_i], "store 0x1000 4 1; reset", 1);
	for (int i = 0; i < 3; i++) {
		(void)expect_store(&rig, 1);
		rig_ends(&rig, 0, GH_STOP_RESET);
		ck_assert_int_eq(gh_vm_reset(rig.vm), 0);
		ck_assert_int_eq(gh_vm_set_dtb(rig.vm, 0, 0), 0);
		put_tree(rig.vm, &standard_tree);
		start(&rig);
	}
	revision_close(&rig);
}
END_TEST

/* --- contiguous --------------------------------------------------------------------------------------------------- */

static int map_contiguous(struct rig *rig, uint64_t gpa, uint32_t flags, const char *device)
{
	struct gh_memory memory = GH_MEMORY_INIT;

	memory.gpa = gpa;
	memory.length = RAM_SIZE;
	memory.flags = GH_MEMORY_RWX | GH_MEMORY_CONTIGUOUS | flags;
	memory.device = device;
	return gh_vm_map(rig->vm, &memory, NULL);
}

START_TEST(test_contiguous)
{
	const struct revision *revision = &revisions[_i];
	uint32_t lend = _i % 2 == 0 ? GH_MEMORY_LEND : 0;
	struct gh_memory memory = GH_MEMORY_INIT;
	struct rig rig;

	if (!can(revision, GH_FEATURE_CONTIGUOUS_MEMORY))
		return;
	revision_open(&rig, revision, "poke 0x80300000 8 7; peek 0x80300000 8; echo 0x1000 4; off");
	memory.flags |= GH_MEMORY_CONTIGUOUS;
	memory.gpa = RAM_GPA;
	memory.length = RAM_SIZE;
	ck_assert_int_eq(gh_vm_map(rig.vm, &memory, NULL), -EINVAL); /* of which device? */
	memory.device = CMA;
	memory.fd = 0;
	ck_assert_int_eq(gh_vm_map(rig.vm, &memory, NULL), -EINVAL); /* of which of the two? */
	ck_assert_int_eq(map_contiguous(&rig, RAM_GPA, 0, "/dev/there_is_no_cma"), -ENOENT);
	ck_assert_ptr_nonnull(strstr(gh_vm_failure(rig.vm)->cause, "/dev/there_is_no_cma"));
	ck_assert_int_lt(map_contiguous(&rig, RAM_GPA, 0, "/dev/null"), 0);
	ck_assert_int_eq(map_contiguous(&rig, RAM_GPA, lend, CMA), 0);
	/* The area is taken. */
	ck_assert_int_eq(map_contiguous(&rig, MORE_GPA, 0, CMA), -EBUSY);
	put_tree(rig.vm, &standard_tree);
	rig.vcpus[0] = add_vcpu(rig.vm, 0);
	start(&rig);
	(void)expect_store(&rig, 7);
	rig_ends(&rig, 0, GH_STOP_POWER_OFF);
	revision_close(&rig);
}
END_TEST

START_TEST(test_device_alone)
{
	struct gh_memory memory = GH_MEMORY_INIT;
	struct rig rig;

	revision_open(&rig, &revisions[_i], "");
	memory.gpa = RAM_GPA;
	memory.length = RAM_SIZE;
	memory.device = CMA;
	ck_assert_int_eq(gh_vm_map(rig.vm, &memory, NULL), -EINVAL);
	revision_close(&rig);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("gunyah_revisions_mem");
	TCase *tcase = add_case(suite, "gunyah_revisions_mem");

	tcase_add_loop_test(tcase, test_lent, 0, revision_count);
	tcase_add_loop_test(tcase, test_shared, 0, revision_count);
	tcase_add_loop_test(tcase, test_wishes, 0, revision_count);
	tcase_add_loop_test(tcase, test_shm_nodes, 0, revision_count);
	tcase_add_loop_test(tcase, test_late, 0, revision_count);
	tcase_add_loop_test(tcase, test_late_lent, 0, revision_count);
	tcase_add_loop_test(tcase, test_page_fault, 0, revision_count);
	tcase_add_loop_test(tcase, test_page_fault_in_a_loop, 0, revision_count);
	tcase_add_loop_test(tcase, test_no_page_for_shared_memory, 0, revision_count);
	tcase_add_loop_test(tcase, test_page_fault_for_ever, 0, revision_count);
	tcase_add_loop_test(tcase, test_reclaim, 0, revision_count);
	tcase_add_loop_test(tcase, test_reclaim_of_callers, 0, revision_count);
	tcase_add_loop_test(tcase, test_unmap, 0, revision_count);
	tcase_add_loop_test(tcase, test_unmap_late, 0, revision_count);
	tcase_add_loop_test(tcase, test_reset, 0, revision_count);
	tcase_add_loop_test(tcase, test_contiguous, 0, revision_count);
	tcase_add_loop_test(tcase, test_device_alone, 0, revision_count);
	return run_suite(suite);
}
