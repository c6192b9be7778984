/* SPDX-License-Identifier: BSD-3-Clause */
/* What gh-run's files share: one boot, from what is asked for to what happened. */
#ifndef GH_TOOLS_RUN_H
#define GH_TOOLS_RUN_H

#include <gh/gh.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Kinds of exits that are counted by themselves; all later ones count as "other". */
#define RUN_KINDS (GH_EXIT_INTERRUPTED + 1)

/* Bytes that run_request::mark, prompt and answer have at most. */
#define RUN_PHRASE 128u
#define RUN_ANSWER 1024u

struct run_request {
	const char *device;  /* as gh_vm_options::device */
	const char *backend; /* as gh_vm_options::backend, NULL for any */
	const char *kernel;  /* files */
	const char *initrd;  /* or NULL */
	const char *command_line;
	const char *dtb_file;   /* where the devicetree is written to, or NULL */
	const char *trace_file; /* or NULL */
	const char *mark;       /* what the guest says when it is up, or NULL */
	const char *prompt;     /* what it says when it wants an answer, or NULL */
	const char *answer;
	uint64_t memory; /* bytes */
	uint32_t cpus;
	unsigned int timeout; /* seconds of each boot, 0: none */
	unsigned int reboots; /* how often a guest that asks for a reset is booted again */
	bool lend;
	bool console; /* the guest's text goes to stdout, and stdin to the guest */
};

/* Why the boot is over. */
enum run_end {
	RUN_FAILED,  /* run_result::failure has the reason */
	RUN_STOPPED, /* by the guest, or by its hypervisor: run_result::cause */
	RUN_KILLED,  /* by a signal: run_result::signal */
	RUN_ESCAPED, /* by the escape key */
	RUN_TIMED_OUT,
};

struct run_result {
	enum run_end end;
	uint32_t cause; /* one of enum gh_stop_cause */
	int signal;
	char backend[16];
	uint64_t loads;
	uint64_t stores;
	uint64_t unmatched; /* of both: nobody is there */
	uint64_t exits[RUN_KINDS];
	uint64_t interrupts; /* raised by the console */
	double load_ms;      /* kernel and initrd */
	double mark_ms;      /* from the start until the mark was said; negative: it never was */
	double total_ms;     /* from the start to the end */
	struct gh_failure failure;
};

/* Boots the guest once. `result` is filled in whatever happens. */
void run_boot(const struct run_request *request, struct run_result *result);

double run_now_ms(void);

/* run_check.c: prints what is wrong with a devicetree file; 1 if it would be rejected, or cannot be read. */
int run_check_dtb(const char *path);

/* --- run_trace.c: what happens, for Perfetto or Chrome's trace viewer -------------------------------------------------- */

struct run_trace;

/* NULL, with errno, if the file cannot be made. All functions but this one take NULL, and then do nothing. */
struct run_trace *run_trace_open(const char *path, uint32_t vcpus);
void run_trace_access(struct run_trace *trace, const struct gh_bus_event *event);
void run_trace_exit(struct run_trace *trace, uint32_t vcpu, const struct gh_exit *exit);
void run_trace_kick(struct run_trace *trace, uint32_t vcpu);
/* Something else that the host does: an interrupt. */
void run_trace_host(struct run_trace *trace, const char *name);
/* False: not everything could be written. */
bool run_trace_close(struct run_trace *trace);

/* --- run_report.c: results for people and for scripts ------------------------------------------------------------------- */

/* One table for all boots. */
void run_report_table(const struct run_request *requests, const struct run_result *results, unsigned int count);
/* One JSON object in a line. */
void run_report_json(const struct run_request *request, const struct run_result *result);
/* Why a boot failed, on stderr. */
void run_report_failure(const struct run_request *request, const struct run_result *result);
/* One line that says how a boot ended. */
void run_report_end(const struct run_request *request, const struct run_result *result);

#endif
