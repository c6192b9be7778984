/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The n-th system call, and the n-th allocation, of a reset and of an unmap fails, for every n: nothing is left behind, no
 * kernel breaks, and another reset gets over it. And a hundred resets in a row leave nothing, to the byte.
 */
#include "rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SCRIPT "store 0x6000 4 1; off"

/* --- allocations ------------------------------------------------------------------------------------------------------ */

static struct {
	unsigned long count; /* while table_counts */
	unsigned long fail_at;
	long live; /* the library's own, whatever counts */
} heap;

/* Named by the linker. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);
void __wrap_free(void *memory);

static bool is_struck(void)
{
	return table_counts && table_depth == 0 && ++heap.count == heap.fail_at;
}

static void *noted(void *memory)
{
	heap.live += memory != NULL && table_counts && table_depth == 0;
	return memory;
}

void *__wrap_malloc(size_t size)
{
	return is_struck() ? NULL : noted(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
	return is_struck() ? NULL : noted(__real_calloc(count, size));
}

void *__wrap_realloc(void *old, size_t size)
{
	void *memory = is_struck() ? NULL : __real_realloc(old, size);

	return old == NULL ? noted(memory) : memory;
}

char *__wrap_strdup(const char *text)
{
	return is_struck() ? NULL : noted(__real_strdup(text));
}

void __wrap_free(void *memory)
{
	heap.live -= memory != NULL && table_counts && table_depth == 0;
	__real_free(memory);
}

/* Of which the test asks that it neither fails nor leaves. */
#define COUNTED(call) (table_counts = true, result = (call), table_counts = false, result)

static void disarm(void)
{
	table_arm(0, 0);
	heap.fail_at = 0;
	heap.count = 0;
}

/* --- a VM with a bit of everything -------------------------------------------------------------------------------------- */

static struct gh_vcpu *boot;

static void furnish(struct rig *rig, enum rig_kind kind)
{
	struct gh_irqfd_options irqfd = GH_IRQFD_OPTIONS_INIT;
	struct gh_irq_options irq = GH_IRQ_OPTIONS_INIT;
	struct gh_ioevent_options bell = GH_IOEVENT_OPTIONS_INIT;
	struct gh_ioevent *ioevent;
	struct gh_irqfd *line;
	struct gh_irq *level;

	rig_open(rig, kind, SCRIPT);
	for (uint64_t i = 0; i < 3; i++)
		map_at(rig->vm, RAM_GPA + i * 8 * MIB, 4 * MIB, GH_MEMORY_RWX);
	boot = add_vcpu(rig->vm, 0);
	(void)add_vcpu(rig->vm, 1);
	irqfd.line = 5;
	ck_assert_int_eq(gh_irqfd_add(rig->vm, &irqfd, &line), 0);
	irq.line = 6;
	irq.flags = GH_IRQ_LEVEL;
	ck_assert_int_eq(gh_irq_add(rig->vm, &irq, &level), 0);
	ck_assert_int_eq(gh_irq_set(level, 1), 0);
	bell.gpa = 0x6000;
	bell.width = 4;
	ck_assert_int_eq(gh_ioevent_add(rig->vm, &bell, &ioevent), 0);
}

static void start(struct rig *rig)
{
	int ret = rig_write_tree(rig, DTB_GPA, MIB);

	if (ret == 0)
		ret = gh_vm_start(rig->vm);
	ck_assert_msg(ret == 0, "start: %d (%s)", ret, gh_vm_failure(rig->vm)->cause);
}

static void run(struct rig *rig)
{
	if (rig->kind != RIG_FAKE)
		ck_assert_uint_eq(run_once(boot)->kind, GH_EXIT_STOPPED);
}

/* --- faults --------------------------------------------------------------------------------------------------------------- */

enum act { RESET, UNMAP, ACTS };

static int act(struct rig *rig, enum act what)
{
	int result;

	if (what == RESET)
		return COUNTED(gh_vm_reset(rig->vm));
	return COUNTED(gh_vm_unmap(rig->vm, 2));
}

