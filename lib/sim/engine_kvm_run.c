/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The `kvm` engine: running a vCPU.
 *
 * Signals: run() comes with all of them blocked. KVM_SET_SIGNAL_MASK opens, for the time that the kernel runs the guest and
 * without a gap on either side, those that the VMM would receive and the engine's own; both end the run and stay pending,
 * because they are blocked again before any handler could run.
 */
#include "engine_kvm.h"

#include "sim.h"

#include <errno.h>
#include <string.h>
#include <time.h>

/* Sent to a thread inside run() and taken back before run() returns; nobody ever handles it. */
#define WAKE_SIGNAL (SIGRTMIN + 7)

/* Costs a system call only when the VMM's mask is another one than last time. */
static int open_signals(struct kvm_vcpu *vcpu, const sigset_t *unblocked)
{
	sigset_t blocked;
	int ret;

	/* The C library touches only as many bytes of a set as the kernel has. */
	memset(&blocked, 0, sizeof(blocked));
	(void)sigfillset(&blocked);
	for (int signal = 1; signal <= SIGRTMAX; signal++)
		if (signal == WAKE_SIGNAL || sigismember(unblocked, signal) == 1)
			(void)sigdelset(&blocked, signal);
	if (vcpu->has_blocked && memcmp(&vcpu->blocked, &blocked, sizeof(blocked)) == 0)
		return 0;
	ret = gh_kvm_set_signal_mask(&vcpu->b, &blocked);
	vcpu->blocked = blocked;
	vcpu->has_blocked = ret == 0;
	return ret;
}

/* From here on wake() sends a signal; before, it only leaves word. */
static void enter(struct kvm_vcpu *vcpu)
{
	(void)pthread_mutex_lock(&vcpu->lock);
	vcpu->thread = pthread_self();
	vcpu->inside = true;
	(void)pthread_mutex_unlock(&vcpu->lock);
}

static bool take_wake(struct kvm_vcpu *vcpu)
{
	bool woken;

	(void)pthread_mutex_lock(&vcpu->lock);
	woken = vcpu->woken;
	vcpu->woken = false;
	(void)pthread_mutex_unlock(&vcpu->lock);
	return woken;
}

/* No wake signal is left behind for the VMM. */
static void leave(struct kvm_vcpu *vcpu)
{
	const struct timespec now = { 0, 0 };
	bool signalled;
	sigset_t set;

	(void)pthread_mutex_lock(&vcpu->lock);
	vcpu->inside = false;
	signalled = vcpu->signalled;
	vcpu->signalled = false;
	(void)pthread_mutex_unlock(&vcpu->lock);
	if (!signalled)
		return;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, WAKE_SIGNAL);
	while (sigtimedwait(&set, NULL, &now) < 0 && errno == EINTR)
		;
}

void kvm_engine_wake(void *data)
{
	struct kvm_vcpu *vcpu = data;

	(void)pthread_mutex_lock(&vcpu->lock);
	vcpu->woken = true;
	if (vcpu->inside && !vcpu->signalled) {
		vcpu->signalled = true;
		(void)pthread_kill(vcpu->thread, WAKE_SIGNAL);
	}
	(void)pthread_mutex_unlock(&vcpu->lock);
}

static void report_stop(struct kvm_vcpu *vcpu, const struct gh_exit *exit, struct sim_event *event)
{
	const struct uapi_kvm_system_event *raw = &((const struct uapi_kvm_run *)vcpu->b.run)->system_event;

	switch (exit->stop.cause) {
	case GH_STOP_POWER_OFF:
		event->kind = SIM_EVENT_OFF;
		break;
	case GH_STOP_RESET:
		event->kind = SIM_EVENT_RESET;
		if (raw->count == 0 || (raw->data[0] & UAPI_KVM_EVENT_RESET2) == 0)
			break;
		event->kind = SIM_EVENT_RESET2;
		/* KVM keeps the arguments to itself, and leaves them where the guest has put them. */
		(void)gh_kvm_get_register(&vcpu->b, UAPI_KVM_REG_X(1), &event->args[0]);
		(void)gh_kvm_get_register(&vcpu->b, UAPI_KVM_REG_X(2), &event->args[1]);
		break;
	default:
		event->kind = SIM_EVENT_CRASH;
		break;
	}
}

static void report(struct kvm_vcpu *vcpu, const struct gh_exit *exit, struct sim_event *event)
{
	memset(event, 0, sizeof(*event));
	switch (exit->kind) {
	case GH_EXIT_MMIO:
		event->kind = SIM_EVENT_MMIO;
		event->is_write = exit->mmio.is_store != 0;
		event->width = exit->mmio.width;
		event->gpa = exit->mmio.gpa;
		for (unsigned int i = 0; i < 8; i++)
			event->data[i] = (uint8_t)(exit->mmio.value >> 8 * i);
		break;
	case GH_EXIT_STOPPED:
		report_stop(vcpu, exit, event);
		break;
	default:
		event->kind = SIM_EVENT_CRASH;
		break;
	}
}

/* Until the guest does something, or somebody wants the thread. */
static int run_guest(struct kvm_vcpu *vcpu, const sigset_t *unblocked, struct sim_event *ret_event)
{
	const struct sim_signals signals = { .unblocked = *unblocked };

	for (;;) {
		int ret;

		if (take_wake(vcpu)) {
			*ret_event = (struct sim_event){ .kind = SIM_EVENT_INTERRUPTED };
			return 0;
		}
		ret = gh_backend_kvm.vcpu_run(&vcpu->b);
		if (ret >= 0) {
			report(vcpu, &vcpu->b.exit, ret_event);
			return 0;
		}
		if (ret != -EINTR && ret != -EAGAIN)
			return ret;
		/* A signal that is ignored, or that another thread has taken meanwhile, ends a run for nothing. */
		if (sim_signals_pending(&signals)) {
			*ret_event = (struct sim_event){ .kind = SIM_EVENT_INTERRUPTED };
			return 0;
		}
	}
}

int kvm_engine_run(void *data, const sigset_t *unblocked, struct sim_event *ret_event)
{
	struct kvm_vcpu *vcpu = data;
	int ret;

	if (vcpu->b.fd < 0)
		return -EINVAL;
	ret = open_signals(vcpu, unblocked);
	if (ret < 0)
		return ret;
	enter(vcpu);
	ret = run_guest(vcpu, unblocked, ret_event);
	leave(vcpu);
	return ret;
}

void kvm_engine_answer(void *data, const uint8_t bytes[8], uint32_t width)
{
	struct kvm_vcpu *vcpu = data;

	memset(vcpu->b.answer, 0, 8);
	memcpy(vcpu->b.answer, bytes, width < 8 ? width : 8);
}

void kvm_engine_answer_hypercall(void *data, const uint64_t results[4])
{
	struct kvm_vcpu *vcpu = data;

	for (uint32_t i = 0; i < 4; i++)
		(void)gh_kvm_put_register(&vcpu->b, UAPI_KVM_REG_X(i), results[i]);
}

void kvm_engine_abort(void *data)
{
	struct kvm_vcpu *vcpu = data;

	(void)gh_backend_kvm.vcpu_abort(&vcpu->b);
}
