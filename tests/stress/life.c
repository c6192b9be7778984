/* SPDX-License-Identifier: BSD-3-Clause */
/* One VM from its start to its end, with its vCPU's thread. */
#include "stress.h"

#include "../sim/tree.h"

#include <gh/sim.h>

#include <errno.h>
#include <string.h>

#define MEMORY 0x200000u
#define TREE_AT 0x100000u
#define LINE 32u
#define SCRIPT_SIZE 8192u
#define DEVICE_SIZE 128u
/* A real guest in an emulated machine takes longer for everything. */
#define SCRIPT_ROUNDS 40u
#define SCRIPT_TURNS 60000u
#define GUEST_ROUNDS 40u
#define GUEST_TURNS 100000u

/* --- what a loop does with an exit -------------------------------------------------------------------------------- */

void life_delivered(struct life *life)
{
	/* In this order: a kick is counted before it is sent. */
	const unsigned long delivered = atomic_fetch_add(&life->delivered, 1) + 1;

	if (delivered <= atomic_load(&life->sent))
		return;
	(void)atomic_fetch_sub(&life->delivered, 1);
	life->counts.kicks_from_nowhere++;
}

void life_access(struct life *life, const struct gh_exit_mmio *mmio, uint64_t *ret_answer)
{
	const struct program *program = &life->program;

	delays_answer_out(false);
	check_access(&life->check, mmio, ret_answer);
	atomic_store(&life->waits, program->steps[(life->check.last + 1) % program->count].kind == STEP_WAIT);
	(void)atomic_fetch_add(&life->progress, 1);
}

static int answer(struct life *life, uint64_t value)
{
	if (random_once_in(16)) {
		life->deferred_value = value;
		life->counts.deferred++;
		(void)sem_post(&life->deferrals);
		return GH_LOOP_DEFER;
	}
	delays_answer_out(value != 0);
	if (gh_mmio_complete(life->vcpu, value) < 0)
		life->counts.errors++;
	return GH_LOOP_CONTINUE;
}

static int on_exit_of_guest(void *data, struct gh_vcpu *vcpu, const struct gh_exit *exit)
{
	struct life *life = data;
	uint64_t value = 0;

	(void)vcpu;
	if (atomic_load(&life->leave))
		return GH_LOOP_LEAVE;
	if (exit->kind == GH_EXIT_INTERRUPTED) {
		life_delivered(life);
		return GH_LOOP_CONTINUE;
	}
	if (exit->kind != GH_EXIT_MMIO) {
		life->counts.exits_wrong++;
		return GH_LOOP_CONTINUE;
	}
	life_access(life, &exit->mmio, &value);
	return exit->mmio.is_store ? GH_LOOP_CONTINUE : answer(life, value);
}

/* The end stays: whatever is called then, and however often. */
static void check_after_end(struct life *life, uint32_t cause)
{
	for (int i = 0; i < 3; i++) {
		const struct gh_exit *exit = NULL;

		if (gh_vcpu_run(life->vcpu, &exit) != 0 || exit->kind != GH_EXIT_STOPPED || exit->stop.cause != cause)
			life->counts.ends_wrong++;
		if (gh_vcpu_kick(life->vcpu) != 0)
			life->counts.errors++;
	}
}

static void run(struct life *life)
{
	struct gh_loop_options options = GH_LOOP_OPTIONS_INIT;
	int ret;

	options.exit = on_exit_of_guest;
	options.data = life;
	ret = gh_vcpu_loop(life->vcpu, &options);
	if (ret < 0 && !atomic_load(&life->leave)) {
		(void)fprintf(stderr, "gh-stress: the loop: %s: %s\n", strerror(-ret), gh_vcpu_failure(life->vcpu)->cause);
		life->counts.errors++;
	}
	if (ret < 0)
		return;
	check_end(&life->check, (uint32_t)ret);
	check_after_end(life, (uint32_t)ret);
}

static void on_leave(int signal)
{
	(void)signal;
}

/* Only the signals of kicks, and the one of a test that has failed, reach the vCPU's thread. */
static void *runner(void *argument)
{
	struct life *life = argument;
	sigset_t set;

	random_stream(UINT64_C(1) << 32 | life->stress->counts.lives);
	(void)sigfillset(&set);
	(void)sigdelset(&set, SIGNAL_LEAVES);
	(void)pthread_sigmask(SIG_SETMASK, &set, NULL);
	if (life->stress->naive == NAIVE_NONE)
		run(life);
	else
		naive_run(life);
	atomic_store(&life->ended, true);
	(void)sem_post(&life->deferrals);
	return NULL;
}

/* --- the VM ------------------------------------------------------------------------------------------------------- */

