/* SPDX-License-Identifier: BSD-3-Clause */
/* gh-stress: kicks at every moment, with delays at every point of the run path; counts what gets lost. */
#include "stress.h"

#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* From so many kicks on, every point must have been delayed. */
#define ENOUGH_KICKS 20000u
/* Seconds that a naive loop goes on for if it has not lost anything yet. */
#define NAIVE_PATIENCE 60u
/* So many times as long runs a loop that has not been to every place to be delayed. */
#define PATIENCE 10u

static const char usage_text[] =
	"Usage: gh-stress [OPTION]...\n"
	"Run a guest whose every load, store and power-off is known beforehand, kick its vCPU at random moments, put "
	"random\n"
	"delays into the run path of the library and of the simulated driver, and count what is lost. It must be nothing.\n"
	"\n"
	"  --device DEV    sim:gunyah/REVISION or sim:gzvm/REVISION, with a scripted guest (sim:gunyah/android14-6.1);\n"
	"                  on arm64 also /dev/kvm and simulated devices with engine=kvm, with a real guest\n"
	"  --kicks N       end after so many kicks (0: no such end)\n"
	"  --seconds N     end after so many seconds (5 without --kicks)\n"
	"  --naive NAME    run the loop of other VMMs instead of libgh's, which must lose something:\n"
	"                  ignore     handler sets immediate_exit; EINTR ignores the page and runs again\n"
	"                  immediate  another thread sets immediate_exit; the page is looked at after EINTR\n"
	"                  restart    empty handler with SA_RESTART\n"
	"                  flag       empty handler, and a flag that is looked at before each run\n"
	"                  all        one after the other\n"
	"  --seed N        of everything random (1)\n"
	"  --bound MS      a kick without effect for so long is lost (30000; 300 with --naive)\n"
	"  --stalls N      on Gunyah, most stalls of the CPU in one system call before the guest is entered (3)\n"
	"  --no-delays     no injected delays\n"
	"  --json          print one JSON object instead of text\n"
	"  --help          print this text\n"
	"\n"
	"While a load's answer is out on Gunyah, a delay before the driver's first look at signals is a stall: it stops "
	"the\n"
	"courier of kicks as well, as a CPU that stands still does. Such delays are counted by themselves.\n"
	"\n"
	"Status: 0 if nothing was lost (with --naive: if each loop lost something), 1 if not, 2 for wrong usage.\n";

struct arguments {
	struct stress stress;
	unsigned long kicks;
	unsigned long seconds;
	uint64_t seed;
	bool naive;
	enum naive first;
	enum naive last;
	bool json;
};

enum {
	OPT_DEVICE = 1,
	OPT_KICKS,
	OPT_SECONDS,
	OPT_NAIVE,
	OPT_SEED,
	OPT_BOUND,
	OPT_STALLS,
	OPT_NO_DELAYS,
	OPT_JSON,
	OPT_HELP
};

static const struct option long_options[] = {
	{ "device", required_argument, NULL, OPT_DEVICE },
	{ "kicks", required_argument, NULL, OPT_KICKS },
	{ "seconds", required_argument, NULL, OPT_SECONDS },
	{ "naive", required_argument, NULL, OPT_NAIVE },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "bound", required_argument, NULL, OPT_BOUND },
	{ "stalls", required_argument, NULL, OPT_STALLS },
	{ "no-delays", no_argument, NULL, OPT_NO_DELAYS },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

static bool read_number(const char *text, unsigned long most, unsigned long *ret_number)
{
	char *rest;

	*ret_number = strtoul(text, &rest, 10);
	return *text >= '0' && *text <= '9' && *rest == '\0' && *ret_number <= most;
}

static bool read_naive(struct arguments *arguments, const char *name)
{
	arguments->naive = true;
	if (strcmp(name, "all") == 0) {
		arguments->first = NAIVE_IGNORE;
		arguments->last = NAIVE_FLAG;
		return true;
	}
	for (unsigned int i = NAIVE_IGNORE; i < NAIVE_COUNT; i++) {
		if (strcmp(name, naive_name((enum naive)i)) == 0) {
			arguments->first = arguments->last = (enum naive)i;
			return true;
		}
	}
	return false;
}

