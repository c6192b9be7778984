/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kick and completion protocol of lib/vcpu.c, kick.[ch], courier.c and loop.c, with the kernel and a guest below it and
 * a VMM above it. One statement here is one access to shared memory there; all of those are sequentially consistent.
 *
 * What is claimed:
 *   every kick leads to an INTERRUPTED                         assertion in the last process, when nothing moves any more
 *   a kick gives exactly one (several before it are one)       deliver_interruption
 *   no exit is lost, and none comes twice                      take_exit: exits are numbered
 *   no value of a load is lost (H1)                            enter_guest
 *   no signal is sent, or arrives, outside of a run            signal, vmm_code
 *   the end of the VM reaches the vCPU, wherever it is         assertion in the last process (END)
 *
 * Options: GENIEZONE (an answer survives a signal), END (another vCPU ends the VM), PAUSE (somebody pauses and resumes it),
 * and BROKEN_*, each of which takes one precaution away and must make the checker find a fault. The courier's guess that an
 * answer has arrived is right here: how often it is, is counted elsewhere.
 */
#ifndef EXITS
#define EXITS 3
#endif
#ifndef KICKERS
#define KICKERS 2
#endif

#define KICK 1
#define NUDGE 2

mtype = { OUT, INSIDE, FRAGILE, WAITING }; /* where the vCPU's thread is; BUSY is the same as OUT to everybody here */
mtype = { EXIT, CANCELED, INTERRUPTED };   /* what one entry gave */
mtype = { NONE, STORE, LOAD };             /* the run page's exit reason; what waits for the VMM */

/* The library. */
byte kicked;
mtype where = OUT;
byte senders;
byte entries;
bool answer_on_way;
mtype pending = NONE;
bool wake;   /* the vCPU's eventfd */
bool called; /* the courier's eventfd */
bool ended;
bool stopped; /* the vCPU's thread has seen the end */

/* The kernel and the guest. */
bool sigpend;
mtype page = NONE;
byte page_exit;  /* number of the exit in the page */
byte page_value; /* a load's answer */
bool resumes_load;
byte k_value;
bool load_is_out;
bool in_guest;
byte done; /* exits so far */

/* What is true, for the claims. */
bool latched; /* kicked, and not yet told */
bool nudged;  /* a nudge may show as one interruption */
bool in_run;
byte delivered;

/* --- kickers ------------------------------------------------------------------------------------------------------ */

inline signal()
{
	atomic {
		assert(in_run); /* nothing is signalled after leaving */
		sigpend = true
	}
}

inline wake_up()
{
	if
	:: where == WAITING -> wake = true
	:: else
	fi
}

inline send_kick(what, old)
{
	if
	:: atomic { (kicked & what) != 0 -> assert(latched || what == NUDGE) } /* it will be delivered, for both */
	:: else ->
		senders++;
		d_step {
			old = kicked;
			kicked = kicked | what;
			if
			:: what == KICK -> latched = true
			:: else -> nudged = true
			fi
		}
		if
		:: old == 0 ->
			if
			:: where == INSIDE -> signal()
#ifdef BROKEN_FRAGILE
			:: where == FRAGILE -> signal()
#else
			:: where == FRAGILE -> called = true
#endif
			:: where == WAITING -> wake_up()
			:: where == OUT
			fi
		:: else
		fi;
		senders--
	fi
}

active [KICKERS] proctype kicker()
{
	byte old;

	send_kick(KICK, old)
}

#ifdef END
active proctype other_vcpu()
{
	byte old;

	ended = true;
	send_kick(NUDGE, old)
}
#endif

#ifdef PAUSE
/* A pause that is over at once: of it remains that the vCPU has to look. */
active proctype pauser()
{
	byte old;

	send_kick(NUDGE, old)
}
#endif

/* --- the courier --------------------------------------------------------------------------------------------------- */

#define IS_WAITING (kicked != 0 && where == FRAGILE)

