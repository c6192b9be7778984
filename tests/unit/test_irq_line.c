/* SPDX-License-Identifier: BSD-3-Clause */
/* Lines that the VMM sets: every documented refusal, levels and edges, and what a guest sees of them. */
#include "util.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

/* Says which interrupt it got, for ever. */
static const char echo_script[] = "wfi; ack; echo 0x3f8 4; loop";

static const char *const devices[] = { GUNYAH, GENIEZONE };

static struct gh_fake *fake;
static struct gh_vm *vm;

static void setup(void)
{
	fake = new_fake();
	vm = open_fake(fake);
}

static void teardown(void)
{
	gh_vm_close(vm);
	gh_fake_free(fake);
}

static int add(struct gh_vm *to, uint32_t line, uint32_t flags, struct gh_irq **ret_irq)
{
	struct gh_irq_options options = GH_IRQ_OPTIONS_INIT;
	int mark = 0;
	struct gh_irq *none = (struct gh_irq *)&mark;
	int ret;

	*ret_irq = none;
	options.line = line;
	options.flags = flags;
	ret = gh_irq_add(to, &options, ret_irq);
	if (ret < 0) {
		ck_assert_ptr_eq(*ret_irq, none);
		ck_assert(failure_is(gh_vm_failure(to), ret));
		*ret_irq = NULL;
	}
	return ret;
}

static struct gh_irq *must_add(struct gh_vm *to, uint32_t line, uint32_t flags)
{
	struct gh_irq *irq = NULL;

	ck_assert_int_eq(add(to, line, flags, &irq), 0);
	return irq;
}

static void check_line(uint32_t line, int level, uint64_t raised)
{
	uint64_t count = 0;

	ck_assert_int_eq(gh_fake_line(fake, line, &count), level);
	ck_assert_uint_eq(count, raised);
}

/* The tests of refusals, before the start and after it. */
static void maybe_start(int index)
{
	if (index == 1)
		(void)start_simply(vm);
}

/* --- refusals ----------------------------------------------------------------------------------------------------- */

START_TEST(test_null)
{
	struct gh_irq_options options = GH_IRQ_OPTIONS_INIT;
	struct gh_irq *irq = NULL;

	ck_assert_int_eq(gh_irq_add(NULL, &options, &irq), -EINVAL);
	ck_assert_int_eq(gh_irq_add(vm, NULL, &irq), -EINVAL);
	ck_assert_int_eq(gh_irq_add(vm, &options, NULL), -EINVAL);
	options.size = 4;
	ck_assert_int_eq(gh_irq_add(vm, &options, &irq), -EINVAL);
	ck_assert_ptr_null(irq);
	ck_assert_int_eq(gh_irq_set(NULL, 1), -EINVAL);
	ck_assert_int_eq(gh_irq_pulse(NULL), -EINVAL);
	ck_assert_int_eq(gh_irq_is_emulated(NULL), 0);
	gh_irq_remove(NULL);
	ck_assert_int_eq(gh_fake_line(NULL, 0, NULL), -EINVAL);
	ck_assert_int_eq(gh_fake_line(fake, 256, NULL), -ERANGE);
	ck_assert_int_eq(gh_fake_line(fake, 255, NULL), 0);
}
END_TEST

START_TEST(test_refused)
{
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	struct gh_irqfd *irqfd = NULL;
	struct gh_irq *irq = NULL;
	struct gh_irq *other = NULL;

	maybe_start(_i);
	ck_assert_int_eq(add(vm, 0, 1 << 1, &irq), -EINVAL);
	ck_assert_int_eq(add(vm, 0, UINT32_MAX, &irq), -EINVAL);
	ck_assert_int_eq(add(vm, 256, 0, &irq), -ERANGE);
	ck_assert_int_eq(add(vm, UINT32_MAX, 0, &irq), -ERANGE);
	/* One driver a line, of either kind. */
	ck_assert_int_eq(add(vm, 3, 0, &irq), 0);
	ck_assert_int_eq(add(vm, 3, 0, &other), -EEXIST);
	ck_assert_int_eq(add(vm, 3, GH_IRQ_LEVEL, &other), -EEXIST);
	options.line = 3;
	ck_assert_int_eq(gh_irqfd_add(vm, &options, &irqfd), -EEXIST);
	gh_irq_remove(irq);
	ck_assert_int_eq(gh_irqfd_add(vm, &options, &irqfd), 0);
	ck_assert_int_eq(add(vm, 3, 0, &irq), -EEXIST);
	gh_irqfd_remove(irqfd);
	ck_assert_int_eq(add(vm, 3, GH_IRQ_LEVEL, &irq), 0);
	ck_assert_int_eq(gh_irq_pulse(irq), -EINVAL);
	check_line(3, 0, 0);
}
END_TEST

