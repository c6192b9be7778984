/* SPDX-License-Identifier: BSD-3-Clause */
#include "image_files.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#ifdef GH_HAVE_ZSTD
#include <zstd.h>
#endif

void put16(uint8_t *to, uint32_t value)
{
	to[0] = (uint8_t)value;
	to[1] = (uint8_t)(value >> 8);
}

void put32(uint8_t *to, uint32_t value)
{
	put16(to, value);
	put16(to + 2, value >> 16);
}

void put64(uint8_t *to, uint64_t value)
{
	put32(to, (uint32_t)value);
	put32(to + 4, (uint32_t)(value >> 32));
}

struct bytes bytes_new(size_t size)
{
	struct bytes bytes = { malloc(size + 1), size };
	uint32_t state = 1;

	for (size_t i = 0; i < size; i++) {
		state = state * 1664525u + 1013904223u;
		bytes.data[i] = (uint8_t)(state >> 24);
	}
	return bytes;
}

struct bytes bytes_copy(const void *data, size_t size)
{
	struct bytes bytes = { malloc(size + 1), size };

	memcpy(bytes.data, data, size);
	return bytes;
}

void bytes_free(struct bytes *bytes)
{
	free(bytes->data);
	*bytes = (struct bytes){ 0 };
}

/* --- Image ---------------------------------------------------------------------------------------------------------------- */

struct bytes image_file_bare(uint64_t text_offset, uint64_t image_size, uint64_t flags)
{
	struct bytes bytes = bytes_new(IMAGE_FILE_SIZE);

	memset(bytes.data, 0, 64);
	put32(bytes.data, 0x14000010); /* b .+64 */
	put64(bytes.data + 8, text_offset);
	put64(bytes.data + 16, image_size);
	put64(bytes.data + 24, flags);
	memcpy(bytes.data + 56, "ARM\x64", 4);
	return bytes;
}

struct bytes image_file(uint64_t text_offset, uint64_t image_size, uint64_t flags)
{
	struct bytes bytes = image_file_bare(text_offset, image_size, flags);
	uint8_t *pe = bytes.data + 64;
	uint8_t *section;

	put32(bytes.data, 0xfa405a4d); /* "MZ", and an instruction that does nothing */
	put32(bytes.data + 4, 0x1400000f);
	put32(bytes.data + 60, 64);
	memset(pe, 0, 256);
	memcpy(pe, "PE\0\0", 4);
	put16(pe + 4, 0xaa64);
	put16(pe + 6, 2);
	put16(pe + 20, PE_OPTIONAL_SIZE);
	put32(pe + 24 + 108, 6);
	put32(pe + 24 + 144, IMAGE_FILE_SIZE - 500); /* a signature at the end */
	put32(pe + 24 + 148, 500);
	section = pe + 24 + PE_OPTIONAL_SIZE;
	memcpy(section, ".text", 5);
	put32(section + 16, 8000 - 4096);
	put32(section + 20, 4096);
	section += 40;
	memcpy(section, ".data", 5);
	put32(section + 16, IMAGE_FILE_SIZE - 500 - 8000);
	put32(section + 20, 8000);
	return bytes;
}

/* --- ELF ------------------------------------------------------------------------------------------------------------------ */

struct bytes elf_file(uint16_t type, uint64_t entry, const struct elf_program *programs, unsigned int count, size_t size)
{
	struct bytes bytes = bytes_new(size);

	memset(bytes.data, 0, ELF_TABLE + count * ELF_PROGRAM_SIZE);
	memcpy(bytes.data,
	       "\x7f"
	       "ELF\2\1\1",
	       7);
	put16(bytes.data + 16, type);
	put16(bytes.data + 18, 183);
	put32(bytes.data + 20, 1);
	put64(bytes.data + 24, entry);
	put64(bytes.data + 32, ELF_TABLE);
	put16(bytes.data + 52, 64);
	put16(bytes.data + 54, ELF_PROGRAM_SIZE);
	put16(bytes.data + 56, count);
	for (unsigned int i = 0; i < count; i++) {
		uint8_t *program = bytes.data + ELF_TABLE + i * ELF_PROGRAM_SIZE;

		put32(program, programs[i].type != 0 ? programs[i].type : 1);
		put32(program + 4, 7);
		put64(program + 8, programs[i].offset);
		put64(program + 16, programs[i].virtual_address);
		put64(program + 24, programs[i].address);
		put64(program + 32, programs[i].file_size);
		put64(program + 40, programs[i].size);
		put64(program + 48, programs[i].align);
	}
	return bytes;
}

/* --- packing -------------------------------------------------------------------------------------------------------------- */

struct bytes pack_gzip(const struct bytes *plain, int level)
{
	size_t room = plain->size + plain->size / 1000 + 256;
	struct bytes packed = { malloc(room), 0 };
	z_stream z;

	memset(&z, 0, sizeof(z));
	(void)deflateInit2(&z, level, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
	z.next_in = plain->data;
	z.avail_in = (uInt)plain->size;
	z.next_out = packed.data;
	z.avail_out = (uInt)room;
	(void)deflate(&z, Z_FINISH);
	packed.size = room - z.avail_out;
	(void)deflateEnd(&z);
	return packed;
}

struct bytes pack_zstd(const struct bytes *plain)
{
#ifdef GH_HAVE_ZSTD
	size_t room = ZSTD_compressBound(plain->size);
	struct bytes packed = { malloc(room), 0 };

	packed.size = ZSTD_compress(packed.data, room, plain->data, plain->size, 3);
	return packed;
#else
	(void)plain;
	return (struct bytes){ 0 };
#endif
}

struct bytes wrap_zboot(const struct bytes *packed, const char *type)
{
	struct bytes bytes = bytes_new(ZBOOT_PAYLOAD + packed->size + 1024);

	memset(bytes.data, 0, ZBOOT_PAYLOAD);
	memcpy(bytes.data, "MZ\0\0zimg", 8);
	put32(bytes.data + 8, ZBOOT_PAYLOAD);
	put32(bytes.data + 12, (uint32_t)packed->size);
	memcpy(bytes.data + 24, type, strlen(type));
	put32(bytes.data + 56, 0x818223cd);
	put32(bytes.data + 60, 64);
	memcpy(bytes.data + ZBOOT_PAYLOAD, packed->data, packed->size);
	return bytes;
}
