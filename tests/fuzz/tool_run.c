/* SPDX-License-Identifier: MIT */
#include "tool_run.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cmd.h"

static FILE *nowhere(void)
{
	static FILE *file;

	if (!file) {
		file = fopen("/dev/null", "we");
		/* Archives go to the descriptor itself. */
		if (!file || dup2(fileno(file), STDOUT_FILENO) < 0)
			abort();
	}
	return file;
}

int tool_file(char path[TOOL_PATH_MAX])
{
	int file = memfd_create("disk", MFD_CLOEXEC);

	if (file < 0)
		abort();
	snprintf(path, TOOL_PATH_MAX, "/proc/self/fd/%d", file);
	return file;
}

void tool_file_fill(int file, const void *bytes, size_t len)
{
	if (ftruncate(file, 0) || pwrite(file, bytes, len, 0) != (ssize_t)len)
		abort();
}

int tool_command(const char *const words[])
{
	struct tool tool;
	const struct cmd *cmd = command_find(words[0]);
	struct args args;
	char why[512] = "";
	int n = 1;

	while (words[n])
		n++;
	tool_init(&tool, nowhere(), nowhere());
	if (!cmd ||
	    args_parse(cmd, n - 1, (char **)(uintptr_t)(words + 1), &args, why, sizeof(why))) {
		fprintf(stderr, "%s: %s\n", words[0], why);
		abort();
	}
	return tool_finish(&tool, tool_run(&tool, &args));
}
