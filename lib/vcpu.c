/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vCPUs. The life of one exit:
 *
 *     guest load/store -> kernel -> sys->ioctl(RUN) -> backend: run page to raw exit -> exit.c: check and normalise
 *       -> gh_vcpu_run() returns it -> the VMM's device -> gh_mmio_complete() -> next RUN
 *
 * The core decides here what one kernel entry means: whether to enter at all, what is delivered, what the guest waits for.
 */
#include "vcpu.h"

#include "points.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#define STEP_CREATE "create a vCPU"
#define STEP_RUN "run a vCPU"
#define STEP_ANSWER "answer a vCPU"

/* The hypervisor answers "not supported" to calls that nobody knows (SMC calling convention). */
static const uint64_t not_supported[4] = { UINT64_MAX, 0, 0, 0 };

/* A kernel that is busy, or came back for its own reasons, is asked again after this; a busy one for a second at most. */
#define NAP_NS 200000L
#define NAPS_WHEN_BUSY 5000u

/* --- making and freeing ------------------------------------------------------------------------------------------- */

int gh_vcpu_make(struct gh_vcpu *vcpu)
{
	struct gh_vm *vm = vcpu->vm;
	int ret;

	vm->failure.error = 0;
	ret = vm->b.ops->vcpu_create(&vcpu->b);
	if (ret < 0)
		return vm->failure.error != 0 ? ret : gh_fail_request(&vm->failure, ret, STEP_CREATE, "");
	vcpu->made = true;
	return 0;
}

void gh_vcpu_unmake(struct gh_vcpu *vcpu)
{
	struct gh_sys *sys = vcpu->b.vm->sys;

	if (vcpu->made)
		vcpu->vm->b.ops->vcpu_destroy(&vcpu->b);
	gh_bus_leave(vcpu);
	(void)sys->close(sys, vcpu->wake_fd);
	free(vcpu);
}

static int check_new(struct gh_vm *vm, uint32_t id)
{
	enum gh_vm_state state = atomic_load(&vm->state);

	if (state == GH_VM_BROKEN || (state == GH_VM_STARTED && !gh_can(&vm->b, GH_FEATURE_LATE_VCPUS)))
		return gh_fail_state(&vm->failure, STEP_CREATE, "The VM has been started, and takes no more vCPUs.");
	if (id >= vm->b.caps.max_vcpus)
		return gh_fail(&vm->failure, -ERANGE, STEP_CREATE, NULL, "Use ids from 0 on, without gaps.",
			       "vCPU %u: this hypervisor has vCPUs 0 to %u.", id, vm->b.caps.max_vcpus - 1);
	for (const struct gh_vcpu *other = vm->vcpus; other != NULL; other = other->next)
		if (other->b.id == id)
			return gh_fail(&vm->failure, -EEXIST, STEP_CREATE, NULL, "Use another id.", "The VM has a vCPU %u.",
				       id);
	return 0;
}

static int vcpu_new(struct gh_vm *vm, uint32_t id, struct gh_vcpu **ret_vcpu)
{
	struct gh_vcpu *vcpu = calloc(1, sizeof(*vcpu));

	if (vcpu == NULL)
		return gh_fail_memory(&vm->failure, STEP_CREATE);
	vcpu->vm = vm;
	vcpu->live = &vm->wiped->vcpus[id];
	if (gh_bus_join(vcpu) < 0) {
		free(vcpu);
		return gh_fail_memory(&vm->failure, STEP_CREATE);
	}
	vcpu->wake_fd = vm->b.sys->eventfd(vm->b.sys, 0, EFD_NONBLOCK);
	if (vcpu->wake_fd < 0) {
		int ret = vcpu->wake_fd;

		gh_bus_leave(vcpu);
		free(vcpu);
		return gh_fail_request(&vm->failure, ret, STEP_CREATE, "eventfd");
	}
	atomic_init(&vcpu->entry, GH_INSIDE);
	vcpu->entries = GH_FRAGILE;
	vcpu->fragile_values = gh_is_quirky(&vm->b, GH_QUIRK_FRAGILE_ANSWER) ? UINT64_MAX : 0;
	vcpu->run = vm->b.ops->vcpu_run;
	vcpu->failure.size = sizeof(vcpu->failure);
	vcpu->b.vm = &vm->b;
	vcpu->b.id = id;
	vcpu->b.fd = -1;
	vcpu->b.failure = &vcpu->failure;
	vcpu->b.kicked = (const volatile uint32_t *)(uintptr_t)&vcpu->kicked;
	*ret_vcpu = vcpu;
	return 0;
}

