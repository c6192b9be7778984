/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The simulated /dev/gzvm against the real driver: memory slots, and what a guest finds there.
 *
 * Every line was observed on the driver of Android's 6.1 kernel; see test_gzvm_observed.c.
 */
#include "gzvm_rig.h"

#include <sys/wait.h>

static const struct line memory_lines[] = {
	{ "mem.ok", "0" },
	{ "mem.slot-9", "0" },
	{ "mem.slot-10", "ENXIO" },
	{ "mem.slot-ffffffff", "ENXIO" },
	{ "mem.same-slot-again", "0" },
	{ "mem.overlapping-gpa", "0" },
	{ "mem.size-0", "EINVAL" },
	{ "mem.size-0-null-address", "EFAULT" },
	{ "mem.null-address", "EFAULT" },
	{ "mem.unmapped-address", "EFAULT" },
	{ "mem.larger-than-vma", "EINVAL" },
	{ "mem.size-not-page-multiple", "EINVAL" },
	{ "mem.address-unaligned-size-of-vma", "0" },
	{ "mem.gpa-unaligned", "0" },
	{ "mem.gpa-wraps", "0" },
	{ "mem.two-slots-one-vma", "0" },
	{ "mem.after-split-again", "0" },
	{ "mem.vma-split-by-madvise-dontfork", "EINVAL" },
	{ "mem.read-only-mapping", "0" },
	{ "mem.prot-none-mapping", "0" },
	{ "mem.memfd-shorter-than-mapping", "0" },
	{ "mem.stats-run2", "0 SYSTEM_EVENT type=1 ndata=0 data0=0x0" },
	{ "mem.fault-outside-slots", "0 EXCEPTION exc=1 err=0 gpa=0xe0000000" },
};

