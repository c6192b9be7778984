/* SPDX-License-Identifier: BSD-3-Clause */
/* A VM that is reset: what stays, what goes, when it cannot be done, and what the kernel is asked. */
#include "rig.h"
#include "world.h"

#include "../../lib/internal.h"
#include "../../lib/uapi/gunyah.h"

#include <gh/bus.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHM_GPA UINT64_C(0x90000000)
#define SHM_SIZE (2 * MIB)
#define SEEN_GPA UINT64_C(0x5000)
#define BELL_GPA UINT64_C(0x6000)
#define LOST_GPA UINT64_C(0x7000)
#define LINE 5u
/* Stores and loads that a device sees, doorbells, and the end. */
#define GUEST                                                                                                              \
	"store 0x5000 4 0x77; store 0x6000 4 1; store 0x6000 4 2; load 0x5008 4; expect 0x99; store 0x5000 4 0x78; off"

/* A whole machine. */
struct machine {
	struct rig rig;
	struct gh_vcpu *vcpus[2];
	struct gh_irqfd *irqfd;
	struct gh_irq *irq;
	struct gh_ioevent *bells[2];
	void *ram;
	void *shm; /* of the caller's */
	unsigned int stores;
	unsigned int loads;
};

static int device(void *data, struct gh_bus_access *access)
{
	struct machine *machine = data;

	if (access->is_store != 0) {
		machine->stores++;
		return 0;
	}
	machine->loads++;
	access->value = 0x99;
	return 0;
}

static void add_range(struct machine *machine)
{
	struct gh_bus_range_options options = GH_BUS_RANGE_OPTIONS_INIT;
	struct gh_bus_range *range;

	options.name = "device";
	options.gpa = SEEN_GPA;
	options.length = 0x10;
	options.access = device;
	options.data = machine;
	ck_assert_int_eq(gh_bus_add(machine->rig.vm, &options, &range), 0);
}

static void add_events(struct machine *machine)
{
	struct gh_irqfd_options irqfd = GH_IRQFD_OPTIONS_INIT;
	struct gh_irq_options irq = GH_IRQ_OPTIONS_INIT;

	irqfd.line = LINE;
	ck_assert_int_eq(gh_irqfd_add(machine->rig.vm, &irqfd, &machine->irqfd), 0);
	irq.line = LINE + 1;
	irq.flags = GH_IRQ_LEVEL;
	ck_assert_int_eq(gh_irq_add(machine->rig.vm, &irq, &machine->irq), 0);
	for (uint64_t i = 0; i < 2; i++) {
		struct gh_ioevent_options bell = GH_IOEVENT_OPTIONS_INIT;

		bell.gpa = BELL_GPA;
		bell.width = 4;
		bell.flags = GH_IOEVENT_DATAMATCH;
		bell.value = i + 1;
		ck_assert_int_eq(gh_ioevent_add(machine->rig.vm, &bell, &machine->bells[i]), 0);
	}
}

