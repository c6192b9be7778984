/* SPDX-License-Identifier: BSD-3-Clause */
/* The examples' serial port, register by register: its FIFOs, its interrupts, back-pressure both ways, and hostile guests. */
#include "util.h"

#include "uart16550.h"

#include <errno.h>
#include <string.h>

#define UART UINT64_C(0x9000000)
#define ELSEWHERE UINT64_C(0x1000)
#define LINE 5

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR };
#define FCR IIR

static struct gh_fake *fake;
static struct gh_vm *vm;
static struct gh_vcpu *vcpu;
static struct gh_irqfd *irqfd;
static struct uart16550 *uart;
static uint32_t loads;

/* What is behind the port. */
static struct {
	uint8_t text[256];
	unsigned int length;
	unsigned int room; /* bytes that it takes before it is full */
	int error;
	unsigned int wanted; /* calls of wants_input */
} sink;

static int put(void *data, const uint8_t *bytes, unsigned int count)
{
	unsigned int taken = count < sink.room ? count : sink.room;

	ck_assert_ptr_eq(data, &sink);
	ck_assert_uint_ge(count, 1);
	ck_assert_uint_le(count, UART16550_FIFO);
	if (sink.error != 0)
		return sink.error;
	for (unsigned int i = 0; i < taken && sink.length < sizeof(sink.text); i++)
		sink.text[sink.length++] = bytes[i];
	sink.room -= taken;
	return (int)taken;
}

static void want(void *data)
{
	ck_assert_ptr_eq(data, &sink);
	sink.wanted++;
}

static struct uart16550_options port(void)
{
	return (struct uart16550_options){ "serial", UART, irqfd, put, want, &sink, false };
}

static void setup(void)
{
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	struct uart16550_options uart_options;

	memset(&sink, 0, sizeof(sink));
	sink.room = sizeof(sink.text);
	loads = 0;
	fake = new_fake();
	vm = open_fake(fake);
	vcpu = start_simply(vm);
	options.line = LINE;
	ck_assert_int_eq(gh_irqfd_add(vm, &options, &irqfd), 0);
	uart_options = port();
	ck_assert_int_eq(uart16550_add(vm, &uart_options, &uart), 0);
}

static void teardown(void)
{
	gh_vm_close(vm);
	gh_fake_free(fake);
}

/* --- the guest ------------------------------------------------------------------------------------------------------ */

static int store_wide(uint64_t gpa, uint32_t width, uint64_t value)
{
	ck_assert_int_eq(gh_fake_store(fake, 0, gpa, width, value), 0);
	return gh_bus_dispatch(vcpu, run_once(vcpu));
}

static void store(uint64_t offset, uint8_t value)
{
	ck_assert_int_eq(store_wide(UART + offset, 1, value), GH_BUS_DONE);
}

/* A load that nobody takes reads as 0. */
static int load_wide(uint64_t gpa, uint32_t width, uint64_t *ret_value)
{
	int ret;

	ck_assert_int_eq(gh_fake_load(fake, 0, gpa, width), 0);
	ret = gh_bus_dispatch(vcpu, run_once(vcpu));
	if (ret == GH_BUS_UNMATCHED)
		ck_assert_int_eq(gh_mmio_complete(vcpu, 0), 0);
	/* The answer reaches the guest when it goes on. */
	ck_assert_int_eq(store_wide(ELSEWHERE, 1, 0), GH_BUS_UNMATCHED);
	ck_assert_int_eq(gh_fake_answer(fake, 0, loads++, ret_value), 0);
	return ret;
}

static uint8_t load(uint64_t offset)
{
	uint64_t value;

	ck_assert_int_eq(load_wide(UART + offset, 1, &value), GH_BUS_DONE);
	ck_assert_uint_le(value, 0xff);
	return (uint8_t)value;
}

static void store_all(const char *text)
{
	for (; *text != '\0'; text++)
		store(DATA, (uint8_t)*text);
}

static unsigned int push(const char *text)
{
	return uart16550_push(uart, (const uint8_t *)text, (unsigned int)strlen(text));
}

