/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GenieZone's kernel interface under own names, of every revision: they share numbers and layouts, and differ in what a kernel
 * has of them.
 *
 * Numbers and layouts are facts of the interface, checked below; sections 1.2 to 1.5 of the GenieZone UAPI document name them.
 */
#ifndef GH_UAPI_GZVM_H
#define GH_UAPI_GZVM_H

#include "ioctl.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define UAPI_GZVM_DEVICE "/dev/gzvm"

#define UAPI_GZVM_MAX_VCPUS 8u
#define UAPI_GZVM_MAX_SLOTS 10u
/* Pages of a slot, where the kernel counts them (v10 and later). */
#define UAPI_GZVM_MAX_PAGES 0x7fffffffu
/* What Android's kernels have from 6.6 on. */
#define UAPI_GZVM_SYSFS "/sys/kernel/gzvm/demand_paging_batch_pages"

/* Capabilities. */
#define UAPI_GZVM_CAP_GPA_SIZE 0xa5u
#define UAPI_GZVM_CAP_PROTECTED_VM 0xffbadab1u
#define UAPI_GZVM_CAP_BLOCK_DEMAND_PAGING 0x9201u
#define UAPI_GZVM_CAP_DEMAND_PAGING 0x9202u
#define UAPI_GZVM_CAP_IDLE 0x9203u
#define UAPI_GZVM_CAP_BATCH_PAGES 0x9204u
#define UAPI_GZVM_CAP_DESTROY_BATCH_PAGES 0x9205u
/* args[0] of CAP_PROTECTED_VM. */
#define UAPI_GZVM_PVM_SET_FW_GPA 0u
#define UAPI_GZVM_PVM_GET_FW_SIZE 1u
#define UAPI_GZVM_PVM_SET_PROTECTED 2u

/* Purposes: in the headers up to v4 only, and handed to the hypervisor ever after. */
#define UAPI_GZVM_REGION_GUEST_MEM 1u
#define UAPI_GZVM_REGION_PROTECT_FW 2u
#define UAPI_GZVM_REGION_STATIC_SWIOTLB 4u

struct uapi_gzvm_region {
	uint32_t slot;
	uint32_t flags;
	uint64_t gpa;
	uint64_t size;
	uint64_t host;
};

struct uapi_gzvm_irq_level {
	uint32_t irq; /* [31:28] vcpu2, [27:24] type, [23:16] vcpu, [15:0] SPI index from 0 */
	uint32_t level;
};

#define UAPI_GZVM_DEV_VGIC_DIST 0u
#define UAPI_GZVM_DEV_VGIC_REDIST 1u

struct uapi_gzvm_create_device {
	uint32_t type;
	uint32_t id;
	uint64_t flags;
	uint64_t gpa;
	uint64_t size;
	uint64_t attr;
	uint64_t attr_size;
};

struct uapi_gzvm_enable_cap {
	uint64_t cap;
	uint64_t args[5];
};

struct uapi_gzvm_one_reg {
	uint64_t id;
	uint64_t host;
};

/* No kernel looks at the type: whatever it is, the line is a shared one. */
#define UAPI_GZVM_IRQ_TYPE_SPI (1u << 24)
#define UAPI_GZVM_IRQ_TYPE_PPI (2u << 24)
#define UAPI_GZVM_IRQFD_DEASSIGN 1u
#define UAPI_GZVM_IRQFD_RESAMPLE 2u

struct uapi_gzvm_irqfd {
	uint32_t fd;
	uint32_t gsi;
	uint32_t flags;
	uint32_t resample_fd;
	uint8_t padding[16];
};

#define UAPI_GZVM_IOEVENTFD_DATAMATCH 1u
#define UAPI_GZVM_IOEVENTFD_PIO 2u
#define UAPI_GZVM_IOEVENTFD_DEASSIGN 4u

struct uapi_gzvm_ioeventfd {
	uint64_t datamatch;
	uint64_t gpa;
	uint32_t width;
	int32_t fd;
	uint32_t flags;
	uint8_t padding[36];
};

struct uapi_gzvm_range {
	uint64_t gpa;
	uint64_t size;
};

