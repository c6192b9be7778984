/* SPDX-License-Identifier: BSD-3-Clause */
/* enter.h for x86-64. edi descriptor, rsi request, rdx argument, rcx the flag; system call 16 is ioctl, error 125 ECANCELED. */
	.text
	.balign	16
	.global	gh_arch_enter
	.hidden	gh_arch_enter
	.type	gh_arch_enter, @function
	.global	gh_arch_window
	.hidden	gh_arch_window
	.global	gh_arch_entered
	.hidden	gh_arch_entered
	.global	gh_arch_cancel
	.hidden	gh_arch_cancel
gh_arch_enter:
	.cfi_startproc
	endbr64
	movl	$16, %eax
	movq	%rcx, %r8 /* the system call takes rcx and r11 */
gh_arch_window:
	cmpl	$0, (%r8)
	jne	gh_arch_cancel
	syscall
gh_arch_entered:
	ret
gh_arch_cancel:
	movq	$-125, %rax
	ret
	.cfi_endproc
	.size	gh_arch_enter, . - gh_arch_enter

	.section .note.GNU-stack, "", @progbits
	/* Branch targets are marked and the stack is left alone: fit for indirect branch tracking and shadow stacks. */
	.section .note.gnu.property, "a", @note
	.balign	8
	.long	4, 16, 5
	.asciz	"GNU"
	.long	0xc0000002, 4, 3, 0
