/* SPDX-License-Identifier: BSD-3-Clause */
/* Small kernels in memory, sound ones and others. */
#ifndef TESTS_UNIT_IMAGE_FILES_H
#define TESTS_UNIT_IMAGE_FILES_H

#include <gh/image.h>

#include <stddef.h>
#include <stdint.h>

struct bytes {
	uint8_t *data; /* freed by the caller */
	size_t size;
};

struct bytes bytes_new(size_t size); /* with a pattern that no part of repeats soon */
struct bytes bytes_copy(const void *data, size_t size);
void bytes_free(struct bytes *bytes);
void put16(uint8_t *to, uint32_t value);
void put32(uint8_t *to, uint32_t value);
void put64(uint8_t *to, uint64_t value);

/* An arm64 Image with the tables of an EFI program: a header, sections that go to its end, and the pattern. */
#define IMAGE_FILE_SIZE 12000u
#define PE_OPTIONAL_SIZE 160u
struct bytes image_file(uint64_t text_offset, uint64_t image_size, uint64_t flags);
/* Without these tables. */
struct bytes image_file_bare(uint64_t text_offset, uint64_t image_size, uint64_t flags);

/* One program header. */
struct elf_program {
	uint32_t type; /* 0: PT_LOAD */
	uint64_t offset;
	uint64_t virtual_address;
	uint64_t address;
	uint64_t file_size;
	uint64_t size;
	uint64_t align;
};

#define ELF_TABLE 64u /* where the program headers begin */
#define ELF_PROGRAM_SIZE 56u
struct bytes elf_file(uint16_t type, uint64_t entry, const struct elf_program *programs, unsigned int count, size_t size);

/* `level` 0 leaves the bytes as they are, so that a damaged one comes through to the checksum. */
struct bytes pack_gzip(const struct bytes *plain, int level);
/* Empty where the library was built without. */
struct bytes pack_zstd(const struct bytes *plain);
/* The wrapper of an EFI zboot kernel, with something behind the packed bytes. */
#define ZBOOT_PAYLOAD 512u
struct bytes wrap_zboot(const struct bytes *packed, const char *type);

#endif
