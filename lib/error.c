/* SPDX-License-Identifier: BSD-3-Clause */
/* Failures: what went wrong, in words. */
#include "backend.h"
#include "internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void copy(char *to, size_t size, const char *from)
{
	(void)snprintf(to, size, "%s", from != NULL ? from : "");
}

int gh_fail(struct gh_failure *failure, int error, const char *step, const char *request, const char *remedy,
	    const char *cause, ...)
{
	va_list arguments;

	if (failure == NULL)
		return error;
	failure->error = error;
	copy(failure->step, sizeof(failure->step), step);
	copy(failure->request, sizeof(failure->request), request);
	copy(failure->remedy, sizeof(failure->remedy), remedy);
	va_start(arguments, cause);
	(void)vsnprintf(failure->cause, sizeof(failure->cause), cause, arguments);
	va_end(arguments);
	return error;
}

/* What an errno of a kernel request means when nothing better is known. */
static const char *general_cause(int error)
{
	switch (error) {
	case -ENOMEM:
		return "The kernel or the library is out of memory, or the process may not lock more (RLIMIT_MEMLOCK).";
	case -EPERM:
	case -EACCES:
		return "The kernel does not allow it to this process.";
	case -EMFILE:
	case -ENFILE:
		return "There are too many open descriptors.";
	case -EFAULT:
		return "Memory that the request needs is not mapped in this process, or not with the access it needs.";
	case -EPROTO:
		return "The kernel answered something that its own interface does not allow.";
	default:
		return "The kernel refused the request.";
	}
}

int gh_fail_request(struct gh_failure *failure, int error, const char *step, const char *request)
{
	return gh_fail(failure, error, step, request, "See the kernel's log for what the driver says.", "%s (%s)",
		       general_cause(error), strerror(-error));
}

int gh_fail_argument(struct gh_failure *failure, int error, const char *step, const char *cause)
{
	return gh_fail(failure, error, step, NULL, "Correct the arguments of the call.", "%s", cause);
}

int gh_fail_state(struct gh_failure *failure, const char *step, const char *cause)
{
	return gh_fail(failure, -EBUSY, step, NULL, "See the states of a VM in gh/vm.h for the order of calls.", "%s",
		       cause);
}

int gh_fail_memory(struct gh_failure *failure, const char *step)
{
	return gh_fail(failure, -ENOMEM, step, NULL, "Free memory of this process.", "The process is out of memory.");
}

const struct gh_failure *gh_vm_failure(const struct gh_vm *vm)
{
	static const struct gh_failure none = GH_FAILURE_INIT;

	return vm != NULL ? &vm->failure : &none;
}

const struct gh_failure *gh_vcpu_failure(const struct gh_vcpu *vcpu)
{
	return vcpu != NULL ? &vcpu->failure : gh_vm_failure(NULL);
}
