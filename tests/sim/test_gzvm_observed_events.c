/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The simulated /dev/gzvm against the real driver: irqfds and ioeventfds.
 *
 * Every line was observed on the driver of Android's 6.1 kernel; see test_gzvm_observed.c. The guest of the script counts
 * interrupts: each RUN takes one, and stores its number, or 0x3ff if there is none.
 */
#include "gzvm_rig.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>

static int irqfd(struct rig *rig, int vm, int fd, uint32_t gsi, uint32_t flags)
{
	struct uapi_gzvm_irqfd args = { (uint32_t)fd, gsi, flags, 0xffffffff, { 0 } };

	return rig_ioctl(rig, vm, UAPI_GZVM_IRQFD, &args);
}

static int irqfd_padded(struct rig *rig, int fd, uint32_t flags, unsigned int index)
{
	struct uapi_gzvm_irqfd args = { (uint32_t)fd, 1, flags, 0, { 0 } };

	args.padding[index] = 1;
	return rig_ioctl(rig, rig->vm, UAPI_GZVM_IRQFD, &args);
}

static void signal_eventfd(int fd)
{
	ck_assert_int_eq(eventfd_write(fd, 1), 0);
}

/* What a read would give, 0 if it would wait. */
static unsigned int counter(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	eventfd_t value = 0;

	if (poll(&poll_fd, 1, 0) == 1)
		ck_assert_int_eq(eventfd_read(fd, &value), 0);
	return (unsigned int)value;
}

#define PATIENCE_MS 60000

/* Until somebody else has read it. */
static bool drained(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	for (int i = 0; i < PATIENCE_MS; i++) {
		if (poll(&poll_fd, 1, 0) == 0)
			return true;
		usleep(1000);
	}
	return false;
}

/* The number that the guest takes, -1 if there is none. */
static int take_irq(struct rig *rig)
{
	uint32_t intid;

	ck_assert_int_eq(rig_run(rig), 0);
	memcpy(&intid, rig->run.u.mmio.data, sizeof(intid));
	return intid == 0x3ff ? -1 : (int)intid - 32;
}

static int wait_irq(struct rig *rig)
{
	for (int i = 0; i < PATIENCE_MS; i++) {
		int irq = take_irq(rig);

		if (irq >= 0)
			return irq;
		usleep(1000);
	}
	return -1;
}

/* How many there are, some time after they could have come. */
static int count_irqs(struct rig *rig)
{
	int count = 0;

	usleep(30000);
	while (take_irq(rig) >= 0)
		count++;
	return count;
}

#define COUNTER "ack; echo 0x1000 4; loop"

static const struct line irqfd_lines[] = {
	{ "irqfd.bad-fd", "EBADF" },
	{ "irqfd.not-eventfd", "EINVAL" },
	{ "irqfd.pad15", "EINVAL" },
	{ "irqfd.deassign-bad-fd-pad", "EINVAL" },
	{ "irqfd.flags-4", "EINVAL" },
	{ "irqfd.deassign-not-eventfd", "EINVAL" },
	{ "irqfd.deassign-unknown", "0" },
	{ "irqfd.same-fd-same-gsi", "EBUSY" },
	{ "irqfd.same-fd-other-gsi", "EBUSY" },
	{ "irqfd.dup-of-fd", "EBUSY" },
	{ "irqfd.same-fd-other-vm", "0" },
	{ "irqfd.other-fd-same-gsi", "0" },
	{ "irqfd.signal-10-times", "irqs=10 lowered=0" },
	{ "irqfd.deassign-wrong-gsi", "0" },
	{ "irqfd.deassign", "0" },
	{ "irqfd.after-deassign", "irqs=0 counter-left=1" },
	{ "irqfd.assign-signalled-fd", "0" },
	{ "irqfd.resample-bad-resamplefd", "0" },
	{ "irqfd.resample.deassign-with-both-flags", "0" },
	{ "irqfd.gsi-ffffffff", "0" },
	{ "irqfd.gsi-ffffffff.signal", "irqs=0 counter-after=0" },
	{ "irqfd.gsi-refused-by-hyp", "0" },
	{ "irqfd.gsi-refused-by-hyp.counter-after", "0" },
	{ "irqfd.semaphore-eventfd-by-3", "irqs=1 counter-after=1" },
	{ "irqfd.new-eventfd-after-close", "0" },
	{ "irqfd.injected-while-guest-runs", "0 MMIO write pa=0x1000 size=4 data=0x1 reg=0" },
	{ "irqfd.eventfd-still-on-other-vm", "counter=0" },
	{ "irqfd.eventfd-after-both-closed", "counter=1" },
};

