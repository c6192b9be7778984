/* SPDX-License-Identifier: BSD-3-Clause */
/* Ranges, the policy and the tracer: the caller's side of what the table holds. */
#include "internal.h"
#include "opts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STEP_ADD "add a range to the bus"
#define STEP_SET "configure the bus"
#define ALL_WIDTHS 15u

/* Failures are written without the bus's lock: they have the VM's. */
static int report(struct gh_vm *vm, const struct gh_failure *failure, int ret)
{
	if (ret == 0)
		return 0;
	(void)pthread_mutex_lock(&vm->lock);
	vm->failure = *failure;
	(void)pthread_mutex_unlock(&vm->lock);
	return ret;
}

static int fail_change(struct gh_failure *failure, int error, const char *step)
{
	if (error == -EBUSY)
		return gh_fail(failure, error, step, NULL, "Do not add to a VM while it is being closed.",
			       "The VM is being closed.");
	return gh_fail_memory(failure, step);
}

/* --- cells ---------------------------------------------------------------------------------------------------------- */

struct gh_bus_cell *gh_bus_cells_new(uint32_t chunk)
{
	return calloc(((size_t)GH_BUS_CHUNK << chunk) + 2 * GH_BUS_CELL_MARGIN, sizeof(struct gh_bus_cell));
}

static int cells_grow(struct gh_bus *bus)
{
	uint32_t chunk = bus->n_chunks;
	uint32_t n_cells = bus->n_cells + (GH_BUS_CHUNK << chunk);
	struct gh_bus_slot *slot;
	uint32_t *indices;

	if (chunk == GH_BUS_CHUNKS)
		return -ENOMEM;
	indices = realloc(bus->free_indices, n_cells * sizeof(*indices));
	if (indices == NULL)
		return -ENOMEM;
	bus->free_indices = indices;
	for (slot = bus->slots; slot != NULL; slot = slot->next) {
		/* One that is there already is of an attempt that failed half-way. */
		if (slot->chunks[chunk] == NULL)
			slot->chunks[chunk] = gh_bus_cells_new(chunk);
		if (slot->chunks[chunk] == NULL)
			return -ENOMEM;
	}
	bus->n_chunks++;
	bus->n_cells = n_cells;
	return 0;
}

/* Cells for a range; they are its own when it is added. */
static int cells_find(struct gh_bus *bus, struct gh_bus_range *range)
{
	uint32_t size = GH_BUS_CHUNK;
	uint32_t cell;

	if (bus->n_free_indices == 0 && bus->n_indices == bus->n_cells) {
		int ret = cells_grow(bus);

		if (ret < 0)
			return ret;
	}
	range->index = bus->n_free_indices > 0 ? bus->free_indices[bus->n_free_indices - 1] : bus->n_indices;
	cell = range->index;
	range->chunk = 0;
	for (; cell >= size; size *= 2) {
		cell -= size;
		range->chunk++;
	}
	range->cell = cell + (uint32_t)GH_BUS_CELL_MARGIN;
	return 0;
}

static void cells_take(struct gh_bus *bus)
{
	if (bus->n_free_indices > 0)
		bus->n_free_indices--;
	else
		bus->n_indices++;
}

/* --- ranges --------------------------------------------------------------------------------------------------------- */

static bool is_name(const char *name)
{
	size_t length;

	if (name == NULL)
		return false;
	for (length = 0; name[length] != '\0'; length++)
		if (length == GH_BUS_NAME || name[length] < ' ' || name[length] > '~')
			return false;
	return length > 0;
}

static uint32_t widest(uint32_t widths)
{
	uint32_t width = GH_BUS_64;

	while (width > 1 && (widths & width) == 0)
		width /= 2;
	return width;
}

static int check_options(const struct gh_bus_range_options *options, struct gh_failure *failure)
{
	uint64_t grid = widest(options->handler_widths);

	if (!is_name(options->name))
		return gh_fail_argument(failure, -EINVAL, STEP_ADD,
					"A range has a name of 1 to 63 printable ASCII characters.");
	if (options->access == NULL)
		return gh_fail_argument(failure, -EINVAL, STEP_ADD, "There is no handler.");
	if (options->length == 0)
		return gh_fail_argument(failure, -EINVAL, STEP_ADD, "The length is 0.");
	if (((options->guest_widths | options->handler_widths) & ~ALL_WIDTHS) != 0 ||
	    (options->flags & ~(uint32_t)GH_BUS_UNALIGNED) != 0 || options->reserved != 0)
		return gh_fail_argument(failure, -EINVAL, STEP_ADD, "An unknown bit or a reserved field is set.");
	if (options->gpa % grid != 0 || options->length % grid != 0)
		return gh_fail(failure, -EINVAL, STEP_ADD, NULL, "Begin and end the range where registers do.",
			       "\"%s\" is not aligned to registers of %llu bytes, which its handler wants.", options->name,
			       (unsigned long long)grid);
	if (options->length - 1 > UINT64_MAX - options->gpa)
		return gh_fail_argument(failure, -ERANGE, STEP_ADD, "The range wraps around the address space.");
	return 0;
}

