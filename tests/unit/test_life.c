/* SPDX-License-Identifier: BSD-3-Clause */
/* Whole lives on the simulated devices through the public interface, and what the fake cannot show of the run protocol. */
#include "life.h"
#include "table.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const devices[] = { GUNYAH, GENIEZONE };

struct world {
	struct gh_sim *sim;
	struct gh_vm *vm;
	struct gh_vcpu *vcpu;
};

static struct world begin(const char *device, const char *script)
{
	struct world world;

	world.sim = new_sim(device, script);
	world.vm = open_sim(world.sim);
	world.vcpu = start_standard(world.vm);
	return world;
}

static void finish(const struct world *world)
{
	gh_vm_close(world->vm);
	end_sim(world->sim);
}

START_TEST(test_life)
{
	ck_assert_int_eq(life_run(&life_kinds[_i]), 0);
}
END_TEST

/* In an initramfs, or a sandbox, on an old kernel. */
START_TEST(test_poor_life)
{
	table_is_poor = true;
	ck_assert_int_eq(life_run(&life_kinds[_i]), 0);
	table_is_poor = false;
}
END_TEST

/* A kick that meets an answer, where nobody can see whether that has arrived. */
START_TEST(test_poor_kick)
{
	static const char *const scripts[] = { "load 0x10 4; expect 7; wfi", "load 0x10 4; expect 7; spin" };
	struct world world = begin(GUNYAH, scripts[_i]);
	struct runner runner;

	table_is_poor = true;
	ck_assert_uint_eq(run_once(world.vcpu)->kind, GH_EXIT_MMIO);
	ck_assert_int_eq(gh_mmio_complete(world.vcpu, 7), 0);
	runner_begin(&runner, world.vcpu);
	pause_ms(1);
	ck_assert_int_eq(gh_vcpu_kick(world.vcpu), 0);
	ck_assert(runner_returns(&runner));
	runner_end(&runner);
	table_is_poor = false;
	ck_assert_int_eq(runner.ret, 0);
	ck_assert_uint_eq(runner.kind, GH_EXIT_INTERRUPTED);
	finish(&world);
}
END_TEST

/* --- ends --------------------------------------------------------------------------------------------------------- */

static const struct {
	const char *device;
	const char *script;
	uint32_t cause;
	uint32_t reason_size;
} ends[] = {
	{ GUNYAH, "off", GH_STOP_POWER_OFF, 4 },
	{ GUNYAH, "reset", GH_STOP_RESET, 4 },
	{ GUNYAH, "reset2 1 2", GH_STOP_RESET, 8 }, /* the kernel says 16 */
	{ GUNYAH, "crash", GH_STOP_CRASH, 4 },
	{ GUNYAH, "expect 1", GH_STOP_CRASH, 4 },
	{ GENIEZONE, "off", GH_STOP_POWER_OFF, 0 },
	{ GENIEZONE, "reset", GH_STOP_RESET, 0 },
	{ GENIEZONE, "reset2 1 2", GH_STOP_RESET, 0 },
	{ GENIEZONE, "crash", GH_STOP_CRASH, 0 },
	{ GENIEZONE, "raw exit SHUTDOWN", GH_STOP_POWER_OFF, 0 },
	{ GENIEZONE, "raw exit FAIL_ENTRY reason=22", GH_STOP_LOAD_FAILED, 0 },
};

START_TEST(test_end)
{
	struct world world = begin(ends[_i].device, ends[_i].script);

	for (int i = 0; i < 2; i++) {
		const struct gh_exit *exit = run_once(world.vcpu);

		ck_assert_uint_eq(exit->kind, GH_EXIT_STOPPED);
		ck_assert_uint_eq(exit->stop.cause, ends[_i].cause);
		ck_assert_uint_eq(exit->stop.reason_size, ends[_i].reason_size);
		ck_assert_int_eq(gh_mmio_complete(world.vcpu, 0), -ESHUTDOWN);
	}
	finish(&world);
}
END_TEST

