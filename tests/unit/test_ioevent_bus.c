/* SPDX-License-Identifier: BSD-3-Clause */
/* Doorbells that a kernel cannot have: they ring all the same, from gh_bus_dispatch(), and none rings for another. */
#include "internal.h"
#include "table.h"
#include "uapi/gunyah.h"
#include "uapi/gzvm.h"
#include "util.h"

#include <gh/bus.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BELL UINT64_C(0x4000)
#define MARK UINT64_C(0x9000)
#define DATAMATCH GH_IOEVENT_DATAMATCH
#define EMULATE GH_IOEVENT_EMULATE

enum device { FAKE, GUNYAH_6_1, GENIEZONE_V9, DEVICES };

static const char *const devices[DEVICES] = { NULL, GUNYAH, GENIEZONE };

struct machine {
	enum device device;
	struct gh_fake *fake;
	struct gh_sim *sim;
	struct gh_vm *vm;
	struct gh_vcpu *vcpu;
};

static void begin(struct machine *machine, enum device device, const char *script)
{
	*machine = (struct machine){ .device = device };
	if (device == FAKE) {
		machine->fake = new_fake();
		machine->vm = open_fake(machine->fake);
	} else {
		machine->sim = new_sim(devices[device], script);
		machine->vm = open_sim(machine->sim);
	}
}

static void start(struct machine *machine)
{
	machine->vcpu = start_standard(machine->vm);
}

static void end(struct machine *machine)
{
	gh_vm_close(machine->vm);
	gh_fake_free(machine->fake);
	if (machine->sim != NULL)
		end_sim(machine->sim);
}

static int add(struct gh_vm *vm, uint64_t gpa, uint32_t width, uint32_t flags, uint64_t value,
	       struct gh_ioevent **ret_ioevent)
{
	struct gh_ioevent_options options = GH_IOEVENT_OPTIONS_INIT;
	int mark = 0;
	struct gh_ioevent *none = (struct gh_ioevent *)&mark;
	int ret;

	options.gpa = gpa;
	options.width = width;
	options.flags = flags;
	options.value = value;
	*ret_ioevent = none;
	ret = gh_ioevent_add(vm, &options, ret_ioevent);
	if (ret < 0) {
		ck_assert_ptr_eq(*ret_ioevent, none);
		ck_assert(failure_is(gh_vm_failure(vm), ret));
		*ret_ioevent = NULL;
	}
	return ret;
}

static struct gh_ioevent *must_add(struct gh_vm *vm, uint64_t gpa, uint32_t width, uint32_t flags, uint64_t value)
{
	struct gh_ioevent *ioevent = NULL;

	ck_assert_int_eq(add(vm, gpa, width, flags, value, &ioevent), 0);
	return ioevent;
}

/* The next exit that the bus does not take, which must be a store. */
static const struct gh_exit_mmio *next_store(struct gh_vcpu *vcpu)
{
	for (;;) {
		const struct gh_exit *exit = run_once(vcpu);
		int ret;

		if (exit->kind == GH_EXIT_INTERRUPTED)
			continue;
		ck_assert_uint_eq(exit->kind, GH_EXIT_MMIO);
		ck_assert_uint_eq(exit->mmio.is_store, 1);
		ret = gh_bus_dispatch(vcpu, exit);
		if (ret == GH_BUS_UNMATCHED)
			return &exit->mmio;
		ck_assert_int_eq(ret, GH_BUS_DONE);
	}
}

static uint64_t rung(const struct gh_ioevent *ioevent)
{
	return take_count(gh_ioevent_fd(ioevent));
}

/* --- which go where ------------------------------------------------------------------------------------------------- */

struct wish {
	uint64_t gpa;
	uint64_t value;
	uint32_t width;
	uint32_t flags;
	bool emulated[DEVICES]; /* when all of them are there */
};

