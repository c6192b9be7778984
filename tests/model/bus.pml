/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The protocol of lib/bus.h between vCPUs that dispatch and a thread that removes a range and adds it again, on processors
 * that keep stores in buffers and let them go out of order, as arm64 does. Loads are in order: those that matter acquire.
 *
 * What is claimed:
 *   no handler runs for a range that has been freed           serve
 *   no look-up reads a table that is being rewritten          look_up
 *   a removal ends, and so does everything else               no invalid end state
 *
 * Options: FENCED (a kernel without membarrier()), and BROKEN_*, each of which takes one precaution away and must make the
 * checker find a fault.
 */
#ifndef READERS
#define READERS 2
#endif
#ifndef ACCESSES
#define ACCESSES 2
#endif
#ifndef REMOVALS
#define REMOVALS 2
#endif

#define NOBODY 0
#define RANGE 1

/* --- memory ------------------------------------------------------------------------------------------------------- */

/* Each vCPU's slot, and what of it is still in its processor's buffer; `after`: a store with release waits for the other. */
byte range[READERS];
byte range_next[READERS];
bool range_waits[READERS];
bool range_after[READERS];
byte look_ups[READERS];
byte look_ups_next[READERS];
bool look_ups_waits[READERS];
bool look_ups_after[READERS];

/* The bus; the writer's buffer. */
byte table;
byte table_next;
bool table_waits;
byte generation = 1;
byte generation_next;
bool generation_waits;
byte care; /* guests that are leaving; FENCED has no need of a bit */

/* The two tables. */
bool is_valid[2]; /* nobody is rewriting it */
bool has_range[2];
byte generation_of[2];

/* Under the lock. */
bool locked;
bool limbo;
bool gone;

bool alive = true; /* the range has not been freed */

inline let_range_go(i)
{
	range[i] = range_next[i];
	range_waits[i] = false;
	range_after[i] = false;
	look_ups_after[i] = false
}

inline let_look_ups_go(i)
{
	look_ups[i] = look_ups_next[i];
	look_ups_waits[i] = false;
	look_ups_after[i] = false;
	range_after[i] = false
}

/* An older store that somebody waits for goes first: this one is behind that. */
inline store_range(i, value, release)
{
	atomic {
		if
		:: range_waits[i] && look_ups_after[i] -> let_range_go(i)
		:: else
		fi;
		range_after[i] = release && look_ups_waits[i];
		range_next[i] = value;
		range_waits[i] = true
	}
}

inline store_look_ups(i, value, release)
{
	atomic {
		if
		:: look_ups_waits[i] && range_after[i] -> let_look_ups_go(i)
		:: else
		fi;
		look_ups_after[i] = release && range_waits[i];
		look_ups_next[i] = value;
		look_ups_waits[i] = true
	}
}

/* A full barrier on the processor of a vCPU. */
inline barrier(i)
{
	atomic {
		if
		:: range_waits[i] -> let_range_go(i)
		:: else
		fi;
		if
		:: look_ups_waits[i] -> let_look_ups_go(i)
		:: else
		fi
	}
}

/* Buffers empty themselves. */
active proctype buffers()
{
end:	do
	:: atomic { range_waits[0] && !(range_after[0] && look_ups_waits[0]) -> let_range_go(0) }
	:: atomic { look_ups_waits[0] && !(look_ups_after[0] && range_waits[0]) -> let_look_ups_go(0) }
#if READERS > 1
	:: atomic { range_waits[1] && !(range_after[1] && look_ups_waits[1]) -> let_range_go(1) }
	:: atomic { look_ups_waits[1] && !(look_ups_after[1] && range_waits[1]) -> let_look_ups_go(1) }
#endif
	:: atomic { table_waits -> table = table_next; table_waits = false }
	:: atomic { generation_waits && !table_waits -> generation = generation_next; generation_waits = false }
	od
}

/* --- vCPUs -------------------------------------------------------------------------------------------------------- */

inline lock()
{
	atomic { !locked -> locked = true }
}

/* A processor sees its own stores at once. */
#define sees(who, i) ((who == i && range_waits[i] -> range_next[i] : range[i]) == RANGE)

