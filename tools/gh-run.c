/* SPDX-License-Identifier: BSD-3-Clause */
/* gh-run: boots Linux on an arm64 hypervisor, real or simulated, with a serial console. What a VMM looks like with libgh. */
#include "overrides.h"
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_BOOTS 16u
#define MIB (UINT64_C(1) << 20)

static const char usage_text[] =
	"Usage: gh-run --kernel FILE [OPTION]...\n"
	"Boot Linux for arm64 in a virtual machine, with a serial console on this terminal (ttyS0 in the guest).\n"
	"\n"
	"  --kernel FILE      the kernel: Image, also packed with gzip or zstd or as EFI zboot, or ELF\n"
	"  --initrd FILE      its initial RAM disk\n"
	"  --append TEXT      its command line (\"console=ttyS0 panic=-1\")\n"
	"  --mem SIZE         memory, such as 512M or 2G (512M)\n"
	"  --cpus N           vCPUs (1)\n"
	"  --lend             lend the guest its memory instead of sharing it: the host can no longer read it\n"
	"  --backend NAME     gunyah, geniezone, halla or kvm; without it, the first that works\n"
	"  --device DEV       a path such as /dev/gunyah, or a simulated device such as sim:gzvm/v9; may be\n"
	"                     repeated: one boot after the other\n"
	"  --feature LIST     say what the hypervisor can do, against what is found: +NAME,-NAME (gh-probe --names)\n"
	"  --quirk LIST       say what it does differently, likewise\n"
	"  --timeout SECONDS  end a guest that has not ended by then\n"
	"  --reboot N         when the guest asks for a reset, boot it again, N times at most; not with --lend\n"
	"  --mark TEXT        note when the guest says TEXT, as the time to user space\n"
	"  --prompt TEXT      when the guest says TEXT, type what --answer says, and Enter\n"
	"  --answer TEXT      see --prompt\n"
	"  --dump-dtb FILE    write the devicetree to FILE, before the guest starts\n"
	"  --check-dtb FILE   boot nothing: check the devicetree in FILE as Gunyah's resource manager does\n"
	"  --trace FILE       write exits, interrupts and kicks to FILE, for Perfetto or chrome://tracing\n"
	"  --stats            a table at the end: times, and how often what happened\n"
	"  --json             the same as one JSON object for each boot; the guest's text is not shown then\n"
	"  --help             print this text\n"
	"  --version          print the library's version\n"
	"\n"
	"If there are several boots, the files of the second are called FILE.2, and so on.\n"
	"On a terminal, Ctrl-A x ends the guest, and Ctrl-A Ctrl-A sends Ctrl-A.\n"
	"\n"
	"Status: 0 if every guest switched itself off; otherwise that of the first that did not: 1 if something failed,\n"
	"3 if the guest asked for a reset, 4 if it crashed or was ended by its hypervisor, 5 after the escape key,\n"
	"124 after the timeout, 130, 143 or 129 after SIGINT, SIGTERM or SIGHUP. 2 is wrong usage.\n";

enum {
	STATUS_OK = 0,
	STATUS_FAILED = 1,
	STATUS_USAGE = 2,
	STATUS_RESET = 3,
	STATUS_CRASHED = 4,
	STATUS_ESCAPED = 5,
	STATUS_TIMEOUT = 124,
	STATUS_SIGNAL = 128,
};

struct arguments {
	struct run_request request; /* what all boots have in common */
	const char *devices[MAX_BOOTS];
	unsigned int count;
	bool stats;
	bool json;
};

enum {
	OPTION_KERNEL = 1,
	OPTION_INITRD,
	OPTION_APPEND,
	OPTION_MEM,
	OPTION_CPUS,
	OPTION_LEND,
	OPTION_BACKEND,
	OPTION_DEVICE,
	OPTION_FEATURE,
	OPTION_QUIRK,
	OPTION_TIMEOUT,
	OPTION_REBOOT,
	OPTION_MARK,
	OPTION_PROMPT,
	OPTION_ANSWER,
	OPTION_DUMP_DTB,
	OPTION_CHECK_DTB,
	OPTION_TRACE,
	OPTION_STATS,
	OPTION_JSON,
	OPTION_HELP,
	OPTION_VERSION
};

