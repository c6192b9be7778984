/* SPDX-License-Identifier: BSD-3-Clause */
#include "world.h"

#include "tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the world ---------------------------------------------------------------------------------------------------- */

static void queue_statement(struct gh_fake *fake, uint32_t *vcpu, const char *statement)
{
	unsigned long long gpa;
	unsigned long long value;
	unsigned int width;
	char word[16];

	if (sscanf(statement, " %15s", word) != 1)
		return;
	if (strcmp(word, "vcpu") == 0)
		ck_assert_int_eq(sscanf(statement, " vcpu %u", vcpu), 1);
	else if (sscanf(statement, " store %lli %u %lli", (long long *)&gpa, &width, (long long *)&value) == 3)
		ck_assert_int_eq(gh_fake_store(fake, *vcpu, gpa, width, value), 0);
	else if (sscanf(statement, " load %lli %u", (long long *)&gpa, &width) == 2)
		ck_assert_int_eq(gh_fake_load(fake, *vcpu, gpa, width), 0);
	else if (strcmp(word, "off") == 0)
		ck_assert_int_eq(gh_fake_stop(fake, *vcpu, GH_STOP_POWER_OFF), 0);
	else if (strcmp(word, "reset") == 0)
		ck_assert_int_eq(gh_fake_stop(fake, *vcpu, GH_STOP_RESET), 0);
	else if (strcmp(word, "crash") == 0)
		ck_assert_int_eq(gh_fake_stop(fake, *vcpu, GH_STOP_CRASH), 0);
}

void world_queue(struct gh_fake *fake, const char *script)
{
	char *text = strdup(script);
	uint32_t vcpu = 0;
	char *rest = NULL;

	for (char *at = strtok_r(text, ";\n", &rest); at != NULL; at = strtok_r(NULL, ";\n", &rest))
		queue_statement(fake, &vcpu, at);
	free(text);
}

static void give_tree(struct gh_vm *vm, unsigned int cpus)
{
	struct tree tree = { .cpus = cpus };
	unsigned char buffer[TREE_ROOM] = { 0 };

	ck_assert_uint_gt(tree_build(&tree, buffer, sizeof(buffer)), 0);
	ck_assert_int_eq(gh_vm_write(vm, TREE_BASE, buffer, sizeof(buffer)), 0);
	ck_assert_int_eq(gh_vm_set_dtb(vm, TREE_BASE, sizeof(buffer)), 0);
}

void world_begin(struct world *world, enum world_device device, const char *script, unsigned int vcpus)
{
	memset(world, 0, sizeof(*world));
	if (device == WORLD_FAKE) {
		world->fake = new_fake();
		world_queue(world->fake, script);
		world->vm = open_fake(world->fake);
	} else {
		world->sim = new_sim(device == WORLD_GUNYAH ? "sim:gunyah/android14-6.1" : "sim:gzvm/v9", script);
		world->vm = open_sim(world->sim);
	}
	map_at(world->vm, RAM_GPA, RAM_SIZE, GH_MEMORY_RWX);
	if (device == WORLD_GUNYAH)
		give_tree(world->vm, vcpus);
	for (uint32_t i = 0; i < vcpus; i++)
		world->vcpus[i] = add_vcpu(world->vm, i);
	ck_assert_msg(gh_vm_start(world->vm) == 0, "start: %s", gh_vm_failure(world->vm)->cause);
}

void world_end(struct world *world)
{
	gh_vm_close(world->vm);
	gh_fake_free(world->fake);
	if (world->sim != NULL)
		end_sim(world->sim);
}

/* --- the VMM ------------------------------------------------------------------------------------------------------ */

void vmm_init(struct vmm *vmm, struct world *world)
{
	memset(vmm, 0, sizeof(*vmm));
	vmm->world = world;
	vmm->answer = 0x1234;
	ck_assert_int_eq(sem_init(&vmm->loaded, 0, 0), 0);
}

