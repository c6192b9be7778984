/* SPDX-License-Identifier: BSD-3-Clause */
/* Running guests on every revision of Gunyah's driver: ends, answers, aborts, kicks, lines, doorbells. */
#include "revision.h"

#include "table.h"

#include "../../lib/backend.h"
#include "../../lib/uapi/gunyah.h"

#include <errno.h>
#include <gh/loop.h>
#include <stdatomic.h>
#include <string.h>

#define BELL UINT64_C(0x4000)

/* --- ends --------------------------------------------------------------------------------------------------------- */

static const struct {
	const char *script;
	uint32_t cause;
} ends[] = {
	{ "off", GH_STOP_POWER_OFF },
	{ "reset", GH_STOP_RESET },
	{ "reset2 1 2", GH_STOP_RESET },
	{ "crash", GH_STOP_CRASH },
};
#define ENDS (int)(sizeof(ends) / sizeof(ends[0]))

START_TEST(test_end)
{
	const struct revision *revision = &revisions[_i / ENDS];
	struct rig rig;

	rig_start(&rig, revision, ends[_i % ENDS].script, 1);
	for (int i = 0; i < 2; i++)
		rig_ends(&rig, 0, ends[_i % ENDS].cause);
	ck_assert_int_eq(gh_mmio_complete(rig.vcpus[0], 0),
			 has_quirk(revision, GH_QUIRK_NO_END_EXIT) ? -EBUSY : -ESHUTDOWN);
	revision_close(&rig);
}
END_TEST

static int leave_at_good_bye(void *data, struct gh_vcpu *vcpu, const struct gh_exit *exit)
{
	const struct rig *rig = data;

	if (exit->kind == GH_EXIT_MMIO && exit->mmio.is_store == 0)
		return gh_mmio_complete(vcpu, 0);
	if (exit->kind == GH_EXIT_MMIO && exit->mmio.gpa == 0x2000 && has_quirk(rig->revision, GH_QUIRK_NO_END_EXIT))
		return GH_LOOP_LEAVE;
	return GH_LOOP_CONTINUE;
}

/* The vCPU that sleeps hears of it, too. */
START_TEST(test_end_of_all)
{
	struct gh_loop_options options = GH_LOOP_OPTIONS_INIT;
	const struct revision *revision = &revisions[_i];
	struct rig rig;

	options.exit = leave_at_good_bye;
	options.data = &rig;
	rig_start(&rig, revision, "load 0x1000 4; expect 0; on 1; wfi; vcpu 1; store 0x2000 4 1; off", 2);
	ck_assert_int_eq(gh_vm_run(rig.vm, &options),
			 has_quirk(revision, GH_QUIRK_NO_END_EXIT) ? -ECANCELED : GH_STOP_POWER_OFF);
	revision_close(&rig);
}
END_TEST

static int start_fails(unsigned long request, uintptr_t arg)
{
	(void)arg;
	return request == UAPI_GUNYAH_START ? -ENODEV : 0;
}

/* A kernel that says nothing by itself, and the truth when it is asked. */
START_TEST(test_end_on_request)
{
	const struct revision *revision = &revisions[_i];
	struct runner runner;
	struct rig rig;

	if (!has_quirk(revision, GH_QUIRK_NO_END_EXIT))
		return;
	rig_start(&rig, revision, "off", 1);
	rig_ends(&rig, 0, 0);
	table_on_ioctl = start_fails;
	/* A kick before the kernel is entered is no question. */
	do {
		runner_begin(&runner, rig.vcpus[0]);
		pause_ms(1);
		ck_assert_int_eq(gh_vcpu_kick(rig.vcpus[0]), 0);
		ck_assert(runner_returns(&runner));
		runner_end(&runner);
		ck_assert_int_eq(runner.ret, 0);
	} while (runner.kind == GH_EXIT_INTERRUPTED);
	table_on_ioctl = NULL;
	ck_assert_uint_eq(runner.kind, GH_EXIT_STOPPED);
	ck_assert_uint_eq(runner.cause, GH_STOP_OTHER);
	ck_assert_uint_eq(run_once(rig.vcpus[0])->kind, GH_EXIT_STOPPED);
	revision_close(&rig);
}
END_TEST

