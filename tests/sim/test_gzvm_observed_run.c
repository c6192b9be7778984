/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The simulated /dev/gzvm against the real driver: RUN, its exits, and what signals do to them.
 *
 * Every line was observed on the driver of Android's 6.1 kernel; see test_gzvm_observed.c. Signals are real ones: the script
 * sends them to the thread in RUN just before an exit is reported.
 */
#include "gzvm_rig.h"

#include <pthread.h>
#include <signal.h>

static const struct line run_lines[] = {
	{ "run.bad-pointer", "EFAULT" },
	{ "run.first", "0 SYSTEM_EVENT type=1 ndata=0 data0=0x0" },
	{ "run.padding1-imm1", "EINVAL" },
	{ "run.immediate-exit-1.buffer", "unchanged" },
	{ "run.refused-runs-reach-hyp", "0" },
	{ "run.immediate-exit-2", "0 MMIO write pa=0x1000 size=4 data=0xdead reg=5" },
	{ "run.immediate-exit-2.after", "2" },
	{ "run.immediate-exit-255", "0 MMIO write pa=0x1004 size=4 data=0xbeef reg=6" },
	{ "run.buffer-264-bytes-before-hole", "0" },
	{ "run.buffer-263-bytes-before-hole", "EFAULT" },
	{ "run.buffer-read-only", "EFAULT" },
	{ "run.after-read-only(write-2-lost)", "0 MMIO write pa=0x1000 size=4 data=0x3 reg=0" },
	{ "run.buffer-unaligned.exit", "MMIO write pa=0x1000 size=4 data=0x7 reg=0" },
};

static void refused_runs(struct rig *rig, struct seen *seen)
{
	struct uapi_gzvm_run before;

	saw(seen, "run.bad-pointer", "%s", word(rig_ioctl_value(rig, rig->vcpu, UAPI_GZVM_RUN, 64), false));
	memset(&rig->run, 0x5a, sizeof(rig->run));
	rig->run.immediate_exit = 1;
	saw(seen, "run.padding1-imm1", "%s", word(rig_run(rig), false));
	memset(rig->run.padding, 0, sizeof(rig->run.padding));
	before = rig->run;
	ck_assert_int_eq(rig_run(rig), -EINTR);
	saw(seen, "run.immediate-exit-1.buffer", "%s",
	    memcmp(&before, &rig->run, sizeof(before)) == 0 ? "unchanged" : "changed");
	memset(&rig->run, 0, sizeof(rig->run));
}

static void odd_buffers(struct rig *rig, struct seen *seen)
{
	uint8_t *page = guest_memory(PAGE);
	struct uapi_gzvm_run copy;

	memset(page, 0, PAGE);
	saw(seen, "run.buffer-264-bytes-before-hole", "%s",
	    word(rig_ioctl(rig, rig->vcpu, UAPI_GZVM_RUN, page + PAGE - 264), false));
	saw(seen, "run.buffer-263-bytes-before-hole", "%s",
	    word(rig_ioctl(rig, rig->vcpu, UAPI_GZVM_RUN, page + PAGE - 263), false));
	memset(page, 0, PAGE);
	ck_assert_int_eq(mprotect(page, PAGE, PROT_READ), 0);
	saw(seen, "run.buffer-read-only", "%s", word(rig_ioctl(rig, rig->vcpu, UAPI_GZVM_RUN, page), false));
	ck_assert_int_eq(mprotect(page, PAGE, PROT_READ | PROT_WRITE), 0);
	memset(&rig->run, 0, sizeof(rig->run));
	saw(seen, "run.after-read-only(write-2-lost)", "%s", run_text(rig));
	ck_assert_int_eq(rig_ioctl(rig, rig->vcpu, UAPI_GZVM_RUN, page + 3), 0);
	memcpy(&copy, page + 3, sizeof(copy));
	saw(seen, "run.buffer-unaligned.exit", "%s", exit_text(&copy));
	guarded_free(page, PAGE);
}

