/* SPDX-License-Identifier: BSD-3-Clause */
#include "bus.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* --- handlers ------------------------------------------------------------------------------------------------------- */

static void check_alive(struct plug *plug, const char *when)
{
	if (atomic_load(&plug->magic) != MAGIC_LIVE)
		plant_failed("%s: the device has been freed", when);
}

static int on_access(void *data, struct gh_bus_access *access)
{
	struct plug *plug = data;
	struct driver *driver = &plant.drivers[gh_vcpu_id(access->vcpu)];
	int verdict = GH_BUS_DONE;

	check_alive(plug, "a handler begins");
	(void)atomic_fetch_add(&plug->inside, 1);
	(void)atomic_fetch_add_explicit(&plant.handled, 1, memory_order_relaxed);
	if (access->gpa - plug->gpa >= STRIDE)
		plant_failed("a handler got an access that is another one's");
	driver->hits++;
	driver->depth++;
	plug_mischief(plug, driver);
	driver->depth--;
	access->value = access->is_store == 0 ? access->gpa : access->value;
	if (random_once_in(32)) {
		driver->denied = true;
		verdict = GH_BUS_UNMATCHED;
	} else if (random_once_in(8)) {
		verdict = GH_BUS_DEFER;
	}
	check_alive(plug, "a handler ends");
	(void)atomic_fetch_sub(&plug->inside, 1);
	return verdict;
}

static void on_removed(void *data)
{
	struct plug *plug = data;
	atomic_bool *gone = plug->gone;

	if (atomic_load(&plug->inside) != 0)
		plant_failed("a device goes while %u handlers are inside", atomic_load(&plug->inside));
	if (atomic_exchange(&plug->magic, MAGIC_GONE) != MAGIC_LIVE)
		plant_failed("a device goes twice");
	(void)atomic_fetch_add(&plant.removed, 1);
	free(plug);
	if (gone != NULL)
		atomic_store(gone, true);
}

/* --- coming and going ----------------------------------------------------------------------------------------------- */

/* NULL: the address is taken. */
static struct plug *add(uint64_t gpa, const char *name)
{
	struct gh_bus_range_options options = GH_BUS_RANGE_OPTIONS_INIT;
	struct plug *plug = calloc(1, sizeof(*plug));
	struct gh_bus_range *range = NULL;
	int ret;

	if (plug == NULL)
		return NULL;
	atomic_init(&plug->magic, MAGIC_LIVE);
	plug->gpa = gpa;
	options.name = name;
	options.gpa = gpa;
	options.length = STRIDE;
	options.access = on_access;
	options.removed = on_removed;
	options.data = plug;
	ret = gh_bus_add(plant.vm, &options, &range);
	if (ret == 0) {
		(void)atomic_fetch_add(&plant.added, 1);
		plug->range = range;
		return plug;
	}
	if (ret != -EEXIST)
		plant_failed("gh_bus_add() returned %d", ret);
	free(plug);
	return NULL;
}

void plug_in(uint32_t place)
{
	struct plug *plug = add(BASE + 2 * place * STRIDE, "plug");

	/* Only who takes it out of there may remove it. */
	if (plug != NULL)
		atomic_store(&plant.places[place], plug);
}

void plug_out(uint32_t place, bool in_handler)
{
	struct plug *plug = atomic_exchange(&plant.places[place], NULL);
	atomic_bool gone = false;

	if (plug == NULL)
		return;
	if (in_handler) {
		gh_bus_remove(plug->range);
		return;
	}
	plug->gone = &gone;
	gh_bus_remove(plug->range);
	if (!atomic_load(&gone))
		plant_failed("gh_bus_remove() has returned, and the device is still there");
}

int plug_add_anchor(uint32_t index)
{
	struct plug *plug = add(BASE + (2 * index * (PLACES / ANCHORS) + 1) * STRIDE, "anchor");

	if (plug == NULL)
		return -1;
	plant.anchors[index] = plug->range;
	return 0;
}

/* A handler's own device, which somebody else may be about to remove. */
static void leave_home(struct plug *self)
{
	uint32_t place = (uint32_t)((self->gpa - BASE) / (2 * STRIDE));
	struct plug *expected = self;
	struct gh_bus_range *range;

	if ((self->gpa - BASE) % (2 * STRIDE) != 0 || place >= PLACES)
		return;
	if (!atomic_compare_exchange_strong(&plant.places[place], &expected, NULL))
		return;
	range = self->range;
	gh_bus_remove(range);
	/* A second time does nothing. */
	if (random_once_in(4))
		gh_bus_remove(range);
	if (random_once_in(2))
		plug_in(place);
}

void plug_mischief(struct plug *self, struct driver *driver)
{
	if (!random_once_in(6))
		return;
	switch (random_below(8)) {
	case 0:
	case 1:
		leave_home(self);
		break;
	case 2:
		plug_out(random_below(PLACES), true);
		plug_out(random_below(PLACES), true);
		break;
	case 3:
		plug_in(random_below(PLACES));
		break;
	case 4:
		plug_look();
		break;
	case 5:
		if (drive_store(driver, driver->last) != -EPERM)
			plant_failed("a handler could dispatch on its own vCPU");
		break;
	case 6:
		if (random_once_in(8))
			plug_swap_tracer();
		break;
	default:
		/* Somebody else's turn, in the midst of it. */
		(void)sched_yield();
		break;
	}
}

/* --- looking on ------------------------------------------------------------------------------------------------------- */

static int swallow(void *data, const char *text, size_t length)
{
	size_t *sum = data;

	*sum += length;
	return strlen(text) == length ? 0 : -EIO;
}

