/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Why a hypervisor is missing: the reason as a number, as a word and in words, on machines that are a few files and a table
 * of system calls. Linked with --wrap=gh_sys_kernel.
 */
#include "internal.h"
#include "uapi/gunyah.h"
#include "uapi/gzvm.h"
#include "uapi/kvm.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- a machine ------------------------------------------------------------------------------------------------------ */

struct text_file {
	const char *path;
	const char *text;
};

static struct {
	bool is_kernel;
	int open_result; /* of devices */
	const struct text_file *files;
	unsigned int mode; /* of the device's node; 0: it cannot be looked at */
	unsigned int owner;
	unsigned int group;
	int node; /* descriptor of a look at the node, -1 */
	rlim_t soft;
	rlim_t hard;
	int kvm_version;
	int kvm_doorbells; /* times that somebody asked for them */
	int opened;        /* devices */
	int read_error;
} machine;

static struct gh_sys table;

struct gh_sys *__real_gh_sys_kernel(void);
struct gh_sys *__wrap_gh_sys_kernel(void);

struct gh_sys *__wrap_gh_sys_kernel(void)
{
	return machine.is_kernel ? &table : __real_gh_sys_kernel();
}

static int text_open(const char *text)
{
	int fd = memfd_create("text", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static int machine_open(struct gh_sys *sys, const char *path, int flags)
{
	(void)sys;
	for (const struct text_file *file = machine.files; file != NULL && file->path != NULL; file++)
		if (strcmp(file->path, path) == 0)
			return text_open(file->text);
	if (strncmp(path, "/dev/g", 6) != 0 && strncmp(path, "/dev/k", 6) != 0)
		return -ENOENT;
	if (strcmp(path, "/dev/gz_kree") == 0)
		return -ENOENT;
	if ((flags & O_PATH) != 0) {
		if (machine.mode == 0)
			return -EACCES;
		machine.node = open("/dev/null", O_PATH | O_CLOEXEC);
		return machine.node;
	}
	machine.opened++;
	return machine.open_result < 0 ? machine.open_result : open("/dev/null", O_RDWR | O_CLOEXEC);
}

static ssize_t machine_read(struct gh_sys *sys, int fd, void *buffer, size_t length)
{
	struct gh_sys *kernel = __real_gh_sys_kernel();

	(void)sys;
	return machine.read_error != 0 ? machine.read_error : kernel->read(kernel, fd, buffer, length < 7 ? length : 7);
}

static int machine_fstat(struct gh_sys *sys, int fd, struct stat *ret_stat)
{
	(void)sys;
	ck_assert_int_eq(fd, machine.node);
	ret_stat->st_mode = S_IFCHR | machine.mode;
	ret_stat->st_uid = machine.owner;
	ret_stat->st_gid = machine.group;
	return 0;
}

static int machine_getrlimit(struct gh_sys *sys, int resource, struct rlimit *ret_limit)
{
	(void)sys;
	ck_assert_int_eq(resource, RLIMIT_MEMLOCK);
	ret_limit->rlim_cur = machine.soft;
	ret_limit->rlim_max = machine.hard;
	return 0;
}

/*
 * KVM's requests with Gunyah behind them: another version; most capabilities as everywhere, doorbells among them, which it
 * takes and never rings.
 */
static int fronted_ioctl(struct gh_sys *sys, int fd, unsigned long request, uintptr_t arg)
{
	(void)sys;
	(void)fd;
	if (machine.kvm_version == 0)
		return -ENOTTY;
	if (request == UAPI_KVM_GET_API_VERSION)
		return arg == 0 ? machine.kvm_version : -EINVAL;
	if (request == UAPI_KVM_CHECK_EXTENSION) {
		machine.kvm_doorbells += arg == UAPI_KVM_CAP_IOEVENTFD;
		return 1;
	}
	ck_assert_msg(request != UAPI_KVM_CREATE_VM, "a VM of a kernel that is refused");
	return -EINVAL;
}

static void setup(void)
{
	memset(&machine, 0, sizeof(machine));
	machine.is_kernel = true;
	machine.open_result = -ENOENT;
	machine.node = -1;
	machine.soft = RLIM_INFINITY;
	machine.hard = RLIM_INFINITY;
	table = *__real_gh_sys_kernel();
	table.open = machine_open;
	table.read = machine_read;
	table.fstat = machine_fstat;
	table.getrlimit = machine_getrlimit;
	table.ioctl = fronted_ioctl;
	(void)unsetenv("GH_DEVICE");
}

static void teardown(void)
{
	machine.is_kernel = false;
}

static struct gh_probe_entry ask(const char *backend, const char *device)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_probe *probe = NULL;
	struct gh_probe_entry entry;

	options.backend = backend;
	options.device = device;
	ck_assert_int_eq(gh_probe(&options, &probe), 0);
	ck_assert_uint_eq(gh_probe_count(probe), 1);
	entry = *gh_probe_get(probe, 0);
	gh_probe_free(probe);
	ck_assert_uint_eq(entry.usable, entry.missing == GH_MISSING_NOTHING);
	ck_assert_uint_eq(entry.usable, entry.failure.error == 0);
	ck_assert_ptr_nonnull(gh_missing_name(entry.missing));
	return entry;
}

/* What the words say, for programs; the first that fits. */
static const struct {
	const char *words;
	enum gh_cause cause;
} causes[] = {
	{ "There is no such device node", GH_CAUSE_NO_DRIVER },
	{ "no driver for a hypervisor", GH_CAUSE_NO_DRIVER },
	{ "misc device", GH_CAUSE_HIDDEN_NODE },
	{ "but one for", GH_CAUSE_NO_HYPERVISOR },
	{ "found no hypervisor", GH_CAUSE_NO_DEVICE_TREE_NODE },
	{ "/dev/gz_kree", GH_CAUSE_OLD_HYPERVISOR },
	{ "There is no such file", GH_CAUSE_NOT_FOUND },
	{ "may not open it: mode", GH_CAUSE_PERMISSION },
	{ "so SELinux or another policy", GH_CAUSE_SELINUX },
	{ "or SELinux", GH_CAUSE_PERMISSION },
	{ "a container's rules", GH_CAUSE_SELINUX },
	{ "no driver behind it", GH_CAUSE_DEAD_NODE },
	{ "too many open descriptors", GH_CAUSE_DESCRIPTORS },
	{ "out of memory", GH_CAUSE_MEMORY },
	{ "refused to open it", GH_CAUSE_OTHER },
	{ "does not answer", GH_CAUSE_NOT_THIS_DEVICE },
	{ "Gunyah behind KVM's interface", GH_CAUSE_KVM_FRONTED },
	{ "version 14", GH_CAUSE_MACHINE },
	{ "\"irq-line\"", GH_CAUSE_UNSUPPORTED },
};

static void expect_cause(const struct gh_failure *failure)
{
	for (size_t i = 0; i < sizeof(causes) / sizeof(causes[0]); i++) {
		if (strstr(failure->cause, causes[i].words) == NULL)
			continue;
		ck_assert_msg(failure->cause_id == causes[i].cause, "%s: %s", gh_cause_name(failure->cause_id),
			      failure->cause);
		return;
	}
	ck_abort_msg("no cause is expected for: %s", failure->cause);
}

static void expect(const struct gh_probe_entry *entry, enum gh_missing missing, int error, const char *words)
{
	expect_cause(&entry->failure);
	ck_assert_msg(entry->missing == missing, "%s: %s", gh_missing_name(entry->missing), entry->failure.cause);
	ck_assert_msg(failure_is(&entry->failure, error), "%d: %s", entry->failure.error, entry->failure.cause);
	ck_assert_msg(strstr(entry->failure.cause, words) != NULL, "%s", entry->failure.cause);
	/* Nothing was cut off. */
	ck_assert_uint_lt(strlen(entry->failure.cause), sizeof(entry->failure.cause) - 1);
	ck_assert_uint_lt(strlen(entry->failure.remedy), sizeof(entry->failure.remedy) - 1);
}

/* --- no node -------------------------------------------------------------------------------------------------------- */

static const struct text_file no_files[] = { { NULL, NULL } };
static const struct text_file no_driver[] = { { "/proc/misc", "130 watchdog\n  1 psaux\n" }, { NULL, NULL } };
static const struct text_file hidden[] = { { "/proc/misc", "130 watchdog\n 59 gunyah\n 60 gzvm\n" }, { NULL, NULL } };
static const struct text_file with_kvm[] = { { "/proc/misc", "232 kvm\n235 autofs\n" }, { NULL, NULL } };
static const struct text_file lookalike[] = { { "/proc/misc", "1 gunyah2\n2 xgunyah\n3 gun\n" }, { NULL, NULL } };
static const struct text_file module[] = { { "/proc/misc", "232 kvm\n" }, { "/sys/module/gzvm", "" }, { NULL, NULL } };
static const struct text_file old[] = { { "/proc/misc", "1 psaux\n" }, { "/dev/gz_kree", "" }, { NULL, NULL } };
static const struct text_file rubbish[] = { { "/proc/misc", "\n\n-\n18446744073709551616 a\nx y z\n  7\n9 \n8" },
					    { NULL, NULL } };
static const struct text_file last_line[] = { { "/proc/misc", "232 kvm" }, { NULL, NULL } };

static const struct {
	const struct text_file *files;
	const char *backend;
	const char *words;
} nodes[] = {
	{ no_files, "gunyah", "/dev/gunyah: There is no such device node" },
	{ no_driver, "gunyah", "/dev/gunyah: The kernel has no driver for a hypervisor" },
	{ hidden, "gunyah", "misc device 59" },
	{ hidden, "geniezone", "misc device 60" },
	{ hidden, "kvm", "but one for Gunyah (backend \"gunyah\")" },
	{ with_kvm, "gunyah", "but one for KVM (backend \"kvm\")" },
	{ with_kvm, "geniezone", "but one for KVM" },
	{ lookalike, "gunyah", "no driver for a hypervisor" },
	{ module, "geniezone", "found no hypervisor" },
	{ module, "gunyah", "but one for KVM" },
	{ old, "geniezone", "/dev/gz_kree" },
	{ old, "gunyah", "no driver for a hypervisor" },
	{ rubbish, "gunyah", "no driver for a hypervisor" },
	{ last_line, "gunyah", "but one for KVM" },
};

START_TEST(test_no_node)
{
	struct gh_probe_entry entry;

	machine.files = nodes[_i].files;
	entry = ask(nodes[_i].backend, NULL);
	expect(&entry, GH_MISSING_NODE, -ENOENT, nodes[_i].words);
	ck_assert_str_eq(entry.dialect, "");
}
END_TEST

/* A path that somebody gave: the kernel's drivers have nothing to do with it. */
START_TEST(test_no_file)
{
	struct gh_probe_entry entry;

	machine.files = hidden;
	entry = ask("gunyah", "/dev/gunya");
	expect(&entry, GH_MISSING_NODE, -ENOENT, "/dev/gunya: There is no such file");
}
END_TEST

/* gh_vm_open() tells the same reason for a backend that was named. */
START_TEST(test_open_tells)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_failure failure = GH_FAILURE_INIT;
	struct gh_vm *vm = NULL;

	machine.files = hidden;
	options.failure = &failure;
	options.backend = "gunyah";
	ck_assert_int_eq(gh_vm_open(&options, &vm), -ENOENT);
	ck_assert_ptr_nonnull(strstr(failure.cause, "misc device 59"));
	options.failure = NULL;
	ck_assert_int_eq(gh_vm_open(&options, &vm), -ENOENT);
	ck_assert_ptr_null(vm);
}
END_TEST