/* Main memory that cannot be executed is accepted, and the guest dies of it. */
START_TEST(test_cannot_execute)
{
	struct gh_sim *sim = new_sim(GUNYAH, "off");
	struct gh_vm *vm = open_sim(sim);
	struct gh_vcpu *vcpu;

	map_at(vm, RAM_GPA, RAM_SIZE, GH_MEMORY_READ | GH_MEMORY_WRITE);
	put_tree(vm, &standard_tree);
	vcpu = add_vcpu(vm, 0);
	ck_assert_int_eq(gh_vm_start(vm), 0);
	ck_assert_uint_eq(run_once(vcpu)->stop.cause, GH_STOP_CRASH);
	gh_vm_close(vm);
	end_sim(sim);
}
END_TEST

/* --- exits -------------------------------------------------------------------------------------------------------- */

/* Every width, and a guest that checks what it reads. */
START_TEST(test_loads)
{
	static const char script[] =
		"load 0x10 1; expect 0x88; load 0x10 2; expect 0x7788; load 0x10 4; expect 0x55667788\n"
		"load 0x10 8; expect 0x1122334455667788; load 0x10 8; expect 0; off";
	struct world world = begin(devices[_i], script);

	for (int i = 0; i < 5; i++) {
		const struct gh_exit *exit = run_once(world.vcpu);

		ck_assert_uint_eq(exit->kind, GH_EXIT_MMIO);
		ck_assert_uint_eq(exit->mmio.is_store, 0);
		ck_assert_int_eq(gh_mmio_complete(world.vcpu, i < 4 ? UINT64_C(0x1122334455667788) : 0), 0);
	}
	ck_assert_uint_eq(run_once(world.vcpu)->stop.cause, GH_STOP_POWER_OFF);
	finish(&world);
}
END_TEST

START_TEST(test_stores)
{
	static const char script[] = "store 0x10 1 0x1122334455667788; store 0x10 2 0x1122334455667788\n"
				     "store 0x10 4 0x1122334455667788; store 0x10 8 0x1122334455667788; off";
	static const uint64_t values[] = { 0x88, 0x7788, 0x55667788, UINT64_C(0x1122334455667788) };
	struct world world = begin(devices[_i], script);

	for (size_t i = 0; i < COUNT(values); i++) {
		const struct gh_exit *exit = run_once(world.vcpu);

		ck_assert_uint_eq(exit->kind, GH_EXIT_MMIO);
		ck_assert_uint_eq(exit->mmio.width, 1u << i);
		ck_assert_uint_eq(exit->mmio.value, values[i]);
	}
	ck_assert_uint_eq(run_once(world.vcpu)->kind, GH_EXIT_STOPPED);
	finish(&world);
}
END_TEST

/* Neither kernel can abort an access; the load waits on. */
START_TEST(test_no_abort)
{
	struct world world = begin(devices[_i], "store 0x10 4 1; load 0x10 4; expect 5; off");
	const struct gh_exit *exit = NULL;

	ck_assert_uint_eq(gh_vm_features(world.vm) & GH_FEATURE_MMIO_ABORT, 0);
	(void)run_once(world.vcpu);
	ck_assert_int_eq(gh_mmio_fail(world.vcpu), -EOPNOTSUPP);
	(void)run_once(world.vcpu);
	ck_assert_int_eq(gh_mmio_fail(world.vcpu), -EOPNOTSUPP);
	ck_assert(failure_is(gh_vcpu_failure(world.vcpu), -EOPNOTSUPP));
	ck_assert_int_eq(gh_vcpu_run(world.vcpu, &exit), -EBUSY);
	ck_assert_int_eq(gh_mmio_complete(world.vcpu, 5), 0);
	ck_assert_uint_eq(run_once(world.vcpu)->stop.cause, GH_STOP_POWER_OFF);
	finish(&world);
}
END_TEST

