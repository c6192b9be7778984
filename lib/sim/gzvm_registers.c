/* SPDX-License-Identifier: BSD-3-Clause */
/* Registers of the simulated /dev/gzvm's vCPUs: set by all revisions, read back by the first ones only. */
#include "gzvm.h"

#include <errno.h>

#define REG_SIZE_SHIFT 52
#define REG_SIZE_MASK 0xfu
#define REG_CORE 0x6000000000100000ull

/* What the hypervisor knows by this id. */
static int find_register(uint64_t id, enum sim_register *ret_reg)
{
	uint64_t index = id & 0xffffu;

	if ((id & ~((uint64_t)REG_SIZE_MASK << REG_SIZE_SHIFT | 0xffffu)) != REG_CORE || index % 2 != 0)
		return -EOPNOTSUPP;
	if (index < 0x3e)
		*ret_reg = (enum sim_register)(index / 2);
	else if (index == 0x3e)
		*ret_reg = SIM_REG_SP_EL0;
	else if (index == 0x40)
		*ret_reg = SIM_REG_PC;
	else if (index == 0x42)
		*ret_reg = SIM_REG_PSTATE;
	else if (index == 0x44)
		*ret_reg = SIM_REG_SP;
	else
		return -EOPNOTSUPP;
	return 0;
}

static int set_register(struct gzvm_vcpu *vcpu, uint64_t id, uint64_t value)
{
	enum sim_register reg = SIM_REG_X0;
	int ret = find_register(id, &reg);

	if (ret == 0)
		ret = gzvm_errno(vcpu->vm->switches,
				 gzvm_engine_code(vcpu->vm->engine->set_register(vcpu->cpu, reg, value)));
	return ret;
}

/* How many bytes user space has, which the first revisions take from the id as it is. */
static int check_size(struct gzvm_vcpu *vcpu, uint64_t id, size_t *ret_size)
{
	*ret_size = (size_t)1 << (id >> REG_SIZE_SHIFT & REG_SIZE_MASK);
	if (*ret_size <= sizeof(uint64_t))
		return 0;
	if (!vcpu->vm->switches->trusts_register_size)
		return -EINVAL;
	sim_machine_breakage(vcpu->vm->sim, "a register of more than 8 bytes was copied over a word of the kernel's");
	*ret_size = sizeof(uint64_t);
	return 0;
}

long gzvm_set_one_reg(struct gzvm_vcpu *vcpu, uintptr_t arg)
{
	struct gzvm_vm *vm = vcpu->vm;
	struct uapi_gzvm_one_reg reg;
	uint8_t bytes[8] = { 0 };
	uint64_t value = 0;
	size_t size = 0;
	int ret;

	if (vm->switches->registers_of_first_only && vcpu->id != 0)
		return -EPERM;
	ret = sim_copy_in(&reg, arg, sizeof(reg));
	if (ret == 0)
		ret = check_size(vcpu, reg.id, &size);
	if (ret == 0)
		ret = sim_copy_in(bytes, (uintptr_t)reg.host, size);
	if (ret < 0)
		return ret;
	for (size_t i = 0; i < sizeof(bytes); i++)
		value |= (uint64_t)bytes[i] << (8 * i);
	pthread_mutex_lock(&vm->lock);
	ret = gzvm_errno(vm->switches, gzvm_hypervisor(vm->sim, vm->calls, GZVM_CALL_REGISTER));
	if (ret == 0)
		ret = set_register(vcpu, reg.id, value);
	pthread_mutex_unlock(&vm->lock);
	return ret;
}

long gzvm_get_one_reg(struct gzvm_vcpu *vcpu, uintptr_t arg)
{
	struct gzvm_vm *vm = vcpu->vm;
	struct uapi_gzvm_one_reg reg;
	enum sim_register number = SIM_REG_X0;
	uint8_t bytes[8];
	uint64_t value = 0;
	size_t size = 0;
	int ret;

	if (!vm->switches->gets_registers)
		return -EOPNOTSUPP; /* without a look at the argument */
	ret = sim_copy_in(&reg, arg, sizeof(reg));
	if (ret == 0)
		ret = check_size(vcpu, reg.id, &size);
	if (ret == 0)
		ret = find_register(reg.id, &number);
	if (ret < 0)
		return ret;
	pthread_mutex_lock(&vm->lock);
	ret = gzvm_errno(vm->switches, gzvm_engine_code(vm->engine->get_register(vcpu->cpu, number, &value)));
	pthread_mutex_unlock(&vm->lock);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(value >> (8 * i));
	return ret < 0 ? ret : sim_copy_out((uintptr_t)reg.host, bytes, size);
}
