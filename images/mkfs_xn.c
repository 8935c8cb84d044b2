/* SPDX-License-Identifier: MIT */
/*
 * mkfs.xn: what mkfs(8) runs for the type xn.  `format` and `mkfs`, one after the
 * other, by their own tables.
 */
#include <string.h>

#include "cmd.h"

#define WORDS_MAX 16u

static const struct opt options[] = {
	{ 'L', "label", "TEXT", OPT_TEXT, "a name of the disk, of at most 64 bytes" },
	{ 'U', "uuid", "UUID", OPT_UUID, "of the disk, instead of a random one" },
	{ 'r', "root", "NAME", OPT_TEXT, "name of the root (default root)" },
	{ 't', "type", "TYPE", OPT_TEXT, "the LibFS that keeps it" },
	{ 'd', "dir", "DIR", OPT_DIR, "fill it with what is in DIR" },
	{ 'e', "empty", NULL, OPT_FLAG, "make no root" },
	{ 'f', "force", NULL, OPT_FLAG, "overwrite what is there" },
	{ 'v', "verbose", NULL, OPT_FLAG, "accepted, for mkfs(8)" },
	{ 'V', "version", NULL, OPT_FLAG, "print the version" },
	{ 0 },
};

/* The words of a command line that is put together. */
struct words {
	char *word[WORDS_MAX];
	int count;
};

static void words_add(struct words *words, const char *name, const char *value)
{
	if (!value)
		return;
	words->word[words->count++] = (char *)name;
	words->word[words->count++] = (char *)value;
}

static void words_add_one(struct words *words, const char *word)
{
	words->word[words->count++] = (char *)word;
}

static int run_as(struct tool *tool, const char *name, struct words *words)
{
	const struct cmd *cmd = command_find(name);
	struct args args;
	char why[512];

	if (args_parse(cmd, words->count, words->word, &args, why, sizeof(why)))
		return say_usage(tool, cmd, "%s", why);
	return cmd->run(tool, &args);
}

static int format(struct tool *tool, const struct args *args)
{
	struct words words = { .count = 0 };

	words_add(&words, "--label", args_text(args, "label", NULL));
	words_add(&words, "--uuid", args_text(args, "uuid", NULL));
	words_add(&words, "--size", args->n_operands > 1 ? args->operands[1] : NULL);
	if (args_flag(args, "force"))
		words_add_one(&words, "--force");
	words_add_one(&words, "--");
	words_add_one(&words, args->operands[0]);
	return run_as(tool, "format", &words);
}

static int make_root(struct tool *tool, const struct args *args)
{
	struct words words = { .count = 0 };

	words_add(&words, "--root", args_text(args, "root", "root"));
	words_add(&words, "--type", args_text(args, "type", NULL));
	words_add(&words, "--dir", args_text(args, "dir", NULL));
	words_add_one(&words, "--");
	words_add_one(&words, args->operands[0]);
	return run_as(tool, "mkfs", &words);
}

static int run(struct tool *tool, const struct args *args)
{
	int code = format(tool, args);

	if (code == EXIT_OK && !args_flag(args, "empty"))
		code = make_root(tool, args);
	return code;
}

const struct cmd *command_mkfs_xn(void)
{
	static const struct cmd cmd = {
		"mkfs.xn",
		"[OPTIONS] DEVICE [SIZE]",
		"make an XN disk with one file system",
		"What `xn format` and `xn mkfs` do.  SIZE is for a file that does not exist yet:\n"
		"bytes, or with K, M, G or T.",
		CMD_WRITES | CMD_ALONE,
		1,
		2,
		options,
		run
	};

	return &cmd;
}
