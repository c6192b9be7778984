/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What failures of GenieZone's requests mean (sections 1.4, 3 and 4 of the GenieZone UAPI document). Many errors of the
 * hypervisor become EINVAL or EFAULT, as do mistakes that the driver finds itself: the library has checked for those before.
 */
#include "../diagnosis.h"

#include <errno.h>

#define R(name) GH_REQUEST_##name
#define C(name) GH_CAUSE_##name

static const char *const names[GH_REQUESTS] = {
	[R(CREATE_VM)] = "GZVM_CREATE_VM (0x9201)",
	[R(MAP)] = "GZVM_SET_USER_MEMORY_REGION (0x40209246)",
	[R(INTERRUPT_CONTROLLER)] = "GZVM_CREATE_DEVICE (0xc03092e0)",
	[R(SET_DTB)] = "GZVM_SET_DTB_CONFIG (0x401092ff)",
	[R(ADD_VCPU)] = "GZVM_CREATE_VCPU (0x9241)",
	[R(SET_REGISTER)] = "GZVM_SET_ONE_REG (0x401092ac)",
	[R(RUN)] = "GZVM_RUN (0x9280)",
	[R(FAULT)] = "GZVM_RUN (0x9280)",
	[R(IRQFD)] = "GZVM_IRQFD (0x40209276)",
	[R(IRQ_LINE)] = "GZVM_IRQ_LINE (0x40089261)",
	[R(IOEVENTFD)] = "GZVM_IOEVENTFD (0x40409279)",
};

static const char *const halla_names[GH_REQUESTS] = {
	[R(CREATE_VM)] = "HALLA_CREATE_VM (0x4c01)",
	[R(MAP)] = "HALLA_SET_USER_MEMORY_REGION (0x40204c41)",
	[R(INTERRUPT_CONTROLLER)] = "HALLA_CREATE_DEVICE (0xc0304c80)",
	[R(SET_DTB)] = "HALLA_SET_DTB_CONFIG (0x40104c04)",
	[R(ADD_VCPU)] = "HALLA_CREATE_VCPU (0x4c20)",
	[R(SET_REGISTER)] = "HALLA_SET_ONE_REG (0x40104c29)",
	[R(RUN)] = "HALLA_VCPU_RUN (0x4c21)",
	[R(FAULT)] = "HALLA_VCPU_RUN (0x4c21)",
	[R(IRQFD)] = "HALLA_IRQFD (0x40204c61)",
	[R(IRQ_LINE)] = "HALLA_IRQ_LINE (0x40084c62)",
	[R(IOEVENTFD)] = "HALLA_IOEVENTFD (0x40404ca0)",
};

static const struct gh_diagnosis rows[] = {
	{ R(CREATE_VM), 0, -ENOMEM, C(HYPERVISOR_MEMORY), C(MEMORY) },
	{ R(CREATE_VM), 0, -EINVAL, C(HYPERVISOR_REFUSED), C(NONE) },
	{ R(CREATE_VM), 0, -EFAULT, C(HYPERVISOR_REFUSED), C(NONE) }, /* the oldest driver: whatever it was */
	{ R(CREATE_VM), 0, -EOPNOTSUPP, C(HYPERVISOR_OLD), C(NONE) },
	{ R(CREATE_VM), 0, -EACCES, C(SELINUX), C(NONE) },

	{ R(MAP), 0, -EINVAL, C(NOT_WHOLE_MAPPING), C(NONE) },
	{ R(MAP), 0, -EFAULT, C(UNPINNABLE), C(HYPERVISOR_REFUSED) },
	{ R(MAP), 0, -ENXIO, C(NO_ROOM), C(NONE) },
	{ R(MAP), 0, -ENOMEM, C(MEMORY), C(HYPERVISOR_MEMORY) },

	{ R(INTERRUPT_CONTROLLER), 0, -ENOMEM, C(HYPERVISOR_MEMORY), C(MEMORY) },
	{ R(INTERRUPT_CONTROLLER), 0, -EINVAL, C(INTERRUPT_CONTROLLER), C(NONE) },
	{ R(INTERRUPT_CONTROLLER), 0, -EFAULT, C(INTERRUPT_CONTROLLER), C(NONE) },
	{ R(INTERRUPT_CONTROLLER), 0, -EOPNOTSUPP, C(INTERRUPT_CONTROLLER), C(HYPERVISOR_OLD) },

	{ R(SET_DTB), 0, -EINVAL, C(HYPERVISOR_REFUSED), C(NONE) },
	{ R(SET_DTB), 0, -EFAULT, C(HYPERVISOR_REFUSED), C(NONE) },

	{ R(ADD_VCPU), 0, -EINVAL, C(TOO_MANY_CPUS), C(HYPERVISOR_REFUSED) },
	{ R(ADD_VCPU), 0, -ENOMEM, C(HYPERVISOR_MEMORY), C(MEMORY) },

	{ R(SET_REGISTER), 0, -EPERM, C(REGISTER), C(NONE) },
	{ R(SET_REGISTER), 0, -EINVAL, C(REGISTER), C(NONE) },
	{ R(SET_REGISTER), 0, -EOPNOTSUPP, C(REGISTER), C(HYPERVISOR_OLD) },

	{ R(RUN), 0, -EINVAL, C(HYPERVISOR_REFUSED), C(NONE) },
	{ R(FAULT), 0, 0, C(UNBACKED), C(HYPERVISOR_REFUSED) },

	{ R(IRQFD), 0, -EBUSY, C(TAKEN), C(NONE) },
	{ R(IRQFD), 0, -EBADF, C(NOT_EVENTFD), C(NONE) },
	{ R(IRQFD), 0, -EINVAL, C(NOT_EVENTFD), C(NONE) },
	{ R(IRQ_LINE), 0, -EFAULT, C(RANGE), C(HYPERVISOR_REFUSED) },
	{ R(IOEVENTFD), 0, -EBADF, C(NOT_EVENTFD), C(NONE) },

	/* The newest drivers answer everybody but the process that made the VM so. */
	{ R(ANY), 0, -EIO, C(OTHER_PROCESS), C(NONE) },
};

const struct gh_diagnoses gh_geniezone_diagnoses = { .names = names,
						     .rows = rows,
						     .n_rows = sizeof(rows) / sizeof(rows[0]) };

/* A near-clone, with numbers of its own. */
const struct gh_diagnoses gh_halla_diagnoses = {
	.names = halla_names,
	.rows = rows,
	.n_rows = sizeof(rows) / sizeof(rows[0]),
};
