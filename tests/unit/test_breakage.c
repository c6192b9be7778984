/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Nothing that breaks a host kernel can be reached through the library. tests/sim/test_kernel_breakage.c has the cases, and shows that
 * the simulated devices see them; here programs do what they like in every order, with calls that fail, in threads and in
 * forked children, and the devices have nothing to say. The programs are random, and the same each time.
 */
#include "table.h"
#include "util.h"

#include <gh/loop.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAMS 12 /* of each device, with calls that fail and without */
#define STEPS 60
#define OBJECTS 6
#define WHERES 4

static const char *const devices[] = {
	GUNYAH,
	GENIEZONE,
	GUNYAH ",policy=production",
	"sim:gunyah/v8",
	"sim:gunyah/v11",
	"sim:gunyah/android14-6.1-early",
	"sim:gunyah/v17",
	"sim:gunyah/android15-6.6",
	"sim:gunyah/android-latest",
	"sim:gzvm/r0",
	"sim:gzvm/v5",
	"sim:gzvm/v12",
	"sim:gzvm/android-latest",
	"sim:halla",
};
#define DEVICES (int)(sizeof(devices) / sizeof(devices[0]))

/* The first vCPU never sleeps, so that a program can run it as it likes; the second one does. */
static const char *const guests[] = {
	"store 0x5000 4 1; store 0x6000 4 1; load 0x5008 4; loop",
	"store 0x6000 4 1; store 0x6000 4 2; off",
	"load 0x5008 4; on 1; store 0x6004 4 7; reset; vcpu 1; store 0x5000 4 1; wfi",
	"store 0x6000 8 1; crash",
};
#define GUESTS (sizeof(guests) / sizeof(guests[0]))

static uint32_t seed;

static uint32_t pick(uint32_t count)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 12) % count;
}

/* What a program has; NULL and -1: it has not. */
struct program {
	struct gh_sim *sim;
	struct gh_vm *vm;
	struct gh_vcpu *vcpus[OBJECTS];
	struct gh_irqfd *irqfds[OBJECTS];
	struct gh_irq *irqs[OBJECTS];
	struct gh_ioevent *bells[OBJECTS];
	int fds[OBJECTS]; /* its own eventfds */
	void *memory[WHERES];
};

/* --- what a program does ---------------------------------------------------------------------------------------------- */

static void forget(struct program *program)
{
	memset(program->vcpus, 0, sizeof(program->vcpus));
	memset(program->irqfds, 0, sizeof(program->irqfds));
	memset(program->irqs, 0, sizeof(program->irqs));
	memset(program->bells, 0, sizeof(program->bells));
}

static void do_open(struct program *program)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;

	if (program->vm != NULL)
		return;
	options.machine = program->sim;
	if (gh_vm_open(&options, &program->vm) < 0)
		program->vm = NULL;
}

static void do_close(struct program *program)
{
	gh_vm_close(program->vm);
	program->vm = NULL;
	forget(program);
}

/* The library's memory, a caller's with guards, and one that nobody has written to. */
static void do_map(struct program *program)
{
	struct gh_memory memory = GH_MEMORY_INIT;
	uint32_t where = pick(WHERES);

	memory.gpa = RAM_GPA + where * 8 * MIB;
	memory.length = 4 * MIB;
	if (pick(4) == 0)
		memory.flags |= GH_MEMORY_LEND;
	if (pick(3) == 0)
		memory.host = program->memory[where];
	if (pick(16) == 0)
		memory.length = UINT64_C(1) << 40;
	(void)gh_vm_map(program->vm, &memory, NULL);
}

static void do_unmap(struct program *program)
{
	(void)gh_vm_unmap(program->vm, pick(WHERES + 1));
}

/* With fewer cpus than there may be vCPUs, and without some doorbells. */
static void do_tree(struct program *program)
{
	static const struct tree_bell bells[] = { { 5, 5, 1 }, { 6, 6, 4 }, { 7, 7, 1 } };
	struct tree_shm shms[WHERES];
	struct tree tree = { .cpus = 1 + pick(3), .bells = bells, .bell_count = pick(4) };
	static char buffer[TREE_ROOM];
	size_t size;

	for (uint32_t i = 0; i < WHERES; i++)
		shms[i] = (struct tree_shm){ pick(8) == 0 ? 77 : i, RAM_GPA + i * 8 * MIB };
	tree.shms = shms;
	tree.shm_count = WHERES;
	size = tree_build(&tree, buffer, sizeof(buffer));
	ck_assert_uint_gt(size, 0);
	(void)gh_vm_write(program->vm, DTB_GPA, buffer, size);
	(void)gh_vm_set_dtb(program->vm, DTB_GPA, pick(8) == 0 ? 0 : 2 * TREE_ROOM);
}