/* Has the line been raised since the last call? */
static bool raised(void)
{
	return take_count(gh_irqfd_fd(irqfd)) > 0;
}

/* What a driver does at its start. */
static void begin(uint8_t enables)
{
	store(FCR, 0x07);
	store(MCR, 0x0b);
	store(IER, enables);
	(void)raised();
}

static void check_sent(const char *text)
{
	ck_assert_uint_eq(sink.length, strlen(text));
	ck_assert_mem_eq(sink.text, text, sink.length);
}

static void check_received(const char *text)
{
	for (; *text != '\0'; text++)
		ck_assert_uint_eq(load(DATA), (uint8_t)*text);
}

/* --- registers ------------------------------------------------------------------------------------------------------ */

START_TEST(test_reset)
{
	static const uint8_t values[] = { 0x00, 0x00, 0x01, 0x00, 0x00, 0x60, 0xb0, 0x00 };

	for (unsigned int i = 0; i < sizeof(values); i++)
		ck_assert_uint_eq(load(i), values[i]);
	ck_assert(!raised());
	ck_assert_uint_eq(sink.length, 0);
}
END_TEST

/* Which bits a register keeps. */
START_TEST(test_bits)
{
	static const struct {
		unsigned int offset;
		uint8_t kept, fixed;
	} registers[] = { { IER, 0x0f, 0 }, { LCR, 0x7f, 0 }, { MCR, 0x1f, 0 },
			  { SCR, 0xff, 0 }, { LSR, 0, 0x60 }, { MSR, 0, 0xb0 } };

	for (unsigned int i = 0; i < sizeof(registers) / sizeof(registers[0]); i++) {
		for (unsigned int value = 0; value < 0x100; value++) {
			store(registers[i].offset, (uint8_t)(value & (registers[i].offset == LCR ? 0x7f : 0xff)));
			ck_assert_uint_eq(load(registers[i].offset), (value & registers[i].kept) | registers[i].fixed);
		}
		store(registers[i].offset, 0);
	}
	ck_assert_uint_eq(sink.length, 0);
}
END_TEST

START_TEST(test_divisor)
{
	begin(0x01);
	ck_assert_uint_eq(push("x"), 1);
	store(LCR, 0x83);
	store(DATA, 0x34);
	store(IER, 0x12);
	ck_assert_uint_eq(load(DATA), 0x34);
	ck_assert_uint_eq(load(IER), 0x12);
	ck_assert_uint_eq(load(LCR), 0x83);
	store(LCR, 0x03);
	ck_assert_uint_eq(load(IER), 0x01);
	ck_assert_uint_eq(load(DATA), 'x');
	ck_assert_uint_eq(sink.length, 0);
	store(LCR, 0x80);
	ck_assert_uint_eq(load(DATA), 0x34);
	ck_assert_uint_eq(load(IER), 0x12);
}
END_TEST

START_TEST(test_loopback)
{
	static const uint8_t modem[][2] = { { 0x10, 0x00 }, { 0x11, 0x20 }, { 0x12, 0x10 }, { 0x14, 0x40 },
					    { 0x18, 0x80 }, { 0x1a, 0x90 }, { 0x1f, 0xf0 }, { 0x0f, 0xb0 } };

	begin(0);
	for (unsigned int i = 0; i < sizeof(modem) / sizeof(modem[0]); i++) {
		store(MCR, modem[i][0]);
		ck_assert_uint_eq(load(MSR), modem[i][1]);
	}
	store(MCR, 0x13);
	store_all("abc");
	ck_assert_uint_eq(load(LSR), 0x61);
	ck_assert_uint_eq(push("x"), 0); /* the outside has no part in it */
	check_received("abc");
	ck_assert_uint_eq(load(LSR), 0x60);
	ck_assert_uint_eq(sink.length, 0);
	ck_assert_uint_eq(sink.wanted, 0);
	for (unsigned int i = 0; i < 17; i++)
		store(DATA, 'y');
	ck_assert_uint_eq(uart16550_lost(uart), 1);
	store(FCR, 0x03);
	store(MCR, 0x03);
	ck_assert_uint_eq(sink.wanted, 1);
	ck_assert_uint_eq(push("x"), 1);
}
END_TEST

