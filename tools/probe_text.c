/* SPDX-License-Identifier: BSD-3-Clause */
/* gh-probe's answers for people: a table, then for each hypervisor what it can do, or why it cannot be used. */
#include "probe.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define INDENT 14u
#define WIDTH 100u

/* --- pieces --------------------------------------------------------------------------------------------------------- */

/* A path may hold what a terminal would obey. */
static void put_safely(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		(void)putchar((unsigned char)text[i] < 0x20 || (unsigned char)text[i] >= 0x7f ? '?' : text[i]);
}

static void put_padded(const char *text, size_t width)
{
	size_t length = strlen(text);

	put_safely(text, length);
	(void)printf("%*s", length < width ? (int)(width - length) : 0, "");
}

/* A paragraph with a word at its left, broken between words. */
struct paragraph {
	size_t column;
};

static void begin(struct paragraph *paragraph, const char *label)
{
	(void)printf("  %-*s", (int)INDENT - 2, label);
	paragraph->column = INDENT;
}

static void put_word(struct paragraph *paragraph, const char *word, size_t length)
{
	if (paragraph->column > INDENT && paragraph->column + 1 + length > WIDTH) {
		(void)printf("\n%*s", (int)INDENT, "");
		paragraph->column = INDENT;
	} else if (paragraph->column > INDENT) {
		(void)putchar(' ');
		paragraph->column++;
	}
	put_safely(word, length);
	paragraph->column += length;
}

static void put_words(struct paragraph *paragraph, const char *text)
{
	text += strspn(text, " ");
	while (*text != '\0') {
		size_t length = strcspn(text, " ");

		put_word(paragraph, text, length);
		text += length;
		text += strspn(text, " ");
	}
}

static void put_paragraph(const char *label, const char *text)
{
	struct paragraph paragraph;

	if (text[0] == '\0')
		return;
	begin(&paragraph, label);
	put_words(&paragraph, text);
	(void)putchar('\n');
}

static void put_bits(const char *label, uint64_t bits, const char *(*name_of)(uint64_t bit))
{
	struct paragraph paragraph;
	bool is_empty = true;

	begin(&paragraph, label);
	for (unsigned int i = 0; i < 64; i++) {
		const char *name = name_of(UINT64_C(1) << i);

		if (name == NULL || (bits >> i & 1) == 0)
			continue;
		put_words(&paragraph, name);
		is_empty = false;
	}
	(void)puts(is_empty ? "(none)" : "");
}

/* --- one hypervisor --------------------------------------------------------------------------------------------------- */

static const char *state_of(const struct gh_probe_entry *entry)
{
	switch (entry->missing) {
	case GH_MISSING_NOTHING:
		return entry->caution.error != 0 ? "usable, but" : "usable";
	case GH_MISSING_NODE:
		return "no device node";
	case GH_MISSING_DRIVER:
		return "no driver";
	case GH_MISSING_PERMISSION:
		return "no permission";
	case GH_MISSING_POLICY:
		return "forbidden";
	case GH_MISSING_RESOURCE:
		return "no resources";
	case GH_MISSING_RELATION:
		return "another device";
	case GH_MISSING_DIALECT:
		return "wrong dialect";
	case GH_MISSING_FEATURE:
		return "wrong feature";
	default:
		return "refused";
	}
}

static void put_limits(const struct gh_probe_entry *entry)
{
	char text[160];

	(void)snprintf(text, sizeof(text),
		       "at most %" PRIu32 " vCPUs, %" PRIu32 " regions of memory; guest addresses of %" PRIu32
		       " bits, regions at multiples of %" PRIu64 " KiB",
		       entry->max_vcpus, entry->max_regions, entry->gpa_bits, entry->gpa_align / 1024);
	put_paragraph("limits", text);
	if (entry->mmio_end != 0) {
		(void)snprintf(text, sizeof(text), "accesses to devices below guest address 0x%" PRIx64, entry->mmio_end);
		put_paragraph("exits", text);
	}
	if (entry->lock_limit == UINT64_MAX)
		(void)snprintf(text, sizeof(text), "no limit for this process");
	else
		(void)snprintf(text, sizeof(text), "at most %" PRIu64 " KiB for this process", entry->lock_limit / 1024);
	put_paragraph("memory lock", text);
}

