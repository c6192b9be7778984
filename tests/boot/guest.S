/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest of gh-boot: bare metal, one vCPU, EL1, MMU off, independent of where it is loaded (a multiple of 2 KiB).
 *
 * x0 holds the devicetree's address. It greets, checks loads of every width, takes an interrupt of an irqfd in a real
 * vector, rings an ioeventfd, reads back that the rings arrived, and powers off. Every access to a device is a plain load
 * or store, which the CPU describes to the hypervisor (no ldp, no write-back).
 *
 * x19 the devicetree, x20 the interrupt taken (0: none yet); x0 to x8 are scratch.
 */
#include "guest.h"

	.section .rodata
	.balign 4096
	.globl gh_guest_start
	.globl gh_guest_end

gh_guest_start:
	mov	x19, x0
	mov	x20, #0
	adr	x1, vectors
	msr	vbar_el1, x1
	isb

	adr	x0, text_hello
	bl	print
	bl	check_tree
	bl	check_identity
	adr	x0, text_loads
	bl	print

	bl	start_interrupts
	bl	take_interrupt
	adr	x0, text_interrupt
	bl	print

	bl	ring_doorbell
	adr	x0, text_doorbell
	bl	print
	b	power_off

/* x0: text, ended by a zero byte. */
print:
	mov	x1, #GUEST_UART
1:	ldrb	w2, [x0]
	cbz	w2, 2f
	strb	w2, [x1]
	add	x0, x0, #1
	b	1b
2:	ret

/* A devicetree begins with the big-endian number 0xd00dfeed. */
check_tree:
	ldr	w1, [x19]
	rev	w1, w1
	ldr	w2, =0xd00dfeed
	mov	x0, #GUEST_FAILED_TREE
	cmp	w1, w2
	b.ne	fail
	ret

check_identity:
	mov	x1, #GUEST_IDENTITY
	ldr	x2, =GUEST_IDENTITY_VALUE
	mov	x0, #GUEST_FAILED_IDENTITY
	ldr	x3, [x1]
	cmp	x3, x2
	b.ne	fail
	ldr	w3, [x1]
	cmp	x3, w2, uxtw
	b.ne	fail
	ldrh	w3, [x1]
	cmp	x3, w2, uxth
	b.ne	fail
	ldrb	w3, [x1]
	cmp	x3, w2, uxtb
	b.ne	fail
	ret

/*
 * One edge-triggered interrupt of group 1, routed to this CPU. Registers are accessed as Linux does it, which every
 * hypervisor has seen: by 32 bits, routes by 64.
 */
start_interrupts:
	mrs	x1, icc_sre_el1
	orr	x1, x1, #1
	msr	icc_sre_el1, x1
	isb

	/* Wake this CPU's redistributor; a hypervisor may have no sleep at all. */
	ldr	x1, =GUEST_GIC_REDISTRIBUTORS
	ldr	w2, [x1, #0x14]
	bic	w2, w2, #2
	str	w2, [x1, #0x14]
	mov	w3, #0x10000
	mov	x0, #GUEST_FAILED_GIC
1:	subs	w3, w3, #1
	b.eq	fail
	ldr	w2, [x1, #0x14]
	tbnz	w2, #2, 1b

	ldr	x1, =GUEST_GIC_DISTRIBUTOR
	mov	w2, #0x12 /* affinity routing, group 1 */
	str	w2, [x1]

	mov	w3, #(1 << (GUEST_INTID % 32))
	ldr	w2, [x1, #(0x080 + GUEST_INTID / 32 * 4)] /* group 1 */
	orr	w2, w2, w3
	str	w2, [x1, #(0x080 + GUEST_INTID / 32 * 4)]
	ldr	w2, =0x80808080
	str	w2, [x1, #(0x400 + GUEST_INTID / 4 * 4)] /* priority */
	ldr	w2, [x1, #(0xc00 + GUEST_INTID / 16 * 4)] /* edge */
	orr	w2, w2, #(2 << (GUEST_INTID % 16 * 2))
	str	w2, [x1, #(0xc00 + GUEST_INTID / 16 * 4)]
	mrs	x2, mpidr_el1
	ldr	x4, =0xff00ffffff
	and	x4, x2, x4
	add	x6, x1, #0x6000 /* route */
	str	x4, [x6, #(GUEST_INTID * 8)]
	str	w3, [x1, #(0x100 + GUEST_INTID / 32 * 4)] /* enable */

	mov	x2, #0xff
	msr	icc_pmr_el1, x2
	mov	x2, #1
	msr	icc_igrpen1_el1, x2
	isb
	ret

/* Sleeps with interrupts masked, so that one between the test and the sleep still ends the sleep. */
take_interrupt:
	msr	daifset, #2
	mov	x1, #GUEST_READY
	mov	w2, #1
	str	w2, [x1]
1:	wfi
	msr	daifclr, #2
	isb
	msr	daifset, #2
	cbz	x20, 1b
	mov	x1, #GUEST_TAKEN
	str	w20, [x1]
	ret

ring_doorbell:
	mov	x1, #GUEST_DOORBELL
	mov	w2, #GUEST_RINGS
1:	str	w2, [x1]
	subs	w2, w2, #1
	b.ne	1b
	mov	x1, #GUEST_DOORBELLS
	ldr	x2, [x1]
	mov	x0, #GUEST_FAILED_DOORBELL
	cmp	x2, #GUEST_RINGS
	b.ne	fail
	ret

/* x0: why. */
fail:
	mov	x1, #GUEST_FAILURE
	str	x0, [x1]

power_off:
	ldr	w0, =0x84000008 /* PSCI SYSTEM_OFF */
	hvc	#0
1:	wfi
	b	1b

on_interrupt:
	mrs	x8, icc_iar1_el1
	cmp	w8, #1020
	b.hs	1f /* it has gone again */
	mov	x20, x8
	msr	icc_eoir1_el1, x8
	isb
1:	eret

on_exception:
	mrs	x0, esr_el1
	b	fail

	.macro vector target
	.balign 128
	b	\target
	.endm

	.balign 2048
vectors:
	.rept 4 /* with the other stack pointer */
	vector	on_exception
	.endr
	vector	on_exception
	vector	on_interrupt
	vector	on_exception
	vector	on_exception
	.rept 8 /* from EL0 */
	vector	on_exception
	.endr

	.ltorg

text_hello:
	.asciz "Hello from a guest at EL1.\n"
text_loads:
	.asciz "Loads of 1, 2, 4 and 8 bytes are right.\n"
text_interrupt:
	.asciz "The interrupt has come.\n"
text_doorbell:
	.asciz "The doorbell has rung.\n"
	.balign 8
gh_guest_end:

	.section .note.GNU-stack, "", %progbits
