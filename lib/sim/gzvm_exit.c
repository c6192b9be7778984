/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the simulated hypervisor writes into the page that the driver of /dev/gzvm copies to user space.
 *
 * It writes the fields of an exit and nothing else: bytes of a store above its width, or all data of a load, are stale. A script
 * can make any exit:
 *
 *   raw exit CODE [KEY=VALUE ...]   CODE is a number, or a name as in `names`; keys as in `fields`, and raw0 and raw1 for
 *                                   the words behind the header; "IDLE delay=N": the guest's timer is N ns away
 *   raw code CODE                   the kernel is told CODE, and the page stays as it was
 *   raw fail                        the hypervisor's call fails
 */
#include "gzvm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Above, the simulated hypervisor takes an access without memory for a page fault of RAM that is to come. */
#define MMIO_END 0x40000000u

struct name {
	const char *name;
	uint32_t code;
};

static const struct name names[] = {
	{ "UNKNOWN", UAPI_GZVM_EXIT_UNKNOWN },
	{ "MMIO", UAPI_GZVM_EXIT_MMIO },
	{ "HYPERCALL", UAPI_GZVM_EXIT_HYPERCALL },
	{ "IRQ", UAPI_GZVM_EXIT_IRQ },
	{ "EXCEPTION", UAPI_GZVM_EXIT_EXCEPTION },
	{ "DEBUG", UAPI_GZVM_EXIT_DEBUG },
	{ "FAIL_ENTRY", UAPI_GZVM_EXIT_FAIL_ENTRY },
	{ "INTERNAL", UAPI_GZVM_EXIT_INTERNAL_ERROR },
	{ "SYSTEM_EVENT", UAPI_GZVM_EXIT_SYSTEM_EVENT },
	{ "SHUTDOWN", UAPI_GZVM_EXIT_SHUTDOWN },
	{ "GZ", UAPI_GZVM_EXIT_GZ },
	{ "IDLE", UAPI_GZVM_EXIT_IDLE },
	{ "IPI", UAPI_GZVM_EXIT_IPI },
};

/* Where a key of a raw exit goes: little-endian, in the union. Code 0 is any. */
struct field {
	uint32_t code;
	const char *key;
	size_t offset;
	size_t size;
};

#define FIELD(code, key, member)                                                                                           \
	{                                                                                                                  \
		code, key, offsetof(struct uapi_gzvm_run, u.member) - offsetof(struct uapi_gzvm_run, u),                   \
			sizeof(((struct uapi_gzvm_run *)0)->u.member)                                                      \
	}

static const struct field fields[] = {
	FIELD(UAPI_GZVM_EXIT_MMIO, "gpa", mmio.gpa),
	FIELD(UAPI_GZVM_EXIT_MMIO, "data", mmio.data),
	FIELD(UAPI_GZVM_EXIT_MMIO, "width", mmio.width),
	FIELD(UAPI_GZVM_EXIT_MMIO, "reg", mmio.reg),
	FIELD(UAPI_GZVM_EXIT_MMIO, "write", mmio.is_write),
	FIELD(UAPI_GZVM_EXIT_HYPERCALL, "a0", hypercall.args[0]),
	FIELD(UAPI_GZVM_EXIT_HYPERCALL, "a1", hypercall.args[1]),
	FIELD(UAPI_GZVM_EXIT_HYPERCALL, "a2", hypercall.args[2]),
	FIELD(UAPI_GZVM_EXIT_HYPERCALL, "a3", hypercall.args[3]),
	FIELD(UAPI_GZVM_EXIT_EXCEPTION, "exc", exception.exception),
	FIELD(UAPI_GZVM_EXIT_EXCEPTION, "err", exception.error_code),
	FIELD(UAPI_GZVM_EXIT_EXCEPTION, "gpa", exception.fault_gpa),
	FIELD(UAPI_GZVM_EXIT_EXCEPTION, "reserved", exception.reserved[0]),
	FIELD(UAPI_GZVM_EXIT_FAIL_ENTRY, "reason", fail_entry.reason),
	FIELD(UAPI_GZVM_EXIT_FAIL_ENTRY, "cpu", fail_entry.cpu),
	FIELD(UAPI_GZVM_EXIT_INTERNAL_ERROR, "type", event.type),
	FIELD(UAPI_GZVM_EXIT_INTERNAL_ERROR, "ndata", event.count),
	FIELD(UAPI_GZVM_EXIT_INTERNAL_ERROR, "data", event.data[0]),
	FIELD(UAPI_GZVM_EXIT_SYSTEM_EVENT, "type", event.type),
	FIELD(UAPI_GZVM_EXIT_SYSTEM_EVENT, "ndata", event.count),
	FIELD(UAPI_GZVM_EXIT_SYSTEM_EVENT, "data", event.data[0]),
	{ 0, "raw0", 0, 8 },
	{ 0, "raw1", 8, 8 },
};

