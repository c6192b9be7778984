/* SPDX-License-Identifier: BSD-3-Clause */
/* Causes: names, words, and every row of the tables from kernel requests to causes. */
#include "../../lib/diagnosis.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define LAST GH_CAUSE_UNDESCRIBED_ACCESS

/* --- words ------------------------------------------------------------------------------------------------------------ */

START_TEST(test_names)
{
	for (unsigned int i = 0; i <= LAST; i++) {
		const struct gh_cause_text *text = gh_cause_text(i);

		ck_assert_msg(text != NULL, "cause %u has no text", i);
		ck_assert_str_eq(gh_cause_name(i), text->name);
		ck_assert_uint_eq(strspn(text->name, "abcdefghijklmnopqrstuvwxyz-"), strlen(text->name));
		ck_assert_uint_gt(strlen(text->name), 2);
		ck_assert_int_eq(text->cause[strlen(text->cause) - 1], '.');
		ck_assert_int_eq(text->remedy[strlen(text->remedy) - 1], '.');
		for (unsigned int other = 0; other < i; other++)
			ck_assert_str_ne(gh_cause_name(other), text->name);
	}
	ck_assert_ptr_null(gh_cause_text(LAST + 1));
	ck_assert_str_eq(gh_cause_name(LAST + 1), "unknown");
	ck_assert_str_eq(gh_cause_name(UINT32_MAX), "unknown");
	ck_assert_str_eq(gh_cause_name(GH_CAUSE_LOCK_LIMIT), "lock-limit");
	ck_assert_str_eq(gh_cause_name(GH_CAUSE_VENDOR_DIALECT), "vendor-dialect");
}
END_TEST

/* Numbers are for ever: programs compare with them. */
START_TEST(test_numbers)
{
	ck_assert_int_eq(GH_CAUSE_NONE, 0);
	ck_assert_int_eq(GH_CAUSE_NO_HYPERVISOR, 21);
	ck_assert_int_eq(GH_CAUSE_LOCK_LIMIT, 34);
	ck_assert_int_eq(GH_CAUSE_TREE_PLACE, 43);
	ck_assert_int_eq(GH_CAUSE_NO_PROXY_VCPUS, 57);
	ck_assert_int_eq(LAST, 64);
}
END_TEST

