#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# fsx.sh LIBFS OPTIONS [OPERATIONS [SEED]]: bytes at random through system calls, a
# tenth of the operations in each of ten mounts, and a clean disk after each.
. "$XN_SOURCE/tests/fuse/lib.sh"

libfs=$1
operations=${3-100000}
seed=${4-1}
xn format disk.img --size 64M >/dev/null 2>&1 || fail "format"
xn mkfs disk.img --root home --type "$libfs" >/dev/null 2>&1 || fail "mkfs $libfs"
for round in $(seq 10); do
	serve disk.img mnt -o "root=home$2"
	"$tests/fuse_fsx" mnt model $((operations / 10)) $((seed * 1000 + round)) >fsx.log ||
		{ tail -20 server.log >&2; fail "round $round of seed $seed"; }
	stop mnt
	fsck_clean disk.img
done
cat fsx.log