START_TEST(test_fifo_control)
{
	store(FCR, 0xc8); /* nothing counts without the first bit */
	ck_assert_uint_eq(load(IIR), 0x01);
	store(FCR, 0x01);
	ck_assert_uint_eq(load(IIR), 0xc1);
	store(MCR, 0x02);
	ck_assert_uint_eq(push("abc"), 3);
	store(FCR, 0x05); /* the other one */
	ck_assert_uint_eq(load(LSR), 0x61);
	store(FCR, 0x03);
	ck_assert_uint_eq(load(LSR), 0x60);
	ck_assert_uint_eq(load(DATA), 0);
	ck_assert_uint_eq(push("abc"), 3);
	store(FCR, 0x00);
	ck_assert_uint_eq(load(LSR), 0x60);
	ck_assert_uint_eq(load(IIR), 0x01);
}
END_TEST

/* --- output --------------------------------------------------------------------------------------------------------- */

START_TEST(test_output)
{
	store_all("one ");
	begin(0);
	store_all("two");
	ck_assert_uint_eq(load(LSR), 0x60);
	check_sent("one two");
	ck_assert_int_eq(uart16550_drain(uart), 0);
	ck_assert(!raised());
}
END_TEST

/* A sink that is full: the FIFO fills, the guest is told to wait, and everything comes in its order. */
START_TEST(test_output_stuck)
{
	begin(0x02);
	(void)load(IIR);
	sink.room = 2;
	store_all("ab");
	ck_assert_uint_eq(load(LSR), 0x60);
	store_all("0123456789abcdef");
	ck_assert_uint_eq(load(LSR), 0x00);
	ck_assert_uint_eq(load(IIR), 0xc1);
	check_sent("ab");
	ck_assert_uint_eq(uart16550_lost(uart), 0);
	(void)raised();
	sink.room = 5;
	ck_assert_int_eq(uart16550_drain(uart), 11);
	ck_assert_uint_eq(load(LSR), 0x00);
	ck_assert(!raised());
	sink.room = 100;
	ck_assert_int_eq(uart16550_drain(uart), 0);
	ck_assert(raised());
	ck_assert_uint_eq(load(LSR), 0x60);
	ck_assert_uint_eq(load(IIR), 0xc2);
	check_sent("ab0123456789abcdef");
}
END_TEST

/* Only a guest that stores against what it is told loses something: 16 bytes wait, or 1 without FIFOs. */
START_TEST(test_output_lost)
{
	unsigned int depth = _i == 0 ? 1 : UART16550_FIFO;

	store(FCR, (uint8_t)_i);
	sink.room = 0;
	for (unsigned int i = 0; i < depth + 3; i++)
		store(DATA, (uint8_t)('a' + i));
	ck_assert_uint_eq(uart16550_lost(uart), 3);
	sink.room = 100;
	ck_assert_int_eq(uart16550_drain(uart), 0);
	ck_assert_uint_eq(sink.length, depth);
	for (unsigned int i = 0; i < depth; i++)
		ck_assert_uint_eq(sink.text[i], 'a' + i);
}
END_TEST

START_TEST(test_output_emptied)
{
	begin(0x02);
	(void)load(IIR);
	(void)raised();
	sink.room = 0;
	store_all("abc");
	ck_assert(!raised());
	store(FCR, 0x03);
	ck_assert_uint_eq(load(LSR), 0x00);
	store(FCR, 0x05);
	ck_assert(raised());
	ck_assert_uint_eq(load(LSR), 0x60);
	ck_assert_int_eq(uart16550_drain(uart), 0);
	ck_assert_uint_eq(sink.length, 0);
}
END_TEST

