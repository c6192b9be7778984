/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Qualcomm's older interface on /dev/gunyah (kernels 5.10 and 5.15), under own names: section 1.3 of the Gunyah UAPI document.
 *
 * The VM's image is a firmware, its memory a carve-out, and RUN returns only when the VM ends, so no VMM can be built on it: the
 * library recognises and refuses it. An unknown request on any of its descriptors gives EINVAL.
 */
#ifndef GH_UAPI_GUNYAH_VENDOR_H
#define GH_UAPI_GUNYAH_VENDOR_H

#include "gunyah.h"

#define UAPI_GUNYAH_VENDOR_MAGIC 0xb2
#define UAPI_GUNYAH_VENDOR_NAME 16u

struct uapi_gunyah_vendor_exit {
	char name[UAPI_GUNYAH_VENDOR_NAME];
	uint32_t reason;
};

struct uapi_gunyah_vendor_name {
	char name[UAPI_GUNYAH_VENDOR_NAME];
};

struct uapi_gunyah_vendor_region {
	uint8_t index;
	uint8_t padding[7];
	uint64_t physical;
	uint64_t size;
	int32_t fd;
	uint32_t tail;
};

/* What the vCPU's RUN returns. */
#define UAPI_GUNYAH_VENDOR_EXIT_UNKNOWN 0u
#define UAPI_GUNYAH_VENDOR_EXIT_SHUTDOWN 1u
#define UAPI_GUNYAH_VENDOR_EXIT_RESTART 2u
#define UAPI_GUNYAH_VENDOR_EXIT_PANIC 3u
#define UAPI_GUNYAH_VENDOR_EXIT_SECURE_WATCHDOG 4u
#define UAPI_GUNYAH_VENDOR_EXIT_HYP_ERROR 5u
#define UAPI_GUNYAH_VENDOR_EXIT_ASYNC_ABORT 6u
#define UAPI_GUNYAH_VENDOR_EXIT_FORCE_STOPPED 7u

/* Device. */
#define UAPI_GUNYAH_VENDOR_WAIT_FOR_EXIT UAPI_IOWR(UAPI_GUNYAH_VENDOR_MAGIC, 0x2, struct uapi_gunyah_vendor_exit)
/* VM. */
#define UAPI_GUNYAH_VENDOR_CREATE_VCPU UAPI_IO(UAPI_GUNYAH_VENDOR_MAGIC, 0x40)
#define UAPI_GUNYAH_VENDOR_SET_FW_NAME UAPI_IOW(UAPI_GUNYAH_VENDOR_MAGIC, 0x41, struct uapi_gunyah_vendor_name)
#define UAPI_GUNYAH_VENDOR_GET_FW_NAME UAPI_IOR(UAPI_GUNYAH_VENDOR_MAGIC, 0x42, struct uapi_gunyah_vendor_name)
#define UAPI_GUNYAH_VENDOR_GET_VCPU_COUNT UAPI_IO(UAPI_GUNYAH_VENDOR_MAGIC, 0x43)
#define UAPI_GUNYAH_VENDOR_GET_MEM_COUNT UAPI_IO(UAPI_GUNYAH_VENDOR_MAGIC, 0x44)
#define UAPI_GUNYAH_VENDOR_GET_MEM_REGION UAPI_IOWR(UAPI_GUNYAH_VENDOR_MAGIC, 0x45, struct uapi_gunyah_vendor_region)
/* vCPU. */
#define UAPI_GUNYAH_VENDOR_RUN UAPI_IO(UAPI_GUNYAH_VENDOR_MAGIC, 0x80)

static_assert(sizeof(struct uapi_gunyah_vendor_exit) == 20, "vendor_exit");
static_assert(offsetof(struct uapi_gunyah_vendor_exit, name) == 0, "vendor_exit.name");
static_assert(offsetof(struct uapi_gunyah_vendor_exit, reason) == 16, "vendor_exit.reason");
static_assert(sizeof(struct uapi_gunyah_vendor_name) == 16, "vendor_name");
static_assert(offsetof(struct uapi_gunyah_vendor_name, name) == 0, "vendor_name.name");
static_assert(sizeof(struct uapi_gunyah_vendor_region) == 32, "vendor_region");
static_assert(offsetof(struct uapi_gunyah_vendor_region, index) == 0, "vendor_region.index");
static_assert(offsetof(struct uapi_gunyah_vendor_region, physical) == 8, "vendor_region.physical");
static_assert(offsetof(struct uapi_gunyah_vendor_region, size) == 16, "vendor_region.size");
static_assert(offsetof(struct uapi_gunyah_vendor_region, fd) == 24, "vendor_region.fd");
static_assert(UAPI_GUNYAH_VENDOR_WAIT_FOR_EXIT == 0xc014b202u, "vendor WAIT_FOR_EXIT");
static_assert(UAPI_GUNYAH_VENDOR_CREATE_VCPU == 0x0000b240u, "vendor CREATE_VCPU");
static_assert(UAPI_GUNYAH_VENDOR_SET_FW_NAME == 0x4010b241u, "vendor SET_FW_NAME");
static_assert(UAPI_GUNYAH_VENDOR_GET_FW_NAME == 0x8010b242u, "vendor GET_FW_NAME");
static_assert(UAPI_GUNYAH_VENDOR_GET_VCPU_COUNT == 0x0000b243u, "vendor GET_VCPU_COUNT");
static_assert(UAPI_GUNYAH_VENDOR_GET_MEM_COUNT == 0x0000b244u, "vendor GET_MEM_COUNT");
static_assert(UAPI_GUNYAH_VENDOR_GET_MEM_REGION == 0xc020b245u, "vendor GET_MEM_REGION");
static_assert(UAPI_GUNYAH_VENDOR_RUN == 0x0000b280u, "vendor RUN");

#endif
