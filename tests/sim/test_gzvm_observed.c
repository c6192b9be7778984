/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The simulated /dev/gzvm against the real driver: requests on the device, the VM and its parts.
 *
 * Every line was observed on the driver of Android's 6.1 kernel, over a stand-in for the hypervisor. Names are those of the
 * observation; "hyp-error-N" means that the hypervisor's call returned N, which here a line of the script asks for.
 */
#include "gzvm_rig.h"

#include <fcntl.h>

static const struct line device_lines[] = {
	{ "dev.get-api-version", "ENOTTY" },
	{ "dev.run-on-dev", "ENOTTY" },
	{ "dev.create-vm-wrong-size-word", "ENOTTY" },
	{ "dev.create-vm-upper-cmd-bits", "EINVAL" },
	{ "dev.check-ext.bad-pointer", "EFAULT" },
	{ "dev.check-ext.by-value-0xa5", "EFAULT" },
	{ "dev.check-ext.0xffbadab1", "0 value=1" },
	{ "dev.check-ext.0xa5", "0 value=48" },
	{ "dev.check-ext.0x9201", "EOPNOTSUPP value-untouched" },
	{ "dev.check-ext.0x9202", "EOPNOTSUPP value-untouched" },
	{ "dev.check-ext.0x0", "EOPNOTSUPP value-untouched" },
	{ "dev.check-ext.0x1ffbadab1", "EOPNOTSUPP value-untouched" },
	{ "dev.check-ext.0x1000000a5", "EOPNOTSUPP value-untouched" },
	{ "dev.check-ext.word-crosses-into-hole", "EFAULT" },
	{ "dev.check-ext.unaligned-word", "0" },
	{ "dev.create-vm.hyp-error--5", "ENOMEM" },
	{ "dev.create-vm.hyp-error--8", "EINVAL" },
	{ "dev.create-vm.hyp-error--40", "EFAULT" },
	{ "dev.create-vm.name", "anon_inode:gzvm-vm" },
	{ "dev.create-vm.cloexec", "1 accmode: 2" },
	{ "vm.read", "EINVAL" },
	{ "vm.write", "EINVAL" },
	{ "vm.lseek", "0" },
	{ "dev.create-vm.twenty", "ok" },
	{ "dev.create-vm-on-read-only-open", "fd" },
};

static void check_extension(struct rig *rig, struct seen *seen, const char *name, uint64_t cap)
{
	uint64_t value = cap;
	int ret = rig_ioctl(rig, rig->device, UAPI_GZVM_CHECK_EXTENSION, &value);

	if (ret == 0)
		saw(seen, name, "0 value=%llu", (unsigned long long)value);
	else
		saw(seen, name, "%s %s", word(ret, false), value == cap ? "value-untouched" : "value-changed");
}

static void check_extension_pointers(struct rig *rig, struct seen *seen)
{
	uint8_t *page = guest_memory(PAGE);
	uint64_t cap = UAPI_GZVM_CAP_GPA_SIZE;
	int ret = rig_ioctl_value(rig, rig->device, UAPI_GZVM_CHECK_EXTENSION, 0);

	ck_assert_int_eq(ret, -EINVAL);
	saw(seen, "dev.check-ext.bad-pointer", "%s",
	    word(rig_ioctl_value(rig, rig->device, UAPI_GZVM_CHECK_EXTENSION, 64), false));
	saw(seen, "dev.check-ext.by-value-0xa5", "%s",
	    word(rig_ioctl_value(rig, rig->device, UAPI_GZVM_CHECK_EXTENSION, 0xa5), false));
	memcpy(page + 1, &cap, sizeof(cap));
	saw(seen, "dev.check-ext.unaligned-word", "%s",
	    word(rig_ioctl(rig, rig->device, UAPI_GZVM_CHECK_EXTENSION, page + 1), false));
	saw(seen, "dev.check-ext.word-crosses-into-hole", "%s",
	    word(rig_ioctl(rig, rig->device, UAPI_GZVM_CHECK_EXTENSION, page + PAGE - 4), false));
	guarded_free(page, PAGE);
}

