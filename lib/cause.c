/* SPDX-License-Identifier: BSD-3-Clause */
/* Every cause of a failure in words, and the general meaning of errno values. */
#include "diagnosis.h"

#include <errno.h>

static const struct gh_cause_text texts[] = {
	[GH_CAUSE_NONE] = { "none", "Nothing has failed.", "There is nothing to do." },
	[GH_CAUSE_OTHER] = { "other", "The kernel refused the request.", "See the kernel's log for what the driver says." },
	[GH_CAUSE_ARGUMENT] = { "argument", "An argument of the call is wrong.", "Correct the arguments of the call." },
	[GH_CAUSE_STATE] = { "state", "The object is not in a state for this call.",
			     "See the states of a VM in gh/vm.h for the order of calls." },
	[GH_CAUSE_TAKEN] = { "taken", "The address range, id, line or eventfd is taken.",
			     "Choose another one, or remove what has it." },
	[GH_CAUSE_NOT_FOUND] = { "not-found", "There is no such thing.", "Name one that exists." },
	[GH_CAUSE_RANGE] = { "range", "An address or a number is beyond what there is.",
			     "Ask gh_probe() for the limits and stay below them." },
	[GH_CAUSE_NO_ROOM] = { "no-room", "There is no room for another one, or for a thing of that size.",
			       "Use fewer, or smaller ones." },
	[GH_CAUSE_UNSUPPORTED] = { "unsupported", "This hypervisor cannot do it.",
				   "Ask gh_vm_features() before, and do without." },
	[GH_CAUSE_OTHER_THREAD] = { "other-thread", "Another thread is inside.", "Let one thread use it at a time." },
	[GH_CAUSE_OTHER_PROCESS] = { "other-process", "The VM belongs to another process: the one that opened it.",
				     "Make all calls in the process that opened the VM; do not fork with it." },
	[GH_CAUSE_FILE] = { "file", "The file cannot be used: unknown, damaged, contradictory or too large.",
			    "Check the file with other tools, and that it is for arm64." },
	[GH_CAUSE_HANDLER] = { "handler", "A function of the program returned what it may not return.",
			       "Correct the function." },
	[GH_CAUSE_NOT_EVENTFD] = { "not-eventfd", "The descriptor is not open, or is not an eventfd.",
				   "Pass a descriptor of eventfd(); timerfds and pipes are none." },
	[GH_CAUSE_NO_ACCESS] = { "no-access", "Memory is not mapped in this process, or not with the access it needs.",
				 "Map all of it, readable and writable." },
	[GH_CAUSE_MEMORY] = { "out-of-memory", "The process or the kernel is out of memory.",
			      "Free memory, or use less guest memory." },
	[GH_CAUSE_DESCRIPTORS] = { "descriptors", "There are too many open descriptors.",
				   "Close some, or raise the limit (RLIMIT_NOFILE)." },
	[GH_CAUSE_PERMISSION] = { "permission",
				  "The file mode (0600 root on many phones) or a missing capability forbids it.",
				  "Run with more rights, change the mode, or adopt a descriptor "
				  "(gh_vm_options::device_fd)." },
	[GH_CAUSE_INTERRUPTED] = { "interrupted", "A signal came.", "Call again." },
	[GH_CAUSE_BROKEN_KERNEL] = { "broken-kernel", "The kernel answered what its own interface does not allow.",
				     "Report it to the kernel's authors; nothing can go on with it." },
	[GH_CAUSE_NO_REQUEST] = { "no-request", "This kernel does not have the request.",
				  "Do without it, or use a newer kernel." },

	[GH_CAUSE_NO_HYPERVISOR] = { "no-hypervisor",
				     "There is no device node: the machine has, or was booted with, another hypervisor or "
				     "none.",
				     "Use a machine that boots it, or a simulated device (sim:gunyah, sim:gzvm)." },
	[GH_CAUSE_NO_DRIVER] = { "no-driver",
				 "There is no device node: the kernel has no driver, or it found no hypervisor at boot.",
				 "Load the driver's module, or build the kernel with it." },
	[GH_CAUSE_NO_DEVICE_TREE_NODE] = { "no-devicetree-node",
					   "There is no device node: the driver is there, the host's devicetree lacks its "
					   "node.",
					   "Ask the maker for it, or make the driver probe with a module of your own." },
	[GH_CAUSE_HIDDEN_NODE] = { "hidden-node", "The driver runs, and its device node is not visible to this process.",
				   "Make the node (mknod, ueventd.rc), or leave the container that hides it." },
	[GH_CAUSE_OLD_HYPERVISOR] = { "old-hypervisor", "The hypervisor is of an older generation (gz_kree), without VMs.",
				      "Use a newer phone, or a simulated device." },
	[GH_CAUSE_DEAD_NODE] = { "dead-node", "The node is there, and no driver behind it.", "Load the driver's module." },
	[GH_CAUSE_SELINUX] = { "selinux", "SELinux forbids it to this process, whatever the file mode says.",
			       "See \"avc: denied\" in the kernel's log; adopt a descriptor (gh_vm_options::device_fd)." },
	[GH_CAUSE_NOT_THIS_DEVICE] = { "not-this-device", "The device does not answer as this hypervisor does.",
				       "Check the device's path or descriptor, and the backend's name." },
	[GH_CAUSE_VENDOR_DIALECT] = { "vendor-dialect",
				      "The device speaks Qualcomm's own interface of the kernels 5.10 and 5.15 (requests "
				      "0xb2..).",
				      "It gives a VMM neither memory nor exits; use a phone with kernel 6.1 or later." },
	[GH_CAUSE_KVM_FRONTED] = { "kvm-fronted", "This is Gunyah behind a changed KVM (version 13 of its interface).",
				   "Use a kernel with /dev/gunyah, or with the real KVM." },
	[GH_CAUSE_DIALECT] = { "dialect", "The device speaks a dialect that the library does not speak.",
			       "Use another kernel, or a newer library." },
	[GH_CAUSE_MACHINE] = { "machine", "This KVM is too old, or runs guests of another processor than arm64.",
			       "Run on an arm64 machine with Linux 4.12 or later, or use a simulated device." },
	[GH_CAUSE_SIMULATOR] = { "simulator", "The simulated device is unknown, or libghsim is missing.",
				 "Write the device as in gh/sim.h, and install libghsim.so.0 where the loader finds it." },

	[GH_CAUSE_LOCK_LIMIT] = { "lock-limit", "The process may not lock so much memory (RLIMIT_MEMLOCK).",
				  "Raise it (setrlimit, ulimit -l, limits.conf), give CAP_IPC_LOCK, or use less memory." },
	[GH_CAUSE_LARGE_REGION] = { "large-region", "The kernel cannot keep the list of all pages of so large a region.",
				    "Use several regions of 64 to 256 MiB." },
	[GH_CAUSE_UNPINNABLE] = { "unpinnable",
				  "Pages cannot be pinned: not mapped, without the access, or beyond a file's end.",
				  "Map all of it, readable and writable; use anonymous memory or a memfd of full length." },
	[GH_CAUSE_FRAGMENTED] = { "fragmented",
				  "The host's memory is fragmented, or its pages cannot be moved to be pinned.",
				  "Ask for huge pages, fill memory early (GH_MEMORY_PREFAULT), restart the machine." },
	[GH_CAUSE_NOT_WHOLE_MAPPING] = { "not-whole-mapping",
					 "GenieZone takes only whole mappings of the process as a region.",
					 "Map it between inaccessible pages, or let the library map it (host NULL)." },
	[GH_CAUSE_HOST_MAPPING] = { "host-mapping",
				    "The host still has pages mapped or in use that are to be the guest's alone.",
				    "Unmap them before the start; let the library map the memory (host NULL)." },
	[GH_CAUSE_LENT] = { "lent", "The memory is lent to the guest: the host may not touch it.",
			    "Share a region for what both use (swiotlb), or write before gh_vm_start()." },
	[GH_CAUSE_RODATA] = { "rodata", "Lending single pages needs a kernel that was booted with rodata=full.",
			      "Boot the host with rodata=full, or share the memory." },
	[GH_CAUSE_UNBACKED] = { "unbacked", "The guest used an address where it has no memory, or not with that access.",
				"Map memory there, or correct the guest's devicetree." },

	[GH_CAUSE_TREE_PLACE] = { "tree-place", "The devicetree is not inside one region, or has no room to grow.",
				  "Put it into one region, and give gh_vm_set_dtb() a page more than it has, or twice." },
	[GH_CAUSE_TREE_RULE] = { "tree-rule", "The devicetree breaks a rule of the resource manager.",
				 "Correct the property; gh_fdt_validate() and gh-run --check-dtb list all findings." },
	[GH_CAUSE_TREE_REFUSED] = { "tree-refused", "The resource manager refused the devicetree or the memory.",
				    "Check it with gh_fdt_validate(); \"RM rejected message\" in the kernel's log says "
				    "more." },
	[GH_CAUSE_UNPROTECTED] = { "unprotected-refused", "Products refuse unprotected VMs: the main memory is shared.",
				   "Lend the region with the devicetree (GH_MEMORY_LEND)." },
	[GH_CAUSE_TOO_MANY_CPUS] = { "too-many-cpus", "There are more vCPUs than the machine gives to one VM.",
				     "Use at most as many vCPUs as the machine has CPUs." },
	[GH_CAUSE_NO_VM_IDS] = { "no-vm-ids", "The resource manager has no VM id or other resource left.",
				 "Close other VMs; after failed starts, only a restart of the machine gives ids back." },
	[GH_CAUSE_FIRMWARE] = { "firmware", "The firmware of protected VMs is missing, or refused by the platform.",
				"Start without firmware; only provisioned devices run pvmfw." },
	[GH_CAUSE_DENIED] = { "denied", "The resource manager does not allow this kind of VM here.",
			      "Look for \"RM rejected message\" in the kernel's log; try lent memory, no firmware." },
	[GH_CAUSE_HYPERVISOR_MEMORY] = { "hypervisor-memory", "The hypervisor has no memory left for its tables.",
					 "Use huge pages and fill memory early; restart the machine if it stays." },
	[GH_CAUSE_HYPERVISOR_REFUSED] = { "hypervisor-refused", "The hypervisor refused the values of the request.",
					  "Compare addresses, sizes and ids with gh_probe(); see the kernel's log." },
	[GH_CAUSE_HYPERVISOR_BUSY] = { "hypervisor-busy", "The hypervisor was busy.", "Call again after a while." },
	[GH_CAUSE_HYPERVISOR_OLD] = { "hypervisor-old",
				      "The hypervisor or its resource manager is older than the kernel's driver.",
				      "Update the firmware, or do without what was asked for." },
	[GH_CAUSE_RM_UNKNOWN] = { "rm-unknown", "The resource manager gave an error that the kernel does not know.",
				  "Look for \"RM rejected message\" in the kernel's log and in doc/errors.md." },
	[GH_CAUSE_VM_SPENT] = { "vm-spent", "The kernel's VM has failed or ended, and never starts again.",
				"Reset the VM (gh_vm_reset()), or close it and open a new one." },

	[GH_CAUSE_NO_PROXY_VCPUS] = { "no-proxy-vcpus", "The hypervisor has no vCPUs that a VMM can run.",
				      "Update the hypervisor; this one schedules vCPUs itself." },
	[GH_CAUSE_MODULE_MISSING] = { "module-missing", "A module of the kernel's driver is missing (ghfunc: vcpu, irqfd).",
				      "Load or build in gunyah_vcpu, gunyah_irqfd." },
	[GH_CAUSE_VCPU_NOT_IN_TREE] = { "vcpu-not-in-tree", "The devicetree has no cpu node for the vCPU.",
					"Add a cpu node for each vCPU." },
	[GH_CAUSE_BELL_NOT_IN_TREE] = { "bell-not-in-tree", "The devicetree has no doorbell for the line.",
					"Add a \"doorbell\" vdevice with this label to the devicetree." },
	[GH_CAUSE_REGISTER] = { "register", "The hypervisor does not let this register be set.",
				"Set only PC and x0 to x30 of vCPU 0; a stub in the guest can set others." },
	[GH_CAUSE_INTERRUPT_CONTROLLER] = { "interrupt-controller",
					    "The interrupt controller could not be made as asked for.",
					    "Choose other addresses (gh_vm_options::gic_distributor, "
					    "gic_redistributors)." },
	[GH_CAUSE_GOING_DOWN] = { "going-down", "The VM is going down, and the hypervisor has its vCPU.",
				  "Call again, or close the VM." },
	[GH_CAUSE_UNDESCRIBED_ACCESS] = { "undescribed-access",
					  "The guest made an access to a device that the CPU does not describe (ldp, stp, "
					  "SIMD).",
					  "Let the guest use plain loads and stores for device memory." },
};

