/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A fuzzer's function without the fuzzer: inputs of random bytes, the same ones each time, or files. For compilers and
 * processors that have no libFuzzer, and to look into an input that it has found.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define ROOM 65536u
#define LONGEST 1024u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t buffer[ROOM];

static int play_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	size_t size;

	if (file == NULL) {
		perror(path);
		return 2;
	}
	size = fread(buffer, 1, sizeof(buffer), file);
	(void)fclose(file);
	return LLVMFuzzerTestOneInput(buffer, size);
}

static void play_random(uint64_t number)
{
	uint64_t state = number * UINT64_C(0x9e3779b97f4a7c15) + 1;
	size_t size = LONGEST;

	for (size_t i = 0; i < size; i++) {
		state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		buffer[i] = (uint8_t)(state >> 56);
		if (i == 0)
			size = 32 + (state >> 33) % (LONGEST - 32);
	}
	(void)LLVMFuzzerTestOneInput(buffer, size);
}

int main(int argc, char **argv)
{
	int ret = 0;

	if (argc == 3 && argv[1][0] == '-' && argv[1][1] == 'n') {
		uint64_t count = strtoull(argv[2], NULL, 10);

		for (uint64_t i = 0; i < count; i++)
			play_random(i);
		return count > 0 ? 0 : 2;
	}
	if (argc < 2) {
		(void)fprintf(stderr, "usage: %s -n COUNT | FILE...\n", argv[0]);
		return 2;
	}
	for (int i = 1; i < argc; i++)
		ret |= play_file(argv[i]);
	return ret;
}
