/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finding a hypervisor, and saying why there is none. Devices that no machine here has are played by a system-call table
 * whose open() and ioctl() answer as they would. Linked with --wrap=gh_simload and --wrap=gh_sys_kernel.
 */
#include "../../lib/internal.h"
#include "../../lib/sim/libghsim.h"
#include "../../lib/uapi/gunyah.h"
#include "../../lib/uapi/gzvm.h"
#include "../../lib/uapi/kvm.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NEW_FD INT_MAX /* of an answer: a new descriptor */

/* --- the model ---------------------------------------------------------------------------------------------------- */

struct answer {
	unsigned long request;
	int result;
	uint64_t arg; /* of KVM's capabilities; others: any */
};

static struct {
	bool is_kernel; /* it stands for the real kernel */
	bool no_libghsim;
	int open_result; /* 0: opens */
	int open_gunyah; /* the same for /dev/gunyah alone, if it is not 0 */
	int unknown;     /* what other requests get */
	uint64_t gpa_bits;
	struct answer answers[16];
} model;

static struct gh_sys model_table;

struct gh_sys *__real_gh_sys_kernel(void);
struct gh_sys *__wrap_gh_sys_kernel(void);
int __real_gh_simload(struct gh_simload *ret_load);
int __wrap_gh_simload(struct gh_simload *ret_load);

struct gh_sys *__wrap_gh_sys_kernel(void)
{
	return model.is_kernel ? &model_table : __real_gh_sys_kernel();
}

int __wrap_gh_simload(struct gh_simload *ret_load)
{
	return model.no_libghsim ? -ENOENT : __real_gh_simload(ret_load);
}

static int model_open(struct gh_sys *sys, const char *path, int flags)
{
	(void)sys;
	(void)flags;
	if (strcmp(path, UAPI_GUNYAH_DEVICE) == 0 && model.open_gunyah != 0)
		return model.open_gunyah;
	return model.open_result < 0 ? model.open_result : open("/dev/null", O_RDWR | O_CLOEXEC);
}

static int model_ioctl(struct gh_sys *sys, int fd, unsigned long request, uintptr_t arg)
{
	(void)sys;
	(void)fd;
	for (size_t i = 0; i < COUNT(model.answers) && model.answers[i].request != 0; i++) {
		const struct answer *answer = &model.answers[i];

		if (answer->request != request || (request == UAPI_KVM_CHECK_EXTENSION && answer->arg != arg))
			continue;
		if (request == UAPI_GZVM_CHECK_EXTENSION) {
			uint64_t *cap = (uint64_t *)arg;

			if (cap == NULL)
				return -EINVAL;
			if (*cap == UAPI_GZVM_CAP_GPA_SIZE)
				*cap = model.gpa_bits;
		}
		return answer->result == NEW_FD ? open("/dev/null", O_RDWR | O_CLOEXEC) : answer->result;
	}
	return model.unknown;
}

static void setup(void)
{
	memset(&model, 0, sizeof(model));
	model.unknown = -ENOTTY;
	model.gpa_bits = 48;
	model_table = *__real_gh_sys_kernel();
	model_table.open = model_open;
	model_table.ioctl = model_ioctl;
	(void)unsetenv("GH_DEVICE");
}

static void teardown(void)
{
	memset(&model, 0, sizeof(model));
	(void)unsetenv("GH_DEVICE");
}

static void play(const struct answer *answers, size_t count)
{
	model.is_kernel = true;
	memset(model.answers, 0, sizeof(model.answers));
	memcpy(model.answers, answers, count * sizeof(answers[0]));
}

/* --- ways to ask -------------------------------------------------------------------------------------------------- */

static struct gh_failure why;

static int try_open(const char *backend, const char *device, struct gh_sim *machine, int fd)
{
	const struct gh_failure none = GH_FAILURE_INIT;
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	int mark = 0;
	struct gh_vm *vm = (void *)&mark;
	int ret;

	why = none;
	options.backend = backend;
	options.device = device;
	options.machine = machine;
	options.device_fd = fd;
	options.failure = &why;
	ret = gh_vm_open(&options, &vm);
	if (ret == 0) {
		ck_assert_int_eq(why.error, 0);
		gh_vm_close(vm);
		return 0;
	}
	ck_assert_ptr_eq(vm, &mark);
	ck_assert_msg(failure_is(&why, ret), "%d, but %d: %s", ret, why.error, why.cause);
	/* The same without anybody to tell. */
	options.failure = NULL;
	ck_assert_int_eq(gh_vm_open(&options, &vm), ret);
	return ret;
}

