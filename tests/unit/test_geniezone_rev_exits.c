/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a VMM sees of every exit on every revision of GenieZone and on Halla, with and without a signal at the worst moment: each
 * that is for it once, none that is not.
 */
#include "geniezone_devices.h"

#include "internal.h"
#include "uapi/gzvm.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define PORT UINT64_C(0x3f8)
#define MARK 0x99u
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* On which devices an exit is the VMM's. */
enum audience {
	NOBODY,
	EVERYBODY,
	NOT_HALLA, /* which has no such exit */
	HANDED_ON, /* the first revisions', whose kernels hand every exit on */
	OLD,       /* up to v5 */
	NOT_TIMED, /* before v10, where the kernel does not know the hypercall */
};

static const struct exit_case {
	const char *script;
	enum audience audience;
	uint32_t kind;
	uint64_t gpa;  /* of a fault; 0: there is none */
	uint32_t code; /* GenieZone's, and Halla's; 0: do not look */
	uint32_t halla_code;
} cases[] = {
	{ "raw exit IRQ", NOBODY, 0, 0, 0, 0 },
	{ "raw exit IDLE", NOBODY, 0, 0, 0, 0 },
	{ "raw exit IPI", NOBODY, 0, 0, 0, 0 },
	{ "hvc 0xc6000001 2 3", NOT_HALLA, GH_EXIT_HYPERCALL, 0, 0x92920002, 0 },
	{ "hvc 0xc6000009 0x80000000", HANDED_ON, GH_EXIT_HYPERCALL, 0, 0x92920002, 0 },
	{ "hvc 0x86000001", NOT_TIMED, GH_EXIT_HYPERCALL, 0, 0x92920002, 0 },
	{ "raw exit EXCEPTION exc=1 gpa=0x80001000", HANDED_ON, GH_EXIT_PAGE_FAULT, UINT64_MAX, 0x92920004, 0 },
	{ "raw exit EXCEPTION exc=1 gpa=0x70000000", EVERYBODY, GH_EXIT_PAGE_FAULT, 0x70000000, 0x92920004, 0x484c0003 },
	{ "raw exit EXCEPTION exc=7 err=5", EVERYBODY, GH_EXIT_EXCEPTION, 0, 0x92920004, 0x484c0003 },
	{ "raw exit EXCEPTION exc=7 err=5 reserved=1", OLD, GH_EXIT_EXCEPTION, 0, 0x92920004, 0 },
	{ "raw exit SYSTEM_EVENT type=5 ndata=1 data=7", EVERYBODY, GH_EXIT_SYSTEM_EVENT, 0, 0, 0 },
	{ "raw exit UNKNOWN", EVERYBODY, GH_EXIT_UNKNOWN, 0, 0x92920000, 0x484c0000 },
	{ "raw exit INTERNAL", EVERYBODY, GH_EXIT_UNKNOWN, 0, 0x92920007, 0x484c0004 },
	{ "raw exit 0x1234", EVERYBODY, GH_EXIT_UNKNOWN, 0, 0x1234, 0x1234 },
};

static bool is_for(const struct gz_device *device, enum audience audience)
{
	switch (audience) {
	case NOBODY:
		return false;
	case EVERYBODY:
		return true;
	case NOT_HALLA:
		return !device->is_halla;
	case HANDED_ON:
		return device->hands_on;
	case OLD:
		return device->resamples;
	case NOT_TIMED:
		return !device->takes_time && !device->is_halla;
	}
	return false;
}

static void ignore(int signal)
{
	(void)signal;
}

/* Without SA_RESTART, which lets the kernel run again by itself. */
static void handle_signals(void)
{
	struct sigaction action = { .sa_handler = ignore };

	(void)sigemptyset(&action.sa_mask);
	ck_assert_int_eq(sigaction(SIGUSR2, &action, NULL), 0);
}

