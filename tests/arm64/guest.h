/* SPDX-License-Identifier: BSD-3-Clause */
/* What the guest of the system tests and its host agree on; read by the C compiler and by the assembler. */
#ifndef TESTS_ARM64_GUEST_H
#define TESTS_ARM64_GUEST_H

/* Where things are from the start of the guest's memory. */
#define GUEST_ENTRY_SECOND 4 /* a vCPU that was switched on begins here, with the address of its program in x0 */
#define GUEST_PROGRAM 0x10000
#define GUEST_PROGRAM_SECOND 0x18000
#define GUEST_SCRATCH 0x20000

/* Stores that the guest makes on its own, 4 bytes wide: the syndrome of an exception, after which it goes on. */
#define GUEST_EXCEPTION 0x7000

#define GUEST_GIC_DISTRIBUTOR 0x3fff0000
#define GUEST_GIC_REDISTRIBUTORS 0x3fef0000

/* Instructions of the program; every vCPU has an accumulator. */
#define OP_END 0       /* sleep for ever */
#define OP_STORE 1     /* a address, b value, width */
#define OP_LOAD 2      /* a address, width; into the accumulator */
#define OP_STORE_ACC 3 /* a address, width; the accumulator */
#define OP_HVC 4       /* x0 to x3 are a to d; x0 into the accumulator */
#define OP_WAIT 5      /* sleep until an interrupt has been taken; its INTID into the accumulator unless a is 1 */
#define OP_SPIN 6      /* a turns; 0 for ever */
#define OP_LOAD_PAIR 7 /* a address; a load of 16 bytes, which no CPU describes to a hypervisor */
#define OP_ENABLE 8    /* a INTID, b 1 for edge and 0 for level */
#define OP_ECHO 9      /* b times: load of 8 from a, store of 8 of the same to a + 8 */
#define OP_JUMP 10     /* a index in the program of the boot vCPU */
#define OP_AGAIN 11    /* OP_JUMP to a, until this has been reached b times */

#define PSCI_CPU_OFF 0x84000002
#define PSCI_CPU_ON 0xc4000003
#define PSCI_SYSTEM_OFF 0x84000008
#define PSCI_SYSTEM_RESET 0x84000009
#define PSCI_SYSTEM_RESET2 0xc4000012

#define GUEST_OP_SIZE 40

#endif
