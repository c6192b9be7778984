/* SPDX-License-Identifier: BSD-3-Clause */
/* Finding a hypervisor: which device, on which machine, of which backend, and why not. */
#include "internal.h"
#include "opts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#define STEP "look for a hypervisor"
#define SIMULATED "sim:"

/* In the order in which they are tried. */
static const struct gh_backend *const real_backends[] = { &gh_backend_gunyah, &gh_backend_geniezone, &gh_backend_kvm };
#define REAL_BACKENDS (sizeof(real_backends) / sizeof(real_backends[0]))

struct gh_probe {
	unsigned int count;
	struct gh_probe_entry entries[REAL_BACKENDS + 1];
	char *device; /* that the entries point to, if the caller or the environment gave it */
};

/* --- options ------------------------------------------------------------------------------------------------------ */

int gh_vm_options_read(const struct gh_vm_options *callers, struct gh_vm_options *own)
{
	const struct gh_vm_options defaults = GH_VM_OPTIONS_INIT;

	*own = defaults;
	if (callers != NULL && gh_opts_copy(own, sizeof(*own), sizeof(*own), callers) < 0)
		return -EINVAL;
	if (own->failure != NULL && own->failure->size != sizeof(*own->failure))
		return -EINVAL;
	if (own->device_fd < -1)
		return gh_fail_argument(own->failure, -EINVAL, STEP, "The device's descriptor is below -1.");
	if (own->device != NULL && (own->device_fd >= 0 || own->machine != NULL))
		return gh_fail_argument(own->failure, -EINVAL, STEP,
					"A device's path is given, and its descriptor or a simulated machine, too.");
	return gh_caps_check(own);
}

static bool is_auto(const struct gh_vm_options *options)
{
	return options->backend == NULL || strcmp(options->backend, "auto") == 0;
}

static bool is_wanted(const struct gh_vm_options *options, const struct gh_backend *backend)
{
	return is_auto(options) || strcmp(options->backend, backend->name) == 0;
}

static bool is_known(const struct gh_vm_options *options)
{
	for (size_t i = 0; i < REAL_BACKENDS; i++)
		if (is_wanted(options, real_backends[i]))
			return true;
	return strcmp(options->backend, gh_backend_fake.name) == 0;
}

/* The device that the caller, or else the environment, asks for; NULL: each backend's own. */
static const char *device_wanted(const struct gh_vm_options *options)
{
	const char *device = options->device;

	if (device == NULL && options->device_fd < 0 && options->machine == NULL && getauxval(AT_SECURE) == 0)
		device = getenv("GH_DEVICE");
	return device != NULL && device[0] != '\0' ? device : NULL;
}

/* --- machines ----------------------------------------------------------------------------------------------------- */

/* Where the device is: a system-call table and a path on it. */
struct place {
	struct gh_sys *sys;
	const char *path; /* NULL: each backend's own */
};

static int no_libghsim(const struct gh_vm_options *options)
{
	return gh_fail_as(options->failure, GH_CAUSE_SIMULATOR, -ENOENT, STEP, NULL,
			  "Install libghsim.so.0 where the loader finds it, or link the program with libghsim.",
			  "A simulated device was asked for, and libghsim is not there.");
}

static int find_simulated(const struct gh_vm_options *options, const char *device, struct place *ret_place)
{
	struct gh_simload load;
	struct gh_sim *sim = options->machine;
	int ret = gh_simload(&load);

	if (ret < 0)
		return no_libghsim(options);
	if (sim == NULL) {
		ret = load.new_machine(device, &sim);
		if (ret < 0)
			return gh_fail_as(
				options->failure, GH_CAUSE_SIMULATOR, ret, STEP, NULL,
				"Write it as in gh/sim.h, for example sim:gunyah/android14-6.1 or sim:gzvm/v9.",
				"The simulated device \"%s\" is unknown, malformed, or its script cannot be read.", device);
	}
	ret_place->sys = load.table(sim);
	ret_place->path = load.device_path(sim);
	if (options->machine == NULL)
		load.free_machine(sim); /* the table keeps it */
	return 0;
}

static int find_place(const struct gh_vm_options *options, struct place *ret_place)
{
	const char *device = device_wanted(options);

	if (options->machine != NULL || (device != NULL && strncmp(device, SIMULATED, strlen(SIMULATED)) == 0))
		return find_simulated(options, device, ret_place);
	ret_place->sys = gh_sys_kernel();
	ret_place->path = device;
	return 0;
}

static void leave_place(const struct place *place)
{
	if (place->sys->put != NULL)
		place->sys->put(place->sys);
}

/* --- one backend -------------------------------------------------------------------------------------------------- */

