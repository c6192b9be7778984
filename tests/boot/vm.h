/* SPDX-License-Identifier: BSD-3-Clause */
/* One boot of gh-boot's guest: what is asked for, and what happened. */
#ifndef GH_TESTS_BOOT_VM_H
#define GH_TESTS_BOOT_VM_H

#include <gh/gh.h>

#include <stdbool.h>

struct run_request {
	const char *device;   /* as gh_vm_options::device */
	const char *backend;  /* as gh_vm_options::backend, NULL for any */
	bool lend;            /* the guest's memory is lent to it, not shared */
	bool quiet;           /* the guest's text is kept only */
	unsigned int timeout; /* seconds */
};

struct run_result {
	bool ok;
	char backend[16];
	unsigned int loads;
	unsigned int stores;
	unsigned int interrupts; /* that the guest took */
	unsigned int doorbells;  /* that rang */
	double first_exit_ms;    /* from the start */
	double total_ms;         /* from the opening of the device to the closing of the VM */
	char text[1024];         /* what the guest wrote */
	struct gh_failure failure;
};

/* Runs the guest once. `result` is filled in whatever happens. */
void run_vm(const struct run_request *request, struct run_result *result);

#endif
