/* SPDX-License-Identifier: BSD-3-Clause */
/* Looking up why a request failed, and what can be found out afterwards. */
#include "diagnosis.h"
#include "internal.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LARGE (UINT64_C(1) << 30)

static const struct {
	const char *step;
	const char *request; /* of hypervisors without a name of their own for it */
} general[GH_REQUESTS] = {
	[GH_REQUEST_CREATE_VM] = { "create a VM", "create a VM" },
	[GH_REQUEST_MAP] = { "map memory", "map memory" },
	[GH_REQUEST_LEND] = { "map memory", "lend memory" },
	[GH_REQUEST_INTERRUPT_CONTROLLER] = { "make the interrupt controller", "CREATE_DEVICE" },
	[GH_REQUEST_SET_DTB] = { "start the VM", "SET_DTB" },
	[GH_REQUEST_START] = { "start the VM", "START" },
	[GH_REQUEST_ADD_VCPU] = { "create a vCPU", "CREATE_VCPU" },
	[GH_REQUEST_RUN_PAGE] = { "create a vCPU", "map the run page" },
	[GH_REQUEST_SET_REGISTER] = { "set a boot register", "SET_ONE_REG" },
	[GH_REQUEST_RUN] = { "run a vCPU", "RUN" },
	[GH_REQUEST_FAULT] = { "run a vCPU", "RUN" },
	[GH_REQUEST_IRQFD] = { "connect an eventfd to a line", "IRQFD" },
	[GH_REQUEST_IRQ_LINE] = { "drive a line", "IRQ_LINE" },
	[GH_REQUEST_IOEVENTFD] = { "add a doorbell", "IOEVENTFD" },
	[GH_REQUEST_CREATE_FILE] = { "map memory", "make a file" },
	[GH_REQUEST_MAP_FILE] = { "map memory", "map a file" },
	[GH_REQUEST_MAP_CONTIGUOUS] = { "map memory", "map contiguous memory" },
	[GH_REQUEST_UNMAP] = { "take memory back", "unmap memory" },
	[GH_REQUEST_RECLAIM] = { "take memory back", "reclaim memory" },
	[GH_REQUEST_SET_FIRMWARE] = { "start the VM", "set the firmware" },
	[GH_REQUEST_SET_AUTHENTICATION] = { "start the VM", "set the authentication" },
};

const struct gh_diagnosis *gh_diagnosis_find(const struct gh_diagnoses *diagnoses, enum gh_request request, int error,
					     unsigned int when)
{
	for (size_t i = 0; diagnoses != NULL && i < diagnoses->n_rows; i++) {
		const struct gh_diagnosis *row = &diagnoses->rows[i];

		if ((row->request == request || row->request == GH_REQUEST_ANY) &&
		    (row->error == error || row->error == 0) && (row->when & ~when) == 0)
			return row;
	}
	return NULL;
}

/* --- circumstances ------------------------------------------------------------------------------------------------------ */

/* The number after `key` in a file of /proc that fits into a buffer; false without it. */
static bool read_number(struct gh_sys *sys, const char *path, const char *key, uint64_t *ret_number)
{
	int fd = sys->open(sys, path, O_RDONLY);
	char text[4096];
	const char *at;
	uint64_t number = 0;
	ssize_t length;

	if (fd < 0)
		return false;
	length = sys->read(sys, fd, text, sizeof(text) - 1);
	(void)sys->close(sys, fd);
	if (length <= 0)
		return false;
	text[length] = '\0';
	at = strstr(text, key);
	if (at == NULL)
		return false;
	at += strlen(key);
	at += strspn(at, " \t");
	if (*at < '0' || *at > '9')
		return false;
	for (; *at >= '0' && *at <= '9' && number < UINT64_MAX / 20; at++)
		number = number * 10 + (uint64_t)(*at - '0');
	*ret_number = number;
	return true;
}

uint64_t gh_locked_memory(struct gh_sys *sys)
{
	uint64_t kib = 0;

	/* The kernel's drivers count pinned pages there, too: VmPin is another account, which no limit is compared with. */
	return read_number(sys, "/proc/self/status", "\nVmLck:", &kib) ? kib * 1024 : 0;
}

struct locks {
	bool limited;
	struct rlimit limit;
	uint64_t regions; /* bytes of the VM's regions */
	uint64_t locked;  /* of the process, as the kernel counts; 0: unknown */
};

static struct locks read_locks(const struct gh_bvm *vm)
{
	struct locks locks = { .limit = { .rlim_cur = RLIM_INFINITY } };

	locks.limited =
		vm->sys->getrlimit(vm->sys, RLIMIT_MEMLOCK, &locks.limit) == 0 && locks.limit.rlim_cur != RLIM_INFINITY;
	for (uint32_t i = 0; i < vm->n_regions; i++)
		locks.regions += vm->regions[i]->length;
	locks.locked = gh_locked_memory(vm->sys);
	return locks;
}

static bool exceeds_limit(const struct locks *locks, uint64_t length)
{
	uint64_t before = locks->regions > locks->locked ? locks->regions : locks->locked;

	return locks->limited && (before > locks->limit.rlim_cur || length > locks->limit.rlim_cur - before);
}

/* "0-7": CPUs are counted from 0. */
static bool exceeds_cpus(const struct gh_bvm *vm)
{
	uint64_t last;

	return read_number(vm->sys, "/sys/devices/system/cpu/possible", "-", &last) && vm->n_vcpus > last + 1;
}

