/* SPDX-License-Identifier: BSD-3-Clause */
/* Every revision of the simulated /dev/gzvm: registers, RUN, and which exits reach user space. */
#include "gzvm_rev.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ALL(result)                                                                                                        \
	{                                                                                                                  \
		result, result, result, result, result, result, result, result                                             \
	}
#define REG(size_log2, index) (UINT64_C(0x6000000000100000) | (uint64_t)(size_log2) << 52 | (index))
#define PC 0x40u

/* --- registers ---------------------------------------------------------------------------------------------------- */

static const struct row register_rows[] = {
	{ "reg.set.size-1", ALL("0") },
	{ "reg.set.size-2", ALL("0") },
	{ "reg.set.size-4", ALL("0") },
	{ "reg.set.size-8", ALL("0") },
	{ "reg.set.null", ALL("EFAULT") },
	{ "reg.set.bad-value-pointer", ALL("EFAULT") },
	{ "reg.set.on-vcpu1", { "0", "0", "EPERM", "0", "0", "0", "0", "0" } },
	{ "reg.set.null-on-vcpu1", { "EFAULT", "EFAULT", "EPERM", "EFAULT", "EFAULT", "EFAULT", "EFAULT", "EFAULT" } },
#define GETS(old)                                                                                                          \
	{                                                                                                                  \
		old, old, "EOPNOTSUPP", "EOPNOTSUPP", "EOPNOTSUPP", "EOPNOTSUPP", "EOPNOTSUPP", "EOPNOTSUPP"               \
	}
	{ "reg.get.pc", GETS("0 0x80001234") },
	{ "reg.get.null", GETS("EFAULT") },
	{ "reg.get.bad-value-pointer", GETS("EFAULT") },
};

static int one_reg(struct rig *rig, int vcpu, unsigned long request, uint64_t id, const void *value)
{
	const struct uapi_gzvm_one_reg reg = { id, (uintptr_t)value };

	return rig_ioctl(rig, vcpu, request, &reg);
}

static const char *set_word(struct rig *rig, int vcpu, uint64_t id, uint64_t value)
{
	return word(one_reg(rig, vcpu, UAPI_GZVM_SET_ONE_REG, id, &value), false);
}

static void show_get(struct rig *rig, struct shown *shown)
{
	uint64_t value = 0;
	int ret = one_reg(rig, rig->vcpu, UAPI_GZVM_GET_ONE_REG, UAPI_GZVM_REG_PC, &value);

	if (ret == 0)
		show(shown, "reg.get.pc", "0 0x%llx", (unsigned long long)value);
	else
		show(shown, "reg.get.pc", "%s", word(ret, false));
	show(shown, "reg.get.null", "%s", word(rig_ioctl_value(rig, rig->vcpu, UAPI_GZVM_GET_ONE_REG, 0), false));
	show(shown, "reg.get.bad-value-pointer", "%s",
	     word(one_reg(rig, rig->vcpu, UAPI_GZVM_GET_ONE_REG, UAPI_GZVM_REG_PSTATE, NULL), false));
}

START_TEST(test_registers)
{
	struct shown shown = SHOWN(register_rows, _i);
	struct rig rig;
	int second;

	rig_open_on(&rig, revisions[_i], "register pc; echo 0x1000 8");
	second = rig_ioctl_value(&rig, rig.vm, UAPI_GZVM_CREATE_VCPU, 1);
	ck_assert_int_ge(second, 0);
	show(&shown, "reg.set.size-1", "%s", set_word(&rig, rig.vcpu, REG(0, PC), 1));
	show(&shown, "reg.set.size-2", "%s", set_word(&rig, rig.vcpu, REG(1, PC), 1));
	show(&shown, "reg.set.size-4", "%s", set_word(&rig, rig.vcpu, REG(2, PC), 1));
	show(&shown, "reg.set.size-8", "%s", set_word(&rig, rig.vcpu, REG(3, PC), 0x80001234));
	show(&shown, "reg.set.null", "%s", word(rig_ioctl_value(&rig, rig.vcpu, UAPI_GZVM_SET_ONE_REG, 0), false));
	show(&shown, "reg.set.bad-value-pointer", "%s",
	     word(one_reg(&rig, rig.vcpu, UAPI_GZVM_SET_ONE_REG, REG(3, 0), NULL), false));
	show(&shown, "reg.set.on-vcpu1", "%s", set_word(&rig, second, UAPI_GZVM_REG_PSTATE, 0x3c5));
	show(&shown, "reg.set.null-on-vcpu1", "%s", word(rig_ioctl_value(&rig, second, UAPI_GZVM_SET_ONE_REG, 0), false));
	show_get(&rig, &shown);
	ck_assert_int_eq(rig_run(&rig), 0);
	ck_assert_uint_eq(data_of(&rig.run), 0x80001234);
	rig_close_fd(&rig, &second);
	rig_close_broken(&rig, false);
	all_shown(&shown);
}
END_TEST