void plug_look(void)
{
	struct gh_bus_unmatched_options unmatched = GH_BUS_UNMATCHED_OPTIONS_INIT;
	struct gh_bus_counts counts = GH_BUS_COUNTS_INIT;
	uint32_t place = random_below(PLACES);
	size_t length = 0;
	struct plug *plug;

	if (gh_bus_dump(plant.vm, random_below(2), swallow, &length) != 0 || length == 0)
		plant_failed("gh_bus_dump() failed");
	if (gh_bus_counts(plant.vm, &counts) != 0)
		plant_failed("gh_bus_counts() failed");
	unmatched.value = random_below(100);
	if (gh_bus_set_unmatched(plant.vm, &unmatched) != 0)
		plant_failed("gh_bus_set_unmatched() failed");
	/* While it is in nobody's place nobody removes it, and its address is taken. */
	plug = atomic_exchange(&plant.places[place], NULL);
	if (plug != NULL) {
		struct gh_bus_range_counts own = GH_BUS_RANGE_COUNTS_INIT;

		if (gh_bus_range_counts(plug->range, &own) != 0)
			plant_failed("gh_bus_range_counts() failed");
		atomic_store(&plant.places[place], plug);
	}
}

struct tracer {
	atomic_uint magic;
	atomic_uint inside;
};

static void on_event(void *data, const struct gh_bus_event *event)
{
	struct tracer *tracer = data;

	(void)atomic_fetch_add(&tracer->inside, 1);
	if (atomic_load(&tracer->magic) != MAGIC_LIVE)
		plant_failed("a tracer has been freed");
	if (event->range != NULL && strlen(event->range) < 3)
		plant_failed("a tracer got a name that is none");
	(void)atomic_fetch_add_explicit(&plant.traced, 1, memory_order_relaxed);
	(void)atomic_fetch_sub(&tracer->inside, 1);
}

static void on_tracer_removed(void *data)
{
	struct tracer *tracer = data;

	if (atomic_load(&tracer->inside) != 0 || atomic_exchange(&tracer->magic, MAGIC_GONE) != MAGIC_LIVE)
		plant_failed("a tracer goes while it runs, or twice");
	(void)atomic_fetch_add(&plant.removed, 1);
	free(tracer);
}

/* Mostly there is none: with one, nothing goes the short way. */
void plug_swap_tracer(void)
{
	struct gh_bus_trace_options options = GH_BUS_TRACE_OPTIONS_INIT;
	struct tracer *tracer = calloc(1, sizeof(*tracer));

	if (tracer == NULL)
		return;
	atomic_init(&tracer->magic, MAGIC_LIVE);
	(void)atomic_fetch_add(&plant.added, 1);
	options.trace = on_event;
	options.removed = on_tracer_removed;
	options.data = tracer;
	if (gh_bus_set_trace(plant.vm, &options) != 0)
		plant_failed("gh_bus_set_trace() failed");
	(void)sched_yield();
	if (gh_bus_set_trace(plant.vm, NULL) != 0)
		plant_failed("gh_bus_set_trace() failed");
}

/* --- what only one driver touches: every access has one right result ------------------------------------------------------ */

static void expect_own(struct driver *driver, bool there)
{
	int ret = drive_store(driver, OWN_GPA(driver->id));
	bool denied = driver->denied && ret == GH_BUS_UNMATCHED;

	if (driver->hits != there || (ret == GH_BUS_UNMATCHED) != (denied || !there) || ret < 0)
		plant_failed("a device that is %s: %u handlers, result %d", there ? "there" : "not there", driver->hits,
			     ret);
	driver->unmatched += ret == GH_BUS_UNMATCHED;
}

void plug_visit_own(struct driver *driver)
{
	struct gh_bus_range_counts counts = GH_BUS_RANGE_COUNTS_INIT;
	const uint32_t times = 1 + random_below(4);
	atomic_bool gone = false;
	struct plug *plug;

	expect_own(driver, false);
	plug = add(OWN_GPA(driver->id), "own");
	if (plug == NULL) {
		plant_failed("an address that nobody uses is taken");
		return;
	}
	for (uint32_t i = 0; i < times; i++)
		expect_own(driver, true);
	/* Its cells have been others' before. */
	if (gh_bus_range_counts(plug->range, &counts) != 0 || counts.stores != times || counts.loads != 0)
		plant_failed("%u stores, and counted are %llu", times, (unsigned long long)counts.stores);
	plug->gone = &gone;
	gh_bus_remove(plug->range);
	if (!atomic_load(&gone))
		plant_failed("gh_bus_remove() has returned, and the own device is still there");
	expect_own(driver, false);
}

static void expect_bell(struct driver *driver, bool there)
{
	int ret = drive_store(driver, BELL_GPA(driver->id));
	uint64_t rings = 0;

	if (read(driver->bell, &rings, sizeof(rings)) < 0)
		rings = 0;
	if (ret != (there ? GH_BUS_DONE : GH_BUS_UNMATCHED) || rings != there || driver->hits != 0)
		plant_failed("a doorbell that is %s: result %d", there ? "there" : "not there", ret);
	driver->unmatched += !there;
	driver->rung += there;
}

void plug_visit_bell(struct driver *driver)
{
	const struct gh_bus_doorbell bell = { .gpa = BELL_GPA(driver->id), .width = 4, .fd = driver->bell };
	struct gh_bus_guest *guest;

	expect_bell(driver, false);
	if (gh_bus_add_doorbell(plant.vm, &bell) != 0)
		plant_failed("gh_bus_add_doorbell() failed");
	expect_bell(driver, true);
	guest = gh_bus_withdraw_doorbell(plant.vm, &bell);
	if (guest == NULL)
		plant_failed("gh_bus_withdraw_doorbell() failed");
	gh_bus_end_doorbell(plant.vm, guest);
	expect_bell(driver, false);
}
