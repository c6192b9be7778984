/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Gunyah's kernel interface under own names: the android14-6.1 dialect.
 *
 * Numbers and layouts are facts of the interface, checked below; sections 1.3 and 1.4 of the Gunyah UAPI document name them.
 */
#ifndef GH_UAPI_GUNYAH_H
#define GH_UAPI_GUNYAH_H

#include "ioctl.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define UAPI_GUNYAH_DEVICE "/dev/gunyah"

/* VM memory permissions. */
#define UAPI_GUNYAH_MEM_READ 1u
#define UAPI_GUNYAH_MEM_WRITE 2u
#define UAPI_GUNYAH_MEM_EXEC 4u

struct uapi_gunyah_region {
	uint32_t label;
	uint32_t flags;
	uint64_t gpa;
	uint64_t size;
	uint64_t host;
};

/* SET_DTB_CONFIG and SET_FW_CONFIG. */
struct uapi_gunyah_range {
	uint64_t gpa;
	uint64_t size;
};

/* Function types of ADD_FUNCTION and REMOVE_FUNCTION. */
#define UAPI_GUNYAH_FN_VCPU 1u
#define UAPI_GUNYAH_FN_IRQFD 2u
#define UAPI_GUNYAH_FN_IOEVENTFD 3u
#define UAPI_GUNYAH_FN_MAX_ARG 256u

struct uapi_gunyah_fn {
	uint32_t type;
	uint32_t arg_size;
	uint64_t arg;
};

struct uapi_gunyah_fn_vcpu {
	uint32_t id;
};

#define UAPI_GUNYAH_IRQFD_LEVEL 1u

struct uapi_gunyah_fn_irqfd {
	uint32_t fd;
	uint32_t label;
	uint32_t flags;
	uint32_t padding;
};

#define UAPI_GUNYAH_IOEVENTFD_DATAMATCH 1u

struct uapi_gunyah_fn_ioeventfd {
	uint64_t datamatch;
	uint64_t gpa;
	uint32_t width;
	int32_t fd;
	uint32_t flags;
	uint32_t padding;
};

#define UAPI_GUNYAH_EXIT_UNKNOWN 0u
#define UAPI_GUNYAH_EXIT_MMIO 1u
#define UAPI_GUNYAH_EXIT_STATUS 2u
#define UAPI_GUNYAH_EXIT_PAGE_FAULT 3u

#define UAPI_GUNYAH_STATUS_LOAD_FAILED 1u
#define UAPI_GUNYAH_STATUS_EXITED 2u
#define UAPI_GUNYAH_STATUS_CRASHED 3u

/* Types of exit information (section 2.4 of the Gunyah UAPI document). */
#define UAPI_GUNYAH_END_VM_EXIT 0u
#define UAPI_GUNYAH_END_POWER_OFF 1u
#define UAPI_GUNYAH_END_RESET 2u
#define UAPI_GUNYAH_END_RESET2 3u
#define UAPI_GUNYAH_END_WATCHDOG 4u
#define UAPI_GUNYAH_END_HYP_ERROR 5u
#define UAPI_GUNYAH_END_ASYNC_ABORT 6u
#define UAPI_GUNYAH_END_FORCE_STOPPED 7u
#define UAPI_GUNYAH_REASON_MAX 8u

struct uapi_gunyah_mmio {
	uint64_t gpa;
	uint8_t data[8];
	uint32_t width;
	uint8_t is_write;
	uint8_t resume_action; /* tail padding before v15; 0 is harmless everywhere */
};

/* The kernel header declares `status` as an enum: 4 bytes, but not under -fshort-enums. */
struct uapi_gunyah_status {
	uint32_t status;
	uint16_t type;
	uint16_t padding;
	uint32_t reason_size;
	uint8_t reason[UAPI_GUNYAH_REASON_MAX];
};

struct uapi_gunyah_page_fault {
	uint64_t gpa;
	int32_t attempt;
	uint8_t resume_action;
};