START_TEST(test_memory)
{
	struct seen seen = SEEN(memory_lines);
	size_t size = 4 * PAGE;
	char *memory = guest_memory(size);
	char *other = guest_memory(size);
	struct rig rig;
	int fd;

	rig_open(&rig, "off; peek 0xe0000000 8");
	saw(&seen, "mem.ok", "%s", word(set_mem(&rig, 0, 0x80000000, size, memory), false));
	saw(&seen, "mem.slot-9", "%s", word(set_mem(&rig, 9, 0x90000000, size, memory), false));
	saw(&seen, "mem.slot-10", "%s", word(set_mem(&rig, 10, 0x90000000, size, memory), false));
	saw(&seen, "mem.slot-ffffffff", "%s", word(set_mem(&rig, 0xffffffff, 0x90000000, size, memory), false));
	saw(&seen, "mem.same-slot-again", "%s", word(set_mem(&rig, 0, 0x80000000, size, memory), false));
	saw(&seen, "mem.overlapping-gpa", "%s", word(set_mem(&rig, 1, 0x80000000 + PAGE, size, other), false));
	saw(&seen, "mem.size-0", "%s", word(set_mem(&rig, 2, 0xa0000000, 0, memory), false));
	saw(&seen, "mem.size-0-null-address", "%s", word(set_mem(&rig, 2, 0xa0000000, 0, NULL), false));
	saw(&seen, "mem.null-address", "%s", word(set_mem(&rig, 2, 0xa0000000, size, NULL), false));
	saw(&seen, "mem.larger-than-vma", "%s", word(set_mem(&rig, 2, 0xa0000000, 2 * size, memory), false));
	saw(&seen, "mem.size-not-page-multiple", "%s", word(set_mem(&rig, 2, 0xa0000000, size - 1, memory), false));
	saw(&seen, "mem.address-unaligned-size-of-vma", "%s", word(set_mem(&rig, 2, 0xa0000000, size, memory + 5), false));
	saw(&seen, "mem.gpa-unaligned", "%s", word(set_mem(&rig, 2, 0xa0000123, size, memory), false));
	saw(&seen, "mem.gpa-wraps", "%s", word(set_mem(&rig, 2, ~(uint64_t)0xfff, size, memory), false));
	saw(&seen, "mem.two-slots-one-vma", "%s", word(set_mem(&rig, 3, 0xb0000000, size, memory), false));
	/* A split that is healed again is none. */
	ck_assert_int_eq(mprotect(memory, PAGE, PROT_READ), 0);
	ck_assert_int_eq(set_mem(&rig, 3, 0xb0000000, size, memory), -EINVAL);
	ck_assert_int_eq(mprotect(memory, PAGE, PROT_READ | PROT_WRITE), 0);
	saw(&seen, "mem.after-split-again", "%s", word(set_mem(&rig, 3, 0xb0000000, size, memory), false));
	ck_assert_int_eq(madvise(memory, PAGE, MADV_DONTFORK), 0);
	saw(&seen, "mem.vma-split-by-madvise-dontfork", "%s", word(set_mem(&rig, 3, 0xb0000000, size, memory), false));
	ck_assert_int_eq(madvise(memory, PAGE, MADV_DOFORK), 0);
	/* A shared anonymous mapping with its own neighbours: the guards have no access either, and are private. */
	ck_assert_int_eq(mprotect(other, size, PROT_READ), 0);
	saw(&seen, "mem.read-only-mapping", "%s", word(set_mem(&rig, 4, 0xc0000000, size, other), false));
	ck_assert_int_eq(mprotect(other, size, PROT_NONE), 0);
	saw(&seen, "mem.prot-none-mapping", "%s", word(set_mem(&rig, 4, 0xc0000000, size, other), false));
	guarded_free(other, size);
	saw(&seen, "mem.unmapped-address", "%s", word(set_mem(&rig, 2, 0xa0000000, size, other), false));
	fd = rig.sys->memfd(rig.sys, "short", PAGE);
	other = guarded(size, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	saw(&seen, "mem.memfd-shorter-than-mapping", "%s", word(set_mem(&rig, 5, 0xd0000000, size, other), false));
	saw(&seen, "mem.stats-run2", "%s", run_text(&rig));
	saw(&seen, "mem.fault-outside-slots", "%s", run_text(&rig));
	rig_close(&rig);
	close(fd);
	guarded_free(other, size);
	guarded_free(memory, size);
	all_seen(&seen);
}
END_TEST

static const struct line memory_error_lines[] = {
	{ "mem.hyp-memregion-error--5", "EFAULT" },
	{ "mem.hyp-purpose-error--27", "EFAULT" },
	{ "mem.hyp-memregion-error--27", "EFAULT" },
	{ "mem.hyp-purpose-error--33", "EFAULT" },
	{ "mem.hyp-memregion-error--33", "EFAULT" },
	{ "mem.hyp-purpose-error--40", "EFAULT" },
	{ "mem.hyp-purpose-error--1", "EFAULT" },
	{ "mem.hyp-purpose-error--99", "EFAULT" },
	{ "mem.hyp-memregion-error--99", "EFAULT" },
	{ "mem.fault-in-refused-slot", "0 MMIO write pa=0x1000 size=4 data=0x2 reg=0" },
};

START_TEST(test_memory_errors)
{
	static const char *const order[] = {
		"mem.hyp-purpose-error--27",   "mem.hyp-purpose-error--33",   "mem.hyp-purpose-error--40",
		"mem.hyp-purpose-error--1",    "mem.hyp-purpose-error--99",   "mem.hyp-memregion-error--5",
		"mem.hyp-memregion-error--27", "mem.hyp-memregion-error--33", "mem.hyp-memregion-error--99",
	};
	struct seen seen = SEEN(memory_error_lines);
	size_t size = 16 * PAGE;
	void *memory = guest_memory(size);
	struct rig rig;

	rig_open(&rig, "#! fail purpose -27 -33 -40 -1 -99\n"
		       "#! fail memory -5 -27 -33 -99\n"
		       "raw exit EXCEPTION exc=1 gpa=0x80001000; store 0x1000 4 2");
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		saw(&seen, order[i], "%s", word(set_mem(&rig, 0, 0x80000000, size, memory), false));
	/* Refused, but in the slot table all the same: the fault is resolved. */
	saw(&seen, "mem.fault-in-refused-slot", "%s", run_text(&rig));
	rig_close(&rig);
	guarded_free(memory, size);
	all_seen(&seen);
}
END_TEST

static const struct line page_lines[] = {
	{ "page.shared-untouched", "0 SYSTEM_EVENT type=1 ndata=0 data0=0x0" },
	{ "page.shared-untouched.vmm-sees", "0x1234" },
	{ "page.unmapped-before-first-touch", "0 EXCEPTION exc=1 err=0 gpa=0xa1001000" },
	{ "page.unmapped-before-first-touch.again", "0 EXCEPTION exc=1 err=0 gpa=0xa1001000" },
	{ "page.prot-none.set", "0" },
	{ "page.read-only", "0 EXCEPTION exc=1 err=0 gpa=0xa3000000" },
	{ "page.private-map-populate.set", "0" },
	{ "page.private-map-populate", "0 MMIO write pa=0x1000 size=4 data=0x1 reg=0" },
	{ "fork.child-set-mem(childs-own-mapping)", "EFAULT" },
};

/* In a child, a mapping of its own: the driver looks in the creator's memory. */
static int set_mem_in_child(struct rig *rig, size_t size)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

		_exit(-set_mem(rig, 7, 0xf0000000, size, memory));
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	return -WEXITSTATUS(status);
}

