/* SPDX-License-Identifier: BSD-3-Clause */
/* Guest memory for the host: where it is, and what is in it; only what it may touch. */
#include "internal.h"

#include <errno.h>
#include <string.h>

#define STEP "access guest memory"

const struct gh_region *gh_region_find(const struct gh_bvm *vm, uint64_t gpa, uint64_t length)
{
	for (uint32_t i = 0; i < vm->n_regions; i++) {
		const struct gh_region *region = vm->regions[i];

		if (gpa >= region->gpa && gpa - region->gpa < region->length &&
		    length <= region->length - (gpa - region->gpa))
			return region;
	}
	return NULL;
}

uint8_t *gh_region_host(const struct gh_bvm *vm, uint64_t gpa, uint64_t *ret_left)
{
	for (uint32_t i = 0; i < vm->n_regions; i++) {
		const struct gh_region *region = vm->regions[i];

		if (gpa < region->gpa || gpa - region->gpa >= region->length)
			continue;
		if (region->state == GH_REGION_LENT)
			return NULL;
		*ret_left = gh_region_length_from(vm, i) - (gpa - region->gpa);
		return region->host + (gpa - region->gpa);
	}
	return NULL;
}

bool gh_vm_maps(const struct gh_vm *vm, uint64_t gpa, uint64_t length)
{
	for (uint32_t i = 0; i < vm->b.n_regions; i++) {
		const struct gh_region *region = vm->regions[i];

		if (gpa >= region->gpa && gpa - region->gpa < region->length)
			return length <= gh_region_length_from(&vm->b, i) - (gpa - region->gpa);
	}
	return false;
}

uint8_t *gh_vm_host(struct gh_vm *vm, uint64_t gpa, uint64_t *ret_left)
{
	uint8_t *host;

	(void)pthread_mutex_lock(&vm->lock);
	host = gh_region_host(&vm->b, gpa, ret_left);
	(void)pthread_mutex_unlock(&vm->lock);
	return host;
}

/* Why the host may not touch what begins at `gpa`. */
static int refuse_access(struct gh_vm *vm, uint64_t gpa)
{
	const struct gh_region *region = gh_region_find(&vm->b, gpa, 1);

	if (region != NULL && region->state == GH_REGION_LENT)
		return gh_fail_cause(&vm->failure, -EFAULT, GH_CAUSE_LENT, STEP, NULL,
				     "Region %u at 0x%llx is lent to the guest: the host may not touch it.", region->id,
				     (unsigned long long)region->gpa);
	return gh_fail_cause(&vm->failure, -EFAULT, GH_CAUSE_UNBACKED, STEP, NULL,
			     "The guest has no memory at 0x%llx, or not that much in one piece.", (unsigned long long)gpa);
}

int gh_vm_pointer(struct gh_vm *vm, uint64_t gpa, uint64_t length, void **ret_host)
{
	uint64_t left = 0;
	uint8_t *host;
	int ret = 0;

	if (vm == NULL || ret_host == NULL)
		return -EINVAL;
	if (gh_vm_is_forked(vm))
		return gh_fail_forked(vm);
	(void)pthread_mutex_lock(&vm->lock);
	host = gh_region_host(&vm->b, gpa, &left);
	if (host != NULL && length <= left)
		*ret_host = host;
	else
		ret = refuse_access(vm, gpa);
	(void)pthread_mutex_unlock(&vm->lock);
	return ret;
}

/* All of it, before a byte is moved. */
static int check_access(struct gh_vm *vm, uint64_t gpa, uint64_t length)
{
	while (length > 0) {
		uint64_t left;

		if (gh_region_host(&vm->b, gpa, &left) == NULL)
			return refuse_access(vm, gpa);
		if (left >= length)
			return 0;
		length -= left;
		gpa += left;
	}
	return 0;
}

static int transfer(struct gh_vm *vm, uint64_t gpa, uint8_t *to, const uint8_t *from, size_t length)
{
	int ret;

	/* A child has not got the library's mappings: it would fault. */
	if (gh_vm_is_forked(vm))
		return gh_fail_forked(vm);
	(void)pthread_mutex_lock(&vm->lock);
	ret = check_access(vm, gpa, length);
	for (size_t done = 0; ret == 0 && done < length;) {
		uint64_t left = 0;
		uint8_t *host = gh_region_host(&vm->b, gpa + done, &left);
		size_t part = left < length - done ? (size_t)left : length - done;

		memcpy(to != NULL ? to + done : host, from != NULL ? from + done : host, part);
		done += part;
	}
	(void)pthread_mutex_unlock(&vm->lock);
	return ret;
}

int gh_vm_read(struct gh_vm *vm, uint64_t gpa, void *buffer, size_t length)
{
	if (vm == NULL || buffer == NULL)
		return -EINVAL;
	return transfer(vm, gpa, buffer, NULL, length);
}

int gh_vm_write(struct gh_vm *vm, uint64_t gpa, const void *buffer, size_t length)
{
	if (vm == NULL || buffer == NULL)
		return -EINVAL;
	return transfer(vm, gpa, NULL, buffer, length);
}
