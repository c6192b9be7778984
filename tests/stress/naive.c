/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The loops that VMMs have which were written for KVM, on the same devices with the same guest and the same kicks. They are
 * here to show that the test can fail: each of them loses something.
 */
#include "stress.h"

#include "../../lib/backend/geniezone.h"
#include "../../lib/backend/gunyah.h"
#include "../../lib/exit.h"

#include <errno.h>

#define SIGNAL_NAIVE (SIGRTMIN + 7)
#define MOST_WAIT_NS 40000u

static const char *const names[NAIVE_COUNT] = {
	[NAIVE_NONE] = "none",       [NAIVE_IGNORE] = "ignore", [NAIVE_IMMEDIATE] = "immediate",
	[NAIVE_RESTART] = "restart", [NAIVE_FLAG] = "flag",
};

static _Thread_local volatile uint8_t *volatile own_byte __attribute__((tls_model("initial-exec")));

const char *naive_name(enum naive naive)
{
	return names[naive];
}

static void on_signal(int signal)
{
	(void)signal;
}

/* What crosvm's handler does: its own thread's byte. */
static void on_signal_set_byte(int signal)
{
	(void)signal;
	if (own_byte != NULL)
		*own_byte = 1;
}

void naive_claim(enum naive naive)
{
	struct sigaction action = { .sa_handler = naive == NAIVE_IGNORE ? on_signal_set_byte : on_signal };

	action.sa_flags = naive == NAIVE_RESTART ? SA_RESTART : 0;
	if (naive != NAIVE_NONE)
		(void)sigaction(SIGNAL_NAIVE, &action, NULL);
}

void naive_kick(struct life *life)
{
	volatile uint8_t *byte = life->vcpu->b.immediate_exit;

	atomic_store(&life->naive_flag, true);
	if (life->stress->naive == NAIVE_IMMEDIATE)
		__atomic_store_n(byte, 1, __ATOMIC_SEQ_CST);
	/* The one window that this loop has on GenieZone: the driver's copy-out, and a return, before the signal comes. */
	if (life->stress->delays && random_once_in(3))
		busy_wait(random_below(MOST_WAIT_NS));
	(void)pthread_kill(life->runner, SIGNAL_NAIVE);
}

static void take_kick(struct life *life)
{
	if (atomic_exchange(&life->naive_flag, false))
		life_delivered(life);
}

static volatile uint32_t *reason_of(struct life *life)
{
	if (life->stress->kind == DEVICE_GUNYAH)
		return &((struct uapi_gunyah_run *)life->vcpu->b.run)->exit_reason;
	return &((struct uapi_gzvm_run *)life->vcpu->b.run)->exit_reason;
}

static int enter(struct life *life)
{
	struct gh_bvcpu *vcpu = &life->vcpu->b;
	bool gunyah = life->stress->kind == DEVICE_GUNYAH;

	delays_here();
	return vcpu->vm->sys->ioctl(vcpu->vm->sys, vcpu->fd, gunyah ? UAPI_GUNYAH_RUN : UAPI_GZVM_RUN,
				    gunyah ? 0 : (uintptr_t)vcpu->run);
}

static int decode(struct life *life, struct gh_exit *exit)
{
	if (life->stress->kind == DEVICE_GUNYAH)
		return gh_gunyah_decode(life->vcpu->b.run, exit);
	return gh_geniezone_decode(life->vcpu->b.run, exit);
}

/* False: the VM is over. */
static bool serve(struct life *life)
{
	struct gh_exit exit = { .kind = GH_EXIT_UNKNOWN };
	uint64_t answer = 0;

	if (decode(life, &exit) < 0)
		return true;
	if (exit.kind == GH_EXIT_STOPPED) {
		check_end(&life->check, exit.stop.cause);
		return false;
	}
	if (exit.kind != GH_EXIT_MMIO)
		return true;
	life_access(life, &exit.mmio, &answer);
	if (!exit.mmio.is_store)
		gh_value_put(life->vcpu->b.answer, answer);
	return true;
}

/*
 * The page is looked at after EINTR as well, so that what is lost is lost by immediate_exit alone: it is all that tells of
 * a kick. False: the VM is over.
 */
static bool run_with_care(struct life *life)
{
	int ret;

	*reason_of(life) = 0;
	ret = enter(life);
	if (ret == -EINTR) {
		*own_byte = 0;
		take_kick(life);
	}
	return (ret != 0 && *reason_of(life) == 0) || serve(life);
}

static bool run_without(struct life *life)
{
	int ret;

	if (life->stress->naive == NAIVE_FLAG && atomic_load(&life->naive_flag)) {
		take_kick(life);
		return true;
	}
	ret = enter(life);
	if (ret == 0 && !serve(life))
		return false;
	if (ret == -EINTR && life->stress->naive == NAIVE_IGNORE)
		*own_byte = 0;
	take_kick(life);
	return true;
}

void naive_run(struct life *life)
{
	const enum naive naive = life->stress->naive;
	sigset_t set;

	own_byte = life->vcpu->b.immediate_exit;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGNAL_NAIVE);
	(void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	while (!atomic_load(&life->leave) && (naive == NAIVE_IMMEDIATE ? run_with_care(life) : run_without(life)))
		;
	own_byte = NULL;
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
}
