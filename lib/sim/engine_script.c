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
#include "engine.h"
#include "script.h"
#include "sim.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define SPIS 988u
#define SPURIOUS 0x3ffu
#define TURNS_BETWEEN_LOOKS 256u
#define PSCI_ALREADY_ON ((uint64_t)-4)
#define PSCI_INVALID ((uint64_t)-2)

struct mapping {
	uint64_t gpa;
	uint64_t length;
	uint8_t *host;
	uint32_t protection;
	struct mapping *older;
};

struct script_vm {
	struct script *script;
	pthread_mutex_t lock; /* over what follows, and `on` of the vCPUs */
	struct mapping *mappings;
	struct script_vcpu *vcpus[SCRIPT_VCPUS];
	uint8_t pending[SPIS];
};

struct script_vcpu {
	struct script_vm *vm;
	const struct script_section *section;
	uint64_t *turns; /* that are left, of each repeat and spin */
	size_t next;     /* action */
	uint64_t value;
	uint64_t registers[SIM_REG_PSTATE + 1];
	bool on;
	bool waits_for_answer;
	bool aborted;
	bool dead;
	int raise; /* signal of `signal`, 0: none */
	sigset_t watched;
	int signals; /* signalfd of `watched`, or -1 */
	int wakeup;
	atomic_bool woken;
};

/* What an action does to run(). */
enum step {
	STEP_NEXT,
	STEP_LOOK,  /* the script went backwards: look for signals, so that no script can lock its thread up */
	STEP_SLEEP, /* and do the same action again */
	STEP_REPORT,
};

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
		struct mapping *older = vm->mappings->older;

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
	struct mapping *mapping = malloc(sizeof(*mapping));

	if (mapping == NULL)
		return -ENOMEM;
	*mapping = (struct mapping){ gpa, length, host, protection, NULL };
	pthread_mutex_lock(&vm->lock);
	mapping->older = vm->mappings;
	vm->mappings = mapping;
	pthread_mutex_unlock(&vm->lock);
	return 0;
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

	if ((unsigned int)reg > SIM_REG_PSTATE)
		return -EINVAL;
	vcpu->registers[reg] = value;
	return 0;
}

static int script_start(void *vm)
{
	(void)vm;
	return 0;
}

static void end_sleep(struct script_vcpu *vcpu)
{
	/* Fails only when the counter is full, and then the sleep ends anyway. */
	(void)eventfd_write(vcpu->wakeup, 1);
}

static int script_irq(void *data, uint32_t spi, bool level)
{
	struct script_vm *vm = data;

	if (spi >= SPIS)
		return -EINVAL;
	if (!level)
		return 0;
	pthread_mutex_lock(&vm->lock);
	vm->pending[spi] = 1;
	for (size_t i = 0; i < SCRIPT_VCPUS; i++) {
		if (vm->vcpus[i] != NULL)
			end_sleep(vm->vcpus[i]);
	}
	pthread_mutex_unlock(&vm->lock);
	return 0;
}

/* The interrupt that would be taken: its number, or SPIS. */
static uint32_t first_pending(struct script_vm *vm, bool take)
{
	const uint8_t *found;
	uint32_t spi = SPIS;

	pthread_mutex_lock(&vm->lock);
	found = memchr(vm->pending, 1, SPIS);
	if (found != NULL) {
		spi = (uint32_t)(found - vm->pending);
		if (take)
			vm->pending[spi] = 0;
	}
	pthread_mutex_unlock(&vm->lock);
	return spi;
}

static uint64_t load_le(const uint8_t *bytes, uint32_t width)
{
	uint64_t value = 0;

	for (uint32_t i = 0; i < width && i < 8; i++)
		value |= (uint64_t)bytes[i] << (8 * i);
	return value;
}

static void store_le(uint8_t bytes[8], uint64_t value)
{
	for (uint32_t i = 0; i < 8; i++)
		bytes[i] = (uint8_t)(value >> (8 * i));
}

static enum step report(struct sim_event *event, enum sim_event_kind kind)
{
	event->kind = kind;
	return STEP_REPORT;
}

static enum step report_access(struct script_vcpu *vcpu, struct sim_event *event, const struct script_action *action,
			       bool is_write, uint64_t value)
{
	event->gpa = action->args[0];
	event->width = (uint32_t)action->args[1];
	event->is_write = is_write;
	if (is_write)
		store_le(event->data, value);
	vcpu->waits_for_answer = !is_write;
	return report(event, SIM_EVENT_MMIO);
}

