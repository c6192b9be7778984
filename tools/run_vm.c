/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One boot of Linux, which is what a VMM does with libgh, in its order: open the VM, plan and map the memory, load the files,
 * make vCPUs, an interrupt and a device, write the devicetree, start, run, close.
 */
#include "run_console.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RAM_GPA UINT64_C(0x80000000)
#define CONSOLE_GPA UINT64_C(0x10000000)
#define CONSOLE_LINE 5u
/* Loading that takes longer shows how far it is. */
#define PATIENCE_MS 500

struct boot {
	const struct run_request *request;
	struct run_result *result;
	struct run_trace *trace;
	struct run_console *console;
	struct gh_vm *vm;
	struct gh_irqfd *irqfd; /* of the console */
	unsigned int reboots;   /* so far */
	struct gh_image *kernel;
	struct gh_image *initrd;
	struct gh_image_plan plan;
	struct gh_fdt *fdt;
	bool shows_progress;
	bool is_interrupted; /* by the signal run_result::signal, before the guest ran */
	double loading_since;
	atomic_uint_fast64_t exits[RUN_KINDS];
	int run_result; /* of gh_vm_run() */
};

double run_now_ms(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

/* --- failures ------------------------------------------------------------------------------------------------------- */

static int fail(struct boot *boot, int error, const char *step, const char *cause, const char *remedy)
{
	struct gh_failure *failure = &boot->result->failure;

	failure->error = error;
	(void)snprintf(failure->step, sizeof(failure->step), "%s", step);
	(void)snprintf(failure->cause, sizeof(failure->cause), "%s", cause);
	(void)snprintf(failure->remedy, sizeof(failure->remedy), "%s", remedy);
	return error;
}

/* The library has explained it. */
static int fail_vm(struct boot *boot, int error)
{
	boot->result->failure = *gh_vm_failure(boot->vm);
	if (boot->result->failure.error == 0)
		boot->result->failure.error = error;
	return error;
}

/* --- configuring ---------------------------------------------------------------------------------------------------- */

static int open_vm(struct boot *boot)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	int ret;

	options.device = boot->request->device;
	options.backend = boot->request->backend;
	options.failure = &boot->result->failure;
	ret = gh_vm_open(&options, &boot->vm);
	if (ret == 0)
		(void)snprintf(boot->result->backend, sizeof(boot->result->backend), "%s", gh_vm_backend(boot->vm));
	return ret;
}

static int on_progress(void *data, uint64_t done, uint64_t total)
{
	struct boot *boot = data;

	boot->result->signal = run_console_signal(boot->console);
	boot->is_interrupted = boot->result->signal != 0;
	if (boot->is_interrupted)
		return -EINTR;
	if (boot->shows_progress && total > 0 && run_now_ms() - boot->loading_since > PATIENCE_MS)
		(void)fprintf(stderr, "\rgh-run: loading %3.0f %%%s", (double)done * 100 / (double)total,
			      done == total ? "\n" : "");
	return 0;
}

static int open_image(struct boot *boot, const char *path, uint32_t format, struct gh_image **ret_image)
{
	struct gh_image_options options = GH_IMAGE_OPTIONS_INIT;

	options.path = path;
	options.format = format;
	options.progress = on_progress;
	options.progress_data = boot;
	options.failure = &boot->result->failure;
	return gh_image_open(&options, ret_image);
}

/* The plan comes before the memory, so that what does not fit is found out before anything is given away. */
static int plan(struct boot *boot)
{
	struct gh_image_place_options options = GH_IMAGE_PLACE_OPTIONS_INIT;
	int ret = open_image(boot, boot->request->kernel, GH_IMAGE_AUTO, &boot->kernel);

	if (ret == 0 && boot->request->initrd != NULL)
		ret = open_image(boot, boot->request->initrd, GH_IMAGE_RAW, &boot->initrd);
	if (ret < 0)
		return ret;
	options.ram_gpa = RAM_GPA;
	options.ram_size = boot->request->memory;
	options.kernel = boot->kernel;
	options.initrd = boot->initrd;
	ret = gh_image_place(boot->vm, &options, &boot->plan);
	return ret < 0 ? fail_vm(boot, ret) : 0;
}

static int load(struct boot *boot)
{
	struct gh_memory memory = GH_MEMORY_INIT;
	double begun = run_now_ms();
	int ret;

	boot->loading_since = begun;
	memory.gpa = RAM_GPA;
	memory.length = boot->request->memory;
	/* A guest touches most of its memory while it boots: one fault for each 2 MiB instead of one for each page. */
	memory.flags |= GH_MEMORY_HUGE;
	if (boot->request->lend)
		memory.flags |= GH_MEMORY_LEND;
	ret = gh_vm_map(boot->vm, &memory, NULL);
	if (ret == 0)
		ret = gh_image_load_plan(boot->vm, &boot->plan);
	if (ret == 0)
		ret = gh_vm_set_entry(boot->vm, boot->plan.entry, boot->plan.dtb_gpa);
	boot->result->load_ms = run_now_ms() - begun;
	return ret < 0 ? fail_vm(boot, ret) : 0;
}