static const struct wish wishes[][4] = {
	/* Two values at one address. */
	{ { BELL, 1, 4, DATAMATCH, { false, false, false } }, { BELL, 2, 4, DATAMATCH, { false, false, true } } },
	/* Two widths. */
	{ { BELL, 0, 4, 0, { false, true, false } }, { BELL, 0, 8, 0, { false, true, true } } },
	/* The one without a value would take the stores of the one with it, whichever comes first. */
	{ { BELL, 1, 4, DATAMATCH, { false, false, false } }, { BELL, 0, 8, 0, { false, true, true } } },
	{ { BELL, 0, 8, 0, { false, true, false } }, { BELL, 1, 4, DATAMATCH, { false, false, true } } },
	/* In each other's way on GenieZone only. */
	{ { BELL, 0, 4, 0, { false, false, false } },
	  { BELL + 2, 0, 1, 0, { false, false, true } },
	  { BELL - 4, 0, 8, 0, { false, false, true } },
	  { BELL + 4, 0, 8, 0, { false, false, false } } },
	/* Asked for. */
	{ { BELL, 1, 4, DATAMATCH | EMULATE, { true, true, true } },
	  { BELL, 2, 4, DATAMATCH, { false, false, false } },
	  { BELL + 8, 0, 0, EMULATE, { true, true, true } } },
};
#define WISHES (int)(sizeof(wishes) / sizeof(wishes[0]))

START_TEST(test_places)
{
	enum device device = (enum device)(_i % DEVICES);
	const struct wish *wish = wishes[_i / DEVICES];

	/* All before the start, all but one, ... none. */
	for (size_t early = 0; early <= 4; early++) {
		struct gh_ioevent *ioevents[4] = { NULL };
		struct machine machine;

		begin(&machine, device, "");
		for (size_t i = 0; i <= 4; i++) {
			if (i == early)
				start(&machine);
			if (i < 4 && (wish[i].width != 0 || wish[i].flags != 0))
				ioevents[i] =
					must_add(machine.vm, wish[i].gpa, wish[i].width, wish[i].flags, wish[i].value);
		}
		for (size_t i = 0; i < 4; i++)
			if (ioevents[i] != NULL)
				ck_assert_int_eq(gh_ioevent_is_emulated(ioevents[i]), wish[i].emulated[device]);
		end(&machine);
	}
	ck_assert_int_eq(gh_ioevent_is_emulated(NULL), 0);
}
END_TEST

/* --- against a model ------------------------------------------------------------------------------------------------ */

static const uint64_t addresses[] = { BELL, BELL + 2 };
static const uint32_t widths[] = { 2, 4 };
static const char stores[] = "store 0x4000 2 1; store 0x4000 2 2; store 0x4000 4 1; store 0x4000 4 2\n"
			     "store 0x4002 2 1; store 0x4002 2 2; store 0x4002 4 1; store 0x4002 4 2\n"
			     "store 0x9000 4 0; loop";

/* Every doorbell that there can be: two addresses, widths 0, 2 and 4, without a value, or 1 or 2. */
#define BELLS 14

struct model {
	struct machine machine;
	struct gh_ioevent *bells[BELLS];
	struct wish wishes[BELLS];
	uint64_t expected[BELLS];
	unsigned int exits;
};

static void wish_for_all(struct model *model)
{
	struct wish *wish = model->wishes;

	for (size_t at = 0; at < 2; at++) {
		*wish++ = (struct wish){ .gpa = addresses[at] };
		for (size_t width = 0; width < 2; width++) {
			*wish++ = (struct wish){ .gpa = addresses[at], .width = widths[width] };
			for (uint64_t value = 1; value <= 2; value++)
				*wish++ = (struct wish){ addresses[at], value, widths[width], DATAMATCH, { 0 } };
		}
	}
	ck_assert_ptr_eq(wish, model->wishes + BELLS);
}

static bool fits(const struct wish *wish, uint64_t gpa, uint32_t width, uint64_t value)
{
	return wish->gpa == gpa && (wish->width == 0 || wish->width == width) && (wish->flags == 0 || wish->value == value);
}

