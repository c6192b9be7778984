/* SPDX-License-Identifier: BSD-3-Clause */
/* One VMM on every revision of GenieZone and on Halla: what is found out, vCPUs, lines, doorbells, memory. */
#include "geniezone_devices.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define PORT UINT64_C(0x3f8)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct world {
	const struct gz_device *device;
	struct gh_sim *sim;
	struct gh_vm *vm;
};

static struct world open_world(int index, const char *script)
{
	struct world world = { .device = &gz_devices[index] };

	world.sim = new_sim(world.device->device, script);
	world.vm = open_sim(world.sim);
	return world;
}

static void end_world(struct world *world)
{
	gh_vm_close(world->vm);
	end_sim(world->sim);
}

static uint64_t next_store(struct gh_vcpu *vcpu)
{
	const struct gh_exit *exit = run_once(vcpu);

	ck_assert_uint_eq(exit->kind, GH_EXIT_MMIO);
	ck_assert_uint_eq(exit->mmio.is_store, 1);
	return exit->mmio.value;
}

static bool can(const struct world *world, uint64_t feature)
{
	return (gh_vm_features(world->vm) & feature) != 0;
}

/* --- what is found out -------------------------------------------------------------------------------------------- */

START_TEST(test_features)
{
	struct world world = open_world(_i, "");
	const struct gz_device *device = world.device;
	uint64_t quirks = gh_vm_quirks(world.vm);

	ck_assert_str_eq(gh_vm_backend(world.vm), device->backend);
	ck_assert(can(&world, GH_FEATURE_SHARE) && can(&world, GH_FEATURE_REGISTERS) && can(&world, GH_FEATURE_IRQFD) &&
		  can(&world, GH_FEATURE_IOEVENTFD) && can(&world, GH_FEATURE_PAGE_FAULT));
	ck_assert_int_eq(can(&world, GH_FEATURE_IRQFD_RESAMPLE), device->resamples);
	ck_assert_int_eq(can(&world, GH_FEATURE_IRQFD_LEVEL), device->resamples);
	ck_assert_int_eq(can(&world, GH_FEATURE_IRQ_LINE), device->has_irq_line);
	ck_assert_int_eq(can(&world, GH_FEATURE_DATAMATCH), device->tells_values);
	ck_assert_int_eq(can(&world, GH_FEATURE_HYPERCALL), !device->is_halla);
	ck_assert_int_eq((quirks & GH_QUIRK_MISSES_EARLY_SIGNAL) != 0, !device->resamples);
	ck_assert_int_eq((quirks & GH_QUIRK_NO_DTB_REQUEST) != 0, !device->has_irq_line);
	ck_assert_int_eq((quirks & GH_QUIRK_NO_FAULT_ADDRESS) != 0, device->hands_on);
	ck_assert_int_eq((quirks & GH_QUIRK_SHOWS_HANDLED_EXITS) != 0, !device->hands_on);
	ck_assert_int_eq((quirks & GH_QUIRK_SHOWS_HANDLED_EXCEPTIONS) != 0, !device->resamples);
	ck_assert_int_eq((quirks & GH_QUIRK_SHOWS_ANSWERED_TIME) != 0, device->takes_time);
	end_world(&world);
}
END_TEST

/* Everybody is asked, and one answers; the throw-away VM leaves nothing behind. */
START_TEST(test_probe)
{
	const struct gz_device *device = &gz_devices[_i];
	struct gh_sim *sim = new_sim(device->device, "");
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_probe *probe = NULL;
	unsigned int usable = 0;

	options.machine = sim;
	ck_assert_int_eq(gh_probe(&options, &probe), 0);
	for (unsigned int i = 0; i < gh_probe_count(probe); i++) {
		const struct gh_probe_entry *entry = gh_probe_get(probe, i);

		if (entry->usable == 0) {
			ck_assert_str_ne(entry->backend, device->backend);
			continue;
		}
		usable++;
		ck_assert_str_eq(entry->backend, device->backend);
		ck_assert_msg(strstr(entry->dialect, device->dialect) != NULL, "\"%s\"", entry->dialect);
		ck_assert_uint_eq(entry->max_vcpus, device->max_vcpus);
		ck_assert_uint_eq(entry->max_regions, 10);
		ck_assert_uint_eq(entry->gpa_bits, 48);
	}
	ck_assert_uint_eq(usable, 1);
	gh_probe_free(probe);
	ck_assert_uint_eq(gh_sim_open_files(sim), 0);
	/* By name, too, and not by another one's. */
	options.backend = device->is_halla ? "geniezone" : "halla";
	ck_assert_int_eq(gh_vm_open(&options, &(struct gh_vm *){ NULL }), -ENODEV);
	end_sim(sim);
}
END_TEST

