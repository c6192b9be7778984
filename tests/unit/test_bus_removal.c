/* SPDX-License-Identifier: BSD-3-Clause */
/* Ranges that go while handlers run: who waits, who does not, and that the device is told exactly once. */
#include "board.h"

#include "../../lib/internal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define HERE UINT64_C(0x1000)
#define THERE UINT64_C(0x2000)

static struct board board;

/* --- kernels with and without membarrier() ------------------------------------------------------------------------------ */

enum barrier { KERNEL_HAS_IT, KERNEL_LACKS_IT, SANDBOX_TAKES_IT_AWAY, BARRIERS };

static struct {
	struct gh_sys sys; /* first */
	struct gh_sys *below;
	enum barrier barrier;
	unsigned int barriers;   /* that were asked for */
	void (*meanwhile)(void); /* when it fails */
	unsigned int deaf_naps;  /* of 10 ms, which no signal can end */
} kernel;

static int membarrier_below(struct gh_sys *sys, int command)
{
	(void)sys;
	kernel.barriers++;
	if (kernel.barrier == KERNEL_LACKS_IT)
		return -ENOSYS;
	if (kernel.barrier == SANDBOX_TAKES_IT_AWAY && kernel.barriers > 3) {
		if (kernel.meanwhile != NULL)
			kernel.meanwhile();
		return -EPERM;
	}
	return kernel.below->membarrier(kernel.below, command);
}

static int ppoll_below(struct gh_sys *sys, struct pollfd *fds, unsigned int count, const struct timespec *timeout)
{
	sigset_t blocked;

	(void)sys;
	EXPECT(pthread_sigmask(SIG_BLOCK, NULL, &blocked) == 0);
	kernel.deaf_naps += timeout->tv_nsec == 10000000 && sigismember(&blocked, SIGALRM) == 1;
	return kernel.below->ppoll(kernel.below, fds, count, timeout);
}

/* The fake asks the kernel below for little; its table takes no notice of which one it is. */
static void begin(int barrier)
{
	board_begin(&board, 3);
	kernel.below = board.vm->b.sys;
	kernel.sys = *kernel.below;
	kernel.sys.membarrier = membarrier_below;
	kernel.sys.ppoll = ppoll_below;
	kernel.barrier = (enum barrier)barrier;
	kernel.barriers = 0;
	kernel.deaf_naps = 0;
	kernel.meanwhile = NULL;
	board.vm->b.sys = &kernel.sys;
}

static void end(void)
{
	board.vm->b.sys = kernel.below;
	board_end(&board);
}

static int store(unsigned int vcpu, uint64_t gpa)
{
	const struct gh_exit exit = { .kind = GH_EXIT_MMIO, .mmio = { .gpa = gpa, .width = 4, .is_store = 1 } };

	return gh_bus_dispatch(board.vcpus[vcpu], &exit);
}

/* --- devices whose handlers do something to the bus ---------------------------------------------------------------------- */

struct actor {
	void (*act)(struct actor *actor);
	struct gh_bus_range *target; /* whatever act() does something to */
	struct actor *other;
	pthread_barrier_t *meeting; /* before it acts */
	atomic_bool entered;
	atomic_bool let_go; /* it waits for that */
	bool waits;
	uint32_t staying; /* this vCPU only waits for that; 0: none */
	atomic_uint calls;
	atomic_uint removed;
	atomic_uint removed_inside; /* what `removed` was at the end of act() */
};

static int actor_access(void *data, struct gh_bus_access *access)
{
	struct actor *actor = data;
	bool stays = actor->staying != 0 && gh_vcpu_id(access->vcpu) == actor->staying;

	atomic_fetch_add(&actor->calls, 1);
	atomic_store(&actor->entered, true);
	while ((actor->waits || stays) && !atomic_load(&actor->let_go))
		pause_ms(1);
	if (stays)
		return GH_BUS_DONE;
	if (actor->meeting != NULL)
		(void)pthread_barrier_wait(actor->meeting);
	if (actor->act != NULL)
		actor->act(actor);
	atomic_store(&actor->removed_inside, atomic_load(&actor->removed));
	return GH_BUS_DONE;
}

