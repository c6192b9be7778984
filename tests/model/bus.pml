/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The protocol of lib/bus.h between vCPUs that dispatch and a thread that removes a range and adds one there again, on
 * processors that keep stores in buffers and let them go out of order, as arm64 does. Loads are in order: those that matter
 * acquire. Each vCPU has one place for a recent access.
 *
 * What is claimed:
 *   no handler runs for a range that has been freed           serve
 *   no look-up reads a table that is being rewritten          look_up
 *   a removal ends, and so does everything else               no invalid end state
 *   what a handler has stored arrives before that is freed    buffer, with STORES
 *   no change has to sleep if there never was membarrier()    nap, with FENCED
 *   no access passes by a doorbell that is there already      vcpu, with DOORBELL
 *
 * Options: NEIGHBOUR (a range at another address, which stays on the bus, shares the place for a recent access), STORES (those
 * of handlers count as well), DOORBELL (before a range is removed, a doorbell is added in it, which goes with it), FENCED (a
 * kernel without membarrier()), LOST (one from which it may be taken away at any time), and BROKEN_*, each of which takes one
 * precaution away and must make the checker find a fault.
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

/* Ranges: the removed one and the one that follows take turns, as if each had the memory of the last but one. */
#define NOBODY 0
#define FIRST 1
#define SECOND 2
#define OTHER 3 /* the neighbour */

/* Of `care`. */
#define NEEDS_FENCES 1
#define LEAVING 2 /* and more */

#if defined(FENCED) || defined(LOST)
#define HAS_FENCES
#define is_fenced ((care & NEEDS_FENCES) != 0)
#else
#define is_fenced false
#endif

/* --- memory ------------------------------------------------------------------------------------------------------- */

/* What a vCPU's thread writes and others read. */
#define RANGE 0    /* slot.range */
#define LOOK_UPS 1 /* slot.look_ups, modulo 2 */
#define AT 2       /* live.at: 1 is the recent access, 0 is anything else */
#define WHOSE 3    /* recent.range */
#define STATE 4    /* recent.state; the writer clears it */
#ifdef STORES
#define DATA 5 /* what a handler has stored last, by range */
#define CELLS 6
#else
#define CELLS 5
#endif

byte cells[READERS * CELLS];

/* A vCPU's processor has a buffer with room for one store to each cell (`waits`). `behind`: those that have to go first. */
byte held[READERS * CELLS];
byte behind[READERS * CELLS];
byte waits[READERS];
#ifdef LOST
byte owed[READERS]; /* those that a nap is for */
#endif

/* The bus; the writer's buffer. */
byte table;
byte table_next;
bool table_waits;
#ifdef FENCED
byte care = NEEDS_FENCES;
byte near = NEEDS_FENCES;
#else
byte care;
byte near; /* all vCPUs' copies */
#endif

/* The two tables. */
bool is_valid[2]; /* nobody is rewriting it */
byte entry[2];
#ifdef DOORBELL
bool has_doorbell[2];
bool rings; /* it has been added */
#endif

/* Under the lock. */
bool locked;
byte limbo; /* a range */
bool gone;

bool alive[4]; /* these ranges have not been freed */

#define bit(l) (1 << (l))
#define cell(i, l) ((i) * CELLS + (l))
/* A processor sees its own stores at once. */
#define own(i, l) ((waits[i] & bit(l)) != 0 -> held[cell(i, l)] : cells[cell(i, l)])
#define view(who, i, l) ((who) == (i) -> own(i, l) : cells[cell(i, l)])

/* Those that are in the buffer go before a store with release. */
inline store(i, l, value, release)
{
	atomic {
		(waits[i] & bit(l)) == 0;
		behind[cell(i, l)] = (release -> waits[i] : 0);
		held[cell(i, l)] = value;
		waits[i] = waits[i] | bit(l)
	}
}

/* A full barrier on the processor of a vCPU. */
inline barrier(i)
{
	waits[i] == 0
}

inline let_go(i, l)
{
	cells[cell(i, l)] = held[cell(i, l)];
	held[cell(i, l)] = 0;
	waits[i] = waits[i] & ~bit(l);
#ifdef LOST
	owed[i] = owed[i] & ~bit(l);
#endif
	behind[cell(i, RANGE)] = behind[cell(i, RANGE)] & ~bit(l);
	behind[cell(i, LOOK_UPS)] = behind[cell(i, LOOK_UPS)] & ~bit(l);
	behind[cell(i, AT)] = behind[cell(i, AT)] & ~bit(l);
	behind[cell(i, WHOSE)] = behind[cell(i, WHOSE)] & ~bit(l)
}

#define may_go(i, l) ((waits[i] & bit(l)) != 0 && behind[cell(i, l)] == 0)

