/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Virtual machines.
 *
 *     state     allowed                                                    moves to
 *     OPEN      everything but gh_vcpu_run()                               STARTED by gh_vm_start(); BROKEN if that fails
 *                                                                          after its first kernel request
 *     STARTED   gh_vcpu_run(), lines, doorbells; late vCPUs if possible    ends once (end_state), and stays STARTED
 *     BROKEN    gh_vm_close()
 *     any       gh_vm_reset() (reset.c)                                    OPEN; BROKEN if that fails half-way
 */
#include "internal.h"
#include "resample.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define STEP_OPEN "open a VM"
#define STEP_START "start the VM"
#define STEP_CONFIGURE "configure the VM"

#define GIC_DISTRIBUTOR UINT64_C(0x3fff0000)
#define GIC_ALIGN UINT64_C(0x10000)
/* Between two looks at an answer that is being given. */
#define ANSWER_NS 20000L

void gh_vm_log(const struct gh_vm *vm, const char *format, ...)
{
	char line[256];
	va_list arguments;

	if (vm->log == NULL)
		return;
	va_start(arguments, format);
	(void)vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	vm->log(vm->log_data, line);
}

/* --- fork --------------------------------------------------------------------------------------------------------- */

/* Pages that the kernel empties in a forked child: the check costs one load, and no system call. */
static int make_wiped(struct gh_vm *vm)
{
	const size_t needed = sizeof(struct gh_wiped) + vm->b.caps.max_vcpus * sizeof(struct gh_vcpu_live);
	const size_t size = (needed + vm->b.page_size - 1) / vm->b.page_size * vm->b.page_size;
	struct gh_sys *sys = vm->b.sys;
	void *pages;
	int ret = sys->mmap(sys, NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, &pages);

	if (ret < 0)
		return ret;
	ret = sys->madvise(sys, pages, size, MADV_WIPEONFORK);
	if (ret < 0) {
		(void)sys->munmap(sys, pages, size);
		return ret;
	}
	vm->wiped = pages;
	vm->wiped_size = size;
	vm->wiped->alive = 1;
	vm->pid = sys->getpid(sys);
	return 0;
}

/* --- open and close ----------------------------------------------------------------------------------------------- */

static int check_gic(const struct gh_vm_options *options)
{
	if (options->gic_distributor % GIC_ALIGN != 0 || options->gic_redistributors % GIC_ALIGN != 0)
		return gh_fail_argument(options->failure, -EINVAL, STEP_OPEN,
					"The interrupt controller's addresses must be multiples of 64 KiB.");
	return 0;
}

static int choose_signal(const struct gh_vm_options *options, int *ret_signal)
{
	int signal = options->kick_signal != 0 ? options->kick_signal : SIGRTMIN + GH_KICK_SIGNAL_DEFAULT;

	if (signal < SIGRTMIN || signal > SIGRTMAX)
		return gh_fail_argument(options->failure, -EINVAL, STEP_OPEN,
					"The kick signal must be a real-time signal, SIGRTMIN to SIGRTMAX.");
	*ret_signal = signal;
	return 0;
}

static void take_options(struct gh_vm *vm, const struct gh_vm_options *options)
{
	vm->failure.size = sizeof(vm->failure);
	vm->log = options->log;
	vm->log_data = options->log_data;
	vm->b.fake = options->fake;
	vm->b.gic_distributor = options->gic_distributor != 0 ? options->gic_distributor : GIC_DISTRIBUTOR;
	vm->b.gic_redistributors = options->gic_redistributors;
	vm->wanted_redistributors = options->gic_redistributors;
}

static void take_target(struct gh_vm *vm, const struct gh_target *target)
{
	vm->b.sys = target->sys;
	vm->b.ops = target->ops;
	vm->b.dev = target->fd;
	vm->b.caps = target->caps;
	vm->b.fd = -1;
	vm->b.page_size = (uint32_t)sysconf(_SC_PAGESIZE);
	vm->b.failure = &vm->failure;
}

static void release_target(const struct gh_target *target)
{
	struct gh_sys *sys = target->sys;

	if (target->fd >= 0)
		(void)sys->close(sys, target->fd);
	if (sys->put != NULL)
		sys->put(sys);
}

static void report(const struct gh_vm_options *options, const struct gh_failure *failure)
{
	if (options->failure == NULL)
		return;
	*options->failure = *failure;
}