/* The library's own failures, and those of requests that no table knows. */
START_TEST(test_general)
{
	static const struct {
		int error;
		enum gh_cause own;
		enum gh_cause request;
		enum gh_cause other;
	} cases[] = {
		{ 0, GH_CAUSE_NONE, GH_CAUSE_NONE, GH_CAUSE_NONE },
		{ -EINVAL, GH_CAUSE_ARGUMENT, GH_CAUSE_OTHER, GH_CAUSE_NONE },
		{ -EBUSY, GH_CAUSE_STATE, GH_CAUSE_HYPERVISOR_BUSY, GH_CAUSE_NONE },
		{ -EAGAIN, GH_CAUSE_OTHER, GH_CAUSE_HYPERVISOR_BUSY, GH_CAUSE_NONE },
		{ -EPERM, GH_CAUSE_OTHER_THREAD, GH_CAUSE_PERMISSION, GH_CAUSE_NONE },
		{ -EACCES, GH_CAUSE_PERMISSION, GH_CAUSE_PERMISSION, GH_CAUSE_SELINUX },
		{ -EEXIST, GH_CAUSE_TAKEN, GH_CAUSE_TAKEN, GH_CAUSE_NONE },
		{ -ENOENT, GH_CAUSE_NOT_FOUND, GH_CAUSE_NOT_FOUND, GH_CAUSE_NONE },
		{ -ERANGE, GH_CAUSE_RANGE, GH_CAUSE_RANGE, GH_CAUSE_NONE },
		{ -EOVERFLOW, GH_CAUSE_RANGE, GH_CAUSE_RANGE, GH_CAUSE_NONE },
		{ -ENOSPC, GH_CAUSE_NO_ROOM, GH_CAUSE_NO_ROOM, GH_CAUSE_NONE },
		{ -EOPNOTSUPP, GH_CAUSE_UNSUPPORTED, GH_CAUSE_UNSUPPORTED, GH_CAUSE_HYPERVISOR_OLD },
		{ -ENODEV, GH_CAUSE_NOT_THIS_DEVICE, GH_CAUSE_OTHER, GH_CAUSE_NONE },
		{ -ESHUTDOWN, GH_CAUSE_STATE, GH_CAUSE_VM_SPENT, GH_CAUSE_NONE },
		{ -EPROTO, GH_CAUSE_BROKEN_KERNEL, GH_CAUSE_BROKEN_KERNEL, GH_CAUSE_NONE },
		{ -EFAULT, GH_CAUSE_NO_ACCESS, GH_CAUSE_NO_ACCESS, GH_CAUSE_NONE },
		{ -ENOEXEC, GH_CAUSE_FILE, GH_CAUSE_FILE, GH_CAUSE_NONE },
		{ -EBADMSG, GH_CAUSE_FILE, GH_CAUSE_RM_UNKNOWN, GH_CAUSE_NONE },
		{ -EFBIG, GH_CAUSE_FILE, GH_CAUSE_FILE, GH_CAUSE_NONE },
		{ -ENOMEM, GH_CAUSE_MEMORY, GH_CAUSE_MEMORY, GH_CAUSE_LOCK_LIMIT },
		{ -EMFILE, GH_CAUSE_DESCRIPTORS, GH_CAUSE_DESCRIPTORS, GH_CAUSE_NONE },
		{ -ENFILE, GH_CAUSE_DESCRIPTORS, GH_CAUSE_DESCRIPTORS, GH_CAUSE_NONE },
		{ -EBADF, GH_CAUSE_ARGUMENT, GH_CAUSE_ARGUMENT, GH_CAUSE_NONE },
		{ -EINTR, GH_CAUSE_INTERRUPTED, GH_CAUSE_INTERRUPTED, GH_CAUSE_NONE },
		{ -ENOTTY, GH_CAUSE_UNSUPPORTED, GH_CAUSE_NO_REQUEST, GH_CAUSE_NONE },
		{ -EDOM, GH_CAUSE_OTHER, GH_CAUSE_OTHER, GH_CAUSE_NONE },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct gh_failure failure = GH_FAILURE_INIT;

		gh_describe(&failure, cases[i].error, "step", NULL, "remedy", "%s", "cause");
		ck_assert_uint_eq(failure.cause_id, cases[i].own);
		ck_assert_uint_eq(failure.other_cause_id, GH_CAUSE_NONE);
		gh_describe_request(&failure, cases[i].error, "step", "request");
		ck_assert_uint_eq(failure.cause_id, cases[i].request);
		ck_assert_uint_eq(failure.other_cause_id, cases[i].other);
		ck_assert(failure_is(&failure, cases[i].error));
		ck_assert_ptr_nonnull(strstr(failure.cause, strerror(-cases[i].error)));
		/* Nothing of it stays in the next one. */
		gh_describe(&failure, cases[i].error, "step", NULL, "remedy", "%s", "cause");
		ck_assert_uint_eq(failure.cause_id, cases[i].own);
		ck_assert_uint_eq(failure.other_cause_id, GH_CAUSE_NONE);
	}
}
END_TEST

START_TEST(test_nowhere_to_write)
{
	gh_describe(NULL, -EINVAL, "step", NULL, "remedy", "%s", "cause");
	gh_describe_request(NULL, -EINVAL, "step", "request");
	gh_describe_cause(NULL, -EINVAL, GH_CAUSE_LENT, "step", NULL, "%s", "cause");
	gh_name_cause(NULL, GH_CAUSE_LENT);
}
END_TEST

/* --- a VM in given circumstances ---------------------------------------------------------------------------------------- */