static void actor_removed(void *data)
{
	struct actor *actor = data;

	atomic_fetch_add(&actor->removed, 1);
}

static struct gh_bus_range *add_actor(struct actor *actor, uint64_t gpa)
{
	struct gh_bus_range_options options = GH_BUS_RANGE_OPTIONS_INIT;

	options.name = "actor";
	options.gpa = gpa;
	options.length = 0x100;
	options.access = actor_access;
	options.removed = actor_removed;
	options.data = actor;
	return board_add(&board, &options);
}

static void remove_target(struct actor *actor)
{
	gh_bus_remove(actor->target);
}

static void remove_twice(struct actor *actor)
{
	gh_bus_remove(actor->target);
	gh_bus_remove(actor->target);
}

/* --- a dispatch on a thread of its own ----------------------------------------------------------------------------------- */

struct visit {
	pthread_t thread;
	unsigned int vcpu;
	uint64_t gpa;
	int ret;
};

static void *visit_thread(void *argument)
{
	struct visit *visit = argument;

	visit->ret = store(visit->vcpu, visit->gpa);
	return NULL;
}

static void visit_begin(struct visit *visit, unsigned int vcpu, uint64_t gpa)
{
	*visit = (struct visit){ .vcpu = vcpu, .gpa = gpa };
	ck_assert_int_eq(pthread_create(&visit->thread, NULL, visit_thread, visit), 0);
}

static void visit_end(struct visit *visit)
{
	ck_assert_int_eq(pthread_join(visit->thread, NULL), 0);
	ck_assert_int_eq(visit->ret, GH_BUS_DONE);
}

static void await(atomic_bool *flag)
{
	for (int i = 0; i < 30000 && !atomic_load(flag); i++)
		pause_ms(1);
	ck_assert(atomic_load(flag));
}

/* --- waiting ---------------------------------------------------------------------------------------------------------- */

struct removal {
	pthread_t thread;
	struct gh_bus_range *range;
	struct actor *actor;
	unsigned int removed; /* when it came back */
	atomic_bool done;
};

static void *removal_thread(void *argument)
{
	struct removal *removal = argument;

	gh_bus_remove(removal->range);
	removal->removed = atomic_load(&removal->actor->removed);
	atomic_store(&removal->done, true);
	return NULL;
}

static void *let_go_later(void *argument)
{
	struct actor *actor = argument;

	pause_ms(20);
	atomic_store(&actor->let_go, true);
	return NULL;
}

static uint32_t ranges_on_table(void)
{
	uint32_t count;

	(void)pthread_mutex_lock(&board.vm->bus.lock);
	count = atomic_load(&board.vm->bus.table)->n_entries;
	(void)pthread_mutex_unlock(&board.vm->bus.lock);
	return count;
}

/* From outside it waits for the handler; new accesses do not find the range meanwhile, and others are served. */
START_TEST(test_waits)
{
	struct actor slow = { .waits = true };
	struct actor other = { .act = NULL };
	struct removal removal = { .actor = &slow };
	struct visit visit;

	begin(_i);
	removal.range = add_actor(&slow, HERE);
	(void)add_actor(&other, THERE);
	/* So that the next one is a remembered one. */
	atomic_store(&slow.let_go, true);
	ck_assert_int_eq(store(0, HERE), GH_BUS_DONE);
	atomic_store(&slow.let_go, false);
	atomic_store(&slow.entered, false);
	visit_begin(&visit, 0, HERE);
	await(&slow.entered);
	ck_assert_int_eq(pthread_create(&removal.thread, NULL, removal_thread, &removal), 0);
	/* It is off the table, or a second access would wait as well. */
	for (int i = 0; i < 30000 && ranges_on_table() > 1; i++)
		pause_ms(1);
	ck_assert_int_eq(store(1, HERE), GH_BUS_UNMATCHED);
	ck_assert_int_eq(store(1, THERE), GH_BUS_DONE);
	pause_ms(20);
	ck_assert(!atomic_load(&removal.done));
	ck_assert_uint_eq(atomic_load(&slow.removed), 0);
	atomic_store(&slow.let_go, true);
	visit_end(&visit);
	ck_assert_int_eq(pthread_join(removal.thread, NULL), 0);
	ck_assert_uint_eq(removal.removed, 1);
	ck_assert_int_eq(store(0, HERE), GH_BUS_UNMATCHED);
	end();
	ck_assert_uint_eq(atomic_load(&slow.removed), 1);
	ck_assert_uint_eq(atomic_load(&other.removed), 1);
}
END_TEST

