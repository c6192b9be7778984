/* SPDX-License-Identifier: BSD-3-Clause */
/* The simulated Gunyah device against the observed one: START, each way it can fail, and what is left afterwards. */
#include "raw.h"

#include <check.h>
#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define DEBUG "gunyah/android14-6.1,engine=script"
#define PRODUCTION "gunyah/android14-6.1,engine=script,policy=production"
#define IDLE "load 0x6000 8; wfi"
#define CRASHED "STATUS 3 type 0 reason_size 0 reason 00000000 00000000"

static struct raw raw;

/* "start.NAME", then for a VM whose memory is lent ", lent": what START says, START again, and RUN. */
struct start_case {
	const char *name;
	struct raw_boot boot;
	const char *shared[3];
	const char *lent[3];
};

static const struct tree_bell same_bells[] = { { 5, 32, 1 }, { 5, 33, 1 } };
#define ALIKE(start, again, run)                                                                                           \
	{ start, again, run },                                                                                             \
	{                                                                                                                  \
		start, again, run                                                                                          \
	}
#define FAILS_EARLY ALIKE("EINVAL", "ENODEV", "ENODEV")
#define FAILS_EARLY_NODEV ALIKE("ENODEV", "ENODEV", "ENODEV")
#define FAILS_LATE ALIKE("ENODEV", "ENODEV", CRASHED)
#define WORKS ALIKE("ok", "ok", "idle")

static const struct start_case cases[] = {
	{ "plain", { .lent = false }, WORKS },
	{ "dtb outside memory", { .dtb_gpa = 0x70000000 }, FAILS_EARLY },
	{ "dtb partly outside memory", { .dtb_size = RAW_RAM_SIZE }, FAILS_EARLY },
	{ "dtb begins before memory", { .dtb_gpa = TREE_BASE - 4096, .dtb_size = 8192 }, FAILS_EARLY },
	{ "dtb size 0", { .zero_size = true }, FAILS_EARLY },
	{ "dtb size 1", { .dtb_size = 1 }, FAILS_EARLY },
	{ "dtb size 2^64 - 1", { .dtb_size = UINT64_MAX }, FAILS_EARLY },
	{ "dtb size without room", { .exact_size = true }, FAILS_EARLY },
	{ "dtb size rounded to a page", { .dtb_size = 4096 }, WORKS },
	{ "dtb gpa not at the tree", { .dtb_gpa = TREE_BASE + 0x80000 }, FAILS_EARLY },
	{ "dtb garbage", { .garbage = true }, FAILS_EARLY },
	{ "memory without W", { .flags = 5 }, WORKS },
	{ "memory flags 0", { .no_flags = true }, FAILS_EARLY },
	{ "gpa is not base-address", { .gpa = 0xc0000000 }, WORKS },
	{ "base-address below 1 GiB", { .tree.base = 0x20000000 }, FAILS_LATE },
	{ "memory node with unit address", { .tree.defect = TREE_MEMORY_UNIT_ADDRESS }, FAILS_EARLY },
	{ "tree has hypervisor node", { .tree.defect = TREE_HYPERVISOR }, FAILS_LATE },
	{ "tree without gunyah-vm-config", { .tree.defect = TREE_NO_CONFIG }, FAILS_EARLY_NODEV },
	{ "tree without image-name", { .tree.defect = TREE_NO_IMAGE_NAME }, FAILS_EARLY },
	{ "tree with bad interrupts config", { .tree.defect = TREE_BAD_INTERRUPTS }, FAILS_EARLY },
	{ "tree without affinity proxy", { .tree.defect = TREE_NO_AFFINITY }, FAILS_EARLY },
	{ "tree with one bell label twice", { .tree = { .bells = same_bells, .bell_count = 2 } }, WORKS },
	{ "reserved memory outside", { .tree = { .reserved_gpa = 0x70000000, .reserved_size = 4096 } }, FAILS_LATE },
	{ "tree without cpu", { .tree.no_cpu = true }, FAILS_EARLY },
	{ "nine cpus", { .tree.cpus = 9 }, FAILS_EARLY_NODEV },
};

static void expect(const char *name, const char *what, const char *expected, const char *result)
{
	char line[160];

	(void)snprintf(line, sizeof(line), "start.%s%s: %s", name, what, expected);
	raw_expect(line, result);
}

