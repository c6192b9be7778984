/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the loaders share. A file is a row of bytes that can be read anywhere (gh_source); what is loaded is a stream of
 * bytes, the file's own or what comes out of unpacking them (gh_stream), and goes from there into guest memory.
 */
#ifndef GH_LIB_IMAGE_H
#define GH_LIB_IMAGE_H

#include "internal.h"

#include <gh/image.h>

/* No guest has more memory than this; it keeps all sums of sizes far from wrapping. */
#define GH_IMAGE_LARGEST (UINT64_C(1) << 40)
#define GH_IMAGE_SEGMENTS 64u
#define GH_IMAGE_BLOCK (UINT64_C(2) << 20) /* Linux begins at a multiple of this, plus its text_offset */

#define GH_IMAGE_STEP_OPEN "open an image"
#define GH_IMAGE_STEP_LOAD "load an image"

struct gh_source {
	struct gh_sys *sys;
	int fd;              /* -1: data */
	const uint8_t *data; /* the caller's */
	uint64_t size;
	char name[64]; /* for people */
};

struct gh_stream;

/* One way of unpacking. */
struct gh_unpacker {
	/* Makes stream->state. */
	int (*begin)(struct gh_stream *stream);
	/*
	 * Takes from stream->input, puts into `to`, and counts both: neither moves when it needs more input. Sets stream->ended
	 * at the end. -EBADMSG: damaged.
	 */
	int (*step)(struct gh_stream *stream, uint8_t *to, size_t length, size_t *ret_done);
	void (*end)(struct gh_stream *stream);
};

struct gh_stream {
	const struct gh_source *source;
	const struct gh_unpacker *unpacker; /* NULL: plain */
	uint64_t next;                      /* byte of the file that is read next */
	uint64_t limit;                     /* where the stream's bytes in the file end */
	uint64_t position;                  /* bytes that have come out */
	bool ended;
	void *state;
	uint8_t *input; /* packed bytes, in between */
	size_t input_at;
	size_t input_end;
};

/* Of an ELF file, without those that are empty; sorted by offset. */
struct gh_segment {
	uint64_t offset;    /* in the file */
	uint64_t file_size; /* bytes that are there */
	uint64_t address;   /* physical */
	uint64_t size;      /* bytes in memory: what is not in the file is zero */
};

struct gh_image {
	struct gh_image_info info;
	struct gh_source source;
	/* Where the stream's bytes are in the file. */
	uint64_t begin;
	uint64_t limit;
	uint64_t least; /* bytes that must come out of the stream for the file to be whole */
	struct gh_segment segments[GH_IMAGE_SEGMENTS];
	unsigned int n_segments;
	int (*progress)(void *data, uint64_t done, uint64_t total);
	void *progress_data;
	/* Where the call that is under way explains its failure, and what it is doing. */
	struct gh_failure *failure;
	const char *step;
};

/* image.c: a failure with the name of the file before its cause, and the same as an expression whose value is the error. */
void gh_image_describe(const struct gh_image *image, int error, const char *remedy, const char *cause, ...)
	__attribute__((format(printf, 4, 5)));
#define GH_IMAGE_FAIL(image, error, ...) (gh_image_describe((image), (error), __VA_ARGS__), (error))
/* What reading and unpacking say, in words. */
int gh_image_fail_stream(const struct gh_image *image, int error);

static inline uint16_t gh_le16(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static inline uint32_t gh_le32(const uint8_t *bytes)
{
	return gh_le16(bytes) | (uint32_t)gh_le16(bytes + 2) << 16;
}

static inline uint64_t gh_le64(const uint8_t *bytes)
{
	return gh_le32(bytes) | (uint64_t)gh_le32(bytes + 4) << 32;
}

/* --- image_source.c ------------------------------------------------------------------------------------------------- */

int gh_source_open(struct gh_source *source, const struct gh_image_options *options);
void gh_source_close(struct gh_source *source);
/* Exactly `length` bytes; -EIO if the file ends before. */
int gh_source_read(const struct gh_source *source, uint64_t offset, void *to, size_t length);

/* --- image_unpack.c, image_zstd.c ------------------------------------------------------------------------------------ */

/* NULL: plain, or -EOPNOTSUPP if this library cannot. */
int gh_unpacker_find(uint32_t packing, const struct gh_unpacker **ret_unpacker);
int gh_stream_open(struct gh_stream *stream, const struct gh_image *image);
/* Fewer than `length` bytes come only at the end of the stream. */
int gh_stream_read(struct gh_stream *stream, void *to, size_t length, size_t *ret_done);
/* Goes on at this position, which a packed stream must not have passed; -EBADMSG if it ends before. */
int gh_stream_seek(struct gh_stream *stream, uint64_t position);
void gh_stream_close(struct gh_stream *stream);
extern const struct gh_unpacker gh_unpacker_zstd;

/*
 * --- formats: `head` is how the stream begins, at most GH_IMAGE_HEAD bytes of it. They fill the image's info, or refuse. ---
 */

#define GH_IMAGE_HEAD ((size_t)4096)

/* image_wrap.c: is the file packed, and how? `head` is how the file begins. Sets packing, begin and limit. */
int gh_image_unwrap(struct gh_image *image, const uint8_t *head, size_t length);
/* Says what the file is instead, if it can be told. */
int gh_image_refuse_unknown(struct gh_image *image, const uint8_t *head, size_t length);

/* image_arm64.c */
bool gh_arm64_is(const uint8_t *head, size_t length);
int gh_arm64_inspect(struct gh_image *image, const uint8_t *head, size_t length);

/* image_elf.c */
bool gh_elf_is(const uint8_t *head, size_t length);
int gh_elf_inspect(struct gh_image *image, const uint8_t *head, size_t length);

#endif