active proctype courier()
{
	byte entry;

end:	do
	:: called ->
		called = false;
		do
		:: true ->
			entry = entries;
			if
			:: !IS_WAITING -> break
			:: IS_WAITING
			fi;
			/* Watching takes time, and what was seen may be over when it has been seen. */
#ifndef BROKEN_COURIER
			if
			:: in_guest
			:: !IS_WAITING -> break
			fi;
#endif
			senders++;
			if
			:: IS_WAITING ->
				if
#ifdef BROKEN_ENTRY
				:: true -> signal()
#else
				:: entries == entry -> signal()
				:: else
#endif
				fi
			:: else
			fi;
			senders--;
			/* The signal's effect. */
			(!IS_WAITING || entries != entry)
		od
	od
}

/* --- somebody who answers loads later ------------------------------------------------------------------------------- */

inline answer()
{
	page_value = page_exit;
#ifndef GENIEZONE
	answer_on_way = true;
#endif
	pending = NONE
}

bool deferred;

active proctype answerer()
{
end:	do
	:: deferred ->
		deferred = false;
		answer();
		wake_up()
	od
}

/* --- the kernel ---------------------------------------------------------------------------------------------------- */

inline enter_guest()
{
	atomic {
		in_guest = true;
		if
		:: resumes_load -> assert(k_value == done); /* no load value is lost */
				   resumes_load = false
		:: else
		fi
	}
}

/* The guest's next exit, or none until a signal comes. */
inline run_guest(result)
{
	if
	:: done < EXITS ->
		d_step {
			in_guest = false;
			done++;
			page_exit = done
		}
		if
		:: page = STORE
		:: page = LOAD; load_is_out = true
		fi;
		/* H2: the exit is there, and so may be a signal. */
		if
		:: sigpend -> result = INTERRUPTED
		:: !sigpend -> result = EXIT
		fi
	:: sigpend ->
		in_guest = false;
		result = INTERRUPTED
	fi
}

inline kernel(result)
{
#ifdef GENIEZONE
	if
	:: sigpend -> result = INTERRUPTED
	:: atomic { !sigpend ->
		if
		:: load_is_out -> load_is_out = false; resumes_load = true; k_value = page_value
		:: else
		fi;
		enter_guest()
	   }
	   run_guest(result)
	fi;
#else
	/* H1: the answer is taken before signals are looked at, and a signal then destroys it. */
	if
	:: load_is_out -> load_is_out = false; resumes_load = true; k_value = page_value
	:: else
	fi;
	if
	:: atomic { sigpend -> k_value = 0; result = INTERRUPTED }
	:: atomic { !sigpend -> enter_guest() }
	   run_guest(result)
	fi;
#endif
	sigpend = false /* the handler runs on the way back, behind the window */
}

/* --- the vCPU's thread --------------------------------------------------------------------------------------------- */

/* A signal that is on its way to code outside of the window may arrive now: the handler does nothing. */
inline user_code()
{
	if
	:: sigpend -> sigpend = false
	:: true
	fi
}

/* lib/arch: the look, the window, the call. */
inline arch_enter(result)
{
	if
	:: kicked != 0 -> result = CANCELED
	:: kicked == 0 ->
#ifdef BROKEN_ORDER
		where = (answer_on_way -> FRAGILE : INSIDE);
#endif
		/* In the window the handler takes the call back; a signal may also come with the call itself. */
		if
#ifdef BROKEN_REWIND
		:: sigpend -> sigpend = false; kernel(result)
#else
		:: sigpend -> sigpend = false; result = CANCELED
#endif
		:: kernel(result)
		fi
	fi
}

inline leave()
{
	where = OUT;
	user_code();
	if
	:: kicked != 0 ->
#ifndef BROKEN_SENDERS
		senders == 0;
#endif
#ifndef BROKEN_FLUSH
		sigpend = false
#else
		user_code()
#endif
	:: else
	fi;
	in_run = false
}

/* One entry: gh_kick_begin() or _return(), the backend, and gh_kick_pause(), before or after the exit is delivered. */
inline enter(result)
{
	in_run = true;
#ifndef BROKEN_ORDER
	if
	:: answer_on_way -> d_step { entries++; where = FRAGILE } /* one word */
	:: else -> where = INSIDE
	fi;
#endif
	user_code();
#ifndef BROKEN_MARK
	page = NONE;
#endif
	arch_enter(result);
#ifndef BROKEN_PAGE
	/* H2: what stands in the page is new, even after EINTR. */
	if
	:: result == INTERRUPTED && page != NONE -> result = EXIT
	:: else
	fi;
#endif
	if
	:: result != CANCELED -> answer_on_way = false
	:: else
	fi;
	if
	:: result == EXIT -> take_exit(); leave()
	:: result == EXIT -> leave(); take_exit()
	:: else -> leave()
	fi
}

