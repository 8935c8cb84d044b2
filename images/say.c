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

int tool_run(struct tool *tool, const struct args *args)
{
	json_t *object;
	int code;

	tool_take_options(tool, args);
	if (!tool->json || !(args->cmd->flags & CMD_WRITES))
		return args->cmd->run(tool, args);
	tool->done = json_array();
	tool->failed = json_array();
	code = args->cmd->run(tool, args);
	object = json_start();
	json_object_set_new(object, "command", json_string(args->cmd->name));
	json_object_set_new(object, "exit_code", json_integer(code));
	json_object_set_new(object, "done", tool->done);
	json_object_set_new(object, "failures", tool->failed);
	tool->done = tool->failed = NULL;
	json_print(tool, object);
	return code;
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

static void put_sentence(json_t *object, const char *key, const char *format, va_list list)
	__attribute__((format(printf, 3, 0)));

static void put_sentence(json_t *object, const char *key, const char *format, va_list list)
{
	char *text = NULL;

	if (vasprintf(&text, format, list) >= 0)
		json_put_bytes(object, key, text);
	free(text);
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
		json_t *object = json_object();

		va_start(list, format);
		json_put_bytes(object, "subject", subject);
		put_sentence(object, "text", format, list);
		va_end(list);
		json_array_append_new(tool->failed, object);
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
		json_t *object = json_object();

		va_start(list, format);
		put_sentence(object, "text", format, list);
		va_end(list);
		json_array_append_new(tool->done, object);
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
