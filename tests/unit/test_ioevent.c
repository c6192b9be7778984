/* SPDX-License-Identifier: BSD-3-Clause */
/* Doorbells: every documented refusal, which stores signal what, and removal that is exact on every kernel. */
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BELL UINT64_C(0x4000)
#define MARK UINT64_C(0x9000)
#define DATAMATCH GH_IOEVENT_DATAMATCH

static struct gh_fake *fake;
static struct gh_vm *vm;
static struct gh_vcpu *vcpu;

static void setup(void)
{
	fake = new_fake();
	vm = open_fake(fake);
	vcpu = NULL;
}

static void teardown(void)
{
	gh_vm_close(vm);
	gh_fake_free(fake);
}

static int add_with(struct gh_vm *to, const struct gh_ioevent_options *options, struct gh_ioevent **ret_ioevent)
{
	int mark = 0;
	struct gh_ioevent *none = (struct gh_ioevent *)&mark;
	int ret;

	*ret_ioevent = none;
	ret = gh_ioevent_add(to, options, ret_ioevent);
	if (ret < 0) {
		ck_assert_ptr_eq(*ret_ioevent, none);
		ck_assert(failure_is(gh_vm_failure(to), ret));
		*ret_ioevent = NULL;
	}
	return ret;
}

static int add(struct gh_vm *to, uint64_t gpa, uint32_t width, uint32_t flags, uint64_t value,
	       struct gh_ioevent **ret_ioevent)
{
	struct gh_ioevent_options options = GH_IOEVENT_OPTIONS_INIT;

	options.gpa = gpa;
	options.width = width;
	options.flags = flags;
	options.value = value;
	return add_with(to, &options, ret_ioevent);
}

static struct gh_ioevent *must_add(struct gh_vm *to, uint64_t gpa, uint32_t width, uint32_t flags, uint64_t value)
{
	struct gh_ioevent *ioevent;

	ck_assert_int_eq(add(to, gpa, width, flags, value, &ioevent), 0);
	return ioevent;
}

/* --- refusals ----------------------------------------------------------------------------------------------------- */

START_TEST(test_null)
{
	struct gh_ioevent_options options = GH_IOEVENT_OPTIONS_INIT;
	struct gh_ioevent *ioevent = NULL;

	ck_assert_int_eq(gh_ioevent_add(NULL, &options, &ioevent), -EINVAL);
	ck_assert_int_eq(gh_ioevent_add(vm, NULL, &ioevent), -EINVAL);
	ck_assert_int_eq(gh_ioevent_add(vm, &options, NULL), -EINVAL);
	ck_assert_ptr_null(ioevent);
	ck_assert_int_eq(gh_ioevent_fd(NULL), -1);
	gh_ioevent_remove(NULL);
}
END_TEST

static const struct {
	uint64_t gpa;
	uint64_t value;
	uint32_t width;
	uint32_t flags;
	int ret;
} cases[] = {
	{ BELL, 0, 3, 0, -EINVAL },
	{ BELL, 0, 5, 0, -EINVAL },
	{ BELL, 0, 16, 0, -EINVAL },
	{ BELL, 0, UINT32_MAX, 0, -EINVAL },
	{ BELL, 0, 4, 1 << 2, -EINVAL },
	{ BELL, 0, 4, UINT32_MAX, -EINVAL },
	{ BELL, 0, 0, DATAMATCH, -EINVAL },
	{ BELL, 0x100, 1, DATAMATCH, -EINVAL },
	{ BELL, 0x10000, 2, DATAMATCH, -EINVAL },
	{ BELL, UINT64_C(1) << 32, 4, DATAMATCH, -EINVAL },
	{ BELL, UINT64_MAX, 4, DATAMATCH, -EINVAL },
	/* A value that nothing is compared with. */
	{ BELL, 1, 4, 0, -EINVAL },
	{ UINT64_MAX, 0, 0, 0, -ERANGE },
	{ UINT64_MAX, 0, 1, 0, -ERANGE },
	{ UINT64_MAX - 7, 0, 8, 0, -ERANGE },
	{ UINT64_MAX - 3, 0, 8, 0, -ERANGE },
	{ BELL, 0xff, 1, DATAMATCH, 0 },
	{ BELL, 0xffff, 2, DATAMATCH, 0 },
	{ BELL, 0xffffffff, 4, DATAMATCH, 0 },
	{ BELL, UINT64_MAX, 8, DATAMATCH, 0 },
	{ BELL, 0, 0, 0, 0 },
	{ UINT64_MAX - 8, 0, 8, 0, 0 },
	{ 0, 0, 1, 0, 0 },
};
#define CASES (int)(sizeof(cases) / sizeof(cases[0]))

