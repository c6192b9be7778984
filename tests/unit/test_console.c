/* SPDX-License-Identifier: BSD-3-Clause */
/* The examples' console: a guest and two pipes, with readers and writers that are slow, gone, or at their end. */
#include "util.h"

#include "console.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define UART UINT64_C(0x9000000)
#define ELSEWHERE UINT64_C(0x1000)
#define LINE 5
#define BULK 9000u /* more than the pipe below and the console have room for */
#define INPUT 1000u
#define PATIENCE 30000u /* looks, with a millisecond in between after the first ones */

enum { DATA, IER, FCR, LCR, MCR, LSR };

static struct gh_fake *fake;
static struct gh_vm *vm;
static struct gh_vcpu *vcpu;
static struct console *console;
static struct console_options options;
static uint32_t loads;
static int input[2];
static int output[2];

static void setup(void)
{
	fake = new_fake();
	vm = open_fake(fake);
	vcpu = start_simply(vm);
	loads = 0;
	ck_assert_int_eq(pipe2(input, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(output, O_CLOEXEC), 0);
	ck_assert_int_ge(fcntl(output[1], F_SETPIPE_SZ, 4096), 0);
	options = (struct console_options){ UART, LINE, input[0], output[1], 0, false };
}

static void close_end(int *fd)
{
	if (*fd >= 0)
		ck_assert_int_eq(close(*fd), 0);
	*fd = -1;
}

static void teardown(void)
{
	gh_vm_close(vm);
	gh_fake_free(fake);
	for (unsigned int i = 0; i < 2; i++) {
		close_end(&input[i]);
		close_end(&output[i]);
	}
}

static int try_store(uint64_t offset, uint8_t value)
{
	ck_assert_int_eq(gh_fake_store(fake, 0, UART + offset, 1, value), 0);
	return gh_bus_dispatch(vcpu, run_once(vcpu));
}

static void store(uint64_t offset, uint8_t value)
{
	ck_assert_int_eq(try_store(offset, value), GH_BUS_DONE);
}

static uint8_t load(uint64_t offset)
{
	uint64_t value;

	ck_assert_int_eq(gh_fake_load(fake, 0, UART + offset, 1), 0);
	ck_assert_int_eq(gh_bus_dispatch(vcpu, run_once(vcpu)), GH_BUS_DONE);
	ck_assert_int_eq(gh_fake_store(fake, 0, ELSEWHERE, 1, 0), 0);
	(void)run_once(vcpu);
	ck_assert_int_eq(gh_fake_answer(fake, 0, loads++, &value), 0);
	return (uint8_t)value;
}

/* Waits until the line status has one of the bits. */
static void await(uint8_t bits)
{
	for (unsigned int look = 0; (load(LSR) & bits) == 0; look++) {
		ck_assert_uint_lt(look, PATIENCE);
		if (look < 1000)
			(void)sched_yield();
		else
			pause_ms(1);
	}
}

static void open_console(void)
{
	ck_assert_int_eq(console_open(vm, &options, &console), 0);
	store(FCR, 0x07);
	store(MCR, 0x0b);
}

/* The n-th byte of a text that does not repeat soon. */
static uint8_t nth(unsigned int n)
{
	return (uint8_t)(n * 7 + n / 251);
}

/* Stores, sixteen bytes at a time, until the guest has to wait, perhaps only for a moment; how many. */
static unsigned int fill(void)
{
	unsigned int sent = 0;

	while (load(LSR) == 0x60) {
		ck_assert_uint_lt(sent, BULK - UART16550_FIFO);
		for (unsigned int i = 0; i < UART16550_FIFO; i++)
			store(DATA, nth(sent++));
	}
	return sent;
}

/* Returns its argument if all is as it was sent: an assertion belongs to the test's own thread. */
static void *read_bulk(void *data)
{
	unsigned int count = 0;
	uint8_t bytes[512];

	while (count < BULK) {
		ssize_t got = read(output[0], bytes, sizeof(bytes));

		if (got <= 0)
			return NULL;
		for (ssize_t i = 0; i < got; i++, count++)
			if (bytes[i] != nth(count))
				return NULL;
	}
	return data;
}

static void reader_end(pthread_t reader)
{
	void *result;

	ck_assert_int_eq(pthread_join(reader, &result), 0);
	ck_assert_ptr_eq(result, output);
}

static void *write_bulk(void *data)
{
	uint8_t bytes[INPUT];

	for (unsigned int i = 0; i < INPUT; i++)
		bytes[i] = nth(i);
	if (write(input[1], bytes, INPUT) != INPUT)
		return NULL;
	close_end(&input[1]);
	return data;
}

/* The guest stores until it has to wait, and a reader appears. */
START_TEST(test_output)
{
	pthread_t reader;
	unsigned int sent;

	open_console();
	sent = fill();
	ck_assert_uint_ge(sent, 1);
	ck_assert_uint_lt(sent, BULK);
	ck_assert_int_eq(pthread_create(&reader, NULL, read_bulk, output), 0);
	while (sent < BULK) {
		await(0x20);
		for (unsigned int i = 0; i < UART16550_FIFO && sent < BULK; i++)
			store(DATA, nth(sent++));
	}
	ck_assert_int_eq(console_close(console), 0);
	reader_end(reader);
}
END_TEST

/* Closing waits for the reader. */
START_TEST(test_output_at_the_end)
{
	pthread_t reader;
	unsigned int sent;

	open_console();
	sent = fill();
	ck_assert_int_eq(pthread_create(&reader, NULL, read_bulk, output), 0);
	ck_assert_int_eq(console_close(console), 0);
	for (; sent < BULK; sent++) {
		uint8_t byte = nth(sent);

		ck_assert_int_eq(write(output[1], &byte, 1), 1);
	}
	reader_end(reader);
}
END_TEST

START_TEST(test_input)
{
	pthread_t writer;

	options.end_of_input = 4;
	open_console();
	store(IER, 0x01);
	ck_assert_int_eq(pthread_create(&writer, NULL, write_bulk, NULL), 0);
	for (unsigned int i = 0; i < INPUT; i++) {
		await(0x01);
		ck_assert_uint_eq(load(DATA), nth(i));
	}
	await(0x01);
	ck_assert_uint_eq(load(DATA), 4);
	(void)pthread_join(writer, NULL);
	ck_assert_uint_eq(load(LSR), 0x60);
	ck_assert_int_eq(console_close(console), 0);
}
END_TEST

/* Input that the guest never wants, and an end without a byte of its own. */
START_TEST(test_unwanted_input)
{
	open_console();
	ck_assert_int_eq(write(input[1], "0123456789abcdefghij", 20), 20);
	if (_i == 0)
		close_end(&input[1]);
	await(0x01);
	ck_assert_int_eq(console_close(console), 0);
}
END_TEST

/* A socket takes a part of what is written. */
START_TEST(test_output_in_parts)
{
	const int least = 1;
	pthread_t reader;

	close_end(&output[0]);
	close_end(&output[1]);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, output), 0);
	ck_assert_int_eq(fcntl(output[0], F_SETFL, 0), 0); /* the reader's end blocks */
	ck_assert_int_eq(setsockopt(output[1], SOL_SOCKET, SO_SNDBUF, &least, sizeof(least)), 0);
	options.output = output[1];
	open_console();
	for (unsigned int sent = 0; sent < BULK; sent++) {
		/* So many fit in any case; then the socket is full. */
		if (sent == 4096)
			ck_assert_int_eq(pthread_create(&reader, NULL, read_bulk, output), 0);
		if (sent % UART16550_FIFO == 0 && sent >= 4096)
			await(0x20);
		store(DATA, nth(sent));
	}
	ck_assert_int_eq(console_close(console), 0);
	reader_end(reader);
}
END_TEST

