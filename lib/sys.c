/* SPDX-License-Identifier: BSD-3-Clause */
/* The system-call table of the real kernel: the only file of libgh that calls it, and the only one that reads errno. */
#include "sys.h"

#include "arch/enter.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int result(long value)
{
	return value < 0 ? -errno : (int)value;
}

static int sys_open(struct gh_sys *sys, const char *path, int flags)
{
	(void)sys;
	/* By number, so that it is the same call with every C library (sandbox_calls.c). No file is made, so there is no mode. */
	return result(syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0));
}

static int sys_close(struct gh_sys *sys, int fd)
{
	(void)sys;
	return result(close(fd));
}

static int sys_dup(struct gh_sys *sys, int fd, int lowest)
{
	(void)sys;
	/* By number: some C libraries set the flag once more (F_SETFD), which is another call (sandbox_calls.c). */
	return result(syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, (long)lowest));
}

static int sys_ioctl(struct gh_sys *sys, int fd, unsigned long request, uintptr_t arg)
{
	(void)sys;
	/* The raw call: musl and bionic declare the request as int, and the kernel takes 32 bits of it. */
	return result(syscall(SYS_ioctl, fd, request, arg));
}

static int sys_enter(struct gh_sys *sys, int fd, unsigned long request, uintptr_t arg, const volatile uint32_t *cancel)
{
	(void)sys;
	return (int)gh_arch_enter(fd, request, arg, cancel);
}

static int sys_eventfd(struct gh_sys *sys, unsigned int count, int flags)
{
	(void)sys;
	return result(eventfd(count, flags | EFD_CLOEXEC));
}

static int sys_memfd(struct gh_sys *sys, const char *name, uint64_t length)
{
	int fd;
	int ret;

	(void)sys;
	/* By number: bionic has the wrapper only from API level 30. The 1 is MFD_CLOEXEC. */
	fd = result(syscall(SYS_memfd_create, name, 1u));
	if (fd < 0)
		return fd;
	ret = result(ftruncate(fd, (off_t)length));
	if (ret < 0) {
		(void)close(fd);
		return ret;
	}
	return fd;
}

static ssize_t sys_read(struct gh_sys *sys, int fd, void *buffer, size_t length)
{
	ssize_t ret = read(fd, buffer, length);

	(void)sys;
	return ret < 0 ? -errno : ret;
}

static ssize_t sys_pread(struct gh_sys *sys, int fd, void *buffer, size_t length, uint64_t offset)
{
	ssize_t ret = pread(fd, buffer, length, (off_t)offset);

	(void)sys;
	return ret < 0 ? -errno : ret;
}

static ssize_t sys_write(struct gh_sys *sys, int fd, const void *buffer, size_t length)
{
	int saved = errno; /* called from signal handlers, as tgkill is */
	ssize_t ret = write(fd, buffer, length);

	(void)sys;
	if (ret < 0)
		ret = -errno;
	errno = saved;
	return ret;
}

static int sys_fstat(struct gh_sys *sys, int fd, struct stat *ret_stat)
{
	(void)sys;
	return result(fstat(fd, ret_stat));
}

static int sys_ppoll(struct gh_sys *sys, struct pollfd *fds, unsigned int count, const struct timespec *timeout)
{
	(void)sys;
	return result(ppoll(fds, count, timeout, NULL));
}

static int sys_epoll_create(struct gh_sys *sys)
{
	(void)sys;
	return result(epoll_create1(EPOLL_CLOEXEC));
}

static int sys_epoll_ctl(struct gh_sys *sys, int epoll, int operation, int fd, struct epoll_event *event)
{
	(void)sys;
	return result(epoll_ctl(epoll, operation, fd, event));
}

static int sys_epoll_wait(struct gh_sys *sys, int epoll, struct epoll_event *ret_events, int room)
{
	(void)sys;
	return result(epoll_pwait(epoll, ret_events, room, 0, NULL));
}

static int sys_map_file(struct gh_sys *sys, void *address, size_t length, int prot, int flags, int fd, uint64_t offset,
			void **ret_address)
{
	void *mapping = mmap(address, length, prot, flags, fd, (off_t)offset);

	(void)sys;
	if (mapping == MAP_FAILED)
		return -errno;
	*ret_address = mapping;
	return 0;
}

static int sys_mmap(struct gh_sys *sys, void *address, size_t length, int prot, int flags, int fd, void **ret_address)
{
	return sys_map_file(sys, address, length, prot, flags, fd, 0, ret_address);
}

static int sys_munmap(struct gh_sys *sys, void *address, size_t length)
{
	(void)sys;
	return result(munmap(address, length));
}

static int sys_mprotect(struct gh_sys *sys, void *address, size_t length, int prot)
{
	(void)sys;
	return result(mprotect(address, length, prot));
}

static int sys_madvise(struct gh_sys *sys, void *address, size_t length, int advice)
{
	(void)sys;
	return result(madvise(address, length, advice));
}

