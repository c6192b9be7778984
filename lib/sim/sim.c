/* SPDX-License-Identifier: BSD-3-Clause */
/* The simulated machine: its parts, its users, and what it remembers for the tests. */
#include "libghsim.h"
#include "machine.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct gh_sim {
	struct gh_sys sys; /* first: the table and the machine have one address */
	struct sim_settings settings;
	struct sim_engine_options engine_options;
	struct sim_files *files;
	struct sim_watcher *watcher;
	pid_t owner; /* a forked child has a copy of the machine, without its threads */
	pthread_mutex_t lock;
	unsigned int users;
	uint64_t locked_pages;
	uint64_t late_pages; /* of these, the ones that are only waiting to be given back */
	struct notice *breakage;
	_Alignas(max_align_t) unsigned char state[SIM_MACHINE_STATE];
};

enum { NOTICE_EMPTY, NOTICE_BEING_WRITTEN, NOTICE_WRITTEN };

/* What would have broken, in memory that forked children share: what one of them does breaks the same kernel. */
struct notice {
	atomic_uint state;
	char text[248];
};

static int notice_new(struct notice **ret_notice)
{
	struct gh_sys *kernel = gh_sys_kernel();
	void *memory;
	int ret = kernel->mmap(kernel, NULL, sizeof(struct notice), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
			       &memory);

	if (ret == 0)
		*ret_notice = memory;
	return ret;
}

static void notice_free(struct notice *notice)
{
	struct gh_sys *kernel = gh_sys_kernel();

	(void)kernel->munmap(kernel, notice, sizeof(*notice));
}

static void machine_free(struct gh_sim *sim)
{
	sim_files_free(sim->files);
	sim_watcher_free(sim->watcher);
	pthread_mutex_destroy(&sim->lock);
	free(sim->settings.script);
	notice_free(sim->breakage);
	free(sim);
}

static void machine_put(struct gh_sys *sys)
{
	struct gh_sim *sim = sim_machine_of(sys);
	unsigned int left;

	/* The threads and the engine's VM stayed with the parent. */
	if (getpid() != sim->owner)
		return;
	pthread_mutex_lock(&sim->lock);
	left = --sim->users;
	pthread_mutex_unlock(&sim->lock);
	if (left == 0)
		machine_free(sim);
}

/* A script is read once here, so that a mistake in it is the error of gh_sim_new() and not of some later ioctl. */
static int check_script(const struct gh_sim *sim)
{
	void *vm;
	int ret;

	if (sim->settings.engine != &sim_engine_script)
		return 0;
	ret = sim->settings.engine->vm_new(&sim->engine_options, &vm);
	if (ret == 0)
		sim->settings.engine->vm_free(vm);
	return ret;
}

static int machine_parts_new(struct gh_sim *sim)
{
	int ret;

	ret = notice_new(&sim->breakage);
	if (ret < 0)
		return ret;
	ret = sim_files_new(&sim->files);
	if (ret < 0)
		goto free_notice;
	ret = sim_watcher_new(&sim->watcher);
	if (ret < 0)
		goto free_files;
	ret = -pthread_mutex_init(&sim->lock, NULL);
	if (ret < 0)
		goto free_watcher;
	return 0;

free_watcher:
	sim_watcher_free(sim->watcher);
free_files:
	sim_files_free(sim->files);
free_notice:
	notice_free(sim->breakage);
	return ret;
}

int gh_sim_new(const struct gh_sim_options *options, struct gh_sim **ret_sim)
{
	struct gh_sim *sim;
	int ret;

	if (options == NULL || ret_sim == NULL)
		return -EINVAL;
	sim = calloc(1, sizeof(*sim));
	if (sim == NULL)
		return -ENOMEM;
	ret = sim_settings_parse(options, &sim->settings);
	if (ret < 0)
		goto free_sim;
	sim->engine_options.script = sim->settings.script;
	ret = check_script(sim);
	if (ret < 0)
		goto free_script;
	ret = machine_parts_new(sim);
	if (ret < 0)
		goto free_script;
	sim->sys = *gh_sys_kernel();
	sim->sys.put = machine_put;
	sim_files_fill(&sim->sys);
	sim->owner = getpid();
	sim->users = 1;
	*ret_sim = sim;
	return 0;

free_script:
	free(sim->settings.script);
free_sim:
	free(sim);
	return ret;
}

