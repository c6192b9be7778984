/* SPDX-License-Identifier: BSD-3-Clause */
/* Changes of the bus while accesses are recent: what stays recent, what does not, and who is called until then. */
#include "board.h"

#include "internal.h"
#include "points.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define HERE UINT64_C(0x1000)
#define THERE UINT64_C(0x2000)
#define ROUNDS 3

static struct board board;

static void begin(void)
{
	board_begin(&board, 2);
}

static void end(void)
{
	board_end(&board);
}

/* --- named places of the run path ------------------------------------------------------------------------------------------- */

/* Once, on the thread that gets there. */
static _Atomic enum gh_point instant;
static void (*_Atomic at_instant)(void);

void gh_point_reached(enum gh_point point)
{
	void (*then)(void) = atomic_load_explicit(&at_instant, memory_order_relaxed);

	if (then == NULL || point != atomic_load_explicit(&instant, memory_order_relaxed))
		return;
	atomic_store(&at_instant, NULL);
	then();
}

static void at_point(enum gh_point point, void (*then)(void))
{
	atomic_store(&instant, point);
	atomic_store(&at_instant, then);
}

/* --- a device that has something done while its handler runs ---------------------------------------------------------------- */

struct actor {
	void (*act)(struct actor *actor); /* once */
	struct gh_bus_range *range;
	const char *name;
	uint64_t gpa;
	int verdict;
	unsigned int calls;
	unsigned int removed;
	unsigned int removed_inside; /* at the end of the last call */
	uint64_t stored;             /* last */
};

static int actor_access(void *data, struct gh_bus_access *access)
{
	struct actor *actor = data;
	void (*act)(struct actor * actor) = actor->act;

	EXPECT(actor->removed == 0);
	EXPECT(access->gpa == actor->gpa + access->offset);
	EXPECT(access->range == actor->range || actor->range == NULL);
	actor->calls++;
	actor->stored = access->value;
	actor->act = NULL;
	if (act != NULL)
		act(actor);
	if (access->is_store == 0)
		access->value = 0x77;
	actor->removed_inside = actor->removed;
	return actor->verdict;
}

static void actor_removed(void *data)
{
	struct actor *actor = data;

	actor->removed++;
}

static void actor_add(struct actor *actor, const char *name, uint64_t gpa)
{
	struct gh_bus_range_options options = GH_BUS_RANGE_OPTIONS_INIT;

	*actor = (struct actor){ .name = name, .gpa = gpa };
	options.name = name;
	options.gpa = gpa;
	options.length = 0x100;
	options.access = actor_access;
	options.removed = actor_removed;
	options.data = actor;
	actor->range = board_add(&board, &options);
}

static struct actor first;
static struct actor second;
static struct actor third;
static bool is_store;

/* As the test wants it, by vCPU 0. */
static int access_at(uint64_t gpa)
{
	uint64_t value = 0;
	int ret;

	if (is_store)
		return board_store(&board, 0, gpa, 4, 1);
	ret = board_load(&board, 0, gpa, 4, &value);
	if (ret == GH_BUS_DONE)
		EXPECT(value == 0x77);
	return ret;
}

static bool is_recent(uint64_t gpa)
{
	return board_is_recent(&board, 0, gpa, is_store);
}

/* --- the changes -------------------------------------------------------------------------------------------------------------- */

static unsigned int shown;
static unsigned int tracers_removed;

static void trace(void *data, const struct gh_bus_event *event)
{
	(void)data;
	EXPECT(event->gpa == HERE || event->gpa == THERE);
	shown++;
}

static void tracer_removed(void *data)
{
	(void)data;
	tracers_removed++;
}

static void set_tracer(void)
{
	struct gh_bus_trace_options options = GH_BUS_TRACE_OPTIONS_INIT;

	options.trace = trace;
	options.removed = tracer_removed;
	ck_assert_int_eq(gh_bus_set_trace(board.vm, &options), 0);
}

static void take_tracer(void)
{
	ck_assert_int_eq(gh_bus_set_trace(board.vm, NULL), 0);
}

