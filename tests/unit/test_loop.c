/* SPDX-License-Identifier: BSD-3-Clause */
/* The ready-made loops: verdicts, deferred answers, results, quitting, and the threads of gh_vm_run(). */
#include "world.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* Between the library and pthread_create(): the n-th call from now on fails. 0: none. */
static atomic_uint failing_create;

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *data);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *data);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *data)
{
	if (atomic_load(&failing_create) > 0 && atomic_fetch_sub(&failing_create, 1) == 1)
		return EAGAIN;
	return __real_pthread_create(thread, attributes, start, data);
}

static struct world world;
static struct vmm vmm;

static void begin(enum world_device device, const char *script, unsigned int vcpus)
{
	world_begin(&world, device, script, vcpus);
	vmm_init(&vmm, &world);
}

static int give_verdict(struct vmm *self, struct gh_vcpu *vcpu)
{
	(void)vcpu;
	return self->verdict;
}

/* --- verdicts ----------------------------------------------------------------------------------------------------- */

START_TEST(test_continue)
{
	begin((enum world_device)_i,
	      "store 0x1000 4 1; load 0x1000 4; expect 0x1234; store 0x1000 4 2; load 0x1000 1; expect 0x34; "
	      "store 0x1000 8 3; off",
	      1);
	ck_assert_int_eq(vmm_loop(&vmm, 0), GH_STOP_POWER_OFF);
	ck_assert_uint_eq(vmm.stores, 3);
	ck_assert_uint_eq(vmm.loads, 2);
	ck_assert_uint_eq(vmm.stored, 3);
	ck_assert_uint_eq(vmm.interruptions + vmm.others, 0);
	/* For ever, and without the handler. */
	ck_assert_int_eq(vmm_loop(&vmm, 0), GH_STOP_POWER_OFF);
	ck_assert_int_eq(vmm_run(&vmm), GH_STOP_POWER_OFF);
	ck_assert_uint_eq(vmm.stores, 3);
	world_end(&world);
}
END_TEST

/* The guest goes on where it was. */
START_TEST(test_leave)
{
	begin((enum world_device)_i, "store 0x1000 4 1; store 0x1000 4 2; off", 1);
	vmm.on_store = give_verdict;
	vmm.verdict = GH_LOOP_LEAVE;
	ck_assert_int_eq(vmm_loop(&vmm, 0), -ECANCELED);
	ck_assert_uint_eq(vmm.stored, 1);
	ck_assert_int_eq(vmm_run(&vmm), -ECANCELED);
	ck_assert_uint_eq(vmm.stored, 2);
	ck_assert_int_eq(vmm_run(&vmm), GH_STOP_POWER_OFF);
	ck_assert_uint_eq(vmm.stores, 2);
	world_end(&world);
}
END_TEST

static const struct {
	int verdict;
	int result;
} verdicts[] = { { -ENOSPC, -ENOSPC }, { -EINTR, -EINTR }, { -4095, -4095 },
		 { 3, -EINVAL },       { 77, -EINVAL },    { INT32_MAX, -EINVAL } };

START_TEST(test_error_and_nonsense)
{
	begin(WORLD_FAKE, "store 0x1000 4 1; store 0x1000 4 2; off", 1);
	vmm.on_store = give_verdict;
	vmm.verdict = verdicts[_i].verdict;
	ck_assert_int_eq(vmm_loop(&vmm, 0), verdicts[_i].result);
	if (vmm.verdict > 0)
		ck_assert_uint_eq(gh_vcpu_failure(world.vcpus[0])->cause_id, GH_CAUSE_HANDLER);
	ck_assert_int_eq(vmm_run(&vmm), verdicts[_i].result);
	if (vmm.verdict > 0)
		ck_assert_uint_eq(gh_vm_failure(world.vm)->cause_id, GH_CAUSE_HANDLER);
	ck_assert_uint_eq(vmm.stores, 2);
	world_end(&world);
}
END_TEST

START_TEST(test_unanswered)
{
	begin((enum world_device)_i, "load 0x1000 4; expect 7; off", 1);
	vmm.on_load = give_verdict;
	vmm.verdict = GH_LOOP_CONTINUE;
	ck_assert_int_eq(vmm_loop(&vmm, 0), -EBUSY);
	ck_assert_int_eq(vmm_loop(&vmm, 0), -EBUSY);
	ck_assert_int_eq(gh_mmio_complete(world.vcpus[0], 7), 0);
	ck_assert_int_eq(vmm_loop(&vmm, 0), GH_STOP_POWER_OFF);
	ck_assert_uint_eq(vmm.loads, 1);
	world_end(&world);
}
END_TEST

