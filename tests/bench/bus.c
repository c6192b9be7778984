/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * gh-bench-bus: the price of gh_bus_dispatch() against what a VMM has without it. Prints JSON; times decide nothing here.
 *
 * All subjects dispatch the same stores to the same handlers, in turns of some microseconds each, on one thread and on two,
 * so that what disturbs the machine disturbs all of them. A batch of two threads counts if both have begun together.
 */
#include "rivals.h"

#include "internal.h"

#include <gh/gh.h>

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TARGET_NS 4.0
/* What two measurements of one thing may differ by. */
#define SAME 1.1

#define BASE UINT64_C(0x10000000)
#define LENGTH UINT64_C(0x200)
#define OFFSET 0x58u
#define MOST_RANGES 1024u
#define MOST_ROUNDS 100000u
#define THREADS 2u
#define BATCH 4096u
#define WINDOWS 4u /* random accesses repeat only after so many batches */
#define SPINS 2000u
#define ATTEMPTS 20u /* for each batch of two threads that is wanted */

/* Direct calls are what remains of a measurement without any dispatch. Fenced is libgh on kernels without membarrier(). */
enum subject { DIRECT, LIBGH, FENCED, MUTEX, RWLOCK, SUBJECTS };
enum pattern { OWN, RANDOM, PATTERNS };

static const char *const subject_names[SUBJECTS] = { "direct", "libgh", "fenced", "mutex", "rwlock" };
static const char *const pattern_names[PATTERNS] = { "own", "random" };

struct device {
	int (*access)(void *data, struct gh_bus_access *access);
	uint64_t gpa;
	uint32_t index;
};

/* One of the threads that dispatch. */
struct runner {
	_Alignas(128) struct stage *stage;
	uint32_t id;
	struct gh_vcpu *vcpus[SUBJECTS]; /* of libgh's */
	uint64_t begin;
	uint64_t end;
	uint64_t verdicts; /* other than GH_BUS_DONE */
	uint64_t batches[SUBJECTS][WINDOWS];
	uint64_t hits[SUBJECTS][MOST_RANGES];
	uint16_t sequence[WINDOWS * BATCH];
};

struct stage {
	uint32_t n;
	enum pattern pattern;
	struct gh_fake *fake;
	struct gh_sys old_kernel;
	struct gh_vm *vms[SUBJECTS];
	struct gh_bus_range *ranges[SUBJECTS][MOST_RANGES];
	struct rival rivals[SUBJECTS];
	struct device devices[MOST_RANGES];
	struct runner runners[THREADS];
	double *times[THREADS][SUBJECTS]; /* on one thread and on two */
	uint32_t n_times[THREADS][SUBJECTS];
	enum subject subject; /* of the batch of both */
	uint32_t window;
	bool leave;
	_Alignas(128) atomic_uint arrived;
	_Alignas(128) atomic_uint turn;
};

static struct stage stage;

