/* SPDX-License-Identifier: BSD-3-Clause */
/* The script language of the simulated machines, as a list of actions for each vCPU. doc/simulator.md describes it. */
#ifndef GH_SIM_SCRIPT_H
#define GH_SIM_SCRIPT_H

#include <stddef.h>
#include <stdint.h>

#define SCRIPT_VCPUS 64u

enum script_kind {
	SCRIPT_STORE,        /* args: address, width, value */
	SCRIPT_LOAD,         /* address, width */
	SCRIPT_EXPECT,       /* value */
	SCRIPT_EXPECT_ABORT, /* the access before has failed */
	SCRIPT_ECHO,         /* address, width */
	SCRIPT_POKE,         /* address, width, value */
	SCRIPT_PEEK,         /* address, width */
	SCRIPT_REGISTER,     /* number of enum sim_register */
	SCRIPT_WFI,
	SCRIPT_ACK,
	SCRIPT_SPIN, /* turns; no argument: for ever */
	SCRIPT_ON,   /* vCPU */
	SCRIPT_CPU_OFF,
	SCRIPT_OFF,
	SCRIPT_RESET,
	SCRIPT_RESET2, /* type, cookie */
	SCRIPT_CRASH,
	SCRIPT_HVC,    /* up to eight */
	SCRIPT_RAW,    /* text */
	SCRIPT_SIGNAL, /* number */
	SCRIPT_LOOP,
	SCRIPT_REPEAT, /* times; jump: behind the end */
	SCRIPT_END,    /* jump: behind the repeat */
};

struct script_action {
	enum script_kind kind;
	unsigned int count; /* of args */
	uint64_t args[8];
	size_t jump;
	const char *text;
};

struct script_section {
	struct script_action *actions;
	size_t count;
	size_t room;
};

struct script {
	struct script_section sections[SCRIPT_VCPUS];
	char *text; /* what the actions' texts point into */
};

/* 0, -EINVAL for a malformed script, -ENOMEM. */
int script_parse(const char *text, struct script **ret_script);
void script_free(struct script *script);

#endif
