/* SPDX-License-Identifier: BSD-3-Clause */
/* From a file into guest memory, without a second copy: the kernel reads, or the unpacker writes, where the guest will. */
#include "image.h"

#include <string.h>

#include <gh/memory.h>

#define STEP GH_IMAGE_STEP_LOAD

/* How much is read between two looks at the progress function. */
#define PIECE (UINT64_C(4) << 20)

struct loader {
	struct gh_vm *vm;
	struct gh_image *image;
	struct gh_stream stream;
};

static int check_memory(const struct loader *loader, uint64_t gpa, uint64_t length)
{
	for (uint64_t done = 0; done < length;) {
		uint64_t left = 0;

		if (gh_vm_host(loader->vm, gpa + done, &left) == NULL)
			return GH_IMAGE_FAIL(
				loader->image, -EFAULT, "Map memory for all of it, and load it before gh_vm_start().",
				"it needs 0x%llx bytes at 0x%llx: at 0x%llx, there is no memory, or it has been lent.",
				(unsigned long long)length, (unsigned long long)gpa, (unsigned long long)(gpa + done));
		done += left;
	}
	return 0;
}

static int check_place(const struct gh_image *image, uint64_t gpa)
{
	const struct gh_image_info *info = &image->info;

	if ((info->flags & GH_IMAGE_RELOCATABLE) == 0 && gpa != info->address)
		return GH_IMAGE_FAIL(image, -EINVAL, "Load it to gh_image_info::address.",
				     "this ELF file is linked for 0x%llx, and cannot be at 0x%llx.",
				     (unsigned long long)info->address, (unsigned long long)gpa);
	if ((gpa & (info->alignment - 1)) != info->text_offset)
		return GH_IMAGE_FAIL(image, -EINVAL, "Let gh_image_place() find a place.",
				     "it must be 0x%llx beyond a multiple of 0x%llx, and 0x%llx is not.",
				     (unsigned long long)info->text_offset, (unsigned long long)info->alignment,
				     (unsigned long long)gpa);
	return 0;
}

static int report(const struct loader *loader, bool is_end)
{
	const struct gh_image *image = loader->image;
	uint64_t total = image->limit - image->begin;
	uint64_t done = loader->stream.next - image->begin;
	int ret;

	if (image->progress == NULL || (!is_end && done == total))
		return 0;
	ret = image->progress(image->progress_data, is_end ? total : done, total);
	if (ret >= 0)
		return 0;
	return GH_IMAGE_FAIL(image, ret, "Load it again.", "the progress function ended it.");
}

/* From the stream to guest memory that is there; fewer than `length` bytes only if the stream ends. */
static int pour(struct loader *loader, uint64_t gpa, uint64_t length, uint64_t *ret_done)
{
	uint64_t done = 0;

	while (done < length) {
		uint64_t left = 0;
		uint8_t *host = gh_vm_host(loader->vm, gpa + done, &left);
		size_t part;
		size_t got = 0;
		int ret;

		if (host == NULL)
			return check_memory(loader, gpa, length);
		if (left > length - done)
			left = length - done;
		part = (size_t)(left < PIECE ? left : PIECE);
		ret = gh_image_fail_stream(loader->image, gh_stream_read(&loader->stream, host, part, &got));
		if (ret == 0)
			ret = report(loader, false);
		if (ret < 0)
			return ret;
		done += got;
		if (got < part)
			break;
	}
	*ret_done = done;
	return 0;
}

static int clear(const struct loader *loader, uint64_t gpa, uint64_t length)
{
	while (length > 0) {
		uint64_t left = 0;
		uint8_t *host = gh_vm_host(loader->vm, gpa, &left);

		if (host == NULL)
			return check_memory(loader, gpa, length);
		if (left > length)
			left = length;
		memset(host, 0, (size_t)left);
		gpa += left;
		length -= left;
	}
	return 0;
}

/* --- formats ------------------------------------------------------------------------------------------------------------ */

/* All of the stream, and no more than there is room for. */
static int load_whole(struct loader *loader, uint64_t gpa)
{
	const struct gh_image *image = loader->image;
	uint64_t done = 0;
	uint8_t more;
	size_t got = 0;
	int ret = pour(loader, gpa, image->info.memory_size, &done);

	if (ret < 0)
		return ret;
	if (done < image->least)
		return GH_IMAGE_FAIL(image, -ENOEXEC, "Get the file again.",
				     "its header speaks of %llu bytes, but %llu came out: truncated.",
				     (unsigned long long)image->least, (unsigned long long)done);
	ret = gh_image_fail_stream(image, gh_stream_read(&loader->stream, &more, sizeof(more), &got));
	if (ret == 0 && got > 0)
		return GH_IMAGE_FAIL(image, -ENOEXEC, "Get the file again.",
				     "more comes out than the 0x%llx bytes that its header says.",
				     (unsigned long long)image->info.memory_size);
	return ret;
}

