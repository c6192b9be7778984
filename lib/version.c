/* SPDX-License-Identifier: BSD-3-Clause */
#include <gh/version.h>

#define TEXT(x) #x
#define TEXT_OF(x) TEXT(x)

const char *gh_version(void)
{
	return TEXT_OF(GH_VERSION_MAJOR) "." TEXT_OF(GH_VERSION_MINOR) "." TEXT_OF(GH_VERSION_PATCH);
}
