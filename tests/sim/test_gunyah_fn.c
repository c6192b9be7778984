/* SPDX-License-Identifier: BSD-3-Clause */
/* The simulated Gunyah device against the observed one: functions before START. */
#include "raw.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#define DEVICE "gunyah/android14-6.1,engine=script"
#define ADD UAPI_GUNYAH_ADD_FUNCTION
#define REMOVE UAPI_GUNYAH_REMOVE_FUNCTION
#define VCPU UAPI_GUNYAH_FN_VCPU
#define IRQFD UAPI_GUNYAH_FN_IRQFD
#define IOEVENTFD UAPI_GUNYAH_FN_IOEVENTFD
#define MATCH UAPI_GUNYAH_IOEVENTFD_DATAMATCH

static struct raw raw;

static void setup(void)
{
	raw_open(&raw, DEVICE, "");
}

static void teardown(void)
{
	raw_close(&raw);
}

static const char *function(unsigned long request, uint32_t type, uint32_t size, const void *argument)
{
	return raw_descriptor(&raw, raw_function(&raw, request, type, size, argument));
}

static const void *bad(void)
{
	return (const void *)(uintptr_t)8;
}

START_TEST(test_vcpu_arguments)
{
	const uint32_t argument[128] = { 0 };

	raw_expect("vcpu.arg_size 0: EINVAL", function(ADD, VCPU, 0, argument));
	raw_expect("vcpu.arg_size 1: EINVAL", function(ADD, VCPU, 1, argument));
	raw_expect("vcpu.arg_size 5: EINVAL", function(ADD, VCPU, 5, argument));
	raw_expect("vcpu.arg_size 8: EINVAL", function(ADD, VCPU, 8, argument));
	raw_expect("vcpu.arg_size 257: EINVAL", function(ADD, VCPU, 257, argument));
	raw_expect("vcpu.arg_size 2^32 - 1: EINVAL", function(ADD, VCPU, UINT32_MAX, argument));
	raw_expect("vcpu.arg pointer bad: EFAULT", function(ADD, VCPU, 4, bad()));
	raw_expect("vcpu.id 0: fd", raw_descriptor(&raw, raw_add_vcpu(&raw, 0)));
	raw_expect("vcpu.id 1000: fd", raw_descriptor(&raw, raw_add_vcpu(&raw, 1000)));
	raw_expect("fn.type 4: ENOENT", function(ADD, 4, 4, argument));
	raw_expect("fn.type 4 size 0: ENOENT", function(ADD, 4, 0, argument));
	raw_expect("fn.type 2^32 - 1: ENOENT", function(ADD, UINT32_MAX, 4, argument));
	raw_expect("fn.type 4 size 0 bad pointer: ENOENT", function(ADD, 4, 0, bad()));
}
END_TEST

static const char *on_vcpu(unsigned long request, uintptr_t argument)
{
	return raw_result(raw.sys->ioctl(raw.sys, raw.vcpu[0], request, argument));
}

static const char *epoll_result(int fd)
{
	struct epoll_event event = { .events = EPOLLIN };
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	int ret = epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;

	(void)close(epoll);
	return raw_result(ret);
}

START_TEST(test_vcpu_file)
{
	char name[64] = "";
	char path[32];

	raw_make_vcpu(&raw, 0);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", raw.vcpu[0]);
	ck_assert_int_gt(readlink(path, name, sizeof(name) - 1), 0);
	ck_assert_ptr_nonnull(strstr(name, "gh-vcpu:0"));
	raw_expect("vcpu.cloexec: yes", (fcntl(raw.vcpu[0], F_GETFD) & FD_CLOEXEC) != 0 ? "yes" : "no");
	raw_expect("vcpu.mmap_size: 4096",
		   raw_number((uint64_t)raw.sys->ioctl(raw.sys, raw.vcpu[0], UAPI_GUNYAH_MMAP_SIZE, 0)));
	raw_expect("vcpu.create_vm on vcpu: EINVAL", on_vcpu(UAPI_GUNYAH_CREATE_VM, 0));
	raw_expect("vcpu.start on vcpu: EINVAL", on_vcpu(UAPI_GUNYAH_START, 0));
	raw_expect("vcpu.read: EINVAL", raw_result((int)raw.sys->read(raw.sys, raw.vcpu[0], path, 1)));
	raw_expect("vcpu.epoll: EPERM", epoll_result(raw.vcpu[0]));
}
END_TEST

static uint8_t *map_page(size_t length, int flags)
{
	void *page;

	ck_assert_int_eq(raw.sys->mmap(raw.sys, NULL, length, PROT_READ | PROT_WRITE, flags, raw.vcpu[0], &page), 0);
	return page;
}

