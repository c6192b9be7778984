/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Delays at the points of lib/points.h: random ones, that compute or sleep, on every thread that comes by.
 *
 * One thing a process cannot simulate by computing: a CPU that stands still. In the window (lib/points.h) with a load's
 * answer out, the library relies on a courier that shares the vCPU's CPU and so stands still together with it (section
 * 10.1 of the Gunyah UAPI document). A thread that merely computes there would look like a guest that runs, and one that
 * sleeps there like a guest that sleeps; a kernel does neither. So the delay there is a *stall*: the vCPU's thread
 * computes, its CPU clock advances, and the courier gets no further than its next point until it is over. At most `stalls`
 * of them hit one system call; every one makes the courier count a slice in which nothing has happened (courier.c).
 */
#include "stress.h"

#include "../../lib/points.h"

#define MOST_NS 200000u
#define COURIER_PAUSE_NS 20000u

static const char *const names[GH_POINTS_COUNT] = {
#define POINT_NAME(name, text) text,
	GH_POINTS_ALL(POINT_NAME)
};

static atomic_ulong reached[GH_POINTS_COUNT];
static atomic_ulong delayed[GH_POINTS_COUNT];
static atomic_ulong stalls;
static atomic_uint rate;
static atomic_uint most_stalls;
static atomic_bool has_courier;
static atomic_bool answer_out;
static atomic_bool stalled;
static _Thread_local uint32_t stalls_now __attribute__((tls_model("initial-exec")));

void delays_set(uint32_t new_rate, bool courier, uint32_t new_stalls)
{
	atomic_store(&rate, new_rate);
	atomic_store(&has_courier, courier);
	atomic_store(&most_stalls, new_stalls);
	atomic_store(&answer_out, false);
}

void delays_answer_out(bool out)
{
	atomic_store(&answer_out, out);
}

/* Mostly short ones, because a long one makes everybody wait for it. */
static uint32_t random_time(void)
{
	return random_once_in(8) ? random_below(MOST_NS) : random_below(MOST_NS / 20);
}

static void stall(void)
{
	const uint32_t ns = random_time();

	if (stalls_now >= atomic_load(&most_stalls))
		return;
	stalls_now++;
	(void)atomic_fetch_add(&stalls, 1);
	atomic_store(&stalled, true);
	busy_wait(ns);
	atomic_store(&stalled, false);
}

static void delay(void)
{
	const uint32_t ns = random_time();

	if (random_once_in(2))
		busy_wait(ns);
	else
		sleep_ns(ns);
}

static bool is_window(enum gh_point point)
{
	return point == GH_POINT_CALL_COMMITTED || point == GH_POINT_GUNYAH_BEGUN || point == GH_POINT_GUNYAH_TAKEN;
}

static bool is_courier(enum gh_point point)
{
	return point >= GH_POINT_COURIER_CALLED && point <= GH_POINT_COURIER_CHECKED;
}

void gh_point_reached(enum gh_point point)
{
	const uint32_t now = atomic_load_explicit(&rate, memory_order_relaxed);

	(void)atomic_fetch_add_explicit(&reached[point], 1, memory_order_relaxed);
	if (point == GH_POINT_CALL_ENTERED)
		stalls_now = 0;
	while (is_courier(point) && atomic_load(&stalled))
		sleep_ns(COURIER_PAUSE_NS);
	if (now == 0 || !random_once_in(now))
		return;
	(void)atomic_fetch_add_explicit(&delayed[point], 1, memory_order_relaxed);
	if (is_window(point) && atomic_load(&has_courier) && atomic_load(&answer_out))
		stall();
	else
		delay();
}

void delays_here(void)
{
	const uint32_t now = atomic_load_explicit(&rate, memory_order_relaxed);

	if (now != 0 && random_once_in(now))
		delay();
}

/* Points that a device does not come by. */
static bool is_foreign(enum device_kind device, enum gh_point point)
{
	bool gunyah = point >= GH_POINT_GUNYAH_BEGUN && point <= GH_POINT_GUNYAH_ENDS;
	bool gzvm = point >= GH_POINT_GZVM_BEGUN && point <= GH_POINT_GZVM_ENDS;
	bool bus = point >= GH_POINT_BUS_BEGUN && point <= GH_POINT_BUS_LOOKED; /* gh-stress-bus */
	bool simulated = point >= GH_POINT_CALL_ENTERED && point <= GH_POINT_CALL_LEAVES;
	bool page = point == GH_POINT_PAGE_CLEARED || point == GH_POINT_PAGE_RETURNED;

	/* Nor does the program refuse anything, or answer hypercalls. */
	if (bus || point == GH_POINT_ANSWER_CHECKED)
		return true;
	switch (device) {
	case DEVICE_GUNYAH:
		return gzvm;
	case DEVICE_GZVM:
		return gunyah || is_courier(point) || point == GH_POINT_KICK_FRAGILE;
	default:
		return gunyah || gzvm || simulated || page || is_courier(point) || point == GH_POINT_KICK_FRAGILE;
	}
}

unsigned int delays_missing(enum device_kind device, FILE *out)
{
	unsigned int missing = 0;

	for (unsigned int i = 0; i < GH_POINTS_COUNT; i++) {
		if (is_foreign(device, (enum gh_point)i) || atomic_load(&delayed[i]) > 0)
			continue;
		missing++;
		if (out != NULL)
			(void)fprintf(out, "gh-stress: never delayed: %s (reached %lu times)\n", names[i],
				      atomic_load(&reached[i]));
	}
	return missing;
}

unsigned long delays_count(void)
{
	unsigned long sum = 0;

	for (unsigned int i = 0; i < GH_POINTS_COUNT; i++)
		sum += atomic_load(&delayed[i]);
	return sum;
}

unsigned long delays_stalls(void)
{
	return atomic_load(&stalls);
}

unsigned long delays_kicks_to_courier(void)
{
	return atomic_load(&reached[GH_POINT_KICK_FRAGILE]);
}

unsigned long delays_signals_of_courier(void)
{
	return atomic_load(&reached[GH_POINT_COURIER_CHECKED]);
}