static void check_case(const char *device, const char *name, const struct raw_boot *boot, const char *const expected[3])
{
	raw_open(&raw, device, IDLE);
	raw_make_vcpu(&raw, 0);
	expect(name, "", expected[0], raw_result(raw_boot(&raw, boot)));
	expect(name, "; second START", expected[1], raw_result(raw_start(&raw)));
	expect(name, "; RUN", expected[2], raw_run(&raw, 0));
	raw_close(&raw);
}

START_TEST(test_start)
{
	const struct start_case *item = &cases[_i];
	struct raw_boot lent = item->boot;
	char name[96];

	check_case(DEBUG, item->name, &item->boot, item->shared);
	lent.lent = true;
	(void)snprintf(name, sizeof(name), "%s, lent", item->name);
	check_case(DEBUG, name, &lent, item->lent);
}
END_TEST

/* The production policy has nothing against lent memory, and everything against a VM that would start with shared memory. */
START_TEST(test_start_in_production)
{
	static const char *const refused[3] = { "ENODEV", "ENODEV", CRASHED };
	const struct start_case *item = &cases[_i];
	struct raw_boot lent = item->boot;
	char name[96];

	(void)snprintf(name, sizeof(name), "%s, production", item->name);
	check_case(PRODUCTION, name, &item->boot, strcmp(item->shared[0], "ok") == 0 ? refused : item->shared);
	lent.lent = true;
	(void)snprintf(name, sizeof(name), "%s, lent, production", item->name);
	check_case(PRODUCTION, name, &lent, item->lent);
}
END_TEST

/* The tree that a VM was started with is no tree to start another one with. */
START_TEST(test_patched_tree_again)
{
	static const struct raw_boot boot = { .lent = false };

	raw_open(&raw, DEBUG, IDLE);
	raw_expect("again.first: ok", raw_result(raw_boot(&raw, &boot)));
	raw_new_vm(&raw);
	raw_make_vcpu(&raw, 0);
	ck_assert_int_eq(raw_share(&raw, 7, RAW_RWX, TREE_BASE, RAW_RAM_SIZE, raw.ram), 0);
	ck_assert_int_eq(raw_set_dtb(&raw, TREE_BASE + RAW_DTB, TREE_ROOM), 0);
	raw_expect("again.START: ENODEV", raw_result(raw_start(&raw)));
	raw_expect("again.RUN: " CRASHED, raw_run(&raw, 0));
	raw_close(&raw);
}
END_TEST

START_TEST(test_nothing_configured)
{
	raw_open(&raw, DEBUG, IDLE);
	raw_expect("start.nothing configured: EINVAL", raw_result(raw_start(&raw)));
	raw_expect("start.nothing configured; second START: ENODEV", raw_result(raw_start(&raw)));
	raw_new_vm(&raw);
	ck_assert_int_eq(raw_share(&raw, 0, RAW_RWX, TREE_BASE, RAW_RAM_SIZE, raw.ram), 0);
	raw_expect("start.no dtb config: EINVAL", raw_result(raw_start(&raw)));
	raw_expect("start.no dtb config; second START: ENODEV", raw_result(raw_start(&raw)));
	raw_close(&raw);
}
END_TEST

static void set_fw(uint64_t gpa)
{
	struct uapi_gunyah_range range = { gpa, RAW_PAGE };

	ck_assert_int_eq(raw_ioctl(&raw, raw.vm, UAPI_GUNYAH_SET_FW, &range), 0);
}

START_TEST(test_firmware)
{
	static const struct raw_boot plain = { .lent = true };

	raw_open(&raw, DEBUG, IDLE);
	raw_make_vcpu(&raw, 0);
	set_fw(TREE_BASE);
	raw_expect("start.with fw config: EPERM", raw_result(raw_boot(&raw, &plain)));
	raw_expect("start.with fw config; RUN: ENODEV", raw_run(&raw, 0));
	raw_new_vm(&raw);
	set_fw(0x70000000);
	raw_expect("start.with fw config outside: EINVAL", raw_result(raw_boot(&raw, &plain)));
	raw_close(&raw);
}
END_TEST

/* Starts, and then cannot execute its first instruction. */
START_TEST(test_without_execute)
{
	const struct raw_boot boot = { .flags = 3, .lent = _i == 1 };

	raw_open(&raw, DEBUG, IDLE);
	raw_make_vcpu(&raw, 0);
	raw_expect("start.memory without X: ok", raw_result(raw_boot(&raw, &boot)));
	raw_expect("start.memory without X; RUN: STATUS 2 type 5 reason_size 4 reason 00000000 00000000", raw_run(&raw, 0));
	raw_close(&raw);
}
END_TEST

