/* SPDX-License-Identifier: MIT */
/*
 * Sentences to people.  See tool.h.
 */
#include "tool.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "xn/error.h"

void tool_init(struct tool *tool, FILE *out, FILE *err)
{
	const char *no_color = getenv("NO_COLOR");

	*tool = (struct tool){ .out = out, .err = err };
	tool->colour = isatty(fileno(out)) && !(no_color && *no_color);
	tool->err_is_tty = isatty(fileno(err));
}

void tool_take_options(struct tool *tool, const struct args *args)
{
	const char *when = args_text(args, "color", "auto");

	tool->json = args_flag(args, "json");
	tool->bytes = args_flag(args, "bytes");
	tool->quiet = args_flag(args, "quiet");
	if (strcmp(when, "auto") != 0)
		tool->colour = !strcmp(when, "always");
	if (tool->json)
		tool->colour = false;
}

/* (5) Nothing is open for writing, and no line of what is printed would be worth more than this one. */
static void *memory_or_end(size_t size)
{
	static const char text[] = "xn: standard output: Cannot allocate memory\n";
	void *memory = malloc(size);

	if (memory)
		return memory;
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	_exit(EXIT_FAIL);
}

/* Nothing of the report may be missing, or it is none. */
static int report_print(struct tool *tool, const struct args *args, int code)
{
	json_t *object = tool->report_lost ? NULL : json_start();
	int lost = json_object_set_new(object, "command", json_string(args->cmd->name)) |
		   json_object_set_new(object, "exit_code", json_integer(code)) |
		   json_object_set_new(object, "done", tool->done) |
		   json_object_set_new(object, "failures", tool->failed);

	tool->done = tool->failed = NULL;
	if (!lost) {
		json_print(tool, object);
		return code;
	}
	json_decref(object);
	return say_error(tool, "standard output", -ENOMEM, NULL);
}

int tool_run(struct tool *tool, const struct args *args)
{
	bool writes = args->cmd->flags & CMD_WRITES;
	int code;

	tool_take_options(tool, args);
	json_set_alloc_funcs(writes ? malloc : memory_or_end, free);
	if (!tool->json || !writes)
		return args->cmd->run(tool, args);
	tool->done = json_array();
	tool->failed = json_array();
	tool->report_lost = !tool->done || !tool->failed;
	code = args->cmd->run(tool, args);
	return report_print(tool, args, code);
}

int tool_finish(struct tool *tool, int code)
{
	say_progress(tool, NULL);
	errno = 0;
	if (fflush(tool->out) != 0 || ferror(tool->out)) {
		say_failure(tool, "standard output", "%s",
			    errno ? strerror(errno) : "could not be written");
		return code == EXIT_OK ? EXIT_FAIL : code;
	}
	return code;
}

static void progress_erase(struct tool *tool)
{
	if (tool->progress[0])
		fprintf(tool->err, "\r%*s\r", (int)strlen(tool->progress), "");
	tool->progress[0] = '\0';
}

/* A sentence, about `subject` where there is one, to the report.  There may be no memory for it. */
static void report_add(struct tool *tool, json_t *list, const char *subject, const char *format,
		       va_list words) __attribute__((format(printf, 4, 0)));

static void report_add(struct tool *tool, json_t *list, const char *subject, const char *format,
		       va_list words)
{
	size_t members = subject ? 2 : 1;
	json_t *object = json_object();
	char *text = NULL;

	if (subject)
		json_put_bytes(object, "subject", subject);
	if (vasprintf(&text, format, words) >= 0) {
		json_put_bytes(object, "text", text);
		free(text);
	}
	if (json_object_size(object) < members || json_array_append(list, object))
		tool->report_lost = true;
	json_decref(object);
}

int say_failure(struct tool *tool, const char *subject, const char *format, ...)
{
	va_list list;

	progress_erase(tool);
	tool->failures++;
	fputs("xn: ", tool->err);
	show_name(tool->err, subject);
	fputs(": ", tool->err);
	va_start(list, format);
	vfprintf(tool->err, format, list);
	va_end(list);
	fputc('\n', tool->err);
	if (tool->failed) {
		va_start(list, format);
		report_add(tool, tool->failed, subject, format, list);
		va_end(list);
	}
	return EXIT_FAIL;
}

int say_error(struct tool *tool, const char *subject, int error, const char *why)
{
	return say_failure(tool, subject, "%s", why && *why ? why : xn_strerror(error));
}

int say_usage(struct tool *tool, const struct cmd *cmd, const char *format, ...)
{
	va_list list;

	tool->failures++;
	fputs("xn: ", tool->err);
	if (cmd)
		fprintf(tool->err, "%s: ", cmd->name);
	va_start(list, format);
	vfprintf(tool->err, format, list);
	va_end(list);
	if (cmd && cmd->flags & CMD_ALONE)
		fprintf(tool->err, "\nTry `%s --help`.\n", cmd->name);
	else
		fprintf(tool->err, "\nTry `xn help%s%s`.\n", cmd ? " " : "", cmd ? cmd->name : "");
	return EXIT_USAGE;
}

void say_done(struct tool *tool, const char *format, ...)
{
	va_list list;

	progress_erase(tool);
	if (tool->done) {
		va_start(list, format);
		report_add(tool, tool->done, NULL, format, list);
		va_end(list);
		return;
	}
	if (tool->quiet)
		return;
	va_start(list, format);
	vfprintf(tool->err, format, list);
	va_end(list);
	fputc('\n', tool->err);
}

void say_progress(struct tool *tool, const char *format, ...)
{
	va_list list;

	progress_erase(tool);
	if (!format || !tool->err_is_tty || tool->quiet)
		return;
	va_start(list, format);
	vsnprintf(tool->progress, sizeof(tool->progress), format, list);
	va_end(list);
	fputs(tool->progress, tool->err);
	fflush(tool->err);
}
