/* SPDX-License-Identifier: BSD-3-Clause */
#include "util.h"

#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static unsigned int count_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned int count = 0;

	ck_assert_ptr_nonnull(directory);
	while (readdir(directory) != NULL)
		count++;
	(void)closedir(directory);
	return count;
}

/* Shared anonymous memory and memory files: an allocator or a sanitizer makes neither. */
static unsigned int count_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned int count = 0;
	char line[512];

	ck_assert_ptr_nonnull(maps);
	while (fgets(line, sizeof(line), maps) != NULL)
		if (strstr(line, "/dev/zero (deleted)") != NULL || strstr(line, "/memfd:") != NULL)
			count++;
	(void)fclose(maps);
	return count;
}

struct holdings holdings_now(void)
{
	return (struct holdings){ .descriptors = count_descriptors(), .mappings = count_mappings() };
}

bool holdings_equal(struct holdings a, struct holdings b)
{
	return a.descriptors == b.descriptors && a.mappings == b.mappings;
}

static struct holdings before;

void leaks_begin(void)
{
	before = holdings_now();
}

void leaks_end(void)
{
	struct holdings after = holdings_now();

	ck_assert_uint_eq(after.descriptors, before.descriptors);
	ck_assert_uint_eq(after.mappings, before.mappings);
}

int run_suite(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

TCase *add_case(Suite *suite, const char *name)
{
	TCase *tcase = tcase_create(name);

	tcase_add_checked_fixture(tcase, leaks_begin, leaks_end);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return tcase;
}

struct gh_fake *new_fake(void)
{
	struct gh_fake *fake = NULL;

	ck_assert_int_eq(gh_fake_new(&fake), 0);
	return fake;
}

struct gh_vm *open_fake(struct gh_fake *fake)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_vm *vm = NULL;

	options.backend = "fake";
	options.fake = fake;
	ck_assert_int_eq(gh_vm_open(&options, &vm), 0);
	return vm;
}

struct gh_sim *new_sim(const char *device, const char *script)
{
	struct gh_sim_options options = GH_SIM_OPTIONS_INIT;
	struct gh_sim *sim = NULL;

	options.device = device;
	options.script = script;
	ck_assert_int_eq(gh_sim_new(&options, &sim), 0);
	return sim;
}

struct gh_vm *open_sim(struct gh_sim *sim)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_vm *vm = NULL;

	options.machine = sim;
	ck_assert_int_eq(gh_vm_open(&options, &vm), 0);
	return vm;
}

void map_at(struct gh_vm *vm, uint64_t gpa, uint64_t length, uint32_t flags)
{
	struct gh_memory memory = GH_MEMORY_INIT;

	memory.gpa = gpa;
	memory.length = length;
	memory.flags = flags;
	ck_assert_int_eq(gh_vm_map(vm, &memory, NULL), 0);
}

struct gh_vcpu *add_vcpu(struct gh_vm *vm, uint32_t id)
{
	struct gh_vcpu *vcpu = NULL;

	ck_assert_int_eq(gh_vcpu_create(vm, id, &vcpu), 0);
	return vcpu;
}

struct gh_vcpu *start_simply(struct gh_vm *vm)
{
	struct gh_vcpu *vcpu;

	map_at(vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	vcpu = add_vcpu(vm, 0);
	ck_assert_int_eq(gh_vm_start(vm), 0);
	return vcpu;
}

static const struct tree_bell standard_bells[] = { { 5, 5, 1 }, { 6, 6, 4 } };
const struct tree standard_tree = { .cpus = 2, .bells = standard_bells, .bell_count = 2 };

void put_tree(struct gh_vm *vm, const struct tree *tree)
{
	static char buffer[TREE_ROOM];
	size_t size = tree_build(tree, buffer, sizeof(buffer));

	ck_assert_uint_gt(size, 0);
	ck_assert_int_eq(gh_vm_write(vm, DTB_GPA, buffer, size), 0);
	ck_assert_int_eq(gh_vm_set_dtb(vm, DTB_GPA, 2 * TREE_ROOM), 0);
}

struct gh_vcpu *start_standard(struct gh_vm *vm)
{
	struct gh_vcpu *vcpu;
	int ret;

	map_at(vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	put_tree(vm, &standard_tree);
	vcpu = add_vcpu(vm, 0);
	ret = gh_vm_start(vm);
	ck_assert_msg(ret == 0, "start: %d (%s)", ret, gh_vm_failure(vm)->cause);
	return vcpu;
}

const struct gh_exit *run_once(struct gh_vcpu *vcpu)
{
	const struct gh_exit *exit = NULL;
	int ret = gh_vcpu_run(vcpu, &exit);

	ck_assert_msg(ret == 0, "run: %d (%s)", ret, gh_vcpu_failure(vcpu)->cause);
	return exit;
}

void end_sim(struct gh_sim *sim)
{
	const char *breakage = gh_sim_breakage(sim);

	ck_assert_msg(breakage == NULL, "%s", breakage);
	ck_assert_uint_eq(gh_sim_open_files(sim), 0);
	gh_sim_free(sim);
}

static void *runner_main(void *data)
{
	struct runner *runner = data;
	const struct gh_exit *exit = NULL;

	runner->ret = gh_vcpu_run(runner->vcpu, &exit);
	if (runner->ret == 0) {
		runner->kind = exit->kind;
		runner->value = exit->kind == GH_EXIT_MMIO ? exit->mmio.value : 0;
		runner->cause = exit->kind == GH_EXIT_STOPPED ? exit->stop.cause : 0;
	}
	atomic_store(&runner->done, true);
	return NULL;
}

void runner_begin(struct runner *runner, struct gh_vcpu *vcpu)
{
	*runner = (struct runner){ .vcpu = vcpu, .kind = UINT32_MAX };
	ck_assert_int_eq(pthread_create(&runner->thread, NULL, runner_main, runner), 0);
}

void runner_end(struct runner *runner)
{
	(void)pthread_join(runner->thread, NULL);
}

bool runner_returns(struct runner *runner)
{
	for (int i = 0; i < PATIENCE_MS && !atomic_load(&runner->done); i++)
		pause_ms(1);
	return atomic_load(&runner->done);
}

uint64_t take_count(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	uint64_t count = 0;

	if (poll(&poll_fd, 1, 0) != 1)
		return 0;
	ck_assert_int_eq(read(fd, &count, sizeof(count)), (ssize_t)sizeof(count));
	return count;
}

void pause_ms(unsigned int ms)
{
	const struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000L };

	(void)nanosleep(&time, NULL);
}

bool failure_is(const struct gh_failure *failure, int error)
{
	return failure->error == error && failure->step[0] != '\0' && failure->cause[0] != '\0' &&
	       failure->remedy[0] != '\0';
}
