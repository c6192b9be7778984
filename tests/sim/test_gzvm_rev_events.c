/* SPDX-License-Identifier: BSD-3-Clause */
/* Every revision of the simulated /dev/gzvm: lines, irqfds, ioeventfds. */
#include "gzvm_rev.h"

#include <poll.h>
#include <sys/eventfd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PATIENCE_MS 60000
#define ALL(result)                                                                                                        \
	{                                                                                                                  \
		result, result, result, result, result, result, result, result                                             \
	}
/* Up to v5, and from v6 on. */
#define SPLIT(old, new)                                                                                                    \
	{                                                                                                                  \
		old, old, old, new, new, new, new, new                                                                     \
	}

static int new_eventfd(unsigned int count)
{
	int fd = eventfd(count, EFD_CLOEXEC | EFD_NONBLOCK);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static bool is_readable(int fd, int timeout)
{
	struct pollfd poller = { .fd = fd, .events = POLLIN };

	return poll(&poller, 1, timeout) == 1;
}

static uint64_t take(int fd)
{
	uint64_t count = 0;

	if (is_readable(fd, 0))
		ck_assert_int_eq(read(fd, &count, sizeof(count)), sizeof(count));
	return count;
}

static void await_drain(int fd)
{
	for (int i = 0; i < PATIENCE_MS && is_readable(fd, 0); i++)
		(void)usleep(1000);
	ck_assert(!is_readable(fd, 0));
}

/* --- irqfds ------------------------------------------------------------------------------------------------------- */

static const struct row irqfd_rows[] = {
	{ "irqfd.null", ALL("EFAULT") },
	{ "irqfd.bad-fd", ALL("EBADF") },
	{ "irqfd.not-eventfd", ALL("EINVAL") },
	{ "irqfd.pad", SPLIT("0", "EINVAL") },
	{ "irqfd.deassign-bad-fd-pad", SPLIT("EBADF", "EINVAL") },
	{ "irqfd.flags-4", ALL("EINVAL") },
	{ "irqfd.same-fd-other-gsi", ALL("EBUSY") },
	{ "irqfd.other-fd-same-gsi", ALL("0") },
	{ "irqfd.resample-bad-resamplefd", SPLIT("EBADF", "0") },
	{ "irqfd.resample-resamplefd-not-eventfd", SPLIT("EINVAL", "0") },
	{ "irqfd.gsi-ffffffff", ALL("0") },
	{ "irqfd.deassign", ALL("0") },
	{ "irqfd.deassign-unknown", ALL("0") },
};

static int irqfd(struct rig *rig, int fd, uint32_t gsi, uint32_t flags, int resample_fd)
{
	const struct uapi_gzvm_irqfd arg = { (uint32_t)fd, gsi, flags, (uint32_t)resample_fd, { 0 } };

	return rig_ioctl(rig, rig->vm, UAPI_GZVM_IRQFD, &arg);
}

START_TEST(test_irqfds)
{
	struct shown shown = SHOWN(irqfd_rows, _i);
	struct uapi_gzvm_irqfd padded = { .padding = { [15] = 1 } };
	int a = new_eventfd(0);
	int b = new_eventfd(0);
	int c = new_eventfd(0);
	struct rig rig;

	rig_vm_on(&rig, revisions[_i], "");
	show(&shown, "irqfd.null", "%s", word(rig_ioctl_value(&rig, rig.vm, UAPI_GZVM_IRQFD, 0), false));
	show(&shown, "irqfd.bad-fd", "%s", word(irqfd(&rig, -1, 1, 0, 0), false));
	show(&shown, "irqfd.not-eventfd", "%s", word(irqfd(&rig, rig.device, 1, 0, 0), false));
	show(&shown, "irqfd.flags-4", "%s", word(irqfd(&rig, a, 1, 4, 0), false));
	padded.fd = (uint32_t)a;
	padded.gsi = 9;
	show(&shown, "irqfd.pad", "%s", word(rig_ioctl(&rig, rig.vm, UAPI_GZVM_IRQFD, &padded), false));
	ck_assert_int_eq(irqfd(&rig, a, 9, UAPI_GZVM_IRQFD_DEASSIGN, 0), 0);
	padded.fd = UINT32_MAX;
	padded.flags = UAPI_GZVM_IRQFD_DEASSIGN;
	show(&shown, "irqfd.deassign-bad-fd-pad", "%s", word(rig_ioctl(&rig, rig.vm, UAPI_GZVM_IRQFD, &padded), false));
	ck_assert_int_eq(irqfd(&rig, a, 1, 0, 0), 0);
	show(&shown, "irqfd.same-fd-other-gsi", "%s", word(irqfd(&rig, a, 2, 0, 0), false));
	show(&shown, "irqfd.other-fd-same-gsi", "%s", word(irqfd(&rig, b, 1, 0, 0), false));
	show(&shown, "irqfd.resample-bad-resamplefd", "%s", word(irqfd(&rig, c, 3, UAPI_GZVM_IRQFD_RESAMPLE, -1), false));
	(void)irqfd(&rig, c, 3, UAPI_GZVM_IRQFD_DEASSIGN, 0);
	show(&shown, "irqfd.resample-resamplefd-not-eventfd", "%s",
	     word(irqfd(&rig, c, 3, UAPI_GZVM_IRQFD_RESAMPLE, rig.device), false));
	(void)irqfd(&rig, c, 3, UAPI_GZVM_IRQFD_DEASSIGN, 0);
	show(&shown, "irqfd.gsi-ffffffff", "%s", word(irqfd(&rig, c, UINT32_MAX, UAPI_GZVM_IRQFD_RESAMPLE, b), false));
	ck_assert_int_eq(eventfd_write(c, 1), 0);
	await_drain(c);
	show(&shown, "irqfd.deassign", "%s", word(irqfd(&rig, a, 1, UAPI_GZVM_IRQFD_DEASSIGN, 0), false));
	show(&shown, "irqfd.deassign-unknown", "%s", word(irqfd(&rig, a, 1, UAPI_GZVM_IRQFD_DEASSIGN, 0), false));
	rig_close_broken(&rig, false);
	(void)close(a);
	(void)close(b);
	(void)close(c);
	all_shown(&shown);
}
END_TEST

/* What was signalled before counts on old kernels only. */
START_TEST(test_early_signal)
{
	int fd = new_eventfd(1);
	struct rig rig;

	rig_open_on(&rig, revisions[_i], "ack; echo 0x1000 4; wfi; ack; echo 0x1000 4");
	ck_assert_int_eq(irqfd(&rig, fd, 5, 0, 0), 0);
	ck_assert_int_eq(rig_run(&rig), 0);
	ck_assert_uint_eq(rig.run.u.mmio.data[0], _i <= V5 ? 37 : 0xff);
	ck_assert_int_eq(is_readable(fd, 0), _i > V5);
	ck_assert_int_eq(eventfd_write(fd, 1), 0);
	ck_assert_int_eq(rig_run(&rig), 0);
	ck_assert_uint_eq(rig.run.u.mmio.data[0], 37);
	rig_close_broken(&rig, false);
	(void)close(fd);
}
END_TEST

/* RESAMPLE: told of each acknowledgement up to v5, and of nothing afterwards. */
START_TEST(test_resample)
{
	int fd = new_eventfd(0);
	int told = new_eventfd(0);
	struct rig rig;

	rig_open_on(&rig, revisions[_i], "repeat 2; wfi; ack; echo 0x1000 4; end");
	ck_assert_int_eq(irqfd(&rig, fd, 7, UAPI_GZVM_IRQFD_RESAMPLE, told), 0);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(eventfd_write(fd, 1), 0);
		ck_assert_int_eq(rig_run(&rig), 0);
		ck_assert_uint_eq(rig.run.u.mmio.data[0], 39);
		ck_assert_uint_eq(take(told), _i <= V5 ? 1 : 0);
	}
	/* It ends with its eventfd, which nobody needs to give back. */
	(void)close(fd);
	rig_close_broken(&rig, false);
	(void)close(told);
}
END_TEST