static struct gh_bus_doorbell bell;

static void add_bell(void)
{
	ck_assert_int_eq(gh_bus_add_doorbell(board.vm, &bell), 0);
}

static void take_bell(void)
{
	gh_bus_end_doorbell(board.vm, gh_bus_withdraw_doorbell(board.vm, &bell));
}

static void remove_first(void)
{
	gh_bus_remove(first.range);
}

static void replace_first(void)
{
	gh_bus_remove(first.range);
	actor_add(&third, "successor", HERE);
}

static void add_another(void)
{
	actor_add(&third, "another", THERE + 0x1000);
}

static void set_policy(void)
{
	board_set_policy(&board, GH_BUS_UNMATCHED_VALUE, 9);
}

/* --- what holds after them ---------------------------------------------------------------------------------------------------- */

/* The neighbour has nothing to do with it. */
static void expect_neighbour(bool recent)
{
	unsigned int calls = second.calls;

	ck_assert(is_recent(THERE) == recent);
	ck_assert_int_eq(access_at(THERE), GH_BUS_DONE);
	ck_assert_uint_eq(second.calls, calls + 1);
}

static void expect_served(struct actor *actor, bool recent)
{
	unsigned int calls = actor->calls;

	ck_assert(is_recent(HERE) == recent);
	ck_assert_int_eq(access_at(HERE), GH_BUS_DONE);
	ck_assert_uint_eq(actor->calls, calls + 1);
}

static void after_removal(void)
{
	unsigned int calls = first.calls;

	ck_assert_uint_eq(first.removed, 1);
	ck_assert_uint_eq(first.removed_inside, 0);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		ck_assert(!is_recent(HERE));
		ck_assert_int_eq(access_at(HERE), GH_BUS_UNMATCHED);
	}
	ck_assert_uint_eq(first.calls, calls);
	expect_neighbour(false);
	expect_neighbour(true);
}

static void after_replacement(void)
{
	unsigned int calls = first.calls;

	ck_assert_uint_eq(first.removed, 1);
	ck_assert_uint_eq(first.removed_inside, 0);
	for (unsigned int i = 0; i < ROUNDS; i++)
		expect_served(&third, i > 0);
	ck_assert_uint_eq(first.calls, calls);
	expect_neighbour(false);
}

static void after_addition(void)
{
	for (unsigned int i = 0; i < ROUNDS; i++) {
		expect_served(&first, true);
		expect_neighbour(true);
	}
	ck_assert_int_eq(access_at(THERE + 0x1000), GH_BUS_DONE);
	ck_assert_int_eq(access_at(THERE + 0x1000), GH_BUS_DONE);
	ck_assert_uint_eq(third.calls, 2);
}

static void after_policy(void)
{
	expect_served(&first, true);
	first.verdict = GH_BUS_UNMATCHED;
	ck_assert_int_eq(board_store(&board, 0, HERE, 4, 1), GH_BUS_DONE);
	expect_neighbour(true);
}

/* Every access is shown, and none is recent, until nobody wants to see them any more. */
static void after_tracer(void)
{
	unsigned int before = shown;

	for (unsigned int i = 1; i <= ROUNDS; i++) {
		expect_served(&first, false);
		ck_assert_uint_eq(shown, before + i);
	}
	expect_neighbour(false);
	ck_assert_uint_eq(tracers_removed, 0);
	take_tracer();
	ck_assert_uint_eq(tracers_removed, 1);
	for (unsigned int i = 0; i < ROUNDS; i++)
		expect_served(&first, i > 0);
	ck_assert_uint_eq(shown, before + ROUNDS + 1);
}

