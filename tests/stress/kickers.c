/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who kicks, and how a kick that got lost is told.
 *
 * In lock step one thread kicks, from its own code or from a signal handler, and waits for the one interruption that this
 * must give: neither none nor two. In a storm a second thread kicks, too, and sends the first one a signal whose handler
 * kicks again, often in the middle of a kick; kicks are merged then, and there must be an interruption after each.
 */
#include "stress.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#define YIELDS 100u
#define POLL_NS 10000u
#define MOST_PAUSE_NS 60000u
/* Kicks that a naive loop may lose in one life: each takes as long as the bound. */
#define ENOUGH_LOST 5u

enum mode { MODE_STEP, MODE_STEP_IN_HANDLER, MODE_STORM, MODES };

/* The life whose kicker runs on this thread, for the handler. */
static _Thread_local struct life *volatile own_life __attribute__((tls_model("initial-exec")));

static void kick(struct life *life)
{
	(void)atomic_fetch_add(&life->sent, 1);
	life_kick(life);
}

static void on_kicks(int signal)
{
	int saved = errno;

	(void)signal;
	if (own_life != NULL)
		kick(own_life);
	errno = saved;
}

void life_kick(struct life *life)
{
	if (life->stress->naive != NAIVE_NONE)
		naive_kick(life);
	else
		(void)gh_vcpu_kick(life->vcpu);
}

static bool is_over(struct life *life)
{
	return atomic_load(&life->ended) || atomic_load(&life->aborted);
}

/* Gives a loop that has failed up. */
static void abort_life(struct life *life)
{
	atomic_store(&life->aborted, true);
	atomic_store(&life->leave, true);
	while (!atomic_load(&life->ended)) {
		(void)pthread_kill(life->runner, SIGNAL_LEAVES);
		sleep_ns(1000000);
	}
}

/* An interrupt for a guest that waits for one; not always, so that a sleeping guest is kicked more than once. */
static void wake_guest(struct life *life)
{
	if (atomic_load(&life->waits) && random_once_in(2))
		(void)gh_irqfd_raise(life->line);
}

static void lose(struct life *life)
{
	const unsigned long lost = atomic_fetch_add(&life->kicks_lost, 1) + 1;

	if (life->stress->naive == NAIVE_NONE || lost == ENOUGH_LOST) {
		abort_life(life);
		return;
	}
	/* Something else gets a VM going again some day. */
	(void)gh_irqfd_raise(life->line);
	kick(life);
}

/* Until there have been more interruptions than `before`, or no more can come. */
static void await_delivery(struct life *life, unsigned long before)
{
	const uint64_t until = now_ns() + life->stress->bound_ms * UINT64_C(1000000);

	for (unsigned int turn = 0; atomic_load(&life->delivered) <= before && !is_over(life); turn++) {
		if (turn < YIELDS)
			(void)sched_yield();
		else
			sleep_ns(POLL_NS);
		if (now_ns() > until) {
			lose(life);
			return;
		}
	}
}

static void pause_a_while(void)
{
	switch (random_below(4)) {
	case 0:
		sleep_ns(random_below(MOST_PAUSE_NS));
		break;
	case 1:
		busy_wait(random_below(MOST_PAUSE_NS));
		break;
	default:
		break;
	}
}

/* A guest that makes no exit any more, although kicks arrive, has lost its end. */
struct watchdog {
	unsigned long progress;
	uint64_t since;
};

static void watch(struct life *life, struct watchdog *watchdog)
{
	const unsigned long progress = atomic_load(&life->progress);

	if (progress != watchdog->progress || watchdog->since == 0) {
		*watchdog = (struct watchdog){ progress, now_ns() };
		return;
	}
	if (now_ns() - watchdog->since < life->stress->bound_ms * UINT64_C(2000000) || is_over(life))
		return;
	abort_life(life);
	life->counts.ends_lost++;
}

static void kick_in_step(struct life *life, bool in_handler)
{
	struct watchdog watchdog = { 0, 0 };

	while (!is_over(life)) {
		const unsigned long before = atomic_load(&life->delivered);

		if (in_handler)
			(void)pthread_kill(pthread_self(), SIGNAL_KICKS);
		else
			kick(life);
		await_delivery(life, before);
		wake_guest(life);
		watch(life, &watchdog);
		pause_a_while();
	}
}

/* --- storm -------------------------------------------------------------------------------------------------------- */

struct second {
	struct life *life;
	pthread_t first;
	uint64_t stream;
};

static void *kick_second(void *argument)
{
	struct second *second = argument;
	struct life *life = second->life;

	random_stream(second->stream);
	while (!is_over(life)) {
		const unsigned long before = atomic_load(&life->delivered);

		if (random_once_in(2))
			(void)pthread_kill(second->first, SIGNAL_KICKS);
		else
			kick(life);
		if (random_once_in(2))
			await_delivery(life, before);
		pause_a_while();
	}
	return NULL;
}

static void kick_in_storm(struct life *life, uint64_t stream)
{
	struct second second = { life, pthread_self(), stream };
	pthread_t thread;

	if (pthread_create(&thread, NULL, kick_second, &second) != 0)
		return;
	kick_in_step(life, false);
	(void)pthread_join(thread, NULL);
}

/* --- answers from another thread ---------------------------------------------------------------------------------- */

static void *answer_deferred(void *argument)
{
	struct life *life = argument;

	for (;;) {
		while (sem_wait(&life->deferrals) != 0)
			;
		if (atomic_load(&life->ended))
			return NULL;
		pause_a_while();
		delays_answer_out(life->deferred_value != 0);
		life->deferral_errors += gh_mmio_complete(life->vcpu, life->deferred_value) < 0;
	}
}

/* --- all of them -------------------------------------------------------------------------------------------------- */

/* In lock step nothing is merged; the VM's end may be faster than the last kick. */
static void settle(struct life *life, enum mode mode)
{
	const unsigned long sent = atomic_load(&life->sent);
	const unsigned long delivered = atomic_load(&life->delivered);

	if (mode == MODE_STORM || life->stress->naive != NAIVE_NONE)
		return;
	life->counts.at_end += sent - delivered;
	if (sent - delivered > 1 && !atomic_load(&life->aborted))
		life->counts.kicks_lost += sent - delivered - 1;
}

static void allow_kicks(bool allow)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGNAL_KICKS);
	(void)pthread_sigmask(allow ? SIG_UNBLOCK : SIG_BLOCK, &set, NULL);
}

void kickers_run(struct life *life, uint64_t stream)
{
	const struct sigaction action = { .sa_handler = on_kicks };
	const enum mode mode = (enum mode)random_below(MODES);
	pthread_t helper;

	(void)sigaction(SIGNAL_KICKS, &action, NULL);
	allow_kicks(false);
	if (pthread_create(&helper, NULL, answer_deferred, life) != 0) {
		life->counts.errors++;
		return;
	}
	own_life = life;
	allow_kicks(true);
	if (mode == MODE_STORM)
		kick_in_storm(life, stream + (UINT64_C(1) << 33));
	else
		kick_in_step(life, mode == MODE_STEP_IN_HANDLER);
	allow_kicks(false);
	own_life = NULL;
	(void)pthread_join(helper, NULL);
	settle(life, mode);
}
