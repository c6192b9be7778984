/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory that is taken away again, and memory that is too long for one region of the kernel. */
#include "table.h"
#include "util.h"

#include "../../lib/internal.h"
#include "../../lib/uapi/gunyah.h"
#include "../../lib/uapi/gzvm.h"

#include <gh/fdt.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define REGIONS 16
#define SCRIPT "poke 0x80000100 8 0x11; poke 0x80500100 8 0x22; peek 0x80500100 8; expect 0x22; off"

struct kind {
	const char *device; /* NULL: the fake */
	bool unmaps;        /* the kernel takes memory back */
};

static const struct kind kinds[] = { { NULL, true }, { GUNYAH, false }, { GENIEZONE, false } };
#define KINDS (int)(sizeof(kinds) / sizeof(kinds[0]))

static struct gh_sim *sim;
static struct gh_fake *fake;
static struct gh_vm *vm;

/* What the kernel was asked to map, in the VM that it has last. */
static struct {
	uint32_t number; /* label or slot */
	uint64_t gpa;
	uint64_t length;
	uintptr_t host;
} asked[REGIONS];
static unsigned int n_asked;
static unsigned int refuse_at; /* the request with this number, from 1; 0: none */
static int refuse_error;
static unsigned int vms; /* made */
static int refuse_vm;

static int on_ioctl(unsigned long request, uintptr_t arg)
{
	const struct uapi_gunyah_region *gunyah = (const void *)arg;
	const struct uapi_gzvm_region *gzvm = (const void *)arg;

	if (request == UAPI_GUNYAH_CREATE_VM || request == UAPI_GZVM_CREATE_VM) {
		n_asked = 0;
		vms++;
		return refuse_vm;
	}
	if (request == UAPI_GUNYAH_SET_USER_MEM || request == UAPI_GUNYAH_LEND_USER_MEM) {
		asked[n_asked].number = gunyah->label;
		asked[n_asked].gpa = gunyah->gpa;
		asked[n_asked].length = gunyah->size;
		asked[n_asked].host = (uintptr_t)gunyah->host;
	} else if (request == UAPI_GZVM_SET_USER_MEM) {
		asked[n_asked].number = gzvm->slot;
		asked[n_asked].gpa = gzvm->gpa;
		asked[n_asked].length = gzvm->size;
		asked[n_asked].host = (uintptr_t)gzvm->host;
	} else {
		return 0;
	}
	ck_assert_uint_lt(++n_asked, REGIONS);
	return n_asked == refuse_at ? refuse_error : 0;
}

static void open_kind(const struct kind *kind)
{
	if (kind->device == NULL) {
		fake = new_fake();
		vm = open_fake(fake);
	} else {
		sim = new_sim(kind->device, SCRIPT);
		vm = open_sim(sim);
	}
	refuse_at = 0;
	refuse_vm = 0;
	n_asked = 0;
	table_on_ioctl = on_ioctl;
}

static void close_kind(void)
{
	gh_vm_close(vm);
	table_on_ioctl = NULL;
	if (sim != NULL)
		end_sim(sim);
	gh_fake_free(fake);
	sim = NULL;
	fake = NULL;
	ck_assert_uint_eq(table_mappings(), 0);
}

static int map(uint64_t gpa, uint64_t length, uint32_t flags, uint32_t *ret_id)
{
	struct gh_memory memory = GH_MEMORY_INIT;

	memory.gpa = gpa;
	memory.length = length;
	memory.flags = flags;
	return gh_vm_map(vm, &memory, ret_id);
}

static uint32_t map_well(uint64_t gpa, uint64_t length)
{
	uint32_t id = UINT32_MAX;
	int ret = map(gpa, length, GH_MEMORY_RWX, &id);

	ck_assert_msg(ret == 0, "map: %d (%s)", ret, gh_vm_failure(vm)->cause);
	return id;
}

static void expect_region(uint32_t id, uint64_t gpa, uint64_t length, uint32_t state)
{
	struct gh_region_info info = GH_REGION_INFO_INIT;

	ck_assert_int_eq(gh_vm_region(vm, id, &info), 0);
	ck_assert_uint_eq(info.gpa, gpa);
	ck_assert_uint_eq(info.length, length);
	ck_assert_uint_eq(info.state, state);
}

static void expect_no_region(uint32_t id)
{
	struct gh_region_info info = GH_REGION_INFO_INIT;

	ck_assert_int_eq(gh_vm_region(vm, id, &info), -ENOENT);
}