static void set_room(struct gh_bus_range *range)
{
	uint32_t widths = range->guest_widths & (range->handler_widths != 0 ? range->handler_widths : ALL_WIDTHS);
	uint64_t length = range->last - range->gpa + 1;

	for (uint32_t width = GH_BUS_8; width <= GH_BUS_64; width *= 2)
		if ((widths & width) != 0 && length >= width)
			range->room[width] = length - width + 1;
}

static struct gh_bus_range *range_new(struct gh_vm *vm, const struct gh_bus_range_options *options)
{
	struct gh_bus_range *range = calloc(1, sizeof(*range));

	if (range == NULL)
		return NULL;
	range->guest.removed = options->removed;
	range->guest.data = options->data;
	range->guest.kind = GH_BUS_RANGE;
	range->vm = vm;
	range->access = options->access;
	range->gpa = options->gpa;
	range->last = options->gpa + (options->length - 1);
	range->guest_widths = options->guest_widths != 0 ? options->guest_widths : ALL_WIDTHS;
	range->handler_widths = options->handler_widths;
	range->unaligned = (options->flags & GH_BUS_UNALIGNED) != 0;
	set_room(range);
	memcpy(range->name, options->name, strlen(options->name) + 1);
	return range;
}

/* The first entry that ends behind the address, or the number of entries. */
static uint32_t place(const struct gh_bus_table *table, uint64_t gpa)
{
	uint32_t low = 0;
	uint32_t high = table != NULL ? table->n_entries : 0;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (table->entries[middle].last < gpa)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int fail_overlap(struct gh_failure *failure, const struct gh_bus_range *range, const struct gh_bus_range *other)
{
	return gh_fail(failure, -EEXIST, STEP_ADD, NULL, "Choose another address, or remove the other range first.",
		       "\"%s\" at 0x%llx to 0x%llx overlaps \"%s\" at 0x%llx to 0x%llx.", range->name,
		       (unsigned long long)range->gpa, (unsigned long long)range->last, other->name,
		       (unsigned long long)other->gpa, (unsigned long long)other->last);
}

/* Under the lock. */
static int add(struct gh_vm *vm, struct gh_bus_range *range, struct gh_failure *failure)
{
	const struct gh_bus_table *now = atomic_load(&vm->bus.table);
	uint32_t at = place(now, range->gpa);
	struct gh_bus_change change;
	struct gh_bus_table *next;
	int ret;

	if (now != NULL && at < now->n_entries && now->entries[at].gpa <= range->last)
		return fail_overlap(failure, range, now->entries[at].range);
	ret = cells_find(&vm->bus, range);
	if (ret < 0)
		return fail_change(failure, ret, STEP_ADD);
	ret = gh_bus_change_begin(vm, 1, 0, &change);
	if (ret < 0)
		return fail_change(failure, ret, STEP_ADD);
	cells_take(&vm->bus);
	change.keeps = true;
	next = change.next;
	memmove(&next->entries[at + 1], &next->entries[at], (next->n_entries - at) * sizeof(next->entries[0]));
	next->entries[at] = (struct gh_bus_entry){ .gpa = range->gpa, .last = range->last, .range = range };
	next->n_entries++;
	gh_bus_change_end(vm, &change);
	return 0;
}

int gh_bus_add(struct gh_vm *vm, const struct gh_bus_range_options *callers, struct gh_bus_range **ret_range)
{
	struct gh_bus_range_options options = GH_BUS_RANGE_OPTIONS_INIT;
	struct gh_failure failure = GH_FAILURE_INIT;
	struct gh_bus_range *range;
	int ret;

	if (vm == NULL || callers == NULL || gh_opts_copy(&options, sizeof(options), sizeof(options), callers) < 0)
		return -EINVAL;
	if (gh_vm_is_forked(vm))
		return gh_fail_forked(vm);
	ret = check_options(&options, &failure);
	if (ret < 0)
		return report(vm, &failure, ret);
	range = range_new(vm, &options);
	if (range == NULL)
		return report(vm, &failure, gh_fail_memory(&failure, STEP_ADD));
	(void)pthread_mutex_lock(&vm->bus.lock);
	ret = add(vm, range, &failure);
	(void)pthread_mutex_unlock(&vm->bus.lock);
	if (ret < 0) {
		free(range);
		return report(vm, &failure, ret);
	}
	if (ret_range != NULL)
		*ret_range = range;
	return 0;
}

/* Under the lock. False: somebody else frees it. */
static bool withdraw(struct gh_vm *vm, struct gh_bus_range *range)
{
	uint32_t at = place(atomic_load(&vm->bus.table), range->gpa);
	struct gh_bus_change change;
	struct gh_bus_table *next;

	/* A handler has removed its range already; or the VM is being closed, and this is the range whose turn it is. */
	if (range->guest.leaving || gh_bus_change_begin(vm, 0, 0, &change) < 0)
		return false;
	next = change.next;
	gh_bus_retire_begin(&vm->bus, &range->guest);
	next->n_entries--;
	memmove(&next->entries[at], &next->entries[at + 1], (next->n_entries - at) * sizeof(next->entries[0]));
	gh_bus_change_end(vm, &change);
	return gh_bus_retire_end(vm, &range->guest);
}

void gh_bus_remove(struct gh_bus_range *range)
{
	struct gh_vm *vm;
	bool mine;

	if (range == NULL)
		return;
	vm = range->vm;
	/* A child's copy of the lock may be held for ever. */
	if (gh_vm_is_forked(vm))
		return;
	(void)pthread_mutex_lock(&vm->bus.lock);
	mine = withdraw(vm, range);
	(void)pthread_mutex_unlock(&vm->bus.lock);
	if (mine)
		gh_bus_guest_free(&vm->bus, &range->guest);
}

/* --- policy and tracer ------------------------------------------------------------------------------------------------ */

int gh_bus_set_unmatched(struct gh_vm *vm, const struct gh_bus_unmatched_options *callers)
{
	struct gh_bus_unmatched_options options = GH_BUS_UNMATCHED_OPTIONS_INIT;
	struct gh_failure failure = GH_FAILURE_INIT;
	struct gh_bus_change change;
	int ret;

	if (vm == NULL || callers == NULL || gh_opts_copy(&options, sizeof(options), sizeof(options), callers) < 0)
		return -EINVAL;
	if (gh_vm_is_forked(vm))
		return gh_fail_forked(vm);
	if (options.policy > GH_BUS_UNMATCHED_FAIL || options.reserved != 0)
		return report(vm, &failure,
			      gh_fail_argument(&failure, -EINVAL, STEP_SET,
					       "There is no such policy, or a reserved field is set."));
	(void)pthread_mutex_lock(&vm->bus.lock);
	ret = gh_bus_change_begin(vm, 0, 0, &change);
	if (ret == 0) {
		change.keeps = true;
		change.next->policy = options.policy;
		change.next->value = options.value;
		gh_bus_change_end(vm, &change);
	}
	(void)pthread_mutex_unlock(&vm->bus.lock);
	return ret < 0 ? report(vm, &failure, fail_change(&failure, ret, STEP_SET)) : 0;
}

/* Under the lock. *ret_old: the caller's to free. */
static int swap_tracer(struct gh_vm *vm, struct gh_bus_tracer *tracer, struct gh_bus_tracer **ret_old)
{
	const struct gh_bus_table *now = atomic_load(&vm->bus.table);
	struct gh_bus_tracer *old = now != NULL ? now->tracer : NULL;
	struct gh_bus_change change;
	int ret;

	*ret_old = NULL;
	if (tracer == NULL && old == NULL)
		return 0;
	ret = tracer != NULL && vm->bus.closing ? -EBUSY : gh_bus_change_begin(vm, 0, 0, &change);
	if (ret < 0)
		return ret;
	if (old != NULL)
		gh_bus_retire_begin(&vm->bus, &old->guest);
	change.next->tracer = tracer;
	gh_bus_change_end(vm, &change);
	if (old != NULL && gh_bus_retire_end(vm, &old->guest))
		*ret_old = old;
	return 0;
}

static struct gh_bus_tracer *tracer_new(const struct gh_bus_trace_options *options)
{
	struct gh_bus_tracer *tracer = calloc(1, sizeof(*tracer));

	if (tracer == NULL)
		return NULL;
	tracer->guest.removed = options->removed;
	tracer->guest.data = options->data;
	tracer->guest.kind = GH_BUS_TRACER;
	tracer->trace = options->trace;
	return tracer;
}

int gh_bus_set_trace(struct gh_vm *vm, const struct gh_bus_trace_options *callers)
{
	struct gh_bus_trace_options options = GH_BUS_TRACE_OPTIONS_INIT;
	struct gh_failure failure = GH_FAILURE_INIT;
	struct gh_bus_tracer *tracer = NULL;
	struct gh_bus_tracer *old;
	int ret;

	if (vm == NULL || (callers != NULL && (gh_opts_copy(&options, sizeof(options), sizeof(options), callers) < 0 ||
					       options.trace == NULL)))
		return -EINVAL;
	if (gh_vm_is_forked(vm))
		return gh_fail_forked(vm);
	if (callers != NULL) {
		tracer = tracer_new(&options);
		if (tracer == NULL)
			return report(vm, &failure, gh_fail_memory(&failure, STEP_SET));
	}
	(void)pthread_mutex_lock(&vm->bus.lock);
	ret = swap_tracer(vm, tracer, &old);
	(void)pthread_mutex_unlock(&vm->bus.lock);
	if (ret < 0) {
		free(tracer);
		return report(vm, &failure, fail_change(&failure, ret, STEP_SET));
	}
	if (old != NULL)
		gh_bus_guest_free(&vm->bus, &old->guest);
	return 0;
}
