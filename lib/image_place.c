/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where kernel, devicetree and initrd go. First everything is laid out as if there were memory without end; then it is
 * compared with what there is, so that a refusal can say how much would do.
 */
#include "image.h"

#include "opts.h"

#include <gh/probe.h>

#define STEP "place the images"

/* Pages of most; Linux's tables of reserved memory take any. */
#define PAGE UINT64_C(4096)
/* Pages of any Linux: initrd and devicetree never share one with something else. */
#define LARGE_PAGE UINT64_C(0x10000)
#define DTB_DEFAULT UINT64_C(0x10000)
/* What a resource manager adds: a node for each doorbell and more, some hundred bytes each. */
#define DTB_ADDITIONS UINT64_C(0x10000)
/* What gh_fdt_finish() wants of the room for a tree of this size. */
#define DTB_GROWTH 4u
/* Linux maps the devicetree, and the initrd with the kernel, in windows of these sizes. */
#define DTB_LARGEST (UINT64_C(2) << 20)
#define INITRD_WINDOW (UINT64_C(32) << 30)
#define INITRD_WINDOW_ALIGN (UINT64_C(1) << 30)
#define JUMP_SIZE 16u

struct span {
	const char *what;
	uint64_t gpa;
	uint64_t size;
};

struct layout {
	struct gh_failure *failure;
	const struct gh_image_place_options *options;
	uint64_t floor; /* nothing goes below */
	uint64_t end;   /* of the guest's address space */
	struct span spans[4];
	unsigned int n_spans;
	struct gh_image_plan plan;
};

/* --- spans -------------------------------------------------------------------------------------------------------------- */

static const struct span *find_clash(const struct layout *layout, uint64_t gpa, uint64_t size)
{
	for (unsigned int i = 0; i < layout->n_spans; i++) {
		const struct span *span = &layout->spans[i];

		if (gpa < span->gpa + span->size && span->gpa < gpa + size)
			return span;
	}
	return NULL;
}

static void take(struct layout *layout, const char *what, uint64_t gpa, uint64_t size)
{
	layout->spans[layout->n_spans++] = (struct span){ what, gpa, size };
}

/* The lowest free place that is `offset` beyond a multiple of `align`; false: beyond the guest's address space. */
static bool find(const struct layout *layout, uint64_t size, uint64_t align, uint64_t offset, uint64_t *ret_gpa)
{
	uint64_t gpa = layout->floor;

	for (;;) {
		const struct span *clash;

		/* No wrap: addresses, sizes and alignments are below 2^53. */
		gpa += (offset - gpa) & (align - 1);
		if (gpa > layout->end || size > layout->end - gpa)
			return false;
		clash = find_clash(layout, gpa, size);
		if (clash == NULL)
			break;
		gpa = clash->gpa + clash->size;
	}
	*ret_gpa = gpa;
	return true;
}

static int fail_space(const struct layout *layout, const char *what, uint64_t size)
{
	return gh_fail(layout->failure, -ENOSPC, STEP, NULL, "Use a smaller one.",
		       "The %s of 0x%llx bytes does not fit into the guest's address space.", what,
		       (unsigned long long)size);
}

/* --- the kernel --------------------------------------------------------------------------------------------------------- */

static bool is_own_place_in_ram(const struct layout *layout, const struct gh_image_info *info)
{
	uint64_t ram = layout->options->ram_gpa;
	uint64_t size = layout->options->ram_size;

	return info->address >= ram && info->address - ram <= size && info->memory_size <= size - (info->address - ram);
}

static int find_kernel(struct layout *layout, uint64_t *ret_gpa)
{
	const struct gh_image_info *info = &layout->options->kernel->info;

	if (info->format == GH_IMAGE_ELF64 && is_own_place_in_ram(layout, info)) {
		if (find_clash(layout, info->address, info->memory_size) != NULL)
			return gh_fail(layout->failure, -ENOSPC, STEP, NULL,
				       "Link it for another address, or so that it begins with its first instruction.",
				       "The guest begins at 0x%llx, where the kernel has no first instruction, nor room "
				       "for a jump.",
				       (unsigned long long)layout->options->ram_gpa);
		*ret_gpa = info->address;
		return 0;
	}
	if ((info->flags & GH_IMAGE_RELOCATABLE) == 0)
		return gh_fail(
			layout->failure, -ENOSPC, STEP, NULL, "Give the guest memory there, or link it for elsewhere.",
			"The kernel is linked for 0x%llx to 0x%llx, which is not in the guest's memory.",
			(unsigned long long)info->address, (unsigned long long)(info->address + info->memory_size - 1));
	if (!find(layout, info->memory_size, info->alignment, info->text_offset, ret_gpa))
		return fail_space(layout, "kernel", info->memory_size);
	return 0;
}

