/* SPDX-License-Identifier: BSD-3-Clause */
/* What the parts of gh-bench-boot share. */
#ifndef TESTS_BENCH_BOOT_H
#define TESTS_BENCH_BOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gh_sim;
struct gh_vm;
struct gh_fdt;

#define BOOT_RAM UINT64_C(0x80000000)
#define BOOT_RAM_SIZE (UINT64_C(4) << 20)
#define BOOT_TREE (BOOT_RAM + BOOT_RAM_SIZE / 2)
#define BOOT_BLOB_MAX 65536u
/* The guest's first access. */
#define BOOT_STORE UINT64_C(0x3f8)

struct boot_kind {
	const char *device;
	bool is_gunyah;
};
extern const struct boot_kind boot_kinds[];
extern const size_t boot_kind_count;

struct gh_sim *boot_sim(const struct boot_kind *kind);
/* What a VMM without a library does, and no more; false if it does not reach the guest's first access. */
bool boot_bare(const struct boot_kind *kind, struct gh_sim *sim, const void *tree, size_t size, uint64_t *ret_ns);

#endif