static void check_exit(const struct gz_device *device, const struct exit_case *wanted, const struct gh_exit *exit)
{
	uint32_t code = device->is_halla ? wanted->halla_code : wanted->code;
	uint64_t gpa = device->hands_on && wanted->gpa != 0 ? UINT64_MAX : wanted->gpa;

	ck_assert_msg(exit->kind == wanted->kind, "%s, %s: %s", device->device, wanted->script, gh_exit_name(exit->kind));
	if (code != 0)
		ck_assert_uint_eq(exit->raw_reason, code);
	if (exit->kind == GH_EXIT_PAGE_FAULT)
		ck_assert_uint_eq(exit->fault.gpa, gpa);
	if (exit->kind == GH_EXIT_EXCEPTION) {
		ck_assert_uint_eq(exit->exception.exception, 7);
		ck_assert_uint_eq(exit->exception.error_code, 5);
		ck_assert_uint_eq(exit->exception.gpa, 0);
	}
}

/* A load first: where the kernel says nothing of a fault, its answer must not be taken for the address. */
static void play(const struct gz_device *device, const struct exit_case *wanted, bool signalled)
{
	char script[200];
	unsigned int seen = 0;
	struct gh_vcpu *vcpu;
	struct gh_sim *sim;
	struct gh_vm *vm;

	(void)snprintf(script, sizeof(script), "load 0x3f8 8; %s%s; store 0x3f8 4 0x99; off",
		       signalled ? "signal 12; " : "", wanted->script);
	sim = new_sim(device->device, script);
	vm = open_sim(sim);
	vcpu = start_standard(vm);
	ck_assert_uint_eq(run_once(vcpu)->kind, GH_EXIT_MMIO);
	ck_assert_int_eq(gh_mmio_complete(vcpu, UINT64_C(0x1122334455667788)), 0);
	for (;;) {
		const struct gh_exit *exit = run_once(vcpu);

		if (exit->kind == GH_EXIT_MMIO) {
			ck_assert_uint_eq(exit->mmio.value, MARK);
			break;
		}
		if (exit->kind == GH_EXIT_INTERRUPTED) {
			ck_assert(signalled);
			continue;
		}
		seen++;
		check_exit(device, wanted, exit);
	}
	ck_assert_msg(seen == (is_for(device, wanted->audience) ? 1u : 0u), "%s, %s%s: seen %u times", device->device,
		      wanted->script, signalled ? " with a signal" : "", seen);
	ck_assert_uint_eq(run_once(vcpu)->kind, GH_EXIT_STOPPED);
	gh_vm_close(vm);
	end_sim(sim);
}

START_TEST(test_exits)
{
	const struct gz_device *device = &gz_devices[_i];

	handle_signals();
	for (size_t i = 0; i < COUNT(cases); i++) {
		play(device, &cases[i], false);
		play(device, &cases[i], true);
	}
}
END_TEST

/* Memory that is missing, as a guest meets it. */
START_TEST(test_missing_memory)
{
	const struct gz_device *device = &gz_devices[_i];
	struct gh_sim *sim = new_sim(device->device, "poke 0x70000000 8 1; store 0x3f8 4 0x99");
	struct gh_vm *vm = open_sim(sim);
	struct gh_vcpu *vcpu = start_standard(vm);
	const struct gh_exit *exit = run_once(vcpu);

	ck_assert_uint_eq(exit->kind, GH_EXIT_PAGE_FAULT);
	ck_assert_uint_eq(exit->fault.gpa, device->hands_on ? UINT64_MAX : 0x70000000);
	ck_assert_uint_eq(run_once(vcpu)->kind, GH_EXIT_MMIO);
	gh_vm_close(vm);
	end_sim(sim);
}
END_TEST

