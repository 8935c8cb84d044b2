/* SPDX-License-Identifier: MIT */
/* The sub-commands of xn-tmpl; argv[0] is the sub-command's name. */
#ifndef UDF_TOOL_COMMANDS_H
#define UDF_TOOL_COMMANDS_H

#include "file.h"

enum outcome command_build(int argc, char **argv);
enum outcome command_check(int argc, char **argv);
enum outcome command_dump(int argc, char **argv);
enum outcome command_run(int argc, char **argv);

#endif