/* The kernel would take it, drop every interrupt, and break when it goes. */
START_TEST(test_gunyah_without_doorbell)
{
	struct gh_sim *sim = new_sim(GUNYAH, echo_script);
	struct gh_vm *real = open_sim(sim);
	struct gh_irq *missing = must_add(real, 7, _i != 0 ? GH_IRQ_LEVEL : 0);
	struct gh_irq *present = must_add(real, 5, 0);
	struct gh_vcpu *vcpu;

	map_at(real, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	put_tree(real, &standard_tree);
	vcpu = add_vcpu(real, 0);
	/* Nothing has been asked of the kernel: the start can be tried again. */
	ck_assert_int_eq(gh_vm_start(real), -EINVAL);
	ck_assert(failure_is(gh_vm_failure(real), -EINVAL));
	gh_irq_remove(missing);
	ck_assert_int_eq(gh_irq_pulse(present), 0);
	ck_assert_int_eq(gh_vm_start(real), 0);
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, 5 + 32);
	ck_assert_int_eq(add(real, 7, _i != 0 ? GH_IRQ_LEVEL : 0, &missing), -EINVAL);
	gh_vm_close(real);
	end_sim(sim);
}
END_TEST

/* The builder of devicetrees knows direct lines as it knows irqfds. */
START_TEST(test_gunyah_doorbell_by_builder)
{
	struct gh_sim *sim = new_sim(GUNYAH, echo_script);
	struct gh_fdt_options options = GH_FDT_OPTIONS_INIT;
	struct gh_vm *real = open_sim(sim);
	struct gh_irq *level = must_add(real, 9, GH_IRQ_LEVEL);
	struct gh_irq *edge = must_add(real, 10, 0);
	struct gh_fdt *fdt = NULL;
	struct gh_vcpu *vcpu;

	map_at(real, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	vcpu = add_vcpu(real, 0);
	ck_assert_int_eq(gh_fdt_open(real, &options, &fdt), 0);
	ck_assert_int_eq(gh_fdt_finish(fdt, DTB_GPA, 0), 0);
	gh_fdt_close(fdt);
	ck_assert_int_eq(gh_vm_start(real), 0);
	ck_assert_int_eq(gh_irq_pulse(edge), 0);
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, 10 + 32);
	ck_assert_int_eq(gh_irq_set(level, 1), 0);
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, 9 + 32);
	gh_vm_close(real);
	end_sim(sim);
}
END_TEST

/* Without direct lines an irqfd stands in, which must do for what is asked. */
START_TEST(test_not_without_levels)
{
	static const uint64_t missing[] = { GH_FEATURE_IRQFD_LEVEL, GH_FEATURE_IRQFD_LEVEL | GH_FEATURE_IRQFD };
	struct gh_sim *sim = new_sim(GUNYAH, echo_script);
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_vm *real = NULL;
	struct gh_irq *irq = NULL;

	options.machine = sim;
	options.features_off = missing[_i];
	ck_assert_int_eq(gh_vm_open(&options, &real), 0);
	ck_assert_int_eq(add(real, 5, GH_IRQ_LEVEL, &irq), -EOPNOTSUPP);
	ck_assert_int_eq(add(real, 5, 0, &irq), _i == 0 ? 0 : -EOPNOTSUPP);
	gh_vm_close(real);
	end_sim(sim);
}
END_TEST

/* --- levels and edges, on the fake ---------------------------------------------------------------------------------- */