static void take_store(struct rig *rig, uint64_t gpa, uint32_t width, uint64_t value)
{
	const struct gh_exit *exit = run_once(rig->vcpus[0]);

	ck_assert_uint_eq(exit->kind, GH_EXIT_MMIO);
	ck_assert_uint_eq(exit->mmio.gpa, gpa);
	ck_assert_uint_eq(exit->mmio.width, width);
	ck_assert_uint_eq(exit->mmio.is_store, 1);
	ck_assert_uint_eq(exit->mmio.value, value);
}

static int refusals;

static bool is_not_there(int fd, unsigned long request, uintptr_t arg, int *ret_result)
{
	(void)fd;
	(void)arg;
	if (request != UAPI_GUNYAH_RUN || refusals == 0)
		return false;
	refusals--;
	*ret_result = -ENODEV;
	return true;
}

/* Kernels that have a vCPU only when it has been switched on; meanwhile it hears of kicks. */
START_TEST(test_vcpu_comes_later)
{
	const struct gh_exit *exit = NULL;
	struct rig rig;

	/* There this is how a VM ends. */
	if (has_quirk(&revisions[_i], GH_QUIRK_NO_END_EXIT))
		return;
	rig_start(&rig, &revisions[_i], "on 1; store 0x1000 4 1; wfi; vcpu 1; store 0x2000 4 1; store 0x3000 4 1; off", 2);
	take_store(&rig, 0x1000, 4, 1);
	table_instead = is_not_there;
	refusals = 5;
	ck_assert_uint_eq(run_once(rig.vcpus[1])->mmio.gpa, 0x2000);
	ck_assert_int_eq(refusals, 0);
	ck_assert_int_eq(gh_vcpu_kick(rig.vcpus[1]), 0);
	refusals = 1;
	ck_assert_uint_eq(run_once(rig.vcpus[1])->kind, GH_EXIT_INTERRUPTED);
	ck_assert_int_eq(refusals, 1);
	ck_assert_int_eq(gh_vcpu_run(rig.vcpus[0], &exit), -ENODEV);
	ck_assert_uint_eq(gh_vcpu_failure(rig.vcpus[0])->cause_id, GH_CAUSE_VCPU_NOT_IN_TREE);
	table_instead = NULL;
	ck_assert_uint_eq(run_once(rig.vcpus[1])->mmio.gpa, 0x3000);
	revision_close(&rig);
}
END_TEST

static int absent; /* the descriptor of a vCPU that stays off */
static atomic_uint asked;

static bool is_off(int fd, unsigned long request, uintptr_t arg, int *ret_result)
{
	(void)arg;
	if (request != UAPI_GUNYAH_RUN || fd != absent)
		return false;
	(void)atomic_fetch_add(&asked, 1);
	*ret_result = -ENODEV;
	return true;
}

static void await_question(unsigned int after)
{
	for (unsigned int i = 0; atomic_load(&asked) <= after && i < 30000; i++)
		pause_ms(1);
	ck_assert_uint_gt(atomic_load(&asked), after);
}

/* It hears of kicks and of the VM's end. */
START_TEST(test_vcpu_never_comes)
{
	const struct gh_loop_options options = GH_LOOP_OPTIONS_INIT;
	struct runner runner;
	struct rig rig;

	if (has_quirk(&revisions[_i], GH_QUIRK_NO_END_EXIT))
		return;
	rig_start(&rig, &revisions[_i], "off", 2);
	absent = ((struct gh_bvcpu *)(void *)rig.vcpus[1])->fd;
	atomic_store(&asked, 0);
	table_instead = is_off;
	runner_begin(&runner, rig.vcpus[1]);
	await_question(1);
	ck_assert_int_eq(gh_vcpu_kick(rig.vcpus[1]), 0);
	ck_assert(runner_returns(&runner));
	runner_end(&runner);
	ck_assert_int_eq(runner.ret, 0);
	ck_assert_uint_eq(runner.kind, GH_EXIT_INTERRUPTED);
	ck_assert_int_eq(gh_vm_run(rig.vm, &options), GH_STOP_POWER_OFF);
	table_instead = NULL;
	revision_close(&rig);
}
END_TEST