/* Under the lock. */
static int create(struct gh_vm *vm, uint32_t id, struct gh_vcpu **ret_vcpu)
{
	struct gh_vcpu *vcpu = NULL;
	uint32_t highest = vm->b.max_vcpu_id;
	int ret = check_new(vm, id);

	if (ret < 0)
		return ret;
	ret = gh_kick_claim(vm);
	if (ret < 0)
		return ret;
	ret = vcpu_new(vm, id, &vcpu);
	if (ret < 0)
		return ret;
	if (id > highest)
		vm->b.max_vcpu_id = id;
	if (atomic_load(&vm->state) == GH_VM_STARTED) {
		ret = gh_vcpu_make(vcpu);
		if (ret < 0) {
			vm->b.max_vcpu_id = highest;
			gh_vcpu_unmake(vcpu);
			return ret;
		}
	}
	vcpu->next = vm->vcpus;
	vm->vcpus = vcpu;
	vm->b.n_vcpus++;
	*ret_vcpu = vcpu;
	return 0;
}

int gh_vcpu_create(struct gh_vm *vm, uint32_t id, struct gh_vcpu **ret_vcpu)
{
	int ret;

	if (vm == NULL || ret_vcpu == NULL)
		return -EINVAL;
	if (gh_vm_is_forked(vm))
		return gh_fail_forked(vm);
	(void)pthread_mutex_lock(&vm->lock);
	ret = create(vm, id, ret_vcpu);
	(void)pthread_mutex_unlock(&vm->lock);
	return ret;
}

uint32_t gh_vcpu_id(const struct gh_vcpu *vcpu)
{
	return vcpu != NULL ? vcpu->b.id : UINT32_MAX;
}

/* --- running ------------------------------------------------------------------------------------------------------ */

/* gh_vm_set_end() drops all loads under the lock: whoever says that the VM has ended does so afterwards. */
static void await_drops(struct gh_vm *vm)
{
	(void)pthread_mutex_lock(&vm->lock);
	(void)pthread_mutex_unlock(&vm->lock);
}

static int deliver_end(struct gh_vcpu *vcpu)
{
	enum gh_pending pending;

	await_drops(vcpu->vm);
	vcpu->b.exit = vcpu->vm->end;
	pending = gh_vcpu_pending(vcpu->live);
	/* Another thread may be answering at this moment: a reset waits until it has, so it is left alone. */
	while (pending != GH_PENDING_BEING_ANSWERED &&
	       !atomic_compare_exchange_weak(&vcpu->live->pending, &pending, GH_PENDING_NOTHING))
		;
	return 0;
}

static int deliver_interruption(struct gh_vcpu *vcpu)
{
	gh_exit_set_kind(&vcpu->b.exit, GH_EXIT_INTERRUPTED, 0);
	return 0;
}

/* What the exit in vcpu->b.exit asks of the VMM. */
static int deliver(struct gh_vcpu *vcpu)
{
	switch (vcpu->b.exit.kind) {
	case GH_EXIT_MMIO:
		gh_vcpu_deliver_mmio(vcpu);
		return 0;
	case GH_EXIT_HYPERCALL:
		gh_vcpu_set_pending(vcpu->live, GH_PENDING_HYPERCALL);
		return 0;
	case GH_EXIT_STOPPED:
		gh_vm_set_end(vcpu->vm, vcpu, &vcpu->b.exit);
		return deliver_end(vcpu);
	default:
		return 0;
	}
}

static void nap(struct gh_sys *sys)
{
	const struct timespec time = { .tv_sec = 0, .tv_nsec = NAP_NS };

	(void)sys->ppoll(sys, NULL, 0, &time);
}

static int broken(struct gh_vcpu *vcpu, int error)
{
	if (vcpu->failure.error == error)
		return error;
	(void)pthread_mutex_lock(&vcpu->vm->lock);
	(void)gh_diagnose(&vcpu->failure, &vcpu->vm->b, GH_REQUEST_RUN, error, NULL);
	(void)pthread_mutex_unlock(&vcpu->vm->lock);
	return error;
}

