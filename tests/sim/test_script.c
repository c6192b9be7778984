/* SPDX-License-Identifier: BSD-3-Clause */
/* The script engine, without a driver. */
#include "sim/engine.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct sim_engine *const engine = &sim_engine_script;

struct guest {
	void *vm;
	void *cpu;
	sigset_t unblocked;
	sigset_t old;
	struct sim_event event;
};

static int load_script(const char *script, void **ret_vm)
{
	struct sim_engine_options options = { script, 0 };

	return engine->vm_new(&options, ret_vm);
}

/* A VM with vCPU 0, and all signals blocked as a driver has them. */
static void begin(struct guest *guest, const char *script)
{
	sigset_t all;

	memset(guest, 0, sizeof(*guest));
	ck_assert_int_eq(load_script(script, &guest->vm), 0);
	ck_assert_int_eq(engine->vcpu_new(guest->vm, 0, true, &guest->cpu), 0);
	ck_assert_int_eq(engine->start(guest->vm), 0);
	sigfillset(&all);
	/* So that a test that hangs can be ended. */
	sigdelset(&all, SIGTERM);
	sigdelset(&all, SIGINT);
	sigemptyset(&guest->unblocked);
	sigaddset(&guest->unblocked, SIGUSR1);
	pthread_sigmask(SIG_SETMASK, &all, &guest->old);
}

static void end(struct guest *guest)
{
	pthread_sigmask(SIG_SETMASK, &guest->old, NULL);
	engine->vm_free(guest->vm);
}

static enum sim_event_kind run(struct guest *guest)
{
	ck_assert_int_eq(engine->run(guest->cpu, &guest->unblocked, &guest->event), 0);
	return guest->event.kind;
}

static uint64_t stored(const struct guest *guest)
{
	uint64_t value = 0;

	for (int i = 7; i >= 0; i--)
		value = value << 8 | guest->event.data[i];
	return value;
}

static void answer(struct guest *guest, uint64_t value, uint32_t width)
{
	uint8_t data[8];

	for (int i = 0; i < 8; i++)
		data[i] = (uint8_t)(value >> (8 * i));
	engine->answer(guest->cpu, data, width);
}

