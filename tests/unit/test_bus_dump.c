/* SPDX-License-Identifier: BSD-3-Clause */
/* What the bus tells of itself: numbers, the map, each access. */
#include "board.h"

#include "../../lib/internal.h"

#include <errno.h>
#include <string.h>

static struct board board;

static void begin(void)
{
	board_begin(&board, 3);
}

static void end(void)
{
	board_end(&board);
}

/* --- numbers ---------------------------------------------------------------------------------------------------------- */

START_TEST(test_counts)
{
	DEVICE(device, .answer = 0);
	struct gh_bus_range_options options = device_options(&device, "counting", 0x1000, 0x100);
	struct gh_bus_range *range;
	struct gh_bus_range_counts counts;
	uint64_t value;

	options.guest_widths = GH_BUS_32;
	range = board_add(&board, &options);
	/* By all vCPUs together. */
	for (unsigned int vcpu = 0; vcpu < 3; vcpu++) {
		for (unsigned int i = 0; i <= vcpu; i++) {
			ck_assert_int_eq(board_store(&board, vcpu, 0x1000, 4, 1), GH_BUS_DONE);
			ck_assert_int_eq(board_store(&board, vcpu, 0x1000, 4, 1), GH_BUS_DONE);
			ck_assert_int_eq(board_load(&board, vcpu, 0x1004, 4, &value), GH_BUS_DONE);
			ck_assert_int_eq(board_store(&board, vcpu, 0x1000, 2, 1), GH_BUS_UNMATCHED);
			ck_assert_int_eq(board_store(&board, vcpu, 0x1002, 4, 1), GH_BUS_UNMATCHED);
			ck_assert_int_eq(board_load(&board, vcpu, 0x1000, 8, &value), GH_BUS_UNMATCHED);
			ck_assert_int_eq(board_store(&board, vcpu, 0x3000, 8, 1), GH_BUS_UNMATCHED);
		}
	}
	counts = board_range_counts(range);
	ck_assert_uint_eq(counts.stores, 12);
	ck_assert_uint_eq(counts.loads, 6);
	ck_assert_uint_eq(counts.forbidden, 18);
	ck_assert_uint_eq(counts.failed, 0);
	ck_assert_uint_eq(counts.deferred, 0);
	ck_assert_uint_eq(board_counts(&board).unmatched_stores, 18);
	ck_assert_uint_eq(board_counts(&board).unmatched_loads, 6);
	ck_assert_uint_eq(board_counts(&board).doorbells, 0);
	ck_assert_uint_eq(device.calls, 18);
}
END_TEST

/* Structures of other versions. */
START_TEST(test_sizes)
{
	DEVICE(device, .answer = 0);
	struct gh_bus_range *range = board_add_device(&board, &device, "sized", 0x1000, 0x100);
	struct {
		struct gh_bus_range_counts counts;
		uint64_t later;
	} longer = { .counts = GH_BUS_RANGE_COUNTS_INIT, .later = 77 };
	struct gh_bus_range_counts range_counts = GH_BUS_RANGE_COUNTS_INIT;
	struct gh_bus_counts counts = GH_BUS_COUNTS_INIT;

	ck_assert_int_eq(board_store(&board, 0, 0x1000, 4, 1), GH_BUS_DONE);
	longer.counts.size = sizeof(longer);
	ck_assert_int_eq(gh_bus_range_counts(range, &longer.counts), 0);
	ck_assert_uint_eq(longer.counts.stores, 1);
	ck_assert_uint_eq(longer.counts.size, sizeof(longer));
	ck_assert_uint_eq(longer.later, 77);
	range_counts.loads = 5;
	counts.doorbells = 5;
	for (range_counts.size = 0; range_counts.size < sizeof(range_counts); range_counts.size++)
		ck_assert_int_eq(gh_bus_range_counts(range, &range_counts), -EINVAL);
	for (counts.size = 0; counts.size < sizeof(counts); counts.size++)
		ck_assert_int_eq(gh_bus_counts(board.vm, &counts), -EINVAL);
	ck_assert_int_eq(gh_bus_range_counts(NULL, &range_counts), -EINVAL);
	ck_assert_int_eq(gh_bus_range_counts(range, NULL), -EINVAL);
	ck_assert_int_eq(gh_bus_counts(NULL, &counts), -EINVAL);
	ck_assert_int_eq(gh_bus_counts(board.vm, NULL), -EINVAL);
	ck_assert_uint_eq(range_counts.loads, 5);
	ck_assert_uint_eq(counts.doorbells, 5);
}
END_TEST

