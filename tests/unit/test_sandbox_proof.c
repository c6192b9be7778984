/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The list of a running VM's system calls is complete, and nothing on it is too much: VMs on every kind of kernel live through
 * all that the phases are for, while a table of our own compares each call that the library makes with the list.
 */
#include "rig.h"

#include "../../lib/internal.h"
#include "../../lib/sandbox.h"
#include "../../lib/uapi/gunyah.h"
#include "../../lib/uapi/kvm.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define DEVICE_GPA UINT64_C(0x9000000)
#define BELL_GPA UINT64_C(0x6000)
#define MORE_GPA UINT64_C(0x90000000)
#define MORE_SIZE (2 * MIB)
#define MOST 80

/* --- the proof ------------------------------------------------------------------------------------------------------ */

/* What becomes of the slots of struct gh_sys: one call, or one of two with different C libraries. */
static const struct {
	const char *slot;
	const char *calls[2];
	uint64_t detail; /* where the slot's own is no argument of the call */
} slots[] = {
	{ "open", { "openat" }, 0 },
	{ "close", { "close" }, 0 },
	{ "dup", { "fcntl" }, F_DUPFD_CLOEXEC },
	{ "ioctl", { "ioctl" }, 0 },
	{ "enter", { "ioctl" }, 0 },
	{ "eventfd", { "eventfd2" }, 0 },
	{ "read", { "read" }, 0 },
	{ "write", { "write" }, 0 },
	{ "fstat", { "fstat", "newfstatat" }, 0 },
	{ "ppoll", { "ppoll" }, 0 },
	{ "epoll_create", { "epoll_create1" }, 0 },
	{ "epoll_ctl", { "epoll_ctl" }, 0 },
	{ "epoll_wait", { "epoll_pwait" }, 0 },
	{ "mmap", { "mmap" }, 0 },
	{ "map_file", { "mmap" }, 0 },
	{ "munmap", { "munmap" }, 0 },
	{ "mprotect", { "mprotect" }, 0 },
	{ "madvise", { "madvise" }, 0 },
	{ "mlock", { "mlock2" }, 0 },
	{ "munlock", { "munlock" }, 0 },
	{ "gettid", { "gettid" }, 0 },
	{ "tgkill", { "tgkill" }, 0 },
	{ "sigaction", { "rt_sigaction" }, 0 },
	{ "sigprocmask", { "rt_sigprocmask" }, 0 },
	{ "thread_time", { "clock_gettime" }, 0 },
	{ "now", { "clock_gettime" }, 0 },
	{ "move_to_cpu", { "sched_setaffinity" }, 0 },
	{ "getrlimit", { "prlimit64" }, 0 },
	{ "membarrier", { "membarrier" }, 0 },
	{ "yield", { "sched_yield" }, 0 },
};

#define TABLES 5

static const struct gh_needs *table_at(size_t index)
{
	const struct gh_backend *const backends[TABLES] = { NULL, &gh_backend_gunyah, &gh_backend_geniezone,
							    &gh_backend_halla, &gh_backend_kvm };

	return index == 0 ? &gh_sandbox_needs : backends[index]->needs;
}

static struct {
	pthread_mutex_t lock;
	bool on;
	uint32_t others; /* phases of threads that are not the test's own */
	struct gh_syscall calls[MOST];
	uint32_t n_calls;
	uint32_t made[TABLES][MOST]; /* phases in which a row was needed */
	char wrong[256];
} proof = { .lock = PTHREAD_MUTEX_INITIALIZER };

static _Thread_local uint32_t own_phase;

static void count(const struct gh_syscall *call, uint32_t phase)
{
	for (size_t t = 0; t < TABLES; t++)
		for (uint32_t i = 0; i < table_at(t)->n_rows; i++)
			if (table_at(t)->rows[i].text == call->name)
				proof.made[t][i] |= phase;
}

