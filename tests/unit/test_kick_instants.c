/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The instants of the kick protocol that a storm hits once in a million: each is brought about on purpose, with system calls
 * of the library that do something else first, or with a word of the protocol set by hand.
 */
#include "world.h"

#include "internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static struct world world;
static struct gh_vm *vm;
static struct gh_sys *table;   /* the world's, to be changed: a simulated machine's own, which it finds itself by */
static struct gh_sys original; /* what it was */
static struct gh_sys copy;     /* of the kernel's, which is constant */

static void begin(enum world_device device, const char *script, unsigned int vcpus)
{
	world_begin(&world, device, script, vcpus);
	vm = world.vm;
	original = *vm->b.sys;
	copy = original;
	if (device == WORLD_FAKE)
		vm->b.sys = &copy;
	table = vm->b.sys;
}

/* Entries that were changed stay so: a courier may be reading the table, and the machine goes with it. */
static void end(void)
{
	world_end(&world);
}

struct entrant {
	pthread_t thread;
	struct gh_vcpu *vcpu;
	struct gh_exit exit;
	atomic_bool done;
};

static void *runner_main(void *data)
{
	struct entrant *runner = data;

	runner->exit = *run_once(runner->vcpu);
	atomic_store(&runner->done, true);
	return NULL;
}

static void entrant_begin(struct entrant *runner, struct gh_vcpu *vcpu)
{
	memset(runner, 0, sizeof(*runner));
	runner->vcpu = vcpu;
	ck_assert_int_eq(pthread_create(&runner->thread, NULL, runner_main, runner), 0);
}

