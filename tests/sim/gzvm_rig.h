/* SPDX-License-Identifier: BSD-3-Clause */
/* A simulated /dev/gzvm under test: raw requests, and results as the lines that were observed on the real driver. */
#ifndef TESTS_SIM_GZVM_RIG_H
#define TESTS_SIM_GZVM_RIG_H

#include "sim/libghsim.h"
#include "sys.h"
#include "uapi/gzvm.h"

#include <gh/sim.h>

#include <check.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE ((size_t)sysconf(_SC_PAGESIZE))

struct rig {
	struct gh_sim *sim;
	struct gh_sys *sys;
	int device;
	int vm;
	int vcpu;
	struct uapi_gzvm_run run;
};

static inline int rig_ioctl(struct rig *rig, int fd, unsigned long request, const void *arg)
{
	return rig->sys->ioctl(rig->sys, fd, request, (uintptr_t)arg);
}

static inline int rig_ioctl_value(struct rig *rig, int fd, unsigned long request, uint64_t value)
{
	return rig->sys->ioctl(rig->sys, fd, request, (uintptr_t)value);
}

/* A machine with this device and script, its device open. */
static inline void rig_device_on(struct rig *rig, const char *device, const char *script)
{
	struct gh_sim_options options = GH_SIM_OPTIONS_INIT;

	memset(rig, 0, sizeof(*rig));
	options.device = device;
	options.script = script;
	ck_assert_int_eq(gh_sim_new(&options, &rig->sim), 0);
	rig->sys = gh_sim_table(rig->sim);
	rig->device = rig->sys->open(rig->sys, gh_sim_device_path(rig->sim), 2);
	ck_assert_int_ge(rig->device, 0);
	rig->vm = -1;
	rig->vcpu = -1;
}

static inline void rig_device(struct rig *rig, const char *script)
{
	rig_device_on(rig, "sim:gzvm/v9", script);
}

static inline void rig_vm_on(struct rig *rig, const char *device, const char *script)
{
	rig_device_on(rig, device, script);
	rig->vm = rig_ioctl_value(rig, rig->device, UAPI_GZVM_CREATE_VM, 0);
	ck_assert_int_ge(rig->vm, 0);
}

static inline void rig_vm(struct rig *rig, const char *script)
{
	rig_vm_on(rig, "sim:gzvm/v9", script);
}

static inline void rig_open_on(struct rig *rig, const char *device, const char *script)
{
	rig_vm_on(rig, device, script);
	rig->vcpu = rig_ioctl_value(rig, rig->vm, UAPI_GZVM_CREATE_VCPU, 0);
	ck_assert_int_ge(rig->vcpu, 0);
}

static inline void rig_open(struct rig *rig, const char *script)
{
	rig_vm(rig, script);
	rig->vcpu = rig_ioctl_value(rig, rig->vm, UAPI_GZVM_CREATE_VCPU, 0);
	ck_assert_int_ge(rig->vcpu, 0);
}

static inline void rig_close_fd(struct rig *rig, int *fd)
{
	if (*fd >= 0)
		ck_assert_int_eq(rig->sys->close(rig->sys, *fd), 0);
	*fd = -1;
}

static inline void rig_close(struct rig *rig)
{
	rig_close_fd(rig, &rig->vcpu);
	rig_close_fd(rig, &rig->vm);
	rig_close_fd(rig, &rig->device);
	ck_assert_uint_eq(gh_sim_open_files(rig->sim), 0);
	rig->sys->put(rig->sys);
	gh_sim_free(rig->sim);
}

static inline int rig_run(struct rig *rig)
{
	return rig_ioctl(rig, rig->vcpu, UAPI_GZVM_RUN, &rig->run);
}

