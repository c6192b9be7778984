/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What gh-boot and its guest agree on; read by the C compiler and by the assembler.
 *
 * Devices are in the first GiB, below the interrupt controller: on Gunyah only accesses there make exits.
 */
#ifndef GH_TESTS_BOOT_GUEST_H
#define GH_TESTS_BOOT_GUEST_H

#define GUEST_UART 0x3000      /* store of 1: a character */
#define GUEST_IDENTITY 0x4000  /* load of 1, 2, 4 or 8: the low bytes of GUEST_IDENTITY_VALUE */
#define GUEST_FAILURE 0x4010   /* store of 8: what went wrong, see below */
#define GUEST_READY 0x5000     /* store of 4: the guest waits for the interrupt */
#define GUEST_TAKEN 0x5008     /* store of 4: the INTID that it took */
#define GUEST_DOORBELL 0x6000  /* store of 4: an ioeventfd, no exit */
#define GUEST_DOORBELLS 0x6008 /* load of 8: how often the doorbell has rung */

#define GUEST_IDENTITY_VALUE 0x8877665544332211
#define GUEST_RINGS 3

/* Shared peripheral interrupt, and what the guest sees of it. */
#define GUEST_LINE 32
#define GUEST_INTID (32 + GUEST_LINE)

#define GUEST_GIC_DISTRIBUTOR 0x3fff0000
#define GUEST_GIC_REDISTRIBUTORS 0x3ffd0000

/* Values of GUEST_FAILURE; an exception is its syndrome (ESR_EL1), which is larger. */
#define GUEST_FAILED_TREE 1
#define GUEST_FAILED_IDENTITY 2
#define GUEST_FAILED_GIC 3
#define GUEST_FAILED_DOORBELL 4

#endif
