/* SPDX-License-Identifier: BSD-3-Clause */
/* Finding a hypervisor: which device, on which machine, of which backend, and why not. */
#include "internal.h"
#include "opts.h"
#include "reason.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#define STEP "look for a hypervisor"
#define SIMULATED "sim:"

/* In the order in which they are tried. */
static const struct gh_backend *const real_backends[] = { &gh_backend_gunyah, &gh_backend_geniezone, &gh_backend_halla,
							  &gh_backend_kvm };
#define REAL_BACKENDS (sizeof(real_backends) / sizeof(real_backends[0]))

struct gh_probe {
	unsigned int count;
	struct gh_probe_entry entries[REAL_BACKENDS + 1];
	char *device; /* that the entries point to, if the caller or the environment gave it */
	uint64_t lock_limit;
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
	bool is_simulated;
};

static int no_libghsim(const struct gh_vm_options *options)
{
	return gh_fail_as(
		options->failure, GH_CAUSE_SIMULATOR, -ENOENT, STEP, NULL,
		"Install libghsim.so.0 where the loader finds it; link a static program with it (pkg-config libghsim).",
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
	ret_place->is_simulated = true;
	if (options->machine == NULL)
		load.free_machine(sim); /* the table keeps it */
	return 0;
}

static int find_place(const struct gh_vm_options *options, struct place *ret_place)
{
	const char *device = device_wanted(options);

	if (options->machine != NULL || (device != NULL && strncmp(device, SIMULATED, strlen(SIMULATED)) == 0))
		return find_simulated(options, device, ret_place);
	*ret_place = (struct place){ .sys = gh_sys_kernel(), .path = device };
	return 0;
}

static void leave_place(const struct place *place)
{
	if (place->sys->put != NULL)
		place->sys->put(place->sys);
}

/* --- one backend -------------------------------------------------------------------------------------------------- */

/* Out of memory or descriptors: the next device would not do better. */
static bool is_about_process(int error)
{
	return error == -ENOMEM || error == -EMFILE || error == -ENFILE;
}

static int not_ours(struct gh_failure *failure, const struct gh_backend *backend)
{
	return gh_fail(failure, -ENODEV, STEP, NULL, "Check the device's path or descriptor, and the backend's name.",
		       "The device does not answer as backend \"%s\" expects.", backend->name);
}

/* The backend's own probe has failed. */
static int refuse(struct gh_refusal *refusal, const struct gh_backend *backend, int error)
{
	bool is_told = refusal->failure.error != 0;

	if (is_about_process(error))
		refusal->missing = GH_MISSING_RESOURCE;
	else if (error == -ENODEV)
		refusal->missing = is_told ? GH_MISSING_DIALECT : GH_MISSING_RELATION;
	else
		refusal->missing = GH_MISSING_OTHER;
	if (is_told)
		return error;
	return error == -ENODEV ? not_ours(&refusal->failure, backend)
				: gh_fail_request(&refusal->failure, error, STEP, "probe");
}

static int open_device(const struct gh_vm_options *options, const struct place *place, const struct gh_backend *backend,
		       struct gh_refusal *refusal)
{
	struct gh_sys *sys = place->sys;
	int fd;

	if (backend->device == NULL)
		return -1;
	refusal->is_simulated = place->is_simulated;
	if (options->device_fd < 0)
		refusal->path = place->path != NULL ? place->path : backend->device;
	fd = options->device_fd < 0 ? sys->open(sys, refusal->path, O_RDWR) : sys->dup(sys, options->device_fd, 0);
	return fd < 0 ? gh_reason_open(refusal, fd) : fd;
}

/* Opens, or copies, the device and asks the backend. On failure nothing stays open. */
static int try_backend(const struct gh_vm_options *options, const struct place *place, const struct gh_backend *backend,
		       struct gh_target *ret_target, struct gh_refusal *ret_refusal)
{
	const struct gh_refusal none = { .failure = GH_FAILURE_INIT };
	struct gh_sys *sys = place->sys;
	int fd;
	int ret;

	*ret_refusal = none;
	fd = open_device(options, place, backend, ret_refusal);
	if (ret_refusal->failure.error != 0)
		return fd;
	*ret_target = (struct gh_target){ .sys = sys, .ops = backend, .fd = fd };
	ret = backend->probe(sys, fd, &ret_target->caps, &ret_refusal->failure);
	if (ret < 0) {
		ret_refusal->dialect = ret_target->caps.dialect;
		ret = refuse(ret_refusal, backend, ret);
	} else {
		ret = gh_caps_override(&ret_target->caps, backend, options, &ret_refusal->failure);
		if (ret == 0)
			return 0;
		ret_refusal->missing = GH_MISSING_FEATURE;
	}
	if (fd >= 0)
		(void)sys->close(sys, fd);
	return ret;
}

/*
 * Which of two refusals says more to somebody who did not name a backend: a device that is there and cannot be used says
 * more than one that is not the backend's at all, and that more than one that is missing.
 */
static int weight(const struct gh_refusal *refusal)
{
	switch (refusal->missing) {
	case GH_MISSING_NOTHING:
		return 0;
	case GH_MISSING_NODE:
		return 1;
	case GH_MISSING_RELATION:
		return 2;
	default:
		return 3;
	}
}

static int tell(const struct gh_vm_options *options, const struct gh_refusal *refusal, int error)
{
	if (options->failure != NULL) {
		*options->failure = refusal->failure;
		options->failure->error = error;
	}
	return error;
}

static int no_hypervisor(const struct gh_vm_options *options)
{
	char devices[128] = "";

	for (size_t i = 0; i < REAL_BACKENDS; i++) {
		size_t used = strlen(devices);

		(void)snprintf(devices + used, sizeof(devices) - used, "%s%s", i > 0 ? ", " : "", real_backends[i]->device);
	}
	return gh_fail_as(
		options->failure, GH_CAUSE_NO_HYPERVISOR, -ENODEV, STEP, "open",
		"Use a machine with a hypervisor, or a simulated device (GH_DEVICE=sim:gunyah). For each of them, "
		"gh-probe says why it is missing.",
		"There is none of these: %s.", devices);
}

static int try_all(const struct gh_vm_options *options, const struct place *place, struct gh_target *ret_target)
{
	struct gh_refusal best = { .missing = GH_MISSING_NOTHING };
	const struct gh_backend *best_backend = NULL;
	bool is_named;

	for (size_t i = 0; i < REAL_BACKENDS; i++) {
		struct gh_refusal refusal;
		int ret;

		if (!is_wanted(options, real_backends[i]))
			continue;
		ret = try_backend(options, place, real_backends[i], ret_target, &refusal);
		if (ret == 0)
			return 0;
		if (is_about_process(ret))
			return tell(options, &refusal, ret);
		if (weight(&refusal) > weight(&best)) {
			best = refusal;
			best_backend = real_backends[i];
		}
	}
	is_named = !is_auto(options) || place->path != NULL || options->device_fd >= 0;
	if (!is_named && best.missing == GH_MISSING_NODE)
		return no_hypervisor(options);
	if (options->failure != NULL && best_backend != NULL)
		gh_reason_look(place->sys, best_backend, &best);
	return tell(options, &best, is_named ? best.failure.error : -ENODEV);
}

static int open_fake(const struct gh_vm_options *options, struct gh_target *ret_target)
{
	const struct place place = { .sys = gh_sys_kernel() };
	struct gh_refusal refusal;
	int ret;

	if (options->fake == NULL)
		return gh_fail_argument(options->failure, -EINVAL, STEP,
					"The backend \"fake\" needs a script (gh_vm_options::fake).");
	ret = try_backend(options, &place, &gh_backend_fake, ret_target, &refusal);
	return ret < 0 ? tell(options, &refusal, ret) : 0;
}

int gh_target_open(const struct gh_vm_options *options, struct gh_target *ret_target)
{
	struct place place;
	int ret;

	if (!is_auto(options) && !is_known(options))
		return gh_fail(options->failure, -EINVAL, STEP, NULL, "Use gunyah, geniezone, halla, kvm, fake or auto.",
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
	entry->max_lines = caps->max_lines;
	entry->mmio_end = caps->mmio_end;
}

static void probe_one(struct gh_probe *probe, const struct gh_vm_options *options, const struct place *place,
		      const struct gh_backend *backend)
{
	const struct gh_failure no_failure = GH_FAILURE_INIT;
	struct gh_probe_entry *entry = &probe->entries[probe->count];
	struct gh_target target = { .fd = -1 };
	struct gh_refusal refusal;

	if (probe->count++ == 0)
		probe->lock_limit = gh_reason_lock_limit(place->sys);
	entry->backend = backend->name;
	entry->device = probe->device != NULL ? probe->device : backend->device;
	entry->dialect = "";
	entry->failure = no_failure;
	entry->caution = no_failure;
	entry->lock_limit = probe->lock_limit;
	if (try_backend(options, place, backend, &target, &refusal) < 0) {
		gh_reason_look(place->sys, backend, &refusal);
		entry->missing = refusal.missing;
		entry->failure = refusal.failure;
		entry->dialect = refusal.dialect != NULL ? refusal.dialect : "";
		return;
	}
	if (target.fd >= 0)
		(void)place->sys->close(place->sys, target.fd);
	fill(entry, &target.caps);
	gh_reason_caution(place->sys, &target.caps, probe->lock_limit, &entry->caution);
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
		return gh_fail(options.failure, -EINVAL, STEP, NULL, "Use gunyah, geniezone, halla, kvm or auto.",
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
