/* SPDX-License-Identifier: BSD-3-Clause */
/* The simulated /dev/halla: GenieZone's layouts and rules in other numbers. */
#include "gzvm_rev.h"
#include "uapi/halla.h"

#include <sys/eventfd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void halla_vm(struct rig *rig, const char *script)
{
	rig_device_on(rig, "sim:halla", script);
	rig->vm = rig_ioctl_value(rig, rig->device, UAPI_HALLA_CREATE_VM, 40);
	ck_assert_int_ge(rig->vm, 0);
}

static void halla_open(struct rig *rig, const char *script)
{
	halla_vm(rig, script);
	rig->vcpu = rig_ioctl_value(rig, rig->vm, UAPI_HALLA_CREATE_VCPU, 0);
	ck_assert_int_ge(rig->vcpu, 0);
}

static int halla_run(struct rig *rig)
{
	return rig_ioctl(rig, rig->vcpu, UAPI_HALLA_RUN, &rig->run);
}

/* None of GenieZone's numbers is one here. */
START_TEST(test_other_numbers)
{
	static const unsigned long requests[] = {
		UAPI_GZVM_CREATE_VM,
		UAPI_GZVM_CHECK_EXTENSION,
		UAPI_GZVM_CREATE_VCPU,
		UAPI_GZVM_SET_USER_MEM,
		UAPI_GZVM_IRQ_LINE,
		UAPI_GZVM_IRQFD,
		UAPI_GZVM_IOEVENTFD,
		UAPI_GZVM_ENABLE_CAP,
		UAPI_GZVM_SET_DTB,
		UAPI_GZVM_CREATE_DEVICE,
		UAPI_GZVM_GET_ONE_REG,
		UAPI_GZVM_SET_ONE_REG,
		UAPI_GZVM_RUN,
		0x4c00,
		UAPI_HALLA_CREATE_VM + 4,
		0,
	};
	struct rig rig;

	halla_open(&rig, "");
	for (size_t i = 0; i < COUNT(requests); i++) {
		ck_assert_int_eq(rig_ioctl_value(&rig, rig.device, requests[i], 0), -ENOTTY);
		ck_assert_int_eq(rig_ioctl_value(&rig, rig.vm, requests[i], 0), -ENOTTY);
		ck_assert_int_eq(rig_ioctl_value(&rig, rig.vcpu, requests[i], 0), -ENOTTY);
	}
	/* And none of its own is one of another descriptor's. */
	ck_assert_int_eq(rig_ioctl_value(&rig, rig.device, UAPI_HALLA_RUN, 0), -ENOTTY);
	ck_assert_int_eq(rig_ioctl_value(&rig, rig.vm, UAPI_HALLA_CREATE_VM, 0), -ENOTTY);
	ck_assert_int_eq(rig_ioctl_value(&rig, rig.vcpu, UAPI_HALLA_IRQFD, 0), -ENOTTY);
	rig_close_broken(&rig, false);
}
END_TEST

START_TEST(test_device)
{
	static const struct {
		uint64_t type;
		const char *result;
	} types[] = {
		{ 0, "fd" },
		{ 32, "fd" },
		{ 40, "fd" },
		{ 48, "fd" },
		{ 0x80000028, "fd" },
		{ 0x80000000, "fd" },
		{ 1, "EINVAL" },
		{ 31, "EINVAL" },
		{ 49, "EINVAL" },
		{ 0x128, "EINVAL" },
		{ 0x180000028, "EINVAL" },
		{ 0xff, "EINVAL" },
		{ 0x40000000, "EINVAL" },
	};
	uint64_t cap = UAPI_HALLA_CAP_PROTECTED_VM;
	struct rig rig;

	rig_device_on(&rig, "sim:halla/exynos", "");
	ck_assert_str_eq(gh_sim_device_path(rig.sim), "/dev/halla");
	ck_assert_int_eq(rig_ioctl(&rig, rig.device, UAPI_HALLA_CHECK_EXTENSION, &cap), 0);
	ck_assert_uint_eq(cap, 1);
	cap = UAPI_HALLA_CAP_GPA_SIZE;
	ck_assert_int_eq(rig_ioctl(&rig, rig.device, UAPI_HALLA_CHECK_EXTENSION, &cap), 0);
	ck_assert_uint_eq(cap, 48);
	cap = UAPI_GZVM_CAP_GPA_SIZE;
	ck_assert_int_eq(rig_ioctl(&rig, rig.device, UAPI_HALLA_CHECK_EXTENSION, &cap), -EOPNOTSUPP);
	for (size_t i = 0; i < COUNT(types); i++) {
		int fd = rig_ioctl_value(&rig, rig.device, UAPI_HALLA_CREATE_VM, types[i].type);

		ck_assert_msg(strcmp(word(fd, true), types[i].result) == 0, "type 0x%llx: %s",
			      (unsigned long long)types[i].type, word(fd, true));
		rig_close_fd(&rig, &fd);
	}
	rig_close_broken(&rig, false);
}
END_TEST