/* The answer about one backend; freed by the caller. */
static struct gh_probe *probe_one(const char *backend, const char *device, struct gh_sim *machine)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_probe *probe = NULL;

	options.backend = backend;
	options.device = device;
	options.machine = machine;
	ck_assert_int_eq(gh_probe(&options, &probe), 0);
	ck_assert_uint_eq(gh_probe_count(probe), 1);
	ck_assert_str_eq(gh_probe_get(probe, 0)->backend, backend);
	return probe;
}

static void check_unusable(const char *backend, int error, const char *words)
{
	struct gh_probe *probe = probe_one(backend, NULL, NULL);
	const struct gh_probe_entry *entry = gh_probe_get(probe, 0);

	ck_assert_uint_eq(entry->usable, 0);
	ck_assert_str_eq(entry->dialect, "");
	ck_assert_uint_eq(entry->features, 0);
	ck_assert_msg(failure_is(&entry->failure, error), "%d: %s", entry->failure.error, entry->failure.cause);
	ck_assert_msg(strstr(entry->failure.cause, words) != NULL, "%s", entry->failure.cause);
	gh_probe_free(probe);
	ck_assert_int_eq(try_open(backend, NULL, NULL, -1), error);
	ck_assert_msg(strstr(why.cause, words) != NULL, "%s", why.cause);
}

static void check_usable(const char *backend, struct gh_probe_entry *ret_entry)
{
	struct gh_probe *probe = probe_one(backend, NULL, NULL);

	*ret_entry = *gh_probe_get(probe, 0);
	gh_probe_free(probe);
	ck_assert_msg(ret_entry->usable == 1, "%s", ret_entry->failure.cause);
	ck_assert_int_eq(ret_entry->failure.error, 0);
}

/* --- the interface ------------------------------------------------------------------------------------------------ */

START_TEST(test_arguments)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_failure failure = GH_FAILURE_INIT;
	int mark = 0;
	struct gh_probe *probe = (void *)&mark;

	ck_assert_int_eq(gh_probe(NULL, NULL), -EINVAL);
	ck_assert_uint_eq(gh_probe_count(NULL), 0);
	ck_assert_ptr_null(gh_probe_get(NULL, 0));
	gh_probe_free(NULL);
	options.failure = &failure;
	options.backend = "xen";
	ck_assert_int_eq(gh_probe(&options, &probe), -EINVAL);
	ck_assert(failure_is(&failure, -EINVAL));
	options.backend = NULL;
	/* Two devices. */
	options.machine = new_sim(GUNYAH, "");
	options.device = "/dev/gunyah";
	ck_assert_int_eq(gh_probe(&options, &probe), -EINVAL);
	ck_assert(failure_is(&failure, -EINVAL));
	options.device = NULL;
	end_sim(options.machine);
	options.machine = NULL;
	options.size = 4097;
	ck_assert_int_eq(gh_probe(&options, &probe), -EINVAL);
	ck_assert_ptr_eq(probe, &mark);
}
END_TEST

/* Whatever machine this is: an answer about each hypervisor, usable or with a reason. */
START_TEST(test_this_machine)
{
	static const char *const backends[] = { "gunyah", "geniezone", "halla", "kvm" };
	struct gh_probe *probe = NULL;

	ck_assert_int_eq(gh_probe(NULL, &probe), 0);
	ck_assert_uint_eq(gh_probe_count(probe), COUNT(backends));
	for (unsigned int i = 0; i < COUNT(backends); i++) {
		const struct gh_probe_entry *entry = gh_probe_get(probe, i);

		ck_assert_str_eq(entry->backend, backends[i]);
		ck_assert_ptr_nonnull(entry->device);
		ck_assert_int_eq(entry->usable == 0,
				 failure_is(&entry->failure, entry->failure.error) && entry->failure.error < 0);
	}
	ck_assert_ptr_null(gh_probe_get(probe, COUNT(backends)));
	ck_assert_ptr_null(gh_probe_get(probe, UINT32_MAX));
	gh_probe_free(probe);
}
END_TEST

/* --- devices that cannot be opened ---------------------------------------------------------------------------------- */

