/* SPDX-License-Identifier: BSD-3-Clause */
/* Removals while vCPUs change hands, while children are born, and at the VM's end: who waits for whom, and who is asked. */
#include "board.h"

#include "internal.h"
#include "points.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#define HERE UINT64_C(0x1000)
#define THERE UINT64_C(0x2000)

static struct board board;

/* What a test does at a place of the library, once. */
static _Atomic enum gh_point instant = GH_POINTS_COUNT;
static void (*meanwhile)(void);

void gh_point_reached(enum gh_point point)
{
	enum gh_point expected = point;

	if (point == atomic_load_explicit(&instant, memory_order_relaxed) &&
	    atomic_compare_exchange_strong(&instant, &expected, GH_POINTS_COUNT))
		meanwhile();
}

static int store(unsigned int vcpu, uint64_t gpa)
{
	const struct gh_exit exit = { .kind = GH_EXIT_MMIO, .mmio = { .gpa = gpa, .width = 4, .is_store = 1 } };

	return gh_bus_dispatch(board.vcpus[vcpu], &exit);
}

static void await(atomic_bool *flag)
{
	while (!atomic_load(flag))
		pause_ms(1);
}

/* --- a vCPU that another thread takes over ------------------------------------------------------------------------------- */

struct stay {
	atomic_bool entered;
	atomic_bool go;
	atomic_bool left;
};

static struct stay here;
static struct stay there;
static unsigned int taken; /* the vCPU that changes hands; the other one is here */
static pthread_t newcomer;

static int stay_access(void *data, struct gh_bus_access *access)
{
	struct stay *stay = data;

	(void)access;
	atomic_store(&stay->entered, true);
	await(&stay->go);
	atomic_store(&stay->left, true);
	return GH_BUS_DONE;
}

static void *store_here(void *argument)
{
	EXPECT(store(1 - taken, HERE) == GH_BUS_DONE);
	return argument;
}

static void *store_there(void *argument)
{
	EXPECT(store(taken, THERE) == GH_BUS_DONE);
	return argument;
}

/* The remover has begun to look around: another thread is in a handler now, on the vCPU that the remover had before. */
static void take_over(void)
{
	EXPECT(pthread_create(&newcomer, NULL, store_there, NULL) == 0);
	await(&there.entered);
}

/* When the remover would be back by now if it did not wait. */
static void *let_go_later(void *argument)
{
	await(&there.entered);
	pause_ms(50);
	atomic_store(&here.go, true);
	return argument;
}

static struct gh_bus_range *add_stay(struct stay *stay, const char *name, uint64_t gpa)
{
	struct gh_bus_range_options options = GH_BUS_RANGE_OPTIONS_INIT;

	atomic_store(&stay->entered, false);
	atomic_store(&stay->go, true);
	atomic_store(&stay->left, false);
	options.name = name;
	options.gpa = gpa;
	options.length = 0x100;
	options.access = stay_access;
	options.data = stay;
	return board_add(&board, &options);
}

START_TEST(test_taken_over)
{
	struct gh_bus_range *range = add_stay(&here, "here", HERE);
	pthread_t threads[2];

	(void)add_stay(&there, "there", THERE);
	taken = (unsigned int)_i % 2;
	for (int i = 0; i <= _i / 2; i++)
		ck_assert_int_eq(store(taken, THERE), GH_BUS_DONE);
	atomic_store(&there.go, false);
	atomic_store(&there.entered, false);
	atomic_store(&here.go, false);
	ck_assert_int_eq(pthread_create(&threads[0], NULL, store_here, NULL), 0);
	await(&here.entered);
	ck_assert_int_eq(pthread_create(&threads[1], NULL, let_go_later, NULL), 0);
	meanwhile = take_over;
	atomic_store(&instant, GH_POINT_BUS_LOOKED);
	gh_bus_remove(range);
	ck_assert(atomic_load(&here.left));
	atomic_store(&there.go, true);
	ck_assert_int_eq(pthread_join(threads[0], NULL), 0);
	ck_assert_int_eq(pthread_join(threads[1], NULL), 0);
	ck_assert_int_eq(pthread_join(newcomer, NULL), 0);
}
END_TEST

/* --- a child that is born while somebody removes ------------------------------------------------------------------------- */

static struct gh_bus_range *other;
static atomic_bool removing;
static atomic_bool go_on;
static bool forks;
static bool is_child;
static int status;
static const void *table; /* of the remover's alone at the fork: lost in the child, for tools that look for leaks */

static void hold_remover(void)
{
	atomic_store(&removing, true);
	await(&go_on);
}

static void *remove_other(void *argument)
{
	gh_bus_remove(other);
	return argument;
}

/* The remover has the lock, and every vCPU is to look out for what it removes. */
static int fork_meanwhile(void *data, struct gh_bus_access *access)
{
	pthread_t thread;
	pid_t child;

	(void)data;
	(void)access;
	if (!forks)
		return GH_BUS_DONE;
	table = atomic_load(&board.vm->bus.table);
	meanwhile = hold_remover;
	atomic_store(&instant, GH_POINT_BUS_PUBLISHED);
	EXPECT(pthread_create(&thread, NULL, remove_other, NULL) == 0);
	await(&removing);
	child = fork();
	if (child == 0) {
		is_child = true;
		(void)alarm(10);
		return GH_BUS_DONE;
	}
	EXPECT(waitpid(child, &status, 0) == child);
	atomic_store(&go_on, true);
	EXPECT(pthread_join(thread, NULL) == 0);
	return GH_BUS_DONE;
}

