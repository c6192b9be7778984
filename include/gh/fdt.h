/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * @brief Devicetrees for guests: one description, the right tree on every hypervisor.
 *
 * The builder knows the VM: its memory, its vCPUs, its interrupt controller, its lines, and what its hypervisor reads in a
 * tree beside what the guest reads (on Gunyah, all of `/gunyah-vm-config`). The caller adds devices. Everything is put
 * together by gh_fdt_finish(), which is therefore the last call before gh_vm_start(), after the memory, the vCPUs and the
 * lines (gh/irq.h) are there.
 *
 * @code
 * struct gh_fdt_options options = GH_FDT_OPTIONS_INIT;
 * struct gh_fdt *fdt;
 * options.command_line = "console=ttyS0";
 * gh_fdt_open(vm, &options, &fdt);
 * gh_fdt_add_serial(fdt, 0x3f8, 5, 0);
 * gh_fdt_finish(fdt, 0x88000000, 0);
 * gh_fdt_close(fdt);
 * gh_vm_start(vm);
 * @endcode
 * @defgroup fdt Devicetrees
 * @{
 */
#ifndef GH_FDT_H
#define GH_FDT_H

#include "base.h"

/** @brief Bytes that gh_fdt_finish() takes for the tree if it is not told: enough for some hundred devices. */
#define GH_FDT_ROOM 0x40000

/** @brief The largest tree in bytes: Linux takes no larger one. */
#define GH_FDT_MAX 0x200000

/** @brief How a tree begins. All defaults are zero. */
struct gh_fdt_options {
	size_t size; /**< Size of this structure in bytes. */
	/**
	 * A tree of the caller's to build on, copied; NULL: from nothing. What it has stays, with these exceptions: `memory`
	 * nodes are replaced, the interrupt controller gets the addresses that the VM's really has, and Gunyah's configuration
	 * is completed. Its root must have two address and two size cells, and an `arm,gic-v3` node, if there is one, must be a
	 * child of the root with three interrupt cells. A `/cpus` node must have a cpu for each vCPU, whose status is not "fail".
	 */
	const void *base;
	size_t base_size;         /**< Bytes that may be read at @c base; the tree may be shorter. */
	const char *command_line; /**< Kernel command line; NULL: none, or that of @c base. */
	uint64_t initrd_gpa;      /**< Guest physical address of the initial RAM disk. */
	uint64_t initrd_length;   /**< Its bytes; 0: there is none. */
	/** Name of the VM, 1 to 79 printable characters: Gunyah's logs have it, and the guest, as `model`. NULL: "libgh". */
	const char *name;
	/**
	 * How many cpu nodes; 0: one for each vCPU, and for the gaps if their ids have any. More are for vCPUs that are added
	 * after the start (#GH_FEATURE_LATE_VCPUS).
	 */
	uint32_t n_cpus;
	uint32_t reserved; /**< 0. */
};

/** @brief Initial value of #gh_fdt_options. */
#define GH_FDT_OPTIONS_INIT                                                                                                \
	{                                                                                                                  \
		sizeof(struct gh_fdt_options), NULL, 0, NULL, 0, 0, NULL, 0, 0                                             \
	}

/** @brief One interrupt of a device. */
struct gh_fdt_irq {
	uint32_t line;  /**< Shared peripheral interrupt, counted from 0, as gh_irqfd_options::line. */
	uint32_t flags; /**< An or of #gh_irq_flag, the same as the line's driver has, if it has one. */
};

/** @brief One property of a device, as it shall stand in the tree. */
struct gh_fdt_property {
	const char *name;  /**< 1 to 31 characters. */
	const void *value; /**< Bytes; numbers are big-endian cells of 32 bits. NULL if the length is 0. */
	size_t length;     /**< Bytes; 0: a property without a value. */
};

/** @brief What else a device needs; bits of gh_fdt_device::flags. */
enum gh_fdt_flag {
	GH_FDT_CONSOLE = 1 << 0, /**< `stdout-path` of the node `/chosen` names it. The last such device counts. */
	GH_FDT_PRIMECELL =
		1 << 1, /**< It gets the clocks "uartclk" and "apb_pclk" of 24 MHz: for `arm,primecell` (PL011). */
	GH_FDT_COHERENT = 1 << 2, /**< `dma-coherent`: it sees memory as the guest's CPUs do. For virtio. */
};

/** @brief A device. All of it is copied. */
struct gh_fdt_device {
	size_t size;      /**< Size of this structure in bytes. */
	const char *name; /**< What it is, 1 to 31 characters: "serial", "virtio_mmio". The node is called name\@address. */
	const char *const *compatible;            /**< Strings of the property `compatible`, most special first. */
	size_t n_compatible;                      /**< Number of them. */
	uint64_t gpa;                             /**< Guest physical address of its registers. */
	uint64_t length;                          /**< Bytes of them; 0: it has none, and no address in its name. */
	const struct gh_fdt_irq *irqs;            /**< Its interrupts, in the order that its driver wants. */
	size_t n_irqs;                            /**< Number of them. */
	const struct gh_fdt_property *properties; /**< Further properties. They win over those that the library writes. */
	size_t n_properties;                      /**< Number of them. */
	uint32_t flags;                           /**< An or of #gh_fdt_flag. */
	uint32_t reserved;                        /**< 0. */
};

/** @brief Initial value of #gh_fdt_device. */
#define GH_FDT_DEVICE_INIT                                                                                                 \
	{                                                                                                                  \
		sizeof(struct gh_fdt_device), NULL, NULL, 0, 0, 0, NULL, 0, NULL, 0, 0, 0                                  \
	}

/** @brief What happens to a tree that breaks a rule; gh_fdt_finding::severity. */
enum gh_fdt_severity {
	GH_FDT_REJECTED = 1,  /**< The VM does not start, or the host's kernel breaks later. */
	GH_FDT_MISPLACED = 2, /**< The VM starts, and something is elsewhere in the guest than it was asked for. */
	GH_FDT_IGNORED = 3,   /**< The VM starts, and something that the tree asks for does not happen. */
};

/** @brief A region of memory that the VM will have. */
struct gh_fdt_region {
	uint32_t label;    /**< Its number, as gh_vm_map() gives it. */
	uint32_t reserved; /**< 0. */
	uint64_t gpa;      /**< Guest physical address. */
	uint64_t length;   /**< Bytes. */
};

/** @brief What gh_fdt_validate() may know of the VM. What is 0 is not known, and rules that need it are left out. */
struct gh_fdt_rules {
	size_t size;     /**< Size of this structure in bytes. */
	uint64_t quirks; /**< An or of #gh_quirk, as gh_vm_quirks() tells: whether regions need vdevices. */
	uint64_t gpa;    /**< Guest physical address of the tree. With regions: it must be in one of them. */
	uint64_t room;   /**< Bytes there, as for gh_vm_set_dtb(); 0: not known. */
	const struct gh_fdt_region *regions; /**< The VM's memory. */
	size_t n_regions;                    /**< Number of them; 0: not known. */
	uint32_t n_vcpus;                    /**< The highest id of a vCPU plus one; 0: not known. */
	uint32_t max_cpus;                   /**< The most cpus that the machine gives to a VM; 0: not known. */
};

/** @brief Initial value of #gh_fdt_rules: nothing is known. */
#define GH_FDT_RULES_INIT                                                                                                  \
	{                                                                                                                  \
		sizeof(struct gh_fdt_rules), 0, 0, 0, NULL, 0, 0, 0                                                        \
	}

/**
 * @brief One broken rule. Belongs to the library and is gone when the function it was given to returns; grows at its end.
 *
 * Strings are printable: other bytes of the tree are "?".
 */
struct gh_fdt_finding {
	uint32_t severity;    /**< #gh_fdt_severity. */
	const char *rule;     /**< Name of the rule, the same in later releases: "image-name". */
	const char *node;     /**< Path of the node; of its parent if it is the node that is missing. */
	const char *property; /**< Name of the property, or of the missing node; "" if there is none. */
	const char *text;     /**< The rule in words. */
	const char *detail;   /**< What was found instead; "" if there is nothing to say. */
	const char *remedy;   /**< What to do. */
};

GH_BEGIN_DECLS

/**
 * @brief Begin a devicetree for a VM.
 *
 * @param[in] vm       VM that has not been started. The tree must be closed before it.
 * @param[in] options  How it begins; NULL for all defaults. Copied.
 * @param[out] ret_fdt Receives the builder; left untouched on failure. Close it with gh_fdt_close().
 *
 * @retval 0       Done.
 * @retval -EINVAL @p vm or @p ret_fdt is NULL; the structure has an unknown tail or a reserved field is set; the name is
 *                 none; the caller's tree is garbage, truncated, older than version 16, or not as gh_fdt_options::base says.
 * @retval -ERANGE The initial RAM disk wraps around, or there are more cpus than the hypervisor has.
 * @retval -ENOSPC The caller's tree or the command line is larger than #GH_FDT_MAX.
 * @retval -EBUSY  The VM has been started.
 * @retval -EPERM  This is a forked child.
 * @retval -ENOMEM Out of memory.
 *
 * gh_vm_failure() has the reason.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API int gh_fdt_open(struct gh_vm *vm, const struct gh_fdt_options *options, struct gh_fdt **ret_fdt);

/**
 * @brief Free a devicetree builder. What it has written to the guest stays there.
 *
 * @param[in] fdt Builder, or NULL.
 *
 * @mtobject
 * @asunsafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API void gh_fdt_close(struct gh_fdt *fdt);

/**
 * @brief Add a device.
 *
 * It becomes a child of the root, with the compatible strings, the registers, the interrupts and the properties that are
 * given. On Gunyah each of its interrupts also becomes a doorbell, whose label is the line.
 *
 * @param[in] fdt    Builder.
 * @param[in] device The device; not needed after the call.
 *
 * @retval 0       Done.
 * @retval -EINVAL An argument is NULL, or is while its number is not 0; the structure has an unknown tail, an unknown flag or
 *                 a reserved field is set; a name is empty, too long, or has characters that no name has; the device has
 *                 neither a compatible string nor a property.
 * @retval -ERANGE The registers wrap around, or end beyond the guest's address space; there is no such line; a property is
 *                 larger than #GH_FDT_MAX.
 * @retval -EEXIST Another device has that name and address, or a part of the registers.
 * @retval -EPERM  This is a forked child.
 * @retval -ENOMEM Out of memory.
 *
 * gh_vm_failure() has the reason.
 *
 * @mtobject
 * @asunsafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API int gh_fdt_add_device(struct gh_fdt *fdt, const struct gh_fdt_device *device);

/**
 * @brief Add a serial port: a 16550 with registers of one byte, eight of them, that is the console.
 *
 * @param[in] fdt   Builder.
 * @param[in] gpa   Guest physical address of the first register.
 * @param[in] line  Its interrupt, as gh_irqfd_options::line.
 * @param[in] flags An or of #gh_irq_flag.
 *
 * @retval 0       Done.
 * @return Otherwise as gh_fdt_add_device().
 *
 * @mtobject
 * @asunsafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API int gh_fdt_add_serial(struct gh_fdt *fdt, uint64_t gpa, uint32_t line, uint32_t flags);

/**
 * @brief Add a virtio device: 0x200 bytes of registers of virtio-mmio, coherent with the guest's caches.
 *
 * @param[in] fdt   Builder.
 * @param[in] gpa   Guest physical address of the registers.
 * @param[in] line  Its interrupt, as gh_irqfd_options::line.
 * @param[in] flags An or of #gh_irq_flag.
 *
 * @retval 0       Done.
 * @return Otherwise as gh_fdt_add_device().
 *
 * @mtobject
 * @asunsafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API int gh_fdt_add_virtio(struct gh_fdt *fdt, uint64_t gpa, uint32_t line, uint32_t flags);

/**
 * @brief Put the tree together, write it to guest memory, and say where it is (gh_vm_set_dtb()).
 *
 * Takes the regions, the vCPUs and the lines as they are now: call it again after a change of them. A region that the guest
 * may not write to is no memory in the tree. Devices are checked against what only shows now: memory and the interrupt
 * controller in their place, addresses where the hypervisor reports no accesses, lines that are edge-triggered here and
 * level-triggered there.
 *
 * @param[in] fdt  Builder.
 * @param[in] gpa  Guest physical address of the tree, a multiple of 8, in memory that the host may write to. On Gunyah the
 *                 guest begins at the start of the region that this is in, which must be a multiple of 2 MiB, 1 GiB or
 *                 higher.
 * @param[in] room Bytes there: at least four times what the tree has, because Gunyah's resource manager adds to it in place;
 *                 0: #GH_FDT_ROOM.
 *
 * @retval 0       Done.
 * @retval -EINVAL @p fdt is NULL; @p gpa is not a multiple of 8; the place is not inside one region, or the initial RAM disk is
 *                 not in memory; the VM has no vCPU; the caller's tree has too few cpus, or cannot be completed; a line has
 *                 two triggers.
 * @retval -EEXIST The tree and the initial RAM disk overlap; a device overlaps memory or the interrupt controller; the
 *                 caller's tree has a node of a device's name.
 * @retval -ERANGE A device stands where the hypervisor reports no accesses; the interrupt controller does not fit.
 * @retval -ENOSPC The tree does not fit, or is larger than #GH_FDT_MAX.
 * @retval -EOPNOTSUPP More cpus than vCPUs, where vCPUs cannot be added after the start.
 * @retval -EBUSY  The VM has been started.
 * @retval -EPERM  This is a forked child.
 * @retval -ENOMEM Out of memory.
 *
 * gh_vm_failure() has the reason; guest memory and the setting are as before then.
 *
 * @mtobject
 * @asunsafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API int gh_fdt_finish(struct gh_fdt *fdt, uint64_t gpa, uint64_t room);

/**
 * @brief The tree that gh_fdt_finish() has put together: to be looked at, written to a file, compared.
 *
 * @param[in] fdt       Builder.
 * @param[out] ret_blob Receives the tree, owned by @p fdt, valid until its next gh_fdt_finish() or gh_fdt_close(); left
 *                      untouched on failure.
 * @param[out] ret_size Receives its bytes; left untouched on failure.
 *
 * @retval 0       Done.
 * @retval -EINVAL An argument is NULL.
 * @retval -ENOENT gh_fdt_finish() has not succeeded yet.
 *
 * @mtobject
 * @asunsafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API int gh_fdt_blob(const struct gh_fdt *fdt, const void **ret_blob, size_t *ret_size);

/**
 * @brief Check a devicetree against the rules of Gunyah's resource manager, which itself only says that something is wrong.
 *
 * Needs no VM and no hypervisor. gh_vm_start() on Gunyah does the same with everything that it knows of the VM, and refuses
 * trees with findings that are #GH_FDT_REJECTED or #GH_FDT_MISPLACED. Every rule is in doc/errors.md.
 *
 * @param[in] tree   Bytes of the tree; anything.
 * @param[in] size   Bytes that may be read there.
 * @param[in] rules  What is known of the VM; NULL: nothing.
 * @param[in] report Called for each finding, up to some hundred; NULL: they are only counted.
 * @param[in] data   First argument of @p report.
 *
 * @retval -EINVAL @p tree is NULL, the structure has an unknown tail or a reserved field is set, or regions are NULL and
 *                 their number is not 0.
 * @retval -ENOMEM Out of memory.
 * @return Otherwise the number of findings that are #GH_FDT_REJECTED: with 0, the resource manager would take the tree.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API int gh_fdt_validate(const void *tree, size_t size, const struct gh_fdt_rules *rules,
			   void (*report)(void *data, const struct gh_fdt_finding *finding), void *data);

GH_END_DECLS

/** @} */
#endif
