/* SPDX-License-Identifier: BSD-3-Clause */
#include "rev.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

const char *const rev_names[REV_COUNT] = {
	"v8",
	"v10",
	"v11",
	"v14",
	"v17",
	"android14-6.1-early",
	"android14-6.1",
	"android15-6.6-early",
	"android15-6.6-mid",
	"android15-6.6",
	"android16-6.12",
	"android-latest",
};

void rev_open(struct raw *raw, const char *revision, const char *script)
{
	char device[64];

	(void)snprintf(device, sizeof(device), "gunyah/%s,engine=script", revision);
	raw_open(raw, device, script);
}

int rev_add_named(struct raw *raw, const char *name, const void *argument, size_t size)
{
	struct uapi_gunyah_named_fn fn;

	memset(&fn, 0, sizeof(fn));
	(void)snprintf(fn.name, sizeof(fn.name), "%s", name);
	memcpy(fn.u.data, argument, size);
	return raw_ioctl(raw, raw->vm, UAPI_GUNYAH_ADD_NAMED_FUNCTION, &fn);
}

int rev_add_vcpu(struct raw *raw, uint32_t id)
{
	int ret = raw_add_vcpu(raw, id);

	return ret == -ENOTTY ? rev_add_named(raw, "vcpu", &id, sizeof(id)) : ret;
}

void rev_make_vcpu(struct raw *raw, uint32_t id)
{
	void *page;

	raw->vcpu[id] = rev_add_vcpu(raw, id);
	ck_assert_int_ge(raw->vcpu[id], 0);
	ck_assert_int_eq(raw->sys->mmap(raw->sys, NULL, RAW_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, raw->vcpu[id], &page),
			 0);
	raw->page[id] = page;
}

int rev_gmem(struct raw *raw, uint64_t flags, uint64_t size)
{
	struct uapi_gunyah_create_mem args = { flags, size, { 0 } };

	return raw_ioctl(raw, raw->device, UAPI_GUNYAH_CREATE_GUEST_MEM, &args);
}

int rev_map(struct raw *raw, int fd, uint32_t flags, uint64_t gpa, uint64_t offset, uint64_t size)
{
	struct uapi_gunyah_map_mem args = { gpa, flags, (uint32_t)fd, offset, size };

	return raw_ioctl(raw, raw->vm, UAPI_GUNYAH_MAP_MEM, &args);
}

uint8_t *rev_host(struct raw *raw, int fd, uint64_t size)
{
	void *host;

	ck_assert_int_eq(raw->sys->mmap(raw->sys, NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, &host), 0);
	return host;
}

void rev_unhost(struct raw *raw, uint8_t *host, uint64_t size)
{
	ck_assert_int_eq(raw->sys->munmap(raw->sys, host, size), 0);
}

/* The file of guest memory lives on in the VM. */
static int give_gmem(struct raw *raw, const struct rev_boot *boot, uint32_t flags)
{
	int fd = rev_gmem(raw, UAPI_GUNYAH_GUEST_MEM_CLOEXEC, RAW_RAM_SIZE);
	uint8_t *host;
	int ret;

	if (fd < 0)
		return fd;
	host = rev_host(raw, fd, RAW_RAM_SIZE);
	memcpy(host, raw->ram, RAW_RAM_SIZE);
	rev_unhost(raw, host, RAW_RAM_SIZE);
	flags = flags << 4 | (boot->share ? UAPI_GUNYAH_MAP_FORCE_SHARE : UAPI_GUNYAH_MAP_DEFAULT_ACCESS);
	ret = rev_map(raw, fd, flags, TREE_BASE, 0, RAW_RAM_SIZE);
	ck_assert_int_eq(raw->sys->close(raw->sys, fd), 0);
	return ret;
}

void rev_configure(struct raw *raw, const struct rev_boot *boot)
{
	uint32_t flags = boot->flags == 0 ? RAW_RWX : boot->flags;
	int ret;

	ck_assert_uint_gt(tree_build(&boot->tree, raw->ram + RAW_DTB, RAW_RAM_SIZE - RAW_DTB), 0);
	ret = give_gmem(raw, boot, flags);
	if (ret == -ENOTTY && !boot->share)
		ret = raw_lend(raw, 7, flags, TREE_BASE, RAW_RAM_SIZE, raw->ram);
	if (ret == -ENOTTY)
		ret = raw_share(raw, 7, flags, TREE_BASE, RAW_RAM_SIZE, raw->ram);
	ck_assert_int_eq(ret, 0);
	ck_assert_int_eq(raw_set_dtb(raw, TREE_BASE + RAW_DTB, boot->dtb_size == 0 ? TREE_ROOM : boot->dtb_size), 0);
}

int rev_boot(struct raw *raw, const struct rev_boot *boot)
{
	rev_configure(raw, boot);
	return raw_start(raw);
}

void rev_run_script(struct raw *raw, const char *revision, const char *script)
{
	static const struct rev_boot plain = { .share = false };

	rev_open(raw, revision, script);
	rev_make_vcpu(raw, 0);
	ck_assert_int_eq(rev_boot(raw, &plain), 0);
}

const char *rev_resume(struct raw *raw, uint8_t action)
{
	raw->page[0]->u.mmio.resume_action = action;
	return raw_run(raw, 0);
}

int rev_boot_register(struct raw *raw, uint32_t reg, uint64_t value)
{
	struct uapi_gunyah_boot_context context = { reg, 0, value };

	return raw_ioctl(raw, raw->vm, UAPI_GUNYAH_SET_BOOT_CONTEXT, &context);
}

int rev_range(struct raw *raw, unsigned long request, uint64_t gpa, uint64_t size)
{
	struct uapi_gunyah_range range = { gpa, size };

	return raw_ioctl(raw, raw->vm, request, &range);
}
