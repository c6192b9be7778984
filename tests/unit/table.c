/* SPDX-License-Identifier: BSD-3-Clause */
#include "table.h"

#include "../../lib/internal.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAPPINGS 64

struct table {
	struct gh_sys sys; /* first */
	struct gh_sys *inner;
};

struct range {
	void *address;
	size_t length;
};

_Thread_local bool table_counts;
_Thread_local unsigned int table_depth;
int (*table_on_ioctl)(unsigned long request, uintptr_t arg);
void (*table_after_enter)(int ret);
const char *(*table_on_open)(const char *path);
bool table_is_poor;
void (*table_on_call)(const char *slot, uint64_t detail);
bool (*table_instead)(int fd, unsigned long request, uintptr_t arg, int *ret_result);

static struct {
	unsigned long count;
	unsigned long fail_at;
	unsigned long requests;
	int error;
	const char *victim;
	struct range mappings[MAPPINGS];
	unsigned int n_mappings;
	pthread_mutex_t lock;
	atomic_bool wrap_kernel; /* also read by threads of simulated kernels */
} state = { .victim = "", .lock = PTHREAD_MUTEX_INITIALIZER };

/* Named by the linker. */
struct gh_sys *__real_gh_sys_kernel(void);
struct gh_sys *__wrap_gh_sys_kernel(void);
int __real_gh_simload(struct gh_simload *ret_load);
int __wrap_gh_simload(struct gh_simload *ret_load);

static struct gh_sys *inner(struct gh_sys *sys)
{
	return ((struct table *)(void *)sys)->inner;
}

static void tell(const char *name, uint64_t detail)
{
	if (table_on_call != NULL)
		table_on_call(name, detail);
}

/* Should this call fail? */
static int strike_with(const char *name, uint64_t detail)
{
	tell(name, detail);
	if (!table_counts)
		return 0;
	if (++state.count != state.fail_at)
		return 0;
	state.victim = name;
	return state.error;
}

static int strike(const char *name)
{
	return strike_with(name, 0);
}

/* --- calls that fail without having been made ------------------------------------------------------------------------- */

#define BELOW(call)                                                                                                        \
	do {                                                                                                               \
		table_depth++;                                                                                             \
		ret = call;                                                                                                \
		table_depth--;                                                                                             \
	} while (0)

static int open_text(struct gh_sys *sys, const char *text)
{
	int fd = inner(sys)->memfd(inner(sys), "text", strlen(text));

	if (fd >= 0 && pwrite(fd, text, strlen(text), 0) < 0)
		abort();
	return fd;
}

static int table_open(struct gh_sys *sys, const char *path, int flags)
{
	const char *text = table_on_open != NULL ? table_on_open(path) : NULL;
	int ret = strike("open");

	if (table_is_poor && (strncmp(path, "/proc", 5) == 0 || strncmp(path, "/sys", 4) == 0))
		return -ENOENT;
	if (ret == 0 && text != NULL)
		return open_text(sys, text);
	if (ret == 0)
		BELOW(inner(sys)->open(inner(sys), path, flags));
	return ret;
}

static int table_dup(struct gh_sys *sys, int fd, int lowest)
{
	int ret = strike("dup");

	if (ret == 0)
		BELOW(inner(sys)->dup(inner(sys), fd, lowest));
	return ret;
}

static int table_ioctl(struct gh_sys *sys, int fd, unsigned long request, uintptr_t arg)
{
	int ret = strike_with("ioctl", request);

	if (table_counts)
		state.requests++;
	if (ret == 0 && table_on_ioctl != NULL)
		ret = table_on_ioctl(request, arg);
	if (ret == 0 && (table_instead == NULL || !table_instead(fd, request, arg, &ret)))
		BELOW(inner(sys)->ioctl(inner(sys), fd, request, arg));
	return ret;
}

static int table_enter(struct gh_sys *sys, int fd, unsigned long request, uintptr_t arg, const volatile uint32_t *cancel)
{
	int ret = strike_with("enter", request);

	if (table_counts)
		state.requests++;
	if (ret == 0 && table_instead != NULL && __atomic_load_n(cancel, __ATOMIC_SEQ_CST) != 0)
		ret = -ECANCELED;
	if (ret == 0 && (table_instead == NULL || !table_instead(fd, request, arg, &ret)))
		BELOW(inner(sys)->enter(inner(sys), fd, request, arg, cancel));
	if (table_after_enter != NULL)
		table_after_enter(ret);
	return ret;
}

