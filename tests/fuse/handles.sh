#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Handles of files outlive the kernel's memory of them, and a remount.
. "$XN_SOURCE/tests/fuse/lib.sh"

image disk.img 64M home work
for options in root=home ro=no; do
	dir=mnt
	[ $options = ro=no ] && dir=mnt/work options=rw
	serve disk.img mnt -o $options
	"$tests/fuse_handles" $dir make || fail "make, $options"
	{ echo 2 >/proc/sys/vm/drop_caches; } 2>/dev/null || skip "caches cannot be dropped here"
	"$tests/fuse_handles" $dir open || fail "after the kernel forgot, $options"
	"$tests/fuse_handles" $dir make || fail "make again, $options"
	stop mnt
	serve disk.img mnt -o $options
	"$tests/fuse_handles" $dir open || fail "after a remount, $options"
	stop mnt
	fsck_clean disk.img
done