/* --- deferred answers --------------------------------------------------------------------------------------------- */

static int answer_and_defer(struct vmm *self, struct gh_vcpu *vcpu)
{
	ck_assert_int_eq(gh_mmio_complete(vcpu, self->answer), 0);
	return GH_LOOP_DEFER;
}

START_TEST(test_deferred_and_answered_at_once)
{
	begin((enum world_device)_i, "load 0x1000 4; expect 0x1234; load 0x1000 4; expect 0x1234; store 0x1000 4 1; off",
	      1);
	vmm.on_load = answer_and_defer;
	vmm.on_store = give_verdict; /* nothing to wait for */
	vmm.verdict = GH_LOOP_DEFER;
	ck_assert_int_eq(vmm_loop(&vmm, 0), GH_STOP_POWER_OFF);
	ck_assert_uint_eq(vmm.loads, 2);
	world_end(&world);
}
END_TEST

START_TEST(test_deferred)
{
	struct background background;

	begin((enum world_device)_i, "load 0x1000 4; expect 101; load 0x1000 4; expect 102; load 0x1000 4; expect 103; off",
	      1);
	vmm.on_load = vmm_defer;
	background_begin(&background, &vmm, -1);
	for (unsigned int i = 1; i <= 3; i++) {
		vmm_await_deferral(&vmm);
		pause_ms(i % 2 == 0 ? 0 : 5);
		ck_assert_uint_eq(vmm.loads, i);
		ck_assert_int_eq(gh_mmio_complete(vmm.deferred, 100 + i), 0);
	}
	ck_assert_int_eq(background_end(&background), GH_STOP_POWER_OFF);
	ck_assert_uint_eq(vmm.interruptions, 0);
	world_end(&world);
}
END_TEST

/* A kick comes through, and the load waits on. */
START_TEST(test_deferred_and_kicked)
{
	struct background background;

	begin((enum world_device)_i, "load 0x1000 4; expect 0x55; store 0x1000 4 1; off", 1);
	vmm.on_load = vmm_defer;
	if (_i == WORLD_GENIEZONE)
		vmm.on_interruption = give_verdict;
	vmm.verdict = GH_LOOP_DEFER; /* says the same */
	background_begin(&background, &vmm, _i == WORLD_FAKE ? -1 : 0);
	vmm_await_deferral(&vmm);
	for (unsigned int i = 0; i < 10; i++) {
		ck_assert_int_eq(gh_vcpu_kick(vmm.deferred), 0);
		ck_assert(goes_beyond(&vmm.interruptions, i));
		ck_assert_uint_eq(vmm.stores, 0);
	}
	ck_assert_int_eq(gh_mmio_complete(vmm.deferred, 0x55), 0);
	ck_assert_int_eq(background_end(&background), GH_STOP_POWER_OFF);
	ck_assert_uint_eq(vmm.interruptions, 10);
	ck_assert_uint_eq(vmm.stores, 1);
	world_end(&world);
}
END_TEST

/* Another vCPU ends the VM; the answer comes too late. */
START_TEST(test_deferred_and_ended)
{
	begin((enum world_device)_i, "on 1; load 0x1000 4; store 0x1000 4 1\nvcpu 1\nspin 1000; off", 2);
	vmm.on_load = vmm_defer;
	ck_assert_int_eq(vmm_run(&vmm), GH_STOP_POWER_OFF);
	ck_assert_uint_eq(vmm.stores, 0);
	ck_assert_int_eq(gh_mmio_complete(world.vcpus[0], 1), -ESHUTDOWN);
	world_end(&world);
}
END_TEST

/* --- results ------------------------------------------------------------------------------------------------------ */

static const struct {
	const char *script;
	uint32_t cause;
} ends[] = { { "off", GH_STOP_POWER_OFF }, { "reset", GH_STOP_RESET }, { "crash", GH_STOP_CRASH } };