static uint64_t now_ns(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* --- one batch ------------------------------------------------------------------------------------------------------ */

/* A store's value says where to count. An access that is another device's is not counted, and missing in the end. */
static int on_access(void *data, struct gh_bus_access *access)
{
	const struct device *device = data;
	uint64_t *hits = (uint64_t *)(uintptr_t)access->value;

	hits[device->index] += access->gpa - device->gpa < LENGTH;
	return GH_BUS_DONE;
}

/* As if the device were known; the function is not, or the compiler would make one of it and the loop. */
static int call_directly(const struct gh_exit *exit)
{
	const struct gh_exit_mmio *mmio = &exit->mmio;
	struct device *device = &stage.devices[(mmio->gpa - BASE) / LENGTH];
	struct gh_bus_access access;

	access.gpa = mmio->gpa;
	access.offset = mmio->gpa - device->gpa;
	access.value = mmio->value;
	access.width = mmio->width;
	access.is_store = mmio->is_store;
	return device->access(device, &access);
}

static inline __attribute__((always_inline)) int dispatch(struct runner *runner, enum subject subject,
							  const struct gh_exit *exit)
{
	if (subject == DIRECT)
		return call_directly(exit);
	if (subject == LIBGH || subject == FENCED)
		return gh_bus_dispatch(runner->vcpus[subject], exit);
	return rival_dispatch(&stage.rivals[subject], exit);
}

/* One copy for each subject, in which dispatch() is the call that it makes. */
static inline __attribute__((always_inline)) void time_batch(struct runner *runner, enum subject subject, uint32_t window)
{
	const uint16_t *sequence = &runner->sequence[window * BATCH];
	struct gh_exit exit = { .kind = GH_EXIT_MMIO };
	uint64_t verdicts = 0;

	exit.mmio.width = 8;
	exit.mmio.is_store = 1;
	exit.mmio.value = (uintptr_t)runner->hits[subject];
	runner->begin = now_ns();
	for (uint32_t i = 0; i < BATCH; i++) {
		exit.mmio.gpa = BASE + sequence[i] * LENGTH + OFFSET;
		verdicts += dispatch(runner, subject, &exit) != GH_BUS_DONE;
	}
	runner->end = now_ns();
	runner->verdicts += verdicts;
}

static void run_batch(struct runner *runner, enum subject subject, uint32_t window)
{
	runner->batches[subject][window]++;
	switch (subject) {
	case DIRECT:
		time_batch(runner, DIRECT, window);
		break;
	case LIBGH:
		time_batch(runner, LIBGH, window);
		break;
	case FENCED:
		time_batch(runner, FENCED, window);
		break;
	case MUTEX:
		time_batch(runner, MUTEX, window);
		break;
	default:
		time_batch(runner, RWLOCK, window);
		break;
	}
}

/* --- two threads ---------------------------------------------------------------------------------------------------- */

static void meet(void)
{
	unsigned int turn = atomic_load(&stage.turn);

	if (atomic_fetch_add(&stage.arrived, 1) + 1 == THREADS) {
		atomic_store(&stage.arrived, 0);
		atomic_store(&stage.turn, turn + 1);
		return;
	}
	for (unsigned int spins = 0; atomic_load(&stage.turn) == turn; spins++)
		if (spins > SPINS)
			(void)sched_yield();
}

static void *help(void *argument)
{
	struct runner *runner = argument;

	for (;;) {
		meet();
		if (stage.leave)
			return NULL;
		run_batch(runner, stage.subject, stage.window);
		meet();
	}
}

static double ns_of(const struct runner *runner)
{
	return (double)(runner->end - runner->begin) / BATCH;
}

static void note(unsigned int threads, enum subject subject, double ns)
{
	stage.times[threads - 1][subject][stage.n_times[threads - 1][subject]++] = ns;
}

/* False: one thread had begun when the other one could not. */
static bool run_both(enum subject subject, uint32_t window, bool count)
{
	const struct runner *a = &stage.runners[0];
	const struct runner *b = &stage.runners[1];
	uint64_t apart;

	stage.subject = subject;
	stage.window = window;
	meet();
	run_batch(&stage.runners[0], subject, window);
	meet();
	apart = a->begin > b->begin ? a->begin - b->begin : b->begin - a->begin;
	if (apart > (a->end - a->begin) / 10)
		return false;
	if (count)
		note(2, subject, (ns_of(a) + ns_of(b)) / 2);
	return true;
}

static void run_round(uint32_t round, bool count, unsigned int attempts)
{
	const uint32_t window = round % WINDOWS;

	for (unsigned int subject = 0; subject < SUBJECTS; subject++) {
		run_batch(&stage.runners[0], subject, window);
		if (count)
			note(1, subject, ns_of(&stage.runners[0]));
	}
	for (unsigned int subject = 0; subject < SUBJECTS; subject++)
		for (unsigned int i = 0; i < attempts && !run_both(subject, window, count); i++)
			;
}

/* --- setting up ------------------------------------------------------------------------------------------------------- */

static uint32_t random_next(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*state >> 33);
}

static void make_sequences(void)
{
	uint64_t state = 1;

	for (uint32_t id = 0; id < THREADS; id++) {
		struct runner *runner = &stage.runners[id];

		runner->stage = &stage;
		runner->id = id;
		for (uint32_t i = 0; i < WINDOWS * BATCH; i++)
			runner->sequence[i] =
				(uint16_t)(stage.pattern == RANDOM ? random_next(&state) % stage.n : stage.n / 3 + id);
	}
}

static int refuse_membarrier(struct gh_sys *sys, int command)
{
	(void)sys;
	(void)command;
	return -ENOSYS;
}

static int open_vm(enum subject subject)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	int ret;

	options.backend = "fake";
	options.fake = stage.fake;
	ret = gh_vm_open(&options, &stage.vms[subject]);
	if (ret == 0 && subject == FENCED)
		stage.vms[subject]->b.sys = &stage.old_kernel;
	for (uint32_t id = 0; id < THREADS && ret == 0; id++)
		ret = gh_vcpu_create(stage.vms[subject], id, &stage.runners[id].vcpus[subject]);
	return ret;
}

static bool add_device(uint32_t index)
{
	struct gh_bus_range_options options = GH_BUS_RANGE_OPTIONS_INIT;
	struct device *device = &stage.devices[index];
	bool ok = true;

	*device = (struct device){ .access = on_access, .gpa = BASE + index * LENGTH, .index = index };
	options.name = "device";
	options.gpa = device->gpa;
	options.length = LENGTH;
	options.access = on_access;
	options.data = device;
	for (unsigned int subject = LIBGH; subject <= FENCED; subject++)
		ok &= gh_bus_add(stage.vms[subject], &options, &stage.ranges[subject][index]) == 0;
	for (unsigned int subject = MUTEX; subject <= RWLOCK; subject++)
		ok &= rival_add(&stage.rivals[subject], device->gpa, LENGTH, on_access, device);
	return ok;
}

