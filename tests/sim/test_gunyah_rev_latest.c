/* SPDX-License-Identifier: BSD-3-Clause */
/* The simulated Gunyah device: what android16-6.12 and the latest Android kernel have besides paging. */
#include "rev.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB 0x100000ull
#define AREA (64 * MIB) /* of the simulated platform */
#define RWX (UAPI_GUNYAH_CMA_READ | UAPI_GUNYAH_CMA_WRITE | UAPI_GUNYAH_CMA_EXEC)
#define LEND UAPI_GUNYAH_CMA_FORCE_LEND

static struct raw raw;
static const struct rev_boot plain = { .share = false };
static const char *const revisions[] = { "android16-6.12", "android-latest" };

static int open_area(const char *path)
{
	return raw.sys->open(raw.sys, path, O_RDWR);
}

static int create(int device)
{
	return raw.sys->ioctl(raw.sys, device, UAPI_GUNYAH_CREATE_CMA_MEM, 0);
}

static void shut(int fd)
{
	ck_assert_int_eq(raw.sys->close(raw.sys, fd), 0);
}

static int map_area(int fd, uint64_t size, uint8_t **ret_memory)
{
	void *memory;
	int ret = raw.sys->mmap(raw.sys, NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, &memory);

	if (ret == 0)
		*ret_memory = memory;
	return ret;
}

static const char *map(uint32_t flags, uint64_t gpa, int fd, uint64_t offset, uint64_t size)
{
	struct uapi_gunyah_map_cma args = { 7, 0, gpa, flags, (uint32_t)fd, offset, size };

	return raw_result(raw_ioctl(&raw, raw.vm, UAPI_GUNYAH_MAP_CMA, &args));
}

START_TEST(test_devices)
{
	uint8_t *memory;
	int device;
	int other;
	int fd;

	rev_open(&raw, "android15-6.6", "");
	raw_expect("area.before 6.12: ENOENT", raw_result(open_area("/dev/trustedvm_cma")));
	raw_close(&raw);
	rev_open(&raw, revisions[_i], "");
	device = open_area("/dev/trustedvm_cma");
	ck_assert_int_ge(device, 0);
	other = open_area("/dev/oemvm_cma");
	ck_assert_int_ge(other, 0);
	raw_expect("area.CREATE_VM: ENOTTY", raw_result(raw.sys->ioctl(raw.sys, device, UAPI_GUNYAH_CREATE_VM, 0)));
	raw_expect("area.file: fd", raw_descriptor(&raw, create(device)));
	fd = create(device);
	ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	raw_expect("area.too long: EINVAL", raw_result(map_area(fd, AREA + RAW_PAGE, &memory)));
	raw_expect("area.mapping: ok", raw_result(map_area(fd, MIB, &memory)));
	memory[0] = 1;
	raw_expect("area.second mapping: EINVAL", raw_result(map_area(fd, MIB, &memory)));
	raw_expect("area.another file: EBUSY", raw_result(create(device)));
	raw_expect("area.another area: fd", raw_descriptor(&raw, create(other)));
	shut(fd);
	raw_expect("area.the mapping holds it: EBUSY", raw_result(create(device)));
	ck_assert_int_eq(raw.sys->munmap(raw.sys, memory, MIB), 0);
	raw_expect("area.free again: fd", raw_descriptor(&raw, create(device)));
	shut(device);
	shut(other);
	raw_close(&raw);
}
END_TEST

