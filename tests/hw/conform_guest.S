/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest of the raw cases: asks for a command with a load at 0x6000, carries it out, and asks again. A command has the
 * operation in its lowest byte (1 store, 2 load, 3 hypercall), the width above that, then 32 bits of address or function and
 * 16 of value. What a load gave is stored at 0x6018. Exception level 1, MMU off, no pairs, no stack.
 */
	.section .rodata.guests, "a"
	.balign	8
	.global	conform_guest
conform_guest:
	mov	x20, #0x6000
ask:
	ldr	x0, [x20]
	and	x1, x0, #0xff
	ubfx	x2, x0, #8, #8
	ubfx	x3, x0, #16, #32
	lsr	x4, x0, #48
	cmp	x1, #1
	b.eq	store
	cmp	x1, #2
	b.eq	load
	cmp	x1, #3
	b.ne	ask
	mov	x0, x3
	mov	x1, #0
	mov	x2, #0
	mov	x3, #0
	hvc	#0
	b	ask
store:
	cmp	x2, #1
	b.eq	store1
	cmp	x2, #2
	b.eq	store2
	cmp	x2, #4
	b.eq	store4
	str	x4, [x3]
	b	ask
store1:
	strb	w4, [x3]
	b	ask
store2:
	strh	w4, [x3]
	b	ask
store4:
	str	w4, [x3]
	b	ask
load:
	cmp	x2, #1
	b.eq	load1
	cmp	x2, #2
	b.eq	load2
	cmp	x2, #4
	b.eq	load4
	ldr	x5, [x3]
	b	report
load1:
	ldrb	w5, [x3]
	b	report
load2:
	ldrh	w5, [x3]
	b	report
load4:
	ldr	w5, [x3]
report:
	str	x5, [x20, #0x18]
	b	ask
	.balign	8
	.global	conform_guest_end
conform_guest_end:

	.section .note.GNU-stack, "", @progbits