/* Host address of guest memory that allows the access, or NULL. Where mappings overlap, the newest is there. */
static uint8_t *find_memory(struct script_vm *vm, uint64_t gpa, uint64_t width, uint32_t protection)
{
	const struct mapping *mapping;
	uint8_t *host = NULL;

	pthread_mutex_lock(&vm->lock);
	for (mapping = vm->mappings; mapping != NULL; mapping = mapping->older) {
		if (gpa >= mapping->gpa && gpa - mapping->gpa < mapping->length)
			break;
	}
	if (mapping != NULL && width <= mapping->length - (gpa - mapping->gpa) &&
	    (mapping->protection & protection) == protection)
		host = mapping->host + (gpa - mapping->gpa);
	pthread_mutex_unlock(&vm->lock);
	return host;
}

/* Guest memory may be gone on the host side: copy as the kernel would, and let the driver have what fails. */
static enum step poke(struct script_vcpu *vcpu, struct sim_event *event, const struct script_action *action)
{
	uint8_t *host = find_memory(vcpu->vm, action->args[0], action->args[1], 2);
	uint8_t data[8];

	store_le(data, action->args[2]);
	if (host == NULL || sim_copy_out((uintptr_t)host, data, action->args[1]) < 0)
		return report_access(vcpu, event, action, true, action->args[2]);
	return STEP_NEXT;
}

static enum step peek(struct script_vcpu *vcpu, struct sim_event *event, const struct script_action *action)
{
	uint8_t *host = find_memory(vcpu->vm, action->args[0], action->args[1], 1);
	uint8_t data[8];

	if (host == NULL || sim_copy_in(data, (uintptr_t)host, action->args[1]) < 0)
		return report_access(vcpu, event, action, false, 0);
	vcpu->value = load_le(data, (uint32_t)action->args[1]);
	return STEP_NEXT;
}

static void cpu_on(struct script_vcpu *caller, uint64_t index)
{
	struct script_vm *vm = caller->vm;
	struct script_vcpu *vcpu = NULL;

	pthread_mutex_lock(&vm->lock);
	if (index < SCRIPT_VCPUS)
		vcpu = vm->vcpus[index];
	if (vcpu == NULL) {
		caller->value = PSCI_INVALID;
	} else if (vcpu->on) {
		caller->value = PSCI_ALREADY_ON;
	} else {
		caller->value = 0;
		vcpu->on = true;
		end_sleep(vcpu);
	}
	pthread_mutex_unlock(&vm->lock);
}

static bool is_on(struct script_vcpu *vcpu)
{
	bool on;

	pthread_mutex_lock(&vcpu->vm->lock);
	on = vcpu->on;
	pthread_mutex_unlock(&vcpu->vm->lock);
	return on;
}

static void cpu_off(struct script_vcpu *vcpu)
{
	pthread_mutex_lock(&vcpu->vm->lock);
	vcpu->on = false;
	pthread_mutex_unlock(&vcpu->vm->lock);
}

/* Some turns of a spin; the rest comes when run() has looked for signals. */
static enum step spin(struct script_vcpu *vcpu, const struct script_action *action, uint64_t *turns)
{
	uint64_t now;

	if (action->count == 0)
		return STEP_SLEEP; /* nobody can tell the difference */
	if (*turns == 0)
		*turns = action->args[0];
	now = *turns < TURNS_BETWEEN_LOOKS ? *turns : TURNS_BETWEEN_LOOKS;
	*turns -= now;
	for (volatile uint64_t turn = 0; turn < now; turn = turn + 1)
		;
	if (*turns > 0)
		return STEP_LOOK;
	vcpu->next++;
	return STEP_LOOK;
}

/* repeat and end keep the count at the repeat. */
static enum step repeat(struct script_vcpu *vcpu, const struct script_action *action, size_t here)
{
	if (action->kind == SCRIPT_REPEAT) {
		vcpu->turns[here] = action->args[0];
		if (action->args[0] == 0)
			vcpu->next = action->jump;
		return STEP_NEXT;
	}
	if (--vcpu->turns[action->jump - 1] > 0)
		vcpu->next = action->jump;
	return STEP_LOOK;
}

static enum step hypercall(struct script_vcpu *vcpu, struct sim_event *event, const struct script_action *action)
{
	memcpy(event->args, action->args, sizeof(event->args));
	vcpu->value = action->args[0];
	return report(event, SIM_EVENT_HYPERCALL);
}

static enum step die(struct script_vcpu *vcpu, struct sim_event *event)
{
	vcpu->dead = true;
	return report(event, SIM_EVENT_CRASH);
}

