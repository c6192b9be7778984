/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Open files of a simulated machine: which descriptors and mappings belong to which file.
 *
 * A file lives as long as something refers to it: a descriptor, a piece of a mapping, or a call that is inside. The lock
 * covers the tables and the reference counts; no driver code runs under it.
 */
#include "machine.h"
#include "pin.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Descriptors that are found without the lock. */
#define NUMBERS 4096u

/* `fd` is of a descriptor, `start` and `end` of a mapping, whose beginning is at `offset` of the file. */
struct entry {
	struct sim_file *file;
	int fd;
	uintptr_t start;
	uintptr_t end;
	uint64_t offset;
};

struct table {
	struct entry *entries;
	size_t count;
	size_t room;
};

struct sim_files {
	pthread_mutex_t lock;
	pthread_mutex_t closing; /* held by who closes a descriptor of the process, or reads one that it could close */
	_Atomic uint64_t numbers[NUMBERS / 64]; /* which descriptors may be ours: for those who cannot take the lock */
	struct table descriptors;
	struct table mappings;
	unsigned int files;
	uintptr_t page_mask;
};

int sim_files_new(struct sim_files **ret_files)
{
	struct sim_files *files = calloc(1, sizeof(*files));
	int ret;

	if (files == NULL)
		return -ENOMEM;
	ret = -pthread_mutex_init(&files->lock, NULL);
	if (ret < 0) {
		free(files);
		return ret;
	}
	(void)pthread_mutex_init(&files->closing, NULL);
	files->page_mask = (uintptr_t)sysconf(_SC_PAGESIZE) - 1;
	*ret_files = files;
	return 0;
}

unsigned int sim_files_count(struct sim_files *files)
{
	unsigned int count;

	pthread_mutex_lock(&files->lock);
	count = files->files;
	pthread_mutex_unlock(&files->lock);
	return count;
}

/* Makes room for `more` entries, so that adding them cannot fail when the kernel has done its part. */
static int table_reserve(struct table *table, size_t more)
{
	size_t room = table->room == 0 ? 8 : table->room;
	struct entry *entries;

	while (room < table->count + more)
		room *= 2;
	if (room == table->room)
		return 0;
	entries = realloc(table->entries, room * sizeof(*entries));
	if (entries == NULL)
		return -ENOMEM;
	table->entries = entries;
	table->room = room;
	return 0;
}

static void table_remove(struct table *table, size_t index)
{
	table->entries[index] = table->entries[--table->count];
}

/*
 * False: the descriptor is none of ours, by a look without the lock. A kick writes to an eventfd, and comes from signal
 * handlers, which may have interrupted this thread under the lock.
 */
static bool may_be_ours(struct sim_files *files, int fd)
{
	unsigned int number = (unsigned int)fd;

	return number >= NUMBERS || (atomic_load(&files->numbers[number / 64]) >> number % 64 & 1) != 0;
}

static void note_number(struct sim_files *files, int fd, bool ours)
{
	unsigned int number = (unsigned int)fd;
	uint64_t bit = UINT64_C(1) << number % 64;

	if (number >= NUMBERS)
		return;
	if (ours)
		(void)atomic_fetch_or(&files->numbers[number / 64], bit);
	else
		(void)atomic_fetch_and(&files->numbers[number / 64], ~bit);
}

/* The entry of a descriptor, or NULL if it is none of ours. Under the lock. */
static struct entry *find_descriptor(struct sim_files *files, int fd)
{
	for (size_t i = 0; i < files->descriptors.count; i++) {
		if (files->descriptors.entries[i].fd == fd)
			return &files->descriptors.entries[i];
	}
	return NULL;
}

static void add_descriptor(struct sim_files *files, struct sim_file *file, int fd)
{
	struct entry *old = find_descriptor(files, fd);
	struct entry entry = { .file = file, .fd = fd };

	/* The number was closed behind the table's back. The old file stays open: nobody can tell when it should end. */
	if (old != NULL)
		*old = entry;
	else
		files->descriptors.entries[files->descriptors.count++] = entry;
	note_number(files, fd, true);
	file->references++;
}