static struct {
	struct gh_sys sys;
	uint64_t limit; /* bytes; 0: none */
	const char *cpus;
	const char *status;
	struct gh_region region;
	struct gh_region *regions[1];
	struct gh_backend ops;
	struct gh_bvm vm;
	struct gh_failure failure;
} rig;

static int rig_getrlimit(struct gh_sys *sys, int resource, struct rlimit *ret_limit)
{
	(void)sys;
	ck_assert_int_eq(resource, RLIMIT_MEMLOCK);
	ret_limit->rlim_cur = rig.limit != 0 ? rig.limit : RLIM_INFINITY;
	ret_limit->rlim_max = ret_limit->rlim_cur;
	return 0;
}

static int rig_open(struct gh_sys *sys, const char *path, int flags)
{
	const char *text = strcmp(path, "/proc/self/status") == 0 ? rig.status : NULL;
	int fd;

	(void)sys;
	(void)flags;
	if (strcmp(path, "/sys/devices/system/cpu/possible") == 0)
		text = rig.cpus;
	if (text == NULL)
		return -ENOENT;
	fd = memfd_create("text", MFD_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, text, strlen(text), 0), (ssize_t)strlen(text));
	return fd;
}

static void rig_up(const struct gh_diagnoses *diagnoses)
{
	memset(&rig, 0, sizeof(rig));
	rig.sys = *gh_sys_kernel();
	rig.sys.getrlimit = rig_getrlimit;
	rig.sys.open = rig_open;
	rig.ops.diagnoses = diagnoses;
	rig.region = (struct gh_region){ .gpa = RAM_GPA, .length = RAM_SIZE, .state = GH_REGION_TO_LEND };
	rig.regions[0] = &rig.region;
	rig.failure = (struct gh_failure)GH_FAILURE_INIT;
	rig.vm = (struct gh_bvm){
		.sys = &rig.sys,
		.ops = &rig.ops,
		.regions = rig.regions,
		.n_regions = 1,
		.n_vcpus = 4,
		.dtb_gpa = DTB_GPA,
		.dtb_size = 4096,
		.failure = &rig.failure,
	};
	rig.cpus = "0-3\n";
	rig.status = "Name:\tx\nVmLck:\t       0 kB\nVmPin:\t0 kB\n";
}

/* What each circumstance looks like. A lent region is what there is at first. */
static void arrange(unsigned int when)
{
	if ((when & GH_WHEN_LOCK_LIMIT) != 0)
		rig.limit = 64 << 10;
	if ((when & GH_WHEN_SHARED_MAIN) != 0)
		rig.region.state = GH_REGION_SHARED;
	if ((when & GH_WHEN_LARGE) != 0)
		rig.region.length = UINT64_C(2) << 30;
	if ((when & GH_WHEN_MANY_CPUS) != 0)
		rig.vm.n_vcpus = 5;
	if ((when & GH_WHEN_FIRMWARE) != 0)
		rig.vm.firmware_size = 4096;
	if ((when & GH_WHEN_GUEST_FILES) != 0)
		rig.vm.caps.quirks |= GH_QUIRK_OWN_FILES_ONLY;
}

/* --- every row ---------------------------------------------------------------------------------------------------------- */

struct expectation {
	enum gh_request request;
	unsigned int when;
	int error;
	const char *cause;
	const char *other;
	const char *remedy; /* a word of it */
};

#define LOCK GH_WHEN_LOCK_LIMIT
#define SHARED GH_WHEN_SHARED_MAIN
#define LARGE GH_WHEN_LARGE
#define CPUS GH_WHEN_MANY_CPUS

