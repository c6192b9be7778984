/* SPDX-License-Identifier: BSD-3-Clause */
/* Every revision of the simulated /dev/gzvm: devices, VMs, memory, capabilities, lifetimes. */
#include "gzvm_rev.h"

#include <fcntl.h>
#include <sys/wait.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ALL(result)                                                                                                        \
	{                                                                                                                  \
		result, result, result, result, result, result, result, result                                             \
	}

/* --- devices and VMs ---------------------------------------------------------------------------------------------- */

static const struct row vm_rows[] = {
	{ "dev.get-api-version", ALL("ENOTTY") },
	{ "dev.check-ext.null", ALL("EINVAL") },
	{ "dev.check-ext.bad-pointer", ALL("EFAULT") },
	{ "dev.check-ext.pvm", ALL("0 value=1") },
	{ "dev.check-ext.gpa-size", ALL("0 value=48") },
	{ "dev.check-ext.0x9203", ALL("EOPNOTSUPP value=37379") },
	{ "dev.create-vm.type-1", { "fd", "fd", "EINVAL", "EINVAL", "EINVAL", "EINVAL", "EINVAL", "EINVAL" } },
	{ "dev.create-vm.hyp-no-memory",
	  { "EFAULT", "ENOMEM", "ENOMEM", "ENOMEM", "ENOMEM", "ENOMEM", "ENOMEM", "ENOMEM" } },
	{ "dev.create-vm.hyp-invalid", { "EFAULT", "EINVAL", "EINVAL", "EINVAL", "EINVAL", "EINVAL", "EINVAL", "EINVAL" } },
	{ "dev.create-vm.hyp-busy", { "EFAULT", "EINVAL", "EINVAL", "EINVAL", "EINVAL", "EINVAL", "EINVAL", "EBUSY" } },
	{ "dev.create-vm.name", ALL("gzvm-vm") },
	{ "dev.create-vcpu.name", ALL("gzvm-vcpu:0") },
	{ "vm.check-ext.null", ALL("EFAULT") },
	{ "vm.set-memory-region-old", ALL("ENOTTY") },
	{ "vm.create-irqchip", ALL("ENOTTY") },
	{ "vm.set-dtb.null", { "ENOTTY", "EFAULT", "EFAULT", "EFAULT", "EFAULT", "EFAULT", "EFAULT", "EFAULT" } },
	{ "vm.set-dtb", { "ENOTTY", "0", "0", "0", "0", "0", "0", "0" } },
	{ "vm.create-vcpu.id-8", ALL("EINVAL") },
	{ "sysfs.batch-pages", { "ENOENT", "ENOENT", "ENOENT", "ENOENT", "ENOENT", "ENOENT", "fd", "fd" } },
};

static void check_extension(struct rig *rig, struct shown *shown, const char *name, uint64_t cap)
{
	uint64_t value = cap;
	int ret = rig_ioctl(rig, rig->device, UAPI_GZVM_CHECK_EXTENSION, &value);

	show(shown, name, "%s value=%llu", word(ret, false), (unsigned long long)value);
}

/* One that should not be there is closed again. */
static void create_vm(struct rig *rig, struct shown *shown, const char *name, uint64_t type)
{
	int fd = rig_ioctl_value(rig, rig->device, UAPI_GZVM_CREATE_VM, type);

	show(shown, name, "%s", word(fd, true));
	rig_close_fd(rig, &fd);
}

/* A simulated file is a memory file of the same name. */
static const char *file_name(int fd)
{
	static char link[80];
	char path[32];
	ssize_t length;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	length = readlink(path, link, sizeof(link) - 1);
	ck_assert_int_gt((int)length, 7);
	link[length] = '\0';
	link[7 + strcspn(link + 7, " ")] = '\0';
	return link + 7;
}