START_TEST(test_level)
{
	struct gh_irq *irq = must_add(vm, 3, GH_IRQ_LEVEL);

	ck_assert_int_eq(gh_irq_is_emulated(irq), 0);
	if (_i == 1)
		ck_assert_int_eq(gh_irq_set(irq, 1), 0);
	check_line(3, 0, 0);
	(void)start_simply(vm);
	check_line(3, _i, (uint64_t)_i);
	/* Nothing is asked for twice. */
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(gh_irq_set(irq, -1), 0);
	check_line(3, 1, 1);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(gh_irq_set(irq, 0), 0);
	check_line(3, 0, 1);
	ck_assert_int_eq(gh_irq_set(irq, 1), 0);
	check_line(3, 1, 2);
	/* What is removed is low, and free. */
	gh_irq_remove(irq);
	check_line(3, 0, 2);
	irq = must_add(vm, 3, GH_IRQ_LEVEL);
	check_line(3, 0, 2);
	ck_assert_int_eq(gh_irq_set(irq, 1), 0);
	check_line(3, 1, 3);
}
END_TEST

START_TEST(test_edge)
{
	struct gh_irq *irq = must_add(vm, 3, 0);

	(void)start_simply(vm);
	check_line(3, 0, 0);
	ck_assert_int_eq(gh_irq_set(irq, 1), 0);
	ck_assert_int_eq(gh_irq_set(irq, 1), 0);
	check_line(3, 1, 1);
	/* An edge-triggered line is never lowered. */
	ck_assert_int_eq(gh_irq_set(irq, 0), 0);
	check_line(3, 1, 1);
	ck_assert_int_eq(gh_irq_set(irq, 1), 0);
	check_line(3, 1, 2);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(gh_irq_pulse(irq), 0);
	check_line(3, 1, 5);
	gh_irq_remove(irq);
	check_line(3, 1, 5);
}
END_TEST

START_TEST(test_edge_before_start)
{
	struct gh_irq *irq = must_add(vm, 3, 0);

	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(gh_irq_pulse(irq), 0);
		ck_assert_int_eq(gh_irq_set(irq, 1), 0);
	}
	if (_i == 1)
		ck_assert_int_eq(gh_irq_set(irq, 0), 0);
	(void)start_simply(vm);
	check_line(3, 1, _i == 1 ? 1 : 2);
}
END_TEST

/* --- simulated devices ---------------------------------------------------------------------------------------------- */

static uint64_t next_interrupt(struct gh_vcpu *vcpu)
{
	const struct gh_exit *exit = run_once(vcpu);

	ck_assert_uint_eq(exit->kind, GH_EXIT_MMIO);
	return exit->mmio.value;
}

START_TEST(test_guest_gets_edges)
{
	struct gh_sim *sim = new_sim(devices[_i], echo_script);
	struct gh_vm *real = open_sim(sim);
	struct gh_irq *irq = must_add(real, 5, 0);
	struct gh_vcpu *vcpu;

	ck_assert_int_eq(gh_irq_is_emulated(irq), 0);
	ck_assert_int_eq(gh_irq_set(irq, 1), 0);
	vcpu = start_standard(real);
	ck_assert_uint_eq(next_interrupt(vcpu), 5 + 32);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(gh_irq_pulse(irq), 0);
		ck_assert_uint_eq(next_interrupt(vcpu), 5 + 32);
		ck_assert_int_eq(gh_irq_set(irq, 0), 0);
		ck_assert_int_eq(gh_irq_set(irq, 1), 0);
		ck_assert_uint_eq(next_interrupt(vcpu), 5 + 32);
	}
	/* It goes, and another one comes. */
	gh_irq_remove(irq);
	irq = must_add(real, 6, 0);
	ck_assert_int_eq(gh_irq_pulse(irq), 0);
	ck_assert_uint_eq(next_interrupt(vcpu), 6 + 32);
	gh_vm_close(real);
	end_sim(sim);
}
END_TEST