/* Takes SIGUSR1 away again. */
static void take_signal(void)
{
	const struct timespec now = { 0, 0 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	ck_assert_int_eq(sigtimedwait(&set, NULL, &now), SIGUSR1);
}

static const char *const malformed[] = {
	"bogus",
	"store 1 2",
	"store 1 2 3 4",
	"load 0x1000 0x100000000",
	"load x 4",
	"load -1 4",
	"load 1x 4",
	"load 99999999999999999999 4",
	"peek 0 3",
	"poke 0 16 1",
	"repeat",
	"repeat 2",
	"end",
	"repeat 1; end; end",
	"repeat 1; vcpu 1; end",
	"vcpu",
	"vcpu 64",
	"vcpu 1 2",
	"vcpu x",
	"raw",
	"raw   ",
	"signal 0",
	"signal 65",
	"register x31",
	"register r0",
	"register",
	"hvc",
	"hvc 1 2 3 4 5 6 7 8 9",
	"off 1",
	"reset2 1",
	"store +1 4 1",
	"expect",
	"spin 1 2",
	"ack;store",
};

START_TEST(test_malformed)
{
	void *vm = &vm;

	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
		ck_assert_msg(load_script(malformed[i], &vm) == -EINVAL, "\"%s\" was taken", malformed[i]);
	ck_assert_ptr_eq(vm, &vm);
}
END_TEST

START_TEST(test_comments_and_separators)
{
	struct guest guest;

	begin(&guest, "# first\n  store 0x10 1 2 ; ; store 16 1 0x03 # ; store 0 0 0\r\n\n\tstore 020 1 4");
	for (uint64_t value = 2; value <= 4; value++) {
		ck_assert_int_eq(run(&guest), SIM_EVENT_MMIO);
		ck_assert_uint_eq(guest.event.gpa, 16);
		ck_assert_uint_eq(stored(&guest), value);
	}
	end(&guest);
}
END_TEST

START_TEST(test_accesses)
{
	struct guest guest;

	begin(&guest,
	      "store 0xffffffffffffffff 8 0x1122334455667788; load 0x1000 2; echo 0x2000 77; load 0x1000 4; echo 4 4");
	ck_assert_int_eq(run(&guest), SIM_EVENT_MMIO);
	ck_assert(guest.event.is_write);
	ck_assert_uint_eq(guest.event.gpa, UINT64_MAX);
	ck_assert_uint_eq(guest.event.width, 8);
	ck_assert_uint_eq(stored(&guest), 0x1122334455667788);
	ck_assert_int_eq(run(&guest), SIM_EVENT_MMIO);
	ck_assert(!guest.event.is_write);
	answer(&guest, 0xffffffffffffabcd, guest.event.width);
	ck_assert_int_eq(run(&guest), SIM_EVENT_MMIO);
	/* Cut to the width of the load; a script may store with any width. */
	ck_assert_uint_eq(stored(&guest), 0xabcd);
	ck_assert_uint_eq(guest.event.width, 77);
	/* Nobody answers: 0, not what was there before. */
	ck_assert_int_eq(run(&guest), SIM_EVENT_MMIO);
	ck_assert_int_eq(run(&guest), SIM_EVENT_MMIO);
	ck_assert_uint_eq(stored(&guest), 0);
	end(&guest);
}
END_TEST

START_TEST(test_memory)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct guest guest;
	char script[400];

	(void)snprintf(script, sizeof(script),
		       "poke 0x1008 4 0xaabbccdd; peek 0x1009 2; echo 0 8\n"
		       "poke %#zx 8 1; poke %#zx 8 2; peek 0xff8 8; poke 0xffffffffffffffff 8 3\n"
		       "poke 0x100000 8 4; peek 0x100000 8; echo 0 8; peek %#zx 8",
		       0x1000 + 2 * page - 8, 0x1000 + 2 * page - 4, 0x1000 + page);
	begin(&guest, script);
	ck_assert_int_eq(engine->map(guest.vm, 0x1000, 2 * page, memory, 1 | 2 | 4), 0);
	ck_assert_int_eq(engine->map(guest.vm, 0x100000, page, memory, 1), 0);
	ck_assert_int_eq(run(&guest), SIM_EVENT_MMIO);
	ck_assert_uint_eq(stored(&guest), 0xbbcc);
	ck_assert_uint_eq(memory[8], 0xdd);
	/* The last eight bytes are there; four of the next are not, and it is an access to a device as a whole. */
	ck_assert_int_eq(run(&guest), SIM_EVENT_MMIO);
	ck_assert_uint_eq(guest.event.gpa, 0x1000 + 2 * page - 4);
	ck_assert_uint_eq(memory[2 * page - 8], 1);
	ck_assert_uint_eq(memory[2 * page - 4], 0);
	ck_assert_int_eq(run(&guest), SIM_EVENT_MMIO);
	ck_assert_uint_eq(guest.event.gpa, 0xff8);
	ck_assert(!guest.event.is_write);
	ck_assert_int_eq(run(&guest), SIM_EVENT_MMIO);
	ck_assert_uint_eq(guest.event.gpa, UINT64_MAX);
	/* Read-only: the store is reported, the load is not. */
	ck_assert_int_eq(run(&guest), SIM_EVENT_MMIO);
	ck_assert_uint_eq(guest.event.gpa, 0x100000);
	ck_assert(guest.event.is_write);
	ck_assert_int_eq(run(&guest), SIM_EVENT_MMIO);
	ck_assert_uint_eq(guest.event.gpa, 0);
	/* Memory that the host has taken away is no crash. */
	ck_assert_int_eq(munmap(memory + page, page), 0);
	ck_assert_int_eq(run(&guest), SIM_EVENT_MMIO);
	ck_assert_uint_eq(guest.event.gpa, 0x1000 + page);
	end(&guest);
	munmap(memory, page);
}
END_TEST

