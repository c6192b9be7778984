/* SPDX-License-Identifier: BSD-3-Clause */
/* ELF64 for arm64: the segments to load, checked, and in the order of the file, so that a packed one can be read, too. */
#include "image.h"

#include <elf.h>
#include <string.h>

/* Between two segments in a packed file: unpacked only to be thrown away. */
#define LARGEST_GAP (UINT64_C(16) << 20)
#define LARGEST_ALIGN (UINT64_C(1) << 30)

/* What is wanted of one program header. */
struct program {
	uint32_t type;
	struct gh_segment segment;
	uint64_t virtual_address;
	uint64_t align;
};

/* What the segments have in common. */
struct outline {
	uint64_t lowest;
	uint64_t highest;
	uint64_t align;
	bool has_entry;
	uint64_t entry; /* physical */
};

static int refuse(const struct gh_image *image, const char *cause)
{
	return GH_IMAGE_FAIL(image, -ENOEXEC, "Take an ELF64 file for arm64, whole and linked.", "%s", cause);
}

bool gh_elf_is(const uint8_t *head, size_t length)
{
	return length >= SELFMAG && memcmp(head, ELFMAG, SELFMAG) == 0;
}

static int check_head(const struct gh_image *image, const uint8_t *head, size_t length)
{
	uint16_t type;

	if (length < sizeof(Elf64_Ehdr))
		return refuse(image, "it ends within the header of an ELF file.");
	if (head[EI_CLASS] != ELFCLASS64 || head[EI_DATA] != ELFDATA2LSB || head[EI_VERSION] != EV_CURRENT)
		return refuse(image, "an ELF file that is not of 64 bits and little-endian.");
	if (gh_le16(head + offsetof(Elf64_Ehdr, e_machine)) != EM_AARCH64)
		return refuse(image, "an ELF file for another machine.");
	type = gh_le16(head + offsetof(Elf64_Ehdr, e_type));
	if (type != ET_EXEC && type != ET_DYN)
		return refuse(image, "an ELF file that is not linked to be run.");
	if (gh_le16(head + offsetof(Elf64_Ehdr, e_phentsize)) != sizeof(Elf64_Phdr))
		return refuse(image, "an ELF file whose program headers have a wrong size.");
	return 0;
}

static void read_program(const uint8_t *bytes, struct program *program)
{
	program->type = gh_le32(bytes + offsetof(Elf64_Phdr, p_type));
	program->segment.offset = gh_le64(bytes + offsetof(Elf64_Phdr, p_offset));
	program->segment.file_size = gh_le64(bytes + offsetof(Elf64_Phdr, p_filesz));
	program->segment.address = gh_le64(bytes + offsetof(Elf64_Phdr, p_paddr));
	program->segment.size = gh_le64(bytes + offsetof(Elf64_Phdr, p_memsz));
	program->virtual_address = gh_le64(bytes + offsetof(Elf64_Phdr, p_vaddr));
	program->align = gh_le64(bytes + offsetof(Elf64_Phdr, p_align));
}

static int check_program(const struct gh_image *image, const struct program *program)
{
	const struct gh_segment *segment = &program->segment;
	bool is_plain = image->info.packing == GH_IMAGE_PLAIN;
	uint64_t limit = is_plain ? image->source.size : GH_IMAGE_LARGEST;

	if (segment->file_size > segment->size)
		return refuse(image, "a segment has more bytes in the file than in memory.");
	if (segment->size > GH_IMAGE_LARGEST)
		return GH_IMAGE_FAIL(image, -EFBIG, "Get the file again.", "a segment asks for 0x%llx bytes of memory.",
				     (unsigned long long)segment->size);
	if (segment->size > UINT64_MAX - segment->address)
		return refuse(image, "a segment's address wraps around.");
	/* Of one that is all zeroes linkers write any offset, often one behind the end. */
	if (segment->file_size > 0 && (segment->file_size > limit || segment->offset > limit - segment->file_size))
		return refuse(image, "a segment is beyond the end of the file: truncated.");
	if ((program->align & (program->align - 1)) != 0 || program->align > LARGEST_ALIGN)
		return refuse(image, "a segment's alignment is not a power of two, or above 1 GiB.");
	return 0;
}

static int add_segment(struct gh_image *image, const struct gh_segment *segment)
{
	unsigned int at = image->n_segments;

	for (unsigned int i = 0; i < image->n_segments; i++) {
		const struct gh_segment *other = &image->segments[i];

		if (segment->address < other->address + other->size && other->address < segment->address + segment->size)
			return refuse(image, "two segments overlap in memory.");
	}
	while (at > 0 && image->segments[at - 1].offset > segment->offset) {
		image->segments[at] = image->segments[at - 1];
		at--;
	}
	image->segments[at] = *segment;
	image->n_segments++;
	return 0;
}

