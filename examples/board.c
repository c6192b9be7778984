/* SPDX-License-Identifier: BSD-3-Clause */
#include "board.h"

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define MEMORY_GPA 0x80000000
#define MEMORY_SIZE 0x200000
#define TREE_GPA (MEMORY_GPA + MEMORY_SIZE / 2)

static const char options_text[] =
	"\n"
	"  --device DEV  a path such as /dev/gunyah, or a simulated device such as sim:gzvm/v9; without it the one that "
	"the\n"
	"                environment variable GH_DEVICE names, or the first hypervisor that works\n"
	"  --help        print this text\n"
	"\n"
	"Machines that are not arm64 play a script instead of the guest: sim:gzvm/v9,script=FILE.script\n"
	"Status: 0 if all went well, 1 if not, 2 for wrong usage.\n";

int board_arguments(struct board *board, int argc, char **argv, const char *what, const char **ret_device)
{
	static const struct option options[] = {
		{ "device", required_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const char *slash = strrchr(argv[0], '/');
	int option;

	board->name = slash != NULL ? slash + 1 : argv[0];
	while ((option = getopt_long(argc, argv, "", options, NULL)) == 'd')
		*ret_device = optarg;
	if (option == 'h') {
		(void)printf("Usage: %s [OPTION]...\n%s%s", board->name, what, options_text);
		return fflush(stdout) != 0;
	}
	if (option == -1 && optind == argc)
		return -1;
	(void)fprintf(stderr, "%s: there are only options; try '%s --help'\n", board->name, board->name);
	return 2;
}

static int explain(const struct board *board, const char *step, int error, const struct gh_failure *why)
{
	bool known = why != NULL && why->error == error;

	(void)fprintf(stderr, "%s: cannot %s: %s\n", board->name, known ? why->step : step, strerror(-error));
	if (known)
		(void)fprintf(stderr, "  cause:  %s\n  remedy: %s\n", why->cause, why->remedy);
	return error;
}

int board_explain(const struct board *board, const char *step, int error)
{
	return explain(board, step, error, gh_vm_failure(board->vm));
}

int board_open(struct board *board, const char *device, const uint32_t *guest, size_t size)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_failure why = GH_FAILURE_INIT;
	struct gh_memory memory = GH_MEMORY_INIT;
	int ret;

	options.device = device;
	options.failure = &why;
	ret = gh_vm_open(&options, &board->vm);
	if (ret < 0)
		return explain(board, "open the VM", ret, &why);
	memory.gpa = MEMORY_GPA;
	memory.length = MEMORY_SIZE;
	if ((ret = gh_vm_map(board->vm, &memory, NULL)) < 0 ||
	    (ret = gh_vm_write(board->vm, MEMORY_GPA, guest, size)) < 0 ||
	    (ret = gh_vm_set_entry(board->vm, MEMORY_GPA, TREE_GPA)) < 0 ||
	    (ret = gh_vcpu_create(board->vm, 0, &board->vcpu)) < 0)
		return board_explain(board, "make the VM", ret);
	return 0;
}

/* The guest does not read it, but Gunyah's resource manager does: it makes the VM by it. */
static int write_tree(struct board *board)
{
	struct gh_fdt *fdt;
	int ret = gh_fdt_open(board->vm, NULL, &fdt);

	if (ret == 0) {
		ret = gh_fdt_finish(fdt, TREE_GPA, 0);
		gh_fdt_close(fdt);
	}
	return ret;
}

int board_add_irqfd(struct board *board, struct gh_irqfd **ret_irqfd)
{
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	int ret;

	options.line = BOARD_LINE;
	ret = gh_irqfd_add(board->vm, &options, ret_irqfd);
	return ret < 0 ? board_explain(board, "connect the interrupt", ret) : 0;
}

static int run(struct board *board)
{
	struct gh_loop_options loop = GH_LOOP_OPTIONS_INIT;
	int ret = write_tree(board);

	if (ret == 0)
		ret = gh_vm_start(board->vm);
	if (ret == 0 && board->before_run != NULL) {
		ret = board->before_run(board);
		if (ret < 0)
			return ret;
	}
	if (ret == 0)
		ret = gh_vm_run(board->vm, &loop);
	if (ret < 0)
		return board_explain(board, "run the guest", ret);
	if (ret == GH_STOP_POWER_OFF)
		return 0;
	(void)fprintf(stderr, "%s: the guest has not switched itself off: cause %d of enum gh_stop_cause\n", board->name,
		      ret);
	return -EIO;
}

int board_run(struct board *board, void *(*work)(void *data), void (*stop)(void *data), void *data)
{
	pthread_t worker;
	int ret;

	if (work == NULL)
		return run(board);
	ret = -pthread_create(&worker, NULL, work, data);
	if (ret < 0)
		return board_explain(board, "make a thread", ret);
	ret = run(board);
	stop(data);
	(void)pthread_join(worker, NULL);
	return ret;
}

int board_close(struct board *board, int ret)
{
	gh_vm_close(board->vm);
	if (fflush(stdout) == 0 && ferror(stdout) == 0)
		return ret < 0;
	(void)fprintf(stderr, "%s: cannot write to standard output\n", board->name);
	return 1;
}