START_TEST(test_expect)
{
	struct guest guest;

	begin(&guest, "load 1 1; expect 5; store 2 1 1; expect 6; store 3 1 1");
	ck_assert_int_eq(run(&guest), SIM_EVENT_MMIO);
	answer(&guest, 5, 1);
	ck_assert_int_eq(run(&guest), SIM_EVENT_MMIO);
	ck_assert_uint_eq(guest.event.gpa, 2);
	/* A guest that has crashed stays so. */
	ck_assert_int_eq(run(&guest), SIM_EVENT_CRASH);
	ck_assert_int_eq(run(&guest), SIM_EVENT_CRASH);
	end(&guest);
}
END_TEST

START_TEST(test_abort)
{
	struct guest guest;

	begin(&guest, "load 1 1; expect-abort; store 2 1 1; load 1 1; store 3 1 1");
	ck_assert_int_eq(run(&guest), SIM_EVENT_MMIO);
	engine->abort(guest.cpu);
	ck_assert_int_eq(run(&guest), SIM_EVENT_MMIO);
	ck_assert_uint_eq(guest.event.gpa, 2);
	ck_assert_int_eq(run(&guest), SIM_EVENT_MMIO);
	engine->abort(guest.cpu);
	ck_assert_int_eq(run(&guest), SIM_EVENT_CRASH);
	end(&guest);
	/* None, though the guest expects one. */
	begin(&guest, "load 1 1; expect-abort");
	ck_assert_int_eq(run(&guest), SIM_EVENT_MMIO);
	ck_assert_int_eq(run(&guest), SIM_EVENT_CRASH);
	end(&guest);
}
END_TEST

START_TEST(test_events)
{
	const uint64_t results[4] = { 7, 8, 9, 10 };
	struct guest guest;

	begin(&guest, "off; reset; reset2 3 0x44; crash; hvc 1 2 3 4 5 6 7 8; echo 0 8; hvc 0x99; echo 0 8; raw a  b=1 ");
	ck_assert_int_eq(run(&guest), SIM_EVENT_OFF);
	ck_assert_int_eq(run(&guest), SIM_EVENT_RESET);
	ck_assert_int_eq(run(&guest), SIM_EVENT_RESET2);
	ck_assert_uint_eq(guest.event.args[0], 3);
	ck_assert_uint_eq(guest.event.args[1], 0x44);
	ck_assert_int_eq(run(&guest), SIM_EVENT_CRASH);
	ck_assert_int_eq(run(&guest), SIM_EVENT_HYPERCALL);
	ck_assert_uint_eq(guest.event.args[7], 8);
	engine->answer_hypercall(guest.cpu, results);
	ck_assert_int_eq(run(&guest), SIM_EVENT_MMIO);
	ck_assert_uint_eq(stored(&guest), 7);
	/* Without an answer x0 is what it was. */
	ck_assert_int_eq(run(&guest), SIM_EVENT_HYPERCALL);
	ck_assert_uint_eq(guest.event.args[1], 0);
	ck_assert_int_eq(run(&guest), SIM_EVENT_MMIO);
	ck_assert_uint_eq(stored(&guest), 0x99);
	ck_assert_int_eq(run(&guest), SIM_EVENT_RAW);
	ck_assert_str_eq(guest.event.raw, "a  b=1 ");
	end(&guest);
}
END_TEST

START_TEST(test_repeat_and_loop)
{
	static const uint64_t wanted[] = { 1, 2, 2, 1, 2, 2, 3, 1, 2 };
	struct guest guest;

	begin(&guest, "repeat 2; store 0 1 1; repeat 2; store 0 1 2; end; repeat 0; crash; end; end; store 0 1 3; loop");
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		ck_assert_int_eq(run(&guest), SIM_EVENT_MMIO);
		ck_assert_uint_eq(stored(&guest), wanted[i]);
	}
	end(&guest);
}
END_TEST

