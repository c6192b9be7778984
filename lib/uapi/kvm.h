/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The part of KVM's kernel interface that an arm64 guest needs, under own names.
 *
 * Numbers and layouts are facts of the interface and the same on every 64-bit host, so that this file compiles, and the
 * backend is tested, on machines whose own KVM runs other guests.
 */
#ifndef GH_UAPI_KVM_H
#define GH_UAPI_KVM_H

#include "ioctl.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define UAPI_KVM_DEVICE "/dev/kvm"
#define UAPI_KVM_API_VERSION 12
#define UAPI_KVM_API_VERSION_GUNYAH 13 /* Gunyah behind the same requests */

/* Capabilities, the argument of CHECK_EXTENSION. */
#define UAPI_KVM_CAP_NR_MEMSLOTS 10u
#define UAPI_KVM_CAP_IRQFD 32u
#define UAPI_KVM_CAP_IOEVENTFD 36u
#define UAPI_KVM_CAP_MAX_VCPUS 66u
#define UAPI_KVM_CAP_READONLY_MEM 81u
#define UAPI_KVM_CAP_IRQFD_RESAMPLE 82u
#define UAPI_KVM_CAP_ARM_PSCI_0_2 102u
#define UAPI_KVM_CAP_IMMEDIATE_EXIT 136u
#define UAPI_KVM_CAP_ARM_VM_IPA_SIZE 165u
#define UAPI_KVM_CAP_ARM_NISV_TO_USER 177u
#define UAPI_KVM_CAP_ARM_INJECT_EXT_DABT 178u
#define UAPI_KVM_CAP_MEMORY_FAULT_INFO 232u

struct uapi_kvm_enable_cap {
	uint32_t cap;
	uint32_t flags;
	uint64_t args[4];
	uint8_t padding[64];
};

#define UAPI_KVM_MEM_READONLY 2u

struct uapi_kvm_region {
	uint32_t slot;
	uint32_t flags;
	uint64_t gpa;
	uint64_t size;
	uint64_t host;
};

/* CREATE_DEVICE and the attributes of the interrupt controller. */
#define UAPI_KVM_DEV_VGIC_V3 7u
#define UAPI_KVM_CREATE_DEVICE_TEST 1u

struct uapi_kvm_create_device {
	uint32_t type;
	uint32_t fd;
	uint32_t flags;
};

#define UAPI_KVM_VGIC_GROUP_ADDRESS 0u
#define UAPI_KVM_VGIC_GROUP_NR_IRQS 3u
#define UAPI_KVM_VGIC_GROUP_CONTROL 4u
#define UAPI_KVM_VGIC_ADDRESS_DISTRIBUTOR 2u
#define UAPI_KVM_VGIC_ADDRESS_REDISTRIBUTORS 3u
#define UAPI_KVM_VGIC_CONTROL_INIT 0u

struct uapi_kvm_device_attr {
	uint32_t flags;
	uint32_t group;
	uint64_t attr;
	uint64_t address; /* of the value, in this process */
};

/* irq: [27:24] type, [23:16] vCPU, [15:0] INTID. */
#define UAPI_KVM_IRQ_TYPE_SPI (1u << 24)

struct uapi_kvm_irq_level {
	uint32_t irq;
	uint32_t level;
};

#define UAPI_KVM_IRQFD_DEASSIGN 1u
#define UAPI_KVM_IRQFD_RESAMPLE 2u

struct uapi_kvm_irqfd {
	uint32_t fd;
	uint32_t gsi;
	uint32_t flags;
	uint32_t resample_fd;
	uint8_t padding[16];
};

#define UAPI_KVM_IOEVENTFD_DATAMATCH 1u
#define UAPI_KVM_IOEVENTFD_DEASSIGN 4u

struct uapi_kvm_ioeventfd {
	uint64_t datamatch;
	uint64_t gpa;
	uint32_t width;
	int32_t fd;
	uint32_t flags;
	uint8_t padding[36];
};

#define UAPI_KVM_VCPU_POWER_OFF 0u
#define UAPI_KVM_VCPU_PSCI_0_2 2u

struct uapi_kvm_vcpu_init {
	uint32_t target;
	uint32_t features[7];
};

struct uapi_kvm_one_reg {
	uint64_t id;
	uint64_t host;
};

/* A 64-bit core register: arm64, 8 bytes, core group, index in 32-bit words of the register file. */
#define UAPI_KVM_REG_CORE(word) (0x6030000000100000ull | (uint64_t)(word))
#define UAPI_KVM_REG_X(n) UAPI_KVM_REG_CORE(2u * (n)) /* x0 to x30 */
#define UAPI_KVM_REG_SP_EL0 UAPI_KVM_REG_CORE(0x3e)
#define UAPI_KVM_REG_PC UAPI_KVM_REG_CORE(0x40)
#define UAPI_KVM_REG_PSTATE UAPI_KVM_REG_CORE(0x42)
#define UAPI_KVM_REG_SP_EL1 UAPI_KVM_REG_CORE(0x44)