static void refused_irqfds(struct rig *rig, struct seen *seen, int event, int file)
{
	saw(seen, "irqfd.bad-fd", "%s", word(irqfd(rig, rig->vm, 9999, 1, 0), false));
	saw(seen, "irqfd.not-eventfd", "%s", word(irqfd(rig, rig->vm, file, 1, 0), false));
	saw(seen, "irqfd.pad15", "%s", word(irqfd_padded(rig, event, 0, 15), false));
	saw(seen, "irqfd.deassign-bad-fd-pad", "%s", word(irqfd_padded(rig, -1, UAPI_GZVM_IRQFD_DEASSIGN, 0), false));
	saw(seen, "irqfd.flags-4", "%s", word(irqfd(rig, rig->vm, event, 1, 4), false));
	saw(seen, "irqfd.deassign-not-eventfd", "%s", word(irqfd(rig, rig->vm, file, 1, UAPI_GZVM_IRQFD_DEASSIGN), false));
	saw(seen, "irqfd.deassign-unknown", "%s", word(irqfd(rig, rig->vm, event, 1, UAPI_GZVM_IRQFD_DEASSIGN), false));
}

static void busy_irqfds(struct rig *rig, struct seen *seen, int event)
{
	int same = dup(event);
	int other = eventfd(0, 0);

	ck_assert_int_eq(irqfd(rig, rig->vm, event, 7, 0), 0);
	saw(seen, "irqfd.same-fd-same-gsi", "%s", word(irqfd(rig, rig->vm, event, 7, 0), false));
	saw(seen, "irqfd.same-fd-other-gsi", "%s", word(irqfd(rig, rig->vm, event, 8, 0), false));
	saw(seen, "irqfd.dup-of-fd", "%s", word(irqfd(rig, rig->vm, same, 8, 0), false));
	saw(seen, "irqfd.other-fd-same-gsi", "%s", word(irqfd(rig, rig->vm, other, 7, 0), false));
	ck_assert_int_eq(irqfd(rig, rig->vm, other, 7, UAPI_GZVM_IRQFD_DEASSIGN), 0);
	close(same);
	close(other);
}

static void signalled_irqfds(struct rig *rig, struct seen *seen, int event)
{
	int irqs = 0;

	for (int i = 0; i < 10; i++) {
		signal_eventfd(event);
		irqs += wait_irq(rig) == 7;
	}
	/* The script engine takes no notice of a line that is lowered: it would not count. */
	saw(seen, "irqfd.signal-10-times", "irqs=%d lowered=%d", irqs, count_irqs(rig));
	saw(seen, "irqfd.deassign-wrong-gsi", "%s", word(irqfd(rig, rig->vm, event, 8, UAPI_GZVM_IRQFD_DEASSIGN), false));
	signal_eventfd(event);
	ck_assert_int_eq(wait_irq(rig), 7);
	saw(seen, "irqfd.deassign", "%s", word(irqfd(rig, rig->vm, event, 7, UAPI_GZVM_IRQFD_DEASSIGN), false));
	signal_eventfd(event);
	irqs = count_irqs(rig);
	saw(seen, "irqfd.after-deassign", "irqs=%d counter-left=%u", irqs, counter(event));
	/* What was there before is not noticed, and goes with the next. */
	signal_eventfd(event);
	saw(seen, "irqfd.assign-signalled-fd", "%s", word(irqfd(rig, rig->vm, event, 7, 0), false));
	ck_assert_int_eq(count_irqs(rig), 0);
	signal_eventfd(event);
	ck_assert_int_eq(wait_irq(rig), 7);
	ck_assert_uint_eq(counter(event), 0);
	ck_assert_int_eq(irqfd(rig, rig->vm, event, 7, UAPI_GZVM_IRQFD_DEASSIGN), 0);
}

