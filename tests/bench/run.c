/* SPDX-License-Identifier: BSD-3-Clause */
/* gh-bench-run: the price of the run loop. Prints JSON; times decide nothing here. */
#include "bench.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define TARGET_NS 25.0
#define TARGET_DISPATCH_NS 4.0
#define TARGET_RATIO 1.2

static const char help[] =
	"usage: gh-bench-run [--batches N] [--rounds N]     measure, print JSON\n"
	"       gh-bench-run --check                        only what does not depend on time; 1 if it is not met\n"
	"       gh-bench-run --count N --mode bare|libgh|dispatch|loop\n"
	"                    --device gunyah|geniezone --access store|load\n"
	"                                                   N exits and nothing else, for callgrind (see "
	"\"instructions\")\n"
	"\n"
	"Measured are what libgh adds to one MMIO exit over a bare loop on a device inside this process: with the\n"
	"caller's own loop and direct calls of the device (libgh), the same with gh_bus_dispatch() (dispatch), and with\n"
	"gh_vcpu_loop() and the same bus (loop); the heap allocations and system calls of an exit; and the time from a\n"
	"kick to the exit against a bare signal.\n";

struct settings {
	unsigned int batches;
	unsigned int rounds;
	uint64_t count;
	bool check;
	enum mode mode;
	enum layout layout;
	enum access access;
};

/* --- printing ------------------------------------------------------------------------------------------------------ */

static const char *truth(bool value)
{
	return value ? "true" : "false";
}

static bool is_deterministic(const struct exit_result *result, enum mode mode)
{
	return result->allocations[mode] == 0 && result->calls[mode] == result->exits;
}

static void print_counts(const struct exit_result *result, enum mode mode, const char *prefix)
{
	(void)printf("\"%sallocations_per_exit\": %g, \"%ssystem_calls_per_exit\": %g, \"%scounts_met\": %s", prefix,
		     (double)result->allocations[mode] / (double)result->exits, prefix,
		     (double)result->calls[mode] / (double)result->exits, prefix, truth(is_deterministic(result, mode)));
}

static void print_times(const struct exit_result *result)
{
	double added = result->ns[LIBGH] - result->ns[BARE];
	double loop_added = result->ns[LOOP] - result->ns[BARE];

	(void)printf("\"bare_ns\": %.1f, \"libgh_ns\": %.1f, \"ratio\": %.2f, \"added_ns\": %.1f, \"met\": %s, ",
		     result->ns[BARE], result->ns[LIBGH], result->ns[LIBGH] / result->ns[BARE], added,
		     truth(added <= TARGET_NS));
	(void)printf("\"dispatch_ns\": %.1f, \"dispatch_added_ns\": %.1f, \"dispatch_met\": %s, ", result->ns[DISPATCH],
		     result->ns[DISPATCH] - result->ns[LIBGH],
		     truth(result->ns[DISPATCH] - result->ns[LIBGH] <= TARGET_DISPATCH_NS));
	(void)printf("\"loop_ns\": %.1f, \"loop_added_ns\": %.1f, \"loop_met\": %s, ", result->ns[LOOP], loop_added,
		     truth(loop_added <= TARGET_NS));
}

static bool print_exit(enum layout layout, enum access access, unsigned int batches, bool *met)
{
	struct exit_result result;

	if (!exits_measure(layout, access, batches, &result))
		return false;
	*met &= is_deterministic(&result, LIBGH) && is_deterministic(&result, DISPATCH) && is_deterministic(&result, LOOP);
	(void)printf("    {\"device\": \"%s\", \"access\": \"%s\", ", layout_names[layout], access_names[access]);
	if (batches != 0)
		print_times(&result);
	print_counts(&result, LIBGH, "");
	(void)printf(", ");
	print_counts(&result, DISPATCH, "dispatch_");
	(void)printf(", ");
	print_counts(&result, LOOP, "loop_");
	(void)printf("}%s\n", layout + 1 == LAYOUTS && access + 1 == ACCESSES ? "" : ",");
	return true;
}

static bool print_exits(unsigned int batches, bool *met)
{
	(void)printf("  \"exit\": [\n");
	for (unsigned int layout = 0; layout < LAYOUTS; layout++)
		for (unsigned int access = 0; access < ACCESSES; access++)
			if (!print_exit(layout, access, batches, met))
				return false;
	(void)printf("  ]");
	return true;
}

