/* SPDX-License-Identifier: BSD-3-Clause */
/* The n-th allocation fails, for every n: an error or no harm, and nothing left behind. Linked with --wrap=malloc and others. */
#include "life.h"
#include "table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct {
	unsigned long count;
	unsigned long fail_at;
	bool below; /* also in the simulated kernel */
} state;

/* Named by the linker. */
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
	if (!table_counts || (table_depth > 0 && !state.below))
		return false;
	return ++state.count == state.fail_at;
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

static void arm(unsigned long n, bool below)
{
	state.count = 0;
	state.fail_at = n;
	state.below = below;
}

static bool fired(void)
{
	return state.fail_at != 0 && state.count >= state.fail_at;
}

/* Returns how many of them ended the life. */
static unsigned long fail_every_one(const struct life_kind *kind, bool below)
{
	struct holdings before;
	unsigned long failed = 0;

	arm(0, below);
	ck_assert_int_eq(life_run(kind), 0);
	before = holdings_now();
	for (unsigned long n = 1;; n++) {
		int ret;

		arm(n, below);
		ret = life_run(kind);
		if (!fired()) {
			ck_assert_int_eq(ret, 0);
			return failed;
		}
		failed += ret < 0;
		/* The library's own say what they are; the kernel's may come out as anything. */
		if (!below && ret != -ENOMEM && ret != 0)
			ck_abort_msg("%s, allocation %lu: %d", kind->name, n, ret);
		if (!holdings_equal(before, holdings_now()) || table_mappings() != 0)
			ck_abort_msg("%s, allocation %lu: something is left behind", kind->name, n);
	}
}

START_TEST(test_library)
{
	table_wrap_kernel(life_kinds[_i].device == NULL);
	ck_assert_uint_ge(fail_every_one(&life_kinds[_i], false), 8);
	table_wrap_kernel(false);
}
END_TEST

START_TEST(test_simulated_kernel)
{
	/* Without a page for memory that is shared, a guest's access comes out as one to a device. */
	if (life_kinds[_i].brief && strncmp(life_kinds[_i].name, "gunyah", 6) == 0)
		return;
	if (life_kinds[_i].device == NULL)
		return;
	ck_assert_uint_ge(fail_every_one(&life_kinds[_i], true), 20);
}
END_TEST

/* --- what a life does not call ---------------------------------------------------------------------------------------- */

START_TEST(test_fake)
{
	struct gh_exit exit;
	struct gh_fake *fake = NULL;
	int ret = 0;

	memset(&exit, 0, sizeof(exit));
	arm(1, false);
	table_counts = true;
	ret = gh_fake_new(&fake);
	table_counts = false;
	ck_assert_int_eq(ret, -ENOMEM);
	ck_assert_ptr_null(fake);
	fake = new_fake();
	for (int call = 0; call < 5; call++) {
		arm(1, false);
		table_counts = true;
		switch (call) {
		case 0:
			ret = gh_fake_load(fake, 0, 0, 1);
			break;
		case 1:
			ret = gh_fake_store(fake, 0, 0, 1, 0);
			break;
		case 2:
			ret = gh_fake_stop(fake, 0, 0);
			break;
		case 3:
			ret = gh_fake_exit(fake, 0, &exit);
			break;
		default:
			ret = gh_fake_error(fake, 0, -EIO);
			break;
		}
		table_counts = false;
		ck_assert_int_eq(ret, -ENOMEM);
	}
	gh_fake_free(fake);
}
END_TEST

/* Opening by string makes and frees a machine inside the library. */
START_TEST(test_open_by_string)
{
	static const char *const devices[] = { GUNYAH ",engine=script", GENIEZONE ",engine=script" };
	struct holdings before = holdings_now();

	for (unsigned long n = 1;; n++) {
		struct gh_vm_options options = GH_VM_OPTIONS_INIT;
		struct gh_failure failure = GH_FAILURE_INIT;
		int mark = 0;
		struct gh_vm *vm = (void *)&mark;
		int ret;

		options.device = devices[_i];
		options.failure = &failure;
		arm(n, true);
		table_counts = true;
		ret = gh_vm_open(&options, &vm);
		table_counts = false;
		if (ret == 0)
			gh_vm_close(vm);
		else
			ck_assert(vm == (void *)&mark && ret == -ENOMEM && failure_is(&failure, ret));
		ck_assert(holdings_equal(before, holdings_now()));
		if (!fired())
			break;
		ck_assert_uint_lt(n, 1000);
	}
	ck_assert_uint_gt(state.count, 5);
}
END_TEST

/* The counting works: a life with a failure is an error, and the failure is the one that was asked for. */
START_TEST(test_allocations_fail)
{
	arm(1, false);
	ck_assert_int_eq(life_run(&life_kinds[1]), -ENOMEM);
	ck_assert(fired());
	arm(1000000, true);
	ck_assert_int_eq(life_run(&life_kinds[1]), 0);
	ck_assert(!fired());
	ck_assert_uint_gt(state.count, 20);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("alloc");
	TCase *tcase = add_case(suite, "alloc");

	tcase_add_test(tcase, test_allocations_fail);
	tcase_add_loop_test(tcase, test_library, 0, life_kind_count);
	tcase_add_loop_test(tcase, test_simulated_kernel, 0, life_kind_count);
	tcase_add_test(tcase, test_fake);
	tcase_add_loop_test(tcase, test_open_by_string, 0, 2);
	return run_suite(suite);
}
