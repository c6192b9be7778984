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

void gh_describe(struct gh_failure *failure, int error, const char *step, const char *request, const char *remedy,
		 const char *cause, ...)
{
	va_list arguments;

	if (failure == NULL)
		return;
	failure->error = error;
	copy(failure->step, sizeof(failure->step), step);
	copy(failure->request, sizeof(failure->request), request);
	copy(failure->remedy, sizeof(failure->remedy), remedy);
	va_start(arguments, cause);
	(void)vsnprintf(failure->cause, sizeof(failure->cause), cause, arguments);
	va_end(arguments);
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

void gh_describe_request(struct gh_failure *failure, int error, const char *step, const char *request)
{
	gh_describe(failure, error, step, request, "See the kernel's log for what the driver says.", "%s (%s)",
		    general_cause(error), strerror(-error));
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
