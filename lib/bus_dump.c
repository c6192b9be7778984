/* SPDX-License-Identifier: BSD-3-Clause */
/* The numbers, and the map for people and for programs. */
#include "internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- numbers -------------------------------------------------------------------------------------------------------- */

/* The caller's structure may be longer or shorter than ours; `least` is that of the first version. */
static int give(void *callers, const void *own, size_t own_size, size_t least)
{
	size_t size;

	memcpy(&size, callers, sizeof(size));
	if (size < least)
		return -EINVAL;
	if (size > own_size)
		size = own_size;
	memcpy((char *)callers + sizeof(size), (const char *)own + sizeof(size), size - sizeof(size));
	return 0;
}

static uint64_t get(const atomic_uint_least64_t *counter)
{
	return atomic_load_explicit((atomic_uint_least64_t *)(uintptr_t)counter, memory_order_relaxed);
}

/* Under the lock. */
static void add_up_range(const struct gh_bus *bus, const struct gh_bus_range *range, struct gh_bus_range_counts *sum)
{
	for (const struct gh_bus_slot *slot = bus->slots; slot != NULL; slot = slot->next) {
		const struct gh_bus_cell *cell = &slot->chunks[range->chunk][range->cell];

		sum->loads += get(&cell->accesses[0]);
		sum->stores += get(&cell->accesses[1]);
		sum->deferred += get(&cell->deferred);
		sum->failed += get(&cell->failed);
		sum->forbidden += get(&cell->forbidden);
	}
}

/* Under the lock. */
static void add_up(const struct gh_bus *bus, struct gh_bus_counts *sum)
{
	for (const struct gh_bus_slot *slot = bus->slots; slot != NULL; slot = slot->next) {
		sum->unmatched_loads += get(&slot->unmatched_loads);
		sum->unmatched_stores += get(&slot->unmatched_stores);
		sum->doorbells += get(&slot->doorbells);
	}
}

int gh_bus_range_counts(const struct gh_bus_range *range, struct gh_bus_range_counts *ret_counts)
{
	struct gh_bus_range_counts counts = GH_BUS_RANGE_COUNTS_INIT;
	struct gh_bus *bus;

	if (range == NULL || ret_counts == NULL)
		return -EINVAL;
	if (gh_vm_is_forked(range->vm))
		return -EPERM;
	bus = &range->vm->bus;
	(void)pthread_mutex_lock(&bus->lock);
	add_up_range(bus, range, &counts);
	(void)pthread_mutex_unlock(&bus->lock);
	return give(ret_counts, &counts, sizeof(counts), sizeof(counts));
}

int gh_bus_counts(struct gh_vm *vm, struct gh_bus_counts *ret_counts)
{
	struct gh_bus_counts counts = GH_BUS_COUNTS_INIT;

	if (vm == NULL || ret_counts == NULL)
		return -EINVAL;
	if (gh_vm_is_forked(vm))
		return gh_fail_forked(vm);
	(void)pthread_mutex_lock(&vm->bus.lock);
	add_up(&vm->bus, &counts);
	(void)pthread_mutex_unlock(&vm->bus.lock);
	return give(ret_counts, &counts, sizeof(counts), sizeof(counts));
}

/* --- one moment of the bus -------------------------------------------------------------------------------------------- */

/* All that a dump says of a range; the range itself may be gone when it is said. */
struct line {
	struct gh_bus_range_counts counts;
	uint64_t gpa;
	uint64_t last;
	uint32_t guest_widths;
	uint32_t handler_widths;
	bool unaligned;
	char name[GH_BUS_NAME + 1];
};

struct picture {
	struct line *lines;
	struct gh_bus_doorbell *doorbells;
	uint32_t n_lines;
	uint32_t n_doorbells;
	uint32_t policy;
	uint64_t value;
	bool traced;
	struct gh_bus_counts counts;
};

