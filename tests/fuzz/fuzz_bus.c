/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The input is a program: it adds ranges, doorbells and tracers, removes them, and makes two vCPUs of a fake hypervisor load
 * and store. Handlers and tracers play on in the same program. Everything must go as in bus_model.c.
 */
#include "bus_model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define VCPUS 2u
#define MOST_OPS 400u
#define NOBODY UINT32_MAX
/* Addresses come from two windows: one somewhere, and the end of the address space. */
#define WINDOW 80u
#define LOW UINT64_C(0x1000)
#define RAM_GPA UINT64_C(0x80000000)
#define RAM_SIZE UINT64_C(4096)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An access that is being dispatched. */
struct frame {
	uint32_t vcpu;
	struct model_access access;
	unsigned int tracer; /* that sees it, or NOBODY */
	uint64_t given[MOST_CALLS];
	unsigned int calls;
	unsigned int odd; /* call that does not return GH_BUS_DONE */
	int verdict;      /* of that one */
	unsigned int events;
	struct gh_bus_event event;
	bool in_handler;
	bool concluded;
	struct model_end end;
};

enum answer { ANSWER_NONE, ANSWER_VALUE, ANSWER_ABORT };

struct vcpu {
	struct gh_vcpu *vcpu;
	bool busy;
	enum answer answer; /* on its way into the guest */
	uint64_t value;
	uint32_t answers; /* that have arrived */
};

/* What a callback gets: freed when it is called for the last time. */
struct object {
	unsigned int slot;
};

static struct world {
	const uint8_t *data;
	size_t left;
	unsigned int ops;
	struct gh_fake *fake;
	struct gh_vm *vm;
	struct vcpu vcpus[VCPUS];
	struct model model;
	struct model_tracer tracers[MOST_FRAMES + 2];
	unsigned int tracer; /* the present one, or NOBODY */
	struct frame *frames[MOST_FRAMES];
	unsigned int depth;
	unsigned int removing; /* `removed` callbacks that play on */
	bool closing;
} world;

static uint8_t take(void)
{
	if (world.left == 0)
		return 0;
	world.left--;
	return *world.data++;
}

static uint64_t take_value(void)
{
	uint64_t value = 0;
	uint8_t form = take();

	/* Few values, so that they match those of doorbells; or any. */
	if (form < 128)
		return form % 4 * UINT64_C(0x0101010101010101);
	for (unsigned int i = 0; i < 8; i++)
		value = value << 8 | take();
	return value;
}

static uint64_t take_gpa(void)
{
	uint8_t byte = take();
	uint64_t base = byte >= 128 ? UINT64_MAX - (WINDOW - 1) : LOW;

	return base + byte % 128 % WINDOW;
}

static uint32_t take_width(void)
{
	return UINT32_C(1) << take() % 4;
}

static void play_some(void);

/* --- ranges ----------------------------------------------------------------------------------------------------------- */

static int on_access(void *data, struct gh_bus_access *access)
{
	const struct object *object = data;
	struct model_range *range = &world.model.ranges[object->slot];
	struct frame *frame = world.frames[world.depth - 1];
	const struct model_call *call = &frame->access.calls[frame->calls];
	unsigned int now = frame->calls;

	CHECK(world.depth > 0 && frame->access.slot == (int)object->slot);
	CHECK(now < frame->access.n_calls);
	CHECK(access->vcpu == world.vcpus[frame->vcpu].vcpu && access->range == range->range);
	CHECK(access->gpa == call->gpa && access->offset == call->gpa - range->gpa);
	CHECK(access->width == call->width && access->mask == call->mask && access->value == call->value);
	CHECK(access->is_store == frame->access.mmio.is_store);
	range->running++;
	frame->in_handler = true;
	play_some();
	frame->in_handler = false;
	range->running--;
	if (access->is_store == 0)
		frame->given[now] = access->value = take_value();
	frame->calls++;
	return now == frame->odd ? frame->verdict : GH_BUS_DONE;
}

