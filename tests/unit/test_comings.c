/* SPDX-License-Identifier: BSD-3-Clause */
/* Lines and doorbells come and go while vCPUs run: no store is lost, none is taken for another, and nothing races. */
#include "util.h"

#include <gh/loop.h>

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define KEPT UINT64_C(0x4000)
#define MARK UINT64_C(0x9000)
#define END UINT64_C(0x9010)
#define VCPUS 2u
#define ROUNDS 600u
#define BETWEEN_MARKS 20u

struct scene {
	struct gh_fake *fake;
	struct gh_sim *sim;
	struct gh_vm *vm;
	struct gh_vcpu *vcpus[VCPUS];
	pthread_t threads[VCPUS];
	uint64_t gpa; /* of the doorbell that comes and goes */
	struct gh_ioevent *kept;
	struct gh_irq *edge;
	struct gh_irq *level;
	int fd; /* rung by all that come and go */
	atomic_uint changes;
	atomic_uint marks;
	atomic_uint ended;
	atomic_uint returned;
	atomic_uint_least64_t exits;      /* stores for the doorbell that comes and goes, while it is gone */
	atomic_uint_least64_t kept_exits; /* for the other one: none */
	atomic_uint others;
};

static const char *const devices[] = { NULL, GUNYAH, GENIEZONE };

/* --- the guest ------------------------------------------------------------------------------------------------------ */

/* Each round rings the doorbell that stays, and the one that may be there. */
static char *write_script(uint64_t gpa)
{
	size_t room = VCPUS * (ROUNDS * 96 + 256);
	char *text = malloc(room);
	size_t at = 0;

	ck_assert_ptr_nonnull(text);
	for (unsigned int vcpu = 0; vcpu < VCPUS; vcpu++) {
		at += (size_t)snprintf(text + at, room - at, "vcpu %u\n%s", vcpu, vcpu == 0 ? "on 1\n" : "");
		for (unsigned int i = 0; i < ROUNDS; i++) {
			at += (size_t)snprintf(text + at, room - at, "store 0x4000 4 2\nstore %#llx 4 1\n",
					       (unsigned long long)gpa);
			if (i % BETWEEN_MARKS == 0)
				at += (size_t)snprintf(text + at, room - at, "store 0x9000 4 %u\n", i);
		}
		at += (size_t)snprintf(text + at, room - at, "store 0x9010 4 %u\n", vcpu);
	}
	return text;
}

static void queue_script(struct scene *scene)
{
	for (uint32_t vcpu = 0; vcpu < VCPUS; vcpu++) {
		for (unsigned int i = 0; i < ROUNDS; i++) {
			ck_assert_int_eq(gh_fake_store(scene->fake, vcpu, KEPT, 4, 2), 0);
			ck_assert_int_eq(gh_fake_store(scene->fake, vcpu, scene->gpa, 4, 1), 0);
			if (i % BETWEEN_MARKS == 0)
				ck_assert_int_eq(gh_fake_store(scene->fake, vcpu, MARK, 4, i), 0);
		}
		ck_assert_int_eq(gh_fake_store(scene->fake, vcpu, END, 4, vcpu), 0);
	}
}

/* --- the VMM -------------------------------------------------------------------------------------------------------- */

/* The guest does not run away from whoever changes things; it uses lines itself meanwhile. */
static void pass_mark(struct scene *scene)
{
	unsigned int marks = atomic_fetch_add(&scene->marks, 1) + 1;

	for (unsigned int i = 0; i < PATIENCE_MS && atomic_load(&scene->changes) < marks / 2; i++)
		pause_ms(1);
	ck_assert_int_eq(gh_irq_pulse(scene->edge), 0);
	ck_assert_int_eq(gh_irq_set(scene->level, marks % 2 == 0), 0);
}

static int on_exit_of_guest(void *data, struct gh_vcpu *vcpu, const struct gh_exit *exit)
{
	struct scene *scene = data;

	(void)vcpu;
	if (exit->kind == GH_EXIT_INTERRUPTED)
		return GH_LOOP_CONTINUE;
	if (exit->kind != GH_EXIT_MMIO || exit->mmio.is_store == 0)
		(void)atomic_fetch_add(&scene->others, 1);
	else if (exit->mmio.gpa == MARK)
		pass_mark(scene);
	else if (exit->mmio.gpa == END)
		(void)atomic_fetch_add(&scene->ended, 1);
	else if (exit->mmio.gpa == scene->gpa && exit->mmio.value == 1)
		(void)atomic_fetch_add(&scene->exits, 1);
	else if (exit->mmio.gpa == KEPT && exit->mmio.value == 2)
		(void)atomic_fetch_add(&scene->kept_exits, 1);
	else
		(void)atomic_fetch_add(&scene->others, 1);
	return GH_LOOP_CONTINUE;
}

struct part {
	struct scene *scene;
	uint32_t vcpu;
};

static void *run(void *data)
{
	struct part *part = data;
	struct gh_loop_options options = GH_LOOP_OPTIONS_INIT;

	options.exit = on_exit_of_guest;
	options.data = part->scene;
	(void)gh_vcpu_loop(part->scene->vcpus[part->vcpu], &options);
	(void)atomic_fetch_add(&part->scene->returned, 1);
	return NULL;
}

