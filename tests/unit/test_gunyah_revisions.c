/* SPDX-License-Identifier: BSD-3-Clause */
/* Every revision of Gunyah's driver: what is found out about it, what is refused there, how a guest begins. */
#include "revision.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* --- probing ------------------------------------------------------------------------------------------------------ */

START_TEST(test_bits)
{
	const struct revision *revision = &revisions[_i];
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_probe *probe = NULL;
	const struct gh_probe_entry *entry;
	struct rig rig;

	revision_open(&rig, revision, "");
	ck_assert_msg(gh_vm_features(rig.vm) == revision->features, "%s: features 0x%llx, not 0x%llx", revision->device,
		      (unsigned long long)gh_vm_features(rig.vm), (unsigned long long)revision->features);
	ck_assert_msg(gh_vm_quirks(rig.vm) == revision->quirks, "%s: quirks 0x%llx, not 0x%llx", revision->device,
		      (unsigned long long)gh_vm_quirks(rig.vm), (unsigned long long)revision->quirks);
	options.machine = rig.sim;
	options.backend = "gunyah";
	ck_assert_int_eq(gh_probe(&options, &probe), 0);
	entry = gh_probe_get(probe, 0);
	ck_assert_uint_eq(entry->usable, 1);
	ck_assert_str_eq(entry->dialect, revision->dialect);
	ck_assert_uint_eq(entry->features, revision->features);
	gh_probe_free(probe);
	revision_close(&rig);
}
END_TEST

/* Nothing of a probe stays: neither a descriptor nor a locked page. */
START_TEST(test_probe_leaves_nothing)
{
	struct gh_sim *sim = new_sim(revisions[_i].device, "");
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_probe *probe = NULL;

	options.machine = sim;
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(gh_probe(&options, &probe), 0);
		gh_probe_free(probe);
		ck_assert_uint_eq(gh_sim_open_files(sim), 0);
	}
	end_sim(sim);
}
END_TEST

/* --- what a revision lacks ---------------------------------------------------------------------------------------- */

static int refused(struct rig *rig, int ret)
{
	ck_assert_msg(ret == -EOPNOTSUPP, "%s: %d", rig->revision->device, ret);
	ck_assert(failure_is(gh_vm_failure(rig->vm), -EOPNOTSUPP));
	return 0;
}

static int map_flags(struct rig *rig, uint32_t flags, void *host, int fd)
{
	struct gh_memory memory = GH_MEMORY_INIT;

	memory.gpa = RAM_GPA + 64 * MIB;
	memory.length = 4096;
	memory.flags = flags;
	memory.host = host;
	memory.fd = fd;
	return gh_vm_map(rig->vm, &memory, NULL);
}

static void check_own_files(struct rig *rig)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int fd = memfd_create("file", MFD_CLOEXEC);

	ck_assert_ptr_ne(page, MAP_FAILED);
	ck_assert_int_eq(ftruncate(fd, 4096), 0);
	(void)refused(rig, map_flags(rig, GH_MEMORY_RWX, page, -1));
	(void)refused(rig, map_flags(rig, GH_MEMORY_RWX, NULL, fd));
	(void)close(fd);
	(void)munmap(page, 4096);
}

START_TEST(test_refused)
{
	const struct revision *revision = &revisions[_i];
	struct gh_authentication authentication = GH_AUTHENTICATION_INIT;
	struct gh_region_info info = GH_REGION_INFO_INIT;
	struct rig rig;

	authentication.type = GH_AUTHENTICATION_TRUSTED_VM;
	revision_open(&rig, revision, "store 0x1000 4 1; off");
	if (!can(revision, GH_FEATURE_LEND))
		(void)refused(&rig, map_flags(&rig, GH_MEMORY_RWX | GH_MEMORY_LEND, NULL, -1));
	if (!can(revision, GH_FEATURE_CONTIGUOUS_MEMORY))
		(void)refused(&rig, map_flags(&rig, GH_MEMORY_RWX | GH_MEMORY_CONTIGUOUS, NULL, 0));
	if (!can(revision, GH_FEATURE_FIRMWARE))
		(void)refused(&rig, gh_vm_set_firmware(rig.vm, RAM_GPA, 4096));
	if (!can(revision, GH_FEATURE_AUTHENTICATION))
		(void)refused(&rig, gh_vm_set_authentication(rig.vm, &authentication));
	if (has_quirk(revision, GH_QUIRK_OWN_FILES_ONLY))
		check_own_files(&rig);
	/* None of it has changed anything. */
	ck_assert_int_eq(gh_vm_region(rig.vm, 0, &info), -ENOENT);
	rig_build(&rig, GH_MEMORY_RWX, 1);
	ck_assert_int_eq(gh_vm_start(rig.vm), 0);
	if (!can(revision, GH_FEATURE_RECLAIM))
		(void)refused(&rig, gh_vm_reclaim(rig.vm, RAM_GPA, 4096));
	ck_assert_uint_eq(run_once(rig.vcpus[0])->kind, GH_EXIT_MMIO);
	revision_close(&rig);
}
END_TEST

