# SPDX-License-Identifier: MIT
#
# What the tests of the command line share; sourced by each.
# shellcheck shell=bash
#
# A test is `it "sentence"` and the checks behind it.  A check that fails says
# so and the script goes on; `done_testing` gives the exit code.
set -u
# Mounts of its own, where that is allowed: a namespace that another test makes meanwhile
# would copy ours, and keep its server alive after we unmounted it.
if [ -z "${XN_NAMESPACE-}" ] && [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
	exec env XN_NAMESPACE=1 unshare -m --propagation private bash "$0" "$@"
fi
export LC_ALL=C TZ=UTC
unset SOURCE_DATE_EPOCH NO_COLOR XN_LIBFS_PATH
# shellcheck disable=SC2154
PATH=$XN_BIN:$PATH
helper=$XN_BUILD/test-bin/images_helper
dir=$(mktemp -d) || exit 1
trap 'chmod -R u+rwX "$dir"; rm -rf "$dir"' EXIT
cd "$dir" || exit 1
failures=0 sentences=0 sentence=

it() {
	sentence=$1
	sentences=$((sentences + 1))
}

complain() {
	failures=$((failures + 1))
	echo "FAILED: $sentence: $*"
}

skip() {
	echo "SKIP: $*"
	exit 77
}

# Run; standard output and error in $dir/out and $dir/err, exit code in $code.
try() {
	"$@" >"$dir/out" 2>"$dir/err"
	code=$?
	# Death by a signal, or a sanitizer's report, is never what a test expects.
	if [ $code -ge 128 ] || grep -q 'Sanitizer\|runtime error' "$dir/err"; then
		complain "$* ended with $code: $(tail -5 "$dir/err")"
	fi
}

ok() {
	try "$@"
	[ $code = 0 ] || complain "$* gave $code: $(cat "$dir/err")"
}

# refused CODE PATTERN command...: exit code, and one line on standard error that says so.
refused() {
	local want=$1 pattern=$2
	shift 2
	try "$@"
	[ $code = "$want" ] || complain "$* gave $code, not $want: $(cat "$dir/err")"
	grep -qE -- "$pattern" "$dir/err" || complain "$* said: $(cat "$dir/err")"
	grep -q '^xn: ' "$dir/err" || complain "$*: no line begins with \"xn: \": $(cat "$dir/err")"
}

# The same, and FILE has the same bytes afterwards.
refused_unchanged() {
	local file=$1 before after
	shift
	before=$(sha256sum <"$file")
	refused "$@"
	after=$(sha256sum <"$file")
	[ "$before" = "$after" ] || complain "${*:3} changed $file"
}

equal() {
	[ "$1" = "$2" ] || complain "\"$1\" is not \"$2\""
}

output_has() {
	grep -qE -- "$1" "$dir/out" || complain "no \"$1\" in: $(head -20 "$dir/out")"
}

# json FILTER command...: its output is JSON of version 1, and the filter's answer is true.
json() {
	local filter=$1
	shift
	ok "$@"
	jq -e '.version == 1' "$dir/out" >/dev/null || complain "$*: no JSON: $(head -5 "$dir/out")"
	jq -e "$filter" "$dir/out" >/dev/null || complain "$*: not $filter: $(head -c 600 "$dir/out")"
}

# An image called $1 of size $2 with a root "home" of type $3.
given_image() {
	xn format -q "$1" --size "${2:-64M}" && xn mkfs -q "$1" --root home ${3:+--type "$3"} || {
		echo "FAILED: no image to test with"
		exit 1
	}
}

# Clean in the eyes of the checker, where it is built.
sound() {
	[ -x "$XN_BIN/xn-fsck" ] || return
	"$XN_BIN/xn-fsck" -n -f "$1" >"$dir/fsck.out" 2>&1 ||
		complain "xn-fsck -n -f $1 gave $?: $(head -5 "$dir/fsck.out")"
}

# Name, kind, mode, owner, links, time and target of everything below a directory.
attributes() {
	(cd "$1" && find . \( -type l -printf '%p %y %l %T@\n' -o -type d -printf '%p %y %m %U:%G %T@\n' \
		-o -printf '%p %y %m %U:%G %n %s %T@\n' \) | sort)
}

same_tree() {
	# diff cannot compare special files; their attributes are compared below.
	diff -r --no-dereference "$1" "$2" 2>&1 | grep -vE 'is a (fifo|character|block)' >"$dir/diff" &&
		complain "$2 differs: $(head -5 "$dir/diff")"
	diff <(attributes "$1") <(attributes "$2") >"$dir/diff" ||
		complain "$2 has other attributes: $(head -8 "$dir/diff")"
}

done_testing() {
	echo "$sentences sentences, $failures failed checks"
	[ "$sentences" -gt 0 ] && [ "$failures" = 0 ]
	exit
}
