/* SPDX-License-Identifier: BSD-3-Clause */
/* gh-run --check-dtb: a devicetree file against the rules of Gunyah's resource manager, without a VM. */
#include "run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const severities[] = {
	[GH_FDT_REJECTED] = "rejected",
	[GH_FDT_MISPLACED] = "misplaced",
	[GH_FDT_IGNORED] = "ignored",
};

static void print_finding(void *data, const struct gh_fdt_finding *finding)
{
	unsigned int *count = data;

	(*count)++;
	(void)printf("%s: %s%s%s: %s [%s]\n", severities[finding->severity], finding->node,
		     finding->property[0] != '\0' ? ", " : "", finding->property, finding->text, finding->rule);
	if (finding->detail[0] != '\0')
		(void)printf("    found: %s\n", finding->detail);
	(void)printf("    %s\n", finding->remedy);
}

/* The file's bytes, NULL with a message. One more than a tree may have is read, so that it shows. */
static void *read_file(const char *path, size_t *ret_size)
{
	const size_t room = GH_FDT_MAX + 1;
	FILE *file = fopen(path, "rbe");
	void *bytes = file != NULL ? malloc(room) : NULL;

	if (bytes == NULL) {
		(void)fprintf(stderr, "gh-run: %s: %s\n", path, strerror(errno));
	} else {
		*ret_size = fread(bytes, 1, room, file);
		if (ferror(file)) {
			(void)fprintf(stderr, "gh-run: %s cannot be read\n", path);
			free(bytes);
			bytes = NULL;
		}
	}
	if (file != NULL)
		(void)fclose(file);
	return bytes;
}

int run_check_dtb(const char *path)
{
	unsigned int count = 0;
	size_t size = 0;
	void *tree = read_file(path, &size);
	int rejected;

	if (tree == NULL)
		return 1;
	rejected = gh_fdt_validate(tree, size, NULL, print_finding, &count);
	free(tree);
	if (count == 0 && rejected == 0)
		(void)printf("%s: nothing is wrong\n", path);
	return rejected != 0;
}