/* Memory of its own: a page that nothing can use on each side keeps the kernel from joining it with its neighbours. */
static inline void *guarded(size_t length, int prot, int flags, int fd)
{
	char *area = mmap(NULL, length + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *memory;

	ck_assert_ptr_ne(area, MAP_FAILED);
	memory = mmap(area + PAGE, length, prot, flags | MAP_FIXED, fd, 0);
	ck_assert_ptr_ne(memory, MAP_FAILED);
	return memory;
}

static inline void guarded_free(void *memory, size_t length)
{
	ck_assert_int_eq(munmap((char *)memory - PAGE, length + 2 * PAGE), 0);
}

static inline void *guest_memory(size_t length)
{
	return guarded(length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
}

static inline int set_mem(struct rig *rig, uint32_t slot, uint64_t gpa, uint64_t size, const void *host)
{
	struct uapi_gzvm_region region = { slot, UAPI_GZVM_REGION_GUEST_MEM, gpa, size, (uintptr_t)host };

	return rig_ioctl(rig, rig->vm, UAPI_GZVM_SET_USER_MEM, &region);
}

/* The word for a result, "fd" for a descriptor if `is_fd`. */
static inline const char *word(int ret, bool is_fd)
{
	static const struct {
		int error;
		const char *name;
	} names[] = {
		{ EFAULT, "EFAULT" }, { EINVAL, "EINVAL" }, { ENOTTY, "ENOTTY" }, { ENXIO, "ENXIO" },
		{ ENOMEM, "ENOMEM" }, { EBADF, "EBADF" },   { EBUSY, "EBUSY" },   { EEXIST, "EEXIST" },
		{ ENOENT, "ENOENT" }, { EINTR, "EINTR" },   { ENODEV, "ENODEV" }, { EOPNOTSUPP, "EOPNOTSUPP" },
		{ EPERM, "EPERM" },   { EIO, "EIO" },
	};

	if (ret >= 0)
		return is_fd ? "fd" : "0";
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (names[i].error == -ret)
			return names[i].name;
	}
	return "another error";
}

static inline unsigned long long data_of(const struct uapi_gzvm_run *run)
{
	unsigned long long value;

	memcpy(&value, run->u.mmio.data, sizeof(value));
	return value;
}

static inline unsigned long long raw_of(const struct uapi_gzvm_run *run)
{
	unsigned long long value;

	memcpy(&value, run->u.bytes, sizeof(value));
	return value;
}

static inline const char *exit_name(uint32_t code, char buffer[16])
{
	static const char *const names[] = {
		"UNKNOWN",  "MMIO",         "HYPERCALL", "IRQ", "EXCEPTION", "DEBUG", "FAIL_ENTRY",
		"INTERNAL", "SYSTEM_EVENT", "SHUTDOWN",  "GZ",  "IDLE",      "0c",    "IPI",
	};

	if (code >= UAPI_GZVM_EXIT_UNKNOWN && code <= UAPI_GZVM_EXIT_IPI)
		return names[code - UAPI_GZVM_EXIT_UNKNOWN];
	(void)snprintf(buffer, 16, "0x%x", code);
	return buffer;
}

/* What is in the buffer, in the words of the observed lines. */
static inline const char *exit_text(const struct uapi_gzvm_run *run)
{
	static char text[200];
	char code[16];
	const char *name = exit_name(run->exit_reason, code);
	const uint64_t *args = run->u.hypercall.args;

	switch (run->exit_reason) {
	case UAPI_GZVM_EXIT_MMIO:
		(void)snprintf(text, sizeof(text), "%s %s pa=0x%llx size=%llu data=0x%llx reg=%u", name,
			       run->u.mmio.is_write ? "write" : "read", (unsigned long long)run->u.mmio.gpa,
			       (unsigned long long)run->u.mmio.width, data_of(run), run->u.mmio.reg);
		break;
	case UAPI_GZVM_EXIT_EXCEPTION:
		(void)snprintf(text, sizeof(text), "%s exc=%u err=%u gpa=0x%llx", name, run->u.exception.exception,
			       run->u.exception.error_code, (unsigned long long)run->u.exception.fault_gpa);
		break;
	case UAPI_GZVM_EXIT_HYPERCALL:
		(void)snprintf(text, sizeof(text), "%s 0x%llx,0x%llx,0x%llx,0x%llx", name, (unsigned long long)args[0],
			       (unsigned long long)args[1], (unsigned long long)args[2], (unsigned long long)args[3]);
		break;
	case UAPI_GZVM_EXIT_SYSTEM_EVENT:
		(void)snprintf(text, sizeof(text), "%s type=%u ndata=%u data0=0x%llx", name, run->u.event.type,
			       run->u.event.count, (unsigned long long)run->u.event.data[0]);
		break;
	case UAPI_GZVM_EXIT_FAIL_ENTRY:
		(void)snprintf(text, sizeof(text), "%s reason=0x%llx cpu=%u", name, raw_of(run), run->u.fail_entry.cpu);
		break;
	default:
		(void)snprintf(text, sizeof(text), "%s raw0=0x%llx", name, raw_of(run));
		break;
	}
	return text;
}

/* One RUN: the result, and what is in the buffer. */
static inline const char *run_text(struct rig *rig)
{
	static char text[240];
	int ret = rig_run(rig);

	(void)snprintf(text, sizeof(text), "%s %s", word(ret, false), exit_text(&rig->run));
	return text;
}

/* Lines that were observed: name and result. */
struct line {
	const char *name;
	const char *result;
};

/* What a group of cases has seen of its lines. */
struct seen {
	const struct line *lines;
	size_t count;
	bool done[96];
	char differences[4096];
};

static inline void differ(struct seen *seen, const char *name, const char *got, const char *wanted)
{
	size_t used = strlen(seen->differences);

	(void)snprintf(seen->differences + used, sizeof(seen->differences) - used, "\n%s: got \"%s\", observed \"%s\"",
		       name, got, wanted);
}

/* Compares a case with its line. */
__attribute__((format(printf, 3, 4))) static inline void saw(struct seen *seen, const char *name, const char *format, ...)
{
	char got[256];
	va_list list;

	va_start(list, format);
	(void)vsnprintf(got, sizeof(got), format, list);
	va_end(list);
	for (size_t i = 0; i < seen->count; i++) {
		if (strcmp(seen->lines[i].name, name) != 0)
			continue;
		seen->done[i] = true;
		if (strcmp(seen->lines[i].result, got) != 0)
			differ(seen, name, got, seen->lines[i].result);
		return;
	}
	differ(seen, name, got, "(no such line)");
}

/* Every line was seen, and as it was observed. */
static inline void all_seen(struct seen *seen)
{
	for (size_t i = 0; i < seen->count; i++) {
		if (!seen->done[i])
			differ(seen, seen->lines[i].name, "(not tried)", seen->lines[i].result);
	}
	ck_assert_msg(seen->differences[0] == '\0', "%s", seen->differences);
}

#define SEEN(lines_)                                                                                                       \
	{                                                                                                                  \
		.lines = (lines_), .count = sizeof(lines_) / sizeof((lines_)[0])                                           \
	}

#endif
