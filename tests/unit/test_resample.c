/* SPDX-License-Identifier: BSD-3-Clause */
/* Level-triggered irqfds with a resample descriptor, where the kernel tells nobody of an acknowledgement. */
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LINE 6u

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

static int add(struct gh_vm *to, uint32_t line, uint32_t flags, int fd, int resample_fd, struct gh_irqfd **ret_irqfd)
{
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	int mark = 0;
	struct gh_irqfd *none = (struct gh_irqfd *)&mark;
	int ret;

	*ret_irqfd = none;
	options.line = line;
	options.flags = flags;
	options.fd = fd;
	options.resample_fd = resample_fd;
	ret = gh_irqfd_add(to, &options, ret_irqfd);
	if (ret < 0) {
		ck_assert_ptr_eq(*ret_irqfd, none);
		ck_assert(failure_is(gh_vm_failure(to), ret));
		*ret_irqfd = NULL;
	}
	return ret;
}

static struct gh_irqfd *must_add(struct gh_vm *to, int fd, int resample_fd)
{
	struct gh_irqfd *irqfd = NULL;

	ck_assert_int_eq(add(to, LINE, GH_IRQ_LEVEL, fd, resample_fd, &irqfd), 0);
	ck_assert_int_eq(gh_irqfd_is_emulated(irqfd), 1);
	return irqfd;
}

/* Waits for the signal that follows an assertion. */
static uint64_t await_signal(int resample_fd)
{
	struct pollfd poll_fd = { .fd = resample_fd, .events = POLLIN };

	ck_assert_msg(poll(&poll_fd, 1, PATIENCE_MS) == 1, "nobody says that it is time to look again");
	return take_count(resample_fd);
}

static uint64_t raised(uint32_t line, int level)
{
	uint64_t count = 0;

	ck_assert_int_eq(gh_fake_line(fake, line, &count), level);
	return count;
}

/* --- refusals ----------------------------------------------------------------------------------------------------- */

START_TEST(test_refused)
{
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	struct gh_irqfd *irqfd = NULL;
	int fd = eventfd(0, EFD_CLOEXEC);
	int file = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);

	if (_i == 1)
		(void)start_simply(vm);
	ck_assert_int_eq(add(vm, LINE, 0, -1, fd, &irqfd), -EINVAL);
	ck_assert_int_eq(add(vm, LINE, GH_IRQ_LEVEL, -1, -2, &irqfd), -EINVAL);
	ck_assert_int_eq(add(vm, LINE, GH_IRQ_LEVEL, -1, file, &irqfd), -EINVAL);
	ck_assert_int_eq(add(vm, LINE, GH_IRQ_LEVEL, -1, 1023, &irqfd), -EBADF);
	ck_assert_int_eq(add(vm, LINE, GH_IRQ_LEVEL, 1023, fd, &irqfd), -EBADF);
	ck_assert_int_eq(add(vm, 256, GH_IRQ_LEVEL, -1, fd, &irqfd), -ERANGE);
	options.reserved2 = 1;
	ck_assert_int_eq(gh_irqfd_add(vm, &options, &irqfd), -EINVAL);
	ck_assert_int_eq(add(vm, LINE, GH_IRQ_LEVEL, -1, fd, &irqfd), 0);
	ck_assert_int_eq(add(vm, LINE, GH_IRQ_LEVEL, -1, fd, &irqfd), -EEXIST);
	ck_assert_int_eq(gh_irqfd_is_emulated(NULL), 0);
	(void)close(fd);
	(void)close(file);
}
END_TEST

/* A caller that was built when there was no such field. */
START_TEST(test_older_caller)
{
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	struct gh_irqfd *irqfd = NULL;

	options.size = offsetof(struct gh_irqfd_options, resample_fd);
	options.resample_fd = 1023;
	options.flags = GH_IRQ_LEVEL;
	ck_assert_int_eq(gh_irqfd_add(vm, &options, &irqfd), 0);
	ck_assert_int_eq(gh_irqfd_is_emulated(irqfd), 0);
}
END_TEST

/* --- the protocol, on the fake -------------------------------------------------------------------------------------- */