static void put_failure(const struct gh_failure *failure)
{
	char text[sizeof(failure->request) + 96];

	if (failure->error == 0)
		return;
	put_paragraph("cause", failure->cause);
	if (failure->request[0] != '\0')
		(void)snprintf(text, sizeof(text), "%s: %.80s", failure->request, strerror(-failure->error));
	else
		(void)snprintf(text, sizeof(text), "%.80s", strerror(-failure->error));
	put_paragraph("error", text);
	put_paragraph("remedy", failure->remedy);
}

static uint64_t all_features(void)
{
	uint64_t all = 0;

	for (unsigned int i = 0; i < 64; i++)
		if (gh_feature_name(UINT64_C(1) << i) != NULL)
			all |= UINT64_C(1) << i;
	return all;
}

static void put_details(const struct gh_probe_entry *entry, size_t width)
{
	(void)width;
	(void)printf("\n%s on ", entry->backend);
	put_safely(entry->device, strlen(entry->device));
	(void)printf(": %s\n", state_of(entry));
	if (entry->dialect[0] != '\0')
		put_paragraph("dialect", entry->dialect);
	if (entry->usable != 0) {
		put_bits("can", entry->features, gh_feature_name);
		put_bits("cannot", all_features() & ~entry->features & ~(uint64_t)GH_FEATURE_NEEDS_DTB, gh_feature_name);
		put_bits("quirks", entry->quirks, gh_quirk_name);
		put_limits(entry);
		put_failure(&entry->caution);
	}
	put_failure(&entry->failure);
}

/* --- all ------------------------------------------------------------------------------------------------------------ */

/*
 * On a device that was named, the backends that it is none of are worth no line, unless there is nothing else to say; nor is
 * the same reason for another backend.
 */
static bool is_worth_a_line(const struct probe_answer *answer, const struct gh_probe_entry *entry)
{
	bool is_first = true;

	for (unsigned int i = 0; i < gh_probe_count(answer->probe); i++) {
		const struct gh_probe_entry *other = gh_probe_get(answer->probe, i);

		is_first &= other != entry;
		if (other == entry || strcmp(other->device, entry->device) != 0)
			continue;
		if (entry->missing == GH_MISSING_RELATION && other->missing != GH_MISSING_RELATION)
			return false;
		if (is_first && entry->usable == 0 && other->missing == entry->missing &&
		    (entry->missing == GH_MISSING_RELATION || strcmp(other->failure.cause, entry->failure.cause) == 0))
			return false;
	}
	return true;
}

static void each(const struct probe_answer *answers, unsigned int count, size_t width,
		 void (*put)(const struct gh_probe_entry *entry, size_t width))
{
	for (unsigned int i = 0; i < count; i++)
		for (unsigned int k = 0; k < gh_probe_count(answers[i].probe); k++) {
			const struct gh_probe_entry *entry = gh_probe_get(answers[i].probe, k);

			if (is_worth_a_line(&answers[i], entry))
				put(entry, width);
		}
}

static void put_row(const struct gh_probe_entry *entry, size_t width)
{
	put_padded(entry->backend, 11);
	put_padded(entry->device, width);
	(void)printf(" %-15s %s\n", state_of(entry), entry->dialect[0] != '\0' ? entry->dialect : "-");
}

static void put_stranger(const struct probe_answer *answer)
{
	(void)putchar('\n');
	put_safely(answer->device != NULL ? answer->device : "this machine",
		   answer->device != NULL ? strlen(answer->device) : strlen("this machine"));
	(void)puts(": cannot be looked at");
	put_failure(&answer->failure);
}

/* Of the table's column: what the longest name takes, unless that is beyond reason. */
static size_t device_width(const struct probe_answer *answers, unsigned int count)
{
	size_t width = 12;

	for (unsigned int i = 0; i < count; i++)
		for (unsigned int k = 0; k < gh_probe_count(answers[i].probe); k++) {
			size_t length = strlen(gh_probe_get(answers[i].probe, k)->device);

			if (length > width && length <= WIDTH / 2)
				width = length;
		}
	return width;
}

void probe_text(const struct probe_answer *answers, unsigned int count)
{
	const size_t width = device_width(answers, count);

	(void)printf("%-11s%-*s %-15s %s\n", "backend", (int)width, "device", "state", "dialect");
	each(answers, count, width, put_row);
	each(answers, count, width, put_details);
	for (unsigned int i = 0; i < count; i++)
		if (answers[i].probe == NULL)
			put_stranger(&answers[i]);
}

void probe_text_names(void)
{
	put_bits("features", UINT64_MAX, gh_feature_name);
	put_bits("quirks", UINT64_MAX, gh_quirk_name);
}
