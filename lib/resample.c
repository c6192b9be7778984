/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The resampler. It never reads an eventfd: that would block if somebody else has read it in between, and a kernel may want
 * to. An edge-triggered entry in an epoll set fires on each write all the same.
 */
#include "resample.h"

#include "internal.h"
#include "thread.h"

#include <stdlib.h>
#include <sys/epoll.h>

#define STEP "emulate a level-triggered line"

/*
 * The first look comes soon, because a line that GenieZone holds up costs its guest until then; a guest that is slow to
 * acknowledge makes the looks rarer, because each costs the host.
 */
#define FIRST_NS UINT64_C(250000)
#define LAST_NS UINT64_C(4000000)
#define NEVER UINT64_MAX
#define EVENTS 8

struct gh_resampler {
	struct gh_sys *sys;
	pthread_t thread;
	pthread_mutex_t lock;
	struct gh_resample *lines;
	int epoll;
	int wakeup; /* an eventfd in the set, without a line */
	bool over;
};

/* --- the thread; under its lock ------------------------------------------------------------------------------------ */

/* A line that is raised again soon after a look was asserted all the time. */
static void begin(struct gh_resample *line, uint64_t now)
{
	if (line->asserted)
		return;
	if (line->interval == 0 || now - line->last > 2 * line->interval)
		line->interval = FIRST_NS;
	else if (line->interval < LAST_NS)
		line->interval *= 2;
	line->asserted = true;
	line->due = now + line->interval;
}

/* False: the kernel does not say, so the thread looks now and then. */
static bool harvest(struct gh_resampler *resampler)
{
	struct epoll_event events[EVENTS];
	int count;

	do {
		count = resampler->sys->epoll_wait(resampler->sys, resampler->epoll, events, EVENTS);
		for (int i = 0; i < count; i++) {
			struct gh_resample *line = events[i].data.ptr;

			if (line == NULL)
				continue;
			begin(line, resampler->sys->now(resampler->sys));
			if (line->ops->raised != NULL)
				line->ops->raised(line);
		}
	} while (count == EVENTS);
	return count >= 0 || count == -EINTR;
}

static void look(struct gh_resample *line, uint64_t now)
{
	line->last = now;
	line->asserted = false;
	if (line->ops->due(line))
		begin(line, now);
}

/* Returns when the next line is due. */
static uint64_t look_at_all(struct gh_resampler *resampler)
{
	uint64_t now = resampler->sys->now(resampler->sys);
	uint64_t next = NEVER;

	for (struct gh_resample *line = resampler->lines; line != NULL; line = line->next) {
		if (line->asserted && line->due <= now)
			look(line, now);
		if (line->asserted && line->due < next)
			next = line->due;
	}
	return next == NEVER ? NEVER : next - now;
}

static void await(struct gh_resampler *resampler, bool has_events, uint64_t ns)
{
	const struct timespec time = { .tv_sec = 0, .tv_nsec = (long)(ns < LAST_NS ? ns : LAST_NS) };
	struct pollfd poll = { .fd = resampler->epoll, .events = POLLIN };

	(void)resampler->sys->ppoll(resampler->sys, &poll, has_events ? 1 : 0, has_events && ns == NEVER ? NULL : &time);
}

static void *work(void *argument)
{
	struct gh_resampler *resampler = argument;

	(void)pthread_mutex_lock(&resampler->lock);
	while (!resampler->over) {
		bool has_events = harvest(resampler);
		uint64_t ns = look_at_all(resampler);

		(void)pthread_mutex_unlock(&resampler->lock);
		await(resampler, has_events, ns);
		(void)pthread_mutex_lock(&resampler->lock);
	}
	(void)pthread_mutex_unlock(&resampler->lock);
	return NULL;
}

/* --- coming and going ---------------------------------------------------------------------------------------------- */

static int watch(struct gh_resampler *resampler, int fd, struct gh_resample *line)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.ptr = line };

	return resampler->sys->epoll_ctl(resampler->sys, resampler->epoll, EPOLL_CTL_ADD, fd, &event);
}

static int make_descriptors(struct gh_resampler *resampler)
{
	struct gh_sys *sys = resampler->sys;
	int ret = sys->epoll_create(sys);

	if (ret < 0)
		return ret;
	resampler->epoll = ret;
	ret = sys->eventfd(sys, 0, 0);
	if (ret < 0)
		goto err_epoll;
	resampler->wakeup = ret;
	ret = watch(resampler, resampler->wakeup, NULL);
	if (ret == 0)
		return 0;
	(void)sys->close(sys, resampler->wakeup);
err_epoll:
	(void)sys->close(sys, resampler->epoll);
	return ret;
}

