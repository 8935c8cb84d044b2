#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# SURVIVES.md says what the explorer sees today.
#
#   survives.sh PROGRAM            compare
#   survives.sh PROGRAM --write    make it anew
set -u
page=$(dirname "$0")/SURVIVES.md
if [ "${2-}" = --write ]; then
	"$1" cffs simplefs >"$page"
	exit
fi
new=$(mktemp)
trap 'rm -f "$new"' EXIT
"$1" cffs simplefs >"$new" || { echo "FAILED: $1"; exit 1; }
[ "$(grep -c '^|' "$new")" -ge 40 ] || { echo "FAILED: there is no table"; exit 1; }
diff -u "$page" "$new" || {
	echo "FAILED: another table than in $page; make it anew with: $0 $1 --write"
	exit 1
}
