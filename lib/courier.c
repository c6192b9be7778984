/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The courier: a thread of each VM on a kernel that loses a load's answer to an early signal (H1), for kicks that come
 * while an answer is on its way into the guest. It signals only when it has seen that the answer has arrived: the vCPU's
 * thread sleeps in the kernel (WFI), or has run for some time slices on the courier's own CPU.
 *
 * Clocks alone do not tell (section 10.1 of the Gunyah UAPI document): a CPU that is stalled between the system call and
 * the kernel's check goes on counting. A courier on the same CPU is stalled together with it. That is strong, not a proof:
 * what remains is a kernel that is preempted twelve times in a row in the few instructions before it enters the guest.
 *
 * A thread of its own, because kicks come from signal handlers, too, and because moving the kicker would change the
 * affinity of somebody else's thread.
 */
#include "internal.h"
#include "points.h"
#include "thread.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STEP "start the VM"

#define SLICE_NS 50000L
/*
 * In a slice the vCPU's thread must have run at least this long, this often. Three were enough on a real driver; the way
 * into a simulated one is longer, and in an emulated machine 1 to 3 answers in 7,000 kicks were lost with three.
 */
#define RUN_NS 20000u
#define SLICES 12u
/* Where the courier may not choose its CPU: the time that lost nothing when counted, with a margin. */
#define RUN_ANYWHERE_NS 10000000u
/* A thread that sleeps must do so at two looks, without having run in between. */
#define SLEEPS 2u
/* Without /proc (a sandbox) or without the thread's clock: so many looks, more than 20 ms, must do. */
#define BLIND 400u
/* A signal that changed nothing is repeated after so many looks. */
#define REPEAT 20u

struct gh_courier {
	struct gh_vm *vm;
	pthread_t thread;
	int fd; /* an eventfd: somebody calls */
	atomic_bool over;
};

/* --- looking ------------------------------------------------------------------------------------------------------ */

/* State and last CPU of a thread: fields 3 and 39 of its stat, which come after a name that may hold anything. */
static bool parse_stat(const char *text, char *ret_state, unsigned int *ret_cpu)
{
	const char *at = strrchr(text, ')');

	if (at == NULL || at[1] != ' ' || at[2] == '\0')
		return false;
	*ret_state = at[2];
	at += 2;
	for (unsigned int field = 3; field < 39; field++) {
		at = strchr(at, ' ');
		if (at == NULL)
			return false;
		at++;
	}
	*ret_cpu = (unsigned int)strtoul(at, NULL, 10);
	return true;
}

static bool look_at_thread(struct gh_sys *sys, int tid, char *ret_state, unsigned int *ret_cpu)
{
	char path[48];
	char text[512];
	ssize_t length;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	fd = sys->open(sys, path, O_RDONLY);
	if (fd < 0)
		return false;
	length = sys->read(sys, fd, text, sizeof(text) - 1);
	(void)sys->close(sys, fd);
	if (length <= 0)
		return false;
	text[length] = '\0';
	return parse_stat(text, ret_state, ret_cpu);
}

static void slice(struct gh_sys *sys)
{
	const struct timespec time = { .tv_sec = 0, .tv_nsec = SLICE_NS };

	(void)sys->ppoll(sys, NULL, 0, &time);
}