/* The first revisions copy as many bytes as the id says over eight of the kernel's. */
START_TEST(test_large_registers)
{
	uint8_t value[128] = { 0x78, 0x56, 0x34, 0x12 };
	struct rig rig;

	rig_open_on(&rig, revisions[_i], "register x1; echo 0x1000 8");
	ck_assert_int_eq(one_reg(&rig, rig.vcpu, UAPI_GZVM_SET_ONE_REG, REG(7, 2), value), _i <= V4 ? 0 : -EINVAL);
	ck_assert_int_eq(rig_run(&rig), 0);
	ck_assert_uint_eq(data_of(&rig.run), _i <= V4 ? 0x12345678 : 0);
	rig_close_broken(&rig, _i <= V4);
}
END_TEST

/* --- RUN ---------------------------------------------------------------------------------------------------------- */

START_TEST(test_header)
{
	const bool ignored = _i <= V5;
	struct rig rig;

	rig_open_on(&rig, revisions[_i], "store 0x1000 4 1; store 0x1000 4 2; store 0x1000 4 3");
	rig.run.padding[0] = 1;
	rig.run.immediate_exit = 1;
	ck_assert_int_eq(rig_run(&rig), ignored ? -EINTR : -EINVAL);
	ck_assert_uint_eq(rig.run.exit_reason, 0);
	rig.run.immediate_exit = 0;
	ck_assert_int_eq(rig_run(&rig), ignored ? 0 : -EINVAL);
	ck_assert_uint_eq(rig.run.u.mmio.data[0], ignored ? 1 : 0);
	memset(&rig.run, 0, sizeof(rig.run));
	rig.run.immediate_exit = 1;
	ck_assert_int_eq(rig_run(&rig), -EINTR);
	/* Only the value 1 counts. */
	rig.run.immediate_exit = 2;
	ck_assert_int_eq(rig_run(&rig), 0);
	ck_assert_uint_eq(rig.run.u.mmio.data[0], ignored ? 2 : 1);
	rig_close_broken(&rig, false);
}
END_TEST

/* --- exits -------------------------------------------------------------------------------------------------------- */

/* What an exit that the kernel handles is followed by. */
#define NEXT "MMIO write pa=0x1000 size=4 data=0x99 reg=0"
#define FROM_V12(old, new, early, newer)                                                                                   \
	{                                                                                                                  \
		old, old, old, old, new, early, newer, newer                                                               \
	}