START_TEST(test_vm)
{
	static const struct uapi_gzvm_range range = { 0x80000000, 0x200000 };
	struct uapi_gzvm_enable_cap cap = { UAPI_HALLA_CAP_PROTECTED_VM, { UAPI_GZVM_PVM_GET_FW_SIZE } };
	struct uapi_gzvm_create_device device = { .type = UAPI_GZVM_DEV_VGIC_DIST, .gpa = 0x3fff0000 };
	struct uapi_gzvm_region region = { 10, 0, 0x80000000, 2 * PAGE, 0 };
	void *memory = guest_memory(2 * PAGE);
	struct rig rig;

	halla_vm(&rig, "");
	ck_assert_int_eq(rig_ioctl(&rig, rig.vm, UAPI_HALLA_SET_DTB, &range), 0);
	ck_assert_int_eq(rig_ioctl(&rig, rig.vm, UAPI_HALLA_ENABLE_CAP, &cap), 0);
	ck_assert_uint_ne(cap.args[1], 0);
	cap.cap = UAPI_GZVM_CAP_PROTECTED_VM;
	ck_assert_int_eq(rig_ioctl(&rig, rig.vm, UAPI_HALLA_ENABLE_CAP, &cap), -EINVAL);
	cap.cap = UAPI_GZVM_CAP_BLOCK_DEMAND_PAGING;
	ck_assert_int_eq(rig_ioctl(&rig, rig.vm, UAPI_HALLA_ENABLE_CAP, &cap), -EINVAL);
	ck_assert_int_eq(rig_ioctl(&rig, rig.vm, UAPI_HALLA_CREATE_DEVICE, &device), 0);
	ck_assert_int_eq(rig_ioctl(&rig, rig.vm, UAPI_HALLA_SET_USER_MEM, &region), -EINVAL);
	region.slot = 9;
	region.host = (uintptr_t)memory;
	ck_assert_int_eq(rig_ioctl(&rig, rig.vm, UAPI_HALLA_SET_USER_MEM, &region), 0);
	/* Ten vCPUs, not eight. */
	for (uint64_t id = 0; id < 10; id++) {
		int fd = rig_ioctl_value(&rig, rig.vm, UAPI_HALLA_CREATE_VCPU, id);

		ck_assert_int_ge(fd, 0);
		rig_close_fd(&rig, &fd);
	}
	ck_assert_int_eq(rig_ioctl_value(&rig, rig.vm, UAPI_HALLA_CREATE_VCPU, 10), -EINVAL);
	rig_close_broken(&rig, false);
	guarded_free(memory, 2 * PAGE);
}
END_TEST

START_TEST(test_events)
{
	const struct uapi_gzvm_irq_level line = { UAPI_GZVM_IRQ_TYPE_SPI | 5, 1 };
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct uapi_gzvm_ioeventfd bell = { .gpa = 0x4000, .width = 4, .fd = fd };
	struct uapi_gzvm_irqfd irqfd = { .fd = (uint32_t)fd, .gsi = 6 };
	eventfd_t count = 0;
	struct rig rig;

	halla_open(&rig, "store 0x4000 4 1; ack; echo 0x1000 4; wfi; ack; echo 0x1000 4");
	ck_assert_int_eq(rig_ioctl(&rig, rig.vm, UAPI_HALLA_IOEVENTFD, &bell), 0);
	ck_assert_int_eq(rig_ioctl(&rig, rig.vm, UAPI_HALLA_IOEVENTFD, &bell), -EEXIST);
	ck_assert_int_eq(rig_ioctl(&rig, rig.vm, UAPI_HALLA_IRQ_LINE, &line), 0);
	ck_assert_int_eq(halla_run(&rig), 0);
	ck_assert_uint_eq(rig.run.u.mmio.data[0], 37);
	ck_assert_int_eq(eventfd_read(fd, &count), 0);
	ck_assert_int_eq(rig_ioctl(&rig, rig.vm, UAPI_HALLA_IRQFD, &irqfd), 0);
	ck_assert_int_eq(eventfd_write(fd, 1), 0);
	ck_assert_int_eq(halla_run(&rig), 0);
	ck_assert_uint_eq(rig.run.u.mmio.data[0], 38);
	irqfd.padding[0] = 1;
	ck_assert_int_eq(rig_ioctl(&rig, rig.vm, UAPI_HALLA_IRQFD, &irqfd), -EINVAL);
	rig_close_broken(&rig, false);
	(void)close(fd);
}
END_TEST