START_TEST(test_run)
{
	struct seen seen = SEEN(run_lines);
	struct rig rig;
	int ret;

	rig_open(&rig, "off\n"
		       "raw exit MMIO gpa=0x1000 width=4 data=0xdead reg=5 write=1\n"
		       "raw exit MMIO gpa=0x1004 width=4 data=0xbeef reg=6 write=1\n"
		       "store 0x1000 4 1; store 0x1000 4 2; store 0x1000 4 3; store 0x1000 4 7");
	refused_runs(&rig, &seen);
	ret = rig_run(&rig);
	saw(&seen, "run.first", "%s %s", word(ret, false), exit_text(&rig.run));
	/* The script is where it was: the guest's first exit has come with the first RUN that was not refused. */
	saw(&seen, "run.refused-runs-reach-hyp", "%d", rig.run.exit_reason == UAPI_GZVM_EXIT_SYSTEM_EVENT ? 0 : 1);
	memset(&rig.run, 0, sizeof(rig.run));
	rig.run.immediate_exit = 2;
	saw(&seen, "run.immediate-exit-2", "%s", run_text(&rig));
	saw(&seen, "run.immediate-exit-2.after", "%u", rig.run.immediate_exit);
	rig.run.immediate_exit = 255;
	saw(&seen, "run.immediate-exit-255", "%s", run_text(&rig));
	odd_buffers(&rig, &seen);
	rig_close(&rig);
	all_seen(&seen);
}
END_TEST

static const struct line exit_lines[] = {
	{ "exit.mmio-write-size-0", "0 MMIO write pa=0x2040 size=0 data=0xaaaaaaaaaaaaaaaa reg=4" },
	{ "exit.mmio-read-size-2", "0 MMIO read pa=0x3010 size=2 data=0x8070605040302010 reg=1" },
	{ "exit.mmio-read-size-4", "0 MMIO read pa=0x3020 size=4 data=0x8171615141312111 reg=2" },
	{ "exit.after-mmio-reads", "0 SYSTEM_EVENT type=1 ndata=0 data0=0x0" },
	{ "exit.mmio-read-size-1.guest-got", "0x10" },
	{ "exit.mmio-read-answer-in-scrambled-buffer.guest-got", "0x77777799 hyp-saw-reason=0x77777777" },
	{ "exit.hypercall", "0 HYPERCALL 0xc6000001,0x1,0x2,0x3" },
	{ "exit.hypercall-ptp", "0 HYPERCALL 0x86000001,0x1,0x2,0x3" },
	{ "exit.hypercall-mem-relinquish.args-returned", "0xc6000009,0x12345000" },
	{ "exit.code-FAIL_ENTRY", "0 FAIL_ENTRY reason=0x200000001 cpu=68" },
	{ "exit.code-INTERNAL", "0 INTERNAL raw0=0x200000001" },
	{ "exit.code-SHUTDOWN", "0 SHUTDOWN raw0=0x200000001" },
	{ "exit.code-UNKNOWN", "0 UNKNOWN raw0=0x200000001" },
	{ "exit.code-IDLE", "0 IDLE raw0=0x200000001" },
	{ "exit.code-0c", "0 0c raw0=0x200000001" },
	{ "exit.code-IPI", "0 IPI raw0=0x200000001" },
	{ "exit.code-0x9292000e", "0 0x9292000e raw0=0x200000001" },
	{ "exit.code-0x1", "0 0x1 raw0=0x200000001" },
	{ "exit.system-event-0", "0 SYSTEM_EVENT type=0 ndata=3 data0=0xabc" },
	{ "exit.system-event-1", "0 SYSTEM_EVENT type=1 ndata=3 data0=0xabc" },
	{ "exit.system-event-2", "0 SYSTEM_EVENT type=2 ndata=3 data0=0xabc" },
	{ "exit.system-event-5", "0 SYSTEM_EVENT type=5 ndata=3 data0=0xabc" },
	{ "exit.system-event-6", "0 SYSTEM_EVENT type=6 ndata=3 data0=0xabc" },
	{ "exit.system-event-7", "0 SYSTEM_EVENT type=7 ndata=3 data0=0xabc" },
	{ "exit.system-event-8", "0 SYSTEM_EVENT type=8 ndata=3 data0=0xabc" },
	{ "exit.irq-and-gz-are-consumed", "0 MMIO write pa=0x1000 size=4 data=0x1 reg=0" },
	{ "exit.before-failure", "0 MMIO write pa=0x1000 size=4 data=0x1 reg=0" },
	{ "exit.hyp-call-fails-code-0(stale)", "0 MMIO write pa=0x1000 size=4 data=0x1 reg=0" },
	{ "exit.code-shutdown-page-says-mmio", "0 MMIO write pa=0x1000 size=4 data=0x1 reg=0" },
	{ "exit.hyp-call-fails-fresh-buffer", "0 0x0 raw0=0x0" },
	{ "exit.exception-type-0", "0 EXCEPTION exc=0 err=85 gpa=0x70000000" },
	{ "exit.exception-page-fault-in-slot", "0 MMIO write pa=0x1000 size=4 data=0x1 reg=0" },
	{ "exit.exception-page-fault-outside", "0 EXCEPTION exc=1 err=85 gpa=0x70000000" },
	{ "exit.exception-type-0-reserved-nonzero", "0 MMIO write pa=0x1000 size=4 data=0x1 reg=0" },
	{ "exit.exception-type-1-reserved-nonzero", "0 MMIO write pa=0x1000 size=4 data=0x1 reg=0" },
};

