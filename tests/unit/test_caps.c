/* SPDX-License-Identifier: BSD-3-Clause */
/* Features and quirks: their names, and what a caller says of them against the probe, bit by bit on each device. */
#include "util.h"

#include <gh/bus.h>
#include <gh/probe.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BITS 64
#define UNKNOWN (UINT64_C(1) << 63)

/* --- names -------------------------------------------------------------------------------------------------------- */

struct kind {
	const char *(*name)(uint64_t bit);
	uint64_t (*by_name)(const char *name);
	unsigned int at_least;
};

static const struct kind kinds[] = {
	{ gh_feature_name, gh_feature_by_name, 25 },
	{ gh_quirk_name, gh_quirk_by_name, 9 },
};

START_TEST(test_names)
{
	const struct kind *kind = &kinds[_i];
	unsigned int count = 0;

	for (unsigned int i = 0; i < BITS; i++) {
		uint64_t bit = UINT64_C(1) << i;
		const char *name = kind->name(bit);

		if (name == NULL)
			continue;
		count++;
		ck_assert_uint_gt(strlen(name), 0);
		ck_assert_uint_eq(strspn(name, "abcdefghijklmnopqrstuvwxyz-"), strlen(name));
		/* Found again, so no other has it. */
		ck_assert_uint_eq(kind->by_name(name), bit);
		/* Not two at once, and nothing but the bit. */
		ck_assert_ptr_null(kind->name(bit | (i == 0 ? 2 : 1)));
		ck_assert_ptr_null(kind->name(bit << 32));
		ck_assert_ptr_null(kind->name(bit | UINT64_C(1) << 32));
	}
	ck_assert_uint_ge(count, kind->at_least);
	ck_assert_ptr_null(kind->name(0));
	ck_assert_ptr_null(kind->name(UINT64_MAX));
	ck_assert_uint_eq(kind->by_name(NULL), 0);
	ck_assert_uint_eq(kind->by_name(""), 0);
	ck_assert_uint_eq(kind->by_name("xen"), 0);
	ck_assert_uint_eq(kind->by_name("Share"), 0);
}
END_TEST

START_TEST(test_some_names)
{
	ck_assert_str_eq(gh_feature_name(GH_FEATURE_IRQFD_LEVEL), "irqfd-level");
	ck_assert_uint_eq(gh_feature_by_name("datamatch"), GH_FEATURE_DATAMATCH);
	ck_assert_str_eq(gh_quirk_name(GH_QUIRK_FRAGILE_ANSWER), "fragile-answer");
	ck_assert_uint_eq(gh_quirk_by_name("locks-memory"), GH_QUIRK_LOCKS_MEMORY);
}
END_TEST

/* --- overrides ---------------------------------------------------------------------------------------------------- */

static const char *const devices[] = { GUNYAH, GENIEZONE, NULL };

struct machine {
	struct gh_fake *fake;
	struct gh_sim *sim;
	struct gh_vm *vm;
};

static int open_machine(struct machine *machine, const char *device, struct gh_vm_options options)
{
	*machine = (struct machine){ .vm = NULL };
	if (device == NULL) {
		machine->fake = new_fake();
		ck_assert_int_eq(gh_fake_store(machine->fake, 0, 0x10, 4, 7), 0);
		ck_assert_int_eq(gh_fake_load(machine->fake, 0, 0x14, 4), 0);
		ck_assert_int_eq(gh_fake_stop(machine->fake, 0, GH_STOP_POWER_OFF), 0);
		options.fake = machine->fake;
		options.backend = "fake";
	} else {
		machine->sim = new_sim(device, "store 0x10 4 7\nload 0x14 4\noff\n");
		options.machine = machine->sim;
	}
	return gh_vm_open(&options, &machine->vm);
}

static void close_machine(struct machine *machine)
{
	gh_vm_close(machine->vm);
	gh_fake_free(machine->fake);
	if (machine->sim != NULL)
		end_sim(machine->sim);
}