/* In its own handler it does not. */
START_TEST(test_own)
{
	struct actor actor = { .act = _i % 2 == 0 ? remove_target : remove_twice };

	begin(_i / 2);
	actor.target = add_actor(&actor, HERE);
	ck_assert_int_eq(store(0, HERE), GH_BUS_DONE);
	ck_assert_uint_eq(atomic_load(&actor.removed_inside), 0);
	ck_assert_uint_eq(atomic_load(&actor.removed), 1);
	ck_assert_int_eq(store(0, HERE), GH_BUS_UNMATCHED);
	end();
	ck_assert_uint_eq(atomic_load(&actor.removed), 1);
}
END_TEST

/* Nor while another vCPU is inside: that one tells the device. */
START_TEST(test_own_with_another)
{
	struct actor actor = { .act = remove_target, .staying = 2 };
	struct visit visit;

	begin(_i);
	actor.target = add_actor(&actor, HERE);
	visit_begin(&visit, 2, HERE);
	await(&actor.entered);
	ck_assert_int_eq(store(0, HERE), GH_BUS_DONE);
	ck_assert_uint_eq(atomic_load(&actor.calls), 2);
	ck_assert_uint_eq(atomic_load(&actor.removed), 0);
	ck_assert_int_eq(store(1, HERE), GH_BUS_UNMATCHED);
	atomic_store(&actor.let_go, true);
	visit_end(&visit);
	ck_assert_uint_eq(atomic_load(&actor.removed), 1);
	end();
}
END_TEST

/* Nor if another thread dispatches there than the one before; and that one, which is in no handler, waits. */
START_TEST(test_other_thread)
{
	struct actor actor = { .waits = true };
	struct gh_bus_range *range;
	struct visit visit;
	pthread_t thread;

	begin(_i);
	atomic_store(&actor.let_go, true);
	actor.target = add_actor(&actor, HERE);
	ck_assert_int_eq(store(0, HERE), GH_BUS_DONE);
	actor.act = remove_target;
	visit_begin(&visit, 0, HERE);
	visit_end(&visit);
	ck_assert_uint_eq(atomic_load(&actor.removed), 1);
	/* This thread has remembered the range, and the handler runs on another one. */
	actor.act = NULL;
	range = add_actor(&actor, HERE);
	ck_assert_int_eq(store(0, HERE), GH_BUS_DONE);
	atomic_store(&actor.let_go, false);
	atomic_store(&actor.entered, false);
	visit_begin(&visit, 0, HERE);
	await(&actor.entered);
	ck_assert_int_eq(pthread_create(&thread, NULL, let_go_later, &actor), 0);
	gh_bus_remove(range);
	ck_assert(atomic_load(&actor.let_go));
	ck_assert_uint_eq(atomic_load(&actor.removed), 2);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	visit_end(&visit);
	end();
}
END_TEST

