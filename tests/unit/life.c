/* SPDX-License-Identifier: BSD-3-Clause */
#include "life.h"

#include "table.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define SHM_GPA UINT64_C(0x90000000)
#define SHM_SIZE (2 * MIB)
#define SMALL_GPA UINT64_C(0xa0000000)
#define SMALL_SIZE 4096
#define BELL UINT64_C(0x4000)
#define LATE_BELL UINT64_C(0x4100)
#define MARK_FIRST UINT64_C(0x500)
#define MARK_SECOND UINT64_C(0x604)
#define LINE 5
#define SERIAL UINT64_C(0x3f8)

/* One call of the library. */
#define CALL(expression) (table_counts = true, result = (expression), table_counts = false, result)
#define DO(expression) (table_counts = true, (expression), table_counts = false)

const struct life_kind life_kinds[] = {
	{ "fake", NULL, false, false },
	{ "gunyah, shared", GUNYAH, false, false },
	{ "gunyah, lent", GUNYAH, true, false },
	{ "gunyah, production", GUNYAH ",policy=production", true, false },
	{ "geniezone", GENIEZONE, false, false },
	{ "gunyah v8", "sim:gunyah/v8", false, true },
	{ "gunyah v17", "sim:gunyah/v17", true, true },
	{ "gunyah latest", "sim:gunyah/android-latest", true, true },
	{ "geniezone, the first", "sim:gzvm/r0", false, true },
	{ "geniezone, the newest", "sim:gzvm/android-latest", false, true },
	{ "halla", "sim:halla", false, true },
};
const int life_kind_count = sizeof(life_kinds) / sizeof(life_kinds[0]);

static const char script[] = "load 0x3f8 1; expect 0x5a\n"
			     "load 0x1000 8; expect 0x1122334455667788\n"
			     "store 0x3fc 4 0x12345678\n"
			     "store 0x4000 4 1; store 0x4000 4 2  # doorbells\n"
			     "poke 0x80000100 8 0xfeed; peek 0x80000100 8; expect 0xfeed\n"
			     "poke 0x90000000 8 0xbeef\n"
			     "wfi; ack; expect 37\n"
			     "on 1; expect 0\n"
			     "store 0x500 1 1\n"
			     "store 0x4100 2 7  # another one\n"
			     "off\n"
			     "vcpu 1\n"
			     "load 0x600 2; expect 0x7788\n"
			     "store 0x604 2 0x99\n";

/* Every access of the guest that the VMM sees, and what it answers. */
static const struct access {
	uint64_t gpa;
	uint64_t value;
	uint32_t width;
	uint32_t is_store;
} accesses[] = {
	{ 0x3f8, 0xffff5a, 1, 0 }, { 0x1000, UINT64_C(0x1122334455667788), 8, 0 }, { 0x3fc, 0x12345678, 4, 1 },
	{ MARK_FIRST, 1, 1, 1 },   { 0x600, UINT64_C(0x1122334455667788), 2, 0 },  { MARK_SECOND, 0x99, 2, 1 },
};
#define ACCESSES (sizeof(accesses) / sizeof(accesses[0]))

struct life {
	const struct life_kind *kind;
	struct gh_sim *sim;
	struct gh_fake *fake;
	struct gh_vm_options options;
	struct gh_failure failure;
	void *shm;
	int fd; /* the caller's eventfd of the second line */
	int file;
	struct gh_vm *vm;
	struct gh_fdt *fdt;
	struct gh_vcpu *vcpus[2];
	struct gh_irqfd *lines[3];
	struct gh_irq *irq;
	struct gh_ioevent *bells[4];
	unsigned int seen; /* bit n: accesses[n] */
};

static int mark;

/* A failed call leaves its output alone and its reason behind. */
static int check(int ret, const void *output, const void *untouched, const struct gh_failure *failure)
{
	ck_assert_int_le(ret, 0);
	if (ret == 0)
		return 0;
	ck_assert_ptr_eq(output, untouched);
	if (failure != NULL)
		ck_assert_msg(failure_is(failure, ret), "%d, but the failure says %d in step \"%s\"", ret, failure->error,
			      failure->step);
	return ret;
}