START_TEST(test_missing)
{
	ck_assert_int_eq(try_open("gunyah", "/nonexistent/gunyah", NULL, -1), -ENOENT);
	ck_assert_ptr_nonnull(strstr(why.cause, "/nonexistent/gunyah"));
	ck_assert_int_eq(try_open(NULL, "/nonexistent/gunyah", NULL, -1), -ENOENT);
	model.is_kernel = true;
	model.open_result = -ENOENT;
	check_unusable("geniezone", -ENOENT, "/dev/gzvm");
	/* Nothing at all, and nothing was named. */
	ck_assert_int_eq(try_open(NULL, NULL, NULL, -1), -ENODEV);
	ck_assert_int_eq(try_open("auto", NULL, NULL, -1), -ENODEV);
	ck_assert_ptr_nonnull(strstr(why.cause, "/dev/gunyah"));
}
END_TEST

START_TEST(test_permission)
{
	model.is_kernel = true;
	model.open_result = -EACCES;
	check_unusable("gunyah", -EACCES, "may not open");
	check_unusable("kvm", -EACCES, "may not open");
	/* One that is there and closed says more than those that are missing. */
	model.open_result = -ENOENT;
	model.open_gunyah = -EACCES;
	ck_assert_int_eq(try_open(NULL, NULL, NULL, -1), -ENODEV);
	ck_assert_ptr_nonnull(strstr(why.cause, "may not open"));
	/* Of several, the one that would have been taken. */
	model.open_result = -EACCES;
	ck_assert_int_eq(try_open(NULL, NULL, NULL, -1), -ENODEV);
	ck_assert_ptr_nonnull(strstr(why.cause, "/dev/gunyah"));
}
END_TEST

/* What the process lacks it lacks for each of them: that is the answer, not that there is no hypervisor. */
START_TEST(test_process_lacks)
{
	static const int errors[] = { -ENOMEM, -EMFILE, -ENFILE };

	model.is_kernel = true;
	model.open_result = errors[_i];
	ck_assert_int_eq(try_open(NULL, NULL, NULL, -1), errors[_i]);
}
END_TEST

static const int open_errors[] = { -ENXIO, -ENODEV, -EMFILE, -ENFILE, -ENOMEM, -EPERM, -EIO };

START_TEST(test_open_error)
{
	model.is_kernel = true;
	model.open_result = open_errors[_i];
	check_unusable("gunyah", open_errors[_i], "/dev/gunyah");
}
END_TEST

START_TEST(test_odd_files)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char directory[] = "libgh-test-XXXXXX";
	int fd;

	ck_assert_ptr_nonnull(mkdtemp(directory));
	ck_assert_int_eq(try_open("gunyah", directory, NULL, -1), -EISDIR);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", directory);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(try_open("geniezone", address.sun_path, NULL, -1), -ENXIO);
	(void)close(fd);
	(void)unlink(address.sun_path);
	(void)rmdir(directory);
}
END_TEST

/* --- foreign devices and dialects ----------------------------------------------------------------------------------- */

static const char *const backends[] = { "gunyah", "geniezone", "halla", "kvm", "auto", NULL };

START_TEST(test_foreign)
{
	ck_assert_int_eq(try_open(backends[_i], "/dev/null", NULL, -1), -ENODEV);
}
END_TEST

/* Another hypervisor's device than the backend that was named. */
START_TEST(test_wrong_backend)
{
	struct gh_sim *sim = new_sim(GENIEZONE, "");

	ck_assert_int_eq(try_open("gunyah", NULL, sim, -1), -ENODEV);
	ck_assert_int_eq(try_open("kvm", NULL, sim, -1), -ENODEV);
	ck_assert_int_eq(try_open("geniezone", NULL, sim, -1), 0);
	ck_assert_int_eq(try_open(NULL, NULL, sim, -1), 0);
	end_sim(sim);
}
END_TEST

static const int vendor_results[] = { NEW_FD, -EINVAL, -EFAULT, -EPERM };

START_TEST(test_vendor_dialect)
{
	const struct answer answers[] = {
		{ UAPI_GUNYAH_CREATE_VM, -EINVAL, 0 },
		{ UAPI_GUNYAH_VENDOR_CREATE_VM, vendor_results[_i], 0 },
	};

	play(answers, COUNT(answers));
	check_unusable("gunyah", -ENODEV, "Qualcomm");
}
END_TEST

