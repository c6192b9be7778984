/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What Gunyah's kernels are told, number by number: requests and structures of sections 1.3 and 1.4 of the Gunyah UAPI
 * document, most of which a simulated kernel takes whatever they say.
 */
#include "revision.h"
#include "table.h"

#include "../../lib/uapi/gunyah.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MORE_GPA UINT64_C(0x90000000)
#define LAST_GPA UINT64_C(0xa0000000)
#define CMA "/dev/oemvm_cma"

/* --- a transcript --------------------------------------------------------------------------------------------------- */

static char text[4096];
static size_t length;
static unsigned long refused;  /* this request is not made, */
static int refusal;            /* and says so */
static const void *hosts[256]; /* by label */

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	length += (size_t)vsnprintf(text + length, sizeof(text) - length, format, arguments);
	va_end(arguments);
	ck_assert_uint_lt(length, sizeof(text));
}

static void note_argument(uint32_t type, const void *arg)
{
	const struct uapi_gunyah_fn_vcpu *vcpu = arg;
	const struct uapi_gunyah_fn_irqfd *line = arg;
	const struct uapi_gunyah_fn_ioeventfd *bell = arg;

	if (type == 1)
		note(" id %u", vcpu->id);
	else if (type == 2)
		note(" label %u flags %x", line->label, line->flags);
	else
		note(" value %llx gpa %llx width %u flags %x", (unsigned long long)bell->datamatch,
		     (unsigned long long)bell->gpa, bell->width, bell->flags);
}

static void note_named(const struct uapi_gunyah_named_fn *fn)
{
	note(" %s", fn->name);
	note_argument(strcmp(fn->name, "vcpu") == 0 ? 1 : strcmp(fn->name, "irqfd") == 0 ? 2 : 3, fn->u.data);
}

static void note_range(uintptr_t arg)
{
	const struct uapi_gunyah_range *range = (const void *)arg;

	note(" gpa %llx size %llx", (unsigned long long)range->gpa, (unsigned long long)range->size);
}

static void note_region(uintptr_t arg)
{
	const struct uapi_gunyah_region *region = (const void *)arg;

	note(" label %u flags %x gpa %llx size %llx", region->label, region->flags, (unsigned long long)region->gpa,
	     (unsigned long long)region->size);
	hosts[region->label % 256] = (const void *)(uintptr_t)region->host;
}

static void note_map(uintptr_t arg)
{
	const struct uapi_gunyah_map_mem *map = (const void *)arg;

	note(" gpa %llx flags %x offset %llx size %llx", (unsigned long long)map->gpa, map->flags,
	     (unsigned long long)map->offset, (unsigned long long)map->size);
}

static void note_contiguous(uintptr_t arg)
{
	const struct uapi_gunyah_map_cma *map = (const void *)arg;

	note(" label %u gpa %llx flags %x offset %llx size %llx", map->label, (unsigned long long)map->gpa, map->flags,
	     (unsigned long long)map->offset, (unsigned long long)map->size);
}

