/* SPDX-License-Identifier: BSD-3-Clause */
/* Devicetrees for Gunyah: the library refuses none that the resource manager takes, and those that it refuses can be mended. */
#include "util.h"

#include <errno.h>
#include <string.h>

enum verdict {
	STARTS,
	REFUSED_HERE, /* before the first request of the start: another tree may follow */
	REFUSED_THERE,
};

static const struct tree_bell same_bells[] = { { 5, 5, 1 }, { 5, 6, 1 } };
static const struct tree_bell bells[] = { { 5, 5, 1 }, { 0x10000, 6, 1 } };
static const struct tree_shm shms[] = { { 7, 0x90000000 } };

static const struct {
	struct tree tree;
	enum verdict verdict;
} cases[] = {
	{ { .defect = TREE_SOUND }, STARTS },
	{ { .defect = TREE_QCOM_NAME }, STARTS },
	{ { .defect = TREE_NO_INTERRUPTS }, STARTS },
	{ { .defect = TREE_PHANDLE_CONFIG }, STARTS },
	{ { .defect = TREE_GIC_NO_REG }, STARTS },
	{ { .cpus = 2, .defect = TREE_FAILED_CPU }, STARTS },
	{ { .cpus = 8 }, STARTS },
	{ { .bells = bells, .bell_count = 2 }, STARTS },
	{ { .bells = same_bells, .bell_count = 2 }, STARTS },
	{ { .shms = shms, .shm_count = 1 }, STARTS }, /* of a region that is not there */
	{ { .defect = TREE_UNKNOWN_VDEVICE }, STARTS },
	{ { .defect = TREE_NO_CONFIG }, REFUSED_HERE },
	{ { .defect = TREE_NO_IMAGE_NAME }, REFUSED_HERE },
	{ { .defect = TREE_NO_MEMORY_CONFIG }, REFUSED_HERE },
	{ { .defect = TREE_NO_BASE }, REFUSED_HERE },
	{ { .defect = TREE_UNALIGNED_BASE }, REFUSED_HERE },
	{ { .base = 0x80100000 }, REFUSED_HERE },
	{ { .base = 0x20000000 }, REFUSED_HERE },
	{ { .defect = TREE_MEMORY_UNIT_ADDRESS }, REFUSED_HERE },
	{ { .defect = TREE_MEMORY_ELSEWHERE }, REFUSED_HERE },
	{ { .defect = TREE_HYPERVISOR }, REFUSED_HERE },
	{ { .defect = TREE_NO_VCPUS }, REFUSED_HERE },
	{ { .defect = TREE_NO_AFFINITY }, REFUSED_HERE },
	{ { .defect = TREE_STATIC_AFFINITY }, REFUSED_HERE },
	{ { .defect = TREE_NO_CPUS_NODE }, REFUSED_HERE },
	{ { .no_cpu = true }, REFUSED_HERE },
	{ { .defect = TREE_FAILED_CPU }, REFUSED_HERE },
	{ { .cpus = 9 }, REFUSED_THERE },
	{ { .defect = TREE_BAD_INTERRUPTS }, REFUSED_HERE },
	{ { .defect = TREE_PHANDLE_NO_ROOT }, REFUSED_HERE },
	{ { .defect = TREE_GIC_V2 }, REFUSED_HERE },
	{ { .reserved_gpa = 0xa0000000, .reserved_size = 0x1000 }, REFUSED_HERE },
};

