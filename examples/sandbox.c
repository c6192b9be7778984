/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A VMM that gives up everything but running its VM before the guest's first instruction: a filter for system calls, made from
 * the library's list. A device then tries what an attacker would.
 */
#include "board.h"
#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Stores 1 to the device, which tries its luck; loads how often it was refused, and stores that. */
static const uint32_t guest[] = {
	0xd2a12001, 0x52800020, 0xb9000020,             /* x1: the device */
	0xb9400020, 0xb9000020,                         /* loads and stores */
	0x52800100, 0x72b08000, 0xd4000002, 0x14000000, /* PSCI SYSTEM_OFF */
};

/* What a call gets that is not on the list. */
static uint32_t otherwise = SECCOMP_RET_ERRNO | EPERM;
static unsigned int refused;

/* This program adds and removes nothing while the guest runs, and needs nothing else than to end: its output is write(). */
static int give_up_the_rest(struct board *board)
{
	static const uint32_t own[] = { SYS_exit_group };
	const struct confinement confinement = {
		.vm = board->vm,
		.phases = GH_PHASE_RUN | GH_PHASE_THREADS | GH_PHASE_END,
		.otherwise = otherwise,
		.own = own,
		.n_own = sizeof(own) / sizeof(own[0]),
	};
	int ret;

	/* The first use of standard output asks the kernel what it is. */
	(void)printf("vmm: gives up everything else\n");
	(void)fflush(stdout);
	ret = confine(&confinement);
	return ret < 0 ? board_explain(board, "install a filter", ret) : 0;
}

static void say(const char *what, int result)
{
	(void)printf("device: %s: %s\n", what, result < 0 ? strerror(errno) : "it has worked");
	(void)fflush(stdout);
	refused += result < 0 && errno == EPERM;
}

static int access_device(void *data, struct gh_bus_access *access)
{
	(void)data;
	if (access->is_store == 0) {
		access->value = refused;
	} else if (access->value == 1 && refused == 0) {
		say("opens a file", open("/proc/self/mem", O_RDWR | O_CLOEXEC));
		say("looks for other hypervisors", open("/dev/kvm", O_RDWR | O_CLOEXEC));
		say("talks to the world", socket(AF_INET, SOCK_STREAM, 0));
	} else {
		(void)printf("guest: has been refused %u times\n", (unsigned int)access->value);
	}
	return GH_BUS_DONE;
}

int main(int argc, char **argv)
{
	struct board board = { .before_run = give_up_the_rest };
	struct gh_bus_range_options range = GH_BUS_RANGE_OPTIONS_INIT;
	const char *device = NULL;
	int ret;

	if (argc > 1 && strcmp(argv[1], "--kill") == 0) {
		otherwise = SECCOMP_RET_KILL_PROCESS;
		argv[1] = argv[0];
		argv++;
		argc--;
	}
	ret = board_arguments(
		&board, argc, argv,
		"The VMM may do nothing but run its guest. With --kill as the first option, the first call that\n"
		"it must not make ends it.\n",
		&device);
	if (ret >= 0)
		return ret;
	range.name = "attacker";
	range.gpa = BOARD_DEVICE;
	range.length = 4;
	range.access = access_device;
	ret = board_open(&board, device, guest, sizeof(guest));
	if (ret == 0 && (ret = gh_bus_add(board.vm, &range, NULL)) < 0)
		ret = board_explain(&board, "add the device", ret);
	if (ret == 0)
		ret = board_run(&board, NULL, NULL, NULL);
	return board_close(&board, ret == 0 && refused != 3 ? -EIO : ret);
}