static struct gh_irq *add_irq(struct scene *scene, uint32_t line, uint32_t flags)
{
	struct gh_irq_options options = GH_IRQ_OPTIONS_INIT;
	struct gh_irq *irq = NULL;

	options.line = line;
	options.flags = flags;
	ck_assert_int_eq(gh_irq_add(scene->vm, &options, &irq), 0);
	return irq;
}

static struct gh_ioevent *add_bell(struct scene *scene, uint64_t gpa, uint64_t value, uint32_t flags, int fd)
{
	struct gh_ioevent_options options = GH_IOEVENT_OPTIONS_INIT;
	struct gh_ioevent *ioevent = NULL;

	options.gpa = gpa;
	options.width = 4;
	options.flags = GH_IOEVENT_DATAMATCH | flags;
	options.value = value;
	options.fd = fd;
	ck_assert_int_eq(gh_ioevent_add(scene->vm, &options, &ioevent), 0);
	return ioevent;
}

static void begin(struct scene *scene, const char *device)
{
	static const struct tree_bell bells[] = { { 5, 5, 1 }, { 6, 6, 4 }, { 7, 7, 1 }, { 8, 8, 4 } };
	static const struct tree tree = { .cpus = VCPUS, .bells = bells, .bell_count = 4 };
	char *script;

	memset(scene, 0, sizeof(*scene));
	/* GenieZone cannot have two values at one address. */
	scene->gpa = device != NULL && strcmp(device, GENIEZONE) == 0 ? KEPT + 16 : KEPT;
	script = write_script(scene->gpa);
	if (device == NULL) {
		scene->fake = new_fake();
		queue_script(scene);
		scene->vm = open_fake(scene->fake);
	} else {
		scene->sim = new_sim(device, script);
		scene->vm = open_sim(scene->sim);
	}
	free(script);
	map_at(scene->vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	put_tree(scene->vm, &tree);
	scene->fd = eventfd(0, EFD_CLOEXEC);
	scene->kept = add_bell(scene, KEPT, 2, 0, -1);
	scene->edge = add_irq(scene, 5, 0);
	scene->level = add_irq(scene, 6, GH_IRQ_LEVEL);
	for (uint32_t i = 0; i < VCPUS; i++)
		scene->vcpus[i] = add_vcpu(scene->vm, i);
	ck_assert_int_eq(gh_vm_start(scene->vm), 0);
}

/* One of each kind comes and goes. */
static void change(struct scene *scene, unsigned int round, int resample_fd)
{
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	struct gh_ioevent *ioevent =
		add_bell(scene, scene->gpa, 1, round % 4 == 3 ? (uint32_t)GH_IOEVENT_EMULATE : 0, scene->fd);
	struct gh_irqfd *level = NULL;
	struct gh_irqfd *edge = NULL;

	options.line = 7;
	ck_assert_int_eq(gh_irqfd_add(scene->vm, &options, &edge), 0);
	options.line = 8;
	options.flags = GH_IRQ_LEVEL;
	options.resample_fd = resample_fd;
	ck_assert_int_eq(gh_irqfd_add(scene->vm, &options, &level), 0);
	ck_assert_int_eq(gh_irqfd_raise(edge), 0);
	ck_assert_int_eq(gh_irqfd_raise(level), 0);
	(void)sched_yield();
	gh_irqfd_remove(level);
	gh_ioevent_remove(ioevent);
	gh_irqfd_remove(edge);
	(void)atomic_fetch_add(&scene->changes, 1);
}

START_TEST(test_come_and_go)
{
	struct part parts[VCPUS];
	struct scene scene;
	int resample_fd = eventfd(0, EFD_CLOEXEC);

	begin(&scene, devices[_i]);
	for (uint32_t i = 0; i < VCPUS; i++) {
		parts[i] = (struct part){ &scene, i };
		ck_assert_int_eq(pthread_create(&scene.threads[i], NULL, run, &parts[i]), 0);
	}
	for (unsigned int round = 0; atomic_load(&scene.ended) < VCPUS && atomic_load(&scene.returned) == 0; round++)
		change(&scene, round, resample_fd);
	ck_assert_int_eq(gh_vm_quit(scene.vm), 0);
	for (uint32_t i = 0; i < VCPUS; i++)
		(void)pthread_join(scene.threads[i], NULL);
	ck_assert_uint_eq(atomic_load(&scene.others), 0);
	/* Every store has rung or come out, once. */
	ck_assert_uint_eq(take_count(scene.fd) + atomic_load(&scene.exits), VCPUS * ROUNDS);
	/* And what others do is nothing to the one that stays. */
	ck_assert_uint_eq(atomic_load(&scene.kept_exits), 0);
	ck_assert_uint_eq(take_count(gh_ioevent_fd(scene.kept)), VCPUS * ROUNDS);
	gh_vm_close(scene.vm);
	gh_fake_free(scene.fake);
	if (scene.sim != NULL)
		end_sim(scene.sim);
	(void)close(scene.fd);
	(void)close(resample_fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("comings and goings");
	TCase *tcase = add_case(suite, "while vCPUs run");

	tcase_add_loop_test(tcase, test_come_and_go, 0, 3);
	return run_suite(suite);
}