/* --- lines -------------------------------------------------------------------------------------------------------- */

/* What the guest gets for a word: its INTID, or the errno. */
static const char *line_text(int revision, uint32_t irq)
{
	static char text[32];
	const struct uapi_gzvm_irq_level line = { irq, 1 };
	struct rig rig;
	int ret;

	rig_open_on(&rig, revisions[revision], "ack; echo 0x1000 4");
	ret = rig_ioctl(&rig, rig.vm, UAPI_GZVM_IRQ_LINE, &line);
	ck_assert_int_eq(rig_run(&rig), 0);
	(void)snprintf(text, sizeof(text), "%s", word(ret, false));
	if (ret == 0)
		(void)snprintf(text, sizeof(text), "intid %u", rig.run.u.mmio.data[0] | rig.run.u.mmio.data[1] << 8);
	rig_close_broken(&rig, false);
	return text;
}

#define FIRST(first, others)                                                                                               \
	{                                                                                                                  \
		first, others, others, others, others, others, others, others                                              \
	}

static const struct row line_rows[] = {
	{ "irq.null", ALL("EFAULT") },
	{ "irq.spi-5", FIRST("EFAULT", "intid 37") },
	{ "irq.spi-37", FIRST("intid 37", "intid 69") },
	{ "irq.no-type", FIRST("EFAULT", "intid 37") },
	{ "irq.ppi-5", FIRST("EFAULT", "intid 37") },
	{ "irq.ppi-40-vcpu-3", FIRST("intid 40", "intid 72") },
	{ "irq.spi-988", FIRST("intid 988", "EFAULT") },
};

