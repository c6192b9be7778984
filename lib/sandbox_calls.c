/* SPDX-License-Identifier: BSD-3-Clause */
/* What every VM needs of the kernel once it has been started, whatever its hypervisor is. */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#define RUN GH_PHASE_RUN
#define CHANGE GH_PHASE_CHANGE
#define THREADS GH_PHASE_THREADS
#define END GH_PHASE_END
#define ALL (RUN | CHANGE | THREADS | END)

/* A thread that kicks in the library's stead (courier.c). */
#define WITH_COURIER .quirks = GH_QUIRK_FRAGILE_ANSWER
/* A thread that stands in for what a kernel does not tell (resample.c). Where there is a courier there are no direct lines. */
#define WITH_RESAMPLER .no_features = (GH_FEATURE_IRQFD_RESAMPLE | GH_FEATURE_IRQ_LINE)
#define LATE_MEMORY .features = GH_FEATURE_LATE_MEMORY

/* membarrier()'s commands. */
#define PRIVATE_EXPEDITED 8
#define REGISTER_PRIVATE_EXPEDITED 16
/* By number: headers of older C libraries lack it. */
#define SET_VMA 0x53564d41
#define NO_CODE(call, why) GH_NEED_IF(call, 2, PROT_EXEC, 0, "without PROT_EXEC", why)
#define COMMAND(call, which, is, name, why) GH_NEED_IF(call, which, UINT32_MAX, is, name, why)

