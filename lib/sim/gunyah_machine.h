/* SPDX-License-Identifier: BSD-3-Clause */
/* What all VMs of one machine share: the hypervisor's numbers, and the areas of contiguous memory. */
#ifndef GH_SIM_GUNYAH_MACHINE_H
#define GH_SIM_GUNYAH_MACHINE_H

#include "sim.h"

#include <assert.h>
#include <stdatomic.h>

/* Numbers that the resource manager gives to VMs. */
#define GUNYAH_VMID_FIRST 0x21u
#define GUNYAH_VMIDS 31u

struct gunyah_machine {
	_Atomic uint32_t vmids; /* a bit for each number that is taken */
	_Atomic uint32_t areas; /* a bit for each device whose area is allocated */
};

static_assert(sizeof(struct gunyah_machine) <= SIM_MACHINE_STATE, "the machine has room for it");

static inline struct gunyah_machine *gunyah_machine(struct gh_sim *sim)
{
	return sim_machine_state(sim);
}

#endif