START_TEST(test_map_arguments)
{
	int device;
	int fd;

	rev_open(&raw, revisions[_i], "");
	device = open_area("/dev/trustedvm_cma");
	fd = create(device);
	raw_expect("cma.size 0: EINVAL", map(RWX, TREE_BASE, fd, 0, 0));
	raw_expect("cma.unaligned size: EINVAL", map(RWX, TREE_BASE, fd, 0, MIB + 1));
	raw_expect("cma.unaligned address: EINVAL", map(RWX, TREE_BASE + 1, fd, 0, MIB));
	raw_expect("cma.beyond the end: EOVERFLOW", map(RWX, UINT64_MAX - RAW_PAGE + 1, fd, 0, MIB));
	raw_expect("cma.fd -1: EBADF", map(RWX, TREE_BASE, -1, 0, MIB));
	raw_expect("cma.more than it has: EOVERFLOW", map(RWX, TREE_BASE, fd, AREA, MIB));
	raw_expect("cma.offset wraps: EOVERFLOW", map(RWX, TREE_BASE, fd, UINT64_MAX - RAW_PAGE + 1, MIB));
	raw_expect("cma.map: ok", map(RWX | LEND, TREE_BASE, fd, 0, MIB));
	raw_expect("cma.overlap: EEXIST", map(RWX, TREE_BASE, fd, MIB, MIB));
	raw_expect("cma.overlap of the other kind: EEXIST",
		   raw_result(raw_share(&raw, 1, RAW_RWX, TREE_BASE, RAW_PAGE, raw.ram)));
	shut(fd);
	shut(device);
	raw_close(&raw);
}
END_TEST

/* A VM in contiguous memory; and START with what is no such memory, or has never been mapped. */
START_TEST(test_boot)
{
	int device;
	int fd;
	uint8_t *memory;

	rev_open(&raw, revisions[_i], "peek 0x80000000 4; echo 0x7000 4; poke 0x80000000 4 0x66; load 0x6000 8");
	device = open_area("/dev/oemvm_cma");
	fd = create(device);
	rev_make_vcpu(&raw, 0);
	ck_assert_str_eq(map(RWX | LEND, TREE_BASE, fd, 0, RAW_RAM_SIZE), "ok");
	ck_assert_int_eq(raw_set_dtb(&raw, TREE_BASE + RAW_DTB, TREE_ROOM), 0);
	raw_expect("boot.never mapped: EINVAL", raw_result(raw_start(&raw)));
	raw_new_vm(&raw);
	rev_make_vcpu(&raw, 0);
	ck_assert_int_eq(map_area(fd, RAW_RAM_SIZE, &memory), 0);
	memory[0] = 0x55;
	ck_assert_uint_gt(tree_build(&plain.tree, memory + RAW_DTB, RAW_RAM_SIZE - RAW_DTB), 0);
	ck_assert_str_eq(map(RWX | LEND, TREE_BASE, fd, 0, RAW_RAM_SIZE), "ok");
	ck_assert_int_eq(raw_set_dtb(&raw, TREE_BASE + RAW_DTB, TREE_ROOM), 0);
	raw_expect("boot.START: ok", raw_result(raw_start(&raw)));
	raw_expect("boot.guest sees: store 0x7000 len 4 value 0x55", raw_run(&raw, 0));
	raw_expect("boot.guest stores: idle", raw_run(&raw, 0));
	ck_assert_uint_eq(memory[0], 0x66);
	raw_new_vm(&raw);
	rev_configure(&raw, &plain);
	ck_assert_str_eq(map(RWX, TREE_BASE + 0x10000000, device, 0, 0), "EINVAL");
	ck_assert_int_eq(raw.sys->munmap(raw.sys, memory, RAW_RAM_SIZE), 0);
	shut(fd);
	fd = raw.sys->memfd(raw.sys, "any", MIB);
	raw_expect("boot.any file: ok", map(RWX, TREE_BASE + 0x10000000, fd, 0, MIB));
	raw_expect("boot.START with it: EINVAL", raw_result(raw_start(&raw)));
	shut(fd);
	shut(device);
	raw_close(&raw);
}
END_TEST

static const char *authenticate(uint32_t type, uint32_t size, const void *argument)
{
	struct uapi_gunyah_auth auth = { type, size, (uintptr_t)argument };

	return raw_result(raw_ioctl(&raw, raw.vm, UAPI_GUNYAH_SET_AUTH, &auth));
}

