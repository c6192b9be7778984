/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the interrupt controller is: the same rule for the devicetree and for hypervisors that want to be told. */
#include "internal.h"

#include <errno.h>

static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

int gh_gic_place(struct gh_vm *vm, const char *step, uint32_t n_cpus, uint64_t *ret_redistributors)
{
	const struct gh_bvm *b = &vm->b;
	uint64_t size = (uint64_t)n_cpus * GH_GIC_REDISTRIBUTOR_SIZE;
	uint64_t top = UINT64_C(1) << (b->caps.gpa_bits < 63 ? b->caps.gpa_bits : 63);
	uint64_t redistributors = b->gic_redistributors;

	if (redistributors == 0)
		redistributors = b->gic_distributor >= size ? b->gic_distributor - size : UINT64_MAX;
	if (redistributors > top - size || b->gic_distributor > top - GH_GIC_DISTRIBUTOR_SIZE)
		return gh_fail_argument(&vm->failure, -ERANGE, step,
					"The interrupt controller does not fit into the guest's address space there.");
	if (overlap(b->gic_distributor, GH_GIC_DISTRIBUTOR_SIZE, redistributors, size))
		return gh_fail_argument(&vm->failure, -EEXIST, step,
					"The interrupt controller's distributor and redistributors overlap.");
	for (uint32_t i = 0; i < b->n_regions; i++)
		if (gh_gic_overlaps(b, redistributors, n_cpus, b->regions[i]->gpa, b->regions[i]->length))
			return gh_fail_argument(&vm->failure, -EEXIST, step,
						"The interrupt controller overlaps memory of the guest.");
	*ret_redistributors = redistributors;
	return 0;
}

bool gh_gic_overlaps(const struct gh_bvm *vm, uint64_t redistributors, uint32_t n_cpus, uint64_t gpa, uint64_t length)
{
	return overlap(vm->gic_distributor, GH_GIC_DISTRIBUTOR_SIZE, gpa, length) ||
	       overlap(redistributors, (uint64_t)n_cpus * GH_GIC_REDISTRIBUTOR_SIZE, gpa, length);
}
