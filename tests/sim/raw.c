/* SPDX-License-Identifier: BSD-3-Clause */
#include "raw.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MARK 0xffff0u /* of RAW_MARK, in the memory */

atomic_int raw_handled;
void (*raw_hook)(void);

void raw_expect(const char *line, const char *result)
{
	const char *expected = NULL;

	for (const char *at = strstr(line, ": "); at != NULL; at = strstr(at + 1, ": "))
		expected = at + 2;
	ck_assert_ptr_nonnull(expected);
	ck_assert_msg(strcmp(expected, result) == 0, "%s -- but got: %s", line, result);
}

const char *raw_result(int ret)
{
	static const struct {
		int error;
		const char *name;
	} names[] = {
		{ EPERM, "EPERM" },   { ENOENT, "ENOENT" }, { EINTR, "EINTR" },   { EBADF, "EBADF" },
		{ ENOMEM, "ENOMEM" }, { EFAULT, "EFAULT" }, { EBUSY, "EBUSY" },   { EEXIST, "EEXIST" },
		{ ENODEV, "ENODEV" }, { EINVAL, "EINVAL" }, { ENOTTY, "ENOTTY" }, { EOVERFLOW, "EOVERFLOW" },
	};
	static char other[32];

	if (ret == 0)
		return "ok";
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (ret == -names[i].error)
			return names[i].name;
	}
	(void)snprintf(other, sizeof(other), "%d", ret);
	return other;
}

const char *raw_descriptor(struct raw *raw, int ret)
{
	if (ret <= 0)
		return raw_result(ret);
	ck_assert_int_eq(raw->sys->close(raw->sys, ret), 0);
	return "fd";
}

static int create_vm(struct raw *raw)
{
	int fd = raw->sys->ioctl(raw->sys, raw->device, UAPI_GUNYAH_CREATE_VM, 0);

	ck_assert_int_ge(fd, 0);
	return fd;
}

