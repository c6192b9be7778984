/* SPDX-License-Identifier: BSD-3-Clause */
/* The simulated Gunyah device against the observed one: RUN, exits, the ways a VM ends, lifetimes. */
#include "raw.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEVICE "gunyah/android14-6.1,engine=script"

static struct raw raw;
static const struct raw_boot plain = { .lent = false };

static void teardown(void)
{
	raw_close(&raw);
}

static const char *answer(uint64_t value)
{
	raw_answer(&raw, 0, value);
	return raw_run(&raw, 0);
}

START_TEST(test_stores_and_loads)
{
	raw_run_script(&raw,
		       "load 0x6000 8; store 0x7000 1 0x44332211; store 0x7000 2 0x44332211; store 0x7000 4 0x44332211;"
		       "load 0x7000 1; echo 0x6018 8; load 0x7000 2; echo 0x6018 8; load 0x7000 8; echo 0x6018 8;"
		       "load 0x7000 8; echo 0x6018 8; load 0x7000 8; echo 0x6018 8; load 0x7000 8; echo 0x6018 8;"
		       "store 0 4 1");
	raw_expect("mmio.first exit: idle", raw_run(&raw, 0));
	raw_expect("mmio.store 1: store 0x7000 len 1 value 0x11", answer(0));
	raw_expect("mmio.store 2: store 0x7000 len 2 value 0x2211", raw_run(&raw, 0));
	raw_expect("mmio.store 4: store 0x7000 len 4 value 0x44332211", raw_run(&raw, 0));
	raw_expect("mmio.load 1: load 0x7000 len 1", raw_run(&raw, 0));
	raw_expect("mmio.load 1 result: store 0x6018 len 8 value 0xf1", answer(0xf8f7f6f5f4f3f2f1));
	raw_expect("mmio.load 2: load 0x7000 len 2", raw_run(&raw, 0));
	raw_expect("mmio.load 2 result: store 0x6018 len 8 value 0xf2f1", answer(0xf8f7f6f5f4f3f2f1));
	raw_expect("mmio.load 8: load 0x7000 len 8", raw_run(&raw, 0));
	raw.page[0]->u.mmio.width = 1;
	raw.page[0]->u.mmio.gpa = 0x9999;
	raw_expect("mmio.load 8, page len and addr changed: result: store 0x6018 len 8 value 0x5a5a5a5a5a5a5a5a",
		   answer(0x5a5a5a5a5a5a5a5a));
	raw_expect("mmio.load 8: load 0x7000 len 8", raw_run(&raw, 0));
	/* raw_run() clears exit_reason each time. */
	raw_expect("mmio.load, exit_reason cleared: result: store 0x6018 len 8 value 0x77", answer(0x77));
	raw_expect("mmio.load 8: load 0x7000 len 8", raw_run(&raw, 0));
	raw.page[0]->u.mmio.is_write = 1;
	raw_expect("mmio.load, is_write set: result: store 0x6018 len 8 value 0x78", answer(0x78));
	raw_expect("mmio.load 8: load 0x7000 len 8", raw_run(&raw, 0));
	raw.page[0]->u.mmio.resume_action = 7;
	raw_expect("mmio.load, resume_action 7: result: store 0x6018 len 8 value 0x77", answer(0x77));
	raw_expect("mmio.store at 0: store 0x0 len 4 value 0x1", raw_run(&raw, 0));
}
END_TEST

/* mmio.data keeps what was in it beyond the width, and all of it on a load. */
START_TEST(test_stale_data)
{
	raw_run_script(
		&raw,
		"store 0x7000 8 0x1122334455667788; store 0x7000 1 0; load 0x7000 4; store 0x7000 3 1; store 0x7000 9 2");
	raw_expect("stale.store 8: store 0x7000 len 8 value 0x1122334455667788", raw_run(&raw, 0));
	raw_expect("stale.store 1: store 0x7000 len 1 value 0x0", raw_run(&raw, 0));
	ck_assert_uint_eq(raw.page[0]->u.mmio.data[7], 0x11);
	raw_expect("stale.load: load 0x7000 len 4", raw_run(&raw, 0));
	ck_assert_uint_eq(raw.page[0]->u.mmio.data[1], 0x77);
	/* What no CPU does, a script can. */
	raw_expect("stale.width 3: store 0x7000 len 3 value 0x1", raw_run(&raw, 0));
	raw_expect("stale.width 9: store 0x7000 len 8 value 0x2", raw_run(&raw, 0));
}
END_TEST