/* A simulated file is a memory file of the same name. */
static const char *file_name(int fd)
{
	static char name[80];
	char path[32];
	char link[64];
	ssize_t length;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	length = readlink(path, link, sizeof(link) - 1);
	ck_assert_int_gt((int)length, 7);
	link[length] = '\0';
	ck_assert_int_eq(strncmp(link, "/memfd:", 7), 0);
	link[7 + strcspn(link + 7, " ")] = '\0';
	(void)snprintf(name, sizeof(name), "anon_inode:%s", link + 7);
	return name;
}

static int cloexec(int fd)
{
	return fcntl(fd, F_GETFD) & FD_CLOEXEC;
}

static int accmode(int fd)
{
	return fcntl(fd, F_GETFL) & O_ACCMODE;
}

static void twenty_vms(struct rig *rig, struct seen *seen)
{
	int vms[20];
	bool ok = true;

	for (int i = 0; i < 20; i++) {
		vms[i] = rig_ioctl_value(rig, rig->device, UAPI_GZVM_CREATE_VM, 0);
		ok = ok && vms[i] >= 0;
	}
	for (int i = 0; i < 20; i++)
		rig_close_fd(rig, &vms[i]);
	saw(seen, "dev.create-vm.twenty", "%s", ok ? "ok" : "failed");
}

START_TEST(test_device)
{
	struct seen seen = SEEN(device_lines);
	struct rig rig;
	char byte = 0;
	int fd;

	rig_device(&rig, "#! fail create-vm -5 -8 -40\n");
	saw(&seen, "dev.get-api-version", "%s",
	    word(rig_ioctl_value(&rig, rig.device, UAPI_GZVM_GET_API_VERSION, 0), false));
	saw(&seen, "dev.run-on-dev", "%s", word(rig_ioctl(&rig, rig.device, UAPI_GZVM_RUN, &rig.run), false));
	saw(&seen, "dev.create-vm-wrong-size-word", "%s", word(rig_ioctl_value(&rig, rig.device, 0x40089201, 0), false));
	check_extension(&rig, &seen, "dev.check-ext.0xffbadab1", 0xffbadab1);
	check_extension(&rig, &seen, "dev.check-ext.0xa5", 0xa5);
	check_extension(&rig, &seen, "dev.check-ext.0x9201", 0x9201);
	check_extension(&rig, &seen, "dev.check-ext.0x9202", 0x9202);
	check_extension(&rig, &seen, "dev.check-ext.0x0", 0);
	check_extension(&rig, &seen, "dev.check-ext.0x1ffbadab1", 0x1ffbadab1);
	check_extension(&rig, &seen, "dev.check-ext.0x1000000a5", 0x1000000a5);
	check_extension_pointers(&rig, &seen);
	saw(&seen, "dev.create-vm.hyp-error--5", "%s",
	    word(rig_ioctl_value(&rig, rig.device, UAPI_GZVM_CREATE_VM, 0), true));
	saw(&seen, "dev.create-vm.hyp-error--8", "%s",
	    word(rig_ioctl_value(&rig, rig.device, UAPI_GZVM_CREATE_VM, 0), true));
	saw(&seen, "dev.create-vm.hyp-error--40", "%s",
	    word(rig_ioctl_value(&rig, rig.device, UAPI_GZVM_CREATE_VM, 0), true));
	/* The upper half of the request does not count; the type of VM does. */
	saw(&seen, "dev.create-vm-upper-cmd-bits", "%s",
	    word(rig_ioctl_value(&rig, rig.device, 0x100000000ul | UAPI_GZVM_CREATE_VM, 1), true));
	rig.vm = rig_ioctl_value(&rig, rig.device, UAPI_GZVM_CREATE_VM, 0);
	ck_assert_int_ge(rig.vm, 0);
	saw(&seen, "dev.create-vm.name", "%s", file_name(rig.vm));
	saw(&seen, "dev.create-vm.cloexec", "%d accmode: %d", cloexec(rig.vm), accmode(rig.vm));
	saw(&seen, "vm.read", "%s", word((int)rig.sys->read(rig.sys, rig.vm, &byte, 1), false));
	saw(&seen, "vm.write", "%s", word((int)rig.sys->write(rig.sys, rig.vm, &byte, 1), false));
	saw(&seen, "vm.lseek", "%d", (int)lseek(rig.vm, 0, SEEK_SET));
	rig_close_fd(&rig, &rig.vm);
	twenty_vms(&rig, &seen);
	rig_close_fd(&rig, &rig.device);
	rig.device = rig.sys->open(rig.sys, UAPI_GZVM_DEVICE, O_RDONLY);
	/* A new open of the device: the errors of the script come again. */
	for (int i = 0; i < 3; i++)
		ck_assert_int_lt(rig_ioctl_value(&rig, rig.device, UAPI_GZVM_CREATE_VM, 0), 0);
	fd = rig_ioctl_value(&rig, rig.device, UAPI_GZVM_CREATE_VM, 0);
	saw(&seen, "dev.create-vm-on-read-only-open", "%s", word(fd, true));
	rig_close_fd(&rig, &fd);
	rig_close(&rig);
	all_seen(&seen);
}
END_TEST

