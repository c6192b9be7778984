/* SPDX-License-Identifier: BSD-3-Clause */
/* The host's side of guest memory: mappings that the library makes, and how memory is asked for, filled, locked, given up. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#define STEP "map memory"

/* Huge pages, and GenieZone's demand paging in blocks, want host and guest addresses alike at this alignment. */
#define HOST_ALIGN ((size_t)2 << 20)

/* By number: C libraries before kernel 5.14 lack the first name, some lack the second. */
#define ADVICE_POPULATE_WRITE 23
#define LOCK_ON_FAULT 1u

/* --- making ------------------------------------------------------------------------------------------------------- */

static size_t both_guards(const struct gh_vm *vm)
{
	return 2 * HOST_ALIGN + 2 * (size_t)vm->b.page_size;
}

static size_t align(size_t value)
{
	return (value + HOST_ALIGN - 1) & ~(HOST_ALIGN - 1);
}

/* Where the memory is in a mapping with its guards. */
static uintptr_t inside_of(const struct gh_vm *vm, const void *outer)
{
	return align((uintptr_t)outer + vm->b.page_size);
}

static int map_inside(struct gh_sys *sys, const struct gh_memory *memory, int own_fd, uintptr_t start, void **ret_host)
{
	const int prot = PROT_READ | PROT_WRITE;
	size_t length = (size_t)memory->length;

	if (own_fd >= 0)
		return sys->mmap(sys, (void *)start, length, prot, MAP_SHARED | MAP_FIXED, own_fd, ret_host);
	if (memory->fd >= 0)
		return sys->map_file(sys, (void *)start, length, prot, MAP_SHARED | MAP_FIXED, memory->fd, memory->offset,
				     ret_host);
	return sys->mmap(sys, (void *)start, length, prot, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, ret_host);
}

/* A page beyond a file's end is there, and ends whoever touches it. */
static int check_file(struct gh_vm *vm, const struct gh_memory *memory)
{
	struct stat status = { 0 };
	int ret = vm->b.sys->fstat(vm->b.sys, memory->fd, &status);

	if (ret < 0)
		return gh_fail(&vm->failure, ret, STEP, "fstat", "Pass a memory file (memfd_create()).",
			       "The descriptor %d is not open (%s).", memory->fd, strerror(-ret));
	if (!S_ISREG(status.st_mode))
		return gh_fail(&vm->failure, -EINVAL, STEP, NULL, "Pass a memory file (memfd_create()).",
			       "The descriptor %d is not a file.", memory->fd);
	if (memory->offset > (uint64_t)status.st_size || memory->length > (uint64_t)status.st_size - memory->offset)
		return gh_fail(&vm->failure, -ERANGE, STEP, NULL, "Make the file longer first (ftruncate()).",
			       "The file has 0x%llx bytes; the region would end at 0x%llx.",
			       (unsigned long long)status.st_size, (unsigned long long)(memory->offset + memory->length));
	/* Of a file of huge pages the kernel maps whole ones, whatever is asked for: over the guard and what is behind it. */
	if ((uint64_t)status.st_blksize > HOST_ALIGN && memory->length % (uint64_t)status.st_blksize != 0)
		return gh_fail(&vm->failure, -EINVAL, STEP, NULL, "Make the region a multiple of that.",
			       "The file has pages of 0x%llx bytes.", (unsigned long long)status.st_blksize);
	return 0;
}

/* Memory of the device that the caller has named. */
static int make_from_device(struct gh_vm *vm, const struct gh_memory *memory)
{
	struct gh_sys *sys = vm->b.sys;
	int device = sys->open(sys, memory->device, O_RDWR);
	int fd;

	if (device < 0)
		return gh_fail(&vm->failure, device, STEP, "open",
			       "Look for the devices of contiguous memory in /dev, or pass an open descriptor.",
			       "%s cannot be opened (%s).", memory->device, strerror(-device));
	fd = vm->b.ops->vm_file(&vm->b, device, memory->length, memory->flags);
	(void)sys->close(sys, device);
	return fd;
}

