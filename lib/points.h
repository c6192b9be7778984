/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Named places in the run path, of the library and of the simulated drivers, where the stress test puts delays. Nothing at
 * all unless GH_POINTS is defined, which only tests/stress does.
 *
 * In the *window* user space cannot take the call back any more, and Gunyah's driver has not looked at signals for the
 * first time: one that comes there destroys a load's answer (H1). A kernel does not sleep there.
 */
#ifndef GH_LIB_POINTS_H
#define GH_LIB_POINTS_H

#define GH_POINTS_ALL(X)                                                                                                   \
	X(KICK_COUNTED, "kick: counted as a sender")                                                                       \
	X(KICK_LATCHED, "kick: latched")                                                                                   \
	X(KICK_LOOKED, "kick: has seen where the vCPU is")                                                                 \
	X(KICK_FRAGILE, "kick: left to the courier")                                                                       \
	X(KICK_DONE, "kick: signalled or not")                                                                             \
	X(SEND_THREAD, "signal: knows the thread")                                                                         \
	X(ENTER_CURRENT, "enter: thread published")                                                                        \
	X(ENTER_WHERE, "enter: place published")                                                                           \
	X(LEAVE_BEGUN, "leave: back from the kernel")                                                                      \
	X(LEAVE_OUT, "leave: place published")                                                                             \
	X(LEAVE_SENDERS, "leave: a kick is pending")                                                                       \
	X(LEAVE_DONE, "leave: done")                                                                                       \
	X(TAKE_SEEN, "take: kick seen")                                                                                    \
	X(WAIT_PUBLISHED, "wait: place published")                                                                         \
	X(WAIT_LOOKED, "wait: about to sleep")                                                                             \
	X(COURIER_CALLED, "courier: called")                                                                               \
	X(COURIER_LOOKS, "courier: about to look")                                                                         \
	X(COURIER_SAW, "courier: has looked")                                                                              \
	X(COURIER_COUNTED, "courier: counted as a sender")                                                                 \
	X(COURIER_CHECKED, "courier: about to signal")                                                                     \
	X(RUN_BEGUN, "run: begun")                                                                                         \
	X(RUN_CHECKED, "run: checked")                                                                                     \
	X(RUN_RETURNED, "run: entry over")                                                                                 \
	X(ANSWER_CHECKED, "answer: the VM has not ended")                                                                  \
	X(ANSWER_BEGUN, "answer: begun")                                                                                   \
	X(ANSWER_WRITTEN, "answer: written")                                                                               \
	X(ANSWER_MARKED, "answer: marked as on its way")                                                                   \
	X(PAGE_CLEARED, "backend: page cleared")                                                                           \
	X(PAGE_RETURNED, "backend: back from the system call")                                                             \
	X(CALL_ENTERED, "system call: entered")                                                                            \
	X(CALL_COMMITTED, "system call: past the last look of user space (window)")                                        \
	X(CALL_LEAVES, "system call: about to return")                                                                     \
	X(GUNYAH_BEGUN, "gunyah: begun (window)")                                                                          \
	X(GUNYAH_TAKEN, "gunyah: answer taken off the page (window)")                                                      \
	X(GUNYAH_LOOPS, "gunyah: signals and immediate_exit looked at")                                                    \
	X(GUNYAH_LEFT, "gunyah: back from the guest")                                                                      \
	X(GUNYAH_HANDLED, "gunyah: exit handled")                                                                          \
	X(GUNYAH_LAST_LOOK, "gunyah: before the last look at signals")                                                     \
	X(GUNYAH_ENDS, "gunyah: after the last look at signals")                                                           \
	X(GZVM_BEGUN, "gzvm: begun")                                                                                       \
	X(GZVM_TAKEN, "gzvm: buffer copied in")                                                                            \
	X(GZVM_LOOPS, "gzvm: signals looked at")                                                                           \
	X(GZVM_LEFT, "gzvm: back from the guest")                                                                          \
	X(GZVM_HANDLED, "gzvm: exit handled")                                                                              \
	X(GZVM_GIVEN, "gzvm: buffer copied out")                                                                           \
	X(GZVM_ENDS, "gzvm: after the last look at signals")                                                               \
	X(BUS_BEGUN, "bus: look-up has the table")                                                                         \
	X(BUS_FOUND, "bus: look-up has published what it found")                                                           \
	X(BUS_RECALLED, "bus: recent access published")                                                                    \
	X(BUS_SERVES, "bus: about to call the handler")                                                                    \
	X(BUS_LEAVES, "bus: back from the handler")                                                                        \
	X(BUS_LEFT, "bus: has left the range")                                                                             \
	X(BUS_PUBLISHED, "bus: new table published")                                                                       \
	X(BUS_ORDERED, "bus: past the barrier")                                                                            \
	X(BUS_ALONE, "bus: old table is nobody's")                                                                         \
	X(BUS_LOOKED, "bus: a remover has seen what runs, and not yet where")

#ifdef GH_POINTS

#define GH_POINT_ENUMERATOR(name, text) GH_POINT_##name,
enum gh_point { GH_POINTS_ALL(GH_POINT_ENUMERATOR) GH_POINTS_COUNT };

/* The test's own. Async-signal-safe, may be called on any thread, with any lock held. */
void gh_point_reached(enum gh_point point);
#define GH_POINT(name) gh_point_reached(GH_POINT_##name)

#else

#define GH_POINT(name) ((void)0)

#endif

#endif