static const struct line vm_lines[] = {
	{ "vm.null-arg.api-version", "ENOTTY" },
	{ "vm.null-arg.set-memory-region-old", "ENOTTY" },
	{ "vm.null-arg.create-irqchip", "ENOTTY" },
	{ "vm.null-arg.run", "ENOTTY" },
	{ "vm.null-arg.set-one-reg", "ENOTTY" },
	{ "vm.null-arg.check-ext", "EFAULT" },
	{ "vm.null-arg.irq-line", "EFAULT" },
	{ "vm.null-arg.ioeventfd", "EFAULT" },
	{ "vm.null-arg.create-device", "EFAULT" },
	{ "vm.null-arg.set-dtb-config", "EFAULT" },
	{ "vm.check-ext.0xa5", "0" },
	{ "vm.check-ext.0xa5.value", "48" },
	{ "vm.check-ext.pvm-on-plain-vm.value", "1" },
};

START_TEST(test_vm)
{
	static const struct {
		const char *name;
		unsigned long request;
	} requests[] = {
		{ "vm.null-arg.api-version", UAPI_GZVM_GET_API_VERSION },
		{ "vm.null-arg.set-memory-region-old", 0x40189240 },
		{ "vm.null-arg.create-irqchip", 0x9260 },
		{ "vm.null-arg.run", UAPI_GZVM_RUN },
		{ "vm.null-arg.set-one-reg", UAPI_GZVM_SET_ONE_REG },
		{ "vm.null-arg.check-ext", UAPI_GZVM_CHECK_EXTENSION },
		{ "vm.null-arg.irq-line", UAPI_GZVM_IRQ_LINE },
		{ "vm.null-arg.ioeventfd", UAPI_GZVM_IOEVENTFD },
		{ "vm.null-arg.create-device", UAPI_GZVM_CREATE_DEVICE },
		{ "vm.null-arg.set-dtb-config", UAPI_GZVM_SET_DTB },
	};
	struct seen seen = SEEN(vm_lines);
	struct rig rig;
	uint64_t value = 0xa5;
	int ret;

	rig_vm(&rig, "");
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		ret = rig_ioctl_value(&rig, rig.vm, requests[i].request, 0);
		saw(&seen, requests[i].name, "%s", word(ret, false));
	}
	ret = rig_ioctl(&rig, rig.vm, UAPI_GZVM_CHECK_EXTENSION, &value);
	saw(&seen, "vm.check-ext.0xa5", "%s", word(ret, false));
	saw(&seen, "vm.check-ext.0xa5.value", "%llu", (unsigned long long)value);
	value = UAPI_GZVM_CAP_PROTECTED_VM;
	ck_assert_int_eq(rig_ioctl(&rig, rig.vm, UAPI_GZVM_CHECK_EXTENSION, &value), 0);
	saw(&seen, "vm.check-ext.pvm-on-plain-vm.value", "%llu", (unsigned long long)value);
	rig_close(&rig);
	all_seen(&seen);
}
END_TEST