static int load_segment(struct loader *loader, const struct gh_segment *segment, uint64_t gpa)
{
	uint64_t done = 0;
	int ret = 0;

	if (segment->file_size > 0)
		ret = gh_image_fail_stream(loader->image, gh_stream_seek(&loader->stream, segment->offset));
	if (ret == 0)
		ret = pour(loader, gpa, segment->file_size, &done);
	if (ret < 0)
		return ret;
	if (done < segment->file_size)
		return GH_IMAGE_FAIL(loader->image, -ENOEXEC, "Get the file again.",
				     "the packed ELF file ends within a segment: truncated.");
	return clear(loader, gpa + done, segment->size - done);
}

static int load_segments(struct loader *loader, uint64_t gpa)
{
	const struct gh_image *image = loader->image;
	int ret = 0;

	for (unsigned int i = 0; i < image->n_segments && ret == 0; i++)
		ret = load_segment(loader, &image->segments[i], gpa + (image->segments[i].address - image->info.address));
	return ret;
}

static int load(struct loader *loader, uint64_t gpa)
{
	struct gh_image *image = loader->image;
	int ret = check_place(image, gpa);

	if (ret == 0)
		ret = check_memory(loader, gpa, image->info.memory_size);
	if (ret == 0)
		ret = gh_image_fail_stream(image, gh_stream_open(&loader->stream, image));
	if (ret < 0)
		return ret;
	ret = image->n_segments > 0 ? load_segments(loader, gpa) : load_whole(loader, gpa);
	if (ret == 0)
		ret = report(loader, true);
	gh_stream_close(&loader->stream);
	return ret;
}

static void keep_failure(struct gh_vm *vm, const struct gh_failure *failure)
{
	(void)pthread_mutex_lock(&vm->lock);
	vm->failure = *failure;
	(void)pthread_mutex_unlock(&vm->lock);
}

int gh_image_load(struct gh_vm *vm, struct gh_image *image, uint64_t gpa)
{
	struct gh_failure failure = GH_FAILURE_INIT;
	struct loader loader = { .vm = vm, .image = image };
	int ret;

	if (vm == NULL || image == NULL)
		return -EINVAL;
	if (gh_vm_is_forked(vm))
		return gh_fail_forked(vm);
	image->step = STEP;
	image->failure = &failure;
	ret = load(&loader, gpa);
	image->failure = NULL;
	if (ret < 0)
		keep_failure(vm, &failure);
	return ret;
}

/* --- plans --------------------------------------------------------------------------------------------------------------- */

/* Any address, no register but x16, which nobody expects anything in: ldr x16, 1f; br x16; 1: the address. */
static int write_jump(struct gh_vm *vm, uint64_t at, uint64_t to)
{
	const uint32_t jump[] = { 0x58000050, 0xd61f0200, (uint32_t)to, (uint32_t)(to >> 32) };
	int ret = gh_vm_write(vm, at, jump, sizeof(jump));

	if (ret < 0) {
		struct gh_failure failure = GH_FAILURE_INIT;

		gh_describe(&failure, ret, STEP, NULL,
			    "Map the memory that was planned for, and load before gh_vm_start().",
			    "At 0x%llx, where the guest begins, there is no memory, or it has been lent.",
			    (unsigned long long)at);
		keep_failure(vm, &failure);
	}
	return ret;
}

int gh_image_load_plan(struct gh_vm *vm, const struct gh_image_plan *plan)
{
	uint64_t entry;
	int ret;

	if (vm == NULL || plan == NULL || plan->size != sizeof(*plan) || plan->kernel == NULL)
		return -EINVAL;
	ret = gh_image_load(vm, plan->kernel, plan->kernel_gpa);
	if (ret == 0 && plan->initrd != NULL)
		ret = gh_image_load(vm, plan->initrd, plan->initrd_gpa);
	if (ret < 0)
		return ret;
	entry = plan->kernel_gpa + plan->kernel->info.entry;
	return plan->entry == entry ? 0 : write_jump(vm, plan->entry, entry);
}
