/* SPDX-License-Identifier: BSD-3-Clause */
/* /dev/halla is /dev/gzvm in other numbers: here they become GenieZone's, and exits become Halla's. */
#include "../uapi/halla.h"
#include "gzvm.h"

static const struct request {
	unsigned long halla;
	unsigned long gzvm;
} requests[] = {
	{ UAPI_HALLA_RUN, UAPI_GZVM_RUN },
	{ UAPI_HALLA_CREATE_VM, UAPI_GZVM_CREATE_VM },
	{ UAPI_HALLA_CHECK_EXTENSION, UAPI_GZVM_CHECK_EXTENSION },
	{ UAPI_HALLA_ENABLE_CAP, UAPI_GZVM_ENABLE_CAP },
	{ UAPI_HALLA_SET_DTB, UAPI_GZVM_SET_DTB },
	{ UAPI_HALLA_CREATE_VCPU, UAPI_GZVM_CREATE_VCPU },
	{ UAPI_HALLA_SET_USER_MEM, UAPI_GZVM_SET_USER_MEM },
	{ UAPI_HALLA_IRQFD, UAPI_GZVM_IRQFD },
	{ UAPI_HALLA_IRQ_LINE, UAPI_GZVM_IRQ_LINE },
	{ UAPI_HALLA_CREATE_DEVICE, UAPI_GZVM_CREATE_DEVICE },
	{ UAPI_HALLA_IOEVENTFD, UAPI_GZVM_IOEVENTFD },
	{ UAPI_HALLA_GET_ONE_REG, UAPI_GZVM_GET_ONE_REG },
	{ UAPI_HALLA_SET_ONE_REG, UAPI_GZVM_SET_ONE_REG },
};

static const struct code {
	uint32_t halla;
	uint32_t gzvm;
} codes[] = {
	{ UAPI_HALLA_EXIT_UNKNOWN, UAPI_GZVM_EXIT_UNKNOWN },
	{ UAPI_HALLA_EXIT_MMIO, UAPI_GZVM_EXIT_MMIO },
	{ UAPI_HALLA_EXIT_IRQ, UAPI_GZVM_EXIT_IRQ },
	{ UAPI_HALLA_EXIT_EXCEPTION, UAPI_GZVM_EXIT_EXCEPTION },
	{ UAPI_HALLA_EXIT_INTERNAL_ERROR, UAPI_GZVM_EXIT_INTERNAL_ERROR },
	{ UAPI_HALLA_EXIT_SYSTEM_EVENT, UAPI_GZVM_EXIT_SYSTEM_EVENT },
	{ UAPI_HALLA_EXIT_SHUTDOWN, UAPI_GZVM_EXIT_SHUTDOWN },
	{ UAPI_HALLA_EXIT_IDLE, UAPI_GZVM_EXIT_IDLE },
	{ UAPI_HALLA_EXIT_SGI, UAPI_GZVM_EXIT_IPI },
};

unsigned long gzvm_own_request(const struct gzvm_switches *switches, unsigned long request)
{
	if (!switches->is_halla)
		return request;
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		if (requests[i].halla == request)
			return requests[i].gzvm;
	}
	return 0; /* which is none of GenieZone's either */
}

uint64_t gzvm_own_cap(const struct gzvm_switches *switches, uint64_t cap)
{
	if (!switches->is_halla)
		return cap;
	switch (cap) {
	case UAPI_HALLA_CAP_PROTECTED_VM:
		return UAPI_GZVM_CAP_PROTECTED_VM;
	case UAPI_HALLA_CAP_GPA_SIZE:
		return UAPI_GZVM_CAP_GPA_SIZE;
	default:
		return 0;
	}
}

uint32_t gzvm_own_code(const struct gzvm_switches *switches, uint32_t code)
{
	for (size_t i = 0; switches->is_halla && i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (codes[i].halla == code)
			return codes[i].gzvm;
	}
	return code;
}

uint32_t gzvm_shown_code(const struct gzvm_switches *switches, uint32_t code)
{
	for (size_t i = 0; switches->is_halla && i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (codes[i].gzvm == code)
			return codes[i].halla;
	}
	return code;
}

bool gzvm_has_code(const struct gzvm_switches *switches, uint32_t code)
{
	return !switches->is_halla || gzvm_shown_code(switches, code) != code;
}

bool gzvm_halla_takes_type(uint64_t type)
{
	uint64_t bits = type & UAPI_HALLA_VM_GPA_BITS;

	if ((type & ~(uint64_t)(UAPI_HALLA_VM_GPA_BITS | UAPI_HALLA_VM_PROTECTED)) != 0)
		return false;
	return bits == 0 || (bits >= 32 && bits <= 48);
}
