/* SPDX-License-Identifier: BSD-3-Clause */
/* gh-probe's answers for scripts. Paths are hostile: whatever bytes are in one, the output is valid JSON. */
#include "probe.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>

static void put_string(const char *text)
{
	(void)putchar('"');
	for (; *text != '\0'; text++) {
		unsigned char byte = (unsigned char)*text;

		if (byte == '"' || byte == '\\')
			(void)printf("\\%c", byte);
		else if (byte < 0x20 || byte >= 0x7f)
			(void)printf("\\u%04x", byte);
		else
			(void)putchar(byte);
	}
	(void)putchar('"');
}

static void put_text(const char *key, const char *text)
{
	(void)printf("\"%s\": ", key);
	if (text != NULL)
		put_string(text);
	else
		(void)fputs("null", stdout);
}

/* `none` stands for "no limit". */
static void put_number(const char *key, uint64_t number, uint64_t none)
{
	if (number == none)
		(void)printf("\"%s\": null", key);
	else
		(void)printf("\"%s\": %" PRIu64, key, number);
}

static void put_bits(const char *key, uint64_t bits, const char *(*name_of)(uint64_t bit))
{
	const char *separator = "";

	(void)printf("\"%s\": {", key);
	for (unsigned int i = 0; i < 64; i++) {
		const char *name = name_of(UINT64_C(1) << i);

		if (name == NULL)
			continue;
		(void)printf("%s\"%s\": %s", separator, name, (bits >> i & 1) != 0 ? "true" : "false");
		separator = ", ";
	}
	(void)putchar('}');
}

static void put_failure(const char *key, const struct gh_failure *failure)
{
	if (failure->error == 0) {
		(void)printf("\"%s\": null", key);
		return;
	}
	(void)printf("\"%s\": {\"errno\": %d, ", key, -failure->error);
	put_text("id", gh_cause_name(failure->cause_id));
	(void)fputs(", ", stdout);
	put_text("step", failure->step);
	(void)fputs(", ", stdout);
	put_text("request", failure->request);
	(void)fputs(", ", stdout);
	put_text("cause", failure->cause);
	(void)fputs(", ", stdout);
	put_text("remedy", failure->remedy);
	(void)putchar('}');
}

static void put_next(void)
{
	(void)fputs(",\n     ", stdout);
}

static void put_entry(const struct gh_probe_entry *entry)
{
	put_text("backend", entry->backend);
	put_next();
	put_text("device", entry->device);
	put_next();
	(void)printf("\"usable\": %s", entry->usable != 0 ? "true" : "false");
	put_next();
	put_text("missing", gh_missing_name(entry->missing));
	put_next();
	put_text("dialect", entry->dialect);
	put_next();
	put_bits("features", entry->features, gh_feature_name);
	put_next();
	put_bits("quirks", entry->quirks, gh_quirk_name);
	put_next();
	put_number("max_vcpus", entry->max_vcpus, UINT64_MAX);
	put_next();
	put_number("max_regions", entry->max_regions, UINT64_MAX);
	put_next();
	put_number("max_lines", entry->max_lines, UINT64_MAX);
	put_next();
	put_number("gpa_bits", entry->gpa_bits, UINT64_MAX);
	put_next();
	put_number("gpa_align", entry->gpa_align, UINT64_MAX);
	put_next();
	put_number("mmio_end", entry->mmio_end, 0);
	put_next();
	put_number("lock_limit", entry->lock_limit, UINT64_MAX);
	put_next();
	put_failure("failure", &entry->failure);
	put_next();
	put_failure("caution", &entry->caution);
}

/* A device that could not be looked at, in the same form. */
static void put_stranger(const struct probe_answer *answer)
{
	const struct gh_failure none = GH_FAILURE_INIT;
	const struct gh_probe_entry entry = {
		.device = answer->device,
		.dialect = "",
		.failure = answer->failure,
		.missing = GH_MISSING_OTHER,
		.lock_limit = UINT64_MAX,
		.caution = none,
	};

	put_entry(&entry);
}

void probe_json(const struct probe_answer *answers, unsigned int count)
{
	const char *separator = "";

	(void)printf("{\"version\": \"%s\",\n \"hypervisors\": [", gh_version());
	for (unsigned int i = 0; i < count; i++) {
		const struct gh_probe *probe = answers[i].probe;
		unsigned int entries = probe != NULL ? gh_probe_count(probe) : 1;

		for (unsigned int entry = 0; entry < entries; entry++) {
			(void)printf("%s\n    {", separator);
			if (probe != NULL)
				put_entry(gh_probe_get(probe, entry));
			else
				put_stranger(&answers[i]);
			(void)putchar('}');
			separator = ",";
		}
	}
	(void)fputs("]}\n", stdout);
}