#define UAPI_GZVM_EXIT_UNKNOWN 0x92920000u
#define UAPI_GZVM_EXIT_MMIO 0x92920001u
#define UAPI_GZVM_EXIT_HYPERCALL 0x92920002u
#define UAPI_GZVM_EXIT_IRQ 0x92920003u
#define UAPI_GZVM_EXIT_EXCEPTION 0x92920004u
#define UAPI_GZVM_EXIT_DEBUG 0x92920005u
#define UAPI_GZVM_EXIT_FAIL_ENTRY 0x92920006u
#define UAPI_GZVM_EXIT_INTERNAL_ERROR 0x92920007u
#define UAPI_GZVM_EXIT_SYSTEM_EVENT 0x92920008u
#define UAPI_GZVM_EXIT_SHUTDOWN 0x92920009u
#define UAPI_GZVM_EXIT_GZ 0x9292000au
#define UAPI_GZVM_EXIT_IDLE 0x9292000bu
#define UAPI_GZVM_EXIT_IPI 0x9292000du

#define UAPI_GZVM_EXCEPTION_UNKNOWN 0u
#define UAPI_GZVM_EXCEPTION_PAGE_FAULT 1u

#define UAPI_GZVM_EVENT_SHUTDOWN 1u
#define UAPI_GZVM_EVENT_RESET 2u
#define UAPI_GZVM_EVENT_CRASH 3u

/* Hypercalls that kernels answer themselves: the time-keeping one from v8 on, the page release from v5 on. */
#define UAPI_GZVM_HVC_PTP 0x86000001u
#define UAPI_GZVM_HVC_MEM_RELINQUISH 0xc6000009u

struct uapi_gzvm_mmio {
	uint64_t gpa;
	uint8_t data[8];
	uint64_t width;
	uint32_t reg;
	uint8_t is_write;
};

struct uapi_gzvm_fail_entry {
	uint64_t reason;
	uint32_t cpu;
};

struct uapi_gzvm_exception {
	uint32_t exception;
	uint32_t error_code;
	uint64_t fault_gpa;    /* v5 and later; 0 before, because the kernel clears the page */
	uint64_t reserved[30]; /* MediaTek's own 6.1: 6 words, then its exception's details */
};

struct uapi_gzvm_hypercall {
	uint64_t args[8];
};

/* INTERNAL_ERROR and SYSTEM_EVENT. */
struct uapi_gzvm_event {
	uint32_t type;
	uint32_t count;
	uint64_t data[16];
};

/* Copied in and out by every RUN. */
struct uapi_gzvm_run {
	uint32_t exit_reason;
	uint8_t immediate_exit;
	uint8_t padding[3];
	union {
		struct uapi_gzvm_mmio mmio;
		struct uapi_gzvm_fail_entry fail_entry;
		struct uapi_gzvm_exception exception;
		struct uapi_gzvm_hypercall hypercall;
		struct uapi_gzvm_event event;
		uint8_t bytes[256];
	} u;
};

/* Register ids: the scheme of KVM on arm64. */
#define UAPI_GZVM_REG_U64(index) (0x6030000000100000ull | (uint64_t)(index))
#define UAPI_GZVM_REG_X(n) UAPI_GZVM_REG_U64(2u * (n))
#define UAPI_GZVM_REG_SP_EL0 UAPI_GZVM_REG_U64(0x3e)
#define UAPI_GZVM_REG_PC UAPI_GZVM_REG_U64(0x40)
#define UAPI_GZVM_REG_PSTATE UAPI_GZVM_REG_U64(0x42)
#define UAPI_GZVM_REG_SP_EL1 UAPI_GZVM_REG_U64(0x44)

/* Device. */
#define UAPI_GZVM_GET_API_VERSION UAPI_IO(0x92, 0x00) /* defined, and answered by no kernel */
#define UAPI_GZVM_CREATE_VM UAPI_IO(0x92, 0x01)
#define UAPI_GZVM_CHECK_EXTENSION UAPI_IO(0x92, 0x03) /* device and VM; the argument is a pointer all the same */
/* VM. */
#define UAPI_GZVM_CREATE_VCPU UAPI_IO(0x92, 0x41)
#define UAPI_GZVM_SET_USER_MEM UAPI_IOW(0x92, 0x46, struct uapi_gzvm_region)
#define UAPI_GZVM_IRQ_LINE UAPI_IOW(0x92, 0x61, struct uapi_gzvm_irq_level)
#define UAPI_GZVM_IRQFD UAPI_IOW(0x92, 0x76, struct uapi_gzvm_irqfd)
#define UAPI_GZVM_IOEVENTFD UAPI_IOW(0x92, 0x79, struct uapi_gzvm_ioeventfd)
#define UAPI_GZVM_ENABLE_CAP UAPI_IOW(0x92, 0xa3, struct uapi_gzvm_enable_cap)
#define UAPI_GZVM_CREATE_DEVICE UAPI_IOWR(0x92, 0xe0, struct uapi_gzvm_create_device)
#define UAPI_GZVM_SET_DTB UAPI_IOW(0x92, 0xff, struct uapi_gzvm_range)
/* vCPU. */
#define UAPI_GZVM_RUN UAPI_IO(0x92, 0x80)
#define UAPI_GZVM_GET_ONE_REG UAPI_IOW(0x92, 0xab, struct uapi_gzvm_one_reg)
#define UAPI_GZVM_SET_ONE_REG UAPI_IOW(0x92, 0xac, struct uapi_gzvm_one_reg)