/* Exits that a fresh buffer receives. */
static const struct {
	const char *name;
	const char *script;
} fresh_exits[] = {
	{ "exit.hypercall", "hvc 0xc6000001 1 2 3" },
	{ "exit.hypercall-ptp", "hvc 0x86000001 1 2 3" },
	{ "exit.code-FAIL_ENTRY", "raw exit FAIL_ENTRY reason=0x200000001 cpu=68" },
	{ "exit.code-INTERNAL", "raw exit INTERNAL raw0=0x200000001" },
	{ "exit.code-SHUTDOWN", "raw exit SHUTDOWN raw0=0x200000001" },
	{ "exit.code-UNKNOWN", "raw exit UNKNOWN raw0=0x200000001" },
	{ "exit.code-IDLE", "raw exit IDLE raw0=0x200000001" },
	{ "exit.code-0c", "raw exit 0x9292000c raw0=0x200000001" },
	{ "exit.code-IPI", "raw exit IPI raw0=0x200000001" },
	{ "exit.code-0x9292000e", "raw exit 0x9292000e raw0=0x200000001" },
	{ "exit.code-0x1", "raw exit 1 raw0=0x200000001" },
	{ "exit.system-event-0", "raw exit SYSTEM_EVENT type=0 ndata=3 data=0xabc" },
	{ "exit.system-event-1", "raw exit SYSTEM_EVENT type=1 ndata=3 data=0xabc" },
	{ "exit.system-event-2", "raw exit SYSTEM_EVENT type=2 ndata=3 data=0xabc" },
	{ "exit.system-event-5", "raw exit SYSTEM_EVENT type=5 ndata=3 data=0xabc" },
	{ "exit.system-event-6", "raw exit SYSTEM_EVENT type=6 ndata=3 data=0xabc" },
	{ "exit.system-event-7", "raw exit SYSTEM_EVENT type=7 ndata=3 data=0xabc" },
	{ "exit.system-event-8", "raw exit SYSTEM_EVENT type=8 ndata=3 data=0xabc" },
	{ "exit.irq-and-gz-are-consumed", "raw exit IRQ; raw exit GZ; store 0x1000 4 1" },
	{ "exit.hyp-call-fails-fresh-buffer", "raw fail" },
	{ "exit.exception-type-0", "raw exit EXCEPTION exc=0 err=85 gpa=0x70000000" },
	{ "exit.exception-page-fault-in-slot", "raw exit EXCEPTION exc=1 gpa=0x80002000; store 0x1000 4 1" },
	{ "exit.exception-page-fault-outside", "raw exit EXCEPTION exc=1 err=85 gpa=0x70000000" },
	{ "exit.exception-type-0-reserved-nonzero", "raw exit EXCEPTION exc=0 reserved=1; store 0x1000 4 1" },
	{ "exit.exception-type-1-reserved-nonzero",
	  "raw exit EXCEPTION exc=1 gpa=0x70000000 reserved=1; store 0x1000 4 1" },
};

static void answer(struct rig *rig, uint64_t value)
{
	memcpy(rig->run.u.mmio.data, &value, sizeof(value));
}

