/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening a file: what it is, and whether it can be loaded. Placing and loading are in files of their own. */
#include "image.h"

#include "opts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of what says nothing about itself: the pages of most. */
#define RAW_ALIGN 4096u

/* --- failures -------------------------------------------------------------------------------------------------------- */

void gh_image_describe(const struct gh_image *image, int error, const char *remedy, const char *cause, ...)
{
	char text[192];
	va_list arguments;

	va_start(arguments, cause);
	(void)vsnprintf(text, sizeof(text), cause, arguments);
	va_end(arguments);
	gh_describe(image->failure, error, image->step, NULL, remedy, "%s: %s", image->source.name, text);
}

int gh_image_fail_stream(const struct gh_image *image, int error)
{
	switch (error) {
	case 0:
		return 0;
	case -EBADMSG:
		return GH_IMAGE_FAIL(image, error, "Get the file again; gzip -t or zstd -t tell whether it is whole.",
				     "the packed bytes are damaged, or end too early.");
	case -EIO:
		return GH_IMAGE_FAIL(image, error, "Load it again; look for errors of the disk in the kernel's log.",
				     "it ended too early: it has become shorter, or its disk cannot be read.");
	case -ENOMEM:
		return gh_fail_memory(image->failure, image->step);
	default:
		gh_describe(image->failure, error, image->step, "pread", "Open it for reading.", "%s: %s.",
			    image->source.name, strerror(-error));
		return error;
	}
}

/* --- recognition ------------------------------------------------------------------------------------------------------ */

/* How the stream begins. */
static int read_unpacked_head(struct gh_image *image, uint8_t *head, size_t *ret_length)
{
	struct gh_stream stream;
	int ret = gh_stream_open(&stream, image);

	if (ret == 0) {
		ret = gh_stream_read(&stream, head, GH_IMAGE_HEAD, ret_length);
		gh_stream_close(&stream);
	}
	return gh_image_fail_stream(image, ret);
}

static int recognise(struct gh_image *image)
{
	uint8_t head[GH_IMAGE_HEAD];
	size_t length = image->source.size < sizeof(head) ? (size_t)image->source.size : sizeof(head);
	int ret = gh_image_fail_stream(image, gh_source_read(&image->source, 0, head, length));

	if (ret == 0)
		ret = gh_image_unwrap(image, head, length);
	if (ret == 0 && image->info.packing != GH_IMAGE_PLAIN)
		ret = read_unpacked_head(image, head, &length);
	if (ret < 0)
		return ret;
	if (gh_elf_is(head, length))
		return gh_elf_inspect(image, head, length);
	if (gh_arm64_is(head, length))
		return gh_arm64_inspect(image, head, length);
	return gh_image_refuse_unknown(image, head, length);
}

static void take_raw(struct gh_image *image)
{
	image->info.format = GH_IMAGE_RAW;
	image->info.flags = GH_IMAGE_RELOCATABLE;
	image->info.memory_size = image->source.size;
	image->info.alignment = RAW_ALIGN;
	image->limit = image->source.size;
}

static int inspect(struct gh_image *image, uint32_t format)
{
	int ret;

	image->info.file_size = image->source.size;
	if (image->source.size == 0)
		return GH_IMAGE_FAIL(image, -ENOEXEC, "Get the file again.", "it is empty.");
	if (image->source.size > GH_IMAGE_LARGEST)
		return GH_IMAGE_FAIL(image, -EFBIG, "Check that it is the right file.", "it has %llu GiB.",
				     (unsigned long long)(image->source.size >> 30));
	if (format == GH_IMAGE_RAW) {
		take_raw(image);
		return 0;
	}
	ret = recognise(image);
	if (ret == 0 && format != GH_IMAGE_AUTO && format != image->info.format)
		return GH_IMAGE_FAIL(image, -ENOEXEC, "Open it with GH_IMAGE_AUTO to take it as it is.",
				     "it is %s, which was not asked for.",
				     image->info.format == GH_IMAGE_ELF64 ? "an ELF file" : "an arm64 Image");
	return ret;
}

/* --- the object --------------------------------------------------------------------------------------------------------- */

static int read_options(const struct gh_image_options *callers, struct gh_image_options *own)
{
	const struct gh_image_options defaults = GH_IMAGE_OPTIONS_INIT;
	int sources;

	*own = defaults;
	if (callers == NULL || gh_opts_copy(own, sizeof(*own), sizeof(*own), callers) < 0)
		return -EINVAL;
	if (own->failure != NULL && own->failure->size != sizeof(*own->failure))
		return -EINVAL;
	if (own->format > GH_IMAGE_RAW)
		return gh_fail_argument(own->failure, -EINVAL, GH_IMAGE_STEP_OPEN, "There is no such format.");
	sources = (own->path != NULL) + (own->fd >= 0) + (own->data != NULL);
	if (sources != 1 || own->fd < -1)
		return gh_fail_argument(own->failure, -EINVAL, GH_IMAGE_STEP_OPEN,
					"Exactly one of path, descriptor and buffer must be given.");
	return 0;
}

int gh_image_open(const struct gh_image_options *callers, struct gh_image **ret_image)
{
	struct gh_image_options options;
	struct gh_image *image;
	int ret;

	if (ret_image == NULL)
		return -EINVAL;
	ret = read_options(callers, &options);
	if (ret < 0)
		return ret;
	image = calloc(1, sizeof(*image));
	if (image == NULL)
		return gh_fail_memory(options.failure, GH_IMAGE_STEP_OPEN);
	image->failure = options.failure;
	image->step = GH_IMAGE_STEP_OPEN;
	image->progress = options.progress;
	image->progress_data = options.progress_data;
	ret = gh_source_open(&image->source, &options);
	if (ret < 0)
		goto err_image;
	ret = inspect(image, options.format);
	if (ret < 0)
		goto err_source;
	image->failure = NULL;
	*ret_image = image;
	return 0;
err_source:
	gh_source_close(&image->source);
err_image:
	free(image);
	return ret;
}

const struct gh_image_info *gh_image_info(const struct gh_image *image)
{
	return image != NULL ? &image->info : NULL;
}

void gh_image_close(struct gh_image *image)
{
	if (image == NULL)
		return;
	gh_source_close(&image->source);
	free(image);
}