/* Each assertion is followed by a signal, and the line is low when that comes; never are there more signals than writes. */
START_TEST(test_signals)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	int resample_fd = eventfd(0, EFD_CLOEXEC);
	struct gh_irqfd *irqfd = must_add(vm, fd, resample_fd);
	uint64_t signals = 0;

	/* Before the start it counts, too. */
	if (_i == 1)
		ck_assert_int_eq(eventfd_write(fd, 1), 0);
	(void)start_simply(vm);
	if (_i == 1)
		ck_assert_uint_eq(await_signal(resample_fd), 1);
	ck_assert_uint_eq(raised(LINE, 0), (uint64_t)_i);
	for (uint64_t i = 1; i <= 10; i++) {
		/* By the library's descriptor, or by the caller's own. */
		if (i % 2 == 0)
			ck_assert_int_eq(gh_irqfd_raise(irqfd), 0);
		else
			ck_assert_int_eq(eventfd_write(fd, 1), 0);
		signals += await_signal(resample_fd);
		ck_assert_uint_eq(signals, i);
		ck_assert_uint_eq(raised(LINE, 0), i + (uint64_t)_i);
	}
	/* Nobody asserts it: nothing happens. */
	pause_ms(20);
	ck_assert_uint_eq(take_count(resample_fd), 0);
	ck_assert_uint_eq(raised(LINE, 0), 10 + (uint64_t)_i);
	(void)close(fd);
	(void)close(resample_fd);
}
END_TEST

START_TEST(test_coalesced)
{
	int resample_fd = eventfd(0, EFD_CLOEXEC);
	struct gh_irqfd *irqfd = must_add(vm, -1, resample_fd);
	uint64_t signals = 0;

	(void)start_simply(vm);
	for (int i = 0; i < 1000; i++)
		ck_assert_int_eq(gh_irqfd_raise(irqfd), 0);
	/* At least one, and at the end the line is low; how many depends on how long this took. */
	for (int i = 0; i < PATIENCE_MS && (signals == 0 || gh_fake_line(fake, LINE, NULL) != 0); i++) {
		signals += take_count(resample_fd);
		pause_ms(1);
	}
	ck_assert_uint_ge(signals, 1);
	ck_assert_uint_le(signals, 1000);
	ck_assert_uint_le(raised(LINE, 0), 1000);
	(void)close(resample_fd);
}
END_TEST

/* The object is gone, and its line low, whatever was going on. */
START_TEST(test_removed)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	int resample_fd = eventfd(0, EFD_CLOEXEC);
	uint64_t count;

	(void)start_simply(vm);
	for (int i = 0; i < 20; i++) {
		struct gh_irqfd *irqfd = must_add(vm, fd, resample_fd);

		ck_assert_int_eq(gh_irqfd_raise(irqfd), 0);
		if (i % 2 == 0)
			(void)await_signal(resample_fd);
		gh_irqfd_remove(irqfd);
		count = raised(LINE, 0);
		(void)take_count(resample_fd);
		ck_assert_int_eq(eventfd_write(fd, 1), 0);
		if (i % 5 == 0)
			pause_ms(2);
		ck_assert_uint_eq(raised(LINE, 0), count);
		ck_assert_uint_eq(take_count(resample_fd), 0);
		(void)take_count(fd);
	}
	(void)close(fd);
	(void)close(resample_fd);
}
END_TEST

/* Nobody reads the resample descriptor, and its counter is full: the thread does not wait for a reader. */
START_TEST(test_full_counter)
{
	int resample_fd = eventfd(0, EFD_CLOEXEC);
	struct gh_irqfd *irqfd = must_add(vm, -1, resample_fd);

	(void)start_simply(vm);
	ck_assert_int_eq(eventfd_write(resample_fd, UINT64_MAX - 1), 0);
	for (int i = 0; i < 5; i++) {
		uint64_t before = raised(LINE, 0);

		ck_assert_int_eq(gh_irqfd_raise(irqfd), 0);
		for (int j = 0; j < PATIENCE_MS; j++) {
			uint64_t now = 0;

			if (gh_fake_line(fake, LINE, &now) == 0 && now == before + 1)
				break;
			pause_ms(1);
		}
		ck_assert_uint_eq(raised(LINE, 0), before + 1);
	}
	(void)close(resample_fd);
}
END_TEST