static bool is_listed(const char *name, uint64_t detail, uint32_t phase)
{
	bool found = false;

	for (uint32_t i = 0; i < proof.n_calls; i++) {
		const struct gh_syscall *call = &proof.calls[i];

		if (strcmp(call->name, name) != 0 || ((uint32_t)detail & call->mask) != call->value)
			continue;
		if ((call->phases & phase) == 0)
			continue;
		count(call, phase);
		found = true;
	}
	return found;
}

/* Under the lock. */
static void judge(const char *slot, uint64_t detail)
{
	uint32_t phase = own_phase != 0 ? own_phase : proof.others;

	for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++) {
		bool listed = false;

		if (strcmp(slots[i].slot, slot) != 0)
			continue;
		if (slots[i].detail != 0)
			detail = slots[i].detail;
		for (int j = 0; j < 2 && slots[i].calls[j] != NULL; j++)
			listed |= is_listed(slots[i].calls[j], detail, phase);
		if (listed)
			return;
		break;
	}
	if (proof.wrong[0] == '\0')
		(void)snprintf(proof.wrong, sizeof(proof.wrong), "%s, %#llx, in phase %u", slot, (unsigned long long)detail,
			       phase);
}

static void (*on_yield)(void);

static void on_call(const char *slot, uint64_t detail)
{
	if (strcmp(slot, "yield") == 0 && on_yield != NULL)
		on_yield();
	(void)pthread_mutex_lock(&proof.lock);
	if (proof.on)
		judge(slot, detail);
	(void)pthread_mutex_unlock(&proof.lock);
}

/* From here on the test does what the phase is for. */
static void enter_phase(uint32_t phase, const char *device)
{
	char wrong[sizeof(proof.wrong)];

	(void)pthread_mutex_lock(&proof.lock);
	memcpy(wrong, proof.wrong, sizeof(wrong));
	own_phase = phase;
	proof.on &= phase != 0;
	/* vCPUs run while something is changed. */
	proof.others = phase == GH_PHASE_CHANGE ? (uint32_t)GH_PHASE_RUN : phase;
	(void)pthread_mutex_unlock(&proof.lock);
	ck_assert_msg(wrong[0] == '\0', "%s: a call that is not on the list: %s", device, wrong);
}

static void proof_begin(const struct gh_vm *vm)
{
	struct gh_syscall call = GH_SYSCALL_INIT;

	(void)pthread_mutex_lock(&proof.lock);
	for (proof.n_calls = 0; gh_vm_syscall(vm, proof.n_calls, &call) == 0; proof.n_calls++) {
		ck_assert_uint_lt(proof.n_calls, MOST);
		proof.calls[proof.n_calls] = call;
	}
	proof.others = GH_PHASE_RUN;
	proof.on = true;
	(void)pthread_mutex_unlock(&proof.lock);
}

static void proof_end(const char *device)
{
	enter_phase(0, device);
}

/* --- VMs ------------------------------------------------------------------------------------------------------------ */

struct stage {
	struct rig rig;
	const char *device;
	struct gh_vm *vm;
	struct gh_vcpu *vcpu;
	void *host; /* a caller's mapping */
	struct gh_irq *irq;
};

static bool can(const struct stage *stage, uint64_t feature)
{
	return (gh_vm_features(stage->vm) & feature) == feature;
}

static bool has_quirk(const struct stage *stage, uint64_t quirk)
{
	return (gh_vm_quirks(stage->vm) & quirk) != 0;
}

/* KVM is the rig's, with a load before the end, and aborts; any kernel runs out of memory when it is told to. */
static bool (*instead_below)(int fd, unsigned long request, uintptr_t arg, int *ret_result);
static unsigned long out_of_memory; /* the request that fails with ENOMEM */
static bool loaded;

