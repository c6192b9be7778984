/* SPDX-License-Identifier: BSD-3-Clause */
/* Gunyah: requests of a VM that has been started, in each dialect. */
#include "gunyah.h"

#include "../sandbox.h"

#define CHANGE GH_PHASE_CHANGE
#define NEED(request, name, why) GH_NEED_IOCTL(UAPI_GUNYAH_##request, name, why)

#define ADD_FUNCTION "GH_VM_ADD_FUNCTION"
#define ADDS "add an irqfd, a doorbell, a vCPU"

static const struct gh_need rows[] = {
	{ NEED(RUN, "GH_VCPU_RUN", "run a vCPU"), .phases = GH_PHASE_RUN },
	{ NEED(START, "GH_VM_START", "ask whether the VM has ended, which this kernel does not say"),
	  .phases = GH_PHASE_RUN, .quirks = GH_QUIRK_NO_END_EXIT },
	{ NEED(ADD_FUNCTION, ADD_FUNCTION, ADDS), .phases = CHANGE, .no_quirks = GH_QUIRK_NAMED_FUNCTIONS },
	{ NEED(ADD_NAMED_FUNCTION, ADD_FUNCTION, ADDS), .phases = CHANGE, .quirks = GH_QUIRK_NAMED_FUNCTIONS },
	{ NEED(REMOVE_FUNCTION, "GH_VM_REMOVE_FUNCTION", "remove it"), .phases = CHANGE | GH_PHASE_END,
	  .no_quirks = GH_QUIRK_KEEPS_FUNCTIONS },
	{ NEED(MMAP_SIZE, "GH_VCPU_MMAP_SIZE", "map the page of a vCPU that is added"), .phases = CHANGE,
	  .features = GH_FEATURE_LATE_VCPUS },
	{ NEED(SET_USER_MEM, "GH_VM_SET_USER_MEM_REGION", "share more memory"), .phases = CHANGE,
	  .features = GH_FEATURE_LATE_MEMORY, .no_quirks = GH_QUIRK_OWN_FILES_ONLY },
	{ NEED(LEND_USER_MEM, "GH_VM_ANDROID_LEND_USER_MEM", "lend more memory"), .phases = CHANGE,
	  .features = GH_FEATURE_LATE_MEMORY | GH_FEATURE_LEND,
	  .no_quirks = GH_QUIRK_OWN_FILES_ONLY | GH_QUIRK_LENDS_BY_FLAG },
	{ NEED(CREATE_GUEST_MEM, "GUNYAH_CREATE_GUEST_MEM", "make a file of more memory"), .phases = CHANGE,
	  .features = GH_FEATURE_LATE_MEMORY, .quirks = GH_QUIRK_OWN_FILES_ONLY },
	{ NEED(MAP_MEM, "GUNYAH_VM_MAP_MEM", "map more memory, and take memory away"), .phases = CHANGE,
	  .quirks = GH_QUIRK_OWN_FILES_ONLY },
	{ NEED(CREATE_CMA_MEM, "GH_ANDROID_CREATE_CMA_MEM_FD", "make a file of more contiguous memory"), .phases = CHANGE,
	  .features = GH_FEATURE_LATE_MEMORY | GH_FEATURE_CONTIGUOUS_MEMORY },
	{ NEED(MAP_CMA, "GH_VM_ANDROID_MAP_CMA_MEM", "map more contiguous memory"), .phases = CHANGE,
	  .features = GH_FEATURE_LATE_MEMORY | GH_FEATURE_CONTIGUOUS_MEMORY },
	{ NEED(RECLAIM, "GH_VM_RECLAIM_REGION", "take back what the guest gives back"), .phases = CHANGE,
	  .features = GH_FEATURE_RECLAIM },
};

const struct gh_needs gh_gunyah_needs = GH_NEEDS(rows);