static const struct gh_need rows[] = {
	/* Kicks. */
	{ GH_NEED(gettid, "tell kickers which thread runs a vCPU; take in a signal that is under way"), .phases = RUN },
	{ GH_NEED_IF(tgkill, 0, UINT32_MAX, 0, "to this process", "kick a vCPU that is in the guest"), .phases = RUN,
	  .of_process = true },
	{ GH_NEED(rt_sigprocmask, "let the kick signal through; keep others from the library's threads"),
	  .phases = RUN | CHANGE, .other_phases = THREADS | END },
	{ GH_NEED(rt_sigreturn, "return from the handler of the kick signal"), .other_phases = RUN },
	{ GH_NEED(rt_sigaction, "see that the kick signal is the library's, for a new vCPU"), .phases = CHANGE,
	  .features = GH_FEATURE_LATE_VCPUS },
	{ COMMAND(sched_setaffinity, 0, 0, "of the calling thread", "be on a vCPU's CPU; without: slower kicks"),
	  .phases = RUN, .refusal = EPERM, WITH_COURIER },

	/* Waiting, and being woken. */
	{ GH_NEED(futex, "locks, and waiting for threads"), .other_phases = ALL },
	{ GH_NEED(sched_yield, "let a thread finish that is about to"), .phases = RUN | CHANGE },
	{ GH_NEED(ppoll, "wait for eventfds and for time to pass"), .phases = RUN | CHANGE, .other_phases = END },
	{ GH_NEED(read, "take what eventfds count"), .phases = RUN | CHANGE, .other_phases = END },
	{ GH_NEED(write, "signal eventfds"), .phases = RUN | CHANGE | END },
	{ GH_NEED(clock_gettime, "CPU time of threads; time that the C library cannot read itself"), .phases = RUN,
	  .other_phases = END, WITH_RESAMPLER },
	{ COMMAND(membarrier, 0, PRIVATE_EXPEDITED, "MEMBARRIER_CMD_PRIVATE_EXPEDITED",
		  "change the bus while vCPUs read it"),
	  .phases = CHANGE },
	/* musl makes it with the first thread. */
	{ COMMAND(membarrier, 0, REGISTER_PRIVATE_EXPEDITED, "MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED",
		  "before the first of them"),
	  .phases = CHANGE, .other_phases = THREADS },

	/* Descriptors. */
	{ GH_NEED(close, "close eventfds; and vCPUs, the VM and its device"), .phases = RUN | CHANGE | END },
	{ GH_NEED(eventfd2, "make an eventfd"), .phases = CHANGE },
	{ COMMAND(fcntl, 1, F_DUPFD_CLOEXEC, "F_DUPFD_CLOEXEC", "copy a caller's eventfd"), .phases = CHANGE },
	{ GH_NEED(openat, "look into /proc; without: failures say less, and slower kicks"), .phases = RUN | CHANGE,
	  .other_phases = THREADS | END, .refusal = EPERM },
	{ GH_NEED(epoll_create1, "watch lines that the library resamples"), .phases = CHANGE, WITH_RESAMPLER },
	{ GH_NEED(epoll_ctl, "watch a line that the library resamples"), .phases = CHANGE, WITH_RESAMPLER },
	{ GH_NEED(epoll_pwait, "see which lines have been raised"), .phases = RUN, .other_phases = END, WITH_RESAMPLER },

	/* Memory: the guest's, a vCPU's page, and what the C library hands out and takes back. */
	{ GH_NEED(brk, "heap"), .other_phases = ALL },
	{ NO_CODE(mmap, "vCPUs' pages, the guest's memory; heap, stacks"), .phases = CHANGE, .other_phases = ALL },
	{ GH_NEED(mremap, "heap"), .other_phases = ALL },
	{ GH_NEED(munmap, "vCPUs' pages, the guest's memory; heap, stacks"), .phases = CHANGE | END, .other_phases = ALL },
	{ NO_CODE(mprotect, "hide lent memory; heap, guards of stacks"), .phases = CHANGE, .other_phases = ALL },
	{ GH_NEED(madvise, "keep the guest's memory from forks, free what it gives back; heap"), .phases = CHANGE | END,
	  .other_phases = ALL },
	{ GH_NEED(mlock2, "lock the guest's memory, if it shall be"), .phases = CHANGE, LATE_MEMORY },
	{ GH_NEED(munlock, "unlock the guest's memory, if it was"), .phases = CHANGE | END },
	{ GH_NEED(fstat, "look at a caller's eventfd, without /proc, and memory file"), .phases = CHANGE },
	{ GH_NEED(newfstatat, "the same, where the C library makes it so"), .phases = CHANGE },
	{ GH_NEED(prlimit64, "say which limit has been met; without: failures say less"), .phases = RUN | CHANGE,
	  .refusal = EPERM },
	{ GH_NEED(sched_getaffinity, "arenas of memory for so many CPUs; without: few"), .other_phases = ALL,
	  .refusal = EPERM },

	/* Threads: what the usual C libraries do. */
	{ GH_NEED(clone3, "make a thread; without: clone()"), .other_phases = THREADS, .refusal = ENOSYS },
	{ GH_NEED_IF(clone, 0, CLONE_THREAD, CLONE_THREAD, "with CLONE_THREAD", "make a thread"), .other_phases = THREADS },
	{ GH_NEED(rt_sigaction, "a signal of the C library's own, with the first thread"), .other_phases = THREADS },
	{ GH_NEED(set_robust_list, "begin a thread"), .other_phases = THREADS },
#ifdef SYS_rseq
	{ GH_NEED(rseq, "begin a thread"), .other_phases = THREADS },
#endif
	{ GH_NEED(sigaltstack, "begin and end a thread, with Android's C library"), .other_phases = THREADS | END },
	{ COMMAND(prctl, 0, PR_SET_NAME, "PR_SET_NAME", "name a vCPU's thread"), .other_phases = THREADS },
	{ COMMAND(prctl, 0, SET_VMA, "PR_SET_VMA", "name memory, with Android's C library; without: nothing"),
	  .other_phases = ALL, .refusal = EINVAL },
	{ GH_NEED(exit, "end a thread"), .other_phases = THREADS | END },
};

const struct gh_needs gh_sandbox_needs = GH_NEEDS(rows);
