/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Gunyah, as android14-6.1 speaks it. A VM is a descriptor; vCPUs, lines and doorbells are "functions" that are added to
 * it; a vCPU's run page is mapped from its descriptor and shared with the kernel.
 *
 * Handled here: H1 (an answer is fragile: the capability says so, kick.c heeds it), H2 (the exit reason is cleared before
 * each entry, and a non-zero one after EINTR is an exit), EBUSY while a VM goes down (the core asks again).
 */
#include "gunyah.h"

#include "../exit.h"
#include "../points.h"
#include "../uapi/kvm.h"
#include "../why.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <gh/memory.h>
#include <gh/vm.h>

#define STEP_PROBE "look for Gunyah"
#define REQUEST(name, number) name " (" number ")"

/* --- probe -------------------------------------------------------------------------------------------------------- */

/* A request with a NULL argument is refused with EFAULT where it exists, and with ENOTTY where it does not. */
static bool has_request(struct gh_sys *sys, int vm, unsigned long request)
{
	return sys->ioctl(sys, vm, request, 0) != -ENOTTY;
}

static int foreign_dialect(struct gh_failure *failure, const char *dialect)
{
	return gh_fail_cause(failure, -ENODEV, GH_CAUSE_DIALECT, STEP_PROBE, REQUEST("GH_CREATE_VM", "0x4700"),
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
	return gh_fail_cause(
		failure, -ENODEV, GH_CAUSE_VENDOR_DIALECT, STEP_PROBE, REQUEST("GH_CREATE_VM", "0x4700"),
		"The device speaks another dialect of Gunyah: Qualcomm's own interface of the kernels 5.10 and "
		"5.15 (requests 0xb2..).");
}

static int check_dialect(struct gh_sys *sys, int vm, struct gh_failure *failure)
{
	if (!has_request(sys, vm, UAPI_GUNYAH_ADD_FUNCTION))
		return foreign_dialect(failure, "functions by name, as posted up to v8");
	if (!has_request(sys, vm, UAPI_GUNYAH_SET_USER_MEM))
		return foreign_dialect(failure, "guest memory files only, as posted in v15 to v17");
	return 0;
}

static const char *dialect_name(bool lends, bool newer)
{
	if (newer)
		return "android15-6.6 or later, used as android14-6.1";
	return lends ? "android14-6.1" : "as posted in v9 to v14";
}

static int gunyah_probe(struct gh_sys *sys, int dev, struct gh_caps *ret_caps, struct gh_failure *failure)
{
	int vm = sys->ioctl(sys, dev, UAPI_GUNYAH_CREATE_VM, 0);
	bool lends;
	bool newer;
	int ret;

	if (vm == -EINVAL)
		return check_vendor(sys, dev, failure);
	/* ENOSYS is what emulators of programs answer. */
	if (vm == -ENOTTY || vm == -ENOSYS)
		return -ENODEV;
	if (vm < 0)
		return gh_fail_request(failure, vm, STEP_PROBE, REQUEST("GH_CREATE_VM", "0x4700"));
	ret = check_dialect(sys, vm, failure);
	lends = has_request(sys, vm, UAPI_GUNYAH_LEND_USER_MEM);
	newer = has_request(sys, vm, UAPI_GUNYAH_SET_BOOT_CONTEXT);
	(void)sys->close(sys, vm);
	if (ret < 0)
		return ret;
	*ret_caps = (struct gh_caps){
		.features = GH_FEATURE_SHARE | GH_FEATURE_IRQFD | GH_FEATURE_IRQFD_LEVEL | GH_FEATURE_IOEVENTFD |
			    GH_FEATURE_DATAMATCH | GH_FEATURE_LATE_VCPUS | GH_FEATURE_NEEDS_DTB |
			    (lends ? (uint64_t)GH_FEATURE_LEND : 0),
		.dialect = dialect_name(lends, newer),
		.max_vcpus = 64, /* the resource manager knows how many it really takes, and says so at the start */
		.max_regions = 256,
		.max_lines = UINT32_MAX, /* labels of doorbells, which are any number */
		.gpa_bits = 40,
		.gpa_align = 4096,
		.read_only_memory = true,
		.misses_early_signal = true,
		.doorbells_ignore_width = true,
		.removes_by_address = true,
		.answer_is_fragile = true,
		.eager_vcpus = true,
		.needs_dtb = true,
		.eventfd_goes_first = true,
		.locks_memory = true,
		.writes_memory_node = true,
		.mmio_end = UINT64_C(1) << 30,
	};
	return 0;
}

/* --- VM ----------------------------------------------------------------------------------------------------------- */

static int gunyah_vm_create(struct gh_bvm *vm)
{
	struct gh_gunyah_tree *tree = calloc(1, sizeof(*tree));
	int fd;

	if (tree == NULL)
		return -ENOMEM;
	fd = vm->sys->ioctl(vm->sys, vm->dev, UAPI_GUNYAH_CREATE_VM, 0);
	if (fd < 0) {
		free(tree);
		return gh_fail_why(vm->failure, vm, GH_REQUEST_CREATE_VM, fd, NULL, 0);
	}
	vm->fd = fd;
	vm->priv = tree;
	return 0;
}

static void gunyah_vm_destroy(struct gh_bvm *vm)
{
	gh_gunyah_tree_free(vm->priv);
	free(vm->priv);
	(void)vm->sys->close(vm->sys, vm->fd);
}

/*
 * The kernel keeps a pointer for each page in one piece of its memory, which can have 1024 pages. More: ENOMEM, and a
 * warning of the kernel (section 10.2).
 */
static int check_size(struct gh_bvm *vm, const struct gh_region *region)
{
	uint64_t largest = (uint64_t)vm->page_size * 1024 / sizeof(uint64_t) * vm->page_size;

	if (region->length <= largest)
		return 0;
	return gh_fail_cause(vm->failure, -ENOMEM, GH_CAUSE_LARGE_REGION, "map memory", NULL,
			     "The kernel cannot keep a list of all pages of a region that is larger than %llu MiB.",
			     (unsigned long long)(largest >> 20));
}

static int gunyah_vm_map(struct gh_bvm *vm, const struct gh_region *region)
{
	bool lend = region->state == GH_REGION_TO_LEND;
	struct uapi_gunyah_region arg = {
		.label = region->id,
		.flags = region->prot, /* the same bits, asserted below */
		.gpa = region->gpa,
		.size = region->length,
		.host = (uintptr_t)region->host,
	};
	int ret = check_size(vm, region);

	if (ret < 0)
		return ret;
	ret = gh_sys_ioctl0(vm->sys, vm->fd, lend ? UAPI_GUNYAH_LEND_USER_MEM : UAPI_GUNYAH_SET_USER_MEM, (uintptr_t)&arg);
	if (ret < 0)
		return gh_fail_why(vm->failure, vm, lend ? GH_REQUEST_LEND : GH_REQUEST_MAP, ret, region,
				   lend ? GH_WHEN_LEND : 0);
	return 0;
}

static_assert(GH_MEMORY_READ == UAPI_GUNYAH_MEM_READ && GH_MEMORY_WRITE == UAPI_GUNYAH_MEM_WRITE &&
		      GH_MEMORY_EXEC == UAPI_GUNYAH_MEM_EXEC,
	      "permissions");

/* Nobody can set registers: the guest begins where the region with the devicetree does, with its address in x0. */
static int check_registers(const struct gh_bvm *vm)
{
	const struct gh_region *region = gh_region_find(vm, vm->dtb_gpa, vm->dtb_size);
	const uint64_t known = UINT64_C(1) << GH_REG_PC | UINT64_C(1) << GH_REG_X0;

	if ((vm->registers_set & ~known) != 0)
		return gh_fail_cause(vm->failure, -EOPNOTSUPP, GH_CAUSE_REGISTER, "check the boot registers", NULL,
				     "This Gunyah sets PC and x0 of the boot vCPU, and lets nobody set others.");
	if ((vm->registers_set >> GH_REG_PC & 1) != 0 && vm->registers[GH_REG_PC] != region->gpa)
		return gh_fail_cause(
			vm->failure, -EOPNOTSUPP, GH_CAUSE_REGISTER, "check the boot registers", NULL,
			"This Gunyah begins at 0x%llx, the start of the region with the devicetree, not at 0x%llx.",
			(unsigned long long)region->gpa, (unsigned long long)vm->registers[GH_REG_PC]);
	if ((vm->registers_set >> GH_REG_X0 & 1) != 0 && vm->registers[GH_REG_X0] != vm->dtb_gpa)
		return gh_fail_cause(vm->failure, -EOPNOTSUPP, GH_CAUSE_REGISTER, "check the boot registers", NULL,
				     "This Gunyah gives the guest the devicetree's address, 0x%llx, in x0.",
				     (unsigned long long)vm->dtb_gpa);
	return 0;
}

static int gunyah_vm_check(struct gh_bvm *vm)
{
	int ret = check_registers(vm);

	if (ret < 0)
		return ret;
	gh_gunyah_tree_free(vm->priv); /* of an earlier check */
	return gh_gunyah_tree_read(vm, vm->priv);
}

static int gunyah_vm_set_dtb(struct gh_bvm *vm)
{
	struct uapi_gunyah_range arg = { .gpa = vm->dtb_gpa, .size = vm->dtb_size };
	int ret = gh_sys_ioctl0(vm->sys, vm->fd, UAPI_GUNYAH_SET_DTB, (uintptr_t)&arg);

	return ret < 0 ? gh_fail_why(vm->failure, vm, GH_REQUEST_SET_DTB, ret, NULL, 0) : 0;
}

static int gunyah_vm_start(struct gh_bvm *vm)
{
	int ret = gh_sys_ioctl0(vm->sys, vm->fd, UAPI_GUNYAH_START, 0);

	return ret < 0 ? gh_fail_why(vm->failure, vm, GH_REQUEST_START, ret, NULL, 0) : 0;
}

/* --- functions ---------------------------------------------------------------------------------------------------- */

static int change_function(struct gh_bvm *vm, bool add, uint32_t type, const void *arg, uint32_t size)
{
	struct uapi_gunyah_fn fn = { .type = type, .arg_size = size, .arg = (uintptr_t)arg };

	return vm->sys->ioctl(vm->sys, vm->fd, add ? UAPI_GUNYAH_ADD_FUNCTION : UAPI_GUNYAH_REMOVE_FUNCTION,
			      (uintptr_t)&fn);
}

/* The kernel would take it, drop every interrupt, and break when it goes (section 10.2). */
static int gunyah_irqfd_check(struct gh_bvm *vm, const struct gh_irqfd_spec *spec)
{
	if (gh_gunyah_tree_has_bell(vm->priv, spec->line))
		return 0;
	return gh_fail_cause(vm->failure, -EINVAL, GH_CAUSE_BELL_NOT_IN_TREE, "connect an eventfd to a line", NULL,
			     "The devicetree has no doorbell with the label %u.", spec->line);
}

static int gunyah_irqfd(struct gh_bvm *vm, const struct gh_irqfd_spec *spec, bool on)
{
	struct uapi_gunyah_fn_irqfd arg = {
		.fd = (uint32_t)spec->fd,
		.label = spec->line,
		.flags = spec->level ? UAPI_GUNYAH_IRQFD_LEVEL : 0,
	};
	int ret = change_function(vm, on, UAPI_GUNYAH_FN_IRQFD, &arg, sizeof(arg));

	return ret < 0 ? gh_fail_why(vm->failure, vm, GH_REQUEST_IRQFD, ret, NULL, 0) : 0;
}

static int gunyah_ioevent(struct gh_bvm *vm, const struct gh_ioevent_spec *spec, bool on)
{
	struct uapi_gunyah_fn_ioeventfd arg = {
		.datamatch = spec->value,
		.gpa = spec->gpa,
		.width = spec->width,
		.fd = spec->fd,
		.flags = spec->datamatch ? UAPI_GUNYAH_IOEVENTFD_DATAMATCH : 0,
	};
	int ret = change_function(vm, on, UAPI_GUNYAH_FN_IOEVENTFD, &arg, sizeof(arg));

	return ret < 0 ? gh_fail_why(vm->failure, vm, GH_REQUEST_IOEVENTFD, ret, NULL, 0) : 0;
}

/* --- vCPU --------------------------------------------------------------------------------------------------------- */

static int map_run_page(struct gh_bvcpu *vcpu)
{
	struct gh_sys *sys = vcpu->vm->sys;
	int size = sys->ioctl(sys, vcpu->fd, UAPI_GUNYAH_MMAP_SIZE, 0);

	if (size < 0)
		return gh_fail_why(vcpu->vm->failure, vcpu->vm, GH_REQUEST_RUN_PAGE, size, NULL, 0);
	if ((size_t)size < sizeof(struct uapi_gunyah_run))
		return gh_fail_why(vcpu->vm->failure, vcpu->vm, GH_REQUEST_RUN_PAGE, -EPROTO, NULL, 0);
	/* Exactly this much: the kernel breaks on a touch of a second page (section 10.2). */
	vcpu->run_size = (size_t)size;
	return sys->mmap(sys, NULL, vcpu->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, &vcpu->run);
}

static void remove_vcpu(struct gh_bvcpu *vcpu)
{
	const struct uapi_gunyah_fn_vcpu arg = { .id = vcpu->id };

	/* Before the VM goes: a vCPU that the devicetree lacks would break the kernel then (section 10.2). */
	if (!vcpu->vm->in_child)
		(void)change_function(vcpu->vm, false, UAPI_GUNYAH_FN_VCPU, &arg, sizeof(arg));
	(void)vcpu->vm->sys->close(vcpu->vm->sys, vcpu->fd);
	vcpu->fd = -1;
}

static int gunyah_vcpu_create(struct gh_bvcpu *vcpu)
{
	const struct uapi_gunyah_fn_vcpu arg = { .id = vcpu->id };
	const struct gh_gunyah_tree *tree = vcpu->vm->priv;
	struct uapi_gunyah_run *page;
	int ret;

	if (vcpu->id >= tree->n_cpus)
		return gh_fail_cause(vcpu->vm->failure, -EINVAL, GH_CAUSE_VCPU_NOT_IN_TREE, "create a vCPU", NULL,
				     "vCPU %u has no node in the devicetree, which has %u enabled cpu nodes.", vcpu->id,
				     tree->n_cpus);
	ret = change_function(vcpu->vm, true, UAPI_GUNYAH_FN_VCPU, &arg, sizeof(arg));
	if (ret < 0)
		return gh_fail_why(vcpu->vm->failure, vcpu->vm, GH_REQUEST_ADD_VCPU, ret, NULL, 0);
	vcpu->fd = ret;
	ret = map_run_page(vcpu);
	if (ret < 0) {
		remove_vcpu(vcpu);
		return ret;
	}
	page = vcpu->run;
	vcpu->immediate_exit = &page->immediate_exit;
	/* `data` alone: the kernel keeps its own copy of address and width (H4), and takes the first `width` bytes. */
	vcpu->answer = page->u.mmio.data;
	return 0;
}

static void gunyah_vcpu_destroy(struct gh_bvcpu *vcpu)
{
	(void)vcpu->vm->sys->munmap(vcpu->vm->sys, vcpu->run, vcpu->run_size);
	remove_vcpu(vcpu);
}

static __attribute__((noinline, cold)) int page_is_broken(struct gh_bvcpu *vcpu)
{
	const struct uapi_gunyah_run *page = vcpu->run;

	return gh_fail(vcpu->failure, -EPROTO, "run a vCPU", REQUEST("GH_VCPU_RUN", "0x4705"),
		       "Report it to the kernel's authors; the vCPU cannot go on.",
		       "The run page breaks the kernel's interface: reason %u, address 0x%llx, width %u.",
		       page->exit_reason, (unsigned long long)page->u.mmio.gpa, page->u.mmio.width);
}

/* An entry that ended with anything but a load or a store. */
static __attribute__((noinline, cold)) int conclude(struct gh_bvcpu *vcpu, int ret)
{
	const struct uapi_gunyah_run *page = vcpu->run;

	if (ret > 0)
		return -EPROTO;
	if (ret < 0 && (ret != -EINTR || page->exit_reason == UAPI_GUNYAH_EXIT_UNKNOWN))
		return ret;
	ret = gh_gunyah_decode(page, &vcpu->exit);
	return ret < 0 ? page_is_broken(vcpu) : 0;
}

/*
 * The kernel compares a data match with all of the guest's register, not with what the store writes of it (section 10.3 of
 * the Gunyah UAPI document), and hands on as an exit what should have rung; so it does while the doorbells of an address are
 * removed and added again. It never hands on what did ring.
 */
static bool rings(struct gh_bvcpu *vcpu)
{
	const struct gh_exit *exit = &vcpu->exit;

	return exit->kind == GH_EXIT_MMIO && exit->mmio.is_store &&
	       gh_ioevent_signal(vcpu->vm, exit->mmio.gpa, exit->mmio.width, exit->mmio.value);
}

static inline int run_once(struct gh_bvcpu *vcpu)
{
	struct uapi_gunyah_run *page = vcpu->run;
	struct gh_sys *sys = vcpu->vm->sys;
	int ret;

	/* H2: whatever stands here afterwards is new, even after EINTR. */
	page->exit_reason = UAPI_GUNYAH_EXIT_UNKNOWN;
	page->u.mmio.resume_action = 0;
	GH_POINT(PAGE_CLEARED);
	ret = sys->enter(sys, vcpu->fd, UAPI_GUNYAH_RUN, 0, vcpu->kicked);
	GH_POINT(PAGE_RETURNED);
	if (ret != 0 || *(const volatile uint32_t *)&page->exit_reason != UAPI_GUNYAH_EXIT_MMIO)
		return conclude(vcpu, ret);
	return gh_gunyah_decode_mmio(page, &vcpu->exit) < 0 ? page_is_broken(vcpu) : 0;
}

static __attribute__((noinline)) int run_past_bells(struct gh_bvcpu *vcpu)
{
	int ret = 0;

	while (ret == 0 && rings(vcpu)) {
		ret = run_once(vcpu);
		/* The first entry has taken the answer: this is an interruption like any other. */
		if (ret == -ECANCELED)
			ret = -EINTR;
	}
	return ret;
}

static int gunyah_vcpu_run(struct gh_bvcpu *vcpu)
{
	int ret = run_once(vcpu);

	if (__atomic_load_n(&vcpu->vm->n_matches, __ATOMIC_RELAXED) != 0 && ret == 0)
		ret = run_past_bells(vcpu);
	return ret;
}

const struct gh_backend gh_backend_gunyah = {
	.name = "gunyah",
	.device = UAPI_GUNYAH_DEVICE,
	.whys = &gh_gunyah_whys,
	.probe = gunyah_probe,
	.vm_create = gunyah_vm_create,
	.vm_destroy = gunyah_vm_destroy,
	.vm_map = gunyah_vm_map,
	.vm_check = gunyah_vm_check,
	.vm_set_dtb = gunyah_vm_set_dtb,
	.vm_start = gunyah_vm_start,
	.vcpu_create = gunyah_vcpu_create,
	.vcpu_destroy = gunyah_vcpu_destroy,
	.vcpu_run = gunyah_vcpu_run,
	.irqfd_check = gunyah_irqfd_check,
	.irqfd = gunyah_irqfd,
	.ioevent = gunyah_ioevent,
	.fdt = gh_gunyah_fdt,
};
