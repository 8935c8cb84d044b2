/* SPDX-License-Identifier: MIT */
/*
 * Recipes: lines, words, numbers.  See recipe.h.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "recipe_parts.h"

int recipe_fail(struct recipe *r, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(r->why, RECIPE_WHY, format, args);
	va_end(args);
	return error;
}

int recipe_number(struct recipe *r, const char *word, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(word, &end, 0);
	if (end != word && *end == 'K' && !end[1])
		*out <<= 10, end++;
	else if (end != word && *end == 'M' && !end[1])
		*out <<= 20, end++;
	if (errno || end == word || *end || *word == '-')
		return recipe_fail(r, -EINVAL, "\"%s\" is no number", word);
	return 0;
}

/* Split a line, in place, at blanks; "..." is one word. */
static int words_split(struct recipe *r, char *line, struct words *words)
{
	words->n = 0;
	for (char *p = line; *p;) {
		p += strspn(p, " \t");
		if (!*p || *p == '#')
			break;
		if (words->n == WORDS_MAX)
			return recipe_fail(r, -EINVAL, "more than %u words", WORDS_MAX);
		if (*p == '"') {
			words->v[words->n++] = ++p;
			p = strchr(p, '"');
			if (!p)
				return recipe_fail(r, -EINVAL, "the quotation does not end");
		} else {
			words->v[words->n++] = p;
			p += strcspn(p, " \t");
		}
		if (*p)
			*p++ = '\0';
	}
	return 0;
}

static int statement_run(struct recipe *r, struct words *words)
{
	int err;

	r->raw = strcmp(words->v[0], "raw") == 0;
	if (r->raw) {
		words->n--;
		memmove(words->v, words->v + 1, words->n * sizeof(words->v[0]));
		if (!words->n)
			return recipe_fail(r, -EINVAL, "nothing follows \"raw\"");
	}
	err = recipe_make(r, words);
	if (err <= 0)
		return err;
	err = recipe_break(r, words);
	return err <= 0 ? err
			: recipe_fail(r, -EINVAL, "there is no statement \"%s\"", words->v[0]);
}

static int line_run(struct recipe *r, const char *start, size_t len, unsigned number)
{
	char *line = strndup(start, len), sentence[RECIPE_WHY];
	struct words words;
	int err = line ? words_split(r, line, &words) : -ENOMEM;

	if (!err && words.n)
		err = statement_run(r, &words);
	free(line);
	if (err) {
		snprintf(sentence, sizeof(sentence), "line %u: %.480s", number, r->why);
		memcpy(r->why, sentence, sizeof(sentence));
	}
	return err;
}

int recipe_run(struct bdev **dev, const char *text, char why[RECIPE_WHY])
{
	struct recipe *r = calloc(1, sizeof(*r));
	unsigned number = 0;
	int err = 0, close_err;

	why[0] = '\0';
	if (!r)
		return -ENOMEM;
	r->dev = *dev;
	r->why = why;
	while (!err && *text) {
		size_t len = strcspn(text, "\n");

		err = line_run(r, text, len, ++number);
		text += len;
		text += *text == '\n';
	}
	close_err = recipe_close(r);
	*dev = r->dev;
	free(r);
	return err ? err : close_err;
}