/* Descriptors that do not block, and none at all. */
START_TEST(test_descriptors)
{
	ck_assert_int_eq(fcntl(input[0], F_SETFL, O_NONBLOCK), 0);
	ck_assert_int_eq(fcntl(output[1], F_SETFL, O_NONBLOCK), 0);
	open_console();
	ck_assert_int_eq(write(input[1], "x", 1), 1);
	await(0x01);
	ck_assert_uint_eq(load(DATA), 'x');
	store(DATA, 'y');
	ck_assert_int_eq(console_close(console), 0);
	options.input = -1;
	options.output = -1;
	open_console();
	store(DATA, 'z');
	ck_assert_uint_eq(load(LSR), 0x60);
	ck_assert_int_eq(console_close(console), 0);
}
END_TEST

/* The reader goes: a store of the guest ends the loop, whether output waited or not. */
START_TEST(test_reader_goes)
{
	int ret = GH_BUS_DONE;

	open_console();
	if (_i == 1)
		(void)fill();
	close_end(&output[0]);
	for (unsigned int try = 0; ret == GH_BUS_DONE && try < PATIENCE; try++) {
		await(0x20); /* what waited is dropped */
		ret = try_store(DATA, 'x');
		if (try > 1000)
			pause_ms(1);
	}
	ck_assert_int_eq(ret, -EPIPE);
	ck_assert_int_eq(console_close(console), -EPIPE);
}
END_TEST

START_TEST(test_refused)
{
	struct gh_irqfd_options irqfd = GH_IRQFD_OPTIONS_INIT;
	struct gh_irqfd *other;
	struct console *none = NULL;

	irqfd.line = LINE;
	ck_assert_int_eq(gh_irqfd_add(vm, &irqfd, &other), 0);
	ck_assert_int_eq(console_open(vm, &options, &none), -EEXIST);
	gh_irqfd_remove(other);
	options.gpa = UINT64_MAX;
	ck_assert_int_eq(console_open(vm, &options, &none), -ERANGE);
	ck_assert_ptr_null(none);
	options.gpa = UART;
	open_console();
	options.line++;
	ck_assert_int_eq(console_open(vm, &options, &none), -EEXIST);
	ck_assert_ptr_null(none);
	ck_assert_int_eq(console_close(console), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("console");
	TCase *core = add_case(suite, "console");

	tcase_set_timeout(core, 100);
	tcase_add_checked_fixture(core, setup, teardown);
	tcase_add_test(core, test_output);
	tcase_add_test(core, test_output_at_the_end);
	tcase_add_test(core, test_output_in_parts);
	tcase_add_test(core, test_input);
	tcase_add_loop_test(core, test_unwanted_input, 0, 2);
	tcase_add_test(core, test_descriptors);
	tcase_add_loop_test(core, test_reader_goes, 0, 2);
	tcase_add_test(core, test_refused);
	return run_suite(suite);
}
