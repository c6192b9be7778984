/* SPDX-License-Identifier: BSD-3-Clause */
/* Pinning of user memory, by what /proc says about the mappings. */
#include "pin.h"
#include "sim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Second mappings keep the first one's offset in 2 MiB, so that huge pages stay possible. */
#define HUGE_PAGE ((size_t)2 << 20)

struct mapping {
	uintptr_t start;
	uintptr_t end;
	bool readable;
	bool writable;
	bool shared;
};

static bool parse_mapping(const char *line, struct mapping *mapping)
{
	unsigned long start;
	unsigned long end;
	char flags[5];

	if (sscanf(line, "%lx-%lx %4s", &start, &end, flags) != 3)
		return false;
	mapping->start = start;
	mapping->end = end;
	mapping->readable = flags[0] == 'r';
	mapping->writable = flags[1] == 'w';
	mapping->shared = flags[3] == 's';
	return true;
}

static bool is_there(uintptr_t address)
{
	char byte;

	return sim_copy_in(&byte, address, 1) == 0;
}

/* A file's mapping may be longer than the file, and what is missing is at its end. */
static uintptr_t end_of_file(uintptr_t start, uintptr_t end, size_t page)
{
	size_t good = 0;
	size_t bad = (end - start) / page;

	if (is_there(end - page))
		return end;
	while (good < bad) {
		size_t middle = good + (bad - good) / 2;

		if (is_there(start + middle * page))
			good = middle + 1;
		else
			bad = middle;
	}
	return start + good * page;
}

/* Address space for the second mapping; without it the first one must do. */
static void reserve(uintptr_t host, size_t size, struct sim_pin *pin)
{
	void *reserved;

	pin->reserved = NULL;
	pin->reserved_size = size + HUGE_PAGE;
	if (pin->reserved_size < size)
		return;
	reserved = mmap(NULL, pin->reserved_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (reserved == MAP_FAILED)
		return;
	pin->reserved = reserved;
	pin->address = (void *)((uintptr_t)reserved + ((host - (uintptr_t)reserved) & (HUGE_PAGE - 1)));
}

void sim_unpin(struct sim_pin *pin)
{
	if (pin->reserved != NULL)
		(void)munmap(pin->reserved, pin->reserved_size);
	pin->reserved = NULL;
}

/* mremap() of nothing makes a second mapping of the same shared pages. */
static void map_again(uintptr_t host, const struct mapping *mapping, uintptr_t start, uintptr_t end, struct sim_pin *pin)
{
	void *target;

	if (pin->reserved == NULL)
		return;
	target = (void *)((uintptr_t)pin->address + (start - host));
	if (mapping->shared && mremap((void *)start, 0, end - start, MREMAP_MAYMOVE | MREMAP_FIXED, target) != MAP_FAILED)
		return;
	sim_unpin(pin);
}

/* Goes through the mappings in the order of their addresses, and stops at the first page that cannot be pinned. */
static uintptr_t pin_mappings(FILE *maps, uintptr_t host, uintptr_t end, bool write, struct sim_pin *pin)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uintptr_t good = host;
	struct mapping mapping;
	char *line = NULL;
	size_t room = 0;

	while (good < end && getline(&line, &room, maps) > 0) {
		uintptr_t last;
		uintptr_t to;

		if (!parse_mapping(line, &mapping) || mapping.end <= good)
			continue;
		if (mapping.start > good || !mapping.readable || (write && !mapping.writable))
			break;
		last = mapping.end < end ? mapping.end : end;
		to = end_of_file(good, last, page);
		if (to == last)
			map_again(host, &mapping, good, last, pin);
		good = to;
		if (to < last)
			break;
	}
	free(line);
	return good;
}

int sim_pin(uintptr_t host, size_t size, bool write, struct sim_pin *ret_pin, uint64_t *ret_pages)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct sim_pin pin;
	uintptr_t good;
	FILE *maps;

	*ret_pages = 0;
	if (host + size < host || host == 0)
		return -EFAULT;
	maps = fopen("/proc/self/maps", "re");
	if (maps == NULL)
		return -ENOMEM;
	reserve(host, size, &pin);
	good = pin_mappings(maps, host, host + size, write, &pin);
	(void)fclose(maps);
	*ret_pages = (good - host) / page;
	if (good < host + size) {
		sim_unpin(&pin);
		return -EFAULT;
	}
	if (pin.reserved == NULL)
		pin.address = (void *)host;
	*ret_pin = pin;
	return 0;
}

bool sim_pin_is_lasting(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *first = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	void *second;

	if (first == MAP_FAILED)
		return false;
	second = mremap(first, 0, page, MREMAP_MAYMOVE);
	(void)munmap(first, page);
	if (second == MAP_FAILED)
		return false;
	(void)munmap(second, page);
	return true;
}

void sim_pin_split(struct sim_pin *pin, size_t length, struct sim_pin *ret_rest)
{
	size_t first;

	*ret_rest = (struct sim_pin){ (uint8_t *)pin->address + length, NULL, 0 };
	if (pin->reserved == NULL)
		return;
	first = (size_t)((uint8_t *)ret_rest->address - (uint8_t *)pin->reserved);
	ret_rest->reserved = ret_rest->address;
	ret_rest->reserved_size = pin->reserved_size - first;
	pin->reserved_size = first;
}
