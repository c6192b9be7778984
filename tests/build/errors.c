/* SPDX-License-Identifier: BSD-3-Clause */
/* Prints what the library knows of failures, for check-errors: a line for each row, fields between tabs. */
#include "diagnosis.h"
#include "fdt_rules.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *errno_name(int error)
{
	const char *name = error == 0 ? "any" : strerrorname_np(-error);

	return name != NULL ? name : "?";
}

static void print_causes(void)
{
	for (unsigned int i = 0; gh_cause_text(i) != NULL; i++) {
		const struct gh_cause_text *text = gh_cause_text(i);

		(void)printf("cause\t%u\t%s\t%s\t%s\n", i, text->name, text->cause, text->remedy);
	}
}

static void print_circumstances(unsigned int when)
{
	static const char *const words[] = { "the limit of locks is exceeded",
					     "main memory is shared",
					     "a region is large",
					     "more vCPUs than CPUs",
					     "there is firmware",
					     "memory is to be lent",
					     "guest memory files" };
	const char *separator = "";

	for (unsigned int i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if ((when >> i & 1) == 0)
			continue;
		(void)printf("%s%s", separator, words[i]);
		separator = ", ";
	}
}

static void print_diagnoses(const char *kind, const struct gh_diagnoses *diagnoses)
{
	for (size_t i = 0; i < diagnoses->n_rows; i++) {
		const struct gh_diagnosis *row = &diagnoses->rows[i];
		const char *request = row->request == GH_REQUEST_ANY ? "any" : diagnoses->names[row->request];

		(void)printf("%s\t%s%s\t%s\t", kind, request, row->request == GH_REQUEST_FAULT ? ", page fault" : "",
			     errno_name(row->error));
		print_circumstances(row->when);
		(void)printf("\t%s\t%s\n", gh_cause_name(row->cause), gh_cause_name(row->other));
	}
}

static void print_errors(void)
{
	for (int error = 1; error < 200; error++) {
		enum gh_cause own;
		enum gh_cause request;
		enum gh_cause other;

		gh_cause_of_error(-error, false, &own, &other);
		gh_cause_of_error(-error, true, &request, &other);
		if (own == GH_CAUSE_OTHER && request == GH_CAUSE_OTHER)
			continue;
		(void)printf("errno\t%s\t%s\t%s\t%s\n", errno_name(-error), gh_cause_name(own), gh_cause_name(request),
			     gh_cause_name(other));
	}
}

static void print_rules(void)
{
	static const char *const severities[] = { "", "rejected", "misplaced", "ignored" };

	for (unsigned int i = 0; i < GH_RULES; i++) {
		const struct gh_fdt_rule_text *text = &gh_fdt_rule_texts[i];

		(void)printf("rule\t%s\t%s\t%s\t%s\t%s\n", text->name, severities[text->severity], text->property,
			     text->text, text->remedy);
	}
}

int main(void)
{
	print_causes();
	print_errors();
	print_diagnoses("gunyah", &gh_gunyah_diagnoses);
	print_diagnoses("geniezone", &gh_geniezone_diagnoses);
	print_rules();
	return 0;
}
