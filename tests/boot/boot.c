/* SPDX-License-Identifier: BSD-3-Clause */
/* gh-boot: boots a small guest on each hypervisor, simulated or real, and says how it went. */
#include "vm.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BOOTS 16

static const char usage_text[] =
	"Usage: gh-boot [OPTION]...\n"
	"Boot a small guest that tests loads, stores, an interrupt and a doorbell, and say how it went. Without options: "
	"on a\n"
	"simulated Gunyah, on a simulated GenieZone, and on KVM, which both of them need as well.\n"
	"\n"
	"  --device DEV       boot on this device: a path such as /dev/gunyah, or a simulated one such as sim:gzvm/v9;\n"
	"                     may be repeated, one boot each\n"
	"  --backend NAME     insist on a backend: gunyah, geniezone or kvm\n"
	"  --lend             lend the guest its memory instead of sharing it\n"
	"  --timeout SECONDS  end a guest that has not ended by then (20)\n"
	"  --json             print one JSON object for each boot instead of text\n"
	"  --help             print this text\n"
	"  --version          print the library's version\n"
	"\n"
	"Status: 0 if every boot went well, 1 if one failed, 2 for wrong usage.\n";

static const struct run_request default_boots[] = {
	{ .device = "sim:gunyah/android14-6.1" },
	{ .device = "sim:gzvm/v9" },
	{ .device = "/dev/kvm", .backend = "kvm" },
};

struct arguments {
	struct run_request boots[MAX_BOOTS];
	unsigned int count;
	const char *backend;
	bool lend;
	bool json;
	unsigned int timeout;
};

enum { OPTION_DEVICE = 1, OPTION_BACKEND, OPTION_LEND, OPTION_TIMEOUT, OPTION_JSON, OPTION_HELP, OPTION_VERSION };

static const struct option long_options[] = {
	{ "device", required_argument, NULL, OPTION_DEVICE }, { "backend", required_argument, NULL, OPTION_BACKEND },
	{ "lend", no_argument, NULL, OPTION_LEND },           { "timeout", required_argument, NULL, OPTION_TIMEOUT },
	{ "json", no_argument, NULL, OPTION_JSON },           { "help", no_argument, NULL, OPTION_HELP },
	{ "version", no_argument, NULL, OPTION_VERSION },     { NULL, 0, NULL, 0 },
};

static int wrong_usage(const char *what)
{
	(void)fprintf(stderr, "gh-boot: %s\nTry gh-boot --help.\n", what);
	return 2;
}

static int read_option(struct arguments *arguments, int option)
{
	char *rest;

	switch (option) {
	case OPTION_DEVICE:
		if (arguments->count == MAX_BOOTS)
			return wrong_usage("too many devices");
		arguments->boots[arguments->count++].device = optarg;
		return 0;
	case OPTION_BACKEND:
		arguments->backend = optarg;
		return 0;
	case OPTION_LEND:
		arguments->lend = true;
		return 0;
	case OPTION_TIMEOUT:
		arguments->timeout = (unsigned int)strtoul(optarg, &rest, 10);
		if (arguments->timeout == 0 || *rest != '\0')
			return wrong_usage("the timeout is a number of seconds");
		return 0;
	case OPTION_JSON:
		arguments->json = true;
		return 0;
	default:
		return wrong_usage("unknown option");
	}
}

/* -1: go on; otherwise the exit status. */
static int read_arguments(struct arguments *arguments, int argc, char **argv)
{
	int option;
	int ret;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (option == OPTION_HELP)
			return fputs(usage_text, stdout) < 0;
		if (option == OPTION_VERSION)
			return printf("gh-boot (libgh) %s\n", gh_version()) < 0;
		ret = read_option(arguments, option);
		if (ret != 0)
			return ret;
	}
	if (optind < argc)
		return wrong_usage("there are no arguments but options");
	return -1;
}