/* One page, mapped from the vCPU descriptor. */
struct uapi_gunyah_run {
	uint8_t immediate_exit;
	uint8_t padding[7];
	uint32_t exit_reason;
	union {
		struct uapi_gunyah_mmio mmio;
		struct uapi_gunyah_status status;
		struct uapi_gunyah_page_fault page_fault;
	} u;
};

/* Device. */
#define UAPI_GUNYAH_CREATE_VM UAPI_IO('G', 0x0)
/* VM. */
#define UAPI_GUNYAH_SET_USER_MEM UAPI_IOW('G', 0x1, struct uapi_gunyah_region)
#define UAPI_GUNYAH_SET_DTB UAPI_IOW('G', 0x2, struct uapi_gunyah_range)
#define UAPI_GUNYAH_START UAPI_IO('G', 0x3)
#define UAPI_GUNYAH_ADD_FUNCTION UAPI_IOW('G', 0x4, struct uapi_gunyah_fn)
#define UAPI_GUNYAH_REMOVE_FUNCTION UAPI_IOW('G', 0x7, struct uapi_gunyah_fn)
#define UAPI_GUNYAH_LEND_USER_MEM UAPI_IOW('A', 0x11, struct uapi_gunyah_region)
#define UAPI_GUNYAH_SET_FW UAPI_IOW('A', 0x12, struct uapi_gunyah_range)
/* vCPU. */
#define UAPI_GUNYAH_RUN UAPI_IO('G', 0x5)
#define UAPI_GUNYAH_MMAP_SIZE UAPI_IO('G', 0x6)
/* Qualcomm's older interface on a device of the same name: recognised, then refused. */
#define UAPI_GUNYAH_VENDOR_CREATE_VM UAPI_IO(0xb2, 0x1)

