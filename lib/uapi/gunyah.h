/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Gunyah's kernel interface under own names: every dialect of the 'G' family, from v8 to the latest Android kernel.
 *
 * Numbers and layouts are facts of the interface, checked below; sections 1.3 and 1.4 of the Gunyah UAPI document name them.
 * No kernel has all of it, and none tells its version: each request says who has it. Qualcomm's older family on a device of
 * the same name is in gunyah_vendor.h.
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
#define UAPI_GUNYAH_MEM_LENT 8u /* up to v10: lend instead of share; size 0 deletes by label there */

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

/* Before v9: a function has a name, "vcpu", "irqfd" or "ioeventfd", and its argument is part of the structure. */
#define UAPI_GUNYAH_NAMED_FN_NAME 32u
#define UAPI_GUNYAH_NAMED_FN_DATA 1024u

struct uapi_gunyah_named_fn {
	char name[UAPI_GUNYAH_NAMED_FN_NAME];
	union {
		uint64_t align;
		uint8_t data[UAPI_GUNYAH_NAMED_FN_DATA];
		struct uapi_gunyah_fn_vcpu vcpu;
	} u;
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

/* v15 to v17: memory is a file of the driver's, and parts of it are bound to guest addresses. */
#define UAPI_GUNYAH_GUEST_MEM_CLOEXEC 1u
#define UAPI_GUNYAH_GUEST_MEM_HUGEPAGE 2u

struct uapi_gunyah_create_mem {
	uint64_t flags;
	uint64_t size;
	uint64_t reserved[6]; /* no kernel looks */
};

struct uapi_gunyah_map_mem {
	uint64_t gpa;
	uint32_t flags;
	uint32_t fd;
	uint64_t offset;
	uint64_t size;
};

/* Flags of MAP_MEM in v15 to v17. */
#define UAPI_GUNYAH_MAP_DEFAULT_ACCESS 0u
#define UAPI_GUNYAH_MAP_FORCE_LEND 1u
#define UAPI_GUNYAH_MAP_FORCE_SHARE 2u
#define UAPI_GUNYAH_MAP_ACCESS_MASK 7u
#define UAPI_GUNYAH_MAP_READ 0x10u
#define UAPI_GUNYAH_MAP_WRITE 0x20u
#define UAPI_GUNYAH_MAP_EXEC 0x40u
#define UAPI_GUNYAH_MAP_UNMAP 0x100u

/* The same names have other numbers in Android's headers, and are the flags of MAP_CMA there. */
#define UAPI_GUNYAH_CMA_READ 1u
#define UAPI_GUNYAH_CMA_WRITE 2u
#define UAPI_GUNYAH_CMA_EXEC 4u
#define UAPI_GUNYAH_CMA_FORCE_LEND 0x10u
#define UAPI_GUNYAH_CMA_FORCE_SHARE 0x20u
#define UAPI_GUNYAH_CMA_ACCESS_MASK 0x70u
#define UAPI_GUNYAH_CMA_UNMAP 0x100u

struct uapi_gunyah_map_cma {
	uint32_t label;
	uint32_t hole;
	uint64_t gpa;
	uint32_t flags;
	uint32_t fd;
	uint64_t offset;
	uint64_t size;
};

/* Registers of the boot context: the set in bits 15:8, the index in bits 7:0. */
#define UAPI_GUNYAH_BOOT_X 0u  /* index 0 to 31 */
#define UAPI_GUNYAH_BOOT_PC 1u /* index 0 */
#define UAPI_GUNYAH_BOOT_SP 2u /* index 0 to 2: the exception level */
#define UAPI_GUNYAH_BOOT_REG(set, index) (((set)&0xffu) << 8 | ((index)&0xffu))

struct uapi_gunyah_boot_context {
	uint32_t reg;
	uint32_t reserved;
	uint64_t value;
};

#define UAPI_GUNYAH_AUTH_TRUSTED_VM 1u

struct uapi_gunyah_auth {
	uint32_t type;
	uint32_t arg_size;
	uint64_t arg;
};

/* The argument of UAPI_GUNYAH_AUTH_TRUSTED_VM. */
struct uapi_gunyah_auth_trusted_vm {
	uint16_t vm_id;
	uint16_t hole;
	uint32_t peripheral_id;
	uint64_t gpa;
	uint64_t size;
};

/* CHECK_EXTENSION answers 0 for what it does not know. */
#define UAPI_GUNYAH_CAP_TIMER_WAKEUP 0u

#define UAPI_GUNYAH_EXIT_UNKNOWN 0u
#define UAPI_GUNYAH_EXIT_MMIO 1u
#define UAPI_GUNYAH_EXIT_STATUS 2u     /* since v11 */
#define UAPI_GUNYAH_EXIT_PAGE_FAULT 3u /* since v15 and android15-6.6 */

/* What becomes of an access; read where the boot context exists. Android's kernels know the first two. */
#define UAPI_GUNYAH_RESUME_HANDLED 0u
#define UAPI_GUNYAH_RESUME_FAULT 1u
#define UAPI_GUNYAH_RESUME_RETRY 2u

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
#define UAPI_GUNYAH_CREATE_GUEST_MEM UAPI_IOW('G', 0x8, struct uapi_gunyah_create_mem) /* v15 to v17 */
#define UAPI_GUNYAH_OLD_CHECK_EXTENSION UAPI_IO('A', 0x10) /* in some headers; no kernel handles it */
/* A contiguous-memory device, /dev/NAME_cma: android16-6.12 and later. */
#define UAPI_GUNYAH_CREATE_CMA_MEM UAPI_IO('A', 0x14)
/* VM. */
#define UAPI_GUNYAH_SET_USER_MEM UAPI_IOW('G', 0x1, struct uapi_gunyah_region) /* all but v15 to v17 */
#define UAPI_GUNYAH_SET_DTB UAPI_IOW('G', 0x2, struct uapi_gunyah_range)
#define UAPI_GUNYAH_START UAPI_IO('G', 0x3)
#define UAPI_GUNYAH_ADD_NAMED_FUNCTION UAPI_IOW('G', 0x4, struct uapi_gunyah_named_fn) /* before v9 */
#define UAPI_GUNYAH_ADD_FUNCTION UAPI_IOW('G', 0x4, struct uapi_gunyah_fn)             /* since v9 */
#define UAPI_GUNYAH_REMOVE_FUNCTION UAPI_IOW('G', 0x7, struct uapi_gunyah_fn)          /* since v9 */
#define UAPI_GUNYAH_MAP_MEM UAPI_IOW('G', 0x9, struct uapi_gunyah_map_mem)             /* v15 to v17 */
/* v15 to v17, android15-6.6 but not its first snapshots, and later: also the mark of page-fault exits and resume actions. */
#define UAPI_GUNYAH_SET_BOOT_CONTEXT UAPI_IOW('G', 0xa, struct uapi_gunyah_boot_context)
/* Android only. */
#define UAPI_GUNYAH_LEND_USER_MEM UAPI_IOW('A', 0x11, struct uapi_gunyah_region)
#define UAPI_GUNYAH_SET_FW UAPI_IOW('A', 0x12, struct uapi_gunyah_range)
#define UAPI_GUNYAH_RECLAIM UAPI_IOW('A', 0x13, struct uapi_gunyah_range)   /* late android15-6.6 */
#define UAPI_GUNYAH_MAP_CMA UAPI_IOW('A', 0x15, struct uapi_gunyah_map_cma) /* late android16-6.12 */
#define UAPI_GUNYAH_SET_AUTH UAPI_IOW('A', 0x16, struct uapi_gunyah_auth)   /* late android16-6.12 */
#define UAPI_GUNYAH_CHECK_EXTENSION UAPI_IO('A', 0x17) /* the latest; the argument is the number of a capability */
/* vCPU. */
#define UAPI_GUNYAH_RUN UAPI_IO('G', 0x5)
#define UAPI_GUNYAH_MMAP_SIZE UAPI_IO('G', 0x6)
/* Qualcomm's older interface on a device of the same name: recognised, then refused (gunyah_vendor.h). */
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
static_assert(sizeof(struct uapi_gunyah_named_fn) == 1056, "named_fn");
static_assert(offsetof(struct uapi_gunyah_named_fn, name) == 0, "named_fn.name");
static_assert(offsetof(struct uapi_gunyah_named_fn, u) == 32, "named_fn.u");
static_assert(offsetof(struct uapi_gunyah_named_fn, u.data) == 32, "named_fn.u.data");
static_assert(offsetof(struct uapi_gunyah_named_fn, u.vcpu) == 32, "named_fn.u.vcpu");
static_assert(sizeof(struct uapi_gunyah_create_mem) == 64, "create_mem");
static_assert(offsetof(struct uapi_gunyah_create_mem, flags) == 0, "create_mem.flags");
static_assert(offsetof(struct uapi_gunyah_create_mem, size) == 8, "create_mem.size");
static_assert(offsetof(struct uapi_gunyah_create_mem, reserved) == 16, "create_mem.reserved");
static_assert(sizeof(struct uapi_gunyah_map_mem) == 32, "map_mem");
static_assert(offsetof(struct uapi_gunyah_map_mem, gpa) == 0, "map_mem.gpa");
static_assert(offsetof(struct uapi_gunyah_map_mem, flags) == 8, "map_mem.flags");
static_assert(offsetof(struct uapi_gunyah_map_mem, fd) == 12, "map_mem.fd");
static_assert(offsetof(struct uapi_gunyah_map_mem, offset) == 16, "map_mem.offset");
static_assert(offsetof(struct uapi_gunyah_map_mem, size) == 24, "map_mem.size");
static_assert(sizeof(struct uapi_gunyah_map_cma) == 40, "map_cma");
static_assert(offsetof(struct uapi_gunyah_map_cma, label) == 0, "map_cma.label");
static_assert(offsetof(struct uapi_gunyah_map_cma, hole) == 4, "map_cma.hole");
static_assert(offsetof(struct uapi_gunyah_map_cma, gpa) == 8, "map_cma.gpa");
static_assert(offsetof(struct uapi_gunyah_map_cma, flags) == 16, "map_cma.flags");
static_assert(offsetof(struct uapi_gunyah_map_cma, fd) == 20, "map_cma.fd");
static_assert(offsetof(struct uapi_gunyah_map_cma, offset) == 24, "map_cma.offset");
static_assert(offsetof(struct uapi_gunyah_map_cma, size) == 32, "map_cma.size");
static_assert(sizeof(struct uapi_gunyah_boot_context) == 16, "boot_context");
static_assert(offsetof(struct uapi_gunyah_boot_context, reg) == 0, "boot_context.reg");
static_assert(offsetof(struct uapi_gunyah_boot_context, reserved) == 4, "boot_context.reserved");
static_assert(offsetof(struct uapi_gunyah_boot_context, value) == 8, "boot_context.value");
static_assert(sizeof(struct uapi_gunyah_auth) == 16, "auth");
static_assert(offsetof(struct uapi_gunyah_auth, type) == 0, "auth.type");
static_assert(offsetof(struct uapi_gunyah_auth, arg_size) == 4, "auth.arg_size");
static_assert(offsetof(struct uapi_gunyah_auth, arg) == 8, "auth.arg");
static_assert(sizeof(struct uapi_gunyah_auth_trusted_vm) == 24, "auth_trusted_vm");
static_assert(offsetof(struct uapi_gunyah_auth_trusted_vm, vm_id) == 0, "auth_trusted_vm.vm_id");
static_assert(offsetof(struct uapi_gunyah_auth_trusted_vm, hole) == 2, "auth_trusted_vm.hole");
static_assert(offsetof(struct uapi_gunyah_auth_trusted_vm, peripheral_id) == 4, "auth_trusted_vm.peripheral_id");
static_assert(offsetof(struct uapi_gunyah_auth_trusted_vm, gpa) == 8, "auth_trusted_vm.gpa");
static_assert(offsetof(struct uapi_gunyah_auth_trusted_vm, size) == 16, "auth_trusted_vm.size");
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
static_assert(UAPI_GUNYAH_SET_BOOT_CONTEXT == 0x4010470au, "SET_BOOT_CONTEXT");
static_assert(UAPI_GUNYAH_SET_FW == 0x40104112u, "SET_FW");
static_assert(UAPI_GUNYAH_CREATE_GUEST_MEM == 0x40404708u, "CREATE_GUEST_MEM");
static_assert(UAPI_GUNYAH_OLD_CHECK_EXTENSION == 0x00004110u, "OLD_CHECK_EXTENSION");
static_assert(UAPI_GUNYAH_CREATE_CMA_MEM == 0x00004114u, "CREATE_CMA_MEM");
static_assert(UAPI_GUNYAH_ADD_NAMED_FUNCTION == 0x44204704u, "ADD_NAMED_FUNCTION");
static_assert(UAPI_GUNYAH_MAP_MEM == 0x40204709u, "MAP_MEM");
static_assert(UAPI_GUNYAH_RECLAIM == 0x40104113u, "RECLAIM");
static_assert(UAPI_GUNYAH_MAP_CMA == 0x40284115u, "MAP_CMA");
static_assert(UAPI_GUNYAH_SET_AUTH == 0x40104116u, "SET_AUTH");
static_assert(UAPI_GUNYAH_CHECK_EXTENSION == 0x00004117u, "CHECK_EXTENSION");
static_assert((UAPI_GUNYAH_MAP_ACCESS_MASK | UAPI_GUNYAH_MAP_READ | UAPI_GUNYAH_MAP_WRITE | UAPI_GUNYAH_MAP_EXEC |
	       UAPI_GUNYAH_MAP_UNMAP) == 0x177u,
	      "flags of MAP_MEM");
static_assert((UAPI_GUNYAH_CMA_ACCESS_MASK | UAPI_GUNYAH_CMA_READ | UAPI_GUNYAH_CMA_WRITE | UAPI_GUNYAH_CMA_EXEC |
	       UAPI_GUNYAH_CMA_UNMAP) == 0x177u,
	      "flags of MAP_CMA");
static_assert((UAPI_GUNYAH_MAP_FORCE_LEND | UAPI_GUNYAH_MAP_FORCE_SHARE) == 3u, "access of MAP_MEM");
static_assert((UAPI_GUNYAH_CMA_FORCE_LEND | UAPI_GUNYAH_CMA_FORCE_SHARE) == 0x30u, "access of MAP_CMA");
static_assert(UAPI_GUNYAH_BOOT_REG(UAPI_GUNYAH_BOOT_SP, 1u) == 0x201u, "register of the boot context");
static_assert(UAPI_GUNYAH_VENDOR_CREATE_VM == 0x0000b201u, "vendor CREATE_VM");

#endif
