/* SPDX-License-Identifier: MIT */
/*
 * xn: the image tool.  Finds the command in the table, parses, runs.
 */
#include <signal.h>
#include <string.h>

#include "cmd.h"

static int say_version(struct tool *tool)
{
	fprintf(tool->out, "xn %s\n", XN_VERSION);
	return EXIT_OK;
}

static int run_command(struct tool *tool, const struct cmd *cmd, int argc, char **argv)
{
	struct args args;
	char why[512];

	if (args_parse(cmd, argc, argv, &args, why, sizeof(why)))
		return say_usage(tool, cmd, "%s", why);
	if (args_flag(&args, "help")) {
		help_command(cmd, tool->out);
		return EXIT_OK;
	}
	if (args_flag(&args, "version"))
		return say_version(tool);
	return tool_run(tool, &args);
}

/* `argv[0]` is there: main() saw to that. */
static int run(struct tool *tool, int argc, char **argv)
{
	const struct cmd *cmd = command_alone(argv[0]);

	if (cmd)
		return run_command(tool, cmd, argc - 1, argv + 1);
	if (argc < 2) {
		help_overview(tool->err);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		help_overview(tool->out);
		return EXIT_OK;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))
		return say_version(tool);
	cmd = command_find(argv[1]);
	if (!cmd)
		return say_usage(tool, NULL, "there is no command \"%s\"", argv[1]);
	return run_command(tool, cmd, argc - 2, argv + 2);
}

int main(int argc, char **argv)
{
	struct tool tool;

	if (argc < 1)
		return EXIT_USAGE;
	/* Whoever stops listening must not stop us in the middle of a disk. */
	signal(SIGPIPE, SIG_IGN);
	tool_init(&tool, stdout, stderr);
	return tool_finish(&tool, run(&tool, argc, argv));
}