START_TEST(test_unreadable)
{
	struct gh_probe_entry entry;

	machine.files = hidden;
	machine.read_error = -EIO;
	entry = ask("gunyah", NULL);
	expect(&entry, GH_MISSING_NODE, -ENOENT, "There is no such device node");
}
END_TEST

/* --- no permission -------------------------------------------------------------------------------------------------- */

#define PROCESS(uid, gid, groups, capabilities)                                                                            \
	"Name:\tvmm\nUid:\t9\t9\t9\t" uid "\nGid:\t9\t9\t9\t" gid "\nGroups:\t" groups "\nCapEff:\t" capabilities "\n"
#define NOBODY PROCESS("2000", "2000", "1004 1007 3003 ", "0000000000000000")
#define DOMAIN                                                                                                             \
	{                                                                                                                  \
		"/proc/self/attr/current", "u:r:shell:s0\n"                                                                \
	}

static const struct text_file shell[] = { { "/proc/self/status", NOBODY }, DOMAIN, { NULL, NULL } };
static const struct text_file no_domain[] = { { "/proc/self/status", NOBODY }, { NULL, NULL } };
static const struct text_file root[] = { { "/proc/self/status", PROCESS("0", "0", "", "000001ffffffffff") },
					 DOMAIN,
					 { NULL, NULL } };