START_TEST(test_vcpu_page)
{
	uint8_t *second;
	uint8_t *longer;
	uint8_t *private;

	raw_make_vcpu(&raw, 0);
	raw.page[0]->immediate_exit = 1;
	second = map_page(16, MAP_SHARED);
	longer = map_page(4ul * RAW_PAGE, MAP_SHARED);
	private = map_page(RAW_PAGE, MAP_PRIVATE);
	raw_expect("vcpu.second mapping shows: 1", raw_number(*second));
	raw_expect("vcpu.long mapping shows: 1", raw_number(*longer));
	raw_expect("vcpu.private mapping shows: 1", raw_number(*private));
	raw_expect("vcpu.run before start, immediate_exit: ENODEV", raw_result(raw_run_only(&raw, 0)));
	raw_expect("vcpu.immediate_exit after: 1", raw_number(raw.page[0]->immediate_exit));
	raw.page[0]->immediate_exit = 0;
	raw_expect("vcpu.run before start: ENODEV", raw_result(raw_run_only(&raw, 0)));
	raw_expect("vcpu.run before start, argument: ENODEV", on_vcpu(UAPI_GUNYAH_RUN, 1));
	raw_expect("vcpu.exit_reason after: 0", raw_number(raw.page[0]->exit_reason));
	raw_handle_signal(0);
	(void)raise(SIGUSR1);
	raw_expect("vcpu.run after a handled signal: ENODEV", on_vcpu(UAPI_GUNYAH_RUN, 0));
	ck_assert_int_eq(raw.sys->munmap(raw.sys, second, 16), 0);
	ck_assert_int_eq(raw.sys->munmap(raw.sys, longer, 4ul * RAW_PAGE), 0);
	ck_assert_int_eq(raw.sys->munmap(raw.sys, private, RAW_PAGE), 0);
}
END_TEST

START_TEST(test_vcpu_removal)
{
	uint32_t id = 0;
	uint64_t wide = 0;

	raw_make_vcpu(&raw, 0);
	raw_expect("vcpu.remove 0: ok", raw_result(raw_remove_vcpu(&raw, 0)));
	raw_expect("vcpu.immediate_exit after remove before START: 0", raw_number(raw.page[0]->immediate_exit));
	raw_expect("vcpu.remove unknown: ENOENT", raw_result(raw_remove_vcpu(&raw, 0)));
	raw_expect("vcpu.removed: run: ENODEV", raw_result(raw_run_only(&raw, 0)));
	raw_drop_vcpu(&raw, 0);
	raw_expect("vcpu.id 0 after remove: fd", raw_descriptor(&raw, raw_add_vcpu(&raw, 0)));
	raw_expect("vcpu.id 0 after close: EEXIST", raw_result(raw_add_vcpu(&raw, 0)));
	raw_expect("vcpu.remove closed: ok", raw_result(raw_remove_vcpu(&raw, 0)));
	raw_expect("vcpu.id 0 after that: fd", raw_descriptor(&raw, raw_add_vcpu(&raw, 0)));
	raw_expect("vcpu.remove closed again: ok", raw_result(raw_remove_vcpu(&raw, 0)));
	raw_make_vcpu(&raw, 0);
	raw_expect("vcpu.remove with size 8: ENOENT", function(REMOVE, VCPU, 8, &wide));
	raw_expect("vcpu.remove with size 0: ok", function(REMOVE, VCPU, 0, &id));
	raw_expect("vcpu.still there: run: ENODEV", raw_result(raw_run_only(&raw, 0)));
	raw_expect("vcpu.still there: add: EEXIST", raw_result(raw_add_vcpu(&raw, 0)));
	raw_expect("vcpu.remove bad pointer: EFAULT", function(REMOVE, VCPU, 4, bad()));
	raw_expect("vcpu.remove with wrong type: ENOENT", function(REMOVE, IRQFD, 4, &id));
	raw_expect("vcpu.close vm: ok", raw_result(raw.sys->close(raw.sys, raw.vm)));
	raw.vm = -1;
	raw_expect("vcpu.vm closed: run: ENODEV", raw_result(raw_run_only(&raw, 0)));
	raw_expect("vcpu.vm closed: mmap_size: 4096",
		   raw_number((uint64_t)raw.sys->ioctl(raw.sys, raw.vcpu[0], UAPI_GUNYAH_MMAP_SIZE, 0)));
}
END_TEST