static bool is_large(const struct gh_bvm *vm, const struct gh_region *region)
{
	bool large = region != NULL && region->length >= LARGE;

	for (uint32_t i = 0; i < vm->n_regions; i++)
		large |= vm->regions[i]->length >= LARGE;
	return large;
}

static unsigned int look_around(const struct gh_bvm *vm, const struct locks *locks, const struct gh_region *region)
{
	const struct gh_region *main_memory = vm->dtb_size != 0 ? gh_region_find(vm, vm->dtb_gpa, vm->dtb_size) : NULL;
	unsigned int when = 0;

	if (exceeds_limit(locks, region != NULL ? region->length : 0))
		when |= GH_WHEN_LOCK_LIMIT;
	if (main_memory != NULL && main_memory->state == GH_REGION_SHARED)
		when |= GH_WHEN_SHARED_MAIN;
	if (is_large(vm, region))
		when |= GH_WHEN_LARGE;
	if (exceeds_cpus(vm))
		when |= GH_WHEN_MANY_CPUS;
	if (vm->firmware_size != 0)
		when |= GH_WHEN_FIRMWARE;
	if (region != NULL && region->state != GH_REGION_SHARED)
		when |= GH_WHEN_LEND;
	if (gh_is_quirky(vm, GH_QUIRK_OWN_FILES_ONLY))
		when |= GH_WHEN_GUEST_FILES;
	return when;
}

/* --- explaining ----------------------------------------------------------------------------------------------------- */

static void detail_locks(const struct locks *locks, const struct gh_region *region, char *text, size_t size)
{
	(void)snprintf(
		text, size, "%llu KiB, and %llu KiB of other regions; RLIMIT_MEMLOCK allows %llu KiB, at most %llu KiB",
		(unsigned long long)(region != NULL ? region->length : 0) / 1024, (unsigned long long)locks->regions / 1024,
		(unsigned long long)locks->limit.rlim_cur / 1024, (unsigned long long)locks->limit.rlim_max / 1024);
}

static const char *name_of(const struct gh_bvm *vm, enum gh_request request)
{
	const struct gh_diagnoses *diagnoses = vm->ops->diagnoses;

	for (size_t i = 0; diagnoses != NULL && i < diagnoses->n_other_names; i++)
		if (diagnoses->other_names[i].request == request && gh_is_quirky(vm, diagnoses->other_names[i].quirk))
			return diagnoses->other_names[i].name;
	return diagnoses != NULL ? diagnoses->names[request] : NULL;
}

int gh_diagnose(struct gh_failure *failure, const struct gh_bvm *vm, enum gh_request request, int error,
		const struct gh_region *region)
{
	const char *name = name_of(vm, request);
	const struct locks locks = read_locks(vm);
	const struct gh_diagnosis *row =
		gh_diagnosis_find(vm->ops->diagnoses, request, error, look_around(vm, &locks, region));
	char detail[160];

	if (failure == NULL)
		return error;
	gh_describe_request(failure, error, general[request].step, name != NULL ? name : general[request].request);
	if (row == NULL)
		return error;
	(void)snprintf(detail, sizeof(detail), "%s", error != 0 ? strerror(-error) : "");
	if (row->cause == GH_CAUSE_LOCK_LIMIT)
		detail_locks(&locks, region, detail, sizeof(detail));
	else if (region != NULL && (row->cause == GH_CAUSE_UNPINNABLE || row->cause == GH_CAUSE_NOT_WHOLE_MAPPING))
		(void)snprintf(detail, sizeof(detail), "0x%llx bytes at %p", (unsigned long long)region->length,
			       (void *)region->host);
	gh_cause_write(failure, row->cause, row->other, detail);
	return error;
}

int gh_fail_lock_limit(const struct gh_bvm *vm, int error, const char *request, const struct gh_region *region)
{
	const struct locks locks = read_locks(vm);
	char detail[160];

	gh_describe_request(vm->failure, error, "map memory", request);
	if (!exceeds_limit(&locks, region->length))
		return error;
	detail_locks(&locks, region, detail, sizeof(detail));
	gh_cause_write(vm->failure, GH_CAUSE_LOCK_LIMIT, GH_CAUSE_NONE, detail);
	return error;
}

int gh_fail_fault(struct gh_vcpu *vcpu, int error, const struct gh_exit *exit)
{
	struct gh_failure *failure = &vcpu->failure;
	char detail[128];

	(void)pthread_mutex_lock(&vcpu->vm->lock);
	(void)gh_diagnose(failure, &vcpu->vm->b, GH_REQUEST_FAULT, exit->fault.error, NULL);
	(void)pthread_mutex_unlock(&vcpu->vm->lock);
	(void)snprintf(detail, sizeof(detail), "%s of vCPU %u at 0x%llx, kernel's reason %u, error %d",
		       gh_exit_name(exit->kind), vcpu->b.id, (unsigned long long)exit->fault.gpa, exit->raw_reason,
		       exit->fault.error);
	gh_cause_write(failure, failure->cause_id != GH_CAUSE_NONE ? failure->cause_id : (uint32_t)GH_CAUSE_UNBACKED,
		       failure->other_cause_id, detail);
	failure->error = error;
	return error;
}
