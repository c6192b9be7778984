/* SPDX-License-Identifier: BSD-3-Clause */
/* Prints the tables of doc/compatibility.md: what gh_probe() finds on the simulated device of each revision. */
#include "../../lib/sim/sim.h"

#include <gh/gh.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 32u

struct family {
	const char *title;
	const struct sim_driver *const *drivers;
};

static const struct family families[] = {
	{ "Gunyah", sim_drivers_gunyah },
	{ "GenieZone", sim_drivers_gzvm },
	{ "Halla", sim_drivers_halla },
};

/* A device, and the answer of the backend that knows it, or that knows why not. */
struct column {
	char name[64];
	struct gh_probe *probe;
	const struct gh_probe_entry *entry;
};

static bool fill(struct column *column, const struct sim_driver *driver)
{
	const char *backend = strcmp(driver->name, "gzvm") == 0 ? "geniezone" : driver->name;
	struct gh_vm_options options = GH_VM_OPTIONS_INIT;
	char device[96];

	/* The first of its names. */
	(void)snprintf(column->name, sizeof(column->name), "%.*s", (int)strcspn(driver->revision, " "), driver->revision);
	(void)snprintf(device, sizeof(device), "sim:%s/%s,engine=script", driver->name, column->name);
	options.backend = backend;
	options.device = device;
	if (gh_probe(&options, &column->probe) < 0)
		return false;
	column->entry = gh_probe_get(column->probe, 0);
	return column->entry != NULL && (column->entry->usable != 0 || column->entry->missing == GH_MISSING_DIALECT);
}

static void print_head(const struct column *columns, unsigned int n, const char *what)
{
	(void)printf("\n| %s |", what);
	for (unsigned int i = 0; i < n; i++)
		(void)printf(" %s |", columns[i].name);
	(void)printf("\n|---|");
	for (unsigned int i = 0; i < n; i++)
		(void)printf("---|");
	(void)printf("\n");
}

static void print_number(const struct column *columns, unsigned int n, const char *what,
			 uint64_t (*number)(const struct gh_probe_entry *entry))
{
	(void)printf("| %s |", what);
	for (unsigned int i = 0; i < n; i++) {
		uint64_t value = number(columns[i].entry);

		if (columns[i].entry->usable == 0)
			(void)printf(" |");
		else if (value % (1u << 20) == 0 && value != 0)
			(void)printf(" %llu MiB |", (unsigned long long)value >> 20);
		else if (value >= UINT32_MAX)
			(void)printf(" any |");
		else
			(void)printf(" %llu |", (unsigned long long)value);
	}
	(void)printf("\n");
}

static uint64_t vcpus(const struct gh_probe_entry *entry)
{
	return entry->max_vcpus;
}

static uint64_t regions(const struct gh_probe_entry *entry)
{
	return entry->max_regions;
}

static uint64_t lines(const struct gh_probe_entry *entry)
{
	return entry->max_lines;
}

static uint64_t align(const struct gh_probe_entry *entry)
{
	return entry->gpa_align;
}

static uint64_t bits(const struct gh_probe_entry *entry)
{
	return entry->gpa_bits;
}

/* Only those that some of them have. */
static void print_bits(const struct column *columns, unsigned int n, bool quirks)
{
	uint64_t all = 0;

	for (unsigned int i = 0; i < n; i++)
		all |= quirks ? columns[i].entry->quirks : columns[i].entry->features;
	if (all == 0)
		return;
	print_head(columns, n, quirks ? "quirk" : "feature");
	for (unsigned int bit = 0; bit < 64; bit++) {
		const char *name = quirks ? gh_quirk_name(UINT64_C(1) << bit) : gh_feature_name(UINT64_C(1) << bit);

		if (name == NULL || (all >> bit & 1) == 0)
			continue;
		(void)printf("| %s |", name);
		for (unsigned int i = 0; i < n; i++) {
			uint64_t set = quirks ? columns[i].entry->quirks : columns[i].entry->features;

			(void)printf(" %s |", (set >> bit & 1) != 0 ? "yes" : "");
		}
		(void)printf("\n");
	}
}

static bool print_family(const struct family *family)
{
	struct column columns[MOST];
	unsigned int n = 0;
	bool ok = true;

	for (; ok && n < MOST && family->drivers[n] != NULL; n++)
		ok = fill(&columns[n], family->drivers[n]);
	if (ok) {
		(void)printf("\n## %s\n", family->title);
		print_head(columns, n, "");
		(void)printf("| works |");
		for (unsigned int i = 0; i < n; i++)
			(void)printf(" %s |", columns[i].entry->usable != 0 ? "yes" : "refused");
		(void)printf("\n");
		print_number(columns, n, "vCPUs", vcpus);
		print_number(columns, n, "regions", regions);
		print_number(columns, n, "lines", lines);
		print_number(columns, n, "alignment of regions", align);
		print_number(columns, n, "bits of guest addresses", bits);
		print_bits(columns, n, false);
		print_bits(columns, n, true);
	} else {
		(void)fprintf(stderr, "compatibility: %s cannot be probed\n", columns[n - 1].name);
	}
	for (unsigned int i = 0; i < n; i++)
		gh_probe_free(columns[i].probe);
	return ok;
}

int main(void)
{
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		if (!print_family(&families[i]))
			return EXIT_FAILURE;
	return EXIT_SUCCESS;
}