static const struct line vcpu_lines[] = {
	{ "vcpu.name", "anon_inode:gzvm-vcpu:0 cloexec=1 accmode=2" },
	{ "vcpu.duplicate-id(hyp-refuses)", "EINVAL" },
	{ "vcpu.read", "EINVAL" },
	{ "vcpu.mmap", "ENODEV" },
	{ "vcpu.unknown-ioctl", "ENOTTY" },
	{ "vcpu.irq-line", "ENOTTY" },
	{ "vcpu.id-7-before-1", "fd" },
	{ "vcpu.id-ffffffff", "EINVAL" },
	{ "vcpu.id-2^32+1(truncated)", "fd" },
	{ "vcpu.id-1-after-that", "EINVAL" },
	{ "vcpu.hyp-no-memory", "ENOMEM" },
	{ "vcpu.eight", "ok" },
	{ "close.vcpu-fd-then-create-other-id", "fd" },
	{ "close.vm-without-anything", "0" },
};

static int create_vcpu(struct rig *rig, uint64_t id)
{
	return rig_ioctl_value(rig, rig->vm, UAPI_GZVM_CREATE_VCPU, id);
}

static void eight_vcpus(struct rig *rig, struct seen *seen)
{
	static const uint64_t ids[] = { 2, 3, 4, 5, 6 };
	int fds[5];
	bool ok = true;

	for (size_t i = 0; i < 5; i++) {
		fds[i] = create_vcpu(rig, ids[i]);
		ok = ok && fds[i] >= 0;
	}
	saw(seen, "vcpu.eight", "%s", ok && create_vcpu(rig, 8) == -EINVAL ? "ok" : "failed");
	for (size_t i = 0; i < 5; i++)
		rig_close_fd(rig, &fds[i]);
}

START_TEST(test_vcpu)
{
	struct seen seen = SEEN(vcpu_lines);
	struct rig rig;
	char byte = 0;
	void *mapping;
	int seven;
	int one;

	rig_vm(&rig, "#! fail create-vcpu -5\n");
	saw(&seen, "vcpu.hyp-no-memory", "%s", word(create_vcpu(&rig, 0), true));
	rig.vcpu = create_vcpu(&rig, 0);
	saw(&seen, "vcpu.name", "%s cloexec=%d accmode=%d", file_name(rig.vcpu), cloexec(rig.vcpu), accmode(rig.vcpu));
	saw(&seen, "vcpu.duplicate-id(hyp-refuses)", "%s", word(create_vcpu(&rig, 0), true));
	saw(&seen, "vcpu.read", "%s", word((int)rig.sys->read(rig.sys, rig.vcpu, &byte, 1), false));
	saw(&seen, "vcpu.mmap", "%s",
	    word(rig.sys->mmap(rig.sys, NULL, PAGE, PROT_READ, MAP_SHARED, rig.vcpu, &mapping), false));
	saw(&seen, "vcpu.unknown-ioctl", "%s", word(rig_ioctl_value(&rig, rig.vcpu, 0x92ee, 0), false));
	saw(&seen, "vcpu.irq-line", "%s", word(rig_ioctl_value(&rig, rig.vcpu, UAPI_GZVM_IRQ_LINE, 0), false));
	seven = create_vcpu(&rig, 7);
	saw(&seen, "vcpu.id-7-before-1", "%s", word(seven, true));
	saw(&seen, "vcpu.id-ffffffff", "%s", word(create_vcpu(&rig, 0xffffffff), true));
	one = create_vcpu(&rig, 0x100000001);
	saw(&seen, "vcpu.id-2^32+1(truncated)", "%s", word(one, true));
	saw(&seen, "vcpu.id-1-after-that", "%s", word(create_vcpu(&rig, 1), true));
	rig_close_fd(&rig, &seven);
	rig_close_fd(&rig, &one);
	/* The number of a closed vCPU stays taken. */
	ck_assert_int_eq(create_vcpu(&rig, 7), -EINVAL);
	eight_vcpus(&rig, &seen);
	rig_close(&rig);

	rig_open(&rig, "");
	rig_close_fd(&rig, &rig.vcpu);
	one = create_vcpu(&rig, 1);
	saw(&seen, "close.vcpu-fd-then-create-other-id", "%s", word(one, true));
	rig_close_fd(&rig, &one);
	rig_close(&rig);
	rig_vm(&rig, "");
	saw(&seen, "close.vm-without-anything", "%d", rig.sys->close(rig.sys, rig.vm));
	rig.vm = -1;
	rig_close(&rig);
	all_seen(&seen);
}
END_TEST