static void put_le(uint8_t *bytes, uint64_t value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(value >> (8 * i));
}

/* What of an exception's fields there is: the first revisions do not say where it was. */
static size_t exception_size(const struct gzvm_vcpu *vcpu)
{
	return vcpu->vm->switches->hides_fault_gpa ? offsetof(struct uapi_gzvm_exception, fault_gpa)
						   : sizeof(struct uapi_gzvm_exception);
}

/* An exit's own fields are all written; where it has none, nothing is. */
static void begin_exit(struct gzvm_vcpu *vcpu, uint32_t code)
{
	struct uapi_gzvm_run *page = &vcpu->page;
	uint8_t data[8];

	page->exit_reason = code;
	switch (code) {
	case UAPI_GZVM_EXIT_MMIO:
		memcpy(data, page->u.mmio.data, sizeof(data));
		memset(&page->u.mmio, 0, sizeof(page->u.mmio));
		memcpy(page->u.mmio.data, data, sizeof(data));
		break;
	case UAPI_GZVM_EXIT_HYPERCALL:
		memset(&page->u.hypercall, 0, sizeof(page->u.hypercall));
		break;
	case UAPI_GZVM_EXIT_EXCEPTION:
		memset(&page->u.exception, 0, exception_size(vcpu));
		break;
	case UAPI_GZVM_EXIT_FAIL_ENTRY:
		memset(&page->u.fail_entry, 0, sizeof(page->u.fail_entry));
		break;
	case UAPI_GZVM_EXIT_INTERNAL_ERROR:
	case UAPI_GZVM_EXIT_SYSTEM_EVENT:
		memset(&page->u.event, 0, sizeof(page->u.event));
		break;
	default:
		break;
	}
}

static int parse_number(const char *text, uint64_t *ret_value)
{
	char *end;

	errno = 0;
	*ret_value = strtoull(text, &end, 0);
	return errno == 0 && end != text && *end == '\0' ? 0 : -EINVAL;
}

static int parse_code(const struct gzvm_switches *switches, const char *text, uint32_t *ret_code)
{
	uint64_t number;

	if (text == NULL)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(text, names[i].name) == 0 && gzvm_has_code(switches, names[i].code)) {
			*ret_code = names[i].code;
			return 0;
		}
	}
	if (parse_number(text, &number) < 0 || number > UINT32_MAX)
		return -EINVAL;
	*ret_code = gzvm_own_code(switches, (uint32_t)number);
	return 0;
}