START_TEST(test_auth)
{
	struct uapi_gunyah_auth_trusted_vm trusted = { .vm_id = 45, .gpa = UINT64_MAX, .size = 2 };

	rev_open(&raw, revisions[_i], "");
	raw_expect("auth.bad pointer: EFAULT", raw_result(raw.sys->ioctl(raw.sys, raw.vm, UAPI_GUNYAH_SET_AUTH, 8)));
	raw_expect("auth.type 0: ENOENT", authenticate(0, sizeof(trusted), &trusted));
	raw_expect("auth.type 2: ENOENT", authenticate(2, sizeof(trusted), &trusted));
	raw_expect("auth.size 25: EINVAL", authenticate(1, 25, &trusted));
	raw_expect("auth.bad argument: EFAULT", authenticate(1, sizeof(trusted), (const void *)(uintptr_t)8));
	raw_expect("auth.overflow: EOVERFLOW", authenticate(1, sizeof(trusted), &trusted));
	trusted.gpa = TREE_BASE;
	raw_expect("auth.trusted VM: ok", authenticate(1, sizeof(trusted), &trusted));
	/* Nobody has signed this one. */
	raw_expect("auth.START: EPERM", raw_result(rev_boot(&raw, &plain)));
	raw_close(&raw);
}
END_TEST

START_TEST(test_extensions)
{
	rev_open(&raw, "android-latest", "");
	ck_assert_int_eq(raw.sys->ioctl(raw.sys, raw.vm, UAPI_GUNYAH_CHECK_EXTENSION, UAPI_GUNYAH_CAP_TIMER_WAKEUP), 1);
	ck_assert_int_eq(raw.sys->ioctl(raw.sys, raw.vm, UAPI_GUNYAH_CHECK_EXTENSION, 1), 0);
	ck_assert_int_eq(raw.sys->ioctl(raw.sys, raw.vm, UAPI_GUNYAH_CHECK_EXTENSION, UINT32_MAX), 0);
	raw_close(&raw);
}
END_TEST

/* Duplicates are taken, and never work: neither now nor when the first one has gone. */
START_TEST(test_duplicates)
{
	static const struct tree_bell bell = { .label = 5, .spi = 9, .flags = 1 };
	const struct rev_boot with_bell = { .tree = { .bells = &bell, .bell_count = 1 } };
	int fds[2];
	int second;

	rev_open(&raw, "android-latest", "load 0x6000 8; wfi; ack; echo 0x7000 4; load 0x6000 8");
	for (int i = 0; i < 2; i++)
		fds[i] = raw_eventfd(&raw);
	rev_make_vcpu(&raw, 0);
	second = rev_add_vcpu(&raw, 0);
	raw_expect("twice.first irqfd: ok", raw_result(raw_add_irqfd(&raw, fds[0], 5, 0)));
	raw_expect("twice.second irqfd: ok", raw_result(raw_add_irqfd(&raw, fds[1], 5, 0)));
	ck_assert_int_ge(second, 0);
	ck_assert_int_eq(rev_boot(&raw, &with_bell), 0);
	raw_expect("twice.second vCPU: ENODEV", raw_result(raw.sys->ioctl(raw.sys, second, UAPI_GUNYAH_RUN, 0)));
	raw_expect("twice.first vCPU: idle", raw_run(&raw, 0));
	(void)raw_signal(&raw, fds[1]);
	(void)raw_signal(&raw, fds[0]);
	raw_expect("twice.one interrupt: store 0x7000 len 4 value 0x29", raw_run(&raw, 0));
	raw_expect("twice.remove: ok", raw_result(raw_remove_vcpu(&raw, 0)));
	raw_expect("twice.remove again: ENOENT", raw_result(raw_remove_vcpu(&raw, 0)));
	raw_expect("twice.second vCPU after that: ENODEV", raw_result(raw.sys->ioctl(raw.sys, second, UAPI_GUNYAH_RUN, 0)));
	raw_expect("twice.remove irqfds: ok", raw_result(raw_remove_irqfd(&raw, 5)));
	raw_expect("twice.remove irqfds again: ENOENT", raw_result(raw_remove_irqfd(&raw, 5)));
	ck_assert_ptr_null(gh_sim_breakage(raw.sim));
	shut(second);
	for (int i = 0; i < 2; i++)
		shut(fds[i]);
	raw_close(&raw);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("latest gunyah revisions");
	TCase *tcase = tcase_create("latest");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, test_devices, 0, 2);
	tcase_add_loop_test(tcase, test_map_arguments, 0, 2);
	tcase_add_loop_test(tcase, test_boot, 0, 2);
	tcase_add_loop_test(tcase, test_auth, 0, 2);
	tcase_add_test(tcase, test_extensions);
	tcase_add_test(tcase, test_duplicates);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