START_TEST(test_aborts)
{
	raw_run_script(
		&raw,
		"load 0x40000000 8; echo 0x6018 8; store 0x40000000 4 1; expect-abort; store 0x40001000 4 1; expect-abort;"
		"load 0x50000000 8; expect-abort; load 0x1000000000 8; expect-abort; store 0x3ffffff8 4 1; load 0x6000 8");
	raw_expect("abort.load 8 at 0x40000000: store 0x6018 len 8 value 0x0", raw_run(&raw, 0));
	raw_expect("abort.others, then last: store 0x3ffffff8 len 4 value 0x1", raw_run(&raw, 0));
	raw_expect("abort.next: idle", raw_run(&raw, 0));
}
END_TEST

/* Memory without W: stores to it abort. */
START_TEST(test_read_only_memory)
{
	static const struct raw_boot boot = { .flags = 5 };

	raw_open(&raw, DEVICE, "poke 0x80000000 4 1; expect-abort; load 0x6000 8");
	raw_make_vcpu(&raw, 0);
	ck_assert_int_eq(raw_boot(&raw, &boot), 0);
	raw_expect("read-only.next: idle", raw_run(&raw, 0));
}
END_TEST

START_TEST(test_hypercalls)
{
	raw_run_script(&raw, "hvc 0xc6000099; echo 0x6018 8; hvc 0x8600ff01; echo 0x6018 8");
	raw_expect("hvc unknown vendor: store 0x6018 len 8 value 0xffffffffffffffff", raw_run(&raw, 0));
	raw_expect("hvc vendor uid: store 0x6018 len 8 value 0xcd8fd5c1", raw_run(&raw, 0));
}
END_TEST

/* What is the same after every end of a VM. */
static void check_ended(void)
{
	raw.page[0]->exit_reason = 7;
	raw_expect("psci; RUN again: ok", raw_result(raw_run_only(&raw, 0)));
	raw_expect("psci; RUN again: exit_reason 7", raw_exit(&raw, 0));
	raw.page[0]->immediate_exit = 1;
	raw_expect("psci; immediate_exit and RUN: ok", raw_result(raw_run_only(&raw, 0)));
	raw.page[0]->immediate_exit = 0;
	raw_expect("psci; START: ENODEV", raw_result(raw_start(&raw)));
	raw_expect("psci; share: ok", raw_result(raw_share(&raw, 40, RAW_RWX, 0xa0000000, RAW_PAGE, raw.ram)));
	raw_make_vcpu(&raw, 1);
	raw_expect("psci; run it: ENODEV", raw_run(&raw, 1));
	raw_expect("psci; remove vcpu 0: ok", raw_result(raw_remove_vcpu(&raw, 0)));
	raw_expect("psci; removed: RUN: ENODEV", raw_result(raw_run_only(&raw, 0)));
	raw_expect("psci; removed: immediate_exit: 1", raw_number(raw.page[0]->immediate_exit));
	/* A new function for the same vCPU hears of the end as well. */
	raw_drop_vcpu(&raw, 0);
	raw_make_vcpu(&raw, 0);
	ck_assert_msg(strncmp(raw_run(&raw, 0), "STATUS 2 type ", 14) == 0, "%s", raw_exit(&raw, 0));
}

START_TEST(test_power_off)
{
	raw_run_script(&raw, "off");
	raw_expect("psci off: STATUS 2 type 1 reason_size 4 reason 00000000 00000000", raw_run(&raw, 0));
	check_ended();
}
END_TEST

START_TEST(test_reset)
{
	raw_run_script(&raw, "reset");
	raw_expect("psci reset: STATUS 2 type 2 reason_size 4 reason 00000000 00000000", raw_run(&raw, 0));
	check_ended();
}
END_TEST

START_TEST(test_reset2)
{
	raw_run_script(&raw, "reset2 0x80000001 0x1234");
	raw_expect("psci reset2: STATUS 2 type 3 reason_size 16 reason 00000000 01000080", raw_run(&raw, 0));
	check_ended();
}
END_TEST