/* A device that answers everything with EINVAL, and one that refuses to say what it is. */
START_TEST(test_not_gunyah)
{
	static const struct answer answers[] = {
		{ UAPI_GUNYAH_CREATE_VM, -EINVAL, 0 },
		{ UAPI_GUNYAH_VENDOR_CREATE_VM, -ENOTTY, 0 },
	};
	static const struct answer refusing[] = { { UAPI_GUNYAH_CREATE_VM, -ENOMEM, 0 } };

	play(answers, COUNT(answers));
	check_unusable("gunyah", -ENODEV, "does not answer");
	play(answers, 0);
	model.unknown = -ENOSYS; /* as an emulator of programs says */
	check_unusable("gunyah", -ENODEV, "does not answer");
	model.unknown = -ENOTTY;
	play(refusing, COUNT(refusing));
	check_unusable("gunyah", -ENOMEM, "memory");
	/* Out of memory is about this process: not "no hypervisor", with an excuse from the last device. */
	ck_assert_int_eq(try_open(NULL, NULL, NULL, -1), -ENOMEM);
	ck_assert_ptr_nonnull(strstr(why.cause, "memory"));
}
END_TEST

/* The revisions of one interface, by what they have. */
START_TEST(test_gunyah_dialects)
{
	static const struct answer all[] = {
		{ UAPI_GUNYAH_CREATE_VM, NEW_FD, 0 },     { UAPI_GUNYAH_ADD_FUNCTION, -EFAULT, 0 },
		{ UAPI_GUNYAH_SET_USER_MEM, -EFAULT, 0 }, { UAPI_GUNYAH_LEND_USER_MEM, -EFAULT, 0 },
		{ UAPI_GUNYAH_SET_FW, -EFAULT, 0 },
	};
	static const struct answer no_user_memory[] = {
		{ UAPI_GUNYAH_CREATE_VM, NEW_FD, 0 },
		{ UAPI_GUNYAH_ADD_FUNCTION, -EFAULT, 0 },
		{ UAPI_GUNYAH_MAP_MEM, -EFAULT, 0 }, /* of what? */
	};
	struct gh_probe_entry entry;

	play(all, 5);
	check_usable("gunyah", &entry);
	ck_assert_str_eq(entry.dialect, "android14-6.1");
	ck_assert_uint_ne(entry.features & GH_FEATURE_LEND, 0);
	ck_assert_uint_ne(entry.features & GH_FEATURE_NEEDS_DTB, 0);
	/* Nothing tells; the resource manager knows how many vCPUs it takes. */
	ck_assert_uint_eq(entry.max_vcpus, 64);
	ck_assert_uint_eq(entry.max_regions, 256);
	ck_assert_uint_eq(entry.gpa_bits, 40);
	ck_assert_uint_eq(entry.gpa_align, 4096);
	play(all, 3);
	check_usable("gunyah", &entry);
	ck_assert_str_ne(entry.dialect, "android14-6.1");
	ck_assert_uint_eq(entry.features & GH_FEATURE_LEND, 0);
	play(all, 1);
	check_unusable("gunyah", -ENODEV, "functions by name");
	for (size_t n = 2; n <= COUNT(no_user_memory); n++) {
		play(no_user_memory, n);
		check_unusable("gunyah", -ENODEV, "guest memory files");
	}
}
END_TEST

static const struct {
	uint64_t said;
	uint32_t believed;
} widths[] = { { 48, 48 }, { 32, 32 }, { 52, 52 }, { 40, 40 }, { 0, 40 }, { 31, 40 }, { 64, 40 }, { UINT64_MAX, 40 } };

START_TEST(test_geniezone_address_bits)
{
	static const struct answer answers[] = { { UAPI_GZVM_CHECK_EXTENSION, 0, 0 }, { UAPI_GZVM_CREATE_VM, NEW_FD, 0 } };
	struct gh_probe_entry entry;

	play(answers, COUNT(answers));
	model.gpa_bits = widths[_i].said;
	check_usable("geniezone", &entry);
	ck_assert_uint_eq(entry.gpa_bits, widths[_i].believed);
	ck_assert_uint_eq(entry.gpa_align, 2 * MIB);
	ck_assert_uint_eq(entry.max_vcpus, 8);
	ck_assert_uint_eq(entry.max_regions, 10);
}
END_TEST

START_TEST(test_not_geniezone)
{
	static const int results[] = { -EOPNOTSUPP, -EINVAL, -EFAULT, 1 };

	for (size_t i = 0; i < COUNT(results); i++) {
		const struct answer answers[] = { { UAPI_GZVM_CHECK_EXTENSION, results[i], 0 } };

		play(answers, COUNT(answers));
		check_unusable("geniezone", -ENODEV, "does not answer");
	}
}
END_TEST

