/* SPDX-License-Identifier: BSD-3-Clause */
/* Errors of the hypervisor below the simulated /dev/gzvm: those that a script asks for, and what the driver makes of any. */
#include "gzvm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MARK "#! fail "

#define CODE_NO_MEMORY (-5)
#define CODE_INVALID (-8)
#define CODE_NOT_SUPPORTED (-24)
#define CODE_NOT_IMPLEMENTED (-27)
#define CODE_BUSY (-33)
#define CODE_FAULT (-40)

static const char *const names[GZVM_CALLS] = {
	[GZVM_CALL_CREATE_VM] = "create-vm",
	[GZVM_CALL_CREATE_VCPU] = "create-vcpu",
	[GZVM_CALL_PURPOSE] = "purpose",
	[GZVM_CALL_MEMORY] = "memory",
	[GZVM_CALL_IRQ] = "irq",
	[GZVM_CALL_DEVICE] = "device",
	[GZVM_CALL_CAP] = "cap",
	[GZVM_CALL_DTB] = "dtb",
	[GZVM_CALL_REGISTER] = "register",
};

int gzvm_errno(const struct gzvm_switches *switches, int code)
{
	switch (code) {
	case 0:
		return 0;
	case CODE_NO_MEMORY:
		return -ENOMEM;
	case CODE_NOT_SUPPORTED:
	case CODE_NOT_IMPLEMENTED:
		return -EOPNOTSUPP;
	case CODE_FAULT:
		return -EFAULT;
	case CODE_BUSY:
		return switches->knows_busy ? -EBUSY : -EINVAL;
	default:
		return -EINVAL;
	}
}

int gzvm_engine_code(int error)
{
	switch (error) {
	case 0:
		return 0;
	case -ENOMEM:
		return CODE_NO_MEMORY;
	case -EOPNOTSUPP:
		return CODE_NOT_SUPPORTED;
	default:
		return CODE_INVALID;
	}
}

/* The code with this index among those of one line, counting down; text that is no number ends the line. */
static bool find_code(const char *text, unsigned int *index, int *ret_code)
{
	for (;;) {
		char *end;
		long code = strtol(text, &end, 0);

		if (end == text)
			return false;
		if (*index == 0) {
			*ret_code = (int)code;
			return true;
		}
		--*index;
		/* strtol() would go on to the next line. */
		end += strspn(end, " \t\r");
		if (*end == '\n' || *end == '\0')
			return false;
		text = end;
	}
}

int gzvm_hypervisor(struct gh_sim *sim, unsigned int calls[GZVM_CALLS], enum gzvm_call call)
{
	const char *script = sim_machine_engine_options(sim)->script;
	size_t length = strlen(names[call]);
	unsigned int index = calls[call]++;
	int code = 0;

	while (script != NULL && (script = strstr(script, MARK)) != NULL) {
		script += strlen(MARK);
		if (strncmp(script, names[call], length) != 0 || script[length] != ' ')
			continue;
		if (find_code(script + length, &index, &code))
			break;
	}
	return code;
}