/* What applies to every boot. */
static void complete_boots(struct arguments *arguments)
{
	if (arguments->count == 0 && arguments->backend != NULL) {
		arguments->count = 1;
	} else if (arguments->count == 0) {
		arguments->count = sizeof(default_boots) / sizeof(default_boots[0]);
		memcpy(arguments->boots, default_boots, sizeof(default_boots));
	}
	for (unsigned int i = 0; i < arguments->count; i++) {
		struct run_request *boot = &arguments->boots[i];

		if (arguments->backend != NULL)
			boot->backend = arguments->backend;
		boot->lend = arguments->lend;
		boot->quiet = arguments->json;
		boot->timeout = arguments->timeout;
	}
}

static const char *name_of(const struct run_request *boot)
{
	return boot->device != NULL ? boot->device : boot->backend;
}

static void explain(const struct run_request *boot, const struct gh_failure *failure)
{
	(void)fprintf(stderr, "gh-boot: %s: cannot %s: %s\n", name_of(boot), failure->step, strerror(-failure->error));
	if (failure->request[0] != '\0')
		(void)fprintf(stderr, "  request: %s\n", failure->request);
	(void)fprintf(stderr, "  cause:   %s\n", failure->cause);
	if (failure->remedy[0] != '\0')
		(void)fprintf(stderr, "  remedy:  %s\n", failure->remedy);
}

static void print_text(const struct run_request *boot, const struct run_result *result)
{
	(void)printf("%s: %s: loads %u, stores %u, interrupts %u, doorbells %u; first exit after %.1f ms, %.1f ms in all\n",
		     name_of(boot), result->ok ? "ok" : "FAILED", result->loads, result->stores, result->interrupts,
		     result->doorbells, result->first_exit_ms, result->total_ms);
	(void)fflush(stdout);
	if (!result->ok)
		explain(boot, &result->failure);
}

static void print_json_string(const char *name, const char *text)
{
	(void)printf("\"%s\": \"", name);
	for (; *text != '\0'; text++) {
		unsigned char byte = (unsigned char)*text;

		if (byte == '"' || byte == '\\')
			(void)printf("\\%c", byte);
		else if (byte < 0x20 || byte >= 0x7f)
			(void)printf("\\u%04x", byte);
		else
			(void)putchar(byte);
	}
	(void)printf("\"");
}

static void print_json(const struct run_request *boot, const struct run_result *result)
{
	const struct gh_failure *failure = &result->failure;

	(void)printf("{");
	print_json_string("device", name_of(boot));
	(void)printf(", ");
	print_json_string("backend", result->backend);
	(void)printf(", \"ok\": %s, \"loads\": %u, \"stores\": %u, \"interrupts\": %u, \"doorbells\": %u",
		     result->ok ? "true" : "false", result->loads, result->stores, result->interrupts, result->doorbells);
	(void)printf(", \"first_exit_ms\": %.3f, \"total_ms\": %.3f, ", result->first_exit_ms, result->total_ms);
	print_json_string("text", result->text);
	(void)printf(", \"error\": %d, ", failure->error);
	print_json_string("step", failure->step);
	(void)printf(", ");
	print_json_string("request", failure->request);
	(void)printf(", ");
	print_json_string("cause", failure->cause);
	(void)printf(", ");
	print_json_string("remedy", failure->remedy);
	(void)printf("}\n");
	(void)fflush(stdout);
}

int main(int argc, char **argv)
{
	struct arguments arguments = { .timeout = 20 };
	bool all_ok = true;
	int ret = read_arguments(&arguments, argc, argv);

	if (ret >= 0)
		return ret;
	complete_boots(&arguments);
	for (unsigned int i = 0; i < arguments.count; i++) {
		struct run_result result;

		run_vm(&arguments.boots[i], &result);
		if (arguments.json)
			print_json(&arguments.boots[i], &result);
		else
			print_text(&arguments.boots[i], &result);
		all_ok = all_ok && result.ok;
	}
	return all_ok && !ferror(stdout) ? 0 : 1;
}
