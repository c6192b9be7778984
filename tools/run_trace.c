/* SPDX-License-Identifier: BSD-3-Clause */
/* What happens to a guest, as a file of trace events that Perfetto and Chrome's trace viewer (chrome://tracing) open. */
#include "run.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Rows in the viewer. Perfetto takes thread 0 for the idle one, so that vCPUs are counted from 1; the host comes last. */
#define PROCESS 1u
#define HOST_ROW 100000u

struct run_trace {
	FILE *file;
	double begun_ms;
};

static uint32_t row_of(uint32_t vcpu)
{
	return vcpu + 1;
}

static void name_row(const struct run_trace *trace, uint32_t row, const char *name)
{
	(void)fprintf(trace->file,
		      ",\n{\"name\": \"thread_name\", \"ph\": \"M\", \"pid\": %u, \"tid\": %" PRIu32
		      ", \"args\": {\"name\": \"%s\"}}",
		      PROCESS, row, name);
}

struct run_trace *run_trace_open(const char *path, uint32_t vcpus)
{
	struct run_trace *trace = calloc(1, sizeof(*trace));

	if (trace == NULL)
		return NULL;
	trace->file = fopen(path, "we");
	if (trace->file == NULL) {
		int error = errno;

		free(trace);
		errno = error;
		return NULL;
	}
	trace->begun_ms = run_now_ms();
	(void)fprintf(trace->file,
		      "[{\"name\": \"process_name\", \"ph\": \"M\", \"pid\": %u, \"args\": {\"name\": \"gh-run\"}}",
		      PROCESS);
	for (uint32_t id = 0; id < vcpus; id++) {
		char name[24];

		(void)snprintf(name, sizeof(name), "vCPU %" PRIu32, id);
		name_row(trace, row_of(id), name);
	}
	name_row(trace, HOST_ROW, "host");
	return trace;
}

/* One event; what follows its name is in one piece with it, whoever else writes. */
static void begin(struct run_trace *trace, uint32_t row)
{
	flockfile(trace->file);
	(void)fprintf(trace->file,
		      ",\n{\"ph\": \"i\", \"s\": \"t\", \"pid\": %u, \"tid\": %" PRIu32 ", \"ts\": %.3f, \"name\": ",
		      PROCESS, row, (run_now_ms() - trace->begun_ms) * 1e3);
}

static void end(struct run_trace *trace)
{
	(void)fputs("}", trace->file);
	funlockfile(trace->file);
}

void run_trace_access(struct run_trace *trace, const struct gh_bus_event *event)
{
	if (trace == NULL)
		return;
	begin(trace, row_of(gh_vcpu_id(event->vcpu)));
	(void)fprintf(trace->file,
		      "\"%s %s\", \"args\": {\"gpa\": \"0x%" PRIx64 "\", \"width\": %" PRIu32 ", \"value\": \"0x%" PRIx64
		      "\"}",
		      event->is_store != 0 ? "store" : "load", event->range != NULL ? event->range : "nowhere", event->gpa,
		      event->width, event->value);
	end(trace);
}

void run_trace_exit(struct run_trace *trace, uint32_t vcpu, const struct gh_exit *exit)
{
	if (trace == NULL)
		return;
	begin(trace, row_of(vcpu));
	(void)fprintf(trace->file, "\"%s\", \"args\": {\"raw_reason\": %" PRIu32 "}", gh_exit_name(exit->kind),
		      exit->raw_reason);
	end(trace);
}

void run_trace_kick(struct run_trace *trace, uint32_t vcpu)
{
	if (trace == NULL)
		return;
	begin(trace, row_of(vcpu));
	(void)fprintf(trace->file, "\"kick\"");
	end(trace);
}

void run_trace_host(struct run_trace *trace, const char *name)
{
	if (trace == NULL)
		return;
	begin(trace, HOST_ROW);
	(void)fprintf(trace->file, "\"%s\"", name);
	end(trace);
}

bool run_trace_close(struct run_trace *trace)
{
	bool good;

	if (trace == NULL)
		return true;
	(void)fputs("]\n", trace->file);
	good = ferror(trace->file) == 0;
	good = fclose(trace->file) == 0 && good;
	free(trace);
	return good;
}
