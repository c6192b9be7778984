/* SPDX-License-Identifier: BSD-3-Clause */
/* Performs the actions of a script, one at a time. */
#include "eventfds.h"
#include "script_vm.h"
#include "sim.h"

#include <string.h>

#define SPURIOUS 0x3ffu
#define TURNS_BETWEEN_LOOKS 256u
#define PSCI_ALREADY_ON ((uint64_t)-4)
#define PSCI_INVALID ((uint64_t)-2)

/* Under the lock. An eventfd whose counter is full has a reader that knows already. */
static void acknowledge(struct script_vm *vm, uint32_t spi)
{
	vm->pending[spi] = 0;
	for (struct script_level *level = vm->levels; level != NULL; level = level->next) {
		const struct sim_eventfd eventfd = { .fd = level->fd };

		if (level->spi == spi)
			sim_eventfd_signal(&eventfd);
	}
}

/* The interrupt that would be taken: its number, or SCRIPT_SPIS. */
static uint32_t first_pending(struct script_vm *vm, bool take)
{
	const uint8_t *found;
	uint32_t spi = SCRIPT_SPIS;

	pthread_mutex_lock(&vm->lock);
	found = memchr(vm->pending, 1, SCRIPT_SPIS);
	if (found != NULL) {
		spi = (uint32_t)(found - vm->pending);
		if (take)
			acknowledge(vm, spi);
	}
	pthread_mutex_unlock(&vm->lock);
	return spi;
}

uint64_t script_load_le(const uint8_t *bytes, uint32_t width)
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

static enum script_step report(struct sim_event *event, enum sim_event_kind kind)
{
	event->kind = kind;
	return STEP_REPORT;
}

static enum script_step report_access(struct script_vcpu *vcpu, struct sim_event *event, const struct script_action *action,
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
	const struct script_mapping *mapping;
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
static enum script_step poke(struct script_vcpu *vcpu, struct sim_event *event, const struct script_action *action)
{
	uint8_t *host = find_memory(vcpu->vm, action->args[0], action->args[1], 2);
	uint8_t data[8];

	store_le(data, action->args[2]);
	if (host == NULL || sim_copy_out((uintptr_t)host, data, action->args[1]) < 0)
		return report_access(vcpu, event, action, true, action->args[2]);
	return STEP_NEXT;
}

static enum script_step peek(struct script_vcpu *vcpu, struct sim_event *event, const struct script_action *action)
{
	uint8_t *host = find_memory(vcpu->vm, action->args[0], action->args[1], 1);
	uint8_t data[8];

	if (host == NULL || sim_copy_in(data, (uintptr_t)host, action->args[1]) < 0)
		return report_access(vcpu, event, action, false, 0);
	vcpu->value = script_load_le(data, (uint32_t)action->args[1]);
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
		script_end_sleep(vcpu);
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
static enum script_step spin(struct script_vcpu *vcpu, const struct script_action *action, uint64_t *turns)
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
static enum script_step repeat(struct script_vcpu *vcpu, const struct script_action *action, size_t here)
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

static enum script_step hypercall(struct script_vcpu *vcpu, struct sim_event *event, const struct script_action *action)
{
	memcpy(event->args, action->args, sizeof(event->args));
	vcpu->value = action->args[0];
	return report(event, SIM_EVENT_HYPERCALL);
}

static enum script_step die(struct script_vcpu *vcpu, struct sim_event *event)
{
	vcpu->dead = true;
	return report(event, SIM_EVENT_CRASH);
}

/* Actions that come again after a sleep; the others are counted as done before they are performed. */
static enum script_step perform_waiting(struct script_vcpu *vcpu, const struct script_action *action)
{
	if (action->kind == SCRIPT_SPIN)
		return spin(vcpu, action, &vcpu->turns[vcpu->next]);
	if (first_pending(vcpu->vm, false) == SCRIPT_SPIS)
		return STEP_SLEEP;
	vcpu->next++;
	return STEP_NEXT;
}

static enum script_step perform_quiet(struct script_vcpu *vcpu, struct sim_event *event, const struct script_action *action)
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
		vcpu->value = spi == SCRIPT_SPIS ? SPURIOUS : spi + 32;
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

static enum script_step perform_reported(struct script_vcpu *vcpu, struct sim_event *event,
					 const struct script_action *action)
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

enum script_step script_perform(struct script_vcpu *vcpu, struct sim_event *event)
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