static int fill_memory(struct life *life)
{
	static const struct tree_bell bell = { LINE, LINE, 1 };
	const struct tree tree = { .cpus = 1, .bells = &bell, .bell_count = 1 };
	struct gh_memory memory = GH_MEMORY_INIT;
	char blob[TREE_ROOM];
	size_t size = tree_build(&tree, blob, sizeof(blob));
	int ret;

	memory.gpa = TREE_BASE;
	memory.length = MEMORY;
	ret = gh_vm_map(life->vm, &memory, NULL);
	if (ret == 0)
		ret = gh_vm_write(life->vm, TREE_BASE + TREE_AT, blob, size);
	if (ret == 0)
		ret = gh_vm_set_dtb(life->vm, TREE_BASE + TREE_AT, 2 * TREE_ROOM);
	if (ret == 0)
		ret = gh_vm_set_entry(life->vm, TREE_BASE, TREE_BASE + TREE_AT);
	if (ret == 0 && life->stress->real_guest && !guest_load(life, TREE_BASE))
		ret = -ENOTSUP;
	return ret;
}

static int make_machine(struct life *life)
{
	struct gh_sim_options options = GH_SIM_OPTIONS_INIT;
	char script[SCRIPT_SIZE];

	if (life->stress->real_guest)
		return 0;
	program_script(&life->program, script, sizeof(script));
	options.device = life->stress->device;
	options.script = script;
	return gh_sim_new(&options, &life->sim);
}

static int begin(struct life *life, struct gh_failure *failure)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_irqfd_options line = GH_IRQFD_OPTIONS_INIT;
	int ret = make_machine(life);

	options.machine = life->sim;
	options.device = life->stress->real_guest ? life->stress->device : NULL;
	options.gic_distributor = TREE_GIC_DISTRIBUTOR;
	options.gic_redistributors = TREE_GIC_REDISTRIBUTORS;
	options.failure = failure;
	if (ret == 0)
		ret = gh_vm_open(&options, &life->vm);
	if (ret < 0)
		return ret;
	ret = fill_memory(life);
	if (ret == 0)
		ret = gh_vcpu_create(life->vm, 0, &life->vcpu);
	line.line = LINE;
	if (ret == 0)
		ret = gh_irqfd_add(life->vm, &line, &life->line);
	if (ret == 0)
		ret = gh_vm_start(life->vm);
	if (ret < 0)
		*failure = *gh_vm_failure(life->vm);
	return ret;
}

static void end(struct life *life)
{
	gh_vm_close(life->vm);
	if (life->sim == NULL)
		return;
	if (gh_sim_open_files(life->sim) != 0 || gh_sim_breakage(life->sim) != NULL)
		life->counts.errors++;
	gh_sim_free(life->sim);
}

static void choose_delays(const struct stress *stress)
{
	static const uint32_t rates[] = { 12, 60, 400 };
	bool has_courier = stress->kind == DEVICE_GUNYAH && stress->naive == NAIVE_NONE;

	delays_set(stress->delays ? rates[random_below(3)] : 0, has_courier, stress->stalls);
}

static void add_up(struct life *life)
{
	struct counts *counts = &life->counts;

	counts->lives = 1;
	counts->sent = atomic_load(&life->sent);
	counts->delivered = atomic_load(&life->delivered);
	counts->kicks_lost += atomic_load(&life->kicks_lost);
	counts->errors += life->deferral_errors;
	counts_add(&life->stress->counts, counts);
}

bool life_live(struct stress *stress, uint64_t stream)
{
	const struct sigaction leave = { .sa_handler = on_leave };
	struct gh_failure failure = GH_FAILURE_INIT;
	struct life life;
	int ret;

	memset(&life, 0, sizeof(life));
	life.stress = stress;
	(void)sem_init(&life.deferrals, 0, 0);
	(void)sigaction(SIGNAL_LEAVES, &leave, NULL);
	random_stream(stream);
	program_make(&life.program, stress->real_guest ? GUEST_ROUNDS : SCRIPT_ROUNDS,
		     stress->real_guest ? GUEST_TURNS : SCRIPT_TURNS);
	check_begin(&life.check, &life.program, &life.counts);
	ret = begin(&life, &failure);
	if (ret == 0) {
		naive_claim(stress->naive);
		choose_delays(stress);
		ret = -pthread_create(&life.runner, NULL, runner, &life);
	}
	if (ret == 0) {
		kickers_run(&life, stream);
		(void)pthread_join(life.runner, NULL);
		delays_set(0, false, 0);
	} else {
		(void)fprintf(stderr, "gh-stress: %s: %s: %s\n", stress->device, failure.step, failure.cause);
	}
	end(&life);
	add_up(&life);
	(void)sem_destroy(&life.deferrals);
	return ret == 0;
}
