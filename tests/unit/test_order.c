/* SPDX-License-Identifier: BSD-3-Clause */
/* A VM may be configured in any order; its kernel is asked in the one that it needs. */
#include "rig.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SHM_GPA UINT64_C(0x90000000)
#define BELL_GPA UINT64_C(0x6000)
#define PERMUTATIONS 200
#define SCRIPT "store 0x6000 4 1; off"

/* One call of the configuration each. */
enum call {
	MAP_RAM,
	MAP_SHM,
	SET_DTB,
	VCPU_0,
	VCPU_1,
	IRQFD,
	LINE,
	DOORBELL,
	ENTRY,
	REGISTER, /* where somebody sets registers */
	CALLS,
};

struct order {
	struct rig rig;
	struct gh_vcpu *vcpus[2];
	struct gh_ioevent *bell;
	uint32_t shm_id;
};

/* --- the calls ------------------------------------------------------------------------------------------------------ */

static int map_shm(struct order *order)
{
	struct gh_memory memory = GH_MEMORY_INIT;

	memory.gpa = SHM_GPA;
	memory.length = 2 * MIB;
	return gh_vm_map(order->rig.vm, &memory, &order->shm_id);
}

static int add_event(struct order *order, enum call call)
{
	struct gh_irqfd_options irqfd = GH_IRQFD_OPTIONS_INIT;
	struct gh_irq_options irq = GH_IRQ_OPTIONS_INIT;
	struct gh_ioevent_options bell = GH_IOEVENT_OPTIONS_INIT;
	struct gh_irqfd *line;
	struct gh_irq *level;

	irqfd.line = 5;
	irq.line = 6;
	irq.flags = GH_IRQ_LEVEL;
	bell.gpa = BELL_GPA;
	bell.width = 4;
	if (call == IRQFD)
		return gh_irqfd_add(order->rig.vm, &irqfd, &line);
	if (call == DOORBELL)
		return gh_ioevent_add(order->rig.vm, &bell, &order->bell);
	if (gh_irq_add(order->rig.vm, &irq, &level) < 0)
		return -EIO;
	return gh_irq_set(level, 1);
}

