/* SPDX-License-Identifier: BSD-3-Clause */
/* The list of a running VM's system calls, as a program gets it. test_sandbox_proof.c shows that it is the right one. */
#include "util.h"

#include "../../lib/uapi/gunyah.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The entry for this call, or for the ioctl with this request. */
static bool has_call(const struct gh_vm *vm, const char *name, const char *request, struct gh_syscall *ret_call)
{
	*ret_call = (struct gh_syscall)GH_SYSCALL_INIT;
	for (uint32_t i = 0; gh_vm_syscall(vm, i, ret_call) == 0; i++)
		if (strcmp(ret_call->name, name) == 0 && (request == NULL || strcmp(ret_call->request, request) == 0))
			return true;
	return false;
}

static struct gh_vm *open_machine(const char *device, struct gh_sim **ret_sim)
{
	*ret_sim = new_sim(device, "");
	return open_sim(*ret_sim);
}

START_TEST(test_dialects_differ)
{
	static const struct {
		const char *device;
		const char *request;
		uint32_t value;
		bool listed;
	} cases[] = {
		{ "sim:gunyah/v8", "GH_VM_ADD_FUNCTION", UAPI_GUNYAH_ADD_NAMED_FUNCTION, true },
		{ "sim:gunyah/v8", "GH_VM_REMOVE_FUNCTION", 0, false },
		{ "sim:gunyah/v8", "GH_VM_START", UAPI_GUNYAH_START, true },
		{ "sim:gunyah/android14-6.1", "GH_VM_ADD_FUNCTION", UAPI_GUNYAH_ADD_FUNCTION, true },
		{ "sim:gunyah/android14-6.1", "GH_VM_START", 0, false },
		{ "sim:gunyah/android14-6.1", "GH_VM_RECLAIM_REGION", 0, false },
		{ "sim:gunyah/android14-6.1", "GZVM_RUN", 0, false },
		{ "sim:gunyah/android15-6.6", "GH_VM_RECLAIM_REGION", UAPI_GUNYAH_RECLAIM, true },
		{ "sim:gunyah/v17", "GUNYAH_VM_MAP_MEM", UAPI_GUNYAH_MAP_MEM, true },
		{ "sim:gunyah/v17", "GH_VM_SET_USER_MEM_REGION", 0, false },
		{ "sim:gzvm/v9", "GZVM_RUN", 0x9280, true },
		{ "sim:gzvm/v9", "HALLA_VCPU_RUN", 0, false },
		{ "sim:gzvm/r0", "GZVM_IRQ_LINE", 0, false },
		{ "sim:halla", "HALLA_VCPU_RUN", 0x4c21, true },
	};
	struct gh_syscall call;
	struct gh_sim *sim;
	struct gh_vm *vm = open_machine(cases[_i].device, &sim);

	ck_assert_int_eq(has_call(vm, "ioctl", cases[_i].request, &call), cases[_i].listed);
	if (cases[_i].listed) {
		ck_assert_uint_eq(call.value, cases[_i].value);
		ck_assert_uint_eq(call.argument, 1);
		ck_assert_uint_eq(call.mask, UINT32_MAX);
		ck_assert_uint_eq(call.number, SYS_ioctl);
	}
	/* What opens devices and VMs is on no list. */
	ck_assert(!has_call(vm, "ioctl", "GH_CREATE_VM", &call));
	ck_assert(!has_call(vm, "ioctl", "GZVM_CREATE_VM", &call));
	gh_vm_close(vm);
	end_sim(sim);
}
END_TEST
#define DIALECT_CASES 14

static void check_entry(const struct gh_syscall *call)
{
	const uint32_t all = GH_PHASE_RUN | GH_PHASE_CHANGE | GH_PHASE_THREADS | GH_PHASE_END;

	ck_assert_uint_ne(call->phases, 0);
	ck_assert_uint_eq(call->phases & ~all, 0);
	ck_assert_uint_lt(call->argument, 6);
	ck_assert_uint_eq(call->value & ~call->mask, 0);
	ck_assert_uint_eq(call->request[0] == '\0', call->mask == 0);
	ck_assert_uint_gt(strlen(call->name), 0);
	ck_assert_uint_gt(strlen(call->reason), 0);
	ck_assert_uint_eq(call->size, sizeof(*call));
	ck_assert_msg(call->refusal == 0 || call->refusal == EPERM || call->refusal == ENOSYS || call->refusal == EINVAL,
		      "%s", call->name);
}

START_TEST(test_entries_are_sound)
{
	static const char *const devices[] = { GUNYAH, GENIEZONE, "sim:halla", "sim:gunyah/android16-6.12" };
	struct gh_syscall call = GH_SYSCALL_INIT;
	struct gh_sim *sim;
	struct gh_vm *vm = open_machine(devices[_i], &sim);
	uint32_t count;

	for (count = 0; gh_vm_syscall(vm, count, &call) == 0; count++)
		check_entry(&call);
	ck_assert_uint_gt(count, 30);
	ck_assert(has_call(vm, "tgkill", NULL, &call));
	ck_assert_uint_eq(call.value, (uint32_t)getpid());
	ck_assert(has_call(vm, "openat", NULL, &call));
	ck_assert_uint_eq(call.refusal, EPERM);
	ck_assert(!has_call(vm, "execve", NULL, &call));
	gh_vm_close(vm);
	end_sim(sim);
}
END_TEST

START_TEST(test_bad_arguments)
{
	struct gh_syscall call = GH_SYSCALL_INIT;
	struct gh_fake *fake = new_fake();
	struct gh_vm *vm = open_fake(fake);
	uint32_t count = 0;

	ck_assert_int_eq(gh_vm_syscall(NULL, 0, &call), -EINVAL);
	ck_assert_int_eq(gh_vm_syscall(vm, 0, NULL), -EINVAL);
	call.size--;
	ck_assert_int_eq(gh_vm_syscall(vm, 0, &call), -EINVAL);
	ck_assert_ptr_null(call.name);
	/* One of a later version. */
	call.size = sizeof(call) + 8;
	ck_assert_int_eq(gh_vm_syscall(vm, 0, &call), 0);
	ck_assert_uint_eq(call.size, sizeof(call) + 8);
	call = (struct gh_syscall)GH_SYSCALL_INIT;
	while (gh_vm_syscall(vm, count, &call) == 0)
		count++;
	call.name = "untouched";
	ck_assert_int_eq(gh_vm_syscall(vm, count, &call), -ENOENT);
	ck_assert_int_eq(gh_vm_syscall(vm, UINT32_MAX, &call), -ENOENT);
	ck_assert_str_eq(call.name, "untouched");
	/* There is no device. */
	ck_assert(!has_call(vm, "ioctl", NULL, &call));
	gh_vm_close(vm);
	gh_fake_free(fake);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sandbox");
	TCase *tcase = add_case(suite, "sandbox");

	tcase_add_loop_test(tcase, test_dialects_differ, 0, DIALECT_CASES);
	tcase_add_loop_test(tcase, test_entries_are_sound, 0, 4);
	tcase_add_test(tcase, test_bad_arguments);
	return run_suite(suite);
}