/* Through the growth of what counts. */
START_TEST(test_many_counts)
{
	static struct gh_bus_range *ranges[300];
	DEVICE(device, .answer = 0);

	for (unsigned int i = 0; i < 300; i++) {
		ranges[i] = board_add_device(&board, &device, "r", 0x100 * (uint64_t)(i + 1), 0x100);
		for (unsigned int j = 0; j <= i; j += 50)
			ck_assert_int_eq(board_store(&board, j / 50 % 3, 0x100 * (uint64_t)(i + 1), 4, 1), GH_BUS_DONE);
	}
	for (unsigned int i = 0; i < 300; i++)
		ck_assert_uint_eq(board_range_counts(ranges[i]).stores, i / 50 + 1);
	/* A vCPU that comes late has all of them as well. */
	board.vcpus[3] = add_vcpu(board.vm, 3);
	for (unsigned int i = 0; i < 300; i++)
		ck_assert_int_eq(board_store(&board, 3, 0x100 * (uint64_t)(i + 1), 4, 1), GH_BUS_DONE);
	for (unsigned int i = 0; i < 300; i++)
		ck_assert_uint_eq(board_range_counts(ranges[i]).stores, i / 50 + 2);
}
END_TEST

/* --- the map ---------------------------------------------------------------------------------------------------------- */

struct text {
	char text[8192];
	size_t length;
	unsigned int writes;
	unsigned int fail_at;
	int error;
};

static int collect(void *data, const char *piece, size_t length)
{
	struct text *text = data;

	ck_assert_uint_eq(strlen(piece), length);
	ck_assert_uint_lt(text->length + length, sizeof(text->text));
	if (++text->writes == text->fail_at)
		return text->error;
	memcpy(text->text + text->length, piece, length + 1);
	text->length += length;
	return 0;
}

static const char *dump(struct text *text, uint32_t format)
{
	memset(text, 0, sizeof(*text));
	ck_assert_int_eq(gh_bus_dump(board.vm, format, collect, text), 0);
	return text->text;
}

static void fill(void)
{
	DEVICE(device, .verdict = GH_BUS_FAIL);
	struct gh_bus_range_options options = device_options(&device, "a \"quoted\\\" one", 0x2000, 0x1000);
	const struct gh_bus_doorbell plain = { .gpa = 0x8000, .fd = -1 };
	const struct gh_bus_doorbell exact = { .gpa = 0x8008, .width = 4, .match = true, .value = 0x1f, .fd = -1 };
	uint64_t value;

	options.guest_widths = GH_BUS_8 | GH_BUS_16 | GH_BUS_32;
	options.handler_widths = GH_BUS_32;
	options.flags = GH_BUS_UNALIGNED;
	(void)board_add(&board, &options);
	(void)board_add_device(&board, &device, "first", 0x1000, 0x100);
	ck_assert_int_eq(gh_bus_add_doorbell(board.vm, &exact), 0);
	ck_assert_int_eq(gh_bus_add_doorbell(board.vm, &plain), 0);
	ck_assert_int_eq(board_store(&board, 0, 0x1000, 4, 0), GH_BUS_DONE);
	ck_assert_int_eq(board_load(&board, 0, 0x2000, 8, &value), GH_BUS_UNMATCHED);
	ck_assert_int_eq(board_store(&board, 0, 0x8000, 4, 0), GH_BUS_DONE);
	board_set_policy(&board, GH_BUS_UNMATCHED_VALUE, UINT64_MAX);
}

