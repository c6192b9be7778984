/* SPDX-License-Identifier: BSD-3-Clause */
/* copy_from_user() and copy_to_user(): the kernel tells which memory is there, so that a bad pointer is EFAULT and no crash. */
#include "sim.h"

#include <errno.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Where a sandbox or an emulator refuses to copy by process, a file does: read() and write() check pointers as well. */
static int copy_through_file(void *buffer, uintptr_t user, size_t length, bool out)
{
	struct gh_sys *kernel = gh_sys_kernel();
	void *pointer = (void *)user;
	int fd = kernel->memfd(kernel, "gh-copy", 0);
	ssize_t count;

	if (fd < 0)
		return fd;
	count = pwrite(fd, out ? buffer : pointer, length, 0);
	if (count == (ssize_t)length)
		count = pread(fd, out ? pointer : buffer, length, 0);
	(void)kernel->close(kernel, fd);
	return count == (ssize_t)length ? 0 : -EFAULT;
}

static int copy(void *buffer, uintptr_t user, size_t length, bool out)
{
	struct iovec local = { buffer, length };
	struct iovec remote = { (void *)user, length };
	long self = syscall(SYS_getpid);
	long count;

	if (length == 0)
		return 0;
	count = syscall(out ? SYS_process_vm_writev : SYS_process_vm_readv, self, &local, 1ul, &remote, 1ul, 0ul);
	if (count < 0 && (errno == ENOSYS || errno == EPERM))
		return copy_through_file(buffer, user, length, out);
	return count == (long)length ? 0 : -EFAULT;
}

int sim_copy_in(void *to, uintptr_t from, size_t length)
{
	return copy(to, from, length, false);
}

int sim_copy_out(uintptr_t to, const void *from, size_t length)
{
	/* The local side is only read; struct iovec has no const to say so. */
	return copy((void *)(uintptr_t)from, to, length, true);
}
