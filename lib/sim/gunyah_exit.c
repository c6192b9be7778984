/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the hypervisor reports while a vCPU runs, and what the driver makes of it: an exit in the vCPU's page, memory for the
 * guest, a signal for an eventfd, the end of the VM.
 */
#include "gunyah_exit.h"
#include "../points.h"

#include <errno.h>
#include <string.h>
#include <time.h>

/* Between two looks at the pending signals while a thread waits for something that makes no descriptor ready. */
#define LOOK_NANOSECONDS 1000000L
/* Ends that have a code report it in 4 bytes; RESET2 claims 16, of which 8 exist. */
#define REASON_SIZE 4u
#define RESET2_REASON_SIZE 16u
/* "Call UID" of the hypervisor's vendor calls, and what it answers. */
#define HYPERCALL_UID 0x8600ff01u

struct uapi_gunyah_run *gunyah_page_of(const struct gunyah_vcpu *vcpu)
{
	return vcpu->file->page;
}

bool gunyah_wait(struct gunyah_vm *vm, const struct sim_signals *signals)
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

void gunyah_vcpu_pause(struct gunyah_vm *vm)
{
	vm->pauses++;
	while (vm->inside > 0) {
		for (uint32_t i = 0; i < vm->tree.cpus; i++) {
			if (vm->cpus[i].inside)
				vm->engine->wake(vm->cpus[i].engine_vcpu);
		}
		pthread_cond_wait(&vm->changed, &vm->lock);
	}
}

void gunyah_vcpu_unpause(struct gunyah_vm *vm)
{
	vm->pauses--;
	pthread_cond_broadcast(&vm->changed);
}

