/* SPDX-License-Identifier: BSD-3-Clause */
/* gh-stress-bus: every access is handled by one device that is there, or by none, and counted; nothing that is gone is used. */
#include "bus.h"

#include "../../lib/points.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define RAM_GPA UINT64_C(0x80000000)
#define RAM_SIZE UINT64_C(4096)
#define MOST_MESSAGES 10u
#define MOST_DELAY_NS 20000u
#define DELAY_RATE 256u
/* Without a single access for so long, somebody waits for ever. */
#define BOUND_NS UINT64_C(60000000000)
#define LOOK_NS 2000000u

struct plant plant;

void plant_failed(const char *format, ...)
{
	va_list arguments;

	if (atomic_fetch_add(&plant.failures, 1) >= MOST_MESSAGES)
		return;
	va_start(arguments, format);
	(void)fputs("gh-stress-bus: ", stderr);
	(void)vfprintf(stderr, format, arguments);
	(void)fputc('\n', stderr);
	va_end(arguments);
}

/* Between any two steps of a look-up, of a removal, of a kick. */
void gh_point_reached(enum gh_point point)
{
	(void)point;
	if (!plant.delays || !random_once_in(DELAY_RATE))
		return;
	if (random_once_in(2))
		busy_wait(random_below(MOST_DELAY_NS));
	else
		(void)sched_yield();
}

/* --- drivers -------------------------------------------------------------------------------------------------------- */

int drive_store(struct driver *driver, uint64_t gpa)
{
	struct gh_exit exit = { .kind = GH_EXIT_MMIO };

	exit.mmio.gpa = gpa;
	exit.mmio.width = 4;
	exit.mmio.is_store = 1;
	exit.mmio.value = 0x42;
	if (driver->depth == 0) {
		driver->hits = 0;
		driver->denied = false;
	}
	return gh_bus_dispatch(driver->vcpu, &exit);
}

/* A load comes out of a run, and wants an answer. */
static int drive_load(struct driver *driver, uint64_t gpa)
{
	const struct gh_exit *exit = NULL;
	int ret;

	driver->hits = 0;
	driver->denied = false;
	if (gh_fake_load(plant.fake, driver->id, gpa, 4) != 0 || gh_vcpu_run(driver->vcpu, &exit) != 0 ||
	    exit->kind != GH_EXIT_MMIO || exit->mmio.gpa != gpa) {
		plant_failed("a run went wrong: %s", gh_vcpu_failure(driver->vcpu)->cause);
		return GH_BUS_DONE;
	}
	ret = gh_bus_dispatch(driver->vcpu, exit);
	if (gh_mmio_complete(driver->vcpu, 0) != (ret == GH_BUS_DONE ? -EBUSY : 0))
		plant_failed("a load with result %d has been answered, or has not", ret);
	return ret == GH_BUS_DEFER ? GH_BUS_DONE : ret;
}

static void check_result(struct driver *driver, int ret, bool is_anchor)
{
	bool handled = driver->hits == 1 && ret == (driver->denied ? GH_BUS_UNMATCHED : GH_BUS_DONE);
	bool missed = driver->hits == 0 && ret == GH_BUS_UNMATCHED && !is_anchor;

	if (!handled && !missed)
		plant_failed("%s: %u handlers, result %d", is_anchor ? "a device that stays" : "a device", driver->hits,
			     ret);
	driver->unmatched += ret == GH_BUS_UNMATCHED;
}

static void drive_somewhere(struct driver *driver)
{
	uint64_t index = random_below(2 * PLACES);
	bool is_anchor = false;
	int ret;

	/* As a device's driver in a guest: mostly where it has just been. */
	if (random_once_in(3) || driver->last == 0)
		driver->last = BASE + index * STRIDE + random_below(16) * 4;
	index = (driver->last - BASE) / STRIDE;
	for (uint32_t i = 0; i < ANCHORS; i++)
		if (index == 2 * i * (PLACES / ANCHORS) + 1) {
			is_anchor = true;
			driver->anchored[i]++;
		}
	ret = random_once_in(64) ? drive_load(driver, driver->last) : drive_store(driver, driver->last);
	check_result(driver, ret, is_anchor);
}