static void do_vcpu(struct program *program)
{
	uint32_t id = pick(4);
	struct gh_vcpu *vcpu;

	if (gh_vcpu_create(program->vm, id, &vcpu) == 0)
		program->vcpus[id] = vcpu;
}

static int own_fd(struct program *program)
{
	uint32_t which = pick(OBJECTS);

	if (pick(2) == 0)
		return -1;
	if (program->fds[which] < 0)
		program->fds[which] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return program->fds[which];
}

static void do_irqfd(struct program *program)
{
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	uint32_t which = pick(OBJECTS);

	if (program->irqfds[which] != NULL) {
		gh_irqfd_remove(program->irqfds[which]);
		program->irqfds[which] = NULL;
		return;
	}
	options.line = 4 + pick(6);
	options.fd = own_fd(program);
	options.flags = pick(3) == 0 ? GH_IRQ_LEVEL : 0;
	if (gh_irqfd_add(program->vm, &options, &program->irqfds[which]) < 0)
		program->irqfds[which] = NULL;
	else
		(void)gh_irqfd_raise(program->irqfds[which]);
}

static void do_irq(struct program *program)
{
	struct gh_irq_options options = GH_IRQ_OPTIONS_INIT;
	uint32_t which = pick(OBJECTS);

	if (program->irqs[which] != NULL && pick(2) == 0) {
		(void)gh_irq_set(program->irqs[which], (int)pick(2));
	} else if (program->irqs[which] != NULL) {
		gh_irq_remove(program->irqs[which]);
		program->irqs[which] = NULL;
	} else {
		options.line = 4 + pick(6);
		options.flags = pick(2) == 0 ? GH_IRQ_LEVEL : 0;
		if (gh_irq_add(program->vm, &options, &program->irqs[which]) < 0)
			program->irqs[which] = NULL;
	}
}

static void do_bell(struct program *program)
{
	static const uint32_t widths[] = { 0, 4, 8 };
	struct gh_ioevent_options options = GH_IOEVENT_OPTIONS_INIT;
	uint32_t which = pick(OBJECTS);

	if (program->bells[which] != NULL) {
		gh_ioevent_remove(program->bells[which]);
		program->bells[which] = NULL;
		return;
	}
	options.gpa = 0x6000 + 4 * pick(2);
	options.width = widths[pick(3)];
	options.fd = own_fd(program);
	if (options.width != 0 && pick(2) == 0) {
		options.flags = GH_IOEVENT_DATAMATCH;
		options.value = pick(3);
	}
	if (gh_ioevent_add(program->vm, &options, &program->bells[which]) < 0)
		program->bells[which] = NULL;
}

/* A program may close its own at any time. */
static void do_close_fd(struct program *program)
{
	uint32_t which = pick(OBJECTS);

	if (program->fds[which] >= 0)
		(void)close(program->fds[which]);
	program->fds[which] = -1;
}

static void do_start(struct program *program)
{
	(void)gh_vm_start(program->vm);
}

static void do_run(struct program *program)
{
	const struct gh_exit *exit = NULL;
	uint32_t which = pick(4);

	if (program->vcpus[which] == NULL)
		return;
	/* What may sleep returns at once. */
	if (which != 0 || pick(4) == 0)
		(void)gh_vcpu_kick(program->vcpus[which]);
	if (gh_vcpu_run(program->vcpus[which], &exit) == 0 && exit->kind == GH_EXIT_MMIO && pick(4) != 0)
		(void)gh_mmio_complete(program->vcpus[which], 1);
}

static void do_reset(struct program *program)
{
	(void)gh_vm_reset(program->vm);
}

static void do_pause(struct program *program)
{
	if (gh_vm_pause(program->vm) == 0)
		(void)gh_vm_resume(program->vm);
}

/* The child tries all that a VMM may try by mistake, and leaves in one of the three ways. */
static void do_fork(struct program *program)
{
	const struct gh_exit *exit;
	struct gh_vcpu *vcpu;
	int status = 0;
	pid_t child;

	if (pick(4) != 0)
		return;
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child > 0) {
		ck_assert_int_eq(waitpid(child, &status, 0), child);
		ck_assert_int_eq(status, 0);
		return;
	}
	table_arm(0, 0);
	(void)gh_vm_start(program->vm);
	(void)gh_vcpu_create(program->vm, 3, &vcpu);
	(void)gh_vm_reset(program->vm);
	(void)gh_vm_unmap(program->vm, 0);
	for (uint32_t i = 0; i < OBJECTS; i++) {
		if (program->vcpus[i] != NULL)
			(void)gh_vcpu_run(program->vcpus[i], &exit);
		gh_irqfd_remove(program->irqfds[i]);
		gh_ioevent_remove(program->bells[i]);
		if (program->irqs[i] != NULL)
			(void)gh_irq_set(program->irqs[i], 1);
	}
	if (pick(2) == 0)
		gh_vm_close(program->vm);
	_exit(gh_sim_breakage(program->sim) == NULL ? 0 : 1);
}