static bool share(const struct wish *a, const struct wish *b)
{
	return a->gpa == b->gpa && (a->width == 0 || b->width == 0 || a->width == b->width) &&
	       (a->flags == 0 || b->flags == 0 || a->value == b->value);
}

/* Whom the store rings; BELLS: nobody. */
static size_t find(const struct model *model, uint64_t gpa, uint32_t width, uint64_t value)
{
	for (size_t i = 0; i < BELLS; i++)
		if (model->bells[i] != NULL && fits(&model->wishes[i], gpa, width, value))
			return i;
	/* The documented liberty of Gunyah's kernel. */
	for (size_t i = 0; i < BELLS && model->machine.device == GUNYAH_6_1; i++)
		if (model->bells[i] != NULL && model->wishes[i].gpa == gpa && model->wishes[i].flags == 0 &&
		    gh_ioevent_is_emulated(model->bells[i]) == 0)
			return i;
	return BELLS;
}

static void expect(struct model *model)
{
	memset(model->expected, 0, sizeof(model->expected));
	model->exits = 0;
	for (unsigned int store = 0; store < 8; store++) {
		size_t bell = find(model, addresses[store / 4], widths[store / 2 % 2], store % 2 + 1);

		if (bell < BELLS)
			model->expected[bell]++;
		else
			model->exits++;
	}
}

static void queue_round(struct model *model)
{
	if (model->machine.device != FAKE)
		return;
	for (unsigned int store = 0; store < 8; store++)
		ck_assert_int_eq(
			gh_fake_store(model->machine.fake, 0, addresses[store / 4], widths[store / 2 % 2], store % 2 + 1),
			0);
	ck_assert_int_eq(gh_fake_store(model->machine.fake, 0, MARK, 4, 0), 0);
}

/* One round of the guest: each store rings whom it should, once, or is an exit. */
static void play(struct model *model)
{
	unsigned int exits = 0;

	queue_round(model);
	while (next_store(model->machine.vcpu)->gpa != MARK)
		exits++;
	expect(model);
	ck_assert_uint_eq(exits, model->exits);
	for (size_t i = 0; i < BELLS; i++)
		if (model->bells[i] != NULL)
			ck_assert_uint_eq(rung(model->bells[i]), model->expected[i]);
}

static void change(struct model *model, size_t bell, bool emulate)
{
	const struct wish *wish = &model->wishes[bell];
	bool refused = false;

	if (model->bells[bell] != NULL) {
		gh_ioevent_remove(model->bells[bell]);
		model->bells[bell] = NULL;
		return;
	}
	for (size_t i = 0; i < BELLS; i++)
		refused |= model->bells[i] != NULL && share(&model->wishes[i], wish);
	ck_assert_int_eq(add(model->machine.vm, wish->gpa, wish->width, wish->flags | (emulate ? (uint32_t)EMULATE : 0),
			     wish->value, &model->bells[bell]),
			 refused ? -EEXIST : 0);
}

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 16;
}

START_TEST(test_model)
{
	uint32_t random = (uint32_t)_i + 1;
	struct model model = { 0 };

	wish_for_all(&model);
	begin(&model.machine, (enum device)(_i % DEVICES), stores);
	for (int step = 0; step < 60; step++) {
		if (step == 4)
			start(&model.machine);
		change(&model, next_random(&random) % BELLS, next_random(&random) % 8 == 0);
		if (step >= 4)
			play(&model);
	}
	end(&model.machine);
}
END_TEST

/* --- kernels that refuse ---------------------------------------------------------------------------------------------- */

static int refusal;
static int fd_of_refused;

/* Adding doorbells fails; what the table is asked for otherwise is none of this one's business. */
static int refuse(unsigned long request, uintptr_t arg)
{
	const struct uapi_gunyah_fn *fn = (const struct uapi_gunyah_fn *)arg;

	if (request == UAPI_GUNYAH_ADD_FUNCTION && arg != 0 && fn->type == UAPI_GUNYAH_FN_IOEVENTFD) {
		fd_of_refused = ((const struct uapi_gunyah_fn_ioeventfd *)(uintptr_t)fn->arg)->fd;
		return refusal;
	}
	return request == UAPI_GZVM_IOEVENTFD && arg != 0 ? refusal : 0;
}

