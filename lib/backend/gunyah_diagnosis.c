/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What failures of Gunyah's requests mean (sections 2.2, 3.3 and 4 of the Gunyah UAPI document). START hands on errors of the
 * resource manager, of which several become one errno.
 */
#include "../diagnosis.h"

#include <errno.h>

#define R(name) GH_REQUEST_##name
#define C(name) GH_CAUSE_##name
#define W(name) GH_WHEN_##name

static const char *const names[GH_REQUESTS] = {
	[R(CREATE_VM)] = "GH_CREATE_VM (0x4700)",
	[R(MAP)] = "GH_VM_SET_USER_MEM_REGION (0x40204701)",
	[R(LEND)] = "GH_VM_ANDROID_LEND_USER_MEM (0x40204111)",
	[R(SET_DTB)] = "GH_VM_SET_DTB_CONFIG (0x40104702)",
	[R(START)] = "GH_VM_START (0x4703)",
	[R(ADD_VCPU)] = "GH_VM_ADD_FUNCTION vcpu (0x40104704)",
	[R(RUN_PAGE)] = "GH_VCPU_MMAP_SIZE (0x4706)",
	[R(RUN)] = "GH_VCPU_RUN (0x4705)",
	[R(FAULT)] = "GH_VCPU_RUN (0x4705)",
	[R(IRQFD)] = "GH_VM_ADD_FUNCTION irqfd (0x40104704)",
	[R(IOEVENTFD)] = "GH_VM_ADD_FUNCTION ioeventfd (0x40104704)",
	[R(SET_REGISTER)] = "GH_VM_SET_BOOT_CONTEXT (0x4010470a)",
	[R(CREATE_FILE)] = "GUNYAH_CREATE_GUEST_MEM (0x40404708)",
	[R(MAP_FILE)] = "GUNYAH_VM_MAP_MEM (0x40204709)",
	[R(MAP_CONTIGUOUS)] = "GH_VM_ANDROID_MAP_CMA_MEM (0x40284115)",
	[R(UNMAP)] = "GH_VM_SET_USER_MEM_REGION (0x40204701)",
	[R(RECLAIM)] = "GH_VM_RECLAIM_REGION (0x40104113)",
	[R(SET_FIRMWARE)] = "GH_VM_ANDROID_SET_FW_CONFIG (0x40104112)",
	[R(SET_AUTHENTICATION)] = "GH_VM_ANDROID_SET_AUTH_TYPE (0x40104116)",
};

static const struct gh_other_name other_names[] = {
	{ R(ADD_VCPU), GH_QUIRK_NAMED_FUNCTIONS, "GH_VM_ADD_FUNCTION vcpu (0x44204704)" },
	{ R(IRQFD), GH_QUIRK_NAMED_FUNCTIONS, "GH_VM_ADD_FUNCTION irqfd (0x44204704)" },
	{ R(IOEVENTFD), GH_QUIRK_NAMED_FUNCTIONS, "GH_VM_ADD_FUNCTION ioeventfd (0x44204704)" },
	{ R(UNMAP), GH_QUIRK_OWN_FILES_ONLY, "GUNYAH_VM_MAP_MEM (0x40204709)" },
};