/* What the guest does, and the code and first word that user space sees. */
static const struct {
	const char *script;
	uint32_t code;
	uint64_t word;
} exits[] = {
	{ "store 0x1000 4 1", 0x484c0001, 0x1000 },
	{ "load 0x2000 4", 0x484c0001, 0x2000 },
	{ "raw exit UNKNOWN raw0=5", 0x484c0000, 5 },
	{ "raw exit IRQ; store 0x1000 4 1", 0x484c0001, 0x1000 },
	{ "raw exit EXCEPTION exc=1 err=2 gpa=0x70000000", 0x484c0003, UINT64_C(0x200000001) },
	{ "raw exit INTERNAL type=7", 0x484c0004, 7 },
	{ "off", 0x484c0005, 1 },
	{ "reset", 0x484c0005, 2 },
	{ "crash", 0x484c0005, 3 },
	{ "raw exit SHUTDOWN raw0=5", 0x484c0006, 5 },
	{ "raw exit IDLE raw0=5", 0x484c0007, 5 },
	{ "raw exit IPI raw0=5", 0x484c0008, 5 },
	{ "raw exit 0x484c0008 raw0=6", 0x484c0008, 6 },
	{ "raw exit 0x484c0009 raw0=5", 0x484c0009, 5 },
	/* There are no such exits: an entry that failed, which is an internal error. */
	{ "raw exit HYPERCALL a0=1", 0x484c0004, EINVAL },
	{ "raw exit FAIL_ENTRY reason=3", 0x484c0004, EINVAL },
	/* Nor does a hypercall reach anybody. */
	{ "hvc 0xc6000001 2; expect 0xffffffffffffffff; store 0x1000 4 1", 0x484c0001, 0x1000 },
};

START_TEST(test_exits)
{
	struct rig rig;

	halla_open(&rig, exits[_i].script);
	ck_assert_int_eq(halla_run(&rig), 0);
	ck_assert_uint_eq(rig.run.exit_reason, exits[_i].code);
	ck_assert_uint_eq(raw_of(&rig.run), exits[_i].word);
	rig_close_broken(&rig, false);
}
END_TEST

START_TEST(test_run)
{
	uint64_t pc = 0x80000000;
	const struct uapi_gzvm_one_reg reg = { UAPI_GZVM_REG_PC, (uintptr_t)&pc };
	struct rig rig;

	halla_open(&rig, "register pc; echo 0x1000 8; load 0x2000 4; echo 0x1000 4");
	ck_assert_int_eq(rig_ioctl(&rig, rig.vcpu, UAPI_HALLA_SET_ONE_REG, &reg), 0);
	ck_assert_int_eq(rig_ioctl(&rig, rig.vcpu, UAPI_HALLA_GET_ONE_REG, &reg), -EOPNOTSUPP);
	rig.run.padding[0] = 1;
	ck_assert_int_eq(halla_run(&rig), -EINVAL);
	rig.run.padding[0] = 0;
	rig.run.immediate_exit = 1;
	ck_assert_int_eq(halla_run(&rig), -EINTR);
	rig.run.immediate_exit = 0;
	ck_assert_int_eq(halla_run(&rig), 0);
	ck_assert_uint_eq(data_of(&rig.run), pc);
	ck_assert_int_eq(halla_run(&rig), 0);
	memcpy(rig.run.u.mmio.data, "\x2a\0\0\0", 4);
	ck_assert_int_eq(halla_run(&rig), 0);
	ck_assert_uint_eq(rig.run.u.mmio.data[0], 42);
	/* A VM that ends before its vCPU is as dangerous as GenieZone's. */
	rig_close_fd(&rig, &rig.vm);
	rig_close_broken(&rig, true);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("halla");
	TCase *tcase = tcase_create("halla");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, test_other_numbers);
	tcase_add_test(tcase, test_device);
	tcase_add_test(tcase, test_vm);
	tcase_add_test(tcase, test_events);
	tcase_add_loop_test(tcase, test_exits, 0, (int)COUNT(exits));
	tcase_add_test(tcase, test_run);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