START_TEST(test_case)
{
	struct gh_ioevent *ioevent;
	size_t index = (size_t)_i / 2;

	if (_i % 2 == 1)
		(void)start_simply(vm);
	ck_assert_int_eq(add(vm, cases[index].gpa, cases[index].width, cases[index].flags, cases[index].value, &ioevent),
			 cases[index].ret);
}
END_TEST

START_TEST(test_descriptors)
{
	struct gh_ioevent_options options = GH_IOEVENT_OPTIONS_INIT;
	struct gh_ioevent *ioevent;
	int file = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	int fd = eventfd(0, EFD_CLOEXEC);

	if (_i == 1)
		(void)start_simply(vm);
	options.gpa = BELL;
	options.reserved = 1;
	ck_assert_int_eq(add_with(vm, &options, &ioevent), -EINVAL);
	options.reserved = 0;
	options.fd = -2;
	ck_assert_int_eq(add_with(vm, &options, &ioevent), -EINVAL);
	options.fd = file;
	ck_assert_int_eq(add_with(vm, &options, &ioevent), -EINVAL);
	options.fd = 1023;
	ck_assert_int_eq(add_with(vm, &options, &ioevent), -EBADF);
	options.fd = fd;
	ck_assert_int_eq(add_with(vm, &options, &ioevent), 0);
	ck_assert_int_ne(gh_ioevent_fd(ioevent), fd);
	ck_assert_int_eq(fcntl(gh_ioevent_fd(ioevent), F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(eventfd_write(fd, 3), 0);
	ck_assert_uint_eq(take_count(gh_ioevent_fd(ioevent)), 3);
	(void)close(fd);
	(void)close(file);
}
END_TEST

/* What would ring twice is refused, on every kernel alike. */
START_TEST(test_collisions)
{
	struct gh_ioevent *ioevent;

	(void)must_add(vm, BELL, 4, DATAMATCH, 1);
	ck_assert_int_eq(add(vm, BELL, 4, DATAMATCH, 1, &ioevent), -EEXIST);
	ck_assert_int_eq(add(vm, BELL, 4, 0, 0, &ioevent), -EEXIST);
	ck_assert_int_eq(add(vm, BELL, 0, 0, 0, &ioevent), -EEXIST);
	ck_assert_int_eq(add(vm, BELL, 8, 0, 0, &ioevent), 0);
	ck_assert_int_eq(add(vm, BELL, 4, DATAMATCH, 2, &ioevent), 0);
	ck_assert_int_eq(add(vm, BELL, 8, DATAMATCH, 1, &ioevent), -EEXIST);
	ck_assert_int_eq(add(vm, BELL, 2, DATAMATCH, 1, &ioevent), 0);
	ck_assert_int_eq(add(vm, BELL + 1, 4, DATAMATCH, 1, &ioevent), 0);
	(void)must_add(vm, BELL + 16, 0, 0, 0);
	ck_assert_int_eq(add(vm, BELL + 16, 4, DATAMATCH, 1, &ioevent), -EEXIST);
	ck_assert_int_eq(add(vm, BELL + 16, 4, 0, 0, &ioevent), -EEXIST);
}
END_TEST

/* --- matching, on the fake -------------------------------------------------------------------------------------------- */

/* Is this store an exit? */
static bool is_exit(uint64_t gpa, uint32_t width, uint64_t value)
{
	const struct gh_exit *exit;
	bool reported;

	ck_assert_int_eq(gh_fake_store(fake, 0, gpa, width, value), 0);
	ck_assert_int_eq(gh_fake_store(fake, 0, MARK, 4, 0), 0);
	exit = run_once(vcpu);
	reported = exit->mmio.gpa != MARK;
	if (reported)
		(void)run_once(vcpu);
	return reported;
}

START_TEST(test_match_any_width)
{
	struct gh_ioevent *ioevent = must_add(vm, BELL, 0, 0, 0);

	vcpu = start_simply(vm);
	ck_assert(!is_exit(BELL, 1, 1));
	ck_assert(!is_exit(BELL, 8, UINT64_MAX));
	ck_assert_uint_eq(take_count(gh_ioevent_fd(ioevent)), 2);
	ck_assert(is_exit(BELL + 1, 1, 1));
	ck_assert(is_exit(BELL - 1, 4, 1));
	ck_assert_uint_eq(take_count(gh_ioevent_fd(ioevent)), 0);
	/* Only stores are doorbells. */
	ck_assert_int_eq(gh_fake_load(fake, 0, BELL, 4), 0);
	ck_assert_uint_eq(run_once(vcpu)->mmio.is_store, 0);
}
END_TEST

START_TEST(test_match_width)
{
	struct gh_ioevent *ioevent = must_add(vm, BELL, 2, 0, 0);

	vcpu = start_simply(vm);
	ck_assert(!is_exit(BELL, 2, 0xabcd));
	ck_assert(is_exit(BELL, 1, 1));
	ck_assert(is_exit(BELL, 4, 1));
	ck_assert_uint_eq(take_count(gh_ioevent_fd(ioevent)), 1);
}
END_TEST

START_TEST(test_match_value)
{
	struct gh_ioevent *one = must_add(vm, BELL, 2, DATAMATCH, 1);
	struct gh_ioevent *two;

	vcpu = start_simply(vm);
	two = must_add(vm, BELL, 2, DATAMATCH, 2);
	ck_assert(!is_exit(BELL, 2, 1));
	ck_assert(!is_exit(BELL, 2, 2));
	ck_assert(!is_exit(BELL, 2, 2));
	/* Bits that the store does not have. */
	ck_assert(!is_exit(BELL, 2, 0x10001));
	ck_assert(is_exit(BELL, 2, 3));
	ck_assert(is_exit(BELL, 4, 1));
	ck_assert_uint_eq(take_count(gh_ioevent_fd(one)), 2);
	ck_assert_uint_eq(take_count(gh_ioevent_fd(two)), 2);
}
END_TEST

/* --- exact removal -------------------------------------------------------------------------------------------------- */

#define BELLS 3

static const int orders[6][BELLS] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };

/* Plays one round of a guest that rings all bells and then stores to MARK. Bit n of the result: bell n was an exit. */
static unsigned int play_round(struct gh_vcpu *on)
{
	unsigned int exits = 0;

	for (;;) {
		const struct gh_exit *exit = run_once(on);

		ck_assert_uint_eq(exit->kind, GH_EXIT_MMIO);
		if (exit->mmio.gpa == MARK)
			return exits;
		ck_assert_uint_lt(exit->mmio.value, BELLS);
		exits |= 1u << exit->mmio.value;
	}
}

/* Bells that are there count one a round; those that are gone are exits. */
static void check_round(struct gh_vcpu *on, struct gh_ioevent *const bells[BELLS])
{
	unsigned int gone = 0;

	for (unsigned int i = 0; i < BELLS; i++)
		if (bells[i] == NULL)
			gone |= 1u << i;
	ck_assert_uint_eq(play_round(on), gone);
	for (unsigned int i = 0; i < BELLS; i++)
		if (bells[i] != NULL)
			ck_assert_uint_eq(take_count(gh_ioevent_fd(bells[i])), 1);
}

static void remove_in_order(struct gh_vm *from, struct gh_vcpu *on, struct gh_ioevent *bells[BELLS], const int order[BELLS],
			    uint64_t stride)
{
	for (size_t i = 0; i < BELLS; i++) {
		gh_ioevent_remove(bells[order[i]]);
		bells[order[i]] = NULL;
		check_round(on, bells);
	}
	/* And back again. */
	for (uint64_t i = 0; i < BELLS; i++)
		bells[i] = must_add(from, BELL + i * stride, 4, DATAMATCH, i);
	check_round(on, bells);
}

/* Three values at one address, on a kernel whose removal takes them all away. */
START_TEST(test_exact_on_gunyah)
{
	static const char script[] = "store 0x4000 4 0; store 0x4000 4 1; store 0x4000 4 2; store 0x9000 4 0; loop";
	struct gh_sim *sim = new_sim(GUNYAH, script);
	struct gh_vm *real = open_sim(sim);
	struct gh_ioevent *bells[BELLS];
	struct gh_vcpu *on;

	bells[0] = must_add(real, BELL, 4, DATAMATCH, 0);
	bells[1] = must_add(real, BELL, 4, DATAMATCH, 1);
	on = start_standard(real);
	bells[2] = must_add(real, BELL, 4, DATAMATCH, 2);
	check_round(on, bells);
	remove_in_order(real, on, bells, orders[_i], 0);
	gh_vm_close(real);
	end_sim(sim);
}
END_TEST

START_TEST(test_exact_on_geniezone)
{
	static const char script[] = "store 0x4000 4 0; store 0x4010 4 1; store 0x4020 4 2; store 0x9000 4 0; loop";
	struct gh_sim *sim = new_sim(GENIEZONE, script);
	struct gh_vm *real = open_sim(sim);
	struct gh_ioevent *bells[BELLS];
	struct gh_vcpu *on;

	bells[0] = must_add(real, BELL, 4, DATAMATCH, 0);
	bells[1] = must_add(real, BELL + 16, 4, DATAMATCH, 1);
	on = start_standard(real);
	bells[2] = must_add(real, BELL + 32, 4, DATAMATCH, 2);
	check_round(on, bells);
	remove_in_order(real, on, bells, orders[_i], 16);
	gh_vm_close(real);
	end_sim(sim);
}
END_TEST

START_TEST(test_removal_before_start)
{
	struct gh_ioevent *bells[BELLS];

	for (uint64_t i = 0; i < BELLS; i++)
		bells[i] = must_add(vm, BELL, 4, DATAMATCH, i);
	gh_ioevent_remove(bells[orders[_i][0]]);
	vcpu = start_simply(vm);
	ck_assert(is_exit(BELL, 4, (uint64_t)orders[_i][0]));
	ck_assert(!is_exit(BELL, 4, (uint64_t)orders[_i][1]));
	gh_ioevent_remove(bells[orders[_i][1]]);
	ck_assert(is_exit(BELL, 4, (uint64_t)orders[_i][1]));
	ck_assert(!is_exit(BELL, 4, (uint64_t)orders[_i][2]));
}
END_TEST

/* The kernel compares the whole register and hands this store on; it rings all the same, and makes no exit. */
START_TEST(test_gunyah_wide_register)
{
	struct gh_sim *sim = new_sim(GUNYAH, "store 0x7400 2 0x1beef; store 0x7000 4 1; off");
	struct gh_vm *real = open_sim(sim);
	struct gh_ioevent *ioevent;
	struct gh_vcpu *own;
	uint64_t count = 0;

	ck_assert_int_eq(add(real, 0x7400, 2, GH_IOEVENT_DATAMATCH, 0xbeef, &ioevent), 0);
	own = start_standard(real);
	ck_assert_uint_eq(run_once(own)->mmio.gpa, 0x7000);
	ck_assert_int_eq(read(gh_ioevent_fd(ioevent), &count, sizeof(count)), (ssize_t)sizeof(count));
	ck_assert_uint_eq(count, 1);
	gh_vm_close(real);
	end_sim(sim);
}
END_TEST

/* What a kernel would take and never match, or match twice, is refused before it is asked. */
START_TEST(test_refused_for_kernels)
{
	struct gh_sim *sim = new_sim(_i % 2 == 0 ? GUNYAH : GENIEZONE, "");
	struct gh_vm *real = open_sim(sim);
	struct gh_ioevent *ioevent;

	if (_i / 2 == 1)
		(void)start_standard(real);
	ck_assert_int_eq(add(real, BELL, 1, DATAMATCH, 0x100, &ioevent), -EINVAL);
	ck_assert_int_eq(add(real, BELL, 4, DATAMATCH, UINT64_C(1) << 32, &ioevent), -EINVAL);
	ck_assert_int_eq(add(real, UINT64_MAX - 3, 4, 0, 0, &ioevent), -ERANGE);
	(void)must_add(real, BELL, 4, DATAMATCH, 7);
	ck_assert_int_eq(add(real, BELL, 4, DATAMATCH, 7, &ioevent), -EEXIST);
	ck_assert_int_eq(add(real, BELL, 0, 0, 0, &ioevent), -EEXIST);
	gh_vm_close(real);
	end_sim(sim);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ioevent");
	TCase *fakes = add_case(suite, "fake");
	TCase *sims = add_case(suite, "simulated devices");

	tcase_add_checked_fixture(fakes, setup, teardown);
	tcase_add_test(fakes, test_null);
	tcase_add_loop_test(fakes, test_case, 0, 2 * CASES);
	tcase_add_loop_test(fakes, test_descriptors, 0, 2);
	tcase_add_test(fakes, test_collisions);
	tcase_add_test(fakes, test_match_any_width);
	tcase_add_test(fakes, test_match_width);
	tcase_add_test(fakes, test_match_value);
	tcase_add_loop_test(fakes, test_removal_before_start, 0, 6);
	tcase_add_loop_test(sims, test_refused_for_kernels, 0, 4);
	tcase_add_test(sims, test_gunyah_wide_register);
	tcase_add_loop_test(sims, test_exact_on_gunyah, 0, 6);
	tcase_add_loop_test(sims, test_exact_on_geniezone, 0, 6);
	return run_suite(suite);
}
