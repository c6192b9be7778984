/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vCPU: its page, which is shared with the kernel, and its runs.
 *
 * Handled here: H1 (an answer is fragile: the quirk says so, kick.c heeds it), H2 (the exit reason is cleared before each
 * entry, and a non-zero one after EINTR is an exit), EBUSY while a VM goes down (the core asks again), and kernels that say
 * nothing at a VM's end.
 */
#include "gunyah.h"

#include "../points.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define STEP_CREATE "create a vCPU"

/* --- making ------------------------------------------------------------------------------------------------------- */

static int map_run_page(struct gh_bvcpu *vcpu)
{
	struct gh_sys *sys = vcpu->vm->sys;
	int size = sys->ioctl(sys, vcpu->fd, UAPI_GUNYAH_MMAP_SIZE, 0);

	if (size < 0)
		return gh_diagnose(vcpu->vm->failure, vcpu->vm, GH_REQUEST_RUN_PAGE, size, NULL);
	if ((size_t)size < sizeof(struct uapi_gunyah_run))
		return gh_diagnose(vcpu->vm->failure, vcpu->vm, GH_REQUEST_RUN_PAGE, -EPROTO, NULL);
	/* Exactly this much: the kernel breaks on a touch of a second page (section 10.2). */
	vcpu->run_size = (size_t)size;
	return sys->mmap(sys, NULL, vcpu->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, &vcpu->run);
}

static void remove_vcpu(struct gh_bvcpu *vcpu)
{
	const struct uapi_gunyah_fn_vcpu arg = { .id = vcpu->id };

	/* Before the VM goes: a vCPU that the devicetree lacks would break the kernel then (section 10.2). */
	if (!vcpu->vm->in_child)
		(void)gh_gunyah_remove_function(vcpu->vm, UAPI_GUNYAH_FN_VCPU, &arg, sizeof(arg));
	(void)vcpu->vm->sys->close(vcpu->vm->sys, vcpu->fd);
	vcpu->fd = -1;
}