START_TEST(test_hypercalls)
{
	static const char script[] = "hvc 0xc6000010 1 2 3 4 5 6 7; echo 0x10 8; hvc 0xc6000011; echo 0x10 8; off";
	static const uint64_t results[4] = { 0xabcd, 1, 2, 3 };
	struct world world = begin(GENIEZONE, script);
	const struct gh_exit *exit = run_once(world.vcpu);

	ck_assert_uint_eq(exit->kind, GH_EXIT_HYPERCALL);
	ck_assert_uint_eq(exit->hypercall.args[0], 0xc6000010);
	ck_assert_uint_eq(exit->hypercall.args[7], 7);
	ck_assert_int_eq(gh_hypercall_complete(world.vcpu, results), 0);
	ck_assert_uint_eq(run_once(world.vcpu)->mmio.value, 0xabcd);
	/* Left alone: not supported. */
	ck_assert_uint_eq(run_once(world.vcpu)->kind, GH_EXIT_HYPERCALL);
	ck_assert_uint_eq(run_once(world.vcpu)->mmio.value, UINT64_MAX);
	ck_assert_uint_eq(run_once(world.vcpu)->kind, GH_EXIT_STOPPED);
	finish(&world);
}
END_TEST

START_TEST(test_strange_exits_of_geniezone)
{
	static const char script[] = "raw exit 0x92920077; raw exit DEBUG; raw exit EXCEPTION exc=7 err=8\n"
				     "raw exit SYSTEM_EVENT type=9 ndata=99 data=5; peek 0x70000000 4\n"
				     "raw exit IDLE; raw exit IPI; store 0x10 4 1; raw exit MMIO gpa=0x10 width=3 write=1\n"
				     "raw exit MMIO gpa=0x10 width=4 write=2; off";
	struct world world = begin(GENIEZONE, script);
	const struct gh_exit *exit = run_once(world.vcpu);

	ck_assert_uint_eq(exit->kind, GH_EXIT_UNKNOWN);
	ck_assert_uint_eq(exit->raw_reason, 0x92920077);
	exit = run_once(world.vcpu);
	ck_assert_uint_eq(exit->kind, GH_EXIT_UNKNOWN);
	ck_assert_uint_eq(exit->raw_reason, 0x92920005);
	exit = run_once(world.vcpu);
	ck_assert_uint_eq(exit->kind, GH_EXIT_EXCEPTION);
	ck_assert_uint_eq(exit->exception.exception, 7);
	exit = run_once(world.vcpu);
	ck_assert_uint_eq(exit->kind, GH_EXIT_SYSTEM_EVENT);
	ck_assert_uint_eq(exit->event.count, 16);
	ck_assert_uint_eq(exit->event.data[0], 5);
	exit = run_once(world.vcpu);
	ck_assert_uint_eq(exit->kind, GH_EXIT_PAGE_FAULT);
	ck_assert_uint_eq(exit->fault.gpa, 0x70000000);
	/* What is none of a VMM's business does not show. */
	ck_assert_uint_eq(run_once(world.vcpu)->mmio.value, 1);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(gh_vcpu_run(world.vcpu, &exit), -EPROTO);
		ck_assert(failure_is(gh_vcpu_failure(world.vcpu), -EPROTO));
	}
	ck_assert_uint_eq(run_once(world.vcpu)->kind, GH_EXIT_STOPPED);
	finish(&world);
}
END_TEST

/* The hypervisor has the vCPU for a moment; and an impossible width. */
START_TEST(test_strange_exits_of_gunyah)
{
	struct world world = begin(GUNYAH, "raw ebusy; raw ebusy; raw ebusy; store 0x10 4 1; store 0x10 3 1; off");
	const struct gh_exit *exit;

	ck_assert_uint_eq(run_once(world.vcpu)->mmio.value, 1);
	ck_assert_int_eq(gh_vcpu_run(world.vcpu, &exit), -EPROTO);
	ck_assert(failure_is(gh_vcpu_failure(world.vcpu), -EPROTO));
	ck_assert_uint_eq(run_once(world.vcpu)->kind, GH_EXIT_STOPPED);
	finish(&world);
}
END_TEST

