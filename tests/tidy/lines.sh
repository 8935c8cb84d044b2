#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Lines of code (no comments, no blank lines) of each component, and of the part
# that must be trusted: udf and xn without devices and tools.
set -u
cd "$(dirname "$0")/../.." || exit 1

count() { # find arguments...
	find "$@" -type f \( -name '*.c' -o -name '*.h' \) -print0 2>/dev/null |
		xargs -0 -r -n1 gcc -fpreprocessed -dD -E -P -x c 2>/dev/null | grep -c '[^[:space:]]'
}

for part in udf xn libfs fuse-bridge fsck images tests; do
	[ -d $part ] && printf '%-12s %6d lines of code\n' $part "$(count $part)"
done
printf '%-12s %6d lines of code (udf without tool/, xn without devices/)\n' trusted \
	"$(($(count udf -path udf/tool -prune -o) + $(count xn -path xn/devices -prune -o)))"
