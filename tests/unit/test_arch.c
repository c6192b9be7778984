/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The system call that a handler can take back. On x86-64 the processor steps through it, and the flag goes up at each of its
 * instructions in turn; elsewhere, and where nobody steps (valgrind), a timer hits it at random.
 */
#include "util.h"

#include "arch/enter.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

/* ThreadSanitizer runs handlers late, with a copy of the context: nothing can be taken back, and no test can see it. */
#if defined(__SANITIZE_THREAD__)
#define LATE_HANDLERS 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define LATE_HANDLERS 1
#endif
#endif
#ifndef LATE_HANDLERS
#define LATE_HANDLERS 0
#endif

#define BYTES 7
#define ALARMS 3000u
#define UNTOUCHED (-1)
#define TYPE_OF_NAMESPACE _IO(0xb7, 3)

static int pipe_fds[2];
static volatile uint32_t flag;
static volatile bool taken_back;

static void setup(void)
{
	ck_assert_int_eq(pipe(pipe_fds), 0);
	ck_assert_int_eq(write(pipe_fds[1], "1234567", BYTES), BYTES);
	flag = 0;
	taken_back = false;
}

static void teardown(void)
{
	(void)close(pipe_fds[0]);
	(void)close(pipe_fds[1]);
}

/* What is in the pipe; `*ret_value` tells whether the call was made at all. */
static __attribute__((noinline)) long ask(volatile int *ret_value)
{
	long ret;

	*ret_value = UNTOUCHED;
	ret = gh_arch_enter(pipe_fds[0], FIONREAD, (uintptr_t)ret_value, &flag);
	__asm__ volatile("" ::: "memory"); /* no tail call: this function is looked for on the stack */
	return ret;
}

/* --- results ------------------------------------------------------------------------------------------------------ */

START_TEST(test_results)
{
	volatile int value = 0;
	struct winsize size;
	int namespace;

	ck_assert_int_eq(ask(&value), 0);
	ck_assert_int_eq(value, BYTES);
	ck_assert_int_eq(gh_arch_enter(-1, FIONREAD, (uintptr_t)&value, &flag), -EBADF);
	ck_assert_int_eq(gh_arch_enter(pipe_fds[0], TIOCGWINSZ, (uintptr_t)&size, &flag), -ENOTTY);
	/* A request with a result of its own. */
	namespace = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (namespace >= 0 && ioctl(namespace, TYPE_OF_NAMESPACE) > 0)
		ck_assert_int_eq(gh_arch_enter(namespace, TYPE_OF_NAMESPACE, 0, &flag),
				 ioctl(namespace, TYPE_OF_NAMESPACE));
	if (namespace >= 0)
		(void)close(namespace);
}
END_TEST

static const uint32_t flags[] = { 1, 2, 3, 0x100, 0x80000000, UINT32_MAX };

START_TEST(test_flag_before_the_call)
{
	volatile int value = 0;

	flag = flags[_i];
	ck_assert_int_eq(ask(&value), -ECANCELED);
	ck_assert_int_eq(value, UNTOUCHED);
	ck_assert_int_eq(gh_arch_enter(-1, FIONREAD, 0, &flag), -ECANCELED);
	flag = 0;
	ck_assert_int_eq(ask(&value), 0);
	ck_assert_int_eq(value, BYTES);
}
END_TEST

/* --- at random ---------------------------------------------------------------------------------------------------- */

static volatile unsigned int alarms;

/* What the handler of a kick does. */
static void on_alarm(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)info;
	flag = 1;
	if (gh_arch_rewind(context))
		taken_back = true;
	alarms++;
}

/* All the outcomes there may be: made, interrupted (only valgrind does that to this request), or not made at all. */
static void check_outcome(long ret, int value)
{
	if (taken_back)
		ck_assert_int_eq(ret, -ECANCELED);
	if (ret == -ECANCELED) {
		ck_assert_uint_eq(flag, 1);
		ck_assert_int_eq(value, UNTOUCHED);
	} else if (ret == -EINTR) {
		ck_assert_uint_eq(flag, 1);
	} else {
		ck_assert_int_eq(ret, 0);
		ck_assert_int_eq(value, BYTES);
	}
}

/* One alarm at a time, each in a row of calls that ends with it: a slow machine has as many as a fast one, and no storm. */
START_TEST(test_signals_at_random)
{
	struct sigaction action = { .sa_sigaction = on_alarm, .sa_flags = SA_SIGINFO };
	struct sigaction old;

	ck_assert_int_eq(sigaction(SIGALRM, &action, &old), 0);
	alarms = 0;
	for (unsigned int i = 0; i < ALARMS; i++) {
		const struct itimerval soon = { { 0, 0 }, { 0, 20 + i % 64 } };

		ck_assert_int_eq(setitimer(ITIMER_REAL, &soon, NULL), 0);
		while (alarms == i) {
			volatile int value = 0;
			long ret;

			flag = 0;
			taken_back = false;
			ret = ask(&value);
			check_outcome(ret, value);
		}
	}
	ck_assert_uint_eq(alarms, ALARMS);
	ck_assert_int_eq(sigaction(SIGALRM, &old, NULL), 0);
}
END_TEST