static const int refusals[] = { -EINVAL, -EEXIST, -ENOSPC, -E2BIG, -ENOENT, -ENOTTY, -ENOSYS, -EOPNOTSUPP };
static const int errors[] = { -EIO, -ENOMEM, -EPERM, -EINTR, -EFAULT };
#define COUNT(array) (int)(sizeof(array) / sizeof((array)[0]))

START_TEST(test_refused_by_kernel)
{
	static const char script[] = "store 0x4000 4 7; store 0x4000 4 8; store 0x9000 4 0; loop";
	enum device device = _i % 2 == 0 ? GUNYAH_6_1 : GENIEZONE_V9;
	bool early = _i / 2 % 2 == 0;
	struct gh_ioevent *ioevent = NULL;
	struct machine machine;

	refusal = refusals[_i / 4];
	begin(&machine, device, script);
	if (early)
		ioevent = must_add(machine.vm, BELL, 4, DATAMATCH, 7);
	table_on_ioctl = refuse;
	start(&machine);
	if (!early)
		ioevent = must_add(machine.vm, BELL, 4, DATAMATCH, 7);
	table_on_ioctl = NULL;
	ck_assert_int_eq(gh_ioevent_is_emulated(ioevent), 1);
	for (int i = 0; i < 3; i++) {
		ck_assert_uint_eq(next_store(machine.vcpu)->value, 8);
		ck_assert_uint_eq(next_store(machine.vcpu)->gpa, MARK);
		ck_assert_uint_eq(rung(ioevent), 1);
	}
	gh_ioevent_remove(ioevent);
	ck_assert_uint_eq(next_store(machine.vcpu)->value, 7);
	end(&machine);
}
END_TEST

/* What is no refusal of this doorbell is the caller's to know. */
START_TEST(test_kernel_fails)
{
	enum device device = _i % 2 == 0 ? GUNYAH_6_1 : GENIEZONE_V9;
	struct gh_ioevent *ioevent = NULL;
	struct machine machine;

	refusal = errors[_i / 2];
	begin(&machine, device, "");
	start(&machine);
	table_on_ioctl = refuse;
	ck_assert_int_eq(add(machine.vm, BELL, 4, DATAMATCH, 7, &ioevent), refusal);
	table_on_ioctl = NULL;
	ck_assert_int_eq(add(machine.vm, BELL, 4, DATAMATCH, 7, &ioevent), 0);
	ck_assert_int_eq(gh_ioevent_is_emulated(ioevent), 0);
	end(&machine);
}
END_TEST

/* A kernel without doorbells at all. */
START_TEST(test_no_doorbells)
{
	struct gh_ioevent *ioevent;
	struct machine machine;

	begin(&machine, FAKE, NULL);
	machine.vm->b.caps.features &= ~(uint64_t)GH_FEATURE_IOEVENTFD;
	ioevent = must_add(machine.vm, BELL, 4, 0, 0);
	ck_assert_int_eq(gh_ioevent_is_emulated(ioevent), 1);
	start(&machine);
	ck_assert_int_eq(gh_fake_store(machine.fake, 0, BELL, 4, 1), 0);
	ck_assert_int_eq(gh_fake_store(machine.fake, 0, MARK, 4, 0), 0);
	ck_assert_uint_eq(next_store(machine.vcpu)->gpa, MARK);
	ck_assert_uint_eq(rung(ioevent), 1);
	end(&machine);
}
END_TEST