START_TEST(test_interrupts)
{
	struct guest guest;

	begin(&guest, "repeat 4; wfi; ack; echo 0 4; end; ack; echo 0 4");
	ck_assert_int_eq(engine->irq(guest.vm, 988, true), -EINVAL);
	ck_assert_int_eq(engine->irq(guest.vm, 987, true), 0);
	/* Twice before it is taken is once. */
	ck_assert_int_eq(engine->irq(guest.vm, 4, true), 0);
	ck_assert_int_eq(engine->irq(guest.vm, 4, true), 0);
	ck_assert_int_eq(engine->irq(guest.vm, 2, true), 0);
	ck_assert_int_eq(engine->irq(guest.vm, 2, false), 0);
	ck_assert_int_eq(run(&guest), SIM_EVENT_MMIO);
	ck_assert_uint_eq(stored(&guest), 32 + 2);
	ck_assert_int_eq(run(&guest), SIM_EVENT_MMIO);
	ck_assert_uint_eq(stored(&guest), 32 + 4);
	ck_assert_int_eq(run(&guest), SIM_EVENT_MMIO);
	ck_assert_uint_eq(stored(&guest), 32 + 987);
	/* Lowering a line interrupts nobody. */
	ck_assert_int_eq(engine->irq(guest.vm, 2, false), 0);
	engine->wake(guest.cpu);
	ck_assert_int_eq(run(&guest), SIM_EVENT_INTERRUPTED);
	ck_assert_int_eq(engine->irq(guest.vm, 0, true), 0);
	ck_assert_int_eq(run(&guest), SIM_EVENT_MMIO);
	ck_assert_uint_eq(stored(&guest), 32);
	ck_assert_int_eq(run(&guest), SIM_EVENT_MMIO);
	ck_assert_uint_eq(stored(&guest), 0x3ff);
	end(&guest);
}
END_TEST

START_TEST(test_registers)
{
	struct guest guest;

	begin(&guest, "register x30; echo 0 8; register sp; echo 0 8; register pstate; echo 0 8");
	ck_assert_int_eq(engine->set_register(guest.cpu, (enum sim_register)30, 30), 0);
	ck_assert_int_eq(engine->set_register(guest.cpu, SIM_REG_SP, 31), 0);
	ck_assert_int_eq(engine->set_register(guest.cpu, SIM_REG_PSTATE, 33), 0);
	ck_assert_int_eq(engine->set_register(guest.cpu, SIM_REG_SP_EL0, 34), 0);
	ck_assert_int_eq(engine->set_register(guest.cpu, SIM_REGISTERS, 0), -EINVAL);
	run(&guest);
	ck_assert_uint_eq(stored(&guest), 30);
	run(&guest);
	ck_assert_uint_eq(stored(&guest), 31);
	run(&guest);
	ck_assert_uint_eq(stored(&guest), 33);
	end(&guest);
}
END_TEST

/* What ends a sleep, and what does not. */
static const char *const endless[] = {
	"", "wfi", "spin", "loop", "repeat 1000000000; end", "cpu-off", "spin 1000000000000; off"
};

START_TEST(test_signals)
{
	struct guest guest;

	for (size_t i = 0; i < sizeof(endless) / sizeof(endless[0]); i++) {
		begin(&guest, endless[i]);
		/* Pending, but blocked by the caller. */
		pthread_kill(pthread_self(), SIGUSR2);
		pthread_kill(pthread_self(), SIGUSR1);
		ck_assert_int_eq(run(&guest), SIM_EVENT_INTERRUPTED);
		/* It is still there, and a second run ends the same way. */
		ck_assert_int_eq(run(&guest), SIM_EVENT_INTERRUPTED);
		take_signal();
		engine->wake(guest.cpu);
		ck_assert_int_eq(run(&guest), SIM_EVENT_INTERRUPTED);
		signal(SIGUSR2, SIG_IGN);
		signal(SIGUSR2, SIG_DFL);
		end(&guest);
	}
}
END_TEST

START_TEST(test_signal_action)
{
	struct guest guest;

	begin(&guest, "signal 10; peek 0 1; signal 10; wfi");
	ck_assert_int_eq(run(&guest), SIM_EVENT_MMIO);
	take_signal();
	ck_assert_int_eq(run(&guest), SIM_EVENT_INTERRUPTED);
	take_signal();
	end(&guest);
}
END_TEST