START_TEST(test_lines)
{
	struct shown shown = SHOWN(line_rows, _i);
	struct rig rig;

	rig_vm_on(&rig, revisions[_i], "");
	show(&shown, "irq.null", "%s", word(rig_ioctl_value(&rig, rig.vm, UAPI_GZVM_IRQ_LINE, 0), false));
	rig_close(&rig);
	show(&shown, "irq.spi-5", "%s", line_text(_i, UAPI_GZVM_IRQ_TYPE_SPI | 5));
	show(&shown, "irq.spi-37", "%s", line_text(_i, UAPI_GZVM_IRQ_TYPE_SPI | 37));
	show(&shown, "irq.no-type", "%s", line_text(_i, 5));
	show(&shown, "irq.ppi-5", "%s", line_text(_i, UAPI_GZVM_IRQ_TYPE_PPI | 5));
	show(&shown, "irq.ppi-40-vcpu-3", "%s", line_text(_i, UAPI_GZVM_IRQ_TYPE_PPI | 3 << 16 | 40));
	show(&shown, "irq.spi-988", "%s", line_text(_i, UAPI_GZVM_IRQ_TYPE_SPI | 988));
	all_shown(&shown);
}
END_TEST

/* --- doorbells ---------------------------------------------------------------------------------------------------- */

#define BY_VALUE(kvm, gzvm)                                                                                                \
	{                                                                                                                  \
		kvm, kvm, gzvm, gzvm, gzvm, gzvm, gzvm, gzvm                                                               \
	}

static const struct row bell_rows[] = {
	{ "ioev.null", ALL("EFAULT") },
	{ "ioev.len-3", ALL("EINVAL") },
	{ "ioev.pio", ALL("EINVAL") },
	{ "ioev.flags-8", ALL("EINVAL") },
	{ "ioev.len-0-datamatch", ALL("EINVAL") },
	{ "ioev.addr-wraps", ALL("EINVAL") },
	{ "ioev.bad-fd", ALL("EBADF") },
	{ "ioev.match-1", ALL("0") },
	{ "ioev.match-1-again", ALL("EEXIST") },
	{ "ioev.match-2", BY_VALUE("0", "EEXIST") },
	{ "ioev.wildcard-beside-match", ALL("EEXIST") },
	{ "ioev.other-width", BY_VALUE("0", "EEXIST") },
	{ "ioev.inside", BY_VALUE("0", "EEXIST") },
	{ "ioev.store-1", ALL("e=1 f=0 exit=stop") },
	{ "ioev.store-2", BY_VALUE("e=0 f=1 exit=stop", "e=0 f=0 exit=0x4000") },
	{ "ioev.store-3", ALL("e=0 f=0 exit=0x4000") },
	{ "ioev.deassign-wrong-value", ALL("ENOENT") },
	{ "ioev.deassign-other-fd", ALL("ENOENT") },
	{ "ioev.deassign", ALL("0") },
	{ "ioev.deassign-again", ALL("ENOENT") },
};

#define MATCH UAPI_GZVM_IOEVENTFD_DATAMATCH
#define DEASSIGN UAPI_GZVM_IOEVENTFD_DEASSIGN

struct bell {
	uint64_t gpa;
	uint32_t width;
	uint32_t flags;
	uint64_t value;
};

static const char *bell_word(struct rig *rig, int fd, struct bell bell)
{
	const struct uapi_gzvm_ioeventfd arg = { bell.value, bell.gpa, bell.width, fd, bell.flags, { 0 } };

	return word(rig_ioctl(rig, rig->vm, UAPI_GZVM_IOEVENTFD, &arg), false);
}

