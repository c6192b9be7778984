/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The arm64 Image: 64 bytes of header before the first instruction's code. Where EFI can start it, too, the tables of an EFI
 * program follow, and say how long the file must be.
 */
#include "image.h"

#include <string.h>

#define HEAD 64u
#define TEXT_OFFSET_AT 8u
#define IMAGE_SIZE_AT 16u
#define FLAGS_AT 24u
#define MAGIC_AT 56u
#define PE_AT 60u

#define FLAG_BIG_ENDIAN UINT64_C(1)
#define FLAG_PAGES(flags) ((flags) >> 1 & 3)

/* Before Linux 3.17 the header had no size, and text_offset was this, in whatever byte order. */
#define OLD_TEXT_OFFSET UINT64_C(0x80000)
/* For what such a kernel clears behind its file; stock ones had some megabytes. */
#define OLD_CLEARED (UINT64_C(16) << 20)

/* Of the EFI program's tables. */
#define PE_HEAD 24u
#define PE_SECTIONS_AT 6u
#define PE_OPTIONAL_SIZE_AT 20u
#define PE_DIRECTORIES_AT 108u /* in the optional header: their number, and then they */
#define PE_CERTIFICATES_AT 144u
#define PE_CERTIFICATES_END 152u
#define PE_SECTION 40u
#define PE_RAW_SIZE_AT 16u
#define PE_RAW_AT 20u

bool gh_arm64_is(const uint8_t *head, size_t length)
{
	return length >= HEAD && memcmp(head + MAGIC_AT, "ARM\x64", 4) == 0;
}

/* A signature stands behind everything else. `optional` is the optional header, or what there is of it. */
static uint64_t read_signature(const uint8_t *optional, size_t length)
{
	if (length < PE_CERTIFICATES_END || gh_le32(optional + PE_DIRECTORIES_AT) < 5)
		return 0;
	return (uint64_t)gh_le32(optional + PE_CERTIFICATES_AT) + gh_le32(optional + PE_CERTIFICATES_AT + 4);
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* How long the tables say that the file is; 0: nobody says. Tables outside of `head` are not looked at. */
static uint64_t read_tables(const uint8_t *head, size_t length)
{
	uint64_t pe = gh_le32(head + PE_AT);
	uint64_t table;
	uint64_t least;
	uint16_t optional;

	if (memcmp(head, "MZ", 2) != 0 || pe < HEAD)
		return 0;
	least = pe + PE_HEAD;
	if (least > length || memcmp(head + pe, "PE\0\0", 4) != 0)
		return least > length ? least : 0;
	optional = gh_le16(head + pe + PE_OPTIONAL_SIZE_AT);
	table = pe + PE_HEAD + optional;
	if (table <= length)
		least = larger(least, read_signature(head + pe + PE_HEAD, optional));
	for (unsigned int i = 0; i < gh_le16(head + pe + PE_SECTIONS_AT); i++) {
		uint64_t section = table + (uint64_t)i * PE_SECTION;
		uint64_t end = section + PE_SECTION;

		if (end <= length)
			end = (uint64_t)gh_le32(head + section + PE_RAW_AT) + gh_le32(head + section + PE_RAW_SIZE_AT);
		least = larger(least, end);
	}
	return least;
}

static int check_old(struct gh_image *image)
{
	if (image->info.packing != GH_IMAGE_PLAIN)
		return GH_IMAGE_FAIL(image, -EOPNOTSUPP, "Unpack it first.",
				     "a packed Image from before Linux 3.17, whose header does not say how large it is.");
	image->info.text_offset = OLD_TEXT_OFFSET;
	image->info.memory_size = image->source.size + OLD_CLEARED;
	return 0;
}

static int check_sizes(struct gh_image *image, const uint8_t *head)
{
	uint64_t text_offset = gh_le64(head + TEXT_OFFSET_AT);
	uint64_t size = gh_le64(head + IMAGE_SIZE_AT);

	if (image->info.packing == GH_IMAGE_PLAIN && image->least > image->source.size)
		return GH_IMAGE_FAIL(image, -ENOEXEC, "Get the file again.",
				     "its header speaks of %llu bytes, but the file has %llu: truncated.",
				     (unsigned long long)image->least, (unsigned long long)image->source.size);
	if (size == 0)
		return check_old(image);
	if (text_offset >= GH_IMAGE_BLOCK || text_offset % 4 != 0)
		return GH_IMAGE_FAIL(image, -ENOEXEC, "Get the file again.",
				     "text_offset 0x%llx of its header is not a multiple of 4 below 2 MiB.",
				     (unsigned long long)text_offset);
	if (size > GH_IMAGE_LARGEST)
		return GH_IMAGE_FAIL(image, -EFBIG, "Get the file again.", "it asks for 0x%llx bytes of memory.",
				     (unsigned long long)size);
	image->info.text_offset = text_offset;
	/* A signature, or what somebody has appended, may go beyond the kernel's own memory. */
	image->info.memory_size = larger(size, image->info.packing == GH_IMAGE_PLAIN ? image->source.size : image->least);
	return 0;
}

int gh_arm64_inspect(struct gh_image *image, const uint8_t *head, size_t length)
{
	static const uint32_t page_sizes[] = { 0, 4096, 16384, 65536 };
	uint64_t flags = gh_le64(head + FLAGS_AT);
	int ret;

	image->info.format = GH_IMAGE_ARM64;
	image->info.alignment = GH_IMAGE_BLOCK;
	image->info.flags |= GH_IMAGE_RELOCATABLE;
	image->least = read_tables(head, length);
	ret = check_sizes(image, head);
	if (ret < 0)
		return ret;
	/* Where there is no size, there are no flags either. */
	if (gh_le64(head + IMAGE_SIZE_AT) == 0)
		return 0;
	image->info.page_size = page_sizes[FLAG_PAGES(flags)];
	if ((flags & FLAG_BIG_ENDIAN) != 0)
		image->info.flags |= GH_IMAGE_BIG_ENDIAN;
	return 0;
}