/* A VM that is closed while its guest sleeps. */
START_TEST(test_close_while_it_runs)
{
	struct runner runner;
	struct rig rig;

	rig_start(&rig, &revisions[_i], "wfi", 1);
	runner_begin(&runner, rig.vcpus[0]);
	ck_assert_int_eq(gh_vcpu_kick(rig.vcpus[0]), 0);
	ck_assert(runner_returns(&runner));
	runner_end(&runner);
	ck_assert_uint_eq(runner.kind, GH_EXIT_INTERRUPTED);
	revision_close(&rig);
}
END_TEST

/* --- answers ------------------------------------------------------------------------------------------------------ */

static void answer(struct rig *rig, uint64_t gpa, uint32_t width, uint64_t value)
{
	const struct gh_exit *exit = run_once(rig->vcpus[0]);

	ck_assert_uint_eq(exit->kind, GH_EXIT_MMIO);
	ck_assert_uint_eq(exit->mmio.gpa, gpa);
	ck_assert_uint_eq(exit->mmio.width, width);
	ck_assert_uint_eq(exit->mmio.is_store, 0);
	ck_assert_int_eq(gh_mmio_complete(rig->vcpus[0], value), 0);
}

START_TEST(test_answers)
{
	struct rig rig;

	rig_start(&rig, &revisions[_i],
		  "load 0x1000 1; expect 0x88; store 0x1000 8 0x1122334455667788; load 0x1008 2; expect 0x7788\n"
		  "load 0x1010 4; expect 0x55667788; store 0x1018 1 0xab; load 0x1018 8; expect 0x1122334455667788; off",
		  1);
	answer(&rig, 0x1000, 1, UINT64_C(0x1122334455667788));
	take_store(&rig, 0x1000, 8, UINT64_C(0x1122334455667788));
	answer(&rig, 0x1008, 2, UINT64_C(0x1122334455667788));
	answer(&rig, 0x1010, 4, UINT64_C(0x1122334455667788));
	take_store(&rig, 0x1018, 1, 0xab);
	answer(&rig, 0x1018, 8, UINT64_C(0x1122334455667788));
	rig_ends(&rig, 0, GH_STOP_POWER_OFF);
	revision_close(&rig);
}
END_TEST

/* A kick before the next entry leaves an answer where it is. */
START_TEST(test_kick_with_an_answer)
{
	struct rig rig;

	rig_start(&rig, &revisions[_i], "load 0x1000 4; expect 0x1234; store 0x1000 4 5; off", 1);
	answer(&rig, 0x1000, 4, 0x1234);
	ck_assert_int_eq(gh_vcpu_kick(rig.vcpus[0]), 0);
	ck_assert_uint_eq(run_once(rig.vcpus[0])->kind, GH_EXIT_INTERRUPTED);
	take_store(&rig, 0x1000, 4, 5);
	revision_close(&rig);
}
END_TEST

/* Of all those the kick of a run in the kernel, while the guest sleeps. */
START_TEST(test_kick_inside)
{
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	struct gh_irqfd *irqfd = NULL;
	struct runner runner;
	struct rig rig;

	revision_open(&rig, &revisions[_i], "wfi; ack; expect 37; store 0x1000 4 5; off");
	options.line = 5;
	ck_assert_int_eq(gh_irqfd_add(rig.vm, &options, &irqfd), 0);
	rig_build(&rig, GH_MEMORY_RWX, 1);
	ck_assert_int_eq(gh_vm_start(rig.vm), 0);
	for (int i = 0; i < 3; i++) {
		runner_begin(&runner, rig.vcpus[0]);
		pause_ms((unsigned int)i);
		ck_assert_int_eq(gh_vcpu_kick(rig.vcpus[0]), 0);
		ck_assert(runner_returns(&runner));
		runner_end(&runner);
		ck_assert_uint_eq(runner.kind, GH_EXIT_INTERRUPTED);
	}
	ck_assert_int_eq(gh_irqfd_raise(irqfd), 0);
	take_store(&rig, 0x1000, 4, 5);
	rig_ends(&rig, 0, GH_STOP_POWER_OFF);
	revision_close(&rig);
}
END_TEST

