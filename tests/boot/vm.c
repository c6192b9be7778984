/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A whole VMM in one file: memory, a devicetree, one vCPU, three devices, an interrupt, a doorbell, a watchdog.
 *
 * The same calls, in the same order, on every hypervisor; nothing here asks which one it is.
 */
#include "vm.h"

#include "guest.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Gunyah enters a guest at the start of the region that holds its devicetree: code first, tree behind it. */
#define MEMORY_GPA 0x80000000
#define MEMORY_SIZE 0x400000
#define TREE_GPA (MEMORY_GPA + MEMORY_SIZE / 2)
/* The resource manager adds nodes to the tree in place. */
#define TREE_ROOM 0x10000

extern const unsigned char gh_guest_start[];
extern const unsigned char gh_guest_end[];

struct machine {
	const struct run_request *request;
	struct run_result *result;
	struct gh_vm *vm;
	struct gh_vcpu *vcpu;
	struct gh_irqfd *irqfd;
	struct gh_ioevent *doorbell;
	double opened_ms;
	double started_ms;
	bool at_line_start;
	/* The watchdog: kicks the vCPU if the guest has not ended in time. */
	pthread_t watchdog;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool over;
	bool expired;
};

static double now_ms(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

/* What the VMM itself finds wrong has the form of the library's failures. The first one counts. */
static int fail(struct machine *machine, const char *step, const char *cause, uint64_t value)
{
	struct gh_failure *failure = &machine->result->failure;

	if (failure->error == 0) {
		failure->error = -EIO;
		(void)snprintf(failure->step, sizeof(failure->step), "%s", step);
		(void)snprintf(failure->cause, sizeof(failure->cause), "%s (%#llx)", cause, (unsigned long long)value);
	}
	return -EIO;
}

static int fail_library(struct machine *machine, int error, const struct gh_failure *why)
{
	struct gh_failure *failure = &machine->result->failure;

	if (why != NULL && why->error != 0)
		*failure = *why;
	if (failure->error == 0) {
		failure->error = error;
		(void)snprintf(failure->cause, sizeof(failure->cause), "%s", strerror(-error));
	}
	return error;
}

/* --- the watchdog --------------------------------------------------------------------------------------------------- */

static void *watch(void *argument)
{
	struct machine *machine = argument;
	struct timespec until;
	int ret = 0;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += (time_t)machine->request->timeout;
	(void)pthread_mutex_lock(&machine->lock);
	while (!machine->over && ret == 0)
		ret = pthread_cond_timedwait(&machine->changed, &machine->lock, &until);
	if (!machine->over) {
		machine->expired = true;
		(void)gh_vcpu_kick(machine->vcpu);
	}
	(void)pthread_mutex_unlock(&machine->lock);
	return NULL;
}

static void stop_watch(struct machine *machine)
{
	(void)pthread_mutex_lock(&machine->lock);
	machine->over = true;
	(void)pthread_cond_signal(&machine->changed);
	(void)pthread_mutex_unlock(&machine->lock);
	(void)pthread_join(machine->watchdog, NULL);
}

static bool has_expired(struct machine *machine)
{
	bool expired;

	(void)pthread_mutex_lock(&machine->lock);
	expired = machine->expired;
	(void)pthread_mutex_unlock(&machine->lock);
	return expired;
}

/* --- devices -------------------------------------------------------------------------------------------------------- */

static void put_character(struct machine *machine, char character)
{
	struct run_result *result = machine->result;
	size_t length = strlen(result->text);

	if (length + 1 < sizeof(result->text))
		result->text[length] = character;
	if (machine->request->quiet)
		return;
	if (machine->at_line_start)
		(void)printf("%s| ", result->backend);
	(void)putchar(character);
	machine->at_line_start = character == '\n';
}

static int report_failure(struct machine *machine, uint64_t code)
{
	switch (code) {
	case GUEST_FAILED_TREE:
		return fail(machine, "run the guest", "The guest found no devicetree at the address in x0", code);
	case GUEST_FAILED_IDENTITY:
		return fail(machine, "run the guest", "A load of the guest got a wrong value", code);
	case GUEST_FAILED_GIC:
		return fail(machine, "run the guest", "The guest's interrupt controller does not wake up", code);
	case GUEST_FAILED_DOORBELL:
		return fail(machine, "run the guest", "The doorbell did not ring as often as the guest rang it", code);
	default:
		return fail(machine, "run the guest", "The guest took an exception with this syndrome", code);
	}
}

static int take_interrupt(struct machine *machine, uint64_t intid)
{
	if (intid != GUEST_INTID)
		return fail(machine, "interrupt the guest", "The guest took another interrupt", intid);
	machine->result->interrupts++;
	return 0;
}

/* Rings so far. The kernel has counted them before the guest could go on. */
static uint64_t count_rings(struct machine *machine)
{
	struct pollfd poller = { .fd = gh_ioevent_fd(machine->doorbell), .events = POLLIN };
	uint64_t rings = 0;

	if (poll(&poller, 1, 0) == 1 && read(poller.fd, &rings, sizeof(rings)) == sizeof(rings))
		machine->result->doorbells += (unsigned int)rings;
	return machine->result->doorbells;
}

static int store(struct machine *machine, uint64_t gpa, uint64_t value)
{
	machine->result->stores++;
	switch (gpa) {
	case GUEST_UART:
		put_character(machine, (char)value);
		return 0;
	case GUEST_READY:
		return gh_irqfd_raise(machine->irqfd);
	case GUEST_TAKEN:
		return take_interrupt(machine, value);
	case GUEST_FAILURE:
		return report_failure(machine, value);
	case GUEST_DOORBELL:
		return fail(machine, "ring the doorbell", "The kernel made an exit of a ring", gpa);
	default:
		return fail(machine, "serve a store", "There is no device at this address", gpa);
	}
}

static int load(struct machine *machine, uint64_t gpa)
{
	machine->result->loads++;
	if (gpa == GUEST_DOORBELLS)
		return gh_mmio_complete(machine->vcpu, count_rings(machine));
	if (gpa >= GUEST_IDENTITY && gpa < GUEST_IDENTITY + 8)
		return gh_mmio_complete(machine->vcpu, GUEST_IDENTITY_VALUE >> (gpa - GUEST_IDENTITY) * 8);
	return fail(machine, "serve a load", "There is no device at this address", gpa);
}

/* --- the loop ------------------------------------------------------------------------------------------------------- */

/* 1: the guest has ended as it should. */
static int serve(struct machine *machine, const struct gh_exit *exit)
{
	switch (exit->kind) {
	case GH_EXIT_MMIO:
		if (exit->mmio.is_store)
			return store(machine, exit->mmio.gpa, exit->mmio.value);
		return load(machine, exit->mmio.gpa);
	case GH_EXIT_STOPPED:
		if (exit->stop.cause == GH_STOP_POWER_OFF)
			return 1;
		return fail(machine, "run the guest", "The VM ended otherwise than by powering off; cause",
			    exit->stop.cause);
	case GH_EXIT_INTERRUPTED:
		if (!has_expired(machine))
			return 0;
		return fail(machine, "run the guest", "The guest has not ended in time; seconds",
			    machine->request->timeout);
	default:
		return fail(machine, "run the guest", "The guest made an exit that it never should; kind", exit->kind);
	}
}

static int loop(struct machine *machine)
{
	const struct gh_exit *exit;
	int ret;

	do {
		ret = gh_vcpu_run(machine->vcpu, &exit);
		if (ret < 0)
			return fail_library(machine, ret, gh_vcpu_failure(machine->vcpu));
		if (machine->result->first_exit_ms <= 0)
			machine->result->first_exit_ms = now_ms() - machine->started_ms;
		ret = serve(machine, exit);
	} while (ret == 0);
	if (ret < 0)
		return fail_library(machine, ret, NULL);
	if (machine->result->interrupts != 1 || machine->result->doorbells != GUEST_RINGS)
		return fail(machine, "run the guest", "The guest ended before its interrupt and its doorbells",
			    machine->result->interrupts);
	return 0;
}

static int run(struct machine *machine)
{
	int ret = pthread_create(&machine->watchdog, NULL, watch, machine);

	if (ret != 0)
		return fail_library(machine, -ret, NULL);
	ret = loop(machine);
	stop_watch(machine);
	return ret;
}

/* --- making the VM -------------------------------------------------------------------------------------------------- */

static int fill_memory(struct machine *machine)
{
	struct gh_memory memory = GH_MEMORY_INIT;
	int ret;

	memory.gpa = MEMORY_GPA;
	memory.length = MEMORY_SIZE;
	if (machine->request->lend)
		memory.flags |= GH_MEMORY_LEND;
	ret = gh_vm_map(machine->vm, &memory, NULL);
	if (ret < 0)
		return ret;
	return gh_vm_write(machine->vm, MEMORY_GPA, gh_guest_start, (size_t)(gh_guest_end - gh_guest_start));
}

static int write_tree(struct machine *machine)
{
	struct gh_fdt *fdt;
	int ret = gh_fdt_open(machine->vm, NULL, &fdt);

	if (ret < 0)
		return ret;
	ret = gh_fdt_finish(fdt, TREE_GPA, TREE_ROOM);
	gh_fdt_close(fdt);
	return ret;
}

static int connect_devices(struct machine *machine)
{
	struct gh_irqfd_options irq = GH_IRQFD_OPTIONS_INIT;
	struct gh_ioevent_options doorbell = GH_IOEVENT_OPTIONS_INIT;
	int ret;

	irq.line = GUEST_LINE;
	ret = gh_irqfd_add(machine->vm, &irq, &machine->irqfd);
	if (ret < 0)
		return ret;
	doorbell.gpa = GUEST_DOORBELL;
	doorbell.width = 4;
	return gh_ioevent_add(machine->vm, &doorbell, &machine->doorbell);
}

static int start(struct machine *machine)
{
	int ret = fill_memory(machine);

	if (ret == 0)
		ret = gh_vm_set_entry(machine->vm, MEMORY_GPA, TREE_GPA);
	if (ret == 0)
		ret = gh_vcpu_create(machine->vm, 0, &machine->vcpu);
	if (ret == 0)
		ret = connect_devices(machine);
	if (ret == 0)
		ret = write_tree(machine);
	machine->started_ms = now_ms();
	if (ret == 0)
		ret = gh_vm_start(machine->vm);
	return ret < 0 ? fail_library(machine, ret, gh_vm_failure(machine->vm)) : 0;
}

static int open_vm(struct machine *machine)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_failure failure = GH_FAILURE_INIT;
	int ret;

	options.backend = machine->request->backend;
	options.device = machine->request->device;
	options.failure = &failure;
	options.gic_distributor = GUEST_GIC_DISTRIBUTOR;
	options.gic_redistributors = GUEST_GIC_REDISTRIBUTORS;
	ret = gh_vm_open(&options, &machine->vm);
	if (ret < 0)
		return fail_library(machine, ret, &failure);
	(void)snprintf(machine->result->backend, sizeof(machine->result->backend), "%s", gh_vm_backend(machine->vm));
	return 0;
}

void run_vm(const struct run_request *request, struct run_result *result)
{
	struct machine machine = {
		.request = request,
		.result = result,
		.opened_ms = now_ms(),
		.at_line_start = true,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
	};
	int ret;

	memset(result, 0, sizeof(*result));
	ret = open_vm(&machine);
	if (ret == 0)
		ret = start(&machine);
	if (ret == 0)
		ret = run(&machine);
	gh_vm_close(machine.vm);
	if (!machine.at_line_start)
		(void)putchar('\n');
	result->ok = ret == 0;
	result->total_ms = now_ms() - machine.opened_ms;
}
