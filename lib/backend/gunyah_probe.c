/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which of the many dialects of one interface a device speaks. No request tells a version: each request is tried with an
 * argument that it must refuse, on a VM that is thrown away (section 1.6 of the Gunyah UAPI document). What no request can
 * tell is assumed at its worst.
 */
#include "gunyah.h"

#include "../uapi/kvm.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define STEP "look for Gunyah"
#define REQUEST_CREATE_VM GH_GUNYAH_REQUEST("GH_CREATE_VM", "0x4700")

/* Of SET_USER_MEM. */
#define UNKNOWN_FLAG 0x40u

/* Requests that a kernel may have or not. */
enum {
	HAS_DESCRIPTORS = 1 << 0, /* functions by type, not by name */
	HAS_REMOVE = 1 << 1,
	HAS_USER_MEMORY = 1 << 2,
	HAS_LEND = 1 << 3,
	HAS_FIRMWARE = 1 << 4,
	HAS_BOOT_CONTEXT = 1 << 5, /* page-fault exits and resume actions came with it */
	HAS_RECLAIM = 1 << 6,
	HAS_CONTIGUOUS = 1 << 7,
	HAS_AUTHENTICATION = 1 << 8,
	HAS_MAP_FILE = 1 << 9,
	HAS_NAMES = 1 << 10,
	HAS_CHECK_EXTENSION = 1 << 11,
	HAS_FILES = 1 << 12, /* of the device, not of the VM */
};

/* With a NULL argument these are refused with EFAULT, or with ENOTTY where they do not exist. */
static const struct {
	unsigned long request;
	uint32_t bit;
} requests[] = {
	{ UAPI_GUNYAH_ADD_FUNCTION, HAS_DESCRIPTORS },
	{ UAPI_GUNYAH_ADD_NAMED_FUNCTION, HAS_NAMES },
	{ UAPI_GUNYAH_REMOVE_FUNCTION, HAS_REMOVE },
	{ UAPI_GUNYAH_SET_USER_MEM, HAS_USER_MEMORY },
	{ UAPI_GUNYAH_LEND_USER_MEM, HAS_LEND },
	{ UAPI_GUNYAH_SET_FW, HAS_FIRMWARE },
	{ UAPI_GUNYAH_SET_BOOT_CONTEXT, HAS_BOOT_CONTEXT },
	{ UAPI_GUNYAH_RECLAIM, HAS_RECLAIM },
	{ UAPI_GUNYAH_MAP_CMA, HAS_CONTIGUOUS },
	{ UAPI_GUNYAH_SET_AUTH, HAS_AUTHENTICATION },
	{ UAPI_GUNYAH_MAP_MEM, HAS_MAP_FILE },
};

/* What has been found out. */
struct found {
	uint32_t has;
	bool timer_wakeup;
	bool lends_by_flag;    /* the flag LENT of SET_USER_MEM */
	bool pins_at_once;     /* memory is pinned when it is given, not when the guest touches it */
	bool coarse_datamatch; /* a data match is a truth value */
};

/* --- other dialects ----------------------------------------------------------------------------------------------- */

static int foreign_dialect(struct gh_failure *failure, enum gh_cause cause, const char *dialect)
{
	return gh_fail_cause(failure, -ENODEV, cause, STEP, REQUEST_CREATE_VM,
			     "The device speaks another dialect of Gunyah: %s.", dialect);
}

/* CREATE_VM was refused with EINVAL: the device of Qualcomm's kernels 5.10 and 5.15 has the same name. */
static int check_vendor(struct gh_sys *sys, int dev, struct gh_failure *failure)
{
	int vm = sys->ioctl(sys, dev, UAPI_GUNYAH_VENDOR_CREATE_VM, 0);

	if (vm >= 0)
		(void)sys->close(sys, vm);
	if (vm == -ENOTTY)
		return -ENODEV;
	/* KVM refuses what it does not know with EINVAL, too. */
	if (vm < 0 && sys->ioctl(sys, dev, UAPI_KVM_GET_API_VERSION, 0) >= 0)
		return -ENODEV;
	return foreign_dialect(failure, GH_CAUSE_VENDOR_DIALECT,
			       "Qualcomm's own interface of the kernels 5.10 and 5.15 (requests 0xb2..)");
}