/* With a tree that has a vdevice for each region, and vCPU 0. */
static int start(void)
{
	struct gh_fdt_options options = GH_FDT_OPTIONS_INIT;
	struct gh_fdt *fdt = NULL;

	if (vm->vcpus == NULL)
		(void)add_vcpu(vm, 0);
	ck_assert_int_eq(gh_fdt_open(vm, &options, &fdt), 0);
	ck_assert_int_eq(gh_fdt_finish(fdt, RAM_GPA, MIB), 0);
	gh_fdt_close(fdt);
	return gh_vm_start(vm);
}

static void run_to_the_end(void)
{
	const struct gh_exit *exit = run_once(vm->vcpus);

	ck_assert_uint_eq(exit->kind, GH_EXIT_STOPPED);
	ck_assert_uint_eq(exit->stop.cause, GH_STOP_POWER_OFF);
}

/* --- unmap before the start ------------------------------------------------------------------------------------------- */

START_TEST(test_unmap)
{
	void *host = NULL;

	open_kind(&kinds[_i]);
	for (uint32_t i = 0; i < 3; i++)
		ck_assert_uint_eq(map_well(RAM_GPA + 2 * i * MIB, 2 * MIB), i);
	/* Labels and slots count from 0. */
	for (uint32_t i = 0; i < n_asked; i++)
		ck_assert_uint_eq(asked[i].number, i);
	ck_assert_int_eq(gh_vm_pointer(vm, RAM_GPA + 4 * MIB, 8, &host), 0);
	*(uint64_t *)host = 77;
	ck_assert_int_eq(gh_vm_unmap(vm, 1), 0);
	expect_region(0, RAM_GPA, 2 * MIB, GH_MEMORY_OWNED);
	expect_no_region(1);
	expect_region(2, RAM_GPA + 4 * MIB, 2 * MIB, GH_MEMORY_OWNED);
	ck_assert_int_eq(gh_vm_pointer(vm, RAM_GPA + 2 * MIB, 1, &host), -EFAULT);
	/* The others are where they were, with what is in them. */
	ck_assert_int_eq(gh_vm_pointer(vm, RAM_GPA + 4 * MIB, 8, &host), 0);
	ck_assert_uint_eq(*(uint64_t *)host, 77);
	ck_assert_int_eq(gh_vm_unmap(vm, 1), -ENOENT);
	ck_assert(failure_is(gh_vm_failure(vm), -ENOENT));
	/* The kernel of a simulated device has a new VM with the two. */
	ck_assert_uint_eq(n_asked, kinds[_i].device != NULL ? 2 : 0);
	if (kinds[_i].device != NULL) {
		ck_assert_uint_eq(asked[1].gpa, RAM_GPA + 4 * MIB);
		ck_assert_uint_eq(asked[1].host, (uintptr_t)host);
		/* GenieZone: without gaps; Gunyah: the id. */
		ck_assert_uint_eq(asked[1].number, kinds[_i].device == kinds[1].device ? 2 : 1);
	}
	/* The id is free, and the place. */
	ck_assert_uint_eq(map_well(RAM_GPA + 2 * MIB, 4096 * 512), 1);
	ck_assert_uint_eq(map_well(RAM_GPA + 8 * MIB, 2 * MIB), 3);
	ck_assert_int_eq(start(), 0);
	if (kinds[_i].device != NULL)
		run_to_the_end();
	close_kind();
}
END_TEST

START_TEST(test_unmap_all)
{
	open_kind(&kinds[_i]);
	for (int round = 0; round < 20; round++) {
		uint32_t id = map_well(RAM_GPA, 8 * MIB);

		ck_assert_uint_eq(id, 0);
		ck_assert_int_eq(gh_vm_unmap(vm, id), 0);
	}
	ck_assert_int_eq(gh_vm_start(vm), -EINVAL);
	(void)map_well(RAM_GPA, 8 * MIB);
	ck_assert_int_eq(start(), 0);
	if (kinds[_i].device != NULL)
		run_to_the_end();
	close_kind();
}
END_TEST