/* --- simulated devices ---------------------------------------------------------------------------------------------- */

static uint64_t next_interrupt(struct gh_vcpu *vcpu)
{
	const struct gh_exit *exit = run_once(vcpu);

	ck_assert_uint_eq(exit->kind, GH_EXIT_MMIO);
	return exit->mmio.value;
}

/* A device that wants several interrupts, one after the other, and says so whenever it is asked. */
START_TEST(test_guest_gets_all)
{
	struct gh_sim *sim = new_sim(devices[_i], echo_script);
	struct gh_vm *real = open_sim(sim);
	int resample_fd = eventfd(0, EFD_CLOEXEC);
	struct gh_irqfd *irqfd = must_add(real, -1, resample_fd);
	struct gh_irqfd *edge = NULL;
	uint64_t signals = 0;
	struct gh_vcpu *vcpu;

	ck_assert_uint_eq(gh_vm_features(real) & GH_FEATURE_IRQFD_RESAMPLE, 0);
	ck_assert_int_eq(add(real, 5, 0, -1, -1, &edge), 0);
	ck_assert_int_eq(gh_irqfd_is_emulated(edge), 0);
	ck_assert_int_eq(gh_irqfd_raise(irqfd), 0);
	vcpu = start_standard(real);
	ck_assert_uint_eq(next_interrupt(vcpu), LINE + 32);
	for (int i = 0; i < 5; i++) {
		signals += await_signal(resample_fd);
		ck_assert_int_eq(gh_irqfd_raise(irqfd), 0);
		ck_assert_uint_eq(next_interrupt(vcpu), LINE + 32);
	}
	/* It has had enough. The early write may have been seen twice: before the start, and when it was repeated after it. */
	signals += await_signal(resample_fd);
	pause_ms(10);
	signals += take_count(resample_fd);
	ck_assert_uint_le(signals, 7);
	ck_assert_int_eq(gh_irqfd_raise(edge), 0);
	ck_assert_uint_eq(next_interrupt(vcpu), 5 + 32);
	/* And comes back. */
	gh_irqfd_remove(irqfd);
	irqfd = must_add(real, -1, resample_fd);
	ck_assert_int_eq(gh_irqfd_raise(irqfd), 0);
	ck_assert_uint_eq(next_interrupt(vcpu), LINE + 32);
	gh_vm_close(real);
	end_sim(sim);
	(void)close(resample_fd);
}
END_TEST

/* The limits of the hypervisor hold for emulated lines as for others. */
START_TEST(test_limits)
{
	struct gh_sim *sim = new_sim(devices[_i], echo_script);
	struct gh_vm *real = open_sim(sim);
	int resample_fd = eventfd(0, EFD_CLOEXEC);
	struct gh_irqfd *irqfd = NULL;
	int fd = eventfd(0, EFD_CLOEXEC);

	(void)start_standard(real);
	if (_i == 0) {
		ck_assert_int_eq(add(real, 7, GH_IRQ_LEVEL, -1, resample_fd, &irqfd), -EINVAL);
	} else {
		ck_assert_int_eq(add(real, 988, GH_IRQ_LEVEL, -1, resample_fd, &irqfd), -ERANGE);
		ck_assert_int_eq(add(real, 5, 0, fd, -1, &irqfd), 0);
		ck_assert_int_eq(add(real, 6, GH_IRQ_LEVEL, fd, resample_fd, &irqfd), -EBUSY);
	}
	gh_vm_close(real);
	end_sim(sim);
	(void)close(resample_fd);
	(void)close(fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("resample");
	TCase *fakes = add_case(suite, "fake");
	TCase *sims = add_case(suite, "simulated devices");

	tcase_add_checked_fixture(fakes, setup, teardown);
	tcase_add_loop_test(fakes, test_refused, 0, 2);
	tcase_add_test(fakes, test_older_caller);
	tcase_add_loop_test(fakes, test_signals, 0, 2);
	tcase_add_test(fakes, test_coalesced);
	tcase_add_test(fakes, test_removed);
	tcase_add_test(fakes, test_full_counter);
	tcase_add_loop_test(sims, test_guest_gets_all, 0, 2);
	tcase_add_loop_test(sims, test_limits, 0, 2);
	return run_suite(suite);
}
