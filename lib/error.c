/* SPDX-License-Identifier: BSD-3-Clause */
/* Failures: what went wrong, in words. */
#include "backend.h"
#include "diagnosis.h"
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
	enum gh_cause other;
	enum gh_cause id;
	va_list arguments;

	if (failure == NULL)
		return;
	gh_cause_of_error(error, request != NULL, &id, &other);
	failure->error = error;
	failure->cause_id = id;
	failure->other_cause_id = GH_CAUSE_NONE; /* the text has one */
	copy(failure->step, sizeof(failure->step), step);
	copy(failure->request, sizeof(failure->request), request);
	copy(failure->remedy, sizeof(failure->remedy), remedy);
	va_start(arguments, cause);
	(void)vsnprintf(failure->cause, sizeof(failure->cause), cause, arguments);
	va_end(arguments);
}

void gh_describe_cause(struct gh_failure *failure, int error, enum gh_cause cause, const char *step, const char *request,
		       const char *text, ...)
{
	const struct gh_cause_text *known = gh_cause_text(cause);
	va_list arguments;

	if (failure == NULL)
		return;
	gh_describe(failure, error, step, request, known->remedy, "%s", "");
	failure->cause_id = cause;
	va_start(arguments, text);
	(void)vsnprintf(failure->cause, sizeof(failure->cause), text, arguments);
	va_end(arguments);
}

void gh_describe_request(struct gh_failure *failure, int error, const char *step, const char *request)
{
	enum gh_cause other;
	enum gh_cause cause;

	if (failure == NULL)
		return;
	gh_cause_of_error(error, true, &cause, &other);
	gh_describe(failure, error, step, request, "", "%s", "");
	gh_cause_write(failure, cause, other, strerror(-error));
}

/* "One. Or: other. (Detail.)" */
void gh_cause_write(struct gh_failure *failure, unsigned int cause, unsigned int other, const char *detail)
{
	const struct gh_cause_text *first = gh_cause_text(cause);
	const struct gh_cause_text *second = other != GH_CAUSE_NONE ? gh_cause_text(other) : NULL;

	failure->cause_id = cause;
	failure->other_cause_id = other;
	(void)snprintf(failure->cause, sizeof(failure->cause), "%s%s%s%s%s%s", first->cause, second != NULL ? " Or: " : "",
		       second != NULL ? second->cause : "", detail[0] != '\0' ? " (" : "", detail,
		       detail[0] != '\0' ? ")" : "");
	(void)snprintf(failure->remedy, sizeof(failure->remedy), "%s%s%s", first->remedy, second != NULL ? " Or: " : "",
		       second != NULL ? second->remedy : "");
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
