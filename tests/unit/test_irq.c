/* SPDX-License-Identifier: BSD-3-Clause */
/* Lines that eventfds raise: every documented refusal, and what a guest sees of them on the simulated devices. */
#include "table.h"
#include "uapi/gunyah.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <libfdt.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PORT UINT64_C(0x3f8)

/* Says which interrupt it got, for ever. */
static const char echo_script[] = "wfi; ack; echo 0x3f8 4; loop";

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

static int add(struct gh_vm *to, uint32_t line, uint32_t flags, int fd, struct gh_irqfd **ret_irqfd)
{
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	int mark = 0;
	struct gh_irqfd *none = (struct gh_irqfd *)&mark;
	int ret;

	*ret_irqfd = none;
	options.line = line;
	options.flags = flags;
	options.fd = fd;
	ret = gh_irqfd_add(to, &options, ret_irqfd);
	if (ret < 0) {
		ck_assert_ptr_eq(*ret_irqfd, none);
		ck_assert(failure_is(gh_vm_failure(to), ret));
		*ret_irqfd = NULL;
	}
	return ret;
}

/* The tests of refusals, before the start and after it. */
static void maybe_start(int index)
{
	if (index == 1)
		(void)start_simply(vm);
}

START_TEST(test_null)
{
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	struct gh_irqfd *irqfd = NULL;

	ck_assert_int_eq(gh_irqfd_add(NULL, &options, &irqfd), -EINVAL);
	ck_assert_int_eq(gh_irqfd_add(vm, NULL, &irqfd), -EINVAL);
	ck_assert_int_eq(gh_irqfd_add(vm, &options, NULL), -EINVAL);
	ck_assert_ptr_null(irqfd);
	ck_assert_int_eq(gh_irqfd_raise(NULL), -EINVAL);
	ck_assert_int_eq(gh_irqfd_fd(NULL), -1);
	gh_irqfd_remove(NULL);
}
END_TEST

START_TEST(test_refused)
{
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	struct gh_irqfd *irqfd = NULL;
	int pipe_fds[2];
	int file;

	maybe_start(_i);
	ck_assert_int_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
	file = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(add(vm, 0, 1 << 1, -1, &irqfd), -EINVAL);
	ck_assert_int_eq(add(vm, 0, UINT32_MAX, -1, &irqfd), -EINVAL);
	ck_assert_int_eq(add(vm, 0, 0, -2, &irqfd), -EINVAL);
	options.reserved = 1;
	ck_assert_int_eq(gh_irqfd_add(vm, &options, &irqfd), -EINVAL);
	ck_assert_int_eq(add(vm, 0, 0, pipe_fds[0], &irqfd), -EINVAL);
	ck_assert_int_eq(add(vm, 0, 0, pipe_fds[1], &irqfd), -EINVAL);
	ck_assert_int_eq(add(vm, 0, 0, file, &irqfd), -EINVAL);
	ck_assert_int_eq(add(vm, 0, 0, 1023, &irqfd), -EBADF);
	ck_assert_int_eq(add(vm, 256, 0, -1, &irqfd), -ERANGE);
	ck_assert_int_eq(add(vm, UINT32_MAX, 0, -1, &irqfd), -ERANGE);
	ck_assert_int_eq(add(vm, 255, GH_IRQ_LEVEL, -1, &irqfd), 0);
	(void)close(pipe_fds[0]);
	(void)close(pipe_fds[1]);
	(void)close(file);
}
END_TEST

static const char *without_id(const char *path)
{
	return strncmp(path, "/proc/self/fdinfo/", 18) == 0 ? "eventfd-count: 0\n" : NULL;
}

/*
 * One eventfd may raise several lines, unless the kernel has one line for each (KVM, GenieZone). Kernels before 5.2 do not say
 * whether two descriptors are of one eventfd: nothing is refused then that could be right.
 */