static void after_bell(void)
{
	unsigned int calls = first.calls;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		ck_assert_int_eq(board_store(&board, 0, HERE, 4, 0xbe11), GH_BUS_DONE);
		ck_assert_uint_eq(take_count(bell.fd), 1);
	}
	ck_assert_uint_eq(first.calls, calls);
	for (unsigned int i = 0; i < ROUNDS; i++)
		expect_served(&first, false);
	ck_assert_uint_eq(take_count(bell.fd), 0);
	take_bell();
	ck_assert_int_eq(board_store(&board, 0, HERE, 4, 0xbe11), GH_BUS_DONE);
	ck_assert_uint_eq(first.stored, 0xbe11);
	ck_assert_uint_eq(take_count(bell.fd), 0);
	expect_served(&first, is_store);
	expect_served(&first, true);
	expect_neighbour(false);
}

/* With a tracer or a doorbell from the beginning, and none now. */
static void after_end(void)
{
	unsigned int before = shown;

	for (unsigned int i = 0; i < ROUNDS; i++)
		expect_served(&first, i > 0);
	ck_assert_int_eq(board_store(&board, 0, HERE, 4, 0xbe11), GH_BUS_DONE);
	ck_assert_uint_eq(first.stored, 0xbe11);
	ck_assert_uint_eq(take_count(bell.fd), 0);
	ck_assert_uint_eq(shown, before);
}

static const struct change {
	void (*before)(void);
	void (*change)(void);
	void (*after)(void);
	bool waits; /* for a handler that runs */
} changes[] = {
	{ NULL, remove_first, after_removal, true },  { NULL, replace_first, after_replacement, true },
	{ NULL, add_another, after_addition, false }, { NULL, set_policy, after_policy, false },
	{ NULL, set_tracer, after_tracer, false },    { NULL, add_bell, after_bell, false },
	{ set_tracer, take_tracer, after_end, true }, { add_bell, take_bell, after_end, false },
};
#define CHANGES ((int)(sizeof(changes) / sizeof(changes[0])))

/* --- from everywhere ------------------------------------------------------------------------------------------------------------ */

static const struct change *change;

static void change_inside(struct actor *actor)
{
	(void)actor;
	change->change();
}

static struct {
	pthread_t thread;
	atomic_bool done;
} elsewhere;

static void *change_thread(void *data)
{
	(void)data;
	change->change();
	atomic_store(&elsewhere.done, true);
	return NULL;
}

static uint64_t generation(void)
{
	uint64_t generation;

	(void)pthread_mutex_lock(&board.vm->bus.lock);
	generation = atomic_load(&board.vm->bus.table)->generation;
	(void)pthread_mutex_unlock(&board.vm->bus.lock);
	return generation;
}

/* Until the other thread has changed the bus; one that waits for the handler cannot have come back. */
static void change_elsewhere(struct actor *actor)
{
	uint64_t before = generation();

	ck_assert_int_eq(pthread_create(&elsewhere.thread, NULL, change_thread, NULL), 0);
	for (int i = 0; i < PATIENCE_MS && generation() == before; i++)
		pause_ms(1);
	EXPECT(generation() != before);
	for (int i = 0; i < PATIENCE_MS && !change->waits && !atomic_load(&elsewhere.done); i++)
		pause_ms(1);
	if (change->waits)
		pause_ms(5);
	EXPECT(atomic_load(&elsewhere.done) == !change->waits);
	EXPECT(actor->removed == 0);
}

enum { OUTSIDE, INSIDE, ELSEWHERE, PLACES };

static void prepare(int index)
{
	change = &changes[index / 2 / PLACES];
	is_store = index % 2 != 0;
	shown = 0;
	tracers_removed = 0;
	bell = (struct gh_bus_doorbell){ .gpa = HERE, .width = 4, .match = true, .value = 0xbe11 };
	bell.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ck_assert_int_ge(bell.fd, 0);
	third = (struct actor){ .name = NULL };
	actor_add(&first, "first", HERE);
	actor_add(&second, "second", THERE);
	if (change->before != NULL)
		change->before();
	for (unsigned int i = 0; i < 2; i++) {
		ck_assert_int_eq(access_at(HERE), GH_BUS_DONE);
		ck_assert_int_eq(access_at(THERE), GH_BUS_DONE);
	}
	ck_assert(is_recent(HERE) == (change->before == NULL));
	ck_assert(is_recent(THERE) == (change->before != set_tracer));
}

