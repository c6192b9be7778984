/* SPDX-License-Identifier: BSD-3-Clause */
/* What of enter.h is C: the handler's side, and all of it where there is no assembly for the processor. */
#include "enter.h"

#include <errno.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#if GH_ARCH_ENTER

extern const char gh_arch_window[];  /* the first instruction of the look */
extern const char gh_arch_entered[]; /* the one after the system call */
extern const char gh_arch_cancel[];  /* the way out */

bool gh_arch_rewind(void *context)
{
	ucontext_t *user = context;
#if defined(__aarch64__)
	uintptr_t pc = (uintptr_t)user->uc_mcontext.pc;
#else
	uintptr_t pc = (uintptr_t)user->uc_mcontext.gregs[REG_RIP];
#endif

	if (pc < (uintptr_t)gh_arch_window || pc >= (uintptr_t)gh_arch_entered)
		return false;
#if defined(__aarch64__)
	user->uc_mcontext.pc = (uintptr_t)gh_arch_cancel;
#else
	user->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)gh_arch_cancel;
#endif
	return true;
}

#else

long gh_arch_enter(int fd, unsigned long request, uintptr_t arg, const volatile uint32_t *cancel)
{
	long ret;

	if (__atomic_load_n(cancel, __ATOMIC_SEQ_CST) != 0)
		return -ECANCELED;
	ret = syscall(SYS_ioctl, fd, request, arg);
	return ret < 0 ? -errno : ret;
}

bool gh_arch_rewind(void *context)
{
	(void)context;
	return false;
}

#endif
