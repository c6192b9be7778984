/* SPDX-License-Identifier: BSD-3-Clause */
/* Ready-made loops, and what concerns all vCPUs of a VM at once. */
#include "bus_recent.h"
#include "opts.h"
#include "thread.h"
#include "vcpu.h"

#include <gh/loop.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define STEP "run the VM"
#define NAP_NS 50000L
/* Nobody has asked the bus yet. */
#define UNDISPATCHED INT_MAX

/* --- one vCPU ----------------------------------------------------------------------------------------------------- */

/* Neither the VM's end nor gh_vm_quit() has made it pointless to go on. */
static bool is_wanted(struct gh_vcpu *vcpu)
{
	return !gh_vm_has_ended(vcpu->vm) && atomic_load(&vcpu->vm->quitting) == GH_QUIT_NOT;
}

static bool waits_for_answer(struct gh_vcpu *vcpu)
{
	enum gh_pending pending = atomic_load(&vcpu->live->pending);

	return (pending == GH_PENDING_LOAD || pending == GH_PENDING_BEING_ANSWERED) && is_wanted(vcpu);
}

/* The run that follows delivers an interruption, and does not enter. */
static bool is_kicked(struct gh_vcpu *vcpu)
{
	return (atomic_load(&vcpu->kicked) & GH_KICK) != 0;
}

/* Until a deferred load has its answer, or there is something else to do. A nudge is no reason to stop waiting. */
static void await_answer(struct gh_vcpu *vcpu)
{
	const struct timespec nap = { .tv_sec = 0, .tv_nsec = NAP_NS };

	while (waits_for_answer(vcpu) && !is_kicked(vcpu)) {
		gh_kick_take_nudge(vcpu);
		gh_kick_wait(vcpu, waits_for_answer);
	}
	/* Whoever was handed the exit may have dispatched it, and answers before it leaves the bus. */
	while (gh_bus_is_busy(&vcpu->bus) && is_wanted(vcpu) && !is_kicked(vcpu))
		(void)vcpu->vm->b.sys->ppoll(vcpu->vm->b.sys, NULL, 0, &nap);
	gh_kick_remind(vcpu);
}

/* Without an exit function. */
static int serve_by_default(struct gh_vcpu *vcpu, const struct gh_exit *exit)
{
	switch (exit->kind) {
	case GH_EXIT_MMIO:
		return gh_bus_answer_unmatched(vcpu, exit);
	case GH_EXIT_HYPERCALL: /* the next run answers "not supported" */
	case GH_EXIT_INTERRUPTED:
		return GH_LOOP_CONTINUE;
	case GH_EXIT_PAGE_FAULT:
		return exit->fault.error < 0 ? gh_fault_retry(vcpu, exit) : gh_fail_fault(vcpu, -EOPNOTSUPP, exit);
	default:
		return gh_fail(&vcpu->failure, -EOPNOTSUPP, STEP, NULL, "Give the loop an exit function that serves it.",
			       "vCPU %u made an exit that a loop cannot serve by itself: %s (kernel's reason %u).",
			       vcpu->b.id, gh_exit_name(exit->kind), exit->raw_reason);
	}
}

/* An access has a device, or else is the exit function's as everything else. */
static int find_verdict(struct gh_vcpu *vcpu, const struct gh_loop_options *options, const struct gh_exit *exit,
			int verdict)
{
	if (exit->kind == GH_EXIT_MMIO) {
		int ret = verdict != UNDISPATCHED ? verdict : gh_bus_dispatch(vcpu, exit);

		if (ret != GH_BUS_UNMATCHED)
			return ret == GH_BUS_DEFER ? GH_LOOP_DEFER : ret;
	}
	return options->exit != NULL ? options->exit(options->data, vcpu, exit) : serve_by_default(vcpu, exit);
}

static __attribute__((noinline, cold)) int no_verdict(struct gh_vcpu *vcpu, int verdict)
{
	return gh_fail_cause(&vcpu->failure, -EINVAL, GH_CAUSE_HANDLER, STEP, NULL,
			     "The loop's exit function returned %d, which is no verdict.", verdict);
}

/* 0: go on. */
static int serve(struct gh_vcpu *vcpu, const struct gh_loop_options *options, const struct gh_exit *exit, int verdict)
{
	verdict = find_verdict(vcpu, options, exit, verdict);
	switch (verdict) {
	case GH_LOOP_CONTINUE:
		return 0;
	case GH_LOOP_DEFER:
		await_answer(vcpu);
		return 0;
	case GH_LOOP_LEAVE:
		return -ECANCELED;
	default:
		return verdict < 0 ? verdict : no_verdict(vcpu, verdict);
	}
}

