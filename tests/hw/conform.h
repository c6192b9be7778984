/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Raw requests to a device, real or simulated, without libgh: one line "case: result" each, in the words of what was observed
 * on the real drivers, the same on every run. Nothing is expected here; lines are compared with those of another device.
 */
#ifndef TESTS_HW_CONFORM_H
#define TESTS_HW_CONFORM_H

#include "../../lib/sim/libghsim.h"
#include "../../lib/sys.h"

#include <gh/sim.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFORM_PAGE 4096u
#define CONFORM_RAM_SIZE 0x200000u

struct conform {
	const char *device; /* path, or a simulated device's string */
	struct gh_sim *sim; /* NULL: a real device */
	struct gh_sys *sys;
	int dev;
	int vm;
	uint8_t *outer;
	uint8_t *ram; /* CONFORM_RAM_SIZE bytes between inaccessible ones */
};

/* Opens the device, and makes a VM on it; a simulated guest plays `script`, if it is played from one. False: no such device. */
bool conform_open(struct conform *conform, const char *script);
/* Another VM in the place of the one that there is. */
void conform_new_vm(struct conform *conform);
void conform_close(struct conform *conform);
/* Of simulated devices: how many have noted something that breaks a kernel. The cases are made for real ones, too. */
unsigned int conform_breakages(void);
/* The guest is the script's, not code in its memory. */
bool conform_is_scripted(const struct conform *conform);

void conform_say(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "ok", or the name of an errno. */
const char *conform_word(int ret);
/* The same, and "fd" for a descriptor, which is closed. */
const char *conform_fd(struct conform *conform, int ret);
int conform_ask(struct conform *conform, int fd, unsigned long request, const void *argument);
int conform_ask_value(struct conform *conform, int fd, unsigned long request, uint64_t argument);
int conform_eventfd(struct conform *conform);
#define CONFORM_PATIENCE 30u
/* RUN, which ends with EINTR after so many seconds: a guest that hangs must not hang the program. */
int conform_run(struct conform *conform, int vcpu, unsigned long request, const void *argument, unsigned int seconds);

/* Each family; false: the device is none of it. */
bool conform_gunyah(const char *device);
bool conform_geniezone(const char *device);

#endif
