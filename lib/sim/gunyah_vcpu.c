/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vCPU functions and RUN, in the steps of section 3.5 of the Gunyah UAPI document.
 *
 * The hazards are the point of this file. H1: the answer of a load is taken off the page before immediate_exit and signals
 * are looked at, so a call that ends there has lost it. H2: signals are looked at once more at the end, when an exit may be
 * in the page already. H3: immediate_exit stays as user space left it.
 */
#include "../points.h"
#include "gunyah_exit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Not an errno of user space: a signal ended the call, which may be made again. */
#define RESTART 512
/* Where the kernel copies a completion to before v9, whatever the page says of its size. */
#define COMPLETION_ROOM 24u

static bool is_immediate(const struct gunyah_vcpu *vcpu)
{
	return __atomic_load_n(&gunyah_page_of(vcpu)->immediate_exit, __ATOMIC_SEQ_CST) != 0;
}

/* Before v9: the page says what it was, how long, and whether there is anything to take. */
static void complete_by_page(struct gunyah_call *call)
{
	struct gunyah_vm *vm = call->vcpu->vm;
	struct uapi_gunyah_run *page = gunyah_page_of(call->vcpu);
	uint32_t width = page->u.mmio.width;

	if (page->u.mmio.is_write == 0 && width > COMPLETION_ROOM)
		sim_machine_breakage(vm->sim,
				     "RUN with a load's width of more than 24 bytes in the page: the kernel copies "
				     "that much over its own stack.");
	if (page->u.mmio.is_write == 0)
		memcpy(call->answer, page->u.mmio.data, width < sizeof(call->answer) ? width : sizeof(call->answer));
	page->exit_reason = UAPI_GUNYAH_EXIT_UNKNOWN;
}

/* What user space wants done with the access that it was told of. */
static int complete_access(struct gunyah_call *call)
{
	const struct gunyah_revision *revision = call->vcpu->vm->revision;
	const struct uapi_gunyah_mmio *mmio = &gunyah_page_of(call->vcpu)->u.mmio;

	if (revision->trusts_page) {
		complete_by_page(call);
		return 0;
	}
	if (revision->resumes) {
		if (mmio->resume_action > UAPI_GUNYAH_RESUME_RETRY ||
		    (mmio->resume_action == UAPI_GUNYAH_RESUME_RETRY && !revision->resumes_retry))
			return -EINVAL;
		call->action = mmio->resume_action;
	}
	if (call->vcpu->state == GUNYAH_VCPU_LOAD && call->action == UAPI_GUNYAH_RESUME_HANDLED)
		memcpy(call->answer, mmio->data, call->vcpu->load_width);
	return 0;
}

/* Takes what user space left in the page. 0, and `ret_runs` false if there is nothing to run. */
static int resume(struct gunyah_call *call, bool *ret_runs)
{
	struct gunyah_vcpu *vcpu = call->vcpu;
	int ret = 0;

	*ret_runs = false;
	switch (vcpu->state) {
	case GUNYAH_VCPU_DOWN:
		return 0;
	case GUNYAH_VCPU_UNKNOWN:
		if (vcpu->vm->state != GUNYAH_RUNNING && vcpu->vm->revision->reports_end) {
			gunyah_report_end(call);
			return 0;
		}
		break;
	case GUNYAH_VCPU_LOAD:
	case GUNYAH_VCPU_STORE:
		ret = complete_access(call);
		break;
	case GUNYAH_VCPU_READY:
		break;
	}
	if (ret < 0)
		return ret;
	vcpu->state = GUNYAH_VCPU_READY;
	*ret_runs = true;
	return 0;
}