static const struct expectation gunyah[] = {
	{ GH_REQUEST_CREATE_VM, 0, -EINVAL, "vendor-dialect", "none", "kernel 6.1" },
	{ GH_REQUEST_CREATE_VM, 0, -ENODEV, "no-vm-ids", "none", "restart" },
	{ GH_REQUEST_CREATE_VM, 0, -ENOMEM, "out-of-memory", "no-vm-ids", "less guest memory" },
	{ GH_REQUEST_CREATE_VM, 0, -EACCES, "selinux", "hypervisor-refused", "avc: denied" },
	{ GH_REQUEST_MAP, 0, -EPERM, "other-process", "none", "process that opened" },
	{ GH_REQUEST_MAP, LOCK | LARGE, -ENOMEM, "lock-limit", "large-region", "CAP_IPC_LOCK" },
	{ GH_REQUEST_MAP, LOCK, -ENOMEM, "lock-limit", "none", "setrlimit" },
	{ GH_REQUEST_MAP, LARGE, -ENOMEM, "large-region", "out-of-memory", "64 to 256 MiB" },
	{ GH_REQUEST_MAP, 0, -ENOMEM, "out-of-memory", "fragmented", "huge pages" },
	{ GH_REQUEST_MAP, 0, -EFAULT, "unpinnable", "fragmented", "readable and writable" },
	{ GH_REQUEST_MAP, 0, -EAGAIN, "fragmented", "none", "GH_MEMORY_PREFAULT" },
	{ GH_REQUEST_MAP, 0, -EBUSY, "fragmented", "none", "GH_MEMORY_PREFAULT" },
	{ GH_REQUEST_LEND, 0, -EPERM, "other-process", "none", "process that opened" },
	{ GH_REQUEST_LEND, LOCK | LARGE, -ENOMEM, "lock-limit", "large-region", "CAP_IPC_LOCK" },
	{ GH_REQUEST_LEND, LOCK, -ENOMEM, "lock-limit", "none", "setrlimit" },
	{ GH_REQUEST_LEND, LARGE, -ENOMEM, "large-region", "out-of-memory", "64 to 256 MiB" },
	{ GH_REQUEST_LEND, 0, -ENOMEM, "out-of-memory", "fragmented", "huge pages" },
	{ GH_REQUEST_LEND, 0, -EFAULT, "unpinnable", "fragmented", "readable and writable" },
	{ GH_REQUEST_LEND, 0, -EAGAIN, "fragmented", "none", "GH_MEMORY_PREFAULT" },
	{ GH_REQUEST_LEND, 0, -EBUSY, "fragmented", "none", "GH_MEMORY_PREFAULT" },
	{ GH_REQUEST_MAP_FILE, GH_WHEN_LEND, -EINVAL, "rodata", "argument", "rodata=full" },
	{ GH_REQUEST_MAP_FILE, 0, -EPERM, "host-mapping", "none", "Unmap" },
	{ GH_REQUEST_MAP_CONTIGUOUS, 0, -ENOMEM, "fragmented", "out-of-memory", "huge pages" },
	{ GH_REQUEST_MAP_CONTIGUOUS, 0, -EBUSY, "taken", "none", "another one" },
	{ GH_REQUEST_RECLAIM, 0, -EBUSY, "hypervisor-busy", "hypervisor-memory", "Call again" },
	{ GH_REQUEST_RECLAIM, 0, -EAGAIN, "hypervisor-busy", "hypervisor-memory", "Call again" },
	{ GH_REQUEST_SET_AUTHENTICATION, 0, -ENOENT, "unsupported", "none", "gh_vm_features()" },
	{ GH_REQUEST_SET_REGISTER, 0, -EINVAL, "register", "state", "vCPU 0" },
	{ GH_REQUEST_START, CPUS | SHARED, -ENODEV, "too-many-cpus", "unprotected-refused", "GH_MEMORY_LEND" },
	{ GH_REQUEST_START, CPUS, -ENODEV, "too-many-cpus", "tree-refused", "at most as many" },
	{ GH_REQUEST_START, SHARED, -ENODEV, "unprotected-refused", "tree-refused", "GH_MEMORY_LEND" },
	{ GH_REQUEST_START, 0, -ENODEV, "tree-refused", "no-vm-ids", "RM rejected message" },
	{ GH_REQUEST_START, 0, -EINVAL, "tree-refused", "tree-place", "gh_fdt_validate()" },
	{ GH_REQUEST_START, 0, -ENOENT, "tree-place", "none", "gh_vm_set_dtb()" },
	{ GH_REQUEST_START, LOCK, -ENOMEM, "lock-limit", "hypervisor-memory", "setrlimit" },
	{ GH_REQUEST_START, 0, -ENOMEM, "hypervisor-memory", "no-vm-ids", "restart the machine" },
	{ GH_REQUEST_START, GH_WHEN_FIRMWARE, -EPERM, "firmware", "denied", "without firmware" },
	{ GH_REQUEST_START, GH_WHEN_GUEST_FILES, -EPERM, "host-mapping", "denied", "Unmap" },
	{ GH_REQUEST_START, 0, -EPERM, "denied", "none", "lent memory" },
	{ GH_REQUEST_START, 0, -EFAULT, "unpinnable", "fragmented", "readable and writable" },
	{ GH_REQUEST_START, 0, -EBADMSG, "rm-unknown", "hypervisor-old", "doc/errors.md" },
	{ GH_REQUEST_START, 0, -EOPNOTSUPP, "hypervisor-old", "none", "firmware" },
	{ GH_REQUEST_START, 0, -EACCES, "hypervisor-refused", "selinux", "gh_probe()" },
	{ GH_REQUEST_START, 0, -EIO, "hypervisor-refused", "none", "kernel's log" },
	{ GH_REQUEST_ADD_VCPU, 0, -EOPNOTSUPP, "no-proxy-vcpus", "none", "Update the hypervisor" },
	{ GH_REQUEST_ADD_VCPU, 0, -ENOENT, "module-missing", "none", "gunyah_vcpu" },
	{ GH_REQUEST_RUN, 0, -ENODEV, "vcpu-not-in-tree", "vm-spent", "cpu node" },
	{ GH_REQUEST_RUN, 0, -EPERM, "other-process", "none", "process that opened" },
	{ GH_REQUEST_RUN, LOCK, -ENOMEM, "lock-limit", "hypervisor-memory", "setrlimit" },
	{ GH_REQUEST_RUN, 0, -ENOMEM, "hypervisor-memory", "fragmented", "restart the machine" },
	{ GH_REQUEST_RUN, 0, -EFAULT, "unpinnable", "fragmented", "readable and writable" },
	{ GH_REQUEST_RUN, 0, -EINVAL, "hypervisor-refused", "none", "kernel's log" },
	{ GH_REQUEST_RUN, 0, -EACCES, "hypervisor-refused", "none", "kernel's log" },
	{ GH_REQUEST_FAULT, 0, -ENOENT, "unbacked", "none", "Map memory there" },
	{ GH_REQUEST_FAULT, GH_WHEN_GUEST_FILES, -EPERM, "host-mapping", "unbacked", "Unmap" },
	{ GH_REQUEST_FAULT, 0, -EPERM, "unbacked", "host-mapping", "Map memory there" },
	{ GH_REQUEST_FAULT, LOCK, -ENOMEM, "lock-limit", "hypervisor-memory", "setrlimit" },
	{ GH_REQUEST_FAULT, 0, -ENOMEM, "hypervisor-memory", "fragmented", "huge pages" },
	{ GH_REQUEST_FAULT, 0, -EFAULT, "unpinnable", "fragmented", "readable and writable" },
	{ GH_REQUEST_FAULT, 0, -EACCES, "hypervisor-refused", "unbacked", "kernel's log" },
	{ GH_REQUEST_IRQFD, 0, -ENOENT, "module-missing", "none", "gunyah_irqfd" },
	{ GH_REQUEST_IRQFD, 0, -EBADF, "not-eventfd", "none", "eventfd()" },
	{ GH_REQUEST_IRQFD, 0, -EINVAL, "not-eventfd", "none", "eventfd()" },
	{ GH_REQUEST_IOEVENTFD, 0, -EBADF, "not-eventfd", "none", "eventfd()" },
};