START_TEST(test_crash)
{
	raw_run_script(&raw, "crash");
	raw_expect("crash: STATUS 2 type 5 reason_size 4 reason 00000000 00000000", raw_run(&raw, 0));
	check_ended();
}
END_TEST

/* Hazard: the kernel does not survive the end of a VM with a vCPU that the tree does not have. */
START_TEST(test_unknown_vcpu_breakage)
{
	raw_run_script(&raw, "load 0x6000 8; off");
	raw_make_vcpu(&raw, 1);
	raw_expect("not in tree: RUN: ENODEV", raw_run(&raw, 1));
	raw_expect("not in tree: first: idle", raw_run(&raw, 0));
	if (_i == 0)
		ck_assert_int_eq(raw_remove_vcpu(&raw, 1), 0);
	raw_expect("not in tree: off: STATUS 2 type 1 reason_size 4 reason 00000000 00000000", raw_run(&raw, 0));
	ck_assert_int_eq(gh_sim_breakage(raw.sim) != NULL, _i == 1);
}
END_TEST

/* Closing a VM ends it, too. */
START_TEST(test_unknown_vcpu_breakage_at_close)
{
	raw_run_script(&raw, "load 0x6000 8");
	raw_make_vcpu(&raw, 1);
	ck_assert_ptr_null(gh_sim_breakage(raw.sim));
	raw_new_vm(&raw);
	ck_assert_ptr_nonnull(gh_sim_breakage(raw.sim));
}
END_TEST

START_TEST(test_busy)
{
	raw_run_script(&raw, "raw ebusy; raw nobody-knows-this; off");
	raw_expect("busy: EBUSY", raw_run(&raw, 0));
	raw_expect("busy: off: STATUS 2 type 1 reason_size 4 reason 00000000 00000000", raw_run(&raw, 0));
}
END_TEST

START_TEST(test_ioeventfd_plain)
{
	int fd;

	raw_run_script(&raw,
		       "load 0x6000 8; store 0x7000 1 1; load 0x6000 8; store 0x7000 2 1; load 0x6000 8; store 0x7000 4 1;"
		       "load 0x6000 8; load 0x7000 4; echo 0x6018 8; store 0x7004 4 1; store 0x7001 1 1");
	fd = raw_eventfd(&raw);
	ck_assert_int_eq(raw_add_ioeventfd(&raw, fd, 0x7000, 4, 0, 0), 0);
	raw_expect("io.first: idle", raw_run(&raw, 0));
	for (size_t i = 0; i < 3; i++) {
		raw_expect("io.plain len 4, store 1, 2, 4: next: idle", raw_run(&raw, 0));
		raw_expect("io.plain len 4, store 1, 2, 4: count: 1", raw_number(raw_count(&raw, fd)));
	}
	raw_expect("io.plain: load: load 0x7000 len 4", raw_run(&raw, 0));
	raw_expect("io.plain: load result: store 0x6018 len 8 value 0x3", answer(3));
	raw_expect("io.plain: store at + 4: store 0x7004 len 4 value 0x1", raw_run(&raw, 0));
	raw_expect("io.plain: store at + 1: store 0x7001 len 1 value 0x1", raw_run(&raw, 0));
	(void)raw.sys->close(raw.sys, fd);
}
END_TEST

static const char *counts(int first, int second)
{
	static char text[64];
	unsigned long long a = raw_count(&raw, first);
	unsigned long long b = raw_count(&raw, second);

	(void)snprintf(text, sizeof(text), "%llu %llu", a, b);
	return text;
}

