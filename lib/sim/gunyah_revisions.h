/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How the revisions of /dev/gunyah differ: one switch for each behaviour, one row for each revision.
 *
 * The drivers' code asks for switches and never for a revision. Sections 1.2 to 1.6 and 3.3 to 3.8 of the Gunyah UAPI document
 * say which has what.
 */
#ifndef GH_SIM_GUNYAH_REVISIONS_H
#define GH_SIM_GUNYAH_REVISIONS_H

#include <stdbool.h>
#include <stdint.h>

/* Requests that not every revision has; without one, its number is ENOTTY. */
enum gunyah_request {
	GUNYAH_HAS_USER_MEM = 1 << 0,
	GUNYAH_HAS_LEND = 1 << 1,
	GUNYAH_HAS_GUEST_MEM = 1 << 2, /* CREATE_GUEST_MEM and MAP_MEM */
	GUNYAH_HAS_NAMED_FUNCTION = 1 << 3,
	GUNYAH_HAS_FUNCTION = 1 << 4, /* ADD_FUNCTION and REMOVE_FUNCTION with a descriptor */
	GUNYAH_HAS_BOOT_CONTEXT = 1 << 5,
	GUNYAH_HAS_FIRMWARE = 1 << 6,
	GUNYAH_HAS_RECLAIM = 1 << 7,
	GUNYAH_HAS_CMA = 1 << 8, /* MAP_CMA_MEM, and the devices of contiguous memory */
	GUNYAH_HAS_AUTH = 1 << 9,
	GUNYAH_HAS_CHECK_EXTENSION = 1 << 10,
};

struct gunyah_revision {
	uint32_t requests;

	/* Memory. */
	bool paged;     /* recorded at the request, given to the guest when it is touched; else pinned and mapped at once */
	bool charges;   /* RLIMIT_MEMLOCK counts, whenever pages are pinned */
	bool lent_flag; /* SET_USER_MEM lends with a flag, and deletes by label with size 0 */
	bool unique_labels; /* a label that is used is EEXIST */
	bool closes_late;   /* a VM's memory stays charged for some time after the last close() */
	bool early_vmid;    /* CREATE_VM takes the VM's number, not START */

	/* Whose process it is. */
	bool owner_gives; /* EPERM when another one gives memory */
	bool owner_runs;  /* EPERM when another one runs a vCPU */

	/* Checks. */
	bool checks_overflow;
	bool vcpu_enotty;     /* for unknown requests on a vCPU; else EINVAL */
	bool removes_nothing; /* REMOVE_FUNCTION without an argument is 0 */
	bool duplicates;      /* a vCPU or irqfd that exists is taken again, and never gets its resource */
	bool tree_needs_exec; /* START refuses a tree in memory without execute permission */

	/* Ioeventfds. */
	bool removes_exactly; /* by address, width and value; else by address */
	bool bool_datamatch;  /* the value is stored as a truth value */

	/* RUN. */
	bool run_starts;     /* the VM, if nobody has started it */
	bool immediate_is_0; /* immediate_exit makes RUN return 0, not EINTR */
	bool trusts_page;    /* the completion of an access believes the page's width and direction */
	bool reports_end;    /* STATUS exits; else RUN sleeps after the VM's end */
	bool resumes;        /* resume_action of an access is read */
	bool resumes_retry;  /* and may be RETRY */

	/* Where the host's kernel breaks. */
	bool end_breaks;   /* the VM ends while a vCPU has no resource */
	bool irqfd_breaks; /* an eventfd outlives its irqfd that had no doorbell */
};

#endif
