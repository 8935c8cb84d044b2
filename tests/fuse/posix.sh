#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What programs expect of a file system holds on a mount, with each way of
# mounting, and the disk is clean afterwards.
. "$XN_SOURCE/tests/fuse/lib.sh"

run() { # options place
	serve disk.img mnt -o "allow_other,suid,dev$1"
	"$tests/fuse_posix" "$2" || fail "with the options '$1'"
	stop mnt
	fsck_clean disk.img
}

image disk.img 64M home work
case ${1-cached} in
cached) run ,writeback_cache mnt/work ;;
uncached) run "" mnt/work ;;
single) run ,root=home mnt ;;
sync) run ,sync mnt/home ;;
tight) run ,cache=1M,max_threads=2 mnt/home ;;
esac