static bool read_device(struct stress *stress, const char *device)
{
	stress->device = device;
	stress->real_guest = strncmp(device, "sim:", 4) != 0 || strstr(device, "engine=kvm") != NULL;
	if (strncmp(device, "sim:gunyah/", 11) == 0 || strcmp(device, "/dev/gunyah") == 0)
		stress->kind = DEVICE_GUNYAH;
	else if (strncmp(device, "sim:gzvm/", 9) == 0 || strcmp(device, "/dev/gzvm") == 0)
		stress->kind = DEVICE_GZVM;
	else if (strcmp(device, "/dev/kvm") == 0)
		stress->kind = DEVICE_KVM;
	else
		return false;
	return true;
}

static bool read_option(struct arguments *arguments, int option)
{
	unsigned long number = 0;

	switch (option) {
	case OPT_DEVICE:
		return read_device(&arguments->stress, optarg);
	case OPT_KICKS:
		return read_number(optarg, UINT32_MAX, &arguments->kicks);
	case OPT_SECONDS:
		return read_number(optarg, UINT32_MAX, &arguments->seconds);
	case OPT_NAIVE:
		return read_naive(arguments, optarg);
	case OPT_SEED:
		if (!read_number(optarg, ULONG_MAX, &number))
			return false;
		arguments->seed = number;
		return true;
	case OPT_BOUND:
		if (!read_number(optarg, 1000000, &number) || number == 0)
			return false;
		arguments->stress.bound_ms = (uint32_t)number;
		return true;
	case OPT_STALLS:
		if (!read_number(optarg, 1000, &number))
			return false;
		arguments->stress.stalls = (uint32_t)number;
		return true;
	case OPT_NO_DELAYS:
		arguments->stress.delays = false;
		return true;
	case OPT_JSON:
		arguments->json = true;
		return true;
	default:
		return false;
	}
}

/* --- the result --------------------------------------------------------------------------------------------------- */

struct line {
	const char *key;
	const char *text;
	unsigned long value;
};

static void print_text(const struct stress *stress, const struct line *lines, size_t count, double seconds)
{
	(void)printf("%s, loop %s, %.1f s\n", stress->device,
		     stress->naive == NAIVE_NONE ? "libgh" : naive_name(stress->naive), seconds);
	for (size_t i = 0; i < count; i++)
		(void)printf("  %-52s %10lu\n", lines[i].text, lines[i].value);
}

static void print_json(const struct stress *stress, const struct line *lines, size_t count, double seconds)
{
	(void)printf("{\"device\": \"%s\", \"loop\": \"%s\", \"seconds\": %.1f", stress->device,
		     stress->naive == NAIVE_NONE ? "libgh" : naive_name(stress->naive), seconds);
	for (size_t i = 0; i < count; i++)
		(void)printf(", \"%s\": %lu", lines[i].key, lines[i].value);
	(void)printf("}\n");
}

static void print(const struct arguments *arguments, double seconds)
{
	const struct counts *counts = &arguments->stress.counts;
	const struct line lines[] = {
		{ "lives", "VMs from start to power-off", counts->lives },
		{ "exits", "loads and stores", counts->exits },
		{ "loads", "  of these loads", counts->loads },
		{ "deferred", "  of these answered by another thread", counts->deferred },
		{ "delays", "delays injected", delays_count() },
		{ "kicks", "kicks sent", counts->sent },
		{ "interruptions", "kicks delivered (several at once are one)", counts->delivered },
		{ "kicks_at_end", "kicks that the end of the VM came before", counts->at_end },
		{ "kicks_to_courier", "kicks left to the courier (an answer was out)", delays_kicks_to_courier() },
		{ "signals_of_courier", "  signals that it sent", delays_signals_of_courier() },
		{ "stalls", "  stalls while an answer was out", delays_stalls() },
		{ "kicks_lost", "LOST kicks", counts->kicks_lost },
		{ "kicks_from_nowhere", "DUPLICATED kicks", counts->kicks_from_nowhere },
		{ "exits_lost", "LOST exits", counts->exits_lost },
		{ "exits_twice", "DUPLICATED exits", counts->exits_twice },
		{ "exits_wrong", "WRONG exits", counts->exits_wrong },
		{ "loads_zero", "LOST load values (read as 0)", counts->loads_zero },
		{ "loads_stale", "WRONG load values (stale)", counts->loads_stale },
		{ "ends_lost", "LOST power-offs", counts->ends_lost },
		{ "ends_wrong", "WRONG ends", counts->ends_wrong },
		{ "errors", "ERRORS", counts->errors },
	};
	const size_t count = sizeof(lines) / sizeof(lines[0]);

	if (arguments->json)
		print_json(&arguments->stress, lines, count, seconds);
	else
		print_text(&arguments->stress, lines, count, seconds);
	(void)fflush(stdout);
}

