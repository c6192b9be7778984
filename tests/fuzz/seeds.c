/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writes the fuzzers' first inputs into a directory: a sound devicetree and some spoilt ones, scripts, device strings,
 * kernels, programs for the bus.
 */
#include "image_files.h"
#include "tree.h"

#include <stdio.h>
#include <string.h>

static int write_seed(const char *directory, const char *name, unsigned int number, const void *data, size_t size)
{
	char path[512];
	FILE *file;
	size_t written;

	(void)snprintf(path, sizeof(path), "%s/%s-%u", directory, name, number);
	file = fopen(path, "wb");
	if (file == NULL)
		return 1;
	written = fwrite(data, 1, size, file);
	return fclose(file) != 0 || written != size;
}

static int write_trees(const char *directory)
{
	static const struct tree_bell bell = { 5, 32, 1 };
	static const struct tree_shm shm = { 1, 0x90000000 };
	unsigned char buffer[TREE_ROOM * 2];
	int ret = 0;

	for (unsigned int defect = TREE_SOUND; defect <= TREE_NO_TYPE_VDEVICE; defect++) {
		struct tree tree = { .defect = (enum tree_defect)defect,
				     .bells = &bell,
				     .bell_count = 1,
				     .shms = &shm,
				     .shm_count = 1,
				     .cpus = 2 };

		memset(buffer, 0, sizeof(buffer));
		if (tree_build(&tree, buffer, TREE_ROOM) > 0)
			ret |= write_seed(directory, "tree", defect, buffer, sizeof(buffer));
	}
	return ret;
}

static int write_texts(const char *directory)
{
	static const char *const texts[] = {
		"\x01store 0x7000 4 0x11\nload 0x6000 8\nexpect 5\necho 0x7008 8\nrepeat 3\nspin 2\nend\nvcpu "
		"1\nwfi\noff\n",
		"\x01hvc 1 2 3; raw exit 0x92920001 width=4; on 1; signal 40; loop",
		"\x02sim:gunyah/android14-6.1,engine=kvm,policy=production",
		"\x02gzvm/v9",
		"\x03"
		"7effff000000-7f0000000000 rw-p 00000000 00:00 0\n7f0000000000-7f0000200000 rw-s 00000000 00:01 7 "
		"/dev/zero\n",
	};
	int ret = 0;

	for (unsigned int i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		ret |= write_seed(directory, "text", i, texts[i], strlen(texts[i]));
	return ret;
}

/* Each as it is and as the fuzzer is to pack it, by the first byte. */
static int write_image(const char *directory, struct bytes bytes)
{
	static const unsigned char ways[] = { 0, 1, 2, 5 };
	static unsigned int number;
	struct bytes seed = bytes_new(bytes.size + 1);
	int ret = 0;

	memcpy(seed.data + 1, bytes.data, bytes.size);
	for (unsigned int i = 0; i < sizeof(ways); i++) {
		seed.data[0] = ways[i];
		ret |= write_seed(directory, "image", number++, seed.data, seed.size);
	}
	bytes_free(&seed);
	bytes_free(&bytes);
	return ret;
}

static int write_images(const char *directory)
{
	static const struct elf_program programs[] = {
		{ .offset = 4096, .address = 0x80001000, .file_size = 3000, .size = 3500 },
		{ .offset = 8192, .address = 0x80003000, .file_size = 700, .size = 0x2000 },
	};
	struct bytes plain = image_file(0x80000, 0x10000, 0xa);
	struct bytes packed = pack_gzip(&plain, 6);
	struct bytes wrapped = wrap_zboot(&packed, "gzip");
	int ret = write_image(directory, plain) | write_image(directory, packed) | write_image(directory, wrapped);

	ret |= write_image(directory, image_file_bare(0, 0, 0));
	ret |= write_image(directory, elf_file(2, 0, programs, 2, 9000));
	return ret | write_image(directory, elf_file(3, 0, programs, 2, 9000));
}

/* Programs for the bus: any bytes are one. */
static int write_programs(const char *directory)
{
	unsigned char program[512];
	uint64_t state = 1;
	int ret = 0;

	for (unsigned int i = 0; i < 8; i++) {
		for (size_t at = 0; at < sizeof(program); at++) {
			state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
			program[at] = (unsigned char)(state >> 56);
		}
		ret |= write_seed(directory, "bus", i, program, sizeof(program));
	}
	return ret;
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		(void)fprintf(stderr, "usage: fuzz-seeds DIRECTORY\n");
		return 2;
	}
	return write_trees(argv[1]) | write_texts(argv[1]) | write_images(argv[1]) | write_programs(argv[1]);
}