/* --- configuration ------------------------------------------------------------------------------------------------ */

static int look_around(struct life *life)
{
	struct gh_probe *probe = (void *)&mark;
	int result;

	if (CALL(gh_probe(&life->options, &probe)) < 0)
		return check(result, probe, &mark, &life->failure);
	DO(gh_probe_free(probe));
	return 0;
}

static int open_vm(struct life *life)
{
	struct gh_vm *vm = (void *)&mark;
	int result;

	if (CALL(gh_vm_open(&life->options, &vm)) < 0)
		return check(result, vm, &mark, &life->failure);
	life->vm = vm;
	return 0;
}

static bool life_has_quirk(const struct life *life, uint64_t quirk)
{
	return (gh_vm_quirks(life->vm) & quirk) != 0;
}

static int map(struct life *life, uint64_t gpa, uint64_t length, void *host, bool lend, uint32_t id)
{
	struct gh_memory memory = GH_MEMORY_INIT;
	uint32_t ret_id = UINT32_MAX;
	int result;

	memory.gpa = gpa;
	memory.length = length;
	memory.host = host;
	memory.flags |= lend ? (uint32_t)GH_MEMORY_LEND : 0;
	/* A small one with everything that can be asked for. */
	if (gpa == SMALL_GPA) {
		memory.flags |= GH_MEMORY_HUGE | GH_MEMORY_PREFAULT | GH_MEMORY_LOCK;
		memory.fd = life->file;
		memory.offset = SMALL_SIZE;
	}
	/* Not every kernel takes memory of the caller's. */
	if (life_has_quirk(life, GH_QUIRK_OWN_FILES_ONLY)) {
		memory.host = NULL;
		memory.fd = -1;
		memory.offset = 0;
	}
	if (CALL(gh_vm_map(life->vm, &memory, &ret_id)) < 0) {
		ck_assert_uint_eq(ret_id, UINT32_MAX);
		return check(result, NULL, NULL, gh_vm_failure(life->vm));
	}
	ck_assert_uint_eq(ret_id, id);
	return 0;
}

static int describe(struct life *life)
{
	int result;

	if (CALL(gh_fdt_add_serial(life->fdt, SERIAL, LINE, 0)) < 0 ||
	    CALL(gh_fdt_add_virtio(life->fdt, SERIAL + 0x1000, LINE + 1, 0)) < 0 ||
	    CALL(gh_fdt_finish(life->fdt, DTB_GPA, 0)) < 0)
		return check(result, NULL, NULL, gh_vm_failure(life->vm));
	return 0;
}

/* When memory, vCPUs and lines are there. */
static int write_tree(struct life *life)
{
	struct gh_fdt_options options = GH_FDT_OPTIONS_INIT;
	struct gh_fdt *fdt = (void *)&mark;
	int result;
	int ret;

	options.command_line = "a command line";
	if (CALL(gh_fdt_open(life->vm, &options, &fdt)) < 0)
		return check(result, fdt, &mark, gh_vm_failure(life->vm));
	life->fdt = fdt;
	ret = describe(life);
	DO(gh_fdt_close(fdt));
	return ret < 0 ? ret : CALL(gh_vm_set_entry(life->vm, RAM_GPA, DTB_GPA));
}

static int add_vcpus(struct life *life)
{
	for (uint32_t id = 0; id < 2; id++) {
		struct gh_vcpu *vcpu = (void *)&mark;
		int result;

		if (CALL(gh_vcpu_create(life->vm, id, &vcpu)) < 0)
			return check(result, vcpu, &mark, gh_vm_failure(life->vm));
		life->vcpus[id] = vcpu;
	}
	return 0;
}

static int add_line(struct life *life, uint32_t index, int fd)
{
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	struct gh_irqfd *irqfd = (void *)&mark;
	int result;

	options.line = LINE + index;
	options.fd = fd;
	if (CALL(gh_irqfd_add(life->vm, &options, &irqfd)) < 0)
		return check(result, irqfd, &mark, gh_vm_failure(life->vm));
	life->lines[index] = irqfd;
	return 0;
}

