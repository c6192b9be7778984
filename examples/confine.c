/* SPDX-License-Identifier: BSD-3-Clause */
#include "confine.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#elif defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#else
#error "Add the name that seccomp has for this processor."
#endif

#define ROOM 512

struct program {
	struct sock_filter code[ROOM];
	unsigned short length;
};

static void add(struct program *program, uint16_t code, uint32_t k, uint8_t if_true, uint8_t if_false)
{
	if (program->length < ROOM)
		program->code[program->length++] = (struct sock_filter)BPF_JUMP(code, k, if_true, if_false);
}

/* Both processors are little-endian: the lower half of an argument comes first. */
static void load(struct program *program, size_t offset)
{
	add(program, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void add_call(struct program *program, const struct gh_syscall *call)
{
	load(program, offsetof(struct seccomp_data, nr));
	/* If it is another call, over what follows. */
	add(program, BPF_JMP | BPF_JEQ | BPF_K, call->number, 0, call->mask != 0 ? 4 : 1);
	if (call->mask != 0) {
		load(program, offsetof(struct seccomp_data, args) + sizeof(uint64_t) * call->argument);
		add(program, BPF_ALU | BPF_AND | BPF_K, call->mask, 0, 0);
		add(program, BPF_JMP | BPF_JEQ | BPF_K, call->value, 0, 1);
	}
	add(program, BPF_RET | BPF_K, call->refusal != 0 ? SECCOMP_RET_ERRNO | call->refusal : SECCOMP_RET_ALLOW, 0, 0);
}

static void make_filter(const struct confinement *confinement, struct program *program)
{
	struct gh_syscall call = GH_SYSCALL_INIT;
	struct gh_syscall own = GH_SYSCALL_INIT;

	load(program, offsetof(struct seccomp_data, arch));
	add(program, BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
	add(program, BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS, 0, 0);
	/* The program's own first: it may allow what the library can do without. */
	for (uint32_t i = 0; i < confinement->n_own; i++) {
		own.number = confinement->own[i];
		add_call(program, &own);
	}
	for (uint32_t i = 0; gh_vm_syscall(confinement->vm, i, &call) == 0; i++)
		if ((call.phases & confinement->phases) != 0)
			add_call(program, &call);
	add(program, BPF_RET | BPF_K, confinement->otherwise, 0, 0);
}

int confine(const struct confinement *confinement)
{
	struct program program = { .length = 0 };
	struct sock_fprog filter = { .filter = program.code };

	make_filter(confinement, &program);
	if (program.length == ROOM)
		return -ENOSPC;
	filter.len = program.length;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	/* On all threads: the library has some of its own on some hypervisors. The result may be a thread that will not. */
	switch (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter)) {
	case 0:
		return 0;
	case -1:
		return -errno;
	default:
		return -EBUSY;
	}
}