/* Two that remove each other at the same time, while a third vCPU is inside one of them. */
START_TEST(test_each_other)
{
	struct actor a = { .act = remove_target };
	struct actor b = { .act = remove_target };
	pthread_barrier_t meeting;
	struct visit visits[2];
	struct visit third;

	begin(_i);
	ck_assert_int_eq(pthread_barrier_init(&meeting, NULL, 2), 0);
	a.meeting = &meeting;
	b.meeting = &meeting;
	a.target = add_actor(&b, THERE);
	b.target = add_actor(&a, HERE);
	a.staying = 2;
	visit_begin(&third, 2, HERE);
	await(&a.entered);
	visit_begin(&visits[0], 0, HERE);
	visit_begin(&visits[1], 1, THERE);
	visit_end(&visits[0]);
	visit_end(&visits[1]);
	ck_assert_uint_eq(atomic_load(&a.removed), 0);
	ck_assert_uint_eq(atomic_load(&b.removed), 1);
	atomic_store(&a.let_go, true);
	visit_end(&third);
	ck_assert_uint_eq(atomic_load(&a.removed), 1);
	ck_assert_int_eq(store(0, HERE), GH_BUS_UNMATCHED);
	ck_assert_int_eq(store(1, THERE), GH_BUS_UNMATCHED);
	(void)pthread_barrier_destroy(&meeting);
	end();
}
END_TEST

/* A handler removes a range whose handler is running elsewhere: that one tells the device. */
START_TEST(test_last_one_tells)
{
	struct actor slow = { .waits = true };
	struct actor remover = { .act = remove_target };
	struct visit visits[2];

	begin(_i);
	remover.target = add_actor(&slow, HERE);
	(void)add_actor(&remover, THERE);
	visit_begin(&visits[0], 0, HERE);
	visit_begin(&visits[1], 1, HERE);
	for (int i = 0; i < 30000 && atomic_load(&slow.calls) < 2; i++)
		pause_ms(1);
	ck_assert_uint_eq(atomic_load(&slow.calls), 2);
	ck_assert_int_eq(store(2, THERE), GH_BUS_DONE);
	ck_assert_uint_eq(atomic_load(&slow.removed), 0);
	/* The address is free, and the old handler still runs. */
	(void)add_actor(&remover, HERE);
	remover.act = NULL;
	ck_assert_int_eq(store(2, HERE), GH_BUS_DONE);
	ck_assert_uint_eq(atomic_load(&slow.removed), 0);
	atomic_store(&slow.let_go, true);
	visit_end(&visits[0]);
	visit_end(&visits[1]);
	ck_assert_uint_eq(atomic_load(&slow.removed), 1);
	end();
}
END_TEST

static void access_here(void)
{
	ck_assert_int_eq(store(1, HERE), GH_BUS_DONE);
}

/* A dispatch between the new table and the barrier that fails passed none itself, and must not have remembered anything. */
START_TEST(test_lost_barrier)
{
	struct actor actor = { .act = NULL };

	begin(SANDBOX_TAKES_IT_AWAY);
	(void)add_actor(&actor, HERE);
	(void)add_actor(&actor, THERE);
	ck_assert_int_eq(store(1, HERE), GH_BUS_DONE);
	ck_assert(board_is_recent(&board, 1, HERE, true));
	kernel.meanwhile = access_here;
	(void)add_actor(&actor, THERE + 0x1000);
	ck_assert_uint_eq(kernel.barriers, 4);
	/* For the barrier before the look-ups that are awaited, and for the one behind what was recent. */
	ck_assert_uint_eq(kernel.deaf_naps, 2);
	ck_assert_uint_eq(atomic_load(&actor.calls), 2);
	ck_assert(!board_is_recent(&board, 1, HERE, true));
	ck_assert_int_eq(store(1, HERE), GH_BUS_DONE);
	(void)add_actor(&actor, THERE + 0x2000);
	ck_assert_int_eq(store(1, HERE), GH_BUS_DONE);
	ck_assert(!board_is_recent(&board, 1, HERE, true));
	ck_assert_uint_eq(kernel.deaf_naps, 2);
	end();
}
END_TEST

/* --- what handlers and callbacks may do ------------------------------------------------------------------------------------ */