static const struct exit_case {
	struct row row;
	const char *script;
} exit_cases[] = {
	{ { "exit.unknown", ALL("0 UNKNOWN raw0=0x5") }, "raw exit UNKNOWN raw0=5" },
	{ { "exit.0c", ALL("0 0c raw0=0x5") }, "raw exit 0x9292000c raw0=5" },
	{ { "exit.0x1", ALL("0 0x1 raw0=0x5") }, "raw exit 1 raw0=5" },
	{ { "exit.debug", ALL("0 DEBUG raw0=0x5") }, "raw exit DEBUG raw0=5" },
	{ { "exit.irq", ALL("0 " NEXT) }, "raw exit IRQ" },
	{ { "exit.gz", ALL("0 " NEXT) }, "raw exit GZ" },
	{ { "exit.idle", FROM_V12("0 IDLE raw0=0x5", "0 " NEXT, "0 " NEXT, "0 " NEXT) }, "raw exit IDLE raw0=5" },
	{ { "exit.ipi", FROM_V12("0 IPI raw0=0x5", "0 " NEXT, "0 IPI raw0=0x5", "0 " NEXT) }, "raw exit IPI raw0=5" },
	{ { "exit.fail", ALL("0 0x0 raw0=0x0") }, "raw fail" },
	{ { "exit.hypercall", ALL("0 HYPERCALL 0xc6000001,0x2,0x3,0x4") }, "hvc 0xc6000001 2 3 4" },
	{ { "exit.hypercall-relinquish",
	    { "0 HYPERCALL 0xc6000009,0x12345000,0x0,0x0", "0 HYPERCALL 0xc6000009,0x12345000,0x0,0x0", "0 " NEXT,
	      "0 " NEXT, "0 " NEXT, "0 " NEXT, "0 " NEXT, "0 " NEXT } },
	  "hvc 0xc6000009 0x12345000" },
	{ { "exit.hypercall-ptp", FROM_V12("0 HYPERCALL 0x86000001,0x0,0x0,0x0", "0 " NEXT, "0 " NEXT, "0 " NEXT) },
	  "hvc 0x86000001" },
#define FAULT(text)                                                                                                        \
	{                                                                                                                  \
		"0 EXCEPTION exc=1 err=7 gpa=0x0", "0 EXCEPTION exc=1 err=7 gpa=0x0", text, text, text, text, text, text   \
	}
	{ { "exit.page-fault-in-slot", FAULT("0 " NEXT) }, "raw exit EXCEPTION exc=1 err=7 gpa=0x80000000" },
	{ { "exit.page-fault-outside", FAULT("0 EXCEPTION exc=1 err=7 gpa=0x70000000") },
	  "raw exit EXCEPTION exc=1 err=7 gpa=0x70000000" },
	{ { "exit.exception-type-0",
	    { "0 EXCEPTION exc=0 err=7 gpa=0x0", "0 EXCEPTION exc=0 err=7 gpa=0x0", "0 EXCEPTION exc=0 err=7 gpa=0x0",
	      "0 EXCEPTION exc=0 err=7 gpa=0x0", "0 EXCEPTION exc=0 err=7 gpa=0x0", "0 EXCEPTION exc=0 err=7 gpa=0x0",
	      "0 EXCEPTION exc=0 err=7 gpa=0x0", "0 EXCEPTION exc=0 err=7 gpa=0x0" } },
	  "raw exit EXCEPTION exc=0 err=7" },
	{ { "exit.exception-reserved",
	    { "0 EXCEPTION exc=0 err=7 gpa=0x0", "0 EXCEPTION exc=0 err=7 gpa=0x0", "0 EXCEPTION exc=0 err=7 gpa=0x0",
	      "0 " NEXT, "0 " NEXT, "0 " NEXT, "0 " NEXT, "0 " NEXT } },
	  "raw exit EXCEPTION exc=0 err=7 reserved=1" },
	{ { "exit.page-fault-outside-reserved",
	    { "0 EXCEPTION exc=1 err=7 gpa=0x0", "0 EXCEPTION exc=1 err=7 gpa=0x0",
	      "0 EXCEPTION exc=1 err=7 gpa=0x70000000", "0 " NEXT, "0 " NEXT, "0 " NEXT, "0 " NEXT, "0 " NEXT } },
	  "raw exit EXCEPTION exc=1 err=7 gpa=0x70000000 reserved=1" },
	{ { "exit.system-event", ALL("0 SYSTEM_EVENT type=5 ndata=1 data0=0xabc") },
	  "raw exit SYSTEM_EVENT type=5 ndata=1 data=0xabc" },
	{ { "exit.shutdown", ALL("0 SHUTDOWN raw0=0x5") }, "raw exit SHUTDOWN raw0=5" },
	{ { "exit.fail-entry", ALL("0 FAIL_ENTRY reason=0x5 cpu=3") }, "raw exit FAIL_ENTRY reason=5 cpu=3" },
};

START_TEST(test_exits)
{
	const struct exit_case *exit = &exit_cases[(size_t)_i / REVISIONS];
	const enum revision revision = (enum revision)((size_t)_i % REVISIONS);
	struct shown shown = { .rows = &exit->row, .count = 1, .revision = revision };
	void *memory = guest_memory(2 * PAGE);
	char script[160];
	struct rig rig;

	(void)snprintf(script, sizeof(script), "%s; store 0x1000 4 0x99", exit->script);
	rig_open_on(&rig, revisions[revision], script);
	ck_assert_int_eq(set_mem(&rig, 0, 0x80000000, 2 * PAGE, memory), 0);
	show(&shown, exit->row.name, "%s", run_text(&rig));
	rig_close_broken(&rig, false);
	guarded_free(memory, 2 * PAGE);
}
END_TEST

/* The kernel's answer stands where the question was, and reaches the guest: hours since 1970 cannot be 0. */
START_TEST(test_time)
{
	struct rig rig;

	if (_i < V12)
		return;
	rig_open_on(&rig, revisions[_i], "hvc 0x86000001; echo 0x1000 8");
	ck_assert_int_eq(rig_run(&rig), 0);
	ck_assert_uint_gt(data_of(&rig.run), 0);
	ck_assert_uint_lt(data_of(&rig.run), 0x80000000);
	rig_close_broken(&rig, false);
}
END_TEST

/* --- interruptions ------------------------------------------------------------------------------------------------ */

static atomic_int handled;

static void count_signal(int signal)
{
	(void)signal;
	atomic_fetch_add(&handled, 1);
}

static void handle_signals(void)
{
	struct sigaction action = { .sa_handler = count_signal };

	(void)sigemptyset(&action.sa_mask);
	ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
}