/* --- probes ------------------------------------------------------------------------------------------------------- */

/* 1: the kernel has it, and refuses its argument; 0: it has not; or an error that says neither. */
static int is_there(int ret)
{
	if (ret >= 0 || ret == -EFAULT || ret == -EPERM)
		return 1;
	/* Some say EINVAL to what they do not know. */
	return ret == -ENOTTY || ret == -EINVAL ? 0 : ret;
}

static int has_files(struct gh_sys *sys, int dev)
{
	const struct uapi_gunyah_create_mem arg = { .flags = UINT64_MAX };
	int fd = sys->ioctl(sys, dev, UAPI_GUNYAH_CREATE_GUEST_MEM, (uintptr_t)&arg);

	if (fd >= 0)
		(void)sys->close(sys, fd);
	/* Here EINVAL is about the flags. */
	return fd == -EINVAL ? 1 : is_there(fd);
}

static int find_requests(struct gh_sys *sys, int dev, int vm, struct found *found)
{
	int ret = has_files(sys, dev);

	if (ret > 0)
		found->has |= HAS_FILES;
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]) && ret >= 0; i++) {
		ret = is_there(sys->ioctl(sys, vm, requests[i].request, 0));
		if (ret > 0)
			found->has |= requests[i].bit;
	}
	if (ret < 0)
		return ret;
	ret = sys->ioctl(sys, vm, UAPI_GUNYAH_CHECK_EXTENSION, UAPI_GUNYAH_CAP_TIMER_WAKEUP);
	if (ret >= 0)
		found->has |= HAS_CHECK_EXTENSION;
	found->timer_wakeup = ret == 1;
	return is_there(ret) < 0 ? ret : 0;
}

/* A page that nobody may read, as memory of the guest: a kernel that pins at once refuses it, others only write it down. */
static int try_region(struct gh_sys *sys, int vm, uint32_t flags)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct uapi_gunyah_region arg = { .flags = flags, .gpa = UINT64_C(1) << 31, .size = page };
	void *nothing;
	int ret = sys->mmap(sys, NULL, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, &nothing);

	if (ret < 0)
		return ret;
	arg.host = (uintptr_t)nothing;
	ret = sys->ioctl(sys, vm, UAPI_GUNYAH_SET_USER_MEM, (uintptr_t)&arg);
	(void)sys->munmap(sys, nothing, page);
	return ret;
}

/* A flag is looked at before the memory is, and no kernel knows the other one. */
static bool knows_lent(struct gh_sys *sys, int vm)
{
	int ret = try_region(sys, vm, UAPI_GUNYAH_MEM_READ | UAPI_GUNYAH_MEM_LENT);

	return (ret == -EFAULT || ret == -ENOMEM) && try_region(sys, vm, UAPI_GUNYAH_MEM_READ | UNKNOWN_FLAG) == -EINVAL;
}

/* Two data matches at one address are one to a kernel that keeps them as truth values (section 3.4). */
static bool has_coarse_datamatch(struct gh_sys *sys, int vm)
{
	struct uapi_gunyah_fn_ioeventfd bell = {
		.datamatch = 1, .gpa = 4096, .width = 4, .flags = UAPI_GUNYAH_IOEVENTFD_DATAMATCH
	};
	const struct uapi_gunyah_fn fn = { .type = UAPI_GUNYAH_FN_IOEVENTFD,
					   .arg_size = sizeof(bell),
					   .arg = (uintptr_t)&bell };
	int fd = sys->eventfd(sys, 0, 0);
	int ret = fd;

	if (fd < 0)
		return true;
	bell.fd = fd;
	for (bell.datamatch = 1; bell.datamatch <= 2 && ret >= 0; bell.datamatch++)
		ret = sys->ioctl(sys, vm, UAPI_GUNYAH_ADD_FUNCTION, (uintptr_t)&fn);
	(void)sys->close(sys, fd);
	return ret < 0;
}