/* With options and target taken. */
static int create(struct gh_vm *vm)
{
	int ret = make_wiped(vm);

	if (ret < 0)
		return gh_fail_request(&vm->failure, ret, STEP_OPEN, "mmap");
	if (pthread_mutex_init(&vm->lock, NULL) != 0) {
		ret = gh_fail_memory(&vm->failure, STEP_OPEN);
		goto err_wiped;
	}
	ret = gh_bus_init(vm);
	if (ret < 0) {
		ret = gh_fail_memory(&vm->failure, STEP_OPEN);
		goto err_lock;
	}
	vm->end_fd = vm->b.sys->eventfd(vm->b.sys, 0, 0);
	if (vm->end_fd < 0) {
		ret = gh_fail_request(&vm->failure, vm->end_fd, STEP_OPEN, "eventfd");
		goto err_bus;
	}
	ret = vm->b.ops->vm_create(&vm->b);
	if (ret == 0)
		return 0;
	if (vm->failure.error == 0)
		(void)gh_fail_request(&vm->failure, ret, STEP_OPEN, "create a VM");
	(void)vm->b.sys->close(vm->b.sys, vm->end_fd);
err_bus:
	gh_bus_free(vm);
err_lock:
	(void)pthread_mutex_destroy(&vm->lock);
err_wiped:
	(void)vm->b.sys->munmap(vm->b.sys, vm->wiped, vm->wiped_size);
	return ret;
}

int gh_vm_open(const struct gh_vm_options *callers, struct gh_vm **ret_vm)
{
	struct gh_vm_options options;
	struct gh_target target;
	struct gh_vm *vm;
	int signal = 0;
	int ret;

	if (ret_vm == NULL)
		return -EINVAL;
	ret = gh_vm_options_read(callers, &options);
	if (ret < 0)
		return ret;
	ret = check_gic(&options);
	if (ret == 0)
		ret = choose_signal(&options, &signal);
	if (ret < 0)
		return ret;
	vm = calloc(1, sizeof(*vm));
	if (vm == NULL)
		return gh_fail_memory(options.failure, STEP_OPEN);
	ret = gh_target_open(&options, &target);
	if (ret < 0)
		goto err_vm;
	take_options(vm, &options);
	take_target(vm, &target);
	vm->kick_signal = signal;
	ret = create(vm);
	if (ret < 0) {
		report(&options, &vm->failure);
		release_target(&target);
		goto err_vm;
	}
	*ret_vm = vm;
	return 0;
err_vm:
	free(vm);
	return ret;
}

void gh_vm_close(struct gh_vm *vm)
{
	struct gh_target target;

	if (vm == NULL)
		return;
	target = (struct gh_target){ .sys = vm->b.sys, .fd = vm->b.dev };
	vm->b.in_child = gh_vm_is_forked(vm);
	gh_bus_clear(vm);
	gh_courier_stop(vm);
	gh_resample_stop(vm);
	/* Eventfds before the VM (Gunyah, section 10.2), and vCPUs before it, too (GenieZone: use after free otherwise). */
	gh_ioevents_free(vm);
	gh_irqfds_free(vm);
	gh_irqs_free(vm);
	while (vm->vcpus != NULL) {
		struct gh_vcpu *vcpu = vm->vcpus;

		vm->vcpus = vcpu->next;
		gh_vcpu_unmake(vcpu);
	}
	gh_bus_free(vm);
	if (!vm->gone)
		vm->b.ops->vm_destroy(&vm->b);
	gh_regions_free(vm);
	(void)vm->b.sys->close(vm->b.sys, vm->end_fd);
	(void)vm->b.sys->munmap(vm->b.sys, vm->wiped, vm->wiped_size);
	(void)pthread_mutex_destroy(&vm->lock);
	release_target(&target);
	free(vm);
}

const char *gh_vm_backend(const struct gh_vm *vm)
{
	return vm != NULL ? vm->b.ops->name : NULL;
}

uint64_t gh_vm_features(const struct gh_vm *vm)
{
	return vm != NULL ? vm->b.caps.features : 0;
}

uint64_t gh_vm_quirks(const struct gh_vm *vm)
{
	return vm != NULL ? vm->b.caps.quirks : 0;
}

/* --- configuration ------------------------------------------------------------------------------------------------ */

static int check_open(struct gh_vm *vm)
{
	if (atomic_load(&vm->state) != GH_VM_OPEN)
		return gh_fail_state(&vm->failure, STEP_CONFIGURE, "The VM has been started.");
	return 0;
}

int gh_dtb_set(struct gh_vm *vm, uint64_t gpa, uint64_t size)
{
	int ret = check_open(vm);

	if (ret < 0)
		return ret;
	if (gpa % 8 != 0)
		return gh_fail_argument(&vm->failure, -EINVAL, STEP_CONFIGURE,
					"The devicetree's address must be a multiple of 8.");
	if (size > UINT64_MAX - gpa || (vm->b.caps.gpa_bits < 64 && gpa + size > UINT64_C(1) << vm->b.caps.gpa_bits))
		return gh_fail_argument(&vm->failure, -ERANGE, STEP_CONFIGURE,
					"The devicetree ends beyond the guest's address space.");
	vm->b.dtb_gpa = gpa;
	vm->b.dtb_size = size;
	vm->tree_cpus = 0;
	return 0;
}

