/* SPDX-License-Identifier: BSD-3-Clause */
/* Guests: real arm64 code, whose exits and memory are compared with what it must have done. */
#include "hw.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#define GUEST(name) extern const uint8_t hw_##name[], hw_##name##_end[]
GUEST(accesses);
GUEST(entry);
GUEST(doorbell);
GUEST(sleeps);
GUEST(computes);
GUEST(resets);
GUEST(second);

#define KICK_AFTER_US 100000u
#define POLL_US 1000u
#define PATIENCE_S 60u

/* One exit, as text. */
static void describe(const struct gh_exit *exit, char *text, size_t size)
{
	switch (exit->kind) {
	case GH_EXIT_MMIO:
		if (exit->mmio.is_store)
			(void)snprintf(text, size, "store 0x%" PRIx64 " %u 0x%" PRIx64, exit->mmio.gpa, exit->mmio.width,
				       exit->mmio.value);
		else
			(void)snprintf(text, size, "load 0x%" PRIx64 " %u", exit->mmio.gpa, exit->mmio.width);
		break;
	case GH_EXIT_STOPPED:
		(void)snprintf(text, size, "stopped %s", gh_stop_name(exit->stop.cause));
		break;
	default:
		(void)snprintf(text, size, "%s 0x%x", gh_exit_name(exit->kind), exit->raw_reason);
		break;
	}
}

static const struct gh_exit *run(struct gh_vcpu *vcpu, char *text, size_t size)
{
	const struct gh_exit *exit = NULL;
	int ret = gh_vcpu_run(vcpu, &exit);

	if (ret < 0)
		(void)snprintf(text, size, "run: %s %s", strerror(-ret), gh_vcpu_failure(vcpu)->cause);
	else
		describe(exit, text, size);
	return exit;
}

static bool is_load(const struct gh_exit *exit)
{
	return exit != NULL && exit->kind == GH_EXIT_MMIO && exit->mmio.is_store == 0;
}

/* Expects the exits in their order; every load is answered with `answer`. */
static void expect_exits(struct hw *hw, const char *name, struct gh_vcpu *vcpu, const char *const *expected,
			 uint64_t answer)
{
	char label[80];
	char text[320];

	for (unsigned int i = 0; expected[i] != NULL; i++) {
		const struct gh_exit *exit = run(vcpu, text, sizeof(text));

		(void)snprintf(label, sizeof(label), "%s.%u", name, i);
		hw_result(hw, label, expected[i], "%s", text);
		if (exit == NULL || strcmp(text, expected[i]) != 0)
			return;
		if (is_load(exit))
			(void)gh_mmio_complete(vcpu, answer);
	}
}

