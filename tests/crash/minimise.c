/* SPDX-License-Identifier: MIT */
#include "minimise.h"

#include <stdlib.h>
#include <string.h>

#define OPERATIONS_MAX 256u

struct hunt {
	struct explorer *explorer;
	char question[3]; /* "R5" */
	bool seen;        /* broken by the workload that is being tried */
	char *operation[OPERATIONS_MAX];
	bool left_out[OPERATIONS_MAX];
	unsigned n;
};

static void tell(void *arg, const struct explorer_violation *violation)
{
	struct hunt *hunt = arg;

	hunt->seen |= strncmp(violation->what, hunt->question, 2) == 0;
}

/* What is left, as text. */
static void join(const struct hunt *hunt, char *text)
{
	size_t len = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < hunt->n; i++) {
		size_t n = strlen(hunt->operation[i]);

		if (hunt->left_out[i])
			continue;
		if (len) {
			memcpy(text + len, "; ", 2);
			len += 2;
		}
		memcpy(text + len, hunt->operation[i], n + 1);
		len += n;
	}
}

static bool still_wrong(struct hunt *hunt, char *text)
{
	join(hunt, text);
	hunt->seen = false;
	explorer_run(hunt->explorer, "smaller", text);
	return hunt->seen;
}

/* From the end, so that what needs something goes before what it needs. */
static bool leave_out_one(struct hunt *hunt, char *text)
{
	for (unsigned i = hunt->n; i-- > 0;) {
		if (hunt->left_out[i])
			continue;
		hunt->left_out[i] = true;
		if (still_wrong(hunt, text))
			return true;
		hunt->left_out[i] = false;
	}
	return false;
}

static void take_apart(struct hunt *hunt, char *copy)
{
	char *rest = copy, *operation;

	while ((operation = strsep(&rest, ";")) && hunt->n < OPERATIONS_MAX) {
		operation += strspn(operation, " \n\t");
		if (*operation)
			hunt->operation[hunt->n++] = operation;
	}
}

char *minimise(const struct explorer_opts *opts, const char *workload, const char *what)
{
	struct explorer_opts own = *opts;
	struct hunt *hunt = calloc(1, sizeof(*hunt));
	/* Between operations there may have been a semicolon without a blank. */
	char *copy = strdup(workload), *text = malloc(2 * strlen(workload) + 1);

	if (!hunt || !copy || !text) {
		free(text);
		text = NULL;
		goto out;
	}
	own.report = NULL;
	own.tell = tell;
	own.arg = hunt;
	memcpy(hunt->question, what, 2);
	hunt->explorer = explorer_new(&own);
	take_apart(hunt, copy);
	while (leave_out_one(hunt, text))
		;
	join(hunt, text);
	explorer_free(hunt->explorer);
out:
	free(hunt);
	free(copy);
	return text;
}
