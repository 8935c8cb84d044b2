#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A LibFS that is not built in: found by its name, working on XN like any other.
. "$(dirname "$0")/lib.sh"

plugins=$XN_BUILD/tests/images/plugins
[ -f "$plugins/xn-libfs-borrowfs.so" ] || {
	echo "FAILED: no plugin in $plugins"
	exit 1
}
given_image disk.img 16M simplefs # whose templates borrowfs borrows

it "refuses the type where it cannot be found"
refused_unchanged disk.img 1 'no LibFS is called "borrowfs"' xn mkfs disk.img --root b --type borrowfs

it "makes and shows a root of a LibFS from a shared object"
export XN_LIBFS_PATH=/nowhere:$plugins
ok xn mkfs disk.img --root b --type borrowfs
json '.roots[1] | .name == "b" and .libfs == "borrowfs"' xn roots --json disk.img
ok xn ls -lR disk.img
grep -qx '/b:' out || complain "no /b: $(cat out)"
refused 1 'No such file' xn cat disk.img /b/file
refused 1 'Function not implemented|not implemented' xn mkdir disk.img /b/dir

it "mounts it, beside simplefs"
if [ -x "$XN_BIN/xn-fuse" ] && [ -w /dev/fuse ] && command -v fusermount3 >/dev/null; then
	mkdir mnt
	trap 'fusermount3 -u -z "$dir/mnt" 2>/dev/null; chmod -R u+rwX "$dir"; rm -rf "$dir"' EXIT
	ok xn mount disk.img mnt
	ok ls -la mnt/b
	[ -d mnt/b ] && [ -z "$(ls mnt/b)" ] || complain "no empty directory b"
	echo text >mnt/home/file
	ok xn umount mnt
fi

it "without the shared object names what is missing, and reads the other roots"
unset XN_LIBFS_PATH
refused 1 'disk.img:/b: .*borrowfs' xn ls disk.img /b
ok xn ls disk.img /home
ok xn owner disk.img "$(xn roots --json disk.img | jq -r '.roots[1].object')"
output_has 'root 2 "b" \(borrowfs\)'
sound disk.img

done_testing
