/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device with no kernel and no hypervisor behind it: the cheapest RUN there can be, so that what remains of a loop's time
 * is the loop. Every call through the table is counted.
 */
#include "bench.h"

#include "uapi/gunyah.h"
#include "uapi/gzvm.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* Of this thread: that of libgh's own threads is none of an exit's business. */
static _Thread_local uint64_t calls;

uint64_t device_calls(void)
{
	return calls;
}

static struct device *count(struct gh_sys *sys)
{
	calls++;
	return (struct device *)sys; /* its first member */
}

/* --- RUN ---------------------------------------------------------------------------------------------------------- */

/* The guest's side of an access: takes the last load's answer, and says what comes next. */
static void advance(struct device *device, uint8_t data[8])
{
	uint64_t value;

	if (device->load_is_out) {
		memcpy(&value, data, sizeof(value));
		device->sum += value;
	}
	device->load_is_out = device->access == LOAD;
	value = ++device->exits;
	if (device->access == STORE)
		memcpy(data, &value, sizeof(value));
}

static int run_gunyah(struct device *device)
{
	struct uapi_gunyah_run *page = device->run;

	advance(device, page->u.mmio.data);
	page->exit_reason = UAPI_GUNYAH_EXIT_MMIO;
	page->u.mmio.gpa = DEVICE_GPA;
	page->u.mmio.width = 8;
	page->u.mmio.is_write = device->access == STORE;
	return 0;
}

static int run_geniezone(struct device *device, uintptr_t arg)
{
	struct uapi_gzvm_run *run = (struct uapi_gzvm_run *)arg;

	advance(device, run->u.mmio.data);
	run->exit_reason = UAPI_GZVM_EXIT_MMIO;
	run->u.mmio.gpa = DEVICE_GPA;
	run->u.mmio.width = 8;
	run->u.mmio.is_write = device->access == STORE;
	return 0;
}

/* --- the other requests ------------------------------------------------------------------------------------------- */

static int new_file(size_t length)
{
	struct gh_sys *kernel = gh_sys_kernel();

	return kernel->memfd(kernel, "bench", length);
}

static int set_up_gunyah(unsigned long request, uintptr_t arg)
{
	switch (request) {
	case UAPI_GUNYAH_CREATE_VM:
		return new_file(0);
	case UAPI_GUNYAH_MMAP_SIZE:
		return 4096;
	case UAPI_GUNYAH_ADD_FUNCTION:
		return arg != 0 ? new_file(4096) : -EFAULT;
	case UAPI_GUNYAH_REMOVE_FUNCTION:
	case UAPI_GUNYAH_SET_USER_MEM:
	case UAPI_GUNYAH_SET_DTB:
	case UAPI_GUNYAH_START:
		return arg != 0 || request == UAPI_GUNYAH_START ? 0 : -EFAULT;
	default:
		return -ENOTTY;
	}
}

static int set_up_geniezone(unsigned long request, uintptr_t arg)
{
	switch (request) {
	case UAPI_GZVM_CHECK_EXTENSION:
		return arg != 0 ? 0 : -EINVAL;
	case UAPI_GZVM_CREATE_VM:
	case UAPI_GZVM_CREATE_VCPU:
		return new_file(0);
	case UAPI_GZVM_SET_USER_MEM:
	case UAPI_GZVM_CREATE_DEVICE:
	case UAPI_GZVM_SET_ONE_REG:
	case UAPI_GZVM_SET_DTB:
		return 0;
	default:
		return -ENOTTY;
	}
}

static int device_ioctl(struct gh_sys *sys, int fd, unsigned long request, uintptr_t arg)
{
	struct device *device = count(sys);

	(void)fd;
	if (device->layout == GUNYAH)
		return request == UAPI_GUNYAH_RUN ? run_gunyah(device) : set_up_gunyah(request, arg);
	return request == UAPI_GZVM_RUN ? run_geniezone(device, arg) : set_up_geniezone(request, arg);
}