/* A file of the kernel's own, where memory must be of one. */
static int make_file(struct gh_vm *vm, const struct gh_memory *memory, int *ret_fd)
{
	const bool contiguous = (memory->flags & GH_MEMORY_CONTIGUOUS) != 0;
	const uint32_t wish = memory->gpa % HOST_ALIGN == 0 ? (uint32_t)GH_MEMORY_HUGE : 0;
	int fd;

	*ret_fd = -1;
	if (!contiguous && !gh_is_quirky(&vm->b, GH_QUIRK_OWN_FILES_ONLY))
		return memory->fd >= 0 ? check_file(vm, memory) : 0;
	if (vm->b.ops->vm_file == NULL)
		return gh_fail(&vm->failure, -EOPNOTSUPP, STEP, NULL, "Leave own-files-only out of quirks_on.",
			       "This backend has no code for memory of the kernel's own files.");
	vm->failure.error = 0;
	if (memory->device != NULL)
		fd = make_from_device(vm, memory);
	else
		/* A file of huge pages can be bound to an address of one only. */
		fd = vm->b.ops->vm_file(&vm->b, memory->fd, memory->length,
					memory->flags & (~(uint32_t)GH_MEMORY_HUGE | wish));
	if (fd < 0)
		return vm->failure.error != 0 ? fd : gh_fail_request(&vm->failure, fd, STEP, "");
	*ret_fd = fd;
	return 0;
}

/*
 * A shared mapping inside a larger inaccessible one: aligned, and with guards on both sides. GenieZone compares the region
 * with the whole VMA, and gives guests the kernel's zero page for private memory (GZ 9). There is room for a last huge page.
 */
int gh_mapping_make(struct gh_vm *vm, const struct gh_memory *memory, struct gh_mapping *ret_mapping, uint8_t **ret_host)
{
	struct gh_sys *sys = vm->b.sys;
	size_t total = (size_t)memory->length + both_guards(vm);
	void *outer;
	void *inner;
	int fd;
	int ret = make_file(vm, memory, &fd);

	if (ret < 0)
		return ret;
	ret = sys->mmap(sys, NULL, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, &outer);
	if (ret < 0)
		goto err_file;
	ret = map_inside(sys, memory, fd, inside_of(vm, outer), &inner);
	if (ret < 0)
		goto err_outer;
	*ret_mapping = (struct gh_mapping){ .address = outer, .length = total, .fd = fd };
	*ret_host = inner;
	return 0;
err_outer:
	(void)sys->munmap(sys, outer, total);
err_file:
	if (fd >= 0)
		(void)sys->close(sys, fd);
	return gh_fail_request(&vm->failure, ret, STEP, "mmap");
}

/* The file's pages, not only the access to them: a kernel that lends wants nobody else to have them mapped. */
int gh_mapping_give_up(struct gh_vm *vm, const struct gh_mapping *mapping, const struct gh_region *region)
{
	struct gh_sys *sys = vm->b.sys;
	size_t length = (size_t)region->length;
	void *nothing;
	int ret;

	if (mapping->address == NULL)
		return 0;
	ret = sys->mmap(sys, region->host, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
			&nothing);
	return ret < 0 ? gh_fail_request(&vm->failure, ret, "lend memory", "mmap") : 0;
}

/* A forked child has got the guards only: what is between them is the child's own, or nothing. */
static void free_in_child(struct gh_vm *vm, const struct gh_mapping *mapping)
{
	struct gh_sys *sys = vm->b.sys;
	uintptr_t outer = (uintptr_t)mapping->address;
	uintptr_t begin;
	uintptr_t end;

	if (mapping->address == NULL)
		return;
	begin = inside_of(vm, mapping->address);
	end = begin + align(mapping->length - both_guards(vm)); /* a last huge page is not there either */
	(void)sys->munmap(sys, mapping->address, begin - outer);
	(void)sys->munmap(sys, (uint8_t *)mapping->address + (end - outer), outer + mapping->length - end);
	if (mapping->fd >= 0)
		(void)sys->close(sys, mapping->fd);
}

