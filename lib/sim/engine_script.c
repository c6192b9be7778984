/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The `script` engine: a guest that is a list of actions.
 *
 * One action a line; `;` separates as well, `#` begins a comment. `vcpu N` begins the part of vCPU N, 0 being the first.
 * "Value" is the one register that a vCPU has: loads, `ack` and `hvc` set it, `expect` and `echo` use it.
 *
 *   store GPA WIDTH VALUE    store to a device, whatever is mapped there
 *   load GPA WIDTH           load from a device; what nobody answers is 0
 *   echo GPA WIDTH           store of the value
 *   poke GPA WIDTH VALUE     store to memory of the VM; where there is none it is one to a device
 *   peek GPA WIDTH           load from memory of the VM; likewise
 *   expect VALUE             anything else crashes the guest
 *   expect-abort             the access before it has failed; a guest that does not expect it crashes
 *   register NAME            the value is what the VMM has put into x0..x30, sp, pc or pstate
 *   wfi                      sleep until an interrupt is pending
 *   ack                      take the pending interrupt with the lowest number: the value is its INTID, or 0x3ff
 *   spin [N]                 compute for N turns, or for ever
 *   on N, cpu-off            PSCI: the value is 0, -4 (is on) or -2 (no such vCPU); a vCPU goes on where it was
 *   off, reset, reset2 TYPE COOKIE, crash
 *   hvc A0 .. A7             the value is x0 of the answer, or A0
 *   raw TEXT                 something that the driver understands
 *   signal N                 send signal N to the thread in run(), at the end of the next run(): before it reports, or sleeps
 *   repeat N .. end, loop    loop goes to the beginning of the vCPU's part
 *
 * A vCPU at the end of its part sleeps for ever. All interrupts are edge-triggered: raising one twice before `ack` is once.
 */
#include "script_vm.h"
#include "sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

static int script_vm_new(const struct sim_engine_options *options, void **ret_vm)
{
	struct script_vm *vm = calloc(1, sizeof(*vm));
	int ret;

	if (vm == NULL)
		return -ENOMEM;
	ret = script_parse(options->script == NULL ? "" : options->script, &vm->script);
	if (ret < 0) {
		free(vm);
		return ret;
	}
	pthread_mutex_init(&vm->lock, NULL);
	*ret_vm = vm;
	return 0;
}

static void vcpu_free(struct script_vcpu *vcpu)
{
	if (vcpu == NULL)
		return;
	if (vcpu->signals >= 0)
		(void)close(vcpu->signals);
	if (vcpu->wakeup >= 0)
		(void)close(vcpu->wakeup);
	free(vcpu->turns);
	free(vcpu);
}

static void script_vm_free(void *data)
{
	struct script_vm *vm = data;

	for (size_t i = 0; i < SCRIPT_VCPUS; i++)
		vcpu_free(vm->vcpus[i]);
	while (vm->mappings != NULL) {
		struct script_mapping *older = vm->mappings->older;

		free(vm->mappings);
		vm->mappings = older;
	}
	pthread_mutex_destroy(&vm->lock);
	script_free(vm->script);
	free(vm);
}

static int script_map(void *data, uint64_t gpa, uint64_t length, void *host, uint32_t protection)
{
	struct script_vm *vm = data;
	struct script_mapping *mapping = malloc(sizeof(*mapping));

	if (mapping == NULL)
		return -ENOMEM;
	*mapping = (struct script_mapping){ gpa, length, host, protection, NULL };
	pthread_mutex_lock(&vm->lock);
	mapping->older = vm->mappings;
	vm->mappings = mapping;
	pthread_mutex_unlock(&vm->lock);
	return 0;
}

static void script_unmap(void *data, uint64_t gpa)
{
	struct script_vm *vm = data;
	struct script_mapping **link = &vm->mappings;
	struct script_mapping *gone;

	pthread_mutex_lock(&vm->lock);
	while (*link != NULL && (*link)->gpa != gpa)
		link = &(*link)->older;
	gone = *link;
	if (gone != NULL)
		*link = gone->older;
	pthread_mutex_unlock(&vm->lock);
	free(gone);
}

