/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What breaks the host's kernel under the real /dev/gzvm, or makes it lose memory (section 9 of the GenieZone UAPI document):
 * the parts of it that need a look around. The others are where they happen.
 */
#include "gzvm.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* A word of /proc/self/pagemap: the page is in memory, or swapped out. */
#define IS_THERE (UINT64_C(3) << 62)

/* After a fork the guest's next touch of a page finds it old, and a host without a hardware access flag falls over it. */
void gzvm_look_at_child(struct sim_file *file)
{
	const struct gzvm_vm *vm = file->object;
	struct gzvm_vma vma;

	if (!vm->started)
		return;
	for (size_t i = 0; i < UAPI_GZVM_MAX_SLOTS; i++) {
		if (vm->slots[i].used && gzvm_find_vma(vm->slots[i].host, &vma))
			sim_machine_breakage(vm->sim, "a fork with a running VM, whose memory the child has as well: its "
						      "pages look old, and the kernel can fall over the next touch");
	}
}

/* The driver takes the memory of the process that made the VM, which is gone. */
void gzvm_look_at_caller(const struct gzvm_vm *vm)
{
	pid_t creator = sim_machine_owner(vm->sim);

	if (sim_machine_in_child(vm->sim) && kill(creator, 0) < 0 && errno == ESRCH)
		sim_machine_breakage(vm->sim,
				     "a request of a child whose parent, which made the VM, is gone: use after free");
}

static bool read_word(int pagemap, uint64_t address, uint64_t *ret_word)
{
	return pread(pagemap, ret_word, sizeof(*ret_word), (off_t)(address / GZVM_PAGE * sizeof(*ret_word))) ==
	       (ssize_t)sizeof(*ret_word);
}

/*
 * Emulators of programs take a request to fill memory and do not, or have a file about other addresses than the program's: then
 * nobody can tell.
 */
static bool can_tell(int pagemap)
{
	void *page = mmap(NULL, GZVM_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t word = 0;
	bool found;

	if (page == MAP_FAILED)
		return false;
	if (madvise(page, GZVM_PAGE, MADV_POPULATE_WRITE) < 0)
		*(volatile char *)page = 1;
	found = read_word(pagemap, (uint64_t)(uintptr_t)page, &word) && (word & IS_THERE) != 0;
	(void)munmap(page, GZVM_PAGE);
	return found;
}

static bool is_untouched(int pagemap, const struct gzvm_slot *slot)
{
	uint64_t word;

	for (uint64_t page = 0; page < slot->pages; page++) {
		if (!read_word(pagemap, slot->host + page * GZVM_PAGE, &word))
			return false;
		if ((word & IS_THERE) == 0)
			return true;
	}
	return false;
}

void gzvm_look_at_memory(const struct gzvm_vm *vm)
{
	int pagemap;
	struct gzvm_vma vma;

	if (vm->switches->pins_at_once)
		return;
	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (pagemap < 0)
		return;
	for (size_t i = 0; i < UAPI_GZVM_MAX_SLOTS && can_tell(pagemap); i++) {
		const struct gzvm_slot *slot = &vm->slots[i];

		if (slot->used && gzvm_find_vma(slot->host, &vma) && !vma.shared && is_untouched(pagemap, slot))
			sim_machine_breakage(vm->sim,
					     "private memory that nobody has written to: the guest gets the kernel's "
					     "own page of zeros, and may write to it");
	}
	(void)close(pagemap);
}

void gzvm_look_at_end(const struct gzvm_vm *vm)
{
	/* Newer drivers give them back. */
	if (vm->ioevents != NULL && !vm->switches->vcpus_keep_vm)
		sim_machine_breakage(vm->sim, "an ioeventfd was there when its VM was closed: the kernel loses it");
}
