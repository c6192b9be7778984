/* SPDX-License-Identifier: BSD-3-Clause */
#include "board.h"

#include "internal.h"

/* Nobody has a device there: the guest shows that it has gone on. */
#define BEYOND UINT64_C(0xfff0000000)

void board_begin(struct board *board, unsigned int vcpus)
{
	*board = (struct board){ .fake = new_fake() };
	board->vm = open_fake(board->fake);
	board->vcpus[0] = start_simply(board->vm);
	for (unsigned int i = 1; i < vcpus; i++)
		board->vcpus[i] = add_vcpu(board->vm, i);
}

void board_end(struct board *board)
{
	gh_vm_close(board->vm);
	gh_fake_free(board->fake);
}

static const struct gh_exit *board_run(struct board *board, unsigned int vcpu)
{
	const struct gh_exit *exit = NULL;

	EXPECT(gh_vcpu_run(board->vcpus[vcpu], &exit) == 0);
	return exit;
}

int board_store(struct board *board, unsigned int vcpu, uint64_t gpa, uint32_t width, uint64_t value)
{
	EXPECT(gh_fake_store(board->fake, vcpu, gpa, width, value) == 0);
	return gh_bus_dispatch(board->vcpus[vcpu], board_run(board, vcpu));
}

bool board_is_recent(const struct board *board, unsigned int vcpu, uint64_t gpa, bool is_store)
{
	const struct gh_bus_slot *slot = &board->vcpus[vcpu]->bus;

	for (unsigned int i = 0; i < GH_BUS_RECENTS; i++) {
		const struct gh_bus_recent *recent = &slot->recent[i];

		if (atomic_load(&recent->state) != GH_BUS_NOTHING && recent->gpa == gpa &&
		    (recent->is_store != 0) == is_store)
			return true;
	}
	return false;
}

uint64_t board_answer(struct board *board, unsigned int vcpu)
{
	uint64_t value = BOARD_ABORTED;
	const struct gh_exit *exit;

	EXPECT(gh_fake_store(board->fake, vcpu, BEYOND, 1, 0) == 0);
	exit = board_run(board, vcpu);
	EXPECT(exit->kind == GH_EXIT_MMIO);
	EXPECT(exit->mmio.gpa == BEYOND);
	if (gh_fake_answer(board->fake, vcpu, board->answers[vcpu], &value) == 0)
		board->answers[vcpu]++;
	return value;
}

int board_load(struct board *board, unsigned int vcpu, uint64_t gpa, uint32_t width, uint64_t *ret_value)
{
	const struct gh_exit *exit;
	int ret;

	EXPECT(gh_fake_load(board->fake, vcpu, gpa, width) == 0);
	exit = board_run(board, vcpu);
	EXPECT(exit->mmio.gpa == gpa);
	ret = gh_bus_dispatch(board->vcpus[vcpu], exit);
	if (ret == GH_BUS_DEFER)
		return ret;
	/* Nothing else has been done to it. */
	if (ret != GH_BUS_DONE)
		EXPECT(gh_mmio_complete(board->vcpus[vcpu], BOARD_LEFT) == 0);
	*ret_value = board_answer(board, vcpu);
	return ret;
}

int device_access(void *data, struct gh_bus_access *access)
{
	struct device *device = data;

	device->log[device->calls % 32] = *access;
	device->calls++;
	if (access->is_store == 0)
		access->value = device->answer;
	return device->fails == 0 || device->fails == device->calls ? device->verdict : GH_BUS_DONE;
}

void device_removed(void *data)
{
	struct device *device = data;

	device->removed++;
}

struct gh_bus_range_options device_options(struct device *device, const char *name, uint64_t gpa, uint64_t length)
{
	struct gh_bus_range_options options = GH_BUS_RANGE_OPTIONS_INIT;

	options.name = name;
	options.gpa = gpa;
	options.length = length;
	options.access = device_access;
	options.removed = device_removed;
	options.data = device;
	return options;
}

struct gh_bus_range *board_add(struct board *board, const struct gh_bus_range_options *options)
{
	struct gh_bus_range *range = NULL;

	ck_assert_int_eq(gh_bus_add(board->vm, options, &range), 0);
	ck_assert_ptr_nonnull(range);
	return range;
}

struct gh_bus_range *board_add_device(struct board *board, struct device *device, const char *name, uint64_t gpa,
				      uint64_t length)
{
	const struct gh_bus_range_options options = device_options(device, name, gpa, length);

	return board_add(board, &options);
}

struct gh_bus_range_counts board_range_counts(const struct gh_bus_range *range)
{
	struct gh_bus_range_counts counts = GH_BUS_RANGE_COUNTS_INIT;

	ck_assert_int_eq(gh_bus_range_counts(range, &counts), 0);
	return counts;
}

struct gh_bus_counts board_counts(const struct board *board)
{
	struct gh_bus_counts counts = GH_BUS_COUNTS_INIT;

	ck_assert_int_eq(gh_bus_counts(board->vm, &counts), 0);
	return counts;
}

void board_set_policy(struct board *board, uint32_t policy, uint64_t value)
{
	struct gh_bus_unmatched_options options = GH_BUS_UNMATCHED_OPTIONS_INIT;

	options.policy = policy;
	options.value = value;
	ck_assert_int_eq(gh_bus_set_unmatched(board->vm, &options), 0);
}
