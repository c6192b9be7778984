/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Kicks: a latched word per vCPU, and a signal that only wakes its thread.
 *
 *     kicker                                  vCPU's thread
 *     senders += 1                            where = this thread, INSIDE (or FRAGILE)
 *     kicked |= bit; was it 0,                kicked?  ->  do not enter (lib/arch looks, as its last act)
 *       and is where INSIDE?  ->  tgkill      RUN
 *     senders -= 1                            where = BUSY
 *                                             kicked?  ->  wait for senders == 0, one system call to take the signal in
 *                                             where = OUT
 *
 * Both sides store first and load then, sequentially consistent: at least one sees the other. The handler takes a system
 * call that has not been made back (lib/arch), so a signal in the window after the last check still ends the call. When the
 * runner has left, no signal of a kick is under way any more: none can hit a later entry or the VMM's own system calls.
 *
 * FRAGILE is a Gunyah entry that carries a load's answer. H1: a signal before the guest runs would destroy the value, so
 * the kicker leaves the signal to courier.c, which waits until the guest has run or sleeps.
 */
#include "kick.h"

#include "arch/enter.h"
#include "points.h"

#include <errno.h>
#include <time.h>

/* How often a sender is given the processor before it is slept for. */
#define YIELDS 20u
#define NAP_NS 20000L
/* How often the kernel is asked whether a vCPU is on. */
#define OFF_NAP_NS 4000000L

_Thread_local struct gh_kick_self gh_kick_self __attribute__((tls_model("initial-exec"))) = { .token = UINT64_MAX };

static void on_kick(int signal, siginfo_t *info, void *context)
{
	struct gh_vcpu *vcpu = gh_kick_self.current;

	(void)signal;
	(void)info;
	if (vcpu == NULL || gh_arch_rewind(context))
		return;
	/*
	 * The window may be open all the same: this handler can have interrupted another one that interrupted the window, or
	 * there is no code to take the call back. Then the kernel must notice. Not while an answer is out (H1): courier.c
	 * asks again.
	 */
	if (gh_where_place(atomic_load_explicit(&vcpu->where, memory_order_relaxed)) == GH_INSIDE) {
		*vcpu->b.immediate_exit = 1;
		/* H3: the byte is sticky. Whoever sees the nudge clears it, also if the signal was not a kick's. */
		(void)atomic_fetch_or(&vcpu->kicked, GH_NUDGE);
	}
}