/* A sink that has broken ends the loop; the port goes on without what was for it. */
START_TEST(test_output_breaks)
{
	begin(0);
	sink.room = 0;
	store_all("ab");
	sink.error = -EPIPE;
	ck_assert_int_eq(store_wide(UART + DATA, 1, 'c'), -EPIPE);
	ck_assert_uint_eq(load(LSR), 0x60);
	ck_assert_int_eq(uart16550_drain(uart), 0);
	sink.error = 0;
	store(DATA, 'd');
	sink.error = -ENOSPC;
	ck_assert_int_eq(uart16550_drain(uart), -ENOSPC);
	ck_assert_uint_eq(load(LSR), 0x60);
	sink.error = INT32_MAX; /* nonsense: it has taken all */
	store(DATA, 'e');
	ck_assert_uint_eq(load(LSR), 0x60);
	ck_assert_uint_eq(sink.length, 0);
}
END_TEST

/* --- interrupts ----------------------------------------------------------------------------------------------------- */

START_TEST(test_no_interrupt)
{
	begin(0);
	ck_assert_uint_eq(push("abc"), 3);
	store_all("abc");
	(void)load(DATA);
	(void)load(LSR);
	ck_assert_uint_eq(load(IIR), 0xc1);
	ck_assert(!raised());
}
END_TEST

/* Room: told once, when it is asked for and when there is some again. */
START_TEST(test_room)
{
	begin(0);
	store(IER, 0x02);
	ck_assert(raised());
	ck_assert_uint_eq(load(IIR), 0xc2);
	ck_assert_uint_eq(load(IIR), 0xc1);
	ck_assert(!raised());
	store(IER, 0x02); /* is on already */
	ck_assert(!raised());
	store(IER, 0x00);
	store(IER, 0x02);
	ck_assert(raised());
	ck_assert_uint_eq(load(IIR), 0xc2);
	store(DATA, 'x');
	ck_assert(raised());
	store(DATA, 'y'); /* a driver that never looks at the reason */
	ck_assert(raised());
	ck_assert_uint_eq(load(IIR), 0xc2);
	sink.room = 0;
	store(IER, 0x00);
	store(DATA, 'z');
	store(IER, 0x02);
	ck_assert(!raised());
	ck_assert_uint_eq(load(IIR), 0xc1);
}
END_TEST

START_TEST(test_input_interrupt)
{
	begin(0x01);
	ck_assert_uint_eq(push("ab"), 2);
	ck_assert(raised());
	ck_assert_uint_eq(load(IIR), 0xc4);
	ck_assert(raised()); /* what is left, once more: the line has edges only */
	ck_assert_uint_eq(load(DATA), 'a');
	ck_assert(raised());
	ck_assert_uint_eq(load(DATA), 'b');
	ck_assert(!raised());
	ck_assert_uint_eq(load(IIR), 0xc1);
	ck_assert_uint_eq(load(DATA), 0);
	ck_assert(!raised());
	store(IER, 0);
	ck_assert_uint_eq(push("c"), 1);
	ck_assert(!raised());
	store(IER, 0x01);
	ck_assert(raised());
}
END_TEST

/* Without a clock, what is below the trigger level has waited long enough. */
START_TEST(test_trigger)
{
	static const unsigned int levels[] = { 1, 4, 8, 14 };

	begin(0x01);
	store(FCR, (uint8_t)(_i << 6 | 3));
	for (unsigned int count = 1; count <= UART16550_FIFO; count++) {
		ck_assert_uint_eq(push("x"), 1);
		ck_assert(raised());
		ck_assert_uint_eq(load(IIR), count < levels[_i] ? 0xcc : 0xc4);
	}
	for (unsigned int count = UART16550_FIFO; count > 0; count--) {
		ck_assert_uint_eq(load(IIR), count < levels[_i] ? 0xcc : 0xc4);
		(void)load(DATA);
	}
	ck_assert_uint_eq(load(IIR), 0xc1);
}
END_TEST

/* Input comes first, and hides the room without taking it away. */
START_TEST(test_priority)
{
	begin(0x03);
	ck_assert_uint_eq(push("a"), 1);
	ck_assert_uint_eq(load(IIR), 0xc4);
	ck_assert_uint_eq(load(IIR), 0xc4);
	(void)raised();
	ck_assert_uint_eq(load(DATA), 'a');
	ck_assert(raised());
	ck_assert_uint_eq(load(IIR), 0xc2);
	ck_assert_uint_eq(load(IIR), 0xc1);
	store(FCR, 0x00);
	ck_assert_uint_eq(push("a"), 1);
	ck_assert_uint_eq(load(IIR), 0x04);
}
END_TEST