void gh_sim_free(struct gh_sim *sim)
{
	if (sim != NULL)
		machine_put(&sim->sys);
}

unsigned int gh_sim_open_files(struct gh_sim *sim)
{
	return sim == NULL ? 0 : sim_files_count(sim->files);
}

const char *gh_sim_breakage(struct gh_sim *sim)
{
	if (sim == NULL || atomic_load(&sim->breakage->state) != NOTICE_WRITTEN)
		return NULL;
	return sim->breakage->text;
}

struct gh_sys *gh_sim_table(struct gh_sim *sim)
{
	pthread_mutex_lock(&sim->lock);
	sim->users++;
	pthread_mutex_unlock(&sim->lock);
	return &sim->sys;
}

const char *gh_sim_device_path(struct gh_sim *sim)
{
	return sim->settings.driver->path;
}

void sim_machine_breakage(struct gh_sim *sim, const char *what)
{
	unsigned int empty = NOTICE_EMPTY;

	/* Without a lock, which a child may have inherited locked. */
	if (!atomic_compare_exchange_strong(&sim->breakage->state, &empty, NOTICE_BEING_WRITTEN))
		return;
	(void)snprintf(sim->breakage->text, sizeof(sim->breakage->text), "%s", what);
	atomic_store(&sim->breakage->state, NOTICE_WRITTEN);
}

bool sim_machine_charge(struct gh_sim *sim, uint64_t pages, uint64_t limit)
{
	bool fits;

	pthread_mutex_lock(&sim->lock);
	fits = sim->locked_pages <= limit && pages <= limit - sim->locked_pages;
	if (fits) {
		sim->locked_pages += pages;
	} else {
		sim->locked_pages -= sim->late_pages;
		sim->late_pages = 0;
	}
	pthread_mutex_unlock(&sim->lock);
	return fits;
}

void sim_machine_uncharge_late(struct gh_sim *sim, uint64_t pages)
{
	pthread_mutex_lock(&sim->lock);
	sim->late_pages += pages;
	pthread_mutex_unlock(&sim->lock);
}

void *sim_machine_state(struct gh_sim *sim)
{
	return sim->state;
}

void sim_machine_uncharge(struct gh_sim *sim, uint64_t pages)
{
	pthread_mutex_lock(&sim->lock);
	sim->locked_pages -= pages;
	pthread_mutex_unlock(&sim->lock);
}

struct gh_sim *sim_machine_of(struct gh_sys *sys)
{
	return (struct gh_sim *)(void *)sys;
}

const struct sim_driver *sim_machine_driver(struct gh_sim *sim)
{
	return sim->settings.driver;
}

struct sim_files *sim_machine_files(struct gh_sim *sim)
{
	return sim->files;
}

struct sim_watcher *sim_machine_watcher(struct gh_sim *sim)
{
	return sim->watcher;
}

const struct sim_engine *sim_machine_engine(struct gh_sim *sim)
{
	return sim->settings.engine;
}

const struct sim_engine_options *sim_machine_engine_options(struct gh_sim *sim)
{
	return &sim->engine_options;
}

int sim_machine_check(struct gh_sim *sim)
{
	const struct sim_engine *engine = sim_machine_engine(sim);
	void *vm;
	int ret;

	if (access("/proc/self/maps", R_OK) < 0)
		return -ENOSYS;
	ret = engine->vm_new(sim_machine_engine_options(sim), &vm);
	if (ret == 0)
		engine->vm_free(vm);
	return ret;
}

enum sim_policy sim_machine_policy(struct gh_sim *sim)
{
	return sim->settings.policy;
}

bool sim_machine_in_child(struct gh_sim *sim)
{
	return getpid() != sim->owner;
}

pid_t sim_machine_owner(struct gh_sim *sim)
{
	return sim->owner;
}