static void odd_irqfds(struct rig *rig, struct seen *seen, int event)
{
	uint32_t both = UAPI_GZVM_IRQFD_RESAMPLE | UAPI_GZVM_IRQFD_DEASSIGN;
	int semaphore = eventfd(0, EFD_SEMAPHORE);
	int irqs;

	saw(seen, "irqfd.resample-bad-resamplefd", "%s",
	    word(irqfd(rig, rig->vm, event, 7, UAPI_GZVM_IRQFD_RESAMPLE), false));
	saw(seen, "irqfd.resample.deassign-with-both-flags", "%s", word(irqfd(rig, rig->vm, event, 7, both), false));
	saw(seen, "irqfd.gsi-ffffffff", "%s", word(irqfd(rig, rig->vm, event, 0xffffffff, 0), false));
	signal_eventfd(event);
	ck_assert(drained(event));
	irqs = count_irqs(rig);
	saw(seen, "irqfd.gsi-ffffffff.signal", "irqs=%d counter-after=%u", irqs, counter(event));
	ck_assert_int_eq(irqfd(rig, rig->vm, event, 0xffffffff, UAPI_GZVM_IRQFD_DEASSIGN), 0);
	saw(seen, "irqfd.gsi-refused-by-hyp", "%s", word(irqfd(rig, rig->vm, event, 2000, 0), false));
	signal_eventfd(event);
	ck_assert(drained(event));
	saw(seen, "irqfd.gsi-refused-by-hyp.counter-after", "%u", counter(event));
	ck_assert_int_eq(irqfd(rig, rig->vm, event, 2000, UAPI_GZVM_IRQFD_DEASSIGN), 0);
	ck_assert_int_eq(irqfd(rig, rig->vm, semaphore, 9, 0), 0);
	ck_assert_int_eq(eventfd_write(semaphore, 3), 0);
	irqs = wait_irq(rig) == 9 ? 1 + count_irqs(rig) : 0;
	saw(seen, "irqfd.semaphore-eventfd-by-3", "irqs=%d counter-after=%u", irqs, counter(semaphore));
	/* Two VMs and no deassign: the kernel gives the number of the closed eventfd to the new one. */
	close(semaphore);
	semaphore = eventfd(0, 0);
	saw(seen, "irqfd.new-eventfd-after-close", "%s", word(irqfd(rig, rig->vm, semaphore, 9, 0), false));
	signal_eventfd(semaphore);
	ck_assert_int_eq(wait_irq(rig), 9);
	close(semaphore);
}

static void two_vms(struct rig *rig, struct seen *seen, int event)
{
	int other = rig_ioctl_value(rig, rig->device, UAPI_GZVM_CREATE_VM, 0);

	ck_assert_int_eq(irqfd(rig, rig->vm, event, 7, 0), 0);
	saw(seen, "irqfd.same-fd-other-vm", "%s", word(irqfd(rig, other, event, 7, 0), false));
	signal_eventfd(event);
	ck_assert_int_eq(wait_irq(rig), 7);
	rig_close_fd(rig, &rig->vcpu);
	rig_close_fd(rig, &rig->vm);
	signal_eventfd(event);
	ck_assert(drained(event));
	saw(seen, "irqfd.eventfd-still-on-other-vm", "counter=%u", counter(event));
	rig_close_fd(rig, &other);
	signal_eventfd(event);
	usleep(20000);
	saw(seen, "irqfd.eventfd-after-both-closed", "counter=%u", counter(event));
}

