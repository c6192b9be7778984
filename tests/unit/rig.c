/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig.h"

#include "../../lib/uapi/gunyah.h"
#include "../../lib/uapi/gzvm.h"
#include "../../lib/uapi/kvm.h"

#include "world.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char log_text[RIG_LOG];
static size_t log_length;

const char *rig_log(void)
{
	return log_text;
}

void rig_log_clear(void)
{
	log_length = 0;
	log_text[0] = '\0';
}

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	log_length += (size_t)vsnprintf(log_text + log_length, sizeof(log_text) - log_length, format, arguments);
	va_end(arguments);
	if (log_length >= sizeof(log_text)) /* ck_assert() allocates, also when all is well */
		ck_abort_msg("the log is full");
}

/* --- in words ----------------------------------------------------------------------------------------------------- */

static void note_function(const char *sign, const struct uapi_gunyah_fn *fn)
{
	const union {
		struct uapi_gunyah_fn_vcpu vcpu;
		struct uapi_gunyah_fn_irqfd irqfd;
		struct uapi_gunyah_fn_ioeventfd ioeventfd;
	} *arg = (const void *)(uintptr_t)fn->arg;

	switch (fn->type) {
	case UAPI_GUNYAH_FN_VCPU:
		note("%svcpu %u\n", sign, arg->vcpu.id);
		break;
	case UAPI_GUNYAH_FN_IRQFD:
		note("%sirqfd %u\n", sign, arg->irqfd.label);
		break;
	default:
		note("%sdoorbell %llx\n", sign, (unsigned long long)arg->ioeventfd.gpa);
		break;
	}
}

static void note_gunyah(unsigned long request, uintptr_t arg)
{
	const struct uapi_gunyah_region *region = (const void *)arg;

	switch (request) {
	case UAPI_GUNYAH_CREATE_VM:
		rig_log_clear();
		break;
	case UAPI_GUNYAH_SET_USER_MEM:
	case UAPI_GUNYAH_LEND_USER_MEM:
		if (region != NULL) /* a probe */
			note("memory %llx\n", (unsigned long long)region->gpa);
		break;
	case UAPI_GUNYAH_SET_DTB:
		note("tree\n");
		break;
	case UAPI_GUNYAH_START:
		note("start\n");
		break;
	case UAPI_GUNYAH_ADD_FUNCTION:
	case UAPI_GUNYAH_REMOVE_FUNCTION:
		if (arg != 0)
			note_function(request == UAPI_GUNYAH_ADD_FUNCTION ? "" : "-", (const void *)arg);
		break;
	default:
		break;
	}
}

static void note_gzvm(unsigned long request, uintptr_t arg)
{
	const struct uapi_gzvm_region *region = (const void *)arg;
	const struct uapi_gzvm_irqfd *irqfd = (const void *)arg;
	const struct uapi_gzvm_ioeventfd *bell = (const void *)arg;

	switch (request) {
	case UAPI_GZVM_CREATE_VM:
		rig_log_clear();
		break;
	case UAPI_GZVM_SET_USER_MEM:
		note("memory %llx\n", (unsigned long long)region->gpa);
		break;
	case UAPI_GZVM_CREATE_DEVICE:
		note("device %u\n", ((const struct uapi_gzvm_create_device *)arg)->type);
		break;
	case UAPI_GZVM_CREATE_VCPU:
		note("vcpu %u\n", (unsigned int)arg);
		break;
	case UAPI_GZVM_SET_ONE_REG:
		note("register %llx\n", (unsigned long long)((const struct uapi_gzvm_one_reg *)arg)->id);
		break;
	case UAPI_GZVM_SET_DTB:
		note("tree\n");
		break;
	case UAPI_GZVM_IRQFD:
		if (irqfd != NULL)
			note("%sirqfd %u\n", (irqfd->flags & UAPI_GZVM_IRQFD_DEASSIGN) != 0 ? "-" : "", irqfd->gsi);
		break;
	case UAPI_GZVM_IOEVENTFD:
		if (bell != NULL)
			note("%sdoorbell %llx\n", (bell->flags & UAPI_GZVM_IOEVENTFD_DEASSIGN) != 0 ? "-" : "",
			     (unsigned long long)bell->gpa);
		break;
	case UAPI_GZVM_IRQ_LINE:
		note("line %u\n", ((const struct uapi_gzvm_irq_level *)arg)->level);
		break;
	default:
		break;
	}
}

