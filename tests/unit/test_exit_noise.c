/* SPDX-License-Identifier: BSD-3-Clause */
/* Some hundred thousand run pages of noise through each decoder: whatever a kernel writes, an exit keeps its promises. */
#include "../../lib/backend/geniezone.h"
#include "../../lib/backend/gunyah.h"
#include "../../lib/backend/kvm.h"
#include "../../lib/exit.h"
#include "util.h"

#include <errno.h>

#define PAGES 200000u

static struct gh_exit result;

static bool is_width(uint64_t width)
{
	return width == 1 || width == 2 || width == 4 || width == 8;
}

static uint64_t noise_state = UINT64_C(0x9e3779b97f4a7c15);

/* xorshift64: the same pages in every run. */
static uint64_t noise(void)
{
	noise_state ^= noise_state << 13;
	noise_state ^= noise_state >> 7;
	noise_state ^= noise_state << 17;
	return noise_state;
}

static void fill_with_noise(void *page, size_t size)
{
	uint8_t *bytes = page;

	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(noise() >> 24);
}

/* NULL if all holds that holds for every exit, whatever the page was. Not by assertions: each writes to a file. */
static const char *find_defect(int ret, uint32_t reason)
{
	if (ret < 0)
		return ret == -EPROTO || ret == -EAGAIN ? NULL : "an error that is none";
	if (ret > 0 || result.raw_reason != reason || result.kind >= GH_EXIT_INTERRUPTED)
		return "result, reason or kind";
	switch (result.kind) {
	case GH_EXIT_MMIO:
		if (!is_width(result.mmio.width) || result.mmio.is_store > 1)
			return "width or direction";
		if (result.mmio.gpa > UINT64_MAX - result.mmio.width + 1)
			return "an access that wraps";
		return (result.mmio.value & (result.mmio.is_store ? ~gh_value_mask(result.mmio.width) : UINT64_MAX)) == 0
			       ? NULL
			       : "value";
	case GH_EXIT_STOPPED:
		if (result.stop.cause > GH_STOP_LOAD_FAILED || result.stop.reason_size > 8)
			return "cause or size of the reason";
		for (uint32_t i = result.stop.reason_size; i < 8; i++)
			if (result.stop.reason[i] != 0)
				return "stale bytes of a reason";
		return NULL;
	case GH_EXIT_SYSTEM_EVENT:
		if (result.event.count > 16)
			return "count of an event";
		for (uint32_t i = result.event.count; i < 16; i++)
			if (result.event.data[i] != 0)
				return "stale words of an event";
		return NULL;
	default:
		return NULL;
	}
}

static void check_exit(int ret, uint32_t reason)
{
	const char *defect = find_defect(ret, reason);

	if (defect != NULL)
		ck_abort_msg("reason 0x%x, result %d: %s", reason, ret, defect);
}

/* Seven of eight pages have a reason, and small numbers in the fields that are compared, so that something is decoded. */
START_TEST(test_noise_gunyah)
{
	for (unsigned int i = 0; i < PAGES; i++) {
		struct uapi_gunyah_run page;

		fill_with_noise(&page, sizeof(page));
		if (i % 8 != 0) {
			page.exit_reason = i % 5;
			if (page.exit_reason == UAPI_GUNYAH_EXIT_MMIO) {
				page.u.mmio.width &= 0xf;
				page.u.mmio.is_write &= 3;
			} else {
				page.u.status.status &= 3;
				page.u.status.type &= 0xf;
				page.u.status.reason_size &= 0x1f;
			}
		}
		check_exit(gh_gunyah_decode(&page, &result), page.exit_reason);
	}
}
END_TEST

START_TEST(test_noise_geniezone)
{
	for (unsigned int i = 0; i < PAGES; i++) {
		struct uapi_gzvm_run page;

		fill_with_noise(&page, sizeof(page));
		if (i % 8 != 0) {
			page.exit_reason = 0x92920000 + i % 15;
			if (page.exit_reason == UAPI_GZVM_EXIT_MMIO) {
				page.u.mmio.width &= 0xf;
				page.u.mmio.is_write &= 3;
			} else if (page.exit_reason == UAPI_GZVM_EXIT_SYSTEM_EVENT) {
				page.u.event.type &= 7;
				page.u.event.count &= 0x1f;
			}
		}
		check_exit(gh_geniezone_decode(&page, &result), page.exit_reason);
	}
}
END_TEST

START_TEST(test_noise_kvm)
{
	for (unsigned int i = 0; i < PAGES; i++) {
		struct uapi_kvm_run page;

		fill_with_noise(&page, sizeof(page));
		if (i % 8 != 0) {
			page.exit_reason = i % 41;
			if (page.exit_reason == UAPI_KVM_EXIT_MMIO)
				page.mmio.width &= 0xf;
		}
		check_exit(gh_kvm_decode(&page, &result), page.exit_reason);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("exit noise");
	TCase *tcase = add_case(suite, "noise");

	tcase_add_test(tcase, test_noise_gunyah);
	tcase_add_test(tcase, test_noise_geniezone);
	tcase_add_test(tcase, test_noise_kvm);
	return run_suite(suite);
}