static void *signal_later(void *data)
{
	usleep(30000);
	signal_eventfd(*(int *)data);
	return NULL;
}

static void running_guest(struct seen *seen, int event)
{
	pthread_t thread;
	struct rig rig;

	rig_open(&rig, "wfi; ack; expect 39; store 0x1000 4 1");
	ck_assert_int_eq(irqfd(&rig, rig.vm, event, 7, 0), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, signal_later, &event), 0);
	saw(seen, "irqfd.injected-while-guest-runs", "%s", run_text(&rig));
	pthread_join(thread, NULL);
	rig_close(&rig);
}

START_TEST(test_irqfds)
{
	struct seen seen = SEEN(irqfd_lines);
	int event = eventfd(0, 0);
	struct rig rig;
	int file;

	rig_open(&rig, COUNTER);
	file = rig.sys->memfd(rig.sys, "file", 0);
	refused_irqfds(&rig, &seen, event, file);
	busy_irqfds(&rig, &seen, event);
	signalled_irqfds(&rig, &seen, event);
	odd_irqfds(&rig, &seen, event);
	two_vms(&rig, &seen, event);
	rig_close(&rig);
	running_guest(&seen, event);
	close(file);
	close(event);
	all_seen(&seen);
}
END_TEST

static int ioeventfd(struct rig *rig, int fd, uint64_t gpa, uint32_t width, uint32_t flags, uint64_t value)
{
	struct uapi_gzvm_ioeventfd args = { value, gpa, width, fd, flags, { 0 } };

	return rig_ioctl(rig, rig->vm, UAPI_GZVM_IOEVENTFD, &args);
}

#define MATCH UAPI_GZVM_IOEVENTFD_DATAMATCH
#define REMOVE UAPI_GZVM_IOEVENTFD_DEASSIGN

static const struct line ioeventfd_lines[] = {
	{ "ioev.len-5", "EINVAL" },
	{ "ioev.len-6", "EINVAL" },
	{ "ioev.len-7", "EINVAL" },
	{ "ioev.len-9", "EINVAL" },
	{ "ioev.len-10", "EINVAL" },
	{ "ioev.len-11", "EINVAL" },
	{ "ioev.len-12", "EINVAL" },
	{ "ioev.len-13", "EINVAL" },
	{ "ioev.len-15", "EINVAL" },
	{ "ioev.addr-wraps", "EINVAL" },
	{ "ioev.pio", "EINVAL" },
	{ "ioev.pio-deassign", "EINVAL" },
	{ "ioev.bad-fd", "EBADF" },
	{ "ioev.not-eventfd", "EINVAL" },
	{ "ioev.deassign-unknown", "ENOENT" },
	{ "ioev.pad-nonzero", "0" },
	{ "ioev.same-addr-other-fd", "EEXIST" },
	{ "ioev.same-addr-datamatch", "EEXIST" },
	{ "ioev.inside-existing", "EEXIST" },
	{ "ioev.starts-before-and-covers", "0" },
	{ "ioev.deassign-other-fd", "ENOENT" },
	{ "ioev.deassign-with-datamatch", "ENOENT" },
	{ "ioev.deassign-match-wrong-value", "ENOENT" },
	{ "ioev.match-8", "0" },
	{ "ioev.match-1-byte", "0" },
	{ "ioev.match-1-byte-value-0x155", "0" },
	{ "ioev.match-1-byte-then-0x155", "0 MMIO write pa=0x4101 size=1 data=0xeeeeeeeeeeeeee55 reg=0" },
	{ "ioev.match-1-byte.counts", "e=1 f=0" },
	{ "ioev.deassign", "0" },
	{ "ioev.deassign-again", "ENOENT" },
	{ "ioev.write-after-deassign", "0 MMIO write pa=0x1000 size=4 data=0x7 reg=0" },
	{ "ioev.write-after-eventfd-closed", "0 DEBUG raw0=0x1004" },
	{ "ioev.deassign-with-new-eventfd", "ENOENT" },
	{ "ioev.reassign-after-close", "EEXIST" },
	{ "ioev.write-eventfd-counter-full", "0 DEBUG raw0=0x3000" },
};