static int handle_mmio(struct vmm *vmm, struct gh_vcpu *vcpu, const struct gh_exit *exit)
{
	if (exit->mmio.is_store) {
		atomic_store(&vmm->stored, exit->mmio.value);
		(void)atomic_fetch_add(&vmm->stores, 1);
		return vmm->on_store != NULL ? vmm->on_store(vmm, vcpu) : GH_LOOP_CONTINUE;
	}
	(void)atomic_fetch_add(&vmm->loads, 1);
	if (vmm->on_load != NULL)
		return vmm->on_load(vmm, vcpu);
	ck_assert_int_eq(gh_mmio_complete(vcpu, vmm->answer), 0);
	return GH_LOOP_CONTINUE;
}

static int handle(void *data, struct gh_vcpu *vcpu, const struct gh_exit *exit)
{
	struct vmm *vmm = data;

	switch (exit->kind) {
	case GH_EXIT_MMIO:
		return handle_mmio(vmm, vcpu, exit);
	case GH_EXIT_INTERRUPTED:
		(void)atomic_fetch_add(&vmm->interruptions, 1);
		return vmm->on_interruption != NULL ? vmm->on_interruption(vmm, vcpu) : GH_LOOP_CONTINUE;
	default:
		(void)atomic_fetch_add(&vmm->others, 1);
		return GH_LOOP_CONTINUE;
	}
}

static int begin_thread(void *data, struct gh_vcpu *vcpu)
{
	struct vmm *vmm = data;

	(void)atomic_fetch_add(&vmm->begun, 1);
	return vmm->on_begin != NULL ? vmm->on_begin(vmm, vcpu) : 0;
}

struct gh_loop_options vmm_options(struct vmm *vmm)
{
	struct gh_loop_options options = GH_LOOP_OPTIONS_INIT;

	options.exit = handle;
	options.thread_begins = begin_thread;
	options.data = vmm;
	return options;
}

int vmm_loop(struct vmm *vmm, uint32_t vcpu)
{
	struct gh_loop_options options = vmm_options(vmm);

	return gh_vcpu_loop(vmm->world->vcpus[vcpu], &options);
}

int vmm_run(struct vmm *vmm)
{
	struct gh_loop_options options = vmm_options(vmm);

	return gh_vm_run(vmm->world->vm, &options);
}

int vmm_defer(struct vmm *vmm, struct gh_vcpu *vcpu)
{
	vmm->deferred = vcpu;
	(void)sem_post(&vmm->loaded);
	return GH_LOOP_DEFER;
}

void vmm_await_deferral(struct vmm *vmm)
{
	while (sem_wait(&vmm->loaded) < 0)
		;
}

/* --- in the background -------------------------------------------------------------------------------------------- */

static void *background_main(void *data)
{
	struct background *background = data;

	background->ret =
		background->vcpu < 0 ? vmm_run(background->vmm) : vmm_loop(background->vmm, (uint32_t)background->vcpu);
	atomic_store(&background->done, true);
	return NULL;
}

void background_begin(struct background *background, struct vmm *vmm, int vcpu)
{
	*background = (struct background){ .vmm = vmm, .vcpu = vcpu };
	ck_assert_int_eq(pthread_create(&background->thread, NULL, background_main, background), 0);
}

int background_end(struct background *background)
{
	ck_assert_msg(comes_true(&background->done), "the loop does not return");
	(void)pthread_join(background->thread, NULL);
	return background->ret;
}

bool goes_beyond(atomic_uint *counter, unsigned int value)
{
	for (int i = 0; i < PATIENCE_MS && atomic_load(counter) <= value; i++)
		pause_ms(1);
	return atomic_load(counter) > value;
}

bool comes_true(atomic_bool *flag)
{
	for (int i = 0; i < PATIENCE_MS && !atomic_load(flag); i++)
		pause_ms(1);
	return atomic_load(flag);
}