/* After the handler: what a tracer or a `removed` does comes too late for this access. */
static void conclude(struct frame *frame)
{
	if (!frame->concluded)
		model_conclude(&world.model, &frame->access, frame->given, frame->odd, frame->verdict, &frame->end);
	frame->concluded = true;
}

static void on_range_removed(void *data)
{
	struct object *object = data;
	struct model_range *range = &world.model.ranges[object->slot];

	CHECK(range->running == 0 && range->life == (world.closing && range->life == LIVE ? LIVE : LEAVING));
	range->life = FREE;
	free(object);
	if (world.closing)
		return;
	if (world.depth > 0 && !world.frames[world.depth - 1]->in_handler)
		conclude(world.frames[world.depth - 1]);
	world.removing++;
	if (take() % 8 == 0)
		play_some();
	world.removing--;
}

static void forget_range(struct model_range *range)
{
	CHECK(range->life == LIVE);
	range->life = LEAVING;
	gh_bus_remove(range->range);
	CHECK(range->held > 0 || range->life != LEAVING);
}

static int expected_add(const struct gh_bus_range_options *options, int *ret_other)
{
	uint64_t grid = 8;

	while (grid > 1 && (options->handler_widths & grid) == 0)
		grid /= 2;
	if (options->length == 0 || options->gpa % grid != 0 || options->length % grid != 0)
		return -EINVAL;
	if (options->length - 1 > UINT64_MAX - options->gpa)
		return -ERANGE;
	return model_place(&world.model, options->gpa, options->gpa + (options->length - 1), ret_other);
}

static void take_range(struct gh_bus_range_options *options, char *name, size_t slot)
{
	uint8_t rules = take();

	(void)snprintf(name, sizeof(world.model.ranges[0].name), "%c%u\"\\", 'a' + take() % 26, (unsigned int)slot);
	options->name = name;
	options->gpa = take_gpa();
	options->length = take() % 40;
	options->guest_widths = rules % 2 != 0 ? take() % 16 : 0;
	options->handler_widths = rules / 2 % 2 != 0 ? take() % 16 : 0;
	options->flags = rules / 4 % 2 != 0 ? GH_BUS_UNALIGNED : 0;
	/* Mostly so that it works. */
	if (rules / 8 % 8 != 0) {
		options->gpa &= ~UINT64_C(7);
		options->length = (options->length + 7) & ~UINT64_C(7);
	}
}

static void add_range(void)
{
	struct gh_bus_range_options options = GH_BUS_RANGE_OPTIONS_INIT;
	struct gh_bus_range *range = NULL;
	struct model_range *model = NULL;
	struct model_range next = { .life = LIVE };
	struct object *object;
	unsigned int slot;
	int other = -1;
	int expected;

	for (slot = 0; slot < MOST_RANGES && model == NULL; slot++)
		if (world.model.ranges[slot].life == FREE && world.model.ranges[slot].held == 0)
			model = &world.model.ranges[slot];
	if (model == NULL)
		return;
	slot--;
	take_range(&options, next.name, slot);
	expected = expected_add(&options, &other);
	object = malloc(sizeof(*object));
	CHECK(object != NULL);
	*object = (struct object){ .slot = slot };
	options.access = on_access;
	options.removed = on_range_removed;
	options.data = object;
	CHECK(gh_bus_add(world.vm, &options, &range) == expected);
	if (expected < 0) {
		CHECK(range == NULL && gh_vm_failure(world.vm)->error == expected);
		CHECK(other < 0 || strstr(gh_vm_failure(world.vm)->cause, world.model.ranges[other].name) != NULL);
		free(object);
		return;
	}
	next.range = range;
	next.gpa = options.gpa;
	next.last = options.gpa + (options.length - 1);
	next.guest_widths = options.guest_widths;
	next.handler_widths = options.handler_widths;
	next.unaligned = options.flags != 0;
	*model = next;
}

