/* SPDX-License-Identifier: BSD-3-Clause */
/* The numbers of GenieZone, and those of Halla (section 6.1 of the GenieZone UAPI document). */
#include "geniezone.h"

#define REQUEST(prefix, request) [GH_GZ_##request] = UAPI_##prefix##_##request

const struct gh_gz_abi gh_gz_geniezone = {
	.requests = {
		REQUEST(GZVM, CREATE_VM),
		REQUEST(GZVM, CHECK_EXTENSION),
		REQUEST(GZVM, CREATE_VCPU),
		REQUEST(GZVM, SET_USER_MEM),
		REQUEST(GZVM, IRQ_LINE),
		REQUEST(GZVM, IRQFD),
		REQUEST(GZVM, IOEVENTFD),
		REQUEST(GZVM, ENABLE_CAP),
		REQUEST(GZVM, CREATE_DEVICE),
		REQUEST(GZVM, SET_DTB),
		REQUEST(GZVM, GET_ONE_REG),
		REQUEST(GZVM, SET_ONE_REG),
	},
	.enable_cap = "GZVM_ENABLE_CAP (0x403092a3)",
	.gpa_size = UAPI_GZVM_CAP_GPA_SIZE,
	.protected_vm = UAPI_GZVM_CAP_PROTECTED_VM,
	.max_vcpus = UAPI_GZVM_MAX_VCPUS,
};

static uint32_t own_code(uint32_t code)
{
	switch (code) {
	case UAPI_HALLA_EXIT_MMIO:
		return UAPI_GZVM_EXIT_MMIO;
	case UAPI_HALLA_EXIT_IRQ:
		return UAPI_GZVM_EXIT_IRQ;
	case UAPI_HALLA_EXIT_EXCEPTION:
		return UAPI_GZVM_EXIT_EXCEPTION;
	case UAPI_HALLA_EXIT_SYSTEM_EVENT:
		return UAPI_GZVM_EXIT_SYSTEM_EVENT;
	case UAPI_HALLA_EXIT_SHUTDOWN:
		return UAPI_GZVM_EXIT_SHUTDOWN;
	case UAPI_HALLA_EXIT_IDLE:
		return UAPI_GZVM_EXIT_IDLE;
	case UAPI_HALLA_EXIT_SGI:
		return UAPI_GZVM_EXIT_IPI;
	default:
		return 0;
	}
}

const struct gh_gz_abi gh_gz_halla = {
	.requests = {
		REQUEST(HALLA, CREATE_VM),
		REQUEST(HALLA, CHECK_EXTENSION),
		REQUEST(HALLA, CREATE_VCPU),
		REQUEST(HALLA, SET_USER_MEM),
		REQUEST(HALLA, IRQ_LINE),
		REQUEST(HALLA, IRQFD),
		REQUEST(HALLA, IOEVENTFD),
		REQUEST(HALLA, ENABLE_CAP),
		REQUEST(HALLA, CREATE_DEVICE),
		REQUEST(HALLA, SET_DTB),
		REQUEST(HALLA, GET_ONE_REG),
		REQUEST(HALLA, SET_ONE_REG),
	},
	.enable_cap = "HALLA_ENABLE_CAP (0x40304c03)",
	.gpa_size = UAPI_HALLA_CAP_GPA_SIZE,
	.protected_vm = UAPI_HALLA_CAP_PROTECTED_VM,
	.max_vcpus = UAPI_HALLA_MAX_VCPUS,
	.has_vm_types = true,
	.own_code = own_code,
};