START_TEST(test_causes)
{
	int device = _i % WORLD_DEVICES;
	int end = _i / WORLD_DEVICES;

	begin((enum world_device)device, ends[end].script, 1);
	ck_assert_int_eq(vmm_run(&vmm), (int)ends[end].cause);
	ck_assert_int_eq(vmm_loop(&vmm, 0), (int)ends[end].cause);
	world_end(&world);
}
END_TEST

START_TEST(test_every_cause)
{
	begin(WORLD_FAKE, "", 3);
	ck_assert_int_eq(gh_fake_stop(world.fake, (uint32_t)_i % 3, (uint32_t)_i), 0);
	ck_assert_int_eq(vmm_run(&vmm), _i);
	world_end(&world);
}
END_TEST

/* One vCPU of several fails: the others, asleep, come out, and its error is the result. */
START_TEST(test_one_fails)
{
	begin(WORLD_FAKE, "", 4);
	ck_assert_int_eq(gh_fake_error(world.fake, (uint32_t)_i, -EIO), 0);
	ck_assert_int_eq(vmm_run(&vmm), -EIO);
	ck_assert_int_eq(gh_vcpu_failure(world.vcpus[_i])->error, -EIO);
	/* It was an error of that run, and not the VM's end. */
	ck_assert_int_eq(gh_fake_stop(world.fake, 3, GH_STOP_RESET), 0);
	ck_assert_int_eq(vmm_run(&vmm), GH_STOP_RESET);
	world_end(&world);
}
END_TEST

START_TEST(test_one_handler_fails)
{
	begin((enum world_device)_i, "on 1; wfi\nvcpu 1\nstore 0x1000 4 1; off", 2);
	vmm.on_store = give_verdict;
	vmm.verdict = -EXDEV;
	ck_assert_int_eq(vmm_run(&vmm), -EXDEV);
	ck_assert_int_eq(vmm_run(&vmm), GH_STOP_POWER_OFF);
	world_end(&world);
}
END_TEST

/* --- quitting ----------------------------------------------------------------------------------------------------- */

static const char *const places[] = { "wfi", "spin", "load 0x1000 4; wfi" };

START_TEST(test_quit_from_a_thread)
{
	int device = _i % WORLD_DEVICES;
	struct background background;

	begin((enum world_device)device, places[_i / WORLD_DEVICES], 2);
	vmm.on_load = vmm_defer;
	background_begin(&background, &vmm, -1);
	ck_assert(goes_beyond(&vmm.begun, 1));
	pause_ms(5);
	ck_assert_int_eq(gh_vm_quit(world.vm), 0);
	ck_assert_int_eq(background_end(&background), -ECANCELED);
	/* For good. */
	ck_assert_int_eq(vmm_run(&vmm), -ECANCELED);
	ck_assert_int_eq(vmm_loop(&vmm, 0), -ECANCELED);
	ck_assert_int_eq(gh_vm_quit(NULL), -EINVAL);
	world_end(&world);
}
END_TEST

static int quit(struct vmm *self, struct gh_vcpu *vcpu)
{
	(void)vcpu;
	ck_assert_int_eq(gh_vm_quit(self->world->vm), 0);
	return GH_LOOP_CONTINUE;
}

START_TEST(test_quit_from_a_handler)
{
	begin((enum world_device)_i, "on 1; wfi\nvcpu 1\nstore 0x1000 4 1; store 0x1000 4 2; wfi", 2);
	vmm.on_store = quit;
	ck_assert_int_eq(vmm_run(&vmm), -ECANCELED);
	ck_assert_uint_eq(vmm.stores, 1);
	world_end(&world);
}
END_TEST

/* --- threads ------------------------------------------------------------------------------------------------------ */

static void read_own(const char *file, char *text, size_t size)
{
	char path[64];
	size_t length;
	FILE *stream;

	(void)snprintf(path, sizeof(path), "/proc/thread-self/%s", file);
	stream = fopen(path, "re");
	ck_assert_ptr_nonnull(stream);
	length = fread(text, 1, size - 1, stream);
	text[length] = '\0';
	(void)fclose(stream);
}

static unsigned long long own_blocked_signals(void)
{
	char text[4096];
	const char *line;
	unsigned long long blocked = 0;

	read_own("status", text, sizeof(text));
	line = strstr(text, "\nSigBlk:");
	ck_assert_ptr_nonnull(line);
	ck_assert_int_eq(sscanf(line, "\nSigBlk: %llx", &blocked), 1);
	return blocked;
}

