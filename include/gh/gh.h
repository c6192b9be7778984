/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * @brief All of libgh, and of libghsim, which only programs that call its functions (gh/sim.h) need to link.
 */
#ifndef GH_GH_H
#define GH_GH_H

#include "base.h"
#include "bus.h"
#include "error.h"
#include "exit.h"
#include "fake.h"
#include "fdt.h"
#include "image.h"
#include "ioevent.h"
#include "irq.h"
#include "loop.h"
#include "memory.h"
#include "probe.h"
#include "sandbox.h"
#include "sim.h"
#include "vcpu.h"
#include "version.h"
#include "vm.h"

#endif