static int table_eventfd(struct gh_sys *sys, unsigned int count, int flags)
{
	int ret = strike("eventfd");

	if (ret == 0)
		BELOW(inner(sys)->eventfd(inner(sys), count, flags));
	return ret;
}

static int table_memfd(struct gh_sys *sys, const char *name, uint64_t length)
{
	int ret = strike("memfd");

	if (ret == 0)
		BELOW(inner(sys)->memfd(inner(sys), name, length));
	return ret;
}

static ssize_t table_read(struct gh_sys *sys, int fd, void *buffer, size_t length)
{
	ssize_t ret = strike("read");

	if (ret == 0)
		BELOW(inner(sys)->read(inner(sys), fd, buffer, length));
	return ret;
}

static ssize_t table_pread(struct gh_sys *sys, int fd, void *buffer, size_t length, uint64_t offset)
{
	ssize_t ret = strike("pread");

	if (ret == 0)
		BELOW(inner(sys)->pread(inner(sys), fd, buffer, length, offset));
	return ret;
}

static int table_fstat(struct gh_sys *sys, int fd, struct stat *ret_stat)
{
	int ret = strike("fstat");

	if (ret == 0)
		BELOW(inner(sys)->fstat(inner(sys), fd, ret_stat));
	return ret;
}

static int table_ppoll(struct gh_sys *sys, struct pollfd *fds, unsigned int count, const struct timespec *timeout)
{
	int ret = strike("ppoll");

	if (ret == 0)
		BELOW(inner(sys)->ppoll(inner(sys), fds, count, timeout));
	return ret;
}

static int table_epoll_create(struct gh_sys *sys)
{
	int ret = strike("epoll_create");

	if (ret == 0)
		BELOW(inner(sys)->epoll_create(inner(sys)));
	return ret;
}

static int table_epoll_ctl(struct gh_sys *sys, int epoll, int operation, int fd, struct epoll_event *event)
{
	int struck = strike("epoll_ctl");
	int ret = 0;

	/* A removal is made whatever it says. */
	if (struck == 0 || operation == EPOLL_CTL_DEL)
		BELOW(inner(sys)->epoll_ctl(inner(sys), epoll, operation, fd, event));
	return struck < 0 ? struck : ret;
}

static int table_epoll_wait(struct gh_sys *sys, int epoll, struct epoll_event *ret_events, int room)
{
	int ret = strike("epoll_wait");

	if (ret == 0)
		BELOW(inner(sys)->epoll_wait(inner(sys), epoll, ret_events, room));
	return ret;
}

static int table_mprotect(struct gh_sys *sys, void *address, size_t length, int prot)
{
	int ret = strike_with("mprotect", (uint64_t)prot);

	if (ret == 0)
		BELOW(inner(sys)->mprotect(inner(sys), address, length, prot));
	return ret;
}

static int table_madvise(struct gh_sys *sys, void *address, size_t length, int advice)
{
	int ret = strike("madvise");

	if (table_is_poor && advice == 23) /* MADV_POPULATE_WRITE */
		return -EINVAL;
	if (ret == 0)
		BELOW(inner(sys)->madvise(inner(sys), address, length, advice));
	return ret;
}

static int table_mlock(struct gh_sys *sys, void *address, size_t length, unsigned int flags)
{
	int ret = strike("mlock");

	if (table_is_poor && flags != 0)
		return -ENOSYS;
	if (ret == 0)
		BELOW(inner(sys)->mlock(inner(sys), address, length, flags));
	return ret;
}

static int table_sigaction(struct gh_sys *sys, int signal, const struct sigaction *action, struct sigaction *ret_old)
{
	int ret = strike("sigaction");

	if (ret == 0)
		BELOW(inner(sys)->sigaction(inner(sys), signal, action, ret_old));
	return ret;
}

