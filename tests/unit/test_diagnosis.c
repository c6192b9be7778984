/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Failures of kernel requests as a VMM meets them: on simulated devices, each request refused in turn, and the causes that the
 * devices bring about themselves. test_cause.c has every row of the tables.
 */
#include "../../lib/internal.h"
#include "../../lib/uapi/gunyah.h"
#include "../../lib/uapi/gzvm.h"
#include "table.h"
#include "util.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- one request is refused --------------------------------------------------------------------------------------------- */

static struct {
	unsigned long request;
	uint32_t type; /* of a function */
	int error;
	unsigned int skip; /* so many that are let through */
	unsigned int refused;
} victim;

static bool is_victim(unsigned long request, uintptr_t arg)
{
	const struct uapi_gunyah_fn *fn = (const void *)arg;

	if (request != victim.request)
		return false;
	/* A probe asks with NULL. */
	return victim.type == 0 || (fn != NULL && fn->type == victim.type);
}

static int refuse(unsigned long request, uintptr_t arg)
{
	if (!is_victim(request, arg))
		return 0;
	if (victim.skip > 0) {
		victim.skip--;
		return 0;
	}
	victim.refused++;
	return victim.error;
}

static bool refuse_entry(int fd, unsigned long request, uintptr_t arg, int *ret_result)
{
	(void)fd;
	(void)arg;
	if (request != victim.request)
		return false;
	victim.refused++;
	*ret_result = victim.error;
	return true;
}

static void arm(unsigned long request, uint32_t type, int error, unsigned int skip)
{
	memset(&victim, 0, sizeof(victim));
	victim.request = request;
	victim.type = type;
	victim.error = error;
	victim.skip = skip;
	table_on_ioctl = error != 0 ? refuse : NULL;
}

/* A VM's life up to the first run; where it ends, the failure. */
static int live(struct gh_sim *sim, bool lend, struct gh_failure *ret_failure)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_irqfd_options line = GH_IRQFD_OPTIONS_INIT;
	struct gh_ioevent_options bell = GH_IOEVENT_OPTIONS_INIT;
	struct gh_memory memory = GH_MEMORY_INIT;
	const struct gh_exit *exit = NULL;
	struct gh_ioevent *ioevent;
	struct gh_irqfd *irqfd;
	struct gh_vcpu *vcpu;
	struct gh_vm *vm;
	int ret;

	*ret_failure = (struct gh_failure)GH_FAILURE_INIT;
	options.machine = sim;
	options.failure = ret_failure;
	ret = gh_vm_open(&options, &vm);
	if (ret < 0)
		return ret;
	memory.gpa = RAM_GPA;
	memory.length = RAM_SIZE;
	memory.flags = GH_MEMORY_RWX | (lend ? GH_MEMORY_LEND : 0);
	line.line = 5;
	bell.gpa = 0x7000;
	bell.width = 4;
	ret = gh_vm_map(vm, &memory, NULL);
	if (ret == 0) {
		put_tree(vm, &standard_tree);
		ret = gh_irqfd_add(vm, &line, &irqfd);
	}
	if (ret == 0)
		ret = gh_ioevent_add(vm, &bell, &ioevent);
	if (ret == 0)
		ret = gh_vcpu_create(vm, 0, &vcpu);
	if (ret == 0)
		ret = gh_vm_start(vm);
	*ret_failure = *gh_vm_failure(vm);
	if (ret == 0) {
		ret = gh_vcpu_run(vcpu, &exit);
		*ret_failure = *gh_vcpu_failure(vcpu);
	}
	gh_vm_close(vm);
	return ret;
}

struct refusal {
	unsigned long request;
	uint32_t type;
	int error;
	unsigned int skip;
	bool lend;
	const char *name; /* in gh_failure::request */
	enum gh_cause cause;
	enum gh_cause other;
};

#define FN UAPI_GUNYAH_ADD_FUNCTION