START_TEST(test_refused)
{
	const struct gh_failure none = GH_FAILURE_INIT;
	static const uint64_t bad[][4] = {
		{ GH_FEATURE_LEND, GH_FEATURE_LEND, 0, 0 },
		{ 0, 0, GH_QUIRK_LOCKS_MEMORY, GH_QUIRK_LOCKS_MEMORY | GH_QUIRK_FRAGILE_ANSWER },
		{ UNKNOWN, 0, 0, 0 },
		{ 0, UNKNOWN, 0, 0 },
		{ 0, 0, UNKNOWN | GH_QUIRK_LOCKS_MEMORY, 0 },
		{ 0, 0, 0, UNKNOWN },
	};

	for (size_t i = 0; i < COUNT(bad); i++) {
		struct gh_vm_options options = GH_VM_OPTIONS_INIT;
		struct gh_failure failure = none;
		struct gh_probe *probe = NULL;
		struct machine machine;

		options.features_on = bad[i][0];
		options.features_off = bad[i][1];
		options.quirks_on = bad[i][2];
		options.quirks_off = bad[i][3];
		options.failure = &failure;
		ck_assert_int_eq(open_machine(&machine, devices[_i], options), -EINVAL);
		ck_assert_msg(failure_is(&failure, -EINVAL), "%s", failure.cause);
		ck_assert_ptr_null(machine.vm);
		failure = none;
		ck_assert_int_eq(gh_probe(&options, &probe), -EINVAL);
		ck_assert(failure_is(&failure, -EINVAL));
		ck_assert_ptr_null(probe);
		close_machine(&machine);
	}
}
END_TEST

/* A feature that the backend has no code for, and one that it cannot do without. */
START_TEST(test_impossible)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_failure failure = GH_FAILURE_INIT;
	struct gh_probe *probe = NULL;
	struct machine machine;

	options.failure = &failure;
	options.backend = "gunyah";
	options.features_on = GH_FEATURE_IRQ_LINE;
	ck_assert_int_eq(open_machine(&machine, GUNYAH, options), -EOPNOTSUPP);
	ck_assert(failure_is(&failure, -EOPNOTSUPP));
	ck_assert_ptr_nonnull(strstr(failure.cause, "irq-line"));
	options.machine = machine.sim;
	ck_assert_int_eq(gh_probe(&options, &probe), 0);
	ck_assert_uint_eq(gh_probe_get(probe, 0)->usable, 0);
	ck_assert(failure_is(&gh_probe_get(probe, 0)->failure, -EOPNOTSUPP));
	gh_probe_free(probe);
	close_machine(&machine);
	options.machine = NULL;
	options.features_on = 0;
	options.features_off = GH_FEATURE_NEEDS_DTB;
	ck_assert_int_eq(open_machine(&machine, GUNYAH, options), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(failure.cause, "needs-dtb"));
	close_machine(&machine);
}
END_TEST

/* What was asked for is what the VM and the probe say. */
START_TEST(test_told)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_probe *probe = NULL;
	struct machine machine;
	uint64_t features;
	uint64_t quirks;

	ck_assert_int_eq(open_machine(&machine, GUNYAH, options), 0);
	features = gh_vm_features(machine.vm);
	quirks = gh_vm_quirks(machine.vm);
	ck_assert_uint_ne(features & GH_FEATURE_LEND, 0);
	ck_assert_uint_ne(quirks & GH_QUIRK_REMOVES_BY_ADDRESS, 0);
	ck_assert_uint_eq(quirks & GH_QUIRK_ONE_LINE_PER_EVENTFD, 0);
	close_machine(&machine);
	options.features_off = GH_FEATURE_LEND | GH_FEATURE_PROTECTED_VM;
	options.features_on = GH_FEATURE_SHARE;
	options.quirks_off = GH_QUIRK_REMOVES_BY_ADDRESS;
	options.quirks_on = GH_QUIRK_ONE_LINE_PER_EVENTFD;
	ck_assert_int_eq(open_machine(&machine, GUNYAH, options), 0);
	features &= ~options.features_off;
	quirks = (quirks | options.quirks_on) & ~options.quirks_off;
	ck_assert_uint_eq(gh_vm_features(machine.vm), features);
	ck_assert_uint_eq(gh_vm_quirks(machine.vm), quirks);
	options.machine = machine.sim;
	ck_assert_int_eq(gh_probe(&options, &probe), 0);
	ck_assert_uint_eq(gh_probe_get(probe, 0)->features, features);
	ck_assert_uint_eq(gh_probe_get(probe, 0)->quirks, quirks);
	gh_probe_free(probe);
	close_machine(&machine);
	ck_assert_uint_eq(gh_vm_quirks(NULL), 0);
}
END_TEST

/* --- every bit, on and off: an error or not, but nothing breaks ------------------------------------------------------- */

