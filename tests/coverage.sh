#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# How much of the product the tests run: lines, per component.
#
#   tests/coverage.sh [--uncovered COMPONENT | --table] [CTEST-ARGUMENTS...]
#
# Builds with --coverage into build/coverage (XN_COVERAGE_DIR says where else), runs the tests
# (default: all but lint, tidy, bench and what takes minutes) and prints a table.
# --table prints the table of the last run, --uncovered the lines of a component that nothing ran;
# they run nothing.
# What no program of the tests contains is not counted.  Not part of check.sh: it takes as long as the rest of it.
set -u
cd "$(dirname "$0")/.." || exit 2
dir=${XN_COVERAGE_DIR:-build/coverage}
jobs=${XN_JOBS:-$(nproc)}
components="udf xn libfs fsck fuse-bridge images"

# Lines "file line count" of all sources of a component; what several programs ran is added up.
# shellcheck disable=SC2016
lines() { # component
	find "$dir/$1" "$dir/tests" -name '*.gcda' 2>/dev/null | sort |
		xargs -r -n 40 gcov --json-format --stdout 2>/dev/null |
		jq -r --arg top "$PWD/$1/" '.files[] | select(.file | startswith($top)) | .file as $file |
			.lines[] | "\($file)\t\(.line_number)\t\(.count)"' |
		awk -F'\t' '{ n[$1 "\t" $2] += $3 } END { for (k in n) print k "\t" n[k] }'
}

if [ "${1-}" = --uncovered ]; then
	lines "${2?--uncovered needs a component}" | awk -F'\t' '$3 == 0' | sort -t"$(printf '\t')" -k1,1 -k2,2n |
		while IFS=$'\t' read -r file line _; do
			printf '%s:%s: %s\n' "${file#"$PWD"/}" "$line" "$(sed -n "${line}p" "$file")"
		done
	exit
fi
command -v jq >/dev/null && command -v gcov >/dev/null || { echo "coverage.sh: needs gcov and jq" >&2; exit 2; }

table() {
	local component
	echo "| component | lines | run | |"
	echo "|---|--:|--:|--:|"
	for component in $components; do
		lines "$component" | awk -F'\t' -v name="$component" '{ all++; ran += $3 > 0 }
			END { printf "| %s | %d | %d | %.1f %% |\n", name, all, ran, all ? 100 * ran / all : 0 }'
	done
}

if [ "${1-}" = --table ]; then
	table
	exit
fi
cmake -S . -B "$dir" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS_DEBUG="-g -O1" -DXN_COVERAGE=ON \
	>/dev/null || exit 1
ninja -C "$dir" -j "$jobs" >"$dir/build.log" 2>&1 || { tail -20 "$dir/build.log"; exit 1; }
find "$dir" -name '*.gcda' -delete
[ $# -gt 0 ] || set -- -LE 'lint|tidy|bench|slow' -E 'fsx|torture|seq2|by_chance|wreck|mob|big|real_|model'
ctest --test-dir "$dir" -j "$jobs" "$@" >"$dir/test.log" 2>&1 || {
	echo "some tests failed, and count all the same:"
	sed -n '/tests FAILED/,$p' "$dir/test.log"
}
table