static const struct line register_lines[] = {
	{ "reg.get.pc", "EOPNOTSUPP" },
	{ "reg.stats-run", "0 SYSTEM_EVENT type=1 ndata=0 data0=0x0" },
	{ "reg.set.x0-size-2", "0 hyp-saw=0x7788" },
	{ "reg.set.x0-size-128", "EINVAL" },
	{ "reg.set.x0-size-8192", "EINVAL" },
	{ "reg.set.x0-size-16384", "EINVAL" },
	{ "reg.set.size-16-bad-value-pointer", "EINVAL" },
	{ "reg.set.size-8-crossing-into-hole", "EFAULT" },
	{ "reg.set.hyp-error--8", "EINVAL" },
	{ "reg.set.hyp-error--33", "EINVAL" },
	{ "reg.set.hyp-error--40", "EFAULT" },
	{ "reg.set.hyp-error--99", "EINVAL" },
	{ "reg.set.arch-0x40", "EOPNOTSUPP" },
	{ "reg.set.pstate-on-vcpu1", "0" },
	{ "reg.after-first-run", "0" },
};

static int set_reg(struct rig *rig, int vcpu, uint64_t id, const void *value)
{
	struct uapi_gzvm_one_reg reg = { id, (uintptr_t)value };

	return rig_ioctl(rig, vcpu, UAPI_GZVM_SET_ONE_REG, &reg);
}

static uint64_t x0_of_size(unsigned int log2)
{
	return 0x6000000000100000ull | (uint64_t)log2 << 52;
}