static_assert(sizeof(struct uapi_gunyah_region) == 32, "region");
static_assert(offsetof(struct uapi_gunyah_region, label) == 0, "region.label");
static_assert(offsetof(struct uapi_gunyah_region, flags) == 4, "region.flags");
static_assert(offsetof(struct uapi_gunyah_region, gpa) == 8, "region.gpa");
static_assert(offsetof(struct uapi_gunyah_region, size) == 16, "region.size");
static_assert(offsetof(struct uapi_gunyah_region, host) == 24, "region.host");
static_assert(sizeof(struct uapi_gunyah_range) == 16, "range");
static_assert(offsetof(struct uapi_gunyah_range, gpa) == 0, "range.gpa");
static_assert(offsetof(struct uapi_gunyah_range, size) == 8, "range.size");
static_assert(sizeof(struct uapi_gunyah_fn) == 16, "fn");
static_assert(offsetof(struct uapi_gunyah_fn, type) == 0, "fn.type");
static_assert(offsetof(struct uapi_gunyah_fn, arg_size) == 4, "fn.arg_size");
static_assert(offsetof(struct uapi_gunyah_fn, arg) == 8, "fn.arg");
static_assert(sizeof(struct uapi_gunyah_fn_vcpu) == 4, "fn_vcpu");
static_assert(offsetof(struct uapi_gunyah_fn_vcpu, id) == 0, "fn_vcpu.id");
static_assert(sizeof(struct uapi_gunyah_fn_irqfd) == 16, "fn_irqfd");
static_assert(offsetof(struct uapi_gunyah_fn_irqfd, fd) == 0, "fn_irqfd.fd");
static_assert(offsetof(struct uapi_gunyah_fn_irqfd, label) == 4, "fn_irqfd.label");
static_assert(offsetof(struct uapi_gunyah_fn_irqfd, flags) == 8, "fn_irqfd.flags");
static_assert(offsetof(struct uapi_gunyah_fn_irqfd, padding) == 12, "fn_irqfd.padding");
static_assert(sizeof(struct uapi_gunyah_fn_ioeventfd) == 32, "fn_ioeventfd");
static_assert(offsetof(struct uapi_gunyah_fn_ioeventfd, datamatch) == 0, "fn_ioeventfd.datamatch");
static_assert(offsetof(struct uapi_gunyah_fn_ioeventfd, gpa) == 8, "fn_ioeventfd.gpa");
static_assert(offsetof(struct uapi_gunyah_fn_ioeventfd, width) == 16, "fn_ioeventfd.width");
static_assert(offsetof(struct uapi_gunyah_fn_ioeventfd, fd) == 20, "fn_ioeventfd.fd");
static_assert(offsetof(struct uapi_gunyah_fn_ioeventfd, flags) == 24, "fn_ioeventfd.flags");
static_assert(offsetof(struct uapi_gunyah_fn_ioeventfd, padding) == 28, "fn_ioeventfd.padding");
static_assert(sizeof(struct uapi_gunyah_run) == 40, "run");
static_assert(offsetof(struct uapi_gunyah_run, immediate_exit) == 0, "run.immediate_exit");
static_assert(offsetof(struct uapi_gunyah_run, padding) == 1, "run.padding");
static_assert(offsetof(struct uapi_gunyah_run, exit_reason) == 8, "run.exit_reason");
static_assert(offsetof(struct uapi_gunyah_run, u.mmio.gpa) == 16, "run.mmio.gpa");
static_assert(offsetof(struct uapi_gunyah_run, u.mmio.data) == 24, "run.mmio.data");
static_assert(offsetof(struct uapi_gunyah_run, u.mmio.width) == 32, "run.mmio.width");
static_assert(offsetof(struct uapi_gunyah_run, u.mmio.is_write) == 36, "run.mmio.is_write");
static_assert(offsetof(struct uapi_gunyah_run, u.mmio.resume_action) == 37, "run.mmio.resume_action");
static_assert(offsetof(struct uapi_gunyah_run, u.status.status) == 16, "run.status.status");
static_assert(offsetof(struct uapi_gunyah_run, u.status.type) == 20, "run.status.type");
static_assert(offsetof(struct uapi_gunyah_run, u.status.padding) == 22, "run.status.padding");
static_assert(offsetof(struct uapi_gunyah_run, u.status.reason_size) == 24, "run.status.reason_size");
static_assert(offsetof(struct uapi_gunyah_run, u.status.reason) == 28, "run.status.reason");
static_assert(offsetof(struct uapi_gunyah_run, u.page_fault.gpa) == 16, "run.page_fault.gpa");
static_assert(offsetof(struct uapi_gunyah_run, u.page_fault.attempt) == 24, "run.page_fault.attempt");
static_assert(offsetof(struct uapi_gunyah_run, u.page_fault.resume_action) == 28, "run.page_fault.resume_action");
static_assert(UAPI_GUNYAH_CREATE_VM == 0x00004700u, "CREATE_VM");
static_assert(UAPI_GUNYAH_SET_USER_MEM == 0x40204701u, "SET_USER_MEM");
static_assert(UAPI_GUNYAH_SET_DTB == 0x40104702u, "SET_DTB");
static_assert(UAPI_GUNYAH_START == 0x00004703u, "START");
static_assert(UAPI_GUNYAH_ADD_FUNCTION == 0x40104704u, "ADD_FUNCTION");
static_assert(UAPI_GUNYAH_RUN == 0x00004705u, "RUN");
static_assert(UAPI_GUNYAH_MMAP_SIZE == 0x00004706u, "MMAP_SIZE");
static_assert(UAPI_GUNYAH_REMOVE_FUNCTION == 0x40104707u, "REMOVE_FUNCTION");
static_assert(UAPI_GUNYAH_LEND_USER_MEM == 0x40204111u, "LEND_USER_MEM");
static_assert(UAPI_GUNYAH_SET_FW == 0x40104112u, "SET_FW");
static_assert(UAPI_GUNYAH_VENDOR_CREATE_VM == 0x0000b201u, "vendor CREATE_VM");

#endif
