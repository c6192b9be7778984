/* SPDX-License-Identifier: BSD-3-Clause */
/* Guest memory for the host: where it is, and what is in it. */
#include "internal.h"

#include <errno.h>
#include <string.h>

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

/* What `gpa` is mapped to, if the host may touch it, and how much of it follows; parts follow each other there. */
static uint8_t *find_host(const struct gh_bvm *vm, uint64_t gpa, uint64_t *ret_left)
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
	host = find_host(&vm->b, gpa, ret_left);
	(void)pthread_mutex_unlock(&vm->lock);
	return host;
}

int gh_vm_pointer(struct gh_vm *vm, uint64_t gpa, uint64_t length, void **ret_host)
{
	uint64_t left = 0;
	uint8_t *host;

	if (vm == NULL || ret_host == NULL)
		return -EINVAL;
	if (gh_vm_is_forked(vm))
		return -EPERM;
	(void)pthread_mutex_lock(&vm->lock);
	host = find_host(&vm->b, gpa, &left);
	if (host != NULL && length <= left)
		*ret_host = host;
	(void)pthread_mutex_unlock(&vm->lock);
	return host != NULL && length <= left ? 0 : -EFAULT;
}

/* All of it, before a byte is moved. */
static bool is_accessible(const struct gh_bvm *vm, uint64_t gpa, uint64_t length)
{
	while (length > 0) {
		uint64_t left;

		if (find_host(vm, gpa, &left) == NULL)
			return false;
		if (left >= length)
			return true;
		length -= left;
		gpa += left;
	}
	return true;
}

static int transfer(struct gh_vm *vm, uint64_t gpa, uint8_t *to, const uint8_t *from, size_t length)
{
	int ret = -EFAULT;

	/* A child has not got the library's mappings: it would fault. */
	if (gh_vm_is_forked(vm))
		return -EPERM;
	(void)pthread_mutex_lock(&vm->lock);
	if (is_accessible(&vm->b, gpa, length)) {
		for (size_t done = 0; done < length;) {
			uint64_t left = 0;
			uint8_t *host = find_host(&vm->b, gpa + done, &left);
			size_t part = left < length - done ? (size_t)left : length - done;

			memcpy(to != NULL ? to + done : host, from != NULL ? from + done : host, part);
			done += part;
		}
		ret = 0;
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