static int table_sigprocmask(struct gh_sys *sys, int how, const sigset_t *set, sigset_t *ret_old)
{
	int ret = strike("sigprocmask");

	if (ret == 0)
		BELOW(inner(sys)->sigprocmask(inner(sys), how, set, ret_old));
	return ret;
}

static int table_getrlimit(struct gh_sys *sys, int resource, struct rlimit *ret_limit)
{
	int ret = strike("getrlimit");

	if (ret == 0)
		BELOW(inner(sys)->getrlimit(inner(sys), resource, ret_limit));
	return ret;
}

static int table_membarrier(struct gh_sys *sys, int command)
{
	int ret = strike_with("membarrier", (uint64_t)command);

	if (table_is_poor)
		return -ENOSYS;
	if (ret == 0)
		BELOW(inner(sys)->membarrier(inner(sys), command));
	return ret;
}

static void note_mapping(void *address, size_t length)
{
	(void)pthread_mutex_lock(&state.lock);
	if (state.n_mappings < MAPPINGS)
		state.mappings[state.n_mappings] = (struct range){ address, length };
	state.n_mappings++;
	(void)pthread_mutex_unlock(&state.lock);
}

/* One that is only part of a mapping, or was never made, counts as one too many. */
static void forget_mapping(void *address, size_t length)
{
	(void)pthread_mutex_lock(&state.lock);
	for (unsigned int i = 0; i < state.n_mappings && i < MAPPINGS; i++) {
		if (state.mappings[i].address != address || state.mappings[i].length != length)
			continue;
		state.mappings[i] = state.mappings[--state.n_mappings];
		(void)pthread_mutex_unlock(&state.lock);
		return;
	}
	state.n_mappings++;
	(void)pthread_mutex_unlock(&state.lock);
}

static int table_mmap(struct gh_sys *sys, void *address, size_t length, int prot, int flags, int fd, void **ret_address)
{
	int ret = strike_with("mmap", (uint64_t)prot);

	if (ret == 0)
		BELOW(inner(sys)->mmap(inner(sys), address, length, prot, flags, fd, ret_address));
	if (ret == 0 && (flags & MAP_FIXED) == 0)
		note_mapping(*ret_address, length);
	return ret;
}

static int table_map_file(struct gh_sys *sys, void *address, size_t length, int prot, int flags, int fd, uint64_t offset,
			  void **ret_address)
{
	int ret = strike_with("map_file", (uint64_t)prot);

	if (ret == 0)
		BELOW(inner(sys)->map_file(inner(sys), address, length, prot, flags, fd, offset, ret_address));
	if (ret == 0 && (flags & MAP_FIXED) == 0)
		note_mapping(*ret_address, length);
	return ret;
}

/* --- calls that are made whatever they say, so that nothing really leaks or hangs --------------------------------------- */

static int table_close(struct gh_sys *sys, int fd)
{
	int struck = strike("close");
	int ret;

	BELOW(inner(sys)->close(inner(sys), fd));
	return struck < 0 ? struck : ret;
}

static int table_munmap(struct gh_sys *sys, void *address, size_t length)
{
	int struck = strike("munmap");
	int ret;

	BELOW(inner(sys)->munmap(inner(sys), address, length));
	forget_mapping(address, length);
	return struck < 0 ? struck : ret;
}

static int table_munlock(struct gh_sys *sys, void *address, size_t length)
{
	int struck = strike("munlock");
	int ret;

	BELOW(inner(sys)->munlock(inner(sys), address, length));
	return struck < 0 ? struck : ret;
}

static ssize_t table_write(struct gh_sys *sys, int fd, const void *buffer, size_t length)
{
	int struck = strike("write");
	ssize_t ret;

	BELOW(inner(sys)->write(inner(sys), fd, buffer, length));
	return struck < 0 ? struck : ret;
}

/* --- calls that cannot fail, or are not the library user's ------------------------------------------------------------- */

static int table_getpid(struct gh_sys *sys)
{
	tell("getpid", 0);
	return inner(sys)->getpid(inner(sys));
}

static int table_gettid(struct gh_sys *sys)
{
	tell("gettid", 0);
	return inner(sys)->gettid(inner(sys));
}