START_TEST(test_pages)
{
	struct seen seen = SEEN(page_lines);
	size_t size = 4 * PAGE;
	char *shared = guest_memory(size);
	char *gone = guest_memory(size);
	char *read_only = guest_memory(size);
	char *populated = guarded(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1);
	char *none = guest_memory(size);
	struct rig rig;

	rig_open(&rig, "poke 0xa0001000 8 0x1234; off\n"
		       "peek 0xa1001000 8; peek 0xa1001000 8; poke 0xa3000000 8 1\n"
		       "poke 0xa5000000 8 1; store 0x1000 4 1");
	ck_assert_int_eq(set_mem(&rig, 0, 0xa0000000, size, shared), 0);
	ck_assert_int_eq(set_mem(&rig, 1, 0xa1000000, size, gone), 0);
	ck_assert_int_eq(mprotect(read_only, size, PROT_READ), 0);
	ck_assert_int_eq(set_mem(&rig, 2, 0xa3000000, size, read_only), 0);
	ck_assert_int_eq(mprotect(none, size, PROT_NONE), 0);
	saw(&seen, "page.prot-none.set", "%s", word(set_mem(&rig, 3, 0xa4000000, size, none), false));
	saw(&seen, "page.private-map-populate.set", "%s", word(set_mem(&rig, 4, 0xa5000000, size, populated), false));
	guarded_free(gone, size);
	saw(&seen, "page.shared-untouched", "%s", run_text(&rig));
	saw(&seen, "page.shared-untouched.vmm-sees", "0x%x", *(uint16_t *)(void *)(shared + 0x1000));
	memset(&rig.run, 0, sizeof(rig.run));
	saw(&seen, "page.unmapped-before-first-touch", "%s", run_text(&rig));
	saw(&seen, "page.unmapped-before-first-touch.again", "%s", run_text(&rig));
	saw(&seen, "page.read-only", "%s", run_text(&rig));
	memset(&rig.run, 0, sizeof(rig.run));
	saw(&seen, "page.private-map-populate", "%s", run_text(&rig));
	saw(&seen, "fork.child-set-mem(childs-own-mapping)", "%s", word(set_mem_in_child(&rig, size), false));
	rig_close(&rig);
	guarded_free(shared, size);
	guarded_free(read_only, size);
	guarded_free(populated, size);
	guarded_free(none, size);
	all_seen(&seen);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("gzvm_observed_memory");
	TCase *tcase = tcase_create("memory");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, test_memory);
	tcase_add_test(tcase, test_memory_errors);
	tcase_add_test(tcase, test_pages);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
