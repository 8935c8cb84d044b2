#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# How much of the product the tests run: lines, per component.
#
#   tests/coverage.sh [--table | --uncovered COMPONENT] [CTEST-ARGUMENTS...]
#
# Builds with --coverage into build/coverage (XN_COVERAGE_DIR says where else), runs the quick tests of
# udf, xn, libfs and fsck (or what CTEST-ARGUMENTS choose: then everything is built) and prints a
# table; of those four, each must reach what is written below.
# --table prints the table of the last run, --uncovered the lines of a component that nothing ran;
# they run nothing.  What no program of the tests contains is not counted.
# tests/COVERAGE.md says what is left, and why.
set -u
cd "$(dirname "$0")/.." || exit 2
dir=${XN_COVERAGE_DIR:-build/coverage}
jobs=${XN_JOBS:-$(nproc)}
components="udf xn libfs fsck"
least=90 # per cent
command -v jq >/dev/null && command -v gcov >/dev/null || { echo "coverage.sh: needs gcov and jq" >&2; exit 2; }

# Lines "file line count" of all sources of a component, by their paths here; what several programs
# ran is added up.  (A compiler cache may have made paths relative.)
# shellcheck disable=SC2016
lines() { # component
	find "$dir/$1" "$dir/tests" -name '*.gcda' 2>/dev/null | sort |
		xargs -r -n 40 gcov --json-format --stdout 2>/dev/null |
		jq -r --arg top "${PWD##*/}" --arg component "$1/" '.files[] |
			(.file | sub("^(.*/)?\($top)/"; "") | sub("^(\\.\\./)+"; "")) as $file |
			select($file | startswith($component)) |
			.lines[] | "\($file)\t\(.line_number)\t\(.count)"' |
		awk -F'\t' '{ n[$1 "\t" $2] += $3 } END { for (k in n) print k "\t" n[k] }'
}

uncovered() { # component
	lines "$1" | awk -F'\t' '$3 == 0' | sort -t"$(printf '\t')" -k1,1 -k2,2n |
		while IFS=$'\t' read -r file line _; do
			printf '%s:%s: %s\n' "$file" "$line" "$(sed -n "${line}p" "$file")"
		done
}

table() {
	local component code=0
	printf '%-12s %7s %7s %7s\n' component lines run ''
	for component in $components; do
		lines "$component" | awk -F'\t' -v name="$component" -v least=$least '{ all++; ran += $3 > 0 }
			END { part = all ? 100 * ran / all : 0
				printf "%-12s %7d %7d %5.1f %%%s\n", name, all, ran, part,
					part < least ? "  LESS THAN " least : ""
				exit part < least }' || code=1
	done
	return $code
}

case ${1-} in
--uncovered)
	uncovered "${2?--uncovered needs a component}"
	exit
	;;
--table)
	table
	exit
	;;
esac

# Warnings depend on the optimiser, which is another one here.
cmake -S . -B "$dir" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS_DEBUG="-g1 -O1" -DXN_COVERAGE=ON \
	-DXN_WERROR=OFF >/dev/null || exit 1
code=0
if [ $# -eq 0 ]; then
	set -- -L '^(unit|udf|xn|acl|fs|fsck|cffs|fault|crash)$' -LE 'lint|tidy|bench|slow|fuse|images|fuzz' \
		-E 'fsx|model_(cffs|simplefs)|crash_[^p]|hostile_|fuse_(bridge|crew)|format_md'
	targets=(bin/xn bin/xn-udf-vm crash_parts fuse_host)
	for folder in udf xn libfs fsck tests/{udf,unit,xn,acl,fs,cffs,fsck,fault,xnfs}; do
		targets+=("$folder/all")
	done
else
	targets=(all)
fi
ninja -C "$dir" -j "$jobs" "${targets[@]}" >"$dir/build.log" 2>&1 || { tail -20 "$dir/build.log"; exit 1; }
find "$dir" -name '*.gcda' -delete
ctest --test-dir "$dir" -j "$jobs" "$@" >"$dir/test.log" 2>&1 || {
	# Other builds run them, too, and say so.
	echo "some tests failed, and count all the same:"
	sed -n '/tests FAILED/,$p' "$dir/test.log"
}
table || code=1
exit $code