void gh_mapping_free(struct gh_vm *vm, const struct gh_mapping *mapping)
{
	struct gh_sys *sys = vm->b.sys;

	if (vm->b.in_child) {
		free_in_child(vm, mapping);
		return;
	}
	if (mapping->locked != NULL)
		(void)sys->munlock(sys, mapping->locked, mapping->locked_length);
	if (mapping->hidden != NULL)
		(void)sys->madvise(sys, mapping->hidden, mapping->hidden_length, MADV_DOFORK);
	if (mapping->address == NULL)
		return;
	(void)sys->munmap(sys, mapping->address, mapping->length);
	if (mapping->fd >= 0)
		(void)sys->close(sys, mapping->fd);
}

/* --- filling and locking ------------------------------------------------------------------------------------------ */

int gh_memory_populate(const struct gh_bvm *vm, uint8_t *host, uint64_t length, bool may_touch)
{
	int ret = vm->sys->madvise(vm->sys, host, (size_t)length, ADVICE_POPULATE_WRITE);

	if (ret == 0)
		return 0;
	if (ret == -EINVAL && !may_touch)
		return gh_fail(vm->failure, -EOPNOTSUPP, STEP, "madvise", "Touch the pages before gh_vm_map().",
			       "The kernel cannot fill this mapping in advance.");
	if (ret != -EINVAL)
		return gh_fail_request(vm->failure, ret, STEP, "madvise");
	for (uint64_t at = 0; at < length; at += vm->page_size) /* a kernel before 5.14 */
		(void)__atomic_fetch_or(host + at, 0, __ATOMIC_RELAXED);
	return 0;
}

static int lock(struct gh_vm *vm, const struct gh_region *region, struct gh_mapping *mapping, unsigned int flags)
{
	struct gh_sys *sys = vm->b.sys;
	int ret = sys->mlock(sys, region->host, (size_t)region->length, flags);

	if (ret < 0)
		return ret;
	mapping->locked = region->host;
	mapping->locked_length = (size_t)region->length;
	return 0;
}

static int explain_lock(const struct gh_vm *vm, int error, const struct gh_region *region)
{
	if (error == -ENOMEM || error == -EPERM || error == -EAGAIN)
		return gh_fail_lock_limit(&vm->b, error, "mlock2", region);
	return gh_fail_request(vm->b.failure, error, STEP, "mlock2");
}

/* On demand, so that it takes no memory. What a kernel locks itself needs no second lock, which would be counted twice. */
static int lock_as_wanted(struct gh_vm *vm, const struct gh_region *region, struct gh_mapping *mapping)
{
	int ret;

	if (gh_is_quirky(&vm->b, GH_QUIRK_LOCKS_MEMORY))
		return 0;
	ret = lock(vm, region, mapping, LOCK_ON_FAULT);
	if (ret == -ENOSYS) /* a kernel before 4.4, an emulator: all at once */
		ret = lock(vm, region, mapping, 0);
	return ret < 0 ? explain_lock(vm, ret, region) : 0;
}

/*
 * A kernel that pins memory when it is given pins what the guest may only read as it finds it: of private memory that nobody
 * has written to that is the zero page of all processes, which would be given away, and the host's later stores go elsewhere.
 * What cannot be written to stays as it is, and of what is not there the kernel speaks.
 */
static void leave_zero_page(struct gh_vm *vm, const struct gh_region *region)
{
	if (gh_is_quirky(&vm->b, GH_QUIRK_LOCKS_MEMORY) && !gh_can(&vm->b, GH_FEATURE_DEMAND_PAGING))
		(void)vm->b.sys->madvise(vm->b.sys, region->host, (size_t)region->length, ADVICE_POPULATE_WRITE);
}

/*
 * Some kernels only write down where memory is, and look when the guest touches it; the library's own accessors would be the
 * first to. This advice asks for nothing that matters, and finds holes. Another error is about the advice.
 */
int gh_mapping_check(struct gh_vm *vm, const struct gh_region *region)
{
	if (vm->b.sys->madvise(vm->b.sys, region->host, (size_t)region->length, MADV_WILLNEED) != -ENOMEM)
		return 0;
	return gh_fail_cause(&vm->failure, -EFAULT, GH_CAUSE_UNPINNABLE, STEP, "madvise",
			     "Some of the 0x%llx bytes at %p are not mapped.", (unsigned long long)region->length,
			     (void *)region->host);
}

