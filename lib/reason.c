/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Why a device cannot be used. Drivers have no request for that; what the kernel shows to everybody often tells it.
 *
 * Only reading, only ever of files that have no side effects, and nothing is believed to be well-formed or there at all.
 */
#include "reason.h"

#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define STEP_OPEN "open the device"
#define MIB (UINT64_C(1) << 20)

/* Bits of CapEff. */
#define CAP_BIT_DAC_OVERRIDE 1u
#define CAP_BIT_IPC_LOCK 14u

#define TEXT_SIZE ((size_t)4096)

/* --- reading ------------------------------------------------------------------------------------------------------ */

/* A small file, or the beginning of a large one, terminated; empty if it cannot be read. */
static void read_text(struct gh_sys *sys, const char *path, char text[TEXT_SIZE])
{
	int fd = sys->open(sys, path, O_RDONLY);
	size_t used = 0;
	ssize_t count = fd < 0 ? 0 : 1;

	while (count > 0 && used < TEXT_SIZE - 1) {
		count = sys->read(sys, fd, text + used, TEXT_SIZE - 1 - used);
		if (count > 0)
			used += (size_t)count;
	}
	text[used] = '\0';
	if (fd >= 0)
		(void)sys->close(sys, fd);
}

static bool is_there(struct gh_sys *sys, const char *path)
{
	int fd = sys->open(sys, path, O_PATH);

	if (fd < 0)
		return false;
	(void)sys->close(sys, fd);
	return true;
}

/* What follows `key` at the beginning of a line, or NULL. */
static const char *find_line(const char *text, const char *key)
{
	while (text != NULL && strncmp(text, key, strlen(key)) != 0) {
		text = strchr(text, '\n');
		text = text != NULL ? text + 1 : NULL;
	}
	return text != NULL ? text + strlen(key) : NULL;
}

/* The next number of a line; false at its end. */
static bool next_number(const char **line, int base, unsigned long long *ret_number)
{
	const char *text = *line + strspn(*line, " \t");
	char *end;

	if (*text == '\n' || *text == '\0')
		return false;
	*ret_number = strtoull(text, &end, base);
	*line = end;
	return end != text;
}

/* --- this process --------------------------------------------------------------------------------------------------- */

struct process {
	bool known;
	unsigned long long user; /* of accesses to files */
	unsigned long long group;
	unsigned long long capabilities;
	const char *groups; /* in `text` */
	char text[TEXT_SIZE];
};

static void look_at_process(struct gh_sys *sys, struct process *ret_process)
{
	struct process *process = ret_process;
	const char *user;
	const char *group;
	const char *capabilities;

	read_text(sys, "/proc/self/status", process->text);
	user = find_line(process->text, "Uid:");
	group = find_line(process->text, "Gid:");
	capabilities = find_line(process->text, "CapEff:");
	process->groups = find_line(process->text, "Groups:");
	process->known = user != NULL && group != NULL && capabilities != NULL && process->groups != NULL &&
			 next_number(&capabilities, 16, &process->capabilities);
	/* Real, effective, saved, and that of accesses to files. */
	for (unsigned int i = 0; i < 4 && process->known; i++)
		process->known = next_number(&user, 10, &process->user) && next_number(&group, 10, &process->group);
}

static bool has_capability(const struct process *process, unsigned int bit)
{
	return process->known && (process->capabilities >> bit & 1) != 0;
}

static bool is_in_group(const struct process *process, unsigned long long wanted)
{
	const char *groups = process->groups;
	unsigned long long group = process->group;

	while (group != wanted)
		if (!next_number(&groups, 10, &group))
			return false;
	return true;
}

static bool mode_allows(const struct process *process, const struct stat *status)
{
	const unsigned int both = S_IROTH | S_IWOTH;
	unsigned int mode = status->st_mode;

	if (has_capability(process, CAP_BIT_DAC_OVERRIDE))
		return true;
	if (process->user == status->st_uid)
		mode >>= 6;
	else if (is_in_group(process, status->st_gid))
		mode >>= 3;
	return (mode & both) == both;
}

/* --- no node -------------------------------------------------------------------------------------------------------- */

