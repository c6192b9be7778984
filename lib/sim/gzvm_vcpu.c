/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vCPUs of the simulated /dev/gzvm.
 *
 * RUN copies the caller's 264 bytes into a page that the hypervisor sees, and back. All that is strange about this interface
 * comes from that: stale bytes, an `immediate_exit` of another thread that is overwritten, a second thread's RUN that shows up
 * in the first one's buffer, and an exit that comes together with EINTR (H2).
 */
#include "../points.h"
#include "gzvm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* How often a sleeping vCPU looks whether something has come. */
#define LOOK_NS 200000L

/* The first RUN of any vCPU starts the VM: there is no call for it. */
static int start(struct gzvm_vm *vm)
{
	int ret = 0;

	pthread_mutex_lock(&vm->lock);
	if (!vm->started) {
		gzvm_look_at_memory(vm);
		ret = vm->engine->start(vm->guest);
	}
	vm->started = vm->started || ret == 0;
	pthread_mutex_unlock(&vm->lock);
	return ret;
}

/* The answer is what the page holds at the entry, wherever it comes from. */
static void pass_answers(struct gzvm_vcpu *vcpu)
{
	const struct sim_engine *engine = vcpu->vm->engine;

	pthread_mutex_lock(&vcpu->lock);
	if (vcpu->load_waits)
		engine->answer(vcpu->cpu, vcpu->page.u.mmio.data, vcpu->load_width);
	if (vcpu->hypercall_waits)
		engine->answer_hypercall(vcpu->cpu, vcpu->page.u.hypercall.args);
	vcpu->load_waits = false;
	vcpu->hypercall_waits = false;
	pthread_mutex_unlock(&vcpu->lock);
}

static bool is_unresolved(struct gzvm_vm *vm, const struct uapi_gzvm_exception *exception)
{
	const struct gzvm_switches *switches = vm->switches;

	for (size_t i = 0; i < sizeof(exception->reserved) / sizeof(exception->reserved[0]) && switches->takes_reserved;
	     i++) {
		if (exception->reserved[i] != 0)
			return false; /* taken for handled */
	}
	if (exception->exception != UAPI_GZVM_EXCEPTION_PAGE_FAULT || !switches->takes_page_faults)
		return true;
	return !gzvm_resolve(vm, exception->fault_gpa);
}

