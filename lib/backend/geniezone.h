/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the GenieZone backend's files share. GenieZone and Halla speak one language in two sets of numbers, so the files serve
 * both, each with its table.
 */
#ifndef GH_BACKEND_GENIEZONE_H
#define GH_BACKEND_GENIEZONE_H

#include "../backend.h"
#include "../exit.h"
#include "../uapi/gzvm.h"
#include "../uapi/halla.h"

enum gh_gz_request {
	GH_GZ_CREATE_VM,
	GH_GZ_CHECK_EXTENSION,
	GH_GZ_CREATE_VCPU,
	GH_GZ_SET_USER_MEM,
	GH_GZ_IRQ_LINE,
	GH_GZ_IRQFD,
	GH_GZ_IOEVENTFD,
	GH_GZ_ENABLE_CAP,
	GH_GZ_CREATE_DEVICE,
	GH_GZ_SET_DTB,
	GH_GZ_GET_ONE_REG,
	GH_GZ_SET_ONE_REG,
	GH_GZ_REQUESTS,
};

struct gh_gz_abi {
	unsigned long requests[GH_GZ_REQUESTS];
	const char *enable_cap; /* for failures; the others' names are with their diagnoses */
	uint64_t gpa_size;      /* capabilities */
	uint64_t protected_vm;
	uint32_t max_vcpus;
	bool has_vm_types; /* CREATE_VM wants to know how wide addresses are, and whether the VM is protected */
	/* GenieZone's code of an exit for this one's; 0: none is like it. NULL: it is GenieZone's. */
	uint32_t (*own_code)(uint32_t code);
};

extern const struct gh_gz_abi gh_gz_geniezone;
extern const struct gh_gz_abi gh_gz_halla;

static inline const struct gh_gz_abi *gh_gz_abi(const struct gh_bvm *vm)
{
	return vm->ops == &gh_backend_halla ? &gh_gz_halla : &gh_gz_geniezone;
}

/* The argument of CREATE_VM. */
static inline uintptr_t gh_gz_vm_type(const struct gh_gz_abi *abi, uint32_t gpa_bits, bool is_protected)
{
	if (!abi->has_vm_types)
		return 0;
	return (gpa_bits & UAPI_HALLA_VM_GPA_BITS) | (is_protected ? UAPI_HALLA_VM_PROTECTED : 0);
}

/* geniezone_probe.c */
#define GH_GZ_POSSIBLE                                                                                                     \
	(GH_FEATURE_SHARE | GH_FEATURE_REGISTERS | GH_FEATURE_IRQFD | GH_FEATURE_IRQFD_LEVEL | GH_FEATURE_IRQFD_RESAMPLE | \
	 GH_FEATURE_IOEVENTFD | GH_FEATURE_DATAMATCH | GH_FEATURE_HYPERCALL | GH_FEATURE_PAGE_FAULT |                      \
	 GH_FEATURE_IRQ_LINE | GH_FEATURE_PROTECTED_VM | GH_FEATURE_FIRMWARE | GH_FEATURE_BARE_PROTECTION)
int gh_geniezone_probe(struct gh_sys *sys, int dev, struct gh_caps *ret_caps, struct gh_failure *failure);
int gh_halla_probe(struct gh_sys *sys, int dev, struct gh_caps *ret_caps, struct gh_failure *failure);

/* geniezone_protect.c: what a region is for; the firmware's place; and at the start, before the vCPUs. */
uint32_t gh_gz_purpose(const struct gh_bvm *vm, const struct gh_region *region);
int gh_gz_vm_check(struct gh_bvm *vm);
int gh_gz_protect(struct gh_bvm *vm);

/* geniezone_vcpu.c: slots of the backends. */
int gh_gz_vcpu_create(struct gh_bvcpu *vcpu);
void gh_gz_vcpu_destroy(struct gh_bvcpu *vcpu);
int gh_gz_vcpu_set_register(struct gh_bvcpu *vcpu, uint32_t reg, uint64_t value);
void gh_gz_vcpu_answer_hypercall(struct gh_bvcpu *vcpu, const uint64_t results[4]);
int gh_geniezone_vcpu_run(struct gh_bvcpu *vcpu);
int gh_halla_vcpu_run(struct gh_bvcpu *vcpu);

/*
 * geniezone_exit.c: what the run buffer says, checked; `code` is GenieZone's for its exit reason. -EAGAIN: an exit that is
 * none of a VMM's business.
 */
int gh_geniezone_decode_as(const struct uapi_gzvm_run *run, uint32_t code, struct gh_exit *exit);

static inline int gh_geniezone_decode(const struct uapi_gzvm_run *run, struct gh_exit *exit)
{
	return gh_geniezone_decode_as(run, run->exit_reason, exit);
}

/* The same for the most frequent reason. */
static inline int gh_geniezone_decode_mmio(const struct uapi_gzvm_run *run, struct gh_exit *exit)
{
	exit->raw_reason = run->exit_reason;
	/* Two ways, each with a constant: shorter than one that asks again. */
	if (run->u.mmio.is_write == 0)
		return gh_exit_set_mmio(exit, run->u.mmio.gpa, run->u.mmio.width, false, run->u.mmio.data);
	if (run->u.mmio.is_write == 1)
		return gh_exit_set_mmio(exit, run->u.mmio.gpa, run->u.mmio.width, true, run->u.mmio.data);
	return -EPROTO;
}

/* geniezone_sandbox.c */
extern const struct gh_needs gh_geniezone_needs;
extern const struct gh_needs gh_halla_needs;

/* One mapping of this process, as /proc/self/maps tells. */
struct gh_vma {
	uintptr_t start;
	uintptr_t end;
	bool readable;
	bool writable;
	bool shared;
};

/* The mapping that `address` is in; -ENOENT: none, -EOPNOTSUPP: there is no /proc here. */
int gh_vma_find(struct gh_sys *sys, const void *address, struct gh_vma *ret_vma);

#endif