static int sys_mlock(struct gh_sys *sys, void *address, size_t length, unsigned int flags)
{
	(void)sys;
	/* By number: bionic has the wrapper only from API level 30. */
	return result(flags != 0 ? syscall(SYS_mlock2, address, length, flags) : syscall(SYS_mlock, address, length));
}

static int sys_munlock(struct gh_sys *sys, void *address, size_t length)
{
	(void)sys;
	/* The raw call, as above: sanitizers make nothing of munlock(). */
	return result(syscall(SYS_munlock, address, length));
}

static int sys_getpid(struct gh_sys *sys)
{
	(void)sys;
	return (int)syscall(SYS_getpid);
}

static int sys_gettid(struct gh_sys *sys)
{
	(void)sys;
	return (int)syscall(SYS_gettid);
}

static int sys_tgkill(struct gh_sys *sys, int pid, int tid, int signal)
{
	int saved = errno; /* this entry is called from signal handlers */
	int ret = result(syscall(SYS_tgkill, pid, tid, signal));

	(void)sys;
	errno = saved;
	return ret;
}

static int sys_sigaction(struct gh_sys *sys, int signal, const struct sigaction *action, struct sigaction *ret_old)
{
	(void)sys;
	return result(sigaction(signal, action, ret_old));
}

static int sys_sigprocmask(struct gh_sys *sys, int how, const sigset_t *set, sigset_t *ret_old)
{
	(void)sys;
	return -pthread_sigmask(how, set, ret_old);
}

static int sys_thread_time(struct gh_sys *sys, int tid, uint64_t *ret_ns)
{
	/* The kernel's number for "scheduled time of this thread", which no C library makes for foreign threads. */
	clockid_t clock = (clockid_t)(~(unsigned int)tid << 3 | 6u);
	struct timespec time;

	(void)sys;
	if (clock_gettime(clock, &time) < 0)
		return -errno;
	*ret_ns = (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
	return 0;
}

static uint64_t sys_now(struct gh_sys *sys)
{
	struct timespec time = { 0, 0 };

	(void)sys;
	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static int sys_move_to_cpu(struct gh_sys *sys, unsigned int cpu)
{
	cpu_set_t set;

	(void)sys;
	if (cpu >= CPU_SETSIZE)
		return -EINVAL;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return result(sched_setaffinity(0, sizeof(set), &set));
}

static int sys_getrlimit(struct gh_sys *sys, int resource, struct rlimit *ret_limit)
{
	(void)sys;
	/* By number: glibc wants an enum of its own here, musl and bionic an int. The structures are one on 64-bit machines. */
	return result(syscall(SYS_prlimit64, 0, resource, NULL, ret_limit));
}

static int sys_membarrier(struct gh_sys *sys, int command)
{
	(void)sys;
	return result(syscall(SYS_membarrier, command, 0u, 0));
}

static void sys_yield(struct gh_sys *sys)
{
	(void)sys;
	(void)sched_yield();
}

/* Never written to: the cast only takes off the const that a simulated machine's table cannot have. */
static const struct gh_sys kernel_table = {
	.open = sys_open,
	.close = sys_close,
	.dup = sys_dup,
	.ioctl = sys_ioctl,
	.enter = sys_enter,
	.eventfd = sys_eventfd,
	.memfd = sys_memfd,
	.read = sys_read,
	.pread = sys_pread,
	.write = sys_write,
	.fstat = sys_fstat,
	.ppoll = sys_ppoll,
	.epoll_create = sys_epoll_create,
	.epoll_ctl = sys_epoll_ctl,
	.epoll_wait = sys_epoll_wait,
	.mmap = sys_mmap,
	.map_file = sys_map_file,
	.munmap = sys_munmap,
	.mprotect = sys_mprotect,
	.madvise = sys_madvise,
	.mlock = sys_mlock,
	.munlock = sys_munlock,
	.getpid = sys_getpid,
	.gettid = sys_gettid,
	.tgkill = sys_tgkill,
	.sigaction = sys_sigaction,
	.sigprocmask = sys_sigprocmask,
	.thread_time = sys_thread_time,
	.now = sys_now,
	.move_to_cpu = sys_move_to_cpu,
	.getrlimit = sys_getrlimit,
	.membarrier = sys_membarrier,
	.yield = sys_yield,
};

struct gh_sys *gh_sys_kernel(void)
{
	return (struct gh_sys *)(uintptr_t)&kernel_table;
}

int gh_sys_ioctl0(struct gh_sys *sys, int fd, unsigned long request, uintptr_t arg)
{
	int ret = sys->ioctl(sys, fd, request, arg);

	return ret > 0 ? -EPROTO : ret;
}

bool gh_sys_is_hidden(int error)
{
	return error == -ENOENT || error == -ENOTDIR || error == -EACCES || error == -EPERM || error == -ENOSYS;
}