/* What a revision has can be ruled out, and what it is not known to have can be asked for: then the kernel refuses. */
START_TEST(test_overrides)
{
	const struct revision *revision = &revisions[_i];
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_sim *sim = new_sim(revision->device, "");
	struct gh_vm *vm = NULL;

	options.machine = sim;
	/* And what is known already may be said. */
	options.features_on = GH_FEATURE_LEND | GH_FEATURE_RECLAIM | revision->features;
	options.quirks_off = GH_QUIRK_NO_END_EXIT;
	ck_assert_int_eq(gh_vm_open(&options, &vm), 0);
	ck_assert_uint_ne(gh_vm_features(vm) & GH_FEATURE_RECLAIM, 0);
	map_at(vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	put_tree(vm, &standard_tree);
	(void)add_vcpu(vm, 0);
	ck_assert_int_eq(gh_vm_start(vm), 0);
	ck_assert_int_eq(gh_vm_reclaim(vm, RAM_GPA + 3 * MIB, 4096), can(revision, GH_FEATURE_RECLAIM) ? 0 : -ENOTTY);
	gh_vm_close(vm);
	end_sim(sim);
}
END_TEST

/* --- the beginning ------------------------------------------------------------------------------------------------ */

/* The same on each: the start of the region with the devicetree, and its address. */
START_TEST(test_default_entry)
{
	struct rig rig;

	rig_start(&rig, &revisions[_i],
		  "register pc; expect 0x80000000; register x0; expect 0x80200000; store 0x1000 4 1; off", 1);
	ck_assert_uint_eq(run_once(rig.vcpus[0])->kind, GH_EXIT_MMIO);
	rig_ends(&rig, 0, GH_STOP_POWER_OFF);
	revision_close(&rig);
}
END_TEST

START_TEST(test_registers)
{
	const struct revision *revision = &revisions[_i];
	struct rig rig;

	revision_open(&rig, revision,
		      "register pc; expect 0x80001000; register x0; expect 7; register x30; expect 0x8877665544332211\n"
		      "register sp; expect 0x80100000; store 0x1000 4 1; off");
	ck_assert_int_eq(gh_vm_set_entry(rig.vm, RAM_GPA + 4096, 7), 0);
	ck_assert_int_eq(gh_vm_set_register(rig.vm, GH_REG_X0 + 30, UINT64_C(0x8877665544332211)), 0);
	ck_assert_int_eq(gh_vm_set_register(rig.vm, GH_REG_SP, RAM_GPA + MIB), 0);
	rig_build(&rig, GH_MEMORY_RWX, 1);
	if (can(revision, GH_FEATURE_REGISTERS)) {
		ck_assert_int_eq(gh_vm_start(rig.vm), 0);
		ck_assert_uint_eq(run_once(rig.vcpus[0])->kind, GH_EXIT_MMIO);
	} else {
		(void)refused(&rig, gh_vm_start(rig.vm));
	}
	revision_close(&rig);
}
END_TEST

/* --- firmware and authentication ---------------------------------------------------------------------------------- */

START_TEST(test_firmware)
{
	const struct revision *revision = &revisions[_i];
	struct rig rig;

	if (!can(revision, GH_FEATURE_FIRMWARE))
		return;
	revision_open(&rig, revision, "");
	ck_assert_int_eq(gh_vm_set_firmware(rig.vm, RAM_GPA + 1, 4096), -EINVAL);
	ck_assert_int_eq(gh_vm_set_firmware(rig.vm, RAM_GPA, 4095), -EINVAL);
	ck_assert_int_eq(gh_vm_set_firmware(rig.vm, UINT64_MAX - 4095, 4096), -ERANGE);
	ck_assert_int_eq(gh_vm_set_firmware(rig.vm, UINT64_C(1) << 40, 4096), -ERANGE);
	/* There is no memory there: found before the kernel hears of anything, and the start can be tried again. */
	ck_assert_int_eq(gh_vm_set_firmware(rig.vm, RAM_GPA + 64 * MIB, 4096), 0);
	rig_build(&rig, GH_MEMORY_RWX | GH_MEMORY_LEND, 1);
	ck_assert_int_eq(gh_vm_start(rig.vm), -EINVAL);
	ck_assert_int_eq(gh_vm_set_firmware(rig.vm, RAM_GPA + MIB, 4096), 0);
	ck_assert_int_eq(gh_vm_set_firmware(rig.vm, RAM_GPA + RAM_SIZE - 4096, 8192), 0); /* nor behind it */
	ck_assert_int_eq(gh_vm_start(rig.vm), -EINVAL);
	ck_assert_int_eq(gh_vm_set_firmware(rig.vm, RAM_GPA + MIB, 4096), 0);
	/* This resource manager lets nobody have firmware of their own (section 10.3). */
	ck_assert_int_eq(gh_vm_start(rig.vm), -EPERM);
	ck_assert(failure_is(gh_vm_failure(rig.vm), -EPERM));
	ck_assert_int_eq(gh_vm_set_firmware(rig.vm, 0, 0), -EBUSY);
	revision_close(&rig);
}
END_TEST

/* A product's resource manager takes firmware in lent memory, and the guest begins there. */
START_TEST(test_firmware_of_a_product)
{
	const struct revision *revision = &revisions[_i];
	struct revision product = *revision;
	char device[64];
	struct rig rig;
	int ret;

	if (!can(revision, GH_FEATURE_FIRMWARE))
		return;
	(void)snprintf(device, sizeof(device), "%s,policy=production", revision->device);
	product.device = device;
	revision_open(&rig, &product,
		      "register pc; expect 0x90000000; register x0; expect 0x80200000; store 0x1000 4 1; off");
	map_at(rig.vm, RAM_GPA + 256 * MIB, 2 * MIB, GH_MEMORY_RWX | GH_MEMORY_LEND);
	ck_assert_int_eq(gh_vm_set_firmware(rig.vm, RAM_GPA + 256 * MIB, 2 * MIB), 0);
	rig_build(&rig, GH_MEMORY_RWX | GH_MEMORY_LEND, 1);
	ret = gh_vm_start(rig.vm);
	ck_assert_msg(ret == 0, "%s: %d (%s)", revision->device, ret, gh_vm_failure(rig.vm)->cause);
	ck_assert_uint_eq(run_once(rig.vcpus[0])->kind, GH_EXIT_MMIO);
	rig_ends(&rig, 0, GH_STOP_POWER_OFF);
	revision_close(&rig);
}
END_TEST

START_TEST(test_firmware_taken_back)
{
	const struct revision *revision = &revisions[_i];
	struct rig rig;

	if (!can(revision, GH_FEATURE_FIRMWARE))
		return;
	revision_open(&rig, revision, "off");
	ck_assert_int_eq(gh_vm_set_firmware(rig.vm, RAM_GPA + MIB, 4096), 0);
	ck_assert_int_eq(gh_vm_set_firmware(rig.vm, 0, 0), 0);
	rig_build(&rig, GH_MEMORY_RWX | GH_MEMORY_LEND, 1);
	ck_assert_int_eq(gh_vm_start(rig.vm), 0);
	rig_ends(&rig, 0, GH_STOP_POWER_OFF);
	revision_close(&rig);
}
END_TEST

START_TEST(test_authentication_arguments)
{
	const struct revision *revision = &revisions[_i];
	struct gh_authentication wanted = GH_AUTHENTICATION_INIT;
	struct rig rig;

	revision_open(&rig, revision, "");
	ck_assert_int_eq(gh_vm_set_authentication(rig.vm, NULL), -EINVAL);
	ck_assert_int_eq(gh_vm_set_authentication(NULL, &wanted), -EINVAL);
	ck_assert_int_eq(gh_vm_set_authentication(rig.vm, &wanted), 0);
	wanted.type = 2;
	ck_assert_int_eq(gh_vm_set_authentication(rig.vm, &wanted), -EINVAL);
	wanted.type = GH_AUTHENTICATION_NONE;
	wanted.vm_id = 65536;
	ck_assert_int_eq(gh_vm_set_authentication(rig.vm, &wanted), -EINVAL);
	wanted.vm_id = 0;
	wanted.reserved = 1;
	ck_assert_int_eq(gh_vm_set_authentication(rig.vm, &wanted), -EINVAL);
	wanted.reserved = 0;
	wanted.gpa = 1;
	ck_assert_int_eq(gh_vm_set_authentication(rig.vm, &wanted), -EINVAL);
	wanted.gpa = UINT64_C(1) << 40;
	wanted.length = 4096;
	ck_assert_int_eq(gh_vm_set_authentication(rig.vm, &wanted), -ERANGE);
	wanted.size = 4;
	ck_assert_int_eq(gh_vm_set_authentication(rig.vm, &wanted), -EINVAL);
	revision_close(&rig);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("gunyah_revisions");
	TCase *tcase = add_case(suite, "gunyah_revisions");

	tcase_add_loop_test(tcase, test_bits, 0, revision_count);
	tcase_add_loop_test(tcase, test_probe_leaves_nothing, 0, revision_count);
	tcase_add_loop_test(tcase, test_refused, 0, revision_count);
	tcase_add_loop_test(tcase, test_overrides, 0, revision_count);
	tcase_add_loop_test(tcase, test_default_entry, 0, revision_count);
	tcase_add_loop_test(tcase, test_registers, 0, revision_count);
	tcase_add_loop_test(tcase, test_firmware, 0, revision_count);
	tcase_add_loop_test(tcase, test_firmware_of_a_product, 0, revision_count);
	tcase_add_loop_test(tcase, test_firmware_taken_back, 0, revision_count);
	tcase_add_loop_test(tcase, test_authentication_arguments, 0, revision_count);
	return run_suite(suite);
}
