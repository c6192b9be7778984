/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vCPU functions and RUN, in the steps of section 3.5 of the Gunyah UAPI document.
 *
 * The hazards are the point of this file. H1: the answer of a load is taken off the page before immediate_exit and signals
 * are looked at, so a call that ends there has lost it. H2: signals are looked at once more at the end, when an exit may be
 * in the page already. H3: immediate_exit stays as user space left it.
 */
#include "../points.h"
#include "gunyah.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Between two looks at the pending signals while a thread waits for something that makes no descriptor ready. */
#define LOOK_NANOSECONDS 1000000L
/* Ends that have a code report it in 4 bytes; RESET2 claims 16, of which 8 exist. */
#define REASON_SIZE 4u
#define RESET2_REASON_SIZE 16u
/* "Call UID" of the hypervisor's vendor calls, and what it answers. */
#define HYPERCALL_UID 0x8600ff01u

/* Not an errno of user space: a signal ended the call, which may be made again. */
#define RESTART 512

/* One call of RUN. */
struct run {
	struct gunyah_vcpu *vcpu;
	const struct sim_signals *signals;
	uint8_t answer[8]; /* what the page had for the load, the first time into the guest; then nothing */
	bool has_exit;
};

static struct uapi_gunyah_run *page_of(const struct gunyah_vcpu *vcpu)
{
	return vcpu->file->page;
}

static bool is_immediate(const struct gunyah_vcpu *vcpu)
{
	return __atomic_load_n(&page_of(vcpu)->immediate_exit, __ATOMIC_SEQ_CST) != 0;
}

/* Sleeps until something changes; false if a signal is there. Under the lock. */
static bool wait_for_change(struct gunyah_vm *vm, const struct sim_signals *signals)
{
	struct timespec until;

	if (sim_signals_pending(signals))
		return false;
	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += LOOK_NANOSECONDS;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_nsec -= 1000000000L;
		until.tv_sec++;
	}
	(void)pthread_cond_timedwait(&vm->changed, &vm->lock, &until);
	return true;
}

void gunyah_vcpu_check_end(struct gunyah_vm *vm)
{
	for (const struct gunyah_vcpu *vcpu = vm->vcpus; vcpu != NULL; vcpu = vcpu->next) {
		if (vcpu->cpu == NULL)
			sim_machine_breakage(vm->sim,
					     "The VM ended while it had a vCPU that its devicetree does not have: the "
					     "kernel dereferences NULL.");
	}
}

/* The VM is over: every vCPU hears of it, wherever it is. */
static void end_vm(struct gunyah_vm *vm, uint16_t type, uint32_t reason_size, const uint8_t reason[8])
{
	if (vm->state != GUNYAH_RUNNING)
		return;
	gunyah_vcpu_check_end(vm);
	vm->state = GUNYAH_EXITED;
	vm->end.status = UAPI_GUNYAH_STATUS_EXITED;
	vm->end.type = type;
	vm->end.reason_size = reason_size;
	memcpy(vm->end.reason, reason, sizeof(vm->end.reason));
	for (uint32_t i = 0; i < vm->tree.cpus; i++)
		vm->engine->wake(vm->cpus[i].engine_vcpu);
	pthread_cond_broadcast(&vm->changed);
}

static void end_reset2(struct gunyah_vm *vm, const struct sim_event *event)
{
	uint8_t reason[8] = { 0 };

	/* Flags and code are 0; the type follows; the cookie would be next, but there is no room for it. */
	for (unsigned int i = 0; i < 4; i++)
		reason[4 + i] = (uint8_t)(event->args[0] >> (8 * i));
	end_vm(vm, UAPI_GUNYAH_END_RESET2, RESET2_REASON_SIZE, reason);
}

static void report_end(struct run *run)
{
	struct uapi_gunyah_run *page = page_of(run->vcpu);

	page->exit_reason = UAPI_GUNYAH_EXIT_STATUS;
	page->u.status = run->vcpu->vm->end;
	run->vcpu->state = GUNYAH_VCPU_DOWN;
	run->has_exit = true;
}