static const char json[] =
	"{\"ranges\":[\n"
	"{\"name\":\"first\",\"gpa\":\"0x1000\",\"length\":\"0x100\",\"guest_widths\":[1,2,4,8],\"handler_widths\":[],"
	"\"unaligned\":false,\"loads\":0,\"stores\":1,\"deferred\":0,\"failed\":1,\"forbidden\":0},\n"
	"{\"name\":\"a \\\"quoted\\\\\\\" one\",\"gpa\":\"0x2000\",\"length\":\"0x1000\",\"guest_widths\":[1,2,4],"
	"\"handler_widths\":[4],\"unaligned\":true,\"loads\":0,\"stores\":0,\"deferred\":0,\"failed\":0,\"forbidden\":1}],"
	"\n"
	"\"doorbells\":[\n"
	"{\"gpa\":\"0x8000\",\"width\":0,\"value\":null},\n"
	"{\"gpa\":\"0x8008\",\"width\":4,\"value\":\"0x1f\"}],\n"
	"\"unmatched\":{\"policy\":\"value\",\"value\":\"0xffffffffffffffff\",\"loads\":1,\"stores\":0},\n"
	"\"doorbells_rung\":1,\n"
	"\"trace\":false}\n";

static const char empty_json[] = "{\"ranges\":[],\n\"doorbells\":[],\n"
				 "\"unmatched\":{\"policy\":\"pass\",\"value\":\"0x0\",\"loads\":0,\"stores\":0},\n"
				 "\"doorbells_rung\":0,\n\"trace\":false}\n";

START_TEST(test_json)
{
	struct text text;

	ck_assert_str_eq(dump(&text, GH_BUS_JSON), empty_json);
	fill();
	ck_assert_str_eq(dump(&text, GH_BUS_JSON), json);
}
END_TEST

START_TEST(test_text)
{
	struct text text;

	ck_assert_ptr_nonnull(strstr(dump(&text, GH_BUS_TEXT), "unmatched: pass, value 0x0: 0 loads, 0 stores\n"));
	fill();
	(void)dump(&text, GH_BUS_TEXT);
	ck_assert_ptr_nonnull(strstr(text.text,
				     "0x0000000000001000-0x00000000000010ff  first: 0 loads, 1 stores, 0 deferred, "
				     "1 failed, 0 forbidden; widths 1,2,4,8\n"));
	ck_assert_ptr_nonnull(strstr(text.text, "a \"quoted\\\" one: "));
	ck_assert_ptr_nonnull(strstr(text.text, "1 forbidden; widths 1,2,4 as 4, unaligned\n"));
	ck_assert_ptr_nonnull(strstr(text.text, "0x0000000000008000  doorbell\n"));
	ck_assert_ptr_nonnull(strstr(text.text, "0x0000000000008008  doorbell, 4 bytes, 0x1f\n"));
	ck_assert_ptr_nonnull(strstr(text.text, "doorbells rung: 1; traced: no\n"));
}
END_TEST

/* A writer that fails at its n-th piece ends it there. */
START_TEST(test_failing_writer)
{
	struct text text;
	unsigned int writes;

	fill();
	(void)dump(&text, (uint32_t)_i);
	writes = text.writes;
	for (unsigned int n = 1; n <= writes; n++) {
		text = (struct text){ .fail_at = n, .error = -ENOSPC };
		ck_assert_int_eq(gh_bus_dump(board.vm, (uint32_t)_i, collect, &text), -ENOSPC);
		ck_assert_uint_eq(text.writes, n);
		text = (struct text){ .fail_at = n, .error = 3 };
		ck_assert_int_eq(gh_bus_dump(board.vm, (uint32_t)_i, collect, &text), -EINVAL);
		ck_assert_uint_eq(text.writes, n);
	}
	ck_assert_int_eq(gh_bus_dump(NULL, 0, collect, &text), -EINVAL);
	ck_assert_int_eq(gh_bus_dump(board.vm, 0, NULL, &text), -EINVAL);
	ck_assert_int_eq(gh_bus_dump(board.vm, 2, collect, &text), -EINVAL);
}
END_TEST

