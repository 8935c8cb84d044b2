/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "commands.h"

static const char help[] =
	"xn-tmpl: templates of untrusted deterministic functions for XN\n"
	"\n"
	"  xn-tmpl build OBJECT... -o OUT [--c FILE.c] [--order NAME,...]\n"
	"      Link BPF object files into template images.  OUT is a file if there is\n"
	"      one template, else a directory (OUT/NAME.tmpl each).  --c also writes\n"
	"      them as C arrays (FILE.c, FILE.h).  Templates are numbered, for children\n"
	"      that name each other, as given, or as --order says.\n"
	"  xn-tmpl check TEMPLATE...\n"
	"      Load and validate, as XN does.\n"
	"  xn-tmpl dump TEMPLATE\n"
	"      Print all of it, functions disassembled.\n"
	"  xn-tmpl run TEMPLATE FUNCTION BLOCKFILE [--record N] [--first-block N]\n"
	"              [--new FILE] [--owner FILE] [--args FILE]\n"
	"      Run owns, refcnt, size, acl or check on the object in BLOCKFILE.\n"
	"      owns and refcnt run on every record unless one is named; acl sees FILEs\n"
	"      as proposed object, owner record and arguments.\n"
	"\n"
	"Exit code: 0 done, 1 the input is refused (or a function faulted), 2 usage or\n"
	"system trouble.\n";

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		enum outcome (*run)(int argc, char **argv);
	} commands[] = { { "build", command_build },
			 { "check", command_check },
			 { "dump", command_dump },
			 { "run", command_run } };

	if (argc < 2) {
		fputs(help, stderr);
		return TROUBLE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		fputs(help, stdout);
		return DONE;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return (int)commands[i].run(argc - 1, argv + 1);
	return (int)trouble(argv[1], "no such command; see xn-tmpl --help");
}