static void *drive(void *argument)
{
	struct driver *driver = argument;

	random_stream(driver->id + 1);
	if (driver->late && gh_vcpu_create(plant.vm, driver->id, &driver->vcpu) != 0) {
		plant_failed("there is no vCPU %u", driver->id);
		return NULL;
	}
	for (unsigned long i = 0; i < plant.accesses; i++) {
		drive_somewhere(driver);
		if (random_once_in(16))
			plug_in(random_below(PLACES));
		if (random_once_in(128))
			plug_visit_own(driver);
		if (random_once_in(512))
			plug_visit_bell(driver);
		(void)atomic_fetch_add_explicit(&driver->progress, 1, memory_order_relaxed);
	}
	return NULL;
}

/* Not on a vCPU's thread: each removal waits until nobody is inside. */
static void *plug(void *argument)
{
	const struct plugger *plugger = argument;

	random_stream(100 + plugger->id);
	while (!atomic_load(&plant.stop)) {
		plug_in(random_below(PLACES));
		plug_in(random_below(PLACES));
		plug_out(random_below(PLACES), false);
		if (random_once_in(32))
			plug_look();
		if (random_once_in(256))
			plug_swap_tracer();
		/* So that accesses find the bus unchanged for a while, too. */
		if (random_once_in(2))
			sleep_ns(random_below(200000));
	}
	(void)atomic_fetch_sub(&plant.plugging, 1);
	return NULL;
}

/* --- the whole ---------------------------------------------------------------------------------------------------------- */

static int set_up(void)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_memory memory = GH_MEMORY_INIT;
	int ret = gh_fake_new(&plant.fake);

	options.backend = "fake";
	options.fake = plant.fake;
	if (ret == 0)
		ret = gh_vm_open(&options, &plant.vm);
	memory.gpa = RAM_GPA;
	memory.length = RAM_SIZE;
	memory.flags = GH_MEMORY_RWX;
	if (ret == 0)
		ret = gh_vm_map(plant.vm, &memory, NULL);
	for (uint32_t id = 0; id < DRIVERS && ret == 0; id++) {
		struct driver *driver = &plant.drivers[id];

		driver->id = id;
		driver->late = id == DRIVERS - 1;
		driver->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		ret = driver->bell < 0 ? -errno : driver->late ? 0 : gh_vcpu_create(plant.vm, id, &driver->vcpu);
	}
	if (ret == 0)
		ret = gh_vm_start(plant.vm);
	for (uint32_t i = 0; i < ANCHORS && ret == 0; i++)
		ret = plug_add_anchor(i);
	return ret;
}

static unsigned long progress(void)
{
	unsigned long sum = 0;

	for (uint32_t id = 0; id < DRIVERS; id++)
		sum += atomic_load(&plant.drivers[id].progress);
	return sum;
}

/* All drivers, and the pluggers then. False: they are stuck. */
static bool await_threads(void)
{
	unsigned long last = 0;
	uint64_t since = now_ns();

	for (;;) {
		unsigned long now = progress() + PLUGGERS - atomic_load(&plant.plugging);

		if (now >= DRIVERS * plant.accesses)
			atomic_store(&plant.stop, true);
		if (now == DRIVERS * plant.accesses + PLUGGERS)
			return true;
		/* One that could not begin has said so. */
		if (atomic_load(&plant.failures) > 0 && plant.drivers[DRIVERS - 1].vcpu == NULL)
			return false;
		if (now != last)
			since = now_ns();
		last = now;
		if (now_ns() - since > BOUND_NS) {
			plant_failed("nothing has happened for %llu s", (unsigned long long)(BOUND_NS / 1000000000u));
			return false;
		}
		sleep_ns(LOOK_NS);
	}
}

static bool begin_threads(void)
{
	for (uint32_t id = 0; id < DRIVERS; id++)
		if (pthread_create(&plant.drivers[id].thread, NULL, drive, &plant.drivers[id]) != 0)
			return false;
	atomic_store(&plant.plugging, PLUGGERS);
	for (uint32_t i = 0; i < PLUGGERS; i++) {
		plant.pluggers[i].id = i;
		if (pthread_create(&plant.pluggers[i].thread, NULL, plug, &plant.pluggers[i]) != 0)
			return false;
	}
	return true;
}