/* Nothing is left to do for an access. A load is answered here; it still waits, unless the handler has misbehaved. */
static inline bool is_answered(struct gh_vcpu *vcpu, int verdict, uint64_t value)
{
	const struct gh_exit_mmio *mmio = &vcpu->b.exit.mmio;

	if (verdict != GH_BUS_DONE)
		return false;
	if (mmio->is_store != 0)
		return true;
	if (gh_vcpu_pending(vcpu->live) != GH_PENDING_LOAD)
		return false;
	gh_vcpu_put_answer(vcpu, value);
	gh_vcpu_set_pending(vcpu->live, GH_PENDING_NOTHING);
	return true;
}

/*
 * Enters until there is an exit that more has to be done for than one call of a handler. 0: it is in
 * vcpu->b.exit, and if it is an access, what has become of it in *ret_verdict, as gh_bus_dispatch() would say.
 */
static int next_exit(struct gh_vcpu *vcpu, int *ret_verdict)
{
	const struct gh_exit_mmio *mmio = &vcpu->b.exit.mmio;

	/* Before the place is published, which says whether an answer is on its way. */
	if (gh_vcpu_pending(vcpu->live) > GH_PENDING_STORE)
		return gh_vcpu_start_out(vcpu);
	for (;;) {
		struct gh_bus_recent *recent;
		int verdict;

		gh_kick_return(vcpu);
		if (!gh_kick_is_owner(vcpu->live))
			return gh_vcpu_start_out(vcpu);
		if (!gh_vcpu_enter(vcpu, &verdict))
			return gh_vcpu_go_on(vcpu, verdict);
		recent = gh_bus_recall(&vcpu->bus, mmio);
		if (recent != NULL && gh_bus_recent_state(recent) != GH_BUS_NOTHING) {
			verdict = gh_bus_ask(recent, mmio->value);
			if (!is_answered(vcpu, verdict, recent->call.value))
				verdict = gh_bus_conclude(vcpu, recent, verdict, recent->call.value);
			gh_bus_let_go(vcpu->bus.live);
		} else {
			if (recent != NULL)
				gh_bus_let_go(vcpu->bus.live);
			verdict = gh_bus_dispatch_elsewhere(vcpu, mmio);
		}
		if (verdict != GH_BUS_DONE) {
			*ret_verdict = verdict;
			return 0;
		}
	}
}

/* Of a claimed vCPU. */
static int loop(struct gh_vcpu *vcpu, const struct gh_loop_options *options)
{
	const struct gh_exit *exit = &vcpu->b.exit;

	for (;;) {
		int verdict = UNDISPATCHED;
		int ret;

		if (atomic_load_explicit(&vcpu->vm->quitting, memory_order_relaxed) != GH_QUIT_NOT)
			return -ECANCELED;
		ret = next_exit(vcpu, &verdict);
		if (ret < 0)
			return ret;
		if (exit->kind == GH_EXIT_STOPPED)
			return (int)exit->stop.cause;
		ret = serve(vcpu, options, exit, verdict);
		/* An interruption leaves a deferred load where it is. */
		if (ret == 0 && exit->kind == GH_EXIT_INTERRUPTED)
			await_answer(vcpu);
		if (ret < 0)
			return ret;
	}
}

static int claim_and_loop(struct gh_vcpu *vcpu, const struct gh_loop_options *options)
{
	uint64_t out = GH_OUT;
	int ret;

	if (!atomic_compare_exchange_strong(&vcpu->where, &out, GH_BUSY))
		return -EPERM;
	ret = loop(vcpu, options);
	atomic_store_explicit(&vcpu->where, GH_OUT, memory_order_release);
	return ret;
}

static int read_options(const struct gh_loop_options *callers, struct gh_loop_options *own)
{
	const struct gh_loop_options defaults = GH_LOOP_OPTIONS_INIT;

	*own = defaults;
	if (callers == NULL || gh_opts_copy(own, sizeof(*own), sizeof(*own), callers) < 0)
		return -EINVAL;
	return 0;
}

int gh_vcpu_loop(struct gh_vcpu *vcpu, const struct gh_loop_options *callers)
{
	struct gh_loop_options options;

	if (vcpu == NULL || read_options(callers, &options) < 0)
		return -EINVAL;
	return claim_and_loop(vcpu, &options);
}

