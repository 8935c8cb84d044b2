#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# mount and umount: run the bridge, and wait for it.
. "$(dirname "$0")/lib.sh"

[ -x "$XN_BIN/xn-fuse" ] || skip "xn-fuse is not built"
[ -r /dev/fuse ] && [ -w /dev/fuse ] || skip "/dev/fuse cannot be opened"
command -v fusermount3 >/dev/null || skip "fusermount3 is missing"

given_image disk.img 32M
xn mkfs -q disk.img --root work
mkdir "mnt point"
mount="$dir/mnt point"
trap 'fusermount3 -u -z "$mount" 2>/dev/null; rm -rf "$dir"' EXIT

it "mounts all roots as directories"
ok xn mount disk.img "mnt point"
equal "$(ls "$mount")" $'home\nwork'
echo through the mount >"$mount/home/file"

it "says who uses the image meanwhile, and leaves it alone"
refused 1 'in use' xn mkdir disk.img /home/d
refused 1 'in use' xn format disk.img --force
refused 1 'xn-fuse' xn info disk.img

it "unmounts by directory, and the image is free at once"
ok xn umount "mnt point"
ok xn cat disk.img /home/file
equal "$(cat out)" "through the mount"
sound disk.img

it "unmounts by image"
ok xn mount disk.img "mnt point"
ok xn umount disk.img
ok xn mkdir disk.img /home/d

it "mounts one root alone, and read-only"
ok xn mount disk.img "$mount" --root home -r
[ -f "$mount/file" ] || complain "no file: $(ls "$mount")"
(echo no >"$mount/other") 2>/dev/null && complain "it could be written"
ok xn ls disk.img /home
ok xn umount "$mount"

it "refuses to unmount what is not mounted"
refused 1 'no XN disk is mounted there' xn umount "$mount"
refused 1 'no XN disk is mounted there' xn umount disk.img
refused 1 'no XN disk is mounted there' xn umount nosuch

done_testing
