#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A wrong-direction include does not compile: for each set of include folders a
# component's sources are really compiled with, each public header is tried; it
# must compile exactly where the table allows it.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/tidy/rules.sh
. "$here/rules.sh"
cc=${CC-cc}
bad=0 tried=0

# Lines "source<TAB>include flags", from the compilation database.
compilations() {
	awk -F'"' '/^ *"command":/ { command = $0 }
		/^ *"file":/ {
			flags = ""
			n = split(command, word, " ")
			for (i = 1; i <= n; i++) {
				if (word[i] ~ /^-I/) flags = flags " " word[i]
				if (word[i] == "-isystem") flags = flags " -isystem " word[i + 1]
			}
			print $4 "\t" flags
		}' "$XN_BUILD/compile_commands.json"
}

# Does the header compile with these flags, or is it at least not found?
header_try() { # header flags
	local message
	# shellcheck disable=SC2086
	if message=$(echo "#include \"$1\"" | $cc -std=gnu11 -fsyntax-only -x c $2 - 2>&1); then
		echo seen
	elif grep -q "$1.*\(No such file\|file not found\)" <<<"$message"; then
		echo hidden
	else
		echo "broken: $message"
	fi
}

declare -A done_before=() seen_component=()
while IFS=$'\t' read -r source flags; do
	file=${source#"$XN_SOURCE"/}
	case $file in
	/* | build/* | tests/* | */types/*) continue ;;
	esac
	component=$(component_of "$file")
	checker=
	case $(basename "$file") in
	check*.c | mend.c) checker=check ;;
	anatomy*.c) checker=anatomy ;;
	esac
	key="$component$checker|$flags"
	[ -n "${done_before[$key]-}" ] && continue
	done_before[$key]=1
	seen_component[$component]=1
	for header in $public_headers; do
		wanted=hidden
		header_is_allowed "$file" "$header" && wanted=seen
		got=$(header_try "$header" "$flags")
		tried=$((tried + 1))
		# A component need not use everything it may use.
		[ "$got" = "$wanted" ] || [ "$wanted:$got" = seen:hidden ] && continue
		# The folder of a LibFS compiles its checker with the rest; includes.sh watches it.
		[[ $header = libfs/check.h || $header = libfs/anatomy.h ]] &&
			[ "${component%/*}" = libfs ] && continue
		echo "$file: $header is $got, should be $wanted"
		bad=1
	done
done < <(compilations)

for component in udf xn libfs libfs/simplefs fuse-bridge fsck images; do
	[ -n "${seen_component[$component]-}" ] || {
		echo "no source of $component was compiled"
		bad=1
	}
done
echo "$tried includes tried from ${#seen_component[@]} components"
exit $bad
