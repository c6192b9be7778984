/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * gh-hw: tests on a device, real or simulated, through libgh's public interface. Prints "case: result", the same on every
 * run, so that the lines of two devices can be compared.
 */
#include "hw.h"

#include "conform.h"
#include "tree.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SKIPPED 77
#define MOST_DEVICES 32u

void hw_result(struct hw *hw, const char *name, const char *expected, const char *format, ...)
{
	char text[300];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (expected == NULL || strcmp(text, expected) == 0) {
		hw->passed++;
		(void)printf("%s: %s\n", name, text);
	} else {
		hw->failed++;
		(void)printf("%s: %s (FAILED: expected %s)\n", name, text, expected);
	}
	(void)fflush(stdout);
}

static const char *error_name(int error)
{
	static const struct {
		int error;
		const char *name;
	} names[] = {
		{ 0, "ok" },
		{ -EINVAL, "EINVAL" },
		{ -EBUSY, "EBUSY" },
		{ -EEXIST, "EEXIST" },
		{ -ENOENT, "ENOENT" },
		{ -ERANGE, "ERANGE" },
		{ -ENODEV, "ENODEV" },
		{ -EPERM, "EPERM" },
		{ -EBADF, "EBADF" },
		{ -EFAULT, "EFAULT" },
		{ -ENOMEM, "ENOMEM" },
		{ -ESHUTDOWN, "ESHUTDOWN" },
		{ -EOPNOTSUPP, "EOPNOTSUPP" },
		{ -EPROTO, "EPROTO" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].error == error)
			return names[i].name;
	return strerror(-error);
}

void hw_error(struct hw *hw, const char *name, int expected, int error)
{
	hw_result(hw, name, error_name(expected), "%s", error_name(error));
}

void hw_skip(struct hw *hw, const char *name, const char *why)
{
	hw->skipped++;
	(void)printf("%s: skipped (%s)\n", name, why);
}

int hw_open(struct hw *hw, struct gh_vm **ret_vm, struct gh_failure *failure)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;

	options.device = hw->device;
	options.backend = hw->backend;
	options.failure = failure;
	return gh_vm_open(&options, ret_vm);
}

static int write_guest(struct gh_vm *vm, const uint8_t *code, const uint8_t *end, unsigned int cpus)
{
	static const struct tree_bell bell = { .label = HW_LINE, .spi = HW_LINE, .flags = 1 };
	struct tree tree = { .base = HW_BASE, .cpus = cpus, .bells = &bell, .bell_count = 1 };
	uint8_t buffer[TREE_ROOM];
	size_t size = tree_build(&tree, buffer, sizeof(buffer));
	int ret = gh_vm_write(vm, HW_BASE, code, (size_t)(end - code));

	if (ret == 0)
		ret = gh_vm_write(vm, HW_TREE, buffer, size);
	if (ret == 0)
		ret = gh_vm_set_dtb(vm, HW_TREE, 2 * TREE_ROOM);
	return ret < 0 ? ret : gh_vm_set_entry(vm, HW_BASE, HW_TREE);
}

struct gh_vm *hw_prepare(struct hw *hw, const char *name, const uint8_t *code, const uint8_t *end, unsigned int cpus,
			 struct gh_vcpu **ret_vcpus)
{
	struct gh_failure failure = GH_FAILURE_INIT;
	struct gh_memory memory = GH_MEMORY_INIT;
	struct gh_vm *vm = NULL;
	int ret = hw_open(hw, &vm, &failure);

	if (ret < 0) {
		hw_result(hw, name, "ok", "open: %s", failure.cause);
		return NULL;
	}
	memory.gpa = HW_BASE;
	memory.length = HW_SIZE;
	memory.flags |= hw->lend ? (uint32_t)GH_MEMORY_LEND : 0;
	ret = gh_vm_map(vm, &memory, NULL);
	if (ret == 0)
		ret = write_guest(vm, code, end, cpus);
	for (unsigned int id = 0; ret == 0 && id < cpus; id++)
		ret = gh_vcpu_create(vm, id, &ret_vcpus[id]);
	if (ret < 0) {
		hw_result(hw, name, "ok", "%s: %s", gh_vm_failure(vm)->step, gh_vm_failure(vm)->cause);
		gh_vm_close(vm);
		return NULL;
	}
	return vm;
}