static const struct option long_options[] = {
	{ "kernel", required_argument, NULL, OPTION_KERNEL },
	{ "initrd", required_argument, NULL, OPTION_INITRD },
	{ "append", required_argument, NULL, OPTION_APPEND },
	{ "mem", required_argument, NULL, OPTION_MEM },
	{ "cpus", required_argument, NULL, OPTION_CPUS },
	{ "lend", no_argument, NULL, OPTION_LEND },
	{ "backend", required_argument, NULL, OPTION_BACKEND },
	{ "device", required_argument, NULL, OPTION_DEVICE },
	{ "feature", required_argument, NULL, OPTION_FEATURE },
	{ "quirk", required_argument, NULL, OPTION_QUIRK },
	{ "timeout", required_argument, NULL, OPTION_TIMEOUT },
	{ "reboot", required_argument, NULL, OPTION_REBOOT },
	{ "mark", required_argument, NULL, OPTION_MARK },
	{ "prompt", required_argument, NULL, OPTION_PROMPT },
	{ "answer", required_argument, NULL, OPTION_ANSWER },
	{ "dump-dtb", required_argument, NULL, OPTION_DUMP_DTB },
	{ "check-dtb", required_argument, NULL, OPTION_CHECK_DTB },
	{ "trace", required_argument, NULL, OPTION_TRACE },
	{ "stats", no_argument, NULL, OPTION_STATS },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ NULL, 0, NULL, 0 },
};

static int wrong_usage(const char *what)
{
	(void)fprintf(stderr, "gh-run: %s\nTry gh-run --help.\n", what);
	return STATUS_USAGE;
}

/* --- numbers -------------------------------------------------------------------------------------------------------- */

static bool read_number(const char *text, unsigned long most, unsigned long *ret_number, const char **ret_rest)
{
	char *rest;

	if (*text < '0' || *text > '9')
		return false;
	*ret_number = strtoul(text, &rest, 10);
	*ret_rest = rest;
	return *ret_number > 0 && *ret_number <= most;
}

static int read_count(const char *text, unsigned long most, const char *what, unsigned int *ret_count)
{
	unsigned long number;
	const char *rest;

	if (!read_number(text, most, &number, &rest) || *rest != '\0')
		return wrong_usage(what);
	*ret_count = (unsigned int)number;
	return 0;
}

static int read_size(const char *text, uint64_t *ret_size)
{
	static const struct {
		const char *unit;
		uint64_t bytes;
	} units[] = {
		{ "", MIB }, { "M", MIB }, { "MiB", MIB }, { "G", MIB << 10 }, { "GiB", MIB << 10 }, { "K", 1 << 10 }
	};
	unsigned long number;
	const char *rest;

	if (read_number(text, 1u << 30, &number, &rest))
		for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
			if (strcmp(rest, units[i].unit) == 0) {
				/* What every hypervisor takes: whole blocks of 2 MiB. */
				*ret_size = (number * units[i].bytes + 2 * MIB - 1) / (2 * MIB) * (2 * MIB);
				return 0;
			}
	return wrong_usage("the memory's size is a number with K, M or G behind it, such as 512M");
}

/* --- options -------------------------------------------------------------------------------------------------------- */

static int read_phrase(const char *text, size_t most, const char *what, const char **ret_text)
{
	if (*text == '\0' || strlen(text) > most)
		return wrong_usage(what);
	*ret_text = text;
	return 0;
}

/* What is said on the console, and what of it all is kept. */
static int read_output_option(struct arguments *arguments, int option)
{
	struct run_request *request = &arguments->request;

	switch (option) {
	case OPTION_MARK:
		return read_phrase(optarg, RUN_PHRASE, "--mark is 1 to 128 bytes", &request->mark);
	case OPTION_PROMPT:
		return read_phrase(optarg, RUN_PHRASE, "--prompt is 1 to 128 bytes", &request->prompt);
	case OPTION_ANSWER:
		if (strlen(optarg) > RUN_ANSWER)
			return wrong_usage("--answer is at most 1024 bytes");
		request->answer = optarg;
		return 0;
	case OPTION_DUMP_DTB:
		request->dtb_file = optarg;
		return 0;
	case OPTION_TRACE:
		request->trace_file = optarg;
		return 0;
	case OPTION_STATS:
		arguments->stats = true;
		return 0;
	case OPTION_JSON:
		arguments->json = true;
		return 0;
	default:
		return wrong_usage("unknown option, or one without its value");
	}
}

static int read_option(struct arguments *arguments, int option)
{
	struct run_request *request = &arguments->request;

	switch (option) {
	case OPTION_KERNEL:
		request->kernel = optarg;
		return 0;
	case OPTION_INITRD:
		request->initrd = optarg;
		return 0;
	case OPTION_APPEND:
		request->command_line = optarg;
		return 0;
	case OPTION_MEM:
		return read_size(optarg, &request->memory);
	case OPTION_CPUS:
		return read_count(optarg, 4096, "the number of vCPUs is 1 or more", &request->cpus);
	case OPTION_LEND:
		request->lend = true;
		return 0;
	case OPTION_BACKEND:
		request->backend = optarg;
		return 0;
	case OPTION_DEVICE:
		if (arguments->count == MAX_BOOTS)
			return wrong_usage("too many devices");
		arguments->devices[arguments->count++] = optarg;
		return 0;
	case OPTION_FEATURE:
		if (!overrides_read(optarg, gh_feature_by_name, &request->features_on, &request->features_off))
			return wrong_usage("features are written +NAME or -NAME, with commas between");
		return 0;
	case OPTION_QUIRK:
		if (!overrides_read(optarg, gh_quirk_by_name, &request->quirks_on, &request->quirks_off))
			return wrong_usage("quirks are written +NAME or -NAME, with commas between");
		return 0;
	case OPTION_TIMEOUT:
		return read_count(optarg, 1000000, "the timeout is a number of seconds", &request->timeout);
	case OPTION_REBOOT:
		return read_count(optarg, 1000000, "the number of reboots is 1 or more", &request->reboots);
	default:
		return read_output_option(arguments, option);
	}
}