static int add_devices(struct boot *boot)
{
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	struct gh_bus_unmatched_options unmatched = GH_BUS_UNMATCHED_OPTIONS_INIT;
	struct gh_vcpu *vcpu;
	int ret = 0;

	for (uint32_t id = 0; id < boot->request->cpus && ret == 0; id++)
		ret = gh_vcpu_create(boot->vm, id, &vcpu);
	options.line = CONSOLE_LINE;
	if (ret == 0)
		ret = gh_irqfd_add(boot->vm, &options, &boot->irqfd);
	if (ret == 0)
		ret = run_console_attach(boot->console, boot->vm, CONSOLE_GPA, boot->irqfd);
	/* Linux looks for devices that are not there; it finds nothing. */
	unmatched.policy = GH_BUS_UNMATCHED_VALUE;
	if (ret == 0)
		ret = gh_bus_set_unmatched(boot->vm, &unmatched);
	return ret < 0 ? fail_vm(boot, ret) : 0;
}

static int dump_tree(struct boot *boot)
{
	const void *blob;
	size_t size;
	FILE *file;
	int error;
	bool good;

	if (boot->request->dtb_file == NULL || gh_fdt_blob(boot->fdt, &blob, &size) < 0)
		return 0;
	file = fopen(boot->request->dtb_file, "we");
	good = file != NULL && fwrite(blob, 1, size, file) == size;
	error = errno;
	if (file != NULL && fclose(file) != 0 && good) {
		good = false;
		error = errno;
	}
	return good ? 0 : fail(boot, -error, "write the devicetree", "The file cannot be written.", "Choose another one.");
}

static int write_tree(struct boot *boot)
{
	struct gh_fdt_options options = GH_FDT_OPTIONS_INIT;
	int ret;

	options.command_line = boot->request->command_line;
	options.initrd_gpa = boot->plan.initrd_gpa;
	options.initrd_length = boot->plan.initrd_size;
	options.name = "gh-run";
	ret = gh_fdt_open(boot->vm, &options, &boot->fdt);
	if (ret == 0)
		ret = gh_fdt_add_serial(boot->fdt, CONSOLE_GPA, CONSOLE_LINE, 0);
	if (ret == 0)
		ret = gh_fdt_finish(boot->fdt, boot->plan.dtb_gpa, boot->plan.dtb_room);
	return ret < 0 ? fail_vm(boot, ret) : dump_tree(boot);
}

/* --- running -------------------------------------------------------------------------------------------------------- */

/* Loads and stores go to the bus. */
static int take_exit(void *data, struct gh_vcpu *vcpu, const struct gh_exit *exit)
{
	struct boot *boot = data;

	(void)atomic_fetch_add(&boot->exits[exit->kind < RUN_KINDS ? exit->kind : GH_EXIT_UNKNOWN], 1);
	run_trace_exit(boot->trace, gh_vcpu_id(vcpu), exit);
	return GH_LOOP_CONTINUE;
}

static void on_access(void *data, const struct gh_bus_event *event)
{
	struct boot *boot = data;

	run_trace_access(boot->trace, event);
}

static void *run_guest(void *argument)
{
	struct gh_loop_options options = GH_LOOP_OPTIONS_INIT;
	struct boot *boot = argument;

	options.exit = take_exit;
	options.data = boot;
	boot->run_result = gh_vm_run(boot->vm, &options);
	run_console_finish(boot->console);
	return NULL;
}

static void judge(struct boot *boot, enum run_event event)
{
	struct run_result *result = boot->result;

	switch (event) {
	case RUN_EVENT_SIGNAL:
		result->end = RUN_KILLED;
		return;
	case RUN_EVENT_ESCAPE:
		result->end = RUN_ESCAPED;
		return;
	case RUN_EVENT_TIMEOUT:
		result->end = RUN_TIMED_OUT;
		return;
	case RUN_EVENT_ERROR:
		(void)fail(boot, -EIO, "write the guest's text", "Standard output takes no more.",
			   "Give it somewhere to go to, or use --json.");
		return;
	default:
		break;
	}
	if (boot->run_result < 0) {
		(void)fail_vm(boot, boot->run_result);
		return;
	}
	result->end = RUN_STOPPED;
	result->cause = (uint32_t)boot->run_result;
	run_trace_host(boot->trace, gh_stop_name(result->cause));
}

/* From the start of the guest to its end. */
static int run_once(struct boot *boot, enum run_event *ret_event)
{
	enum run_event event;
	pthread_t thread;
	int ret = gh_vm_start(boot->vm);

	if (ret < 0)
		return fail_vm(boot, ret);
	ret = -pthread_create(&thread, NULL, run_guest, boot);
	if (ret < 0)
		return fail(boot, ret, "run the guest", "There is no thread for it.", "End other programs.");
	event = run_console_serve(boot->console, &boot->result->signal);
	if (event != RUN_EVENT_END) {
		for (uint32_t id = 0; id < boot->request->cpus; id++)
			run_trace_kick(boot->trace, id);
		(void)gh_vm_quit(boot->vm);
	}
	(void)pthread_join(thread, NULL);
	*ret_event = event;
	return 0;
}

