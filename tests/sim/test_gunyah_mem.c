/* SPDX-License-Identifier: BSD-3-Clause */
/* The simulated Gunyah device against the observed one: device, VM, memory, limits, forked children. */
#include "raw.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEVICE "gunyah/android14-6.1,engine=script"
#define R UAPI_GUNYAH_MEM_READ
#define W UAPI_GUNYAH_MEM_WRITE

static struct raw raw;

static void setup(void)
{
	raw_open(&raw, DEVICE, "");
}

static void teardown(void)
{
	raw_close(&raw);
}

static const char *yes(bool answer)
{
	return answer ? "yes" : "no";
}

static int on_device(unsigned long request, uintptr_t argument)
{
	return raw.sys->ioctl(raw.sys, raw.device, request, argument);
}

static int bad_pointer(unsigned long request)
{
	return raw.sys->ioctl(raw.sys, raw.vm, request, 8);
}

static const char *epoll_result(int fd)
{
	struct epoll_event event = { .events = EPOLLIN };
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	int ret = epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;

	(void)close(epoll);
	return raw_result(ret);
}

START_TEST(test_device)
{
	int fd;

	raw_expect("dev.unknown G 0x99: ENOTTY", raw_result(on_device(UAPI_IO('G', 0x99), 0)));
	raw_expect("dev.unknown B2 0x01: ENOTTY", raw_result(on_device(UAPI_GUNYAH_VENDOR_CREATE_VM, 0)));
	raw_expect("dev.create_guest_mem: ENOTTY", raw_result(on_device(0x40404708, 0)));
	raw_expect("dev.check_extension A 0x10: ENOTTY", raw_result(on_device(UAPI_IO('A', 0x10), 0)));
	raw_expect("dev.check_extension A 0x17: ENOTTY", raw_result(on_device(UAPI_IO('A', 0x17), 0)));
	raw_expect("dev.vm ioctl on device: ENOTTY", raw_result(on_device(UAPI_GUNYAH_START, 0)));
	raw_expect("dev.run on device: ENOTTY", raw_result(on_device(UAPI_GUNYAH_RUN, 0)));
	raw_expect("dev.create_vm with argument: EINVAL", raw_result(on_device(UAPI_GUNYAH_CREATE_VM, 1)));
	raw_expect("dev.write: EINVAL", raw_result((int)raw.sys->write(raw.sys, raw.device, "x", 1)));
	raw_expect("dev.lseek: ok", raw_result((int)lseek(raw.device, 0, SEEK_SET)));
	raw_expect("dev.epoll: EPERM", epoll_result(raw.device));
	raw_expect("dev.vm cloexec: yes", yes((fcntl(raw.vm, F_GETFD) & FD_CLOEXEC) != 0));
	raw_expect("dev.vm access: rdwr", (fcntl(raw.vm, F_GETFL) & O_ACCMODE) == O_RDWR ? "rdwr" : "other");
	fd = raw.sys->open(raw.sys, UAPI_GUNYAH_DEVICE, O_RDONLY);
	ck_assert_int_ge(fd, 0);
	raw_expect("dev.create_vm on readonly: fd",
		   raw_descriptor(&raw, raw.sys->ioctl(raw.sys, fd, UAPI_GUNYAH_CREATE_VM, 0)));
	raw_expect("dev.open readonly: fd", raw_descriptor(&raw, fd));
}
END_TEST