static int script_gic(void *vm, uint64_t distributor, uint64_t redistributors)
{
	(void)vm;
	(void)distributor;
	(void)redistributors;
	return 0; /* `ack` is all there is of it */
}

static int script_vcpu_new(void *data, uint32_t index, bool on, void **ret_vcpu)
{
	struct script_vm *vm = data;
	struct script_vcpu *vcpu;

	if (index >= SCRIPT_VCPUS)
		return -EINVAL;
	if (vm->vcpus[index] != NULL)
		return -EEXIST;
	vcpu = calloc(1, sizeof(*vcpu));
	if (vcpu == NULL)
		return -ENOMEM;
	vcpu->vm = vm;
	vcpu->section = &vm->script->sections[index];
	vcpu->on = on;
	vcpu->signals = -1;
	sigemptyset(&vcpu->watched);
	vcpu->turns = calloc(vcpu->section->count + 1, sizeof(*vcpu->turns));
	vcpu->wakeup = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vcpu->turns == NULL || vcpu->wakeup < 0) {
		int ret = vcpu->turns == NULL ? -ENOMEM : -errno;

		vcpu_free(vcpu);
		return ret;
	}
	pthread_mutex_lock(&vm->lock);
	vm->vcpus[index] = vcpu;
	pthread_mutex_unlock(&vm->lock);
	*ret_vcpu = vcpu;
	return 0;
}

static int script_set_register(void *data, enum sim_register reg, uint64_t value)
{
	struct script_vcpu *vcpu = data;

	if ((unsigned int)reg >= SIM_REGISTERS)
		return -EINVAL;
	vcpu->registers[reg] = value;
	return 0;
}

static int script_start(void *vm)
{
	(void)vm;
	return 0;
}

void script_end_sleep(struct script_vcpu *vcpu)
{
	/* Fails only when the counter is full, and then the sleep ends anyway. */
	(void)eventfd_write(vcpu->wakeup, 1);
}

static int script_irq(void *data, uint32_t spi, bool level)
{
	struct script_vm *vm = data;

	if (spi >= SCRIPT_SPIS)
		return -EINVAL;
	if (!level)
		return 0;
	pthread_mutex_lock(&vm->lock);
	vm->pending[spi] = 1;
	for (size_t i = 0; i < SCRIPT_VCPUS; i++) {
		if (vm->vcpus[i] != NULL)
			script_end_sleep(vm->vcpus[i]);
	}
	pthread_mutex_unlock(&vm->lock);
	return 0;
}

/* All interrupts of a script are edge-triggered. */
static int script_pulse(void *data, uint32_t spi)
{
	return script_irq(data, spi, true);
}

/* By member: the C library writes and compares only as many bytes of a set as the kernel has. */
static bool same_signals(const sigset_t *one, const sigset_t *other)
{
	for (int signal = 1; signal < NSIG; signal++) {
		if (sigismember(one, signal) != sigismember(other, signal))
			return false;
	}
	return true;
}