static void loads(struct seen *seen)
{
	struct rig rig;

	/* Each answer is in the buffer still when the next load comes: a load writes no data. */
	rig_open(&rig, "raw exit MMIO gpa=0x2040 width=0 data=0x1234 reg=4 write=1\n"
		       "load 0x3000 1; expect 0x10\n"
		       "raw exit MMIO gpa=0x3010 width=2 reg=1; expect 0x2111\n"
		       "raw exit MMIO gpa=0x3020 width=4 reg=2; expect 0x42322212\n"
		       "off");
	memset(&rig.run.u, 0xaa, sizeof(rig.run.u));
	saw(seen, "exit.mmio-write-size-0", "%s", run_text(&rig));
	ck_assert_int_eq(rig_run(&rig), 0);
	answer(&rig, 0x8070605040302010);
	saw(seen, "exit.mmio-read-size-2", "%s", run_text(&rig));
	/* The guest goes on, so it got what it expects. */
	saw(seen, "exit.mmio-read-size-1.guest-got", "0x%x", rig.run.exit_reason == UAPI_GZVM_EXIT_MMIO ? 0x10 : 0);
	answer(&rig, 0x8171615141312111);
	saw(seen, "exit.mmio-read-size-4", "%s", run_text(&rig));
	answer(&rig, 0x8272625242322212);
	saw(seen, "exit.after-mmio-reads", "%s", run_text(&rig));
	rig_close(&rig);
}

static void scrambled_answer(struct seen *seen)
{
	struct rig rig;
	uint32_t reason;

	/* Nothing of the buffer but the data says how wide the load is. */
	rig_open(&rig, "load 0x1000 4; echo 0x1008 8");
	ck_assert_int_eq(rig_run(&rig), 0);
	memset(&rig.run, 0x77, sizeof(rig.run));
	memset(rig.run.padding, 0, sizeof(rig.run.padding));
	rig.run.u.mmio.data[0] = 0x99;
	reason = rig.run.exit_reason;
	ck_assert_int_eq(rig_run(&rig), 0);
	saw(seen, "exit.mmio-read-answer-in-scrambled-buffer.guest-got", "0x%llx hyp-saw-reason=0x%x", data_of(&rig.run),
	    reason);
	rig_close(&rig);
}

static void relinquish(struct seen *seen)
{
	struct rig rig;

	/* Consumed; it shows in a buffer whose RUN ends without another exit. */
	rig_open(&rig, "hvc 0xc6000009 0x12345000; expect 0xc6000009; raw fail");
	ck_assert_int_eq(rig_run(&rig), 0);
	saw(seen, "exit.hypercall-mem-relinquish.args-returned", "0x%llx,0x%llx",
	    (unsigned long long)rig.run.u.hypercall.args[0], (unsigned long long)rig.run.u.hypercall.args[1]);
	rig_close(&rig);
}

static void stale_exits(struct seen *seen)
{
	struct rig rig;

	rig_open(&rig, "store 0x1000 4 1; raw fail; raw code SHUTDOWN");
	saw(seen, "exit.before-failure", "%s", run_text(&rig));
	saw(seen, "exit.hyp-call-fails-code-0(stale)", "%s", run_text(&rig));
	saw(seen, "exit.code-shutdown-page-says-mmio", "%s", run_text(&rig));
	rig_close(&rig);
}

START_TEST(test_exits)
{
	struct seen seen = SEEN(exit_lines);
	size_t size = 4 * PAGE;
	void *memory = guest_memory(size);
	struct rig rig;

	for (size_t i = 0; i < sizeof(fresh_exits) / sizeof(fresh_exits[0]); i++) {
		rig_open(&rig, fresh_exits[i].script);
		ck_assert_int_eq(set_mem(&rig, 0, 0x80000000, size, memory), 0);
		saw(&seen, fresh_exits[i].name, "%s", run_text(&rig));
		rig_close(&rig);
	}
	loads(&seen);
	scrambled_answer(&seen);
	relinquish(&seen);
	stale_exits(&seen);
	guarded_free(memory, size);
	all_seen(&seen);
}
END_TEST

/* Signals. */

static volatile sig_atomic_t handled;
static struct uapi_gzvm_run *volatile stop_run;

static void count_signal(int signal)
{
	(void)signal;
	handled++;
	if (stop_run != NULL)
		stop_run->immediate_exit = 1;
}