START_TEST(test_kvm)
{
	static const struct answer arm64[] = {
		{ UAPI_KVM_GET_API_VERSION, 12, 0 },
		{ UAPI_KVM_CHECK_EXTENSION, 1, UAPI_KVM_CAP_ARM_PSCI_0_2 },
		{ UAPI_KVM_CHECK_EXTENSION, 1, UAPI_KVM_CAP_IMMEDIATE_EXIT },
		{ UAPI_KVM_CHECK_EXTENSION, 5, UAPI_KVM_CAP_MAX_VCPUS },
		{ UAPI_KVM_CHECK_EXTENSION, 36, UAPI_KVM_CAP_ARM_VM_IPA_SIZE },
		{ UAPI_KVM_CHECK_EXTENSION, 1, UAPI_KVM_CAP_IRQFD },
	};
	static const struct answer old[] = { { UAPI_KVM_GET_API_VERSION, 11, 0 } };
	struct gh_probe_entry entry;

	play(arm64, COUNT(arm64));
	check_usable("kvm", &entry);
	ck_assert_uint_eq(entry.max_vcpus, 5);
	ck_assert_uint_eq(entry.max_regions, 1);
	ck_assert_uint_eq(entry.gpa_bits, 36);
	ck_assert_uint_ne(entry.features & GH_FEATURE_IRQFD, 0);
	ck_assert_uint_eq(entry.features & (GH_FEATURE_IOEVENTFD | GH_FEATURE_MMIO_ABORT | GH_FEATURE_LEND), 0);
	play(arm64, 2);
	check_unusable("kvm", -ENODEV, "interrupted");
	play(arm64, 1);
	check_unusable("kvm", -ENODEV, "another architecture");
	play(old, COUNT(old));
	check_unusable("kvm", -ENODEV, "version 11");
}
END_TEST

/* --- adopted descriptors -------------------------------------------------------------------------------------------- */

START_TEST(test_adopted)
{
	static const char *const devices[] = { GUNYAH, GENIEZONE };
	static const char *const paths[] = { UAPI_GUNYAH_DEVICE, UAPI_GZVM_DEVICE };
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_sim *sim = new_sim(devices[_i], "store 0x10 4 7");
	struct gh_sys *sys = gh_sim_table(sim);
	struct gh_vm *vm = NULL;
	int fd = sys->open(sys, paths[_i], O_RDWR);

	ck_assert_int_ge(fd, 0);
	options.machine = sim;
	options.device_fd = fd;
	ck_assert_int_eq(gh_vm_open(&options, &vm), 0);
	/* The caller's own is the caller's: still open, and may be closed at once. */
	ck_assert_int_eq(fcntl(fd, F_GETFD) >= 0, 1);
	ck_assert_int_eq(sys->close(sys, fd), 0);
	ck_assert_uint_eq(run_once(start_standard(vm))->mmio.value, 7);
	gh_vm_close(vm);
	sys->put(sys);
	end_sim(sim);
}
END_TEST

START_TEST(test_adopted_rubbish)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	ck_assert_int_eq(try_open(NULL, NULL, NULL, fd), -ENODEV);
	ck_assert_int_eq(try_open("kvm", NULL, NULL, fd), -ENODEV);
	ck_assert_int_ge(fcntl(fd, F_GETFD), 0);
	(void)close(fd);
	ck_assert_int_eq(try_open("gunyah", NULL, NULL, 1023), -EBADF);
}
END_TEST

/* --- simulated devices and the environment ---------------------------------------------------------------------------- */

static const struct {
	const char *device;
	int ret;
} strings[] = {
	{ "sim:gunyah/android14-6.1,engine=script", 0 },
	{ "sim:gunyah,engine=script,policy=production", 0 },
	{ "sim:gzvm/v9,engine=script", 0 },
	{ "sim:", -ENOENT },
	{ "sim:xen", -ENOENT },
	{ "sim:gunyah/v99", -ENOENT },
	{ "sim:gunyah/android14-6.1,engine=magic", -EINVAL },
	{ "sim:gunyah/android14-6.1,colour=red", -EINVAL },
	{ "sim:gzvm/v9,policy=debug", -EINVAL },
	{ "sim:gzvm/v9,script=/nonexistent/script", -ENOENT },
};