static int busy_for_too_long(struct gh_vcpu *vcpu)
{
	return gh_fail_cause(&vcpu->failure, -EBUSY, GH_CAUSE_GOING_DOWN, STEP_RUN, "RUN",
			     "The hypervisor has been busy with vCPU %u for %ld ms; a VM that goes down may be stuck.",
			     vcpu->b.id, NAPS_WHEN_BUSY * (NAP_NS / 1000) / 1000);
}

/* What an entry has come to; the thread is between entries. 1: enter again. */
static int conclude(struct gh_vcpu *vcpu, int ret, unsigned int *busy)
{
	/* The kernel has taken the answer, whatever it returned; where an interruption leaves it out, it stays in place. */
	if (ret != -ECANCELED) {
		gh_kick_set_entry(vcpu, GH_INSIDE);
		gh_vcpu_set_pending(vcpu->live, GH_PENDING_NOTHING);
	}
	if (ret >= 0)
		return deliver(vcpu);
	if (gh_vm_has_ended(vcpu->vm))
		return deliver_end(vcpu);
	switch (ret) {
	case -EBUSY:
		if (++*busy > NAPS_WHEN_BUSY)
			return busy_for_too_long(vcpu);
		nap(vcpu->b.vm->sys);
		return 1;
	case -EAGAIN:
		nap(vcpu->b.vm->sys);
		return 1;
	case -ECANCELED:
		if (gh_kick_take(vcpu))
			return deliver_interruption(vcpu);
		return 1; /* a nudge: look at the VM's state */
	case -EINTR:
		(void)gh_kick_take(vcpu);
		return deliver_interruption(vcpu);
	default:
		return broken(vcpu, ret);
	}
}

/*
 * An answer that was not taken goes with another entry: what the courier has seen of the one before says nothing of it. While
 * a load still waits, or is being answered by another thread, the entry is that thread's to set.
 */
static void renew_entry(struct gh_vcpu *vcpu)
{
	if (gh_vcpu_pending(vcpu->live) == GH_PENDING_NOTHING && gh_kick_entry(vcpu) % GH_PLACES == GH_FRAGILE)
		gh_kick_set_fragile(vcpu);
}

/* Enters until there is something to deliver. `ret` is what the last entry gave, -ECANCELED if there was none. */
static int run_until_exit(struct gh_vcpu *vcpu, int ret)
{
	unsigned int busy = 0;

	while ((ret = conclude(vcpu, ret, &busy)) == 1) {
		if (gh_kick_pending(vcpu) || atomic_load(&vcpu->vm->paused) != 0) {
			gh_vcpu_sit_out_pause(vcpu);
			/* It may have been the end's own nudge that was taken there, and there is no second one. */
			if (gh_vm_has_ended(vcpu->vm))
				return deliver_end(vcpu);
		}
		renew_entry(vcpu);
		gh_kick_return(vcpu);
		ret = gh_kick_enter(vcpu);
		gh_kick_pause(vcpu);
	}
	return ret;
}

/* Everything that a run may have to do before its first entry. */
static int run_with_care(struct gh_vcpu *vcpu)
{
	enum gh_pending pending;
	int ret;

	if (gh_vm_has_ended(vcpu->vm))
		return deliver_end(vcpu);
	if (atomic_load_explicit(&vcpu->vm->state, memory_order_acquire) != GH_VM_STARTED || !vcpu->made)
		return gh_fail_state(&vcpu->failure, STEP_RUN, "The VM has not been started.");
	if (gh_kick_take(vcpu))
		return deliver_interruption(vcpu);
	pending = gh_vcpu_pending(vcpu->live);
	if (pending == GH_PENDING_LOAD || pending == GH_PENDING_BEING_ANSWERED)
		return gh_fail(&vcpu->failure, -EBUSY, STEP_RUN, NULL, "Call gh_mmio_complete() with the value first.",
			       "The guest's load waits for its answer.");
	ret = gh_kick_thread(vcpu);
	if (ret < 0)
		return gh_fail_request(&vcpu->failure, ret, STEP_RUN, "rt_sigprocmask");
	if (pending == GH_PENDING_HYPERCALL && vcpu->b.vm->ops->vcpu_answer_hypercall != NULL)
		vcpu->b.vm->ops->vcpu_answer_hypercall(&vcpu->b, not_supported);
	gh_vcpu_set_pending(vcpu->live, GH_PENDING_NOTHING);
	GH_POINT(RUN_CHECKED);
	return run_until_exit(vcpu, -ECANCELED);
}

