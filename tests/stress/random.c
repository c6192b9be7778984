/* SPDX-License-Identifier: BSD-3-Clause */
#include "stress.h"

#include <time.h>

static uint64_t seed = 1;
static atomic_ulong strangers;
static _Thread_local uint64_t state __attribute__((tls_model("initial-exec")));

void random_seed(uint64_t new_seed)
{
	seed = new_seed;
}

void random_stream(uint64_t stream)
{
	state = (seed * 0x9e3779b97f4a7c15u) ^ (stream * 0xbf58476d1ce4e5b9u) ^ 0x94d049bb133111ebu;
	if (state == 0)
		state = 1;
}

/* Threads that the library or the simulation made come here without a stream of theirs. */
static uint64_t next(void)
{
	if (state == 0)
		random_stream(UINT64_MAX - atomic_fetch_add(&strangers, 1));
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

uint32_t random_below(uint32_t limit)
{
	return limit == 0 ? 0 : (uint32_t)((next() >> 16) % limit);
}

bool random_once_in(uint32_t n)
{
	return random_below(n) == 0;
}

uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void busy_wait(uint32_t ns)
{
	const uint64_t until = now_ns() + ns;

	while (now_ns() < until)
		;
}

void sleep_ns(uint32_t ns)
{
	const struct timespec time = { .tv_sec = ns / 1000000000u, .tv_nsec = (long)(ns % 1000000000u) };

	(void)nanosleep(&time, NULL);
}