/* SIGUSR1 with these flags; `run` is the buffer in which the handler sets immediate_exit, or NULL. */
static void catch_signal(int flags, struct uapi_gzvm_run *run)
{
	struct sigaction action = { .sa_handler = count_signal, .sa_flags = flags };

	sigemptyset(&action.sa_mask);
	handled = 0;
	stop_run = run;
	ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
}

static const char *signal_text(struct rig *rig)
{
	static char text[300];
	const char *run = run_text(rig);

	(void)snprintf(text, sizeof(text), "%s imm=%u handler=%d", run, rig->run.immediate_exit, (int)handled);
	return text;
}

static const struct line no_restart_lines[] = {
	{ "hz.warm", "0 SYSTEM_EVENT type=1 ndata=0 data0=0x0" },
	{ "hz.mmio-write+signal.norestart", "EINTR MMIO write pa=0x1000 size=4 data=0x11 reg=0 imm=0 handler=1" },
	{ "hz.mmio-read+signal.norestart.rerun-unanswered", "0 MMIO write pa=0x1000 size=4 data=0xeeeeeeee00000022 reg=0" },
	{ "hz.mmio-read+signal.norestart.guest-got", "0xeeeeeeee" },
	{ "hz.page-fault+signal.norestart", "EINTR EXCEPTION exc=1 err=0 gpa=0x80006000 imm=0 handler=3" },
	{ "hz.mem-relinquish+signal.norestart", "EINTR HYPERCALL 0xc6000009,0x12345000,0x0,0x0 imm=0 handler=4" },
	{ "hz.hypercall+signal.norestart", "EINTR HYPERCALL 0xc6000001,0x7,0x0,0x0 imm=0 handler=5" },
	{ "hz.hypercall+signal.norestart.rerun", "0 MMIO write pa=0x1000 size=4 data=0x35 reg=0" },
	{ "hz.system-event+signal.norestart", "EINTR SYSTEM_EVENT type=1 ndata=0 data0=0x0 imm=0 handler=6" },
	{ "hz.system-event+signal.norestart.rerun", "0 MMIO write pa=0x1000 size=4 data=0x33 reg=0" },
	{ "hz.kick-busy-guest.norestart+imm-in-handler", "EINTR IRQ raw0=0x0 imm=1 handler=2" },
	{ "hz.kick-busy-guest.norestart+imm-in-handler.rerun", "0 MMIO write pa=0x1000 size=4 data=0x66 reg=0" },
};

#define SIGNAL "signal 10; "

static void fresh(struct rig *rig)
{
	memset(&rig->run, 0, sizeof(rig->run));
}

/* A guest that is interrupted, and goes on when it is run again. */
static void kick_busy_guest(struct seen *seen)
{
	struct uapi_gzvm_irq_level line = { 0, 1 };
	struct rig rig;

	rig_open(&rig, SIGNAL "wfi; ack\n" SIGNAL "wfi; store 0x1000 4 0x66");
	catch_signal(0, NULL);
	ck_assert_int_eq(rig_run(&rig), -EINTR);
	ck_assert_int_eq(rig_ioctl(&rig, rig.vm, UAPI_GZVM_IRQ_LINE, &line), 0);
	stop_run = &rig.run;
	saw(seen, "hz.kick-busy-guest.norestart+imm-in-handler", "%s", signal_text(&rig));
	fresh(&rig);
	ck_assert_int_eq(rig_ioctl(&rig, rig.vm, UAPI_GZVM_IRQ_LINE, &line), 0);
	saw(seen, "hz.kick-busy-guest.norestart+imm-in-handler.rerun", "%s", run_text(&rig));
	rig_close(&rig);
}