/* Buffers empty themselves. */
proctype buffer(byte i)
{
end:	do
	:: d_step { may_go(i, RANGE) -> let_go(i, RANGE) }
	:: d_step { may_go(i, LOOK_UPS) -> let_go(i, LOOK_UPS) }
	:: d_step { may_go(i, AT) -> let_go(i, AT) }
	:: d_step { may_go(i, WHOSE) -> let_go(i, WHOSE) }
	:: d_step { may_go(i, STATE) -> let_go(i, STATE) }
#ifdef STORES
	:: d_step {
		may_go(i, DATA) ->
			assert(alive[held[cell(i, DATA)]]);
			let_go(i, DATA);
			cells[cell(i, DATA)] = 0
	}
#endif
	od
}

active proctype table_buffer()
{
end:	do
	:: d_step { table_waits -> table = table_next; table_waits = false }
	od
}

/* --- vCPUs -------------------------------------------------------------------------------------------------------- */

inline lock()
{
	atomic { !locked -> locked = true }
}

/* One vCPU after the other, as they come. */
inline look_inside_one(who, i, whom)
{
	if
#ifdef BROKEN_AT
	:: false ->
#else
	:: view(who, i, AT) != 0 ->
#endif
		inside = inside || view(who, i, WHOSE) == whom
	:: else
	fi;
	inside = inside || view(who, i, RANGE) == whom
}

inline look_inside(who, whom)
{
	inside = false;
	look_inside_one(who, 0, whom);
#if READERS > 1
	look_inside_one(who, 1, whom)
#endif
}

inline set_care(value)
{
	care = value;
	near = care
}

inline reap()
{
	lock();
	if
	:: limbo != NOBODY ->
		look_inside(me, limbo);
		if
		:: inside
		:: else ->
			set_care(care - LEAVING);
			atomic { limbo = NOBODY; gone = true }
		fi;
		inside = false
	:: else
	fi;
	/* With release. */
	barrier(me);
	locked = false
}

/* Behind a store that says that nobody is there any more. */
inline look_at_care()
{
#ifdef BROKEN_CARE
	skip
#else
	if
	:: near != 0 ->
#if defined(HAS_FENCES) && !defined(BROKEN_LEAVE)
		if
		:: is_fenced -> barrier(me)
		:: else
		fi;
#endif
		if
		:: care >= LEAVING -> reap()
		:: else
		fi
	:: else
	fi
#endif
}

/* A handler: it takes its time, up to the store that says that nobody is there any more. */
inline serve(whom, l, release)
{
#ifdef STORES
	store(me, DATA, whom, false);
#endif
	atomic {
		assert(alive[whom]);
		store(me, l, 0, release)
	}
}

inline remember()
{
	store(me, WHOSE, found, true);
	atomic {
		store(me, STATE, 1, false);
		recent = wanted;
		callee = found
	}
}

inline look_up()
{
	store(me, LOOK_UPS, 1, false);
#if defined(HAS_FENCES) && !defined(BROKEN_BEGIN)
	if
	:: is_fenced -> barrier(me)
	:: else
	fi;
#endif
	atomic {
		seen = table;
		assert(is_valid[seen]);
		found = (wanted == OTHER -> OTHER : entry[seen])
	}
	if
	:: found != NOBODY ->
		/* It still reads the table. */
		atomic {
			store(me, RANGE, found, false);
			assert(is_valid[seen])
		}
#if defined(DOORBELL) && !defined(BROKEN_PASSES)
		if
		:: is_fenced || (wanted != OTHER && has_doorbell[seen])
		:: else -> remember()
		fi
#elif defined(HAS_FENCES) && !defined(BROKEN_REMEMBERS)
		if
		:: is_fenced
		:: else -> remember()
		fi
#else
		remember()
#endif
	:: else
	fi;
#ifdef BROKEN_END
	store(me, LOOK_UPS, 0, false)
#else
	store(me, LOOK_UPS, 0, true)
#endif
}

proctype vcpu(byte me)
{
	byte accesses;
	byte wanted; /* FIRST stands for whoever is there */
	byte recent; /* the same, of the recent access; NOBODY: none yet */
	byte callee; /* the range whose handler that calls */
	byte seen;
	byte found;
	bool inside;
	bool late; /* there was a doorbell when the access began */

	do
	:: accesses == ACCESSES -> break
	:: else ->
		accesses++;
#ifdef DOORBELL
		late = rings;
#endif
		if
		:: wanted = FIRST
#ifdef NEIGHBOUR
		:: wanted = OTHER
#endif
		fi;
		if
		:: recent == wanted ->
			store(me, AT, 1, false);
			if
#ifdef BROKEN_STATE
			:: true ->
#else
			:: own(me, STATE) != 0 ->
#endif
#ifdef DOORBELL
				assert(!late || wanted == OTHER);
#endif
#ifdef BROKEN_OUT
				serve(callee, AT, false);
#else
				serve(callee, AT, true);
#endif
				look_at_care();
				goto done
#ifndef BROKEN_STATE
			:: own(me, STATE) == 0 ->
				store(me, AT, 0, true);
				look_at_care()
#endif
			fi
		:: else
		fi;
		look_up();
		if
		:: found != NOBODY ->
			serve(found, RANGE, true);
			look_at_care()
		:: else
		fi;
done:		atomic { wanted = NOBODY; found = NOBODY; seen = 0; late = false }
	od
}