struct uapi_kvm_vcpu_events {
	uint8_t serror_pending;
	uint8_t serror_has_esr;
	uint8_t ext_dabt_pending;
	uint8_t padding[5];
	uint64_t serror_esr;
	uint32_t reserved[12];
};

/* The kernel's signal set is 8 bytes, whatever the C library's is. */
struct uapi_kvm_signal_mask {
	uint32_t length;
	uint8_t mask[8];
};

#define UAPI_KVM_EXIT_UNKNOWN 0u
#define UAPI_KVM_EXIT_EXCEPTION 1u
#define UAPI_KVM_EXIT_HYPERCALL 3u
#define UAPI_KVM_EXIT_DEBUG 4u
#define UAPI_KVM_EXIT_MMIO 6u
#define UAPI_KVM_EXIT_SHUTDOWN 8u
#define UAPI_KVM_EXIT_FAIL_ENTRY 9u
#define UAPI_KVM_EXIT_INTR 10u
#define UAPI_KVM_EXIT_INTERNAL_ERROR 17u
#define UAPI_KVM_EXIT_SYSTEM_EVENT 24u
#define UAPI_KVM_EXIT_ARM_NISV 28u
#define UAPI_KVM_EXIT_MEMORY_FAULT 39u

#define UAPI_KVM_EVENT_SHUTDOWN 1u
#define UAPI_KVM_EVENT_RESET 2u
#define UAPI_KVM_EVENT_CRASH 3u
/* data[0] of a reset that came by SYSTEM_RESET2. */
#define UAPI_KVM_EVENT_RESET2 1u

struct uapi_kvm_exception {
	uint32_t exception;
	uint32_t error_code;
};

struct uapi_kvm_mmio {
	uint64_t gpa;
	uint8_t data[8];
	uint32_t width;
	uint8_t is_write;
};

struct uapi_kvm_fail_entry {
	uint64_t reason;
	uint32_t cpu;
};

struct uapi_kvm_internal_error {
	uint32_t suberror;
	uint32_t count;
	uint64_t data[16];
};

struct uapi_kvm_system_event {
	uint32_t type;
	uint32_t count;
	uint64_t data[16];
};

struct uapi_kvm_memory_fault {
	uint64_t flags;
	uint64_t gpa;
	uint64_t size;
};

/* The head of the run page; behind it are fields that nothing here needs. */
struct uapi_kvm_run {
	uint8_t request_interrupt_window;
	uint8_t immediate_exit;
	uint8_t padding1[6];
	uint32_t exit_reason;
	uint8_t unused[20];
	union {
		struct uapi_kvm_exception exception;
		struct uapi_kvm_mmio mmio;
		struct uapi_kvm_fail_entry fail_entry;
		struct uapi_kvm_internal_error internal_error;
		struct uapi_kvm_system_event system_event;
		struct uapi_kvm_memory_fault memory_fault;
		uint8_t padding[256];
	};
};

#define UAPI_KVM_GET_API_VERSION UAPI_IO(0xae, 0x00)
#define UAPI_KVM_CREATE_VM UAPI_IO(0xae, 0x01) /* argument: bits of guest physical addresses, 0 for 40 */
#define UAPI_KVM_CHECK_EXTENSION UAPI_IO(0xae, 0x03)
#define UAPI_KVM_GET_VCPU_MMAP_SIZE UAPI_IO(0xae, 0x04)
#define UAPI_KVM_CREATE_VCPU UAPI_IO(0xae, 0x41)
#define UAPI_KVM_SET_USER_MEMORY_REGION UAPI_IOW(0xae, 0x46, struct uapi_kvm_region)
#define UAPI_KVM_IRQ_LINE UAPI_IOW(0xae, 0x61, struct uapi_kvm_irq_level)
#define UAPI_KVM_IRQFD UAPI_IOW(0xae, 0x76, struct uapi_kvm_irqfd)
#define UAPI_KVM_IOEVENTFD UAPI_IOW(0xae, 0x79, struct uapi_kvm_ioeventfd)
#define UAPI_KVM_RUN UAPI_IO(0xae, 0x80)
#define UAPI_KVM_SET_SIGNAL_MASK UAPI_IOC(1, 0xae, 0x8b, 4) /* the size without the mask */
#define UAPI_KVM_SET_VCPU_EVENTS UAPI_IOW(0xae, 0xa0, struct uapi_kvm_vcpu_events)
#define UAPI_KVM_ENABLE_CAP UAPI_IOW(0xae, 0xa3, struct uapi_kvm_enable_cap)
#define UAPI_KVM_GET_ONE_REG UAPI_IOW(0xae, 0xab, struct uapi_kvm_one_reg)
#define UAPI_KVM_SET_ONE_REG UAPI_IOW(0xae, 0xac, struct uapi_kvm_one_reg)
#define UAPI_KVM_ARM_VCPU_INIT UAPI_IOW(0xae, 0xae, struct uapi_kvm_vcpu_init)
#define UAPI_KVM_ARM_PREFERRED_TARGET UAPI_IOR(0xae, 0xaf, struct uapi_kvm_vcpu_init)
#define UAPI_KVM_CREATE_DEVICE UAPI_IOWR(0xae, 0xe0, struct uapi_kvm_create_device)
#define UAPI_KVM_SET_DEVICE_ATTR UAPI_IOW(0xae, 0xe1, struct uapi_kvm_device_attr)