/* Gunyah's doorbells go down when the guest acknowledges: the library raises them again until the VMM says otherwise. */
START_TEST(test_gunyah_repeats_level)
{
	struct gh_sim *sim = new_sim(GUNYAH, echo_script);
	struct gh_vm *real = open_sim(sim);
	struct gh_irq *level = must_add(real, 6, GH_IRQ_LEVEL);
	struct gh_irq *edge = must_add(real, 5, 0);
	unsigned int late = 0;
	struct gh_vcpu *vcpu;

	ck_assert_int_eq(gh_irq_is_emulated(level), 1);
	ck_assert_int_eq(gh_irq_is_emulated(edge), 0);
	ck_assert_uint_eq(gh_vm_features(real) & GH_FEATURE_IRQ_LINE, 0);
	if (_i == 1)
		ck_assert_int_eq(gh_irq_set(level, 1), 0);
	vcpu = start_standard(real);
	/* Nobody says it again. */
	ck_assert_int_eq(gh_irq_set(level, 1), 0);
	for (int i = 0; i < 8; i++)
		ck_assert_uint_eq(next_interrupt(vcpu), 6 + 32);
	for (int round = 0; round < 3; round++) {
		ck_assert_int_eq(gh_irq_set(level, 1), 0);
		for (int i = 0; i < 8; i++) {
			ck_assert_uint_eq(next_interrupt(vcpu), 6 + 32);
			/* What a device says with each access to its registers. */
			ck_assert_int_eq(gh_irq_set(level, 1), 0);
		}
		ck_assert_int_eq(gh_irq_set(level, 0), 0);
		ck_assert_int_eq(gh_irq_set(level, 0), 0);
		/* Long enough for whoever repeats it to fall asleep: it must be woken for the next round. */
		pause_ms(10);
	}
	/* A pulse that the simulated kernel has seen may be on its way still, and one that waits for it to look again. */
	for (int i = 0; i < 10; i++) {
		pause_ms(1);
		ck_assert_int_eq(gh_irq_pulse(edge), 0);
		while (next_interrupt(vcpu) != 5 + 32)
			late++;
	}
	ck_assert_uint_le(late, 2);
	/* While it is repeated, it goes. */
	ck_assert_int_eq(gh_irq_set(level, 1), 0);
	gh_irq_remove(level);
	level = must_add(real, 6, GH_IRQ_LEVEL);
	ck_assert_int_eq(gh_irq_set(level, 1), 0);
	gh_vm_close(real);
	end_sim(sim);
}
END_TEST

static volatile sig_atomic_t signals;

static void count_signal(int number)
{
	(void)number;
	signals++;
}

/* Whoever repeats it is a thread of the library's: the process's signals are not for it, and the caller's mask stays. */
START_TEST(test_signals_are_the_process_s)
{
	const struct sigaction action = { .sa_handler = count_signal };
	const struct timespec now = { .tv_sec = 0, .tv_nsec = 0 };
	struct gh_sim *sim = new_sim(GUNYAH, echo_script);
	struct gh_vm *real = open_sim(sim);
	struct gh_irq *level = must_add(real, 6, GH_IRQ_LEVEL);
	struct sigaction old;
	sigset_t pending;
	sigset_t after;
	sigset_t mask;

	ck_assert_int_eq(sigaction(SIGUSR2, &action, &old), 0);
	ck_assert_int_eq(sigemptyset(&mask) | sigaddset(&mask, SIGUSR2), 0);
	/* Not before the start, which makes the threads: they would inherit this. */
	(void)start_standard(real);
	ck_assert_int_eq(gh_irq_set(level, 1), 0);
	ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, &mask, &after), 0);
	for (int number = 1; number < SIGRTMIN; number++)
		ck_assert_int_ne(sigismember(&after, number), 1);
	ck_assert_int_eq(kill(getpid(), SIGUSR2), 0);
	pause_ms(10);
	ck_assert_int_eq(sigpending(&pending), 0);
	ck_assert_int_eq(sigismember(&pending, SIGUSR2), 1);
	ck_assert_int_eq(sigtimedwait(&mask, NULL, &now), SIGUSR2);
	ck_assert_int_eq(signals, 0);
	ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, &after, NULL), 0);
	gh_vm_close(real);
	end_sim(sim);
	ck_assert_int_eq(sigaction(SIGUSR2, &old, NULL), 0);
}
END_TEST