START_TEST(test_remove_sizes)
{
	static const uint8_t large[1024];

	raw_expect("remove size 1024: ENOENT", function(REMOVE, VCPU, sizeof(large), large));
	raw_expect("remove size 8 MiB: ENOMEM", function(REMOVE, VCPU, 8u << 20, large));
	ck_assert_ptr_null(gh_sim_breakage(raw.sim));
	raw_expect("remove size 64 MiB: ENOMEM", function(REMOVE, VCPU, 64u << 20, large));
	ck_assert_ptr_nonnull(gh_sim_breakage(raw.sim));
}
END_TEST

START_TEST(test_irqfd)
{
	struct uapi_gunyah_fn_irqfd padded = { 0, 30, 0, 1 };
	int fds[3] = { raw_eventfd(&raw), raw_eventfd(&raw), raw_eventfd(&raw) };

	raw_expect("irqfd.size 12: EINVAL", function(ADD, IRQFD, 12, &padded));
	raw_expect("irqfd.size 20: EINVAL", function(ADD, IRQFD, 20, (uint8_t[20]){ 0 }));
	raw_expect("irqfd.flag 2: EINVAL", raw_result(raw_add_irqfd(&raw, fds[0], 1, 2)));
	raw_expect("irqfd.flag bit 31: EINVAL", raw_result(raw_add_irqfd(&raw, fds[0], 1, 1u << 31)));
	raw_expect("irqfd.fd -1: EBADF", raw_result(raw_add_irqfd(&raw, -1, 1, 0)));
	raw_expect("irqfd.fd the VM: EINVAL", raw_result(raw_add_irqfd(&raw, raw.vm, 1, 0)));
	raw_expect("irqfd.bad flag and fd: EINVAL", raw_result(raw_add_irqfd(&raw, -1, 1, 2)));
	raw_expect("irqfd.edge: ok", raw_result(raw_add_irqfd(&raw, fds[0], 1, 0)));
	raw_expect("irqfd.level: ok", raw_result(raw_add_irqfd(&raw, fds[1], 2, UAPI_GUNYAH_IRQFD_LEVEL)));
	raw_expect("irqfd.same label: EEXIST", raw_result(raw_add_irqfd(&raw, fds[1], 2, 0)));
	padded.fd = (uint32_t)fds[0];
	raw_expect("irqfd.padding set: ok", function(ADD, IRQFD, sizeof(padded), &padded));
	(void)raw_signal(&raw, fds[2]);
	raw_expect("irqfd.already readable: ok", raw_result(raw_add_irqfd(&raw, fds[2], 3, 0)));
	raw_expect("irqfd.count still there: 1", raw_number(raw_count(&raw, fds[2])));
	raw_expect("irqfd.label 2^32 - 1: ok", raw_result(raw_add_irqfd(&raw, fds[0], UINT32_MAX, 0)));
	raw_expect("vcpu.id 9: fd", raw_descriptor(&raw, raw_add_vcpu(&raw, 9)));
	raw_expect("irqfd.label = vcpu id: ok", raw_result(raw_add_irqfd(&raw, fds[0], 9, 0)));
	for (int i = 0; i < 3; i++)
		(void)raw.sys->close(raw.sys, fds[i]);
	raw_expect("irqfd.remove after the eventfd was closed: ok", raw_result(raw_remove_irqfd(&raw, 1)));
	raw_expect("irqfd.remove again: ENOENT", raw_result(raw_remove_irqfd(&raw, 1)));
	raw_new_vm(&raw);
	/* All eventfds went before their irqfds did. */
	ck_assert_ptr_null(gh_sim_breakage(raw.sim));
}
END_TEST

/* Hazard: an eventfd must not outlive an irqfd without a doorbell. */
START_TEST(test_irqfd_breakage)
{
	int fd = raw_eventfd(&raw);

	ck_assert_int_eq(raw_add_irqfd(&raw, fd, 1, 0), 0);
	if (_i == 0)
		ck_assert_int_eq(raw_remove_irqfd(&raw, 1), 0);
	else
		raw_new_vm(&raw);
	ck_assert_ptr_nonnull(gh_sim_breakage(raw.sim));
	(void)raw.sys->close(raw.sys, fd);
}
END_TEST

static const char *add_io(uint32_t width, uint32_t flags, int fd)
{
	static uint64_t gpa = 0x10000;

	gpa += 0x100;
	return raw_result(raw_add_ioeventfd(&raw, fd, gpa, width, flags, 0));
}