START_TEST(test_production)
{
	static const struct raw_boot shared = { .lent = false };
	static const struct raw_boot lent = { .lent = true };
	static const struct raw_boot without_execute = { .lent = true, .flags = 3 };

	raw_open(&raw, PRODUCTION, IDLE);
	raw_make_vcpu(&raw, 0);
	raw_expect("production.shared: ENODEV", raw_result(raw_boot(&raw, &shared)));
	raw_expect("production.shared; second START: ENODEV", raw_result(raw_start(&raw)));
	raw_new_vm(&raw);
	raw_expect("production.without X: ENODEV", raw_result(raw_boot(&raw, &without_execute)));
	raw_new_vm(&raw);
	raw_make_vcpu(&raw, 0);
	raw_expect("production.lent: ok", raw_result(raw_boot(&raw, &lent)));
	raw_expect("production.lent; RUN: idle", raw_run(&raw, 0));
	raw_close(&raw);
}
END_TEST

START_TEST(test_started)
{
	static const struct raw_boot plain = { .lent = false };
	int fd;

	raw_open(&raw, DEBUG, "load 0x6000 8; store 0x7000 4 1; load 0x6000 8; off");
	raw_make_vcpu(&raw, 0);
	fd = raw_eventfd(&raw);
	ck_assert_int_eq(raw_boot(&raw, &plain), 0);
	raw_expect("started.first: idle", raw_run(&raw, 0));
	raw_expect("started.START: ok", raw_result(raw_start(&raw)));
	raw_expect("started.share: ok", raw_result(raw_share(&raw, 20, RAW_RWX, 0xa0000000, RAW_PAGE, raw.ram)));
	raw_expect("started.lend: ok", raw_result(raw_lend(&raw, 21, RAW_RWX, 0xa0001000, RAW_PAGE, raw.ram)));
	raw_expect("started.share overlap: EEXIST",
		   raw_result(raw_share(&raw, 22, RAW_RWX, 0xa0000000, RAW_PAGE, raw.ram)));
	raw_expect("started.set_dtb: ok", raw_result(raw_set_dtb(&raw, 0, 0)));
	raw_expect("started.add vcpu not in tree: fd", raw_descriptor(&raw, raw_add_vcpu(&raw, 3)));
	raw_expect("started.remove vcpu not in tree: ok", raw_result(raw_remove_vcpu(&raw, 3)));
	raw_expect("started.irqfd without bell: ok", raw_result(raw_add_irqfd(&raw, fd, 99, 0)));
	raw_expect("started.ioeventfd: ok", raw_result(raw_add_ioeventfd(&raw, fd, 0x7000, 4, 0, 0)));
	raw_expect("started.ioeventfd works: next event: idle", raw_run(&raw, 0));
	raw_expect("started.ioeventfd count: 1", raw_number(raw_count(&raw, fd)));
	raw_expect("late.off: STATUS 2 type 1 reason_size 4 reason 00000000 00000000", raw_run(&raw, 0));
	ck_assert_ptr_null(gh_sim_breakage(raw.sim));
	(void)raw.sys->close(raw.sys, fd);
	raw_close(&raw);
}
END_TEST

/* pc is the start of the memory, x0 the tree in it, wherever user space said that the memory was. */
START_TEST(test_entry)
{
	static const struct raw_boot elsewhere = { .gpa = 0xc0000000 };

	raw_open(&raw, DEBUG,
		 "register pc; echo 0x6018 8; register x0; echo 0x6018 8; poke 0x80000010 8 0xabcd;"
		 "load 0x6000 8; peek 0x80000018 8; echo 0x6018 8");
	raw_make_vcpu(&raw, 0);
	ck_assert_int_eq(raw_boot(&raw, &elsewhere), 0);
	raw_expect("entry.pc: store 0x6018 len 8 value 0x80000000", raw_run(&raw, 0));
	raw_expect("entry.x0: store 0x6018 len 8 value 0x80100000", raw_run(&raw, 0));
	raw_expect("entry.guest writes: idle", raw_run(&raw, 0));
	raw_expect("entry.host sees: 43981", raw_number(*(const uint64_t *)(const void *)(raw.ram + 0x10)));
	memcpy(raw.ram + 0x18, &(uint64_t){ 0x1234 }, 8);
	raw_expect("entry.guest sees: store 0x6018 len 8 value 0x1234", raw_run(&raw, 0));
	/* The host reads the patched tree where it put its own. */
	ck_assert_int_ge(fdt_path_offset(raw.ram + RAW_DTB, "/hypervisor/qcom,gunyah-vm"), 0);
	raw_close(&raw);
}
END_TEST

