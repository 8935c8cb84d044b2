/* SPDX-License-Identifier: MIT */
/*
 * `xn` in this process, on a disk in memory that has a path.
 *
 *  (1) What commands say, to either stream, is lost.
 */
#ifndef TESTS_FUZZ_TOOL_RUN_H
#define TESTS_FUZZ_TOOL_RUN_H

#include <stddef.h>

#define TOOL_PATH_MAX 40u

/* A file in memory, and a path to it; ends the program when there is none. */
int tool_file(char path[TOOL_PATH_MAX]);
void tool_file_fill(int file, const void *bytes, size_t len);

/* The words of a command line, without "xn", NULL at the end.  Its exit code. */
int tool_command(const char *const words[]);

#endif
