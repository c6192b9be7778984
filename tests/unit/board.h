/* SPDX-License-Identifier: BSD-3-Clause */
/* A VM of the fake hypervisor with devices on its bus, and a guest that accesses them. */
#ifndef TESTS_UNIT_BOARD_H
#define TESTS_UNIT_BOARD_H

#include "util.h"

#include <gh/bus.h>

#define BOARD_VCPUS 4u

/* ck_assert() makes a system call for each success, which is too dear in the innermost loops. */
#define EXPECT(condition)                                                                                                  \
	do {                                                                                                               \
		if (!(condition))                                                                                          \
			ck_abort_msg("%s", #condition);                                                                    \
	} while (0)

struct board {
	struct gh_fake *fake;
	struct gh_vm *vm;
	struct gh_vcpu *vcpus[BOARD_VCPUS];
	uint32_t answers[BOARD_VCPUS]; /* so far */
};

void board_begin(struct board *board, unsigned int vcpus);
void board_end(struct board *board);

/* The guest makes an access, and it is dispatched; what that returned. */
int board_store(struct board *board, unsigned int vcpu, uint64_t gpa, uint32_t width, uint64_t value);
/*
 * A load that waits for its answer still, and has not been deferred, gets BOARD_LEFT. The value is what the guest reads, or
 * BOARD_ABORTED; a deferred load has none yet.
 */
int board_load(struct board *board, unsigned int vcpu, uint64_t gpa, uint32_t width, uint64_t *ret_value);
#define BOARD_LEFT UINT64_C(0x1ef71ef71ef71ef7)
#define BOARD_ABORTED UINT64_C(0xabab0000cdcd0000)
/* Would the same access be dispatched without a look-up? */
bool board_is_recent(const struct board *board, unsigned int vcpu, uint64_t gpa, bool is_store);
/* The guest goes on after a load that has been answered. */
uint64_t board_answer(struct board *board, unsigned int vcpu);

/* A device that notes what it is asked, and answers as it is told. */
struct device {
	struct gh_bus_access log[32];
	unsigned int calls;
	uint64_t answer;    /* of loads */
	int verdict;        /* of each call */
	unsigned int fails; /* the call that gets the verdict, counted from 1; 0: each */
	unsigned int removed;
};
/* One that outlives the test function, because the VM does: it is closed by the fixture. Its fields as they begin. */
#define DEVICE(name, ...)                                                                                                  \
	static struct device name;                                                                                         \
	name = (struct device)                                                                                             \
	{                                                                                                                  \
		__VA_ARGS__                                                                                                \
	}
int device_access(void *data, struct gh_bus_access *access);
void device_removed(void *data);

struct gh_bus_range_options device_options(struct device *device, const char *name, uint64_t gpa, uint64_t length);
struct gh_bus_range *board_add(struct board *board, const struct gh_bus_range_options *options);
struct gh_bus_range *board_add_device(struct board *board, struct device *device, const char *name, uint64_t gpa,
				      uint64_t length);
struct gh_bus_range_counts board_range_counts(const struct gh_bus_range *range);
struct gh_bus_counts board_counts(const struct board *board);
void board_set_policy(struct board *board, uint32_t policy, uint64_t value);

#endif
