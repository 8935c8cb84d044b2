#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Build and test everything, as it is done before anything is handed on.
#
#   ./check.sh [--quick] [--no-install] [--require LIST] [--no-require]
#
#   --quick         the release build and its quick tests only
#   --no-install    do not install packages (otherwise apt, with sudo if you are not root)
#   --require LIST  labels (comma between) none of whose tests may be skipped;
#                   `fuse` is required by itself where /dev/fuse can be opened
#   --no-require    require nothing
#
# Builds: release (gcc), asan (clang, address and undefined behaviour), tsan (clang; tests
# that use threads), coverage (gcc; quick tests of udf, xn, libfs and fsck, whose shares must not
# fall).  Logs stay in build/check/.  Exit code 0: nothing failed, and nothing required was skipped.
set -u
cd "$(dirname "$0")" || exit 2

usage() {
	sed -n '4,17s/^# \{0,1\}//p' check.sh
	exit "$1"
}

quick=no install=yes require= ask_fuse=yes
while [ $# -gt 0 ]; do
	case $1 in
	--quick) quick=yes ;;
	--no-install) install=no ;;
	--require) require=${2?--require needs a list}; shift ;;
	--require=*) require=${1#*=} ;;
	--no-require) ask_fuse=no ;;
	-h | --help) usage 0 ;;
	*) echo "check.sh: unknown option $1" >&2; usage 2 >&2 ;;
	esac
	shift
done
[ $ask_fuse = yes ] && [ -r /dev/fuse ] && [ -w /dev/fuse ] && require="$require,fuse"

. .ci/packages.sh
# shellcheck disable=SC2086
packages_need $packages_test || exit 2

logs=build/check
rm -rf $logs
mkdir -p $logs
jobs=$(nproc)
started=$SECONDS
failed=0

# The loader of old sanitizers dislikes some address layouts; a fixed one pleases all.
steady=()
setarch "$(uname -m)" -R true 2>/dev/null && steady=(setarch "$(uname -m)" -R)

run_build() { # preset ctest-arguments...
	local preset=$1 start=$SECONDS
	shift
	echo "== $preset: build"
	if ! { cmake --preset "$preset" && cmake --build --preset "$preset" -j "$jobs"; } \
		>$logs/$preset.build 2>&1; then
		grep -E ' error: |FAILED:|CMake Error|multiple definition|undefined reference' -A6 $logs/$preset.build | head -40
		echo "== $preset: does not build; see $logs/$preset.build"
		echo "$preset: does not build" >$logs/$preset.closing
		failed=1
		return
	fi
	echo "== $preset: built in $((SECONDS - start)) s, testing"
	"${steady[@]}" ctest --test-dir build/$preset -j "$jobs" --output-on-failure --no-tests=error \
		--output-junit "$PWD/$logs/$preset.xml" "$@" >$logs/$preset.log 2>&1 || {
		failed=1
		grep -vE ' (Passed|\*\*\*Skipped) |^ +Start +[0-9]+:' $logs/$preset.log | head -200
	}
	echo "== $preset: $((SECONDS - start)) s in all"
	sed -n '/tests passed,/,$p' $logs/$preset.log >$logs/$preset.closing
}

# Lines "preset<TAB>state<TAB>seconds<TAB>test<TAB>labels<TAB>reason" of what ctest wrote.
results() {
	local xml
	for xml in $logs/*.xml; do
		[ -f "$xml" ] || continue
		awk -v preset="$(basename "$xml" .xml)" '
			function attribute(name,   part) {
				if (match($0, name "=\"[^\"]*\"") == 0) return ""
				part = substr($0, RSTART, RLENGTH)
				sub(/^[^"]*"/, "", part); sub(/"$/, "", part)
				return part
			}
			/<testcase / {
				test = attribute("name"); time = attribute("time")
				state = attribute("status"); labels = ""; reason = ""
			}
			/<property name="cmake_labels"/ { labels = attribute("value") }
			/SKIP:/ && reason == "" { reason = $0; sub(/.*SKIP: */, "", reason); sub(/<.*/, "", reason) }
			/<\/testcase>/ {
				if (state == "run") state = "passed"
				else if (state == "fail") state = "FAILED"
				else state = "skipped"
				printf "%s\t%s\t%.1f\t%s\t%s\t%s\n", preset, state, time, test, labels, reason
			}' "$xml"
	done
}

table() {
	results >$logs/results.tsv
	echo
	printf '%-9s %8s %8s %8s\n' build passed failed skipped
	awk -F'\t' '{ n[$1, $2]++; seen[$1] = 1 }
		END { for (p in seen)
			printf "%-9s %8d %8d %8d\n", p, n[p, "passed"], n[p, "FAILED"], n[p, "skipped"] }' \
		$logs/results.tsv | sort
	awk -F'\t' '$2 == "FAILED" { printf "failed   %s: %s (%s s)\n", $1, $4, $3 }' $logs/results.tsv
	awk -F'\t' '$2 == "skipped" { printf "skipped  %s: %s: %s\n", $1, $4,
		$6 == "" ? "no reason given" : $6 }' $logs/results.tsv
}

# A skipped test with a required label is a failure.
required() {
	local label
	for label in ${require//,/ }; do
		if awk -F'\t' -v label="$label" '$2 == "skipped" && ("," $5 "," ~ "[,;]" label "[,;]") { bad = 1 }
			END { exit !bad }' $logs/results.tsv; then
			echo "required but skipped: tests with the label $label"
			failed=1
		fi
	done
}

# Last, and not on a machine that is busy with other things: it says nothing that must be known each time.
coverage() {
	local code
	echo "== coverage"
	if [ $((SECONDS - started)) -gt 1200 ]; then
		echo "coverage: not counted, it is late; tests/coverage.sh does it" >$logs/coverage.log
		return
	fi
	timeout 240 tests/coverage.sh >$logs/coverage.log 2>&1
	code=$?
	if [ $code = 124 ]; then
		echo "coverage: not counted, it took too long" >>$logs/coverage.log
	elif [ $code != 0 ]; then
		failed=1
	fi
}

if [ $quick = yes ]; then
	run_build release -LE 'slow|lint'
else
	run_build release
	run_build asan -LE 'slow'
	run_build tsan -L threads
	coverage
fi
table
required
[ -f $logs/coverage.log ] && echo && cat $logs/coverage.log
[ -x tests/tidy/lines.sh ] && tests/tidy/lines.sh
echo "time: $((SECONDS - started)) s; logs in $logs/"
for preset in release asan tsan; do
	[ -f $logs/$preset.closing ] || continue
	echo
	echo "$preset:"
	cat $logs/$preset.closing
done
exit $failed