static void usage(FILE *to)
{
	(void)fputs(
		"usage: gh-hw [--device DEVICE] [--backend NAME] [--lend] [--no-guests]\n"
		"       gh-hw --raw [--device DEVICE]...\n"
		"Tests libgh on a device and prints \"case: result\" lines. With --raw, makes requests of the kernel's "
		"interface\n"
		"without libgh and prints what the kernel says, so that the lines of two devices can be compared.\n"
		"\n"
		"  --device DEVICE  path, or a simulated device such as sim:gunyah (default: GH_DEVICE, or what is there)\n"
		"  --backend NAME   gunyah, geniezone, halla or kvm (default: whichever answers)\n"
		"  --lend           lend the guest its memory instead of sharing it\n"
		"  --no-guests      only what needs no guest: runs on any host with a script engine\n"
		"\n"
		"Exit status: 0 all passed, 1 some failed, 2 wrong usage, 77 no device. With --raw nothing is expected: 1 "
		"tells of a\n"
		"simulated device whose kernel would break.\n",
		to);
}

/* Requests that a real device would not survive are not among them. */
static int run_raw(const char *const *devices, size_t n)
{
	static const char *const nodes[] = { "/dev/gunyah", "/dev/gzvm" };
	size_t found = 0;

	/* Whoever reads the lines may go; what the kernel has must be closed in order all the same. */
	(void)signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < (n > 0 ? n : sizeof(nodes) / sizeof(nodes[0])); i++) {
		const char *device = n > 0 ? devices[i] : nodes[i];
		bool is_known = strstr(device, "gzvm") != NULL ? conform_geniezone(device) : conform_gunyah(device);

		found += is_known;
		if (!is_known && n > 0)
			(void)fprintf(stderr, "gh-hw: %s cannot be opened, or is neither Gunyah nor GenieZone\n", device);
	}
	if (found == 0 && n == 0)
		(void)fprintf(stderr, "gh-hw: there is no usable /dev/gunyah or /dev/gzvm; name a device with --device\n");
	if (conform_breakages() > 0)
		return 1;
	return found == (n > 0 ? n : found) && found > 0 ? 0 : SKIPPED;
}

static int run_all(struct hw *hw, bool guests)
{
	struct gh_failure failure = GH_FAILURE_INIT;
	struct gh_vm *vm = NULL;

	if (hw_open(hw, &vm, &failure) < 0) {
		(void)fprintf(stderr, "gh-hw: %s %s\n", failure.cause, failure.remedy);
		return SKIPPED;
	}
	hw->features = gh_vm_features(vm);
	(void)printf("backend: %s\n", gh_vm_backend(vm));
	gh_vm_close(vm);
	if (hw->lend && (hw->features & GH_FEATURE_LEND) == 0) {
		(void)fprintf(stderr, "gh-hw: this hypervisor cannot lend memory; leave --lend out\n");
		return 2;
	}
	hw_test_arguments(hw);
	if (guests)
		hw_test_guests(hw);
	else
		hw_skip(hw, "guests", "--no-guests");
	(void)printf("%u passed, %u failed, %u skipped\n", hw->passed, hw->failed, hw->skipped);
	return hw->failed == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "device", required_argument, NULL, 'd' },
		{ "backend", required_argument, NULL, 'b' },
		{ "lend", no_argument, NULL, 'l' },
		{ "no-guests", no_argument, NULL, 'n' },
		{ "raw", no_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const char *devices[MOST_DEVICES];
	size_t n = 0;
	bool raw = false;
	struct hw hw = { 0 };
	bool guests = true;
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (option) {
		case 'd':
			if (n == MOST_DEVICES) {
				usage(stderr);
				return 2;
			}
			devices[n++] = optarg;
			hw.device = optarg;
			break;
		case 'r':
			raw = true;
			break;
		case 'b':
			hw.backend = optarg;
			break;
		case 'l':
			hw.lend = true;
			break;
		case 'n':
			guests = false;
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind != argc || (!raw && n > 1) || (raw && (hw.backend != NULL || hw.lend || !guests))) {
		usage(stderr);
		return 2;
	}
	if (raw)
		return run_raw(devices, n);
	return run_all(&hw, guests);
}
