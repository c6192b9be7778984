/* SPDX-License-Identifier: BSD-3-Clause */
/* VMs: the states and what may be called in each, the checks of a start, and what a forked child may do. */
#include "board.h"
#include "table.h"

#include "../../lib/internal.h"
#include "../../lib/uapi/gzvm.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct gh_fake *fake;

static void setup(void)
{
	fake = new_fake();
}

static void teardown(void)
{
	gh_fake_free(fake);
}

/* --- states ------------------------------------------------------------------------------------------------------- */

enum state { OPEN, STARTED, ENDED, BROKEN, STATES };

struct subject {
	struct gh_vm *vm;
	struct gh_vcpu *vcpu;
	struct gh_sim *sim;
	struct gh_ioevent *ioevent; /* of test_fork() */
	struct gh_ioevent *emulated;
	struct gh_irqfd *irqfd;
	struct gh_irq *irq;
};

static void reach(struct subject *subject, enum state state)
{
	*subject = (struct subject){ 0 };
	if (state == BROKEN) {
		subject->sim = new_sim(GENIEZONE, "#! fail create-vcpu -5");
		subject->vm = open_sim(subject->sim);
	} else {
		subject->vm = open_fake(fake);
	}
	map_at(subject->vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	subject->vcpu = add_vcpu(subject->vm, 0);
	if (state == BROKEN)
		ck_assert_int_eq(gh_vm_start(subject->vm), -ENOMEM);
	if (state == STARTED || state == ENDED)
		ck_assert_int_eq(gh_vm_start(subject->vm), 0);
	if (state == ENDED) {
		ck_assert_int_eq(gh_fake_stop(fake, 0, GH_STOP_POWER_OFF), 0);
		(void)run_once(subject->vcpu);
	}
}

static void leave(struct subject *subject)
{
	gh_vm_close(subject->vm);
	if (subject->sim != NULL)
		end_sim(subject->sim);
}

static int call_map(struct subject *subject)
{
	struct gh_memory memory = GH_MEMORY_INIT;

	memory.gpa = 2 * RAM_GPA;
	memory.length = 2 * MIB;
	return gh_vm_map(subject->vm, &memory, NULL);
}

static int call_dtb(struct subject *subject)
{
	return gh_vm_set_dtb(subject->vm, DTB_GPA, 4096);
}

static int call_register(struct subject *subject)
{
	return gh_vm_set_register(subject->vm, GH_REG_PC, 0);
}

static int call_firmware(struct subject *subject)
{
	return gh_vm_set_firmware(subject->vm, RAM_GPA, 4096);
}

static int call_protected(struct subject *subject)
{
	return gh_vm_set_protected(subject->vm, 1);
}

/* Nothing that a kernel would have to know. */
static int call_authentication(struct subject *subject)
{
	const struct gh_authentication none = GH_AUTHENTICATION_INIT;

	return gh_vm_set_authentication(subject->vm, &none);
}

static int call_region(struct subject *subject)
{
	struct gh_region_info info = GH_REGION_INFO_INIT;

	return gh_vm_region(subject->vm, 0, &info);
}

static int call_reclaim(struct subject *subject)
{
	return gh_vm_reclaim(subject->vm, RAM_GPA, 4096);
}

static int call_entry(struct subject *subject)
{
	return gh_vm_set_entry(subject->vm, RAM_GPA, 0);
}

static int call_vcpu(struct subject *subject)
{
	struct gh_vcpu *vcpu;

	return gh_vcpu_create(subject->vm, 1, &vcpu);
}

static int call_start(struct subject *subject)
{
	return gh_vm_start(subject->vm);
}

static int call_irqfd(struct subject *subject)
{
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	struct gh_irqfd *irqfd;

	return gh_irqfd_add(subject->vm, &options, &irqfd);
}

static int call_ioevent(struct subject *subject)
{
	struct gh_ioevent_options options = GH_IOEVENT_OPTIONS_INIT;
	struct gh_ioevent *ioevent;

	return gh_ioevent_add(subject->vm, &options, &ioevent);
}

static int call_run(struct subject *subject)
{
	const struct gh_exit *exit;

	(void)gh_vcpu_kick(subject->vcpu);
	return gh_vcpu_run(subject->vcpu, &exit);
}

static int call_complete(struct subject *subject)
{
	return gh_mmio_complete(subject->vcpu, 0);
}

static int call_fail(struct subject *subject)
{
	return gh_mmio_fail(subject->vcpu);
}

static int call_hypercall(struct subject *subject)
{
	static const uint64_t results[4] = { 0 };

	return gh_hypercall_complete(subject->vcpu, results);
}

static int call_kick(struct subject *subject)
{
	return gh_vcpu_kick(subject->vcpu);
}

static int call_access(struct subject *subject)
{
	uint64_t word = 0;
	void *pointer;

	if (gh_vm_write(subject->vm, RAM_GPA, &word, sizeof(word)) != 0 ||
	    gh_vm_read(subject->vm, RAM_GPA, &word, sizeof(word)) != 0)
		return -1;
	return gh_vm_pointer(subject->vm, RAM_GPA, RAM_SIZE, &pointer);
}

/* Refused in a forked child, and, where it is one of the VM, with the reason in its failure. */
static const struct {
	const char *name;
	int (*call)(struct subject *subject);
	int results[STATES];
} calls[] = {
	{ "map", call_map, { 0, -EBUSY, -EBUSY, -EBUSY } },
	{ "set_dtb", call_dtb, { 0, -EBUSY, -EBUSY, -EBUSY } },
	{ "set_register", call_register, { 0, -EBUSY, -EBUSY, -EBUSY } },
	{ "set_entry", call_entry, { 0, -EBUSY, -EBUSY, -EBUSY } },
	{ "set_firmware", call_firmware, { -EOPNOTSUPP, -EBUSY, -EBUSY, -EBUSY } },
	{ "set_protected", call_protected, { -EOPNOTSUPP, -EBUSY, -EBUSY, -EBUSY } },
	{ "set_authentication", call_authentication, { 0, -EBUSY, -EBUSY, -EBUSY } },
	{ "region", call_region, { 0, 0, 0, 0 } },
	{ "reclaim", call_reclaim, { -EBUSY, -EOPNOTSUPP, -EOPNOTSUPP, -EBUSY } },
	{ "vcpu_create", call_vcpu, { 0, 0, 0, -EBUSY } },
	{ "start", call_start, { 0, -EBUSY, -EBUSY, -EBUSY } },
	{ "irqfd_add", call_irqfd, { 0, 0, 0, -EBUSY } },
	{ "ioevent_add", call_ioevent, { 0, 0, 0, -EBUSY } },
	{ "run", call_run, { -EBUSY, 0, 0, -EBUSY } },
	{ "complete", call_complete, { -EBUSY, -EBUSY, -ESHUTDOWN, -EBUSY } },
	{ "fail", call_fail, { -EBUSY, -EBUSY, -ESHUTDOWN, -EBUSY } },
	{ "hypercall", call_hypercall, { -EBUSY, -EBUSY, -ESHUTDOWN, -EBUSY } },
	{ "kick", call_kick, { 0, 0, 0, 0 } },
	{ "access", call_access, { 0, 0, 0, 0 } },
};

START_TEST(test_call_in_state)
{
	size_t call = (size_t)_i / STATES;
	enum state state = (enum state)(_i % STATES);
	struct subject subject;
	int ret;

	reach(&subject, state);
	ret = calls[call].call(&subject);
	ck_assert_msg(ret == calls[call].results[state], "%s in state %d: %d", calls[call].name, (int)state, ret);
	/* Once more: a refusal changes nothing. */
	if (ret == -EBUSY)
		ck_assert_int_eq(calls[call].call(&subject), -EBUSY);
	leave(&subject);
}
END_TEST

START_TEST(test_close_in_state)
{
	struct subject subject;

	reach(&subject, (enum state)_i);
	leave(&subject);
}
END_TEST

/* --- starting ----------------------------------------------------------------------------------------------------- */

static void check_start_refused(struct gh_vm *vm, int error)
{
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(gh_vm_start(vm), error);
		ck_assert(failure_is(gh_vm_failure(vm), error));
		ck_assert_str_eq(gh_vm_failure(vm)->request, "");
	}
}

