/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files of guest memory, and MAP_MEM, which binds parts of them to guest addresses.
 *
 * The driver's habits: two bindings of one file, of whatever VMs, may not even be neighbours in it; a binding shrinks from
 * either end and cannot be cut in two. The real driver forgets a reference of the file with every part that it takes back,
 * so that its memory is never free again; here it is.
 */
#include "gunyah.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_MASK (((uint64_t)2 << 20) - 1)
#define RWX (UAPI_GUNYAH_MAP_READ | UAPI_GUNYAH_MAP_WRITE | UAPI_GUNYAH_MAP_EXEC)

/* A part of the file that some VM has. */
struct binding {
	struct binding *next;
	const struct gunyah_region *region;
	uint64_t offset;
	uint64_t size;
};

struct gmem {
	pthread_mutex_t lock; /* taken under a VM's lock */
	struct binding *bindings;
	uint64_t mask; /* of addresses and sizes that have to be 0 */
};

/* A private mapping would not be the guest's memory. */
static int gmem_mmap(struct sim_file *file, size_t length, int prot, int flags)
{
	(void)file;
	(void)length;
	(void)prot;
	return (flags & MAP_PRIVATE) != 0 && (flags & MAP_SHARED) == 0 ? -EINVAL : 0;
}

static long gmem_ioctl(struct sim_file *file, unsigned long request, uintptr_t arg)
{
	(void)file;
	(void)request;
	(void)arg;
	return -ENOTTY;
}

/* Bindings hold the file open, so there are none any more. */
static void gmem_release(struct sim_file *file)
{
	struct gmem *gmem = file->object;

	pthread_mutex_destroy(&gmem->lock);
	free(gmem);
}

static const struct sim_file_ops gmem_ops = {
	.name = "[gh-gmem]",
	.ioctl = gmem_ioctl,
	.mmap = gmem_mmap,
	.release = gmem_release,
	.is_memory = true,
};

/* A wish: where the kernel maps huge pages for guests, they have to lie alike in the file and in the machine. */
static void use_huge_pages(struct sim_file *file)
{
	size_t size = file->page_size;
	size_t room = size + HUGE_MASK;
	uint8_t *reserved = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint8_t *aligned;

	if (reserved == MAP_FAILED)
		return;
	aligned = (uint8_t *)(((uintptr_t)reserved + HUGE_MASK) & ~(uintptr_t)HUGE_MASK);
	if (mremap(file->page, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, aligned) == MAP_FAILED) {
		(void)munmap(reserved, room);
		return;
	}
	file->page = aligned;
	(void)madvise(aligned, size, MADV_HUGEPAGE);
	if (aligned > reserved)
		(void)munmap(reserved, (size_t)(aligned - reserved));
	if (aligned + size < reserved + room)
		(void)munmap(aligned + size, (size_t)(reserved + room - (aligned + size)));
}

long gunyah_gmem_create(struct gh_sim *sim, uintptr_t arg)
{
	struct uapi_gunyah_create_mem args;
	struct sim_file *file;
	struct gmem *gmem;
	int fd;

	if (sim_copy_in(&args, arg, sizeof(args)) < 0)
		return -EFAULT;
	if ((args.size & (gunyah_page_size() - 1)) != 0)
		return -EINVAL;
	if ((args.flags & ~(uint64_t)(UAPI_GUNYAH_GUEST_MEM_CLOEXEC | UAPI_GUNYAH_GUEST_MEM_HUGEPAGE)) != 0)
		return -EINVAL;
	gmem = calloc(1, sizeof(*gmem));
	if (gmem == NULL)
		return -ENOMEM;
	gmem->mask = (args.flags & UAPI_GUNYAH_GUEST_MEM_HUGEPAGE) != 0 ? HUGE_MASK : gunyah_page_size() - 1;
	pthread_mutex_init(&gmem->lock, NULL);
	fd = sim_file_new(sim, &gmem_ops, gmem_ops.name, gmem, args.size, &file);
	if (fd < 0) {
		pthread_mutex_destroy(&gmem->lock);
		free(gmem);
		return fd;
	}
	if ((args.flags & UAPI_GUNYAH_GUEST_MEM_HUGEPAGE) != 0 && args.size != 0)
		use_huge_pages(file);
	if ((args.flags & UAPI_GUNYAH_GUEST_MEM_CLOEXEC) == 0)
		(void)fcntl(fd, F_SETFD, 0);
	return fd;
}

static uint32_t permissions(uint32_t flags)
{
	return ((flags & UAPI_GUNYAH_MAP_READ) != 0 ? UAPI_GUNYAH_MEM_READ : 0) |
	       ((flags & UAPI_GUNYAH_MAP_WRITE) != 0 ? UAPI_GUNYAH_MEM_WRITE : 0) |
	       ((flags & UAPI_GUNYAH_MAP_EXEC) != 0 ? UAPI_GUNYAH_MEM_EXEC : 0);
}

/* The resource manager wants all VMs isolated: memory is lent unless the caller says otherwise. */
static bool is_lend(uint32_t flags)
{
	return (flags & UAPI_GUNYAH_MAP_ACCESS_MASK) != UAPI_GUNYAH_MAP_FORCE_SHARE;
}

static int bind_part(struct gmem *gmem, const struct gunyah_region *region)
{
	struct binding *binding = malloc(sizeof(*binding));
	int ret = 0;

	if (binding == NULL)
		return -ENOMEM;
	*binding = (struct binding){ NULL, region, region->offset, region->size };
	pthread_mutex_lock(&gmem->lock);
	for (const struct binding *other = gmem->bindings; other != NULL; other = other->next) {
		if (region->offset + region->size >= other->offset && region->offset <= other->offset + other->size)
			ret = -EEXIST;
	}
	if (ret == 0) {
		binding->next = gmem->bindings;
		gmem->bindings = binding;
	}
	pthread_mutex_unlock(&gmem->lock);
	if (ret < 0)
		free(binding);
	return ret;
}