START_TEST(test_device_string)
{
	ck_assert_int_eq(try_open(NULL, strings[_i].device, NULL, -1), strings[_i].ret);
	/* The same from the environment. */
	(void)setenv("GH_DEVICE", strings[_i].device, 1);
	ck_assert_int_eq(try_open(NULL, NULL, NULL, -1), strings[_i].ret);
}
END_TEST

START_TEST(test_environment)
{
	struct gh_sim *sim = new_sim(GUNYAH, "");
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)setenv("GH_DEVICE", "sim:gzvm/v9,engine=script", 1);
	ck_assert_int_eq(try_open("geniezone", NULL, NULL, -1), 0);
	/* What the options say counts more: a path, a descriptor, a machine. */
	ck_assert_int_eq(try_open(NULL, "/dev/null", NULL, -1), -ENODEV);
	ck_assert_int_eq(try_open(NULL, NULL, NULL, fd), -ENODEV);
	ck_assert_int_eq(try_open("gunyah", NULL, sim, -1), 0);
	/* A path in it, and nothing in it. */
	(void)setenv("GH_DEVICE", "/nonexistent/device", 1);
	ck_assert_int_eq(try_open(NULL, NULL, NULL, -1), -ENOENT);
	(void)setenv("GH_DEVICE", "", 1);
	model.is_kernel = true;
	model.open_result = -ENOENT;
	ck_assert_int_eq(try_open(NULL, NULL, NULL, -1), -ENODEV);
	model.is_kernel = false;
	(void)close(fd);
	end_sim(sim);
}
END_TEST

START_TEST(test_without_libghsim)
{
	model.no_libghsim = true;
	ck_assert_int_eq(try_open(NULL, "sim:gunyah", NULL, -1), -ENOENT);
	ck_assert_ptr_nonnull(strstr(why.cause, "libghsim"));
}
END_TEST

START_TEST(test_simulated_entries)
{
	struct gh_sim *sim = new_sim(GUNYAH, "");
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_probe *probe = NULL;

	options.machine = sim;
	ck_assert_int_eq(gh_probe(&options, &probe), 0);
	ck_assert_uint_eq(gh_probe_count(probe), 4);
	ck_assert_uint_eq(gh_probe_get(probe, 0)->usable, 1);
	ck_assert_str_eq(gh_probe_get(probe, 0)->dialect, "android14-6.1");
	ck_assert_str_eq(gh_probe_get(probe, 0)->device, "/dev/gunyah");
	ck_assert_uint_eq(gh_probe_get(probe, 0)->max_lines, UINT32_MAX);
	ck_assert_uint_eq(gh_probe_get(probe, 0)->mmio_end, UINT64_C(1) << 30);
	for (unsigned int i = 1; i < 4; i++) {
		ck_assert_uint_eq(gh_probe_get(probe, i)->usable, 0);
		ck_assert(failure_is(&gh_probe_get(probe, i)->failure, -ENODEV));
	}
	/* The answers outlive the machine. */
	end_sim(sim);
	ck_assert_str_eq(gh_probe_get(probe, 0)->device, "/dev/gunyah");
	gh_probe_free(probe);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("probe");
	TCase *tcase = add_case(suite, "probe");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, test_arguments);
	tcase_add_test(tcase, test_this_machine);
	tcase_add_test(tcase, test_missing);
	tcase_add_test(tcase, test_permission);
	tcase_add_loop_test(tcase, test_process_lacks, 0, 3);
	tcase_add_loop_test(tcase, test_open_error, 0, COUNT(open_errors));
	tcase_add_test(tcase, test_odd_files);
	tcase_add_loop_test(tcase, test_foreign, 0, COUNT(backends));
	tcase_add_test(tcase, test_wrong_backend);
	tcase_add_loop_test(tcase, test_vendor_dialect, 0, COUNT(vendor_results));
	tcase_add_test(tcase, test_not_gunyah);
	tcase_add_test(tcase, test_gunyah_dialects);
	tcase_add_loop_test(tcase, test_geniezone_address_bits, 0, COUNT(widths));
	tcase_add_test(tcase, test_not_geniezone);
	tcase_add_test(tcase, test_kvm);
	tcase_add_loop_test(tcase, test_adopted, 0, 2);
	tcase_add_test(tcase, test_adopted_rubbish);
	tcase_add_loop_test(tcase, test_device_string, 0, COUNT(strings));
	tcase_add_test(tcase, test_environment);
	tcase_add_test(tcase, test_without_libghsim);
	tcase_add_test(tcase, test_simulated_entries);
	return run_suite(suite);
}