static void add_there(struct actor *actor)
{
	actor->target = add_actor(actor->other, THERE);
	/* At once, also for this thread's other vCPUs. */
	ck_assert_int_eq(store(1, THERE), GH_BUS_DONE);
}

START_TEST(test_adds)
{
	struct actor added = { .act = NULL };
	struct actor actor = { .act = add_there, .other = &added };

	begin(_i);
	(void)add_actor(&actor, HERE);
	ck_assert_int_eq(store(0, HERE), GH_BUS_DONE);
	ck_assert_uint_eq(atomic_load(&added.calls), 1);
	ck_assert_int_eq(store(0, THERE), GH_BUS_DONE);
	ck_assert_uint_eq(atomic_load(&added.calls), 2);
	end();
	ck_assert_uint_eq(atomic_load(&added.removed), 1);
}
END_TEST

/* A chain: each tells the next one to go. */
struct link {
	struct gh_bus_range *next;
	struct gh_bus_range *own;
	unsigned int removed;
	bool adds;
};

static void link_removed(void *data)
{
	struct link *link = data;
	struct device device = { 0 };
	const struct gh_bus_range_options options = device_options(&device, "late", 0x9000, 8);
	struct gh_bus_range *range;

	link->removed++;
	gh_bus_remove(link->next);
	gh_bus_remove(link->own); /* no harm */
	if (!link->adds)
		return;
	ck_assert_int_eq(gh_bus_add(board.vm, &options, &range), 0);
	gh_bus_remove(range);
	ck_assert_uint_eq(device.removed, 1);
}

#define LINKS 5

static void make_chain(struct link *links, struct device *device)
{
	for (int i = LINKS - 1; i >= 0; i--) {
		struct gh_bus_range_options options = device_options(device, "link", HERE + 0x100 * (uint64_t)i, 0x100);

		options.removed = link_removed;
		options.data = &links[i];
		links[i].own = board_add(&board, &options);
		links[i].next = i < LINKS - 1 ? links[i + 1].own : NULL;
	}
}

START_TEST(test_removed_removes)
{
	struct link links[LINKS] = { { .next = NULL } };
	struct device device = { 0 };

	begin(_i);
	make_chain(links, &device);
	for (int i = 0; i < LINKS; i++)
		links[i].adds = true;
	gh_bus_remove(links[0].own);
	for (int i = 0; i < LINKS; i++)
		ck_assert_uint_eq(links[i].removed, 1);
	ck_assert_int_eq(store(0, HERE), GH_BUS_UNMATCHED);
	end();
}
END_TEST

/* Closing tells all of them, and ranges that have gone in the course of it may be removed once more. */
START_TEST(test_close)
{
	struct link links[LINKS] = { { .next = NULL } };
	struct device device = { 0 };

	begin(_i);
	make_chain(links, &device);
	end();
	for (int i = 0; i < LINKS; i++)
		ck_assert_uint_eq(links[i].removed, 1);
}
END_TEST

/* While the VM closes, what a device holds of it is still there, and nothing new is taken. */
struct holder {
	struct gh_irqfd *line;
	struct gh_ioevent *bell;
	bool checked;
};

static void ignore(void *data, const struct gh_bus_event *event)
{
	(void)data;
	(void)event;
}

static void holder_removed(void *data)
{
	struct holder *holder = data;
	struct device device = { 0 };
	const struct gh_bus_range_options options = device_options(&device, "late", 0x9000, 8);
	const struct gh_bus_unmatched_options unmatched = GH_BUS_UNMATCHED_OPTIONS_INIT;
	struct gh_bus_trace_options trace = GH_BUS_TRACE_OPTIONS_INIT;
	struct gh_bus_range *range = NULL;

	ck_assert_int_eq(gh_irqfd_raise(holder->line), 0);
	gh_irqfd_remove(holder->line);
	gh_ioevent_remove(holder->bell);
	ck_assert_uint_eq(gh_vcpu_id(board.vcpus[1]), 1);
	ck_assert_int_eq(gh_bus_add(board.vm, &options, &range), -EBUSY);
	ck_assert(failure_is(gh_vm_failure(board.vm), -EBUSY));
	ck_assert_int_eq(gh_bus_set_unmatched(board.vm, &unmatched), 0);
	trace.trace = ignore;
	ck_assert_int_eq(gh_bus_set_trace(board.vm, &trace), -EBUSY);
	ck_assert_int_eq(gh_bus_set_trace(board.vm, NULL), 0);
	ck_assert_uint_eq(device.removed, 0);
	holder->checked = true;
}