static int device_enter(struct gh_sys *sys, int fd, unsigned long request, uintptr_t arg, const volatile uint32_t *cancel)
{
	return *cancel != 0 ? -ECANCELED : device_ioctl(sys, fd, request, arg);
}

/* --- everything else is the kernel's, and counted ------------------------------------------------------------------- */

static int device_open(struct gh_sys *sys, const char *path, int flags)
{
	(void)count(sys);
	if (strcmp(path, "/dev/bench") == 0)
		return new_file(0);
	return gh_sys_kernel()->open(gh_sys_kernel(), path, flags);
}

static int device_close(struct gh_sys *sys, int fd)
{
	(void)count(sys);
	return gh_sys_kernel()->close(gh_sys_kernel(), fd);
}

static int device_dup(struct gh_sys *sys, int fd, int lowest)
{
	(void)count(sys);
	return gh_sys_kernel()->dup(gh_sys_kernel(), fd, lowest);
}

static int device_eventfd(struct gh_sys *sys, unsigned int value, int flags)
{
	(void)count(sys);
	return gh_sys_kernel()->eventfd(gh_sys_kernel(), value, flags);
}

static int device_memfd(struct gh_sys *sys, const char *name, uint64_t length)
{
	(void)count(sys);
	return gh_sys_kernel()->memfd(gh_sys_kernel(), name, length);
}

static ssize_t device_read(struct gh_sys *sys, int fd, void *buffer, size_t length)
{
	(void)count(sys);
	return gh_sys_kernel()->read(gh_sys_kernel(), fd, buffer, length);
}

static ssize_t device_write(struct gh_sys *sys, int fd, const void *buffer, size_t length)
{
	(void)count(sys);
	return gh_sys_kernel()->write(gh_sys_kernel(), fd, buffer, length);
}

static int device_ppoll(struct gh_sys *sys, struct pollfd *fds, unsigned int n, const struct timespec *timeout)
{
	(void)count(sys);
	return gh_sys_kernel()->ppoll(gh_sys_kernel(), fds, n, timeout);
}

/* The one mapping of 4096 bytes is Gunyah's run page. */
static int device_mmap(struct gh_sys *sys, void *address, size_t length, int prot, int flags, int fd, void **ret_address)
{
	struct device *device = count(sys);
	int ret = gh_sys_kernel()->mmap(gh_sys_kernel(), address, length, prot, flags, fd, ret_address);

	if (ret == 0 && device->layout == GUNYAH && length == 4096 && fd >= 0)
		device->run = *ret_address;
	return ret;
}

static int device_sigprocmask(struct gh_sys *sys, int how, const sigset_t *set, sigset_t *ret_old)
{
	(void)count(sys);
	return gh_sys_kernel()->sigprocmask(gh_sys_kernel(), how, set, ret_old);
}

static int device_gettid(struct gh_sys *sys)
{
	(void)count(sys);
	return gh_sys_kernel()->gettid(gh_sys_kernel());
}

static int device_tgkill(struct gh_sys *sys, int pid, int tid, int signal)
{
	(void)count(sys);
	return gh_sys_kernel()->tgkill(gh_sys_kernel(), pid, tid, signal);
}

/* What is left as the kernel's table has it is never called by a run: sigaction(), getpid(), munmap(), limits, advice. */
void device_init(struct device *device, enum layout layout)
{
	memset(device, 0, sizeof(*device));
	device->sys = *gh_sys_kernel();
	device->layout = layout;
	device->sys.open = device_open;
	device->sys.close = device_close;
	device->sys.dup = device_dup;
	device->sys.ioctl = device_ioctl;
	device->sys.enter = device_enter;
	device->sys.eventfd = device_eventfd;
	device->sys.memfd = device_memfd;
	device->sys.read = device_read;
	device->sys.write = device_write;
	device->sys.ppoll = device_ppoll;
	device->sys.mmap = device_mmap;
	device->sys.sigprocmask = device_sigprocmask;
	device->sys.gettid = device_gettid;
	device->sys.tgkill = device_tgkill;
}
