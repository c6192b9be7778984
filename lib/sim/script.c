/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads a script. Every statement is checked here, so that playing it cannot fail. */
#include "script.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define BLANKS " \t\r"

struct keyword {
	const char *word;
	enum script_kind kind;
	unsigned int least;
	unsigned int most;
};

static const struct keyword keywords[] = {
	{ "store", SCRIPT_STORE, 3, 3 },     { "load", SCRIPT_LOAD, 2, 2 },
	{ "expect", SCRIPT_EXPECT, 1, 1 },   { "expect-abort", SCRIPT_EXPECT_ABORT, 0, 0 },
	{ "echo", SCRIPT_ECHO, 2, 2 },       { "poke", SCRIPT_POKE, 3, 3 },
	{ "peek", SCRIPT_PEEK, 2, 2 },       { "register", SCRIPT_REGISTER, 1, 1 },
	{ "wfi", SCRIPT_WFI, 0, 0 },         { "ack", SCRIPT_ACK, 0, 0 },
	{ "spin", SCRIPT_SPIN, 0, 1 },       { "on", SCRIPT_ON, 1, 1 },
	{ "cpu-off", SCRIPT_CPU_OFF, 0, 0 }, { "off", SCRIPT_OFF, 0, 0 },
	{ "reset", SCRIPT_RESET, 0, 0 },     { "reset2", SCRIPT_RESET2, 2, 2 },
	{ "crash", SCRIPT_CRASH, 0, 0 },     { "hvc", SCRIPT_HVC, 1, 8 },
	{ "signal", SCRIPT_SIGNAL, 1, 1 },   { "loop", SCRIPT_LOOP, 0, 0 },
	{ "repeat", SCRIPT_REPEAT, 1, 1 },   { "end", SCRIPT_END, 0, 0 },
};

/* Where the parser is. */
struct parser {
	struct script *script;
	struct script_section *section;
	size_t open_repeat; /* innermost one, + 1; each holds the one around it in `jump` until its end comes */
};

static bool is_access_width(uint64_t width)
{
	return width == 1 || width == 2 || width == 4 || width == 8;
}

static int parse_number(const char *word, uint64_t *ret_value)
{
	char *end;

	/* strtoull() takes signs and blanks as well. */
	if (*word < '0' || *word > '9')
		return -EINVAL;
	errno = 0;
	*ret_value = strtoull(word, &end, 0);
	return errno == 0 && *end == '\0' ? 0 : -EINVAL;
}

static int parse_register(const char *word, uint64_t *ret_number)
{
	static const char *const names[] = { "sp", "pc", "pstate" };

	if (word[0] == 'x' && parse_number(word + 1, ret_number) == 0)
		return *ret_number <= 30 ? 0 : -EINVAL;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(word, names[i]) == 0) {
			*ret_number = 31 + i;
			return 0;
		}
	}
	return -EINVAL;
}

static int add_action(struct parser *parser, const struct script_action *action)
{
	struct script_section *section = parser->section;

	if (section->count == section->room) {
		size_t room = section->room == 0 ? 16 : 2 * section->room;
		struct script_action *actions = realloc(section->actions, room * sizeof(*actions));

		if (actions == NULL)
			return -ENOMEM;
		section->actions = actions;
		section->room = room;
	}
	section->actions[section->count++] = *action;
	return 0;
}

/* Meanings of arguments that a number alone does not have. */
static int check_args(const struct script_action *action)
{
	switch (action->kind) {
	case SCRIPT_STORE:
	case SCRIPT_LOAD:
	case SCRIPT_ECHO:
		return action->args[1] <= UINT32_MAX ? 0 : -EINVAL;
	case SCRIPT_POKE:
	case SCRIPT_PEEK:
		return is_access_width(action->args[1]) ? 0 : -EINVAL;
	case SCRIPT_SIGNAL:
		return action->args[0] >= 1 && action->args[0] < NSIG ? 0 : -EINVAL;
	default:
		return 0;
	}
}

