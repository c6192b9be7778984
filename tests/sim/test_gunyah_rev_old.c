/* SPDX-License-Identifier: BSD-3-Clause */
/* The simulated Gunyah device: kernels that pin memory when it is given, from v8 to the final android14-6.1. */
#include "rev.h"

#include <check.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MATCH UAPI_GUNYAH_IOEVENTFD_DATAMATCH
#define LENT UAPI_GUNYAH_MEM_LENT
#define VMIDS 31 /* of the simulated resource manager */

static struct raw raw;
static const struct rev_boot plain = { .share = false };

/* All that pin, and what they have of what differs. */
static const struct revision {
	const char *name;
	bool named;
	bool lent_flag;
	bool reports_end;
	bool charges; /* locked memory; and only the owner may give any */
	bool early_vmid;
	bool bool_datamatch;
} revisions[] = {
	{ "v8", .named = true, .lent_flag = true, .bool_datamatch = true },
	{ "v10", .lent_flag = true, .bool_datamatch = true },
	{ "v11", .reports_end = true, .early_vmid = true, .bool_datamatch = true },
	{ "android14-6.1-early", .reports_end = true, .early_vmid = true, .bool_datamatch = true },
	{ "v14", .reports_end = true, .charges = true },
	{ "android14-6.1", .reports_end = true, .charges = true },
};
#define REVISIONS (int)(sizeof(revisions) / sizeof(revisions[0]))

static const struct revision *revision;

static void open_revision(int index, const char *script)
{
	revision = &revisions[index];
	rev_open(&raw, revision->name, script);
}

/* One of two results, and which revision gave another. */
static void expect(const char *what, bool second, const char *first_result, const char *second_result, const char *got)
{
	const char *wanted = second ? second_result : first_result;

	ck_assert_msg(strcmp(wanted, got) == 0, "%s on %s: %s, not %s", what, revision->name, got, wanted);
}

static int share(uint32_t label, uint32_t flags, uint64_t gpa, uint64_t pages)
{
	return raw_share(&raw, label, flags, gpa, pages * RAW_PAGE, raw.ram);
}

static int named(const char *name, const void *argument, size_t size)
{
	return rev_add_named(&raw, name, argument, size);
}

START_TEST(test_named_functions)
{
	struct uapi_gunyah_fn_ioeventfd io = { 0, 0x7000, 4, 0, 0, 0 };
	struct uapi_gunyah_fn_irqfd irq = { 0, 5, 0, 0 };
	char long_name[33] = "vcpuvcpuvcpuvcpuvcpuvcpuvcpuvcpu";
	uint32_t id = 0;

	rev_open(&raw, "v8", "");
	irq.fd = (uint32_t)raw_eventfd(&raw);
	io.fd = (int32_t)irq.fd;
	raw_expect("named.bad pointer: EFAULT", raw_result(raw.sys->ioctl(raw.sys, raw.vm, 0x44204704, 8)));
	raw_expect("named.unknown: ENOENT", raw_result(named("teapot", &id, 4)));
	raw_expect("named.empty: ENOENT", raw_result(named("", &id, 4)));
	raw_expect("named.beginning of a name: ENOENT", raw_result(named("vcp", &id, 4)));
	raw_expect("named.32 letters: ENOENT", raw_result(named(long_name, &id, 4)));
	raw_expect("named.vcpu: fd", raw_descriptor(&raw, named("vcpu", &id, 4)));
	raw_expect("named.vcpu again: EEXIST", raw_result(named("vcpu", &id, 4)));
	raw_expect("named.irqfd: ok", raw_result(named("irqfd", &irq, sizeof(irq))));
	raw_expect("named.irqfd again: EEXIST", raw_result(named("irqfd", &irq, sizeof(irq))));
	raw_expect("named.ioeventfd: ok", raw_result(named("ioeventfd", &io, sizeof(io))));
	raw_expect("named.ioeventfd again: EEXIST", raw_result(named("ioeventfd", &io, sizeof(io))));
	raw_expect("named.nothing can be removed: ENOTTY", raw_result(raw_remove_vcpu(&raw, 0)));
	(void)raw.sys->close(raw.sys, (int)irq.fd);
	raw_close(&raw);
}
END_TEST