static const struct text_file weak_root[] = { { "/proc/self/status", PROCESS("0", "0", "", "0") }, { NULL, NULL } };
static const struct text_file nonsense[] = { { "/proc/self/status", "Uid:\nGid:\t1\nGroups:\nCapEff:\n" }, { NULL, NULL } };
static const struct text_file short_lines[] = { { "/proc/self/status", "CapEff:\t0\nGroups:\nUid:\t1 2 3\nGid:\t1 2 3 4" },
						{ NULL, NULL } };

static const struct {
	const struct text_file *files;
	unsigned int mode;
	unsigned int owner;
	unsigned int group;
	enum gh_missing missing;
	const char *words;
} permissions[] = {
	{ shell, 0600, 0, 0, GH_MISSING_PERMISSION, "mode 0600, user 0, group 0; the process is user 2000, group 2000" },
	{ shell, 0660, 0, 1005, GH_MISSING_PERMISSION, "group 1005" },
	{ shell, 0660, 0, 1007, GH_MISSING_POLICY, "u:r:shell:s0" },
	{ shell, 0660, 0, 2000, GH_MISSING_POLICY, "SELinux" },
	{ shell, 0666, 0, 0, GH_MISSING_POLICY, "SELinux" },
	{ shell, 0606, 0, 0, GH_MISSING_POLICY, "SELinux" },
	{ shell, 0600, 2000, 0, GH_MISSING_POLICY, "SELinux" },
	{ shell, 0066, 2000, 0, GH_MISSING_PERMISSION, "mode 066" },
	{ shell, 0606, 0, 2000, GH_MISSING_PERMISSION, "mode 0606" },
	{ shell, 0444, 0, 0, GH_MISSING_PERMISSION, "mode 0444" },
	{ no_domain, 0666, 0, 0, GH_MISSING_POLICY, "(unknown)" },
	{ root, 0600, 5, 0, GH_MISSING_POLICY, "SELinux" },
	{ weak_root, 0600, 5, 0, GH_MISSING_PERMISSION, "user 5" },
	/* Nothing can be told: the general words. */
	{ shell, 0, 0, 0, GH_MISSING_PERMISSION, "or SELinux" },
	{ no_files, 0600, 0, 0, GH_MISSING_PERMISSION, "or SELinux" },
	{ nonsense, 0600, 0, 0, GH_MISSING_PERMISSION, "or SELinux" },
	{ short_lines, 0600, 0, 0, GH_MISSING_PERMISSION, "or SELinux" },
};