START_TEST(test_one_eventfd)
{
	struct gh_sim *sim = new_sim(_i == 0 ? GUNYAH : GENIEZONE, echo_script);
	struct gh_vm *real = open_sim(sim);
	struct gh_irqfd *irqfd = NULL;
	int fds[2] = { eventfd(0, EFD_CLOEXEC), eventfd(0, EFD_CLOEXEC) };

	ck_assert_int_eq(add(real, 5, 0, fds[0], &irqfd), 0);
	ck_assert_int_eq(add(real, 6, 0, fds[0], &irqfd), _i == 0 ? 0 : -EBUSY);
	ck_assert_int_eq(add(real, 7, 0, fds[1], &irqfd), 0);
	table_on_open = without_id;
	for (uint32_t i = 0; i < 2; i++)
		ck_assert_int_eq(add(real, 8 + i, 0, -1, &irqfd), 0);
	table_on_open = NULL;
	gh_vm_close(real);
	end_sim(sim);
	(void)close(fds[0]);
	(void)close(fds[1]);
}
END_TEST

/* Where /proc is hidden the kernel is left to say what is no eventfd; what cannot be looked at for another reason is refused. */
START_TEST(test_no_proc)
{
	static const int errors[] = { -ENOENT, -EPERM, -ENOSYS, -EMFILE };
	struct gh_sim *sim = new_sim(GENIEZONE, echo_script);
	struct gh_vm *real = open_sim(sim);
	struct gh_irqfd *irqfd = NULL;
	int ret = 0;

	table_counts = true;
	for (unsigned long n = 1; strcmp(table_victim(), "open") != 0; n++) {
		table_arm(n, errors[_i]);
		ret = add(real, (uint32_t)n, 0, -1, &irqfd);
		ck_assert(table_fired());
	}
	table_counts = false;
	table_arm(0, 0);
	ck_assert_int_eq(ret, _i < 3 ? 0 : -EMFILE);
	gh_vm_close(real);
	end_sim(sim);
}
END_TEST

/* Most of what is no eventfd is found out without /proc, too. */
START_TEST(test_refused_without_proc)
{
	int file = open("/dev/null", O_RDWR | O_CLOEXEC);
	int eventfd_of_callers = eventfd(0, EFD_CLOEXEC);
	struct gh_irqfd *irqfd = NULL;
	struct gh_vm *poor;
	int pipe_fds[2];

	table_wrap_kernel(true);
	poor = open_fake(fake);
	ck_assert_int_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
	table_is_poor = true;
	ck_assert_int_eq(add(poor, 0, 0, pipe_fds[0], &irqfd), -EINVAL);
	ck_assert_uint_eq(gh_vm_failure(poor)->cause_id, GH_CAUSE_NOT_EVENTFD);
	ck_assert_int_eq(add(poor, 0, 0, file, &irqfd), -EINVAL);
	ck_assert_int_eq(add(poor, 0, 0, 1023, &irqfd), -EBADF);
	ck_assert_int_eq(add(poor, 0, 0, eventfd_of_callers, &irqfd), 0);
	table_is_poor = false;
	gh_vm_close(poor);
	table_wrap_kernel(false);
	(void)close(pipe_fds[0]);
	(void)close(pipe_fds[1]);
	(void)close(file);
	(void)close(eventfd_of_callers);
}
END_TEST

/* Without irqfds, or without those that go down again, the caller hears it now. */
START_TEST(test_not_without_irqfds)
{
	static const uint64_t missing[] = { GH_FEATURE_IRQFD, GH_FEATURE_IRQFD_LEVEL };
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_irqfd *irqfd = NULL;

	gh_vm_close(vm);
	options.backend = "fake";
	options.fake = fake;
	options.features_off = missing[_i];
	ck_assert_int_eq(gh_vm_open(&options, &vm), 0);
	ck_assert_int_eq(add(vm, 5, GH_IRQ_LEVEL, -1, &irqfd), -EOPNOTSUPP);
	ck_assert_int_eq(add(vm, 5, 0, -1, &irqfd), _i == 0 ? -EOPNOTSUPP : 0);
}
END_TEST

START_TEST(test_one_irqfd_a_line)
{
	struct gh_irqfd *first = NULL;
	struct gh_irqfd *second = NULL;

	maybe_start(_i);
	ck_assert_int_eq(add(vm, 3, 0, -1, &first), 0);
	ck_assert_int_eq(add(vm, 3, 0, -1, &second), -EEXIST);
	ck_assert_int_eq(add(vm, 3, GH_IRQ_LEVEL, -1, &second), -EEXIST);
	ck_assert_int_eq(add(vm, 4, 0, -1, &second), 0);
	/* Gone is gone. */
	gh_irqfd_remove(first);
	ck_assert_int_eq(add(vm, 3, 0, -1, &first), 0);
	gh_irqfd_remove(second);
	gh_irqfd_remove(first);
}
END_TEST