static int parse_field(struct gzvm_vcpu *vcpu, uint32_t code, char *text)
{
	char *equals = strchr(text, '=');
	uint64_t value;

	if (equals == NULL || parse_number(equals + 1, &value) < 0)
		return -EINVAL;
	*equals = '\0';
	if (code == UAPI_GZVM_EXIT_IDLE && strcmp(text, "delay") == 0) {
		vcpu->idle_ns = value;
		return 0;
	}
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if ((fields[i].code != 0 && fields[i].code != code) || strcmp(text, fields[i].key) != 0)
			continue;
		if (code != UAPI_GZVM_EXIT_EXCEPTION || fields[i].code == 0 || fields[i].offset < exception_size(vcpu))
			put_le(vcpu->page.u.bytes + fields[i].offset, value, fields[i].size);
		return 0;
	}
	return -EINVAL;
}

/* The hypervisor writes as much data as the access is wide, and none for a load. */
static void keep_stale_data(struct uapi_gzvm_mmio *mmio, const uint8_t old[8])
{
	uint64_t written = mmio->is_write == 0 ? 0 : mmio->width;

	for (uint64_t i = written; i < 8; i++)
		mmio->data[i] = old[i];
}

static int fill_raw_exit(struct gzvm_vcpu *vcpu, uint32_t code, char **cursor)
{
	uint8_t old[8];
	char *word;

	memcpy(old, vcpu->page.u.mmio.data, sizeof(old));
	begin_exit(vcpu, code);
	vcpu->idle_ns = 0;
	while ((word = strtok_r(NULL, " \t\r", cursor)) != NULL) {
		if (parse_field(vcpu, code, word) < 0)
			return -EINVAL;
	}
	if (code == UAPI_GZVM_EXIT_MMIO)
		keep_stale_data(&vcpu->page.u.mmio, old);
	return 0;
}

/* Halla has no exit for an entry that failed. */
static uint32_t fill_failure(struct gzvm_vcpu *vcpu, uint64_t reason)
{
	if (vcpu->vm->switches->is_halla) {
		begin_exit(vcpu, UAPI_GZVM_EXIT_INTERNAL_ERROR);
		vcpu->page.u.event.type = (uint32_t)reason;
		return UAPI_GZVM_EXIT_INTERNAL_ERROR;
	}
	begin_exit(vcpu, UAPI_GZVM_EXIT_FAIL_ENTRY);
	vcpu->page.u.fail_entry.reason = reason;
	return UAPI_GZVM_EXIT_FAIL_ENTRY;
}

/* What is no raw exit of this driver is an entry that failed. */
static uint32_t fill_raw(struct gzvm_vcpu *vcpu, const char *raw)
{
	uint32_t code;
	char text[512];
	char *cursor;
	const char *verb;

	if (strlen(raw) >= sizeof(text))
		return fill_failure(vcpu, EINVAL);
	memcpy(text, raw, strlen(raw) + 1);
	verb = strtok_r(text, " \t\r", &cursor);
	if (verb != NULL && strcmp(verb, "fail") == 0)
		return 0;
	if (verb == NULL || parse_code(vcpu->vm->switches, strtok_r(NULL, " \t\r", &cursor), &code) < 0)
		return fill_failure(vcpu, EINVAL);
	if (strcmp(verb, "code") == 0)
		return code;
	if (strcmp(verb, "exit") != 0 || fill_raw_exit(vcpu, code, &cursor) < 0)
		return fill_failure(vcpu, EINVAL);
	return code;
}

static uint32_t fill_access(struct gzvm_vcpu *vcpu, const struct sim_event *event, bool in_slot)
{
	struct uapi_gzvm_run *page = &vcpu->page;
	uint8_t old[8];

	if (in_slot || event->gpa >= MMIO_END) {
		begin_exit(vcpu, UAPI_GZVM_EXIT_EXCEPTION);
		page->u.exception.exception = UAPI_GZVM_EXCEPTION_PAGE_FAULT;
		if (!vcpu->vm->switches->hides_fault_gpa)
			page->u.exception.fault_gpa = event->gpa;
		return UAPI_GZVM_EXIT_EXCEPTION;
	}
	memcpy(old, page->u.mmio.data, sizeof(old));
	begin_exit(vcpu, UAPI_GZVM_EXIT_MMIO);
	page->u.mmio.gpa = event->gpa;
	page->u.mmio.width = event->width;
	page->u.mmio.reg = event->reg;
	page->u.mmio.is_write = event->is_write;
	memcpy(page->u.mmio.data, event->data, sizeof(event->data));
	keep_stale_data(&page->u.mmio, old);
	return UAPI_GZVM_EXIT_MMIO;
}