START_TEST(test_vm)
{
	char name[64] = "";
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", raw.vm);
	ck_assert_int_gt(readlink(path, name, sizeof(name) - 1), 0);
	ck_assert_ptr_nonnull(strstr(name, "gunyah-vm"));
	raw_expect("vm.bad pointer set_user_mem: EFAULT", raw_result(bad_pointer(UAPI_GUNYAH_SET_USER_MEM)));
	raw_expect("vm.bad pointer set_dtb: EFAULT", raw_result(bad_pointer(UAPI_GUNYAH_SET_DTB)));
	raw_expect("vm.bad pointer set_fw: EFAULT", raw_result(bad_pointer(UAPI_GUNYAH_SET_FW)));
	raw_expect("vm.bad pointer add_function: EFAULT", raw_result(bad_pointer(UAPI_GUNYAH_ADD_FUNCTION)));
	raw_expect("vm.bad pointer remove_function: EFAULT", raw_result(bad_pointer(UAPI_GUNYAH_REMOVE_FUNCTION)));
	raw_expect("vm.bad pointer add_function string form: ENOTTY", raw_result(bad_pointer(0x44204704)));
	raw_expect("vm.bad pointer map_mem: ENOTTY", raw_result(bad_pointer(0x40204709)));
	raw_expect("vm.bad pointer set_boot_context: ENOTTY", raw_result(bad_pointer(0x4010470a)));
	raw_expect("vm.bad pointer lend_user_mem: EFAULT", raw_result(bad_pointer(UAPI_GUNYAH_LEND_USER_MEM)));
	raw_expect("vm.bad pointer map_cma: ENOTTY", raw_result(bad_pointer(0x40284115)));
	raw_expect("vm.bad pointer set_auth: ENOTTY", raw_result(bad_pointer(0x40104116)));
	raw_expect("vm.bad pointer check_extension: ENOTTY", raw_result(bad_pointer(UAPI_IO('A', 0x17))));
	raw_expect("vm.bad pointer mmap_size: ENOTTY", raw_result(bad_pointer(UAPI_GUNYAH_MMAP_SIZE)));
	raw_expect("vm.bad pointer unknown 0x4799: ENOTTY", raw_result(bad_pointer(0x4799)));
	raw_expect("vm.bad pointer kvm check_extension: ENOTTY", raw_result(bad_pointer(0xae03)));
	raw_expect("vm.read: EINVAL", raw_result((int)raw.sys->read(raw.sys, raw.vm, path, 1)));
	raw_expect("vm.write: EINVAL", raw_result((int)raw.sys->write(raw.sys, raw.vm, path, 1)));
	raw_expect("vm.lseek: ok", raw_result((int)lseek(raw.vm, 0, SEEK_SET)));
	/* VMs are independent, one after the other and at the same time. */
	raw_expect("vm.second: fd", raw_descriptor(&raw, on_device(UAPI_GUNYAH_CREATE_VM, 0)));
}
END_TEST

