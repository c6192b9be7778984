/* SPDX-License-Identifier: BSD-3-Clause */
/* VMMs of bare ioctls: from the device to the guest's first access with as few system calls as that takes. */
#include "boot.h"
#include "table.h"

#include "internal.h"
#include "uapi/gunyah.h"
#include "uapi/gzvm.h"

#include <fcntl.h>
#include <gh/sim.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define TREE_ROOM UINT64_C(0x40000)
#define GIC_DISTRIBUTOR UINT64_C(0x3fff0000)

const struct boot_kind boot_kinds[] = {
	{ "sim:gunyah/android14-6.1", true },
	{ "sim:gzvm/v9", false },
};
const size_t boot_kind_count = sizeof(boot_kinds) / sizeof(boot_kinds[0]);

struct bare {
	struct gh_sys *sys;
	int dev;
	int vm;
	int vcpu;
	void *ram;
	union {
		struct uapi_gunyah_run *gunyah;
		struct uapi_gzvm_run geniezone;
	} run;
	bool ok;
};

struct gh_sim *boot_sim(const struct boot_kind *kind)
{
	struct gh_sim_options options = GH_SIM_OPTIONS_INIT;
	struct gh_sim *sim = NULL;

	options.device = kind->device;
	options.script = "store 0x3f8 1 0x41; off";
	return gh_sim_new(&options, &sim) == 0 ? sim : NULL;
}

static int ask(struct bare *bare, int fd, unsigned long request, const void *argument)
{
	int ret = bare->ok ? bare->sys->ioctl(bare->sys, fd, request, (uintptr_t)argument) : -1;

	bare->ok = ret >= 0;
	return ret;
}

static void map_memory(struct bare *bare, const void *tree, size_t size)
{
	struct gh_sys *sys = bare->sys;
	void *outer;

	/* A mapping with two neighbours that are not like it: GenieZone looks at whole ones. */
	bare->ok = sys->mmap(sys, NULL, BOOT_RAM_SIZE + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, &outer) == 0 &&
		   sys->mmap(sys, (char *)outer + 4096, BOOT_RAM_SIZE, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, &bare->ram) == 0;
	if (bare->ok)
		memcpy((char *)bare->ram + (BOOT_TREE - BOOT_RAM), tree, size);
}

static bool run_gunyah(struct bare *bare)
{
	const struct uapi_gunyah_region region = {
		.flags = 7, .gpa = BOOT_RAM, .size = BOOT_RAM_SIZE, .host = (uintptr_t)bare->ram
	};
	const struct uapi_gunyah_range dtb = { .gpa = BOOT_TREE, .size = TREE_ROOM };
	const struct uapi_gunyah_fn_vcpu vcpu = { .id = 0 };
	const struct uapi_gunyah_fn fn = { UAPI_GUNYAH_FN_VCPU, sizeof(vcpu), (uintptr_t)&vcpu };
	void *page = NULL;
	int size;

	(void)ask(bare, bare->vm, UAPI_GUNYAH_SET_USER_MEM, &region);
	bare->vcpu = ask(bare, bare->vm, UAPI_GUNYAH_ADD_FUNCTION, &fn);
	size = ask(bare, bare->vcpu, UAPI_GUNYAH_MMAP_SIZE, NULL);
	bare->ok = bare->ok && bare->sys->mmap(bare->sys, NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED,
					       bare->vcpu, &page) == 0;
	bare->run.gunyah = page;
	(void)ask(bare, bare->vm, UAPI_GUNYAH_SET_DTB, &dtb);
	(void)ask(bare, bare->vm, UAPI_GUNYAH_START, NULL);
	(void)ask(bare, bare->vcpu, UAPI_GUNYAH_RUN, NULL);
	return bare->ok && bare->run.gunyah->exit_reason == UAPI_GUNYAH_EXIT_MMIO &&
	       bare->run.gunyah->u.mmio.gpa == BOOT_STORE;
}