static const struct refusal gunyah[] = {
	/* The first one is the probe's. */
	{ UAPI_GUNYAH_CREATE_VM, 0, -ENODEV, 1, false, "0x4700", GH_CAUSE_NO_VM_IDS, GH_CAUSE_NONE },
	{ UAPI_GUNYAH_SET_USER_MEM, 0, -EPERM, 1, false, "0x40204701", GH_CAUSE_OTHER_PROCESS, GH_CAUSE_NONE },
	{ UAPI_GUNYAH_LEND_USER_MEM, 0, -EFAULT, 1, true, "0x40204111", GH_CAUSE_UNPINNABLE, GH_CAUSE_FRAGMENTED },
	{ UAPI_GUNYAH_SET_DTB, 0, -EOVERFLOW, 0, false, "0x40104702", GH_CAUSE_RANGE, GH_CAUSE_NONE },
	{ FN, UAPI_GUNYAH_FN_VCPU, -EOPNOTSUPP, 0, false, "vcpu", GH_CAUSE_NO_PROXY_VCPUS, GH_CAUSE_NONE },
	{ FN, UAPI_GUNYAH_FN_VCPU, -ENOENT, 0, false, "vcpu", GH_CAUSE_MODULE_MISSING, GH_CAUSE_NONE },
	{ UAPI_GUNYAH_MMAP_SIZE, 0, -ENOTTY, 0, false, "0x4706", GH_CAUSE_NO_REQUEST, GH_CAUSE_NONE },
	{ UAPI_GUNYAH_START, 0, -ENODEV, 0, false, "0x4703", GH_CAUSE_UNPROTECTED, GH_CAUSE_TREE_REFUSED },
	{ UAPI_GUNYAH_START, 0, -ENODEV, 0, true, "0x4703", GH_CAUSE_TREE_REFUSED, GH_CAUSE_NO_VM_IDS },
	{ UAPI_GUNYAH_START, 0, -EBADMSG, 0, true, "0x4703", GH_CAUSE_RM_UNKNOWN, GH_CAUSE_HYPERVISOR_OLD },
	{ FN, UAPI_GUNYAH_FN_IRQFD, -ENOENT, 0, false, "irqfd", GH_CAUSE_MODULE_MISSING, GH_CAUSE_NONE },
	{ FN, UAPI_GUNYAH_FN_IOEVENTFD, -EBADF, 0, false, "ioeventfd", GH_CAUSE_NOT_EVENTFD, GH_CAUSE_NONE },
	{ UAPI_GUNYAH_RUN, 0, -ENODEV, 0, false, "0x4705", GH_CAUSE_VCPU_NOT_IN_TREE, GH_CAUSE_VM_SPENT },
	{ UAPI_GUNYAH_RUN, 0, -EPERM, 0, false, "0x4705", GH_CAUSE_OTHER_PROCESS, GH_CAUSE_NONE },
	{ UAPI_GUNYAH_RUN, 0, -ENOMEM, 0, false, "0x4705", GH_CAUSE_HYPERVISOR_MEMORY, GH_CAUSE_FRAGMENTED },
};