START_TEST(test_changes)
{
	const int place = _i / 2 % PLACES;
	unsigned int traced;

	prepare(_i);
	traced = shown;
	atomic_store(&elsewhere.done, false);
	if (place == OUTSIDE) {
		change->change();
	} else {
		first.act = place == INSIDE ? change_inside : change_elsewhere;
		ck_assert_int_eq(access_at(HERE), GH_BUS_DONE);
		ck_assert_uint_eq(first.calls, 3);
	}
	if (place == ELSEWHERE)
		ck_assert_int_eq(pthread_join(elsewhere.thread, NULL), 0);
	/* One that was under way when the tracer went is its last one, and recent accesses have none to show them to. */
	ck_assert_uint_eq(shown, traced + (change->before == set_tracer && place != OUTSIDE));
	change->after();
	if (change->before == set_tracer)
		ck_assert_uint_eq(tracers_removed, 1);
	ck_assert_int_eq(close(bell.fd), 0);
}
END_TEST

/* --- a handler that removes itself, and still has a say --------------------------------------------------------------------------- */

static void remove_own(struct actor *actor)
{
	gh_bus_remove(actor->range);
}

static void remove_twice(struct actor *actor)
{
	gh_bus_remove(actor->range);
	gh_bus_remove(actor->range);
}

static const struct {
	int verdict;
	int load;
	int store;
} says[] = {
	{ GH_BUS_DONE, GH_BUS_DONE, GH_BUS_DONE },
	{ GH_BUS_DEFER, GH_BUS_DEFER, GH_BUS_DONE },
	{ GH_BUS_FAIL, GH_BUS_DONE, GH_BUS_DONE },
	{ GH_BUS_UNMATCHED, GH_BUS_UNMATCHED, GH_BUS_UNMATCHED },
	{ -EIO, -EIO, -EIO },
	{ 1234, -EINVAL, -EINVAL },
};
#define SAYS ((int)(sizeof(says) / sizeof(says[0])))

START_TEST(test_last_words)
{
	const struct gh_exit *exit;
	const int verdict = says[_i / 2].verdict;
	const int expected = _i % 2 != 0 ? says[_i / 2].store : says[_i / 2].load;

	is_store = _i % 2 != 0;
	actor_add(&first, "first", HERE);
	ck_assert_int_eq(access_at(HERE), GH_BUS_DONE);
	ck_assert(is_recent(HERE));
	first.act = verdict % 2 == 0 ? remove_own : remove_twice;
	first.verdict = verdict;
	ck_assert_int_eq((is_store ? gh_fake_store(board.fake, 0, HERE, 4, 1) : gh_fake_load(board.fake, 0, HERE, 4)), 0);
	exit = run_once(board.vcpus[0]);
	ck_assert_int_eq(gh_bus_dispatch(board.vcpus[0], exit), expected);
	ck_assert_uint_eq(first.calls, 2);
	ck_assert_uint_eq(first.removed, 1);
	ck_assert_uint_eq(first.removed_inside, 0);
	if (expected < 0)
		ck_assert_ptr_nonnull(strstr(gh_vcpu_failure(board.vcpus[0])->cause, "\"first\""));
	/* A load that has no answer yet is still to be answered. */
	if (!is_store)
		ck_assert_int_eq(gh_mmio_complete(board.vcpus[0], 5), expected == GH_BUS_DONE ? -EBUSY : 0);
	ck_assert_uint_eq(atomic_load(&board.vm->bus.care), 0);
	ck_assert_uint_eq(atomic_load(&board.vcpus[0]->bus.live->calm), 1);
	ck_assert_int_eq(access_at(HERE), GH_BUS_UNMATCHED);
}
END_TEST

/* A handler adds, right where it is itself, over and over: its successors are other ranges. */
static void succeed(struct actor *actor)
{
	struct actor *next = actor == &first ? &second : &first;

	gh_bus_remove(actor->range);
	actor_add(next, "next", HERE);
}

