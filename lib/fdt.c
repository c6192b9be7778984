/* SPDX-License-Identifier: BSD-3-Clause */
/* The devicetree builder: what a caller describes, checked and copied. fdt_finish.c makes a tree of it. */
#include "fdt_builder.h"
#include "fdt_sound.h"

#include "internal.h"
#include "opts.h"

#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEP_OPEN "begin a devicetree"
#define STEP_ADD "add a device to the devicetree"

#define VM_NAME_MAX 79u /* Gunyah's resource manager takes less than 80 characters */
#define VM_NAME "libgh"

/* Of a property's header in a tree, its padding and its name; of a tree of one node around its properties. */
#define PROPERTY_SPACE (12u + 4u + GH_FDT_NAME_MAX + 1u)
#define TREE_SPACE 128u

#define VIRTIO_LENGTH 0x200u
#define SERIAL_LENGTH 8u
#define SERIAL_CLOCK_HZ 1843200u

/* --- beginning and end -------------------------------------------------------------------------------------------- */

static int check_name(struct gh_vm *vm, const char *name)
{
	size_t length = name != NULL ? strnlen(name, VM_NAME_MAX + 1) : 1;

	for (size_t i = 0; name != NULL && i < length; i++)
		if (name[i] < ' ' || name[i] > '~')
			length = 0;
	if (length == 0 || length > VM_NAME_MAX)
		return gh_fail_argument(&vm->failure, -EINVAL, STEP_OPEN,
					"The VM's name must be 1 to 79 printable characters.");
	return 0;
}

static bool is_two(const void *tree, const char *name)
{
	int length;
	const fdt32_t *cell = fdt_getprop(tree, 0, name, &length);

	return cell != NULL && length == (int)sizeof(*cell) && fdt32_ld(cell) == 2;
}

static int check_base(struct gh_vm *vm, const void *base, size_t size)
{
	bool bare;

	if (!gh_fdt_is_sound(base, size))
		return gh_fail(
			&vm->failure, -EINVAL, STEP_OPEN, NULL, "Look at it with dtc, and pass all of its bytes.",
			"The caller's tree is not a devicetree, is longer than %zu bytes, or is older than version 16.",
			size);
	if (fdt_totalsize(base) > GH_FDT_MAX)
		return gh_fail_argument(&vm->failure, -ENOSPC, STEP_OPEN, "The caller's tree is larger than 2 MiB.");
	bare = fdt_first_subnode(base, 0) < 0 && fdt_getprop(base, 0, "#address-cells", NULL) == NULL &&
	       fdt_getprop(base, 0, "#size-cells", NULL) == NULL;
	if (!bare && (!is_two(base, "#address-cells") || !is_two(base, "#size-cells")))
		return gh_fail_argument(
			&vm->failure, -EINVAL, STEP_OPEN,
			"The root of the caller's tree must say #address-cells = <2> and #size-cells = <2>.");
	return 0;
}

static int check_options(struct gh_vm *vm, const struct gh_fdt_options *options)
{
	int ret;

	if (atomic_load(&vm->state) != GH_VM_OPEN)
		return gh_fail_state(&vm->failure, STEP_OPEN, "The VM has been started.");
	if (options->reserved != 0 || (options->base == NULL && options->base_size != 0))
		return gh_fail_argument(&vm->failure, -EINVAL, STEP_OPEN,
					"A reserved field is set, or a tree is NULL and has bytes.");
	if (options->initrd_length > UINT64_MAX - options->initrd_gpa)
		return gh_fail_argument(&vm->failure, -ERANGE, STEP_OPEN, "The initial RAM disk wraps around.");
	if (options->n_cpus > vm->b.caps.max_vcpus)
		return gh_fail(&vm->failure, -ERANGE, STEP_OPEN, NULL, "Ask gh_probe() how many there are.",
			       "This hypervisor has %u vCPUs.", vm->b.caps.max_vcpus);
	if (options->command_line != NULL && strnlen(options->command_line, GH_FDT_MAX) == GH_FDT_MAX)
		return gh_fail_argument(&vm->failure, -ENOSPC, STEP_OPEN, "The command line is larger than 2 MiB.");
	ret = check_name(vm, options->name);
	if (ret == 0 && options->base != NULL)
		ret = check_base(vm, options->base, options->base_size);
	return ret;
}

static void *copy(const void *from, size_t size)
{
	void *to = malloc(size);

	if (to != NULL)
		memcpy(to, from, size);
	return to;
}

static void fdt_free(struct gh_fdt *fdt)
{
	while (fdt->nodes != NULL) {
		struct gh_fdt_node *node = fdt->nodes;

		fdt->nodes = node->next;
		free(node->properties);
		free(node);
	}
	free(fdt->blob);
	free(fdt->name);
	free(fdt->command_line);
	free(fdt->base);
	free(fdt);
}