static bool set_up(uint32_t n, enum pattern pattern, uint32_t rounds)
{
	bool ok;

	memset(&stage, 0, sizeof(stage));
	stage.n = n;
	stage.pattern = pattern;
	stage.old_kernel = *gh_sys_kernel();
	stage.old_kernel.membarrier = refuse_membarrier;
	make_sequences();
	ok = gh_fake_new(&stage.fake) == 0 && open_vm(LIBGH) == 0 && open_vm(FENCED) == 0 &&
	     rival_init(&stage.rivals[MUTEX], LOCK_MUTEX) && rival_init(&stage.rivals[RWLOCK], LOCK_READ_WRITE);
	/* Not in the order of their addresses: 389 is prime to all numbers of ranges. */
	for (uint32_t i = 0; i < n && ok; i++)
		ok = add_device(i * 389 % n);
	for (unsigned int threads = 0; threads < THREADS; threads++)
		for (unsigned int subject = 0; subject < SUBJECTS; subject++) {
			stage.times[threads][subject] = calloc(rounds, sizeof(double));
			ok &= stage.times[threads][subject] != NULL;
		}
	return ok;
}

static void tear_down(void)
{
	for (unsigned int threads = 0; threads < THREADS; threads++)
		for (unsigned int subject = 0; subject < SUBJECTS; subject++)
			free(stage.times[threads][subject]);
	rival_free(&stage.rivals[MUTEX]);
	rival_free(&stage.rivals[RWLOCK]);
	gh_vm_close(stage.vms[LIBGH]);
	gh_vm_close(stage.vms[FENCED]);
	gh_fake_free(stage.fake);
}

/* --- is what was measured worth anything? ------------------------------------------------------------------------------- */

/* Every access of this thread reached its own device's handler. */
static bool is_sound_thread(const struct runner *runner, enum subject subject)
{
	uint64_t expected[MOST_RANGES] = { 0 };

	for (uint32_t i = 0; i < WINDOWS * BATCH; i++)
		expected[runner->sequence[i]] += runner->batches[subject][i / BATCH];
	return memcmp(expected, runner->hits[subject], sizeof(expected)) == 0;
}

/* libgh's own counters say so as well. */
static bool is_counted(enum subject subject, uint32_t index)
{
	struct gh_bus_range_counts counts = GH_BUS_RANGE_COUNTS_INIT;
	uint64_t sum = 0;

	for (uint32_t id = 0; id < THREADS; id++)
		sum += stage.runners[id].hits[subject][index];
	return gh_bus_range_counts(stage.ranges[subject][index], &counts) == 0 && counts.stores == sum &&
	       counts.loads == 0 && counts.failed == 0 && counts.forbidden == 0;
}

static bool is_sound(void)
{
	bool sound = rival_check(&stage.rivals[MUTEX]) == stage.n && rival_check(&stage.rivals[RWLOCK]) == stage.n;

	for (uint32_t id = 0; id < THREADS; id++) {
		sound &= stage.runners[id].verdicts == 0;
		for (unsigned int subject = 0; subject < SUBJECTS; subject++)
			sound &= is_sound_thread(&stage.runners[id], subject);
	}
	for (uint32_t index = 0; index < stage.n; index++)
		sound &= is_counted(LIBGH, index) && is_counted(FENCED, index);
	if (!sound)
		(void)fprintf(stderr, "gh-bench-bus: %u ranges: accesses went astray\n", stage.n);
	return sound;
}

/* --- measuring ---------------------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	const double *x = a;
	const double *y = b;

	return (*x > *y) - (*x < *y);
}

/* 0 without a single batch. */
static double median(unsigned int threads, enum subject subject)
{
	uint32_t count = stage.n_times[threads - 1][subject];
	double *times = stage.times[threads - 1][subject];

	qsort(times, count, sizeof(*times), compare);
	return count != 0 ? times[count / 2] : 0;
}