/* With the run lock. */
static int run_loop(struct gunyah_call *call)
{
	struct gunyah_vm *vm = call->vcpu->vm;
	bool runs;
	int ret;

	if (call->vcpu->cpu == NULL)
		return -ENODEV;
	ret = resume(call, &runs);
	if (ret < 0 || !runs)
		return ret;
	GH_POINT(GUNYAH_TAKEN);
	/* The completion is gone by now. */
	if (vm->revision->owner_runs && getpid() != vm->creator)
		return -EPERM;
	while (ret == 0 && !call->has_exit && !sim_signals_pending(call->signals)) {
		if (is_immediate(call->vcpu))
			return vm->revision->immediate_is_0 ? 0 : -EINTR;
		GH_POINT(GUNYAH_LOOPS);
		ret = gunyah_step(call);
		GH_POINT(GUNYAH_HANDLED);
	}
	return ret;
}

/* Before v9: a VM that nobody has started is started, and one that cannot be is no device. */
static int ensure_started(struct gunyah_vm *vm)
{
	if (!vm->revision->run_starts)
		return 0;
	if (vm->state == GUNYAH_NO_STATE)
		return gunyah_start_locked(vm);
	return vm->state == GUNYAH_FAILED ? -ENODEV : 0;
}

static int run_once(struct gunyah_vcpu *vcpu, const struct sim_signals *signals)
{
	struct gunyah_call call = { .vcpu = vcpu, .signals = signals };
	struct gunyah_vm *vm = vcpu->vm;
	int ret;

	pthread_mutex_lock(&vm->lock);
	ret = ensure_started(vm);
	if (ret == 0 && (!vcpu->function || vcpu->removing))
		ret = -ENODEV;
	if (ret < 0)
		goto unlock;
	ret = -RESTART;
	while (vcpu->running) {
		if (!gunyah_wait(vm, signals))
			goto unlock;
	}
	if (sim_signals_taken_back()) {
		ret = -ECANCELED;
		goto unlock;
	}
	vcpu->running = true;
	if (gunyah_has(vm, GUNYAH_HAS_GUEST_MEM))
		gunyah_page_yield(vm);
	GH_POINT(GUNYAH_BEGUN);
	ret = run_loop(&call);
	vcpu->running = false;
	pthread_cond_broadcast(&vm->changed);
	GH_POINT(GUNYAH_LAST_LOOK);
	/* H2: whatever has happened. */
	if (sim_signals_pending(signals))
		ret = -RESTART;
	GH_POINT(GUNYAH_ENDS);
unlock:
	pthread_mutex_unlock(&vm->lock);
	return ret;
}

static int vcpu_run(struct gunyah_vcpu *vcpu)
{
	struct sim_signals signals;
	int ret;

	do {
		sim_signals_begin(&signals);
		ret = run_once(vcpu, &signals);
	} while (sim_signals_end(&signals, ret == -RESTART));
	return ret == -RESTART ? -EINTR : ret;
}

static long vcpu_ioctl(struct sim_file *file, unsigned long request, uintptr_t arg)
{
	const struct gunyah_vcpu *vcpu = file->object;

	(void)arg;
	switch (request) {
	case UAPI_GUNYAH_RUN:
		return vcpu_run(file->object);
	case UAPI_GUNYAH_MMAP_SIZE:
		return sysconf(_SC_PAGESIZE);
	default:
		return vcpu->vm->revision->vcpu_enotty ? -ENOTTY : -EINVAL;
	}
}

/* Nothing is checked. Only the first page is there: on the real kernel touching the second is an oops, here a SIGBUS. */
static int vcpu_mmap(struct sim_file *file, size_t length, int prot, int flags)
{
	(void)file;
	(void)length;
	(void)prot;
	(void)flags;
	return 0;
}

/* The function stays: its id is taken until it is removed. */
static void vcpu_release(struct sim_file *file)
{
	struct gunyah_vcpu *vcpu = file->object;
	struct gunyah_vm *vm = vcpu->vm;

	pthread_mutex_lock(&vm->lock);
	vcpu->file = NULL;
	if (!vcpu->function)
		gunyah_vcpu_free(vcpu);
	gunyah_vm_put(vm);
}

