/* SPDX-License-Identifier: MIT */
/*
 * Help and shell completion, written from the tables of cli.h.
 */
#include "cli.h"

#include <string.h>

#include "libfs/libfs.h"

void help_overview(FILE *out)
{
	fputs("xn - disks that many file systems share, without mounting them\n\n"
	      "usage: xn COMMAND ...\n\n",
	      out);
	for (const struct cmd *cmd = commands(); cmd->name; cmd++)
		fprintf(out, "  %-15s %s\n", cmd->name, cmd->about);
	fputs("\n`xn help COMMAND` tells the rest; `xn --version` prints the version.\n"
	      "Paths inside an image start with the root's name: /home/a/b.\n"
	      "Exit codes: 0 done, 1 failed (and why, on standard error), 2 asked the wrong way.\n",
	      out);
}

static void help_option(const struct opt *opt, FILE *out)
{
	char left[64];

	snprintf(left, sizeof(left), "%c%c%s --%s%s%s", opt->letter ? '-' : ' ',
		 opt->letter ? opt->letter : ' ', opt->letter ? "," : " ", opt->name,
		 opt->value ? " " : "", opt->value ? opt->value : "");
	fprintf(out, "  %-24s %s", left, opt->help);
	if (opt->kind == OPT_LIBFS)
		fprintf(out, " (default %s)", libfs_default()->name);
	fputc('\n', out);
}

void help_command(const struct cmd *cmd, FILE *out)
{
	const struct opt *opt;

	fprintf(out, "%s%s - %s\n\nusage: %s%s %s\n", command_prefix(cmd), cmd->name, cmd->about,
		command_prefix(cmd), cmd->name, cmd->operands);
	if (cmd->text)
		fprintf(out, "\n%s\n", cmd->text);
	if (cmd->flags & CMD_RAW)
		return;
	fputs("\noptions:\n", out);
	for (unsigned i = 0; (opt = command_option(cmd, i)); i++)
		help_option(opt, out);
}

/* Can a shell offer something behind an option? */
static bool can_complete(enum opt_kind kind)
{
	return kind == OPT_FILE || kind == OPT_DIR || kind == OPT_WHEN || kind == OPT_LIBFS;
}

/* What it offers, as a compgen action. */
static void completion_action(enum opt_kind kind, FILE *out)
{
	const struct libfs_type *type;

	switch (kind) {
	case OPT_FILE: fputs("-f", out); break;
	case OPT_DIR: fputs("-d", out); break;
	case OPT_WHEN: fputs("-W 'auto always never'", out); break;
	case OPT_LIBFS:
		fputs("-W '", out);
		for (unsigned i = 0; (type = libfs_builtin(i)); i++)
			fprintf(out, "%s%s", i ? " " : "", type->name);
		fputc('\'', out);
		break;
	default: break;
	}
}

static void completion_words(const struct cmd *cmd, FILE *out)
{
	const struct opt *opt;

	fprintf(out, "\t%s) words='", cmd->name);
	for (unsigned i = 0; (opt = command_option(cmd, i)) && !(cmd->flags & CMD_RAW); i++) {
		fprintf(out, "--%s ", opt->name);
		if (opt->letter)
			fprintf(out, "-%c ", opt->letter);
	}
	fputs("' ;;\n", out);
}

static void completion_values(const struct cmd *cmd, FILE *out)
{
	const struct opt *opt;

	for (unsigned i = 0; (opt = command_option(cmd, i)); i++) {
		if (!can_complete(opt->kind))
			continue;
		fprintf(out, "\t%s:--%s", cmd->name, opt->name);
		if (opt->letter)
			fprintf(out, "|%s:-%c", cmd->name, opt->letter);
		fputs(") COMPREPLY=($(compgen ", out);
		completion_action(opt->kind, out);
		fputs(" -- \"$cur\")); return ;;\n", out);
	}
}

void completion_bash(FILE *out)
{
	fputs("# SPDX-License-Identifier: MIT\n"
	      "# Made by `xn completion bash`.\n"
	      "_xn()\n{\n"
	      "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=\n"
	      "\tif ((COMP_CWORD == 1)); then\n"
	      "\t\tCOMPREPLY=($(compgen -W '",
	      out);
	for (const struct cmd *cmd = commands(); cmd->name; cmd++)
		fprintf(out, "%s ", cmd->name);
	fputs("--help --version' -- \"$cur\"))\n\t\treturn\n\tfi\n"
	      "\tcase ${COMP_WORDS[1]}:$prev in\n",
	      out);
	for (const struct cmd *cmd = commands(); cmd->name; cmd++)
		completion_values(cmd, out);
	fputs("\thelp:*) COMPREPLY=($(compgen -W '", out);
	for (const struct cmd *cmd = commands(); cmd->name; cmd++)
		fprintf(out, "%s ", cmd->name);
	fputs("' -- \"$cur\")); return ;;\n\tesac\n\tcase ${COMP_WORDS[1]} in\n", out);
	for (const struct cmd *cmd = commands(); cmd->name; cmd++)
		completion_words(cmd, out);
	fputs("\tesac\n"
	      "\tif [[ $cur == -* ]]; then\n"
	      "\t\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
	      "\telse\n"
	      "\t\tCOMPREPLY=($(compgen -f -- \"$cur\"))\n"
	      "\tfi\n}\n"
	      "complete -o filenames -F _xn xn\n",
	      out);
}