START_TEST(test_permission)
{
	struct gh_probe_entry entry;

	machine.open_result = -EACCES;
	machine.files = permissions[_i].files;
	machine.mode = permissions[_i].mode;
	machine.owner = permissions[_i].owner;
	machine.group = permissions[_i].group;
	entry = ask("gunyah", NULL);
	expect(&entry, permissions[_i].missing, -EACCES, permissions[_i].words);
	ck_assert_ptr_nonnull(strstr(entry.failure.remedy, "device_fd"));
}
END_TEST

static const struct {
	int error;
	enum gh_missing missing;
	const char *words;
} open_errors[] = {
	{ -EPERM, GH_MISSING_POLICY, "container" },
	{ -ENXIO, GH_MISSING_DRIVER, "no driver behind it" },
	{ -ENODEV, GH_MISSING_DRIVER, "no driver behind it" },
	{ -EMFILE, GH_MISSING_RESOURCE, "too many open descriptors" },
	{ -ENFILE, GH_MISSING_RESOURCE, "too many open descriptors" },
	{ -ENOMEM, GH_MISSING_RESOURCE, "out of memory" },
	{ -EIO, GH_MISSING_OTHER, "refused to open it" },
};

START_TEST(test_open_error)
{
	struct gh_probe_entry entry;

	machine.open_result = open_errors[_i].error;
	entry = ask("geniezone", NULL);
	expect(&entry, open_errors[_i].missing, open_errors[_i].error, open_errors[_i].words);
}
END_TEST