/* One slice of watching. True: the answer has arrived, as far as can be told from outside. */
static bool observe(struct gh_sys *sys, int tid, struct gh_watch *watch)
{
	unsigned int cpu = 0;
	uint64_t time = 0;
	uint64_t ran;
	char state = '?';
	bool moved;

	GH_POINT(COURIER_LOOKS);
	if (!look_at_thread(sys, tid, &state, &cpu))
		state = '?';
	moved = state != '?' && sys->move_to_cpu(sys, cpu) == 0;
	if (sys->thread_time(sys, tid, &time) < 0) {
		slice(sys);
		return ++watch->blind >= BLIND;
	}
	ran = watch->has_time ? time - watch->time : 0;
	watch->run_time += ran;
	watch->sleeps = state == 'S' && watch->has_time && ran == 0 ? watch->sleeps + 1 : 0;
	/* A slice counts if the vCPU's thread and the courier shared one CPU all the time. */
	if (watch->has_time && moved && cpu == watch->cpu && ran >= RUN_NS)
		watch->slices++;
	watch->has_time = true;
	watch->time = time;
	watch->cpu = cpu;
	if (state == '?' && ran == 0)
		watch->blind++;
	if (watch->sleeps >= SLEEPS || watch->blind >= BLIND || watch->slices >= SLICES)
		return true;
	if (!moved && watch->run_time >= RUN_ANYWHERE_NS)
		return true;
	slice(sys);
	return false;
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

/* The vCPU cannot begin another entry before the signal is out: it waits for senders as long as a kick is pending. */
static void send(struct gh_vcpu *vcpu, uint64_t where)
{
	(void)atomic_fetch_add(&vcpu->senders, 1);
	GH_POINT(COURIER_COUNTED);
	if (gh_kick_pending(vcpu) && atomic_load(&vcpu->where) == where) {
		GH_POINT(COURIER_CHECKED);
		gh_kick_send(vcpu, where);
	}
	(void)atomic_fetch_sub(&vcpu->senders, 1);
}

/* True: the vCPU still waits for its signal, or for the signal's effect. */
static bool attend(struct gh_vcpu *vcpu, struct gh_watch *watch)
{
	struct gh_sys *sys = vcpu->b.vm->sys;
	uint64_t where = atomic_load(&vcpu->where);

	if (!gh_kick_pending(vcpu) || gh_where_place(where) != GH_FRAGILE) {
		*watch = (struct gh_watch){ 0 };
		return false;
	}
	if (watch->where != where)
		*watch = (struct gh_watch){ .where = where };
	if (watch->sent) {
		/* It came before the system call, on a processor that cannot take the call back: look and send again. */
		slice(sys);
		if (++watch->since_sent >= REPEAT)
			*watch = (struct gh_watch){ .where = where };
		return true;
	}
	if (observe(sys, gh_where_thread(where), watch)) {
		GH_POINT(COURIER_SAW);
		send(vcpu, where);
		watch->sent = true;
	}
	return true;
}

static bool attend_all(struct gh_vm *vm)
{
	struct gh_vcpu *vcpu;
	bool waiting = false;

	(void)pthread_mutex_lock(&vm->lock);
	vcpu = vm->vcpus; /* vCPUs are added in front, and go only after the courier */
	(void)pthread_mutex_unlock(&vm->lock);
	for (; vcpu != NULL; vcpu = vcpu->next)
		waiting |= attend(vcpu, &vcpu->watch);
	return waiting;
}

static void *work(void *argument)
{
	struct gh_courier *courier = argument;
	struct gh_sys *sys = courier->vm->b.sys;
	uint64_t calls;

	while (!atomic_load(&courier->over)) {
		if (sys->read(sys, courier->fd, &calls, sizeof(calls)) < 0)
			slice(sys);
		GH_POINT(COURIER_CALLED);
		while (!atomic_load(&courier->over) && attend_all(courier->vm))
			;
	}
	return NULL;
}

/* --- coming and going --------------------------------------------------------------------------------------------- */

int gh_courier_start(struct gh_vm *vm)
{
	struct gh_courier *courier;
	int ret;

	/* After a reset the one from before is still there. */
	if (!gh_is_quirky(&vm->b, GH_QUIRK_FRAGILE_ANSWER) || vm->courier != NULL)
		return 0;
	courier = calloc(1, sizeof(*courier));
	if (courier == NULL)
		return gh_fail_memory(&vm->failure, STEP);
	courier->vm = vm;
	courier->fd = vm->b.sys->eventfd(vm->b.sys, 0, 0);
	if (courier->fd < 0) {
		ret = gh_fail_request(&vm->failure, courier->fd, STEP, "eventfd");
		goto err_courier;
	}
	ret = gh_thread_start(vm, STEP, &courier->thread, work, courier);
	if (ret < 0)
		goto err_fd;
	vm->courier = courier;
	return 0;
err_fd:
	(void)vm->b.sys->close(vm->b.sys, courier->fd);
err_courier:
	free(courier);
	return ret;
}

void gh_courier_call(struct gh_vm *vm)
{
	const uint64_t one = 1;

	if (vm->courier != NULL)
		(void)vm->b.sys->write(vm->b.sys, vm->courier->fd, &one, sizeof(one));
}

void gh_courier_stop(struct gh_vm *vm)
{
	if (vm->courier == NULL)
		return;
	/* In a forked child there is no such thread. */
	if (!gh_vm_is_forked(vm)) {
		atomic_store(&vm->courier->over, true);
		gh_courier_call(vm);
		(void)pthread_join(vm->courier->thread, NULL);
	}
	(void)vm->b.sys->close(vm->b.sys, vm->courier->fd);
	free(vm->courier);
	vm->courier = NULL;
}