static void set_register(struct bare *bare, uint64_t id, uint64_t value)
{
	const struct uapi_gzvm_one_reg reg = { .id = id, .host = (uintptr_t)&value };

	(void)ask(bare, bare->vcpu, UAPI_GZVM_SET_ONE_REG, &reg);
}

static bool run_geniezone(struct bare *bare)
{
	const struct uapi_gzvm_region region = {
		.flags = UAPI_GZVM_REGION_GUEST_MEM, .gpa = BOOT_RAM, .size = BOOT_RAM_SIZE, .host = (uintptr_t)bare->ram
	};
	const struct uapi_gzvm_create_device distributor = { .type = UAPI_GZVM_DEV_VGIC_DIST,
							     .gpa = GIC_DISTRIBUTOR,
							     .size = 0x10000 };
	const struct uapi_gzvm_create_device redistributors = { .type = UAPI_GZVM_DEV_VGIC_REDIST,
								.gpa = GIC_DISTRIBUTOR - 0x20000,
								.size = 0x20000 };
	const struct uapi_gzvm_range dtb = { .gpa = BOOT_TREE, .size = TREE_ROOM };

	(void)ask(bare, bare->vm, UAPI_GZVM_SET_USER_MEM, &region);
	(void)ask(bare, bare->vm, UAPI_GZVM_CREATE_DEVICE, &distributor);
	(void)ask(bare, bare->vm, UAPI_GZVM_CREATE_DEVICE, &redistributors);
	bare->vcpu = ask(bare, bare->vm, UAPI_GZVM_CREATE_VCPU, NULL);
	set_register(bare, UAPI_GZVM_REG_PSTATE, 0x3c5);
	set_register(bare, UAPI_GZVM_REG_X(0), BOOT_TREE);
	set_register(bare, UAPI_GZVM_REG_PC, BOOT_RAM);
	(void)ask(bare, bare->vm, UAPI_GZVM_SET_DTB, &dtb);
	memset(&bare->run, 0, sizeof(bare->run));
	(void)ask(bare, bare->vcpu, UAPI_GZVM_RUN, &bare->run.geniezone);
	return bare->ok && bare->run.geniezone.exit_reason == UAPI_GZVM_EXIT_MMIO &&
	       bare->run.geniezone.u.mmio.gpa == BOOT_STORE;
}

static uint64_t now_ns(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* Not measured. */
static void close_all(const struct boot_kind *kind, struct bare *bare)
{
	struct gh_sys *sys = bare->sys;

	if (kind->is_gunyah && bare->run.gunyah != NULL)
		(void)sys->munmap(sys, bare->run.gunyah, 4096);
	if (bare->vcpu >= 0)
		(void)sys->close(sys, bare->vcpu);
	if (bare->vm >= 0)
		(void)sys->close(sys, bare->vm);
	(void)sys->close(sys, bare->dev);
	if (bare->ram != NULL)
		(void)sys->munmap(sys, (char *)bare->ram - 4096, BOOT_RAM_SIZE + 8192);
	sys->put(sys);
}

bool boot_bare(const struct boot_kind *kind, struct gh_sim *sim, const void *tree, size_t size, uint64_t *ret_ns)
{
	struct bare bare = { .vm = -1, .vcpu = -1 };
	struct gh_simload load;
	uint64_t begin = now_ns();
	bool ok;

	if (gh_simload(&load) < 0)
		return false;
	bare.sys = load.table(sim);
	table_counts = true;
	bare.dev = bare.sys->open(bare.sys, load.device_path(sim), O_RDWR);
	map_memory(&bare, tree, size);
	bare.vm = ask(&bare, bare.dev, kind->is_gunyah ? UAPI_GUNYAH_CREATE_VM : UAPI_GZVM_CREATE_VM, NULL);
	ok = kind->is_gunyah ? run_gunyah(&bare) : run_geniezone(&bare);
	table_counts = false;
	*ret_ns = now_ns() - begin;
	close_all(kind, &bare);
	return ok;
}