static void for_all(struct gh_vm *vm, void (*function)(struct gh_vcpu *vcpu))
{
	(void)pthread_mutex_lock(&vm->lock);
	for (struct gh_vcpu *vcpu = vm->vcpus; vcpu != NULL; vcpu = vcpu->next)
		function(vcpu);
	(void)pthread_mutex_unlock(&vm->lock);
}

static void kick(struct gh_vcpu *vcpu)
{
	gh_kick(vcpu, GH_KICK);
}

/* --- a thread for each vCPU --------------------------------------------------------------------------------------- */

struct runner {
	struct gh_vcpu *vcpu;
	const struct gh_loop_options *options;
	pthread_t thread;
	int result;
};

/* Makes the other vCPUs of gh_vm_run() leave; it can be called again afterwards. */
static void quit_run(struct gh_vm *vm)
{
	enum gh_quit not = GH_QUIT_NOT;

	if (atomic_compare_exchange_strong(&vm->quitting, &not, GH_QUIT_RUN))
		for_all(vm, kick);
}

static void end_quit_run(struct gh_vm *vm)
{
	enum gh_quit run = GH_QUIT_RUN;

	(void)atomic_compare_exchange_strong(&vm->quitting, &run, GH_QUIT_NOT);
}

static void *run_vcpu(void *argument)
{
	struct runner *runner = argument;
	char name[16];
	int ret = 0;

	/* Here, and not by the thread that made this one: the hook may choose another name. */
	(void)snprintf(name, sizeof(name), "vcpu%u", runner->vcpu->b.id);
#if defined(__linux__)
	(void)pthread_setname_np(pthread_self(), name);
#endif
	if (runner->options->thread_begins != NULL)
		ret = runner->options->thread_begins(runner->options->data, runner->vcpu);
	runner->result = ret < 0 ? ret : claim_and_loop(runner->vcpu, runner->options);
	/* A vCPU that cannot go on takes the others along; the VM's own end reaches them by itself. */
	if (runner->result < 0)
		quit_run(runner->vcpu->vm);
	return NULL;
}

/* Each opens the kick signal for itself. The first of them may be failing at something already, hence the lock. */
static int start_runner(struct gh_vm *vm, struct runner *runner)
{
	int ret;

	(void)pthread_mutex_lock(&vm->lock);
	ret = gh_thread_start(vm, STEP, &runner->thread, run_vcpu, runner);
	(void)pthread_mutex_unlock(&vm->lock);
	return ret;
}

static int start_runners(struct gh_vm *vm, struct runner *runners, uint32_t count, uint32_t *ret_started)
{
	int ret = 0;

	for (*ret_started = 0; *ret_started < count; ++*ret_started) {
		ret = start_runner(vm, &runners[*ret_started]);
		if (ret < 0)
			break;
	}
	return ret;
}

/* The first error that is not the quitting it caused; otherwise the cause of the end. */
static int judge(struct gh_vm *vm, const struct runner *runners, uint32_t count)
{
	int result = 0;

	for (uint32_t i = 0; i < count; i++) {
		if (runners[i].result < 0 && runners[i].result != -ECANCELED) {
			const struct gh_vcpu *vcpu = runners[i].vcpu;

			/* The caller has one place to look at. */
			(void)pthread_mutex_lock(&vm->lock);
			if (vcpu->failure.error == runners[i].result)
				vm->failure = vcpu->failure;
			(void)pthread_mutex_unlock(&vm->lock);
			return runners[i].result;
		}
		if (runners[i].result < 0 || result >= 0)
			result = runners[i].result;
	}
	return result;
}

static int run_all(struct gh_vm *vm, struct runner *runners, uint32_t count)
{
	uint32_t started = 0;
	int ret = start_runners(vm, runners, count, &started);

	if (ret < 0)
		quit_run(vm);
	for (uint32_t i = 0; i < started; i++)
		(void)pthread_join(runners[i].thread, NULL);
	end_quit_run(vm);
	return ret < 0 ? ret : judge(vm, runners, started);
}