static bool play(int fd, unsigned long request, uintptr_t arg, int *ret_result)
{
	struct uapi_kvm_run run = { .exit_reason = UAPI_KVM_EXIT_MMIO };

	if (request == out_of_memory) {
		*ret_result = -ENOMEM;
		return true;
	}
	if (instead_below == NULL)
		return false;
	if (request == UAPI_KVM_CHECK_EXTENSION && arg == UAPI_KVM_CAP_ARM_INJECT_EXT_DABT) {
		*ret_result = 1;
		return true;
	}
	if (request != UAPI_KVM_RUN || loaded)
		return instead_below(fd, request, arg, ret_result);
	loaded = true;
	run.mmio.gpa = DEVICE_GPA;
	run.mmio.width = 4;
	*ret_result = pwrite(fd, &run, sizeof(run), 0) == (ssize_t)sizeof(run) ? 0 : -EIO;
	return true;
}

static void stage_open(struct stage *stage, enum rig_kind kind, const char *device, uint64_t quirks_off)
{
	static const char script[] = "load 0x9000000 4; store 0x9000000 4 1; load 0x9000000 4; wfi; wfi";
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	int ret;

	*stage = (struct stage){ .device = device != NULL ? device : kind == RIG_KVM ? "KVM" : "fake" };
	loaded = false;
	table_instead = NULL;
	if (device == NULL) {
		rig_begin(&stage->rig, kind, script, &options);
	} else {
		stage->rig = (struct rig){ .kind = kind, .device = -1, .sim = new_sim(device, script) };
		options.machine = stage->rig.sim;
	}
	options.quirks_off = quirks_off;
	instead_below = table_instead;
	table_instead = play;
	ret = gh_vm_open(&options, &stage->rig.vm);
	ck_assert_msg(ret == 0, "%s: %d", stage->device, ret);
	stage->vm = stage->rig.vm;
}