static const struct refusal geniezone[] = {
	{ UAPI_GZVM_CREATE_VM, 0, -EOPNOTSUPP, 0, false, "0x9201", GH_CAUSE_HYPERVISOR_OLD, GH_CAUSE_NONE },
	{ UAPI_GZVM_CREATE_VM, 0, -ENOMEM, 0, false, "0x9201", GH_CAUSE_HYPERVISOR_MEMORY, GH_CAUSE_MEMORY },
	{ UAPI_GZVM_SET_USER_MEM, 0, -EIO, 0, false, "0x40209246", GH_CAUSE_OTHER_PROCESS, GH_CAUSE_NONE },
	{ UAPI_GZVM_SET_USER_MEM, 0, -EINVAL, 0, false, "0x40209246", GH_CAUSE_NOT_WHOLE_MAPPING, GH_CAUSE_NONE },
	{ UAPI_GZVM_SET_USER_MEM, 0, -ENXIO, 0, false, "0x40209246", GH_CAUSE_NO_ROOM, GH_CAUSE_NONE },
	{ UAPI_GZVM_CREATE_DEVICE, 0, -EINVAL, 0, false, "0xc03092e0", GH_CAUSE_INTERRUPT_CONTROLLER, GH_CAUSE_NONE },
	{ UAPI_GZVM_CREATE_DEVICE, 0, -ENOMEM, 1, false, "0xc03092e0", GH_CAUSE_HYPERVISOR_MEMORY, GH_CAUSE_MEMORY },
	{ UAPI_GZVM_CREATE_VCPU, 0, -EINVAL, 0, false, "0x9241", GH_CAUSE_TOO_MANY_CPUS, GH_CAUSE_HYPERVISOR_REFUSED },
	{ UAPI_GZVM_SET_ONE_REG, 0, -EPERM, 0, false, "0x401092ac", GH_CAUSE_REGISTER, GH_CAUSE_NONE },
	{ UAPI_GZVM_SET_DTB, 0, -EFAULT, 0, false, "0x401092ff", GH_CAUSE_HYPERVISOR_REFUSED, GH_CAUSE_NONE },
	{ UAPI_GZVM_IRQFD, 0, -EBUSY, 0, false, "0x40209276", GH_CAUSE_TAKEN, GH_CAUSE_NONE },
	{ UAPI_GZVM_IOEVENTFD, 0, -EBADF, 0, false, "0x40409279", GH_CAUSE_NOT_EVENTFD, GH_CAUSE_NONE },
	{ UAPI_GZVM_RUN, 0, -EIO, 0, false, "0x9280", GH_CAUSE_OTHER_PROCESS, GH_CAUSE_NONE },
	{ UAPI_GZVM_RUN, 0, -EINVAL, 0, false, "0x9280", GH_CAUSE_HYPERVISOR_REFUSED, GH_CAUSE_NONE },
};

static void check_refusal(const char *device, const struct refusal *refusal)
{
	bool is_run = refusal->request == UAPI_GUNYAH_RUN || refusal->request == UAPI_GZVM_RUN;
	struct gh_sim *sim = new_sim(device, "load 0x6000 8");
	struct gh_failure failure;
	int ret;

	arm(refusal->request, refusal->type, refusal->error, refusal->skip);
	table_instead = is_run ? refuse_entry : NULL;
	ret = live(sim, refusal->lend, &failure);
	table_instead = NULL;
	table_on_ioctl = NULL;
	ck_assert_msg(ret == refusal->error && victim.refused > 0, "%s: %d, refused %u times (%s)", refusal->name, ret,
		      victim.refused, failure.cause);
	ck_assert(failure_is(&failure, refusal->error));
	ck_assert_msg(strstr(failure.request, refusal->name) != NULL, "%s: %s", refusal->name, failure.request);
	ck_assert_str_eq(gh_cause_name(failure.cause_id), gh_cause_name(refusal->cause));
	ck_assert_str_eq(gh_cause_name(failure.other_cause_id), gh_cause_name(refusal->other));
	end_sim(sim);
}

START_TEST(test_gunyah)
{
	check_refusal(GUNYAH, &gunyah[_i]);
}
END_TEST

START_TEST(test_geniezone)
{
	check_refusal(GENIEZONE, &geniezone[_i]);
}
END_TEST