START_TEST(test_registers)
{
	struct seen seen = SEEN(register_lines);
	uint64_t value = 0x1122334455667788;
	char *page = guest_memory(PAGE);
	struct rig rig;
	int ret;
	int one;

	rig_open(&rig, "#! fail register -8 -33 -40 -99\n"
		       "off; register x0; echo 0x1000 8");
	one = create_vcpu(&rig, 1);
	saw(&seen, "reg.get.pc", "%s", word(rig_ioctl_value(&rig, rig.vcpu, UAPI_GZVM_GET_ONE_REG, 1), false));
	saw(&seen, "reg.set.hyp-error--8", "%s", word(set_reg(&rig, rig.vcpu, UAPI_GZVM_REG_X(1), &value), false));
	saw(&seen, "reg.set.hyp-error--33", "%s", word(set_reg(&rig, rig.vcpu, UAPI_GZVM_REG_X(1), &value), false));
	saw(&seen, "reg.set.hyp-error--40", "%s", word(set_reg(&rig, rig.vcpu, UAPI_GZVM_REG_X(1), &value), false));
	saw(&seen, "reg.set.hyp-error--99", "%s", word(set_reg(&rig, rig.vcpu, UAPI_GZVM_REG_X(1), &value), false));
	saw(&seen, "reg.set.x0-size-128", "%s", word(set_reg(&rig, rig.vcpu, x0_of_size(7), &value), false));
	saw(&seen, "reg.set.x0-size-8192", "%s", word(set_reg(&rig, rig.vcpu, x0_of_size(13), &value), false));
	saw(&seen, "reg.set.x0-size-16384", "%s", word(set_reg(&rig, rig.vcpu, x0_of_size(14), &value), false));
	saw(&seen, "reg.set.size-16-bad-value-pointer", "%s", word(set_reg(&rig, rig.vcpu, x0_of_size(4), NULL), false));
	saw(&seen, "reg.set.size-8-crossing-into-hole", "%s",
	    word(set_reg(&rig, rig.vcpu, UAPI_GZVM_REG_X(0), page + PAGE - 4), false));
	saw(&seen, "reg.set.arch-0x40", "%s", word(set_reg(&rig, rig.vcpu, 0x4030000000000000, &value), false));
	saw(&seen, "reg.set.pstate-on-vcpu1", "%s", word(set_reg(&rig, one, UAPI_GZVM_REG_PSTATE, &value), false));
	saw(&seen, "reg.stats-run", "%s", run_text(&rig));
	saw(&seen, "reg.after-first-run", "%s", word(set_reg(&rig, rig.vcpu, UAPI_GZVM_REG_PC, &value), false));
	ret = set_reg(&rig, rig.vcpu, x0_of_size(1), &value);
	ck_assert_int_eq(rig_run(&rig), 0);
	saw(&seen, "reg.set.x0-size-2", "%s hyp-saw=0x%llx", word(ret, false), data_of(&rig.run));
	rig_close_fd(&rig, &one);
	rig_close(&rig);
	guarded_free(page, PAGE);
	all_seen(&seen);
}
END_TEST

static const struct line setup_lines[] = {
	{ "irq.hyp-error--5", "EFAULT" },
	{ "irq.hyp-error--33", "EFAULT" },
	{ "cdev.warm", "0 SYSTEM_EVENT type=1 ndata=0 data0=0x0" },
	{ "cdev.dist-twice", "0" },
	{ "cdev.attr-4096", "0" },
	{ "cdev.attr-4097", "EINVAL" },
	{ "cdev.attr-size-0-bad-pointer", "0" },
	{ "cdev.hyp-error--24", "EOPNOTSUPP" },
	{ "cdev.hyp-error--33", "EINVAL" },
	{ "cdev.hyp-error--40", "EFAULT" },
	{ "cdev.hyp-error--99", "EINVAL" },
	{ "cap.0x9203", "EINVAL" },
	{ "cap.0x9204", "EINVAL" },
	{ "cap.pvm-sub-0", "0" },
	{ "cap.pvm-sub-1.returned", "0x1,0x123000,0x3" },
	{ "cap.pvm-sub-3", "EINVAL" },
	{ "cap.pvm-sub-2^32", "EINVAL" },
	{ "cap.pvm-sub-2.hyp-error--5", "ENOMEM" },
	{ "cap.pvm-sub-1.hyp-error--8", "EINVAL" },
	{ "cap.pvm-sub-2.hyp-error--27", "EOPNOTSUPP" },
	{ "cap.pvm-sub-2.hyp-error--33", "EINVAL" },
	{ "cap.pvm-sub-2.hyp-error--40", "EFAULT" },
	{ "cap.pvm-sub-1.hyp-error--40", "EINVAL" },
	{ "cap.pvm-sub-2.hyp-error--1", "EINVAL" },
	{ "cap.pvm-sub-1.hyp-error--1", "EINVAL" },
	{ "cap.pvm-sub-2.hyp-error--99", "EINVAL" },
	{ "cap.pvm-sub-1-read-only-struct", "EFAULT" },
	{ "dtb.ok", "0" },
	{ "dtb.nonsense", "0" },
	{ "dtb.hyp-error--8", "EINVAL" },
	{ "dtb.hyp-error--24", "EOPNOTSUPP" },
	{ "dtb.hyp-error--27", "EOPNOTSUPP" },
	{ "dtb.hyp-error--33", "EINVAL" },
	{ "dtb.hyp-error--1", "EINVAL" },
	{ "dtb.hyp-error--99", "EINVAL" },
};