int gh_gunyah_vcpu_create(struct gh_bvcpu *vcpu)
{
	const struct uapi_gunyah_fn_vcpu arg = { .id = vcpu->id };
	const struct gh_gunyah_tree *tree = vcpu->vm->priv;
	struct uapi_gunyah_run *page;
	int ret;

	if (vcpu->id >= tree->n_cpus)
		return gh_fail_cause(vcpu->vm->failure, -EINVAL, GH_CAUSE_VCPU_NOT_IN_TREE, STEP_CREATE, NULL,
				     "vCPU %u has no node in the devicetree, which has %u cpu nodes.", vcpu->id,
				     tree->n_cpus);
	ret = gh_gunyah_add_function(vcpu->vm, UAPI_GUNYAH_FN_VCPU, &arg, sizeof(arg));
	if (ret < 0)
		return gh_diagnose(vcpu->vm->failure, vcpu->vm, GH_REQUEST_ADD_VCPU, ret, NULL);
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

void gh_gunyah_vcpu_destroy(struct gh_bvcpu *vcpu)
{
	(void)vcpu->vm->sys->munmap(vcpu->vm->sys, vcpu->run, vcpu->run_size);
	remove_vcpu(vcpu);
}

/* --- running ------------------------------------------------------------------------------------------------------ */

static __attribute__((noinline, cold)) int page_is_broken(struct gh_bvcpu *vcpu)
{
	const struct uapi_gunyah_run *page = vcpu->run;

	return gh_fail(vcpu->failure, -EPROTO, "run a vCPU", GH_GUNYAH_REQUEST("GH_VCPU_RUN", "0x4705"),
		       "Report it to the kernel's authors; the vCPU cannot go on.",
		       "The run page breaks the kernel's interface: reason %u, address 0x%llx, width %u.",
		       page->exit_reason, (unsigned long long)page->u.mmio.gpa, page->u.mmio.width);
}

/*
 * Some kernels have a vCPU only while the guest has switched it on (section 4, 22): others let it sleep until then. Of the boot
 * vCPU it is an error.
 */
static bool may_be_off(const struct gh_bvcpu *vcpu, int ret)
{
	return ret == -ENODEV && vcpu->id != 0;
}

/*
 * Kernels without an exit for a VM's end: RUN sleeps on, or says ENODEV if it finds the VM in another state; when it is
 * interrupted START may tell, which has nothing to do for a VM that runs. How the VM ended nobody knows.
 */
static int conclude_silently(struct gh_bvcpu *vcpu, int ret)
{
	/* immediate_exit makes the first of them return 0. */
	if (ret == 0)
		ret = -EINTR;
	if (ret == -EINTR || may_be_off(vcpu, ret)) {
		bool is_over = vcpu->vm->sys->ioctl(vcpu->vm->sys, vcpu->vm->fd, UAPI_GUNYAH_START, 0) == -ENODEV;

		if (!is_over)
			return ret == -EINTR ? ret : gh_await_power(vcpu);
		ret = -ENODEV;
	}
	if (ret != -ENODEV)
		return ret;
	vcpu->exit.raw_reason = UAPI_GUNYAH_EXIT_UNKNOWN;
	gh_exit_set_stop(&vcpu->exit, GH_STOP_OTHER, 0, 0);
	return GH_RAN_TO_OTHER;
}

/* An entry that ended with anything but a load or a store. */
static __attribute__((noinline, cold)) int conclude(struct gh_bvcpu *vcpu, int ret)
{
	struct uapi_gunyah_run *page = vcpu->run;
	bool nothing = *(const volatile uint32_t *)&page->exit_reason == UAPI_GUNYAH_EXIT_UNKNOWN;

	if (ret > 0)
		return -EPROTO;
	if (ret == -ECANCELED)
		return ret;
	/* What stands there was for an access that is over. */
	page->u.mmio.resume_action = UAPI_GUNYAH_RESUME_HANDLED;
	if (gh_is_quirky(vcpu->vm, GH_QUIRK_NO_END_EXIT) && nothing)
		return conclude_silently(vcpu, ret);
	if (nothing && may_be_off(vcpu, ret))
		return gh_await_power(vcpu);
	if (ret < 0 && (ret != -EINTR || nothing))
		return ret;
	ret = gh_gunyah_decode(page, &vcpu->exit);
	return ret < 0 ? page_is_broken(vcpu) : gh_exit_result(&vcpu->exit);
}

/*
 * The kernel compares a data match with all of the guest's register, not with what the store writes of it (section 10.3 of
 * the Gunyah UAPI document), and hands on as an exit what should have rung; so it does while the doorbells of an address are
 * removed and added again. It never hands on what did ring.
 */
static bool rings(struct gh_bvcpu *vcpu)
{
	const struct gh_exit *exit = &vcpu->exit;

	return exit->mmio.is_store && gh_ioevent_signal(vcpu->vm, exit->mmio.gpa, exit->mmio.width, exit->mmio.value);
}

static inline int run_once(struct gh_bvcpu *vcpu)
{
	struct uapi_gunyah_run *page = vcpu->run;
	struct gh_sys *sys = vcpu->vm->sys;
	int ret;

	/* H2: whatever stands here afterwards is new, even after EINTR. */
	page->exit_reason = UAPI_GUNYAH_EXIT_UNKNOWN;
	GH_POINT(PAGE_CLEARED);
	ret = sys->enter(sys, vcpu->fd, UAPI_GUNYAH_RUN, 0, vcpu->kicked);
	GH_POINT(PAGE_RETURNED);
	page = vcpu->run; /* the same, and no register that has to be kept meanwhile */
	if (ret != 0 || page->exit_reason != UAPI_GUNYAH_EXIT_MMIO)
		return conclude(vcpu, ret);
	/* Not before the entry, which takes what gh_gunyah_vcpu_abort() has written. */
	page->u.mmio.resume_action = UAPI_GUNYAH_RESUME_HANDLED;
	return gh_gunyah_decode_mmio(page, &vcpu->exit) < 0 ? page_is_broken(vcpu) : 0;
}

static __attribute__((noinline)) int run_past_bells(struct gh_bvcpu *vcpu)
{
	int ret = 0;

	while (ret == GH_RAN_TO_ACCESS && rings(vcpu)) {
		ret = run_once(vcpu);
		/* The first entry has taken the answer: this is an interruption like any other. */
		if (ret == -ECANCELED)
			ret = -EINTR;
	}
	return ret;
}

int gh_gunyah_vcpu_run(struct gh_bvcpu *vcpu)
{
	int ret = run_once(vcpu);

	if (ret == 0 && vcpu->exit.mmio.is_store != 0 && __atomic_load_n(&vcpu->vm->n_matches, __ATOMIC_RELAXED) != 0)
		ret = run_past_bells(vcpu);
	return ret;
}

int gh_gunyah_vcpu_abort(struct gh_bvcpu *vcpu)
{
	struct uapi_gunyah_run *page = vcpu->run;

	page->u.mmio.resume_action = UAPI_GUNYAH_RESUME_FAULT;
	return 0;
}
