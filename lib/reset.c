/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A VM anew: the kernel's is closed, another one opened, and what was configured given to it. No hypervisor can bring a guest
 * back to its beginning in the VM that it has.
 */
#include "diagnosis.h"
#include "kick.h"
#include "resample.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define STEP "reset the VM"

/*
 * Gunyah's kernel takes a VM down in the background, and counts its memory as locked until it has: for so long it may be too
 * much for the next VM, or not be had by it.
 */
#define NAP_NS 1000000L
#define NAPS 2000u

static void nap(struct gh_sys *sys)
{
	const struct timespec time = { .tv_sec = 0, .tv_nsec = NAP_NS };

	(void)sys->ppoll(sys, NULL, 0, &time);
}

/* --- the kernel's VM ---------------------------------------------------------------------------------------------------- */

static int hand_over_again(struct gh_vm *vm, struct gh_region *region)
{
	int ret = gh_region_hand_over(vm, region);

	for (unsigned int i = 0; ret == -ENOMEM && gh_is_quirky(&vm->b, GH_QUIRK_LOCKS_MEMORY) && i < NAPS; i++) {
		nap(vm->b.sys);
		ret = gh_region_hand_over(vm, region);
	}
	return ret;
}

/* Of a kernel that locks memory when it is given, and takes a VM down in the background; 0: unknown. */
static uint64_t count_locked(const struct gh_vm *vm)
{
	if (vm->gone || !gh_is_quirky(&vm->b, GH_QUIRK_LOCKS_MEMORY) || gh_can(&vm->b, GH_FEATURE_DEMAND_PAGING))
		return 0;
	return gh_locked_memory(vm->b.sys);
}

/*
 * Until the kernel has taken the memory back from the VM before: no hypervisor need give the same pages to two VMs. Who had
 * locked less than the VM's memory is told nothing by these counts, a simulated device for one.
 */
static void await_memory(struct gh_vm *vm, uint64_t locked)
{
	uint64_t length = 0;

	for (uint32_t i = 0; i < vm->b.n_regions; i++)
		length += vm->regions[i]->length;
	if (length == 0 || length > locked)
		return;
	for (unsigned int i = 0; gh_locked_memory(vm->b.sys) > locked - length && i < NAPS; i++)
		nap(vm->b.sys);
}

static void close_vm(struct gh_vm *vm)
{
	uint64_t locked = count_locked(vm);

	if (!vm->gone)
		vm->b.ops->vm_destroy(&vm->b);
	vm->gone = true;
	vm->b.fd = -1;
	vm->b.priv = NULL;
	vm->b.spoilt = false;
	await_memory(vm, locked);
}

