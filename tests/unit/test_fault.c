/* SPDX-License-Identifier: BSD-3-Clause */
/* The n-th system call of a whole life fails, for every n: an error or no harm, nothing left behind, no kernel broken. */
#include "life.h"
#include "table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

static const int errors[] = { -ENOMEM, -EIO, -EINTR };
#define ERRORS (int)(sizeof(errors) / sizeof(errors[0]))

/*
 * GH_FAULT_STRIDE=3 in the environment: every call fails in one of the three ways instead of in each. For where all of them
 * take a minute.
 */
static unsigned long fault_stride(void)
{
	const char *text = getenv("GH_FAULT_STRIDE");
	unsigned long stride = text != NULL ? strtoul(text, NULL, 10) : 1;

	return stride > 0 ? stride : 1;
}

/* A life without faults: the thread of the simulated kernel and the like exist from then on. */
static unsigned long count_calls(const struct life_kind *kind)
{
	int ret;

	table_arm(0, 0);
	ret = life_run(kind);
	ck_assert_msg(ret == 0, "%s: %d", kind->name, ret);
	return table_count();
}

START_TEST(test_every_call)
{
	const struct life_kind *kind = &life_kinds[_i / ERRORS];
	const unsigned long stride = fault_stride();
	struct holdings before;
	unsigned long failed = 0;

	/* The ways in turn, instead of each. */
	if (kind->brief && _i % ERRORS != 0)
		return;
	table_wrap_kernel(kind->device == NULL);
	ck_assert_uint_gt(count_calls(kind), 20);
	ck_assert_uint_eq(table_mappings(), 0);
	before = holdings_now();
	for (unsigned long n = 1 + (unsigned long)(_i % ERRORS) % stride;; n += stride) {
		int error = errors[((unsigned long)_i + (kind->brief ? n : 0)) % ERRORS];
		int ret;

		table_arm(n, error);
		ret = life_run(kind);
		if (!table_fired()) {
			ck_assert_int_eq(ret, 0);
			break;
		}
		failed += ret < 0;
		if (!holdings_equal(before, holdings_now()) || table_mappings() != 0)
			ck_abort_msg("%s, call %lu (%s) with %d: something is left behind", kind->name, n, table_victim(),
				     error);
	}
	/* Most of them matter. */
	ck_assert_uint_gt(failed, 10 / stride);
	table_arm(0, 0);
	table_wrap_kernel(false);
}
END_TEST

/* The checks above can fail: each sees what is left behind on purpose. */
START_TEST(test_leaks_are_seen)
{
	struct holdings before = holdings_now();
	struct gh_fake *fake = new_fake();
	void *mapping;
	struct gh_sim *sim;
	struct gh_vm *vm;
	int fd;

	fd = eventfd(0, EFD_CLOEXEC);
	ck_assert(!holdings_equal(before, holdings_now()));
	(void)close(fd);
	ck_assert(holdings_equal(before, holdings_now()));
	mapping = mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(mapping, MAP_FAILED);
	ck_assert(!holdings_equal(before, holdings_now()));
	(void)munmap(mapping, 4096);
	ck_assert(holdings_equal(before, holdings_now()));
	/* A VM that is not closed. */
	table_wrap_kernel(true);
	vm = open_fake(fake);
	ck_assert_uint_gt(table_mappings(), 0);
	(void)start_simply(vm);
	ck_assert(!holdings_equal(before, holdings_now()));
	gh_vm_close(vm);
	table_wrap_kernel(false);
	ck_assert(holdings_equal(before, holdings_now()));
	ck_assert_uint_eq(table_mappings(), 0);
	/* And a machine that notices. */
	sim = new_sim(GUNYAH, "");
	vm = open_sim(sim);
	ck_assert_uint_gt(gh_sim_open_files(sim), 0);
	gh_vm_close(vm);
	end_sim(sim);
	gh_fake_free(fake);
}
END_TEST

/* The n-th call really is the one that fails. */
START_TEST(test_faults_happen)
{
	table_wrap_kernel(true);
	table_arm(1, -EIO);
	ck_assert_int_eq(life_run(&life_kinds[0]), -EIO);
	ck_assert(table_fired());
	ck_assert_str_eq(table_victim(), "mmap");
	table_arm(1000000, -EIO);
	ck_assert_int_eq(life_run(&life_kinds[0]), 0);
	ck_assert(!table_fired());
	ck_assert_str_eq(table_victim(), "");
	table_arm(0, 0);
	table_wrap_kernel(false);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fault");
	TCase *tcase = add_case(suite, "fault");

	tcase_add_test(tcase, test_leaks_are_seen);
	tcase_add_test(tcase, test_faults_happen);
	tcase_add_loop_test(tcase, test_every_call, 0, life_kind_count * ERRORS);
	return run_suite(suite);
}