static const struct gh_diagnosis rows[] = {
	{ R(CREATE_VM), 0, -EINVAL, C(VENDOR_DIALECT), C(NONE) },
	{ R(CREATE_VM), 0, -ENODEV, C(NO_VM_IDS), C(NONE) },
	{ R(CREATE_VM), 0, -ENOMEM, C(MEMORY), C(NO_VM_IDS) },
	{ R(CREATE_VM), 0, -EACCES, C(SELINUX), C(HYPERVISOR_REFUSED) },

	/* The driver compares the memory's owner with the caller first. */
	{ R(MAP), 0, -EPERM, C(OTHER_PROCESS), C(NONE) },
	{ R(MAP), W(LOCK_LIMIT) | W(LARGE), -ENOMEM, C(LOCK_LIMIT), C(LARGE_REGION) },
	{ R(MAP), W(LOCK_LIMIT), -ENOMEM, C(LOCK_LIMIT), C(NONE) },
	{ R(MAP), W(LARGE), -ENOMEM, C(LARGE_REGION), C(MEMORY) },
	{ R(MAP), 0, -ENOMEM, C(MEMORY), C(FRAGMENTED) },
	{ R(MAP), 0, -EFAULT, C(UNPINNABLE), C(FRAGMENTED) },
	{ R(MAP), 0, -EAGAIN, C(FRAGMENTED), C(NONE) },
	{ R(MAP), 0, -EBUSY, C(FRAGMENTED), C(NONE) },
	{ R(LEND), 0, -EPERM, C(OTHER_PROCESS), C(NONE) },
	{ R(LEND), W(LOCK_LIMIT) | W(LARGE), -ENOMEM, C(LOCK_LIMIT), C(LARGE_REGION) },
	{ R(LEND), W(LOCK_LIMIT), -ENOMEM, C(LOCK_LIMIT), C(NONE) },
	{ R(LEND), W(LARGE), -ENOMEM, C(LARGE_REGION), C(MEMORY) },
	{ R(LEND), 0, -ENOMEM, C(MEMORY), C(FRAGMENTED) },
	{ R(LEND), 0, -EFAULT, C(UNPINNABLE), C(FRAGMENTED) },
	{ R(LEND), 0, -EAGAIN, C(FRAGMENTED), C(NONE) },
	{ R(LEND), 0, -EBUSY, C(FRAGMENTED), C(NONE) },

	/* Lending, which is what the kernel does by default, unmaps single pages of its own. */
	{ R(MAP_FILE), W(LEND), -EINVAL, C(RODATA), C(ARGUMENT) },
	{ R(MAP_FILE), 0, -EPERM, C(HOST_MAPPING), C(NONE) },
	{ R(MAP_CONTIGUOUS), 0, -ENOMEM, C(FRAGMENTED), C(MEMORY) },
	{ R(MAP_CONTIGUOUS), 0, -EBUSY, C(TAKEN), C(NONE) },
	{ R(RECLAIM), 0, -EBUSY, C(HYPERVISOR_BUSY), C(HYPERVISOR_MEMORY) },
	{ R(RECLAIM), 0, -EAGAIN, C(HYPERVISOR_BUSY), C(HYPERVISOR_MEMORY) },
	{ R(SET_AUTHENTICATION), 0, -ENOENT, C(UNSUPPORTED), C(NONE) },
	{ R(SET_REGISTER), 0, -EINVAL, C(REGISTER), C(STATE) },

	/* No resource: a shared image on a product, cpus, what VM_INIT does not like in the tree, VM ids. */
	{ R(START), W(MANY_CPUS) | W(SHARED_MAIN), -ENODEV, C(TOO_MANY_CPUS), C(UNPROTECTED) },
	{ R(START), W(MANY_CPUS), -ENODEV, C(TOO_MANY_CPUS), C(TREE_REFUSED) },
	{ R(START), W(SHARED_MAIN), -ENODEV, C(UNPROTECTED), C(TREE_REFUSED) },
	{ R(START), 0, -ENODEV, C(TREE_REFUSED), C(NO_VM_IDS) },
	{ R(START), 0, -EINVAL, C(TREE_REFUSED), C(TREE_PLACE) },
	{ R(START), 0, -ENOENT, C(TREE_PLACE), C(NONE) },
	{ R(START), W(LOCK_LIMIT), -ENOMEM, C(LOCK_LIMIT), C(HYPERVISOR_MEMORY) },
	{ R(START), 0, -ENOMEM, C(HYPERVISOR_MEMORY), C(NO_VM_IDS) },
	{ R(START), W(FIRMWARE), -EPERM, C(FIRMWARE), C(DENIED) },
	{ R(START), W(GUEST_FILES), -EPERM, C(HOST_MAPPING), C(DENIED) },
	{ R(START), 0, -EPERM, C(DENIED), C(NONE) },
	{ R(START), 0, -EFAULT, C(UNPINNABLE), C(FRAGMENTED) },
	{ R(START), 0, -EBADMSG, C(RM_UNKNOWN), C(HYPERVISOR_OLD) },
	{ R(START), 0, -EOPNOTSUPP, C(HYPERVISOR_OLD), C(NONE) },
	{ R(START), 0, -EACCES, C(HYPERVISOR_REFUSED), C(SELINUX) },
	{ R(START), 0, -EIO, C(HYPERVISOR_REFUSED), C(NONE) },

	{ R(ADD_VCPU), 0, -EOPNOTSUPP, C(NO_PROXY_VCPUS), C(NONE) },
	{ R(ADD_VCPU), 0, -ENOENT, C(MODULE_MISSING), C(NONE) },

	/* No resource for the vCPU: its cpu node is missing, or the VM has none any more. */
	{ R(RUN), 0, -ENODEV, C(VCPU_NOT_IN_TREE), C(VM_SPENT) },
	{ R(RUN), 0, -EPERM, C(OTHER_PROCESS), C(NONE) },
	{ R(RUN), W(LOCK_LIMIT), -ENOMEM, C(LOCK_LIMIT), C(HYPERVISOR_MEMORY) },
	{ R(RUN), 0, -ENOMEM, C(HYPERVISOR_MEMORY), C(FRAGMENTED) },
	{ R(RUN), 0, -EFAULT, C(UNPINNABLE), C(FRAGMENTED) },
	{ R(RUN), 0, -EINVAL, C(HYPERVISOR_REFUSED), C(NONE) },
	{ R(RUN), 0, -EACCES, C(HYPERVISOR_REFUSED), C(NONE) },

	{ R(FAULT), 0, -ENOENT, C(UNBACKED), C(NONE) },
	{ R(FAULT), W(GUEST_FILES), -EPERM, C(HOST_MAPPING), C(UNBACKED) },
	{ R(FAULT), 0, -EPERM, C(UNBACKED), C(HOST_MAPPING) },
	{ R(FAULT), W(LOCK_LIMIT), -ENOMEM, C(LOCK_LIMIT), C(HYPERVISOR_MEMORY) },
	{ R(FAULT), 0, -ENOMEM, C(HYPERVISOR_MEMORY), C(FRAGMENTED) },
	{ R(FAULT), 0, -EFAULT, C(UNPINNABLE), C(FRAGMENTED) },
	{ R(FAULT), 0, 0, C(HYPERVISOR_REFUSED), C(UNBACKED) },

	{ R(IRQFD), 0, -ENOENT, C(MODULE_MISSING), C(NONE) },
	{ R(IRQFD), 0, -EBADF, C(NOT_EVENTFD), C(NONE) },
	{ R(IRQFD), 0, -EINVAL, C(NOT_EVENTFD), C(NONE) },
	/* What else is wrong with a doorbell, the library does itself (ioevent.c). */
	{ R(IOEVENTFD), 0, -EBADF, C(NOT_EVENTFD), C(NONE) },
};

const struct gh_diagnoses gh_gunyah_diagnoses = { .names = names,
						  .other_names = other_names,
						  .n_other_names = sizeof(other_names) / sizeof(other_names[0]),
						  .rows = rows,
						  .n_rows = sizeof(rows) / sizeof(rows[0]) };
