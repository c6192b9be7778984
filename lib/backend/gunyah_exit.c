/* SPDX-License-Identifier: BSD-3-Clause */
/* Gunyah's run page to an exit: pure, and suspicious of every byte. */
#include "gunyah.h"

#include "../exit.h"

#include <errno.h>
#include <string.h>

static uint32_t cause_of(uint32_t status, uint32_t type)
{
	if (status == UAPI_GUNYAH_STATUS_LOAD_FAILED)
		return GH_STOP_LOAD_FAILED;
	if (status == UAPI_GUNYAH_STATUS_CRASHED)
		return GH_STOP_CRASH;
	if (status != UAPI_GUNYAH_STATUS_EXITED)
		return GH_STOP_OTHER;
	switch (type) {
	case UAPI_GUNYAH_END_VM_EXIT:
	case UAPI_GUNYAH_END_POWER_OFF:
	case UAPI_GUNYAH_END_FORCE_STOPPED:
		return GH_STOP_POWER_OFF;
	case UAPI_GUNYAH_END_RESET:
	case UAPI_GUNYAH_END_RESET2:
		return GH_STOP_RESET;
	case UAPI_GUNYAH_END_WATCHDOG:
		return GH_STOP_WATCHDOG;
	case UAPI_GUNYAH_END_HYP_ERROR:
	case UAPI_GUNYAH_END_ASYNC_ABORT:
		return GH_STOP_CRASH;
	default:
		return GH_STOP_OTHER;
	}
}

static void decode_status(const struct uapi_gunyah_status *status, struct gh_exit *exit)
{
	gh_exit_set_stop(exit, cause_of(status->status, status->type), status->status, status->type);
	/* PSCI SYSTEM_RESET2 says 16 bytes; there are 8. */
	exit->stop.reason_size =
		status->reason_size < sizeof(exit->stop.reason) ? status->reason_size : (uint32_t)sizeof(exit->stop.reason);
	memcpy(exit->stop.reason, status->reason, exit->stop.reason_size);
}

int gh_gunyah_decode(const struct uapi_gunyah_run *page, struct gh_exit *exit)
{
	uint32_t reason = *(const volatile uint32_t *)&page->exit_reason;

	exit->raw_reason = reason;
	switch (reason) {
	case UAPI_GUNYAH_EXIT_MMIO:
		return gh_gunyah_decode_mmio(page, exit);
	case UAPI_GUNYAH_EXIT_STATUS:
		decode_status(&page->u.status, exit);
		return 0;
	case UAPI_GUNYAH_EXIT_PAGE_FAULT:
		memset(&exit->fault, 0, sizeof(exit->fault));
		exit->kind = GH_EXIT_PAGE_FAULT;
		exit->fault.gpa = page->u.page_fault.gpa;
		exit->fault.error = page->u.page_fault.attempt;
		return 0;
	default:
		exit->kind = GH_EXIT_UNKNOWN;
		return 0;
	}
}