int gh_mapping_prepare(struct gh_vm *vm, uint32_t flags, const struct gh_region *region, struct gh_mapping *mapping)
{
	struct gh_sys *sys = vm->b.sys;
	size_t length = (size_t)region->length;
	bool own = mapping->address != NULL;
	int ret = 0;

	/* A wish: kernels without huge pages have other ones. */
	if ((flags & GH_MEMORY_HUGE) != 0 && sys->madvise(sys, region->host, length, MADV_HUGEPAGE) < 0)
		gh_vm_log(vm, "%s: the kernel has no huge pages for shared memory.", STEP);
	/* A fork would age the pages of a running guest (GZ 9), and a child has no use for them. */
	if (own) {
		ret = sys->madvise(sys, region->host, length, MADV_DONTFORK);
		if (ret < 0)
			return gh_fail_request(&vm->failure, ret, STEP, "madvise");
	}
	if ((flags & GH_MEMORY_LOCK) != 0)
		ret = lock_as_wanted(vm, region, mapping);
	if (ret == 0 && (flags & GH_MEMORY_PREFAULT) != 0)
		ret = gh_memory_populate(&vm->b, region->host, region->length, own);
	if (ret == 0 && !own && (flags & GH_MEMORY_WRITE) == 0)
		leave_zero_page(vm, region);
	return ret;
}

/* GZ 9: pages of a running guest must not be shared with a forked child. The library's own never are. */
static void hide(struct gh_vm *vm, const struct gh_region *region, struct gh_mapping *mapping)
{
	struct gh_sys *sys = vm->b.sys;

	if (mapping->address != NULL)
		return;
	if (sys->madvise(sys, region->host, (size_t)region->length, MADV_DONTFORK) < 0) {
		gh_vm_log(vm, "%s: forked children will share the memory: do not fork.", STEP);
		return;
	}
	mapping->hidden = region->host;
	mapping->hidden_length = (size_t)region->length;
}

/*
 * GZ 9: the guest's first touch of a page that the kernel thinks old can break the host. A limit that is too low for a lock is
 * told, and no more, because the memory can be used all the same. Not earlier: a lock on a part of a caller's mapping would
 * make two mappings of it, before the backend has looked at it.
 */
void gh_mapping_keep(struct gh_vm *vm, const struct gh_region *region, struct gh_mapping *mapping)
{
	int ret;

	if (!gh_is_quirky(&vm->b, GH_QUIRK_MEMORY_MUST_STAY))
		return;
	hide(vm, region, mapping);
	if (mapping->locked != NULL)
		return;
	ret = lock(vm, region, mapping, LOCK_ON_FAULT);
	if (ret == 0)
		return;
	(void)explain_lock(vm, ret, region);
	gh_vm_log(vm, "%s: the memory is not locked, and the host's kernel could let it age. %s %s", STEP,
		  vm->failure.cause, vm->failure.remedy);
	vm->failure.error = 0;
}

void gh_mapping_lend(struct gh_vm *vm, const struct gh_mapping *mapping, const struct gh_region *region)
{
	struct gh_sys *sys = vm->b.sys;
	size_t length = (size_t)region->length;

	/* A caller's mapping is the caller's. */
	if (mapping->address == NULL)
		return;
	/* A kernel that pages in on demand looks for the page through this mapping. */
	if (gh_can(&vm->b, GH_FEATURE_DEMAND_PAGING) && mapping->fd < 0) {
		if (sys->madvise(sys, region->host, length, MADV_DONTDUMP) < 0)
			gh_vm_log(vm, "%s: lent memory could not be kept out of dumps.", STEP);
		return;
	}
	/* A stray access is a fault of this process then, not of the host; and nobody dumps what cannot be read. */
	if (sys->mprotect(sys, region->host, length, PROT_NONE) < 0 ||
	    sys->madvise(sys, region->host, length, MADV_DONTDUMP) < 0)
		gh_vm_log(vm, "%s: lent memory could not be made inaccessible.", STEP);
}