static int create_device(struct rig *rig, uint64_t attr, uint64_t attr_size)
{
	struct uapi_gzvm_create_device device = {
		.type = UAPI_GZVM_DEV_VGIC_DIST, .gpa = 0x3fff0000, .size = 0x10000, .attr = attr, .attr_size = attr_size
	};

	return rig_ioctl(rig, rig->vm, UAPI_GZVM_CREATE_DEVICE, &device);
}

static int enable_cap(struct rig *rig, uint64_t cap, uint64_t sub)
{
	struct uapi_gzvm_enable_cap args = { cap, { sub, 0x7fc00000, 3, 4, 5 } };

	return rig_ioctl(rig, rig->vm, UAPI_GZVM_ENABLE_CAP, &args);
}

static int set_dtb(struct rig *rig, uint64_t gpa)
{
	struct uapi_gzvm_range range = { gpa, 0x200000 };

	return rig_ioctl(rig, rig->vm, UAPI_GZVM_SET_DTB, &range);
}

static void devices(struct rig *rig, struct seen *seen)
{
	uint8_t attr[4097] = { 0 };

	saw(seen, "cdev.hyp-error--24", "%s", word(create_device(rig, 0, 0), false));
	saw(seen, "cdev.hyp-error--33", "%s", word(create_device(rig, 0, 0), false));
	saw(seen, "cdev.hyp-error--40", "%s", word(create_device(rig, 0, 0), false));
	saw(seen, "cdev.hyp-error--99", "%s", word(create_device(rig, 0, 0), false));
	ck_assert_int_eq(create_device(rig, 0, 0), 0);
	saw(seen, "cdev.dist-twice", "%s", word(create_device(rig, 0, 0), false));
	saw(seen, "cdev.attr-4096", "%s", word(create_device(rig, (uintptr_t)attr, 4096), false));
	saw(seen, "cdev.attr-4097", "%s", word(create_device(rig, (uintptr_t)attr, 4097), false));
	saw(seen, "cdev.attr-size-0-bad-pointer", "%s", word(create_device(rig, 64, 0), false));
	saw(seen, "cdev.warm", "%s", run_text(rig));
}

