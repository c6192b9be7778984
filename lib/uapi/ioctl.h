/* SPDX-License-Identifier: BSD-3-Clause */
/* How arm64 and x86-64 encode an ioctl: direction in bits 31:30, size in 29:16, magic in 15:8, number in 7:0. */
#ifndef GH_UAPI_IOCTL_H
#define GH_UAPI_IOCTL_H

#define UAPI_IOC(direction, magic, number, size)                                                                           \
	((unsigned long)(direction) << 30 | (unsigned long)(size) << 16 | (unsigned long)(magic) << 8 |                    \
	 (unsigned long)(number))
#define UAPI_IO(magic, number) UAPI_IOC(0, magic, number, 0)
#define UAPI_IOW(magic, number, type) UAPI_IOC(1, magic, number, sizeof(type))
#define UAPI_IOR(magic, number, type) UAPI_IOC(2, magic, number, sizeof(type))
#define UAPI_IOWR(magic, number, type) UAPI_IOC(3, magic, number, sizeof(type))

#endif
