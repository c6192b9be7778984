/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Eventfds as a driver sees them.
 *
 * The kernel compares the objects behind descriptors; user space can read an eventfd's number in /proc/self/fdinfo ("eventfd-id",
 * since Linux 5.2), which is as good. A watch is an entry in an epoll set, edge-triggered: it fires on every addition, read or
 * not, like the wait queue that an irqfd of the kernel hangs on, and it goes with the last descriptor of the eventfd.
 */
#include "eventfds.h"
#include "machine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct sim_watch {
	struct sim_watcher *watcher;
	struct sim_watch *next;
	uint64_t number; /* of the entry in the epoll set; a new one each time, so that a stale entry finds no watch */
	uint64_t id;
	int fd;
	bool signalled;
	void (*callback)(void *data);
	void *data;
};

struct sim_watcher {
	pthread_mutex_t lock;
	pthread_cond_t idle; /* the call of `inside` has returned */
	pthread_t thread;
	struct sim_watch *watches;
	struct sim_watch *inside;
	uint64_t next_number;
	int epoll;
	int wakeup;
	bool running;
	bool stopping;
};

int sim_eventfd_id(int fd, uint64_t *ret_id)
{
	unsigned long long id = 0;
	char path[48];
	char text[512];
	ssize_t length;
	char *field;
	int info;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	length = readlink(path, text, sizeof(text) - 1);
	if (length < 0)
		return -EBADF;
	text[length] = '\0';
	if (strcmp(text, "anon_inode:[eventfd]") != 0)
		return -EINVAL;
	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = open(path, O_RDONLY | O_CLOEXEC);
	if (info < 0)
		return -EBADF;
	length = read(info, text, sizeof(text) - 1);
	(void)close(info);
	text[length < 0 ? 0 : length] = '\0';
	field = strstr(text, "eventfd-id:");
	if (field == NULL || sscanf(field, "eventfd-id: %llu", &id) != 1)
		return -EINVAL;
	*ret_id = id;
	return 0;
}

int sim_eventfd_get(int fd, struct sim_eventfd *ret_eventfd)
{
	struct gh_sys *kernel = gh_sys_kernel();
	struct sim_eventfd eventfd;
	int ret;

	/* Our own descriptor first: the user's may be closed and used again at any moment. */
	eventfd.fd = kernel->dup(kernel, fd, 0);
	if (eventfd.fd < 0)
		return eventfd.fd;
	ret = sim_eventfd_id(eventfd.fd, &eventfd.id);
	if (ret < 0) {
		sim_eventfd_put(&eventfd);
		return ret;
	}
	*ret_eventfd = eventfd;
	return 0;
}

void sim_eventfd_put(struct sim_eventfd *eventfd)
{
	struct gh_sys *kernel = gh_sys_kernel();

	(void)kernel->close(kernel, eventfd->fd);
	eventfd->fd = -1;
}

static bool is_ready(int fd, short events)
{
	struct gh_sys *kernel = gh_sys_kernel();
	const struct timespec now = { 0, 0 };
	struct pollfd poll = { .fd = fd, .events = events };

	return kernel->ppoll(kernel, &poll, 1, &now) == 1 && (poll.revents & events) != 0;
}

void sim_eventfd_signal(const struct sim_eventfd *eventfd)
{
	struct gh_sys *kernel = gh_sys_kernel();
	const uint64_t one = 1;

	/* A write to a full counter would wait for a reader. */
	if (is_ready(eventfd->fd, POLLOUT))
		(void)kernel->write(kernel, eventfd->fd, &one, sizeof(one));
}

/* Any descriptor of the eventfd, or -1. */
static int find_eventfd(uint64_t id)
{
	DIR *directory = opendir("/proc/self/fd");
	struct dirent *item;
	uint64_t other;
	int found = -1;

	if (directory == NULL)
		return -1;
	while (found < 0 && (item = readdir(directory)) != NULL) {
		char *end;
		long fd = strtol(item->d_name, &end, 10);

		if (end != item->d_name && sim_eventfd_id((int)fd, &other) == 0 && other == id)
			found = (int)fd;
	}
	(void)closedir(directory);
	return found;
}

static bool drain(int *fd, uint64_t id)
{
	struct gh_sys *kernel = gh_sys_kernel();
	uint64_t value;

	if (*fd < 0 || sim_eventfd_id(*fd, &value) < 0 || value != id)
		*fd = find_eventfd(id);
	if (*fd < 0 || !is_ready(*fd, POLLIN))
		return false;
	return kernel->read(kernel, *fd, &value, sizeof(value)) == (ssize_t)sizeof(value);
}