/* In the order of the script's errors. */
static void capability_errors(struct rig *rig, struct seen *seen)
{
	static const struct {
		const char *name;
		uint64_t sub;
	} cases[] = {
		{ "cap.pvm-sub-2.hyp-error--5", 2 },  { "cap.pvm-sub-1.hyp-error--8", 1 },
		{ "cap.pvm-sub-2.hyp-error--27", 2 }, { "cap.pvm-sub-2.hyp-error--33", 2 },
		{ "cap.pvm-sub-2.hyp-error--40", 2 }, { "cap.pvm-sub-1.hyp-error--40", 1 },
		{ "cap.pvm-sub-2.hyp-error--1", 2 },  { "cap.pvm-sub-1.hyp-error--1", 1 },
		{ "cap.pvm-sub-2.hyp-error--99", 2 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		saw(seen, cases[i].name, "%s", word(enable_cap(rig, UAPI_GZVM_CAP_PROTECTED_VM, cases[i].sub), false));
}

static void capabilities(struct rig *rig, struct seen *seen)
{
	struct uapi_gzvm_enable_cap args = { UAPI_GZVM_CAP_PROTECTED_VM, { 1, 2, 3, 4, 5 } };
	void *page = guest_memory(PAGE);

	capability_errors(rig, seen);
	saw(seen, "cap.0x9203", "%s", word(enable_cap(rig, 0x9203, 0), false));
	saw(seen, "cap.0x9204", "%s", word(enable_cap(rig, 0x9204, 0), false));
	saw(seen, "cap.pvm-sub-0", "%s", word(enable_cap(rig, UAPI_GZVM_CAP_PROTECTED_VM, 0), false));
	saw(seen, "cap.pvm-sub-3", "%s", word(enable_cap(rig, UAPI_GZVM_CAP_PROTECTED_VM, 3), false));
	saw(seen, "cap.pvm-sub-2^32", "%s", word(enable_cap(rig, UAPI_GZVM_CAP_PROTECTED_VM, 0x100000000), false));
	memcpy(page, &args, sizeof(args));
	ck_assert_int_eq(mprotect(page, PAGE, PROT_READ), 0);
	saw(seen, "cap.pvm-sub-1-read-only-struct", "%s", word(rig_ioctl(rig, rig->vm, UAPI_GZVM_ENABLE_CAP, page), false));
	guarded_free(page, PAGE);
	ck_assert_int_eq(rig_ioctl(rig, rig->vm, UAPI_GZVM_ENABLE_CAP, &args), 0);
	saw(seen, "cap.pvm-sub-1.returned", "0x%llx,0x%llx,0x%llx", (unsigned long long)args.args[0],
	    (unsigned long long)args.args[1], (unsigned long long)args.args[2]);
}

static void device_trees(struct rig *rig, struct seen *seen)
{
	static const char *const errors[] = { "dtb.hyp-error--8",  "dtb.hyp-error--24", "dtb.hyp-error--27",
					      "dtb.hyp-error--33", "dtb.hyp-error--1",  "dtb.hyp-error--99" };

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		saw(seen, errors[i], "%s", word(set_dtb(rig, 0x80001000), false));
	saw(seen, "dtb.ok", "%s", word(set_dtb(rig, 0x80001000), false));
	saw(seen, "dtb.nonsense", "%s", word(set_dtb(rig, ~0ull), false));
}

START_TEST(test_setup)
{
	struct seen seen = SEEN(setup_lines);
	struct uapi_gzvm_irq_level line = { 5, 1 };
	struct rig rig;

	rig_open(&rig, "#! fail device -24 -33 -40 -99\n"
		       "#! fail cap -5 -8 -27 -33 -40 -40 -1 -1 -99\n"
		       "#! fail dtb -8 -24 -27\n"
		       "#! fail dtb -33 -1 -99\n"
		       "#! fail irq -5 -33\n"
		       "off; ack; echo 0x1000 4");
	devices(&rig, &seen);
	capabilities(&rig, &seen);
	device_trees(&rig, &seen);
	saw(&seen, "irq.hyp-error--5", "%s", word(rig_ioctl(&rig, rig.vm, UAPI_GZVM_IRQ_LINE, &line), false));
	saw(&seen, "irq.hyp-error--33", "%s", word(rig_ioctl(&rig, rig.vm, UAPI_GZVM_IRQ_LINE, &line), false));
	/* The number is an SPI's, whatever type and vCPU say. */
	line.irq = 0xf0ff0005;
	ck_assert_int_eq(rig_ioctl(&rig, rig.vm, UAPI_GZVM_IRQ_LINE, &line), 0);
	ck_assert_int_eq(rig_run(&rig), 0);
	ck_assert_uint_eq(rig.run.u.mmio.data[0], 32 + 5);
	rig_close(&rig);
	all_seen(&seen);
}
END_TEST

START_TEST(test_breakage)
{
	struct rig rig;

	rig_open(&rig, "store 0x1000 4 1; store 0x1000 4 2");
	ck_assert_ptr_null(gh_sim_breakage(rig.sim));
	rig_close_fd(&rig, &rig.vm);
	ck_assert_ptr_nonnull(strstr(gh_sim_breakage(rig.sim), "before a vCPU's"));
	/* It goes on as well as it can. */
	ck_assert_int_eq(rig_run(&rig), 0);
	rig_close(&rig);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("gzvm_observed");
	TCase *tcase = tcase_create("requests");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, test_device);
	tcase_add_test(tcase, test_vm);
	tcase_add_test(tcase, test_vcpu);
	tcase_add_test(tcase, test_registers);
	tcase_add_test(tcase, test_setup);
	tcase_add_test(tcase, test_breakage);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