static void note_kvm(unsigned long request, uintptr_t arg)
{
	const struct uapi_kvm_region *region = (const void *)arg;
	const struct uapi_kvm_create_device *device = (const void *)arg;

	switch (request) {
	case UAPI_KVM_CREATE_VM:
		rig_log_clear();
		break;
	case UAPI_KVM_SET_USER_MEMORY_REGION:
		note("%smemory %llx\n", region->size == 0 ? "-" : "", (unsigned long long)region->gpa);
		break;
	case UAPI_KVM_CREATE_DEVICE:
		if (device->flags == 0)
			note("device\n");
		break;
	case UAPI_KVM_SET_DEVICE_ATTR:
		note("attribute %u\n", ((const struct uapi_kvm_device_attr *)arg)->group);
		break;
	case UAPI_KVM_CREATE_VCPU:
		note("vcpu %u\n", (unsigned int)arg);
		break;
	case UAPI_KVM_SET_ONE_REG:
		note("register %llx\n", (unsigned long long)((const struct uapi_kvm_one_reg *)arg)->id);
		break;
	case UAPI_KVM_IRQFD:
		note("%sirqfd %u\n",
		     (((const struct uapi_kvm_irqfd *)arg)->flags & UAPI_KVM_IRQFD_DEASSIGN) != 0 ? "-" : "",
		     ((const struct uapi_kvm_irqfd *)arg)->gsi);
		break;
	case UAPI_KVM_IOEVENTFD:
		note("%sdoorbell %llx\n",
		     (((const struct uapi_kvm_ioeventfd *)arg)->flags & UAPI_KVM_IOEVENTFD_DEASSIGN) != 0 ? "-" : "",
		     (unsigned long long)((const struct uapi_kvm_ioeventfd *)arg)->gpa);
		break;
	case UAPI_KVM_IRQ_LINE:
		note("line %u\n", ((const struct uapi_kvm_irq_level *)arg)->level);
		break;
	default:
		break;
	}
}

static int note_request(unsigned long request, uintptr_t arg)
{
	switch (request >> 8 & 0xff) {
	case 'G':
	case 'A':
		note_gunyah(request, arg);
		break;
	case 0x92:
		note_gzvm(request, arg);
		break;
	default:
		break;
	}
	return 0;
}

/* --- a KVM --------------------------------------------------------------------------------------------------------- */

/* Descriptors are memory files; a vCPU's has its run page. */
static int new_file(void)
{
	int fd = memfd_create("kvm", MFD_CLOEXEC);

	if (fd >= 0 && ftruncate(fd, 4096) < 0) {
		(void)close(fd);
		return -ENOMEM;
	}
	return fd < 0 ? -EMFILE : fd;
}

static int capability(uintptr_t cap)
{
	switch (cap) {
	case UAPI_KVM_CAP_MAX_VCPUS:
		return 8;
	case UAPI_KVM_CAP_NR_MEMSLOTS:
		return 32;
	case UAPI_KVM_CAP_ARM_VM_IPA_SIZE:
		return 40;
	case UAPI_KVM_CAP_ARM_PSCI_0_2:
	case UAPI_KVM_CAP_IMMEDIATE_EXIT:
	case UAPI_KVM_CAP_IRQFD:
	case UAPI_KVM_CAP_IRQFD_RESAMPLE:
	case UAPI_KVM_CAP_IOEVENTFD:
		return 1;
	default:
		return 0;
	}
}