START_TEST(test_run_starts)
{
	rev_open(&raw, "v8", "load 0x6000 8; loop");
	rev_make_vcpu(&raw, 0);
	raw_expect("v8.RUN of nothing: EINVAL", raw_run(&raw, 0));
	raw_expect("v8.RUN again: ENODEV", raw_run(&raw, 0));
	raw_expect("v8.START after that: ENODEV", raw_result(raw_start(&raw)));
	raw_new_vm(&raw);
	rev_make_vcpu(&raw, 0);
	rev_make_vcpu(&raw, 1);
	rev_configure(&raw, &plain);
	raw_expect("v8.RUN of a vCPU that the tree lacks: ENODEV", raw_result(raw_run_only(&raw, 1)));
	raw_expect("v8.RUN of the other: idle", raw_run(&raw, 0));
	raw_expect("v8.START: ok", raw_result(raw_start(&raw)));
	raw_expect("v8.RUN goes on: idle", raw_run(&raw, 0));
	raw_close(&raw);
	rev_open(&raw, "v10", "");
	rev_make_vcpu(&raw, 0);
	rev_configure(&raw, &plain);
	raw_expect("v10.RUN starts nothing: ENODEV", raw_run(&raw, 0));
	raw_close(&raw);
}
END_TEST

/* RUN gives 0, and the page says that there was no exit; the flag stays, and a load's answer is gone all the same (H1, H3). */
START_TEST(test_immediate_is_ok)
{
	rev_run_script(&raw, "v8", "load 0x7000 8; echo 0x7008 8");
	raw_expect("v8.load: load 0x7000 len 8", raw_run(&raw, 0));
	raw_answer(&raw, 0, 0x55);
	raw.page[0]->immediate_exit = 1;
	raw_expect("v8.RUN with immediate_exit: ok", raw_result(raw_run_only(&raw, 0)));
	raw_expect("v8.what it left: exit_reason 0", raw_exit(&raw, 0));
	raw_expect("v8.flag: 1", raw_number(raw.page[0]->immediate_exit));
	raw.page[0]->immediate_exit = 0;
	raw_expect("v8.the answer is lost: store 0x7008 len 8 value 0x0", raw_run(&raw, 0));
	raw_close(&raw);
	rev_run_script(&raw, "v10", "");
	raw.page[0]->immediate_exit = 1;
	raw_expect("v10.RUN with immediate_exit: EINTR", raw_result(raw_run_only(&raw, 0)));
	raw_close(&raw);
}
END_TEST

START_TEST(test_trusting_page)
{
	rev_run_script(&raw, "v8",
		       "load 0x7000 4; echo 0x7008 8; load 0x7000 4; echo 0x7008 8; load 0x7000 8; echo 0x7008 8");
	raw_expect("page.load: load 0x7000 len 4", raw_run(&raw, 0));
	raw_answer(&raw, 0, 0x1122334455667788);
	raw_expect("page.answer: store 0x7008 len 8 value 0x55667788", raw_run(&raw, 0));
	raw_expect("page.load: load 0x7000 len 4", raw_run(&raw, 0));
	raw_answer(&raw, 0, 0x99);
	raw.page[0]->u.mmio.is_write = 1;
	raw_expect("page.is_write set: store 0x7008 len 8 value 0x0", raw_run(&raw, 0));
	raw_expect("page.load: load 0x7000 len 8", raw_run(&raw, 0));
	ck_assert_ptr_null(gh_sim_breakage(raw.sim));
	raw.page[0]->u.mmio.width = 25;
	(void)raw_run(&raw, 0);
	ck_assert_ptr_nonnull(gh_sim_breakage(raw.sim));
	raw_close(&raw);
}
END_TEST

START_TEST(test_end)
{
	void *alarm;

	revision = &revisions[_i];
	rev_run_script(&raw, revision->name, "load 0x6000 8; off");
	raw_expect("end.first: idle", raw_run(&raw, 0));
	if (revision->reports_end) {
		raw_expect("end.off: STATUS 2 type 1 reason_size 4 reason 00000000 00000000", raw_run(&raw, 0));
		raw_expect("end.START: ENODEV", raw_result(raw_start(&raw)));
	} else {
		raw_handle_signal(0);
		alarm = raw_alarm(10);
		raw_expect("end.off: EINTR", raw_run(&raw, 0));
		raw_alarm_join(alarm);
		raw_expect("end.START: ok", raw_result(raw_start(&raw)));
	}
	raw_close(&raw);
}
END_TEST

/* Who hears of the end also falls over a vCPU that never got its resource. */
START_TEST(test_end_breaks)
{
	revision = &revisions[_i];
	rev_run_script(&raw, revision->name, "off");
	rev_make_vcpu(&raw, 1);
	if (!revision->reports_end)
		raw_handle_signal(0);
	if (revision->reports_end) {
		(void)raw_run(&raw, 0);
	} else {
		void *alarm = raw_alarm(10);

		(void)raw_run(&raw, 0);
		raw_alarm_join(alarm);
	}
	ck_assert_int_eq(gh_sim_breakage(raw.sim) != NULL, revision->reports_end);
	raw_close(&raw);
}
END_TEST

