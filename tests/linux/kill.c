/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Kills a guest while it boots, over and over, at random moments, with everything in one process: afterwards the process has
 * no more descriptors, mappings and locked memory than after the first time.
 *
 * Usage: test-kill KERNEL INITRD TIMES DEVICE...
 */
#include "../../tools/run.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LATEST_MS 300u
#define PATIENCE_MS 60000u
/* The main one, the one that kills, the one that runs the guest, two vCPUs; "." and "..". */
#define ENTRIES_WHEN_RUNNING 7u

struct belongings {
	unsigned int descriptors;
	unsigned int mappings;
	unsigned int threads;
	unsigned long locked_kb;
};

static unsigned int count_entries(const char *path)
{
	DIR *directory = opendir(path);
	unsigned int count = 0;

	while (directory != NULL && readdir(directory) != NULL)
		count++;
	if (directory != NULL)
		(void)closedir(directory);
	return count;
}

/* Lines of a file; *ret_number is what stands behind `key` in it. */
static unsigned int read_lines(const char *path, const char *key, unsigned long *ret_number)
{
	FILE *file = fopen(path, "re");
	unsigned int count = 0;
	char line[512];

	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		count++;
		if (key != NULL && strncmp(line, key, strlen(key)) == 0)
			*ret_number = strtoul(line + strlen(key), NULL, 10);
	}
	if (file != NULL)
		(void)fclose(file);
	return count;
}

static struct belongings look(void)
{
	struct belongings belongings = { .descriptors = count_entries("/proc/self/fd") };
	unsigned long ignored = 0;

	belongings.threads = count_entries("/proc/self/task");
	belongings.mappings = read_lines("/proc/self/maps", NULL, &ignored);
	(void)read_lines("/proc/self/status", "VmLck:", &belongings.locked_kb);
	return belongings;
}

struct when {
	bool is_running; /* the time counts from when the guest runs, not from the beginning of loading */
	unsigned int ms;
};

static void sleep_ms(unsigned int ms)
{
	const struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	(void)nanosleep(&time, NULL);
}

static void *kill_later(void *argument)
{
	const struct when *when = argument;

	for (unsigned int i = 0; when->is_running && i < PATIENCE_MS; i++) {
		if (count_entries("/proc/self/task") >= ENTRIES_WHEN_RUNNING)
			break;
		sleep_ms(1);
	}
	sleep_ms(when->ms);
	(void)kill(getpid(), SIGTERM);
	return NULL;
}

static bool boot_and_kill(const struct run_request *request, struct when when)
{
	struct run_result result;
	pthread_t thread;

	if (pthread_create(&thread, NULL, kill_later, &when) != 0)
		return false;
	run_boot(request, &result);
	(void)pthread_join(thread, NULL);
	if (result.end == RUN_KILLED && result.signal == SIGTERM && (!when.is_running || result.total_ms > 0))
		return true;
	(void)fprintf(stderr, "test-kill: %s, after %u ms: ended with %d, error %d: %s\n", request->device, when.ms,
		      (int)result.end, result.failure.error, result.failure.cause);
	return false;
}

/* What the C library keeps for later, such as stacks of threads, varies a little; a leak grows with every boot. */
static bool is_same(const struct belongings *before, const struct belongings *after, unsigned int times)
{
	bool same = after->descriptors == before->descriptors && after->threads == before->threads &&
		    after->locked_kb == before->locked_kb && after->mappings < before->mappings + times / 4;

	(void)printf("test-kill: %s: descriptors %u, %u; threads %u, %u; mappings %u, %u; locked kB %lu, %lu\n",
		     same ? "ok" : "LEAK", before->descriptors, after->descriptors, before->threads, after->threads,
		     before->mappings, after->mappings, before->locked_kb, after->locked_kb);
	return same;
}

int main(int argc, char **argv)
{
	struct run_request request = { .command_line = "console=ttyS0 panic=-1 quiet", .memory = 128u << 20, .cpus = 2 };
	unsigned int times = argc > 3 ? (unsigned int)strtoul(argv[3], NULL, 10) : 0;
	struct belongings before = { 0 };
	struct belongings after;
	sigset_t set;

	if (argc < 5 || times == 0) {
		(void)fprintf(stderr, "Usage: test-kill KERNEL INITRD TIMES DEVICE...\n");
		return 2;
	}
	request.kernel = argv[1];
	request.initrd = argv[2];
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	srandom(1);
	for (unsigned int i = 0; i < times; i++) {
		request.device = argv[4 + i % (unsigned int)(argc - 4)];
		/* Most while the guest boots, some while its files are still being loaded. */
		if (!boot_and_kill(&request, (struct when){ random() % 4 != 0, (unsigned int)random() % LATEST_MS }))
			return 1;
		if (i == (unsigned int)(argc - 5))
			before = look();
	}
	after = look();
	return is_same(&before, &after, times) ? 0 : 1;
}