int gh_vm_set_dtb(struct gh_vm *vm, uint64_t gpa, uint64_t size)
{
	int ret;

	if (vm == NULL)
		return -EINVAL;
	if (gh_vm_is_forked(vm))
		return gh_fail_forked(vm);
	(void)pthread_mutex_lock(&vm->lock);
	ret = gh_dtb_set(vm, gpa, size);
	(void)pthread_mutex_unlock(&vm->lock);
	return ret;
}

int gh_vm_set_register(struct gh_vm *vm, uint32_t reg, uint64_t value)
{
	int ret;

	if (vm == NULL || reg >= GH_REGISTERS)
		return -EINVAL;
	if (gh_vm_is_forked(vm))
		return gh_fail_forked(vm);
	(void)pthread_mutex_lock(&vm->lock);
	ret = check_open(vm);
	if (ret == 0) {
		vm->b.registers[reg] = value;
		vm->b.registers_set |= UINT64_C(1) << reg;
	}
	(void)pthread_mutex_unlock(&vm->lock);
	return ret;
}

int gh_vm_set_entry(struct gh_vm *vm, uint64_t pc, uint64_t x0)
{
	int ret;

	if (pc % 4 != 0)
		return -EINVAL;
	ret = gh_vm_set_register(vm, GH_REG_PC, pc);
	return ret < 0 ? ret : gh_vm_set_register(vm, GH_REG_X0, x0);
}

/* --- start -------------------------------------------------------------------------------------------------------- */

/* On hypervisors that want to be told. */
static int place_gic(struct gh_vm *vm)
{
	if (vm->b.ops->vm_irqchip == NULL)
		return 0;
	return gh_gic_place(vm, STEP_START, vm->b.max_vcpu_id + 1, &vm->b.gic_redistributors);
}

static int check_start(struct gh_vm *vm)
{
	bool has_boot_vcpu = false;
	int ret = 0;

	if (atomic_load(&vm->state) == GH_VM_BROKEN)
		return gh_fail_cause(&vm->failure, -EBUSY, GH_CAUSE_VM_SPENT, STEP_START, NULL,
				     "A start has failed half-way: the kernel's VM never starts again.");
	if (atomic_load(&vm->state) != GH_VM_OPEN)
		return gh_fail_state(&vm->failure, STEP_START, "The VM has been started.");
	if (vm->b.n_regions == 0)
		return gh_fail_argument(&vm->failure, -EINVAL, STEP_START, "The VM has no memory (gh_vm_map()).");
	for (const struct gh_vcpu *vcpu = vm->vcpus; vcpu != NULL; vcpu = vcpu->next)
		has_boot_vcpu |= vcpu->b.id == 0;
	if (!has_boot_vcpu)
		return gh_fail_argument(&vm->failure, -EINVAL, STEP_START,
					"The VM has no vCPU 0, which boots the guest (gh_vcpu_create()).");
	if (vm->tree_cpus != 0 && vm->b.max_vcpu_id >= vm->tree_cpus)
		return gh_fail(
			&vm->failure, -EINVAL, STEP_START, NULL, "Call gh_fdt_finish() after the last gh_vcpu_create().",
			"The devicetree was built for %u vCPUs, and there is a vCPU %u.", vm->tree_cpus, vm->b.max_vcpu_id);
	if (vm->b.dtb_size == 0 && gh_can(&vm->b, GH_FEATURE_NEEDS_DTB))
		return gh_fail_argument(&vm->failure, -EINVAL, STEP_START,
					"This hypervisor needs a devicetree (gh_vm_set_dtb()).");
	if (vm->b.dtb_size != 0 && gh_region_find(&vm->b, vm->b.dtb_gpa, vm->b.dtb_size) == NULL)
		return gh_fail_cause(&vm->failure, -EINVAL, GH_CAUSE_TREE_PLACE, STEP_START, NULL,
				     "The devicetree, with its room for growth, is not inside one region of memory.");
	if (vm->b.ops->vm_check != NULL)
		ret = vm->b.ops->vm_check(&vm->b);
	/* Who takes the beginning from the devicetree has compared them. */
	if (ret == 0 && vm->b.registers_set != 0 && !gh_can(&vm->b, GH_FEATURE_REGISTERS | GH_FEATURE_NEEDS_DTB))
		ret = gh_fail(&vm->failure, -EOPNOTSUPP, STEP_START, NULL, "Do not set registers.",
			      "This hypervisor lets nobody set registers.");
	if (ret == 0)
		ret = gh_irqfds_check(vm);
	if (ret == 0)
		ret = gh_irqs_check(vm);
	return ret < 0 ? ret : place_gic(vm);
}