static void end_threads(void)
{
	for (uint32_t id = 0; id < DRIVERS; id++)
		(void)pthread_join(plant.drivers[id].thread, NULL);
	for (uint32_t i = 0; i < PLUGGERS; i++)
		(void)pthread_join(plant.pluggers[i].thread, NULL);
}

/* What the library has counted is what the drivers have seen. */
static void check_sums(void)
{
	struct gh_bus_counts counts = GH_BUS_COUNTS_INIT;
	uint64_t unmatched = 0;
	uint64_t rung = 0;

	for (uint32_t id = 0; id < DRIVERS; id++) {
		unmatched += plant.drivers[id].unmatched;
		rung += plant.drivers[id].rung;
	}
	if (gh_bus_counts(plant.vm, &counts) != 0 || counts.unmatched_loads + counts.unmatched_stores != unmatched ||
	    counts.doorbells != rung)
		plant_failed("unmatched or rung: not what has been counted");
	for (uint32_t i = 0; i < ANCHORS; i++) {
		struct gh_bus_range_counts own = GH_BUS_RANGE_COUNTS_INIT;
		uint64_t seen = 0;

		for (uint32_t id = 0; id < DRIVERS; id++)
			seen += plant.drivers[id].anchored[i];
		if (gh_bus_range_counts(plant.anchors[i], &own) != 0 || own.loads + own.stores != seen)
			plant_failed("a device that stays: %llu accesses, counted are %llu", (unsigned long long)seen,
				     (unsigned long long)(own.loads + own.stores));
	}
}

static void tear_down(void)
{
	gh_vm_close(plant.vm);
	gh_fake_free(plant.fake);
	for (uint32_t id = 0; id < DRIVERS; id++)
		(void)close(plant.drivers[id].bell);
	if (atomic_load(&plant.added) != atomic_load(&plant.removed))
		plant_failed("%lu came, %lu went", atomic_load(&plant.added), atomic_load(&plant.removed));
}

static int run(void)
{
	const uint64_t begun = now_ns();
	int ret = set_up();

	if (ret != 0 || !begin_threads()) {
		(void)fprintf(stderr, "gh-stress-bus: cannot begin: %d\n", ret);
		return 1;
	}
	/* Threads that are stuck cannot be joined. */
	if (!await_threads())
		_exit(1);
	end_threads();
	check_sums();
	tear_down();
	(void)printf("%lu accesses, %lu handled, %lu traced; %lu devices and tracers came and went; %lu failures; %.1f s\n",
		     progress(), atomic_load(&plant.handled), atomic_load(&plant.traced), atomic_load(&plant.removed),
		     atomic_load(&plant.failures), (double)(now_ns() - begun) / 1e9);
	return atomic_load(&plant.failures) == 0 ? 0 : 1;
}

static const char usage_text[] =
	"Usage: gh-stress-bus [--accesses N] [--seed N] [--no-delays]\n"
	"Access devices on four vCPUs, N times on each (20000), while handlers remove themselves and each other and add\n"
	"devices, other threads do so as well, and doorbells and tracers come and go. Status: 0 if every access was "
	"handled\n"
	"by one device that was there, or by none, and was counted; 1 if not; 2 for wrong usage.\n";

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "accesses", required_argument, NULL, 'a' },
		{ "seed", required_argument, NULL, 's' },
		{ "no-delays", no_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	plant.accesses = 20000;
	plant.delays = true;
	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 'a')
			plant.accesses = strtoul(optarg, NULL, 10);
		else if (option == 's')
			random_seed(strtoul(optarg, NULL, 10));
		else if (option == 'd')
			plant.delays = false;
		else {
			(void)fputs(usage_text, option == 'h' ? stdout : stderr);
			return option == 'h' ? 0 : 2;
		}
	}
	if (optind != argc || plant.accesses == 0) {
		(void)fputs(usage_text, stderr);
		return 2;
	}
	return run();
}
