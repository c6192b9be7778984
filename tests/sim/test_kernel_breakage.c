/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What breaks a host's kernel (section 10.2 of the Gunyah document, section 9 of the GenieZone document), by raw requests: each
 * case makes the simulated device say "the kernel would break here", and what is next to it does not. tests/unit/test_breakage.c
 * tries to get there through the library.
 */
#include "gzvm_rig.h"
#include "raw.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

static struct raw raw;
static struct rig rig;

static void expect_whole(struct gh_sim *sim)
{
	const char *breakage = gh_sim_breakage(sim);

	ck_assert_msg(breakage == NULL, "%s", breakage);
}

static void expect_broken(struct gh_sim *sim, const char *words)
{
	const char *breakage = gh_sim_breakage(sim);

	ck_assert_msg(breakage != NULL && strstr(breakage, words) != NULL, "\"%s\", not \"%s\"",
		      breakage != NULL ? breakage : "nothing", words);
}

/* --- Gunyah, section 10.2 --------------------------------------------------------------------------------------------- */

/* 1. A vCPU that the devicetree lacks, still there when the VM exits; or removed before. */
START_TEST(test_gunyah_unknown_vcpu)
{
	raw_run_script(&raw, "off");
	raw_make_vcpu(&raw, 1);
	if (_i == 0)
		raw_drop_vcpu(&raw, 1);
	if (_i == 0)
		ck_assert_int_eq(raw_remove_vcpu(&raw, 1), 0);
	expect_whole(raw.sim);
	(void)raw_run(&raw, 0);
	if (_i == 0)
		expect_whole(raw.sim);
	else
		expect_broken(raw.sim, "vCPU that its devicetree does not have");
	raw_close(&raw);
}
END_TEST

/* 2. An irqfd without a doorbell, removed (_i even) or closed with its VM, before (_i >= 2) or after its eventfd. */
START_TEST(test_gunyah_irqfd)
{
	bool eventfd_first = _i < 2;
	int fd;

	raw_run_script(&raw, "off");
	fd = eventfd(0, EFD_CLOEXEC);
	ck_assert_int_ge(raw_add_irqfd(&raw, fd, 77, 0), 0);
	expect_whole(raw.sim);
	if (eventfd_first)
		(void)close(fd);
	if (_i % 2 == 0)
		ck_assert_int_eq(raw_remove_irqfd(&raw, 77), 0);
	else
		raw_new_vm(&raw);
	if (eventfd_first)
		expect_whole(raw.sim);
	else
		expect_broken(raw.sim, "irqfd without a doorbell");
	if (!eventfd_first)
		(void)close(fd);
	raw_close(&raw);
}
END_TEST