/* Whoever has set a bit that was taken has looked at `where` before the thread goes on. */
inline await_senders()
{
#ifndef BROKEN_TAKE
	senders == 0
#else
	skip
#endif
}

/* Takes a latched kick. */
inline take(taken)
{
	taken = false;
	if
	:: kicked != 0 ->
		atomic {
			taken = ((kicked & KICK) != 0);
			kicked = kicked & NUDGE;
			if
			:: taken -> assert(latched); latched = false
			:: else
			fi
		}
		if
		:: taken -> await_senders()
		:: else
		fi
	:: else
	fi
}

inline take_nudge()
{
	if
	:: kicked != 0 ->
		d_step {
			had_nudge = ((kicked & NUDGE) != 0);
			kicked = kicked & KICK
		}
		if
		:: had_nudge -> await_senders()
		:: else
		fi
	:: else
	fi
}

inline deliver_interruption(taken)
{
	atomic {
		if
		:: taken
		:: else -> assert(nudged); nudged = false /* exactly one for each kick */
		fi
	}
}

inline take_exit()
{
	atomic {
		delivered++;
		assert(page_exit == delivered); /* none lost, none twice */
		pending = page
	}
}

/* What a nudge was for may still be there, and the next entry looks at nothing but the word. */
inline remind()
{
#ifndef BROKEN_REMIND
	if
	:: ended -> kicked = kicked | NUDGE
	:: else
	fi
#else
	skip
#endif
}

#define WAITS (pending == LOAD && !ended)

/* The loop's wait for a deferred answer. */
inline await_answer()
{
	do
	:: WAITS && (kicked & KICK) == 0 ->
		take_nudge();
		where = WAITING;
		do
		:: kicked == 0 && WAITS -> wake; wake = false
		:: else -> break
		od;
		where = OUT
	:: else -> break
	od;
	remind()
}

/* What a VMM does between runs must not see a signal. */
inline vmm_code()
{
	assert(!sigpend && !in_run);
	if
	:: pending == LOAD ->
		if
		:: answer()
		:: deferred = true
		fi;
		await_answer()
	:: pending == STORE -> pending = NONE
	:: else
	fi
}

active proctype vcpu()
{
	mtype result;
	bool taken;
	bool had_nudge;

	do
	:: pending == LOAD ->
		/* Without an answer there is no entry, but a kick still interrupts. */
		if
		:: ended -> break
		:: else
		fi;
		take(taken);
		if
		:: taken -> deliver_interruption(taken); await_answer()
		:: else -> pending != LOAD || ended
		fi
	:: pending != LOAD ->
#ifdef BROKEN_LATCH
		kicked = 0;
#endif
		do
		:: true ->
			enter(result);
			if
			:: result == EXIT -> break
			:: result != EXIT && ended -> goto over
			:: result == CANCELED && !ended ->
				take(taken);
				if
				:: taken -> deliver_interruption(taken); break
				:: else
				fi;
				/* A nudge: look at the VM's state. */
				take_nudge();
#ifndef BROKEN_NUDGE
				if
				:: ended -> goto over
				:: else
				fi
#endif
			:: result == INTERRUPTED && !ended ->
				take(taken);
				deliver_interruption(taken);
				break
			fi
		od;
		vmm_code()
	od;
over:	stopped = true
}

/* When nothing else can happen. */
active proctype claims()
{
	timeout;
	assert(!latched || stopped);                 /* no kick is lost */
	assert(kicked == 0 || stopped);
	assert(senders == 0 && !sigpend);
#ifdef END
	assert(stopped);                             /* the end has arrived */
#else
	assert(stopped || where == INSIDE || where == FRAGILE); /* the guest computes, and was left alone */
	assert(delivered == EXITS);
#endif
}