static void remove_range(void)
{
	unsigned int slot = take() % MOST_RANGES;

	/* A handler's own one, a second time as well. */
	if (world.depth > 0 && take() % 2 == 0 && world.frames[world.depth - 1]->access.slot >= 0) {
		slot = (unsigned int)world.frames[world.depth - 1]->access.slot;
		if (world.model.ranges[slot].life == LEAVING && world.model.ranges[slot].running > 0)
			gh_bus_remove(world.model.ranges[slot].range);
	}
	if (world.model.ranges[slot].life == LIVE)
		forget_range(&world.model.ranges[slot]);
}

/* --- tracers ------------------------------------------------------------------------------------------------------------ */

static void on_event(void *data, const struct gh_bus_event *event)
{
	const struct object *object = data;
	struct frame *frame = world.frames[world.depth - 1];
	const char *name = frame->access.slot >= 0 ? world.model.ranges[frame->access.slot].name : NULL;

	CHECK(world.depth > 0 && frame->tracer == object->slot);
	CHECK((event->range == NULL) == (name == NULL) && (name == NULL || strcmp(event->range, name) == 0));
	frame->events++;
	frame->event = *event;
	conclude(frame);
	play_some();
}

static void on_tracer_removed(void *data)
{
	struct object *object = data;

	CHECK(world.tracers[object->slot].life == (world.closing && world.tracer == object->slot ? LIVE : LEAVING));
	world.tracers[object->slot].life = FREE;
	free(object);
}

static struct object *new_tracer(void)
{
	struct object *object = NULL;

	for (unsigned int i = 0; i < sizeof(world.tracers) / sizeof(world.tracers[0]) && object == NULL; i++)
		if (world.tracers[i].life == FREE && world.tracers[i].held == 0) {
			object = malloc(sizeof(*object));
			CHECK(object != NULL);
			*object = (struct object){ .slot = i };
			world.tracers[i].life = LIVE;
		}
	return object;
}

static void set_tracer(void)
{
	struct gh_bus_trace_options options = GH_BUS_TRACE_OPTIONS_INIT;
	struct object *object = take() % 2 != 0 ? new_tracer() : NULL;
	unsigned int old = world.tracer;

	options.trace = on_event;
	options.removed = on_tracer_removed;
	options.data = object;
	world.tracer = object != NULL ? object->slot : NOBODY;
	world.model.traced = object != NULL;
	if (old != NOBODY)
		world.tracers[old].life = LEAVING;
	CHECK(gh_bus_set_trace(world.vm, object != NULL ? &options : NULL) == 0);
	CHECK(old == NOBODY || world.tracers[old].held > 0 || world.tracers[old].life == FREE);
}

/* --- the other things to do --------------------------------------------------------------------------------------------- */

static void set_unmatched(void)
{
	struct gh_bus_unmatched_options options = GH_BUS_UNMATCHED_OPTIONS_INIT;

	options.policy = take() % 4;
	options.value = take_value();
	if (options.policy > GH_BUS_UNMATCHED_FAIL) {
		CHECK(gh_bus_set_unmatched(world.vm, &options) == -EINVAL);
		return;
	}
	CHECK(gh_bus_set_unmatched(world.vm, &options) == 0);
	world.model.unmatched = options;
}

static bool is_same(const struct gh_bus_doorbell *a, const struct gh_bus_doorbell *b)
{
	return a->gpa == b->gpa && a->value == b->value && a->width == b->width && a->match == b->match && a->fd == b->fd;
}

static void take_doorbell(struct gh_bus_doorbell *doorbell)
{
	uint8_t form = take();

	memset(doorbell, 0, sizeof(*doorbell));
	doorbell->gpa = take_gpa();
	doorbell->width = form % 5 == 4 ? 0 : UINT32_C(1) << form % 5;
	doorbell->match = form / 8 % 2 != 0;
	doorbell->value = doorbell->match ? take_value() : 0;
	doorbell->fd = world.model.fds[form / 16 % EVENTFDS];
}

