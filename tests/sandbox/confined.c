/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lives through all phases of a running VM under a filter made from its list of system calls, with the real kernel as the
 * judge: any other call ends the process. Usage: confined DEVICE; the device "fake" is the fake backend.
 */
#include "confine.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MEMORY_GPA 0x80000000
#define MEMORY_SIZE 0x400000
#define TREE_GPA (MEMORY_GPA + 0x200000)
#define DEVICE 0x9000000
#define BELL 0x9001000
#define ROUNDS 40u

/* Loads from the device, stores it back and sleeps, for ever. */
static const uint32_t guest[] = {
	0xd2a12001, 0xb9400020, 0xb9000020, 0xd503207f, 0x17fffffd,
};

static struct {
	const char *step;
	struct gh_fake *fake;
	struct gh_vm *vm;
	struct gh_vcpu *vcpu;
	struct gh_irqfd *irqfd;
	int resample;
	atomic_uint accesses;
	atomic_uint interruptions;
} test;

/* must() prints and leaves, and the test sleeps. */
static const uint32_t own_calls[] = {
	SYS_exit_group,
	SYS_clock_nanosleep,
	/* What follows are a simulated device's, which is part of the process. */
	SYS_openat,
	SYS_readlinkat,
	SYS_getpid,
	SYS_rt_sigpending,
	SYS_signalfd4,
	SYS_process_vm_readv,
	SYS_process_vm_writev,
	SYS_pread64,
	SYS_pwrite64,
	SYS_fstat,
	SYS_newfstatat,
#ifdef SYS_readlink
	SYS_readlink,
#endif
#ifdef SYS_epoll_wait
	SYS_epoll_wait,
#endif
};
#define OWN_CALLS 2u
#define ALL_CALLS (uint32_t)(sizeof(own_calls) / sizeof(own_calls[0]))

static void must(const char *step, int ret)
{
	test.step = step;
	if (ret >= 0)
		return;
	(void)fprintf(stderr, "confined: %s: %d %s\n", step, ret, test.vm != NULL ? gh_vm_failure(test.vm)->cause : "");
	_exit(1);
}

/* --- before ------------------------------------------------------------------------------------------------------- */

static int on_access(void *data, struct gh_bus_access *access)
{
	(void)data;
	if (access->is_store == 0)
		access->value = 7;
	(void)atomic_fetch_add(&test.accesses, 1);
	return GH_BUS_DONE;
}

static struct gh_bus_range *add_range(uint64_t gpa)
{
	struct gh_bus_range_options options = GH_BUS_RANGE_OPTIONS_INIT;
	struct gh_bus_range *range;

	options.name = "device";
	options.gpa = gpa;
	options.length = 4;
	options.access = on_access;
	must("add a range", gh_bus_add(test.vm, &options, &range));
	return range;
}

static int add_irqfd(uint32_t line, uint32_t flags, int resample, struct gh_irqfd **ret_irqfd)
{
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;

	options.line = line;
	options.flags = flags;
	options.resample_fd = resample;
	return gh_irqfd_add(test.vm, &options, ret_irqfd);
}

/* What the fake plays instead of the guest. */
static void queue_exits(struct gh_vm_options *options)
{
	must("make a fake", gh_fake_new(&test.fake));
	for (unsigned int i = 0; i < 2 * ROUNDS; i++) {
		must("queue a load", gh_fake_load(test.fake, 0, DEVICE, 4));
		must("queue a store", gh_fake_store(test.fake, 0, DEVICE, 4, 7));
	}
	options->backend = "fake";
	options->fake = test.fake;
}

static void set_up(const char *device)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_memory memory = GH_MEMORY_INIT;
	struct gh_fdt *fdt;

	if (strcmp(device, "fake") == 0)
		queue_exits(&options);
	else
		options.device = device;
	must("open", gh_vm_open(&options, &test.vm));
	memory.gpa = MEMORY_GPA;
	memory.length = MEMORY_SIZE;
	must("map memory", gh_vm_map(test.vm, &memory, NULL));
	must("write the guest", gh_vm_write(test.vm, MEMORY_GPA, guest, sizeof(guest)));
	must("set the entry", gh_vm_set_entry(test.vm, MEMORY_GPA, TREE_GPA));
	must("make a vCPU", gh_vcpu_create(test.vm, 0, &test.vcpu));
	must("add an irqfd", add_irqfd(5, 0, -1, &test.irqfd));
	must("begin a tree", gh_fdt_open(test.vm, NULL, &fdt));
	must("write the tree", gh_fdt_finish(fdt, TREE_GPA, 0));
	gh_fdt_close(fdt);
	(void)add_range(DEVICE);
	must("start", gh_vm_start(test.vm));
	test.resample = eventfd(0, EFD_CLOEXEC);
	must("make an eventfd", test.resample);
}

/* --- under the filter --------------------------------------------------------------------------------------------- */

