/* SPDX-License-Identifier: BSD-3-Clause */
/* enter.h for arm64. w0 descriptor, x1 request, x2 argument, x3 the flag; system call 29 is ioctl, error 125 ECANCELED. */
	.text
	.balign	16
	.global	gh_arch_enter
	.hidden	gh_arch_enter
	.type	gh_arch_enter, %function
	.global	gh_arch_window
	.hidden	gh_arch_window
	.global	gh_arch_entered
	.hidden	gh_arch_entered
	.global	gh_arch_cancel
	.hidden	gh_arch_cancel
gh_arch_enter:
	.cfi_startproc
	hint	#34 /* bti c */
	mov	x8, #29
gh_arch_window:
	/*
	 * With acquire: a plain load may pass the store before it that says where the vCPU is, and then neither the kicker nor
	 * this thread sees the other.
	 */
	ldar	w9, [x3]
	cbnz	w9, gh_arch_cancel
	svc	#0
gh_arch_entered:
	ret
gh_arch_cancel:
	mov	x0, #-125
	ret
	.cfi_endproc
	.size	gh_arch_enter, . - gh_arch_enter

	.section .note.GNU-stack, "", %progbits
	/* Branch targets are marked, and nothing here signs return addresses: a leaf keeps its in a register. */
	.section .note.gnu.property, "a", %note
	.balign	8
	.word	4, 16, 5
	.asciz	"GNU"
	.word	0xc0000000, 4, 3, 0