static void draw_line(const struct gh_bus *bus, const struct gh_bus_range *range, struct line *line)
{
	line->gpa = range->gpa;
	line->last = range->last;
	line->guest_widths = range->guest_widths;
	line->handler_widths = range->handler_widths;
	line->unaligned = range->unaligned;
	memcpy(line->name, range->name, sizeof(line->name));
	add_up_range(bus, range, &line->counts);
}

/* Under the lock. */
static int draw(const struct gh_bus *bus, struct picture *picture)
{
	const struct gh_bus_table *table = atomic_load(&bus->table);

	add_up(bus, &picture->counts);
	if (table == NULL)
		return 0;
	/* One more than needed: no allocation of nothing. */
	picture->lines = calloc((size_t)table->n_entries + 1, sizeof(picture->lines[0]));
	picture->doorbells = calloc((size_t)table->n_doorbells + 1, sizeof(picture->doorbells[0]));
	if (picture->lines == NULL || picture->doorbells == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < table->n_entries; i++)
		draw_line(bus, table->entries[i].range, &picture->lines[i]);
	memcpy(picture->doorbells, table->doorbells, table->n_doorbells * sizeof(table->doorbells[0]));
	picture->n_lines = table->n_entries;
	picture->n_doorbells = table->n_doorbells;
	picture->policy = table->policy;
	picture->value = table->value;
	picture->traced = table->tracer != NULL;
	return 0;
}

/* --- writing it ------------------------------------------------------------------------------------------------------- */

struct writer {
	int (*write)(void *data, const char *text, size_t length);
	void *data;
	int result; /* of the first write that failed */
};

static void put(struct writer *writer, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct writer *writer, const char *format, ...)
{
	char text[512];
	va_list arguments;
	int length;

	if (writer->result != 0)
		return;
	va_start(arguments, format);
	length = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	writer->result = writer->write(writer->data, text, (size_t)length);
}

static const char *policy_name(uint32_t policy)
{
	static const char *const names[] = {
		[GH_BUS_UNMATCHED_PASS] = "pass", [GH_BUS_UNMATCHED_VALUE] = "value", [GH_BUS_UNMATCHED_FAIL] = "fail"
	};

	return names[policy];
}

#define NUMBER(value) ((unsigned long long)(value))

static void put_widths(struct writer *writer, uint32_t widths)
{
	const char *comma = "";

	for (uint32_t width = GH_BUS_8; width <= GH_BUS_64; width *= 2) {
		if ((widths & width) == 0)
			continue;
		put(writer, "%s%u", comma, width);
		comma = ",";
	}
}

static void write_text(const struct picture *picture, struct writer *writer)
{
	for (uint32_t i = 0; i < picture->n_lines; i++) {
		const struct line *line = &picture->lines[i];

		put(writer, "0x%016llx-0x%016llx  %s: %llu loads, %llu stores, %llu deferred, %llu failed, %llu forbidden",
		    NUMBER(line->gpa), NUMBER(line->last), line->name, NUMBER(line->counts.loads),
		    NUMBER(line->counts.stores), NUMBER(line->counts.deferred), NUMBER(line->counts.failed),
		    NUMBER(line->counts.forbidden));
		put(writer, "; widths ");
		put_widths(writer, line->guest_widths);
		if (line->handler_widths != 0) {
			put(writer, " as ");
			put_widths(writer, line->handler_widths);
		}
		put(writer, "%s\n", line->unaligned ? ", unaligned" : "");
	}
	for (uint32_t i = 0; i < picture->n_doorbells; i++) {
		const struct gh_bus_doorbell *doorbell = &picture->doorbells[i];

		put(writer, "0x%016llx  doorbell", NUMBER(doorbell->gpa));
		if (doorbell->width != 0)
			put(writer, ", %u bytes", doorbell->width);
		if (doorbell->match)
			put(writer, ", 0x%llx", NUMBER(doorbell->value));
		put(writer, "\n");
	}
	put(writer, "unmatched: %s, value 0x%llx: %llu loads, %llu stores\n", policy_name(picture->policy),
	    NUMBER(picture->value), NUMBER(picture->counts.unmatched_loads), NUMBER(picture->counts.unmatched_stores));
	put(writer, "doorbells rung: %llu; traced: %s\n", NUMBER(picture->counts.doorbells),
	    picture->traced ? "yes" : "no");
}