/* --- threads ------------------------------------------------------------------------------------------------------ */

struct worker {
	pthread_t thread;
	struct gh_vcpu *vcpu;
	int ret;
	unsigned int loads;
	unsigned int stores;
	unsigned int interruptions;
	uint32_t cause;
	bool once; /* one exit only */
};

static void *run_to_end(void *data)
{
	struct worker *worker = data;
	const struct gh_exit *exit;

	do {
		worker->ret = gh_vcpu_run(worker->vcpu, &exit);
		if (worker->ret < 0)
			break;
		if (exit->kind == GH_EXIT_INTERRUPTED) {
			worker->interruptions++;
		} else if (exit->kind == GH_EXIT_STOPPED) {
			worker->cause = exit->stop.cause;
			break;
		} else if (exit->mmio.is_store != 0) {
			worker->stores++;
		} else {
			worker->ret = gh_mmio_complete(worker->vcpu, 0x1000 + worker->loads++ % 7);
			/* The other vCPU has ended the VM meanwhile. */
			if (worker->ret == -ESHUTDOWN)
				worker->ret = 0;
		}
	} while (worker->ret == 0 && !worker->once);
	return NULL;
}

static void worker_begin(struct worker *worker, struct gh_vcpu *vcpu, bool once)
{
	*worker = (struct worker){ .vcpu = vcpu, .once = once, .cause = UINT32_MAX };
	ck_assert_int_eq(pthread_create(&worker->thread, NULL, run_to_end, worker), 0);
}

static void worker_end(struct worker *worker)
{
	(void)pthread_join(worker->thread, NULL);
	ck_assert_int_eq(worker->ret, 0);
}

/* Two vCPUs on two threads, kicked all the time: no exit is lost, no answer, and the end reaches both. */
START_TEST(test_two_threads)
{
	static const char script[] =
		"on 1; repeat 30\n"
		"load 0x10 4; expect 0x1000; store 0x14 4 1; load 0x10 4; expect 0x1001; load 0x10 4; expect 0x1002\n"
		"load 0x10 4; expect 0x1003; load 0x10 4; expect 0x1004; load 0x10 4; expect 0x1005; load 0x10 4\n"
		"expect 0x1006; end; wfi; off\n"
		"vcpu 1\n"
		"repeat 30; load 0x10 4; expect 0x1000; load 0x10 4; expect 0x1001; load 0x10 4; expect 0x1002; load 0x10 "
		"4\n"
		"expect 0x1003; load 0x10 4; expect 0x1004; load 0x10 4; expect 0x1005; load 0x10 4; expect 0x1006; end\n"
		"store 0x18 4 1; wfi";
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	struct gh_sim *sim = new_sim(devices[_i], script);
	struct gh_vm *vm = open_sim(sim);
	struct gh_vcpu *second = add_vcpu(vm, 1);
	struct gh_vcpu *first = start_standard(vm);
	struct gh_irqfd *irqfd = NULL;
	struct worker workers[2];

	options.line = 5;
	ck_assert_int_eq(gh_irqfd_add(vm, &options, &irqfd), 0);
	worker_begin(&workers[1], second, false);
	worker_begin(&workers[0], first, false);
	for (int i = 0; i < 200; i++) {
		(void)gh_vcpu_kick(first);
		(void)gh_vcpu_kick(second);
		pause_ms(i % 4 == 0);
	}
	ck_assert_int_eq(gh_irqfd_raise(irqfd), 0);
	worker_end(&workers[0]);
	worker_end(&workers[1]);
	ck_assert_uint_eq(workers[0].cause, GH_STOP_POWER_OFF);
	ck_assert_uint_eq(workers[1].cause, GH_STOP_POWER_OFF);
	ck_assert_uint_eq(workers[0].loads, 210);
	ck_assert_uint_eq(workers[0].stores, 30);
	gh_vm_close(vm);
	end_sim(sim);
}
END_TEST