/* What the guest before has left in its memory, its devices and its devicetree is written again. */
static int reboot(struct boot *boot)
{
	int ret = gh_vm_reset(boot->vm);

	boot->reboots++;
	if (ret == 0)
		ret = gh_image_load_plan(boot->vm, &boot->plan);
	if (ret == 0)
		ret = run_console_attach_again(boot->console, boot->vm, CONSOLE_GPA, boot->irqfd);
	if (ret == 0)
		ret = gh_fdt_finish(boot->fdt, boot->plan.dtb_gpa, boot->plan.dtb_room);
	return ret < 0 ? fail_vm(boot, ret) : 0;
}

static bool wants_reboot(const struct boot *boot, enum run_event event)
{
	return event == RUN_EVENT_END && boot->run_result == GH_STOP_RESET && boot->reboots < boot->request->reboots;
}

static int run(struct boot *boot)
{
	struct gh_bus_trace_options trace = GH_BUS_TRACE_OPTIONS_INIT;
	double begun = run_now_ms();
	enum run_event event = RUN_EVENT_END;
	int ret;

	trace.trace = on_access;
	trace.data = boot;
	ret = boot->trace != NULL ? gh_bus_set_trace(boot->vm, &trace) : 0;
	if (ret < 0)
		return fail_vm(boot, ret);
	ret = run_once(boot, &event);
	while (ret == 0 && wants_reboot(boot, event)) {
		run_trace_host(boot->trace, "reboot");
		ret = reboot(boot);
		if (ret == 0)
			ret = run_once(boot, &event);
	}
	if (ret < 0)
		return ret;
	boot->result->total_ms = run_now_ms() - begun;
	if (run_console_mark_ms(boot->console) >= 0)
		boot->result->mark_ms = run_console_mark_ms(boot->console) - begun;
	judge(boot, event);
	return 0;
}

static void collect(struct boot *boot)
{
	struct run_result *result = boot->result;
	struct gh_bus_counts counts = GH_BUS_COUNTS_INIT;
	struct run_console_counts console;

	run_console_count(boot->console, &console);
	result->interrupts = console.interrupts;
	if (gh_bus_counts(boot->vm, &counts) == 0)
		result->unmatched = counts.unmatched_loads + counts.unmatched_stores;
	result->loads = console.loads + counts.unmatched_loads;
	result->stores = console.stores + counts.unmatched_stores;
	for (uint32_t kind = 0; kind < RUN_KINDS; kind++)
		result->exits[kind] = atomic_load(&boot->exits[kind]);
	result->exits[GH_EXIT_MMIO] = result->loads + result->stores;
}

static int prepare(struct boot *boot)
{
	int ret = open_vm(boot);

	if (ret == 0)
		ret = plan(boot);
	if (ret == 0)
		ret = load(boot);
	if (ret == 0)
		ret = add_devices(boot);
	if (ret == 0)
		ret = write_tree(boot);
	return ret;
}

static void clean_up(struct boot *boot)
{
	gh_fdt_close(boot->fdt);
	gh_image_close(boot->initrd);
	gh_image_close(boot->kernel);
	if (boot->console != NULL)
		run_console_detach(boot->console);
	gh_vm_close(boot->vm);
	if (boot->console != NULL)
		run_console_close(boot->console);
}

void run_boot(const struct run_request *request, struct run_result *result)
{
	struct boot boot = { .request = request, .result = result, .plan = GH_IMAGE_PLAN_INIT };
	const struct gh_failure no_failure = GH_FAILURE_INIT;
	int ret = 0;

	*result = (struct run_result){ .end = RUN_FAILED, .mark_ms = -1, .failure = no_failure };
	boot.shows_progress = request->console && isatty(STDERR_FILENO) != 0;
	if (request->trace_file != NULL) {
		boot.trace = run_trace_open(request->trace_file, request->cpus);
		if (boot.trace == NULL)
			ret = fail(&boot, -errno, "write a trace", "The file cannot be made.", "Choose another one.");
	}
	if (ret == 0) {
		boot.console = run_console_open(request, boot.trace);
		if (boot.console == NULL)
			ret = fail(&boot, -errno, "open the console", "There are no descriptors for it.", "Close others.");
	}
	if (ret == 0)
		ret = prepare(&boot);
	if (boot.is_interrupted)
		result->end = RUN_KILLED;
	if (ret == 0)
		ret = run(&boot);
	if (ret == 0)
		collect(&boot);
	clean_up(&boot);
	if (!run_trace_close(boot.trace) && ret == 0)
		(void)fail(&boot, -EIO, "write a trace", "The file is not complete.", "See whether the disk is full.");
}