static void *map(size_t pages, int prot, int flags)
{
	void *address = mmap(NULL, pages * RAW_PAGE, prot, flags | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(address, MAP_FAILED);
	return address;
}

static void unmap(void *address, size_t pages)
{
	ck_assert_int_eq(munmap(address, pages * RAW_PAGE), 0);
}

/* A region at a place and with a label that no other has. */
static const char *try_share(uint32_t flags, uint64_t size, const void *host)
{
	static uint32_t number = 100;

	number++;
	return raw_result(raw_share(&raw, number, flags, number * 0x1000000ull, size, host));
}

static const char *try_lend(uint32_t flags, uint64_t size, const void *host)
{
	static uint32_t number = 1000;

	number++;
	return raw_result(raw_lend(&raw, number, flags, number * 0x1000000ull, size, host));
}

START_TEST(test_share)
{
	const uint8_t *ram = raw.ram;
	uint64_t gpa = TREE_BASE;

	raw_expect("mem.share bad flag 8: EINVAL", try_share(RAW_RWX | 8, RAW_PAGE, ram));
	raw_expect("mem.share size 1: EINVAL", try_share(RAW_RWX, 1, ram));
	raw_expect("mem.share size page + 1: EINVAL", try_share(RAW_RWX, RAW_PAGE + 1, ram));
	raw_expect("mem.share address + 1: EINVAL", try_share(RAW_RWX, RAW_PAGE, ram + 1));
	raw_expect("mem.share gpa + 1: EINVAL", raw_result(raw_share(&raw, 1, RAW_RWX, gpa + 1, RAW_PAGE, ram)));
	raw_expect("mem.share address 0: EFAULT", try_share(RAW_RWX, RAW_PAGE, NULL));
	raw_expect("mem.share: ok", raw_result(raw_share(&raw, 1, RAW_RWX, gpa, 4 * RAW_PAGE, ram)));
	raw_expect("mem.share duplicate label, other place: EEXIST",
		   raw_result(raw_share(&raw, 1, RAW_RWX, 0x90000000, RAW_PAGE, ram)));
	raw_expect("mem.share duplicate label, size 0: EINVAL", raw_result(raw_share(&raw, 1, RAW_RWX, gpa, 0, ram)));
	raw_expect("mem.share overlap last page: EEXIST",
		   raw_result(raw_share(&raw, 2, RAW_RWX, gpa + 3 * RAW_PAGE, 2 * RAW_PAGE, ram)));
	raw_expect("mem.share overlap around: EEXIST",
		   raw_result(raw_share(&raw, 2, RAW_RWX, gpa - RAW_PAGE, 6 * RAW_PAGE, ram)));
	raw_expect("mem.share adjacent below: ok", raw_result(raw_share(&raw, 2, RAW_RWX, gpa - RAW_PAGE, RAW_PAGE, ram)));
	raw_expect("mem.share adjacent above: ok",
		   raw_result(raw_share(&raw, 3, RAW_RWX, gpa + 4 * RAW_PAGE, RAW_PAGE, ram)));
	raw_expect("mem.share flags 0: ok", try_share(0, RAW_PAGE, ram));
	raw_expect("mem.share flags R: ok", try_share(R, RAW_PAGE, ram));
	raw_expect("mem.share flags W: ok", try_share(W, RAW_PAGE, ram));
	raw_expect("mem.share label 0xffffffff: ok",
		   raw_result(raw_share(&raw, UINT32_MAX, RAW_RWX, 0xa0000000, RAW_PAGE, ram)));
	raw_expect("mem.share gpa 0: ok", raw_result(raw_share(&raw, 4, RAW_RWX, 0, RAW_PAGE, ram)));
	raw_expect("mem.share same host page twice: ok", try_share(RAW_RWX, RAW_PAGE, ram));
	raw_expect("mem.share gpa + size > 2^64: ok",
		   raw_result(raw_share(&raw, 5, RAW_RWX, UINT64_MAX - RAW_PAGE + 1, 2 * RAW_PAGE, ram)));
}
END_TEST

START_TEST(test_share_host_memory)
{
	void *none = map(4, PROT_NONE, MAP_SHARED);
	void *readable = map(4, PROT_READ, MAP_SHARED);
	void *gone = map(4, PROT_READ, MAP_SHARED);
	void *closing = map(4, PROT_READ | PROT_WRITE, MAP_SHARED);
	int memfd = raw.sys->memfd(raw.sys, "test", RAW_PAGE);
	void *beyond = mmap(NULL, 4ul * RAW_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);

	unmap(gone, 4);
	raw_expect("mem.share not mapped: EFAULT", try_share(R, RAW_PAGE, gone));
	raw_expect("mem.share PROT_NONE: EFAULT", try_share(R, RAW_PAGE, none));
	raw_expect("mem.share read-only mapping, R: ok", try_share(R, RAW_PAGE, readable));
	raw_expect("mem.share read-only mapping, RWX: EFAULT", try_share(RAW_RWX, RAW_PAGE, readable));
	raw_expect("mem.share failing: EFAULT", raw_result(raw_share(&raw, 9, R, TREE_BASE, RAW_PAGE, none)));
	raw_expect("mem.share label of a failed one again: ok",
		   raw_result(raw_share(&raw, 9, R, TREE_BASE, RAW_PAGE, readable)));
	raw_expect("mem.share memfd beyond end: EFAULT", try_share(RAW_RWX, 4ul * RAW_PAGE, beyond));
	raw_expect("mem.share memfd: ok", try_share(RAW_RWX, RAW_PAGE, beyond));
	raw_expect("mem.share to be unmapped: ok", try_share(RAW_RWX, 4ul * RAW_PAGE, closing));
	raw_expect("mem.share munmap after: ok", raw_result(munmap(closing, 4ul * RAW_PAGE)));
	unmap(none, 4);
	unmap(readable, 4);
	unmap(beyond, 4);
	(void)raw.sys->close(raw.sys, memfd);
}
END_TEST

START_TEST(test_lend)
{
	const uint8_t *ram = raw.ram;
	uint64_t gpa = TREE_BASE;

	raw_expect("mem.lend bad flag 8: EINVAL", try_lend(RAW_RWX | 8, RAW_PAGE, ram));
	raw_expect("mem.lend size 0: EINVAL", try_lend(RAW_RWX, 0, ram));
	raw_expect("mem.lend size 1: EINVAL", try_lend(RAW_RWX, 1, ram));
	raw_expect("mem.lend size page + 1: EINVAL", try_lend(RAW_RWX, RAW_PAGE + 1, ram));
	raw_expect("mem.lend address 0: EFAULT", try_lend(RAW_RWX, RAW_PAGE, NULL));
	raw_expect("mem.lend: ok", raw_result(raw_lend(&raw, 1, RAW_RWX, gpa, 4 * RAW_PAGE, ram)));
	raw_expect("mem.lend duplicate label, other place: EEXIST",
		   raw_result(raw_lend(&raw, 1, RAW_RWX, 0x90000000, RAW_PAGE, ram)));
	raw_expect("mem.lend duplicate label, size 0: EINVAL", raw_result(raw_lend(&raw, 1, RAW_RWX, gpa, 0, ram)));
	raw_expect("mem.lend overlap first page: EEXIST",
		   raw_result(raw_lend(&raw, 2, RAW_RWX, gpa - RAW_PAGE, 2 * RAW_PAGE, ram)));
	raw_expect("mem.lend overlap inside: EEXIST",
		   raw_result(raw_lend(&raw, 2, RAW_RWX, gpa + RAW_PAGE, RAW_PAGE, ram)));
	raw_expect("mem.lend adjacent above: ok",
		   raw_result(raw_lend(&raw, 2, RAW_RWX, gpa + 4 * RAW_PAGE, RAW_PAGE, ram)));
	raw_expect("mem.lend flags 0: ok", try_lend(0, RAW_PAGE, ram));
	raw_expect("mem.lend flags R: ok", try_lend(R, RAW_PAGE, ram));
	raw_expect("mem.lend flags W: ok", try_lend(W, RAW_PAGE, ram));
	raw_expect("mem.lend label of the other kind: EEXIST",
		   raw_result(raw_share(&raw, 1, RAW_RWX, 0x90000000, RAW_PAGE, ram)));
	raw_expect("mem.lend gpa + size = 2^64: ok",
		   raw_result(raw_lend(&raw, 5, RAW_RWX, UINT64_MAX - RAW_PAGE + 1, RAW_PAGE, ram)));
	ck_assert_ptr_null(gh_sim_breakage(raw.sim));
	raw_expect("mem.lend size 2^64 - page: ENOMEM",
		   raw_result(raw_lend(&raw, 6, RAW_RWX, RAW_DTB, 0 - (uint64_t)RAW_PAGE, ram)));
}
END_TEST

START_TEST(test_lend_host_memory)
{
	void *none = map(4, PROT_NONE, MAP_SHARED);
	void *readable = map(4, PROT_READ, MAP_SHARED);
	void *half = map(4, PROT_READ | PROT_WRITE, MAP_SHARED);
	void *private = map(4, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	void *fresh = map(4, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	int memfd = raw.sys->memfd(raw.sys, "test", 4ul * RAW_PAGE);
	void *file = mmap(NULL, 4ul * RAW_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);

	unmap((uint8_t *)half + 2ul * RAW_PAGE, 2);
	raw_expect("mem.lend not mapped: EFAULT", try_lend(RAW_RWX, RAW_PAGE, (uint8_t *)half + 2ul * RAW_PAGE));
	raw_expect("mem.lend half mapped: EFAULT", try_lend(RAW_RWX, 4ul * RAW_PAGE, half));
	raw_expect("mem.lend PROT_NONE: EFAULT", try_lend(RAW_RWX, RAW_PAGE, none));
	raw_expect("mem.lend read-only mapping, RWX: EFAULT", try_lend(RAW_RWX, RAW_PAGE, readable));
	raw_expect("mem.lend failing: EFAULT", raw_result(raw_lend(&raw, 9, R, TREE_BASE, RAW_PAGE, none)));
	raw_expect("mem.lend label of a failed one again: ok",
		   raw_result(raw_lend(&raw, 9, R, TREE_BASE, RAW_PAGE, readable)));
	memset(private, 1, RAW_PAGE);
	raw_expect("mem.lend private mapping: ok", try_lend(RAW_RWX, RAW_PAGE, private));
	raw_expect("mem.lend private never written, R: ok", try_lend(R, RAW_PAGE, fresh));
	raw_expect("mem.lend memfd: ok", try_lend(RAW_RWX, 4ul * RAW_PAGE, file));
	raw_new_vm(&raw);
	unmap(none, 4);
	unmap(readable, 4);
	unmap(half, 2);
	unmap(private, 4);
	unmap(fresh, 4);
	unmap(file, 4);
	(void)raw.sys->close(raw.sys, memfd);
}
END_TEST

static void *share_in_thread(void *data)
{
	int *ret = data;

	*ret = raw_share(&raw, 1, RAW_RWX, TREE_BASE, RAW_PAGE, raw.ram);
	return NULL;
}

START_TEST(test_other_thread)
{
	pthread_t thread;
	int ret = -1;

	ck_assert_int_eq(pthread_create(&thread, NULL, share_in_thread, &ret), 0);
	pthread_join(thread, NULL);
	raw_expect("mem.from another thread: ok", raw_result(ret));
}
END_TEST

/* Only the process that made the VM may give it memory; it is asked before everything else. */
START_TEST(test_child)
{
	int *results = map(1, PROT_READ | PROT_WRITE, MAP_SHARED);
	pid_t child = fork();
	int status;

	if (child == 0) {
		results[0] = raw_lend(&raw, 1, RAW_RWX, TREE_BASE, RAW_PAGE, raw.ram);
		results[1] = bad_pointer(UAPI_GUNYAH_SET_USER_MEM);
		results[2] = raw_share(&raw, 1, 8, TREE_BASE, RAW_PAGE, raw.ram);
		results[3] = raw_set_dtb(&raw, TREE_BASE, RAW_PAGE);
		results[4] = raw_add_vcpu(&raw, 0);
		results[5] = raw_remove_vcpu(&raw, 0);
		_exit(0);
	}
	ck_assert_int_gt(child, 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	raw_expect("child.lend: EPERM", raw_result(results[0]));
	raw_expect("child.share bad pointer: EPERM", raw_result(results[1]));
	raw_expect("child.share bad flags: EPERM", raw_result(results[2]));
	raw_expect("child.set_dtb: ok", raw_result(results[3]));
	raw_expect("child.add vcpu: fd", results[4] > 0 ? "fd" : raw_result(results[4]));
	raw_expect("child.remove vcpu: ok", raw_result(results[5]));
	unmap(results, 1);
}
END_TEST

static const char *share_pages(uint64_t pages)
{
	return try_share(RAW_RWX, pages * RAW_PAGE, raw.ram);
}

static void memlock_cases(void)
{
	uint8_t *half = map(8, PROT_READ | PROT_WRITE, MAP_SHARED);

	unmap(half + 4ul * RAW_PAGE, 4);
	raw_expect("memlock.limit 16 pages: 17: ENOMEM", share_pages(17));
	raw_expect("memlock.8: ok", share_pages(8));
	raw_expect("memlock.8 + 8: ok", share_pages(8));
	raw_expect("memlock.8 + 8 + 1: ENOMEM", share_pages(1));
	raw_new_vm(&raw);
	/* The old one's memory is given back some time after close() has returned. */
	raw_expect("memlock.16 in a new VM right after close: ENOMEM", share_pages(16));
	raw_expect("memlock.16 in a new VM after close (polled): ok", share_pages(16));
	raw_new_vm(&raw);
	raw_expect("memlock.limit 16 pages in a new VM: 17: ENOMEM", share_pages(17));
	/* Part of what was pinned stays charged for ever. */
	raw_expect("memlock.half mapped 8: EFAULT", try_share(RAW_RWX, 8ul * RAW_PAGE, half));
	raw_expect("memlock.then 16: ENOMEM", share_pages(16));
	raw_expect("memlock.then 12: ok", share_pages(12));
	raw_expect("memlock.then 8: ENOMEM", share_pages(8));
	unmap(half, 4);
}

START_TEST(test_memlock)
{
	struct rlimit old;
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_MEMLOCK, &old), 0);
	limit = old;
	limit.rlim_cur = 16ul * RAW_PAGE;
	raw_lock_capability(false);
	ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
	memlock_cases();
	ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &old), 0);
	raw_lock_capability(true);
}
END_TEST

