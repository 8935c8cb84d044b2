#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
#   lint.sh cppcheck    the components, all paths
#   lint.sh tidy        each source of the components with the flags of the build
#
# Both are quiet or the test fails.
set -u
cd "$XN_SOURCE" || exit 1

skip() {
	echo "SKIP: $*"
	exit 77
}

# Sources of the components that this build compiles for the host.
sources() {
	sed -nE 's/^ *"file": "(.*)",?$/\1/p' "$XN_BUILD/compile_commands.json" |
		grep -E "^$XN_SOURCE/(udf|xn|libfs|fuse-bridge|fsck|images)/" | sort -u
}

run_cppcheck() {
	command -v cppcheck >/dev/null || skip "cppcheck is not installed"
	mkdir -p "$XN_BUILD/cppcheck"
	local includes=() queue
	for set in "$XN_BUILD"/include/*/; do
		includes+=(-I "$set")
	done
	# The lists of <sys/queue.h> are the only macros of the system it cannot guess.
	queue=$(echo '#include <sys/queue.h>' | cc -E -x c - | sed -nE 's/^# 1 "(.*queue\.h)".*/\1/p' | head -1)
	# Left out: leaks, which clang follows further; buffers that are filled by whom they are given.
	sources | cppcheck --file-list=- -j2 --quiet --std=c11 --language=c --error-exitcode=1 \
		--cppcheck-build-dir="$XN_BUILD/cppcheck" --inline-suppr \
		--enable=warning,performance,portability \
		--suppress=missingIncludeSystem --suppress=unmatchedSuppression \
		--suppress=memleak --suppress=ctuuninitvar \
		-D_GNU_SOURCE= -D__x86_64__=1 --include="$queue" "${includes[@]}"
}

# What was quiet before and has not changed since is not read again.
tidy_one() {
	local source=$1 stamp output
	stamp="$XN_BUILD/tidy/$(sha256sum <<<"$source" | cut -c1-16)"
	if [ -f "$stamp" ] && [ -z "$(find "$source" .clang-tidy udf xn libfs images fuse-bridge fsck \
		\( -name '*.h' -o -path "./$source" -o -name .clang-tidy \) -newer "$stamp" -print -quit)" ] &&
		[ ! "$source" -nt "$stamp" ]; then
		return 0
	fi
	# Asserts are facts: let it know them.  Function by function (ipa=none): across
	# functions it forgets the invariants and reports what they exclude.
	output=$(clang-tidy --quiet -p "$XN_BUILD" --warnings-as-errors='*' --extra-arg=-UNDEBUG \
		--extra-arg=-Xclang --extra-arg=-analyzer-config --extra-arg=-Xclang \
		--extra-arg=ipa=none "$source" 2>/dev/null)
	if [ $? -ne 0 ] || [ -n "$output" ]; then
		echo "$output"
		return 1
	fi
	touch "$stamp"
}

run_tidy() {
	command -v clang-tidy >/dev/null || skip "clang-tidy is not installed"
	mkdir -p "$XN_BUILD/tidy"
	sources | xargs -P "$(nproc)" -I{} "$0" one {}
}

case ${1-} in
cppcheck) run_cppcheck ;;
tidy) run_tidy ;;
one) tidy_one "$2" ;;
*) sed -n '4,5s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
