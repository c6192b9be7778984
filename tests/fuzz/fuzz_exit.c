/* SPDX-License-Identifier: BSD-3-Clause */
/* Whatever a kernel's run page holds: the decoders answer within the interface's own bounds, or say -EPROTO. */
#include "backend/geniezone.h"
#include "backend/gunyah.h"
#include "backend/kvm.h"
#include "exit.h"

#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ret, const struct gh_exit *exit)
{
	if (ret != 0) {
		if (ret != -EPROTO && ret != -EAGAIN)
			__builtin_trap();
		return;
	}
	switch (exit->kind) {
	case GH_EXIT_MMIO:
		if (!gh_width_valid(exit->mmio.width) || exit->mmio.is_store > 1 ||
		    (exit->mmio.value & ~gh_value_mask(exit->mmio.width)) != 0 ||
		    exit->mmio.gpa > UINT64_MAX - (exit->mmio.width - 1))
			__builtin_trap();
		break;
	case GH_EXIT_STOPPED:
		if (exit->stop.reason_size > sizeof(exit->stop.reason))
			__builtin_trap();
		break;
	case GH_EXIT_SYSTEM_EVENT:
		if (exit->event.count > sizeof(exit->event.data) / sizeof(exit->event.data[0]))
			__builtin_trap();
		break;
	default:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	union {
		struct uapi_gunyah_run gunyah;
		struct uapi_gzvm_run gzvm;
		struct uapi_kvm_run kvm;
	} run;
	struct gh_exit exit;

	memset(&run, 0, sizeof(run));
	memcpy(&run, data, size < sizeof(run) ? size : sizeof(run));
	check(gh_gunyah_decode(&run.gunyah, &exit), &exit);
	check(gh_geniezone_decode(&run.gzvm, &exit), &exit);
	check(gh_kvm_decode(&run.kvm, &exit), &exit);
	return 0;
}