/* The line itself, which geniezone takes from any thread. */
START_TEST(test_irq_line)
{
	struct gh_irq_options options = GH_IRQ_OPTIONS_INIT;
	struct gh_sim *sim = new_sim(GENIEZONE, "");
	struct gh_vm *vm = open_sim(sim);
	struct gh_irq *irq;

	options.line = 7;
	options.flags = GH_IRQ_LEVEL;
	ck_assert_int_eq(gh_irq_add(vm, &options, &irq), 0);
	ck_assert_int_eq(gh_irq_set(irq, 1), 0);
	map_at(vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	(void)add_vcpu(vm, 0);
	arm(UAPI_GZVM_IRQ_LINE, 0, -EFAULT, 0);
	ck_assert_int_eq(gh_vm_start(vm), -EFAULT);
	table_on_ioctl = NULL;
	ck_assert_uint_eq(gh_vm_failure(vm)->cause_id, GH_CAUSE_RANGE);
	ck_assert_ptr_nonnull(strstr(gh_vm_failure(vm)->request, "0x40089261"));
	gh_vm_close(vm);
	end_sim(sim);
}
END_TEST

/* --- what the devices bring about themselves ---------------------------------------------------------------------------- */

static void check_failure(const struct gh_failure *failure, int error, enum gh_cause cause, const char *remedy)
{
	ck_assert_msg(failure_is(failure, error), "%d: %s", failure->error, failure->cause);
	ck_assert_str_eq(gh_cause_name(failure->cause_id), gh_cause_name(cause));
	ck_assert_msg(strstr(failure->remedy, remedy) != NULL, "%s", failure->remedy);
}

START_TEST(test_production)
{
	struct gh_sim *sim = new_sim(GUNYAH ",policy=production", "load 0x6000 8");
	struct gh_failure failure;

	table_on_ioctl = NULL;
	ck_assert_int_eq(live(sim, false, &failure), -ENODEV);
	check_failure(&failure, -ENODEV, GH_CAUSE_UNPROTECTED, "GH_MEMORY_LEND");
	ck_assert_int_eq(live(sim, true, &failure), 0);
	end_sim(sim);
}
END_TEST

/* A start that has failed, memory that is lent, a tree in no region, a vCPU and a line that the tree lacks. */
START_TEST(test_order)
{
	struct gh_irqfd_options line = GH_IRQFD_OPTIONS_INIT;
	struct gh_sim *sim = new_sim(GUNYAH ",policy=production", "load 0x6000 8");
	struct gh_irqfd *irqfd;
	struct gh_vm *vm = open_sim(sim);
	char byte = 0;
	void *host;

	map_at(vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	put_tree(vm, &standard_tree);
	(void)add_vcpu(vm, 0);
	ck_assert_int_eq(gh_vm_set_dtb(vm, RAM_GPA + RAM_SIZE - 4096, 8192), 0);
	ck_assert_int_eq(gh_vm_start(vm), -EINVAL);
	check_failure(gh_vm_failure(vm), -EINVAL, GH_CAUSE_TREE_PLACE, "gh_vm_set_dtb()");
	put_tree(vm, &standard_tree);
	line.line = 99;
	ck_assert_int_eq(gh_irqfd_add(vm, &line, &irqfd), 0);
	ck_assert_int_eq(gh_vm_start(vm), -EINVAL);
	check_failure(gh_vm_failure(vm), -EINVAL, GH_CAUSE_BELL_NOT_IN_TREE, "doorbell");
	gh_irqfd_remove(irqfd);
	ck_assert_int_eq(gh_vm_start(vm), -ENODEV);
	ck_assert_int_eq(gh_vm_start(vm), -EBUSY);
	check_failure(gh_vm_failure(vm), -EBUSY, GH_CAUSE_VM_SPENT, "open a new one");
	gh_vm_close(vm);
	vm = open_sim(sim);
	map_at(vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX | GH_MEMORY_LEND);
	put_tree(vm, &standard_tree);
	(void)add_vcpu(vm, 0);
	(void)add_vcpu(vm, 2);
	ck_assert_int_eq(gh_vm_start(vm), -EINVAL);
	gh_vm_close(vm);
	vm = open_sim(sim);
	map_at(vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX | GH_MEMORY_LEND);
	put_tree(vm, &standard_tree);
	(void)add_vcpu(vm, 0);
	ck_assert_int_eq(gh_vm_start(vm), 0);
	ck_assert_int_eq(gh_vm_write(vm, RAM_GPA, &byte, 1), -EFAULT);
	check_failure(gh_vm_failure(vm), -EFAULT, GH_CAUSE_LENT, "swiotlb");
	ck_assert_int_eq(gh_vm_read(vm, RAM_GPA - 1, &byte, 1), -EFAULT);
	check_failure(gh_vm_failure(vm), -EFAULT, GH_CAUSE_UNBACKED, "Map memory there");
	ck_assert_int_eq(gh_vm_pointer(vm, RAM_GPA, 1, &host), -EFAULT);
	check_failure(gh_vm_failure(vm), -EFAULT, GH_CAUSE_LENT, "swiotlb");
	gh_vm_close(vm);
	end_sim(sim);
}
END_TEST

/* GenieZone: a part of a mapping, and one that the host may only read. */
START_TEST(test_mapping)
{
	struct gh_memory memory = GH_MEMORY_INIT;
	struct gh_sim *sim = new_sim(GENIEZONE, "");
	struct gh_vm *vm = open_sim(sim);
	uint8_t *own = mmap(NULL, 2 * RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(own, MAP_FAILED);
	memory.gpa = RAM_GPA;
	memory.length = RAM_SIZE;
	memory.flags = GH_MEMORY_RWX;
	memory.host = own;
	ck_assert_int_eq(gh_vm_map(vm, &memory, NULL), -EINVAL);
	check_failure(gh_vm_failure(vm), -EINVAL, GH_CAUSE_NOT_WHOLE_MAPPING, "host NULL");
	ck_assert_int_eq(mprotect(own, 2 * RAM_SIZE, PROT_READ), 0);
	memory.length = 2 * RAM_SIZE;
	ck_assert_int_eq(gh_vm_map(vm, &memory, NULL), -EFAULT);
	check_failure(gh_vm_failure(vm), -EFAULT, GH_CAUSE_UNPINNABLE, "readable and writable");
	(void)munmap(own, 2 * RAM_SIZE);
	gh_vm_close(vm);
	end_sim(sim);
}
END_TEST

/* --- pages that the guest does not get ---------------------------------------------------------------------------------- */

static struct gh_vcpu *faulting;
static int attempt;

static void fault_gunyah(int ret)
{
	struct uapi_gunyah_run *page = faulting->b.run;

	ck_assert_int_eq(ret, 0);
	page->exit_reason = UAPI_GUNYAH_EXIT_PAGE_FAULT;
	page->u.page_fault.gpa = 0xdead000;
	page->u.page_fault.attempt = attempt;
}

static void fault_geniezone(int ret)
{
	struct uapi_gzvm_run *run = faulting->b.run;

	ck_assert_int_eq(ret, 0);
	memset(&run->u, 0, sizeof(run->u));
	run->exit_reason = UAPI_GZVM_EXIT_EXCEPTION;
	run->u.exception.exception = UAPI_GZVM_EXCEPTION_PAGE_FAULT;
	run->u.exception.fault_gpa = 0xdead000;
}

static void check_fault(const char *device, int error, int result, void (*fault)(int ret), enum gh_cause cause,
			const char *remedy)
{
	const struct gh_loop_options options = GH_LOOP_OPTIONS_INIT;
	struct gh_sim *sim = new_sim(device, "load 0x6000 8");
	struct gh_vm *vm = open_sim(sim);

	faulting = start_standard(vm);
	attempt = error;
	table_after_enter = fault;
	ck_assert_int_eq(gh_vcpu_loop(faulting, &options), result);
	table_after_enter = NULL;
	check_failure(gh_vcpu_failure(faulting), result, cause, remedy);
	ck_assert_ptr_nonnull(strstr(gh_vcpu_failure(faulting)->cause, "0xdead000"));
	gh_vm_close(vm);
	end_sim(sim);
}

START_TEST(test_faults)
{
	check_fault(GUNYAH, -ENOENT, -EFAULT, fault_gunyah, GH_CAUSE_UNBACKED, "Map memory there");
	check_fault(GUNYAH, -EACCES, -EFAULT, fault_gunyah, GH_CAUSE_HYPERVISOR_REFUSED, "kernel's log");
	check_fault(GUNYAH, -EPERM, -EFAULT, fault_gunyah, GH_CAUSE_UNBACKED, "Unmap");
	check_fault(GENIEZONE, 0, -EOPNOTSUPP, fault_geniezone, GH_CAUSE_UNBACKED, "Map memory there");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("diagnosis");
	TCase *tcase = add_case(suite, "diagnosis");

	tcase_add_loop_test(tcase, test_gunyah, 0, (int)COUNT(gunyah));
	tcase_add_loop_test(tcase, test_geniezone, 0, (int)COUNT(geniezone));
	tcase_add_test(tcase, test_irq_line);
	tcase_add_test(tcase, test_production);
	tcase_add_test(tcase, test_order);
	tcase_add_test(tcase, test_mapping);
	tcase_add_test(tcase, test_faults);
	return run_suite(suite);
}