START_TEST(test_tree)
{
	struct gh_sim *sim = new_sim(GUNYAH, "");
	struct gh_vm *vm = open_sim(sim);
	int ret;

	map_at(vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	(void)add_vcpu(vm, 0);
	put_tree(vm, &cases[_i].tree);
	ret = gh_vm_start(vm);
	ck_assert_msg((ret == 0) == (cases[_i].verdict == STARTS), "tree %d: %d (%s)", _i, ret, gh_vm_failure(vm)->cause);
	if (ret < 0) {
		ck_assert(failure_is(gh_vm_failure(vm), ret));
		if (cases[_i].verdict == REFUSED_HERE)
			put_tree(vm, &standard_tree);
		ck_assert_int_eq(gh_vm_start(vm), cases[_i].verdict == REFUSED_HERE ? 0 : -EBUSY);
	}
	gh_vm_close(vm);
	end_sim(sim);
}
END_TEST

static void begin(const struct tree *tree, struct gh_sim **ret_sim, struct gh_vm **ret_vm)
{
	*ret_sim = new_sim(GUNYAH, "");
	*ret_vm = open_sim(*ret_sim);
	map_at(*ret_vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	put_tree(*ret_vm, tree);
}

/* The resource manager adds to the tree: where there is just room for what is there, it fails (section 10.3). */
START_TEST(test_room)
{
	static char buffer[TREE_ROOM];
	const size_t size = tree_build(&standard_tree, buffer, sizeof(buffer));
	struct gh_sim *sim;
	struct gh_vm *vm;

	begin(&standard_tree, &sim, &vm);
	(void)add_vcpu(vm, 0);
	ck_assert_int_eq(gh_vm_set_dtb(vm, DTB_GPA, size), 0);
	ck_assert_int_eq(gh_vm_start(vm), -EINVAL);
	ck_assert_uint_eq(gh_vm_failure(vm)->cause_id, GH_CAUSE_TREE_PLACE);
	ck_assert_int_eq(gh_vm_set_dtb(vm, DTB_GPA, TREE_ROOM), 0);
	ck_assert_int_eq(gh_vm_start(vm), 0);
	gh_vm_close(vm);
	end_sim(sim);
}
END_TEST

/* The first thing that is wrong is told, and how many others are. */
START_TEST(test_more)
{
	static const struct {
		struct tree tree;
		uint32_t vcpus;
		const char *others;
	} wrong[] = {
		{ { .cpus = 1, .defect = TREE_STATIC_AFFINITY }, 1, NULL },
		{ { .cpus = 1, .defect = TREE_STATIC_AFFINITY }, 2, " And 1 more." },
		{ { .cpus = 1, .base = 0x80100000, .defect = TREE_STATIC_AFFINITY }, 2, " And 3 more." },
	};
	struct gh_sim *sim;
	struct gh_vm *vm;
	const char *others;

	begin(&wrong[_i].tree, &sim, &vm);
	for (uint32_t id = 0; id < wrong[_i].vcpus; id++)
		(void)add_vcpu(vm, id);
	ck_assert_int_eq(gh_vm_start(vm), -EINVAL);
	others = strstr(gh_vm_failure(vm)->cause, " And ");
	if (wrong[_i].others == NULL)
		ck_assert_ptr_null(others);
	else
		ck_assert_str_eq(others, wrong[_i].others);
	gh_vm_close(vm);
	end_sim(sim);
}
END_TEST

/* A vCPU's id counts, not how many there are; and a cpu that has failed is none, also for a vCPU that comes late. */
START_TEST(test_vcpus)
{
	static const struct tree failed = { .cpus = 2, .defect = TREE_FAILED_CPU };
	struct gh_vcpu *late = NULL;
	struct gh_sim *sim;
	struct gh_vm *vm;

	begin(_i == 1 ? &standard_tree : &failed, &sim, &vm);
	(void)add_vcpu(vm, 0);
	if (_i == 1)
		(void)add_vcpu(vm, 2);
	ck_assert_int_eq(gh_vm_start(vm), _i == 1 ? -EINVAL : 0);
	if (_i == 1) {
		put_tree(vm, &(struct tree){ .cpus = 3 });
		ck_assert_int_eq(gh_vm_start(vm), 0);
	} else {
		ck_assert_int_eq(gh_vcpu_create(vm, 1, &late), -EINVAL);
		ck_assert_uint_eq(gh_vm_failure(vm)->cause_id, GH_CAUSE_VCPU_NOT_IN_TREE);
	}
	gh_vm_close(vm);
	end_sim(sim);
}
END_TEST

/* A label is any number, and need not be that of an interrupt. */
START_TEST(test_label)
{
	static const struct tree tree = { .bells = bells, .bell_count = 2 };
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	struct gh_sim *sim = new_sim(GUNYAH, "wfi; ack; echo 0x10 4");
	struct gh_vm *vm = open_sim(sim);
	struct gh_irqfd *irqfd;
	struct gh_vcpu *vcpu;

	options.line = 0x10000;
	ck_assert_int_eq(gh_irqfd_add(vm, &options, &irqfd), 0);
	map_at(vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	put_tree(vm, &tree);
	vcpu = add_vcpu(vm, 0);
	ck_assert_int_eq(gh_vm_start(vm), 0);
	ck_assert_int_eq(gh_irqfd_raise(irqfd), 0);
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, 6 + 32);
	gh_vm_close(vm);
	end_sim(sim);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tree");
	TCase *tcase = add_case(suite, "tree");

	tcase_add_loop_test(tcase, test_tree, 0, (int)(sizeof(cases) / sizeof(cases[0])));
	tcase_add_test(tcase, test_room);
	tcase_add_loop_test(tcase, test_more, 0, 3);
	tcase_add_loop_test(tcase, test_vcpus, 0, 2);
	tcase_add_test(tcase, test_label);
	return run_suite(suite);
}
