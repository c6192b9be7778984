/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * gh-bench-bus: the price of gh_bus_dispatch() against what a VMM has without it. Prints JSON; times decide nothing here.
 *
 * All subjects dispatch the same stores to the same handlers, in turns of tens of microseconds each, on one thread and on two,
 * so that what disturbs the machine disturbs all of them. A batch of two threads counts if both have begun together.
 *
 * One of the subjects is no dispatch at all, but a call of a handler that is known beforehand, with its access made. What libgh
 * takes beyond that is the price of dispatch. Who shares a core with somebody else has half of it for milliseconds or minutes:
 * the verdict goes by the tenth of the rounds in which that call took least, before libgh's turn and after it.
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
#define REGISTERS 4u /* of its device that a thread accesses in turn */
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
	_Alignas(128) int (*access)(void *data, struct gh_bus_access *access);
	uint64_t gpa;
	uint64_t sum; /* of what has been stored */
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
	uint32_t sequence[WINDOWS * BATCH]; /* addresses, counted from BASE */
};

struct stage {
	uint32_t n;
	enum pattern pattern;
	struct gh_fake *fake;
	struct gh_sys old_kernel;
	struct gh_vm *vms[SUBJECTS];
	struct gh_bus_range *ranges[SUBJECTS][MOST_RANGES];
	struct rival rivals[SUBJECTS];
	struct device devices[SUBJECTS][MOST_RANGES]; /* no two threads access one of them */
	struct runner runners[THREADS];
	double *times[THREADS][SUBJECTS]; /* on one thread and on two */
	double *direct_again;             /* on one thread, behind libgh's batch of each round */
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

static int on_access(void *data, struct gh_bus_access *access)
{
	struct device *device = data;

	device->sum += access->value;
	return GH_BUS_DONE;
}

/* As if the device were known; the function is not, or the compiler would make one of it and the loop. */
static int call_directly(const struct gh_exit *exit)
{
	struct device *device = &stage.devices[DIRECT][(exit->mmio.gpa - BASE) / LENGTH];
	struct gh_bus_access access;

	rival_make_access(&access, device->gpa, &exit->mmio);
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
	const uint32_t *sequence = &runner->sequence[window * BATCH];
	struct gh_exit exit = { .kind = GH_EXIT_MMIO };
	uint64_t verdicts = 0;

	exit.mmio.width = 8;
	exit.mmio.is_store = 1;
	runner->begin = now_ns();
	for (uint32_t i = 0; i < BATCH; i++) {
		exit.mmio.gpa = BASE + sequence[i];
		exit.mmio.value = sequence[i] + i;
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
		if (subject == LIBGH) {
			run_batch(&stage.runners[0], DIRECT, window);
			stage.direct_again[round] = ns_of(&stage.runners[0]);
		}
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
		for (uint32_t i = 0; i < WINDOWS * BATCH; i++) {
			uint32_t device = stage.n / 3 + id;
			uint32_t place = OFFSET + i % REGISTERS * 8;

			if (stage.pattern == RANDOM) {
				device = random_next(&state) % (stage.n / THREADS) * THREADS + id;
				place = OFFSET;
			}
			runner->sequence[i] = device * (uint32_t)LENGTH + place;
		}
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

static bool add_device(enum subject subject, uint32_t index)
{
	struct gh_bus_range_options options = GH_BUS_RANGE_OPTIONS_INIT;
	struct device *device = &stage.devices[subject][index];

	*device = (struct device){ .access = on_access, .gpa = BASE + index * LENGTH };
	options.name = "device";
	options.gpa = device->gpa;
	options.length = LENGTH;
	options.access = on_access;
	options.data = device;
	switch (subject) {
	case DIRECT:
		return true;
	case LIBGH:
	case FENCED:
		return gh_bus_add(stage.vms[subject], &options, &stage.ranges[subject][index]) == 0;
	default:
		return rival_add(&stage.rivals[subject], device->gpa, LENGTH, on_access, device);
	}
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
	for (uint32_t i = 0; i < SUBJECTS * n && ok; i++)
		ok = add_device((enum subject)(i / n), i * 389 % n);
	for (unsigned int threads = 0; threads < THREADS; threads++)
		for (unsigned int subject = 0; subject < SUBJECTS; subject++) {
			stage.times[threads][subject] = calloc(rounds, sizeof(double));
			ok &= stage.times[threads][subject] != NULL;
		}
	stage.direct_again = calloc(rounds + WINDOWS, sizeof(double));
	return ok && stage.direct_again != NULL;
}

static void tear_down(void)
{
	free(stage.direct_again);
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

/* What each device has been asked: how often, and for what in all. */
struct asked {
	uint64_t times;
	uint64_t sum;
};

static void add_up(enum subject subject, struct asked asked[MOST_RANGES])
{
	for (uint32_t id = 0; id < THREADS; id++)
		for (uint32_t i = 0; i < WINDOWS * BATCH; i++) {
			const struct runner *runner = &stage.runners[id];
			uint64_t times = runner->batches[subject][i / BATCH];

			asked[runner->sequence[i] / LENGTH].times += times;
			asked[runner->sequence[i] / LENGTH].sum += times * (runner->sequence[i] + i % BATCH);
		}
}

/* libgh's own counters say so as well. */
static bool is_counted(enum subject subject, uint32_t index, uint64_t times)
{
	struct gh_bus_range_counts counts = GH_BUS_RANGE_COUNTS_INIT;

	return gh_bus_range_counts(stage.ranges[subject][index], &counts) == 0 && counts.stores == times &&
	       counts.loads == 0 && counts.failed == 0 && counts.forbidden == 0;
}

static bool is_sound_subject(enum subject subject)
{
	struct asked asked[MOST_RANGES] = { { 0, 0 } };
	bool sound = true;

	add_up(subject, asked);
	for (uint32_t i = 0; i < stage.n; i++) {
		sound &= stage.devices[subject][i].sum == asked[i].sum;
		if (subject == LIBGH || subject == FENCED)
			sound &= is_counted(subject, i, asked[i].times);
	}
	return sound;
}

static bool is_sound(void)
{
	bool sound = rival_check(&stage.rivals[MUTEX]) == stage.n && rival_check(&stage.rivals[RWLOCK]) == stage.n;

	for (uint32_t id = 0; id < THREADS; id++)
		sound &= stage.runners[id].verdicts == 0;
	for (unsigned int subject = 0; subject < SUBJECTS; subject++)
		sound &= is_sound_subject((enum subject)subject);
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
	double quiet;        /* the same, undisturbed */
	double quiet_direct; /* a known handler in the same rounds */
	double two;
	double direct; /* what two threads cost without a bus */
};

struct round {
	double worst;  /* of both direct batches */
	double direct; /* their mean */
	double libgh;
};

static int compare_rounds(const void *a, const void *b)
{
	const struct round *x = a;
	const struct round *y = b;

	return (x->worst > y->worst) - (x->worst < y->worst);
}

/* Means of the quietest tenth. Before median(), which puts the times in order. */
static bool find_quiet(uint32_t rounds, struct verdict *verdict)
{
	struct round *all = calloc(rounds, sizeof(*all));
	uint32_t quiet = (rounds + 9) / 10;

	if (all == NULL)
		return false;
	for (uint32_t i = 0; i < rounds; i++) {
		double before = stage.times[0][DIRECT][i];
		double after = stage.direct_again[i];

		all[i] = (struct round){ .worst = before > after ? before : after,
					 .direct = (before + after) / 2,
					 .libgh = stage.times[0][LIBGH][i] };
	}
	qsort(all, rounds, sizeof(*all), compare_rounds);
	for (uint32_t i = 0; i < quiet; i++) {
		verdict->quiet_direct += all[i].direct / quiet;
		verdict->quiet += all[i].libgh / quiet;
	}
	free(all);
	return true;
}

/* All rounds of one number of ranges and one pattern. */
static bool measure(uint32_t rounds, bool print, struct verdict *verdict)
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
		if (!find_quiet(rounds, verdict))
			return false;
		print_case(1, one);
		(void)printf(",\n");
		print_case(2, two);
		verdict->one = one[LIBGH];
		verdict->two = two[LIBGH];
		verdict->direct = two[DIRECT] / one[DIRECT];
	}
	return is_sound();
}

static void print_verdict(const struct verdict *verdict)
{
	double dispatch = verdict->quiet - verdict->quiet_direct;

	(void)printf(
		"  \"own_16\": {\"one_ns\": %.2f, \"quiet_ns\": %.2f, \"quiet_direct_ns\": %.2f, \"dispatch_ns\": %.2f, "
		"\"ns_met\": %s, \"ns_met_with_handler_and_loop\": %s",
		verdict->one, verdict->quiet, verdict->quiet_direct, dispatch, dispatch <= TARGET_NS ? "true" : "false",
		verdict->quiet <= TARGET_NS ? "true" : "false");
	/*
	 * On a busy machine two threads may never have run together; and what slows down two threads of direct calls is none of
	 * the bus's doing.
	 */
	if (verdict->two > 0)
		(void)printf(", \"two_ns\": %.2f, \"ratio\": %.2f, \"ratio_of_direct_calls\": %.2f, \"ratio_met\": %s",
			     verdict->two, verdict->two / verdict->one, verdict->direct,
			     verdict->two <= verdict->one * SAME * (verdict->direct > 1 ? verdict->direct : 1) ? "true"
													       : "false");
	(void)printf("},\n");
}

static bool run_all(uint32_t rounds, bool print)
{
	static const uint32_t numbers[] = { 4, 16, 64, MOST_RANGES };
	const size_t count = sizeof(numbers) / sizeof(numbers[0]);
	struct verdict own_16 = { .one = 0 };
	bool ok = true;

	if (print)
		(void)printf(
			"{\n  \"benchmark\": \"bus\",\n  \"targets\": {\"own_16_dispatch_ns\": %g, \"own_16_ratio\": %g},\n"
			"  \"dispatch\": [\n",
			TARGET_NS, SAME);
	for (size_t i = 0; i < PATTERNS * count && ok; i++) {
		struct verdict verdict = { .one = 0 };

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
	"Measured are stores through gh_bus_dispatch() to 4, 16, 64 and 1024 ranges, four registers of\n"
	"each thread's own device or random devices, on one thread and on two: nanoseconds for each\n"
	"access, medians, the handler and the loop included. added_ns: without what a direct call of the\n"
	"handler takes, its access made; dispatch_ns: the same in the tenth of the rounds in which that\n"
	"call took least, before libgh's turn and after it.\n";

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