/* --- step by step ------------------------------------------------------------------------------------------------- */

#if GH_ARCH_ENTER && defined(__x86_64__)

#define TRAP_FLAG 0x100

extern const char gh_arch_window[];
extern const char gh_arch_entered[];
extern const char gh_arch_cancel[];

static volatile bool stepping;
static volatile unsigned int step;   /* instructions of gh_arch_enter() so far */
static volatile unsigned int target; /* where the flag goes up */
static volatile uintptr_t hit;       /* that instruction's address, or 0 */
static volatile bool unwound;        /* it was possible to look back from there */

static _Unwind_Reason_Code find_caller(struct _Unwind_Context *context, void *data)
{
	bool *found = data;

	if (_Unwind_FindEnclosingFunction((void *)_Unwind_GetIP(context)) == (void *)(uintptr_t)ask)
		*found = true;
	return *found ? _URC_END_OF_STACK : _URC_NO_REASON;
}

static void on_step(int signal, siginfo_t *info, void *context)
{
	ucontext_t *user = context;
	uintptr_t pc = (uintptr_t)user->uc_mcontext.gregs[REG_RIP];
	bool found = false;

	(void)signal;
	(void)info;
	if (!stepping) {
		user->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
		return;
	}
	user->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
	if (pc < (uintptr_t)gh_arch_enter || pc > (uintptr_t)gh_arch_cancel + 8)
		return;
	if (step++ != target)
		return;
	(void)_Unwind_Backtrace(find_caller, &found);
	unwound = found;
	hit = pc;
	flag = 1;
	taken_back = gh_arch_rewind(context);
}

static long ask_stepping(volatile int *ret_value)
{
	long ret;

	flag = 0;
	taken_back = false;
	unwound = false;
	hit = 0;
	step = 0;
	stepping = true;
	(void)raise(SIGTRAP);
	ret = ask(ret_value);
	stepping = false;
	(void)raise(SIGTRAP);
	return ret;
}

static bool is_in_window(uintptr_t pc)
{
	return pc >= (uintptr_t)gh_arch_window && pc < (uintptr_t)gh_arch_entered;
}

START_TEST(test_every_instruction)
{
	struct sigaction action = { .sa_sigaction = on_step, .sa_flags = SA_SIGINFO };
	unsigned int in_window = 0;
	unsigned int others = 0;
	struct sigaction old;
	volatile int value = 0;
	long ret;

	ck_assert_int_eq(sigaction(SIGTRAP, &action, &old), 0);
	for (target = 0;; target++) {
		ret = ask_stepping(&value);
		if (hit == 0)
			break;
		ck_assert_msg(unwound, "no way back from %#lx", (unsigned long)(hit - (uintptr_t)gh_arch_enter));
		ck_assert_int_eq(taken_back, is_in_window(hit));
		/* Before the call and in the window it is not made; after it, it was. */
		ck_assert_int_eq(ret, hit < (uintptr_t)gh_arch_entered ? -ECANCELED : 0);
		ck_assert_int_eq(value, hit < (uintptr_t)gh_arch_entered ? UNTOUCHED : BYTES);
		in_window += is_in_window(hit);
		others += !is_in_window(hit);
	}
	ck_assert_int_eq(ret, 0);
	ck_assert_int_eq(value, BYTES);
	ck_assert_int_eq(sigaction(SIGTRAP, &old, NULL), 0);
	if (step == 0)
		return; /* nobody steps here */
	/* The look, the jump, the call; and the three before them at least. */
	ck_assert_uint_eq(in_window, 3);
	ck_assert_uint_ge(others, 3);
}
END_TEST

#endif

/* A context that is somewhere else is left alone. */
START_TEST(test_nothing_to_take_back)
{
	ucontext_t context;
	ucontext_t before;

	memset(&context, 0, sizeof(context));
	ck_assert_int_eq(getcontext(&context), 0);
	memcpy(&before, &context, sizeof(before));
	ck_assert(!gh_arch_rewind(&context));
	ck_assert_int_eq(memcmp(&before, &context, sizeof(before)), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("arch");
	TCase *tcase = add_case(suite, "enter");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, test_results);
	tcase_add_loop_test(tcase, test_flag_before_the_call, 0, sizeof(flags) / sizeof(flags[0]));
	tcase_add_test(tcase, test_nothing_to_take_back);
	if (!LATE_HANDLERS)
		tcase_add_test(tcase, test_signals_at_random);
#if GH_ARCH_ENTER && defined(__x86_64__)
	if (!LATE_HANDLERS)
		tcase_add_test(tcase, test_every_instruction);
#endif
	return run_suite(suite);
}