static int add_bell(struct life *life, uint32_t index, uint64_t gpa, uint32_t width, uint32_t flags, uint64_t value)
{
	struct gh_ioevent_options options = GH_IOEVENT_OPTIONS_INIT;
	struct gh_ioevent *ioevent = (void *)&mark;
	int result;

	options.gpa = gpa;
	options.width = width;
	options.flags = flags;
	options.value = value;
	if (CALL(gh_ioevent_add(life->vm, &options, &ioevent)) < 0)
		return check(result, ioevent, &mark, gh_vm_failure(life->vm));
	life->bells[index] = ioevent;
	return 0;
}

/* Doorbells at one address, whether the kernel can tell them apart or not, and one that it is not asked for. */
static int add_bells(struct life *life)
{
	int ret = add_bell(life, 0, BELL, 4, GH_IOEVENT_DATAMATCH, 1);

	if (ret == 0)
		ret = add_bell(life, 1, BELL, 4, GH_IOEVENT_DATAMATCH, 2);
	return ret < 0 || life->kind->lend ? ret : add_bell(life, 3, BELL, 4, GH_IOEVENT_DATAMATCH | GH_IOEVENT_EMULATE, 3);
}

/* Lines of the other kinds: level-triggered with a resample descriptor, and one that the VMM sets. */
static int add_levels(struct life *life)
{
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	struct gh_irq_options irq_options = GH_IRQ_OPTIONS_INIT;
	struct gh_irqfd *irqfd = (void *)&mark;
	struct gh_irq *irq = (void *)&mark;
	int result;

	/* They are the same whatever becomes of the memory. */
	if (life->kind->lend)
		return 0;

	options.line = LINE + 2;
	options.flags = GH_IRQ_LEVEL;
	options.resample_fd = life->fd;
	if (CALL(gh_irqfd_add(life->vm, &options, &irqfd)) < 0)
		return check(result, irqfd, &mark, gh_vm_failure(life->vm));
	life->lines[2] = irqfd;
	irq_options.line = LINE + 3;
	irq_options.flags = GH_IRQ_LEVEL;
	if (CALL(gh_irq_add(life->vm, &irq_options, &irq)) < 0)
		return check(result, irq, &mark, gh_vm_failure(life->vm));
	life->irq = irq;
	return 0;
}

static int configure(struct life *life)
{
	int result;
	int ret = look_around(life);

	if (ret == 0)
		ret = open_vm(life);
	if (ret == 0)
		ret = map(life, RAM_GPA, RAM_SIZE, NULL, life->kind->lend, 0);
	if (ret == 0)
		ret = map(life, SHM_GPA, SHM_SIZE, life->shm, false, 1);
	if (ret == 0)
		ret = map(life, SMALL_GPA, SMALL_SIZE, NULL, false, 2);
	if (ret == 0)
		ret = add_vcpus(life);
	if (ret == 0)
		ret = add_line(life, 0, -1);
	if (ret == 0)
		ret = add_line(life, 1, life->fd);
	if (ret == 0)
		ret = add_bells(life);
	if (ret == 0)
		ret = add_levels(life);
	if (ret == 0)
		ret = write_tree(life);
	/* Before the start: it counts. */
	return ret < 0 ? ret : CALL(gh_irqfd_raise(life->lines[0]));
}

static int start(struct life *life)
{
	int result;

	if (CALL(gh_vm_start(life->vm)) < 0) {
		check(result, NULL, NULL, gh_vm_failure(life->vm));
		/* It can be tried again, or only be closed; it never breaks. */
		(void)gh_vm_start(life->vm);
		return result;
	}
	/* Once more: the first write may have gone unnoticed, if that was the call that failed. */
	return CALL(gh_irqfd_raise(life->lines[0]));
}

/* --- running ------------------------------------------------------------------------------------------------------ */