/* A hypercall's results reach the guest; Halla's hypervisor knows none. */
START_TEST(test_hypercall)
{
	const struct gz_device *device = &gz_devices[_i];
	static const uint64_t results[4] = { 0x42, 1, 2, 3 };
	struct gh_sim *sim = new_sim(device->device, "hvc 0xc6000001; echo 0x3f8 8");
	struct gh_vm *vm = open_sim(sim);
	struct gh_vcpu *vcpu = start_standard(vm);

	if (!device->is_halla) {
		ck_assert_uint_eq(run_once(vcpu)->kind, GH_EXIT_HYPERCALL);
		ck_assert_int_eq(gh_hypercall_complete(vcpu, results), 0);
	}
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, device->is_halla ? UINT64_MAX : 0x42);
	gh_vm_close(vm);
	end_sim(sim);
}
END_TEST

/* Stores, loads and kicks under a storm of signals that the script sends: nothing is lost, nothing comes twice. */
START_TEST(test_interrupted_accesses)
{
	const struct gz_device *device = &gz_devices[_i];
	struct gh_sim *sim = new_sim(device->device, "repeat 20; signal 12; store 0x3f8 4 0x11; signal 12; load 0x3f8 4; "
						     "expect 0x77; end; signal 12; off");
	struct gh_vm *vm = open_sim(sim);
	struct gh_vcpu *vcpu = start_standard(vm);
	unsigned int stores = 0;
	unsigned int loads = 0;

	handle_signals();
	for (;;) {
		const struct gh_exit *exit = run_once(vcpu);

		if (exit->kind == GH_EXIT_STOPPED) {
			ck_assert_uint_eq(exit->stop.cause, GH_STOP_POWER_OFF);
			break;
		}
		if (exit->kind == GH_EXIT_INTERRUPTED)
			continue;
		ck_assert_uint_eq(exit->kind, GH_EXIT_MMIO);
		stores += exit->mmio.is_store;
		if (exit->mmio.is_store != 0)
			continue;
		loads++;
		ck_assert_int_eq(gh_mmio_complete(vcpu, 0x77), 0);
		ck_assert_int_eq(gh_vcpu_kick(vcpu), 0);
	}
	ck_assert_uint_eq(stores, 20);
	ck_assert_uint_eq(loads, 20);
	gh_vm_close(vm);
	end_sim(sim);
}
END_TEST

static int (*enter)(struct gh_sys *sys, int fd, unsigned long request, uintptr_t arg, const volatile uint32_t *cancel);

static int enter_and_scribble(struct gh_sys *sys, int fd, unsigned long request, uintptr_t arg,
			      const volatile uint32_t *cancel)
{
	int ret = enter(sys, fd, request, arg, cancel);

	memset(((struct uapi_gzvm_run *)arg)->padding, 0xee, 3);
	return ret;
}

/* A hypervisor may write to all of the page that it shares with the kernel, which then refuses to take it back. */
START_TEST(test_scribbled_page)
{
	struct gh_sim *sim = new_sim(gz_devices[_i].device, "load 0x3f8 4; expect 0x77; store 0x3f8 4 0x99; off");
	struct gh_vm *vm = open_sim(sim);
	struct gh_vcpu *vcpu = start_standard(vm);

	enter = vm->b.sys->enter;
	vm->b.sys->enter = enter_and_scribble;
	ck_assert_uint_eq(run_once(vcpu)->mmio.gpa, PORT);
	ck_assert_int_eq(gh_mmio_complete(vcpu, 0x77), 0);
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, MARK);
	ck_assert_uint_eq(run_once(vcpu)->kind, GH_EXIT_STOPPED);
	gh_vm_close(vm);
	end_sim(sim);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("geniezone_rev_exits");
	TCase *tcase = add_case(suite, "every revision");

	tcase_add_loop_test(tcase, test_exits, 0, GZ_DEVICES);
	tcase_add_loop_test(tcase, test_missing_memory, 0, GZ_DEVICES);
	tcase_add_loop_test(tcase, test_hypercall, 0, GZ_DEVICES);
	tcase_add_loop_test(tcase, test_interrupted_accesses, 0, GZ_DEVICES);
	tcase_add_loop_test(tcase, test_scribbled_page, 0, GZ_DEVICES);
	return run_suite(suite);
}