static int run_vm(struct gh_vm *vm, const struct gh_loop_options *options)
{
	struct runner *runners;
	uint32_t count = 0;
	int ret;

	runners = calloc(vm->b.n_vcpus, sizeof(*runners));
	if (runners == NULL)
		return gh_fail_memory(&vm->failure, STEP);
	(void)pthread_mutex_lock(&vm->lock);
	for (struct gh_vcpu *vcpu = vm->vcpus; vcpu != NULL && count < vm->b.n_vcpus; vcpu = vcpu->next)
		runners[count++] = (struct runner){ .vcpu = vcpu, .options = options };
	(void)pthread_mutex_unlock(&vm->lock);
	ret = run_all(vm, runners, count);
	free(runners);
	return ret;
}

static int refuse_second(struct gh_vm *vm)
{
	(void)pthread_mutex_lock(&vm->lock);
	(void)gh_fail(&vm->failure, -EPERM, STEP, NULL, "Let one thread run the VM; gh_vm_quit() makes it return.",
		      "Another thread is inside gh_vm_run().");
	(void)pthread_mutex_unlock(&vm->lock);
	return -EPERM;
}

int gh_vm_run(struct gh_vm *vm, const struct gh_loop_options *callers)
{
	struct gh_loop_options options;
	int ret;

	if (vm == NULL || read_options(callers, &options) < 0)
		return -EINVAL;
	if (gh_vm_is_forked(vm))
		return gh_fail_forked(vm);
	if (atomic_load(&vm->state) != GH_VM_STARTED)
		return gh_fail_state(&vm->failure, STEP, "The VM has not been started.");
	/* A second one would fail at the first vCPU, and take the first one's vCPUs along. */
	if (atomic_exchange(&vm->running, true))
		return refuse_second(vm);
	ret = run_vm(vm, &options);
	atomic_store(&vm->running, false);
	return ret;
}

/* --- all of them -------------------------------------------------------------------------------------------------- */

static void nudge(struct gh_vcpu *vcpu)
{
	gh_kick(vcpu, GH_NUDGE);
}

int gh_vm_quit(struct gh_vm *vm)
{
	if (vm == NULL)
		return -EINVAL;
	if (gh_vm_is_forked(vm))
		return gh_fail_forked(vm);
	atomic_store(&vm->quitting, GH_QUIT_EVER);
	for_all(vm, kick);
	return 0;
}

static bool is_in_guest(struct gh_vm *vm)
{
	bool found = false;

	(void)pthread_mutex_lock(&vm->lock);
	for (struct gh_vcpu *vcpu = vm->vcpus; vcpu != NULL && !found; vcpu = vcpu->next)
		found = gh_kick_is_in_guest(vcpu);
	(void)pthread_mutex_unlock(&vm->lock);
	return found;
}

int gh_vm_pause(struct gh_vm *vm)
{
	const struct timespec time = { .tv_sec = 0, .tv_nsec = NAP_NS };

	if (vm == NULL)
		return -EINVAL;
	if (gh_vm_is_forked(vm))
		return gh_fail_forked(vm);
	if (atomic_load(&vm->state) != GH_VM_STARTED)
		return gh_fail_state(&vm->failure, "pause the VM", "The VM has not been started.");
	(void)atomic_fetch_add(&vm->paused, 1);
	for_all(vm, nudge);
	while (is_in_guest(vm))
		(void)vm->b.sys->ppoll(vm->b.sys, NULL, 0, &time);
	return 0;
}

int gh_vm_resume(struct gh_vm *vm)
{
	unsigned int paused;

	if (vm == NULL)
		return -EINVAL;
	if (gh_vm_is_forked(vm))
		return gh_fail_forked(vm);
	paused = atomic_load(&vm->paused);
	do {
		if (paused == 0)
			return gh_fail_state(&vm->failure, "resume the VM", "The VM is not paused.");
	} while (!atomic_compare_exchange_weak(&vm->paused, &paused, paused - 1));
	if (paused == 1)
		for_all(vm, gh_kick_wake);
	return 0;
}

static bool sits_out(struct gh_vcpu *vcpu)
{
	return atomic_load(&vcpu->vm->paused) != 0 && !gh_vm_has_ended(vcpu->vm);
}

void gh_vcpu_sit_out_pause(struct gh_vcpu *vcpu)
{
	/* The nudge first: whoever pauses says so before nudging. */
	gh_kick_take_nudge(vcpu);
	while (sits_out(vcpu) && !gh_kick_pending(vcpu))
		gh_kick_wait(vcpu, sits_out);
}

int gh_vm_end_fd(const struct gh_vm *vm)
{
	return vm != NULL ? vm->end_fd : -1;
}