static void add_things(struct gh_vm *vm)
{
	struct gh_ioevent_options bell = GH_IOEVENT_OPTIONS_INIT;
	struct gh_irqfd_options line = GH_IRQFD_OPTIONS_INIT;
	struct gh_irq_options direct = GH_IRQ_OPTIONS_INIT;
	struct gh_ioevent *ioevent = NULL;
	struct gh_irqfd *irqfd = NULL;
	struct gh_irq *irq = NULL;

	bell.gpa = 0x4000;
	bell.width = 4;
	for (uint64_t value = 1; value <= 2; value++) {
		bell.flags = GH_IOEVENT_DATAMATCH;
		bell.value = value;
		(void)gh_ioevent_add(vm, &bell, &ioevent);
	}
	line.line = 5;
	line.flags = GH_IRQ_LEVEL;
	if (gh_irqfd_add(vm, &line, &irqfd) == 0) {
		(void)gh_irqfd_raise(irqfd);
		gh_irqfd_remove(irqfd);
	}
	direct.line = 6;
	direct.flags = GH_IRQ_LEVEL;
	if (gh_irq_add(vm, &direct, &irq) == 0) {
		(void)gh_irq_set(irq, true);
		(void)gh_irq_set(irq, false);
	}
	gh_ioevent_remove(ioevent);
}

static void use(struct gh_vm *vm, bool is_true)
{
	struct gh_memory memory = GH_MEMORY_INIT;
	const struct gh_exit *exit;
	struct gh_vcpu *vcpu;
	struct gh_vcpu *late = NULL;

	memory.gpa = RAM_GPA;
	memory.length = RAM_SIZE;
	memory.flags = GH_MEMORY_READ | GH_MEMORY_WRITE | GH_MEMORY_EXEC;
	if (gh_vm_map(vm, &memory, NULL) < 0)
		return;
	memory.gpa += 4 * RAM_SIZE;
	memory.flags &= ~(uint32_t)GH_MEMORY_WRITE;
	if (gh_vm_backend(vm)[1] != 'u') /* Gunyah wants a node for it */
		(void)gh_vm_map(vm, &memory, NULL);
	put_tree(vm, &standard_tree);
	vcpu = add_vcpu(vm, 0);
	add_things(vm);
	if (gh_vm_start(vm) < 0)
		return;
	add_things(vm);
	(void)gh_vcpu_create(vm, 1, &late);
	if (gh_vcpu_run(vcpu, &exit) == 0 && exit->kind == GH_EXIT_MMIO)
		(void)gh_mmio_fail(vcpu);
	(void)gh_vcpu_kick(vcpu);
	if (gh_vcpu_run(vcpu, &exit) < 0 || gh_vcpu_run(vcpu, &exit) < 0)
		return;
	if (exit->kind == GH_EXIT_MMIO && exit->mmio.is_store == 0)
		(void)gh_mmio_complete(vcpu, 1);
	/* Some kernels let a vCPU sleep when the guest is over, which nobody may deny. */
	if (is_true && (gh_vm_quirks(vm) & GH_QUIRK_NO_END_EXIT) == 0)
		(void)gh_vcpu_run(vcpu, &exit);
}

static const char *const bit_devices[] = {
	"sim:gunyah/v8",
	"sim:gunyah/v11",
	"sim:gunyah/v17",
	"sim:gunyah/android15-6.6",
	"sim:gunyah/android-latest",
	GUNYAH,
	"sim:gzvm/r0",
	"sim:gzvm/v5",
	"sim:gzvm/android-latest",
	"sim:halla",
	GENIEZONE,
	NULL,
};

static void use_with(const char *device, const struct gh_vm_options *options)
{
	struct machine machine;

	if (open_machine(&machine, device, *options) == 0)
		use(machine.vm, (options->quirks_off & GH_QUIRK_NO_END_EXIT) == 0);
	close_machine(&machine);
}

/* What the probe finds without anybody's help. */
static void find_bits(const char *device, uint64_t *ret_features, uint64_t *ret_quirks)
{
	const struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct machine machine;

	ck_assert_int_eq(open_machine(&machine, device, options), 0);
	*ret_features = gh_vm_features(machine.vm);
	*ret_quirks = gh_vm_quirks(machine.vm);
	close_machine(&machine);
}

