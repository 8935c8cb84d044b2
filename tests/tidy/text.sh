#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What a reader sees of every file that is committed.
#
#   text.sh spdx      each source begins with its licence
#   text.sh machine   nothing names the machine it was written on
#   text.sh format    C is as clang-format says
#   text.sh leftovers no notes to self, no dead code, no file of 2,000 lines
set -u
cd "$XN_SOURCE" || exit 1

skip() {
	echo "SKIP: $*"
	exit 77
}

git rev-parse --git-dir >/dev/null 2>&1 || skip "not a git work tree"

# Tracked files that exist (a deletion may not be committed yet).
files() {
	git ls-files -z -- "$@" | while IFS= read -r -d '' file; do
		[ -f "$file" ] && echo "$file"
	done
}

# By name, or by a first line that names a shell.
scripts() {
	files | while read -r file; do
		case $file in
		*.sh) echo "$file" ;;
		*.*) ;;
		*) head -c 64 "$file" | head -1 | grep -aq '^#!.*sh' && echo "$file" ;;
		esac
	done
}

spdx() {
	local file bad=0
	while read -r file; do
		if ! head -3 "$file" | grep -q 'SPDX-License-Identifier: MIT'; then
			echo "$file: no SPDX line"
			bad=1
		fi
	done < <(files '*.c' '*.h' '*.S' '*.cmake' '*CMakeLists.txt' '.clang-*' .gitignore; scripts)
	[ -f LICENSE ] && [ -f LICENSES/MIT.txt ] || { echo "licence text missing"; bad=1; }
	return $bad
}

# Paths of work trees and homes, and the name of this host if it is a name at all.
machine() {
	local pattern='(^|[^a-z])/work/(main|shared|bench|hooks|\.lib)|/\.library|/tmp/b-' name
	name=$(uname -n)
	case $name in
	localhost* | debian | ubuntu | vm | host | ?? | ? | "") ;;
	*) pattern="$pattern|\\b${name//./\\.}\\b" ;;
	esac
	! files | grep -v '^tests/tidy/text.sh$' | tr '\n' '\0' |
		xargs -0 grep -InE "$pattern" --
}

format() {
	command -v clang-format >/dev/null || skip "clang-format is not installed"
	files '*.c' '*.h' | tr '\n' '\0' | xargs -0 clang-format --dry-run -Werror 2>&1 |
		grep -E 'error:' | cut -d: -f1 | sort | uniq -c | sed 's/$/: clang-format would change it/'
	files '*.c' '*.h' | tr '\n' '\0' | xargs -0 clang-format --dry-run -Werror >/dev/null 2>&1
}

leftovers() {
	local bad=0 file
	files '*.c' '*.h' '*.sh' '*.cmake' '*CMakeLists.txt' | grep -v '^tests/tidy/text.sh$' |
		tr '\n' '\0' | xargs -0 grep -nE '\b(TODO|FIXME|XXX|HACK)\b|^[ \t]*#[ \t]*if 0' -- && bad=1
	while read -r file; do
		if [ "$(wc -l <"$file")" -gt 2000 ]; then
			echo "$file: longer than anybody reads"
			bad=1
		fi
	done < <(files '*.c' '*.h')
	return $bad
}

case ${1-} in
spdx | machine | format | leftovers) "$1" ;;
*) sed -n '4,9s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