START_TEST(test_ioeventfd_datamatch)
{
	int five;
	int six;

	raw_run_script(
		&raw,
		"store 0x7100 4 5; load 0x6000 8; store 0x7100 4 6; load 0x6000 8; store 0x7100 4 7; store 0x7100 1 5;"
		"load 0x6000 8; store 0x7100 4 6; store 0x7000 4 6");
	five = raw_eventfd(&raw);
	six = raw_eventfd(&raw);
	ck_assert_int_eq(raw_add_ioeventfd(&raw, five, 0x7100, 4, UAPI_GUNYAH_IOEVENTFD_DATAMATCH, 5), 0);
	raw_expect("io.add datamatch 6: ok",
		   raw_result(raw_add_ioeventfd(&raw, six, 0x7100, 4, UAPI_GUNYAH_IOEVENTFD_DATAMATCH, 6)));
	raw_expect("io.datamatch 5 6, store 5: next: idle", raw_run(&raw, 0));
	raw_expect("io.datamatch 5 6, store 5: counts: 1 0", counts(five, six));
	raw_expect("io.datamatch 5 6, store 6: next: idle", raw_run(&raw, 0));
	raw_expect("io.datamatch 5 6, store 6: counts: 0 1", counts(five, six));
	raw_expect("io.datamatch 5 6, store 7: next: store 0x7100 len 4 value 0x7", raw_run(&raw, 0));
	raw_expect("io.datamatch 5 6, store 7: counts: 0 0", counts(five, six));
	raw_expect("io.datamatch 5, store 1 wide: next: store 0x7100 len 1 value 0x5", raw_run(&raw, 0));
	raw_expect("io.next: idle", raw_run(&raw, 0));
	raw_expect("io.remove one datamatch: ok",
		   raw_result(raw_remove_ioeventfd(&raw, five, 0x7100, 4, UAPI_GUNYAH_IOEVENTFD_DATAMATCH, 5)));
	raw_expect("io.then store 6: next: store 0x7100 len 4 value 0x6", raw_run(&raw, 0));
	raw_expect("io.then store: next: store 0x7000 len 4 value 0x6", raw_run(&raw, 0));
	(void)raw.sys->close(raw.sys, five);
	(void)raw.sys->close(raw.sys, six);
}
END_TEST

START_TEST(test_ioeventfd_widths)
{
	int fd;

	raw_run_script(&raw,
		       "store 0x7300 8 1; store 0x7300 4 1; store 0x7300 2 1; store 0x7300 1 1; load 0x6000 8;"
		       "store 0x7400 2 0xbeef; load 0x6000 8; store 0x7400 2 0x1beef; store 0x7500 1 0; load 0x6000 8");
	fd = raw_eventfd(&raw);
	ck_assert_int_eq(raw_add_ioeventfd(&raw, fd, 0x7300, 0, 0, 0), 0);
	raw_expect("io.add datamatch len 2: ok",
		   raw_result(raw_add_ioeventfd(&raw, fd, 0x7400, 2, UAPI_GUNYAH_IOEVENTFD_DATAMATCH, 0xbeef)));
	ck_assert_int_eq(raw_add_ioeventfd(&raw, fd, 0x7500, 1, UAPI_GUNYAH_IOEVENTFD_DATAMATCH, 0x100), 0);
	raw_expect("io.len 0, store 8: next: idle", raw_run(&raw, 0));
	raw_expect("io.len 0: count: 4", raw_number(raw_count(&raw, fd)));
	raw_expect("io.datamatch 0xbeef len 2, store 0xbeef: next: idle", raw_run(&raw, 0));
	raw_expect("io.datamatch 0xbeef len 2, store 0x1beef: next: store 0x7400 len 2 value 0xbeef", raw_run(&raw, 0));
	raw_expect("io.datamatch len 2: count: 1", raw_number(raw_count(&raw, fd)));
	raw_expect("io.datamatch wider than len: store 0x7500 len 1 value 0x0", raw_run(&raw, 0));
	(void)raw.sys->close(raw.sys, fd);
}
END_TEST

START_TEST(test_ioeventfd_outlives_descriptor)
{
	int fd;
	int copy;

	raw_run_script(&raw, "store 0x7000 4 1; load 0x6000 8");
	fd = raw_eventfd(&raw);
	copy = raw.sys->dup(raw.sys, fd, 0);
	ck_assert_int_eq(raw_add_ioeventfd(&raw, fd, 0x7000, 4, 0, 0), 0);
	(void)raw.sys->close(raw.sys, fd);
	raw_expect("io.descriptor closed: idle", raw_run(&raw, 0));
	raw_expect("io.descriptor closed: count: 1", raw_number(raw_count(&raw, copy)));
	(void)raw.sys->close(raw.sys, copy);
}
END_TEST