bool sim_eventfd_drain(struct gh_sim *sim, int *fd, uint64_t id)
{
	struct sim_files *files = sim_machine_files(sim);
	bool drained;

	sim_files_keep(files, true);
	drained = drain(fd, id);
	sim_files_keep(files, false);
	return drained;
}

int sim_watcher_new(struct sim_watcher **ret_watcher)
{
	struct sim_watcher *watcher = calloc(1, sizeof(*watcher));

	if (watcher == NULL)
		return -ENOMEM;
	watcher->epoll = -1;
	watcher->wakeup = -1;
	pthread_mutex_init(&watcher->lock, NULL);
	pthread_cond_init(&watcher->idle, NULL);
	*ret_watcher = watcher;
	return 0;
}

void sim_watcher_free(struct sim_watcher *watcher)
{
	if (watcher->running) {
		pthread_mutex_lock(&watcher->lock);
		watcher->stopping = true;
		pthread_mutex_unlock(&watcher->lock);
		(void)eventfd_write(watcher->wakeup, 1);
		pthread_join(watcher->thread, NULL);
	}
	if (watcher->epoll >= 0)
		(void)close(watcher->epoll);
	if (watcher->wakeup >= 0)
		(void)close(watcher->wakeup);
	pthread_cond_destroy(&watcher->idle);
	pthread_mutex_destroy(&watcher->lock);
	free(watcher);
}

static void mark_signalled(struct sim_watcher *watcher, uint64_t number)
{
	for (struct sim_watch *watch = watcher->watches; watch != NULL; watch = watch->next) {
		if (watch->number == number)
			watch->signalled = true;
	}
}

/* Is this entry still in the epoll set? It goes with the last descriptor of its eventfd; its number may come back then. */
static bool entry_is_alive(const struct sim_watcher *watcher, uint64_t number)
{
	unsigned long long data;
	char path[48];
	char line[256];
	bool found = false;
	FILE *info;

	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", watcher->epoll);
	info = fopen(path, "re");
	if (info == NULL)
		return true;
	while (!found && fgets(line, sizeof(line), info) != NULL) {
		const char *field = strstr(line, "data:");

		found = field != NULL && sscanf(field, "data: %llx", &data) == 1 && data == number;
	}
	(void)fclose(info);
	return found;
}

/* A watch on the same eventfd through the same descriptor, which the epoll set cannot have twice; or NULL. */
static struct sim_watch *find_twin(struct sim_watcher *watcher, const struct sim_watch *watch)
{
	for (struct sim_watch *other = watcher->watches; other != NULL; other = other->next) {
		if (other != watch && other->fd == watch->fd && other->id == watch->id &&
		    entry_is_alive(watcher, other->number))
			return other;
	}
	return NULL;
}

/* Moves what the epoll set has to the watches. Under the lock. */
static void harvest(struct sim_watcher *watcher)
{
	struct epoll_event events[16];
	int count;

	do {
		count = epoll_wait(watcher->epoll, events, 16, 0);
		for (int i = 0; i < count; i++)
			mark_signalled(watcher, events[i].data.u64);
	} while (count == 16);
}

static struct sim_watch *next_signalled(struct sim_watcher *watcher)
{
	for (struct sim_watch *watch = watcher->watches; watch != NULL; watch = watch->next) {
		if (watch->signalled)
			return watch;
	}
	return NULL;
}

static void wait_for_events(struct sim_watcher *watcher)
{
	struct gh_sys *kernel = gh_sys_kernel();
	struct pollfd polls[2] = { { .fd = watcher->epoll, .events = POLLIN },
				   { .fd = watcher->wakeup, .events = POLLIN } };
	eventfd_t value;

	(void)kernel->ppoll(kernel, polls, 2, NULL);
	if ((polls[1].revents & POLLIN) != 0)
		(void)eventfd_read(watcher->wakeup, &value);
}

