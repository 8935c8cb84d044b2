#!/bin/sh
# SPDX-License-Identifier: MIT
#
# completion.sh FILE PROGRAM [OTHER-NAME...]: what bash needs to complete the options of
# PROGRAM, taken from what FILE --help says: options, sub-commands ("  PROGRAM word ...") and
# the words of -o ("  word" or "  word=VALUE" behind "Words of -o").
set -eu
file=$1 program=$2
shift
help=$("$file" --help)
function=_$(echo "$program" | tr -c 'a-z0-9\n' _)

# Lines that tell of other names of the program are not about its options.
options=$(echo "$help" | grep -v 'called by' | grep -oE '(^ *|[][|(]|, |\.\.\. )--?[a-zA-Z][-a-zA-Z]*' |
	grep -oE -- '--?[a-zA-Z][-a-zA-Z]*$' | sort -u | tr '\n' ' ')
commands=$(echo "$help" | sed -nE "s/^  $program ([a-z]+) .*/\1/p" | tr '\n' ' ')
words=$(echo "$help" | sed -nE '/^Words of -o/,/^[A-Z]/s/^  ([a-z_]+=?).*/\1/p' | tr '\n' ' ')

cat <<END
# SPDX-License-Identifier: MIT
# Made of what \`$program --help\` says.
$function()
{
	local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]}
	if [[ \$cur == -* ]]; then
		COMPREPLY=(\$(compgen -W '$options' -- "\$cur"))
END
[ -z "$words" ] || cat <<END
	elif [[ \$prev == -o ]]; then
		COMPREPLY=(\$(compgen -P "\${cur%"\${cur##*,}"}" -W '$words' -- "\${cur##*,}"))
		compopt -o nospace
END
[ -z "$commands" ] || cat <<END
	elif ((COMP_CWORD == 1)); then
		COMPREPLY=(\$(compgen -W '$commands' -- "\$cur"))
END
cat <<END
	else
		COMPREPLY=(\$(compgen -f -- "\$cur"))
	fi
}
complete -o filenames -F $function $*
END
