#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Many threads under the same few names of two roots at once, with a small cache,
# while others stream through big files: nothing wrong is seen, the disk is clean.
. "$XN_SOURCE/tests/fuse/lib.sh"

image disk.img 128M home work
serve disk.img mnt -o "max_threads=16,commit=0.1,cache=4M${1-}"
"$tests/fuse_stress" mnt/home 6 "${XN_TEST_ROUNDS:-1500}" & first=$!
"$tests/fuse_stress" mnt/work 6 "${XN_TEST_ROUNDS:-1500}" & second=$!
(
	dd if=/dev/urandom of=stream bs=1M count=12 status=none
	for i in 1 2 3; do
		cp stream "mnt/home/stream$i" && cmp stream "mnt/home/stream$i" || exit 1
		mv "mnt/home/stream$i" "mnt/work/stream$i" && cmp stream "mnt/work/stream$i" || exit 1
		rm "mnt/work/stream$i" || exit 1
	done
) & third=$!
wait $first || fail "home"
wait $second || fail "work"
wait $third || fail "streams"
find mnt -ls >/dev/null || fail "listing"
stop mnt
fsck_clean disk.img