static void note_words(unsigned long request, uintptr_t arg)
{
	const struct uapi_gunyah_fn *fn = (const void *)arg;
	const struct uapi_gunyah_boot_context *boot = (const void *)arg;
	const struct uapi_gunyah_create_mem *file = (const void *)arg;
	const struct uapi_gunyah_auth *auth = (const void *)arg;

	switch (request) {
	case 0x40204701:
	case 0x40204111:
		note_region(arg);
		break;
	case 0x40104702:
	case 0x40104112:
	case 0x40104113:
		note_range(arg);
		break;
	case 0x40104704:
	case 0x40104707:
		note(" type %u size %u", fn->type, fn->arg_size);
		note_argument(fn->type, (const void *)(uintptr_t)fn->arg);
		break;
	case 0x44204704:
		note_named((const void *)arg);
		break;
	case 0x40204709:
		note_map(arg);
		break;
	case 0x40284115:
		note_contiguous(arg);
		break;
	case 0x4010470a:
		note(" reg %x value %llx", boot->reg, (unsigned long long)boot->value);
		break;
	case 0x40404708:
		note(" flags %llx size %llx", (unsigned long long)file->flags, (unsigned long long)file->size);
		break;
	case 0x40104116:
		note(" type %u size %u", auth->type, auth->arg_size);
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
	return request == refused ? refusal : 0;
}

/* Everything from here on, until told() is asked for. */
static void listen(void)
{
	length = 0;
	text[0] = '\0';
	refused = 0;
	table_on_ioctl = note_request;
}

static void told(const char *wanted)
{
	table_on_ioctl = NULL;
	ck_assert_str_eq(text, wanted);
}

/* --- VMs -------------------------------------------------------------------------------------------------------------- */

static const struct revision *revision_of(const char *device)
{
	for (int i = 0; i < revision_count; i++)
		if (strcmp(revisions[i].device, device) == 0)
			return &revisions[i];
	ck_abort_msg("no %s", device);
	return NULL;
}

static void begin(struct rig *rig, const char *device, const char *script)
{
	revision_open(rig, revision_of(device), script);
	listen();
}

static int start(struct rig *rig)
{
	rig->vcpus[0] = add_vcpu(rig->vm, 0);
	return gh_vm_start(rig->vm);
}

static const void *host_of(struct rig *rig, uint64_t gpa)
{
	void *host = NULL;

	ck_assert_int_eq(gh_vm_pointer(rig->vm, gpa, 1, &host), 0);
	return host;
}

/* --- memory ----------------------------------------------------------------------------------------------------------- */

static void map_three(struct rig *rig, uint32_t lend)
{
	map_at(rig->vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX | lend);
	map_at(rig->vm, MORE_GPA, 2 * MIB, GH_MEMORY_READ | GH_MEMORY_WRITE);
	map_at(rig->vm, LAST_GPA, MIB, GH_MEMORY_READ | lend);
}

static const struct tree_shm shms[] = { { 1, MORE_GPA }, { 2, LAST_GPA } };
static const struct tree tree_with_shms = { .cpus = 1, .shms = shms, .shm_count = 2 };

/* Lent by request, and shared; the devicetree's size as it was said. */
START_TEST(test_memory)
{
	const void *wanted[3];
	struct rig rig;

	begin(&rig, "sim:gunyah/android14-6.1", "off");
	map_three(&rig, GH_MEMORY_LEND);
	put_tree(rig.vm, &tree_with_shms);
	for (int i = 0; i < 3; i++)
		wanted[i] = host_of(&rig, i == 0 ? RAM_GPA : i == 1 ? MORE_GPA : LAST_GPA);
	ck_assert_int_eq(start(&rig), 0);
	told("40204111 label 0 flags 7 gpa 80000000 size 400000\n"
	     "40204701 label 1 flags 3 gpa 90000000 size 200000\n"
	     "40204111 label 2 flags 1 gpa a0000000 size 100000\n"
	     "40104704 type 1 size 4 id 0\n4706\n"
	     "40104702 gpa 80200000 size 2000\n"
	     "4703\n");
	for (int i = 0; i < 3; i++)
		ck_assert_ptr_eq(hosts[i], wanted[i]);
	/* A vCPU that stays would break the kernel with the VM (section 10.2). */
	listen();
	gh_vm_close(rig.vm);
	told("40104707 type 1 size 4 id 0\n");
	end_sim(rig.sim);
}
END_TEST

/* Lent by a flag, taken back with the size 0, and functions by name where there are no others. */
START_TEST(test_memory_by_flag)
{
	struct rig rig;

	begin(&rig, "sim:gunyah/v8", "off");
	map_three(&rig, GH_MEMORY_LEND);
	ck_assert_int_eq(gh_vm_unmap(rig.vm, 2), 0);
	ck_assert_int_eq(gh_vm_unmap(rig.vm, 1), 0);
	put_tree(rig.vm, &standard_tree);
	ck_assert_int_eq(start(&rig), 0);
	told("40204701 label 0 flags f gpa 80000000 size 400000\n"
	     "40204701 label 1 flags 3 gpa 90000000 size 200000\n"
	     "40204701 label 2 flags 9 gpa a0000000 size 100000\n"
	     "40204701 label 2 flags 0 gpa 0 size 0\n"
	     "40204701 label 1 flags 0 gpa 0 size 0\n"
	     "44204704 vcpu id 0\n4706\n"
	     "40104702 gpa 80200000 size 2000\n"
	     "4703\n");
	revision_close(&rig);
}
END_TEST

/* The kernel's own files: as large as the memory, huge pages only where they fit, lent unless it is said otherwise. */
START_TEST(test_files)
{
	struct rig rig;

	begin(&rig, "sim:gunyah/v17", "off");
	map_at(rig.vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX | GH_MEMORY_LEND | GH_MEMORY_HUGE);
	map_at(rig.vm, MORE_GPA, 2 * MIB, GH_MEMORY_READ | GH_MEMORY_WRITE);
	map_at(rig.vm, LAST_GPA, MIB, GH_MEMORY_READ | GH_MEMORY_HUGE);
	ck_assert_int_eq(gh_vm_unmap(rig.vm, 1), 0);
	ck_assert_int_eq(gh_vm_unmap(rig.vm, 2), 0);
	put_tree(rig.vm, &standard_tree);
	ck_assert_int_eq(start(&rig), 0);
	told("40404708 flags 3 size 400000\n40204709 gpa 80000000 flags 71 offset 0 size 400000\n"
	     "40404708 flags 1 size 200000\n40204709 gpa 90000000 flags 32 offset 0 size 200000\n"
	     "40404708 flags 1 size 100000\n40204709 gpa a0000000 flags 12 offset 0 size 100000\n"
	     "40204709 gpa 90000000 flags 132 offset 0 size 200000\n"
	     "40204709 gpa a0000000 flags 112 offset 0 size 100000\n"
	     "40104704 type 1 size 4 id 0\n4706\n"
	     "40104702 gpa 80200000 size 2000\n"
	     "4010470a reg 100 value 80000000\n"
	     "4703\n");
	revision_close(&rig);
}
END_TEST

/* Huge pages want the guest's address aligned, too (section 1.5); without that they are only a wish. */
START_TEST(test_huge_file_anywhere)
{
	struct rig rig;

	begin(&rig, "sim:gunyah/v17", "off");
	map_at(rig.vm, RAM_GPA + 4096, 2 * MIB, GH_MEMORY_RWX | GH_MEMORY_HUGE);
	told("40404708 flags 1 size 200000\n40204709 gpa 80001000 flags 72 offset 0 size 200000\n");
	revision_close(&rig);
}
END_TEST

/* Of a device: the numbers of permissions are those of Android's headers. */
START_TEST(test_contiguous)
{
	const bool lend = _i == 1;
	struct gh_memory memory = GH_MEMORY_INIT;
	struct rig rig;

	begin(&rig, "sim:gunyah/android16-6.12", "off");
	map_at(rig.vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	memory.gpa = MORE_GPA;
	memory.length = 2 * MIB;
	memory.flags = GH_MEMORY_READ | GH_MEMORY_WRITE | GH_MEMORY_CONTIGUOUS | (lend ? GH_MEMORY_LEND : 0u);
	memory.device = CMA;
	ck_assert_int_eq(gh_vm_map(rig.vm, &memory, NULL), 0);
	told(lend ? "40204701 label 0 flags 7 gpa 80000000 size 400000\n4114\n"
		    "40284115 label 1 gpa 90000000 flags 13 offset 0 size 200000\n"
		  : "40204701 label 0 flags 7 gpa 80000000 size 400000\n4114\n"
		    "40284115 label 1 gpa 90000000 flags 23 offset 0 size 200000\n");
	revision_close(&rig);
}
END_TEST

/* Kernels that page in on demand keep no list of a region's pages: it is one, however long. */
START_TEST(test_long_region)
{
	struct rig rig;

	begin(&rig, "sim:gunyah/android15-6.6", "off");
	map_at(rig.vm, RAM_GPA, 3 * 1024 * MIB, GH_MEMORY_RWX);
	told("40204701 label 0 flags 7 gpa 80000000 size c0000000\n");
	revision_close(&rig);
}
END_TEST

START_TEST(test_reclaim)
{
	struct rig rig;

	begin(&rig, "sim:gunyah/android15-6.6", "off");
	map_at(rig.vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	put_tree(rig.vm, &standard_tree);
	ck_assert_int_eq(start(&rig), 0);
	listen();
	ck_assert_int_eq(gh_vm_reclaim(rig.vm, RAM_GPA + 3 * MIB, 0x5000), 0);
	told("40104113 gpa 80300000 size 5000\n");
	revision_close(&rig);
}
END_TEST

/* --- the start -------------------------------------------------------------------------------------------------------- */

/* Registers, before the devicetree: x5, the stack pointer of exception level 1, and the entry point. */
START_TEST(test_registers)
{
	struct rig rig;

	begin(&rig, "sim:gunyah/android15-6.6", "off");
	map_at(rig.vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	put_tree(rig.vm, &standard_tree);
	ck_assert_int_eq(gh_vm_set_register(rig.vm, GH_REG_X0 + 30, UINT64_C(0x1122334455667788)), 0);
	ck_assert_int_eq(gh_vm_set_register(rig.vm, GH_REG_SP, 0x80100000), 0);
	ck_assert_int_eq(gh_vm_set_entry(rig.vm, 0x80001000, DTB_GPA), 0);
	ck_assert_int_eq(start(&rig), 0);
	told("40204701 label 0 flags 7 gpa 80000000 size 400000\n"
	     "40104704 type 1 size 4 id 0\n4706\n"
	     "4010470a reg 0 value 80200000\n"
	     "4010470a reg 1e value 1122334455667788\n"
	     "4010470a reg 201 value 80100000\n"
	     "4010470a reg 100 value 80001000\n"
	     "40104702 gpa 80200000 size 2000\n"
	     "4703\n");
	revision_close(&rig);
}
END_TEST

/* Firmware begins where it likes. */
START_TEST(test_firmware)
{
	const struct revision product = { .device = "sim:gunyah/android15-6.6,policy=production" };
	struct rig rig;

	revision_open(&rig, &product, "off");
	map_at(rig.vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX | GH_MEMORY_LEND);
	map_at(rig.vm, MORE_GPA, 2 * MIB, GH_MEMORY_RWX | GH_MEMORY_LEND);
	ck_assert_int_eq(gh_vm_set_firmware(rig.vm, MORE_GPA, 2 * MIB), 0);
	put_tree(rig.vm, &(struct tree){ .cpus = 1, .firmware = MORE_GPA });
	listen();
	ck_assert_int_eq(start(&rig), 0);
	told("40104704 type 1 size 4 id 0\n4706\n"
	     "40104702 gpa 80200000 size 2000\n"
	     "40104112 gpa 90000000 size 200000\n"
	     "4703\n");
	revision_close(&rig);
}
END_TEST

/*
 * Kernels that page in on demand refuse less than a page for the devicetree (section 1.5), and take more; the others are
 * told what was said.
 */
START_TEST(test_small_tree)
{
	const struct revision *revision = &revisions[_i];
	const bool paged = can(revision, GH_FEATURE_DEMAND_PAGING);
	struct rig rig;

	begin(&rig, revision->device, "off");
	map_at(rig.vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	put_tree(rig.vm, &standard_tree);
	ck_assert_int_eq(gh_vm_set_dtb(rig.vm, DTB_GPA, 0xf00), 0);
	ck_assert_int_eq(start(&rig), 0);
	table_on_ioctl = NULL;
	ck_assert_ptr_nonnull(
		strstr(text, paged ? "\n40104702 gpa 80200000 size 1000\n" : "\n40104702 gpa 80200000 size f00\n"));
	revision_close(&rig);
}
END_TEST

/* There is no page left for it: found before the kernel hears of anything. */
START_TEST(test_small_tree_at_the_end)
{
	const struct revision *revision = &revisions[_i];
	const uint64_t gpa = RAM_GPA + RAM_SIZE - 0xf00;
	static char buffer[TREE_ROOM];
	struct rig rig;
	int ret;

	revision_open(&rig, revision, "off");
	map_at(rig.vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	ck_assert_int_eq(gh_vm_write(rig.vm, gpa, buffer, tree_build(&standard_tree, buffer, 0xf00)), 0);
	ck_assert_int_eq(gh_vm_set_dtb(rig.vm, gpa, 0xf00), 0);
	rig.vcpus[0] = add_vcpu(rig.vm, 0);
	listen();
	ret = gh_vm_start(rig.vm);
	table_on_ioctl = NULL;
	if (can(revision, GH_FEATURE_DEMAND_PAGING)) {
		told("");
		ck_assert_int_eq(ret, -EINVAL);
		ck_assert_uint_eq(gh_vm_failure(rig.vm)->cause_id, GH_CAUSE_TREE_PLACE);
	} else {
		ck_assert_int_eq(ret, 0);
	}
	revision_close(&rig);
}
END_TEST

static void refuse(unsigned long request)
{
	listen();
	refused = request;
	refusal = -EBADMSG;
}

/* The failure has the error, and the request with its number. */
static void named(struct rig *rig, int ret)
{
	const struct gh_failure *failure = gh_vm_failure(rig->vm);
	char number[16];

	table_on_ioctl = NULL;
	ck_assert_int_eq(ret, -EBADMSG);
	ck_assert(failure_is(failure, ret));
	(void)snprintf(number, sizeof(number), "(0x%lx)", refused);
	ck_assert_msg(strstr(failure->request, number) != NULL, "%s, but %s", number, failure->request);
}

static void start_on(struct rig *rig, const char *device)
{
	revision_open(rig, revision_of(device), "off");
	map_at(rig->vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	put_tree(rig->vm, &standard_tree);
	ck_assert_int_eq(start(rig), 0);
}

/* None of them is left out of account: the start fails, and says why. */
START_TEST(test_refusal)
{
	static const unsigned long requests[] = {
		UAPI_GUNYAH_ADD_FUNCTION, UAPI_GUNYAH_MMAP_SIZE, UAPI_GUNYAH_SET_BOOT_CONTEXT,
		UAPI_GUNYAH_SET_AUTH,     UAPI_GUNYAH_SET_DTB,   UAPI_GUNYAH_SET_FW,
		UAPI_GUNYAH_START,
	};
	const struct revision product = { .device = "sim:gunyah/android16-6.12,policy=production" };
	struct gh_authentication trusted = GH_AUTHENTICATION_INIT;

	trusted.type = GH_AUTHENTICATION_TRUSTED_VM;
	trusted.gpa = RAM_GPA;
	trusted.length = MIB;
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		struct rig rig;

		revision_open(&rig, &product, "off");
		map_at(rig.vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX | GH_MEMORY_LEND);
		map_at(rig.vm, MORE_GPA, 2 * MIB, GH_MEMORY_RWX | GH_MEMORY_LEND);
		ck_assert_int_eq(gh_vm_set_firmware(rig.vm, MORE_GPA, 2 * MIB), 0);
		ck_assert_int_eq(gh_vm_set_authentication(rig.vm, &trusted), 0);
		ck_assert_int_eq(gh_vm_set_register(rig.vm, GH_REG_X0 + 1, 1), 0);
		put_tree(rig.vm, &(struct tree){ .cpus = 1, .firmware = MORE_GPA });
		rig.vcpus[0] = add_vcpu(rig.vm, 0);
		refuse(requests[i]);
		named(&rig, gh_vm_start(rig.vm));
		revision_close(&rig);
	}
}
END_TEST

static int map_more(struct rig *rig, uint32_t flags, const char *device)
{
	struct gh_memory memory = GH_MEMORY_INIT;

	memory.gpa = MORE_GPA;
	memory.length = 2 * MIB;
	memory.flags = GH_MEMORY_RWX | flags;
	memory.device = device;
	return gh_vm_map(rig->vm, &memory, NULL);
}

static const struct {
	const char *device;
	unsigned long request;
	uint32_t flags;
} memory_requests[] = {
	{ "sim:gunyah/android14-6.1", UAPI_GUNYAH_SET_USER_MEM, 0 },
	{ "sim:gunyah/android14-6.1", UAPI_GUNYAH_LEND_USER_MEM, GH_MEMORY_LEND },
	{ "sim:gunyah/v17", UAPI_GUNYAH_CREATE_GUEST_MEM, 0 },
	{ "sim:gunyah/v17", UAPI_GUNYAH_MAP_MEM, 0 },
	{ "sim:gunyah/android16-6.12", UAPI_GUNYAH_CREATE_CMA_MEM, GH_MEMORY_CONTIGUOUS },
	{ "sim:gunyah/android16-6.12", UAPI_GUNYAH_MAP_CMA, GH_MEMORY_CONTIGUOUS },
};

/* Memory that the kernel does not take is not there; and what it does not give back stays. */
START_TEST(test_memory_refusal)
{
	const uint32_t flags = memory_requests[_i].flags;
	const char *cma = (flags & GH_MEMORY_CONTIGUOUS) != 0 ? CMA : NULL;
	struct rig rig;

	revision_open(&rig, revision_of(memory_requests[_i].device), "off");
	refuse(memory_requests[_i].request);
	named(&rig, map_more(&rig, flags, cma));
	ck_assert_int_eq(map_more(&rig, flags, cma), 0);
	revision_close(&rig);
}
END_TEST

START_TEST(test_unmap_refusal)
{
	struct gh_region_info info = GH_REGION_INFO_INIT;
	struct rig rig;

	revision_open(&rig, revision_of(_i == 0 ? "sim:gunyah/v17" : "sim:gunyah/v10"), "off");
	map_at(rig.vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	ck_assert_int_eq(map_more(&rig, 0, NULL), 0);
	refuse(_i == 0 ? UAPI_GUNYAH_MAP_MEM : UAPI_GUNYAH_SET_USER_MEM);
	named(&rig, gh_vm_unmap(rig.vm, 1));
	ck_assert_int_eq(gh_vm_region(rig.vm, 1, &info), 0);
	ck_assert_int_eq(gh_vm_unmap(rig.vm, 1), 0);
	revision_close(&rig);
}
END_TEST

/* Once a start has been tried, the resource manager may have the memory: it stays in the kernel's list. */
START_TEST(test_unmap_after_refusal)
{
	struct rig rig;

	revision_open(&rig, revision_of("sim:gunyah/v10"), "off");
	map_at(rig.vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	put_tree(rig.vm, &standard_tree);
	refuse(UAPI_GUNYAH_START);
	named(&rig, start(&rig));
	listen();
	ck_assert_int_lt(gh_vm_unmap(rig.vm, 0), 0);
	told("");
	revision_close(&rig);
}
END_TEST

START_TEST(test_vcpu_refusal)
{
	struct rig rig;

	revision_open(&rig, revision_of(_i == 0 ? "sim:gunyah/v10" : "sim:gunyah/v8"), "off");
	map_at(rig.vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	put_tree(rig.vm, &standard_tree);
	refuse(_i == 0 ? UAPI_GUNYAH_ADD_FUNCTION : UAPI_GUNYAH_ADD_NAMED_FUNCTION);
	named(&rig, start(&rig));
	revision_close(&rig);
}
END_TEST

START_TEST(test_reclaim_refusal)
{
	struct rig rig;

	start_on(&rig, "sim:gunyah/android15-6.6");
	refuse(UAPI_GUNYAH_RECLAIM);
	named(&rig, gh_vm_reclaim(rig.vm, RAM_GPA + 3 * MIB, 4096));
	revision_close(&rig);
}
END_TEST

/* Whatever it was, it is not that the kernel removes nothing. */
START_TEST(test_line_refusal)
{
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	struct gh_irqfd *irqfd = NULL;
	struct rig rig;

	options.line = 5;
	start_on(&rig, "sim:gunyah/android14-6.1");
	refuse(UAPI_GUNYAH_ADD_FUNCTION);
	refusal = -EEXIST;
	ck_assert_int_eq(gh_irqfd_add(rig.vm, &options, &irqfd), -EEXIST);
	table_on_ioctl = NULL;
	ck_assert_ptr_null(strstr(gh_vm_failure(rig.vm)->cause, "removes nothing"));
	ck_assert_ptr_nonnull(strstr(gh_vm_failure(rig.vm)->request, "irqfd (0x40104704)"));
	revision_close(&rig);
}
END_TEST

/* --- lines and doorbells ---------------------------------------------------------------------------------------------- */

static const char *line_request(const char *device, const char *request)
{
	static char line[64];
	bool named = strcmp(device, "sim:gunyah/v8") == 0;

	(void)snprintf(line, sizeof(line), "%s", named ? "44204704 irqfd" : request);
	return line;
}

START_TEST(test_line)
{
	const char *device = revisions[_i].device;
	const bool keeps = has_quirk(&revisions[_i], GH_QUIRK_KEEPS_FUNCTIONS);
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	char wanted[128];

	for (uint32_t line = 5; line < 7; line++) {
		struct gh_irqfd *irqfd = NULL;
		struct rig rig;

		start_on(&rig, device);
		options.line = line;
		options.flags = line == 6 ? GH_IRQ_LEVEL : 0;
		listen();
		ck_assert_int_eq(gh_irqfd_add(rig.vm, &options, &irqfd), 0);
		(void)snprintf(wanted, sizeof(wanted), "%s label %u flags %x\n",
			       line_request(device, "40104704 type 2 size 16"), line, line - 5);
		told(wanted);
		listen();
		gh_irqfd_remove(irqfd);
		(void)snprintf(wanted, sizeof(wanted), "%s label %u flags %x\n",
			       line_request(device, "40104707 type 2 size 16"), line, line - 5);
		told(keeps ? "" : wanted);
		revision_close(&rig);
	}
}
END_TEST

/* A kernel with functions by name, of which somebody knows that it has doorbells. */
START_TEST(test_named_bell)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_ioevent_options bell = GH_IOEVENT_OPTIONS_INIT;
	struct gh_ioevent *ioevent = NULL;
	struct rig rig = { .sim = new_sim("sim:gunyah/v8", "off") };

	options.machine = rig.sim;
	options.features_on = GH_FEATURE_IOEVENTFD;
	ck_assert_int_eq(gh_vm_open(&options, &rig.vm), 0);
	map_at(rig.vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	put_tree(rig.vm, &standard_tree);
	ck_assert_int_eq(start(&rig), 0);
	bell.gpa = 0x4000;
	bell.width = 4;
	listen();
	ck_assert_int_eq(gh_ioevent_add(rig.vm, &bell, &ioevent), 0);
	told("44204704 ioeventfd value 0 gpa 4000 width 4 flags 0\n");
	revision_close(&rig);
}
END_TEST

static struct gh_ioevent *add_bell(struct rig *rig, uint64_t gpa, uint32_t width, uint32_t flags, uint64_t value)
{
	struct gh_ioevent_options options = GH_IOEVENT_OPTIONS_INIT;
	struct gh_ioevent *bell = NULL;

	options.gpa = gpa;
	options.width = width;
	options.flags = flags;
	options.value = value;
	ck_assert_int_eq(gh_ioevent_add(rig->vm, &options, &bell), 0);
	return bell;
}

/* Removed with every field that it was added with: some kernels look at the address alone, some at all of them. */
START_TEST(test_bells)
{
	struct gh_ioevent *bells[2];
	struct rig rig;

	if (!can(&revisions[_i], GH_FEATURE_DATAMATCH))
		return;
	start_on(&rig, revisions[_i].device);
	listen();
	bells[0] = add_bell(&rig, 0x4000, 4, GH_IOEVENT_DATAMATCH, 7);
	bells[1] = add_bell(&rig, 0x5000, 0, 0, 0);
	told("40104704 type 3 size 32 value 7 gpa 4000 width 4 flags 1\n"
	     "40104704 type 3 size 32 value 0 gpa 5000 width 0 flags 0\n");
	listen();
	gh_ioevent_remove(bells[0]);
	gh_ioevent_remove(bells[1]);
	told("40104707 type 3 size 32 value 7 gpa 4000 width 4 flags 1\n"
	     "40104707 type 3 size 32 value 0 gpa 5000 width 0 flags 0\n");
	revision_close(&rig);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("gunyah_requests");
	TCase *tcase = add_case(suite, "gunyah_requests");

	tcase_add_test(tcase, test_memory);
	tcase_add_test(tcase, test_memory_by_flag);
	tcase_add_test(tcase, test_files);
	tcase_add_test(tcase, test_huge_file_anywhere);
	tcase_add_loop_test(tcase, test_contiguous, 0, 2);
	tcase_add_test(tcase, test_long_region);
	tcase_add_test(tcase, test_reclaim);
	tcase_add_test(tcase, test_registers);
	tcase_add_test(tcase, test_firmware);
	tcase_add_test(tcase, test_refusal);
	tcase_add_loop_test(tcase, test_memory_refusal, 0, (int)(sizeof(memory_requests) / sizeof(memory_requests[0])));
	tcase_add_loop_test(tcase, test_unmap_refusal, 0, 2);
	tcase_add_test(tcase, test_unmap_after_refusal);
	tcase_add_loop_test(tcase, test_vcpu_refusal, 0, 2);
	tcase_add_test(tcase, test_reclaim_refusal);
	tcase_add_test(tcase, test_line_refusal);
	tcase_add_loop_test(tcase, test_small_tree, 0, revision_count);
	tcase_add_loop_test(tcase, test_small_tree_at_the_end, 0, revision_count);
	tcase_add_loop_test(tcase, test_line, 0, revision_count);
	tcase_add_test(tcase, test_named_bell);
	tcase_add_loop_test(tcase, test_bells, 0, revision_count);
	return run_suite(suite);
}