/* False: there is no such call any more. */
static bool fail_one(enum rig_kind kind, enum act what, unsigned long n, int error)
{
	struct holdings before = holdings_now();
	struct rig rig;
	bool fired;
	int ret;

	furnish(&rig, kind);
	if (what == RESET) {
		start(&rig);
		run(&rig);
	}
	table_arm(error != 0 ? n : 0, error);
	heap.count = 0;
	heap.fail_at = error == 0 ? n : 0;
	ret = act(&rig, what);
	fired = error != 0 ? table_fired() : heap.count >= n;
	disarm();
	if (!fired)
		ck_assert_int_eq(ret, 0);
	if (ret < 0) {
		struct gh_region_info info = GH_REGION_INFO_INIT;

		ck_assert_msg(failure_is(gh_vm_failure(rig.vm), ret), "call %lu: %d, and no reason", n, ret);
		/* Either nothing has changed, which only KVM can say of an unmap, or there is nothing but a reset. */
		if (what != UNMAP || kind != RIG_KVM)
			ck_assert_int_eq(gh_vm_start(rig.vm), -EBUSY);
		else
			ck_assert_int_eq(gh_vm_region(rig.vm, 2, &info), 0);
		/* The memory is the caller's to look at, still. */
		ck_assert_int_eq(gh_vm_region(rig.vm, 0, &info), 0);
		ret = gh_vm_reset(rig.vm);
		ck_assert_msg(ret == 0, "call %lu: %d", n, ret);
	}
	start(&rig);
	run(&rig);
	rig_close(&rig);
	if (!holdings_equal(before, holdings_now()))
		ck_abort_msg("call %lu: something is left behind", n);
	return fired;
}

static const int errors[] = { -EIO, -ENOMEM, -EINTR, 0 };
#define ERRORS (int)(sizeof(errors) / sizeof(errors[0]))

START_TEST(test_every_call)
{
	enum rig_kind kind = (enum rig_kind)(_i / ERRORS % RIG_KINDS);
	enum act what = (enum act)(_i / ERRORS / RIG_KINDS);
	int error = errors[_i % ERRORS];
	struct rig rig;
	unsigned long n = 1;

	/* Threads of the simulated kernel exist from then on. */
	furnish(&rig, kind);
	rig_close(&rig);
	while (fail_one(kind, what, n, error))
		ck_assert_uint_lt(++n, 1000);
	/* There is something to fail; the fake has nothing to allocate, nor has KVM at an unmap. */
	if (error != 0)
		ck_assert_uint_gt(n, what == RESET && kind != RIG_FAKE ? 3 : 1);
}
END_TEST

/* --- a hundred ---------------------------------------------------------------------------------------------------------------- */

START_TEST(test_hundred)
{
	struct holdings before = { 0 };
	unsigned int mappings = 0;
	unsigned int files = 0;
	int result = 0;
	struct rig rig;
	long live = 0;

	furnish(&rig, (enum rig_kind)_i);
	for (int i = 0; i <= 100; i++) {
		ck_assert_int_eq(rig_write_tree(&rig, DTB_GPA, MIB), 0);
		ck_assert_int_eq(COUNTED(gh_vm_start(rig.vm)), 0);
		if (i % 3 != 0)
			run(&rig);
		ck_assert_int_eq(COUNTED(gh_vm_reset(rig.vm)), 0);
		/* The first one makes the threads and the like that stay. */
		if (i == 0) {
			before = holdings_now();
			mappings = table_mappings();
			files = gh_sim_open_files(rig.sim);
			live = heap.live;
		}
	}
	ck_assert(holdings_equal(before, holdings_now()));
	ck_assert_uint_eq(table_mappings(), mappings);
	ck_assert_uint_eq(gh_sim_open_files(rig.sim), files);
	ck_assert_int_eq(heap.live, live);
	rig_close(&rig);
}
END_TEST

/* The counting sees one that stays. */
START_TEST(test_leak_is_seen)
{
	long live = heap.live;
	void *memory;

	table_counts = true;
	memory = malloc(10);
	table_counts = false;
	ck_assert_int_eq(heap.live, live + 1);
	table_counts = true;
	free(memory);
	table_counts = false;
	ck_assert_int_eq(heap.live, live);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("reset_fault");
	TCase *tcase = add_case(suite, "faults");

	tcase_add_loop_test(tcase, test_every_call, 0, ERRORS * RIG_KINDS * ACTS);
	tcase = add_case(suite, "leaks");
	tcase_add_test(tcase, test_leak_is_seen);
	tcase_add_loop_test(tcase, test_hundred, 0, RIG_KINDS);
	return run_suite(suite);
}