static const struct {
	const char *device; /* as the kernel lists it */
	const char *name;
	const char *backend;
} hypervisors[] = {
	{ "gunyah", "Gunyah", "gunyah" },
	{ "gzvm", "GenieZone", "geniezone" },
	{ "halla", "Halla", "halla" },
	{ "kvm", "KVM", "kvm" },
};

/* The kernel's list of small drivers: a number and a name in each line. */
static bool is_listed(const char *list, const char *device, unsigned long long *ret_minor)
{
	while (*list != '\0') {
		size_t length;

		if (next_number(&list, 10, ret_minor)) {
			list += strspn(list, " ");
			length = strcspn(list, "\n");
			if (length == strlen(device) && memcmp(list, device, length) == 0)
				return true;
		}
		list += strcspn(list, "\n");
		list += strspn(list, "\n");
	}
	return false;
}

static const char *file_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

static int explain_hidden(struct gh_failure *failure, const char *path, unsigned long long minor)
{
	return gh_fail_as(
		failure, GH_CAUSE_HIDDEN_NODE, -ENOENT, STEP_OPEN, "open",
		"Make the node (mknod, character device 10 and that number), or give it to the container.",
		"%s: The kernel has the driver (misc device %llu), but this process sees no node: a container, or "
		"nobody has made it.",
		path, minor);
}

static int explain_other(struct gh_failure *failure, const char *path, const char *list)
{
	unsigned long long minor;

	for (size_t i = 0; i < sizeof(hypervisors) / sizeof(hypervisors[0]); i++)
		if (is_listed(list, hypervisors[i].device, &minor))
			return gh_fail_as(
				failure, GH_CAUSE_NO_HYPERVISOR, -ENOENT, STEP_OPEN, "open",
				"Use the other one, or a kernel and a boot option for this hypervisor.",
				"%s: The kernel has no driver for this hypervisor, but one for %s (backend \"%s\"): "
				"the machine has, or was booted with, another hypervisor.",
				path, hypervisors[i].name, hypervisors[i].backend);
	return gh_fail_as(
		failure, GH_CAUSE_NO_DRIVER, -ENOENT, STEP_OPEN, "open",
		"Check the kernel's configuration and log, or use a simulated device (sim:gunyah, sim:gzvm).",
		"%s: The kernel has no driver for a hypervisor: not built, its module not loaded, or it found none at "
		"boot.",
		path);
}

static void look_for_node(struct gh_sys *sys, const char *path, struct gh_failure *failure)
{
	const char *device = file_name(path);
	char module[64] = "/sys/module/";
	char list[TEXT_SIZE];
	unsigned long long minor;

	read_text(sys, "/proc/misc", list);
	if (list[0] == '\0')
		return;
	if (is_listed(list, device, &minor)) {
		(void)explain_hidden(failure, path, minor);
		return;
	}
	(void)strncat(module, device, sizeof(module) - strlen(module) - 1);
	/* Seen on phones: hypervisor and module are there, the maker has dropped the devicetree's node (GZ 4.2). */
	if (is_there(sys, module)) {
		(void)gh_fail_as(
			failure, GH_CAUSE_NO_DEVICE_TREE_NODE, -ENOENT, STEP_OPEN, "open",
			"Look in the kernel's log, and for the driver's node in the host's devicetree.",
			"%s: The driver is loaded and found no hypervisor: the host's devicetree lacks the driver's "
			"node, or the machine was booted without it.",
			path);
		return;
	}
	if (strcmp(device, "gzvm") == 0 && is_there(sys, "/dev/gz_kree")) {
		(void)gh_fail_as(failure, GH_CAUSE_OLD_HYPERVISOR, -ENOENT, STEP_OPEN, "open",
				 "Use a newer phone or kernel.",
				 "%s: There is only /dev/gz_kree: a GenieZone of before the interface for VMs.", path);
		return;
	}
	(void)explain_other(failure, path, list);
}

/* --- no permission -------------------------------------------------------------------------------------------------- */