/* The C library's word for it: an emulator keeps some of the kernel's signals to itself. */
static unsigned long long own_blocked_signals_as_asked(void)
{
	unsigned long long blocked = 0;
	sigset_t set;

	(void)pthread_sigmask(SIG_BLOCK, NULL, &set);
	for (int signal = 1; signal <= SIGRTMAX; signal++)
		if (sigismember(&set, signal) == 1)
			blocked |= 1ull << (signal - 1);
	return blocked;
}

static bool kernel_tells;

/* Are blocked signals blocked in the kernel, each under its number? */
static bool does_kernel_tell(void)
{
	static const int some[] = { SIGBUS, SIGUSR1, 0 };
	bool tells = true;

	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
		int signal = some[i] != 0 ? some[i] : SIGRTMIN + GH_KICK_SIGNAL_DEFAULT;
		sigset_t set;
		sigset_t old;

		(void)sigemptyset(&set);
		(void)sigaddset(&set, signal);
		(void)pthread_sigmask(SIG_SETMASK, &set, &old);
		tells = tells && own_blocked_signals() == 1ull << (signal - 1);
		(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	return tells;
}

/* Name and signals, as the kernel has them. 32 and 33 (34 on musl) are the C library's own, the last two are
 * valgrind's and QEMU's. -1000 - signal: not so. */
static int look_at_thread(struct vmm *self, struct gh_vcpu *vcpu)
{
	unsigned long long blocked = kernel_tells ? own_blocked_signals() : own_blocked_signals_as_asked();
	char expected[32];
	char name[32];

	(void)self;
	(void)snprintf(expected, sizeof(expected), "vcpu%u\n", gh_vcpu_id(vcpu));
	read_own("comm", name, sizeof(name));
	if (strcmp(name, expected) != 0)
		return -1000;
	for (int signal = 1; signal < SIGRTMAX - 1; signal++) {
		bool is_blocked = (blocked >> (signal - 1) & 1) != 0;

		if (signal == SIGKILL || signal == SIGSTOP || (signal >= 32 && signal < SIGRTMIN))
			continue;
		if (is_blocked != (signal != SIGRTMIN + GH_KICK_SIGNAL_DEFAULT))
			return -1000 - signal;
	}
	return GH_LOOP_CONTINUE;
}

START_TEST(test_names_and_signals)
{
	unsigned long long before;
	sigset_t none;
	sigset_t old;

	/* Whatever tests before this one have left. */
	ck_assert_int_eq(sigemptyset(&none), 0);
	ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, &none, &old), 0);
	before = own_blocked_signals();
	kernel_tells = does_kernel_tell();
	begin((enum world_device)_i, "on 1; store 0x1000 4 1; wfi\nvcpu 1\nstore 0x1000 4 1; spin 100000; off", 2);
	vmm.on_store = look_at_thread;
	ck_assert_int_eq(vmm_run(&vmm), GH_STOP_POWER_OFF);
	ck_assert_uint_eq(vmm.begun, 2);
	ck_assert_uint_ge(vmm.stores, 1);
	ck_assert_uint_eq(own_blocked_signals(), before);
	ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, &old, NULL), 0);
	world_end(&world);
}
END_TEST

static int choose_name(struct vmm *self, struct gh_vcpu *vcpu)
{
	ck_assert_ptr_eq(vcpu, self->world->vcpus[gh_vcpu_id(vcpu)]);
	(void)pthread_setname_np(pthread_self(), "own name");
	return 0;
}

static int look_at_name(struct vmm *self, struct gh_vcpu *vcpu)
{
	char name[32];

	(void)self;
	(void)vcpu;
	read_own("comm", name, sizeof(name));
	return strcmp(name, "own name\n") == 0 ? GH_LOOP_CONTINUE : -1000;
}

START_TEST(test_name_of_the_hook)
{
	begin(WORLD_FAKE, "store 0x1000 4 1; store 0x1000 4 2; off", 1);
	vmm.on_begin = choose_name;
	vmm.on_store = look_at_name;
	ck_assert_int_eq(vmm_run(&vmm), GH_STOP_POWER_OFF);
	ck_assert_uint_eq(vmm.stores, 2);
	world_end(&world);
}
END_TEST