void gunyah_vcpu_check_end(struct gunyah_vm *vm)
{
	for (const struct gunyah_vcpu *vcpu = vm->vcpus; vcpu != NULL; vcpu = vcpu->next) {
		if (vm->revision->end_breaks && vcpu->cpu == NULL)
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

void gunyah_report_end(struct gunyah_call *call)
{
	struct uapi_gunyah_run *page = gunyah_page_of(call->vcpu);

	page->exit_reason = UAPI_GUNYAH_EXIT_STATUS;
	page->u.status = call->vcpu->vm->end;
	call->vcpu->state = GUNYAH_VCPU_DOWN;
	call->has_exit = true;
}

/* Bytes of the page beyond the width keep what was in them. */
static void report_mmio(struct gunyah_call *call, const struct sim_event *event, uint32_t width)
{
	struct uapi_gunyah_run *page = gunyah_page_of(call->vcpu);

	page->exit_reason = UAPI_GUNYAH_EXIT_MMIO;
	page->u.mmio.gpa = event->gpa;
	page->u.mmio.width = width;
	page->u.mmio.is_write = event->is_write;
	if (event->is_write)
		memcpy(page->u.mmio.data, event->data, width);
	if (call->vcpu->vm->revision->resumes)
		page->u.mmio.resume_action = UAPI_GUNYAH_RESUME_HANDLED;
	call->vcpu->state = event->is_write ? GUNYAH_VCPU_STORE : GUNYAH_VCPU_LOAD;
	call->vcpu->load_width = width;
	call->has_exit = true;
}

/* The access is made again whenever the vCPU runs next, whatever user space writes into the page. */
static void report_fault(struct gunyah_call *call, const struct sim_event *event, int error)
{
	struct uapi_gunyah_run *page = gunyah_page_of(call->vcpu);

	page->exit_reason = UAPI_GUNYAH_EXIT_PAGE_FAULT;
	page->u.page_fault.gpa = event->gpa;
	page->u.page_fault.attempt = error;
	page->u.page_fault.resume_action = UAPI_GUNYAH_RESUME_FAULT;
	call->vcpu->cpu->again = true;
	call->has_exit = true;
}

/* Memory that the guest has not got yet: true if the access has been made, or its failure reported. */
static bool demand_page(struct gunyah_call *call, const struct sim_event *event, uint32_t width)
{
	struct gunyah_vm *vm = call->vcpu->vm;
	uint8_t data[8];
	int ret;

	if (!vm->revision->paged || !gunyah_page_is_known(vm, event->gpa))
		return false;
	memcpy(data, event->data, sizeof(data));
	ret = gunyah_page_access(vm, event->gpa, event->is_write, data, width);
	if (ret == 0 && !event->is_write)
		vm->engine->answer(call->vcpu->cpu->engine_vcpu, data, width);
	if (ret == 0)
		return true;
	/* Only lent memory is known to the hypervisor as such. */
	if (!gunyah_page_is_lent(vm, event->gpa))
		return false;
	report_fault(call, event, ret);
	return true;
}

static void handle_load(struct gunyah_call *call, const struct sim_event *event, uint32_t width)
{
	struct gunyah_cpu *cpu = call->vcpu->cpu;

	cpu->load_waiting = true;
	cpu->load_width = width;
	/* Just above the range that exits there is a word of zeros, 8 bytes long. */
	if (event->gpa != RM_MEMORY_START)
		report_mmio(call, event, width);
}

static void handle_mmio(struct gunyah_call *call, const struct sim_event *event)
{
	struct gunyah_vm *vm = call->vcpu->vm;
	uint32_t width = event->width < 8 ? event->width : 8;

	call->vcpu->cpu->access = *event;
	if (demand_page(call, event, width))
		return;
	/* Only the first GiB exits, and memory that cannot be had; elsewhere the guest takes an exception. */
	if ((event->gpa > RM_MEMORY_START || (event->gpa == RM_MEMORY_START && event->is_write)) &&
	    !gunyah_page_is_known(vm, event->gpa)) {
		vm->engine->abort(call->vcpu->cpu->engine_vcpu);
		return;
	}
	if (!event->is_write)
		handle_load(call, event, width);
	else if (!gunyah_io_store(vm, event->gpa, width, event->data))
		report_mmio(call, event, width);
}

/* Unknown calls get "not supported"; the hypervisor says who it is. */
static void handle_hypercall(struct gunyah_call *call, const struct sim_event *event)
{
	static const uint64_t uid[4] = { 0xcd8fd5c1, 0xdb5f53a4, 0x36ce6592, 0x145f3d67 };
	static const uint64_t unknown[4] = { UINT64_MAX, 0, 0, 0 };
	const struct sim_engine *engine = call->vcpu->vm->engine;

	engine->answer_hypercall(call->vcpu->cpu->engine_vcpu, event->args[0] == HYPERCALL_UID ? uid : unknown);
}

/*
 * Quirks on demand, `raw` in a script: `ebusy`, the resource manager has the vCPU for the moment, as happens while a VM goes
 * down; `lost-off`, the hypervisor loses the power-off that the guest has just asked for; `enomem`, it has no memory for the
 * next page that the guest touches; `reclaim-busy`, the next page that user space wants back is in use.
 */
static int handle_raw(struct gunyah_call *call, const struct sim_event *event)
{
	struct gunyah_vm *vm = call->vcpu->vm;
	const char *what = event->raw == NULL ? "" : event->raw;

	if (strcmp(what, "ebusy") == 0)
		return -EBUSY;
	if (strcmp(what, "lost-off") == 0)
		call->vcpu->cpu->lost = true;
	if (strcmp(what, "enomem") == 0)
		vm->out_of_memory = true;
	if (strcmp(what, "reclaim-busy") == 0)
		vm->busy = true;
	return 0;
}

static int handle(struct gunyah_call *call, const struct sim_event *event)
{
	static const uint8_t none[8] = { 0 };
	struct gunyah_vm *vm = call->vcpu->vm;

	switch (event->kind) {
	case SIM_EVENT_MMIO:
		handle_mmio(call, event);
		break;
	case SIM_EVENT_HYPERCALL:
		handle_hypercall(call, event);
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
		return handle_raw(call, event);
	case SIM_EVENT_INTERRUPTED:
		break;
	}
	return 0;
}

/* What this call took off the page about the access before it. True: it has to be made again. */
static bool complete(struct gunyah_call *call)
{
	struct gunyah_cpu *cpu = call->vcpu->cpu;
	const struct sim_engine *engine = call->vcpu->vm->engine;
	uint32_t action = call->action;

	call->action = UAPI_GUNYAH_RESUME_HANDLED;
	if (action == UAPI_GUNYAH_RESUME_FAULT)
		engine->abort(cpu->engine_vcpu);
	else if (action != UAPI_GUNYAH_RESUME_RETRY && cpu->load_waiting)
		engine->answer(cpu->engine_vcpu, call->answer, cpu->load_width);
	cpu->load_waiting = false;
	memset(call->answer, 0, sizeof(call->answer));
	return action == UAPI_GUNYAH_RESUME_RETRY;
}

/* Into the guest, once. A load that waits gets what this call took off the page, and nothing if that is gone (H1). */
static int enter_guest(struct gunyah_call *call)
{
	struct gunyah_vm *vm = call->vcpu->vm;
	struct gunyah_cpu *cpu = call->vcpu->cpu;
	struct sim_event event = { .kind = SIM_EVENT_INTERRUPTED };
	int ret;

	if (complete(call) || cpu->again) {
		event = cpu->access;
		cpu->again = false;
		return handle(call, &event);
	}
	cpu->inside = true;
	vm->inside++;
	pthread_mutex_unlock(&vm->lock);
	ret = vm->engine->run(cpu->engine_vcpu, &call->signals->unblocked, &event);
	GH_POINT(GUNYAH_LEFT);
	pthread_mutex_lock(&vm->lock);
	cpu->inside = false;
	if (--vm->inside == 0)
		pthread_cond_broadcast(&vm->changed);
	return ret < 0 ? ret : handle(call, &event);
}

/* The vCPU is off, and nobody will ever say why: until a signal comes. */
static void sleep_for_ever(struct gunyah_call *call)
{
	while (!call->vcpu->removing && gunyah_wait(call->vcpu->vm, call->signals))
		;
}

int gunyah_step(struct gunyah_call *call)
{
	static const uint8_t none[8] = { 0 };
	struct gunyah_vcpu *vcpu = call->vcpu;
	struct gunyah_vm *vm = vcpu->vm;

	if (vm->state != GUNYAH_RUNNING) {
		if (vm->revision->reports_end)
			gunyah_report_end(call);
		else
			sleep_for_ever(call);
		return 0;
	}
	if (vm->cannot_execute) {
		end_vm(vm, UAPI_GUNYAH_END_HYP_ERROR, REASON_SIZE, none);
		return 0;
	}
	if (vcpu->cpu->lost || vm->pauses > 0) {
		while (vm->state == GUNYAH_RUNNING && (vcpu->cpu->lost || vm->pauses > 0) && !vcpu->removing &&
		       gunyah_wait(vm, call->signals))
			;
		return 0;
	}
	return enter_guest(call);
}