static void bell_case(struct rig *rig, struct shown *shown, const char *name, int fd, struct bell bell)
{
	show(shown, name, "%s", bell_word(rig, fd, bell));
}

/* A store, and the one behind it that stops: what they have rung, and which of them was an exit. */
static void ring_case(struct rig *rig, struct shown *shown, const char *name, int e, int f)
{
	char exit[24] = "stop";

	ck_assert_int_eq(rig_run(rig), 0);
	if (rig->run.u.mmio.gpa != 0x1000) {
		(void)snprintf(exit, sizeof(exit), "0x%llx", (unsigned long long)rig->run.u.mmio.gpa);
		ck_assert_int_eq(rig_run(rig), 0);
		ck_assert_uint_eq(rig->run.u.mmio.gpa, 0x1000);
	}
	show(shown, name, "e=%llu f=%llu exit=%s", (unsigned long long)take(e), (unsigned long long)take(f), exit);
}

START_TEST(test_bells)
{
	struct shown shown = SHOWN(bell_rows, _i);
	int e = new_eventfd(0);
	int f = new_eventfd(0);
	struct rig rig;

	rig_open_on(&rig, revisions[_i],
		    "store 0x4000 4 1; store 0x1000 1 0; store 0x4000 4 2; store 0x1000 1 0; store 0x4000 4 3; store "
		    "0x1000 1 0");
	show(&shown, "ioev.null", "%s", word(rig_ioctl_value(&rig, rig.vm, UAPI_GZVM_IOEVENTFD, 0), false));
	bell_case(&rig, &shown, "ioev.len-3", e, (struct bell){ 0x4000, 3, 0, 0 });
	bell_case(&rig, &shown, "ioev.pio", e, (struct bell){ 0x4000, 4, UAPI_GZVM_IOEVENTFD_PIO, 0 });
	bell_case(&rig, &shown, "ioev.flags-8", e, (struct bell){ 0x4000, 4, 8, 0 });
	bell_case(&rig, &shown, "ioev.len-0-datamatch", e, (struct bell){ 0x4000, 0, MATCH, 0 });
	bell_case(&rig, &shown, "ioev.addr-wraps", e, (struct bell){ UINT64_MAX - 3, 4, 0, 0 });
	bell_case(&rig, &shown, "ioev.bad-fd", -1, (struct bell){ 0x4000, 4, 0, 0 });
	bell_case(&rig, &shown, "ioev.match-1", e, (struct bell){ 0x4000, 4, MATCH, 1 });
	bell_case(&rig, &shown, "ioev.match-1-again", f, (struct bell){ 0x4000, 4, MATCH, 1 });
	bell_case(&rig, &shown, "ioev.match-2", f, (struct bell){ 0x4000, 4, MATCH, 2 });
	bell_case(&rig, &shown, "ioev.wildcard-beside-match", f, (struct bell){ 0x4000, 4, 0, 0 });
	bell_case(&rig, &shown, "ioev.other-width", f, (struct bell){ 0x4000, 2, MATCH, 9 });
	bell_case(&rig, &shown, "ioev.inside", f, (struct bell){ 0x4002, 2, MATCH, 9 });
	ring_case(&rig, &shown, "ioev.store-1", e, f);
	ring_case(&rig, &shown, "ioev.store-2", e, f);
	ring_case(&rig, &shown, "ioev.store-3", e, f);
	bell_case(&rig, &shown, "ioev.deassign-wrong-value", e, (struct bell){ 0x4000, 4, MATCH | DEASSIGN, 7 });
	bell_case(&rig, &shown, "ioev.deassign-other-fd", f, (struct bell){ 0x4000, 4, MATCH | DEASSIGN, 1 });
	bell_case(&rig, &shown, "ioev.deassign", e, (struct bell){ 0x4000, 4, MATCH | DEASSIGN, 1 });
	bell_case(&rig, &shown, "ioev.deassign-again", e, (struct bell){ 0x4000, 4, MATCH | DEASSIGN, 1 });
	rig_close_broken(&rig, false);
	(void)close(e);
	(void)close(f);
	all_shown(&shown);
}
END_TEST

int main(void)
{
	static const TTest *tests[5];

	tests[0] = test_irqfds;
	tests[1] = test_early_signal;
	tests[2] = test_resample;
	tests[3] = test_lines;
	tests[4] = test_bells;
	return run_suite_of("gzvm_rev_events", tests, COUNT(tests), REVISIONS);
}