START_TEST(test_callers_mapping)
{
	char *outer = mmap(NULL, 4 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct gh_memory memory = GH_MEMORY_INIT;
	char *own = outer + MIB;
	uint32_t id = 0;

	ck_assert_ptr_ne(outer, MAP_FAILED);
	ck_assert_int_eq(mprotect(own, 2 * MIB, PROT_READ | PROT_WRITE), 0);
	open_kind(&kinds[_i]);
	memory.gpa = RAM_GPA;
	memory.length = 2 * MIB;
	memory.host = own;
	ck_assert_int_eq(gh_vm_map(vm, &memory, &id), 0);
	ck_assert_int_eq(gh_vm_unmap(vm, id), 0);
	memset(own, 1, 2 * MIB);
	close_kind();
	ck_assert_int_eq(munmap(outer, 4 * MIB), 0);
}
END_TEST

/* --- unmap after the start -------------------------------------------------------------------------------------------- */

START_TEST(test_unmap_started)
{
	open_kind(&kinds[_i]);
	(void)map_well(RAM_GPA, 2 * MIB);
	(void)map_well(RAM_GPA + 4 * MIB, 2 * MIB);
	ck_assert_int_eq(start(), 0);
	ck_assert_int_eq(gh_vm_unmap(vm, 7), -ENOENT);
	if (kinds[_i].unmaps) {
		ck_assert_int_eq(gh_vm_unmap(vm, 1), 0);
		expect_no_region(1);
	} else {
		ck_assert_int_eq(gh_vm_unmap(vm, 1), -EOPNOTSUPP);
		ck_assert(failure_is(gh_vm_failure(vm), -EOPNOTSUPP));
		ck_assert_ptr_nonnull(strstr(gh_vm_failure(vm)->remedy, "gh_vm_reset"));
		expect_region(1, RAM_GPA + 4 * MIB, 2 * MIB, GH_MEMORY_SHARED);
		run_to_the_end();
		/* As it says. */
		ck_assert_int_eq(gh_vm_reset(vm), 0);
		ck_assert_int_eq(gh_vm_unmap(vm, 1), 0);
		expect_no_region(1);
	}
	ck_assert_int_eq(gh_vm_unmap(NULL, 0), -EINVAL);
	close_kind();
}
END_TEST

/* --- what a kernel refuses -------------------------------------------------------------------------------------------- */

/* The kernel has no new VM, or not for the memory: a reset gets over it. */
START_TEST(test_unmap_refused)
{
	const struct kind *kind = &kinds[1 + _i % 2];

	open_kind(kind);
	for (uint32_t i = 0; i < 3; i++)
		(void)map_well(RAM_GPA + 4 * i * MIB, 4 * MIB);
	refuse_vm = _i < 2 ? -EMFILE : 0;
	refuse_at = _i < 2 ? 0 : 2;
	refuse_error = -EIO;
	ck_assert_int_eq(gh_vm_unmap(vm, 0), _i < 2 ? -EMFILE : -EIO);
	ck_assert(failure_is(gh_vm_failure(vm), _i < 2 ? -EMFILE : -EIO));
	expect_no_region(0);
	/* Nothing but closing and a reset, which may fail again. */
	ck_assert_int_eq(gh_vm_unmap(vm, 1), -EBUSY);
	ck_assert_int_eq(gh_vm_start(vm), -EBUSY);
	ck_assert_int_eq(gh_vm_reset(vm), _i < 2 ? -EMFILE : -EIO);
	refuse_vm = 0;
	refuse_at = 0;
	ck_assert_int_eq(gh_vm_reset(vm), 0);
	ck_assert_uint_eq(map_well(RAM_GPA, 4 * MIB), 0);
	ck_assert_int_eq(start(), 0);
	run_to_the_end();
	close_kind();
}
END_TEST

/* --- parts ------------------------------------------------------------------------------------------------------------ */

/* As if the kernel took two MiB at once. */
static void open_in_parts(void)
{
	open_kind(&kinds[1]);
	/* What the driver can: 4 MiB of pointers to pages. */
	ck_assert_uint_eq(vm->b.caps.region_limit, UINT64_C(2) << 30);
	ck_assert_uint_eq(vm->b.caps.region_piece, UINT64_C(256) << 20);
	vm->b.caps.region_limit = 3 * MIB;
	vm->b.caps.region_piece = 2 * MIB;
}

START_TEST(test_parts)
{
	static const uint32_t labels[] = { 0, 255, 254, 253, 1 };
	void *host = NULL;
	void *place = NULL;
	uint64_t word = 0;

	open_in_parts();
	ck_assert_uint_eq(map_well(RAM_GPA, 7 * MIB), 0);
	ck_assert_uint_eq(map_well(RAM_GPA + 8 * MIB, 3 * MIB), 1);
	expect_region(0, RAM_GPA, 7 * MIB, GH_MEMORY_OWNED);
	expect_region(1, RAM_GPA + 8 * MIB, 3 * MIB, GH_MEMORY_OWNED);
	for (uint32_t id = 2; id < 256; id++)
		expect_no_region(id);
	/* One in the host. */
	ck_assert_int_eq(gh_vm_pointer(vm, RAM_GPA, 7 * MIB, &host), 0);
	ck_assert_int_eq(gh_vm_pointer(vm, RAM_GPA + 3 * MIB, 4 * MIB, &place), 0);
	ck_assert_ptr_eq(place, (char *)host + 3 * MIB);
	ck_assert_int_eq(gh_vm_pointer(vm, RAM_GPA + 3 * MIB, 4 * MIB + 1, &place), -EFAULT);
	ck_assert_uint_eq(n_asked, 5);
	for (uint32_t i = 0; i < 5; i++)
		ck_assert_uint_eq(asked[i].number, labels[i]);
	for (uint32_t i = 0; i < 4; i++) {
		ck_assert_uint_eq(asked[i].gpa, RAM_GPA + 2 * i * MIB);
		ck_assert_uint_eq(asked[i].length, i < 3 ? 2 * MIB : MIB);
		ck_assert_uint_eq(asked[i].host, (uintptr_t)host + 2 * i * MIB);
	}
	/* The guest finds each where it belongs. */
	ck_assert_int_eq(start(), 0);
	run_to_the_end();
	ck_assert_int_eq(gh_vm_read(vm, RAM_GPA + 5 * MIB + 0x100, &word, sizeof(word)), 0);
	ck_assert_uint_eq(word, 0x22);
	close_kind();
}
END_TEST

START_TEST(test_parts_lent)
{
	void *host = NULL;

	open_in_parts();
	ck_assert_int_eq(map(RAM_GPA, 7 * MIB, GH_MEMORY_RWX | GH_MEMORY_LEND, NULL), 0);
	ck_assert_uint_eq(n_asked, 4);
	ck_assert_int_eq(start(), 0);
	expect_region(0, RAM_GPA, 7 * MIB, GH_MEMORY_LENT);
	for (uint64_t at = 0; at < 7 * MIB; at += MIB)
		ck_assert_int_eq(gh_vm_pointer(vm, RAM_GPA + at, 1, &host), -EFAULT);
	run_to_the_end();
	close_kind();
}
END_TEST

START_TEST(test_parts_unmapped)
{
	open_in_parts();
	(void)map_well(RAM_GPA, 7 * MIB);
	(void)map_well(RAM_GPA + 8 * MIB, 5 * MIB);
	ck_assert_int_eq(gh_vm_unmap(vm, 0), 0);
	expect_no_region(0);
	ck_assert_uint_eq(n_asked, 3);
	/* A label stays what it was. */
	ck_assert_uint_eq(asked[0].number, 1);
	ck_assert_uint_eq(asked[1].number, 252);
	ck_assert_uint_eq(map_well(RAM_GPA, 7 * MIB), 0);
	ck_assert_uint_eq(n_asked, 7);
	ck_assert_int_eq(start(), 0);
	run_to_the_end();
	close_kind();
}
END_TEST

/* A kernel that takes memory back takes each part; if it keeps one, the rest keeps the id, and is shorter. */
START_TEST(test_parts_given_back)
{
	open_kind(&(const struct kind){ "sim:gunyah/v10", true });
	ck_assert(gh_vm_features(vm) & GH_FEATURE_UNMAP);
	vm->b.caps.region_limit = 3 * MIB;
	vm->b.caps.region_piece = 2 * MIB;
	(void)map_well(RAM_GPA, 7 * MIB);
	(void)map_well(RAM_GPA + 8 * MIB, 2 * MIB);
	n_asked = 0;
	refuse_at = 2;
	refuse_error = -EIO;
	ck_assert_int_eq(gh_vm_unmap(vm, 0), -EIO);
	ck_assert(failure_is(gh_vm_failure(vm), -EIO));
	ck_assert_uint_eq(asked[0].number, 253);
	ck_assert_uint_eq(asked[1].number, 254);
	expect_region(0, RAM_GPA, 6 * MIB, GH_MEMORY_OWNED);
	expect_region(1, RAM_GPA + 8 * MIB, 2 * MIB, GH_MEMORY_OWNED);
	ck_assert_int_eq(gh_vm_unmap(vm, 0), 0);
	expect_no_region(0);
	expect_region(1, RAM_GPA + 8 * MIB, 2 * MIB, GH_MEMORY_OWNED);
	ck_assert_uint_eq(n_asked, 5);
	(void)map_well(RAM_GPA, 7 * MIB);
	ck_assert_int_eq(start(), 0); /* and no more: nobody hears of a guest's end from this kernel */
	close_kind();
}
END_TEST

/* Nothing is left of a region of which the kernel has refused a part, and what was there before is there again. */
START_TEST(test_part_refused)
{
	void *host = NULL;
	void *again = NULL;

	open_in_parts();
	(void)map_well(RAM_GPA, 2 * MIB);
	ck_assert_int_eq(gh_vm_pointer(vm, RAM_GPA, 2 * MIB, &host), 0);
	refuse_at = 2 + (unsigned int)_i;
	refuse_error = -EIO;
	vms = 0;
	ck_assert_int_eq(map(RAM_GPA + 4 * MIB, 7 * MIB, GH_MEMORY_RWX, NULL), -EIO);
	ck_assert(failure_is(gh_vm_failure(vm), -EIO));
	/* A new VM, unless the first part was refused. */
	ck_assert_uint_eq(vms, _i > 0);
	refuse_at = 0;
	expect_no_region(1);
	ck_assert_int_eq(gh_vm_pointer(vm, RAM_GPA, 2 * MIB, &again), 0);
	ck_assert_ptr_eq(host, again);
	ck_assert_uint_eq(map_well(RAM_GPA + 4 * MIB, 7 * MIB), 1);
	ck_assert_int_eq(start(), 0);
	run_to_the_end();
	close_kind();
}
END_TEST

START_TEST(test_too_many_parts)
{
	open_in_parts();
	vm->b.caps.max_regions = 5;
	(void)map_well(RAM_GPA, 2 * MIB);
	ck_assert_int_eq(map(RAM_GPA + 4 * MIB, 9 * MIB, GH_MEMORY_RWX, NULL), -ENOSPC);
	ck_assert(failure_is(gh_vm_failure(vm), -ENOSPC));
	ck_assert_ptr_nonnull(strstr(gh_vm_failure(vm)->cause, "5 regions of 2 MiB"));
	ck_assert_uint_eq(map_well(RAM_GPA + 4 * MIB, 8 * MIB), 1);
	ck_assert_int_eq(map(RAM_GPA + 2 * MIB, MIB, GH_MEMORY_RWX, NULL), -ENOSPC);
	ck_assert_uint_eq(asked[4].number, 2);
	close_kind();
}
END_TEST

/* The guest runs, and has the first part: it stays, as what it is, and the failure is the kernel's about the second. */
START_TEST(test_part_refused_late)
{
	uint32_t id = UINT32_MAX;

	open_kind(&(const struct kind){ "sim:gunyah/android16-6.12", false });
	(void)map_well(RAM_GPA, 8 * MIB);
	ck_assert_int_eq(start(), 0);
	ck_assert(gh_vm_features(vm) & GH_FEATURE_LATE_MEMORY);
	vm->b.caps.region_limit = 3 * MIB;
	vm->b.caps.region_piece = 2 * MIB;
	n_asked = 0;
	refuse_at = 2;
	refuse_error = -EIO;
	ck_assert_int_eq(map(0x90000000, 7 * MIB, GH_MEMORY_RWX, &id), -EIO);
	ck_assert(failure_is(gh_vm_failure(vm), -EIO));
	ck_assert_uint_eq(id, UINT32_MAX);
	ck_assert_uint_eq(n_asked, 2);
	expect_region(1, 0x90000000, 2 * MIB, GH_MEMORY_SHARED);
	run_to_the_end();
	close_kind();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("unmap");
	TCase *tcase = add_case(suite, "unmap");

	tcase_add_loop_test(tcase, test_unmap, 0, KINDS);
	tcase_add_loop_test(tcase, test_unmap_all, 0, KINDS);
	tcase_add_loop_test(tcase, test_callers_mapping, 0, KINDS);
	tcase_add_loop_test(tcase, test_unmap_started, 0, KINDS);
	tcase_add_loop_test(tcase, test_unmap_refused, 0, 4);
	tcase = add_case(suite, "parts");
	tcase_add_test(tcase, test_parts);
	tcase_add_test(tcase, test_parts_lent);
	tcase_add_test(tcase, test_parts_unmapped);
	tcase_add_test(tcase, test_parts_given_back);
	tcase_add_loop_test(tcase, test_part_refused, 0, 4);
	tcase_add_test(tcase, test_too_many_parts);
	tcase_add_test(tcase, test_part_refused_late);
	return run_suite(suite);
}