/* Ends a file whose last reference is gone. Not under the lock. */
static void file_end(struct sim_files *files, struct sim_file *file)
{
	struct gh_sys *kernel = gh_sys_kernel();

	file->ops->release(file);
	if (file->page != NULL)
		(void)kernel->munmap(kernel, file->page, file->page_size);
	pthread_mutex_lock(&files->lock);
	files->files--;
	pthread_mutex_unlock(&files->lock);
	free(file);
}

static void file_put(struct sim_files *files, struct sim_file *file)
{
	unsigned int left;

	pthread_mutex_lock(&files->lock);
	left = --file->references;
	pthread_mutex_unlock(&files->lock);
	if (left == 0)
		file_end(files, file);
}

/* The file behind a descriptor with a reference for the time of a call, or NULL. */
static struct sim_file *file_get(struct sim_files *files, int fd)
{
	struct sim_file *file = NULL;
	struct entry *entry;

	pthread_mutex_lock(&files->lock);
	entry = find_descriptor(files, fd);
	if (entry != NULL) {
		file = entry->file;
		file->references++;
	}
	pthread_mutex_unlock(&files->lock);
	return file;
}

struct sim_file *sim_file_get(struct gh_sim *sim, int fd)
{
	return file_get(sim_machine_files(sim), fd);
}

void sim_file_put(struct sim_file *file)
{
	file_put(sim_machine_files(file->sim), file);
}

bool sim_file_is_mapped(struct sim_file *file, uint64_t offset, uint64_t length)
{
	struct sim_files *files = sim_machine_files(file->sim);
	bool found = false;

	pthread_mutex_lock(&files->lock);
	for (size_t i = 0; i < files->mappings.count && !found; i++) {
		const struct entry *entry = &files->mappings.entries[i];

		found = entry->file == file && entry->offset < offset + length &&
			offset < entry->offset + (entry->end - entry->start);
	}
	pthread_mutex_unlock(&files->lock);
	return found;
}

static struct sim_files *files_of(struct gh_sys *sys)
{
	return sim_machine_files(sim_machine_of(sys));
}

int sim_file_new(struct gh_sim *sim, const struct sim_file_ops *ops, const char *name, void *object, size_t page_size,
		 struct sim_file **ret_file)
{
	struct sim_files *files = sim_machine_files(sim);
	struct gh_sys *kernel = gh_sys_kernel();
	struct sim_file *file = calloc(1, sizeof(*file));
	int ret;
	int fd;

	if (file == NULL)
		return -ENOMEM;
	file->ops = ops;
	file->sim = sim;
	file->object = object;
	file->page_size = page_size;
	fd = kernel->memfd(kernel, name, page_size);
	if (fd < 0) {
		ret = fd;
		goto free_file;
	}
	if (page_size > 0) {
		ret = kernel->mmap(kernel, NULL, page_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, &file->page);
		if (ret < 0)
			goto close_fd;
	}
	pthread_mutex_lock(&files->lock);
	ret = table_reserve(&files->descriptors, 1);
	if (ret == 0) {
		add_descriptor(files, file, fd);
		files->files++;
	}
	pthread_mutex_unlock(&files->lock);
	if (ret < 0)
		goto unmap;
	if (ret_file != NULL)
		*ret_file = file;
	return fd; /* NOLINT(clang-analyzer-unix.Malloc): the table of descriptors has the file */

unmap:
	if (file->page != NULL)
		(void)kernel->munmap(kernel, file->page, page_size);
close_fd:
	(void)kernel->close(kernel, fd);
free_file:
	free(file);
	return ret;
}