/* --- input ---------------------------------------------------------------------------------------------------------- */

START_TEST(test_input_waits)
{
	begin(0x01);
	ck_assert_uint_eq(push("0123456789abcdefghij"), 16);
	ck_assert_uint_eq(push("ghij"), 0);
	for (unsigned int i = 0; i < 16; i++) {
		ck_assert_uint_eq(sink.wanted, 0);
		ck_assert_uint_eq(load(LSR), 0x61);
		check_received((const char[]){ "0123456789abcdef"[i], '\0' });
	}
	ck_assert_uint_eq(sink.wanted, 1);
	(void)load(DATA);
	ck_assert_uint_eq(sink.wanted, 1); /* it has been said */
	ck_assert_uint_eq(push("ghij"), 4);
	check_received("ghij");
	ck_assert_uint_eq(sink.wanted, 1); /* nobody waits */
	ck_assert_uint_eq(push("0123456789abcdefg"), 16);
	store(FCR, 0x03);
	ck_assert_uint_eq(sink.wanted, 2);
	ck_assert_uint_eq(push("0123456789abcdefg"), 16);
	ck_assert_uint_eq(uart16550_push(uart, NULL, 0), 0); /* who waited has changed its mind */
	store(FCR, 0x03);
	ck_assert_uint_eq(sink.wanted, 2);
}
END_TEST

START_TEST(test_input_without_fifos)
{
	store(MCR, 0x02);
	ck_assert_uint_eq(push("ab"), 1);
	ck_assert_uint_eq(push("b"), 0);
	ck_assert_uint_eq(load(DATA), 'a');
	ck_assert_uint_eq(sink.wanted, 1);
	ck_assert_uint_eq(push("b"), 1);
	ck_assert_uint_eq(load(DATA), 'b');
}
END_TEST

/* Before the guest is ready nothing is taken, so that its set-up loses nothing. */
START_TEST(test_input_needs_rts)
{
	struct uart16550_options options = port();

	ck_assert_uint_eq(push("abc"), 0);
	store(FCR, 0x07);
	store(MCR, 0x01);
	ck_assert_uint_eq(sink.wanted, 0);
	ck_assert_uint_eq(push("abc"), 0);
	store(MCR, 0x03);
	ck_assert_uint_eq(sink.wanted, 1);
	ck_assert_uint_eq(push("abc"), 3);
	store(MCR, 0x01);
	ck_assert_uint_eq(push("d"), 0);
	ck_assert_uint_eq(load(DATA), 'a');
	uart16550_remove(uart);
	options.ignore_rts = true;
	options.wants_input = NULL;
	ck_assert_int_eq(uart16550_add(vm, &options, &uart), 0);
	ck_assert_uint_eq(push("ab"), 1);
	ck_assert_uint_eq(load(DATA), 'a');
	ck_assert_uint_eq(sink.wanted, 1);
}
END_TEST

/* --- the port ------------------------------------------------------------------------------------------------------- */

START_TEST(test_add_and_remove)
{
	struct uart16550_options options = port();
	struct uart16550 *other = NULL;
	uint64_t value;

	ck_assert_int_eq(uart16550_add(vm, &options, &other), -EEXIST);
	options.gpa = UINT64_MAX - 2;
	ck_assert_int_eq(uart16550_add(vm, &options, &other), -ERANGE);
	options.gpa = UART + UART16550_LENGTH;
	options.irqfd = NULL;
	ck_assert_int_eq(uart16550_add(vm, &options, &other), -EINVAL);
	options.irqfd = irqfd;
	options.output = NULL;
	ck_assert_int_eq(uart16550_add(vm, &options, &other), -EINVAL);
	ck_assert_ptr_null(other);
	options.output = put;
	ck_assert_int_eq(uart16550_add(vm, &options, &other), 0);
	uart16550_remove(uart);
	uart16550_remove(NULL);
	ck_assert_int_eq(load_wide(UART + LSR, 1, &value), GH_BUS_UNMATCHED);
	ck_assert_int_eq(load_wide(UART + UART16550_LENGTH + LSR, 1, &value), GH_BUS_DONE);
	ck_assert_uint_eq(value, 0x60);
}
END_TEST