static void print_case(unsigned int threads, double medians[SUBJECTS])
{
	uint32_t fewest = UINT32_MAX;

	(void)printf("    {\"ranges\": %u, \"device\": \"%s\", \"threads\": %u", stage.n, pattern_names[stage.pattern],
		     threads);
	for (unsigned int subject = 0; subject < SUBJECTS; subject++) {
		medians[subject] = median(threads, subject);
		if (stage.n_times[threads - 1][subject] < fewest)
			fewest = stage.n_times[threads - 1][subject];
	}
	for (unsigned int subject = 0; subject < SUBJECTS && fewest > 0; subject++)
		(void)printf(", \"%s_ns\": %.2f", subject_names[subject], medians[subject]);
	if (fewest > 0)
		(void)printf(", \"added_ns\": %.2f, \"mutex_ratio\": %.1f, \"rwlock_ratio\": %.1f",
			     medians[LIBGH] - medians[DIRECT], medians[MUTEX] / medians[LIBGH],
			     medians[RWLOCK] / medians[LIBGH]);
	(void)printf(", \"batches\": %u}", fewest);
}

struct verdict {
	double one;
	double two;
	double direct; /* what two threads cost without a bus */
};

/* All rounds of one number of ranges and one pattern. */
static bool measure(uint32_t rounds, bool print, struct verdict *ret_verdict)
{
	double one[SUBJECTS];
	double two[SUBJECTS];
	pthread_t thread;

	if (pthread_create(&thread, NULL, help, &stage.runners[1]) != 0)
		return false;
	for (uint32_t round = 0; round < WINDOWS && print; round++) /* to warm up */
		run_round(round, false, 1);
	for (uint32_t round = 0; round < rounds; round++)
		run_round(round, true, print ? ATTEMPTS : 1);
	stage.leave = true;
	meet();
	(void)pthread_join(thread, NULL);
	if (print) {
		print_case(1, one);
		(void)printf(",\n");
		print_case(2, two);
		*ret_verdict = (struct verdict){ one[LIBGH], two[LIBGH], two[DIRECT] / one[DIRECT] };
	}
	return is_sound();
}

static void print_verdict(const struct verdict *verdict)
{
	(void)printf("  \"own_16\": {\"one_ns\": %.2f, \"ns_met\": %s", verdict->one,
		     verdict->one <= TARGET_NS ? "true" : "false");
	/* On a busy machine two threads may never have run together. */
	if (verdict->two > 0)
		(void)printf(", \"two_ns\": %.2f, \"ratio\": %.2f, \"ratio_of_direct_calls\": %.2f, \"ratio_met\": %s",
			     verdict->two, verdict->two / verdict->one, verdict->direct,
			     verdict->two <= verdict->one * SAME ? "true" : "false");
	(void)printf("},\n");
}

static bool run_all(uint32_t rounds, bool print)
{
	static const uint32_t numbers[] = { 4, 16, 64, MOST_RANGES };
	const size_t count = sizeof(numbers) / sizeof(numbers[0]);
	struct verdict own_16 = { 0, 0, 0 };
	bool ok = true;

	if (print)
		(void)printf("{\n  \"benchmark\": \"bus\",\n  \"targets\": {\"own_16_ns\": %g, \"own_16_ratio\": %g},\n"
			     "  \"dispatch\": [\n",
			     TARGET_NS, SAME);
	for (size_t i = 0; i < PATTERNS * count && ok; i++) {
		struct verdict verdict = { 0, 0, 0 };

		ok = set_up(numbers[i % count], i < count ? OWN : RANDOM, rounds) && measure(rounds, print, &verdict);
		tear_down();
		if (numbers[i % count] == 16 && i < count)
			own_16 = verdict;
		if (print)
			(void)printf("%s\n", i + 1 < PATTERNS * count ? "," : "");
	}
	if (print) {
		(void)printf("  ],\n");
		print_verdict(&own_16);
		(void)printf("  \"sound\": %s\n}\n", ok ? "true" : "false");
	}
	return ok;
}

static const char help_text[] =
	"usage: gh-bench-bus [--rounds N]     measure, print JSON\n"
	"       gh-bench-bus --check          only what does not depend on time; 1 if it is wrong\n"
	"\n"
	"Measured are stores through gh_bus_dispatch() to 4, 16, 64 and 1024 ranges, each thread's own\n"
	"one or random ones, on one thread and on two: nanoseconds for each access, medians, the\n"
	"handler and the loop included.\n";

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "check", no_argument, NULL, 'c' },
		{ "rounds", required_argument, NULL, 'r' },
		{ NULL, 0, NULL, 0 },
	};
	unsigned long rounds = 400;
	bool check = false;
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 'h') {
			(void)fputs(help_text, stdout);
			return EXIT_SUCCESS;
		}
		if (option == 'r')
			rounds = strtoul(optarg, NULL, 10);
		check |= option == 'c';
		if (option == '?' || rounds < 1 || rounds > MOST_ROUNDS) {
			(void)fputs(help_text, stderr);
			return 2;
		}
	}
	return run_all(check ? 1 : (uint32_t)rounds, !check) ? EXIT_SUCCESS : EXIT_FAILURE;
}