void sim_files_free(struct sim_files *files)
{
	struct gh_sys *kernel = gh_sys_kernel();

	/* Newest first: a vCPU's file before its VM's. */
	while (files->mappings.count > 0) {
		struct entry *entry = &files->mappings.entries[--files->mappings.count];

		(void)kernel->munmap(kernel, (void *)entry->start, entry->end - entry->start);
		file_put(files, entry->file);
	}
	while (files->descriptors.count > 0) {
		struct entry *entry = &files->descriptors.entries[--files->descriptors.count];

		(void)kernel->close(kernel, entry->fd);
		file_put(files, entry->file);
	}
	pthread_mutex_destroy(&files->closing);
	pthread_mutex_destroy(&files->lock);
	free(files->mappings.entries);
	free(files->descriptors.entries);
	free(files);
}

static int files_open(struct gh_sys *sys, const char *path, int flags)
{
	struct gh_sys *kernel = gh_sys_kernel();
	struct gh_sim *sim = sim_machine_of(sys);
	const struct sim_driver *driver = sim_machine_driver(sim);

	if (strcmp(path, driver->path) == 0)
		return driver->open(sim, flags);
	if (sim_driver_has(driver, path))
		return driver->open_other(sim, path);
	return kernel->open(kernel, path, flags);
}

static int files_close(struct gh_sys *sys, int fd)
{
	struct gh_sys *kernel = gh_sys_kernel();
	struct sim_files *files = files_of(sys);
	struct sim_file *file = NULL;
	struct entry *entry;
	int ret;

	/* What it refers to stays the parent's. The lock may have been held when the child was forked. */
	if (sim_machine_in_child(sim_machine_of(sys))) {
		entry = find_descriptor(files, fd);
		if (entry != NULL && entry->file->ops->in_child != NULL)
			entry->file->ops->in_child(entry->file);
		return kernel->close(kernel, fd);
	}
	/* The entry goes first: once it is closed, the number may come back in another thread. */
	pthread_mutex_lock(&files->lock);
	entry = find_descriptor(files, fd);
	if (entry != NULL) {
		file = entry->file;
		table_remove(&files->descriptors, (size_t)(entry - files->descriptors.entries));
		note_number(files, fd, false);
	}
	pthread_mutex_unlock(&files->lock);
	pthread_mutex_lock(&files->closing);
	ret = kernel->close(kernel, fd);
	pthread_mutex_unlock(&files->closing);
	if (file != NULL)
		file_put(files, file);
	return ret;
}

void sim_files_keep(struct sim_files *files, bool keep)
{
	if (keep)
		pthread_mutex_lock(&files->closing);
	else
		pthread_mutex_unlock(&files->closing);
}

static int files_dup(struct gh_sys *sys, int fd, int lowest)
{
	struct gh_sys *kernel = gh_sys_kernel();
	struct sim_files *files = files_of(sys);
	struct entry *entry;
	int ret;

	pthread_mutex_lock(&files->lock);
	ret = table_reserve(&files->descriptors, 1);
	if (ret == 0)
		ret = kernel->dup(kernel, fd, lowest);
	entry = find_descriptor(files, fd);
	if (ret >= 0 && entry != NULL)
		add_descriptor(files, entry->file, ret);
	pthread_mutex_unlock(&files->lock);
	return ret;
}

static int files_ioctl(struct gh_sys *sys, int fd, unsigned long request, uintptr_t arg)
{
	struct gh_sys *kernel = gh_sys_kernel();
	struct sim_files *files = files_of(sys);
	struct sim_file *file = file_get(files, fd);
	long ret;

	if (file == NULL)
		return kernel->ioctl(kernel, fd, request, arg);
	/* The kernel takes 32 bits of the request. */
	ret = file->ops->ioctl(file, request & 0xffffffffu, arg);
	file_put(files, file);
	return (int)ret;
}

static int files_enter(struct gh_sys *sys, int fd, unsigned long request, uintptr_t arg, const volatile uint32_t *cancel)
{
	struct gh_sys *kernel = gh_sys_kernel();
	struct sim_files *files = files_of(sys);
	struct sim_file *file = file_get(files, fd);
	long ret;

	if (file == NULL)
		return kernel->enter(kernel, fd, request, arg, cancel);
	sim_signals_cancel(cancel);
	ret = file->ops->ioctl(file, request & 0xffffffffu, arg);
	sim_signals_cancel(NULL);
	file_put(files, file);
	return (int)ret;
}

