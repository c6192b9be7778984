/* SPDX-License-Identifier: BSD-3-Clause */
/* Simulated machines: device strings, descriptors, mappings, eventfds, and pointers that are wrong. */
#include "gzvm_rig.h"

#include "sim/eventfds.h"
#include "sim/sim.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

static int new_machine(const char *device, const char *script)
{
	struct gh_sim_options options = GH_SIM_OPTIONS_INIT;
	struct gh_sim *sim = NULL;
	int ret;

	options.device = device;
	options.script = script;
	ret = gh_sim_new(&options, &sim);
	ck_assert_int_eq(ret == 0, sim != NULL);
	gh_sim_free(sim);
	return ret;
}

START_TEST(test_device_strings)
{
	ck_assert_int_eq(new_machine("sim:gzvm/v9", ""), 0);
	ck_assert_int_eq(new_machine("sim:gzvm", ""), 0);
	ck_assert_int_eq(new_machine("gzvm/v9", ""), 0);
	ck_assert_int_eq(new_machine("gunyah/android14-6.1,policy=production", "off"), 0);
	ck_assert_int_eq(new_machine("gunyah,policy=debug,engine=script", NULL), 0);
	ck_assert_int_eq(new_machine("gunyah,engine=kvm", NULL), 0);
	ck_assert_int_eq(new_machine("gunyah", NULL), 0);
	ck_assert_int_eq(new_machine("sim:", ""), -ENOENT);
	ck_assert_int_eq(new_machine("sim:kvm", ""), -ENOENT);
	ck_assert_int_eq(new_machine("gzvm/", ""), -ENOENT);
	ck_assert_int_eq(new_machine("gzvm/v99", ""), -ENOENT);
	ck_assert_int_eq(new_machine("gzvm/v9x", ""), -ENOENT);
	ck_assert_int_eq(new_machine("gzv", ""), -ENOENT);
	ck_assert_int_eq(new_machine("gzvm,engine=qemu", ""), -EINVAL);
	ck_assert_int_eq(new_machine("gzvm,engine=script,engine=script", ""), -EINVAL);
	ck_assert_int_eq(new_machine("gzvm,engine=kvm", ""), -EINVAL);
	ck_assert_int_eq(new_machine("gzvm,policy=debug", ""), -EINVAL);
	ck_assert_int_eq(new_machine("gunyah,policy=lax", ""), -EINVAL);
	ck_assert_int_eq(new_machine("gzvm,bogus", ""), -EINVAL);
	ck_assert_int_eq(new_machine("gzvm,,", ""), -EINVAL);
	ck_assert_int_eq(new_machine("gzvm", "bogus"), -EINVAL);
	ck_assert_int_eq(new_machine(NULL, ""), -EINVAL);
	ck_assert_int_eq(new_machine("gzvm,script=", NULL), -EINVAL);
	ck_assert_int_eq(new_machine("gzvm,script=/dev/null/nothing", NULL), -EINVAL);
	ck_assert_int_eq(new_machine("gzvm,script=/nonexistent", NULL), -ENOENT);
	ck_assert_int_eq(new_machine("gzvm,script=/", NULL), -EINVAL);
	ck_assert_int_eq(new_machine("gzvm,script=/dev/zero", NULL), -EINVAL);
	ck_assert_int_eq(new_machine("gzvm,script=/dev/null", NULL), 0);
	ck_assert_int_eq(new_machine("gzvm,script=/dev/null", "off"), -EINVAL);
}
END_TEST

START_TEST(test_options)
{
	struct {
		struct gh_sim_options options;
		unsigned char tail[8];
	} larger = { GH_SIM_OPTIONS_INIT, { 0 } };
	struct gh_sim *sim = NULL;

	larger.options.device = "gzvm,engine=script";
	larger.options.size = sizeof(larger);
	ck_assert_int_eq(gh_sim_new(&larger.options, &sim), 0);
	ck_assert_uint_eq(gh_sim_open_files(sim), 0);
	ck_assert_ptr_null(gh_sim_breakage(sim));
	gh_sim_free(sim);
	larger.tail[7] = 1;
	ck_assert_int_eq(gh_sim_new(&larger.options, &sim), -EINVAL);
	larger.options.size = 4;
	ck_assert_int_eq(gh_sim_new(&larger.options, &sim), -EINVAL);
	ck_assert_int_eq(gh_sim_new(NULL, &sim), -EINVAL);
	larger.options.size = sizeof(larger.options);
	ck_assert_int_eq(gh_sim_new(&larger.options, NULL), -EINVAL);
	ck_assert_uint_eq(gh_sim_open_files(NULL), 0);
	ck_assert_ptr_null(gh_sim_breakage(NULL));
	gh_sim_free(NULL);
}
END_TEST