/* Would one store ring both? The caller of the bus sees to it that there are no such two. */
static bool share_a_store(const struct gh_bus_doorbell *a, const struct gh_bus_doorbell *b)
{
	uint32_t width = a->width != 0 ? a->width : b->width;
	uint64_t mask = UINT64_MAX >> (64 - 8 * (width != 0 ? width : 1)); /* of any width: the narrowest decides */

	if (a->gpa != b->gpa || (a->width != 0 && b->width != 0 && a->width != b->width))
		return false;
	return !a->match || !b->match || ((a->value ^ b->value) & mask) == 0;
}

static void add_doorbell(void)
{
	struct model *model = &world.model;
	struct gh_bus_doorbell doorbell;
	int expected = 0;

	take_doorbell(&doorbell);
	for (unsigned int i = 0; i < model->n_doorbells; i++) {
		if (is_same(&model->doorbells[i], &doorbell))
			expected = -EEXIST;
		else if (share_a_store(&model->doorbells[i], &doorbell))
			return;
	}
	if (model->n_doorbells == MOST_DOORBELLS && expected == 0)
		return;
	CHECK(gh_bus_add_doorbell(world.vm, &doorbell) == expected);
	if (expected == 0)
		model->doorbells[model->n_doorbells++] = doorbell;
}

static void remove_doorbell(void)
{
	struct model *model = &world.model;
	struct gh_bus_doorbell doorbell;
	struct gh_bus_guest *guest;
	unsigned int at = take();

	if (at >= model->n_doorbells) {
		take_doorbell(&doorbell);
		for (at = 0; at < model->n_doorbells && !is_same(&model->doorbells[at], &doorbell); at++)
			;
	}
	if (at >= model->n_doorbells) {
		CHECK(gh_bus_withdraw_doorbell(world.vm, &doorbell) == NULL);
		return;
	}
	doorbell = model->doorbells[at];
	model->doorbells[at] = model->doorbells[--model->n_doorbells];
	guest = gh_bus_withdraw_doorbell(world.vm, &doorbell);
	CHECK(guest != NULL);
	gh_bus_end_doorbell(world.vm, guest);
}

static void check_rings(void)
{
	for (unsigned int i = 0; i < EVENTFDS; i++) {
		uint64_t rings = 0;

		if (read(world.model.fds[i], &rings, sizeof(rings)) < 0)
			rings = 0;
		CHECK(rings == world.model.rings[i]);
		world.model.rings[i] = 0;
	}
}

/* --- accesses ----------------------------------------------------------------------------------------------------------- */

/* What was on its way when the vCPU ran again has arrived, and nothing else has. */
static void check_answer(struct vcpu *vcpu, uint32_t id)
{
	uint64_t value = 0;

	if (vcpu->answer == ANSWER_VALUE) {
		CHECK(gh_fake_answer(world.fake, id, vcpu->answers, &value) == 0 && value == vcpu->value);
		vcpu->answers++;
	}
	CHECK(gh_fake_answer(world.fake, id, vcpu->answers, &value) == -ENOENT);
	vcpu->answer = ANSWER_NONE;
}

static const struct gh_exit *run(uint32_t id, const struct gh_exit_mmio *mmio)
{
	struct vcpu *vcpu = &world.vcpus[id];
	const struct gh_exit *exit = NULL;

	CHECK((mmio->is_store != 0 ? gh_fake_store(world.fake, id, mmio->gpa, mmio->width, mmio->value)
				   : gh_fake_load(world.fake, id, mmio->gpa, mmio->width)) == 0);
	CHECK(gh_vcpu_run(vcpu->vcpu, &exit) == 0 && exit->kind == GH_EXIT_MMIO);
	check_answer(vcpu, id);
	return exit;
}