START_TEST(test_no_restart)
{
	struct seen seen = SEEN(no_restart_lines);
	size_t size = 16 * PAGE;
	void *memory = guest_memory(size);
	struct rig rig;

	rig_open(&rig,
		 "off\n" SIGNAL "store 0x1000 4 0x11\n" SIGNAL "load 0x1000 4; store 0x1000 4 0x22; echo 0x1000 8\n" SIGNAL
		 "raw exit EXCEPTION exc=1 gpa=0x80006000\n" SIGNAL "hvc 0xc6000009 0x12345000\n" SIGNAL
		 "hvc 0xc6000001 7; store 0x1000 4 0x35\n" SIGNAL "off; store 0x1000 4 0x33");
	ck_assert_int_eq(set_mem(&rig, 0, 0x80000000, size, memory), 0);
	catch_signal(0, NULL);
	saw(&seen, "hz.warm", "%s", run_text(&rig));
	saw(&seen, "hz.mmio-write+signal.norestart", "%s", signal_text(&rig));
	memset(&rig.run.u, 0xee, sizeof(rig.run.u));
	ck_assert_int_eq(rig_run(&rig), -EINTR);
	saw(&seen, "hz.mmio-read+signal.norestart.rerun-unanswered", "%s", run_text(&rig));
	ck_assert_int_eq(rig_run(&rig), 0);
	saw(&seen, "hz.mmio-read+signal.norestart.guest-got", "0x%llx", data_of(&rig.run));
	saw(&seen, "hz.page-fault+signal.norestart", "%s", signal_text(&rig));
	saw(&seen, "hz.mem-relinquish+signal.norestart", "%s", signal_text(&rig));
	saw(&seen, "hz.hypercall+signal.norestart", "%s", signal_text(&rig));
	saw(&seen, "hz.hypercall+signal.norestart.rerun", "%s", run_text(&rig));
	saw(&seen, "hz.system-event+signal.norestart", "%s", signal_text(&rig));
	saw(&seen, "hz.system-event+signal.norestart.rerun", "%s", run_text(&rig));
	rig_close(&rig);

	kick_busy_guest(&seen);
	guarded_free(memory, size);
	all_seen(&seen);
}
END_TEST

static const struct line restart_lines[] = {
	{ "hz.mmio-read+signal.restart", "0 MMIO write pa=0x1000 size=4 data=0xeeeeeeee00000022 reg=0 imm=0 handler=2" },
	{ "hz.mmio-read+signal.restart.rerun-unanswered", "0 SYSTEM_EVENT type=1 ndata=0 data0=0x0" },
	{ "hz.mmio-read+signal.restart.guest-got", "0xeeeeeeee" },
	{ "hz.system-event+signal.restart.rerun", "0 SYSTEM_EVENT type=1 ndata=0 data0=0x0" },
	{ "hz.mmio-write+signal.restart+imm-in-handler.rerun", "EINTR MMIO write pa=0x1000 size=4 data=0x44 reg=0" },
	{ "hz.mmio-write+signal.restart+imm-in-handler.rerun-imm-cleared",
	  "0 MMIO write pa=0x1000 size=4 data=0x55 reg=0" },
	{ "hz.kick-busy-guest.restart+imm-in-handler", "EINTR IRQ raw0=0x0 imm=1 handler=2" },
	{ "hz.mmio-write+default-ignored-signal", "0 MMIO write pa=0x1000 size=4 data=0x11 reg=0 imm=0 handler=0" },
};

static void lost_without_a_trace(struct seen *seen)
{
	struct rig rig;

	rig_open(&rig,
		 SIGNAL "store 0x1000 4 0x11; store 0x1000 4 0x12\n" SIGNAL
			"load 0x1000 4; store 0x1000 4 0x22; expect 0xeeeeeeee; off\n" SIGNAL "off; store 0x1000 4 1; off");
	catch_signal(SA_RESTART, NULL);
	/* The first store is lost. */
	ck_assert_int_eq(rig_run(&rig), 0);
	ck_assert_uint_eq(rig.run.u.mmio.data[0], 0x12);
	memset(&rig.run.u, 0xee, sizeof(rig.run.u));
	saw(seen, "hz.mmio-read+signal.restart", "%s", signal_text(&rig));
	saw(seen, "hz.mmio-read+signal.restart.rerun-unanswered", "%s", run_text(&rig));
	/* Anything else would have crashed the guest. */
	saw(seen, "hz.mmio-read+signal.restart.guest-got", "0x%x", rig.run.u.event.type == 1 ? 0xeeeeeeeeu : 0);
	ck_assert_int_eq(rig_run(&rig), 0);
	saw(seen, "hz.system-event+signal.restart.rerun", "%s", run_text(&rig));
	rig_close(&rig);
}