static void note(struct life *life, const struct gh_exit_mmio *mmio, uint64_t *ret_answer)
{
	for (unsigned int i = 0; i < ACCESSES; i++) {
		if (accesses[i].gpa != mmio->gpa)
			continue;
		ck_assert_uint_eq(mmio->width, accesses[i].width);
		ck_assert_uint_eq(mmio->is_store, accesses[i].is_store);
		if (mmio->is_store != 0)
			ck_assert_uint_eq(mmio->value, accesses[i].value);
		ck_assert_uint_eq(life->seen & 1u << i, 0);
		life->seen |= 1u << i;
		*ret_answer = accesses[i].value;
		return;
	}
	ck_abort_msg("an access to 0x%llx", (unsigned long long)mmio->gpa);
}

/* Serves a vCPU until its guest stores to `until`, or until the VM's end if that is 0. */
static int serve(struct life *life, struct gh_vcpu *vcpu, uint64_t until)
{
	uint64_t answer = 0;
	int result;

	for (int i = 0; i < 100; i++) {
		const struct gh_exit *exit = (void *)&mark;

		if (CALL(gh_vcpu_run(vcpu, &exit)) < 0)
			return check(result, exit, &mark, gh_vcpu_failure(vcpu));
		/* A page that was not to be had is, the next time. */
		if (exit->kind == GH_EXIT_INTERRUPTED || exit->kind == GH_EXIT_PAGE_FAULT)
			continue;
		if (exit->kind == GH_EXIT_STOPPED) {
			ck_assert_uint_eq(exit->stop.cause, GH_STOP_POWER_OFF);
			ck_assert_uint_eq(until, 0);
			return 0;
		}
		ck_assert_uint_eq(exit->kind, GH_EXIT_MMIO);
		if (CALL(gh_bus_dispatch(vcpu, exit)) < 0)
			return result;
		if (result == GH_BUS_DONE && exit->mmio.gpa == until)
			return 0;
		if (result == GH_BUS_DONE)
			continue;
		note(life, &exit->mmio, &answer);
		if (exit->mmio.is_store == 0 && CALL(gh_mmio_complete(vcpu, answer)) < 0)
			return result;
		if (exit->mmio.is_store != 0 && exit->mmio.gpa == until)
			return 0;
	}
	ck_abort_msg("the guest does not come to an end");
}

/* No interrupt of the script comes after this. */
static int change_levels(struct life *life)
{
	int result;

	if (CALL(gh_irqfd_raise(life->lines[2])) < 0 || CALL(gh_irq_set(life->irq, 1)) < 0 ||
	    CALL(gh_irq_set(life->irq, 0)) < 0)
		return result;
	DO(gh_irqfd_remove(life->lines[2]));
	return 0;
}

/* Half-way, things come and go. */
static int change(struct life *life)
{
	int result;

	ck_assert_uint_eq(take_count(gh_ioevent_fd(life->bells[1])), 1);
	DO(gh_ioevent_remove(life->bells[1]));
	DO(gh_ioevent_remove(life->bells[3]));
	DO(gh_irqfd_remove(life->lines[1]));
	result = life->irq != NULL ? change_levels(life) : 0;
	if (result < 0)
		return result;
	if (CALL(gh_vcpu_kick(life->vcpus[0])) < 0)
		return result;
	return add_bell(life, 2, LATE_BELL, 0, 0, 0);
}

static int run(struct life *life)
{
	int ret = serve(life, life->vcpus[0], MARK_FIRST);

	if (ret == 0)
		ret = change(life);
	if (ret == 0)
		ret = serve(life, life->vcpus[1], MARK_SECOND);
	/* Nobody will hear of the end; its doorbells are on the bus. */
	if (ret == 0 && life_has_quirk(life, GH_QUIRK_NO_END_EXIT))
		return serve(life, life->vcpus[0], LATE_BELL);
	if (ret == 0)
		ret = serve(life, life->vcpus[0], 0);
	if (ret == 0)
		ret = serve(life, life->vcpus[1], 0);
	return ret;
}