START_TEST(test_descriptors)
{
	struct gh_irqfd *own = NULL;
	struct gh_irqfd *copied = NULL;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	maybe_start(_i);
	ck_assert_int_eq(add(vm, 1, 0, -1, &own), 0);
	ck_assert_int_eq(add(vm, 2, 0, fd, &copied), 0);
	ck_assert_int_ne(gh_irqfd_fd(copied), fd);
	ck_assert_int_eq(fcntl(gh_irqfd_fd(own), F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fcntl(gh_irqfd_fd(copied), F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(gh_irqfd_raise(own), 0);
	ck_assert_int_eq(gh_irqfd_raise(own), 0);
	ck_assert_uint_eq(take_count(gh_irqfd_fd(own)), 2);
	/* One eventfd behind both numbers; the caller may close its own. */
	ck_assert_int_eq(gh_irqfd_raise(copied), 0);
	ck_assert_uint_eq(take_count(fd), 1);
	(void)close(fd);
	ck_assert_int_eq(gh_irqfd_raise(copied), 0);
	ck_assert_uint_eq(take_count(gh_irqfd_fd(copied)), 1);
}
END_TEST

START_TEST(test_removal_in_any_order)
{
	static const int orders[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
	struct gh_irqfd *irqfds[3] = { NULL };

	for (uint32_t i = 0; i < 3; i++)
		ck_assert_int_eq(add(vm, i, 0, -1, &irqfds[i]), 0);
	if (_i % 2 == 1)
		(void)start_simply(vm);
	for (size_t i = 0; i < 3; i++)
		gh_irqfd_remove(irqfds[orders[_i][i]]);
	for (uint32_t i = 0; i < 3; i++)
		ck_assert_int_eq(add(vm, i, 0, -1, &irqfds[i]), 0);
}
END_TEST

/* --- simulated devices ---------------------------------------------------------------------------------------------- */

static const char *const devices[] = { GUNYAH, GENIEZONE };

static uint64_t next_interrupt(struct gh_vcpu *vcpu)
{
	const struct gh_exit *exit = run_once(vcpu);

	ck_assert_uint_eq(exit->kind, GH_EXIT_MMIO);
	ck_assert_uint_eq(exit->mmio.gpa, PORT);
	return exit->mmio.value;
}

START_TEST(test_guest_gets_it)
{
	struct gh_sim *sim = new_sim(devices[_i], echo_script);
	struct gh_vm *real = open_sim(sim);
	struct gh_irqfd *early = NULL;
	struct gh_irqfd *late = NULL;
	struct gh_vcpu *vcpu;
	int fd = eventfd(0, EFD_CLOEXEC);

	/* Written to before the start, by the caller's own descriptor: it counts. */
	ck_assert_int_eq(add(real, 5, 0, fd, &early), 0);
	ck_assert_int_eq(eventfd_write(fd, 1), 0);
	vcpu = start_standard(real);
	ck_assert_uint_eq(next_interrupt(vcpu), 5 + 32);
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(gh_irqfd_raise(early), 0);
		ck_assert_uint_eq(next_interrupt(vcpu), 5 + 32);
	}
	/* Readable already when it is added to the started VM: that counts as well. */
	(void)take_count(fd);
	gh_irqfd_remove(early);
	ck_assert_int_eq(eventfd_write(fd, 1), 0);
	ck_assert_int_eq(add(real, 6, 0, fd, &late), 0);
	ck_assert_uint_eq(next_interrupt(vcpu), 6 + 32);
	gh_vm_close(real);
	end_sim(sim);
	(void)close(fd);
}
END_TEST

/* One that was full before the start, too. */
START_TEST(test_full_before_start)
{
	struct gh_sim *sim = new_sim(devices[_i], echo_script);
	struct gh_vm *real = open_sim(sim);
	int fd = eventfd(0, EFD_CLOEXEC);
	struct gh_irqfd *irqfd = NULL;
	struct gh_vcpu *vcpu;

	ck_assert_int_eq(add(real, 5, 0, fd, &irqfd), 0);
	ck_assert_int_eq(eventfd_write(fd, UINT64_MAX - 1), 0);
	vcpu = start_standard(real);
	ck_assert_uint_eq(next_interrupt(vcpu), 5 + 32);
	ck_assert_int_eq(gh_irqfd_raise(irqfd), 0);
	ck_assert_uint_eq(next_interrupt(vcpu), 5 + 32);
	gh_vm_close(real);
	end_sim(sim);
	(void)close(fd);
}
END_TEST

/* After its removal, an eventfd raises nothing. */
START_TEST(test_removed)
{
	struct gh_sim *sim = new_sim(devices[_i], echo_script);
	struct gh_vm *real = open_sim(sim);
	struct gh_irqfd *removed = NULL;
	struct gh_irqfd *kept = NULL;
	int fd = eventfd(0, EFD_CLOEXEC);
	struct gh_vcpu *vcpu;

	ck_assert_int_eq(add(real, 5, 0, fd, &removed), 0);
	ck_assert_int_eq(add(real, 6, 0, -1, &kept), 0);
	vcpu = start_standard(real);
	gh_irqfd_remove(removed);
	ck_assert_int_eq(eventfd_write(fd, 1), 0);
	pause_ms(5);
	ck_assert_int_eq(gh_irqfd_raise(kept), 0);
	ck_assert_uint_eq(next_interrupt(vcpu), 6 + 32);
	gh_vm_close(real);
	end_sim(sim);
	(void)close(fd);
}
END_TEST

/* The kernel would take it, drop every interrupt, and break when it goes. */
START_TEST(test_gunyah_without_doorbell)
{
	struct gh_sim *sim = new_sim(GUNYAH, echo_script);
	struct gh_vm *real = open_sim(sim);
	struct gh_irqfd *irqfd = NULL;

	ck_assert_int_eq(add(real, UINT32_MAX, 0, -1, &irqfd), -ERANGE);
	(void)start_standard(real);
	ck_assert_int_eq(add(real, 7, 0, -1, &irqfd), -EINVAL);
	ck_assert_int_eq(add(real, UINT32_MAX - 1, 0, -1, &irqfd), -EINVAL);
	ck_assert_int_eq(add(real, 5, GH_IRQ_LEVEL, -1, &irqfd), 0);
	ck_assert_int_eq(add(real, 5, 0, -1, &irqfd), -EEXIST);
	gh_vm_close(real);
	end_sim(sim);
}
END_TEST

/* Found before the kernel is asked, so that the start can be tried again. */
START_TEST(test_gunyah_start_without_doorbell)
{
	struct gh_sim *sim = new_sim(GUNYAH, echo_script);
	struct gh_vm *real = open_sim(sim);
	struct gh_irqfd *missing = NULL;
	struct gh_irqfd *present = NULL;
	struct gh_vcpu *vcpu;

	ck_assert_int_eq(add(real, 7, 0, -1, &missing), 0);
	ck_assert_int_eq(add(real, 5, 0, -1, &present), 0);
	map_at(real, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	put_tree(real, &standard_tree);
	vcpu = add_vcpu(real, 0);
	ck_assert_int_eq(gh_vm_start(real), -EINVAL);
	ck_assert(failure_is(gh_vm_failure(real), -EINVAL));
	gh_irqfd_remove(missing);
	ck_assert_int_eq(gh_vm_start(real), 0);
	ck_assert_int_eq(gh_irqfd_raise(present), 0);
	ck_assert_uint_eq(next_interrupt(vcpu), 5 + 32);
	gh_vm_close(real);
	end_sim(sim);
}
END_TEST

static unsigned char *tree;

/* The tree changes between the library's check and the resource manager's: the doorbell 5 is called 55 there. */
static int spoil_tree(unsigned long request, uintptr_t arg)
{
	(void)arg;
	if (request != UAPI_GUNYAH_START)
		return 0;
	for (int node = fdt_next_node(tree, -1, NULL); node >= 0; node = fdt_next_node(tree, node, NULL)) {
		const fdt32_t *label = fdt_getprop(tree, node, "label", NULL);

		if (label != NULL && fdt32_to_cpu(*label) == 5)
			ck_assert_int_eq(fdt_setprop_inplace_u32(tree, node, "label", 55), 0);
	}
	return 0;
}

/*
 * Whatever becomes of the doorbell, an eventfd of the library is closed before its irqfd is removed: the kernel would break
 * otherwise. With a descriptor of the caller's that cannot be, and the simulated kernel says so.
 */
START_TEST(test_gunyah_order_of_removal)
{
	struct gh_sim *sim = new_sim(GUNYAH, echo_script);
	struct gh_irq_options irq_options = GH_IRQ_OPTIONS_INIT;
	struct gh_vm *real = open_sim(sim);
	int fd = _i == 3 ? eventfd(0, EFD_CLOEXEC) : -1;
	struct gh_irqfd *irqfd = NULL;
	struct gh_irq *irq = NULL;

	irq_options.line = 5;
	if (_i == 2)
		ck_assert_int_eq(gh_irq_add(real, &irq_options, &irq), 0);
	else
		ck_assert_int_eq(add(real, 5, 0, fd, &irqfd), 0);
	map_at(real, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	put_tree(real, &standard_tree);
	(void)add_vcpu(real, 0);
	ck_assert_int_eq(gh_vm_pointer(real, DTB_GPA, TREE_ROOM, (void **)&tree), 0);
	table_on_ioctl = spoil_tree;
	ck_assert_int_eq(gh_vm_start(real), 0);
	table_on_ioctl = NULL;
	if (_i != 1) {
		gh_irqfd_remove(irqfd);
		gh_irq_remove(irq);
	}
	gh_vm_close(real);
	if (_i == 3)
		ck_assert_ptr_nonnull(gh_sim_breakage(sim));
	else
		ck_assert_ptr_null(gh_sim_breakage(sim));
	ck_assert_uint_eq(gh_sim_open_files(sim), 0);
	gh_sim_free(sim);
	if (fd >= 0)
		(void)close(fd);
}
END_TEST

START_TEST(test_geniezone_limits)
{
	struct gh_sim *sim = new_sim(GENIEZONE, echo_script);
	struct gh_vm *real = open_sim(sim);
	struct gh_irqfd *irqfd = NULL;
	struct gh_irqfd *other = NULL;
	int fd = eventfd(0, EFD_CLOEXEC);

	ck_assert_int_eq(add(real, 5, GH_IRQ_LEVEL, -1, &irqfd), -EOPNOTSUPP);
	ck_assert_int_eq(add(real, 988, 0, -1, &irqfd), -ERANGE);
	ck_assert_int_eq(add(real, 5, 0, fd, &irqfd), 0);
	/* Before the start, where the kernel has not been asked yet, and through another descriptor: the library's own. */
	ck_assert_int_eq(add(real, 6, 0, fd, &other), -EBUSY);
	ck_assert_int_eq(add(real, 6, 0, gh_irqfd_fd(irqfd), &other), -EBUSY);
	(void)start_standard(real);
	ck_assert_int_eq(add(real, 6, 0, fd, &other), -EBUSY);
	ck_assert_int_eq(add(real, 6, 0, -1, &irqfd), 0);
	ck_assert_int_eq(add(real, 7, 0, gh_irqfd_fd(irqfd), &other), -EBUSY);
	gh_vm_close(real);
	end_sim(sim);
	(void)close(fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("irq");
	TCase *fakes = add_case(suite, "fake");
	TCase *sims = add_case(suite, "simulated devices");

	tcase_add_checked_fixture(fakes, setup, teardown);
	tcase_add_test(fakes, test_null);
	tcase_add_loop_test(fakes, test_refused, 0, 2);
	tcase_add_test(fakes, test_refused_without_proc);
	tcase_add_loop_test(fakes, test_not_without_irqfds, 0, 2);
	tcase_add_loop_test(fakes, test_one_irqfd_a_line, 0, 2);
	tcase_add_loop_test(fakes, test_descriptors, 0, 2);
	tcase_add_loop_test(fakes, test_removal_in_any_order, 0, 6);
	tcase_add_loop_test(sims, test_one_eventfd, 0, 2);
	tcase_add_loop_test(sims, test_no_proc, 0, 4);
	tcase_add_loop_test(sims, test_guest_gets_it, 0, 2);
	tcase_add_loop_test(sims, test_full_before_start, 0, 2);
	tcase_add_loop_test(sims, test_removed, 0, 2);
	tcase_add_test(sims, test_gunyah_without_doorbell);
	tcase_add_test(sims, test_gunyah_start_without_doorbell);
	tcase_add_loop_test(sims, test_gunyah_order_of_removal, 0, 4);
	tcase_add_test(sims, test_geniezone_limits);
	return run_suite(suite);
}