/* Halla's hypervisor keeps it to itself, and knows none of them. */
static uint32_t fill_hypercall(struct gzvm_vcpu *vcpu, const struct sim_event *event)
{
	static const uint64_t not_supported[4] = { UINT64_MAX, 0, 0, 0 };

	if (vcpu->vm->switches->is_halla) {
		vcpu->vm->engine->answer_hypercall(vcpu->cpu, not_supported);
		vcpu->page.exit_reason = UAPI_GZVM_EXIT_IRQ;
		return UAPI_GZVM_EXIT_IRQ;
	}
	begin_exit(vcpu, UAPI_GZVM_EXIT_HYPERCALL);
	memcpy(vcpu->page.u.hypercall.args, event->args, sizeof(vcpu->page.u.hypercall.args));
	return UAPI_GZVM_EXIT_HYPERCALL;
}

static uint32_t fill_system_event(struct gzvm_vcpu *vcpu, uint32_t type)
{
	begin_exit(vcpu, UAPI_GZVM_EXIT_SYSTEM_EVENT);
	vcpu->page.u.event.type = type;
	return UAPI_GZVM_EXIT_SYSTEM_EVENT;
}

static uint32_t fill(struct gzvm_vcpu *vcpu, const struct sim_event *event, bool in_slot)
{
	switch (event->kind) {
	case SIM_EVENT_INTERRUPTED:
		/* What brings the CPU back to the host is the interrupt that comes with the signal. */
		vcpu->page.exit_reason = UAPI_GZVM_EXIT_IRQ;
		return UAPI_GZVM_EXIT_IRQ;
	case SIM_EVENT_MMIO:
		return fill_access(vcpu, event, in_slot);
	case SIM_EVENT_HYPERCALL:
		return fill_hypercall(vcpu, event);
	case SIM_EVENT_OFF:
		return fill_system_event(vcpu, UAPI_GZVM_EVENT_SHUTDOWN);
	case SIM_EVENT_RESET:
	case SIM_EVENT_RESET2:
		return fill_system_event(vcpu, UAPI_GZVM_EVENT_RESET);
	case SIM_EVENT_CRASH:
		return fill_system_event(vcpu, UAPI_GZVM_EVENT_CRASH);
	case SIM_EVENT_RAW:
		return fill_raw(vcpu, event->raw);
	}
	return fill_failure(vcpu, EPROTO);
}

uint32_t gzvm_fill_event(struct gzvm_vcpu *vcpu, const struct sim_event *event)
{
	bool in_slot = event->kind == SIM_EVENT_MMIO && gzvm_in_slot(vcpu->vm, event->gpa);
	uint32_t code;

	pthread_mutex_lock(&vcpu->lock);
	code = fill(vcpu, event, in_slot);
	vcpu->load_waits = code == UAPI_GZVM_EXIT_MMIO && vcpu->page.exit_reason == code && vcpu->page.u.mmio.is_write == 0;
	vcpu->load_width = (uint32_t)vcpu->page.u.mmio.width;
	vcpu->hypercall_waits = code == UAPI_GZVM_EXIT_HYPERCALL;
	pthread_mutex_unlock(&vcpu->lock);
	return code;
}

uint32_t gzvm_fill_failure(struct gzvm_vcpu *vcpu, int error)
{
	uint32_t code;

	pthread_mutex_lock(&vcpu->lock);
	code = fill_failure(vcpu, (uint64_t)-error);
	pthread_mutex_unlock(&vcpu->lock);
	return code;
}