/* Bytes of the page beyond the width keep what was in them. */
static void report_mmio(struct run *run, const struct sim_event *event, uint32_t width)
{
	struct uapi_gunyah_run *page = page_of(run->vcpu);

	page->exit_reason = UAPI_GUNYAH_EXIT_MMIO;
	page->u.mmio.gpa = event->gpa;
	page->u.mmio.width = width;
	page->u.mmio.is_write = event->is_write;
	if (event->is_write)
		memcpy(page->u.mmio.data, event->data, width);
	run->has_exit = true;
}

static void handle_load(struct run *run, const struct sim_event *event, uint32_t width)
{
	struct gunyah_vcpu *vcpu = run->vcpu;

	vcpu->cpu->load_waiting = true;
	vcpu->cpu->load_width = width;
	/* Just above the range that exits there is a word of zeros, 8 bytes long. */
	if (event->gpa == RM_MEMORY_START)
		return;
	vcpu->load_width = width;
	vcpu->state = GUNYAH_VCPU_LOAD;
	report_mmio(run, event, width);
}

static void handle_mmio(struct run *run, const struct sim_event *event)
{
	struct gunyah_vm *vm = run->vcpu->vm;
	uint32_t width = event->width < 8 ? event->width : 8;

	/* Only the first GiB exits; elsewhere the guest takes an exception. */
	if (event->gpa > RM_MEMORY_START || (event->gpa == RM_MEMORY_START && event->is_write)) {
		vm->engine->abort(run->vcpu->cpu->engine_vcpu);
		return;
	}
	if (!event->is_write)
		handle_load(run, event, width);
	else if (!gunyah_io_store(vm, event->gpa, width, event->data))
		report_mmio(run, event, width);
}

/* Unknown calls get "not supported"; the hypervisor says who it is. */
static void handle_hypercall(struct run *run, const struct sim_event *event)
{
	static const uint64_t uid[4] = { 0xcd8fd5c1, 0xdb5f53a4, 0x36ce6592, 0x145f3d67 };
	static const uint64_t unknown[4] = { UINT64_MAX, 0, 0, 0 };
	const struct sim_engine *engine = run->vcpu->vm->engine;

	engine->answer_hypercall(run->vcpu->cpu->engine_vcpu, event->args[0] == HYPERCALL_UID ? uid : unknown);
}

/*
 * Quirks on demand, `raw` in a script: `ebusy`, the resource manager has the vCPU for the moment, as happens while a VM goes
 * down; `lost-off`, the hypervisor loses the power-off that the guest has just asked for.
 */
static int handle_raw(struct run *run, const struct sim_event *event)
{
	if (event->raw != NULL && strcmp(event->raw, "ebusy") == 0)
		return -EBUSY;
	if (event->raw != NULL && strcmp(event->raw, "lost-off") == 0)
		run->vcpu->cpu->lost = true;
	return 0;
}

static int handle(struct run *run, const struct sim_event *event)
{
	static const uint8_t none[8] = { 0 };
	struct gunyah_vm *vm = run->vcpu->vm;

	switch (event->kind) {
	case SIM_EVENT_MMIO:
		handle_mmio(run, event);
		break;
	case SIM_EVENT_HYPERCALL:
		handle_hypercall(run, event);
		break;
	case SIM_EVENT_OFF:
		end_vm(vm, UAPI_GUNYAH_END_POWER_OFF, REASON_SIZE, none);
		break;
	case SIM_EVENT_RESET:
		end_vm(vm, UAPI_GUNYAH_END_RESET, REASON_SIZE, none);
		break;
	case SIM_EVENT_RESET2:
		end_reset2(vm, event);
		break;
	case SIM_EVENT_CRASH:
		end_vm(vm, UAPI_GUNYAH_END_HYP_ERROR, REASON_SIZE, none);
		break;
	case SIM_EVENT_RAW:
		return handle_raw(run, event);
	case SIM_EVENT_INTERRUPTED:
		break;
	}
	return 0;
}

