#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Deliberate bugs, and which test sees each.
#
#   tests/mutants/run.sh [--check | --list | --record | --unproven] [NAME...]
#
#   NAME        of a mutant, or a part of one (default: all)
#   --list      say what there is
#   --check     only see that every patch applies, and has its row in README.md
#   --record    write into README.md which test killed each, and of which commit that was
#   --unproven  do not run the tests without a mutant first
#
# Each mutant is applied by itself to a copy of the tree, built, and run against the test that killed
# it last (its row in README.md), then against the others that its patch names, until one fails; when
# none does, against all tests there are.  A test that kills must pass without the mutant.
# Everything lies in build/mutants (XN_MUTANTS says where else); a second run builds little.
# XN_JOBS: how many compilers at once.  Exit code 1: a mutant lived, or does not apply.
set -u
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
work=${XN_MUTANTS:-$top/build/mutants}
jobs=${XN_JOBS:-$(nproc)}
mode=run
proven=yes
record=no

die() {
	echo "run.sh: $*" >&2
	exit 2
}

usage() {
	sed -n '5,20s/^# \{0,1\}//p' "$0"
	exit "$1"
}

field() { # name patch
	sed -n "s/^$1: //p" "$2"
}

chosen() { # words...
	local patch word name
	for patch in "$here"/*.patch; do
		name=$(basename "$patch" .patch)
		[ $# -gt 0 ] || echo "$name"
		for word; do
			[[ $name == *"$word"* ]] && { echo "$name"; break; }
		done
	done
}

# Who killed it last, then the others that its patch names.
tests_of() { # name
	local last test
	last=$(sed -nE "s/^\| $1 \| .+ \| ([a-z_0-9]+) \|$/\1/p" "$here/README.md")
	echo "$last"
	for test in $(field Tests "$here/$1.patch"); do
		[ "$test" = "$last" ] || echo "$test"
	done
}

applies() { # folder patch
	patch -d "$1" -p1 -s -f --dry-run <"$2" >/dev/null 2>&1
}

# What a mutant's patch must have, without building anything.
check() {
	local name bad=0 n=0
	for name in $mutants; do
		n=$((n + 1))
		if ! applies "$top" "$here/$name.patch"; then
			echo "$name does not apply any more: make it anew, or remove it with its row"
			bad=1
		fi
		[ -n "$(field Breaks "$here/$name.patch")" ] || { echo "$name: no Breaks:"; bad=1; }
		[ -n "$(field Tests "$here/$name.patch")" ] || { echo "$name: no Tests:"; bad=1; }
		grep -qE "^\| $name \| .+ \| [a-z_0-9]+ \|$" "$here/README.md" ||
			{ echo "$name: no row in README.md, or nothing kills it"; bad=1; }
	done
	echo "$n mutants looked at"
	[ $n -gt 0 ] || die "no mutant of that name"
	return $bad
}

# Only what differs is copied: what was built stays, and what the last mutant changed is built anew.
copy() {
	local file launcher=""
	mkdir -p "$work/src"
	(cd "$top" && find . -name .git -prune -o -path ./build -prune -o -type f -print) |
		while read -r file; do
			cmp -s "$top/$file" "$work/src/$file" && continue
			mkdir -p "$work/src/$(dirname "$file")"
			cp -p "$top/$file" "$work/src/$file" && touch "$work/src/$file" ||
				die "$file cannot be copied"
		done
	command -v ccache >/dev/null && launcher=-DCMAKE_C_COMPILER_LAUNCHER=ccache
	cmake -S "$work/src" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Debug ${launcher:+"$launcher"} \
		-DCMAKE_C_FLAGS_DEBUG="-O1" -DXN_WERROR=OFF >"$work/cmake.log" 2>&1 ||
		die "cmake fails: see $work/cmake.log"
}

# The program of a test, as ninja knows it.
program_of() {
	grep -rhE "^add_test\(\[=\[$1\]=\]" "$work/build" --include=CTestTestfile.cmake |
		sed -nE "s,^[^\"]*\"$work/build/([^\"]*)\".*,\1,p"
}

build() { # tests...
	local test program programs=()
	for test; do
		program=$(program_of "$test")
		[ -n "$program" ] || die "no test is called $test"
		programs+=("$program")
	done
	ninja -C "$work/build" -j "$jobs" "${programs[@]}" >"$work/build.log" 2>&1
}

passes() { # test
	ctest --test-dir "$work/build" --timeout 600 -R "^$1\$" --no-tests=error >"$work/test.log" 2>&1
}

# Without a mutant the tests that are asked first pass: else none of what follows means anything.
baseline() {
	local test
	proved=$(for name in $mutants; do tests_of "$name" | head -n1; done | sort -u)
	# shellcheck disable=SC2086
	build $proved || die "the tree does not build: see $work/build.log"
	for test in $proved; do
		passes "$test" || die "$test fails without any mutant: see $work/test.log"
	done
	echo "without a mutant: $(wc -w <<<"$proved") tests pass" >&2
}

# A test that fails without any mutant as well has killed nothing.
prove() { # test
	[ $proven = yes ] || return 0
	grep -qx "$1" <<<"$proved" && return
	build "$1" && passes "$1" || die "$1 fails without any mutant: see $work/test.log"
	proved+=$'\n'$1
}

# The first of all tests that fails; nothing when none does.
whole_suite() {
	ninja -C "$work/build" -j "$jobs" >"$work/build.log" 2>&1 || { echo "the-build"; return; }
	ctest --test-dir "$work/build" --timeout 600 -j "$jobs" --stop-on-failure -LE 'tidy|lint' \
		>"$work/test.log" 2>&1 ||
		sed -nE 's/^[[:space:]]+[0-9]+ - ([a-z_0-9]+) \(.*/\1/p' "$work/test.log" | head -n1
}