/* A caller's mapping, to be hidden from forks, where there is something to hide. */
static void map_own(struct stage *stage)
{
	struct gh_memory memory = GH_MEMORY_INIT;

	if (!has_quirk(stage, GH_QUIRK_MEMORY_MUST_STAY))
		return;
	stage->host = mmap(NULL, MORE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(stage->host, MAP_FAILED);
	memory.gpa = MORE_GPA + 16 * MORE_SIZE;
	memory.length = MORE_SIZE;
	memory.flags = GH_MEMORY_RWX;
	memory.host = stage->host;
	ck_assert_int_eq(gh_vm_map(stage->vm, &memory, NULL), 0);
}

static void stage_start(struct stage *stage)
{
	int ret;

	map_at(stage->vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	map_own(stage);
	if (stage->rig.kind == RIG_KVM)
		map_at(stage->vm, MORE_GPA, MORE_SIZE, GH_MEMORY_RWX | GH_MEMORY_LOCK);
	put_tree(stage->vm, &standard_tree);
	stage->vcpu = add_vcpu(stage->vm, 0);
	ret = gh_vm_start(stage->vm);
	ck_assert_msg(ret == 0, "%s: start: %d (%s)", stage->device, ret, gh_vm_failure(stage->vm)->cause);
}

static void stage_close(struct stage *stage)
{
	rig_close(&stage->rig);
	instead_below = NULL;
	if (stage->host != NULL)
		(void)munmap(stage->host, MORE_SIZE);
}

/* --- running -------------------------------------------------------------------------------------------------------- */

static struct gh_vcpu *delayed;

static void end_delay(void)
{
	(void)atomic_fetch_sub(&delayed->senders, 1);
	on_yield = NULL;
}

/* A kicker is on its way when its kick is taken. */
static void kick_slowly(struct stage *stage)
{
	delayed = stage->vcpu;
	(void)atomic_fetch_add(&delayed->senders, 1);
	on_yield = end_delay;
	ck_assert_int_eq(gh_vcpu_kick(stage->vcpu), 0);
	ck_assert_uint_eq(run_once(stage->vcpu)->kind, GH_EXIT_INTERRUPTED);
	ck_assert(on_yield == NULL);
}

/* The guest has got an answer and sleeps: where that is fragile, the courier comes. */
static void kick_sleeper(struct stage *stage)
{
	struct runner runner;
	enum gh_place place = GH_OUT;

	runner_begin(&runner, stage->vcpu);
	for (int i = 0; i < PATIENCE_MS && place != GH_INSIDE && place != GH_FRAGILE; i++) {
		place = gh_where_place(atomic_load(&stage->vcpu->where));
		pause_ms(1);
	}
	ck_assert_int_eq(gh_vcpu_kick(stage->vcpu), 0);
	ck_assert(runner_returns(&runner));
	runner_end(&runner);
	ck_assert_msg(runner.ret == 0 && runner.kind == GH_EXIT_INTERRUPTED, "%s: %d, %u", stage->device, runner.ret,
		      runner.kind);
}

static void answer_load(struct stage *stage)
{
	const struct gh_exit *exit = run_once(stage->vcpu);

	ck_assert_msg(exit->kind == GH_EXIT_MMIO && !exit->mmio.is_store, "%s", stage->device);
	if (can(stage, GH_FEATURE_MMIO_ABORT) && stage->rig.kind == RIG_KVM)
		ck_assert_int_eq(gh_mmio_fail(stage->vcpu), 0);
	else
		ck_assert_int_eq(gh_mmio_complete(stage->vcpu, 7), 0);
}

static void run_guest(struct stage *stage)
{
	const struct gh_loop_options loop = GH_LOOP_OPTIONS_INIT;

	enter_phase(GH_PHASE_RUN, stage->device);
	answer_load(stage);
	kick_slowly(stage);
	if (stage->rig.kind == RIG_KVM) {
		ck_assert_uint_eq(run_once(stage->vcpu)->kind, GH_EXIT_STOPPED);
		return;
	}
	ck_assert_uint_eq(run_once(stage->vcpu)->kind, GH_EXIT_MMIO);
	answer_load(stage);
	kick_sleeper(stage);
	ck_assert_int_eq(gh_vm_pause(stage->vm), 0);
	ck_assert_int_eq(gh_vm_resume(stage->vm), 0);
	ck_assert_int_eq(gh_vm_quit(stage->vm), 0);
	ck_assert_int_eq(gh_vm_run(stage->vm, &loop), -ECANCELED);
	ck_assert_uint_eq(run_once(stage->vcpu)->kind, GH_EXIT_INTERRUPTED);
}

static void fail_run(struct stage *stage)
{
	const struct gh_exit *exit = NULL;

	enter_phase(GH_PHASE_RUN, stage->device);
	out_of_memory = UAPI_GUNYAH_RUN;
	ck_assert_int_eq(gh_vcpu_run(stage->vcpu, &exit), -ENOMEM);
	out_of_memory = 0;
}

/* --- changing: lines ------------------------------------------------------------------------------------------------ */

/* A kernel that never forgets a line's first eventfd refuses the second. */
static bool may_add(const struct stage *stage, int ret)
{
	ck_assert_msg(ret == 0 || has_quirk(stage, GH_QUIRK_KEEPS_FUNCTIONS), "%s: %d (%s)", stage->device, ret,
		      gh_vm_failure(stage->vm)->cause);
	return ret == 0;
}

static struct gh_irqfd *add_irqfd(struct stage *stage, uint32_t line, int fd, int resample_fd)
{
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	struct gh_irqfd *irqfd = NULL;

	if (!can(stage, GH_FEATURE_IRQFD) && resample_fd < 0)
		return NULL;
	options.line = line;
	options.fd = fd;
	options.resample_fd = resample_fd;
	options.flags = resample_fd >= 0 ? GH_IRQ_LEVEL : 0;
	return may_add(stage, gh_irqfd_add(stage->vm, &options, &irqfd)) ? irqfd : NULL;
}

static void change_irqfds(struct stage *stage)
{
	int full = eventfd(UINT32_MAX, EFD_CLOEXEC);
	int resample = eventfd(0, EFD_CLOEXEC);
	const uint64_t rest = UINT64_MAX - 1 - UINT32_MAX;
	struct gh_irqfd *irqfd;

	/* One that is full already. */
	ck_assert_int_eq(write(full, &rest, sizeof(rest)), (ssize_t)sizeof(rest));
	irqfd = add_irqfd(stage, 5, full, -1);
	gh_irqfd_remove(irqfd);
	/* The guest's acknowledgement is told, or played. */
	irqfd = can(stage, GH_FEATURE_IRQFD_LEVEL) || can(stage, GH_FEATURE_IRQ_LINE) ? add_irqfd(stage, 6, -1, resample)
										      : NULL;
	if (irqfd != NULL) {
		enter_phase(GH_PHASE_RUN, stage->device);
		ck_assert_int_eq(gh_irqfd_raise(irqfd), 0);
		for (int i = 0; i < PATIENCE_MS && gh_irqfd_is_emulated(irqfd) && take_count(resample) == 0; i++)
			pause_ms(1);
		enter_phase(GH_PHASE_CHANGE, stage->device);
	}
	gh_irqfd_remove(irqfd);
	(void)close(full);
	(void)close(resample);
}

static struct gh_irq *add_irq(struct stage *stage, uint32_t line, uint32_t flags)
{
	struct gh_irq_options options = GH_IRQ_OPTIONS_INIT;
	struct gh_irq *irq = NULL;

	options.line = line;
	options.flags = flags;
	return may_add(stage, gh_irq_add(stage->vm, &options, &irq)) ? irq : NULL;
}

static void set_and_pulse(struct stage *stage, struct gh_irq *level, struct gh_irq *edge)
{
	enter_phase(GH_PHASE_RUN, stage->device);
	if (edge != NULL)
		ck_assert_int_eq(gh_irq_pulse(edge), 0);
	if (level != NULL)
		ck_assert_int_eq(gh_irq_set(level, 1), 0);
	enter_phase(GH_PHASE_CHANGE, stage->device);
}

static void change_lines(struct stage *stage)
{
	struct gh_irq *edge;
	struct gh_irq *level;

	if (!can(stage, GH_FEATURE_IRQ_LINE) && !can(stage, GH_FEATURE_IRQFD | GH_FEATURE_IRQFD_LEVEL))
		return;
	edge = add_irq(stage, 5, 0);
	level = add_irq(stage, 6, GH_IRQ_LEVEL);
	set_and_pulse(stage, level, edge);
	gh_irq_remove(edge);
	gh_irq_remove(level);
	/* This one is up when the VM is closed. */
	level = add_irq(stage, 6, GH_IRQ_LEVEL);
	set_and_pulse(stage, level, NULL);
	(void)add_irqfd(stage, 5, -1, -1);
}

/* --- changing: the rest --------------------------------------------------------------------------------------------- */

static void change_doorbells(struct stage *stage)
{
	struct gh_ioevent_options options = GH_IOEVENT_OPTIONS_INIT;
	struct gh_ioevent *bell;

	options.gpa = BELL_GPA;
	options.width = 4;
	ck_assert_int_eq(gh_ioevent_add(stage->vm, &options, &bell), 0);
	gh_ioevent_remove(bell);
	if (has_quirk(stage, GH_QUIRK_KEEPS_FUNCTIONS))
		options.gpa += 0x1000;
	ck_assert_int_eq(gh_ioevent_add(stage->vm, &options, &bell), 0);
}

static int read_as_zero(void *data, struct gh_bus_access *access)
{
	(void)data;
	access->value = 0;
	return GH_BUS_DONE;
}

static void end_look_up(void)
{
	(void)atomic_fetch_add(&delayed->bus.look_ups, 1);
	on_yield = NULL;
}

static void change_bus(struct stage *stage)
{
	struct gh_bus_range_options options = GH_BUS_RANGE_OPTIONS_INIT;
	struct gh_bus_unmatched_options unmatched = GH_BUS_UNMATCHED_OPTIONS_INIT;
	struct gh_bus_range *range;

	options.gpa = DEVICE_GPA;
	options.length = 8;
	options.name = "device";
	options.access = read_as_zero;
	ck_assert_int_eq(gh_bus_add(stage->vm, &options, &range), 0);
	/* A vCPU is just looking. */
	delayed = stage->vcpu;
	(void)atomic_fetch_add(&delayed->bus.look_ups, 1);
	on_yield = end_look_up;
	gh_bus_remove(range);
	ck_assert(on_yield == NULL);
	ck_assert_int_eq(gh_bus_set_unmatched(stage->vm, &unmatched), 0);
	ck_assert_int_eq(gh_bus_add(stage->vm, &options, NULL), 0);
}

static int map_more(struct stage *stage, struct gh_memory *memory, uint32_t *ret_id)
{
	memory->length = MORE_SIZE;
	memory->flags |= GH_MEMORY_RWX;
	return gh_vm_map(stage->vm, memory, ret_id);
}

static void map_late_user(struct stage *stage)
{
	struct gh_memory memory = GH_MEMORY_INIT;
	int fd = memfd_create("more", MFD_CLOEXEC);

	ck_assert_int_eq(ftruncate(fd, (off_t)MORE_SIZE), 0);
	memory.gpa = MORE_GPA + MORE_SIZE;
	memory.fd = fd;
	ck_assert_int_eq(map_more(stage, &memory, NULL), 0);
	(void)close(fd);
	memory.fd = -1;
	memory.gpa += MORE_SIZE;
	memory.flags = GH_MEMORY_LOCK;
	ck_assert_int_eq(map_more(stage, &memory, NULL), 0);
	memory.gpa += MORE_SIZE;
	out_of_memory = UAPI_GUNYAH_SET_USER_MEM;
	ck_assert_int_lt(map_more(stage, &memory, NULL), 0);
	out_of_memory = 0;
}

static void change_memory(struct stage *stage)
{
	struct gh_memory memory = GH_MEMORY_INIT;
	uint32_t id = 1;

	if (can(stage, GH_FEATURE_LATE_MEMORY)) {
		memory.gpa = MORE_GPA;
		ck_assert_int_eq(map_more(stage, &memory, &id), 0);
		if (!has_quirk(stage, GH_QUIRK_OWN_FILES_ONLY))
			map_late_user(stage);
		memory.gpa = MORE_GPA + 8 * MORE_SIZE;
		memory.flags = GH_MEMORY_LEND;
		ck_assert_int_eq(map_more(stage, &memory, NULL), 0);
	}
	if (can(stage, GH_FEATURE_CONTIGUOUS_MEMORY)) {
		memory.gpa = MORE_GPA + 10 * MORE_SIZE;
		memory.flags = GH_MEMORY_CONTIGUOUS | GH_MEMORY_LEND;
		memory.device = "/dev/oemvm_cma";
		ck_assert_int_eq(map_more(stage, &memory, NULL), 0);
	}
	if ((can(stage, GH_FEATURE_LATE_MEMORY) && can(stage, GH_FEATURE_UNMAP)) || stage->rig.kind == RIG_KVM)
		ck_assert_int_eq(gh_vm_unmap(stage->vm, id), 0);
	if (can(stage, GH_FEATURE_RECLAIM))
		ck_assert_int_eq(gh_vm_reclaim(stage->vm, RAM_GPA, 4096), 0);
}

static void change_all(struct stage *stage)
{
	enter_phase(GH_PHASE_CHANGE, stage->device);
	change_irqfds(stage);
	change_lines(stage);
	change_doorbells(stage);
	change_bus(stage);
	change_memory(stage);
	if (can(stage, GH_FEATURE_LATE_VCPUS))
		(void)add_vcpu(stage->vm, 1);
}

static bool is_poor;

static void live(enum rig_kind kind, const char *device, uint64_t quirks_off)
{
	struct stage stage;

	stage_open(&stage, kind, device, quirks_off);
	stage_start(&stage);
	proof_begin(stage.vm);
	table_is_poor = is_poor;
	run_guest(&stage);
	change_all(&stage);
	if (kind == RIG_GUNYAH)
		fail_run(&stage);
	enter_phase(GH_PHASE_END, stage.device);
	stage_close(&stage);
	table_is_poor = false;
	proof_end(stage.device);
}

/* --- tests ---------------------------------------------------------------------------------------------------------- */

/* Rows that no VM needed are as wrong as calls without a row. */
static void check_needed(void)
{
	for (size_t t = 0; t < TABLES; t++)
		for (uint32_t i = 0; i < table_at(t)->n_rows; i++) {
			const struct gh_need *need = &table_at(t)->rows[i];
			const char *request = need->text + strlen(need->text) + 1;
			uint32_t never = need->phases & ~proof.made[t][i];

			ck_assert_msg(never == 0, "%s %s (%#x) was never needed in phases %#x", need->text, request,
				      need->value, never);
		}
}

START_TEST(test_list_is_what_is_needed)
{
	static const char *const gunyahs[] = {
		"v8", "v10", "v14", "v17", "android14-6.1", "android15-6.6-early", "android16-6.12"
	};
	static const char *const geniezones[] = { "sim:gzvm/r0", "sim:gzvm/v4", "sim:gzvm/v9", "sim:halla" };

	table_on_call = on_call;
	live(RIG_FAKE, NULL, 0);
	live(RIG_KVM, NULL, 0);
	for (size_t i = 0; i < sizeof(gunyahs) / sizeof(gunyahs[0]); i++) {
		char device[64];

		(void)snprintf(device, sizeof(device), "sim:gunyah/%s", gunyahs[i]);
		live(RIG_GUNYAH, device, 0);
	}
	live(RIG_GUNYAH, "sim:gunyah/android16-6.12", GH_QUIRK_LOCKS_MEMORY);
	/* Without /proc, and with an old kernel. */
	is_poor = true;
	live(RIG_GUNYAH, GUNYAH, 0);
	live(RIG_GENIEZONE, GENIEZONE, 0);
	is_poor = false;
	for (size_t i = 0; i < sizeof(geniezones) / sizeof(geniezones[0]); i++)
		live(RIG_GENIEZONE, geniezones[i], 0);
	table_on_call = NULL;
	check_needed();
}
END_TEST

START_TEST(test_rows_are_whole)
{
	/* Three strings, and room for all of them. */
	for (size_t t = 0; t < TABLES; t++)
		for (uint32_t i = 0; i < table_at(t)->n_rows; i++) {
			const struct gh_need *need = &table_at(t)->rows[i];
			const char *end = &need->text[sizeof(need->text)];
			const char *request = need->text + strlen(need->text) + 1;
			const char *reason = request + strlen(request) + 1;

			ck_assert_msg(need->text[sizeof(need->text) - 1] == '\0' && reason < end, "%s: too long",
				      need->text);
		}
}
END_TEST

/* A filter answers EPERM to what looks into /proc: the library does without. */
START_TEST(test_proc_is_refused)
{
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	struct gh_irqfd *irqfd;
	struct stage stage;
	unsigned long n = 1;

	table_on_call = NULL;
	stage_open(&stage, RIG_GENIEZONE, GENIEZONE, 0);
	stage_start(&stage);
	options.line = 5;
	/* The eventfd, the look at it in /proc. */
	do {
		table_arm(n++, -EPERM);
		table_counts = true;
		irqfd = NULL;
		(void)gh_irqfd_add(stage.vm, &options, &irqfd);
		table_counts = false;
	} while (strcmp(table_victim(), "open") != 0 && table_fired());
	ck_assert_str_eq(table_victim(), "open");
	ck_assert_ptr_nonnull(irqfd);
	ck_assert_int_eq(gh_irqfd_raise(irqfd), 0);
	table_arm(0, 0);
	stage_close(&stage);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sandbox_proof");
	TCase *tcase = add_case(suite, "sandbox_proof");

	tcase_add_test(tcase, test_list_is_what_is_needed);
	tcase_add_test(tcase, test_rows_are_whole);
	tcase_add_test(tcase, test_proc_is_refused);
	return run_suite(suite);
}
