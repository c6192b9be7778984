/* SPDX-License-Identifier: BSD-3-Clause */
/* GenieZone and Halla: requests of a VM that has been started. Memory is not among them: neither takes or gives any then. */
#include "geniezone.h"

#include "../sandbox.h"

#define NEED(prefix, request, why) GH_NEED_IOCTL(UAPI_##prefix##_##request, #prefix "_" #request, why)

#define ROWS(prefix, run)                                                                                                  \
	{                                                                                                                  \
		{ GH_NEED_IOCTL(UAPI_##prefix##_RUN, run, "run a vCPU"), .phases = GH_PHASE_RUN },                         \
			{ NEED(prefix, IRQ_LINE, "set a line"), .phases = GH_PHASE_RUN | GH_PHASE_CHANGE | GH_PHASE_END,   \
			  .features = GH_FEATURE_IRQ_LINE },                                                               \
			{ NEED(prefix, IRQFD, "add and remove an irqfd"), .phases = GH_PHASE_CHANGE | GH_PHASE_END,        \
			  .features = GH_FEATURE_IRQFD },                                                                  \
			{ NEED(prefix, IOEVENTFD, "add and remove a doorbell"), .phases = GH_PHASE_CHANGE | GH_PHASE_END,  \
			  .features = GH_FEATURE_IOEVENTFD },                                                              \
	}

static const struct gh_need geniezone_rows[] = ROWS(GZVM, "GZVM_RUN");
static const struct gh_need halla_rows[] = ROWS(HALLA, "HALLA_VCPU_RUN");

const struct gh_needs gh_geniezone_needs = GH_NEEDS(geniezone_rows);
const struct gh_needs gh_halla_needs = GH_NEEDS(halla_rows);