/* A hypervisor that refuses the throw-away VM tells nothing: the worst is assumed, and a guest runs all the same. */
START_TEST(test_nothing_found_out)
{
	struct world world = open_world(_i, "#! fail create-vm -5\nhvc 0xc6000009 1; load 0x3f8 4; echo 0x3f8 4");
	const struct gh_exit *exit;
	struct gh_vcpu *vcpu;

	ck_assert(!can(&world, GH_FEATURE_IRQFD_RESAMPLE) && !can(&world, GH_FEATURE_DATAMATCH));
	ck_assert_uint_ne(gh_vm_quirks(world.vm) & GH_QUIRK_MISSES_EARLY_SIGNAL, 0);
	vcpu = start_standard(world.vm);
	exit = run_once(vcpu);
	if (world.device->hands_on) {
		ck_assert_uint_eq(exit->kind, GH_EXIT_HYPERCALL);
		exit = run_once(vcpu);
	}
	ck_assert_uint_eq(exit->kind, GH_EXIT_MMIO);
	ck_assert_int_eq(gh_mmio_complete(vcpu, 0x1234), 0);
	ck_assert_uint_eq(next_store(vcpu), 0x1234);
	end_world(&world);
}
END_TEST

/* What the caller knows better. */
START_TEST(test_overridden)
{
	const struct gz_device *device = &gz_devices[_i];
	struct gh_sim *sim = new_sim(device->device, "");
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_vm *vm = NULL;

	options.machine = sim;
	options.features_off = GH_FEATURE_IRQFD_RESAMPLE | GH_FEATURE_IRQFD_LEVEL;
	options.features_on = GH_FEATURE_DATAMATCH;
	options.quirks_on = GH_QUIRK_NO_DTB_REQUEST;
	options.quirks_off = GH_QUIRK_SHOWS_HANDLED_EXITS;
	ck_assert_int_eq(gh_vm_open(&options, &vm), 0);
	ck_assert_uint_eq(gh_vm_features(vm) & (GH_FEATURE_IRQFD_RESAMPLE | GH_FEATURE_IRQFD_LEVEL), 0);
	ck_assert_uint_ne(gh_vm_features(vm) & GH_FEATURE_DATAMATCH, 0);
	ck_assert_uint_ne(gh_vm_quirks(vm) & GH_QUIRK_NO_DTB_REQUEST, 0);
	ck_assert_uint_eq(gh_vm_quirks(vm) & GH_QUIRK_SHOWS_HANDLED_EXITS, 0);
	(void)start_standard(vm);
	gh_vm_close(vm);
	end_sim(sim);
}
END_TEST

/* --- vCPUs and memory --------------------------------------------------------------------------------------------- */

