/* SPDX-License-Identifier: BSD-3-Clause */
/* What the probe of Gunyah makes of answers that no simulated revision gives (section 1.6 of the Gunyah UAPI document). */
#include "revision.h"
#include "table.h"

#include "../../lib/uapi/gunyah.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* --- another answer --------------------------------------------------------------------------------------------------- */

#define NEW_FD 0x7fff

static struct {
	unsigned long request; /* 0: none */
	int ret;               /* instead of the kernel's; NEW_FD: a new descriptor */
	bool is_empty;         /* only without an argument */
} change;

static uint64_t file_flags; /* of the last file that was asked for */

static bool answers(int fd, unsigned long request, uintptr_t arg, int *ret_result)
{
	(void)fd;
	if (request == UAPI_GUNYAH_CREATE_GUEST_MEM)
		file_flags = ((const struct uapi_gunyah_create_mem *)arg)->flags;
	if (request != change.request || (change.is_empty && arg != 0))
		return false;
	*ret_result = change.ret == NEW_FD ? open("/dev/null", O_RDONLY | O_CLOEXEC) : change.ret;
	return true;
}

static int try_open(struct gh_sim *sim, struct gh_vm **ret_vm)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	int ret;

	options.machine = sim;
	table_instead = answers;
	ret = gh_vm_open(&options, ret_vm);
	table_instead = NULL;
	return ret;
}

/* What the library makes of a revision of which one answer is another. */
static void look(const char *device, unsigned long request, int ret, uint64_t *ret_features, uint64_t *ret_quirks)
{
	struct gh_sim *sim = new_sim(device, "");
	struct gh_vm *vm = NULL;

	change.request = request;
	change.ret = ret;
	ck_assert_int_eq(try_open(sim, &vm), 0);
	*ret_features = gh_vm_features(vm);
	*ret_quirks = gh_vm_quirks(vm);
	gh_vm_close(vm);
	end_sim(sim);
}

/* --- requests --------------------------------------------------------------------------------------------------------- */

/* A kernel that looks at the caller first has the request all the same. */
START_TEST(test_not_permitted)
{
	static const unsigned long requests[] = { UAPI_GUNYAH_SET_USER_MEM, UAPI_GUNYAH_LEND_USER_MEM, UAPI_GUNYAH_SET_FW };
	uint64_t features;
	uint64_t quirks;

	change.is_empty = true;
	for (size_t i = 0; i < 3; i++) {
		look("sim:gunyah/android15-6.6", requests[i], -EPERM, &features, &quirks);
		ck_assert_uint_eq(features & (GH_FEATURE_LEND | GH_FEATURE_FIRMWARE),
				  GH_FEATURE_LEND | GH_FEATURE_FIRMWARE);
		ck_assert_uint_eq(quirks & GH_QUIRK_OWN_FILES_ONLY, 0);
	}
	change.is_empty = false;
}
END_TEST

/* What says neither that a request is there nor that it is not ends the probe. */
START_TEST(test_neither)
{
	static const unsigned long requests[] = {
		UAPI_GUNYAH_CREATE_GUEST_MEM, UAPI_GUNYAH_ADD_FUNCTION, UAPI_GUNYAH_SET_USER_MEM,
		UAPI_GUNYAH_MAP_MEM,          UAPI_GUNYAH_RECLAIM,      UAPI_GUNYAH_CHECK_EXTENSION,
	};

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		struct gh_sim *sim = new_sim("sim:gunyah/android15-6.6", "");
		struct gh_vm *vm = NULL;

		change.request = requests[i];
		change.ret = -ENOMEM;
		ck_assert_int_eq(try_open(sim, &vm), -ENOMEM);
		ck_assert_ptr_null(vm);
		end_sim(sim);
	}
}
END_TEST

/* The answer is a number: that there is one says nothing. */
START_TEST(test_timer_wakeup)
{
	const uint64_t both = GH_FEATURE_CHECK_EXTENSION | GH_FEATURE_TIMER_WAKEUP;
	uint64_t features;
	uint64_t quirks;

	look("sim:gunyah/android-latest", UAPI_GUNYAH_CHECK_EXTENSION, 0, &features, &quirks);
	ck_assert_uint_eq(features & both, GH_FEATURE_CHECK_EXTENSION);
	look("sim:gunyah/android16-6.12", UAPI_GUNYAH_CHECK_EXTENSION, 1, &features, &quirks);
	ck_assert_uint_eq(features & both, both);
}
END_TEST