static int place_kernel(struct layout *layout, bool begins_at_ram)
{
	const struct gh_image_info *info = &layout->options->kernel->info;
	struct gh_image_plan *plan = &layout->plan;
	int ret = find_kernel(layout, &plan->kernel_gpa);

	if (ret < 0)
		return ret;
	plan->entry = plan->kernel_gpa + info->entry;
	if (begins_at_ram && plan->entry != layout->options->ram_gpa) {
		plan->entry = layout->options->ram_gpa;
		take(layout, "jump to the kernel", plan->entry, JUMP_SIZE);
		ret = find_kernel(layout, &plan->kernel_gpa);
		if (ret < 0)
			return ret;
	}
	take(layout, "kernel", plan->kernel_gpa, info->memory_size);
	/* Linux before 4.6 cannot use what is below the block in which its Image begins. */
	if (info->format == GH_IMAGE_ARM64)
		layout->floor = plan->kernel_gpa - info->text_offset;
	return 0;
}

/* --- the rest ----------------------------------------------------------------------------------------------------------- */

static int place_dtb(struct layout *layout)
{
	uint64_t wanted = layout->options->dtb_size != 0 ? layout->options->dtb_size : DTB_DEFAULT;
	struct gh_image_plan *plan = &layout->plan;
	uint64_t align = LARGE_PAGE;

	if (wanted > DTB_LARGEST - DTB_ADDITIONS)
		return gh_fail(layout->failure, -EINVAL, STEP, NULL, "Use a smaller devicetree.",
			       "A devicetree of %llu bytes: Linux takes 2 MiB at most, of which 64 KiB are for additions.",
			       (unsigned long long)wanted);
	wanted = (wanted + PAGE - 1) & ~(PAGE - 1);
	plan->dtb_room = wanted * DTB_GROWTH > wanted + DTB_ADDITIONS ? wanted * DTB_GROWTH : wanted + DTB_ADDITIONS;
	if (plan->dtb_room > DTB_LARGEST)
		plan->dtb_room = DTB_LARGEST;
	/* Within a block of its own size it crosses no multiple of a larger one. */
	while (align < plan->dtb_room)
		align *= 2;
	if (!find(layout, plan->dtb_room, align, 0, &plan->dtb_gpa))
		return fail_space(layout, "devicetree", plan->dtb_room);
	take(layout, "devicetree", plan->dtb_gpa, plan->dtb_room);
	return 0;
}

static int check_window(const struct layout *layout)
{
	const struct gh_image_plan *plan = &layout->plan;
	uint64_t kernel_end = plan->kernel_gpa + layout->options->kernel->info.memory_size;
	uint64_t initrd_end = plan->initrd_gpa + plan->initrd_size;
	uint64_t start = plan->kernel_gpa < plan->initrd_gpa ? plan->kernel_gpa : plan->initrd_gpa;
	uint64_t end = kernel_end > initrd_end ? kernel_end : initrd_end;

	start &= ~(INITRD_WINDOW_ALIGN - 1);
	end = (end + INITRD_WINDOW_ALIGN - 1) & ~(INITRD_WINDOW_ALIGN - 1);
	if (end - start <= INITRD_WINDOW)
		return 0;
	return gh_fail(layout->failure, -ENOSPC, STEP, NULL, "Use smaller ones.",
		       "Kernel and initrd are not in one window of 32 GiB, which Linux needs.");
}