static const struct expectation geniezone[] = {
	{ GH_REQUEST_CREATE_VM, 0, -ENOMEM, "hypervisor-memory", "out-of-memory", "restart the machine" },
	{ GH_REQUEST_CREATE_VM, 0, -EINVAL, "hypervisor-refused", "none", "kernel's log" },
	{ GH_REQUEST_CREATE_VM, 0, -EFAULT, "hypervisor-refused", "none", "kernel's log" },
	{ GH_REQUEST_CREATE_VM, 0, -EOPNOTSUPP, "hypervisor-old", "none", "firmware" },
	{ GH_REQUEST_CREATE_VM, 0, -EACCES, "selinux", "none", "avc: denied" },
	{ GH_REQUEST_MAP, 0, -EINVAL, "not-whole-mapping", "none", "inaccessible pages" },
	{ GH_REQUEST_MAP, 0, -EFAULT, "unpinnable", "hypervisor-refused", "readable and writable" },
	{ GH_REQUEST_MAP, 0, -ENXIO, "no-room", "none", "fewer" },
	{ GH_REQUEST_MAP, 0, -ENOMEM, "out-of-memory", "hypervisor-memory", "less guest memory" },
	{ GH_REQUEST_INTERRUPT_CONTROLLER, 0, -ENOMEM, "hypervisor-memory", "out-of-memory", "restart" },
	{ GH_REQUEST_INTERRUPT_CONTROLLER, 0, -EINVAL, "interrupt-controller", "none", "gic_distributor" },
	{ GH_REQUEST_INTERRUPT_CONTROLLER, 0, -EFAULT, "interrupt-controller", "none", "gic_distributor" },
	{ GH_REQUEST_INTERRUPT_CONTROLLER, 0, -EOPNOTSUPP, "interrupt-controller", "hypervisor-old", "firmware" },
	{ GH_REQUEST_SET_DTB, 0, -EINVAL, "hypervisor-refused", "none", "kernel's log" },
	{ GH_REQUEST_SET_DTB, 0, -EFAULT, "hypervisor-refused", "none", "kernel's log" },
	{ GH_REQUEST_ADD_VCPU, 0, -EINVAL, "too-many-cpus", "hypervisor-refused", "at most as many" },
	{ GH_REQUEST_ADD_VCPU, 0, -ENOMEM, "hypervisor-memory", "out-of-memory", "restart" },
	{ GH_REQUEST_SET_REGISTER, 0, -EPERM, "register", "none", "vCPU 0" },
	{ GH_REQUEST_SET_REGISTER, 0, -EINVAL, "register", "none", "vCPU 0" },
	{ GH_REQUEST_SET_REGISTER, 0, -EOPNOTSUPP, "register", "hypervisor-old", "stub" },
	{ GH_REQUEST_RUN, 0, -EINVAL, "hypervisor-refused", "none", "kernel's log" },
	{ GH_REQUEST_RUN, 0, -EIO, "other-process", "none", "process that opened" },
	{ GH_REQUEST_FAULT, 0, -ENOENT, "unbacked", "hypervisor-refused", "Map memory there" },
	{ GH_REQUEST_IRQFD, 0, -EBUSY, "taken", "none", "another one" },
	{ GH_REQUEST_IRQFD, 0, -EBADF, "not-eventfd", "none", "timerfds" },
	{ GH_REQUEST_IRQFD, 0, -EINVAL, "not-eventfd", "none", "timerfds" },
	{ GH_REQUEST_IRQ_LINE, 0, -EFAULT, "range", "hypervisor-refused", "gh_probe()" },
	{ GH_REQUEST_IOEVENTFD, 0, -EBADF, "not-eventfd", "none", "timerfds" },
};