/* --- another device, another dialect ---------------------------------------------------------------------------------- */

START_TEST(test_foreign)
{
	struct gh_probe_entry entry;

	machine.open_result = 0;
	entry = ask("gunyah", NULL);
	expect(&entry, GH_MISSING_RELATION, -ENODEV, "does not answer");
}
END_TEST

START_TEST(test_behind_kvm)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_failure failure = GH_FAILURE_INIT;
	struct gh_probe_entry entry;
	struct gh_vm *vm = NULL;

	machine.open_result = 0;
	machine.kvm_version = 13;
	entry = ask("kvm", NULL);
	expect(&entry, GH_MISSING_DIALECT, -ENODEV, "Gunyah behind KVM's interface");
	ck_assert_ptr_nonnull(strstr(entry.dialect, "Gunyah behind KVM"));
	ck_assert_ptr_nonnull(strstr(entry.failure.remedy, "/dev/gunyah"));
	ck_assert_uint_eq(entry.features, 0);
	/* Nothing that it says after that is asked for. */
	ck_assert_int_eq(machine.kvm_doorbells, 0);
	/* Without a backend's name, the refusal that says most. */
	options.failure = &failure;
	ck_assert_int_eq(gh_vm_open(&options, &vm), -ENODEV);
	ck_assert_ptr_nonnull(strstr(failure.cause, "Gunyah behind KVM's interface"));
	ck_assert_ptr_null(vm);
	/* Another version is nobody's. */
	machine.kvm_version = 14;
	entry = ask("kvm", NULL);
	expect(&entry, GH_MISSING_DIALECT, -ENODEV, "version 14");
	ck_assert_str_eq(entry.dialect, "");
}
END_TEST

START_TEST(test_feature)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_probe *probe = NULL;
	struct gh_sim *sim;

	machine.is_kernel = false;
	sim = new_sim(GUNYAH, "");
	options.machine = sim;
	options.features_on = GH_FEATURE_IRQ_LINE;
	ck_assert_int_eq(gh_probe(&options, &probe), 0);
	expect(gh_probe_get(probe, 0), GH_MISSING_FEATURE, -EOPNOTSUPP, "irq-line");
	expect(gh_probe_get(probe, 1), GH_MISSING_RELATION, -ENODEV, "does not answer");
	gh_probe_free(probe);
	end_sim(sim);
}
END_TEST

START_TEST(test_reason_names)
{
	uint32_t count = 0;

	while (gh_missing_name(count) != NULL)
		count++;
	ck_assert_uint_eq(count, GH_MISSING_OTHER + 1);
	ck_assert_str_eq(gh_missing_name(GH_MISSING_NOTHING), "nothing");
	ck_assert_str_eq(gh_missing_name(GH_MISSING_DIALECT), "dialect");
	ck_assert_ptr_null(gh_missing_name(UINT32_MAX));
}
END_TEST

/* --- limits --------------------------------------------------------------------------------------------------------- */

static int gunyah_ioctl(struct gh_sys *sys, int fd, unsigned long request, uintptr_t arg)
{
	(void)sys;
	(void)fd;
	(void)arg;
	if (request == UAPI_GUNYAH_CREATE_VM)
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	return request == UAPI_GUNYAH_ADD_FUNCTION || request == UAPI_GUNYAH_SET_USER_MEM ? -EFAULT : -ENOTTY;
}

#define KIB ((rlim_t)1024)

