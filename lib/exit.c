/* SPDX-License-Identifier: BSD-3-Clause */
/* Exits: what a kernel may say of one, and what it is called. */
#include "exit.h"

#include <errno.h>
#include <string.h>

const uint64_t gh_value_masks[9] = {
	[1] = UINT8_MAX,
	[2] = UINT16_MAX,
	[4] = UINT32_MAX,
	[8] = UINT64_MAX,
};

void gh_exit_set_stop(struct gh_exit *exit, uint32_t cause, uint32_t raw_status, uint32_t raw_type)
{
	memset(&exit->stop, 0, sizeof(exit->stop));
	exit->kind = GH_EXIT_STOPPED;
	exit->stop.cause = cause;
	exit->stop.raw_status = raw_status;
	exit->stop.raw_type = raw_type;
}

void gh_exit_set_event(struct gh_exit *exit, uint32_t type, uint32_t count, const uint64_t *data)
{
	const uint32_t room = sizeof(exit->event.data) / sizeof(exit->event.data[0]);

	memset(&exit->event, 0, sizeof(exit->event));
	exit->kind = GH_EXIT_SYSTEM_EVENT;
	exit->event.type = type;
	exit->event.count = count < room ? count : room;
	memcpy(exit->event.data, data, exit->event.count * sizeof(exit->event.data[0]));
}

void gh_exit_set_kind(struct gh_exit *exit, uint32_t kind, uint32_t raw_reason)
{
	exit->kind = kind;
	exit->raw_reason = raw_reason;
}

const char *gh_exit_name(uint32_t kind)
{
	static const char *const names[] = {
		[GH_EXIT_UNKNOWN] = "unknown",           [GH_EXIT_MMIO] = "mmio",
		[GH_EXIT_STOPPED] = "stopped",           [GH_EXIT_PAGE_FAULT] = "page fault",
		[GH_EXIT_HYPERCALL] = "hypercall",       [GH_EXIT_EXCEPTION] = "exception",
		[GH_EXIT_SYSTEM_EVENT] = "system event", [GH_EXIT_INTERRUPTED] = "interrupted",
	};

	return kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "unknown";
}

const char *gh_stop_name(uint32_t cause)
{
	static const char *const names[] = {
		[GH_STOP_OTHER] = "other", [GH_STOP_POWER_OFF] = "power-off", [GH_STOP_RESET] = "reset",
		[GH_STOP_CRASH] = "crash", [GH_STOP_WATCHDOG] = "watchdog",   [GH_STOP_LOAD_FAILED] = "load failed",
	};

	return cause < sizeof(names) / sizeof(names[0]) ? names[cause] : "other";
}