static void check_row(const struct gh_diagnoses *diagnoses, const struct expectation *expected)
{
	const char *request = diagnoses->names[expected->request];

	rig_up(diagnoses);
	arrange(expected->when);
	ck_assert_int_eq(gh_diagnose(&rig.failure, &rig.vm, expected->request, expected->error, &rig.region),
			 expected->error);
	ck_assert_msg(strcmp(gh_cause_name(rig.failure.cause_id), expected->cause) == 0, "%s %d: %s", request,
		      expected->error, rig.failure.cause);
	ck_assert_str_eq(gh_cause_name(rig.failure.other_cause_id), expected->other);
	ck_assert_msg(strstr(rig.failure.remedy, expected->remedy) != NULL, "%s: %s", expected->cause, rig.failure.remedy);
	ck_assert_str_eq(rig.failure.request, request);
	ck_assert(failure_is(&rig.failure, expected->error));
	/* Nothing is cut off. */
	ck_assert_int_eq(rig.failure.cause[strlen(rig.failure.cause) - 1], ')');
	ck_assert_int_eq(rig.failure.remedy[strlen(rig.failure.remedy) - 1], '.');
}

static void check_table(const struct gh_diagnoses *diagnoses, const struct expectation *expected, size_t count)
{
	bool seen[128] = { false };

	ck_assert_uint_lt(diagnoses->n_rows, COUNT(seen));
	for (size_t i = 0; i < count; i++) {
		const struct gh_diagnosis *row =
			gh_diagnosis_find(diagnoses, expected[i].request, expected[i].error, expected[i].when);

		ck_assert_ptr_nonnull(row);
		check_row(diagnoses, &expected[i]);
		seen[row - diagnoses->rows] = true;
	}
	for (size_t i = 0; i < diagnoses->n_rows; i++)
		ck_assert_msg(seen[i], "row %zu (request %u, error %d, cause %s) is tried by no test", i,
			      diagnoses->rows[i].request, diagnoses->rows[i].error,
			      gh_cause_name(diagnoses->rows[i].cause));
}

