/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which behaviours a kernel has. No request tells its revision, so a throw-away VM that never runs is asked for refusals
 * (section 1.7 of the GenieZone UAPI document). What it does not tell is assumed at its worst.
 */
#include "geniezone.h"

#include <errno.h>
#include <fcntl.h>

#define ANYWHERE UINT64_C(0x1000)

/* What a kernel is taken for if its throw-away VM tells nothing: v6 to v9, and the features that all of them have. */
#define FEATURES                                                                                                           \
	(GH_FEATURE_SHARE | GH_FEATURE_REGISTERS | GH_FEATURE_IRQFD | GH_FEATURE_IOEVENTFD | GH_FEATURE_PAGE_FAULT |       \
	 GH_FEATURE_IRQ_LINE)
#define QUIRKS                                                                                                             \
	(GH_QUIRK_ONE_LINE_PER_EVENTFD | GH_QUIRK_MISSES_EARLY_SIGNAL | GH_QUIRK_MEMORY_MUST_STAY |                        \
	 GH_QUIRK_SHOWS_HANDLED_EXITS | GH_QUIRK_SHOWS_HANDLED_EXCEPTIONS | GH_QUIRK_PROTECTED_AT_BIRTH)

struct probed {
	struct gh_sys *sys;
	const struct gh_gz_abi *abi;
	struct gh_caps *caps;
	int vm;
};

static int ask(const struct probed *probed, int fd, enum gh_gz_request request, const void *arg)
{
	return gh_sys_ioctl0(probed->sys, fd, probed->abi->requests[request], (uintptr_t)arg);
}

/* Declared without an argument, and takes a pointer all the same. */
static int check_extension(const struct probed *probed, int fd, uint64_t extension, uint64_t *ret_value)
{
	uint64_t value = extension;
	int ret = ask(probed, fd, GH_GZ_CHECK_EXTENSION, &value);

	if (ret == 0)
		*ret_value = value;
	return ret;
}

/* --- the throw-away VM -------------------------------------------------------------------------------------------- */

/*
 * The first kernels have no request for the devicetree, take another number than their irqfds for a line, and protect with
 * firmware only.
 */
static void look_at_dtb(const struct probed *probed)
{
	if (ask(probed, probed->vm, GH_GZ_SET_DTB, NULL) != -ENOTTY)
		return;
	probed->caps->quirks |= GH_QUIRK_NO_DTB_REQUEST;
	probed->caps->features &= ~(uint64_t)(GH_FEATURE_IRQ_LINE | GH_FEATURE_BARE_PROTECTION);
	probed->caps->dialect = "R0, before v1";
}

/* Up to v5 the padding is nobody's business, and a descriptor that is not open comes first. */
static bool is_old_irqfd(const struct probed *probed)
{
	const struct uapi_gzvm_irqfd arg = {
		.fd = UINT32_MAX,
		.flags = UAPI_GZVM_IRQFD_DEASSIGN,
		.padding = { 1 },
	};

	return ask(probed, probed->vm, GH_GZ_IRQFD, &arg) == -EBADF;
}

/* Only old kernels read a register back, here to nowhere. They hand every exit on, and do not say where a fault was. */
static void look_at_vcpu(const struct probed *probed)
{
	const struct uapi_gzvm_one_reg arg = { .id = UAPI_GZVM_REG_PSTATE };
	struct gh_sys *sys = probed->sys;
	int ret;
	int fd = sys->ioctl(sys, probed->vm, probed->abi->requests[GH_GZ_CREATE_VCPU], 0);

	if (fd < 0)
		return;
	ret = ask(probed, fd, GH_GZ_GET_ONE_REG, &arg);
	(void)sys->close(sys, fd);
	if (ret != -EFAULT && ret != -EINVAL && ret != 0)
		return;
	probed->caps->quirks &= ~(uint64_t)GH_QUIRK_SHOWS_HANDLED_EXITS;
	probed->caps->quirks |= GH_QUIRK_NO_FAULT_ADDRESS;
	probed->caps->dialect = "v1 to v4";
}

static void look_at_old(const struct probed *probed)
{
	probed->caps->features |= GH_FEATURE_IRQFD_LEVEL | GH_FEATURE_IRQFD_RESAMPLE;
	probed->caps->quirks &= ~(uint64_t)(GH_QUIRK_MISSES_EARLY_SIGNAL | GH_QUIRK_SHOWS_HANDLED_EXCEPTIONS);
	probed->caps->dialect = "v5, or MediaTek's own 6.1";
	look_at_vcpu(probed);
}

static bool has_sysfs(struct gh_sys *sys)
{
	int fd = sys->open(sys, UAPI_GZVM_SYSFS, O_RDONLY);

	if (fd >= 0)
		(void)sys->close(sys, fd);
	return fd >= 0;
}