/* Into the guest, once. A load that waits gets what this call took off the page, and nothing if that is gone (H1). */
static int enter_guest(struct run *run)
{
	struct gunyah_vm *vm = run->vcpu->vm;
	struct gunyah_cpu *cpu = run->vcpu->cpu;
	struct sim_event event = { .kind = SIM_EVENT_INTERRUPTED };
	int ret;

	if (cpu->load_waiting)
		vm->engine->answer(cpu->engine_vcpu, run->answer, cpu->load_width);
	cpu->load_waiting = false;
	memset(run->answer, 0, sizeof(run->answer));
	pthread_mutex_unlock(&vm->lock);
	ret = vm->engine->run(cpu->engine_vcpu, &run->signals->unblocked, &event);
	GH_POINT(GUNYAH_LEFT);
	pthread_mutex_lock(&vm->lock);
	return ret < 0 ? ret : handle(run, &event);
}

/* What the hypervisor says when the driver asks it to run the vCPU. */
static int step(struct run *run)
{
	static const uint8_t none[8] = { 0 };
	struct gunyah_vcpu *vcpu = run->vcpu;
	struct gunyah_vm *vm = vcpu->vm;

	if (vm->state != GUNYAH_RUNNING) {
		report_end(run);
		return 0;
	}
	if (vm->cannot_execute) {
		end_vm(vm, UAPI_GUNYAH_END_HYP_ERROR, REASON_SIZE, none);
		return 0;
	}
	if (vcpu->cpu->lost) {
		while (vm->state == GUNYAH_RUNNING && !vcpu->removing && wait_for_change(vm, run->signals))
			;
		return 0;
	}
	return enter_guest(run);
}

/* Takes what user space left in the page. False: there is nothing to run. */
static bool resume(struct run *run)
{
	struct gunyah_vcpu *vcpu = run->vcpu;

	switch (vcpu->state) {
	case GUNYAH_VCPU_DOWN:
		return false;
	case GUNYAH_VCPU_UNKNOWN:
		if (vcpu->vm->state != GUNYAH_RUNNING) {
			report_end(run);
			return false;
		}
		break;
	case GUNYAH_VCPU_LOAD:
		memcpy(run->answer, page_of(vcpu)->u.mmio.data, vcpu->load_width);
		break;
	case GUNYAH_VCPU_READY:
		break;
	}
	vcpu->state = GUNYAH_VCPU_READY;
	return true;
}

/* With the run lock. */
static int run_loop(struct run *run)
{
	int ret = 0;

	if (run->vcpu->cpu == NULL)
		return -ENODEV;
	if (!resume(run))
		return 0;
	GH_POINT(GUNYAH_TAKEN);
	while (ret == 0 && !run->has_exit && !sim_signals_pending(run->signals)) {
		if (is_immediate(run->vcpu))
			return -EINTR;
		GH_POINT(GUNYAH_LOOPS);
		ret = step(run);
		GH_POINT(GUNYAH_HANDLED);
	}
	return ret;
}

static int run_once(struct gunyah_vcpu *vcpu, const struct sim_signals *signals)
{
	struct run run = { .vcpu = vcpu, .signals = signals };
	struct gunyah_vm *vm = vcpu->vm;
	int ret = -RESTART;

	pthread_mutex_lock(&vm->lock);
	if (!vcpu->function || vcpu->removing) {
		pthread_mutex_unlock(&vm->lock);
		return -ENODEV;
	}
	while (vcpu->running) {
		if (!wait_for_change(vm, signals))
			goto unlock;
	}
	if (sim_signals_taken_back()) {
		ret = -ECANCELED;
		goto unlock;
	}
	vcpu->running = true;
	GH_POINT(GUNYAH_BEGUN);
	ret = run_loop(&run);
	vcpu->running = false;
	pthread_cond_broadcast(&vm->changed);
	GH_POINT(GUNYAH_LAST_LOOK);
	/* H2: whatever has happened. */
	if (sim_signals_pending(signals))
		ret = -RESTART;
	GH_POINT(GUNYAH_ENDS);
unlock:
	pthread_mutex_unlock(&vm->lock);
	return ret;
}

static int vcpu_run(struct gunyah_vcpu *vcpu)
{
	struct sim_signals signals;
	int ret;

	do {
		sim_signals_begin(&signals);
		ret = run_once(vcpu, &signals);
	} while (sim_signals_end(&signals, ret == -RESTART));
	return ret == -RESTART ? -EINTR : ret;
}

