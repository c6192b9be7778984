/* SPDX-License-Identifier: BSD-3-Clause */
/* Boots a stock Linux for arm64 with two vCPUs: from two files to a console on standard input and output. */
#include "console.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RAM_GPA 0x80000000
#define RAM_SIZE 0x10000000
#define PORT 0x9000000
#define LINE 5

struct machine {
	struct gh_vm *vm;
	struct gh_image *kernel;
	struct gh_image *initrd;
	struct gh_image_plan plan;
	struct console *console;
	struct gh_failure why;
};

static int open_files(struct machine *machine, const char *kernel, const char *initrd)
{
	struct gh_image_options file = GH_IMAGE_OPTIONS_INIT;
	int ret;

	file.failure = &machine->why;
	file.path = kernel;
	ret = gh_image_open(&file, &machine->kernel);
	if (ret < 0)
		return ret;
	file.path = initrd;
	file.format = GH_IMAGE_RAW;
	return gh_image_open(&file, &machine->initrd);
}

static int load(struct machine *machine)
{
	struct gh_image_place_options place = GH_IMAGE_PLACE_OPTIONS_INIT;
	struct gh_memory memory = GH_MEMORY_INIT;
	int ret;

	place.kernel = machine->kernel;
	place.initrd = machine->initrd;
	place.ram_gpa = memory.gpa = RAM_GPA;
	place.ram_size = memory.length = RAM_SIZE;
	if ((ret = gh_image_place(machine->vm, &place, &machine->plan)) < 0 ||
	    (ret = gh_vm_map(machine->vm, &memory, NULL)) < 0 ||
	    (ret = gh_image_load_plan(machine->vm, &machine->plan)) < 0)
		return ret;
	return gh_vm_set_entry(machine->vm, machine->plan.entry, machine->plan.dtb_gpa);
}

static int describe(struct machine *machine)
{
	const struct gh_image_plan *plan = &machine->plan;
	struct gh_fdt_options options = GH_FDT_OPTIONS_INIT;
	struct gh_fdt *fdt = NULL;
	int ret;

	options.command_line = "console=ttyS0 panic=-1 quiet";
	options.initrd_gpa = plan->initrd_gpa;
	options.initrd_length = plan->initrd_size;
	if ((ret = gh_fdt_open(machine->vm, &options, &fdt)) == 0 && (ret = gh_fdt_add_serial(fdt, PORT, LINE, 0)) == 0)
		ret = gh_fdt_finish(fdt, plan->dtb_gpa, plan->dtb_room);
	gh_fdt_close(fdt);
	return ret;
}

static int boot(struct machine *machine)
{
	const struct console_options port = { .gpa = PORT, .line = LINE, .input = STDIN_FILENO, .output = STDOUT_FILENO };
	struct gh_loop_options loop = GH_LOOP_OPTIONS_INIT;
	struct gh_vcpu *vcpu;
	int ret;

	if ((ret = load(machine)) < 0 || (ret = gh_vcpu_create(machine->vm, 0, &vcpu)) < 0 ||
	    (ret = gh_vcpu_create(machine->vm, 1, &vcpu)) < 0 ||
	    (ret = console_open(machine->vm, &port, &machine->console)) < 0 || (ret = describe(machine)) < 0 ||
	    (ret = gh_vm_start(machine->vm)) < 0)
		return ret;
	return gh_vm_run(machine->vm, &loop);
}

/* Why the guest has ended, or the negative errno value that kept it from running; machine->why has the reason. */
static int run(struct machine *machine, const char *kernel, const char *initrd)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	int ret = open_files(machine, kernel, initrd);
	int closed = 0;

	options.failure = &machine->why;
	if (ret == 0)
		ret = gh_vm_open(&options, &machine->vm);
	if (ret < 0)
		return ret;
	ret = boot(machine);
	if (ret < 0)
		machine->why = *gh_vm_failure(machine->vm);
	if (machine->console != NULL)
		closed = console_close(machine->console);
	return ret < 0 ? ret : closed < 0 ? closed : ret;
}

int main(int argc, char **argv)
{
	struct machine machine = { .plan = GH_IMAGE_PLAN_INIT, .why = GH_FAILURE_INIT };
	int ret;

	if (argc != 3 || argv[1][0] == '-') {
		(void)fprintf(stderr, "Usage: linux KERNEL INITRD\nGH_DEVICE names the device; see uart --help.\n");
		return 2;
	}
	ret = run(&machine, argv[1], argv[2]);
	if (ret < 0)
		(void)fprintf(stderr, "linux: cannot %s: %s\n  cause:  %s\n  remedy: %s\n", machine.why.step,
			      strerror(-ret), machine.why.cause, machine.why.remedy);
	gh_vm_close(machine.vm);
	gh_image_close(machine.initrd);
	gh_image_close(machine.kernel);
	return ret == GH_STOP_POWER_OFF ? 0 : 1;
}
