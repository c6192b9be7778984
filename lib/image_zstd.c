/* SPDX-License-Identifier: BSD-3-Clause */
/* Unpacking with zstd; only part of libgh where zstd was there when it was built. */
#include "image.h"

#include <zstd.h>
#include <zstd_errors.h>

static int zstd_begin(struct gh_stream *stream)
{
	stream->state = ZSTD_createDStream();
	return stream->state != NULL ? 0 : -ENOMEM;
}

static int zstd_step(struct gh_stream *stream, uint8_t *to, size_t length, size_t *ret_done)
{
	ZSTD_inBuffer in = { stream->input, stream->input_end, stream->input_at };
	ZSTD_outBuffer out = { to, length, 0 };
	size_t ret = ZSTD_decompressStream(stream->state, &out, &in);

	stream->input_at = in.pos;
	*ret_done = out.pos;
	if (ZSTD_isError(ret))
		return ZSTD_getErrorCode(ret) == ZSTD_error_memory_allocation ? -ENOMEM : -EBADMSG;
	stream->ended = ret == 0;
	return 0;
}

static void zstd_end(struct gh_stream *stream)
{
	(void)ZSTD_freeDStream(stream->state);
}

const struct gh_unpacker gh_unpacker_zstd = { zstd_begin, zstd_step, zstd_end };
