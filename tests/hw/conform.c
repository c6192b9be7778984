/* SPDX-License-Identifier: BSD-3-Clause */
#include "conform.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define BUSY_TRIES 100u
/* More than a page remains at both ends, wherever in it the memory is: see map_ram(). */
#define OUTER_SIZE (3 * (size_t)CONFORM_RAM_SIZE)

static const struct {
	int error;
	const char *name;
} errors[] = {
	{ EPERM, "EPERM" },   { ENOENT, "ENOENT" }, { EINTR, "EINTR" },   { EIO, "EIO" },
	{ ENXIO, "ENXIO" },   { EBADF, "EBADF" },   { EAGAIN, "EAGAIN" }, { ENOMEM, "ENOMEM" },
	{ EACCES, "EACCES" }, { EFAULT, "EFAULT" }, { EBUSY, "EBUSY" },   { EEXIST, "EEXIST" },
	{ ENODEV, "ENODEV" }, { EINVAL, "EINVAL" }, { ENOTTY, "ENOTTY" }, { EOPNOTSUPP, "EOPNOTSUPP" },
};

const char *conform_word(int ret)
{
	if (ret >= 0)
		return "ok";
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (errors[i].error == -ret)
			return errors[i].name;
	return strerror(-ret);
}

const char *conform_fd(struct conform *conform, int ret)
{
	if (ret < 0)
		return conform_word(ret);
	(void)conform->sys->close(conform->sys, ret);
	return "fd";
}

void conform_say(const char *name, const char *format, ...)
{
	va_list arguments;

	(void)printf("%s: ", name);
	va_start(arguments, format);
	(void)vprintf(format, arguments);
	va_end(arguments);
	(void)printf("\n");
	/* A case that breaks the machine is the last line. */
	(void)fflush(stdout);
}

int conform_ask(struct conform *conform, int fd, unsigned long request, const void *argument)
{
	return conform->sys->ioctl(conform->sys, fd, request, (uintptr_t)argument);
}

int conform_ask_value(struct conform *conform, int fd, unsigned long request, uint64_t argument)
{
	return conform->sys->ioctl(conform->sys, fd, request, (uintptr_t)argument);
}

int conform_eventfd(struct conform *conform)
{
	return conform->sys->eventfd(conform->sys, 0, 0x800 /* EFD_NONBLOCK */);
}

static void on_alarm(int signal)
{
	(void)signal;
}

/* A signal after so many seconds, and every second from then on: one could come before the call that it is to end. */
static void set_alarm(unsigned int seconds)
{
	const struct sigaction action = { .sa_handler = on_alarm };
	const struct itimerval timer = { .it_interval = { .tv_sec = seconds != 0 }, .it_value = { .tv_sec = seconds } };

	(void)sigaction(SIGALRM, &action, NULL);
	(void)setitimer(ITIMER_REAL, &timer, NULL);
}

int conform_run(struct conform *conform, int vcpu, unsigned long request, const void *argument, unsigned int seconds)
{
	const struct timespec moment = { .tv_nsec = 1000000 };
	int ret = -EBUSY;

	set_alarm(seconds);
	/* While a VM goes down, the resource manager of Gunyah has its vCPUs for moments. */
	for (unsigned int i = 0; ret == -EBUSY && i < BUSY_TRIES; i++) {
		ret = conform_ask(conform, vcpu, request, argument);
		if (ret == -EBUSY)
			(void)nanosleep(&moment, NULL);
	}
	set_alarm(0);
	return ret;
}

static bool is_simulated(const char *device)
{
	return strncmp(device, "sim:", 4) == 0;
}

bool conform_is_scripted(const struct conform *conform)
{
	return is_simulated(conform->device) && strstr(conform->device, "engine=script") != NULL;
}

static bool open_machine(struct conform *conform, const char *script)
{
	struct gh_sim_options options = GH_SIM_OPTIONS_INIT;

	options.device = conform->device;
	options.script = conform_is_scripted(conform) ? script : NULL;
	if (gh_sim_new(&options, &conform->sim) < 0)
		return false;
	conform->sys = gh_sim_table(conform->sim);
	return true;
}

/*
 * Memory between inaccessible pages, as aligned as its guest address is to be: some kernels map whole blocks to a guest. Every
 * page is there before the guest touches it, which some kernels do not survive.
 */
static bool map_ram(struct conform *conform)
{
	uint8_t *outer = mmap(NULL, OUTER_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *ram;

	if (outer == MAP_FAILED)
		return false;
	ram = outer + CONFORM_RAM_SIZE - (uintptr_t)outer % CONFORM_RAM_SIZE;
	if (mmap(ram, CONFORM_RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
	    MAP_FAILED) {
		(void)munmap(outer, OUTER_SIZE);
		return false;
	}
	memset(ram, 0, CONFORM_RAM_SIZE);
	conform->outer = outer;
	conform->ram = ram;
	return true;
}

bool conform_open(struct conform *conform, const char *script)
{
	const char *path = conform->device;

	conform->sim = NULL;
	conform->vm = -1;
	conform->dev = -1;
	conform->ram = NULL;
	conform->sys = gh_sys_kernel();
	if (is_simulated(conform->device)) {
		if (!open_machine(conform, script))
			return false;
		path = gh_sim_device_path(conform->sim);
	}
	conform->dev = conform->sys->open(conform->sys, path, O_RDWR | O_CLOEXEC);
	if (conform->dev < 0 || !map_ram(conform)) {
		conform_close(conform);
		return false;
	}
	return true;
}

static unsigned int breakages;

unsigned int conform_breakages(void)
{
	return breakages;
}

static void note_breakage(const struct conform *conform)
{
	const char *what = gh_sim_breakage(conform->sim);

	if (what == NULL)
		return;
	breakages++;
	(void)fprintf(stderr, "gh-hw: a kernel would break on %s: %s\n", conform->device, what);
}

void conform_close(struct conform *conform)
{
	if (conform->vm >= 0)
		(void)conform->sys->close(conform->sys, conform->vm);
	if (conform->dev >= 0)
		(void)conform->sys->close(conform->sys, conform->dev);
	if (conform->ram != NULL)
		(void)munmap(conform->outer, OUTER_SIZE);
	if (conform->sim != NULL) {
		note_breakage(conform);
		conform->sys->put(conform->sys);
		gh_sim_free(conform->sim);
	}
	conform->vm = -1;
	conform->dev = -1;
	conform->ram = NULL;
	conform->sim = NULL;
}