static int set_registers(struct gh_vcpu *boot)
{
	const struct gh_bvm *b = boot->b.vm;

	for (uint32_t reg = 0; reg < GH_REGISTERS; reg++) {
		int ret;

		if ((b->registers_set >> reg & 1) == 0 || b->ops->vcpu_set_register == NULL)
			continue;
		ret = b->ops->vcpu_set_register(&boot->b, reg, b->registers[reg]);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int make_vcpus(struct gh_vm *vm)
{
	/* In the order of ids, which need not be that of creation. */
	for (uint32_t id = 0; id <= vm->b.max_vcpu_id; id++) {
		for (struct gh_vcpu *vcpu = vm->vcpus; vcpu != NULL; vcpu = vcpu->next) {
			int ret;

			if (vcpu->b.id != id)
				continue;
			ret = gh_vcpu_make(vcpu);
			if (ret == 0 && id == 0)
				ret = set_registers(vcpu);
			if (ret < 0)
				return ret;
		}
	}
	return 0;
}

/* Kernel requests, in the order that every kernel takes. */
static int apply(struct gh_vm *vm)
{
	const struct gh_backend *ops = vm->b.ops;
	int ret = 0;

	if (ops->vm_irqchip != NULL)
		ret = ops->vm_irqchip(&vm->b);
	if (ret == 0)
		ret = make_vcpus(vm);
	if (ret == 0 && ops->vm_set_dtb != NULL && vm->b.dtb_size != 0)
		ret = ops->vm_set_dtb(&vm->b);
	if (ret == 0)
		ret = gh_courier_start(vm);
	if (ret == 0)
		ret = gh_regions_give_up(vm);
	if (ret == 0 && ops->vm_start != NULL)
		ret = ops->vm_start(&vm->b);
	if (ret < 0)
		return ret;
	gh_regions_lent(vm);
	/*
	 * After the start: a line that never gets its doorbell, because the VM did not start, leaves Gunyah's kernel with a
	 * dangling wait queue (section 10.2 of the Gunyah document). No vCPU has run yet, so nothing is missed.
	 */
	ret = gh_ioevents_activate(vm);
	if (ret == 0)
		ret = gh_irqfds_activate(vm);
	return ret < 0 ? ret : gh_irqs_activate(vm);
}

static int start(struct gh_vm *vm)
{
	int ret;

	vm->failure.error = 0;
	ret = check_start(vm);
	if (ret < 0)
		return ret;
	ret = apply(vm);
	if (ret < 0) {
		atomic_store(&vm->state, GH_VM_BROKEN);
		/* Nobody knows how far the kernel has come: the guest may have what was to be lent. */
		gh_regions_lent(vm);
		if (vm->failure.error == 0)
			(void)gh_fail_request(&vm->failure, ret, STEP_START, "");
		return ret;
	}
	atomic_store_explicit(&vm->state, GH_VM_STARTED, memory_order_release);
	return 0;
}

int gh_vm_start(struct gh_vm *vm)
{
	int ret;

	if (vm == NULL)
		return -EINVAL;
	if (gh_vm_is_forked(vm))
		return gh_fail_forked(vm);
	(void)pthread_mutex_lock(&vm->lock);
	ret = start(vm);
	if (ret < 0)
		gh_vm_log(vm, "%s: %s %s", vm->failure.step, vm->failure.cause, vm->failure.remedy);
	(void)pthread_mutex_unlock(&vm->lock);
	return ret;
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

/* An answer that has begun came before the end, and is done soon; one that fails leaves the load. */
static void drop_load(struct gh_vcpu *vcpu)
{
	const struct timespec time = { .tv_sec = 0, .tv_nsec = ANSWER_NS };
	struct gh_sys *sys = vcpu->b.vm->sys;

	while (!gh_vcpu_drop_load(vcpu))
		(void)sys->ppoll(sys, NULL, 0, &time);
}

void gh_vm_set_end(struct gh_vm *vm, struct gh_vcpu *vcpu, const struct gh_exit *exit)
{
	enum gh_end none = GH_END_NONE;
	const uint64_t one = 1;

	(void)pthread_mutex_lock(&vm->lock);
	if (atomic_compare_exchange_strong(&vm->end_state, &none, GH_END_BEING_SET)) {
		vm->end = *exit;
		atomic_store(&vm->end_state, GH_END_SET);
		for (struct gh_vcpu *other = vm->vcpus; other != NULL; other = other->next)
			if (other != vcpu)
				gh_kick(other, GH_NUDGE);
		/* After the nudges: a load that is delivered later finds its own (gh_kick_settle()). */
		for (struct gh_vcpu *other = vm->vcpus; other != NULL; other = other->next)
			drop_load(other);
		/* Whoever is told finds no load that could still be answered. */
		(void)vm->b.sys->write(vm->b.sys, vm->end_fd, &one, sizeof(one));
	}
	(void)pthread_mutex_unlock(&vm->lock);
}