static int table_tgkill(struct gh_sys *sys, int pid, int tid, int signal)
{
	tell("tgkill", (uint64_t)pid);
	return inner(sys)->tgkill(inner(sys), pid, tid, signal);
}

static int table_thread_time(struct gh_sys *sys, int tid, uint64_t *ret_ns)
{
	tell("thread_time", 0);
	if (table_is_poor)
		return -EINVAL;
	return inner(sys)->thread_time(inner(sys), tid, ret_ns);
}

static uint64_t table_now(struct gh_sys *sys)
{
	tell("now", 0);
	return inner(sys)->now(inner(sys));
}

static int table_move_to_cpu(struct gh_sys *sys, unsigned int cpu)
{
	tell("move_to_cpu", 0);
	if (table_is_poor)
		return -EPERM;
	return inner(sys)->move_to_cpu(inner(sys), cpu);
}

static void table_yield(struct gh_sys *sys)
{
	tell("yield", 0);
	inner(sys)->yield(inner(sys));
}

static void table_put(struct gh_sys *sys)
{
	if (inner(sys)->put != NULL)
		inner(sys)->put(inner(sys));
}

/* Once for each machine: threads of its VMs read the table. */
static struct gh_sys *wrap(struct table *table, struct gh_sys *around)
{
	if (table->inner == around)
		return &table->sys;
	*table = (struct table){
		.sys = {
			.open = table_open,
			.close = table_close,
			.dup = table_dup,
			.ioctl = table_ioctl,
			.enter = table_enter,
			.eventfd = table_eventfd,
			.memfd = table_memfd,
			.read = table_read,
			.pread = table_pread,
			.write = table_write,
			.fstat = table_fstat,
			.ppoll = table_ppoll,
			.epoll_create = table_epoll_create,
			.epoll_ctl = table_epoll_ctl,
			.epoll_wait = table_epoll_wait,
			.mmap = table_mmap,
			.map_file = table_map_file,
			.munmap = table_munmap,
			.mprotect = table_mprotect,
			.madvise = table_madvise,
			.mlock = table_mlock,
			.munlock = table_munlock,
			.getpid = table_getpid,
			.gettid = table_gettid,
			.tgkill = table_tgkill,
			.sigaction = table_sigaction,
			.sigprocmask = table_sigprocmask,
			.thread_time = table_thread_time,
			.now = table_now,
			.move_to_cpu = table_move_to_cpu,
			.getrlimit = table_getrlimit,
			.membarrier = table_membarrier,
			.yield = table_yield,
			.put = table_put,
		},
		.inner = around,
	};
	return &table->sys;
}

/* --- in between ----------------------------------------------------------------------------------------------------- */

struct gh_sys *__wrap_gh_sys_kernel(void)
{
	static struct table table;

	/* A simulated kernel asks for the real one. */
	if (!atomic_load(&state.wrap_kernel) || table_depth > 0)
		return __real_gh_sys_kernel();
	return wrap(&table, __real_gh_sys_kernel());
}

static struct gh_sys *(*simulated_table)(struct gh_sim *sim);

/* One machine at a time. */
static struct gh_sys *wrap_simulated(struct gh_sim *sim)
{
	static struct table table;

	return wrap(&table, simulated_table(sim));
}

int __wrap_gh_simload(struct gh_simload *ret_load)
{
	int ret = __real_gh_simload(ret_load);

	if (ret == 0) {
		simulated_table = ret_load->table;
		ret_load->table = wrap_simulated;
	}
	return ret;
}

void table_wrap_kernel(bool on)
{
	atomic_store(&state.wrap_kernel, on);
}

void table_arm(unsigned long n, int error)
{
	state.count = 0;
	state.requests = 0;
	state.fail_at = n;
	state.error = error;
	state.victim = "";
}

bool table_fired(void)
{
	return state.fail_at != 0 && state.count >= state.fail_at;
}

const char *table_victim(void)
{
	return state.victim;
}

unsigned long table_count(void)
{
	return state.count;
}

unsigned long table_requests(void)
{
	return state.requests;
}

unsigned int table_mappings(void)
{
	return state.n_mappings;
}
