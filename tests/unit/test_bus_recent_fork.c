/* SPDX-License-Identifier: BSD-3-Clause */
/* Repeated accesses and fork(): in the child none is recent, whoever forks, and the parent goes on as if nothing had been. */
#include "board.h"

#include "internal.h"

#include <errno.h>
#include <gh/loop.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define HERE UINT64_C(0x1000)
#define THERE UINT64_C(0x2000)

static struct board board;
static int effects; /* an eventfd: what a child does outside of itself */
static bool is_store;

static void begin(void)
{
	/* Little memory: valgrind looks for pointers in it, which a child does not have, and is told so for each word. */
	board = (struct board){ .fake = new_fake() };
	board.vm = open_fake(board.fake);
	map_at(board.vm, RAM_GPA, 0x10000, GH_MEMORY_RWX);
	for (unsigned int i = 0; i < 2; i++)
		board.vcpus[i] = add_vcpu(board.vm, i);
	ck_assert_int_eq(gh_vm_start(board.vm), 0);
	effects = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ck_assert_int_ge(effects, 0);
}

static void end(void)
{
	board_end(&board);
	ck_assert_int_eq(close(effects), 0);
}

/* --- a device that forks ------------------------------------------------------------------------------------------------------ */

struct forker {
	bool armed;
	bool is_child;
	pid_t child;
	int verdict; /* of the child */
	unsigned int calls;
	unsigned int removed;
};

static struct forker forker;

static int forking_access(void *data, struct gh_bus_access *access)
{
	struct forker *device = data;

	device->calls++;
	if (device->is_child)
		(void)eventfd_write(effects, 1);
	if (!device->armed) {
		if (access->is_store == 0)
			access->value = 0x77;
		return GH_BUS_DONE;
	}
	device->armed = false;
	device->child = fork();
	EXPECT(device->child >= 0);
	device->is_child = device->child == 0;
	if (access->is_store == 0)
		access->value = 0x77;
	return device->is_child ? device->verdict : GH_BUS_DONE;
}

static void forker_removed(void *data)
{
	struct forker *device = data;

	device->removed++;
}

static void add_forker(int verdict)
{
	struct gh_bus_range_options options = GH_BUS_RANGE_OPTIONS_INIT;

	forker = (struct forker){ .verdict = verdict };
	options.name = "forker";
	options.gpa = HERE;
	options.length = 0x100;
	options.access = forking_access;
	options.removed = forker_removed;
	options.data = &forker;
	(void)board_add(&board, &options);
}

/* Zero, or which expectation of the child's has not come true: the check library's are for the parent. */
static int wait_for(pid_t child)
{
	int status = -1;

	ck_assert_int_eq(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
}

static int forge(unsigned int vcpu, uint64_t gpa, uint32_t width, uint32_t store)
{
	const struct gh_exit exit = { .kind = GH_EXIT_MMIO, .mmio = { .gpa = gpa, .width = width, .is_store = store } };

	return gh_bus_dispatch(board.vcpus[vcpu], &exit);
}

static int access_here(void)
{
	uint64_t value = 0;
	int ret;

	if (is_store)
		return board_store(&board, 0, HERE, 4, 1);
	ret = board_load(&board, 0, HERE, 4, &value);
	EXPECT(ret != GH_BUS_DONE || value == 0x77);
	return ret;
}

/* Twice: what the first ones leave behind in the child must be of no use to the second ones. */
static int expect_refusals(void)
{
	const struct gh_exit *exit;

	for (int i = 0; i < 2; i++) {
		for (uint32_t store = 0; store < 2; store++) {
			if (forge(0, HERE, 4, store) != -EPERM || forge(1, HERE, 4, store) != -EPERM)
				return 11;
			if (forge(0, THERE, 4, store) != -EPERM || forge(0, 0, 4, store) != -EPERM)
				return 12;
			/* This is what is in the places of an empty page. */
			if (forge(0, 0, 0, store) != -EINVAL)
				return 13;
		}
		if (gh_vcpu_run(board.vcpus[0], &exit) != -EPERM || gh_mmio_complete(board.vcpus[0], 1) != -EPERM)
			return 14;
	}
	return 0;
}

static int leave_child(unsigned int calls)
{
	int ret = expect_refusals();

	if (ret != 0)
		return ret;
	if (forker.calls != calls)
		return 15;
	gh_vm_close(board.vm);
	return forker.removed == 1 ? 0 : 16;
}

static void expect_no_effect(void)
{
	ck_assert_uint_eq(take_count(effects), 0);
	for (unsigned int i = 0; i < 3; i++) {
		unsigned int calls = forker.calls;

		ck_assert_int_eq(access_here(), GH_BUS_DONE);
		ck_assert_uint_eq(forker.calls, calls + 1);
		ck_assert(board_is_recent(&board, 0, HERE, is_store));
	}
	ck_assert_uint_eq(take_count(effects), 0);
	ck_assert_uint_eq(forker.removed, 0);
}

/* --- between dispatches -------------------------------------------------------------------------------------------------------- */

START_TEST(test_between)
{
	pid_t child;

	is_store = _i != 0;
	add_forker(GH_BUS_DONE);
	for (unsigned int i = 0; i < 3; i++)
		ck_assert_int_eq(access_here(), GH_BUS_DONE);
	ck_assert(board_is_recent(&board, 0, HERE, is_store));
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		forker.is_child = true;
		_exit(leave_child(3));
	}
	ck_assert_int_eq(wait_for(child), 0);
	expect_no_effect();
}
END_TEST

/* --- inside of a handler -------------------------------------------------------------------------------------------------------- */