/* --- who changes the bus ------------------------------------------------------------------------------------------- */

/* Long enough for what has been stored before to arrive. */
inline nap()
{
#if defined(FENCED)
	/* Nothing was ever recent. */
	assert(false)
#elif !defined(LOST) || defined(BROKEN_NAP)
	skip
#else
	atomic {
		owed[0] = waits[0];
#if READERS > 1
		owed[1] = waits[1]
#endif
	}
	owed[0] == 0;
#if READERS > 1
	owed[1] == 0
#endif
#endif
}

inline membarrier()
{
#ifdef BROKEN_MEMBARRIER
	skip
#else
	barrier(0);
#if READERS > 1
	barrier(1)
#endif
#endif
}

inline heavy_barrier(light)
{
#ifndef BROKEN_WRITER
	!table_waits;
#endif
	if
	:: !is_fenced -> membarrier()
#ifdef LOST
	:: !is_fenced ->
		set_care(care | NEEDS_FENCES);
		nap()
#endif
	:: is_fenced && !light
	:: is_fenced && light -> nap()
	fi
}

inline await_look_ups(i)
{
	if
	:: cells[cell(i, LOOK_UPS)] != 0 -> cells[cell(i, LOOK_UPS)] == 0
	:: else
	fi
}

inline await_all_look_ups()
{
	await_look_ups(0);
#if READERS > 1
	await_look_ups(1)
#endif
}

/* The writer's stores are not kept in a buffer here: nothing depends on them before the barrier that follows. */
inline clear(i)
{
	atomic {
		if
		:: cells[cell(i, STATE)] != 0 ->
			cells[cell(i, STATE)] = 0;
			cleared = true
		:: else
		fi
	}
}

inline clear_recents()
{
	clear(0);
#if READERS > 1
	clear(1);
#endif
}

/* The other table for everybody, with a range or with NOBODY. */
inline change(whom, keeps)
{
	atomic {
		other = 1 - now;
		entry[other] = whom;
		is_valid[other] = true;
		table_next = other;
		table_waits = true
	}
	heavy_barrier(false);
#ifdef BROKEN_EARLY
	clear_recents();
#endif
#ifndef BROKEN_AWAIT
	await_all_look_ups();
#endif
	atomic {
		is_valid[now] = false;
		now = other
	}
	if
	:: !keeps || is_fenced ->
#if !defined(BROKEN_CLEAR) && !defined(BROKEN_EARLY)
		clear_recents();
#endif
#ifndef BROKEN_SECOND
		if
#ifdef BROKEN_LIGHT
		:: cleared -> heavy_barrier(false)
#else
		:: cleared -> heavy_barrier(true)
#endif
		:: else
		fi;
#endif
		cleared = false
	:: else
	fi
}

init
{
	byte now;
	byte other;
	byte leaver = FIRST;
	byte removals;
	bool cleared;
	bool inside;

	atomic {
		is_valid[0] = true;
		entry[0] = FIRST;
		alive[FIRST] = true;
		alive[OTHER] = true;
		run vcpu(0);
		run buffer(0);
#if READERS > 1
		run vcpu(1);
		run buffer(1)
#endif
	}
	do
	:: removals == REMOVALS -> break
	:: else ->
		removals++;
		lock();
#ifdef DOORBELL
		has_doorbell[1 - now] = true;
#ifdef BROKEN_KEEPS
		change(leaver, true);
#else
		change(leaver, false);
#endif
		atomic { locked = false; rings = true };
		atomic { !locked -> locked = true; rings = false };
		has_doorbell[1 - now] = false;
#endif
		set_care(care + LEAVING);
		change(NOBODY, false);
		look_inside(READERS, leaver);
		if
		:: inside ->
			atomic { limbo = leaver; gone = false; locked = false };
			/* In pthread_cond_wait(). */
			gone;
			lock()
		:: else -> set_care(care - LEAVING)
		fi;
		atomic {
			locked = false;
			inside = false;
			alive[leaver] = false;
			leaver = FIRST + SECOND - leaver
		}
		/* The next one has the same address. */
		atomic { !locked -> locked = true; alive[leaver] = true };
#ifdef DOORBELL
		has_doorbell[1 - now] = false;
#endif
		change(leaver, true);
		locked = false
	od
}