/* Keeps the signalfd in step with the caller's mask, which rarely changes. */
static int watch_signals(struct script_vcpu *vcpu, const sigset_t *unblocked)
{
	int fd;

	if (vcpu->signals >= 0 && same_signals(&vcpu->watched, unblocked))
		return 0;
	fd = signalfd(vcpu->signals, unblocked, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	vcpu->signals = fd;
	vcpu->watched = *unblocked;
	return 0;
}

static void raise_signal(struct script_vcpu *vcpu)
{
	if (vcpu->raise != 0)
		(void)pthread_kill(pthread_self(), vcpu->raise);
	vcpu->raise = 0;
}

/* Is a signal there? With `sleep`, waits for one, or for an end of the sleep. The signal stays pending. */
static bool signal_waits(struct script_vcpu *vcpu, bool sleep)
{
	struct gh_sys *kernel = gh_sys_kernel();
	struct pollfd polls[2] = { { .fd = vcpu->signals, .events = POLLIN }, { .fd = vcpu->wakeup, .events = POLLIN } };
	const struct timespec now = { 0, 0 };
	eventfd_t value;

	(void)kernel->ppoll(kernel, polls, 2, sleep ? NULL : &now);
	if (sleep && (polls[1].revents & POLLIN) != 0)
		(void)eventfd_read(vcpu->wakeup, &value);
	return (polls[0].revents & POLLIN) != 0;
}

static int script_run(void *data, const sigset_t *unblocked, struct sim_event *ret_event)
{
	struct script_vcpu *vcpu = data;
	int ret = watch_signals(vcpu, unblocked);

	if (ret < 0)
		return ret;
	memset(ret_event, 0, sizeof(*ret_event));
	if (vcpu->waits_for_answer)
		vcpu->value = 0;
	vcpu->waits_for_answer = false;
	for (;;) {
		enum script_step step;

		if (atomic_exchange(&vcpu->woken, false))
			return 0;
		step = script_perform(vcpu, ret_event);
		if (step == STEP_NEXT)
			continue;
		if (step != STEP_LOOK)
			raise_signal(vcpu);
		if (step == STEP_REPORT)
			return 0;
		if (signal_waits(vcpu, step == STEP_SLEEP))
			return 0;
	}
}

static void script_answer(void *data, const uint8_t bytes[8], uint32_t width)
{
	struct script_vcpu *vcpu = data;

	vcpu->value = script_load_le(bytes, width);
	vcpu->waits_for_answer = false;
}

static void script_answer_hypercall(void *data, const uint64_t results[4])
{
	struct script_vcpu *vcpu = data;

	vcpu->value = results[0];
}

static void script_abort(void *data)
{
	struct script_vcpu *vcpu = data;

	vcpu->aborted = true;
	vcpu->waits_for_answer = false;
}

static void script_wake(void *data)
{
	struct script_vcpu *vcpu = data;

	atomic_store(&vcpu->woken, true);
	script_end_sleep(vcpu);
}

static int script_get_register(void *data, enum sim_register reg, uint64_t *ret_value)
{
	const struct script_vcpu *vcpu = data;

	if ((unsigned int)reg >= SIM_REGISTERS)
		return -EINVAL;
	*ret_value = vcpu->registers[reg];
	return 0;
}

static int script_level_new(void *data, uint32_t spi, int resample_fd, void **ret_level)
{
	struct script_vm *vm = data;
	struct script_level *level = malloc(sizeof(*level));

	if (level == NULL)
		return -ENOMEM;
	*level = (struct script_level){ .vm = vm, .spi = spi, .fd = resample_fd };
	pthread_mutex_lock(&vm->lock);
	level->next = vm->levels;
	vm->levels = level;
	pthread_mutex_unlock(&vm->lock);
	*ret_level = level;
	return 0;
}

static void script_level_raise(void *data)
{
	const struct script_level *level = data;

	(void)script_irq(level->vm, level->spi, true);
}

static void script_level_free(void *data)
{
	struct script_level *level = data;
	struct script_level **link;

	pthread_mutex_lock(&level->vm->lock);
	for (link = &level->vm->levels; *link != level; link = &(*link)->next)
		;
	*link = level->next;
	pthread_mutex_unlock(&level->vm->lock);
	(void)close(level->fd);
	free(level);
}

const struct sim_engine sim_engine_script = {
	.name = "script",
	.reports_all = true,
	.vm_new = script_vm_new,
	.vm_free = script_vm_free,
	.map = script_map,
	.unmap = script_unmap,
	.gic = script_gic,
	.vcpu_new = script_vcpu_new,
	.set_register = script_set_register,
	.start = script_start,
	.irq = script_irq,
	.pulse = script_pulse,
	.run = script_run,
	.answer = script_answer,
	.answer_hypercall = script_answer_hypercall,
	.abort = script_abort,
	.wake = script_wake,
	.get_register = script_get_register,
	.level_new = script_level_new,
	.level_raise = script_level_raise,
	.level_free = script_level_free,
};