START_TEST(test_lent_flag)
{
	bool flag;

	open_revision(_i, "");
	flag = revision->lent_flag;
	expect("flag", flag, "EINVAL", "ok", raw_result(share(1, RAW_RWX | LENT, TREE_BASE, 2)));
	expect("flag 16", flag, "EINVAL", "EINVAL", raw_result(share(1, RAW_RWX | 16, TREE_BASE, 2)));
	expect("delete, flag 16", flag, "EINVAL", "EINVAL", raw_result(share(1, 16, TREE_BASE, 0)));
	expect("delete of no region", flag, "EINVAL", "ok", raw_result(share(99, 0, 0, 0)));
	(void)share(1, RAW_RWX, TREE_BASE, 2);
	expect("range again", flag, "EEXIST", "EEXIST", raw_result(share(2, RAW_RWX, TREE_BASE, 1)));
	expect("label again", flag, "EEXIST", "EEXIST", raw_result(share(1, RAW_RWX, TREE_BASE + 0x10000, 1)));
	expect("delete", flag, "EINVAL", "ok", raw_result(share(1, 0, 1, 0)));
	expect("label and range", flag, "EEXIST", "ok", raw_result(share(1, RAW_RWX, TREE_BASE, 2)));
	raw_close(&raw);
}
END_TEST

/* What the resource manager sees: only lent memory will do. After START deleting a region takes nothing from the guest. */
START_TEST(test_lent_flag_starts)
{
	const char *device =
		_i == 0 ? "gunyah/v8,engine=script,policy=production" : "gunyah/v10,engine=script,policy=production";
	const struct tree tree = { .defect = TREE_SOUND };

	for (uint32_t flag = 0; flag <= LENT; flag += LENT) {
		raw_open(&raw, device, "peek 0x80000000 4; echo 0x7000 4");
		rev_make_vcpu(&raw, 0);
		ck_assert_uint_gt(tree_build(&tree, raw.ram + RAW_DTB, RAW_RAM_SIZE - RAW_DTB), 0);
		raw.ram[0] = 0x12;
		ck_assert_int_eq(share(7, RAW_RWX | flag, TREE_BASE, RAW_RAM_SIZE / RAW_PAGE), 0);
		ck_assert_int_eq(raw_set_dtb(&raw, TREE_BASE + RAW_DTB, TREE_ROOM), 0);
		raw_expect(flag == 0 ? "production.shared: ENODEV" : "production.lent: ok", raw_result(raw_start(&raw)));
		if (flag != 0) {
			raw_expect("production.delete: ok", raw_result(share(7, 0, 0, 0)));
			raw_expect("production.range again: ok", raw_result(share(7, RAW_RWX, TREE_BASE, 1)));
			raw_expect("production.guest: store 0x7000 len 4 value 0x12", raw_run(&raw, 0));
		}
		raw_close(&raw);
	}
}
END_TEST

START_TEST(test_memlock)
{
	struct rlimit old;
	struct rlimit limit;

	open_revision(_i, "");
	ck_assert_int_eq(getrlimit(RLIMIT_MEMLOCK, &old), 0);
	limit = old;
	limit.rlim_cur = 16ul * RAW_PAGE;
	raw_lock_capability(false);
	ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
	expect("17 pages", revision->charges, "ok", "ENOMEM", raw_result(share(1, RAW_RWX, TREE_BASE, 17)));
	expect("16 pages", revision->charges, "ok", "ok", raw_result(share(2, RAW_RWX, TREE_BASE + 0x100000, 16)));
	raw_new_vm(&raw);
	/* Given back some time after close(). */
	expect("after close", revision->charges, "ok", "ENOMEM", raw_result(share(1, RAW_RWX, TREE_BASE, 16)));
	expect("later", revision->charges, "ok", "ok", raw_result(share(2, RAW_RWX, TREE_BASE + 0x100000, 16)));
	ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &old), 0);
	raw_lock_capability(true);
	raw_close(&raw);
}
END_TEST