static const struct gh_exit *entrant_end(struct entrant *runner)
{
	ck_assert_msg(comes_true(&runner->done), "the run does not return");
	(void)pthread_join(runner->thread, NULL);
	return &runner->exit;
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

/* A thread's first run opens the kick signal: after the look for the end, and before the one for a pause. */
static int end_before_unblocking(struct gh_sys *sys, int how, const sigset_t *set, sigset_t *ret_old)
{
	struct gh_exit exit;

	memset(&exit, 0, sizeof(exit));
	exit.kind = GH_EXIT_STOPPED;
	exit.stop.cause = GH_STOP_RESET;
	if (how == SIG_UNBLOCK)
		gh_vm_set_end(vm, NULL, &exit);
	return original.sigprocmask(sys, how, set, ret_old);
}

START_TEST(test_end_before_the_nudge_is_taken)
{
	struct entrant runner;

	begin(WORLD_FAKE, "", 1);
	table->sigprocmask = end_before_unblocking;
	entrant_begin(&runner, world.vcpus[0]);
	ck_assert_uint_eq(entrant_end(&runner)->kind, GH_EXIT_STOPPED);
	ck_assert_uint_eq(runner.exit.stop.cause, GH_STOP_RESET);
	end();
}
END_TEST

/* --- late senders ------------------------------------------------------------------------------------------------- */

/* A kicker has set the word and not looked yet where the vCPU is: until it has, the vCPU goes nowhere. */
START_TEST(test_sender_that_takes_its_time)
{
	struct gh_vcpu *vcpu;
	struct entrant runner;

	begin((enum world_device)_i, "wfi", 1);
	vcpu = world.vcpus[0];
	(void)atomic_fetch_add(&vcpu->senders, 1);
	(void)atomic_fetch_or(&vcpu->kicked, GH_KICK);
	entrant_begin(&runner, vcpu);
	for (int i = 0; i < PATIENCE_MS && atomic_load(&vcpu->where) != GH_BUSY; i++)
		pause_ms(1);
	pause_ms(20);
	ck_assert_msg(!atomic_load(&runner.done), "the kick was taken from a sender that can still signal for it");
	ck_assert_uint_eq(atomic_load(&vcpu->where), GH_BUSY);
	(void)atomic_fetch_sub(&vcpu->senders, 1);
	ck_assert_uint_eq(entrant_end(&runner)->kind, GH_EXIT_INTERRUPTED);
	end();
}
END_TEST

static const uint32_t not_kicked;
static struct gh_vcpu *entering;

/* A kicker has seen the vCPU inside, and is about to signal it when the guest comes out by itself. */
static int enter_with_signal_to_come(struct gh_sys *sys, int fd, unsigned long request, uintptr_t arg,
				     const volatile uint32_t *cancel)
{
	(void)cancel;
	(void)atomic_fetch_add(&entering->senders, 1);
	(void)atomic_fetch_or(&entering->kicked, GH_KICK);
	return original.enter(sys, fd, request, arg, &not_kicked);
}

/* The exit waits for the signal, which would hit a later entry otherwise, and destroy an answer (H1). */
START_TEST(test_sender_at_the_end_of_a_run)
{
	struct entrant runner;

	begin((enum world_device)_i, "store 0x1000 4 1; store 0x1000 4 2; off", 1);
	entering = world.vcpus[0];
	table->enter = enter_with_signal_to_come;
	entrant_begin(&runner, entering);
	while (atomic_load(&entering->senders) == 0)
		pause_ms(1);
	pause_ms(20);
	ck_assert(!atomic_load(&runner.done));
	table->enter = original.enter;
	(void)atomic_fetch_sub(&entering->senders, 1);
	ck_assert_uint_eq(entrant_end(&runner)->mmio.value, 1);
	ck_assert_uint_eq(run_once(entering)->kind, GH_EXIT_INTERRUPTED);
	ck_assert_uint_eq(run_once(entering)->mmio.value, 2);
	end();
}
END_TEST

/* --- the window --------------------------------------------------------------------------------------------------- */

static void kick_from_handler(int signal)
{
	(void)signal;
	(void)gh_vcpu_kick(entering);
}

/* The flag has been looked at; a handler of the VMM's own runs, and the kick's inside it; then the call is made. */
static int enter_with_open_window(struct gh_sys *sys, int fd, unsigned long request, uintptr_t arg,
				  const volatile uint32_t *cancel)
{
	if (*cancel != 0)
		return -ECANCELED;
	(void)raise(SIGUSR2);
	return original.enter(sys, fd, request, arg, &not_kicked);
}

START_TEST(test_kick_from_a_handler_in_the_window)
{
	struct sigaction action = { .sa_handler = kick_from_handler };
	struct sigaction old;
	struct entrant runner;

	begin((enum world_device)_i, "wfi", 1);
	ck_assert_int_eq(sigaction(SIGUSR2, &action, &old), 0);
	entering = world.vcpus[0];
	table->enter = enter_with_open_window;
	for (int i = 0; i < 3; i++) {
		entrant_begin(&runner, entering);
		ck_assert_uint_eq(entrant_end(&runner)->kind, GH_EXIT_INTERRUPTED);
		/* H3: nothing of it is left for the next entry. */
		ck_assert_uint_eq(*entering->b.immediate_exit, 0);
	}
	ck_assert_int_eq(sigaction(SIGUSR2, &old, NULL), 0);
	end();
}
END_TEST

/* --- what an entry leaves behind ---------------------------------------------------------------------------------- */

static unsigned int entered;

/* The second one does not get into the kernel. */
static int kick_before_second(struct gh_sys *sys, int fd, unsigned long request, uintptr_t arg,
			      const volatile uint32_t *cancel)
{
	if (++entered == 2)
		(void)gh_vcpu_kick(entering);
	return original.enter(sys, fd, request, arg, cancel);
}

/* The answer went with the first entry, which a doorbell of the library's own ended: the next one carries none. */
START_TEST(test_kick_after_a_doorbell)
{
	struct gh_ioevent_options bell = GH_IOEVENT_OPTIONS_INIT;
	struct gh_ioevent *ioevent;

	begin(WORLD_GUNYAH, "load 0x1000 4; expect 5; store 0x7400 2 0x1beef; store 0x1000 4 1; off", 1);
	bell.gpa = 0x7400;
	bell.width = 2;
	bell.flags = GH_IOEVENT_DATAMATCH;
	bell.value = 0xbeef;
	bell.fd = -1;
	ck_assert_int_eq(gh_ioevent_add(vm, &bell, &ioevent), 0);
	entering = world.vcpus[0];
	ck_assert_uint_eq(run_once(entering)->kind, GH_EXIT_MMIO);
	ck_assert_int_eq(gh_mmio_complete(entering, 5), 0);
	ck_assert_uint_eq(atomic_load(&entering->entry) % GH_PLACES, GH_FRAGILE);
	entered = 0;
	table->enter = kick_before_second;
	ck_assert_uint_eq(run_once(entering)->kind, GH_EXIT_INTERRUPTED);
	ck_assert_uint_eq(atomic_load(&entering->entry), GH_INSIDE);
	ck_assert_uint_eq(take_count(gh_ioevent_fd(ioevent)), 1);
	ck_assert_uint_eq(run_once(entering)->mmio.value, 1);
	end();
}
END_TEST

static int refuse(struct gh_sys *sys, int fd, unsigned long request, uintptr_t arg, const volatile uint32_t *cancel)
{
	(void)sys;
	(void)fd;
	(void)request;
	(void)arg;
	(void)cancel;
	return -EOPNOTSUPP;
}

/* A run that fails says why, also if something else has failed before with the same error. */
START_TEST(test_failure_is_the_last_one)
{
	const struct gh_exit *exit;

	begin((enum world_device)_i, "load 0x1000 4; off", 1);
	ck_assert_uint_eq(run_once(world.vcpus[0])->kind, GH_EXIT_MMIO);
	ck_assert_int_eq(gh_mmio_fail(world.vcpus[0]), -EOPNOTSUPP);
	ck_assert_str_eq(gh_vcpu_failure(world.vcpus[0])->step, "answer a vCPU");
	ck_assert_int_eq(gh_mmio_complete(world.vcpus[0], 5), 0);
	table->enter = refuse;
	ck_assert_int_eq(gh_vcpu_run(world.vcpus[0], &exit), -EOPNOTSUPP);
	ck_assert_str_eq(gh_vcpu_failure(world.vcpus[0])->step, "run a vCPU");
	end();
}
END_TEST

/* --- errno -------------------------------------------------------------------------------------------------------- */

START_TEST(test_kick_keeps_errno)
{
	begin(WORLD_FAKE, "", 1);
	atomic_store(&world.vcpus[0]->where, GH_INSIDE); /* of a thread that does not exist */
	errno = ENOTDIR;
	ck_assert_int_eq(gh_vcpu_kick(world.vcpus[0]), 0);
	ck_assert_int_eq(errno, ENOTDIR);
	atomic_store(&world.vcpus[0]->kicked, 0);
	atomic_store(&world.vcpus[0]->where, GH_WAITING);
	(void)close(world.vcpus[0]->wake_fd);
	ck_assert_int_eq(gh_vcpu_kick(world.vcpus[0]), 0);
	ck_assert_int_eq(errno, ENOTDIR);
	atomic_store(&world.vcpus[0]->where, GH_OUT);
	world.vcpus[0]->wake_fd = vm->b.sys->eventfd(vm->b.sys, 0, 0);
	end();
}
END_TEST

/* --- fork --------------------------------------------------------------------------------------------------------- */

static unsigned int requests;
static unsigned int signals;

static int count_request(struct gh_sys *sys, int fd, unsigned long request, uintptr_t arg)
{
	requests++;
	return original.ioctl(sys, fd, request, arg);
}

static int count_signal(struct gh_sys *sys, int pid, int tid, int signal)
{
	(void)sys;
	(void)pid;
	(void)tid;
	(void)signal;
	signals++;
	return 0;
}

/* What went wrong, as an exit status. */
static int be_a_child(struct gh_vcpu *vcpu)
{
	const struct gh_exit *exit;

	table->ioctl = count_request;
	table->tgkill = count_signal;
	atomic_store(&vcpu->where, GH_INSIDE);
	if (gh_vcpu_kick(vcpu) != -EPERM || gh_vcpu_run(vcpu, &exit) != -EPERM || gh_mmio_complete(vcpu, 1) != -EPERM)
		return 1;
	if (gh_vm_quit(vm) != -EPERM || gh_vm_pause(vm) != -EPERM || gh_vm_resume(vm) != -EPERM)
		return 2;
	if (signals != 0)
		return 3;
	gh_vm_close(vm);
	return requests == 0 ? 0 : 4;
}

/* The library notices a fork by such a page, and an emulator of user programs may forget to empty it. */
static bool fork_empties_pages(void)
{
	unsigned char *page = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int status = -1;
	pid_t child;

	ck_assert_ptr_ne(page, MAP_FAILED);
	ck_assert_int_eq(madvise(page, 65536, MADV_WIPEONFORK), 0);
	*page = 1;
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0)
		_exit(*page);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	(void)munmap(page, 65536);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* The descriptors are the parent's, too: a request of the child's would take lines and vCPUs from the parent. */
START_TEST(test_forked_child)
{
	struct gh_ioevent_options bell = GH_IOEVENT_OPTIONS_INIT;
	struct gh_ioevent *ioevent;
	int status = -1;
	pid_t child;

	if (!fork_empties_pages()) {
		(void)fprintf(stderr, "SKIPPED: forked children (MADV_WIPEONFORK does nothing here)\n");
		return;
	}
	begin((enum world_device)_i, "store 0x2000 4 1; store 0x1000 4 5; off", 1);
	bell.gpa = 0x2000;
	bell.width = 4;
	bell.fd = -1;
	ck_assert_int_eq(gh_ioevent_add(vm, &bell, &ioevent), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0)
		_exit(be_a_child(world.vcpus[0]));
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	/* The parent has all it had. */
	ck_assert_uint_eq(run_once(world.vcpus[0])->mmio.value, 5);
	ck_assert_uint_eq(take_count(gh_ioevent_fd(ioevent)), 1);
	ck_assert_uint_eq(run_once(world.vcpus[0])->kind, GH_EXIT_STOPPED);
	end();
}
END_TEST

/* --- the courier -------------------------------------------------------------------------------------------------- */

static int no_open(struct gh_sys *sys, const char *path, int flags)
{
	(void)sys;
	(void)path;
	(void)flags;
	return -ENOENT;
}

static int no_clock(struct gh_sys *sys, int tid, uint64_t *ret_ns)
{
	(void)sys;
	(void)tid;
	(void)ret_ns;
	return -EPERM;
}

static int no_move(struct gh_sys *sys, unsigned int cpu)
{
	(void)sys;
	(void)cpu;
	return -EINVAL;
}

/* A kick while an answer is on its way (H1), to a guest that sleeps right after: also in a sandbox that hides the thread. */
START_TEST(test_courier)
{
	struct entrant runner;

	begin(WORLD_GUNYAH, "load 0x1000 4; wfi", 1);
	if ((_i & 1) != 0)
		table->open = no_open;
	if ((_i & 2) != 0)
		table->thread_time = no_clock;
	if ((_i & 4) != 0)
		table->move_to_cpu = no_move;
	ck_assert_uint_eq(run_once(world.vcpus[0])->kind, GH_EXIT_MMIO);
	ck_assert_int_eq(gh_mmio_complete(world.vcpus[0], 5), 0);
	entrant_begin(&runner, world.vcpus[0]);
	while (gh_where_place(atomic_load(&world.vcpus[0]->where)) != GH_FRAGILE)
		pause_ms(1);
	ck_assert_int_eq(gh_vcpu_kick(world.vcpus[0]), 0);
	ck_assert_uint_eq(entrant_end(&runner)->kind, GH_EXIT_INTERRUPTED);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("kick instants");
	TCase *tcase = add_case(suite, "protocol");

	tcase_add_test(tcase, test_end_before_the_nudge_is_taken);
	tcase_add_loop_test(tcase, test_sender_that_takes_its_time, 0, WORLD_DEVICES);
	tcase_add_loop_test(tcase, test_sender_at_the_end_of_a_run, WORLD_GENIEZONE, WORLD_DEVICES);
	tcase_add_loop_test(tcase, test_kick_from_a_handler_in_the_window, WORLD_GENIEZONE, WORLD_DEVICES);
	tcase_add_test(tcase, test_kick_after_a_doorbell);
	tcase_add_loop_test(tcase, test_failure_is_the_last_one, WORLD_GENIEZONE, WORLD_DEVICES);
	tcase_add_test(tcase, test_kick_keeps_errno);
	tcase = add_case(suite, "fork");
	tcase_add_loop_test(tcase, test_forked_child, 0, WORLD_DEVICES);
	tcase = add_case(suite, "courier");
	tcase_add_loop_test(tcase, test_courier, 0, 8);
	return run_suite(suite);
}