START_TEST(test_successors)
{
	is_store = _i != 0;
	actor_add(&first, "first", HERE);
	for (unsigned int i = 0; i < 10; i++) {
		struct actor *actor = i % 2 == 0 ? &first : &second;
		struct actor *next = i % 2 == 0 ? &second : &first;

		expect_served(actor, false);
		expect_served(actor, true);
		actor->act = succeed;
		expect_served(actor, true);
		ck_assert_uint_eq(actor->removed, 1);
		ck_assert_uint_eq(actor->removed_inside, 0);
		ck_assert_uint_eq(next->removed, 0);
		ck_assert_uint_eq(board_range_counts(next->range).loads + board_range_counts(next->range).stores, 0);
	}
}
END_TEST

/* --- between the access and its handler ------------------------------------------------------------------------------------------ */

static unsigned int counted;

static void remove_now(void)
{
	gh_bus_remove(first.range);
	counted = first.removed;
}

static void *remove_thread(void *data)
{
	(void)data;
	gh_bus_remove(first.range);
	atomic_store(&elsewhere.done, true);
	return NULL;
}

static void remove_elsewhere(void)
{
	uint64_t before = generation();

	ck_assert_int_eq(pthread_create(&elsewhere.thread, NULL, remove_thread, NULL), 0);
	for (int i = 0; i < PATIENCE_MS && generation() == before; i++)
		pause_ms(1);
	pause_ms(5);
	EXPECT(!atomic_load(&elsewhere.done));
	counted = first.removed;
}

/* Removed when it has been recalled already: the handler is not called, and the range goes as soon as nobody is there. */
START_TEST(test_removed_meanwhile)
{
	is_store = _i % 2 != 0;
	actor_add(&first, "first", HERE);
	actor_add(&second, "second", THERE);
	atomic_store(&elsewhere.done, false);
	ck_assert_int_eq(access_at(HERE), GH_BUS_DONE);
	ck_assert_int_eq(access_at(THERE), GH_BUS_DONE);
	ck_assert(is_recent(HERE));
	at_point(GH_POINT_BUS_RECALLED, _i / 2 == 0 ? remove_now : remove_elsewhere);
	ck_assert_int_eq(access_at(HERE), GH_BUS_UNMATCHED);
	ck_assert_ptr_null(atomic_load(&at_instant));
	if (_i / 2 != 0)
		ck_assert_int_eq(pthread_join(elsewhere.thread, NULL), 0);
	ck_assert_uint_eq(counted, 0);
	ck_assert_uint_eq(first.calls, 1);
	ck_assert_uint_eq(first.removed, 1);
	expect_neighbour(false);
	expect_neighbour(true);
}
END_TEST

/* The same, of its neighbour: it is looked up again, and served. */
static void remove_neighbour(void)
{
	gh_bus_remove(second.range);
}

START_TEST(test_neighbour_removed_meanwhile)
{
	is_store = _i != 0;
	actor_add(&first, "first", HERE);
	actor_add(&second, "second", THERE);
	ck_assert_int_eq(access_at(HERE), GH_BUS_DONE);
	ck_assert_int_eq(access_at(THERE), GH_BUS_DONE);
	at_point(GH_POINT_BUS_RECALLED, remove_neighbour);
	ck_assert_int_eq(access_at(HERE), GH_BUS_DONE);
	ck_assert_uint_eq(second.removed, 1);
	ck_assert_uint_eq(first.calls, 2);
	expect_served(&first, true);
	ck_assert_int_eq(access_at(THERE), GH_BUS_UNMATCHED);
}
END_TEST

/* In the midst of the look-up that finds it: what that leaves behind is cleared, and no later access gets there. */
static void *remove_during_look_up(void *data)
{
	(void)data;
	gh_bus_remove(first.range);
	return NULL;
}

