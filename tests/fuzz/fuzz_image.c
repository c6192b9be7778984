/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whatever a file holds: opening, placing and loading it stay inside of it and of the guest's memory. The first byte says
 * how the rest is packed before the library sees it, so that the fuzzer need not learn to pack.
 */
#include "image_files.h"

#include <gh/gh.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define RAM_GPA UINT64_C(0x80000000)
#define RAM_SIZE (UINT64_C(4) << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One for all inputs. The library's mapping has inaccessible pages on both sides: a byte beyond is noticed. */
static struct gh_vm *make_vm(void)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_memory memory = GH_MEMORY_INIT;
	struct gh_vm *vm = NULL;

	options.backend = "fake";
	memory.gpa = RAM_GPA;
	memory.length = RAM_SIZE;
	if (gh_fake_new(&options.fake) < 0 || gh_vm_open(&options, &vm) < 0 || gh_vm_map(vm, &memory, NULL) < 0)
		__builtin_trap();
	return vm;
}

static void check_info(const struct gh_image_info *info)
{
	if (info->memory_size == 0 || info->memory_size > UINT64_C(1) << 40 || info->entry >= info->memory_size ||
	    (info->alignment & (info->alignment - 1)) != 0 || info->text_offset >= info->alignment)
		__builtin_trap();
}

static void check_plan(const struct gh_image_plan *plan, const struct gh_image_info *info)
{
	if (plan->kernel_gpa < RAM_GPA || plan->kernel_gpa - RAM_GPA > RAM_SIZE ||
	    info->memory_size > RAM_SIZE - (plan->kernel_gpa - RAM_GPA) || plan->dtb_gpa < RAM_GPA ||
	    plan->dtb_gpa + plan->dtb_room > RAM_GPA + RAM_SIZE ||
	    (plan->dtb_gpa < plan->kernel_gpa + info->memory_size && plan->kernel_gpa < plan->dtb_gpa + plan->dtb_room))
		__builtin_trap();
}

static void explain(int ret, const struct gh_failure *failure)
{
	if (ret < 0 && (failure->error != ret || failure->cause[0] == '\0' || failure->remedy[0] == '\0'))
		__builtin_trap();
}

static void try_bytes(const struct bytes *bytes, uint32_t format)
{
	static struct gh_vm *vm;
	struct gh_failure failure = GH_FAILURE_INIT;
	struct gh_image_options options = GH_IMAGE_OPTIONS_INIT;
	struct gh_image_place_options place = GH_IMAGE_PLACE_OPTIONS_INIT;
	struct gh_image_plan plan = GH_IMAGE_PLAN_INIT;
	int ret;

	if (vm == NULL)
		vm = make_vm();
	options.data = bytes->data;
	options.length = bytes->size;
	options.format = format;
	options.failure = &failure;
	ret = gh_image_open(&options, &place.kernel);
	explain(ret, &failure);
	if (ret < 0)
		return;
	check_info(gh_image_info(place.kernel));
	place.ram_gpa = RAM_GPA;
	place.ram_size = RAM_SIZE;
	ret = gh_image_place(vm, &place, &plan);
	explain(ret, gh_vm_failure(vm));
	if (ret == 0) {
		check_plan(&plan, gh_image_info(place.kernel));
		explain(gh_image_load_plan(vm, &plan), gh_vm_failure(vm));
	}
	gh_image_close(place.kernel);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes plain;
	struct bytes packed;
	struct bytes wrapped;

	if (size < 2)
		return 0;
	plain = bytes_copy(data + 1, size - 1);
	packed = plain;
	wrapped = plain;
	if (data[0] % 4 == 1)
		packed = pack_gzip(&plain, data[0] >> 2 & 1);
	else if (data[0] % 4 == 2)
		packed = pack_zstd(&plain);
	if (data[0] % 8 == 5)
		wrapped = wrap_zboot(&packed, "gzip");
	try_bytes(wrapped.data != plain.data ? &wrapped : &packed, data[0] == 3 ? GH_IMAGE_RAW : GH_IMAGE_AUTO);
	if (wrapped.data != plain.data)
		bytes_free(&wrapped);
	if (packed.data != plain.data)
		bytes_free(&packed);
	bytes_free(&plain);
	return 0;
}
