/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The n-th allocation and the n-th system call fail in the life of a bus: an error that has changed nothing, or no harm at all.
 * Linked with --wrap=malloc and others, and with a table of system calls in between.
 */
#include "board.h"
#include "table.h"

#include "../../lib/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* More than one table, and more than one chunk of cells. */
#define RANGES 40u
#define BASE UINT64_C(0x10000)

static struct {
	unsigned long count;
	unsigned long fail_at;
} memory;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);

static bool is_struck(void)
{
	return table_counts && ++memory.count == memory.fail_at;
}

void *__wrap_malloc(size_t size)
{
	return is_struck() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return is_struck() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return is_struck() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
	return is_struck() ? NULL : __real_strdup(text);
}

#define CALL(expression) (table_counts = true, result = (expression), table_counts = false, result)
#define DO(expression) (table_counts = true, (expression), table_counts = false)

/* --- a life ------------------------------------------------------------------------------------------------------------- */

struct life {
	struct board board;
	struct device device;
	struct gh_bus_range *ranges[RANGES];
	unsigned int tried; /* calls that failed, and were made again */
	int fd;
};

static int mark;

static int store(struct life *life, unsigned int vcpu, uint64_t gpa)
{
	const struct gh_exit exit = { .kind = GH_EXIT_MMIO, .mmio = { .gpa = gpa, .width = 4, .value = 1, .is_store = 1 } };
	int result;

	return CALL(gh_bus_dispatch(life->board.vcpus[vcpu], &exit));
}

/* Everything that was added answers, and nothing else does. */
static void look(struct life *life)
{
	unsigned int vcpus = life->board.vcpus[1] != NULL ? 2 : 1;

	for (unsigned int i = 0; i < RANGES; i++)
		EXPECT(store(life, i % vcpus, BASE + 0x100 * i) ==
		       (life->ranges[i] != NULL ? GH_BUS_DONE : GH_BUS_UNMATCHED));
}

/* A failure changes nothing, and says why; the same call works when there is memory. */
static void add(struct life *life, unsigned int i)
{
	const struct gh_bus_range_options options = device_options(&life->device, "r", BASE + 0x100 * i, 0x100);
	struct gh_bus_range *range = (void *)&mark;
	int result;

	if (CALL(gh_bus_add(life->board.vm, &options, &range)) < 0) {
		EXPECT(result == -ENOMEM && range == (void *)&mark && failure_is(gh_vm_failure(life->board.vm), -ENOMEM));
		look(life);
		life->tried++;
		EXPECT(CALL(gh_bus_add(life->board.vm, &options, &range)) == 0);
	}
	life->ranges[i] = range;
}

static void add_bell(struct life *life, unsigned int i)
{
	const struct gh_bus_doorbell doorbell = { .gpa = 8 * (uint64_t)i, .match = true, .value = i, .fd = life->fd };
	int result;

	if (CALL(gh_bus_add_doorbell(life->board.vm, &doorbell)) < 0) {
		EXPECT(result == -ENOMEM);
		life->tried++;
		EXPECT(CALL(gh_bus_add_doorbell(life->board.vm, &doorbell)) == 0);
	}
	if (i % 2 == 0)
		DO(gh_bus_end_doorbell(life->board.vm, gh_bus_withdraw_doorbell(life->board.vm, &doorbell)));
}

static void ignore(void *data, const struct gh_bus_event *event)
{
	(void)data;
	(void)event;
}

static int swallow(void *data, const char *text, size_t length)
{
	(void)data;
	(void)text;
	(void)length;
	return 0;
}