static long vcpu_ioctl(struct sim_file *file, unsigned long request, uintptr_t arg)
{
	(void)arg;
	switch (request) {
	case UAPI_GUNYAH_RUN:
		return vcpu_run(file->object);
	case UAPI_GUNYAH_MMAP_SIZE:
		return sysconf(_SC_PAGESIZE);
	default:
		return -EINVAL;
	}
}

/* Nothing is checked. Only the first page is there: on the real kernel touching the second is an oops, here a SIGBUS. */
static int vcpu_mmap(struct sim_file *file, size_t length, int prot, int flags)
{
	(void)file;
	(void)length;
	(void)prot;
	(void)flags;
	return 0;
}

/* The function stays: its id is taken until it is removed. */
static void vcpu_release(struct sim_file *file)
{
	struct gunyah_vcpu *vcpu = file->object;
	struct gunyah_vm *vm = vcpu->vm;

	pthread_mutex_lock(&vm->lock);
	vcpu->file = NULL;
	if (!vcpu->function)
		gunyah_vcpu_free(vcpu);
	gunyah_vm_put(vm);
}

static const struct sim_file_ops vcpu_ops = {
	.name = "gh-vcpu",
	.ioctl = vcpu_ioctl,
	.mmap = vcpu_mmap,
	.release = vcpu_release,
};

void gunyah_vcpu_free(struct gunyah_vcpu *vcpu)
{
	free(vcpu);
}

void gunyah_vcpu_populate(struct gunyah_vcpu *vcpu)
{
	if (vcpu->id < vcpu->vm->tree.cpus)
		vcpu->cpu = &vcpu->vm->cpus[vcpu->id];
}

static struct gunyah_vcpu **find_vcpu(struct gunyah_vm *vm, uint32_t id)
{
	struct gunyah_vcpu **link = &vm->vcpus;

	while (*link != NULL && (*link)->id != id)
		link = &(*link)->next;
	return link;
}

long gunyah_vcpu_add(struct gunyah_vm *vm, uint32_t id)
{
	struct gunyah_vcpu *vcpu;
	char name[32];
	int fd;

	if (*find_vcpu(vm, id) != NULL)
		return -EEXIST;
	vcpu = calloc(1, sizeof(*vcpu));
	if (vcpu == NULL)
		return -ENOMEM;
	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->function = true;
	(void)snprintf(name, sizeof(name), "%s:%u", vcpu_ops.name, id);
	/* The caller has the lock, so nobody gets into the file before it is complete. */
	fd = sim_file_new(vm->sim, &vcpu_ops, name, vcpu, (size_t)sysconf(_SC_PAGESIZE), &vcpu->file);
	if (fd < 0) {
		free(vcpu);
		return fd;
	}
	vm->files++;
	vcpu->next = vm->vcpus;
	vm->vcpus = vcpu;
	if (vm->has_resources)
		gunyah_vcpu_populate(vcpu);
	return fd;
}

/* Ends a RUN that is inside, and takes the vCPU away from it. Without a resource there is nothing to end. */
static void unpopulate(struct gunyah_vcpu *vcpu)
{
	if (vcpu->cpu == NULL)
		return;
	if (vcpu->file != NULL)
		__atomic_store_n(&page_of(vcpu)->immediate_exit, 1, __ATOMIC_SEQ_CST);
	pthread_cond_broadcast(&vcpu->vm->changed);
	while (vcpu->running) {
		if (vcpu->cpu->engine_vcpu != NULL)
			vcpu->vm->engine->wake(vcpu->cpu->engine_vcpu);
		pthread_cond_wait(&vcpu->vm->changed, &vcpu->vm->lock);
	}
	vcpu->cpu = NULL;
}

/* The id stays taken until no thread is inside any more: the lock is given up meanwhile. */
int gunyah_vcpu_remove(struct gunyah_vm *vm, uint32_t id)
{
	struct gunyah_vcpu *vcpu = *find_vcpu(vm, id);

	if (vcpu == NULL || vcpu->removing)
		return -ENOENT;
	vcpu->removing = true;
	unpopulate(vcpu);
	*find_vcpu(vm, id) = vcpu->next;
	vcpu->function = false;
	if (vcpu->file == NULL)
		gunyah_vcpu_free(vcpu);
	return 0;
}