/* None of ours has a read or a write operation. */
static bool has_no_data(struct gh_sys *sys, int fd)
{
	struct sim_files *files = files_of(sys);
	struct sim_file *file = may_be_ours(files, fd) ? file_get(files, fd) : NULL;

	if (file != NULL)
		file_put(files, file);
	return file != NULL;
}

static ssize_t files_read(struct gh_sys *sys, int fd, void *buffer, size_t length)
{
	return has_no_data(sys, fd) ? -EINVAL : gh_sys_kernel()->read(gh_sys_kernel(), fd, buffer, length);
}

static ssize_t files_pread(struct gh_sys *sys, int fd, void *buffer, size_t length, uint64_t offset)
{
	return has_no_data(sys, fd) ? -EINVAL : gh_sys_kernel()->pread(gh_sys_kernel(), fd, buffer, length, offset);
}

static ssize_t files_write(struct gh_sys *sys, int fd, const void *buffer, size_t length)
{
	return has_no_data(sys, fd) ? -EINVAL : gh_sys_kernel()->write(gh_sys_kernel(), fd, buffer, length);
}

/* Takes one piece, the `index`th, out of [start, end); the file comes back if this was its last reference. */
static struct sim_file *forget_piece(struct table *table, size_t index, uintptr_t start, uintptr_t end)
{
	struct entry *entry = &table->entries[index];
	struct sim_file *file = entry->file;

	if (end <= entry->start || entry->end <= start)
		return NULL;
	if (start > entry->start && end < entry->end) {
		table->entries[table->count] = *entry;
		table->entries[table->count].offset += end - entry->start;
		table->entries[table->count++].start = end;
		file->references++;
		entry->end = start;
	} else if (start > entry->start) {
		entry->end = start;
	} else if (end < entry->end) {
		entry->offset += end - entry->start;
		entry->start = end;
	} else {
		table_remove(table, index);
		if (--file->references == 0)
			return file;
	}
	return NULL;
}

/*
 * What the kernel has unmapped, or mapped over. Under the lock, with one entry reserved: a hole in the middle of a piece
 * makes two of it. Returns the chain of files that are at their end.
 */
static struct sim_file *forget_range(struct sim_files *files, uintptr_t start, uintptr_t end)
{
	struct sim_file *ended = NULL;

	for (size_t i = files->mappings.count; i-- > 0;) {
		struct sim_file *file = forget_piece(&files->mappings, i, start, end);

		if (file == NULL)
			continue;
		file->next = ended;
		ended = file;
	}
	return ended;
}

static void end_all(struct sim_files *files, struct sim_file *ended)
{
	while (ended != NULL) {
		struct sim_file *next = ended->next;

		file_end(files, ended);
		ended = next;
	}
}

static uintptr_t page_end(const struct sim_files *files, uintptr_t start, size_t length)
{
	return (start + length + files->page_mask) & ~files->page_mask;
}

static int files_munmap(struct gh_sys *sys, void *address, size_t length)
{
	struct gh_sys *kernel = gh_sys_kernel();
	struct sim_files *files = files_of(sys);
	struct sim_file *ended = NULL;
	int ret;

	if (sim_machine_in_child(sim_machine_of(sys)))
		return kernel->munmap(kernel, address, length);
	/* Under the lock as a whole, so that no new mapping takes the place before the old one is forgotten. */
	pthread_mutex_lock(&files->lock);
	ret = table_reserve(&files->mappings, 1);
	if (ret == 0)
		ret = kernel->munmap(kernel, address, length);
	if (ret == 0)
		ended = forget_range(files, (uintptr_t)address, page_end(files, (uintptr_t)address, length));
	pthread_mutex_unlock(&files->lock);
	end_all(files, ended);
	return ret;
}