START_TEST(test_gunyah)
{
	check_table(&gh_gunyah_diagnoses, gunyah, COUNT(gunyah));
}
END_TEST

START_TEST(test_geniezone)
{
	check_table(&gh_geniezone_diagnoses, geniezone, COUNT(geniezone));
}
END_TEST

/* --- circumstances ------------------------------------------------------------------------------------------------------ */

static const char *cause_of(enum gh_request request, int error)
{
	(void)gh_diagnose(&rig.failure, &rig.vm, request, error, NULL);
	return gh_cause_name(rig.failure.cause_id);
}

/* Locked memory of the process counts as well, and files that are not there are no reason. */
START_TEST(test_locks)
{
	rig_up(&gh_gunyah_diagnoses);
	rig.limit = 5 * MIB;
	ck_assert_str_eq(cause_of(GH_REQUEST_MAP, -ENOMEM), "out-of-memory");
	(void)gh_diagnose(&rig.failure, &rig.vm, GH_REQUEST_MAP, -ENOMEM, &rig.region);
	ck_assert_uint_eq(rig.failure.cause_id, GH_CAUSE_LOCK_LIMIT); /* once more as much */
	ck_assert_ptr_nonnull(strstr(rig.failure.cause, "4096 KiB, and 4096 KiB of other regions"));
	ck_assert_ptr_nonnull(strstr(rig.failure.cause, "RLIMIT_MEMLOCK allows 5120 KiB"));
	rig.status = "VmPeak: 1 kB\nVmLck:\t    6144 kB\n";
	ck_assert_str_eq(cause_of(GH_REQUEST_MAP, -ENOMEM), "lock-limit");
	rig.status = "VmPeak: 1 kB\nVmLck:\t    nothing\n";
	ck_assert_str_eq(cause_of(GH_REQUEST_MAP, -ENOMEM), "out-of-memory");
	rig.status = "\nVmLck: 99999999999999999999999999999999999999999999 kB";
	ck_assert_str_eq(cause_of(GH_REQUEST_MAP, -ENOMEM), "lock-limit");
	rig.status = "";
	ck_assert_str_eq(cause_of(GH_REQUEST_MAP, -ENOMEM), "out-of-memory");
	rig.status = NULL;
	ck_assert_str_eq(cause_of(GH_REQUEST_MAP, -ENOMEM), "out-of-memory");
	rig.limit = MIB;
	ck_assert_str_eq(cause_of(GH_REQUEST_MAP, -ENOMEM), "lock-limit");
}
END_TEST