static_assert(sizeof(struct uapi_gzvm_region) == 32, "region");
static_assert(offsetof(struct uapi_gzvm_region, slot) == 0, "region.slot");
static_assert(offsetof(struct uapi_gzvm_region, flags) == 4, "region.flags");
static_assert(offsetof(struct uapi_gzvm_region, gpa) == 8, "region.gpa");
static_assert(offsetof(struct uapi_gzvm_region, size) == 16, "region.size");
static_assert(offsetof(struct uapi_gzvm_region, host) == 24, "region.host");
static_assert(sizeof(struct uapi_gzvm_irq_level) == 8, "irq_level");
static_assert(offsetof(struct uapi_gzvm_irq_level, irq) == 0, "irq_level.irq");
static_assert(offsetof(struct uapi_gzvm_irq_level, level) == 4, "irq_level.level");
static_assert(sizeof(struct uapi_gzvm_create_device) == 48, "create_device");
static_assert(offsetof(struct uapi_gzvm_create_device, type) == 0, "create_device.type");
static_assert(offsetof(struct uapi_gzvm_create_device, id) == 4, "create_device.id");
static_assert(offsetof(struct uapi_gzvm_create_device, flags) == 8, "create_device.flags");
static_assert(offsetof(struct uapi_gzvm_create_device, gpa) == 16, "create_device.gpa");
static_assert(offsetof(struct uapi_gzvm_create_device, size) == 24, "create_device.size");
static_assert(offsetof(struct uapi_gzvm_create_device, attr) == 32, "create_device.attr");
static_assert(offsetof(struct uapi_gzvm_create_device, attr_size) == 40, "create_device.attr_size");
static_assert(sizeof(struct uapi_gzvm_enable_cap) == 48, "enable_cap");
static_assert(offsetof(struct uapi_gzvm_enable_cap, cap) == 0, "enable_cap.cap");
static_assert(offsetof(struct uapi_gzvm_enable_cap, args) == 8, "enable_cap.args");
static_assert(sizeof(struct uapi_gzvm_one_reg) == 16, "one_reg");
static_assert(offsetof(struct uapi_gzvm_one_reg, id) == 0, "one_reg.id");
static_assert(offsetof(struct uapi_gzvm_one_reg, host) == 8, "one_reg.host");
static_assert(sizeof(struct uapi_gzvm_irqfd) == 32, "irqfd");
static_assert(offsetof(struct uapi_gzvm_irqfd, fd) == 0, "irqfd.fd");
static_assert(offsetof(struct uapi_gzvm_irqfd, gsi) == 4, "irqfd.gsi");
static_assert(offsetof(struct uapi_gzvm_irqfd, flags) == 8, "irqfd.flags");
static_assert(offsetof(struct uapi_gzvm_irqfd, resample_fd) == 12, "irqfd.resample_fd");
static_assert(offsetof(struct uapi_gzvm_irqfd, padding) == 16, "irqfd.padding");
static_assert(sizeof(struct uapi_gzvm_ioeventfd) == 64, "ioeventfd");
static_assert(offsetof(struct uapi_gzvm_ioeventfd, datamatch) == 0, "ioeventfd.datamatch");
static_assert(offsetof(struct uapi_gzvm_ioeventfd, gpa) == 8, "ioeventfd.gpa");
static_assert(offsetof(struct uapi_gzvm_ioeventfd, width) == 16, "ioeventfd.width");
static_assert(offsetof(struct uapi_gzvm_ioeventfd, fd) == 20, "ioeventfd.fd");
static_assert(offsetof(struct uapi_gzvm_ioeventfd, flags) == 24, "ioeventfd.flags");
static_assert(offsetof(struct uapi_gzvm_ioeventfd, padding) == 28, "ioeventfd.padding");
static_assert(sizeof(struct uapi_gzvm_range) == 16, "range");
static_assert(offsetof(struct uapi_gzvm_range, gpa) == 0, "range.gpa");
static_assert(offsetof(struct uapi_gzvm_range, size) == 8, "range.size");
static_assert(sizeof(struct uapi_gzvm_run) == 264, "run");
static_assert(offsetof(struct uapi_gzvm_run, exit_reason) == 0, "run.exit_reason");
static_assert(offsetof(struct uapi_gzvm_run, immediate_exit) == 4, "run.immediate_exit");
static_assert(offsetof(struct uapi_gzvm_run, padding) == 5, "run.padding");
static_assert(offsetof(struct uapi_gzvm_run, u.mmio.gpa) == 8, "run.mmio.gpa");
static_assert(offsetof(struct uapi_gzvm_run, u.mmio.data) == 16, "run.mmio.data");
static_assert(offsetof(struct uapi_gzvm_run, u.mmio.width) == 24, "run.mmio.width");
static_assert(offsetof(struct uapi_gzvm_run, u.mmio.reg) == 32, "run.mmio.reg");
static_assert(offsetof(struct uapi_gzvm_run, u.mmio.is_write) == 36, "run.mmio.is_write");
static_assert(offsetof(struct uapi_gzvm_run, u.fail_entry.reason) == 8, "run.fail_entry.reason");
static_assert(offsetof(struct uapi_gzvm_run, u.fail_entry.cpu) == 16, "run.fail_entry.cpu");
static_assert(offsetof(struct uapi_gzvm_run, u.exception.exception) == 8, "run.exception.exception");
static_assert(offsetof(struct uapi_gzvm_run, u.exception.error_code) == 12, "run.exception.error_code");
static_assert(offsetof(struct uapi_gzvm_run, u.exception.fault_gpa) == 16, "run.exception.fault_gpa");
static_assert(offsetof(struct uapi_gzvm_run, u.exception.reserved) == 24, "run.exception.reserved");
static_assert(offsetof(struct uapi_gzvm_run, u.hypercall.args) == 8, "run.hypercall.args");
static_assert(offsetof(struct uapi_gzvm_run, u.event.type) == 8, "run.event.type");
static_assert(offsetof(struct uapi_gzvm_run, u.event.count) == 12, "run.event.count");
static_assert(offsetof(struct uapi_gzvm_run, u.event.data) == 16, "run.event.data");
static_assert(UAPI_GZVM_GET_API_VERSION == 0x00009200u, "GET_API_VERSION");
static_assert(UAPI_GZVM_CREATE_VM == 0x00009201u, "CREATE_VM");
static_assert(UAPI_GZVM_CHECK_EXTENSION == 0x00009203u, "CHECK_EXTENSION");
static_assert(UAPI_GZVM_CREATE_VCPU == 0x00009241u, "CREATE_VCPU");
static_assert(UAPI_GZVM_SET_USER_MEM == 0x40209246u, "SET_USER_MEM");
static_assert(UAPI_GZVM_IRQ_LINE == 0x40089261u, "IRQ_LINE");
static_assert(UAPI_GZVM_IRQFD == 0x40209276u, "IRQFD");
static_assert(UAPI_GZVM_IOEVENTFD == 0x40409279u, "IOEVENTFD");
static_assert(UAPI_GZVM_RUN == 0x00009280u, "RUN");
static_assert(UAPI_GZVM_ENABLE_CAP == 0x403092a3u, "ENABLE_CAP");
static_assert(UAPI_GZVM_GET_ONE_REG == 0x401092abu, "GET_ONE_REG");
static_assert(UAPI_GZVM_SET_ONE_REG == 0x401092acu, "SET_ONE_REG");
static_assert(UAPI_GZVM_CREATE_DEVICE == 0xc03092e0u, "CREATE_DEVICE");
static_assert(UAPI_GZVM_SET_DTB == 0x401092ffu, "SET_DTB");
static_assert(UAPI_GZVM_REG_PC == 0x6030000000100040ull, "register PC");
static_assert(UAPI_GZVM_REG_X(30) == 0x603000000010003cull, "register x30");
static_assert(UAPI_GZVM_REG_SP_EL0 == 0x603000000010003eull, "register SP_EL0");
static_assert(UAPI_GZVM_REG_SP_EL1 == 0x6030000000100044ull, "register SP_EL1");
static_assert(UAPI_GZVM_REG_PSTATE == 0x6030000000100042ull, "register PSTATE");

#endif
