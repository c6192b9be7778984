/* SPDX-License-Identifier: BSD-3-Clause */
/* Text from outside: scripts, device strings, the kernel's list of mappings. The first byte chooses. */
#include "backend/geniezone.h"
#include "sim/machine.h"
#include "sim/script.h"

#include <gh/sim.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A kernel whose /proc/self/maps is the input, read in pieces. */
struct text_kernel {
	struct gh_sys sys;
	const uint8_t *text;
	size_t left;
};

static int text_open(struct gh_sys *sys, const char *path, int flags)
{
	(void)sys;
	(void)path;
	(void)flags;
	return 5;
}

static int text_close(struct gh_sys *sys, int fd)
{
	(void)sys;
	(void)fd;
	return 0;
}

static ssize_t text_read(struct gh_sys *sys, int fd, void *buffer, size_t length)
{
	struct text_kernel *kernel = (struct text_kernel *)sys;
	size_t part = kernel->left < 7 ? kernel->left : 7;

	(void)fd;
	if (part > length)
		part = length;
	memcpy(buffer, kernel->text, part);
	kernel->text += part;
	kernel->left -= part;
	return (ssize_t)part;
}

static void check_maps(const uint8_t *data, size_t size)
{
	struct text_kernel kernel = {
		.sys = { .open = text_open, .close = text_close, .read = text_read },
		.text = data,
		.left = size,
	};
	struct gh_vma vma;
	const void *address = (const void *)(uintptr_t)0x7f0000001000;

	if (gh_vma_find(&kernel.sys, address, &vma) == 0 &&
	    ((uintptr_t)address < vma.start || (uintptr_t)address >= vma.end))
		__builtin_trap();
}

static void check_script(const char *text)
{
	struct script *script;

	if (script_parse(text, &script) == 0)
		script_free(script);
}

static void check_device(const char *text)
{
	struct gh_sim_options options = GH_SIM_OPTIONS_INIT;
	struct gh_sim *sim;

	/* No files: the fuzzer would read the machine's. */
	if (strstr(text, "script") != NULL)
		return;
	options.device = text;
	if (gh_sim_new(&options, &sim) == 0)
		gh_sim_free(sim);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (size < 2)
		return 0;
	text = malloc(size);
	if (text == NULL)
		return 0;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	switch (data[0] % 3) {
	case 0:
		check_maps(data + 1, size - 1);
		break;
	case 1:
		check_script(text);
		break;
	default:
		check_device(text);
		break;
	}
	free(text);
	return 0;
}
