/* SPDX-License-Identifier: BSD-3-Clause */
/* The bytes of a file, from wherever they are. */
#include "image.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define STEP GH_IMAGE_STEP_OPEN

static int explain_open(struct gh_failure *failure, int error, const char *name)
{
	const char *remedy = "Check the path, and the permissions of the file and of the directories before it.";

	if (error == -EMFILE || error == -ENFILE)
		remedy = "Close some descriptors, or raise the limit (RLIMIT_NOFILE).";
	return gh_fail(failure, error, STEP, "open", remedy, "%s: %s.", name, strerror(-error));
}

static int open_file(struct gh_source *source, const struct gh_image_options *options)
{
	struct gh_sys *sys = source->sys;
	int fd;

	if (options->fd >= 0)
		fd = sys->dup(sys, options->fd, 0);
	else /* a FIFO must not make us wait, nor a terminal become ours */
		fd = sys->open(sys, options->path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return explain_open(options->failure, fd, source->name);
	source->fd = fd;
	return 0;
}

static int measure(struct gh_source *source, struct gh_failure *failure)
{
	struct stat stat;
	int ret = source->sys->fstat(source->sys, source->fd, &stat);

	if (ret < 0)
		return gh_fail_request(failure, ret, STEP, "fstat");
	if (!S_ISREG(stat.st_mode))
		return gh_fail(failure, -EINVAL, STEP, NULL,
			       "Read it into memory, and give the library the buffer (gh_image_options::data).",
			       "%s is a directory, a pipe or a device, not a regular file.", source->name);
	source->size = (uint64_t)stat.st_size;
	return 0;
}

/* The end of a path says more than its beginning. */
static void name_source(struct gh_source *source, const struct gh_image_options *options)
{
	const char *path = options->path;
	size_t length;

	if (path == NULL && options->fd >= 0) {
		(void)snprintf(source->name, sizeof(source->name), "descriptor %d", options->fd);
		return;
	}
	if (path == NULL)
		path = "the buffer";
	length = strlen(path);
	if (length >= sizeof(source->name))
		path += length - sizeof(source->name) + 1;
	(void)snprintf(source->name, sizeof(source->name), "%s", path);
}

int gh_source_open(struct gh_source *source, const struct gh_image_options *options)
{
	int ret;

	*source = (struct gh_source){ .sys = gh_sys_kernel(), .fd = -1 };
	name_source(source, options);
	if (options->data != NULL) {
		source->data = options->data;
		source->size = options->length;
		return 0;
	}
	ret = open_file(source, options);
	if (ret < 0)
		return ret;
	ret = measure(source, options->failure);
	if (ret < 0)
		gh_source_close(source);
	return ret;
}

void gh_source_close(struct gh_source *source)
{
	if (source->fd >= 0)
		(void)source->sys->close(source->sys, source->fd);
	source->fd = -1;
}

int gh_source_read(const struct gh_source *source, uint64_t offset, void *to, size_t length)
{
	uint8_t *bytes = to;

	if (offset > source->size || length > source->size - offset)
		return -EIO;
	if (source->fd < 0) {
		memcpy(to, source->data + offset, length);
		return 0;
	}
	while (length > 0) {
		ssize_t got = source->sys->pread(source->sys, source->fd, bytes, length, offset);

		if (got == -EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? (int)got : -EIO; /* it was longer when it was opened */
		bytes += got;
		offset += (uint64_t)got;
		length -= (size_t)got;
	}
	return 0;
}
