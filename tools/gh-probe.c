/* SPDX-License-Identifier: BSD-3-Clause */
/* gh-probe: which hypervisors are here, what they can do, and why one that is missing is missing. */
#include "overrides.h"
#include "probe.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_DEVICES 64u

static const char usage_text[] =
	"Usage: gh-probe [OPTION]...\n"
	"Look which arm64 hypervisors this machine has (Gunyah, GenieZone, Halla, KVM), what they can do, and why one is\n"
	"missing. Changes nothing: at most, virtual machines are made that never run.\n"
	"\n"
	"  --device DEV     look at this path, such as /dev/gunyah, or at a simulated device, such as sim:gzvm/v9; may be\n"
	"                   repeated; without it: GH_DEVICE from the environment, or the usual paths\n"
	"  --backend NAME   only gunyah, geniezone, halla or kvm\n"
	"  --feature LIST   say what the hypervisor can do, against what is found: +lend,-datamatch\n"
	"  --quirk LIST     say what it does differently, likewise: -fragile-answer\n"
	"  --names          print the names of features and quirks\n"
	"  --json           for scripts: one JSON object (doc/gh-probe.md)\n"
	"  --help           print this text\n"
	"  --version        print the library's version\n"
	"\n"
	"Status: 0 if a hypervisor can be used, 1 if none can, 2 for wrong usage.\n";

enum {
	STATUS_USABLE = 0,
	STATUS_NONE = 1,
	STATUS_USAGE = 2,
};

struct arguments {
	struct gh_vm_options options; /* but for the device */
	const char *devices[MAX_DEVICES];
	unsigned int count;
	bool json;
};

enum {
	OPTION_DEVICE = 1,
	OPTION_BACKEND,
	OPTION_FEATURE,
	OPTION_QUIRK,
	OPTION_NAMES,
	OPTION_JSON,
	OPTION_HELP,
	OPTION_VERSION,
};

static const struct option long_options[] = {
	{ "device", required_argument, NULL, OPTION_DEVICE },
	{ "backend", required_argument, NULL, OPTION_BACKEND },
	{ "feature", required_argument, NULL, OPTION_FEATURE },
	{ "quirk", required_argument, NULL, OPTION_QUIRK },
	{ "names", no_argument, NULL, OPTION_NAMES },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ NULL, 0, NULL, 0 },
};

static int wrong_usage(const char *what)
{
	(void)fprintf(stderr, "gh-probe: %s\nTry gh-probe --help.\n", what);
	return STATUS_USAGE;
}

/* What was written is there, or somebody must know. */
static int finish(int status)
{
	if (fflush(stdout) == 0 && ferror(stdout) == 0)
		return status;
	perror("gh-probe: write");
	return STATUS_NONE;
}

/* --- options -------------------------------------------------------------------------------------------------------- */

static int read_option(struct arguments *arguments, int option)
{
	struct gh_vm_options *options = &arguments->options;

	switch (option) {
	case OPTION_DEVICE:
		if (arguments->count == MAX_DEVICES)
			return wrong_usage("too many devices");
		arguments->devices[arguments->count++] = optarg;
		return 0;
	case OPTION_BACKEND:
		options->backend = optarg;
		return 0;
	case OPTION_FEATURE:
		if (!overrides_read(optarg, gh_feature_by_name, &options->features_on, &options->features_off))
			return wrong_usage("features are written +NAME or -NAME, with commas between; --names prints them");
		return 0;
	case OPTION_QUIRK:
		if (!overrides_read(optarg, gh_quirk_by_name, &options->quirks_on, &options->quirks_off))
			return wrong_usage("quirks are written +NAME or -NAME, with commas between; --names prints them");
		return 0;
	case OPTION_JSON:
		arguments->json = true;
		return 0;
	default:
		return wrong_usage("unknown option, or one without its value");
	}
}

/* -1: go on; otherwise the exit status. */
static int read_arguments(struct arguments *arguments, int argc, char **argv)
{
	int option;
	int ret;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (option) {
		case OPTION_HELP:
			(void)fputs(usage_text, stdout);
			return finish(0);
		case OPTION_VERSION:
			(void)printf("gh-probe %s\n", gh_version());
			return finish(0);
		case OPTION_NAMES:
			probe_text_names();
			return finish(0);
		default:
			ret = read_option(arguments, option);
			if (ret != 0)
				return ret;
		}
	}
	if (optind < argc)
		return wrong_usage("there are only options");
	return -1;
}

/* --- looking -------------------------------------------------------------------------------------------------------- */

/* 0: answered, also if the answer is that the device cannot be looked at. */
static int look(const struct gh_vm_options *callers, const char *device, struct probe_answer *ret_answer)
{
	const struct gh_failure none = GH_FAILURE_INIT;
	struct gh_vm_options options = *callers;
	int ret;

	*ret_answer = (struct probe_answer){ .device = device, .failure = none };
	options.device = device;
	options.failure = &ret_answer->failure;
	ret = gh_probe(&options, &ret_answer->probe);
	/* A device string that says nonsense is told as an answer; other arguments are the same for all devices. */
	if (ret == -EINVAL && (device == NULL || ret_answer->failure.error == 0)) {
		(void)wrong_usage(ret_answer->failure.error != 0 ? ret_answer->failure.cause : "wrong options");
		return ret;
	}
	return 0;
}

static bool has_usable(const struct probe_answer *answers, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		for (unsigned int entry = 0; entry < gh_probe_count(answers[i].probe); entry++)
			if (gh_probe_get(answers[i].probe, entry)->usable != 0)
				return true;
	return false;
}

static int look_everywhere(const struct arguments *arguments)
{
	struct probe_answer answers[MAX_DEVICES];
	unsigned int count = 0;
	int status = STATUS_NONE;
	int ret = 0;

	if (arguments->count == 0)
		ret = look(&arguments->options, NULL, &answers[count++]);
	while (ret == 0 && count < arguments->count) {
		ret = look(&arguments->options, arguments->devices[count], &answers[count]);
		count++;
	}
	if (ret == 0 && arguments->json)
		probe_json(answers, count);
	else if (ret == 0)
		probe_text(answers, count);
	if (ret == 0 && has_usable(answers, count))
		status = STATUS_USABLE;
	for (unsigned int i = 0; i < count; i++)
		gh_probe_free(answers[i].probe);
	return ret != 0 ? STATUS_USAGE : finish(status);
}

int main(int argc, char **argv)
{
	struct arguments arguments = { .options = GH_VM_OPTIONS_INIT };
	int ret = read_arguments(&arguments, argc, argv);

	return ret >= 0 ? ret : look_everywhere(&arguments);
}
