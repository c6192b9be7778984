# SPDX-License-Identifier: BSD-3-Clause
# Cross-building for arm64 on another machine: Debian's cross compiler, libraries from the sysroot that tools/setup unpacks.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_ASM_COMPILER aarch64-linux-gnu-gcc)

get_filename_component(GH_SYSROOT ${CMAKE_CURRENT_LIST_DIR}/../build/arm64/sysroot ABSOLUTE)
set(CMAKE_FIND_ROOT_PATH ${GH_SYSROOT})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)

# The native libraries' .pc files must not be seen.
set(ENV{PKG_CONFIG_LIBDIR} ${GH_SYSROOT}/usr/lib/aarch64-linux-gnu/pkgconfig:${GH_SYSROOT}/usr/share/pkgconfig)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${GH_SYSROOT})

# Tests that need no guest run in a user-mode emulator.
find_program(GH_EMULATOR NAMES qemu-aarch64-static qemu-aarch64)
if(GH_EMULATOR)
  set(CMAKE_CROSSCOMPILING_EMULATOR ${GH_EMULATOR})
endif()
