# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What the tests of real mounts share.  Source it first: the script then runs in
# a mount namespace of its own, in an empty folder, and leaves nothing behind.
set -u

skip() {
	echo "SKIP: $*"
	exit 77
}

fail() {
	echo "FAILED: $*" >&2
	exit 1
}

[ "$(id -u)" = 0 ] || skip "needs root"
{ : <>/dev/fuse; } 2>/dev/null || skip "/dev/fuse cannot be opened"
if [ -z "${XN_NAMESPACE-}" ]; then
	unshare -m true 2>/dev/null || skip "no mount namespaces here"
	exec env XN_NAMESPACE=1 unshare -m --propagation private bash "$0" "$@"
fi

export tests=$XN_BUILD/test-bin
bridge=$XN_BIN/xn-fuse
PATH=$XN_BIN:$PATH

work=$(mktemp -d "${TMPDIR:-/tmp}/xn-fuse-test.XXXXXX")
chmod 755 "$work"
cd "$work" || exit 1
servers=()

# Only what this test started, by its number.
leave() {
	local code=$? pid
	cd /
	for pid in "${servers[@]}"; do
		kill -9 "$pid" 2>/dev/null
	done
	while read -r dir; do
		umount -l "$dir"
	done < <(awk -v work="$work" 'index($5, work) == 1 { print $5 }' /proc/self/mountinfo)
	wait 2>/dev/null
	rm -rf "$work"
	exit $code
}
trap leave EXIT
trap 'exit 99' TERM INT

# image NAME SIZE ROOT... : a disk with roots of simplefs
image() {
	local name=$1 size=$2 root
	shift 2
	xn format "$name" --size "$size" >/dev/null 2>&1 || fail "format $name"
	for root; do
		xn mkfs "$name" --root "$root" --type simplefs >/dev/null 2>&1 || fail "mkfs $root"
	done
}

is_mounted() {
	awk -v dir="$work/$1" '$5 == dir { found = 1 } END { exit !found }' /proc/self/mountinfo
}

# serve IMAGE DIR [OPTION...] : in the foreground, in the background; sets $server
serve() {
	mkdir -p "$2"
	"$bridge" "$1" "$2" -f "${@:3}" 2>>server.log &
	server=$!
	servers+=("$server")
	for _ in $(seq 1000); do
		is_mounted "$2" && stat "$2" >/dev/null && return
		kill -0 $server 2>/dev/null || break
		sleep 0.01
	done
	cat server.log >&2
	fail "$1 is not served at $2"
}

# served : wait for the end of $server, which must be a clean one
served() {
	local code
	wait "$server"
	code=$?
	[ $code = 0 ] && return
	cat server.log >&2
	fail "the bridge ended with code $code"
}

# stop DIR : unmount what serve() began
stop() {
	umount "$1" || fail "umount $1"
	served
}

fsck_clean() {
	xn-fsck -f -n "$1" >fsck.log 2>&1 || {
		cat fsck.log >&2
		fail "$1 is not clean"
	}
}

# refuses CODE PATTERN COMMAND... : the exit code, and a sentence that says why
refuses() {
	local code=$1 pattern=$2 got
	shift 2
	"$@" >refusal 2>&1
	got=$?
	[ $got = "$code" ] || { cat refusal >&2; fail "exit code $got, not $code: $*"; }
	grep -qE -- "$pattern" refusal || { cat refusal >&2; fail "does not say '$pattern': $*"; }
}

# A tree of this machine of about so many files, copied to ./tree
real_tree() {
	local count=$1
	mkdir -p tree
	(cd /usr/include && find . -type f | LC_ALL=C sort | head -"$count" | xargs cp -a --parents -t "$work/tree")
}