/* --- each access -------------------------------------------------------------------------------------------------------- */

struct tracer {
	struct gh_bus_event events[8];
	char names[8][64]; /* they are valid during the call only */
	unsigned int calls;
	unsigned int removed;
	bool ends; /* takes itself away */
};

static void trace(void *data, const struct gh_bus_event *event)
{
	struct tracer *tracer = data;
	unsigned int n = tracer->calls++ % 8;
	const struct gh_exit exit = { .kind = GH_EXIT_MMIO, .mmio = { .gpa = 0, .width = 4, .is_store = 1 } };

	tracer->events[n] = *event;
	tracer->names[n][0] = '\0';
	if (event->range != NULL)
		(void)strcpy(tracer->names[n], event->range);
	/* It is below a dispatch. */
	ck_assert_int_eq(gh_bus_dispatch(event->vcpu, &exit), -EPERM);
	if (tracer->ends)
		ck_assert_int_eq(gh_bus_set_trace(board.vm, NULL), 0);
	ck_assert_uint_eq(tracer->removed, 0);
}

static void tracer_removed(void *data)
{
	struct tracer *tracer = data;

	tracer->removed++;
}

static void set_tracer(struct tracer *tracer)
{
	struct gh_bus_trace_options options = GH_BUS_TRACE_OPTIONS_INIT;

	options.trace = trace;
	options.removed = tracer_removed;
	options.data = tracer;
	ck_assert_int_eq(gh_bus_set_trace(board.vm, &options), 0);
}

static void expect_event(const struct tracer *tracer, unsigned int n, const char *range, uint64_t value, int verdict)
{
	const struct gh_bus_event *event = &tracer->events[n];

	ck_assert_str_eq(tracer->names[n], range != NULL ? range : "");
	ck_assert_int_eq(event->range == NULL, range == NULL);
	ck_assert_uint_eq(event->value, value);
	ck_assert_int_eq(event->verdict, verdict);
	ck_assert_uint_eq(event->is_doorbell, 0);
}