static void check_event(const struct frame *frame, const struct model_end *end)
{
	const struct gh_bus_event *event = &frame->event;
	bool is_store = frame->access.mmio.is_store != 0;

	CHECK(frame->events == (frame->tracer != NOBODY));
	if (frame->events == 0)
		return;
	CHECK(event->vcpu == world.vcpus[frame->vcpu].vcpu && event->gpa == frame->access.mmio.gpa);
	CHECK(event->width == frame->access.mmio.width && event->is_store == is_store);
	CHECK(event->value == (is_store ? frame->access.mmio.value : end->value));
	CHECK(event->verdict == (end->ret < 0 ? end->ret : end->verdict) && event->is_doorbell == frame->access.rung);
}

/* A load that was not answered waits for it, one that was does not. */
static void settle(const struct frame *frame, const struct model_end *end)
{
	struct vcpu *vcpu = &world.vcpus[frame->vcpu];

	if (frame->access.mmio.is_store != 0)
		return;
	vcpu->answer = end->aborted ? ANSWER_ABORT : ANSWER_VALUE;
	vcpu->value = end->value;
	if (end->answered || end->aborted) {
		CHECK(gh_mmio_complete(vcpu->vcpu, 1) == -EBUSY);
		return;
	}
	vcpu->value = 0x5a;
	CHECK(gh_mmio_complete(vcpu->vcpu, vcpu->value) == 0);
}

static void hold(const struct frame *frame, int change)
{
	if (frame->access.slot >= 0)
		world.model.ranges[frame->access.slot].held += (unsigned int)change;
	if (frame->tracer != NOBODY)
		world.tracers[frame->tracer].held += (unsigned int)change;
}

/* Everybody whom nobody is in any more is gone. */
static void check_lives(void)
{
	for (unsigned int i = 0; i < MOST_RANGES; i++)
		CHECK(world.model.ranges[i].life != LEAVING || world.model.ranges[i].held > 0);
	for (unsigned int i = 0; i < sizeof(world.tracers) / sizeof(world.tracers[0]); i++)
		CHECK(world.tracers[i].life != LEAVING || world.tracers[i].held > 0);
}

static void dispatch(struct frame *frame, const struct gh_exit *exit)
{
	struct vcpu *vcpu = &world.vcpus[frame->vcpu];
	const struct model_end *end = &frame->end;
	int ret;

	vcpu->busy = true;
	world.frames[world.depth++] = frame;
	hold(frame, 1);
	model_count_begin(&world.model, &frame->access);
	ret = gh_bus_dispatch(vcpu->vcpu, exit);
	world.depth--;
	hold(frame, -1);
	vcpu->busy = false;
	conclude(frame);
	CHECK(ret == end->ret && frame->calls == end->calls);
	CHECK(ret >= 0 || gh_vcpu_failure(vcpu->vcpu)->error == ret);
	check_event(frame, end);
	settle(frame, end);
	check_lives();
	check_rings();
}

static int take_verdict(void)
{
	static const int verdicts[] = { GH_BUS_DONE, GH_BUS_DEFER, GH_BUS_FAIL, GH_BUS_UNMATCHED, -EIO, 17 };

	return verdicts[take() % (sizeof(verdicts) / sizeof(verdicts[0]))];
}