START_TEST(test_readd)
{
	raw_run_script(&raw, "load 0x6000 8; load 0x6000 8; off");
	raw_expect("readd.first: idle", raw_run(&raw, 0));
	raw_expect("readd.remove: ok", raw_result(raw_remove_vcpu(&raw, 0)));
	raw_expect("readd.RUN: ENODEV", raw_run(&raw, 0));
	raw_drop_vcpu(&raw, 0);
	raw_make_vcpu(&raw, 0);
	raw_expect("readd.next: idle", raw_run(&raw, 0));
	raw_expect("readd.off: STATUS 2 type 1 reason_size 4 reason 00000000 00000000", raw_run(&raw, 0));
}
END_TEST

/* The answer that the old function had in its page is lost with it. */
START_TEST(test_readd_loses_load)
{
	raw_run_script(&raw, "load 0x7000 8; echo 0x6018 8");
	raw_expect("readd.load: load 0x7000 len 8", raw_run(&raw, 0));
	raw_answer(&raw, 0, 5);
	ck_assert_int_eq(raw_remove_vcpu(&raw, 0), 0);
	raw_drop_vcpu(&raw, 0);
	raw_make_vcpu(&raw, 0);
	raw_expect("readd.result: store 0x6018 len 8 value 0x0", raw_run(&raw, 0));
}
END_TEST

START_TEST(test_close_vm)
{
	raw_run_script(&raw, "load 0x6000 8; store 0x7000 4 1; off");
	raw_expect("close.first: idle", raw_run(&raw, 0));
	raw_expect("close.vm fd: ok", raw_result(raw.sys->close(raw.sys, raw.vm)));
	raw.vm = -1;
	raw_expect("close.guest goes on: store 0x7000 len 4 value 0x1", raw_run(&raw, 0));
	raw_expect("close.off: STATUS 2 type 1 reason_size 4 reason 00000000 00000000", raw_run(&raw, 0));
}
END_TEST

START_TEST(test_close_vcpu)
{
	raw_run_script(&raw, "store 0x7000 4 0x31; load 0x6000 8; off");
	raw_expect("closevcpu.store: store 0x7000 len 4 value 0x31", raw_run(&raw, 0));
	raw_expect("closevcpu.close: ok", raw_result(raw.sys->close(raw.sys, raw.vcpu[0])));
	raw.vcpu[0] = -1;
	raw_expect("closevcpu.page still readable, data: 49", raw_number(raw.page[0]->u.mmio.data[0]));
	raw_expect("closevcpu.START: ok", raw_result(raw_start(&raw)));
	raw_expect("closevcpu.add: EEXIST", raw_result(raw_add_vcpu(&raw, 0)));
	raw_expect("closevcpu.remove: ok", raw_result(raw_remove_vcpu(&raw, 0)));
	raw_drop_vcpu(&raw, 0);
	raw_make_vcpu(&raw, 0);
	raw_expect("closevcpu.next: idle", raw_run(&raw, 0));
	raw_expect("closevcpu.off: STATUS 2 type 1 reason_size 4 reason 00000000 00000000", raw_run(&raw, 0));
}
END_TEST

/* Everything closed but a mapping of a vCPU: the VM is alive until that goes. */
START_TEST(test_mapping_holds_vm)
{
	raw_run_script(&raw, "load 0x6000 8");
	ck_assert_int_eq(raw.sys->close(raw.sys, raw.vcpu[0]), 0);
	ck_assert_int_eq(raw.sys->close(raw.sys, raw.vm), 0);
	raw.vcpu[0] = -1;
	raw.vm = -1;
	ck_assert_uint_eq(gh_sim_open_files(raw.sim), 2); /* the device, and what the mapping holds */
	raw_drop_vcpu(&raw, 0);
	ck_assert_uint_eq(gh_sim_open_files(raw.sim), 1);
}
END_TEST

START_TEST(test_child_runs)
{
	int status;
	pid_t child;

	raw_run_script(&raw, "load 0x6000 8");
	child = fork();
	if (child == 0)
		_exit(raw_run_only(&raw, 0) == 0 ? 0 : 1);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	raw_expect("child.RUN: ok", status == 0 ? "ok" : "failed");
	/* The page is the same memory in both. */
	raw_expect("child.exit: load 0x6000 len 8", raw_exit(&raw, 0));
}
END_TEST