/* --- aborts ------------------------------------------------------------------------------------------------------- */

START_TEST(test_abort)
{
	const struct revision *revision = &revisions[_i];
	const bool aborts = can(revision, GH_FEATURE_MMIO_ABORT);
	struct rig rig;

	rig_start(&rig, revision,
		  aborts ? "load 0x1000 4; expect-abort; load 0x1000 4; expect 7; store 0x1000 4 1; expect-abort\n"
			   "store 0x1000 4 2; off"
			 : "load 0x1000 4; expect 7; store 0x1000 4 1; store 0x1000 4 2; off",
		  1);
	if (!aborts) {
		ck_assert_uint_eq(run_once(rig.vcpus[0])->kind, GH_EXIT_MMIO);
		ck_assert_int_eq(gh_mmio_fail(rig.vcpus[0]), -EOPNOTSUPP);
		/* It still waits. */
		ck_assert_int_eq(gh_mmio_complete(rig.vcpus[0], 7), 0);
		take_store(&rig, 0x1000, 4, 1);
		ck_assert_int_eq(gh_mmio_fail(rig.vcpus[0]), -EOPNOTSUPP);
	} else {
		ck_assert_uint_eq(run_once(rig.vcpus[0])->kind, GH_EXIT_MMIO);
		ck_assert_int_eq(gh_mmio_fail(rig.vcpus[0]), 0);
		ck_assert_int_eq(gh_mmio_fail(rig.vcpus[0]), -EBUSY);
		ck_assert_int_eq(gh_mmio_complete(rig.vcpus[0], 7), -EBUSY);
		/* Not lost, however often the vCPU is interrupted before. */
		ck_assert_int_eq(gh_vcpu_kick(rig.vcpus[0]), 0);
		ck_assert_uint_eq(run_once(rig.vcpus[0])->kind, GH_EXIT_INTERRUPTED);
		answer(&rig, 0x1000, 4, 7);
		take_store(&rig, 0x1000, 4, 1);
		ck_assert_int_eq(gh_mmio_fail(rig.vcpus[0]), 0);
	}
	take_store(&rig, 0x1000, 4, 2);
	rig_ends(&rig, 0, GH_STOP_POWER_OFF);
	revision_close(&rig);
}
END_TEST

/* --- lines and doorbells ------------------------------------------------------------------------------------------ */

static struct gh_irqfd *add_line(struct rig *rig, uint32_t line)
{
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	struct gh_irqfd *irqfd = NULL;
	int ret;

	options.line = line;
	ret = gh_irqfd_add(rig->vm, &options, &irqfd);
	ck_assert_msg(ret == 0, "%s: line: %d (%s)", rig->revision->device, ret, gh_vm_failure(rig->vm)->cause);
	return irqfd;
}

START_TEST(test_lines)
{
	const struct revision *revision = &revisions[_i];
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	struct gh_irqfd *again = NULL;
	struct gh_irqfd *lines[2];
	struct rig rig;

	revision_open(&rig, revision,
		      "wfi; ack; expect 37; wfi; ack; expect 38; store 0x1000 4 1; wfi; ack; expect 37; off");
	lines[0] = add_line(&rig, 5);
	lines[1] = add_line(&rig, 6);
	rig_build(&rig, GH_MEMORY_RWX, 1);
	ck_assert_int_eq(gh_irqfd_raise(lines[0]), 0);
	ck_assert_int_eq(gh_vm_start(rig.vm), 0);
	/* Never two, also where the kernel would take it. */
	options.line = 5;
	ck_assert_int_eq(gh_irqfd_add(rig.vm, &options, &again), -EEXIST);
	ck_assert_int_eq(gh_irqfd_raise(lines[1]), 0);
	take_store(&rig, 0x1000, 4, 1);
	gh_irqfd_remove(lines[0]);
	if (has_quirk(revision, GH_QUIRK_KEEPS_FUNCTIONS)) {
		ck_assert_int_eq(gh_irqfd_add(rig.vm, &options, &again), -EEXIST);
		ck_assert_ptr_nonnull(strstr(gh_vm_failure(rig.vm)->cause, "removes nothing"));
	} else {
		ck_assert_int_eq(gh_irqfd_add(rig.vm, &options, &again), 0);
		ck_assert_int_eq(gh_irqfd_raise(again), 0);
		rig_ends(&rig, 0, GH_STOP_POWER_OFF);
	}
	revision_close(&rig);
}
END_TEST

