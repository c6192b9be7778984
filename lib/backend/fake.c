/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fake hypervisor: exits from a queue. The smallest legal backend, and the one to read first when writing another.
 */
#include "../backend.h"
#include "../exit.h"

#include <gh/fake.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A sleeping vCPU looks for kicks this often: nothing wakes it in the instant between a look and a sleep. */
#define NAP_NS 2000000L
#define LINES 256u

/* One thing that happens on one vCPU. A load stays until it has been answered, and is the record of the answer then. */
struct step {
	struct step *next;
	uint32_t vcpu_id;
	int error;      /* of the run request; 0: the exit below */
	uint64_t width; /* of an access: kept apart, because it may be nonsense that the decoder must refuse */
	uint64_t value; /* of a store, or the answer of a load */
	struct gh_exit exit;
};

struct gh_fake {
	pthread_mutex_t lock;
	struct step *steps;   /* to come */
	struct step *answers; /* loads whose answers have reached the guest */
	struct {
		uint64_t raised;
		bool level;
	} lines[LINES];
};

struct fake_vcpu {
	volatile uint8_t immediate_exit;
	uint8_t answer[8];
	bool aborted;      /* instead */
	struct step *load; /* the one that waits for its answer, or whose answer is on its way */
};

/* --- scripts ------------------------------------------------------------------------------------------------------ */

int gh_fake_new(struct gh_fake **ret_fake)
{
	struct gh_fake *fake;

	if (ret_fake == NULL)
		return -EINVAL;
	fake = calloc(1, sizeof(*fake));
	if (fake == NULL || pthread_mutex_init(&fake->lock, NULL) != 0) {
		free(fake);
		return -ENOMEM;
	}
	*ret_fake = fake;
	return 0;
}

static void free_list(struct step *list)
{
	while (list != NULL) {
		struct step *step = list;

		list = step->next;
		free(step);
	}
}

void gh_fake_free(struct gh_fake *fake)
{
	if (fake == NULL)
		return;
	free_list(fake->steps);
	free_list(fake->answers);
	(void)pthread_mutex_destroy(&fake->lock);
	free(fake);
}

/* Under the lock. */
static void append_to(struct step **link, struct step *step)
{
	while (*link != NULL)
		link = &(*link)->next;
	step->next = NULL;
	*link = step;
}

static int append(struct gh_fake *fake, const struct step *content)
{
	struct step *step;

	if (fake == NULL)
		return -EINVAL;
	step = malloc(sizeof(*step));
	if (step == NULL)
		return -ENOMEM;
	*step = *content;
	(void)pthread_mutex_lock(&fake->lock);
	append_to(&fake->steps, step);
	(void)pthread_mutex_unlock(&fake->lock);
	return 0;
}

static int append_access(struct gh_fake *fake, uint32_t vcpu_id, uint64_t gpa, uint32_t width, bool is_store,
			 uint64_t value)
{
	struct step step = { .vcpu_id = vcpu_id, .width = width, .value = value };

	step.exit.kind = GH_EXIT_MMIO;
	step.exit.mmio.gpa = gpa;
	step.exit.mmio.is_store = is_store;
	return append(fake, &step);
}

int gh_fake_load(struct gh_fake *fake, uint32_t vcpu_id, uint64_t gpa, uint32_t width)
{
	return append_access(fake, vcpu_id, gpa, width, false, 0);
}

int gh_fake_store(struct gh_fake *fake, uint32_t vcpu_id, uint64_t gpa, uint32_t width, uint64_t value)
{
	return append_access(fake, vcpu_id, gpa, width, true, value);
}

/* No kernel's exit says more than there is: the other backends see to that. */
static void normalise(struct gh_exit *exit)
{
	const uint32_t room = sizeof(exit->event.data) / sizeof(exit->event.data[0]);

	if (exit->kind == GH_EXIT_MMIO)
		exit->mmio.is_store = exit->mmio.is_store != 0;
	if (exit->kind == GH_EXIT_SYSTEM_EVENT && exit->event.count > room)
		exit->event.count = room;
	if (exit->kind != GH_EXIT_STOPPED)
		return;
	if (exit->stop.cause > GH_STOP_LOAD_FAILED)
		exit->stop.cause = GH_STOP_OTHER;
	if (exit->stop.reason_size > sizeof(exit->stop.reason))
		exit->stop.reason_size = sizeof(exit->stop.reason);
}

int gh_fake_stop(struct gh_fake *fake, uint32_t vcpu_id, uint32_t cause)
{
	struct step step = { .vcpu_id = vcpu_id };

	gh_exit_set_stop(&step.exit, cause, 0, 0);
	normalise(&step.exit);
	return append(fake, &step);
}