static int finish(struct gh_vcpu *vcpu, int ret)
{
	/* The counterpart of gh_vm_set_end(): one of the two sees the other's. */
	atomic_thread_fence(memory_order_seq_cst);
	if (gh_vm_has_ended(vcpu->vm))
		(void)gh_vcpu_drop_load(vcpu);
	gh_kick_remind(vcpu);
	renew_entry(vcpu);
	return ret;
}

__attribute__((noinline, cold)) int gh_vcpu_start_out(struct gh_vcpu *vcpu)
{
	if (gh_vm_is_forked(vcpu->vm))
		return gh_fail_process(&vcpu->failure);
	vcpu->failure.error = 0;
	gh_kick_pause(vcpu);
	return finish(vcpu, run_with_care(vcpu));
}

__attribute__((noinline, cold)) int gh_vcpu_go_on(struct gh_vcpu *vcpu, int result)
{
	gh_kick_pause(vcpu);
	return finish(vcpu, run_until_exit(vcpu, result));
}

int gh_vcpu_run(struct gh_vcpu *vcpu, const struct gh_exit **ret_exit)
{
	struct gh_vcpu_live *live;
	bool ready;
	int ret;

	if (vcpu == NULL || ret_exit == NULL)
		return -EINVAL;
	GH_POINT(RUN_BEGUN);
	live = vcpu->live;
	/* Before the claim, which tells kickers whether an answer is on its way. */
	ready = gh_vcpu_pending(live) <= GH_PENDING_STORE;
	if (!gh_kick_begin(vcpu))
		return -EPERM;
	/* The owner afterwards: another thread may have run the vCPU before this one had begun. */
	if (!ready || !gh_kick_is_owner(live))
		ret = gh_vcpu_start_out(vcpu);
	else if (gh_vcpu_enter(vcpu, &ret))
		ret = 0;
	else
		ret = gh_vcpu_go_on(vcpu, ret);
	atomic_store_explicit(&vcpu->where, GH_OUT, memory_order_release);
	if (ret == 0)
		*ret_exit = &vcpu->b.exit;
	return ret;
}

/* --- answering ---------------------------------------------------------------------------------------------------- */

static int wrong_answer(struct gh_vcpu *vcpu)
{
	return gh_fail_state(&vcpu->failure, STEP_ANSWER, "The last exit does not wait for this answer.");
}

static int check_answer(struct gh_vcpu *vcpu)
{
	if (gh_vm_is_forked(vcpu->vm))
		return gh_fail_process(&vcpu->failure);
	if (!gh_vm_has_ended(vcpu->vm))
		return 0;
	await_drops(vcpu->vm);
	return gh_fail(&vcpu->failure, -ESHUTDOWN, STEP_ANSWER, NULL, "Leave the run loop.", "The VM has stopped (%s).",
		       gh_stop_name(vcpu->vm->end.stop.cause));
}

bool gh_vcpu_drop_load(struct gh_vcpu *vcpu)
{
	enum gh_pending pending = GH_PENDING_LOAD;

	return atomic_compare_exchange_strong(&vcpu->live->pending, &pending, GH_PENDING_NOTHING) ||
	       pending != GH_PENDING_BEING_ANSWERED;
}

/* Of several threads that answer, one does. */
static bool begin_answer(struct gh_vcpu_live *live, enum gh_pending wanted)
{
	return atomic_compare_exchange_strong(&live->pending, &wanted, GH_PENDING_BEING_ANSWERED);
}

/* The vCPU's thread may wait for it (gh_vcpu_loop()). */
static __attribute__((noinline)) void end_answer_for_another(struct gh_vcpu *vcpu, enum gh_pending now)
{
	atomic_store(&vcpu->live->pending, now);
	gh_kick_wake(vcpu);
}