/* The entry is a virtual address, and what is loaded are physical ones. */
static void widen(struct outline *outline, const struct program *program, uint64_t entry)
{
	const struct gh_segment *segment = &program->segment;

	if (segment->address < outline->lowest)
		outline->lowest = segment->address;
	if (segment->address + segment->size > outline->highest)
		outline->highest = segment->address + segment->size;
	if (program->align > outline->align)
		outline->align = program->align;
	if (entry >= program->virtual_address && entry - program->virtual_address < segment->size) {
		outline->has_entry = true;
		outline->entry = segment->address + (entry - program->virtual_address);
	}
}

/* The table of program headers; `table` has room for all of them. */
static int read_table(struct gh_image *image, const uint8_t *head, size_t length, uint8_t *table, unsigned int count)
{
	uint64_t at = gh_le64(head + offsetof(Elf64_Ehdr, e_phoff));
	size_t size = count * sizeof(Elf64_Phdr);

	if (at <= length && size <= length - at) {
		memcpy(table, head + at, size);
		return 0;
	}
	if (image->info.packing != GH_IMAGE_PLAIN)
		return refuse(image,
			      "the program headers of the packed ELF file are not at its beginning, or it is truncated.");
	if (at > image->source.size || size > image->source.size - at)
		return refuse(image, "the program headers are beyond the end of the file: truncated.");
	return gh_image_fail_stream(image, gh_source_read(&image->source, at, table, size));
}

static int read_programs(struct gh_image *image, const uint8_t *head, size_t length, struct outline *outline)
{
	uint8_t table[GH_IMAGE_SEGMENTS * sizeof(Elf64_Phdr)];
	unsigned int count = gh_le16(head + offsetof(Elf64_Ehdr, e_phnum));
	int ret;

	if (count == 0 || count > GH_IMAGE_SEGMENTS)
		return refuse(image, "an ELF file without program headers, or with more than 64.");
	ret = read_table(image, head, length, table, count);
	for (unsigned int i = 0; i < count && ret == 0; i++) {
		struct program program;

		read_program(table + i * sizeof(Elf64_Phdr), &program);
		if (program.type != PT_LOAD || program.segment.size == 0)
			continue;
		ret = check_program(image, &program);
		if (ret == 0)
			ret = add_segment(image, &program.segment);
		widen(outline, &program, gh_le64(head + offsetof(Elf64_Ehdr, e_entry)));
	}
	return ret;
}

/* A packed file is read once from its beginning to its end. */
static int check_order(const struct gh_image *image)
{
	uint64_t position = 0;

	for (unsigned int i = 0; i < image->n_segments; i++) {
		const struct gh_segment *segment = &image->segments[i];

		if (segment->file_size == 0)
			continue;
		if (segment->offset < position || segment->offset - position > LARGEST_GAP)
			return refuse(image,
				      "a packed ELF file whose segments share bytes, or are far apart: unpack it first.");
		position = segment->offset + segment->file_size;
	}
	return 0;
}

int gh_elf_inspect(struct gh_image *image, const uint8_t *head, size_t length)
{
	struct outline outline = { .lowest = UINT64_MAX, .align = GH_IMAGE_BLOCK };
	int ret = check_head(image, head, length);

	if (ret == 0)
		ret = read_programs(image, head, length, &outline);
	if (ret == 0 && image->info.packing != GH_IMAGE_PLAIN)
		ret = check_order(image);
	if (ret < 0)
		return ret;
	if (image->n_segments == 0)
		return refuse(image, "an ELF file with nothing to load.");
	if (!outline.has_entry || outline.entry % 4 != 0)
		return refuse(image, "the entry point is in none of the segments, or not a multiple of 4.");
	if (outline.highest - outline.lowest > GH_IMAGE_LARGEST)
		return GH_IMAGE_FAIL(image, -EFBIG, "Get the file again.", "its segments are 0x%llx bytes apart.",
				     (unsigned long long)(outline.highest - outline.lowest));
	image->info.format = GH_IMAGE_ELF64;
	image->info.memory_size = outline.highest - outline.lowest;
	image->info.alignment = outline.align;
	image->info.text_offset = outline.lowest & (outline.align - 1);
	image->info.entry = outline.entry - outline.lowest;
	image->info.address = outline.lowest;
	if (gh_le16(head + offsetof(Elf64_Ehdr, e_type)) == ET_DYN)
		image->info.flags |= GH_IMAGE_RELOCATABLE;
	return 0;
}
