/* SPDX-License-Identifier: BSD-3-Clause */
/* Structures that begin with their size: older callers, newer callers, and sizes that nobody can mean. */
#include "../../lib/opts.h"
#include "util.h"

#include <errno.h>
#include <string.h>

struct own {
	size_t size;
	uint64_t first;
	uint64_t second;
};

struct newer {
	struct own known;
	uint64_t third;
};

#define LEAST offsetof(struct own, second)

static const struct own defaults = { sizeof(struct own), 11, 22 };

START_TEST(test_same)
{
	const struct own callers = { sizeof(callers), 1, 2 };
	struct own own = defaults;

	ck_assert_int_eq(gh_opts_copy(&own, sizeof(own), LEAST, &callers), 0);
	ck_assert_uint_eq(own.size, sizeof(own));
	ck_assert_uint_eq(own.first, 1);
	ck_assert_uint_eq(own.second, 2);
}
END_TEST

START_TEST(test_older_keeps_defaults)
{
	const struct own callers = { LEAST, 1, 2 };
	struct own own = defaults;

	ck_assert_int_eq(gh_opts_copy(&own, sizeof(own), LEAST, &callers), 0);
	ck_assert_uint_eq(own.size, sizeof(own));
	ck_assert_uint_eq(own.first, 1);
	ck_assert_uint_eq(own.second, 22);
}
END_TEST

START_TEST(test_newer)
{
	struct newer callers = { { sizeof(callers), 1, 2 }, 0 };
	struct own own = defaults;

	ck_assert_int_eq(gh_opts_copy(&own, sizeof(own), LEAST, &callers), 0);
	ck_assert_uint_eq(own.size, sizeof(own));
	ck_assert_uint_eq(own.second, 2);
	/* Any byte of the tail, the last one too. */
	own = defaults;
	callers.third = UINT64_C(1) << 56;
	ck_assert_int_eq(gh_opts_copy(&own, sizeof(own), LEAST, &callers), -EINVAL);
	callers.third = 1;
	ck_assert_int_eq(gh_opts_copy(&own, sizeof(own), LEAST, &callers), -EINVAL);
	ck_assert_mem_eq(&own, &defaults, sizeof(own));
}
END_TEST

static const size_t bad_sizes[] = { 0, 1, LEAST - 1, 4097, 5000, SIZE_MAX };

START_TEST(test_bad_size)
{
	struct own callers = { bad_sizes[_i], 1, 2 };
	struct own own = defaults;

	ck_assert_int_eq(gh_opts_copy(&own, sizeof(own), LEAST, &callers), -EINVAL);
	ck_assert_mem_eq(&own, &defaults, sizeof(own));
}
END_TEST

START_TEST(test_largest)
{
	static struct {
		struct own known;
		unsigned char tail[4096 - sizeof(struct own)];
	} callers = { { 4096, 1, 2 }, { 0 } };
	struct own own = defaults;

	ck_assert_int_eq(gh_opts_copy(&own, sizeof(own), LEAST, &callers), 0);
	ck_assert_uint_eq(own.second, 2);
	callers.tail[sizeof(callers.tail) - 1] = 1;
	ck_assert_int_eq(gh_opts_copy(&own, sizeof(own), LEAST, &callers), -EINVAL);
}
END_TEST

/* Not aligned: callers of other languages pack structures. */
START_TEST(test_unaligned)
{
	const struct own callers = { sizeof(callers), 1, 2 };
	unsigned char bytes[sizeof(callers) + 1];
	struct own own = defaults;

	memcpy(bytes + 1, &callers, sizeof(callers));
	ck_assert_int_eq(gh_opts_copy(&own, sizeof(own), LEAST, bytes + 1), 0);
	ck_assert_uint_eq(own.second, 2);
}
END_TEST

/* What every public structure of this kind does. */
START_TEST(test_public_structures)
{
	static const size_t wrong[] = { 0, 1, 8, 4097 };
	struct gh_fake *fake = new_fake();
	struct gh_vm *vm = open_fake(fake);
	struct gh_irqfd *irqfd = NULL;
	struct gh_ioevent *ioevent = NULL;
	uint32_t id = 77;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct gh_memory memory = GH_MEMORY_INIT;
		struct gh_irqfd_options line = GH_IRQFD_OPTIONS_INIT;
		struct gh_ioevent_options bell = GH_IOEVENT_OPTIONS_INIT;

		memory.length = 4096;
		memory.size = wrong[i];
		line.size = wrong[i];
		bell.size = wrong[i];
		ck_assert_int_eq(gh_vm_map(vm, &memory, &id), -EINVAL);
		ck_assert_int_eq(gh_irqfd_add(vm, &line, &irqfd), -EINVAL);
		ck_assert_int_eq(gh_ioevent_add(vm, &bell, &ioevent), -EINVAL);
	}
	ck_assert_uint_eq(id, 77);
	ck_assert_ptr_null(irqfd);
	ck_assert_ptr_null(ioevent);
	gh_vm_close(vm);
	gh_fake_free(fake);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("opts");
	TCase *tcase = add_case(suite, "copy");

	tcase_add_test(tcase, test_same);
	tcase_add_test(tcase, test_older_keeps_defaults);
	tcase_add_test(tcase, test_newer);
	tcase_add_loop_test(tcase, test_bad_size, 0, sizeof(bad_sizes) / sizeof(bad_sizes[0]));
	tcase_add_test(tcase, test_largest);
	tcase_add_test(tcase, test_unaligned);
	tcase_add_test(tcase, test_public_structures);
	return run_suite(suite);
}