/* All vCPUs that there can be, one boot register, and memory that both sides see. */
START_TEST(test_boot)
{
	struct world world =
		open_world(_i, "register x0; echo 0x3f8 8; register pc; echo 0x3f8 8; register pstate; echo 0x3f8 8\n"
			       "poke 0x80000100 8 0xfeed; on 1; echo 0x3f8 8; off\n"
			       "vcpu 1\nstore 0x3f8 4 0x11");
	struct gh_vcpu *vcpus[10];
	struct gh_vcpu *none = NULL;
	uint64_t word = 0;

	map_at(world.vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	put_tree(world.vm, &standard_tree);
	ck_assert_int_eq(gh_vm_set_entry(world.vm, RAM_GPA + 0x1000, DTB_GPA), 0);
	for (uint32_t i = 0; i < world.device->max_vcpus; i++)
		vcpus[i] = add_vcpu(world.vm, i);
	ck_assert_int_eq(gh_vcpu_create(world.vm, world.device->max_vcpus, &none), -ERANGE);
	ck_assert_int_eq(gh_vm_start(world.vm), 0);
	ck_assert_uint_eq(next_store(vcpus[0]), DTB_GPA);
	ck_assert_uint_eq(next_store(vcpus[0]), RAM_GPA + 0x1000);
	ck_assert_uint_eq(next_store(vcpus[0]), 0x3c5);
	ck_assert_uint_eq(next_store(vcpus[0]), 0);
	ck_assert_uint_eq(next_store(vcpus[1]), 0x11);
	ck_assert_int_eq(gh_vm_read(world.vm, RAM_GPA + 0x100, &word, sizeof(word)), 0);
	ck_assert_uint_eq(word, 0xfeed);
	ck_assert_uint_eq(run_once(vcpus[0])->stop.cause, GH_STOP_POWER_OFF);
	ck_assert_uint_eq(run_once(vcpus[2])->kind, GH_EXIT_STOPPED);
	end_world(&world);
}
END_TEST

/* Ten regions, each one mapping of its own, wherever they come from; private pages become the process's own. */
START_TEST(test_regions)
{
	struct world world = open_world(_i, "poke 0x80000000 4 0x1234; peek 0x80000000 4; echo 0x3f8 4");
	struct gh_memory memory = GH_MEMORY_INIT;
	char *area = mmap(NULL, 3 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct gh_vcpu *vcpu;

	ck_assert_ptr_ne(area, MAP_FAILED);
	ck_assert_int_eq(mprotect(area + 4096, 4096, PROT_READ | PROT_WRITE), 0);
	memory.gpa = RAM_GPA;
	memory.length = 4096;
	memory.host = area + 4096;
	ck_assert_int_eq(gh_vm_map(world.vm, &memory, NULL), 0);
	memory.host = NULL;
	for (uint32_t i = 1; i < 10; i++) {
		memory.gpa = RAM_GPA + i * 4 * MIB;
		ck_assert_int_eq(gh_vm_map(world.vm, &memory, NULL), 0);
	}
	memory.gpa = RAM_GPA + 40 * MIB;
	ck_assert_int_eq(gh_vm_map(world.vm, &memory, NULL), -ENOSPC);
	vcpu = add_vcpu(world.vm, 0);
	ck_assert_int_eq(gh_vm_start(world.vm), 0);
	ck_assert_uint_eq(next_store(vcpu), 0x1234);
	ck_assert_uint_eq(*(const volatile uint32_t *)(const void *)(area + 4096), 0x1234);
	end_world(&world);
	ck_assert_int_eq(munmap(area, 3 * 4096), 0);
}
END_TEST

/* --- lines -------------------------------------------------------------------------------------------------------- */

static int add_irqfd(struct gh_vm *vm, uint32_t line, uint32_t flags, int fd, int resample_fd, struct gh_irqfd **ret_irqfd)
{
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;

	options.line = line;
	options.flags = flags;
	options.fd = fd;
	options.resample_fd = resample_fd;
	return gh_irqfd_add(vm, &options, ret_irqfd);
}

static struct gh_irq *add_irq(struct gh_vm *vm, uint32_t line, uint32_t flags)
{
	struct gh_irq_options options = GH_IRQ_OPTIONS_INIT;
	struct gh_irq *irq = NULL;

	options.line = line;
	options.flags = flags;
	ck_assert_int_eq(gh_irq_add(vm, &options, &irq), 0);
	return irq;
}

/* The same number means the same interrupt, however it is raised, before the start and after it. */
START_TEST(test_numbers)
{
	struct world world = open_world(_i, "wfi; ack; echo 0x3f8 4; loop");
	struct gh_irqfd *early = NULL;
	struct gh_irqfd *irqfd = NULL;
	struct gh_irq *edge;
	struct gh_irq *level;
	struct gh_vcpu *vcpu;

	ck_assert_int_eq(add_irqfd(world.vm, 5, 0, -1, -1, &early), 0);
	ck_assert_int_eq(add_irqfd(world.vm, 100, 0, -1, -1, &irqfd), 0);
	edge = add_irq(world.vm, 7, 0);
	ck_assert_int_eq(gh_irqfd_raise(early), 0);
	vcpu = start_standard(world.vm);
	level = add_irq(world.vm, 987, GH_IRQ_LEVEL);
	ck_assert_uint_eq(next_store(vcpu), 5 + 32);
	ck_assert_int_eq(gh_irqfd_raise(irqfd), 0);
	ck_assert_uint_eq(next_store(vcpu), 100 + 32);
	ck_assert_int_eq(gh_irq_pulse(edge), 0);
	ck_assert_uint_eq(next_store(vcpu), 7 + 32);
	ck_assert_int_eq(gh_irq_set(level, 1), 0);
	ck_assert_uint_eq(next_store(vcpu), 987 + 32);
	ck_assert_int_eq(gh_irq_set(level, 0), 0);
	ck_assert_int_eq(gh_irq_is_emulated(edge), 0);
	/* Without a request for levels, an irqfd stands in. */
	ck_assert_int_eq(gh_irq_is_emulated(level), !world.device->has_irq_line);
	end_world(&world);
}
END_TEST

static uint64_t await_signal(int resample_fd)
{
	struct pollfd poll_fd = { .fd = resample_fd, .events = POLLIN };

	ck_assert_msg(poll(&poll_fd, 1, PATIENCE_MS) == 1, "nobody says that it is time to look again");
	return take_count(resample_fd);
}

/* A device that wants several interrupts: the kernel tells of each acknowledgement, or the library stands in. */
START_TEST(test_resample)
{
	struct world world = open_world(_i, "wfi; ack; echo 0x3f8 4; loop");
	int resample_fd = eventfd(0, EFD_CLOEXEC);
	struct gh_irqfd *irqfd = NULL;
	struct gh_vcpu *vcpu;

	ck_assert_int_eq(add_irqfd(world.vm, 6, GH_IRQ_LEVEL, -1, resample_fd, &irqfd), 0);
	ck_assert_int_eq(gh_irqfd_is_emulated(irqfd), !world.device->resamples);
	vcpu = start_standard(world.vm);
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(gh_irqfd_raise(irqfd), 0);
		ck_assert_uint_eq(next_store(vcpu), 6 + 32);
		ck_assert_uint_eq(await_signal(resample_fd), 1);
	}
	gh_irqfd_remove(irqfd);
	/* Again, and after it something else: nothing of the first one is left. */
	ck_assert_int_eq(add_irqfd(world.vm, 6, GH_IRQ_LEVEL, -1, resample_fd, &irqfd), 0);
	ck_assert_int_eq(gh_irqfd_raise(irqfd), 0);
	ck_assert_uint_eq(next_store(vcpu), 6 + 32);
	ck_assert_uint_eq(await_signal(resample_fd), 1);
	end_world(&world);
	(void)close(resample_fd);
}
END_TEST

/* Level-triggered, and nobody wants to know when it was acknowledged: only where the kernel lowers the line. */
START_TEST(test_level_without_resample)
{
	struct world world = open_world(_i, "wfi; ack; echo 0x3f8 4; loop");
	struct gh_irqfd *lines[2] = { NULL, NULL };
	int ret = add_irqfd(world.vm, 6, GH_IRQ_LEVEL, -1, -1, &lines[0]);
	struct gh_vcpu *vcpu;

	if (!world.device->resamples) {
		ck_assert_int_eq(ret, -EOPNOTSUPP);
		ck_assert(failure_is(gh_vm_failure(world.vm), -EOPNOTSUPP));
		end_world(&world);
		return;
	}
	ck_assert_int_eq(ret, 0);
	ck_assert_int_eq(gh_irqfd_is_emulated(lines[0]), 0);
	vcpu = start_standard(world.vm);
	ck_assert_int_eq(add_irqfd(world.vm, 8, GH_IRQ_LEVEL, -1, -1, &lines[1]), 0);
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(gh_irqfd_raise(lines[i % 2]), 0);
		ck_assert_uint_eq(next_store(vcpu), i % 2 == 0 ? 38 : 40);
	}
	gh_irqfd_remove(lines[0]);
	end_world(&world);
}
END_TEST