#define SIGNAL "signal 10; "

/* EINTR, with an exit in the buffer that the kernel has handled, or has not. */
START_TEST(test_interrupted_exits)
{
	void *memory = guest_memory(2 * PAGE);
	struct rig rig;

	handle_signals();
	rig_open_on(&rig, revisions[_i],
		    SIGNAL "store 0x1000 4 1\n" SIGNAL "hvc 0xc6000009 0x12345000\n" SIGNAL "hvc 0x86000001\n" SIGNAL
			   "raw exit EXCEPTION exc=1 gpa=0x80000000; store 0x1000 4 2");
	ck_assert_int_eq(set_mem(&rig, 0, 0x80000000, 2 * PAGE, memory), 0);
	ck_assert_str_eq(run_text(&rig), "EINTR MMIO write pa=0x1000 size=4 data=0x1 reg=0");
	ck_assert_str_eq(run_text(&rig), "EINTR HYPERCALL 0xc6000009,0x12345000,0x0,0x0");
	ck_assert_int_eq(rig_run(&rig), -EINTR);
	ck_assert_uint_eq(rig.run.exit_reason, UAPI_GZVM_EXIT_HYPERCALL);
	/* An answer is no function any more. */
	ck_assert_int_eq(rig.run.u.hypercall.args[0] == UAPI_GZVM_HVC_PTP, _i < V12);
	memset(&rig.run, 0, sizeof(rig.run));
	ck_assert_int_eq(rig_run(&rig), -EINTR);
	ck_assert_uint_eq(rig.run.exit_reason, UAPI_GZVM_EXIT_EXCEPTION);
	ck_assert_uint_eq(rig.run.u.exception.fault_gpa, _i <= V4 ? 0 : 0x80000000);
	ck_assert_str_eq(run_text(&rig), "0 MMIO write pa=0x1000 size=4 data=0x2 reg=0");
	ck_assert_int_ge(atomic_load(&handled), 4);
	rig_close_broken(&rig, false);
	guarded_free(memory, 2 * PAGE);
}
END_TEST

static atomic_bool awake;

/* One that comes before RUN ends nothing: again and again. */
static void *raise_lines(void *data)
{
	const struct uapi_gzvm_irq_level line = { UAPI_GZVM_IRQ_TYPE_SPI | 5, 1 };
	struct rig *rig = data;

	for (int i = 0; i < 60000 && !atomic_load(&awake); i++) {
		ck_assert_int_eq(rig_ioctl(rig, rig->vm, UAPI_GZVM_IRQ_LINE, &line), 0);
		(void)usleep(1000);
	}
	return NULL;
}

/* A guest that is idle until its timer, and with some kernels until any interrupt. */
START_TEST(test_idle)
{
	pthread_t thread;
	struct rig rig;

	if (_i < V12)
		return;
	/* A short sleep ends by itself. */
	rig_open_on(&rig, revisions[_i], "raw exit IDLE delay=1000000; store 0x1000 4 0x99");
	ck_assert_str_eq(run_text(&rig), "0 " NEXT);
	rig_close_broken(&rig, false);
	/* A signal ends a long one. */
	handle_signals();
	rig_open_on(&rig, revisions[_i], SIGNAL "raw exit IDLE delay=3600000000000; store 0x1000 4 0x99");
	ck_assert_int_eq(rig_run(&rig), -EINTR);
	ck_assert_str_eq(run_text(&rig), "0 " NEXT);
	rig_close_broken(&rig, false);
	if (_i == A16_EARLY)
		return;
	atomic_store(&awake, false);
	rig_open_on(&rig, revisions[_i], "raw exit IDLE delay=3600000000000; store 0x1000 4 0x99");
	ck_assert_int_eq(pthread_create(&thread, NULL, raise_lines, &rig), 0);
	ck_assert_str_eq(run_text(&rig), "0 " NEXT);
	atomic_store(&awake, true);
	(void)pthread_join(thread, NULL);
	rig_close_broken(&rig, false);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("gzvm_rev_run");
	TCase *tcase = tcase_create("run");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tcase, 120);
	tcase_add_loop_test(tcase, test_registers, 0, REVISIONS);
	tcase_add_loop_test(tcase, test_large_registers, 0, REVISIONS);
	tcase_add_loop_test(tcase, test_header, 0, REVISIONS);
	tcase_add_loop_test(tcase, test_exits, 0, (int)(COUNT(exit_cases) * REVISIONS));
	tcase_add_loop_test(tcase, test_time, 0, REVISIONS);
	tcase_add_loop_test(tcase, test_interrupted_exits, 0, REVISIONS);
	tcase_add_loop_test(tcase, test_idle, 0, REVISIONS);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
