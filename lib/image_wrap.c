/* SPDX-License-Identifier: BSD-3-Clause */
/* What is around a kernel: gzip, zstd, an EFI program that unpacks itself. And what a file is that is no kernel. */
#include "image.h"

#include <stdio.h>
#include <string.h>

/*
 * Linux's zboot: an EFI program with a packed Image in it. At 4 "zimg", at 8 where the packed bytes are, at 12 how many, at
 * 24 the name of the packing, which may have its level behind it ("zstd22").
 */
#define ZBOOT_HEAD 64u
#define ZBOOT_MAGIC_AT 4u
#define ZBOOT_OFFSET_AT 8u
#define ZBOOT_SIZE_AT 12u
#define ZBOOT_TYPE_AT 24u
#define ZBOOT_TYPE_SIZE 32u

/* A name from the file, for people: nothing that a terminal would take for a command. */
static void clean_name(char *to, const uint8_t *from, size_t size)
{
	size_t length = 0;

	for (size_t i = 0; i + 1 < size && from[i] > ' ' && from[i] < 0x7f; i++)
		to[length++] = (char)from[i];
	to[length] = '\0';
}

static int open_zboot(struct gh_image *image, const uint8_t *head)
{
	uint32_t offset = gh_le32(head + ZBOOT_OFFSET_AT);
	uint32_t size = gh_le32(head + ZBOOT_SIZE_AT);
	char type[ZBOOT_TYPE_SIZE];

	clean_name(type, head + ZBOOT_TYPE_AT, sizeof(type));
	if (offset < ZBOOT_HEAD || (uint64_t)offset + size > image->source.size)
		return GH_IMAGE_FAIL(image, -ENOEXEC, "Get the file again.",
				     "its packed kernel is at byte %u and has %u bytes, but the file has %llu: truncated.",
				     offset, size, (unsigned long long)image->source.size);
	if (strncmp(type, "gzip", 4) == 0)
		image->info.packing = GH_IMAGE_GZIP;
	else if (strncmp(type, "zstd", 4) == 0)
		image->info.packing = GH_IMAGE_ZSTD;
	else
		return GH_IMAGE_FAIL(image, -EOPNOTSUPP,
				     "Use the kernel's Image, or build it with gzip (CONFIG_KERNEL_GZIP).",
				     "an EFI zboot kernel that is packed with \"%s\".", type);
	image->info.flags |= GH_IMAGE_ZBOOT;
	image->begin = offset;
	image->limit = (uint64_t)offset + size;
	return 0;
}

static bool begins_with(const uint8_t *head, size_t length, const char *magic, size_t size)
{
	return length >= size && memcmp(head, magic, size) == 0;
}

int gh_image_unwrap(struct gh_image *image, const uint8_t *head, size_t length)
{
	const struct gh_unpacker *unpacker;
	int ret = 0;

	image->begin = 0;
	image->limit = image->source.size;
	if (length >= ZBOOT_HEAD && memcmp(head, "MZ", 2) == 0 && memcmp(head + ZBOOT_MAGIC_AT, "zimg", 4) == 0)
		ret = open_zboot(image, head);
	else if (begins_with(head, length, "\x1f\x8b\x08", 3))
		image->info.packing = GH_IMAGE_GZIP;
	else if (begins_with(head, length, "\x28\xb5\x2f\xfd", 4))
		image->info.packing = GH_IMAGE_ZSTD;
	if (ret == 0 && gh_unpacker_find(image->info.packing, &unpacker) < 0)
		return GH_IMAGE_FAIL(image, -EOPNOTSUPP, "Unpack it with zstd -d, or build libgh where libzstd is.",
				     "it is packed with zstd, and this libgh was built without.");
	return ret;
}

/* --- what else it may be --------------------------------------------------------------------------------------------- */

struct known {
	unsigned int offset;
	unsigned int size;
	const char *magic;
	const char *what;
	const char *remedy;
	int error;
};

#define UNPACK "Unpack it first, with the program of that name."
#define WRONG_MACHINE "Take a kernel for arm64."

int gh_image_refuse_unknown(struct gh_image *image, const uint8_t *head, size_t length)
{
	static const struct known known[] = {
		{ 0, 4, "\x02\x21\x4c\x18", "packed with lz4", UNPACK, -EOPNOTSUPP },
		{ 0, 4, "\x04\x22\x4d\x18", "packed with lz4", UNPACK, -EOPNOTSUPP },
		{ 0, 5, "\xfd\x37zXZ", "packed with xz", UNPACK, -EOPNOTSUPP },
		{ 0, 3, "\x5d\0\0", "packed with lzma", UNPACK, -EOPNOTSUPP },
		{ 0, 3, "BZh", "packed with bzip2", UNPACK, -EOPNOTSUPP },
		{ 0, 4, "\x89LZO", "packed with lzop", UNPACK, -EOPNOTSUPP },
		{ 0, 8, "ANDROID!", "an Android boot image", "Take the kernel out of it, with unpack_bootimg.", -ENOEXEC },
		{ 0, 4, "\x27\x05\x19\x56", "a U-Boot uImage", "Take the kernel out of it, with dumpimage.", -ENOEXEC },
		{ 0, 4, "\xd0\x0d\xfe\xed", "a devicetree or a FIT image", "Take the kernel itself.", -ENOEXEC },
		{ 0, 5, "07070", "a cpio archive", "Open an initrd with GH_IMAGE_RAW.", -ENOEXEC },
		{ 0x24, 4, "\x18\x28\x6f\x01", "a zImage for 32-bit arm", WRONG_MACHINE, -ENOEXEC },
		{ 0x38, 4, "RSC\x05", "an Image for RISC-V", WRONG_MACHINE, -ENOEXEC },
		{ 0x202, 4, "HdrS", "a kernel for x86", WRONG_MACHINE, -ENOEXEC },
		{ 0, 2, "MZ", "an EFI program other than Linux", "Take the kernel itself.", -ENOEXEC },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (length > known[i].offset &&
		    begins_with(head + known[i].offset, length - known[i].offset, known[i].magic, known[i].size))
			return GH_IMAGE_FAIL(image, known[i].error, known[i].remedy, "it is %s.", known[i].what);
	return GH_IMAGE_FAIL(image, -ENOEXEC, "Open it with GH_IMAGE_RAW if it is to be loaded as it is.",
			     "it is neither an arm64 Image nor an ELF file%s.",
			     image->info.packing != GH_IMAGE_PLAIN ? " when it is unpacked" : "");
}