/* A lock of the library's that fails although the limit would allow it has another reason. */
START_TEST(test_lock_limit)
{
	rig_up(&gh_gunyah_diagnoses);
	rig.limit = 64 * MIB;
	ck_assert_int_eq(gh_fail_lock_limit(&rig.vm, -ENOMEM, "mlock2", &rig.region), -ENOMEM);
	ck_assert_uint_eq(rig.failure.cause_id, GH_CAUSE_MEMORY);
	rig.limit = 5 * MIB;
	ck_assert_int_eq(gh_fail_lock_limit(&rig.vm, -ENOMEM, "mlock2", &rig.region), -ENOMEM);
	ck_assert_uint_eq(rig.failure.cause_id, GH_CAUSE_LOCK_LIMIT);
	ck_assert_str_eq(rig.failure.request, "mlock2");
}
END_TEST

/* The one that was refused is not among the VM's yet. */
START_TEST(test_large_region)
{
	struct gh_region large = { .gpa = RAM_GPA, .length = UINT64_C(1) << 30 };

	rig_up(&gh_gunyah_diagnoses);
	(void)gh_diagnose(&rig.failure, &rig.vm, GH_REQUEST_MAP, -ENOMEM, &large);
	ck_assert_uint_eq(rig.failure.cause_id, GH_CAUSE_LARGE_REGION);
	large.length -= 4096;
	(void)gh_diagnose(&rig.failure, &rig.vm, GH_REQUEST_MAP, -ENOMEM, &large);
	ck_assert_uint_eq(rig.failure.cause_id, GH_CAUSE_MEMORY);
}
END_TEST

START_TEST(test_cpus)
{
	rig_up(&gh_gunyah_diagnoses);
	ck_assert_str_eq(cause_of(GH_REQUEST_START, -ENODEV), "tree-refused");
	rig.cpus = "0-1\n";
	ck_assert_str_eq(cause_of(GH_REQUEST_START, -ENODEV), "too-many-cpus");
	rig.cpus = "0\n";
	ck_assert_str_eq(cause_of(GH_REQUEST_START, -ENODEV), "tree-refused");
	rig.cpus = NULL;
	ck_assert_str_eq(cause_of(GH_REQUEST_START, -ENODEV), "tree-refused");
}
END_TEST

/* A hypervisor without a table, and an errno that the table does not have. */
START_TEST(test_no_row)
{
	rig_up(NULL);
	ck_assert_str_eq(cause_of(GH_REQUEST_START, -ENODEV), "other");
	ck_assert_str_eq(rig.failure.step, "start the VM");
	ck_assert_str_eq(rig.failure.request, "START");
	ck_assert(failure_is(&rig.failure, -ENODEV));
	rig_up(&gh_gunyah_diagnoses);
	ck_assert_str_eq(cause_of(GH_REQUEST_START, -EINTR), "interrupted");
	ck_assert_str_eq(rig.failure.request, "GH_VM_START (0x4703)");
	ck_assert_int_eq(gh_diagnose(NULL, &rig.vm, GH_REQUEST_START, -EINTR, NULL), -EINTR);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cause");
	TCase *tcase = add_case(suite, "cause");

	tcase_add_test(tcase, test_names);
	tcase_add_test(tcase, test_numbers);
	tcase_add_test(tcase, test_general);
	tcase_add_test(tcase, test_nowhere_to_write);
	tcase_add_test(tcase, test_gunyah);
	tcase_add_test(tcase, test_geniezone);
	tcase_add_test(tcase, test_locks);
	tcase_add_test(tcase, test_lock_limit);
	tcase_add_test(tcase, test_large_region);
	tcase_add_test(tcase, test_cpus);
	tcase_add_test(tcase, test_no_row);
	return run_suite(suite);
}