static int fail_to_begin(struct vmm *self, struct gh_vcpu *vcpu)
{
	return (int)gh_vcpu_id(vcpu) == self->verdict ? -EACCES : 0;
}

START_TEST(test_hook_fails)
{
	begin(WORLD_FAKE, "", 3);
	ck_assert_int_eq(gh_fake_store(world.fake, (uint32_t)_i, 0x1000, 4, 1), 0);
	vmm.on_begin = fail_to_begin;
	vmm.verdict = _i;
	ck_assert_int_eq(vmm_run(&vmm), -EACCES);
	ck_assert_uint_eq(vmm.begun, 3);
	ck_assert_uint_eq(vmm.stores, 0);
	/* gh_vcpu_loop() makes no thread. */
	ck_assert_int_eq(gh_fake_stop(world.fake, (uint32_t)_i, GH_STOP_POWER_OFF), 0);
	while (vmm_loop(&vmm, (uint32_t)_i) == -ECANCELED)
		;
	ck_assert_uint_eq(vmm.begun, 3);
	ck_assert_uint_eq(vmm.stores, 1);
	world_end(&world);
}
END_TEST

static void expect_no_thread(struct gh_vm *vm, const char *step)
{
	const struct gh_failure *failure = gh_vm_failure(vm);

	ck_assert(failure_is(failure, -EAGAIN));
	ck_assert_str_eq(failure->step, step);
	ck_assert_uint_eq(failure->cause_id, GH_CAUSE_NO_ROOM);
	ck_assert_ptr_nonnull(strstr(failure->cause, "another thread"));
}

