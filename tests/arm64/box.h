/* SPDX-License-Identifier: BSD-3-Clause */
/* A VM with the guest of guest.S in it, for the system tests. Everything here fails the test that calls it. */
#ifndef TESTS_ARM64_BOX_H
#define TESTS_ARM64_BOX_H

#include "guest.h"

#include <gh/gh.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BOX_BASE UINT64_C(0x80000000)
#define BOX_SIZE UINT64_C(0x400000)
#define BOX_TREE (BOX_BASE + BOX_SIZE / 2)
#define BOX_PROGRAM (BOX_BASE + GUEST_PROGRAM)
#define BOX_PROGRAM_SECOND (BOX_BASE + GUEST_PROGRAM_SECOND)
#define BOX_SCRATCH (BOX_BASE + GUEST_SCRATCH)

/* The line that every box has a doorbell for, edge-triggered, and another one that is level-triggered. */
#define BOX_LINE_EDGE 32u
#define BOX_LINE_LEVEL 33u
#define BOX_INTID(line) ((line) + 32u)

/* One instruction of the guest's program (guest.h). */
struct op {
	uint32_t op;
	uint32_t width;
	uint64_t a;
	uint64_t b;
	uint64_t c;
	uint64_t d;
};

#define OFF                                                                                                                \
	{                                                                                                                  \
		.op = OP_HVC, .a = PSCI_SYSTEM_OFF                                                                         \
	}
#define STORE(gpa, value, bytes)                                                                                           \
	{                                                                                                                  \
		.op = OP_STORE, .width = (bytes), .a = (gpa), .b = (value)                                                 \
	}
#define LOAD(gpa, bytes)                                                                                                   \
	{                                                                                                                  \
		.op = OP_LOAD, .width = (bytes), .a = (gpa)                                                                \
	}
#define STORE_ACC(gpa)                                                                                                     \
	{                                                                                                                  \
		.op = OP_STORE_ACC, .width = 8, .a = (gpa)                                                                 \
	}

struct box {
	struct gh_vm *vm;
	struct gh_vcpu *vcpus[2];
};

/* Devices that every case runs on: KVM, and simulated ones. */
extern const char *const box_devices[];
extern const int box_device_count;

/* An open VM with memory, a tree for `cpus` vCPUs, and the boot vCPU's program; not started. */
void box_open(struct box *box, const char *device, unsigned int cpus, const struct op *program, size_t count);
#define BOX_OPEN(box, device, cpus, program) box_open(box, device, cpus, program, sizeof(program) / sizeof((program)[0]))
/* Only an open VM. */
void box_open_empty(struct box *box, const char *device);
void box_put(struct box *box, uint64_t gpa, const void *bytes, size_t length);
void box_start(struct box *box);
void box_close(struct box *box);
bool box_has(const struct box *box, uint64_t feature);

/* The next exit, whatever it is, that the bus does not take. */
const struct gh_exit *box_run(struct box *box, unsigned int cpu);
/* The next exit, which must be this one. */
void box_expect_store(struct box *box, unsigned int cpu, uint64_t gpa, uint32_t width, uint64_t value);
void box_expect_load(struct box *box, unsigned int cpu, uint64_t gpa, uint32_t width, uint64_t answer);
void box_expect_stop(struct box *box, unsigned int cpu, uint32_t cause);
void box_expect_interruption(struct box *box, unsigned int cpu);

/* Calls gh_vcpu_kick() from another thread after that time; box_join() waits for it. */
void box_kick_later(struct box *box, unsigned int cpu, unsigned int milliseconds);
void box_join(void);

#endif
