/* SPDX-License-Identifier: BSD-3-Clause */
/* Tests that run on a device, real or simulated: one static program, one line per case. */
#ifndef TESTS_HW_HW_H
#define TESTS_HW_HW_H

#include <gh/gh.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HW_BASE UINT64_C(0x80000000)
#define HW_SIZE (UINT64_C(4) << 20)
#define HW_TREE (HW_BASE + (UINT64_C(2) << 20))
#define HW_LINE 5u

struct hw {
	const char *device; /* NULL: what the library chooses */
	const char *backend;
	bool lend;
	uint64_t features;
	unsigned int passed;
	unsigned int failed;
	unsigned int skipped;
};

/* Prints "name: result" and counts it; `expected` NULL: any result will do. */
void hw_result(struct hw *hw, const char *name, const char *expected, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* The same for an error code, by its name. */
void hw_error(struct hw *hw, const char *name, int expected, int error);
void hw_skip(struct hw *hw, const char *name, const char *why);

int hw_open(struct hw *hw, struct gh_vm **ret_vm, struct gh_failure *failure);
/* A VM with memory, a devicetree, `cpus` vCPUs and the guest's code, not started; NULL after a failure, which is counted. */
struct gh_vm *hw_prepare(struct hw *hw, const char *name, const uint8_t *code, const uint8_t *end, unsigned int cpus,
			 struct gh_vcpu **ret_vcpus);

void hw_test_arguments(struct hw *hw);
void hw_test_guests(struct hw *hw);

#endif