static int make(struct order *order, enum call call)
{
	struct gh_vm *vm = order->rig.vm;

	switch (call) {
	case MAP_RAM:
		map_at(vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
		return 0;
	case MAP_SHM:
		return map_shm(order);
	case SET_DTB:
		return gh_vm_set_dtb(vm, DTB_GPA, 2 * TREE_ROOM);
	case VCPU_0:
		return gh_vcpu_create(vm, 0, &order->vcpus[0]);
	case VCPU_1:
		return gh_vcpu_create(vm, 1, &order->vcpus[1]);
	case ENTRY:
		return gh_vm_set_entry(vm, RAM_GPA, DTB_GPA);
	case REGISTER:
		return order->rig.kind == RIG_GUNYAH ? 0 : gh_vm_set_register(vm, GH_REG_X0 + 5, 7);
	default:
		return add_event(order, call);
	}
}

/* The one thing that has to wait for memory to be written to. */
static void write_tree(struct order *order)
{
	const struct tree_shm shm = { order->shm_id, SHM_GPA };
	struct tree tree = standard_tree;
	static char buffer[TREE_ROOM];
	size_t size;

	tree.shms = &shm;
	tree.shm_count = 1;
	size = tree_build(&tree, buffer, sizeof(buffer));
	ck_assert_uint_gt(size, 0);
	ck_assert_int_eq(gh_vm_write(order->rig.vm, DTB_GPA, buffer, size), 0);
}

/* --- what the kernel needs ------------------------------------------------------------------------------------------ */

/* After the memory, which it gets in the order of the calls. */
static const char *const wanted[RIG_KINDS] = {
	[RIG_FAKE] = "",
	/* Lines and doorbells last: one that never gets its doorbell breaks the kernel later. */
	[RIG_GUNYAH] = "vcpu 0\nvcpu 1\ntree\nstart\ndoorbell 6000\nirqfd 5\nirqfd 6\n",
	/* The interrupt controller, then each vCPU with its registers: PSTATE, and for the first x0, x5 and PC. */
	[RIG_GENIEZONE] = "device 0\ndevice 1\n"
			  "vcpu 0\nregister 6030000000100042\n"
			  "register 6030000000100000\nregister 603000000010000a\nregister 6030000000100040\n"
			  "vcpu 1\nregister 6030000000100042\n"
			  "tree\ndoorbell 6000\nirqfd 5\nline 1\n",
	/* The interrupt controller, its size and addresses, the vCPUs, and only then its initialisation. */
	[RIG_KVM] = "device\nattribute 3\nattribute 0\nattribute 0\n"
		    "vcpu 0\nregister 6030000000100000\nregister 603000000010000a\nregister 6030000000100040\n"
		    "vcpu 1\nattribute 4\ndoorbell 6000\nirqfd 5\nline 1\n",
};

static void expect_log(const struct order *order, const char *when)
{
	const char *log = rig_log();
	unsigned int memory = 0;

	while (strncmp(log, "memory ", 7) == 0) {
		log = strchr(log, '\n') + 1;
		memory++;
	}
	ck_assert_uint_eq(memory, order->rig.kind == RIG_FAKE ? 0 : 2);
	if (strcmp(log, wanted[order->rig.kind]) != 0)
		ck_abort_msg("in the order %s the kernel was asked:\n%s", when, log);
}

static void configure_and_run(enum rig_kind kind, const enum call calls[CALLS], const char *when)
{
	struct order order = { .shm_id = UINT32_MAX };
	int ret;

	rig_open(&order.rig, kind, SCRIPT);
	for (unsigned int i = 0; i < CALLS; i++) {
		ret = make(&order, calls[i]);
		if (ret != 0)
			ck_abort_msg("%s: call %u: %d", when, calls[i], ret);
	}
	write_tree(&order);
	ret = gh_vm_start(order.rig.vm);
	if (ret != 0)
		ck_abort_msg("%s: start: %d (%s)", when, ret, gh_vm_failure(order.rig.vm)->cause);
	expect_log(&order, when);
	/* And what was configured is what the guest has. */
	if (kind != RIG_FAKE)
		ck_assert_uint_eq(run_once(order.vcpus[0])->kind, GH_EXIT_STOPPED);
	if (kind == RIG_GUNYAH || kind == RIG_GENIEZONE)
		ck_assert_uint_eq(take_count(gh_ioevent_fd(order.bell)), 1);
	rig_close(&order.rig);
}

/* --- orders ----------------------------------------------------------------------------------------------------------- */

static void name_order(const enum call calls[CALLS], char text[64])
{
	size_t length = 0;

	for (unsigned int i = 0; i < CALLS; i++)
		length += (size_t)snprintf(text + length, 64 - length, "%u ", calls[i]);
}

static void swap(enum call *a, enum call *b)
{
	enum call other = *a;

	*a = *b;
	*b = other;
}

/* The same sequence each time. */
static void shuffle(enum call calls[CALLS], uint32_t *seed)
{
	for (uint32_t i = CALLS - 1; i > 0; i--) {
		*seed = *seed * 1664525u + 1013904223u;
		swap(&calls[i], &calls[(*seed >> 16) % (i + 1)]);
	}
}

static void try_order(enum rig_kind kind, const enum call calls[CALLS])
{
	char when[64];

	name_order(calls, when);
	configure_and_run(kind, calls, when);
}

START_TEST(test_any_order)
{
	uint32_t seed = 1;
	enum call calls[CALLS];

	for (unsigned int i = 0; i < CALLS; i++)
		calls[i] = (enum call)i;
	try_order((enum rig_kind)_i, calls);
	for (unsigned int i = 0; i < CALLS / 2; i++)
		swap(&calls[i], &calls[CALLS - 1 - i]);
	try_order((enum rig_kind)_i, calls);
	for (unsigned int i = 0; i < PERMUTATIONS; i++) {
		shuffle(calls, &seed);
		try_order((enum rig_kind)_i, calls);
	}
}
END_TEST

/* Each call of them before, and after, each other one: the shuffles above are of use. */
START_TEST(test_orders_differ)
{
	bool before[CALLS][CALLS] = { { false } };
	enum call calls[CALLS];
	uint32_t seed = 1;

	for (unsigned int i = 0; i < CALLS; i++)
		calls[i] = (enum call)i;
	for (unsigned int n = 0; n < PERMUTATIONS; n++) {
		shuffle(calls, &seed);
		for (unsigned int i = 0; i < CALLS; i++)
			for (unsigned int k = i + 1; k < CALLS; k++)
				before[calls[i]][calls[k]] = true;
	}
	for (unsigned int i = 0; i < CALLS; i++)
		for (unsigned int k = 0; k < CALLS; k++)
			if (i != k && !before[i][k])
				ck_abort_msg("%u never comes before %u", i, k);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("order");
	TCase *tcase = add_case(suite, "order");

	tcase_add_test(tcase, test_orders_differ);
	tcase_add_loop_test(tcase, test_any_order, 0, RIG_KINDS);
	return run_suite(suite);
}
