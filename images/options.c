/* SPDX-License-Identifier: MIT */
/*
 * Options by table.  See cli.h.
 */
#include "cli.h"

#include <errno.h>
#include <string.h>
#include <uuid/uuid.h>

static const struct opt reading_options[] = {
	{ 0, "json", NULL, OPT_FLAG, "print JSON for programs" },
	{ 0, "bytes", NULL, OPT_FLAG, "print sizes in bytes" },
	{ 0, "color", "WHEN", OPT_WHEN, "auto (default), always or never" },
	{ 0 },
};

static const struct opt writing_options[] = {
	{ 'q', "quiet", NULL, OPT_FLAG, "say nothing when all goes well" },
	{ 0, "json", NULL, OPT_FLAG, "print what was done and what failed as JSON" },
	{ 0 },
};

static const struct opt every_option[] = {
	{ 'h', "help", NULL, OPT_FLAG, "print this help" },
	{ 0 },
};

/* Step through a table; NULL and a smaller index when it ends before. */
static const struct opt *table_at(const struct opt *table, unsigned *index)
{
	if (!table)
		return NULL;
	for (; table->name; table++)
		if ((*index)-- == 0)
			return table;
	return NULL;
}

const struct opt *command_option(const struct cmd *cmd, unsigned index)
{
	const struct opt *found = table_at(cmd->opts, &index);

	if (!found && (cmd->flags & CMD_READS))
		found = table_at(reading_options, &index);
	if (!found && (cmd->flags & CMD_WRITES))
		found = table_at(writing_options, &index);
	return found ? found : table_at(every_option, &index);
}

static const struct opt *find_long(const struct cmd *cmd, const char *name, size_t len)
{
	const struct opt *opt;

	for (unsigned i = 0; (opt = command_option(cmd, i)); i++)
		if (strlen(opt->name) == len && !memcmp(opt->name, name, len))
			return opt;
	return NULL;
}

static const struct opt *find_short(const struct cmd *cmd, char letter)
{
	const struct opt *opt;

	for (unsigned i = 0; (opt = command_option(cmd, i)); i++)
		if (opt->letter == letter)
			return opt;
	return NULL;
}

static bool is_when(const char *text)
{
	return !strcmp(text, "auto") || !strcmp(text, "always") || !strcmp(text, "never");
}

/* Check a value by its kind.  Returns what a good one would have been, or NULL. */
static const char *value_check(struct arg *arg)
{
	switch (arg->opt->kind) {
	case OPT_SIZE:
		return size_parse(arg->text, &arg->number) ? "a size such as 64M or 1G" : NULL;
	case OPT_NUMBER:
		return number_parse(arg->text, 10, UINT32_MAX, &arg->number) ? "a number" : NULL;
	case OPT_MODE:
		return number_parse(arg->text, 8, 07777, &arg->number) ? "an octal mode such as 755"
								       : NULL;
	case OPT_UUID: return uuid_parse(arg->text, arg->uuid) ? "a UUID" : NULL;
	case OPT_WHEN: return is_when(arg->text) ? NULL : "auto, always or never";
	case OPT_FLAG:
	case OPT_TEXT:
	case OPT_FILE:
	case OPT_LIBFS:
	case OPT_DIR: return NULL;
	}
	return NULL;
}

static int add(struct args *args, const struct opt *opt, const char *text, char *why,
	       size_t why_size)
{
	struct arg *arg;
	const char *wanted;

	if (args->n_given == ARGS_MAX) {
		snprintf(why, why_size, "more than %u options", ARGS_MAX);
		return -EINVAL;
	}
	arg = &args->given[args->n_given++];
	*arg = (struct arg){ .opt = opt, .text = text };
	wanted = value_check(arg);
	if (!wanted)
		return 0;
	snprintf(why, why_size, "--%s: \"%s\" is not %s", opt->name, text, wanted);
	return -EINVAL;
}