static void (*const steps[])(struct program *program) = {
	do_open,  do_map, do_map,   do_map,   do_unmap,    do_tree,  do_tree,  do_vcpu,  do_vcpu,
	do_irqfd, do_irq, do_irqfd, do_bell,  do_bell,     do_start, do_start, do_run,   do_run,
	do_run,   do_run, do_run,   do_reset, do_close_fd, do_pause, do_fork,  do_close,
};
#define KINDS_OF_STEPS (uint32_t)(sizeof(steps) / sizeof(steps[0]))

/* --- programs --------------------------------------------------------------------------------------------------------- */

static void begin(struct program *program, const char *device)
{
	*program = (struct program){ .sim = new_sim(device, guests[pick(GUESTS)]) };
	for (uint32_t i = 0; i < OBJECTS; i++)
		program->fds[i] = -1;
	for (uint32_t i = 0; i < WHERES; i++) {
		char *outer = mmap(NULL, 4 * MIB + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		ck_assert_ptr_ne(outer, MAP_FAILED);
		program->memory[i] = outer + 4096;
		ck_assert_int_eq(mprotect(program->memory[i], 4 * MIB, PROT_READ | PROT_WRITE), 0);
	}
	do_open(program);
}

static void end(struct program *program)
{
	gh_vm_close(program->vm);
	/* Later than the VM: what outlives its irqfd breaks now. */
	for (uint32_t i = 0; i < OBJECTS; i++)
		if (program->fds[i] >= 0)
			(void)close(program->fds[i]);
	end_sim(program->sim);
	for (uint32_t i = 0; i < WHERES; i++)
		ck_assert_int_eq(munmap((char *)program->memory[i] - 4096, 4 * MIB + 8192), 0);
}

/* One call of the library in eight fails below, at a call that is picked as well. */
static void take_step(struct program *program, uint32_t kind, bool faults)
{
	static const int errors[] = { -ENOMEM, -EIO, -EINTR, -EBUSY, -EINVAL, -EEXIST };

	if (program->vm == NULL && steps[kind] != do_open)
		return;
	if (faults && pick(8) == 0)
		table_arm(1 + pick(12), errors[pick(sizeof(errors) / sizeof(errors[0]))]);
	table_counts = true;
	steps[kind](program);
	table_counts = false;
	table_arm(0, 0);
}

START_TEST(test_programs)
{
	const char *device = devices[_i / 2];
	bool faults = _i % 2 == 1;

	for (uint32_t n = 0; n < PROGRAMS; n++) {
		struct program program;
		uint32_t kind = 0;

		seed = n * 2654435761u + (uint32_t)_i;
		begin(&program, device);
		for (int step = 0; step < STEPS; step++) {
			kind = pick(KINDS_OF_STEPS);
			take_step(&program, kind, faults);
			if (gh_sim_breakage(program.sim) != NULL)
				ck_abort_msg("program %u of %s, step %d (%u): %s", n, device, step, kind,
					     gh_sim_breakage(program.sim));
		}
		end(&program);
	}
}
END_TEST

/* A program that gets far: everything in its place, and then each kind of step. */
static void furnish(struct program *program)
{
	for (uint32_t i = 0; i < 2; i++)
		map_at(program->vm, RAM_GPA + i * 8 * MIB, 4 * MIB, GH_MEMORY_RWX);
	for (uint32_t id = 0; id < 2; id++)
		program->vcpus[id] = add_vcpu(program->vm, id);
}

static void start_well(struct program *program)
{
	static const struct tree_shm shms[] = { { 1, RAM_GPA + 8 * MIB } };
	struct tree tree = standard_tree;
	int ret;

	tree.shms = shms;
	tree.shm_count = 1;
	put_tree(program->vm, &tree);
	ret = gh_vm_start(program->vm);
	ck_assert_msg(ret == 0, "start: %d (%s)", ret, gh_vm_failure(program->vm)->cause);
}

START_TEST(test_running_programs)
{
	const char *device = devices[_i / 2];
	bool faults = _i % 2 == 1;

	for (uint32_t n = 0; n < PROGRAMS; n++) {
		struct program program;

		seed = n * 2246822519u + (uint32_t)_i;
		begin(&program, device);
		furnish(&program);
		start_well(&program);
		for (int step = 0; step < STEPS / 2; step++)
			take_step(&program, pick(KINDS_OF_STEPS), faults);
		if (gh_sim_breakage(program.sim) != NULL)
			ck_abort_msg("program %u of %s: %s", n, device, gh_sim_breakage(program.sim));
		end(&program);
	}
}
END_TEST

/* The second page of a vCPU's mapping must not be touched: there is none. */
START_TEST(test_one_page)
{
	struct program program;
	unsigned int found = 0;
	char line[512];
	FILE *maps;

	seed = 0;
	begin(&program, GUNYAH);
	furnish(&program);
	start_well(&program);
	maps = fopen("/proc/self/maps", "re");
	ck_assert_ptr_nonnull(maps);
	while (fgets(line, sizeof(line), maps) != NULL) {
		unsigned long start;
		unsigned long last;
		unsigned long offset;

		if (strstr(line, "gh-vcpu") == NULL)
			continue;
		ck_assert_int_eq(sscanf(line, "%lx-%lx %*s %lx", &start, &last, &offset), 3);
		ck_assert_uint_eq(last - start, (unsigned long)sysconf(_SC_PAGESIZE));
		ck_assert_uint_eq(offset, 0);
		found++;
	}
	(void)fclose(maps);
	/* The library's, and the simulated kernel's. */
	ck_assert_uint_eq(found, 4);
	end(&program);
}
END_TEST

/* --- threads ---------------------------------------------------------------------------------------------------------- */

static int leave_it(void *data, struct gh_vcpu *vcpu, const struct gh_exit *exit)
{
	(void)data;
	if (exit->kind == GH_EXIT_MMIO && exit->mmio.is_store == 0)
		(void)gh_mmio_complete(vcpu, 1);
	return GH_LOOP_CONTINUE;
}

static void *run_vm(void *data)
{
	struct gh_loop_options options = GH_LOOP_OPTIONS_INIT;

	options.exit = leave_it;
	(void)gh_vm_run(data, &options);
	return NULL;
}

/* Meanwhile everything else goes on, resets that are refused among it; then one that is not, and the next round. */
START_TEST(test_threads)
{
	struct program program;

	seed = (uint32_t)_i;
	begin(&program, devices[_i]);
	furnish(&program);
	for (int round = 0; round < 8; round++) {
		pthread_t thread;

		start_well(&program);
		ck_assert_int_eq(pthread_create(&thread, NULL, run_vm, program.vm), 0);
		for (int step = 0; step < 40; step++) {
			static void (*const meanwhile[])(struct program *) = { do_irqfd, do_irq,   do_bell,  do_close_fd,
									       do_reset, do_unmap, do_start, do_run,
									       do_vcpu,  do_map };

			/* A reset that comes before the threads do is none that this test is about. */
			if (round % 2 == 0)
				(void)gh_vcpu_kick(program.vcpus[1]);
			meanwhile[pick(4)](&program);
		}
		(void)gh_vm_quit(program.vm);
		(void)pthread_join(thread, NULL);
		ck_assert_int_eq(gh_vm_reset(program.vm), 0);
	}
	end(&program);
}
END_TEST

/* The second thread in a vCPU is refused before the kernel sees it. */
static void *run_again_and_again(void *data)
{
	const struct gh_exit *exit;

	for (int i = 0; i < 200; i++) {
		if (gh_vcpu_run(data, &exit) == 0 && exit->kind == GH_EXIT_MMIO)
			(void)gh_mmio_complete(data, 1);
		(void)gh_vcpu_kick(data);
	}
	return NULL;
}

START_TEST(test_two_threads_in_one)
{
	struct program program;
	pthread_t threads[2];

	seed = (uint32_t)_i;
	begin(&program, devices[_i]);
	furnish(&program);
	start_well(&program);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, run_again_and_again, program.vcpus[0]), 0);
	for (int i = 0; i < 2; i++)
		(void)pthread_join(threads[i], NULL);
	end(&program);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("breakage");
	TCase *tcase = add_case(suite, "programs");

	tcase_add_loop_test(tcase, test_programs, 0, 2 * DEVICES);
	tcase_add_loop_test(tcase, test_running_programs, 0, 4);
	tcase_add_test(tcase, test_one_page);
	tcase = add_case(suite, "threads");
	tcase_add_loop_test(tcase, test_threads, 0, 2);
	tcase_add_loop_test(tcase, test_two_threads_in_one, 0, 2);
	return run_suite(suite);
}