static void *watch_thread(void *data)
{
	struct sim_watcher *watcher = data;

	pthread_mutex_lock(&watcher->lock);
	while (!watcher->stopping) {
		struct sim_watch *watch;

		harvest(watcher);
		watch = next_signalled(watcher);
		if (watch != NULL) {
			watch->signalled = false;
			watcher->inside = watch;
		}
		pthread_mutex_unlock(&watcher->lock);
		if (watch != NULL)
			watch->callback(watch->data);
		else
			wait_for_events(watcher);
		pthread_mutex_lock(&watcher->lock);
		watcher->inside = NULL;
		pthread_cond_broadcast(&watcher->idle);
	}
	pthread_mutex_unlock(&watcher->lock);
	return NULL;
}

/* The first watch makes the thread. Under the lock. */
static int start_thread(struct sim_watcher *watcher)
{
	sigset_t all;
	sigset_t old;
	int ret;

	if (watcher->running)
		return 0;
	if (watcher->epoll < 0)
		watcher->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (watcher->wakeup < 0)
		watcher->wakeup = eventfd(0, EFD_CLOEXEC);
	if (watcher->epoll < 0 || watcher->wakeup < 0)
		return -errno;
	/* The program's signals are none of this thread's business. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = -pthread_create(&watcher->thread, NULL, watch_thread, watcher);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	watcher->running = ret == 0;
	return ret;
}

/* Under the lock. */
static int enter_set(struct sim_watcher *watcher, struct sim_watch *watch)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	struct sim_watch *twin;

	watch->number = ++watcher->next_number;
	event.data.u64 = watch->number;
	if (epoll_ctl(watcher->epoll, EPOLL_CTL_ADD, watch->fd, &event) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	twin = find_twin(watcher, watch);
	if (twin != NULL) {
		watch->number = twin->number;
		return 0;
	}
	/* An entry whose watch was removed while the number was closed, and which is the same eventfd again. */
	return epoll_ctl(watcher->epoll, EPOLL_CTL_MOD, watch->fd, &event) == 0 ? 0 : -errno;
}

/* Under the lock. */
static int enter(struct sim_watcher *watcher, struct sim_watch *watch)
{
	int ret = start_thread(watcher);

	if (ret == 0)
		ret = enter_set(watcher, watch);
	if (ret < 0)
		return ret;
	watch->next = watcher->watches;
	watcher->watches = watch;
	/* An eventfd that is readable already makes an event by being added: take it, and forget it. */
	harvest(watcher);
	watch->signalled = false;
	return 0;
}

int sim_watch_add(struct gh_sim *sim, int fd, void (*signalled)(void *data), void *data, struct sim_watch **ret_watch)
{
	struct sim_watcher *watcher = sim_machine_watcher(sim);
	struct sim_watch *watch = calloc(1, sizeof(*watch));
	int ret;

	if (watch == NULL)
		return -ENOMEM;
	ret = sim_eventfd_id(fd, &watch->id);
	if (ret < 0) {
		free(watch);
		return ret;
	}
	watch->watcher = watcher;
	watch->fd = fd;
	watch->callback = signalled;
	watch->data = data;
	pthread_mutex_lock(&watcher->lock);
	ret = enter(watcher, watch);
	pthread_mutex_unlock(&watcher->lock);
	if (ret < 0) {
		free(watch);
		return ret;
	}
	/* Others' events that were harvested here are waiting. */
	(void)eventfd_write(watcher->wakeup, 1);
	*ret_watch = watch;
	return 0;
}

void sim_watch_remove(struct sim_watch *watch)
{
	struct sim_watcher *watcher;
	struct sim_watch **link;
	uint64_t id;

	if (watch == NULL)
		return;
	watcher = watch->watcher;
	pthread_mutex_lock(&watcher->lock);
	for (link = &watcher->watches; *link != watch; link = &(*link)->next)
		;
	*link = watch->next;
	/* Fails if the descriptor is closed; an entry that stays, because of another descriptor, finds no watch. */
	if (find_twin(watcher, watch) == NULL && sim_eventfd_id(watch->fd, &id) == 0 && id == watch->id)
		(void)epoll_ctl(watcher->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
	while (watcher->inside == watch && !pthread_equal(watcher->thread, pthread_self()))
		pthread_cond_wait(&watcher->idle, &watcher->lock);
	pthread_mutex_unlock(&watcher->lock);
	free(watch);
}

bool sim_watch_is_alive(struct sim_watch *watch)
{
	bool alive;

	pthread_mutex_lock(&watch->watcher->lock);
	alive = entry_is_alive(watch->watcher, watch->number);
	pthread_mutex_unlock(&watch->watcher->lock);
	return alive;
}
