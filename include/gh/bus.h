/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * @brief The bus: which device answers which guest physical address.
 *
 * A VM has one bus. gh_bus_add() gives a range of addresses to a handler; gh_bus_dispatch() takes a #GH_EXIT_MMIO to the
 * handler whose range holds it, and answers the guest. gh_vcpu_loop() and gh_vm_run() dispatch by themselves.
 *
 * @code
 * static int on_access(void *data, struct gh_bus_access *access)
 * {
 *     struct device *device = data;
 *
 *     if (access->is_store != 0)
 *         device->registers[access->offset / 4] = (uint32_t)access->value;
 *     else
 *         access->value = device->registers[access->offset / 4];
 *     return GH_BUS_DONE;
 * }
 *
 * struct gh_bus_range_options options = GH_BUS_RANGE_OPTIONS_INIT;
 * options.name = "device";
 * options.gpa = 0x9000000;
 * options.length = 0x1000;
 * options.access = on_access;
 * options.data = device;
 * options.guest_widths = GH_BUS_32; // anything else never gets here
 * gh_bus_add(vm, &options, &range);
 * @endcode
 *
 * @par Which accesses a handler gets
 * The whole access counts. One that begins inside a range and ends outside of it is *unmatched*, as is one that no range
 * holds. gh_bus_range_options::guest_widths says how wide the guest's accesses may be; others, and ones that are not
 * aligned to their width unless #GH_BUS_UNALIGNED is set, are *forbidden*: counted with the range, and then treated as
 * unmatched.
 *
 * gh_bus_range_options::handler_widths says what the handler implements. 0: it gets every access as the guest made it.
 * Otherwise it gets whole, aligned registers of the widths that are named there and nothing else:
 *
 * * the register width is the access's own, or the widest implemented one that is narrower, or, if there is none, the
 *   narrowest one that is wider;
 * * the handler is called for each register that the access touches, in ascending addresses; mostly that is one;
 * * gh_bus_access::mask has the bits of the register that the guest really accesses. The bus extracts them from what a load
 *   gives. A store has zeros outside of the mask, and it is up to the handler to keep those bits of its register: the bus never
 *   reads a register that the guest has not asked for.
 *
 * The first call that does not return #GH_BUS_DONE ends the access, and its result counts for all of it; stores to lower
 * registers have happened then.
 *
 * @par Threads
 * Handlers run on the thread that dispatches, several at once if several vCPUs access one range: a handler protects its own
 * device. No lock of the library is held over any callback, so a handler may call anything but gh_vm_close() and a run of, or a
 * dispatch on, its own vCPU: it may add and remove any range, its own one as well. Dispatching takes no lock and no memory.
 *
 * @par Removal
 * When gh_bus_remove() returns, no handler of the range is running, nor will one: what gh_bus_range_options::data points to can
 * be freed. There is one exception: called from inside a handler or a trace function of the same VM it does not wait, because
 * two handlers that remove each other's range would wait for ever. So memory that a handler may cause to be removed is freed
 * by gh_bus_range_options::removed, which is called exactly once, when the last handler has left, whoever removed the range.
 * The rule that is always right: free in `removed`, and nowhere else.
 * @defgroup bus Bus
 * @{
 */
#ifndef GH_BUS_H
#define GH_BUS_H

#include "base.h"
#include "exit.h"

/** @brief What a handler says of an access, and gh_bus_dispatch() of an exit. */
enum gh_bus_verdict {
	/** Done; of a load, gh_bus_access::value is the answer. */
	GH_BUS_DONE = 0,
	/**
	 * The load will be answered by gh_mmio_complete(), now or later, on any thread. Only a load that the handler got as the
	 * guest made it can be deferred (see gh_bus_dispatch()). For a store it is the same as #GH_BUS_DONE: the guest does
	 * not wait for it.
	 */
	GH_BUS_DEFER = 1,
	/** The access fails: the guest takes an abort where the kernel can do that, and otherwise it is unmatched. */
	GH_BUS_FAIL = 2,
	/** There is nothing at this address, although it is in the range: treated as unmatched. */
	GH_BUS_UNMATCHED = 3,
};

/** @brief Widths of accesses: each is its number of bytes. */
enum gh_bus_width {
	GH_BUS_8 = 1,  /**< 1 byte. */
	GH_BUS_16 = 2, /**< 2 bytes. */
	GH_BUS_32 = 4, /**< 4 bytes. */
	GH_BUS_64 = 8, /**< 8 bytes. */
};

/** @brief Bits of gh_bus_range_options::flags. */
enum gh_bus_flag {
	/** The guest's accesses need not be aligned to their width. */
	GH_BUS_UNALIGNED = 1 << 0,
};

/**
 * @brief One call of a handler. The handler writes gh_bus_access::value of a load, and nothing else: later calls may be shown the
 * same structure, with what has been written into it. It is the library's again when the handler returns.
 */
struct gh_bus_access {
	struct gh_vcpu *vcpu;       /**< Whose access it is. */
	struct gh_bus_range *range; /**< The range, for a handler that removes itself. */
	uint64_t gpa;               /**< Guest physical address in bytes. */
	uint64_t offset;            /**< The same, counted from the range's first byte. */
	/** What is stored, 0 outside of the mask. Of a load it is 0, and the handler's to set; cut to the mask. */
	uint64_t value;
	/** The bits that the guest accesses: all of the width, unless the access has been widened (handler_widths). */
	uint64_t mask;
	uint32_t width;    /**< 1, 2, 4 or 8 bytes. */
	uint32_t is_store; /**< 1 for a store, 0 for a load. */
};

/** @brief A range and its handler. */
struct gh_bus_range_options {
	size_t size;     /**< Size of this structure in bytes. */
	uint64_t gpa;    /**< Guest physical address of the first byte; a multiple of the widest of handler_widths. */
	uint64_t length; /**< Bytes; a multiple of the widest of handler_widths. */
	/** Who it is, in failures and dumps: 1 to 63 printable ASCII characters; copied. */
	const char *name;
	/**
	 * Called on the thread that dispatches, without a lock of the library. Returns one of #gh_bus_verdict, or a negative
	 * errno value, which gh_bus_dispatch() returns and which ends a loop.
	 */
	int (*access)(void *data, struct gh_bus_access *access);
	/**
	 * Called once, when the range has been removed and the last handler has left: before gh_bus_remove() returns if that
	 * waits, otherwise on the thread of the vCPU whose handler was the last, after that has returned; first of all by
	 * gh_vm_close() for ranges that are still there, while the VM's vCPUs, lines and doorbells still exist. NULL: nothing.
	 */
	void (*removed)(void *data);
	void *data;              /**< First argument of both. */
	uint32_t guest_widths;   /**< An or of #gh_bus_width: what the guest may use. 0: all. */
	uint32_t handler_widths; /**< An or of #gh_bus_width: what the handler implements. 0: what the guest made. */
	uint32_t flags;          /**< An or of #gh_bus_flag. */
	uint32_t reserved;       /**< 0. */
};

/** @brief Initial value of #gh_bus_range_options. */
#define GH_BUS_RANGE_OPTIONS_INIT                                                                                          \
	{                                                                                                                  \
		sizeof(struct gh_bus_range_options), 0, 0, NULL, NULL, NULL, NULL, 0, 0, 0, 0                              \
	}

/** @brief What becomes of accesses that no handler takes, in gh_bus_unmatched_options::policy. */
enum gh_bus_policy {
	/**
	 * gh_bus_dispatch() leaves them alone and returns #GH_BUS_UNMATCHED: the caller is the catch-all. In gh_vcpu_loop() and
	 * gh_vm_run() that is gh_loop_options::exit; without one, as #GH_BUS_UNMATCHED_VALUE.
	 */
	GH_BUS_UNMATCHED_PASS = 0,
	/** Loads read gh_bus_unmatched_options::value, stores do nothing. */
	GH_BUS_UNMATCHED_VALUE = 1,
	/** The guest takes an abort where the kernel can do that; elsewhere as #GH_BUS_UNMATCHED_VALUE. */
	GH_BUS_UNMATCHED_FAIL = 2,
};

/** @brief What becomes of accesses that no handler takes. */
struct gh_bus_unmatched_options {
	size_t size;       /**< Size of this structure in bytes. */
	uint64_t value;    /**< What loads read, cut to their width. UINT64_MAX is what empty buses read as. */
	uint32_t policy;   /**< One of #gh_bus_policy. */
	uint32_t reserved; /**< 0. */
};

/** @brief Initial value of #gh_bus_unmatched_options, and the policy of a VM that nobody has given one. */
#define GH_BUS_UNMATCHED_OPTIONS_INIT                                                                                      \
	{                                                                                                                  \
		sizeof(struct gh_bus_unmatched_options), 0, GH_BUS_UNMATCHED_PASS, 0                                       \
	}

/** @brief What a range has been asked so far. All count accesses of the guest, not calls of the handler. */
struct gh_bus_range_counts {
	size_t size;        /**< Size of this structure in bytes. */
	uint64_t loads;     /**< Loads that reached the handler. */
	uint64_t stores;    /**< Stores that reached the handler. */
	uint64_t deferred;  /**< Of these loads, ones that the handler deferred. */
	uint64_t failed;    /**< Of these, ones that did not end with #GH_BUS_DONE or #GH_BUS_DEFER. */
	uint64_t forbidden; /**< Accesses that the range's rules forbid; they did not reach the handler. */
};

/** @brief Initial value of #gh_bus_range_counts. */
#define GH_BUS_RANGE_COUNTS_INIT                                                                                           \
	{                                                                                                                  \
		sizeof(struct gh_bus_range_counts), 0, 0, 0, 0, 0                                                          \
	}

/** @brief What the bus of a VM has been asked so far, apart from what its ranges have counted. */
struct gh_bus_counts {
	size_t size;               /**< Size of this structure in bytes. */
	uint64_t unmatched_loads;  /**< Loads treated as unmatched, whatever became of them. */
	uint64_t unmatched_stores; /**< Stores treated as unmatched, whatever became of them. */
	uint64_t doorbells;        /**< Stores that rang a doorbell which the kernel could not take (gh/ioevent.h). */
};

/** @brief Initial value of #gh_bus_counts. */
#define GH_BUS_COUNTS_INIT                                                                                                 \
	{                                                                                                                  \
		sizeof(struct gh_bus_counts), 0, 0, 0                                                                      \
	}

/** @brief One access, as a trace function sees it. Belongs to the library; it may grow at its end. */
struct gh_bus_event {
	struct gh_vcpu *vcpu; /**< Whose access it was. */
	/** Name of the range that holds the access, NULL if there is none; valid during the call. */
	const char *range;
	uint64_t gpa;      /**< Guest physical address in bytes. */
	uint64_t value;    /**< What was stored, or what a load was answered with; 0 if it has not been answered. */
	uint32_t width;    /**< 1, 2, 4 or 8 bytes. */
	uint32_t is_store; /**< 1 for a store, 0 for a load. */
	/** One of #gh_bus_verdict, or the negative errno value that gh_bus_dispatch() returns. */
	int32_t verdict;
	uint32_t is_doorbell; /**< 1 if a doorbell took it. */
};

/** @brief Who sees accesses. */
struct gh_bus_trace_options {
	size_t size; /**< Size of this structure in bytes. */
	/**
	 * Called after each access that gh_bus_dispatch() has handled, on its thread, without a lock of the library. It may do
	 * what a handler may do.
	 */
	void (*trace)(void *data, const struct gh_bus_event *event);
	/** Called once, when @c trace has been replaced and has returned for the last time; by gh_vm_close() at the latest. */
	void (*removed)(void *data);
	void *data; /**< First argument of both. */
};

/** @brief Initial value of #gh_bus_trace_options. */
#define GH_BUS_TRACE_OPTIONS_INIT                                                                                          \
	{                                                                                                                  \
		sizeof(struct gh_bus_trace_options), NULL, NULL, NULL                                                      \
	}

/** @brief Forms of gh_bus_dump(). */
enum gh_bus_format {
	GH_BUS_TEXT = 0, /**< Lines for people; their form may change. */
	/**
	 * One JSON object: `ranges` (name, gpa, length, guest_widths, handler_widths, unaligned, loads, stores, deferred, failed,
	 * forbidden), `doorbells` (gpa, width, value or null), `unmatched` (policy, value, loads, stores), `doorbells_rung`,
	 * `trace`. Addresses and values are strings such as "0x9000000". Members may be added.
	 */
	GH_BUS_JSON = 1,
};

GH_BEGIN_DECLS

/**
 * @brief Give a range of guest physical addresses to a handler.
 *
 * The handler may be called before this function returns, if vCPUs run. Nothing is asked of the hypervisor: accesses come here
 * because there is no memory at the address, which is the caller's to see to.
 *
 * @param[in] vm         VM in any state.
 * @param[in] options    The range; not needed after the call.
 * @param[out] ret_range Receives the range; left untouched on failure. Goes with the VM, or with gh_bus_remove(). NULL: the
 *                       caller does not want to know.
 *
 * @retval 0       Done.
 * @retval -EINVAL @p vm or @p options is NULL, the structure has an unknown tail, an unknown bit or a reserved field is set,
 *                 there is no name, one that is too long or not printable ASCII, no handler, a length of 0, or the range is
 *                 not aligned to the handler's registers.
 * @retval -ERANGE The range wraps around the address space.
 * @retval -EEXIST The range overlaps another one; the failure names both.
 * @retval -EBUSY  The VM is being closed.
 * @retval -EPERM  This is a forked child.
 * @retval -ENOMEM Out of memory.
 *
 * @mtany
 * Also in a handler.
 * @asunsafe
 * @par Kernel requests
 * membarrier(), where the kernel has it; sched_yield() and ppoll() while another thread is in the midst of a look-up;
 * rt_sigprocmask() and ppoll() if membarrier() no longer works.
 * @since 0.1
 */
GH_API int gh_bus_add(struct gh_vm *vm, const struct gh_bus_range_options *options, struct gh_bus_range **ret_range);

/**
 * @brief Take a range away, and free it.
 *
 * New accesses no longer find the range. The call returns when no handler of it is running any more; but see *Removal* above for
 * what it does in a handler. A load that a handler has deferred is still to be answered.
 *
 * @param[in] range Range, or NULL. Not to be used afterwards, except that a handler may remove its own range
 *                  twice, and callbacks in the course of gh_vm_close() any range.
 *
 * @mtany
 * Not at the same time as gh_vm_close() of its VM. Holding a lock that a handler of the range wants is a deadlock.
 * @asunsafe
 * @par Kernel requests
 * As gh_bus_add(); futex() while a handler of the range runs.
 * @par After fork()
 * Does nothing in the child: the range goes with gh_vm_close().
 * @since 0.1
 */
GH_API void gh_bus_remove(struct gh_bus_range *range);

/**
 * @brief Take an exit to the device that it is for, and answer the guest.
 *
 * For VMMs with a run loop of their own; gh_vcpu_loop() and gh_vm_run() call it.
 *
 * @param[in] vcpu vCPU that the exit comes from.
 * @param[in] exit Its last exit, which nobody has answered.
 *
 * @retval GH_BUS_DONE      Done; a load has been answered. Also if the VM has stopped meanwhile.
 * @retval GH_BUS_DEFER     The handler has deferred the load: it must be answered before the vCPU runs again.
 * @retval GH_BUS_UNMATCHED Nothing has been done: the exit is not an access, or nobody took it and the policy for such
 *                          accesses is #GH_BUS_UNMATCHED_PASS. A load waits for its answer.
 * @retval -EINVAL     An argument is NULL, the width is none of 1, 2, 4 and 8, or the handler returned a positive number that
 *                     is no verdict.
 * @retval -EOPNOTSUPP The handler has deferred a load that had to be split or widened for it. The load waits for its answer.
 * @retval -EBUSY      The access does not wait for an answer: it is not the vCPU's last exit, or has been answered. A handler
 *                     that calls gh_mmio_complete() returns #GH_BUS_DEFER. Only loads wait: a store that is dispatched twice
 *                     happens twice.
 * @retval -EFAULT     Nobody took the access, which is one to memory that the kernel could not provide: shared memory, with
 *                     #GH_FEATURE_DEMAND_PAGING. A load waits for its answer still.
 * @retval -EPERM      This is a forked child, or the vCPU is in this call already: a handler cannot dispatch on its own vCPU.
 * @return Otherwise the negative errno value that the handler returned, or that of the kernel when it should have made the
 *         guest take an abort. gh_vcpu_failure() names the range. A load waits for its answer then.
 *
 * @mtobject
 * The thread that got the exit, or one that has been handed it, while nobody runs the vCPU; a loop in which the exit function
 * has deferred the exit (#GH_LOOP_DEFER) does not. Different vCPUs dispatch at the same time.
 * @asunsafe
 * @par Kernel requests
 * None; write() for a doorbell; those of gh_mmio_fail() for an access that fails.
 * @since 0.1
 */
GH_API int gh_bus_dispatch(struct gh_vcpu *vcpu, const struct gh_exit *exit);

/**
 * @brief Choose what becomes of accesses that no handler takes.
 *
 * Accesses that are being dispatched meanwhile go by the old policy or by the new one.
 *
 * @param[in] vm      VM in any state.
 * @param[in] options What becomes of them; not needed after the call.
 *
 * @retval 0       Done.
 * @retval -EINVAL An argument is NULL, the structure has an unknown tail, a reserved field is set, or there is no such policy.
 * @retval -EBUSY  The VM is being closed.
 * @retval -EPERM  This is a forked child.
 * @retval -ENOMEM Out of memory.
 *
 * @mtany
 * Also in a handler.
 * @asunsafe
 * @par Kernel requests
 * As gh_bus_add().
 * @since 0.1
 */
GH_API int gh_bus_set_unmatched(struct gh_vm *vm, const struct gh_bus_unmatched_options *options);

/**
 * @brief Have every access shown to a function, or no longer.
 *
 * When it returns, the function that was there before is not running any more; in a handler or a trace function of the same VM
 * it does not wait for that (gh_bus_trace_options::removed). Without one, tracing costs nothing.
 *
 * @param[in] vm      VM in any state.
 * @param[in] options The function; not needed after the call. NULL: none.
 *
 * @retval 0       Done.
 * @retval -EINVAL @p vm is NULL, the structure has an unknown tail, or there is no function in it.
 * @retval -EBUSY  The VM is being closed.
 * @retval -EPERM  This is a forked child.
 * @retval -ENOMEM Out of memory.
 *
 * @mtany
 * Also in a handler.
 * @asunsafe
 * @par Kernel requests
 * As gh_bus_remove().
 * @since 0.1
 */
GH_API int gh_bus_set_trace(struct gh_vm *vm, const struct gh_bus_trace_options *options);

/**
 * @brief What a range has been asked so far.
 *
 * Numbers of vCPUs that dispatch meanwhile may be a little old. Counting costs neither a lock nor a shared cache line.
 *
 * @param[in] range       Range.
 * @param[out] ret_counts Receives the numbers, as many as its size has room for; left untouched on failure.
 *
 * @retval 0       Done.
 * @retval -EINVAL An argument is NULL, or the structure's size is smaller than that of its first version.
 * @retval -EPERM  This is a forked child.
 *
 * @mtany
 * Also in a handler; not after gh_bus_remove().
 * @asunsafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API int gh_bus_range_counts(const struct gh_bus_range *range, struct gh_bus_range_counts *ret_counts);

/**
 * @brief What the bus of a VM has been asked so far, apart from what its ranges have counted.
 *
 * @param[in] vm          VM.
 * @param[out] ret_counts Receives the numbers, as many as its size has room for; left untouched on failure.
 *
 * @retval 0       Done.
 * @retval -EINVAL An argument is NULL, or the structure's size is smaller than that of its first version.
 * @retval -EPERM  This is a forked child.
 *
 * @mtany
 * Also in a handler.
 * @asunsafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API int gh_bus_counts(struct gh_vm *vm, struct gh_bus_counts *ret_counts);

/**
 * @brief Write the map of the bus, with all its numbers.
 *
 * @param[in] vm     VM in any state.
 * @param[in] format One of #gh_bus_format.
 * @param[in] write  Called for each piece, in order, without a lock of the library: @c length bytes of text, which also end
 *                   with a NUL. Returns 0, or a negative errno value that ends the dump and becomes its result.
 * @param[in] data   First argument of @p write.
 *
 * @retval 0       Done.
 * @retval -EINVAL @p vm or @p write is NULL, there is no such format, or @p write returned a positive number.
 * @retval -EPERM  This is a forked child.
 * @retval -ENOMEM Out of memory; nothing has been written.
 * @return Otherwise what @p write returned.
 *
 * @mtany
 * Also in a handler. The ranges are those of one moment.
 * @asunsafe
 * @par Kernel requests
 * None.
 * @since 0.1
 */
GH_API int gh_bus_dump(struct gh_vm *vm, uint32_t format, int (*write)(void *data, const char *text, size_t length),
		       void *data);

GH_END_DECLS

/** @} */
#endif
