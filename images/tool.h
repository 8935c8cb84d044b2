/* SPDX-License-Identifier: MIT */
/*
 * How the program talks: to people, to programs, about failures.
 *
 *  (1) What was asked for goes to `out`, everything else to `err`.  An error is
 *      one line: "xn: SUBJECT: what is wrong".
 *  (2) SIGPIPE is ignored.  Work on a disk is finished whoever listens; that
 *      the output could not be written is said at the end and fails the program.
 *  (3) Progress and colour are for terminals only.
 *  (4) JSON is one object with "version": 1.  Numbers are numbers, 64-bit
 *      identifiers (blocks, inodes, versions) are strings; bytes that are no
 *      UTF-8 come as "NAME_hex" beside a readable "NAME".
 *  (5) No JSON lacks anything for want of memory.  A command that reads ends at once,
 *      with a sentence; one that changes a disk ends its work first.
 */
#ifndef IMAGES_TOOL_H
#define IMAGES_TOOL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "cli.h"

struct tool {
	FILE *out, *err;
	bool json, bytes, quiet, colour;
	bool err_is_tty;
	unsigned failures;     /* said so far */
	char progress[80];     /* the line that stands on the terminal now */
	json_t *done, *failed; /* sentences of a command that writes, with --json; or NULL */
	bool report_lost;      /* there was no memory for one of these */
};

void tool_init(struct tool *tool, FILE *out, FILE *err);
/* Take --json, --bytes, --color and --quiet from the arguments. */
void tool_take_options(struct tool *tool, const struct args *args);
/* Take the options and run the command; with --json, one that writes reports here. */
int tool_run(struct tool *tool, const struct args *args);
/* Flush; say so if output was lost.  Returns the exit code. */
int tool_finish(struct tool *tool, int code);

/* ---- failures ---- */

/* "xn: SUBJECT: sentence". Always returns EXIT_FAIL. */
int say_failure(struct tool *tool, const char *subject, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The sentence of a negative return value; `why`, where not empty, says it better. */
int say_error(struct tool *tool, const char *subject, int error, const char *why);
/* "xn: sentence" and where to look. Returns EXIT_USAGE. */
int say_usage(struct tool *tool, const struct cmd *cmd, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* A sentence about work done; not with --quiet.  Goes to standard error. */
void say_done(struct tool *tool, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The line of progress; only on a terminal.  NULL removes it. */
void say_progress(struct tool *tool, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- what people read ---- */

/* Size as the options want it. */
const char *show_size(const struct tool *tool, uint64_t bytes, char text[SIZE_TEXT_MAX]);
/* 0123abcd-.... */
void show_uuid(const uint8_t uuid[16], char text[37]);
/* 2026-11-21 05:12:07 in local time; with nanoseconds and zone when `full`. */
void show_time(struct timespec when, bool full, char text[64]);
/* drwxr-xr-x */
void show_mode(uint32_t mode, char text[11]);
const char *show_kind(uint32_t mode);
/* A name; control characters as \ooo, so that no name can play with a terminal. */
void show_name(FILE *out, const char *name);
/* The same in the colour of its kind. */
void show_name_of(const struct tool *tool, const char *name, uint32_t mode);

/* ---- what programs read ---- */

/* {"version": 1} */
json_t *json_start(void);
void json_put_id(json_t *object, const char *key, uint64_t id);
/* A string that may be any bytes: `key`, and `key`_hex when they are no UTF-8. */
void json_put_bytes(json_t *object, const char *key, const char *bytes);
/* "2026-11-21T05:12:07.123456789Z" */
void json_put_time(json_t *object, const char *key, struct timespec when);
/* Print and free. */
void json_print(struct tool *tool, json_t *object);

/*
 * An object with one long array at its end, printed while it is made, so that
 * memory does not grow with the listing.
 */
struct json_stream {
	struct tool *tool;
	bool any;
};
/* Prints and frees `head`. */
void json_stream_start(struct json_stream *stream, struct tool *tool, json_t *head,
		       const char *key);
/* Prints and frees. */
void json_stream_item(struct json_stream *stream, json_t *item);
void json_stream_end(struct json_stream *stream);

#endif
