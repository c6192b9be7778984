/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Signals and memory as a system call sees them.
 *
 * A driver's ioctl runs with the caller's signals blocked, so that it decides where they are noticed, as the kernel does;
 * the handlers run when the mask is restored, which is when a real system call returns.
 */
#include "../points.h"
#include "sim.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* A fault must kill or be handled where it happens; a blocked one kills silently. */
static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS };

/* The flag of the gh_sys::enter that this thread is in. */
static _Thread_local const volatile uint32_t *cancel_flag;

void sim_signals_cancel(const volatile uint32_t *cancel)
{
	cancel_flag = cancel;
}

bool sim_signals_begin(struct sim_signals *signals)
{
	sigset_t all;

	/* The kernel fills 8 bytes of them, and engines compare the whole. */
	memset(signals, 0, sizeof(*signals));
	sigfillset(&all);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigdelset(&all, faults[i]);
	GH_POINT(CALL_ENTERED);
	pthread_sigmask(SIG_SETMASK, &all, &signals->blocked);
	sigemptyset(&signals->unblocked);
	for (int signal = 1; signal < NSIG; signal++) {
		if (sigismember(&signals->blocked, signal) == 0)
			(void)sigaddset(&signals->unblocked, signal);
	}
	/*
	 * With signals blocked, a look is the last one before the kernel: what gh_arch_enter() does with a rewind. From here to
	 * the driver's first look at signals there is next to nothing, as in a kernel.
	 */
	if (cancel_flag != NULL && __atomic_load_n(cancel_flag, __ATOMIC_SEQ_CST) != 0) {
		pthread_sigmask(SIG_SETMASK, &signals->blocked, NULL);
		return false;
	}
	GH_POINT(CALL_COMMITTED);
	cancel_flag = NULL; /* a restarted call is past the look */
	return true;
}

static bool default_is_ignore(int signal)
{
	return signal == SIGCHLD || signal == SIGCONT || signal == SIGURG || signal == SIGWINCH;
}

/* The kernel drops such a signal when it is sent; only our blocking has kept it. */
static bool is_ignored(int signal, const struct sigaction *action)
{
	return action->sa_handler == SIG_IGN || (action->sa_handler == SIG_DFL && default_is_ignore(signal));
}

static void discard(int signal)
{
	const struct timespec now = { 0, 0 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signal);
	(void)sigtimedwait(&set, NULL, &now);
}

/*
 * Counts the signals that wait for the caller, and those of them after which the kernel makes the call again. Ignored ones
 * are thrown away, because a sleep that they end would be ended by them for ever.
 */
static unsigned int look(const struct sim_signals *signals, unsigned int *ret_restarting)
{
	struct sigaction action;
	unsigned int waiting = 0;
	sigset_t pending;

	*ret_restarting = 0;
	if (sigpending(&pending) < 0)
		return 0;
	for (int signal = 1; signal < NSIG; signal++) {
		if (sigismember(&pending, signal) != 1 || sigismember(&signals->unblocked, signal) != 1)
			continue;
		if (sigaction(signal, NULL, &action) < 0)
			continue;
		if (is_ignored(signal, &action)) {
			discard(signal);
			continue;
		}
		waiting++;
		/* No handler runs for a stop signal, and then the kernel restarts too. */
		if (action.sa_handler == SIG_DFL || (action.sa_flags & SA_RESTART) != 0)
			++*ret_restarting;
	}
	return waiting;
}

bool sim_signals_pending(const struct sim_signals *signals)
{
	unsigned int restarting;

	return look(signals, &restarting) > 0;
}

bool sim_signals_end(const struct sim_signals *signals, bool interrupted)
{
	unsigned int restarting = 0;
	unsigned int waiting = 0;

	if (interrupted)
		waiting = look(signals, &restarting);
	GH_POINT(CALL_LEAVES);
	pthread_sigmask(SIG_SETMASK, &signals->blocked, NULL);
	return waiting > 0 && waiting == restarting;
}