START_TEST(test_ioeventfd_arguments)
{
	struct uapi_gunyah_fn_ioeventfd argument = { 0 };
	int fd = raw_eventfd(&raw);

	argument.fd = fd;
	raw_expect("ioeventfd.size 0: EINVAL", function(ADD, IOEVENTFD, 0, &argument));
	raw_expect("ioeventfd.size 28: EINVAL", function(ADD, IOEVENTFD, 28, &argument));
	raw_expect("ioeventfd.flag 2: EINVAL", add_io(4, 2, fd));
	raw_expect("ioeventfd.len 5: EINVAL", add_io(5, 0, fd));
	raw_expect("ioeventfd.len 7: EINVAL", add_io(7, 0, fd));
	raw_expect("ioeventfd.len 9: EINVAL", add_io(9, 0, fd));
	raw_expect("ioeventfd.len -1: EINVAL", add_io(UINT32_MAX, 0, fd));
	raw_expect("ioeventfd.datamatch with len 0: EINVAL", add_io(0, MATCH, fd));
	raw_expect("ioeventfd.addr + len > 2^64: ok", raw_result(raw_add_ioeventfd(&raw, fd, UINT64_MAX, 8, 0, 0)));
	raw_expect("ioeventfd.fd -1: EBADF", add_io(4, 0, -1));
	raw_expect("ioeventfd.fd the VM: EINVAL", add_io(4, 0, raw.vm));
	raw_expect("ioeventfd.len 0: ok", add_io(0, 0, fd));
	(void)raw.sys->close(raw.sys, fd);
}
END_TEST

START_TEST(test_ioeventfd_table)
{
	int fd = raw_eventfd(&raw);
	struct uapi_gunyah_fn_ioeventfd argument = { 1, 0x7100, 4, fd, MATCH, 0 };

	raw_expect("ioeventfd.len 4: ok", raw_result(raw_add_ioeventfd(&raw, fd, 0x7000, 4, 0, 0)));
	raw_expect("ioeventfd.len 4 again: EEXIST", raw_result(raw_add_ioeventfd(&raw, fd, 0x7000, 4, 0, 0)));
	raw_expect("ioeventfd.len 8 same address: EEXIST", raw_result(raw_add_ioeventfd(&raw, fd, 0x7000, 8, 0, 0)));
	raw_expect("ioeventfd.datamatch same address: EEXIST",
		   raw_result(raw_add_ioeventfd(&raw, fd, 0x7000, 8, MATCH, 1)));
	raw_expect("ioeventfd.datamatch 1: ok", raw_result(raw_add_ioeventfd(&raw, fd, 0x7100, 4, MATCH, 1)));
	raw_expect("ioeventfd.datamatch 2: ok", raw_result(raw_add_ioeventfd(&raw, fd, 0x7100, 4, MATCH, 2)));
	raw_expect("ioeventfd.datamatch 2 again: EEXIST", raw_result(raw_add_ioeventfd(&raw, fd, 0x7100, 4, MATCH, 2)));
	raw_expect("ioeventfd.no datamatch same address: EEXIST", raw_result(raw_add_ioeventfd(&raw, fd, 0x7100, 4, 0, 0)));
	raw_expect("ioeventfd.datamatch wider than len: ok",
		   raw_result(raw_add_ioeventfd(&raw, fd, 0x7200, 1, MATCH, 0x100)));
	/* Removal takes everything at the address, whatever else the argument says. */
	raw_expect("ioeventfd.remove other value: ok", raw_result(raw_remove_ioeventfd(&raw, -1, 0x7200, 8, 0, 0)));
	raw_expect("ioeventfd.then remove exact: ENOENT",
		   raw_result(raw_remove_ioeventfd(&raw, fd, 0x7200, 1, MATCH, 0x100)));
	raw_expect("ioeventfd.remove datamatch 1: ok", raw_result(raw_remove_ioeventfd(&raw, fd, 0x7100, 4, MATCH, 1)));
	raw_expect("ioeventfd.then add datamatch 1: ok", raw_result(raw_add_ioeventfd(&raw, fd, 0x7100, 4, MATCH, 1)));
	raw_expect("ioeventfd.then add datamatch 2: ok", raw_result(raw_add_ioeventfd(&raw, fd, 0x7100, 4, MATCH, 2)));
	raw_expect("ioeventfd.remove size 28: ENOENT", function(REMOVE, IOEVENTFD, 28, &argument));
	(void)raw.sys->close(raw.sys, fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("gunyah functions");
	TCase *tcase = tcase_create("fn");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, test_vcpu_arguments);
	tcase_add_test(tcase, test_vcpu_file);
	tcase_add_test(tcase, test_vcpu_page);
	tcase_add_test(tcase, test_vcpu_removal);
	tcase_add_test(tcase, test_remove_sizes);
	tcase_add_test(tcase, test_irqfd);
	tcase_add_loop_test(tcase, test_irqfd_breakage, 0, 2);
	tcase_add_test(tcase, test_ioeventfd_arguments);
	tcase_add_test(tcase, test_ioeventfd_table);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