const struct gh_cause_text *gh_cause_text(unsigned int cause)
{
	return cause < sizeof(texts) / sizeof(texts[0]) && texts[cause].name != NULL ? &texts[cause] : NULL;
}

const char *gh_cause_name(uint32_t cause)
{
	const struct gh_cause_text *text = gh_cause_text(cause);

	return text != NULL ? text->name : "unknown";
}

/* --- errno values in general ------------------------------------------------------------------------------------------ */

struct meaning {
	int error;
	uint8_t own;     /* of the library's own checks */
	uint8_t request; /* of a kernel request */
	uint8_t request_other;
};

static const struct meaning meanings[] = {
	{ -EINVAL, GH_CAUSE_ARGUMENT, GH_CAUSE_OTHER, GH_CAUSE_NONE },
	{ -EBUSY, GH_CAUSE_STATE, GH_CAUSE_HYPERVISOR_BUSY, GH_CAUSE_NONE },
	{ -EAGAIN, GH_CAUSE_OTHER, GH_CAUSE_HYPERVISOR_BUSY, GH_CAUSE_NONE },
	{ -EPERM, GH_CAUSE_OTHER_THREAD, GH_CAUSE_PERMISSION, GH_CAUSE_NONE },
	{ -EACCES, GH_CAUSE_PERMISSION, GH_CAUSE_PERMISSION, GH_CAUSE_SELINUX },
	{ -EEXIST, GH_CAUSE_TAKEN, GH_CAUSE_TAKEN, GH_CAUSE_NONE },
	{ -ENOENT, GH_CAUSE_NOT_FOUND, GH_CAUSE_NOT_FOUND, GH_CAUSE_NONE },
	{ -ERANGE, GH_CAUSE_RANGE, GH_CAUSE_RANGE, GH_CAUSE_NONE },
	{ -EOVERFLOW, GH_CAUSE_RANGE, GH_CAUSE_RANGE, GH_CAUSE_NONE },
	{ -ENOSPC, GH_CAUSE_NO_ROOM, GH_CAUSE_NO_ROOM, GH_CAUSE_NONE },
	{ -EOPNOTSUPP, GH_CAUSE_UNSUPPORTED, GH_CAUSE_UNSUPPORTED, GH_CAUSE_HYPERVISOR_OLD },
	{ -ENODEV, GH_CAUSE_NOT_THIS_DEVICE, GH_CAUSE_OTHER, GH_CAUSE_NONE },
	{ -ESHUTDOWN, GH_CAUSE_STATE, GH_CAUSE_VM_SPENT, GH_CAUSE_NONE },
	{ -EPROTO, GH_CAUSE_BROKEN_KERNEL, GH_CAUSE_BROKEN_KERNEL, GH_CAUSE_NONE },
	{ -EFAULT, GH_CAUSE_NO_ACCESS, GH_CAUSE_NO_ACCESS, GH_CAUSE_NONE },
	{ -ENOEXEC, GH_CAUSE_FILE, GH_CAUSE_FILE, GH_CAUSE_NONE },
	{ -EBADMSG, GH_CAUSE_FILE, GH_CAUSE_RM_UNKNOWN, GH_CAUSE_NONE },
	{ -EFBIG, GH_CAUSE_FILE, GH_CAUSE_FILE, GH_CAUSE_NONE },
	{ -ENOMEM, GH_CAUSE_MEMORY, GH_CAUSE_MEMORY, GH_CAUSE_LOCK_LIMIT },
	{ -EMFILE, GH_CAUSE_DESCRIPTORS, GH_CAUSE_DESCRIPTORS, GH_CAUSE_NONE },
	{ -ENFILE, GH_CAUSE_DESCRIPTORS, GH_CAUSE_DESCRIPTORS, GH_CAUSE_NONE },
	{ -EBADF, GH_CAUSE_ARGUMENT, GH_CAUSE_ARGUMENT, GH_CAUSE_NONE },
	{ -EINTR, GH_CAUSE_INTERRUPTED, GH_CAUSE_INTERRUPTED, GH_CAUSE_NONE },
	{ -ENOTTY, GH_CAUSE_UNSUPPORTED, GH_CAUSE_NO_REQUEST, GH_CAUSE_NONE },
};

void gh_cause_of_error(int error, bool by_kernel, enum gh_cause *ret_cause, enum gh_cause *ret_other)
{
	*ret_cause = error == 0 ? GH_CAUSE_NONE : GH_CAUSE_OTHER;
	*ret_other = GH_CAUSE_NONE;
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
		if (meanings[i].error != error)
			continue;
		*ret_cause = by_kernel ? meanings[i].request : meanings[i].own;
		*ret_other = by_kernel ? meanings[i].request_other : GH_CAUSE_NONE;
	}
}
