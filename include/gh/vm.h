/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * @brief Virtual machines: open, configure, start, close.
 *
 * A VM goes through these states:
 *
 *     gh_vm_open()  ->  open      gh_vm_map, gh_vm_set_dtb, gh_vm_set_entry, gh_vcpu_create, gh_irqfd_add, ...
 *     gh_vm_start() ->  started   gh_vcpu_run, gh_irqfd_add, gh_ioevent_add and their removals
 *                   ->  stopped   every vCPU says #GH_EXIT_STOPPED
 *     gh_vm_reset() ->  open      from any state, with everything that was configured
 *     gh_vm_close()     from any state
 *
 * The order of the calls between open and start does not matter: the library hands things to the kernel in the order that
 * the kernel needs. A start that fails after its first kernel request leaves the VM good for nothing but gh_vm_reset() and
 * gh_vm_close().
 * @defgroup vm Virtual machines
 * @{
 */
#ifndef GH_VM_H
#define GH_VM_H

#include "base.h"
#include "error.h"

/** @brief How a VM is opened. All defaults are zero, except device_fd. */
struct gh_vm_options {
	/** Size of this structure in bytes. */
	size_t size;
	/**
	 * Open descriptor of the device, or -1. The library makes a copy and leaves this one alone, so that the caller may
	 * close it at once. For processes that may not open the device themselves (SELinux, sandboxes).
	 */
	int device_fd;
	/** Real-time signal that wakes a vCPU thread for gh_vcpu_kick(); 0: see #GH_KICK_SIGNAL_DEFAULT. */
	int kick_signal;
	/**
	 * "gunyah", "geniezone", "halla" (Samsung), "kvm", "fake"; "auto" or NULL: the first of gunyah, geniezone, halla, kvm
	 * that works.
	 */
	const char *backend;
	/**
	 * Path of the device, or a simulated one ("sim:gunyah/android14-6.1", gh/sim.h). NULL: the environment variable
	 * `GH_DEVICE` if it is set and the process is not privileged, else the path that the backend has by default.
	 */
	const char *device;
	/** Script of the backend "fake"; NULL otherwise. Borrowed until the VM is closed. */
	struct gh_fake *fake;
	/** Simulated machine that has the device; NULL: the real one, or the one that @c device describes. */
	struct gh_sim *machine;
	/** Receives the reason if gh_vm_open() or gh_probe() fails; NULL: not wanted. Its size must be set. */
	struct gh_failure *failure;
	/**
	 * Guest physical address of the GICv3 distributor (64 KiB), 0: 0x3fff0000. Gunyah takes it from the devicetree
	 * instead.
	 */
	uint64_t gic_distributor;
	/**
	 * Guest physical address of the GICv3 redistributors (128 KiB for each vCPU), 0: just below the distributor. Gunyah
	 * takes it from the devicetree instead.
	 */
	uint64_t gic_redistributors;
	/**
	 * Called with a line of text for a start that fails, and when the repair of a kernel's behaviour does; NULL: nothing is
	 * said. Must not call the library.
	 */
	void (*log)(void *data, const char *line);
	/** First argument of @c log. */
	void *log_data;
	/**
	 * Features (#gh_feature) that the hypervisor is said to have, whatever the probe has found. For what no harmless
	 * request can find out, and is therefore assumed at its worst. Only those that the backend has code for; a kernel that
	 * lacks one refuses what is asked of it.
	 */
	uint64_t features_on;
	/** Features that it is said not to have: the library does without, or refuses. */
	uint64_t features_off;
	/** Quirks (#gh_quirk) that the kernel is said to have: the library works around them. */
	uint64_t quirks_on;
	/**
	 * Quirks that it is said not to have. If it has them all the same, the guest can lose accesses and interrupts, and a
	 * host's kernel that breaks on #GH_QUIRK_EVENTFD_GOES_FIRST or #GH_QUIRK_MEMORY_MUST_STAY is not kept from that.
	 */
	uint64_t quirks_off;
};

/** @brief Initial value of #gh_vm_options. */
#define GH_VM_OPTIONS_INIT                                                                                                 \
	{                                                                                                                  \
		sizeof(struct gh_vm_options), -1, 0, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, NULL, 0, 0, 0, 0            \
	}

/**
 * @brief Offset from SIGRTMIN of the kick signal that is taken by default.
 *
 * It is claimed for the process with the first vCPU, if nobody has installed a handler for it, and stays claimed.
 */
#define GH_KICK_SIGNAL_DEFAULT 6

/** @brief Registers that gh_vm_set_register() sets. */
enum gh_register {
	GH_REG_X0 = 0,  /**< x0; x1 to x30 follow as GH_REG_X0 + n. */
	GH_REG_SP = 31, /**< Stack pointer of exception level 1, where the guest begins. */
	GH_REG_PC = 32, /**< Program counter: the entry point. */
};

/** @brief How a VM proves what it is; gh_authentication::type. */
enum gh_authentication_type {
	GH_AUTHENTICATION_NONE = 0,       /**< Not at all: the default. */
	GH_AUTHENTICATION_TRUSTED_VM = 1, /**< As one of Qualcomm's trusted VMs, whose image is signed. */
};

/** @brief What gh_vm_set_authentication() sets. */
struct gh_authentication {
	size_t size;            /**< Size of this structure in bytes. */
	uint32_t type;          /**< One of #gh_authentication_type. */
	uint32_t vm_id;         /**< Number of the VM that the platform knows, at most 65535. */
	uint32_t peripheral_id; /**< Number under which the platform's loader authenticates the image. */
	uint32_t reserved;      /**< 0. */
	uint64_t gpa;           /**< Guest physical address of the image and its metadata, page-aligned. */
	uint64_t length;        /**< Bytes of it, a multiple of the page size. */
};

/** @brief Initial value of #gh_authentication. */
#define GH_AUTHENTICATION_INIT                                                                                             \
	{                                                                                                                  \
		sizeof(struct gh_authentication), GH_AUTHENTICATION_NONE, 0, 0, 0, 0, 0                                    \
	}

GH_BEGIN_DECLS

/**
 * @brief Open a hypervisor and make a VM on it.
 *
 * @param[in] options Options; NULL for all defaults. Strings are copied.
 * @param[out] ret_vm Receives the VM; left untouched on failure. Close it with gh_vm_close().
 *
 * @retval 0        Done.
 * @retval -EINVAL  @p ret_vm is NULL; the options have an unknown tail or contradict each other; an unknown backend; a
 *                  kick signal that is not a real-time signal; addresses of the interrupt controller that are not aligned
 *                  to 64 KiB; an unknown feature or quirk, or one that is to be both on and off.
 * @retval -ENOENT  There is no such device node (a backend was named), or no such simulated device.
 * @retval -EACCES  The process may not open the device.
 * @retval -ENODEV  No usable hypervisor (automatic choice), or the device speaks a dialect that libgh does not support.
 * @retval -EOPNOTSUPP A feature is to be on that the backend has no code for, or off that it relies on.
 * @retval -ENOMEM  Out of memory.
 * @return Otherwise the errno of the kernel. The reason is in gh_vm_options::failure.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * open() of the device, the requests of gh_probe(), then GH_CREATE_VM (Gunyah), GZVM_CREATE_VM (GenieZone, and Halla with its
 * number), KVM_CREATE_VM, KVM_ENABLE_CAP.
 * @par After fork()
 * The child may only close the VM.
 * @since 0.1
 */
GH_API int gh_vm_open(const struct gh_vm_options *options, struct gh_vm **ret_vm);

/**
 * @brief Close a VM and everything that belongs to it.
 *
 * Frees its vCPUs, lines, doorbells and the mappings that the library made, in an order that no kernel breaks on. The
 * guest's memory may stay unavailable for a moment after the call: Gunyah takes it back in the background (android14-6.1).
 *
 * @param[in] vm VM in any state, or NULL. No other thread may be in a call on it or on its vCPUs.
 *
 * @mtobject
 * @asunsafe
 * @par Kernel requests
 * munmap(), close(); GH_VM_REMOVE_FUNCTION; GZVM_IRQFD and GZVM_IOEVENTFD with their deassign flags.
 * @par After fork()
 * Allowed in the child, where it only closes descriptors and mappings.
 * @since 0.1
 */
GH_API void gh_vm_close(struct gh_vm *vm);

/**
 * @brief The backend that a VM uses.
 * @param[in] vm VM.
 * @return "gunyah", "geniezone", "halla", "kvm" or "fake", constant; NULL if @p vm is NULL.
 *
 * @mtany
 * @assafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API const char *gh_vm_backend(const struct gh_vm *vm);

/**
 * @brief What the hypervisor of a VM can do.
 * @param[in] vm VM.
 * @return An or of #gh_feature; 0 if @p vm is NULL.
 *
 * @mtany
 * @assafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API uint64_t gh_vm_features(const struct gh_vm *vm);

/**
 * @brief What the kernel of a VM does differently.
 * @param[in] vm VM.
 * @return An or of #gh_quirk; 0 if @p vm is NULL.
 *
 * @mtany
 * @assafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API uint64_t gh_vm_quirks(const struct gh_vm *vm);

/**
 * @brief Say where the devicetree is.
 *
 * Guest memory must be mapped there before gh_vm_start(), and the tree be in it. Gunyah needs a devicetree: the resource
 * manager reads it, adds to it in place, and lets the guest begin with its address in x0; @p size must leave room for that
 * (one page more than the tree has). The tree is read at the start, not before.
 *
 * @param[in] vm   VM that has not been started.
 * @param[in] gpa  Guest physical address of the tree, a multiple of 8.
 * @param[in] size Bytes that the tree may take, room for growth included; 0 takes the setting back.
 *
 * @retval 0       Recorded; a later call replaces it.
 * @retval -EINVAL @p vm is NULL, or @p gpa is not a multiple of 8.
 * @retval -ERANGE @p gpa + @p size wraps, or ends beyond the guest's address space.
 * @retval -EBUSY  The VM has been started.
 * @retval -EPERM  This is a forked child.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * None here; GH_VM_SET_DTB_CONFIG, GZVM_SET_DTB_CONFIG during gh_vm_start().
 * @since 0.1
 */
GH_API int gh_vm_set_dtb(struct gh_vm *vm, uint64_t gpa, uint64_t size);

/**
 * @brief Set a register of the boot vCPU (id 0) for its first instruction.
 *
 * On Gunyah without #GH_FEATURE_REGISTERS (before v15, android14-6.1, the first kernels of android15-6.6) the hypervisor
 * decides: the guest begins at the start of the region that holds the devicetree, with the devicetree's address in x0. Other
 * values are refused by gh_vm_start(). With it, that is what a guest gets whose registers nobody has set.
 *
 * @param[in] vm    VM that has not been started.
 * @param[in] reg   One of #gh_register.
 * @param[in] value Its value.
 *
 * @retval 0       Recorded; a later call replaces it.
 * @retval -EINVAL @p vm is NULL, or there is no such register.
 * @retval -EBUSY  The VM has been started.
 * @retval -EPERM  This is a forked child.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * None here; GH_VM_SET_BOOT_CONTEXT, GZVM_SET_ONE_REG, KVM_SET_ONE_REG during gh_vm_start().
 * @since 0.1
 */
GH_API int gh_vm_set_register(struct gh_vm *vm, uint32_t reg, uint64_t value);

/**
 * @brief Set the entry point and its argument: PC and x0 of the boot vCPU.
 *
 * @param[in] vm  VM that has not been started.
 * @param[in] pc  Guest physical address of the first instruction, a multiple of 4.
 * @param[in] x0  Value of x0: for Linux, the address of the devicetree.
 *
 * @retval 0       Recorded.
 * @retval -EINVAL @p vm is NULL, or @p pc is not a multiple of 4.
 * @retval -EBUSY  The VM has been started.
 * @retval -EPERM  This is a forked child.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * As gh_vm_set_register().
 * @since 0.1
 */
GH_API int gh_vm_set_entry(struct gh_vm *vm, uint64_t pc, uint64_t x0);

/**
 * @brief Say where the firmware of a protected VM is.
 *
 * The guest begins in the firmware, which looks at everything else before it goes on to it (pvmfw of Android). Memory must be
 * mapped there before gh_vm_start(), with the firmware in it; lend it, because a resource manager of a product takes no
 * shared one. On Gunyah this makes the VM a protected one (#GH_FEATURE_FIRMWARE), for which most devices accept only
 * firmware that they know: the resource manager that is public refuses each (-EPERM from gh_vm_start()). gh_fdt_finish()
 * writes the address into the devicetree, if it is called afterwards; a tree of the caller's own says
 * `memory/firmware-address`.
 *
 * On GenieZone and Halla the firmware is the hypervisor's own, which loads it there at the start: the region is one of its
 * own, begins at @p gpa, and has room for it (crosvm: 4 MiB at 0x7fc00000). The entry point of gh_vm_set_entry() goes into x1,
 * for the firmware; put the payload's size into x2 (gh_vm_set_register()). Memory may be mapped before or after this call: the
 * library makes the kernel's VM anew (#GH_QUIRK_PROTECTED_AT_BIRTH).
 *
 * @param[in] vm   VM that has not been started.
 * @param[in] gpa  Guest physical address of the firmware, a multiple of the page size.
 * @param[in] size Its bytes, a multiple of the page size; 0 takes the setting back.
 *
 * @retval 0       Recorded; a later call replaces it.
 * @retval -EINVAL @p vm is NULL, or an argument is not a multiple of the page size.
 * @retval -ERANGE @p gpa + @p size wraps, or ends beyond the guest's address space.
 * @retval -EOPNOTSUPP The kernel takes no firmware (no #GH_FEATURE_FIRMWARE).
 * @retval -EBUSY  The VM has been started.
 * @retval -EPERM  This is a forked child.
 * @return Otherwise the errno of the kernel that made the VM anew; then it is good for nothing but gh_vm_close().
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * GenieZone and Halla: GZVM_CREATE_VM and GZVM_SET_USER_MEMORY_REGION once more, GZVM_ENABLE_CAP during the start. Gunyah:
 * GH_VM_ANDROID_SET_FW_CONFIG during the start.
 * @since 0.1
 */
GH_API int gh_vm_set_firmware(struct gh_vm *vm, uint64_t gpa, uint64_t size);

/**
 * @brief Protect a VM from its host, without firmware.
 *
 * From gh_vm_start() on the hypervisor keeps the guest's memory from the host, but for what the guest shares: do not touch
 * the rest, which can end the process. Devices need bounce buffers (#GH_MEMORY_SWIOTLB). A VM with firmware
 * (gh_vm_set_firmware()) is protected already, and this adds nothing.
 *
 * @param[in] vm VM that has not been started.
 * @param[in] on 1, or 0 to take it back.
 *
 * @retval 0       Recorded. Whether the hypervisor does it, gh_vm_start() says.
 * @retval -EINVAL @p vm is NULL.
 * @retval -EOPNOTSUPP There is no such thing here (no #GH_FEATURE_BARE_PROTECTION).
 * @retval -EBUSY  The VM has been started.
 * @retval -EPERM  This is a forked child.
 * @return Otherwise the errno of the kernel that made the VM anew; then it is good for nothing but gh_vm_close().
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * GZVM_CREATE_VM and GZVM_SET_USER_MEMORY_REGION once more, and GZVM_ENABLE_CAP during the start.
 * @since 0.1
 */
GH_API int gh_vm_set_protected(struct gh_vm *vm, int on);

/**
 * @brief Say how a VM proves what it is.
 *
 * Only on kernels with #GH_FEATURE_AUTHENTICATION. The Gunyah UAPI document is not sure that every kernel which has the
 * request also honours it (section 7): believe a VM that starts, and nothing before.
 *
 * @param[in] vm             VM that has not been started.
 * @param[in] authentication What to prove; copied.
 *
 * @retval 0       Recorded; a later call replaces it, and #GH_AUTHENTICATION_NONE takes it back.
 * @retval -EINVAL An argument is NULL, the structure has an unknown tail, the type is unknown, a reserved field is set, a
 *                 number is too large, or an address or a length is not a multiple of the page size.
 * @retval -ERANGE The range wraps around, or ends beyond the guest's address space.
 * @retval -EOPNOTSUPP The kernel lets nobody choose (no #GH_FEATURE_AUTHENTICATION).
 * @retval -EBUSY  The VM has been started.
 * @retval -EPERM  This is a forked child.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * None here; GH_VM_ANDROID_SET_AUTH_TYPE during gh_vm_start().
 * @since 0.1
 */
GH_API int gh_vm_set_authentication(struct gh_vm *vm, const struct gh_authentication *authentication);

/**
 * @brief Start a VM: apply what was configured, in the kernel's order.
 *
 * Needs memory and at least one vCPU. What can be checked without the kernel is checked first: a failure there changes
 * nothing, and the start may be tried again. On Gunyah that includes the devicetree: every vCPU must have its cpu node,
 * every line its doorbell, every further region its shm vdevice, because the kernel would drop or misplace them silently.
 *
 * @param[in] vm VM that has not been started.
 *
 * @retval 0       The VM is started: its vCPUs can run.
 * @retval -EINVAL @p vm is NULL; or there is no memory, no vCPU, no vCPU with id 0; or the devicetree is missing, is
 *                 garbage or does not fit what was configured; or the kernel says so.
 * @retval -EBUSY  The VM has been started, or an earlier start or reset failed half-way.
 * @retval -EPERM  This is a forked child.
 * @retval -EOPNOTSUPP Registers that the hypervisor does not let anyone set.
 * @return Otherwise the errno of the kernel. gh_vm_failure() has the reason.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * In this order. GenieZone: GZVM_CREATE_DEVICE twice, GZVM_ENABLE_CAP (protected VMs), GZVM_CREATE_VCPU,
 * GZVM_SET_ONE_REG, GZVM_SET_DTB_CONFIG, GZVM_IOEVENTFD, GZVM_IRQFD. Gunyah: GH_VM_ADD_FUNCTION for each vCPU with GH_VCPU_MMAP_SIZE and mmap(),
 * GH_VM_SET_BOOT_CONTEXT, GH_VM_ANDROID_SET_AUTH_TYPE, GH_VM_SET_DTB_CONFIG, GH_VM_ANDROID_SET_FW_CONFIG, munmap() of
 * lent memory (v15 to v17), GH_VM_START, then GH_VM_ADD_FUNCTION for doorbells and lines. KVM: KVM_CREATE_DEVICE
 * and KVM_SET_DEVICE_ATTR, for each vCPU KVM_CREATE_VCPU, KVM_ARM_PREFERRED_TARGET, KVM_ARM_VCPU_INIT,
 * KVM_GET_VCPU_MMAP_SIZE and mmap(), KVM_SET_ONE_REG, KVM_IOEVENTFD, KVM_IRQFD.
 * @since 0.1
 */
GH_API int gh_vm_start(struct gh_vm *vm);

/**
 * @brief Bring a VM back to where it can be loaded and started once more.
 *
 * No hypervisor resets a VM in place: the library closes the kernel's VM, opens another one on the same device, and records
 * again what was configured; gh_vm_start() then applies it. What the caller has stays valid and means the same:
 *
 * - memory, with its ids, at the same host addresses, with what the guest left there. The guest, and on Gunyah the resource
 *   manager, have written to it: load the kernel and the initrd again, and write the devicetree again (gh_vm_set_dtb() is
 *   remembered, the tree's contents are not), because a tree that the resource manager has completed is refused by
 *   gh_vm_start();
 * - vCPUs, and registers as gh_vm_set_register() said. The exit that a vCPU returned last is gone, and with it a load that
 *   waits for its answer;
 * - the bus with its ranges, handlers and counters;
 * - lines and doorbells with their descriptors. What an irqfd's eventfd still held is dropped; the level of a line that
 *   gh_irq_set() raised stays, and a doorbell's eventfd keeps its count. A doorbell that was emulated stays so;
 * - a kick that no run has delivered: the first run returns #GH_EXIT_INTERRUPTED for it. gh_vm_quit() kicks, so that comes
 *   after it, too, but quitting itself is over: loops run again;
 * - pauses: whoever paused the VM still has to resume it;
 * - gh_vm_end_fd(), which is not readable any more.
 *
 * It cannot be done when memory was lent to the guest, because what is in it belongs to a guest that is gone, and the kernel may
 * hold it for a while: close the VM, and open another one with other memory.
 *
 * Gunyah takes a VM down in the background (android14-6.1): the call waits, at most two seconds, until the kernel does not count
 * the memory as locked any more, because the hypervisor need not give it to the new VM before.
 *
 * If it fails with an error that is not listed here as changing nothing, the kernel's VM may be closed already. The VM is then
 * good for nothing but another gh_vm_reset(), which goes on from there, and gh_vm_close().
 *
 * @param[in] vm VM in any state. No thread may be inside gh_vcpu_run(), gh_vcpu_loop() or gh_vm_run() of it: let them end
 *               with gh_vm_quit() or gh_vcpu_kick() first. Other threads may go on with lines, doorbells and the bus.
 *
 * @retval 0       The VM is open, as if everything had just been configured.
 * @retval -EINVAL @p vm is NULL.
 * @retval -EBUSY  A thread is inside a run of the VM. Nothing has changed.
 * @retval -EOPNOTSUPP Memory has been lent to the guest. Nothing has changed.
 * @retval -EPERM  This is a forked child. Nothing has changed.
 * @retval -ENOMEM Out of memory, or the memory of the VM before is still counted as locked after two seconds (Gunyah takes a
 *                 VM down in the background), and RLIMIT_MEMLOCK is too low for both.
 * @return Otherwise the errno of the kernel. gh_vm_failure() has the reason.
 *
 * @mtany
 * @asunsafe
 * @par Kernel requests
 * Those of gh_vm_close() except for the device, the bus and the mappings, and reading /proc/self/status; then GH_CREATE_VM, GZVM_CREATE_VM or KVM_CREATE_VM, and
 * those that gh_vm_map() makes for each region.
 * @since 0.1
 */
GH_API int gh_vm_reset(struct gh_vm *vm);

GH_END_DECLS

/** @} */
#endif