/* Two VMs of one machine have one limit. */
START_TEST(test_memlock_is_per_process)
{
	struct rlimit old;
	struct rlimit limit;
	int first = raw.vm;

	ck_assert_int_eq(getrlimit(RLIMIT_MEMLOCK, &old), 0);
	limit = old;
	limit.rlim_cur = 16ul * RAW_PAGE;
	raw_lock_capability(false);
	ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
	raw_expect("first VM, 10: ok", share_pages(10));
	raw.vm = on_device(UAPI_GUNYAH_CREATE_VM, 0);
	raw_expect("second VM, 10: ENOMEM", share_pages(10));
	ck_assert_int_eq(raw.sys->close(raw.sys, first), 0);
	raw_expect("second VM right after the first is closed, 10: ENOMEM", share_pages(10));
	raw_expect("second VM after the first is closed, 10: ok", share_pages(10));
	ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &old), 0);
	raw_lock_capability(true);
}
END_TEST

static const char *set_fw(uint64_t gpa, uint64_t size)
{
	struct uapi_gunyah_range range = { gpa, size };

	return raw_result(raw_ioctl(&raw, raw.vm, UAPI_GUNYAH_SET_FW, &range));
}

START_TEST(test_ranges)
{
	raw_expect("dtb.0 0: ok", raw_result(raw_set_dtb(&raw, 0, 0)));
	raw_expect("dtb.sum = 2^64: ok", raw_result(raw_set_dtb(&raw, UINT64_MAX - RAW_PAGE + 1, RAW_PAGE)));
	raw_expect("dtb.sum > 2^64: ok", raw_result(raw_set_dtb(&raw, UINT64_MAX - RAW_PAGE + 1, 2 * RAW_PAGE)));
	raw_expect("dtb.max max: ok", raw_result(raw_set_dtb(&raw, UINT64_MAX, UINT64_MAX)));
	raw_expect("fw.normal: ok", set_fw(TREE_BASE, RAW_PAGE));
	raw_expect("fw.again: ok", set_fw(TREE_BASE, RAW_PAGE));
	raw_expect("fw.sum > 2^64: ok", set_fw(UINT64_MAX - RAW_PAGE + 1, 2 * RAW_PAGE));
}
END_TEST

START_TEST(test_breaking_sizes)
{
	raw_expect("size 2^40 - page: ENOMEM", try_share(R, (1ull << 40) - RAW_PAGE, raw.ram));
	ck_assert_ptr_null(gh_sim_breakage(raw.sim));
	raw_expect("size 2^40: ENOMEM", try_share(R, 1ull << 40, raw.ram));
	ck_assert_ptr_nonnull(gh_sim_breakage(raw.sim));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("gunyah memory");
	TCase *tcase = tcase_create("mem");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, test_device);
	tcase_add_test(tcase, test_vm);
	tcase_add_test(tcase, test_share);
	tcase_add_test(tcase, test_share_host_memory);
	tcase_add_test(tcase, test_lend);
	tcase_add_test(tcase, test_lend_host_memory);
	tcase_add_test(tcase, test_other_thread);
	tcase_add_test(tcase, test_child);
	tcase_add_test(tcase, test_memlock);
	tcase_add_test(tcase, test_memlock_is_per_process);
	tcase_add_test(tcase, test_ranges);
	tcase_add_test(tcase, test_breaking_sizes);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