inline look_inside(who)
{
	atomic {
		inside = sees(who, 0);
#if READERS > 1
		inside = inside || sees(who, 1)
#endif
	}
}

inline reap()
{
	lock();
	if
	:: limbo ->
		look_inside(me);
		if
		:: inside
		:: else -> atomic { limbo = false; care--; gone = true }
		fi
	:: else
	fi;
	/* With release. */
	barrier(me);
	locked = false
}

inline leave()
{
	store_range(me, NOBODY, true);
#ifdef FENCED
#ifndef BROKEN_LEAVE
	barrier(me);
#endif
#endif
	if
	:: care != 0 -> reap()
	:: else
	fi
}

inline serve()
{
	assert(alive);
	/* The handler takes its time. */
	assert(alive);
	leave()
}

inline look_up()
{
	store_look_ups(me, 1, false);
#ifdef FENCED
#ifndef BROKEN_BEGIN
	barrier(me);
#endif
#endif
	seen = table;
	assert(is_valid[seen]);
	found = has_range[seen];
	if
	:: found ->
		store_range(me, RANGE, false);
		assert(is_valid[seen]);
#if !defined(FENCED) || defined(BROKEN_REMEMBERS)
		remembered = generation_of[seen];
#endif
	:: else
	fi;
#ifdef BROKEN_END
	store_look_ups(me, 0, false)
#else
	store_look_ups(me, 0, true)
#endif
}

proctype vcpu(byte me)
{
	byte remembered; /* 0: nothing */
	byte seen;
	byte accesses;
	bool found;
	bool inside;

	do
	:: accesses == ACCESSES -> break
	:: else ->
		accesses++;
		found = false;
		if
		:: remembered != 0 ->
			store_range(me, RANGE, false);
			if
			:: generation == remembered -> serve(); goto done
			:: else -> leave()
			fi
		:: else
		fi;
		look_up();
		if
		:: found -> serve()
		:: else
		fi;
done:		skip
	od
}

/* --- who changes the bus ------------------------------------------------------------------------------------------- */

inline heavy_barrier()
{
	skip;
#ifndef BROKEN_WRITER
	atomic {
		if
		:: table_waits -> table = table_next; table_waits = false
		:: else
		fi;
		if
		:: generation_waits -> generation = generation_next; generation_waits = false
		:: else
		fi
	}
#endif
#if !defined(FENCED) && !defined(BROKEN_MEMBARRIER)
	barrier(0);
#if READERS > 1
	barrier(1);
#endif
#endif
}

inline await_look_ups(i)
{
	if
	:: look_ups[i] != 0 -> look_ups[i] == 0
	:: else
	fi
}

/* The other table, with the range or without it, for everybody. */
inline change(present)
{
	other = 1 - now;
	has_range[other] = present;
	next_generation++;
	generation_of[other] = next_generation;
	is_valid[other] = true;
	atomic {
		table_next = other;
		table_waits = true
	}
	atomic {
		if
		:: generation_waits -> generation = generation_next
		:: else
		fi;
		generation_next = next_generation;
		generation_waits = true
	}
	heavy_barrier();
#ifndef BROKEN_AWAIT
	await_look_ups(0);
#if READERS > 1
	await_look_ups(1);
#endif
#endif
	is_valid[now] = false;
	now = other
}

init
{
	byte now;
	byte other;
	byte next_generation = 1;
	byte removals;
	bool inside;

	atomic {
		is_valid[0] = true;
		has_range[0] = true;
		generation_of[0] = 1;
		run vcpu(0);
#if READERS > 1
		run vcpu(1);
#endif
	}
	do
	:: removals == REMOVALS -> break
	:: else ->
		removals++;
		lock();
		care++;
		change(false);
		look_inside(READERS);
		if
		:: inside ->
			limbo = true;
			gone = false;
			locked = false;
			/* In pthread_cond_wait(). */
			gone;
			lock()
		:: else -> care--
		fi;
		locked = false;
		alive = false;
		/* The next one has the same address. */
		lock();
		alive = true;
		change(true);
		locked = false
	od
}