START_TEST(test_close_with_all)
{
	struct holder holder = { .checked = false };
	struct gh_bus_range_options options = device_options(NULL, "holder", HERE, 8);
	const struct gh_irqfd_options line = GH_IRQFD_OPTIONS_INIT;
	const struct gh_ioevent_options bell = GH_IOEVENT_OPTIONS_INIT;

	begin(_i);
	ck_assert_int_eq(gh_irqfd_add(board.vm, &line, &holder.line), 0);
	ck_assert_int_eq(gh_ioevent_add(board.vm, &bell, &holder.bell), 0);
	options.removed = holder_removed;
	options.data = &holder;
	(void)board_add(&board, &options);
	end();
	ck_assert(holder.checked);
}
END_TEST

/* --- under load --------------------------------------------------------------------------------------------------------- */

#define SPOTS 8u
#define SPOT(i) (HERE + (uint64_t)(i)*0x1000)
#define ALIVE 0x600dda7au

struct crowd {
	_Atomic(struct gh_bus_range *) spots[SPOTS];
	atomic_uint made;
	atomic_uint freed;
	atomic_uint served;
	atomic_uint broken;
	atomic_bool over;
	enum { BY_OTHERS, BY_THEMSELVES } how;
};

static struct crowd crowd;

/* On the heap, so that a sanitizer sees what comes too late. */
struct member {
	unsigned int magic;
	unsigned int spot;
	atomic_uint inside;
	atomic_uint calls;
};

static int member_access(void *data, struct gh_bus_access *access)
{
	struct member *member = data;
	unsigned int calls;

	atomic_fetch_add(&member->inside, 1);
	if (member->magic != ALIVE || access->offset != (access->gpa & 0xfff))
		atomic_fetch_add(&crowd.broken, 1);
	atomic_fetch_add(&crowd.served, 1);
	calls = atomic_fetch_add(&member->calls, 1);
	if (crowd.how == BY_THEMSELVES && calls % 4 == 3) {
		/* The neighbour, or itself; of several who want the same one, one gets it. */
		unsigned int victim = (member->spot + calls / 4 % 2) % SPOTS;

		gh_bus_remove(atomic_exchange(&crowd.spots[victim], NULL));
	}
	atomic_fetch_sub(&member->inside, 1);
	return GH_BUS_DONE;
}

static void member_removed(void *data)
{
	struct member *member = data;

	if (member->magic != ALIVE || atomic_load(&member->inside) != 0)
		atomic_fetch_add(&crowd.broken, 1);
	member->magic = 0;
	free(member);
	atomic_fetch_add(&crowd.freed, 1);
}

static void member_add(unsigned int spot)
{
	struct gh_bus_range_options options = GH_BUS_RANGE_OPTIONS_INIT;
	struct gh_bus_range *range = NULL;
	struct member *member = calloc(1, sizeof(*member));
	int ret;

	member->magic = ALIVE;
	member->spot = spot;
	options.name = "member";
	options.gpa = SPOT(spot);
	options.length = 0x1000;
	options.access = member_access;
	options.removed = member_removed;
	options.data = member;
	ret = gh_bus_add(board.vm, &options, &range);
	if (ret < 0) {
		/* The member that removes itself may not have come to it yet. */
		if (crowd.how != BY_THEMSELVES || ret != -EEXIST)
			atomic_fetch_add(&crowd.broken, 1);
		free(member);
		return;
	}
	atomic_fetch_add(&crowd.made, 1);
	atomic_store(&crowd.spots[spot], range);
}

