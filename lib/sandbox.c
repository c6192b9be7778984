/* SPDX-License-Identifier: BSD-3-Clause */
/* The list of system calls of one VM: what the core needs, then what its backend does, without what does not go for it. */
#include "sandbox.h"

#include "internal.h"

#include <string.h>

static bool applies(const struct gh_caps *caps, const struct gh_need *need)
{
	if ((need->features & ~caps->features) != 0 || (need->quirks & ~caps->quirks) != 0)
		return false;
	if (need->no_features != 0 && (need->no_features & ~caps->features) == 0)
		return false;
	return (need->no_quirks & caps->quirks) == 0;
}

/* Of the table, the entry `*index` that applies; otherwise *index counts on in the next table. */
static const struct gh_need *find(const struct gh_needs *needs, const struct gh_caps *caps, uint32_t *index)
{
	for (uint32_t i = 0; needs != NULL && i < needs->n_rows; i++)
		if (applies(caps, &needs->rows[i]) && (*index)-- == 0)
			return &needs->rows[i];
	return NULL;
}

static const char *next_string(const char *string)
{
	return string + strlen(string) + 1;
}

int gh_vm_syscall(const struct gh_vm *vm, uint32_t index, struct gh_syscall *ret_call)
{
	struct gh_syscall call = GH_SYSCALL_INIT;
	const struct gh_need *need;

	if (vm == NULL || ret_call == NULL || ret_call->size < sizeof(call))
		return -EINVAL;
	need = find(&gh_sandbox_needs, &vm->b.caps, &index);
	if (need == NULL)
		need = find(vm->b.ops->needs, &vm->b.caps, &index);
	if (need == NULL)
		return -ENOENT;
	call.size = ret_call->size;
	call.name = need->text;
	call.request = next_string(call.name);
	call.reason = next_string(call.request);
	call.number = need->number;
	call.phases = (uint32_t)need->phases | need->other_phases;
	call.argument = need->argument;
	call.mask = need->mask;
	call.value = need->of_process ? (uint32_t)vm->pid : need->value;
	call.refusal = need->refusal;
	memcpy(ret_call, &call, sizeof(call));
	return 0;
}