/* A wide access is one of each register that it touches; one that does not fit is nobody's. */
START_TEST(test_widths)
{
	uint64_t value;

	ck_assert_int_eq(store_wide(UART + MCR, 4, 0x5a00000b), GH_BUS_DONE);
	ck_assert_uint_eq(load(MCR), 0x0b);
	ck_assert_uint_eq(load(SCR), 0x5a);
	ck_assert_int_eq(load_wide(UART + MCR, 4, &value), GH_BUS_DONE);
	ck_assert_uint_eq(value, 0x5ab0600b);
	ck_assert_int_eq(load_wide(UART + LSR, 2, &value), GH_BUS_DONE);
	ck_assert_uint_eq(value, 0xb060);
	ck_assert_int_eq(load_wide(UART + MCR, 8, &value), GH_BUS_UNMATCHED);
	ck_assert_int_eq(store_wide(UART + SCR, 2, 0), GH_BUS_UNMATCHED);
	ck_assert_int_eq(store_wide(UART - 1, 2, 0), GH_BUS_UNMATCHED);
	ck_assert_uint_eq(load(SCR), 0x5a);
}
END_TEST

/* Anything at all, at random: what comes of it is defined, and afterwards the port works. */
START_TEST(test_hostile)
{
	static const uint32_t widths[] = { 1, 2, 4, 8 };
	uint32_t random = 0x12345678;
	uint64_t value;

	for (unsigned int i = 0; i < 1500; i++) {
		uint64_t gpa;
		uint32_t width;
		int ret;

		random = random * 1664525 + 1013904223;
		gpa = UART - 8 + (random >> 8) % 24;
		width = widths[random >> 16 & 3];
		sink.room = random >> 24 & 7;
		sink.length = 0;
		ret = (random >> 30 & 1) != 0 ? load_wide(gpa, width, &value) : store_wide(gpa, width, random);
		if (gpa >= UART && gpa + width <= UART + UART16550_LENGTH)
			ck_assert_int_eq(ret, GH_BUS_DONE);
		else
			ck_assert_int_eq(ret, GH_BUS_UNMATCHED);
		ck_assert_uint_le(uart16550_push(uart, (const uint8_t *)"0123456789abcdefg", i % 18), UART16550_FIFO);
		ck_assert_int_le(uart16550_drain(uart), (int)UART16550_FIFO);
	}
	sink.room = 100;
	store(LCR, 0x03);
	store(FCR, 0x00);
	begin(0);
	sink.length = 0;
	store_all("well");
	check_sent("well");
	ck_assert_uint_eq(push("x"), 1);
	ck_assert_uint_eq(load(DATA), 'x');
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("uart16550");
	TCase *registers = add_case(suite, "registers");
	TCase *data = add_case(suite, "data");

	tcase_add_checked_fixture(registers, setup, teardown);
	tcase_add_test(registers, test_reset);
	tcase_add_test(registers, test_bits);
	tcase_add_test(registers, test_divisor);
	tcase_add_test(registers, test_loopback);
	tcase_add_test(registers, test_fifo_control);
	tcase_add_test(registers, test_add_and_remove);
	tcase_add_test(registers, test_widths);
	tcase_add_test(registers, test_hostile);
	tcase_add_checked_fixture(data, setup, teardown);
	tcase_add_test(data, test_output);
	tcase_add_test(data, test_output_stuck);
	tcase_add_loop_test(data, test_output_lost, 0, 2);
	tcase_add_test(data, test_output_emptied);
	tcase_add_test(data, test_output_breaks);
	tcase_add_test(data, test_no_interrupt);
	tcase_add_test(data, test_room);
	tcase_add_test(data, test_input_interrupt);
	tcase_add_loop_test(data, test_trigger, 0, 4);
	tcase_add_test(data, test_priority);
	tcase_add_test(data, test_input_waits);
	tcase_add_test(data, test_input_without_fifos);
	tcase_add_test(data, test_input_needs_rts);
	return run_suite(suite);
}
