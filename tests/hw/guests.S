/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bare-metal guests of the hardware tests. Each begins at its own first byte, at exception level 1 with the MMU off, and
 * uses addresses below 1 GiB for its devices, where every hypervisor makes exits. No load or store pairs: they have no
 * syndrome.
 */

	.macro	guest name
	.balign	8
	.global	hw_\name
hw_\name:
	.endm

	.macro	guest_end name
	.balign	8
	.global	hw_\name\()_end
hw_\name\()_end:
	.endm

	.macro	psci function
	movz	w0, #(\function & 0xffff)
	movk	w0, #(\function >> 16), lsl #16
	hvc	#0
	.endm

	.section .rodata.guests, "a"

/*
 * Loads of every width, each followed by a store of the whole register; stores of every width; power-off. No signed loads:
 * extending them is the hypervisor's business, and some emulated machines do not.
 */
guest accesses
	mov	x1, #0x7000
	ldrb	w2, [x1]
	str	x2, [x1, #0x100]
	ldrh	w2, [x1]
	str	x2, [x1, #0x100]
	ldr	w2, [x1]
	str	x2, [x1, #0x100]
	ldr	x2, [x1]
	str	x2, [x1, #0x100]
	movz	x3, #0x2211
	movk	x3, #0x4433, lsl #16
	movk	x3, #0x6655, lsl #32
	movk	x3, #0x8877, lsl #48
	strb	w3, [x1, #8]
	strh	w3, [x1, #8]
	str	w3, [x1, #8]
	str	x3, [x1, #8]
	psci	0x84000008
guest_end accesses

/* Where it began, what x0 is, and what stands in memory behind the code; then writes there. */
guest entry
	mov	x1, #0x7000
	adr	x2, hw_entry
	str	x2, [x1, #0x100]
	str	x0, [x1, #0x100]
	adr	x2, hw_entry
	add	x2, x2, #0x10000
	ldr	x3, [x2]
	str	x3, [x1, #0x100]
	mov	x3, #0x1234
	str	x3, [x2]
	dsb	sy
	psci	0x84000008
guest_end entry

/* Rings a doorbell with two values, then says that it did. */
guest doorbell
	mov	x1, #0x7000
	mov	w2, #5
	str	w2, [x1, #0x200]
	mov	w2, #6
	str	w2, [x1, #0x200]
	str	x2, [x1, #0x100]
	psci	0x84000008
guest_end doorbell

/* Sleeps without an interrupt to wait for. */
guest sleeps
	mov	x1, #0x7000
	str	x1, [x1, #0x100]
1:	wfi
	b	1b
guest_end sleeps

/* Computes for ever. */
guest computes
	mov	x1, #0x7000
	str	x1, [x1, #0x100]
1:	b	1b
guest_end computes

/* Asks to be started again. */
guest resets
	psci	0x84000009
guest_end resets

/* Switches the second vCPU on, which stores; polls until the VMM answers with something else than 0; power-off. */
guest second
	mov	x10, #0x7000
	movz	w0, #0x0003
	movk	w0, #0xc400, lsl #16
	mov	x1, #1
	adr	x2, 2f
	mov	x3, #0x55
	hvc	#0
	str	x0, [x10, #0x100]
1:	ldr	x2, [x10]
	cbz	x2, 1b
	psci	0x84000008
2:	mov	x10, #0x7000
	str	x0, [x10, #0x108]
3:	wfi
	b	3b
guest_end second

	.section .note.GNU-stack, "", %progbits