/* The slot is looked at before anything else. Kernels that call it an argument answer the guest's question for the time. */
static void look_at_slots(const struct probed *probed)
{
	const struct uapi_gzvm_region arg = { .slot = UAPI_GZVM_MAX_SLOTS };

	if (ask(probed, probed->vm, GH_GZ_SET_USER_MEM, &arg) != -EINVAL)
		return;
	probed->caps->quirks |= GH_QUIRK_SHOWS_ANSWERED_TIME;
	probed->caps->dialect = has_sysfs(probed->sys) ? "Android 6.6 and later" : "v10 to v12, or Android's first 6.12";
}

/* Two values at one address: the older kernels know both. Never rung, and taken away again. */
static void look_at_doorbells(const struct probed *probed)
{
	struct gh_sys *sys = probed->sys;
	struct uapi_gzvm_ioeventfd arg = { .gpa = ANYWHERE, .width = 4, .flags = UAPI_GZVM_IOEVENTFD_DATAMATCH };
	unsigned int added = 0;

	arg.fd = sys->eventfd(sys, 0, 0);
	if (arg.fd < 0)
		return;
	for (arg.datamatch = 0; arg.datamatch < 2 && ask(probed, probed->vm, GH_GZ_IOEVENTFD, &arg) == 0; arg.datamatch++)
		added++;
	if (added == 2)
		probed->caps->features |= GH_FEATURE_DATAMATCH;
	arg.flags |= UAPI_GZVM_IOEVENTFD_DEASSIGN;
	/* Twice if need be: the kernel would lose them with the VM (GZ 9). */
	for (arg.datamatch = 0; arg.datamatch < added; arg.datamatch++)
		if (ask(probed, probed->vm, GH_GZ_IOEVENTFD, &arg) < 0)
			(void)ask(probed, probed->vm, GH_GZ_IOEVENTFD, &arg);
	(void)sys->close(sys, arg.fd);
}

/* A kernel that makes no VM now says so when it is asked for the real one. */
static void look_at_vm(struct probed *probed, int dev)
{
	struct gh_sys *sys = probed->sys;

	probed->vm = sys->ioctl(sys, dev, probed->abi->requests[GH_GZ_CREATE_VM],
				gh_gz_vm_type(probed->abi, probed->caps->gpa_bits, false));
	if (probed->vm < 0)
		return;
	if (is_old_irqfd(probed))
		look_at_old(probed);
	else if (probed->abi->own_code == NULL)
		look_at_slots(probed);
	look_at_dtb(probed);
	look_at_doorbells(probed);
	(void)sys->close(sys, probed->vm);
}

/* --- the device --------------------------------------------------------------------------------------------------- */

static int probe(struct probed *probed, int dev)
{
	struct gh_sys *sys = probed->sys;
	uint64_t gpa_bits = 0;
	uint64_t protected_vms = 0;
	int ret = sys->ioctl(sys, dev, probed->abi->requests[GH_GZ_CHECK_EXTENSION], 0);

	/* Foreign devices refuse the request; Qualcomm's old one refuses everything alike, so ask for a real answer, too. */
	if ((ret != -EINVAL && ret != -EFAULT) ||
	    check_extension(probed, dev, probed->abi->protected_vm, &protected_vms) < 0)
		return -ENODEV;
	if (check_extension(probed, dev, probed->abi->gpa_size, &gpa_bits) < 0 || gpa_bits < 32 || gpa_bits > 52)
		gpa_bits = 40;
	*probed->caps = (struct gh_caps){
		.features = FEATURES,
		.dialect = "v6 to v9",
		.max_vcpus = probed->abi->max_vcpus,
		.max_regions = UAPI_GZVM_MAX_SLOTS,
		.max_lines = 988,
		.gpa_bits = (uint32_t)gpa_bits,
		/* Demand paging in blocks maps what lies below an unaligned region (section 9 of the document). */
		.gpa_align = UINT64_C(2) << 20,
		.quirks = QUIRKS,
	};
	/* Every kernel says so; the hypervisor decides when it is asked. */
	if (protected_vms == 1)
		probed->caps->features |= GH_FEATURE_PROTECTED_VM | GH_FEATURE_FIRMWARE | GH_FEATURE_BARE_PROTECTION;
	return 0;
}

int gh_geniezone_probe(struct gh_sys *sys, int dev, struct gh_caps *ret_caps, struct gh_failure *failure)
{
	struct probed probed = { .sys = sys, .abi = &gh_gz_geniezone, .caps = ret_caps };
	int ret = probe(&probed, dev);

	(void)failure;
	if (ret < 0)
		return ret;
	ret_caps->features |= GH_FEATURE_HYPERCALL;
	look_at_vm(&probed, dev);
	return 0;
}

int gh_halla_probe(struct gh_sys *sys, int dev, struct gh_caps *ret_caps, struct gh_failure *failure)
{
	struct probed probed = { .sys = sys, .abi = &gh_gz_halla, .caps = ret_caps };
	int ret = probe(&probed, dev);

	(void)failure;
	if (ret < 0)
		return ret;
	ret_caps->dialect = "Halla";
	look_at_vm(&probed, dev);
	return 0;
}