void raw_open(struct raw *raw, const char *device, const char *script)
{
	struct gh_sim_options options = GH_SIM_OPTIONS_INIT;
	void *ram;

	memset(raw, 0, sizeof(*raw));
	for (int i = 0; i < RAW_VCPUS; i++)
		raw->vcpu[i] = -1;
	options.device = device;
	options.script = script;
	ck_assert_int_eq(gh_sim_new(&options, &raw->sim), 0);
	raw->sys = gh_sim_table(raw->sim);
	raw->device = raw->sys->open(raw->sys, UAPI_GUNYAH_DEVICE, O_RDWR);
	ck_assert_int_ge(raw->device, 0);
	raw->vm = create_vm(raw);
	ram = mmap(NULL, RAW_RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(ram, MAP_FAILED);
	raw->ram = ram;
}

void raw_drop_vcpu(struct raw *raw, uint32_t id)
{
	if (raw->page[id] != NULL)
		ck_assert_int_eq(raw->sys->munmap(raw->sys, raw->page[id], RAW_PAGE), 0);
	if (raw->vcpu[id] >= 0)
		ck_assert_int_eq(raw->sys->close(raw->sys, raw->vcpu[id]), 0);
	raw->page[id] = NULL;
	raw->vcpu[id] = -1;
}

static void close_vm(struct raw *raw)
{
	for (uint32_t id = 0; id < RAW_VCPUS; id++)
		raw_drop_vcpu(raw, id);
	if (raw->vm >= 0)
		ck_assert_int_eq(raw->sys->close(raw->sys, raw->vm), 0);
	raw->vm = -1;
}

void raw_new_vm(struct raw *raw)
{
	close_vm(raw);
	raw->vm = create_vm(raw);
}

void raw_close(struct raw *raw)
{
	close_vm(raw);
	ck_assert_int_eq(raw->sys->close(raw->sys, raw->device), 0);
	ck_assert_uint_eq(gh_sim_open_files(raw->sim), 0);
	raw->sys->put(raw->sys);
	gh_sim_free(raw->sim);
	(void)munmap(raw->ram, RAW_RAM_SIZE);
}

int raw_ioctl(struct raw *raw, int fd, unsigned long request, const void *argument)
{
	return raw->sys->ioctl(raw->sys, fd, request, (uintptr_t)argument);
}

static int set_memory(struct raw *raw, unsigned long request, const struct uapi_gunyah_region *region)
{
	return raw_ioctl(raw, raw->vm, request, region);
}

int raw_share(struct raw *raw, uint32_t label, uint32_t flags, uint64_t gpa, uint64_t size, const void *host)
{
	struct uapi_gunyah_region region = { label, flags, gpa, size, (uintptr_t)host };

	return set_memory(raw, UAPI_GUNYAH_SET_USER_MEM, &region);
}

int raw_lend(struct raw *raw, uint32_t label, uint32_t flags, uint64_t gpa, uint64_t size, const void *host)
{
	struct uapi_gunyah_region region = { label, flags, gpa, size, (uintptr_t)host };

	return set_memory(raw, UAPI_GUNYAH_LEND_USER_MEM, &region);
}

int raw_set_dtb(struct raw *raw, uint64_t gpa, uint64_t size)
{
	struct uapi_gunyah_range range = { gpa, size };

	return raw_ioctl(raw, raw->vm, UAPI_GUNYAH_SET_DTB, &range);
}

int raw_start(struct raw *raw)
{
	return raw->sys->ioctl(raw->sys, raw->vm, UAPI_GUNYAH_START, 0);
}

int raw_function(struct raw *raw, unsigned long request, uint32_t type, uint32_t size, const void *argument)
{
	struct uapi_gunyah_fn fn = { type, size, (uintptr_t)argument };

	return raw_ioctl(raw, raw->vm, request, &fn);
}

int raw_add_vcpu(struct raw *raw, uint32_t id)
{
	return raw_function(raw, UAPI_GUNYAH_ADD_FUNCTION, UAPI_GUNYAH_FN_VCPU, sizeof(id), &id);
}

int raw_remove_vcpu(struct raw *raw, uint32_t id)
{
	return raw_function(raw, UAPI_GUNYAH_REMOVE_FUNCTION, UAPI_GUNYAH_FN_VCPU, sizeof(id), &id);
}

int raw_add_irqfd(struct raw *raw, int fd, uint32_t label, uint32_t flags)
{
	struct uapi_gunyah_fn_irqfd argument = { (uint32_t)fd, label, flags, 0 };

	return raw_function(raw, UAPI_GUNYAH_ADD_FUNCTION, UAPI_GUNYAH_FN_IRQFD, sizeof(argument), &argument);
}

int raw_remove_irqfd(struct raw *raw, uint32_t label)
{
	struct uapi_gunyah_fn_irqfd argument = { 0, label, 0, 0 };

	return raw_function(raw, UAPI_GUNYAH_REMOVE_FUNCTION, UAPI_GUNYAH_FN_IRQFD, sizeof(argument), &argument);
}

static int ioeventfd(struct raw *raw, unsigned long request, const struct uapi_gunyah_fn_ioeventfd *argument)
{
	return raw_function(raw, request, UAPI_GUNYAH_FN_IOEVENTFD, sizeof(*argument), argument);
}

int raw_add_ioeventfd(struct raw *raw, int fd, uint64_t gpa, uint32_t width, uint32_t flags, uint64_t datamatch)
{
	struct uapi_gunyah_fn_ioeventfd argument = { datamatch, gpa, width, fd, flags, 0 };

	return ioeventfd(raw, UAPI_GUNYAH_ADD_FUNCTION, &argument);
}

int raw_remove_ioeventfd(struct raw *raw, int fd, uint64_t gpa, uint32_t width, uint32_t flags, uint64_t datamatch)
{
	struct uapi_gunyah_fn_ioeventfd argument = { datamatch, gpa, width, fd, flags, 0 };

	return ioeventfd(raw, UAPI_GUNYAH_REMOVE_FUNCTION, &argument);
}

void raw_make_vcpu(struct raw *raw, uint32_t id)
{
	void *page;

	raw->vcpu[id] = raw_add_vcpu(raw, id);
	ck_assert_int_ge(raw->vcpu[id], 0);
	ck_assert_int_eq(raw->sys->mmap(raw->sys, NULL, RAW_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, raw->vcpu[id], &page),
			 0);
	raw->page[id] = page;
}

void raw_configure(struct raw *raw, const struct raw_boot *boot)
{
	uint64_t gpa = boot->gpa == 0 ? TREE_BASE : boot->gpa;
	uint64_t dtb_size = boot->dtb_size == 0 ? TREE_ROOM : boot->dtb_size;
	uint32_t flags = boot->flags == 0 ? RAW_RWX : boot->flags;
	size_t size = tree_build(&boot->tree, raw->ram + RAW_DTB, RAW_RAM_SIZE - RAW_DTB);

	ck_assert_uint_gt(size, 0);
	if (boot->exact_size)
		dtb_size = size;
	if (boot->zero_size)
		dtb_size = 0;
	if (boot->garbage)
		memset(raw->ram + RAW_DTB, 0x5a, RAW_PAGE);
	if (boot->no_flags)
		flags = 0;
	if (boot->lent)
		ck_assert_int_eq(raw_lend(raw, 7, flags, gpa, RAW_RAM_SIZE, raw->ram), 0);
	else
		ck_assert_int_eq(raw_share(raw, 7, flags, gpa, RAW_RAM_SIZE, raw->ram), 0);
	ck_assert_int_eq(raw_set_dtb(raw, boot->dtb_gpa == 0 ? gpa + RAW_DTB : boot->dtb_gpa, dtb_size), 0);
}

int raw_boot(struct raw *raw, const struct raw_boot *boot)
{
	raw_configure(raw, boot);
	return raw_start(raw);
}

void raw_run_script(struct raw *raw, const char *script)
{
	static const struct raw_boot plain = { .lent = false };

	raw_open(raw, "gunyah/android14-6.1,engine=script", script);
	raw_make_vcpu(raw, 0);
	ck_assert_int_eq(raw_boot(raw, &plain), 0);
}

int raw_run_only(struct raw *raw, uint32_t id)
{
	return raw->sys->ioctl(raw->sys, raw->vcpu[id], UAPI_GUNYAH_RUN, 0);
}

static uint64_t value_of(const struct uapi_gunyah_mmio *mmio)
{
	uint64_t value = 0;

	for (uint32_t i = 0; i < mmio->width && i < 8; i++)
		value |= (uint64_t)mmio->data[i] << (8 * i);
	return value;
}

static void describe_status(char *text, size_t size, const struct uapi_gunyah_status *status)
{
	const uint8_t *reason = status->reason;

	(void)snprintf(text, size, "STATUS %u type %u reason_size %u reason %02x%02x%02x%02x %02x%02x%02x%02x",
		       status->status, status->type, status->reason_size, reason[0], reason[1], reason[2], reason[3],
		       reason[4], reason[5], reason[6], reason[7]);
}

const char *raw_exit(struct raw *raw, uint32_t id)
{
	static char text[128];
	const struct uapi_gunyah_run *page = raw->page[id];
	const struct uapi_gunyah_mmio *mmio = &page->u.mmio;

	if (page->exit_reason == UAPI_GUNYAH_EXIT_STATUS)
		describe_status(text, sizeof(text), &page->u.status);
	else if (page->exit_reason == UAPI_GUNYAH_EXIT_PAGE_FAULT)
		(void)snprintf(text, sizeof(text), "PAGE_FAULT 0x%" PRIx64 " attempt %s action %u", page->u.page_fault.gpa,
			       raw_result(page->u.page_fault.attempt), page->u.page_fault.resume_action);
	else if (page->exit_reason != UAPI_GUNYAH_EXIT_MMIO)
		(void)snprintf(text, sizeof(text), "exit_reason %u", page->exit_reason);
	else if (mmio->is_write)
		(void)snprintf(text, sizeof(text), "store 0x%" PRIx64 " len %u value 0x%" PRIx64, mmio->gpa, mmio->width,
			       value_of(mmio));
	else
		(void)snprintf(text, sizeof(text), "load 0x%" PRIx64 " len %u", mmio->gpa, mmio->width);
	return text;
}

const char *raw_run(struct raw *raw, uint32_t id)
{
	int ret;

	raw->page[id]->exit_reason = 0;
	ret = raw_run_only(raw, id);
	if (ret != 0)
		return raw_result(ret);
	return strcmp(raw_exit(raw, id), "load 0x6000 len 8") == 0 ? "idle" : raw_exit(raw, id);
}

void raw_answer(struct raw *raw, uint32_t id, uint64_t value)
{
	for (unsigned int i = 0; i < 8; i++)
		raw->page[id]->u.mmio.data[i] = (uint8_t)(value >> (8 * i));
}

int raw_eventfd(struct raw *raw)
{
	int fd = raw->sys->eventfd(raw->sys, 0, O_NONBLOCK);

	ck_assert_int_ge(fd, 0);
	return fd;
}

uint64_t raw_count(struct raw *raw, int fd)
{
	uint64_t value = 0;

	return raw->sys->read(raw->sys, fd, &value, sizeof(value)) == (ssize_t)sizeof(value) ? value : 0;
}

const char *raw_number(uint64_t value)
{
	static char text[32];

	(void)snprintf(text, sizeof(text), "%" PRIu64, value);
	return text;
}

const char *raw_signal(struct raw *raw, int fd)
{
	const uint64_t one = 1;

	return raw->sys->write(raw->sys, fd, &one, sizeof(one)) == (ssize_t)sizeof(one) ? "ok 8" : "failed";
}

static void handler(int signal)
{
	(void)signal;
	raw_handled++;
	if (raw_hook != NULL)
		raw_hook();
}

void raw_handle_signal(int flags)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_handler = handler;
	action.sa_flags = flags;
	raw_handled = 0;
	raw_hook = NULL;
	ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
}