static const int verdicts[] = { GH_BUS_DONE, GH_BUS_DEFER, GH_BUS_FAIL, GH_BUS_UNMATCHED, -EIO, 99, INT32_MIN };
#define VERDICTS ((int)(sizeof(verdicts) / sizeof(verdicts[0])))

/* A store that is done is done, in the child's memory; nothing else can be. */
static bool is_right_in_child(int ret)
{
	return ret == -EPERM || (is_store && ret == GH_BUS_DONE && forker.verdict == GH_BUS_DONE);
}

/* After one access and after several, with every policy for what nobody takes. */
START_TEST(test_inside)
{
	const unsigned int before = (unsigned int)_i / 2 / VERDICTS;
	int ret;

	is_store = _i % 2 != 0;
	add_forker(verdicts[_i / 2 % VERDICTS]);
	board_set_policy(&board, before, 5);
	for (unsigned int i = 0; i <= before; i++)
		ck_assert_int_eq(access_here(), GH_BUS_DONE);
	ck_assert(board_is_recent(&board, 0, HERE, is_store));
	forker.armed = true;
	ck_assert_int_eq((is_store ? gh_fake_store(board.fake, 0, HERE, 4, 1) : gh_fake_load(board.fake, 0, HERE, 4)), 0);
	ret = gh_bus_dispatch(board.vcpus[0], run_once(board.vcpus[0]));
	if (forker.is_child)
		_exit(is_right_in_child(ret) ? leave_child(before + 2) : 1);
	ck_assert_int_eq(wait_for(forker.child), 0);
	ck_assert_int_eq(ret, GH_BUS_DONE);
	if (!is_store)
		ck_assert_uint_eq(board_answer(&board, 0), 0x77);
	expect_no_effect();
}
END_TEST

/* The child goes on in there: it dispatches before its handler returns. */
static int dispatching_access(void *data, struct gh_bus_access *access)
{
	struct forker *device = data;

	(void)access;
	device->calls++;
	if (!device->armed)
		return GH_BUS_DONE;
	device->armed = false;
	device->child = fork();
	EXPECT(device->child >= 0);
	device->is_child = device->child == 0;
	if (device->is_child && expect_refusals() != 0)
		_exit(2);
	return device->is_child ? device->verdict : GH_BUS_DONE;
}

START_TEST(test_dispatches_inside)
{
	struct gh_bus_range_options options = GH_BUS_RANGE_OPTIONS_INIT;
	int ret;

	is_store = true;
	forker = (struct forker){ .verdict = verdicts[_i] };
	options.name = "forker";
	options.gpa = HERE;
	options.length = 0x100;
	options.access = dispatching_access;
	options.removed = forker_removed;
	options.data = &forker;
	(void)board_add(&board, &options);
	for (unsigned int i = 0; i < 2; i++)
		ck_assert_int_eq(forge(0, HERE, 4, 1), GH_BUS_DONE);
	forker.armed = true;
	ret = forge(0, HERE, 4, 1);
	if (forker.is_child)
		_exit(is_right_in_child(ret) ? leave_child(3) : 1);
	ck_assert_int_eq(wait_for(forker.child), 0);
	ck_assert_int_eq(ret, GH_BUS_DONE);
	expect_no_effect();
}
END_TEST

/* --- inside of a loop ------------------------------------------------------------------------------------------------------------ */

static unsigned int others; /* exits that are no device's */

static int count_others(void *data, struct gh_vcpu *vcpu, const struct gh_exit *exit)
{
	(void)data;
	others++;
	if (exit->kind == GH_EXIT_MMIO && exit->mmio.is_store == 0)
		return gh_mmio_complete(vcpu, 1);
	return GH_LOOP_CONTINUE;
}

static int queue_access(void)
{
	return is_store ? gh_fake_store(board.fake, 0, HERE, 4, 1) : gh_fake_load(board.fake, 0, HERE, 4);
}

START_TEST(test_in_loop)
{
	struct gh_loop_options options = GH_LOOP_OPTIONS_INIT;
	int ret;

	is_store = _i % 2 != 0;
	options.exit = count_others;
	others = 0;
	add_forker(verdicts[_i / 2]);
	for (unsigned int i = 0; i < 3; i++)
		ck_assert_int_eq(access_here(), GH_BUS_DONE);
	for (unsigned int i = 0; i < 3; i++)
		ck_assert_int_eq(queue_access(), 0);
	ck_assert_int_eq(gh_fake_stop(board.fake, 0, GH_STOP_POWER_OFF), 0);
	forker.armed = true;
	ret = gh_vcpu_loop(board.vcpus[0], &options);
	if (forker.is_child)
		_exit(ret == -EPERM && others == 0 ? leave_child(4) : 1);
	ck_assert_int_eq(wait_for(forker.child), 0);
	ck_assert_int_eq(ret, GH_STOP_POWER_OFF);
	ck_assert_uint_eq(forker.calls, 6);
	ck_assert_uint_eq(others, 0);
	ck_assert_uint_eq(take_count(effects), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bus_recent_fork");
	TCase *tcase = add_case(suite, "bus_recent_fork");

	tcase_add_checked_fixture(tcase, begin, end);
	tcase_add_loop_test(tcase, test_between, 0, 2);
	tcase_add_loop_test(tcase, test_inside, 0, 3 * VERDICTS * 2);
	tcase_add_loop_test(tcase, test_dispatches_inside, 0, VERDICTS);
	tcase_add_loop_test(tcase, test_in_loop, 0, VERDICTS * 2);
	return run_suite(suite);
}