static bool start(struct hw *hw, const char *name, struct gh_vm *vm)
{
	char label[80];
	int ret = gh_vm_start(vm);

	(void)snprintf(label, sizeof(label), "%s.start", name);
	if (ret < 0)
		hw_result(hw, label, "ok", "%s: %s", strerror(-ret), gh_vm_failure(vm)->cause);
	else
		hw_result(hw, label, "ok", "ok");
	return ret == 0;
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

static void test_accesses(struct hw *hw)
{
	static const char *const expected[] = {
		"load 0x7000 1",
		"store 0x7100 8 0xf1",
		"load 0x7000 2",
		"store 0x7100 8 0xf2f1",
		"load 0x7000 4",
		"store 0x7100 8 0xf4f3f2f1",
		"load 0x7000 8",
		"store 0x7100 8 0xf8f7f6f5f4f3f2f1",
		"store 0x7008 1 0x11",
		"store 0x7008 2 0x2211",
		"store 0x7008 4 0x44332211",
		"store 0x7008 8 0x8877665544332211",
		"stopped power-off",
		"stopped power-off",
		NULL,
	};
	struct gh_vcpu *vcpu = NULL;
	struct gh_vm *vm = hw_prepare(hw, "accesses", hw_accesses, hw_accesses_end, 1, &vcpu);

	if (vm != NULL && start(hw, "accesses", vm)) {
		expect_exits(hw, "accesses", vcpu, expected, UINT64_C(0xf8f7f6f5f4f3f2f1));
		hw_error(hw, "accesses.complete after the end", -ESHUTDOWN, gh_mmio_complete(vcpu, 1));
	}
	gh_vm_close(vm);
}

static void test_entry(struct hw *hw)
{
	static const char *const expected[] = {
		"store 0x7100 8 0x80000000",
		"store 0x7100 8 0x80200000",
		"store 0x7100 8 0xabcd",
		"stopped power-off",
		NULL,
	};
	struct gh_vcpu *vcpu = NULL;
	struct gh_vm *vm = hw_prepare(hw, "entry", hw_entry, hw_entry_end, 1, &vcpu);
	uint64_t word = 0xabcd;

	if (vm != NULL)
		hw_error(hw, "entry.write memory", 0, gh_vm_write(vm, HW_BASE + 0x10000, &word, sizeof(word)));
	if (vm != NULL && start(hw, "entry", vm)) {
		expect_exits(hw, "entry", vcpu, expected, 0);
		if (hw->lend) {
			hw_error(hw, "entry.read lent memory", -EFAULT,
				 gh_vm_read(vm, HW_BASE + 0x10000, &word, sizeof(word)));
		} else {
			(void)gh_vm_read(vm, HW_BASE + 0x10000, &word, sizeof(word));
			hw_result(hw, "entry.guest wrote", "0x1234", "0x%" PRIx64, word);
		}
	}
	gh_vm_close(vm);
}

static uint64_t count_of(int fd)
{
	uint64_t count = 0;

	return read(fd, &count, sizeof(count)) == (ssize_t)sizeof(count) ? count : 0;
}

static void test_doorbell(struct hw *hw)
{
	static const char *const expected[] = { "store 0x7200 4 0x6", "store 0x7100 8 0x6", "stopped power-off", NULL };
	struct gh_ioevent_options options = GH_IOEVENT_OPTIONS_INIT;
	struct gh_ioevent *ioevent = NULL;
	struct gh_vcpu *vcpu = NULL;
	struct gh_vm *vm = hw_prepare(hw, "doorbell", hw_doorbell, hw_doorbell_end, 1, &vcpu);

	options.gpa = 0x7200;
	options.width = 4;
	options.flags = GH_IOEVENT_DATAMATCH;
	options.value = 5;
	if (vm != NULL)
		hw_error(hw, "doorbell.add", 0, gh_ioevent_add(vm, &options, &ioevent));
	if (vm != NULL && ioevent != NULL && start(hw, "doorbell", vm)) {
		expect_exits(hw, "doorbell", vcpu, expected, 0);
		hw_result(hw, "doorbell.count", "1", "%" PRIu64, count_of(gh_ioevent_fd(ioevent)));
	}
	gh_vm_close(vm);
}

static void *kick_later(void *vcpu)
{
	(void)usleep(KICK_AFTER_US);
	(void)gh_vcpu_kick(vcpu);
	return NULL;
}

static void test_kick(struct hw *hw, const char *name, const uint8_t *code, const uint8_t *end)
{
	static const char *const first[] = { "store 0x7100 8 0x7000", NULL };
	static const char *const kicked[] = { "interrupted 0x0", NULL };
	char label[80];
	struct gh_vcpu *vcpu = NULL;
	struct gh_vm *vm = hw_prepare(hw, name, code, end, 1, &vcpu);
	pthread_t thread;

	if (vm != NULL && start(hw, name, vm)) {
		expect_exits(hw, name, vcpu, first, 0);
		(void)snprintf(label, sizeof(label), "%s.kick inside", name);
		if (pthread_create(&thread, NULL, kick_later, vcpu) == 0) {
			expect_exits(hw, label, vcpu, kicked, 0);
			(void)pthread_join(thread, NULL);
		}
		(void)snprintf(label, sizeof(label), "%s.kick before", name);
		(void)gh_vcpu_kick(vcpu);
		(void)gh_vcpu_kick(vcpu);
		expect_exits(hw, label, vcpu, kicked, 0);
	}
	gh_vm_close(vm);
}

static void test_sleeps(struct hw *hw)
{
	test_kick(hw, "sleeps", hw_sleeps, hw_sleeps_end);
}

static void test_computes(struct hw *hw)
{
	test_kick(hw, "computes", hw_computes, hw_computes_end);
}

static void test_reset(struct hw *hw)
{
	static const char *const expected[] = { "stopped reset", NULL };
	struct gh_vcpu *vcpu = NULL;
	struct gh_vm *vm = hw_prepare(hw, "reset", hw_resets, hw_resets_end, 1, &vcpu);

	if (vm != NULL && start(hw, "reset", vm))
		expect_exits(hw, "reset", vcpu, expected, 0);
	gh_vm_close(vm);
}

/* The second vCPU: its one store, then the end. */
struct second {
	struct gh_vcpu *vcpu;
	char first[320];
	char last[320];
	_Atomic int stored;
	_Atomic int done;
};

static void *run_second(void *arg)
{
	struct second *second = arg;

	(void)run(second->vcpu, second->first, sizeof(second->first));
	second->stored = 1;
	(void)run(second->vcpu, second->last, sizeof(second->last));
	second->done = 1;
	return NULL;
}

static void run_boot_vcpu(struct hw *hw, struct gh_vcpu *vcpu, struct second *second)
{
	static const char *const on[] = { "store 0x7100 8 0x0", NULL };
	char text[320];
	const struct gh_exit *exit;

	expect_exits(hw, "second.cpu_on", vcpu, on, 0);
	do {
		exit = run(vcpu, text, sizeof(text));
		if (is_load(exit))
			(void)gh_mmio_complete(vcpu, (uint64_t)second->stored);
	} while (is_load(exit));
	hw_result(hw, "second.end of the first", "stopped power-off", "%s", text);
}

static void test_second(struct hw *hw)
{
	struct gh_vcpu *vcpus[2] = { NULL, NULL };
	struct second second = { .stored = 0 };
	struct gh_vm *vm = hw_prepare(hw, "second", hw_second, hw_second_end, 2, vcpus);
	pthread_t thread;

	if (vm != NULL && start(hw, "second", vm)) {
		second.vcpu = vcpus[1];
		if (pthread_create(&thread, NULL, run_second, &second) == 0) {
			run_boot_vcpu(hw, vcpus[0], &second);
			/* Its runs have ended by now, or never do by themselves. */
			for (unsigned int i = 0; second.done == 0; i++) {
				(void)usleep(POLL_US);
				if (i * POLL_US >= PATIENCE_S * 1000000u)
					(void)gh_vcpu_kick(vcpus[1]);
			}
			(void)pthread_join(thread, NULL);
			hw_result(hw, "second.store", "store 0x7108 8 0x55", "%s", second.first);
			hw_result(hw, "second.end of the second", "stopped power-off", "%s", second.last);
		}
	}
	gh_vm_close(vm);
}

static void on_alarm(int signal)
{
	(void)signal;
}

/* Hypervisors lose a power-off now and then: a run that hangs is interrupted, once a second from then on; 0: none is. */
static void be_patient(unsigned int seconds)
{
	const struct sigaction action = { .sa_handler = on_alarm };
	const struct itimerval timer = { .it_interval = { .tv_sec = seconds != 0 }, .it_value = { .tv_sec = seconds } };

	(void)sigaction(SIGALRM, &action, NULL);
	(void)setitimer(ITIMER_REAL, &timer, NULL);
}

void hw_test_guests(struct hw *hw)
{
	static void (*const tests[])(struct hw * hw) = { test_accesses, test_entry, test_doorbell, test_sleeps,
							 test_computes, test_reset, test_second };

	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		be_patient(PATIENCE_S);
		tests[i](hw);
		be_patient(0);
	}
}