/* Valgrind does not let shared memory be mapped a second time in this way. */
static bool can_map_again(void *memory)
{
	void *again = mremap(memory, 0, RAW_PAGE, MREMAP_MAYMOVE);

	if (again == MAP_FAILED)
		return false;
	(void)munmap(again, RAW_PAGE);
	return true;
}

/* The guest keeps memory that the process protects or unmaps, as the kernel keeps its pages. */
START_TEST(test_memory_stays)
{
	static const struct raw_boot plain = { .lent = true };

	raw_open(&raw, DEBUG, "peek 0x80000018 8; echo 0x6018 8; poke 0x80000020 8 5; load 0x6000 8");
	if (!can_map_again(raw.ram)) {
		raw_close(&raw);
		return;
	}
	raw_make_vcpu(&raw, 0);
	raw_configure(&raw, &plain);
	memcpy(raw.ram + 0x18, &(uint64_t){ 0x1234 }, 8);
	ck_assert_int_eq(mprotect(raw.ram, RAW_RAM_SIZE, PROT_NONE), 0);
	raw_expect("stays.START: ok", raw_result(raw_start(&raw)));
	raw_expect("stays.load: store 0x6018 len 8 value 0x1234", raw_run(&raw, 0));
	raw_expect("stays.store: idle", raw_run(&raw, 0));
	ck_assert_int_eq(mprotect(raw.ram, RAW_RAM_SIZE, PROT_READ | PROT_WRITE), 0);
	ck_assert_uint_eq(*(const uint64_t *)(const void *)(raw.ram + 0x20), 5);
	raw_close(&raw);
}
END_TEST

static void boot_with_second(const struct tree *tree, const char *script, void *second, bool lent)
{
	struct raw_boot boot = { .tree = *tree, .lent = lent };
	int ret;

	raw_open(&raw, DEBUG, script);
	raw_make_vcpu(&raw, 0);
	memcpy(second, &(uint64_t){ 0x4242 }, 8);
	ret = lent ? raw_lend(&raw, 1, RAW_RWX, 0x90000000, RAW_PAGE, second)
		   : raw_share(&raw, 1, RAW_RWX, 0x90000000, RAW_PAGE, second);
	raw_expect("second region: add: ok", raw_result(ret));
	raw_expect("second region: START: ok", raw_result(raw_boot(&raw, &boot)));
}

START_TEST(test_second_region)
{
	static const struct tree_shm shm[] = { { 1, 0x90000000 } };
	static const struct tree with = { .shms = shm, .shm_count = 1 };
	static const struct tree without = { .defect = TREE_SOUND };
	void *second = mmap(NULL, RAW_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(second, MAP_FAILED);
	boot_with_second(&with, "peek 0x90000000 8; echo 0x6018 8; off", second, _i == 1);
	raw_expect("second region, shm node: guest loads: store 0x6018 len 8 value 0x4242", raw_run(&raw, 0));
	raw_expect("second region, shm node: off: STATUS 2 type 1 reason_size 4 reason 00000000 00000000",
		   raw_run(&raw, 0));
	raw_close(&raw);
	boot_with_second(&without, "peek 0x90000000 8; expect-abort; peek 0x40001000 8; echo 0x6018 8", second, _i == 1);
	raw_expect("second region, no node: guest loads: store 0x6018 len 8 value 0x4242", raw_run(&raw, 0));
	ck_assert_int_ge(fdt_path_offset(raw.ram + RAW_DTB, "/reserved-memory/buffer@40001000"), 0);
	raw_close(&raw);
	(void)munmap(second, RAW_PAGE);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("gunyah start");
	TCase *tcase = tcase_create("start");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tcase, 30);
	tcase_add_loop_test(tcase, test_start, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_loop_test(tcase, test_start_in_production, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_test(tcase, test_patched_tree_again);
	tcase_add_test(tcase, test_nothing_configured);
	tcase_add_test(tcase, test_firmware);
	tcase_add_loop_test(tcase, test_without_execute, 0, 2);
	tcase_add_test(tcase, test_production);
	tcase_add_test(tcase, test_started);
	tcase_add_test(tcase, test_entry);
	tcase_add_test(tcase, test_memory_stays);
	tcase_add_loop_test(tcase, test_second_region, 0, 2);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