static const struct {
	rlim_t soft;
	rlim_t hard;
	const struct text_file *files;
	uint64_t told;
	const char *remedy; /* NULL: no caution */
} limits[] = {
	{ RLIM_INFINITY, RLIM_INFINITY, shell, UINT64_MAX, NULL },
	{ 64 * KIB, 64 * KIB, root, UINT64_MAX, NULL },
	{ 64 * KIB, 64 * KIB, shell, 65536, "CAP_IPC_LOCK" },
	{ 64 * KIB, RLIM_INFINITY, shell, 65536, "setrlimit" },
	{ 64 * KIB, 64 * KIB, nonsense, 65536, "CAP_IPC_LOCK" },
	{ 65535 * KIB, 65535 * KIB, shell, 65535 * 1024, "CAP_IPC_LOCK" },
	{ 65536 * KIB, 65536 * KIB, shell, 65536 * 1024, NULL },
	{ 0, 0, shell, 0, "CAP_IPC_LOCK" },
};

START_TEST(test_lock_limit)
{
	struct gh_probe_entry entry;

	machine.open_result = 0;
	machine.soft = limits[_i].soft;
	machine.hard = limits[_i].hard;
	machine.files = limits[_i].files;
	table.ioctl = gunyah_ioctl;
	entry = ask("gunyah", NULL);
	ck_assert_msg(entry.usable == 1, "%s", entry.failure.cause);
	ck_assert_uint_ne(entry.quirks & GH_QUIRK_LOCKS_MEMORY, 0);
	ck_assert_uint_eq(entry.lock_limit, limits[_i].told);
	if (limits[_i].remedy == NULL) {
		ck_assert_int_eq(entry.caution.error, 0);
		return;
	}
	ck_assert(failure_is(&entry.caution, -ENOMEM));
	ck_assert_ptr_nonnull(strstr(entry.caution.cause, "memory-lock limit"));
	ck_assert_ptr_nonnull(strstr(entry.caution.remedy, limits[_i].remedy));
}
END_TEST

/* A kernel that does not lock: the limit is told, and is nothing to be cautious about. */
START_TEST(test_no_caution)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_probe *probe = NULL;

	machine.open_result = 0;
	machine.soft = 0;
	machine.files = shell;
	table.ioctl = gunyah_ioctl;
	options.quirks_off = GH_QUIRK_LOCKS_MEMORY;
	ck_assert_int_eq(gh_probe(&options, &probe), 0);
	ck_assert_uint_eq(gh_probe_get(probe, 0)->usable, 1);
	ck_assert_int_eq(gh_probe_get(probe, 0)->caution.error, 0);
	ck_assert_uint_eq(gh_probe_get(probe, 0)->lock_limit, 0);
	/* The process's limit, whatever the device is. */
	ck_assert_uint_eq(gh_probe_get(probe, 2)->usable, 0);
	ck_assert_uint_eq(gh_probe_get(probe, 2)->lock_limit, 0);
	gh_probe_free(probe);
	/* One that takes memory from its own files only. */
	options.quirks_off = 0;
	options.quirks_on = GH_QUIRK_LOCKS_MEMORY | GH_QUIRK_OWN_FILES_ONLY;
	ck_assert_int_eq(gh_probe(&options, &probe), 0);
	ck_assert_int_eq(gh_probe_get(probe, 0)->caution.error, 0);
	gh_probe_free(probe);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("reason");
	TCase *tcase = add_case(suite, "reason");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, test_no_node, 0, COUNT(nodes));
	tcase_add_test(tcase, test_no_file);
	tcase_add_test(tcase, test_open_tells);
	tcase_add_test(tcase, test_unreadable);
	tcase_add_loop_test(tcase, test_permission, 0, COUNT(permissions));
	tcase_add_loop_test(tcase, test_open_error, 0, COUNT(open_errors));
	tcase_add_test(tcase, test_foreign);
	tcase_add_test(tcase, test_behind_kvm);
	tcase_add_test(tcase, test_feature);
	tcase_add_test(tcase, test_reason_names);
	tcase_add_loop_test(tcase, test_lock_limit, 0, COUNT(limits));
	tcase_add_test(tcase, test_no_caution);
	return run_suite(suite);
}