static void configure(struct life *life)
{
	const struct gh_bus_unmatched_options unmatched = GH_BUS_UNMATCHED_OPTIONS_INIT;
	struct gh_bus_trace_options trace = GH_BUS_TRACE_OPTIONS_INIT;
	struct gh_vm *vm = life->board.vm;
	int result;

	trace.trace = ignore;
	for (int i = 0; i < 2; i++) {
		if (CALL(gh_bus_set_unmatched(vm, &unmatched)) < 0)
			EXPECT(++life->tried > 0 && result == -ENOMEM && failure_is(gh_vm_failure(vm), -ENOMEM));
		if (CALL(gh_bus_set_trace(vm, &trace)) < 0)
			EXPECT(++life->tried > 0 && result == -ENOMEM && failure_is(gh_vm_failure(vm), -ENOMEM));
		if (CALL(gh_bus_dump(vm, GH_BUS_TEXT, swallow, NULL)) < 0)
			EXPECT(++life->tried > 0 && result == -ENOMEM);
	}
	EXPECT(CALL(gh_bus_set_trace(vm, NULL)) == 0);
}

/* One that comes late has to count what is there. */
static void add_late_vcpu(struct life *life)
{
	struct gh_vcpu *vcpu = (void *)&mark;
	int result;

	if (CALL(gh_vcpu_create(life->board.vm, 1, &vcpu)) < 0) {
		EXPECT(vcpu == (void *)&mark);
		life->tried++;
		EXPECT(CALL(gh_vcpu_create(life->board.vm, 1, &vcpu)) == 0);
	}
	life->board.vcpus[1] = vcpu;
}

/* Returns how many calls failed. */
static unsigned int live(void)
{
	static struct life life;

	memset(&life, 0, sizeof(life));
	life.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	board_begin(&life.board, 1);
	configure(&life);
	for (unsigned int i = 0; i < RANGES / 2; i++)
		add(&life, i);
	add_late_vcpu(&life);
	for (unsigned int i = RANGES / 2; i < RANGES; i++)
		add(&life, i);
	for (unsigned int i = 0; i < 20; i++)
		add_bell(&life, i);
	look(&life);
	/* Removing never fails, whatever does. */
	for (unsigned int i = 0; i < RANGES; i += 2) {
		DO(gh_bus_remove(life.ranges[i]));
		life.ranges[i] = NULL;
		EXPECT(life.device.removed == i / 2 + 1);
	}
	look(&life);
	DO(gh_vm_close(life.board.vm));
	gh_fake_free(life.board.fake);
	EXPECT(life.device.removed == RANGES);
	(void)close(life.fd);
	return life.tried;
}

/* --- failing ------------------------------------------------------------------------------------------------------------ */

START_TEST(test_memory)
{
	struct holdings before;
	unsigned int tried = 0;

	table_wrap_kernel(true);
	memory.fail_at = 0;
	ck_assert_uint_eq(live(), 0);
	before = holdings_now();
	for (unsigned long n = 1;; n++) {
		memory.count = 0;
		memory.fail_at = n;
		tried += live();
		if (!holdings_equal(before, holdings_now()) || table_mappings() != 0)
			ck_abort_msg("allocation %lu: something is left behind", n);
		if (memory.count < n)
			break;
	}
	memory.fail_at = 0;
	ck_assert_uint_gt(tried, RANGES);
	table_wrap_kernel(false);
}
END_TEST

START_TEST(test_system_calls)
{
	static const int errors[] = { -ENOSYS, -EPERM, -EINTR };
	struct holdings before;
	unsigned int barriers = 0;

	table_wrap_kernel(true);
	memory.fail_at = 0;
	ck_assert_uint_eq(live(), 0);
	before = holdings_now();
	for (unsigned long n = 1;; n++) {
		table_arm(n, errors[n % 3]);
		(void)live();
		if (!holdings_equal(before, holdings_now()) || table_mappings() != 0)
			ck_abort_msg("call %lu (%s): something is left behind", n, table_victim());
		if (!table_fired())
			break;
		barriers += strcmp(table_victim(), "membarrier") == 0;
	}
	/* It is not asked for again once it has failed. */
	ck_assert_uint_gt(barriers, RANGES);
	table_arm(0, 0);
	table_wrap_kernel(false);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bus_fault");
	TCase *tcase = add_case(suite, "bus_fault");

	tcase_add_test(tcase, test_memory);
	tcase_add_test(tcase, test_system_calls);
	return run_suite(suite);
}