static void end_answer(struct gh_vcpu *vcpu, struct gh_vcpu_live *live, enum gh_pending now)
{
	/* Sequentially consistent, after begin_answer(): the counterpart of gh_kick_wait(). */
	if (atomic_load(&live->owner) == gh_kick_self.token)
		gh_vcpu_set_pending(live, now);
	else
		end_answer_for_another(vcpu, now);
}

static __attribute__((noinline, cold)) int refuse_answer(struct gh_vcpu *vcpu)
{
	int ret = check_answer(vcpu);

	return ret < 0 ? ret : wrong_answer(vcpu);
}

int gh_mmio_complete(struct gh_vcpu *vcpu, uint64_t value)
{
	struct gh_vcpu_live *live;

	if (vcpu == NULL)
		return -EINVAL;
	live = vcpu->live;
	/* In a forked child there is none, nor after the end. */
	if (!begin_answer(live, GH_PENDING_LOAD))
		return refuse_answer(vcpu);
	GH_POINT(ANSWER_BEGUN);
	gh_vcpu_put_answer(vcpu, value);
	end_answer(vcpu, live, GH_PENDING_NOTHING);
	return 0;
}

/* Of a page fault no kernel takes anything but another try (section 3.5 of the Gunyah document). */
static int refuse_to_fail(struct gh_vcpu *vcpu)
{
	/* The VM may have ended since it was asked, and taken the load away. */
	if (gh_vm_has_ended(vcpu->vm) || gh_vcpu_pending(vcpu->live) != GH_PENDING_NOTHING ||
	    vcpu->b.exit.kind != GH_EXIT_PAGE_FAULT)
		return refuse_answer(vcpu);
	return gh_fail(&vcpu->failure, -EOPNOTSUPP, STEP_ANSWER, NULL,
		       "Provide memory there and run again, or close the VM.",
		       "The guest's access to 0x%llx can only be tried again.", (unsigned long long)vcpu->b.exit.fault.gpa);
}

int gh_mmio_fail(struct gh_vcpu *vcpu)
{
	enum gh_pending was = GH_PENDING_LOAD;
	int ret;

	if (vcpu == NULL)
		return -EINVAL;
	ret = check_answer(vcpu);
	if (ret < 0)
		return ret;
	/* A store cannot be failed any more when its vCPU runs on. */
	if (gh_vcpu_pending(vcpu->live) == GH_PENDING_STORE && !gh_kick_is_in_guest(vcpu))
		was = GH_PENDING_STORE;
	GH_POINT(ANSWER_CHECKED);
	if (!begin_answer(vcpu->live, was))
		return refuse_to_fail(vcpu);
	GH_POINT(ANSWER_BEGUN);
	if (!gh_can(vcpu->b.vm, GH_FEATURE_MMIO_ABORT))
		ret = gh_fail(&vcpu->failure, -EOPNOTSUPP, STEP_ANSWER, NULL, "Answer the load with a value.",
			      "This hypervisor cannot abort an access of the guest.");
	else
		ret = vcpu->b.vm->ops->vcpu_abort(&vcpu->b);
	/* A signal would take the abort away as it does an answer (H1). */
	if (ret == 0 && vcpu->fragile_values != 0)
		gh_kick_set_fragile(vcpu);
	if (ret < 0 && ret != -EOPNOTSUPP)
		(void)gh_fail_request(&vcpu->failure, ret, STEP_ANSWER, "abort into the guest");
	end_answer(vcpu, vcpu->live, ret < 0 ? was : GH_PENDING_NOTHING);
	return ret;
}

int gh_hypercall_complete(struct gh_vcpu *vcpu, const uint64_t results[4])
{
	int ret;

	if (vcpu == NULL || results == NULL)
		return -EINVAL;
	ret = check_answer(vcpu);
	if (ret < 0)
		return ret;
	GH_POINT(ANSWER_CHECKED);
	if (!begin_answer(vcpu->live, GH_PENDING_HYPERCALL))
		return refuse_answer(vcpu);
	if (vcpu->b.vm->ops->vcpu_answer_hypercall != NULL)
		vcpu->b.vm->ops->vcpu_answer_hypercall(&vcpu->b, results);
	end_answer(vcpu, vcpu->live, GH_PENDING_NOTHING);
	return 0;
}
