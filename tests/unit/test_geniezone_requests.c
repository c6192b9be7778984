/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the kernels of GenieZone and Halla are told, number by number: sections 1.2 to 1.5, 2.1 and 6.1 of the GenieZone UAPI
 * document. A simulated kernel takes most of it whatever it says.
 */
#include "geniezone_devices.h"
#include "table.h"

#include "../../lib/diagnosis.h"
#include "../../lib/uapi/gzvm.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define FIRMWARE_GPA UINT64_C(0x7fc00000)
#define SWIOTLB_GPA UINT64_C(0x90000000)
#define R0 0
#define V5 2
#define V9 3

/* --- a transcript --------------------------------------------------------------------------------------------------- */

static char text[4096];
static size_t length;
static const void *hosts[16]; /* by slot */
static uint32_t line_fd;      /* of the last line */
static uint32_t resample_fd;

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	length += (size_t)vsnprintf(text + length, sizeof(text) - length, format, arguments);
	va_end(arguments);
	ck_assert_uint_lt(length, sizeof(text));
}

static void note_region(uintptr_t arg)
{
	const struct uapi_gzvm_region *region = (const void *)arg;

	note(" slot %u flags %x gpa %llx size %llx", region->slot, region->flags, (unsigned long long)region->gpa,
	     (unsigned long long)region->size);
	hosts[region->slot % 16] = (const void *)(uintptr_t)region->host;
}

static void note_device(uintptr_t arg)
{
	const struct uapi_gzvm_create_device *device = (const void *)arg;
	struct uapi_gzvm_create_device rest = *device;

	note(" type %u gpa %llx size %llx", device->type, (unsigned long long)device->gpa,
	     (unsigned long long)device->size);
	rest.type = 0;
	rest.gpa = 0;
	rest.size = 0;
	ck_assert_int_eq(memcmp(&rest, &(struct uapi_gzvm_create_device){ 0 }, sizeof(rest)), 0);
}

static void note_register(uintptr_t arg)
{
	const struct uapi_gzvm_one_reg *reg = (const void *)arg;

	note(" %llx %llx", (unsigned long long)reg->id, (unsigned long long)*(const uint64_t *)(uintptr_t)reg->host);
}

static void note_line(uintptr_t arg)
{
	static const uint8_t zeros[16];
	const struct uapi_gzvm_irqfd *line = (const void *)arg;

	note(" gsi %u flags %x%s", line->gsi, line->flags, line->resample_fd != 0 ? " resample" : "");
	ck_assert_mem_eq(line->padding, zeros, sizeof(line->padding));
	line_fd = line->fd;
	resample_fd = line->resample_fd;
}

static void note_bell(uintptr_t arg)
{
	const struct uapi_gzvm_ioeventfd *bell = (const void *)arg;

	note(" value %llx gpa %llx width %u flags %x", (unsigned long long)bell->datamatch, (unsigned long long)bell->gpa,
	     bell->width, bell->flags);
}

static void note_words(unsigned long request, uintptr_t arg)
{
	const struct uapi_gzvm_enable_cap *cap = (const void *)arg;
	const struct uapi_gzvm_range *range = (const void *)arg;
	const struct uapi_gzvm_irq_level *level = (const void *)arg;

	switch (request) {
	case 0x9201:
	case 0x4c01:
	case 0x9241:
	case 0x4c20:
		note(" %llx", (unsigned long long)arg);
		break;
	case 0x40209246:
	case 0x40204c41:
		note_region(arg);
		break;
	case 0xc03092e0:
	case 0xc0304c80:
		note_device(arg);
		break;
	case 0x403092a3:
	case 0x40304c03:
		note(" %llx %llu %llx", (unsigned long long)cap->cap, (unsigned long long)cap->args[0],
		     (unsigned long long)cap->args[1]);
		break;
	case 0x401092ff:
	case 0x40104c04:
		note(" %llx %llx", (unsigned long long)range->gpa, (unsigned long long)range->size);
		break;
	case 0x401092ac:
	case 0x40104c29:
		note_register(arg);
		break;
	case 0x40209276:
	case 0x40204c61:
		note_line(arg);
		break;
	case 0x40409279:
	case 0x40404ca0:
		note_bell(arg);
		break;
	case 0x40089261:
	case 0x40084c62:
		note(" %x %u", level->irq, level->level);
		break;
	default:
		break;
	}
}

