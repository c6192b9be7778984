/* SPDX-License-Identifier: BSD-3-Clause */
#include "box.h"

#include <check.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

extern const unsigned char test_guest_start[];
extern const unsigned char test_guest_end[];

const char *const box_devices[] = { "/dev/kvm", "sim:gunyah/android14-6.1", "sim:gzvm/v9" };
const int box_device_count = sizeof(box_devices) / sizeof(box_devices[0]);

static void fill_memory(struct box *box, const struct op *program, size_t count)
{
	struct gh_memory memory = GH_MEMORY_INIT;

	memory.gpa = BOX_BASE;
	memory.length = BOX_SIZE;
	ck_assert_int_eq(gh_vm_map(box->vm, &memory, NULL), 0);
	box_put(box, BOX_BASE, test_guest_start, (size_t)(test_guest_end - test_guest_start));
	box_put(box, BOX_PROGRAM, program, count * sizeof(*program));
}

void box_open_empty(struct box *box, const char *device)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_failure failure = GH_FAILURE_INIT;

	memset(box, 0, sizeof(*box));
	options.device = device;
	options.failure = &failure;
	options.gic_distributor = GUEST_GIC_DISTRIBUTOR;
	options.gic_redistributors = GUEST_GIC_REDISTRIBUTORS;
	ck_assert_msg(gh_vm_open(&options, &box->vm) == 0, "%s: %s: %s", device, failure.step, failure.cause);
}

void box_open(struct box *box, const char *device, unsigned int cpus, const struct op *program, size_t count)
{
	_Static_assert(sizeof(struct op) == GUEST_OP_SIZE, "the guest's idea of an instruction");
	box_open_empty(box, device);
	fill_memory(box, program, count);
	ck_assert_int_eq(gh_vm_set_entry(box->vm, BOX_BASE, BOX_TREE), 0);
	for (unsigned int i = 0; i < cpus; i++)
		ck_assert_int_eq(gh_vcpu_create(box->vm, i, &box->vcpus[i]), 0);
}

void box_put(struct box *box, uint64_t gpa, const void *bytes, size_t length)
{
	ck_assert_int_eq(gh_vm_write(box->vm, gpa, bytes, length), 0);
}

/* With the doorbells of lines that come later. */
static void write_tree(struct box *box)
{
	static const char *const compatible[] = { "libgh,test" };
	static const struct gh_fdt_irq irqs[] = { { BOX_LINE_EDGE, 0 }, { BOX_LINE_LEVEL, GH_IRQ_LEVEL } };
	struct gh_fdt_device device = GH_FDT_DEVICE_INIT;
	struct gh_fdt *fdt = NULL;
	int ret;

	device.name = "test";
	device.compatible = compatible;
	device.n_compatible = 1;
	device.irqs = irqs;
	device.n_irqs = 2;
	ck_assert_int_eq(gh_fdt_open(box->vm, NULL, &fdt), 0);
	ck_assert_int_eq(gh_fdt_add_device(fdt, &device), 0);
	ret = gh_fdt_finish(fdt, BOX_TREE, 0);
	ck_assert_msg(ret == 0, "tree: %d: %s", ret, gh_vm_failure(box->vm)->cause);
	gh_fdt_close(fdt);
}

void box_start(struct box *box)
{
	int ret;

	write_tree(box);
	ret = gh_vm_start(box->vm);
	ck_assert_msg(ret == 0, "start: %d: %s", ret, gh_vm_failure(box->vm)->cause);
}

void box_close(struct box *box)
{
	gh_vm_close(box->vm);
	box->vm = NULL;
}

bool box_has(const struct box *box, uint64_t feature)
{
	return (gh_vm_features(box->vm) & feature) != 0;
}

const struct gh_exit *box_run(struct box *box, unsigned int cpu)
{
	const struct gh_exit *exit = NULL;
	int ret;

	do {
		ret = gh_vcpu_run(box->vcpus[cpu], &exit);
		ck_assert_msg(ret == 0, "run: %d: %s", ret, gh_vcpu_failure(box->vcpus[cpu])->cause);
		ck_assert_ptr_nonnull(exit);
	} while (exit->kind == GH_EXIT_MMIO && gh_bus_dispatch(box->vcpus[cpu], exit) == GH_BUS_DONE);
	return exit;
}

static const struct gh_exit *expect_mmio(struct box *box, unsigned int cpu, uint64_t gpa, uint32_t width, bool is_store)
{
	const struct gh_exit *exit = box_run(box, cpu);

	ck_assert_msg(exit->kind == GH_EXIT_MMIO, "%s instead of an access to %#llx", gh_exit_name(exit->kind),
		      (unsigned long long)gpa);
	ck_assert_msg(exit->mmio.gpa == gpa, "%#llx (value %#llx) instead of %#llx", (unsigned long long)exit->mmio.gpa,
		      (unsigned long long)exit->mmio.value, (unsigned long long)gpa);
	ck_assert_uint_eq(exit->mmio.width, width);
	ck_assert_uint_eq(exit->mmio.is_store, is_store);
	return exit;
}

void box_expect_store(struct box *box, unsigned int cpu, uint64_t gpa, uint32_t width, uint64_t value)
{
	const struct gh_exit *exit = expect_mmio(box, cpu, gpa, width, true);

	ck_assert_uint_eq(exit->mmio.value, value);
}

void box_expect_load(struct box *box, unsigned int cpu, uint64_t gpa, uint32_t width, uint64_t answer)
{
	const struct gh_exit *exit = expect_mmio(box, cpu, gpa, width, false);

	ck_assert_uint_eq(exit->mmio.value, 0);
	ck_assert_int_eq(gh_mmio_complete(box->vcpus[cpu], answer), 0);
}

void box_expect_stop(struct box *box, unsigned int cpu, uint32_t cause)
{
	const struct gh_exit *exit = box_run(box, cpu);

	ck_assert_msg(exit->kind == GH_EXIT_STOPPED, "%s instead of the end", gh_exit_name(exit->kind));
	ck_assert_str_eq(gh_stop_name(exit->stop.cause), gh_stop_name(cause));
}

void box_expect_interruption(struct box *box, unsigned int cpu)
{
	const struct gh_exit *exit = box_run(box, cpu);

	ck_assert_msg(exit->kind == GH_EXIT_INTERRUPTED, "%s instead of an interruption", gh_exit_name(exit->kind));
}

/* --- kicks from another thread --------------------------------------------------------------------------------------- */

static struct {
	pthread_t thread;
	struct gh_vcpu *vcpu;
	unsigned int milliseconds;
} kicker;

static void *kick(void *unused)
{
	const struct timespec time = { 0, (long)kicker.milliseconds * 1000000 };

	(void)unused;
	(void)nanosleep(&time, NULL);
	(void)gh_vcpu_kick(kicker.vcpu);
	return NULL;
}

void box_kick_later(struct box *box, unsigned int cpu, unsigned int milliseconds)
{
	kicker.vcpu = box->vcpus[cpu];
	kicker.milliseconds = milliseconds;
	ck_assert_int_eq(pthread_create(&kicker.thread, NULL, kick, NULL), 0);
}

void box_join(void)
{
	ck_assert_int_eq(pthread_join(kicker.thread, NULL), 0);
}