/* An argument that is refused wherever the request exists; and what a kernel makes all the same must not stay. */
START_TEST(test_file)
{
	uint64_t features;
	uint64_t quirks;

	look("sim:gunyah/v17", 0, 0, &features, &quirks);
	ck_assert_uint_eq(file_flags, UINT64_MAX);
	look("sim:gunyah/v17", UAPI_GUNYAH_CREATE_GUEST_MEM, NEW_FD, &features, &quirks);
	ck_assert_uint_ne(features & GH_FEATURE_GUEST_MEMORY, 0);
}
END_TEST

/* Lending alone makes a protected VM where memory is paged in on demand. */
START_TEST(test_lend_without_firmware)
{
	uint64_t features;
	uint64_t quirks;

	look("sim:gunyah/android15-6.6", UAPI_GUNYAH_SET_FW, -ENOTTY, &features, &quirks);
	ck_assert_uint_eq(features & (GH_FEATURE_PROTECTED_VM | GH_FEATURE_FIRMWARE), GH_FEATURE_PROTECTED_VM);
	look("sim:gunyah/android14-6.1", UAPI_GUNYAH_SET_FW, -ENOTTY, &features, &quirks);
	ck_assert_uint_eq(features & (GH_FEATURE_PROTECTED_VM | GH_FEATURE_FIRMWARE), 0);
}
END_TEST

/* --- manners ---------------------------------------------------------------------------------------------------------- */

/* A page too many for the limit of locked memory: that the flag is known was found before. */
static bool has_no_room(int fd, unsigned long request, uintptr_t arg, int *ret_result)
{
	const struct uapi_gunyah_region *region = (const void *)arg;

	(void)fd;
	if (request != UAPI_GUNYAH_SET_USER_MEM || region == NULL || (region->flags & ~0xfu) != 0)
		return false;
	*ret_result = -ENOMEM;
	return true;
}

START_TEST(test_no_room)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_vm *vm = NULL;

	options.machine = new_sim("sim:gunyah/v10", "");
	table_instead = has_no_room;
	ck_assert_int_eq(gh_vm_open(&options, &vm), 0);
	table_instead = NULL;
	ck_assert_uint_ne(gh_vm_quirks(vm) & GH_QUIRK_LENDS_BY_FLAG, 0);
	ck_assert_uint_ne(gh_vm_features(vm) & GH_FEATURE_LEND, 0);
	gh_vm_close(vm);
	end_sim(options.machine);
}
END_TEST

/* Without an eventfd to try it with, data matches are taken for truth values; nobody relies on what may not be there. */
START_TEST(test_no_eventfd)
{
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	struct gh_vm *vm = NULL;
	bool found = false;

	options.machine = new_sim("sim:gunyah/v14", "");
	table_counts = true;
	for (unsigned long n = 1; !found; n++) {
		table_arm(n, -EMFILE);
		if (gh_vm_open(&options, &vm) < 0)
			continue;
		ck_assert(table_fired());
		found = strcmp(table_victim(), "eventfd") == 0;
		if (found)
			ck_assert_uint_eq(gh_vm_features(vm) & GH_FEATURE_DATAMATCH, 0);
		gh_vm_close(vm);
	}
	table_counts = false;
	table_arm(0, 0);
	end_sim(options.machine);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("gunyah_probe");
	TCase *tcase = add_case(suite, "gunyah_probe");

	tcase_add_test(tcase, test_not_permitted);
	tcase_add_test(tcase, test_neither);
	tcase_add_test(tcase, test_timer_wakeup);
	tcase_add_test(tcase, test_file);
	tcase_add_test(tcase, test_lend_without_firmware);
	tcase_add_test(tcase, test_no_room);
	tcase_add_test(tcase, test_no_eventfd);
	return run_suite(suite);
}