void raw_ignore_signal(void)
{
	(void)signal(SIGUSR1, SIG_IGN);
}

void raw_await_mark(struct raw *raw)
{
	volatile uint32_t *mark = (volatile void *)(raw->ram + MARK);

	for (int i = 0; i < RAW_PATIENCE_MS && *mark == 0; i++)
		(void)usleep(1000);
	ck_assert_msg(*mark != 0, "the guest does not come to its mark");
	*mark = 0;
}

struct alarm {
	pthread_t thread;
	pthread_t target;
	struct timespec delay;
	atomic_bool over;
};

static void *alarm_thread(void *data)
{
	struct alarm *alarm = data;

	do {
		int handled = atomic_load(&raw_handled);

		(void)nanosleep(&alarm->delay, NULL);
		(void)pthread_kill(alarm->target, SIGUSR1);
		for (int i = 0; i < RAW_PATIENCE_MS && atomic_load(&raw_handled) == handled; i++)
			(void)usleep(1000);
	} while (!atomic_load(&alarm->over));
	return NULL;
}

void *raw_alarm(unsigned int milliseconds)
{
	struct alarm *alarm = calloc(1, sizeof(*alarm));

	ck_assert_ptr_nonnull(alarm);
	alarm->target = pthread_self();
	alarm->delay.tv_nsec = (long)milliseconds * 1000000;
	ck_assert_int_eq(pthread_create(&alarm->thread, NULL, alarm_thread, alarm), 0);
	return alarm;
}

void raw_alarm_join(void *data)
{
	struct alarm *alarm = data;

	atomic_store(&alarm->over, true);
	pthread_join(alarm->thread, NULL);
	free(alarm);
}

void raw_lock_capability(bool on)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];
	uint32_t bit = 1u << CAP_IPC_LOCK;

	ck_assert_int_eq((int)syscall(SYS_capget, &header, data), 0);
	if ((data[0].permitted & bit) == 0)
		return;
	data[0].effective = on ? data[0].effective | bit : data[0].effective & ~bit;
	ck_assert_int_eq((int)syscall(SYS_capset, &header, data), 0);
}