static const struct sim_file_ops vcpu_ops = {
	.name = "gh-vcpu",
	.ioctl = vcpu_ioctl,
	.mmap = vcpu_mmap,
	.release = vcpu_release,
};

void gunyah_vcpu_free(struct gunyah_vcpu *vcpu)
{
	free(vcpu);
}

void gunyah_vcpu_populate(struct gunyah_vcpu *vcpu)
{
	if (!vcpu->duplicate && vcpu->id < vcpu->vm->tree.cpus)
		vcpu->cpu = &vcpu->vm->cpus[vcpu->id];
}

static struct gunyah_vcpu **find_vcpu(struct gunyah_vm *vm, uint32_t id)
{
	struct gunyah_vcpu **link = &vm->vcpus;

	while (*link != NULL && (*link)->id != id)
		link = &(*link)->next;
	return link;
}

long gunyah_vcpu_add(struct gunyah_vm *vm, uint32_t id)
{
	bool duplicate = *find_vcpu(vm, id) != NULL;
	struct gunyah_vcpu *vcpu;
	char name[32];
	int fd;

	if (duplicate && !vm->revision->duplicates)
		return -EEXIST;
	vcpu = calloc(1, sizeof(*vcpu));
	if (vcpu == NULL)
		return -ENOMEM;
	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->function = true;
	vcpu->duplicate = duplicate;
	(void)snprintf(name, sizeof(name), "%s:%u", vcpu_ops.name, id);
	/* The caller has the lock, so nobody gets into the file before it is complete. */
	fd = sim_file_new(vm->sim, &vcpu_ops, name, vcpu, (size_t)sysconf(_SC_PAGESIZE), &vcpu->file);
	if (fd < 0) {
		free(vcpu);
		return fd;
	}
	vm->files++;
	vcpu->next = vm->vcpus;
	vm->vcpus = vcpu;
	if (vm->has_resources)
		gunyah_vcpu_populate(vcpu);
	return fd;
}

/* Ends a RUN that is inside, and takes the vCPU away from it. Without a resource there is nothing to end. */
static void unpopulate(struct gunyah_vcpu *vcpu)
{
	if (vcpu->cpu == NULL)
		return;
	if (vcpu->file != NULL)
		__atomic_store_n(&gunyah_page_of(vcpu)->immediate_exit, 1, __ATOMIC_SEQ_CST);
	pthread_cond_broadcast(&vcpu->vm->changed);
	while (vcpu->running) {
		if (vcpu->cpu->engine_vcpu != NULL)
			vcpu->vm->engine->wake(vcpu->cpu->engine_vcpu);
		pthread_cond_wait(&vcpu->vm->changed, &vcpu->vm->lock);
	}
	vcpu->cpu = NULL;
}

/* The id stays taken until no thread is inside any more: the lock is given up meanwhile. */
static void remove_one(struct gunyah_vm *vm, struct gunyah_vcpu *vcpu)
{
	struct gunyah_vcpu **link = &vm->vcpus;

	vcpu->removing = true;
	unpopulate(vcpu);
	while (*link != vcpu)
		link = &(*link)->next;
	*link = vcpu->next;
	vcpu->function = false;
	if (vcpu->file == NULL)
		gunyah_vcpu_free(vcpu);
}

static struct gunyah_vcpu *find_to_remove(struct gunyah_vm *vm, uint32_t id)
{
	for (struct gunyah_vcpu *vcpu = vm->vcpus; vcpu != NULL; vcpu = vcpu->next) {
		if (vcpu->id == id && !vcpu->removing)
			return vcpu;
	}
	return NULL;
}

/* All that have the id: the driver goes on after the first. */
int gunyah_vcpu_remove(struct gunyah_vm *vm, uint32_t id)
{
	struct gunyah_vcpu *vcpu = find_to_remove(vm, id);

	if (vcpu == NULL)
		return -ENOENT;
	for (; vcpu != NULL; vcpu = find_to_remove(vm, id))
		remove_one(vm, vcpu);
	return 0;
}