static void machine_begin(struct machine *machine, enum rig_kind kind, const char *script)
{
	struct gh_memory shm = GH_MEMORY_INIT;
	char *outer = mmap(NULL, SHM_SIZE + 2 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*machine = (struct machine){ 0 };
	rig_open(&machine->rig, kind, script);
	ck_assert_ptr_ne(outer, MAP_FAILED);
	machine->shm = outer + 4096;
	ck_assert_int_eq(mprotect(machine->shm, SHM_SIZE, PROT_READ | PROT_WRITE), 0);
	map_at(machine->rig.vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	shm.gpa = SHM_GPA;
	shm.length = SHM_SIZE;
	shm.host = machine->shm;
	ck_assert_int_eq(gh_vm_map(machine->rig.vm, &shm, NULL), 0);
	ck_assert_int_eq(gh_vm_pointer(machine->rig.vm, RAM_GPA, RAM_SIZE, &machine->ram), 0);
	for (uint32_t id = 0; id < 2; id++)
		machine->vcpus[id] = add_vcpu(machine->rig.vm, id);
	add_events(machine);
	add_range(machine);
	ck_assert_int_eq(gh_vm_set_entry(machine->rig.vm, RAM_GPA, DTB_GPA), 0);
}

static void machine_start(struct machine *machine)
{
	int ret = rig_write_tree(&machine->rig, DTB_GPA, MIB);

	if (ret == 0)
		ret = gh_vm_start(machine->rig.vm);
	ck_assert_msg(ret == 0, "start: %d (%s)", ret, gh_vm_failure(machine->rig.vm)->cause);
}

static void machine_reset(struct machine *machine)
{
	int ret = gh_vm_reset(machine->rig.vm);

	ck_assert_msg(ret == 0, "reset: %d (%s)", ret, gh_vm_failure(machine->rig.vm)->cause);
}

/* Until the guest has switched itself off. */
static void machine_run(struct machine *machine)
{
	for (int i = 0; i < 100; i++) {
		const struct gh_exit *exit = run_once(machine->vcpus[0]);

		if (exit->kind == GH_EXIT_STOPPED) {
			ck_assert_uint_eq(exit->stop.cause, GH_STOP_POWER_OFF);
			return;
		}
		if (exit->kind == GH_EXIT_MMIO)
			ck_assert_int_eq(gh_bus_dispatch(machine->vcpus[0], exit), GH_BUS_DONE);
	}
	ck_abort_msg("the guest does not end");
}

static void machine_end(struct machine *machine)
{
	rig_close(&machine->rig);
	ck_assert_int_eq(munmap((char *)machine->shm - 4096, SHM_SIZE + 2 * 4096), 0);
}

static bool is_readable(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, 0) == 1;
}

/* The fake's guest is not played from its beginning again: it is told again. */
static void tell(struct machine *machine, const char *script)
{
	if (machine->rig.kind == RIG_FAKE)
		world_queue(machine->rig.fake, script);
}

static const char fake_guest[] =
	"store 0x5000 4 0x77; store 0x6000 4 1; store 0x6000 4 2; load 0x5008 4; store 0x5000 4 0x78; off";

static const char *guest_of(int kind)
{
	return kind == RIG_FAKE ? fake_guest : GUEST;
}

/* --- what stays ------------------------------------------------------------------------------------------------------- */

START_TEST(test_again)
{
	struct machine machine;
	static char first[RIG_LOG];
	unsigned int rounds = 3;

	machine_begin(&machine, (enum rig_kind)_i, guest_of(_i));
	for (unsigned int round = 1; round <= rounds; round++) {
		struct gh_region_info info = GH_REGION_INFO_INIT;
		void *ram = NULL;
		uint64_t value = round;

		machine_start(&machine);
		/* Exactly what the first VM was asked for. */
		if (round == 1)
			(void)snprintf(first, sizeof(first), "%s", rig_log());
		ck_assert_str_eq(rig_log(), first);
		ck_assert(_i == RIG_FAKE || strlen(first) > 20);
		machine_run(&machine);
		if (_i != RIG_KVM) {
			ck_assert_uint_eq(machine.stores, 2 * round);
			ck_assert_uint_eq(machine.loads, round);
			ck_assert_uint_eq(take_count(gh_ioevent_fd(machine.bells[0])), 1);
			ck_assert_uint_eq(take_count(gh_ioevent_fd(machine.bells[1])), 1);
		}
		ck_assert(is_readable(gh_vm_end_fd(machine.rig.vm)));
		ck_assert_int_eq(gh_vm_write(machine.rig.vm, RAM_GPA + 64, &value, sizeof(value)), 0);
		machine_reset(&machine);
		ck_assert(!is_readable(gh_vm_end_fd(machine.rig.vm)));
		/* The memory, with what is in it. */
		ck_assert_int_eq(gh_vm_pointer(machine.rig.vm, RAM_GPA, RAM_SIZE, &ram), 0);
		ck_assert_ptr_eq(ram, machine.ram);
		ck_assert_uint_eq(((uint64_t *)ram)[8], round);
		ck_assert_int_eq(gh_vm_region(machine.rig.vm, 1, &info), 0);
		ck_assert_uint_eq(info.gpa, SHM_GPA);
		ck_assert_uint_eq(info.state, GH_MEMORY_OWNED);
		tell(&machine, fake_guest);
	}
	machine_end(&machine);
}
END_TEST

/* In every state. */
START_TEST(test_states)
{
	struct machine machine;

	machine_begin(&machine, (enum rig_kind)_i, guest_of(_i));
	/* Never started. */
	machine_reset(&machine);
	machine_reset(&machine);
	/* Started and never run. */
	machine_start(&machine);
	machine_reset(&machine);
	/* Half-way through. */
	machine_start(&machine);
	if (_i != RIG_KVM)
		(void)run_once(machine.vcpus[0]);
	machine_reset(&machine);
	tell(&machine, fake_guest);
	machine_start(&machine);
	machine_run(&machine);
	machine_end(&machine);
}
END_TEST

/* A start that has failed half-way is no end. */
START_TEST(test_broken_start)
{
	struct machine machine;
	unsigned long n;

	machine_begin(&machine, (enum rig_kind)_i, guest_of(_i));
	for (n = 1; n < 1000; n++) {
		int ret = rig_write_tree(&machine.rig, DTB_GPA, MIB);

		ck_assert_int_eq(ret, 0);
		table_arm(n, -EIO);
		table_counts = true;
		ret = gh_vm_start(machine.rig.vm);
		table_counts = false;
		if (!table_fired()) {
			ck_assert_int_eq(ret, 0);
			break;
		}
		table_arm(0, 0);
		/* Some calls may fail without harm. */
		machine_reset(&machine);
	}
	ck_assert(_i == RIG_FAKE || n > 5);
	table_arm(0, 0);
	machine_run(&machine);
	machine_end(&machine);
}
END_TEST

/* What is added to a VM that was reset is there, too. */
START_TEST(test_additions)
{
	struct machine machine;
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	struct gh_irqfd *irqfd = NULL;

	machine_begin(&machine, (enum rig_kind)_i, guest_of(_i));
	machine_start(&machine);
	machine_reset(&machine);
	/* The interrupt controller has room for more vCPUs again. */
	for (uint32_t id = 2; id < 5; id++)
		(void)add_vcpu(machine.rig.vm, id);
	options.line = 20;
	ck_assert_int_eq(gh_irqfd_add(machine.rig.vm, &options, &irqfd), 0);
	gh_irqfd_remove(machine.irqfd);
	gh_ioevent_remove(machine.bells[1]);
	map_at(machine.rig.vm, 2 * RAM_GPA, 2 * MIB, GH_MEMORY_RWX);
	machine_start(&machine);
	ck_assert_ptr_null(strstr(rig_log(), "irqfd 5\n"));
	ck_assert(_i == RIG_FAKE || strstr(rig_log(), "irqfd 20\n") != NULL);
	ck_assert(_i == RIG_FAKE || strstr(rig_log(), "vcpu 4\n") != NULL);
	machine_end(&machine);
}
END_TEST

/* --- every kernel ----------------------------------------------------------------------------------------------------- */

static const struct {
	enum rig_kind kind;
	const char *device;
} revisions[] = {
	{ RIG_GUNYAH, "sim:gunyah/v8" },
	{ RIG_GUNYAH, "sim:gunyah/v10" },
	{ RIG_GUNYAH, "sim:gunyah/v11" },
	{ RIG_GUNYAH, "sim:gunyah/v14" },
	{ RIG_GUNYAH, "sim:gunyah/v17" },
	{ RIG_GUNYAH, "sim:gunyah/android14-6.1-early" },
	{ RIG_GUNYAH, "sim:gunyah/android15-6.6-early" },
	{ RIG_GUNYAH, "sim:gunyah/android15-6.6" },
	{ RIG_GUNYAH, "sim:gunyah/android16-6.12" },
	{ RIG_GUNYAH, "sim:gunyah/android-latest" },
	{ RIG_GENIEZONE, "sim:gzvm/r0" },
	{ RIG_GENIEZONE, "sim:gzvm/v4" },
	{ RIG_GENIEZONE, "sim:gzvm/v5" },
	{ RIG_GENIEZONE, "sim:gzvm/v12" },
	{ RIG_GENIEZONE, "sim:gzvm/android15-6.6" },
	{ RIG_GENIEZONE, "sim:gzvm/android-latest" },
	{ RIG_GENIEZONE, "sim:halla" },
};
#define REVISIONS (int)(sizeof(revisions) / sizeof(revisions[0]))

static void start_with_tree(struct rig *rig)
{
	int ret = rig_write_tree(rig, DTB_GPA, MIB);

	if (ret == 0)
		ret = gh_vm_start(rig->vm);
	ck_assert_msg(ret == 0, "%s: start: %d (%s)", gh_vm_backend(rig->vm), ret, gh_vm_failure(rig->vm)->cause);
}

START_TEST(test_every_revision)
{
	struct gh_ioevent_options bell = GH_IOEVENT_OPTIONS_INIT;
	struct gh_ioevent *ioevent = NULL;
	struct gh_vcpu *vcpu;
	struct rig rig;

	rig_open_on(&rig, revisions[_i].kind, revisions[_i].device, "store 0x6000 4 1; store 0x7000 4 1; off");
	map_at(rig.vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	map_at(rig.vm, SHM_GPA, SHM_SIZE, GH_MEMORY_RWX);
	vcpu = add_vcpu(rig.vm, 0);
	bell.gpa = BELL_GPA;
	bell.width = 4;
	ck_assert_int_eq(gh_ioevent_add(rig.vm, &bell, &ioevent), 0);
	for (int round = 0; round < 3; round++) {
		const struct gh_exit *exit;
		uint64_t value = 5;

		/* One of them comes and goes. */
		if (round > 0)
			ck_assert_int_eq(gh_vm_unmap(rig.vm, 1), 0);
		if (round > 0)
			map_at(rig.vm, SHM_GPA, SHM_SIZE, GH_MEMORY_RWX);
		ck_assert_int_eq(gh_vm_write(rig.vm, SHM_GPA, &value, sizeof(value)), 0);
		start_with_tree(&rig);
		exit = run_once(vcpu);
		if (exit->mmio.gpa == BELL_GPA &&
		    gh_bus_dispatch(vcpu, exit) == GH_BUS_DONE) /* no doorbells in the kernel */
			exit = run_once(vcpu);
		ck_assert_uint_eq(exit->mmio.gpa, LOST_GPA);
		ck_assert_uint_eq(take_count(gh_ioevent_fd(ioevent)), 1);
		/* The oldest kernels do not tell of the end. */
		if (round == 0 && strcmp(revisions[_i].device, "sim:gunyah/v8") != 0 &&
		    strcmp(revisions[_i].device, "sim:gunyah/v10") != 0)
			ck_assert_uint_eq(run_once(vcpu)->kind, GH_EXIT_STOPPED);
		value = (uint64_t)gh_vm_reset(rig.vm);
		ck_assert_msg(value == 0, "reset: %s", gh_vm_failure(rig.vm)->cause);
		ck_assert_int_eq(gh_vm_read(rig.vm, SHM_GPA, &value, sizeof(value)), 0);
		ck_assert_uint_eq(value, 5);
	}
	rig_close(&rig);
}
END_TEST

/* --- lines and doorbells ---------------------------------------------------------------------------------------------- */

START_TEST(test_levels)
{
	struct machine machine;
	uint64_t raised = 0;

	machine_begin(&machine, RIG_FAKE, "");
	machine_start(&machine);
	ck_assert_int_eq(gh_irq_set(machine.irq, 1), 0);
	ck_assert_int_eq(gh_fake_line(machine.rig.fake, LINE + 1, &raised), 1);
	ck_assert_uint_eq(raised, 1);
	machine_reset(&machine);
	/* It is the device's, and seen by the next guest; not before the start. */
	ck_assert_int_eq(gh_fake_line(machine.rig.fake, LINE + 1, &raised), 0);
	machine_start(&machine);
	ck_assert_int_eq(gh_fake_line(machine.rig.fake, LINE + 1, &raised), 1);
	ck_assert_uint_eq(raised, 2);
	ck_assert_int_eq(gh_irq_set(machine.irq, 0), 0);
	machine_reset(&machine);
	/* What is set in between is what it says at the start. */
	ck_assert_int_eq(gh_irq_set(machine.irq, 1), 0);
	ck_assert_int_eq(gh_irq_set(machine.irq, 0), 0);
	machine_start(&machine);
	ck_assert_int_eq(gh_fake_line(machine.rig.fake, LINE + 1, &raised), 0);
	ck_assert_uint_eq(raised, 2);
	machine_end(&machine);
}
END_TEST

/* Interrupts of the guest that is gone do not reach the next one; those that come after the reset do. */
START_TEST(test_eventfds)
{
	struct machine machine;
	int fd;

	machine_begin(&machine, (enum rig_kind)_i, "spin");
	fd = gh_irqfd_fd(machine.irqfd);
	ck_assert_int_eq(gh_irqfd_raise(machine.irqfd), 0);
	ck_assert(is_readable(fd));
	machine_reset(&machine);
	ck_assert_int_eq(gh_irqfd_fd(machine.irqfd), fd);
	ck_assert(!is_readable(fd));
	ck_assert_int_eq(gh_irqfd_raise(machine.irqfd), 0);
	ck_assert(is_readable(fd));
	machine_end(&machine);
}
END_TEST

START_TEST(test_interrupts)
{
	static const char *const script = "wfi; ack; store 0x7000 4 1; off";
	struct machine machine;

	machine_begin(&machine, (enum rig_kind)_i, script);
	gh_irq_remove(machine.irq);
	for (int round = 0; round < 3; round++) {
		const struct gh_exit *exit;

		/* Before the start as well: between the old VM and the new one nothing is lost. */
		if (round % 2 == 1)
			ck_assert_int_eq(gh_irqfd_raise(machine.irqfd), 0);
		machine_start(&machine);
		if (round % 2 == 0)
			ck_assert_int_eq(gh_irqfd_raise(machine.irqfd), 0);
		exit = run_once(machine.vcpus[0]);
		ck_assert_uint_eq(exit->kind, GH_EXIT_MMIO);
		ck_assert_uint_eq(exit->mmio.gpa, LOST_GPA);
		machine_reset(&machine);
	}
	machine_end(&machine);
}
END_TEST

/* --- vCPUs ------------------------------------------------------------------------------------------------------------ */

START_TEST(test_loads_are_forgotten)
{
	struct machine machine;
	const struct gh_exit *exit;

	machine_begin(&machine, (enum rig_kind)_i, "load 0x7000 4; store 0x7004 4 1");
	for (int round = 0; round < 2; round++) {
		machine_start(&machine);
		do
			exit = run_once(machine.vcpus[0]);
		while (exit->mmio.gpa != LOST_GPA); /* the fake's guest goes on where it was */
		ck_assert_uint_eq(exit->mmio.is_store, 0);
		/* Of the second time the answer is on its way. */
		if (round == 1)
			ck_assert_int_eq(gh_mmio_complete(machine.vcpus[0], 7), 0);
		machine_reset(&machine);
		ck_assert_int_eq(gh_mmio_complete(machine.vcpus[0], 1), -EBUSY);
		ck_assert_int_eq(gh_mmio_fail(machine.vcpus[0]), -EBUSY);
		/* On the thread that ran it just now: nothing may be entered. */
		ck_assert_int_eq(gh_vcpu_run(machine.vcpus[0], &exit), -EBUSY);
		ck_assert_int_eq(gh_vm_run(machine.rig.vm, NULL), -EINVAL);
		tell(&machine, "load 0x7000 4; store 0x7004 4 1");
	}
	machine_end(&machine);
}
END_TEST

START_TEST(test_kicks_stay)
{
	struct machine machine;

	machine_begin(&machine, (enum rig_kind)_i, "store 0x7000 4 1; off");
	machine_start(&machine);
	ck_assert_int_eq(gh_vcpu_kick(machine.vcpus[0]), 0);
	machine_reset(&machine);
	machine_start(&machine);
	ck_assert_uint_eq(run_once(machine.vcpus[0])->kind, GH_EXIT_INTERRUPTED);
	ck_assert_uint_eq(run_once(machine.vcpus[0])->kind, _i == RIG_KVM ? GH_EXIT_STOPPED : GH_EXIT_MMIO);
	machine_end(&machine);
}
END_TEST

static atomic_int interruptions;

static int count_interruptions(void *data, struct gh_vcpu *vcpu, const struct gh_exit *exit)
{
	(void)data;
	(void)vcpu;
	(void)atomic_fetch_add(&interruptions, exit->kind == GH_EXIT_INTERRUPTED);
	return GH_LOOP_CONTINUE;
}

/* Quitting is over with the reset. */
START_TEST(test_quit)
{
	struct gh_loop_options options = GH_LOOP_OPTIONS_INIT;
	struct machine machine;

	options.exit = count_interruptions;
	machine_begin(&machine, (enum rig_kind)_i, "store 0x5000 4 1; off");
	machine_start(&machine);
	ck_assert_int_eq(gh_vm_quit(machine.rig.vm), 0);
	ck_assert_int_eq(gh_vcpu_loop(machine.vcpus[0], &options), -ECANCELED);
	atomic_store(&interruptions, 0);
	machine_reset(&machine);
	machine_start(&machine);
	ck_assert_int_eq(gh_vm_run(machine.rig.vm, &options), GH_STOP_POWER_OFF);
	ck_assert_int_le(atomic_load(&interruptions), 2);
	machine_end(&machine);
}
END_TEST

START_TEST(test_pauses_stay)
{
	struct machine machine;
	struct runner runner;

	machine_begin(&machine, (enum rig_kind)_i, "store 0x7000 4 1; off");
	machine_start(&machine);
	ck_assert_int_eq(gh_vm_pause(machine.rig.vm), 0);
	machine_reset(&machine);
	machine_start(&machine);
	runner_begin(&runner, machine.vcpus[0]);
	pause_ms(20);
	ck_assert(!atomic_load(&runner.done));
	ck_assert_int_eq(gh_vm_resume(machine.rig.vm), 0);
	ck_assert(runner_returns(&runner));
	runner_end(&runner);
	ck_assert_int_eq(runner.ret, 0);
	ck_assert_int_eq(gh_vm_resume(machine.rig.vm), -EBUSY);
	machine_end(&machine);
}
END_TEST

/* --- a kernel that takes its time -------------------------------------------------------------------------------------- */

static int locked_still;

static int count_as_locked(unsigned long request, uintptr_t arg)
{
	(void)arg;
	if (request == UAPI_GUNYAH_SET_USER_MEM && locked_still > 0 && locked_still-- > 0)
		return -ENOMEM;
	return 0;
}

/* Gunyah's counts the memory of the VM before as locked for a while. */
START_TEST(test_locked_for_a_while)
{
	struct machine machine;

	machine_begin(&machine, RIG_GUNYAH, "off");
	table_on_ioctl = count_as_locked;
	machine_start(&machine);
	locked_still = 20;
	machine_reset(&machine);
	ck_assert_int_eq(locked_still, 0);
	machine_start(&machine);
	machine_run(&machine);
	machine_end(&machine);
}
END_TEST

static unsigned int looks;
static unsigned int looks_before_new_vm;

/* The machine's regions have 6 MiB. */
static const char *count_down(const char *path)
{
	if (strcmp(path, "/proc/self/status") != 0)
		return NULL;
	return ++looks < 20 ? "Name:\tx\nVmLck:\t10240 kB\n" : "Name:\tx\nVmLck:\t 4096 kB\n";
}

static int note_new_vm(unsigned long request, uintptr_t arg)
{
	(void)arg;
	if (request == UAPI_GUNYAH_CREATE_VM)
		looks_before_new_vm = looks;
	return 0;
}

/* Its hypervisor has the memory so long: the new VM is not made before. */
START_TEST(test_memory_comes_back)
{
	struct machine machine;

	machine_begin(&machine, RIG_GUNYAH, "off");
	machine_start(&machine);
	machine_run(&machine);
	looks = 0;
	table_on_ioctl = note_new_vm;
	table_on_open = count_down;
	machine_reset(&machine);
	table_on_open = NULL;
	ck_assert_uint_eq(looks_before_new_vm, 20);
	ck_assert_uint_eq(looks, 20);
	machine_start(&machine);
	machine_run(&machine);
	machine_end(&machine);
}
END_TEST

static int refuse_new_vm(unsigned long request, uintptr_t arg)
{
	(void)arg;
	return request == UAPI_GUNYAH_CREATE_VM ? -ENOMEM : 0;
}

/* A reset that has failed has closed the VM before: nothing of it is left to wait for. */
START_TEST(test_nothing_to_wait_for)
{
	struct machine machine;

	machine_begin(&machine, RIG_GUNYAH, "off");
	machine_start(&machine);
	table_on_ioctl = refuse_new_vm;
	ck_assert_int_eq(gh_vm_reset(machine.rig.vm), -ENOMEM);
	ck_assert(failure_is(gh_vm_failure(machine.rig.vm), -ENOMEM));
	looks = 0;
	table_on_ioctl = NULL;
	table_on_open = count_down;
	machine_reset(&machine);
	table_on_open = NULL;
	ck_assert_uint_eq(looks, 0);
	machine_end(&machine);
}
END_TEST

/* --- when it cannot be done ------------------------------------------------------------------------------------------- */

START_TEST(test_lent)
{
	struct machine machine;
	struct gh_memory memory = GH_MEMORY_INIT;
	enum rig_kind kind = _i == 0 ? RIG_FAKE : RIG_GUNYAH;

	machine_begin(&machine, kind, "store 0x7000 4 1; off");
	memory.gpa = 2 * RAM_GPA;
	memory.length = 2 * MIB;
	memory.flags |= GH_MEMORY_LEND;
	ck_assert_int_eq(gh_vm_map(machine.rig.vm, &memory, NULL), 0);
	/* Nothing has been lent yet. */
	machine_reset(&machine);
	machine_start(&machine);
	ck_assert_int_eq(gh_vm_reset(machine.rig.vm), -EOPNOTSUPP);
	ck_assert(failure_is(gh_vm_failure(machine.rig.vm), -EOPNOTSUPP));
	ck_assert_ptr_nonnull(strstr(gh_vm_failure(machine.rig.vm)->cause, "Region 2 was lent"));
	/* Nothing has changed. */
	ck_assert_uint_eq(run_once(machine.vcpus[0])->mmio.gpa, LOST_GPA);
	ck_assert_uint_eq(run_once(machine.vcpus[0])->kind, GH_EXIT_STOPPED);
	machine_end(&machine);
}
END_TEST

static struct machine *in_handler;

static int reset_inside(void *data, struct gh_vcpu *vcpu, const struct gh_exit *exit)
{
	int *result = data;

	(void)vcpu;
	if (exit->kind == GH_EXIT_MMIO)
		*result = gh_vm_reset(in_handler->rig.vm);
	return GH_LOOP_CONTINUE;
}

/* The second vCPU sleeps until it is kicked. */
START_TEST(test_busy)
{
	struct machine machine;
	struct runner runner;

	machine_begin(&machine, (enum rig_kind)_i, "off");
	machine_start(&machine);
	runner_begin(&runner, machine.vcpus[1]);
	while (gh_where_place(atomic_load(&machine.vcpus[1]->where)) == GH_OUT)
		pause_ms(1);
	ck_assert_int_eq(gh_vm_reset(machine.rig.vm), -EBUSY);
	ck_assert(failure_is(gh_vm_failure(machine.rig.vm), -EBUSY));
	ck_assert_ptr_nonnull(strstr(gh_vm_failure(machine.rig.vm)->cause, "vCPU 1"));
	/* The other one was claimed and let go. */
	ck_assert_int_eq(gh_vcpu_kick(machine.vcpus[0]), 0);
	ck_assert_uint_eq(run_once(machine.vcpus[0])->kind, GH_EXIT_INTERRUPTED);
	ck_assert_int_eq(gh_vcpu_kick(machine.vcpus[1]), 0);
	ck_assert(runner_returns(&runner));
	runner_end(&runner);
	ck_assert_uint_eq(runner.kind, GH_EXIT_INTERRUPTED);
	machine_reset(&machine);
	machine_end(&machine);
}
END_TEST

START_TEST(test_inside_a_loop)
{
	struct gh_loop_options options = GH_LOOP_OPTIONS_INIT;
	struct machine machine;
	int result = 0;

	machine_begin(&machine, (enum rig_kind)(_i / 2), "store 0x7000 4 1; off");
	machine_start(&machine);
	in_handler = &machine;
	options.exit = reset_inside;
	options.data = &result;
	if (_i % 2 == 0)
		ck_assert_int_eq(gh_vcpu_loop(machine.vcpus[0], &options), GH_STOP_POWER_OFF);
	else
		ck_assert_int_eq(gh_vm_run(machine.rig.vm, &options), GH_STOP_POWER_OFF);
	ck_assert_int_eq(result, -EBUSY);
	machine_reset(&machine);
	machine_end(&machine);
}
END_TEST

START_TEST(test_child)
{
	struct machine machine;
	int status = 0;
	pid_t child;

	machine_begin(&machine, (enum rig_kind)_i, "store 0x7000 4 1; off");
	machine_start(&machine);
	child = fork();
	if (child == 0)
		_exit(gh_vm_reset(machine.rig.vm) == -EPERM && gh_vm_unmap(machine.rig.vm, 1) == -EPERM ? 0 : 1);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(gh_vm_reset(NULL), -EINVAL);
	machine_end(&machine);
}
END_TEST

/* From a thread that has never run it; and the vCPUs move to others. */
static void *reset_elsewhere(void *data)
{
	struct machine *machine = data;

	machine_reset(machine);
	machine_start(machine);
	return NULL;
}

START_TEST(test_another_thread)
{
	struct machine machine;
	pthread_t thread;

	machine_begin(&machine, (enum rig_kind)_i, guest_of(_i));
	machine_start(&machine);
	machine_run(&machine);
	for (int round = 0; round < 3; round++) {
		tell(&machine, fake_guest);
		ck_assert_int_eq(pthread_create(&thread, NULL, reset_elsewhere, &machine), 0);
		(void)pthread_join(thread, NULL);
		machine_run(&machine);
	}
	machine_end(&machine);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("reset");
	TCase *tcase = add_case(suite, "what stays");

	tcase_add_loop_test(tcase, test_again, 0, RIG_KINDS);
	tcase_add_loop_test(tcase, test_states, 0, RIG_KINDS);
	tcase_add_loop_test(tcase, test_broken_start, 0, RIG_KINDS);
	tcase_add_loop_test(tcase, test_additions, 0, RIG_KINDS);
	tcase_add_loop_test(tcase, test_every_revision, 0, REVISIONS);
	tcase = add_case(suite, "lines and doorbells");
	tcase_add_test(tcase, test_levels);
	tcase_add_loop_test(tcase, test_eventfds, 0, RIG_KINDS);
	tcase_add_loop_test(tcase, test_interrupts, RIG_GUNYAH, RIG_KVM);
	tcase = add_case(suite, "vcpus");
	tcase_add_loop_test(tcase, test_loads_are_forgotten, 0, RIG_KVM);
	tcase_add_loop_test(tcase, test_kicks_stay, 0, RIG_KINDS);
	tcase_add_loop_test(tcase, test_quit, 0, RIG_KINDS);
	tcase_add_loop_test(tcase, test_pauses_stay, 0, RIG_KINDS);
	tcase_add_test(tcase, test_locked_for_a_while);
	tcase_add_test(tcase, test_memory_comes_back);
	tcase_add_test(tcase, test_nothing_to_wait_for);
	tcase = add_case(suite, "refused");
	tcase_add_loop_test(tcase, test_lent, 0, 2);
	tcase_add_loop_test(tcase, test_busy, 0, RIG_KVM);
	tcase_add_loop_test(tcase, test_inside_a_loop, 0, 2 * RIG_KVM);
	tcase_add_loop_test(tcase, test_child, 0, RIG_KINDS);
	tcase_add_loop_test(tcase, test_another_thread, 0, RIG_KINDS);
	return run_suite(suite);
}