static int note_request(unsigned long request, uintptr_t arg)
{
	note("%lx", request);
	note_words(request, arg);
	note("\n");
	return 0;
}

static void listen(void)
{
	length = 0;
	text[0] = '\0';
	table_on_ioctl = note_request;
}

/* Said in GenieZone's numbers; Halla has others for the same, and its VMs are made with the width of addresses. */
static const char *in_halla(const char *word)
{
	static const char *const numbers[][2] = {
		{ "9201 0", "4c01 80000030" }, { "9241", "4c20" },         { "40209246", "40204c41" },
		{ "c03092e0", "c0304c80" },    { "403092a3", "40304c03" }, { "401092ff", "40104c04" },
		{ "401092ac", "40104c29" },    { "40209276", "40204c61" }, { "40409279", "40404ca0" },
		{ "40089261", "40084c62" },    { "ffbadab1", "50564d" },
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (strncmp(word, numbers[i][0], strlen(numbers[i][0])) == 0)
			return numbers[i][1];
	return NULL;
}

static void told(int index, const char *wanted)
{
	static char other[sizeof(text)];
	size_t size = 0;

	table_on_ioctl = NULL;
	while (*wanted != '\0') {
		const char *word = gz_devices[index].is_halla ? in_halla(wanted) : NULL;

		if (word != NULL) {
			size += (size_t)snprintf(other + size, sizeof(other) - size, "%s", word);
			wanted += strcspn(wanted, " \n") + (word[4] == ' ' ? 2 : 0);
		} else {
			other[size++] = *wanted++;
		}
	}
	other[size] = '\0';
	ck_assert_str_eq(text, other);
}

/* --- VMs -------------------------------------------------------------------------------------------------------------- */

static struct gh_sim *sim;
static struct gh_vm *vm;

static void begin(int index)
{
	sim = new_sim(gz_devices[index].device, "off");
	vm = open_sim(sim);
	listen();
}

static void end(void)
{
	table_on_ioctl = NULL;
	gh_vm_close(vm);
	end_sim(sim);
}

/* Main memory, and memory for devices. */
static void map(void)
{
	map_at(vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	map_at(vm, SWIOTLB_GPA, 2 * MIB, GH_MEMORY_RWX | GH_MEMORY_SWIOTLB);
}

/* Without firmware there is none at 0. */
START_TEST(test_no_firmware)
{
	begin(_i);
	map_at(vm, 0, RAM_SIZE, GH_MEMORY_RWX);
	told(_i, "40209246 slot 0 flags 1 gpa 0 size 400000\n");
	end();
}
END_TEST

static void start(uint32_t vcpus)
{
	for (uint32_t id = 0; id < vcpus; id++)
		(void)add_vcpu(vm, id);
	ck_assert_int_eq(gh_vm_set_dtb(vm, DTB_GPA, 0x3000), 0);
	ck_assert_int_eq(gh_vm_start(vm), 0);
}

/* --- the start -------------------------------------------------------------------------------------------------------- */

#define START                                                                                                              \
	"40209246 slot 0 flags 1 gpa 80000000 size 400000\n"                                                               \
	"40209246 slot 1 flags 4 gpa 90000000 size 200000\n"                                                               \
	"c03092e0 type 0 gpa 3fff0000 size 10000\nc03092e0 type 1 gpa 3ffb0000 size 20000\n"                               \
	"9241 0\n401092ac 6030000000100042 3c5\n"                                                                          \
	"401092ac 6030000000100000 80200000\n401092ac 603000000010003c 1122334455667788\n"                                 \
	"401092ac 6030000000100044 80100000\n401092ac 6030000000100040 80001000\n"                                         \
	"9241 1\n401092ac 6030000000100042 3c5\n"
#define DTB "401092ff 80200000 3000\n"

/* The interrupt controller before the vCPUs, with room for one redistributor however many vCPUs there are. */
START_TEST(test_start)
{
	void *wanted[2] = { NULL, NULL };

	begin(_i);
	map();
	ck_assert_int_eq(gh_vm_pointer(vm, RAM_GPA, 1, &wanted[0]), 0);
	ck_assert_int_eq(gh_vm_pointer(vm, SWIOTLB_GPA, 1, &wanted[1]), 0);
	ck_assert_int_eq(gh_vm_set_register(vm, GH_REG_X0 + 30, UINT64_C(0x1122334455667788)), 0);
	ck_assert_int_eq(gh_vm_set_register(vm, GH_REG_SP, 0x80100000), 0);
	ck_assert_int_eq(gh_vm_set_entry(vm, 0x80001000, DTB_GPA), 0);
	start(2);
	told(_i, _i == R0 ? START : START DTB);
	for (int i = 0; i < 2; i++)
		ck_assert_ptr_eq(hosts[i], wanted[i]);
	end();
}
END_TEST

/* With the hypervisor's firmware: what each region is for, where it goes, and the entry point for it in x1. */
START_TEST(test_firmware)
{
	begin(_i);
	ck_assert_int_eq(gh_vm_set_firmware(vm, FIRMWARE_GPA, 4 * MIB), 0);
	map();
	map_at(vm, FIRMWARE_GPA, 4 * MIB, GH_MEMORY_RWX);
	ck_assert_int_eq(gh_vm_set_entry(vm, 0x80001000, DTB_GPA), 0);
	start(1);
	told(_i, "9201 0\n"
		 "40209246 slot 0 flags 1 gpa 80000000 size 400000\n"
		 "40209246 slot 1 flags 4 gpa 90000000 size 200000\n"
		 "40209246 slot 2 flags 2 gpa 7fc00000 size 400000\n"
		 "c03092e0 type 0 gpa 3fff0000 size 10000\nc03092e0 type 1 gpa 3ffd0000 size 20000\n"
		 "403092a3 ffbadab1 1 0\n403092a3 ffbadab1 0 7fc00000\n"
		 "9241 0\n401092ac 6030000000100042 3c5\n"
		 "401092ac 6030000000100000 80200000\n401092ac 6030000000100002 80001000\n"
		 "401092ff 80200000 3000\n");
	end();
}
END_TEST

/* And without any. */
START_TEST(test_protected)
{
	begin(_i);
	ck_assert_int_eq(gh_vm_set_protected(vm, 1), 0);
	map_at(vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	start(1);
	told(_i, "9201 0\n"
		 "40209246 slot 0 flags 1 gpa 80000000 size 400000\n"
		 "c03092e0 type 0 gpa 3fff0000 size 10000\nc03092e0 type 1 gpa 3ffd0000 size 20000\n"
		 "403092a3 ffbadab1 2 0\n"
		 "9241 0\n401092ac 6030000000100042 3c5\n"
		 "401092ff 80200000 3000\n");
	end();
}
END_TEST

/* --- refusals --------------------------------------------------------------------------------------------------------- */

static unsigned long refused; /* this request is not made, */
static unsigned int nth;      /* when it comes for the n-th time from 0 */

static int refuse_request(unsigned long request, uintptr_t arg)
{
	(void)arg;
	return request == refused && nth-- == 0 ? -EIO : 0;
}

static const struct {
	unsigned long request;
	unsigned int nth;
	int ret;
} refusals[] = {
	{ 0xc03092e0, 0, -EIO }, { 0xc03092e0, 1, -EIO }, { 0x403092a3, 0, -EIO }, { 0x403092a3, 1, -EIO },
	{ 0x9241, 0, -EIO },     { 0x9241, 1, -EIO },     { 0x401092ac, 0, -EIO }, { 0x401092ac, 1, -EIO },
	{ 0x401092ac, 2, -EIO }, { 0x401092ac, 3, 0 }, /* of the second vCPU: PSCI sets it anyway */
	{ 0x401092ff, 0, -EIO },
};

/* None of them is left out of account: the start fails, and the failure has the request with its number. */
START_TEST(test_refusal)
{
	char number[16];
	int ret;

	begin(V9);
	ck_assert_int_eq(gh_vm_set_firmware(vm, FIRMWARE_GPA, 4 * MIB), 0);
	map_at(vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	map_at(vm, FIRMWARE_GPA, 4 * MIB, GH_MEMORY_RWX);
	ck_assert_int_eq(gh_vm_set_entry(vm, 0x80001000, DTB_GPA), 0);
	ck_assert_int_eq(gh_vm_set_dtb(vm, DTB_GPA, 0x3000), 0);
	(void)add_vcpu(vm, 0);
	(void)add_vcpu(vm, 1);
	refused = refusals[_i].request;
	nth = refusals[_i].nth;
	table_on_ioctl = refuse_request;
	ret = gh_vm_start(vm);
	table_on_ioctl = NULL;
	ck_assert_int_eq(ret, refusals[_i].ret);
	(void)snprintf(number, sizeof(number), "(0x%lx)", refused);
	if (ret < 0)
		ck_assert_ptr_nonnull(strstr(gh_vm_failure(vm)->request, number));
	end();
}
END_TEST

/* Failures have each request with its number (sections 1.2 and 6.1). */
START_TEST(test_names)
{
	static const struct {
		enum gh_request request;
		const char *geniezone;
		const char *halla;
	} names[] = {
		{ GH_REQUEST_CREATE_VM, "(0x9201)", "(0x4c01)" },
		{ GH_REQUEST_MAP, "(0x40209246)", "(0x40204c41)" },
		{ GH_REQUEST_INTERRUPT_CONTROLLER, "(0xc03092e0)", "(0xc0304c80)" },
		{ GH_REQUEST_SET_DTB, "(0x401092ff)", "(0x40104c04)" },
		{ GH_REQUEST_ADD_VCPU, "(0x9241)", "(0x4c20)" },
		{ GH_REQUEST_SET_REGISTER, "(0x401092ac)", "(0x40104c29)" },
		{ GH_REQUEST_RUN, "(0x9280)", "(0x4c21)" },
		{ GH_REQUEST_FAULT, "(0x9280)", "(0x4c21)" },
		{ GH_REQUEST_IRQFD, "(0x40209276)", "(0x40204c61)" },
		{ GH_REQUEST_IRQ_LINE, "(0x40089261)", "(0x40084c62)" },
		{ GH_REQUEST_IOEVENTFD, "(0x40409279)", "(0x40404ca0)" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		ck_assert_ptr_nonnull(strstr(gh_geniezone_diagnoses.names[names[i].request], names[i].geniezone));
		ck_assert_ptr_nonnull(strstr(gh_halla_diagnoses.names[names[i].request], names[i].halla));
	}
}
END_TEST

/* --- lines and doorbells ---------------------------------------------------------------------------------------------- */

static void start_simple(int index)
{
	begin(index);
	map_at(vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	start(1);
	listen();
}

static struct gh_irqfd *add_line(uint32_t line, uint32_t flags)
{
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	struct gh_irqfd *irqfd = NULL;

	options.line = line;
	options.flags = flags;
	ck_assert_int_eq(gh_irqfd_add(vm, &options, &irqfd), 0);
	return irqfd;
}

START_TEST(test_edge)
{
	struct gh_irqfd *irqfd;

	start_simple(_i);
	irqfd = add_line(5, 0);
	ck_assert_uint_eq(line_fd, (uint32_t)gh_irqfd_fd(irqfd));
	gh_irqfd_remove(irqfd);
	told(_i, "40209276 gsi 5 flags 0\n40209276 gsi 5 flags 1\n");
	end();
}
END_TEST

/* Where the kernel tells of acknowledgements, and lowers the line then: to one eventfd that nobody reads. */
START_TEST(test_level)
{
	struct gh_irqfd *irqfds[2];
	uint32_t unread;

	start_simple(V5);
	irqfds[0] = add_line(5, GH_IRQ_LEVEL);
	unread = resample_fd;
	irqfds[1] = add_line(6, GH_IRQ_LEVEL);
	ck_assert_uint_eq(resample_fd, unread);
	gh_irqfd_remove(irqfds[0]);
	gh_irqfd_remove(irqfds[1]);
	told(V5, "40209276 gsi 5 flags 2 resample\n40209276 gsi 6 flags 2 resample\n"
		 "40209276 gsi 5 flags 1\n40209276 gsi 6 flags 1\n");
	end();
}
END_TEST

/* Nothing to tell acknowledgements to: no line, which would never be lowered. */
START_TEST(test_no_eventfd)
{
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	struct gh_irqfd *irqfd = NULL;
	bool found = false;

	options.fd = eventfd(0, EFD_CLOEXEC);
	options.line = 5;
	options.flags = GH_IRQ_LEVEL;
	for (unsigned long n = 1; !found; n++) {
		int ret;

		start_simple(V5);
		table_counts = true;
		table_arm(n, -EMFILE);
		ret = gh_irqfd_add(vm, &options, &irqfd);
		table_counts = false;
		ck_assert(table_fired());
		found = strcmp(table_victim(), "eventfd") == 0;
		table_arm(0, 0);
		if (found)
			ck_assert_int_eq(ret, -EMFILE);
		end();
	}
	(void)close(options.fd);
}
END_TEST

/* An SPI, counted from 0. */
START_TEST(test_irq_line)
{
	struct gh_irq_options options = GH_IRQ_OPTIONS_INIT;
	struct gh_irq *irq = NULL;

	start_simple(_i);
	options.line = 0x123;
	options.flags = GH_IRQ_LEVEL;
	ck_assert_int_eq(gh_irq_add(vm, &options, &irq), 0);
	listen();
	ck_assert_int_eq(gh_irq_set(irq, 1), 0);
	ck_assert_int_eq(gh_irq_set(irq, 0), 0);
	told(_i, "40089261 1000123 1\n40089261 1000123 0\n");
	gh_irq_remove(irq);
	end();
}
END_TEST

static struct gh_ioevent *add_bell(uint64_t gpa, uint32_t width, uint32_t flags, uint64_t value)
{
	struct gh_ioevent_options options = GH_IOEVENT_OPTIONS_INIT;
	struct gh_ioevent *bell = NULL;

	options.gpa = gpa;
	options.width = width;
	options.flags = flags;
	options.value = value;
	ck_assert_int_eq(gh_ioevent_add(vm, &options, &bell), 0);
	return bell;
}

/* Removal wants all of what was added. */
START_TEST(test_bells)
{
	struct gh_ioevent *bells[2];

	start_simple(R0);
	bells[0] = add_bell(0x4000, 4, GH_IOEVENT_DATAMATCH, 7);
	bells[1] = add_bell(0x5000, 0, 0, 0);
	gh_ioevent_remove(bells[0]);
	gh_ioevent_remove(bells[1]);
	told(R0, "40409279 value 7 gpa 4000 width 4 flags 1\n40409279 value 0 gpa 5000 width 0 flags 0\n"
		 "40409279 value 7 gpa 4000 width 4 flags 5\n40409279 value 0 gpa 5000 width 0 flags 4\n");
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("geniezone_requests");
	TCase *tcase = add_case(suite, "geniezone_requests");

	tcase_add_loop_test(tcase, test_start, 0, GZ_DEVICES);
	tcase_add_loop_test(tcase, test_no_firmware, 0, GZ_DEVICES);
	tcase_add_loop_test(tcase, test_firmware, R0 + 1, GZ_DEVICES);
	tcase_add_loop_test(tcase, test_protected, R0 + 1, GZ_DEVICES);
	tcase_add_loop_test(tcase, test_refusal, 0, (int)(sizeof(refusals) / sizeof(refusals[0])));
	tcase_add_test(tcase, test_names);
	tcase_add_test(tcase, test_no_eventfd);
	tcase_add_loop_test(tcase, test_edge, 0, GZ_DEVICES);
	tcase_add_test(tcase, test_level);
	tcase_add_loop_test(tcase, test_irq_line, V9, GZ_DEVICES);
	tcase_add_test(tcase, test_bells);
	return run_suite(suite);
}