static void begin_removal(void)
{
	ck_assert_int_eq(pthread_create(&elsewhere.thread, NULL, remove_during_look_up, NULL), 0);
	for (int i = 0; i < PATIENCE_MS && atomic_load(&board.vm->bus.table)->n_entries == 1; i++)
		pause_ms(1);
	EXPECT(atomic_load(&board.vm->bus.table)->n_entries == 0);
}

START_TEST(test_removed_in_look_up)
{
	is_store = _i != 0;
	actor_add(&first, "first", HERE);
	at_point(GH_POINT_BUS_BEGUN, begin_removal);
	ck_assert_int_eq(access_at(HERE), GH_BUS_DONE);
	ck_assert_int_eq(pthread_join(elsewhere.thread, NULL), 0);
	ck_assert_uint_eq(first.removed, 1);
	ck_assert(!is_recent(HERE));
	ck_assert_int_eq(access_at(HERE), GH_BUS_UNMATCHED);
	ck_assert_uint_eq(first.calls, 1);
}
END_TEST

/* --- who else there is ------------------------------------------------------------------------------------------------------------ */

/* Of all vCPUs, also of one that has come when the VM ran already. */
START_TEST(test_all_vcpus)
{
	actor_add(&first, "first", HERE);
	ck_assert_int_eq(board_store(&board, 0, HERE, 4, 1), GH_BUS_DONE);
	board.vcpus[2] = add_vcpu(board.vm, 2);
	for (unsigned int round = 0; round < ROUNDS; round++)
		for (unsigned int i = 0; i < 3; i++) {
			ck_assert(board_is_recent(&board, i, HERE, true) == (round > 0 || i == 0));
			ck_assert_int_eq(board_store(&board, i, HERE, 4, 1), GH_BUS_DONE);
		}
	gh_bus_remove(first.range);
	for (unsigned int i = 0; i < 3; i++) {
		ck_assert(!board_is_recent(&board, i, HERE, true));
		ck_assert_int_eq(board_store(&board, i, HERE, 4, 1), GH_BUS_UNMATCHED);
	}
	ck_assert_uint_eq(first.calls, 1 + 3 * ROUNDS);
}
END_TEST

/* A vCPU that comes while there is something to look out for knows of it, and hears when there no longer is. */
static void remove_and_add_vcpu(struct actor *actor)
{
	gh_bus_remove(actor->range);
	board.vcpus[2] = add_vcpu(board.vm, 2);
	for (unsigned int i = 0; i < 3; i++)
		EXPECT(atomic_load(&board.vcpus[i]->bus.live->calm) == 0);
}

START_TEST(test_new_vcpu)
{
	is_store = _i != 0;
	actor_add(&first, "first", HERE);
	for (unsigned int i = 0; i < 2; i++)
		ck_assert_uint_eq(atomic_load(&board.vcpus[i]->bus.live->calm), 1);
	ck_assert_int_eq(access_at(HERE), GH_BUS_DONE);
	first.act = remove_and_add_vcpu;
	ck_assert_int_eq(access_at(HERE), GH_BUS_DONE);
	ck_assert_uint_eq(first.removed, 1);
	for (unsigned int i = 0; i < 3; i++)
		ck_assert_uint_eq(atomic_load(&board.vcpus[i]->bus.live->calm), 1);
}
END_TEST

/* One vCPU's handler has another vCPU's range removed, which is at it by a recent access further up on the same thread. */
static void remove_first_from_second(struct actor *actor)
{
	(void)actor;
	remove_first();
	EXPECT(first.removed == 0);
}

static void go_there(struct actor *actor)
{
	(void)actor;
	second.act = remove_first_from_second;
	EXPECT(board_store(&board, 1, THERE, 4, 1) == GH_BUS_DONE);
	EXPECT(first.removed == 0);
}

START_TEST(test_removed_from_below)
{
	is_store = _i != 0;
	actor_add(&first, "first", HERE);
	actor_add(&second, "second", THERE);
	ck_assert_int_eq(access_at(HERE), GH_BUS_DONE);
	ck_assert_int_eq(board_store(&board, 1, THERE, 4, 1), GH_BUS_DONE);
	first.act = go_there;
	ck_assert(is_recent(HERE));
	ck_assert(board_is_recent(&board, 1, THERE, true));
	ck_assert_int_eq(access_at(HERE), GH_BUS_DONE);
	ck_assert_uint_eq(second.calls, 2);
	after_removal();
}
END_TEST