/* Step by step: each refusal names what is missing, and nothing is lost by asking too early. */
START_TEST(test_start_needs)
{
	struct gh_vm *vm = open_fake(fake);
	struct gh_vcpu *vcpu;

	check_start_refused(vm, -EINVAL);
	(void)add_vcpu(vm, 1);
	check_start_refused(vm, -EINVAL);
	map_at(vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	check_start_refused(vm, -EINVAL); /* vCPU 1 boots nothing */
	vcpu = add_vcpu(vm, 0);
	ck_assert_int_eq(gh_vm_set_dtb(vm, RAM_GPA + RAM_SIZE - 8, 16), 0);
	check_start_refused(vm, -EINVAL);
	ck_assert_int_eq(gh_vm_set_dtb(vm, RAM_GPA - 8, 16), 0);
	check_start_refused(vm, -EINVAL);
	ck_assert_int_eq(gh_vm_set_dtb(vm, 0, 0), 0); /* taken back */
	ck_assert_int_eq(gh_vm_start(vm), 0);
	ck_assert_int_eq(gh_fake_store(fake, 0, 0, 1, 1), 0);
	ck_assert_uint_eq(run_once(vcpu)->kind, GH_EXIT_MMIO);
	gh_vm_close(vm);
}
END_TEST

/* The same for what Gunyah's resource manager would refuse, drop or misplace. */
START_TEST(test_start_needs_on_gunyah)
{
	static const struct tree_shm shms[] = { { 1, 0x90000000 } };
	static const struct tree one_cpu = { .cpus = 1 };
	static const struct tree wrong_base = { .cpus = 2, .base = 0x80200000 };
	static const struct tree with_shm = { .cpus = 2, .shms = shms, .shm_count = 1 };
	struct gh_sim *sim = new_sim(GUNYAH, "register pc; echo 0x10 8; register x0; echo 0x10 8");
	struct gh_vm *vm = open_sim(sim);
	unsigned int files = gh_sim_open_files(sim);
	struct gh_vcpu *vcpu;

	map_at(vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	vcpu = add_vcpu(vm, 0);
	(void)add_vcpu(vm, 1);
	check_start_refused(vm, -EINVAL); /* no tree */
	ck_assert_int_eq(gh_vm_set_dtb(vm, DTB_GPA, TREE_ROOM), 0);
	check_start_refused(vm, -EINVAL); /* nothing there */
	put_tree(vm, &one_cpu);
	check_start_refused(vm, -EINVAL); /* vCPU 1 has no node */
	put_tree(vm, &wrong_base);
	check_start_refused(vm, -EINVAL);
	put_tree(vm, &standard_tree);
	map_at(vm, 0x90000000, 2 * MIB, GH_MEMORY_RWX);
	check_start_refused(vm, -EINVAL); /* the second region would land elsewhere */
	put_tree(vm, &with_shm);
	ck_assert_int_eq(gh_vm_set_entry(vm, RAM_GPA + 4, DTB_GPA), 0);
	check_start_refused(vm, -EOPNOTSUPP);
	ck_assert_int_eq(gh_vm_set_entry(vm, RAM_GPA, DTB_GPA + 8), 0);
	check_start_refused(vm, -EOPNOTSUPP);
	ck_assert_int_eq(gh_vm_set_entry(vm, RAM_GPA, DTB_GPA), 0);
	/* The kernel has heard nothing of all that. */
	ck_assert_uint_eq(gh_sim_open_files(sim), files);
	ck_assert_int_eq(gh_vm_start(vm), 0);
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, RAM_GPA);
	ck_assert_uint_eq(run_once(vcpu)->mmio.value, DTB_GPA);
	gh_vm_close(vm);
	end_sim(sim);
}
END_TEST

START_TEST(test_registers_on_gunyah)
{
	struct gh_sim *sim = new_sim(GUNYAH, "");
	struct gh_vm *vm = open_sim(sim);

	map_at(vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	put_tree(vm, &standard_tree);
	(void)add_vcpu(vm, 0);
	ck_assert_int_eq(gh_vm_set_register(vm, GH_REG_X0 + 1, 0), 0);
	check_start_refused(vm, -EOPNOTSUPP);
	gh_vm_close(vm);
	end_sim(sim);
}
END_TEST

START_TEST(test_registers_on_geniezone)
{
	static const char script[] = "register x0; echo 0x10 8; register x30; echo 0x10 8; register sp; echo 0x10 8;"
				     "register pc; echo 0x10 8; register pstate; echo 0x10 8";
	static const uint64_t values[] = { 10, 40, 41, 0x80000400, 0x3c5 };
	struct gh_sim *sim = new_sim(GENIEZONE, script);
	struct gh_vm *vm = open_sim(sim);
	struct gh_vcpu *vcpu;

	for (uint32_t reg = 0; reg <= GH_REG_PC; reg++)
		ck_assert_int_eq(gh_vm_set_register(vm, reg, 10 + reg), 0);
	ck_assert_int_eq(gh_vm_set_entry(vm, 0x80000400, 10), 0);
	vcpu = start_simply(vm);
	for (size_t i = 0; i < COUNT(values); i++)
		ck_assert_uint_eq(run_once(vcpu)->mmio.value, values[i]);
	gh_vm_close(vm);
	end_sim(sim);
}
END_TEST

/* A start that fails in the kernel leaves a VM that can only be closed; a refusal of the resource manager is one. */
START_TEST(test_start_refused_by_kernel)
{
	struct gh_sim *sim = new_sim(GUNYAH ",policy=production", "");
	struct gh_vm *vm = open_sim(sim);

	map_at(vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX); /* shared, where only lent memory is allowed */
	put_tree(vm, &standard_tree);
	(void)add_vcpu(vm, 0);
	ck_assert_int_eq(gh_vm_start(vm), -ENODEV);
	ck_assert(failure_is(gh_vm_failure(vm), -ENODEV));
	ck_assert_str_ne(gh_vm_failure(vm)->request, "");
	ck_assert_int_eq(gh_vm_start(vm), -EBUSY);
	gh_vm_close(vm);
	end_sim(sim);
}
END_TEST

static void count_line(void *data, const char *line)
{
	ck_assert_ptr_nonnull(line);
	ck_assert_uint_gt(strlen(line), 0);
	++*(unsigned int *)data;
}

START_TEST(test_log)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	unsigned int lines = 0;
	struct gh_vm *vm = NULL;

	options.backend = "fake";
	options.fake = fake;
	options.log = count_line;
	options.log_data = &lines;
	ck_assert_int_eq(gh_vm_open(&options, &vm), 0);
	ck_assert_int_eq(gh_vm_start(vm), -EINVAL);
	ck_assert_uint_eq(lines, 1);
	gh_vm_close(vm);
}
END_TEST

/* Two VMs side by side know nothing of each other. */
START_TEST(test_two_vms)
{
	struct gh_sim *sim = new_sim(GENIEZONE, "store 0x10 4 7; off");
	struct gh_vm *first = open_sim(sim);
	struct gh_vm *second = open_fake(fake);
	struct gh_vcpu *first_vcpu = start_standard(first);
	struct gh_vcpu *second_vcpu = start_simply(second);

	ck_assert_int_eq(gh_fake_store(fake, 0, 0, 1, 1), 0);
	ck_assert_uint_eq(run_once(first_vcpu)->mmio.value, 7);
	ck_assert_uint_eq(run_once(first_vcpu)->kind, GH_EXIT_STOPPED);
	ck_assert_uint_eq(run_once(second_vcpu)->mmio.value, 1);
	gh_vm_close(first);
	ck_assert_int_eq(gh_fake_store(fake, 0, 0, 1, 2), 0);
	ck_assert_uint_eq(run_once(second_vcpu)->mmio.value, 2);
	gh_vm_close(second);
	end_sim(sim);
}
END_TEST

/* --- fork --------------------------------------------------------------------------------------------------------- */

static const char *const kinds[] = { NULL, GUNYAH, GENIEZONE };

static void *run_to_interruption(void *data)
{
	const struct gh_exit *exit = NULL;

	return gh_vcpu_run(data, &exit) == 0 && exit->kind == GH_EXIT_INTERRUPTED ? NULL : data;
}

/* The child may have VMs of its own, whose vCPUs hear of kicks although the child's thread is a copy of the parent's. */
static bool child_lives(void)
{
	struct gh_vm *vm = open_fake(fake);
	struct gh_vcpu *vcpu = start_simply(vm);
	struct gh_vcpu *other = add_vcpu(vm, 1);
	pthread_t thread;
	void *result;

	(void)gh_vcpu_kick(vcpu);
	if (run_to_interruption(vcpu) != NULL || pthread_create(&thread, NULL, run_to_interruption, other) != 0)
		return false;
	pause_ms(10);
	(void)gh_vcpu_kick(other);
	(void)pthread_join(thread, &result);
	gh_vm_close(vm);
	return result == NULL;
}

static int refuse_text(void *data, const char *text, size_t length)
{
	(void)data;
	(void)text;
	(void)length;
	return 0;
}

/* What stands in no table of states: the first that a child may do, from 1, or 0. */
static int child_may(struct gh_vm *vm)
{
	const struct gh_authentication authentication = GH_AUTHENTICATION_INIT;
	const struct gh_fdt_options tree = GH_FDT_OPTIONS_INIT;
	const struct gh_irq_options line = GH_IRQ_OPTIONS_INIT;
	const struct gh_loop_options loop = GH_LOOP_OPTIONS_INIT;
	struct gh_region_info region = GH_REGION_INFO_INIT;
	struct gh_bus_counts counts = GH_BUS_COUNTS_INIT;
	uint64_t word = 0;
	struct gh_fdt *fdt;
	struct gh_irq *irq;
	void *host;
	const int results[] = {
		gh_vm_set_authentication(vm, &authentication),
		gh_vm_reset(vm),
		gh_vm_unmap(vm, 0),
		gh_vm_reclaim(vm, RAM_GPA, 4096),
		gh_vm_region(vm, 0, &region),
		gh_vm_pointer(vm, RAM_GPA, 4096, &host),
		gh_vm_read(vm, RAM_GPA, &word, sizeof(word)),
		gh_vm_write(vm, RAM_GPA, &word, sizeof(word)),
		gh_vm_run(vm, &loop),
		gh_vm_quit(vm),
		gh_vm_pause(vm),
		gh_vm_resume(vm),
		gh_irq_add(vm, &line, &irq),
		gh_fdt_open(vm, &tree, &fdt),
		gh_bus_counts(vm, &counts),
		gh_bus_dump(vm, GH_BUS_TEXT, refuse_text, NULL),
	};

	for (size_t i = 0; i < COUNT(results); i++)
		if (results[i] != -EPERM)
			return (int)i + 1;
	return 0;
}

/* 0: all is well. Ends with _exit(), so no assertions. */
static int child(struct subject *subject)
{
	for (size_t i = 0; i < COUNT(calls); i++)
		if (calls[i].call(subject) != -EPERM || gh_vm_failure(subject->vm)->cause_id != GH_CAUSE_OTHER_PROCESS)
			return 10 + (int)i;
	if (child_may(subject->vm) != 0)
		return 100 + child_may(subject->vm);
	if (gh_vcpu_failure(subject->vcpu)->cause_id != GH_CAUSE_OTHER_PROCESS ||
	    gh_vm_failure(subject->vm)->cause_id != GH_CAUSE_OTHER_PROCESS)
		return 5;
	if (gh_irq_set(subject->irq, 0) != -EPERM || gh_irq_set(subject->irq, 1) != -EPERM ||
	    gh_irq_pulse(subject->irq) != -EINVAL || gh_irqfd_raise(subject->irqfd) != -EPERM)
		return 3;
	/* Removing and closing must not take away from the parent what both have: no request to the device. */
	table_arm(0, 0);
	table_counts = true;
	gh_ioevent_remove(subject->ioevent);
	gh_ioevent_remove(subject->emulated);
	gh_irqfd_remove(subject->irqfd);
	gh_irq_remove(subject->irq);
	gh_vm_close(subject->vm);
	table_counts = false;
	if (table_requests() != 0)
		return 1;
	/* A process of several threads that forks gets no new ones under some tools. */
	return subject->sim != NULL || child_lives() ? 0 : 2;
}

START_TEST(test_fork)
{
	struct gh_ioevent_options bell = GH_IOEVENT_OPTIONS_INIT;
	struct gh_irqfd_options line = GH_IRQFD_OPTIONS_INIT;
	struct gh_irq_options level = GH_IRQ_OPTIONS_INIT;
	struct subject subject = { 0 };
	int status = 0;
	pid_t pid;

	if (kinds[_i] != NULL)
		subject.sim = new_sim(kinds[_i], "store 0x4000 4 1; store 0x10 4 2");
	subject.vm = subject.sim != NULL ? open_sim(subject.sim) : open_fake(fake);
	ck_assert_int_eq(gh_fake_store(fake, 0, 0x4000, 4, 1), 0);
	ck_assert_int_eq(gh_fake_store(fake, 0, 0x10, 4, 2), 0);
	bell.gpa = 0x4000;
	line.line = 5;
	ck_assert_int_eq(gh_ioevent_add(subject.vm, &bell, &subject.ioevent), 0);
	bell.gpa = 0x5000;
	bell.flags = GH_IOEVENT_EMULATE;
	ck_assert_int_eq(gh_ioevent_add(subject.vm, &bell, &subject.emulated), 0);
	ck_assert_int_eq(gh_irqfd_add(subject.vm, &line, &subject.irqfd), 0);
	/* With a thread of its own on Gunyah. */
	level.line = 6;
	level.flags = GH_IRQ_LEVEL;
	ck_assert_int_eq(gh_irq_add(subject.vm, &level, &subject.irq), 0);
	ck_assert_int_eq(gh_irq_set(subject.irq, 1), 0);
	subject.vcpu = start_standard(subject.vm);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(child(&subject));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	ck_assert_msg(WEXITSTATUS(status) == 0, "child: %d", WEXITSTATUS(status));
	/* The parent's VM is as it was. */
	ck_assert_uint_eq(run_once(subject.vcpu)->mmio.value, 2);
	ck_assert_uint_eq(take_count(gh_ioevent_fd(subject.ioevent)), 1);
	leave(&subject);
}
END_TEST

#define BUS_DEVICE UINT64_C(0x9000000)

static struct board board;

static int bus_in_child(struct gh_bus_range *range, struct device *device)
{
	const struct gh_exit exit = { .kind = GH_EXIT_MMIO, .mmio = { .gpa = BUS_DEVICE, .width = 4, .is_store = 1 } };
	const struct gh_bus_range_options options = device_options(device, "child", 0x1000, 8);
	const struct gh_bus_unmatched_options unmatched = GH_BUS_UNMATCHED_OPTIONS_INIT;
	struct gh_bus_range_counts range_counts = GH_BUS_RANGE_COUNTS_INIT;
	struct gh_bus_counts counts = GH_BUS_COUNTS_INIT;

	if (gh_bus_dispatch(board.vcpus[0], &exit) != -EPERM || gh_bus_dispatch(board.vcpus[1], &exit) != -EPERM ||
	    device->calls != 1)
		return 1;
	if (gh_bus_add(board.vm, &options, NULL) != -EPERM || gh_bus_set_unmatched(board.vm, &unmatched) != -EPERM ||
	    gh_bus_set_trace(board.vm, NULL) != -EPERM || gh_bus_range_counts(range, &range_counts) != -EPERM ||
	    gh_bus_counts(board.vm, &counts) != -EPERM)
		return 2;
	gh_bus_remove(range);
	if (device->removed != 0)
		return 3;
	gh_vm_close(board.vm);
	return device->removed == 1 ? 0 : 4;
}

START_TEST(test_fork_with_bus)
{
	struct device device = { .verdict = GH_BUS_DONE };
	struct gh_bus_range *range;
	int status = -1;
	pid_t child;

	board_begin(&board, 2);
	range = board_add_device(&board, &device, "uart", BUS_DEVICE, 0x1000);
	ck_assert_int_eq(board_store(&board, 0, BUS_DEVICE, 4, 1), GH_BUS_DONE);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0)
		_exit(bus_in_child(range, &device));
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(board_store(&board, 0, BUS_DEVICE, 4, 1), GH_BUS_DONE);
	ck_assert_uint_eq(device.calls, 2);
	board_end(&board);
}
END_TEST