int gh_fake_exit(struct gh_fake *fake, uint32_t vcpu_id, const struct gh_exit *exit)
{
	struct step step = { .vcpu_id = vcpu_id };

	if (exit == NULL)
		return -EINVAL;
	step.exit = *exit;
	normalise(&step.exit);
	if (exit->kind == GH_EXIT_MMIO) {
		step.width = exit->mmio.width;
		step.value = exit->mmio.value;
	}
	return append(fake, &step);
}

int gh_fake_error(struct gh_fake *fake, uint32_t vcpu_id, int error)
{
	struct step step = { .vcpu_id = vcpu_id, .error = error };

	if (error >= 0)
		return -EINVAL;
	return append(fake, &step);
}

int gh_fake_answer(struct gh_fake *fake, uint32_t vcpu_id, uint32_t index, uint64_t *ret_value)
{
	const struct step *answer;

	if (fake == NULL || ret_value == NULL)
		return -EINVAL;
	(void)pthread_mutex_lock(&fake->lock);
	for (answer = fake->answers; answer != NULL; answer = answer->next)
		if (answer->vcpu_id == vcpu_id && index-- == 0)
			break;
	if (answer != NULL)
		*ret_value = answer->value;
	(void)pthread_mutex_unlock(&fake->lock);
	return answer != NULL ? 0 : -ENOENT;
}

int gh_fake_line(struct gh_fake *fake, uint32_t line, uint64_t *ret_raised)
{
	int level;

	if (fake == NULL)
		return -EINVAL;
	if (line >= LINES)
		return -ERANGE;
	(void)pthread_mutex_lock(&fake->lock);
	level = fake->lines[line].level;
	if (ret_raised != NULL)
		*ret_raised = fake->lines[line].raised;
	(void)pthread_mutex_unlock(&fake->lock);
	return level;
}

/* The next step of a vCPU, taken off the queue; NULL: none. */
static struct step *take_step(struct gh_fake *fake, uint32_t vcpu_id)
{
	struct step **link;
	struct step *step;

	(void)pthread_mutex_lock(&fake->lock);
	for (link = &fake->steps; *link != NULL && (*link)->vcpu_id != vcpu_id; link = &(*link)->next)
		;
	step = *link;
	if (step != NULL)
		*link = step->next;
	(void)pthread_mutex_unlock(&fake->lock);
	return step;
}

/* --- the backend -------------------------------------------------------------------------------------------------- */

#define FEATURES                                                                                                           \
	(GH_FEATURE_SHARE | GH_FEATURE_LEND | GH_FEATURE_REGISTERS | GH_FEATURE_IRQFD | GH_FEATURE_IRQFD_LEVEL |           \
	 GH_FEATURE_IOEVENTFD | GH_FEATURE_DATAMATCH | GH_FEATURE_HYPERCALL | GH_FEATURE_MMIO_ABORT |                      \
	 GH_FEATURE_PAGE_FAULT | GH_FEATURE_LATE_VCPUS | GH_FEATURE_IRQ_LINE | GH_FEATURE_READ_ONLY_MEMORY)

static int fake_probe(struct gh_sys *sys, int fd, struct gh_caps *ret_caps, struct gh_failure *failure)
{
	(void)sys;
	(void)fd;
	(void)failure;
	*ret_caps = (struct gh_caps){
		.features = FEATURES,
		.dialect = "scripted exits",
		.max_vcpus = 8,
		.max_regions = 16,
		.max_lines = LINES,
		.gpa_bits = 40,
		.gpa_align = 4096,
	};
	return 0;
}

static int fake_vm_create(struct gh_bvm *vm)
{
	(void)vm;
	return 0;
}

static void fake_vm_destroy(struct gh_bvm *vm)
{
	(void)vm;
}

static int fake_vm_map(struct gh_bvm *vm, const struct gh_region *region)
{
	(void)vm;
	(void)region;
	return 0;
}

static int fake_vm_unmap(struct gh_bvm *vm, const struct gh_region *region)
{
	(void)vm;
	(void)region;
	return 0;
}

static int fake_vcpu_create(struct gh_bvcpu *vcpu)
{
	struct fake_vcpu *own = calloc(1, sizeof(*own));

	if (own == NULL)
		return -ENOMEM;
	vcpu->priv = own;
	vcpu->immediate_exit = &own->immediate_exit;
	vcpu->answer = own->answer;
	return 0;
}

static void fake_vcpu_destroy(struct gh_bvcpu *vcpu)
{
	struct fake_vcpu *own = vcpu->priv;

	free(own->load);
	free(own);
}

static int fake_vcpu_set_register(struct gh_bvcpu *vcpu, uint32_t reg, uint64_t value)
{
	(void)vcpu;
	(void)reg;
	(void)value;
	return 0;
}