static struct gh_ioevent *add_bell(struct rig *rig, uint32_t flags, uint32_t width, uint64_t value)
{
	struct gh_ioevent_options options = GH_IOEVENT_OPTIONS_INIT;
	struct gh_ioevent *bell = NULL;

	options.gpa = BELL;
	options.width = width;
	options.flags = flags;
	options.value = value;
	ck_assert_int_eq(gh_ioevent_add(rig->vm, &options, &bell), 0);
	return bell;
}

/* Runs until a store that no doorbell takes. */
static void run_past_bells(struct rig *rig, uint64_t gpa, uint64_t value)
{
	for (;;) {
		const struct gh_exit *exit = run_once(rig->vcpus[0]);

		ck_assert_uint_eq(exit->kind, GH_EXIT_MMIO);
		if (gh_bus_dispatch(rig->vcpus[0], exit) == GH_BUS_DONE)
			continue;
		ck_assert_uint_eq(exit->mmio.gpa, gpa);
		ck_assert_uint_eq(exit->mmio.value, value);
		return;
	}
}

/* Exactly those that are there, whatever the kernel remembers, forgets or mixes up. */
START_TEST(test_bells)
{
	const struct revision *revision = &revisions[_i];
	struct gh_ioevent *bells[3];
	struct rig rig;

	revision_open(&rig, revision,
		      "store 0x4000 4 1; store 0x4000 4 2; store 0x4000 4 2; store 0x4000 4 3; store 0x4000 2 1\n"
		      "store 0x4000 4 1; store 0x4000 4 2; store 0x4000 4 3; store 0x4000 4 1; off");
	bells[0] = add_bell(&rig, GH_IOEVENT_DATAMATCH, 4, 1);
	bells[1] = add_bell(&rig, GH_IOEVENT_DATAMATCH, 4, 2);
	rig_build(&rig, GH_MEMORY_RWX, 1);
	ck_assert_int_eq(gh_vm_start(rig.vm), 0);
	ck_assert_int_eq(gh_ioevent_is_emulated(bells[0]), !can(revision, GH_FEATURE_DATAMATCH));
	run_past_bells(&rig, BELL, 3);
	ck_assert_uint_eq(take_count(gh_ioevent_fd(bells[0])), 1);
	ck_assert_uint_eq(take_count(gh_ioevent_fd(bells[1])), 2);
	run_past_bells(&rig, BELL, 1); /* of another width */
	gh_ioevent_remove(bells[0]);
	run_past_bells(&rig, BELL, 1);
	bells[2] = add_bell(&rig, GH_IOEVENT_DATAMATCH, 4, 3);
	run_past_bells(&rig, BELL, 1);
	ck_assert_uint_eq(take_count(gh_ioevent_fd(bells[1])), 1);
	ck_assert_uint_eq(take_count(gh_ioevent_fd(bells[2])), 1);
	rig_ends(&rig, 0, GH_STOP_POWER_OFF);
	revision_close(&rig);
}
END_TEST

START_TEST(test_plain_bell)
{
	const struct revision *revision = &revisions[_i];
	struct gh_ioevent *bell;
	struct rig rig;

	revision_open(&rig, revision,
		      "store 0x4000 4 1; store 0x4000 4 9; store 0x4000 1 2; store 0x1000 4 1; store 0x4000 4 1");
	bell = add_bell(&rig, 0, 0, 0);
	rig_build(&rig, GH_MEMORY_RWX, 1);
	ck_assert_int_eq(gh_vm_start(rig.vm), 0);
	ck_assert_int_eq(gh_ioevent_is_emulated(bell), !can(revision, GH_FEATURE_IOEVENTFD));
	run_past_bells(&rig, 0x1000, 1);
	ck_assert_uint_eq(take_count(gh_ioevent_fd(bell)), 3);
	gh_ioevent_remove(bell);
	run_past_bells(&rig, BELL, 1);
	revision_close(&rig);
}
END_TEST