static void refused_ioeventfds(struct rig *rig, struct seen *seen, int event, int file)
{
	static const uint32_t widths[] = { 5, 6, 7, 9, 10, 11, 12, 13, 15 };
	char name[32];

	for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
		(void)snprintf(name, sizeof(name), "ioev.len-%u", widths[i]);
		saw(seen, name, "%s", word(ioeventfd(rig, event, 0x1000, widths[i], 0, 0), false));
	}
	/* Ends exactly at 2^64. */
	saw(seen, "ioev.addr-wraps", "%s", word(ioeventfd(rig, event, ~0ull - 3, 4, 0, 0), false));
	saw(seen, "ioev.pio", "%s", word(ioeventfd(rig, event, 0x1000, 4, UAPI_GZVM_IOEVENTFD_PIO, 0), false));
	saw(seen, "ioev.pio-deassign", "%s",
	    word(ioeventfd(rig, event, 0x1000, 4, UAPI_GZVM_IOEVENTFD_PIO | REMOVE, 0), false));
	saw(seen, "ioev.bad-fd", "%s", word(ioeventfd(rig, -1, 0x1000, 4, 0, 0), false));
	saw(seen, "ioev.not-eventfd", "%s", word(ioeventfd(rig, file, 0x1000, 4, 0, 0), false));
	saw(seen, "ioev.deassign-unknown", "%s", word(ioeventfd(rig, event, 0x1000, 4, REMOVE, 0), false));
	ck_assert_int_eq(ioeventfd(rig, event, 0x1000, 0, MATCH, 0), -EINVAL);
}

static void collisions(struct rig *rig, struct seen *seen, int e, int f)
{
	struct uapi_gzvm_ioeventfd padded = { .gpa = 0x1000, .width = 4, .fd = e };

	padded.padding[3] = 1;
	saw(seen, "ioev.pad-nonzero", "%s", word(rig_ioctl(rig, rig->vm, UAPI_GZVM_IOEVENTFD, &padded), false));
	saw(seen, "ioev.same-addr-other-fd", "%s", word(ioeventfd(rig, f, 0x1000, 4, 0, 0), false));
	saw(seen, "ioev.same-addr-datamatch", "%s", word(ioeventfd(rig, f, 0x1000, 4, MATCH, 1), false));
	saw(seen, "ioev.inside-existing", "%s", word(ioeventfd(rig, f, 0x1002, 2, 0, 0), false));
	saw(seen, "ioev.starts-before-and-covers", "%s", word(ioeventfd(rig, f, 0xffc, 8, 0, 0), false));
	saw(seen, "ioev.deassign-other-fd", "%s", word(ioeventfd(rig, f, 0x1000, 4, REMOVE, 0), false));
	saw(seen, "ioev.deassign-with-datamatch", "%s", word(ioeventfd(rig, e, 0x1000, 4, REMOVE | MATCH, 0), false));
	ck_assert_int_eq(ioeventfd(rig, e, 0x2000, 4, MATCH, 0x1234), 0);
	saw(seen, "ioev.deassign-match-wrong-value", "%s",
	    word(ioeventfd(rig, e, 0x2000, 4, REMOVE | MATCH, 0x1235), false));
	saw(seen, "ioev.match-8", "%s", word(ioeventfd(rig, e, 0x4000, 8, MATCH, 0), false));
}

