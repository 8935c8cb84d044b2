/* SPDX-License-Identifier: MIT */
/*
 * The command line of `xn`: one table of commands, each with a table of
 * options.  Parsing, help and shell completion all come from these tables, so
 * they cannot tell different stories.
 *
 *  (1) Tables are constant; what was given is in struct args, what the program
 *      is talking to is in struct tool.  Nothing else is remembered.
 *  (2) Values are checked while they are parsed, by the kind their row states:
 *      a command never sees a size that is none.
 *  (3) Options and operands may be mixed; "--" ends the options.
 */
#ifndef IMAGES_CLI_H
#define IMAGES_CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define EXIT_OK    0
#define EXIT_FAIL  1
#define EXIT_USAGE 2

enum opt_kind {
	OPT_FLAG,
	OPT_TEXT,
	OPT_SIZE,   /* bytes, or with K M G T behind it */
	OPT_NUMBER, /* decimal, below 2^32 */
	OPT_MODE,   /* octal permission bits */
	OPT_UUID,
	OPT_FILE, /* a path outside the image */
	OPT_DIR,
	OPT_WHEN,  /* auto, always, never */
	OPT_LIBFS, /* the name of one; help tells the default, completion those built in */
};

struct opt {
	char letter;       /* 0: only the long form */
	const char *name;  /* NULL ends a table */
	const char *value; /* what help calls it; NULL for flags */
	enum opt_kind kind;
	const char *help;
};

struct arg {
	const struct opt *opt;
	const char *text;
	uint64_t number; /* SIZE, NUMBER, MODE */
	uint8_t uuid[16];
};

#define ARGS_MAX 64u

struct args {
	const struct cmd *cmd;
	struct arg given[ARGS_MAX];
	unsigned n_given;
	char **operands; /* points into argv, which is permuted */
	int n_operands;
};

struct tool;

#define CMD_READS  1u /* has --json, --bytes, --color */
#define CMD_WRITES 2u /* has --quiet and --json */
#define CMD_ALONE  8u /* a program of its own name, no word behind "xn" */
#define CMD_RAW    4u /* what follows belongs to another program, unread */

struct cmd {
	const char *name; /* NULL ends the table */
	const char *operands;
	const char *about; /* one line */
	const char *text;  /* paragraphs for `xn help NAME`; may be NULL */
	unsigned flags;
	int min_operands, max_operands; /* max -1: any number */
	const struct opt *opts;         /* may be NULL */
	int (*run)(struct tool *tool, const struct args *args);
};

/* The table. */
const struct cmd *commands(void);
const struct cmd *command_find(const char *name);
/* The command that a program of this name is: for helpers that the system looks for.  NULL: none. */
const struct cmd *command_alone(const char *program);
/* "xn ", or nothing before the name of a program. */
const char *command_prefix(const struct cmd *cmd);

/*
 * Parse what follows the command's name.  On failure `why` says what is wrong.
 * Fails with -EINVAL.
 */
int args_parse(const struct cmd *cmd, int argc, char **argv, struct args *args, char *why,
	       size_t why_size);

bool args_flag(const struct args *args, const char *name);
/* The last value given, or the default. */
const char *args_text(const struct args *args, const char *name, const char *fallback);
uint64_t args_number(const struct args *args, const char *name, uint64_t fallback);
/* Leaves `uuid` alone when none was given. */
void args_uuid(const struct args *args, const char *name, uint8_t uuid[16]);

/* The command's own options, then the common ones its flags stand for; NULL at the end. */
const struct opt *command_option(const struct cmd *cmd, unsigned index);

void help_overview(FILE *out);
void help_command(const struct cmd *cmd, FILE *out);
void completion_bash(FILE *out);

/* ---- values as people write them ---- */

/* "64M", "1GiB", "4096". -EINVAL, -ERANGE */
int size_parse(const char *text, uint64_t *bytes);
/* "1.5 GiB"; with `exact`, "1610612736". */
#define SIZE_TEXT_MAX 40u
const char *size_text(uint64_t bytes, bool exact, char text[SIZE_TEXT_MAX]);
/* -EINVAL, -ERANGE; `base` 8 or 10; only digits, at most `limit`. */
int number_parse(const char *text, unsigned base, uint64_t limit, uint64_t *out);

#endif