/* Actions that come again after a sleep; the others are counted as done before they are performed. */
static enum step perform_waiting(struct script_vcpu *vcpu, const struct script_action *action)
{
	if (action->kind == SCRIPT_SPIN)
		return spin(vcpu, action, &vcpu->turns[vcpu->next]);
	if (first_pending(vcpu->vm, false) == SPIS)
		return STEP_SLEEP;
	vcpu->next++;
	return STEP_NEXT;
}

static enum step perform_quiet(struct script_vcpu *vcpu, struct sim_event *event, const struct script_action *action)
{
	uint32_t spi;

	switch (action->kind) {
	case SCRIPT_EXPECT:
		return vcpu->value == action->args[0] ? STEP_NEXT : die(vcpu, event);
	case SCRIPT_REGISTER:
		vcpu->value = vcpu->registers[action->args[0]];
		return STEP_NEXT;
	case SCRIPT_ACK:
		spi = first_pending(vcpu->vm, true);
		vcpu->value = spi == SPIS ? SPURIOUS : spi + 32;
		return STEP_NEXT;
	case SCRIPT_ON:
		cpu_on(vcpu, action->args[0]);
		return STEP_NEXT;
	case SCRIPT_CPU_OFF:
		cpu_off(vcpu);
		return STEP_NEXT;
	case SCRIPT_SIGNAL:
		vcpu->raise = (int)action->args[0];
		return STEP_NEXT;
	case SCRIPT_LOOP:
		vcpu->next = 0;
		return STEP_LOOK;
	default:
		return repeat(vcpu, action, vcpu->next - 1);
	}
}

static enum step perform_reported(struct script_vcpu *vcpu, struct sim_event *event, const struct script_action *action)
{
	switch (action->kind) {
	case SCRIPT_STORE:
		return report_access(vcpu, event, action, true, action->args[2]);
	case SCRIPT_LOAD:
		return report_access(vcpu, event, action, false, 0);
	case SCRIPT_ECHO:
		return report_access(vcpu, event, action, true, vcpu->value);
	case SCRIPT_POKE:
		return poke(vcpu, event, action);
	case SCRIPT_PEEK:
		return peek(vcpu, event, action);
	case SCRIPT_OFF:
		return report(event, SIM_EVENT_OFF);
	case SCRIPT_RESET:
		return report(event, SIM_EVENT_RESET);
	case SCRIPT_RESET2:
		memcpy(event->args, action->args, 2 * sizeof(event->args[0]));
		return report(event, SIM_EVENT_RESET2);
	case SCRIPT_CRASH:
		return report(event, SIM_EVENT_CRASH);
	case SCRIPT_HVC:
		return hypercall(vcpu, event, action);
	case SCRIPT_RAW:
		event->raw = action->text;
		return report(event, SIM_EVENT_RAW);
	default:
		return perform_quiet(vcpu, event, action);
	}
}

static enum step perform(struct script_vcpu *vcpu, struct sim_event *event)
{
	const struct script_action *action;

	if (vcpu->dead)
		return report(event, SIM_EVENT_CRASH);
	if (!is_on(vcpu))
		return STEP_SLEEP;
	if (vcpu->next == vcpu->section->count)
		return vcpu->aborted ? die(vcpu, event) : STEP_SLEEP;
	action = &vcpu->section->actions[vcpu->next];
	if (vcpu->aborted != (action->kind == SCRIPT_EXPECT_ABORT))
		return die(vcpu, event);
	vcpu->aborted = false;
	if (action->kind == SCRIPT_WFI || action->kind == SCRIPT_SPIN)
		return perform_waiting(vcpu, action);
	vcpu->next++;
	return action->kind == SCRIPT_EXPECT_ABORT ? STEP_NEXT : perform_reported(vcpu, event, action);
}

/* Keeps the signalfd in step with the caller's mask, which rarely changes. */
static int watch_signals(struct script_vcpu *vcpu, const sigset_t *unblocked)
{
	int fd;

	if (vcpu->signals >= 0 && memcmp(&vcpu->watched, unblocked, sizeof(*unblocked)) == 0)
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
		enum step step;

		if (atomic_exchange(&vcpu->woken, false))
			return 0;
		step = perform(vcpu, ret_event);
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

	vcpu->value = load_le(bytes, width);
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
	end_sleep(vcpu);
}

const struct sim_engine sim_engine_script = {
	.name = "script",
	.vm_new = script_vm_new,
	.vm_free = script_vm_free,
	.map = script_map,
	.gic = script_gic,
	.vcpu_new = script_vcpu_new,
	.set_register = script_set_register,
	.start = script_start,
	.irq = script_irq,
	.run = script_run,
	.answer = script_answer,
	.answer_hypercall = script_answer_hypercall,
	.abort = script_abort,
	.wake = script_wake,
};
