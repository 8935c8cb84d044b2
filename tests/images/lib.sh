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

# A tree with one of everything that this user may make.
make_tree() {
	mkdir -p "$1/sub/deeper" "$1/empty" "$1/sticky"
	echo plain >"$1/plain"
	printf 'no newline' >"$1/sub/text"
	: >"$1/nothing"
	head -c 300000 /dev/urandom >"$1/sub/deeper/large"
	ln "$1/plain" "$1/sub/twin"
	ln "$1/plain" "$1/sub/deeper/triplet"
	ln -s ../plain "$1/sub/link"
	ln -s /etc/hostname "$1/absolute"
	ln -s nowhere "$1/dangling"
	mkfifo "$1/fifo"
	truncate -s 3M "$1/hole"
	truncate -s 1M "$1/sparse"
	printf 'middle' | dd of="$1/sparse" bs=1 seek=500000 conv=notrunc status=none
	printf 'end' >>"$1/sparse"
	: >"$1/$(printf 'x%.0s' {1..255})"
	: >"$1/-rf"
	: >"$1/with blank"
	: >"$1/$(printf 'new\nline')"
	: >"$1/$(printf '\377\376')"
	chmod 1777 "$1/sticky"
	chmod 04755 "$1/plain"
	chmod 0400 "$1/nothing"
	[ "$(id -u)" = 0 ] && chmod 0 "$1/nothing"
	chmod 0500 "$1/sub/deeper"
	if [ "$(id -u)" = 0 ]; then
		mknod "$1/null" c 1 3
		mknod "$1/disk" b 7 300
		chown 12345:54321 "$1/sub/text"
		chown -h 77:88 "$1/sub/link"
	fi
	touch -h -d '2001-09-09 01:46:40.123456789' "$1/sub/link"
	touch -d '1999-12-31 23:59:59.999999999' "$1/sub/text"
	touch -d '2038-01-19 03:14:08.000000001' "$1/empty"
	touch -d '2200-02-03 04:05:06.7' "$1/sub"
	touch -d '2010-10-10 10:10:10.1' "$1"
}

# Attributes of all families that this user may give, ACLs among them.
given_xattrs() {
	setfattr -n user.note -v "of $1" "$1" 2>/dev/null || return
	setfattr -n user.empty "$1"
	setfattr -n user.binary -v 0x00ff0a5c "$1"
	setfacl -m u:4711:r,g:815:rw,m::rwx "$1"
	[ -d "$1" ] && setfacl -d -m u:4711:rwx "$1"
	[ "$(id -u)" = 0 ] && setfattr -n trusted.hidden -v "${2-secret}" "$1"
	return 0
}

# The extended attributes and ACLs of everything below a directory.
xattrs() {
	(cd "$1" && find . | sort | while IFS= read -r name; do
		getfattr -h -d -m - -e hex --absolute-names -- "$name" 2>/dev/null
	done)
}

same_xattrs() {
	diff <(xattrs "$1") <(xattrs "$2") >"$dir/diff" ||
		complain "$2 has other extended attributes: $(head -8 "$dir/diff")"
}

done_testing() {
	echo "$sentences sentences, $failures failed checks"
	[ "$sentences" -gt 0 ] && [ "$failures" = 0 ]
	exit
}