/* --- the kernel's help ------------------------------------------------------------------------------------------------------------ */

static struct {
	struct gh_sys sys; /* first */
	struct gh_sys *below;
	unsigned int barriers;
	bool gone;
} kernel;

static int count_barriers(struct gh_sys *sys, int command)
{
	(void)sys;
	kernel.barriers++;
	return kernel.gone ? -EPERM : kernel.below->membarrier(kernel.below, command);
}

static unsigned int take_barriers(void)
{
	unsigned int barriers = kernel.barriers;

	kernel.barriers = 0;
	return barriers;
}

static void use_kernel(void)
{
	kernel.below = board.vm->b.sys;
	kernel.sys = *kernel.below;
	kernel.sys.membarrier = count_barriers;
	kernel.barriers = 0;
	kernel.gone = false;
	board.vm->b.sys = &kernel.sys;
}

/* Between clearing and looking who is still at it there is one more; not if there was nothing to clear. */
START_TEST(test_barriers)
{
	is_store = _i != 0;
	use_kernel();
	actor_add(&first, "first", HERE);
	actor_add(&second, "second", THERE);
	(void)take_barriers();
	gh_bus_remove(second.range);
	ck_assert_uint_eq(take_barriers(), 1);
	actor_add(&second, "second", THERE);
	ck_assert_int_eq(access_at(HERE), GH_BUS_DONE);
	(void)take_barriers();
	set_policy();
	ck_assert_uint_eq(take_barriers(), 1);
	add_another();
	ck_assert_uint_eq(take_barriers(), 1);
	gh_bus_remove(second.range);
	ck_assert_uint_eq(take_barriers(), 2);
	gh_bus_remove(third.range);
	ck_assert_uint_eq(take_barriers(), 1);
	board.vm->b.sys = kernel.below;
}
END_TEST

/* A sandbox takes the call away, and a change that would leave what is recent alone is the first to see it. */
START_TEST(test_barriers_gone)
{
	is_store = _i % 2 != 0;
	use_kernel();
	actor_add(&first, "first", HERE);
	ck_assert_int_eq(access_at(HERE), GH_BUS_DONE);
	ck_assert(is_recent(HERE));
	kernel.gone = true;
	(_i / 2 != 0 ? set_policy : add_another)();
	for (unsigned int i = 0; i < ROUNDS; i++)
		expect_served(&first, false);
	ck_assert_uint_eq(atomic_load(&board.vcpus[0]->bus.live->calm), 0);
	gh_bus_remove(first.range);
	ck_assert_uint_eq(first.removed, 1);
	board.vm->b.sys = kernel.below;
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bus_recent_changes");
	TCase *tcase = add_case(suite, "bus_recent_changes");

	tcase_add_checked_fixture(tcase, begin, end);
	tcase_add_loop_test(tcase, test_changes, 0, CHANGES * PLACES * 2);
	tcase_add_loop_test(tcase, test_last_words, 0, SAYS * 2);
	tcase_add_loop_test(tcase, test_successors, 0, 2);
	tcase_add_loop_test(tcase, test_removed_meanwhile, 0, 4);
	tcase_add_loop_test(tcase, test_neighbour_removed_meanwhile, 0, 2);
	tcase_add_loop_test(tcase, test_removed_in_look_up, 0, 2);
	tcase_add_test(tcase, test_all_vcpus);
	tcase_add_loop_test(tcase, test_new_vcpu, 0, 2);
	tcase_add_loop_test(tcase, test_barriers, 0, 2);
	tcase_add_loop_test(tcase, test_barriers_gone, 0, 4);
	tcase_add_loop_test(tcase, test_removed_from_below, 0, 2);
	return run_suite(suite);
}