static bool print_latencies(unsigned int rounds)
{
	static const struct {
		const char *device;
		const char *guest;
	} cases[] = {
		{ "gunyah/android14-6.1,engine=script", "spin" },
		{ "gunyah/android14-6.1,engine=script", "wfi" },
		{ "gzvm/v9,engine=script", "spin" },
		{ "gzvm/v9,engine=script", "wfi" },
	};
	const size_t count = sizeof(cases) / sizeof(cases[0]);

	(void)printf(",\n  \"kick\": [\n");
	for (size_t i = 0; i < count; i++) {
		struct latency_result result;
		double ratio;

		if (!latency_measure(cases[i].device, cases[i].guest, rounds, &result))
			return false;
		ratio = (double)result.median[LIBGH] / (double)result.median[BARE];
		(void)printf(
			"    {\"device\": \"%s\", \"guest\": \"%s\", \"bare_median_ns\": %llu, \"libgh_median_ns\": %llu, ",
			layout_names[i / 2], cases[i].guest, (unsigned long long)result.median[BARE],
			(unsigned long long)result.median[LIBGH]);
		(void)printf("\"bare_p99_ns\": %llu, \"libgh_p99_ns\": %llu, \"ratio\": %.2f, \"met\": %s}%s\n",
			     (unsigned long long)result.p99[BARE], (unsigned long long)result.p99[LIBGH], ratio,
			     truth(ratio <= TARGET_RATIO), i + 1 == count ? "" : ",");
	}
	(void)printf("  ]");
	return true;
}

/* --- arguments ------------------------------------------------------------------------------------------------------ */

static bool choose(const char *text, const char *const *names, unsigned int count, unsigned int *ret_index)
{
	for (*ret_index = 0; *ret_index < count; ++*ret_index)
		if (strcmp(text, names[*ret_index]) == 0)
			return true;
	return false;
}

static bool read_number(const char *text, uint64_t lowest, uint64_t highest, uint64_t *ret_number)
{
	char *end;

	*ret_number = strtoull(text, &end, 10);
	return text[0] >= '0' && text[0] <= '9' && *end == '\0' && *ret_number >= lowest && *ret_number <= highest;
}

static bool take(int option, const char *text, struct settings *settings)
{
	unsigned int index = 0;
	uint64_t number = 0;
	bool ok = true;

	switch (option) {
	case 'b':
		ok = read_number(text, 1, 1000000, &number);
		settings->batches = (unsigned int)number;
		break;
	case 'r':
		ok = read_number(text, 10, 1000000, &number);
		settings->rounds = (unsigned int)number;
		break;
	case 'n':
		ok = read_number(text, 1, UINT32_MAX, &settings->count);
		break;
	case 'm':
		ok = choose(text, mode_names, MODES, &index);
		settings->mode = index;
		break;
	case 'd':
		ok = choose(text, layout_names, LAYOUTS, &index);
		settings->layout = index;
		break;
	case 'a':
		ok = choose(text, access_names, ACCESSES, &index);
		settings->access = index;
		break;
	default:
		settings->check = true;
		break;
	}
	return ok;
}

/* -1: go on; otherwise the program's result. */
static int read_arguments(int argc, char **argv, struct settings *settings)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "check", no_argument, NULL, 'c' },
		{ "batches", required_argument, NULL, 'b' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "count", required_argument, NULL, 'n' },
		{ "mode", required_argument, NULL, 'm' },
		{ "device", required_argument, NULL, 'd' },
		{ "access", required_argument, NULL, 'a' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 'h') {
			(void)fputs(help, stdout);
			return EXIT_SUCCESS;
		}
		if (option == '?' || !take(option, optarg, settings)) {
			(void)fputs(help, stderr);
			return 2;
		}
	}
	return -1;
}

int main(int argc, char **argv)
{
	struct settings settings = { .batches = 1000, .rounds = 2000 };
	bool met = true;
	bool ok;
	int ret = read_arguments(argc, argv, &settings);

	if (ret >= 0)
		return ret;
	if (settings.count != 0)
		return exits_count(settings.layout, settings.access, settings.mode, settings.count) ? 0 : EXIT_FAILURE;
	(void)printf("{\n  \"benchmark\": \"run\",\n  \"targets\": {\"added_ns\": %g, \"allocations_per_exit\": 0, "
		     "\"system_calls_per_exit\": 1, \"kick_ratio\": %g},\n",
		     TARGET_NS, TARGET_RATIO);
	ok = print_exits(settings.check ? 0 : settings.batches, &met) &&
	     (settings.check || print_latencies(settings.rounds));
	(void)printf("\n}\n");
	return ok && (met || !settings.check) ? EXIT_SUCCESS : EXIT_FAILURE;
}