/* By SELinux: the process's domain, for the policy's author. */
static void blame_policy(struct gh_sys *sys, struct gh_refusal *refusal)
{
	char domain[TEXT_SIZE];

	read_text(sys, "/proc/self/attr/current", domain);
	domain[strcspn(domain, "\n")] = '\0';
	refusal->missing = GH_MISSING_POLICY;
	(void)gh_fail_as(
		&refusal->failure, GH_CAUSE_SELINUX, refusal->failure.error, STEP_OPEN, "open",
		"Let a process that may open it pass the descriptor (gh_vm_options::device_fd), or change the policy; see "
		"\"avc: denied\" in the kernel's log.",
		"%s: The node's mode would allow it, so SELinux or another policy does not. This process runs as "
		"\"%.80s\".",
		refusal->path, domain[0] != '\0' ? domain : "(unknown)");
}

static void look_at_permission(struct gh_sys *sys, struct gh_refusal *refusal)
{
	struct process process = { .known = false };
	struct stat status = { 0 };
	int fd = sys->open(sys, refusal->path, O_PATH);
	int ret = fd >= 0 ? sys->fstat(sys, fd, &status) : fd;

	if (fd >= 0)
		(void)sys->close(sys, fd);
	look_at_process(sys, &process);
	if (ret < 0 || !process.known)
		return;
	if (mode_allows(&process, &status)) {
		blame_policy(sys, refusal);
		return;
	}
	(void)gh_fail_as(
		&refusal->failure, GH_CAUSE_PERMISSION, refusal->failure.error, STEP_OPEN, "open",
		"Run as its owner or in its group, change the mode, or let a process that may open it pass the descriptor "
		"(gh_vm_options::device_fd).",
		"%s: This process may not open it: mode 0%o, user %u, group %u; the process is user %llu, group %llu.",
		refusal->path, (unsigned int)status.st_mode & 07777, (unsigned int)status.st_uid,
		(unsigned int)status.st_gid, process.user, process.group);
}

/* --- opening -------------------------------------------------------------------------------------------------------- */

struct open_error {
	int error;
	enum gh_missing missing;
	enum gh_cause id;
	enum gh_cause other;
	const char *cause;
	const char *remedy;
};

static const struct open_error open_errors[] = {
	{ -ENOENT, GH_MISSING_NODE, GH_CAUSE_NO_DRIVER, GH_CAUSE_NO_HYPERVISOR,
	  "There is no such device node: the kernel has no driver for this hypervisor, the driver did not find it at boot "
	  "(a "
	  "missing devicetree node, another hypervisor), or it is hidden from this process.",
	  "Check the kernel's configuration and log, or use a simulated device (sim:gunyah, sim:gzvm)." },
	{ -EACCES, GH_MISSING_PERMISSION, GH_CAUSE_PERMISSION, GH_CAUSE_SELINUX,
	  "This process may not open it: file mode (0600 root on many phones) or SELinux.",
	  "Run with more rights, change the node's mode, or pass an open descriptor (gh_vm_options::device_fd)." },
	{ -EPERM, GH_MISSING_POLICY, GH_CAUSE_SELINUX, GH_CAUSE_NONE,
	  "This process may not open it: a container's rules for devices, or a security module.",
	  "Allow the device to the container, or pass an open descriptor (gh_vm_options::device_fd)." },
	{ -ENXIO, GH_MISSING_DRIVER, GH_CAUSE_DEAD_NODE, GH_CAUSE_NONE, "The node is there, and no driver behind it.",
	  "Load the driver's module." },
	{ -ENODEV, GH_MISSING_DRIVER, GH_CAUSE_DEAD_NODE, GH_CAUSE_NONE, "The node is there, and no driver behind it.",
	  "Load the driver's module." },
	{ -EMFILE, GH_MISSING_RESOURCE, GH_CAUSE_DESCRIPTORS, GH_CAUSE_NONE, "There are too many open descriptors.",
	  "Close some, or raise the limit (RLIMIT_NOFILE)." },
	{ -ENFILE, GH_MISSING_RESOURCE, GH_CAUSE_DESCRIPTORS, GH_CAUSE_NONE, "There are too many open descriptors.",
	  "Close some." },
	{ -ENOMEM, GH_MISSING_RESOURCE, GH_CAUSE_MEMORY, GH_CAUSE_NONE, "The kernel is out of memory.", "Free memory." },
	{ -EBADF, GH_MISSING_OTHER, GH_CAUSE_ARGUMENT, GH_CAUSE_NONE, "It is not open.",
	  "Pass an open descriptor of the device." },
};