START_TEST(test_restart)
{
	struct seen seen = SEEN(restart_lines);
	struct rig rig;

	lost_without_a_trace(&seen);
	rig_open(&rig, SIGNAL "store 0x1000 4 0x44; store 0x1000 4 0x55\n" SIGNAL "spin");
	catch_signal(SA_RESTART, &rig.run);
	/* Restarted, and ended by what the handler wrote: the exit is still there. */
	ck_assert_int_eq(rig_run(&rig), -EINTR);
	saw(&seen, "hz.mmio-write+signal.restart+imm-in-handler.rerun", "%s", run_text(&rig));
	rig.run.immediate_exit = 0;
	saw(&seen, "hz.mmio-write+signal.restart+imm-in-handler.rerun-imm-cleared", "%s", run_text(&rig));
	fresh(&rig);
	saw(&seen, "hz.kick-busy-guest.restart+imm-in-handler", "%s", signal_text(&rig));
	rig_close(&rig);

	rig_open(&rig, "signal 17; store 0x1000 4 0x11");
	catch_signal(0, NULL);
	saw(&seen, "hz.mmio-write+default-ignored-signal", "%s", signal_text(&rig));
	rig_close(&rig);
	all_seen(&seen);
}
END_TEST

static const struct line thread_lines[] = {
	{ "hz.imm-by-other-thread-during-run", "0 MMIO write pa=0x1000 size=4 data=0x11 reg=0 imm=0 handler=0" },
	{ "hz.second-thread-run-imm-1", "0 MMIO write pa=0x1000 size=4 data=0x11 reg=0 imm=1 handler=0" },
	{ "hz.second-thread-run-imm-1.its-result", "EINTR, leaked-into-first-buffer: imm=1 raw5=0x5ec0" },
	{ "hz.second-thread-run-padding", "0 MMIO write pa=0x1000 size=4 data=0x12 reg=0 imm=0 handler=0" },
	{ "hz.second-thread-run-padding.first-thread-again", "EINVAL MMIO write pa=0x1000 size=4 data=0x12 reg=0" },
};

#define MARK 0x80000000
#define WFI "poke 0x80000000 4 1; wfi; "

struct runner {
	struct rig *rig;
	volatile uint32_t *mark;
	pthread_t thread;
	char text[300];
};

static void *run_thread(void *data)
{
	struct runner *runner = data;

	(void)snprintf(runner->text, sizeof(runner->text), "%s", signal_text(runner->rig));
	return NULL;
}

/* Runs the guest of `rig` in a thread until it sleeps in a WFI; wake_guest() ends that. */
static void run_aside(struct runner *runner, struct rig *rig)
{
	runner->rig = rig;
	*runner->mark = 0;
	ck_assert_int_eq(pthread_create(&runner->thread, NULL, run_thread, runner), 0);
	for (int i = 0; i < 60000 && *runner->mark == 0; i++)
		usleep(1000);
	ck_assert_uint_eq(*runner->mark, 1);
	usleep(20000);
}

static void wake_guest(struct runner *runner)
{
	struct uapi_gzvm_irq_level line = { 3, 1 };

	ck_assert_int_eq(rig_ioctl(runner->rig, runner->rig->vm, UAPI_GZVM_IRQ_LINE, &line), 0);
	ck_assert_int_eq(pthread_join(runner->thread, NULL), 0);
}

START_TEST(test_threads)
{
	struct seen seen = SEEN(thread_lines);
	struct uapi_gzvm_run second = { .immediate_exit = 1 };
	struct runner runner;
	uint64_t raw5 = 0x5ec0;
	struct rig rig;
	int ret;

	rig_open(&rig, WFI "ack; store 0x1000 4 0x11\n" WFI "ack; store 0x1000 4 0x11\n" WFI "ack; store 0x1000 4 0x12");
	runner.mark = guest_memory(PAGE);
	ck_assert_int_eq(set_mem(&rig, 0, MARK, PAGE, (void *)(uintptr_t)runner.mark), 0);
	catch_signal(0, NULL);
	run_aside(&runner, &rig);
	rig.run.immediate_exit = 1;
	wake_guest(&runner);
	saw(&seen, "hz.imm-by-other-thread-during-run", "%s", runner.text);

	fresh(&rig);
	run_aside(&runner, &rig);
	memcpy(second.u.bytes + 40, &raw5, sizeof(raw5));
	ret = rig_ioctl(&rig, rig.vcpu, UAPI_GZVM_RUN, &second);
	wake_guest(&runner);
	saw(&seen, "hz.second-thread-run-imm-1", "%s", runner.text);
	memcpy(&raw5, rig.run.u.bytes + 40, sizeof(raw5));
	saw(&seen, "hz.second-thread-run-imm-1.its-result", "%s, leaked-into-first-buffer: imm=%u raw5=0x%llx",
	    word(ret, false), rig.run.immediate_exit, (unsigned long long)raw5);

	fresh(&rig);
	memset(&second, 0, sizeof(second));
	second.padding[1] = 1;
	run_aside(&runner, &rig);
	ck_assert_int_eq(rig_ioctl(&rig, rig.vcpu, UAPI_GZVM_RUN, &second), -EINVAL);
	wake_guest(&runner);
	saw(&seen, "hz.second-thread-run-padding", "%s", runner.text);
	saw(&seen, "hz.second-thread-run-padding.first-thread-again", "%s", run_text(&rig));
	rig_close(&rig);
	guarded_free((void *)(uintptr_t)runner.mark, PAGE);
	all_seen(&seen);
}
END_TEST