int gh_kick_claim(struct gh_vm *vm)
{
	struct gh_sys *sys = vm->b.sys;
	struct sigaction old;
	struct sigaction action = { .sa_sigaction = on_kick, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	int ret = sys->sigaction(sys, vm->kick_signal, NULL, &old);

	if (ret < 0)
		return gh_fail_request(&vm->failure, ret, "claim the kick signal", "sigaction");
	if ((old.sa_flags & SA_SIGINFO) != 0 && old.sa_sigaction == on_kick)
		return 0;
	if ((old.sa_flags & SA_SIGINFO) != 0 || old.sa_handler != SIG_DFL)
		return gh_fail(&vm->failure, -EBUSY, "claim the kick signal", NULL,
			       "Choose a free real-time signal in gh_vm_options::kick_signal.",
			       "Somebody else in this process handles signal %d.", vm->kick_signal);
	(void)sigemptyset(&action.sa_mask);
	/* H2, SA_RESTART: the kernel would run again by itself and take stale data for the completion. */
	ret = sys->sigaction(sys, vm->kick_signal, &action, NULL);
	return ret < 0 ? gh_fail_request(&vm->failure, ret, "claim the kick signal", "sigaction") : 0;
}

int gh_kick_prepare(struct gh_vcpu *vcpu)
{
	const struct gh_vm *vm = vcpu->vm;
	struct gh_sys *sys = vm->b.sys;
	sigset_t set;
	int ret;

	/* A thread that blocks the signal could not be woken. */
	(void)sigemptyset(&set);
	(void)sigaddset(&set, vm->kick_signal);
	ret = sys->sigprocmask(sys, SIG_UNBLOCK, &set, NULL);
	if (ret < 0)
		return ret;
	gh_kick_self.thread = (uint64_t)(uint32_t)sys->gettid(sys) << 32;
	gh_kick_self.token = gh_kick_self.thread | (uint32_t)vm->kick_signal;
	atomic_store(&vcpu->live->owner, gh_kick_self.token);
	return 0;
}

static int nap_for(struct gh_sys *sys, long ns)
{
	const struct timespec time = { .tv_sec = 0, .tv_nsec = ns };

	return sys->ppoll(sys, NULL, 0, &time);
}

static void nap(struct gh_sys *sys)
{
	(void)nap_for(sys, NAP_NS);
}

static void await_senders(struct gh_vcpu *vcpu)
{
	struct gh_sys *sys = vcpu->b.vm->sys;

	/* A sender that was preempted on this processor never goes on if a real-time thread only yields to it. */
	for (unsigned int i = 0; atomic_load(&vcpu->senders) != 0; i++)
		if (i < YIELDS)
			sys->yield(sys);
		else
			nap(sys);
}

/*
 * Whoever has set a bit that is taken here has looked at `where` when this returns. A sender that looked later could find
 * the next entry, and signal it for a kick that has been delivered: one interruption too many, and H1 if an answer is out.
 */
bool gh_kick_take_bit(struct gh_vcpu *vcpu, unsigned int bit)
{
	bool had;

	GH_POINT(TAKE_SEEN);
	had = (atomic_fetch_and(&vcpu->kicked, ~bit) & bit) != 0;
	if (had)
		await_senders(vcpu);
	return had;
}

/* A kick that comes after the look and before the nap is late by one nap at most. */
int gh_await_power(const struct gh_bvcpu *vcpu)
{
	if (__atomic_load_n(vcpu->kicked, __ATOMIC_RELAXED) != 0)
		return -EAGAIN;
	return nap_for(vcpu->vm->sys, OFF_NAP_NS) == -EINTR ? -EINTR : -EAGAIN;
}

void gh_kick_settle(struct gh_vcpu *vcpu)
{
	struct gh_sys *sys = vcpu->b.vm->sys;

	await_senders(vcpu);
	GH_POINT(LEAVE_SENDERS);
	/* A signal that has been sent is taken in at the end of a system call at the latest. */
	(void)sys->gettid(sys);
	/* H3. The handler leaves it alone from here on. */
	if (vcpu->b.immediate_exit != NULL && *vcpu->b.immediate_exit != 0)
		*vcpu->b.immediate_exit = 0;
	if (gh_vm_has_ended(vcpu->vm))
		(void)gh_vcpu_drop_load(vcpu);
}

void gh_kick_remind(struct gh_vcpu *vcpu)
{
	if (atomic_load(&vcpu->vm->paused) != 0 || gh_vm_has_ended(vcpu->vm))
		(void)atomic_fetch_or(&vcpu->kicked, GH_NUDGE);
}

void gh_kick_send(struct gh_vcpu *vcpu, uint64_t where)
{
	struct gh_sys *sys = vcpu->b.vm->sys;

	GH_POINT(SEND_THREAD);
	(void)sys->tgkill(sys, vcpu->vm->pid, gh_where_thread(where), vcpu->vm->kick_signal);
}

void gh_kick_wake(struct gh_vcpu *vcpu)
{
	struct gh_sys *sys = vcpu->b.vm->sys;
	const uint64_t one = 1;

	if (atomic_load(&vcpu->where) == GH_WAITING)
		(void)sys->write(sys, vcpu->wake_fd, &one, sizeof(one));
}

/* Whoever answers wakes the vCPU's thread, unless it is the owner: the one that waits is, or nobody. */
static void disown(struct gh_vcpu *vcpu)
{
	if (gh_kick_is_owner(vcpu->live))
		return;
	atomic_store(&vcpu->live->owner, 0);
	/* An answer that began before may still think so. */
	while (atomic_load(&vcpu->live->pending) == GH_PENDING_BEING_ANSWERED)
		nap(vcpu->b.vm->sys);
}

void gh_kick_wait(struct gh_vcpu *vcpu, bool (*still)(struct gh_vcpu *vcpu))
{
	struct gh_sys *sys = vcpu->b.vm->sys;
	struct pollfd poll = { .fd = vcpu->wake_fd, .events = POLLIN };
	uint64_t wakes;

	atomic_store(&vcpu->where, GH_WAITING);
	disown(vcpu);
	GH_POINT(WAIT_PUBLISHED);
	while (!gh_kick_pending(vcpu) && still(vcpu)) {
		int ret;

		GH_POINT(WAIT_LOOKED);
		ret = sys->ppoll(sys, &poll, 1, NULL);
		/* A signal of the VMM's own, for no kick comes by signal here: it interrupts, as it would in the guest. */
		if (ret == -EINTR)
			(void)atomic_fetch_or(&vcpu->kicked, GH_KICK);
		if (ret < 0 || sys->read(sys, vcpu->wake_fd, &wakes, sizeof(wakes)) < 0)
			break;
	}
	atomic_store(&vcpu->where, GH_BUSY);
}

/* The second look writes, too: whoever takes the kick sees what its kickers did before. */
static bool is_latched(struct gh_vcpu *vcpu, unsigned int bit)
{
	return (atomic_load_explicit(&vcpu->kicked, memory_order_relaxed) & bit) != 0 &&
	       (atomic_fetch_add(&vcpu->kicked, 0) & bit) != 0;
}

void gh_kick(struct gh_vcpu *vcpu, unsigned int bit)
{
	/* Whoever latched it signals. Kickers without end would keep the vCPU waiting for ever if they counted as senders. */
	if (is_latched(vcpu, bit))
		return;
	(void)atomic_fetch_add(&vcpu->senders, 1);
	GH_POINT(KICK_COUNTED);
	if (atomic_fetch_or(&vcpu->kicked, bit) == 0) {
		uint64_t where;

		GH_POINT(KICK_LATCHED);
		where = atomic_load(&vcpu->where);
		GH_POINT(KICK_LOOKED);
		switch (gh_where_place(where)) {
		case GH_INSIDE:
			gh_kick_send(vcpu, where);
			break;
		case GH_FRAGILE:
			GH_POINT(KICK_FRAGILE);
			gh_courier_call(vcpu->vm);
			break;
		case GH_WAITING:
			gh_kick_wake(vcpu);
			break;
		default:
			break;
		}
	}
	GH_POINT(KICK_DONE);
	(void)atomic_fetch_sub(&vcpu->senders, 1);
}

int gh_vcpu_kick(struct gh_vcpu *vcpu)
{
	if (vcpu == NULL)
		return -EINVAL;
	/* A child's copy of the word is not the parent's, but the thread it would signal is. */
	if (gh_vm_is_forked(vcpu->vm))
		return -EPERM;
	gh_kick(vcpu, GH_KICK);
	return 0;
}
