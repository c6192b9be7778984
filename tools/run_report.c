/* SPDX-License-Identifier: BSD-3-Clause */
/* What gh-run says of its boots. */
#include "run.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *name_of(const struct run_request *request)
{
	if (request->device != NULL)
		return request->device;
	return request->backend != NULL ? request->backend : "auto";
}

static const char *end_of(const struct run_result *result)
{
	switch (result->end) {
	case RUN_STOPPED:
		return gh_stop_name(result->cause);
	case RUN_KILLED:
		return "killed";
	case RUN_ESCAPED:
		return "ended by the escape key";
	case RUN_TIMED_OUT:
		return "timed out";
	default:
		return "failed";
	}
}

static uint64_t others(const struct run_result *result)
{
	uint64_t sum = 0;

	for (uint32_t kind = 0; kind < RUN_KINDS; kind++)
		if (kind != GH_EXIT_MMIO)
			sum += result->exits[kind];
	return sum;
}

static void print_ms(double ms, int width)
{
	if (ms < 0)
		(void)printf("%*s", width, "-");
	else
		(void)printf("%*.0f", width, ms);
}

void run_report_table(const struct run_request *requests, const struct run_result *results, unsigned int count)
{
	/* The guest may have left its last line open. */
	(void)printf("\n%-12s %-28s %12s %10s %10s %10s %10s %10s  %s\n", "backend", "device", "user space ms", "total ms",
		     "loads", "stores", "others", "interrupts", "result");
	for (unsigned int i = 0; i < count; i++) {
		const struct run_result *result = &results[i];

		(void)printf("%-12s %-28s ", result->backend, name_of(&requests[i]));
		print_ms(result->mark_ms, 13);
		print_ms(result->total_ms, 11);
		(void)printf(" %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " %10" PRIu64 "  %s\n", result->loads,
			     result->stores, others(result), result->interrupts, end_of(result));
	}
	(void)fflush(stdout);
}

static void json_string(const char *name, const char *text)
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

static void json_ms(const char *name, double ms)
{
	if (ms < 0)
		(void)printf("\"%s\": null", name);
	else
		(void)printf("\"%s\": %.3f", name, ms);
}

static void json_failure(const struct gh_failure *failure)
{
	(void)printf(", \"error\": %d, ", failure->error);
	json_string("step", failure->step);
	(void)printf(", ");
	json_string("request", failure->request);
	(void)printf(", ");
	json_string("cause", failure->cause);
	(void)printf(", ");
	json_string("remedy", failure->remedy);
}

void run_report_json(const struct run_request *request, const struct run_result *result)
{
	(void)printf("{");
	json_string("device", name_of(request));
	(void)printf(", ");
	json_string("backend", result->backend);
	(void)printf(", ");
	json_string("result", end_of(result));
	(void)printf(", \"loads\": %" PRIu64 ", \"stores\": %" PRIu64 ", \"unmatched\": %" PRIu64 ", \"exits\": {",
		     result->loads, result->stores, result->unmatched);
	for (uint32_t kind = 0; kind < RUN_KINDS; kind++)
		(void)printf("%s\"%s\": %" PRIu64, kind == 0 ? "" : ", ", gh_exit_name(kind), result->exits[kind]);
	(void)printf("}, \"interrupts\": %" PRIu64 ", ", result->interrupts);
	json_ms("load_ms", result->load_ms);
	(void)printf(", ");
	json_ms("mark_ms", result->mark_ms);
	(void)printf(", ");
	json_ms("total_ms", result->total_ms);
	if (result->end == RUN_FAILED)
		json_failure(&result->failure);
	(void)printf("}\n");
	(void)fflush(stdout);
}

void run_report_failure(const struct run_request *request, const struct run_result *result)
{
	const struct gh_failure *failure = &result->failure;

	(void)fprintf(stderr, "gh-run: %s: cannot %s: %s\n", name_of(request), failure->step, strerror(-failure->error));
	if (failure->request[0] != '\0')
		(void)fprintf(stderr, "  request: %s\n", failure->request);
	if (failure->cause[0] != '\0')
		(void)fprintf(stderr, "  cause:   %s\n", failure->cause);
	if (failure->remedy[0] != '\0')
		(void)fprintf(stderr, "  remedy:  %s\n", failure->remedy);
}

void run_report_end(const struct run_request *request, const struct run_result *result)
{
	(void)fprintf(stderr, "gh-run: %s: %s after %.1f s\n", name_of(request), end_of(result), result->total_ms / 1e3);
}
