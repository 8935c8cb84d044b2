#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Deliberate bugs, and which test sees each.
#
#   tests/mutants/run.sh [--check | --list | --unproven] [NAME...]
#
#   NAME        of a mutant, or a part of one (default: all)
#   --list      say what there is
#   --check     only see that every patch applies, and has its row in README.md
#   --unproven  do not run the tests without a mutant first
#
# Each mutant is applied by itself to a copy of the tree, built, and run against the tests that its
# patch names, in that order, until one fails.  Before, the same tests must pass without it.
# Everything lies in build/mutants (XN_MUTANTS says where else); a second run builds little.
# XN_JOBS: how many compilers at once.  Exit code 1: a mutant lived, or does not apply.
set -u
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
work=${XN_MUTANTS:-$top/build/mutants}
jobs=${XN_JOBS:-$(nproc)}
mode=run
proven=yes

die() {
	echo "run.sh: $*" >&2
	exit 2
}

usage() {
	sed -n '5,18s/^# \{0,1\}//p' "$0"
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
	local file
	mkdir -p "$work/src"
	(cd "$top" && find . -name .git -prune -o -path ./build -prune -o -type f -print) |
		while read -r file; do
			cmp -s "$top/$file" "$work/src/$file" && continue
			mkdir -p "$work/src/$(dirname "$file")"
			cp -p "$top/$file" "$work/src/$file" && touch "$work/src/$file" ||
				die "$file cannot be copied"
		done
	cmake -S "$work/src" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Debug \
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
	ctest --test-dir "$work/build" --timeout 150 -R "^$1\$" --no-tests=error >"$work/test.log" 2>&1
}

# Without a mutant every test passes: else none of what follows means anything.
baseline() {
	local tests test
	tests=$(for name in $mutants; do field Tests "$here/$name.patch"; done | tr ' ' '\n' | sort -u)
	# shellcheck disable=SC2086
	build $tests || die "the tree does not build: see $work/build.log"
	for test in $tests; do
		passes "$test" || die "$test fails without any mutant: see $work/test.log"
	done
	echo "without a mutant: $(wc -w <<<"$tests") tests pass" >&2
}

run_one() { # name
	local test tests killer=""
	tests=$(field Tests "$here/$1.patch")
	patch -d "$work/src" -p1 -s -f <"$here/$1.patch" >/dev/null || { echo "| $1 | does not apply | |"; return 1; }
	for test in $tests; do
		build "$test" || { killer=""; echo "$1 does not build: see $work/build.log" >&2; break; }
		passes "$test" || { killer=$test; break; }
	done
	patch -d "$work/src" -p1 -s -f -R <"$here/$1.patch" >/dev/null || die "$1 cannot be taken back"
	echo "| $1 | $(field Breaks "$here/$1.patch") | ${killer:-**nobody**} |"
	[ -n "$killer" ]
}

while [ $# -gt 0 ]; do
	case $1 in
	--check) mode=check ;;
	--list) mode=list ;;
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
echo "| mutant | breaks | killed by |"
echo "|---|---|---|"
for name in $mutants; do
	run_one "$name" || lived=$((lived + 1))
	n=$((n + 1))
done
echo "$n mutants, $lived alive" >&2
[ $lived = 0 ]