struct helper {
	struct guest *guest;
	void *cpu;
	atomic_bool awake; /* the guest has taken its interrupt */
	struct sim_event event;
};

static void *run_helper(void *data)
{
	struct helper *helper = data;

	(void)engine->run(helper->cpu, &helper->guest->unblocked, &helper->event);
	return NULL;
}

START_TEST(test_vcpus)
{
	struct helper helper = { .cpu = NULL };
	struct guest guest;
	pthread_t thread;
	void *same = NULL;

	begin(&guest, "on 1; echo 0 8; on 1; echo 0 8; on 5; echo 0 8; on 99; echo 0 8\n"
		      "vcpu 1; store 1 1 1; cpu-off; store 1 1 2\n"
		      "vcpu 0; store 2 1 0");
	ck_assert_int_eq(engine->vcpu_new(guest.vm, 0, true, &same), -EEXIST);
	ck_assert_int_eq(engine->vcpu_new(guest.vm, 64, true, &same), -EINVAL);
	ck_assert_int_eq(engine->vcpu_new(guest.vm, 1, false, &helper.cpu), 0);
	helper.guest = &guest;
	ck_assert_int_eq(pthread_create(&thread, NULL, run_helper, &helper), 0);
	usleep(20000);
	run(&guest);
	ck_assert_uint_eq(stored(&guest), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(helper.event.kind, SIM_EVENT_MMIO);
	ck_assert_uint_eq(helper.event.gpa, 1);
	run(&guest);
	ck_assert_uint_eq(stored(&guest), (uint64_t)-4);
	run(&guest);
	ck_assert_uint_eq(stored(&guest), (uint64_t)-2);
	run(&guest);
	ck_assert_uint_eq(stored(&guest), (uint64_t)-2);
	/* The part of a vCPU may come in pieces. */
	ck_assert_int_eq(run(&guest), SIM_EVENT_MMIO);
	ck_assert_uint_eq(guest.event.gpa, 2);
	end(&guest);
}
END_TEST

static void *interrupt_helper(void *data)
{
	struct helper *helper = data;

	usleep(20000);
	ck_assert_int_eq(engine->irq(helper->guest->vm, 3, true), 0);
	for (int i = 0; i < 60000 && !atomic_load(&helper->awake); i++)
		usleep(1000);
	usleep(20000);
	engine->wake(helper->cpu);
	return NULL;
}

START_TEST(test_wake_from_threads)
{
	struct helper helper;
	struct guest guest;
	pthread_t thread;

	begin(&guest, "wfi; ack; echo 0 4; wfi");
	helper.guest = &guest;
	helper.cpu = guest.cpu;
	atomic_init(&helper.awake, false);
	ck_assert_int_eq(pthread_create(&thread, NULL, interrupt_helper, &helper), 0);
	ck_assert_int_eq(run(&guest), SIM_EVENT_MMIO);
	atomic_store(&helper.awake, true);
	ck_assert_uint_eq(stored(&guest), 35);
	ck_assert_int_eq(run(&guest), SIM_EVENT_INTERRUPTED);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	end(&guest);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("script");
	TCase *tcase = tcase_create("engine");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, test_malformed);
	tcase_add_test(tcase, test_comments_and_separators);
	tcase_add_test(tcase, test_accesses);
	tcase_add_test(tcase, test_memory);
	tcase_add_test(tcase, test_expect);
	tcase_add_test(tcase, test_abort);
	tcase_add_test(tcase, test_events);
	tcase_add_test(tcase, test_repeat_and_loop);
	tcase_add_test(tcase, test_interrupts);
	tcase_add_test(tcase, test_registers);
	tcase_add_test(tcase, test_signals);
	tcase_add_test(tcase, test_signal_action);
	tcase_add_test(tcase, test_vcpus);
	tcase_add_test(tcase, test_wake_from_threads);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