/* Where the interrupt controller cannot be: the start says so, and has asked the kernel nothing. */
START_TEST(test_gic_places)
{
	static const struct {
		uint64_t distributor;
		uint64_t redistributors;
		int error;
	} cases[] = {
		{ 0x10000, 0, -ERANGE },             /* no room below */
		{ RAM_GPA, 0x3ff00000, -EEXIST },    /* in memory */
		{ 0x3fff0000, 0x3ffe0000, -EEXIST }, /* on the distributor */
	};
	struct gh_sim *sim = new_sim(GENIEZONE, "off");
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_vm *real = NULL;

	options.machine = sim;
	options.gic_distributor = cases[_i].distributor;
	options.gic_redistributors = cases[_i].redistributors;
	ck_assert_int_eq(gh_vm_open(&options, &real), 0);
	map_at(real, RAM_GPA, 4 * MIB, GH_MEMORY_RWX);
	(void)add_vcpu(real, 0);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(gh_vm_start(real), cases[_i].error);
	gh_vm_close(real);
	end_sim(sim);
}
END_TEST

/*
 * GenieZone's kernel keeps a region that it has refused in its table, and a guest would get whatever comes to its address: the
 * library makes a new VM. The machine's failures count for each VM, so this kernel refuses what it is asked first.
 */