START_TEST(test_script_file)
{
	char path[] = "/tmp/ghsim-XXXXXX";
	char device[64];
	char blanks[4096];
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	(void)snprintf(device, sizeof(device), "gzvm/v9,script=%s", path);
	ck_assert_int_eq((int)write(fd, "off\n", 4), 4);
	ck_assert_int_eq(new_machine(device, NULL), 0);
	ck_assert_int_eq((int)write(fd, "bogus\n", 6), 6);
	ck_assert_int_eq(new_machine(device, NULL), -EINVAL);
	/* Blanks up to the limit, and one more. */
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	for (size_t i = 0; i < sizeof(blanks); i++)
		blanks[i] = i % 4 == 3 ? '\n' : ' ';
	for (size_t i = 0; i < 1 << 20; i += sizeof(blanks))
		ck_assert_int_eq((int)pwrite(fd, blanks, sizeof(blanks), (off_t)i), (int)sizeof(blanks));
	ck_assert_int_eq(new_machine(device, NULL), 0);
	ck_assert_int_eq((int)pwrite(fd, "\n", 1, 1 << 20), 1);
	ck_assert_int_eq(new_machine(device, NULL), -EINVAL);
	close(fd);
	unlink(path);
}
END_TEST

static unsigned int open_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned int count = 0;

	while (readdir(directory) != NULL)
		count++;
	closedir(directory);
	return count;
}

START_TEST(test_paths)
{
	struct rig rig;
	int fd;

	rig_device(&rig, "");
	ck_assert_str_eq(gh_sim_device_path(rig.sim), "/dev/gzvm");
	/* Everything else is the real kernel's. */
	fd = rig.sys->open(rig.sys, "/dev/null", O_RDWR);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(rig.sys->ioctl(rig.sys, fd, UAPI_GZVM_CREATE_VM, 0), -ENOTTY);
	ck_assert_int_eq((int)rig.sys->write(rig.sys, fd, "x", 1), 1);
	ck_assert_int_eq(rig.sys->close(rig.sys, fd), 0);
	ck_assert_int_eq(rig.sys->close(rig.sys, fd), -EBADF);
	ck_assert_int_eq(rig.sys->open(rig.sys, "/dev/gzvm2", O_RDWR), -ENOENT);
	ck_assert_uint_eq(gh_sim_open_files(rig.sim), 1);
	rig_close(&rig);
}
END_TEST

