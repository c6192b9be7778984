/* SPDX-License-Identifier: BSD-3-Clause */
/* GenieZone's run buffer to an exit: pure, and suspicious of every byte. */
#include "geniezone.h"

#include "../exit.h"

#include <errno.h>
#include <string.h>

static void decode_event(const struct uapi_gzvm_run *run, struct gh_exit *exit)
{
	const struct uapi_gzvm_event *event = &run->u.event;

	switch (event->type) {
	case UAPI_GZVM_EVENT_SHUTDOWN:
		gh_exit_set_stop(exit, GH_STOP_POWER_OFF, run->exit_reason, event->type);
		break;
	case UAPI_GZVM_EVENT_RESET:
		gh_exit_set_stop(exit, GH_STOP_RESET, run->exit_reason, event->type);
		break;
	case UAPI_GZVM_EVENT_CRASH:
		gh_exit_set_stop(exit, GH_STOP_CRASH, run->exit_reason, event->type);
		break;
	default:
		gh_exit_set_event(exit, event->type, event->count, event->data);
		break;
	}
}

static void decode_exception(const struct uapi_gzvm_exception *exception, struct gh_exit *exit)
{
	if (exception->exception == UAPI_GZVM_EXCEPTION_PAGE_FAULT) {
		memset(&exit->fault, 0, sizeof(exit->fault));
		exit->kind = GH_EXIT_PAGE_FAULT;
		exit->fault.gpa = exception->fault_gpa;
		return;
	}
	exit->kind = GH_EXIT_EXCEPTION;
	exit->exception.exception = exception->exception;
	exit->exception.error_code = exception->error_code;
	exit->exception.gpa = exception->fault_gpa;
}

int gh_geniezone_decode_as(const struct uapi_gzvm_run *run, uint32_t code, struct gh_exit *exit)
{
	exit->raw_reason = run->exit_reason;
	switch (code) {
	case UAPI_GZVM_EXIT_MMIO:
		return gh_geniezone_decode_mmio(run, exit);
	case UAPI_GZVM_EXIT_HYPERCALL:
		exit->kind = GH_EXIT_HYPERCALL;
		memcpy(exit->hypercall.args, run->u.hypercall.args, sizeof(exit->hypercall.args));
		return 0;
	case UAPI_GZVM_EXIT_EXCEPTION:
		decode_exception(&run->u.exception, exit);
		return 0;
	case UAPI_GZVM_EXIT_SYSTEM_EVENT:
		decode_event(run, exit);
		return 0;
	case UAPI_GZVM_EXIT_SHUTDOWN:
		gh_exit_set_stop(exit, GH_STOP_POWER_OFF, run->exit_reason, 0);
		return 0;
	case UAPI_GZVM_EXIT_FAIL_ENTRY:
		gh_exit_set_stop(exit, GH_STOP_LOAD_FAILED, run->exit_reason, (uint32_t)run->u.fail_entry.reason);
		return 0;
	case UAPI_GZVM_EXIT_IRQ:
	case UAPI_GZVM_EXIT_GZ:
	case UAPI_GZVM_EXIT_IDLE:
	case UAPI_GZVM_EXIT_IPI:
		/* The kernel's own business, which some revisions hand on: the guest only wants to run on. */
		return -EAGAIN;
	default:
		exit->kind = GH_EXIT_UNKNOWN;
		return 0;
	}
}