static struct gh_fdt *fdt_new(struct gh_vm *vm, const struct gh_fdt_options *options)
{
	const char *name = options->name != NULL ? options->name : VM_NAME;
	struct gh_fdt *fdt = calloc(1, sizeof(*fdt));

	if (fdt == NULL)
		return NULL;
	fdt->vm = vm;
	fdt->initrd_gpa = options->initrd_gpa;
	fdt->initrd_length = options->initrd_length;
	fdt->n_cpus = options->n_cpus;
	fdt->name = copy(name, strlen(name) + 1);
	if (options->command_line != NULL)
		fdt->command_line = copy(options->command_line, strlen(options->command_line) + 1);
	if (options->base != NULL)
		fdt->base = copy(options->base, fdt_totalsize(options->base));
	if (fdt->name != NULL && (fdt->command_line != NULL || options->command_line == NULL) &&
	    (fdt->base != NULL || options->base == NULL))
		return fdt;
	fdt_free(fdt);
	return NULL;
}

/* Under the lock. */
static int open_builder(struct gh_vm *vm, struct gh_fdt_options *options, struct gh_fdt **ret_fdt)
{
	struct gh_fdt *fdt;
	void *aligned = NULL;
	int ret;

	if (options->base != NULL) {
		options->base = gh_fdt_align(options->base, options->base_size, &aligned);
		if (options->base == NULL)
			return gh_fail_memory(&vm->failure, STEP_OPEN);
	}
	ret = check_options(vm, options);
	if (ret == 0) {
		fdt = fdt_new(vm, options);
		if (fdt != NULL)
			*ret_fdt = fdt;
		else
			ret = gh_fail_memory(&vm->failure, STEP_OPEN);
	}
	free(aligned);
	return ret;
}

int gh_fdt_open(struct gh_vm *vm, const struct gh_fdt_options *callers, struct gh_fdt **ret_fdt)
{
	struct gh_fdt_options options = GH_FDT_OPTIONS_INIT;
	int ret;

	if (vm == NULL || ret_fdt == NULL ||
	    (callers != NULL && gh_opts_copy(&options, sizeof(options), sizeof(options), callers) < 0))
		return -EINVAL;
	if (gh_vm_is_forked(vm))
		return gh_fail_forked(vm);
	(void)pthread_mutex_lock(&vm->lock);
	ret = open_builder(vm, &options, ret_fdt);
	(void)pthread_mutex_unlock(&vm->lock);
	return ret;
}

void gh_fdt_close(struct gh_fdt *fdt)
{
	if (fdt != NULL)
		fdt_free(fdt);
}

int gh_fdt_blob(const struct gh_fdt *fdt, const void **ret_blob, size_t *ret_size)
{
	if (fdt == NULL || ret_blob == NULL || ret_size == NULL)
		return -EINVAL;
	if (fdt->blob == NULL)
		return -ENOENT;
	*ret_blob = fdt->blob;
	*ret_size = fdt->blob_size;
	return 0;
}

/* --- devices ------------------------------------------------------------------------------------------------------ */