/* Those that serve Gunyah's kicks and its levels: the start has failed, and a reset gets over it. */
START_TEST(test_no_thread_of_the_library)
{
	struct gh_irq_options options = GH_IRQ_OPTIONS_INIT;
	struct gh_sim *sim = new_sim(GUNYAH, "wfi; ack; echo 0x3f8 4; off");
	struct gh_vm *vm = open_sim(sim);
	struct gh_memory wrong = GH_MEMORY_INIT;
	struct gh_irq *irq = NULL;

	options.line = 5;
	options.flags = GH_IRQ_LEVEL;
	ck_assert_int_eq(gh_irq_add(vm, &options, &irq), 0);
	ck_assert_int_eq(gh_irq_set(irq, 1), 0);
	map_at(vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	put_tree(vm, &standard_tree);
	(void)add_vcpu(vm, 0);
	/* Whatever has failed before. */
	ck_assert_int_eq(gh_vm_map(vm, &wrong, NULL), -EINVAL);
	atomic_store(&failing_create, (unsigned int)_i + 1);
	ck_assert_int_eq(gh_vm_start(vm), -EAGAIN);
	ck_assert_uint_eq(failing_create, 0);
	expect_no_thread(vm, _i == 0 ? "start the VM" : "emulate a level-triggered line");
	ck_assert_int_eq(gh_vm_start(vm), -EBUSY);
	ck_assert_int_eq(gh_vm_reset(vm), 0);
	put_tree(vm, &standard_tree);
	ck_assert_int_eq(gh_vm_start(vm), 0);
	gh_vm_close(vm);
	end_sim(sim);
}
END_TEST

START_TEST(test_no_thread)
{
	begin((enum world_device)(_i % WORLD_DEVICES), "spin 1000; off", 3);
	atomic_store(&failing_create, (unsigned int)(_i / WORLD_DEVICES) + 1);
	ck_assert_int_eq(vmm_run(&vmm), -EAGAIN);
	ck_assert_uint_eq(failing_create, 0);
	expect_no_thread(world.vm, "run the VM");
	/* Later there may be room; or the vCPUs that had a thread have come to the end. */
	ck_assert_int_eq(vmm_run(&vmm), GH_STOP_POWER_OFF);
	world_end(&world);
}
END_TEST

START_TEST(test_second_run)
{
	struct background background;

	begin((enum world_device)_i, "wfi", 2);
	background_begin(&background, &vmm, -1);
	ck_assert(goes_beyond(&vmm.begun, 1));
	ck_assert_int_eq(vmm_run(&vmm), -EPERM);
	ck_assert(failure_is(gh_vm_failure(world.vm), -EPERM));
	pause_ms(10);
	ck_assert(!atomic_load(&background.done));
	ck_assert_uint_eq(vmm.begun, 2);
	ck_assert_int_eq(gh_vm_quit(world.vm), 0);
	ck_assert_int_eq(background_end(&background), -ECANCELED);
	world_end(&world);
}
END_TEST

/* --- arguments ---------------------------------------------------------------------------------------------------- */

START_TEST(test_arguments)
{
	struct {
		struct gh_loop_options options;
		uint64_t tail[2];
	} later = { .tail = { 0 } };
	struct gh_loop_options options;
	struct gh_vm *early;

	begin(WORLD_FAKE, "off", 1);
	options = vmm_options(&vmm);
	ck_assert_int_eq(gh_vcpu_loop(NULL, &options), -EINVAL);
	ck_assert_int_eq(gh_vcpu_loop(world.vcpus[0], NULL), -EINVAL);
	ck_assert_int_eq(gh_vm_run(NULL, &options), -EINVAL);
	ck_assert_int_eq(gh_vm_run(world.vm, NULL), -EINVAL);
	for (size_t size = 0; size < sizeof(options); size++) {
		options = vmm_options(&vmm);
		options.size = size;
		ck_assert_int_eq(gh_vm_run(world.vm, &options), -EINVAL);
	}
	early = open_fake(world.fake);
	options = vmm_options(&vmm);
	ck_assert_int_eq(gh_vm_run(early, &options), -EBUSY);
	ck_assert(failure_is(gh_vm_failure(early), -EBUSY));
	ck_assert_int_eq(gh_vcpu_loop(add_vcpu(early, 0), &options), -EBUSY);
	gh_vm_close(early);
	/* Of a later version: with something that this one does not know, and without. */
	later.options = options;
	later.options.size = sizeof(later);
	later.tail[1] = 1;
	ck_assert_int_eq(gh_vm_run(world.vm, &later.options), -EINVAL);
	later.tail[1] = 0;
	ck_assert_int_eq(gh_vm_run(world.vm, &later.options), GH_STOP_POWER_OFF);
	world_end(&world);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("loop");
	TCase *tcase = add_case(suite, "verdicts");

	tcase_add_loop_test(tcase, test_continue, 0, WORLD_DEVICES);
	tcase_add_loop_test(tcase, test_leave, 0, WORLD_DEVICES);
	tcase_add_loop_test(tcase, test_error_and_nonsense, 0, sizeof(verdicts) / sizeof(verdicts[0]));
	tcase_add_loop_test(tcase, test_unanswered, 0, WORLD_DEVICES);
	tcase_add_test(tcase, test_arguments);
	tcase = add_case(suite, "deferred");
	tcase_add_loop_test(tcase, test_deferred_and_answered_at_once, 0, WORLD_DEVICES);
	tcase_add_loop_test(tcase, test_deferred, 0, WORLD_DEVICES);
	tcase_add_loop_test(tcase, test_deferred_and_kicked, 0, WORLD_DEVICES);
	tcase_add_loop_test(tcase, test_deferred_and_ended, 0, WORLD_DEVICES);
	tcase = add_case(suite, "results");
	tcase_add_loop_test(tcase, test_causes, 0, WORLD_DEVICES * sizeof(ends) / sizeof(ends[0]));
	tcase_add_loop_test(tcase, test_every_cause, GH_STOP_OTHER, GH_STOP_LOAD_FAILED + 1);
	tcase_add_loop_test(tcase, test_one_fails, 0, 4);
	tcase_add_loop_test(tcase, test_one_handler_fails, 0, WORLD_DEVICES);
	tcase_add_loop_test(tcase, test_quit_from_a_thread, 0, WORLD_DEVICES * sizeof(places) / sizeof(places[0]));
	tcase_add_loop_test(tcase, test_quit_from_a_handler, 0, WORLD_DEVICES);
	tcase = add_case(suite, "threads");
	tcase_add_loop_test(tcase, test_names_and_signals, 0, WORLD_DEVICES);
	tcase_add_test(tcase, test_name_of_the_hook);
	tcase_add_loop_test(tcase, test_hook_fails, 0, 3);
	tcase_add_loop_test(tcase, test_no_thread, 0, WORLD_DEVICES * 3);
	tcase_add_loop_test(tcase, test_no_thread_of_the_library, 0, 2);
	tcase_add_loop_test(tcase, test_second_run, 0, WORLD_DEVICES);
	return run_suite(suite);
}
