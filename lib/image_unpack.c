/* SPDX-License-Identifier: BSD-3-Clause */
/* Streams: the bytes of a file one after the other, as they are or unpacked. */
#include "image.h"

#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

/* Of packed bytes that are read at once. */
#define INPUT_SIZE ((size_t)64 << 10)

/* --- gzip ------------------------------------------------------------------------------------------------------------ */

static voidpf zlib_alloc(voidpf unused, uInt count, uInt size)
{
	(void)unused;
	return calloc(count, size);
}

static void zlib_free(voidpf unused, voidpf memory)
{
	(void)unused;
	free(memory);
}

static int gzip_begin(struct gh_stream *stream)
{
	z_stream *z = calloc(1, sizeof(*z));

	if (z == NULL)
		return -ENOMEM;
	z->zalloc = zlib_alloc;
	z->zfree = zlib_free;
	/* 16: with the header and the checksum of gzip. */
	if (inflateInit2(z, 16 + MAX_WBITS) != Z_OK) {
		free(z);
		return -ENOMEM;
	}
	stream->state = z;
	return 0;
}

static int gzip_step(struct gh_stream *stream, uint8_t *to, size_t length, size_t *ret_done)
{
	z_stream *z = stream->state;
	uInt room = length < INT_MAX ? (uInt)length : INT_MAX;
	int ret;

	z->next_in = stream->input + stream->input_at;
	z->avail_in = (uInt)(stream->input_end - stream->input_at);
	z->next_out = to;
	z->avail_out = room;
	ret = inflate(z, Z_NO_FLUSH);
	stream->input_at = stream->input_end - z->avail_in;
	*ret_done = room - z->avail_out;
	switch (ret) {
	case Z_STREAM_END:
		stream->ended = true;
		return 0;
	case Z_OK:
	case Z_BUF_ERROR: /* nothing to do without more input */
		return 0;
	case Z_MEM_ERROR:
		return -ENOMEM;
	default:
		return -EBADMSG;
	}
}

static void gzip_end(struct gh_stream *stream)
{
	(void)inflateEnd(stream->state);
	free(stream->state);
}

static const struct gh_unpacker gzip = { gzip_begin, gzip_step, gzip_end };

int gh_unpacker_find(uint32_t packing, const struct gh_unpacker **ret_unpacker)
{
	switch (packing) {
	case GH_IMAGE_PLAIN:
		*ret_unpacker = NULL;
		return 0;
	case GH_IMAGE_GZIP:
		*ret_unpacker = &gzip;
		return 0;
#ifdef GH_HAVE_ZSTD
	case GH_IMAGE_ZSTD:
		*ret_unpacker = &gh_unpacker_zstd;
		return 0;
#endif
	default:
		return -EOPNOTSUPP;
	}
}

/* --- streams --------------------------------------------------------------------------------------------------------- */

int gh_stream_open(struct gh_stream *stream, const struct gh_image *image)
{
	int ret;

	*stream = (struct gh_stream){ .source = &image->source, .next = image->begin, .limit = image->limit };
	ret = gh_unpacker_find(image->info.packing, &stream->unpacker);
	if (ret < 0 || stream->unpacker == NULL)
		return ret;
	stream->input = malloc(INPUT_SIZE);
	if (stream->input == NULL)
		return -ENOMEM;
	ret = stream->unpacker->begin(stream);
	if (ret < 0)
		free(stream->input);
	return ret;
}

void gh_stream_close(struct gh_stream *stream)
{
	if (stream->unpacker == NULL)
		return;
	stream->unpacker->end(stream);
	free(stream->input);
}

static int refill(struct gh_stream *stream)
{
	uint64_t left = stream->limit - stream->next;
	size_t part = left < INPUT_SIZE ? (size_t)left : INPUT_SIZE;
	int ret;

	if (part == 0)
		return -EBADMSG; /* it should have ended by itself */
	ret = gh_source_read(stream->source, stream->next, stream->input, part);
	if (ret < 0)
		return ret;
	stream->next += part;
	stream->input_at = 0;
	stream->input_end = part;
	return 0;
}

static int read_packed(struct gh_stream *stream, uint8_t *to, size_t length, size_t *ret_done)
{
	size_t done = 0;

	while (done < length && !stream->ended) {
		size_t before = stream->input_at;
		size_t part = 0;
		int ret = stream->unpacker->step(stream, to + done, length - done, &part);

		done += part;
		if (ret == 0 && part == 0 && stream->input_at == before && !stream->ended)
			ret = stream->input_at == stream->input_end ? refill(stream) : -EBADMSG;
		if (ret < 0)
			return ret;
	}
	*ret_done = done;
	return 0;
}

static int read_plain(struct gh_stream *stream, uint8_t *to, size_t length, size_t *ret_done)
{
	uint64_t left = stream->limit - stream->next;
	size_t part = left < length ? (size_t)left : length;
	int ret = gh_source_read(stream->source, stream->next, to, part);

	if (ret < 0)
		return ret;
	stream->next += part;
	*ret_done = part;
	return 0;
}

int gh_stream_read(struct gh_stream *stream, void *to, size_t length, size_t *ret_done)
{
	size_t done = 0;
	int ret;

	if (stream->unpacker == NULL)
		ret = read_plain(stream, to, length, &done);
	else
		ret = read_packed(stream, to, length, &done);
	if (ret < 0)
		return ret;
	stream->position += done;
	*ret_done = done;
	return 0;
}

int gh_stream_seek(struct gh_stream *stream, uint64_t position)
{
	uint8_t waste[4096];

	if (stream->unpacker == NULL) {
		/* Within the file: whoever reads the header sees to that. */
		stream->next = stream->next - stream->position + position;
		stream->position = position;
		return 0;
	}
	while (stream->position < position) {
		uint64_t left = position - stream->position;
		size_t part = left < sizeof(waste) ? (size_t)left : sizeof(waste);
		size_t done = 0;
		int ret = gh_stream_read(stream, waste, part, &done);

		if (ret < 0)
			return ret;
		if (done < part)
			return -EBADMSG;
	}
	return stream->position == position ? 0 : -EBADMSG;
}