static int explain_open(struct gh_failure *failure, int error, const char *path)
{
	const char *remedy = "See the kernel's log.";
	const char *cause = "The kernel refused to open it.";

	switch (error) {
	case -ENOENT:
		cause = "There is no such device node: the kernel has no driver for this hypervisor, the driver did not "
			"find it "
			"at boot (a missing devicetree node, another hypervisor), or it is hidden from this process.";
		remedy = "Check the kernel's configuration and log, or use a simulated device (sim:gunyah, sim:gzvm).";
		break;
	case -EACCES:
	case -EPERM:
		cause = "This process may not open it: file mode (0600 root on many phones) or SELinux.";
		remedy = "Run with more rights, change the node's mode, or pass an open descriptor "
			 "(gh_vm_options::device_fd).";
		break;
	case -ENXIO:
	case -ENODEV:
		cause = "The node is there, and no driver behind it.";
		remedy = "Load the driver's module.";
		break;
	case -EMFILE:
	case -ENFILE:
		cause = "There are too many open descriptors.";
		remedy = "Close some, or raise the limit (RLIMIT_NOFILE).";
		break;
	default:
		break;
	}
	return gh_fail(failure, error, "open the device", "open", remedy, "%s: %s", path, cause);
}

static int not_ours(struct gh_failure *failure, const struct gh_backend *backend)
{
	return gh_fail(failure, -ENODEV, STEP, NULL, "Check the device's path or descriptor, and the backend's name.",
		       "The device does not answer as backend \"%s\" expects.", backend->name);
}

/* Opens, or copies, the device and asks the backend. On failure nothing stays open. */
static int try_backend(const struct gh_vm_options *options, const struct place *place, const struct gh_backend *backend,
		       struct gh_target *ret_target, struct gh_failure *failure)
{
	const char *path = place->path != NULL ? place->path : backend->device;
	struct gh_sys *sys = place->sys;
	int ret;
	int fd;

	if (backend->device == NULL)
		fd = -1;
	else if (options->device_fd >= 0)
		fd = sys->dup(sys, options->device_fd, 0);
	else
		fd = sys->open(sys, path, O_RDWR);
	if (fd < 0 && backend->device != NULL)
		return explain_open(failure, fd, options->device_fd >= 0 ? "the adopted descriptor" : path);
	failure->error = 0;
	*ret_target = (struct gh_target){ .sys = sys, .ops = backend, .fd = fd };
	ret = backend->probe(sys, fd, &ret_target->caps, failure);
	if (ret == 0)
		ret = gh_caps_override(&ret_target->caps, backend, options, failure);
	if (ret == 0)
		return 0;
	if (fd >= 0)
		(void)sys->close(sys, fd);
	if (failure->error == 0)
		return ret == -ENODEV ? not_ours(failure, backend) : gh_fail_request(failure, ret, STEP, "probe");
	return ret;
}

/*
 * Which of two refusals says more to somebody who did not name a backend: a device that is there and cannot be used says
 * more than one that is not the backend's at all, which no request tells of, and that more than one that is missing.
 */
static bool says_more(const struct gh_failure *candidate, const struct gh_failure *best)
{
	if (best->error == 0)
		return true;
	if (candidate->error == -ENOENT)
		return false;
	return best->error == -ENOENT || (best->request[0] == '\0' && candidate->request[0] != '\0');
}

/* Out of memory or descriptors: the next device would not do better. */
static bool is_about_process(int error)
{
	return error == -ENOMEM || error == -EMFILE || error == -ENFILE;
}

static int try_all(const struct gh_vm_options *options, const struct place *place, struct gh_target *ret_target)
{
	struct gh_failure best = GH_FAILURE_INIT;
	struct gh_failure failure = GH_FAILURE_INIT;
	int ret = -ENODEV;

	for (size_t i = 0; i < REAL_BACKENDS; i++) {
		if (!is_wanted(options, real_backends[i]))
			continue;
		ret = try_backend(options, place, real_backends[i], ret_target, &failure);
		if (ret == 0)
			return 0;
		if (is_about_process(ret)) {
			if (options->failure != NULL)
				*options->failure = failure;
			return ret;
		}
		if (says_more(&failure, &best))
			best = failure;
	}
	if (options->failure != NULL)
		*options->failure = best;
	if (!is_auto(options) || place->path != NULL || options->device_fd >= 0)
		return best.error != 0 ? best.error : ret;
	if (options->failure != NULL && best.error == -ENOENT)
		return gh_fail(options->failure, -ENODEV, STEP, "open",
			       "Use a machine with a hypervisor, or a simulated device (GH_DEVICE=sim:gunyah).",
			       "There is none of %s, %s and %s.", real_backends[0]->device, real_backends[1]->device,
			       real_backends[2]->device);
	if (options->failure != NULL)
		options->failure->error = -ENODEV;
	return -ENODEV;
}