START_TEST(test_trace)
{
	static struct tracer tracer;
	DEVICE(device, .answer = UINT64_C(0x1122334455667788));
	const struct gh_bus_doorbell doorbell = { .gpa = 0x8000, .fd = -1 };
	const struct gh_bus_event *events = tracer.events;
	uint64_t value;

	memset(&tracer, 0, sizeof(tracer));
	(void)board_add_device(&board, &device, "traced", 0x1000, 0x100);
	ck_assert_int_eq(board_store(&board, 0, 0x1000, 4, 1), GH_BUS_DONE);
	set_tracer(&tracer);
	ck_assert_int_eq(board_store(&board, 1, 0x1010, 2, 0xabcd), GH_BUS_DONE);
	ck_assert_int_eq(board_load(&board, 0, 0x1000, 4, &value), GH_BUS_DONE);
	device.verdict = GH_BUS_FAIL;
	ck_assert_int_eq(board_load(&board, 0, 0x1000, 4, &value), GH_BUS_DONE);
	device.verdict = -EIO;
	ck_assert_int_eq(board_store(&board, 0, 0x1000, 4, 7), -EIO);
	ck_assert_int_eq(board_load(&board, 0, 0x1004, 8, &value), GH_BUS_UNMATCHED);
	board_set_policy(&board, GH_BUS_UNMATCHED_VALUE, UINT64_MAX);
	ck_assert_int_eq(board_load(&board, 0, 0x5000, 2, &value), GH_BUS_DONE);
	ck_assert_uint_eq(tracer.calls, 6);
	ck_assert_ptr_eq(events[0].vcpu, board.vcpus[1]);
	ck_assert_uint_eq(events[0].gpa, 0x1010);
	ck_assert_uint_eq(events[0].width, 2);
	ck_assert_uint_eq(events[0].is_store, 1);
	ck_assert_uint_eq(events[1].is_store, 0);
	expect_event(&tracer, 0, "traced", 0xabcd, GH_BUS_DONE);
	expect_event(&tracer, 1, "traced", 0x55667788, GH_BUS_DONE);
	expect_event(&tracer, 2, "traced", 0, GH_BUS_FAIL);
	expect_event(&tracer, 3, "traced", 7, -EIO);
	expect_event(&tracer, 4, "traced", 0, GH_BUS_UNMATCHED);
	expect_event(&tracer, 5, NULL, 0xffff, GH_BUS_UNMATCHED);
	ck_assert_int_eq(gh_bus_add_doorbell(board.vm, &doorbell), 0);
	ck_assert_int_eq(board_store(&board, 0, 0x8000, 4, 6), GH_BUS_DONE);
	ck_assert_uint_eq(events[6].is_doorbell, 1);
	ck_assert_ptr_null(events[6].range);
	device.verdict = GH_BUS_DEFER;
	ck_assert_int_eq(board_load(&board, 0, 0x1000, 4, &value), GH_BUS_DEFER);
	expect_event(&tracer, 7, "traced", 0, GH_BUS_DEFER);
	ck_assert_int_eq(gh_mmio_complete(board.vcpus[0], 1), 0);
	ck_assert_int_eq(gh_bus_set_trace(board.vm, NULL), 0);
	ck_assert_uint_eq(tracer.removed, 1);
	device.verdict = GH_BUS_DONE;
	ck_assert_int_eq(board_store(&board, 0, 0x1000, 4, 7), GH_BUS_DONE);
	ck_assert_int_eq(gh_bus_set_trace(board.vm, NULL), 0);
	ck_assert_uint_eq(tracer.calls, 8);
	ck_assert_uint_eq(tracer.removed, 1);
}
END_TEST

/* One after the other; one that takes itself away; one that is left to the end of the VM. */
START_TEST(test_tracers)
{
	static struct tracer tracers[3];
	struct gh_bus_trace_options options = GH_BUS_TRACE_OPTIONS_INIT;

	memset(tracers, 0, sizeof(tracers));
	set_tracer(&tracers[0]);
	ck_assert_int_eq(gh_bus_set_trace(board.vm, &options), -EINVAL);
	options.trace = trace;
	ck_assert_int_eq(gh_bus_set_trace(NULL, &options), -EINVAL);
	options.size--;
	ck_assert_int_eq(gh_bus_set_trace(board.vm, &options), -EINVAL);
	ck_assert_uint_eq(tracers[0].removed, 0);
	set_tracer(&tracers[1]);
	ck_assert_uint_eq(tracers[0].removed, 1);
	tracers[1].ends = true;
	ck_assert_int_eq(board_store(&board, 0, 0, 4, 7), GH_BUS_UNMATCHED);
	ck_assert_uint_eq(tracers[1].removed, 1);
	ck_assert_int_eq(board_store(&board, 0, 0, 4, 7), GH_BUS_UNMATCHED);
	ck_assert_uint_eq(tracers[1].calls, 1);
	set_tracer(&tracers[2]);
	end();
	ck_assert_uint_eq(tracers[2].removed, 1);
	ck_assert_uint_eq(tracers[0].calls, 0);
	begin();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bus_dump");
	TCase *tcase = add_case(suite, "bus_dump");

	tcase_add_checked_fixture(tcase, begin, end);
	tcase_add_test(tcase, test_counts);
	tcase_add_test(tcase, test_sizes);
	tcase_add_test(tcase, test_many_counts);
	tcase_add_test(tcase, test_json);
	tcase_add_test(tcase, test_text);
	tcase_add_loop_test(tcase, test_failing_writer, GH_BUS_TEXT, GH_BUS_JSON + 1);
	tcase_add_test(tcase, test_trace);
	tcase_add_test(tcase, test_tracers);
	return run_suite(suite);
}