/* It leaves its handler, which a look-up has found or which is recent, and waits for nobody. */
START_TEST(test_child_leaves)
{
	DEVICE(device, 0);
	struct gh_bus_range_options options = device_options(&device, "device", HERE, 0x100);
	int ret = GH_BUS_DONE;

	options.access = fork_meanwhile;
	(void)board_add(&board, &options);
	other = board_add_device(&board, &device, "other", THERE, 0x100);
	atomic_store(&removing, false);
	atomic_store(&go_on, false);
	for (int i = 0; i <= _i; i++) {
		forks = i == _i;
		ret = store(0, HERE);
	}
	if (is_child)
		_exit(ret == GH_BUS_DONE && store(0, HERE) == -EPERM && store(0, HERE) == -EPERM ? 0 : 1);
	ck_assert_int_eq(status, 0);
}
END_TEST

static int expect_access(void *data, struct gh_bus_access *access)
{
	pid_t child;

	if (!forks)
		return GH_BUS_DONE;
	child = fork();
	if (child == 0)
		_exit(access->vcpu == board.vcpus[0] && access->range == *(struct gh_bus_range **)data &&
				      access->gpa == HERE + 0x40 && access->offset == 0x40 && access->value == 7 &&
				      access->mask == UINT32_MAX && access->width == 4 && access->is_store == 1
			      ? 0
			      : 1);
	EXPECT(waitpid(child, &status, 0) == child);
	return GH_BUS_DONE;
}

/* A child sees the access that the handler was called for. */
START_TEST(test_child_sees)
{
	static struct gh_bus_range *range;
	DEVICE(device, 0);
	struct gh_bus_range_options options = device_options(&device, "device", HERE, 0x100);

	options.access = expect_access;
	options.removed = NULL;
	options.data = &range;
	range = board_add(&board, &options);
	forks = true;
	for (int i = 0; i < 3; i++) {
		status = -1;
		ck_assert_int_eq(board_store(&board, 0, HERE + 0x40, 4, 7), GH_BUS_DONE);
		ck_assert_int_eq(status, 0);
	}
}
END_TEST

/* --- the VM's end ----------------------------------------------------------------------------------------------------------- */

struct late {
	struct gh_bus_range *range;
	unsigned int calls;
	unsigned int removed;
};

static struct late late[3];
static bool takes_away;
static unsigned int strays; /* calls of handlers after `removed` */

static int late_access(void *data, struct gh_bus_access *access)
{
	struct late *device = data;

	(void)access;
	device->calls++;
	strays += device->removed;
	return GH_BUS_DONE;
}

/* Each tells the others good-bye, and may take one along. */
static void late_removed(void *data)
{
	struct late *device = data;

	device->removed++;
	for (unsigned int i = 0; i < 3; i++)
		(void)store(0, HERE + i * 0x1000);
	if (takes_away && late[0].removed == 0)
		gh_bus_remove(late[0].range);
	for (unsigned int i = 0; i < 3; i++)
		(void)store(0, HERE + i * 0x1000);
}

static void add_late(unsigned int i, int (*access)(void *data, struct gh_bus_access *access))
{
	struct gh_bus_range_options options = GH_BUS_RANGE_OPTIONS_INIT;

	late[i] = (struct late){ .range = NULL };
	options.name = "late";
	options.gpa = HERE + i * 0x1000;
	options.length = 0x100;
	options.access = access;
	options.removed = late_removed;
	options.data = &late[i];
	late[i].range = board_add(&board, &options);
}

static void close_all(void)
{
	board_end(&board);
	board_begin(&board, 2);
	for (unsigned int i = 0; i < 3; i++)
		ck_assert_uint_eq(late[i].removed, 1);
	ck_assert_uint_eq(strays, 0);
}

/* What is recent is not asked any more when its callback has been told that it is over. */
START_TEST(test_close)
{
	strays = 0;
	takes_away = _i != 0;
	for (unsigned int i = 0; i < 3; i++)
		add_late(i, late_access);
	for (unsigned int i = 0; i < 3; i++)
		ck_assert_int_eq(store(0, HERE + i * 0x1000), GH_BUS_DONE);
	close_all();
}
END_TEST

static int leaving_access(void *data, struct gh_bus_access *access)
{
	struct late *device = data;

	if (late[1].removed != 0)
		gh_bus_remove(device->range);
	return late_access(data, access);
}

/* A handler that such a callback gets called takes its own range away. */
START_TEST(test_close_leaving)
{
	strays = 0;
	takes_away = false;
	add_late(0, leaving_access);
	add_late(1, late_access);
	add_late(2, late_access);
	close_all();
}
END_TEST

static void begin(void)
{
	board_begin(&board, 2);
	is_child = false;
	status = -1;
}

static void end(void)
{
	board_end(&board);
}

int main(void)
{
	Suite *suite = suite_create("bus_takeover");
	TCase *tcase = add_case(suite, "bus_takeover");

	tcase_add_checked_fixture(tcase, begin, end);
	tcase_add_loop_test(tcase, test_taken_over, 0, 4);
	tcase_add_loop_test(tcase, test_child_leaves, 0, 2);
	tcase_add_test(tcase, test_child_sees);
	tcase_add_loop_test(tcase, test_close, 0, 2);
	tcase_add_test(tcase, test_close_leaving);
	return run_suite(suite);
}