/* A vCPU that sleeps in the hypervisor is woken, also while the answer of its load is on its way. */
START_TEST(test_kick_in_guest)
{
	struct world world = begin(devices[_i], "load 0x10 4; expect 0x77; wfi; ack; expect 37; off");
	struct gh_irqfd_options options = GH_IRQFD_OPTIONS_INIT;
	struct gh_irqfd *irqfd = NULL;
	struct worker worker;

	options.line = 5;
	ck_assert_int_eq(gh_irqfd_add(world.vm, &options, &irqfd), 0);
	(void)run_once(world.vcpu);
	ck_assert_int_eq(gh_mmio_complete(world.vcpu, 0x77), 0);
	for (int i = 0; i < 5; i++) {
		worker_begin(&worker, world.vcpu, true);
		pause_ms((unsigned int)i % 3);
		ck_assert_int_eq(gh_vcpu_kick(world.vcpu), 0);
		worker_end(&worker);
		ck_assert_uint_eq(worker.interruptions, 1);
	}
	ck_assert_int_eq(gh_irqfd_raise(irqfd), 0);
	ck_assert_uint_eq(run_once(world.vcpu)->stop.cause, GH_STOP_POWER_OFF);
	finish(&world);
}
END_TEST

/* Several VMs on one machine, each with its own guest. */
START_TEST(test_many_vms)
{
	struct gh_sim *sim = new_sim(devices[_i], "store 0x10 4 1; store 0x10 4 2; off");
	struct gh_vcpu *vcpus[4];
	struct gh_vm *vms[4];

	for (size_t i = 0; i < COUNT(vms); i++) {
		vms[i] = open_sim(sim);
		vcpus[i] = start_standard(vms[i]);
	}
	for (uint64_t value = 1; value <= 2; value++)
		for (size_t i = 0; i < COUNT(vms); i++)
			ck_assert_uint_eq(run_once(vcpus[i])->mmio.value, value);
	/* The machine outlives its handle. */
	gh_vm_close(vms[0]);
	gh_vm_close(vms[2]);
	ck_assert_ptr_null(gh_sim_breakage(sim));
	gh_sim_free(sim);
	ck_assert_uint_eq(run_once(vcpus[1])->kind, GH_EXIT_STOPPED);
	gh_vm_close(vms[1]);
	gh_vm_close(vms[3]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("life");
	TCase *tcase = add_case(suite, "life");

	tcase_add_loop_test(tcase, test_life, 0, life_kind_count);
	tcase_add_loop_test(tcase, test_poor_life, 0, life_kind_count);
	tcase_add_loop_test(tcase, test_poor_kick, 0, 2);
	tcase_add_loop_test(tcase, test_end, 0, COUNT(ends));
	tcase_add_test(tcase, test_cannot_execute);
	tcase_add_loop_test(tcase, test_loads, 0, COUNT(devices));
	tcase_add_loop_test(tcase, test_stores, 0, COUNT(devices));
	tcase_add_loop_test(tcase, test_no_abort, 0, COUNT(devices));
	tcase_add_test(tcase, test_hypercalls);
	tcase_add_test(tcase, test_strange_exits_of_geniezone);
	tcase_add_test(tcase, test_strange_exits_of_gunyah);
	tcase_add_loop_test(tcase, test_two_threads, 0, COUNT(devices));
	tcase_add_loop_test(tcase, test_kick_in_guest, 0, COUNT(devices));
	tcase_add_loop_test(tcase, test_many_vms, 0, COUNT(devices));
	return run_suite(suite);
}