/* --- doorbells ---------------------------------------------------------------------------------------------------- */

static struct gh_ioevent *add_bell(struct gh_vm *vm, uint64_t value)
{
	struct gh_ioevent_options options = GH_IOEVENT_OPTIONS_INIT;
	struct gh_ioevent *ioevent = NULL;

	options.gpa = 0x4000;
	options.width = 4;
	options.flags = GH_IOEVENT_DATAMATCH;
	options.value = value;
	ck_assert_int_eq(gh_ioevent_add(vm, &options, &ioevent), 0);
	return ioevent;
}

/* Runs until the guest is at the end of a round; stores to doorbells that make exits go to the bus. */
static void ring_all(struct gh_vcpu *vcpu)
{
	for (;;) {
		const struct gh_exit *exit = run_once(vcpu);

		if (exit->mmio.gpa == PORT)
			return;
		ck_assert_uint_eq(exit->mmio.gpa, 0x4000);
		ck_assert_int_eq(gh_bus_dispatch(vcpu, exit), GH_BUS_DONE);
	}
}

/* Several values at one address, of which most kernels know one. */
START_TEST(test_values)
{
	struct world world = open_world(_i, "store 0x4000 4 0; store 0x4000 4 1; store 0x4000 4 2; store 0x3f8 4 0; loop");
	struct gh_ioevent *bells[3];
	struct gh_vcpu *vcpu;

	bells[0] = add_bell(world.vm, 0);
	bells[1] = add_bell(world.vm, 1);
	vcpu = start_standard(world.vm);
	bells[2] = add_bell(world.vm, 2);
	ck_assert_int_eq(gh_ioevent_is_emulated(bells[0]), 0);
	for (int i = 1; i < 3; i++)
		ck_assert_int_eq(gh_ioevent_is_emulated(bells[i]), !world.device->tells_values);
	ring_all(vcpu);
	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(take_count(gh_ioevent_fd(bells[i])), 1);
	gh_ioevent_remove(bells[0]);
	bells[0] = add_bell(world.vm, 0);
	gh_ioevent_remove(bells[1]);
	bells[1] = add_bell(world.vm, 1);
	ring_all(vcpu);
	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(take_count(gh_ioevent_fd(bells[i])), 1);
	end_world(&world);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("geniezone_rev");
	TCase *tcase = add_case(suite, "every revision");

	tcase_add_loop_test(tcase, test_features, 0, GZ_DEVICES);
	tcase_add_loop_test(tcase, test_probe, 0, GZ_DEVICES);
	tcase_add_loop_test(tcase, test_nothing_found_out, 0, GZ_DEVICES);
	tcase_add_loop_test(tcase, test_overridden, 0, GZ_DEVICES);
	tcase_add_loop_test(tcase, test_boot, 0, GZ_DEVICES);
	tcase_add_loop_test(tcase, test_regions, 0, GZ_DEVICES);
	tcase_add_loop_test(tcase, test_numbers, 0, GZ_DEVICES);
	tcase_add_loop_test(tcase, test_resample, 0, GZ_DEVICES);
	tcase_add_loop_test(tcase, test_level_without_resample, 0, GZ_DEVICES);
	tcase_add_loop_test(tcase, test_values, 0, GZ_DEVICES);
	return run_suite(suite);
}