static void check_outcome(struct life *life)
{
	uint64_t word = 0;

	ck_assert_uint_eq(life->seen, (1u << ACCESSES) - 1);
	ck_assert_uint_eq(take_count(gh_ioevent_fd(life->bells[0])), 1);
	ck_assert_uint_eq(take_count(gh_ioevent_fd(life->bells[2])), 1);
	/* What the guest has written, where the host may look. */
	ck_assert_int_eq(gh_vm_read(life->vm, RAM_GPA + 0x100, &word, sizeof(word)), life->kind->lend ? -EFAULT : 0);
	if (life->kind->device != NULL) {
		ck_assert_uint_eq(word, life->kind->lend ? 0 : 0xfeed);
		ck_assert_int_eq(gh_vm_read(life->vm, SHM_GPA, &word, sizeof(word)), 0);
		ck_assert_uint_eq(word, 0xbeef);
	}
}

/* --- beginning and end ---------------------------------------------------------------------------------------------- */

static void queue_on_fake(struct gh_fake *fake)
{
	ck_assert_int_eq(gh_fake_load(fake, 0, 0x3f8, 1), 0);
	ck_assert_int_eq(gh_fake_load(fake, 0, 0x1000, 8), 0);
	ck_assert_int_eq(gh_fake_store(fake, 0, 0x3fc, 4, 0x12345678), 0);
	ck_assert_int_eq(gh_fake_store(fake, 0, BELL, 4, 1), 0);
	ck_assert_int_eq(gh_fake_store(fake, 0, BELL, 4, 2), 0);
	ck_assert_int_eq(gh_fake_store(fake, 0, MARK_FIRST, 1, 1), 0);
	ck_assert_int_eq(gh_fake_store(fake, 0, LATE_BELL, 2, 7), 0);
	ck_assert_int_eq(gh_fake_load(fake, 1, 0x600, 2), 0);
	ck_assert_int_eq(gh_fake_store(fake, 1, MARK_SECOND, 2, 0x99), 0);
	ck_assert_int_eq(gh_fake_stop(fake, 0, GH_STOP_POWER_OFF), 0);
}

static void begin(struct life *life, const struct life_kind *kind)
{
	const struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	const struct gh_failure failure = GH_FAILURE_INIT;

	*life = (struct life){ .kind = kind, .options = options, .failure = failure };
	life->options.failure = &life->failure;
	if (kind->device == NULL) {
		life->fake = new_fake();
		queue_on_fake(life->fake);
		life->options.backend = "fake";
		life->options.fake = life->fake;
	} else {
		life->sim = new_sim(kind->device, script);
		life->options.machine = life->sim;
	}
	/* One mapping of its own, between two that nobody can touch. */
	life->shm = mmap(NULL, SHM_SIZE + 2 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(life->shm, MAP_FAILED);
	life->shm = (char *)life->shm + 4096;
	ck_assert_int_eq(mprotect(life->shm, SHM_SIZE, PROT_READ | PROT_WRITE), 0);
	life->fd = eventfd(0, EFD_CLOEXEC);
	ck_assert_int_ge(life->fd, 0);
	life->file = memfd_create("life", MFD_CLOEXEC);
	ck_assert_int_ge(life->file, 0);
	ck_assert_int_eq(ftruncate(life->file, 2 * SMALL_SIZE), 0);
}

static void end(struct life *life)
{
	DO(gh_vm_close(life->vm));
	if (life->sim != NULL)
		end_sim(life->sim);
	gh_fake_free(life->fake);
	ck_assert_int_eq(munmap((char *)life->shm - 4096, SHM_SIZE + 2 * 4096), 0);
	(void)close(life->fd);
	(void)close(life->file);
}

int life_run(const struct life_kind *kind)
{
	struct life life;
	int ret;

	begin(&life, kind);
	ret = configure(&life);
	if (ret == 0)
		ret = start(&life);
	if (ret == 0)
		ret = run(&life);
	if (ret == 0)
		check_outcome(&life);
	end(&life);
	return ret;
}