static int open_vm(struct gh_vm *vm, const char *step)
{
	int ret = vm->b.ops->vm_create(&vm->b);

	if (ret < 0) {
		if (vm->failure.error == 0)
			(void)gh_fail_request(&vm->failure, ret, step, "create a VM");
		return ret;
	}
	vm->gone = false;
	for (uint32_t i = 0; i < vm->b.n_regions; i++) {
		vm->regions[i]->slot = i;
		ret = hand_over_again(vm, vm->regions[i]);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int gh_vm_renew(struct gh_vm *vm, const char *step)
{
	int ret;

	/* First the state: nobody asks a VM that is not there. */
	atomic_store(&vm->state, GH_VM_BROKEN);
	close_vm(vm);
	vm->failure.error = 0;
	ret = open_vm(vm, step);
	if (ret == 0)
		atomic_store(&vm->state, GH_VM_OPEN);
	return ret;
}

/* --- what the guest may not see of the one before ----------------------------------------------------------------------- */

/* A vCPU that is claimed is not run by anybody until it is let go. False: a thread is in it. */
static bool claim(struct gh_vcpu *vcpu)
{
	uint64_t out = GH_OUT;

	return atomic_compare_exchange_strong(&vcpu->where, &out, GH_BUSY);
}

static void let_go(struct gh_vm *vm, const struct gh_vcpu *end)
{
	for (struct gh_vcpu *vcpu = vm->vcpus; vcpu != end; vcpu = vcpu->next)
		atomic_store(&vcpu->where, GH_OUT);
}

static int claim_all(struct gh_vm *vm)
{
	for (struct gh_vcpu *vcpu = vm->vcpus; vcpu != NULL; vcpu = vcpu->next) {
		if (claim(vcpu))
			continue;
		let_go(vm, vcpu);
		return gh_fail(&vm->failure, -EBUSY, STEP, NULL,
			       "Let the runs of all vCPUs end before (gh_vm_quit(), gh_vcpu_kick()).",
			       "A thread is inside a run of vCPU %u.", vcpu->b.id);
	}
	return 0;
}

/* Another thread may be answering at this moment; it is done soon. */
static void forget_exit(struct gh_vcpu *vcpu)
{
	enum gh_pending pending = atomic_load(&vcpu->live->pending);

	while (pending == GH_PENDING_BEING_ANSWERED ||
	       !atomic_compare_exchange_weak(&vcpu->live->pending, &pending, GH_PENDING_NOTHING)) {
		nap(vcpu->vm->b.sys);
		pending = atomic_load(&vcpu->live->pending);
	}
}

static void empty(struct gh_vcpu *vcpu)
{
	struct gh_bvcpu *b = &vcpu->b;

	forget_exit(vcpu);
	/* Whoever runs it next looks at the VM's state first. */
	atomic_store(&vcpu->live->owner, 0);
	gh_kick_set_entry(vcpu, GH_INSIDE);
	if (vcpu->made)
		vcpu->vm->b.ops->vcpu_destroy(b);
	vcpu->made = false;
	b->fd = -1;
	b->immediate_exit = NULL;
	b->answer = NULL;
	b->run = NULL;
	b->run_size = 0;
	b->priv = NULL;
	memset(&b->exit, 0, sizeof(b->exit));
}

/* The end's nudge with the end; a pause has one, too, and still wants it. */
static void forget_end(struct gh_vm *vm)
{
	atomic_store(&vm->end_state, GH_END_NONE);
	gh_eventfd_drain(vm->b.sys, vm->end_fd);
	atomic_store(&vm->quitting, GH_QUIT_NOT);
	for (struct gh_vcpu *vcpu = vm->vcpus; vcpu != NULL; vcpu = vcpu->next) {
		gh_kick_take_nudge(vcpu);
		gh_kick_remind(vcpu);
	}
}

/* --- reset -------------------------------------------------------------------------------------------------------------- */

static int check(struct gh_vm *vm)
{
	for (uint32_t i = 0; i < vm->b.n_regions; i++)
		if (vm->regions[i]->state == GH_REGION_LENT)
			return gh_fail(&vm->failure, -EOPNOTSUPP, STEP, NULL,
				       "Close the VM, and open another one with other memory.",
				       "Region %u was lent to the guest: what is in it is lost, and the kernel may hold it "
				       "until some time after the VM is closed.",
				       vm->regions[i]->map);
	return 0;
}

/* With all vCPUs claimed. */
static int reset(struct gh_vm *vm)
{
	/* In the order of gh_vm_close(). The courier and the resampler stay: they have nothing to do. */
	gh_ioevents_deactivate(vm);
	gh_irqfds_deactivate(vm);
	gh_irqs_deactivate(vm);
	for (struct gh_vcpu *vcpu = vm->vcpus; vcpu != NULL; vcpu = vcpu->next)
		empty(vcpu);
	forget_end(vm);
	vm->b.gic_redistributors = vm->wanted_redistributors;
	return gh_vm_renew(vm, STEP);
}

/* Under the lock, and instead of gh_vm_run(). */
static int claim_and_reset(struct gh_vm *vm)
{
	int ret = check(vm);

	if (ret == 0)
		ret = claim_all(vm);
	if (ret < 0)
		return ret;
	ret = reset(vm);
	let_go(vm, NULL);
	return ret;
}

/* gh_vm_run() makes its threads before these have their vCPUs. */
static int reset_unless_run(struct gh_vm *vm)
{
	int ret;

	if (atomic_exchange(&vm->running, true))
		return gh_fail(&vm->failure, -EBUSY, STEP, NULL, "Let it return before (gh_vm_quit()).",
			       "A thread is inside gh_vm_run().");
	ret = claim_and_reset(vm);
	atomic_store(&vm->running, false);
	return ret;
}

int gh_vm_reset(struct gh_vm *vm)
{
	int ret;

	if (vm == NULL)
		return -EINVAL;
	if (gh_vm_is_forked(vm))
		return gh_fail_forked(vm);
	(void)pthread_mutex_lock(&vm->lock);
	vm->failure.error = 0;
	ret = reset_unless_run(vm);
	if (ret < 0)
		gh_vm_log(vm, "%s: %s %s", vm->failure.step, vm->failure.cause, vm->failure.remedy);
	(void)pthread_mutex_unlock(&vm->lock);
	return ret;
}
