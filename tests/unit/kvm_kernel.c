/* SPDX-License-Identifier: BSD-3-Clause */
#include "kvm_kernel.h"

#include <check.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

static bool fails(struct kvm_kernel *kernel)
{
	return kernel->calls_left >= 0 && kernel->calls_left-- == 0;
}

static void record(struct kvm_kernel *kernel, unsigned long request, uintptr_t argument)
{
	struct kvm_call *call = &kernel->calls[kernel->count++ % KVM_KERNEL_CALLS];
	size_t size = request >> 16 & 0x3fff;

	memset(call, 0, sizeof(*call));
	call->request = request;
	call->plain = argument;
	if (request == UAPI_KVM_SET_SIGNAL_MASK)
		size = sizeof(struct uapi_kvm_signal_mask);
	if (size > 0 && argument != 0)
		memcpy(call->argument, (const void *)argument,
		       size < sizeof(call->argument) ? size : sizeof(call->argument));
}

static int new_descriptor(struct kvm_kernel *kernel)
{
	kernel->open++;
	return 100 + (int)kernel->count;
}

static int check_extension(const struct kvm_kernel *kernel, uintptr_t cap)
{
	switch (cap) {
	case UAPI_KVM_CAP_ARM_PSCI_0_2:
		return kernel->psci;
	case UAPI_KVM_CAP_IMMEDIATE_EXIT:
		return !kernel->no_immediate_exit;
	case UAPI_KVM_CAP_ARM_VM_IPA_SIZE:
		return kernel->ipa_bits;
	case UAPI_KVM_CAP_ARM_INJECT_EXT_DABT:
		return !kernel->no_abort;
	case UAPI_KVM_CAP_MAX_VCPUS:
		return 512;
	case UAPI_KVM_CAP_NR_MEMSLOTS:
		return 32767;
	case UAPI_KVM_CAP_IRQFD:
	case UAPI_KVM_CAP_IOEVENTFD:
	case UAPI_KVM_CAP_READONLY_MEM:
		return 1;
	default:
		return 0;
	}
}

static int run(struct kvm_kernel *kernel)
{
	unsigned int turn = kernel->runs++;

	if (kernel->run_reasons[turn] != 0)
		kernel->page.run.exit_reason = kernel->run_reasons[turn];
	return kernel->run_results[turn];
}

static int mock_ioctl(struct gh_sys *sys, int fd, unsigned long request, uintptr_t argument)
{
	struct kvm_kernel *kernel = (struct kvm_kernel *)sys;

	(void)fd;
	if (fails(kernel))
		return kernel->error;
	record(kernel, request, argument);
	switch (request) {
	case UAPI_KVM_GET_API_VERSION:
		return kernel->version;
	case UAPI_KVM_CHECK_EXTENSION:
		return check_extension(kernel, argument);
	case UAPI_KVM_GET_VCPU_MMAP_SIZE:
		return kernel->page_size;
	case UAPI_KVM_CREATE_VM:
	case UAPI_KVM_CREATE_VCPU:
		return new_descriptor(kernel);
	case UAPI_KVM_CREATE_DEVICE: {
		struct uapi_kvm_create_device *device = (struct uapi_kvm_create_device *)argument;

		if (device->flags == 0)
			device->fd = (uint32_t)new_descriptor(kernel);
		return 0;
	}
	case UAPI_KVM_RUN:
		return run(kernel);
	default:
		return 0;
	}
}

static int mock_enter(struct gh_sys *sys, int fd, unsigned long request, uintptr_t argument,
		      const volatile uint32_t *cancel)
{
	return *cancel != 0 ? -ECANCELED : mock_ioctl(sys, fd, request, argument);
}

static int mock_close(struct gh_sys *sys, int fd)
{
	struct kvm_kernel *kernel = (struct kvm_kernel *)sys;

	ck_assert_int_ge(fd, 100);
	ck_assert_uint_gt(kernel->open, 0);
	kernel->open--;
	return 0;
}

static int mock_eventfd(struct gh_sys *sys, unsigned int count, int flags)
{
	struct kvm_kernel *kernel = (struct kvm_kernel *)sys;

	(void)flags;
	ck_assert_uint_eq(count, 0);
	if (fails(kernel))
		return kernel->error;
	record(kernel, 0, 0);
	return new_descriptor(kernel);
}

static int mock_mmap(struct gh_sys *sys, void *address, size_t length, int prot, int flags, int fd, void **ret_address)
{
	struct kvm_kernel *kernel = (struct kvm_kernel *)sys;

	ck_assert_ptr_null(address);
	ck_assert_int_ge(fd, 100);
	ck_assert_int_eq(prot, PROT_READ | PROT_WRITE);
	ck_assert_int_eq(flags, MAP_SHARED);
	if (fails(kernel))
		return kernel->error;
	ck_assert_uint_eq(length, sizeof(kernel->page));
	kernel->mapped++;
	*ret_address = &kernel->page;
	return 0;
}

static int mock_munmap(struct gh_sys *sys, void *address, size_t length)
{
	struct kvm_kernel *kernel = (struct kvm_kernel *)sys;

	ck_assert_ptr_eq(address, &kernel->page);
	ck_assert_uint_eq(length, sizeof(kernel->page));
	kernel->mapped--;
	return 0;
}

void kvm_kernel_init(struct kvm_kernel *kernel)
{
	memset(kernel, 0, sizeof(*kernel));
	kernel->sys.ioctl = mock_ioctl;
	kernel->sys.enter = mock_enter;
	kernel->sys.close = mock_close;
	kernel->sys.eventfd = mock_eventfd;
	kernel->sys.mmap = mock_mmap;
	kernel->sys.munmap = mock_munmap;
	kernel->version = UAPI_KVM_API_VERSION;
	kernel->psci = 1;
	kernel->ipa_bits = 48;
	kernel->page_size = sizeof(kernel->page);
	kernel->calls_left = -1;
	kernel->error = -ENOMEM;
}
