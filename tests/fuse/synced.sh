#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# On a block device sync(2) and syncfs(2) are promises: what they acknowledged
# survives kill -9.  And umount(2) itself returns when the disk is closed.
. "$XN_SOURCE/tests/fuse/lib.sh"

image disk.img 64M home work
device=$(losetup -f --show disk.img 2>/dev/null) || skip "no loop devices here"
trap 'umount -l mnt 2>/dev/null; kill -9 "${servers[@]}" 2>/dev/null; wait; losetup -d "$device"; leave' EXIT

killed() {
	kill -9 "$server"
	wait "$server" 2>/dev/null
	umount -l mnt
	xn-fsck -p "$device" >fsck.log 2>&1
	[ $? -le 1 ] || { cat fsck.log >&2; fail "xn-fsck -p"; }
}

head -c 100000 /dev/urandom >data
serve "$device" mnt -o commit=3600
[ "$(findmnt -no FSTYPE mnt)" = fuseblk.xn ] || fail "mounted as $(findmnt -no FSTYPE mnt)"
cp data mnt/home/one
cp data mnt/work/one
sync -f mnt/home || fail "syncfs"
killed

serve "$device" mnt -o commit=3600
cmp data mnt/home/one || fail "what syncfs acknowledged is lost"
cmp data mnt/work/one || fail "syncfs left a root out"
mv mnt/home/one mnt/home/two
sync
killed

serve "$device" mnt -o commit=3600
cmp data mnt/home/two || fail "what sync acknowledged is lost"
[ -e mnt/home/one ] && fail "a rename that sync acknowledged is undone"


mkdir -p other
refuses 32 "in use" "$bridge" "$device" other -o lock_wait=0
# umount(2), not umount(8) with its helper: closed when it returns.
for round in 1 2 3; do
	head -c 3000000 /dev/urandom >mnt/home/much
	python3 -c 'import ctypes, os; libc = ctypes.CDLL(None); exit(libc.umount2(os.fsencode("mnt"), 0))' ||
		fail "umount(2), round $round"
	xn-fsck -f -n "$device" >fsck.log 2>&1 || { cat fsck.log >&2; fail "not clean, round $round"; }
	served
	serve "$device" mnt -o commit=3600
done
stop mnt
# As a plain mount when told so.
serve "$device" mnt -o no_fuseblk
[ "$(findmnt -no FSTYPE mnt)" = fuse.xn ] || fail "no_fuseblk: $(findmnt -no FSTYPE mnt)"
stop mnt
