#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The POSIX suite of tests/fs/posix on a mount: conform.sh LIBFS [OPTIONS [PATTERN]]
#
# A root of the other LibFS is there as well: what it can and cannot is its own affair.
. "$XN_SOURCE/tests/fuse/lib.sh"

libfs=$1
xn format disk.img --size 96M >/dev/null 2>&1 || fail "format"
xn mkfs disk.img --root home --type "$libfs" >/dev/null 2>&1 || fail "mkfs $libfs"
other=simplefs
[ "$libfs" = simplefs ] && other=cffs
xn mkfs disk.img --root other --type $other >/dev/null 2>&1 || fail "mkfs $other"
serve disk.img mnt -o "allow_other,suid,dev${2-}"
place=mnt/home
[ -d $place ] || place=mnt
"$tests/posix_mount" "$libfs" $place "${3-*}" >suite.log 2>&1 || {
	grep -vE '^\[ +(RUN|OK) ' suite.log >&2
	fail "$libfs with '${2-}'"
}
grep -E 'PASSED' suite.log
stop mnt
fsck_clean disk.img