static void narrow_matches(struct rig *rig, struct seen *seen, int e, int f)
{
	saw(seen, "ioev.match-1-byte", "%s", word(ioeventfd(rig, e, 0x4100, 1, MATCH, 0x55), false));
	saw(seen, "ioev.match-1-byte-value-0x155", "%s", word(ioeventfd(rig, f, 0x4101, 1, MATCH, 0x155), false));
	memset(&rig->run.u, 0xee, sizeof(rig->run.u));
	saw(seen, "ioev.match-1-byte-then-0x155", "%s", run_text(rig));
	saw(seen, "ioev.match-1-byte.counts", "e=%u f=%u", counter(e), counter(f));
	memset(&rig->run, 0, sizeof(rig->run));
}

START_TEST(test_ioeventfds)
{
	struct seen seen = SEEN(ioeventfd_lines);
	int e = eventfd(0, 0);
	int f = eventfd(0, 0);
	struct rig rig;
	int closed;

	rig_open(&rig, "store 0x4100 1 0x55; store 0x4101 1 0x55\n"
		       "store 0x1000 4 7\n"
		       "store 0x1004 4 1; raw exit DEBUG raw0=0x1004\n"
		       "store 0x3000 4 1; raw exit DEBUG raw0=0x3000");
	refused_ioeventfds(&rig, &seen, e, rig.device);
	/* The descriptor of a simulated device is no eventfd either. */
	collisions(&rig, &seen, e, f);
	narrow_matches(&rig, &seen, e, f);
	saw(&seen, "ioev.deassign", "%s", word(ioeventfd(&rig, e, 0x1000, 4, REMOVE, 0), false));
	saw(&seen, "ioev.deassign-again", "%s", word(ioeventfd(&rig, e, 0x1000, 4, REMOVE, 0), false));
	saw(&seen, "ioev.write-after-deassign", "%s", run_text(&rig));
	closed = eventfd(0, 0);
	ck_assert_int_eq(ioeventfd(&rig, closed, 0x1004, 4, 0, 0), 0);
	close(closed);
	saw(&seen, "ioev.write-after-eventfd-closed", "%s", run_text(&rig));
	closed = eventfd(0, 0);
	saw(&seen, "ioev.deassign-with-new-eventfd", "%s", word(ioeventfd(&rig, closed, 0x1004, 4, REMOVE, 0), false));
	saw(&seen, "ioev.reassign-after-close", "%s", word(ioeventfd(&rig, closed, 0x1004, 4, 0, 0), false));
	ck_assert_int_eq(ioeventfd(&rig, closed, 0x3000, 4, 0, 0), 0);
	ck_assert_int_eq(eventfd_write(closed, 0xfffffffffffffffe), 0);
	saw(&seen, "ioev.write-eventfd-counter-full", "%s", run_text(&rig));
	rig_close(&rig);
	close(closed);
	close(e);
	close(f);
	all_seen(&seen);
}
END_TEST

static const struct line store_lines[] = {
	{ "ioev.write.narrower", "exit=MMIO e=0 f=0" },        { "ioev.write.wider", "exit=MMIO e=0 f=0" },
	{ "ioev.write.offset", "exit=MMIO e=0 f=0" },          { "ioev.write.match-hit", "exit=DEBUG e=1 f=0" },
	{ "ioev.write.match-miss", "exit=MMIO e=0 f=0" },      { "ioev.write.match-upper-bits", "exit=DEBUG e=1 f=0" },
	{ "ioev.write.match-wider", "exit=MMIO e=0 f=0" },     { "ioev.write.len0-byte", "exit=DEBUG e=1 f=0" },
	{ "ioev.write.len0-8", "exit=DEBUG e=1 f=0" },         { "ioev.write.len0-16", "exit=DEBUG e=1 f=0" },
	{ "ioev.write.covering-range", "exit=DEBUG e=0 f=1" },
};