static const struct line answer_lines[] = {
	{ "hz.load.answered+immediate-exit", "EINTR MMIO read pa=0x1000 size=4 data=0x5c reg=0" },
	{ "hz.load2.fresh-buffer+immediate-exit", "EINTR" },
	{ "hz.load2.fresh-buffer.rerun", "0 MMIO write pa=0x1000 size=4 data=0x77 reg=0" },
	{ "hz.load2.fresh-buffer.guest-has", "0x0" },
	{ "hz.load3+signal", "EINTR MMIO read pa=0x1000 size=4 data=0x0 reg=0 imm=0 handler=1" },
	{ "hz.load3.answered-after-eintr", "0 MMIO write pa=0x1000 size=4 data=0x88 reg=0" },
	{ "hz.load3.guest-has", "0x3d" },
};

START_TEST(test_answers)
{
	struct seen seen = SEEN(answer_lines);
	struct rig rig;

	rig_open(&rig, "load 0x1000 4; echo 0x1000 8\n"
		       "load 0x1000 4; store 0x1000 4 0x77; echo 0x1000 8\n" SIGNAL
		       "load 0x1000 4; store 0x1000 4 0x88; echo 0x1000 8");
	catch_signal(0, NULL);
	ck_assert_int_eq(rig_run(&rig), 0);
	answer(&rig, 0x5c);
	rig.run.immediate_exit = 1;
	saw(&seen, "hz.load.answered+immediate-exit", "%s", run_text(&rig));
	rig.run.immediate_exit = 0;
	ck_assert_int_eq(rig_run(&rig), 0);
	ck_assert_uint_eq(rig.run.u.mmio.data[0], 0x5c);

	ck_assert_int_eq(rig_run(&rig), 0);
	answer(&rig, 0x6d);
	fresh(&rig);
	rig.run.immediate_exit = 1;
	saw(&seen, "hz.load2.fresh-buffer+immediate-exit", "%s", word(rig_run(&rig), false));
	fresh(&rig);
	saw(&seen, "hz.load2.fresh-buffer.rerun", "%s", run_text(&rig));
	ck_assert_int_eq(rig_run(&rig), 0);
	saw(&seen, "hz.load2.fresh-buffer.guest-has", "0x%llx", data_of(&rig.run));

	fresh(&rig);
	saw(&seen, "hz.load3+signal", "%s", signal_text(&rig));
	answer(&rig, 0x3d);
	ck_assert_int_eq(rig_run(&rig), 0);
	/* Compared without the stale upper half, which is the answer's here. */
	saw(&seen, "hz.load3.answered-after-eintr", "0 %s", exit_text(&rig.run));
	ck_assert_int_eq(rig_run(&rig), 0);
	saw(&seen, "hz.load3.guest-has", "0x%llx", data_of(&rig.run));
	rig_close(&rig);
	all_seen(&seen);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("gzvm_observed_run");
	TCase *tcase = tcase_create("run");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, test_run);
	tcase_add_test(tcase, test_exits);
	tcase_add_test(tcase, test_no_restart);
	tcase_add_test(tcase, test_restart);
	tcase_add_test(tcase, test_threads);
	tcase_add_test(tcase, test_answers);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