START_TEST(test_each_bit)
{
	const char *device = bit_devices[_i];
	uint64_t features;
	uint64_t quirks;

	find_bits(device, &features, &quirks);
	for (unsigned int i = 0; i < BITS; i++) {
		const uint64_t bit = UINT64_C(1) << i;
		struct gh_vm_options options = GH_VM_OPTIONS_INIT;

		/* What is, the other way round. */
		if (gh_feature_name(bit) != NULL) {
			options.features_on = bit & ~features;
			options.features_off = bit & features;
			use_with(device, &options);
		}
		options.features_on = 0;
		options.features_off = 0;
		/* The simulated kernel tells, as a real one would break, what it is not kept from without this one. */
		if (gh_quirk_name(bit) == NULL || (bit & quirks) == GH_QUIRK_EVENTFD_GOES_FIRST)
			continue;
		options.quirks_on = bit & ~quirks;
		options.quirks_off = bit & quirks;
		use_with(device, &options);
	}
}
END_TEST

/* --- what the library then does --------------------------------------------------------------------------------------- */

START_TEST(test_obeyed)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_memory memory = GH_MEMORY_INIT;
	struct machine machine;

	memory.gpa = RAM_GPA;
	memory.length = RAM_SIZE;
	memory.flags = GH_MEMORY_READ | GH_MEMORY_EXEC;
	options.features_off = GH_FEATURE_LEND | GH_FEATURE_SHARE | GH_FEATURE_READ_ONLY_MEMORY | GH_FEATURE_REGISTERS;
	ck_assert_int_eq(open_machine(&machine, NULL, options), 0);
	ck_assert_int_eq(gh_vm_map(machine.vm, &memory, NULL), -EOPNOTSUPP);
	memory.flags |= GH_MEMORY_WRITE;
	ck_assert_int_eq(gh_vm_map(machine.vm, &memory, NULL), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(gh_vm_failure(machine.vm)->cause, "share"));
	memory.flags |= GH_MEMORY_LEND;
	ck_assert_int_eq(gh_vm_map(machine.vm, &memory, NULL), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(gh_vm_failure(machine.vm)->cause, "lend"));
	close_machine(&machine);
	options.features_off = GH_FEATURE_REGISTERS;
	ck_assert_int_eq(open_machine(&machine, NULL, options), 0);
	map_at(machine.vm, RAM_GPA, RAM_SIZE, memory.flags & ~(uint32_t)GH_MEMORY_LEND);
	(void)add_vcpu(machine.vm, 0);
	ck_assert_int_eq(gh_vm_set_entry(machine.vm, RAM_GPA, 0), 0);
	ck_assert_int_eq(gh_vm_start(machine.vm), -EOPNOTSUPP);
	ck_assert(failure_is(gh_vm_failure(machine.vm), -EOPNOTSUPP));
	close_machine(&machine);
}
END_TEST

START_TEST(test_no_abort)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct machine machine;
	struct gh_vcpu *vcpu;

	options.features_off = GH_FEATURE_MMIO_ABORT;
	options.features_on = GH_FEATURE_NEEDS_DTB;
	ck_assert_int_eq(open_machine(&machine, NULL, options), 0);
	map_at(machine.vm, RAM_GPA, RAM_SIZE, GH_MEMORY_READ | GH_MEMORY_WRITE | GH_MEMORY_EXEC);
	vcpu = add_vcpu(machine.vm, 0);
	ck_assert_int_eq(gh_vm_start(machine.vm), -EINVAL);
	ck_assert_int_eq(gh_vm_set_dtb(machine.vm, DTB_GPA, 0x1000), 0);
	ck_assert_int_eq(gh_vm_start(machine.vm), 0);
	ck_assert_uint_eq(run_once(vcpu)->mmio.is_store, 1);
	ck_assert_uint_eq(run_once(vcpu)->mmio.is_store, 0);
	ck_assert_int_eq(gh_mmio_fail(vcpu), -EOPNOTSUPP);
	ck_assert_int_eq(gh_mmio_complete(vcpu, 0), 0);
	close_machine(&machine);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("caps");
	TCase *tcase = add_case(suite, "caps");

	tcase_add_loop_test(tcase, test_names, 0, COUNT(kinds));
	tcase_add_test(tcase, test_some_names);
	tcase_add_loop_test(tcase, test_refused, 0, COUNT(devices));
	tcase_add_test(tcase, test_impossible);
	tcase_add_test(tcase, test_told);
	tcase_add_loop_test(tcase, test_each_bit, 0, COUNT(bit_devices));
	tcase_add_test(tcase, test_obeyed);
	tcase_add_test(tcase, test_no_abort);
	return run_suite(suite);
}
