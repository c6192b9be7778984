/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes on their way to a descriptor: threads that must not wait put them in, one thread writes many of them at once. */
#ifndef GH_EXAMPLES_OUTBOX_H
#define GH_EXAMPLES_OUTBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* As much as a pipe takes that has room for anything. */
#define OUTBOX_SIZE 4096u

struct outbox {
	pthread_mutex_t lock; /* over what follows */
	uint8_t bytes[OUTBOX_SIZE];
	unsigned int count;
	bool refused; /* somebody has more */
	int error;    /* negative errno value of the writing; then nothing is taken any more */
};

void outbox_init(struct outbox *outbox);
void outbox_destroy(struct outbox *outbox);
/* How many of the bytes it takes, or the error. The writer has to be woken if it was empty. */
int outbox_put(struct outbox *outbox, const uint8_t *bytes, unsigned int count, bool *ret_was_empty);
unsigned int outbox_count(struct outbox *outbox);
/* Writes once, when poll() says that there is room. True: there is room for somebody who had more, or there was an error. */
bool outbox_write(struct outbox *outbox, int fd);
int outbox_error(struct outbox *outbox);

#endif
