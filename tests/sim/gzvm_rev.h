/* SPDX-License-Identifier: BSD-3-Clause */
/* The revisions of the simulated /dev/gzvm, and what each is expected to answer. */
#ifndef TESTS_SIM_GZVM_REV_H
#define TESTS_SIM_GZVM_REV_H

#include "gzvm_rig.h"

enum revision {
	R0,
	V4,
	V5,
	V9,
	V12,
	A16_EARLY,
	A15,
	LATEST,
	REVISIONS,
};

static const char *const revisions[REVISIONS] = {
	[R0] = "sim:gzvm/r0",
	[V4] = "sim:gzvm/v4",
	[V5] = "sim:gzvm/v5",
	[V9] = "sim:gzvm/v9",
	[V12] = "sim:gzvm/v12",
	[A16_EARLY] = "sim:gzvm/android16-6.12-early",
	[A15] = "sim:gzvm/android15-6.6",
	[LATEST] = "sim:gzvm/android-latest",
};

/* One behaviour of all revisions: results in the order of the columns. */
struct row {
	const char *name;
	const char *results[REVISIONS];
};

/* The rows of a test, and which of them one revision has shown. */
struct shown {
	const struct row *rows;
	size_t count;
	enum revision revision;
	bool done[64];
};

#define SHOWN(rows_, revision_)                                                                                            \
	{                                                                                                                  \
		.rows = (rows_), .count = sizeof(rows_) / sizeof((rows_)[0]), .revision = (enum revision)(revision_)       \
	}

/* Compares what a revision does with its row. */
__attribute__((format(printf, 3, 4))) static inline void show(struct shown *shown, const char *name, const char *format,
							      ...)
{
	char got[256];
	va_list list;

	va_start(list, format);
	(void)vsnprintf(got, sizeof(got), format, list);
	va_end(list);
	for (size_t i = 0; i < shown->count; i++) {
		const char *wanted = shown->rows[i].results[shown->revision];

		if (strcmp(shown->rows[i].name, name) != 0)
			continue;
		shown->done[i] = true;
		ck_assert_msg(strcmp(got, wanted) == 0, "%s, %s: got \"%s\", not \"%s\"", revisions[shown->revision], name,
			      got, wanted);
		return;
	}
	ck_abort_msg("%s: no such row", name);
}

static inline void all_shown(const struct shown *shown)
{
	for (size_t i = 0; i < shown->count; i++)
		ck_assert_msg(shown->done[i], "%s: not tried", shown->rows[i].name);
}

/* After a case that leaves the kernel broken, if it does. */
static inline void rig_close_broken(struct rig *rig, bool broken)
{
	ck_assert_int_eq(gh_sim_breakage(rig->sim) != NULL, broken);
	rig_close(rig);
}

static inline int run_suite_of(const char *name, const TTest *const *tests, size_t count, int last)
{
	Suite *suite = suite_create(name);
	TCase *tcase = tcase_create(name);
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tcase, 60);
	for (size_t i = 0; i < count; i++)
		tcase_add_loop_test(tcase, tests[i], 0, last);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