/* The region is another size by now, or gone if `size` is 0. */
static void rebind(struct gmem *gmem, const struct gunyah_region *region, uint64_t offset, uint64_t size)
{
	struct binding **link = &gmem->bindings;

	pthread_mutex_lock(&gmem->lock);
	while (*link != NULL && (*link)->region != region)
		link = &(*link)->next;
	if (*link != NULL && size != 0) {
		(*link)->offset = offset;
		(*link)->size = size;
	} else if (*link != NULL) {
		struct binding *gone = *link;

		*link = gone->next;
		free(gone);
	}
	pthread_mutex_unlock(&gmem->lock);
}

void gunyah_gmem_unbind(struct gunyah_region *region)
{
	if (region->file == NULL)
		return;
	if (region->file->ops == &gmem_ops)
		rebind(region->file->object, region, 0, 0);
	sim_file_put(region->file);
	region->file = NULL;
}

static int add(struct gunyah_vm *vm, struct sim_file *file, const struct uapi_gunyah_map_mem *args)
{
	struct gunyah_region *region;
	int ret;

	/* Nothing to bind, or something that goes round the end of the address space. */
	if (args->size == 0 || args->gpa + args->size - 1 < args->gpa || args->offset + args->size < args->offset)
		return -EINVAL;
	if (gunyah_mem_find(vm, args->gpa, args->size) != NULL)
		return -EEXIST;
	region = calloc(1, sizeof(*region));
	if (region == NULL)
		return -ENOMEM;
	region->label = args->flags;
	region->flags = permissions(args->flags);
	region->lent = is_lend(args->flags);
	region->gpa = args->gpa;
	region->size = args->size;
	region->offset = args->offset;
	ret = bind_part(file->object, region);
	if (ret == 0)
		ret = gunyah_page_note(vm, region);
	if (ret < 0) {
		rebind(file->object, region, 0, 0);
		free(region);
		return ret;
	}
	region->file = file;
	gunyah_mem_append(vm, region);
	return 0;
}

static void shrink(struct gunyah_vm *vm, struct gunyah_region *region, const struct uapi_gunyah_map_mem *args)
{
	gunyah_page_out(vm, args->gpa, args->size);
	if (args->gpa == region->gpa) {
		region->gpa += args->size;
		region->offset += args->size;
	}
	region->size -= args->size;
	rebind(region->file->object, region, region->offset, region->size);
}

static void drop(struct gunyah_vm *vm, struct gunyah_region *region)
{
	struct gunyah_region **link = &vm->regions;

	gunyah_page_out(vm, region->gpa, region->size);
	while (*link != region)
		link = &(*link)->next;
	*link = region->next;
	gunyah_gmem_unbind(region);
	free(region);
}

static bool is_inside(const struct gunyah_region *region, const struct sim_file *file,
		      const struct uapi_gunyah_map_mem *args)
{
	return region->file == file && region->label == args->flags && args->gpa >= region->gpa &&
	       args->gpa - region->gpa <= region->size && args->size <= region->size - (args->gpa - region->gpa) &&
	       args->offset - region->offset == args->gpa - region->gpa;
}

static int take_away(struct gunyah_vm *vm, struct sim_file *file, const struct uapi_gunyah_map_mem *args)
{
	struct gunyah_region *region = vm->regions;

	while (region != NULL && !is_inside(region, file, args))
		region = region->next;
	if (region == NULL)
		return -ENOENT;
	if (args->size == region->size)
		drop(vm, region);
	else if (args->gpa == region->gpa || args->gpa + args->size == region->gpa + region->size)
		shrink(vm, region, args);
	else
		return -EINVAL;
	return 0;
}

static int check(const struct sim_file *file, const struct uapi_gunyah_map_mem *args)
{
	const struct gmem *gmem = file->object;
	uint32_t access = args->flags & UAPI_GUNYAH_MAP_ACCESS_MASK;

	if ((args->flags & ~(RWX | UAPI_GUNYAH_MAP_ACCESS_MASK | UAPI_GUNYAH_MAP_UNMAP)) != 0)
		return -EINVAL;
	if ((args->flags & RWX) == 0 || access > UAPI_GUNYAH_MAP_FORCE_SHARE)
		return -EINVAL;
	return ((args->gpa | args->offset | args->size) & gmem->mask) != 0 ? -EINVAL : 0;
}

long gunyah_gmem_map(struct gunyah_vm *vm, uintptr_t arg)
{
	struct uapi_gunyah_map_mem args;
	struct sim_file *file;
	bool unmap;
	int ret = -EINVAL;

	if (sim_copy_in(&args, arg, sizeof(args)) < 0)
		return -EFAULT;
	file = sim_file_get(vm->sim, (int)args.fd);
	if (file == NULL)
		return -EINVAL;
	if (file->ops == &gmem_ops)
		ret = check(file, &args);
	unmap = (args.flags & UAPI_GUNYAH_MAP_UNMAP) != 0;
	args.flags &= ~UAPI_GUNYAH_MAP_UNMAP;
	pthread_mutex_lock(&vm->lock);
	if (ret == 0)
		ret = unmap ? take_away(vm, file, &args) : add(vm, file, &args);
	pthread_mutex_unlock(&vm->lock);
	/* A binding keeps the reference. */
	if (ret < 0 || unmap)
		sim_file_put(file);
	return ret;
}