/* What the requests alone do not tell. Asked of a kernel only if it can be one of several. */
static void find_manners(struct gh_sys *sys, int vm, struct found *found)
{
	const uint32_t newer = HAS_BOOT_CONTEXT | HAS_FILES;

	found->pins_at_once = (found->has & newer) == 0;
	if (!found->pins_at_once)
		return;
	if ((found->has & HAS_LEND) == 0) {
		found->lends_by_flag = knows_lent(sys, vm);
	} else {
		/* Early kernels 6.6 lack the boot context and page in on demand all the same. */
		found->pins_at_once = try_region(sys, vm, UAPI_GUNYAH_MEM_READ) != 0;
	}
	if (found->pins_at_once && (found->has & (HAS_FIRMWARE | HAS_REMOVE)) == HAS_REMOVE)
		found->coarse_datamatch = has_coarse_datamatch(sys, vm);
}

/* --- what they mean ----------------------------------------------------------------------------------------------- */

static uint64_t if_set(bool condition, uint64_t bits)
{
	return condition ? bits : 0;
}

static uint64_t features_of(const struct found *found)
{
	const uint32_t has = found->has;
	const bool lends = (has & (HAS_LEND | HAS_FILES)) != 0 || found->lends_by_flag;
	const bool removes = (has & HAS_REMOVE) != 0;

	return GH_FEATURE_SHARE | GH_FEATURE_IRQFD | GH_FEATURE_IRQFD_LEVEL | GH_FEATURE_LATE_VCPUS | GH_FEATURE_NEEDS_DTB |
	       GH_FEATURE_READ_ONLY_MEMORY | if_set(lends, GH_FEATURE_LEND) |
	       /* A doorbell that stays for ever would take the stores of whoever comes after it. */
	       if_set(removes, GH_FEATURE_IOEVENTFD) | if_set(removes && !found->coarse_datamatch, GH_FEATURE_DATAMATCH) |
	       if_set((has & HAS_BOOT_CONTEXT) != 0, GH_FEATURE_REGISTERS | GH_FEATURE_MMIO_ABORT | GH_FEATURE_PAGE_FAULT) |
	       if_set(!found->pins_at_once, GH_FEATURE_DEMAND_PAGING | GH_FEATURE_LATE_MEMORY) |
	       if_set((has & HAS_FIRMWARE) != 0, GH_FEATURE_FIRMWARE | GH_FEATURE_PROTECTED_VM) |
	       if_set(!found->pins_at_once && (has & HAS_LEND) != 0, GH_FEATURE_PROTECTED_VM) |
	       if_set((has & HAS_RECLAIM) != 0, GH_FEATURE_RECLAIM) |
	       if_set((has & HAS_FILES) != 0, GH_FEATURE_GUEST_MEMORY) |
	       if_set((has & HAS_FILES) != 0 || found->lends_by_flag, GH_FEATURE_UNMAP) |
	       if_set((has & HAS_CONTIGUOUS) != 0, GH_FEATURE_CONTIGUOUS_MEMORY) |
	       if_set((has & HAS_AUTHENTICATION) != 0, GH_FEATURE_AUTHENTICATION) |
	       if_set((has & HAS_CHECK_EXTENSION) != 0, GH_FEATURE_CHECK_EXTENSION) |
	       if_set(found->timer_wakeup, GH_FEATURE_TIMER_WAKEUP);
}

static uint64_t quirks_of(const struct found *found)
{
	const uint32_t has = found->has;

	/* Newer kernels remove doorbells exactly; which ones, nothing tells, and there the repair changes nothing. */
	return GH_QUIRK_REMOVES_BY_ADDRESS | GH_QUIRK_FRAGILE_ANSWER | GH_QUIRK_MISSES_EARLY_SIGNAL |
	       GH_QUIRK_DOORBELLS_IGNORE_WIDTH | GH_QUIRK_LOCKS_MEMORY | GH_QUIRK_EVENTFD_GOES_FIRST |
	       GH_QUIRK_WRITES_MEMORY_NODE | if_set((has & HAS_DESCRIPTORS) == 0, GH_QUIRK_NAMED_FUNCTIONS) |
	       /* Nothing tells, but the exit came when the flag went (section 1.2). */
	       if_set((has & HAS_DESCRIPTORS) == 0 || found->lends_by_flag, GH_QUIRK_NO_END_EXIT) |
	       if_set((has & HAS_REMOVE) == 0, GH_QUIRK_KEEPS_FUNCTIONS) |
	       if_set(found->lends_by_flag, GH_QUIRK_LENDS_BY_FLAG) |
	       if_set(found->coarse_datamatch, GH_QUIRK_COARSE_DATAMATCH) |
	       if_set((has & HAS_USER_MEMORY) == 0, GH_QUIRK_OWN_FILES_ONLY) |
	       if_set(found->pins_at_once, GH_QUIRK_NEEDS_SHM_NODES) |
	       if_set(!found->pins_at_once && (has & HAS_FILES) == 0, GH_QUIRK_OPTIONAL_SHM_NODES);
}

