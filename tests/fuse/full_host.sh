#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The medium below the image fails (here: the host's file system is full): writers
# hear it, the bridge says so when it ends and does not end with 0; once there is
# room again the disk is repaired by -p and what was fsynced before is there.
. "$XN_SOURCE/tests/fuse/lib.sh"

mkdir small
mount -t tmpfs -o size=6M tmpfs small || skip "no tmpfs here"
image small/disk.img 64M home
serve small/disk.img mnt -o root=home,commit=0.2
dd if=/dev/urandom of=safe bs=100k count=1 status=none
dd if=safe of=mnt/safe conv=fsync status=none || fail "fsync while there was room"
dd if=/dev/zero of=mnt/much bs=1M count=20 conv=fsync status=none 2>refusal &&
	fail "20 MiB fitted into 6"
grep -qE "error|space" refusal || fail "dd says: $(cat refusal)"
sleep 0.6 # for the syncer to meet it
umount mnt || fail "umount"
wait "$server"
code=$?
[ $code = 32 ] || fail "the bridge ended with code $code"
grep -q "disk.img: not everything was written: " server.log || { cat server.log >&2; fail "and did not say so"; }
grep -q "writing back home failed" server.log || { cat server.log >&2; fail "the syncer was silent"; }

mount -o remount,size=64M small
xn-fsck -p small/disk.img >fsck.log 2>&1
[ $? -le 1 ] || { cat fsck.log >&2; fail "xn-fsck -p"; }
serve small/disk.img mnt -o root=home
cmp safe mnt/safe || fail "what was fsynced is lost"
stop mnt
fsck_clean small/disk.img