/* The word --name, --name=value or --name value; `next` is the word behind it. */
static int parse_long(struct args *args, const char *word, const char *next, int *used, char *why,
		      size_t why_size)
{
	size_t len = strcspn(word + 2, "=");
	const struct opt *opt = find_long(args->cmd, word + 2, len);
	const char *value = word[2 + len] ? word + 3 + len : NULL;

	*used = 1;
	if (!opt) {
		snprintf(why, why_size, "unknown option --%.*s", (int)len, word + 2);
		return -EINVAL;
	}
	if (opt->kind == OPT_FLAG && value) {
		snprintf(why, why_size, "--%s takes no value", opt->name);
		return -EINVAL;
	}
	if (opt->kind != OPT_FLAG && !value) {
		value = next;
		*used = 2;
	}
	if (opt->kind != OPT_FLAG && !value) {
		snprintf(why, why_size, "--%s needs a value (%s)", opt->name, opt->value);
		return -EINVAL;
	}
	return add(args, opt, value, why, why_size);
}

/* The word -abc, -Lvalue or -L value. */
static int parse_short(struct args *args, const char *word, const char *next, int *used, char *why,
		       size_t why_size)
{
	*used = 1;
	for (const char *c = word + 1; *c; c++) {
		const struct opt *opt = find_short(args->cmd, *c);
		int err;

		if (!opt) {
			snprintf(why, why_size, "unknown option -%c", *c);
			return -EINVAL;
		}
		if (opt->kind == OPT_FLAG) {
			err = add(args, opt, NULL, why, why_size);
			if (err)
				return err;
			continue;
		}
		if (!c[1] && !next) {
			snprintf(why, why_size, "-%c needs a value (%s)", *c, opt->value);
			return -EINVAL;
		}
		*used = c[1] ? 1 : 2;
		return add(args, opt, c[1] ? c + 1 : next, why, why_size);
	}
	return 0;
}

static int check_operands(const struct args *args, char *why, size_t why_size)
{
	const struct cmd *cmd = args->cmd;

	if (args_flag(args, "help") || args_flag(args, "version"))
		return 0;
	if (args->n_operands < cmd->min_operands) {
		snprintf(why, why_size, "something is missing; usage: %s%s %s", command_prefix(cmd),
			 cmd->name, cmd->operands);
		return -EINVAL;
	}
	if (cmd->max_operands >= 0 && args->n_operands > cmd->max_operands) {
		snprintf(why, why_size, "\"%s\" is one word too many; usage: %s%s %s",
			 args->operands[cmd->max_operands], command_prefix(cmd), cmd->name,
			 cmd->operands);
		return -EINVAL;
	}
	return 0;
}

int args_parse(const struct cmd *cmd, int argc, char **argv, struct args *args, char *why,
	       size_t why_size)
{
	bool options = !(cmd->flags & CMD_RAW);
	int i = 0;

	*args = (struct args){ .cmd = cmd, .operands = argv };
	while (i < argc) {
		char *word = argv[i];
		const char *next = i + 1 < argc ? argv[i + 1] : NULL;
		int used = 1, err = 0;

		if (options && !strcmp(word, "--"))
			options = false;
		else if (options && !strncmp(word, "--", 2))
			err = parse_long(args, word, next, &used, why, why_size);
		else if (options && word[0] == '-' && word[1])
			err = parse_short(args, word, next, &used, why, why_size);
		else
			argv[args->n_operands++] = word;
		if (err)
			return err;
		i += used;
	}
	return check_operands(args, why, why_size);
}

static const struct arg *args_find(const struct args *args, const char *name)
{
	for (unsigned i = args->n_given; i-- > 0;)
		if (!strcmp(args->given[i].opt->name, name))
			return &args->given[i];
	return NULL;
}

bool args_flag(const struct args *args, const char *name)
{
	return args_find(args, name) != NULL;
}

const char *args_text(const struct args *args, const char *name, const char *fallback)
{
	const struct arg *arg = args_find(args, name);

	return arg ? arg->text : fallback;
}

uint64_t args_number(const struct args *args, const char *name, uint64_t fallback)
{
	const struct arg *arg = args_find(args, name);

	return arg ? arg->number : fallback;
}

void args_uuid(const struct args *args, const char *name, uint8_t uuid[16])
{
	const struct arg *arg = args_find(args, name);

	if (arg)
		memcpy(uuid, arg->uuid, 16);
}