static int parse_args(struct script_action *action, const struct keyword *keyword, char **cursor)
{
	char *word;
	int ret;

	while ((word = strtok_r(NULL, BLANKS, cursor)) != NULL) {
		if (action->count == keyword->most)
			return -EINVAL;
		if (action->kind == SCRIPT_REGISTER)
			ret = parse_register(word, &action->args[action->count]);
		else
			ret = parse_number(word, &action->args[action->count]);
		if (ret < 0)
			return ret;
		action->count++;
	}
	return action->count < keyword->least ? -EINVAL : check_args(action);
}

/* Ties a repeat and its end together. */
static int tie(struct parser *parser, struct script_action *action)
{
	size_t here = parser->section->count;
	size_t begin = parser->open_repeat;

	if (action->kind == SCRIPT_REPEAT) {
		action->jump = begin;
		parser->open_repeat = here + 1;
	} else if (action->kind == SCRIPT_END) {
		if (begin == 0)
			return -EINVAL;
		parser->open_repeat = parser->section->actions[begin - 1].jump;
		parser->section->actions[begin - 1].jump = here + 1;
		action->jump = begin;
	}
	return 0;
}

static int parse_section(struct parser *parser, char **cursor)
{
	const char *word = strtok_r(NULL, BLANKS, cursor);
	uint64_t index;

	if (word == NULL || parse_number(word, &index) < 0 || index >= SCRIPT_VCPUS)
		return -EINVAL;
	if (strtok_r(NULL, BLANKS, cursor) != NULL || parser->open_repeat != 0)
		return -EINVAL;
	parser->section = &parser->script->sections[index];
	return 0;
}

static int parse_raw(struct parser *parser, char *rest)
{
	struct script_action action = { .kind = SCRIPT_RAW };

	action.text = rest + strspn(rest, BLANKS);
	return *action.text == '\0' ? -EINVAL : add_action(parser, &action);
}

static int parse_statement(struct parser *parser, char *statement)
{
	struct script_action action = { .count = 0 };
	char *cursor;
	const char *word = strtok_r(statement, BLANKS, &cursor);
	int ret;

	if (word == NULL)
		return 0;
	if (strcmp(word, "vcpu") == 0)
		return parse_section(parser, &cursor);
	if (strcmp(word, "raw") == 0)
		return parse_raw(parser, cursor);
	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++) {
		if (strcmp(word, keywords[i].word) != 0)
			continue;
		action.kind = keywords[i].kind;
		ret = parse_args(&action, &keywords[i], &cursor);
		if (ret == 0)
			ret = tie(parser, &action);
		return ret == 0 ? add_action(parser, &action) : ret;
	}
	return -EINVAL;
}

static int parse_line(struct parser *parser, char *line)
{
	int ret = 0;

	line[strcspn(line, "#")] = '\0';
	while (ret == 0 && line != NULL) {
		char *next = strchr(line, ';');

		if (next != NULL)
			*next++ = '\0';
		ret = parse_statement(parser, line);
		line = next;
	}
	return ret;
}

int script_parse(const char *text, struct script **ret_script)
{
	struct script *script = calloc(1, sizeof(*script));
	struct parser parser = { script, NULL, 0 };
	char *line;
	int ret = 0;

	if (script == NULL)
		return -ENOMEM;
	parser.section = &script->sections[0];
	script->text = strdup(text);
	if (script->text == NULL)
		ret = -ENOMEM;
	line = script->text;
	while (ret == 0 && line != NULL) {
		char *next = strchr(line, '\n');

		if (next != NULL)
			*next++ = '\0';
		ret = parse_line(&parser, line);
		line = next;
	}
	if (ret == 0 && parser.open_repeat != 0)
		ret = -EINVAL;
	if (ret < 0) {
		script_free(script);
		return ret;
	}
	*ret_script = script;
	return 0;
}

void script_free(struct script *script)
{
	for (size_t i = 0; i < SCRIPT_VCPUS; i++)
		free(script->sections[i].actions);
	free(script->text);
	free(script);
}