/* An eventfd that cannot count any further rings nobody, and stops nobody. */
START_TEST(test_full_counter)
{
	static const char script[] = "store 0x4000 4 7; store 0x9000 4 0; loop";
	struct gh_ioevent *ioevent;
	struct machine machine;

	begin(&machine, GUNYAH_6_1, script);
	ioevent = must_add(machine.vm, BELL, 4, _i == 0 ? (uint32_t)EMULATE : 0, 0);
	start(&machine);
	ck_assert_int_eq(eventfd_write(gh_ioevent_fd(ioevent), UINT64_MAX - 1), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(next_store(machine.vcpu)->gpa, MARK);
	ck_assert_uint_eq(rung(ioevent), UINT64_MAX - 1);
	ck_assert_uint_eq(next_store(machine.vcpu)->gpa, MARK);
	ck_assert_uint_eq(rung(ioevent), 1);
	end(&machine);
}
END_TEST

/* --- the instants in between ------------------------------------------------------------------------------------------ */

static struct runner in_the_gap;
static struct gh_vcpu *gap_vcpu;

/* Gunyah has removed both doorbells of the address, and is about to get the other one again: the guest stores. */
static int run_in_the_gap(unsigned long request, uintptr_t arg)
{
	const struct uapi_gunyah_fn *fn = (const struct uapi_gunyah_fn *)arg;

	if (request != UAPI_GUNYAH_ADD_FUNCTION || fn->type != UAPI_GUNYAH_FN_IOEVENTFD || gap_vcpu == NULL)
		return 0;
	runner_begin(&in_the_gap, gap_vcpu);
	gap_vcpu = NULL;
	for (int i = 0; i < 50 && !atomic_load(&in_the_gap.done); i++)
		pause_ms(1);
	return 0;
}

START_TEST(test_nothing_is_lost_in_the_gap)
{
	static const char script[] = "store 0x4000 4 2; store 0x9000 4 1; off";
	struct gh_ioevent *removed;
	struct gh_ioevent *kept;
	struct machine machine;

	begin(&machine, GUNYAH_6_1, script);
	removed = must_add(machine.vm, BELL, 4, DATAMATCH, 1);
	kept = must_add(machine.vm, BELL, 4, DATAMATCH, 2);
	start(&machine);
	gap_vcpu = machine.vcpu;
	table_on_ioctl = run_in_the_gap;
	gh_ioevent_remove(removed);
	table_on_ioctl = NULL;
	ck_assert_ptr_null(gap_vcpu);
	ck_assert(runner_returns(&in_the_gap));
	runner_end(&in_the_gap);
	/* The store that came through rang, and the next one was the first exit. */
	ck_assert_int_eq(in_the_gap.ret, 0);
	ck_assert_uint_eq(in_the_gap.value, 1);
	ck_assert_uint_eq(rung(kept), 1);
	end(&machine);
}
END_TEST

/* The kernel does not take it back: the bus rings it from then on. */
START_TEST(test_not_taken_back)
{
	static const char script[] = "store 0x4000 4 2; store 0x9000 4 0; loop";
	struct gh_ioevent *removed;
	struct gh_ioevent *kept;
	struct machine machine;

	refusal = _i == 0 ? -ENOMEM : -ENOSPC;
	begin(&machine, GUNYAH_6_1, script);
	removed = must_add(machine.vm, BELL, 4, DATAMATCH, 1);
	kept = must_add(machine.vm, BELL, 4, DATAMATCH, 2);
	start(&machine);
	ck_assert_uint_eq(next_store(machine.vcpu)->gpa, MARK);
	ck_assert_uint_eq(rung(kept), 1);
	fd_of_refused = -1;
	table_on_ioctl = refuse;
	gh_ioevent_remove(removed);
	table_on_ioctl = NULL;
	ck_assert_int_eq(fd_of_refused, gh_ioevent_fd(kept));
	ck_assert_int_eq(gh_ioevent_is_emulated(kept), 1);
	for (int i = 0; i < 3; i++) {
		ck_assert_uint_eq(next_store(machine.vcpu)->gpa, MARK);
		ck_assert_uint_eq(rung(kept), 1);
	}
	end(&machine);
}
END_TEST

static struct gh_vm *late_vm;
static struct gh_ioevent *late;

static void add_late(int ret)
{
	if (ret == -EINTR && late_vm != NULL) {
		late = must_add(late_vm, BELL, 4, 0, 0);
		late_vm = NULL;
	}
}

static void on_signal(int signal)
{
	(void)signal;
}

/*
 * GenieZone reports EINTR and leaves the store in the buffer, whether a doorbell has taken it or not. One that came after the
 * store cannot have: it is rung, and the store not forgotten. One that was there has been rung, and is not again. One that the kernel has never had is the bus's,
 * whatever the kernel has beside it.
 */
START_TEST(test_interrupted_store)
{
	static const char script[] = "signal 10; store 0x4000 4 2; store 0x9000 4 0; loop";
	struct sigaction action = { .sa_handler = on_signal };
	struct machine machine;
	struct sigaction old;

	ck_assert_int_eq(sigaction(SIGUSR1, &action, &old), 0);
	begin(&machine, GENIEZONE_V9, script);
	if (_i == 1)
		late = must_add(machine.vm, BELL, 4, 0, 0);
	if (_i == 2) {
		(void)must_add(machine.vm, BELL - 16, 4, 0, 0);
		(void)must_add(machine.vm, BELL + 16, 4, 0, 0);
		late = must_add(machine.vm, BELL, 4, EMULATE, 0);
	}
	late_vm = _i == 0 ? machine.vm : NULL;
	start(&machine);
	table_after_enter = add_late;
	for (int i = 0; i < 3; i++) {
		ck_assert_uint_eq(next_store(machine.vcpu)->gpa, MARK);
		ck_assert_ptr_null(late_vm);
		ck_assert_uint_eq(rung(late), 1);
	}
	table_after_enter = NULL;
	end(&machine);
	ck_assert_int_eq(sigaction(SIGUSR1, &old, NULL), 0);
}
END_TEST

/* Whoever holds the VM's lock for long keeps no vCPU from storing elsewhere, and none that has a doorbell from ringing it. */
START_TEST(test_no_lock)
{
	static const char script[] = "store 0x3ff8 4 1; store 0x4001 4 1; store 0x4000 4 7; store 0x9000 4 0; loop";
	struct gh_ioevent *ioevent;
	struct machine machine;
	bool returned = true;

	begin(&machine, GUNYAH_6_1, script);
	ioevent = must_add(machine.vm, BELL, 4, DATAMATCH, 7);
	start(&machine);
	(void)pthread_mutex_lock(&machine.vm->lock);
	for (int i = 0; i < 3 && returned; i++) {
		static const uint64_t expected[] = { 0x3ff8, 0x4001, 0x9000 };
		struct runner runner;

		runner_begin(&runner, machine.vcpu);
		returned = runner_returns(&runner);
		if (!returned)
			(void)pthread_mutex_unlock(&machine.vm->lock);
		runner_end(&runner);
		ck_assert(returned);
		ck_assert_uint_eq(machine.vcpu->b.exit.mmio.gpa, expected[i]);
	}
	(void)pthread_mutex_unlock(&machine.vm->lock);
	ck_assert_uint_eq(rung(ioevent), 1);
	end(&machine);
}
END_TEST

/* --- what is with the kernel, and what is not ---------------------------------------------------------------------- */

#define NEIGHBOURS 5

/* Whatever is with the kernel around it, and byte by byte. */
START_TEST(test_neighbours)
{
	static const char script[] =
		"store 0x4000 4 1; store 0x4010 4 1; store 0x4020 4 1; store 0x4030 1 1; store 0x4031 1 1;"
		"store 0x9000 4 0";
	struct gh_ioevent *bells[NEIGHBOURS];
	struct machine machine;

	begin(&machine, (enum device)_i, script);
	for (uint64_t i = 0; i < NEIGHBOURS; i++)
		bells[i] =
			must_add(machine.vm, i < 4 ? BELL + 16 * i : BELL + 0x31, i < 3 ? 4 : 1, i == 1 ? EMULATE : 0, 0);
	ck_assert_int_eq(gh_ioevent_is_emulated(bells[1]), 1);
	for (uint64_t i = 0; machine.fake != NULL && i < NEIGHBOURS; i++)
		ck_assert_int_eq(gh_fake_store(machine.fake, 0, i < 4 ? BELL + 16 * i : BELL + 0x31, i < 3 ? 4 : 1, 1), 0);
	if (machine.fake != NULL)
		ck_assert_int_eq(gh_fake_store(machine.fake, 0, MARK, 4, 0), 0);
	start(&machine);
	ck_assert_uint_eq(next_store(machine.vcpu)->gpa, MARK);
	for (unsigned int i = 0; i < NEIGHBOURS; i++)
		ck_assert_uint_eq(rung(bells[i]), 1);
	end(&machine);
}
END_TEST

static unsigned int removals;

static int refuse_first_removal(unsigned long request, uintptr_t arg)
{
	const struct uapi_gzvm_ioeventfd *bell = (const void *)arg;

	if (request != UAPI_GZVM_IOEVENTFD || bell == NULL || (bell->flags & UAPI_GZVM_IOEVENTFD_DEASSIGN) == 0)
		return 0;
	return removals++ == 0 ? -EBUSY : 0;
}

/* GenieZone's kernel loses for ever what is with it when its VM goes. */
START_TEST(test_removed_at_second_try)
{
	struct gh_ioevent *bell;
	struct machine machine;

	begin(&machine, GENIEZONE_V9, "off");
	bell = must_add(machine.vm, BELL, 4, 0, 0);
	start(&machine);
	removals = 0;
	table_on_ioctl = refuse_first_removal;
	if (_i == 0) {
		gh_ioevent_remove(bell);
		ck_assert_uint_eq(removals, 2);
	}
	end(&machine);
	table_on_ioctl = NULL;
	ck_assert_uint_eq(removals, 2);
}
END_TEST

static int have_it_still(unsigned long request, uintptr_t arg)
{
	const struct uapi_gunyah_fn *fn = (const void *)arg;

	return request == UAPI_GUNYAH_ADD_FUNCTION && fn != NULL && fn->type == UAPI_GUNYAH_FN_IOEVENTFD ? -EEXIST : 0;
}

/* Kernels that remove exactly say so when they are to have the others again. */
START_TEST(test_exact_kernel)
{
	struct gh_ioevent *bells[2];
	struct machine machine;

	begin(&machine, GUNYAH_6_1, "off");
	for (uint64_t i = 0; i < 2; i++)
		bells[i] = must_add(machine.vm, BELL, 4, DATAMATCH, i);
	start(&machine);
	table_on_ioctl = have_it_still;
	gh_ioevent_remove(bells[0]);
	table_on_ioctl = NULL;
	ck_assert_int_eq(gh_ioevent_is_emulated(bells[1]), 0);
	end(&machine);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ioevent and bus");
	TCase *tcase = add_case(suite, "emulated");

	tcase_add_loop_test(tcase, test_places, 0, WISHES * DEVICES);
	tcase_add_loop_test(tcase, test_model, 0, 8 * DEVICES);
	tcase_add_loop_test(tcase, test_refused_by_kernel, 0, 4 * COUNT(refusals));
	tcase_add_loop_test(tcase, test_kernel_fails, 0, 2 * COUNT(errors));
	tcase_add_test(tcase, test_no_doorbells);
	tcase_add_loop_test(tcase, test_full_counter, 0, 2);
	tcase_add_test(tcase, test_nothing_is_lost_in_the_gap);
	tcase_add_loop_test(tcase, test_not_taken_back, 0, 2);
	tcase_add_loop_test(tcase, test_interrupted_store, 0, 3);
	tcase_add_test(tcase, test_no_lock);
	tcase_add_loop_test(tcase, test_neighbours, 0, DEVICES);
	tcase_add_loop_test(tcase, test_removed_at_second_try, 0, 2);
	tcase_add_test(tcase, test_exact_kernel);
	return run_suite(suite);
}