START_TEST(test_vms)
{
	static const struct uapi_gzvm_range range = { 0x80000000, 0x200000 };
	struct shown shown = SHOWN(vm_rows, _i);
	struct rig rig;
	int fd;

	rig_device_on(&rig, revisions[_i], "#! fail create-vm -5 -8 -33\n");
	show(&shown, "dev.get-api-version", "%s",
	     word(rig_ioctl_value(&rig, rig.device, UAPI_GZVM_GET_API_VERSION, 0), false));
	show(&shown, "dev.check-ext.null", "%s",
	     word(rig_ioctl_value(&rig, rig.device, UAPI_GZVM_CHECK_EXTENSION, 0), false));
	show(&shown, "dev.check-ext.bad-pointer", "%s",
	     word(rig_ioctl_value(&rig, rig.device, UAPI_GZVM_CHECK_EXTENSION, 64), false));
	check_extension(&rig, &shown, "dev.check-ext.pvm", UAPI_GZVM_CAP_PROTECTED_VM);
	check_extension(&rig, &shown, "dev.check-ext.gpa-size", UAPI_GZVM_CAP_GPA_SIZE);
	check_extension(&rig, &shown, "dev.check-ext.0x9203", UAPI_GZVM_CAP_IDLE);
	create_vm(&rig, &shown, "dev.create-vm.hyp-no-memory", 0);
	create_vm(&rig, &shown, "dev.create-vm.hyp-invalid", 0);
	create_vm(&rig, &shown, "dev.create-vm.hyp-busy", 0);
	create_vm(&rig, &shown, "dev.create-vm.type-1", 1);
	rig.vm = rig_ioctl_value(&rig, rig.device, UAPI_GZVM_CREATE_VM, 0);
	show(&shown, "dev.create-vm.name", "%s", file_name(rig.vm));
	rig.vcpu = rig_ioctl_value(&rig, rig.vm, UAPI_GZVM_CREATE_VCPU, 0);
	show(&shown, "dev.create-vcpu.name", "%s", file_name(rig.vcpu));
	show(&shown, "vm.check-ext.null", "%s", word(rig_ioctl_value(&rig, rig.vm, UAPI_GZVM_CHECK_EXTENSION, 0), false));
	show(&shown, "vm.set-memory-region-old", "%s", word(rig_ioctl_value(&rig, rig.vm, 0x40189240, 0), false));
	show(&shown, "vm.create-irqchip", "%s", word(rig_ioctl_value(&rig, rig.vm, 0x9260, 0), false));
	show(&shown, "vm.set-dtb.null", "%s", word(rig_ioctl_value(&rig, rig.vm, UAPI_GZVM_SET_DTB, 0), false));
	show(&shown, "vm.set-dtb", "%s", word(rig_ioctl(&rig, rig.vm, UAPI_GZVM_SET_DTB, &range), false));
	show(&shown, "vm.create-vcpu.id-8", "%s", word(rig_ioctl_value(&rig, rig.vm, UAPI_GZVM_CREATE_VCPU, 8), true));
	fd = rig.sys->open(rig.sys, UAPI_GZVM_SYSFS, O_RDONLY);
	show(&shown, "sysfs.batch-pages", "%s", word(fd, true));
	rig_close_fd(&rig, &fd);
	rig_close_broken(&rig, false);
	all_shown(&shown);
}
END_TEST

/* --- memory ------------------------------------------------------------------------------------------------------- */

#define LATER(old, new)                                                                                                    \
	{                                                                                                                  \
		old, old, old, old, new, new, new, new                                                                     \
	}

static const struct row memory_rows[] = {
	{ "mem.ok", ALL("0") },
	{ "mem.same-slot-again", ALL("0") },
	{ "mem.overlapping-gpa", ALL("0") },
	{ "mem.slot-10", LATER("ENXIO", "EINVAL") },
	{ "mem.slot-10-and-nothing-else", LATER("ENXIO", "EINVAL") },
	{ "mem.gpa-unaligned", LATER("0", "EINVAL") },
	{ "mem.gpa-wraps", LATER("0", "EINVAL") },
	{ "mem.too-many-pages", LATER("EFAULT", "EINVAL") },
	{ "mem.size-not-page-multiple", ALL("EINVAL") },
	{ "mem.size-0", ALL("EINVAL") },
	{ "mem.size-0-null-address", ALL("EFAULT") },
	{ "mem.larger-than-vma", ALL("EINVAL") },
	{ "mem.unknown-flags", ALL("0") },
	{ "mem.read-only-mapping", { "EFAULT", "EFAULT", "0", "0", "0", "0", "0", "0" } },
	{ "mem.prot-none-mapping", { "EFAULT", "EFAULT", "0", "0", "0", "0", "0", "0" } },
	{ "mem.memfd-shorter-than-mapping", { "EFAULT", "EFAULT", "0", "0", "0", "0", "0", "0" } },
};