/* Characters of names in the Devicetree Specification; properties have some more. */
static bool is_name(const char *name, const char *more)
{
	static const char all[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ,._+-";
	size_t length = name != NULL ? strnlen(name, GH_FDT_NAME_MAX + 1) : 0;

	for (size_t i = 0; i < length; i++)
		if (strchr(all, name[i]) == NULL && strchr(more, name[i]) == NULL)
			return false;
	return length > 0 && length <= GH_FDT_NAME_MAX;
}

static int check_shape(struct gh_vm *vm, const struct gh_fdt_device *device)
{
	const uint32_t known = GH_FDT_CONSOLE | GH_FDT_PRIMECELL | GH_FDT_COHERENT;

	if ((device->flags & ~known) != 0 || device->reserved != 0)
		return gh_fail_argument(&vm->failure, -EINVAL, STEP_ADD, "An unknown flag or a reserved field is set.");
	if ((device->compatible == NULL && device->n_compatible != 0) || (device->irqs == NULL && device->n_irqs != 0) ||
	    (device->properties == NULL && device->n_properties != 0))
		return gh_fail_argument(&vm->failure, -EINVAL, STEP_ADD, "A list is NULL, and its number is not 0.");
	if (device->n_compatible == 0 && device->n_properties == 0)
		return gh_fail_argument(
			&vm->failure, -EINVAL, STEP_ADD,
			"The device has neither a compatible string nor a property: no driver would find it.");
	if (!is_name(device->name, "") || strchr("0123456789,._+-", device->name[0]) != NULL)
		return gh_fail_argument(
			&vm->failure, -EINVAL, STEP_ADD,
			"A device's name is 1 to 31 letters, digits and \",._+-\", and begins with a letter.");
	return 0;
}

static int check_contents(struct gh_vm *vm, const struct gh_fdt_device *device)
{
	for (size_t i = 0; i < device->n_compatible; i++)
		if (device->compatible[i] == NULL || device->compatible[i][0] == '\0')
			return gh_fail_argument(&vm->failure, -EINVAL, STEP_ADD, "A compatible string is NULL or empty.");
	for (size_t i = 0; i < device->n_properties; i++) {
		const struct gh_fdt_property *property = &device->properties[i];

		if (!is_name(property->name, "#?*") || (property->value == NULL && property->length != 0))
			return gh_fail_argument(&vm->failure, -EINVAL, STEP_ADD,
						"A property has no name, too long a one, or a value that is NULL.");
		if (property->length > GH_FDT_MAX)
			return gh_fail_argument(&vm->failure, -ERANGE, STEP_ADD, "A property is larger than 2 MiB.");
	}
	if (device->n_irqs > GH_FDT_LINES)
		return gh_fail_argument(&vm->failure, -ERANGE, STEP_ADD, "There are not so many lines.");
	for (size_t i = 0; i < device->n_irqs; i++) {
		if ((device->irqs[i].flags & ~(uint32_t)GH_IRQ_LEVEL) != 0)
			return gh_fail_argument(&vm->failure, -EINVAL, STEP_ADD, "An interrupt has an unknown flag.");
		if (device->irqs[i].line >= GH_FDT_LINES || device->irqs[i].line >= vm->b.caps.max_lines)
			return gh_fail(&vm->failure, -ERANGE, STEP_ADD, NULL,
				       "Lines are counted from 0; INTID 32 is line 0.", "There is no line %u.",
				       device->irqs[i].line);
	}
	return 0;
}

static void name_node(const struct gh_fdt_device *device, char *name, size_t room)
{
	if (device->length != 0)
		(void)snprintf(name, room, "%s@%llx", device->name, (unsigned long long)device->gpa);
	else
		(void)snprintf(name, room, "%s", device->name);
}

static int check_place(const struct gh_fdt *fdt, const struct gh_fdt_device *device)
{
	struct gh_vm *vm = fdt->vm;
	char name[sizeof(fdt->nodes->name)];

	if (device->length > UINT64_MAX - device->gpa ||
	    (vm->b.caps.gpa_bits < 64 && device->gpa + device->length > UINT64_C(1) << vm->b.caps.gpa_bits))
		return gh_fail_argument(&vm->failure, -ERANGE, STEP_ADD,
					"The device's registers end beyond the guest's address space.");
	name_node(device, name, sizeof(name));
	for (const struct gh_fdt_node *other = fdt->nodes; other != NULL; other = other->next)
		if (strcmp(other->name, name) == 0 || (device->gpa < other->gpa + other->length &&
						       other->gpa < device->gpa + device->length && device->length != 0))
			return gh_fail(&vm->failure, -EEXIST, STEP_ADD, NULL, "Choose another address or name.",
				       "%s has the name or an address of %s.", name, other->name);
	return 0;
}

/* Room for the properties as a tree; 0 if that would be too much. */
static size_t measure(const struct gh_fdt_device *device)
{
	size_t size = TREE_SPACE + PROPERTY_SPACE;

	for (size_t i = 0; i < device->n_compatible && size <= GH_FDT_MAX; i++)
		size += strlen(device->compatible[i]) + 1;
	for (size_t i = 0; i < device->n_properties && size <= GH_FDT_MAX; i++)
		size += device->properties[i].length + PROPERTY_SPACE;
	return size <= GH_FDT_MAX + TREE_SPACE ? size : 0;
}

/* Unless it is among the properties, which win. */
static int put_compatible(void *tree, const struct gh_fdt_device *device)
{
	size_t length = 0;
	void *place;
	int ret;

	for (size_t i = 0; i < device->n_properties; i++)
		if (strcmp(device->properties[i].name, "compatible") == 0)
			return 0;
	for (size_t i = 0; i < device->n_compatible; i++)
		length += strlen(device->compatible[i]) + 1;
	if (length == 0)
		return 0;
	ret = fdt_property_placeholder(tree, "compatible", (int)length, &place);
	for (size_t i = 0; i < device->n_compatible && ret == 0; i++) {
		length = strlen(device->compatible[i]) + 1;
		memcpy(place, device->compatible[i], length);
		place = (char *)place + length;
	}
	return ret;
}

/* What a node has beside what the library writes, as a tree of its own: libfdt keeps names and values. */
static void *copy_properties(const struct gh_fdt_device *device)
{
	size_t size = measure(device);
	void *tree = size != 0 ? malloc(size) : NULL;
	int ret;

	if (tree == NULL)
		return NULL;
	ret = fdt_create(tree, (int)size);
	if (ret == 0)
		ret = fdt_finish_reservemap(tree);
	if (ret == 0)
		ret = fdt_begin_node(tree, "");
	/* Backwards: libfdt puts a new property before the older ones. */
	for (size_t i = device->n_properties; i-- > 0 && ret == 0;)
		ret = fdt_property(tree, device->properties[i].name, device->properties[i].value,
				   (int)device->properties[i].length);
	if (ret == 0)
		ret = put_compatible(tree, device);
	if (ret == 0)
		ret = fdt_end_node(tree);
	if (ret == 0)
		ret = fdt_finish(tree);
	if (ret == 0)
		return tree;
	free(tree);
	return NULL;
}

static struct gh_fdt_node *node_new(const struct gh_fdt_device *device)
{
	struct gh_fdt_node *node = calloc(1, sizeof(*node) + device->n_irqs * sizeof(node->irqs[0]));

	if (node == NULL)
		return NULL;
	node->properties = copy_properties(device);
	if (node->properties == NULL) {
		free(node);
		return NULL;
	}
	name_node(device, node->name, sizeof(node->name));
	node->gpa = device->gpa;
	node->length = device->length;
	node->flags = device->flags;
	node->n_irqs = device->n_irqs;
	if (device->n_irqs != 0)
		memcpy(node->irqs, device->irqs, device->n_irqs * sizeof(node->irqs[0]));
	return node;
}

/* Under the lock: the failure is the VM's. */
static int add_device(struct gh_fdt *fdt, const struct gh_fdt_device *device)
{
	struct gh_fdt_node *node;
	int ret = check_shape(fdt->vm, device);

	if (ret == 0)
		ret = check_contents(fdt->vm, device);
	if (ret == 0)
		ret = check_place(fdt, device);
	if (ret == 0 && measure(device) == 0)
		ret = gh_fail_argument(&fdt->vm->failure, -ERANGE, STEP_ADD, "The properties are larger than 2 MiB.");
	if (ret < 0)
		return ret;
	node = node_new(device);
	if (node == NULL)
		return gh_fail_memory(&fdt->vm->failure, STEP_ADD);
	node->next = fdt->nodes;
	fdt->nodes = node;
	return 0;
}

int gh_fdt_add_device(struct gh_fdt *fdt, const struct gh_fdt_device *callers)
{
	struct gh_fdt_device device = GH_FDT_DEVICE_INIT;
	int ret;

	if (fdt == NULL || callers == NULL || gh_opts_copy(&device, sizeof(device), sizeof(device), callers) < 0)
		return -EINVAL;
	if (gh_vm_is_forked(fdt->vm))
		return gh_fail_forked(fdt->vm);
	(void)pthread_mutex_lock(&fdt->vm->lock);
	ret = add_device(fdt, &device);
	(void)pthread_mutex_unlock(&fdt->vm->lock);
	return ret;
}

int gh_fdt_add_serial(struct gh_fdt *fdt, uint64_t gpa, uint32_t line, uint32_t flags)
{
	static const char *const compatible[] = { "ns16550a" };
	const fdt32_t clock = cpu_to_fdt32(SERIAL_CLOCK_HZ);
	const fdt32_t shift = cpu_to_fdt32(0);
	const fdt32_t width = cpu_to_fdt32(1);
	const struct gh_fdt_property properties[] = {
		{ "clock-frequency", &clock, sizeof(clock) },
		{ "reg-shift", &shift, sizeof(shift) },
		{ "reg-io-width", &width, sizeof(width) },
	};
	const struct gh_fdt_irq irq = { line, flags };
	const struct gh_fdt_device device = {
		.size = sizeof(device),
		.name = "serial",
		.compatible = compatible,
		.n_compatible = 1,
		.gpa = gpa,
		.length = SERIAL_LENGTH,
		.irqs = &irq,
		.n_irqs = 1,
		.properties = properties,
		.n_properties = sizeof(properties) / sizeof(properties[0]),
		.flags = GH_FDT_CONSOLE,
	};

	return gh_fdt_add_device(fdt, &device);
}

int gh_fdt_add_virtio(struct gh_fdt *fdt, uint64_t gpa, uint32_t line, uint32_t flags)
{
	static const char *const compatible[] = { "virtio,mmio" };
	const struct gh_fdt_irq irq = { line, flags };
	const struct gh_fdt_device device = {
		.size = sizeof(device),
		.name = "virtio_mmio",
		.compatible = compatible,
		.n_compatible = 1,
		.gpa = gpa,
		.length = VIRTIO_LENGTH,
		.irqs = &irq,
		.n_irqs = 1,
		.flags = GH_FDT_COHERENT,
	};

	return gh_fdt_add_device(fdt, &device);
}