static_assert(UAPI_KVM_GET_API_VERSION == 0xae00, "request");
static_assert(UAPI_KVM_CREATE_VM == 0xae01, "request");
static_assert(UAPI_KVM_CHECK_EXTENSION == 0xae03, "request");
static_assert(UAPI_KVM_GET_VCPU_MMAP_SIZE == 0xae04, "request");
static_assert(UAPI_KVM_CREATE_VCPU == 0xae41, "request");
static_assert(UAPI_KVM_SET_USER_MEMORY_REGION == 0x4020ae46, "request");
static_assert(UAPI_KVM_IRQ_LINE == 0x4008ae61, "request");
static_assert(UAPI_KVM_IRQFD == 0x4020ae76, "request");
static_assert(UAPI_KVM_IOEVENTFD == 0x4040ae79, "request");
static_assert(UAPI_KVM_RUN == 0xae80, "request");
static_assert(UAPI_KVM_SET_SIGNAL_MASK == 0x4004ae8b, "request");
static_assert(UAPI_KVM_SET_VCPU_EVENTS == 0x4040aea0, "request");
static_assert(UAPI_KVM_ENABLE_CAP == 0x4068aea3, "request");
static_assert(UAPI_KVM_GET_ONE_REG == 0x4010aeab, "request");
static_assert(UAPI_KVM_SET_ONE_REG == 0x4010aeac, "request");
static_assert(UAPI_KVM_ARM_VCPU_INIT == 0x4020aeae, "request");
static_assert(UAPI_KVM_ARM_PREFERRED_TARGET == 0x8020aeaf, "request");
static_assert(UAPI_KVM_CREATE_DEVICE == 0xc00caee0, "request");
static_assert(UAPI_KVM_SET_DEVICE_ATTR == 0x4018aee1, "request");
static_assert(sizeof(struct uapi_kvm_signal_mask) == 12 && offsetof(struct uapi_kvm_signal_mask, mask) == 4, "layout");
static_assert(offsetof(struct uapi_kvm_irqfd, flags) == 8, "layout");
static_assert(offsetof(struct uapi_kvm_ioeventfd, fd) == 20, "layout");
static_assert(offsetof(struct uapi_kvm_vcpu_events, ext_dabt_pending) == 2, "layout");
static_assert(offsetof(struct uapi_kvm_run, immediate_exit) == 1, "layout");
static_assert(offsetof(struct uapi_kvm_run, exit_reason) == 8, "layout");
static_assert(offsetof(struct uapi_kvm_run, exception.error_code) == 0x24, "layout");
static_assert(offsetof(struct uapi_kvm_run, mmio.gpa) == 0x20, "layout");
static_assert(offsetof(struct uapi_kvm_run, mmio.data) == 0x28, "layout");
static_assert(offsetof(struct uapi_kvm_run, mmio.width) == 0x30, "layout");
static_assert(offsetof(struct uapi_kvm_run, mmio.is_write) == 0x34, "layout");
static_assert(offsetof(struct uapi_kvm_run, fail_entry.cpu) == 0x28, "layout");
static_assert(offsetof(struct uapi_kvm_run, internal_error.data) == 0x28, "layout");
static_assert(offsetof(struct uapi_kvm_run, system_event.count) == 0x24, "layout");
static_assert(offsetof(struct uapi_kvm_run, system_event.data) == 0x28, "layout");
static_assert(offsetof(struct uapi_kvm_run, memory_fault.gpa) == 0x28, "layout");
static_assert(sizeof(struct uapi_kvm_run) == 0x120, "layout");

#endif
