/* SPDX-License-Identifier: BSD-3-Clause */
/* A kernel with KVM, played by the test: it records what it is asked, and says what the test wants. */
#ifndef TESTS_UNIT_KVM_KERNEL_H
#define TESTS_UNIT_KVM_KERNEL_H

#include "sys.h"
#include "uapi/kvm.h"

#define KVM_KERNEL_CALLS 64

struct kvm_call {
	unsigned long request;
	uint8_t argument[96]; /* as it came in */
	uintptr_t plain;
};

struct kvm_kernel {
	struct gh_sys sys; /* first */
	int version;
	int psci;
	int ipa_bits;
	int no_immediate_exit;
	int no_abort;
	int page_size;
	int calls_left; /* the call after that many fails; negative: none does */
	int error;
	int run_results[8]; /* of successive RUNs; the run page's exit reason where 0 */
	uint32_t run_reasons[8];
	unsigned int runs;
	unsigned int open; /* descriptors */
	unsigned int mapped;
	unsigned int count;
	struct kvm_call calls[KVM_KERNEL_CALLS];
	union {
		struct uapi_kvm_run run;
		uint8_t bytes[4096];
	} page;
};

/* A sound one. */
void kvm_kernel_init(struct kvm_kernel *kernel);

#endif