static int place_initrd(struct layout *layout)
{
	struct gh_image_plan *plan = &layout->plan;
	const struct gh_image *initrd = layout->options->initrd;

	if (initrd == NULL)
		return 0;
	if (initrd->info.format != GH_IMAGE_RAW)
		return gh_fail(layout->failure, -EINVAL, STEP, NULL, "Open the initrd with GH_IMAGE_RAW.",
			       "The initrd is to be loaded as it is, and was opened as a kernel.");
	plan->initrd_size = initrd->info.memory_size;
	if (!find(layout, plan->initrd_size, LARGE_PAGE, 0, &plan->initrd_gpa))
		return fail_space(layout, "initrd", plan->initrd_size);
	take(layout, "initrd", plan->initrd_gpa, plan->initrd_size);
	return layout->options->kernel->info.format == GH_IMAGE_ARM64 ? check_window(layout) : 0;
}

static int check_fit(const struct layout *layout)
{
	const struct gh_image_place_options *options = layout->options;
	const struct span *first = NULL;
	uint64_t needed = 0;

	for (unsigned int i = 0; i < layout->n_spans; i++) {
		const struct span *span = &layout->spans[i];
		uint64_t size = span->gpa - options->ram_gpa + span->size;

		if (size > options->ram_size && first == NULL)
			first = span;
		if (size > needed)
			needed = size;
	}
	if (first == NULL)
		return 0;
	return gh_fail(layout->failure, -ENOSPC, STEP, NULL, "Give the guest more memory, or use smaller images.",
		       "The %s (%llu KiB, at 0x%llx) does not fit: of %llu KiB from 0x%llx, at least %llu KiB are needed.",
		       first->what, (unsigned long long)(first->size + 1023) / 1024, (unsigned long long)first->gpa,
		       (unsigned long long)options->ram_size / 1024, (unsigned long long)options->ram_gpa,
		       (unsigned long long)(needed + 1023) / 1024);
}

/* --- all of it ---------------------------------------------------------------------------------------------------------- */

static int check_options(const struct layout *layout)
{
	const struct gh_image_place_options *options = layout->options;

	if (options->kernel == NULL)
		return gh_fail_argument(layout->failure, -EINVAL, STEP, "There is no kernel.");
	if (options->ram_size == 0 || options->ram_gpa % PAGE != 0 || options->ram_size % PAGE != 0)
		return gh_fail_argument(
			layout->failure, -EINVAL, STEP,
			"The memory's address and size must be multiples of the page size, the size not 0.");
	if (options->ram_gpa > layout->end || options->ram_size > layout->end - options->ram_gpa)
		return gh_fail_argument(layout->failure, -ERANGE, STEP,
					"The memory wraps around, or ends beyond the guest's address space.");
	return 0;
}

static int place(struct layout *layout, bool begins_at_ram)
{
	int ret = check_options(layout);

	if (ret == 0)
		ret = place_kernel(layout, begins_at_ram);
	if (ret == 0)
		ret = place_dtb(layout);
	if (ret == 0)
		ret = place_initrd(layout);
	return ret == 0 ? check_fit(layout) : ret;
}

int gh_image_place(struct gh_vm *vm, const struct gh_image_place_options *callers, struct gh_image_plan *plan)
{
	struct gh_image_place_options options = GH_IMAGE_PLACE_OPTIONS_INIT;
	struct layout layout = { .options = &options, .plan = GH_IMAGE_PLAN_INIT };
	int ret;

	if (vm == NULL || callers == NULL || plan == NULL || plan->size != sizeof(*plan) ||
	    gh_opts_copy(&options, sizeof(options), sizeof(options), callers) < 0)
		return -EINVAL;
	if (gh_vm_is_forked(vm))
		return gh_fail_forked(vm);
	layout.failure = &vm->failure;
	layout.floor = options.ram_gpa;
	layout.end = UINT64_C(1) << (vm->b.caps.gpa_bits < 52 ? vm->b.caps.gpa_bits : 52);
	layout.plan.kernel = options.kernel;
	layout.plan.initrd = options.initrd;
	(void)pthread_mutex_lock(&vm->lock);
	ret = place(&layout, (vm->b.caps.features & GH_FEATURE_REGISTERS) == 0);
	(void)pthread_mutex_unlock(&vm->lock);
	if (ret == 0)
		*plan = layout.plan;
	return ret;
}