START_TEST(test_child)
{
	int *result = mmap(NULL, RAW_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t child;

	ck_assert_ptr_ne(result, MAP_FAILED);
	open_revision(_i, "");
	child = fork();
	if (child == 0) {
		*result = raw.sys->ioctl(raw.sys, raw.vm, UAPI_GUNYAH_SET_USER_MEM, 0);
		_exit(0);
	}
	ck_assert_int_gt(child, 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	expect("memory from a child", revision->charges, "EFAULT", "EPERM", raw_result(*result));
	(void)munmap(result, RAW_PAGE);
	raw_close(&raw);
}
END_TEST

static int add_io(uint64_t datamatch, int fd)
{
	struct uapi_gunyah_fn_ioeventfd argument = { datamatch, 0x7000, 4, fd, MATCH, 0 };

	if (revision->named)
		return rev_add_named(&raw, "ioeventfd", &argument, sizeof(argument));
	return raw_add_ioeventfd(&raw, fd, 0x7000, 4, MATCH, datamatch);
}

START_TEST(test_datamatch)
{
	int fds[3];

	revision = &revisions[_i];
	rev_run_script(&raw, revision->name,
		       "load 0x6000 8; store 0x7000 4 7; store 0x7000 4 0; store 0x7000 4 5; load 0x6000 8");
	for (int i = 0; i < 3; i++)
		fds[i] = raw_eventfd(&raw);
	raw_expect("datamatch.first: idle", raw_run(&raw, 0));
	raw_expect("datamatch 5: ok", raw_result(add_io(5, fds[0])));
	raw_expect("datamatch 0: ok", raw_result(add_io(0, fds[1])));
	expect("datamatch 6", revision->bool_datamatch, "ok", "EEXIST", raw_result(add_io(6, fds[2])));
	expect("store of 7", revision->bool_datamatch, "store 0x7000 len 4 value 0x7", "idle", raw_run(&raw, 0));
	if (!revision->bool_datamatch)
		raw_expect("datamatch.the rest: idle", raw_run(&raw, 0));
	expect("count of 5", revision->bool_datamatch, "1", "2", raw_number(raw_count(&raw, fds[0])));
	expect("count of 0", revision->bool_datamatch, "1", "1", raw_number(raw_count(&raw, fds[1])));
	for (int i = 0; i < 3; i++)
		(void)raw.sys->close(raw.sys, fds[i]);
	raw_close(&raw);
}
END_TEST

/* By address, whatever else the argument says. */
START_TEST(test_removal)
{
	uint32_t id = 0;
	int fd;

	if (revisions[_i].named)
		return;
	open_revision(_i, "");
	fd = raw_eventfd(&raw);
	raw_expect("remove.add: ok", raw_result(raw_add_ioeventfd(&raw, fd, 0x7000, 4, MATCH, 1)));
	raw_expect("remove.add another width: ok", raw_result(raw_add_ioeventfd(&raw, fd, 0x7000, 8, MATCH, 1)));
	raw_expect("remove.a third: ok", raw_result(raw_remove_ioeventfd(&raw, -1, 0x7000, 2, 0, 0)));
	raw_expect("remove.the first: ENOENT", raw_result(raw_remove_ioeventfd(&raw, fd, 0x7000, 4, MATCH, 1)));
	raw_expect("remove.size 0: ok",
		   raw_result(raw_function(&raw, UAPI_GUNYAH_REMOVE_FUNCTION, UAPI_GUNYAH_FN_VCPU, 0, &id)));
	raw_expect("remove.address beyond the end: ok", raw_result(raw_add_ioeventfd(&raw, fd, UINT64_MAX, 8, 0, 0)));
	raw_expect("remove.tree beyond the end: ok", raw_result(raw_set_dtb(&raw, UINT64_MAX, UINT64_MAX)));
	(void)raw.sys->close(raw.sys, fd);
	raw_close(&raw);
}
END_TEST

/* The resource manager's numbers run out when VMs are made, or when they are started. */
START_TEST(test_vmids)
{
	int vms[VMIDS + 1];
	int count = 0;

	open_revision(_i, "");
	vms[count++] = raw.vm;
	while (count < VMIDS)
		vms[count++] = raw.sys->ioctl(raw.sys, raw.device, UAPI_GUNYAH_CREATE_VM, 0);
	ck_assert_int_ge(vms[count - 1], 0);
	vms[count] = raw.sys->ioctl(raw.sys, raw.device, UAPI_GUNYAH_CREATE_VM, 0);
	expect("VM 32", !revision->early_vmid, "ENODEV", "ok", raw_result(vms[count] < 0 ? vms[count] : 0));
	for (int i = 1; i <= VMIDS; i++) {
		if (vms[i] >= 0)
			ck_assert_int_eq(raw.sys->close(raw.sys, vms[i]), 0);
	}
	raw_new_vm(&raw);
	raw_close(&raw);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("gunyah revisions that pin");
	TCase *tcase = tcase_create("old");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, test_named_functions);
	tcase_add_test(tcase, test_run_starts);
	tcase_add_test(tcase, test_immediate_is_ok);
	tcase_add_test(tcase, test_trusting_page);
	tcase_add_loop_test(tcase, test_end, 0, REVISIONS);
	tcase_add_loop_test(tcase, test_end_breaks, 0, REVISIONS);
	tcase_add_loop_test(tcase, test_lent_flag, 0, REVISIONS);
	tcase_add_loop_test(tcase, test_lent_flag_starts, 0, 2);
	tcase_add_loop_test(tcase, test_memlock, 0, REVISIONS);
	tcase_add_loop_test(tcase, test_child, 0, REVISIONS);
	tcase_add_loop_test(tcase, test_datamatch, 0, REVISIONS);
	tcase_add_loop_test(tcase, test_removal, 0, REVISIONS);
	tcase_add_loop_test(tcase, test_vmids, 0, REVISIONS);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