/* What a simulated device says when it is opened. */
static const struct open_error simulated_errors[] = {
	{ -ENODEV, GH_MISSING_DRIVER, GH_CAUSE_SIMULATOR, GH_CAUSE_NONE,
	  "A simulated device plays its guests on KVM, and this machine has none for arm64.",
	  "Name a script for the guest (sim:...,script=FILE), or run on an arm64 machine with /dev/kvm (tools/arm64-run "
	  "emulates one)." },
	{ -ENOSYS, GH_MISSING_RESOURCE, GH_CAUSE_SIMULATOR, GH_CAUSE_NONE,
	  "A simulated device learns of the process from /proc, and there is none here.",
	  "Mount it (mount -t proc proc /proc)." },
};

static void find_error(const struct open_error *errors, size_t count, int error, struct open_error *why)
{
	for (size_t i = 0; i < count; i++)
		if (errors[i].error == error)
			*why = errors[i];
}

int gh_reason_open(struct gh_refusal *refusal, int error)
{
	struct open_error why = { error,
				  GH_MISSING_OTHER,
				  GH_CAUSE_OTHER,
				  GH_CAUSE_NONE,
				  "The kernel refused to open it.",
				  "See the kernel's log." };

	find_error(open_errors, sizeof(open_errors) / sizeof(open_errors[0]), error, &why);
	if (refusal->is_simulated)
		find_error(simulated_errors, sizeof(simulated_errors) / sizeof(simulated_errors[0]), error, &why);
	refusal->missing = why.missing;
	(void)gh_fail_as(&refusal->failure, why.id, error, STEP_OPEN, "open", why.remedy, "%s: %s",
			 refusal->path != NULL ? refusal->path : "the adopted descriptor", why.cause);
	refusal->failure.other_cause_id = why.other;
	return error;
}

void gh_reason_look(struct gh_sys *sys, const struct gh_backend *backend, struct gh_refusal *refusal)
{
	if (refusal->path == NULL)
		return;
	if (refusal->missing == GH_MISSING_PERMISSION) {
		look_at_permission(sys, refusal);
		return;
	}
	if (refusal->missing != GH_MISSING_NODE)
		return;
	if (strcmp(refusal->path, backend->device) == 0)
		look_for_node(sys, refusal->path, &refusal->failure);
	else
		(void)gh_fail(&refusal->failure, -ENOENT, STEP_OPEN, "open",
			      "Check the path; without one, the usual device is opened.", "%s: There is no such file.",
			      refusal->path);
}

/* --- limits --------------------------------------------------------------------------------------------------------- */

/* Less than this is less than any guest with an operating system takes. */
#define SMALL_GUEST (64 * MIB)

uint64_t gh_reason_lock_limit(struct gh_sys *sys)
{
	struct rlimit limit = { .rlim_cur = RLIM_INFINITY };
	struct process process = { .known = false };

	if (sys->getrlimit(sys, RLIMIT_MEMLOCK, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	look_at_process(sys, &process);
	return has_capability(&process, CAP_BIT_IPC_LOCK) ? UINT64_MAX : limit.rlim_cur;
}

void gh_reason_caution(struct gh_sys *sys, const struct gh_caps *caps, uint64_t lock_limit, struct gh_failure *ret_caution)
{
	struct rlimit limit = { .rlim_max = 0 };

	/* What is in the kernel's own files is never counted. */
	if ((caps->quirks & (GH_QUIRK_LOCKS_MEMORY | GH_QUIRK_OWN_FILES_ONLY)) != GH_QUIRK_LOCKS_MEMORY ||
	    lock_limit >= SMALL_GUEST)
		return;
	(void)sys->getrlimit(sys, RLIMIT_MEMLOCK, &limit);
	(void)gh_fail_as(
		ret_caution, GH_CAUSE_LOCK_LIMIT, -ENOMEM, "map memory", NULL,
		limit.rlim_max > limit.rlim_cur
			? "Raise the soft limit with setrlimit(), which needs no privilege up to the hard one (ulimit -l)."
			: "Raise the limit (ulimit -l, limits.conf, CAP_SYS_RESOURCE), or give the process CAP_IPC_LOCK.",
		"The memory-lock limit is too low: the kernel locks all memory of a guest, and RLIMIT_MEMLOCK allows this "
		"process %llu KiB.",
		(unsigned long long)lock_limit / 1024);
}
