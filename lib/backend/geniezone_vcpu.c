/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vCPUs of GenieZone and Halla. The run buffer is ours, and copied in and out by every RUN.
 *
 * Handled here: H2 (the exit reason is cleared before each entry, and another one after EINTR is an exit, unless the kernel
 * has handled it already: section 9 of the GenieZone UAPI document), H3 (the copy-out overwrites the immediate-exit byte
 * of others; only the handler on the vCPU's own thread sets it).
 */
#include "geniezone.h"

#include "../diagnosis.h"
#include "../exit.h"
#include "../points.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <gh/vm.h>

/* Exception level 1 with its own stack, interrupts masked: how arm64 guests begin. */
#define BOOT_PSTATE UINT64_C(0x3c5)

/* A function that is called at once has this bit (SMC calling convention). */
#define FAST_CALL UINT64_C(0x80000000)

static int set_register(struct gh_bvcpu *vcpu, uint64_t id, uint64_t value)
{
	const struct uapi_gzvm_one_reg arg = { .id = id, .host = (uintptr_t)&value };

	return gh_sys_ioctl0(vcpu->vm->sys, vcpu->fd, gh_gz_abi(vcpu->vm)->requests[GH_GZ_SET_ONE_REG], (uintptr_t)&arg);
}

static void close_vcpu(struct gh_bvcpu *vcpu)
{
	(void)vcpu->vm->sys->close(vcpu->vm->sys, vcpu->fd);
	vcpu->fd = -1;
	free(vcpu->run);
	vcpu->run = NULL;
}

int gh_gz_vcpu_create(struct gh_bvcpu *vcpu)
{
	const struct gh_gz_abi *abi = gh_gz_abi(vcpu->vm);
	struct uapi_gzvm_run *run = calloc(1, sizeof(*run));
	int ret;

	if (run == NULL)
		return -ENOMEM;
	ret = vcpu->vm->sys->ioctl(vcpu->vm->sys, vcpu->vm->fd, abi->requests[GH_GZ_CREATE_VCPU], vcpu->id);
	if (ret < 0) {
		free(run);
		return gh_diagnose(vcpu->vm->failure, vcpu->vm, GH_REQUEST_ADD_VCPU, ret, NULL);
	}
	vcpu->fd = ret;
	vcpu->run = run;
	vcpu->run_size = sizeof(*run);
	vcpu->immediate_exit = &run->immediate_exit;
	vcpu->answer = run->u.mmio.data; /* the hypervisor looks at the first `width` bytes */
	ret = set_register(vcpu, UAPI_GZVM_REG_PSTATE, BOOT_PSTATE);
	/* Some kernels let nobody set registers of other vCPUs than the first; PSCI sets them anyway. */
	if (ret < 0 && vcpu->id == 0) {
		close_vcpu(vcpu);
		return gh_diagnose(vcpu->vm->failure, vcpu->vm, GH_REQUEST_SET_REGISTER, ret, NULL);
	}
	return 0;
}

void gh_gz_vcpu_destroy(struct gh_bvcpu *vcpu)
{
	close_vcpu(vcpu);
}

int gh_gz_vcpu_set_register(struct gh_bvcpu *vcpu, uint32_t reg, uint64_t value)
{
	uint64_t id = UAPI_GZVM_REG_X(reg);
	int ret;

	/* Firmware begins where it likes, and goes on where x1 says. */
	if (reg == GH_REG_PC && vcpu->vm->firmware_size != 0) {
		if ((vcpu->vm->registers_set >> (GH_REG_X0 + 1) & 1) != 0)
			return 0;
		reg = GH_REG_X0 + 1;
		id = UAPI_GZVM_REG_X(1);
	}
	if (reg == GH_REG_SP)
		id = UAPI_GZVM_REG_SP_EL1; /* that of BOOT_PSTATE */
	else if (reg == GH_REG_PC)
		id = UAPI_GZVM_REG_PC;
	ret = set_register(vcpu, id, value);
	return ret < 0 ? gh_diagnose(vcpu->vm->failure, vcpu->vm, GH_REQUEST_SET_REGISTER, ret, NULL) : 0;
}

/* --- running ------------------------------------------------------------------------------------------------------ */

static bool was_handled_exception(struct gh_bvm *vm, const struct uapi_gzvm_run *run, const struct gh_exit *exit)
{
	const struct uapi_gzvm_exception *exception = &run->u.exception;
	const size_t words = sizeof(exception->reserved) / sizeof(exception->reserved[0]);

	for (size_t i = 0; i < words && gh_is_quirky(vm, GH_QUIRK_SHOWS_HANDLED_EXCEPTIONS); i++)
		if (exception->reserved[i] != 0)
			return true;
	return exit->kind == GH_EXIT_PAGE_FAULT && gh_is_quirky(vm, GH_QUIRK_SHOWS_HANDLED_EXITS) &&
	       gh_region_find(vm, exit->fault.gpa, 1) != NULL;
}

/*
 * A kernel that answers the guest's question for the time puts the answer where the function was. Its first word is small
 * for the next two centuries, and no function that is called at once.
 */
static bool was_answered(struct gh_bvm *vm, uint64_t function)
{
	if (function == UAPI_GZVM_HVC_MEM_RELINQUISH)
		return gh_is_quirky(vm, GH_QUIRK_SHOWS_HANDLED_EXITS);
	return gh_is_quirky(vm, GH_QUIRK_SHOWS_ANSWERED_TIME) && (function & FAST_CALL) == 0;
}

/* What the kernel leaves in the buffer with EINTR can be an exit that it has handled itself. */
static bool was_handled(struct gh_bvm *vm, const struct uapi_gzvm_run *run, const struct gh_exit *exit, uint32_t changes)
{
	switch (exit->kind) {
	case GH_EXIT_MMIO:
		return exit->mmio.is_store &&
		       gh_ioevent_was_rung(vm, exit->mmio.gpa, exit->mmio.width, exit->mmio.value, changes);
	case GH_EXIT_PAGE_FAULT:
	case GH_EXIT_EXCEPTION:
		return was_handled_exception(vm, run, exit);
	case GH_EXIT_HYPERCALL:
		return was_answered(vm, exit->hypercall.args[0]);
	default:
		return false;
	}
}

static __attribute__((noinline, cold)) int run_is_broken(struct gh_bvcpu *vcpu)
{
	const struct uapi_gzvm_run *run = vcpu->run;

	return gh_fail(vcpu->failure, -EPROTO, "run a vCPU", vcpu->vm->ops->diagnoses->names[GH_REQUEST_RUN],
		       "Report it to the kernel's authors; the vCPU cannot go on.",
		       "The run buffer breaks the kernel's interface: reason 0x%x, address 0x%llx, width %llu.",
		       run->exit_reason, (unsigned long long)run->u.mmio.gpa, (unsigned long long)run->u.mmio.width);
}

/* Where the kernel says nothing, the buffer holds what was there before. */
static void forget_address(struct gh_exit *exit)
{
	if (exit->kind == GH_EXIT_PAGE_FAULT)
		exit->fault.gpa = UINT64_MAX;
	else if (exit->kind == GH_EXIT_EXCEPTION)
		exit->exception.gpa = 0;
}

/*
 * A kernel that wants zeros there refuses what it has handed out itself, if the hypervisor has written to the page: the guest
 * has not run, and its answer is where it was.
 */
static bool has_lost_zeros(struct uapi_gzvm_run *run)
{
	if ((run->padding[0] | run->padding[1] | run->padding[2]) == 0)
		return false;
	memset(run->padding, 0, sizeof(run->padding));
	return true;
}

/* An entry that ended with anything but a load or a store. */
static __attribute__((noinline, cold)) int conclude(struct gh_bvcpu *vcpu, int entered)
{
	const struct gh_gz_abi *abi = gh_gz_abi(vcpu->vm);
	struct uapi_gzvm_run *run = vcpu->run;
	uint32_t code = run->exit_reason;
	int ret;

	if (entered > 0)
		return -EPROTO;
	if (entered == -EINVAL && has_lost_zeros(run))
		return -EAGAIN;
	if (entered < 0 && (entered != -EINTR || code == 0))
		return entered;
	/* The hypervisor's own call has failed, which the kernel does not tell: the guest has not run (section 3.4). */
	if (code == 0)
		return -EBUSY;
	if (abi->own_code != NULL)
		code = abi->own_code(code);
	ret = gh_geniezone_decode_as(run, code, &vcpu->exit);
	if (ret == -EPROTO)
		return run_is_broken(vcpu);
	if (gh_is_quirky(vcpu->vm, GH_QUIRK_NO_FAULT_ADDRESS))
		forget_address(&vcpu->exit);
	if (entered == -EINTR && (ret == -EAGAIN || was_handled(vcpu->vm, run, &vcpu->exit, vcpu->changes)))
		return -EINTR;
	return ret < 0 ? ret : gh_exit_result(&vcpu->exit);
}

/* Once for each set of numbers, which are constants of the code then. */
static inline __attribute__((always_inline)) int enter(struct gh_bvcpu *vcpu, unsigned long request, uint32_t mmio)
{
	struct uapi_gzvm_run *run = vcpu->run;
	struct gh_sys *sys = vcpu->vm->sys;
	int ret;

	vcpu->changes = __atomic_load_n(&vcpu->vm->n_changes, __ATOMIC_RELAXED);
	/* H2: whatever stands here afterwards is new, even after EINTR; 0 also tells a RUN that never reached the guest. */
	run->exit_reason = 0;
	GH_POINT(PAGE_CLEARED);
	ret = sys->enter(sys, vcpu->fd, request, (uintptr_t)run, vcpu->kicked);
	GH_POINT(PAGE_RETURNED);
	run = vcpu->run; /* the same, and no register that has to be kept meanwhile */
	if (ret != 0 || run->exit_reason != mmio)
		return conclude(vcpu, ret);
	return gh_geniezone_decode_mmio(run, &vcpu->exit) < 0 ? run_is_broken(vcpu) : 0;
}

int gh_geniezone_vcpu_run(struct gh_bvcpu *vcpu)
{
	return enter(vcpu, UAPI_GZVM_RUN, UAPI_GZVM_EXIT_MMIO);
}

int gh_halla_vcpu_run(struct gh_bvcpu *vcpu)
{
	return enter(vcpu, UAPI_HALLA_RUN, UAPI_HALLA_EXIT_MMIO);
}

void gh_gz_vcpu_answer_hypercall(struct gh_bvcpu *vcpu, const uint64_t results[4])
{
	struct uapi_gzvm_run *run = vcpu->run;

	memcpy(run->u.hypercall.args, results, 4 * sizeof(results[0]));
}
