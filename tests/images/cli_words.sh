#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Help, version, completion, and being asked the wrong way.
. "$(dirname "$0")/lib.sh"

it "prints an overview without a command, and calls that wrong usage"
try xn
equal $code 2
grep -q 'usage: xn COMMAND' err || complain "no usage"

it "prints the overview on request"
for word in --help -h help; do
	ok xn $word
	output_has 'usage: xn COMMAND'
done

it "says its version"
ok xn --version
output_has '^xn [0-9]+\.[0-9]+\.[0-9]+$'

it "explains every command it lists"
xn help | sed -n 's/^  \([a-z]*\) .*/\1/p' >commands
[ "$(wc -l <commands)" -ge 20 ] || complain "only $(wc -l <commands) commands"
while read -r command; do
	ok xn help "$command"
	output_has "^usage: xn $command"
	[[ $command = fsck || $command = crashtest ]] && continue # programs of their own
	cp out explained
	ok xn "$command" --help
	cmp -s out explained || complain "xn $command --help says something else"
done <commands

it "refuses what is no command"
refused 2 'no command "formt"' xn formt x
refused 2 'no command "nosuch"' xn help nosuch

it "refuses options and words it does not know, and points to the help"
refused 2 'unknown option --nosuch' xn ls --nosuch x
grep -q 'xn help ls' err || complain "no pointer to the help"
refused 2 'usage: xn ls' xn ls
refused 2 '"c" is one word too many' xn roots a c
refused 2 'is not a size' xn format x --size huge
refused 2 'needs a value' xn format x --size
refused 2 'is not a UUID' xn format x --size 1M -U 12
refused 2 'is not an octal mode' xn mkfs x --root a --mode 888
refused 2 'auto, always or never' xn ls x --color red
refused 2 'root NAME is missing' xn mkfs x
refused 2 'not the number of a block' xn owner x 12a
[ -e x ] && complain "x was made"

it "offers completion that bash accepts"
ok xn completion bash
bash -n out || complain "bash does not read it"
complete_of() { # words: what may follow
	bash -c '. ./out; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _xn; echo "${COMPREPLY[*]}"' - "$@"
}
equal "$(complete_of xn form)" format
equal "$(complete_of xn mkfs --qu)" "--quota --quiet"
equal "$(complete_of xn ls --color a)" "auto always"
refused 2 'only for bash' xn completion fish

done_testing