/* The guest goes on: an answer that was on its way has arrived. */
static void deliver_answer(struct gh_bvcpu *vcpu)
{
	struct fake_vcpu *own = vcpu->priv;
	struct gh_fake *fake = vcpu->vm->fake;

	if (own->load == NULL) {
		own->aborted = false; /* of a store */
		return;
	}
	if (!own->aborted) {
		own->load->value = gh_value_get(own->answer, (uint32_t)own->load->width);
		(void)pthread_mutex_lock(&fake->lock);
		append_to(&fake->answers, own->load);
		(void)pthread_mutex_unlock(&fake->lock);
	} else {
		free(own->load);
	}
	own->load = NULL;
	own->aborted = false;
}

static int play(const struct step *step, struct gh_exit *exit)
{
	uint8_t data[8];

	if (step->error != 0)
		return step->error;
	*exit = step->exit;
	if (exit->kind != GH_EXIT_MMIO)
		return 0;
	for (unsigned int i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(step->value >> 8 * i);
	return gh_exit_set_mmio(exit, exit->mmio.gpa, step->width, exit->mmio.is_store != 0, data);
}

/* 1: nothing happened meanwhile. */
static int sleep_a_little(struct gh_bvcpu *vcpu)
{
	const struct timespec time = { .tv_sec = 0, .tv_nsec = NAP_NS };

	return vcpu->vm->sys->ppoll(vcpu->vm->sys, NULL, 0, &time) < 0 ? -EINTR : 1;
}

/* One step; 1: it made no exit. */
static int perform(struct gh_bvcpu *vcpu, struct step *step)
{
	struct gh_exit *exit = &vcpu->exit;
	struct fake_vcpu *own = vcpu->priv;
	int ret = play(step, exit);

	if (ret == 0 && exit->kind == GH_EXIT_MMIO && exit->mmio.is_store == 0) {
		own->load = step;
		return 0;
	}
	free(step);
	if (ret == 0 && exit->kind == GH_EXIT_MMIO &&
	    gh_ioevent_signal(vcpu->vm, exit->mmio.gpa, exit->mmio.width, exit->mmio.value))
		return 1;
	return ret;
}

static int fake_vcpu_run(struct gh_bvcpu *vcpu)
{
	for (;;) {
		struct step *step;
		int ret;

		if (__atomic_load_n(vcpu->kicked, __ATOMIC_SEQ_CST) != 0)
			return -ECANCELED;
		deliver_answer(vcpu);
		step = take_step(vcpu->vm->fake, vcpu->id);
		ret = step != NULL ? perform(vcpu, step) : sleep_a_little(vcpu);
		if (ret <= 0)
			return ret < 0 ? ret : gh_exit_result(&vcpu->exit);
	}
}

static int fake_vcpu_abort(struct gh_bvcpu *vcpu)
{
	struct fake_vcpu *own = vcpu->priv;

	own->aborted = own->load != NULL; /* of a store nothing is left to be known */
	return 0;
}

static void fake_vcpu_answer_hypercall(struct gh_bvcpu *vcpu, const uint64_t results[4])
{
	(void)vcpu;
	(void)results;
}

static int fake_irqfd(struct gh_bvm *vm, const struct gh_irqfd_spec *spec, bool on)
{
	(void)vm;
	(void)spec;
	(void)on;
	return 0;
}

static int fake_irq_line(struct gh_bvm *vm, uint32_t line, bool level)
{
	struct gh_fake *fake = vm->fake;

	(void)pthread_mutex_lock(&fake->lock);
	fake->lines[line].level = level;
	fake->lines[line].raised += level;
	(void)pthread_mutex_unlock(&fake->lock);
	return 0;
}

static int fake_ioevent(struct gh_bvm *vm, const struct gh_ioevent_spec *spec, bool on)
{
	(void)vm;
	(void)spec;
	(void)on;
	return 0;
}

const struct gh_backend gh_backend_fake = {
	.name = "fake",
	.possible = FEATURES | GH_FEATURE_NEEDS_DTB,
	.probe = fake_probe,
	.vm_create = fake_vm_create,
	.vm_destroy = fake_vm_destroy,
	.vm_map = fake_vm_map,
	.vm_unmap = fake_vm_unmap,
	.vcpu_create = fake_vcpu_create,
	.vcpu_destroy = fake_vcpu_destroy,
	.vcpu_set_register = fake_vcpu_set_register,
	.vcpu_run = fake_vcpu_run,
	.vcpu_abort = fake_vcpu_abort,
	.vcpu_answer_hypercall = fake_vcpu_answer_hypercall,
	.irqfd = fake_irqfd,
	.irq_line = fake_irq_line,
	.ioevent = fake_ioevent,
};