static void *crowd_guest(void *argument)
{
	unsigned int vcpu = *(unsigned int *)argument;
	unsigned int random = vcpu * 2654435761u + 1;
	unsigned int spot = 0;

	while (!atomic_load(&crowd.over)) {
		int ret;

		random = random * 1664525 + 1013904223;
		/* Mostly where it was before. */
		if (random >> 30 == 0)
			spot = random >> 16 & (SPOTS - 1);
		ret = store(vcpu, SPOT(spot) + (random >> 8 & 0xffc));
		if (ret != GH_BUS_DONE && ret != GH_BUS_UNMATCHED)
			atomic_fetch_add(&crowd.broken, 1);
	}
	return NULL;
}

/* The one who adds, and takes away unless the members see to that. */
static void crowd_change(unsigned int rounds)
{
	unsigned int random = 12345;

	for (unsigned int i = 0; i < rounds; i++) {
		struct gh_bus_range *range;
		unsigned int spot;

		random = random * 1664525 + 1013904223;
		spot = random >> 16 & (SPOTS - 1);
		range = atomic_load(&crowd.spots[spot]);
		if (crowd.how == BY_OTHERS && range != NULL) {
			atomic_store(&crowd.spots[spot], NULL);
			gh_bus_remove(range);
		}
		if (range == NULL)
			member_add(spot);
	}
}

START_TEST(test_crowd)
{
	unsigned int vcpus[] = { 0, 1, 2 };
	pthread_t guests[3];

	memset(&crowd, 0, sizeof(crowd));
	crowd.how = _i % 2 == 0 ? BY_OTHERS : BY_THEMSELVES;
	begin(_i / 2);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&guests[i], NULL, crowd_guest, &vcpus[i]), 0);
	/* As long as it takes until something has happened; the guests may not have a processor yet. */
	for (int i = 0; i < 30000 && (atomic_load(&crowd.served) < 2000 || atomic_load(&crowd.freed) < 50); i++) {
		crowd_change(20);
		pause_ms(1);
	}
	atomic_store(&crowd.over, true);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_join(guests[i], NULL), 0);
	ck_assert_uint_ge(atomic_load(&crowd.freed), 50);
	ck_assert_uint_ge(atomic_load(&crowd.served), 2000);
	end();
	ck_assert_uint_eq(atomic_load(&crowd.broken), 0);
	ck_assert_uint_eq(atomic_load(&crowd.made), atomic_load(&crowd.freed));
	ck_assert_uint_gt(kernel.barriers, 0);
	/* Without the kernel's help it is not asked again. */
	if (kernel.barrier == KERNEL_LACKS_IT)
		ck_assert_uint_eq(kernel.barriers, 1);
	if (kernel.barrier == SANDBOX_TAKES_IT_AWAY)
		ck_assert_uint_eq(kernel.barriers, 4);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bus_removal");
	TCase *tcase = add_case(suite, "bus_removal");

	tcase_add_loop_test(tcase, test_waits, 0, BARRIERS);
	tcase_add_loop_test(tcase, test_own, 0, 2 * BARRIERS);
	tcase_add_loop_test(tcase, test_own_with_another, 0, BARRIERS);
	tcase_add_loop_test(tcase, test_other_thread, 0, BARRIERS);
	tcase_add_loop_test(tcase, test_each_other, 0, BARRIERS);
	tcase_add_loop_test(tcase, test_last_one_tells, 0, BARRIERS);
	tcase_add_test(tcase, test_lost_barrier);
	tcase_add_loop_test(tcase, test_adds, 0, BARRIERS);
	tcase_add_loop_test(tcase, test_removed_removes, 0, BARRIERS);
	tcase_add_loop_test(tcase, test_close, 0, BARRIERS);
	tcase_add_loop_test(tcase, test_close_with_all, 0, BARRIERS);
	tcase_add_loop_test(tcase, test_crowd, 0, 2 * BARRIERS);
	return run_suite(suite);
}
