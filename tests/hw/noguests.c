/* SPDX-License-Identifier: BSD-3-Clause */
#include "hw.h"

/* The guests are arm64 code. */
void hw_test_guests(struct hw *hw)
{
	hw_skip(hw, "guests", "the host is no arm64 machine");
}