static int switch_off(int fd)
{
	struct uapi_kvm_run run = { .exit_reason = UAPI_KVM_EXIT_SYSTEM_EVENT };

	run.system_event.type = UAPI_KVM_EVENT_SHUTDOWN;
	return pwrite(fd, &run, sizeof(run), 0) == (ssize_t)sizeof(run) ? 0 : -EIO;
}

static bool play_kvm(int fd, unsigned long request, uintptr_t arg, int *ret_result)
{
	struct uapi_kvm_create_device *device = (void *)arg;

	note_kvm(request, arg);
	*ret_result = 0;
	switch (request) {
	case UAPI_KVM_GET_API_VERSION:
		*ret_result = UAPI_KVM_API_VERSION;
		break;
	case UAPI_KVM_CHECK_EXTENSION:
		*ret_result = capability(arg);
		break;
	case UAPI_KVM_GET_VCPU_MMAP_SIZE:
		*ret_result = 4096;
		break;
	case UAPI_KVM_CREATE_VM:
	case UAPI_KVM_CREATE_VCPU:
		*ret_result = new_file();
		break;
	case UAPI_KVM_CREATE_DEVICE:
		if (device->flags == 0)
			device->fd = (uint32_t)new_file();
		break;
	case UAPI_KVM_RUN:
		*ret_result = switch_off(fd);
		break;
	default:
		break;
	}
	return true;
}

/* --- VMs ----------------------------------------------------------------------------------------------------------- */

void rig_begin(struct rig *rig, enum rig_kind kind, const char *script, struct gh_vm_options *ret_options)
{
	const struct gh_vm_options options = GH_VM_OPTIONS_INIT;

	*rig = (struct rig){ .kind = kind, .device = -1 };
	*ret_options = options;
	rig_log_clear();
	table_on_ioctl = note_request;
	switch (kind) {
	case RIG_FAKE:
		table_wrap_kernel(true);
		rig->fake = new_fake();
		world_queue(rig->fake, script);
		ret_options->backend = "fake";
		ret_options->fake = rig->fake;
		return;
	case RIG_KVM:
		table_wrap_kernel(true);
		table_instead = play_kvm;
		rig->device = new_file();
		ck_assert_int_ge(rig->device, 0);
		ret_options->backend = "kvm";
		ret_options->device_fd = rig->device;
		return;
	default:
		rig->sim = new_sim(kind == RIG_GUNYAH ? GUNYAH : GENIEZONE, script);
		ret_options->machine = rig->sim;
		return;
	}
}

void rig_open(struct rig *rig, enum rig_kind kind, const char *script)
{
	struct gh_vm_options options;
	int ret;

	rig_begin(rig, kind, script, &options);
	ret = gh_vm_open(&options, &rig->vm);
	ck_assert_msg(ret == 0, "open: %d", ret);
}

void rig_open_on(struct rig *rig, enum rig_kind kind, const char *device, const char *script)
{
	*rig = (struct rig){ .kind = kind, .device = -1, .sim = new_sim(device, script) };
	rig_log_clear();
	table_on_ioctl = note_request;
	rig->vm = open_sim(rig->sim);
}

void rig_close(struct rig *rig)
{
	gh_vm_close(rig->vm);
	table_on_ioctl = NULL;
	table_instead = NULL;
	table_wrap_kernel(false);
	if (rig->device >= 0)
		(void)close(rig->device);
	if (rig->sim != NULL)
		end_sim(rig->sim);
	gh_fake_free(rig->fake);
	ck_assert_uint_eq(table_mappings(), 0);
}

int rig_write_tree(struct rig *rig, uint64_t gpa, uint64_t room)
{
	struct gh_fdt_options options = GH_FDT_OPTIONS_INIT;
	struct gh_fdt *fdt = NULL;
	int ret = gh_fdt_open(rig->vm, &options, &fdt);

	if (ret == 0)
		ret = gh_fdt_finish(fdt, gpa, room);
	gh_fdt_close(fdt);
	return ret;
}