/* 3. The second page of a vCPU's mapping: the kernel falls over it; here the process that touches it ends. */
START_TEST(test_gunyah_second_page)
{
	void *mapping = NULL;
	int status = 0;
	pid_t child;

	raw_run_script(&raw, "off");
	ck_assert_int_eq(
		raw.sys->mmap(raw.sys, NULL, 2 * RAW_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, raw.vcpu[0], &mapping), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		(void)signal(SIGBUS, SIG_DFL);
		_exit(*((volatile char *)mapping + (_i == 0 ? 0 : RAW_PAGE)));
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	if (_i == 0)
		ck_assert(WIFEXITED(status));
	else
		ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
	ck_assert_int_eq(raw.sys->munmap(raw.sys, mapping, 2 * RAW_PAGE), 0);
	raw_close(&raw);
}
END_TEST

/* 4. Sizes that make the kernel warn. */
START_TEST(test_gunyah_large_region)
{
	raw_open(&raw, "sim:gunyah/android14-6.1", "off");
	ck_assert_int_lt(raw_share(&raw, 0, RAW_RWX, TREE_BASE, UINT64_C(1) << (_i == 0 ? 39 : 40), raw.ram), 0);
	if (_i == 0)
		expect_whole(raw.sim);
	else
		expect_broken(raw.sim, "2^40");
	raw_close(&raw);
}
END_TEST

START_TEST(test_gunyah_large_argument)
{
	raw_open(&raw, "sim:gunyah/android14-6.1", "off");
	(void)raw_function(&raw, UAPI_GUNYAH_REMOVE_FUNCTION, 1, _i == 0 ? 32u << 20 : 64u << 20, raw.ram);
	if (_i == 0)
		expect_whole(raw.sim);
	else
		expect_broken(raw.sim, "64 MiB");
	raw_close(&raw);
}
END_TEST

/* --- GenieZone, section 9 --------------------------------------------------------------------------------------------- */

START_TEST(test_gzvm_vm_first)
{
	rig_open(&rig, "store 0x1000 4 1");
	if (_i == 0)
		rig_close_fd(&rig, &rig.vcpu);
	rig_close_fd(&rig, &rig.vm);
	if (_i == 0)
		expect_whole(rig.sim);
	else
		expect_broken(rig.sim, "before a vCPU's");
	rig_close(&rig);
}
END_TEST

/* A request of a child whose parent, which made the VM, is there (_i == 0), or gone. */
static void call_as_child(int go, int result)
{
	uint64_t value = UAPI_GZVM_CAP_PROTECTED_VM;
	char byte = 0;

	(void)!read(go, &byte, 1);
	(void)rig_ioctl(&rig, rig.vm, UAPI_GZVM_CHECK_EXTENSION, &value);
	byte = gh_sim_breakage(rig.sim) != NULL ? 'b' : 'w';
	(void)!write(result, &byte, 1);
	_exit(0);
}

static void be_creator(int go, int result, bool stays)
{
	pid_t child;

	rig_open(&rig, "off");
	child = fork();
	if (child == 0)
		call_as_child(go, result);
	if (stays)
		(void)waitpid(child, NULL, 0);
	_exit(0);
}

START_TEST(test_gzvm_orphan)
{
	int go[2];
	int result[2];
	pid_t creator;
	char byte = 0;

	ck_assert_int_eq(pipe(go), 0);
	ck_assert_int_eq(pipe(result), 0);
	creator = fork();
	ck_assert_int_ge(creator, 0);
	if (creator == 0)
		be_creator(go[0], result[1], _i == 0);
	if (_i != 0)
		ck_assert_int_eq(waitpid(creator, NULL, 0), creator);
	ck_assert_int_eq(write(go[1], "g", 1), 1);
	ck_assert_int_eq(read(result[0], &byte, 1), 1);
	ck_assert_int_eq(byte, _i == 0 ? 'w' : 'b');
	if (_i == 0)
		ck_assert_int_eq(waitpid(creator, NULL, 0), creator);
	for (int i = 0; i < 2; i++) {
		(void)close(go[i]);
		(void)close(result[i]);
	}
}
END_TEST

/* The same vCPU id twice; also when the first one's descriptor is closed. */
START_TEST(test_gzvm_vcpu_twice)
{
	rig_open(&rig, "off");
	if (_i == 2)
		rig_close_fd(&rig, &rig.vcpu);
	ck_assert_int_eq(rig_ioctl_value(&rig, rig.vm, UAPI_GZVM_CREATE_VCPU, 8), -EINVAL);
	expect_whole(rig.sim);
	if (_i > 0) {
		ck_assert_int_eq(rig_ioctl_value(&rig, rig.vm, UAPI_GZVM_CREATE_VCPU, 0), -EINVAL);
		expect_broken(rig.sim, "same vCPU id twice");
	}
	rig_close(&rig);
}
END_TEST

/* Memory of the kernel's that is lost: two pages for each device that is made again, and ioeventfds. */
START_TEST(test_gzvm_devices_again)
{
	struct uapi_gzvm_create_device device = { .gpa = 0x3fff0000, .size = 0x10000 };

	rig_open(&rig, "off");
	ck_assert_int_eq(rig_ioctl(&rig, rig.vm, UAPI_GZVM_CREATE_DEVICE, &device), 0);
	device.type = UAPI_GZVM_DEV_VGIC_REDIST;
	device.gpa = 0x3ffd0000;
	ck_assert_int_eq(rig_ioctl(&rig, rig.vm, UAPI_GZVM_CREATE_DEVICE, &device), 0);
	expect_whole(rig.sim);
	ck_assert_int_eq(rig_ioctl(&rig, rig.vm, UAPI_GZVM_CREATE_DEVICE, &device), 0);
	expect_broken(rig.sim, "CREATE_DEVICE");
	rig_close(&rig);
}
END_TEST

START_TEST(test_gzvm_ioeventfd_at_end)
{
	struct uapi_gzvm_ioeventfd bell = { .gpa = 0x6000, .width = 4 };

	rig_open(&rig, "off");
	bell.fd = eventfd(0, EFD_CLOEXEC);
	ck_assert_int_eq(rig_ioctl(&rig, rig.vm, UAPI_GZVM_IOEVENTFD, &bell), 0);
	bell.flags = UAPI_GZVM_IOEVENTFD_DEASSIGN;
	if (_i == 0)
		ck_assert_int_eq(rig_ioctl(&rig, rig.vm, UAPI_GZVM_IOEVENTFD, &bell), 0);
	rig_close_fd(&rig, &rig.vcpu);
	rig_close_fd(&rig, &rig.vm);
	if (_i == 0)
		expect_whole(rig.sim);
	else
		expect_broken(rig.sim, "ioeventfd");
	(void)close(bell.fd);
	rig_close(&rig);
}
END_TEST

static void *run_in_thread(void *data)
{
	struct uapi_gzvm_run run = { 0 };

	(void)data;
	(void)rig_ioctl(&rig, rig.vcpu, UAPI_GZVM_RUN, &run);
	return NULL;
}

static void on_signal(int signal)
{
	(void)signal;
}

/* A second thread in RUN: with a buffer that is good (_i == 0), or refused at once. */
START_TEST(test_gzvm_two_runs)
{
	const struct sigaction action = { .sa_handler = on_signal };
	struct uapi_gzvm_run run = { .padding = { _i == 0 ? 0 : 1, 0, 0 } };
	pthread_t thread;

	ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
	rig_open(&rig, "wfi");
	run.immediate_exit = 1;
	ck_assert_int_lt(rig_ioctl(&rig, rig.vcpu, UAPI_GZVM_RUN, &run), 0);
	expect_whole(rig.sim);
	ck_assert_int_eq(pthread_create(&thread, NULL, run_in_thread, NULL), 0);
	/* It sleeps, sooner or later. */
	while (gh_sim_breakage(rig.sim) == NULL) {
		ck_assert_int_lt(rig_ioctl(&rig, rig.vcpu, UAPI_GZVM_RUN, &run), 0);
		(void)usleep(100);
	}
	expect_broken(rig.sim, "two threads");
	while (pthread_kill(thread, SIGUSR1) == 0 && pthread_tryjoin_np(thread, NULL) != 0)
		(void)usleep(1000);
	rig_close(&rig);
}
END_TEST

static void set_memory(void *host, size_t size)
{
	struct uapi_gzvm_region region = { .flags = 1, .gpa = 0x80000000, .size = size, .host = (uintptr_t)host };

	ck_assert_int_eq(rig_ioctl(&rig, rig.vm, UAPI_GZVM_SET_USER_MEM, &region), 0);
}

/* Private memory that was not written to, or only in part: the guest would write to the kernel's page of zeros. */
START_TEST(test_gzvm_zero_page)
{
	const size_t size = 16 * PAGE;
	volatile char *memory =
		guarded(size, PROT_READ | PROT_WRITE, (_i == 3 ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS, -1);

	rig_open(&rig, "store 0x1000 4 1");
	set_memory((void *)(uintptr_t)memory, size);
	/* Nothing; all but the last page; all. */
	for (size_t page = 0; page < 16 && (_i == 1 || _i == 2); page++)
		if (page < 15 || _i == 2)
			memory[page * PAGE] = 1;
	expect_whole(rig.sim);
	ck_assert_int_eq(rig_run(&rig), 0);
	if (_i < 2)
		expect_broken(rig.sim, "page of zeros");
	else
		expect_whole(rig.sim);
	rig_close(&rig);
	guarded_free((void *)(uintptr_t)memory, size);
}
END_TEST

/* A fork with a VM that runs (_i > 0), and with memory that the child gets, too (_i > 1). */
START_TEST(test_gzvm_fork)
{
	const size_t size = 16 * PAGE;
	void *memory = guarded(size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
	pid_t child;

	rig_open(&rig, "store 0x1000 4 1");
	if (_i != 2)
		ck_assert_int_eq(madvise(memory, size, MADV_DONTFORK), 0);
	set_memory(memory, size);
	if (_i > 0)
		ck_assert_int_eq(rig_run(&rig), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0)
		_exit(rig.sys->close(rig.sys, rig.vm) == 0 ? 0 : 1);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	/* What a child does breaks the same kernel. */
	if (_i == 2)
		expect_broken(rig.sim, "a fork with a running VM");
	else
		expect_whole(rig.sim);
	rig_close(&rig);
	guarded_free(memory, size);
}
END_TEST

/* A capability with an address of the caller's choice. */
START_TEST(test_gzvm_capability)
{
	struct uapi_gzvm_enable_cap cap = { .cap = UAPI_GZVM_CAP_BLOCK_DEMAND_PAGING };

	rig_open(&rig, "off");
	(void)rig_ioctl(&rig, rig.vm, UAPI_GZVM_ENABLE_CAP, &cap);
	expect_broken(rig.sim, "0x9201");
	rig_close(&rig);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("kernel_breakage");
	TCase *tcase = tcase_create("gunyah");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 120);
	tcase_add_loop_test(tcase, test_gunyah_unknown_vcpu, 0, 2);
	tcase_add_loop_test(tcase, test_gunyah_irqfd, 0, 4);
	tcase_add_loop_test(tcase, test_gunyah_second_page, 0, 2);
	tcase_add_loop_test(tcase, test_gunyah_large_region, 0, 2);
	tcase_add_loop_test(tcase, test_gunyah_large_argument, 0, 2);
	suite_add_tcase(suite, tcase);
	tcase = tcase_create("gzvm");
	tcase_set_timeout(tcase, 120);
	tcase_add_loop_test(tcase, test_gzvm_vm_first, 0, 2);
	tcase_add_loop_test(tcase, test_gzvm_orphan, 0, 2);
	tcase_add_loop_test(tcase, test_gzvm_vcpu_twice, 0, 3);
	tcase_add_test(tcase, test_gzvm_devices_again);
	tcase_add_loop_test(tcase, test_gzvm_ioeventfd_at_end, 0, 2);
	tcase_add_loop_test(tcase, test_gzvm_two_runs, 0, 2);
	tcase_add_loop_test(tcase, test_gzvm_zero_page, 0, 4);
	tcase_add_loop_test(tcase, test_gzvm_fork, 0, 3);
	tcase_add_test(tcase, test_gzvm_capability);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