/* For people: programs look at the bits. */
static const char *dialect_of(const struct found *found)
{
	const uint32_t has = found->has;

	if ((has & HAS_DESCRIPTORS) == 0)
		return "as posted up to v8";
	if ((has & HAS_FILES) != 0)
		return "as posted in v15 to v17";
	if ((has & HAS_CHECK_EXTENSION) != 0)
		return "Android, the latest";
	if ((has & HAS_CONTIGUOUS) != 0)
		return "android16-6.12";
	if ((has & HAS_RECLAIM) != 0)
		return "android15-6.6, or android16-6.12 early";
	if (!found->pins_at_once)
		return "android15-6.6, early";
	if ((has & HAS_LEND) != 0)
		return (has & HAS_FIRMWARE) != 0 ? "android14-6.1" : "android14-6.1, early";
	return found->lends_by_flag ? "as posted in v9 and v10" : "as posted in v11 to v14";
}

/*
 * Kernels that pin memory at once keep a pointer for each page of a region in one piece of their memory, which can have 1024
 * pages. More: ENOMEM, and a warning of the kernel (section 10.2). The memory of a kernel that has run for long has few
 * pieces of that size, so what must be cut is cut smaller (section 4).
 */
static uint64_t region_limit(void)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	return page * 1024 / sizeof(uint64_t) * page;
}

static int check_found(const struct found *found, struct gh_failure *failure)
{
	const uint32_t files = HAS_FILES | HAS_MAP_FILE;

	if ((found->has & (HAS_DESCRIPTORS | HAS_NAMES)) == 0)
		return foreign_dialect(failure, GH_CAUSE_DIALECT,
				       "without functions by type, and without functions by name");
	if ((found->has & HAS_USER_MEMORY) == 0 && (found->has & files) != files)
		return foreign_dialect(failure, GH_CAUSE_DIALECT,
				       "without memory of the process, and without guest memory files");
	return 0;
}

int gh_gunyah_probe(struct gh_sys *sys, int dev, struct gh_caps *ret_caps, struct gh_failure *failure)
{
	struct found found = { 0 };
	int vm = sys->ioctl(sys, dev, UAPI_GUNYAH_CREATE_VM, 0);
	int ret;

	if (vm == -EINVAL)
		return check_vendor(sys, dev, failure);
	/* ENOSYS is what emulators of programs answer. */
	if (vm == -ENOTTY || vm == -ENOSYS)
		return -ENODEV;
	if (vm < 0)
		return gh_fail_request(failure, vm, STEP, REQUEST_CREATE_VM);
	ret = find_requests(sys, dev, vm, &found);
	if (ret == 0)
		find_manners(sys, vm, &found);
	(void)sys->close(sys, vm);
	if (ret < 0)
		return gh_fail_request(failure, ret, STEP, "a request without its argument");
	ret = check_found(&found, failure);
	if (ret < 0)
		return ret;
	*ret_caps = (struct gh_caps){
		.features = features_of(&found),
		.quirks = quirks_of(&found),
		.dialect = dialect_of(&found),
		.max_vcpus = 64, /* the resource manager knows how many it really takes, and says so at the start */
		.max_regions = 256,
		.max_lines = UINT32_MAX, /* labels of doorbells, which are any number */
		.gpa_bits = 40,
		.gpa_align = 4096,
		.mmio_end = UINT64_C(1) << 30,
		.region_limit = found.pins_at_once ? region_limit() : 0,
		.region_piece = UINT64_C(256) << 20,
	};
	return 0;
}