/* A vCPU twice, and one that the tree lacks. */
START_TEST(test_vcpus)
{
	struct gh_vcpu *other = NULL;
	struct rig rig;

	rig_start(&rig, &revisions[_i], "off", 1);
	ck_assert_int_eq(gh_vcpu_create(rig.vm, 0, &other), -EEXIST);
	ck_assert_int_eq(gh_vcpu_create(rig.vm, 1, &other), -EINVAL);
	rig_ends(&rig, 0, GH_STOP_POWER_OFF);
	revision_close(&rig);
}
END_TEST

/* --- what the kernel is told ---------------------------------------------------------------------------------------- */

static struct uapi_gunyah_auth_trusted_vm told;
static uint32_t told_type;
static bool told_late; /* after the devicetree */
static bool has_tree;

static int note_authentication(unsigned long request, uintptr_t arg)
{
	has_tree |= request == UAPI_GUNYAH_SET_DTB;
	if (request == UAPI_GUNYAH_SET_AUTH && arg != 0) {
		const struct uapi_gunyah_auth *auth = (const struct uapi_gunyah_auth *)arg;

		told_type = auth->type;
		told_late = has_tree;
		ck_assert_uint_eq(auth->arg_size, sizeof(told));
		memcpy(&told, (const void *)(uintptr_t)auth->arg, sizeof(told));
	}
	return 0;
}

START_TEST(test_authentication)
{
	const struct revision *revision = &revisions[_i];
	struct gh_authentication wanted = GH_AUTHENTICATION_INIT;
	struct rig rig;

	if (!can(revision, GH_FEATURE_AUTHENTICATION))
		return;
	revision_open(&rig, revision, "off");
	wanted.type = GH_AUTHENTICATION_TRUSTED_VM;
	wanted.vm_id = 0x1234;
	wanted.peripheral_id = 0x12345678;
	wanted.gpa = RAM_GPA;
	wanted.length = MIB;
	ck_assert_int_eq(gh_vm_set_authentication(rig.vm, &wanted), 0);
	rig_build(&rig, GH_MEMORY_RWX | GH_MEMORY_LEND, 1);
	told_type = 0;
	has_tree = false;
	table_on_ioctl = note_authentication;
	(void)gh_vm_start(rig.vm);
	table_on_ioctl = NULL;
	ck_assert_uint_eq(told_type, UAPI_GUNYAH_AUTH_TRUSTED_VM);
	ck_assert(!told_late);
	ck_assert_uint_eq(told.vm_id, 0x1234);
	ck_assert_uint_eq(told.peripheral_id, 0x12345678);
	ck_assert_uint_eq(told.gpa, RAM_GPA);
	ck_assert_uint_eq(told.size, MIB);
	ck_assert_int_eq(gh_vm_set_authentication(rig.vm, &wanted), -EBUSY);
	revision_close(&rig);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("gunyah_revisions_run");
	TCase *tcase = add_case(suite, "gunyah_revisions_run");

	tcase_add_loop_test(tcase, test_end, 0, revision_count * ENDS);
	tcase_add_loop_test(tcase, test_end_of_all, 0, revision_count);
	tcase_add_loop_test(tcase, test_end_on_request, 0, revision_count);
	tcase_add_loop_test(tcase, test_vcpu_comes_later, 0, revision_count);
	tcase_add_loop_test(tcase, test_vcpu_never_comes, 0, revision_count);
	tcase_add_loop_test(tcase, test_close_while_it_runs, 0, revision_count);
	tcase_add_loop_test(tcase, test_answers, 0, revision_count);
	tcase_add_loop_test(tcase, test_kick_with_an_answer, 0, revision_count);
	tcase_add_loop_test(tcase, test_kick_inside, 0, revision_count);
	tcase_add_loop_test(tcase, test_abort, 0, revision_count);
	tcase_add_loop_test(tcase, test_lines, 0, revision_count);
	tcase_add_loop_test(tcase, test_bells, 0, revision_count);
	tcase_add_loop_test(tcase, test_plain_bell, 0, revision_count);
	tcase_add_loop_test(tcase, test_vcpus, 0, revision_count);
	tcase_add_loop_test(tcase, test_authentication, 0, revision_count);
	return run_suite(suite);
}
