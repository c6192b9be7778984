/* SPDX-License-Identifier: BSD-3-Clause */
/* Dumps: JSON that is JSON, and says what the model says; text that names everybody; writers that fail. */
#include "bus_model.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ROOM 16384u
#define MOST_DEPTH 8u

struct text {
	char bytes[ROOM];
	size_t length;
	unsigned int pieces;
	unsigned int fail_at; /* piece */
	int error;
};

static int collect(void *data, const char *piece, size_t length)
{
	struct text *text = data;

	CHECK(strlen(piece) == length);
	if (text->pieces++ == text->fail_at)
		return text->error;
	CHECK(text->length + length < ROOM);
	memcpy(text->bytes + text->length, piece, length + 1);
	text->length += length;
	return 0;
}

/* --- is it JSON? -------------------------------------------------------------------------------------------------------- */

static const char *skip_value(const char *at, unsigned int depth);

static const char *skip_blanks(const char *at)
{
	return at + strspn(at, " \t\r\n");
}

static const char *skip_string(const char *at)
{
	CHECK(*at == '"');
	for (at++; *at != '"'; at++) {
		CHECK(*at >= ' ');
		if (*at == '\\') {
			at++;
			CHECK(*at == '"' || *at == '\\');
		}
	}
	return at + 1;
}

static const char *skip_members(const char *at, char end, unsigned int depth)
{
	at = skip_blanks(at + 1);
	while (*at != end) {
		if (end == '}') {
			at = skip_blanks(skip_string(at));
			CHECK(*at == ':');
			at++;
		}
		at = skip_blanks(skip_value(at, depth + 1));
		CHECK(*at == ',' || *at == end);
		if (*at == ',') {
			at = skip_blanks(at + 1);
			CHECK(*at != end);
		}
	}
	return at + 1;
}

static const char *skip_value(const char *at, unsigned int depth)
{
	size_t length;

	CHECK(depth < MOST_DEPTH);
	at = skip_blanks(at);
	if (*at == '{' || *at == '[')
		return skip_members(at, *at == '{' ? '}' : ']', depth);
	if (*at == '"')
		return skip_string(at);
	length = strspn(at, "0123456789");
	if (length > 0)
		return at + length;
	length = strspn(at, "truefalsn");
	CHECK((length == 4 && (strncmp(at, "true", 4) == 0 || strncmp(at, "null", 4) == 0)) ||
	      (length == 5 && strncmp(at, "false", 5) == 0));
	return at + length;
}

/* --- does it say what is there? ------------------------------------------------------------------------------------------ */

static const struct model_range *next_range(const struct model *model, uint64_t from)
{
	const struct model_range *found = NULL;

	for (unsigned int i = 0; i < MOST_RANGES; i++) {
		const struct model_range *range = &model->ranges[i];

		if (range->life == LIVE && range->gpa >= from && (found == NULL || range->gpa < found->gpa))
			found = range;
	}
	return found;
}

static const char *find(const char *at, const char *wanted)
{
	at = strstr(at, wanted);
	CHECK(at != NULL);
	return at + strlen(wanted);
}

static const char *check_number(const char *at, const char *name, uint64_t value, bool exact)
{
	char wanted[64];

	(void)snprintf(wanted, sizeof(wanted), "\"%s\":%llu", name, (unsigned long long)value);
	if (exact) {
		at = find(at, wanted);
		CHECK(*at < '0' || *at > '9');
	}
	return at;
}

static const char *check_range(const char *at, const struct model_range *range, bool numbers)
{
	char wanted[256];
	char name[2 * sizeof(range->name)];
	size_t length = 0;

	for (const char *from = range->name; *from != '\0'; from++) {
		if (*from == '"' || *from == '\\')
			name[length++] = '\\';
		name[length++] = *from;
	}
	name[length] = '\0';
	(void)snprintf(wanted, sizeof(wanted), "\"name\":\"%s\",\"gpa\":\"0x%llx\",\"length\":\"0x%llx\"", name,
		       (unsigned long long)range->gpa, (unsigned long long)(range->last - range->gpa + 1));
	at = find(at, wanted);
	at = find(at, range->unaligned ? "\"unaligned\":true" : "\"unaligned\":false");
	at = check_number(at, "loads", range->counts.loads, numbers);
	at = check_number(at, "stores", range->counts.stores, numbers);
	at = check_number(at, "deferred", range->counts.deferred, numbers);
	at = check_number(at, "failed", range->counts.failed, numbers);
	return check_number(at, "forbidden", range->counts.forbidden, numbers);
}

static unsigned int count(const char *at, const char *wanted)
{
	unsigned int n = 0;

	while ((at = strstr(at, wanted)) != NULL) {
		n++;
		at++;
	}
	return n;
}

static void check_json(const struct model *model, const char *json, bool numbers)
{
	const struct model_range *range = next_range(model, 0);
	unsigned int n_ranges = 0;
	const char *at = json;

	CHECK(*skip_blanks(skip_value(json, 0)) == '\0');
	for (; range != NULL; range = range->last < UINT64_MAX ? next_range(model, range->last + 1) : NULL) {
		at = check_range(at, range, numbers);
		n_ranges++;
	}
	CHECK(count(json, "\"name\":\"") == n_ranges);
	CHECK(count(find(at, "\"doorbells\":["), "\"gpa\":") == model->n_doorbells);
	at = find(at, "\"unmatched\":{");
	at = check_number(at, "loads", model->counts.unmatched_loads, numbers);
	at = check_number(at, "stores", model->counts.unmatched_stores, numbers);
	at = check_number(at, "doorbells_rung", model->counts.doorbells, numbers);
	(void)find(at, model->traced ? "\"trace\":true" : "\"trace\":false");
}

static void check_text(const struct model *model, const char *text)
{
	for (unsigned int i = 0; i < MOST_RANGES; i++)
		if (model->ranges[i].life == LIVE)
			(void)find(text, model->ranges[i].name);
}

void model_check_dump(const struct model *model, struct gh_vm *vm, bool numbers)
{
	static struct text text;

	text = (struct text){ .fail_at = UINT32_MAX };
	CHECK(gh_bus_dump(vm, GH_BUS_TEXT, collect, &text) == 0);
	check_text(model, text.bytes);
	text = (struct text){ .fail_at = UINT32_MAX };
	CHECK(gh_bus_dump(vm, GH_BUS_JSON, collect, &text) == 0);
	check_json(model, text.bytes, numbers);
	/* The first failure of a writer is the last that it hears. */
	text = (struct text){ .fail_at = 1, .error = -EPIPE };
	CHECK(gh_bus_dump(vm, GH_BUS_JSON, collect, &text) == -EPIPE && text.pieces == 2);
	text = (struct text){ .fail_at = 0, .error = 7 };
	CHECK(gh_bus_dump(vm, GH_BUS_TEXT, collect, &text) == -EINVAL && text.pieces == 1);
	CHECK(gh_bus_dump(vm, GH_BUS_JSON + 1, collect, &text) == -EINVAL);
}