/* What a program sees of the device's descriptor is a device, whatever is below. */
START_TEST(test_device_is_no_file)
{
	struct rig rig;
	struct stat stat;
	char byte;
	int fd;

	rig_device(&rig, "");
	ck_assert_int_eq(rig.sys->fstat(rig.sys, rig.device, &stat), 0);
	ck_assert(S_ISCHR(stat.st_mode));
	ck_assert_int_eq((int)rig.sys->pread(rig.sys, rig.device, &byte, 1, 0), -EINVAL);
	/* Others are the kernel's. */
	fd = rig.sys->open(rig.sys, "/proc/self/exe", O_RDONLY);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(rig.sys->fstat(rig.sys, fd, &stat), 0);
	ck_assert(S_ISREG(stat.st_mode) && stat.st_size > 0);
	ck_assert_int_eq((int)rig.sys->pread(rig.sys, fd, &byte, 1, 1), 1);
	ck_assert_int_eq(byte, 'E');
	ck_assert_int_eq(rig.sys->close(rig.sys, fd), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(test_dup)
{
	struct rig rig;
	int vm;
	int copy;

	rig_device(&rig, "");
	copy = rig.sys->dup(rig.sys, rig.device, 200);
	ck_assert_int_ge(copy, 200);
	ck_assert_int_eq(fcntl(copy, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	rig_close_fd(&rig, &rig.device);
	/* One file, still open. */
	ck_assert_uint_eq(gh_sim_open_files(rig.sim), 1);
	vm = rig_ioctl_value(&rig, copy, UAPI_GZVM_CREATE_VM, 0);
	ck_assert_int_ge(vm, 0);
	ck_assert_uint_eq(gh_sim_open_files(rig.sim), 2);
	rig_close_fd(&rig, &copy);
	ck_assert_uint_eq(gh_sim_open_files(rig.sim), 1);
	rig_close_fd(&rig, &vm);
	ck_assert_int_eq(rig.sys->dup(rig.sys, 9999, 0), -EBADF);
	rig_close(&rig);
}
END_TEST

START_TEST(test_left_open)
{
	unsigned int before = open_descriptors();
	struct rig rig;

	/* A machine that goes takes what is open with it. */
	rig_open(&rig, "");
	gh_sim_free(rig.sim);
	ck_assert_int_ge(rig_ioctl_value(&rig, rig.vm, UAPI_GZVM_CREATE_VCPU, 1), 0);
	rig.sys->put(rig.sys);
	ck_assert_uint_eq(open_descriptors(), before);
}
END_TEST

/* A file of a driver of our own, to have one with a page. */

static unsigned int released;

static long echo_ioctl(struct sim_file *file, unsigned long request, uintptr_t arg)
{
	struct gh_sys *sys = gh_sim_table(file->sim);

	/* Closed while the call is inside: the file stays until it returns. */
	if (request == 1)
		(void)sys->close(sys, (int)arg);
	sys->put(sys);
	return *(volatile int *)file->page + (long)released;
}

static int page_mmap(struct sim_file *file, size_t length, int prot, int flags)
{
	(void)file;
	(void)prot;
	return length > 3 * PAGE || (flags & MAP_SHARED) == 0 ? -EINVAL : 0;
}

static void page_release(struct sim_file *file)
{
	(void)file;
	released++;
}

static const struct sim_file_ops page_ops = {
	.name = "page",
	.ioctl = echo_ioctl,
	.mmap = page_mmap,
	.release = page_release,
};

static int map(struct rig *rig, int fd, void *where, size_t length, void **ret_mapping)
{
	return rig->sys->mmap(rig->sys, where, length, PROT_READ | PROT_WRITE, MAP_SHARED | (where == NULL ? 0 : MAP_FIXED),
			      fd, ret_mapping);
}

START_TEST(test_mappings)
{
	struct sim_file *file;
	struct rig rig;
	void *one;
	void *two;
	int fd;

	released = 0;
	rig_device(&rig, "");
	fd = sim_file_new(rig.sim, &page_ops, "page", NULL, PAGE, &file);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(map(&rig, fd, NULL, 4 * PAGE, &one), -EINVAL);
	ck_assert_int_eq(map(&rig, rig.device, NULL, PAGE, &one), -ENODEV);
	ck_assert_int_eq(map(&rig, fd, NULL, PAGE, &one), 0);
	ck_assert_int_eq(map(&rig, fd, NULL, PAGE, &two), 0);
	*(int *)one = 42;
	ck_assert_int_eq(*(int *)two, 42);
	ck_assert_int_eq(rig_ioctl_value(&rig, fd, 0, 0), 42);
	rig_close_fd(&rig, &fd);
	ck_assert_uint_eq(gh_sim_open_files(rig.sim), 2);
	ck_assert_int_eq(rig.sys->munmap(rig.sys, one, PAGE), 0);
	ck_assert_uint_eq(released, 0);
	ck_assert_int_eq(rig.sys->munmap(rig.sys, two, 1), 0);
	ck_assert_uint_eq(released, 1);
	ck_assert_int_eq(rig.sys->munmap(rig.sys, (char *)two + 1, PAGE), -EINVAL);
	rig_close(&rig);
}
END_TEST

START_TEST(test_pieces_of_mappings)
{
	struct sim_file *file;
	struct rig rig;
	char *area;
	void *mapping;
	int fd;

	released = 0;
	rig_device(&rig, "");
	fd = sim_file_new(rig.sim, &page_ops, "page", NULL, 2 * PAGE, &file);
	ck_assert_int_eq(map(&rig, fd, NULL, 2 * PAGE, &mapping), 0);
	area = mapping;
	/* The first page away by munmap(), the second by something else in its place. */
	ck_assert_int_eq(rig.sys->munmap(rig.sys, area, PAGE), 0);
	rig_close_fd(&rig, &fd);
	ck_assert_uint_eq(released, 0);
	ck_assert_int_eq(
		rig.sys->mmap(rig.sys, area + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, &mapping),
		0);
	ck_assert_uint_eq(released, 1);
	ck_assert_int_eq(rig.sys->munmap(rig.sys, area + PAGE, PAGE), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(test_hole_in_mapping)
{
	struct sim_file *file;
	struct rig rig;
	void *reserved;
	void *mapping;
	char *area;
	int fd;

	released = 0;
	rig_device(&rig, "");
	ck_assert_int_eq(rig.sys->mmap(rig.sys, NULL, 4 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, &reserved), 0);
	area = reserved;
	fd = sim_file_new(rig.sim, &page_ops, "page", NULL, 4 * PAGE, &file);
	ck_assert_int_eq(map(&rig, fd, area, 2 * PAGE, &mapping), 0);
	ck_assert_int_eq(map(&rig, fd, area + 2 * PAGE, 2 * PAGE, &mapping), 0);
	/* The middle of both, and then the two pages that are left. */
	ck_assert_int_eq(rig.sys->munmap(rig.sys, area + PAGE, 2 * PAGE), 0);
	rig_close_fd(&rig, &fd);
	ck_assert_int_eq(rig.sys->munmap(rig.sys, area, PAGE), 0);
	ck_assert_uint_eq(released, 0);
	ck_assert_int_eq(rig.sys->munmap(rig.sys, area + 3 * PAGE, PAGE), 0);
	ck_assert_uint_eq(released, 1);
	rig_close(&rig);
}
END_TEST

START_TEST(test_hole_in_piece)
{
	struct sim_file *file;
	struct rig rig;
	void *mapping;
	char *area;
	int fd;

	released = 0;
	rig_device(&rig, "");
	fd = sim_file_new(rig.sim, &page_ops, "page", NULL, 3 * PAGE, &file);
	ck_assert_int_eq(map(&rig, fd, NULL, 3 * PAGE, &mapping), 0);
	area = mapping;
	ck_assert_int_eq(rig.sys->munmap(rig.sys, area + PAGE, PAGE), 0);
	rig_close_fd(&rig, &fd);
	ck_assert_int_eq(rig.sys->munmap(rig.sys, area, PAGE), 0);
	ck_assert_uint_eq(released, 0);
	ck_assert_int_eq(rig.sys->munmap(rig.sys, area + 2 * PAGE, PAGE), 0);
	ck_assert_uint_eq(released, 1);
	rig_close(&rig);
}
END_TEST

START_TEST(test_close_inside_call)
{
	struct sim_file *file;
	struct rig rig;
	int fd;

	released = 0;
	rig_device(&rig, "");
	fd = sim_file_new(rig.sim, &page_ops, "page", NULL, PAGE, &file);
	ck_assert_int_eq(rig_ioctl_value(&rig, fd, 1, (uint64_t)fd), 0);
	ck_assert_uint_eq(released, 1);
	ck_assert_uint_eq(gh_sim_open_files(rig.sim), 1);
	rig_close(&rig);
}
END_TEST

START_TEST(test_pointers)
{
	uint8_t *page = guest_memory(PAGE);
	uint8_t bytes[16] = { 1, 2, 3 };

	memset(page, 7, PAGE);
	ck_assert_int_eq(sim_copy_in(bytes, (uintptr_t)page + PAGE - 16, 16), 0);
	ck_assert_uint_eq(bytes[15], 7);
	ck_assert_int_eq(sim_copy_in(bytes, (uintptr_t)page + PAGE - 15, 16), -EFAULT);
	ck_assert_int_eq(sim_copy_out((uintptr_t)page + PAGE - 15, bytes, 16), -EFAULT);
	ck_assert_int_eq(sim_copy_in(bytes, 0, 1), -EFAULT);
	ck_assert_int_eq(sim_copy_in(bytes, UINTPTR_MAX - 4, 8), -EFAULT);
	ck_assert_int_eq(sim_copy_in(bytes, 0, 0), 0);
	bytes[0] = 9;
	ck_assert_int_eq(sim_copy_out((uintptr_t)page + 1, bytes, 1), 0);
	ck_assert_uint_eq(page[1], 9);
	ck_assert_int_eq(mprotect(page, PAGE, PROT_READ), 0);
	ck_assert_int_eq(sim_copy_out((uintptr_t)page, bytes, 1), -EFAULT);
	guarded_free(page, PAGE);
}
END_TEST

static atomic_uint rings;

static void ring(void *data)
{
	(void)data;
	atomic_fetch_add(&rings, 1);
}

static unsigned int wait_rings(unsigned int wanted)
{
	for (int i = 0; i < 60000 && atomic_load(&rings) < wanted; i++)
		usleep(1000);
	return atomic_load(&rings);
}

START_TEST(test_watches)
{
	struct sim_watch *watch;
	struct sim_watch *twin;
	int fd = eventfd(5, 0);
	int copy = dup(fd);
	struct rig rig;

	rig_device(&rig, "");
	atomic_store(&rings, 0);
	ck_assert_int_eq(sim_watch_add(rig.sim, rig.device, ring, NULL, &watch), -EINVAL);
	ck_assert_int_eq(sim_watch_add(rig.sim, 9999, ring, NULL, &watch), -EBADF);
	ck_assert_int_eq(sim_watch_add(rig.sim, fd, ring, NULL, &watch), 0);
	/* What was there does not count; every addition does, though nobody reads. */
	usleep(20000);
	ck_assert_uint_eq(atomic_load(&rings), 0);
	for (unsigned int i = 1; i <= 5; i++) {
		eventfd_write(i % 2 == 0 ? fd : copy, 1);
		ck_assert_uint_eq(wait_rings(i), i);
	}
	/* Twice through one descriptor. */
	ck_assert_int_eq(sim_watch_add(rig.sim, fd, ring, NULL, &twin), 0);
	eventfd_write(fd, 1);
	ck_assert_uint_eq(wait_rings(7), 7);
	sim_watch_remove(watch);
	eventfd_write(fd, 1);
	ck_assert_uint_eq(wait_rings(8), 8);
	/* The other descriptor keeps it alive. */
	close(fd);
	ck_assert(sim_watch_is_alive(twin));
	eventfd_write(copy, 1);
	ck_assert_uint_eq(wait_rings(9), 9);
	close(copy);
	ck_assert(!sim_watch_is_alive(twin));
	sim_watch_remove(twin);
	sim_watch_remove(NULL);
	rig_close(&rig);
}
END_TEST

START_TEST(test_watch_again)
{
	struct sim_watch *watch;
	int fd = eventfd(0, 0);
	int copy = dup(fd);
	struct rig rig;

	rig_device(&rig, "");
	atomic_store(&rings, 0);
	ck_assert_int_eq(sim_watch_add(rig.sim, fd, ring, NULL, &watch), 0);
	/* Removed while the number is closed: the entry of the set stays behind, and is used when it comes back. */
	close(fd);
	sim_watch_remove(watch);
	eventfd_write(copy, 1);
	usleep(10000);
	ck_assert_uint_eq(atomic_load(&rings), 0);
	ck_assert_int_eq(dup2(copy, fd), fd);
	ck_assert_int_eq(sim_watch_add(rig.sim, fd, ring, NULL, &watch), 0);
	eventfd_write(copy, 1);
	ck_assert_uint_eq(wait_rings(1), 1);
	sim_watch_remove(watch);
	close(fd);
	close(copy);
	rig_close(&rig);
}
END_TEST

START_TEST(test_eventfds)
{
	struct gh_sim_options options = GH_SIM_OPTIONS_INIT;
	struct gh_sim *sim = NULL;
	struct sim_eventfd held;
	uint64_t id = 0;
	int fd = eventfd(0, 0);
	int place = fd;
	int copy = dup(fd);

	options.device = "gzvm";
	options.script = "off";
	ck_assert_int_eq(gh_sim_new(&options, &sim), 0);
	ck_assert_int_eq(sim_eventfd_get(fd, &held), 0);
	ck_assert_int_eq(sim_eventfd_id(copy, &id), 0);
	ck_assert_uint_eq(id, held.id);
	close(fd);
	sim_eventfd_signal(&held);
	/* Found through another descriptor. */
	ck_assert(sim_eventfd_drain(sim, &place, id));
	ck_assert_int_ne(place, fd);
	ck_assert(!sim_eventfd_drain(sim, &place, id));
	close(copy);
	sim_eventfd_put(&held);
	place = fd;
	ck_assert(!sim_eventfd_drain(sim, &place, id));
	ck_assert_int_eq(place, -1);
	gh_sim_free(sim);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("machine");
	TCase *tcase = tcase_create("machine");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, test_device_strings);
	tcase_add_test(tcase, test_options);
	tcase_add_test(tcase, test_script_file);
	tcase_add_test(tcase, test_paths);
	tcase_add_test(tcase, test_device_is_no_file);
	tcase_add_test(tcase, test_dup);
	tcase_add_test(tcase, test_left_open);
	tcase_add_test(tcase, test_mappings);
	tcase_add_test(tcase, test_pieces_of_mappings);
	tcase_add_test(tcase, test_hole_in_mapping);
	tcase_add_test(tcase, test_hole_in_piece);
	tcase_add_test(tcase, test_close_inside_call);
	tcase_add_test(tcase, test_pointers);
	tcase_add_test(tcase, test_watches);
	tcase_add_test(tcase, test_watch_again);
	tcase_add_test(tcase, test_eventfds);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