/* Maps, and keeps the table in step; `file` is NULL for what is none of ours. */
static int map_and_note(struct sim_files *files, struct sim_file *file, const struct entry *wanted, int prot, int flags,
			void **ret_address)
{
	struct gh_sys *kernel = gh_sys_kernel();
	size_t length = wanted->end - wanted->start;
	struct sim_file *ended = NULL;
	int ret;

	pthread_mutex_lock(&files->lock);
	ret = table_reserve(&files->mappings, 2);
	if (ret == 0)
		ret = kernel->map_file(kernel, (void *)wanted->start, length, prot, flags, wanted->fd, wanted->offset,
				       ret_address);
	if (ret == 0) {
		uintptr_t start = (uintptr_t)*ret_address;
		struct entry entry = { file, wanted->fd, start, page_end(files, start, length), wanted->offset };

		/* MAP_FIXED replaces what was there. */
		ended = forget_range(files, entry.start, entry.end);
		if (file != NULL) {
			files->mappings.entries[files->mappings.count++] = entry;
			file->references++;
		}
	}
	pthread_mutex_unlock(&files->lock);
	end_all(files, ended);
	return ret;
}

static int files_map_file(struct gh_sys *sys, void *address, size_t length, int prot, int flags, int fd, uint64_t offset,
			  void **ret_address)
{
	struct entry wanted = { NULL, fd, (uintptr_t)address, (uintptr_t)address + length, offset };
	struct sim_files *files = files_of(sys);
	struct sim_file *file = (flags & MAP_ANONYMOUS) != 0 ? NULL : file_get(files, fd);
	int ret = 0;

	if (file != NULL && (file->ops->mmap == NULL || (offset != 0 && !file->ops->is_memory)))
		ret = -ENODEV;
	else if (file != NULL)
		ret = file->ops->mmap(file, length, prot, flags);
	if (ret == 0)
		ret = map_and_note(files, file, &wanted, prot, flags, ret_address);
	if (file != NULL)
		file_put(files, file);
	return ret;
}

static int files_mmap(struct gh_sys *sys, void *address, size_t length, int prot, int flags, int fd, void **ret_address)
{
	return files_map_file(sys, address, length, prot, flags, fd, 0, ret_address);
}

/* What is behind the descriptor is a memory file; its user must see a device. */
static int files_fstat(struct gh_sys *sys, int fd, struct stat *ret_stat)
{
	struct gh_sys *kernel = gh_sys_kernel();
	struct sim_files *files = files_of(sys);
	struct sim_file *file = file_get(files, fd);
	int ret = kernel->fstat(kernel, fd, ret_stat);
	bool memory;

	if (file == NULL)
		return ret;
	memory = file->ops->is_memory;
	file_put(files, file);
	if (ret == 0 && !memory) {
		ret_stat->st_mode = S_IFCHR | S_IRUSR | S_IWUSR;
		ret_stat->st_size = 0;
	}
	return ret;
}

/* Memory that a guest has must stay: where it could not be mapped twice, the process's own mapping is the only one. */
static int files_mprotect(struct gh_sys *sys, void *address, size_t length, int prot)
{
	struct gh_sys *kernel = gh_sys_kernel();

	(void)sys;
	if (prot == PROT_NONE && !sim_pin_is_lasting())
		return 0;
	return kernel->mprotect(kernel, address, length, prot);
}

void sim_files_fill(struct gh_sys *sys)
{
	sys->open = files_open;
	sys->close = files_close;
	sys->dup = files_dup;
	sys->ioctl = files_ioctl;
	sys->enter = files_enter;
	sys->read = files_read;
	sys->pread = files_pread;
	sys->write = files_write;
	sys->fstat = files_fstat;
	sys->mmap = files_mmap;
	sys->map_file = files_map_file;
	sys->munmap = files_munmap;
	sys->mprotect = files_mprotect;
}