run_one() { # name
	local test killer=""
	patch -d "$work/src" -p1 -s -f <"$here/$1.patch" >/dev/null || { echo "| $1 | does not apply | |"; return 1; }
	for test in $(tests_of "$1"); do
		build "$test" || die "$1 does not build: see $work/build.log"
		passes "$test" || { killer=$test; break; }
	done
	[ -n "$killer" ] || killer=$(whole_suite)
	patch -d "$work/src" -p1 -s -f -R <"$here/$1.patch" >/dev/null || die "$1 cannot be taken back"
	[ -z "$killer" ] || prove "$killer"
	echo "| $1 | $(field Breaks "$here/$1.patch") | ${killer:-**nobody**} |"
	[ -n "$killer" ]
}

# The rows of this run take the place of the old ones.
rows_write() { # rows
	local rows=$1 commit
	commit=$(git -C "$top" log -1 --format=%h)
	awk -F' [|] ' -v rows="$rows" -v run="The last run: $(date +%F), $n mutants on commit $commit, $lived alive." '
		BEGIN { while ((getline line <rows) > 0) { split(line, at, " [|] "); row[at[1]] = line } }
		/^The last run: / { print run; next }
		$1 in row { print row[$1]; delete row[$1]; next }
		{ print }
		END { for (name in row) print row[name] | "sort" }' "$here/README.md" >"$work/README.md" &&
		cp "$work/README.md" "$here/README.md"
}

while [ $# -gt 0 ]; do
	case $1 in
	--check) mode=check ;;
	--list) mode=list ;;
	--record) record=yes ;;
	--unproven) proven=no ;;
	-h | --help) usage 0 ;;
	-*) usage 2 >&2 ;;
	*) break ;;
	esac
	shift
done
mutants=$(chosen "$@")
[ -n "$mutants" ] || die "no mutant of that name"
case $mode in
list)
	for name in $mutants; do echo "$name: $(field Breaks "$here/$name.patch")"; done
	exit 0
	;;
check) check; exit ;;
esac
copy
[ $proven = no ] || baseline
lived=0 n=0
: >"$work/rows"
echo "| mutant | breaks | killed by |"
echo "|---|---|---|"
for name in $mutants; do
	run_one "$name" >"$work/row" || lived=$((lived + 1))
	tee -a "$work/rows" <"$work/row"
	n=$((n + 1))
done
echo "$n mutants, $lived alive" >&2
[ $record = no ] || rows_write "$work/rows"
[ $lived = 0 ]