static int on_exit_of_loop(void *data, struct gh_vcpu *vcpu, const struct gh_exit *exit)
{
	(void)data;
	(void)vcpu;
	if (exit->kind != GH_EXIT_INTERRUPTED)
		return -EPROTO;
	(void)atomic_fetch_add(&test.interruptions, 1);
	return GH_LOOP_CONTINUE;
}

/* Lines, doorbells, ranges: what a VMM plugs in and out. */
static void change(void)
{
	struct gh_ioevent_options bell_options = GH_IOEVENT_OPTIONS_INIT;
	struct gh_irq_options irq_options = GH_IRQ_OPTIONS_INIT;
	struct gh_irqfd *level = NULL;
	struct gh_ioevent *bell;
	struct gh_irq *irq = NULL;

	bell_options.gpa = BELL;
	bell_options.width = 4;
	must("add a doorbell", gh_ioevent_add(test.vm, &bell_options, &bell));
	gh_ioevent_remove(bell);
	gh_bus_remove(add_range(BELL));
	/* Lines are those of the devicetree on Gunyah, which has no other one. */
	if (add_irqfd(6, GH_IRQ_LEVEL, test.resample, &level) == 0)
		must("raise a line", gh_irqfd_raise(level));
	gh_irqfd_remove(level);
	irq_options.line = 7;
	irq_options.flags = GH_IRQ_LEVEL;
	if (gh_irq_add(test.vm, &irq_options, &irq) == 0)
		must("set a line", gh_irq_set(irq, 1));
	gh_irq_remove(irq);
}

static void await_interruption(unsigned int before)
{
	for (int i = 0; i < 30000 && atomic_load(&test.interruptions) == before; i++)
		(void)usleep(1000);
	must("be interrupted", atomic_load(&test.interruptions) == before ? -ETIMEDOUT : 0);
}

static void *disturb(void *data)
{
	for (unsigned int i = 0; i < ROUNDS; i++) {
		unsigned int before = atomic_load(&test.interruptions);

		must("kick", gh_vcpu_kick(test.vcpu));
		await_interruption(before);
		if (i % 8 == 0) {
			must("pause", gh_vm_pause(test.vm));
			must("resume", gh_vm_resume(test.vm));
			change();
		}
		must("raise a line", gh_irqfd_raise(test.irqfd));
	}
	must("quit", gh_vm_quit(test.vm));
	return data;
}

static void live(void)
{
	struct gh_loop_options loop = GH_LOOP_OPTIONS_INIT;
	pthread_t thread;
	int ret;

	loop.exit = on_exit_of_loop;
	must("make a thread", -pthread_create(&thread, NULL, disturb, NULL));
	ret = gh_vm_run(test.vm, &loop);
	(void)pthread_join(thread, NULL);
	must("run until it is enough", ret == -ECANCELED ? 0 : -EPROTO);
	gh_vm_close(test.vm);
	test.vm = NULL;
	gh_fake_free(test.fake);
	must("see accesses", atomic_load(&test.accesses) < 2 ? -EPROTO : 0);
}

/* Is over when it makes a call that the filter does not let through; before that it says that it has come so far. */
static void child(const char *device, int done)
{
	const uint64_t one = 1;
	struct confinement confinement = {
		.phases = GH_PHASE_RUN | GH_PHASE_CHANGE | GH_PHASE_THREADS | GH_PHASE_END,
		.otherwise = SECCOMP_RET_KILL_PROCESS,
		.own = own_calls,
		.n_own = strncmp(device, "sim:", 4) == 0 ? ALL_CALLS : OWN_CALLS,
	};

	set_up(device);
	confinement.vm = test.vm;
	must("confine", confine(&confinement));
	live();
	if (write(done, &one, sizeof(one)) != (ssize_t)sizeof(one))
		_exit(1);
	(void)syscall(SYS_getppid);
	_exit(0);
}

static int judge(const char *device, int status, int done)
{
	uint64_t count = 0;
	bool is_done = read(done, &count, sizeof(count)) == (ssize_t)sizeof(count);

	if (is_done && WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) {
		(void)printf("confined: %s: no call that is not on the list, and another one is refused\n", device);
		return 0;
	}
	if (is_done)
		(void)fprintf(stderr, "confined: %s: a call that is on no list was made (%#x)\n", device,
			      (unsigned int)status);
	else if (WIFSIGNALED(status))
		(void)fprintf(stderr, "confined: %s: ended by signal %d%s\n", device, WTERMSIG(status),
			      WTERMSIG(status) == SIGSYS ? ": a call that is not on the list" : "");
	return 1;
}

int main(int argc, char **argv)
{
	int done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int status = 0;
	pid_t pid;

	if (argc != 2 || done < 0) {
		(void)fprintf(stderr, "Usage: confined DEVICE\n");
		return 2;
	}
	pid = fork();
	if (pid == 0)
		child(argv[1], done);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 1;
	return judge(argv[1], status, done);
}