static const struct {
	const char *name;
	const char *script;
} stores[] = {
	{ "ioev.write.narrower", "store 0x1000 2 1" },
	{ "ioev.write.wider", "store 0x1000 8 1" },
	{ "ioev.write.offset", "store 0x1001 4 1" },
	{ "ioev.write.match-hit", "store 0x2000 4 0x1234" },
	{ "ioev.write.match-miss", "store 0x2000 4 0x1235" },
	/* Beyond the width, the page holds what was there before. */
	{ "ioev.write.match-upper-bits", "raw exit MMIO gpa=0x2000 width=4 data=0xffffffff00001234 write=1" },
	{ "ioev.write.match-wider", "store 0x2000 8 0x1234" },
	{ "ioev.write.len0-byte", "store 0x3000 1 9" },
	{ "ioev.write.len0-8", "store 0x3000 8 9" },
	{ "ioev.write.len0-16", "store 0x3000 16 9" },
	{ "ioev.write.covering-range", "store 0xffc 8 9" },
};

START_TEST(test_stores)
{
	struct seen seen = SEEN(store_lines);
	int e = eventfd(0, 0);
	int f = eventfd(0, 0);
	char script[200];
	char code[16];

	for (size_t i = 0; i < sizeof(stores) / sizeof(stores[0]); i++) {
		struct rig rig;
		const char *exit;

		(void)snprintf(script, sizeof(script), "%s; raw exit DEBUG", stores[i].script);
		rig_open(&rig, script);
		memset(&rig.run.u, 0xee, sizeof(rig.run.u));
		ck_assert_int_eq(ioeventfd(&rig, e, 0x1000, 4, 0, 0), 0);
		ck_assert_int_eq(ioeventfd(&rig, e, 0x2000, 4, MATCH, 0x1234), 0);
		ck_assert_int_eq(ioeventfd(&rig, e, 0x3000, 0, 0, 0), 0);
		ck_assert_int_eq(ioeventfd(&rig, f, 0xffc, 8, 0, 0), 0);
		ck_assert_int_eq(rig_run(&rig), 0);
		exit = exit_name(rig.run.exit_reason, code);
		saw(&seen, stores[i].name, "exit=%s e=%u f=%u", exit, counter(e), counter(f));
		rig_close(&rig);
	}
	close(e);
	close(f);
	all_seen(&seen);
}
END_TEST

static const struct line signal_lines[] = {
	{ "hz.ioeventfd-write+signal", "EINTR MMIO write pa=0x9000 size=4 data=0xa5 reg=0 imm=0 handler=3" },
	{ "hz.ioeventfd-write+signal.eventfd", "1" },
};

static volatile sig_atomic_t handled;

static void count_signal(int signal)
{
	(void)signal;
	handled++;
}

START_TEST(test_store_and_signal)
{
	struct sigaction action = { .sa_handler = count_signal };
	struct seen seen = SEEN(signal_lines);
	int event = eventfd(0, 0);
	struct rig rig;

	sigemptyset(&action.sa_mask);
	ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
	handled = 0;
	rig_open(&rig, "repeat 2; signal 10; store 0x1000 4 0; end; signal 10; store 0x9000 4 0xa5");
	ck_assert_int_eq(ioeventfd(&rig, event, 0x9000, 4, 0, 0), 0);
	ck_assert_int_eq(rig_run(&rig), -EINTR);
	ck_assert_int_eq(rig_run(&rig), -EINTR);
	/* Taken by the eventfd, and in the buffer all the same: who believes the buffer rings twice. */
	ck_assert_int_eq(rig_run(&rig), -EINTR);
	saw(&seen, "hz.ioeventfd-write+signal", "EINTR %s imm=%u handler=%d", exit_text(&rig.run), rig.run.immediate_exit,
	    (int)handled);
	saw(&seen, "hz.ioeventfd-write+signal.eventfd", "%u", counter(event));
	rig_close(&rig);
	close(event);
	all_seen(&seen);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("gzvm_observed_events");
	TCase *tcase = tcase_create("events");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, test_irqfds);
	tcase_add_test(tcase, test_ioeventfds);
	tcase_add_test(tcase, test_stores);
	tcase_add_test(tcase, test_store_and_signal);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