static int start(struct gh_vm *vm)
{
	struct gh_sys *sys = vm->b.sys;
	struct gh_resampler *resampler = calloc(1, sizeof(*resampler));
	int ret;

	if (resampler == NULL)
		return -ENOMEM;
	resampler->sys = sys;
	ret = make_descriptors(resampler);
	if (ret < 0)
		goto err_resampler;
	ret = -pthread_mutex_init(&resampler->lock, NULL);
	if (ret < 0)
		goto err_descriptors;
	ret = gh_thread_start(vm, STEP, &resampler->thread, work, resampler);
	if (ret < 0)
		goto err_lock;
	vm->resampler = resampler;
	return 0;
err_lock:
	(void)pthread_mutex_destroy(&resampler->lock);
err_descriptors:
	(void)sys->close(sys, resampler->wakeup);
	(void)sys->close(sys, resampler->epoll);
err_resampler:
	free(resampler);
	return ret;
}

int gh_resample_add(struct gh_vm *vm, struct gh_resample *line)
{
	struct gh_resampler *resampler;
	int ret = vm->resampler != NULL ? 0 : start(vm);

	if (ret < 0)
		return ret;
	resampler = vm->resampler;
	line->asserted = false;
	line->interval = 0;
	(void)pthread_mutex_lock(&resampler->lock);
	ret = line->fd >= 0 ? watch(resampler, line->fd, line) : 0;
	if (ret == 0) {
		line->next = resampler->lines;
		resampler->lines = line;
	}
	(void)pthread_mutex_unlock(&resampler->lock);
	return ret;
}

void gh_resample_remove(struct gh_vm *vm, struct gh_resample *line)
{
	struct gh_resampler *resampler = vm->resampler;
	struct gh_resample **link;

	if (resampler == NULL)
		return;
	(void)pthread_mutex_lock(&resampler->lock);
	for (link = &resampler->lines; *link != NULL && *link != line; link = &(*link)->next)
		;
	if (*link != NULL) {
		*link = line->next;
		if (line->fd >= 0)
			(void)resampler->sys->epoll_ctl(resampler->sys, resampler->epoll, EPOLL_CTL_DEL, line->fd, NULL);
	}
	(void)pthread_mutex_unlock(&resampler->lock);
}

static void wake(struct gh_resampler *resampler)
{
	const uint64_t one = 1;

	(void)resampler->sys->write(resampler->sys, resampler->wakeup, &one, sizeof(one));
}

void gh_resample_assert(struct gh_vm *vm, struct gh_resample *line)
{
	struct gh_resampler *resampler = vm->resampler;
	uint64_t now = resampler->sys->now(resampler->sys);
	bool sooner;

	(void)pthread_mutex_lock(&resampler->lock);
	sooner = !line->asserted || line->due > now + FIRST_NS;
	line->asserted = true;
	line->interval = FIRST_NS;
	if (sooner)
		line->due = now + FIRST_NS;
	(void)pthread_mutex_unlock(&resampler->lock);
	if (sooner)
		wake(resampler);
}

void gh_resample_calm(struct gh_vm *vm, struct gh_resample *line)
{
	(void)pthread_mutex_lock(&vm->resampler->lock);
	line->asserted = false;
	(void)pthread_mutex_unlock(&vm->resampler->lock);
}

void gh_resample_stop(struct gh_vm *vm)
{
	struct gh_resampler *resampler = vm->resampler;

	if (resampler == NULL)
		return;
	/* In a forked child there is no such thread, and nobody knows what it did to the lock. */
	if (!gh_vm_is_forked(vm)) {
		(void)pthread_mutex_lock(&resampler->lock);
		resampler->over = true;
		(void)pthread_mutex_unlock(&resampler->lock);
		wake(resampler);
		(void)pthread_join(resampler->thread, NULL);
		(void)pthread_mutex_destroy(&resampler->lock);
	}
	(void)resampler->sys->close(resampler->sys, resampler->wakeup);
	(void)resampler->sys->close(resampler->sys, resampler->epoll);
	free(resampler);
	vm->resampler = NULL;
}