static void make_access(void)
{
	struct frame frame = { .tracer = NOBODY };
	struct gh_exit_mmio mmio;
	uint8_t form = take();

	frame.vcpu = form % VCPUS;
	mmio = (struct gh_exit_mmio){ .gpa = take_gpa(), .width = take_width(), .is_store = form / 2 % 2 };
	mmio.value = mmio.is_store != 0 ? take_value() & (UINT64_MAX >> (64 - 8 * mmio.width)) : 0;
	frame.odd = form / 4 % 2 != 0 ? take() % MOST_CALLS : MOST_CALLS;
	frame.verdict = take_verdict();
	if (world.vcpus[frame.vcpu].busy || world.depth == MOST_FRAMES) {
		const struct gh_exit crafted = { .kind = GH_EXIT_MMIO, .mmio = mmio };

		/* Behind its last handler a dispatch may call `removed`, and refuses nothing any more. */
		if (world.vcpus[frame.vcpu].busy && world.removing == 0)
			CHECK(gh_bus_dispatch(world.vcpus[frame.vcpu].vcpu, &crafted) == -EPERM);
		return;
	}
	if (mmio.gpa > UINT64_MAX - (mmio.width - 1)) {
		/* gh_vcpu_run() lets no such exit through. */
		const struct gh_exit crafted = { .kind = GH_EXIT_MMIO, .mmio = mmio };

		if (mmio.is_store == 0 || world.model.unmatched.policy == GH_BUS_UNMATCHED_FAIL)
			return;
		model_begin(&world.model, &mmio, &frame.access);
		frame.tracer = world.tracer;
		dispatch(&frame, &crafted);
		return;
	}
	frame.tracer = world.tracer;
	model_begin(&world.model, &mmio, &frame.access);
	dispatch(&frame, run(frame.vcpu, &mmio));
}

/* --- the program ---------------------------------------------------------------------------------------------------------- */

static void change_ability(void)
{
	world.model.can_abort = !world.model.can_abort;
	world.vm->b.caps.features ^= GH_FEATURE_MMIO_ABORT;
}

static void play_one(void)
{
	uint8_t op = take() % 32;

	if (world.ops++ > MOST_OPS)
		return;
	if (op < 12)
		make_access();
	else if (op < 20)
		add_range();
	else if (op < 24)
		remove_range();
	else if (op == 24)
		set_tracer();
	else if (op == 25)
		set_unmatched();
	else if (op == 26)
		change_ability();
	else if (op < 29)
		add_doorbell();
	else if (op == 29)
		remove_doorbell();
	else if (op == 30)
		model_check_dump(&world.model, world.vm, world.depth == 0);
	else if (world.depth == 0)
		model_check_counts(&world.model, world.vm);
}

/* In a callback. */
static void play_some(void)
{
	for (unsigned int n = take() % 4; n > 1; n--)
		play_one();
}

static void open_world(void)
{
	const struct gh_bus_unmatched_options unmatched = GH_BUS_UNMATCHED_OPTIONS_INIT;
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_memory memory = GH_MEMORY_INIT;

	CHECK(gh_fake_new(&world.fake) == 0);
	options.backend = "fake";
	options.fake = world.fake;
	CHECK(gh_vm_open(&options, &world.vm) == 0);
	memory.gpa = RAM_GPA;
	memory.length = RAM_SIZE;
	memory.flags = GH_MEMORY_RWX;
	CHECK(gh_vm_map(world.vm, &memory, NULL) == 0);
	for (uint32_t id = 0; id < VCPUS; id++)
		CHECK(gh_vcpu_create(world.vm, id, &world.vcpus[id].vcpu) == 0);
	CHECK(gh_vm_start(world.vm) == 0);
	for (unsigned int i = 0; i < EVENTFDS; i++) {
		world.model.fds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		CHECK(world.model.fds[i] >= 0);
	}
	world.model.unmatched = unmatched;
	world.model.can_abort = true;
	world.tracer = NOBODY;
}

static void close_world(void)
{
	world.closing = true;
	gh_vm_close(world.vm);
	for (unsigned int i = 0; i < MOST_RANGES; i++)
		CHECK(world.model.ranges[i].life == FREE);
	for (unsigned int i = 0; i < sizeof(world.tracers) / sizeof(world.tracers[0]); i++)
		CHECK(world.tracers[i].life == FREE);
	gh_fake_free(world.fake);
	for (unsigned int i = 0; i < EVENTFDS; i++)
		(void)close(world.model.fds[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	memset(&world, 0, sizeof(world));
	world.data = data;
	world.left = size;
	open_world();
	while (world.left > 0 && world.ops <= MOST_OPS)
		play_one();
	model_check_counts(&world.model, world.vm);
	model_check_dump(&world.model, world.vm, true);
	close_world();
	return 0;
}