START_TEST(test_refused_region)
{
	struct gh_sim *sim = new_sim(GENIEZONE, "#! fail memory 0 -40\noff");
	struct gh_vm *real = open_sim(sim);
	struct gh_memory memory = GH_MEMORY_INIT;
	uint32_t id = UINT32_MAX;

	memory.gpa = RAM_GPA;
	memory.length = 4 * MIB;
	ck_assert_int_eq(gh_vm_map(real, &memory, NULL), 0);
	memory.gpa = 2 * RAM_GPA;
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(gh_vm_map(real, &memory, &id), -EFAULT);
		ck_assert(failure_is(gh_vm_failure(real), -EFAULT));
		ck_assert_uint_eq(id, UINT32_MAX);
	}
	(void)add_vcpu(real, 0);
	ck_assert_int_eq(gh_vm_start(real), 0);
	gh_vm_close(real);
	end_sim(sim);
}
END_TEST

static int refuse_vms(unsigned long request, uintptr_t arg)
{
	(void)arg;
	return request == UAPI_GZVM_CREATE_VM ? -ENOMEM : 0;
}

/* And if the new one is refused, too, nobody may start it. */
START_TEST(test_refused_again)
{
	struct gh_sim *sim = new_sim(GENIEZONE, "#! fail memory -40\noff");
	struct gh_vm *real = open_sim(sim);
	struct gh_memory memory = GH_MEMORY_INIT;

	memory.gpa = RAM_GPA;
	memory.length = 4 * MIB;
	table_on_ioctl = refuse_vms;
	ck_assert_int_eq(gh_vm_map(real, &memory, NULL), -EFAULT);
	ck_assert_int_eq(gh_vm_map(real, &memory, NULL), -EBUSY);
	ck_assert_int_eq(gh_vm_start(real), -EBUSY);
	ck_assert_int_eq(gh_vm_reset(real), -ENOMEM);
	ck_assert(failure_is(gh_vm_failure(real), -ENOMEM));
	/* What nobody has configured cannot be in the way. */
	table_on_ioctl = NULL;
	ck_assert_int_eq(gh_vm_reset(real), 0);
	gh_vm_close(real);
	end_sim(sim);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vm");
	TCase *tcase = add_case(suite, "vm");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, test_call_in_state, 0, (int)(COUNT(calls) * STATES));
	tcase_add_loop_test(tcase, test_close_in_state, 0, STATES);
	tcase_add_test(tcase, test_start_needs);
	tcase_add_test(tcase, test_start_needs_on_gunyah);
	tcase_add_test(tcase, test_registers_on_gunyah);
	tcase_add_test(tcase, test_registers_on_geniezone);
	tcase_add_test(tcase, test_start_refused_by_kernel);
	tcase_add_test(tcase, test_log);
	tcase_add_test(tcase, test_two_vms);
	tcase_add_loop_test(tcase, test_fork, 0, COUNT(kinds));
	tcase_add_test(tcase, test_fork_with_bus);
	tcase = add_case(suite, "simulated devices");
	tcase_add_loop_test(tcase, test_gic_places, 0, 3);
	tcase_add_test(tcase, test_refused_region);
	tcase_add_test(tcase, test_refused_again);
	return run_suite(suite);
}