START_TEST(test_dup)
{
	int copy;

	raw_run_script(&raw, "load 0x6000 8; off");
	copy = raw.sys->dup(raw.sys, raw.vcpu[0], 0);
	ck_assert_int_ge(copy, 0);
	ck_assert_int_eq(raw.sys->close(raw.sys, raw.vcpu[0]), 0);
	raw.vcpu[0] = copy;
	raw_expect("dup.first: idle", raw_run(&raw, 0));
	raw_expect("dup.off: STATUS 2 type 1 reason_size 4 reason 00000000 00000000", raw_run(&raw, 0));
}
END_TEST

START_TEST(test_remap)
{
	void *page;

	raw_run_script(&raw, "load 0x6000 8; store 0x7000 4 2");
	raw_expect("remap.first: idle", raw_run(&raw, 0));
	ck_assert_int_eq(raw.sys->munmap(raw.sys, raw.page[0], RAW_PAGE), 0);
	ck_assert_int_eq(raw.sys->mmap(raw.sys, NULL, RAW_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, raw.vcpu[0], &page), 0);
	raw.page[0] = page;
	raw_expect("remap.page keeps the exit: load 0x6000 len 8", raw_exit(&raw, 0));
	raw_expect("remap.store: store 0x7000 len 4 value 0x2", raw_run(&raw, 0));
}
END_TEST

/* Two VMs at once. */
START_TEST(test_pair)
{
	struct raw second;

	raw_run_script(&raw, "load 0x6000 8; store 0x7000 4 1; off");
	raw_expect("pair.first: idle", raw_run(&raw, 0));
	second = raw;
	second.vm = raw.sys->ioctl(raw.sys, raw.device, UAPI_GUNYAH_CREATE_VM, 0);
	ck_assert_int_ge(second.vm, 0);
	raw_make_vcpu(&second, 0);
	ck_assert_int_eq(raw_boot(&second, &plain), 0);
	raw_expect("pair.second: idle", raw_run(&second, 0));
	raw_expect("pair.first store: store 0x7000 len 4 value 0x1", raw_run(&raw, 0));
	raw_expect("pair.first off: STATUS 2 type 1 reason_size 4 reason 00000000 00000000", raw_run(&raw, 0));
	raw_expect("pair.second goes on: store 0x7000 len 4 value 0x1", raw_run(&second, 0));
	raw_drop_vcpu(&second, 0);
	ck_assert_int_eq(raw.sys->close(raw.sys, second.vm), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("gunyah run");
	TCase *tcase = tcase_create("run");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, NULL, teardown);
	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, test_stores_and_loads);
	tcase_add_test(tcase, test_stale_data);
	tcase_add_test(tcase, test_aborts);
	tcase_add_test(tcase, test_read_only_memory);
	tcase_add_test(tcase, test_hypercalls);
	tcase_add_test(tcase, test_power_off);
	tcase_add_test(tcase, test_reset);
	tcase_add_test(tcase, test_reset2);
	tcase_add_test(tcase, test_crash);
	tcase_add_loop_test(tcase, test_unknown_vcpu_breakage, 0, 2);
	tcase_add_test(tcase, test_unknown_vcpu_breakage_at_close);
	tcase_add_test(tcase, test_busy);
	tcase_add_test(tcase, test_ioeventfd_plain);
	tcase_add_test(tcase, test_ioeventfd_datamatch);
	tcase_add_test(tcase, test_ioeventfd_widths);
	tcase_add_test(tcase, test_ioeventfd_outlives_descriptor);
	tcase_add_test(tcase, test_readd);
	tcase_add_test(tcase, test_readd_loses_load);
	tcase_add_test(tcase, test_close_vm);
	tcase_add_test(tcase, test_close_vcpu);
	tcase_add_test(tcase, test_mapping_holds_vm);
	tcase_add_test(tcase, test_child_runs);
	tcase_add_test(tcase, test_dup);
	tcase_add_test(tcase, test_remap);
	tcase_add_test(tcase, test_pair);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
