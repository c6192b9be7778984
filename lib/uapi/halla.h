/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Halla's kernel interface (Samsung's Exynos), under own names: GenieZone's layouts with other numbers.
 *
 * Section 6.1 of the GenieZone UAPI document names them. There is no hypercall, failed entry or page release.
 */
#ifndef GH_UAPI_HALLA_H
#define GH_UAPI_HALLA_H

#include "gzvm.h"

#define UAPI_HALLA_DEVICE "/dev/halla"

#define UAPI_HALLA_MAX_VCPUS 10u
#define UAPI_HALLA_MAX_SLOTS 10u

#define UAPI_HALLA_CAP_GPA_SIZE 0x475041u
#define UAPI_HALLA_CAP_PROTECTED_VM 0x50564du

/* The argument of CREATE_VM: bits [7:0] are the width of guest physical addresses. */
#define UAPI_HALLA_VM_GPA_BITS 0xffu
#define UAPI_HALLA_VM_PROTECTED 0x80000000u

#define UAPI_HALLA_EXIT_UNKNOWN 0x484c0000u
#define UAPI_HALLA_EXIT_MMIO 0x484c0001u
#define UAPI_HALLA_EXIT_IRQ 0x484c0002u
#define UAPI_HALLA_EXIT_EXCEPTION 0x484c0003u
#define UAPI_HALLA_EXIT_INTERNAL_ERROR 0x484c0004u
#define UAPI_HALLA_EXIT_SYSTEM_EVENT 0x484c0005u
#define UAPI_HALLA_EXIT_SHUTDOWN 0x484c0006u
#define UAPI_HALLA_EXIT_IDLE 0x484c0007u
#define UAPI_HALLA_EXIT_SGI 0x484c0008u

/* Device. */
#define UAPI_HALLA_CREATE_VM UAPI_IO(0x4c, 0x01)
#define UAPI_HALLA_CHECK_EXTENSION UAPI_IO(0x4c, 0x02) /* device and VM; the argument is a pointer all the same */
/* VM. */
#define UAPI_HALLA_ENABLE_CAP UAPI_IOW(0x4c, 0x03, struct uapi_gzvm_enable_cap)
#define UAPI_HALLA_SET_DTB UAPI_IOW(0x4c, 0x04, struct uapi_gzvm_range)
#define UAPI_HALLA_CREATE_VCPU UAPI_IO(0x4c, 0x20)
#define UAPI_HALLA_SET_USER_MEM UAPI_IOW(0x4c, 0x41, struct uapi_gzvm_region)
#define UAPI_HALLA_IRQFD UAPI_IOW(0x4c, 0x61, struct uapi_gzvm_irqfd)
#define UAPI_HALLA_IRQ_LINE UAPI_IOW(0x4c, 0x62, struct uapi_gzvm_irq_level)
#define UAPI_HALLA_CREATE_DEVICE UAPI_IOWR(0x4c, 0x80, struct uapi_gzvm_create_device)
#define UAPI_HALLA_IOEVENTFD UAPI_IOW(0x4c, 0xa0, struct uapi_gzvm_ioeventfd)
/* vCPU. */
#define UAPI_HALLA_RUN UAPI_IO(0x4c, 0x21)
#define UAPI_HALLA_GET_ONE_REG UAPI_IOW(0x4c, 0x28, struct uapi_gzvm_one_reg)
#define UAPI_HALLA_SET_ONE_REG UAPI_IOW(0x4c, 0x29, struct uapi_gzvm_one_reg)

static_assert(UAPI_HALLA_CREATE_VM == 0x4c01u, "halla CREATE_VM");
static_assert(UAPI_HALLA_CHECK_EXTENSION == 0x4c02u, "halla CHECK_EXTENSION");
static_assert(UAPI_HALLA_ENABLE_CAP == 0x40304c03u, "halla ENABLE_CAP");
static_assert(UAPI_HALLA_SET_DTB == 0x40104c04u, "halla SET_DTB");
static_assert(UAPI_HALLA_CREATE_VCPU == 0x4c20u, "halla CREATE_VCPU");
static_assert(UAPI_HALLA_RUN == 0x4c21u, "halla RUN");
static_assert(UAPI_HALLA_GET_ONE_REG == 0x40104c28u, "halla GET_ONE_REG");
static_assert(UAPI_HALLA_SET_ONE_REG == 0x40104c29u, "halla SET_ONE_REG");
static_assert(UAPI_HALLA_SET_USER_MEM == 0x40204c41u, "halla SET_USER_MEM");
static_assert(UAPI_HALLA_IRQFD == 0x40204c61u, "halla IRQFD");
static_assert(UAPI_HALLA_IRQ_LINE == 0x40084c62u, "halla IRQ_LINE");
static_assert(UAPI_HALLA_CREATE_DEVICE == 0xc0304c80u, "halla CREATE_DEVICE");
static_assert(UAPI_HALLA_IOEVENTFD == 0x40404ca0u, "halla IOEVENTFD");
static_assert(UAPI_HALLA_CAP_GPA_SIZE == ('G' << 16 | 'P' << 8 | 'A'), "halla GPA");
static_assert(UAPI_HALLA_CAP_PROTECTED_VM == ('P' << 16 | 'V' << 8 | 'M'), "halla PVM");

#endif