static int open_fake(const struct gh_vm_options *options, struct gh_target *ret_target)
{
	struct gh_failure failure = GH_FAILURE_INIT;
	const struct place place = { .sys = gh_sys_kernel() };

	if (options->fake == NULL)
		return gh_fail_argument(options->failure, -EINVAL, STEP,
					"The backend \"fake\" needs a script (gh_vm_options::fake).");
	return try_backend(options, &place, &gh_backend_fake, ret_target, &failure);
}

int gh_target_open(const struct gh_vm_options *options, struct gh_target *ret_target)
{
	struct place place;
	int ret;

	if (!is_auto(options) && !is_known(options))
		return gh_fail(options->failure, -EINVAL, STEP, NULL, "Use gunyah, geniezone, kvm, fake or auto.",
			       "There is no backend \"%s\".", options->backend);
	if (!is_auto(options) && strcmp(options->backend, gh_backend_fake.name) == 0)
		return open_fake(options, ret_target);
	ret = find_place(options, &place);
	if (ret < 0)
		return ret;
	ret = try_all(options, &place, ret_target);
	if (ret < 0)
		leave_place(&place);
	return ret;
}

/* --- gh_probe() --------------------------------------------------------------------------------------------------- */

static void fill(struct gh_probe_entry *entry, const struct gh_caps *caps)
{
	entry->usable = 1;
	entry->dialect = caps->dialect;
	entry->max_vcpus = caps->max_vcpus;
	entry->max_regions = caps->max_regions;
	entry->gpa_bits = caps->gpa_bits;
	entry->gpa_align = caps->gpa_align;
	entry->features = caps->features;
	entry->quirks = caps->quirks;
}

static void probe_one(struct gh_probe *probe, const struct gh_vm_options *options, const struct place *place,
		      const struct gh_backend *backend)
{
	const struct gh_failure no_failure = GH_FAILURE_INIT;
	struct gh_probe_entry *entry = &probe->entries[probe->count++];
	struct gh_target target;

	entry->backend = backend->name;
	entry->device = probe->device != NULL ? probe->device : backend->device;
	entry->dialect = "";
	entry->failure = no_failure;
	if (try_backend(options, place, backend, &target, &entry->failure) < 0)
		return;
	fill(entry, &target.caps);
	(void)place->sys->close(place->sys, target.fd);
}

static int name_device(struct gh_probe *probe, const struct gh_vm_options *options, const struct place *place)
{
	const char *device = options->device_fd >= 0 ? "adopted descriptor" : device_wanted(options);

	if (device == NULL)
		device = place->path;
	if (device == NULL)
		return 0;
	probe->device = strdup(device);
	return probe->device != NULL ? 0 : gh_fail_memory(options->failure, STEP);
}

int gh_probe(const struct gh_vm_options *callers, struct gh_probe **ret_probe)
{
	struct gh_vm_options options;
	struct gh_probe *probe;
	struct place place;
	int ret;

	if (ret_probe == NULL)
		return -EINVAL;
	ret = gh_vm_options_read(callers, &options);
	if (ret < 0)
		return ret;
	if (!is_auto(&options) && !is_known(&options))
		return gh_fail(options.failure, -EINVAL, STEP, NULL, "Use gunyah, geniezone, kvm or auto.",
			       "There is no backend \"%s\".", options.backend);
	probe = calloc(1, sizeof(*probe));
	if (probe == NULL)
		return gh_fail_memory(options.failure, STEP);
	ret = find_place(&options, &place);
	if (ret < 0)
		goto err_probe;
	ret = name_device(probe, &options, &place);
	if (ret < 0)
		goto err_place;
	for (size_t i = 0; i < REAL_BACKENDS; i++)
		if (is_wanted(&options, real_backends[i]))
			probe_one(probe, &options, &place, real_backends[i]);
	leave_place(&place);
	*ret_probe = probe;
	return 0;
err_place:
	leave_place(&place);
err_probe:
	free(probe);
	return ret;
}

unsigned int gh_probe_count(const struct gh_probe *probe)
{
	return probe != NULL ? probe->count : 0;
}

const struct gh_probe_entry *gh_probe_get(const struct gh_probe *probe, unsigned int index)
{
	return probe != NULL && index < probe->count ? &probe->entries[index] : NULL;
}

void gh_probe_free(struct gh_probe *probe)
{
	if (probe == NULL)
		return;
	free(probe->device);
	free(probe);
}