/* --- the run ------------------------------------------------------------------------------------------------------ */

static bool lacks_delays(const struct stress *stress)
{
	return stress->delays && delays_missing(stress->kind, NULL) > 0;
}

static bool goes_on(const struct arguments *arguments, uint64_t begun)
{
	const struct stress *stress = &arguments->stress;
	const unsigned long losses = counts_losses(&stress->counts);
	unsigned long seconds = arguments->seconds;

	/* Chance may be kind to a naive loop for a while, a slow machine for longer. */
	if (stress->naive != NAIVE_NONE && losses == 0)
		return now_ns() - begun < NAIVE_PATIENCE * UINT64_C(1000000000);
	/* And it gets to few of the places to be delayed; with fewer kicks nobody asks. */
	if (stress->naive == NAIVE_NONE && stress->counts.sent >= ENOUGH_KICKS && lacks_delays(stress))
		seconds *= PATIENCE;
	if (arguments->kicks != 0 && stress->counts.sent >= arguments->kicks)
		return false;
	if (seconds != 0 && now_ns() - begun >= seconds * UINT64_C(1000000000))
		return false;
	return stress->naive != NAIVE_NONE || losses == 0;
}

/* Of one loop. */
static bool run_loop(struct arguments *arguments, enum naive naive)
{
	struct stress *stress = &arguments->stress;
	const uint64_t begun = now_ns();
	unsigned long losses;

	stress->naive = naive;
	memset(&stress->counts, 0, sizeof(stress->counts));
	random_seed(arguments->seed);
	for (uint64_t stream = 1; goes_on(arguments, begun); stream++)
		if (!life_live(stress, stream))
			return false;
	print(arguments, (double)(now_ns() - begun) / 1e9);
	losses = counts_losses(&stress->counts);
	if (naive != NAIVE_NONE) {
		if (losses == 0)
			(void)fprintf(stderr, "gh-stress: the naive loop %s lost nothing\n", naive_name(naive));
		return losses > 0;
	}
	if (lacks_delays(stress) && stress->counts.sent >= ENOUGH_KICKS && delays_missing(stress->kind, stderr) > 0)
		return false;
	return losses == 0 && stress->counts.delivered > 0 && stress->counts.loads > 0;
}

static int run_all(struct arguments *arguments)
{
	bool good = true;

	if (arguments->kicks == 0 && arguments->seconds == 0)
		arguments->seconds = 5;
	if (arguments->stress.bound_ms == 0)
		arguments->stress.bound_ms = arguments->naive ? 300 : 30000;
	for (unsigned int naive = arguments->first; naive <= (unsigned int)arguments->last; naive++)
		good = run_loop(arguments, (enum naive)naive) && good;
	return good ? 0 : 1;
}

int main(int argc, char **argv)
{
	struct arguments arguments = { .stress = { .delays = true, .stalls = 3 }, .seed = 1 };
	int option;

	(void)read_device(&arguments.stress, "sim:gunyah/android14-6.1");
	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		if (option == OPT_HELP || option == 'h') {
			(void)fputs(usage_text, stdout);
			return 0;
		}
		if (!read_option(&arguments, option)) {
			(void)fputs("Try gh-stress --help.\n", stderr);
			return 2;
		}
	}
	if (optind != argc || (arguments.naive && arguments.stress.kind == DEVICE_KVM)) {
		(void)fputs("Try gh-stress --help.\n", stderr);
		return 2;
	}
	return run_all(&arguments);
}
