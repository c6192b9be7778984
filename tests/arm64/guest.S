/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest of the system tests: performs a program that the host has put into its memory (guest.h), so that each test
 * says in C what its guest does. Bare metal, EL1, MMU off.
 *
 * x19 next instruction, x20 INTID taken (0: none), x21 accumulator, x22 start of memory, x23 rounds of OP_AGAIN; x0 to x10
 * are scratch, x16 and x17 belong to the handlers.
 */
#include "guest.h"

	.section .rodata
	.balign 4096
	.globl test_guest_start
	.globl test_guest_end

test_guest_start:
	b	boot
	b	second

boot:
	adr	x22, test_guest_start
	mov	x9, #GUEST_PROGRAM
	add	x19, x22, x9
	b	common
second:
	mov	x19, x0
	adr	x22, test_guest_start
common:
	mov	x20, #0
	mov	x21, #0
	mov	x23, #0
	adr	x0, vectors
	msr	vbar_el1, x0
	isb

next:
	ldr	w0, [x19]
	ldr	w6, [x19, #4]
	ldp	x1, x2, [x19, #8]
	ldp	x3, x4, [x19, #24]
	add	x19, x19, #GUEST_OP_SIZE
	adr	x7, table
	add	x7, x7, x0, lsl #2
	br	x7
table:
	b	op_end
	b	op_store
	b	op_load
	b	op_store_acc
	b	op_hvc
	b	op_wait
	b	op_spin
	b	op_load_pair
	b	op_enable
	b	op_echo
	b	op_jump
	b	op_again

op_end:
	msr	daifset, #2
1:	wfi
	b	1b

op_store_acc:
	mov	x2, x21
op_store:
	tbnz	w6, #0, 1f
	tbnz	w6, #1, 2f
	tbnz	w6, #2, 4f
	str	x2, [x1]
	b	next
1:	strb	w2, [x1]
	b	next
2:	strh	w2, [x1]
	b	next
4:	str	w2, [x1]
	b	next

op_load:
	tbnz	w6, #0, 1f
	tbnz	w6, #1, 2f
	tbnz	w6, #2, 4f
	ldr	x21, [x1]
	b	next
1:	ldrb	w21, [x1]
	b	next
2:	ldrh	w21, [x1]
	b	next
4:	ldr	w21, [x1]
	b	next

op_hvc:
	mov	x0, x1
	mov	x1, x2
	mov	x2, x3
	mov	x3, x4
	hvc	#0
	mov	x21, x0
	b	next

op_wait:
	msr	daifset, #2
	cbnz	x20, 2f
1:	wfi
	msr	daifclr, #2
	isb
	msr	daifset, #2
	cbz	x20, 1b
2:	cbnz	x1, 3f
	mov	x21, x20
3:	mov	x20, #0
	b	next

op_spin:
	cbz	x1, 2f
1:	subs	x1, x1, #1
	b.ne	1b
	b	next
2:	b	2b

op_load_pair:
	ldp	x2, x3, [x1]
	b	next

op_echo:
	ldr	x3, [x1]
	str	x3, [x1, #8]
	subs	x2, x2, #1
	b.ne	op_echo
	b	next

op_jump:
	mov	x9, #GUEST_PROGRAM
	add	x19, x22, x9
	mov	x9, #GUEST_OP_SIZE
	madd	x19, x1, x9, x19
	b	next

op_again:
	add	x23, x23, #1
	cmp	x23, x2
	b.lo	op_jump
	mov	x23, #0
	b	next

/* x1 INTID, x2 edge. 32-bit accesses only. */
op_enable:
	mrs	x3, icc_sre_el1
	orr	x3, x3, #1
	msr	icc_sre_el1, x3
	isb
	ldr	x3, =GUEST_GIC_REDISTRIBUTORS
	ldr	w4, [x3, #0x14]
	bic	w4, w4, #2
	str	w4, [x3, #0x14]
	ldr	x3, =GUEST_GIC_DISTRIBUTOR
	mov	w4, #0x12
	str	w4, [x3]

	lsr	x5, x1, #4 /* trigger: two bits each */
	add	x5, x3, x5, lsl #2
	and	w7, w1, #15
	lsl	w7, w7, #1
	mov	w8, #2
	lsl	w8, w8, w7
	ldr	w4, [x5, #0xc00]
	bic	w4, w4, w8
	cbz	x2, 1f
	orr	w4, w4, w8
1:	str	w4, [x5, #0xc00]

	bic	x5, x1, #3 /* priority: a byte each */
	add	x5, x3, x5
	ldr	w4, =0x80808080
	str	w4, [x5, #0x400]

	lsr	x5, x1, #5 /* group and enable: a bit each */
	add	x5, x3, x5, lsl #2
	mov	w8, #1
	lsl	w8, w8, w1
	ldr	w4, [x5, #0x80]
	orr	w4, w4, w8
	str	w4, [x5, #0x80]
	add	x7, x3, #0x6000 /* route: two words each, to this CPU */
	add	x7, x7, x1, lsl #3
	mrs	x4, mpidr_el1
	and	w4, w4, #0xffffff
	str	w4, [x7]
	str	wzr, [x7, #4]
	str	w8, [x5, #0x100]

	mov	x4, #0xff
	msr	icc_pmr_el1, x4
	mov	x4, #1
	msr	icc_igrpen1_el1, x4
	isb
	b	next

	.ltorg

/* Returns with interrupts masked: a level-triggered line that stays up would let nothing else happen. */
on_interrupt:
	mrs	x16, icc_iar1_el1
	cmp	w16, #1020
	b.hs	1f
	mov	x20, x16
	msr	icc_eoir1_el1, x16
	isb
	mrs	x16, spsr_el1
	orr	x16, x16, #0x80
	msr	spsr_el1, x16
1:	eret

/* Reports, and goes on behind the instruction. */
on_exception:
	mrs	x16, esr_el1
	mov	x17, #GUEST_EXCEPTION
	str	w16, [x17]
	mrs	x16, elr_el1
	add	x16, x16, #4
	msr	elr_el1, x16
	eret

	.macro vector target
	.balign 128
	b	\target
	.endm

	.balign 2048
vectors:
	.rept 4
	vector	on_exception
	.endr
	vector	on_exception
	vector	on_interrupt
	vector	on_exception
	vector	on_exception
	.rept 8
	vector	on_exception
	.endr
test_guest_end:

	.section .note.GNU-stack, "", %progbits
