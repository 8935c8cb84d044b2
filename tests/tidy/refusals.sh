#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# For each refusal of xn/error.h, a test that provokes it.  Fails if one has none.
set -u
cd "$(dirname "$0")/../.." || exit 1

# Lines "error file test": a name is provoked where a test's source mentions it.
mentions() {
	find tests -name '*.c' ! -name error_test.c -print0 | sort -z | xargs -0 awk '
		FNR == 1 { test = "(table)" }
		/^(static )?(void|int|bool) [a-z0-9_]+\(/ {
			test = $0
			sub(/\(.*/, "", test); sub(/.* /, "", test)
		}
		{
			line = $0
			while (match(line, /XN_E[A-Z]+/)) {
				print substr(line, RSTART, RLENGTH), FILENAME, test
				line = substr(line, RSTART + RLENGTH)
			}
		}'
}

mentions >"${TMPDIR-/tmp}/refusals.$$"
trap 'rm -f "${TMPDIR-/tmp}/refusals.$$"' EXIT
bad=0
for error in $(sed -nE 's/^\tX\((XN_E[A-Z]+),.*/\1/p' xn/include/xn/error.h); do
	first=$(grep -m1 "^$error " "${TMPDIR-/tmp}/refusals.$$")
	if [ -z "$first" ]; then
		printf '%-18s NO TEST\n' "$error"
		bad=1
		continue
	fi
	read -r _ file test <<<"$first"
	printf '%-18s %s: %s\n' "$error" "$file" "$test"
done
exit $bad