/* -1: go on; otherwise the exit status. */
static int read_arguments(struct arguments *arguments, int argc, char **argv)
{
	int option;
	int ret;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (option == OPTION_HELP)
			return fputs(usage_text, stdout) < 0;
		if (option == OPTION_CHECK_DTB)
			return run_check_dtb(optarg);
		if (option == OPTION_VERSION)
			return printf("gh-run (libgh) %s\n", gh_version()) < 0;
		ret = read_option(arguments, option);
		if (ret != 0)
			return ret;
	}
	if (optind < argc)
		return wrong_usage("there are no arguments but options");
	if (arguments->request.kernel == NULL)
		return wrong_usage("which kernel? Name one with --kernel");
	if ((arguments->request.prompt == NULL) != (arguments->request.answer == NULL))
		return wrong_usage("--prompt and --answer go together");
	if (arguments->request.reboots != 0 && arguments->request.lend)
		return wrong_usage("--reboot does not go with --lend: memory that was lent is lost");
	arguments->request.console = !arguments->json;
	return -1;
}

/* --- booting -------------------------------------------------------------------------------------------------------- */

static int status_of(const struct run_result *result)
{
	switch (result->end) {
	case RUN_STOPPED:
		if (result->cause == GH_STOP_POWER_OFF)
			return STATUS_OK;
		return result->cause == GH_STOP_RESET ? STATUS_RESET : STATUS_CRASHED;
	case RUN_KILLED:
		return STATUS_SIGNAL + result->signal;
	case RUN_ESCAPED:
		return STATUS_ESCAPED;
	case RUN_TIMED_OUT:
		return STATUS_TIMEOUT;
	default:
		return STATUS_FAILED;
	}
}

/* The user wants no more of it. */
static bool is_wanted(const struct run_result *result)
{
	return result->end != RUN_KILLED && result->end != RUN_ESCAPED;
}

static void report(const struct arguments *arguments, const struct run_request *request, const struct run_result *result)
{
	if (arguments->json)
		run_report_json(request, result);
	if (result->end == RUN_FAILED)
		run_report_failure(request, result);
	else if (!arguments->json && status_of(result) != STATUS_OK)
		run_report_end(request, result);
}

/* A device that gets the number of a standard descriptor would be written the guest's text to. */
static bool open_standard(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDWR) != fd)
			return false;
	return true;
}

/* The file of this boot; `name` has room for it. */
static const char *file_of(const char *file, unsigned int boot, char *name, size_t room)
{
	if (file == NULL || boot == 0)
		return file;
	(void)snprintf(name, room, "%s.%u", file, boot + 1);
	return name;
}

static void boot(struct run_request *request, unsigned int number, struct run_result *result)
{
	char trace[4096];
	char tree[4096];

	request->trace_file = file_of(request->trace_file, number, trace, sizeof(trace));
	request->dtb_file = file_of(request->dtb_file, number, tree, sizeof(tree));
	run_boot(request, result);
	request->trace_file = NULL;
	request->dtb_file = NULL;
}

int main(int argc, char **argv)
{
	struct arguments arguments = {
		.request = { .command_line = "console=ttyS0 panic=-1", .memory = 512 * MIB, .cpus = 1 },
	};
	struct run_request requests[MAX_BOOTS];
	struct run_result results[MAX_BOOTS];
	unsigned int count;
	int status;

	if (!open_standard())
		return STATUS_FAILED;
	status = read_arguments(&arguments, argc, argv);
	if (status >= 0)
		return status;
	if (arguments.count == 0)
		arguments.count = 1;
	status = STATUS_OK;
	for (count = 0; count < arguments.count; count++) {
		requests[count] = arguments.request;
		requests[count].device = arguments.devices[count];
		boot(&requests[count], count, &results[count]);
		report(&arguments, &requests[count], &results[count]);
		if (status == STATUS_OK)
			status = status_of(&results[count]);
		if (!is_wanted(&results[count])) {
			count++;
			break;
		}
	}
	if (arguments.stats && !arguments.json)
		run_report_table(requests, results, count);
	return status;
}
