/* SPDX-License-Identifier: BSD-3-Clause */
#include "outbox.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

void outbox_init(struct outbox *outbox)
{
	memset(outbox, 0, sizeof(*outbox));
	(void)pthread_mutex_init(&outbox->lock, NULL);
}

void outbox_destroy(struct outbox *outbox)
{
	(void)pthread_mutex_destroy(&outbox->lock);
}

int outbox_put(struct outbox *outbox, const uint8_t *bytes, unsigned int count, bool *ret_was_empty)
{
	unsigned int taken;
	int ret;

	(void)pthread_mutex_lock(&outbox->lock);
	*ret_was_empty = outbox->count == 0;
	taken = count < OUTBOX_SIZE - outbox->count ? count : OUTBOX_SIZE - outbox->count;
	ret = outbox->error < 0 ? outbox->error : (int)taken;
	if (ret > 0) {
		memcpy(outbox->bytes + outbox->count, bytes, taken);
		outbox->count += taken;
	}
	outbox->refused = taken < count;
	(void)pthread_mutex_unlock(&outbox->lock);
	return ret;
}

unsigned int outbox_count(struct outbox *outbox)
{
	unsigned int count;

	(void)pthread_mutex_lock(&outbox->lock);
	count = outbox->count;
	(void)pthread_mutex_unlock(&outbox->lock);
	return count;
}

int outbox_error(struct outbox *outbox)
{
	int error;

	(void)pthread_mutex_lock(&outbox->lock);
	error = outbox->error;
	(void)pthread_mutex_unlock(&outbox->lock);
	return error;
}

bool outbox_write(struct outbox *outbox, int fd)
{
	/* Nobody else takes bytes away: without the lock the first ones stay as they are. */
	unsigned int count = outbox_count(outbox);
	ssize_t written = write(fd, outbox->bytes, count);
	int error = written < 0 ? errno : 0;
	bool refused;

	if (error == EAGAIN || error == EINTR)
		return false;
	(void)pthread_mutex_lock(&outbox->lock);
	outbox->error = -error;
	/* What cannot be written any more is dropped. */
	outbox->count -= error != 0 ? outbox->count : (unsigned int)written;
	if (error == 0)
		memmove(outbox->bytes, outbox->bytes + written, outbox->count);
	refused = outbox->refused;
	outbox->refused = false;
	(void)pthread_mutex_unlock(&outbox->lock);
	return refused;
}