/* Names are printable ASCII. */
static void put_json_name(struct writer *writer, const char *name)
{
	char text[2 * GH_BUS_NAME + 1];
	size_t length = 0;

	for (; *name != '\0'; name++) {
		if (*name == '"' || *name == '\\')
			text[length++] = '\\';
		text[length++] = *name;
	}
	text[length] = '\0';
	put(writer, "\"%s\"", text);
}

static void put_json_range(struct writer *writer, const struct line *line)
{
	put(writer, "{\"name\":");
	put_json_name(writer, line->name);
	put(writer, ",\"gpa\":\"0x%llx\",\"length\":\"0x%llx\",\"guest_widths\":[", NUMBER(line->gpa),
	    NUMBER(line->last - line->gpa + 1));
	put_widths(writer, line->guest_widths);
	put(writer, "],\"handler_widths\":[");
	put_widths(writer, line->handler_widths);
	put(writer,
	    "],\"unaligned\":%s,\"loads\":%llu,\"stores\":%llu,\"deferred\":%llu,\"failed\":%llu,\"forbidden\":%llu}",
	    line->unaligned ? "true" : "false", NUMBER(line->counts.loads), NUMBER(line->counts.stores),
	    NUMBER(line->counts.deferred), NUMBER(line->counts.failed), NUMBER(line->counts.forbidden));
}

static void put_json_doorbell(struct writer *writer, const struct gh_bus_doorbell *doorbell)
{
	put(writer, "{\"gpa\":\"0x%llx\",\"width\":%u,\"value\":", NUMBER(doorbell->gpa), doorbell->width);
	if (doorbell->match)
		put(writer, "\"0x%llx\"}", NUMBER(doorbell->value));
	else
		put(writer, "null}");
}

static void write_json(const struct picture *picture, struct writer *writer)
{
	put(writer, "{\"ranges\":[");
	for (uint32_t i = 0; i < picture->n_lines; i++) {
		put(writer, "%s", i > 0 ? ",\n" : "\n");
		put_json_range(writer, &picture->lines[i]);
	}
	put(writer, "],\n\"doorbells\":[");
	for (uint32_t i = 0; i < picture->n_doorbells; i++) {
		put(writer, "%s", i > 0 ? ",\n" : "\n");
		put_json_doorbell(writer, &picture->doorbells[i]);
	}
	put(writer, "],\n\"unmatched\":{\"policy\":\"%s\",\"value\":\"0x%llx\",\"loads\":%llu,\"stores\":%llu},\n",
	    policy_name(picture->policy), NUMBER(picture->value), NUMBER(picture->counts.unmatched_loads),
	    NUMBER(picture->counts.unmatched_stores));
	put(writer, "\"doorbells_rung\":%llu,\n\"trace\":%s}\n", NUMBER(picture->counts.doorbells),
	    picture->traced ? "true" : "false");
}

int gh_bus_dump(struct gh_vm *vm, uint32_t format, int (*write)(void *data, const char *text, size_t length), void *data)
{
	struct writer writer = { .write = write, .data = data };
	struct picture picture = { .lines = NULL };
	int ret;

	if (vm == NULL || write == NULL || format > GH_BUS_JSON)
		return -EINVAL;
	if (gh_vm_is_forked(vm))
		return gh_fail_forked(vm);
	(void)pthread_mutex_lock(&vm->bus.lock);
	ret = draw(&vm->bus, &picture);
	(void)pthread_mutex_unlock(&vm->bus.lock);
	if (ret == 0 && format == GH_BUS_TEXT)
		write_text(&picture, &writer);
	else if (ret == 0)
		write_json(&picture, &writer);
	free(picture.lines);
	free(picture.doorbells);
	if (ret < 0)
		return ret;
	return writer.result > 0 ? -EINVAL : writer.result;
}
