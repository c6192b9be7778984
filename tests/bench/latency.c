/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From a kick to the exit, against the shortest thing that could do it: pthread_kill() to a thread in the same RUN of the
 * same vCPU. Both in turns, on one thread, so that what disturbs the machine disturbs both.
 */
#include "bench.h"

#include "uapi/gunyah.h"
#include "uapi/gzvm.h"

#include <errno.h>
#include <gh/gh.h>
#include <gh/sim.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A guest that computes or sleeps is well inside by then. */
#define SETTLE_NS 100000L

struct stage {
	struct gh_vm *vm;
	struct gh_vcpu *vcpu;
	unsigned long request;
	uintptr_t arg;
	int bare_signal;
	unsigned int rounds;
	atomic_uint entering; /* rounds that the runner has begun */
	atomic_uint left;     /* and ended */
	_Atomic uint64_t end; /* when the last one ended */
	atomic_bool failed;
};

static enum mode mode_of(unsigned int round)
{
	return round % 2 == 0 ? BARE : LIBGH;
}

static void ignore(int signal)
{
	(void)signal;
}

/* --- the vCPU's thread --------------------------------------------------------------------------------------------- */

static bool run_bare(struct stage *stage)
{
	struct gh_sys *sys = stage->vm->b.sys;

	return sys->ioctl(sys, stage->vcpu->b.fd, stage->request, stage->arg) == -EINTR;
}

static bool run_libgh(struct stage *stage)
{
	const struct gh_exit *exit;

	return gh_vcpu_run(stage->vcpu, &exit) == 0 && exit->kind == GH_EXIT_INTERRUPTED;
}

static void *run(void *argument)
{
	struct stage *stage = argument;

	for (unsigned int round = 0; round < stage->rounds; round++) {
		bool ok;

		atomic_store(&stage->entering, round + 1);
		ok = mode_of(round) == BARE ? run_bare(stage) : run_libgh(stage);
		atomic_store(&stage->end, now_ns());
		if (!ok)
			atomic_store(&stage->failed, true);
		atomic_store(&stage->left, round + 1);
	}
	return NULL;
}

/* --- the kicker ---------------------------------------------------------------------------------------------------- */

static void settle(void)
{
	const struct timespec time = { .tv_sec = 0, .tv_nsec = SETTLE_NS };

	(void)nanosleep(&time, NULL);
}

static uint64_t kick_once(struct stage *stage, pthread_t thread, unsigned int round)
{
	uint64_t start;

	while (atomic_load(&stage->entering) != round + 1)
		(void)sched_yield();
	settle();
	start = now_ns();
	if (mode_of(round) == BARE)
		(void)pthread_kill(thread, stage->bare_signal);
	else
		(void)gh_vcpu_kick(stage->vcpu);
	while (atomic_load(&stage->left) != round + 1)
		(void)sched_yield();
	return atomic_load(&stage->end) - start;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a;
	const uint64_t *y = b;

	return (*x > *y) - (*x < *y);
}

static bool measure(struct stage *stage, struct latency_result *ret_result)
{
	unsigned int each = stage->rounds / KICK_MODES;
	uint64_t *times = malloc(stage->rounds * sizeof(*times));
	pthread_t thread;

	if (times == NULL || pthread_create(&thread, NULL, run, stage) != 0) {
		free(times);
		return false;
	}
	for (unsigned int round = 0; round < stage->rounds; round++)
		times[mode_of(round) * each + round / KICK_MODES] = kick_once(stage, thread, round);
	(void)pthread_join(thread, NULL);
	for (unsigned int mode = 0; mode < KICK_MODES; mode++) {
		qsort(times + mode * each, each, sizeof(*times), compare);
		ret_result->median[mode] = times[mode * each + each / 2];
		ret_result->p99[mode] = times[mode * each + each * 99 / 100];
	}
	free(times);
	return !atomic_load(&stage->failed);
}

bool latency_measure(const char *device, const char *script, unsigned int rounds, struct latency_result *ret_result)
{
	const struct sigaction action = { .sa_handler = ignore };
	struct gh_sim_options options = GH_SIM_OPTIONS_INIT;
	struct stage stage = { .rounds = rounds / KICK_MODES * KICK_MODES,
			       .bare_signal = SIGRTMIN + GH_KICK_SIGNAL_DEFAULT + 1 };
	struct gh_sim *sim = NULL;
	bool ok;

	options.device = device;
	options.script = script;
	if (gh_sim_new(&options, &sim) < 0 || sigaction(stage.bare_signal, &action, NULL) < 0)
		return false;
	ok = setup_vm(sim, &stage.vm, &stage.vcpu);
	if (ok) {
		bool gunyah = strcmp(gh_vm_backend(stage.vm), "gunyah") == 0;

		stage.request = gunyah ? UAPI_GUNYAH_RUN : UAPI_GZVM_RUN;
		stage.arg = gunyah ? 0 : (uintptr_t)stage.vcpu->b.run;
		ok = measure(&stage, ret_result);
		gh_vm_close(stage.vm);
	}
	gh_sim_free(sim);
	return ok;
}