START_TEST(test_geniezone_level)
{
	struct gh_sim *sim = new_sim(GENIEZONE, echo_script);
	struct gh_vm *real = open_sim(sim);
	struct gh_irq *irq = must_add(real, 987, GH_IRQ_LEVEL);
	struct gh_irq *other = NULL;
	struct gh_vcpu *vcpu;

	ck_assert_uint_ne(gh_vm_features(real) & GH_FEATURE_IRQ_LINE, 0);
	ck_assert_int_eq(gh_irq_is_emulated(irq), 0);
	ck_assert_int_eq(add(real, 988, 0, &other), -ERANGE);
	vcpu = start_standard(real);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(gh_irq_set(irq, 1), 0);
		ck_assert_uint_eq(next_interrupt(vcpu), 987 + 32);
		ck_assert_int_eq(gh_irq_set(irq, 0), 0);
	}
	gh_vm_close(real);
	end_sim(sim);
}
END_TEST

/* The level is what it was, so that setting it again asks again. */
START_TEST(test_geniezone_failure)
{
	struct gh_sim *sim = new_sim(GENIEZONE, "#! fail irq -5 -5 -5\nwfi; ack; echo 0x3f8 4; loop");
	struct gh_vm *real = open_sim(sim);
	struct gh_irq *irq = must_add(real, 5, GH_IRQ_LEVEL);

	(void)start_standard(real);
	ck_assert_int_eq(gh_irq_set(irq, 1), -EFAULT);
	ck_assert_int_eq(gh_irq_set(irq, 1), -EFAULT);
	ck_assert_int_eq(gh_irq_set(irq, 0), 0);
	gh_irq_remove(irq);
	irq = must_add(real, 5, 0);
	ck_assert_int_eq(gh_irq_pulse(irq), -EFAULT);
	gh_vm_close(real);
	end_sim(sim);
}
END_TEST

/* Before the start, that is the start's failure. */
START_TEST(test_geniezone_start_fails)
{
	struct gh_sim *sim = new_sim(GENIEZONE, "#! fail irq -5\nwfi; ack; echo 0x3f8 4; loop");
	struct gh_vm *real = open_sim(sim);
	struct gh_irq *irq = must_add(real, 5, GH_IRQ_LEVEL);
	struct gh_irq *other = NULL;

	ck_assert_int_eq(gh_irq_set(irq, 1), 0);
	map_at(real, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	(void)add_vcpu(real, 0);
	ck_assert_int_eq(gh_vm_start(real), -EFAULT);
	ck_assert(failure_is(gh_vm_failure(real), -EFAULT));
	ck_assert_int_eq(add(real, 6, 0, &other), -EBUSY);
	gh_irq_remove(irq);
	gh_vm_close(real);
	end_sim(sim);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("irq line");
	TCase *fakes = add_case(suite, "fake");
	TCase *sims = add_case(suite, "simulated devices");

	tcase_add_checked_fixture(fakes, setup, teardown);
	tcase_add_test(fakes, test_null);
	tcase_add_loop_test(fakes, test_refused, 0, 2);
	tcase_add_loop_test(fakes, test_level, 0, 2);
	tcase_add_test(fakes, test_edge);
	tcase_add_loop_test(fakes, test_edge_before_start, 0, 2);
	tcase_add_loop_test(sims, test_gunyah_without_doorbell, 0, 2);
	tcase_add_test(sims, test_gunyah_doorbell_by_builder);
	tcase_add_loop_test(sims, test_not_without_levels, 0, 2);
	tcase_add_loop_test(sims, test_guest_gets_edges, 0, 2);
	tcase_add_loop_test(sims, test_gunyah_repeats_level, 0, 2);
	tcase_add_test(sims, test_signals_are_the_process_s);
	tcase_add_test(sims, test_geniezone_level);
	tcase_add_test(sims, test_geniezone_failure);
	tcase_add_test(sims, test_geniezone_start_fails);
	return run_suite(suite);
}