static uint64_t now_of(clockid_t clock)
{
	struct timespec now;

	(void)clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The kernel's answer to the guest's question for the time goes where the question was. */
static void answer_time(struct gzvm_vcpu *vcpu)
{
	uint64_t *args = vcpu->page.u.hypercall.args;
	uint64_t wall = now_of(CLOCK_REALTIME);
	uint64_t cycles = now_of(CLOCK_MONOTONIC_RAW);

	pthread_mutex_lock(&vcpu->lock);
	args[0] = wall >> 32;
	args[1] = wall & UINT32_MAX;
	args[2] = cycles >> 32;
	args[3] = cycles & UINT32_MAX;
	pthread_mutex_unlock(&vcpu->lock);
}

static bool takes_hypercall(struct gzvm_vcpu *vcpu, uint64_t function)
{
	const struct gzvm_switches *switches = vcpu->vm->switches;

	if (function == UAPI_GZVM_HVC_MEM_RELINQUISH)
		return switches->takes_relinquish;
	if (function != UAPI_GZVM_HVC_PTP || !switches->takes_ptp)
		return false;
	answer_time(vcpu);
	return true;
}

/* Until the guest's timer, a signal, or with some kernels an interrupt or a call of another vCPU. */
static void sleep_idle(struct gzvm_vcpu *vcpu, const struct sim_signals *signals, unsigned int wakeups)
{
	const struct timespec moment = { .tv_sec = 0, .tv_nsec = LOOK_NS };
	const uint64_t end = now_of(CLOCK_MONOTONIC) + vcpu->idle_ns;
	struct gzvm_vm *vm = vcpu->vm;

	while (now_of(CLOCK_MONOTONIC) < end && !sim_signals_pending(signals)) {
		if (vm->switches->irq_ends_idle && atomic_load(&vm->wakeups) != wakeups)
			return;
		(void)nanosleep(&moment, NULL);
	}
}

/* Does the exit need user space? The kernel handles some, and they stay visible in the page all the same. */
static bool is_for_user(struct gzvm_vcpu *vcpu, uint32_t code)
{
	const struct gzvm_switches *switches = vcpu->vm->switches;
	struct uapi_gzvm_run page;

	pthread_mutex_lock(&vcpu->lock);
	page = vcpu->page;
	pthread_mutex_unlock(&vcpu->lock);
	switch (code) {
	case UAPI_GZVM_EXIT_MMIO:
		return page.u.mmio.is_write == 0 || !gzvm_signal_ioevent(vcpu->vm, &page.u.mmio);
	case UAPI_GZVM_EXIT_HYPERCALL:
		return !takes_hypercall(vcpu, page.u.hypercall.args[0]);
	case UAPI_GZVM_EXIT_EXCEPTION:
		return is_unresolved(vcpu->vm, &page.u.exception);
	case UAPI_GZVM_EXIT_IRQ:
	case UAPI_GZVM_EXIT_GZ:
		return false;
	case UAPI_GZVM_EXIT_IDLE:
		return !switches->takes_idle;
	case UAPI_GZVM_EXIT_IPI:
		return !switches->takes_ipi;
	default:
		return true;
	}
}

/* One call of the hypervisor. */
static bool enter_guest(struct gzvm_vcpu *vcpu, const struct sim_signals *signals)
{
	unsigned int wakeups = atomic_load(&vcpu->vm->wakeups);
	struct sim_event event;
	uint32_t code;
	int ret;

	GH_POINT(GZVM_LOOPS);
	pass_answers(vcpu);
	ret = vcpu->vm->engine->run(vcpu->cpu, &signals->unblocked, &event);
	GH_POINT(GZVM_LEFT);
	code = ret < 0 ? gzvm_fill_failure(vcpu, ret) : gzvm_fill_event(vcpu, &event);
	if (is_for_user(vcpu, code))
		return true;
	if (code == UAPI_GZVM_EXIT_IDLE)
		sleep_idle(vcpu, signals, wakeups);
	else if (code == UAPI_GZVM_EXIT_IPI)
		(void)atomic_fetch_add(&vcpu->vm->wakeups, 1);
	return false;
}

static void run_guest(struct gzvm_vcpu *vcpu, const struct sim_signals *signals)
{
	bool for_user = false;
	int ret = start(vcpu->vm);

	if (ret < 0) {
		(void)gzvm_fill_failure(vcpu, ret);
		return;
	}
	while (!for_user && !sim_signals_pending(signals))
		for_user = enter_guest(vcpu, signals);
}

/* Copied in before anything is looked at, so that even a refused RUN changes the page. */
static int take_buffer(struct gzvm_vcpu *vcpu, uintptr_t arg)
{
	struct uapi_gzvm_run run;
	int ret = sim_copy_in(&run, arg, sizeof(run));

	if (ret < 0)
		return ret;
	pthread_mutex_lock(&vcpu->lock);
	vcpu->page = run;
	pthread_mutex_unlock(&vcpu->lock);
	if ((run.padding[0] | run.padding[1] | run.padding[2]) != 0 && !vcpu->vm->switches->ignores_padding)
		return -EINVAL;
	return run.immediate_exit == 1 ? -EINTR : 0;
}

static int give_buffer(struct gzvm_vcpu *vcpu, uintptr_t arg)
{
	struct uapi_gzvm_run run;

	pthread_mutex_lock(&vcpu->lock);
	run = vcpu->page;
	pthread_mutex_unlock(&vcpu->lock);
	run.exit_reason = gzvm_shown_code(vcpu->vm->switches, run.exit_reason);
	return sim_copy_out(arg, &run, sizeof(run));
}

/* `ret_signalled`: EINTR because of a signal, which the kernel may turn into a restart. */
static int run_once(struct gzvm_vcpu *vcpu, const struct sim_signals *signals, uintptr_t arg, bool *ret_signalled)
{
	bool alone = !atomic_flag_test_and_set(&vcpu->inside);
	int ret;

	GH_POINT(GZVM_BEGUN);
	/* Even one that is refused leaves its header in the other's buffer. */
	if (!alone)
		sim_machine_breakage(vcpu->vm->sim, "two threads were in RUN of one vCPU: corrupt page");
	ret = take_buffer(vcpu, arg);
	GH_POINT(GZVM_TAKEN);
	*ret_signalled = false;
	if (!alone)
		return ret < 0 ? ret : -EBUSY;
	if (ret < 0) {
		atomic_flag_clear(&vcpu->inside);
		return ret;
	}
	run_guest(vcpu, signals);
	GH_POINT(GZVM_HANDLED);
	atomic_flag_clear(&vcpu->inside);
	ret = give_buffer(vcpu, arg);
	if (ret < 0)
		return ret;
	GH_POINT(GZVM_GIVEN);
	/* H2: with an exit in the buffer or without one. */
	*ret_signalled = sim_signals_pending(signals);
	GH_POINT(GZVM_ENDS);
	return *ret_signalled ? -EINTR : 0;
}

static long run(struct gzvm_vcpu *vcpu, uintptr_t arg)
{
	struct sim_signals signals;
	bool signalled;
	int ret;

	do {
		sim_signals_begin(&signals);
		if (sim_signals_taken_back()) {
			(void)sim_signals_end(&signals, false);
			return -ECANCELED;
		}
		ret = run_once(vcpu, &signals, arg, &signalled);
	} while (sim_signals_end(&signals, signalled));
	return ret;
}

static long vcpu_ioctl(struct sim_file *file, unsigned long request, uintptr_t arg)
{
	struct gzvm_vcpu *vcpu = file->object;

	if (gzvm_is_foreign(vcpu->vm))
		return -EIO;
	gzvm_look_at_caller(vcpu->vm);
	switch (gzvm_own_request(vcpu->vm->switches, request)) {
	case UAPI_GZVM_RUN:
		return run(vcpu, arg);
	case UAPI_GZVM_GET_ONE_REG:
		return gzvm_get_one_reg(vcpu, arg);
	case UAPI_GZVM_SET_ONE_REG:
		return gzvm_set_one_reg(vcpu, arg);
	default:
		return -ENOTTY;
	}
}

/* The vCPU itself lives, and its number is taken, until the VM ends. */
static void vcpu_release(struct sim_file *file)
{
	struct gzvm_vcpu *vcpu = file->object;

	gzvm_vm_put(vcpu->vm);
}

static const struct sim_file_ops vcpu_ops = {
	.name = "gzvm-vcpu:",
	.ioctl = vcpu_ioctl,
	.release = vcpu_release,
};

void gzvm_vcpu_free(struct gzvm_vcpu *vcpu)
{
	if (vcpu == NULL)
		return;
	pthread_mutex_destroy(&vcpu->lock);
	free(vcpu);
}

static int vcpu_new(struct gzvm_vm *vm, uint32_t id, struct gzvm_vcpu **ret_vcpu)
{
	struct gzvm_vcpu *vcpu = calloc(1, sizeof(*vcpu));
	int ret;

	if (vcpu == NULL)
		return -ENOMEM;
	vcpu->vm = vm;
	vcpu->id = id;
	pthread_mutex_init(&vcpu->lock, NULL);
	atomic_flag_clear(&vcpu->inside);
	/* Secondary ones wait for PSCI CPU_ON. */
	ret = gzvm_errno(vm->switches, gzvm_engine_code(vm->engine->vcpu_new(vm->guest, id, id == 0, &vcpu->cpu)));
	if (ret < 0)
		gzvm_vcpu_free(vcpu);
	else
		*ret_vcpu = vcpu;
	return ret;
}

/* What the hypervisor says to a new one; a duplicate it refuses, because the driver would lose the old one. */
static int ask_for_vcpu(struct gzvm_vm *vm, uint32_t id)
{
	int ret = gzvm_errno(vm->switches, gzvm_hypervisor(vm->sim, vm->calls, GZVM_CALL_CREATE_VCPU));

	if (ret == 0 && vm->vcpus[id] != NULL) {
		sim_machine_breakage(vm->sim, "the same vCPU id twice: the driver loses the first one, and never ends it");
		ret = -EINVAL; /* as if the hypervisor refused */
	}
	if (ret < 0 && vm->switches->vcpus_keep_vm)
		sim_machine_breakage(vm->sim, "a failed CREATE_VCPU has kept a reference: its VM never ends");
	return ret;
}

/* Under the VM's lock. */
int gzvm_vcpu_open(struct gzvm_vm *vm, uint32_t id)
{
	struct gzvm_vcpu *vcpu = NULL;
	char name[24];
	int ret;

	if (id >= (vm->switches->is_halla ? GZVM_VCPUS : UAPI_GZVM_MAX_VCPUS))
		return -EINVAL;
	ret = ask_for_vcpu(vm, id);
	if (ret == 0)
		ret = vcpu_new(vm, id, &vcpu);
	if (ret < 0)
		return ret;
	vm->vcpus[id] = vcpu;
	(void)snprintf(name, sizeof(name), "%s%u", vm->switches->is_halla ? "halla-vcpu:" : vcpu_ops.name, id);
	ret = sim_file_new(vm->sim, &vcpu_ops, name, vcpu, 0, NULL);
	if (ret >= 0)
		vm->files++;
	return ret;
}