static void map_with(struct rig *rig, struct shown *shown, const char *name, int prot, int fd)
{
	void *memory = guarded(4 * PAGE, prot, MAP_SHARED | (fd < 0 ? MAP_ANONYMOUS : 0), fd);

	show(shown, name, "%s", word(set_mem(rig, 5, 0x90000000, 4 * PAGE, memory), false));
	guarded_free(memory, 4 * PAGE);
}

/* Kernels before 5.14, and QEMU's user mode, do not make all pages at once; then the simulation does not either. */
static bool can_populate(void)
{
	int fd = memfd_create("empty", MFD_CLOEXEC);
	void *page = guarded(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	bool can = madvise(page, PAGE, 23) < 0 && errno != EINVAL;

	guarded_free(page, PAGE);
	(void)close(fd);
	return can;
}

START_TEST(test_memory)
{
	struct shown shown = SHOWN(memory_rows, _i);
	const uint64_t end = UINT64_MAX - PAGE + 1;
	struct uapi_gzvm_region flagged = { 3, 0xff, 0xa0000000, 2 * PAGE, 0 };
	void *memory = guest_memory(2 * PAGE);
	struct rig rig;
	int fd;

	if (_i <= V4 && !can_populate()) {
		guarded_free(memory, 2 * PAGE);
		return;
	}
	flagged.host = (uintptr_t)memory;
	rig_vm_on(&rig, revisions[_i], "");
	show(&shown, "mem.ok", "%s", word(set_mem(&rig, 0, 0x80000000, 2 * PAGE, memory), false));
	show(&shown, "mem.same-slot-again", "%s", word(set_mem(&rig, 0, 0x80000000, 2 * PAGE, memory), false));
	show(&shown, "mem.overlapping-gpa", "%s", word(set_mem(&rig, 1, 0x80000000, 2 * PAGE, memory), false));
	show(&shown, "mem.slot-10", "%s", word(set_mem(&rig, 10, 0x80000000, 2 * PAGE, memory), false));
	show(&shown, "mem.slot-10-and-nothing-else", "%s", word(set_mem(&rig, 10, 1, 0, NULL), false));
	show(&shown, "mem.gpa-unaligned", "%s", word(set_mem(&rig, 2, 0x80000010, 2 * PAGE, memory), false));
	show(&shown, "mem.gpa-wraps", "%s", word(set_mem(&rig, 2, end, 2 * PAGE, memory), false));
	show(&shown, "mem.too-many-pages", "%s", word(set_mem(&rig, 2, 0, (uint64_t)PAGE << 31, NULL), false));
	show(&shown, "mem.size-not-page-multiple", "%s", word(set_mem(&rig, 2, 0x80000000, PAGE + 5, memory), false));
	show(&shown, "mem.size-0", "%s", word(set_mem(&rig, 2, 0x80000000, 0, memory), false));
	show(&shown, "mem.size-0-null-address", "%s", word(set_mem(&rig, 2, 0x80000000, 0, NULL), false));
	show(&shown, "mem.larger-than-vma", "%s", word(set_mem(&rig, 2, 0x80000000, 4 * PAGE, memory), false));
	show(&shown, "mem.unknown-flags", "%s", word(rig_ioctl(&rig, rig.vm, UAPI_GZVM_SET_USER_MEM, &flagged), false));
	map_with(&rig, &shown, "mem.read-only-mapping", PROT_READ, -1);
	map_with(&rig, &shown, "mem.prot-none-mapping", PROT_NONE, -1);
	fd = memfd_create("short", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(fd, (off_t)PAGE), 0);
	map_with(&rig, &shown, "mem.memfd-shorter-than-mapping", PROT_READ | PROT_WRITE, fd);
	(void)close(fd);
	rig_close_broken(&rig, false);
	guarded_free(memory, 2 * PAGE);
	all_shown(&shown);
}
END_TEST

/* --- capabilities ------------------------------------------------------------------------------------------------- */

static const struct row cap_rows[] = {
	{ "cap.0", ALL("EINVAL") },
	{ "cap.gpa-size", ALL("EINVAL") },
	{ "cap.0x9202", { "EINVAL", "EINVAL", "EINVAL", "0", "0", "0", "0", "EINVAL" } },
	{ "cap.0x9203", { "EINVAL", "EINVAL", "EINVAL", "EINVAL", "0", "EINVAL", "0", "EINVAL" } },
	{ "cap.0x9204", ALL("EINVAL") },
	{ "cap.0x9205", ALL("EINVAL") },
	{ "cap.pvm-sub-0", ALL("0") },
	{ "cap.pvm-sub-1", ALL("0 size=0x123000") },
	{ "cap.pvm-sub-2", { "EINVAL", "0", "0", "0", "0", "0", "0", "0" } },
	{ "cap.pvm-sub-3", ALL("EINVAL") },
	{ "cap.pvm-sub-0.hyp-busy", { "EINVAL", "EINVAL", "EINVAL", "EINVAL", "EINVAL", "EINVAL", "EINVAL", "EBUSY" } },
	{ "cap.pvm-sub-1.hyp-no-memory", ALL("EINVAL") },
};

static int enable(struct rig *rig, uint64_t cap, uint64_t sub, struct uapi_gzvm_enable_cap *ret_cap)
{
	*ret_cap = (struct uapi_gzvm_enable_cap){ cap, { sub, 0x7fc00000, 0, 0, 0 } };
	return rig_ioctl(rig, rig->vm, UAPI_GZVM_ENABLE_CAP, ret_cap);
}

START_TEST(test_caps)
{
	struct shown shown = SHOWN(cap_rows, _i);
	const uint64_t pvm = UAPI_GZVM_CAP_PROTECTED_VM;
	struct uapi_gzvm_enable_cap cap;
	struct rig rig;

	/* 0x9202, 0x9203 and the sub-command 2 ask the hypervisor on some kernels only: errors come on VMs of their own. */
	rig_vm_on(&rig, revisions[_i], "");
	show(&shown, "cap.0", "%s", word(enable(&rig, 0, 0, &cap), false));
	show(&shown, "cap.gpa-size", "%s", word(enable(&rig, UAPI_GZVM_CAP_GPA_SIZE, 0, &cap), false));
	show(&shown, "cap.0x9202", "%s", word(enable(&rig, UAPI_GZVM_CAP_DEMAND_PAGING, 0, &cap), false));
	show(&shown, "cap.0x9203", "%s", word(enable(&rig, UAPI_GZVM_CAP_IDLE, 0, &cap), false));
	show(&shown, "cap.0x9204", "%s", word(enable(&rig, UAPI_GZVM_CAP_BATCH_PAGES, 0, &cap), false));
	show(&shown, "cap.0x9205", "%s", word(enable(&rig, UAPI_GZVM_CAP_DESTROY_BATCH_PAGES, 0, &cap), false));
	show(&shown, "cap.pvm-sub-0", "%s", word(enable(&rig, pvm, UAPI_GZVM_PVM_SET_FW_GPA, &cap), false));
	ck_assert_int_eq(enable(&rig, pvm, UAPI_GZVM_PVM_GET_FW_SIZE, &cap), 0);
	show(&shown, "cap.pvm-sub-1", "0 size=0x%llx", (unsigned long long)cap.args[1]);
	show(&shown, "cap.pvm-sub-2", "%s", word(enable(&rig, pvm, UAPI_GZVM_PVM_SET_PROTECTED, &cap), false));
	show(&shown, "cap.pvm-sub-3", "%s", word(enable(&rig, pvm, 3, &cap), false));
	rig_close_broken(&rig, false);

	rig_vm_on(&rig, revisions[_i], "#! fail cap -33 -5\n");
	show(&shown, "cap.pvm-sub-0.hyp-busy", "%s", word(enable(&rig, pvm, UAPI_GZVM_PVM_SET_FW_GPA, &cap), false));
	show(&shown, "cap.pvm-sub-1.hyp-no-memory", "%s", word(enable(&rig, pvm, UAPI_GZVM_PVM_GET_FW_SIZE, &cap), false));
	rig_close_broken(&rig, false);
	all_shown(&shown);
}
END_TEST

/* A physical address of the caller's choice: not where the kernel does not know it, or has been hardened. */
START_TEST(test_block_cap)
{
	const bool passed = _i >= V9 && _i <= A15;
	struct uapi_gzvm_enable_cap cap;
	struct rig rig;

	rig_vm_on(&rig, revisions[_i], "");
	ck_assert_int_eq(enable(&rig, UAPI_GZVM_CAP_BLOCK_DEMAND_PAGING, 0, &cap), passed ? 0 : -EINVAL);
	rig_close_broken(&rig, passed);
}
END_TEST

/* --- lifetimes ---------------------------------------------------------------------------------------------------- */

START_TEST(test_vm_goes_first)
{
	struct rig rig;

	rig_open_on(&rig, revisions[_i], "store 0x1000 4 1");
	rig_close_fd(&rig, &rig.vm);
	/* Where the vCPU holds its VM, it can still run. */
	if (_i == LATEST)
		ck_assert_str_eq(run_text(&rig), "0 MMIO write pa=0x1000 size=4 data=0x1 reg=0");
	rig_close_broken(&rig, _i != LATEST);
}
END_TEST

START_TEST(test_vcpus_go_first)
{
	struct rig rig;

	rig_open_on(&rig, revisions[_i], "off");
	ck_assert_int_eq(rig_run(&rig), 0);
	rig_close_fd(&rig, &rig.vcpu);
	rig_close_broken(&rig, false);
}
END_TEST

/* A reference that is never given back, where there are references. */
START_TEST(test_failed_vcpu)
{
	struct rig rig;

	rig_vm_on(&rig, revisions[_i], "#! fail create-vcpu -5\n");
	ck_assert_int_eq(rig_ioctl_value(&rig, rig.vm, UAPI_GZVM_CREATE_VCPU, 0), -ENOMEM);
	ck_assert_int_eq(gh_sim_breakage(rig.sim) != NULL, _i == LATEST);
	rig.vcpu = rig_ioctl_value(&rig, rig.vm, UAPI_GZVM_CREATE_VCPU, 0);
	ck_assert_int_ge(rig.vcpu, 0);
	rig_close_broken(&rig, _i == LATEST);
}
END_TEST

/* What a forked child gets: bit 0 set for EIO of the VM, bit 1 for EIO of the vCPU. */
static int child_of(struct rig *rig)
{
	uint64_t cap = UAPI_GZVM_CAP_GPA_SIZE;
	int status = 0;
	pid_t child = fork();

	ck_assert_int_ge(child, 0);
	if (child == 0) {
		const struct uapi_gzvm_one_reg reg = { UAPI_GZVM_REG_PC, 0 };
		int result = rig_ioctl(rig, rig->vm, UAPI_GZVM_CHECK_EXTENSION, &cap) == -EIO ? 1 : 0;

		result |= rig_ioctl(rig, rig->vcpu, UAPI_GZVM_SET_ONE_REG, &reg) == -EIO ? 2 : 0;
		_exit(result);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

START_TEST(test_child)
{
	struct rig rig;

	rig_open_on(&rig, revisions[_i], "");
	ck_assert_int_eq(child_of(&rig), _i == LATEST ? 3 : 0);
	rig_close_broken(&rig, false);
}
END_TEST

/* The default is what was observed, and every other name of a revision is the revision. */
START_TEST(test_names)
{
	static const char *const same[][2] = {
		{ "sim:gzvm", "sim:gzvm/v9" },
		{ "sim:gzvm/android14-6.1", "sim:gzvm/v9" },
		{ "sim:gzvm/v6", "sim:gzvm/v9" },
		{ "sim:gzvm/v7", "sim:gzvm/v9" },
		{ "sim:gzvm/vendor-6.1", "sim:gzvm/v5" },
		{ "sim:halla", "sim:halla/exynos" },
	};
	static const char *const none[] = { "sim:gzvm/", "sim:gzvm/v", "sim:gzvm/v9 v6", "sim:halla/v9",
					    "sim:gzvm/exynos" };
	struct gh_sim_options options = GH_SIM_OPTIONS_INIT;
	struct gh_sim *sim = NULL;

	options.script = "";
	for (size_t i = 0; i < COUNT(same); i++) {
		for (size_t j = 0; j < 2; j++) {
			options.device = same[i][j];
			ck_assert_int_eq(gh_sim_new(&options, &sim), 0);
			gh_sim_free(sim);
		}
	}
	for (size_t i = 0; i < COUNT(none); i++) {
		options.device = none[i];
		ck_assert_msg(gh_sim_new(&options, &sim) == -ENOENT, "%s", none[i]);
	}
}
END_TEST

int main(void)
{
	static const TTest *tests[9];

	tests[0] = test_vms;
	tests[1] = test_memory;
	tests[2] = test_caps;
	tests[3] = test_block_cap;
	tests[4] = test_vm_goes_first;
	tests[5] = test_vcpus_go_first;
	tests[6] = test_failed_vcpu;
	tests[7] = test_child;
	tests[8] = test_names;
	return run_suite_of("gzvm_rev_vm", tests, COUNT(tests), REVISIONS);
}
